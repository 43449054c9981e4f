// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holes that stay holes. Where the source has one, the destination gets one;
 * where it cannot have one, zeros.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "copyfiled.h"

#define ZEROS_STEP	(1024 * 1024)
#define PUNCH_STEP	(1024 * 1024 * 1024)	/* freeing blocks takes time, too */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Has the destination anything to be made a hole there? If in doubt, yes. */
static bool has_data(int fd, off_t start, off_t end)
{
	off_t data = lseek(fd, start, SEEK_DATA);

	if (data < 0)
		return errno != ENXIO;
	return data < end;
}

static int write_zeros(int fd, off_t at, uint64_t len)
{
	static const char zeros[65536];

	while (len) {
		ssize_t n = pwrite(fd, zeros, min_u64(len, sizeof(zeros)), at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return errno;
		at += n;
		len -= (uint64_t)n;
	}
	return 0;
}

/*
 * Make the destination read as zeros over a step's range, as far as it has that.
 * What lies past its end is zeros anyway, once it is long enough. Returns how far
 * it came, or -1.
 */
static ssize_t make_hole(struct job *job, uint64_t len)
{
	off_t start = (off_t)(job->args->dst_offset + job->done);
	off_t end = start + (off_t)len;
	struct stat st;
	int error;

	if (fstat(job->dst, &st))
		return -1;
	if (end > st.st_size)
		end = st.st_size;
	if (start >= end || !has_data(job->dst, start, end))
		return (ssize_t)len;
	if (end - start > PUNCH_STEP) {
		end = start + PUNCH_STEP;
		len = PUNCH_STEP;
	}
	if (!fallocate(job->dst, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, end - start))
		return (ssize_t)len;
	if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)
		return -1;
	/* In steps, as with data: they are bytes to be written. */
	len = min_u64((uint64_t)(end - start), ZEROS_STEP);
	error = write_zeros(job->dst, start, len);
	errno = error;
	return error ? -1 : (ssize_t)len;
}

/**
 * sparse_step - copy what comes next, a piece of data or a hole
 * @job: where it is
 * @left: at most so much
 *
 * Return: bytes, 0 at the source's end, -1 with errno.
 */
ssize_t sparse_step(struct job *job, uint64_t left)
{
	off_t pos = (off_t)(job->args->src_offset + job->done);
	off_t data = lseek(job->src, pos, SEEK_DATA);
	off_t hole;
	struct stat st;

	if (data == pos) {
		hole = lseek(job->src, pos, SEEK_HOLE);
		if (hole > pos)
			left = min_u64(left, (uint64_t)(hole - pos));
		return transfer_data(job, left);
	}
	if (data < 0 && errno != ENXIO)
		return transfer_data(job, left);
	/* A hole, to the next data or the end as it is now: beyond it is nothing. */
	if (fstat(job->src, &st))
		return -1;
	if (data < 0 || data > st.st_size)
		data = st.st_size;
	if (data <= pos)
		return 0;
	return make_hole(job, min_u64(left, (uint64_t)(data - pos)));
}

/**
 * sparse_finish - make the destination as long as what was copied
 * @job: after its last step
 *
 * Only a hole at its end can have left it shorter. A zero at that hole's end makes
 * it longer; ftruncate(2) would cut off what somebody else has written meanwhile.
 *
 * Return: 0 or an errno, with the job's count cut down to what there is.
 */
int sparse_finish(struct job *job)
{
	off_t end = (off_t)(job->args->dst_offset + job->done);
	struct stat st;

	if (fstat(job->dst, &st)) {
		job->done = 0;
		return errno;
	}
	if (st.st_size >= end || pwrite(job->dst, "", 1, end - 1) == 1)
		return 0;
	end = st.st_size - (off_t)job->args->dst_offset;
	job->done = end > 0 ? (uint64_t)end : 0;
	return errno;
}
