/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * <linux/namei.h>: looking names up, and locking parents for a change.
 */
#ifndef _OFFLOADFS_COMPAT_LINUX_NAMEI_H
#define _OFFLOADFS_COMPAT_LINUX_NAMEI_H

#include_next <linux/namei.h>
#include <linux/fs.h>

/* 6.16: the name as a qstr, not as a string and its length. */
#ifndef COMPAT_HAVE_LOOKUP_QSTR
static inline struct dentry *
compat_lookup_one_unlocked(struct mnt_idmap *idmap, struct qstr *name,
			   struct dentry *base)
{
	return lookup_one_unlocked(idmap, name->name, base, name->len);
}

#define lookup_one_unlocked		compat_lookup_one_unlocked
#endif

/* 6.14: ->d_revalidate gets the directory and the name; see <linux/dcache.h>. */
#ifndef COMPAT_HAVE_D_REVALIDATE_NAME
typedef int (*compat_d_revalidate_t)(struct inode *dir,
				     const struct qstr *name,
				     struct dentry *dentry, unsigned int flags);

/*
 * In RCU mode: parent and name as they are at one moment. A short name may be
 * inside the dentry, where a rename overwrites it; a longer one goes with RCU.
 */
static inline int compat_d_revalidate_rcu(compat_d_revalidate_t revalidate,
					  struct dentry *dentry,
					  unsigned int flags)
{
	unsigned int seq = raw_seqcount_begin(&dentry->d_seq);
	struct dentry *parent = READ_ONCE(dentry->d_parent);
	struct inode *dir = d_inode_rcu(parent);
	struct qstr name = {
		.name = READ_ONCE(dentry->d_name.name),
		.len = READ_ONCE(dentry->d_name.len),
	};
	char buf[DNAME_INLINE_LEN];

	if (!dir || read_seqcount_retry(&dentry->d_seq, seq))
		return -ECHILD;
	if (name.len < sizeof(buf)) {
		memcpy(buf, name.name, name.len);
		buf[name.len] = '\0';
		name.name = buf;
		if (read_seqcount_retry(&dentry->d_seq, seq))
			return -ECHILD;
	}
	return revalidate(dir, &name, dentry, flags);
}

static inline int compat_d_revalidate(compat_d_revalidate_t revalidate,
				      struct dentry *dentry, unsigned int flags)
{
	struct name_snapshot name;
	struct dentry *parent;
	int ret;

	if (flags & LOOKUP_RCU)
		return compat_d_revalidate_rcu(revalidate, dentry, flags);
	parent = dget_parent(dentry);
	take_dentry_name_snapshot(&name, dentry);
	ret = revalidate(d_inode(parent), &name.name, dentry, flags);
	release_dentry_name_snapshot(&name);
	dput(parent);
	return ret;
}

/* As offloadfs_mkdir() in <linux/fs.h>. */
#define offloadfs_d_revalidate(...)					\
	offloadfs_d_revalidate_name(__VA_ARGS__);			\
	static int (offloadfs_d_revalidate)(struct dentry *dentry,	\
					    unsigned int flags)		\
	{								\
		return compat_d_revalidate(offloadfs_d_revalidate_name,	\
					   dentry, flags);		\
	}								\
	static int offloadfs_d_revalidate_name(__VA_ARGS__)
#endif

/*
 * vfs_mkdir(). Some file systems (NFS) leave the dentry of a new directory
 * without its inode: 6.15 returns the one that has it.
 */
#ifndef COMPAT_HAVE_VFS_MKDIR_DENTRY
static inline struct dentry *compat_lookup_made(struct mnt_idmap *idmap,
						struct dentry *dentry)
{
	struct dentry *made = lookup_one(idmap, dentry->d_name.name,
					 dentry->d_parent, dentry->d_name.len);

	if (!IS_ERR(made) && d_is_negative(made)) {
		dput(made);
		return ERR_PTR(-ENOENT);
	}
	return made;
}

static inline struct dentry *compat_mkdir(struct mnt_idmap *idmap,
					  struct inode *dir,
					  struct dentry *dentry, umode_t mode)
{
	struct dentry *made = dentry;
	int err;

	err = vfs_mkdir(idmap, dir, dentry, mode);
	if (err)
		made = ERR_PTR(err);
	else if (d_unhashed(dentry) && d_really_is_negative(dentry))
		made = compat_lookup_made(idmap, dentry);
	if (made != dentry)
		dput(dentry);
	return made;
}
#else
#define compat_mkdir		vfs_mkdir
#endif

/* 6.19: a failure ends what start_creating_dentry() started. */
#ifndef COMPAT_HAVE_VFS_MKDIR_DELEGATED
static inline struct dentry *compat_vfs_mkdir(struct mnt_idmap *idmap,
					      struct inode *dir,
					      struct dentry *dentry,
					      umode_t mode,
					      struct delegated_inode *delegated)
{
	struct dentry *made = compat_mkdir(idmap, dir, dentry, mode);

