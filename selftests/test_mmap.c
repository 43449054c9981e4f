// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings, and programs that run from the mount: coherent with reads and
 * writes on either side and with offloaded copies, and with the protection
 * against writing to a program while it runs.
 */
#include "io.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

FIXTURE_VARIANT_ADD(fs, tmpfs) { .lower = TMPFS };
FIXTURE_VARIANT_ADD(fs, xfs) { .lower = XFS };
FIXTURE_VARIANT_ADD(fs, btrfs) { .lower = BTRFS };

static __attribute__((constructor)) void begin(void)
{
	parity_begin("min=0", 1 << TMPFS | 1 << XFS | 1 << BTRFS);
}

static int below(struct side *s, const char *name, int flags)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", s->below, name);
	return open(path, flags, 0644);
}

static void map(struct side *s, const char *what, int fd, int prot, int flags, off_t off)
{
	char *p = mmap(NULL, 8192, prot, flags, fd, off);

	success(s, what, p == MAP_FAILED ? -1 : 0);
	if (p == MAP_FAILED)
		return;
	success(s, "read", mprotect(p, 4096, PROT_READ));
	success(s, "write", mprotect(p, 4096, PROT_READ | PROT_WRITE));
	success(s, "execute", mprotect(p, 4096, PROT_READ | PROT_EXEC));
	munmap(p, 8192);
}

static void every_kind(struct side *s)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR };
	static const int flags[] = {
		MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_SHARED_VALIDATE | MAP_SYNC,
		MAP_SHARED_VALIDATE | 1 << 30, MAP_PRIVATE | MAP_POPULATE,
		MAP_SHARED | MAP_LOCKED, MAP_SHARED | MAP_NORESERVE, MAP_SHARED | MAP_HUGETLB,
		MAP_SYNC,
	};
	unsigned int i, j;
	char what[64];
	int fd;

	close(file_make(s, "f", SIZE, 1));
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		fd = file_open(s, "f", modes[i]);
		for (j = 0; j < ARRAY_SIZE(flags); j++) {
			snprintf(what, sizeof(what), "mode %d flags %x", modes[i], flags[j]);
			map(s, what, fd, PROT_READ, flags[j], 4096);
			map(s, what, fd, PROT_READ | PROT_WRITE, flags[j], 0);
		}
		map(s, "unaligned", fd, PROT_READ, MAP_SHARED, 1);
		map(s, "past the end", fd, PROT_READ, MAP_SHARED, 1 << 20);
		map(s, "execute", fd, PROT_READ | PROT_EXEC, MAP_PRIVATE, 0);
		close(fd);
	}
	map(s, "directory", s->dir, PROT_READ, MAP_SHARED, 0);
}

static sigjmp_buf bus_jump;

static void bus_error(int sig)
{
	siglongjmp(bus_jump, 1);
}

/* The byte at @p, or -1 if there is none. */
static int peek(const char *p)
{
	int c = -1;

	signal(SIGBUS, bus_error);
	if (!sigsetjmp(bus_jump, 1))
		c = __atomic_load_n(p, __ATOMIC_SEQ_CST);
	signal(SIGBUS, SIG_DFL);
	return c;
}

