// SPDX-License-Identifier: GPL-2.0-only
/* Does freeze_super() know who holds what it freezes? (6.6) */
#include <linux/fs.h>

enum freeze_holder probe(void)
{
	return FREEZE_HOLDER_USERSPACE;
}
