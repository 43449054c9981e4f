// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - the super block: made from the lower directory, and what it
 * answers for the file system as a whole.
 *
 * Lock order: the upper s_umount before the lower one.
 */
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include "offloadfs.h"

static struct kmem_cache *offloadfs_inode_cache;

static struct inode *offloadfs_alloc_inode(struct super_block *sb)
{
	struct offloadfs_inode *oi;

	oi = alloc_inode_sb(sb, offloadfs_inode_cache, GFP_KERNEL);
	if (!oi)
		return NULL;
	oi->lower = NULL;
	return &oi->vfs_inode;
}

static void offloadfs_free_inode(struct inode *inode)
{
	kmem_cache_free(offloadfs_inode_cache, offloadfs_i(inode));
}

static void offloadfs_tell_eviction(struct offloadfs_sb *osb,
				    struct inode *lower)
{
	struct offloadfs_backend *b;

	for (b = osb->backends; b < osb->backends + osb->nr_backends; b++)
		if (b->ops->evict)
			b->ops->evict(b->priv, lower);
}

/*
 * The pointer to the lower inode stays: a path walk in RCU mode may still
 * read it, and the lower inode's memory outlives that walk.
 */
static void offloadfs_evict_inode(struct inode *inode)
{
	struct inode *lower = offloadfs_lower_inode(inode);

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (!lower)
		return;
	offloadfs_tell_eviction(offloadfs_sb(inode->i_sb), lower);
	iput(lower);
}

/*
 * The lower's numbers under our own f_type: umount(8) and others choose a
 * helper program by it.
 */
static int offloadfs_statfs(struct dentry *dentry, struct kstatfs *buf)
{
	struct path lower = offloadfs_lower_path(dentry);
	int err;

	err = vfs_statfs(&lower, buf);
	if (!err)
		buf->f_type = OFFLOADFS_SUPER_MAGIC;
	return err;
}

/*
 * syncfs(2) reports write-back errors that the super block has seen, and the
 * pages are the lower's: hand its errors on, each once.
 */
static void offloadfs_pass_wb_err(struct super_block *sb,
				  struct super_block *lower)
{
	struct offloadfs_sb *osb = offloadfs_sb(sb);
	int err;

	spin_lock(&osb->wb_err_lock);
	err = errseq_check_and_advance(&lower->s_wb_err, &osb->wb_err);
	spin_unlock(&osb->wb_err_lock);
	if (err)
		errseq_set(&sb->s_wb_err, err);
}

/* Before the lower: what it then makes durable includes what they changed. */
static int offloadfs_sync_backends(struct offloadfs_sb *osb)
{
	struct offloadfs_backend *b;
	int err = 0, err2;

	for (b = osb->backends; b < osb->backends + osb->nr_backends; b++) {
		err2 = b->ops->sync ? b->ops->sync(b->priv) : 0;
		err = err ?: err2;
	}
	return err;
}

static int offloadfs_sync_fs(struct super_block *sb, int wait)
{
	struct super_block *lower = offloadfs_lower_mnt(sb)->mnt_sb;
	int err, err2;

	if (!wait)
		return 0;
	err2 = offloadfs_sync_backends(offloadfs_sb(sb));
	down_read_nested(&lower->s_umount, lower->s_stack_depth);
	err = sync_filesystem(lower);
	up_read(&lower->s_umount);
	offloadfs_pass_wb_err(sb, lower);
	return err2 ?: err;
}

/* umount -f. If the mount is in use, it stays. */
static void offloadfs_umount_begin(struct super_block *sb)
{
	struct offloadfs_sb *osb = offloadfs_sb(sb);
	struct offloadfs_backend *b;

	for (b = osb->backends; b < osb->backends + osb->nr_backends; b++)
		if (b->ops->abort)
			b->ops->abort(b->priv);
}

/*
 * Freezing a mount freezes the lower, as with a bind mount, and from either
 * side it is thawed: there is nothing of our own to hold still. When it is the
 * kernel that freezes all file systems, the lower has its turn anyway.
 */
static int offloadfs_freeze_super(struct super_block *sb,
				  enum freeze_holder who, const void *owner)
{
	struct super_block *lower = offloadfs_lower_mnt(sb)->mnt_sb;

	if (!(who & FREEZE_HOLDER_USERSPACE))
		return -EOPNOTSUPP;
	if (lower->s_op->freeze_super)
		return lower->s_op->freeze_super(lower, who, owner);
	if (!lower->s_op->freeze_fs)
		return -EOPNOTSUPP;
	return freeze_super(lower, who, owner);
}

static int offloadfs_thaw_super(struct super_block *sb, enum freeze_holder who,
				const void *owner)
{
	struct super_block *lower = offloadfs_lower_mnt(sb)->mnt_sb;

	if (!(who & FREEZE_HOLDER_USERSPACE))
		return -EINVAL;
	if (lower->s_op->thaw_super)
		return lower->s_op->thaw_super(lower, who, owner);
	return thaw_super(lower, who, owner);
}

