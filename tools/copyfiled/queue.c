// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who works on what. Copies wait in a queue of their own, with a bound, for
 * the workers that --workers counts; PROBE and COMMIT have a few others, so that
 * a file can be made durable while copies run. These may take long, and whoever
 * sends them is given only a part of those workers at a time.
 */
#include "copyfiled.h"

#define COPIES_PER_WORKER	16	/* that may wait */
#define COPIES_PER_CONN		4	/* at most one part in so many of these, */
#define COPIES_PER_CONN_MIN	16	/* but always so many */

#define OTHER_WORKERS		16
#define OTHERS_RUN_CONN		4	/* of one connection, */
#define OTHERS_RUN_HOST		12	/* and of one host */
#define OTHERS_MAX		1024	/* that have no reply yet, each some 6 KiB */
#define OTHERS_CONN		128
#define OTHERS_HOST		512

struct queue {
	struct request_list list;
	pthread_cond_t cond;
	size_t length;
	size_t bound;
	size_t conn_bound;		/* of one connection, those that run too */
};

static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static struct queue copies = {
	.list = STAILQ_HEAD_INITIALIZER(copies.list),
	.cond = PTHREAD_COND_INITIALIZER,
};
static struct queue others = {
	.list = STAILQ_HEAD_INITIALIZER(others.list),
	.cond = PTHREAD_COND_INITIALIZER,
};
static unsigned int nothers;		/* that have no reply yet */
static unsigned int active;
static atomic_bool stop;

/* Does the daemon come to its end? Copies then stop at their next step. */
bool stopping(void)
{
	return atomic_load_explicit(&stop, memory_order_relaxed);
}

/* Under queue_lock: the one that is next, whose sender has not its share already. */
static struct request *next_request(struct queue *queue)
{
	struct request *rq;

	if (queue == &copies)
		return STAILQ_FIRST(&queue->list);
	STAILQ_FOREACH(rq, &queue->list, link)
		if (rq->conn->running < OTHERS_RUN_CONN &&
		    rq->conn->host->running < OTHERS_RUN_HOST)
			break;
	return rq;
}

/* Under queue_lock. */
static void count_running(const struct queue *queue, struct conn *conn, int n)
{
	active += (unsigned int)n;
	if (queue != &others)
		return;
	conn->running += (unsigned int)n;
	conn->host->running += (unsigned int)n;
}

/*
 * With a reference to the connection, for queue_done(). Whoever waits here though
 * there are requests need not be woken when one of these may begin: the worker
 * that has finished takes it.
 */
static struct request *queue_pop(struct queue *queue, struct conn **conn)
{
	struct request *rq = NULL;

	pthread_mutex_lock(&queue_lock);
	while (!stopping() && !(rq = next_request(queue)))
		pthread_cond_wait(&queue->cond, &queue_lock);
	if (stopping())
		rq = NULL;
	if (rq) {
		STAILQ_REMOVE(&queue->list, rq, request, link);
		queue->length--;
		*conn = conn_get(rq->conn);
		count_running(queue, *conn, 1);
	}
	pthread_mutex_unlock(&queue_lock);
	if (rq)
		stat_dec(STAT_QUEUED);
	return rq;
}

static void queue_done(struct queue *queue, struct conn *conn)
{
	pthread_mutex_lock(&queue_lock);
	count_running(queue, conn, -1);
	pthread_mutex_unlock(&queue_lock);
	conn_put(conn);
}

static void *worker(void *arg)
{
	struct request *rq;
	struct conn *conn;

	while ((rq = queue_pop(arg, &conn))) {
		stat_inc(STAT_RUNNING);
		execute(rq);
		stat_dec(STAT_RUNNING);
		queue_done(arg, conn);
	}
	return NULL;
}

bool queue_start(unsigned int workers)
{
	copies.bound = (size_t)workers * COPIES_PER_WORKER;
	copies.conn_bound = copies.bound / COPIES_PER_CONN;
	if (copies.conn_bound < COPIES_PER_CONN_MIN)
		copies.conn_bound = COPIES_PER_CONN_MIN;
	for (unsigned int i = 0; i < workers; i++)
		if (!start_thread(worker, &copies))
			return false;
	for (unsigned int i = 0; i < OTHER_WORKERS; i++)
		if (!start_thread(worker, &others))
			return false;
	return true;
}

static void push(struct queue *queue, struct request *rq)
{
	STAILQ_INSERT_TAIL(&queue->list, rq, link);
	queue->length++;
	stat_inc(STAT_QUEUED);
	pthread_cond_signal(&queue->cond);
}

/**
 * queue_copy - have a COPY executed
 * @rq: the request, the queue's from now on unless it is refused
 *
 * Context: table_lock.
 * Return: false if too many wait, of all or of its connection.
 */
bool queue_copy(struct request *rq)
{
	bool room;

	pthread_mutex_lock(&queue_lock);
	room = copies.length < copies.bound && rq->conn->copies < copies.conn_bound;
	if (room)
		push(&copies, rq);
	pthread_mutex_unlock(&queue_lock);
	return room;
}

/* Take a COPY back. Return: false if a worker has it already. */
bool queue_remove(struct request *rq)
{
	struct request *r;

	pthread_mutex_lock(&queue_lock);
	STAILQ_FOREACH(r, &copies.list, link)
		if (r == rq)
			break;
	if (r) {
		STAILQ_REMOVE(&copies.list, rq, request, link);
		copies.length--;
		stat_dec(STAT_QUEUED);
	}
	pthread_mutex_unlock(&queue_lock);
	return r;
}

/**
 * queue_other - have a PROBE or COMMIT executed
 * @rq: the request, the queue's from now on unless it is refused
 *
 * Return: false if too many have no reply yet, of all, its connection or its host.
 */
bool queue_other(struct request *rq)
{
	struct conn *conn = rq->conn;
	bool room;

	pthread_mutex_lock(&queue_lock);
	room = nothers < OTHERS_MAX && conn->others < OTHERS_CONN &&
	       conn->host->others < OTHERS_HOST;
	if (room) {
		rq->other = true;
		nothers++;
		conn->others++;
		conn->host->others++;
		push(&others, rq);
	}
	pthread_mutex_unlock(&queue_lock);
	return room;
}

/* It gets its reply, and makes room for another. */
void queue_other_end(struct request *rq)
{
	pthread_mutex_lock(&queue_lock);
	nothers--;
	rq->conn->others--;
	rq->conn->host->others--;
	pthread_mutex_unlock(&queue_lock);
}

/**
 * queue_stop - let workers finish what they do, and begin nothing more
 * @wait_ms: how long to wait for them
 *
 * What is queued gets no reply: its client finds another process, or none, and
 * sends it again.
 *
 * Return: false if a worker is still busy.
 */
bool queue_stop(unsigned int wait_ms)
{
	int64_t until = now_ms() + wait_ms;
	bool busy;

	atomic_store(&stop, true);
	pthread_mutex_lock(&queue_lock);
	pthread_cond_broadcast(&copies.cond);
	pthread_cond_broadcast(&others.cond);
	while ((busy = active) && now_ms() < until) {
		pthread_mutex_unlock(&queue_lock);
		sleep_ms(10);
		pthread_mutex_lock(&queue_lock);
	}
	pthread_mutex_unlock(&queue_lock);
	return !busy;
}
