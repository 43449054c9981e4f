// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections: a socket, the thread that reads it, and libtirpc's record
 * streams, one for each direction. Replies are written by whoever has one, in
 * any order.
 *
 * What a peer can hold up is bounded: connections, bytes of a record and the
 * time to send them, replies owed, and the time a reply may wait to be read.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copyfiled.h"

#define BUFFER_SIZE		4096
#define BUFFER_MIN		100	/* what libtirpc takes for more is less */
#define RECORD_MAX		(16 * 1024)
#define RECORD_MS		30000	/* to send the rest of a record */
#define REPLY_MS		5000	/* to make room for a reply */
#define OUTSTANDING_MAX		256
#define OTHERS_PART		16	/* one connection in so many is not for the same host */
#define STRANGERS_MAX		16
#define STRANGER_MS		5000	/* to ask something, for whom nothing is served */

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(conn_list, conn) conns = LIST_HEAD_INITIALIZER(conns);
static LIST_HEAD(host_list, host) hosts = LIST_HEAD_INITIALIZER(hosts);
static unsigned int nconns, nstrangers, nlocals;

static ssize_t socket_read(struct conn *conn, void *buf, size_t len)
{
	int64_t wait = conn->stranger ? STRANGER_MS : -1;
	struct pollfd pfd = { .fd = conn->fd, .events = POLLIN };
	ssize_t n;
	int ready;

	if (!conn->idle) {
		wait = conn->deadline - now_ms();
		wait = wait < 0 ? 0 : wait;
	}
	do {
		ready = poll(&pfd, 1, (int)wait);
	} while (ready < 0 && errno == EINTR);
	if (ready == 0)
		stat_inc(STAT_CONNECTIONS_STALLED);
	if (ready <= 0)
		return -1;
	do {
		n = recv(conn->fd, buf, len, 0);
	} while (n < 0 && errno == EINTR);
	return n;
}

static ssize_t socket_write(struct conn *conn, const void *buf, size_t len)
{
	struct pollfd pfd = { .fd = conn->fd, .events = POLLOUT };
	ssize_t n;

	for (;;) {
		n = send(conn->fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0 || (errno != EAGAIN && errno != EINTR))
			return n;
		/* A peer that does not read must not hold up a worker. */
		if (poll(&pfd, 1, REPLY_MS) == 0)
			return -1;
	}
}

static const struct conn_io socket_io = { socket_read, socket_write };

/* For xdrrec: -1 ends the stream. */
static int stream_read(void *handle, void *buf, int len)
{
	struct conn *conn = handle;
	ssize_t n;

	if (conn->ended || !conn->budget)
		goto end;
	n = conn->io->read(conn, buf, (size_t)len);
	if (n <= 0)
		goto end;
	if (conn->idle) {
		conn->idle = false;
		conn->deadline = now_ms() + RECORD_MS;
	}
	conn->budget -= (size_t)n < conn->budget ? (size_t)n : conn->budget;
	return (int)n;
end:
	conn->ended = true;
	return -1;
}

static int stream_write(void *handle, void *buf, int len)
{
	struct conn *conn = handle;
	int done = 0;

	while (done < len && !conn->broken) {
		ssize_t n = conn->io->write(conn, (char *)buf + done, (size_t)(len - done));

		if (n <= 0)
			conn->broken = true;
		else
			done += (int)n;
	}
	return conn->broken ? -1 : len;
}

/* Anybody who can log in here: they are many, and only together they are bounded. */
static bool is_local_user(const struct peer *peer)
{
	return peer->family == AF_UNIX && peer->uid != 0;
}

/* Under list_lock. */
static struct host *host_find(const struct peer *peer)
{
	struct host *host;

	LIST_FOREACH(host, &hosts, link)
		if (peer_same_host(&host->peer, peer))
			return host;
	return NULL;
}

/* Under list_lock. */
static struct host *host_get(const struct peer *peer)
{
	struct host *host = host_find(peer);

	if (!host) {
		host = xalloc(sizeof(*host));
		host->peer = *peer;
		LIST_INSERT_HEAD(&hosts, host, link);
	}
	host->conns++;
	return host;
}

/* Under list_lock. */
static void host_put(struct host *host)
{
	if (--host->conns)
		return;
	LIST_REMOVE(host, link);
	free(host);
}

/**
 * conn_new - a connection that nobody reads yet
 * @fd: its socket, from now on the connection's; -1 if @io needs none
 * @peer: who is there
 * @io: how to read and write it, NULL for a socket
 */
struct conn *conn_new(int fd, const struct peer *peer, const struct conn_io *io)
{
	struct conn *conn = xalloc(sizeof(*conn));

	conn->refs = 1;
	conn->fd = fd;
	conn->peer = *peer;
	conn->io = io ? io : &socket_io;
	pthread_mutex_init(&conn->write_lock, NULL);
	pthread_mutex_init(&conn->count_lock, NULL);
	pthread_cond_init(&conn->count_cond, NULL);
	/* Each has a buffer for the other direction, which it does not need. */
	xdrrec_create(&conn->in, BUFFER_MIN, BUFFER_SIZE, conn, stream_read, stream_write);
	xdrrec_create(&conn->out, BUFFER_SIZE, BUFFER_MIN, conn, stream_read, stream_write);
	conn->in.x_op = XDR_DECODE;
	conn->out.x_op = XDR_ENCODE;
	pthread_mutex_lock(&list_lock);
	conn->host = host_get(peer);
	LIST_INSERT_HEAD(&conns, conn, link);
	pthread_mutex_unlock(&list_lock);
	stat_inc(STAT_CONNECTIONS);
	stat_inc(STAT_CONNECTIONS_TOTAL);
	return conn;
}

