// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where to listen. Unless told, at no address that the Internet can reach: at
 * loopback, and at those private addresses that an allow list is about.
 */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "copyfiled.h"

static bool add(struct listeners *l, int fd, const char *where)
{
	if (l->count == LISTEN_MAX) {
		log_err("%s: that are too many addresses, at most %d", where, LISTEN_MAX);
		close(fd);
		return false;
	}
	l->fds[l->count++] = fd;
	log_info("listening at %s", where);
	return true;
}

static bool listen_at(struct listeners *l, const struct sockaddr *sa, socklen_t len,
		      const char *where)
{
	int one = 1;
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		goto fail;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (sa->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (!bind(fd, sa, len) && !listen(fd, 128))
		return add(l, fd, where);
fail:
	log_err("cannot listen at %s: %s%s", where, strerror(errno),
		errno == EADDRINUSE ? " (is another copyfiled running?)" :
		errno == EADDRNOTAVAIL ? " (this machine has no such address)" : "");
	if (fd >= 0)
		close(fd);
	return false;
}

static void describe(const struct sockaddr *sa, socklen_t len, char *buf, size_t size)
{
	char host[NI_MAXHOST], port[NI_MAXSERV];
	const char *fmt = sa->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s";

	if (getnameinfo(sa, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV))
		snprintf(buf, size, "an address");
	else
		snprintf(buf, size, fmt, host, port);
}

static bool listen_unix(struct listeners *l, const char *path, unsigned int mode)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct stat st;
	mode_t mask;
	bool ok;

	if (*path != '/' || strlen(path) >= sizeof(sa.sun_path)) {
		log_err("unix:%s: give an absolute path of at most %zu bytes", path,
			sizeof(sa.sun_path) - 1);
		return false;
	}
	strcpy(sa.sun_path, path);
	/* Left by one that was killed; the exports are locked, so none is running. */
	if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
		unlink(path);
	mask = umask(0777 & ~mode);
	ok = listen_at(l, (struct sockaddr *)&sa, sizeof(sa), path);
	umask(mask);
	return ok;
}

/* ADDR, ADDR:PORT, [ADDR]:PORT: cut in two. */
static bool split_port(char *text, char **host, const char **port)
{
	char *colon = strrchr(text, ':');
	char *end;

	*host = text;
	if (*text == '[') {
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
		*host = text + 1;
		if (end[1])
			*port = end + 2;
		*end = 0;
	} else if (colon && colon == strchr(text, ':')) {
		*port = colon + 1;
		*colon = 0;
	}
	return true;
}

