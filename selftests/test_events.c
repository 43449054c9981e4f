// SPDX-License-Identifier: GPL-2.0-only
/*
 * inotify(7) and fanotify(7): what happens through an offloadfs mount is told
 * to who watches there, and to who watches the lower, as on a plain file system
 * of which both are one directory. Copies included, offloaded or not.
 */
#include "parity.h"
#include <poll.h>
#include <signal.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#ifndef FAN_PRE_ACCESS
#define FAN_PRE_ACCESS			0x00100000
#define FAN_EVENT_INFO_TYPE_RANGE	6
struct fanotify_event_info_range {
	struct fanotify_event_info_header hdr;
	__u32 pad;
	__u64 offset;
	__u64 count;
};
#endif

#define SIZE	300000

FIXTURE_VARIANT_ADD(fs, tmpfs) { .lower = TMPFS };
FIXTURE_VARIANT_ADD(fs, xfs) { .lower = XFS };

static __attribute__((constructor)) void begin(void)
{
	parity_begin("min=0", 1 << TMPFS | 1 << XFS);
}

enum watched { ABOVE, BELOW };

/* The scenario's directory, where it is used or in the lower. */
static const char *place(struct side *s, enum watched where)
{
	return where == ABOVE ? s->path : s->below;
}

/* inotify */

static const struct {
	unsigned int bit;
	const char *name;
} in_names[] = {
	{ IN_ACCESS, "access" }, { IN_MODIFY, "modify" }, { IN_ATTRIB, "attrib" },
	{ IN_CLOSE_WRITE, "close-write" }, { IN_CLOSE_NOWRITE, "close" }, { IN_OPEN, "open" },
	{ IN_MOVED_FROM, "from" }, { IN_MOVED_TO, "to" }, { IN_CREATE, "create" },
	{ IN_DELETE, "delete" }, { IN_DELETE_SELF, "delete-self" }, { IN_MOVE_SELF, "move-self" },
	{ IN_UNMOUNT, "unmount" }, { IN_Q_OVERFLOW, "overflow" }, { IN_IGNORED, "ignored" },
	{ IN_ISDIR, "dir" },
};

struct watch {
	int fd;
	int dir;	/* the watch descriptor of the directory */
};

static void heard(struct side *s, struct watch *w, const char *what)
{
	char buf[8192] __attribute__((aligned(8)));
	unsigned int cookie = 0;
	ssize_t len, i;

	note(s, "%s:", what);
	while ((len = read(w->fd, buf, sizeof(buf))) > 0) {
		for (i = 0; i < len;) {
			struct inotify_event *e = (void *)(buf + i);
			unsigned int n;

			note(s, " [%s", e->wd == w->dir ? "in" : "of");
			for (n = 0; n < ARRAY_SIZE(in_names); n++)
				if (e->mask & in_names[n].bit)
					note(s, " %s", in_names[n].name);
			/* A file without a name is called after its inode. */
			if (e->len)
				note(s, " %s", e->name[0] == '#' ? "#" : e->name);
			if (e->cookie)
				note(s, " %s", e->cookie == cookie ? "same move" : "a move");
			cookie = e->cookie;
			note(s, "]");
			i += sizeof(*e) + e->len;
		}
	}
	note(s, "\n");
}

