// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attributes: what statx(2) tells, times, owners and modes with their rules on
 * suid bits, inode flags and project ids. The same as on the bare lower file
 * system.
 */
#include "kinds.h"
#include <linux/fs.h>
#include <linux/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

/* Newer than the C library's. */
#ifndef __NR_file_getattr
#define __NR_file_getattr	468
#define __NR_file_setattr	469
#endif

/* struct file_attr, which the headers may lack. */
struct attr_of_file {
	__u64 xflags;
	__u32 extsize, nextents, projid, cowextsize;
};

FIXTURE_VARIANT_ADD(fs, tmpfs) { .lower = TMPFS };
FIXTURE_VARIANT_ADD(fs, ext4) { .lower = EXT4 };
FIXTURE_VARIANT_ADD(fs, xfs) { .lower = XFS };

static __attribute__((constructor)) void begin(void)
{
	parity_begin("min=0", 1 << TMPFS | 1 << EXT4 | 1 << XFS);
}

/* statx */

FS_TEST(statx_of_each_kind)
{
	static const int flags[] = {
		AT_SYMLINK_NOFOLLOW, AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC,
		AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
	};
	/* All that there is and may come, but the one bit that is refused. */
	static const unsigned int masks[] = { STATX_BASIC_STATS, STATX_BTIME, 0x7fffffff };
	int low = open(self->s.below, O_RDONLY | O_DIRECTORY);
	struct statx u, l;
	unsigned int i, j, k;

	make_kinds(&self->s);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		for (j = 0; j < ARRAY_SIZE(flags); j++) {
			for (k = 0; k < ARRAY_SIZE(masks); k++) {
				memset(&u, 0, sizeof(u));
				memset(&l, 0, sizeof(l));
				ASSERT_EQ(0, syscall(__NR_statx, self->s.dir, kinds[i], flags[j],
						     masks[k], &u));
				ASSERT_EQ(0, syscall(__NR_statx, low, kinds[i], flags[j],
						     masks[k], &l));
				EXPECT_NE(l.stx_mnt_id, u.stx_mnt_id);
				l.stx_mnt_id = u.stx_mnt_id;
				EXPECT_EQ(0, memcmp(&u, &l, sizeof(u))) {
					TH_LOG("%s mask %x", kinds[i], masks[k]);
				}
			}
		}
	}
	EXPECT_EQ(-1, syscall(__NR_statx, self->s.dir, "f", 0, 0x80000000, &u));
	EXPECT_EQ(EINVAL, errno);
}

FS_TEST(mount_id)
{
	char line[1024];
	struct statx u;
	long long id = -1, want = -2;
	char mnt[512];
	FILE *f = fopen("/proc/self/mountinfo", "r");

	ASSERT_EQ(0, syscall(__NR_statx, self->s.dir, "", AT_EMPTY_PATH, STATX_MNT_ID, &u));
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lld %*d %*s %*s %511s", &id, mnt) == 2 &&
		    !strncmp(mnt, self->s.path, strlen(mnt)) && strstr(line, " - offloadfs "))
			want = id;
	fclose(f);
	EXPECT_EQ(want, (long long)u.stx_mnt_id);
}

/* What applications that write directly or atomically are told to use. */
FS_TEST(alignments_hold)
{
	struct statx u = {};
	void *buf;
	int fd;

	close(file_make(&self->s, "f", 1 << 20, 1));
	ASSERT_EQ(0, syscall(__NR_statx, self->s.dir, "f", 0, STATX_DIOALIGN, &u));
	if (!(u.stx_mask & STATX_DIOALIGN) || !u.stx_dio_offset_align)
		SKIP(return, "%s tells of no alignment", lower_types[variant->lower].name);
	fd = file_open(&self->s, "f", O_RDWR | O_DIRECT);
	ASSERT_EQ(0, posix_memalign(&buf, 65536, 65536));
	EXPECT_EQ(u.stx_dio_offset_align,
		  pread(fd, (char *)buf + u.stx_dio_mem_align, u.stx_dio_offset_align,
			u.stx_dio_offset_align));
	free(buf);
}

