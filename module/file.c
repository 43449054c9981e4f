// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - files: everything but copies goes straight to the lower file.
 *
 * The upper file has no pages; private_data is the lower file. A synchronous
 * read or write borrows the caller's kiocb for the lower file; an asynchronous
 * one goes through the backing-file helpers, which keep the two apart until it
 * completes. Either asks who watches the lower (fanotify) before, and tells
 * them afterwards.
 *
 * Lock order: the upper sb_writers before the lower one, that before the
 * lower inode's lock. No upper inode lock is taken here.
 */
#include <linux/fs.h>
#include <linux/backing-file.h>
#include <linux/cred.h>
#include <linux/fadvise.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/filelock.h>
#include <linux/fsnotify.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/uio.h>
#include "offloadfs.h"

/* What open(2) does once, at the upper; the lower file is opened as it is. */
#define OFFLOADFS_OPEN_ONCE	(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC)

/**
 * offloadfs_file_opened - make an upper file follow its open lower file
 * @file: upper file
 * @lower: lower file; belongs to @file from here on
 *
 * Context: in ->open or ->tmpfile, before anyone else sees @file.
 */
void offloadfs_file_opened(struct file *file, struct file *lower)
{
	const fmode_t positioned = FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
	const fmode_t able = FMODE_CAN_ODIRECT | FMODE_NOWAIT |
			     FMODE_CAN_ATOMIC_WRITE;

	file->private_data = lower;
	file->f_mode |= lower->f_mode & able;
	file->f_mode &= ~positioned | lower->f_mode;
}

static struct file *offloadfs_open_path(struct file *file, struct path *path)
{
	const struct cred *cred = offloadfs_open_cred(file_inode(file)->i_sb);
	const struct cred *old;
	struct file *lower;

	if (IS_ERR(cred))
		return ERR_CAST(cred);
	old = override_creds(cred);
	lower = backing_file_open(file, file->f_flags & ~OFFLOADFS_OPEN_ONCE,
				  path, cred);
	revert_creds(old);
	put_cred(cred);
	return lower;
}

static int offloadfs_chmod_lower(const struct path *path, umode_t mode)
{
	struct iattr attr = {
		.ia_valid = ATTR_MODE | ATTR_CTIME,
		.ia_mode = mode,
	};
	struct inode *inode = d_inode(path->dentry);
	int err;

	inode_lock(inode);
	err = notify_change(mnt_idmap(path->mnt), path->dentry, &attr, NULL);
	inode_unlock(inode);
	return err;
}

/*
 * Who creates a file may write to it whatever its mode, but to an NFSv4 server
 * creating and opening are two requests here, and the second one is refused
 * for a mode of 0444, say. Lend the owner the right for that moment.
 */
static struct file *offloadfs_open_created(struct file *file,
					   struct path *path)
{
	umode_t mode = d_inode(path->dentry)->i_mode;
	struct file *lower;
	int err;

	err = mnt_want_write(path->mnt);
	if (err)
		return ERR_PTR(err);
	err = offloadfs_chmod_lower(path, mode | 0600);
	if (!err) {
		lower = offloadfs_open_path(file, path);
		if (d_inode(path->dentry)->i_mode == (mode | 0600))
			err = offloadfs_chmod_lower(path, mode);
		if (err && !IS_ERR(lower))
			fput(lower);
	}
	mnt_drop_write(path->mnt);
	return err ? ERR_PTR(err) : lower;
}

/**
 * offloadfs_open - open the lower of a regular file or directory
 * @inode: upper inode
 * @file: upper file
 *
 * Context: as ->open; the caller's credentials are used.
 * Return: 0 or what opening the lower says; -ETXTBSY if it is to be executed
 * and somebody is writing to it.
 */
int offloadfs_open(struct inode *inode, struct file *file)
{
	struct path path = offloadfs_lower_path(file->f_path.dentry);
	struct file *lower;
	int err;

	/* The VFS truncates later, with a lock held. */
	if (file->f_flags & O_TRUNC) {
		err = offloadfs_settle(d_inode(path.dentry),
				       MAX_SCHEDULE_TIMEOUT);
		if (err)
			return err;
	}
	lower = offloadfs_open_path(file, &path);
	if (lower == ERR_PTR(-EACCES) && file->f_mode & FMODE_CREATED)
		lower = offloadfs_open_created(file, &path);
	if (IS_ERR(lower))
		return PTR_ERR(lower);
	/* As long as the VFS keeps others from writing to a running program. */
	if (file->f_flags & __FMODE_EXEC) {
		err = exe_file_deny_write_access(lower);
		if (err) {
			fput(lower);
			return err;
		}
	}
	offloadfs_file_opened(file, lower);
	offloadfs_copy_attr(inode);
	return 0;
}

