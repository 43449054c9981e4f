// SPDX-License-Identifier: GPL-2.0-only
/*
 * An idmapped lower: owners, permissions, ACLs, file capabilities, suid bits
 * and copies through an offloadfs mount of an idmapped mount are what they are
 * on that idmapped mount itself, for users in and outside of a user namespace.
 * The ids on the disk are looked at, and made, through the mount that is not
 * idmapped.
 */
#include "parity.h"
#include <grp.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#define SIZE	100000

FIXTURE_VARIANT_ADD(fs, ext4) { .lower = EXT4 };
FIXTURE_VARIANT_ADD(fs, xfs) { .lower = XFS };

/*
 * Id on the disk, id shown, number. On ext4, root's files on the disk are not
 * root's on the mount; 65534 is nobody's on either.
 */
static const char * const maps[NR_LOWERS] = {
	[XFS] = "0 0 1\n1 10001 9999\n20000 100000 10000\n",
	[EXT4] = "0 7 1\n7 0 1\n8 10008 9992\n20000 100000 10000\n",
};

/* The ids of a container: its 0 is 100000. */
static const char container_map[] = "0 100000 10000\n";

static int plain[NR_LOWERS];
static int container;

/* A user namespace with that map for users and groups. */
static int userns(const char *map)
{
	int ready[2], fd, ns = -1;
	char path[64];
	pid_t pid;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		if (unshare(CLONE_NEWUSER))
			_exit(1);
		close(ready[1]);
		pause();
		_exit(0);
	}
	close(ready[1]);
	if (read(ready[0], path, 1))
		goto out;
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%cid_map", pid, "ug"[i]);
		fd = open(path, O_WRONLY);
		if (write(fd, map, strlen(map)) < 0)
			perror("# id map");
		close(fd);
	}
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	ns = open(path, O_RDONLY | O_CLOEXEC);
out:
	close(ready[0]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return ns;
}

static int clone_mount(const char *path)
{
	return syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

static int idmap(int tree, int ns)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = ns };

	return syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr));
}

/* Put an idmapped mount of the lower in place of the lower, below the upper. */
static bool remap(enum lower lower)
{
	const char *name = lower_types[lower].name;
	char path[64];
	int tree, ns;

	snprintf(path, sizeof(path), "lower-%s", name);
	if (run("umount upper-%s", name))
		return false;
	plain[lower] = clone_mount(path);
	tree = clone_mount(path);
	ns = userns(maps[lower]);
	if (plain[lower] < 0 || tree < 0 || ns < 0 || idmap(tree, ns)) {
		perror("# idmapped mount");
		return false;
	}
	if (run("umount lower-%s", name) ||
	    syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH))
		return false;
	close(ns);
	close(tree);
	return !run("mount -t offloadfs -o min=0 lower-%s/below upper-%s", name, name);
}

static __attribute__((constructor)) void begin(void)
{
	enum lower lower;

	parity_begin("min=0", 1 << EXT4 | 1 << XFS);
	container = userns(container_map);
	for (lower = 0; lower < NR_LOWERS; lower++)
		if (parity_mounted[lower] && !remap(lower)) {
			printf("Bail out! cannot idmap %s\n", lower_types[lower].name);
			exit(KSFT_FAIL);
		}
}

/* Users */

struct who {
	const char *name;
	int uid;
	bool contained;		/* the id is the container's */
};

static const struct who root = { "root", 0 };
static const struct who user = { "user", 10100 };	/* 100 on the disk */
static const struct who other = { "other", 10200 };
static const struct who unmapped = { "unmapped", 500 };
static const struct who boss = { "container's root", 0, true };
static const struct who member = { "container's user", 5, true };

static const struct who * const everybody[] = {
	&root, &user, &other, &unmapped, &boss, &member,
};

static void become(const struct who *who)
{
	if (who->contained && setns(container, CLONE_NEWUSER))
		perror("# setns");
	if (setgroups(0, NULL) || setresgid(who->uid, who->uid, who->uid) ||
	    setresuid(who->uid, who->uid, who->uid))
		perror("# ids");
	umask(022);
}

