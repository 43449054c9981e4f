// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everyday use of an offloadfs mount: names, attributes, xattrs, ACLs, reading
 * and writing in every way, mappings, locks, holes. All gives what it gives on
 * the bare lower file system, and upper and lower always show the same.
 */
#include "parity.h"
#include <dirent.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#define SIZE	100000

FIXTURE_VARIANT_ADD(fs, tmpfs) { .lower = TMPFS };
FIXTURE_VARIANT_ADD(fs, ext4) { .lower = EXT4 };
FIXTURE_VARIANT_ADD(fs, xfs) { .lower = XFS };

static __attribute__((constructor)) void begin(void)
{
	parity_begin("min=0", 1 << TMPFS | 1 << EXT4 | 1 << XFS);
}

/* Type, mode, owner, links and size of a name. */
static void show(struct side *s, const char *name)
{
	struct stat st;

	if (fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW)) {
		note(s, "%s: %s\n", name, strerrorname_np(errno));
		return;
	}
	note(s, "%s: mode %o owner %d:%d links %d size %lld rdev %llx\n", name, st.st_mode,
	     st.st_uid, st.st_gid, (int)st.st_nlink,
	     S_ISDIR(st.st_mode) ? 0LL : (long long)st.st_size,
	     (unsigned long long)st.st_rdev);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char * const *)a, *(char * const *)b);
}

/* The names of a directory, sorted, with their types. */
static void list(struct side *s, const char *name)
{
	char *names[64];
	int n = 0, i, fd = openat(s->dir, name, O_RDONLY | O_DIRECTORY);
	DIR *dir = fdopendir(fd);
	struct dirent *d;

	while (dir && (d = readdir(dir)) && n < 64)
		if (asprintf(&names[n], "%s(%d)", d->d_name, d->d_type) > 0)
			n++;
	qsort(names, n, sizeof(*names), by_name);
	for (i = 0; i < n; i++) {
		note(s, "%s ", names[i]);
		free(names[i]);
	}
	note(s, "\n");
	if (dir)
		closedir(dir);
}

static void creating(struct side *s)
{
	umask(027);
	success(s, "creat", openat(s->dir, "f", O_CREAT | O_WRONLY, 0666));
	success(s, "again", openat(s->dir, "f", O_CREAT | O_EXCL, 0666));
	success(s, "missing", openat(s->dir, "none", O_RDONLY));
	success(s, "mkdir", mkdirat(s->dir, "d", 0777));
	success(s, "again", mkdirat(s->dir, "d", 0777));
	success(s, "symlink", symlinkat("f", s->dir, "l"));
	success(s, "dangling", symlinkat("nowhere", s->dir, "l2"));
	success(s, "fifo", mknodat(s->dir, "p", S_IFIFO | 0666, 0));
	success(s, "device", mknodat(s->dir, "c", S_IFCHR | 0666, makedev(1, 3)));
	success(s, "socket", mknodat(s->dir, "s", S_IFSOCK | 0666, 0));
	success(s, "link", linkat(s->dir, "f", s->dir, "f2", 0));
	success(s, "link of dir", linkat(s->dir, "d", s->dir, "d2", 0));
	success(s, "in a file", openat(s->dir, "f/x", O_CREAT | O_WRONLY, 0666));
	success(s, "through a link", openat(s->dir, "l", O_RDONLY));
	success(s, "dangling", openat(s->dir, "l2", O_RDONLY));
	success(s, "nofollow", openat(s->dir, "l", O_RDONLY | O_NOFOLLOW));
	success(s, "directory", openat(s->dir, "f", O_RDONLY | O_DIRECTORY));
	success(s, "write a directory", openat(s->dir, "d", O_WRONLY));
	umask(022);
	show(s, "f");
	show(s, "f2");
	show(s, "d");
	show(s, "l");
	show(s, "p");
	show(s, "c");
	show(s, "s");
	list(s, ".");
}

