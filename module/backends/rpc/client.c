// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs_rpc - connections to servers, and requests.
 *
 * The mounts of one network namespace that name the same address share one
 * connection; each has its own time-outs on it. A request on a hard mount is
 * repeated until it is answered or the task is killed, on a soft one it ends
 * with -ETIMEDOUT.
 *
 * A UNIX socket's path is looked up by whoever connects. It must not be a task
 * that makes a copy: it may live in a mount namespace of its own, and put a
 * server of its own there. A work item connects, which has init's namespace;
 * tasks send requests on what is connected, and have it connected again.
 */
#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/net_namespace.h>
#include "rpc.h"

/* How long a server that has not answered is not asked again. */
#define OFFLOADFS_RPC_DOWN_TIME		(10 * HZ)

/* A server that has answered as lately as that is taken to be there. */
#define OFFLOADFS_RPC_HEARD_TIME	(10 * HZ)

/* How long after umount -f a mount does not wait for its server. */
#define OFFLOADFS_RPC_ABORT_TIME	(30 * HZ)

/* What a server has to let go of a file before it is asked again. */
#define OFFLOADFS_RPC_CANCEL_TIME	(10 * HZ)

static LIST_HEAD(offloadfs_rpc_servers);
static DEFINE_MUTEX(offloadfs_rpc_servers_lock);
static struct workqueue_struct *offloadfs_rpc_connect_wq;

/**
 * struct offloadfs_rpc_job - a connection that is made by a work item
 * @work: the work item
 * @count: references: the work item, and who waits
 * @server: where to, with a reference
 * @err: what came of it
 * @done: completed when it is known
 */
struct offloadfs_rpc_job {
	struct work_struct work;
	refcount_t count;
	struct offloadfs_rpc_server *server;
	int err;
	struct completion done;
};

static bool offloadfs_rpc_is_unix(const struct offloadfs_rpc_server *server)
{
	return server->address.ss.ss_family == AF_LOCAL;
}

static void offloadfs_rpc_heard(struct offloadfs_rpc_server *server)
{
	WRITE_ONCE(server->heard, jiffies);
	if (READ_ONCE(server->down))
		WRITE_ONCE(server->down, 0);
}

static const struct rpc_call_ops offloadfs_rpc_call_ops;

/* *SENT becomes true if the server may have seen the request; may be NULL. */
static int offloadfs_rpc_send(struct offloadfs_rpc_server *server,
			      struct rpc_clnt *clnt, enum copyfile_proc proc,
			      const void *args, void *res,
			      const struct cred *cred, int flags, bool *sent)
{
	struct rpc_message msg = {
		.rpc_proc	= &clnt->cl_procinfo[proc],
		.rpc_argp	= (void *)args,
		.rpc_resp	= res,
		.rpc_cred	= cred,
	};
	struct rpc_task_setup setup = {
		.rpc_client	= clnt,
		.rpc_message	= &msg,
		.callback_ops	= &offloadfs_rpc_call_ops,
		.flags		= flags,
	};
	struct rpc_task *task = rpc_run_task(&setup);
	int err;

	if (IS_ERR(task))
		return PTR_ERR(task);
	err = task->tk_status;
	if (sent && task->tk_flags & RPC_TASK_SENT)
		*sent = true;
	rpc_put_task(task);
	if (!err)
		offloadfs_rpc_heard(server);
	return err;
}

static int offloadfs_rpc_send_ping(struct offloadfs_rpc_server *server)
{
	return offloadfs_rpc_send(server, server->ping, COPYFILE_NULL, NULL,
				  NULL, current_cred(), RPC_TASK_SOFT |
				  RPC_TASK_SOFTCONN | RPC_TASK_TIMEOUT, NULL);
}

/* Servers */

static void offloadfs_rpc_free_server(struct offloadfs_rpc_server *server)
{
	if (!IS_ERR_OR_NULL(server->ping))
		rpc_shutdown_client(server->ping);
	if (!IS_ERR_OR_NULL(server->clnt))
		rpc_shutdown_client(server->clnt);
	put_net(server->net);
	kfree(server);
}

static void offloadfs_rpc_put_server(struct offloadfs_rpc_server *server)
{
	if (!refcount_dec_and_mutex_lock(&server->count,
					 &offloadfs_rpc_servers_lock))
		return;
	list_del(&server->list);
	mutex_unlock(&offloadfs_rpc_servers_lock);
	offloadfs_rpc_free_server(server);
}

