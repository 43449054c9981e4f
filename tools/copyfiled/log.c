// SPDX-License-Identifier: GPL-2.0-only
/* Messages, to stderr: with their priority if the journal reads them. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "copyfiled.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool is_journal;

/* The variable names the journal's stream; stderr may lead elsewhere since. */
static void find_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	is_journal = stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
		     !fstat(STDERR_FILENO, &st) && st.st_dev == dev && st.st_ino == ino;
}

void log_msg(int level, const char *fmt, ...)
{
	char line[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	pthread_once(&once, find_journal);
	if (is_journal)
		fprintf(stderr, "<%d>%s\n", level, line);
	else
		fprintf(stderr, "copyfiled: %s\n", line);
}

/**
 * log_limited - may something be logged that a client can cause at will?
 *
 * Return: true for ten messages a minute.
 */
bool log_limited(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static int64_t start = -1;
	static unsigned int count;
	bool may;

	pthread_mutex_lock(&lock);
	if (start < 0 || now_ms() - start > 60000) {
		start = now_ms();
		count = 0;
	}
	may = count++ < 10;
	pthread_mutex_unlock(&lock);
	return may;
}
