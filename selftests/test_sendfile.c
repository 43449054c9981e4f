// SPDX-License-Identifier: GPL-2.0-only
/*
 * sendfile(2) on an offloadfs mount gives what it gives on the bare lower file
 * system: counts, errnos, file positions, offsets, contents, events. From file
 * to file of the mount it is intercepted, and nowhere else.
 */
#include "parity.h"
#include "uring.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>

#define SIZE	300000		/* of a source; neither a block's nor a page's multiple */

FIXTURE_VARIANT_ADD(fs, tmpfs) { .lower = TMPFS };
FIXTURE_VARIANT_ADD(fs, xfs) { .lower = XFS };

static __attribute__((constructor)) void begin(void)
{
	parity_begin("min=0", 1 << TMPFS | 1 << XFS);
}

/* One call; writes down its result and all positions. */
static ssize_t send_file(struct side *s, int out, int in, off_t *offset, size_t count)
{
	ssize_t ret = result(s, "sendfile", sendfile(out, in, offset, count));

	note(s, "in %lld out %lld offset %lld\n", (long long)lseek(in, 0, SEEK_CUR),
	     (long long)lseek(out, 0, SEEK_CUR), offset ? (long long)*offset : -1);
	return ret;
}

/* A source of SIZE bytes and an empty destination. */
static void pair(struct side *s, int *in, int *out)
{
	*in = file_make(s, "src", SIZE, 1);
	*out = file_make(s, "dst", 0, 0);
}

static void whole(struct side *s)
{
	int in, out;

	pair(s, &in, &out);
	send_file(s, out, in, NULL, SIZE);
	send_file(s, out, in, NULL, SIZE);
	contents(s, "dst");
}

static void less_than_the_file(struct side *s)
{
	int in, out;

	pair(s, &in, &out);
	send_file(s, out, in, NULL, 1);
	send_file(s, out, in, NULL, 4096);
	send_file(s, out, in, NULL, 65536);
	send_file(s, out, in, NULL, 100001);
	contents(s, "dst");
}

static void past_the_end(struct side *s)
{
	static const size_t counts[] = { SIZE + 1, SIZE + 65536, INT_MAX, SSIZE_MAX };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		int in, out;

		pair(s, &in, &out);
		send_file(s, out, in, NULL, counts[i]);
		contents(s, "dst");
		close(in);
		close(out);
	}
}

static void offset_pointer(struct side *s)
{
	static const off_t offsets[] = { 0, 1, 4096, 131072, SIZE - 1, SIZE, SIZE + 1 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		off_t offset = offsets[i];
		int in, out;

		pair(s, &in, &out);
		lseek(in, 77, SEEK_SET);
		send_file(s, out, in, &offset, SIZE);
		contents(s, "dst");
		close(in);
		close(out);
	}
}

static void positions(struct side *s)
{
	static const off_t at[] = { 0, 1, 65536, SIZE - 10 };
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		for (j = 0; j < ARRAY_SIZE(at); j++) {
			int in, out;

			pair(s, &in, &out);
			lseek(in, at[i], SEEK_SET);
			lseek(out, at[j], SEEK_SET);
			send_file(s, out, in, NULL, 70000);
			contents(s, "dst");
			close(in);
			close(out);
		}
	}
}

static void longer_destination(struct side *s)
{
	int in, out;

	pair(s, &in, &out);
	fd_write(out, 0, 2 * SIZE, 2);
	send_file(s, out, in, NULL, SIZE);
	contents(s, "dst");
	lseek(in, 0, SEEK_SET);
	lseek(out, 3 * SIZE, SEEK_SET);
	send_file(s, out, in, NULL, SIZE);
	contents(s, "dst");
}

