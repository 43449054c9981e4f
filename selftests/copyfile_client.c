// SPDX-License-Identifier: GPL-2.0-only
/*
 * copyfile_client - speak the copyfile protocol to a server, and print what
 * comes back as lines "name value".
 *
 * usage: copyfile_client [--OPTION[=VALUE]...] COMMAND [PATH...]
 *
 *   null                  the NULL procedure
 *   hello                 HELLO
 *   probe PATH            PROBE; --nonce HEX
 *   copy SRC DST          COPY of SRC to DST, which are paths in the export
 *   cancel                CANCEL; --serial N
 *   commit [PATH]         COMMIT
 *   raw                   send what comes on stdin as it is, print what comes back
 *   connect N             N connections that stay open for --hold milliseconds; with
 *                         --times M, M more than one, each says HELLO as M clients
 *
 * Where and who: --server ADDR[:PORT]|unix:PATH, --port, --from ADDR,
 * --source-port N, --unprivileged, --uid, --gid, --groups A,B, --auth none|sys,
 * --timeout MS. Calls out of the ordinary: --rpcvers, --prog, --vers, --proc.
 * Every command but null, hello and raw says HELLO first, unless --boot HEX
 * tells what it would learn; --client names the client.
 *
 * What is to be copied: --export, --src-export, --dst-export, --src-offset,
 * --dst-offset, --count, --flags clone,stable,sparse. What the files look like
 * (--src-size, --src-mtime S[.N], --src-fileid, --dst-...) is found by stat
 * below --root DIR. In paths, %XX is a byte, and {} the number of the call.
 *   --all               ask for the rest after a short count
 *   --times N           one copy after the other, N of them; or N other calls
 *   --parallel N        N copies or COMMITs at once, --window M of them under way
 *   --repeat N          the same call N times at once
 *   --cancel-after MS   send a CANCEL after the COPY, --cancels N of them
 *
 * exit: 0 when the status is OK; 1 when it is another one; 2 when there is
 * something wrong here; 3 nothing came in time; 4 the connection was closed;
 * 5 an error of RPC.
 */
#define _GNU_SOURCE
#include "copyfile_rpc.h"

#include <sys/stat.h>

struct file_options {
	char *export, *mtime;
	uint64_t size, fileid, offset;
};

static struct {
	char *export, *boot, *nonce, *flags, *root;
	uint64_t client, serial, minor, count, all, times, parallel, window, repeat;
	uint64_t cancel_after, cancels, hold, fileid, offset;
	struct file_options src, dst;
} o = {
	.export = "data", .root = ".", .client = 0x5e1f7e57, .serial = UNSET, .count = UNSET,
	.times = 1, .parallel = 1, .window = 64, .repeat = 1, .cancel_after = UNSET, .cancels = 1,
	.src = { .size = UNSET, .fileid = UNSET }, .dst = { .size = UNSET, .fileid = UNSET },
};

static const struct option_entry {
	const char *name;
	enum { STRING, NUMBER, FLAG } type;
	void *to;
} option_table[] = {
	{ "server", STRING, &caller.server }, { "from", STRING, &caller.from },
	{ "groups", STRING, &caller.groups }, { "auth", STRING, &caller.auth },
	{ "export", STRING, &o.export }, { "boot", STRING, &o.boot },
	{ "nonce", STRING, &o.nonce }, { "flags", STRING, &o.flags },
	{ "root", STRING, &o.root }, { "port", NUMBER, &caller.port },
	{ "source-port", NUMBER, &caller.source_port },
	{ "unprivileged", FLAG, &caller.unprivileged }, { "uid", NUMBER, &caller.uid },
	{ "gid", NUMBER, &caller.gid }, { "timeout", NUMBER, &caller.timeout },
	{ "rpcvers", NUMBER, &caller.rpcvers }, { "prog", NUMBER, &caller.prog },
	{ "vers", NUMBER, &caller.vers }, { "proc", NUMBER, &caller.proc },
	{ "client", NUMBER, &o.client }, { "serial", NUMBER, &o.serial },
	{ "minor", NUMBER, &o.minor }, { "count", NUMBER, &o.count }, { "all", FLAG, &o.all },
	{ "times", NUMBER, &o.times }, { "parallel", NUMBER, &o.parallel },
	{ "window", NUMBER, &o.window }, { "repeat", NUMBER, &o.repeat },
	{ "cancel-after", NUMBER, &o.cancel_after }, { "cancels", NUMBER, &o.cancels },
	{ "hold", NUMBER, &o.hold }, { "fileid", NUMBER, &o.fileid },
	{ "offset", NUMBER, &o.offset }, { "src-export", STRING, &o.src.export },
	{ "dst-export", STRING, &o.dst.export }, { "src-mtime", STRING, &o.src.mtime },
	{ "dst-mtime", STRING, &o.dst.mtime }, { "src-size", NUMBER, &o.src.size },
	{ "dst-size", NUMBER, &o.dst.size }, { "src-fileid", NUMBER, &o.src.fileid },
	{ "dst-fileid", NUMBER, &o.dst.fileid }, { "src-offset", NUMBER, &o.src.offset },
	{ "dst-offset", NUMBER, &o.dst.offset },
	{ NULL, 0, NULL }
};

