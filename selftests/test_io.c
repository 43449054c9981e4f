// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ways to read and write that everyday programs do not know: flags of a
 * single call, advice, direct requests, pipes. All of them give what they give
 * on the bare lower file system.
 */
#include "io.h"
#include <linux/fs.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/swap.h>
#include <sys/syscall.h>

#ifndef __NR_cachestat
#define __NR_cachestat	451
#endif

FIXTURE_VARIANT_ADD(fs, tmpfs) { .lower = TMPFS };
FIXTURE_VARIANT_ADD(fs, ext4) { .lower = EXT4 };
FIXTURE_VARIANT_ADD(fs, xfs) { .lower = XFS };

static __attribute__((constructor)) void begin(void)
{
	parity_begin("min=0", 1 << TMPFS | 1 << EXT4 | 1 << XFS);
}

/*
 * What a request that may not wait gets for bad luck alone passes, but for
 * writes to a file whose times are to be updated: they come to wait, then.
 */
static ssize_t rw_flags(int fd, void *buf, size_t len, off_t pos, int flags, bool write)
{
	struct iovec iov = { buf, len };
	ssize_t ret = -1;
	int i;

	for (i = 0; i < 50; i++) {
		ret = write ? pwritev2(fd, &iov, 1, pos, flags) :
			      preadv2(fd, &iov, 1, pos, flags);
		if (ret >= 0 || errno != EAGAIN)
			return ret;
		if (write)
			flags &= ~RWF_NOWAIT;
		usleep(1000);
	}
	return ret;
}

static void each_flag(struct side *s, int open_flags)
{
	static const int flags[] = {
		RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND, RWF_NOAPPEND,
		RWF_ATOMIC, RWF_DONTCACHE, RWF_DONTCACHE | RWF_DSYNC,
		RWF_APPEND | RWF_NOAPPEND, 1 << 20,
	};
	char what[64], *buf = aligned(8192);
	unsigned int i;
	int fd;

	fd = file_make(s, "f", 65536, 1);
	fsync(fd);
	close(fd);
	fd = file_open(s, "f", O_RDWR | open_flags);
	for (i = 0; fd >= 0 && i < ARRAY_SIZE(flags); i++) {
		snprintf(what, sizeof(what), "read %x", flags[i]);
		result(s, what, rw_flags(fd, buf, 8192, 4096, flags[i], false));
		snprintf(what, sizeof(what), "read %x at the position", flags[i]);
		result(s, what, rw_flags(fd, buf, 4096, -1, flags[i], false));
		memset(buf, 'a' + i, 8192);
		snprintf(what, sizeof(what), "write %x", flags[i]);
		result(s, what, rw_flags(fd, buf, 8192, 8192 * i, flags[i], true));
		snprintf(what, sizeof(what), "write %x at the position", flags[i]);
		result(s, what, rw_flags(fd, buf, 4096, -1, flags[i], true));
		result(s, "position", lseek(fd, 0, SEEK_CUR));
	}
	close(fd);
	free(buf);
	contents(s, "f");
}

static void flags_of_calls(struct side *s)
{
	each_flag(s, 0);
}

static void flags_of_direct_calls(struct side *s)
{
	each_flag(s, O_DIRECT);
}

static void flags_of_appending_calls(struct side *s)
{
	each_flag(s, O_APPEND);
}

static void atomic_writes(struct side *s)
{
	char *buf = aligned(65536);
	int fd, len;

	close(file_make(s, "f", 65536, 1));
	fd = file_open(s, "f", O_RDWR | O_DIRECT);
	for (len = 512; len <= 65536; len *= 2) {
		result(s, "aligned", rw_flags(fd, buf, len, 0, RWF_ATOMIC, true));
		result(s, "unaligned", rw_flags(fd, buf, len, 512, RWF_ATOMIC, true));
		result(s, "no power of two",
		       rw_flags(fd, buf, len + len / 2, 0, RWF_ATOMIC, true));
	}
	free(buf);
	contents(s, "f");
}

