// SPDX-License-Identifier: GPL-2.0-only
/*
 * faults_files - faults in calls on files and names of a mount
 *
 * usage: faults_files UP LOWER [SCENARIO...]
 *   UP is an offloadfs mount of LOWER; without SCENARIO all of them
 */
#include "faults.h"

static struct {
	struct file_handle h;
	unsigned char data[MAX_HANDLE_SZ];
} handle;

/* A call is made on a file that is opened for it. */
static ssize_t on_file(int flags, ssize_t (*call)(int fd))
{
	int fd = open(path, flags, 0644), error;
	ssize_t ret;

	if (fd < 0)
		return -1;
	ret = call(fd);
	error = errno;
	close(fd);
	errno = error;
	return ret;
}

static ssize_t do_nothing(int fd) { (void)fd; return 0; }
static ssize_t do_read(int fd) { return read(fd, got, OLD_SIZE) < 0 ? -1 : 0; }
static ssize_t do_write(int fd) { return write(fd, src, SRC_SIZE); }
static ssize_t do_fsync(int fd) { return write(fd, src, 1) < 0 ? -1 : fsync(fd); }
static ssize_t do_flock(int fd) { return flock(fd, LOCK_EX); }
static ssize_t do_fallocate(int fd) { return fallocate(fd, 1, 0, SRC_SIZE); }
static ssize_t do_truncate(int fd) { return ftruncate(fd, OLD_SIZE); }

static ssize_t do_map(int fd)
{
	unsigned char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
				  MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return -1;
	return munmap(map, 8192);
}

static ssize_t act_open(void) { return on_file(O_RDWR, do_nothing); }
static ssize_t act_create(void) { return on_file(O_RDWR | O_CREAT, do_nothing); }
static ssize_t act_read(void) { return on_file(O_RDWR, do_read); }
static ssize_t act_write(void) { return on_file(O_RDWR, do_write); }
static ssize_t act_fsync(void) { return on_file(O_RDWR, do_fsync); }
static ssize_t act_flock(void) { return on_file(O_RDWR, do_flock); }
static ssize_t act_map(void) { return on_file(O_RDWR, do_map); }
static ssize_t act_fallocate(void) { return on_file(O_RDWR, do_fallocate); }
static ssize_t act_truncate(void) { return on_file(O_RDWR, do_truncate); }
static ssize_t act_mkdir(void) { return mkdir(path, 0755); }
static ssize_t act_symlink(void) { return symlink("target", path); }
static ssize_t act_mknod(void) { return mknod(path, S_IFIFO | 0644, 0); }
static ssize_t act_link(void) { return link(path, path2); }
static ssize_t act_chmod(void) { return chmod(path, 0600); }
static ssize_t act_getxattr(void) { return listxattr(path, (char *)got, 100) < 0 ? -1 : 0; }
static ssize_t act_setxattr(void) { return setxattr(path, "trusted.x", "y", 1, 0); }

static ssize_t act_stat(void)
{
	struct statfs fs;
	struct stat st;

	return stat(path, &st) ?: statfs(path, &fs);
}

static ssize_t act_rename(void)
{
	if (rename(path, path2))
		return -1;
	while (rename(path2, path))
		;	/* it was there once: it has to come back */
	return 0;
}

static ssize_t act_unlink(void)
{
	return unlink(path);
}

static void verify_unlink(ssize_t ret)
{
	errno_is_sane(ret);
	if (ret && access(below, F_OK))
		broken("unlink failed, but the file is gone");
	remove_files();
}

static ssize_t act_tmpfile(void)
{
	int fd = open(up, O_TMPFILE | O_RDWR, 0600);

	return fd < 0 ? -1 : close(fd);
}

static ssize_t act_readdir(void)
{
	int fd = open(up, O_RDONLY | O_DIRECTORY);
	ssize_t n;

	if (fd < 0)
		return -1;
	do {
		n = getdents64(fd, got, sizeof(got));
	} while (n > 0);
	close(fd);
	return n;
}

/* A handle is the lower's: take it there, so that the upper starts cold. */
static void new_handle(void)
{
	int id;

	new_file();
	handle.h.handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(AT_FDCWD, below, &handle.h, &id, 0))
		err(2, "name_to_handle_at %s", below);
}

static ssize_t act_handle(void)
{
	int dir = open(up, O_RDONLY | O_DIRECTORY), fd;

	if (dir < 0)
		return -1;
	fd = open_by_handle_at(dir, &handle.h, O_RDONLY);
	close(dir);
	return fd < 0 ? -1 : close(fd);
}

/* exportfs takes every failure of a file system for a stale handle. */
static void verify_handle(ssize_t ret)
{
	if (ret < 0 && errno == ESTALE)
		errno = ENOMEM;
	verify_old(ret);
}

/*
 * Locks: a file is held locked from byte 0 to 99, and 10 to 19 change. The
 * locks are the open file's: those of a process would go at any close.
 */

static int held;

static int set_lock(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock lock = { .l_type = type, .l_start = start, .l_len = len };

	return fcntl(fd, cmd, &lock);
}

