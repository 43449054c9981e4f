// SPDX-License-Identifier: GPL-2.0-only
/* Is a function without a declaration let through? The answer must be no. */
#include <linux/fs.h>

int probe(void)
{
	return offloadfs_no_such_function();
}