static void inotify_names(struct side *s, struct watch *w)
{
	int fd;

	close(openat(s->dir, "new", O_CREAT | O_WRONLY, 0644));
	heard(s, w, "create");
	mkdirat(s->dir, "d", 0755);
	heard(s, w, "mkdir");
	symlinkat("f", s->dir, "s");
	heard(s, w, "symlink");
	mknodat(s->dir, "p", S_IFIFO | 0644, 0);
	heard(s, w, "mknod");
	linkat(s->dir, "f", s->dir, "l", 0);
	heard(s, w, "link");
	renameat(s->dir, "new", s->dir, "renamed");
	heard(s, w, "rename");
	renameat(s->dir, "renamed", s->dir, "d/in");
	heard(s, w, "rename away");
	renameat(s->dir, "d/in", s->dir, "back");
	heard(s, w, "rename here");
	renameat2(s->dir, "back", s->dir, "d", RENAME_EXCHANGE);
	heard(s, w, "exchange");
	renameat(s->dir, "d", s->dir, "s");
	heard(s, w, "replace");
	unlinkat(s->dir, "l", 0);
	heard(s, w, "unlink a link");
	unlinkat(s->dir, "back", AT_REMOVEDIR);
	heard(s, w, "rmdir");
	fd = openat(s->dir, ".", O_TMPFILE | O_RDWR, 0644);
	heard(s, w, "tmpfile");
	close(fd);
	heard(s, w, "close");
	close(openat(s->dir, ".", O_RDONLY | O_DIRECTORY));
	heard(s, w, "open the directory");
	run("ls %s >/dev/null", s->path);
	heard(s, w, "list");
	close(openat(s->dir, "none", O_RDONLY));
	heard(s, w, "missing");
}

static void inotify_data(struct side *s, struct watch *w)
{
	struct iovec iov = { "text", 4 };
	char buf[16], *map;
	int fd;

	fd = openat(s->dir, "f", O_RDWR);
	heard(s, w, "open");
	result(s, "read", read(fd, buf, 10));
	heard(s, w, "read");
	result(s, "past the end", pread(fd, buf, 10, 10 * SIZE));
	heard(s, w, "read");
	result(s, "write", pwrite(fd, "x", 1, 0));
	heard(s, w, "write");
	result(s, "writev", pwritev(fd, &iov, 1, 0));
	heard(s, w, "writev");
	result(s, "nothing", pwrite(fd, "", 0, 0));
	heard(s, w, "write nothing");
	success(s, "truncate", ftruncate(fd, 1000));
	heard(s, w, "ftruncate");
	success(s, "allocate", fallocate(fd, 0, 0, SIZE));
	heard(s, w, "fallocate");
	success(s, "sync", fsync(fd));
	heard(s, w, "fsync");
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	map[0] = 'm';
	munmap(map, SIZE);
	heard(s, w, "mmap");
	success(s, "chmod", fchmod(fd, 0600));
	heard(s, w, "chmod");
	success(s, "chown", fchown(fd, 1, 1));
	heard(s, w, "chown");
	success(s, "times", futimens(fd, NULL));
	heard(s, w, "utimens");
	success(s, "xattr", fsetxattr(fd, "trusted.x", "1", 1, 0));
	heard(s, w, "setxattr");
	success(s, "xattr", fremovexattr(fd, "trusted.x"));
	heard(s, w, "removexattr");
	close(fd);
	heard(s, w, "close");
	close(openat(s->dir, "f", O_RDONLY));
	heard(s, w, "open and close");
	close(openat(s->dir, "f", O_PATH));
	heard(s, w, "O_PATH");
}

static void inotify_watch(struct side *s, struct watch *w, enum watched where)
{
	char path[512];

	close(file_make(s, "f", SIZE, 1));
	w->fd = inotify_init1(IN_NONBLOCK);
	w->dir = inotify_add_watch(w->fd, place(s, where), IN_ALL_EVENTS);
	snprintf(path, sizeof(path), "%s/f", place(s, where));
	inotify_add_watch(w->fd, path, IN_ALL_EVENTS);
}

/*
 * The lower inode goes with the mount's, a moment after the name: so the order
 * of what is heard of each does not matter here.
 */
static void inotify_last(struct side *s, enum watched where)
{
	struct watch w;

	inotify_watch(s, &w, where);
	close(w.fd);
	w.fd = inotify_init1(IN_NONBLOCK);
	w.dir = inotify_add_watch(w.fd, place(s, where), IN_DELETE);
	success(s, "unlink", unlinkat(s->dir, "f", 0));
	heard(s, &w, "the directory");
	close(w.fd);
	inotify_watch(s, &w, where);
	inotify_rm_watch(w.fd, w.dir);
	heard(s, &w, "no more of it");
	success(s, "unlink", unlinkat(s->dir, "f", 0));
	heard(s, &w, "the file");
	close(w.fd);
}