static void held_locked(short type)
{
	new_file();
	held = open(path, O_RDWR);
	if (held < 0 || set_lock(held, F_OFD_SETLK, type, 0, 100))
		err(2, "lock %s", path);
}

static void write_locked(void) { held_locked(F_WRLCK); }
static void read_locked(void) { held_locked(F_RDLCK); }

/* Could somebody else write there? In the upper and in the lower alike. */
static bool is_free(off_t start, off_t len)
{
	bool free[2];
	int i, fd;

	for (i = 0; i < 2; i++) {
		fd = open(i ? below : path, O_RDWR);
		free[i] = !set_lock(fd, F_OFD_SETLK, F_WRLCK, start, len);
		if (!free[i] && errno != EAGAIN)
			broken("cannot lock: %s", strerror(errno));
		close(fd);
	}
	if (free[0] != free[1])
		broken("bytes from %lld on are locked in the %s only",
		       (long long)start, free[0] ? "lower" : "upper");
	return free[0];
}

static void verify_locks(void)
{
	if (is_free(0, 10) || is_free(20, 80))
		broken("locked bytes are free");
	close(held);
	if (!is_free(0, 100))
		broken("a closed file is still locked");
	remove_files();
}

static ssize_t act_unlock(void)
{
	return set_lock(held, F_OFD_SETLK, F_UNLCK, 10, 10);
}

static void verify_unlock(ssize_t ret)
{
	errno_is_sane(ret);
	if (is_free(10, 10) != !ret)
		broken("unlocking says %zd, which is not so", ret);
	verify_locks();
}

static ssize_t act_upgrade(void)
{
	return set_lock(held, F_OFD_SETLK, F_WRLCK, 10, 10);
}

static void verify_upgrade(ssize_t ret)
{
	errno_is_sane(ret);
	if (is_free(10, 10))
		broken("a read lock is lost");
	verify_locks();
}

/* Copies */

static ssize_t with_source(int out, ssize_t (*copy)(int in, int out))
{
	char name[4200];
	ssize_t ret;
	int in, error;

	snprintf(name, sizeof(name), "%s/src", up);
	in = open(name, O_RDONLY);
	if (in < 0)
		return -1;
	ret = copy(in, out);
	error = errno;
	close(in);
	errno = error;
	return ret;
}

static ssize_t copy_sendfile(int in, int out)
{
	return sendfile(out, in, NULL, SRC_SIZE);
}

static ssize_t copy_range(int in, int out)
{
	return copy_file_range(in, NULL, out, NULL, SRC_SIZE, 0);
}

static ssize_t copy_clone(int in, int out)
{
	if (!ioctl(out, FICLONE, in))
		return SRC_SIZE;
	return errno == EOPNOTSUPP ? 0 : -1;
}

static ssize_t do_sendfile(int fd) { return with_source(fd, copy_sendfile); }
static ssize_t do_range(int fd) { return with_source(fd, copy_range); }
static ssize_t do_clone(int fd) { return with_source(fd, copy_clone); }
static ssize_t act_sendfile(void) { return on_file(O_RDWR, do_sendfile); }
static ssize_t act_range(void) { return on_file(O_RDWR, do_range); }
static ssize_t act_clone(void) { return on_file(O_RDWR, do_clone); }

static const struct scenario scenarios[] = {
	{ "open", new_file, act_open, verify_old },
	{ "create", new_name, act_create, verify_name },
	{ "stat", new_file, act_stat, verify_old },
	{ "read", new_file, act_read, verify_old },
	{ "write", new_file, act_write, verify_written },
	{ "map", new_file, act_map, verify_old },
	{ "fsync", new_file, act_fsync, verify_written },
	{ "fallocate", new_file, act_fallocate, verify_old },
	{ "truncate", new_file, act_truncate, verify_old },
	{ "flock", new_file, act_flock, verify_old },
	{ "unlock", write_locked, act_unlock, verify_unlock },
	{ "upgrade", read_locked, act_upgrade, verify_upgrade },
	{ "chmod", new_file, act_chmod, verify_old },
	{ "getxattr", new_file, act_getxattr, verify_old },
	{ "setxattr", new_file, act_setxattr, verify_old },
	{ "mkdir", new_name, act_mkdir, verify_name },
	{ "symlink", new_name, act_symlink, verify_name },
	{ "mknod", new_name, act_mknod, verify_name },
	{ "link", new_file, act_link, verify_old },
	{ "rename", new_file, act_rename, verify_old },
	{ "unlink", new_file, act_unlink, verify_unlink },
	{ "tmpfile", new_name, act_tmpfile, verify_name },
	{ "readdir", new_file, act_readdir, verify_old },
	{ "handle", new_handle, act_handle, verify_handle },
	{ "sendfile", new_file, act_sendfile, verify_written },
	{ "copy_file_range", new_file, act_range, verify_written },
	{ "clone", new_file, act_clone, verify_written },
};

int main(int argc, char **argv)
{
	return play_named(argc, argv, scenarios,
			  sizeof(scenarios) / sizeof(*scenarios));
}
