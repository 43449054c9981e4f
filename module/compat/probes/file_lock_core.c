// SPDX-License-Identifier: GPL-2.0-only
/* Is the common part of locks and leases a structure of its own? (6.9) */
#include <linux/filelock.h>
#include <linux/fs.h>

struct file *probe(struct file_lock *fl)
{
	return fl->c.flc_file;
}
