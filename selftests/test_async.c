// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asynchronous requests, of aio and of io_uring, buffered and direct, give what
 * they give on the bare lower file system.
 */
#include "io.h"
#include "uring.h"
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>

FIXTURE_VARIANT_ADD(fs, tmpfs) { .lower = TMPFS };
FIXTURE_VARIANT_ADD(fs, ext4) { .lower = EXT4 };
FIXTURE_VARIANT_ADD(fs, xfs) { .lower = XFS };

static __attribute__((constructor)) void begin(void)
{
	parity_begin("min=0", 1 << TMPFS | 1 << EXT4 | 1 << XFS);
}

/* aio */

static void aio_run(struct side *s, aio_context_t ctx, struct iocb *cb, int n)
{
	struct io_event events[8];
	struct iocb *list[8];
	int i, got;

	for (i = 0; i < n; i++) {
		list[i] = &cb[i];
		cb[i].aio_data = i;
	}
	if (result(s, "submit", syscall(__NR_io_submit, ctx, n, list)) < 0)
		return;
	got = syscall(__NR_io_getevents, ctx, n, n, events, NULL);
	result(s, "events", got);
	for (i = 0; i < got; i++)
		cb[events[i].data].aio_reserved2 = events[i].res;
	for (i = 0; i < n; i++)
		note(s, "%d: %lld\n", i, (long long)cb[i].aio_reserved2);
	for (i = 0; i < n; i++)
		cb[i].aio_reserved2 = 0;
}

static void aio_requests(struct side *s, int open_flags)
{
	char *buf = aligned(65536);
	struct iovec iov[2] = { { buf, 4096 }, { buf + 4096, 4096 } };
	int fd, i, event = eventfd(0, EFD_NONBLOCK);
	struct iocb cb[8] = {};
	aio_context_t ctx = 0;
	__u64 told = 0;

	close(file_make(s, "f", 65536, 1));
	fd = file_open(s, "f", O_RDWR | open_flags);
	if (fd < 0)
		return;
	success(s, "setup", syscall(__NR_io_setup, 8, &ctx));
	for (i = 0; i < 8; i++)
		cb[i] = (struct iocb) {
			.aio_fildes = fd, .aio_lio_opcode = IOCB_CMD_PWRITE,
			.aio_buf = (unsigned long)buf + 4096 * i, .aio_nbytes = 4096,
			.aio_offset = 8192 * i + 16384, .aio_flags = IOCB_FLAG_RESFD,
			.aio_resfd = event,
		};
	for (i = 0; i < 65536; i++)
		buf[i] = i / 4096 + 'a';
	aio_run(s, ctx, cb, 8);
	result(s, "eventfd", read(event, &told, 8));
	note(s, "told %d\n", (int)told);
	cb[0] = (struct iocb) {
		.aio_fildes = fd, .aio_lio_opcode = IOCB_CMD_PWRITEV,
		.aio_buf = (unsigned long)iov, .aio_nbytes = 2,
		.aio_offset = 4096, .aio_rw_flags = RWF_DSYNC,
	};
	cb[1] = (struct iocb) { .aio_fildes = fd, .aio_lio_opcode = IOCB_CMD_FSYNC };
	cb[2] = (struct iocb) { .aio_fildes = fd, .aio_lio_opcode = IOCB_CMD_FDSYNC };
	cb[3] = cb[0];
	cb[3].aio_rw_flags = RWF_APPEND;
	for (i = 0; i < 4; i++)
		aio_run(s, ctx, &cb[i], 1);
	cb[0].aio_lio_opcode = IOCB_CMD_PREADV;
	cb[0].aio_rw_flags = 0;
	aio_run(s, ctx, cb, 1);
	note(s, "%c%c\n", buf[0], buf[4096]);
	cb[0].aio_rw_flags = 1 << 20;
	aio_run(s, ctx, cb, 1);
	cb[0].aio_rw_flags = 0;
	cb[0].aio_lio_opcode = 77;
	aio_run(s, ctx, cb, 1);
	syscall(__NR_io_destroy, ctx);
	free(buf);
	close(event);
	contents(s, "f");
}

static void aio_buffered(struct side *s)
{
	aio_requests(s, 0);
}

static void aio_direct(struct side *s)
{
	aio_requests(s, O_DIRECT);
}

/* io_uring */

static void ring_note(struct side *s, struct ring *r, const char *what,
		      struct io_uring_sqe sqe)
{
	int ret = ring_do(r, &sqe);

	errno = -ret;
	result(s, what, ret < 0 ? -1 : ret);
}

#define SQE(code, file, at, memory, n, ...) (struct io_uring_sqe) { \
	.opcode = IORING_OP_##code, .fd = file, .off = at, \
	.addr = (unsigned long)(memory), .len = n, __VA_ARGS__ }

