// SPDX-License-Identifier: GPL-2.0-only
/*
 * The client's half of RPC: connections, calls, replies in any order.
 */
#define _GNU_SOURCE
#include "copyfile_rpc.h"

#include <netinet/in.h>

struct caller caller = {
	.server = "127.0.0.1", .auth = "sys", .port = COPYFILE_PORT, .timeout = 30000,
	.rpcvers = RPC_MSG_VERSION, .prog = COPYFILE_PROGRAM, .vers = COPYFILE_V1, .proc = UNSET,
};

static char reply_buf[RECORD_MAX];

/* From one port, or from any that the kernel chooses; false when it is in use. */
static bool bind_source(int fd, int family, unsigned int port)
{
	struct sockaddr_storage ss = { .ss_family = family };
	socklen_t len = sizeof(struct sockaddr_in);
	int one = 1;

	if (family == AF_INET6)
		len = sizeof(struct sockaddr_in6);
	if (caller.from)
		len = parse_address(caller.from, 0, &ss);
	((struct sockaddr_in *)&ss)->sin_port = htons(port);	/* for IPv6 too */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(fd, (struct sockaddr *)&ss, len))
		return true;
	if (errno != EADDRINUSE)
		err(2, "cannot bind to %s", caller.from ?: "a port");
	return false;
}

static int try_connect(const struct sockaddr_storage *ss, socklen_t len, unsigned int port)
{
	int fd = socket(ss->ss_family, SOCK_STREAM, 0);

	if (fd < 0)
		err(2, "socket");
	if (ss->ss_family == AF_UNIX || bind_source(fd, ss->ss_family, port)) {
		if (!connect(fd, (struct sockaddr *)ss, len))
			return fd;
		if (errno != EADDRNOTAVAIL && errno != EADDRINUSE)
			err(2, "cannot connect to %s", caller.server);
	}
	close(fd);
	return -1;
}

/* From a port that only root can have, like the kernel does. */
int connect_server(void)
{
	struct sockaddr_storage ss;
	socklen_t len = parse_address(caller.server, caller.port, &ss);
	unsigned int first = now_ns(CLOCK_REALTIME) % 400;
	int fd = -1;

	if (caller.source_port || caller.unprivileged || ss.ss_family == AF_UNIX)
		fd = try_connect(&ss, len, caller.source_port);
	else
		for (unsigned int i = 0; i < 400 && fd < 0; i++)
			fd = try_connect(&ss, len, 600 + (first + i) % 400);
	if (fd < 0)
		errx(2, "no port to connect to %s from", caller.server);
	return fd;
}

/* Calls and replies */

static void fill_cred(struct opaque_auth *cred)
{
	static char body[MAX_AUTH_BYTES];
	gid_t groups[NGRPS];
	struct authunix_parms cred_body = {
		.aup_time = time(NULL), .aup_machname = "client", .aup_uid = caller.uid,
		.aup_gid = caller.gid, .aup_gids = groups,
	};
	char *s = caller.groups;
	XDR x;

	if (!strcmp(caller.auth, "none"))
		return;
	while (s && *s && cred_body.aup_len < NGRPS) {
		groups[cred_body.aup_len++] = strtoul(s, &s, 0);
		s += *s == ',';
	}
	xdrmem_create(&x, body, sizeof(body), XDR_ENCODE);
	if (!xdr_authunix_parms(&x, &cred_body))
		errx(2, "credentials");
	cred->oa_flavor = AUTH_SYS;
	cred->oa_base = body;
	cred->oa_length = xdr_getpos(&x);
}

void send_call(int fd, struct call *c)
{
	static uint32_t xid;
	char buf[RECORD_MAX];
	struct rpc_msg m = { .rm_direction = CALL };
	size_t len;

	if (!xid)
		xid = now_ns(CLOCK_REALTIME) ^ ((uint32_t)getpid() << 16);
	c->xid = ++xid;
	m.rm_xid = c->xid;
	m.rm_call.cb_rpcvers = RPC_MSG_VERSION;
	m.rm_call.cb_prog = caller.prog;
	m.rm_call.cb_vers = caller.vers;
	m.rm_call.cb_proc = caller.proc != UNSET ? caller.proc : c->proc;
	fill_cred(&m.rm_call.cb_cred);
	len = encode_call(buf, sizeof(buf), &m, copyfile_xdr[c->proc].args, &c->args);
	if (!len)
		errx(2, "the call cannot be encoded");
	buf[11] = caller.rpcvers;		/* which libtirpc would not encode */
	if (send_record(fd, buf, len))
		exit(4);
}

