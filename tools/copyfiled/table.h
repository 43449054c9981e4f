/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Clients and their copies, between client.c, which keeps them, and table.c,
 * which knows what becomes of a request. All of it is under table_lock.
 */
#ifndef TABLE_H
#define TABLE_H

#include "copyfiled.h"

#define FINISHED_MAX	128	/* entries that a client keeps */

struct waiter {
	STAILQ_ENTRY(waiter) link;
	struct conn *conn;		/* a reference */
	uint32_t xid;
	bool cancel;
	bool first;			/* the COPY that the others repeat */
};
STAILQ_HEAD(waiter_list, waiter);

enum copy_state { QUEUED, RUNNING, FINISHED };

struct copy {
	TAILQ_ENTRY(copy) link;
	struct client *client;
	uint64_t serial;
	enum copy_state state;
	atomic_bool cancelled;
	struct request *rq;		/* while it is queued */
	struct waiter_list waiters;
	copyfile_copy_res res;		/* when it is finished */
	copyfile_state told;		/* to a CANCEL */
};

TAILQ_HEAD(copy_list, copy);

struct client {
	TAILQ_ENTRY(client) link;	/* least recently used first */
	uint64_t id;
	struct peer peer;
	struct copy_list copies;	/* by serial */
	uint64_t watermark;
	unsigned int nfinished;
	unsigned int nactive;
	unsigned int nconns;
};

extern pthread_mutex_t table_lock;

/* client.c */
struct client *client_find(uint64_t id);
struct client *client_new(uint64_t id, const struct peer *peer);
void client_bind(struct client *client, struct conn *conn);
struct copy *copy_find(struct client *client, uint64_t serial);
struct copy *copy_new(struct client *client, uint64_t serial);
void copy_is_finished(struct copy *copy);

#endif
