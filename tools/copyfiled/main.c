// SPDX-License-Identifier: GPL-2.0-only
/* copyfiled: start, signals, and an orderly end. */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "copyfiled.h"

#define START_WAIT_MS	10000	/* for another server to be gone */
#define RELOAD_WAIT_MS	2000
#define STOP_WAIT_MS	60000	/* for a copy to be at its next step */

struct server {
	struct config *config;		/* what it was started with */
	struct listeners listeners;
	int state_fd;
	int lock_fd;			/* of the state directory's lock */
	int control_fd;
	int signal_fd;
};

static void notify(const char *state)
{
#ifdef HAVE_SYSTEMD
	sd_notify(0, state);
#endif
}

static void notify_reloading(void)
{
	char state[80];
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld",
		 (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
	notify(state);
}

/* What a process is born with. Signals come when the main thread asks for them. */
static int prepare(void)
{
	struct rlimit files;
	sigset_t set;

	/* An arena of memory for each of hundreds of threads is a waste. */
	mallopt(M_ARENA_MAX, 2);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/*
 * It holds what the next process trusts: nobody else may write there. Many may
 * read there, so the lock is not on the directory itself.
 */
static bool open_state_dir(struct server *s)
{
	const char *dir = s->config->state_dir;

	s->state_fd = open_own_dir(dir);
	if (s->state_fd < 0) {
		log_err("%s: %s, or choose another --state-dir", dir, own_dir_error());
		return false;
	}
	s->lock_fd = lock_file(s->state_fd, "lock", START_WAIT_MS);
	if (s->lock_fd >= 0)
		return true;
	log_err("%s: %s", dir, errno == EWOULDBLOCK ?
		"another copyfiled uses it; it may still be finishing a copy (stop it, or choose another --state-dir)" :
		strerror(errno));
	return false;
}

static bool open_all(struct server *s)
{
	if (!open_state_dir(s) || !config_open_trees(s->config, START_WAIT_MS) ||
	    !listen_open(&s->listeners, s->config))
		return false;
	s->control_fd = control_open(s->config->state_dir);
	return s->control_fd >= 0;
}

static bool start(struct server *s)
{
	s->config = options_config();
	if (!s->config)
		return false;
	if (geteuid() != 0) {
		log_err("copies are made with the rights of whoever asks for them: start copyfiled as root");
		return false;
	}
	if (access("/proc/self/fd", X_OK)) {
		log_err("/proc is needed: mount it");
		return false;
	}
	s->signal_fd = prepare();
	ident_start();
	if (s->signal_fd < 0 || !open_all(s) || !ident_drop_caps())
		return false;
	atomic_fetch_add(&s->config->refs, 1);
	config_publish(s->config);
	table_bound(s->config->max_connections);
	if (!queue_start(s->config->workers) || !dirty_start())
		return false;
	/* Last: a start that fails leaves the saved one to the next. */
	verifier_start(s->state_fd);
	return true;
}

static void warn_unchanged(const struct config *old, const struct config *new)
{
	bool same = old->port == new->port && old->workers == new->workers &&
		    old->unix_mode == new->unix_mode && !strcmp(old->state_dir, new->state_dir) &&
		    old->nlisten == new->nlisten;

	for (size_t i = 0; same && i < old->nlisten; i++)
		same = !strcmp(old->listen[i], new->listen[i]);
	if (!same)
		log_warn("listen, port, workers, unix-mode and state-dir only change when copyfiled is restarted");
}

static void reload(struct server *s)
{
	struct config *config;

	notify_reloading();
	if (!options_have_file()) {
		log_info("there is no configuration file to read again");
	} else {
		config = options_config();
		if (config && config_open_trees(config, RELOAD_WAIT_MS)) {
			warn_unchanged(s->config, config);
			table_bound(config->max_connections);
			config_publish(config);
			stat_inc(STAT_RELOADS);
			log_info("the new configuration is in force");
		} else {
			config_put(config);
			log_err("the old configuration stays in force");
		}
	}
	notify("READY=1");
}

/* Return: true when it is time to stop. */
static bool handle_signals(struct server *s)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGHUP)
			return true;
		reload(s);
	}
	return false;
}

static void serve(struct server *s)
{
	struct pollfd fds[LISTEN_MAX + 2];
	size_t n = s->listeners.count;

	for (size_t i = 0; i < n; i++)
		fds[i] = (struct pollfd){ .fd = s->listeners.fds[i], .events = POLLIN };
	fds[n] = (struct pollfd){ .fd = s->control_fd, .events = POLLIN };
	fds[n + 1] = (struct pollfd){ .fd = s->signal_fd, .events = POLLIN };
	for (;;) {
		if (poll(fds, n + 2, -1) < 0 && errno != EINTR)
			return;
		if (fds[n + 1].revents && handle_signals(s))
			return;
		if (fds[n].revents)
			control_answer(s->control_fd);
		for (size_t i = 0; i < n; i++)
			if (fds[i].revents)
				conn_accept(fds[i].fd);
	}
}

/* All that was copied is made durable, and the next process told so. */
static int finish(struct server *s)
{
	log_info("stopping");
	notify("STOPPING=1");
	listen_close(&s->listeners, s->config);
	conn_stop_reading();
	if (!queue_stop(STOP_WAIT_MS)) {
		log_err("a copy did not stop: clients will take their uncommitted data for lost");
		return 1;
	}
	if (!dirty_finish())
		return 1;
	verifier_save(s->state_fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct server s = { .control_fd = -1 };
	int status = options_parse(argc, argv);

	if (status >= 0)
		return status;
	if (!start(&s))
		return 1;
	log_info("serving %zu export(s)", s.config->nexports);
	notify("READY=1");
	serve(&s);
	status = finish(&s);
	fflush(NULL);
	/* Readers may still wait for a byte; they have nothing to lose. */
	_exit(status);
}
