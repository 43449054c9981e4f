// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clients and what is remembered of their copies. A client's serial numbers
 * rise, so what an entry is forgotten of is told by a watermark: what lies
 * below and has no entry is not executed.
 */
#include <stdlib.h>

#include "table.h"

pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;

static TAILQ_HEAD(client_list, client) clients = TAILQ_HEAD_INITIALIZER(clients);
static unsigned int nclients, clients_max;

/**
 * table_bound - set the bound on clients
 * @max_connections: each of them can hold on to CONN_CLIENTS, so there is
 *	always one to forget; the bound never sinks, for there may be more of them
 *	from an earlier configuration
 */
void table_bound(unsigned int max_connections)
{
	unsigned int bound = max_connections * CONN_CLIENTS + 256;

	pthread_mutex_lock(&table_lock);
	if (clients_max < bound)
		clients_max = bound;
	pthread_mutex_unlock(&table_lock);
}

static void copy_forget(struct copy *copy)
{
	struct client *client = copy->client;

	TAILQ_REMOVE(&client->copies, copy, link);
	client->nfinished--;
	if (copy->serial > client->watermark)
		client->watermark = copy->serial;
	free(copy);
}

/* The copies that run or wait are none of the bound; the queue has its own. */
static void forget_oldest(struct client *client)
{
	struct copy *copy;

	if (client->nfinished <= FINISHED_MAX)
		return;
	TAILQ_FOREACH(copy, &client->copies, link) {
		if (copy->state == FINISHED) {
			copy_forget(copy);
			return;
		}
	}
}

/* New serials are the highest: search from there. */
struct copy *copy_find(struct client *client, uint64_t serial)
{
	struct copy *copy;

	TAILQ_FOREACH_REVERSE(copy, &client->copies, copy_list, link)
		if (copy->serial <= serial)
			return copy->serial == serial ? copy : NULL;
	return NULL;
}

struct copy *copy_new(struct client *client, uint64_t serial)
{
	struct copy *copy = xalloc(sizeof(*copy));
	struct copy *before;

	copy->client = client;
	copy->serial = serial;
	copy->told = COPYFILE_FINISHED;
	STAILQ_INIT(&copy->waiters);
	TAILQ_FOREACH_REVERSE(before, &client->copies, copy_list, link)
		if (before->serial < serial)
			break;
	if (before)
		TAILQ_INSERT_AFTER(&client->copies, before, copy, link);
	else
		TAILQ_INSERT_HEAD(&client->copies, copy, link);
	client->nactive++;
	return copy;
}

static void client_forget(struct client *client)
{
	struct copy *copy, *next;

	for (copy = TAILQ_FIRST(&client->copies); copy; copy = next) {
		next = TAILQ_NEXT(copy, link);
		copy_forget(copy);
	}
	TAILQ_REMOVE(&clients, client, link);
	nclients--;
	stat_dec(STAT_CLIENTS);
	free(client);
}

/* Room for one more: forget one that has no connection and no copy. */
static bool client_room(void)
{
	struct client *client;

	if (nclients < clients_max)
		return true;
	TAILQ_FOREACH(client, &clients, link) {
		if (!client->nconns && !client->nactive) {
			client_forget(client);
			return true;
		}
	}
	return false;
}

struct client *client_new(uint64_t id, const struct peer *peer)
{
	struct client *client;

	if (!client_room())
		return NULL;
	client = xalloc(sizeof(*client));
	client->id = id;
	client->peer = *peer;
	TAILQ_INIT(&client->copies);
	TAILQ_INSERT_TAIL(&clients, client, link);
	nclients++;
	stat_inc(STAT_CLIENTS);
	return client;
}

struct client *client_find(uint64_t id)
{
	struct client *client;

	TAILQ_FOREACH_REVERSE(client, &clients, client_list, link)
		if (client->id == id)
			return client;
	return NULL;
}

/* A client is not forgotten while a connection of its is open. */
void client_bind(struct client *client, struct conn *conn)
{
	struct client **slot = conn->clients;

	TAILQ_REMOVE(&clients, client, link);
	TAILQ_INSERT_TAIL(&clients, client, link);
	for (int i = 0; i < CONN_CLIENTS; i++)
		if (slot[i] == client)
			return;
	slot += conn->next_client++ % CONN_CLIENTS;
	if (*slot)
		(*slot)->nconns--;
	*slot = client;
	client->nconns++;
}

void table_unbind(struct conn *conn)
{
	pthread_mutex_lock(&table_lock);
	for (int i = 0; i < CONN_CLIENTS; i++) {
		if (conn->clients[i])
			conn->clients[i]->nconns--;
		conn->clients[i] = NULL;
	}
	pthread_mutex_unlock(&table_lock);
}

void copy_is_finished(struct copy *copy)
{
	struct client *client = copy->client;

	copy->state = FINISHED;
	client->nactive--;
	client->nfinished++;
	forget_oldest(client);
}
