// SPDX-License-Identifier: GPL-2.0-only
/* Is generic_delete_inode() called inode_just_drop()? (6.18) */
#include <linux/fs.h>

struct super_operations probe = {
	.drop_inode = inode_just_drop,
};