/**
 * offloadfs_release - let go of the lower file
 * @inode: upper inode
 * @file: upper file whose last reference is gone
 *
 * Return: 0.
 */
int offloadfs_release(struct inode *inode, struct file *file)
{
	struct file *lower = offloadfs_lower_file(file);

	if (file->f_flags & __FMODE_EXEC)
		exe_file_allow_write_access(lower);
	offloadfs_end_lease(file);
	fput(lower);
	return 0;
}

/**
 * offloadfs_sync_flags - give the lower file the flags of the upper
 * @file: upper file
 * @lower: its lower file
 *
 * F_SETFL changes the upper file alone, after it has checked the change
 * against the upper's inode and modes, which are the lower's.
 *
 * Return: @lower, or an ERR_PTR() if its file system refuses the flags.
 */
struct file *offloadfs_sync_flags(const struct file *file, struct file *lower)
{
	unsigned int flags = file->f_flags & OFFLOADFS_SETFL_MASK;
	int err;

	if (lower->f_op->check_flags) {
		err = lower->f_op->check_flags(flags);
		if (err)
			return ERR_PTR(err);
	}
	spin_lock(&lower->f_lock);
	lower->f_flags = (lower->f_flags & ~OFFLOADFS_SETFL_MASK) | flags;
	lower->f_iocb_flags = iocb_flags(lower);
	spin_unlock(&lower->f_lock);
	return lower;
}

/*
 * Files of the kernel's own (tracefs, debugfs) may know of user memory only.
 * Each part of the program's vector is one call, as the VFS does it.
 */
static ssize_t offloadfs_plain_rw(struct file *lower, struct iov_iter *iter,
				  loff_t *pos, bool write)
{
	ssize_t n, ret = 0;

	if (!user_backed_iter(iter) ||
	    (write ? !lower->f_op->write : !lower->f_op->read))
		return -EINVAL;
	while (iov_iter_count(iter)) {
		void __user *buf = iter_iov_addr(iter);
		size_t len = iter_iov_len(iter);

		n = write ? lower->f_op->write(lower, buf, len, pos) :
			    lower->f_op->read(lower, buf, len, pos);
		if (n < 0)
			return ret ?: n;
		ret += n;
		if (n != len)
			break;
		iov_iter_advance(iter, n);
	}
	return ret;
}

static ssize_t offloadfs_plain_write(struct file *file, struct file *lower,
				     struct iov_iter *iter, loff_t *pos)
{
	ssize_t ret;

	file_start_write(lower);
	ret = offloadfs_plain_rw(lower, iter, pos, true);
	if (ret > 0)
		fsnotify_modify(lower);
	file_end_write(lower);
	offloadfs_copy_attr(file_inode(file));
	return ret;
}

static ssize_t offloadfs_read_iter(struct kiocb *iocb, struct iov_iter *iter)
{
	struct file *file = iocb->ki_filp;
	struct file *lower = offloadfs_data_file(file);
	struct backing_file_ctx ctx = { .cred = current_cred() };
	ssize_t ret;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	if (unlikely(!lower->f_op->read_iter)) {
		ret = offloadfs_plain_rw(lower, iter, &iocb->ki_pos, false);
		if (ret > 0)
			fsnotify_access(lower);
		return ret;
	}
	if (!is_sync_kiocb(iocb))
		return backing_file_read_iter(lower, iter, iocb,
					      iocb->ki_flags, &ctx);
	ret = offloadfs_may_access(READ, lower, iocb->ki_pos,
				   iov_iter_count(iter));
	if (unlikely(ret))
		return ret;
	iocb->ki_filp = lower;
	ret = lower->f_op->read_iter(iocb, iter);
	iocb->ki_filp = file;
	if (ret > 0)
		fsnotify_access(lower);
	return ret;
}

static void offloadfs_end_write(struct kiocb *iocb, ssize_t ret)
{
	offloadfs_copy_attr(file_inode(iocb->ki_filp));
}

