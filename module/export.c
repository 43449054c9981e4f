// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - file handles: open_by_handle_at(2), and export by nfsd.
 *
 * A handle is the lower's, unchanged; decoding one asks the lower first, and
 * gives its dentry an upper one.
 *
 * Lock: obtain_lock, before the dcache's.
 */
#include <linux/dcache.h>
#include <linux/exportfs.h>
#include <linux/fs.h>
#include <linux/writeback.h>
#include "offloadfs.h"

static int offloadfs_encode_fh(struct inode *inode, u32 *fh, int *max_len,
			       struct inode *parent)
{
	return exportfs_encode_inode_fh(offloadfs_lower_inode(inode),
					(struct fid *)fh, max_len,
					parent ? offloadfs_lower_inode(parent) :
						 NULL, 0);
}

/**
 * offloadfs_d_init - ->d_init: a dentry is allocated
 * @dentry: the upper dentry
 *
 * A dentry that d_obtain_alias() makes is seen by others at once, so it has to
 * be told here, before that, which lower dentry it is for.
 *
 * Return: 0.
 */
int offloadfs_d_init(struct dentry *dentry)
{
	struct offloadfs_sb *osb = offloadfs_sb(dentry->d_sb);

	dentry->d_time = OFFLOADFS_NEVER_RIGHT;
	if (unlikely(READ_ONCE(osb->obtain_task) == current))
		offloadfs_set_lower_dentry(dentry, dget(osb->obtain_lower));
	return 0;
}

/* An upper dentry for a lower one, whose reference is used up. */
static struct dentry *offloadfs_obtain(struct super_block *sb,
				       struct dentry *lower)
{
	struct inode *inode = offloadfs_iget(sb, d_inode(lower));
	struct offloadfs_sb *osb = offloadfs_sb(sb);
	struct dentry *dentry;

	if (IS_ERR(inode)) {
		dput(lower);
		return ERR_CAST(inode);
	}
	mutex_lock(&osb->obtain_lock);
	osb->obtain_lower = lower;
	WRITE_ONCE(osb->obtain_task, current);
	dentry = d_obtain_alias(inode);
	WRITE_ONCE(osb->obtain_task, NULL);
	mutex_unlock(&osb->obtain_lock);
	dput(lower);
	return dentry;
}

/*
 * A lower directory outside the one that is shown has no place in the upper.
 * A file's place need not be known, as with any export of part of a file
 * system: see subtree_check in exports(5).
 */
static bool offloadfs_is_shown(struct super_block *sb, struct dentry *lower)
{
	return !d_is_dir(lower) ||
	       is_subdir(lower, offloadfs_sb(sb)->lower.dentry);
}

static int offloadfs_accept_any(void *context, struct dentry *dentry)
{
	return 1;
}

static struct dentry *offloadfs_fh_to_dentry(struct super_block *sb,
					     struct fid *fid, int fh_len,
					     int fh_type)
{
	struct dentry *lower;

	lower = exportfs_decode_fh(offloadfs_lower_mnt(sb), fid, fh_len,
				   fh_type, offloadfs_accept_any, NULL);
	if (IS_ERR_OR_NULL(lower))
		return lower;
	if (!offloadfs_is_shown(sb, lower)) {
		dput(lower);
		return ERR_PTR(-ESTALE);
	}
	return offloadfs_obtain(sb, lower);
}

/*
 * A directory that the lower knows no path of yet: its own handle makes exportfs
 * find one. The reference to LOWER is used up.
 */
static struct dentry *offloadfs_reconnect(struct super_block *sb,
					  struct dentry *lower)
{
	u32 fh[MAX_HANDLE_SZ / sizeof(u32)];
	int type, len = ARRAY_SIZE(fh);

	type = exportfs_encode_inode_fh(d_inode(lower), (struct fid *)fh, &len,
					NULL, 0);
	dput(lower);
	if (type <= 0 || type == FILEID_INVALID)
		return ERR_PTR(-ESTALE);
	return exportfs_decode_fh(offloadfs_lower_mnt(sb), (struct fid *)fh, len,
				  type, offloadfs_accept_any, NULL);
}

static struct dentry *offloadfs_fh_to_parent(struct super_block *sb,
					     struct fid *fid, int fh_len,
					     int fh_type)
{
	struct super_block *lower_sb = offloadfs_lower_mnt(sb)->mnt_sb;
	struct dentry *lower;

	if (!lower_sb->s_export_op->fh_to_parent)
		return ERR_PTR(-ESTALE);
	lower = lower_sb->s_export_op->fh_to_parent(lower_sb, fid, fh_len,
						    fh_type);
	if (!IS_ERR_OR_NULL(lower) && lower->d_flags & DCACHE_DISCONNECTED)
		lower = offloadfs_reconnect(sb, lower);
	if (IS_ERR_OR_NULL(lower))
		return lower;
	if (!offloadfs_is_shown(sb, lower)) {
		dput(lower);
		return ERR_PTR(-ESTALE);
	}
	return offloadfs_obtain(sb, lower);
}

static struct dentry *offloadfs_get_parent(struct dentry *child)
{
	struct dentry *lower = dget_parent(offloadfs_lower_dentry(child));

	if (!offloadfs_is_shown(child->d_sb, lower)) {
		dput(lower);
		return ERR_PTR(-ESTALE);
	}
	return offloadfs_obtain(child->d_sb, lower);
}

/* nfsd wants what it has changed to be durable: that is in the lower. */
static int offloadfs_commit_metadata(struct inode *inode)
{
	struct inode *lower = offloadfs_lower_inode(inode);
	const struct export_operations *ops = lower->i_sb->s_export_op;

	if (ops->commit_metadata)
		return ops->commit_metadata(lower);
	return sync_inode_metadata(lower, 1);
}

/**
 * offloadfs_export_init - let handles be made if the lower's can
 * @sb: upper super block, whose lower is known
 *
 * nfsd treats the mount as it would treat the lower (a network file system
 * wants its files closed before they are removed, say).
 */
void offloadfs_export_init(struct super_block *sb)
{
	const struct export_operations *lower =
		offloadfs_lower_mnt(sb)->mnt_sb->s_export_op;
	struct export_operations *ops = &offloadfs_sb(sb)->export_operations;

	if (!lower || !lower->fh_to_dentry)
		return;
	*ops = (struct export_operations) {
		.encode_fh		= offloadfs_encode_fh,
		.fh_to_dentry		= offloadfs_fh_to_dentry,
		.fh_to_parent		= offloadfs_fh_to_parent,
		.get_parent		= offloadfs_get_parent,
		.commit_metadata	= offloadfs_commit_metadata,
		.flags			= lower->flags,
	};
	sb->s_export_op = ops;
}