typedef int (*act_fn)(int dir, const char *name);

/* Write down what comes of @act when @who does it. */
static void as(struct side *s, const struct who *who, const char *what, act_fn act,
	       const char *name)
{
	int status = -1;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		become(who);
		errno = 0;
		_exit(act(s->dir, name) < 0 ? errno : 0);
	}
	waitpid(pid, &status, 0);
	note(s, "%s: %s %s: %s\n", who->name, what, name,
	     !WIFEXITED(status) ? "died" : !WEXITSTATUS(status) ? "ok" :
	     strerrorname_np(WEXITSTATUS(status)));
}

/* The same for everybody. */
static void each(struct side *s, const char *what, act_fn act, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(everybody); i++)
		as(s, everybody[i], what, act, name);
}

/* The scenario's directory as the disk has it. */
static int on_disk(struct side *s)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", s->upper ? "below" : "bare",
		 strrchr(s->path, '/') + 1);
	return openat(plain[s->lower], path, O_RDONLY | O_DIRECTORY);
}

static void show_at(struct side *s, const char *where, int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		note(s, "%s %s: %s\n", where, name, strerrorname_np(errno));
	else
		note(s, "%s %s: %u:%u %o\n", where, name, st.st_uid, st.st_gid, st.st_mode);
}

static void show(struct side *s, const char *name)
{
	int disk = on_disk(s);

	show_at(s, "seen", s->dir, name);
	show_at(s, "disk", disk, name);
	close(disk);
}

static int plant_open(struct side *s, const char *name)
{
	int disk = on_disk(s), fd = openat(disk, name, O_CREAT | O_TRUNC | O_RDWR, 0600);

	close(disk);
	return fd;
}

static void plant_close(struct side *s, const char *name, int fd, uid_t id, mode_t mode)
{
	if (fchown(fd, id, id) || fchmod(fd, mode))
		note(s, "cannot plant %s: %s\n", name, strerrorname_np(errno));
	close(fd);
}

/* A file that has this owner and mode on the disk. */
static void plant(struct side *s, const char *name, uid_t id, mode_t mode)
{
	int fd = plant_open(s, name);

	fd_write(fd, 0, SIZE, 1);
	plant_close(s, name, fd, id, mode);
}

/* The same with the program cat(1). */
static void plant_program(struct side *s, const char *name, uid_t id, mode_t mode)
{
	int fd = plant_open(s, name), in = open("/bin/cat", O_RDONLY);

	while (sendfile(fd, in, NULL, 1 << 20) > 0)
		;
	close(in);
	plant_close(s, name, fd, id, mode);
}

/* Nobody may remove what belongs to an id that the map does not have. */
static void clean_up(struct side *s)
{
	int disk = on_disk(s);

	if (run("chown -h -R 0:0 /proc/%d/fd/%d/.", getpid(), disk))
		note(s, "not cleaned up\n");
	close(disk);
}

/* Acts */

static int do_create(int dir, const char *name)
{
	return openat(dir, name, O_CREAT | O_EXCL | O_WRONLY, 0666);
}

static int do_read(int dir, const char *name)
{
	return openat(dir, name, O_RDONLY);
}

static int do_write(int dir, const char *name)
{
	int fd = openat(dir, name, O_WRONLY);

	return fd < 0 ? fd : (int)write(fd, "written", 7);
}

static int do_truncate(int dir, const char *name)
{
	return openat(dir, name, O_WRONLY | O_TRUNC);
}

static int do_chmod(int dir, const char *name)
{
	return fchmodat(dir, name, 0640, 0);
}

static int do_chmod_sgid(int dir, const char *name)
{
	return fchmodat(dir, name, 02755, 0);
}

static int do_give_away(int dir, const char *name)
{
	return fchownat(dir, name, 10200, 10200, AT_SYMLINK_NOFOLLOW);
}

static int do_give_inside(int dir, const char *name)
{
	return fchownat(dir, name, 7, 8, AT_SYMLINK_NOFOLLOW);
}

