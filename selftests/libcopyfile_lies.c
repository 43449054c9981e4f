// SPDX-License-Identifier: GPL-2.0-only
/*
 * All the ways in which copyfile_liar answers a call. An action does its part
 * before the call is executed, to the result, to the bytes of the reply, or
 * instead of sending them.
 */
#define _GNU_SOURCE
#include "copyfile_rpc.h"
#include "copyfile_liar.h"

enum stage { BEFORE, RESULT, BYTES, SEND, STAGES };

#define HEAD 24	/* of a reply: xid, REPLY, accepted, verifier of 0 bytes, SUCCESS */

static copyfile_copy_ok *copy_ok(struct request *r)
{
	return &r->res.copy.copyfile_copy_res_u.ok;
}

static void put(struct request *r, const void *data, size_t len)
{
	pthread_mutex_lock(&r->conn->lock);
	if (r->conn->fd >= 0)
		send_all(r->conn->fd, data, len);
	pthread_mutex_unlock(&r->conn->lock);
	r->answered = true;
}

static void put_mark(struct request *r, uint32_t mark)
{
	mark = htonl(mark);
	put(r, &mark, 4);
}

static void put_word(struct request *r, size_t at, uint32_t word)
{
	word = htonl(word);
	memcpy(r->reply + at, &word, 4);
	if (r->len < at + 4)
		r->len = at + 4;
}

static void fill_garbage(char *p, size_t len)
{
	uint64_t x = now_ns(CLOCK_REALTIME) | 1;

	while (len--) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		*p++ = x;
	}
}

void close_connection(struct connection *conn)
{
	pthread_mutex_lock(&conn->lock);
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
	pthread_mutex_unlock(&conn->lock);
}

/* Before the call is executed */

static void do_nothing(struct request *r, const char *arg)
{
	(void)r;
	(void)arg;
}

static void do_delay(struct request *r, const char *arg)
{
	(void)r;
	usleep(strtoul(arg, NULL, 0) * 1000);
}

static void do_silence(struct request *r, const char *arg)
{
	(void)arg;
	r->untouched = true;
	r->answered = true;
}

