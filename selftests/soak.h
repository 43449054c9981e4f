/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What soak_model.c and soak_chaos.c share: threads that each make one random
 * operation after the other until the time is up, and the copying calls.
 *
 * A finding ends the program at once with status 1 and words on what was
 * wanted and what was there; the same -s and -w do the same operations, though
 * not in the same order.
 */
#ifndef OFFLOADFS_SELFTESTS_SOAK_H
#define OFFLOADFS_SELFTESTS_SOAK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK		4096
#define MAX_WORKERS	32
#define MAX_OPS		24

/* One thread that makes calls. */
struct worker {
	int nr;
	unsigned long long random;
	const char *op;		/* what it is doing, for messages */
	unsigned long done[MAX_OPS];
	unsigned char *buf;
};

struct op {
	const char *name;
	unsigned int weight;
	void (*run)(struct worker *w);
};

static const char *soak_dir;
static struct timespec soak_end;
static unsigned int soak_seed = 1;

static void __attribute__((noreturn, format(printf, 2, 3)))
broken(const struct worker *w, const char *fmt, ...)
{
	va_list ap;

	flockfile(stdout);
	printf("# finding: worker %d, %s: ", w->nr, w->op);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

static unsigned long long rnd(struct worker *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random;
}

static size_t below(struct worker *w, size_t n)
{
	return n ? (rnd(w) >> 11) % n : 0;
}

static bool time_is_up(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > soak_end.tv_sec ||
	       (now.tv_sec == soak_end.tv_sec && now.tv_nsec > soak_end.tv_nsec);
}

/* No clone or copy from the file system, or the mount's options forbid it. */
static inline bool copies_refused(int error)
{
	return error == EOPNOTSUPP || error == EXDEV;
}

static inline int clone_range(int in, off_t pos_in, int out, off_t pos_out,
			      size_t len)
{
	struct file_clone_range range = {
		.src_fd = in,
		.src_offset = pos_in,
		.src_length = len,
		.dest_offset = pos_out,
	};

	return ioctl(out, FICLONERANGE, &range);
}

/* Returns bytes, or -1 with an errno; EBADE if the contents differ. */
static inline ssize_t dedupe_range(int in, off_t pos_in, int out,
				   off_t pos_out, size_t len)
{
	struct {
		struct file_dedupe_range range;
		struct file_dedupe_range_info info;
	} arg = {
		.range.src_offset = pos_in,
		.range.src_length = len,
		.range.dest_count = 1,
		.info.dest_fd = out,
		.info.dest_offset = pos_out,
	};

	if (ioctl(in, FIDEDUPERANGE, &arg))
		return -1;
	if (arg.info.status == FILE_DEDUPE_RANGE_SAME)
		return arg.info.bytes_deduped;
	errno = arg.info.status < 0 ? -arg.info.status : EBADE;
	return -1;
}

/* One of the two calls that copy any range. */
static inline ssize_t copy_bytes(struct worker *w, int in, off_t pos_in,
				 int out, off_t pos_out, size_t len)
{
	if (rnd(w) & 1)
		return copy_file_range(in, &pos_in, out, &pos_out, len, 0);
	if (lseek(out, pos_out, SEEK_SET) != pos_out)
		broken(w, "lseek: %s", strerror(errno));
	return sendfile(out, in, &pos_in, len);
}

static const struct op *soak_ops;
static size_t soak_nr_ops;
static struct worker soak_workers[MAX_WORKERS];

static void soak_step(struct worker *w)
{
	unsigned int total = 0, i, pick;

	for (i = 0; i < soak_nr_ops; i++)
		total += soak_ops[i].weight;
	pick = below(w, total);
	for (i = 0; pick >= soak_ops[i].weight; i++)
		pick -= soak_ops[i].weight;
	w->op = soak_ops[i].name;
	soak_ops[i].run(w);
	w->done[i]++;
}

static void *soak_thread(void *arg)
{
	while (!time_is_up())
		soak_step(arg);
	return NULL;
}

static void soak_init_worker(struct worker *w, int nr, size_t size)
{
	w->nr = nr;
	w->random = (soak_seed * 1000003ULL + nr + 1) * 0x9e3779b97f4a7c15ULL;
	w->buf = malloc(size);
	if (!w->buf)
		exit(2);
}

static void soak_report(unsigned int workers)
{
	unsigned long sum;
	unsigned int i, j;

	printf("#");
	for (i = 0; i < soak_nr_ops; i++) {
		for (sum = 0, j = 0; j < workers; j++)
			sum += soak_workers[j].done[i];
		printf(" %s=%lu", soak_ops[i].name, sum);
	}
	printf("\n");
}

/* Run the operations on so many threads, each with a buffer of @size bytes. */
static void soak_run(const struct op *ops, size_t n, unsigned int workers,
		     size_t size)
{
	pthread_t threads[MAX_WORKERS];
	unsigned int i;

	soak_ops = ops;
	soak_nr_ops = n;
	for (i = 0; i < workers; i++) {
		soak_init_worker(&soak_workers[i], i, size);
		if (pthread_create(&threads[i], NULL, soak_thread,
				   &soak_workers[i]))
			exit(2);
	}
	for (i = 0; i < workers; i++)
		pthread_join(threads[i], NULL);
	soak_report(workers);
}

/* usage: PROGRAM [-t SECONDS] [-w WORKERS] [-s SEED] DIR [LOWER] */
static unsigned int soak_options(int argc, char **argv)
{
	unsigned int workers = 4, seconds = 10;
	int opt;

	while ((opt = getopt(argc, argv, "t:w:s:")) != -1) {
		if (opt == 't')
			seconds = atoi(optarg);
		else if (opt == 'w')
			workers = atoi(optarg);
		else if (opt == 's')
			soak_seed = atoi(optarg);
		else
			exit(2);
	}
	if (optind >= argc || workers > MAX_WORKERS) {
		fprintf(stderr, "usage: %s [-t SECONDS] [-w WORKERS] [-s SEED] DIR [LOWER]\n",
			argv[0]);
		exit(2);
	}
	soak_dir = argv[optind];
	clock_gettime(CLOCK_MONOTONIC, &soak_end);
	soak_end.tv_sec += seconds;
	return workers;
}

#endif
