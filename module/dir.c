// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - directories: changes of names, and listings.
 *
 * The VFS has locked the upper directories and made sure of the upper names.
 * The lower is locked in turn, and its dentries checked: someone may have been
 * faster there. Then -ESTALE makes the VFS look the names up once more.
 *
 * A change that needs a delegation back waits for it with no lock of the lower
 * held. The upper directories stay locked meanwhile, as those of a network file
 * system do while its server recalls one.
 *
 * Lock order: upper directories, then write access to the lower mount, then
 * the lower directories.
 */
#include <linux/backing-file.h>
#include <linux/cred.h>
#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include "offloadfs.h"

/* What a name is to become. */
struct offloadfs_new {
	umode_t mode;
	dev_t rdev;
	const char *symlink;
	struct dentry *link;
};

/* The name below is not what the upper dentry says: have it looked up again. */
static int offloadfs_stale(struct dentry *dentry)
{
	d_drop(dentry);
	return -ESTALE;
}

static bool offloadfs_moved(const struct dentry *dentry)
{
	const struct dentry *lower = offloadfs_lower_dentry(dentry);

	return d_unhashed(lower) ||
	       lower->d_parent != offloadfs_lower_dentry(dentry->d_parent);
}

/**
 * offloadfs_wait_delegated - is a change to be tried again?
 * @delegated: inode of which the change needed a delegation back, if any
 * @err: what the change came to; afterwards, what waiting came to
 *
 * Context: no lock of the lower is held.
 * Return: whether there was one, and it is back.
 */
bool offloadfs_wait_delegated(struct delegated_inode *delegated, int *err)
{
	if (!is_delegated(delegated))
		return false;
	*err = break_deleg_wait(delegated);
	return !*err;
}

/* An unused name that the lower keeps no dentry of: it has to look again. */
static struct dentry *offloadfs_start_creating_name(struct dentry *dentry)
{
	struct qstr name = QSTR_INIT(dentry->d_name.name, dentry->d_name.len);
	struct dentry *lower;

	lower = start_creating(offloadfs_lower_idmap(dentry->d_sb),
			       offloadfs_lower_dentry(dentry->d_parent), &name);
	if (IS_ERR(lower))
		return lower;
	if (d_really_is_positive(lower)) {
		end_creating(lower);
		return ERR_PTR(offloadfs_stale(dentry));
	}
	return lower;
}

static struct dentry *offloadfs_start_creating(struct dentry *dentry)
{
	struct dentry *lower;

	if (!offloadfs_lower_dentry(dentry))
		return offloadfs_start_creating_name(dentry);
	lower = start_creating_dentry(offloadfs_lower_dentry(dentry->d_parent),
				      offloadfs_lower_dentry(dentry));
	if (lower == ERR_PTR(-EINVAL) || lower == ERR_PTR(-EEXIST))
		return ERR_PTR(offloadfs_stale(dentry));
	return lower;
}

static struct dentry *offloadfs_start_removing(struct dentry *dentry)
{
	struct dentry *lower;

	lower = start_removing_dentry(offloadfs_lower_dentry(dentry->d_parent),
				      offloadfs_lower_dentry(dentry));
	if (lower == ERR_PTR(-EINVAL) || lower == ERR_PTR(-ENOENT))
		return ERR_PTR(offloadfs_stale(dentry));
	return lower;
}

/*
 * Give a fresh upper name its inode. A lower that has dropped its dentry
 * (network file systems may) is asked again by the next lookup. One that never
 * had it in its cache, as that of a case-insensitive directory, does for as
 * long as the upper one, which is not there either. Some put it there now.
 */
static int offloadfs_instantiate(struct dentry *dentry, struct dentry *made)
{
	struct dentry *lower = offloadfs_lower_dentry(dentry);
	struct inode *inode;

	if (!lower) {
		lower = dget(made);
		offloadfs_set_lower_dentry(dentry, lower);
	}
	if (d_really_is_negative(lower) ||
	    (d_unhashed(lower) && !d_unhashed(dentry))) {
		d_drop(dentry);
		return 0;
	}
	inode = offloadfs_iget(dentry->d_sb, d_inode(lower));
	if (IS_ERR(inode)) {
		d_drop(dentry);
		return PTR_ERR(inode);
	}
	if (d_unhashed(dentry) && !d_unhashed(lower))
		d_add(dentry, inode);
	else
		d_instantiate(dentry, inode);
	return 0;
}

