// SPDX-License-Identifier: GPL-2.0-only
/*
 * calls - the system calls that a 32-bit program makes in another way.
 *
 * usage: calls DIR
 *
 * Makes files in DIR, and prints each call's result. Compiled for 32 bits it
 * uses both forms of the calls that have one for small files and another for
 * large ones.
 */
#undef _FILE_OFFSET_BITS
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FAR	(5LL << 30)

static long long say(const char *what, long long ret)
{
	if (ret < 0)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: %lld\n", what, ret);
	return ret;
}

static void say_ok(const char *what, int ret)
{
	say(what, ret < 0 ? ret : 0);
}

static int make(const char *name, int size)
{
	int fd = open64(name, O_RDWR | O_CREAT | O_TRUNC, 0644), i;

	for (i = 0; i < size; i += 10)
		if (write(fd, "0123456789", 10) != 10)
			err(1, "%s", name);
	return fd;
}

/* Files beyond 2 GiB, with and without O_LARGEFILE. */
static void large(void)
{
	char buf[10] = "";
	struct stat64 st64;
	struct stat st;
	int fd = make("large", 0), small;

	say("pwrite64", pwrite64(fd, "far", 3, FAR));
	say("pread64", pread64(fd, buf, 10, FAR));
	say("lseek64", lseek64(fd, 0, SEEK_END));
	say("lseek", lseek(fd, 0, SEEK_END));
	say_ok("fstat64", fstat64(fd, &st64));
	say("size", st64.st_size);
	say_ok("fstat", fstat(fd, &st));
	say_ok("stat", stat("large", &st));
	small = syscall(__NR_open, "large", O_RDWR);
	say_ok("open without O_LARGEFILE", small);
	say_ok("ftruncate64", ftruncate64(fd, FAR / 2));
	say_ok("truncate64", truncate64("large", FAR));
	say_ok("posix_fallocate64", fallocate64(fd, 0, FAR, 65536));
	say_ok("punch", fallocate64(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FAR, 4096));
	say("SEEK_DATA", lseek64(fd, 1, SEEK_DATA));
	close(fd);
	fd = make("small", 100);
	small = syscall(__NR_open, "small", O_RDWR);
	say("2 GiB without O_LARGEFILE", pwrite64(small, "x", 1, 0x7fffffff));
	say("less", pwrite64(small, "x", 1, 0x7ffffffe));
	say_ok("ftruncate", ftruncate(small, 0x7fffffff));
	say_ok("ftruncate64", ftruncate64(small, 0x80000000LL));
	close(fd);
	close(small);
}

static void copies(void)
{
	int in = make("src", 100000), out = make("dst", 0);
	off64_t far = 4096, to = 100;
	off_t near = 5000;

	say("sendfile", sendfile(out, in, &near, 50000));
	say("offset", near);
	say("sendfile64", sendfile64(out, in, &far, 200000));
	say("offset", far);
	say("position", lseek64(out, 0, SEEK_CUR));
	far = 10;
	say("copy_file_range", copy_file_range(in, &far, out, &to, 60000, 0));
	say("offsets", far + to);
	far = FAR;
	say("from far", sendfile64(out, in, &far, 10));
	lseek64(out, FAR, SEEK_SET);
	lseek64(in, 0, SEEK_SET);
	say("to far", sendfile64(out, in, NULL, 100000));
	say("position", lseek64(out, 0, SEEK_CUR));
	far = FAR + 10;
	to = 0;
	say("copy from far", copy_file_range(out, &far, in, &to, 20, 0));
	lseek64(out, 0, SEEK_SET);
	far = 0;
	say("splice", syscall(__NR_splice, in, &far, out, NULL, 10, 0));
	close(in);
	close(out);
}

