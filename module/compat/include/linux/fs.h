/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * <linux/fs.h> as the newest kernel has it. Kernel headers that include it
 * see this file, too: a name is redefined only after its last use in them.
 */
#ifndef _OFFLOADFS_COMPAT_LINUX_FS_H
#define _OFFLOADFS_COMPAT_LINUX_FS_H

#include_next <linux/fs.h>
#include <linux/sched/signal.h>

/*
 * 6.3 gave mounts a type of their own for what was a user name space. The
 * word stands for the structure and for the function that returns it (see
 * <linux/mount.h>), and so does its replacement.
 */
#ifndef COMPAT_HAVE_MNT_IDMAP
#define mnt_idmap		user_namespace
#define file_mnt_idmap		file_mnt_user_ns
#endif

/* 6.17 */
#ifndef COMPAT_HAVE_FILE_KATTR
#define file_kattr		fileattr
#endif

/* 6.18 */
#ifndef COMPAT_HAVE_INODE_JUST_DROP
#define inode_just_drop		generic_delete_inode
#endif

/* 6.19 */
#ifndef COMPAT_HAVE_INODE_STATE_READ_ONCE
#define inode_state_read_once(inode)	READ_ONCE((inode)->i_state)
#endif

/* 6.7. Older ones strip the umask unless there is SB_POSIXACL. */
#ifndef SB_I_NOUMASK
#define SB_I_NOUMASK		0
#endif

/* 6.14, and stable updates of older ones. */
#ifndef COMPAT_HAVE_EXE_FILE_DENY_WRITE
#define exe_file_deny_write_access	deny_write_access
#define exe_file_allow_write_access	allow_write_access
#endif

/* 6.14. Older ones tell nobody before contents are used, but for who decides. */
#ifndef SB_I_ALLOW_HSM
#define SB_I_ALLOW_HSM		0
#endif

/*
 * 6.14: a file's mode says whether someone does; before, it was less exact, or
 * only said that nobody fills files.
 */
#ifndef FMODE_FSNOTIFY_ACCESS_PERM
#undef FMODE_FSNOTIFY_HSM
#ifdef FMODE_FSNOTIFY_PERM
#define FMODE_FSNOTIFY_HSM	FMODE_FSNOTIFY_PERM
#else
#define FMODE_FSNOTIFY_HSM(mode)	true
#endif
#endif

/* 6.11 */
#ifndef FMODE_CAN_ATOMIC_WRITE
#define FMODE_CAN_ATOMIC_WRITE	0
#endif

/* 6.10. The one flag that was there before had a place of its own. */
#ifndef FOP_MMAP_SYNC
#define fop_flags		mmap_supported_flags
#define FOP_MMAP_SYNC		MAP_SYNC
#define FOP_DIO_PARALLEL_WRITE	0
#endif

/* 6.14 */
#ifndef FOP_DONTCACHE
#define FOP_DONTCACHE		0
#endif

/* 6.6: the part of d_tmpfile() that names the dentry, as /proc shows it. */
#ifndef COMPAT_HAVE_D_MARK_TMPFILE
static inline void d_mark_tmpfile(struct file *file, struct inode *inode)
{
	struct dentry *dentry = file->f_path.dentry;

	spin_lock(&dentry->d_parent->d_lock);
	spin_lock_nested(&dentry->d_lock, DENTRY_D_LOCK_NESTED);
	dentry->d_name.len = snprintf(dentry->d_iname, DNAME_INLINE_LEN,
				      "#%llu", (unsigned long long)inode->i_ino);
	spin_unlock(&dentry->d_lock);
	spin_unlock(&dentry->d_parent->d_lock);
}
#endif

/* 6.17: before, every dentry got its operations from here. */
#ifndef COMPAT_HAVE_SET_DEFAULT_D_OP
static inline void set_default_d_op(struct super_block *sb,
				    const struct dentry_operations *ops)
{
	sb->s_d_op = ops;
}
#endif

/*
 * 6.9 made the UUID's length known, and gave a super block's directory in
 * sysfs a name, for ioctls that came with it.
 */
#ifndef COMPAT_HAVE_SUPER_SET_UUID
#define super_set_uuid(sb, uuid, len)	memcpy(&(sb)->s_uuid, uuid, sizeof(uuid_t))
#define super_set_sysfs_name_generic(sb, fmt, ...)	do { } while (0)
#endif

/*
 * 6.19: a structure of its own for an inode that is delegated, and a place for
 * it in all that changes a directory. Before, a new name needed none.
 */
