// SPDX-License-Identifier: GPL-2.0-only
/*
 * COPY: from a request to two open files and back to a reply. How the bytes
 * get over is in transfer.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "copyfiled.h"

#define KNOWN_FLAGS (COPYFILE_CLONE_ONLY | COPYFILE_STABLE | COPYFILE_SPARSE)

struct session {
	struct request *rq;
	const copyfile_copy_args *args;
	struct place src;
	struct place dst;
	struct dirty *dirty;
	struct patience patience;
	copyfile_verifier verifier;	/* from before the first byte */
	struct job job;
};

static bool range_fits(uint64_t offset, uint64_t count)
{
	return offset <= INT64_MAX && count <= INT64_MAX - offset;
}

static copyfile_status check_args(const copyfile_copy_args *args)
{
	if (!args->count || args->flags & ~KNOWN_FLAGS || !range_fits(args->src_offset, args->count))
		return COPYFILE_INVAL;
	if (!range_fits(args->dst_offset, args->count))
		return COPYFILE_FBIG;
	/* What a source has is known to the client: its size is compared. */
	if (args->src_offset + args->count > args->src.size)
		return COPYFILE_INVAL;
	return COPYFILE_OK;
}

/* Is it the file that the client means, as the client knows it? */
static copyfile_status check_file(const struct stat *st, const copyfile_file *file)
{
	if (!S_ISREG(st->st_mode))
		return file->fileid && file->fileid != st->st_ino ? COPYFILE_STALE :
								     COPYFILE_NOTSUPP;
	if ((file->fileid && file->fileid != st->st_ino) || file->size != (uint64_t)st->st_size ||
	    file->mtime.seconds != st->st_mtim.tv_sec)
		return COPYFILE_STALE;
	if (file->mtime.nseconds && file->mtime.nseconds != (unsigned long)st->st_mtim.tv_nsec)
		return COPYFILE_STALE;
	return COPYFILE_OK;
}

static copyfile_status find_file(struct session *s, struct place *place,
				 const copyfile_file *file)
{
	copyfile_status status = place_find(place, s->rq, file->export, &file->path);

	return status == COPYFILE_OK ? check_file(&place->st, file) : status;
}

/* It may have been waited for: compare again. */
static copyfile_status open_file(struct session *s, const struct place *place,
				 const copyfile_file *file, int flags, int *fd)
{
	struct stat st;

	*fd = place_open(place, flags, &s->patience);
	if (*fd < 0)
		return status_of(errno);
	return fstat(*fd, &st) ? COPYFILE_IO : check_file(&st, file);
}

static bool same_bytes(const struct session *s)
{
	const copyfile_copy_args *args = s->args;

	if (s->src.st.st_dev != s->dst.st.st_dev || s->src.st.st_ino != s->dst.st.st_ino)
		return false;
	return args->src_offset < args->dst_offset + args->count &&
	       args->dst_offset < args->src_offset + args->count;
}

static copyfile_status open_files(struct session *s)
{
	copyfile_status status;

	status = find_file(s, &s->src, &s->args->src);
	if (status == COPYFILE_OK)
		status = find_file(s, &s->dst, &s->args->dst);
	if (status != COPYFILE_OK)
		return status;
	if (s->dst.export->rdonly)
		return COPYFILE_ROFS;
	if (same_bytes(s))
		return COPYFILE_INVAL;
	status = open_file(s, &s->src, &s->args->src, O_RDONLY, &s->job.src);
	if (status == COPYFILE_OK)
		status = open_file(s, &s->dst, &s->args->dst, O_WRONLY, &s->job.dst);
	return status;
}

/* Return: 0 when all of it is cloned, else an errno. */
static int try_clone(struct job *job)
{
	struct file_clone_range range = {
		.src_fd = job->src,
		.src_offset = job->args->src_offset,
		.src_length = job->args->count,
		.dest_offset = job->args->dst_offset,
	};

	if (ioctl(job->dst, FICLONERANGE, &range))
		return errno;
	job->done = job->args->count;
	job->how = COPYFILE_CLONED;
	return 0;
}

