/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * offloadfs_rpc - the backend that has files copied by a COPYFILE server
 * (include/rpcsvc/copyfile.x), and all that its files share. It knows of
 * offloadfs what the public header says.
 *
 * Locks: offloadfs_rpc_servers_lock guards the list of servers. Of one mount:
 * record->lock > mount->records_lock. No lock is held during a request but
 * record->lock, during COMMIT.
 */
#ifndef _OFFLOADFS_RPC_H
#define _OFFLOADFS_RPC_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/offloadfs.h>
#include <linux/path.h>
#include <linux/refcount.h>
#include <linux/socket.h>
#include <linux/spinlock.h>
#include <linux/sunrpc/clnt.h>
#include <linux/time64.h>
#include <linux/un.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#undef pr_fmt
#define pr_fmt(fmt) "offloadfs_rpc: " fmt

/* The numbers of include/rpcsvc/copyfile.x. */
#define COPYFILE_PROGRAM		0x2c0f11e5
#define COPYFILE_VERSION		1
#define COPYFILE_PORT			20490
#define COPYFILE_MINOR_VERSION		0
#define COPYFILE_EXPORT_MAX		255
#define COPYFILE_PATH_MAX		4095
#define COPYFILE_VERIFIER_SIZE		8
#define COPYFILE_NONCE_SIZE		16
#define COPYFILE_PROBE_PREFIX		".offloadfs-probe-"

#define COPYFILE_CAP_CLONE		1
#define COPYFILE_CAP_RDONLY		2

/* How long tasks that no signal can reach wait for a server. */
#define OFFLOADFS_RPC_KTHREAD_TIME	(30 * HZ)

#define COPYFILE_CLONE_ONLY		1
#define COPYFILE_STABLE			2
#define COPYFILE_SPARSE			4

enum copyfile_proc {
	COPYFILE_NULL,
	COPYFILE_HELLO,
	COPYFILE_PROBE,
	COPYFILE_COPY,
	COPYFILE_CANCEL,
	COPYFILE_COMMIT,
	COPYFILE_NR_PROCS
};

enum copyfile_status {
	COPYFILE_OK		= 0,
	COPYFILE_PERM		= 1,
	COPYFILE_NOENT		= 2,
	COPYFILE_IO		= 5,
	COPYFILE_ACCES		= 13,
	COPYFILE_XDEV		= 18,
	COPYFILE_INVAL		= 22,
	COPYFILE_FBIG		= 27,
	COPYFILE_NOSPC		= 28,
	COPYFILE_ROFS		= 30,
	COPYFILE_DQUOT		= 69,
	COPYFILE_STALE		= 70,
	COPYFILE_NOTSUPP	= 10004,
	COPYFILE_BUSY		= 10008,
	COPYFILE_CANCELLED	= 20001,
	COPYFILE_STALE_BOOT	= 20002,
	COPYFILE_NOEXPORT	= 20003,
	COPYFILE_MISMATCH	= 20004,
	COPYFILE_MINOR		= 20005,
};

enum copyfile_state {
	COPYFILE_NEVER_SEEN,
	COPYFILE_FINISHED,
	COPYFILE_STOPPED,
};

typedef u8 copyfile_verifier[COPYFILE_VERIFIER_SIZE];

/**
 * struct copyfile_id - the name of a copy
 * @client: random number of the client
 * @serial: raised with every copy
 */
struct copyfile_id {
	u64 client;
	u64 serial;
};

struct copyfile_hello_args {
	const char *export;
	u64 client;
};

struct copyfile_hello_res {
	enum copyfile_status status;
	u32 minor;
	copyfile_verifier boot;
	u64 max_count;
	u32 caps;
	u64 tree;
};

struct copyfile_probe_args {
	copyfile_verifier boot;
	const char *export;
	const char *path;
	const u8 *nonce;		/* NULL: none */
};

struct copyfile_probe_res {
	enum copyfile_status status;
	u64 fileid;
	struct timespec64 mtime;
	u8 answer[COPYFILE_NONCE_SIZE];
};

/**
 * struct copyfile_file - a file as the client knows it
 * @export: name of the export
 * @path: in the export, without a slash at either end
 * @fileid: inode number, or 0: do not compare
 * @size: bytes
 * @mtime: last modification
 */
