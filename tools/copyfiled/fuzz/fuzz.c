// SPDX-License-Identifier: GPL-2.0-only
/*
 * A libFuzzer target: its input is what a client sends over a connection. It
 * goes through the record reader, the decoder and the dispatcher, and is
 * executed in a small tree. What is replied must be well formed.
 *
 * There is one thread. What would be left to the workers waits until the next
 * piece of input is read, so that a CANCEL finds copies that wait, and others
 * that have finished.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* For what it keeps to itself: every input is to begin with an empty table. */
#include "../client.c"
#include "tree.h"

#define PIECE		512
#define WAITING		4
#define REPLIES_MAX	(1024 * 1024)

struct feed {
	const uint8_t *data;
	size_t left;
	char *replies;
	size_t nreplies;
};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In the place of log.c and queue.c. */

static struct request_list queue = STAILQ_HEAD_INITIALIZER(queue);
static unsigned int nqueue;

void log_msg(int level, const char *fmt, ...)
{
}

bool log_limited(void)
{
	return false;
}

bool stopping(void)
{
	return false;
}

bool queue_other(struct request *rq)
{
	STAILQ_INSERT_TAIL(&queue, rq, link);
	nqueue++;
	return true;
}

void queue_other_end(struct request *rq)
{
}

bool queue_copy(struct request *rq)
{
	return nqueue < WAITING && queue_other(rq);
}

bool queue_remove(struct request *rq)
{
	STAILQ_REMOVE(&queue, rq, request, link);
	nqueue--;
	return true;
}

static void work(void)
{
	struct request *rq;

	while ((rq = STAILQ_FIRST(&queue))) {
		STAILQ_REMOVE_HEAD(&queue, link);
		nqueue--;
		execute(rq);
	}
}

static ssize_t feed_read(struct conn *conn, void *buf, size_t len)
{
	struct feed *feed = conn->io_data;

	work();
	if (len > PIECE)
		len = PIECE;
	if (len > feed->left)
		len = feed->left;
	memcpy(buf, feed->data, len);
	feed->data += len;
	feed->left -= len;
	return (ssize_t)len;
}

static ssize_t feed_write(struct conn *conn, const void *buf, size_t len)
{
	struct feed *feed = conn->io_data;

	if (len > REPLIES_MAX - feed->nreplies)
		return -1;
	memcpy(feed->replies + feed->nreplies, buf, len);
	feed->nreplies += len;
	return (ssize_t)len;
}

static const struct conn_io feed_io = { feed_read, feed_write };

/* The replies, read back as a client does. */
static int replies_read(void *handle, void *buf, int len)
{
	struct feed *feed = handle;
	size_t n = feed->nreplies < (size_t)len ? feed->nreplies : (size_t)len;

	memcpy(buf, feed->replies, n);
	feed->replies += n;
	feed->nreplies -= n;
	return n ? (int)n : -1;
}

static void check_reply(XDR *xdrs)
{
	struct rpc_msg msg = { 0 };

	msg.acpted_rply.ar_verf = _null_auth;
	msg.acpted_rply.ar_results.proc = xdr_nothing;
	if (!xdr_replymsg(xdrs, &msg) || msg.rm_direction != REPLY)
		abort();
}

static void check_replies(struct feed *feed)
{
	XDR xdrs;

	xdrrec_create(&xdrs, 0, 0, feed, replies_read, NULL);
	xdrs.x_op = XDR_DECODE;
	while (!xdrrec_eof(&xdrs) || feed->nreplies) {
		if (!xdrrec_skiprecord(&xdrs))
			abort();
		check_reply(&xdrs);
	}
	XDR_DESTROY(&xdrs);
}

static int tree_fd;

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

/* A file as it is at the start of each input. */
static void put_file(const char *name, const char *text, off_t size)
{
	const struct timespec times[2] = { { FUZZ_MTIME, 0 }, { FUZZ_MTIME, 0 } };
	int fd = openat(tree_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	must(fd >= 0 && write_all(fd, text, strlen(text)) && !ftruncate(fd, size), name);
	/* Not root's, for a root is squashed. */
	must(geteuid() || !fchown(fd, FUZZ_UID, FUZZ_UID), name);
	must(pwrite(fd, "end", 3, size > 3 ? size - 3 : size) == 3, name);
	must(!ftruncate(fd, size) && !futimens(fd, times), name);
	close(fd);
}

static void put_tree(void)
{
	put_file("src", "the beginning", FUZZ_SRC_SIZE);
	put_file("dst", "what was there", FUZZ_DST_SIZE);
	put_file("dir/dst", "", 0);
	put_file(FUZZ_PROBE, FUZZ_NONCE, COPYFILE_NONCE_SIZE);
}

static char tree_name[] = "/dev/shm/copyfiled-fuzz-XXXXXX";

static void remove_tree(void)
{
	unlinkat(tree_fd, "src", 0);
	unlinkat(tree_fd, "dst", 0);
	unlinkat(tree_fd, "link", 0);
	unlinkat(tree_fd, "pipe", 0);
	unlinkat(tree_fd, "dir/dst", 0);
	unlinkat(tree_fd, "dir", AT_REMOVEDIR);
	unlinkat(tree_fd, FUZZ_PROBE, 0);
	rmdir(tree_name);
}

static void make_tree(void)
{
	must(mkdtemp(tree_name) && !chmod(tree_name, 0777), tree_name);
	tree_fd = open(tree_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(tree_fd >= 0, tree_name);
	must(!mkdirat(tree_fd, "dir", 0777), "dir");
	must(!symlinkat("/etc/passwd", tree_fd, "link"), "link");
	must(!mkfifoat(tree_fd, "pipe", 0666), "pipe");
	atexit(remove_tree);
}

static void make_config(void)
{
	struct config *config = config_new();
	struct netmask all;
	const char *why;

	must(netmask_parse("0.0.0.0/0", &all), "netmask");
	for (int i = 0; i < 2; i++) {
		struct export *export = config_add_export(config, i ? "ro" : "data");

		export_allow(export, &all);
		export->rdonly = i;
		must(export_option(export, "path", tree_name, &why), "path");
	}
	must(config_open_trees(config, 0), "lock");
	config_publish(config);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	make_tree();
	make_config();
	ident_start();
	table_bound(1);
	memcpy(boot_verifier, FUZZ_BOOT, sizeof(boot_verifier));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char replies[REPLIES_MAX];
	struct peer peer = { .family = AF_INET, .addr = { 192, 0, 2, 2 }, .port = 700 };
	struct feed feed = { .data = data, .left = size, .replies = replies };
	struct conn *conn = conn_new(-1, &peer, &feed_io);

	put_tree();
	conn->io_data = &feed;
	conn_run(conn);
	work();
	while (!TAILQ_EMPTY(&clients))
		client_forget(TAILQ_FIRST(&clients));
	dirty_sync_all(0, INT64_MAX);
	check_replies(&feed);
	return 0;
}