static void same_file(struct side *s)
{
	static const struct { off_t in, out; size_t len; } moves[] = {
		{ 0, SIZE, SIZE }, { 0, 65536, 65536 }, { 0, 100, 5000 },
		{ 5000, 100, 20000 }, { 0, 0, SIZE }, { 0, 4096, SIZE },
		{ 0, 1, 200000 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(moves); i++) {
		int out = file_make(s, "file", SIZE, 1);
		int in = file_open(s, "file", O_RDONLY);

		lseek(in, moves[i].in, SEEK_SET);
		lseek(out, moves[i].out, SEEK_SET);
		send_file(s, out, in, NULL, moves[i].len);
		contents(s, "file");
		close(in);
		close(out);
	}
}

static void one_descriptor(struct side *s)
{
	int fd = file_make(s, "file", SIZE, 1);
	off_t offset = 0;

	lseek(fd, SIZE, SEEK_SET);
	send_file(s, fd, fd, &offset, 1000);
	lseek(fd, 0, SEEK_SET);
	send_file(s, fd, fd, NULL, 1000);
	contents(s, "file");
}

static void append(struct side *s)
{
	int in, out, app;

	pair(s, &in, &out);
	app = file_open(s, "dst", O_WRONLY | O_APPEND);
	send_file(s, app, in, NULL, SIZE);
	contents(s, "dst");
}

static void bad_arguments(struct side *s)
{
	int in, out, wronly, rdonly, dir;
	off_t offset = -1;

	pair(s, &in, &out);
	wronly = file_open(s, "src", O_WRONLY);
	rdonly = file_open(s, "dst", O_RDONLY);
	dir = openat(s->dir, ".", O_RDONLY);
	send_file(s, out, wronly, NULL, SIZE);
	send_file(s, rdonly, in, NULL, SIZE);
	send_file(s, -1, in, NULL, SIZE);
	send_file(s, out, -1, NULL, SIZE);
	send_file(s, out, dir, NULL, SIZE);
	send_file(s, dir, in, NULL, SIZE);
	send_file(s, out, in, NULL, 0);
	send_file(s, out, in, &offset, 100);
	offset = INT64_MAX - 5;
	send_file(s, out, in, &offset, 100);
	send_file(s, out, in, NULL, (size_t)SSIZE_MAX + 1);
	result(s, "wild pointer", sendfile(out, in, (off_t *)8, SIZE));
	contents(s, "dst");
	lseek(out, INT64_MAX - 4096, SEEK_SET);
	send_file(s, out, in, NULL, SIZE);
}

/* The new offset is stored after the copy: it happens, and the call fails. */
static void offset_on_a_read_only_page(struct side *s)
{
	off_t *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int in, out;

	pair(s, &in, &out);
	send_file(s, out, in, page, SIZE);
	contents(s, "dst");
	munmap(page, 4096);
}

static void direct_source(struct side *s)
{
	int in, out, direct;

	pair(s, &in, &out);
	fsync(in);
	direct = file_open(s, "src", O_RDONLY | O_DIRECT);
	if (direct < 0)
		return;
	send_file(s, out, direct, NULL, 65536);
	send_file(s, out, direct, NULL, 131072);
	contents(s, "dst");
}

static void to_a_socket(struct side *s)
{
	char buf[8192] = "";
	int in, out, pair_of[2];

	pair(s, &in, &out);
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair_of);
	result(s, "to socket", sendfile(pair_of[0], in, NULL, 5000));
	result(s, "from socket", sendfile(out, pair_of[1], NULL, 10));
	result(s, "read", read(pair_of[1], buf, sizeof(buf)));
	note(s, "in %lld, first %02x last %02x\n", (long long)lseek(in, 0, SEEK_CUR),
	     buf[0] & 0xff, buf[4999] & 0xff);
}

static void to_a_pipe(struct side *s)
{
	char buf[8192] = "";
	int in, out, pipe_of[2];

	pair(s, &in, &out);
	if (pipe(pipe_of))
		return;
	result(s, "to pipe", sendfile(pipe_of[1], in, NULL, 5000));
	result(s, "splice to file", splice(pipe_of[0], NULL, out, NULL, 5000, 0));
	result(s, "splice to pipe", splice(in, NULL, pipe_of[1], NULL, 4096, 0));
	result(s, "read", read(pipe_of[0], buf, sizeof(buf)));
	note(s, "in %lld, first %02x last %02x\n", (long long)lseek(in, 0, SEEK_CUR),
	     buf[0] & 0xff, buf[4095] & 0xff);
	contents(s, "dst");
}