struct copyfile_file {
	const char *export;
	const char *path;
	u64 fileid;
	u64 size;
	struct timespec64 mtime;
};

struct copyfile_copy_args {
	copyfile_verifier boot;
	struct copyfile_id id;
	struct copyfile_file src;
	struct copyfile_file dst;
	u64 src_offset;
	u64 dst_offset;
	u64 count;
	u32 flags;
};

struct copyfile_copy_res {
	enum copyfile_status status;
	u64 count;
	u32 how;
	bool stable;
	copyfile_verifier verifier;
	u64 fileid;
	u64 size;
	struct timespec64 mtime;
	struct timespec64 ctime;
};

struct copyfile_cancel_args {
	copyfile_verifier boot;
	struct copyfile_id id;
};

struct copyfile_cancel_res {
	enum copyfile_status status;
	enum copyfile_state state;
	u64 count;
};

struct copyfile_commit_args {
	copyfile_verifier boot;
	const char *export;
	const char *path;
	u64 fileid;
	u64 offset;
	u64 count;
};

struct copyfile_commit_res {
	enum copyfile_status status;
	copyfile_verifier verifier;
};

/**
 * struct offloadfs_rpc_address - where a server listens
 * @ss: its address, of a family AF_INET, AF_INET6 or AF_LOCAL
 * @len: length of @ss
 */
struct offloadfs_rpc_address {
	struct sockaddr_storage ss;
	size_t len;
};

/**
 * struct offloadfs_rpc_server - a connection, shared by the mounts that use it
 * @list: in offloadfs_rpc_servers
 * @count: references: mounts, and work items that connect
 * @net: network namespace of the mounts
 * @address: where the server is
 * @clnt: the connection
 * @ping: the same, with short time-outs
 * @client: our random number
 * @serial: of the last copy
 * @lock: guards @boot and @tree of the mounts
 * @heard: when it last answered, in jiffies
 * @down: when it last failed to, in jiffies, or 0
 */
struct offloadfs_rpc_server {
	struct list_head list;
	refcount_t count;
	struct net *net;
	struct offloadfs_rpc_address address;
	struct rpc_clnt *clnt;
	struct rpc_clnt *ping;
	u64 client;
	atomic64_t serial;
	spinlock_t lock;
	unsigned long heard;
	unsigned long down;
};

/**
 * struct offloadfs_rpc_mount - what a mount has of its own
 * @sb: upper super block; gone when the mount is destroyed
 * @lower: the directory shown, on the core's private mount
 * @server: its connection
 * @clnt: the same with the mount's time-outs
 * @cancel_clnt: the same for CANCEL
 * @server_name: option server=
 * @export: option export=
 * @prefix: option prefix=, or ""
 * @match_attr: option match=attr: file ids of lower and server differ
 * @soft: option soft
 * @timeo: option timeo= in tenths of a second
 * @retrans: option retrans=
 * @caps: of COPYFILE_CAP_*
 * @max_count: most bytes of one COPY
 * @probed: @tree is the one that the lower shows
 * @tree: what the server calls it
 * @boot: the server's boot verifier when it last said so
 * @records_lock: guards what follows, and what the records say
 * @records: files with copied data that is not known to be durable
 * @nr_records: how many
 * @unsettled: copies whose fate is not known
 * @nr_unsettled: how many
 * @settled: woken when it is one fewer
 * @going: the mount goes, and they with it
 * @aborted: when umount -f was last tried, in jiffies, or 0
 */
struct offloadfs_rpc_mount {
	struct super_block *sb;
	struct path lower;
	struct offloadfs_rpc_server *server;
	struct rpc_clnt *clnt;
	struct rpc_clnt *cancel_clnt;
	char *server_name;
	char *export;
	char *prefix;
	bool match_attr;
	bool soft;
	unsigned int timeo;
	unsigned int retrans;
	u32 caps;
	u64 max_count;
	bool probed;
	u64 tree;
	copyfile_verifier boot;
	spinlock_t records_lock;
	struct list_head records;
	unsigned int nr_records;
	struct list_head unsettled;
	unsigned int nr_unsettled;
	wait_queue_head_t settled;
	bool going;
	unsigned long aborted;
};