/* Return: 0 if some bytes were copied, else an errno. */
static int copy_bytes(struct session *s)
{
	struct job *job = &s->job;
	int error;

	if (copy_cancelled(job->copy) || stopping())
		return ECANCELED;
	error = try_clone(job);
	if (!error)
		return 0;
	if (s->args->flags & COPYFILE_CLONE_ONLY)
		/* Not of whole blocks, or blocks of this size cannot be shared. */
		return error == EINVAL ? EOPNOTSUPP : error;
	/* It is not the clone that these are about. */
	if (error == EIO || error == ENOSPC || error == EDQUOT || error == EFBIG)
		return error;
	error = transfer(job);
	return job->done ? 0 : error;
}

/* With the rights of the destination's user: quotas and set-user-id bits. */
static copyfile_status copy_as_caller(struct session *s)
{
	int error;

	if (!ident_enter(&s->dst.ident))
		return COPYFILE_ACCES;
	error = copy_bytes(s);
	ident_leave();
	return status_of(error);
}

static void set_time(copyfile_time *time, const struct timespec *ts)
{
	time->seconds = ts->tv_sec;
	time->nseconds = (u_int)ts->tv_nsec;
}

static void count_bytes(const struct job *job)
{
	static const enum stat_id id[] = {
		[COPYFILE_CLONED] = STAT_BYTES_CLONED,
		[COPYFILE_IN_KERNEL] = STAT_BYTES_IN_KERNEL,
		[COPYFILE_READ_WRITE] = STAT_BYTES_READ_WRITE,
	};

	stat_inc(STAT_COPIES);
	stat_add(id[job->how], (int64_t)job->done);
}

/* Durable before the reply if the client wants it, or if nobody can see to it later. */
static copyfile_status make_stable(struct session *s)
{
	if (s->dirty && !(s->args->flags & COPYFILE_STABLE))
		return COPYFILE_OK;
	return sync_status(s->dirty ? dirty_sync(s->dirty) : sync_file(s->job.dst));
}

static copyfile_status fill_reply(struct session *s, copyfile_copy_ok *ok)
{
	struct stat st;

	if (fstat(s->job.dst, &st))
		return COPYFILE_IO;
	ok->count = s->job.done;
	ok->how = s->job.how;
	ok->stable = !s->dirty || s->args->flags & COPYFILE_STABLE;
	memcpy(ok->verifier, s->verifier, sizeof(ok->verifier));
	ok->fileid = st.st_ino;
	ok->size = (u_quad_t)st.st_size;
	set_time(&ok->mtime, &st.st_mtim);
	set_time(&ok->ctime, &st.st_ctim);
	return COPYFILE_OK;
}

static copyfile_status run(struct session *s, copyfile_copy_ok *ok)
{
	copyfile_status status = check_args(s->args);

	patience_start(&s->patience, s->job.copy);
	if (status == COPYFILE_OK)
		status = open_files(s);
	if (status != COPYFILE_OK)
		return status;
	/* From before the first byte: it sees whatever goes wrong with one. */
	verifier_get(s->verifier);
	s->job.deadline = now_ms() + s->rq->config->slice_ms;
	s->dirty = dirty_get(&s->dst, &s->patience);
	status = copy_as_caller(s);
	if (s->job.done) {
		count_bytes(&s->job);
		status = make_stable(s);
	}
	if (status == COPYFILE_OK)
		status = fill_reply(s, ok);
	if (s->dirty)
		dirty_put(s->dirty, s->job.done && !(s->args->flags & COPYFILE_STABLE));
	return status;
}

/**
 * copy_execute - do what a COPY asks for
 * @rq: the request
 * @res: its reply
 *
 * Context: a worker, with the daemon's own rights. Takes as long as a time
 * slice, and for a clone as long as that takes.
 */
void copy_execute(struct request *rq, copyfile_copy_res *res)
{
	struct session s = {
		.rq = rq,
		.args = &rq->args.copy,
		.src.fd = -1,
		.dst.fd = -1,
		.job = {
			.args = &rq->args.copy,
			.copy = rq->copy,
			.src = -1,
			.dst = -1,
		},
	};

	res->status = run(&s, &res->copyfile_copy_res_u.ok);
	free(s.job.buf);
	if (s.job.src >= 0)
		close(s.job.src);
	if (s.job.dst >= 0)
		close(s.job.dst);
	place_put(&s.src);
	place_put(&s.dst);
}
