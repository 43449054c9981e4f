// SPDX-License-Identifier: GPL-2.0-only
/* Is there start_creating_dentry() with its relatives? (6.19) */
#include <linux/fs.h>
#include <linux/namei.h>

struct dentry *(*probe)(struct dentry *parent, struct dentry *child) =
	start_creating_dentry;

int (*probe_rename)(struct renamedata *rd, struct dentry *old_dentry,
		    struct dentry *new_dentry) = start_renaming_two_dentries;
