// SPDX-License-Identifier: GPL-2.0-only
/*
 * COMMIT: what fsync(2) and syncfs(2) at the client come to.
 *
 * One worker at a time makes a file durable, or an export, however many ask for
 * it and however long it takes. Those that come meanwhile wait for the next
 * round, which is one for all of them, and no worker waits with them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "copyfiled.h"

/* What a worker is at, and who waits for it. */
struct round {
	LIST_ENTRY(round) link;
	dev_t dev;
	ino_t ino;
	struct request_list waiters;
};

static pthread_mutex_t rounds_lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(round_list, round) rounds = LIST_HEAD_INITIALIZER(rounds);

/* What is to be made durable, kept open: a file, or with neither an export. */
struct target {
	struct config *config;		/* a reference: the place is in one of its exports */
	struct place place;
	struct dirty *dirty;
	int fd;
};

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
static copyfile_status open_other(struct target *target)
{
	struct patience patience;

	patience_start(&patience, NULL);
	target->fd = place_open(&target->place, O_RDONLY, &patience);
	if (target->fd < 0 && errno == EACCES)
		target->fd = place_open(&target->place, O_WRONLY, &patience);
	return target->fd < 0 ? status_of(errno) : COPYFILE_OK;
}

static copyfile_status target_open(struct target *target, const struct request *rq)
{
	const copyfile_commit_args *args = &rq->args.commit;
	struct place *place = &target->place;
	copyfile_status status;

	target->config = rq->config;
	atomic_fetch_add(&target->config->refs, 1);
	status = place_find(place, rq, args->export, &args->path);
	if (status != COPYFILE_OK)
		return status;
	if (args->fileid && args->fileid != place->st.st_ino)
		return COPYFILE_STALE;
	if (!args->path.copyfile_path_len)
		return COPYFILE_OK;
	if (!S_ISREG(place->st.st_mode))
		return COPYFILE_NOTSUPP;
	target->dirty = dirty_find(&place->st);
	return target->dirty ? COPYFILE_OK : open_other(target);
}

static copyfile_status target_sync(const struct target *target)
{
	if (target->dirty)
		return sync_status(dirty_sync(target->dirty));
	if (target->fd >= 0)
		return sync_status(sync_file(target->fd));
	return commit_export(&target->place);
}

static void target_close(struct target *target)
{
	if (target->dirty)
		dirty_put(target->dirty, false);
	if (target->fd >= 0)
		close(target->fd);
	place_put(&target->place);
	config_put(target->config);
}

/* Return: false if another worker is at it, and will answer the request. */
static bool round_begin(struct round *new, const struct stat *st, struct request *rq)
{
	struct round *round;

	pthread_mutex_lock(&rounds_lock);
	LIST_FOREACH(round, &rounds, link)
		if (round->ino == st->st_ino && round->dev == st->st_dev)
			break;
	if (round) {
		STAILQ_INSERT_TAIL(&round->waiters, rq, link);
	} else {
		new->dev = st->st_dev;
		new->ino = st->st_ino;
		STAILQ_INIT(&new->waiters);
		LIST_INSERT_HEAD(&rounds, new, link);
	}
	pthread_mutex_unlock(&rounds_lock);
	return !round;
}

/* Who has come meanwhile? Return: false if nobody, and the rounds are over. */
static bool round_next(struct round *round, struct request_list *list)
{
	bool more;

	pthread_mutex_lock(&rounds_lock);
	STAILQ_CONCAT(list, &round->waiters);
	more = !STAILQ_EMPTY(list);
	if (!more)
		LIST_REMOVE(round, link);
	pthread_mutex_unlock(&rounds_lock);
	return more;
}

/* Answer them all. At the daemon's end nobody is: see queue_stop(). */
static void round_reply(struct request_list *list, bool answer, copyfile_status status)
{
	struct request *rq;

	while ((rq = STAILQ_FIRST(list))) {
		STAILQ_REMOVE_HEAD(list, link);
		if (answer)
			commit_reply(rq, status);
		else
			request_free(rq);
	}
}

void commit_reply(struct request *rq, copyfile_status status)
{
	copyfile_commit_res res = { .status = status };

	/* Only now: a write that failed meanwhile has changed it. */
	if (status == COPYFILE_OK)
		verifier_get(res.copyfile_commit_res_u.verifier);
	request_reply(rq, (xdrproc_t)xdr_copyfile_commit_res, &res, status);
}

/**
 * commit_execute - do what a COMMIT asks for, and answer it
 * @rq: not the caller's any more
 *
 * Context: a worker, with the daemon's own rights.
 */
void commit_execute(struct request *rq)
{
	struct request_list list = STAILQ_HEAD_INITIALIZER(list);
	struct target target = { .place.fd = -1, .fd = -1 };
	copyfile_status status = target_open(&target, rq);
	struct round round;

	if (status != COPYFILE_OK) {
		commit_reply(rq, status);
	} else if (round_begin(&round, &target.place.st, rq)) {
		STAILQ_INSERT_TAIL(&list, rq, link);
		do {
			bool go = !stopping();

			status = go ? target_sync(&target) : COPYFILE_OK;
			round_reply(&list, go, status);
		} while (round_next(&round, &list));
	}
	target_close(&target);
}
