// SPDX-License-Identifier: GPL-2.0-only
/* Is there d_mark_tmpfile()? (6.6) */
#include <linux/fs.h>
#include <linux/dcache.h>

void (*probe)(struct file *file, struct inode *inode) = d_mark_tmpfile;