static ssize_t offloadfs_write_iter(struct kiocb *iocb, struct iov_iter *iter)
{
	struct file *file = iocb->ki_filp;
	struct file *lower = offloadfs_data_file(file);
	struct backing_file_ctx ctx = {
		.cred = current_cred(),
		.end_write = offloadfs_end_write,
	};
	ssize_t ret;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	ret = offloadfs_settle(file_inode(lower), iocb->ki_flags & IOCB_NOWAIT ?
						  0 : MAX_SCHEDULE_TIMEOUT);
	if (ret)
		return ret;
	if (unlikely(!lower->f_op->write_iter))
		return offloadfs_plain_write(file, lower, iter, &iocb->ki_pos);
	if (!is_sync_kiocb(iocb))
		return backing_file_write_iter(lower, iter, iocb,
					       iocb->ki_flags, &ctx);
	ret = offloadfs_may_access(WRITE, lower, iocb->ki_pos,
				   iov_iter_count(iter));
	if (unlikely(ret))
		return ret;
	file_start_write(lower);
	iocb->ki_filp = lower;
	ret = lower->f_op->write_iter(iocb, iter);
	iocb->ki_filp = file;
	if (ret > 0)
		fsnotify_modify(lower);
	file_end_write(lower);
	offloadfs_copy_attr(file_inode(file));
	return ret;
}

/**
 * offloadfs_llseek - ->llseek of files and directories
 * @file: upper file
 * @offset: where to, in bytes or as the lower's directory cookie
 * @whence: SEEK_*
 *
 * The upper's position is the one that counts; the lower's is set on the way
 * and never read. Relative seeks are made absolute for that.
 *
 * Return: the new position or a negative errno.
 */
loff_t offloadfs_llseek(struct file *file, loff_t offset, int whence)
{
	struct file *lower = offloadfs_lower_file(file);
	loff_t pos;

	if (whence == SEEK_CUR) {
		if (!offset)
			return file->f_pos;
		if (check_add_overflow(file->f_pos, offset, &pos))
			return -EINVAL;
		offset = pos;
		whence = SEEK_SET;
	}
	pos = vfs_llseek(lower, offset, whence);
	if (pos < 0)
		return pos;
	return vfs_setpos(file, pos, LLONG_MAX);
}

static int offloadfs_commit(struct file *file, loff_t start, loff_t end,
			    int datasync)
{
	struct offloadfs_sb *osb = offloadfs_sb(file_inode(file)->i_sb);
	struct file *lower = offloadfs_lower_file(file);
	struct offloadfs_backend *b;
	int err;

	for (b = osb->backends; b < osb->backends + osb->nr_backends; b++) {
		if (!b->ops->commit)
			continue;
		err = b->ops->commit(b->priv, lower, start, end, datasync);
		if (err)
			return err;
	}
	return 0;
}

/**
 * offloadfs_flush_backends - tell the backends that a descriptor is closed
 * @file: upper file
 *
 * Return: 0 or the first error.
 */
int offloadfs_flush_backends(struct file *file)
{
	struct offloadfs_sb *osb = offloadfs_sb(file_inode(file)->i_sb);
	struct file *lower = offloadfs_lower_file(file);
	struct offloadfs_backend *b;
	int err = 0, err2;

	if (!(lower->f_mode & FMODE_WRITE))
		return 0;
	for (b = osb->backends; b < osb->backends + osb->nr_backends; b++) {
		if (!b->ops->flush)
			continue;
		err2 = b->ops->flush(b->priv, lower);
		err = err ?: err2;
	}
	return err;
}

/**
 * offloadfs_fsync - make a file durable, offloaded copies included
 * @file: upper file or directory
 * @start: first byte
 * @end: last byte
 * @datasync: leave out metadata that is not needed to read the data
 *
 * Return: 0 or the first error of a backend or of the lower.
 */
int offloadfs_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct file *lower = offloadfs_lower_file(file);
	int err = offloadfs_commit(file, start, end, datasync);
	int err2 = vfs_fsync_range(lower, start, end, datasync);

	/* Not every lower looks for what a backend may have lost. */
	err2 = err2 ?: file_check_and_advance_wb_err(lower);
	offloadfs_copy_attr(file_inode(file));
	return err ?: err2;
}

