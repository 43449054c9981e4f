// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs_rpc - copies. The core has written both files back and dropped the
 * destination's pages; it refreshes the destination afterwards.
 *
 * One request copies as much as the server does in one go; the core asks for the
 * rest. A request that was not answered leaves a copy whose fate is not known:
 * see unsettled.c. When it is, the core asks again; if that takes too long, the
 * caller has an error.
 */
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include "rpc.h"

/* A file as long as that is made durable in one go. */
#define OFFLOADFS_RPC_SMALL		SZ_1M

/* So often in a row a range is tried again. */
#define OFFLOADFS_RPC_MAX_TRIES		4

/**
 * struct offloadfs_rpc_copy - one copy while it is made
 * @mount: of the destination
 * @src_mount: of the source, with the same server
 * @req: what the core asked for
 * @record: of the destination, or NULL: the server has to make it durable
 * @args: next request
 * @res: its result
 * @src_buf: room for the source's name
 * @dst_buf: room for the destination's
 * @fresh: the files were described by what the server had to say just now
 * @unsettled: memory to remember the copy by if its fate stays unknown
 */
struct offloadfs_rpc_copy {
	struct offloadfs_rpc_mount *mount;
	struct offloadfs_rpc_mount *src_mount;
	struct offloadfs_copy_request *req;
	struct offloadfs_rpc_record *record;
	struct copyfile_copy_args args;
	struct copyfile_copy_res res;
	char *src_buf;
	char *dst_buf;
	bool fresh;
	struct offloadfs_rpc_unsettled *unsettled;
};

static ssize_t offloadfs_rpc_decline(struct offloadfs_copy_request *req,
				     enum offloadfs_reason reason)
{
	req->reason = reason;
	return -EOPNOTSUPP;
}

static int offloadfs_rpc_describe(const struct offloadfs_rpc_mount *mount,
				  const struct file *file, char *buf,
				  struct copyfile_file *desc,
				  unsigned int flags)
{
	struct kstat stat;
	int err;

	err = vfs_getattr_nosec(&file->f_path, &stat, STATX_BASIC_STATS, flags);
	if (err)
		return err;
	desc->export = mount->export;
	desc->path = offloadfs_rpc_path(mount, &file->f_path, buf);
	if (IS_ERR(desc->path))
		return PTR_ERR(desc->path);
	if (strlen(desc->path) > COPYFILE_PATH_MAX)
		return -ENAMETOOLONG;
	desc->fileid = mount->match_attr ? 0 : stat.ino;
	desc->size = stat.size;
	desc->mtime = stat.mtime;
	return 0;
}

/*
 * Say of both files what the lower knows (or, with fresh, has the server say),
 * by which the server makes sure that it is the same files. What the lower
 * knows by heart is most often right, and costs no round trip.
 */
static int offloadfs_rpc_describe_both(struct offloadfs_rpc_copy *c, bool fresh)
{
	unsigned int flags = fresh ? AT_STATX_FORCE_SYNC : AT_STATX_DONT_SYNC;
	int err;

	c->fresh = fresh;
	err = offloadfs_rpc_describe(c->src_mount, c->req->src, c->src_buf,
				     &c->args.src, flags);
	return err ?: offloadfs_rpc_describe(c->mount, c->req->dst, c->dst_buf,
					     &c->args.dst, flags);
}

/*
 * The server has started anew: it forgot us, and whatever it was doing. The
 * destination is locked: should it die again, it is not waited for.
 */
static ssize_t offloadfs_rpc_start_anew(struct offloadfs_rpc_copy *c)
{
	int err;

	c->req->touched = true;
	err = offloadfs_rpc_hello(c->mount, RPC_TASK_SOFT);
	if (!err && c->src_mount != c->mount)
		err = offloadfs_rpc_hello(c->src_mount, RPC_TASK_SOFT);
	if (!err)
		return -EAGAIN;
	if (fatal_signal_pending(current))
		return -EINTR;
	return offloadfs_rpc_decline(c->req, OFFLOADFS_DOWN);
}

/* There is no connection, and nothing was begun. */
static ssize_t offloadfs_rpc_unsent(struct offloadfs_rpc_copy *c)
{
	if (fatal_signal_pending(current))
		return -EINTR;
	offloadfs_rpc_set_down(c->mount->server);
	return offloadfs_rpc_decline(c->req, OFFLOADFS_DOWN);
}

/* There was no reply: the copy's fate is not known. */
static ssize_t offloadfs_rpc_unanswered(struct offloadfs_rpc_copy *c, int err)
{
	struct offloadfs_copy_request *req = c->req;

	req->touched = true;
	req->unsettled = true;
	if (err == -ETIMEDOUT || err == -EIO)
		offloadfs_rpc_drop_connection(c->mount->server);
	offloadfs_rpc_add_unsettled(c->unsettled, file_inode(req->dst),
				    &c->args);
	c->unsettled = NULL;
	return fatal_signal_pending(current) ? -EINTR : -EIO;
}