static void offloadfs_rpc_set_timeout(struct rpc_clnt *clnt,
				      unsigned long initval,
				      unsigned int retries)
{
	struct rpc_timeout *to = &clnt->cl_timeout_default;

	*to = (struct rpc_timeout) {
		.to_initval	= initval,
		.to_increment	= initval,
		.to_retries	= retries,
		.to_maxval	= initval * (retries + 1),
	};
	clnt->cl_timeout = to;
}

static int offloadfs_rpc_make_clients(struct offloadfs_rpc_server *server,
				      const char *name)
{
	struct rpc_create_args args = {
		.net		= server->net,
		.protocol	= offloadfs_rpc_is_unix(server) ?
				  XPRT_TRANSPORT_LOCAL : XPRT_TRANSPORT_TCP,
		.address	= (struct sockaddr *)&server->address.ss,
		.addrsize	= server->address.len,
		.servername	= name,
		.program	= &offloadfs_rpc_program,
		.version	= COPYFILE_VERSION,
		.authflavor	= RPC_AUTH_UNIX,
		.flags		= RPC_CLNT_CREATE_HARDRTRY |
				  RPC_CLNT_CREATE_NOPING,
		.cred		= current_cred(),
	};

	server->clnt = rpc_create(&args);
	if (IS_ERR(server->clnt))
		return PTR_ERR(server->clnt);
	offloadfs_rpc_set_timeout(server->clnt, 10 * HZ, 2);
	server->ping = rpc_clone_client(server->clnt);
	if (IS_ERR(server->ping))
		return PTR_ERR(server->ping);
	offloadfs_rpc_set_timeout(server->ping, 3 * HZ, 0);
	return 0;
}

static struct offloadfs_rpc_server *
offloadfs_rpc_new_server(struct net *net, const char *name,
			 const struct offloadfs_rpc_address *address)
{
	struct offloadfs_rpc_server *server;
	int err;

	server = kzalloc(sizeof(*server), GFP_KERNEL);
	if (!server)
		return ERR_PTR(-ENOMEM);
	refcount_set(&server->count, 1);
	spin_lock_init(&server->lock);
	server->net = get_net(net);
	server->address = *address;
	server->client = get_random_u64();
	server->heard = jiffies - OFFLOADFS_RPC_HEARD_TIME - 1;
	err = offloadfs_rpc_make_clients(server, name);
	if (err) {
		offloadfs_rpc_free_server(server);
		return ERR_PTR(err);
	}
	return server;
}

static struct offloadfs_rpc_server *
offloadfs_rpc_find_server(const struct net *net,
			  const struct offloadfs_rpc_address *address)
{
	struct offloadfs_rpc_server *server;

	lockdep_assert_held(&offloadfs_rpc_servers_lock);
	list_for_each_entry(server, &offloadfs_rpc_servers, list)
		if (net_eq(server->net, net) &&
		    server->address.len == address->len &&
		    !memcmp(&server->address.ss, &address->ss, address->len))
			return server;
	return NULL;
}

static struct offloadfs_rpc_server *
offloadfs_rpc_get_server(struct net *net, const char *name,
			 const struct offloadfs_rpc_address *address)
{
	struct offloadfs_rpc_server *server;

	mutex_lock(&offloadfs_rpc_servers_lock);
	server = offloadfs_rpc_find_server(net, address);
	if (server) {
		refcount_inc(&server->count);
	} else {
		server = offloadfs_rpc_new_server(net, name, address);
		if (!IS_ERR(server))
			list_add(&server->list, &offloadfs_rpc_servers);
	}
	mutex_unlock(&offloadfs_rpc_servers_lock);
	return server;
}

/**
 * offloadfs_rpc_connect - give a mount its server
 * @mount: the mount
 * @net: network namespace
 * @address: where the server is
 *
 * Nothing is sent yet.
 *
 * Return: 0 or a negative errno.
 */
int offloadfs_rpc_connect(struct offloadfs_rpc_mount *mount, struct net *net,
			  const struct offloadfs_rpc_address *address)
{
	struct offloadfs_rpc_server *server;
	struct rpc_clnt *clnt, *cancel_clnt;

	server = offloadfs_rpc_get_server(net, mount->server_name, address);
	if (IS_ERR(server))
		return PTR_ERR(server);
	clnt = rpc_clone_client(server->clnt);
	if (IS_ERR(clnt)) {
		offloadfs_rpc_put_server(server);
		return PTR_ERR(clnt);
	}
	cancel_clnt = rpc_clone_client(server->clnt);
	if (IS_ERR(cancel_clnt)) {
		rpc_shutdown_client(clnt);
		offloadfs_rpc_put_server(server);
		return PTR_ERR(cancel_clnt);
	}
	offloadfs_rpc_set_timeout(cancel_clnt, OFFLOADFS_RPC_CANCEL_TIME, 0);
	mount->server = server;
	mount->clnt = clnt;
	mount->cancel_clnt = cancel_clnt;
	return 0;
}

