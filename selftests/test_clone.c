// SPDX-License-Identifier: GPL-2.0-only
/*
 * FICLONE, FICLONERANGE and FIDEDUPERANGE reach the lower file system: on XFS
 * and Btrfs the files share extents, on tmpfs and ext4 the answer is the
 * lower's own; and every refusal is the same as there.
 */
#include "parity.h"
#include <linux/fiemap.h>
#include <linux/fs.h>

#define SIZE	262144

FIXTURE_VARIANT_ADD(fs, tmpfs) { .lower = TMPFS };
FIXTURE_VARIANT_ADD(fs, xfs) { .lower = XFS };
FIXTURE_VARIANT_ADD(fs, btrfs) { .lower = BTRFS };

static __attribute__((constructor)) void begin(void)
{
	parity_begin("min=0", 1 << TMPFS | 1 << XFS | 1 << BTRFS);
}

/* Are all extents of a file shared, as the lower file system says? */
static void shared_extents(struct side *s, const char *name)
{
	char buf[sizeof(struct fiemap) + 16 * sizeof(struct fiemap_extent)] = { 0 };
	struct fiemap *map = (void *)buf;
	unsigned int i, shared = 0;
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", s->below, name);
	fd = open(path, O_RDONLY);
	fsync(fd);
	map->fm_length = FIEMAP_MAX_OFFSET;
	map->fm_extent_count = 16;
	if (result(s, "fiemap", ioctl(fd, FS_IOC_FIEMAP, map)) == 0) {
		for (i = 0; i < map->fm_mapped_extents; i++)
			shared += !!(map->fm_extents[i].fe_flags & FIEMAP_EXTENT_SHARED);
		note(s, "%s: extents %d, shared %d\n", name, map->fm_mapped_extents > 0,
		     shared == map->fm_mapped_extents);
	}
	close(fd);
}

static void clone(struct side *s, int in, int out)
{
	result(s, "FICLONE", ioctl(out, FICLONE, in));
}

static void clone_range(struct side *s, int in, unsigned long long from,
			unsigned long long len, int out, unsigned long long to)
{
	struct file_clone_range range = {
		.src_fd = in, .src_offset = from, .src_length = len, .dest_offset = to,
	};

	result(s, "FICLONERANGE", ioctl(out, FICLONERANGE, &range));
}

static void dedupe(struct side *s, int in, unsigned long long from,
		   unsigned long long len, int out, unsigned long long to)
{
	struct {
		struct file_dedupe_range head;
		struct file_dedupe_range_info info;
	} range = {
		.head = { .src_offset = from, .src_length = len, .dest_count = 1 },
		.info = { .dest_fd = out, .dest_offset = to },
	};

	/*
	 * Where the lower has no such operation at all, the bare call fails as
	 * a whole, the other one for its one destination.
	 */
	if (ioctl(in, FIDEDUPERANGE, &range))
		range.info.status = -errno;
	note(s, "FIDEDUPERANGE: status %d bytes %llu\n", range.info.status,
	     (unsigned long long)range.info.bytes_deduped);
}

static void pair(struct side *s, int *in, int *out)
{
	*in = file_make(s, "src", SIZE, 1);
	*out = file_make(s, "dst", 0, 0);
	fsync(*in);
}

static void whole(struct side *s)
{
	int in, out;

	pair(s, &in, &out);
	clone(s, in, out);
	contents(s, "dst");
	shared_extents(s, "dst");
}

static void over_a_longer_file(struct side *s)
{
	int in, out;

	pair(s, &in, &out);
	fd_write(out, 0, 2 * SIZE, 2);
	clone(s, in, out);
	contents(s, "dst");
}

static void ranges(struct side *s)
{
	int in, out;

	pair(s, &in, &out);
	fd_write(out, 0, SIZE, 2);
	clone_range(s, in, 65536, 65536, out, 131072);
	contents(s, "dst");
	clone_range(s, in, 131072, 0, out, 0);
	contents(s, "dst");
	clone_range(s, in, 0, 65536, out, 2 * SIZE);
	contents(s, "dst");
	clone_range(s, in, 0, SIZE / 2, in, SIZE);
	contents(s, "src");
}

