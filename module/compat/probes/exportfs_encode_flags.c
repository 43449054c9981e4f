// SPDX-License-Identifier: GPL-2.0-only
/* Does exportfs_encode_inode_fh() take flags? (6.5) */
#include <linux/fs.h>
#include <linux/exportfs.h>

int (*probe)(struct inode *inode, struct fid *fid, int *max_len,
	     struct inode *parent, int flags) = exportfs_encode_inode_fh;