static int do_give_to_nobody(int dir, const char *name)
{
	return fchownat(dir, name, 65534, -1, AT_SYMLINK_NOFOLLOW);
}

static int do_take(int dir, const char *name)
{
	return fchownat(dir, name, geteuid(), getegid(), AT_SYMLINK_NOFOLLOW);
}

static int do_touch(int dir, const char *name)
{
	const struct timespec ts[2] = { { 1000, 0 }, { 2000, 0 } };

	return utimensat(dir, name, ts, 0);
}

static int do_unlink(int dir, const char *name)
{
	return unlinkat(dir, name, 0);
}

static int do_rename(int dir, const char *name)
{
	return renameat(dir, name, dir, "renamed");
}

static int do_link(int dir, const char *name)
{
	return linkat(dir, name, dir, "linked", 0);
}

static int do_setxattr(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY);

	return fd < 0 ? fd : fsetxattr(fd, "user.x", "1", 1, 0);
}

static int do_noatime(int dir, const char *name)
{
	return openat(dir, name, O_RDONLY | O_NOATIME);
}

static int do_nodump(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY), flags = FS_NODUMP_FL;

	return fd < 0 ? fd : ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static int do_tmpfile(int dir, const char *name)
{
	int fd = openat(dir, ".", O_TMPFILE | O_RDWR, 0666);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fd < 0 ? fd : linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW);
}

static int do_mkdir(int dir, const char *name)
{
	return mkdirat(dir, name, 0777);
}

static int do_symlink(int dir, const char *name)
{
	return symlinkat("to", dir, name);
}

static int do_mkfifo(int dir, const char *name)
{
	return mknodat(dir, name, S_IFIFO | 0666, 0);
}

static int do_mknod(int dir, const char *name)
{
	return mknodat(dir, name, S_IFCHR | 0666, makedev(1, 3));
}

/* Scenarios */

static void creating(struct side *s)
{
	static const struct {
		const char *what;
		act_fn act;
	} ways[] = {
		{ "create", do_create }, { "tmpfile", do_tmpfile }, { "mkdir", do_mkdir },
		{ "symlink", do_symlink }, { "fifo", do_mkfifo }, { "device", do_mknod },
	};
	char name[64];

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		for (size_t n = 0; n < ARRAY_SIZE(everybody); n++) {
			/* Two reasons to refuse; which one is given is not the same. */
			if (ways[i].act == do_mknod && everybody[n] == &unmapped)
				continue;
			snprintf(name, sizeof(name), "%s-%zu", ways[i].what, n);
			as(s, everybody[n], "makes", ways[i].act, name);
			show(s, name);
		}
	success(s, "setgid", fchmod(s->dir, 02777));
	as(s, &user, "create", do_create, "in-setgid");
	show(s, "in-setgid");
}

static const uid_t owners[] = { 0, 7, 100, 20000, 20005, 65534 };

static void permissions(struct side *s)
{
	char name[32];

	for (size_t i = 0; i < ARRAY_SIZE(owners); i++) {
		snprintf(name, sizeof(name), "of-%u", owners[i]);
		plant(s, name, owners[i], 0600);
		show(s, name);
		each(s, "read", do_read, name);
		each(s, "write", do_write, name);
		each(s, "truncate", do_truncate, name);
		each(s, "noatime", do_noatime, name);
		each(s, "touch", do_touch, name);
		each(s, "xattr", do_setxattr, name);
		each(s, "flags", do_nodump, name);
		each(s, "chmod", do_chmod, name);
		show(s, name);
	}
	clean_up(s);
}

static void changing_owners(struct side *s)
{
	char name[32];

	for (size_t i = 0; i < ARRAY_SIZE(owners); i++) {
		snprintf(name, sizeof(name), "of-%u", owners[i]);
		plant(s, name, owners[i], 0644);
		each(s, "to nobody", do_give_to_nobody, name);
		show(s, name);
		as(s, &boss, "inside", do_give_inside, name);
		show(s, name);
		as(s, &boss, "outside", do_give_away, name);
		as(s, &user, "away", do_give_away, name);
		as(s, &root, "away", do_give_away, name);
		show(s, name);
		as(s, &root, "takes", do_take, name);
		show(s, name);
		as(s, &unmapped, "takes", do_take, name);
	}
	clean_up(s);
}

