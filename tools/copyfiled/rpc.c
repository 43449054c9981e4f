// SPDX-License-Identifier: GPL-2.0-only
/*
 * ONC RPC (RFC 5531): from a record to a request, and from a result to a
 * reply. libtirpc's dispatcher serves one call after the other and must answer
 * in order; its XDR routines do not care, and are used here.
 */
#include <stdlib.h>
#include <string.h>

#include "copyfiled.h"

/* xdr_void() has not the type of an xdrproc_t. */
bool_t xdr_nothing(XDR *xdrs, ...)
{
	return TRUE;
}

struct procedure {
	xdrproc_t args;
	enum stat_id stat;
};

#define PROC(type, id)	{ (xdrproc_t)xdr_copyfile_ ## type ## _args, id }

static const struct procedure procedures[] = {
	[COPYFILE_NULL] = { xdr_nothing, STAT_NULL },
	[COPYFILE_HELLO] = PROC(hello, STAT_HELLO),
	[COPYFILE_PROBE] = PROC(probe, STAT_PROBE),
	[COPYFILE_COPY] = PROC(copy, STAT_COPY),
	[COPYFILE_CANCEL] = PROC(cancel, STAT_CANCEL),
	[COPYFILE_COMMIT] = PROC(commit, STAT_COMMIT),
};

#define NPROCEDURES	(sizeof(procedures) / sizeof(procedures[0]))

static void reply_init(struct rpc_msg *msg, uint32_t xid)
{
	memset(msg, 0, sizeof(*msg));
	msg->rm_xid = xid;
	msg->rm_direction = REPLY;
	msg->rm_reply.rp_stat = MSG_ACCEPTED;
	msg->acpted_rply.ar_verf = _null_auth;
}

/**
 * rpc_reply - answer a call
 * @conn: where it came from
 * @xid: its number
 * @proc: how @result is encoded
 * @result: what
 */
void rpc_reply(struct conn *conn, uint32_t xid, xdrproc_t proc, void *result)
{
	struct rpc_msg msg;

	reply_init(&msg, xid);
	msg.acpted_rply.ar_stat = SUCCESS;
	msg.acpted_rply.ar_results.where = result;
	msg.acpted_rply.ar_results.proc = proc;
	conn_write_reply(conn, &msg);
}

static void reply_error(struct conn *conn, uint32_t xid, enum accept_stat stat)
{
	struct rpc_msg msg;

	stat_inc(STAT_BAD_CALLS);
	reply_init(&msg, xid);
	msg.acpted_rply.ar_stat = stat;
	if (stat == PROG_MISMATCH) {
		msg.acpted_rply.ar_vers.low = COPYFILE_V1;
		msg.acpted_rply.ar_vers.high = COPYFILE_V1;
	}
	conn_write_reply(conn, &msg);
}

static void reply_auth_error(struct conn *conn, uint32_t xid, enum auth_stat why)
{
	struct rpc_msg msg;

	stat_inc(STAT_BAD_CALLS);
	reply_init(&msg, xid);
	msg.rm_reply.rp_stat = MSG_DENIED;
	msg.rjcted_rply.rj_stat = AUTH_ERROR;
	msg.rjcted_rply.rj_why = why;
	conn_write_reply(conn, &msg);
}

/* Not a call of RPC version 2. Answer what can be answered, or hang up. */
static bool bad_header(struct conn *conn, const struct rpc_msg *call)
{
	struct rpc_msg msg;

	if (conn->ended)
		return false;
	stat_inc(STAT_BAD_CALLS);
	if (call->rm_direction != CALL || call->rm_call.cb_rpcvers == RPC_MSG_VERSION)
		return false;
	reply_init(&msg, call->rm_xid);
	msg.rm_reply.rp_stat = MSG_DENIED;
	msg.rjcted_rply.rj_stat = RPC_MISMATCH;
	msg.rjcted_rply.rj_vers.low = RPC_MSG_VERSION;
	msg.rjcted_rply.rj_vers.high = RPC_MSG_VERSION;
	conn_write_reply(conn, &msg);
	return true;
}

