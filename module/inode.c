// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - inodes: one upper inode for each lower one, and attributes.
 *
 * The lower decides who may do what, with the caller's credentials, and has
 * the attributes; the upper inode keeps copies of those that the VFS looks at
 * by itself.
 *
 * Lock order: the upper inode's lock, taken by the VFS, before the lower's.
 */
#include <linux/fs.h>
#include <linux/fiemap.h>
#include <linux/fileattr.h>
#include <linux/filelock.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/posix_acl.h>
#include <linux/xattr.h>
#include "offloadfs.h"

/* Lower flags that the VFS has to see on the upper inode as well. */
#define OFFLOADFS_LOWER_FLAGS \
	(S_SYNC | S_DIRSYNC | S_APPEND | S_IMMUTABLE | S_CASEFOLD)

/* Who removes the file waits for its lock, and others for the directory's. */
#define OFFLOADFS_LOCKED_TIME	(5 * HZ)

/*
 * Times and privileges are the lower's business: it updates them, and drops
 * suid bits and capabilities, when the operation reaches it.
 */
#define OFFLOADFS_OWN_FLAGS	(S_NOATIME | S_NOCMTIME | S_NOSEC)

/*
 * No flag of the super block says nosuid, so the bits that exec(2) acts upon
 * stay away from the upper inode of such a lower; programs see the lower's.
 */
static umode_t offloadfs_upper_mode(const struct inode *inode, umode_t mode)
{
	if (S_ISREG(mode) && offloadfs_sb(inode->i_sb)->nosuid)
		mode &= ~(S_ISUID | S_ISGID);
	return mode;
}

static unsigned int offloadfs_upper_flags(const struct inode *lower)
{
	return (lower->i_flags & OFFLOADFS_LOWER_FLAGS) | OFFLOADFS_OWN_FLAGS;
}

/* In a lower that is not mapped, nobody has to be looked up. */
static bool offloadfs_owner_differs(const struct inode *inode,
				    const struct inode *lower)
{
	const struct vfsmount *mnt = offloadfs_lower_mnt(inode->i_sb);

	if (likely(!is_idmapped_mnt(mnt)))
		return !uid_eq(inode->i_uid, lower->i_uid) ||
		       !gid_eq(inode->i_gid, lower->i_gid);
	return !uid_eq(vfsuid_into_kuid(i_uid_into_vfsuid(mnt_idmap(mnt), lower)),
		       inode->i_uid) ||
	       !gid_eq(vfsgid_into_kgid(i_gid_into_vfsgid(mnt_idmap(mnt), lower)),
		       inode->i_gid);
}

/* What is equal to the lower's is what it was made from. */
static bool offloadfs_mode_differs(const struct inode *inode,
				   const struct inode *lower)
{
	return inode->i_mode != lower->i_mode &&
	       inode->i_mode != offloadfs_upper_mode(inode, lower->i_mode);
}

/**
 * offloadfs_attr_differs - has the lower changed since the attributes were taken?
 * @inode: upper inode
 *
 * Context: any; may be in RCU mode.
 * Return: whether offloadfs_copy_attr() has something to do.
 */
bool offloadfs_attr_differs(struct inode *inode)
{
	struct inode *lower = offloadfs_lower_inode(inode);

	return i_size_read(inode) != i_size_read(lower) ||
	       READ_ONCE(inode->i_blocks) != READ_ONCE(lower->i_blocks) ||
	       offloadfs_mode_differs(inode, lower) ||
	       inode->i_nlink != lower->i_nlink ||
	       offloadfs_owner_differs(inode, lower) ||
	       (inode->i_flags & (OFFLOADFS_LOWER_FLAGS | OFFLOADFS_OWN_FLAGS)) !=
	       offloadfs_upper_flags(lower);
}

/**
 * offloadfs_copy_attr - take over the lower's attributes
 * @inode: upper inode
 *
 * The VFS looks at mode, owner, size, link count and flags by itself, and at
 * the blocks for FIOQSIZE; times are only ever asked of the lower. They are
 * read and stored under one lock, so that of two callers the last one stores
 * the newest.
 *
 * Context: any that may take a spin lock.
 */
