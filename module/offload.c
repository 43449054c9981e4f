// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - the policy: which backend makes a copy, and what the core owes
 * to the caches, the counters and the caller around it.
 *
 * Every copy enters here, whatever system call it came by. The backends of the
 * mount's chain are asked in turn, for what is left, until all is copied; the
 * local copy at the end of the chain takes what nobody else wants.
 *
 * Lock: the inode lock of a destination whose data is elsewhere (NFS, 9p, FUSE,
 * SMB), as NFS holds it around its own server's copy: from when its pages are
 * written back until they are read anew. NFS and others write whole pages, and a
 * write next to what is being copied would put old bytes over the new ones.
 */
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/netfs.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/splice.h>
#include "offloadfs.h"
#include "trace.h"

/* So often in a row a backend is asked to copy what it has not answered. */
#define OFFLOADFS_MAX_TRIES	4

/**
 * struct offloadfs_copy - one copy while it is made
 * @in: upper source
 * @out: upper destination
 * @osb: mount of @out, whose options and backends count
 * @req: what the backends see; the lower files, and what is left to do
 * @refusal: reason against any offload, or OFFLOADFS_ACCEPT
 * @head_only: the next local copy only reaches up to a block boundary, after
 *	which the backends are asked again
 * @head_tried: that has happened
 * @too_small: a backend found it too short to be worth an offload
 * @nothing_to_dedupe: a backend has deduplicated the 0 bytes that it could
 * @declined: backends that are not to be asked again, by bit
 * @moved: bytes by backend
 */
struct offloadfs_copy {
	struct file *in;
	struct file *out;
	struct offloadfs_sb *osb;
	struct offloadfs_copy_request req;
	enum offloadfs_reason refusal;
	bool head_only;
	bool head_tried;
	bool too_small;
	bool nothing_to_dedupe;
	unsigned int declined;
	loff_t moved[OFFLOADFS_MAX_BACKENDS];
};

static bool offloadfs_is_local(const struct offloadfs_backend *b)
{
	return b->ops->flags & OFFLOADFS_BACKEND_LOCAL;
}

static bool offloadfs_is_remote(const struct offloadfs_backend *b)
{
	return b->ops->flags & OFFLOADFS_BACKEND_REMOTE;
}

static void offloadfs_note(struct super_block *sb, const struct file *src,
			   enum offloadfs_origin origin, const char *backend,
			   enum offloadfs_reason reason)
{
	this_cpu_inc(offloadfs_sb(sb)->stats->declined[reason]);
	trace_offloadfs_decline(sb, src, origin, backend, reason);
}

/**
 * offloadfs_decline - count and trace that a copy is not offloaded
 * @sb: upper super block
 * @src: source, upper or lower
 * @origin: system call
 * @reason: why
 */
void offloadfs_decline(struct super_block *sb, const struct file *src,
		       enum offloadfs_origin origin,
		       enum offloadfs_reason reason)
{
	offloadfs_note(sb, src, origin, "", reason);
}

static bool offloadfs_overlaps(const struct offloadfs_copy_request *req)
{
	return file_inode(req->src) == file_inode(req->dst) &&
	       req->dst_pos + req->len > req->src_pos &&
	       req->dst_pos < req->src_pos + req->len;
}

/* The source's bytes from its position on, as the lower knows it. */
static loff_t offloadfs_available(const struct offloadfs_copy_request *req)
{
	return i_size_read(file_inode(req->src)) - req->src_pos;
}

/* What speaks against any offload of this copy, whoever would make it. */
static enum offloadfs_reason offloadfs_refusal(const struct offloadfs_copy *c)
{
	const struct offloadfs_copy_request *req = &c->req;
	const struct offloadfs_config *config = &c->osb->config;

	if (req->origin == OFFLOADFS_COPY_FILE_RANGE && READ_ONCE(config->nocfr))
		return OFFLOADFS_DISABLED;
	if (req->op == OFFLOADFS_CLONE && READ_ONCE(config->noclone))
		return OFFLOADFS_DISABLED;
	if (req->op != OFFLOADFS_COPY)
		return OFFLOADFS_ACCEPT;
	if (req->len < READ_ONCE(config->min))
		return OFFLOADFS_TOO_SMALL;
	if (offloadfs_overlaps(req))
		return OFFLOADFS_OVERLAP;
	return OFFLOADFS_ACCEPT;
}

