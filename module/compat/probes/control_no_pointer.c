// SPDX-License-Identifier: GPL-2.0-only
/* Is a function of another type let through? The answer must be no. */
#include <linux/fs.h>

int (*probe)(struct dentry *file, loff_t start, loff_t end, int datasync) =
	vfs_fsync_range;
