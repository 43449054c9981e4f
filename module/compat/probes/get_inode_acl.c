// SPDX-License-Identifier: GPL-2.0-only
/* Are ACLs set and got by dentry, and ->get_inode_acl an operation? (6.2) */
#include <linux/fs.h>

struct posix_acl *probe_get_inode_acl(struct inode *inode, int type, bool rcu);

struct inode_operations probe = {
	.get_inode_acl = probe_get_inode_acl,
};