static void from_and_to_another_file_system(struct side *s)
{
	int memfd = memfd_create("elsewhere", 0);
	int in, out;

	pair(s, &in, &out);
	send_file(s, memfd, in, NULL, SIZE);
	note(s, "out %d\n", fd_holds(memfd, 0, SIZE, 1, 0));
	lseek(memfd, 0, SEEK_SET);
	send_file(s, out, memfd, NULL, SIZE);
	contents(s, "dst");
}

static void pseudo_source(struct side *s)
{
	int in = open("/proc/version", O_RDONLY);
	int out = file_make(s, "dst", 0, 0);
	ssize_t ret = sendfile(out, in, NULL, 65536);

	note(s, "version %d\n", ret > 20);
	contents(s, "dst");
	close(in);
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
	send_file(s, out, in, NULL, SIZE);
	send_file(s, out, in, NULL, SIZE);
	setrlimit(RLIMIT_FSIZE, &old);
	contents(s, "dst");
}

static void file_size_signal(struct side *s)
{
	int status = -1;

	if (!fork()) {
		struct rlimit lim = { 100000, 100000 };
		int in, out;

		signal(SIGXFSZ, SIG_DFL);
		pair(s, &in, &out);
		setrlimit(RLIMIT_FSIZE, &lim);
		lseek(out, 100000, SEEK_SET);
		_exit(sendfile(out, in, NULL, 10) != -1);
	}
	wait(&status);
	note(s, "signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	contents(s, "dst");
}

static void drop_privileges(struct side *s)
{
	int status = -1, in, out;
	struct stat st;

	pair(s, &in, &out);
	fchmod(out, 06777);
	if (!fork()) {
		if (setgid(65534) || setuid(65534))
			_exit(2);
		_exit(sendfile(out, in, NULL, SIZE) != SIZE);
	}
	wait(&status);
	fstat(out, &st);
	note(s, "status %d mode %o\n", status, st.st_mode);
	contents(s, "dst");
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
	send_file(s, out, in, NULL, SIZE);
	fstat(out, &after);
	note(s, "mtime %d ctime %d size %lld\n", after.st_mtime > 1000,
	     after.st_ctim.tv_sec != before.st_ctim.tv_sec ||
	     after.st_ctim.tv_nsec != before.st_ctim.tv_nsec,
	     (long long)after.st_size);
}

/* Which kinds of event each of two watched files had. */
static void drain(struct side *s, int inotify, int src_wd)
{
	char buf[8192] __attribute__((aligned(8)));
	unsigned int src = 0, dst = 0;
	ssize_t n, i;

	while ((n = read(inotify, buf, sizeof(buf))) > 0) {
		for (i = 0; i < n;) {
			struct inotify_event *event = (void *)&buf[i];

			*(event->wd == src_wd ? &src : &dst) |= event->mask;
			i += sizeof(*event) + event->len;
		}
	}
	note(s, "events: source %x destination %x\n", src, dst);
}

static void notify_events(struct side *s)
{
	int inotify = inotify_init1(IN_NONBLOCK);
	char path[512];
	int in, out, wd;

	pair(s, &in, &out);
	snprintf(path, sizeof(path), "%s/src", s->path);
	wd = inotify_add_watch(inotify, path, IN_ALL_EVENTS);
	snprintf(path, sizeof(path), "%s/dst", s->path);
	inotify_add_watch(inotify, path, IN_ALL_EVENTS);
	send_file(s, out, in, NULL, SIZE);
	drain(s, inotify, wd);
	close(in);
	close(out);
	drain(s, inotify, wd);
	close(inotify);
}

static void holes_and_zeros(struct side *s)
{
	int in = file_make(s, "src", 10, 1);
	int out = file_make(s, "dst", SIZE, 2);

	fd_write(in, 131072, 4096, 3);
	if (ftruncate(in, SIZE))
		return;
	send_file(s, out, in, NULL, SIZE);
	contents(s, "dst");
}

static void destination_without_a_name(struct side *s)
{
	int in, out;

	pair(s, &in, &out);
	unlinkat(s->dir, "dst", 0);
	send_file(s, out, in, NULL, SIZE);
	note(s, "contents %d\n", fd_holds(out, 0, SIZE, 1, 0));
	unlinkat(s->dir, "src", 0);
	lseek(in, 0, SEEK_SET);
	send_file(s, out, in, NULL, SIZE);
	note(s, "contents %d\n", fd_holds(out, SIZE, SIZE, 1, 0));
}

PARITY_TEST(whole)
PARITY_TEST(less_than_the_file)
PARITY_TEST(past_the_end)
PARITY_TEST(offset_pointer)
PARITY_TEST(positions)
PARITY_TEST(longer_destination)
PARITY_TEST(same_file)
PARITY_TEST(one_descriptor)
PARITY_TEST(append)
PARITY_TEST(bad_arguments)
PARITY_TEST(offset_on_a_read_only_page)
PARITY_TEST(direct_source)
PARITY_TEST(to_a_socket)
PARITY_TEST(to_a_pipe)
PARITY_TEST(from_and_to_another_file_system)
PARITY_TEST(pseudo_source)
PARITY_TEST(file_size_limit)
PARITY_TEST(file_size_signal)
PARITY_TEST(drop_privileges)
PARITY_TEST(times_move)
PARITY_TEST(notify_events)
PARITY_TEST(holes_and_zeros)
PARITY_TEST(destination_without_a_name)

static long long intercepted(struct side *s)
{
	return counter(s->path, "sendfile_intercepted");
}

FS_TEST(counted)
{
	long long before, calls, offloaded, local;
	int in, out;

	pair(&self->s, &in, &out);
	before = intercepted(&self->s);
	offloaded = counter(self->s.path, "copies_offloaded");
	local = counter(self->s.path, "copies_local");
	ASSERT_LE(0, before);
	ASSERT_EQ(SIZE, sendfile(out, in, NULL, SIZE));
	calls = intercepted(&self->s) - before;
	EXPECT_EQ(1, calls);
	EXPECT_EQ(variant->lower == XFS,
		  counter(self->s.path, "copies_offloaded") - offloaded);
	EXPECT_LE(variant->lower == TMPFS, counter(self->s.path, "copies_local") - local);
	close(in);
	close(out);
}

FS_TEST(not_intercepted_elsewhere)
{
	int memfd = memfd_create("elsewhere", 0);
	int in, out, pipe_of[2], pair_of[2];
	long long before;
	off_t end;

	pair(&self->s, &in, &out);
	ASSERT_EQ(0, pipe(pipe_of));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair_of));
	before = intercepted(&self->s);
	ASSERT_LE(0, before);
	EXPECT_EQ(SIZE, sendfile(memfd, in, NULL, SIZE));
	end = 0;
	EXPECT_EQ(SIZE, sendfile(out, memfd, &end, SIZE));
	end = 0;
	EXPECT_EQ(4096, sendfile(pipe_of[1], in, &end, 4096));
	EXPECT_EQ(4096, splice(pipe_of[0], NULL, out, NULL, 4096, 0));
	EXPECT_EQ(4096, sendfile(pair_of[1], in, &end, 4096));
	EXPECT_EQ(before, intercepted(&self->s));
}