/* Times */

static void show_times(struct side *s, const char *name)
{
	struct stat st;

	if (fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW)) {
		result(s, name, -1);
		return;
	}
	note(s, "%s: %lld.%09ld %lld.%09ld\n", name,
	     st.st_atime > 10000000000 || time(NULL) - st.st_atime > 1000 ?
	     (long long)st.st_atime : 1, st.st_atime > 100000 ? 0 : st.st_atim.tv_nsec,
	     st.st_mtime > 10000000000 || time(NULL) - st.st_mtime > 1000 ?
	     (long long)st.st_mtime : 1, st.st_mtime > 100000 ? 0 : st.st_mtim.tv_nsec);
}

static const struct timespec times_to_set[][2] = {
	{ { 1000, 123456789 }, { 2000, 987654321 } },
	{ { 0, UTIME_OMIT }, { 3000, 1 } },
	{ { 4000, 2 }, { 0, UTIME_OMIT } },
	{ { 0, UTIME_NOW }, { 5000, 3 } },
	{ { 0, UTIME_NOW }, { 0, UTIME_NOW } },
	{ { 0, UTIME_OMIT }, { 0, UTIME_OMIT } },
	{ { -1000, 5 }, { -1, 999999999 } },
	{ { 20000000000, 0 }, { 1LL << 40, 0 } },
	{ { 1, 1000000000 }, { 1, 0 } },
};

static void set_all_times(struct side *s)
{
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		for (j = 0; j < ARRAY_SIZE(times_to_set); j++) {
			success(s, kinds[i], utimensat(s->dir, kinds[i], times_to_set[j],
						       AT_SYMLINK_NOFOLLOW));
			show_times(s, kinds[i]);
		}
		success(s, "now", utimensat(s->dir, kinds[i], NULL, AT_SYMLINK_NOFOLLOW));
	}
}

static void times(struct side *s)
{
	struct timespec old[2] = { { 1000, 0 }, { 1000, 0 } };
	int fd;

	allow_nobody(s);
	make_kinds(s);
	set_all_times(s);
	as_nobody(s, set_all_times);
	fchmodat(s->dir, "f", 0666, 0);
	fchmodat(s->dir, "d", 0777, 0);
	as_nobody(s, set_all_times);
	fd = file_open(s, "f", O_RDONLY);
	success(s, "by descriptor", futimens(fd, old));
	show_times(s, "f");
	result(s, "read", read(fd, old, 8));
	show_times(s, "f");
	fd = openat(s->dir, "f", O_RDWR | O_NOATIME);
	success(s, "by descriptor", futimens(fd, old));
	result(s, "read", read(fd, old, 8));
	result(s, "write", pwrite(fd, old, 8, 0));
	show_times(s, "f");
}

/* Owners and modes */

static const mode_t modes[] = { 06755, 06745, 04711, 02710, 02755, 02745, 01777, 0 };

static void change_owner(struct side *s, const char *name, int uid, int gid)
{
	char what[64];

	snprintf(what, sizeof(what), "%s to %d:%d", name, uid, gid);
	success(s, what, fchownat(s->dir, name, uid, gid, 0));
	show_mode(s, name);
}

static void change_owners(struct side *s)
{
	static const struct { int uid, gid; } owners[] = {
		{ -1, -1 }, { 65534, -1 }, { -1, 12345 }, { -1, 77 }, { 12, 34 }, { 65534, 12345 },
	};
	unsigned int i, j, k;

	for (k = 0; k < 2; k++) {
		for (i = 0; i < ARRAY_SIZE(modes); i++) {
			for (j = 0; j < ARRAY_SIZE(owners); j++) {
				success(s, "chmod", fchmodat(s->dir, kinds[k], modes[i], 0));
				change_owner(s, kinds[k], owners[j].uid, owners[j].gid);
			}
		}
	}
}

