// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extended attributes of every name space, file capabilities and ACLs, by their
 * owner and by others. The same as on the bare lower file system.
 */
#include "kinds.h"
#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

/* Newer than the C library's. */
#ifndef __NR_setxattrat
#define __NR_setxattrat		463
#define __NR_getxattrat		464
#define __NR_listxattrat	465
#define __NR_removexattrat	466
#endif

/* struct xattr_args, which the headers may lack. */
struct attr_value {
	__u64 value;
	__u32 size, flags;
};

FIXTURE_VARIANT_ADD(fs, tmpfs) { .lower = TMPFS };
FIXTURE_VARIANT_ADD(fs, ext4) { .lower = EXT4 };
FIXTURE_VARIANT_ADD(fs, xfs) { .lower = XFS };

static __attribute__((constructor)) void begin(void)
{
	parity_begin("min=0", 1 << TMPFS | 1 << EXT4 | 1 << XFS);
}

static const char * const names[] = {
	"user.a", "user.", "user", "trusted.a", "security.a", "security.capability",
	"system.a", "system.posix_acl_access", "nosuch.a", "", "btrfs.compression",
	"security.selinux", "security.ima", "overlay.x", "trusted.overlay.opaque",
};

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char * const *)a, *(char * const *)b);
}

static void list(struct side *s, const char *path)
{
	static char buf[65536];
	char *sorted[64], *p;
	ssize_t len = llistxattr(path, buf, sizeof(buf));
	int n = 0, i;

	result(s, "list", len);
	result(s, "room for it", llistxattr(path, NULL, 0));
	result(s, "too little", llistxattr(path, buf + 60000, 1));
	for (p = buf; len > 0 && p < buf + len && n < 64; p += strlen(p) + 1)
		sorted[n++] = p;
	qsort(sorted, n, sizeof(*sorted), by_name);
	for (i = 0; i < n; i++)
		note(s, "%s\n", sorted[i]);
}

static void use_xattrs(struct side *s)
{
	char path[512], value[64];
	unsigned int i, k;
	ssize_t n;

	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		snprintf(path, sizeof(path), "%s/%s", s->path, kinds[k]);
		for (i = 0; i < ARRAY_SIZE(names); i++) {
			note(s, "%s %s\n", kinds[k], names[i]);
			success(s, "set", lsetxattr(path, names[i], "value", 5, 0));
			success(s, "again", lsetxattr(path, names[i], "v", 1, XATTR_CREATE));
			success(s, "empty", lsetxattr(path, names[i], "", 0, XATTR_REPLACE));
			memset(value, 0, sizeof(value));
			n = result(s, "get", lgetxattr(path, names[i], value, sizeof(value)));
			note(s, "%.*s\n", (int)(n > 0 ? n : 0), value);
			if (i % 2)
				success(s, "remove", lremovexattr(path, names[i]));
		}
		list(s, path);
	}
}

static void xattrs_of_each_space(struct side *s)
{
	allow_nobody(s);
	make_kinds(s);
	use_xattrs(s);
	as_nobody(s, use_xattrs);
	fchmodat(s->dir, "f", 0666, 0);
	fchmodat(s->dir, "d", 01777, 0);
	as_nobody(s, use_xattrs);
	fchownat(s->dir, "f", 65534, 12345, 0);
	fchownat(s->dir, "d", 65534, 12345, 0);
	as_nobody(s, use_xattrs);
	use_xattrs(s);
}

static void large_xattrs(struct side *s)
{
	static const size_t sizes[] = { 100, 3000, 4000, 16000, 65535, 65536, 65537 };
	char name[300] = "user.", *value = calloc(1, 70000);
	int fd = file_make(s, "f", 10, 1);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(value, 'a' + i, sizes[i]);
		success(s, "set", fsetxattr(fd, "user.big", value, sizes[i], 0));
		result(s, "size", fgetxattr(fd, "user.big", NULL, 0));
		result(s, "get", fgetxattr(fd, "user.big", value, 65536));
		note(s, "%c\n", value[0]);
	}
	fremovexattr(fd, "user.big");
	memset(name + 5, 'n', 250);
	success(s, "255", fsetxattr(fd, name, "v", 1, 0));
	name[255] = 'n';
	success(s, "256", fsetxattr(fd, name, "v", 1, 0));
	for (i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "user.number-%d", i);
		if (fsetxattr(fd, name, "v", 1, 0))
			note(s, "%s: %s\n", name, strerrorname_np(errno));
	}
	result(s, "list", flistxattr(fd, NULL, 0));
	free(value);
}

