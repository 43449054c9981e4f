// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a path of a request to a file. It is looked up beneath the export with
 * the caller's rights, as a mere location first (O_PATH), so that nothing but a
 * regular file is ever opened: opening a device or a FIFO has effects.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "copyfiled.h"

#define LEASE_MS	10000	/* for the holder of a lease to give it up */
#define LEASE_STEP_MS	20

copyfile_status status_of(int error)
{
	switch (error) {
	case 0:
		return COPYFILE_OK;
	case EPERM:
		return COPYFILE_PERM;
	case ENOENT:
	case ENOTDIR:
		return COPYFILE_NOENT;
	case ELOOP:	/* a link where the client has none */
	case ESTALE:
		return COPYFILE_STALE;
	case EACCES:
		return COPYFILE_ACCES;
	case EXDEV:
		return COPYFILE_XDEV;
	case EINVAL:
	case ENAMETOOLONG:
		return COPYFILE_INVAL;
	case EFBIG:
	case EOVERFLOW:
		return COPYFILE_FBIG;
	case ENOSPC:
		return COPYFILE_NOSPC;
	case EROFS:
		return COPYFILE_ROFS;
	case EDQUOT:
		return COPYFILE_DQUOT;
	case EOPNOTSUPP:
	case ENOTTY:
	case ENOSYS:
	case EISDIR:
	case ENXIO:
		return COPYFILE_NOTSUPP;
	case EAGAIN:
	case EBUSY:
	case ETXTBSY:
	case EINTR:
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return COPYFILE_BUSY;
	case ECANCELED:
		return COPYFILE_CANCELLED;
	default:
		return COPYFILE_IO;
	}
}

/**
 * path_valid - is it what the protocol calls a path?
 *
 * The kernel would resolve more; what is no path of a client's is not tried.
 */
bool path_valid(const copyfile_path *path)
{
	const char *p = path->copyfile_path_val, *end;

	if (!path->copyfile_path_len)
		return true;
	if (memchr(p, 0, path->copyfile_path_len))
		return false;
	end = p + path->copyfile_path_len;
	for (;;) {
		const char *slash = memchr(p, '/', (size_t)(end - p));
		size_t len = (size_t)((slash ? slash : end) - p);

		if (!len || len > 255 || (len == 1 && p[0] == '.') ||
		    (len == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		if (!slash)
			return true;
		p = slash + 1;
	}
}

static int open_beneath(int dir, const copyfile_path *path)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_XDEV,
	};
	char name[COPYFILE_PATH_MAX + 1] = ".";
	int fd;

	if (path->copyfile_path_len) {
		memcpy(name, path->copyfile_path_val, path->copyfile_path_len);
		name[path->copyfile_path_len] = 0;
	}
	/* EAGAIN: something was renamed meanwhile. */
	for (int i = 0; i < 10; i++) {
		fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd;
}

/**
 * path_works - can paths be looked up beneath a directory?
 * @dir: of an export
 *
 * Return: false with errno where openat2(2) is missing or forbidden.
 */
bool path_works(int dir)
{
	const copyfile_path root = { 0 };
	int fd = open_beneath(dir, &root);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static copyfile_status find_as_caller(struct place *place, const copyfile_path *path)
{
	int error = 0;

	if (!ident_enter(&place->ident))
		return COPYFILE_ACCES;
	place->fd = open_beneath(place->export->tree->fd, path);
	if (place->fd < 0 || fstat(place->fd, &place->st))
		error = errno;
	ident_leave();
	return status_of(error);
}

/**
 * place_find - find what a request names
 * @place: filled in; place_put() is to be called whatever comes out
 * @rq: the request
 * @export: the export's name
 * @path: beneath it
 *
 * Return: a status. Nothing is known of the file yet but where it is.
 */
copyfile_status place_find(struct place *place, const struct request *rq,
			   const char *export, const copyfile_path *path)
{
	copyfile_status status;

	memset(place, 0, sizeof(*place));
	place->fd = -1;
	place->export = export_find(rq->config, export);
	status = export_check(place->export, &rq->conn->peer);
	if (status != COPYFILE_OK)
		return status;
	if (!path_valid(path))
		return COPYFILE_INVAL;
	ident_make(&place->ident, &rq->caller, &rq->conn->peer, place->export);
	return find_as_caller(place, path);
}

void place_put(struct place *place)
{
	if (place->fd >= 0)
		close(place->fd);
	ident_free(&place->ident);
}

/**
 * patience_start - begin to wait for leases, though not for long in all
 * @patience: filled in
 * @copy: gives up when this is cancelled; may be NULL
 */
void patience_start(struct patience *patience, const struct copy *copy)
{
	patience->copy = copy;
	patience->until = now_ms() + LEASE_MS;
}

/* Whoever holds a lease or a delegation is told, and waited for. */
static int open_found(const struct place *place, int flags, const struct patience *patience)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", place->fd);
	for (;;) {
		fd = open(name, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
		if (fd >= 0)
			fcntl(fd, F_SETFL, 0);
		if (fd >= 0 || errno != EWOULDBLOCK)
			return fd;
		if (copy_cancelled(patience->copy) || stopping()) {
			errno = ECANCELED;
			return -1;
		}
		if (now_ms() >= patience->until) {
			errno = EBUSY;
			return -1;
		}
		sleep_ms(LEASE_STEP_MS);
	}
}

/* It may have been given to someone else since it was found. */
static int open_as_owner(const struct place *place, int flags, const struct patience *patience)
{
	int fd = open_found(place, flags, patience);
	struct stat st;

	if (fd < 0 || (!fstat(fd, &st) && st.st_uid == place->ident.uid))
		return fd;
	close(fd);
	errno = EACCES;
	return -1;
}

/**
 * place_open - open a regular file with the caller's rights
 * @place: what place_find() found; its type has been checked
 * @flags: of open(2)
 * @patience: how long to wait for leases; one for all files of a request
 *
 * Its owner may open it whatever its mode says, as with NFS: at the client it is
 * open already, and its mode may have changed since.
 *
 * Context: the daemon's own rights, before and after.
 * Return: a descriptor, or -1 with errno.
 */
int place_open(const struct place *place, int flags, const struct patience *patience)
{
	int fd, error;

	if (!ident_enter(&place->ident)) {
		errno = EACCES;
		return -1;
	}
	fd = open_found(place, flags, patience);
	error = errno;
	ident_leave();
	errno = error;
	if (fd < 0 && errno == EACCES && place->st.st_uid == place->ident.uid)
		fd = open_as_owner(place, flags, patience);
	return fd;
}

/* The same with the daemon's own rights. */
int place_open_own(const struct place *place, int flags, const struct patience *patience)
{
	return open_found(place, flags, patience);
}
