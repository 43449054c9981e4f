/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Parity tests: play one scenario on a directory of the bare lower file system
 * and on an offloadfs mount over a second directory of it. A scenario writes
 * down whatever a program can see (return values, errnos, positions, contents)
 * with note(); PARITY() fails unless both say the same.
 *
 * The mounts are made when the program starts and undone when it ends, in the
 * working directory: lower-FS/bare, and upper-FS over lower-FS/below. A mount
 * that does not come off is a failure of the program.
 */
#ifndef OFFLOADFS_SELFTESTS_PARITY_H
#define OFFLOADFS_SELFTESTS_PARITY_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include "kselftest_harness.h"

enum lower { TMPFS, XFS, EXT4, BTRFS, NR_LOWERS };

struct lower_type {
	const char *name;
	const char *mkfs;
	const char *options;
};

static const struct lower_type lower_types[NR_LOWERS] = {
	[TMPFS] = { "tmpfs", NULL, "size=512m" },
	[XFS] = { "xfs", "mkfs.xfs -q -f -m reflink=1 -K", "" },
	[EXT4] = { "ext4", "mkfs.ext4 -q -F -E nodiscard", "" },
	[BTRFS] = { "btrfs", "mkfs.btrfs -q -f -K", "" },
};

/* One of the two places where a scenario is played. */
struct side {
	bool upper;
	enum lower lower;
	int dir;		/* the scenario's own directory */
	char path[256];		/* the same as a path */
	char below[256];	/* and as a path on the lower file system */
	FILE *log;
};

typedef void (*scenario_fn)(struct side *s);

static pid_t parity_owner;
static bool parity_mounted[NR_LOWERS];
static const char *parity_trouble;

/* Mounting and unmounting */

static int __printf(1, 2) run(const char *fmt, ...)
{
	char *cmd = NULL;
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = vasprintf(&cmd, fmt, ap);
	va_end(ap);
	if (ret < 0)
		return -1;
	fflush(NULL);
	ret = system(cmd);
	if (ret)
		fprintf(stderr, "# failed: %s\n", cmd);
	free(cmd);
	return ret;
}

static int parity_load_module(void)
{
	const char *dir = getenv("OFFLOADFS_MODULE_DIR");

	if (!access("/sys/module/offloadfs", F_OK) || !dir)
		return 0;
	return run("insmod %s/offloadfs.ko", dir);
}

static int parity_mount_lower(enum lower lower, const char *dev)
{
	const struct lower_type *type = &lower_types[lower];

	if (!type->mkfs)
		return run("mount -t tmpfs -o %s tmpfs lower-%s", type->options,
			   type->name);
	return run("%s %s >/dev/null 2>&1 && mount %s lower-%s", type->mkfs, dev, dev,
		   type->name);
}

static void parity_umount(enum lower lower)
{
	const char *name = lower_types[lower].name;

	if (!parity_mounted[lower])
		return;
	parity_mounted[lower] = false;
	if (run("umount upper-%s && umount lower-%s && rmdir upper-%s lower-%s",
		name, name, name, name))
		parity_trouble = "umount";
}

static int parity_mount(enum lower lower, const char *dev, const char *options)
{
	const char *name = lower_types[lower].name;

	if (run("mkdir -p lower-%s upper-%s", name, name) ||
	    parity_mount_lower(lower, dev))
		return -1;
	if (run("mkdir lower-%s/bare lower-%s/below", name, name) ||
	    run("mount -t offloadfs -o %s lower-%s/below upper-%s", options, name, name)) {
		run("umount lower-%s", name);
		return -1;
	}
	parity_mounted[lower] = true;
	return 0;
}

static __attribute__((destructor)) void parity_end(void)
{
	int i;

	if (getpid() != parity_owner)
		return;
	for (i = 0; i < NR_LOWERS; i++)
		parity_umount(i);
	if (!access("/sys/module/offloadfs", F_OK) &&
	    getenv("OFFLOADFS_MODULE_DIR") && run("rmmod offloadfs"))
		parity_trouble = "rmmod";
	if (parity_trouble) {
		printf("not ok - clean-up: %s\n", parity_trouble);
		fflush(stdout);
		_exit(KSFT_FAIL);
	}
}

/*
 * Mount the lower types of the bit mask @lowers. One that has no scratch device
 * to itself stays away, and its tests are skipped.
 */