static void xattr_calls(struct side *s)
{
	struct attr_value v = { .value = (unsigned long)"value", .size = 5 };
	char buf[100] = "";
	unsigned int k;

	make_kinds(s);
	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		v.value = (unsigned long)"value";
		v.size = 5;
		success(s, kinds[k], syscall(__NR_setxattrat, s->dir, kinds[k], AT_SYMLINK_NOFOLLOW,
					     "trusted.at", &v, sizeof(v)));
		v.value = (unsigned long)buf;
		v.size = sizeof(buf);
		result(s, "get", syscall(__NR_getxattrat, s->dir, kinds[k], AT_SYMLINK_NOFOLLOW,
					 "trusted.at", &v, sizeof(v)));
		note(s, "%s\n", buf);
		result(s, "list", syscall(__NR_listxattrat, s->dir, kinds[k], AT_SYMLINK_NOFOLLOW,
					  buf, sizeof(buf)) > 0);
		success(s, "remove", syscall(__NR_removexattrat, s->dir, kinds[k],
					     AT_SYMLINK_NOFOLLOW, "trusted.at"));
		result(s, "get", syscall(__NR_getxattrat, s->dir, kinds[k], AT_SYMLINK_NOFOLLOW,
					 "trusted.at", &v, sizeof(v)));
	}
}

/* cap_net_raw+ep; of the initial name space, and of one with root 1000. */
static const struct vfs_ns_cap_data caps[2] = {
	{ .magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
	  .data = { { .permitted = 1 << CAP_NET_RAW } } },
	{ .magic_etc = VFS_CAP_REVISION_3 | VFS_CAP_FLAGS_EFFECTIVE,
	  .data = { { .permitted = 1 << CAP_NET_RAW } }, .rootid = 1000 },
};

static void write_to_it(struct side *s)
{
	result(s, "write", pwrite(openat(s->dir, "prog", O_WRONLY), "x", 1, 0));
}

/* The program is grep. */
static void run_it(struct side *s)
{
	FILE *p = popen("./prog CapEff /proc/self/status", "r");
	char line[100] = "";

	note(s, "%s", fgets(line, sizeof(line), p) ? line : "nothing\n");
	pclose(p);
}

static void capable(struct side *s)
{
	struct vfs_ns_cap_data got;
	int fd, i;

	allow_nobody(s);
	run("cp /bin/grep %s/prog", s->path);
	for (i = 0; i < 2; i++) {
		success(s, "set", fsetxattr(openat(s->dir, "prog", O_RDONLY), "security.capability",
					    &caps[i], i ? XATTR_CAPS_SZ_3 : XATTR_CAPS_SZ_2, 0));
		fd = openat(s->dir, "prog", O_RDONLY);
		memset(&got, 0, sizeof(got));
		result(s, "get", fgetxattr(fd, "security.capability", &got, sizeof(got)));
		note(s, "%x %x %u\n", got.magic_etc, got.data[0].permitted, got.rootid);
		close(fd);
		as_nobody(s, run_it);
	}
	success(s, "short", fsetxattr(openat(s->dir, "prog", O_RDONLY), "security.capability",
				      &caps[0], 5, 0));
	fchmodat(s->dir, "prog", 0777, 0);
	as_nobody(s, write_to_it);
	result(s, "gone", fgetxattr(openat(s->dir, "prog", O_RDONLY), "security.capability", &got,
				    sizeof(got)));
}

