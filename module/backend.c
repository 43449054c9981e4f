// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - the registry of copy backends.
 *
 * Lock: offloadfs_backends_lock guards the list. Nothing is taken inside it.
 */
#include <linux/ctype.h>
#include <linux/kmod.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "offloadfs.h"

struct offloadfs_registration {
	struct list_head list;
	const struct offloadfs_backend_ops *ops;
};

static LIST_HEAD(offloadfs_backends);
static DEFINE_MUTEX(offloadfs_backends_lock);

const char * const offloadfs_reason_names[OFFLOADFS_NR_REASONS] = {
	[OFFLOADFS_ACCEPT]	= "accept",
	[OFFLOADFS_TOO_SMALL]	= "too_small",
	[OFFLOADFS_PARTIAL]	= "partial",
	[OFFLOADFS_UNALIGNED]	= "unaligned",
	[OFFLOADFS_CROSS_MOUNT]	= "cross_mount",
	[OFFLOADFS_UNLINKED]	= "unlinked",
	[OFFLOADFS_PSEUDO]	= "pseudo",
	[OFFLOADFS_NOT_A_FILE]	= "not_a_file",
	[OFFLOADFS_DOWN]	= "down",
	[OFFLOADFS_UNSUPPORTED]	= "unsupported",
	[OFFLOADFS_BUSY]	= "busy",
	[OFFLOADFS_DISABLED]	= "disabled",
	[OFFLOADFS_OVERLAP]	= "overlap",
	[OFFLOADFS_STALE]	= "stale",
	[OFFLOADFS_DENIED]	= "denied",
};

/* The name becomes a directory in sysfs and a part of a mount option. */
static bool offloadfs_backend_name_valid(const char *name)
{
	size_t i;

	if (!name || !*name)
		return false;
	for (i = 0; name[i]; i++)
		if (i == OFFLOADFS_BACKEND_NAME_MAX ||
		    (!isalnum(name[i]) && name[i] != '-' && name[i] != '_'))
			return false;
	return true;
}

static struct offloadfs_registration *offloadfs_find_backend(const char *name)
{
	struct offloadfs_registration *reg;

	lockdep_assert_held(&offloadfs_backends_lock);
	list_for_each_entry(reg, &offloadfs_backends, list)
		if (!strcmp(reg->ops->name, name))
			return reg;
	return NULL;
}

/**
 * offloadfs_register_backend - make a backend known to mount options
 * @ops: the backend; stays in use until it is unregistered
 *
 * A backend in a module of its own has the alias "offloadfs-backend-NAME", so
 * that the first mount that names it loads it.
 *
 * Context: process context, may sleep.
 * Return: 0; -EINVAL if the name is not usable or the copy operation is
 * missing; -EEXIST if the name is taken; -ENOMEM.
 */
int offloadfs_register_backend(const struct offloadfs_backend_ops *ops)
{
	struct offloadfs_registration *reg;
	int err = 0;

	if (!offloadfs_backend_name_valid(ops->name) || !ops->copy) {
		pr_err("backend refused: needs a name of letters, digits, '-' and '_', and a copy operation\n");
		return -EINVAL;
	}
	reg = kmalloc(sizeof(*reg), GFP_KERNEL);
	if (!reg)
		return -ENOMEM;
	reg->ops = ops;

	mutex_lock(&offloadfs_backends_lock);
	if (offloadfs_find_backend(ops->name))
		err = -EEXIST;
	else
		list_add_tail(&reg->list, &offloadfs_backends);
	mutex_unlock(&offloadfs_backends_lock);

	if (err) {
		pr_err("backend %s is registered already\n", ops->name);
		kfree(reg);
	}
	return err;
}
EXPORT_SYMBOL_GPL(offloadfs_register_backend);

/**
 * offloadfs_unregister_backend - forget a backend
 * @ops: what was registered; unknown ones are ignored
 *
 * To be called when the backend's module exits: a mount that uses the backend
 * holds a reference to that module, so that none is left by then.
 *
 * Context: process context, may sleep.
 */
void offloadfs_unregister_backend(const struct offloadfs_backend_ops *ops)
{
	struct offloadfs_registration *reg;

	mutex_lock(&offloadfs_backends_lock);
	reg = offloadfs_find_backend(ops->name);
	if (reg && reg->ops == ops)
		list_del(&reg->list);
	else
		reg = NULL;
	mutex_unlock(&offloadfs_backends_lock);
	kfree(reg);
}
EXPORT_SYMBOL_GPL(offloadfs_unregister_backend);

static const struct offloadfs_backend_ops *
offloadfs_try_get_backend(const char *name)
{
	const struct offloadfs_backend_ops *ops = NULL;
	struct offloadfs_registration *reg;

	mutex_lock(&offloadfs_backends_lock);
	reg = offloadfs_find_backend(name);
	if (reg && try_module_get(reg->ops->owner))
		ops = reg->ops;
	mutex_unlock(&offloadfs_backends_lock);
	return ops;
}

/**
 * offloadfs_get_backend - find a backend, loading its module if need be
 * @name: what the mount option calls it
 *
 * Context: process context, may sleep; runs modprobe.
 * Return: the backend, with a reference to its module that
 * offloadfs_put_backend() drops, or NULL.
 */
const struct offloadfs_backend_ops *offloadfs_get_backend(const char *name)
{
	const struct offloadfs_backend_ops *ops;

	if (!offloadfs_backend_name_valid(name))
		return NULL;
	ops = offloadfs_try_get_backend(name);
	if (ops)
		return ops;
	request_module(OFFLOADFS_BACKEND_ALIAS "%s", name);
	return offloadfs_try_get_backend(name);
}

/**
 * offloadfs_put_backend - let go of what offloadfs_get_backend() found
 * @ops: the backend
 */
void offloadfs_put_backend(const struct offloadfs_backend_ops *ops)
{
	module_put(ops->owner);
}

/**
 * offloadfs_builtin_backends_register - register "native" and "local"
 *
 * Return: 0 or what offloadfs_register_backend() says.
 */
int offloadfs_builtin_backends_register(void)
{
	int err;

	err = offloadfs_register_backend(&offloadfs_native_backend);
	if (err)
		return err;
	err = offloadfs_register_backend(&offloadfs_local_backend);
	if (err)
		offloadfs_unregister_backend(&offloadfs_native_backend);
	return err;
}

/**
 * offloadfs_builtin_backends_unregister - forget "native" and "local"
 */
void offloadfs_builtin_backends_unregister(void)
{
	offloadfs_unregister_backend(&offloadfs_local_backend);
	offloadfs_unregister_backend(&offloadfs_native_backend);
}
