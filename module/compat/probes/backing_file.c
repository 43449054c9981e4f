// SPDX-License-Identifier: GPL-2.0-only
/* Are there helpers for the files of a stacked file system? (6.8) */
#include <linux/backing-file.h>

ssize_t (*probe)(struct file *file, struct iov_iter *iter, struct kiocb *iocb,
		 int flags, struct backing_file_ctx *ctx) =
	backing_file_read_iter;