struct conn *conn_get(struct conn *conn)
{
	atomic_fetch_add(&conn->refs, 1);
	return conn;
}

void conn_put(struct conn *conn)
{
	if (atomic_fetch_sub(&conn->refs, 1) != 1)
		return;
	pthread_mutex_lock(&list_lock);
	LIST_REMOVE(conn, link);
	host_put(conn->host);
	nconns -= conn->io == &socket_io;
	nlocals -= is_local_user(&conn->peer);
	nstrangers -= conn->stranger;
	pthread_mutex_unlock(&list_lock);
	stat_dec(STAT_CONNECTIONS);
	XDR_DESTROY(&conn->in);
	XDR_DESTROY(&conn->out);
	pthread_mutex_destroy(&conn->write_lock);
	pthread_mutex_destroy(&conn->count_lock);
	pthread_cond_destroy(&conn->count_cond);
	if (conn->fd >= 0)
		close(conn->fd);
	free(conn);
}

/**
 * conn_next_record - pass over the rest of a record, to the next one
 * @conn: read by this thread
 *
 * Return: false when there is none: the peer has gone, or sends no records.
 */
bool conn_next_record(struct conn *conn)
{
	bool empty = xdrrec_eof(&conn->in);

	if (conn->ended || !xdrrec_skiprecord(&conn->in))
		return false;
	/* With bytes left in the buffer the next record has begun. */
	conn->idle = empty;
	conn->deadline = now_ms() + RECORD_MS;
	conn->budget = RECORD_MAX;
	return true;
}

/* A reply is owed: wait if there are too many of them. */
void conn_owe(struct conn *conn)
{
	pthread_mutex_lock(&conn->count_lock);
	while (conn->outstanding >= OUTSTANDING_MAX)
		pthread_cond_wait(&conn->count_cond, &conn->count_lock);
	conn->outstanding++;
	pthread_mutex_unlock(&conn->count_lock);
}

void conn_paid(struct conn *conn)
{
	pthread_mutex_lock(&conn->count_lock);
	conn->outstanding--;
	pthread_cond_signal(&conn->count_cond);
	pthread_mutex_unlock(&conn->count_lock);
}

/* Write a reply; if that cannot be done the connection is of no more use. */
void conn_write_reply(struct conn *conn, struct rpc_msg *msg)
{
	pthread_mutex_lock(&conn->write_lock);
	if (!conn->broken &&
	    (!xdr_replymsg(&conn->out, msg) || !xdrrec_endofrecord(&conn->out, TRUE)))
		conn->broken = true;
	if (conn->broken && conn->fd >= 0)
		shutdown(conn->fd, SHUT_RDWR);
	pthread_mutex_unlock(&conn->write_lock);
}

/* Read and serve a connection until it ends, and drop the reader's reference. */
void conn_run(struct conn *conn)
{
	bool good;

	conn->budget = RECORD_MAX;
	conn->idle = true;
	conn->deadline = now_ms() + RECORD_MS;
	while ((good = rpc_serve_one(conn)) && !stopping())
		;
	/* Whoever half closed it still gets the replies, and so at the daemon's end. */
	if (conn->fd >= 0 && !good && !conn->idle)
		shutdown(conn->fd, SHUT_RDWR);
	table_unbind(conn);
	conn_put(conn);
}

static void *reader_thread(void *arg)
{
	conn_run(arg);
	return NULL;
}

static void set_option(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof(value));
}

/* A peer whose machine has gone is noticed within two minutes. */
static void tune_socket(int fd)
{
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 6);
	/* Keepalive is silent while a reply is not acknowledged. */
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 120000);
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* Under list_lock. */
static unsigned int count_of_host(const struct peer *peer)
{
	const struct host *host = host_find(peer);

	return host ? host->conns : 0;
}

/* Those that no export serves get their refusal, but no place of the others. */
static bool admit(const struct peer *peer, bool *stranger)
{
	struct config *config = config_get();
	bool may;

	*stranger = !config_serves(config, peer);
	pthread_mutex_lock(&list_lock);
	may = nconns < config->max_connections && (!*stranger || nstrangers < STRANGERS_MAX) &&
	      (!is_local_user(peer) || nlocals < (config->max_connections + 1) / 2) &&
	      count_of_host(peer) < config->max_connections - config->max_connections / OTHERS_PART;
	nconns += may;
	nstrangers += may && *stranger;
	nlocals += may && is_local_user(peer);
	pthread_mutex_unlock(&list_lock);
	config_put(config);
	if (may)
		return true;
	stat_inc(STAT_CONNECTIONS_REFUSED);
	if (log_limited())
		log_warn("refused a connection from %s: %s", peer->name,
			 *stranger ? "no export is for it" :
			 "there are too many already, of all or of its own (--max-connections)");
	return false;
}

void conn_accept(int listen_fd)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	bool stranger;
	struct peer peer;
	struct conn *conn;

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE)
			sleep_ms(100);
		return;
	}
	if (!peer_of(fd, &peer) || !admit(&peer, &stranger)) {
		close(fd);
		return;
	}
	if (peer.family != AF_UNIX)
		tune_socket(fd);
	conn = conn_new(fd, &peer, NULL);
	conn->stranger = stranger;
	if (!start_thread(reader_thread, conn))
		conn_put(conn);
}

/* All readers come to an end; replies can still be written. */
void conn_stop_reading(void)
{
	struct conn *conn;

	pthread_mutex_lock(&list_lock);
	LIST_FOREACH(conn, &conns, link)
		if (conn->fd >= 0)
			shutdown(conn->fd, SHUT_RD);
	pthread_mutex_unlock(&list_lock);
}
