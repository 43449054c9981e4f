/* SPDX-License-Identifier: GPL-2.0-only */
/* What copyfile_liar.c and libcopyfile_lies.c share. */
#ifndef COPYFILE_LIAR_H
#define COPYFILE_LIAR_H

#include <pthread.h>

struct connection {
	pthread_mutex_t lock;
	int fd;			/* -1 once it is closed */
};

struct request {
	struct connection *conn;
	uint32_t xid;
	unsigned int proc;
	union copyfile_any_args args;
	union copyfile_any_res res;
	enum accept_stat rpc;
	char actions[256];

	bool untouched;		/* nothing is executed */
	bool answered;		/* nothing more is sent */
	char reply[RECORD_MAX];
	size_t len;
};

void answer(struct request *r);
void close_connection(struct connection *conn);
void print_actions(void);

#endif
