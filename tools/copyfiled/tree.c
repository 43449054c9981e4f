// SPDX-License-Identifier: GPL-2.0-only
/*
 * The exported directories. Each is opened and locked once, and shared by all
 * exports of it, old ones and new.
 *
 * The lock is not on the directory, which everybody can lock who may read it, but
 * on a file that stands for it in a directory of root's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "copyfiled.h"

/* The same for all that run here, whatever their state directories. */
#ifndef LOCK_DIR
#define LOCK_DIR	"/run/copyfiled-locks"
#endif

/* What a name has stood for since the process began; the main thread's. */
struct served {
	LIST_ENTRY(served) link;
	char *name;
	dev_t dev;
	ino_t ino;
	uint64_t id;
};

static pthread_mutex_t trees_lock = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(tree_list, tree) trees = LIST_HEAD_INITIALIZER(trees);
static LIST_HEAD(served_list, served) all_served = LIST_HEAD_INITIALIZER(all_served);

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

/* Return: a descriptor that holds the lock, or -1 (logged). */
static int tree_lock(const struct export *export, const struct stat *st, unsigned int wait_ms)
{
	int dir = open_own_dir(LOCK_DIR);
	char name[64];
	int fd;

	if (dir < 0) {
		log_err("export %s: cannot be locked: %s: %s", export->name, LOCK_DIR,
			own_dir_error());
		return -1;
	}
	snprintf(name, sizeof(name), "%llx:%llx", (unsigned long long)st->st_dev,
		 (unsigned long long)st->st_ino);
	fd = lock_file(dir, name, wait_ms);
	if (fd < 0 && errno == EWOULDBLOCK)
		log_err("another copyfiled still serves %s; it may still be finishing a copy. Stop it, or wait until it is gone",
			export->path);
	else if (fd < 0)
		log_err("export %s: cannot be locked: %s/%s: %s", export->name, LOCK_DIR, name,
			strerror(errno));
	close(dir);
	return fd;
}

/* Under trees_lock; returns a reference. */
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

static struct tree *tree_new(const struct stat *st, int fd, int lock)
{
	struct tree *tree = xalloc(sizeof(*tree));

	tree->refs = 1;
	tree->dev = st->st_dev;
	tree->ino = st->st_ino;
	tree->id = tree_id(st, fd);
	tree->fd = fd;
	tree->lock = lock;
	tree->can_clone = try_clone(fd);
	pthread_mutex_init(&tree->sync_lock, NULL);
	pthread_mutex_lock(&trees_lock);
	LIST_INSERT_HEAD(&trees, tree, link);
	pthread_mutex_unlock(&trees_lock);
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

/**
 * tree_open - open and lock an exported directory
 * @export: whose; its tree is not looked at
 * @wait_ms: how long to wait for another server of it
 *
 * Return: the tree, for tree_put(), or NULL (logged).
 */
struct tree *tree_open(const struct export *export, unsigned int wait_ms)
{
	struct tree *tree;
	struct stat st;
	int fd = tree_open_dir(export, &st);
	int lock;

	if (fd < 0)
		return NULL;
	pthread_mutex_lock(&trees_lock);
	tree = tree_known(&st);
	pthread_mutex_unlock(&trees_lock);
	lock = tree ? -1 : tree_lock(export, &st, wait_ms);
	if (lock < 0)
		close(fd);
	else
		tree = tree_new(&st, fd, lock);
	return tree;
}

void tree_put(struct tree *tree)
{
	if (!tree)
		return;
	pthread_mutex_lock(&trees_lock);
	if (!--tree->refs) {
		LIST_REMOVE(tree, link);
		close(tree->fd);
		close(tree->lock);
		pthread_mutex_destroy(&tree->sync_lock);
		free(tree);
	}
	pthread_mutex_unlock(&trees_lock);
}

static const struct served *served_find(const char *name)
{
	const struct served *served;

	LIST_FOREACH(served, &all_served, link)
		if (!strcmp(served->name, name))
			return served;
	return NULL;
}

/**
 * tree_may_serve - is this the directory that clients know by the export's name?
 * @export: with its tree
 *
 * Clients ask for the tree's id when this process begins, and not again as long
 * as it lives: by COMMIT they would make another tree durable than they copied to.
 *
 * Return: false if it is not (logged).
 */
bool tree_may_serve(const struct export *export)
{
	const struct served *served = served_find(export->name);
	const struct tree *tree = export->tree;

	if (!served || (served->dev == tree->dev && served->ino == tree->ino &&
			served->id == tree->id))
		return true;
	log_err("export %s: %s is another directory than the one that clients know by this name: restart copyfiled, or choose another name",
		export->name, export->path);
	return false;
}

/* Remember what an export's name stands for, though it may go and come back. */
void tree_served(const struct export *export)
{
	const struct tree *tree = export->tree;
	struct served *served;

	if (served_find(export->name))
		return;
	served = xalloc(sizeof(*served));
	served->name = xstrdup(export->name);
	served->dev = tree->dev;
	served->ino = tree->ino;
	served->id = tree->id;
	LIST_INSERT_HEAD(&all_served, served, link);
}