static void long_names(struct side *s)
{
	char name[300], target[5000];
	ssize_t n;

	memset(name, 'n', sizeof(name));
	name[255] = 0;
	success(s, "255", openat(s->dir, name, O_CREAT | O_WRONLY, 0644));
	show(s, name);
	name[255] = 'n';
	name[256] = 0;
	success(s, "256", openat(s->dir, name, O_CREAT | O_WRONLY, 0644));
	success(s, "look up", openat(s->dir, name, O_RDONLY));
	success(s, "utf-8", openat(s->dir, "h\xc3\xa9", O_CREAT | O_WRONLY, 0644));
	success(s, "bytes", openat(s->dir, "\xff\xfe\n*", O_CREAT | O_WRONLY, 0644));
	list(s, ".");
	memset(target, 't', 1000);
	target[1000] = 0;
	success(s, "symlink", symlinkat(target, s->dir, "l"));
	n = readlinkat(s->dir, "l", target, sizeof(target));
	result(s, "readlink", n);
	result(s, "readlink short", readlinkat(s->dir, "l", target, 10));
}

static void removing(struct side *s)
{
	mkdirat(s->dir, "d", 0755);
	mkdirat(s->dir, "d/e", 0755);
	close(file_make(s, "f", 10, 1));
	linkat(s->dir, "f", s->dir, "g", 0);
	success(s, "not empty", unlinkat(s->dir, "d", AT_REMOVEDIR));
	success(s, "rmdir file", unlinkat(s->dir, "f", AT_REMOVEDIR));
	success(s, "unlink dir", unlinkat(s->dir, "d", 0));
	success(s, "rmdir", unlinkat(s->dir, "d/e", AT_REMOVEDIR));
	success(s, "rmdir", unlinkat(s->dir, "d", AT_REMOVEDIR));
	success(s, "missing", unlinkat(s->dir, "d", AT_REMOVEDIR));
	success(s, "unlink", unlinkat(s->dir, "f", 0));
	show(s, "g");
	success(s, "unlink", unlinkat(s->dir, "g", 0));
	list(s, ".");
}

static void renaming(struct side *s)
{
	int i, d;

	for (i = 0; i < 5; i++) {
		char name[2] = { 'a' + i, 0 };

		close(file_make(s, name, 10 * i, i));
	}
	mkdirat(s->dir, "d", 0755);
	mkdirat(s->dir, "full", 0755);
	mkdirat(s->dir, "full/x", 0755);
	d = openat(s->dir, "d", O_RDONLY);
	success(s, "new name", renameat(s->dir, "a", s->dir, "n"));
	success(s, "over", renameat(s->dir, "n", s->dir, "b"));
	success(s, "to directory", renameat(s->dir, "b", d, "b"));
	success(s, "missing", renameat(s->dir, "zzz", d, "b"));
	success(s, "file over dir", renameat(s->dir, "c", s->dir, "d"));
	success(s, "dir over file", renameat(s->dir, "d", s->dir, "c"));
	success(s, "dir over full", renameat(s->dir, "d", s->dir, "full"));
	success(s, "into itself", renameat(s->dir, "full", s->dir, "full/x/y"));
	success(s, "noreplace", renameat2(s->dir, "c", s->dir, "e", RENAME_NOREPLACE));
	success(s, "noreplace", renameat2(s->dir, "c", s->dir, "f", RENAME_NOREPLACE));
	success(s, "exchange", renameat2(s->dir, "f", s->dir, "full", RENAME_EXCHANGE));
	success(s, "exchange none", renameat2(s->dir, "f", s->dir, "none", RENAME_EXCHANGE));
	success(s, "whiteout", renameat2(s->dir, "e", s->dir, "w", RENAME_WHITEOUT));
	success(s, "both", renameat2(s->dir, "e", s->dir, "w",
				     RENAME_EXCHANGE | RENAME_NOREPLACE));
	show(s, "e");
	show(s, "f");
	show(s, "full");
	list(s, ".");
	list(s, "d");
	list(s, "f");
	close(d);
}

static void attributes(struct side *s)
{
	const struct timespec t[2] = { { 1000, 123456789 }, { 2000, 987654321 } };
	int fd = file_make(s, "f", SIZE, 1);
	struct stat st;

	success(s, "chmod", fchmodat(s->dir, "f", 06755, 0));
	success(s, "chown", fchownat(s->dir, "f", 12, 34, 0));
	show(s, "f");
	success(s, "utimens", utimensat(s->dir, "f", t, 0));
	fstat(fd, &st);
	note(s, "atime %lld.%09ld mtime %lld.%09ld\n", (long long)st.st_atime,
	     st.st_atim.tv_nsec, (long long)st.st_mtime, st.st_mtim.tv_nsec);
	success(s, "truncate", ftruncate(fd, 10));
	success(s, "too far", ftruncate(fd, INT64_MAX));
	success(s, "extend", ftruncate(fd, 20000));
	fstat(fd, &st);
	note(s, "mtime moved %d\n", st.st_mtime > 2000);
	contents(s, "f");
	note(s, "blksize %ld\n", (long)st.st_blksize);
	success(s, "O_TRUNC", openat(s->dir, "f", O_WRONLY | O_TRUNC));
	contents(s, "f");
}

