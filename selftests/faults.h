/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fail every allocation that a system call makes, one at a time.
 *
 * For each scenario N = 1, 2, ...: have the Nth allocation of the calls fail
 * (/proc/thread-self/fail-nth), make them, and look at what is left; until
 * fewer than N allocations are made. A call that fails must say so with an
 * errno of its own (a copy or write may be short), and must have done nothing
 * else: no mount half there, no byte that is neither the old one nor the new.
 * Without a fault the calls must succeed.
 */
#ifndef OFFLOADFS_SELFTESTS_FAULTS_H
#define OFFLOADFS_SELFTESTS_FAULTS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MAX_FAULTS	3000
#define SRC_SIZE	(10 * 4096)
#define OLD_SIZE	10000

struct scenario {
	const char *name;
	void (*prepare)(void);
	ssize_t (*act)(void);
	void (*verify)(ssize_t ret);
};

static const char *up, *low, *running;
static int fail_nth, round_nr;
static char path[4096], path2[4096], below[4096];
static unsigned char src[SRC_SIZE], old[OLD_SIZE], got[2 * SRC_SIZE];

static void __attribute__((noreturn, format(printf, 1, 2)))
broken(const char *fmt, ...)
{
	va_list ap;

	printf("# %s, allocation %d: ", running, round_nr);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

/* The allocations of this thread */

static void arm(int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	if (pwrite(fail_nth, text, len, 0) != len)
		err(2, "fail-nth");
}

/* Has an allocation failed since arm()? */
static bool disarm(void)
{
	char text[16] = "";

	if (pread(fail_nth, text, sizeof(text) - 1, 0) <= 0)
		err(2, "fail-nth");
	arm(0);
	return !atoi(text);
}

/* Files */

static void write_below(const char *name, const void *data, size_t len)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len || close(fd))
		err(2, "%s", name);
}

/* The upper knows nothing of it yet. */
static inline void new_file(void)
{
	snprintf(below, sizeof(below), "%s/f%d", low, round_nr);
	snprintf(path, sizeof(path), "%s/f%d", up, round_nr);
	snprintf(path2, sizeof(path2), "%s/g%d", up, round_nr);
	write_below(below, old, OLD_SIZE);
}

static inline void new_name(void)
{
	new_file();
	unlink(below);
}

static inline void remove_files(void)
{
	unlink(path);
	rmdir(path);
	unlink(path2);
	if (!access(path, F_OK) || !access(below, F_OK))
		broken("%s cannot be removed", path);
}

/* It holds what it held, or what it was to hold, byte by byte. */
static inline void check_below(ssize_t new_len)
{
	int fd = open(below, O_RDONLY);
	ssize_t n, i;

	n = read(fd, got, sizeof(got));
	close(fd);
	if (n < OLD_SIZE || n > SRC_SIZE || n < new_len)
		broken("%zd bytes are left, %zd were written", n, new_len);
	for (i = 0; i < n; i++)
		if (got[i] != src[i] && (i < new_len || i >= OLD_SIZE || got[i] != old[i]) &&
		    (i < new_len || i < OLD_SIZE || got[i]))
			broken("byte %zd is %02x", i, got[i]);
}

static void errno_is_sane(ssize_t ret)
{
	if (ret < 0 && errno != ENOMEM && errno != ENOSPC && errno != ENOLCK)
		broken("says %s", strerror(errno));
}

static inline void verify_written(ssize_t ret)
{
	errno_is_sane(ret);
	check_below(ret < 0 ? 0 : ret);
	remove_files();
}

static inline void verify_old(ssize_t ret)
{
	int fd = open(below, O_RDONLY);

	errno_is_sane(ret);
	if (read(fd, got, sizeof(got)) != OLD_SIZE || memcmp(got, old, OLD_SIZE))
		broken("the file has changed");
	close(fd);
	remove_files();
}

static inline void verify_name(ssize_t ret)
{
	errno_is_sane(ret);
	remove_files();
}

/* Returns the number of calls that failed. */
static int play_once(const struct scenario *s)
{
	int failed = 0, error;
	bool hit = true;
	ssize_t ret;

	for (round_nr = 1; hit && round_nr < MAX_FAULTS; round_nr++) {
		s->prepare();
		arm(round_nr);
		ret = s->act();
		error = errno;
		hit = disarm();
		failed += ret < 0;
		if (!hit && ret < 0)
			broken("fails without a fault: %s", strerror(error));
		errno = error;
		s->verify(ret);
	}
	if (hit || round_nr <= 2)
		broken("no end, or no allocation at all");
	return failed;
}

/*
 * Now and then an allocator allocates for itself, and what was to fail moves
 * on by one: once more, so that none gets away.
 */
static void play(const struct scenario *s)
{
	int failed;

	running = s->name;
	failed = play_once(s);
	failed += play_once(s);
	printf("# %s: %d allocations, %d calls failed\n", s->name, round_nr - 2,
	       failed);
}

static void fill(unsigned char *p, size_t len, unsigned int seed)
{
	while (len--) {
		seed = seed * 1103515245 + 12345;
		*p++ = 1 + (seed >> 16) % 255;
	}
}

static void set_up(void)
{
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR);
	if (fail_nth < 0)
		err(4, "no fault injection");
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		err(2, "mlockall");
	fill(src, SRC_SIZE, 1);
	fill(old, OLD_SIZE, 2);
	snprintf(below, sizeof(below), "%s/src", low);
	write_below(below, src, SRC_SIZE);
}

/* The main program: play those scenarios that are named. */
static int play_named(int argc, char **argv, const struct scenario *scenarios,
		      size_t n)
{
	size_t s;
	int i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 3)
		return 2;
	up = argv[1];
	low = argv[2];
	set_up();
	for (s = 0; s < n; s++) {
		for (i = 3; i < argc && strcmp(scenarios[s].name, argv[i]); i++)
			;
		if (i < argc || argc == 3)
			play(&scenarios[s]);
	}
	return 0;
}

#endif