static void decode_reply(struct call *c, XDR *x)
{
	struct rpc_msg m = { 0 };

	m.acpted_rply.ar_verf = _null_auth;
	m.acpted_rply.ar_results.where = (void *)&c->res;
	m.acpted_rply.ar_results.proc = copyfile_xdr[c->proc].res;
	c->done = true;
	c->rpc_error = -1;
	if (!xdr_replymsg(x, &m))
		return;
	if (m.rm_reply.rp_stat == MSG_DENIED)
		c->rpc_error = 100 + m.rjcted_rply.rj_stat;
	else
		c->rpc_error = m.acpted_rply.ar_stat;
}

/* The call that the next reply belongs to, or NULL when none came until then. */
struct call *next_reply(int fd, struct call *calls, size_t n, uint64_t deadline)
{
	ssize_t len;
	uint32_t xid;
	XDR x;

	for (;;) {
		len = recv_record(fd, reply_buf, sizeof(reply_buf), deadline);
		if (len == RECV_TIMEOUT)
			return NULL;
		if (len < 4) {
			puts("closed");
			exit(4);
		}
		memcpy(&xid, reply_buf, 4);
		for (size_t i = 0; i < n; i++) {
			if (calls[i].xid != ntohl(xid) || calls[i].done)
				continue;
			xdrmem_create(&x, reply_buf, len, XDR_DECODE);
			decode_reply(&calls[i], &x);
			return &calls[i];
		}
		printf("strange-reply %08x\n", ntohl(xid));
	}
}

struct call *need_reply(int fd, struct call *calls, size_t n)
{
	static const char *const errors[] = {
		"PROG_UNAVAIL", "PROG_MISMATCH", "PROC_UNAVAIL", "GARBAGE_ARGS", "SYSTEM_ERR"
	};
	struct call *c = next_reply(fd, calls, n, now_ms() + caller.timeout);

	if (!c) {
		puts("timeout");
		exit(3);
	}
	if (!c->rpc_error)
		return c;
	printf("rpc %s\n", c->rpc_error == 100 ? "RPC_MISMATCH" :
	       c->rpc_error == 101 ? "AUTH_ERROR" :
	       c->rpc_error < 0 || c->rpc_error > 5 ? "undecodable" : errors[c->rpc_error - 1]);
	exit(5);
}

void do_call(int fd, struct call *c)
{
	memset(&c->res, 0, sizeof(c->res));
	c->done = false;
	send_call(fd, c);
	need_reply(fd, c, 1);
}

/* Many of them */

static void tally(const struct call *calls, size_t n)
{
	for (const struct name *s = status_names; s->name; s++) {
		size_t hits = 0;

		for (size_t i = 0; i < n; i++)
			hits += calls[i].done && (int)calls[i].res.status == s->value;
		if (hits)
			printf("%s %zu\n", s->name, hits);
	}
}

/* @n calls over one connection, @window of them under way; prints what became of them. */
int call_at_once(int fd, fill_fn fill, char **paths, size_t n, size_t window)
{
	size_t sent = 0, got = 0;
	struct call *calls = calloc(n, sizeof(*calls));
	int failed = 0;

	while (got < n) {
		for (; sent < n && sent - got < window; sent++) {
			fill(&calls[sent], paths, sent);
			send_call(fd, &calls[sent]);
		}
		failed |= need_reply(fd, calls, sent)->res.status != COPYFILE_OK;
		got++;
	}
	tally(calls, n);
	return failed;
}

/*
 * One call @times times, a batch of them under way; all but the last want to be OK.
 * Each HELLO is another client's, each CANCEL is of another copy.
 */
void call_often(int fd, struct call *c, uint64_t times)
{
	struct call batch[32];
	size_t n;

	for (uint64_t left = times; left > 1; left -= n) {
		n = left - 1 < 32 ? left - 1 : 32;
		for (size_t i = 0; i < n; i++) {
			batch[i] = *c;
			send_call(fd, &batch[i]);
			if (c->proc == COPYFILE_CANCEL)
				c->args.cancel.id.serial++;
			else if (c->proc == COPYFILE_HELLO)
				c->args.hello.client++;
		}
		for (size_t i = 0; i < n; i++) {
			if (need_reply(fd, batch, n)->res.status != COPYFILE_OK)
				errx(2, "one was refused");
		}
	}
	do_call(fd, c);
}