static void change_modes(struct side *s)
{
	unsigned int i, k;

	for (k = 0; k < 2; k++) {
		for (i = 0; i < ARRAY_SIZE(modes); i++) {
			success(s, "chmod", fchmodat(s->dir, kinds[k], modes[i], 0));
			show_mode(s, kinds[k]);
		}
	}
	success(s, "symlink", fchmodat(s->dir, "l", 0600, AT_SYMLINK_NOFOLLOW));
	success(s, "fifo", fchmodat(s->dir, "p", 0600, 0));
}

static void owners_and_modes(struct side *s)
{
	unsigned int k;

	allow_nobody(s);
	make_kinds(s);
	change_owners(s);
	change_modes(s);
	as_nobody(s, change_owners);
	for (k = 0; k < 2; k++)
		change_owner(s, kinds[k], 65534, 12345);
	as_nobody(s, change_modes);
	as_nobody(s, change_owners);
	/* Own, but of a group that one is not in: no setgid. */
	for (k = 0; k < 2; k++)
		change_owner(s, kinds[k], 65534, 77);
	as_nobody(s, change_modes);
	as_nobody(s, change_owners);
	success(s, "symlink", fchownat(s->dir, "l", 5, 6, AT_SYMLINK_NOFOLLOW));
}

/* Truncation and opening with O_TRUNC take suid away from those without rights. */
static void cut(struct side *s)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/f", s->path);
	success(s, "truncate", truncate(path, 100));
}

static void open_to_cut(struct side *s)
{
	success(s, "O_TRUNC", openat(s->dir, "f", O_WRONLY | O_TRUNC));
}

static void cut_open(struct side *s)
{
	success(s, "ftruncate", ftruncate(openat(s->dir, "f", O_WRONLY), 100));
}

static void suid_and_truncate(struct side *s)
{
	static void (* const ways[])(struct side *s) = { cut, open_to_cut, cut_open };
	static const mode_t suid[] = { 06777, 06767, 04666, 02676, 02666 };
	unsigned int i, j;

	allow_nobody(s);
	close(file_make(s, "f", 10000, 1));
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		for (j = 0; j < ARRAY_SIZE(suid); j++) {
			fchmodat(s->dir, "f", suid[j], 0);
			ways[i](s);
			show_mode(s, "f");
			fchmodat(s->dir, "f", suid[j], 0);
			as_nobody(s, ways[i]);
			show_mode(s, "f");
		}
	}
}

/* Flags and project ids */

static void set_flags(struct side *s, const char *name)
{
	int fd = openat(s->dir, name, O_RDONLY | O_NONBLOCK), flags = 0, was = 0, bit;
	char what[64];

	success(s, "get", ioctl(fd, FS_IOC_GETFLAGS, &was));
	for (bit = 0; bit < 32; bit++) {
		flags = was ^ 1U << bit;
		snprintf(what, sizeof(what), "%s flag %x", name, 1U << bit);
		success(s, what, ioctl(fd, FS_IOC_SETFLAGS, &flags));
		success(s, "get", ioctl(fd, FS_IOC_GETFLAGS, &flags));
		note(s, "%x\n", flags);
		if (1U << bit == FS_IMMUTABLE_FL || 1U << bit == FS_APPEND_FL) {
			success(s, "write", openat(s->dir, name, O_WRONLY));
			success(s, "append", openat(s->dir, name, O_WRONLY | O_APPEND));
			success(s, "in it", openat(s->dir, "d/new", O_WRONLY | O_CREAT, 0644));
			success(s, "of it", unlinkat(s->dir, "d/new", 0));
		}
		success(s, "undo", ioctl(fd, FS_IOC_SETFLAGS, &was));
	}
	close(fd);
}

