/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * <linux/backing-file.h> of 6.17: the operations get the caller's kiocb, so
 * that the context need not repeat the file. See compat/backing-file.c.
 */
#ifndef _OFFLOADFS_COMPAT_LINUX_BACKING_FILE_H
#define _OFFLOADFS_COMPAT_LINUX_BACKING_FILE_H

#ifdef COMPAT_HAVE_BACKING_FILE
#include_next <linux/backing-file.h>
#endif

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/uio.h>

#ifndef COMPAT_HAVE_BACKING_FILE_KIOCB
struct compat_backing_file_ctx {
	const struct cred *cred;
	void (*end_write)(struct kiocb *iocb, ssize_t ret);
};

#define backing_file_ctx	compat_backing_file_ctx
#define backing_file_open	compat_backing_file_open
#define backing_tmpfile_open	compat_backing_tmpfile_open
#define backing_file_read_iter	compat_backing_file_read_iter
#define backing_file_write_iter	compat_backing_file_write_iter
#define backing_file_mmap	compat_backing_file_mmap

struct file *backing_file_open(const struct file *user_file, int flags,
			       const struct path *real_path,
			       const struct cred *cred);
struct file *backing_tmpfile_open(const struct file *user_file, int flags,
				  const struct path *real_parentpath,
				  umode_t mode, const struct cred *cred);
ssize_t backing_file_read_iter(struct file *file, struct iov_iter *iter,
			       struct kiocb *iocb, int flags,
			       struct backing_file_ctx *ctx);
ssize_t backing_file_write_iter(struct file *file, struct iov_iter *iter,
				struct kiocb *iocb, int flags,
				struct backing_file_ctx *ctx);
int backing_file_mmap(struct file *file, struct vm_area_struct *vma,
		      struct backing_file_ctx *ctx);
#endif

#endif /* _OFFLOADFS_COMPAT_LINUX_BACKING_FILE_H */
