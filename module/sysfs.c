// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - /sys/fs/offloadfs/MAJOR:MINOR/: what a mount has done, one value
 * a file.
 *
 * The directories are part of struct offloadfs_sb. Each holds a reference to
 * the one above, so once the topmost is released all are, and the structure
 * may go.
 */
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/kobject.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include "offloadfs.h"

/**
 * struct offloadfs_attr - a file in sysfs
 * @attr: its name and mode
 * @offset: where the counter is, after the directory's base
 * @show: prints it; NULL prints the counter
 */
struct offloadfs_attr {
	struct attribute attr;
	size_t offset;
	ssize_t (*show)(struct offloadfs_sb *osb, char *buf);
};

static struct kset *offloadfs_kset;

static u64 offloadfs_sum(const struct offloadfs_sb *osb, size_t offset)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += *(u64 *)((char *)per_cpu_ptr(osb->stats, cpu) + offset);
	return sum;
}

static ssize_t offloadfs_attr_show(struct kobject *kobj,
				   struct attribute *attr, char *buf)
{
	struct offloadfs_kobj *dir =
		container_of(kobj, struct offloadfs_kobj, kobj);
	struct offloadfs_attr *a =
		container_of(attr, struct offloadfs_attr, attr);

	if (a->show)
		return a->show(dir->osb, buf);
	return sysfs_emit(buf, "%llu\n",
			  offloadfs_sum(dir->osb, dir->base + a->offset));
}

static const struct sysfs_ops offloadfs_sysfs_ops = {
	.show = offloadfs_attr_show,
};

static ssize_t offloadfs_show_lower(struct offloadfs_sb *osb, char *buf)
{
	return sysfs_emit(buf, "%s\n", osb->lower_name);
}

#define OFFLOADFS_COUNTER(_type, _field)				\
static struct offloadfs_attr _type##_attr_##_field = {			\
	.attr = { .name = __stringify(_field), .mode = 0444 },		\
	.offset = offsetof(struct _type, _field),			\
}

#define OFFLOADFS_REASON(_name, _reason)				\
static struct offloadfs_attr offloadfs_reason_attr_##_name = {		\
	.attr = { .name = __stringify(_name), .mode = 0444 },		\
	.offset = (_reason) * sizeof(u64),				\
}

static struct offloadfs_attr offloadfs_attr_lower = {
	.attr = { .name = "lower", .mode = 0444 },
	.show = offloadfs_show_lower,
};

static struct attribute *offloadfs_top_attrs[] = {
	&offloadfs_attr_lower.attr,
	NULL
};
ATTRIBUTE_GROUPS(offloadfs_top);

OFFLOADFS_COUNTER(offloadfs_stats, copies_offloaded);
OFFLOADFS_COUNTER(offloadfs_stats, bytes_offloaded);
OFFLOADFS_COUNTER(offloadfs_stats, copies_local);
OFFLOADFS_COUNTER(offloadfs_stats, bytes_local);
OFFLOADFS_COUNTER(offloadfs_stats, sendfile_intercepted);

static struct attribute *offloadfs_stats_attrs[] = {
	&offloadfs_stats_attr_copies_offloaded.attr,
	&offloadfs_stats_attr_bytes_offloaded.attr,
	&offloadfs_stats_attr_copies_local.attr,
	&offloadfs_stats_attr_bytes_local.attr,
	&offloadfs_stats_attr_sendfile_intercepted.attr,
	NULL
};
ATTRIBUTE_GROUPS(offloadfs_stats);

OFFLOADFS_REASON(too_small, OFFLOADFS_TOO_SMALL);
OFFLOADFS_REASON(partial, OFFLOADFS_PARTIAL);
OFFLOADFS_REASON(unaligned, OFFLOADFS_UNALIGNED);
OFFLOADFS_REASON(cross_mount, OFFLOADFS_CROSS_MOUNT);
OFFLOADFS_REASON(unlinked, OFFLOADFS_UNLINKED);
OFFLOADFS_REASON(pseudo, OFFLOADFS_PSEUDO);
OFFLOADFS_REASON(not_a_file, OFFLOADFS_NOT_A_FILE);
OFFLOADFS_REASON(down, OFFLOADFS_DOWN);
OFFLOADFS_REASON(unsupported, OFFLOADFS_UNSUPPORTED);
OFFLOADFS_REASON(busy, OFFLOADFS_BUSY);
OFFLOADFS_REASON(disabled, OFFLOADFS_DISABLED);
OFFLOADFS_REASON(overlap, OFFLOADFS_OVERLAP);
OFFLOADFS_REASON(stale, OFFLOADFS_STALE);
OFFLOADFS_REASON(denied, OFFLOADFS_DENIED);

static struct attribute *offloadfs_declined_attrs[] = {
	&offloadfs_reason_attr_too_small.attr,
	&offloadfs_reason_attr_partial.attr,
	&offloadfs_reason_attr_unaligned.attr,
	&offloadfs_reason_attr_cross_mount.attr,
	&offloadfs_reason_attr_unlinked.attr,
	&offloadfs_reason_attr_pseudo.attr,
	&offloadfs_reason_attr_not_a_file.attr,
	&offloadfs_reason_attr_down.attr,
	&offloadfs_reason_attr_unsupported.attr,
	&offloadfs_reason_attr_busy.attr,
	&offloadfs_reason_attr_disabled.attr,
	&offloadfs_reason_attr_overlap.attr,
	&offloadfs_reason_attr_stale.attr,
	&offloadfs_reason_attr_denied.attr,
	NULL
};
ATTRIBUTE_GROUPS(offloadfs_declined);