static enum auth_stat decode_caller(struct opaque_auth *cred, struct caller *caller)
{
	struct authunix_parms unix_cred;
	char machine[MAX_MACHINE_NAME + 1];
	bool_t ok;
	XDR xdrs;

	if (cred->oa_flavor != AUTH_SYS)
		return AUTH_TOOWEAK;
	memset(&unix_cred, 0, sizeof(unix_cred));
	/* With room of ours, nothing is allocated. */
	unix_cred.aup_machname = machine;
	unix_cred.aup_gids = caller->groups;
	xdrmem_create(&xdrs, cred->oa_base, cred->oa_length, XDR_DECODE);
	ok = xdr_authunix_parms(&xdrs, &unix_cred);
	XDR_DESTROY(&xdrs);
	if (!ok)
		return AUTH_BADCRED;
	caller->uid = unix_cred.aup_uid;
	caller->gid = unix_cred.aup_gid;
	caller->ngroups = unix_cred.aup_len;
	return AUTH_OK;
}

/* Is this a call that can be served? Else it has been answered. */
static bool check_call(struct conn *conn, struct rpc_msg *call, struct caller *caller)
{
	const struct call_body *body = &call->rm_call;
	enum auth_stat why;

	if (body->cb_prog != COPYFILE_PROGRAM) {
		reply_error(conn, call->rm_xid, PROG_UNAVAIL);
		return false;
	}
	if (body->cb_vers != COPYFILE_V1) {
		reply_error(conn, call->rm_xid, PROG_MISMATCH);
		return false;
	}
	if (body->cb_proc >= NPROCEDURES) {
		reply_error(conn, call->rm_xid, PROC_UNAVAIL);
		return false;
	}
	if (body->cb_proc == COPYFILE_NULL)
		return true;
	why = decode_caller(&call->rm_call.cb_cred, caller);
	if (why != AUTH_OK)
		reply_auth_error(conn, call->rm_xid, why);
	return why == AUTH_OK;
}

void request_free(struct request *rq)
{
	xdr_free(procedures[rq->proc].args, &rq->args);
	config_put(rq->config);
	conn_put(rq->conn);
	free(rq);
}

static struct request *request_new(struct conn *conn, const struct rpc_msg *call,
				   const struct caller *caller)
{
	struct request *rq = xalloc(sizeof(*rq));

	rq->conn = conn_get(conn);
	rq->xid = call->rm_xid;
	rq->proc = call->rm_call.cb_proc;
	rq->caller = *caller;
	rq->config = config_get();
	return rq;
}

/**
 * rpc_serve_one - read one call and have it served
 * @conn: read by this thread
 *
 * Return: false when the connection is at its end.
 */
bool rpc_serve_one(struct conn *conn)
{
	char cred[MAX_AUTH_BYTES], verf[MAX_AUTH_BYTES];
	struct caller caller = { 0 };
	struct request *rq;
	struct rpc_msg call;

	if (!conn_next_record(conn))
		return false;
	memset(&call, 0, sizeof(call));
	call.rm_direction = REPLY;
	call.rm_call.cb_rpcvers = RPC_MSG_VERSION;
	call.rm_call.cb_cred.oa_base = cred;
	call.rm_call.cb_verf.oa_base = verf;
	if (!xdr_callmsg(&conn->in, &call))
		return bad_header(conn, &call);
	if (!check_call(conn, &call, &caller))
		return true;
	rq = request_new(conn, &call, &caller);
	if (!procedures[rq->proc].args(&conn->in, &rq->args)) {
		if (!conn->ended)
			reply_error(conn, rq->xid, GARBAGE_ARGS);
		request_free(rq);
		return !conn->ended;
	}
	stat_inc(procedures[rq->proc].stat);
	dispatch(rq);
	return true;
}