static void inotify_names_above(struct side *s)
{
	struct watch w;

	inotify_watch(s, &w, ABOVE);
	inotify_names(s, &w);
	close(w.fd);
}

static void inotify_names_below(struct side *s)
{
	struct watch w;

	inotify_watch(s, &w, BELOW);
	inotify_names(s, &w);
	close(w.fd);
}

static void inotify_data_above(struct side *s)
{
	struct watch w;

	inotify_watch(s, &w, ABOVE);
	inotify_data(s, &w);
	/* The lower hears of it in another order on Linux 6.1: opened, then cut. */
	close(openat(s->dir, "f", O_WRONLY | O_TRUNC));
	heard(s, &w, "O_TRUNC");
	close(w.fd);
}

static void inotify_data_below(struct side *s)
{
	struct watch w;

	inotify_watch(s, &w, BELOW);
	inotify_data(s, &w);
	close(w.fd);
}

static void inotify_last_above(struct side *s) { inotify_last(s, ABOVE); }
static void inotify_last_below(struct side *s) { inotify_last(s, BELOW); }

/* Copies. How many events there are depends on how it is copied: which, not. */
static void inotify_copies(struct side *s, enum watched where)
{
	static const char * const names[] = { "src", "dst" };
	char buf[8192] __attribute__((aligned(8))), path[512];
	unsigned int seen[2], round, i;
	int in, out, fd, wd[2];

	in = file_make(s, "src", SIZE, 1);
	out = file_make(s, "dst", 0, 0);
	for (round = 0; round < 3; round++) {
		ssize_t len;

		fd = inotify_init1(IN_NONBLOCK);
		for (i = 0; i < 2; i++) {
			snprintf(path, sizeof(path), "%s/%s", place(s, where), names[i]);
			wd[i] = inotify_add_watch(fd, path, IN_ALL_EVENTS);
			seen[i] = 0;
		}
		lseek(in, 0, SEEK_SET);
		lseek(out, 0, SEEK_SET);
		switch (round) {
		case 0:
			result(s, "sendfile", sendfile(out, in, NULL, SIZE) > 0);
			break;
		case 1:
			result(s, "copy_file_range",
			       copy_file_range(in, NULL, out, NULL, SIZE, 0) > 0);
			break;
		case 2:
			success(s, "clone", ioctl(out, _IOW(0x94, 9, int), in));
			break;
		}
		len = read(fd, buf, sizeof(buf));
		for (ssize_t at = 0; at < len;) {
			struct inotify_event *e = (void *)(buf + at);

			for (i = 0; i < 2; i++)
				if (e->wd == wd[i])
					seen[i] |= e->mask;
			at += sizeof(*e) + e->len;
		}
		for (i = 0; i < 2; i++)
			note(s, "%s: %x\n", names[i], seen[i]);
		close(fd);
	}
}

static void copies_heard_above(struct side *s) { inotify_copies(s, ABOVE); }
static void copies_heard_below(struct side *s) { inotify_copies(s, BELOW); }

PARITY_TEST(inotify_names_above)
PARITY_TEST(inotify_names_below)
PARITY_TEST(inotify_data_above)
PARITY_TEST(inotify_data_below)
PARITY_TEST(inotify_last_above)
PARITY_TEST(inotify_last_below)
PARITY_TEST(copies_heard_above)
PARITY_TEST(copies_heard_below)

/* fanotify by file handle */

struct handle {
	struct file_handle h;
	unsigned char bytes[MAX_HANDLE_SZ];
};

static bool is_handle(struct side *s, const char *name, const struct file_handle *h)
{
	struct handle mine = { .h.handle_bytes = MAX_HANDLE_SZ };
	int id;

	return !name_to_handle_at(s->dir, name, &mine.h, &id, 0) &&
	       mine.h.handle_bytes == h->handle_bytes && mine.h.handle_type == h->handle_type &&
	       !memcmp(mine.h.f_handle, h->f_handle, h->handle_bytes);
}