static void uring_requests(struct side *s, int open_flags)
{
	char *buf = aligned(65536);
	struct iovec iov[2] = { { buf, 4096 }, { buf + 4096, 8192 } };
	struct io_uring_sqe sqes[8];
	int fd, i, res[8] = {};
	struct ring r;

	if (!ring_open(&r)) {
		note(s, "no ring\n");
		return;
	}
	close(file_make(s, "f", 65536, 1));
	fd = file_open(s, "f", O_RDWR | open_flags);
	ring_note(s, &r, "read", SQE(READ, fd, 4096, buf, 8192));
	ring_note(s, &r, "read at the position", SQE(READ, fd, -1, buf, 4096));
	ring_note(s, &r, "readv", SQE(READV, fd, 0, iov, 2));
	ring_note(s, &r, "read past the end", SQE(READ, fd, 1 << 20, buf, 4096));
	ring_note(s, &r, "read async", SQE(READ, fd, 0, buf, 8192, .flags = IOSQE_ASYNC));
	for (i = 0; i < 65536; i++)
		buf[i] = i / 4096 + 'a';
	ring_note(s, &r, "write", SQE(WRITE, fd, 8192, buf, 4096));
	ring_note(s, &r, "writev", SQE(WRITEV, fd, 65536 - 4096, iov, 2));
	ring_note(s, &r, "dsync", SQE(WRITE, fd, 0, buf + 4096, 4096, .rw_flags = RWF_DSYNC));
	ring_note(s, &r, "append", SQE(WRITE, fd, 0, buf, 4096, .rw_flags = RWF_APPEND));
	ring_note(s, &r, "dontcache", SQE(WRITE, fd, 0, buf, 4096, .rw_flags = RWF_DONTCACHE));
	ring_note(s, &r, "atomic", SQE(WRITE, fd, 4096, buf, 4096, .rw_flags = RWF_ATOMIC));
	ring_note(s, &r, "bad flag", SQE(WRITE, fd, 0, buf, 4096, .rw_flags = 1 << 20));
	for (i = 0; i < 8; i++)
		sqes[i] = SQE(WRITE, fd, 16384 * (i + 5), buf + 8192 * i, 8192,
			      .flags = i & 1 ? IOSQE_ASYNC : 0);
	success(s, "eight", -!!ring_submit(&r, sqes, 8, res));
	for (i = 0; i < 8; i++)
		note(s, "%d: %d\n", i, res[i]);
	sqes[0] = SQE(WRITE, fd, 4096, buf, 4096, .flags = IOSQE_IO_LINK);
	sqes[1] = SQE(FSYNC, fd, 0, NULL, 0, .flags = IOSQE_IO_LINK);
	sqes[2] = SQE(READ, fd, 4096, buf, 4096);
	success(s, "linked", -!!ring_submit(&r, sqes, 3, res));
	note(s, "%d %d %d\n", res[0], res[1], res[2]);
	success(s, "register buffers", syscall(__NR_io_uring_register, r.fd,
					       IORING_REGISTER_BUFFERS, iov, 2));
	success(s, "register files", syscall(__NR_io_uring_register, r.fd,
					     IORING_REGISTER_FILES, &fd, 1));
	close(fd);
	ring_note(s, &r, "fixed read", SQE(READ_FIXED, 0, 0, buf, 4096,
					   .flags = IOSQE_FIXED_FILE));
	ring_note(s, &r, "fixed write", SQE(WRITE_FIXED, 0, 40960, buf + 4096, 8192,
					    .flags = IOSQE_FIXED_FILE, .buf_index = 1));
	ring_note(s, &r, "datasync", SQE(FSYNC, 0, 0, NULL, 0, .flags = IOSQE_FIXED_FILE,
					 .fsync_flags = IORING_FSYNC_DATASYNC));
	close(r.fd);
	free(buf);
	contents(s, "f");
}

static void uring_buffered(struct side *s)
{
	uring_requests(s, 0);
}

static void uring_direct(struct side *s)
{
	uring_requests(s, O_DIRECT);
}

