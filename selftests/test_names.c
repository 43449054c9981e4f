// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names on an offloadfs mount: each kind of rename of each kind of object,
 * files without a name, links, names of every length, and large directories.
 * All as on the bare lower file system.
 */
#include "parity.h"
#include <dirent.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define SIZE	10000

FIXTURE_VARIANT_ADD(fs, tmpfs) { .lower = TMPFS };
FIXTURE_VARIANT_ADD(fs, ext4) { .lower = EXT4 };
FIXTURE_VARIANT_ADD(fs, xfs) { .lower = XFS };

static __attribute__((constructor)) void begin(void)
{
	parity_begin("min=0", 1 << TMPFS | 1 << EXT4 | 1 << XFS);
}

/* Type, links, device number and size of a name; of directories no size. */
static void show(struct side *s, const char *name)
{
	struct stat st;

	if (fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW)) {
		note(s, "%s: %s\n", name, strerrorname_np(errno));
		return;
	}
	note(s, "%s: %o links %d rdev %llx size %lld\n", name, st.st_mode, (int)st.st_nlink,
	     (unsigned long long)st.st_rdev, S_ISDIR(st.st_mode) ? 0LL : (long long)st.st_size);
}

/* Where a descriptor says that it is, below the scenario's directory. */
static void show_path(struct side *s, int fd)
{
	char link[64], path[PATH_MAX] = "";
	size_t len = strlen(s->path);

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, path, sizeof(path) - 1) < 0)
		note(s, "path: %s\n", strerrorname_np(errno));
	else if (strncmp(path, s->path, len))
		note(s, "path elsewhere\n");
	else
		note(s, "path %s\n", path + len);
}

static ino_t inode_of(struct side *s, const char *name)
{
	struct stat st = { .st_ino = 0 };

	fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW);
	return st.st_ino;
}

/* Renames */

enum kind { NONE, FILE_KIND, SYMLINK, EMPTY, FULL, NR_KINDS };

static void make(struct side *s, const char *name, enum kind kind)
{
	char path[64];

	switch (kind) {
	case FILE_KIND:
		close(file_make(s, name, 100, 1));
		break;
	case SYMLINK:
		symlinkat("nowhere", s->dir, name);
		break;
	case FULL:
		snprintf(path, sizeof(path), "%s/in", name);
		mkdirat(s->dir, name, 0755);
		mkdirat(s->dir, path, 0755);
		break;
	case EMPTY:
		mkdirat(s->dir, name, 0755);
		break;
	default:
		break;
	}
}

static void discard(struct side *s, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/in", name);
	unlinkat(s->dir, path, AT_REMOVEDIR);
	if (unlinkat(s->dir, name, 0))
		unlinkat(s->dir, name, AT_REMOVEDIR);
}

/* Each flag, and each two of them, from each kind to each, to @to. */
static void rename_matrix(struct side *s, const char *to)
{
	unsigned int a, b, flags;

	for (a = 0; a < NR_KINDS; a++)
		for (b = 0; b < NR_KINDS; b++)
			for (flags = 0; flags < 9; flags++) {
				char what[64];

				make(s, "a", a);
				make(s, to, b);
				snprintf(what, sizeof(what), "%u to %u flags %u", a, b, flags);
				success(s, what, renameat2(s->dir, "a", s->dir, to, flags));
				show(s, "a");
				show(s, to);
				discard(s, "a");
				discard(s, to);
			}
}

static void rename_beside(struct side *s)
{
	rename_matrix(s, "b");
}

static void rename_elsewhere(struct side *s)
{
	mkdirat(s->dir, "d", 0755);
	mkdirat(s->dir, "d/e", 0755);
	rename_matrix(s, "d/e/b");
}

