// SPDX-License-Identifier: GPL-2.0-only
/*
 * copy_file_range(2) on an offloadfs mount gives what it gives on the bare
 * lower file system: counts, errnos, positions, offsets, contents; and lengths
 * beyond 2 and 4 GiB are copied.
 */
#include "parity.h"
#include <pthread.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/xattr.h>

#define SIZE	300000

FIXTURE_VARIANT_ADD(fs, tmpfs) { .lower = TMPFS };
FIXTURE_VARIANT_ADD(fs, xfs) { .lower = XFS };

static __attribute__((constructor)) void begin(void)
{
	parity_begin("min=0", 1 << TMPFS | 1 << XFS);
}

/* One call; writes down its result and all positions. */
static ssize_t copy(struct side *s, int in, off_t *off_in, int out, off_t *off_out,
		    size_t len)
{
	ssize_t ret = result(s, "copy", copy_file_range(in, off_in, out, off_out, len, 0));

	note(s, "in %lld %lld out %lld %lld\n", (long long)lseek(in, 0, SEEK_CUR),
	     off_in ? (long long)*off_in : -1, (long long)lseek(out, 0, SEEK_CUR),
	     off_out ? (long long)*off_out : -1);
	return ret;
}

/*
 * Copies may come back short, and the lower's do at other places. So write
 * down what a caller that goes on until 0 gets.
 */
static void copy_all(struct side *s, int in, off_t *off_in, int out, off_t *off_out,
		     size_t len)
{
	size_t done = 0;
	ssize_t ret = 1;

	while (done < len && ret > 0) {
		ret = copy_file_range(in, off_in, out, off_out, len - done, 0);
		if (ret > 0)
			done += ret;
	}
	result(s, "copied", ret < 0 ? ret : (ssize_t)done);
	note(s, "in %lld %lld out %lld %lld\n", (long long)lseek(in, 0, SEEK_CUR),
	     off_in ? (long long)*off_in : -1, (long long)lseek(out, 0, SEEK_CUR),
	     off_out ? (long long)*off_out : -1);
}

static void pair(struct side *s, int *in, int *out)
{
	*in = file_make(s, "src", SIZE, 1);
	*out = file_make(s, "dst", 0, 0);
}

static void whole(struct side *s)
{
	int in, out;

	pair(s, &in, &out);
	copy_all(s, in, NULL, out, NULL, SIZE);
	copy(s, in, NULL, out, NULL, SIZE);
	contents(s, "dst");
}

static void less_than_the_file(struct side *s)
{
	int in, out;

	pair(s, &in, &out);
	copy_all(s, in, NULL, out, NULL, 1);
	copy_all(s, in, NULL, out, NULL, 4095);
	copy_all(s, in, NULL, out, NULL, 65536);
	copy_all(s, in, NULL, out, NULL, 100001);
	contents(s, "dst");
}

static void past_the_end(struct side *s)
{
	static const size_t lens[] = { SIZE + 1, 1 << 30, 0x7ffff000, 1UL << 32, SSIZE_MAX };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		off_t off_in = 0, off_out = 0;
		int in, out;

		pair(s, &in, &out);
		copy_all(s, in, &off_in, out, &off_out, lens[i]);
		contents(s, "dst");
		off_in = SIZE;
		copy(s, in, &off_in, out, NULL, 10);
		off_in = SIZE + 100000;
		copy(s, in, &off_in, out, NULL, 10);
		contents(s, "dst");
		close(in);
		close(out);
	}
}

static void offsets_and_positions(struct side *s)
{
	static const off_t at[] = { 0, 1, 4096, 65536 };
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		for (j = 0; j < ARRAY_SIZE(at); j++) {
			off_t off_in = at[i], off_out = at[j];
			int in, out;

			pair(s, &in, &out);
			lseek(in, 7, SEEK_SET);
			lseek(out, 9, SEEK_SET);
			copy_all(s, in, i & 1 ? NULL : &off_in, out,
				 j & 1 ? NULL : &off_out, 70000);
			contents(s, "dst");
			close(in);
			close(out);
		}
	}
}

static void longer_destination(struct side *s)
{
	off_t far = 3 * SIZE, zero = 0;
	int in, out;

	pair(s, &in, &out);
	fd_write(out, 0, 2 * SIZE, 2);
	copy_all(s, in, NULL, out, NULL, SIZE);
	contents(s, "dst");
	copy_all(s, in, &zero, out, &far, SIZE);
	contents(s, "dst");
}

