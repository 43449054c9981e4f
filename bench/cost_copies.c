// SPDX-License-Identifier: GPL-2.0-only
/*
 * cost - copies, one after the other and side by side, and the first one after
 * a mount.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cost.h"

static void open_target(struct way *w)
{
	w->out = must("copy", openat(w->dir, "copy", O_RDWR | O_CREAT | O_TRUNC, 0644));
}

/* Sources stay for other operations, and other ways to the same directory. */
static void setup_copy(struct way *w, const struct op *op)
{
	char name[32];

	snprintf(name, sizeof(name), "source-%zu", op->size);
	w->fd = openat(w->dir, name, O_RDONLY);
	if (w->fd < 0)
		w->fd = make_file(w, name, op->size);
	open_target(w);
}

/* One percent data: 4 KiB at every 400 KiB. */
static void setup_sparse(struct way *w, const struct op *op)
{
	size_t pos;

	w->fd = must("sparse", openat(w->dir, "sparse", O_RDWR | O_CREAT | O_TRUNC, 0644));
	must("ftruncate", ftruncate(w->fd, op->size));
	for (pos = 0; pos < op->size; pos += 400 * KIB)
		must("write", pwrite(w->fd, buffer, 4 * KIB, pos));
	must("fsync", fsync(w->fd));
	open_target(w);
}

static void run_sendfile(struct way *w, const struct op *op, unsigned int i)
{
	size_t done = 0;
	ssize_t n;
	off_t pos = 0;

	(void)i;
	must("lseek", lseek(w->out, 0, SEEK_SET));
	while (done < op->size) {
		n = must("sendfile", sendfile(w->out, w->fd, &pos, op->size - done));
		if (!n)
			errx(1, "sendfile ends at %zu", done);
		done += n;
	}
}

static void run_cfr(struct way *w, const struct op *op, unsigned int i)
{
	off_t in = 0, out = 0;
	ssize_t n;

	(void)i;
	while ((size_t)out < op->size) {
		n = must("copy_file_range", copy_file_range(w->fd, &in, w->out, &out,
							    op->size - out, 0));
		if (!n)
			errx(1, "copy_file_range ends at %ld", (long)out);
	}
}

static void run_clone(struct way *w, const struct op *op, unsigned int i)
{
	(void)op;
	(void)i;
	must("FICLONE", ioctl(w->out, FICLONE, w->fd));
}

static void empty_target(struct way *w, const struct op *op)
{
	(void)op;
	must("ftruncate", ftruncate(w->out, 0));
}

static void close_copy(struct way *w, const struct op *op)
{
	close(w->fd);
	close(w->out);
	unlinkat(w->dir, "sparse", 0);
	unlinkat(w->dir, "copy", 0);
	(void)op;
}

/* The first copy through the bare lower, or through a mount made for it. */
static void run_mount(struct way *w, const struct op *op, unsigned int i)
{
	char name[4096];
	int dir;

	(void)i;
	if (!strcmp(w->name, "off"))
		must("mount", mount(mount_lower, w->path, "offloadfs", 0, NULL));
	snprintf(name, sizeof(name), "%s/w", w->path);
	dir = must(name, open(name, O_RDONLY | O_DIRECTORY));
	w->fd = must("first", openat(dir, "first", O_RDONLY));
	w->out = must("copy", openat(dir, "copy", O_RDWR | O_CREAT | O_TRUNC, 0644));
	run_sendfile(w, op, 0);
	close(w->out);
	close(w->fd);
	close(dir);
}

static void undo_mount(struct way *w, const struct op *op)
{
	(void)op;
	if (!strcmp(w->name, "off"))
		must("umount", umount(w->path));
}

/*
 * The way "off" has been opened without its mount: that is its mount point.
 * The source is made in the lower.
 */
static void setup_mount(struct way *w, const struct op *op)
{
	struct way lower = { .name = "lower" };
	int top;

	(void)w;
	top = must(mount_lower, open(mount_lower, O_RDONLY | O_DIRECTORY));
	mkdirat(top, "w", 0755);
	lower.dir = must("w", openat(top, "w", O_RDONLY | O_DIRECTORY));
	close(make_file(&lower, "first", op->size));
	close(lower.dir);
	close(top);
	close(w->dir);
	w->dir = -1;
}