static void flags_of_descriptors(struct side *s)
{
	static const int flags[] = {
		O_APPEND, O_NONBLOCK, O_DIRECT, O_NOATIME, O_SYNC, O_DSYNC, O_ASYNC, 0,
	};
	int fd = file_make(s, "f", SIZE, 1);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		success(s, "set", fcntl(fd, F_SETFL, flags[i]));
		note(s, "%x: %x\n", flags[i], fcntl(fd, F_GETFL));
		result(s, "write", pwrite(fd, "x", 1, 10));
		result(s, "size", lseek(fd, 0, SEEK_END));
	}
	close(fd);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		fd = openat(s->dir, "f", O_RDWR | flags[i]);
		note(s, "%x: %x\n", flags[i], fd < 0 ? errno : fcntl(fd, F_GETFL));
		result(s, "write", pwrite(fd, "y", 1, 20));
		close(fd);
	}
	contents(s, "f");
}

/* Advice, seen by which pages are in memory */

static int resident(int fd)
{
	unsigned char vec[SIZE / 4096 + 1];
	char *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	unsigned int i;
	int n = 0;

	if (map == MAP_FAILED || mincore(map, SIZE, vec))
		return -1;
	for (i = 0; i < sizeof(vec); i++)
		n += vec[i] & 1;
	munmap(map, SIZE);
	return n;
}

static void advise(struct side *s, const char *what, int fd, off_t len, int advice)
{
	errno = posix_fadvise(fd, 0, len, advice);
	success(s, what, errno ? -1 : 0);
}

/* A file of which nothing is in memory. */
static int cold(struct side *s)
{
	int fd = file_make(s, "f", SIZE, 1);

	fsync(fd);
	advise(s, "don't need", fd, 0, POSIX_FADV_DONTNEED);
	note(s, "resident: %d\n", resident(fd));
	return fd;
}

/* Reading ahead takes its time. */
static void warm(struct side *s, int fd)
{
	int i;

	for (i = 0; i < 300 && resident(fd) * 4096 < SIZE; i++)
		usleep(10000);
	note(s, "resident: %d\n", resident(fd));
}

static void advice(struct side *s)
{
	char c;
	int fd;

	fd = cold(s);
	success(s, "readahead", readahead(fd, 0, SIZE));
	warm(s, fd);
	close(fd);
	fd = cold(s);
	advise(s, "will need", fd, 0, POSIX_FADV_WILLNEED);
	warm(s, fd);
	close(fd);
	fd = cold(s);
	advise(s, "random", fd, 0, POSIX_FADV_RANDOM);
	result(s, "read", pread(fd, &c, 1, 50000));
	note(s, "one page: %d\n", resident(fd));
	advise(s, "sequential", fd, 0, POSIX_FADV_SEQUENTIAL);
	advise(s, "no reuse", fd, 0, POSIX_FADV_NOREUSE);
	advise(s, "nonsense", fd, 0, 77);
	advise(s, "negative", fd, -1, POSIX_FADV_NORMAL);
	close(fd);
	fd = file_open(s, "f", O_WRONLY);
	success(s, "write only", readahead(fd, 0, SIZE));
	success(s, "directory", readahead(s->dir, 0, SIZE));
}

static void dont_cache(struct side *s)
{
	char *buf = aligned(SIZE);
	int fd = cold(s);

	result(s, "read", rw_flags(fd, buf, SIZE, 0, RWF_DONTCACHE, false));
	note(s, "kept: %d\n", resident(fd));
	memset(buf, 'b', SIZE);
	result(s, "write", rw_flags(fd, buf, SIZE, 0, RWF_DONTCACHE | RWF_DSYNC, true));
	free(buf);
	contents(s, "f");
}