static const struct super_operations offloadfs_super_operations = {
	.alloc_inode	= offloadfs_alloc_inode,
	.free_inode	= offloadfs_free_inode,
	.evict_inode	= offloadfs_evict_inode,
	.drop_inode	= inode_just_drop,
	.statfs		= offloadfs_statfs,
	.sync_fs	= offloadfs_sync_fs,
	.umount_begin	= offloadfs_umount_begin,
	.freeze_super	= offloadfs_freeze_super,
	.thaw_super	= offloadfs_thaw_super,
	.show_options	= offloadfs_show_options,
};

/* What the lower is like, so the upper must be. */
static void offloadfs_inherit(struct super_block *sb, const struct path *lower)
{
	struct super_block *lower_sb = lower->mnt->mnt_sb;

	sb->s_maxbytes = lower_sb->s_maxbytes;
	sb->s_blocksize = lower_sb->s_blocksize;
	sb->s_blocksize_bits = lower_sb->s_blocksize_bits;
	sb->s_time_gran = lower_sb->s_time_gran;
	sb->s_time_min = lower_sb->s_time_min;
	sb->s_time_max = lower_sb->s_time_max;
	sb->s_flags |= lower_sb->s_flags & (SB_POSIXACL | SB_SYNCHRONOUS);
	sb->s_iflags |= lower_sb->s_iflags & (SB_I_NOUMASK | SB_I_ALLOW_HSM);
	super_set_uuid(sb, lower_sb->s_uuid.b, lower_sb->s_uuid_len);
	if (sb_rdonly(lower_sb) || (lower->mnt->mnt_flags & MNT_READONLY))
		sb->s_flags |= SB_RDONLY;
	/* The lower may change without the upper's i_version telling of it. */
	sb->s_iflags |= SB_I_IMA_UNVERIFIABLE_SIGNATURE |
			(lower_sb->s_iflags & SB_I_UNTRUSTED_MOUNTER);
	if (lower->mnt->mnt_flags & MNT_NODEV ||
	    lower_sb->s_iflags & SB_I_NODEV)
		sb->s_iflags |= SB_I_NODEV;
	if (lower->mnt->mnt_flags & MNT_NOEXEC ||
	    lower_sb->s_iflags & SB_I_NOEXEC)
		sb->s_iflags |= SB_I_NOEXEC;
	offloadfs_sb(sb)->nosuid = lower->mnt->mnt_flags & MNT_NOSUID ||
				   lower_sb->s_user_ns != sb->s_user_ns;
}

static int offloadfs_make_root(struct super_block *sb)
{
	struct dentry *lower = offloadfs_sb(sb)->lower.dentry;
	struct inode *inode;

	inode = offloadfs_iget(sb, d_inode(lower));
	if (IS_ERR(inode))
		return PTR_ERR(inode);
	sb->s_root = d_make_root(inode);
	if (!sb->s_root)
		return -ENOMEM;
	offloadfs_set_lower_dentry(sb->s_root, dget(lower));
	return 0;
}

static int offloadfs_check_lower(struct fs_context *fc, const struct path *path)
{
	if (path->mnt->mnt_sb->s_stack_depth >= FILESYSTEM_MAX_STACK_DEPTH) {
		errorfc(fc, "%s: too many file systems are stacked there already, or it cannot be stacked on",
			fc->source);
		return -ELOOP;
	}
	return 0;
}

/* The private mount has no path of its own: keep the one it came from. */
static int offloadfs_keep_path(struct offloadfs_sb *osb,
			       const struct path *path)
{
	char *buf = kmalloc(PATH_MAX, GFP_KERNEL);
	char *name;
	int err = 0;

	if (!buf)
		return -ENOMEM;
	name = d_path(path, buf, PATH_MAX);
	if (IS_ERR(name))
		err = PTR_ERR(name);
	else
		osb->lower_name = kstrdup(name, GFP_KERNEL);
	if (!err && !osb->lower_name)
		err = -ENOMEM;
	kfree(buf);
	return err;
}

/**
 * offloadfs_attach_lower - find the lower directory
 * @osb: of the new mount
 * @fc: the request; its source names the directory
 *
 * Before there is a super block, for which sync(2) and others would wait: the
 * way to the directory may lead over a server that does not answer.
 *
 * Return: 0, or an errno after a message in the context's log.
 */
int offloadfs_attach_lower(struct offloadfs_sb *osb, struct fs_context *fc)
{
	struct vfsmount *mnt;
	struct path path;
	int err;

	err = kern_path(fc->source, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &path);
	if (err) {
		errorfc(fc, "lower directory %s: %s", fc->source,
			err == -ENOTDIR ? "not a directory" :
			err == -ENOENT ? "not found" : "cannot be reached");
		return err;
	}
	err = offloadfs_check_lower(fc, &path);
	if (err)
		goto out;
	err = offloadfs_keep_path(osb, &path);
	if (err)
		goto out;
	mnt = clone_private_mount(&path);
	if (IS_ERR(mnt)) {
		errorfc(fc, "lower directory %s: its mount cannot be cloned (unbindable, or of another mount namespace)",
			fc->source);
		err = PTR_ERR(mnt);
		goto out;
	}
	osb->lower.mnt = mnt;
	osb->lower.dentry = dget(path.dentry);
out:
	path_put(&path);
	return err;
}