/* Returns what to hand to end_creating(): an ERR_PTR() if that is done. */
static struct dentry *offloadfs_create_lower(struct mnt_idmap *idmap,
					     struct dentry *lower,
					     const struct offloadfs_new *new,
					     struct delegated_inode *di,
					     int *err)
{
	struct inode *dir = d_inode(lower->d_parent);

	*err = 0;
	if (new->link)
		*err = vfs_link(new->link, idmap, dir, lower, di);
	else if (new->symlink)
		*err = vfs_symlink(idmap, dir, lower, new->symlink, di);
	else if (S_ISREG(new->mode))
		*err = vfs_create(idmap, lower, new->mode, di);
	else if (!S_ISDIR(new->mode))
		*err = vfs_mknod(idmap, dir, lower, new->mode, new->rdev, di);
	else
		lower = vfs_mkdir(idmap, dir, lower, new->mode, di);
	if (IS_ERR(lower))
		*err = PTR_ERR(lower);
	return lower;
}

static int offloadfs_try_make(struct inode *dir, struct dentry *dentry,
			      const struct offloadfs_new *new,
			      struct delegated_inode *delegated)
{
	struct vfsmount *mnt = offloadfs_lower_mnt(dir->i_sb);
	struct dentry *lower;
	int err;

	err = mnt_want_write(mnt);
	if (err)
		return err;
	lower = offloadfs_start_creating(dentry);
	if (IS_ERR(lower)) {
		mnt_drop_write(mnt);
		return PTR_ERR(lower);
	}
	lower = offloadfs_create_lower(mnt_idmap(mnt), lower, new, delegated,
				       &err);
	if (!err)
		err = offloadfs_instantiate(dentry, lower);
	end_creating(lower);
	mnt_drop_write(mnt);
	offloadfs_copy_attr(dir);
	return err;
}

static int offloadfs_make(struct inode *dir, struct dentry *dentry,
			  const struct offloadfs_new *new)
{
	struct delegated_inode delegated = { };
	int err;

	offloadfs_start_change(dentry);
	do {
		err = offloadfs_try_make(dir, dentry, new, &delegated);
	} while (offloadfs_wait_delegated(&delegated, &err));
	if (err)
		offloadfs_cancel_change(dentry);
	return err;
}

static int offloadfs_create(struct mnt_idmap *idmap, struct inode *dir,
			    struct dentry *dentry, umode_t mode, bool excl)
{
	struct offloadfs_new new = { .mode = (mode & ~S_IFMT) | S_IFREG };
	int err = offloadfs_make(dir, dentry, &new);

	/* Another client of the lower's server has made it: look again. */
	if (err == -EEXIST && !excl) {
		if (offloadfs_lower_dentry(dentry))
			d_drop(offloadfs_lower_dentry(dentry));
		return offloadfs_stale(dentry);
	}
	/* The caller goes on to open it. */
	if (!err && d_really_is_negative(dentry))
		return -ESTALE;
	return err;
}

static struct dentry *offloadfs_mkdir(struct mnt_idmap *idmap,
				      struct inode *dir, struct dentry *dentry,
				      umode_t mode)
{
	struct offloadfs_new new = { .mode = (mode & ~S_IFMT) | S_IFDIR };

	return ERR_PTR(offloadfs_make(dir, dentry, &new));
}

static int offloadfs_mknod(struct mnt_idmap *idmap, struct inode *dir,
			   struct dentry *dentry, umode_t mode, dev_t rdev)
{
	struct offloadfs_new new = { .mode = mode, .rdev = rdev };

	return offloadfs_make(dir, dentry, &new);
}

static int offloadfs_symlink(struct mnt_idmap *idmap, struct inode *dir,
			     struct dentry *dentry, const char *target)
{
	struct offloadfs_new new = { .symlink = target };

	return offloadfs_make(dir, dentry, &new);
}

static int offloadfs_link(struct dentry *old, struct inode *dir,
			  struct dentry *dentry)
{
	struct offloadfs_new new = { .link = offloadfs_lower_dentry(old) };
	int err = offloadfs_make(dir, dentry, &new);

	offloadfs_copy_attr(d_inode(old));
	return err;
}

/*
 * NFS first renames a file that is in use, as any is that has an upper name. If
 * it cannot do that it calls the file busy, also when the reason is a directory
 * that the server has removed: then have that one looked up again.
 */
static int offloadfs_check_busy(struct dentry *dir)
{
	struct path lower = offloadfs_lower_path(dir);
	struct kstat stat;
	int err;

	if (lower.mnt->mnt_sb->s_magic != NFS_SUPER_MAGIC)
		return -EBUSY;
	err = vfs_getattr_nosec(&lower, &stat, STATX_NLINK, AT_STATX_FORCE_SYNC);
	if (err == -ESTALE || (!err && !stat.nlink))
		return -ESTALE;
	return -EBUSY;
}