static void direct_vectors(struct side *s)
{
	char *buf = aligned(65536);
	struct iovec iov[3] = {
		{ buf, 4096 }, { buf + 8192, 8192 }, { buf + 32768, 512 },
	};
	int fd, other;

	close(file_make(s, "f", 65536, 1));
	fd = file_open(s, "f", O_RDWR | O_DIRECT);
	other = file_open(s, "f", O_RDWR);
	result(s, "readv", preadv(fd, iov, 3, 4096));
	note(s, "%d\n", buf[0] + buf[8192] + buf[32768]);
	result(s, "writev", pwritev(fd, iov, 2, 16384));
	result(s, "over the end", pwritev(fd, iov, 2, 65536 - 4096));
	result(s, "read at the end", pread(fd, buf, 65536, 65536));
	result(s, "read past the end", pread(fd, buf, 4096, 1 << 20));
	result(s, "unaligned memory", pread(fd, buf + 1, 4096, 0));
	result(s, "dirty pages", pwrite(other, "dirty", 5, 100));
	result(s, "direct read of them", pread(fd, buf, 4096, 0));
	note(s, "%.5s\n", buf + 100);
	memset(buf, 'Z', 4096);
	result(s, "direct write", pwrite(fd, buf, 4096, 0));
	result(s, "seen by read", pread(other, buf + 4096, 100, 0));
	note(s, "%c\n", buf[4096]);
	free(buf);
	contents(s, "f");
}

/* Write from a page that is itself the file's, and not in memory. */
static void from_its_own_mapping(struct side *s)
{
	int fd = cold(s);
	char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	result(s, "same page", pwrite(fd, map + 10, 2000, 30));
	result(s, "other page", pwrite(fd, map + 40960, 8192, 10));
	result(s, "read into it", pread(fd, map + 20480, 8192, 0));
	munmap(map, SIZE);
	contents(s, "f");
}

static int signals;

static void count_signal(int sig)
{
	__atomic_add_fetch(&signals, 1, __ATOMIC_SEQ_CST);
}

static void file_size_limit(struct side *s)
{
	struct rlimit old, limit = { 50000, RLIM_INFINITY };
	int fd = file_make(s, "f", 10000, 1);
	char *buf = aligned(65536);

	getrlimit(RLIMIT_FSIZE, &old);
	limit.rlim_max = old.rlim_max;
	signal(SIGXFSZ, count_signal);
	signals = 0;
	setrlimit(RLIMIT_FSIZE, &limit);
	result(s, "short", pwrite(fd, buf, 65536, 0));
	result(s, "at it", pwrite(fd, buf, 1, 50000));
	success(s, "truncate", ftruncate(fd, 60000));
	success(s, "allocate", fallocate(fd, 0, 0, 60000));
	fcntl(fd, F_SETFL, O_APPEND);
	result(s, "append", write(fd, buf, 10));
	setrlimit(RLIMIT_FSIZE, &old);
	note(s, "signals %d\n", signals);
	signal(SIGXFSZ, SIG_DFL);
	free(buf);
	contents(s, "f");
}

/* Pipes */

static void pipes(struct side *s)
{
	char *buf = aligned(65536);
	struct iovec iov = { buf, 10000 };
	int p[2], q[2], in = file_make(s, "f", SIZE, 1), out = file_make(s, "g", 0, 0);
	off_t off = 5;

	if (pipe2(p, O_NONBLOCK) || pipe2(q, O_NONBLOCK))
		return;
	result(s, "from a file", splice(in, &off, p[1], NULL, 20000, SPLICE_F_MOVE));
	note(s, "%lld\n", (long long)off);
	result(s, "tee", tee(p[0], q[1], 15000, 0));
	result(s, "to a file", splice(p[0], NULL, out, NULL, 20000, SPLICE_F_MOVE));
	off = 30001;
	result(s, "and again", splice(q[0], NULL, out, &off, 20000, SPLICE_F_MORE));
	result(s, "position", lseek(out, 0, SEEK_CUR));
	result(s, "vmsplice", vmsplice(p[1], &iov, 1, 0));
	result(s, "to a file", splice(p[0], NULL, out, NULL, 20000, 0));
	result(s, "empty", splice(p[0], NULL, out, NULL, 20000, SPLICE_F_NONBLOCK));
	result(s, "at the position", splice(in, NULL, p[1], NULL, 4096, 0));
	result(s, "position", lseek(in, 0, SEEK_CUR));
	result(s, "read them", read(p[0], buf, 65536));
	result(s, "full", splice(in, NULL, p[1], NULL, 1 << 20, SPLICE_F_NONBLOCK) > 0);
	result(s, "too full", splice(in, NULL, p[1], NULL, 1 << 20, SPLICE_F_NONBLOCK));
	fcntl(out, F_SETFL, O_APPEND);
	result(s, "append", splice(p[0], NULL, out, NULL, 4096, 0));
	result(s, "no pipe", splice(in, NULL, out, NULL, 4096, 0));
	close(in);
	in = file_open(s, "f", O_RDONLY | O_DIRECT);
	if (in >= 0) {
		result(s, "drain", read(p[0], buf, 65536) > 0);
		result(s, "direct", splice(in, NULL, p[1], NULL, 8192, SPLICE_F_NONBLOCK) != 0);
	}
	free(buf);
	contents(s, "g");
	close(p[0]);
	close(p[1]);
	close(q[0]);
	close(q[1]);
}