void offloadfs_copy_attr(struct inode *inode)
{
	struct inode *lower = offloadfs_lower_inode(inode);
	struct mnt_idmap *idmap = offloadfs_lower_idmap(inode->i_sb);

	if (!offloadfs_attr_differs(inode))
		return;
	spin_lock(&inode->i_lock);
	i_size_write(inode, i_size_read(lower));
	WRITE_ONCE(inode->i_blocks, READ_ONCE(lower->i_blocks));
	inode->i_bytes = lower->i_bytes;
	inode->i_mode = offloadfs_upper_mode(inode, lower->i_mode);
	inode->i_uid = vfsuid_into_kuid(i_uid_into_vfsuid(idmap, lower));
	inode->i_gid = vfsgid_into_kgid(i_gid_into_vfsgid(idmap, lower));
	if (inode->i_nlink != lower->i_nlink)
		set_nlink(inode, lower->i_nlink);
	spin_unlock(&inode->i_lock);
	inode_set_flags(inode, offloadfs_upper_flags(lower),
			OFFLOADFS_LOWER_FLAGS | OFFLOADFS_OWN_FLAGS);
}

/*
 * The locks of stacked mounts nest: tell lockdep which is which by depth. The
 * VFS has a class by type of file system only.
 */
static void offloadfs_set_lock_class(struct inode *inode)
{
	static struct lock_class_key keys[2][FILESYSTEM_MAX_STACK_DEPTH];
	int depth = inode->i_sb->s_stack_depth - 1;

	lockdep_set_class(&inode->i_rwsem,
			  &keys[S_ISDIR(inode->i_mode)][depth]);
}

static int offloadfs_inode_test(struct inode *inode, void *lower)
{
	return offloadfs_lower_inode(inode) == lower;
}

static int offloadfs_inode_set(struct inode *inode, void *lower)
{
	offloadfs_i(inode)->lower = lower;
	return 0;
}

static void offloadfs_init_inode(struct inode *inode, struct inode *lower)
{
	inode->i_ino = lower->i_ino;
	inode->i_generation = lower->i_generation;
	inode->i_blkbits = lower->i_blkbits;
	inode->i_acl = ACL_DONT_CACHE;
	inode->i_default_acl = ACL_DONT_CACHE;
	offloadfs_copy_attr(inode);
	offloadfs_set_lock_class(inode);

	switch (lower->i_mode & S_IFMT) {
	case S_IFREG:
		inode->i_op = &offloadfs_file_inode_operations;
		inode->i_fop = offloadfs_file_ops(lower);
		break;
	case S_IFDIR:
		inode->i_op = &offloadfs_dir_inode_operations;
		inode->i_fop = &offloadfs_dir_operations;
		break;
	case S_IFLNK:
		inode->i_op = &offloadfs_symlink_inode_operations;
		break;
	default:
		inode->i_op = &offloadfs_special_inode_operations;
		init_special_inode(inode, lower->i_mode, lower->i_rdev);
		break;
	}
}

/**
 * offloadfs_iget - find or make the upper inode of a lower one
 * @sb: upper super block
 * @lower: lower inode, held by the caller; the upper takes its own reference
 *
 * Context: may sleep.
 * Return: the inode, referenced, or an ERR_PTR(): -EXDEV for a lower inode of
 * another file system, -ESTALE for one that is going away, -ENOMEM.
 */
struct inode *offloadfs_iget(struct super_block *sb, struct inode *lower)
{
	struct inode *inode;

	if (lower->i_sb != offloadfs_lower_mnt(sb)->mnt_sb)
		return ERR_PTR(-EXDEV);
	if (!igrab(lower))
		return ERR_PTR(-ESTALE);
	inode = iget5_locked(sb, (unsigned long)lower, offloadfs_inode_test,
			     offloadfs_inode_set, lower);
	if (!inode) {
		iput(lower);
		return ERR_PTR(-ENOMEM);
	}
	if (inode_state_read_once(inode) & I_NEW) {
		offloadfs_init_inode(inode, lower);
		unlock_new_inode(inode);
	} else {
		iput(lower);
		offloadfs_copy_attr(inode);
	}
	return inode;
}

/**
 * offloadfs_permission - ->permission: ask the lower
 * @idmap: of the upper mount
 * @inode: upper inode
 * @mask: MAY_*
 *
 * Context: may be in RCU mode, with MAY_NOT_BLOCK.
 * Return: 0 or a negative errno.
 */
int offloadfs_permission(struct mnt_idmap *idmap, struct inode *inode, int mask)
{
	return inode_permission(offloadfs_lower_idmap(inode->i_sb),
				offloadfs_lower_inode(inode), mask);
}

