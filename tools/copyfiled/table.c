// SPDX-License-Identifier: GPL-2.0-only
/*
 * What becomes of COPY and CANCEL. A copy has an entry as long as it waits or
 * runs, and some time beyond: a COPY that comes again gets the first one's
 * result, and one that was cancelled is never executed.
 *
 * Whoever waits for a copy (its COPY, the same COPY sent again, its CANCEL) is
 * noted in its entry and answered by the worker that finishes it.
 */
#include <stdlib.h>
#include <string.h>

#include "table.h"

bool copy_cancelled(const struct copy *copy)
{
	return copy && atomic_load_explicit(&copy->cancelled, memory_order_relaxed);
}

/**
 * table_hello - make a client known
 * @conn: where it said HELLO
 * @id: the number it has chosen
 *
 * A client that has come to another address may take its number along when
 * nothing is left of the old one.
 *
 * Return: COPYFILE_OK, or COPYFILE_BUSY if the number is still in use at another
 * address or there are too many clients.
 */
copyfile_status table_hello(struct conn *conn, uint64_t id)
{
	copyfile_status status = COPYFILE_OK;
	struct client *client;

	pthread_mutex_lock(&table_lock);
	client = client_find(id);
	if (!client)
		client = client_new(id, &conn->peer);
	else if (!client->nconns && !client->nactive)
		client->peer = conn->peer;
	if (!client || !peer_same_host(&client->peer, &conn->peer))
		status = COPYFILE_BUSY;
	else
		client_bind(client, conn);
	pthread_mutex_unlock(&table_lock);
	return status;
}

/*
 * Under table_lock. Those who may speak for a client are bound to it. One that
 * has come to another address says HELLO there, once nothing is left of it at
 * the old one; until then it makes its copies itself.
 *
 * Return: a status; unless it is COPYFILE_OK, the client is set if the request
 * can be its own all the same.
 */
static copyfile_status client_check(const struct config *config, struct conn *conn,
				    uint64_t id, struct client **client)
{
	struct client *found = client_find(id);

	*client = found;
	if (!found)
		return COPYFILE_STALE_BOOT;
	if (peer_same_host(&found->peer, &conn->peer)) {
		client_bind(found, conn);
		return COPYFILE_OK;
	}
	if (config_serves(config, &conn->peer))
		return found->nconns || found->nactive ? COPYFILE_BUSY : COPYFILE_STALE_BOOT;
	*client = NULL;
	return COPYFILE_PERM;
}

/* Under table_lock. The caller owes the reply already (conn_owe). */
static struct waiter *wait_for(struct copy *copy, struct conn *conn, uint32_t xid)
{
	struct waiter *waiter = xalloc(sizeof(*waiter));

	waiter->conn = conn_get(conn);
	waiter->xid = xid;
	STAILQ_INSERT_TAIL(&copy->waiters, waiter, link);
	return waiter;
}

/*
 * A COPY that is refused leaves an entry too: it must not be executed when it
 * comes again, for the client has made the copy itself by then.
 */
static void copy_refuse(struct copy *copy, copyfile_copy_res *res, copyfile_status status)
{
	res->status = status;
	copy->res = *res;
	copy_is_finished(copy);
}

/*
 * A new COPY.
 *
 * Return: false if the reply is in @res, and the request is still the caller's.
 */
static bool copy_begin(struct client *client, struct request *rq, copyfile_copy_res *res)
{
	struct copy *copy = copy_new(client, rq->args.copy.id.serial);

	if (res->status != COPYFILE_OK) {
		copy_refuse(copy, res, res->status);
		return false;
	}
	copy->rq = rq;
	rq->copy = copy;
	if (queue_copy(rq)) {
		wait_for(copy, rq->conn, rq->xid)->first = true;
		rq->conn->copies++;
		return true;
	}
	copy_refuse(copy, res, COPYFILE_BUSY);
	return false;
}

/* A COPY that is known. Return: false if the reply is in @res. */
static bool copy_again(struct copy *copy, struct request *rq, copyfile_copy_res *res)
{
	stat_inc(STAT_DUPLICATES);
	if (copy_cancelled(copy)) {
		res->status = COPYFILE_CANCELLED;
		return false;
	}
	if (copy->state == FINISHED) {
		*res = copy->res;
		return false;
	}
	wait_for(copy, rq->conn, rq->xid);
	return true;
}

/**
 * table_copy - take in a COPY
 * @rq: the request, the table's from now on; its reply is owed
 */
void table_copy(struct request *rq)
{
	const copyfile_id *id = &rq->args.copy.id;
	copyfile_copy_res res = { 0 };
	struct client *client;
	struct copy *copy;
	bool queued = false, waits = false;

	pthread_mutex_lock(&table_lock);
	res.status = client_check(rq->config, rq->conn, id->client, &client);
	copy = client ? copy_find(client, id->serial) : NULL;
	if (copy)
		waits = copy_again(copy, rq, &res);
	else if (client && id->serial <= client->watermark)
		res.status = COPYFILE_CANCELLED;
	else if (client)
		queued = copy_begin(client, rq, &res);
	pthread_mutex_unlock(&table_lock);
	/* Once it is queued a worker may have finished and freed it. */
	if (queued)
		return;
	if (!waits) {
		stat_status(res.status);
		rpc_reply(rq->conn, rq->xid, (xdrproc_t)xdr_copyfile_copy_res, &res);
		conn_paid(rq->conn);
	}
	request_free(rq);
}

