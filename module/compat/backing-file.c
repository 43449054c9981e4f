// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - the backing-file helpers of 6.17 for older kernels, with what
 * those export. 6.8 has helpers of its own, but these call back with neither
 * the kiocb nor any other place for a context.
 *
 * Only what offloadfs uses: asynchronous reads and writes, which synchronous
 * ones go past, no ->accessed and no splice.
 */
#include <linux/backing-file.h>
#include <linux/cred.h>
#include <linux/fsnotify.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "compat.h"

/* 6.6 to 7.0: an asker that is called back differently. None of ours is. */
#ifndef IOCB_DIO_CALLER_COMP
#define IOCB_DIO_CALLER_COMP	0
#endif

/**
 * struct compat_aio - an asynchronous read or write on its way
 * @iocb: what the lower file works on
 * @ref: held by the submitter and by the completion; @iocb must outlive both
 * @orig: the caller's
 * @end_write: to be called before @orig completes, or NULL
 * @work: completes a write where it may sleep
 * @res: the result, for @work
 */
struct compat_aio {
	struct kiocb iocb;
	refcount_t ref;
	struct kiocb *orig;
	void (*end_write)(struct kiocb *iocb, ssize_t ret);
	struct work_struct work;
	long res;
};

static struct kmem_cache *compat_aio_cache;
static struct workqueue_struct *compat_aio_wq;

/*
 * The kernel took write access to the lower in vfs_iocb_iter_write()
 * from the release on that brought its own helpers.
 */
#ifdef COMPAT_HAVE_BACKING_FILE
static inline void compat_kiocb_start_write(struct kiocb *iocb) { }
static inline void compat_kiocb_end_write(struct kiocb *iocb) { }
#else
#define compat_kiocb_start_write	kiocb_start_write
#define compat_kiocb_end_write		kiocb_end_write
#endif

static struct compat_aio *compat_aio_alloc(struct file *file,
					   struct kiocb *orig, int flags)
{
	struct compat_aio *aio;

	aio = kmem_cache_zalloc(compat_aio_cache, GFP_KERNEL);
	if (!aio)
		return NULL;
	kiocb_clone(&aio->iocb, orig, get_file(file));
	aio->iocb.ki_flags = flags & ~IOCB_DIO_CALLER_COMP;
	aio->orig = orig;
	refcount_set(&aio->ref, 2);
	return aio;
}

static void compat_aio_put(struct compat_aio *aio)
{
	if (refcount_dec_and_test(&aio->ref)) {
		fput(aio->iocb.ki_filp);
		kmem_cache_free(compat_aio_cache, aio);
	}
}

/* The lower file is done with it: drop what the completion held. */
static void compat_aio_end(struct compat_aio *aio, long res)
{
	struct kiocb *orig = aio->orig;

	orig->ki_pos = aio->iocb.ki_pos;
	if (aio->end_write)
		aio->end_write(orig, res);
	compat_aio_put(aio);
}

static void compat_aio_read_complete(struct kiocb *iocb, long res)
{
	struct compat_aio *aio = container_of(iocb, struct compat_aio, iocb);
	struct kiocb *orig = aio->orig;

	compat_aio_end(aio, res);
	orig->ki_complete(orig, res);
}

static void compat_aio_write_work(struct work_struct *work)
{
	struct compat_aio *aio = container_of(work, struct compat_aio, work);
	struct kiocb *orig = aio->orig;
	long res = aio->res;

	kiocb_end_write(&aio->iocb);
	compat_aio_end(aio, res);
	orig->ki_complete(orig, res);
}

/* May be called in interrupt context, and end_write takes locks. */
static void compat_aio_write_complete(struct kiocb *iocb, long res)
{
	struct compat_aio *aio = container_of(iocb, struct compat_aio, iocb);

	aio->res = res;
	INIT_WORK(&aio->work, compat_aio_write_work);
	queue_work(compat_aio_wq, &aio->work);
}

static ssize_t compat_aio_read(struct file *file, struct iov_iter *iter,
			       struct kiocb *iocb, int flags)
{
	struct compat_aio *aio = compat_aio_alloc(file, iocb, flags);
	ssize_t ret;

	if (!aio)
		return -ENOMEM;
	aio->iocb.ki_complete = compat_aio_read_complete;
	ret = vfs_iocb_iter_read(file, &aio->iocb, iter);
	compat_aio_put(aio);
	if (ret != -EIOCBQUEUED)
		compat_aio_end(aio, ret);
	return ret;
}

static ssize_t compat_aio_write(struct file *file, struct iov_iter *iter,
				struct kiocb *iocb, int flags,
				struct backing_file_ctx *ctx)
{
	struct compat_aio *aio = compat_aio_alloc(file, iocb, flags);
	ssize_t ret;

	if (!aio)
		return -ENOMEM;
	aio->end_write = ctx->end_write;
	aio->iocb.ki_complete = compat_aio_write_complete;
	compat_kiocb_start_write(&aio->iocb);
	ret = vfs_iocb_iter_write(file, &aio->iocb, iter);
	if (ret != -EIOCBQUEUED)
		compat_kiocb_end_write(&aio->iocb);
	compat_aio_put(aio);
	if (ret != -EIOCBQUEUED)
		compat_aio_end(aio, ret);
	return ret;
}

