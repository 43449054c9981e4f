// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs_rpc - making copied data durable.
 *
 * The server may have copied data in memory only. Each file with such data has
 * a record, which holds the file's dentry, so that it can be named as long as
 * it is there. COMMIT removes it. If the server says that it may have lost the
 * data since, or could not write it, the file's mapping learns of it, by which
 * each open file reports it once, as for data that was written.
 *
 * Locks: record->lock is held during COMMIT: one at a time for a file, and who
 * comes second waits. mount->records_lock, inside it, guards the list and what
 * the records say; a copy that ends during a COMMIT waits for no more than that.
 */
#include <linux/cred.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "rpc.h"

/* Beyond so many files the server makes copies durable at once. */
#define OFFLOADFS_RPC_MAX_RECORDS	1024

/* So often COMMIT is tried again when the server turns out to be a new one. */
#define OFFLOADFS_RPC_MAX_TRIES		4

/* COMMIT comes back to a busy server after that, and twice that, up to... */
#define OFFLOADFS_RPC_MIN_BACK_OFF	(HZ / 20)
#define OFFLOADFS_RPC_BACK_OFFS		5U
#define OFFLOADFS_RPC_MAX_BACK_OFF	(HZ)

/**
 * struct offloadfs_rpc_record - a file that is not known to be durable
 * @list: in the mount's records, or empty
 * @count: references: the list, and who uses it
 * @path: the file, in the lower; the core's private mount outlives it
 * @cred: who copied
 * @lock: one COMMIT at a time
 * @noted: raised with every copy
 * @dirty: there is something to commit
 * @fileid: file id at the server
 * @start: first byte copied
 * @end: byte after the last one
 * @verifier: write verifier under which it was copied
 */
struct offloadfs_rpc_record {
	struct list_head list;
	refcount_t count;
	struct path path;
	const struct cred *cred;
	struct mutex lock;
	unsigned int noted;
	bool dirty;
	u64 fileid;
	u64 start;
	u64 end;
	copyfile_verifier verifier;
};

/**
 * struct offloadfs_rpc_commit - one COMMIT
 * @noted: the record's when it began
 * @fileid: of the file
 * @start: first byte
 * @end: byte after the last one
 * @before: write verifier under which it was copied
 * @after: the server's answer
 */
struct offloadfs_rpc_commit {
	unsigned int noted;
	u64 fileid;
	u64 start;
	u64 end;
	copyfile_verifier before;
	copyfile_verifier after;
};

static struct inode *
offloadfs_rpc_record_inode(const struct offloadfs_rpc_record *record)
{
	return d_inode(record->path.dentry);
}

static struct offloadfs_rpc_record *
offloadfs_rpc_new_record(const struct file *file)
{
	struct offloadfs_rpc_record *record;

	record = kzalloc(sizeof(*record), GFP_KERNEL);
	if (!record)
		return NULL;
	INIT_LIST_HEAD(&record->list);
	refcount_set(&record->count, 1);
	mutex_init(&record->lock);
	record->path.mnt = file->f_path.mnt;
	record->path.dentry = dget(file->f_path.dentry);
	record->cred = get_current_cred();
	return record;
}

/**
 * offloadfs_rpc_put_record - let go of a record
 * @record: the record
 */
void offloadfs_rpc_put_record(struct offloadfs_rpc_record *record)
{
	if (!refcount_dec_and_test(&record->count))
		return;
	dput(record->path.dentry);
	put_cred(record->cred);
	kfree(record);
}

static struct offloadfs_rpc_record *
offloadfs_rpc_look_up(struct offloadfs_rpc_mount *mount,
		      const struct inode *inode)
{
	struct offloadfs_rpc_record *record;

	lockdep_assert_held(&mount->records_lock);
	list_for_each_entry(record, &mount->records, list) {
		if (offloadfs_rpc_record_inode(record) == inode) {
			refcount_inc(&record->count);
			return record;
		}
	}
	return NULL;
}