static void names(struct side *s)
{
	char name[32];

	success(s, "sticky", fchmod(s->dir, 01777));
	for (size_t i = 0; i < ARRAY_SIZE(owners); i++) {
		snprintf(name, sizeof(name), "of-%u", owners[i]);
		plant(s, name, owners[i], 0644);
		as(s, &other, "rename", do_rename, name);
		as(s, &user, "link", do_link, name);
		as(s, &root, "unlink", do_unlink, "linked");
		each(s, "unlink", do_unlink, name);
		show(s, name);
	}
	clean_up(s);
}

/* ACLs */

#define ACL_ENTRY(tag, perm, id) \
	(tag), 0, (perm), 0, (id) & 255, (id) >> 8 & 255, (id) >> 16 & 255, (id) >> 24 & 255

/* An ACL of the owner, two users, a group, and the mask. */
#define ACL_BYTES(user1, user2, group) {				\
	2, 0, 0, 0,							\
	ACL_ENTRY(1, 6, 0xffffffff), ACL_ENTRY(2, 6, user1),		\
	ACL_ENTRY(2, 4, user2), ACL_ENTRY(4, 0, 0xffffffff),		\
	ACL_ENTRY(8, 4, group), ACL_ENTRY(16, 6, 0xffffffff),		\
	ACL_ENTRY(32, 0, 0xffffffff) }

#define ACL_ACCESS	"system.posix_acl_access"
#define ACL_DEFAULT	"system.posix_acl_default"

static void note_bytes(struct side *s, const char *what, const unsigned char *value,
		       ssize_t len)
{
	if (len < 0) {
		note(s, "%s: %s\n", what, strerrorname_np(errno));
		return;
	}
	note(s, "%s:", what);
	for (ssize_t i = 0; i < len; i++)
		note(s, " %02x", value[i]);
	note(s, "\n");
}

/* The attribute as @who sees it. */
static void show_xattr(struct side *s, const struct who *who, const char *file,
		       const char *name)
{
	unsigned char value[200] = "";
	char what[100];
	int fds[2];
	ssize_t len;

	snprintf(what, sizeof(what), "%s of %s for %s", name, file, who->name);
	if (pipe(fds))
		return;
	fflush(NULL);
	if (!fork()) {
		int fd;

		become(who);
		fd = openat(s->dir, file, O_RDONLY);
		len = fgetxattr(fd, name, value, sizeof(value));
		if (len < 0)
			len = -errno;
		if (write(fds[1], &len, sizeof(len)) < 0 ||
		    write(fds[1], value, sizeof(value)) < 0)
			_exit(1);
		_exit(0);
	}
	if (read(fds[0], &len, sizeof(len)) < 0 || read(fds[0], value, sizeof(value)) < 0)
		note(s, "%s: lost\n", what);
	wait(NULL);
	if (len < 0)
		errno = -len;
	note_bytes(s, what, value, len);
	close(fds[0]);
	close(fds[1]);
}

static void show_xattr_on_disk(struct side *s, const char *file, const char *name)
{
	int disk = on_disk(s), fd = openat(disk, file, O_RDONLY);
	unsigned char value[200];

	note_bytes(s, "on disk", value, fgetxattr(fd, name, value, sizeof(value)));
	close(fd);
	close(disk);
}

static int set_acl(int dir, const char *name, const char *kind, const unsigned char *acl,
		   size_t size)
{
	int fd = openat(dir, name, O_RDONLY);

	return fd < 0 ? fd : fsetxattr(fd, kind, acl, size, 0);
}

static int do_acl(int dir, const char *name)
{
	static const unsigned char acl[] = ACL_BYTES(10100, 100005, 10200);

	return set_acl(dir, name, ACL_ACCESS, acl, sizeof(acl));
}