static copyfile_verifier boot;

/* Options and arguments */

static void set_option(const struct option_entry *e, char *value)
{
	uint64_t *n = e->to;
	char *end;

	if (e->type == STRING) {
		*(char **)e->to = value;
		return;
	}
	*n = strtoull(value, &end, 0);
	if (end == value || *end)
		errx(2, "--%s: %s is no number", e->name, value);
}

/* Returns how many arguments it took. */
static int parse_option(char **argv)
{
	const struct option_entry *e = option_table;
	char *name = argv[0] + 2, *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);

	while (e->name && (strncmp(e->name, name, len) || e->name[len]))
		e++;
	if (!e->name)
		errx(2, "no option %s", argv[0]);
	if (e->type == FLAG) {
		*(uint64_t *)e->to = 1;
		return 1;
	}
	if (!equals && !argv[1])
		errx(2, "%s wants a value", argv[0]);
	set_option(e, equals ? equals + 1 : argv[1]);
	return equals ? 1 : 2;
}

/* A path with its %XX and {} replaced. */
static void parse_path(const char *s, unsigned int number, copyfile_path *path)
{
	char *to;

	to = malloc(strlen(s) * 4 + 16);
	path->copyfile_path_val = to;
	for (; *s; s++) {
		if (*s == '%' && sscanf(s + 1, "%2hhx", (unsigned char *)to) == 1) {
			to++;
			s += 2;
		} else if (s[0] == '{' && s[1] == '}') {
			to += sprintf(to, "%u", number);
			s++;
		} else {
			*to++ = *s;
		}
	}
	*to = 0;
	path->copyfile_path_len = to - path->copyfile_path_val;
}

static void parse_time(const char *s, copyfile_time *t)
{
	char *dot;

	t->seconds = strtoll(s, &dot, 10);
	t->nseconds = *dot == '.' ? strtoul(dot + 1, NULL, 10) : 0;
}

static void fill_file(copyfile_file *file, const struct file_options *f, const char *path,
		      unsigned int number)
{
	struct stat st = { 0 };
	char name[8192];

	file->export = f->export ? f->export : o.export;
	parse_path(path, number, &file->path);
	snprintf(name, sizeof(name), "%s/%s", o.root, file->path.copyfile_path_val);
	lstat(name, &st);
	file->fileid = f->fileid != UNSET ? f->fileid : st.st_ino;
	file->size = f->size != UNSET ? f->size : (uint64_t)st.st_size;
	file->mtime.seconds = st.st_mtim.tv_sec;
	file->mtime.nseconds = st.st_mtim.tv_nsec;
	if (f->mtime)
		parse_time(f->mtime, &file->mtime);
}

static unsigned int parse_flags(const char *s)
{
	if (!s)
		return 0;
	return (strstr(s, "clone") ? COPYFILE_CLONE_ONLY : 0) |
	       (strstr(s, "stable") ? COPYFILE_STABLE : 0) |
	       (strstr(s, "sparse") ? COPYFILE_SPARSE : 0) | (strstr(s, "unknown") ? 64 : 0);
}

static void fill_copy(struct call *c, char **paths, unsigned int number)
{
	static uint64_t serial;
	copyfile_copy_args *a = &c->args.copy;

	if (!paths[0] || !paths[1])
		errx(2, "copy wants two paths");
	if (!serial)
		serial = o.serial != UNSET ? o.serial : now_ns(CLOCK_REALTIME);
	c->proc = COPYFILE_COPY;
	memcpy(a->boot, boot, sizeof(boot));
	a->id.client = o.client;
	a->id.serial = serial++;
	fill_file(&a->src, &o.src, paths[0], number);
	fill_file(&a->dst, &o.dst, paths[1], number);
	a->src_offset = o.src.offset;
	a->dst_offset = o.dst.offset;
	a->count = o.count != UNSET ? o.count : a->src.size - a->src_offset;
	a->flags = parse_flags(o.flags);
}