static struct offloadfs_rpc_record *
offloadfs_rpc_find_record(struct offloadfs_rpc_mount *mount,
			  const struct inode *inode)
{
	struct offloadfs_rpc_record *record;

	if (!READ_ONCE(mount->nr_records))
		return NULL;
	spin_lock(&mount->records_lock);
	record = offloadfs_rpc_look_up(mount, inode);
	spin_unlock(&mount->records_lock);
	return record;
}

/**
 * offloadfs_rpc_get_record - get ready to remember that a file is copied to
 * @mount: the mount
 * @file: the destination, in the lower
 *
 * Return: a record for offloadfs_rpc_note(), to be let go of by
 * offloadfs_rpc_put_record(); NULL if there are too many, or no memory.
 */
struct offloadfs_rpc_record *
offloadfs_rpc_get_record(struct offloadfs_rpc_mount *mount,
			 const struct file *file)
{
	struct offloadfs_rpc_record *record;

	record = offloadfs_rpc_find_record(mount, file_inode(file));
	if (record || READ_ONCE(mount->nr_records) >= OFFLOADFS_RPC_MAX_RECORDS)
		return record;
	return offloadfs_rpc_new_record(file);
}

/*
 * Put a record on the list, unless another one of the file is there: a file has
 * one. Returns that which is, with a reference.
 */
static struct offloadfs_rpc_record *
offloadfs_rpc_list(struct offloadfs_rpc_mount *mount,
		   struct offloadfs_rpc_record *record)
{
	struct offloadfs_rpc_record *other;

	other = offloadfs_rpc_look_up(mount, offloadfs_rpc_record_inode(record));
	if (other)
		return other;
	refcount_add(2, &record->count);
	list_add_tail(&record->list, &mount->records);
	mount->nr_records++;
	return record;
}

/* The caller has a reference of its own. */
static void offloadfs_rpc_unlist(struct offloadfs_rpc_mount *mount,
				 struct offloadfs_rpc_record *record)
{
	lockdep_assert_held(&mount->records_lock);
	if (list_empty(&record->list))
		return;
	list_del_init(&record->list);
	mount->nr_records--;
	refcount_dec(&record->count);
}

/* Every open file, and syncfs(2), hears of it once. */
static void offloadfs_rpc_lost(const struct offloadfs_rpc_mount *mount,
			       const struct offloadfs_rpc_record *record,
			       int err)
{
	struct inode *inode = offloadfs_rpc_record_inode(record);

	pr_err_ratelimited("server %s: copied data of inode %llu may be lost (%d)\n",
			   mount->server_name, (u64)inode->i_ino, err);
	filemap_set_wb_err(inode->i_mapping, err);
	errseq_set(&inode->i_sb->s_wb_err, err);
}

/**
 * offloadfs_rpc_note - remember that copied data is not durable
 * @mount: the mount
 * @record: record of the destination
 * @pos: where the copy begins in it
 * @res: what the server said
 *
 * Context: does not sleep.
 */
void offloadfs_rpc_note(struct offloadfs_rpc_mount *mount,
			struct offloadfs_rpc_record *record, u64 pos,
			const struct copyfile_copy_res *res)
{
	u64 end = pos + res->count;
	bool lost;

	spin_lock(&mount->records_lock);
	record = offloadfs_rpc_list(mount, record);
	lost = record->dirty && memcmp(record->verifier, res->verifier,
				       COPYFILE_VERIFIER_SIZE);
	record->start = record->dirty ? min(record->start, pos) : pos;
	record->end = record->dirty ? max(record->end, end) : end;
	record->fileid = res->fileid;
	memcpy(record->verifier, res->verifier, COPYFILE_VERIFIER_SIZE);
	record->dirty = true;
	record->noted++;
	spin_unlock(&mount->records_lock);
	if (lost)
		offloadfs_rpc_lost(mount, record, -EIO);
	offloadfs_rpc_put_record(record);
}

/* What COMMIT is about. Returns whether there is anything to do. */
static bool offloadfs_rpc_snapshot(struct offloadfs_rpc_mount *mount,
				   struct offloadfs_rpc_record *record,
				   struct offloadfs_rpc_commit *c)
{
	bool dirty;

