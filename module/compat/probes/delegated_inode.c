// SPDX-License-Identifier: GPL-2.0-only
/* Does vfs_unlink() take a struct delegated_inode? (6.19) */
#include <linux/fs.h>

int (*probe)(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry,
	     struct delegated_inode *delegated) = vfs_unlink;