static void rename_oddities(struct side *s)
{
	int fd = file_make(s, "f", 100, 1), d;
	struct stat st;

	linkat(s->dir, "f", s->dir, "same", 0);
	success(s, "onto its own link", renameat(s->dir, "f", s->dir, "same"));
	show(s, "f");
	success(s, "onto itself", renameat(s->dir, "f", s->dir, "f"));
	success(s, "exchange with itself",
		renameat2(s->dir, "f", s->dir, "f", RENAME_EXCHANGE));
	success(s, "noreplace itself", renameat2(s->dir, "f", s->dir, "f", RENAME_NOREPLACE));
	success(s, "dot", renameat(s->dir, ".", s->dir, "x"));
	success(s, "to dot dot", renameat(s->dir, "f", s->dir, ".."));
	success(s, "slash", renameat(s->dir, "f", s->dir, "x/"));
	mkdirat(s->dir, "d", 0755);
	d = openat(s->dir, "d", O_RDONLY);
	mkdirat(d, "e", 0755);
	success(s, "exchange with a parent",
		renameat2(s->dir, "d", s->dir, "d/e", RENAME_EXCHANGE));
	success(s, "over a parent", renameat(s->dir, "d/e", s->dir, "d"));
	success(s, "directory slash", renameat(s->dir, "d/", s->dir, "moved/"));
	show_path(s, d);
	success(s, "in what was moved", renameat(s->dir, "f", d, "f"));
	show_path(s, fd);
	/* What is replaced lives on for who has it open. */
	close(file_make(s, "new", 50, 2));
	success(s, "replace", renameat(s->dir, "new", d, "f"));
	fstat(fd, &st);
	note(s, "replaced: links %d, has its data %d\n", (int)st.st_nlink,
	     fd_holds(fd, 0, 100, 1, 0));
	show_path(s, fd);
}

/* What RENAME_WHITEOUT leaves behind is a device that hides nothing here. */
static void whiteouts(struct side *s)
{
	ino_t ino;

	close(file_make(s, "f", 100, 1));
	ino = inode_of(s, "f");
	if (success(s, "whiteout", renameat2(s->dir, "f", s->dir, "g", RENAME_WHITEOUT)))
		return;
	note(s, "moved %d\n", ino == inode_of(s, "g"));
	contents(s, "g");
	show(s, "f");
	success(s, "open", openat(s->dir, "f", O_RDONLY));
	success(s, "create", openat(s->dir, "f", O_CREAT | O_EXCL | O_WRONLY, 0644));
	success(s, "rename over it", renameat(s->dir, "g", s->dir, "f"));
	contents(s, "f");
	success(s, "whiteout over", renameat2(s->dir, "f", s->dir, "h", RENAME_WHITEOUT));
	success(s, "unlink", unlinkat(s->dir, "f", 0));
	show(s, "f");
}

/* Files without a name */

static int link_fd(struct side *s, int fd, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, s->dir, name, AT_SYMLINK_FOLLOW);
}

static void tmpfiles(struct side *s)
{
	int fd, ro, i;
	struct stat st;

	umask(027);
	fd = openat(s->dir, ".", O_TMPFILE | O_RDWR, 0666);
	umask(022);
	success(s, "open", fd);
	fd_write(fd, 0, SIZE, 1);
	fstat(fd, &st);
	note(s, "mode %o links %d size %lld\n", st.st_mode, (int)st.st_nlink,
	     (long long)st.st_size);
	mkdirat(s->dir, "d", 0755);
	success(s, "link", link_fd(s, fd, "d/one"));
	success(s, "link", link_fd(s, fd, "d/one"));
	success(s, "by descriptor", linkat(fd, "", s->dir, "two", AT_EMPTY_PATH));
	note(s, "same %d %d\n", st.st_ino == inode_of(s, "d/one"),
	     st.st_ino == inode_of(s, "two"));
	show(s, "two");
	fd_write(fd, SIZE, SIZE, 1);
	contents(s, "d/one");
	success(s, "rename", renameat(s->dir, "d/one", s->dir, "two"));
	unlinkat(s->dir, "d/one", 0);
	unlinkat(s->dir, "two", 0);
	success(s, "link again", link_fd(s, fd, "three"));
	fd = openat(s->dir, "d", O_TMPFILE | O_WRONLY | O_EXCL, 0644);
	success(s, "excl", fd);
	success(s, "excl link", link_fd(s, fd, "four"));
	success(s, "read-only", openat(s->dir, ".", O_TMPFILE | O_RDONLY, 0644));
	success(s, "in a file", openat(s->dir, "d/none", O_TMPFILE | O_RDWR, 0644));
	ro = openat(s->dir, ".", O_TMPFILE | O_RDWR, 0);
	success(s, "mode 0", ro);
	result(s, "write", write(ro, "x", 1));
	success(s, "link", link_fd(s, ro, "mode0"));
	show(s, "mode0");
	/* Many at once, and none of them shows. */
	for (i = 0; i < 50; i++)
		if (openat(s->dir, "d", O_TMPFILE | O_RDWR, 0644) < 0)
			note(s, "%d: %s\n", i, strerrorname_np(errno));
	success(s, "rmdir", unlinkat(s->dir, "d", AT_REMOVEDIR));
}