#ifndef COMPAT_HAVE_DELEGATED_INODE
struct delegated_inode {
	struct inode *di_inode;
};

static inline struct inode **compat_delegated(struct delegated_inode *delegated)
{
	return delegated ? &delegated->di_inode : NULL;
}

static inline int compat_vfs_unlink(struct mnt_idmap *idmap, struct inode *dir,
				    struct dentry *dentry,
				    struct delegated_inode *delegated)
{
	return vfs_unlink(idmap, dir, dentry, compat_delegated(delegated));
}

static inline int compat_vfs_link(struct dentry *old, struct mnt_idmap *idmap,
				  struct inode *dir, struct dentry *dentry,
				  struct delegated_inode *delegated)
{
	return vfs_link(old, idmap, dir, dentry, compat_delegated(delegated));
}

static inline int compat_notify_change(struct mnt_idmap *idmap,
				       struct dentry *dentry,
				       struct iattr *attr,
				       struct delegated_inode *delegated)
{
	return notify_change(idmap, dentry, attr, compat_delegated(delegated));
}

#define vfs_unlink		compat_vfs_unlink
#define vfs_link		compat_vfs_link
#define notify_change		compat_notify_change
#else
#define compat_delegated(delegated)	(delegated)
#endif

/* 7.0 */
#ifndef COMPAT_HAVE_VFS_CREATE_DENTRY
static inline int compat_vfs_create(struct mnt_idmap *idmap,
				    struct dentry *dentry, umode_t mode,
				    struct delegated_inode *delegated)
{
	return vfs_create(idmap, d_inode(dentry->d_parent), dentry, mode, true);
}

#define vfs_create		compat_vfs_create
#endif

/* 6.19 */
#ifndef COMPAT_HAVE_VFS_MKDIR_DELEGATED
static inline int compat_vfs_mknod(struct mnt_idmap *idmap, struct inode *dir,
				   struct dentry *dentry, umode_t mode,
				   dev_t dev, struct delegated_inode *delegated)
{
	return vfs_mknod(idmap, dir, dentry, mode, dev);
}

static inline int compat_vfs_symlink(struct mnt_idmap *idmap,
				     struct inode *dir, struct dentry *dentry,
				     const char *target,
				     struct delegated_inode *delegated)
{
	return vfs_symlink(idmap, dir, dentry, target);
}

static inline int compat_vfs_rmdir(struct mnt_idmap *idmap, struct inode *dir,
				   struct dentry *dentry,
				   struct delegated_inode *delegated)
{
	return vfs_rmdir(idmap, dir, dentry);
}

#define vfs_mknod		compat_vfs_mknod
#define vfs_symlink		compat_vfs_symlink
#define vfs_rmdir		compat_vfs_rmdir
#endif

/*
 * ->mkdir returns what vfs_mkdir() does. The macro makes of the definition of
 * ours one under another name, and under its own the function for the table.
 */
#ifndef COMPAT_HAVE_VFS_MKDIR_DENTRY
static inline int compat_mkdir_result(struct dentry *made,
				      struct dentry *dentry)
{
	if (IS_ERR_OR_NULL(made))
		return PTR_ERR_OR_ZERO(made);
	d_drop(dentry);
	dput(made);
	return 0;
}

#define offloadfs_mkdir(...)						\
	offloadfs_mkdir_dentry(__VA_ARGS__);				\
	static int (offloadfs_mkdir)(struct mnt_idmap *idmap,		\
				     struct inode *dir,			\
				     struct dentry *dentry,		\
				     umode_t mode)			\
	{								\
		return compat_mkdir_result(offloadfs_mkdir_dentry(idmap, dir, \
								  dentry, mode), \
					   dentry);			\
	}								\
	static struct dentry *offloadfs_mkdir_dentry(__VA_ARGS__)
#endif

/*
 * 6.2: ACLs by dentry, and ->get_acl not for permission checks. Older tables
 * have a ->get_acl of the new ->get_inode_acl's type: both are initialized,
 * and the later one stays. See compat/acl.c.
 */
#ifndef COMPAT_HAVE_GET_INODE_ACL
#define get_inode_acl		get_acl
#define offloadfs_get_acl(...)	offloadfs_dentry_get_acl(__VA_ARGS__)
#define offloadfs_set_acl(...)	offloadfs_dentry_set_acl(__VA_ARGS__)

struct posix_acl *(offloadfs_get_acl)(struct inode *inode, int type, bool rcu);
int (offloadfs_set_acl)(struct mnt_idmap *idmap, struct inode *inode,
			struct posix_acl *acl, int type);