/* The backend as the source's mount has it: B itself, another mount's, or NULL. */
static const struct offloadfs_backend *
offloadfs_source_backend(const struct offloadfs_copy *c,
			 const struct offloadfs_backend *b)
{
	struct super_block *sb_in = file_inode(c->in)->i_sb;
	const struct offloadfs_sb *osb = offloadfs_sb(sb_in);
	unsigned int i;

	if (sb_in == file_inode(c->out)->i_sb)
		return b;
	if (!(b->ops->flags & OFFLOADFS_BACKEND_CROSS_MOUNT))
		return NULL;
	for (i = 0; i < osb->nr_backends; i++)
		if (osb->backends[i].ops == b->ops)
			return &osb->backends[i];
	return NULL;
}

/* Is it too short for this backend? Where min= is given, that has decided. */
static bool offloadfs_is_too_small(const struct offloadfs_copy *c,
				   const struct offloadfs_backend *b)
{
	loff_t min = b->ops->min;

	if (c->req.origin == OFFLOADFS_SENDFILE)
		min = max(min, b->ops->sendfile_min);
	return c->req.op == OFFLOADFS_COPY && c->req.len < min &&
	       READ_ONCE(c->osb->config.min) < 0;
}

/* What speaks against this backend. */
static enum offloadfs_reason offloadfs_objection(struct offloadfs_copy *c,
						 const struct offloadfs_backend *b)
{
	const struct inode *dst = file_inode(c->req.dst);
	const struct offloadfs_backend *source = offloadfs_source_backend(c, b);

	if (!source)
		return OFFLOADFS_CROSS_MOUNT;
	c->req.src_priv = source->priv;
	if (offloadfs_is_too_small(c, b)) {
		c->too_small = true;
		return OFFLOADFS_TOO_SMALL;
	}
	if (offloadfs_is_remote(b) && (IS_IMMUTABLE(dst) || IS_SWAPFILE(dst)))
		return OFFLOADFS_UNSUPPORTED;
	if (b->ops->flags & OFFLOADFS_BACKEND_WHOLE_FILE && !c->req.whole_file)
		return OFFLOADFS_PARTIAL;
	return b->ops->decide ? b->ops->decide(b->priv, &c->req) :
				OFFLOADFS_ACCEPT;
}

/*
 * What lies past its zero_point, netfs takes for zeros that need not be read.
 * From here on the server may write there.
 */
static void offloadfs_drop_zero_point(struct inode *inode)
{
	if (!IS_ENABLED(CONFIG_NETFS_SUPPORT))
		return;
	switch (inode->i_sb->s_magic) {
	case CIFS_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
	case V9FS_MAGIC:
		spin_lock(&inode->i_lock);
		netfs_write_zero_point(inode, LLONG_MAX);
		spin_unlock(&inode->i_lock);
	}
}

/*
 * Drop the pages of a range. NFS keeps those that its server has but has not
 * made durable, until they are committed (its fsync needs no inode lock; that
 * of others may). Returns -EBUSY for pages that will not go even then: someone
 * keeps dirtying them.
 */
static int offloadfs_drop_pages(struct file *file, loff_t start, loff_t end)
{
	struct address_space *mapping = file->f_mapping;
	pgoff_t first = start >> PAGE_SHIFT, last = end >> PAGE_SHIFT;
	int err;

	err = filemap_write_and_wait_range(mapping, start, end);
	if (err)
		return err;
	err = invalidate_inode_pages2_range(mapping, first, last);
	if (err != -EBUSY || file_inode(file)->i_sb->s_magic != NFS_SUPER_MAGIC)
		return err;
	err = vfs_fsync_range(file, start, end, 1);
	return err ?: invalidate_inode_pages2_range(mapping, first, last);
}

/*
 * Write back what the server does not know of yet, and forget our view. Pages
 * that will not go are a reason to decline.
 */
static int offloadfs_flush_for_remote(struct offloadfs_copy_request *req)
{
	int err;

	err = filemap_write_and_wait_range(req->src->f_mapping, req->src_pos,
					   req->src_pos + req->len - 1);
	err = err ?: offloadfs_drop_pages(req->dst, req->dst_pos,
					  req->dst_pos + req->len - 1);
	if (err != -EBUSY)
		return err;
	req->reason = OFFLOADFS_BUSY;
	return -EOPNOTSUPP;
}