/* Many calls: no drift of positions, no leak of descriptors or open files. */
static long open_files(void)
{
	FILE *f = fopen("/proc/sys/fs/file-nr", "r");
	long n = -1;

	if (f) {
		if (fscanf(f, "%ld", &n) != 1)
			n = -1;
		fclose(f);
	}
	return n;
}

FS_TEST(many_calls)
{
	const char *env = getenv("OFFLOADFS_TEST_CALLS");
	long calls = env ? atol(env) : 20000, i, files;
	int in, out, bad = 0, low;
	long long before;

	if (variant->lower != TMPFS)
		SKIP(return, "once is enough");
	in = file_make(&self->s, "src", 8192, 1);
	out = file_make(&self->s, "dst", 0, 0);
	low = dup(0);
	files = open_files();
	before = intercepted(&self->s);
	for (i = 0; i < calls && !bad; i++) {
		size_t len = i % 2000 + 1;
		off_t from = i * 7 % 4096, to = i * 3 % 8192;

		lseek(in, from, SEEK_SET);
		lseek(out, to, SEEK_SET);
		bad = sendfile(out, in, NULL, len) != (ssize_t)len ||
			lseek(in, 0, SEEK_CUR) != from + (off_t)len ||
			lseek(out, 0, SEEK_CUR) != to + (off_t)len ||
			(i % 16 == 0 && !fd_holds(out, to, len, 1, from));
	}
	EXPECT_EQ(0, bad) {
		TH_LOG("call %ld went wrong", i - 1);
	}
	EXPECT_EQ(calls, intercepted(&self->s) - before);
	EXPECT_EQ(low + 1, dup(0));
	EXPECT_GT(files + 200, open_files());
	close(in);
	close(out);
}