static void changing_size(struct side *s)
{
	int fd = file_make(s, "f", SIZE, 1);
	char *p = mmap(NULL, 4 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	note(s, "%d %d %d\n", peek(p), peek(p + SIZE), peek(p + 2 * SIZE));
	p[SIZE + 1] = 'x';	/* past the end, in the last page */
	success(s, "grow", ftruncate(fd, 3 * SIZE));
	note(s, "%d %d\n", peek(p + SIZE + 1), peek(p + 2 * SIZE));
	p[2 * SIZE] = 'y';
	success(s, "cut", ftruncate(fd, SIZE / 2));
	note(s, "%d %d\n", peek(p + SIZE / 2), peek(p + 2 * SIZE));
	success(s, "grow", ftruncate(fd, 3 * SIZE));
	note(s, "%d\n", peek(p + 2 * SIZE));
	success(s, "punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8192));
	note(s, "%d %d\n", peek(p), peek(p + 8192));
	p[100] = 'z';
	success(s, "msync", msync(p, SIZE, MS_SYNC));
	success(s, "async", msync(p, SIZE, MS_ASYNC));
	success(s, "invalidate", msync(p, SIZE, MS_INVALIDATE));
	success(s, "unaligned", msync(p + 1, SIZE, MS_SYNC));
	success(s, "remove", madvise(p, 8192, MADV_REMOVE));
	note(s, "%d\n", peek(p + 100));
	success(s, "will need", madvise(p, SIZE, MADV_WILLNEED));
	success(s, "populate", madvise(p, 8192, MADV_POPULATE_WRITE));
	success(s, "past the end", madvise(p + 3 * SIZE / 4096 * 4096 + 8192, 4096,
					   MADV_POPULATE_READ));
	munmap(p, 4 * SIZE);
	contents(s, "f");
}

/* What is mapped privately or was forked stays as it was written. */
static void private_copies(struct side *s)
{
	int fd = file_make(s, "f", SIZE, 1), status = -1;
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	char *q = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	p[0] = 'p';
	result(s, "write", pwrite(fd, "written", 7, 0));
	result(s, "write", pwrite(fd, "written", 7, 8192));
	note(s, "%c %c\n", p[0], p[8192]);
	close(fd);
	if (!fork()) {
		q[1] = 'c';
		p[1] = 'c';
		_exit(q[8192] == 'w' ? 0 : 1);
	}
	wait(&status);
	note(s, "child %d: %c %d\n", status, q[1], p[1] == 'c');
	unlinkat(s->dir, "f", 0);
	q[2] = 'u';
	note(s, "%c\n", q[2]);
	munmap(p, SIZE);
	munmap(q, SIZE);
}

/* A mapping that is made before the file's contents are replaced by a copy. */
static void copied_over(struct side *s)
{
	int in = file_make(s, "src", SIZE, 2), out = file_make(s, "dst", SIZE, 1);
	char *shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, out, 0);
	char *source = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, in, 0);

	note(s, "before %d\n", peek(shared + 50000));
	memset(source + 50000, 's', 100);
	memset(shared + 60000, 'd', 100);
	result(s, "sendfile", sendfile(out, in, NULL, SIZE));
	note(s, "after %d %d\n", peek(shared + 50000), peek(shared + 60000));
	note(s, "same %d\n", !memcmp(shared, source, SIZE));
	memset(source + 50000, 't', 100);
	note(s, "apart %d\n", peek(shared + 50000));
	lseek(in, 0, SEEK_SET);
	lseek(out, 0, SEEK_SET);
	result(s, "copy", copy_file_range(in, NULL, out, NULL, SIZE, 0) > 0);
	note(s, "after %d\n", peek(shared + 50000));
	memset(shared + 50000, 'e', 100);
	note(s, "apart %d\n", peek(source + 50000));
	munmap(shared, SIZE);
	munmap(source, SIZE);
	contents(s, "src");
	contents(s, "dst");
}

/* Large mappings are placed where huge pages fit, if the lower cares for that. */
static void alignment(struct side *s)
{
	const size_t huge = 2 << 20;
	int fd = file_make(s, "f", 0, 0), i;
	char *p;

	ftruncate(fd, 16 * huge);
	for (i = 1; i <= 4; i++) {
		p = mmap(NULL, i * huge, PROT_READ, MAP_SHARED, fd, 0);
		note(s, "%d: %d\n", i, (unsigned long)p % huge == 0);
		mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	}
	p = mmap((void *)0x10000000, huge, PROT_READ, MAP_SHARED, fd, 0);
	note(s, "hint %d\n", p == (void *)0x10000000);
	p = mmap((void *)0x10000000, huge, PROT_READ, MAP_SHARED | MAP_FIXED, fd, huge);
	note(s, "fixed %d\n", p == (void *)0x10000000);
	munmap(p, huge);
	success(s, "too much", mmap(NULL, 1UL << 60, PROT_READ, MAP_SHARED, fd, 0) ==
			       MAP_FAILED ? -1 : 0);
}

PARITY_TEST(every_kind)
PARITY_TEST(alignment)
PARITY_TEST(changing_size)
PARITY_TEST(private_copies)
PARITY_TEST(copied_over)

FS_TEST(both_sides)
{
	int up = file_make(&self->s, "f", SIZE, 1), low = below(&self->s, "f", O_RDWR);
	char *a = mmap(NULL, 4 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, up, 0);
	char *b = mmap(NULL, 4 * SIZE, PROT_READ, MAP_PRIVATE, low, 0);

	ASSERT_NE(MAP_FAILED, a);
	ASSERT_NE(MAP_FAILED, b);
	/* Grown and cut on the other side than it is mapped through. */
	EXPECT_EQ(0, ftruncate(low, 4 * SIZE));
	a[3 * SIZE] = 'g';
	EXPECT_EQ('g', peek(b + 3 * SIZE));
	EXPECT_EQ(0, ftruncate(up, SIZE));
	EXPECT_EQ(-1, peek(b + 3 * SIZE));
	EXPECT_EQ(-1, peek(a + 3 * SIZE));
	EXPECT_EQ(3, pwrite(low, "low", 3, 5000));
	EXPECT_EQ(0, memcmp(a + 5000, "low", 3));
	memcpy(a + 5000, "map", 3);
	EXPECT_EQ(0, msync(a, SIZE, MS_SYNC));
	EXPECT_EQ(0, memcmp(b + 5000, "map", 3));
	munmap(a, 4 * SIZE);
	munmap(b, 4 * SIZE);
}

