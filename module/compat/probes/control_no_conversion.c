// SPDX-License-Identifier: GPL-2.0-only
/* Is a pointer for an integer let through? The answer must be no. */
#include <linux/fs.h>

int probe(struct file *file)
{
	return file;
}
