// SPDX-License-Identifier: GPL-2.0-only
/* What every file needs and none owns. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "copyfiled.h"

static void *checked(void *p)
{
	/* The daemon holds no state that is worth a try to go on without memory. */
	if (!p) {
		log_err("out of memory");
		abort();
	}
	return p;
}

void *xalloc(size_t size)
{
	return checked(calloc(1, size));
}

void *xrealloc(void *old, size_t size)
{
	return checked(realloc(old, size));
}

char *xstrdup(const char *s)
{
	return checked(strdup(s));
}

int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

void random_bytes(void *buf, size_t len)
{
	if (getrandom(buf, len, 0) != (ssize_t)len) {
		log_err("getrandom: %s", strerror(errno));
		abort();
	}
}

bool write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* A detached thread. Its stack has room for whatever looks up users here. */
bool start_thread(void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 1024 * 1024);
	err = pthread_create(&thread, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	if (err)
		log_err("cannot start a thread: %s", strerror(err));
	return !err;
}

bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return !errno && !*end && *value >= min && *value <= max;
}

/**
 * open_own_dir - open a directory where nobody else may write
 * @path: it; made if it is not there
 *
 * Return: a descriptor, or -1 with errno, for own_dir_error().
 */
int open_own_dir(const char *path)
{
	struct stat st;
	int fd;

	mkdir(path, 0700);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	if (!fstat(fd, &st) && st.st_uid == geteuid() && !(st.st_mode & 022))
		return fd;
	close(fd);
	errno = EPERM;
	return -1;
}

const char *own_dir_error(void)
{
	return errno == EPERM ? "others may write there (chown root, chmod 700)" : strerror(errno);
}

/**
 * lock_file - lock a file for this process
 * @dir: of open_own_dir()
 * @name: the file in it, which stays there
 * @wait_ms: how long to wait for another process
 *
 * Return: a descriptor; the lock lasts as long as it is open, and thus as the
 * last thread of a killed process lives, even one that is still copying. Or -1,
 * with EWOULDBLOCK if another holds it, or another errno.
 */
int lock_file(int dir, const char *name, unsigned int wait_ms)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int64_t until = now_ms() + wait_ms;
	int error;

	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB)) {
		error = errno;
		if (error == EINTR || (error == EWOULDBLOCK && now_ms() < until)) {
			sleep_ms(50);
			continue;
		}
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}
