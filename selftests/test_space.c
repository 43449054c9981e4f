// SPDX-License-Identifier: GPL-2.0-only
/*
 * Space: allocating and giving it back in every way, and being told where a
 * file has some. The same as on the bare lower file system.
 */
#include "io.h"
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/statvfs.h>

FIXTURE_VARIANT_ADD(fs, tmpfs) { .lower = TMPFS };
FIXTURE_VARIANT_ADD(fs, ext4) { .lower = EXT4 };
FIXTURE_VARIANT_ADD(fs, xfs) { .lower = XFS };

static __attribute__((constructor)) void begin(void)
{
	parity_begin("min=0", 1 << TMPFS | 1 << EXT4 | 1 << XFS);
}

/* Where a file has data: by seeking, and its extents. */
static void where(struct side *s, int fd)
{
	off_t data = 0, hole = 0;
	struct {
		struct fiemap map;
		struct fiemap_extent extents[32];
	} f = { { .fm_length = FIEMAP_MAX_OFFSET, .fm_flags = FIEMAP_FLAG_SYNC,
		  .fm_extent_count = 32 } };
	unsigned int i;

	while ((data = lseek(fd, hole, SEEK_DATA)) >= 0) {
		hole = lseek(fd, data, SEEK_HOLE);
		note(s, "[%lld, %lld) ", (long long)data, (long long)hole);
	}
	note(s, "%s\n", strerrorname_np(errno));
	if (result(s, "fiemap", ioctl(fd, FS_IOC_FIEMAP, &f)))
		return;
	/* Neighbours may be one extent or two: write down where they end. */
	for (i = 0; i < f.map.fm_mapped_extents; i++) {
		struct fiemap_extent *e = &f.extents[i];

		if (i + 1 < f.map.fm_mapped_extents &&
		    e->fe_logical + e->fe_length == e[1].fe_logical &&
		    !((e->fe_flags ^ e[1].fe_flags) & FIEMAP_EXTENT_UNWRITTEN))
			continue;
		note(s, "to %llu flags %x\n",
		     (unsigned long long)(e->fe_logical + e->fe_length), e->fe_flags);
	}
}

static void every_mode(struct side *s)
{
	static const struct { off_t off, len; } ranges[] = {
		{ 4096, 8192 }, { 65536, 65536 }, { 100, 5000 }, { 131072, 300000 },
		{ 1 << 20, 65536 }, { 0, 0 }, { -1, 4096 }, { INT64_MAX - 100, 4096 },
	};
	unsigned int mode, i;
	struct stat st;
	char what[64];
	int fd;

	/* All the bits there are by now, and one more. */
	for (mode = 0; mode <= 0x100; mode++) {
		/* Two at most: more are refused alike, in the VFS. */
		if (__builtin_popcount(mode) > 2)
			continue;
		fd = file_make(s, "f", 200000, 1);
		for (i = 0; i < ARRAY_SIZE(ranges); i++) {
			snprintf(what, sizeof(what), "%x %lld+%lld", mode,
				 (long long)ranges[i].off, (long long)ranges[i].len);
			result(s, what, fallocate(fd, mode, ranges[i].off, ranges[i].len));
		}
		fstat(fd, &st);
		note(s, "size %lld\n", (long long)st.st_size);
		close(fd);
		contents(s, "f");
	}
	fd = file_open(s, "f", O_RDONLY);
	result(s, "read-only", fallocate(fd, 0, 0, 4096));
	result(s, "directory", fallocate(s->dir, 0, 0, 4096));
}