/*
 * Does the lower still show the destination as it was before the copy? Some
 * keep times in seconds, or in other units than the server's file system.
 */
static bool offloadfs_is_older(const struct kstat *stat,
			       const struct offloadfs_copy_request *req)
{
	struct timespec64 ctime = timestamp_truncate(req->attr_ctime,
						     file_inode(req->dst));

	if (!stat->ctime.tv_nsec)
		ctime.tv_nsec = 0;
	return stat->size < req->attr_size ||
	       timespec64_compare(&stat->ctime, &ctime) < 0;
}

/*
 * The destination has changed behind the lower's back: fetch its attributes,
 * drop its pages, and make sure that the lower sees what was copied. Pages
 * that were dirtied meanwhile, through a mapping, have to be written first.
 */
static int offloadfs_refresh_after_remote(const struct offloadfs_copy_request *req,
					  loff_t copied)
{
	loff_t end = req->dst_pos + copied;
	struct kstat stat;
	int err;

	err = vfs_getattr_nosec(&req->dst->f_path, &stat, STATX_BASIC_STATS,
				AT_STATX_FORCE_SYNC);
	if (err)
		return err;
	err = offloadfs_drop_pages(req->dst, req->dst_pos, LLONG_MAX);
	if (err)
		return err;
	if (i_size_read(file_inode(req->dst)) < end)
		return -EIO;
	return copied && req->has_attr && offloadfs_is_older(&stat, req) ? -EIO : 0;
}

/*
 * Between the flush and the refresh nobody else writes here. To a file that is
 * unsettled, nobody does at all.
 */
static ssize_t offloadfs_ask_alone(struct offloadfs_backend *b,
				   struct offloadfs_copy_request *req)
{
	ssize_t ret;
	int err;

	req->unsettled = offloadfs_settle(file_inode(req->dst), 0);
	if (req->unsettled)
		return -EIO;
	err = offloadfs_flush_for_remote(req);
	if (err)
		return err;
	offloadfs_drop_zero_point(file_inode(req->dst));
	ret = b->ops->copy(b->priv, req);
	if (ret > req->len || req->unsettled)
		return ret;
	if ((ret == -EOPNOTSUPP || ret == -EXDEV) && !req->touched)
		return ret;
	err = offloadfs_refresh_after_remote(req, max_t(ssize_t, ret, 0));
	/* Nor may a local copy follow on pages that are not refreshed. */
	if (err && (ret > 0 || ret == -EOPNOTSUPP || ret == -EXDEV))
		return err;
	return ret;
}

static ssize_t offloadfs_ask_locked(struct offloadfs_backend *b,
				    struct offloadfs_copy_request *req)
{
	struct inode *inode = file_inode(req->dst);
	ssize_t ret;

	if (!offloadfs_is_elsewhere(inode))
		return offloadfs_ask_alone(b, req);
	if (down_write_killable(&inode->i_rwsem)) {
		req->unsettled = false;
		return -EINTR;
	}
	ret = offloadfs_ask_alone(b, req);
	inode_unlock(inode);
	return ret;
}

/*
 * What became of a copy that was not answered is waited for without the lock:
 * that may take for ever, and who removes the file needs the lock.
 */
static ssize_t offloadfs_ask_settled(struct offloadfs_backend *b,
				     struct offloadfs_copy_request *req)
{
	unsigned int tries;
	ssize_t ret;

	for (tries = 0; tries < OFFLOADFS_MAX_TRIES; tries++) {
		ret = offloadfs_ask_locked(b, req);
		if (!req->unsettled)
			return ret;
		ret = offloadfs_settle(file_inode(req->dst),
				       MAX_SCHEDULE_TIMEOUT);
		req->unknown = ret;
		if (ret || fatal_signal_pending(current))
			return ret ?: -EINTR;
		req->touched = true;
	}
	req->reason = OFFLOADFS_BUSY;
	return -EOPNOTSUPP;
}

/*
 * What the file system that clones would look at, and a server cannot, for it
 * knows nothing of the caller's limits and may know another size by now.
 */