static void same_file(struct side *s)
{
	static const struct { off_t in, out; size_t len; } moves[] = {
		{ 0, SIZE, SIZE }, { 0, 65536, 65536 }, { 65536, 0, 65536 },
		{ 0, 100, 5000 }, { 5000, 100, 20000 }, { 0, 0, SIZE },
		{ 0, 4096, SIZE },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(moves); i++) {
		off_t off_in = moves[i].in, off_out = moves[i].out;
		int fd = file_make(s, "file", SIZE, 1);
		int in = file_open(s, "file", O_RDONLY);

		copy_all(s, i & 1 ? in : fd, &off_in, fd, &off_out, moves[i].len);
		contents(s, "file");
		close(in);
		close(fd);
	}
}

/* A hard link is another inode above, perhaps, but the same one below. */
static void same_file_by_two_names(struct side *s)
{
	off_t off_in = 0, off_out = 100;
	int in, out;

	close(file_make(s, "file", SIZE, 1));
	success(s, "link", linkat(s->dir, "file", s->dir, "link", 0));
	in = file_open(s, "file", O_RDONLY);
	out = file_open(s, "link", O_RDWR);
	copy(s, in, &off_in, out, &off_out, 5000);
	contents(s, "file");
}

static void bad_arguments(struct side *s)
{
	int in, out, wronly, rdonly, dir, app, pipe_of[2];
	off_t off = -1;

	pair(s, &in, &out);
	wronly = file_open(s, "src", O_WRONLY);
	rdonly = file_open(s, "dst", O_RDONLY);
	app = file_open(s, "dst", O_WRONLY | O_APPEND);
	dir = openat(s->dir, ".", O_RDONLY);
	if (pipe(pipe_of))
		return;
	result(s, "flags", copy_file_range(in, NULL, out, NULL, SIZE, 1));
	copy(s, wronly, NULL, out, NULL, SIZE);
	copy(s, in, NULL, rdonly, NULL, SIZE);
	copy(s, in, NULL, app, NULL, SIZE);
	copy(s, dir, NULL, out, NULL, SIZE);
	copy(s, in, NULL, dir, NULL, SIZE);
	copy(s, in, NULL, pipe_of[1], NULL, SIZE);
	copy(s, pipe_of[0], NULL, out, NULL, SIZE);
	copy(s, in, NULL, -1, NULL, SIZE);
	copy(s, in, NULL, out, NULL, 0);
	copy(s, in, &off, out, NULL, 100);
	copy(s, in, NULL, out, &off, 100);
	result(s, "wild pointer", copy_file_range(in, (off_t *)8, out, NULL, SIZE, 0));
	contents(s, "dst");
	off = INT64_MAX - 5;
	copy(s, in, NULL, out, &off, 100);
}

static void other_file_systems(struct side *s)
{
	int memfd = memfd_create("elsewhere", 0);
	int proc = open("/proc/version", O_RDONLY);
	int in, out;

	pair(s, &in, &out);
	copy(s, in, NULL, memfd, NULL, 0);
	result(s, "from /proc", copy_file_range(proc, NULL, out, NULL, 4096, 0));
	contents(s, "dst");
}

static void file_size_limit(struct side *s)
{
	struct rlimit old, lim;
	int in, out;

	getrlimit(RLIMIT_FSIZE, &old);
	lim = old;
	lim.rlim_cur = 200001;
	pair(s, &in, &out);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &lim);
	copy_all(s, in, NULL, out, NULL, SIZE);
	contents(s, "dst");
	setrlimit(RLIMIT_FSIZE, &old);
}

static void drop_privileges(struct side *s)
{
	static const char cap[20] = { 0, 0, 0, 2, 0, 4 };
	int status = -1, in, out;
	struct stat st;

	pair(s, &in, &out);
	fchmod(out, 06777);
	success(s, "setxattr", fsetxattr(out, "security.capability", cap, sizeof(cap), 0));
	if (!fork()) {
		if (setgid(65534) || setuid(65534))
			_exit(2);
		_exit(copy_file_range(in, NULL, out, NULL, SIZE, 0) <= 0);
	}
	wait(&status);
	fstat(out, &st);
	note(s, "status %d mode %o\n", status, st.st_mode);
	result(s, "capability", fgetxattr(out, "security.capability", NULL, 0));
}