static void show_info(struct side *s, const struct fanotify_event_info_fid *fid)
{
	const struct file_handle *h = (void *)fid->handle;
	const char *name = (const char *)h->f_handle + h->handle_bytes;
	bool named = fid->hdr.info_type != FAN_EVENT_INFO_TYPE_FID &&
		     fid->hdr.info_type != FAN_EVENT_INFO_TYPE_DFID;

	note(s, " %d:%s", fid->hdr.info_type, is_handle(s, ".", h) ? "dir" :
	     is_handle(s, "f", h) ? "f" : is_handle(s, "g", h) ? "g" :
	     is_handle(s, "d", h) ? "d" : "?");
	if (named)
		note(s, ":%s", name);
}

static void show_fids(struct side *s, int fan, const char *what)
{
	char buf[8192] __attribute__((aligned(8)));
	ssize_t len = read(fan, buf, sizeof(buf));
	struct fanotify_event_metadata *m = (void *)buf;

	note(s, "%s:", what);
	for (; FAN_EVENT_OK(m, len); m = FAN_EVENT_NEXT(m, len)) {
		unsigned int at = m->metadata_len;

		note(s, " [%llx", (unsigned long long)m->mask);
		while (at < m->event_len) {
			struct fanotify_event_info_fid *fid = (void *)((char *)m + at);

			show_info(s, fid);
			at += fid->hdr.len;
		}
		note(s, "]");
	}
	note(s, "\n");
}

static void fids(struct side *s, enum watched where, unsigned int kind, __u64 mask)
{
	int fan = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_REPORT_DFID_NAME |
				FAN_REPORT_FID, O_RDONLY);
	char buf[8];
	int fd;

	success(s, "init", fan);
	close(file_make(s, "f", SIZE, 1));
	if (success(s, "mark", fanotify_mark(fan, FAN_MARK_ADD | kind, mask, AT_FDCWD,
					     place(s, where))))
		goto out;
	fd = openat(s->dir, "f", O_RDWR);
	show_fids(s, fan, "open");
	result(s, "read", read(fd, buf, 8));
	show_fids(s, fan, "read");
	result(s, "write", write(fd, buf, 8));
	show_fids(s, fan, "write");
	fchmod(fd, 0600);
	show_fids(s, fan, "chmod");
	close(fd);
	show_fids(s, fan, "close");
	renameat(s->dir, "f", s->dir, "g");
	show_fids(s, fan, "rename");
	mkdirat(s->dir, "d", 0755);
	show_fids(s, fan, "mkdir");
	close(openat(s->dir, "d/x", O_CREAT | O_WRONLY, 0644));
	show_fids(s, fan, "create deeper");
	unlinkat(s->dir, "d/x", 0);
	show_fids(s, fan, "unlink deeper");
	unlinkat(s->dir, "g", 0);
	show_fids(s, fan, "unlink");
out:
	close(fan);
}

#define FID_MASK	(FAN_OPEN | FAN_ACCESS | FAN_MODIFY | FAN_ATTRIB | FAN_CLOSE | \
			 FAN_CREATE | FAN_DELETE | FAN_DELETE_SELF | FAN_MOVED_FROM | \
			 FAN_MOVED_TO | FAN_MOVE_SELF | FAN_ONDIR)

static void fid_marks_above(struct side *s)
{
	fids(s, ABOVE, 0, FID_MASK | FAN_EVENT_ON_CHILD);
	run("rm -rf %s/*", s->path);
	fids(s, ABOVE, FAN_MARK_FILESYSTEM, FID_MASK);
	run("rm -rf %s/*", s->path);
	fids(s, ABOVE, FAN_MARK_FILESYSTEM, FAN_RENAME | FAN_ONDIR);
	run("rm -rf %s/*", s->path);
	fids(s, ABOVE, FAN_MARK_MOUNT, FAN_OPEN | FAN_ACCESS | FAN_MODIFY | FAN_CLOSE);
}

static void fid_marks_below(struct side *s)
{
	fids(s, BELOW, 0, FID_MASK | FAN_EVENT_ON_CHILD);
	run("rm -rf %s/*", s->path);
	fids(s, BELOW, FAN_MARK_FILESYSTEM, FID_MASK);
	run("rm -rf %s/*", s->path);
	fids(s, BELOW, FAN_MARK_FILESYSTEM, FAN_RENAME | FAN_ONDIR);
}

