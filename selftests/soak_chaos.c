// SPDX-License-Identifier: GPL-2.0-only
/*
 * soak_chaos - files that many threads change at once, without any agreement.
 *
 * What a file contains then is anybody's guess, but not everything: all is
 * written, copied, cloned, truncated and punched at multiples of a block, and
 * what is written at byte N of a block depends on N alone. So every byte is
 * that one or zero, in whatever order things happen; a byte of another file
 * system's page, of freed memory or of another place is neither.
 *
 * Processes that copy are killed in the middle of it now and then.
 *
 * usage: soak_chaos [-t SECONDS] [-w WORKERS] [-s SEED] DIR
 */
#include "soak.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>

#define NR_NAMES	6
#define NR_BLOCKS	64
#define MAX_SIZE	(NR_BLOCKS * BLOCK)

static unsigned char pattern[MAX_SIZE];
static __thread sigjmp_buf beyond_end;

static void on_sigbus(int sig)
{
	(void)sig;
	siglongjmp(beyond_end, 1);
}

static void init_pattern(void)
{
	size_t i;

	for (i = 0; i < MAX_SIZE; i++)
		pattern[i] = 1 + (i % BLOCK * 2654435761U >> 13) % 255;
}

static off_t some_pos(struct worker *w)
{
	return below(w, NR_BLOCKS) * BLOCK;
}

static size_t some_len(struct worker *w, off_t pos)
{
	return (1 + below(w, NR_BLOCKS - pos / BLOCK)) * BLOCK;
}

static void some_path(struct worker *w, char *path, size_t size)
{
	snprintf(path, size, "%s/c%zu", soak_dir, below(w, NR_NAMES));
}

/* What a call may say when others work on the same files. */
static void must(struct worker *w, bool ok, const char *what)
{
	switch (errno) {
	case ENOENT:
	case EINVAL:	/* source and destination are one file and overlap */
	case EBADE:
	case EOPNOTSUPP:
		return;
	}
	if (!ok)
		broken(w, "%s: %s", what, strerror(errno));
}

/* An open file, or -1 if somebody has just removed it. */
static int open_some(struct worker *w, int flags)
{
	char path[300];
	int fd;

	some_path(w, path, sizeof(path));
	fd = open(path, flags, 0644);
	if (fd < 0 && errno != ENOENT)
		broken(w, "open %s: %s", path, strerror(errno));
	return fd;
}

static void check(struct worker *w, const unsigned char *p, off_t pos, size_t len)
{
	size_t i;

	if (!memcmp(p, pattern, len))
		return;
	for (i = 0; i < len; i++)
		if (p[i] && p[i] != pattern[i])
			broken(w, "at %lld there is %02x and may be %02x or 0",
			       (long long)pos + i, p[i], pattern[i]);
}

static void do_create(struct worker *w)
{
	int fd = open_some(w, O_RDWR | O_CREAT | (below(w, 2) ? O_TRUNC : 0));

	if (fd >= 0)
		close(fd);
}

static void do_read(struct worker *w)
{
	int fd = open_some(w, O_RDONLY);
	off_t pos = some_pos(w);
	ssize_t n;

	if (fd < 0)
		return;
	n = pread(fd, w->buf, some_len(w, pos), pos);
	if (n < 0)
		broken(w, "read: %s", strerror(errno));
	check(w, w->buf, pos, n);
	close(fd);
}

static void do_write(struct worker *w)
{
	int fd = open_some(w, O_RDWR | O_CREAT);
	off_t pos = some_pos(w);
	size_t len = some_len(w, pos);

	if (fd < 0)
		return;
	if (pwrite(fd, pattern, len, pos) != (ssize_t)len)
		broken(w, "write: %s", strerror(errno));
	close(fd);
}

static void touch_map(struct worker *w, unsigned char *map, size_t len)
{
	size_t i = below(w, len / BLOCK) * BLOCK;

	if (sigsetjmp(beyond_end, 1))
		return;
	if (below(w, 2))
		memcpy(map + i, pattern, BLOCK);
	else
		check(w, map + i, i, BLOCK);
}