#endif

/* Exported by 6.13; see compat/casefold.c. */
#ifndef COMPAT_HAVE_GENERIC_CI_D_HASH
#define generic_ci_d_hash	compat_ci_d_hash
#define generic_ci_d_compare	compat_ci_d_compare

int compat_ci_d_hash(const struct dentry *dentry, struct qstr *name);
int compat_ci_d_compare(const struct dentry *dentry, unsigned int len,
			const char *str, const struct qstr *name);
#endif

/*
 * 6.6 tells who wants to freeze, 6.16 on whose behalf. The macros drop what is
 * too much from calls of the functions and of the operations alike.
 */
#ifndef COMPAT_HAVE_FREEZE_OWNER
#ifdef COMPAT_HAVE_FREEZE_HOLDER
#define freeze_super(sb, who, owner)	freeze_super(sb, who)
#define thaw_super(sb, who, owner)	thaw_super(sb, who)
#define compat_freeze_op(name)						\
	static int (name)(struct super_block *sb, enum freeze_holder who) \
	{								\
		return name##_owner(sb, who, NULL);			\
	}
#else
enum freeze_holder {
	FREEZE_HOLDER_KERNEL	= 1 << 0,
	FREEZE_HOLDER_USERSPACE	= 1 << 1,
};

#define freeze_super(sb, who, owner)	freeze_super(sb)
#define thaw_super(sb, who, owner)	thaw_super(sb)
#define compat_freeze_op(name)						\
	static int (name)(struct super_block *sb)			\
	{								\
		return name##_owner(sb, FREEZE_HOLDER_USERSPACE, NULL);	\
	}
#endif

#define offloadfs_freeze_super(...)					\
	offloadfs_freeze_super_owner(__VA_ARGS__);			\
	compat_freeze_op(offloadfs_freeze_super)			\
	static int offloadfs_freeze_super_owner(__VA_ARGS__)
#define offloadfs_thaw_super(...)					\
	offloadfs_thaw_super_owner(__VA_ARGS__);			\
	compat_freeze_op(offloadfs_thaw_super)				\
	static int offloadfs_thaw_super_owner(__VA_ARGS__)
#endif

/* Exported by 6.8. */
#ifndef COMPAT_HAVE_GENERIC_WRITE_CHECK_LIMITS
static inline int compat_write_check_limits(struct file *file, loff_t pos,
					    loff_t *count)
{
	loff_t max = file->f_mapping->host->i_sb->s_maxbytes;
	loff_t limit = rlimit(RLIMIT_FSIZE);

	if (limit != RLIM_INFINITY) {
		if (pos >= limit) {
			send_sig(SIGXFSZ, current, 0);
			return -EFBIG;
		}
		*count = min(*count, limit - pos);
	}
	if (!(file->f_flags & O_LARGEFILE))
		max = MAX_NON_LFS;
	if (pos >= max)
		return -EFBIG;
	*count = min(*count, max - pos);
	return 0;
}

#define generic_write_check_limits	compat_write_check_limits
#endif

/* 6.18: the parents as dentries, and one idmap for both. */
#ifndef COMPAT_HAVE_RENAMEDATA_PARENTS
struct compat_renamedata {
	struct mnt_idmap *mnt_idmap;
	struct dentry *old_parent;
	struct dentry *old_dentry;
	struct dentry *new_parent;
	struct dentry *new_dentry;
	struct delegated_inode *delegated_inode;
	unsigned int flags;
};

static inline int compat_vfs_rename(struct compat_renamedata *rd)
{
	struct renamedata old = {
#ifdef COMPAT_HAVE_MNT_IDMAP
		.old_mnt_idmap	= rd->mnt_idmap,
		.new_mnt_idmap	= rd->mnt_idmap,
#else
		.old_mnt_userns	= rd->mnt_idmap,
		.new_mnt_userns	= rd->mnt_idmap,
#endif
		.old_dir	= d_inode(rd->old_parent),
		.old_dentry	= rd->old_dentry,
		.new_dir	= d_inode(rd->new_parent),
		.new_dentry	= rd->new_dentry,
		.delegated_inode = compat_delegated(rd->delegated_inode),
		.flags		= rd->flags,
	};

	return vfs_rename(&old);
}

#define renamedata		compat_renamedata
#define vfs_rename		compat_vfs_rename
#endif

#endif /* _OFFLOADFS_COMPAT_LINUX_FS_H */