/* Locks of stacked mounts nest: see offloadfs_set_lock_class(). */
static void offloadfs_set_lock_classes(struct super_block *sb)
{
	static struct lock_class_key
		writers[FILESYSTEM_MAX_STACK_DEPTH][SB_FREEZE_LEVELS];
	static struct lock_class_key rename[FILESYSTEM_MAX_STACK_DEPTH];
	int depth = sb->s_stack_depth - 1;
	int i;

	for (i = 0; i < SB_FREEZE_LEVELS; i++)
		lockdep_set_class(&sb->s_writers.rw_sem[i], &writers[depth][i]);
	lockdep_set_class(&sb->s_vfs_rename_mutex, &rename[depth]);
}

/**
 * offloadfs_fill_super - make the super block from a parsed mount request
 * @sb: new super block; s_fs_info is the struct offloadfs_sb with its lower and
 *	its chain of backends found, but not yet told of the mount
 * @fc: the request; its source names the lower directory
 *
 * Context: s_umount held for writing.
 * Return: 0, or an errno after a message in the context's log. What was set
 * up is freed by offloadfs_kill_sb().
 */
int offloadfs_fill_super(struct super_block *sb, struct fs_context *fc)
{
	struct offloadfs_sb *osb = offloadfs_sb(sb);
	int err;

	osb->wb_err = errseq_sample(&osb->lower.mnt->mnt_sb->s_wb_err);
	sb->s_magic = OFFLOADFS_SUPER_MAGIC;
	sb->s_op = &offloadfs_super_operations;
	sb->s_xattr = offloadfs_xattr_handlers;
	sb->s_stack_depth = osb->lower.mnt->mnt_sb->s_stack_depth + 1;
	offloadfs_set_lock_classes(sb);
	super_set_sysfs_name_generic(sb, "%u:%u", MAJOR(sb->s_dev),
				     MINOR(sb->s_dev));
	offloadfs_set_dentry_operations(sb, osb->lower.mnt->mnt_sb);
	offloadfs_inherit(sb, &osb->lower);
	offloadfs_export_init(sb);

	err = offloadfs_create_backends(sb, fc);
	if (err)
		return err;
	err = offloadfs_make_root(sb);
	if (err)
		return err;
	return offloadfs_sysfs_add(sb);
}

/**
 * offloadfs_free_sb - free what a mount has beyond its super block
 * @osb: may be partly set up, or NULL
 *
 * Context: process context, may sleep; no user is left.
 */
void offloadfs_free_sb(struct offloadfs_sb *osb)
{
	struct offloadfs_backend *b;

	if (!osb)
		return;
	for (b = osb->backends; b < osb->backends + osb->nr_backends; b++) {
		if (b->created && b->ops->destroy)
			b->ops->destroy(b->priv);
		offloadfs_put_backend(b->ops);
	}
	offloadfs_free_options(&osb->options);
	dput(osb->lower.dentry);
	if (osb->lower.mnt)
		kern_unmount(osb->lower.mnt);
	offloadfs_creds_destroy(osb);
	free_percpu(osb->stats);
	kfree(osb->lower_name);
	kfree(osb);
}

/**
 * offloadfs_kill_sb - the last user of the mount is gone
 * @sb: super block, whether its mount succeeded or not
 */
void offloadfs_kill_sb(struct super_block *sb)
{
	struct offloadfs_sb *osb = offloadfs_sb(sb);

	if (osb)
		offloadfs_sysfs_remove(sb);
	kill_anon_super(sb);
	offloadfs_free_sb(osb);
}

static void offloadfs_inode_init_once(void *p)
{
	struct offloadfs_inode *oi = p;

	inode_init_once(&oi->vfs_inode);
}

/**
 * offloadfs_inode_cache_create - make the slab cache of the inodes
 *
 * Return: 0 or -ENOMEM.
 */
int offloadfs_inode_cache_create(void)
{
	offloadfs_inode_cache =
		kmem_cache_create("offloadfs_inode",
				  sizeof(struct offloadfs_inode), 0,
				  SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT,
				  offloadfs_inode_init_once);
	return offloadfs_inode_cache ? 0 : -ENOMEM;
}

/**
 * offloadfs_inode_cache_destroy - free the slab cache of the inodes
 *
 * Context: process context; waits for inodes that RCU still holds.
 */
void offloadfs_inode_cache_destroy(void)
{
	rcu_barrier();
	kmem_cache_destroy(offloadfs_inode_cache);
}