static void parity_begin(const char *options, unsigned int lowers)
{
	const char * const devs[] = {
		getenv("OFFLOADFS_SCRATCH_DEV"), getenv("OFFLOADFS_SCRATCH_DEV2"), NULL,
	};
	unsigned int lower, used = 0;

	parity_owner = getpid();
	if (parity_load_module())
		exit(KSFT_FAIL);
	for (lower = 0; lower < NR_LOWERS; lower++) {
		const char *dev = NULL;

		if (!(lowers & 1 << lower))
			continue;
		if (lower_types[lower].mkfs && used < ARRAY_SIZE(devs)) {
			dev = devs[used++];
			if (!dev)
				continue;
		}
		if (parity_mount(lower, dev, options)) {
			printf("Bail out! cannot mount %s\n", lower_types[lower].name);
			exit(KSFT_FAIL);
		}
	}
}

/* Counters */

/* stats/@name of the mount that @path is on; -1 if it is no offloadfs mount. */
static inline long long counter(const char *path, const char *name)
{
	char line[1024], dev[32], mnt[512], file[256], real[PATH_MAX];
	long long value = -1;
	size_t best = 0;
	FILE *f;

	if (!realpath(path, real))
		return -1;
	f = fopen("/proc/self/mountinfo", "r");
	while (f && fgets(line, sizeof(line), f)) {
		size_t len;

		if (sscanf(line, "%*d %*d %31s %*s %511s", dev, mnt) != 2)
			continue;
		len = strlen(mnt);
		if (strncmp(mnt, real, len) || len < best || !strstr(line, " - offloadfs "))
			continue;
		best = len;
		snprintf(file, sizeof(file), "/sys/fs/offloadfs/%s/stats/%s", dev, name);
	}
	if (f)
		fclose(f);
	f = best ? fopen(file, "r") : NULL;
	if (f && fscanf(f, "%lld", &value) != 1)
		value = -1;
	if (f)
		fclose(f);
	return value;
}

/* Scenarios */

static inline void __printf(2, 3) note(struct side *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(s->log, fmt, ap);
	va_end(ap);
}

/* Write down a call's result, with the errno if it failed. */
static inline long long result(struct side *s, const char *what, long long ret)
{
	if (ret < 0)
		fprintf(s->log, "%s: %s\n", what, strerrorname_np(errno));
	else
		fprintf(s->log, "%s: %lld\n", what, ret);
	return ret;
}

/* The same for calls of which only success is comparable, such as open(). */
static inline int success(struct side *s, const char *what, int ret)
{
	result(s, what, ret < 0 ? ret : 0);
	return ret;
}

static inline int file_open(struct side *s, const char *name, int flags)
{
	int fd = openat(s->dir, name, flags, 0644);

	if (fd < 0)
		fprintf(s->log, "open %s: %s\n", name, strerrorname_np(errno));
	return fd;
}

/* What every file made of @seed has at @pos, which is a multiple of 8. */
static inline unsigned long long pattern(unsigned int seed, unsigned long long pos)
{
	unsigned long long word = (pos / 8 + 1) * 0x9e3779b97f4a7c15ULL + seed * 0x632be59bULL;

	return word ^ word >> 29;
}

static inline void pattern_fill(unsigned char *buf, size_t len, unsigned int seed,
				unsigned long long pos)
{
	while (len) {
		unsigned long long word = pattern(seed, pos & ~7ULL);
		size_t skip = pos & 7, n = len < 8 - skip ? len : 8 - skip;

		memcpy(buf, (char *)&word + skip, n);
		buf += n;
		pos += n;
		len -= n;
	}
}

static inline void fd_write(int fd, unsigned long long pos, unsigned long long len,
			    unsigned int seed)
{
	static unsigned char buf[65536];

	while (len) {
		size_t n = len < sizeof(buf) ? len : sizeof(buf);

		pattern_fill(buf, n, seed, pos);
		if (pwrite(fd, buf, n, pos) != (ssize_t)n) {
			perror("# pwrite");
			exit(KSFT_FAIL);
		}
		pos += n;
		len -= n;
	}
}

static inline int file_make(struct side *s, const char *name, unsigned long long len,
			    unsigned int seed)
{
	int fd = file_open(s, name, O_RDWR | O_CREAT | O_TRUNC);

	fd_write(fd, 0, len, seed);
	return fd;
}

