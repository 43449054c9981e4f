// SPDX-License-Identifier: GPL-2.0-only
/* Does netfs know a zero_point, which an inode may use or not? (6.8) */
#include <linux/fs.h>
#include <linux/netfs.h>

void (*probe)(struct netfs_inode *, const struct netfs_request_ops *, bool) =
	netfs_inode_init;
