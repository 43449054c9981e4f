// SPDX-License-Identifier: GPL-2.0-only
/* Is struct fileattr called file_kattr? (6.17) */
#include <linux/fs.h>
#include <linux/fileattr.h>

int (*probe)(struct dentry *dentry, struct file_kattr *fa) = vfs_fileattr_get;
