// SPDX-License-Identifier: GPL-2.0-only
/*
 * The exports that are in force. A configuration never changes once it is
 * published; SIGHUP publishes another, and a request keeps the one it began
 * with. Their directories are in tree.c.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "copyfiled.h"

static pthread_mutex_t config_lock = PTHREAD_MUTEX_INITIALIZER;
static struct config *current;

struct config *config_new(void)
{
	struct config *config = xalloc(sizeof(*config));

	config->refs = 1;
	config->port = COPYFILE_PORT;
	config->workers = 8;
	config->slice_ms = 2000;
	config->max_connections = 256;
	config->unix_mode = 0600;
	config->state_dir = xstrdup(DEFAULT_STATE_DIR);
	return config;
}

struct config *config_get(void)
{
	struct config *config;

	pthread_mutex_lock(&config_lock);
	config = current;
	atomic_fetch_add(&config->refs, 1);
	pthread_mutex_unlock(&config_lock);
	return config;
}

static void config_free(struct config *config)
{
	for (size_t i = 0; i < config->nexports; i++) {
		struct export *export = &config->exports[i];

		tree_put(export->tree);
		free(export->name);
		free(export->path);
		free(export->allow);
	}
	for (size_t i = 0; i < config->nlisten; i++)
		free(config->listen[i]);
	free(config->exports);
	free(config->listen);
	free(config->state_dir);
	free(config);
}

void config_put(struct config *config)
{
	if (config && atomic_fetch_sub(&config->refs, 1) == 1)
		config_free(config);
}

/* Takes over the caller's reference. */
void config_publish(struct config *config)
{
	struct config *old;

	for (size_t i = 0; i < config->nexports; i++)
		tree_served(&config->exports[i]);
	pthread_mutex_lock(&config_lock);
	old = current;
	current = config;
	pthread_mutex_unlock(&config_lock);
	config_put(old);
}

struct export *config_add_export(struct config *config, const char *name)
{
	struct export *export;

	config->exports = xrealloc(config->exports,
				   (config->nexports + 1) * sizeof(*config->exports));
	export = &config->exports[config->nexports++];
	memset(export, 0, sizeof(*export));
	export->name = xstrdup(name);
	export->anonuid = 65534;
	export->anongid = 65534;
	return export;
}

void config_add_listen(struct config *config, const char *where)
{
	config->listen = xrealloc(config->listen, (config->nlisten + 1) * sizeof(char *));
	config->listen[config->nlisten++] = xstrdup(where);
}

void export_allow(struct export *export, const struct netmask *mask)
{
	export->allow = xrealloc(export->allow, (export->nallow + 1) * sizeof(*mask));
	export->allow[export->nallow++] = *mask;
}

static void log_export(const struct export *export)
{
	static const char *const squash[] = {
		[SQUASH_ROOT] = "root squashed", [SQUASH_ALL] = "all squashed",
		[SQUASH_NONE] = "nobody squashed",
	};

	log_info("export %s: %s, %s, %s%s, clones %s", export->name, export->path,
		 export->rdonly ? "read-only" : "writable", squash[export->squash],
		 export->insecure ? ", any source port" : "",
		 export->tree->can_clone ? "possible" : "not possible");
}

/**
 * config_open_trees - open and lock all exported directories
 * @config: not published yet
 * @wait_ms: how long to wait for another server of one of them
 *
 * Return: false if one cannot be had, or is not what its name has stood for so
 * far (logged).
 */
bool config_open_trees(struct config *config, unsigned int wait_ms)
{
	for (size_t i = 0; i < config->nexports; i++) {
		struct export *export = &config->exports[i];

		export->tree = tree_open(export, wait_ms);
		if (!export->tree || !tree_may_serve(export))
			return false;
		log_export(export);
	}
	return true;
}

const struct export *export_find(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->nexports; i++)
		if (!strcmp(config->exports[i].name, name))
			return &config->exports[i];
	return NULL;
}

/* Whoever could open the UNIX socket may use it: see who it is in ident.c. */
bool export_allows(const struct export *export, const struct peer *peer)
{
	if (peer->family == AF_UNIX)
		return true;
	for (size_t i = 0; i < export->nallow; i++)
		if (netmask_matches(&export->allow[i], peer->family, peer->addr))
			return true;
	return false;
}

/**
 * export_check - may this peer use this export?
 * @export: NULL if there is none of the name
 * @peer: who asks
 *
 * Return: COPYFILE_OK, COPYFILE_NOEXPORT, or COPYFILE_PERM for a source port
 * that any user of the peer could have.
 */
copyfile_status export_check(const struct export *export, const struct peer *peer)
{
	if (!export || !export_allows(export, peer))
		return COPYFILE_NOEXPORT;
	if (peer->family != AF_UNIX && peer->port >= IPPORT_RESERVED && !export->insecure)
		return COPYFILE_PERM;
	return COPYFILE_OK;
}

bool config_serves(const struct config *config, const struct peer *peer)
{
	for (size_t i = 0; i < config->nexports; i++)
		if (export_check(&config->exports[i], peer) == COPYFILE_OK)
			return true;
	return false;
}
