// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - extended attributes and ACLs: all are the lower's.
 */
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/xattr.h>
#include "offloadfs.h"

/* File capabilities do nothing on a nosuid lower: exec(2) finds none here. */
static int offloadfs_xattr_get(const struct xattr_handler *handler,
			       struct dentry *dentry, struct inode *inode,
			       const char *name, void *value, size_t size)
{
	struct dentry *lower = offloadfs_lower_dentry(dentry);

	if (strcmp(name, XATTR_NAME_CAPS))
		return vfs_getxattr(offloadfs_lower_idmap(dentry->d_sb), lower,
				    name, value, size);
	if (offloadfs_sb(dentry->d_sb)->nosuid)
		return -ENODATA;
	return __vfs_getxattr(lower, d_inode(lower), name, value, size);
}

/*
 * File capabilities: the VFS has translated their owner for the caller's user
 * namespace already, which may be done once only. They also go when anybody
 * writes to the file, whether he may remove the attribute or not, and the VFS
 * comes here for that as well; it has checked the rights of those who want to
 * remove it by name.
 */
static int offloadfs_change_caps(struct dentry *dentry, const void *value,
				 size_t size, int flags)
{
	struct mnt_idmap *idmap = offloadfs_lower_idmap(dentry->d_sb);
	struct dentry *lower = offloadfs_lower_dentry(dentry);
	int err;

	inode_lock(d_inode(lower));
	if (value)
		err = __vfs_setxattr_locked(idmap, lower, XATTR_NAME_CAPS,
					    value, size, flags, NULL);
	else
		err = __vfs_removexattr(idmap, lower, XATTR_NAME_CAPS);
	inode_unlock(d_inode(lower));
	return err;
}

static int offloadfs_change_xattr(struct dentry *dentry, const char *name,
				  const void *value, size_t size, int flags)
{
	struct mnt_idmap *idmap = offloadfs_lower_idmap(dentry->d_sb);
	struct dentry *lower = offloadfs_lower_dentry(dentry);

	if (!strcmp(name, XATTR_NAME_CAPS))
		return offloadfs_change_caps(dentry, value, size, flags);
	if (value)
		return vfs_setxattr(idmap, lower, name, value, size, flags);
	return vfs_removexattr(idmap, lower, name);
}

static int offloadfs_xattr_set(const struct xattr_handler *handler,
			       struct mnt_idmap *idmap, struct dentry *dentry,
			       struct inode *inode, const char *name,
			       const void *value, size_t size, int flags)
{
	struct vfsmount *mnt = offloadfs_lower_mnt(dentry->d_sb);
	int err;

	err = mnt_want_write(mnt);
	if (err)
		return err;
	err = offloadfs_change_xattr(dentry, name, value, size, flags);
	mnt_drop_write(mnt);
	offloadfs_copy_attr(inode);
	return err;
}

static const struct xattr_handler offloadfs_xattr_handler = {
	.prefix	= "",
	.get	= offloadfs_xattr_get,
	.set	= offloadfs_xattr_set,
};

const struct xattr_handler * const offloadfs_xattr_handlers[] = {
	&offloadfs_xattr_handler,
	NULL
};

/**
 * offloadfs_listxattr - ->listxattr
 * @dentry: upper dentry
 * @list: result, names with their NULs
 * @size: room in @list, or 0 to ask for it
 *
 * Return: length or a negative errno.
 */
ssize_t offloadfs_listxattr(struct dentry *dentry, char *list, size_t size)
{
	return vfs_listxattr(offloadfs_lower_dentry(dentry), list, size);
}

/**
 * offloadfs_get_inode_acl - ->get_inode_acl
 * @inode: upper inode
 * @type: ACL_TYPE_*
 * @rcu: path walk in RCU mode
 *
 * Permission checks go to the lower as a whole: nobody needs an ACL here.
 *
 * Return: NULL.
 */
struct posix_acl *offloadfs_get_inode_acl(struct inode *inode, int type,
					  bool rcu)
{
	return NULL;
}

/**
 * offloadfs_get_acl - ->get_acl
 * @idmap: of the upper mount
 * @dentry: upper dentry
 * @type: ACL_TYPE_*
 *
 * Return: the lower's ACL, NULL without one, or an ERR_PTR().
 */
struct posix_acl *offloadfs_get_acl(struct mnt_idmap *idmap,
				    struct dentry *dentry, int type)
{
	struct posix_acl *acl;

	acl = vfs_get_acl(offloadfs_lower_idmap(dentry->d_sb),
			  offloadfs_lower_dentry(dentry),
			  posix_acl_xattr_name(type));
	return acl == ERR_PTR(-ENODATA) ? NULL : acl;
}

static int offloadfs_change_acl(struct dentry *dentry, struct posix_acl *acl,
				const char *name)
{
	struct mnt_idmap *idmap = offloadfs_lower_idmap(dentry->d_sb);
	struct dentry *lower = offloadfs_lower_dentry(dentry);

	if (acl)
		return vfs_set_acl(idmap, lower, name, acl);
	return vfs_remove_acl(idmap, lower, name);
}

/**
 * offloadfs_set_acl - ->set_acl
 * @idmap: of the upper mount
 * @dentry: upper dentry
 * @acl: new ACL, or NULL to remove it
 * @type: ACL_TYPE_*
 *
 * Context: the upper inode is locked.
 * Return: 0 or a negative errno.
 */
int offloadfs_set_acl(struct mnt_idmap *idmap, struct dentry *dentry,
		      struct posix_acl *acl, int type)
{
	struct vfsmount *mnt = offloadfs_lower_mnt(dentry->d_sb);
	int err;

	err = mnt_want_write(mnt);
	if (err)
		return err;
	err = offloadfs_change_acl(dentry, acl, posix_acl_xattr_name(type));
	mnt_drop_write(mnt);
	offloadfs_copy_attr(d_inode(dentry));
	return err;
}