static void exclusive(struct side *s)
{
	static const int flags[] = {
		O_CREAT | O_EXCL | O_RDWR, O_CREAT | O_RDWR, O_CREAT | O_EXCL | O_RDONLY | O_TRUNC,
		O_EXCL | O_RDWR, O_CREAT | O_DIRECTORY, O_CREAT | O_NOFOLLOW | O_WRONLY,
		O_CREAT | O_PATH, O_CREAT | O_RDONLY,
	};
	static const char * const names[] = {
		"file", "dir", "link", "dangling", "missing", "file/", "dir/", "missing/", "dir/x",
		"missing/x", ".", "..", "", "loop",
	};
	unsigned int f, n;

	close(file_make(s, "file", 10, 1));
	mkdirat(s->dir, "dir", 0755);
	symlinkat("file", s->dir, "link");
	symlinkat("loop", s->dir, "loop");
	for (f = 0; f < ARRAY_SIZE(flags); f++)
		for (n = 0; n < ARRAY_SIZE(names); n++) {
			char what[64];
			int fd;

			symlinkat("target", s->dir, "dangling");
			snprintf(what, sizeof(what), "%x %s", flags[f], names[n]);
			fd = success(s, what, openat(s->dir, names[n], flags[f], 0644));
			show(s, "target");
			close(fd);
			unlinkat(s->dir, "missing", 0);
			unlinkat(s->dir, "target", 0);
			unlinkat(s->dir, "dangling", 0);
			unlinkat(s->dir, "dir/x", 0);
		}
}

/* Of many who create a file, one does. */
static void exclusive_race(struct side *s)
{
	int i, round, won = 0, status;
	int from[2], go[2];
	char c;

	for (round = 0; round < 10; round++) {
		if (pipe(from) || pipe(go))
			return;
		for (i = 0; i < 4; i++)
			if (!fork()) {
				close(go[1]);
				if (read(go[0], &c, 1) < 0)
					_exit(1);
				if (openat(s->dir, "f", O_CREAT | O_EXCL | O_RDWR, 0644) >= 0 &&
				    write(from[1], "x", 1) != 1)
					_exit(1);
				_exit(0);
			}
		close(go[1]);
		close(from[1]);
		while (read(from[0], &c, 1) == 1)
			won++;
		while (wait(&status) > 0)
			;
		close(go[0]);
		close(from[0]);
		unlinkat(s->dir, "f", 0);
	}
	note(s, "won %d of %d rounds\n", won, round);
}

/* Links */

static void hard_links(struct side *s)
{
	struct flock lock = { .l_type = F_WRLCK };
	int a = file_make(s, "a", SIZE, 1), b;
	struct stat st;
	char *map, buf[4] = "";

	mkdirat(s->dir, "d", 0755);
	symlinkat("a", s->dir, "s");
	success(s, "link", linkat(s->dir, "a", s->dir, "d/b", 0));
	note(s, "same %d\n", inode_of(s, "a") == inode_of(s, "d/b"));
	success(s, "over", linkat(s->dir, "a", s->dir, "d/b", 0));
	success(s, "of a directory", linkat(s->dir, "d", s->dir, "d2", 0));
	success(s, "of a symlink", linkat(s->dir, "s", s->dir, "s2", 0));
	success(s, "of its target", linkat(s->dir, "s", s->dir, "s3", AT_SYMLINK_FOLLOW));
	success(s, "missing", linkat(s->dir, "none", s->dir, "n2", 0));
	show(s, "s2");
	b = file_open(s, "d/b", O_RDWR);
	/* One inode: contents, pages, locks and attributes are shared. */
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, b, 0);
	result(s, "write", pwrite(a, "new", 3, 7));
	note(s, "%.3s\n", map + 7);
	memcpy(map + 20, "map", 3);
	result(s, "read", pread(a, buf, 3, 20));
	note(s, "%s\n", buf);
	munmap(map, SIZE);
	success(s, "lock", fcntl(a, F_OFD_SETLK, &lock));
	success(s, "lock", fcntl(b, F_OFD_SETLK, &lock));
	success(s, "flock", flock(a, LOCK_EX | LOCK_NB));
	success(s, "flock", flock(b, LOCK_EX | LOCK_NB));
	success(s, "truncate", ftruncate(a, 5));
	success(s, "chmod", fchmod(b, 0600));
	show(s, "s3");
	unlinkat(s->dir, "a", 0);
	unlinkat(s->dir, "s3", 0);
	fstat(a, &st);
	note(s, "links %d\n", (int)st.st_nlink);
	success(s, "link of what has none", linkat(s->dir, "d/b", s->dir, "again", 0));
	unlinkat(s->dir, "again", 0);
	unlinkat(s->dir, "d/b", 0);
	fstat(a, &st);
	note(s, "links %d\n", (int)st.st_nlink);
	show_path(s, b);
}