static int offloadfs_check_clone(struct offloadfs_copy_request *req)
{
	loff_t len = min(req->len, offloadfs_available(req));
	int err;

	if (len <= 0)
		return -EINVAL;
	err = generic_write_check_limits(req->dst, req->dst_pos, &len);
	if (err)
		return err;
	if (len < req->len && !req->can_shorten)
		return -EINVAL;
	req->len = len;
	return offloadfs_overlaps(req) ? -EINVAL : 0;
}

static ssize_t offloadfs_ask_remote(struct offloadfs_copy *c,
				    struct offloadfs_backend *b)
{
	struct offloadfs_copy_request *req = &c->req;
	ssize_t ret;
	int err = 0;

	if (req->op == OFFLOADFS_CLONE)
		err = offloadfs_check_clone(req);
	if (err)
		return err;
	req->touched = false;
	req->has_attr = false;
	ret = offloadfs_ask_settled(b, req);
	if (ret <= 0 || ret > req->len)
		return ret;
	if (c->out->f_flags & O_DSYNC || IS_SYNC(file_inode(req->dst)))
		err = offloadfs_fsync(c->out, req->dst_pos,
				      req->dst_pos + ret - 1,
				      !(c->out->f_flags & __O_SYNC));
	return err ?: ret;
}

/* FICLONE says nothing of the length to the program: all of it, or an error. */
static bool offloadfs_is_half_clone(const struct offloadfs_copy_request *req,
				    ssize_t ret)
{
	return req->op == OFFLOADFS_CLONE && !req->can_shorten && ret > 0 &&
	       ret < req->len;
}

/*
 * Source and destination are off a block boundary by as much: a local copy up
 * to the boundary makes the rest fit for a clone.
 */
static bool offloadfs_head_would_help(const struct offloadfs_copy *c)
{
	const struct offloadfs_copy_request *req = &c->req;
	loff_t mask = i_blocksize(file_inode(req->dst)) - 1;

	return !c->head_tried && (req->dst_pos & mask) &&
	       (req->src_pos & mask) == (req->dst_pos & mask) &&
	       req->len > 2 * (mask + 1);
}

/* A backend that declined is not asked again, but for a better alignment. */
static void offloadfs_note_declined(struct offloadfs_copy *c, unsigned int i,
				    enum offloadfs_reason reason)
{
	if (reason >= OFFLOADFS_NR_REASONS || reason == OFFLOADFS_ACCEPT)
		reason = OFFLOADFS_UNSUPPORTED;
	offloadfs_note(file_inode(c->out)->i_sb, c->req.src, c->req.origin,
		       c->osb->backends[i].ops->name, reason);
	if (reason == OFFLOADFS_UNALIGNED && offloadfs_head_would_help(c)) {
		c->head_only = true;
		return;
	}
	c->declined |= 1U << i;
}

/* Bytes that a lower moved by itself, but through this machine, are local ones. */
static void offloadfs_note_moved(struct offloadfs_copy *c, unsigned int i,
				 ssize_t bytes)
{
	if (!c->req.passed_here) {
		c->moved[i] += bytes;
		return;
	}
	c->moved[c->osb->nr_backends - 1] += bytes;
	offloadfs_note_declined(c, i, OFFLOADFS_UNSUPPORTED);
}

/*
 * Let one backend have a go. Returns bytes; 0 if it declines, with the reason
 * in the request; or a final errno.
 */
static ssize_t offloadfs_ask(struct offloadfs_copy *c, unsigned int i)
{
	struct super_block *sb = file_inode(c->out)->i_sb;
	struct offloadfs_backend *b = &c->osb->backends[i];
	struct offloadfs_copy_request *req = &c->req;
	ssize_t ret;

	req->reason = OFFLOADFS_UNSUPPORTED;
	req->passed_here = false;
	if (offloadfs_is_remote(b))
		ret = offloadfs_ask_remote(c, b);
	else
		ret = b->ops->copy(b->priv, req);
	trace_offloadfs_copy(sb, b->ops->name, req, ret);

	if (ret > req->len || offloadfs_is_half_clone(req, ret)) {
		pr_err_ratelimited("backend %s claims %zd bytes of %lld\n",
				   b->ops->name, ret, req->len);
		ret = -EIO;
	}
	if (ret > 0)
		offloadfs_note_moved(c, i, ret);
	else if ((ret == -EOPNOTSUPP || ret == -EXDEV) && !offloadfs_is_local(b))
		ret = 0;
	else if (!ret && req->op == OFFLOADFS_DEDUPE)
		c->nothing_to_dedupe = true;
	else if (ret < 0 && ret != -EBADE)
		this_cpu_inc(c->osb->stats->backend[i].errors);
	return ret;
}

