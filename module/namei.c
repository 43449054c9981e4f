// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - names: looking them up in the lower, and finding out when what
 * was found has changed there.
 *
 * Every hashed upper dentry, negative ones included, pins the lower dentry that
 * it was looked up as, in d_fsdata. It is set once, before anyone else sees the
 * dentry. The lower may rename, remove or create below us at any time: an
 * upper dentry is good as long as its lower one still has its name, parent
 * and inode.
 *
 * An unused name that the lower does not cache, as in a case-insensitive
 * directory, is not cached here either: its dentry has no lower one before it
 * is used. In such a directory the upper's dentries are compared as the
 * lower's are, so that a lower dentry has one upper dentry, too.
 */
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/namei.h>
#include "offloadfs.h"

/**
 * offloadfs_set_lower_dentry - say what an upper dentry stands for
 * @dentry: upper dentry, new and seen by nobody else
 * @lower: lower dentry; its reference goes to @dentry
 */
void offloadfs_set_lower_dentry(struct dentry *dentry, struct dentry *lower)
{
	dentry->d_fsdata = lower;
}

/* Is that what the upper dentry was last found right at? An odd count is none. */
static bool offloadfs_is_unchanged(const struct dentry *dentry, unsigned int seq)
{
	return seq == (u32)READ_ONCE(dentry->d_time) && !(seq & 1);
}

/* What d_time has in its upper half while the dentry is about to change. */
static unsigned long offloadfs_change_mark(const struct dentry *dentry)
{
	return raw_read_seqcount(&dentry->d_seq) + 1UL;
}

/**
 * offloadfs_start_change - the lower is about to change, and the upper after it
 * @dentry: upper dentry that is created or renamed
 *
 * In between, they do not match, and whoever looks the name up must not take the
 * upper dentry for one that somebody has changed in the lower: it would be
 * dropped, and what is mounted below it. That the VFS has moved or filled the
 * upper one is seen from its d_seq.
 *
 * Context: the parents of both the old and the new name are locked.
 */
void offloadfs_start_change(struct dentry *dentry)
{
	spin_lock(&dentry->d_lock);
	WRITE_ONCE(dentry->d_time, offloadfs_change_mark(dentry) << 32 |
				   OFFLOADFS_NEVER_RIGHT);
	spin_unlock(&dentry->d_lock);
}

/**
 * offloadfs_cancel_change - the upper will not change
 * @dentry: what offloadfs_start_change() was told
 */
void offloadfs_cancel_change(struct dentry *dentry)
{
	WRITE_ONCE(dentry->d_time, OFFLOADFS_NEVER_RIGHT);
}

static void offloadfs_d_release(struct dentry *dentry)
{
	dput(offloadfs_lower_dentry(dentry));
}

/*
 * No lock is taken, so the name may be changing: a comparison that ends at
 * its NUL stays inside it, and a wrong result only costs a lookup.
 */
static bool offloadfs_has_name(const struct dentry *lower,
			       const struct qstr *name)
{
	const char *lower_name = READ_ONCE(lower->d_name.name);

	return !strncmp(lower_name, name->name, name->len) &&
	       !lower_name[name->len];
}

/* The same for a lower that has its own idea of when names are equal. */
static bool offloadfs_has_equal_name(struct dentry *lower,
				     const struct qstr *name)
{
	bool equal;

	spin_lock(&lower->d_lock);
	equal = !lower->d_op->d_compare(lower, lower->d_name.len,
					lower->d_name.name, name);
	spin_unlock(&lower->d_lock);
	return equal;
}

/*
 * Keep no unused name of what is gone from the lower: it would keep the space,
 * and a network file system's placeholder. Nor of what the lower has made
 * without asking its server what it is (9p on Linux 6.1): it is found out by
 * looking it up.
 */
static int offloadfs_d_delete(const struct dentry *dentry)
{
	const struct dentry *lower = offloadfs_lower_dentry(dentry);

	return lower && (d_unhashed(lower) ||
			 (d_really_is_positive(lower) &&
			  (!d_inode(lower)->i_nlink || !d_inode(lower)->i_ino)));
}

/* Is the lower dentry in place, and does it have the upper's inode? RCU. */
static bool offloadfs_is_in_place(struct inode *dir, struct dentry *dentry,
				  struct dentry *lower)
{
	struct dentry *lower_dir = READ_ONCE(lower->d_parent);
	struct inode *lower_inode = d_inode_rcu(lower);
	struct inode *inode = d_inode_rcu(dentry);

	if (d_unhashed(lower) ||
	    d_inode_rcu(lower_dir) != offloadfs_lower_inode(dir))
		return false;
	return inode ? lower_inode == offloadfs_lower_inode(inode) :
		       !lower_inode;
}