/* A source that grows and shrinks while it is copied. */
struct changer {
	int fd;
	bool stop;
};

static void *change_size(void *arg)
{
	struct changer *c = arg;
	unsigned int i = 0;

	while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
		if (++i % 3)
			fd_write(c->fd, 0, i * 4099 % SIZE + 1, 1);
		else if (ftruncate(c->fd, i * 8191 % SIZE))
			break;
	}
	return NULL;
}

/* Every byte of a racing copy is the pattern's, or zero where it was cut. */
static bool plausible(int fd, ssize_t len)
{
	static unsigned char buf[SIZE], want[SIZE];
	ssize_t i;

	pattern_fill(want, len, 1, 0);
	if (pread(fd, buf, len, 0) != len)
		return false;
	for (i = 0; i < len; i++)
		if (buf[i] && buf[i] != want[i])
			return false;
	return true;
}

FS_TEST(source_changes_size)
{
	struct changer c = { .fd = -1 };
	int in, out, i, bad = 0;
	pthread_t thread;
	struct stat st;

	pair(&self->s, &in, &out);
	c.fd = file_open(&self->s, "src", O_RDWR);
	ASSERT_EQ(0, pthread_create(&thread, NULL, change_size, &c));
	for (i = 0; i < 200 && !bad; i++) {
		off_t offset = 0;
		ssize_t ret;

		if (ftruncate(out, 0) || lseek(out, 0, SEEK_SET))
			break;
		ret = sendfile(out, in, &offset, 2 * SIZE);
		fstat(out, &st);
		bad = ret < 0 || ret > SIZE || offset != ret || st.st_size != ret ||
			lseek(out, 0, SEEK_CUR) != ret || !plausible(out, ret);
		if (bad)
			TH_LOG("round %d: returned %zd, offset %lld, size %lld", i, ret,
			       (long long)offset, (long long)st.st_size);
	}
	__atomic_store_n(&c.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, bad);
	close(in);
	close(out);
	close(c.fd);
}

/* Another thread replaces out_fd: all or nothing, and never another file. */
struct replacer {
	int file, other, out;
	bool stop;
};

static void *replace(void *arg)
{
	struct replacer *r = arg;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		dup2(r->other, r->out);
		dup2(r->file, r->out);
	}
	return NULL;
}

FS_TEST(output_replaced_meanwhile)
{
	struct replacer r = { .stop = false };
	int in, i, bad = 0, other_bytes = 0;
	pthread_t thread;
	struct stat st;

	in = file_make(&self->s, "src", 5000, 1);
	r.file = file_make(&self->s, "dst", 0, 0);
	r.other = memfd_create("other", 0);
	r.out = dup(r.file);
	ASSERT_EQ(0, pthread_create(&thread, NULL, replace, &r));
	for (i = 0; i < 3000 && !bad; i++) {
		off_t offset = 0;
		ssize_t ret;

		lseek(r.file, 0, SEEK_SET);
		lseek(r.other, 0, SEEK_SET);
		ret = sendfile(r.out, in, &offset, 5000);
		if (ret == 5000)
			bad = offset != 5000;
		else
			bad = ret != -1 || errno != EAGAIN || offset != 0;
		if (bad)
			TH_LOG("round %d: returned %zd, errno %d", i, ret, errno);
		other_bytes |= lseek(r.other, 0, SEEK_CUR) != 0;
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, bad);
	fstat(r.file, &st);
	EXPECT_TRUE(st.st_size == 0 || (st.st_size == 5000 &&
					fd_holds(r.file, 0, 5000, 1, 0)));
	fstat(r.other, &st);
	EXPECT_TRUE(st.st_size == 0 || (st.st_size == 5000 &&
					fd_holds(r.other, 0, 5000, 1, 0)));
}