static void xattrs(struct side *s)
{
	char list[1000] = "", value[100] = "";
	int fd = file_make(s, "f", 10, 1);

	success(s, "set", fsetxattr(fd, "user.one", "1", 1, 0));
	success(s, "trusted", fsetxattr(fd, "trusted.two", "22", 2, 0));
	success(s, "create", fsetxattr(fd, "user.one", "x", 1, XATTR_CREATE));
	success(s, "replace", fsetxattr(fd, "user.none", "x", 1, XATTR_REPLACE));
	success(s, "replace", fsetxattr(fd, "user.one", "1111", 4, XATTR_REPLACE));
	result(s, "get", fgetxattr(fd, "user.one", value, sizeof(value)));
	note(s, "%s\n", value);
	result(s, "size", fgetxattr(fd, "user.one", NULL, 0));
	result(s, "short", fgetxattr(fd, "user.one", value, 2));
	result(s, "none", fgetxattr(fd, "user.none", value, sizeof(value)));
	result(s, "bad", fgetxattr(fd, "nosuch.space", value, sizeof(value)));
	result(s, "list", flistxattr(fd, list, sizeof(list)) > 0);
	note(s, "%s\n", memmem(list, sizeof(list), "user.one", 8) ? "listed" : "lost");
	note(s, "%s\n", memmem(list, sizeof(list), "trusted.two", 11) ? "listed" : "lost");
	success(s, "remove", fremovexattr(fd, "user.one"));
	success(s, "remove", fremovexattr(fd, "user.one"));
	symlinkat("f", s->dir, "l");
	success(s, "of a symlink", fsetxattr(openat(s->dir, "l", O_PATH | O_NOFOLLOW),
					     "user.x", "1", 1, 0));
}

/* u::rw-, u:65534:r--, g::---, m::r--, o::--- in the kernel's format */
static const unsigned char acl[] = {
	2, 0, 0, 0,
	1, 0, 6, 0, 255, 255, 255, 255,
	2, 0, 4, 0, 254, 255, 0, 0,
	4, 0, 0, 0, 255, 255, 255, 255,
	16, 0, 4, 0, 255, 255, 255, 255,
	32, 0, 0, 0, 255, 255, 255, 255,
};

/* What user 65534 of group 12345 gets. */
static int open_as_nobody(struct side *s, const char *name, int flags)
{
	int status = -1;

	if (!fork()) {
		if (setgid(12345) || setuid(65534))
			_exit(255);
		_exit(openat(s->dir, name, flags) < 0 ? errno : 0);
	}
	wait(&status);
	return WEXITSTATUS(status);
}

static void permissions(struct side *s)
{
	char value[200];
	int fd = file_make(s, "f", 10, 1);

	fchmod(fd, 0600);
	note(s, "closed: %d\n", open_as_nobody(s, "f", O_RDONLY));
	fchmod(fd, 0644);
	note(s, "read: %d\n", open_as_nobody(s, "f", O_RDONLY));
	note(s, "write: %d\n", open_as_nobody(s, "f", O_RDWR));
	note(s, "create: %d\n", open_as_nobody(s, "new", O_RDWR | O_CREAT));
	fchmod(fd, 0640);
	success(s, "acl", fsetxattr(fd, "system.posix_acl_access", acl, sizeof(acl), 0));
	result(s, "acl", fgetxattr(fd, "system.posix_acl_access", value, sizeof(value)));
	note(s, "by acl, read: %d\n", open_as_nobody(s, "f", O_RDONLY));
	note(s, "by acl, write: %d\n", open_as_nobody(s, "f", O_RDWR));
	show(s, "f");
	mkdirat(s->dir, "d", 0755);
	fd = openat(s->dir, "d", O_RDONLY);
	success(s, "default", fsetxattr(fd, "system.posix_acl_default", acl, sizeof(acl), 0));
	close(openat(s->dir, "d/inherits", O_CREAT | O_WRONLY, 0666));
	show(s, "d/inherits");
	note(s, "inherited: %d\n", open_as_nobody(s, "d/inherits", O_RDONLY));
	fchmod(fd, 01777);
	close(openat(s->dir, "d/root's", O_CREAT | O_WRONLY, 0666));
	note(s, "create in sticky: %d\n", open_as_nobody(s, "d/mine", O_CREAT | O_RDWR));
	show(s, "d/mine");
	fchmod(fd, 02777);
	fchown(fd, 0, 77);
	fchmod(fd, 02777);
	note(s, "create in setgid: %d\n", open_as_nobody(s, "d/grp", O_CREAT | O_RDWR));
	show(s, "d/grp");
}

