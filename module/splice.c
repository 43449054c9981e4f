// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - sendfile(2) from file to file, seen as one copy.
 *
 * sendfile moves data through a pipe of the task's own, in pieces: reads from
 * one file, writes to the other, and no operation sees both. So the read half
 * puts one deferred buffer into that pipe, which stands for all that the
 * system call asked for, and the write half, which knows the target, makes
 * the copy. The loop around both ends after the one round: it is told of as
 * many bytes as it asked for, or of fewer.
 *
 * The pipe shows which round it is: the loop leaves it with head and tail at
 * zero, and every round before this one moved them.
 */
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/fsnotify.h>
#include <linux/mm.h>
#include <linux/pipe_fs_i.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/syscalls.h>
#include <asm/syscall.h>
#include <asm/unistd.h>
#include "offloadfs.h"

/* The numbers of a 32-bit program's calls, alike on i386 and 32-bit ARM. */
#define OFFLOADFS_COMPAT_NR_SENDFILE	187
#define OFFLOADFS_COMPAT_NR_SENDFILE64	239

/**
 * struct offloadfs_deferred - what a deferred buffer stands for
 * @in: upper source, which the loop around both halves holds
 * @out: upper target that the caller named, referenced
 * @pos: where to read from
 */
struct offloadfs_deferred {
	struct file *in;
	struct file *out;
	loff_t pos;
};

/* The arguments of the sendfile(2) under way. */
struct offloadfs_sendfile_args {
	int out_fd;
	int in_fd;
	bool has_offset;
	bool small_offset;
	size_t count;
};

/* Nobody but our own write half may look at a deferred buffer's page. */
static int offloadfs_deferred_confirm(struct pipe_inode_info *pipe,
				      struct pipe_buffer *buf)
{
	return -EAGAIN;
}

static void offloadfs_free_deferred(struct offloadfs_deferred *deferred)
{
	fput(deferred->out);
	kfree(deferred);
}

static void offloadfs_deferred_release(struct pipe_inode_info *pipe,
				       struct pipe_buffer *buf)
{
	offloadfs_free_deferred((struct offloadfs_deferred *)buf->private);
}

static bool offloadfs_deferred_get(struct pipe_inode_info *pipe,
				   struct pipe_buffer *buf)
{
	return false;
}

static const struct pipe_buf_operations offloadfs_deferred_ops = {
	.confirm	= offloadfs_deferred_confirm,
	.release	= offloadfs_deferred_release,
	.get		= offloadfs_deferred_get,
};

static struct pipe_buffer *offloadfs_pipe_buf(struct pipe_inode_info *pipe,
					      unsigned int slot)
{
	return &pipe->bufs[slot & (pipe->ring_size - 1)];
}

/*
 * Which call is this, and what did the program ask for? The second descriptor
 * and count may have changed hands meanwhile in another thread: the caller
 * checks what they lead to.
 */
static bool offloadfs_get_sendfile_args(struct offloadfs_sendfile_args *args)
{
	struct pt_regs *regs = current_pt_regs();
	unsigned long a[6];
	int nr = syscall_get_nr(current, regs);

	if (in_compat_syscall()) {
		if (nr != OFFLOADFS_COMPAT_NR_SENDFILE &&
		    nr != OFFLOADFS_COMPAT_NR_SENDFILE64)
			return false;
		args->small_offset = nr == OFFLOADFS_COMPAT_NR_SENDFILE;
	} else {
		if (nr != __NR_sendfile)
			return false;
		args->small_offset = false;
	}
	syscall_get_arguments(current, regs, a);
	args->out_fd = a[0];
	args->in_fd = a[1];
	args->has_offset = a[2];
	args->count = a[3];
	/* Registers of a 64-bit program that makes a 32-bit call. */
	if (in_compat_syscall()) {
		args->has_offset = lower_32_bits(a[2]);
		args->count = lower_32_bits(a[3]);
	}
	return true;
}

/* A user's task in the first round of its own sendfile or splice loop? */
static bool offloadfs_first_round(const struct pipe_inode_info *pipe)
{
	return pipe == current->splice_pipe && !pipe->head && !pipe->tail;
}

/* How many bytes do_sendfile() told its loop to move; 0 if none. */
static size_t offloadfs_loop_total(const struct offloadfs_sendfile_args *args,
				   const struct file *in,
				   const struct file *out, loff_t pos)
{
	loff_t max = min(file_inode(in)->i_sb->s_maxbytes,
			 file_inode(out)->i_sb->s_maxbytes);
	size_t count = min_t(size_t, args->count, MAX_RW_COUNT);

	if (args->small_offset && args->has_offset)
		max = MAX_NON_LFS;
	if (pos >= max)
		return 0;
	return min_t(loff_t, count, max - pos);
}

static bool offloadfs_is_target(const struct file *out)
{
	return offloadfs_is_file(out) && (out->f_mode & FMODE_WRITE);
}

/* The reference to OUT goes to the buffer, if it is made. */
static ssize_t offloadfs_defer(struct pipe_inode_info *pipe, struct file *in,
			       struct file *out, loff_t *ppos, size_t total)
{
	struct offloadfs_deferred *deferred;
	struct pipe_buffer *buf;

	deferred = kmalloc(sizeof(*deferred), GFP_KERNEL);
	if (!deferred)
		return -ENOMEM;
	deferred->in = in;
	deferred->out = out;
	deferred->pos = *ppos;