static void do_map(struct worker *w)
{
	int fd = open_some(w, O_RDWR), i;
	unsigned char *map;

	if (fd < 0)
		return;
	map = mmap(NULL, MAX_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		broken(w, "mmap: %s", strerror(errno));
	for (i = 0; i < 8; i++)
		touch_map(w, map, MAX_SIZE);
	if (!below(w, 8))
		msync(map, MAX_SIZE, MS_ASYNC);
	munmap(map, MAX_SIZE);
}

static void do_truncate(struct worker *w)
{
	char path[300];

	some_path(w, path, sizeof(path));
	must(w, !truncate(path, some_pos(w)), "truncate");
}

static void do_fallocate(struct worker *w)
{
	static const int modes[] = {
		0, FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_ZERO_RANGE, FALLOC_FL_COLLAPSE_RANGE,
	};
	int fd = open_some(w, O_RDWR);
	off_t pos = some_pos(w);

	if (fd < 0)
		return;
	must(w, !fallocate(fd, modes[below(w, 5)], pos, some_len(w, pos)),
	     "fallocate");
	close(fd);
}

static void two_files(struct worker *w, void (*copy)(struct worker *w, int in,
						     int out))
{
	int in = open_some(w, O_RDONLY);
	int out = open_some(w, O_RDWR | O_CREAT);

	if (in >= 0 && out >= 0)
		copy(w, in, out);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
}

static void copy_some(struct worker *w, int in, int out)
{
	off_t pos = some_pos(w);

	must(w, copy_bytes(w, in, some_pos(w), out, pos, some_len(w, pos)) >= 0,
	     "copy");
}

static void clone_some(struct worker *w, int in, int out)
{
	off_t pos = some_pos(w);

	must(w, !clone_range(in, some_pos(w), out, pos, some_len(w, pos)),
	     "clone");
}

static void dedupe_some(struct worker *w, int in, int out)
{
	off_t pos = some_pos(w);

	must(w, dedupe_range(in, some_pos(w), out, pos, some_len(w, pos)) >= 0,
	     "dedupe");
}

static void do_copy(struct worker *w) { two_files(w, copy_some); }
static void do_clone(struct worker *w) { two_files(w, clone_some); }
static void do_dedupe(struct worker *w) { two_files(w, dedupe_some); }

static void do_rename(struct worker *w)
{
	char old[300], new[300];

	some_path(w, old, sizeof(old));
	some_path(w, new, sizeof(new));
	must(w, !renameat2(AT_FDCWD, old, AT_FDCWD, new,
			   below(w, 2) ? RENAME_EXCHANGE : 0), "rename");
}

static void do_unlink(struct worker *w)
{
	char path[300];

	some_path(w, path, sizeof(path));
	must(w, !unlink(path), "unlink");
}

static void do_stat(struct worker *w)
{
	char path[300];
	struct stat st;

	some_path(w, path, sizeof(path));
	if (stat(path, &st))
		must(w, false, "stat");
	else if (st.st_size > MAX_SIZE || st.st_size % BLOCK)
		broken(w, "%s has %lld bytes", path, (long long)st.st_size);
}

static void __attribute__((noreturn)) copy_until_killed(struct worker *w)
{
	alarm(60);
	for (;;)
		two_files(w, copy_some);
}

/* A finding of the child is one of ours; to be killed is its end. */
static void do_kill(struct worker *w)
{
	struct timespec nap = { .tv_nsec = 1000000 * below(w, 50) };
	pid_t pid = fork();
	int status;

	if (pid < 0)
		broken(w, "fork: %s", strerror(errno));
	if (!pid)
		copy_until_killed(w);
	nanosleep(&nap, NULL);
	kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid || WIFEXITED(status))
		broken(w, "the child ended by itself: %x", status);
}

static const struct op chaos_ops[] = {
	{ "create", 8, do_create },
	{ "read", 12, do_read },
	{ "write", 12, do_write },
	{ "map", 8, do_map },
	{ "truncate", 5, do_truncate },
	{ "fallocate", 4, do_fallocate },
	{ "copy", 30, do_copy },
	{ "clone", 10, do_clone },
	{ "dedupe", 6, do_dedupe },
	{ "rename", 6, do_rename },
	{ "unlink", 5, do_unlink },
	{ "stat", 6, do_stat },
	{ "kill", 1, do_kill },
};

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_sigbus };
	unsigned int workers = soak_options(argc, argv);

	init_pattern();
	sigaction(SIGBUS, &action, NULL);
	soak_run(chaos_ops, sizeof(chaos_ops) / sizeof(*chaos_ops), workers,
		 MAX_SIZE);
	return 0;
}