/* Programs */

#define PROG	"/bin/sleep"

/* Start the program, by its path; its pid once it runs. */
static pid_t start(const char *path)
{
	int tell[2];
	pid_t pid;
	char c;

	if (pipe2(tell, O_CLOEXEC))
		return -1;
	pid = fork();
	if (!pid) {
		execl(path, "sleep", "1000", NULL);
		c = errno;
		_exit(write(tell[1], &c, 1) != 1);
	}
	close(tell[1]);
	if (read(tell[0], &c, 1) == 1) {
		waitpid(pid, NULL, 0);
		errno = c;
		pid = -1;
	}
	close(tell[0]);
	return pid;
}

static void stop(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void text_busy(struct side *s)
{
	char path[512], exe[300] = "", link[64];
	pid_t pid;
	int fd;

	run("cp %s %s/prog", PROG, s->path);
	snprintf(path, sizeof(path), "%s/prog", s->path);
	fd = file_open(s, "prog", O_WRONLY);
	success(s, "run what is written to", start(path));
	close(fd);
	pid = start(path);
	success(s, "run", pid);
	success(s, "write", openat(s->dir, "prog", O_WRONLY));
	success(s, "read and write", openat(s->dir, "prog", O_RDWR));
	success(s, "open to truncate", openat(s->dir, "prog", O_WRONLY | O_TRUNC));
	success(s, "truncate", truncate(path, 0));
	success(s, "read", openat(s->dir, "prog", O_RDONLY));
	success(s, "change mode", fchmodat(s->dir, "prog", 0700, 0));
	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	note(s, "exe %d\n", readlink(link, exe, sizeof(exe) - 1) > 0 && !strcmp(exe, path));
	success(s, "exe to write", open(link, O_WRONLY));
	success(s, "replace", renameat(s->dir, "prog", s->dir, "moved"));
	success(s, "write", openat(s->dir, "moved", O_WRONLY));
	success(s, "unlink", unlinkat(s->dir, "moved", 0));
	stop(pid);
	run("cp %s %s/prog", PROG, s->path);
	pid = start(path);
	stop(pid);
	success(s, "write afterwards", openat(s->dir, "prog", O_WRONLY));
}

PARITY_TEST(text_busy)

/* The same between the mount and its lower, both ways. */
FS_TEST(text_busy_on_both_sides)
{
	char up[512], low[512];
	pid_t pid;
	int fd;

	snprintf(up, sizeof(up), "%s/prog", self->s.path);
	snprintf(low, sizeof(low), "%s/prog", self->s.below);
	ASSERT_EQ(0, run("cp %s %s", PROG, up));
	pid = start(up);
	ASSERT_LT(0, pid);
	EXPECT_EQ(-1, open(low, O_WRONLY));
	EXPECT_EQ(ETXTBSY, errno);
	EXPECT_EQ(-1, truncate(low, 0));
	EXPECT_EQ(ETXTBSY, errno);
	stop(pid);
	fd = open(low, O_WRONLY);
	EXPECT_LE(0, fd);
	EXPECT_EQ(-1, start(up));
	EXPECT_EQ(ETXTBSY, errno);
	close(fd);
	fd = open(up, O_RDWR);
	EXPECT_EQ(-1, start(low));
	EXPECT_EQ(ETXTBSY, errno);
	close(fd);
	pid = start(low);
	ASSERT_LT(0, pid);
	EXPECT_EQ(-1, open(up, O_WRONLY));
	EXPECT_EQ(ETXTBSY, errno);
	EXPECT_EQ(-1, truncate(up, 0));
	EXPECT_EQ(ETXTBSY, errno);
	stop(pid);
	/* Refused and ended programs have left nothing behind. */
	fd = open(low, O_WRONLY);
	EXPECT_LE(0, fd);
	close(fd);
	fd = open(up, O_WRONLY);
	EXPECT_LE(0, fd);
	close(fd);
	pid = start(up);
	EXPECT_LT(0, pid);
	stop(pid);
}

/* A program whose interpreter, too, is on the mount. */
FS_TEST(script)
{
	char path[512];
	int status;

	ASSERT_EQ(0, run("cp /bin/dash %s/sh", self->s.path));
	ASSERT_EQ(0, run("printf '#!%s/sh\\nexit 42\\n' >%s/script", self->s.path,
			 self->s.path));
	ASSERT_EQ(0, fchmodat(self->s.dir, "script", 0755, 0));
	snprintf(path, sizeof(path), "%s/script", self->s.path);
	if (!fork()) {
		execl(path, path, NULL);
		_exit(1);
	}
	wait(&status);
	EXPECT_EQ(42, WEXITSTATUS(status));
	EXPECT_LE(0, below(&self->s, "script", O_WRONLY));
	EXPECT_LE(0, below(&self->s, "sh", O_WRONLY));
}

TEST_HARNESS_MAIN