/* xdr.c */
extern const struct rpc_program offloadfs_rpc_program;

/* client.c */
bool offloadfs_rpc_is_exiting(void);
void offloadfs_rpc_set_timeouts(struct offloadfs_rpc_mount *mount,
				unsigned int timeo, unsigned int retrans);
int offloadfs_rpc_connect(struct offloadfs_rpc_mount *mount, struct net *net,
			  const struct offloadfs_rpc_address *address);
void offloadfs_rpc_disconnect(struct offloadfs_rpc_mount *mount);
bool offloadfs_rpc_is_down(const struct offloadfs_rpc_server *server);
void offloadfs_rpc_drop_connection(struct offloadfs_rpc_server *server);
void offloadfs_rpc_set_down(struct offloadfs_rpc_server *server);
bool offloadfs_rpc_answers(struct offloadfs_rpc_server *server, bool now);
void offloadfs_rpc_abort(void *priv);
bool offloadfs_rpc_is_aborted(const struct offloadfs_rpc_mount *mount);
int offloadfs_rpc_call(struct offloadfs_rpc_mount *mount,
		       enum copyfile_proc proc, const void *args, void *res,
		       const struct cred *cred, int flags, bool *sent);
int offloadfs_rpc_hello(struct offloadfs_rpc_mount *mount, int flags);
void offloadfs_rpc_get_boot(struct offloadfs_rpc_mount *mount,
			    copyfile_verifier boot);
int offloadfs_rpc_cancel(struct offloadfs_rpc_mount *mount,
			 const struct copyfile_cancel_args *args,
			 struct copyfile_cancel_res *res);
int offloadfs_rpc_client_init(void);
void offloadfs_rpc_client_exit(void);

/* name.c */
char *offloadfs_rpc_path(const struct offloadfs_rpc_mount *mount,
			 const struct path *path, char *buf);
int offloadfs_rpc_parse_server(struct fs_context *fc, const char *name,
			       struct offloadfs_rpc_address *address);

/* probe.c */
int offloadfs_rpc_probe(struct offloadfs_rpc_mount *mount,
			struct fs_context *fc);

/* copy.c */
ssize_t offloadfs_rpc_copy(void *priv, struct offloadfs_copy_request *req);
enum offloadfs_reason
offloadfs_rpc_decide(void *priv, const struct offloadfs_copy_request *req);

/* unsettled.c */
struct offloadfs_rpc_unsettled;
struct offloadfs_rpc_unsettled *
offloadfs_rpc_new_unsettled(struct offloadfs_rpc_mount *mount);
bool offloadfs_rpc_has_too_many(const struct offloadfs_rpc_mount *mount);
void offloadfs_rpc_add_unsettled(struct offloadfs_rpc_unsettled *u,
				 struct inode *inode,
				 const struct copyfile_copy_args *copy);
void offloadfs_rpc_abort_unsettled(struct offloadfs_rpc_mount *mount);
void offloadfs_rpc_drop_unsettled(struct offloadfs_rpc_mount *mount);
int offloadfs_rpc_unsettled_init(void);
void offloadfs_rpc_unsettled_exit(void);

/* commit.c */
struct offloadfs_rpc_record;
struct offloadfs_rpc_record *
offloadfs_rpc_get_record(struct offloadfs_rpc_mount *mount,
			 const struct file *file);
void offloadfs_rpc_put_record(struct offloadfs_rpc_record *record);
void offloadfs_rpc_note(struct offloadfs_rpc_mount *mount,
			struct offloadfs_rpc_record *record, u64 pos,
			const struct copyfile_copy_res *res);
int offloadfs_rpc_commit(void *priv, struct file *dst, loff_t start,
			 loff_t end, int datasync);
int offloadfs_rpc_flush(void *priv, struct file *dst);
int offloadfs_rpc_sync(void *priv);
void offloadfs_rpc_evict(void *priv, struct inode *lower);
void offloadfs_rpc_drop_records(struct offloadfs_rpc_mount *mount);

#endif /* _OFFLOADFS_RPC_H */
