/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _OFFLOADFS_COMPAT_LINUX_EXPORTFS_H
#define _OFFLOADFS_COMPAT_LINUX_EXPORTFS_H

#include_next <linux/exportfs.h>

/* 6.5: flags, of which we have none. */
#ifndef COMPAT_HAVE_EXPORTFS_ENCODE_FLAGS
static inline int compat_exportfs_encode_inode_fh(struct inode *inode,
						  struct fid *fid, int *max_len,
						  struct inode *parent,
						  int flags)
{
	return exportfs_encode_inode_fh(inode, fid, max_len, parent);
}

#define exportfs_encode_inode_fh	compat_exportfs_encode_inode_fh
#endif

#endif /* _OFFLOADFS_COMPAT_LINUX_EXPORTFS_H */