static void uring_other_calls(struct side *s)
{
	struct statx stx = {};
	struct ring r;
	int fd;

	if (!ring_open(&r)) {
		note(s, "no ring\n");
		return;
	}
	close(file_make(s, "f", SIZE, 1));
	fd = ring_do(&r, &SQE(OPENAT, s->dir, 0, "f", 0, .open_flags = O_RDWR));
	note(s, "open %d\n", fd < 0 ? fd : 0);
	ring_note(s, &r, "allocate", SQE(FALLOCATE, fd, SIZE, 20000UL, 0));
	ring_note(s, &r, "punch", SQE(FALLOCATE, fd, 4096, 8192UL, 3));
	ring_note(s, &r, "advice", SQE(FADVISE, fd, 0, NULL, 0,
				       .fadvise_advice = POSIX_FADV_DONTNEED));
	ring_note(s, &r, "sync range", SQE(SYNC_FILE_RANGE, fd, 0, NULL, 4096,
					   .sync_range_flags = SYNC_FILE_RANGE_WRITE));
	ring_note(s, &r, "statx", SQE(STATX, s->dir, (unsigned long)&stx, "f", STATX_SIZE));
	note(s, "%lld\n", (long long)stx.stx_size);
	ring_note(s, &r, "mkdir", SQE(MKDIRAT, s->dir, 0, "d", 0755));
	ring_note(s, &r, "rename", SQE(RENAMEAT, s->dir, (unsigned long)"d/g", "f", s->dir));
	ring_note(s, &r, "unlink", SQE(UNLINKAT, s->dir, 0, "f", 0));
	ring_note(s, &r, "unlink", SQE(UNLINKAT, s->dir, 0, "d/g", 0));
	ring_note(s, &r, "close", SQE(CLOSE, fd, 0, NULL, 0));
	close(r.fd);
}

/* Whoever may write, whichever way, takes suid and capabilities away. */

static void become_nobody(void)
{
	if (setgid(12345) || setuid(65534))
		_exit(KSFT_FAIL);
}

static void write_by_aio(int fd, char *buf)
{
	struct iocb cb = { .aio_fildes = fd, .aio_lio_opcode = IOCB_CMD_PWRITE,
			   .aio_buf = (unsigned long)buf, .aio_nbytes = 4096 };
	struct iocb *list = &cb;
	struct io_event event;
	aio_context_t ctx = 0;

	if (syscall(__NR_io_setup, 1, &ctx) || syscall(__NR_io_submit, ctx, 1, &list) != 1 ||
	    syscall(__NR_io_getevents, ctx, 1, 1, &event, NULL) != 1 || event.res != 4096)
		_exit(1);
}

static void write_by_uring(int fd, char *buf)
{
	struct ring r;

	if (!ring_open(&r) || ring_do(&r, &SQE(WRITE, fd, 0, buf, 4096)) != 4096)
		_exit(1);
}

static void write_by_splice(int fd, char *buf)
{
	struct iovec iov = { buf, 4096 };
	int p[2];

	if (pipe(p) || vmsplice(p[1], &iov, 1, 0) != 4096 ||
	    splice(p[0], NULL, fd, NULL, 4096, 0) != 4096)
		_exit(1);
}

static void write_by_fallocate(int fd, char *buf)
{
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 4096))
		_exit(1);
}

static void write_plainly(int fd, char *buf)
{
	if (pwrite(fd, buf, 4096, 0) != 4096)
		_exit(1);
}

static void privileges_go(struct side *s)
{
	static void (* const ways[])(int fd, char *buf) = {
		write_plainly, write_by_aio, write_by_uring, write_by_splice,
		write_by_fallocate,
	};
	char *buf = aligned(4096);
	struct stat st;
	unsigned int i;
	int fd, status = -1;

	for (i = 0; i < 2 * ARRAY_SIZE(ways); i++) {
		close(file_make(s, "f", 8192, 1));
		/* All may write, and the group may execute or not. */
		fchmodat(s->dir, "f", i % 2 ? 06777 : 06767, 0);
		if (!fork()) {
			fd = openat(s->dir, "f", O_RDWR | O_DIRECT);
			if (fd < 0)
				fd = openat(s->dir, "f", O_RDWR);
			become_nobody();
			ways[i / 2](fd, buf);
			_exit(0);
		}
		wait(&status);
		fstatat(s->dir, "f", &st, 0);
		note(s, "%d: exit %d mode %o\n", i, WEXITSTATUS(status), st.st_mode);
		unlinkat(s->dir, "f", 0);
	}
	free(buf);
}

PARITY_TEST(aio_buffered)
PARITY_TEST(aio_direct)
PARITY_TEST(uring_buffered)
PARITY_TEST(uring_direct)
PARITY_TEST(uring_other_calls)
PARITY_TEST(privileges_go)

/* Refused, as offloadfs(5) says: there is nothing here that could be polled. */
FS_TEST(polled_ring)
{
	char *buf = aligned(4096);
	struct ring r;
	int fd;

	close(file_make(&self->s, "f", 65536, 1));
	fd = openat(self->s.dir, "f", O_RDWR | O_DIRECT);
	if (fd < 0)
		SKIP(return, "%s has no direct I/O", lower_types[variant->lower].name);
	if (!ring_open_as(&r, IORING_SETUP_IOPOLL))
		SKIP(return, "io_uring_setup: %s", strerror(errno));
	EXPECT_EQ(-EOPNOTSUPP, ring_do(&r, &SQE(READ, fd, 0, buf, 4096)));
	EXPECT_EQ(-EOPNOTSUPP, ring_do(&r, &SQE(WRITE, fd, 0, buf, 4096)));
	close(r.fd);
	free(buf);
}

TEST_HARNESS_MAIN