static ssize_t offloadfs_rpc_copied(struct offloadfs_rpc_copy *c)
{
	const struct copyfile_copy_res *res = &c->res;
	u64 fileid = c->args.dst.fileid;
	struct offloadfs_copy_request *req = c->req;

	if (!res->count || res->count > c->args.count ||
	    res->size < c->args.dst_offset + res->count ||
	    (fileid && res->fileid != fileid) ||
	    (!c->record && !res->stable)) {
		pr_warn_ratelimited("server %s: a reply to COPY that cannot be true\n",
				    c->mount->server_name);
		req->touched = true;
		req->unknown = true;
		return -EIO;
	}
	if (!res->stable)
		offloadfs_rpc_note(c->mount, c->record, c->args.dst_offset,
				   res);
	req->has_attr = true;
	req->attr_size = res->size;
	req->attr_ctime = res->ctime;
	return res->count;
}

/* Bytes; -EAGAIN to try again; the errno of a refusal or an error. */
static ssize_t offloadfs_rpc_result(struct offloadfs_rpc_copy *c)
{
	switch (c->res.status) {
	case COPYFILE_OK:
		return offloadfs_rpc_copied(c);
	case COPYFILE_STALE_BOOT:
		return offloadfs_rpc_start_anew(c);
	case COPYFILE_CANCELLED:
		c->req->touched = true;
		return -EAGAIN;
	case COPYFILE_STALE:
	case COPYFILE_INVAL:
	case COPYFILE_NOENT:
		return c->fresh ? offloadfs_rpc_decline(c->req, OFFLOADFS_STALE) :
				  -EAGAIN;
	case COPYFILE_BUSY:
		return offloadfs_rpc_decline(c->req, OFFLOADFS_BUSY);
	case COPYFILE_PERM:
	case COPYFILE_ACCES:
	case COPYFILE_ROFS:
	case COPYFILE_NOEXPORT:
		return offloadfs_rpc_decline(c->req, OFFLOADFS_DENIED);
	case COPYFILE_IO:
		return -EIO;
	case COPYFILE_FBIG:
		return -EFBIG;
	case COPYFILE_NOSPC:
		return -ENOSPC;
	case COPYFILE_DQUOT:
		return -EDQUOT;
	default:
		return offloadfs_rpc_decline(c->req, OFFLOADFS_UNSUPPORTED);
	}
}

/*
 * Is the file likely to be closed next, and has the close to make it durable,
 * as on NFS? Then let the copy do that, and save the COMMIT.
 */
static bool offloadfs_rpc_closes_soon(const struct offloadfs_copy_request *req)
{
	if (file_inode(req->dst)->i_sb->s_magic != NFS_SUPER_MAGIC)
		return false;
	return req->op == OFFLOADFS_CLONE ||
	       (req->whole_file && req->len <= OFFLOADFS_RPC_SMALL);
}

static u32 offloadfs_rpc_copy_flags(const struct offloadfs_rpc_copy *c)
{
	u32 flags = 0;

	if (c->req->op == OFFLOADFS_CLONE)
		flags |= COPYFILE_CLONE_ONLY;
	if (c->req->sparse)
		flags |= COPYFILE_SPARSE;
	if (!c->record || c->req->dst->f_flags & O_DSYNC ||
	    offloadfs_rpc_closes_soon(c->req))
		flags |= COPYFILE_STABLE;
	return flags;
}

static ssize_t offloadfs_rpc_step(struct offloadfs_rpc_copy *c)
{
	struct offloadfs_rpc_server *server = c->mount->server;
	struct offloadfs_copy_request *req = c->req;
	struct copyfile_copy_args *args = &c->args;
	copyfile_verifier src_boot;
	bool sent = false;
	int err;

	args->src_offset = req->src_pos;
	args->dst_offset = req->dst_pos;
	if (args->src.size <= args->src_offset)
		return offloadfs_rpc_decline(req, OFFLOADFS_STALE);
	args->count = min3((u64)req->len,
			   args->src.size - args->src_offset,
			   READ_ONCE(c->mount->max_count));
	if (req->op == OFFLOADFS_CLONE && args->count < req->len)
		return c->fresh ? offloadfs_rpc_decline(req, OFFLOADFS_STALE) :
				  -EAGAIN;
	args->flags = offloadfs_rpc_copy_flags(c);
	args->id.client = server->client;
	args->id.serial = atomic64_inc_return(&server->serial);
	offloadfs_rpc_get_boot(c->mount, args->boot);
	offloadfs_rpc_get_boot(c->src_mount, src_boot);
	if (memcmp(src_boot, args->boot, sizeof(src_boot)))
		return offloadfs_rpc_start_anew(c);

	/* On a hard mount, too: the destination is locked. */
	err = offloadfs_rpc_call(c->mount, COPYFILE_COPY, args, &c->res,
				 current_cred(),
				 RPC_TASK_SOFT | RPC_TASK_SOFTCONN, &sent);
	if (!err)
		return offloadfs_rpc_result(c);
	return sent ? offloadfs_rpc_unanswered(c, err) : offloadfs_rpc_unsent(c);
}

