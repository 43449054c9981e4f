/* SPDX-License-Identifier: GPL-2.0-only */
/* Files of each kind, and what somebody without rights may do to them. */
#ifndef OFFLOADFS_SELFTESTS_KINDS_H
#define OFFLOADFS_SELFTESTS_KINDS_H

#include "parity.h"

/* One of each kind. */
static const char * const kinds[] = { "f", "d", "l", "p", "c" };

static inline void make_kinds(struct side *s)
{
	close(file_make(s, "f", 10000, 1));
	if (mkdirat(s->dir, "d", 0755) || symlinkat("nowhere", s->dir, "l") ||
	    mknodat(s->dir, "p", S_IFIFO | 0644, 0) ||
	    mknodat(s->dir, "c", S_IFCHR | 0644, makedev(1, 3)))
		note(s, "cannot make all: %s\n", strerrorname_np(errno));
}

static inline void as_nobody(struct side *s, void (*func)(struct side *s))
{
	int status = -1;

	fflush(s->log);
	if (!fork()) {
		char *log = NULL;
		size_t len;
		int fd;

		/* The log is memory of the parent's: send it what is added. */
		s->log = open_memstream(&log, &len);
		/* The way here may be closed to others. */
		snprintf(s->path, sizeof(s->path), ".");
		if (fchdir(s->dir) || setgid(12345) || setuid(65534))
			_exit(1);
		func(s);
		fclose(s->log);
		fd = openat(s->dir, "nobody.log", O_WRONLY | O_TRUNC);
		_exit(fd < 0 || write(fd, log, len) != (ssize_t)len);
	}
	wait(&status);
	note(s, "as nobody (%d):\n", status);
	if (!status) {
		static char text[65536];
		int fd = openat(s->dir, "nobody.log", O_RDONLY);
		ssize_t n = read(fd, text, sizeof(text));

		if (n > 0)
			note(s, "%.*s", (int)n, text);
		close(fd);
	}
}

/* Where as_nobody() leaves its log. */
static inline void allow_nobody(struct side *s)
{
	int fd = openat(s->dir, "nobody.log", O_CREAT | O_WRONLY, 0666);

	fchmod(fd, 0666);
	close(fd);
}

static inline void show_mode(struct side *s, const char *name)
{
	struct stat st;

	if (fstatat(s->dir, name, &st, 0))
		result(s, name, -1);
	else
		note(s, "%s: mode %o owner %d:%d\n", name, st.st_mode, st.st_uid, st.st_gid);
}

#endif /* OFFLOADFS_SELFTESTS_KINDS_H */
