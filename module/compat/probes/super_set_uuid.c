// SPDX-License-Identifier: GPL-2.0-only
/* Is there super_set_uuid()? (6.9) */
#include <linux/fs.h>

void (*probe)(struct super_block *sb, const u8 *uuid, unsigned int len) =
	super_set_uuid;
