// SPDX-License-Identifier: GPL-2.0-only
/* Does ->d_revalidate get the directory and the name? (6.14) */
#include <linux/dcache.h>

int probe_revalidate(struct inode *dir, const struct qstr *name,
		     struct dentry *dentry, unsigned int flags);

struct dentry_operations probe = {
	.d_revalidate = probe_revalidate,
};