/* Commands */

static void fill_hello(struct call *c)
{
	c->proc = COPYFILE_HELLO;
	c->args.hello.minor = o.minor;
	c->args.hello.export = o.export;
	c->args.hello.client = o.client;
}

static int say_hello(int fd)
{
	struct call c = { 0 };

	if (o.boot)
		return parse_hex(o.boot, boot, sizeof(boot)) == sizeof(boot) ? 0 : 2;
	fill_hello(&c);
	do_call(fd, &c);
	if (c.res.status == COPYFILE_OK)
		memcpy(boot, c.res.hello.copyfile_hello_res_u.ok.boot, sizeof(boot));
	else
		printf("hello %s\n", name_of(status_names, c.res.status));
	return c.res.status != COPYFILE_OK;
}

/* What the file is like after the copy is what the next one has to say. */
static void next_copy(struct call *c, const copyfile_copy_ok *ok, bool rest)
{
	static uint64_t bump;
	copyfile_copy_args *a = &c->args.copy;

	a->id.serial += ++bump ? 1 : 0;
	a->dst.size = ok->size;
	a->dst.mtime = ok->mtime;
	if (rest) {
		a->src_offset += ok->count;
		a->dst_offset += ok->count;
		a->count -= ok->count;
	}
}

static int copy_in_turn(int fd, struct call *c)
{
	uint64_t times = o.times, total = 0, calls = 0;
	const copyfile_copy_ok *ok = &c->res.copy.copyfile_copy_res_u.ok;
	bool rest;

	for (;;) {
		do_call(fd, c);
		calls++;
		if (c->res.status != COPYFILE_OK)
			break;
		total += ok->count;
		rest = o.all && ok->count < c->args.copy.count;
		if (!rest && !--times)
			break;
		next_copy(c, ok, rest);
	}
	printf("calls %llu\ntotal %llu\n", (unsigned long long)calls, (unsigned long long)total);
	return print_result(c->proc, &c->res);
}

/* The same copy, called again while the first is under way, or after. */
static int copy_again(int fd, struct call *c)
{
	size_t n = o.repeat;
	struct call *calls = calloc(n, sizeof(*calls)), *r;

	for (size_t i = 0; i < n; i++) {
		calls[i] = *c;
		send_call(fd, &calls[i]);
	}
	for (size_t i = 0; i < n; i++) {
		r = need_reply(fd, calls, n);
		printf("reply %s %llu\n", name_of(status_names, r->res.status),
		       (unsigned long long)r->res.copy.copyfile_copy_res_u.ok.count);
	}
	return print_result(COPYFILE_COPY, &calls[n - 1].res);
}

static void fill_cancel(struct call *c, const copyfile_id *id)
{
	c->proc = COPYFILE_CANCEL;
	memcpy(c->args.cancel.boot, boot, sizeof(boot));
	c->args.cancel.id = *id;
}

static int copy_and_cancel(int fd, struct call *copy)
{
	size_t n = 1 + o.cancels, got;
	struct call *calls = calloc(n, sizeof(*calls)), *r;

	calls[0] = *copy;
	send_call(fd, &calls[0]);
	got = next_reply(fd, calls, 1, now_ms() + o.cancel_after) ? 1 : 0;
	printf("early %zu\n", got);
	for (size_t i = 1; i < n; i++) {
		fill_cancel(&calls[i], &copy->args.copy.id);
		send_call(fd, &calls[i]);
	}
	for (; got < n; got++) {
		r = need_reply(fd, calls, n);
		printf("%s-first-at %llu\n", name_of(proc_names, r->proc),
		       (unsigned long long)now_ms());
	}
	printf("copy %s\n", name_of(status_names, calls[0].res.status));
	if (calls[0].res.status == COPYFILE_OK)
		printf("copied %llu\n", (unsigned long long)
		       calls[0].res.copy.copyfile_copy_res_u.ok.count);
	return print_result(COPYFILE_CANCEL, &calls[1].res);
}