static void tmpfile_and_unlinked(struct side *s)
{
	int fd = openat(s->dir, ".", O_TMPFILE | O_RDWR, 0640), excl;
	char path[64];

	success(s, "O_TMPFILE", fd);
	fd_write(fd, 0, SIZE, 1);
	list(s, ".");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	success(s, "link", linkat(AT_FDCWD, path, s->dir, "named", AT_SYMLINK_FOLLOW));
	show(s, "named");
	contents(s, "named");
	success(s, "unlink", unlinkat(s->dir, "named", 0));
	note(s, "still %d\n", fd_holds(fd, 0, SIZE, 1, 0));
	fd_write(fd, SIZE, SIZE, 1);
	note(s, "grown %d\n", fd_holds(fd, 0, 2 * SIZE, 1, 0));
	excl = openat(s->dir, ".", O_TMPFILE | O_RDWR | O_EXCL, 0640);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", excl);
	success(s, "link", linkat(AT_FDCWD, path, s->dir, "excl", AT_SYMLINK_FOLLOW));
	list(s, ".");
}

static void reading_and_writing(struct side *s)
{
	struct iovec iov[2];
	char a[100], b[5000];
	int fd = file_make(s, "f", SIZE, 1), app;

	iov[0] = (struct iovec) { a, sizeof(a) };
	iov[1] = (struct iovec) { b, sizeof(b) };
	result(s, "readv", readv(fd, iov, 2));
	result(s, "preadv", preadv(fd, iov, 2, SIZE - 50));
	result(s, "past the end", pread(fd, a, 10, SIZE + 5));
	result(s, "nowait", preadv2(fd, iov, 2, 0, RWF_NOWAIT) > 0);
	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	result(s, "writev", writev(fd, iov, 2));
	result(s, "pwritev", pwritev(fd, iov, 2, SIZE + 1000));
	result(s, "append", pwritev2(fd, iov, 1, 0, RWF_APPEND));
	result(s, "dsync", pwritev2(fd, iov, 1, 7, RWF_DSYNC));
	app = openat(s->dir, "f", O_WRONLY | O_APPEND | O_SYNC);
	result(s, "O_APPEND", write(app, a, 10));
	result(s, "position", lseek(app, 0, SEEK_CUR));
	success(s, "fsync", fsync(fd));
	success(s, "fdatasync", fdatasync(app));
	success(s, "sync range", sync_file_range(fd, 0, 4096, SYNC_FILE_RANGE_WRITE));
	success(s, "fadvise", -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	success(s, "readahead", readahead(fd, 0, 4096));
	success(s, "syncfs", syncfs(fd));
	contents(s, "f");
	result(s, "read wronly", read(app, a, 1));
	result(s, "negative", pwrite(fd, a, 1, -1));
}

static void direct_io(struct side *s)
{
	void *buf;
	int fd;

	close(file_make(s, "f", 65536, 1));
	fd = file_open(s, "f", O_RDWR | O_DIRECT);
	if (fd < 0 || posix_memalign(&buf, 4096, 65536))
		return;
	result(s, "read", pread(fd, buf, 16384, 4096));
	result(s, "write", pwrite(fd, buf, 16384, 0));
	result(s, "unaligned", pread(fd, buf, 100, 1));
	result(s, "beyond", pwrite(fd, buf, 4096, 131072));
	contents(s, "f");
	success(s, "F_SETFL", fcntl(fd, F_SETFL, 0));
	result(s, "buffered", pread(fd, buf, 100, 1));
	free(buf);
}

static void aio(struct side *s)
{
	aio_context_t ctx = 0;
	int fd = file_make(s, "f", SIZE, 1);
	static char buf[8192];
	struct iocb cb[2] = {
		{ .aio_fildes = fd, .aio_lio_opcode = IOCB_CMD_PREAD,
		  .aio_buf = (unsigned long)buf, .aio_nbytes = sizeof(buf), .aio_offset = 100 },
		{ .aio_fildes = fd, .aio_lio_opcode = IOCB_CMD_PWRITE,
		  .aio_buf = (unsigned long)buf, .aio_nbytes = 4096, .aio_offset = SIZE },
	};
	struct iocb *one;
	struct io_event event;
	int i;

	success(s, "setup", syscall(__NR_io_setup, 8, &ctx));
	for (i = 0; i < 2; i++) {
		one = &cb[i];
		result(s, "submit", syscall(__NR_io_submit, ctx, 1, &one));
		result(s, "getevents", syscall(__NR_io_getevents, ctx, 1, 1, &event, NULL));
		note(s, "res %lld\n", (long long)event.res);
	}
	syscall(__NR_io_destroy, ctx);
	contents(s, "f");
}

static void mappings(struct side *s)
{
	int fd = file_make(s, "f", SIZE, 1), status = -1;
	char *shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *private = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	char buf[10] = "", *map;

	note(s, "mapped %d %d\n", shared != MAP_FAILED, private != MAP_FAILED);
	memcpy(shared + 5000, "shared", 6);
	memcpy(private + 6000, "private", 7);
	result(s, "read", pread(fd, buf, 6, 5000));
	note(s, "%s\n", buf);
	result(s, "write", pwrite(fd, "written", 7, 70000));
	note(s, "%.7s\n", shared + 70000);
	success(s, "msync", msync(shared, SIZE, MS_SYNC));
	contents(s, "f");
	map = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	success(s, "exec of a file", map == MAP_FAILED ? -1 : 0);
	success(s, "cut", ftruncate(fd, 4096));
	if (!fork()) {
		signal(SIGBUS, SIG_DFL);
		_exit(shared[8192]);
	}
	wait(&status);
	note(s, "signal %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	munmap(shared, SIZE);
	munmap(private, SIZE);
	fd = file_open(s, "f", O_RDONLY);
	success(s, "read-only", mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ?
				-1 : 0);
}

static void holes(struct side *s)
{
	int fd = file_make(s, "f", 0, 0);

	fd_write(fd, 1 << 20, 65536, 1);
	success(s, "extend", ftruncate(fd, 3 << 20));
	result(s, "data", lseek(fd, 0, SEEK_DATA));
	result(s, "hole", lseek(fd, 1 << 20, SEEK_HOLE) >= (1 << 20) + 65536);
	result(s, "no data", lseek(fd, 2 << 20, SEEK_DATA));
	result(s, "past the end", lseek(fd, 4 << 20, SEEK_HOLE));
	success(s, "punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      (1 << 20) + 4096, 8192));
	success(s, "keep size", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4 << 20));
	success(s, "zero", fallocate(fd, FALLOC_FL_ZERO_RANGE, (1 << 20) + 50000, 100));
	success(s, "collapse", fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 65536));
	success(s, "insert", fallocate(fd, FALLOC_FL_INSERT_RANGE, 65536, 65536));
	success(s, "allocate", fallocate(fd, 0, 3 << 20, 65536));
	success(s, "bad", fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096));
	success(s, "negative", fallocate(fd, 0, -1, 4096));
	contents(s, "f");
	show(s, "f");
}

