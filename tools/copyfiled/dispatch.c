// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who serves which procedure. A reader does itself what never waits for a
 * disk: NULL, HELLO, and CANCEL, so that no CANCEL is stuck behind a slow
 * request. The rest is left to the workers.
 */
#include <netinet/in.h>
#include <string.h>

#include "copyfiled.h"

static bool same_boot(const copyfile_verifier boot)
{
	return !memcmp(boot, boot_verifier, sizeof(copyfile_verifier));
}

/**
 * request_reply - answer a request
 * @rq: not the caller's any more
 * @proc: how @res is encoded
 * @res: the result
 * @status: what it says, for the counters
 */
void request_reply(struct request *rq, xdrproc_t proc, void *res, copyfile_status status)
{
	if (rq->other)
		queue_other_end(rq);
	stat_status(status);
	rpc_reply(rq->conn, rq->xid, proc, res);
	conn_paid(rq->conn);
	request_free(rq);
}

static const char *why_refused(const struct conn *conn, copyfile_status status)
{
	if (status == COPYFILE_BUSY)
		return "a client at another address has its number, or there are too many";
	return status == COPYFILE_PERM && conn->peer.port >= IPPORT_RESERVED ?
	       "its port is not privileged: see insecure" : "see allow";
}

static void hello(struct request *rq)
{
	const copyfile_hello_args *args = &rq->args.hello;
	const struct export *export = export_find(rq->config, args->export);
	copyfile_hello_res res = { .status = export_check(export, &rq->conn->peer) };
	copyfile_hello_ok *ok = &res.copyfile_hello_res_u.ok;

	if (res.status == COPYFILE_OK)
		res.status = table_hello(rq->conn, args->client);
	if (res.status == COPYFILE_OK) {
		/* 0 is the only minor version, and everybody speaks it. */
		ok->minor = COPYFILE_MINOR_VERSION;
		memcpy(ok->boot, boot_verifier, sizeof(ok->boot));
		/* No more than that can be asked for at all; slices make it short. */
		ok->max_count = INT64_MAX;
		ok->caps = (export->tree->can_clone ? COPYFILE_CAP_CLONE : 0) |
			   (export->rdonly ? COPYFILE_CAP_RDONLY : 0);
		ok->tree = export->tree->id;
	} else if (log_limited()) {
		log_warn("%s is refused export %s (%s)", rq->conn->peer.name,
			 export ? export->name : "of a name that there is not",
			 why_refused(rq->conn, res.status));
	}
	request_reply(rq, (xdrproc_t)xdr_copyfile_hello_res, &res, res.status);
}

static void cancel(struct request *rq)
{
	copyfile_cancel_res res = { .status = COPYFILE_STALE_BOOT };

	if (same_boot(rq->args.cancel.boot))
		table_cancel(rq);
	else
		request_reply(rq, (xdrproc_t)xdr_copyfile_cancel_res, &res, res.status);
}

static void copy(struct request *rq)
{
	copyfile_copy_res res = { .status = COPYFILE_STALE_BOOT };

	if (same_boot(rq->args.copy.boot))
		table_copy(rq);
	else
		request_reply(rq, (xdrproc_t)xdr_copyfile_copy_res, &res, res.status);
}

/* PROBE and COMMIT: the client asks again later. */
static void other(struct request *rq)
{
	copyfile_probe_res busy = { .status = COPYFILE_BUSY };

	if (queue_other(rq))
		return;
	if (rq->proc == COPYFILE_COMMIT)
		commit_reply(rq, COPYFILE_BUSY);
	else
		request_reply(rq, (xdrproc_t)xdr_copyfile_probe_res, &busy, busy.status);
}

/**
 * dispatch - serve a request, or have it served
 * @rq: not the caller's any more
 *
 * Context: the connection's reader. Waits while too many replies are owed.
 */
void dispatch(struct request *rq)
{
	conn_owe(rq->conn);
	switch (rq->proc) {
	case COPYFILE_NULL:
		request_reply(rq, xdr_nothing, NULL, COPYFILE_OK);
		break;
	case COPYFILE_HELLO:
		hello(rq);
		break;
	case COPYFILE_COPY:
		copy(rq);
		break;
	case COPYFILE_CANCEL:
		cancel(rq);
		break;
	default:
		other(rq);
	}
}

static void execute_copy(struct request *rq)
{
	copyfile_copy_res res = { 0 };

	table_run(rq->copy);
	copy_execute(rq, &res);
	table_finish(rq->copy, &res);
	request_free(rq);
}

static void execute_probe(struct request *rq)
{
	copyfile_probe_res res = { .status = COPYFILE_STALE_BOOT };

	if (same_boot(rq->args.probe.boot))
		probe_execute(rq, &res);
	request_reply(rq, (xdrproc_t)xdr_copyfile_probe_res, &res, res.status);
}

static void execute_commit(struct request *rq)
{
	if (same_boot(rq->args.commit.boot))
		commit_execute(rq);
	else
		commit_reply(rq, COPYFILE_STALE_BOOT);
}

/* What a worker does with a request of the queue. */
void execute(struct request *rq)
{
	if (rq->proc == COPYFILE_COPY)
		execute_copy(rq);
	else if (rq->proc == COPYFILE_PROBE)
		execute_probe(rq);
	else
		execute_commit(rq);
}
