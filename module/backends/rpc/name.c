// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs_rpc - names: of files, as the server knows them, and of servers.
 */
#include <linux/dcache.h>
#include <linux/dns_resolver.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/kernel.h>
#include <linux/mount.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sunrpc/addr.h>
#include "rpc.h"

/**
 * offloadfs_rpc_path - the name of a file in its export
 * @mount: the mount that the file is on
 * @path: the file, in the lower
 * @buf: PATH_MAX bytes
 *
 * The core's private mount ends at the directory that is shown, and so do the
 * names on it. The name may be old when it is used: the server looks whether it
 * is that of the file that is meant.
 *
 * Return: the name, inside @buf; -ENOENT if it has none in the mount, or
 * -ENAMETOOLONG.
 */
char *offloadfs_rpc_path(const struct offloadfs_rpc_mount *mount,
			 const struct path *path, char *buf)
{
	size_t len = strlen(mount->prefix);
	char *name;

	if (d_unlinked(path->dentry) ||
	    !is_subdir(path->dentry, path->mnt->mnt_root))
		return ERR_PTR(-ENOENT);
	name = d_path(path, buf, PATH_MAX);
	if (IS_ERR(name))
		return name;
	if (*name != '/')
		return ERR_PTR(-ENOENT);
	if (!name[1])
		name++;
	if (!len)
		return *name ? name + 1 : name;
	if (name - buf < len)
		return ERR_PTR(-ENAMETOOLONG);
	return memcpy(name - len, mount->prefix, len);
}

static int offloadfs_rpc_parse_unix(struct fs_context *fc, const char *name,
				    struct offloadfs_rpc_address *address)
{
	struct sockaddr_un *sun = (struct sockaddr_un *)&address->ss;

	if (*name != '/')
		return invalfc(fc, "server=unix:%s: expected an absolute path",
			       name);
	sun->sun_family = AF_LOCAL;
	if (strscpy(sun->sun_path, name, sizeof(sun->sun_path)) < 0)
		return invalfc(fc, "server=unix:%s: the path of a socket has at most %zu bytes",
			       name, sizeof(sun->sun_path) - 1);
	address->len = sizeof(*sun);
	return 0;
}

/* A name that is no address: user space knows (request-key(8)). */
static size_t offloadfs_rpc_resolve(struct net *net, const char *host,
				    struct offloadfs_rpc_address *address)
{
	size_t len = 0;
	char *ip;
	int n;

	if (!IS_REACHABLE(CONFIG_DNS_RESOLVER))
		return 0;
	n = dns_query(net, NULL, host, strlen(host), NULL, &ip, NULL, false);
	if (n <= 0)
		return 0;
	len = rpc_pton(net, ip, strnlen(ip, n), (struct sockaddr *)&address->ss,
		       sizeof(address->ss));
	kfree(ip);
	return len;
}

/* Split HOST, HOST:PORT, ADDRESS, [ADDRESS] or [ADDRESS]:PORT in place. */
static int offloadfs_rpc_split(char *name, char **host, u16 *port)
{
	char *colon;

	*port = COPYFILE_PORT;
	*host = name;
	if (*name == '[') {
		*host = name + 1;
		name = strchr(name, ']');
		if (!name)
			return -EINVAL;
		*name++ = '\0';
		if (!*name)
			return 0;
		return *name == ':' ? kstrtou16(name + 1, 10, port) : -EINVAL;
	}
	colon = strchr(name, ':');
	if (!colon || strchr(colon + 1, ':'))
		return 0;
	*colon = '\0';
	return kstrtou16(colon + 1, 10, port);
}

static int offloadfs_rpc_parse_host(struct fs_context *fc, const char *name,
				    struct offloadfs_rpc_address *address)
{
	struct sockaddr *sap = (struct sockaddr *)&address->ss;
	char *copy, *host;
	int err = 0;
	u16 port;

	copy = kstrdup(name, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	if (offloadfs_rpc_split(copy, &host, &port) || !*host || !port) {
		err = invalfc(fc, "server=%s: expected HOST, HOST:PORT, [ADDRESS]:PORT or unix:PATH",
			      name);
		goto out;
	}
	address->len = rpc_pton(fc->net_ns, host, strlen(host), sap,
				sizeof(address->ss)) ?:
		       offloadfs_rpc_resolve(fc->net_ns, host, address);
	if (!address->len) {
		errorfc(fc, "server=%s: no address, and a name that cannot be looked up (is the package keyutils installed?)",
			name);
		err = -EHOSTUNREACH;
		goto out;
	}
	rpc_set_port(sap, port);
out:
	kfree(copy);
	return err;
}

/**
 * offloadfs_rpc_parse_server - what option server= means
 * @fc: request, for messages and the network namespace
 * @name: the option
 * @address: where the address goes
 *
 * Return: 0, or a negative errno after a message.
 */
int offloadfs_rpc_parse_server(struct fs_context *fc, const char *name,
			       struct offloadfs_rpc_address *address)
{
	memset(address, 0, sizeof(*address));
	if (!strncmp(name, "unix:", 5))
		return offloadfs_rpc_parse_unix(fc, name + 5, address);
	return offloadfs_rpc_parse_host(fc, name, address);
}
