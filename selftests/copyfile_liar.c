// SPDX-License-Identifier: GPL-2.0-only
/*
 * copyfile_liar - a server of the copyfile protocol that answers as it is told:
 * truthfully at first, and then with lies, garbage or silence. It is there for
 * tests of clients, and keeps what they sent.
 *
 * usage: copyfile_liar --export NAME=DIR [OPTION...]
 *
 *   --listen ADDR[:PORT]|unix:PATH   (default 127.0.0.1, the protocol's port)
 *   --control FILE     what to do, read again at each call
 *   --record DIR       each call as it came, in DIR/NUMBER-PROCEDURE
 *   --log FILE         a line for each call: NUMBER PROCEDURE XID WHAT-WAS-DONE
 *   --boot 8-BYTES, --verifier 8-BYTES, --max-count N
 *   --step-us N        sleep after each 64 KiB of a copy
 *   --mute             answers to PROBE are not written to the file
 *
 * Each line of the control file is "PROCEDURE[:FROM[-TO]] ACTION[,ACTION...]".
 * The first line that fits is taken; calls of a procedure are counted from 1
 * since the file was changed. "connect close" turns connections away, "connect
 * silence" accepts them and never answers. The actions are below (--help).
 */
#define _GNU_SOURCE
#include "copyfile_rpc.h"
#include "copyfile_liar.h"

#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

#define SOCKETS 8

static struct {
	char *listen[SOCKETS];
	const char *control, *record, *log;
	unsigned int listens;
} o;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *log_file;

/* The control file, as of its last change, and what was called since. */
static struct {
	char text[4096];
	unsigned int calls[COPYFILE_COMMIT + 1];
} control;

static void read_control(void)
{
	char text[sizeof(control.text)] = "";
	FILE *f = o.control ? fopen(o.control, "r") : NULL;

	if (f) {
		text[fread(text, 1, sizeof(text) - 1, f)] = 0;
		fclose(f);
	}
	if (!strcmp(text, control.text))
		return;
	memset(control.calls, 0, sizeof(control.calls));
	memcpy(control.text, text, sizeof(text));
}

/* Does a line "name[:from[-to]] actions" mean this call? Then its actions. */
static const char *match_line(char *line, const char *name, unsigned int number)
{
	char *actions = strchr(line, ' '), *colon;
	unsigned int from = 1, to = UINT32_MAX;

	if (!actions || *line == '#')
		return NULL;
	*actions++ = 0;
	colon = strchr(line, ':');
	if (colon) {
		*colon++ = 0;
		if (sscanf(colon, "%u-%u", &from, &to) == 1 && !strchr(colon, '-'))
			to = from;
	}
	if (strcmp(line, name) || number < from || number > to)
		return NULL;
	return actions;
}

/* What to do for one more call of this procedure, or "honest". */
static void choose_actions(const char *name, unsigned int proc, char *actions, size_t size)
{
	char text[sizeof(control.text)], *line, *save = NULL;
	const char *found = NULL;

	pthread_mutex_lock(&lock);
	read_control();
	if (proc <= COPYFILE_COMMIT)
		control.calls[proc]++;
	memcpy(text, control.text, sizeof(text));
	for (line = strtok_r(text, "\n", &save); line && !found; line = strtok_r(NULL, "\n", &save))
		found = match_line(line, name, proc <= COPYFILE_COMMIT ? control.calls[proc] : 1);
	snprintf(actions, size, "%s", found ?: "honest");
	pthread_mutex_unlock(&lock);
}

/* Keep a call; nobody sees half of it. */
static void keep_call(const struct request *r, const char *record, size_t len,
		      const char *actions)
{
	static unsigned int number;
	const char *name = name_of(proc_names, r->proc);
	char path[4096], tmp[4096 + 8];
	FILE *f;

	pthread_mutex_lock(&lock);
	number++;
	if (o.record) {
		snprintf(path, sizeof(path), "%s/%06u-%s", o.record, number, name);
		snprintf(tmp, sizeof(tmp), "%s.tmp", path);
		f = fopen(tmp, "w");
		if (!f || fwrite(record, 1, len, f) != len || fclose(f) || rename(tmp, path))
			err(2, "%s", path);
	}
	fprintf(log_file, "%u %s %08x %s\n", number, name, r->xid, actions);
	fflush(log_file);
	pthread_mutex_unlock(&lock);
}

static void *serve_request(void *arg)
{
	struct request *r = arg;

	answer(r);
	free(r);
	return NULL;
}

