/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * <linux/netfs.h>: where the part of a file begins that is not read but taken
 * for zeros. Before 6.8 there is none, before 7.1 it is a plain member.
 */
#ifndef _OFFLOADFS_COMPAT_LINUX_NETFS_H
#define _OFFLOADFS_COMPAT_LINUX_NETFS_H

#include <linux/fs.h>
#include_next <linux/netfs.h>

#ifndef COMPAT_HAVE_NETFS_ZERO_POINT
#ifdef COMPAT_HAVE_NETFS_USE_ZERO_POINT
static inline void netfs_write_zero_point(struct inode *inode,
					  unsigned long long zero_point)
{
	WRITE_ONCE(netfs_inode(inode)->zero_point, zero_point);
}
#else
static inline void netfs_write_zero_point(struct inode *inode,
					  unsigned long long zero_point)
{
}
#endif
#endif

#endif