static int offloadfs_revalidate_lower(struct inode *dir, struct dentry *dentry,
				      struct dentry *lower, unsigned int flags)
{
	struct name_snapshot name;
	int ret;

	take_dentry_name_snapshot(&name, lower);
	ret = lower->d_op->d_revalidate(offloadfs_lower_inode(dir), &name.name,
					lower, flags);
	release_dentry_name_snapshot(&name);
	if (!ret)
		d_invalidate(lower);
	return ret;
}

/* What the VFS knows of the inode by itself has to be right by now. */
static int offloadfs_revalidate_inode(struct dentry *dentry, unsigned int flags)
{
	struct inode *inode = d_inode_rcu(dentry);

	if (!inode || !offloadfs_attr_differs(inode))
		return 1;
	if (flags & LOOKUP_RCU)
		return -ECHILD;
	offloadfs_copy_attr(inode);
	return 1;
}

/*
 * Whatever changes a dentry's name, parent, inode or place in the hash moves its
 * d_seq: while the lower's stands where the upper dentry was last found right, it
 * still is.
 */
static bool offloadfs_is_right(struct inode *dir, const struct qstr *name,
			       struct dentry *dentry, struct dentry *lower)
{
	unsigned long last = READ_ONCE(dentry->d_time);
	unsigned int own = raw_read_seqcount(&dentry->d_seq);
	unsigned int seq = raw_read_seqcount(&lower->d_seq);
	bool good, named = !(lower->d_flags & DCACHE_OP_COMPARE);

	if (likely(offloadfs_is_unchanged(dentry, seq)))
		return true;
	rcu_read_lock();
	good = offloadfs_is_in_place(dir, dentry, lower) &&
	       (!named || offloadfs_has_name(lower, name));
	rcu_read_unlock();
	if (good && named && last >> 32 != own + 1UL && !(own & 1) &&
	    !read_seqcount_retry(&dentry->d_seq, own) &&
	    !read_seqcount_retry(&lower->d_seq, seq))
		cmpxchg(&dentry->d_time, last, (unsigned long)seq);
	return good;
}

/*
 * The same once more, after it was not: is the dentry about to change through
 * the mount itself, or has it done so since it was looked up?
 */
static bool offloadfs_is_right_after_all(struct dentry *dentry,
					 struct dentry *lower)
{
	bool good;

	spin_lock(&dentry->d_lock);
	rcu_read_lock();
	good = READ_ONCE(dentry->d_time) >> 32 == offloadfs_change_mark(dentry) ||
	       (offloadfs_is_in_place(d_inode(dentry->d_parent), dentry, lower) &&
		(lower->d_flags & DCACHE_OP_COMPARE ||
		 offloadfs_has_name(lower, &dentry->d_name)));
	rcu_read_unlock();
	spin_unlock(&dentry->d_lock);
	return good;
}

static int offloadfs_d_revalidate(struct inode *dir, const struct qstr *name,
				  struct dentry *dentry, unsigned int flags)
{
	struct dentry *lower = offloadfs_lower_dentry(dentry);
	int ret;

	if (!offloadfs_is_right(dir, name, dentry, lower)) {
		if (flags & LOOKUP_RCU)
			return -ECHILD;
		return offloadfs_is_right_after_all(dentry, lower);
	}
	if (!(lower->d_flags & (DCACHE_OP_COMPARE | DCACHE_OP_REVALIDATE)))
		return offloadfs_revalidate_inode(dentry, flags);

	if (flags & LOOKUP_RCU)
		return -ECHILD;
	if (lower->d_flags & DCACHE_OP_COMPARE &&
	    !offloadfs_has_equal_name(lower, name))
		return 0;
	if (lower->d_flags & DCACHE_OP_REVALIDATE) {
		ret = offloadfs_revalidate_lower(dir, dentry, lower, flags);
		if (ret <= 0)
			return ret;
	}
	return offloadfs_revalidate_inode(dentry, flags);
}

static int offloadfs_d_weak_revalidate(struct dentry *dentry,
				       unsigned int flags)
{
	struct dentry *lower = offloadfs_lower_dentry(dentry);

	if (!(lower->d_flags & DCACHE_OP_WEAK_REVALIDATE))
		return 1;
	return lower->d_op->d_weak_revalidate(lower, flags);
}

static const struct dentry_operations offloadfs_dentry_operations = {
	.d_revalidate		= offloadfs_d_revalidate,
	.d_weak_revalidate	= offloadfs_d_weak_revalidate,
	.d_delete		= offloadfs_d_delete,
	.d_init			= offloadfs_d_init,
	.d_release		= offloadfs_d_release,
};