/* Take a call apart; each is answered by a thread of its own. */
static void begin_request(struct connection *conn, char *record, size_t len)
{
	struct request *r = calloc(1, sizeof(*r));
	char cred[MAX_AUTH_BYTES], verf[MAX_AUTH_BYTES];
	struct rpc_msg m = { 0 };
	pthread_t thread;
	XDR x;

	m.rm_call.cb_cred.oa_base = cred;
	m.rm_call.cb_verf.oa_base = verf;
	xdrmem_create(&x, record, len, XDR_DECODE);
	if (!xdr_callmsg(&x, &m) || m.rm_call.cb_proc > COPYFILE_COMMIT ||
	    !copyfile_xdr[m.rm_call.cb_proc].args(&x, &r->args))
		errx(2, "a call that nobody understands");
	r->conn = conn;
	r->xid = m.rm_xid;
	r->proc = m.rm_call.cb_proc;
	choose_actions(name_of(proc_names, r->proc), r->proc, r->actions, sizeof(r->actions));
	keep_call(r, record, len, r->actions);
	if (pthread_create(&thread, NULL, serve_request, r))
		errx(2, "no thread");
	pthread_detach(thread);
}

/* Connections are never freed: answers may still be on their way. */
static void *serve_connection(void *arg)
{
	struct connection *conn = arg;
	char record[RECORD_MAX], actions[sizeof(((struct request *)NULL)->actions)];
	ssize_t len;

	choose_actions("connect", UINT32_MAX, actions, sizeof(actions));
	if (!strcmp(actions, "close"))
		shutdown(conn->fd, SHUT_RDWR);
	for (;;) {
		len = recv_record(conn->fd, record, sizeof(record), now_ms() + 1000000000);
		if (len < 0)
			break;
		if (strcmp(actions, "silence"))
			begin_request(conn, record, len);
	}
	close_connection(conn);
	return NULL;
}

static void *serve_socket(void *arg)
{
	int fd = *(int *)arg;
	struct connection *conn;
	pthread_t thread;

	for (;;) {
		conn = calloc(1, sizeof(*conn));
		pthread_mutex_init(&conn->lock, NULL);
		conn->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (conn->fd < 0)
			err(2, "accept");
		if (pthread_create(&thread, NULL, serve_connection, conn))
			errx(2, "no thread");
		pthread_detach(thread);
	}
	return NULL;
}

static int listen_on(const char *name)
{
	struct sockaddr_storage ss;
	socklen_t len = parse_address(name, COPYFILE_PORT, &ss);
	int fd, one = 1;

	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (ss.ss_family == AF_UNIX)
		unlink(name + strlen("unix:"));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ss.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&ss, len) || listen(fd, 16))
		err(2, "cannot listen on %s", name);
	return fd;
}

static void set_export(char *arg)
{
	char *equals = strchr(arg, '=');

	if (!equals)
		errx(2, "--export NAME=DIR");
	*equals = 0;
	honest.export = arg;
	honest.dir = equals + 1;
}

static const struct option options[] = {
	{ "export", 1, NULL, 'e' }, { "listen", 1, NULL, 'l' }, { "control", 1, NULL, 'c' },
	{ "record", 1, NULL, 'r' }, { "log", 1, NULL, 'L' }, { "boot", 1, NULL, 'b' },
	{ "verifier", 1, NULL, 'v' }, { "max-count", 1, NULL, 'm' }, { "step-us", 1, NULL, 's' },
	{ "mute", 0, NULL, 'M' }, { "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 }
};

/* Those that are kept as they are. */
static const struct {
	int opt;
	const char **to;
} strings[] = {
	{ 'c', &o.control }, { 'r', &o.record }, { 'L', &o.log },
	{ 'b', &honest.boot }, { 'v', &honest.verifier }, { 0, NULL }
};

static void set_option(int opt)
{
	for (unsigned int i = 0; strings[i].to; i++) {
		if (strings[i].opt == opt)
			*strings[i].to = optarg;
	}
	if (opt == 'e') {
		set_export(optarg);
	} else if (opt == 'l' && o.listens < SOCKETS) {
		o.listen[o.listens++] = optarg;
	} else if (opt == 'm') {
		honest.max_count = strtoull(optarg, NULL, 0);
	} else if (opt == 's') {
		honest.step_us = strtoul(optarg, NULL, 0);
	} else if (opt == 'M') {
		honest.mute = true;
	} else if (opt == 'h') {
		print_actions();
		exit(0);
	} else if (opt == '?') {
		exit(2);
	}
}

static void parse_options(int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		set_option(opt);
	if (!honest.export)
		errx(2, "--export NAME=DIR is needed");
	if (strlen(honest.boot) != COPYFILE_VERIFIER_SIZE ||
	    strlen(honest.verifier) != COPYFILE_VERIFIER_SIZE)
		errx(2, "verifiers are of %d bytes", COPYFILE_VERIFIER_SIZE);
	if (!o.listens)
		o.listen[o.listens++] = "127.0.0.1";
	log_file = o.log ? fopen(o.log, "a") : stdout;
	if (!log_file)
		err(2, "%s", o.log);
}

int main(int argc, char **argv)
{
	static int fds[SOCKETS];
	pthread_t thread;

	signal(SIGPIPE, SIG_IGN);
	parse_options(argc, argv);
	for (unsigned int i = 0; i < o.listens; i++) {
		fds[i] = listen_on(o.listen[i]);
		if (pthread_create(&thread, NULL, serve_socket, &fds[i]))
			errx(2, "no thread");
	}
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