/**
 * offloadfs_getattr - ->getattr: what the lower says
 * @idmap: of the upper mount
 * @path: upper path
 * @stat: result; device and inode number are the lower's, as with a bind
 *	mount, so that programs know one file by both names
 * @request_mask: STATX_*
 * @flags: AT_STATX_*
 *
 * Context: the security modules have been asked about @path, where the caller
 * is a program.
 * Return: 0 or a negative errno.
 */
int offloadfs_getattr(struct mnt_idmap *idmap, const struct path *path,
		      struct kstat *stat, u32 request_mask, unsigned int flags)
{
	struct path lower = offloadfs_lower_path(path->dentry);
	int err;

	err = vfs_getattr_nosec(&lower, stat, request_mask, flags);
	if (!err)
		offloadfs_copy_attr(d_inode(path->dentry));
	return err;
}

/* The change as the lower is to see it. */
static void offloadfs_lower_iattr(struct iattr *to, const struct iattr *attr)
{
	*to = *attr;
	/* Whether privileges go, and how, is for the lower to decide. */
	if (to->ia_valid & (ATTR_KILL_SUID | ATTR_KILL_SGID))
		to->ia_valid &= ~ATTR_MODE;
	/* The lower was not opened with O_TRUNC. */
	to->ia_valid &= ~ATTR_OPEN;
	if (!(to->ia_valid & ATTR_FILE))
		return;
	if (offloadfs_is_file(attr->ia_file))
		to->ia_file = offloadfs_lower_file(attr->ia_file);
	else
		to->ia_valid &= ~ATTR_FILE;
}

/*
 * Changes after which the lower may not stay suid, sgid or capable. The VFS
 * has not asked for that itself: the upper inode looks as if it had none of
 * these (S_NOSEC, offloadfs_upper_mode()).
 */
static unsigned int offloadfs_kill_privs(struct mnt_idmap *idmap,
					 struct dentry *lower,
					 unsigned int valid)
{
	struct inode *inode = d_inode(lower);
	unsigned int kill;

	if (!S_ISREG(inode->i_mode) || valid & ATTR_MODE)
		return 0;
	if (valid & ATTR_KILL_SUID)
		return setattr_should_drop_sgid(idmap, inode);
	if (!(valid & ATTR_SIZE) || IS_NOSEC(inode) ||
	    valid & (ATTR_UID | ATTR_GID | ATTR_ATIME_SET | ATTR_MTIME_SET))
		return 0;
	kill = setattr_should_drop_suidgid(idmap, inode);
	if (__vfs_getxattr(lower, inode, XATTR_NAME_CAPS, NULL, 0) > 0)
		kill |= ATTR_KILL_PRIV;
	/* Not everybody who may write may change the mode. */
	return kill ? kill | ATTR_FORCE : 0;
}

/* A size changes once nobody relies on it: path-wise, no open has seen to it. */
static int offloadfs_start_resize(struct inode *inode, unsigned int valid)
{
	int err;

	err = get_write_access(inode);
	if (err || valid & ATTR_FILE)
		return err;
	err = break_lease(inode, O_WRONLY);
	if (err)
		put_write_access(inode);
	return err;
}

static int offloadfs_change_lower(struct dentry *dentry, struct iattr *attr,
				  struct delegated_inode *delegated)
{
	struct mnt_idmap *idmap = offloadfs_lower_idmap(dentry->d_sb);
	struct dentry *lower = offloadfs_lower_dentry(dentry);
	struct inode *inode = d_inode(lower);
	int err;

	if (attr->ia_valid & ATTR_SIZE) {
		err = offloadfs_start_resize(inode, attr->ia_valid);
		if (err)
			return err;
	}
	inode_lock(inode);
	attr->ia_valid |= offloadfs_kill_privs(idmap, lower, attr->ia_valid);
	err = notify_change(idmap, lower, attr, delegated);
	inode_unlock(inode);
	if (attr->ia_valid & ATTR_SIZE)
		put_write_access(inode);
	return err;
}

static int offloadfs_try_setattr(struct dentry *dentry,
				 const struct iattr *attr,
				 struct delegated_inode *delegated)
{
	struct vfsmount *mnt = offloadfs_lower_mnt(dentry->d_sb);
	struct iattr lower_attr;
	int err;

	offloadfs_lower_iattr(&lower_attr, attr);
	err = mnt_want_write(mnt);
	if (err)
		return err;
	err = offloadfs_change_lower(dentry, &lower_attr, delegated);
	mnt_drop_write(mnt);
	return err;
}

/**
 * offloadfs_setattr - ->setattr: change the lower
 * @idmap: of the upper mount
 * @dentry: upper dentry
 * @attr: the change
 *
 * Context: the upper inode is locked.
 * Return: 0 or a negative errno.
 */
