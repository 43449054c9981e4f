/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _OFFLOADFS_COMPAT_LINUX_SPLICE_H
#define _OFFLOADFS_COMPAT_LINUX_SPLICE_H

#include_next <linux/splice.h>
#include <linux/fs.h>
#include <linux/pipe_fs_i.h>

/* 6.5. What do_splice_to() of fs/splice.c does. */
#ifndef COMPAT_HAVE_VFS_SPLICE_READ
static inline ssize_t vfs_splice_read(struct file *in, loff_t *ppos,
				      struct pipe_inode_info *pipe, size_t len,
				      unsigned int flags)
{
	size_t space = pipe->max_usage - pipe_occupancy(pipe->head, pipe->tail);
	int err;

	if (!(in->f_mode & FMODE_READ))
		return -EBADF;
	len = min3(len, space << PAGE_SHIFT, (size_t)MAX_RW_COUNT);
	err = rw_verify_area(READ, in, ppos, len);
	if (err < 0)
		return err;
	if (!in->f_op->splice_read)
		return -EINVAL;
	return in->f_op->splice_read(in, ppos, pipe, len, flags);
}
#endif

/* 6.8: do_splice_direct() takes write access to the target by itself. */
#ifndef COMPAT_HAVE_SPLICE_FILE_RANGE
static inline ssize_t compat_do_splice_direct(struct file *in, loff_t *ppos,
					      struct file *out, loff_t *opos,
					      size_t len, unsigned int flags)
{
	ssize_t ret;

	file_start_write(out);
	ret = do_splice_direct(in, ppos, out, opos, len, flags);
	file_end_write(out);
	return ret;
}

#define do_splice_direct	compat_do_splice_direct
#endif

#endif /* _OFFLOADFS_COMPAT_LINUX_SPLICE_H */
