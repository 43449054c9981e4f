/* SPDX-License-Identifier: GPL-2.0-only */
/* io_uring by its bare system calls: one request at a time, or a few. */
#ifndef OFFLOADFS_SELFTESTS_URING_H
#define OFFLOADFS_SELFTESTS_URING_H

#include <errno.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct ring {
	int fd;
	unsigned char *sq, *cq;
	struct io_uring_sqe *sqes;
	struct io_uring_params p;
};

/* @flags: IORING_SETUP_* */
static inline bool ring_open_as(struct ring *r, unsigned int flags)
{
	memset(&r->p, 0, sizeof(r->p));
	r->p.flags = flags;
	r->fd = syscall(__NR_io_uring_setup, 8, &r->p);
	if (r->fd < 0)
		return false;
	r->sq = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		     IORING_OFF_SQ_RING);
	r->cq = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		     IORING_OFF_CQ_RING);
	r->sqes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		       IORING_OFF_SQES);
	return r->sqes != MAP_FAILED;
}

static inline bool ring_open(struct ring *r)
{
	return ring_open_as(r, 0);
}

/* Submit @n requests, wait for all, and store each one's result by user_data. */
static inline int ring_submit(struct ring *r, const struct io_uring_sqe *sqes, int n,
			      int *res)
{
	struct io_uring_cqe *cqes = (void *)(r->cq + r->p.cq_off.cqes);
	unsigned int *tail = (void *)(r->sq + r->p.sq_off.tail);
	unsigned int *array = (void *)(r->sq + r->p.sq_off.array);
	unsigned int *head = (void *)(r->cq + r->p.cq_off.head);
	unsigned int slot;
	int i;

	for (i = 0; i < n; i++) {
		slot = (*tail + i) & (r->p.sq_entries - 1);
		r->sqes[slot] = sqes[i];
		r->sqes[slot].user_data = i;
		array[slot] = slot;
	}
	__atomic_store_n(tail, *tail + n, __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, r->fd, n, n, IORING_ENTER_GETEVENTS, NULL, 0) != n)
		return -errno;
	for (i = 0; i < n; i++) {
		struct io_uring_cqe *cqe = &cqes[*head & (r->p.cq_entries - 1)];

		res[cqe->user_data] = cqe->res;
		__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	}
	return 0;
}

static inline int ring_do(struct ring *r, const struct io_uring_sqe *sqe)
{
	int res, err = ring_submit(r, sqe, 1, &res);

	return err ?: res;
}

#endif /* OFFLOADFS_SELFTESTS_URING_H */
