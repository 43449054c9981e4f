// SPDX-License-Identifier: GPL-2.0-only
/* Does freeze_super() know on whose behalf it freezes? (6.16) */
#include <linux/fs.h>

int (*probe)(struct super_block *sb, enum freeze_holder who,
	     const void *owner) = freeze_super;
