// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - extended attributes and ACLs: all are the lower's.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/mnt_idmapping.h>
#include <linux/mount.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <linux/xattr.h>
#include "offloadfs.h"

/* File capabilities of either format, as those that name their owner. */
static int offloadfs_parse_caps(const struct vfs_ns_cap_data *from, size_t size,
				struct vfs_ns_cap_data *caps, uid_t *root)
{
	u32 magic;

	if (size < sizeof(from->magic_etc))
		return -EINVAL;
	magic = le32_to_cpu(from->magic_etc);
	switch (magic & VFS_CAP_REVISION_MASK) {
	case VFS_CAP_REVISION_2:
		if (size != XATTR_CAPS_SZ_2)
			return -EINVAL;
		*root = 0;
		break;
	case VFS_CAP_REVISION_3:
		if (size != XATTR_CAPS_SZ_3)
			return -EINVAL;
		*root = le32_to_cpu(from->rootid);
		break;
	default:
		return -EINVAL;
	}
	magic = VFS_CAP_REVISION_3 | (magic & VFS_CAP_FLAGS_EFFECTIVE);
	caps->magic_etc = cpu_to_le32(magic);
	memcpy(caps->data, from->data, sizeof(caps->data));
	return 0;
}

/*
 * The lower's file capabilities with their owner as the lower's map shows it,
 * in the upper's user namespace. An owner that the map does not have is given
 * as the invalid id, which is nobody's.
 */
static int offloadfs_get_mapped_caps(struct mnt_idmap *idmap,
				     struct dentry *lower, void *value,
				     size_t size)
{
	struct user_namespace *fs_ns = i_user_ns(d_inode(lower));
	struct vfs_ns_cap_data raw, caps;
	vfsuid_t owner;
	uid_t root;
	int ret;

	ret = __vfs_getxattr(lower, d_inode(lower), XATTR_NAME_CAPS, &raw,
			     sizeof(raw));
	if (ret < 0)
		return ret;
	ret = offloadfs_parse_caps(&raw, ret, &caps, &root);
	if (ret)
		return ret;
	owner = make_vfsuid(idmap, fs_ns, make_kuid(fs_ns, root));
	root = from_kuid(&init_user_ns, vfsuid_into_kuid(owner));
	caps.rootid = cpu_to_le32(root);
	if (!size)
		return sizeof(caps);
	if (size < sizeof(caps))
		return -ERANGE;
	memcpy(value, &caps, sizeof(caps));
	return sizeof(caps);
}

/* The other way round: what to store in the lower. */
static int offloadfs_unmap_caps(struct mnt_idmap *idmap,
				const struct inode *lower, const void *value,
				size_t size, struct vfs_ns_cap_data *caps)
{
	struct user_namespace *fs_ns = i_user_ns(lower);
	uid_t root;
	kuid_t owner;
	int err;

	err = offloadfs_parse_caps(value, size, caps, &root);
	if (err)
		return err;
	owner = make_kuid(&init_user_ns, root);
	owner = from_vfsuid(idmap, fs_ns, VFSUIDT_INIT(owner));
	if (!uid_valid(owner))
		return -EINVAL;
	root = from_kuid(fs_ns, owner);
	if (root == (uid_t)-1)
		return -EINVAL;
	caps->rootid = cpu_to_le32(root);
	return 0;
}

/*
 * As they are stored: the VFS translates their owner for who asks. They do
 * nothing on a nosuid lower: exec(2) finds none here.
 */
static int offloadfs_get_caps(struct dentry *dentry, void *value, size_t size)
{
	struct dentry *lower = offloadfs_lower_dentry(dentry);
	struct vfsmount *mnt = offloadfs_lower_mnt(dentry->d_sb);

	if (offloadfs_sb(dentry->d_sb)->nosuid && current->in_execve)
		return -ENODATA;
	if (is_idmapped_mnt(mnt))
		return offloadfs_get_mapped_caps(mnt_idmap(mnt), lower, value,
						 size);
	return __vfs_getxattr(lower, d_inode(lower), XATTR_NAME_CAPS, value,
			      size);
}

static int offloadfs_xattr_get(const struct xattr_handler *handler,
			       struct dentry *dentry, struct inode *inode,
			       const char *name, void *value, size_t size)
{
	if (!strcmp(name, XATTR_NAME_CAPS))
		return offloadfs_get_caps(dentry, value, size);
	return vfs_getxattr(offloadfs_lower_idmap(dentry->d_sb),
			    offloadfs_lower_dentry(dentry), name, value, size);
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
	struct vfsmount *mnt = offloadfs_lower_mnt(dentry->d_sb);
	struct dentry *lower = offloadfs_lower_dentry(dentry);
	struct mnt_idmap *idmap = mnt_idmap(mnt);
	struct vfs_ns_cap_data caps;
	int err;

	if (value && is_idmapped_mnt(mnt)) {
		err = offloadfs_unmap_caps(idmap, d_inode(lower), value, size,
					   &caps);
		if (err)
			return err;
		value = &caps;
		size = sizeof(caps);
	}
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

/* The lower keeps @acl for itself: the ids that its map shows go into a copy. */
static struct posix_acl *offloadfs_map_acl(struct mnt_idmap *idmap,
					   const struct inode *lower,
					   struct posix_acl *acl)
{
	struct user_namespace *fs_ns = i_user_ns(lower);
	struct posix_acl *mapped = posix_acl_clone(acl, GFP_KERNEL);
	struct posix_acl_entry *e;

	posix_acl_release(acl);
	if (!mapped)
		return ERR_PTR(-ENOMEM);
	for (e = mapped->a_entries; e < mapped->a_entries + mapped->a_count; e++)
		if (e->e_tag == ACL_USER)
			e->e_uid = vfsuid_into_kuid(make_vfsuid(idmap, fs_ns,
								e->e_uid));
		else if (e->e_tag == ACL_GROUP)
			e->e_gid = vfsgid_into_kgid(make_vfsgid(idmap, fs_ns,
								e->e_gid));
	return mapped;
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
	struct dentry *lower = offloadfs_lower_dentry(dentry);
	struct vfsmount *mnt = offloadfs_lower_mnt(dentry->d_sb);
	struct posix_acl *acl;

	acl = vfs_get_acl(mnt_idmap(mnt), lower, posix_acl_xattr_name(type));
	if (acl == ERR_PTR(-ENODATA))
		return NULL;
	if (!IS_ERR_OR_NULL(acl) && is_idmapped_mnt(mnt))
		return offloadfs_map_acl(mnt_idmap(mnt), d_inode(lower), acl);
	return acl;
}

/* Who asks keeps the ACL as it was: the lower's ids go into a copy. */
static int offloadfs_change_acl(struct dentry *dentry, struct posix_acl *acl,
				const char *name)
{
	struct mnt_idmap *idmap = offloadfs_lower_idmap(dentry->d_sb);
	struct dentry *lower = offloadfs_lower_dentry(dentry);
	int err;

	if (!acl)
		return vfs_remove_acl(idmap, lower, name);
	acl = posix_acl_clone(acl, GFP_KERNEL);
	if (!acl)
		return -ENOMEM;
	err = vfs_set_acl(idmap, lower, name, acl);
	posix_acl_release(acl);
	return err;
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