static void times_move(struct side *s)
{
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct stat before, after;
	int in, out;

	pair(s, &in, &out);
	futimens(out, old);
	fstat(out, &before);
	usleep(20000);
	copy_all(s, in, NULL, out, NULL, SIZE);
	fstat(out, &after);
	note(s, "mtime %d ctime %d size %lld\n", after.st_mtime > 1000,
	     after.st_ctim.tv_sec != before.st_ctim.tv_sec ||
	     after.st_ctim.tv_nsec != before.st_ctim.tv_nsec,
	     (long long)after.st_size);
}

static void notify_events(struct side *s)
{
	char buf[8192] __attribute__((aligned(8)));
	int inotify = inotify_init1(IN_NONBLOCK);
	unsigned int mask = 0;
	char path[512];
	ssize_t n, i;
	int in, out;

	pair(s, &in, &out);
	snprintf(path, sizeof(path), "%s/dst", s->path);
	inotify_add_watch(inotify, path, IN_ALL_EVENTS);
	copy_all(s, in, NULL, out, NULL, SIZE);
	close(out);
	while ((n = read(inotify, buf, sizeof(buf))) > 0) {
		for (i = 0; i < n;) {
			struct inotify_event *event = (void *)&buf[i];

			mask |= event->mask;
			i += sizeof(*event) + event->len;
		}
	}
	note(s, "events %x\n", mask);
	close(inotify);
}

/* The open file's rights count, not what its mode has become. */
static void read_only_since_opened(struct side *s)
{
	int in, out;

	pair(s, &in, &out);
	fchmod(in, 0);
	fchmod(out, 0444);
	copy_all(s, in, NULL, out, NULL, SIZE);
	fchmod(out, 0644);
	contents(s, "dst");
}

static void without_a_name(struct side *s)
{
	int in, out;

	pair(s, &in, &out);
	unlinkat(s->dir, "dst", 0);
	unlinkat(s->dir, "src", 0);
	copy_all(s, in, NULL, out, NULL, SIZE);
	note(s, "contents %d\n", fd_holds(out, 0, SIZE, 1, 0));
}

PARITY_TEST(whole)
PARITY_TEST(less_than_the_file)
PARITY_TEST(past_the_end)
PARITY_TEST(offsets_and_positions)
PARITY_TEST(longer_destination)
PARITY_TEST(same_file)
PARITY_TEST(same_file_by_two_names)
PARITY_TEST(bad_arguments)
PARITY_TEST(other_file_systems)
PARITY_TEST(file_size_limit)
PARITY_TEST(drop_privileges)
PARITY_TEST(times_move)
PARITY_TEST(notify_events)
PARITY_TEST(read_only_since_opened)
PARITY_TEST(without_a_name)

FS_TEST(counted)
{
	long long offloaded, bytes, local;
	int in, out;

	pair(&self->s, &in, &out);
	offloaded = counter(self->s.path, "copies_offloaded");
	bytes = counter(self->s.path, "bytes_offloaded");
	local = counter(self->s.path, "copies_local");
	ASSERT_LE(0, offloaded);
	ASSERT_LE(SIZE - 4095, copy_file_range(in, NULL, out, NULL, SIZE, 0));
	if (variant->lower == XFS) {
		EXPECT_EQ(1, counter(self->s.path, "copies_offloaded") - offloaded);
		EXPECT_LE(SIZE - 4095, counter(self->s.path, "bytes_offloaded") - bytes);
	} else {
		EXPECT_EQ(0, counter(self->s.path, "copies_offloaded") - offloaded);
		EXPECT_EQ(1, counter(self->s.path, "copies_local") - local);
	}
	close(in);
	close(out);
}

/* A file of another file system: what the VFS says, and nothing is written. */
FS_TEST(to_another_file_system)
{
	int memfd = memfd_create("elsewhere", 0);
	int in, out;

	pair(&self->s, &in, &out);
	EXPECT_EQ(-1, copy_file_range(in, NULL, memfd, NULL, SIZE, 0));
	EXPECT_EQ(EXDEV, errno);
	EXPECT_EQ(-1, copy_file_range(memfd, NULL, out, NULL, SIZE, 0));
	EXPECT_EQ(EXDEV, errno);
	EXPECT_EQ(0, lseek(memfd, 0, SEEK_END));
	EXPECT_EQ(0, lseek(out, 0, SEEK_END));
	close(in);
	close(out);
}

