// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the programs that speak the copyfile protocol share: names, records,
 * and the results of calls in print.
 */
#define _GNU_SOURCE
#include "copyfile_rpc.h"

#define STATUS(name)	{ COPYFILE_##name, #name }
const struct name status_names[] = {
	STATUS(OK), STATUS(PERM), STATUS(NOENT), STATUS(IO), STATUS(ACCES), STATUS(XDEV),
	STATUS(INVAL), STATUS(FBIG), STATUS(NOSPC), STATUS(ROFS), STATUS(DQUOT), STATUS(STALE),
	STATUS(NOTSUPP), STATUS(BUSY), STATUS(CANCELLED), STATUS(STALE_BOOT), STATUS(NOEXPORT),
	STATUS(MISMATCH), STATUS(MINOR), { 0, NULL }
};

const struct name proc_names[] = {
	{ COPYFILE_NULL, "null" }, { COPYFILE_HELLO, "hello" }, { COPYFILE_PROBE, "probe" },
	{ COPYFILE_COPY, "copy" }, { COPYFILE_CANCEL, "cancel" }, { COPYFILE_COMMIT, "commit" },
	{ 0, NULL }
};

const struct name how_names[] = {
	STATUS(CLONED), STATUS(IN_KERNEL), STATUS(READ_WRITE), { 0, NULL }
};

const struct name state_names[] = {
	STATUS(NEVER_SEEN), STATUS(FINISHED), STATUS(STOPPED), { 0, NULL }
};

#undef STATUS

const char *name_of(const struct name *n, int value)
{
	static char number[16];

	for (; n->name; n++) {
		if (n->value == value)
			return n->name;
	}
	snprintf(number, sizeof(number), "%d", value);
	return number;
}

/* -1 when no such name is in the table. */
int value_of(const struct name *n, const char *name)
{
	for (; n->name; n++) {
		if (!strcasecmp(n->name, name))
			return n->value;
	}
	return -1;
}

void print_hex(FILE *f, const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len--)
		fprintf(f, "%02x", *p++);
	fputc('\n', f);
}

/* Returns the number of bytes, or -1. */
ssize_t parse_hex(const char *s, void *data, size_t size)
{
	unsigned char *p = data;
	size_t n = 0;

	for (; *s; s += 2, n++) {
		if (n == size || sscanf(s, "%2hhx", &p[n]) != 1 || !s[1])
			return -1;
	}
	return n;
}

uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

uint64_t now_ms(void)
{
	return now_ns(CLOCK_MONOTONIC) / 1000000;
}

int send_all(int fd, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	for (; len; p += n, len -= n) {
		n = send(fd, p, len, MSG_NOSIGNAL);
		if (n <= 0)
			return -1;
	}
	return 0;
}

int send_record(int fd, const void *data, size_t len)
{
	char buf[RECORD_MAX + 4];
	uint32_t mark = htonl(len | LAST_FRAGMENT);

	memcpy(buf, &mark, 4);
	memcpy(buf + 4, data, len);
	return send_all(fd, buf, len + 4);
}

/* Until @deadline, of now_ms(). */
int recv_all(int fd, void *data, size_t len, uint64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char *to = data;
	uint64_t now;
	ssize_t n;

	for (; len; to += n, len -= n) {
		now = now_ms();
		if (poll(&p, 1, now < deadline ? (int)(deadline - now) : 0) <= 0)
			return RECV_TIMEOUT;
		n = recv(fd, to, len, 0);
		if (n <= 0)
			return RECV_CLOSED;
	}
	return RECV_OK;
}

/* A whole record: its length, or RECV_*. */
ssize_t recv_record(int fd, void *data, size_t size, uint64_t deadline)
{
	size_t len = 0, part;
	uint32_t mark = 0;
	int ret;

	while (!(mark & LAST_FRAGMENT)) {
		ret = recv_all(fd, &mark, 4, deadline);
		if (ret)
			return ret;
		mark = ntohl(mark);
		part = mark & ~LAST_FRAGMENT;
		if (part > size - len)
			return RECV_BAD;
		ret = recv_all(fd, (char *)data + len, part, deadline);
		if (ret)
			return ret;
		len += part;
	}
	return len;
}

