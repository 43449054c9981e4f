/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * copyfiled: the COPYFILE server. What its files say to each other, grouped by
 * file. The protocol is include/rpcsvc/copyfile.x.
 *
 * Threads: main (signals, accepting, the control socket), a reader for each
 * connection, workers that copy, a few workers for the other slow requests, and
 * one that keeps house. Locks, outer to inner:
 *
 *   config_lock     which exports are in force (exports.c)
 *   trees_lock      exported directories (tree.c); none is taken inside it
 *   table_lock      clients and their copies (client.c, table.c)
 *     queue_lock    requests that wait for a worker (queue.c)
 *   rounds_lock     COMMITs that wait for one that runs (commit.c)
 *   dirty_lock      files that are not committed yet (dirty.c)
 *   entry->lock     one fsync of such a file at a time (dirty.c)
 *     verifier_lock (verifier.c)
 *   conn->write_lock  one reply at a time (conn.c); none is taken inside it
 */
#ifndef COPYFILED_H
#define COPYFILED_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <syslog.h>
#include <time.h>

#include "copyfile.h"

#define DEFAULT_CONFIG		"/etc/copyfiled.conf"
#define DEFAULT_STATE_DIR	"/run/copyfiled"

struct conn;
struct config;
struct copy;
struct request;

/* log.c */
void log_msg(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool log_limited(void);
#define log_err(...)	log_msg(LOG_ERR, __VA_ARGS__)
#define log_warn(...)	log_msg(LOG_WARNING, __VA_ARGS__)
#define log_info(...)	log_msg(LOG_INFO, __VA_ARGS__)

/* util.c */
void *xalloc(size_t size);
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *s);
int64_t now_ms(void);
void sleep_ms(unsigned int ms);
void random_bytes(void *buf, size_t len);
bool write_all(int fd, const void *buf, size_t len);
bool start_thread(void *(*fn)(void *), void *arg);
bool parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value);
int open_own_dir(const char *path);
const char *own_dir_error(void);
int lock_file(int dir, const char *name, unsigned int wait_ms);

/* stats.c: every counter has a name that --stats prints. */
enum stat_id {
	STAT_CONNECTIONS, STAT_CONNECTIONS_TOTAL, STAT_CONNECTIONS_REFUSED,
	STAT_CONNECTIONS_STALLED,
	STAT_NULL, STAT_HELLO, STAT_PROBE, STAT_COPY, STAT_CANCEL, STAT_COMMIT,
	STAT_BAD_CALLS, STAT_COPIES, STAT_BYTES_CLONED, STAT_BYTES_IN_KERNEL,
	STAT_BYTES_READ_WRITE, STAT_DUPLICATES, STAT_CANCELLED, STAT_STALE,
	STAT_DENIED, STAT_BUSY, STAT_ERRORS, STAT_RUNNING, STAT_QUEUED,
	STAT_CLIENTS, STAT_UNCOMMITTED, STAT_WRITEBACK_ERRORS, STAT_RELOADS,
	STAT_COUNT
};
void stat_add(enum stat_id id, int64_t n);
#define stat_inc(id)	stat_add(id, 1)
#define stat_dec(id)	stat_add(id, -1)
void stat_status(copyfile_status status);
int control_open(const char *state_dir);
void control_answer(int listen_fd);
int control_ask(const char *path);

/* address.c */
struct netmask {
	sa_family_t family;
	unsigned int bits;
	uint8_t addr[16];
};

struct peer {
	sa_family_t family;		/* AF_INET, AF_INET6, AF_UNIX */
	uint8_t addr[16];
	uint32_t scope;			/* of a link-local IPv6 address */
	unsigned int port;
	uid_t uid;			/* AF_UNIX: who it is */
	gid_t gid;
	char name[INET6_ADDRSTRLEN + 16];
};
bool netmask_parse(const char *text, struct netmask *mask);
bool netmask_matches(const struct netmask *mask, sa_family_t family, const uint8_t *addr);
bool netmask_overlaps(const struct netmask *a, const struct netmask *b);
void address_of(const struct sockaddr *sa, sa_family_t *family, uint8_t *addr);
bool address_is_loopback(sa_family_t family, const uint8_t *addr);
bool address_is_public(sa_family_t family, const uint8_t *addr);
bool peer_of(int fd, struct peer *peer);
bool peer_same_host(const struct peer *a, const struct peer *b);

/* tree.c */
struct export;