/* The reader of the connection still sits on it: only shut it down. */
static void do_close(struct request *r, const char *arg)
{
	struct linger linger = { .l_onoff = 1 };

	pthread_mutex_lock(&r->conn->lock);
	if (*arg)
		setsockopt(r->conn->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	shutdown(r->conn->fd, SHUT_RDWR);
	pthread_mutex_unlock(&r->conn->lock);
	r->untouched = true;
	r->answered = true;
}

static void do_reset(struct request *r, const char *arg)
{
	(void)arg;
	do_close(r, "reset");
}

static void do_status(struct request *r, const char *arg)
{
	int status = value_of(status_names, arg);

	r->untouched = true;
	r->res.status = status < 0 ? (int)strtoul(arg, NULL, 0) : status;
}

static void do_rpc_error(struct request *r, const char *arg)
{
	r->untouched = true;
	r->rpc = strtoul(arg, NULL, 0);
}

/* Success, and not a byte of it true. */
static void do_lie(struct request *r, const char *arg)
{
	copyfile_copy_ok *ok = copy_ok(r);
	const copyfile_copy_args *a = &r->args.copy;

	r->untouched = true;
	if (r->proc != COPYFILE_COPY)
		return;
	ok->count = *arg ? strtoull(arg, NULL, 0) : a->count;
	ok->how = COPYFILE_CLONED;
	memcpy(ok->verifier, honest.verifier, COPYFILE_VERIFIER_SIZE);
	ok->fileid = a->dst.fileid;
	ok->size = a->dst_offset + a->count > a->dst.size ? a->dst_offset + a->count : a->dst.size;
	ok->mtime.seconds = time(NULL);
	ok->ctime = ok->mtime;
}

static void do_zero_count(struct request *r, const char *arg)
{
	(void)arg;
	do_lie(r, "0");
}

/* To the result */

static void do_count(struct request *r, const char *arg)
{
	copy_ok(r)->count = *arg ? strtoull(arg, NULL, 0) : r->args.copy.count * 2 + 1;
}

static void do_stable(struct request *r, const char *arg)
{
	copy_ok(r)->stable = strtoul(arg, NULL, 0);
}

static void do_how(struct request *r, const char *arg)
{
	copy_ok(r)->how = strtoul(arg, NULL, 0);
}

static void do_fileid(struct request *r, const char *arg)
{
	copy_ok(r)->fileid = *arg ? strtoull(arg, NULL, 0) : copy_ok(r)->fileid + 1;
}

static void do_size(struct request *r, const char *arg)
{
	copy_ok(r)->size = strtoull(arg, NULL, 0);
}

static void do_mtime(struct request *r, const char *arg)
{
	copy_ok(r)->mtime.seconds = strtoll(arg, NULL, 0);
	copy_ok(r)->mtime.nseconds = UINT32_MAX;
}

static void do_verifier(struct request *r, const char *arg)
{
	char v[COPYFILE_VERIFIER_SIZE + 1] = "changed!";

	if (*arg)
		snprintf(v, sizeof(v), "%-8s", arg);
	if (r->proc == COPYFILE_COMMIT)
		memcpy(r->res.commit.copyfile_commit_res_u.verifier, v, COPYFILE_VERIFIER_SIZE);
	else if (r->proc == COPYFILE_COPY)
		memcpy(copy_ok(r)->verifier, v, COPYFILE_VERIFIER_SIZE);
	else if (r->proc == COPYFILE_HELLO)
		memcpy(r->res.hello.copyfile_hello_res_u.ok.boot, v, COPYFILE_VERIFIER_SIZE);
}

static void do_state(struct request *r, const char *arg)
{
	r->res.cancel.copyfile_cancel_res_u.ok.state = strtoul(arg, NULL, 0);
}

static void do_minor(struct request *r, const char *arg)
{
	r->res.hello.copyfile_hello_res_u.ok.minor = strtoul(arg, NULL, 0);
}

static void do_max_count(struct request *r, const char *arg)
{
	r->res.hello.copyfile_hello_res_u.ok.max_count = strtoull(arg, NULL, 0);
}

static void do_answer(struct request *r, const char *arg)
{
	(void)arg;
	r->res.probe.copyfile_probe_res_u.ok.answer[0] ^= 1;
}

/* To the bytes of the reply */

static void do_wrong_xid(struct request *r, const char *arg)
{
	(void)arg;
	put_word(r, 0, r->xid + 1);
}

static void do_call_back(struct request *r, const char *arg)
{
	(void)arg;
	put_word(r, 4, CALL);
}

static void do_denied(struct request *r, const char *arg)
{
	put_word(r, 8, MSG_DENIED);
	put_word(r, 12, AUTH_ERROR);
	put_word(r, 16, *arg ? strtoul(arg, NULL, 0) : AUTH_TOOWEAK);
	r->len = 20;
}

static void do_garbage(struct request *r, const char *arg)
{
	r->len = *arg ? strtoul(arg, NULL, 0) : 200;
	fill_garbage(r->reply, r->len);
}

/* Behind a head that is right. */
static void do_garbage_body(struct request *r, const char *arg)
{
	r->len = HEAD + (*arg ? strtoul(arg, NULL, 0) : 200);
	fill_garbage(r->reply + HEAD, r->len - HEAD);
}

/* A word of the body, by its number: "word:0=4242" is the status. */
static void do_word(struct request *r, const char *arg)
{
	char *equals = strchr(arg, '=');

	put_word(r, HEAD + 4 * strtoul(arg, NULL, 0), equals ? strtoul(equals + 1, NULL, 0) : 0);
}

static void do_huge_verifier(struct request *r, const char *arg)
{
	(void)arg;
	put_word(r, 16, 0xffffff00);
}

static void do_trailing(struct request *r, const char *arg)
{
	size_t n = *arg ? strtoul(arg, NULL, 0) : 64;

	fill_garbage(r->reply + r->len, n);
	r->len += n;
}

static void do_truncate(struct request *r, const char *arg)
{
	size_t n = *arg ? strtoul(arg, NULL, 0) : r->len / 2;

	r->len = n < r->len ? n : r->len;
}

/* Instead of sending it */

static void do_twice(struct request *r, const char *arg)
{
	(void)arg;
	for (int i = 0; i < 2; i++) {
		put_mark(r, r->len | LAST_FRAGMENT);
		put(r, r->reply, r->len);
	}
}

static void do_fragments(struct request *r, const char *arg)
{
	(void)arg;
	for (size_t i = 0; i < r->len; i++) {
		put_mark(r, 1 | (i + 1 == r->len ? LAST_FRAGMENT : 0));
		put(r, r->reply + i, 1);
	}
}

static void do_empty_fragments(struct request *r, const char *arg)
{
	for (unsigned long n = *arg ? strtoul(arg, NULL, 0) : 10000; n; n--)
		put_mark(r, 0);
	put_mark(r, r->len | LAST_FRAGMENT);
	put(r, r->reply, r->len);
}

/* A record that promises more than comes. */
static void do_stall(struct request *r, const char *arg)
{
	put_mark(r, (*arg ? strtoul(arg, NULL, 0) : r->len + 100) | LAST_FRAGMENT);
	put(r, r->reply, r->len / 2);
}

static void do_stall_close(struct request *r, const char *arg)
{
	do_stall(r, arg);
	do_close(r, "");
}

static void do_huge_record(struct request *r, const char *arg)
{
	(void)arg;
	put_mark(r, 0x7fffffff | LAST_FRAGMENT);
	for (int i = 0; i < 16; i++)
		put(r, r->reply, sizeof(r->reply));
}

static void do_close_after(struct request *r, const char *arg)
{
	do_close(r, arg);
}

/* Executed, and then silence. */
static void do_lose(struct request *r, const char *arg)
{
	(void)arg;
	r->answered = true;
}

static const struct action {
	enum stage stage;
	const char *name, *help;
	void (*act)(struct request *r, const char *arg);
} actions[] = {
	{ BEFORE, "honest", "the truth", do_nothing },
	{ BEFORE, "delay", ":MS, later", do_delay },
	{ BEFORE, "silence", "never answered, nor executed", do_silence },
	{ BEFORE, "close", "the connection is closed, nothing executed", do_close },
	{ BEFORE, "reset", "the same, by a reset", do_reset },
	{ BEFORE, "status", ":NAME|NUMBER, nothing executed", do_status },
	{ BEFORE, "rpc-error", ":NUMBER, an accept_stat", do_rpc_error },
	{ BEFORE, "lie", "[:COUNT], success of a copy that was not made", do_lie },
	{ BEFORE, "zero-count", "success, and no bytes", do_zero_count },
	{ RESULT, "count", "[:N], or more than asked for", do_count },
	{ RESULT, "stable", ":N", do_stable },
	{ RESULT, "how", ":N", do_how },
	{ RESULT, "fileid", "[:N], another file", do_fileid },
	{ RESULT, "size", ":N", do_size },
	{ RESULT, "mtime", ":SECONDS, with nanoseconds that cannot be", do_mtime },
	{ RESULT, "verifier", "[:8-BYTES], of COPY, COMMIT or HELLO", do_verifier },
	{ RESULT, "state", ":N, of CANCEL", do_state },
	{ RESULT, "minor", ":N, of HELLO", do_minor },
	{ RESULT, "max-count", ":N, of HELLO", do_max_count },
	{ RESULT, "answer", "of PROBE, not the one in the file", do_answer },
	{ BYTES, "wrong-xid", "of a call that nobody made", do_wrong_xid },
	{ BYTES, "call", "a call instead of a reply", do_call_back },
	{ BYTES, "denied", "[:AUTH-STAT]", do_denied },
	{ BYTES, "garbage", "[:BYTES]", do_garbage },
	{ BYTES, "garbage-body", "[:BYTES], behind a proper head", do_garbage_body },
	{ BYTES, "word", ":INDEX=VALUE, a word of the body", do_word },
	{ BYTES, "huge-verifier", "the reply's verifier has 4 GiB", do_huge_verifier },
	{ BYTES, "trailing", "[:BYTES], garbage behind the reply", do_trailing },
	{ BYTES, "truncate", "[:BYTES], a shorter record", do_truncate },
	{ SEND, "twice", "the same reply again", do_twice },
	{ SEND, "fragments", "a byte in each (which is allowed)", do_fragments },
	{ SEND, "empty-fragments", "[:N], before the reply", do_empty_fragments },
	{ SEND, "stall", "[:BYTES], half of the record, then nothing", do_stall },
	{ SEND, "stall-close", "[:BYTES], half of it, then the end", do_stall_close },
	{ SEND, "huge-record", "2 GiB, says its mark; a MiB comes", do_huge_record },
	{ SEND, "close-after", "executed, then the connection is closed", do_close_after },
	{ SEND, "lose", "executed, and never answered", do_lose },
	{ 0, NULL, NULL, NULL }
};

void print_actions(void)
{
	for (const struct action *a = actions; a->name; a++)
		printf("%-16s %s\n", a->name, a->help);
}

static const struct action *find_action(const char *name, size_t len)
{
	for (const struct action *a = actions; a->name; a++) {
		if (strlen(a->name) == len && !strncmp(a->name, name, len))
			return a;
	}
	errx(2, "no action %.*s", (int)len, name);
}

static void run_stage(struct request *r, enum stage stage)
{
	char list[sizeof(r->actions)], *item, *save = NULL;

	memcpy(list, r->actions, sizeof(list));
	for (item = strtok_r(list, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
		size_t len = strcspn(item, ":");
		const struct action *a = find_action(item, len);

		if (a->stage == stage)
			a->act(r, item[len] ? item + len + 1 : "");
	}
}

static void encode_reply(struct request *r)
{
	struct rpc_msg m = { .rm_xid = r->xid, .rm_direction = REPLY };
	XDR x;

	m.rm_reply.rp_stat = MSG_ACCEPTED;
	m.acpted_rply.ar_verf = _null_auth;
	m.acpted_rply.ar_stat = r->rpc;
	m.acpted_rply.ar_results.where = (void *)&r->res;
	m.acpted_rply.ar_results.proc = copyfile_xdr[r->proc].res;
	xdrmem_create(&x, r->reply, sizeof(r->reply), XDR_ENCODE);
	if (!xdr_replymsg(&x, &m))
		errx(2, "a reply cannot be encoded");
	r->len = xdr_getpos(&x);
}

static void send_reply(struct request *r)
{
	pthread_mutex_lock(&r->conn->lock);
	if (r->conn->fd >= 0)
		send_record(r->conn->fd, r->reply, r->len);
	pthread_mutex_unlock(&r->conn->lock);
}

void answer(struct request *r)
{
	run_stage(r, BEFORE);
	if (!r->untouched)
		do_honest(r->proc, &r->args, &r->res);
	run_stage(r, RESULT);
	if (r->answered)
		return;
	encode_reply(r);
	run_stage(r, BYTES);
	run_stage(r, SEND);
	if (!r->answered)
		send_reply(r);
}