/* Signals */
static void on_alarm(int sig)
{
	(void)sig;
}

/* A handled signal may end the call early, but the count stays right. */
FS_TEST(signal_part_way)
{
	struct itimerval tick = { { 0, 3000 }, { 0, 3000 } };
	struct itimerval none = { { 0, 0 }, { 0, 0 } };
	const size_t size = 16 << 20;
	size_t done = 0;
	int in, out;

	in = file_make(&self->s, "src", size, 1);
	out = file_make(&self->s, "dst", 0, 0);
	/* Of an odd position, so that even XFS has to copy the bytes. */
	lseek(out, 1, SEEK_SET);
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &tick, NULL);
	while (done < size) {
		ssize_t ret = sendfile(out, in, NULL, size - done);

		if (ret < 0 && errno == EINTR)
			continue;
		if (ret <= 0)
			break;
		done += ret;
		if (lseek(in, 0, SEEK_CUR) != (off_t)done ||
		    lseek(out, 0, SEEK_CUR) != (off_t)done + 1)
			break;
	}
	setitimer(ITIMER_REAL, &none, NULL);
	EXPECT_EQ(size, done);
	EXPECT_TRUE(fd_holds(out, 1, size, 1, 0));
}

FS_TEST(no_space_part_way)
{
	const size_t room = 3 << 20, size = 6 << 20;
	int in, out, hog, ret;
	ssize_t done = 0, n;
	struct stat st;

	if (variant->lower != TMPFS)
		SKIP(return, "once is enough");
	in = file_make(&self->s, "src", size, 1);
	out = file_make(&self->s, "dst", 0, 0);
	hog = file_open(&self->s, "hog", O_RDWR | O_CREAT);
	/* Leave just over @room bytes. */
	ret = run("fallocate -l $(($(stat -f -c '%%a * %%S' %s) - %zu)) %s/hog",
		  self->s.path, room, self->s.path);
	ASSERT_EQ(0, ret);
	while ((n = sendfile(out, in, NULL, size - done)) > 0)
		done += n;
	EXPECT_EQ(-1, n);
	EXPECT_EQ(ENOSPC, errno);
	EXPECT_GT((ssize_t)size, done);
	EXPECT_LT((ssize_t)room - 131072, done);
	EXPECT_EQ(done, lseek(in, 0, SEEK_CUR));
	EXPECT_EQ(done, lseek(out, 0, SEEK_CUR));
	EXPECT_TRUE(fd_holds(out, 0, done, 1, 0));
	fstat(out, &st);
	EXPECT_LE(done, st.st_size);
	close(hog);
	close(in);
	close(out);
}

/* Past 2 and 4 GiB, with sparse files: holes take no time. */
FS_TEST(huge_positions)
{
	static const off_t around[] = { 1LL << 31, 1LL << 32, 5LL << 30 };
	int in, out;
	size_t i;

	in = file_make(&self->s, "src", 0, 0);
	out = file_make(&self->s, "dst", 0, 0);
	for (i = 0; i < ARRAY_SIZE(around); i++) {
		off_t offset = around[i] - 5000;

		fd_write(in, offset, 10000, 1);
		lseek(out, offset, SEEK_SET);
		EXPECT_EQ(10000, sendfile(out, in, &offset, 10000));
		EXPECT_EQ(around[i] + 5000, offset);
		EXPECT_EQ(offset, lseek(out, 0, SEEK_CUR));
		EXPECT_TRUE(fd_holds(out, around[i] - 5000, 10000, 1, around[i] - 5000));
	}
	close(in);
	close(out);
}