	spin_lock(&mount->records_lock);
	dirty = record->dirty;
	c->noted = record->noted;
	c->fileid = record->fileid;
	c->start = record->start;
	c->end = record->end;
	memcpy(c->before, record->verifier, COPYFILE_VERIFIER_SIZE);
	spin_unlock(&mount->records_lock);
	return dirty;
}

/* What was copied since has to be committed again. */
static void offloadfs_rpc_committed(struct offloadfs_rpc_mount *mount,
				    struct offloadfs_rpc_record *record,
				    const struct offloadfs_rpc_commit *c)
{
	spin_lock(&mount->records_lock);
	if (record->noted == c->noted) {
		record->dirty = false;
		offloadfs_rpc_unlist(mount, record);
	}
	spin_unlock(&mount->records_lock);
}

/*
 * One COMMIT, of the file or, if it cannot be named or is not to be opened, of
 * all of the export. Returns the status or a negative errno.
 */
static int offloadfs_rpc_commit_once(struct offloadfs_rpc_mount *mount,
				     struct offloadfs_rpc_record *record,
				     struct offloadfs_rpc_commit *c, bool all)
{
	struct copyfile_commit_args args = {
		.export	= mount->export,
		.path	= "",
		.fileid	= all ? 0 : c->fileid,
		.offset	= all ? 0 : c->start,
		.count	= all ? 0 : c->end - c->start,
	};
	struct copyfile_commit_res res = {};
	char *buf = NULL;
	int err;

	offloadfs_rpc_get_boot(mount, args.boot);
	if (!all) {
		buf = __getname();
		if (!buf)
			return -ENOMEM;
		args.path = offloadfs_rpc_path(mount, &record->path, buf);
		if (IS_ERR(args.path)) {
			__putname(buf);
			return COPYFILE_NOENT;
		}
	}
	err = offloadfs_rpc_call(mount, COPYFILE_COMMIT, &args, &res,
				 record->cred, 0, NULL);
	if (buf)
		__putname(buf);
	memcpy(c->after, res.verifier, COPYFILE_VERIFIER_SIZE);
	return err ?: res.status;
}

/*
 * The server has too much to do: come back a little later, and later still.
 * Returns -EIO when that has been too often for who cannot wait for ever.
 */
