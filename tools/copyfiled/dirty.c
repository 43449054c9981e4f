// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that were copied to and are not committed yet. Each is kept open from
 * before its first byte, for the kernel tells a write-back error to those
 * descriptors that were open then. They are for reading: one for writing would
 * stand in the way of leases, and of executing the file.
 *
 * Their number and age are bounded: the oldest are made durable and closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "copyfiled.h"

#define DIRTY_MAX	1024
#define DIRTY_MANY	768	/* the housekeeper makes some durable ahead of need */
#define DIRTY_MS	60000

struct dirty {
	TAILQ_ENTRY(dirty) link;	/* the one that waits longest first */
	dev_t dev;
	ino_t ino;
	int fd;
	int64_t since;
	unsigned int pins;		/* who uses it now */
	unsigned int writes;		/* copies that have ended */
	unsigned int synced;		/* how many of them are durable */
	pthread_mutex_t lock;		/* one fsync(2) at a time: it tells an error once */
};

static pthread_mutex_t dirty_lock = PTHREAD_MUTEX_INITIALIZER;
static TAILQ_HEAD(dirty_list, dirty) entries = TAILQ_HEAD_INITIALIZER(entries);
static pthread_cond_t dirty_cond = PTHREAD_COND_INITIALIZER;
static atomic_uint nentries;

/* Under dirty_lock. */
static struct dirty *lookup(dev_t dev, ino_t ino)
{
	struct dirty *entry;

	TAILQ_FOREACH(entry, &entries, link)
		if (entry->ino == ino && entry->dev == dev)
			return entry;
	return NULL;
}

/**
 * dirty_find - the entry of a file
 *
 * Return: it, to be given back with dirty_put(), or NULL.
 */
struct dirty *dirty_find(const struct stat *st)
{
	struct dirty *entry;

	pthread_mutex_lock(&dirty_lock);
	entry = lookup(st->st_dev, st->st_ino);
	if (entry)
		entry->pins++;
	pthread_mutex_unlock(&dirty_lock);
	return entry;
}

static struct dirty *entry_new(const struct stat *st, int fd)
{
	struct dirty *entry = xalloc(sizeof(*entry));

	entry->dev = st->st_dev;
	entry->ino = st->st_ino;
	entry->fd = fd;
	entry->since = now_ms();
	pthread_mutex_init(&entry->lock, NULL);
	TAILQ_INSERT_TAIL(&entries, entry, link);
	if (++nentries > DIRTY_MANY)
		pthread_cond_signal(&dirty_cond);
	stat_inc(STAT_UNCOMMITTED);
	return entry;
}

/* Under dirty_lock: drop an entry that nobody needs. */
static void release(struct dirty *entry)
{
	if (entry->pins || entry->synced != entry->writes)
		return;
	TAILQ_REMOVE(&entries, entry, link);
	nentries--;
	stat_dec(STAT_UNCOMMITTED);
	close(entry->fd);
	pthread_mutex_destroy(&entry->lock);
	free(entry);
}

/* Make the one that waits longest durable. Return: false if all are in use. */
static bool sync_oldest(int64_t before)
{
	struct dirty *entry;

	pthread_mutex_lock(&dirty_lock);
	TAILQ_FOREACH(entry, &entries, link)
		if (!entry->pins && entry->since <= before)
			break;
	if (entry)
		entry->pins++;
	pthread_mutex_unlock(&dirty_lock);
	if (!entry)
		return false;
	dirty_sync(entry);
	dirty_put(entry, false);
	return true;
}

/**
 * dirty_get - a file is about to be copied to
 * @place: the file
 * @patience: for opening it
 *
 * Context: the daemon's own rights.
 * Return: its entry, for dirty_put(), or NULL: then nobody will notice what
 * goes wrong after the reply.
 */
struct dirty *dirty_get(const struct place *place, const struct patience *patience)
{
	struct dirty *entry = dirty_find(&place->st);
	int fd;