static void ioctls(void)
{
	int fd = make("src", 65536), to = make("clone", 0), flags = 0, n = 0;
	struct file_clone_range range = { .src_fd = fd, .src_length = 4096 };
	struct { struct fiemap map; struct fiemap_extent extents[4]; } map = {
		.map = { .fm_length = FIEMAP_MAX_OFFSET, .fm_flags = FIEMAP_FLAG_SYNC,
			 .fm_extent_count = 4 },
	};
	struct fsxattr fsx = {};
	struct fstrim_range trim = { .len = 1 << 20 };
	char label[FSLABEL_MAX] = "";
	long version = 0;
	long long bytes = -1;

	say_ok("FICLONE", ioctl(to, FICLONE, fd));
	say_ok("FICLONERANGE", ioctl(to, FICLONERANGE, &range));
	say_ok("GETFLAGS", ioctl(fd, FS_IOC_GETFLAGS, &flags));
	say("flags", flags);
	flags |= FS_NODUMP_FL;
	say_ok("SETFLAGS", ioctl(fd, FS_IOC_SETFLAGS, &flags));
	flags = 0;
	say_ok("GETFLAGS", ioctl(fd, FS_IOC_GETFLAGS, &flags));
	say("flags", flags);
	say_ok("FSGETXATTR", ioctl(fd, FS_IOC_FSGETXATTR, &fsx));
	say("xflags", fsx.fsx_xflags);
	say_ok("FSSETXATTR", ioctl(fd, FS_IOC_FSSETXATTR, &fsx));
	say_ok("FIEMAP", ioctl(fd, FS_IOC_FIEMAP, &map));
	say("extents", map.map.fm_mapped_extents > 0);
	say_ok("GETVERSION", ioctl(fd, FS_IOC_GETVERSION, &version));
	say_ok("GETFSLABEL", ioctl(fd, FS_IOC_GETFSLABEL, label));
	say_ok("FITRIM", ioctl(fd, FITRIM, &trim));
	say_ok("FIGETBSZ", ioctl(fd, FIGETBSZ, &n));
	say("size", n);
	say_ok("FIONREAD", ioctl(fd, FIONREAD, &n));
	say("left", n);
	say_ok("FIOQSIZE", ioctl(fd, FIOQSIZE, &bytes));
	say_ok("nonsense", ioctl(fd, 0x12345678, &n));
	close(fd);
	close(to);
}

static void others(void)
{
	int fd = make("f", 100000);
	struct flock64 lock = { .l_type = F_WRLCK, .l_start = FAR, .l_len = 10 };
	struct iovec iov[2];
	char a[100], b[200];
	struct statfs64 fs;
	struct dirent64 *d;
	DIR *dir = opendir(".");
	int names = 0;
	char *map;

	iov[0] = (struct iovec) { a, 100 };
	iov[1] = (struct iovec) { b, 200 };
	say("readv", readv(fd, iov, 2));
	say("preadv64", preadv64(fd, iov, 2, 50));
	say("preadv2", preadv64v2(fd, iov, 2, 99990, RWF_HIPRI));
	say("pwritev64", pwritev64(fd, iov, 2, FAR));
	say("pwritev2", pwritev64v2(fd, iov, 2, -1, RWF_APPEND));
	errno = posix_fadvise64(fd, FAR, 4096, POSIX_FADV_DONTNEED);
	say_ok("fadvise64", errno ? -1 : 0);
	say_ok("readahead", readahead(fd, 0, 65536));
	say_ok("sync_file_range", sync_file_range(fd, 0, 65536, SYNC_FILE_RANGE_WRITE));
	say_ok("lock", fcntl(fd, F_SETLK64, &lock));
	say_ok("OFD lock", fcntl(fd, F_OFD_GETLK, &lock));
	say_ok("statfs64", statfs64(".", &fs));
	say("names at most", fs.f_namelen);
	while ((d = readdir64(dir)))
		names++;
	say("names", names);
	closedir(dir);
	map = mmap64(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, FAR & ~4095LL);
	say_ok("mmap64", map == MAP_FAILED ? -1 : 0);
	if (map != MAP_FAILED) {
		map[1] = 'm';
		say("read", pread64(fd, a, 2, FAR));
		printf("%c\n", a[1]);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc != 2 || chdir(argv[1]))
		err(2, "usage: calls DIR");
	setvbuf(stdout, NULL, _IOLBF, 0);
	large();
	copies();
	ioctls();
	others();
	return 0;
}