static void fs_statistics(struct side *s)
{
	struct statfs st;

	result(s, "statfs", fstatfs(s->dir, &st));
	note(s, "bsize %ld blocks %llu files %llu namelen %ld frsize %ld\n",
	     (long)st.f_bsize, (unsigned long long)st.f_blocks,
	     (unsigned long long)st.f_files, (long)st.f_namelen, (long)st.f_frsize);
}

static void inode_flags(struct side *s)
{
	int fd = file_make(s, "f", 10, 1), flags = 0;

	success(s, "get", ioctl(fd, FS_IOC_GETFLAGS, &flags));
	note(s, "append %d immutable %d\n", !!(flags & FS_APPEND_FL),
	     !!(flags & FS_IMMUTABLE_FL));
	flags |= FS_IMMUTABLE_FL;
	if (success(s, "set", ioctl(fd, FS_IOC_SETFLAGS, &flags)) == 0) {
		success(s, "write", openat(s->dir, "f", O_WRONLY));
		success(s, "unlink", unlinkat(s->dir, "f", 0));
		success(s, "chmod", fchmodat(s->dir, "f", 0600, 0));
		flags &= ~FS_IMMUTABLE_FL;
		success(s, "clear", ioctl(fd, FS_IOC_SETFLAGS, &flags));
	}
	success(s, "nonsense", ioctl(fd, 0x12345678, &flags));
	success(s, "tty", ioctl(fd, 0x5401, &flags));
}