static void answer_waiter(struct waiter *waiter, copyfile_copy_res *res,
			  copyfile_cancel_res *cancel)
{
	if (waiter->cancel)
		rpc_reply(waiter->conn, waiter->xid, (xdrproc_t)xdr_copyfile_cancel_res, cancel);
	else
		rpc_reply(waiter->conn, waiter->xid, (xdrproc_t)xdr_copyfile_copy_res, res);
	conn_paid(waiter->conn);
	conn_put(waiter->conn);
	free(waiter);
}

static void tell_cancel(const struct copy *copy, copyfile_cancel_res *cancel)
{
	cancel->status = COPYFILE_OK;
	cancel->copyfile_cancel_res_u.ok.state = copy->told;
	if (copy->res.status == COPYFILE_OK && copy->told != COPYFILE_NEVER_SEEN)
		cancel->copyfile_cancel_res_u.ok.count = copy->res.copyfile_copy_res_u.ok.count;
}

/**
 * table_run - a worker begins with a copy
 * @copy: it is there until table_finish()
 */
void table_run(struct copy *copy)
{
	pthread_mutex_lock(&table_lock);
	copy->state = RUNNING;
	copy->rq = NULL;
	pthread_mutex_unlock(&table_lock);
}

/**
 * table_finish - a copy has come to its end
 * @copy: not to be used any more
 * @res: its result; whoever waits gets it
 */
void table_finish(struct copy *copy, const copyfile_copy_res *res)
{
	struct waiter_list waiters = STAILQ_HEAD_INITIALIZER(waiters);
	copyfile_cancel_res cancel = { 0 };
	copyfile_copy_res reply = *res;
	struct waiter *waiter;

	pthread_mutex_lock(&table_lock);
	copy->res = *res;
	if (copy_cancelled(copy))
		reply.status = COPYFILE_CANCELLED;
	tell_cancel(copy, &cancel);
	STAILQ_CONCAT(&waiters, &copy->waiters);
	STAILQ_FOREACH(waiter, &waiters, link)
		if (waiter->first)
			waiter->conn->copies--;
	copy_is_finished(copy);
	pthread_mutex_unlock(&table_lock);
	stat_status(reply.status);
	while ((waiter = STAILQ_FIRST(&waiters))) {
		STAILQ_REMOVE_HEAD(&waiters, link);
		answer_waiter(waiter, &reply, &cancel);
	}
}

/*
 * Under table_lock: cancel a copy.
 *
 * Return: the request of one that no worker has begun, and that the caller has
 * to finish; @waits is set if the worker that has begun will answer.
 */
static struct request *copy_cancel(struct copy *copy, struct conn *conn, uint32_t xid, bool *waits)
{
	struct request *rq = copy->state == QUEUED ? copy->rq : NULL;

	atomic_store(&copy->cancelled, true);
	*waits = copy->state != FINISHED;
	if (!*waits)
		return NULL;
	copy->told = COPYFILE_STOPPED;
	wait_for(copy, conn, xid)->cancel = true;
	return rq && queue_remove(rq) ? rq : NULL;
}

/* Under table_lock: a COPY of this id, should it come, is to be refused. */
static void copy_never(struct client *client, uint64_t serial)
{
	struct copy *copy = copy_new(client, serial);

	copy->told = COPYFILE_NEVER_SEEN;
	atomic_store(&copy->cancelled, true);
	copy_is_finished(copy);
}

/* Under table_lock. Return: false if the worker that makes the copy will answer. */
static bool cancel_known(struct copy *copy, struct conn *conn, uint32_t xid,
			 copyfile_cancel_res *res, struct request **rq)
{
	bool waits = false;

	*rq = copy_cancel(copy, conn, xid, &waits);
	if (!waits)
		tell_cancel(copy, res);
	return !waits;
}

/*
 * Under table_lock: whose copy is it? The client's number, which is random, is
 * proof enough, whatever its address is now: it gets to know what became of its
 * copy. One that is not known becomes so, that a COPY that comes late is refused.
 */
static copyfile_status cancel_check(const struct request *rq, struct client **client)
{
	const copyfile_id *id = &rq->args.cancel.id;
	copyfile_status status = client_check(rq->config, rq->conn, id->client, client);

	if (!*client && status == COPYFILE_STALE_BOOT && config_serves(rq->config, &rq->conn->peer)) {
		*client = client_new(id->client, &rq->conn->peer);
		if (!*client)
			return COPYFILE_BUSY;
		client_bind(*client, rq->conn);
	}
	return *client ? COPYFILE_OK : status;
}

/**
 * table_cancel - CANCEL
 * @rq: the request, not the caller's any more; its reply is owed
 */
void table_cancel(struct request *rq)
{
	copyfile_copy_res stopped = { .status = COPYFILE_CANCELLED };
	uint64_t serial = rq->args.cancel.id.serial;
	copyfile_cancel_res res = { 0 };
	struct request *copy_rq = NULL;
	struct client *client;
	struct copy *copy;
	bool answer = true;

	pthread_mutex_lock(&table_lock);
	res.status = cancel_check(rq, &client);
	copy = res.status ? NULL : copy_find(client, serial);
	if (copy)
		answer = cancel_known(copy, rq->conn, rq->xid, &res, &copy_rq);
	else if (!res.status && serial > client->watermark)
		copy_never(client, serial);
	pthread_mutex_unlock(&table_lock);
	if (copy_rq) {
		table_finish(copy_rq->copy, &stopped);
		request_free(copy_rq);
	}
	if (answer) {
		stat_status(res.status);
		rpc_reply(rq->conn, rq->xid, (xdrproc_t)xdr_copyfile_cancel_res, &res);
		conn_paid(rq->conn);
	}
	request_free(rq);
}