/* Write down a file's size and contents. */
static inline void contents(struct side *s, const char *name)
{
	static unsigned long long buf[8192];
	unsigned long long hash = 0xcbf29ce484222325ULL, size = 0;
	int fd = file_open(s, name, O_RDONLY);
	ssize_t n, i;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		memset((char *)buf + n, 0, sizeof(buf) - n);
		for (i = 0; i * 8 < n; i++)
			hash = (hash ^ buf[i]) * 0x100000001b3ULL;
		size += n;
	}
	note(s, "%s: %llu bytes, hash %llx\n", name, size, hash);
	close(fd);
}

/* Are bytes [pos, pos + len) of @fd those of a file of @seed from @from on? */
static inline bool fd_holds(int fd, unsigned long long pos, unsigned long long len,
			    unsigned int seed, unsigned long long from)
{
	static unsigned char buf[65536], want[65536];

	while (len) {
		size_t n = len < sizeof(buf) ? len : sizeof(buf);

		pattern_fill(want, n, seed, from);
		if (pread(fd, buf, n, pos) != (ssize_t)n || memcmp(buf, want, n))
			return false;
		pos += n;
		from += n;
		len -= n;
	}
	return true;
}

static inline void side_open(struct side *s, enum lower lower, bool upper,
			     const char *name)
{
	const char *fs = lower_types[lower].name;
	char cwd[128];

	s->upper = upper;
	s->lower = lower;
	if (!getcwd(cwd, sizeof(cwd)))
		exit(KSFT_FAIL);
	snprintf(s->path, sizeof(s->path), "%s/%s-%s/%s%s", cwd,
		 upper ? "upper" : "lower", fs, upper ? "" : "bare/", name);
	snprintf(s->below, sizeof(s->below), "%s/lower-%s/%s/%s", cwd, fs,
		 upper ? "below" : "bare", name);
	if (mkdir(s->path, 0777) || chmod(s->path, 0777))
		perror(s->path);
	s->dir = open(s->path, O_RDONLY | O_DIRECTORY);
}

static inline void side_close(struct side *s)
{
	close(s->dir);
	run("rm -rf %s", s->path);
}

/* Play the scenario on one side; returns its log, to be freed. */
static inline char *side_play(scenario_fn scenario, enum lower lower, bool upper,
			      const char *name)
{
	struct side s = { .dir = -1 };
	char *log = NULL;
	size_t len;

	side_open(&s, lower, upper, name);
	s.log = open_memstream(&log, &len);
	scenario(&s);
	fclose(s.log);
	side_close(&s);
	return log;
}

/* Print what differs; true if nothing does. */
static inline bool parity_same(char *bare, char *upper)
{
	char *b = bare, *u = upper;
	bool same = true;

	while (*b || *u) {
		int bl = strcspn(b, "\n"), ul = strcspn(u, "\n");

		if (bl != ul || strncmp(b, u, bl)) {
			printf("#  bare: %.*s\n# upper: %.*s\n", bl, b, ul, u);
			same = false;
		}
		b += bl + !!b[bl];
		u += ul + !!u[ul];
	}
	return same;
}

static inline bool parity(scenario_fn scenario, enum lower lower, const char *name)
{
	char *bare = side_play(scenario, lower, false, name);
	char *upper = side_play(scenario, lower, true, name);
	bool same = parity_same(bare, upper);

	if (!*bare) {
		printf("# the scenario saw nothing\n");
		same = false;
	}
	free(bare);
	free(upper);
	fflush(stdout);
	return same;
}

/* The fixture "fs", with a variant for each lower type of the program. */
FIXTURE(fs)
{
	struct side s;	/* on the mount, for tests that need no comparison */
};

FIXTURE_VARIANT(fs)
{
	enum lower lower;
};

FIXTURE_SETUP(fs)
{
	if (!parity_mounted[variant->lower])
		SKIP(return, "no scratch device for %s", lower_types[variant->lower].name);
	side_open(&self->s, variant->lower, true, "self");
	self->s.log = stderr;
}

FIXTURE_TEARDOWN(fs)
{
	side_close(&self->s);
}

/* Emulated machines are slow. */
#define FS_TEST(name) TEST_F_TIMEOUT(fs, name, 200)

/* A test that plays a scenario on each variant. */
#define PARITY_TEST(scenario) \
	FS_TEST(scenario) \
	{ \
		EXPECT_TRUE(parity(scenario, variant->lower, #scenario)); \
	}

#endif /* OFFLOADFS_SELFTESTS_PARITY_H */