static void record_locks(struct side *s)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = 10, .l_len = 10 };
	int a = file_make(s, "f", SIZE, 1), b = file_open(s, "f", O_RDWR), status = -1;

	success(s, "lock", fcntl(a, F_OFD_SETLK, &lock));
	success(s, "again", fcntl(b, F_OFD_SETLK, &lock));
	lock.l_start = 20;
	success(s, "beside", fcntl(b, F_OFD_SETLK, &lock));
	lock.l_start = 0;
	lock.l_type = F_RDLCK;
	success(s, "ask", fcntl(b, F_OFD_GETLK, &lock));
	note(s, "type %d start %lld len %lld\n", lock.l_type, (long long)lock.l_start,
	     (long long)lock.l_len);
	close(b);
	success(s, "flock", flock(a, LOCK_EX));
	b = file_open(s, "f", O_RDWR);
	success(s, "flock", flock(b, LOCK_SH | LOCK_NB));
	flock(a, LOCK_UN);
	success(s, "flock", flock(b, LOCK_SH | LOCK_NB));
	lock = (struct flock) { .l_type = F_WRLCK, .l_start = 100, .l_len = 10 };
	success(s, "posix", fcntl(a, F_SETLK, &lock));
	if (!fork())
		_exit(fcntl(b, F_SETLK, &lock) ? errno : 0);
	wait(&status);
	note(s, "other process: %d\n", WEXITSTATUS(status));
	close(b);	/* drops the process's locks */
	if (!fork())
		_exit(fcntl(a, F_SETLK, &lock) ? errno : 0);
	wait(&status);
	note(s, "after close: %d\n", WEXITSTATUS(status));
}

static void running_a_program(struct side *s)
{
	char path[512];
	int status = -1;

	run("cp /bin/true %s/prog", s->path);
	snprintf(path, sizeof(path), "%s/prog", s->path);
	if (!fork()) {
		execl(path, path, NULL);
		_exit(126);
	}
	wait(&status);
	note(s, "exec %d\n", status);
	fchmodat(s->dir, "prog", 0644, 0);
	if (!fork()) {
		execl(path, path, NULL);
		_exit(errno);
	}
	wait(&status);
	note(s, "exec %d\n", WEXITSTATUS(status));
}

static void polling(struct side *s)
{
	struct pollfd p = { .fd = file_make(s, "f", 10, 1), .events = POLLIN | POLLOUT };

	result(s, "poll", poll(&p, 1, 0));
	note(s, "%x\n", p.revents);
}

static void by_handle(struct side *s)
{
	char buf[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	struct file_handle *handle = (void *)buf;
	int id, fd;

	close(file_make(s, "f", 100, 1));
	handle->handle_bytes = MAX_HANDLE_SZ;
	if (success(s, "name_to_handle", name_to_handle_at(s->dir, "f", handle, &id, 0)))
		return;
	fd = open_by_handle_at(s->dir, handle, O_RDONLY);
	success(s, "open_by_handle", fd);
	note(s, "contents %d\n", fd_holds(fd, 0, 100, 1, 0));
	unlinkat(s->dir, "f", 0);
	close(fd);
	success(s, "stale", open_by_handle_at(s->dir, handle, O_RDONLY));
}

PARITY_TEST(creating)
PARITY_TEST(long_names)
PARITY_TEST(removing)
PARITY_TEST(renaming)
PARITY_TEST(attributes)
PARITY_TEST(xattrs)
PARITY_TEST(permissions)
PARITY_TEST(tmpfile_and_unlinked)
PARITY_TEST(reading_and_writing)
PARITY_TEST(direct_io)
PARITY_TEST(aio)
PARITY_TEST(mappings)
PARITY_TEST(holes)
PARITY_TEST(fs_statistics)
PARITY_TEST(inode_flags)
PARITY_TEST(record_locks)
PARITY_TEST(running_a_program)
PARITY_TEST(polling)
PARITY_TEST(by_handle)

/* Upper and lower at once */

static int below(struct side *s, const char *name, int flags)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", s->below, name);
	return open(path, flags, 0644);
}