/**
 * offloadfs_rpc_set_timeouts - how long a mount waits for its server
 * @mount: a mount with a server, and no request under way
 * @timeo: tenths of a second until a request is sent again
 * @retrans: how often that is done
 */
void offloadfs_rpc_set_timeouts(struct offloadfs_rpc_mount *mount,
				unsigned int timeo, unsigned int retrans)
{
	offloadfs_rpc_set_timeout(mount->clnt, timeo * HZ / 10, retrans);
}

/**
 * offloadfs_rpc_disconnect - take a mount its server
 * @mount: may have none
 */
void offloadfs_rpc_disconnect(struct offloadfs_rpc_mount *mount)
{
	if (!mount->server)
		return;
	rpc_shutdown_client(mount->cancel_clnt);
	rpc_shutdown_client(mount->clnt);
	offloadfs_rpc_put_server(mount->server);
}

/* Connections that are made by a work item */

static void offloadfs_rpc_put_job(struct offloadfs_rpc_job *job)
{
	if (!refcount_dec_and_test(&job->count))
		return;
	offloadfs_rpc_put_server(job->server);
	kfree(job);
}

static void offloadfs_rpc_do_job(struct work_struct *work)
{
	struct offloadfs_rpc_job *job =
		container_of(work, struct offloadfs_rpc_job, work);

	job->err = offloadfs_rpc_send_ping(job->server);
	complete(&job->done);
	offloadfs_rpc_put_job(job);
}

static struct offloadfs_rpc_job *
offloadfs_rpc_start_job(struct offloadfs_rpc_server *server)
{
	struct offloadfs_rpc_job *job = kzalloc(sizeof(*job), GFP_KERNEL);

	if (!job)
		return NULL;
	INIT_WORK(&job->work, offloadfs_rpc_do_job);
	refcount_set(&job->count, 2);
	refcount_inc(&server->count);
	job->server = server;
	init_completion(&job->done);
	queue_work(offloadfs_rpc_connect_wq, &job->work);
	return job;
}

static int offloadfs_rpc_reconnect(struct offloadfs_rpc_server *server)
{
	struct offloadfs_rpc_job *job;
	int err;

	job = offloadfs_rpc_start_job(server);
	if (!job)
		return -ENOMEM;
	err = wait_for_completion_killable(&job->done) ?: job->err;
	offloadfs_rpc_put_job(job);
	return err;
}

/* Requests */

/*
 * Over a UNIX socket. What was sent before the connection was lost is sent
 * again as it was, as the RPC layer does over TCP.
 */
static int offloadfs_rpc_call_unix(const struct offloadfs_rpc_mount *mount,
				   struct rpc_clnt *clnt,
				   enum copyfile_proc proc, const void *args,
				   void *res, const struct cred *cred,
				   int flags, bool *sent)
{
	struct offloadfs_rpc_server *server = mount->server;
	const struct rpc_timeout *to = clnt->cl_timeout;
	unsigned long end = jiffies + to->to_initval * (to->to_retries + 1);
	bool again = false;
	int err;

	for (;;) {
		err = offloadfs_rpc_send(server, clnt, proc, args, res, cred,
					 flags | RPC_TASK_NOCONNECT, sent);
		if (err != -ENOTCONN)
			return err;
		err = offloadfs_rpc_reconnect(server);
		if (fatal_signal_pending(current))
			return -ERESTARTSYS;
		if (err && flags & RPC_TASK_SOFTCONN)
			return err;
		if (flags & RPC_TASK_SOFT && time_after(jiffies, end))
			return -ETIMEDOUT;
		if (offloadfs_rpc_is_aborted(mount))
			return -EIO;
		if (err || again)
			schedule_timeout_killable(HZ / 2);
		again = true;
	}
}

/**
 * offloadfs_rpc_is_exiting - is this a task that exits?
 *
 * No signal can reach it any more, and nobody hears what it did.
 *
 * Return: whether it is.
 */
bool offloadfs_rpc_is_exiting(void)
{
	return current->flags & PF_EXITING;
}