static ssize_t offloadfs_offload_step(struct offloadfs_copy *c)
{
	enum offloadfs_reason reason;
	unsigned int i;
	ssize_t ret;

	for (i = 0; i < c->osb->nr_backends; i++) {
		struct offloadfs_backend *b = &c->osb->backends[i];

		if (offloadfs_is_local(b) || c->declined & 1U << i)
			continue;
		reason = offloadfs_objection(c, b);
		if (!reason) {
			ret = offloadfs_ask(c, i);
			reason = c->req.reason;
			if (ret || c->nothing_to_dedupe)
				return ret;
		}
		c->req.reason = reason;
		offloadfs_note_declined(c, i, reason);
	}
	return 0;
}

static ssize_t offloadfs_local_step(struct offloadfs_copy *c)
{
	struct offloadfs_copy_request *req = &c->req;
	unsigned int last = c->osb->nr_backends - 1;
	loff_t block = i_blocksize(file_inode(req->dst));

	if (READ_ONCE(c->osb->config.strict) &&
	    c->refusal != OFFLOADFS_TOO_SMALL && !c->too_small)
		return -EOPNOTSUPP;
	if (c->head_only) {
		c->head_only = false;
		c->head_tried = true;
		req->len = min(req->len,
			       block - (req->dst_pos & (block - 1)));
	}
	return offloadfs_ask(c, last);
}

/* Copy (some of) what is left. Returns bytes, 0 at the end, or an errno. */
static ssize_t offloadfs_step(struct offloadfs_copy *c)
{
	ssize_t ret = 0;

	if (!c->refusal)
		ret = offloadfs_offload_step(c);
	return ret ?: offloadfs_local_step(c);
}

static bool offloadfs_is_whole_file(const struct offloadfs_copy_request *req)
{
	return !req->src_pos && !req->dst_pos &&
	       req->len >= i_size_read(file_inode(req->src)) &&
	       req->len >= i_size_read(file_inode(req->dst));
}

/* Make the next request: what is left of LEN, but nothing past the end. */
static bool offloadfs_next(struct offloadfs_copy *c, loff_t pos_in,
			   loff_t pos_out, loff_t len)
{
	struct offloadfs_copy_request *req = &c->req;

	req->src_pos = pos_in;
	req->dst_pos = pos_out;
	req->len = min(len, offloadfs_available(req));
	if (req->len <= 0)
		return false;
	req->whole_file = offloadfs_is_whole_file(req);
	return true;
}

static void offloadfs_account(struct offloadfs_copy *c)
{
	struct offloadfs_stats __percpu *stats = c->osb->stats;
	loff_t offloaded = 0, local = 0;
	unsigned int i;

	for (i = 0; i < c->osb->nr_backends; i++) {
		if (!c->moved[i])
			continue;
		if (offloadfs_is_local(&c->osb->backends[i]))
			local += c->moved[i];
		else
			offloaded += c->moved[i];
		this_cpu_inc(stats->backend[i].copies);
		this_cpu_add(stats->backend[i].bytes, c->moved[i]);
	}
	if (offloaded) {
		this_cpu_inc(stats->copies_offloaded);
		this_cpu_add(stats->bytes_offloaded, offloaded);
	}
	if (local) {
		this_cpu_inc(stats->copies_local);
		this_cpu_add(stats->bytes_local, local);
	}
}

static int offloadfs_start(struct offloadfs_copy *c, struct file *in,
			   struct file *out, enum offloadfs_op op,
			   enum offloadfs_origin origin)
{
	struct file *src = offloadfs_data_file(in);
	struct file *dst = offloadfs_data_file(out);
	int err;

	if (IS_ERR(src))
		return PTR_ERR(src);
	if (IS_ERR(dst))
		return PTR_ERR(dst);
	err = offloadfs_settle(file_inode(dst), MAX_SCHEDULE_TIMEOUT);
	if (err)
		return err;
	*c = (struct offloadfs_copy) {
		.in		= in,
		.out		= out,
		.osb		= offloadfs_sb(file_inode(out)->i_sb),
		.req.op		= op,
		.req.origin	= origin,
		.req.src	= src,
		.req.dst	= dst,
		.req.reason	= OFFLOADFS_UNSUPPORTED,
	};
	c->req.sparse = !READ_ONCE(c->osb->config.nosparse);
	return 0;
}

