// SPDX-License-Identifier: GPL-2.0-only
/* Does struct renamedata have the parents' dentries and one idmap? (6.18) */
#include <linux/fs.h>

struct dentry *probe(struct renamedata *rd, struct mnt_idmap *idmap)
{
	rd->mnt_idmap = idmap;
	return rd->old_parent;
}
