// SPDX-License-Identifier: GPL-2.0-only
/* Is there inode_state_read_once()? (6.19) */
#include <linux/fs.h>

unsigned int probe(struct inode *inode)
{
	return inode_state_read_once(inode);
}
