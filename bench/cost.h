/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the measuring program share.
 *
 * A way is a directory by which the same kind of file system is used: bare, or
 * through what is mounted on it. Each has files of its own, all alike.
 */
#ifndef OFFLOADFS_BENCH_COST_H
#define OFFLOADFS_BENCH_COST_H

#include <stdbool.h>
#include <stddef.h>

#define KIB	1024UL
#define MIB	(1024 * KIB)
#define GIB	(1024 * MIB)

/* The entries of the big directory. */
#define MANY	10000

struct way {
	const char *name;
	const char *path;
	int dir;	/* its working directory */
	int fd;
	int out;
	int sock[2];
	char *map;
};

/* What is measured: "times" times "run", by loops. */
struct op {
	const char *group;
	const char *name;
	size_t size;
	unsigned int times;
	void (*setup)(struct way *w, const struct op *op);
	void (*before)(struct way *w, const struct op *op); /* each loop */
	void (*run)(struct way *w, const struct op *op, unsigned int i);
	void (*after)(struct way *w, const struct op *op); /* each run */
	void (*teardown)(struct way *w, const struct op *op);
};

extern const struct op file_ops[], name_ops[], copy_ops[];
extern const char *mount_lower;
extern char *buffer;

/* Ends the program with the errno when a call has failed. */
long must(const char *what, long ret);
int make_file(struct way *w, const char *name, size_t size);
void close_fd(struct way *w, const struct op *op);
void drop_caches(void);
double now(bool wall);
void record(const char *group, const char *name, size_t size,
	    const struct way *w, unsigned int round, double value);

void measure_memory(struct way *ways, unsigned int nr);
void measure_parallel(struct way *ways, unsigned int nr, unsigned int rounds);

#endif /* OFFLOADFS_BENCH_COST_H */
