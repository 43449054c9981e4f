// SPDX-License-Identifier: GPL-2.0-only
/* Do the functions that look up a name take a qstr? (6.16) */
#include <linux/fs.h>
#include <linux/namei.h>

struct dentry *(*probe)(struct qstr *name, struct dentry *base) =
	lookup_noperm_unlocked;