static int offloadfs_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct backing_file_ctx ctx = { .cred = current_cred() };
	struct file *lower = offloadfs_lower_file(file);
	int err;

	/* Nothing can be waited for with the address space locked. */
	if (vma->vm_flags & VM_SHARED && vma->vm_flags & VM_MAYWRITE) {
		err = offloadfs_settle(file_inode(lower), 0);
		if (err)
			return err;
	}
	return backing_file_mmap(lower, vma, &ctx);
}

/* Where the lower's huge pages fit, if it has any. */
static unsigned long offloadfs_get_unmapped_area(struct file *file,
						 unsigned long addr,
						 unsigned long len,
						 unsigned long pgoff,
						 unsigned long flags)
{
	struct file *lower = offloadfs_lower_file(file);

	if (!lower->f_op->get_unmapped_area)
		return mm_get_unmapped_area(file, addr, len, pgoff, flags);
	return lower->f_op->get_unmapped_area(lower, addr, len, pgoff, flags);
}

static long offloadfs_fallocate(struct file *file, int mode, loff_t offset,
				loff_t len)
{
	struct file *lower = offloadfs_lower_file(file);
	long ret = offloadfs_settle(file_inode(lower), MAX_SCHEDULE_TIMEOUT);

	if (ret)
		return ret;
	ret = vfs_fallocate(lower, mode, offset, len);
	offloadfs_copy_attr(file_inode(file));
	return ret;
}

static int offloadfs_fadvise(struct file *file, loff_t offset, loff_t len,
			     int advice)
{
	return vfs_fadvise(offloadfs_lower_file(file), offset, len, advice);
}

/**
 * offloadfs_is_file - is this an open regular file of offloadfs?
 * @file: any file
 *
 * Return: whether offloadfs_lower_file() may be asked of it.
 */
bool offloadfs_is_file(const struct file *file)
{
	return file->f_op->read_iter == offloadfs_read_iter;
}

/*
 * Direct writes may be parallel: no lock is taken here. FOP_BUFFER_RASYNC and
 * FOP_BUFFER_WASYNC are not ours to claim: what is to wake such a request does
 * not get into the lower's.
 */
#define OFFLOADFS_FILE_OPERATIONS(flags) {				\
	.owner			= THIS_MODULE,				\
	.fop_flags		= FOP_DIO_PARALLEL_WRITE | (flags),	\
	.open			= offloadfs_open,			\
	.release		= offloadfs_release,			\
	.llseek			= offloadfs_llseek,			\
	.read_iter		= offloadfs_read_iter,			\
	.write_iter		= offloadfs_write_iter,			\
	.splice_read		= offloadfs_splice_read,		\
	.splice_write		= offloadfs_splice_write,		\
	.copy_file_range	= offloadfs_copy_file_range,		\
	.remap_file_range	= offloadfs_remap_file_range,		\
	.fsync			= offloadfs_fsync,			\
	.flush			= offloadfs_flush,			\
	.mmap			= offloadfs_mmap,			\
	.get_unmapped_area	= offloadfs_get_unmapped_area,		\
	.fallocate		= offloadfs_fallocate,			\
	.fadvise		= offloadfs_fadvise,			\
	.lock			= offloadfs_lock,			\
	.flock			= offloadfs_flock,			\
	.setlease		= offloadfs_setlease,			\
	.unlocked_ioctl		= offloadfs_ioctl,			\
	.compat_ioctl		= offloadfs_compat_ioctl,		\
}

/* What the VFS asks the table for, and only some lowers can do. */
static const struct file_operations offloadfs_file_operations[] = {
	OFFLOADFS_FILE_OPERATIONS(0),
	OFFLOADFS_FILE_OPERATIONS(FOP_MMAP_SYNC),
	OFFLOADFS_FILE_OPERATIONS(FOP_DONTCACHE),
	OFFLOADFS_FILE_OPERATIONS(FOP_MMAP_SYNC | FOP_DONTCACHE),
};

/**
 * offloadfs_file_ops - the operations of a regular file
 * @lower: lower inode
 *
 * Return: those for a lower that can do what this one can.
 */
const struct file_operations *offloadfs_file_ops(const struct inode *lower)
{
	int i = 0;

	if (lower->i_fop->fop_flags & FOP_MMAP_SYNC)
		i |= 1;
	/* The upper inode does not say S_DAX: splice(2) would not ask us then. */
	if (lower->i_fop->fop_flags & FOP_DONTCACHE && !IS_DAX(lower))
		i |= 2;
	return &offloadfs_file_operations[i];
}