/* "unix:PATH", "ADDR", "ADDR:PORT", "[ADDR6]:PORT", or an address of IPv6. */
socklen_t parse_address(const char *name, unsigned int port, struct sockaddr_storage *ss)
{
	struct sockaddr_un *sun = (struct sockaddr_un *)ss;
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM }, *ai;
	char host[128], service[8];
	const char *colon = strrchr(name, ':');
	bool bare6 = colon && strchr(name, ':') != colon && *name != '[';
	size_t len;

	memset(ss, 0, sizeof(*ss));
	if (!strncmp(name, "unix:", 5)) {
		sun->sun_family = AF_UNIX;
		snprintf(sun->sun_path, sizeof(sun->sun_path), "%s", name + 5);
		return sizeof(*sun);
	}
	if (colon && !bare6 && (*name != '[' || colon[-1] == ']'))
		port = strtoul(colon + 1, NULL, 0);
	else
		colon = name + strlen(name);
	len = colon - name - (*name == '[' ? 2 : 0);
	snprintf(host, sizeof(host), "%.*s", (int)len, name + (*name == '['));
	snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(host, service, &hints, &ai))
		errx(2, "%s is no address", name);
	memcpy(ss, ai->ai_addr, ai->ai_addrlen);
	len = ai->ai_addrlen;
	freeaddrinfo(ai);
	return len;
}

/* A call with its head; the length, or 0 when it does not fit. */
size_t encode_call(char *buf, size_t size, struct rpc_msg *call, xdrproc_t proc,
		   const void *args)
{
	size_t len = 0;
	XDR x;

	xdrmem_create(&x, buf, size, XDR_ENCODE);
	if (xdr_callmsg(&x, call) && proc(&x, (void *)args))
		len = xdr_getpos(&x);
	xdr_destroy(&x);
	return len;
}

/* Which takes no arguments at all, says its declaration. */
#define XDR_VOID	((xdrproc_t)(void (*)(void))xdr_void)

#define XDR_OF(name) \
	{ (xdrproc_t)xdr_copyfile_##name##_args, (xdrproc_t)xdr_copyfile_##name##_res }

const struct copyfile_xdr copyfile_xdr[] = {
	[COPYFILE_NULL] = { XDR_VOID, XDR_VOID },
	[COPYFILE_HELLO] = XDR_OF(hello),
	[COPYFILE_PROBE] = XDR_OF(probe),
	[COPYFILE_COPY] = XDR_OF(copy),
	[COPYFILE_CANCEL] = XDR_OF(cancel),
	[COPYFILE_COMMIT] = XDR_OF(commit),
};

/* Printing */

static void print_attributes(uint64_t fileid, const copyfile_time *mtime)
{
	printf("fileid %llu\nmtime %lld.%09u\n", (unsigned long long)fileid,
	       (long long)mtime->seconds, mtime->nseconds);
}

static void print_copy(const copyfile_copy_ok *ok)
{
	printf("count %llu\nhow %s\nstable %d\nsize %llu\n", (unsigned long long)ok->count,
	       name_of(how_names, ok->how), ok->stable, (unsigned long long)ok->size);
	printf("verifier ");
	print_hex(stdout, ok->verifier, sizeof(ok->verifier));
	print_attributes(ok->fileid, &ok->mtime);
}

static void print_hello(const copyfile_hello_ok *ok)
{
	printf("minor %u\nmax_count %llu\ncaps %u\ntree %llx\nboot ", ok->minor,
	       (unsigned long long)ok->max_count, ok->caps,
	       (unsigned long long)ok->tree);
	print_hex(stdout, ok->boot, sizeof(ok->boot));
}

int print_result(unsigned int proc, const union copyfile_any_res *r)
{
	printf("status %s\n", name_of(status_names, r->status));
	if (r->status != COPYFILE_OK)
		return 1;
	if (proc == COPYFILE_HELLO) {
		print_hello(&r->hello.copyfile_hello_res_u.ok);
	} else if (proc == COPYFILE_PROBE) {
		print_attributes(r->probe.copyfile_probe_res_u.ok.fileid,
				 &r->probe.copyfile_probe_res_u.ok.mtime);
		printf("answer ");
		print_hex(stdout, r->probe.copyfile_probe_res_u.ok.answer, COPYFILE_NONCE_SIZE);
	} else if (proc == COPYFILE_COPY) {
		print_copy(&r->copy.copyfile_copy_res_u.ok);
	} else if (proc == COPYFILE_CANCEL) {
		printf("state %s\ncount %llu\n",
		       name_of(state_names, r->cancel.copyfile_cancel_res_u.ok.state),
		       (unsigned long long)r->cancel.copyfile_cancel_res_u.ok.count);
	} else if (proc == COPYFILE_COMMIT) {
		printf("verifier ");
		print_hex(stdout, r->commit.copyfile_commit_res_u.verifier,
			  sizeof(copyfile_verifier));
	}
	return 0;
}