struct tree {
	LIST_ENTRY(tree) link;
	unsigned int refs;
	dev_t dev;
	ino_t ino;
	uint64_t id;			/* survives restarts and reboots */
	int fd;
	int lock;			/* a descriptor that holds it */
	bool can_clone;
	pthread_mutex_t sync_lock;	/* syncfs(2) tells an error once */
};
struct tree *tree_open(const struct export *export, unsigned int wait_ms);
void tree_put(struct tree *tree);
bool tree_may_serve(const struct export *export);
void tree_served(const struct export *export);

/* exports.c */
enum squash { SQUASH_ROOT, SQUASH_ALL, SQUASH_NONE };

struct export {
	char *name;
	char *path;
	struct netmask *allow;
	size_t nallow;
	bool rdonly;
	bool insecure;
	bool manage_gids;
	enum squash squash;
	uid_t anonuid;
	gid_t anongid;
	struct tree *tree;
};

struct config {
	atomic_uint refs;
	struct export *exports;
	size_t nexports;
	char **listen;
	size_t nlisten;
	unsigned int port;
	unsigned int workers;
	unsigned int slice_ms;
	unsigned int max_connections;
	unsigned int unix_mode;
	char *state_dir;
};
struct config *config_new(void);
struct config *config_get(void);
void config_put(struct config *config);
void config_publish(struct config *config);
struct export *config_add_export(struct config *config, const char *name);
void config_add_listen(struct config *config, const char *where);
bool config_open_trees(struct config *config, unsigned int wait_ms);
void export_allow(struct export *export, const struct netmask *mask);
const struct export *export_find(const struct config *config, const char *name);
bool export_allows(const struct export *export, const struct peer *peer);
copyfile_status export_check(const struct export *export, const struct peer *peer);
bool config_serves(const struct config *config, const struct peer *peer);

/* config.c */
bool config_read(struct config *config, const char *file);
bool config_check(const struct config *config);
bool export_option(struct export *export, const char *name, const char *value,
		   const char **why);
bool global_option(struct config *config, const char *name, const char *value,
		   const char **why);

/* options.c */
int options_parse(int argc, char **argv);
struct config *options_config(void);
bool options_have_file(void);

/* listen.c */
#define LISTEN_MAX 64
struct listeners {
	int fds[LISTEN_MAX];
	size_t count;
	bool inherited;			/* from the service manager */
};
bool listen_open(struct listeners *listeners, const struct config *config);
void listen_close(struct listeners *listeners, const struct config *config);

/* conn.c */
struct conn_io {
	/* As read(2) and write(2); 0 or -1 ends the connection. */
	ssize_t (*read)(struct conn *conn, void *buf, size_t len);
	ssize_t (*write)(struct conn *conn, const void *buf, size_t len);
};
#define CONN_CLIENTS	4

/* Who has connections: an address, or a local user. */
struct host {
	LIST_ENTRY(host) link;
	struct peer peer;
	unsigned int conns;		/* with a place in the list of them */
	/* Under the queue's lock: */
	unsigned int others;		/* requests that are no COPY, without a reply */
	unsigned int running;		/* those that a worker has */
};

struct conn {
	LIST_ENTRY(conn) link;
	struct host *host;
	atomic_uint refs;
	int fd;
	const struct conn_io *io;
	void *io_data;
	struct peer peer;
	bool stranger;			/* no export serves it */
	/* The reader's: */
	XDR in;
	bool idle;			/* between two records */
	int64_t deadline;		/* when this record must be complete */
	size_t budget;			/* what may still be read of this record */
	bool ended;			/* nothing more can be read */
	/* Under write_lock: */
	pthread_mutex_t write_lock;
	XDR out;
	bool broken;			/* nothing more can be written */
	/* Under the table's lock: */
	struct client *clients[CONN_CLIENTS];
	unsigned int next_client;
	unsigned int copies;		/* that wait for a worker, or have one */
	/* Under the queue's lock: */
	unsigned int others;		/* as of its host */
	unsigned int running;
	/* Under count_lock: */
	pthread_mutex_t count_lock;
	pthread_cond_t count_cond;
	unsigned int outstanding;	/* replies owed */
};
struct conn *conn_new(int fd, const struct peer *peer, const struct conn_io *io);
void conn_accept(int listen_fd);
void conn_run(struct conn *conn);
struct conn *conn_get(struct conn *conn);
void conn_put(struct conn *conn);
bool conn_next_record(struct conn *conn);
void conn_owe(struct conn *conn);
void conn_paid(struct conn *conn);
void conn_write_reply(struct conn *conn, struct rpc_msg *msg);
void conn_stop_reading(void);