FS_TEST(more_than_one_call_can_return)
{
	const off_t size = (5LL << 30) + 12345;
	off_t done = 0;
	int in, out;
	ssize_t ret;

	in = file_make(&self->s, "src", 5000, 1);
	out = file_make(&self->s, "dst", 0, 0);
	fd_write(in, (3LL << 30) + 1, 5000, 1);
	ASSERT_EQ(0, ftruncate(in, size));
	ret = sendfile(out, in, NULL, size);
	EXPECT_EQ(0x7ffff000, ret);
	for (done = ret; ret > 0 && done < size; done += ret)
		ret = sendfile(out, in, NULL, size - done);
	EXPECT_EQ(size, done);
	EXPECT_EQ(size, lseek(out, 0, SEEK_END));
	EXPECT_TRUE(fd_holds(out, 0, 5000, 1, 0));
	EXPECT_TRUE(fd_holds(out, (3LL << 30) + 1, 5000, 1, (3LL << 30) + 1));
	close(in);
	close(out);
}

#ifdef __x86_64__
/* A system call as 32-bit programs make it; pointers must be below 4 GiB. */
static long sys32(long nr, long a, long b, long c, long d)
{
	long ret;

	asm volatile("int $0x80" : "=a" (ret) : "a" (nr), "b" (a), "c" (b), "d" (c),
		     "S" (d) : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

static bool have_sys32(void)
{
	int status = -1;

	if (!fork()) {
		signal(SIGSEGV, SIG_DFL);
		_exit(sys32(20, 0, 0, 0, 0) != getpid());
	}
	wait(&status);
	return !status;
}

static void calls_of_32_bit(struct side *s)
{
	static const int numbers[] = { 187, 239 };
	void *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int in, out;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		int *off32 = low;
		long long *off64 = low;

		pair(s, &in, &out);
		note(s, "%d\n", numbers[i]);
		*off64 = 1000;
		note(s, "%ld\n", sys32(numbers[i], out, in, (long)low, 200000));
		note(s, "%d %lld\n", *off32, numbers[i] == 239 ? (long long)*off64 : 0);
		note(s, "%ld\n", sys32(numbers[i], out, in, 0, 2 * SIZE));
		*off64 = 0x7fffffff - 10;
		note(s, "%ld\n", sys32(numbers[i], out, in, (long)low, 100));
		*off32 = -1;
		note(s, "%ld\n", sys32(numbers[i], out, in, (long)low, 100));
		note(s, "%lld %lld\n", (long long)lseek(in, 0, SEEK_CUR),
		     (long long)lseek(out, 0, SEEK_CUR));
		contents(s, "dst");
		close(in);
		close(out);
	}
	munmap(low, 4096);
}

FS_TEST(calls_of_32_bit)
{
	long long before;

	if (!have_sys32())
		SKIP(return, "the kernel has no 32-bit system calls");
	before = intercepted(&self->s);
	EXPECT_TRUE(parity(calls_of_32_bit, variant->lower, "sys32"));
	EXPECT_LE(4, intercepted(&self->s) - before);
}
#endif

/* io_uring's splice works, by way of the user's own pipe. */
static int ring_splice(struct ring *r, int in, off_t off_in, int out, off_t off_out,
		       unsigned int len)
{
	const struct io_uring_sqe sqe = {
		.opcode = IORING_OP_SPLICE, .fd = out, .splice_fd_in = in,
		.splice_off_in = off_in, .off = off_out, .len = len,
	};

	return ring_do(r, &sqe);
}

FS_TEST(io_uring_splice)
{
	int in, out, pipe_of[2];
	struct ring ring;
	long long before;

	if (!ring_open(&ring))
		SKIP(return, "io_uring_setup: %s", strerror(errno));
	pair(&self->s, &in, &out);
	ASSERT_EQ(0, pipe(pipe_of));
	before = intercepted(&self->s);
	EXPECT_EQ(32768, ring_splice(&ring, in, 4096, pipe_of[1], -1, 32768));
	EXPECT_EQ(32768, ring_splice(&ring, pipe_of[0], -1, out, 100, 32768));
	EXPECT_TRUE(fd_holds(out, 100, 32768, 1, 4096));
	EXPECT_EQ(before, intercepted(&self->s));
	close(ring.fd);
}

TEST_HARNESS_MAIN