	buf = offloadfs_pipe_buf(pipe, pipe->head);
	*buf = (struct pipe_buffer) {
		.page		= ZERO_PAGE(0),
		.len		= total,
		.ops		= &offloadfs_deferred_ops,
		.private	= (unsigned long)deferred,
	};
	pipe->head++;
	*ppos += total;
	return total;
}

/*
 * Defer the copy if this is a program's sendfile(2) to a file of offloadfs.
 * Returns the bytes deferred, 0 if the lower has to serve the read, or an
 * errno.
 */
static ssize_t offloadfs_try_defer(struct file *in, loff_t *ppos,
				   struct pipe_inode_info *pipe)
{
	struct super_block *sb = file_inode(in)->i_sb;
	struct offloadfs_sendfile_args args;
	struct file *named, *out;
	enum offloadfs_reason reason = OFFLOADFS_ACCEPT;
	ssize_t ret = 0;

	if (current->flags & (PF_KTHREAD | PF_IO_WORKER)) {
		offloadfs_decline(sb, in, OFFLOADFS_SENDFILE,
				  OFFLOADFS_NOT_A_FILE);
		return 0;
	}
	if (!offloadfs_get_sendfile_args(&args))
		return 0;
	named = fget(args.in_fd);
	out = fget(args.out_fd);
	if (!out || named != in)
		goto out;

	if (!offloadfs_is_target(out))
		reason = OFFLOADFS_NOT_A_FILE;
	else if (READ_ONCE(offloadfs_sb(sb)->config.nosendfile) ||
		 READ_ONCE(offloadfs_sb(file_inode(out)->i_sb)->config.nosendfile))
		reason = OFFLOADFS_DISABLED;

	if (reason) {
		offloadfs_decline(sb, in, OFFLOADFS_SENDFILE, reason);
	} else {
		size_t total = offloadfs_loop_total(&args, in, out, *ppos);

		if (total)
			ret = offloadfs_defer(pipe, in, out, ppos, total);
		if (ret > 0)
			out = NULL;
	}
out:
	if (named)
		fput(named);
	if (out)
		fput(out);
	return ret;
}

/**
 * offloadfs_splice_read - the read half of splice(2) and sendfile(2)
 * @in: upper file to read from
 * @ppos: position, moved by what was read
 * @pipe: where to
 * @len: most bytes to read
 * @flags: SPLICE_F_*
 *
 * Context: the pipe's mutex is held if the pipe is a program's; nothing is
 * held if it is the task's own, inside sendfile(2).
 * Return: bytes, 0 at the end of the file, or an errno. More than @len for a
 * deferred sendfile(2), whose loop wants that many.
 */
ssize_t offloadfs_splice_read(struct file *in, loff_t *ppos,
			      struct pipe_inode_info *pipe, size_t len,
			      unsigned int flags)
{
	struct file *lower = offloadfs_data_file(in);
	ssize_t ret;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	if (offloadfs_first_round(pipe)) {
		ret = offloadfs_try_defer(in, ppos, pipe);
		if (ret)
			return ret;
	}
	return vfs_splice_read(lower, ppos, pipe, len, flags);
}

/* Take the deferred buffer, if that is what the pipe holds. */
static struct offloadfs_deferred *
offloadfs_take_deferred(struct pipe_inode_info *pipe)
{
	struct offloadfs_deferred *deferred;
	struct pipe_buffer *buf;

	if (pipe != current->splice_pipe || pipe->head == pipe->tail)
		return NULL;
	buf = offloadfs_pipe_buf(pipe, pipe->tail);
	if (buf->ops != &offloadfs_deferred_ops)
		return NULL;
	deferred = (struct offloadfs_deferred *)buf->private;
	buf->ops = NULL;
	pipe->tail++;
	return deferred;
}

static ssize_t offloadfs_splice_lower(struct pipe_inode_info *pipe,
				      struct file *out, loff_t *ppos,
				      size_t len, unsigned int flags)
{
	struct file *lower = offloadfs_data_file(out);
	ssize_t ret;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	if (!lower->f_op->splice_write)
		return -EINVAL;
	ret = rw_verify_area(WRITE, lower, ppos, len);
	ret = ret ?: offloadfs_settle(file_inode(lower), MAX_SCHEDULE_TIMEOUT);
	if (ret)
		return ret;
	file_start_write(lower);
	ret = lower->f_op->splice_write(pipe, lower, ppos, len, flags);
	file_end_write(lower);
	if (ret > 0)
		fsnotify_modify(lower);
	offloadfs_copy_attr(file_inode(out));
	return ret;
}

/**
 * offloadfs_splice_write - the write half of splice(2) and sendfile(2)
 * @pipe: where from
 * @out: upper file to write to
 * @ppos: position, moved by what was written
 * @len: most bytes to write
 * @flags: SPLICE_F_*
 *
 * Context: the upper super block is protected against freezing.
 * Return: bytes, which may be fewer than @len, or an errno; -EAGAIN if the
 * file behind sendfile(2)'s out_fd was exchanged during the call.
 */
ssize_t offloadfs_splice_write(struct pipe_inode_info *pipe, struct file *out,
			       loff_t *ppos, size_t len, unsigned int flags)
{
	struct offloadfs_deferred *deferred = offloadfs_take_deferred(pipe);
	ssize_t ret = -EAGAIN;

	if (!deferred)
		return offloadfs_splice_lower(pipe, out, ppos, len, flags);
	if (deferred->out == out)
		ret = offloadfs_sendfile(deferred->in, deferred->pos, out,
					 *ppos, len);
	if (ret > 0)
		*ppos += ret;
	offloadfs_free_deferred(deferred);
	return ret;
}
