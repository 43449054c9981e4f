// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - files to which the server of a backend may still be writing.
 *
 * A copy that was sent and not answered leaves its destination unsettled. Until
 * the backend has heard that the server has let go of it, nothing writes to the
 * file through any mount, whatever its backends: not a write(2) either, over
 * which the server might put older bytes. The backend asks, and says when it
 * knows; who wants to write waits for that.
 *
 * Lock: offloadfs_unsettled_lock guards the list. Nothing is taken inside it.
 */
#include <linux/dcache.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/stat.h>
#include <linux/wait.h>
#include "offloadfs.h"

/* How long a task that was killed waits for its copy to be stopped. */
#define OFFLOADFS_KILLED_TIME	(2 * HZ)

/* The same for tasks that no signal can reach. */
#define OFFLOADFS_UNKILLABLE_TIME	(30 * HZ)

unsigned int offloadfs_nr_unsettled __read_mostly;

static LIST_HEAD(offloadfs_unsettled_list);
static DEFINE_SPINLOCK(offloadfs_unsettled_lock);
static DECLARE_WAIT_QUEUE_HEAD(offloadfs_settled_wait);

/**
 * offloadfs_add_unsettled - a server may still be writing to a file
 * @u: to be remembered by; stays in use until offloadfs_settled()
 * @inode: the destination, in the lower; held by the caller
 * @patience: how many jiffies others wait before they have an error,
 *	MAX_SCHEDULE_TIMEOUT to wait for ever, or 0
 *
 * To be called before the destination's lock is released.
 */
void offloadfs_add_unsettled(struct offloadfs_unsettled *u, struct inode *inode,
			     long patience)
{
	ihold(inode);
	u->inode = inode;
	u->patience = patience;
	spin_lock(&offloadfs_unsettled_lock);
	list_add(&u->list, &offloadfs_unsettled_list);
	WRITE_ONCE(offloadfs_nr_unsettled, offloadfs_nr_unsettled + 1);
	spin_unlock(&offloadfs_unsettled_lock);
}
EXPORT_SYMBOL_GPL(offloadfs_add_unsettled);

/**
 * offloadfs_give_up_unsettled - nobody is to wait for this one any longer
 * @u: added, and not settled
 *
 * Context: does not sleep.
 */
void offloadfs_give_up_unsettled(struct offloadfs_unsettled *u)
{
	spin_lock(&offloadfs_unsettled_lock);
	u->patience = 0;
	spin_unlock(&offloadfs_unsettled_lock);
	wake_up_all(&offloadfs_settled_wait);
}
EXPORT_SYMBOL_GPL(offloadfs_give_up_unsettled);

/* What the server has written, the lower is to see before anyone writes. */
static void offloadfs_refresh_unsettled(struct inode *inode,
					struct vfsmount *mnt)
{
	struct dentry *dentry = d_find_alias(inode);
	struct path path = { .mnt = mnt, .dentry = dentry };
	struct kstat stat;

	if (dentry)
		vfs_getattr_nosec(&path, &stat, STATX_BASIC_STATS,
				  AT_STATX_FORCE_SYNC);
	dput(dentry);
	invalidate_inode_pages2(inode->i_mapping);
}

/**
 * offloadfs_settled - the server has let go of a file
 * @u: what was added; free again afterwards
 * @mnt: mount of the lower, or NULL if the server has not let go and nobody is
 *	going to ask
 *
 * Context: process context, may sleep for what the lower has to write and to
 * ask. No lock of the inode may be held.
 */
void offloadfs_settled(struct offloadfs_unsettled *u, struct vfsmount *mnt)
{
	if (mnt && offloadfs_is_elsewhere(u->inode))
		offloadfs_refresh_unsettled(u->inode, mnt);
	spin_lock(&offloadfs_unsettled_lock);
	list_del(&u->list);
	WRITE_ONCE(offloadfs_nr_unsettled, offloadfs_nr_unsettled - 1);
	spin_unlock(&offloadfs_unsettled_lock);
	wake_up_all(&offloadfs_settled_wait);
	iput(u->inode);
}
EXPORT_SYMBOL_GPL(offloadfs_settled);

/* How long the file is worth waiting for: -1 if it is settled. */
static long offloadfs_patience(const struct inode *inode)
{
	const struct offloadfs_unsettled *u;
	long patience = -1;

	spin_lock(&offloadfs_unsettled_lock);
	list_for_each_entry(u, &offloadfs_unsettled_list, list)
		if (u->inode == inode)
			patience = max(patience, u->patience);
	spin_unlock(&offloadfs_unsettled_lock);
	return patience;
}

/**
 * offloadfs_wait_settled - wait until a file may be written to
 * @inode: lower inode
 * @most: jiffies to wait at most, however patient the mount is; 0: not at all
 *
 * A task that was killed waits for a moment still: the server may be about to
 * let go of what it was told to.
 *
 * Context: process context. The lower inode is not locked; of the upper one's
 * locks, none that is held longer than @most allows.
 * Return: 0; -EAGAIN if @most is 0 and the file is not settled; -EIO if it was
 * not in time; -EINTR if the task was killed.
 */
int offloadfs_wait_settled(struct inode *inode, long most)
{
	long patience = offloadfs_patience(inode);

	if (patience < 0)
		return 0;
	if (!most)
		return -EAGAIN;
	patience = min(patience, most);
	if (current->flags & (PF_KTHREAD | PF_EXITING))
		patience = min_t(long, patience, OFFLOADFS_UNKILLABLE_TIME);
	if (fatal_signal_pending(current))
		wait_event_timeout(offloadfs_settled_wait,
				   offloadfs_patience(inode) <= 0,
				   min_t(long, patience, OFFLOADFS_KILLED_TIME));
	else
		wait_event_killable_timeout(offloadfs_settled_wait,
					    offloadfs_patience(inode) <= 0,
					    patience);
	if (offloadfs_patience(inode) < 0)
		return 0;
	return fatal_signal_pending(current) ? -EINTR : -EIO;
}
