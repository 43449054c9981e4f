// SPDX-License-Identifier: GPL-2.0-only
/*
 * cost - names and attributes, and the memory that caching them takes.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "cost.h"

#define DEEP	"a/b/c/d/e"
#define COLD	500
#define OPEN	2000

static char names[MANY][24];

static void touch(int dir, const char *name)
{
	close(must(name, openat(dir, name, O_CREAT | O_WRONLY, 0644)));
}

static void setup_names(struct way *w, const struct op *op)
{
	static const char *const dirs[] = { "a", "a/b", "a/b/c", "a/b/c/d", DEEP };
	unsigned int i;

	(void)op;
	for (i = 0; i < 5; i++)
		mkdirat(w->dir, dirs[i], 0755);
	touch(w->dir, DEEP "/file");
	touch(w->dir, "file");
	w->fd = must("file", openat(w->dir, "file", O_RDWR));
}

static void run_stat(struct way *w, const struct op *op, unsigned int i)
{
	struct stat st;

	(void)op;
	(void)i;
	must("stat", fstatat(w->dir, "file", &st, 0));
}

static void run_walk(struct way *w, const struct op *op, unsigned int i)
{
	(void)op;
	(void)i;
	must("access", faccessat(w->dir, DEEP "/file", F_OK, 0));
}

static void run_open(struct way *w, const struct op *op, unsigned int i)
{
	(void)op;
	(void)i;
	close(must("open", openat(w->dir, "file", O_RDONLY)));
}

static void run_create(struct way *w, const struct op *op, unsigned int i)
{
	(void)op;
	(void)i;
	close(must("creat", openat(w->dir, "new", O_CREAT | O_EXCL | O_WRONLY, 0644)));
	must("unlink", unlinkat(w->dir, "new", 0));
}

static void run_rename(struct way *w, const struct op *op, unsigned int i)
{
	static const char *const name[] = { "file", "renamed" };

	(void)op;
	must("rename", renameat(w->dir, name[i % 2], w->dir, name[!(i % 2)]));
}

static void run_mkdir(struct way *w, const struct op *op, unsigned int i)
{
	(void)op;
	(void)i;
	must("mkdir", mkdirat(w->dir, "newdir", 0755));
	must("rmdir", unlinkat(w->dir, "newdir", AT_REMOVEDIR));
}

static void run_setxattr(struct way *w, const struct op *op, unsigned int i)
{
	(void)op;
	must("setxattr", fsetxattr(w->fd, "user.bench", i % 2 ? "odd " : "even", 4, 0));
}

/* A directory of its own with N files. */
static void fill(struct way *w, const char *dir, unsigned int n)
{
	unsigned int i;

	if (mkdirat(w->dir, dir, 0755) && errno == EEXIST)
		return;
	for (i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "%s/%u", dir, i);
		touch(w->dir, names[i]);
	}
}

static void setup_cold(struct way *w, const struct op *op)
{
	fill(w, "cold", op->times);
}

/* The directory itself is open, and so stays. */
static void chill(struct way *w, const struct op *op)
{
	(void)w;
	(void)op;
	drop_caches();
}

static void run_cold(struct way *w, const struct op *op, unsigned int i)
{
	struct stat st;

	(void)op;
	must("stat", fstatat(w->dir, names[i], &st, 0));
}

static void setup_many(struct way *w, const struct op *op)
{
	(void)op;
	fill(w, "many", MANY);
	w->fd = must("many", openat(w->dir, "many", O_RDONLY | O_DIRECTORY));
}

static void run_readdir(struct way *w, const struct op *op, unsigned int i)
{
	unsigned int entries = 0, pos;
	long n;

	(void)op;
	(void)i;
	must("lseek", lseek(w->fd, 0, SEEK_SET));
	while ((n = must("getdents64", getdents64(w->fd, buffer, 32 * KIB))) > 0)
		for (pos = 0; pos < n; entries++)
			pos += ((struct dirent64 *)(buffer + pos))->d_reclen;
	if (entries != MANY + 2)
		errx(1, "%u entries", entries);
}

const struct op name_ops[] = {
	{ "names", "stat", 0, 1000, setup_names, NULL, run_stat, NULL, close_fd },
	{ "names", "open+close", 0, 500, setup_names, NULL, run_open, NULL, close_fd },
	{ "names", "warm lookup", 0, 1000, setup_names, NULL, run_walk, NULL, close_fd },
	{ "names", "create+unlink", 0, 200, setup_names, NULL, run_create, NULL, close_fd },
	{ "names", "rename", 0, 200, setup_names, NULL, run_rename, NULL, close_fd },
	{ "names", "mkdir+rmdir", 0, 200, setup_names, NULL, run_mkdir, NULL, close_fd },
	{ "names", "setxattr", 0, 200, setup_names, NULL, run_setxattr, NULL, close_fd },
	{ "cold", "cold lookup", 0, COLD, setup_cold, chill, run_cold, NULL, NULL },
	{ "many", "readdir", MANY, 1, setup_many, NULL, run_readdir, NULL, close_fd },
	{ 0 }
};

/* All that the slabs hold, in bytes. */
static double slabs(void)
{
	unsigned long per_slab, nr;
	double sum = 0;
	char line[512], *data;
	FILE *f = fopen("/proc/slabinfo", "r");

	if (!f)
		err(1, "/proc/slabinfo");
	while (fgets(line, sizeof(line), f)) {
		data = strstr(line, " : slabdata ");
		if (!data || sscanf(line, "%*s %*u %*u %*u %*u %lu", &per_slab) != 1 ||
		    sscanf(data, " : slabdata %*u %lu", &nr) != 1)
			continue;
		sum += (double)per_slab * nr * getpagesize();
	}
	fclose(f);
	return sum;
}

static double settled_slabs(void)
{
	drop_caches();
	sleep(1); /* what RCU still holds */
	drop_caches();
	return slabs();
}

static double memory_of_names(struct way *w)
{
	double before = settled_slabs();
	struct stat st;
	unsigned int i;

	for (i = 0; i < MANY; i++)
		must("stat", fstatat(w->dir, names[i], &st, 0));
	return (slabs() - before) / MANY;
}

static double memory_of_open(struct way *w)
{
	static int fds[OPEN];
	double before, bytes;
	unsigned int i;

	touch(w->dir, "file");
	close(must("dup2", dup2(w->dir, OPEN + 100))); /* the table grows */
	before = settled_slabs();
	for (i = 0; i < OPEN; i++)
		fds[i] = must("open", openat(w->dir, "file", O_RDONLY));
	bytes = (slabs() - before) / OPEN;
	for (i = 0; i < OPEN; i++)
		close(fds[i]);
	return bytes;
}

void measure_memory(struct way *ways, unsigned int nr)
{
	unsigned int i, round;

	for (i = 0; i < nr; i++)
		fill(&ways[i], "many", MANY);
	sync();
	for (i = 0; i < MANY; i++)
		snprintf(names[i], sizeof(names[i]), "many/%u", i);
	for (round = 0; round <= 3; round++) {
		for (i = 0; i < nr; i++) {
			double cached = memory_of_names(&ways[i]);
			double open = memory_of_open(&ways[i]);

			if (!round)
				continue;
			record("memory", "cached file", 0, &ways[i], round, cached);
			record("memory", "open file", 0, &ways[i], round, open);
		}
	}
}
