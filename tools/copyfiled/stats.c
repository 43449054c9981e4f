// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters, and the control socket in the state directory that tells them.
 * Whoever can connect to it gets all of them, and the connection is closed; the
 * socket is root's alone.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "copyfiled.h"

static _Atomic int64_t counters[STAT_COUNT];

static const char *const names[STAT_COUNT] = {
	[STAT_CONNECTIONS] = "connections",
	[STAT_CONNECTIONS_TOTAL] = "connections_total",
	[STAT_CONNECTIONS_REFUSED] = "connections_refused",
	[STAT_CONNECTIONS_STALLED] = "connections_stalled",
	[STAT_NULL] = "requests_null",
	[STAT_HELLO] = "requests_hello",
	[STAT_PROBE] = "requests_probe",
	[STAT_COPY] = "requests_copy",
	[STAT_CANCEL] = "requests_cancel",
	[STAT_COMMIT] = "requests_commit",
	[STAT_BAD_CALLS] = "requests_bad",
	[STAT_COPIES] = "copies",
	[STAT_BYTES_CLONED] = "bytes_cloned",
	[STAT_BYTES_IN_KERNEL] = "bytes_in_kernel",
	[STAT_BYTES_READ_WRITE] = "bytes_read_write",
	[STAT_DUPLICATES] = "duplicates",
	[STAT_CANCELLED] = "cancelled",
	[STAT_STALE] = "stale",
	[STAT_DENIED] = "denied",
	[STAT_BUSY] = "busy",
	[STAT_ERRORS] = "errors",
	[STAT_RUNNING] = "running",
	[STAT_QUEUED] = "queued",
	[STAT_CLIENTS] = "clients",
	[STAT_UNCOMMITTED] = "uncommitted",
	[STAT_WRITEBACK_ERRORS] = "writeback_errors",
	[STAT_RELOADS] = "reloads",
};

void stat_add(enum stat_id id, int64_t n)
{
	atomic_fetch_add_explicit(&counters[id], n, memory_order_relaxed);
}

/* Count a reply by its status. */
void stat_status(copyfile_status status)
{
	switch (status) {
	case COPYFILE_OK:
		break;
	case COPYFILE_PERM:
	case COPYFILE_ACCES:
	case COPYFILE_ROFS:
	case COPYFILE_NOEXPORT:
		stat_inc(STAT_DENIED);
		break;
	case COPYFILE_STALE:
		stat_inc(STAT_STALE);
		break;
	case COPYFILE_BUSY:
		stat_inc(STAT_BUSY);
		break;
	case COPYFILE_CANCELLED:
		stat_inc(STAT_CANCELLED);
		break;
	default:
		stat_inc(STAT_ERRORS);
	}
}

static bool control_address(struct sockaddr_un *sa, const char *dir, const char *name)
{
	int n;

	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	n = snprintf(sa->sun_path, sizeof(sa->sun_path), "%s%s", dir, name);
	if (n > 0 && (size_t)n < sizeof(sa->sun_path))
		return true;
	log_err("%s%s: too long for a socket's name, choose a shorter --state-dir", dir, name);
	return false;
}

/**
 * control_open - make the control socket
 * @state_dir: where; this process is the only one that uses it
 *
 * Return: the listening socket, or -1 (logged).
 */
int control_open(const char *state_dir)
{
	struct sockaddr_un sa;
	mode_t mask;
	int fd, err;

	if (!control_address(&sa, state_dir, "/control"))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	unlink(sa.sun_path);
	mask = umask(0177);
	err = bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 8);
	umask(mask);
	if (!err)
		return fd;
	log_err("%s: %s", sa.sun_path, strerror(errno));
	close(fd);
	return -1;
}

void control_answer(int listen_fd)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer peer;
	char text[4096];
	size_t len = 0;

	if (fd < 0)
		return;
	if (peer_of(fd, &peer) && (peer.uid == 0 || peer.uid == geteuid())) {
		for (int i = 0; i < STAT_COUNT; i++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s %lld\n",
						names[i], (long long)counters[i]);
		/* A new socket takes this much without waiting. */
		send(fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	close(fd);
}

/**
 * control_ask - what copyfiled --stats does
 * @path: the control socket, or a state directory
 *
 * Return: the exit status.
 */
int control_ask(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa;
	struct stat st;
	char text[4096];
	ssize_t n;
	bool got = false;

	if (fd < 0 || !control_address(&sa, path, stat(path, &st) == 0 && S_ISDIR(st.st_mode) ?
				       "/control" : ""))
		return 1;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		log_err("%s: %s (is copyfiled running, with this --state-dir?)", sa.sun_path,
			strerror(errno));
		close(fd);
		return 1;
	}
	while ((n = read(fd, text, sizeof(text))) > 0)
		got = write_all(STDOUT_FILENO, text, (size_t)n);
	close(fd);
	if (!got)
		log_err("%s: no answer", sa.sun_path);
	return !got;
}
