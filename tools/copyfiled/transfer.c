// SPDX-License-Identifier: GPL-2.0-only
/*
 * How bytes get from the source to the destination when they cannot be cloned:
 * in steps, so that a CANCEL is heard and the time slice is kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "copyfiled.h"

#define STEP_MIN	(64 * 1024)
#define STEP_FIRST	(1024 * 1024)
#define STEP_MAX	(8 * 1024 * 1024)	/* a CANCEL waits for the step to end */
#define STEP_SHORT_MS	25	/* such a step was too small */
#define STEP_LONG_MS	100	/* and such a one too large */
#define BUFFER		(256 * 1024)

/**
 * job_goes_on - may another step be made?
 *
 * At least one is made in a time slice: what makes no progress never ends.
 */
bool job_goes_on(const struct job *job)
{
	if (copy_cancelled(job->copy))
		return false;
	return !job->done || (!stopping() && now_ms() < job->deadline);
}

static void adapt_step(struct job *job, int64_t ms, size_t made)
{
	/* A step that ended at a hole tells nothing of the speed. */
	if (ms < STEP_SHORT_MS && made == job->step && job->step < STEP_MAX)
		job->step *= 2;
	else if (ms > STEP_LONG_MS)
		job->step = made * STEP_LONG_MS / (size_t)ms / STEP_MIN * STEP_MIN;
	if (job->step < STEP_MIN)
		job->step = STEP_MIN;
}

/* Does copy_file_range(2) not work here, while read(2) and write(2) may? */
static bool means_never(int error)
{
	switch (error) {
	case EXDEV:
	case EOPNOTSUPP:
	case ENOSYS:
	case EINVAL:
	case EBADF:
	case ETXTBSY:
		return true;
	default:
		return false;
	}
}

static ssize_t write_at(struct job *job, size_t len)
{
	off_t at = (off_t)(job->args->dst_offset + job->done);
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(job->dst, job->buf + done, len - done, at + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return done ? (ssize_t)done : -1;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static ssize_t read_write(struct job *job, size_t len)
{
	ssize_t n;

	if (!job->buf)
		job->buf = xalloc(BUFFER);
	do {
		n = pread(job->src, job->buf, len < BUFFER ? len : BUFFER,
			  (off_t)(job->args->src_offset + job->done));
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n;
	n = write_at(job, (size_t)n);
	if (n > 0)
		job->how = COPYFILE_READ_WRITE;
	return n;
}

static ssize_t copy_range(struct job *job, size_t len)
{
	off_t from = (off_t)(job->args->src_offset + job->done);
	off_t to = (off_t)(job->args->dst_offset + job->done);
	ssize_t n;

	do {
		n = copy_file_range(job->src, &from, job->dst, &to, len, 0);
	} while (n < 0 && errno == EINTR);
	return n;
}

/**
 * transfer_data - one step
 * @job: where, and how it went so far
 * @len: at most so much, not 0
 *
 * Return: bytes, 0 at the source's end, -1 with errno.
 */
ssize_t transfer_data(struct job *job, uint64_t len)
{
	size_t step = len < job->step ? (size_t)len : job->step;
	int64_t start = now_ms();
	ssize_t n = -1;

	if (!job->no_range) {
		n = copy_range(job, step);
		job->no_range = n < 0 && means_never(errno);
	}
	if (job->no_range)
		n = read_write(job, step);
	if (n > 0)
		adapt_step(job, now_ms() - start, (size_t)n);
	return n;
}

/**
 * transfer - copy until all is done, the slice is over, or something is wrong
 * @job: its done field counts
 *
 * Return: 0 or an errno; what was done before it stands.
 */
int transfer(struct job *job)
{
	bool sparse = job->args->flags & COPYFILE_SPARSE;
	int error = 0;

	job->how = COPYFILE_IN_KERNEL;
	job->step = STEP_FIRST;
	while (job->done < job->args->count && !error) {
		uint64_t left = job->args->count - job->done;
		ssize_t n;

		if (!job_goes_on(job)) {
			error = ECANCELED;
			break;
		}
		n = sparse ? sparse_step(job, left) : transfer_data(job, left);
		if (n > 0)
			job->done += (uint64_t)n;
		else
			/* The source has become shorter: its end is no data. */
			error = n ? errno : EIO;
	}
	if (sparse && job->done) {
		/* It may leave nothing done: then this is why. */
		int finish = sparse_finish(job);

		error = finish ? finish : error;
	}
	return error;
}