/* More than 4 GiB in one request: no 32-bit count, and holes stay holes. */
FS_TEST(huge)
{
	const off_t size = (5LL << 30) + 12345;
	off_t done = 0, off_in = 0, off_out = 0;
	struct stat st;
	int in, out;
	ssize_t ret;

	in = file_make(&self->s, "src", 5000, 1);
	out = file_make(&self->s, "dst", 0, 0);
	fd_write(in, (1LL << 32) - 3000, 6000, 1);
	ASSERT_EQ(0, ftruncate(in, size));
	do {
		ret = copy_file_range(in, &off_in, out, &off_out, size - done, 0);
		ASSERT_LE(0, ret);
		done += ret;
		EXPECT_EQ(done, off_in);
		EXPECT_EQ(done, off_out);
		/* At least as much as the VFS copies in one call. */
		EXPECT_TRUE(ret >= 0x7ffff000 || done == size);
	} while (ret && done < size);
	EXPECT_EQ(size, done);
	EXPECT_EQ(size, lseek(out, 0, SEEK_END));
	EXPECT_TRUE(fd_holds(out, 0, 5000, 1, 0));
	EXPECT_TRUE(fd_holds(out, (1LL << 32) - 3000, 6000, 1, (1LL << 32) - 3000));
	fstat(out, &st);
	EXPECT_GT(1 << 20, st.st_blocks * 512);
	close(in);
	close(out);
}

/* Go on after short copies. */
static bool copied(int in, off_t *from, int out, off_t *to, size_t len)
{
	ssize_t ret = 1;

	while (len && ret > 0) {
		ret = copy_file_range(in, from, out, to, len, 0);
		len -= ret;
	}
	return !len;
}

/* Bytes land only inside the range, whatever the alignment. */
FS_TEST(nothing_outside_the_range)
{
	static const off_t at[] = { 0, 1, 4095, 4096, 12288 };
	static const size_t lens[] = { 1, 4096, 5000, 65536, 66000 };
	size_t i, j, k;
	int in, out;

	in = file_make(&self->s, "src", 131072, 1);
	for (i = 0; i < ARRAY_SIZE(at); i++)
		for (j = 0; j < ARRAY_SIZE(at); j++)
			for (k = 0; k < ARRAY_SIZE(lens); k++) {
				off_t from = at[i], to = at[j];
				off_t end = to + lens[k];

				out = file_make(&self->s, "dst", 131072, 2);
				EXPECT_TRUE(copied(in, &from, out, &to, lens[k]));
				EXPECT_TRUE(fd_holds(out, 0, at[j], 2, 0));
				EXPECT_TRUE(fd_holds(out, at[j], lens[k], 1, at[i]));
				EXPECT_TRUE(fd_holds(out, end, 131072 - end, 2, end));
				EXPECT_EQ(131072, lseek(out, 0, SEEK_END));
				close(out);
			}
	close(in);
}

/* Many copies of one source and into one destination at once. */
struct copier {
	int in, out;
	off_t pos;
	int bad;
};

static void *copier(void *arg)
{
	struct copier *c = arg;
	int i;

	for (i = 0; i < 50; i++) {
		off_t from = c->pos, to = c->pos;

		if (copy_file_range(c->in, &from, c->out, &to, 65536, 0) != 65536)
			c->bad++;
	}
	return NULL;
}

FS_TEST(many_at_once)
{
	struct copier c[4];
	pthread_t thread[4];
	int in, out, i;

	in = file_make(&self->s, "src", 4 * 65536, 1);
	out = file_make(&self->s, "dst", 0, 0);
	for (i = 0; i < 4; i++) {
		c[i] = (struct copier) { in, out, i * 65536, 0 };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, copier, &c[i]));
	}
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, c[i].bad);
	}
	EXPECT_TRUE(fd_holds(out, 0, 4 * 65536, 1, 0));
	close(in);
	close(out);
}

TEST_HARNESS_MAIN