static void offloadfs_finish(struct offloadfs_copy *c)
{
	offloadfs_account(c);
	offloadfs_copy_attr(file_inode(c->in));
	offloadfs_copy_attr(file_inode(c->out));
}

/* Not every way to copy asks who watches the lower files. */
static int offloadfs_may_copy(struct offloadfs_copy *c, loff_t pos_in,
			      loff_t pos_out, loff_t len)
{
	int err = offloadfs_may_access(READ, c->req.src, pos_in, len);

	return err ?: offloadfs_may_access(WRITE, c->req.dst, pos_out, len);
}

/*
 * Copy until LEN is done, the source ends, a signal kills the task or an error
 * comes. Returns what was copied, or the error if that is nothing.
 */
static ssize_t offloadfs_copy_loop(struct offloadfs_copy *c, loff_t pos_in,
				   loff_t pos_out, loff_t len)
{
	loff_t done = 0;
	ssize_t ret;

	ret = offloadfs_may_copy(c, pos_in, pos_out, len);
	if (ret)
		return ret;
	while (offloadfs_next(c, pos_in + done, pos_out + done, len - done)) {
		if (!done) {
			c->refusal = offloadfs_refusal(c);
			if (c->refusal)
				offloadfs_decline(file_inode(c->out)->i_sb,
						  c->in, c->req.origin,
						  c->refusal);
		}
		ret = offloadfs_step(c);
		if (ret <= 0)
			break;
		done += ret;
		if (fatal_signal_pending(current))
			break;
	}
	return done && !c->req.unknown ? done : ret;
}

/*
 * The lower said that the source ends here. Only a read can prove it: a file
 * may have contents without a size (as in /proc), or a size that the lower
 * has not heard of yet. Returns bytes, usually 0.
 */
static ssize_t offloadfs_read_past_end(struct offloadfs_copy *c, loff_t pos_in,
				       loff_t pos_out, loff_t len)
{
	unsigned int last = c->osb->nr_backends - 1;
	ssize_t ret;
	char byte;

	if (READ_ONCE(c->osb->config.strict)) {
		ret = kernel_read(c->req.src, &byte, sizeof(byte), &pos_in);
		return ret > 0 ? -EOPNOTSUPP : ret;
	}
	ret = do_splice_direct(c->req.src, &pos_in, c->req.dst, &pos_out, len,
			       0);
	if (ret > 0) {
		c->moved[last] += ret;
		if (!i_size_read(file_inode(c->req.src)))
			offloadfs_decline(file_inode(c->out)->i_sb, c->in,
					  c->req.origin, OFFLOADFS_PSEUDO);
	}
	return ret;
}

/**
 * offloadfs_sendfile - make the copy that a deferred sendfile(2) stands for
 * @in: upper source
 * @pos_in: where to read, in bytes
 * @out: upper destination, maybe on another offloadfs mount
 * @pos_out: where to write, in bytes
 * @len: most bytes to copy
 *
 * What the VFS checks for a write, and a copy between the lower files would
 * not, is checked here: the position limits, if there is anything to write.
 *
 * Context: the upper super block of @out is protected against freezing.
 * Return: bytes copied, 0 at the end of the source, or an errno.
 */
ssize_t offloadfs_sendfile(struct file *in, loff_t pos_in, struct file *out,
			   loff_t pos_out, size_t len)
{
	struct offloadfs_copy c;
	loff_t limit = len;
	ssize_t done, ret;

	ret = offloadfs_start(&c, in, out, OFFLOADFS_COPY, OFFLOADFS_SENDFILE);
	if (ret)
		return ret;
	if (out->f_flags & O_APPEND)
		return -EINVAL;
	this_cpu_inc(c.osb->stats->sendfile_intercepted);
	c.req.src_pos = pos_in;
	if (offloadfs_available(&c.req) > 0) {
		ret = generic_write_check_limits(c.req.dst, pos_out, &limit);
		if (ret)
			return ret;
	}

	done = offloadfs_copy_loop(&c, pos_in, pos_out, limit);
	if (done >= 0 && done < limit && !fatal_signal_pending(current) &&
	    offloadfs_available(&c.req) <= 0) {
		ret = offloadfs_read_past_end(&c, pos_in + done,
					      pos_out + done, limit - done);
		if (ret > 0 || !done)
			done += ret;
	}
	offloadfs_finish(&c);
	return done;
}