static void many_links(struct side *s)
{
	char name[32];
	int i;

	close(file_make(s, "f", 10, 1));
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "link-%d", i);
		if (linkat(s->dir, "f", s->dir, name, 0))
			note(s, "%s: %s\n", name, strerrorname_np(errno));
	}
	show(s, "link-77");
	for (i = 0; i < 300; i += 2) {
		snprintf(name, sizeof(name), "link-%d", i);
		unlinkat(s->dir, name, 0);
	}
	show(s, "f");
}

static void unlinked(struct side *s)
{
	int fd = file_make(s, "f", SIZE, 1), d, other;
	struct dirent *entry;
	struct stat st;
	char *map;
	DIR *dir;

	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	success(s, "unlink", unlinkat(s->dir, "f", 0));
	show_path(s, fd);
	close(file_make(s, "f", 50, 2));
	fd_write(fd, SIZE, 100, 1);
	success(s, "truncate", ftruncate(fd, SIZE + 50));
	success(s, "chmod", fchmod(fd, 0600));
	success(s, "fsync", fsync(fd));
	success(s, "allocate", fallocate(fd, 0, 0, 2 * SIZE));
	map[0] = 'm';
	fstat(fd, &st);
	note(s, "mode %o links %d size %lld, mapped %c\n", st.st_mode, (int)st.st_nlink,
	     (long long)st.st_size, map[0]);
	munmap(map, SIZE);
	note(s, "has its data %d\n", fd_holds(fd, 8, SIZE - 8, 1, 8));
	success(s, "link", link_fd(s, fd, "back"));
	success(s, "link", linkat(fd, "", s->dir, "back", AT_EMPTY_PATH));
	other = openat(s->dir, "f", O_RDONLY);
	note(s, "another by its name %d\n", fd_holds(other, 0, 50, 2, 0));
	/* Open again what has no name. */
	{
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		other = open(path, O_RDONLY);
		success(s, "by /proc", other);
		note(s, "has its data %d\n", fd_holds(other, 8, SIZE - 8, 1, 8));
	}
	mkdirat(s->dir, "d", 0755);
	d = openat(s->dir, "d", O_RDONLY | O_DIRECTORY);
	success(s, "rmdir", unlinkat(s->dir, "d", AT_REMOVEDIR));
	success(s, "create in it", openat(d, "x", O_CREAT | O_WRONLY, 0644));
	success(s, "mkdir in it", mkdirat(d, "x", 0755));
	success(s, "tmpfile in it", openat(d, ".", O_TMPFILE | O_RDWR, 0644));
	success(s, "dot of it", openat(d, ".", O_RDONLY));
	success(s, "parent of it", openat(d, "..", O_RDONLY));
	success(s, "into it", renameat(s->dir, "f", d, "f"));
	success(s, "link into it", linkat(s->dir, "f", d, "f", 0));
	fstat(d, &st);
	note(s, "links %d\n", (int)st.st_nlink);
	show_path(s, d);
	dir = fdopendir(d);
	errno = 0;
	entry = readdir(dir);
	note(s, "entry %d %s\n", !!entry, strerrorname_np(errno));
	closedir(dir);
}