static int do_copy(int fd, char **paths)
{
	struct call c = { 0 };

	if (o.parallel > 1)
		return call_at_once(fd, fill_copy, paths, o.parallel, o.window);
	fill_copy(&c, paths, 0);
	printf("serial %llu\n", (unsigned long long)c.args.copy.id.serial);
	fflush(stdout);
	if (o.cancel_after != UNSET)
		return copy_and_cancel(fd, &c);
	if (o.repeat > 1)
		return copy_again(fd, &c);
	return copy_in_turn(fd, &c);
}

static int do_raw(int fd)
{
	char buf[4096];
	uint64_t deadline;
	ssize_t n;

	while ((n = read(0, buf, sizeof(buf))) > 0) {
		if (send_all(fd, buf, n))
			break;
	}
	deadline = now_ms() + caller.timeout;
	for (;;) {
		switch (recv_all(fd, buf, 1, deadline)) {
		case RECV_OK:
			printf("%02x", (unsigned char)*buf);
			continue;
		case RECV_TIMEOUT:
			puts("\ntimeout");
			return 3;
		}
		puts("\nclosed");
		return 4;
	}
}

/* One HELLO, or with --times as many, each of a client of its own. */
static bool hello_as(int fd, struct call *c)
{
	for (uint64_t i = 0; i < o.times; i++) {
		c->done = false;
		send_call(fd, c);
		if (!next_reply(fd, c, 1, now_ms() + 5000) || c->res.status != COPYFILE_OK)
			return false;
		c->args.hello.client += o.times > 1;
	}
	return true;
}

static int do_connect(const char *count)
{
	struct call c = { 0 };
	unsigned int n = strtoul(count ? count : "1", NULL, 0), open = 0, fds[4096];

	fill_hello(&c);
	for (; open < n && open < 4096; open++) {
		fds[open] = connect_server();
		if (!hello_as(fds[open], &c))
			break;
	}
	printf("open %u\n", open);
	fflush(stdout);
	usleep(o.hold * 1000);
	return open != n;
}

/* PROBE and COMMIT: both begin with the verifier, the export and a path. */
static void fill_path(struct call *c, char **paths, unsigned int number)
{
	copyfile_probe_args *p = &c->args.probe;

	memcpy(p->boot, boot, sizeof(boot));
	p->export = o.export;
	parse_path(paths[0] ? paths[0] : "", number, &p->path);
}

static void fill_commit(struct call *c, char **paths, unsigned int number)
{
	c->proc = COPYFILE_COMMIT;
	fill_path(c, paths, number);
	c->args.commit.fileid = o.fileid;
	c->args.commit.offset = o.offset;
	c->args.commit.count = o.count != UNSET ? o.count : 0;
}

static int do_simple(int fd, const char *command, char **paths)
{
	struct call c = { 0 };
	copyfile_id id = { o.client, o.serial };
	copyfile_probe_args *p = &c.args.probe;
	char nonce[COPYFILE_NONCE_SIZE];

	c.proc = value_of(proc_names, command);
	if (c.proc == COPYFILE_HELLO) {
		fill_hello(&c);
	} else if (c.proc == COPYFILE_CANCEL) {
		fill_cancel(&c, &id);
	} else if (c.proc == COPYFILE_COMMIT) {
		if (o.parallel > 1)
			return call_at_once(fd, fill_commit, paths, o.parallel, o.window);
		fill_commit(&c, paths, 0);
	} else if (c.proc == COPYFILE_PROBE) {
		fill_path(&c, paths, 0);
	}
	if (c.proc == COPYFILE_PROBE && o.nonce) {
		p->nonce.nonce_val = nonce;
		p->nonce.nonce_len = parse_hex(o.nonce, nonce, sizeof(nonce));
	}
	call_often(fd, &c, o.times);
	return print_result(c.proc, &c.res);
}

int main(int argc, char **argv)
{
	const char *command;
	int fd, rc, i = 1;

	while (i < argc && !strncmp(argv[i], "--", 2))
		i += parse_option(argv + i);
	if (i == argc)
		errx(2, "no command");
	command = argv[i++];
	if (!strcmp(command, "connect"))
		return do_connect(argv[i]);
	fd = connect_server();
	if (!strcmp(command, "raw"))
		return do_raw(fd);
	if (value_of(proc_names, command) < 0)
		errx(2, "no command %s", command);
	rc = strcmp(command, "hello") && strcmp(command, "null") ? say_hello(fd) : 0;
	if (rc)
		return rc;
	return strcmp(command, "copy") ? do_simple(fd, command, argv + i) : do_copy(fd, argv + i);
}