FS_TEST(same_identity)
{
	struct stat up, low;
	int fd, dir;

	close(file_make(&self->s, "f", 10, 1));
	fd = below(&self->s, "f", O_RDONLY);
	dir = below(&self->s, ".", O_RDONLY);
	ASSERT_EQ(0, fstatat(self->s.dir, "f", &up, 0));
	ASSERT_EQ(0, fstat(fd, &low));
	EXPECT_EQ(low.st_dev, up.st_dev);
	EXPECT_EQ(low.st_ino, up.st_ino);
	ASSERT_EQ(0, fstat(self->s.dir, &up));
	ASSERT_EQ(0, fstat(dir, &low));
	EXPECT_EQ(low.st_dev, up.st_dev);
	EXPECT_EQ(low.st_ino, up.st_ino);
	EXPECT_EQ(low.st_nlink, up.st_nlink);
}

FS_TEST(same_birth_and_attributes)
{
	struct statx up, low;
	int fd;

	close(file_make(&self->s, "f", 10, 1));
	fd = below(&self->s, "f", O_RDONLY);
	ASSERT_EQ(0, syscall(__NR_statx, self->s.dir, "f", 0, STATX_ALL, &up));
	ASSERT_EQ(0, syscall(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_ALL, &low));
	EXPECT_EQ(low.stx_mask, up.stx_mask);
	EXPECT_EQ(low.stx_attributes & ~STATX_ATTR_MOUNT_ROOT,
		  up.stx_attributes & ~STATX_ATTR_MOUNT_ROOT);
	EXPECT_EQ(low.stx_btime.tv_sec, up.stx_btime.tv_sec);
	EXPECT_EQ(low.stx_btime.tv_nsec, up.stx_btime.tv_nsec);
}

FS_TEST(changes_below_show_at_once)
{
	char path[1024], buf[10] = "";
	struct stat st;
	int up, low;

	up = file_make(&self->s, "f", SIZE, 1);
	low = below(&self->s, "f", O_RDWR);
	EXPECT_EQ(3, pwrite(low, "new", 3, 5));
	EXPECT_EQ(3, pread(up, buf, 3, 5));
	EXPECT_STREQ("new", buf);
	EXPECT_EQ(0, ftruncate(low, 7));
	EXPECT_EQ(0, fstat(up, &st));
	EXPECT_EQ(7, st.st_size);
	EXPECT_EQ(7, lseek(up, 0, SEEK_END));
	fd_write(low, 0, 2 * SIZE, 2);
	EXPECT_TRUE(fd_holds(up, 0, 2 * SIZE, 2, 0));
	EXPECT_EQ(0, fchmod(low, 0600));
	EXPECT_EQ(0, fstat(up, &st));
	EXPECT_TRUE((st.st_mode & 07777) == 0600);
	/* Names that were looked up before. */
	EXPECT_EQ(-1, fstatat(self->s.dir, "g", &st, 0));
	EXPECT_LE(0, below(&self->s, "g", O_CREAT | O_WRONLY));
	EXPECT_EQ(0, fstatat(self->s.dir, "g", &st, 0));
	snprintf(path, sizeof(path), "%s/g", self->s.below);
	EXPECT_EQ(0, unlink(path));
	EXPECT_EQ(-1, fstatat(self->s.dir, "g", &st, 0));
	EXPECT_EQ(ENOENT, errno);
	snprintf(path, sizeof(path), "mv %s/f %s/h", self->s.below, self->s.below);
	EXPECT_EQ(0, run("%s", path));
	EXPECT_EQ(-1, fstatat(self->s.dir, "f", &st, 0));
	EXPECT_EQ(0, fstatat(self->s.dir, "h", &st, 0));
	EXPECT_EQ(2 * SIZE, st.st_size);
	/* Another file by the same name. */
	snprintf(path, sizeof(path), "echo other >%s/f", self->s.below);
	EXPECT_EQ(0, run("%s", path));
	close(up);
	up = openat(self->s.dir, "f", O_RDONLY);
	EXPECT_EQ(6, read(up, buf, 10));
}