/*
 * A name that differs from the one wanted, in a lower that takes both for
 * equal, is that of a file there. But what is only a trace of a failed lookup
 * must go: a file made here would get that name.
 */
static bool offloadfs_is_misspelt(const struct dentry *lower,
				  const struct qstr *name)
{
	bool misspelt;

	if (!(lower->d_flags & DCACHE_OP_COMPARE) || d_really_is_positive(lower))
		return false;
	rcu_read_lock();
	misspelt = !offloadfs_has_name(lower, name);
	rcu_read_unlock();
	return misspelt;
}

static struct dentry *offloadfs_lookup_lower(struct dentry *dentry)
{
	struct qstr name = QSTR_INIT(dentry->d_name.name, dentry->d_name.len);
	struct mnt_idmap *idmap = offloadfs_lower_idmap(dentry->d_sb);
	struct dentry *dir = offloadfs_lower_dentry(dentry->d_parent);
	struct dentry *lower;

	lower = lookup_one_unlocked(idmap, &name, dir);
	if (IS_ERR(lower) || !offloadfs_is_misspelt(lower, &dentry->d_name))
		return lower;
	d_drop(lower);
	dput(lower);
	return lookup_one_unlocked(idmap, &name, dir);
}

#if IS_ENABLED(CONFIG_UNICODE)
static const struct dentry_operations offloadfs_ci_dentry_operations = {
	.d_hash			= generic_ci_d_hash,
	.d_compare		= generic_ci_d_compare,
	.d_revalidate		= offloadfs_d_revalidate,
	.d_weak_revalidate	= offloadfs_d_weak_revalidate,
	.d_delete		= offloadfs_d_delete,
	.d_init			= offloadfs_d_init,
	.d_release		= offloadfs_d_release,
};

/* The encoding belongs to the lower super block, which outlives the upper. */
static const struct dentry_operations *
offloadfs_inherit_encoding(struct super_block *sb,
			   const struct super_block *lower)
{
	if (!lower->s_encoding)
		return &offloadfs_dentry_operations;
	sb->s_encoding = lower->s_encoding;
	sb->s_encoding_flags = lower->s_encoding_flags;
	return &offloadfs_ci_dentry_operations;
}
#else
static const struct dentry_operations *
offloadfs_inherit_encoding(struct super_block *sb,
			   const struct super_block *lower)
{
	return &offloadfs_dentry_operations;
}
#endif

/**
 * offloadfs_set_dentry_operations - choose them by what the lower can
 * @sb: upper super block, without a dentry yet
 * @lower: lower super block
 */
void offloadfs_set_dentry_operations(struct super_block *sb,
				     const struct super_block *lower)
{
	set_default_d_op(sb, offloadfs_inherit_encoding(sb, lower));
}

/*
 * A name that must not be there yet. If the lower's directory is out of date,
 * the VFS starts again when the creation says so, but not when the lookup does:
 * network file systems do without the latter. The dentry stays unhashed, and
 * without a lower one.
 */
static bool offloadfs_is_for_creation(unsigned int flags)
{
	return (flags & (LOOKUP_EXCL | LOOKUP_RENAME_TARGET)) == LOOKUP_EXCL;
}

/**
 * offloadfs_lookup - ->lookup
 * @dir: upper directory
 * @dentry: name to look up
 * @flags: LOOKUP_*
 *
 * Context: @dir is locked, shared at least; the caller's credentials count.
 * Return: NULL, another dentry of the same directory, or an ERR_PTR():
 * -EREMOTE for what the lower would mount on access, or what the lower's
 * lookup says.
 */
struct dentry *offloadfs_lookup(struct inode *dir, struct dentry *dentry,
				unsigned int flags)
{
	struct inode *lower_inode, *inode = NULL;
	struct dentry *lower;

	lower = offloadfs_lookup_lower(dentry);
	if (lower == ERR_PTR(-ESTALE) && offloadfs_is_for_creation(flags))
		return NULL;
	if (IS_ERR(lower))
		return lower;

	if (lower->d_flags & DCACHE_NEED_AUTOMOUNT) {
		dput(lower);
		return ERR_PTR(-EREMOTE);
	}
	/* Nothing locks the lower: it may become positive at any moment. */
	lower_inode = READ_ONCE(lower->d_inode);
	if (!lower_inode && d_unhashed(lower)) {
		dput(lower);
		return NULL;
	}
	offloadfs_set_lower_dentry(dentry, lower);
	if (lower_inode) {
		inode = offloadfs_iget(dir->i_sb, lower_inode);
		if (IS_ERR(inode))
			return ERR_CAST(inode);
	}
	return d_splice_alias(inode, dentry);
}
