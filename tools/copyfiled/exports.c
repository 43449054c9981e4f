// SPDX-License-Identifier: GPL-2.0-only
/*
 * The exports that are in force. A configuration never changes once it is
 * published; SIGHUP publishes another, and a request keeps the one it began
 * with. The directories are opened and locked once and shared by all.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "copyfiled.h"

static pthread_mutex_t config_lock = PTHREAD_MUTEX_INITIALIZER;
static struct config *current;
static LIST_HEAD(tree_list, tree) trees = LIST_HEAD_INITIALIZER(trees);

struct config *config_new(void)
{
	struct config *config = xalloc(sizeof(*config));

	config->refs = 1;
	config->port = COPYFILE_PORT;
	config->workers = 8;
	config->slice_ms = 2000;
	config->max_connections = 256;
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

/* Under config_lock. */
static void tree_put(struct tree *tree)
{
	if (!tree || --tree->refs)
		return;
	LIST_REMOVE(tree, link);
	close(tree->fd);
	pthread_mutex_destroy(&tree->sync_lock);
	free(tree);
}

static void config_free(struct config *config)
{
	for (size_t i = 0; i < config->nexports; i++) {
		struct export *export = &config->exports[i];

		pthread_mutex_lock(&config_lock);
		tree_put(export->tree);
		pthread_mutex_unlock(&config_lock);
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

/**
 * lock_wait - lock a file or directory for this process
 * @fd: what; the lock lasts as long as it is open, and thus as the last thread
 *	of a killed process lives, even one that is still copying
 * @wait_ms: how long to wait for another process
 *
 * Return: false with EWOULDBLOCK if another holds it, or another errno.
 */
bool lock_wait(int fd, unsigned int wait_ms)
{
	int64_t until = now_ms() + wait_ms;

	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return false;
		if (now_ms() >= until) {
			errno = EWOULDBLOCK;
			return false;
		}
		sleep_ms(50);
	}
	return true;
}

/* Cloning nothing fails in the same way as cloning something, where it does. */
static bool try_clone(int dir)
{
	int a = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int b = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	bool can = a >= 0 && b >= 0 && ioctl(a, FICLONE, b) == 0;

	if (a >= 0)
		close(a);
	if (b >= 0)
		close(b);
	return can;
}

static bool tree_lock(const struct export *export, int fd, unsigned int wait_ms)
{
	if (lock_wait(fd, wait_ms))
		return true;
	if (errno == EWOULDBLOCK) {
		log_err("another copyfiled still serves %s; it may still be finishing a copy. Stop it, or wait until it is gone",
			export->path);
		return false;
	}
	log_warn("%s: cannot be locked (%s): see to it that no other copyfiled serves it",
		 export->path, strerror(errno));
	return true;
}

/* Under config_lock; returns a reference. */
static struct tree *tree_known(const struct stat *st)
{
	struct tree *tree;

	LIST_FOREACH(tree, &trees, link) {
		if (tree->dev == st->st_dev && tree->ino == st->st_ino) {
			tree->refs++;
			return tree;
		}
	}
	return NULL;
}

/*
 * Inode number and time of birth: no two directories that ever stand behind one
 * name have both in common. Where there is no time of birth, the number.
 */
static uint64_t tree_id(const struct stat *st, int fd)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &stx) ||
	    !(stx.stx_mask & STATX_BTIME))
		return st->st_ino;
	return st->st_ino ^ ((uint64_t)stx.stx_btime.tv_sec << 30 ^
			     (uint64_t)stx.stx_btime.tv_nsec << 16);
}

static struct tree *tree_new(const struct stat *st, int fd)
{
	struct tree *tree = xalloc(sizeof(*tree));

	tree->refs = 1;
	tree->dev = st->st_dev;
	tree->ino = st->st_ino;
	tree->id = tree_id(st, fd);
	tree->fd = fd;
	tree->can_clone = try_clone(fd);
	pthread_mutex_init(&tree->sync_lock, NULL);
	pthread_mutex_lock(&config_lock);
	LIST_INSERT_HEAD(&trees, tree, link);
	pthread_mutex_unlock(&config_lock);
	return tree;
}

static int tree_open_dir(const struct export *export, struct stat *st)
{
	int fd = open(export->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, st))
		log_err("export %s: %s: %s", export->name, export->path, strerror(errno));
	else if (!path_works(fd))
		log_err("export %s: openat2(2) does not work here: %s (it needs Linux 5.6, and no system call filter such as RestrictSUIDSGID=)",
			export->name, strerror(errno));
	else
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static struct tree *tree_open(const struct export *export, unsigned int wait_ms)
{
	struct tree *tree;
	struct stat st;
	int fd = tree_open_dir(export, &st);

	if (fd < 0)
		return NULL;
	pthread_mutex_lock(&config_lock);
	tree = tree_known(&st);
	pthread_mutex_unlock(&config_lock);
	if (tree || !tree_lock(export, fd, wait_ms))
		close(fd);
	else
		tree = tree_new(&st, fd);
	return tree;
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
 * Return: false if one cannot be had (logged).
 */
bool config_open_trees(struct config *config, unsigned int wait_ms)
{
	for (size_t i = 0; i < config->nexports; i++) {
		struct export *export = &config->exports[i];

		export->tree = tree_open(export, wait_ms);
		if (!export->tree)
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