OFFLOADFS_COUNTER(offloadfs_backend_stats, copies);
OFFLOADFS_COUNTER(offloadfs_backend_stats, bytes);
OFFLOADFS_COUNTER(offloadfs_backend_stats, errors);

static struct attribute *offloadfs_backend_attrs[] = {
	&offloadfs_backend_stats_attr_copies.attr,
	&offloadfs_backend_stats_attr_bytes.attr,
	&offloadfs_backend_stats_attr_errors.attr,
	NULL
};
ATTRIBUTE_GROUPS(offloadfs_backend);

static void offloadfs_top_release(struct kobject *kobj)
{
	struct offloadfs_kobj *dir =
		container_of(kobj, struct offloadfs_kobj, kobj);

	complete(&dir->osb->kobj_released);
}

/* The structure that holds the directory outlives it. */
static void offloadfs_kobj_release(struct kobject *kobj)
{
}

static const struct kobj_type offloadfs_top_ktype = {
	.sysfs_ops	= &offloadfs_sysfs_ops,
	.default_groups	= offloadfs_top_groups,
	.release	= offloadfs_top_release,
};

static const struct kobj_type offloadfs_stats_ktype = {
	.sysfs_ops	= &offloadfs_sysfs_ops,
	.default_groups	= offloadfs_stats_groups,
	.release	= offloadfs_kobj_release,
};

static const struct kobj_type offloadfs_declined_ktype = {
	.sysfs_ops	= &offloadfs_sysfs_ops,
	.default_groups	= offloadfs_declined_groups,
	.release	= offloadfs_kobj_release,
};

static const struct kobj_type offloadfs_backends_ktype = {
	.sysfs_ops	= &offloadfs_sysfs_ops,
	.release	= offloadfs_kobj_release,
};

static const struct kobj_type offloadfs_backend_ktype = {
	.sysfs_ops	= &offloadfs_sysfs_ops,
	.default_groups	= offloadfs_backend_groups,
	.release	= offloadfs_kobj_release,
};

static int offloadfs_add_dir(struct offloadfs_sb *osb,
			     struct offloadfs_kobj *dir,
			     const struct kobj_type *type,
			     struct offloadfs_kobj *parent, size_t base,
			     const char *name)
{
	dir->osb = osb;
	dir->base = base;
	return kobject_init_and_add(&dir->kobj, type, &parent->kobj, "%s",
				    name);
}

static int offloadfs_add_backend_dirs(struct offloadfs_sb *osb)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < osb->nr_backends; i++)
		err = offloadfs_add_dir(osb, &osb->backend_kobj[i],
					&offloadfs_backend_ktype,
					&osb->backends_kobj,
					offsetof(struct offloadfs_stats, backend[i]),
					osb->backends[i].ops->name);
	return err;
}

static void offloadfs_remove_dir(struct offloadfs_kobj *dir)
{
	if (dir->kobj.state_initialized)
		kobject_put(&dir->kobj);
}

/**
 * offloadfs_sysfs_add - show a new mount in sysfs
 * @sb: its super block
 *
 * Context: may sleep. After an error offloadfs_sysfs_remove() is due all the
 * same.
 * Return: 0 or a negative errno.
 */
int offloadfs_sysfs_add(struct super_block *sb)
{
	struct offloadfs_sb *osb = offloadfs_sb(sb);
	int err;

	init_completion(&osb->kobj_released);
	osb->top_kobj.osb = osb;
	osb->top_kobj.kobj.kset = offloadfs_kset;
	err = kobject_init_and_add(&osb->top_kobj.kobj, &offloadfs_top_ktype,
				   NULL, "%u:%u", MAJOR(sb->s_dev),
				   MINOR(sb->s_dev));
	if (err)
		return err;
	err = offloadfs_add_dir(osb, &osb->stats_kobj, &offloadfs_stats_ktype,
				&osb->top_kobj, 0, "stats");
	if (err)
		return err;
	err = offloadfs_add_dir(osb, &osb->declined_kobj,
				&offloadfs_declined_ktype, &osb->stats_kobj,
				offsetof(struct offloadfs_stats, declined),
				"declined");
	if (err)
		return err;
	err = offloadfs_add_dir(osb, &osb->backends_kobj,
				&offloadfs_backends_ktype, &osb->top_kobj, 0,
				"backends");
	return err ?: offloadfs_add_backend_dirs(osb);
}

/**
 * offloadfs_sysfs_remove - take a mount out of sysfs
 * @sb: its super block, in whatever state offloadfs_sysfs_add() left it
 *
 * Context: may sleep; waits until nobody reads the files any more.
 */
void offloadfs_sysfs_remove(struct super_block *sb)
{
	struct offloadfs_sb *osb = offloadfs_sb(sb);
	unsigned int i;

	if (!osb->top_kobj.kobj.state_initialized)
		return;
	for (i = 0; i < osb->nr_backends; i++)
		offloadfs_remove_dir(&osb->backend_kobj[i]);
	offloadfs_remove_dir(&osb->backends_kobj);
	offloadfs_remove_dir(&osb->declined_kobj);
	offloadfs_remove_dir(&osb->stats_kobj);
	offloadfs_remove_dir(&osb->top_kobj);
	wait_for_completion(&osb->kobj_released);
}

/**
 * offloadfs_sysfs_init - make /sys/fs/offloadfs
 *
 * Return: 0 or -ENOMEM.
 */
int offloadfs_sysfs_init(void)
{
	offloadfs_kset = kset_create_and_add("offloadfs", NULL, fs_kobj);
	return offloadfs_kset ? 0 : -ENOMEM;
}

/**
 * offloadfs_sysfs_exit - remove /sys/fs/offloadfs
 */
void offloadfs_sysfs_exit(void)
{
	kset_unregister(offloadfs_kset);
}
