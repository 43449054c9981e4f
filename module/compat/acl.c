// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - the ACL functions of 6.2 on kernels where ACLs are extended
 * attributes like others.
 *
 * Programs' requests come through the xattr handler there. What is left for
 * the inode operations are other parts of the kernel, like nfsd, and those
 * want them by inode.
 */
#include <linux/fs.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/slab.h>
#include <linux/xattr.h>
#include "../offloadfs.h"

/**
 * vfs_get_acl - read an ACL, with all checks that a program's request meets
 * @idmap: of the mount
 * @dentry: whose
 * @name: attribute that holds it
 *
 * The ids are the file system's: as with the newest kernel's, it is for the
 * caller to map them.
 *
 * Return: the ACL, or an ERR_PTR(), -ENODATA without one.
 */
struct posix_acl *vfs_get_acl(struct mnt_idmap *idmap, struct dentry *dentry,
			      const char *name)
{
	struct mnt_idmap *no_idmap = i_user_ns(d_inode(dentry));
	struct posix_acl *acl;
	ssize_t size;
	void *value;

	size = vfs_getxattr(no_idmap, dentry, name, NULL, 0);
	if (size <= 0)
		return ERR_PTR(size ?: -ENODATA);
	value = kmalloc(size, GFP_KERNEL);
	if (!value)
		return ERR_PTR(-ENOMEM);
	size = vfs_getxattr(no_idmap, dentry, name, value, size);
	acl = size > 0 ? posix_acl_from_xattr(&init_user_ns, value, size) :
			 ERR_PTR(size);
	kfree(value);
	return acl ?: ERR_PTR(-ENODATA);
}

/**
 * vfs_set_acl - set an ACL, with all checks that a program's request meets
 * @idmap: of the mount
 * @dentry: whose
 * @name: attribute that holds it
 * @acl: the ACL
 *
 * Context: locks the inode.
 * Return: 0 or a negative errno.
 */
int vfs_set_acl(struct mnt_idmap *idmap, struct dentry *dentry,
		const char *name, struct posix_acl *acl)
{
	size_t size = posix_acl_xattr_size(acl->a_count);
	void *value = kmalloc(size, GFP_KERNEL);
	int err;

	if (!value)
		return -ENOMEM;
	err = posix_acl_to_xattr(&init_user_ns, acl, value, size);
	if (err >= 0)
		err = vfs_setxattr(idmap, dentry, name, value, size, 0);
	kfree(value);
	return err;
}

/* ->get_acl. Never for a permission check, which the lower makes. */
struct posix_acl *(offloadfs_get_acl)(struct inode *inode, int type, bool rcu)
{
	struct posix_acl *acl;
	struct dentry *dentry;

	if (rcu)
		return ERR_PTR(-ECHILD);
	dentry = d_find_any_alias(inode);
	if (!dentry)
		return ERR_PTR(-ESTALE);
	acl = offloadfs_get_acl(&init_user_ns, dentry, type);
	dput(dentry);
	return acl;
}

/* ->set_acl, with the inode locked. */
int (offloadfs_set_acl)(struct mnt_idmap *idmap, struct inode *inode,
			struct posix_acl *acl, int type)
{
	struct dentry *dentry = d_find_any_alias(inode);
	int err;

	if (!dentry)
		return -ESTALE;
	err = offloadfs_set_acl(idmap, dentry, acl, type);
	dput(dentry);
	return err;
}
