// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs_rpc - copies whose fate is not known: sent, and not answered.
 *
 * Each has a work item, which asks the server (CANCEL) until it says that it has
 * let go of the destination, or is another process by now. Meanwhile the core
 * keeps everybody from the file. The work item owns the copy's entry, and frees
 * it; a mount that goes has all of them come to their end, and waits.
 */
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/wait.h>
#include "rpc.h"

/* So many copies of unknown fate a mount may have. */
#define OFFLOADFS_RPC_MAX_UNSETTLED	1024

/* So many a second are asked for when the server does not answer. */
#define OFFLOADFS_RPC_UNSETTLED_RATE	64

/**
 * struct offloadfs_rpc_unsettled - a copy whose fate is not known
 * @base: what the core knows it by
 * @list: in the mount's list
 * @work: asks the server
 * @mount: the mount
 * @args: what names the copy
 */
struct offloadfs_rpc_unsettled {
	struct offloadfs_unsettled base;
	struct list_head list;
	struct delayed_work work;
	struct offloadfs_rpc_mount *mount;
	struct copyfile_cancel_args args;
};

static struct workqueue_struct *offloadfs_rpc_cancel_wq;

static void offloadfs_rpc_forget(struct offloadfs_rpc_unsettled *u)
{
	struct offloadfs_rpc_mount *mount = u->mount;

	spin_lock(&mount->records_lock);
	list_del(&u->list);
	WRITE_ONCE(mount->nr_unsettled, mount->nr_unsettled - 1);
	wake_up_all(&mount->settled);
	spin_unlock(&mount->records_lock);
	kfree(u);
}

static bool offloadfs_rpc_is_settled(struct offloadfs_rpc_unsettled *u)
{
	struct copyfile_cancel_res res = {};

	if (offloadfs_rpc_cancel(u->mount, &u->args, &res))
		return false;
	return res.status == COPYFILE_OK || res.status == COPYFILE_STALE_BOOT;
}

static void offloadfs_rpc_ask_again(struct work_struct *work)
{
	struct offloadfs_rpc_unsettled *u =
		container_of(to_delayed_work(work),
			     struct offloadfs_rpc_unsettled, work);
	struct offloadfs_rpc_mount *mount = u->mount;
	bool settled = !READ_ONCE(mount->going) && offloadfs_rpc_is_settled(u);
	unsigned int seconds;
	bool done;

	spin_lock(&mount->records_lock);
	done = settled || mount->going;
	seconds = 1 + mount->nr_unsettled / OFFLOADFS_RPC_UNSETTLED_RATE;
	if (!done)
		queue_delayed_work(offloadfs_rpc_cancel_wq, &u->work,
				   seconds * HZ);
	spin_unlock(&mount->records_lock);
	if (!done)
		return;
	offloadfs_settled(&u->base, settled ? mount->lower.mnt : NULL);
	offloadfs_rpc_forget(u);
}

/**
 * offloadfs_rpc_new_unsettled - get ready to remember a copy
 * @mount: of the destination
 *
 * Return: an entry for offloadfs_rpc_add_unsettled() or kfree(), or NULL.
 */
struct offloadfs_rpc_unsettled *
offloadfs_rpc_new_unsettled(struct offloadfs_rpc_mount *mount)
{
	struct offloadfs_rpc_unsettled *u = kzalloc(sizeof(*u), GFP_KERNEL);

	if (!u)
		return NULL;
	INIT_DELAYED_WORK(&u->work, offloadfs_rpc_ask_again);
	u->mount = mount;
	return u;
}

/**
 * offloadfs_rpc_has_too_many - are there too many copies of unknown fate?
 * @mount: the mount
 *
 * Return: whether there are.
 */
bool offloadfs_rpc_has_too_many(const struct offloadfs_rpc_mount *mount)
{
	return READ_ONCE(mount->nr_unsettled) >= OFFLOADFS_RPC_MAX_UNSETTLED;
}

static long offloadfs_rpc_patience(const struct offloadfs_rpc_mount *mount)
{
	const struct rpc_timeout *to = mount->clnt->cl_timeout;

	if (offloadfs_rpc_is_aborted(mount))
		return 0;
	return mount->soft ? to->to_initval * (to->to_retries + 1) :
			     MAX_SCHEDULE_TIMEOUT;
}