#define COPY(group, size, times) \
	{ group, "sendfile", size, times, setup_copy, NULL, run_sendfile, \
	  empty_target, close_copy }, \
	{ group, "copy_file_range", size, times, setup_copy, NULL, run_cfr, \
	  empty_target, close_copy }
#define CLONE(group, size, times) \
	{ group, "FICLONE", size, times, setup_copy, NULL, run_clone, \
	  empty_target, close_copy }

const struct op copy_ops[] = {
	CLONE("clone", 1 * MIB, 20), CLONE("clone", 64 * MIB, 20),
	CLONE("clone", 1 * GIB, 20), CLONE("clone big", 4 * GIB, 20),
	COPY("offload", 1 * MIB, 20), COPY("offload", 64 * MIB, 20),
	COPY("offload", 1 * GIB, 20), COPY("offload big", 4 * GIB, 20),
	COPY("small", 4 * KIB, 200),
	COPY("copy", 1 * MIB, 10), COPY("copy", 32 * MIB, 1),
	COPY("big", 128 * MIB, 1),
	{ "sparse", "sendfile", 256 * MIB, 1, setup_sparse, NULL, run_sendfile,
	  empty_target, close_copy },
	{ "sparse big", "sendfile", GIB, 1, setup_sparse, NULL, run_sendfile,
	  empty_target, close_copy },
	{ "mount", "mount+first copy", MIB, 1, setup_mount, NULL, run_mount,
	  undo_mount, NULL },
	{ 0 }
};

/* Side by side: each task has its own source and target. */
#define TASKS	8
#define EACH	(8 * MIB)

static void task(struct way *w, unsigned int i, bool copy)
{
	char from[16], to[16];
	size_t pos;
	unsigned int n;

	snprintf(from, sizeof(from), "source%u", copy ? i : 0);
	snprintf(to, sizeof(to), "copy%u", i);
	w->fd = must(from, openat(w->dir, from, O_RDONLY));
	if (copy) {
		const struct op op = { .size = EACH };

		w->out = must(to, openat(w->dir, to, O_RDWR | O_CREAT | O_TRUNC, 0644));
		for (n = 0; n < 2; n++)
			run_sendfile(w, &op, 0);
		exit(0);
	}
	for (pos = 0; pos < 8 * EACH; pos += 4 * KIB)
		must("pread", pread(w->fd, buffer, 4 * KIB, pos % EACH));
	exit(0);
}

static double side_by_side(struct way *w, unsigned int tasks, bool copy)
{
	double start = now(true);
	unsigned int i;
	int status;

	for (i = 0; i < tasks; i++) {
		pid_t pid = must("fork", fork());

		if (!pid)
			task(w, i, copy);
	}
	for (i = 0; i < tasks; i++) {
		must("wait", wait(&status));
		if (status)
			errx(1, "a task failed");
	}
	return now(true) - start;
}

void measure_parallel(struct way *ways, unsigned int nr, unsigned int rounds)
{
	unsigned int i, tasks, round;
	char name[16];

	for (i = 0; i < nr; i++) {
		for (tasks = 0; tasks < TASKS; tasks++) {
			snprintf(name, sizeof(name), "source%u", tasks);
			close(make_file(&ways[i], name, EACH));
		}
	}
	for (round = 0; round <= rounds; round++) {
		for (tasks = 1; tasks <= TASKS; tasks *= 2) {
			for (i = 0; i < nr; i++) {
				double took = side_by_side(&ways[i], tasks, true);

				if (round)
					record("parallel", "tasks copying", tasks,
					       &ways[i], round, took / tasks);
			}
		}
		for (i = 0; i < nr; i++) {
			double took = side_by_side(&ways[i], TASKS, false);

			if (round)
				record("parallel", "tasks reading", TASKS, &ways[i],
				       round, took / TASKS);
		}
	}
}
