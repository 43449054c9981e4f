// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - leases and delegations that programs ask for (F_SETLEASE,
 * F_SETDELEG).
 *
 * The program's own is on the upper file, where F_GETLEASE, F_SETSIG and
 * F_SETOWN look. Beside it the lower file has one of ours, so that an open, or
 * a change, in the lower breaks it, wherever it comes from. Ours has nobody to
 * send a signal to: it breaks the upper one, and goes when that is given up.
 *
 * The kernel decides by the lower file: every upper open has a lower one.
 *
 * Lock order: a lease's mutex of the upper mount before one of the lower's;
 * below it what the kernel takes for leases, of one inode at a time.
 */
#include <linux/cred.h>
#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "offloadfs.h"

/**
 * struct offloadfs_lease - ours, of one upper file
 * @list: in the mount's list, from the first lease to the last close
 * @file: upper file
 * @mutex: guards @type and @flags, and what is done to both leases
 * @work: tells the upper of a break in the lower
 * @type: F_RDLCK or F_WRLCK, or F_UNLCK if the lower has none
 * @flags: FL_LEASE or FL_DELEG
 * @unlock: the break wants the lease to go, not only to become shared
 */
struct offloadfs_lease {
	struct list_head list;
	struct file *file;
	struct mutex mutex;	/* one change at a time */
	struct work_struct work;
	int type;
	unsigned int flags;
	bool unlock;
};

static void offloadfs_lock_lease(struct offloadfs_lease *lease)
{
	mutex_lock_nested(&lease->mutex,
			  file_inode(lease->file)->i_sb->s_stack_depth);
}

/* Called with a spin lock held: someone wants the lower file. */
static bool offloadfs_lease_break(struct file_lease *fl)
{
	struct offloadfs_lease *lease = (void *)fl->c.flc_owner;

	WRITE_ONCE(lease->unlock, fl->c.flc_flags & FL_UNLOCK_PENDING);
	schedule_work(&lease->work);
	return false;
}

/*
 * The kernel's for programs, but for who is told of a break. They are not in
 * reach, but with each lease that a program asks for, and always the same.
 */
static struct lease_manager_operations offloadfs_lease_ops;

static void offloadfs_take_ops(const struct lease_manager_operations *theirs)
{
	static DEFINE_MUTEX(once);
	struct lease_manager_operations ops = *theirs;

	ops.lm_break = offloadfs_lease_break;
	ops.lm_setup = NULL;
	mutex_lock(&once);
	if (!offloadfs_lease_ops.lm_break)
		offloadfs_lease_ops = ops;
	mutex_unlock(&once);
}

/*
 * Whoever closes the file may have lost the right to a lease, which Linux 6.1
 * asks of who gives one back, too: the mounter has it.
 */
static void offloadfs_drop_lower_lease(struct offloadfs_lease *lease)
{
	struct super_block *sb = file_inode(lease->file)->i_sb;
	const struct cred *old;
	void *owner = lease;

	if (lease->type != F_UNLCK) {
		old = override_creds(offloadfs_sb(sb)->mounter);
		kernel_setlease(offloadfs_lower_file(lease->file), F_UNLCK,
				NULL, &owner);
		revert_creds(old);
	}
	lease->type = F_UNLCK;
}

/* Has the program still got its own? The kernel ends one that is ignored. */
static bool offloadfs_has_lease(struct file *file)
{
	struct file_lock_context *ctx = locks_inode_context(file_inode(file));
	const struct file_lease *fl;
	bool found = false;

	if (!ctx)
		return false;
	spin_lock(&ctx->flc_lock);
	list_for_each_entry(fl, &ctx->flc_lease, c.flc_list)
		found |= fl->c.flc_file == file;
	spin_unlock(&ctx->flc_lock);
	return found;
}

static void offloadfs_break_upper(const struct offloadfs_lease *lease)
{
	struct inode *inode = file_inode(lease->file);

	if (!READ_ONCE(lease->unlock))
		break_lease(inode, O_RDONLY | O_NONBLOCK);
	else if (lease->flags & FL_DELEG)
		break_deleg(inode, LEASE_BREAK_NONBLOCK);
	else
		break_lease(inode, O_WRONLY | O_NONBLOCK);
}

static void offloadfs_lease_work(struct work_struct *work)
{
	struct offloadfs_lease *lease =
		container_of(work, struct offloadfs_lease, work);

	offloadfs_lock_lease(lease);
	if (lease->type != F_UNLCK) {
		offloadfs_break_upper(lease);
		if (!offloadfs_has_lease(lease->file))
			offloadfs_drop_lower_lease(lease);
	}
	mutex_unlock(&lease->mutex);
}

static struct offloadfs_lease *offloadfs_find_lease(struct file *file)
{
	struct offloadfs_sb *osb = offloadfs_sb(file_inode(file)->i_sb);
	struct offloadfs_lease *lease;