static void refused_ranges(struct side *s)
{
	int in, out;

	pair(s, &in, &out);
	fd_write(out, 0, SIZE, 2);
	clone_range(s, in, 1, 4096, out, 0);
	clone_range(s, in, 0, 4096, out, 1);
	clone_range(s, in, 0, 4097, out, 0);
	clone_range(s, in, SIZE, 4096, out, 0);
	clone_range(s, in, 0, 2 * SIZE, out, 0);
	clone_range(s, in, 0, SIZE, in, 4096);
	if (s->lower != TMPFS)	/* the VFS asks for the operation first */
		clone_range(s, in, UINT64_MAX - 4095, 4096, out, 0);
	contents(s, "dst");
	contents(s, "src");
}

static void unaligned_end(struct side *s)
{
	int in, out;

	pair(s, &in, &out);
	fd_write(in, SIZE, 5000, 1);
	clone_range(s, in, 4096, SIZE + 5000 - 4096, out, 4096);
	contents(s, "dst");
	fd_write(out, 0, 2 * SIZE, 2);
	clone_range(s, in, 4096, SIZE + 5000 - 4096, out, 4096);
	contents(s, "dst");
}

static void bad_files(struct side *s)
{
	int memfd = memfd_create("elsewhere", 0);
	int in, out, rdonly, wronly, app, dir;

	pair(s, &in, &out);
	rdonly = file_open(s, "dst", O_RDONLY);
	wronly = file_open(s, "src", O_WRONLY);
	app = file_open(s, "dst", O_WRONLY | O_APPEND);
	dir = openat(s->dir, ".", O_RDONLY);
	clone(s, in, rdonly);
	clone(s, wronly, out);
	clone(s, in, app);
	clone(s, dir, out);
	clone(s, in, dir);
	clone(s, memfd, out);
	clone(s, in, memfd);
	clone(s, -1, out);
	contents(s, "dst");
}

static void dedupe_equal(struct side *s)
{
	int in, out;

	pair(s, &in, &out);
	fd_write(out, 0, SIZE, 1);
	fsync(out);
	dedupe(s, in, 0, SIZE, out, 0);
	shared_extents(s, "dst");
	contents(s, "dst");
	dedupe(s, in, 0, 65536, out, 65536);
	dedupe(s, in, 1, 4096, out, 1);
	if (s->lower == TMPFS)
		return;
	dedupe(s, in, 0, 0, out, 0);
	dedupe(s, in, SIZE, 4096, out, 0);
}

static void dedupe_different(struct side *s)
{
	int in, out;

	pair(s, &in, &out);
	fd_write(out, 0, SIZE, 2);
	dedupe(s, in, 0, SIZE, out, 0);
	contents(s, "dst");
}

static void dedupe_read_only(struct side *s)
{
	int in, out, rdonly, memfd = memfd_create("elsewhere", 0);

	pair(s, &in, &out);
	fd_write(out, 0, SIZE, 1);
	rdonly = file_open(s, "dst", O_RDONLY);
	dedupe(s, in, 0, SIZE, rdonly, 0);
	if (s->lower != TMPFS)
		dedupe(s, in, 0, 4096, memfd, 0);
	contents(s, "dst");
}

/* The clone is a copy: changes of one do not show in the other. */
static void written_afterwards(struct side *s)
{
	int in, out;

	pair(s, &in, &out);
	clone(s, in, out);
	fd_write(in, 4096, 10000, 3);
	fd_write(out, 100000, 10000, 4);
	contents(s, "src");
	contents(s, "dst");
}

PARITY_TEST(whole)
PARITY_TEST(over_a_longer_file)
PARITY_TEST(ranges)
PARITY_TEST(refused_ranges)
PARITY_TEST(unaligned_end)
PARITY_TEST(bad_files)
PARITY_TEST(dedupe_equal)
PARITY_TEST(dedupe_different)
PARITY_TEST(dedupe_read_only)
PARITY_TEST(written_afterwards)

FS_TEST(counted)
{
	long long copies, bytes;
	int in, out, ret;

	pair(&self->s, &in, &out);
	copies = counter(self->s.path, "copies_offloaded");
	bytes = counter(self->s.path, "bytes_offloaded");
	ASSERT_LE(0, copies);
	ret = ioctl(out, FICLONE, in);
	if (variant->lower == TMPFS) {
		EXPECT_EQ(-1, ret);
		EXPECT_EQ(EOPNOTSUPP, errno);
		EXPECT_EQ(copies, counter(self->s.path, "copies_offloaded"));
	} else {
		EXPECT_EQ(0, ret);
		EXPECT_EQ(copies + 1, counter(self->s.path, "copies_offloaded"));
		EXPECT_EQ(bytes + SIZE, counter(self->s.path, "bytes_offloaded"));
	}
	close(in);
	close(out);
}

TEST_HARNESS_MAIN