/**
 * offloadfs_copy_file_range - ->copy_file_range
 * @file_in: upper source
 * @pos_in: where to read, in bytes
 * @file_out: upper destination, maybe on another offloadfs mount
 * @pos_out: where to write, in bytes
 * @len: most bytes to copy; may exceed MAX_RW_COUNT
 * @flags: none are known
 *
 * Context: the VFS has checked positions and limits, and protects the upper
 * super block of @file_out against freezing.
 * Return: bytes copied, 0 at the end of the source, or an errno.
 */
ssize_t offloadfs_copy_file_range(struct file *file_in, loff_t pos_in,
				  struct file *file_out, loff_t pos_out,
				  size_t len, unsigned int flags)
{
	struct offloadfs_copy c;
	ssize_t ret;

	if (flags)
		return -EINVAL;
	/* A 32-bit program's result would pass for an error. */
	if (in_compat_syscall())
		len = min_t(size_t, len, MAX_RW_COUNT);
	ret = offloadfs_start(&c, file_in, file_out, OFFLOADFS_COPY,
			      OFFLOADFS_COPY_FILE_RANGE);
	if (ret)
		return ret;
	/* The VFS looks for that in the upper inodes: two mounts have two. */
	if (offloadfs_next(&c, pos_in, pos_out, len) &&
	    offloadfs_overlaps(&c.req))
		return -EINVAL;
	ret = offloadfs_copy_loop(&c, pos_in, pos_out, len);
	offloadfs_finish(&c);
	return ret;
}

/* The errno that tells a program why there is no clone, if there is none. */
static int offloadfs_remap_refused(const struct offloadfs_copy *c)
{
	if (c->nothing_to_dedupe)
		return 0;
	if (c->req.reason == OFFLOADFS_CROSS_MOUNT)
		return -EXDEV;
	return -EOPNOTSUPP;
}

static loff_t offloadfs_remap(struct offloadfs_copy *c)
{
	ssize_t ret;

	c->refusal = offloadfs_refusal(c);
	if (c->refusal) {
		offloadfs_decline(file_inode(c->out)->i_sb, c->in,
				  c->req.origin, c->refusal);
		return -EOPNOTSUPP;
	}
	ret = offloadfs_offload_step(c);
	return ret ?: offloadfs_remap_refused(c);
}

/**
 * offloadfs_remap_file_range - ->remap_file_range: clone or deduplicate
 * @file_in: upper source
 * @pos_in: where to read, in bytes
 * @file_out: upper destination
 * @pos_out: where to write, in bytes
 * @len: bytes; for a clone 0 means up to the end of the source
 * @remap_flags: REMAP_FILE_*
 *
 * Context: the VFS protects the upper super block against freezing.
 * Return: bytes remapped or an errno; -EOPNOTSUPP if the lower cannot.
 */
loff_t offloadfs_remap_file_range(struct file *file_in, loff_t pos_in,
				  struct file *file_out, loff_t pos_out,
				  loff_t len, unsigned int remap_flags)
{
	bool dedupe = remap_flags & REMAP_FILE_DEDUP;
	struct offloadfs_copy c;
	loff_t ret;

	if (remap_flags & ~(REMAP_FILE_DEDUP | REMAP_FILE_ADVISORY))
		return -EINVAL;
	ret = offloadfs_start(&c, file_in, file_out,
			      dedupe ? OFFLOADFS_DEDUPE : OFFLOADFS_CLONE,
			      OFFLOADFS_REMAP);
	if (ret)
		return ret;
	c.req.src_pos = pos_in;
	c.req.dst_pos = pos_out;
	c.req.can_shorten = remap_flags & REMAP_FILE_CAN_SHORTEN;
	if (!len && !dedupe)
		len = offloadfs_available(&c.req);
	if (!len)
		return 0;
	if (len < 0)
		return -EINVAL;
	c.req.len = len;
	c.req.whole_file = offloadfs_is_whole_file(&c.req);
	ret = offloadfs_remap(&c);
	offloadfs_finish(&c);
	return ret;
}