static int do_acl_inside(int dir, const char *name)
{
	static const unsigned char acl[] = ACL_BYTES(5, 6, 7);

	return set_acl(dir, name, ACL_ACCESS, acl, sizeof(acl));
}

static int do_default_acl(int dir, const char *name)
{
	static const unsigned char acl[] = ACL_BYTES(10100, 100005, 10200);

	return set_acl(dir, name, ACL_DEFAULT, acl, sizeof(acl));
}

static int do_acl_of_nobody(int dir, const char *name)
{
	static const unsigned char acl[] = ACL_BYTES(10100, 65534, 10200);

	return set_acl(dir, name, ACL_ACCESS, acl, sizeof(acl));
}

static int do_remove_acl(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY);

	return fd < 0 ? fd : fremovexattr(fd, ACL_ACCESS);
}

static void look_at_acl(struct side *s, const char *name)
{
	show_xattr(s, &root, name, ACL_ACCESS);
	show_xattr(s, &boss, name, ACL_ACCESS);
	show_xattr_on_disk(s, name, ACL_ACCESS);
	each(s, "read", do_read, name);
	each(s, "write", do_write, name);
	show(s, name);
}

static void acls(struct side *s)
{
	static const unsigned char planted[] = ACL_BYTES(100, 65534, 200);
	int disk = on_disk(s);

	plant(s, "set", 100, 0600);
	each(s, "acl", do_acl, "set");
	look_at_acl(s, "set");
	as(s, &user, "acl of nobody", do_acl_of_nobody, "set");
	as(s, &other, "remove", do_remove_acl, "set");
	as(s, &user, "remove", do_remove_acl, "set");
	look_at_acl(s, "set");

	plant(s, "inside", 20000, 0600);
	as(s, &member, "acl", do_acl_inside, "inside");
	as(s, &boss, "acl", do_acl_inside, "inside");
	look_at_acl(s, "inside");

	plant(s, "planted", 100, 0600);
	success(s, "plant", set_acl(disk, "planted", ACL_ACCESS, planted, sizeof(planted)));
	look_at_acl(s, "planted");

	mkdirat(s->dir, "d", 0777);
	as(s, &root, "default", do_default_acl, "d");
	show_xattr(s, &root, "d", ACL_DEFAULT);
	as(s, &root, "create", do_create, "d/inherits");
	look_at_acl(s, "d/inherits");
	close(disk);
	clean_up(s);
}

/* Programs that gain rights. A copy of cat(1) says what it has. */

static void cat_status(struct side *s, const struct who *who, const char *name)
{
	char line[200];
	int fds[2];
	FILE *f;

	if (pipe(fds))
		return;
	fflush(NULL);
	if (!fork()) {
		become(who);
		dup2(fds[1], 1);
		close(fds[1]);
		if (!fchdir(s->dir))
			execl(name, "cat", "/proc/self/status", NULL);
		dprintf(1, "Uid: %s\n", strerrorname_np(errno));
		_exit(1);
	}
	close(fds[1]);
	f = fdopen(fds[0], "r");
	note(s, "%s runs %s:", who->name, name);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "Uid:", 4) || !strncmp(line, "Gid:", 4) ||
		    !strncmp(line, "CapPrm:", 7))
			note(s, " %.*s", (int)strcspn(line, "\n"), line);
	note(s, "\n");
	fclose(f);
	wait(NULL);
}

static void suid(struct side *s)
{
	static const uid_t ids[] = { 0, 7, 100, 20000, 65534 };
	char name[32];

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		snprintf(name, sizeof(name), "./of-%u", ids[i]);
		plant_program(s, name, ids[i], 06755);
		cat_status(s, &other, name);
		cat_status(s, &member, name);
		cat_status(s, &root, name);
	}
	plant(s, "user", 100, 06777);
	as(s, &other, "write", do_write, "user");
	show(s, "user");
	plant(s, "user", 100, 06777);
	as(s, &other, "truncate", do_truncate, "user");
	show(s, "user");
	plant(s, "user", 100, 02767);
	as(s, &user, "write", do_write, "user");
	show(s, "user");
	as(s, &other, "write", do_write, "user");
	show(s, "user");
	plant(s, "user", 100, 06755);
	as(s, &root, "give", do_give_away, "user");
	show(s, "user");
	plant(s, "user", 100, 0755);
	as(s, &user, "setgid", do_chmod_sgid, "user");
	show(s, "user");
	clean_up(s);
}

