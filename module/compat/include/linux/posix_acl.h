/* SPDX-License-Identifier: GPL-2.0-only */
/* <linux/posix_acl.h>: by dentry, and not as extended attributes. (6.2) */
#ifndef _OFFLOADFS_COMPAT_LINUX_POSIX_ACL_H
#define _OFFLOADFS_COMPAT_LINUX_POSIX_ACL_H

#include_next <linux/posix_acl.h>
#include <linux/fs.h>

#ifndef COMPAT_HAVE_GET_INODE_ACL
struct posix_acl *vfs_get_acl(struct mnt_idmap *idmap, struct dentry *dentry,
			      const char *name);
int vfs_set_acl(struct mnt_idmap *idmap, struct dentry *dentry,
		const char *name, struct posix_acl *acl);

#define vfs_remove_acl		vfs_removexattr
#endif

#endif /* _OFFLOADFS_COMPAT_LINUX_POSIX_ACL_H */