	lockdep_assert_held(&osb->leases_lock);
	list_for_each_entry(lease, &osb->leases, list)
		if (lease->file == file)
			return lease;
	return NULL;
}

static struct offloadfs_lease *offloadfs_get_lease(struct file *file)
{
	struct offloadfs_sb *osb = offloadfs_sb(file_inode(file)->i_sb);
	struct offloadfs_lease *lease, *new;

	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return NULL;
	new->file = file;
	new->type = F_UNLCK;
	mutex_init(&new->mutex);
	INIT_WORK(&new->work, offloadfs_lease_work);
	spin_lock(&osb->leases_lock);
	lease = offloadfs_find_lease(file);
	if (!lease) {
		lease = new;
		list_add(&lease->list, &osb->leases);
	}
	spin_unlock(&osb->leases_lock);
	if (lease != new)
		kfree(new);
	return lease;
}

/* Ask for ours, or change it. */
static int offloadfs_set_lower_lease(struct offloadfs_lease *lease, int type)
{
	struct file *lower = offloadfs_lower_file(lease->file);
	struct file_lease *fl = locks_alloc_lease();
	int err;

	if (!fl)
		return -ENOMEM;
	fl->c.flc_type = type;
	fl->c.flc_flags = lease->flags;
	fl->c.flc_pid = current->tgid;
	fl->c.flc_owner = (fl_owner_t)lease;
	fl->c.flc_file = lower;
	fl->fl_lmops = &offloadfs_lease_ops;
	err = kernel_setlease(lower, type, &fl, NULL);
	/* Used up if it is a new one. */
	if (fl)
		locks_free_lease(fl);
	if (!err)
		lease->type = type;
	return err;
}

static int offloadfs_take_lease(struct offloadfs_lease *lease, int type,
				struct file_lease **fl, void **priv)
{
	int old = lease->type;
	int err;

	/* Gone in the lower while the program looked away: it is a new one. */
	if (!offloadfs_has_lease(lease->file)) {
		offloadfs_drop_lower_lease(lease);
		old = F_UNLCK;
	}
	if (old == F_UNLCK)
		lease->flags = (*fl)->c.flc_flags & (FL_LEASE | FL_DELEG);
	offloadfs_take_ops((*fl)->fl_lmops);
	err = offloadfs_set_lower_lease(lease, type);
	if (err)
		return err;
	err = generic_setlease(lease->file, type, fl, priv);
	if (err && (old == F_UNLCK || offloadfs_set_lower_lease(lease, old)))
		offloadfs_drop_lower_lease(lease);
	return err;
}

/* Not one that some who come do not break, such as nfsd's own. */
static bool offloadfs_is_plain_lease(const struct file_lease *fl)
{
	return fl->c.flc_flags & (FL_LEASE | FL_DELEG) &&
	       !fl->fl_lmops->lm_breaker_owns_lease;
}

/**
 * offloadfs_setlease - ->setlease
 * @file: upper file
 * @arg: F_RDLCK, F_WRLCK or F_UNLCK
 * @fl: the lease, or NULL for F_UNLCK
 * @priv: what goes with it, or for F_UNLCK its owner
 *
 * Context: may sleep.
 * Return: 0, what the lower says, or -EINVAL for a lease with rules of its
 * own: nfsd's, which are an optimization.
 */
int offloadfs_setlease(struct file *file, int arg, struct file_lease **fl,
		       void **priv)
{
	struct offloadfs_lease *lease;
	int err;

	if (arg != F_UNLCK && !offloadfs_is_plain_lease(*fl))
		return -EINVAL;
	lease = offloadfs_get_lease(file);
	if (!lease)
		return -ENOMEM;
	offloadfs_lock_lease(lease);
	if (arg == F_UNLCK) {
		offloadfs_drop_lower_lease(lease);
		err = generic_setlease(file, arg, NULL, priv);
	} else {
		err = offloadfs_take_lease(lease, arg, fl, priv);
	}
	mutex_unlock(&lease->mutex);
	return err;
}

/**
 * offloadfs_end_lease - a file is closed
 * @file: upper file whose last reference is gone; the VFS has dropped its lease
 *
 * Context: may sleep; the lower file is still there.
 */
void offloadfs_end_lease(struct file *file)
{
	struct offloadfs_sb *osb = offloadfs_sb(file_inode(file)->i_sb);
	struct offloadfs_lease *lease;

	if (list_empty_careful(&osb->leases))
		return;
	spin_lock(&osb->leases_lock);
	lease = offloadfs_find_lease(file);
	if (lease)
		list_del(&lease->list);
	spin_unlock(&osb->leases_lock);
	if (!lease)
		return;
	offloadfs_lock_lease(lease);
	offloadfs_drop_lower_lease(lease);
	mutex_unlock(&lease->mutex);
	cancel_work_sync(&lease->work);
	kfree(lease);
}
