// SPDX-License-Identifier: GPL-2.0-only
/* Do vfs_mkdir(), vfs_mknod(), vfs_symlink() and vfs_rmdir() take a delegation? (6.19) */
#include <linux/fs.h>

int (*probe)(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
	     struct delegated_inode *delegated) = vfs_rmdir;