static void odd_descriptors(struct side *s)
{
	int fd = file_make(s, "f", SIZE, 1), path, copy, wr;
	char name[64], buf[16], *bad;

	path = openat(s->dir, "f", O_PATH);
	result(s, "O_PATH", read(path, buf, 16));
	advise(s, "advice", path, 0, POSIX_FADV_NORMAL);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", path);
	wr = open(name, O_WRONLY | O_APPEND);
	success(s, "opened anew", wr);
	result(s, "append", write(wr, "x", 1));
	result(s, "read", read(wr, buf, 1));
	copy = dup(fd);
	lseek(fd, 1000, SEEK_SET);
	result(s, "shared position", lseek(copy, 0, SEEK_CUR));
	result(s, "other position", lseek(wr, 0, SEEK_CUR));
	close(path);
	path = file_open(s, "f", 3);	/* neither reads nor writes */
	result(s, "access mode 3", read(path, buf, 1));
	result(s, "far read", pread(fd, buf, 1, INT64_MAX));
	result(s, "far write", pwrite(fd, buf, 1, INT64_MAX));
	result(s, "far seek", lseek(fd, INT64_MAX, SEEK_SET));
	result(s, "beyond", lseek(fd, 1, SEEK_CUR));
	bad = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	result(s, "bad memory", pread(fd, bad, 100, 0));
	result(s, "bad memory", pwrite(fd, bad, 100, 0));
	munmap(bad, 4096);
	result(s, "nothing", pwrite(fd, buf, 0, 0));
	contents(s, "f");
}

PARITY_TEST(flags_of_calls)
PARITY_TEST(flags_of_direct_calls)
PARITY_TEST(flags_of_appending_calls)
PARITY_TEST(atomic_writes)
PARITY_TEST(flags_of_descriptors)
PARITY_TEST(advice)
PARITY_TEST(dont_cache)
PARITY_TEST(direct_vectors)
PARITY_TEST(from_its_own_mapping)
PARITY_TEST(file_size_limit)
PARITY_TEST(pipes)
PARITY_TEST(odd_descriptors)

/* What needs the lower's own pages or disk: offloadfs(5) says how it ends. */
FS_TEST(documented_differences)
{
	struct { unsigned long long off, len; } range = { 0, SIZE };
	unsigned long long stat[5] = { 1 };
	int fd = file_make(&self->s, "f", SIZE, 1), block = 0;
	char path[512];

	snprintf(path, sizeof(path), "%s/f", self->s.path);
	EXPECT_EQ(-1, swapon(path, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, ioctl(fd, FIBMAP, &block));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, fcntl(fd, F_GET_SEALS));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, sync_file_range(fd, 0, SIZE, SYNC_FILE_RANGE_WRITE));
	if (syscall(__NR_cachestat, fd, &range, stat, 0))
		stat[0] = 0;	/* before 6.5 */
	EXPECT_EQ(0, stat[0]);
}

TEST_HARNESS_MAIN
