// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - file locks: taken on the lower file, so that whoever uses the
 * lower directly, another mount of it or its server sees them.
 *
 * A POSIX or OFD lock is recorded on the upper inode as well, where the VFS
 * looks for what it has to drop when a descriptor is closed, as NFS records the
 * locks that its server holds. It is the lower that decides: a lock is recorded
 * once it is held there, and the record goes before the lock does.
 */
#include <linux/filelock.h>
#include <linux/fs.h>
#include "offloadfs.h"

/* Make a lock the lower file's. */
static void offloadfs_move_lock(struct file_lock *fl, struct file *file,
				struct file *lower)
{
	fl->c.flc_file = lower;
	if (fl->c.flc_owner == file)
		fl->c.flc_owner = lower;
}

/**
 * offloadfs_flush - ->flush: a descriptor is closed
 * @file: upper file
 * @id: owner of the process's locks
 *
 * Return: 0, or the error that a backend or the lower reports on close.
 */
int offloadfs_flush(struct file *file, fl_owner_t id)
{
	struct file *lower = offloadfs_lower_file(file);
	int err = offloadfs_flush_backends(file);
	int err2 = lower->f_op->flush ? lower->f_op->flush(lower, id) : 0;

	return err ?: err2;
}

/* Waits for the lock if it is to, but not for a server (lockd, nfsd). */
static int offloadfs_lock_lower(struct file *lower, int cmd,
				struct file_lock *fl)
{
	int err;

	if (fl->fl_lmops) {
		fl->c.flc_flags &= ~FL_SLEEP;
		cmd = F_SETLK;
	}
	if (!lower->f_op->lock)
		return locks_lock_file_wait(lower, fl);
	err = lower->f_op->lock(lower, cmd, fl);
	if (err != FILE_LOCK_DEFERRED)
		return err;
	locks_delete_block(fl);
	return -EAGAIN;
}

static int offloadfs_record_lock(struct file *file, struct file_lock *fl)
{
	if (fl->fl_lmops)
		return posix_lock_file(file, fl, NULL);
	return locks_lock_file_wait(file, fl);
}

/* Has the owner of the lock another one recorded, in its range? */
static bool offloadfs_has_record(struct file *file, const struct file_lock *fl)
{
	struct file_lock_context *ctx = locks_inode_context(file_inode(file));
	const struct file_lock *rec;
	bool found = false;

	if (!ctx)
		return false;
	spin_lock(&ctx->flc_lock);
	list_for_each_entry(rec, &ctx->flc_posix, c.flc_list)
		found |= rec->c.flc_owner == fl->c.flc_owner &&
			 rec->fl_start <= fl->fl_end && rec->fl_end >= fl->fl_start;
	spin_unlock(&ctx->flc_lock);
	return found;
}

static int offloadfs_set_lock(struct file *file, int cmd, struct file_lock *fl,
			      struct file_lock *lower_fl)
{
	struct file *lower = offloadfs_lower_file(file);
	int err;

	if (fl->c.flc_type == F_UNLCK) {
		/* To unlock a part splits the record, for which there may be no memory. */
		err = offloadfs_record_lock(file, fl);
		if (err)
			return err;
		return offloadfs_lock_lower(lower, F_SETLK, lower_fl);
	}
	err = offloadfs_lock_lower(lower, cmd, lower_fl);
	if (err)
		return err;
	err = offloadfs_record_lock(file, fl);
	if (!err)
		return 0;
	/*
	 * No memory, or killed while waiting for an unlock to be recorded. What
	 * the owner had there before must not be lost: a lock that is stronger
	 * than recorded goes when the record does.
	 */
	if (!offloadfs_has_record(file, fl)) {
		lower_fl->c.flc_type = F_UNLCK;
		offloadfs_lock_lower(lower, F_SETLK, lower_fl);
	}
	return err == FILE_LOCK_DEFERRED ? -EAGAIN : err;
}

static int offloadfs_get_lock(struct file *file, struct file_lock *fl,
			      struct file_lock *lower_fl)
{
	int err = vfs_test_lock(offloadfs_lower_file(file), lower_fl);

	if (!err) {
		locks_copy_conflock(fl, lower_fl);
		fl->c.flc_file = file;
	}
	return err;
}

/**
 * offloadfs_lock - ->lock: POSIX and OFD locks
 * @file: upper file
 * @cmd: F_GETLK, F_SETLK, F_SETLKW or F_CANCELLK
 * @fl: the lock
 *
 * Context: sleeps until the lock is free for F_SETLKW.
 * Return: 0 or a negative errno.
 */
int offloadfs_lock(struct file *file, int cmd, struct file_lock *fl)
{
	struct file_lock lower_fl;
	int err;

	if (cmd == F_CANCELLK)
		return 0;
	locks_init_lock(&lower_fl);
	locks_copy_lock(&lower_fl, fl);
	offloadfs_move_lock(&lower_fl, file, offloadfs_lower_file(file));
	if (cmd == F_GETLK)
		err = offloadfs_get_lock(file, fl, &lower_fl);
	else
		err = offloadfs_set_lock(file, cmd, fl, &lower_fl);
	locks_release_private(&lower_fl);
	return err;
}

/**
 * offloadfs_flock - ->flock
 * @file: upper file
 * @cmd: F_SETLK or F_SETLKW
 * @fl: the lock
 *
 * It belongs to the lower file, whose last close drops it.
 *
 * Return: 0 or a negative errno.
 */
int offloadfs_flock(struct file *file, int cmd, struct file_lock *fl)
{
	struct file *lower = offloadfs_lower_file(file);

	offloadfs_move_lock(fl, file, lower);
	if (lower->f_op->flock)
		return lower->f_op->flock(lower, cmd, fl);
	return locks_lock_file_wait(lower, fl);
}
