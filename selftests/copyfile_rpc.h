/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs that speak the copyfile protocol share: names, sockets,
 * record marking (RFC 5531, section 11), the heads of calls and replies. The
 * XDR of the protocol is rpcgen's.
 */
#ifndef COPYFILE_RPC_H
#define COPYFILE_RPC_H

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <rpc/rpc.h>
#include "copyfile.h"

#define RECORD_MAX	65536
#define LAST_FRAGMENT	0x80000000u

/* Of receiving. */
enum { RECV_OK = 0, RECV_TIMEOUT = -1, RECV_CLOSED = -2, RECV_BAD = -3 };

#define UNSET		(UINT64_MAX - 1)

struct name { int value; const char *name; };

extern const struct name status_names[], proc_names[], how_names[], state_names[];

union copyfile_any_args {
	copyfile_hello_args hello;
	copyfile_probe_args probe;
	copyfile_copy_args copy;
	copyfile_cancel_args cancel;
	copyfile_commit_args commit;
};

/* Each of them begins with its status. */
union copyfile_any_res {
	copyfile_status status;
	copyfile_hello_res hello;
	copyfile_probe_res probe;
	copyfile_copy_res copy;
	copyfile_cancel_res cancel;
	copyfile_commit_res commit;
};

struct copyfile_xdr {
	xdrproc_t args, res;
};

extern const struct copyfile_xdr copyfile_xdr[COPYFILE_COMMIT + 1];

/* libcopyfile.c */
const char *name_of(const struct name *n, int value);
int value_of(const struct name *n, const char *name);
void print_hex(FILE *f, const void *data, size_t len);
ssize_t parse_hex(const char *s, void *data, size_t size);
uint64_t now_ns(clockid_t clock);
uint64_t now_ms(void);
int send_all(int fd, const void *data, size_t len);
int send_record(int fd, const void *data, size_t len);
int recv_all(int fd, void *data, size_t len, uint64_t deadline);
ssize_t recv_record(int fd, void *data, size_t size, uint64_t deadline);
socklen_t parse_address(const char *name, unsigned int port, struct sockaddr_storage *ss);
size_t encode_call(char *buf, size_t size, struct rpc_msg *call, xdrproc_t proc,
		   const void *args);
int print_result(unsigned int proc, const union copyfile_any_res *r);

/* libcopyfile_call.c: who calls whom, and how. */
struct caller {
	char *server, *from, *groups, *auth;
	uint64_t port, source_port, unprivileged, uid, gid, timeout, rpcvers, prog, vers, proc;
};

extern struct caller caller;

struct call {
	uint32_t xid;
	unsigned int proc;
	union copyfile_any_args args;
	union copyfile_any_res res;
	int rpc_error;		/* an accept_stat, or 100 + a reject_stat */
	bool done;
};

int connect_server(void);
void send_call(int fd, struct call *c);
struct call *next_reply(int fd, struct call *calls, size_t n, uint64_t deadline);
struct call *need_reply(int fd, struct call *calls, size_t n);
void do_call(int fd, struct call *c);

typedef void (*fill_fn)(struct call *c, char **paths, unsigned int number);
int call_at_once(int fd, fill_fn fill, char **paths, size_t n, size_t window);
void call_often(int fd, struct call *c, uint64_t times);

/* libcopyfile_honest.c: one export, as a server has it. */
extern struct honest {
	const char *export, *dir, *boot, *verifier;	/* the last two of 8 bytes */
	uint64_t max_count;
	unsigned int step_us;	/* how long it sleeps after each step of a copy */
	bool mute;		/* its probe answers are not in the file */
} honest;

void do_honest(unsigned int proc, const union copyfile_any_args *args,
	       union copyfile_any_res *res);

#endif