static bool listen_ip(struct listeners *l, const char *host, const char *port)
{
	struct addrinfo hints = {
		.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *found;
	char where[NI_MAXHOST + NI_MAXSERV + 4];
	bool ok;

	if (getaddrinfo(host, port, &hints, &found)) {
		log_err("%s:%s: not an address and port to listen at: give ADDRESS[:PORT], [ADDRESS]:PORT, unix:PATH or '*'",
			host, port);
		return false;
	}
	describe(found->ai_addr, found->ai_addrlen, where, sizeof(where));
	ok = listen_at(l, found->ai_addr, found->ai_addrlen, where);
	freeaddrinfo(found);
	return ok;
}

static bool listen_told(struct listeners *l, const struct config *config, const char *where)
{
	char text[256], number[16];
	const char *port = number;
	char *host;

	if (!strncmp(where, "unix:", 5))
		return listen_unix(l, where + 5, config->unix_mode);
	snprintf(number, sizeof(number), "%u", config->port);
	if (snprintf(text, sizeof(text), "%s", where) >= (int)sizeof(text) ||
	    !split_port(text, &host, &port)) {
		log_err("%s: not an address to listen at", where);
		return false;
	}
	if (strcmp(host, "*"))
		return listen_ip(l, host, port);
	/* A machine without IPv6 is no error. */
	return listen_ip(l, "0.0.0.0", port) && (listen_ip(l, "::", port) || true);
}

/* The network that an interface's address lies in. */
static void network_of(const struct ifaddrs *ifa, struct netmask *net)
{
	uint8_t mask[16];
	sa_family_t family;

	memset(net, 0, sizeof(*net));
	address_of(ifa->ifa_addr, &net->family, net->addr);
	net->bits = net->family == AF_INET ? 32 : 128;
	if (!ifa->ifa_netmask)
		return;
	address_of(ifa->ifa_netmask, &family, mask);
	for (unsigned int i = 0; i < net->bits; i++)
		if (!(mask[i / 8] & (0x80 >> i % 8)))
			net->bits = i;
}

static bool has_clients(const struct config *config, const struct netmask *net)
{
	for (size_t i = 0; i < config->nexports; i++)
		for (size_t j = 0; j < config->exports[i].nallow; j++)
			if (netmask_overlaps(&config->exports[i].allow[j], net))
				return true;
	return false;
}

static const char *why_not(const struct config *config, const struct ifaddrs *ifa)
{
	struct netmask net;

	network_of(ifa, &net);
	/* Not the interface's flag: a public address may lie on that as well. */
	if (address_is_loopback(net.family, net.addr))
		return NULL;
	if (address_is_public(net.family, net.addr))
		return "it is public";
	if (!has_clients(config, &net))
		return "no export is for its network";
	return NULL;
}

static void listen_default_at(struct listeners *l, const struct config *config,
			      const struct ifaddrs *ifa)
{
	struct sockaddr_storage ss = { 0 };
	struct sockaddr_in6 *sin6 = (void *)&ss;
	socklen_t len = ifa->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) :
							      sizeof(struct sockaddr_in6);
	const char *reason = why_not(config, ifa);
	char where[NI_MAXHOST + NI_MAXSERV + 4];

	memcpy(&ss, ifa->ifa_addr, len);
	sin6->sin6_port = htons((uint16_t)config->port);
	describe((struct sockaddr *)&ss, len, where, sizeof(where));
	if (reason)
		log_info("not listening at %s: %s (--listen overrides that)", where, reason);
	else
		listen_at(l, (struct sockaddr *)&ss, len, where);
}

static bool listen_default(struct listeners *l, const struct config *config)
{
	struct ifaddrs *all, *ifa;

	if (getifaddrs(&all)) {
		log_err("cannot list this machine's addresses: %s (use --listen)", strerror(errno));
		return false;
	}
	for (ifa = all; ifa; ifa = ifa->ifa_next)
		if (ifa->ifa_addr && (ifa->ifa_flags & IFF_UP) &&
		    (ifa->ifa_addr->sa_family == AF_INET || ifa->ifa_addr->sa_family == AF_INET6))
			listen_default_at(l, config, ifa);
	freeifaddrs(all);
	if (!l->count)
		log_err("there is no address to listen at: use --listen");
	return l->count;
}

/*
 * What systemd has opened already. It leaves them blocking, and a peer that has
 * gone again would make the main thread wait for another.
 */
static void listen_inherited(struct listeners *l)
{
#ifdef HAVE_SYSTEMD
	int n = sd_listen_fds(1);

	for (int i = 0; i < n; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		add(l, fd, "a socket of the service manager");
	}
#endif
}

/**
 * listen_open - open all sockets that connections come from
 * @l: filled in
 * @config: with its exports
 *
 * Return: false if one that was asked for cannot be had (logged).
 */
bool listen_open(struct listeners *l, const struct config *config)
{
	l->count = 0;
	listen_inherited(l);
	l->inherited = l->count;
	if (l->inherited)
		return true;
	if (!config->nlisten)
		return listen_default(l, config);
	for (size_t i = 0; i < config->nlisten; i++)
		if (!listen_told(l, config, config->listen[i]))
			return false;
	return true;
}

/* What systemd has opened stays its own, and stays where it is. */
void listen_close(struct listeners *l, const struct config *config)
{
	while (l->count)
		close(l->fds[--l->count]);
	for (size_t i = 0; !l->inherited && i < config->nlisten; i++)
		if (!strncmp(config->listen[i], "unix:", 5))
			unlink(config->listen[i] + 5);
}
