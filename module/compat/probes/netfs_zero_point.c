// SPDX-License-Identifier: GPL-2.0-only
/* Is there netfs_write_zero_point()? (7.1) */
#include <linux/fs.h>
#include <linux/netfs.h>

void (*probe)(struct inode *, unsigned long long) = netfs_write_zero_point;
