// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - the "local" backend: copies the bytes through this machine, and
 * so ends every chain.
 *
 * Data moves from page cache to page cache through the task's splice pipe,
 * as in the kernel's own generic copy. Holes of the source become holes of the
 * destination: left out beyond its end, punched before it.
 */
#include <linux/blk_types.h>
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fsnotify.h>
#include <linux/magic.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/splice.h>
#include "../offloadfs.h"

/* A fatal signal is looked for after each piece of so many bytes. */
#define OFFLOADFS_LOCAL_CHUNK	SZ_4M

/* Up to here a hole is not worth the look for it. */
#define OFFLOADFS_LOCAL_SMALL	PAGE_SIZE

static ssize_t offloadfs_local_splice(struct offloadfs_copy_request *req,
				      loff_t done, loff_t len)
{
	loff_t src_pos = req->src_pos + done;
	loff_t dst_pos = req->dst_pos + done;
	loff_t copied = 0;
	ssize_t ret = 0;

	while (copied < len) {
		ret = do_splice_direct(req->src, &src_pos, req->dst, &dst_pos,
				       min_t(loff_t, len - copied,
					     OFFLOADFS_LOCAL_CHUNK), 0);
		if (ret <= 0)
			break;
		copied += ret;
		ret = 0;
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		cond_resched();
	}
	return copied ?: ret;
}

/* Make room for a hole: zeroes what the destination has there. */
static ssize_t offloadfs_local_hole(struct offloadfs_copy_request *req,
				    loff_t done, loff_t len)
{
	loff_t pos = req->dst_pos + done;
	loff_t size = i_size_read(file_inode(req->dst));
	int err;

	if (pos >= size)
		return len;
	len = min(len, size - pos);
	err = vfs_fallocate(req->dst,
			    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			    pos, len);
	if (!err)
		return len;
	/* The source reads as zeros there: write them. */
	return offloadfs_local_splice(req, done, len);
}

/*
 * Where the source's next hole or data starts, as an offset into the request;
 * its end if there is none, and @done if the file system cannot tell.
 */
static loff_t offloadfs_local_seek(struct offloadfs_copy_request *req,
				   loff_t done, int whence)
{
	loff_t pos = vfs_llseek(req->src, req->src_pos + done, whence);

	if (pos == -ENXIO)
		return req->len;
	if (pos < req->src_pos + done)
		return done;
	return min(pos - req->src_pos, req->len);
}

/*
 * The end of the file counts, not the length asked for: the file may have
 * shrunk since, and what is beyond its end is no hole.
 */
static ssize_t offloadfs_local_segment(struct offloadfs_copy_request *req,
				       loff_t done)
{
	loff_t next = offloadfs_local_seek(req, done, SEEK_DATA);
	loff_t left;

	if (next > done) {
		left = i_size_read(file_inode(req->src)) - req->src_pos - done;
		if (left <= 0)
			return 0;
		return offloadfs_local_hole(req, done, min(next - done, left));
	}
	next = offloadfs_local_seek(req, done, SEEK_HOLE);
	if (next == done)
		next = req->len;
	return offloadfs_local_splice(req, done, next - done);
}

/*
 * What another user of a network lower has made of the destination's size:
 * holes are punched before its end and left out beyond it.
 */
static int offloadfs_local_refresh(struct file *dst)
{
	struct kstat stat;

	return vfs_getattr_nosec(&dst->f_path, &stat, STATX_SIZE,
				 AT_STATX_FORCE_SYNC);
}

/*
 * A hole at the end of the copy, beyond the destination's old end: nothing
 * was written there, so the size has to say it. Never shrinks the file: the
 * size is looked at under the lock that every change of it takes.
 */
static int offloadfs_local_extend(struct file *dst, loff_t size)
{
	struct inode *inode = file_inode(dst);
	struct iattr attr = {
		.ia_valid = ATTR_SIZE | ATTR_FILE | ATTR_MTIME | ATTR_CTIME,
		.ia_size = size,
		.ia_file = dst,
	};
	int err = 0;

	if (i_size_read(inode) >= size)
		return 0;
	err = offloadfs_local_refresh(dst);
	if (err)
		return err;
	file_start_write(dst);
	inode_lock(inode);
	if (i_size_read(inode) < size)
		err = file_modified(dst) ?:
		      notify_change(file_mnt_idmap(dst), dst->f_path.dentry,
				    &attr, NULL);
	inode_unlock(inode);
	file_end_write(dst);
	return err;
}