static enum offloadfs_reason
offloadfs_rpc_objection(const struct offloadfs_rpc_mount *mount,
			const struct offloadfs_copy_request *req)
{
	const struct offloadfs_rpc_mount *src_mount = req->src_priv;

	if (req->op == OFFLOADFS_DEDUPE)
		return OFFLOADFS_UNSUPPORTED;
	if (src_mount->server != mount->server)
		return OFFLOADFS_CROSS_MOUNT;
	if (READ_ONCE(mount->caps) & COPYFILE_CAP_RDONLY)
		return OFFLOADFS_DENIED;
	if (req->op == OFFLOADFS_CLONE &&
	    !(READ_ONCE(mount->caps) & COPYFILE_CAP_CLONE))
		return OFFLOADFS_UNSUPPORTED;
	if (d_unlinked(req->src->f_path.dentry) ||
	    d_unlinked(req->dst->f_path.dentry))
		return OFFLOADFS_UNLINKED;
	if (offloadfs_rpc_has_too_many(mount))
		return OFFLOADFS_BUSY;
	if (offloadfs_rpc_is_down(mount->server))
		return OFFLOADFS_DOWN;
	return OFFLOADFS_ACCEPT;
}

/**
 * offloadfs_rpc_decide - ->decide of the backend: what speaks against it
 * @priv: mount of the destination
 * @req: what to copy
 *
 * Return: OFFLOADFS_ACCEPT or the reason.
 */
enum offloadfs_reason
offloadfs_rpc_decide(void *priv, const struct offloadfs_copy_request *req)
{
	return offloadfs_rpc_objection(priv, req);
}

static ssize_t offloadfs_rpc_try(struct offloadfs_rpc_copy *c)
{
	enum offloadfs_reason reason;
	unsigned int tries = 0;
	ssize_t ret;

	reason = offloadfs_rpc_objection(c->mount, c->req);
	if (reason)
		return offloadfs_rpc_decline(c->req, reason);
	if (!offloadfs_rpc_answers(c->mount->server, false))
		return offloadfs_rpc_unsent(c);
	ret = offloadfs_rpc_describe_both(c, false);
	while (!ret) {
		ret = offloadfs_rpc_step(c);
		if (ret == -EAGAIN && ++tries <= OFFLOADFS_RPC_MAX_TRIES)
			ret = offloadfs_rpc_describe_both(c, true);
	}
	switch (ret) {
	case -ENOENT:
	case -ENAMETOOLONG:
		return offloadfs_rpc_decline(c->req, OFFLOADFS_UNLINKED);
	case -ESTALE:
		return offloadfs_rpc_decline(c->req, OFFLOADFS_STALE);
	case -EAGAIN:
		return offloadfs_rpc_decline(c->req, OFFLOADFS_BUSY);
	}
	return ret;
}

static void offloadfs_rpc_free_copy(struct offloadfs_rpc_copy *c)
{
	if (c->src_buf)
		__putname(c->src_buf);
	if (c->dst_buf)
		__putname(c->dst_buf);
	kfree(c->unsettled);
	kfree(c);
}

static struct offloadfs_rpc_copy *
offloadfs_rpc_new_copy(struct offloadfs_rpc_mount *mount,
		       struct offloadfs_copy_request *req)
{
	struct offloadfs_rpc_copy *c = kzalloc(sizeof(*c), GFP_KERNEL);

	if (!c)
		return NULL;
	c->mount = mount;
	c->src_mount = req->src_priv;
	c->req = req;
	c->src_buf = __getname();
	c->dst_buf = __getname();
	c->unsettled = offloadfs_rpc_new_unsettled(mount);
	if (c->src_buf && c->dst_buf && c->unsettled)
		return c;
	offloadfs_rpc_free_copy(c);
	return NULL;
}

/**
 * offloadfs_rpc_copy - ->copy of the backend
 * @priv: mount of the destination
 * @req: what to copy
 *
 * Context: process context, waits for the server; the destination may be
 * locked.
 * Return: as struct offloadfs_backend_ops has it. -EIO if the server did not
 * answer, or not truthfully, and the destination's contents are unknown; -EINTR
 * if the task was killed. Of a copy that was not answered the core is told.
 */
ssize_t offloadfs_rpc_copy(void *priv, struct offloadfs_copy_request *req)
{
	struct offloadfs_rpc_mount *mount = priv;
	struct offloadfs_rpc_copy *c = offloadfs_rpc_new_copy(mount, req);
	ssize_t ret;

	if (!c)
		return -ENOMEM;
	c->record = offloadfs_rpc_get_record(mount, req->dst);
	ret = offloadfs_rpc_try(c);
	if (c->record)
		offloadfs_rpc_put_record(c->record);
	offloadfs_rpc_free_copy(c);
	return ret;
}
