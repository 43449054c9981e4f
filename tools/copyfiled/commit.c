// SPDX-License-Identifier: GPL-2.0-only
/* COMMIT: what fsync(2) and syncfs(2) at the client come to. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "copyfiled.h"

/*
 * All of the export. First the files that were copied to, each by the descriptor
 * that saw what went wrong with it.
 */
static copyfile_status commit_export(const struct place *place)
{
	struct tree *tree = place->export->tree;
	int error = dirty_sync_all(place->st.st_dev, now_ms());

	pthread_mutex_lock(&tree->sync_lock);
	if (syncfs(tree->fd)) {
		error = errno;
		verifier_change("a file system could not be written back");
	}
	pthread_mutex_unlock(&tree->sync_lock);
	return sync_status(error);
}

/* Not copied to of late: whoever may read or write it may make it durable. */
static copyfile_status commit_other(const struct place *place)
{
	int fd = place_open(place, O_RDONLY, NULL);
	int error;

	if (fd < 0 && errno == EACCES)
		fd = place_open(place, O_WRONLY, NULL);
	if (fd < 0)
		return status_of(errno);
	error = sync_file(fd);
	close(fd);
	return sync_status(error);
}

static copyfile_status commit_file(const struct place *place)
{
	struct dirty *entry = dirty_find(&place->st);
	int error;

	if (!entry)
		return commit_other(place);
	error = dirty_sync(entry);
	dirty_put(entry, false);
	return sync_status(error);
}

static copyfile_status commit(struct place *place, const struct request *rq)
{
	const copyfile_commit_args *args = &rq->args.commit;
	copyfile_status status = place_find(place, rq, args->export, &args->path);

	if (status != COPYFILE_OK)
		return status;
	if (args->fileid && args->fileid != place->st.st_ino)
		return COPYFILE_STALE;
	if (!args->path.copyfile_path_len)
		return commit_export(place);
	return S_ISREG(place->st.st_mode) ? commit_file(place) : COPYFILE_NOTSUPP;
}

/* Context: a worker, with the daemon's own rights. */
void commit_execute(struct request *rq, copyfile_commit_res *res)
{
	struct place place = { .fd = -1 };

	res->status = commit(&place, rq);
	/* Only now: a write that failed meanwhile has changed it. */
	if (res->status == COPYFILE_OK)
		verifier_get(res->copyfile_commit_res_u.verifier);
	place_put(&place);
}