/* Lengths of names */

static void lengths(struct side *s)
{
	static const int lengths[] = { 1, 31, 32, 33, 39, 40, 254, 255, 256, 1000 };
	char name[1001], other[1001], what[32];
	unsigned int i;

	close(file_make(s, "src", 10, 1));
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		int len = lengths[i];

		memset(name, 'n', len);
		memset(other, 'o', len);
		name[len] = 0;
		other[len] = 0;
		snprintf(what, sizeof(what), "%d", len);
		success(s, what, openat(s->dir, name, O_RDONLY));
		success(s, what, openat(s->dir, name, O_CREAT | O_EXCL | O_WRONLY, 0644));
		success(s, what, renameat(s->dir, name, s->dir, other));
		success(s, what, renameat2(s->dir, other, s->dir, "src", RENAME_EXCHANGE));
		success(s, what, unlinkat(s->dir, other, 0));
		success(s, what, linkat(s->dir, "src", s->dir, name, 0));
		success(s, what, unlinkat(s->dir, name, 0));
		success(s, what, mkdirat(s->dir, name, 0755));
		success(s, what, unlinkat(s->dir, name, AT_REMOVEDIR));
		success(s, what, symlinkat("src", s->dir, name));
		success(s, what, openat(s->dir, name, O_RDONLY));
		success(s, what, unlinkat(s->dir, name, 0));
		success(s, what, mknodat(s->dir, name, S_IFIFO | 0644, 0));
		show(s, name);
		unlinkat(s->dir, name, 0);
	}
}

/* A path of PATH_MAX bytes; and every byte that a name may have. */
static void paths_and_bytes(struct side *s)
{
	char path[PATH_MAX + 2] = "", what[16];
	int c;

	while (strlen(path) + 2 < PATH_MAX)
		strcat(path, "./");
	success(s, "path", openat(s->dir, path, O_RDONLY));
	strcat(path, "./");
	success(s, "path", openat(s->dir, path, O_RDONLY));
	for (c = 1; c < 256; c++) {
		char name[4] = { 'x', c, 0 };

		if (c == '/')
			continue;
		snprintf(what, sizeof(what), "%d", c);
		success(s, what, openat(s->dir, name, O_CREAT | O_EXCL | O_WRONLY, 0644));
		success(s, what, unlinkat(s->dir, name, 0));
	}
}

/* Large directories */

struct entry {
	char name[64];
	long long off;	/* where the next one is */
	unsigned char type;
};

#define ENTRIES	2500

