// SPDX-License-Identifier: GPL-2.0-only
/*
 * PROBE: do client and server see one tree? The answer is written into a file
 * that proves to be the client's, with the daemon's own rights: the one who
 * mounts is often squashed here, and may not write it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "copyfiled.h"

static bool name_is_probe(const copyfile_path *path)
{
	static const char prefix[] = COPYFILE_PROBE_PREFIX;
	const char *slash, *name;
	size_t len;

	if (!path->copyfile_path_len)
		return false;
	slash = memrchr(path->copyfile_path_val, '/', path->copyfile_path_len);
	name = slash ? slash + 1 : path->copyfile_path_val;
	len = path->copyfile_path_len - (size_t)(name - path->copyfile_path_val);
	return len >= sizeof(prefix) - 1 && !memcmp(name, prefix, sizeof(prefix) - 1);
}

static copyfile_status fill_reply(int fd, copyfile_probe_ok *ok)
{
	struct stat st;

	if (fstat(fd, &st))
		return COPYFILE_IO;
	ok->fileid = st.st_ino;
	ok->mtime.seconds = st.st_mtim.tv_sec;
	ok->mtime.nseconds = (u_int)st.st_mtim.tv_nsec;
	return COPYFILE_OK;
}

/* One byte more than the nonce is read, to see that there is none. */
static bool is_nonce(int fd, const char *nonce)
{
	char buf[COPYFILE_NONCE_SIZE + 1];

	return pread(fd, buf, sizeof(buf), 0) == COPYFILE_NONCE_SIZE &&
	       !memcmp(buf, nonce, COPYFILE_NONCE_SIZE);
}

static copyfile_status write_answer(int fd, const char *nonce, copyfile_probe_ok *ok)
{
	if (!is_nonce(fd, nonce))
		return COPYFILE_MISMATCH;
	random_bytes(ok->answer, sizeof(ok->answer));
	errno = EIO;
	if (pwrite(fd, ok->answer, sizeof(ok->answer), COPYFILE_NONCE_SIZE) !=
	    (ssize_t)sizeof(ok->answer) || fsync(fd))
		return status_of(errno);
	return fill_reply(fd, ok);
}

static copyfile_status probe_file(const struct place *place, const char *nonce,
				  copyfile_probe_ok *ok)
{
	struct patience patience;
	copyfile_status status;
	struct stat st;
	int fd;

	if (!S_ISREG(place->st.st_mode) || place->st.st_nlink != 1)
		return COPYFILE_MISMATCH;
	patience_start(&patience, NULL);
	fd = place_open_own(place, O_RDWR, &patience);
	if (fd < 0)
		return status_of(errno);
	if (fstat(fd, &st) || st.st_nlink != 1)
		status = COPYFILE_MISMATCH;
	else
		status = write_answer(fd, nonce, ok);
	close(fd);
	return status;
}

static copyfile_status probe(struct place *place, const struct request *rq, copyfile_probe_ok *ok)
{
	const copyfile_probe_args *args = &rq->args.probe;
	bool file = args->nonce.nonce_len;
	copyfile_status status;

	if (file && (args->nonce.nonce_len != COPYFILE_NONCE_SIZE || !name_is_probe(&args->path)))
		return COPYFILE_INVAL;
	status = place_find(place, rq, args->export, &args->path);
	if (status != COPYFILE_OK)
		return status;
	if (file)
		return place->export->rdonly ? COPYFILE_ROFS :
					       probe_file(place, args->nonce.nonce_val, ok);
	return S_ISDIR(place->st.st_mode) ? fill_reply(place->fd, ok) : COPYFILE_NOTSUPP;
}

/* Context: a worker, with the daemon's own rights. */
void probe_execute(struct request *rq, copyfile_probe_res *res)
{
	struct place place = { .fd = -1 };

	res->status = probe(&place, rq, &res->copyfile_probe_res_u.ok);
	place_put(&place);
}