PARITY_TEST(fid_marks_above)
PARITY_TEST(fid_marks_below)

/* Permission: someone is asked before */

#define FAN_ALL_OPENS	(FAN_OPEN_PERM | FAN_OPEN_EXEC_PERM)

/*
 * Contents that are brought when they are wanted: who has a mark in the lower is
 * not told of what the mount maps and truncates, and of a copy maybe twice.
 */
static bool calls_only;

/* What the process does that is watched; every call that is refused shows. */
static void watched_process(struct side *s)
{
	char path[512], buf[100], *map;
	int fd, out, status = -1;

	fd = openat(s->dir, "f", O_RDWR);
	success(s, "open", fd);
	result(s, "read", read(fd, buf, sizeof(buf)));
	result(s, "pread", pread(fd, buf, sizeof(buf), 5000));
	result(s, "write", pwrite(fd, buf, sizeof(buf), 8192));
	if (!calls_only) {
		map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 16384);
		success(s, "mmap", map == MAP_FAILED ? -1 : 0);
		if (map != MAP_FAILED)
			note(s, "mapped %x\n", map[7]);
		success(s, "truncate", ftruncate(fd, 200000));
	}
	success(s, "allocate", fallocate(fd, 0, 200000, 5000));
	out = openat(s->dir, "out", O_CREAT | O_RDWR, 0644);
	result(s, "sendfile", sendfile(out, fd, &(off_t){ 4096 }, 8192));
	result(s, "copy", copy_file_range(fd, &(loff_t){ 8192 }, out, &(loff_t){ 0 }, 4096, 0));
	close(fd);
	snprintf(path, sizeof(path), "%s/f", s->path);
	if (!calls_only)
		success(s, "truncate", truncate(path, 100000));
	fd = openat(s->dir, "f", O_RDONLY | O_TRUNC);
	success(s, "open", fd);
	snprintf(path, sizeof(path), "%s/prog", s->path);
	if (!fork()) {
		execl(path, path, NULL);
		_exit(errno);
	}
	wait(&status);
	note(s, "exec %s\n", WEXITSTATUS(status) ? strerrorname_np(WEXITSTATUS(status)) : "done");
}

/* The log is written by the child, so it comes back by a pipe. */
static pid_t start_watched(struct side *s, const int go[2], int *out)
{
	int fds[2];
	pid_t pid;

	if (pipe(fds))
		exit(KSFT_FAIL);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		FILE *log = fdopen(fds[1], "w");
		char c;

		s->log = log;
		close(go[1]);
		if (read(go[0], &c, 1) == 1)
			watched_process(s);
		fflush(log);
		_exit(0);
	}
	close(fds[1]);
	*out = fds[0];
	return pid;
}

struct asked {
	__u64 mask;
	unsigned int count;
	unsigned int deny;	/* refused from that one on, counted from 1 */
};

static void show_range(struct side *s, const struct fanotify_event_metadata *m)
{
	const struct fanotify_event_info_range *r = (void *)((char *)m + m->metadata_len);

	if (!calls_only && m->event_len > m->metadata_len &&
	    r->hdr.info_type == FAN_EVENT_INFO_TYPE_RANGE)
		note(s, "range %lld+%lld\n", (long long)r->offset, (long long)r->count);
}

static void answer(struct side *s, int fan, struct asked *asked, int n)
{
	char buf[4096] __attribute__((aligned(8)));
	ssize_t len = read(fan, buf, sizeof(buf));
	struct fanotify_event_metadata *m = (void *)buf;
	int i;

	for (; FAN_EVENT_OK(m, len); m = FAN_EVENT_NEXT(m, len)) {
		struct fanotify_response r = { .fd = m->fd, .response = FAN_ALLOW };

		for (i = 0; i < n; i++)
			if (m->mask & asked[i].mask && ++asked[i].count >= asked[i].deny &&
			    asked[i].deny)
				r.response = FAN_DENY;
		show_range(s, m);
		if (write(fan, &r, sizeof(r)) != sizeof(r))
			note(s, "response: %s\n", strerrorname_np(errno));
		close(m->fd);
	}
}

