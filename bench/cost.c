// SPDX-License-Identifier: GPL-2.0-only
/*
 * cost - what operations cost on a file system, and through what is mounted
 * on it. The ways take turns, loop by loop; the first loop of each only warms
 * the caches up. By default the processor time of the calling thread counts,
 * which in a guest run by QEMU with -icount shift=0 is its instructions, one
 * a nanosecond.
 *
 * usage: cost [-w] [-r ROUNDS] [-o OPERATION] [-m LOWER] FS CSV GROUP[,GROUP...] NAME=DIR...
 *
 *   -w        wall clock
 *   -r        loops that count (default 5)
 *   -o        only the operation of that name
 *   -m LOWER  group "mount": what is mounted on the directory of the way "off"
 *
 * Adds a line for each loop to CSV: FS,GROUP,OPERATION,SIZE,WAY,ROUND,VALUE.
 * The value is nanoseconds per operation, or bytes in the group "memory".
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "cost.h"

#define MAX_WAYS	4

static const struct op *const tables[] = { file_ops, name_ops, copy_ops };

const char *mount_lower;
char *buffer;

static const char *fs, *only;
static FILE *csv;
static bool wall;
static unsigned int rounds = 5;
static double clock_cost;

long must(const char *what, long ret)
{
	if (ret < 0)
		err(1, "%s: %s", fs, what);
	return ret;
}

double now(bool by_wall)
{
	struct timespec ts;

	clock_gettime(by_wall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

void record(const char *group, const char *name, size_t size,
	    const struct way *w, unsigned int round, double value)
{
	fprintf(csv, "%s,%s,%s,%zu,%s,%u,%.1f\n", fs, group, name, size,
		w->name, round, value);
}

/* Names, inodes, and what they pin: what hangs on others goes after them. */
void drop_caches(void)
{
	int fd = must("drop_caches", open("/proc/sys/vm/drop_caches", O_WRONLY));
	int i;

	for (i = 0; i < 4; i++)
		must("drop_caches", write(fd, "2", 1));
	close(fd);
}

/*
 * A file of that size on the disk. Allocated before it is written, it has as
 * few extents as its file system can make; written past the page cache where
 * that is possible, it does not push out everything else.
 */
int make_file(struct way *w, const char *name, size_t size)
{
	const size_t piece = size < MIB ? size : MIB;
	int fd = must(name, openat(w->dir, name, O_RDWR | O_CREAT | O_TRUNC, 0644));
	size_t done;

	must("fallocate", fallocate(fd, 0, 0, size));
	if (size >= MIB)
		fcntl(fd, F_SETFL, O_DIRECT);
	for (done = 0; done < size; done += piece)
		if (must("write", pwrite(fd, buffer, piece, done)) != (long)piece)
			errx(1, "%s: a short write", fs);
	fcntl(fd, F_SETFL, 0);
	must("fsync", fsync(fd));
	return fd;
}

void close_fd(struct way *w, const struct op *op)
{
	(void)op;
	close(w->fd);
}

/* One loop. What comes after each run is not measured. */
static double loop(struct way *w, const struct op *op)
{
	double start, took = 0;
	unsigned int i;

	if (op->before)
		op->before(w, op);
	if (!op->after) {
		start = now(wall);
		for (i = 0; i < op->times; i++)
			op->run(w, op, i);
		return (now(wall) - start) / op->times;
	}
	for (i = 0; i < op->times; i++) {
		start = now(wall);
		op->run(w, op, i);
		took += now(wall) - start - clock_cost;
		op->after(w, op);
	}
	return took / op->times;
}

static void measure(struct way *ways, unsigned int nr, const struct op *op)
{
	unsigned int round, i;
	double took;

	for (i = 0; i < nr; i++)
		if (op->setup)
			op->setup(&ways[i], op);
	sync();
	for (round = 0; round <= rounds; round++) {
		for (i = 0; i < nr; i++) {
			took = loop(&ways[i], op);
			if (round)
				record(op->group, op->name, op->size, &ways[i],
				       round, took);
		}
	}
	fflush(csv);
	for (i = 0; i < nr; i++)
		if (op->teardown)
			op->teardown(&ways[i], op);
}

static void measure_group(struct way *ways, unsigned int nr, const char *group)
{
	const struct op *op;
	unsigned int t;

	if (!strcmp(group, "memory"))
		return measure_memory(ways, nr);
	if (!strcmp(group, "parallel"))
		return measure_parallel(ways, nr, rounds);
	for (t = 0; t < sizeof(tables) / sizeof(*tables); t++)
		for (op = tables[t]; op->name; op++)
			if (!strcmp(op->group, group) &&
			    (!only || !strcmp(op->name, only)))
				measure(ways, nr, op);
}

static void open_way(struct way *w, char *arg)
{
	int top;

	w->name = strsep(&arg, "=");
	w->path = arg;
	if (!arg)
		errx(2, "%s: no directory", w->name);
	top = must(arg, open(arg, O_RDONLY | O_DIRECTORY));
	mkdirat(top, "w", 0755);
	w->dir = must("w", openat(top, "w", O_RDONLY | O_DIRECTORY));
	close(top);
}

static void calibrate(void)
{
	double start = now(wall), end = start;
	int i;

	for (i = 0; i < 1000; i++)
		end = now(wall);
	clock_cost = (end - start) / 1000;
}

static void get_options(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "wr:o:m:")) != -1) {
		switch (opt) {
		case 'w':
			wall = true;
			break;
		case 'r':
			rounds = atoi(optarg);
			break;
		case 'o':
			only = optarg;
			break;
		case 'm':
			mount_lower = optarg;
			break;
		default:
			exit(2);
		}
	}
	if (argc - optind < 4 || argc - optind > 3 + MAX_WAYS)
		errx(2, "usage: cost [-w] [-r ROUNDS] [-o OPERATION] [-m LOWER] FS CSV GROUP,... NAME=DIR...");
}

int main(int argc, char **argv)
{
	const struct rlimit files = { 65536, 65536 };
	struct way ways[MAX_WAYS] = { 0 };
	unsigned int nr = 0, i;
	char *group, *groups;

	get_options(argc, argv);
	argv += optind;
	fs = argv[0];
	csv = fopen(argv[1], "a");
	if (!csv)
		err(1, "%s", argv[1]);
	buffer = aligned_alloc(4096, MIB);
	for (i = 0; i < MIB; i++)
		buffer[i] = i * 2654435761U >> 13;
	must("setrlimit", setrlimit(RLIMIT_NOFILE, &files));
	calibrate();
	groups = argv[2];
	while ((group = strsep(&groups, ",")) != NULL) {
		for (nr = 0; argv[3 + nr]; nr++) {
			char *way = strdup(argv[3 + nr]);

			open_way(&ways[nr], way);
		}
		measure_group(ways, nr, group);
		for (i = 0; i < nr; i++)
			close(ways[i].dir);
	}
	return fclose(csv) ? 1 : 0;
}
