// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - the "native" backend: the lower file system's own clone, or its
 * own copy operation where it has one.
 *
 * A clone is tried first: it costs the same for any size. What it cannot take
 * (a file system without shared extents, ranges off its block boundaries)
 * goes to the copy operation, and without one the request is declined.
 */
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/nfs_fs.h>
#include <linux/pipe_fs_i.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include "../offloadfs.h"

/*
 * A clone on XFS takes as many instructions as the copy of 15 cached pages. The
 * lower's own copy_file_range(2) makes one at any length, its sendfile(2) never.
 */
#define OFFLOADFS_NATIVE_SENDFILE_MIN	SZ_16K

static bool offloadfs_native_is_nfs(const struct inode *inode)
{
	return IS_ENABLED(CONFIG_NFS_FS) &&
	       inode->i_sb->s_magic == NFS_SUPER_MAGIC;
}

/*
 * Does the lower copy without moving the bytes through this machine? NFS has
 * the operation in its table for every minor version of v4 and falls back to
 * READ and WRITE inside it, and overlayfs to whatever is beneath: that must not
 * pass for an offload.
 */
static bool offloadfs_native_has_copy(const struct file *src,
				      const struct file *dst)
{
	struct inode *inode = file_inode(dst);

	if (!dst->f_op->copy_file_range ||
	    inode->i_sb->s_magic == OVERLAYFS_SUPER_MAGIC)
		return false;
	if (!offloadfs_native_is_nfs(inode))
		return true;
	return nfs_server_capable(inode, NFS_CAP_COPY) &&
	       inode != file_inode(src);
}

/*
 * SMB drops the destination's pages, written or not, and extends the file,
 * before it finds out that there is no clone: a copy that then fails would
 * leave neither the old bytes nor the new ones. Its own copy operation needs
 * no help, and a server that can clone does so in it.
 */
static bool offloadfs_native_is_smb(const struct inode *inode)
{
	return inode->i_sb->s_magic == CIFS_SUPER_MAGIC ||
	       inode->i_sb->s_magic == SMB2_SUPER_MAGIC;
}

/* On NFS, asking in vain would cost a flush of both files each time. */
static bool offloadfs_native_has_clone(const struct file *src)
{
	struct inode *inode = file_inode(src);

	if (!src->f_op->remap_file_range)
		return false;
	return !offloadfs_native_is_nfs(inode) ||
	       nfs_server_capable(inode, NFS_CAP_CLONE);
}

static enum offloadfs_reason
offloadfs_native_decide(void *priv, const struct offloadfs_copy_request *req)
{
	if (file_inode(req->src)->i_sb != file_inode(req->dst)->i_sb)
		return OFFLOADFS_CROSS_MOUNT;
	if (offloadfs_native_has_clone(req->src))
		return OFFLOADFS_ACCEPT;
	if (req->op == OFFLOADFS_COPY && offloadfs_native_has_copy(req->src, req->dst))
		return OFFLOADFS_ACCEPT;
	return OFFLOADFS_UNSUPPORTED;
}

/* These end the copy; after any other error another way is worth a try. */
static bool offloadfs_native_final(ssize_t err)
{
	return err == -EIO || err == -EINTR || err == -ERESTARTSYS ||
	       err == -ESTALE;
}

/*
 * FUSE, SMB and others splice where their server cannot copy, and tell nobody.
 * That loop runs over the task's own pipe, and leaves its head and tail at
 * zero: when they are somewhere else afterwards, the server has copied.
 */
static ssize_t offloadfs_native_copy_range(struct offloadfs_copy_request *req)
{
	struct pipe_inode_info *pipe = current->splice_pipe;
	unsigned int before = 0;
	ssize_t ret;

	if (pipe) {
		before = pipe->head;
		pipe->head = 1;
		pipe->tail = 1;
	}
	ret = vfs_copy_file_range(req->src, req->src_pos, req->dst,
				  req->dst_pos, req->len, 0);
	if (!pipe) {
		req->passed_here = current->splice_pipe;
	} else if (pipe->head) {
		pipe->head = before;
		pipe->tail = before;
	} else {
		req->passed_here = true;
	}
	return ret;
}

static ssize_t offloadfs_native_copy_bytes(struct offloadfs_copy_request *req)
{
	ssize_t ret = -EOPNOTSUPP;

	if (offloadfs_native_has_clone(req->src) &&
	    !offloadfs_native_is_smb(file_inode(req->src))) {
		ret = vfs_clone_file_range(req->src, req->src_pos, req->dst,
					   req->dst_pos, req->len,
					   REMAP_FILE_CAN_SHORTEN);
		if (ret > 0 || offloadfs_native_final(ret))
			return ret;
	}
	if (!ret || ret == -EINVAL)
		req->reason = OFFLOADFS_UNALIGNED;
	if (!offloadfs_native_has_copy(req->src, req->dst))
		return -EOPNOTSUPP;

	ret = offloadfs_native_copy_range(req);
	if (ret > 0 || offloadfs_native_final(ret))
		return ret;
	req->reason = OFFLOADFS_UNSUPPORTED;
	return -EOPNOTSUPP;
}

static ssize_t offloadfs_native_copy(void *priv,
				     struct offloadfs_copy_request *req)
{
	unsigned int flags = req->can_shorten ? REMAP_FILE_CAN_SHORTEN : 0;

	switch (req->op) {
	case OFFLOADFS_CLONE:
		return vfs_clone_file_range(req->src, req->src_pos, req->dst,
					    req->dst_pos, req->len, flags);
	case OFFLOADFS_DEDUPE:
		return vfs_dedupe_file_range_one(req->src, req->src_pos,
						 req->dst, req->dst_pos,
						 req->len, flags);
	case OFFLOADFS_COPY:
		return offloadfs_native_copy_bytes(req);
	}
	return -EOPNOTSUPP;
}

const struct offloadfs_backend_ops offloadfs_native_backend = {
	.name	= "native",
	.owner	= THIS_MODULE,
	.flags	= OFFLOADFS_BACKEND_CROSS_MOUNT,
	.sendfile_min = OFFLOADFS_NATIVE_SENDFILE_MIN,
	.decide	= offloadfs_native_decide,
	.copy	= offloadfs_native_copy,
};
