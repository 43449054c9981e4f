// SPDX-License-Identifier: GPL-2.0-only
/* Does ->setlease take the kind of lease as an int? (6.6) */
#include <linux/fs.h>

int *probe(struct file_operations *ops)
{
	return _Generic(ops->setlease,
			int (*)(struct file *, long, struct file_lock **,
				void **): 1,
			default: NULL);
}