int offloadfs_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
		      struct iattr *attr)
{
	struct delegated_inode delegated = { };
	int err;

	if (attr->ia_valid & ATTR_SIZE) {
		err = offloadfs_settle(offloadfs_lower_inode(d_inode(dentry)),
				       OFFLOADFS_LOCKED_TIME);
		if (err)
			return err;
	}
	do {
		err = offloadfs_try_setattr(dentry, attr, &delegated);
	} while (offloadfs_wait_delegated(&delegated, &err));
	offloadfs_copy_attr(d_inode(dentry));
	return err;
}

/**
 * offloadfs_fileattr_get - ->fileattr_get (lsattr, project ids)
 * @dentry: upper dentry
 * @fa: result
 *
 * Return: 0 or a negative errno.
 */
int offloadfs_fileattr_get(struct dentry *dentry, struct file_kattr *fa)
{
	return vfs_fileattr_get(offloadfs_lower_dentry(dentry), fa);
}

/**
 * offloadfs_fileattr_set - ->fileattr_set (chattr, project ids)
 * @idmap: of the upper mount
 * @dentry: upper dentry
 * @fa: the change
 *
 * Context: the upper inode is locked.
 * Return: 0 or a negative errno.
 */
int offloadfs_fileattr_set(struct mnt_idmap *idmap, struct dentry *dentry,
			   struct file_kattr *fa)
{
	struct vfsmount *mnt = offloadfs_lower_mnt(dentry->d_sb);
	int err;

	err = mnt_want_write(mnt);
	if (err)
		return err;
	err = vfs_fileattr_set(offloadfs_lower_idmap(dentry->d_sb),
			       offloadfs_lower_dentry(dentry), fa);
	mnt_drop_write(mnt);
	offloadfs_copy_attr(d_inode(dentry));
	return err;
}

/**
 * offloadfs_fiemap - ->fiemap of files and directories
 * @inode: upper inode
 * @info: result
 * @start: first byte
 * @len: bytes to tell of
 *
 * Return: 0 or a negative errno.
 */
int offloadfs_fiemap(struct inode *inode, struct fiemap_extent_info *info,
		     u64 start, u64 len)
{
	struct inode *lower = offloadfs_lower_inode(inode);

	if (!lower->i_op->fiemap)
		return -EOPNOTSUPP;
	return lower->i_op->fiemap(lower, info, start, len);
}

static const char *offloadfs_get_link(struct dentry *dentry,
				      struct inode *inode,
				      struct delayed_call *done)
{
	struct path lower;

	if (!dentry)
		return ERR_PTR(-ECHILD);
	lower = offloadfs_lower_path(dentry);
	/* A link that only its own file system can follow. */
	if (d_inode(lower.dentry)->i_op->readlink)
		return ERR_PTR(-EINVAL);
	touch_atime(&lower);
	return vfs_get_link(lower.dentry, done);
}

const struct inode_operations offloadfs_file_inode_operations = {
	.permission	= offloadfs_permission,
	.getattr	= offloadfs_getattr,
	.setattr	= offloadfs_setattr,
	.listxattr	= offloadfs_listxattr,
	.get_inode_acl	= offloadfs_get_inode_acl,
	.get_acl	= offloadfs_get_acl,
	.set_acl	= offloadfs_set_acl,
	.fileattr_get	= offloadfs_fileattr_get,
	.fileattr_set	= offloadfs_fileattr_set,
	.fiemap		= offloadfs_fiemap,
};

const struct inode_operations offloadfs_symlink_inode_operations = {
	.get_link	= offloadfs_get_link,
	.permission	= offloadfs_permission,
	.getattr	= offloadfs_getattr,
	.setattr	= offloadfs_setattr,
	.listxattr	= offloadfs_listxattr,
	.fileattr_get	= offloadfs_fileattr_get,
	.fileattr_set	= offloadfs_fileattr_set,
};

const struct inode_operations offloadfs_special_inode_operations = {
	.permission	= offloadfs_permission,
	.getattr	= offloadfs_getattr,
	.setattr	= offloadfs_setattr,
	.listxattr	= offloadfs_listxattr,
	.get_inode_acl	= offloadfs_get_inode_acl,
	.get_acl	= offloadfs_get_acl,
	.set_acl	= offloadfs_set_acl,
	.fileattr_get	= offloadfs_fileattr_get,
	.fileattr_set	= offloadfs_fileattr_set,
};