	if (IS_ERR(made))
		inode_unlock(dir);
	return made;
}

#define vfs_mkdir		compat_vfs_mkdir
#endif

/*
 * 6.19: what locks the parents of a name that is to be made, removed or
 * renamed checks that it is still theirs.
 */
#ifndef COMPAT_HAVE_START_CREATING_DENTRY
static inline int compat_start_dirop(struct dentry *parent,
				     struct dentry *child)
{
	inode_lock_nested(d_inode(parent), I_MUTEX_PARENT);
	if (!IS_DEADDIR(d_inode(parent)) && child->d_parent == parent &&
	    !d_unhashed(child))
		return 0;
	inode_unlock(d_inode(parent));
	return -EINVAL;
}

static inline struct dentry *start_creating(struct mnt_idmap *idmap,
					    struct dentry *parent,
					    struct qstr *name)
{
	struct dentry *child;

	inode_lock_nested(d_inode(parent), I_MUTEX_PARENT);
	child = lookup_one(idmap, name->name, parent, name->len);
	if (IS_ERR(child))
		inode_unlock(d_inode(parent));
	return child;
}

static inline struct dentry *start_creating_dentry(struct dentry *parent,
						   struct dentry *child)
{
	int err = compat_start_dirop(parent, child);

	if (err)
		return ERR_PTR(err);
	if (d_is_positive(child)) {
		inode_unlock(d_inode(parent));
		return ERR_PTR(-EEXIST);
	}
	return dget(child);
}

static inline struct dentry *start_removing_dentry(struct dentry *parent,
						   struct dentry *child)
{
	int err = compat_start_dirop(parent, child);

	if (err)
		return ERR_PTR(err);
	if (d_is_negative(child)) {
		inode_unlock(d_inode(parent));
		return ERR_PTR(-ENOENT);
	}
	return dget(child);
}

static inline void end_creating(struct dentry *child)
{
	if (IS_ERR(child))
		return;
	inode_unlock(d_inode(child->d_parent));
	dput(child);
}

static inline void end_removing(struct dentry *child)
{
	end_creating(child);
}

static inline int start_renaming_two_dentries(struct renamedata *rd,
					      struct dentry *old_dentry,
					      struct dentry *new_dentry)
{
	struct dentry *trap = lock_rename_child(old_dentry, rd->new_parent);
	int err = -EINVAL;

	if (IS_ERR(trap))
		return PTR_ERR(trap);
	if (d_unhashed(old_dentry) ||
	    (rd->old_parent && rd->old_parent != old_dentry->d_parent) ||
	    d_unhashed(new_dentry) || rd->new_parent != new_dentry->d_parent ||
	    old_dentry == trap)
		goto out_unlock;
	if (new_dentry == trap) {
		if (!(rd->flags & RENAME_EXCHANGE))
			err = -ENOTEMPTY;
		goto out_unlock;
	}
	err = -EEXIST;
	if (d_is_positive(new_dentry) && (rd->flags & RENAME_NOREPLACE))
		goto out_unlock;

	rd->old_dentry = dget(old_dentry);
	rd->new_dentry = dget(new_dentry);
	rd->old_parent = dget(old_dentry->d_parent);
	return 0;

out_unlock:
	unlock_rename(old_dentry->d_parent, rd->new_parent);
	return err;
}

static inline int start_renaming_dentry(struct renamedata *rd,
					int lookup_flags,
					struct dentry *old_dentry,
					struct qstr *new_last)
{
	struct dentry *trap = lock_rename_child(old_dentry, rd->new_parent);
	struct dentry *new_dentry;
	int err = -EINVAL;

	if (IS_ERR(trap))
		return PTR_ERR(trap);
	if (d_unhashed(old_dentry) ||
	    (rd->old_parent && rd->old_parent != old_dentry->d_parent) ||
	    old_dentry == trap)
		goto out_unlock;
	new_dentry = lookup_one(rd->mnt_idmap, new_last->name, rd->new_parent,
				new_last->len);
	err = PTR_ERR_OR_ZERO(new_dentry);
	if (err)
		goto out_unlock;
	if (new_dentry == trap)
		err = (rd->flags & RENAME_EXCHANGE) ? -EINVAL : -ENOTEMPTY;
	else if (d_is_positive(new_dentry) && (rd->flags & RENAME_NOREPLACE))
		err = -EEXIST;
	if (err)
		goto out_dput;

	rd->old_dentry = dget(old_dentry);
	rd->new_dentry = new_dentry;
	rd->old_parent = dget(old_dentry->d_parent);
	return 0;

out_dput:
	dput(new_dentry);
out_unlock:
	unlock_rename(old_dentry->d_parent, rd->new_parent);
	return err;
}

static inline void end_renaming(struct renamedata *rd)
{
	unlock_rename(rd->old_parent, rd->new_parent);
	dput(rd->old_dentry);
	dput(rd->new_dentry);
	dput(rd->old_parent);
}
#endif

#endif /* _OFFLOADFS_COMPAT_LINUX_NAMEI_H */