/**
 * offloadfs_rpc_call - make a request and wait for the reply
 * @mount: whose server
 * @proc: procedure
 * @args: its arguments
 * @res: where the result goes
 * @cred: in whose name
 * @flags: RPC_TASK_SOFT and the like, beyond what the mount's options say
 * @sent: becomes true if the server may have seen the request; may be NULL
 *
 * Context: process context, waits; a fatal signal ends the waiting. For kernel
 * threads and tasks that exit, and after umount -f, every mount is soft.
 * Return: 0 if @res is valid; -ERESTARTSYS if the task was killed; -ETIMEDOUT
 * on a soft mount; -EIO if the reply makes no sense; another negative errno of
 * the RPC layer. Unless it is 0, the server may yet come to see a request that
 * was sent.
 */
int offloadfs_rpc_call(struct offloadfs_rpc_mount *mount,
		       enum copyfile_proc proc, const void *args, void *res,
		       const struct cred *cred, int flags, bool *sent)
{
	struct offloadfs_rpc_server *server = mount->server;
	bool aborted = offloadfs_rpc_is_aborted(mount);
	struct rpc_clnt *clnt = aborted || offloadfs_rpc_is_exiting() ?
				server->clnt : mount->clnt;

	/* What no signal can reach must not wait for ever. */
	if (mount->soft || aborted ||
	    current->flags & (PF_EXITING | PF_KTHREAD))
		flags |= RPC_TASK_SOFT;
	/* A connection that is there will bring the reply. */
	if (!(flags & RPC_TASK_SOFT))
		flags |= RPC_TASK_NO_RETRANS_TIMEOUT;
	if (flags & RPC_TASK_SOFT)
		flags |= RPC_TASK_TIMEOUT;
	if (offloadfs_rpc_is_unix(server))
		return offloadfs_rpc_call_unix(mount, clnt, proc, args, res,
					       cred, flags, sent);
	return offloadfs_rpc_send(server, clnt, proc, args, res, cred, flags,
				  sent);
}

/**
 * offloadfs_rpc_get_boot - which process of the server is meant
 * @mount: whose HELLO counts: it is what names the mount's tree
 * @boot: where the server's boot verifier goes
 */
void offloadfs_rpc_get_boot(struct offloadfs_rpc_mount *mount,
			    copyfile_verifier boot)
{
	spin_lock(&mount->server->lock);
	memcpy(boot, mount->boot, COPYFILE_VERIFIER_SIZE);
	spin_unlock(&mount->server->lock);
}

static int offloadfs_rpc_hello_errno(enum copyfile_status status)
{
	switch (status) {
	case COPYFILE_OK:
		return 0;
	case COPYFILE_NOEXPORT:
		return -ENOENT;
	case COPYFILE_PERM:
	case COPYFILE_ACCES:
		return -EACCES;
	case COPYFILE_MINOR:
		return -EPROTONOSUPPORT;
	case COPYFILE_BUSY:
		return -EBUSY;
	default:
		return -EIO;
	}
}

/**
 * offloadfs_rpc_hello - become known to the server, and learn what it is
 * @mount: the mount
 * @flags: as for offloadfs_rpc_call()
 *
 * Return: 0; -ENOENT if the server has no such export for us; -ESTALE if it is
 * not what it was when the mount was made; -EACCES; -EPROTONOSUPPORT; -EBUSY; or
 * what offloadfs_rpc_call() returns.
 */
int offloadfs_rpc_hello(struct offloadfs_rpc_mount *mount, int flags)
{
	struct offloadfs_rpc_server *server = mount->server;
	struct copyfile_hello_args args = {
		.export	= mount->export,
		.client	= server->client,
	};
	struct copyfile_hello_res res = {};
	int err;

	err = offloadfs_rpc_call(mount, COPYFILE_HELLO, &args, &res,
				 current_cred(), flags, NULL);
	err = err ?: offloadfs_rpc_hello_errno(res.status);
	if (err)
		return err;
	if (res.minor > COPYFILE_MINOR_VERSION)
		return -EPROTONOSUPPORT;
	if (mount->probed && res.tree != mount->tree) {
		pr_warn_ratelimited("server %s: export %s is another directory by now: nothing is copied there\n",
				    mount->server_name, mount->export);
		return -ESTALE;
	}
	spin_lock(&server->lock);
	mount->tree = res.tree;
	memcpy(mount->boot, res.boot, COPYFILE_VERIFIER_SIZE);
	spin_unlock(&server->lock);
	WRITE_ONCE(mount->caps, res.caps);
	WRITE_ONCE(mount->max_count, min_t(u64, res.max_count, MAX_LFS_FILESIZE));
	return 0;
}