/* As many entries of @fd as there are; the buffer is small, for many calls. */
static int read_entries(int fd, struct entry *entries, int max)
{
	char buf[2000];
	int n = 0;
	long len, i;

	while ((len = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0)
		for (i = 0; i < len && n < max;) {
			struct dirent64 *d = (struct dirent64 *)(buf + i);

			snprintf(entries[n].name, sizeof(entries[n].name), "%.63s", d->d_name);
			entries[n].off = d->d_off;
			entries[n++].type = d->d_type;
			i += d->d_reclen;
		}
	return len < 0 ? -1 : n;
}

static void make_entry(int dir, int i)
{
	char name[64];

	snprintf(name, sizeof(name), "a-name-that-takes-some-room-%d", i);
	switch (i % 5) {
	case 0:
		mkdirat(dir, name, 0755);
		break;
	case 1:
		symlinkat("x", dir, name);
		break;
	case 2:
		mknodat(dir, name, S_IFIFO | 0644, 0);
		break;
	default:
		close(openat(dir, name, O_CREAT | O_WRONLY, 0644));
	}
}

static bool type_is_right(const struct entry *e)
{
	static const unsigned char types[] = { DT_DIR, DT_LNK, DT_FIFO, DT_REG, DT_REG };
	int i;

	if (sscanf(e->name, "a-name-that-takes-some-room-%d", &i) != 1)
		return e->type == DT_DIR;	/* . and .. */
	return e->type == types[i % 5];
}

/* From each place that was told, the rest is what followed. */
static void large_directory(struct side *s)
{
	static struct entry all[ENTRIES + 10], rest[ENTRIES + 10];
	int i, n, wrong = 0, types = 0, fd, many;

	mkdirat(s->dir, "big", 0755);
	fd = openat(s->dir, "big", O_RDONLY | O_DIRECTORY);
	for (i = 0; i < ENTRIES; i++)
		make_entry(fd, i);
	n = read_entries(fd, all, ARRAY_SIZE(all));
	note(s, "%d entries\n", n);
	for (i = 0; i < n; i++)
		types += type_is_right(&all[i]);
	note(s, "%d types right\n", types);
	for (i = 0; i < n - 1; i += 97) {
		if (lseek(fd, all[i].off, SEEK_SET) != all[i].off)
			wrong++;
		many = read_entries(fd, rest, ARRAY_SIZE(rest));
		if (many != n - i - 1 || strcmp(rest[0].name, all[i + 1].name) ||
		    strcmp(rest[many - 1].name, all[n - 1].name))
			wrong++;
	}
	note(s, "%d places wrong\n", wrong);
	/* At the end, and from the start. */
	result(s, "end", read_entries(fd, rest, 1));
	result(s, "rewind", lseek(fd, 0, SEEK_SET));
	make_entry(fd, ENTRIES);
	note(s, "%d entries\n", read_entries(fd, rest, ARRAY_SIZE(rest)));
	success(s, "negative", lseek(fd, -1, SEEK_SET));
	success(s, "SEEK_END", lseek(fd, 0, SEEK_END) < 0 ? -1 : 0);
	success(s, "SEEK_HOLE", lseek(fd, 0, SEEK_HOLE) < 0 ? -1 : 0);
}

/* Who removes what it lists sees each name once, and no other twice. */
static void removing_while_listing(struct side *s)
{
	static char seen[ENTRIES];
	int i, twice = 0, count = 0, fd;
	struct dirent *d;
	DIR *dir;

	memset(seen, 0, sizeof(seen));
	mkdirat(s->dir, "big", 0755);
	fd = openat(s->dir, "big", O_RDONLY | O_DIRECTORY);
	for (i = 0; i < ENTRIES; i++)
		make_entry(fd, i);
	dir = fdopendir(fd);
	while ((d = readdir(dir))) {
		if (sscanf(d->d_name, "a-name-that-takes-some-room-%d", &i) != 1)
			continue;
		twice += seen[i]++;
		count++;
		unlinkat(dirfd(dir), d->d_name, i % 5 ? 0 : AT_REMOVEDIR);
	}
	note(s, "%d seen, %d twice\n", count, twice);
	closedir(dir);
	success(s, "rmdir", unlinkat(s->dir, "big", AT_REMOVEDIR));
}

PARITY_TEST(rename_beside)
PARITY_TEST(rename_elsewhere)
PARITY_TEST(rename_oddities)
PARITY_TEST(whiteouts)
PARITY_TEST(tmpfiles)
PARITY_TEST(exclusive)
PARITY_TEST(exclusive_race)
PARITY_TEST(hard_links)
PARITY_TEST(many_links)
PARITY_TEST(unlinked)
PARITY_TEST(lengths)
PARITY_TEST(paths_and_bytes)
PARITY_TEST(large_directory)
PARITY_TEST(removing_while_listing)

/* The positions are the lower's: one taken there is good here. */
FS_TEST(positions_of_the_lower)
{
	static struct entry up[1100], low[1100];
	int i, n, fd = openat(self->s.dir, ".", O_RDONLY | O_DIRECTORY);
	int below = open(self->s.below, O_RDONLY | O_DIRECTORY);

	for (i = 0; i < 1000; i++)
		make_entry(fd, i);
	n = read_entries(fd, up, ARRAY_SIZE(up));
	ASSERT_EQ(n, read_entries(below, low, ARRAY_SIZE(low)));
	for (i = 0; i < n; i++) {
		EXPECT_STREQ(low[i].name, up[i].name);
		EXPECT_EQ(low[i].off, up[i].off);
	}
	ASSERT_EQ(low[500].off, lseek(fd, low[500].off, SEEK_SET));
	ASSERT_EQ(n - 501, read_entries(fd, up, ARRAY_SIZE(up)));
	EXPECT_STREQ(low[501].name, up[0].name);
}

TEST_HARNESS_MAIN
