// SPDX-License-Identifier: GPL-2.0-only
/* Does a mount map owners by a type of its own, not a user name space? (6.3) */
#include <linux/fs.h>
#include <linux/mount.h>

int (*probe)(struct mnt_idmap *idmap, struct inode *inode, int mask) =
	inode_permission;