/*
 * A copy must see a size that has changed below since the file was opened.
 * The VFS cuts copy_file_range(2) at the size that it knows, so look first.
 */
FS_TEST(copies_see_changes_below)
{
	struct stat st;
	int in, out, low;

	in = file_make(&self->s, "src", 0, 0);
	out = file_make(&self->s, "dst", 0, 0);
	low = below(&self->s, "src", O_RDWR);
	fd_write(low, 0, SIZE, 1);
	EXPECT_EQ(SIZE, sendfile(out, in, NULL, SIZE));
	EXPECT_TRUE(fd_holds(out, 0, SIZE, 1, 0));
	fd_write(low, SIZE, SIZE, 1);
	EXPECT_EQ(0, fstat(in, &st));
	EXPECT_EQ(2 * SIZE, st.st_size);
	EXPECT_LE(SIZE - 4095, copy_file_range(in, NULL, out, NULL, SIZE, 0));
	EXPECT_TRUE(fd_holds(out, SIZE, SIZE - 4095, 1, SIZE));
}

FS_TEST(mappings_are_coherent)
{
	int up = file_make(&self->s, "f", SIZE, 1);
	int low = below(&self->s, "f", O_RDWR);
	char *a, *b;

	a = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, up, 0);
	b = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, low, 0);
	ASSERT_NE(MAP_FAILED, a);
	ASSERT_NE(MAP_FAILED, b);
	a[4000] = 'x';
	EXPECT_EQ('x', b[4000]);
	b[5000] = 'y';
	EXPECT_EQ('y', a[5000]);
	EXPECT_EQ(1, pwrite(up, "z", 1, 6000));
	EXPECT_EQ('z', b[6000]);
	munmap(a, SIZE);
	munmap(b, SIZE);
}

FS_TEST(locks_are_the_lower_ones)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = 10, .l_len = 10 };
	int up = file_make(&self->s, "f", SIZE, 1);
	int low = below(&self->s, "f", O_RDWR);

	EXPECT_EQ(0, fcntl(up, F_OFD_SETLK, &lock));
	EXPECT_EQ(-1, fcntl(low, F_OFD_SETLK, &lock));
	EXPECT_EQ(EAGAIN, errno);
	lock.l_type = F_UNLCK;
	EXPECT_EQ(0, fcntl(up, F_OFD_SETLK, &lock));
	lock.l_type = F_WRLCK;
	EXPECT_EQ(0, fcntl(low, F_OFD_SETLK, &lock));
	EXPECT_EQ(0, flock(low, LOCK_EX | LOCK_NB));
	EXPECT_EQ(-1, flock(up, LOCK_EX | LOCK_NB));
	close(low);
	EXPECT_EQ(0, flock(up, LOCK_EX | LOCK_NB));
}

FS_TEST(many_names)
{
	const int n = 5000;
	char *seen = calloc(1, n), name[32];
	int i, fd, count = 0;
	struct dirent *d;
	DIR *dir;

	if (variant->lower != XFS)
		SKIP(return, "once is enough");
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "name-%d", i);
		close(openat(self->s.dir, name, O_CREAT | O_WRONLY, 0644));
	}
	fd = openat(self->s.dir, ".", O_RDONLY);
	dir = fdopendir(fd);
	while ((d = readdir(dir))) {
		if (sscanf(d->d_name, "name-%d", &i) != 1)
			continue;
		EXPECT_EQ(0, seen[i]++);
		count++;
	}
	EXPECT_EQ(n, count);
	rewinddir(dir);
	for (i = 0; i < 1000; i++)
		d = readdir(dir);
	seekdir(dir, telldir(dir));
	ASSERT_NE(NULL, d);
	closedir(dir);
	free(seen);
}

TEST_HARNESS_MAIN
