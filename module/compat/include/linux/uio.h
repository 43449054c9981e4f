/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * <linux/uio.h>: where the current part of a user's vector is. Before 6.4 one
 * function returns both, and not for a plain buffer.
 */
#ifndef _OFFLOADFS_COMPAT_LINUX_UIO_H
#define _OFFLOADFS_COMPAT_LINUX_UIO_H

#include_next <linux/uio.h>

#ifndef iter_iov_addr
static inline void __user *offloadfs_iter_addr(const struct iov_iter *iter)
{
	if (iter_is_ubuf(iter))
		return iter->ubuf + iter->iov_offset;
	return iter->iov->iov_base + iter->iov_offset;
}

static inline size_t offloadfs_iter_len(const struct iov_iter *iter)
{
	if (iter_is_ubuf(iter))
		return iter->count;
	return min(iter->iov->iov_len - iter->iov_offset, iter->count);
}

#define iter_iov_addr(iter)	offloadfs_iter_addr(iter)
#define iter_iov_len(iter)	offloadfs_iter_len(iter)
#endif

#endif