typedef int (*offloadfs_remove_t)(struct mnt_idmap *, struct inode *,
				  struct dentry *, struct delegated_inode *);

static int offloadfs_try_remove(struct dentry *dentry,
				offloadfs_remove_t remove,
				struct delegated_inode *delegated)
{
	struct vfsmount *mnt = offloadfs_lower_mnt(dentry->d_sb);
	struct dentry *lower;
	int err;

	err = mnt_want_write(mnt);
	if (err)
		return err;
	lower = offloadfs_start_removing(dentry);
	if (IS_ERR(lower)) {
		mnt_drop_write(mnt);
		return PTR_ERR(lower);
	}
	err = remove(mnt_idmap(mnt), d_inode(lower->d_parent), lower,
		     delegated);
	end_removing(lower);
	mnt_drop_write(mnt);
	return err;
}

/*
 * The upper name is dropped, not kept as a negative one: with it goes the
 * reference to a lower file that a network file system has only renamed
 * because it was in use.
 */
static int offloadfs_remove(struct inode *dir, struct dentry *dentry,
			    offloadfs_remove_t remove)
{
	struct delegated_inode delegated = { };
	int err;

	do {
		err = offloadfs_try_remove(dentry, remove, &delegated);
	} while (offloadfs_wait_delegated(&delegated, &err));
	offloadfs_copy_attr(dir);
	offloadfs_copy_attr(d_inode(dentry));
	if (!err)
		d_drop(dentry);
	if (err == -EBUSY)
		return offloadfs_check_busy(dentry->d_parent);
	return err;
}

static int offloadfs_unlink(struct inode *dir, struct dentry *dentry)
{
	return offloadfs_remove(dir, dentry, vfs_unlink);
}

static int offloadfs_rmdir(struct inode *dir, struct dentry *dentry)
{
	return offloadfs_remove(dir, dentry, vfs_rmdir);
}

/* The new name is one that the lower keeps no dentry of. */
static int offloadfs_start_renaming_to_name(struct renamedata *rd,
					    struct dentry *old,
					    struct dentry *new)
{
	struct qstr name = QSTR_INIT(new->d_name.name, new->d_name.len);
	int err;

	err = start_renaming_dentry(rd, 0, offloadfs_lower_dentry(old), &name);
	if (err == -EINVAL && offloadfs_moved(old))
		return offloadfs_stale(old);
	if (err || d_really_is_negative(rd->new_dentry))
		return err;
	end_renaming(rd);
	return offloadfs_stale(new);
}

static int offloadfs_start_renaming(struct renamedata *rd, struct dentry *old,
				    struct dentry *new)
{
	int err;

	if (!offloadfs_lower_dentry(new))
		return offloadfs_start_renaming_to_name(rd, old, new);
	err = start_renaming_two_dentries(rd, offloadfs_lower_dentry(old),
					  offloadfs_lower_dentry(new));
	if (err == -EINVAL && offloadfs_moved(old))
		return offloadfs_stale(old);
	if (err == -EINVAL && offloadfs_moved(new))
		return offloadfs_stale(new);
	return err;
}

/*
 * NFS and AFS first rename a file that is to be replaced if its dentry is in use,
 * and the upper one's use of it would count: then there is a moment without a
 * file of that name, and an error leaves it so. The rename itself holds it, too.
 */
static int offloadfs_rename_over(struct renamedata *rd, struct dentry *new)
{
	struct dentry *victim = offloadfs_lower_dentry(new);
	int err;

	if (!victim || rd->flags & RENAME_EXCHANGE ||
	    d_really_is_negative(victim) || d_is_dir(victim))
		return vfs_rename(rd);
	dput(victim);
	err = vfs_rename(rd);
	dget(victim);
	return err;
}

static int offloadfs_try_rename(struct dentry *old, struct dentry *new,
				unsigned int flags,
				struct delegated_inode *delegated)
{
	struct vfsmount *mnt = offloadfs_lower_mnt(old->d_sb);
	struct renamedata rd = {
		.mnt_idmap		= mnt_idmap(mnt),
		.old_parent		= offloadfs_lower_dentry(old->d_parent),
		.new_parent		= offloadfs_lower_dentry(new->d_parent),
		.delegated_inode	= delegated,
		.flags			= flags,
	};
	int err;

	err = mnt_want_write(mnt);
	if (err)
		return err;
	err = offloadfs_start_renaming(&rd, old, new);
	if (err) {
		mnt_drop_write(mnt);
		return err;
	}
	/* Two links of one file by now: both names would stay. */
	if (d_inode(rd.old_dentry) == d_inode(rd.new_dentry))
		err = offloadfs_stale(new);
	else
		err = offloadfs_rename_over(&rd, new);
	end_renaming(&rd);
	mnt_drop_write(mnt);
	return err;
}

