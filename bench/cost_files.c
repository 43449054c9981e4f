// SPDX-License-Identifier: GPL-2.0-only
/*
 * cost - reading, writing, mapping, splicing: one file of 1 MiB, cached.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>
#include "cost.h"

#define WINDOW	(64 * KIB)

static void setup_file(struct way *w, const struct op *op)
{
	(void)op;
	w->fd = make_file(w, "file", MIB);
}

static off_t position(const struct op *op, unsigned int i)
{
	return i * op->size % MIB;
}

static void run_read(struct way *w, const struct op *op, unsigned int i)
{
	if (pread(w->fd, buffer, op->size, position(op, i)) != (ssize_t)op->size)
		err(1, "pread");
}

static void run_write(struct way *w, const struct op *op, unsigned int i)
{
	if (pwrite(w->fd, buffer, op->size, position(op, i)) != (ssize_t)op->size)
		err(1, "pwrite");
}

static void setup_socket(struct way *w, const struct op *op)
{
	int size = 8 * MIB;

	setup_file(w, op);
	must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, w->sock));
	must("SO_SNDBUFFORCE", setsockopt(w->sock[0], SOL_SOCKET, SO_SNDBUFFORCE,
					  &size, sizeof(size)));
}

static void run_sendfile(struct way *w, const struct op *op, unsigned int i)
{
	off_t pos = position(op, i);

	if (sendfile(w->sock[0], w->fd, &pos, op->size) != (ssize_t)op->size)
		err(1, "sendfile to a socket");
}

static void drain(struct way *w, const struct op *op)
{
	size_t done = 0;

	while (done < op->size)
		done += must("read", read(w->sock[1], buffer, op->size - done));
}

static void close_socket(struct way *w, const struct op *op)
{
	close(w->sock[0]);
	close(w->sock[1]);
	close_fd(w, op);
}

static void setup_map(struct way *w, const struct op *op)
{
	setup_file(w, op);
	w->map = mmap(NULL, MIB, PROT_READ, MAP_SHARED, w->fd, 0);
	if (w->map == MAP_FAILED)
		err(1, "mmap");
}

/* One fault maps all cached pages of an aligned window. */
static void run_faults(struct way *w, const struct op *op, unsigned int i)
{
	size_t pos;

	(void)op;
	(void)i;
	for (pos = 0; pos < MIB; pos += WINDOW)
		*(volatile char *)(w->map + pos);
}

static void forget_map(struct way *w, const struct op *op)
{
	(void)op;
	must("madvise", madvise(w->map, MIB, MADV_DONTNEED));
}

static void unmap(struct way *w, const struct op *op)
{
	munmap(w->map, MIB);
	close_fd(w, op);
}

static void run_mmap(struct way *w, const struct op *op, unsigned int i)
{
	void *map = mmap(NULL, MIB, PROT_READ, MAP_SHARED, w->fd, 0);

	(void)op;
	(void)i;
	if (map == MAP_FAILED)
		err(1, "mmap");
	munmap(map, MIB);
}

const struct op file_ops[] = {
	{ "data", "read", 4 * KIB, 2000, setup_file, NULL, run_read, NULL, close_fd },
	{ "data", "write", 4 * KIB, 1000, setup_file, NULL, run_write, NULL, close_fd },
	{ "data", "read", 64 * KIB, 300, setup_file, NULL, run_read, NULL, close_fd },
	{ "data", "splice", 64 * KIB, 200, setup_socket, NULL, run_sendfile, drain,
	  close_socket },
	{ "data", "faults", MIB, 100, setup_map, NULL, run_faults, forget_map, unmap },
	{ "data", "mmap+munmap", MIB, 300, setup_file, NULL, run_mmap, NULL, close_fd },
	{ 0 }
};
