/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _OFFLOADFS_COMPAT_LINUX_POSIX_ACL_XATTR_H
#define _OFFLOADFS_COMPAT_LINUX_POSIX_ACL_XATTR_H

#include_next <linux/posix_acl_xattr.h>

/* 6.2 */
#ifndef COMPAT_HAVE_GET_INODE_ACL
static inline const char *posix_acl_xattr_name(int type)
{
	return type == ACL_TYPE_DEFAULT ? XATTR_NAME_POSIX_ACL_DEFAULT :
					  XATTR_NAME_POSIX_ACL_ACCESS;
}
#endif

#endif /* _OFFLOADFS_COMPAT_LINUX_POSIX_ACL_XATTR_H */