/*
 * tmpfs goes through all its pages to find a hole. It counts them as well: of a
 * file with a block for every byte, there is none to be found.
 */
static bool offloadfs_local_lacks_blocks(const struct inode *inode)
{
	return READ_ONCE(inode->i_blocks) < i_size_read(inode) >> SECTOR_SHIFT;
}

/*
 * Has the source holes, and may they be believed in? Those that know their own unwritten
 * pages say so; others (FUSE) have to write them first, and what is stacked on
 * them cannot make them.
 */
static bool offloadfs_local_has_holes(struct offloadfs_copy_request *req)
{
	struct file *src = req->src;

	switch (file_inode(src)->i_sb->s_magic) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
		return true;
	case TMPFS_MAGIC:
		return offloadfs_local_lacks_blocks(file_inode(src));
	}
	if (file_inode(src)->i_sb->s_stack_depth)
		return false;
	return !filemap_write_and_wait_range(src->f_mapping, req->src_pos,
					     req->src_pos + req->len - 1);
}

/* Neither a hole nor a new size was written, so nothing has made them durable. */
static ssize_t offloadfs_local_sync(const struct offloadfs_copy_request *req,
				    ssize_t copied)
{
	unsigned int flags = req->dst->f_flags;
	int err;

	if (!(flags & O_DSYNC) && !IS_SYNC(file_inode(req->dst)))
		return copied;
	err = vfs_fsync_range(req->dst, req->dst_pos, req->dst_pos + copied - 1,
			      !(flags & __O_SYNC));
	return err ?: copied;
}

static ssize_t offloadfs_local_sparse(struct offloadfs_copy_request *req)
{
	loff_t done = 0, size;
	ssize_t ret = 0;
	int err;

	err = offloadfs_local_refresh(req->dst);
	if (err)
		return err;
	while (done < req->len) {
		ret = offloadfs_local_segment(req, done);
		if (ret <= 0)
			break;
		done += ret;
		if (fatal_signal_pending(current))
			break;
	}
	if (!done)
		return ret;
	err = offloadfs_local_extend(req->dst, req->dst_pos + done);
	if (err) {
		size = i_size_read(file_inode(req->dst));
		done = clamp(size - req->dst_pos, 0LL, done);
		ret = err;
	}
	return done > 0 ? offloadfs_local_sync(req, done) : ret;
}

/* What the caller of do_splice_direct() owes: who watches the lower files is asked. */
static int offloadfs_local_verify(const struct offloadfs_copy_request *req)
{
	int err = rw_verify_area(READ, req->src, &req->src_pos, req->len);

	return err ?: rw_verify_area(WRITE, req->dst, &req->dst_pos, req->len);
}

static ssize_t offloadfs_local_copy(void *priv,
				    struct offloadfs_copy_request *req)
{
	ssize_t ret;

	if (req->op != OFFLOADFS_COPY)
		return -EOPNOTSUPP;
	ret = offloadfs_local_verify(req);
	if (ret)
		return ret;
	if (req->sparse && req->len > OFFLOADFS_LOCAL_SMALL &&
	    file_inode(req->src) != file_inode(req->dst) &&
	    offloadfs_local_has_holes(req))
		ret = offloadfs_local_sparse(req);
	else
		ret = offloadfs_local_splice(req, 0, req->len);
	if (ret > 0) {
		fsnotify_access(req->src);
		fsnotify_modify(req->dst);
	}
	return ret;
}

const struct offloadfs_backend_ops offloadfs_local_backend = {
	.name	= "local",
	.owner	= THIS_MODULE,
	.flags	= OFFLOADFS_BACKEND_LOCAL | OFFLOADFS_BACKEND_CROSS_MOUNT,
	.copy	= offloadfs_local_copy,
};