/* cap_net_raw=ep, of the old format and with an owner. */
#define CAPS2	{ 1, 0, 0, 2, 0, 0x20, 0, 0 }
#define CAPS3(id) { 1, 0, 0, 3, 0, 0x20, 0, 0, [20] = (id) & 255, (id) >> 8 & 255, (id) >> 16, 0 }

static const unsigned char caps2[20] = CAPS2;

static int do_caps(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY);

	return fd < 0 ? fd : fsetxattr(fd, "security.capability", caps2, sizeof(caps2), 0);
}

static int do_caps_for_container(int dir, const char *name)
{
	static const unsigned char caps[24] = CAPS3(100000);
	int fd = openat(dir, name, O_RDONLY);

	return fd < 0 ? fd : fsetxattr(fd, "security.capability", caps, sizeof(caps), 0);
}

static int do_caps_for_nobody(int dir, const char *name)
{
	static const unsigned char caps[24] = CAPS3(65534);
	int fd = openat(dir, name, O_RDONLY);

	return fd < 0 ? fd : fsetxattr(fd, "security.capability", caps, sizeof(caps), 0);
}

static void look_at_caps(struct side *s, const char *name)
{
	show_xattr(s, &root, name, "security.capability");
	show_xattr(s, &boss, name, "security.capability");
	show_xattr_on_disk(s, name, "security.capability");
	cat_status(s, &user, name);
	cat_status(s, &member, name);
}

static void capabilities(struct side *s)
{
	static const unsigned char of_container[24] = CAPS3(20000);
	static const unsigned char of_nobody[24] = CAPS3(65534);
	int disk = on_disk(s), fd;

	plant_program(s, "./f", 20000, 0755);
	as(s, &user, "caps", do_caps, "f");
	as(s, &boss, "caps", do_caps, "f");
	look_at_caps(s, "./f");
	as(s, &root, "caps", do_caps, "f");
	look_at_caps(s, "./f");
	as(s, &root, "caps for container", do_caps_for_container, "f");
	look_at_caps(s, "./f");
	as(s, &root, "caps for nobody", do_caps_for_nobody, "f");
	look_at_caps(s, "./f");
	fchmodat(s->dir, "f", 0777, 0);
	as(s, &other, "write", do_write, "f");
	look_at_caps(s, "./f");

	plant_program(s, "./p", 0, 0755);
	fd = openat(disk, "p", O_RDONLY);
	success(s, "plant", fsetxattr(fd, "security.capability", caps2, sizeof(caps2), 0));
	look_at_caps(s, "./p");
	success(s, "plant", fsetxattr(fd, "security.capability", of_container,
				      sizeof(of_container), 0));
	look_at_caps(s, "./p");
	success(s, "plant", fsetxattr(fd, "security.capability", of_nobody,
				      sizeof(of_nobody), 0));
	look_at_caps(s, "./p");
	close(fd);
	close(disk);
	clean_up(s);
}

/* Copies */

static int do_sendfile(int dir, const char *name)
{
	int in = openat(dir, name, O_RDONLY), out = openat(dir, "by-sendfile", O_WRONLY);

	return sendfile(out, in, NULL, SIZE) == SIZE ? 0 : -1;
}

static int do_copy_file_range(int dir, const char *name)
{
	int in = openat(dir, name, O_RDONLY);
	int out = openat(dir, "by-copy", O_CREAT | O_WRONLY, 0644);

	return out < 0 ? out : copy_file_range(in, NULL, out, NULL, SIZE, 0) == SIZE ? 0 : -1;
}