static void places(struct side *s)
{
	int fd = file_make(s, "f", 65536, 1);

	where(s, fd);
	success(s, "punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      8192, 16384));
	where(s, fd);
	success(s, "grow", ftruncate(fd, 1 << 20));
	where(s, fd);
	success(s, "allocate", fallocate(fd, 0, 1 << 20, 65536));
	fd_write(fd, (1 << 20) + 16384, 4096, 2);
	where(s, fd);
	success(s, "zero", fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 8192));
	where(s, fd);
	success(s, "collapse", fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
	where(s, fd);
	success(s, "cut", ftruncate(fd, 30000));
	where(s, fd);
	result(s, "past the end", lseek(fd, 30000, SEEK_DATA));
	result(s, "past the end", lseek(fd, 30000, SEEK_HOLE));
	result(s, "negative", lseek(fd, -1, SEEK_DATA));
	result(s, "last byte", lseek(fd, 29999, SEEK_HOLE));
	result(s, "nonsense", lseek(fd, 0, 77));
	result(s, "position", lseek(fd, 0, SEEK_CUR));
	success(s, "empty", ftruncate(fd, 0));
	where(s, fd);
	contents(s, "f");
}

static void bad_fiemaps(struct side *s)
{
	struct fiemap map = { .fm_length = 4096, .fm_flags = 0x80000000 };
	int fd = file_make(s, "f", SIZE, 1);

	result(s, "flags", ioctl(fd, FS_IOC_FIEMAP, &map));
	note(s, "%x\n", map.fm_flags);
	map = (struct fiemap) { .fm_length = 0 };
	result(s, "nothing", ioctl(fd, FS_IOC_FIEMAP, &map));
	map = (struct fiemap) { .fm_length = FIEMAP_MAX_OFFSET, .fm_flags = FIEMAP_FLAG_SYNC };
	result(s, "count", ioctl(fd, FS_IOC_FIEMAP, &map));
	note(s, "%u\n", map.fm_mapped_extents > 0);
	map.fm_flags = FIEMAP_FLAG_XATTR;
	result(s, "attributes", ioctl(fd, FS_IOC_FIEMAP, &map));
	map = (struct fiemap) { .fm_length = FIEMAP_MAX_OFFSET };
	result(s, "directory", ioctl(s->dir, FS_IOC_FIEMAP, &map));
}

static void truncating(struct side *s)
{
	static const off_t sizes[] = { INT64_MAX, 1, 4095, 4096, 4097, 0, 1 << 24, 12345, -1 };
	char path[512];
	unsigned int i;
	struct stat st;
	int fd = file_make(s, "f", SIZE, 1);

	snprintf(path, sizeof(path), "%s/f", s->path);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		success(s, "by descriptor", ftruncate(fd, sizes[i]));
		fstat(fd, &st);
		note(s, "%lld, blocks %d\n", (long long)st.st_size, st.st_blocks > 0);
		fd_write(fd, 0, 5000, 3);
		success(s, "by name", truncate(path, sizes[i]));
		fstat(fd, &st);
		note(s, "%lld, blocks %d\n", (long long)st.st_size, st.st_blocks > 0);
	}
	contents(s, "f");
	/* What was cut off is zero when it comes back. */
	fd_write(fd, 0, SIZE, 4);
	success(s, "cut", ftruncate(fd, 5001));
	success(s, "grow", ftruncate(fd, SIZE));
	contents(s, "f");
	success(s, "directory", truncate(s->path, 0));
	close(fd);
	fd = file_open(s, "f", O_RDONLY);
	success(s, "read-only", ftruncate(fd, 0));
}

/* The calls that tell of a file's space, and those of the file system. */
static void amounts(struct side *s)
{
	int fd = file_make(s, "f", SIZE, 1), n = -1;
	struct statvfs vfs;
	long long bytes = -1;
	struct stat st;

	fsync(fd);
	fstat(fd, &st);
	note(s, "blocks %lld blksize %ld\n", (long long)st.st_blocks, (long)st.st_blksize);
	success(s, "FIOQSIZE", ioctl(fd, FIOQSIZE, &bytes));
	note(s, "%lld\n", bytes);
	success(s, "FIGETBSZ", ioctl(fd, FIGETBSZ, &n));
	note(s, "%d\n", n);
	success(s, "FIONREAD", ioctl(fd, FIONREAD, &n));
	note(s, "%d\n", n);
	success(s, "statvfs", fstatvfs(fd, &vfs));
	note(s, "%lu %lu %lu %lu\n", vfs.f_bsize, vfs.f_frsize, vfs.f_flag, vfs.f_namemax);
	success(s, "sync", fsync(fd));
	success(s, "free", ftruncate(fd, 0));
	fsync(fd);
	success(s, "FIOQSIZE", ioctl(fd, FIOQSIZE, &bytes));
	note(s, "%lld\n", bytes);
}

PARITY_TEST(every_mode)
PARITY_TEST(places)
PARITY_TEST(bad_fiemaps)
PARITY_TEST(truncating)
PARITY_TEST(amounts)

TEST_HARNESS_MAIN