ssize_t backing_file_read_iter(struct file *file, struct iov_iter *iter,
			       struct kiocb *iocb, int flags,
			       struct backing_file_ctx *ctx)
{
	const struct cred *old_cred;
	ssize_t ret;

	if (WARN_ON_ONCE(is_sync_kiocb(iocb)))
		return -EIO;
	if (!iov_iter_count(iter))
		return 0;
	if (iocb->ki_flags & IOCB_DIRECT &&
	    !(file->f_mode & FMODE_CAN_ODIRECT))
		return -EINVAL;

	old_cred = override_creds(ctx->cred);
	ret = compat_aio_read(file, iter, iocb, flags);
	revert_creds(old_cred);
	return ret;
}

ssize_t backing_file_write_iter(struct file *file, struct iov_iter *iter,
				struct kiocb *iocb, int flags,
				struct backing_file_ctx *ctx)
{
	const struct cred *old_cred;
	ssize_t ret;

	if (WARN_ON_ONCE(is_sync_kiocb(iocb)))
		return -EIO;
	if (!iov_iter_count(iter))
		return 0;
	ret = file_remove_privs(iocb->ki_filp);
	if (ret)
		return ret;
	if (iocb->ki_flags & IOCB_DIRECT &&
	    !(file->f_mode & FMODE_CAN_ODIRECT))
		return -EINVAL;

	old_cred = override_creds(ctx->cred);
	ret = compat_aio_write(file, iter, iocb, flags, ctx);
	revert_creds(old_cred);
	return ret;
}

#ifdef COMPAT_HAVE_BACKING_FILE

#undef backing_file_ctx
#undef backing_file_open
#undef backing_tmpfile_open
#undef backing_file_mmap

/* Older: the path of the user's file in place of the file. */
#ifdef COMPAT_HAVE_BACKING_FILE_USER_FILE
#define compat_user(file)	(file)
#else
#define compat_user(file)	(&(file)->f_path)
#endif

struct file *compat_backing_file_open(const struct file *user_file, int flags,
				      const struct path *real_path,
				      const struct cred *cred)
{
	return backing_file_open(compat_user(user_file), flags, real_path,
				 cred);
}

struct file *compat_backing_tmpfile_open(const struct file *user_file,
					 int flags,
					 const struct path *real_parentpath,
					 umode_t mode, const struct cred *cred)
{
	return backing_tmpfile_open(compat_user(user_file), flags,
				    real_parentpath, mode, cred);
}

int compat_backing_file_mmap(struct file *file, struct vm_area_struct *vma,
			     struct compat_backing_file_ctx *ctx)
{
	struct backing_file_ctx old = {
		.cred = ctx->cred,
		.user_file = vma->vm_file,
	};

	return backing_file_mmap(file, vma, &old);
}

#else /* COMPAT_HAVE_BACKING_FILE */

/* Before 6.8, open(2) itself told who watches. */
static struct file *compat_opened(struct file *file)
{
	if (!IS_ERR(file))
		fsnotify_open(file);
	return file;
}

/* These files have the lower's path: that is what /proc/PID/maps shows. */
struct file *compat_backing_file_open(const struct file *user_file, int flags,
				      const struct path *real_path,
				      const struct cred *cred)
{
	return compat_opened(dentry_open(real_path, flags, cred));
}

struct file *compat_backing_tmpfile_open(const struct file *user_file,
					 int flags,
					 const struct path *real_parentpath,
					 umode_t mode, const struct cred *cred)
{
	struct user_namespace *ns = mnt_user_ns(real_parentpath->mnt);

	return compat_opened(vfs_tmpfile_open(ns, real_parentpath, mode, flags,
					      cred));
}

int compat_backing_file_mmap(struct file *file, struct vm_area_struct *vma,
			     struct compat_backing_file_ctx *ctx)
{
	const struct cred *old_cred;
	int err;

	if (!file->f_op->mmap)
		return -ENODEV;
	vma_set_file(vma, file);
	old_cred = override_creds(ctx->cred);
	err = call_mmap(vma->vm_file, vma);
	revert_creds(old_cred);
	return err;
}

#endif /* COMPAT_HAVE_BACKING_FILE */

/**
 * offloadfs_compat_init - set up what the shims need
 *
 * Return: 0 or -ENOMEM.
 */
int offloadfs_compat_init(void)
{
	compat_aio_cache = kmem_cache_create("offloadfs_aio",
					     sizeof(struct compat_aio), 0,
					     SLAB_HWCACHE_ALIGN, NULL);
	if (!compat_aio_cache)
		return -ENOMEM;
	compat_aio_wq = alloc_workqueue("offloadfs_aio", WQ_MEM_RECLAIM, 0);
	if (!compat_aio_wq) {
		kmem_cache_destroy(compat_aio_cache);
		return -ENOMEM;
	}
	return 0;
}

/**
 * offloadfs_compat_exit - free it
 *
 * Context: every mount is gone, but a last completion may still be under way:
 * it holds the lower file, not the mount.
 */
void offloadfs_compat_exit(void)
{
	destroy_workqueue(compat_aio_wq);
	kmem_cache_destroy(compat_aio_cache);
}