static int do_clone(int dir, const char *name)
{
	int in = openat(dir, name, O_RDONLY);
	int out = openat(dir, "by-clone", O_CREAT | O_WRONLY, 0644);

	return out < 0 ? out : ioctl(out, FICLONE, in);
}

/* Of a file that may be read only: allowed to its owner. */
static int do_dedupe(int dir, const char *name)
{
	struct file_dedupe_range *range = calloc(1, sizeof(*range) + sizeof(range->info[0]));
	int in = openat(dir, name, O_RDONLY), ret;

	range->src_length = 65536;
	range->dest_count = 1;
	range->info[0].dest_fd = openat(dir, "same", O_RDONLY);
	ret = ioctl(in, FIDEDUPERANGE, range);
	if (!ret && range->info[0].status < 0) {
		errno = -range->info[0].status;
		ret = -1;
	}
	return ret;
}

static void copies(struct side *s)
{
	static const act_fn ways[] = { do_sendfile, do_copy_file_range, do_clone, do_dedupe };
	static const char * const calls[] = { "sendfile", "copy", "clone", "dedupe" };
	/* ext4 cannot dedupe; who may not hears one thing or the other. */
	const size_t n = ARRAY_SIZE(ways) - (s->lower == EXT4);

	plant(s, "src", 100, 0644);
	plant(s, "same", 100, 0444);
	plant(s, "by-sendfile", 20000, 06777);
	for (size_t i = 0; i < n; i++)
		as(s, &unmapped, calls[i], ways[i], "src");
	for (size_t i = 0; i < n; i++)
		each(s, calls[i], ways[i], "src");
	show(s, "by-sendfile");
	show(s, "by-copy");
	show(s, "by-clone");
	contents(s, "by-sendfile");
	contents(s, "by-copy");
}

PARITY_TEST(creating)
PARITY_TEST(permissions)
PARITY_TEST(changing_owners)
PARITY_TEST(names)
PARITY_TEST(acls)
PARITY_TEST(suid)
PARITY_TEST(capabilities)
PARITY_TEST(copies)

/* What the mount says of owners is what the map makes of the disk's. */
FS_TEST(owners_are_mapped)
{
	struct stat st;

	plant(&self->s, "f", 20005, 0644);
	ASSERT_EQ(0, fstatat(self->s.dir, "f", &st, 0));
	EXPECT_EQ(100005, st.st_uid);
	EXPECT_EQ(100005, st.st_gid);
	plant(&self->s, "g", 65534, 0644);
	ASSERT_EQ(0, fstatat(self->s.dir, "g", &st, 0));
	EXPECT_EQ(65534, st.st_uid);
	EXPECT_EQ(-1, openat(self->s.dir, "g", O_WRONLY));
	EXPECT_EQ(EACCES, errno);
	clean_up(&self->s);
}

/* A change of owner on the disk shows at once, an unknown one as well. */
FS_TEST(owners_change_below)
{
	int disk = on_disk(&self->s);
	struct stat st;

	plant(&self->s, "f", 100, 0600);
	ASSERT_EQ(0, fstatat(self->s.dir, "f", &st, 0));
	EXPECT_EQ(10100, st.st_uid);
	fchownat(disk, "f", 20005, 20005, 0);
	ASSERT_EQ(0, fstatat(self->s.dir, "f", &st, 0));
	EXPECT_EQ(100005, st.st_uid);
	fchownat(disk, "f", 65534, 100, 0);
	EXPECT_EQ(-1, openat(self->s.dir, "f", O_WRONLY));
	EXPECT_EQ(EACCES, errno);
	fchownat(disk, "f", 100, 100, 0);
	EXPECT_LE(0, openat(self->s.dir, "f", O_WRONLY));
	close(disk);
}

/* The mount itself is refused a map, as the manual page says. */
FS_TEST(no_map_on_top)
{
	int tree = clone_mount(self->s.path);

	ASSERT_LE(0, tree);
	EXPECT_EQ(-1, idmap(tree, container));
	EXPECT_EQ(EINVAL, errno);
	close(tree);
}

TEST_HARNESS_MAIN