static void permission(struct side *s, enum watched where, unsigned int kind,
		       unsigned int class, struct asked *asked, int n)
{
	int fan = fanotify_init(class | FAN_NONBLOCK | FAN_CLOEXEC, O_RDONLY | O_LARGEFILE);
	struct pollfd p = { .fd = fan, .events = POLLIN };
	int go[2], log, i;
	char buf[4096];
	__u64 mask = 0;
	ssize_t len;
	pid_t pid;

	close(file_make(s, "f", SIZE, 1));
	run("cp /bin/true %s/prog", s->path);
	for (i = 0; i < n; i++)
		mask |= asked[i].mask;
	success(s, "init", fan);
	if (pipe(go))
		return;
	pid = start_watched(s, go, &log);
	if (success(s, "mark", fanotify_mark(fan, FAN_MARK_ADD | kind,
					     mask | (kind ? 0 : FAN_EVENT_ON_CHILD), AT_FDCWD,
					     place(s, where)))) {
		close(go[1]);
	} else if (write(go[1], "x", 1) != 1) {
		perror("# write");
	}
	while (!waitpid(pid, NULL, WNOHANG))
		if (poll(&p, 1, 20) > 0)
			answer(s, fan, asked, n);
	while ((len = read(log, buf, sizeof(buf) - 1)) > 0) {
		buf[len] = 0;
		note(s, "%s", buf);
	}
	/* How often a copy reads is up to who makes it; an open is one. */
	for (i = 0; i < n; i++)
		note(s, "%llx: asked %u times\n", (unsigned long long)asked[i].mask,
		     asked[i].mask & FAN_ALL_OPENS ? asked[i].count : !!asked[i].count);
	close(log);
	close(go[1]);
	close(go[0]);
	close(fan);
	run("rm -f %s/*", s->path);
}

static void ask(struct side *s, enum watched where, unsigned int kind)
{
	struct asked opens[] = { { .mask = FAN_OPEN_PERM }, { .mask = FAN_OPEN_EXEC_PERM } };
	struct asked refused[] = { { .mask = FAN_OPEN_PERM, .deny = 1 },
				   { .mask = FAN_OPEN_EXEC_PERM, .deny = 1 } };
	struct asked reads[] = { { .mask = FAN_ACCESS_PERM } };
	struct asked some[] = { { .mask = FAN_ACCESS_PERM, .deny = 2 } };

	permission(s, where, kind, FAN_CLASS_CONTENT, opens, ARRAY_SIZE(opens));
	permission(s, where, kind, FAN_CLASS_CONTENT, refused, ARRAY_SIZE(refused));
	permission(s, where, kind, FAN_CLASS_CONTENT, reads, ARRAY_SIZE(reads));
	permission(s, where, kind, FAN_CLASS_CONTENT, some, ARRAY_SIZE(some));
}

static void permission_above(struct side *s)
{
	ask(s, ABOVE, 0);
	ask(s, ABOVE, FAN_MARK_FILESYSTEM);
	ask(s, ABOVE, FAN_MARK_MOUNT);
}

static void permission_below(struct side *s)
{
	ask(s, BELOW, 0);
	ask(s, BELOW, FAN_MARK_FILESYSTEM);
}

static void pre_content(struct side *s, enum watched where)
{
	struct asked fills[] = { { .mask = FAN_PRE_ACCESS } };
	struct asked refused[] = { { .mask = FAN_PRE_ACCESS, .deny = 2 } };

	calls_only = where == BELOW;
	permission(s, where, 0, FAN_CLASS_PRE_CONTENT, fills, ARRAY_SIZE(fills));
	permission(s, where, 0, FAN_CLASS_PRE_CONTENT, refused, ARRAY_SIZE(refused));
}

static void pre_content_above(struct side *s) { pre_content(s, ABOVE); }
static void pre_content_below(struct side *s) { pre_content(s, BELOW); }

PARITY_TEST(permission_above)
PARITY_TEST(permission_below)
PARITY_TEST(pre_content_above)
PARITY_TEST(pre_content_below)

TEST_HARNESS_MAIN