/**
 * offloadfs_rpc_add_unsettled - find out what becomes of a copy
 * @u: entry; freed when that is known
 * @inode: the destination, in the lower
 * @copy: what was sent
 */
void offloadfs_rpc_add_unsettled(struct offloadfs_rpc_unsettled *u,
				 struct inode *inode,
				 const struct copyfile_copy_args *copy)
{
	struct offloadfs_rpc_mount *mount = u->mount;

	u->args.id = copy->id;
	memcpy(u->args.boot, copy->boot, sizeof(u->args.boot));
	offloadfs_add_unsettled(&u->base, inode, offloadfs_rpc_patience(mount));
	spin_lock(&mount->records_lock);
	list_add(&u->list, &mount->unsettled);
	WRITE_ONCE(mount->nr_unsettled, mount->nr_unsettled + 1);
	queue_delayed_work(offloadfs_rpc_cancel_wq, &u->work, 0);
	spin_unlock(&mount->records_lock);
}

/**
 * offloadfs_rpc_abort_unsettled - nobody is to wait for them any longer
 * @mount: the mount
 */
void offloadfs_rpc_abort_unsettled(struct offloadfs_rpc_mount *mount)
{
	struct offloadfs_rpc_unsettled *u;

	spin_lock(&mount->records_lock);
	list_for_each_entry(u, &mount->unsettled, list)
		offloadfs_give_up_unsettled(&u->base);
	spin_unlock(&mount->records_lock);
}

/* As long as others would wait for the files, or until the task is killed. */
static void offloadfs_rpc_wait_unsettled(struct offloadfs_rpc_mount *mount)
{
	long patience = offloadfs_rpc_patience(mount);

	if (current->flags & (PF_KTHREAD | PF_EXITING))
		patience = min_t(long, patience, OFFLOADFS_RPC_KTHREAD_TIME);
	wait_event_killable_timeout(mount->settled,
				    !READ_ONCE(mount->nr_unsettled) ||
				    offloadfs_rpc_is_aborted(mount), patience);
}

/**
 * offloadfs_rpc_drop_unsettled - have no more copies of unknown fate
 * @mount: a mount that is going
 *
 * Context: nobody else uses the mount. Waits as the mount's options say; a
 * fatal signal ends the waiting.
 */
void offloadfs_rpc_drop_unsettled(struct offloadfs_rpc_mount *mount)
{
	struct offloadfs_rpc_unsettled *u;
	unsigned int left;

	if (READ_ONCE(mount->nr_unsettled))
		offloadfs_rpc_wait_unsettled(mount);
	spin_lock(&mount->records_lock);
	/* Those that are at work see it. */
	WRITE_ONCE(mount->going, true);
	left = mount->nr_unsettled;
	list_for_each_entry(u, &mount->unsettled, list)
		if (cancel_delayed_work(&u->work))
			queue_delayed_work(offloadfs_rpc_cancel_wq, &u->work, 0);
	spin_unlock(&mount->records_lock);
	if (left)
		pr_err("server %s: unmounted while it may still be writing to %u files\n",
		       mount->server_name, left);
	do {
		if (mount->cancel_clnt)
			rpc_killall_tasks(mount->cancel_clnt);
	} while (!wait_event_timeout(mount->settled,
				     !READ_ONCE(mount->nr_unsettled), HZ));
	/* Whoever was the last has let go of the lock. */
	spin_lock(&mount->records_lock);
	spin_unlock(&mount->records_lock);
}

/**
 * offloadfs_rpc_unsettled_init - get ready for mounts
 *
 * Return: 0 or -ENOMEM.
 */
int offloadfs_rpc_unsettled_init(void)
{
	offloadfs_rpc_cancel_wq = alloc_workqueue("offloadfs_rpc_cancel",
						  WQ_UNBOUND, 0);
	return offloadfs_rpc_cancel_wq ? 0 : -ENOMEM;
}

/**
 * offloadfs_rpc_unsettled_exit - no mount is left
 */
void offloadfs_rpc_unsettled_exit(void)
{
	destroy_workqueue(offloadfs_rpc_cancel_wq);
}