static void set_xflags(struct side *s, const char *name)
{
	int fd = openat(s->dir, name, O_RDONLY | O_NONBLOCK), bit;
	struct fsxattr fsx, was = {};
	char what[64];

	success(s, "get", ioctl(fd, FS_IOC_FSGETXATTR, &was));
	note(s, "%x %u %u %u\n", was.fsx_xflags, was.fsx_extsize, was.fsx_projid,
	     was.fsx_cowextsize);
	for (bit = 0; bit < 32; bit++) {
		fsx = was;
		fsx.fsx_xflags ^= 1U << bit;
		fsx.fsx_extsize = 65536;
		fsx.fsx_cowextsize = 65536;
		snprintf(what, sizeof(what), "%s xflag %x", name, 1U << bit);
		success(s, what, ioctl(fd, FS_IOC_FSSETXATTR, &fsx));
		success(s, "get", ioctl(fd, FS_IOC_FSGETXATTR, &fsx));
		note(s, "%x %u %u %u\n", fsx.fsx_xflags, fsx.fsx_extsize, fsx.fsx_projid,
		     fsx.fsx_cowextsize);
		success(s, "undo", ioctl(fd, FS_IOC_FSSETXATTR, &was));
	}
	fsx = was;
	fsx.fsx_projid = 42;
	success(s, "project", ioctl(fd, FS_IOC_FSSETXATTR, &fsx));
	success(s, "get", ioctl(fd, FS_IOC_FSGETXATTR, &fsx));
	note(s, "%u\n", fsx.fsx_projid);
	close(fd);
}

static void flags_of_both(struct side *s)
{
	set_flags(s, "f");
	set_flags(s, "d");
	set_xflags(s, "f");
	set_xflags(s, "d");
}

static void inode_flags(struct side *s)
{
	int k;

	allow_nobody(s);
	make_kinds(s);
	/* Some hold for files that are empty only. */
	close(openat(s->dir, "f", O_WRONLY | O_TRUNC));
	flags_of_both(s);
	success(s, "fifo", ioctl(openat(s->dir, "p", O_RDWR), FS_IOC_GETFLAGS, &k));
	as_nobody(s, flags_of_both);
	fchownat(s->dir, "f", 65534, 12345, 0);
	fchownat(s->dir, "d", 65534, 12345, 0);
	as_nobody(s, flags_of_both);
}

static void attr_calls(struct side *s)
{
	struct attr_of_file fa = {}, was = {};
	unsigned int i, bit;
	char what[64];

	make_kinds(s);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		success(s, kinds[i], syscall(__NR_file_getattr, s->dir, kinds[i], &was, sizeof(was),
					     AT_SYMLINK_NOFOLLOW));
		note(s, "%llx %u %u %u\n", (unsigned long long)was.xflags, was.extsize,
		     was.projid, was.cowextsize);
		for (bit = 0; bit < 32; bit++) {
			fa = was;
			fa.xflags ^= 1U << bit;
			snprintf(what, sizeof(what), "%s %x", kinds[i], 1U << bit);
			success(s, what, syscall(__NR_file_setattr, s->dir, kinds[i], &fa,
						 sizeof(fa), AT_SYMLINK_NOFOLLOW));
			success(s, "get", syscall(__NR_file_getattr, s->dir, kinds[i], &fa,
						  sizeof(fa), AT_SYMLINK_NOFOLLOW));
			note(s, "%llx\n", (unsigned long long)fa.xflags);
			success(s, "undo", syscall(__NR_file_setattr, s->dir, kinds[i], &was,
						   sizeof(was), AT_SYMLINK_NOFOLLOW));
		}
		fa = was;
		fa.projid = 42;
		success(s, "project", syscall(__NR_file_setattr, s->dir, kinds[i], &fa, sizeof(fa),
					      AT_SYMLINK_NOFOLLOW));
		success(s, "get", syscall(__NR_file_getattr, s->dir, kinds[i], &fa, sizeof(fa),
					  AT_SYMLINK_NOFOLLOW));
		note(s, "%u\n", fa.projid);
		success(s, "size", syscall(__NR_file_getattr, s->dir, kinds[i], &fa, 3, 0));
	}
}

PARITY_TEST(times)
PARITY_TEST(owners_and_modes)
PARITY_TEST(suid_and_truncate)
PARITY_TEST(inode_flags)
PARITY_TEST(attr_calls)

TEST_HARNESS_MAIN