	if (entry)
		return entry;
	/* The housekeeper is at it; this copy is made durable by itself. */
	if (nentries >= DIRTY_MAX)
		return NULL;
	fd = place_open_own(place, O_RDONLY, patience);
	if (fd < 0)
		return NULL;
	pthread_mutex_lock(&dirty_lock);
	entry = lookup(place->st.st_dev, place->st.st_ino);
	if (entry)
		close(fd);
	else
		entry = entry_new(&place->st, fd);
	entry->pins++;
	pthread_mutex_unlock(&dirty_lock);
	return entry;
}

/**
 * dirty_put - give an entry back
 * @wrote: a copy of the caller's has written to the file since dirty_get()
 */
void dirty_put(struct dirty *entry, bool wrote)
{
	pthread_mutex_lock(&dirty_lock);
	entry->pins--;
	if (wrote && entry->writes++ == entry->synced)
		entry->since = now_ms();
	release(entry);
	pthread_mutex_unlock(&dirty_lock);
}

/* fsync(2): 0 or an errno. Whoever learns of a failure finds a new verifier. */
int sync_file(int fd)
{
	int error = fsync(fd) ? errno : 0;

	if (error)
		verifier_change("a file could not be written back");
	return error;
}

/* What a client is told of it. */
copyfile_status sync_status(int error)
{
	if (!error)
		return COPYFILE_OK;
	return error == ENOSPC || error == EDQUOT ? COPYFILE_NOSPC : COPYFILE_IO;
}

/**
 * dirty_sync - fsync(2) of a file
 * @entry: from dirty_get() or dirty_find()
 *
 * A failure changes the write verifier before anybody else can learn of it.
 *
 * Return: 0 or an errno.
 */
int dirty_sync(struct dirty *entry)
{
	unsigned int writes;
	int error;

	pthread_mutex_lock(&dirty_lock);
	writes = entry->writes;
	pthread_mutex_unlock(&dirty_lock);
	pthread_mutex_lock(&entry->lock);
	error = sync_file(entry->fd);
	pthread_mutex_unlock(&entry->lock);
	pthread_mutex_lock(&dirty_lock);
	if ((int)(writes - entry->synced) > 0)
		entry->synced = writes;
	/* What has come meanwhile is younger than what was asked for. */
	if (entry->writes != entry->synced)
		entry->since = now_ms();
	pthread_mutex_unlock(&dirty_lock);
	return error;
}

/* Under dirty_lock: the next entry to sync of @dev, pinned. 0 is all devices. */
static struct dirty *next_of(dev_t dev, int64_t before)
{
	struct dirty *entry;

	TAILQ_FOREACH(entry, &entries, link) {
		if ((!dev || entry->dev == dev) && entry->writes != entry->synced &&
		    entry->since <= before) {
			entry->pins++;
			return entry;
		}
	}
	return NULL;
}

/**
 * dirty_sync_all - make all files of a file system durable
 * @dev: which; 0 for all
 * @before: what has waited since then; INT64_MAX for all, when nobody copies
 *
 * Return: 0 or the last errno.
 */
int dirty_sync_all(dev_t dev, int64_t before)
{
	struct dirty *entry;
	int error = 0, e;

	for (;;) {
		pthread_mutex_lock(&dirty_lock);
		entry = next_of(dev, before);
		pthread_mutex_unlock(&dirty_lock);
		if (!entry)
			return error;
		e = dirty_sync(entry);
		dirty_put(entry, false);
		if (e)
			error = e;
	}
}

/* A few seconds, or until there are many. */
static void wait_for_many(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	pthread_mutex_lock(&dirty_lock);
	if (nentries <= DIRTY_MANY)
		pthread_cond_timedwait(&dirty_cond, &dirty_lock, &until);
	pthread_mutex_unlock(&dirty_lock);
}

static void *housekeeper(void *arg)
{
	while (!stopping()) {
		int64_t before = nentries > DIRTY_MANY ? INT64_MAX : now_ms() - DIRTY_MS;

		if (!sync_oldest(before))
			wait_for_many();
	}
	return NULL;
}

bool dirty_start(void)
{
	return start_thread(housekeeper, NULL);
}

/* At the end: Return: true if all is durable. */
bool dirty_finish(void)
{
	return dirty_sync_all(0, INT64_MAX) == 0;
}