static int offloadfs_rpc_back_off(struct offloadfs_rpc_mount *mount,
				  unsigned int n)
{
	unsigned long most = OFFLOADFS_RPC_KTHREAD_TIME;
	const struct rpc_timeout *to = mount->clnt->cl_timeout;
	bool patient = !mount->soft && !offloadfs_rpc_is_aborted(mount) &&
		       !(current->flags & (PF_EXITING | PF_KTHREAD));

	if (mount->soft)
		most = max(most, to->to_initval * (to->to_retries + 1));
	if (!patient && n >= OFFLOADFS_RPC_BACK_OFFS &&
	    (n - OFFLOADFS_RPC_BACK_OFFS) * OFFLOADFS_RPC_MAX_BACK_OFF > most)
		return -EIO;
	schedule_timeout_killable(min(OFFLOADFS_RPC_MAX_BACK_OFF,
				      OFFLOADFS_RPC_MIN_BACK_OFF <<
				      min(n, OFFLOADFS_RPC_BACK_OFFS)));
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/* Become known to a server that has started anew. As below. */
static int offloadfs_rpc_commit_anew(struct offloadfs_rpc_mount *mount)
{
	int err = offloadfs_rpc_hello(mount, 0);

	/* Gone for good: told once, and no more. */
	if (err == -ESTALE || err == -ENOENT)
		return COPYFILE_IO;
	return err == -EBUSY ? COPYFILE_BUSY : err;
}

/* Until the server has an answer. Returns the status or a negative errno. */
static int offloadfs_rpc_commit_any(struct offloadfs_rpc_mount *mount,
				    struct offloadfs_rpc_record *record,
				    struct offloadfs_rpc_commit *c)
{
	unsigned int tries = 0, busy = 0;
	bool all = false;
	int ret, err;

	for (;;) {
		ret = offloadfs_rpc_commit_once(mount, record, c, all);
		if (ret == COPYFILE_STALE_BOOT) {
			if (++tries > OFFLOADFS_RPC_MAX_TRIES)
				return -EIO;
			ret = offloadfs_rpc_commit_anew(mount);
			if (!ret)
				continue;
		}
		switch (ret) {
		case COPYFILE_BUSY:
			err = offloadfs_rpc_back_off(mount, busy++);
			if (err)
				return err;
			break;
		case COPYFILE_OK:
		case COPYFILE_IO:
		case COPYFILE_NOSPC:
		case COPYFILE_DQUOT:
			return ret;
		default:
			if (ret < 0 || all)
				return ret < 0 ? ret : COPYFILE_IO;
			all = true;
		}
	}
}

static int offloadfs_rpc_commit_errno(int status)
{
	return status == COPYFILE_NOSPC ? -ENOSPC :
	       status == COPYFILE_DQUOT ? -EDQUOT : -EIO;
}

/* Record->lock is held. */
static int offloadfs_rpc_commit_locked(struct offloadfs_rpc_mount *mount,
				       struct offloadfs_rpc_record *record)
{
	struct offloadfs_rpc_commit c;
	int ret;

	if (!offloadfs_rpc_snapshot(mount, record, &c))
		return 0;
	ret = offloadfs_rpc_commit_any(mount, record, &c);
	if (ret < 0 && offloadfs_rpc_is_exiting())
		offloadfs_rpc_set_down(mount->server);
	if (ret < 0)
		return fatal_signal_pending(current) ? -EINTR : -EIO;
	if (ret != COPYFILE_OK)
		offloadfs_rpc_lost(mount, record,
				   offloadfs_rpc_commit_errno(ret));
	else if (memcmp(c.after, c.before, sizeof(c.after)))
		offloadfs_rpc_lost(mount, record, -EIO);
	offloadfs_rpc_committed(mount, record, &c);
	return 0;
}

static int offloadfs_rpc_commit_record(struct offloadfs_rpc_mount *mount,
				       struct offloadfs_rpc_record *record)
{
	int err;

	if (offloadfs_rpc_is_exiting() ? !mutex_trylock(&record->lock) :
					 mutex_lock_killable(&record->lock))
		return -EINTR;
	err = offloadfs_rpc_commit_locked(mount, record);
	mutex_unlock(&record->lock);
	return err;
}

/* For who does not want to wait to find out. */
static bool offloadfs_rpc_is_gone(const struct offloadfs_rpc_mount *mount)
{
	return offloadfs_rpc_is_down(mount->server) ||
	       !offloadfs_rpc_answers(mount->server, true);
}

/**
 * offloadfs_rpc_commit - ->commit of the backend, for fsync(2)
 * @priv: mount
 * @dst: file in the lower
 * @start: first byte; all that was copied is committed, though
 * @end: last byte
 * @datasync: ignored
 *
 * Return: 0, with the mapping told if data is lost; -EINTR if the task was
 * killed; -EIO if the server did not answer, and the next fsync(2) asks again.
 */
int offloadfs_rpc_commit(void *priv, struct file *dst, loff_t start,
			 loff_t end, int datasync)
{
	struct offloadfs_rpc_mount *mount = priv;
	struct offloadfs_rpc_record *record;
	int err;

	record = offloadfs_rpc_find_record(mount, file_inode(dst));
	if (!record)
		return 0;
	if (offloadfs_rpc_is_aborted(mount) && offloadfs_rpc_is_gone(mount))
		err = -EIO;
	else
		err = offloadfs_rpc_commit_record(mount, record);
	offloadfs_rpc_put_record(record);
	return err;
}

/**
 * offloadfs_rpc_flush - ->flush of the backend, for close(2)
 * @priv: mount
 * @dst: file in the lower
 *
 * NFS makes written data durable when a file is closed, so that the next to
 * open it, on whichever client, finds what was written whatever happens to the
 * server. Other lowers do not.
 *
 * Return: 0, or the error that a write would have by now.
 */
int offloadfs_rpc_flush(void *priv, struct file *dst)
{
	struct offloadfs_rpc_mount *mount = priv;
	int err;

	if (file_inode(dst)->i_sb->s_magic != NFS_SUPER_MAGIC ||
	    !READ_ONCE(mount->nr_records))
		return 0;
	if (offloadfs_rpc_is_exiting() && offloadfs_rpc_is_gone(mount))
		return -EIO;
	err = offloadfs_rpc_commit(priv, dst, 0, LLONG_MAX, 0);
	return err ?: filemap_check_wb_err(dst->f_mapping,
					   READ_ONCE(dst->f_wb_err));
}

static struct offloadfs_rpc_record *
offloadfs_rpc_next_record(struct offloadfs_rpc_mount *mount)
{
	struct offloadfs_rpc_record *record;

	spin_lock(&mount->records_lock);
	record = list_first_entry_or_null(&mount->records,
					  struct offloadfs_rpc_record, list);
	if (record) {
		refcount_inc(&record->count);
		list_move_tail(&record->list, &mount->records);
	}
	spin_unlock(&mount->records_lock);
	return record;
}

/**
 * offloadfs_rpc_sync - ->sync of the backend, for sync(2) and syncfs(2)
 * @priv: mount
 *
 * Return: 0 or the first error; what is copied meanwhile may be left out.
 */
int offloadfs_rpc_sync(void *priv)
{
	struct offloadfs_rpc_mount *mount = priv;
	unsigned int n = READ_ONCE(mount->nr_records);
	struct offloadfs_rpc_record *record;
	int err = 0;

	/* After umount -f, one that does not answer is not waited for. */
	if (n && offloadfs_rpc_is_aborted(mount) && offloadfs_rpc_is_gone(mount))
		return -EIO;
	while (n-- && (record = offloadfs_rpc_next_record(mount))) {
		err = offloadfs_rpc_commit_record(mount, record);
		offloadfs_rpc_put_record(record);
		if (err)
			break;
	}
	if (err && !fatal_signal_pending(current))
		offloadfs_rpc_set_down(mount->server);
	return err;
}

/* On NFS, removing what is held only renames it until it is let go of. */
static bool offloadfs_rpc_is_removed(const struct offloadfs_rpc_record *record)
{
	return !offloadfs_rpc_record_inode(record)->i_nlink ||
	       record->path.dentry->d_flags & DCACHE_NFSFS_RENAMED;
}

/**
 * offloadfs_rpc_evict - ->evict of the backend: a file is not in use any more
 * @priv: mount
 * @lower: the file, in the lower
 *
 * One that has no name either need not be durable, nor hold its space.
 */
void offloadfs_rpc_evict(void *priv, struct inode *lower)
{
	struct offloadfs_rpc_mount *mount = priv;
	struct offloadfs_rpc_record *record;

	record = offloadfs_rpc_find_record(mount, lower);
	if (!record)
		return;
	if (offloadfs_rpc_is_removed(record)) {
		spin_lock(&mount->records_lock);
		offloadfs_rpc_unlist(mount, record);
		spin_unlock(&mount->records_lock);
	}
	offloadfs_rpc_put_record(record);
}

/**
 * offloadfs_rpc_drop_records - forget what could not be made durable
 * @mount: a mount that is going
 *
 * Context: nobody else uses the mount.
 */
void offloadfs_rpc_drop_records(struct offloadfs_rpc_mount *mount)
{
	struct offloadfs_rpc_record *record;
	struct inode *inode;

	while ((record = offloadfs_rpc_next_record(mount))) {
		inode = offloadfs_rpc_record_inode(record);
		pr_err_ratelimited("server %s: unmounted before copied data of inode %llu was known to be durable\n",
				   mount->server_name, (u64)inode->i_ino);
		spin_lock(&mount->records_lock);
		offloadfs_rpc_unlist(mount, record);
		spin_unlock(&mount->records_lock);
		offloadfs_rpc_put_record(record);
	}
}