/* ACLs: u::rwx, u:65534:PERM, g::r-x, m::rwx, o::---, as the kernel takes them. */
static void acl_of(unsigned char *acl, int perm)
{
	const unsigned char entries[] = {
		2, 0, 0, 0,
		1, 0, 7, 0, 255, 255, 255, 255,
		2, 0, perm, 0, 254, 255, 0, 0,
		4, 0, 5, 0, 255, 255, 255, 255,
		16, 0, 7, 0, 255, 255, 255, 255,
		32, 0, 0, 0, 255, 255, 255, 255,
	};

	memcpy(acl, entries, 44);
}

static void show_acl(struct side *s, const char *name, const char *type)
{
	unsigned char acl[200];
	char path[512];
	ssize_t n, i;

	snprintf(path, sizeof(path), "%s/%s", s->path, name);
	n = lgetxattr(path, type, acl, sizeof(acl));
	result(s, type, n);
	for (i = 0; i < n; i++)
		note(s, "%02x", acl[i]);
	note(s, "\n");
}

#define ACCESS	"system.posix_acl_access"
#define DEFAULT	"system.posix_acl_default"

static void set_acls(struct side *s)
{
	unsigned char acl[44];
	char path[512];
	unsigned int k;
	int perm;

	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		snprintf(path, sizeof(path), "%s/%s", s->path, kinds[k]);
		for (perm = 0; perm < 8; perm += 3) {
			acl_of(acl, perm);
			success(s, kinds[k], lsetxattr(path, ACCESS, acl, 44, 0));
			success(s, "default", lsetxattr(path, DEFAULT, acl, 44, 0));
			show_mode(s, kinds[k]);
			show_acl(s, kinds[k], ACCESS);
			show_acl(s, kinds[k], DEFAULT);
		}
		success(s, "minimal", lsetxattr(path, ACCESS, acl, 12, 0));
		acl[6] = 8;
		success(s, "nonsense", lsetxattr(path, ACCESS, acl, 44, 0));
		success(s, "short", lsetxattr(path, ACCESS, acl, 3, 0));
		success(s, "chmod", fchmodat(s->dir, kinds[k], 0751, 0));
		show_acl(s, kinds[k], ACCESS);
	}
}

static void inherit(struct side *s)
{
	umask(077);	/* which a default ACL makes void */
	success(s, "file", openat(s->dir, "d/f", O_CREAT | O_WRONLY, 0666));
	success(s, "directory", mkdirat(s->dir, "d/d", 0777));
	success(s, "fifo", mknodat(s->dir, "d/p", S_IFIFO | 0666, 0));
	success(s, "symlink", symlinkat("x", s->dir, "d/l"));
	umask(022);
	show_mode(s, "d/f");
	show_mode(s, "d/d");
	show_mode(s, "d/p");
	show_acl(s, "d/f", ACCESS);
	show_acl(s, "d/d", ACCESS);
	show_acl(s, "d/d", DEFAULT);
	show_acl(s, "d/p", ACCESS);
	success(s, "nameless", linkat(openat(s->dir, "d", O_TMPFILE | O_WRONLY, 0666), "",
				      s->dir, "d/t", AT_EMPTY_PATH));
	show_mode(s, "d/t");
	show_acl(s, "d/t", ACCESS);
}

static void acls(struct side *s)
{
	char path[512];

	allow_nobody(s);
	make_kinds(s);
	set_acls(s);
	inherit(s);
	as_nobody(s, set_acls);
	fchownat(s->dir, "f", 65534, 12345, 0);
	fchownat(s->dir, "d", 65534, 12345, 0);
	as_nobody(s, set_acls);
	snprintf(path, sizeof(path), "%s/d", s->path);
	success(s, "remove", removexattr(path, DEFAULT));
	success(s, "remove", removexattr(path, ACCESS));
	success(s, "again", removexattr(path, ACCESS));
	show_mode(s, "d");
	show_acl(s, "d", ACCESS);
}

PARITY_TEST(xattrs_of_each_space)
PARITY_TEST(large_xattrs)
PARITY_TEST(xattr_calls)
PARITY_TEST(capable)
PARITY_TEST(acls)

TEST_HARNESS_MAIN
