// SPDX-License-Identifier: GPL-2.0-only
/* Does vfs_create() do without the directory? (7.0) */
#include <linux/fs.h>

int probe(struct mnt_idmap *idmap, struct dentry *dentry)
{
	return vfs_create(idmap, dentry, 0, NULL);
}
