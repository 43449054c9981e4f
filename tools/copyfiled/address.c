// SPDX-License-Identifier: GPL-2.0-only
/* Network addresses: allow lists, which ones are public, who a peer is. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copyfiled.h"

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
	unsigned int bytes = bits / 8, rest = bits % 8;

	if (memcmp(a, b, bytes))
		return false;
	return !rest || !((a[bytes] ^ b[bytes]) >> (8 - rest));
}

/**
 * netmask_parse - understand ADDRESS or ADDRESS/LENGTH
 * @text: IPv4 or IPv6, digits only
 * @mask: filled in
 *
 * Return: false if it is neither, or has bits set beyond the length: such a
 * thing is a slip, and may allow more than was meant.
 */
bool netmask_parse(const char *text, struct netmask *mask)
{
	char copy[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	unsigned int max;
	uint64_t bits;

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = 0;
	memset(mask, 0, sizeof(*mask));
	mask->family = strchr(copy, ':') ? AF_INET6 : AF_INET;
	max = mask->family == AF_INET6 ? 128 : 32;
	if (inet_pton(mask->family, copy, mask->addr) != 1)
		return false;
	bits = max;
	if (slash && !parse_number(slash + 1, 0, max, &bits))
		return false;
	mask->bits = (unsigned int)bits;
	for (unsigned int i = mask->bits; i < max; i++)
		if (mask->addr[i / 8] & (0x80 >> i % 8))
			return false;
	return true;
}

bool netmask_matches(const struct netmask *mask, sa_family_t family, const uint8_t *addr)
{
	return mask->family == family && same_bits(mask->addr, addr, mask->bits);
}

/* Has one of them addresses of the other? */
bool netmask_overlaps(const struct netmask *a, const struct netmask *b)
{
	return a->family == b->family &&
	       same_bits(a->addr, b->addr, a->bits < b->bits ? a->bits : b->bits);
}

/* An IPv4 address that IPv6 has mapped is the IPv4 address. */
void address_of(const struct sockaddr *sa, sa_family_t *family, uint8_t *addr)
{
	const struct sockaddr_in6 *sin6 = (const void *)sa;
	const struct sockaddr_in *sin = (const void *)sa;

	memset(addr, 0, 16);
	*family = sa->sa_family;
	if (sa->sa_family == AF_INET) {
		memcpy(addr, &sin->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
		*family = AF_INET;
		memcpy(addr, sin6->sin6_addr.s6_addr + 12, 4);
	} else if (sa->sa_family == AF_INET6) {
		memcpy(addr, &sin6->sin6_addr, 16);
	}
}

static bool is_in(const char *const *nets, size_t n, sa_family_t family, const uint8_t *addr)
{
	struct netmask mask;

	for (size_t i = 0; i < n; i++)
		if (netmask_parse(nets[i], &mask) && netmask_matches(&mask, family, addr))
			return true;
	return false;
}

#define IS_IN(nets, family, addr) is_in(nets, sizeof(nets) / sizeof(nets[0]), family, addr)

bool address_is_loopback(sa_family_t family, const uint8_t *addr)
{
	static const char *const loopback[] = { "127.0.0.0/8", "::1/128" };

	return IS_IN(loopback, family, addr);
}

/* Networks that the Internet does not route. */
bool address_is_public(sa_family_t family, const uint8_t *addr)
{
	static const char *const inside[] = {
		"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
		"169.254.0.0/16", "100.64.0.0/10", "192.0.2.0/24", "198.51.100.0/24",
		"203.0.113.0/24", "198.18.0.0/15",
		"::1/128", "fe80::/10", "fc00::/7", "2001:db8::/32", "3fff::/20",
	};

	return !IS_IN(inside, family, addr);
}

static bool unix_peer(int fd, struct peer *peer)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return false;
	peer->uid = cred.uid;
	peer->gid = cred.gid;
	snprintf(peer->name, sizeof(peer->name), "local uid %u", cred.uid);
	return true;
}

/**
 * peer_of - who is at the other end of a socket
 * @fd: a connected socket
 * @peer: filled in
 */
bool peer_of(int fd, struct peer *peer)
{
	struct sockaddr_storage ss;
	const struct sockaddr_in6 *sin6 = (const void *)&ss;
	socklen_t len = sizeof(ss);

	memset(peer, 0, sizeof(*peer));
	memset(&ss, 0, sizeof(ss));
	if (getpeername(fd, (struct sockaddr *)&ss, &len))
		return false;
	address_of((struct sockaddr *)&ss, &peer->family, peer->addr);
	if (peer->family == AF_UNIX)
		return unix_peer(fd, peer);
	if (peer->family != AF_INET && peer->family != AF_INET6)
		return false;
	/* The port is at the same place in both. */
	peer->port = ntohs(sin6->sin6_port);
	if (peer->family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&sin6->sin6_addr))
		peer->scope = sin6->sin6_scope_id;
	return inet_ntop(peer->family, peer->addr, peer->name, sizeof(peer->name));
}

bool peer_same_host(const struct peer *a, const struct peer *b)
{
	if (a->family != b->family || a->uid != b->uid || a->scope != b->scope)
		return false;
	return !memcmp(a->addr, b->addr, sizeof(a->addr));
}