/**
 * offloadfs_rpc_cancel - stop a copy whose fate is not known
 * @mount: the mount
 * @args: which
 * @res: what became of it
 *
 * Context: a work item's: it connects where init would.
 * Return: 0 if @res is valid; otherwise as offloadfs_rpc_call() on a soft mount.
 */
int offloadfs_rpc_cancel(struct offloadfs_rpc_mount *mount,
			 const struct copyfile_cancel_args *args,
			 struct copyfile_cancel_res *res)
{
	struct offloadfs_rpc_server *server = mount->server;
	int err;

	err = offloadfs_rpc_send(server, mount->cancel_clnt, COPYFILE_CANCEL,
				 args, res, current_cred(),
				 RPC_TASK_SOFT | RPC_TASK_SOFTCONN |
				 RPC_TASK_TIMEOUT, NULL);
	/* One that answers others may be waiting for a long clone to end. */
	if (err == -EIO ||
	    (err == -ETIMEDOUT && time_after(jiffies, READ_ONCE(server->heard) +
						      OFFLOADFS_RPC_CANCEL_TIME)))
		offloadfs_rpc_drop_connection(server);
	return err;
}

/**
 * offloadfs_rpc_abort - ->abort of the backend, for umount -f
 * @priv: mount
 */
void offloadfs_rpc_abort(void *priv)
{
	struct offloadfs_rpc_mount *mount = priv;

	WRITE_ONCE(mount->aborted, jiffies | 1);
	rpc_killall_tasks(mount->clnt);
	offloadfs_rpc_abort_unsettled(mount);
	wake_up_all(&mount->settled);
}

/**
 * offloadfs_rpc_is_aborted - was umount -f tried a moment ago?
 * @mount: the mount
 *
 * Context: any.
 * Return: whether it was.
 */
bool offloadfs_rpc_is_aborted(const struct offloadfs_rpc_mount *mount)
{
	unsigned long aborted = READ_ONCE(mount->aborted);

	return aborted && time_before(jiffies, aborted + OFFLOADFS_RPC_ABORT_TIME);
}

/**
 * offloadfs_rpc_is_down - did the server fail to answer a moment ago?
 * @server: the server
 *
 * Context: any.
 * Return: whether it did.
 */
bool offloadfs_rpc_is_down(const struct offloadfs_rpc_server *server)
{
	unsigned long down = READ_ONCE(server->down);

	return down && time_before(jiffies, down + OFFLOADFS_RPC_DOWN_TIME);
}

/**
 * offloadfs_rpc_drop_connection - go on with another connection
 * @server: a server that does not answer, or not so that it can be understood
 *
 * What is under way is sent again over the next one.
 */
void offloadfs_rpc_drop_connection(struct offloadfs_rpc_server *server)
{
	rpc_clnt_disconnect(server->clnt);
}

/**
 * offloadfs_rpc_set_down - the server cannot be reached
 * @server: the server
 */
void offloadfs_rpc_set_down(struct offloadfs_rpc_server *server)
{
	WRITE_ONCE(server->down, jiffies | 1);
}

/**
 * offloadfs_rpc_answers - is the server there?
 * @server: the server
 * @now: ask it, however lately it has answered
 *
 * To be asked before anything is begun that only the server can end. One that
 * has been silent for a while is asked, and has a few seconds to answer.
 *
 * Return: whether it has answered lately.
 */
bool offloadfs_rpc_answers(struct offloadfs_rpc_server *server, bool now)
{
	int err;

	if (!now && time_before(jiffies, READ_ONCE(server->heard) +
					 OFFLOADFS_RPC_HEARD_TIME))
		return true;
	err = offloadfs_rpc_is_unix(server) ? offloadfs_rpc_reconnect(server) :
					      offloadfs_rpc_send_ping(server);
	if (err && !fatal_signal_pending(current)) {
		offloadfs_rpc_set_down(server);
		offloadfs_rpc_drop_connection(server);
	}
	return !err;
}

/**
 * offloadfs_rpc_client_init - get ready for mounts
 *
 * Return: 0 or -ENOMEM.
 */
int offloadfs_rpc_client_init(void)
{
	offloadfs_rpc_connect_wq = alloc_workqueue("offloadfs_rpc_connect",
						   WQ_UNBOUND, 0);
	return offloadfs_rpc_connect_wq ? 0 : -ENOMEM;
}

/**
 * offloadfs_rpc_client_exit - wait for what outlives its mount
 */
void offloadfs_rpc_client_exit(void)
{
	destroy_workqueue(offloadfs_rpc_connect_wq);
}
