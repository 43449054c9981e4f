// SPDX-License-Identifier: GPL-2.0-only
/* Does vfs_mkdir() return a dentry, and so does ->mkdir? (6.15) */
#include <linux/fs.h>

struct dentry *probe_mkdir(struct mnt_idmap *idmap, struct inode *dir,
			   struct dentry *dentry, umode_t mode);

struct inode_operations probe = {
	.mkdir = probe_mkdir,
};