static int offloadfs_rename(struct mnt_idmap *idmap, struct inode *old_dir,
			    struct dentry *old, struct inode *new_dir,
			    struct dentry *new, unsigned int flags)
{
	struct delegated_inode delegated = { };
	int err;

	offloadfs_start_change(old);
	offloadfs_start_change(new);
	do {
		err = offloadfs_try_rename(old, new, flags, &delegated);
	} while (offloadfs_wait_delegated(&delegated, &err));
	if (err) {
		offloadfs_cancel_change(old);
		offloadfs_cancel_change(new);
	}

	offloadfs_copy_attr(old_dir);
	offloadfs_copy_attr(new_dir);
	offloadfs_copy_attr(d_inode(old));
	if (d_really_is_positive(new))
		offloadfs_copy_attr(d_inode(new));
	return err;
}

static int offloadfs_tmpfile_opened(struct inode *inode, struct file *file)
{
	offloadfs_file_opened(file, offloadfs_lower_file(file));
	return 0;
}

/* The lower file is open already: make it the upper's. */
static int offloadfs_finish_tmpfile(struct file *file, struct file *lower)
{
	struct dentry *dentry = file->f_path.dentry;
	struct inode *inode;
	int err;

	inode = offloadfs_iget(dentry->d_sb, file_inode(lower));
	if (IS_ERR(inode)) {
		fput(lower);
		return PTR_ERR(inode);
	}
	d_mark_tmpfile(file, inode);
	offloadfs_set_lower_dentry(dentry, dget(lower->f_path.dentry));
	d_instantiate(dentry, inode);
	file->private_data = lower;
	err = finish_open(file, dentry, offloadfs_tmpfile_opened);
	/* ->release() is called for an opened file only. */
	if (!(file->f_mode & FMODE_OPENED))
		fput(lower);
	return err;
}

static struct file *offloadfs_open_tmpfile(struct file *file,
					   const struct path *parent,
					   umode_t mode)
{
	const struct cred *cred = offloadfs_open_cred(file->f_path.dentry->d_sb);
	const struct cred *old;
	struct file *lower;

	if (IS_ERR(cred))
		return ERR_CAST(cred);
	old = override_creds(cred);
	lower = backing_tmpfile_open(file, file->f_flags, parent, mode, cred);
	revert_creds(old);
	put_cred(cred);
	return lower;
}

static int offloadfs_tmpfile(struct mnt_idmap *idmap, struct inode *dir,
			     struct file *file, umode_t mode)
{
	struct path parent = offloadfs_lower_path(file->f_path.dentry->d_parent);
	struct file *lower;
	int err;

	err = mnt_want_write(parent.mnt);
	if (err)
		return err;
	lower = offloadfs_open_tmpfile(file, &parent, mode);
	if (IS_ERR(lower))
		err = PTR_ERR(lower);
	else
		err = offloadfs_finish_tmpfile(file, lower);
	mnt_drop_write(parent.mnt);
	return err;
}

/* The lower's positions are the upper's: its cookies go to the program. */
static int offloadfs_iterate(struct file *file, struct dir_context *ctx)
{
	struct file *lower = offloadfs_lower_file(file);

	lower->f_pos = ctx->pos;
	return iterate_dir(lower, ctx);
}

const struct file_operations offloadfs_dir_operations = {
	.owner		= THIS_MODULE,
	.open		= offloadfs_open,
	.release	= offloadfs_release,
	.read		= generic_read_dir,
	.iterate_shared	= offloadfs_iterate,
	.llseek		= offloadfs_llseek,
	.fsync		= offloadfs_fsync,
	.flush		= offloadfs_flush,
	.lock		= offloadfs_lock,
	.flock		= offloadfs_flock,
	.setlease	= offloadfs_setlease,
	.unlocked_ioctl	= offloadfs_ioctl,
	.compat_ioctl	= offloadfs_compat_ioctl,
};

const struct inode_operations offloadfs_dir_inode_operations = {
	.lookup		= offloadfs_lookup,
	.create		= offloadfs_create,
	.link		= offloadfs_link,
	.unlink		= offloadfs_unlink,
	.symlink	= offloadfs_symlink,
	.mkdir		= offloadfs_mkdir,
	.rmdir		= offloadfs_rmdir,
	.mknod		= offloadfs_mknod,
	.rename		= offloadfs_rename,
	.tmpfile	= offloadfs_tmpfile,
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
