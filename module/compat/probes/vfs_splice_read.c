// SPDX-License-Identifier: GPL-2.0-only
/* Is there vfs_splice_read()? (6.5) */
#include <linux/fs.h>
#include <linux/splice.h>

long probe(struct file *in, loff_t *pos, struct pipe_inode_info *pipe)
{
	return vfs_splice_read(in, pos, pipe, 1, 0);
}