/* rpc.c */
bool_t xdr_nothing(XDR *xdrs, ...);
bool rpc_serve_one(struct conn *conn);
void rpc_reply(struct conn *conn, uint32_t xid, xdrproc_t proc, void *result);

/* Who asks, as AUTH_SYS has it. */
struct caller {
	uid_t uid;
	gid_t gid;
	unsigned int ngroups;
	gid_t groups[NGRPS];
};

struct request {
	STAILQ_ENTRY(request) link;
	struct conn *conn;		/* a reference */
	uint32_t xid;
	uint32_t proc;
	struct caller caller;
	struct config *config;		/* a reference: what was in force then */
	struct copy *copy;		/* of a COPY */
	bool other;			/* counted by queue_other() */
	union {
		copyfile_hello_args hello;
		copyfile_probe_args probe;
		copyfile_copy_args copy;
		copyfile_cancel_args cancel;
		copyfile_commit_args commit;
	} args;
};
STAILQ_HEAD(request_list, request);
void request_free(struct request *rq);

/* queue.c */
bool queue_start(unsigned int workers);
bool queue_copy(struct request *rq);
bool queue_remove(struct request *rq);
bool queue_other(struct request *rq);
void queue_other_end(struct request *rq);
bool queue_stop(unsigned int wait_ms);
bool stopping(void);

/* dispatch.c */
void dispatch(struct request *rq);
void execute(struct request *rq);
void request_reply(struct request *rq, xdrproc_t proc, void *res, copyfile_status status);

/* client.c */
void table_bound(unsigned int max_connections);
void table_unbind(struct conn *conn);

/* table.c */
copyfile_status table_hello(struct conn *conn, uint64_t client);
void table_copy(struct request *rq);
void table_cancel(struct request *rq);
void table_run(struct copy *copy);
void table_finish(struct copy *copy, const copyfile_copy_res *res);
bool copy_cancelled(const struct copy *copy);

/* ident.c */
struct ident {
	uid_t uid;
	gid_t gid;
	size_t ngroups;
	gid_t *groups;
};
void ident_start(void);
void ident_make(struct ident *ident, const struct caller *caller, const struct peer *peer,
		const struct export *export);
void ident_free(struct ident *ident);
bool ident_enter(const struct ident *ident);
void ident_leave(void);
bool ident_drop_caps(void);

/* path.c */
struct place {
	const struct export *export;
	struct ident ident;
	int fd;				/* O_PATH */
	struct stat st;
};
/* With the holders of leases. */
struct patience {
	const struct copy *copy;
	int64_t until;
};
void patience_start(struct patience *patience, const struct copy *copy);
copyfile_status status_of(int error);
bool path_valid(const copyfile_path *path);
bool path_works(int dir);
copyfile_status place_find(struct place *place, const struct request *rq,
			   const char *export, const copyfile_path *path);
void place_put(struct place *place);
int place_open(const struct place *place, int flags, const struct patience *patience);
int place_open_own(const struct place *place, int flags, const struct patience *patience);

/* copy.c */
struct job {
	const copyfile_copy_args *args;
	const struct copy *copy;
	int src;
	int dst;
	uint64_t done;
	int64_t deadline;
	copyfile_how how;
	bool no_range;			/* copy_file_range does not work here */
	size_t step;
	char *buf;			/* for read and write */
};
void copy_execute(struct request *rq, copyfile_copy_res *res);

/* transfer.c */
int transfer(struct job *job);
ssize_t transfer_data(struct job *job, uint64_t len);
bool job_goes_on(const struct job *job);

/* sparse.c */
ssize_t sparse_step(struct job *job, uint64_t left);
int sparse_finish(struct job *job);

/* probe.c */
void probe_execute(struct request *rq, copyfile_probe_res *res);

/* commit.c */
void commit_execute(struct request *rq);
void commit_reply(struct request *rq, copyfile_status status);

/* dirty.c */
struct dirty;
struct dirty *dirty_get(const struct place *place, const struct patience *patience);
struct dirty *dirty_find(const struct stat *st);
void dirty_put(struct dirty *entry, bool wrote);
int dirty_sync(struct dirty *entry);
int sync_file(int fd);
copyfile_status sync_status(int error);
int dirty_sync_all(dev_t dev, int64_t before);
bool dirty_start(void);
bool dirty_finish(void);

/* verifier.c */
extern copyfile_verifier boot_verifier;
void verifier_start(int state_fd);
void verifier_get(copyfile_verifier verifier);
void verifier_change(const char *why);
void verifier_save(int state_fd);

#endif
