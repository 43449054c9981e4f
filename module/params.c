// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - mount options: parsing, showing, changing by remount. Nothing
 * else knows their names.
 */
#include <linux/capability.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "offloadfs.h"

#define OFFLOADFS_DEFAULT_BACKENDS	"native"
#define OFFLOADFS_LAST_BACKEND		"local"

/* More options than any backend has. */
#define OFFLOADFS_MAX_EXTRA		32

/* An option that may be a backend's: kept until the backends are known. */
struct offloadfs_extra_option {
	struct list_head list;
	struct fs_parameter param;
};

/**
 * struct offloadfs_fs_context - a mount request while it is parsed
 * @config: options that end up in the super block
 * @backends: value of backend=, or NULL
 * @extra: options for the backends
 * @nr_extra: how many they are
 */
struct offloadfs_fs_context {
	struct offloadfs_config config;
	char *backends;
	struct list_head extra;
	unsigned int nr_extra;
};

enum {
	OPT_BACKEND,
	OPT_MIN,
	OPT_SENDFILE,
	OPT_CFR,
	OPT_CLONE,
	OPT_STRICT,
	OPT_SPARSE,
};

const struct fs_parameter_spec offloadfs_fs_parameters[] = {
	fsparam_string("backend", OPT_BACKEND),
	fsparam_string("min", OPT_MIN),
	fsparam_flag_no("sendfile", OPT_SENDFILE),
	fsparam_flag_no("cfr", OPT_CFR),
	fsparam_flag_no("clone", OPT_CLONE),
	fsparam_flag_no("strict", OPT_STRICT),
	fsparam_flag_no("sparse", OPT_SPARSE),
	{}
};

/**
 * offloadfs_free_options - free options that were kept for the backends
 * @options: list of them
 */
void offloadfs_free_options(struct list_head *options)
{
	struct offloadfs_extra_option *opt, *next;

	list_for_each_entry_safe(opt, next, options, list) {
		kfree(opt->param.key);
		kfree(opt->param.string);
		kfree(opt);
	}
}

static int offloadfs_keep_extra(struct fs_context *fc,
				struct fs_parameter *param)
{
	struct offloadfs_fs_context *ctx = fc->fs_private;
	struct offloadfs_extra_option *opt;

	if (param->type != fs_value_is_string && param->type != fs_value_is_flag)
		return -ENOPARAM;
	if (ctx->nr_extra++ == OFFLOADFS_MAX_EXTRA)
		return invalfc(fc, "too many options");
	opt = kzalloc(sizeof(*opt), GFP_KERNEL);
	if (!opt)
		return -ENOMEM;
	opt->param.type = param->type;
	opt->param.size = param->size;
	opt->param.key = kstrdup(param->key, GFP_KERNEL);
	if (!opt->param.key) {
		kfree(opt);
		return -ENOMEM;
	}
	if (param->type == fs_value_is_string) {
		opt->param.string = param->string;
		param->string = NULL;
	}
	list_add_tail(&opt->list, &ctx->extra);
	return 0;
}

static int offloadfs_parse_min(struct fs_context *fc, const char *value)
{
	struct offloadfs_fs_context *ctx = fc->fs_private;
	unsigned long long min;
	char *end;

	min = memparse(value, &end);
	if (end == value || *end || min > LLONG_MAX)
		return invalfc(fc, "min=%s: expected a size, like 65536 or 64K",
			       value);
	ctx->config.min = min;
	return 0;
}

static int offloadfs_parse_param(struct fs_context *fc,
				 struct fs_parameter *param)
{
	struct offloadfs_fs_context *ctx = fc->fs_private;
	struct fs_parse_result result;
	int opt;

	if (!strcmp(param->key, "source"))
		return -ENOPARAM;
	opt = fs_parse(fc, offloadfs_fs_parameters, param, &result);
	if (opt == -ENOPARAM)
		return offloadfs_keep_extra(fc, param);
	if (opt < 0)
		return opt;

	switch (opt) {
	case OPT_BACKEND:
		kfree(ctx->backends);
		ctx->backends = param->string;
		param->string = NULL;
		return 0;
	case OPT_MIN:
		return offloadfs_parse_min(fc, param->string);
	case OPT_SENDFILE:
		ctx->config.nosendfile = result.negated;
		return 0;
	case OPT_CFR:
		ctx->config.nocfr = result.negated;
		return 0;
	case OPT_CLONE:
		ctx->config.noclone = result.negated;
		return 0;
	case OPT_STRICT:
		ctx->config.strict = !result.negated;
		return 0;
	case OPT_SPARSE:
		ctx->config.nosparse = result.negated;
		return 0;
	}
	return -EINVAL;
}

static int offloadfs_add_backend(struct fs_context *fc,
				 struct offloadfs_sb *osb, const char *name)
{
	const struct offloadfs_backend_ops *ops;
	unsigned int i;

	for (i = 0; i < osb->nr_backends; i++)
		if (!strcmp(osb->backends[i].ops->name, name))
			return invalfc(fc, "backend %s is named twice", name);
	if (osb->nr_backends == OFFLOADFS_MAX_BACKENDS)
		return invalfc(fc, "more than %d backends",
			       OFFLOADFS_MAX_BACKENDS - 1);
	ops = offloadfs_get_backend(name);
	if (!ops) {
		errorfc(fc, "backend %s is unknown, and no module " OFFLOADFS_BACKEND_ALIAS "%s provides it",
			name, name);
		return -ENOENT;
	}
	if (osb->nr_backends &&
	    osb->backends[osb->nr_backends - 1].ops == &offloadfs_local_backend) {
		offloadfs_put_backend(ops);
		return invalfc(fc, "backend " OFFLOADFS_LAST_BACKEND " can only be the last one");
	}
	osb->backends[osb->nr_backends++].ops = ops;
	return 0;
}

/* The chain that backend= describes, with the local copy at its end. */
static int offloadfs_find_backends(struct fs_context *fc,
				   struct offloadfs_sb *osb)
{
	struct offloadfs_fs_context *ctx = fc->fs_private;
	char *list, *rest, *name;
	int err = 0;

	list = kstrdup(ctx->backends ?: OFFLOADFS_DEFAULT_BACKENDS, GFP_KERNEL);
	if (!list)
		return -ENOMEM;
	rest = list;
	while (!err && (name = strsep(&rest, ":")))
		err = offloadfs_add_backend(fc, osb, name);
	if (!err && osb->backends[osb->nr_backends - 1].ops != &offloadfs_local_backend)
		err = offloadfs_add_backend(fc, osb, OFFLOADFS_LAST_BACKEND);
	kfree(list);
	return err;
}

static int offloadfs_apply_extra(struct fs_context *fc,
				 struct offloadfs_sb *osb,
				 struct fs_parameter *param)
{
	struct offloadfs_backend *b;
	int err;

	for (b = osb->backends; b < osb->backends + osb->nr_backends; b++) {
		if (!b->ops->parse_param)
			continue;
		err = b->ops->parse_param(b->priv, fc, param);
		if (err == -ENOPARAM)
			continue;
		if (err)
			errorfc(fc, "backend %s refuses option %s=%s",
				b->ops->name, param->key, param->string ?: "");
		return err;
	}
	return invalfc(fc, "unknown option '%s'", param->key);
}

static int offloadfs_create_backend(struct super_block *sb,
				    struct offloadfs_backend *b)
{
	if (b->ops->create) {
		b->priv = b->ops->create(sb, &offloadfs_sb(sb)->lower);
		if (IS_ERR(b->priv))
			return PTR_ERR(b->priv);
	}
	b->created = true;
	return 0;
}

/**
 * offloadfs_create_backends - tell the backends of a new mount
 * @sb: super block whose lower directory and chain of backends are known
 * @fc: request whose remaining options are for the backends
 *
 * Context: s_umount held for writing.
 * Return: 0, or the errno of the backend that refused, after a message.
 */
int offloadfs_create_backends(struct super_block *sb, struct fs_context *fc)
{
	struct offloadfs_fs_context *ctx = fc->fs_private;
	struct offloadfs_sb *osb = offloadfs_sb(sb);
	struct offloadfs_extra_option *opt;
	struct offloadfs_backend *b;
	int err = 0;

	for (b = osb->backends; b < osb->backends + osb->nr_backends; b++) {
		err = offloadfs_create_backend(sb, b);
		if (err) {
			errorfc(fc, "backend %s does not work here",
				b->ops->name);
			return err;
		}
	}
	list_for_each_entry(opt, &ctx->extra, list) {
		err = offloadfs_apply_extra(fc, osb, &opt->param);
		if (err)
			return err;
	}
	for (b = osb->backends; b < osb->backends + osb->nr_backends; b++) {
		err = b->ops->ready ? b->ops->ready(b->priv, fc) : 0;
		if (err) {
			errorfc(fc, "backend %s is not ready", b->ops->name);
			return err;
		}
	}
	list_splice_init(&ctx->extra, &osb->options);
	return 0;
}

static int offloadfs_get_tree(struct fs_context *fc)
{
	struct offloadfs_fs_context *ctx = fc->fs_private;
	struct offloadfs_sb *osb;
	int err;

	if (!fc->source)
		return invalfc(fc, "no lower directory given");
	osb = kzalloc(sizeof(*osb), GFP_KERNEL);
	if (!osb)
		return -ENOMEM;
	spin_lock_init(&osb->leases_lock);
	INIT_LIST_HEAD(&osb->leases);
	spin_lock_init(&osb->wb_err_lock);
	mutex_init(&osb->obtain_lock);
	INIT_LIST_HEAD(&osb->options);
	osb->config = ctx->config;
	osb->stats = alloc_percpu(struct offloadfs_stats);
	err = offloadfs_creds_create(osb, fc->cred);
	if (!err)
		err = osb->stats ? offloadfs_find_backends(fc, osb) : -ENOMEM;
	if (!err)
		err = offloadfs_attach_lower(osb, fc);
	if (err) {
		offloadfs_free_sb(osb);
		return err;
	}
	fc->s_fs_info = osb;
	return get_tree_nodev(fc, offloadfs_fill_super);
}

static void offloadfs_print_backends(struct seq_file *m,
				     const struct offloadfs_sb *osb)
{
	unsigned int i;

	seq_printf(m, ",backend=%s", osb->backends[0].ops->name);
	for (i = 1; i + 1 < osb->nr_backends; i++)
		seq_printf(m, ":%s", osb->backends[i].ops->name);
}

/* Does backend=VALUE describe the chain that the mount has? */
static bool offloadfs_same_backends(const struct offloadfs_sb *osb,
				    const char *value)
{
	unsigned int i;

	for (i = 0; i < osb->nr_backends; i++) {
		const char *name = osb->backends[i].ops->name;
		size_t len = strlen(name);

		if (i && !*value && i == osb->nr_backends - 1)
			return true;
		if (i && *value++ != ':')
			return false;
		if (strncmp(value, name, len))
			return false;
		value += len;
	}
	return !*value;
}

/* mount(8) repeats in a remount what the mount was given. */
static bool offloadfs_was_given(const struct offloadfs_sb *osb,
				const struct fs_parameter *param)
{
	const struct offloadfs_extra_option *opt;

	list_for_each_entry(opt, &osb->options, list)
		if (!strcmp(opt->param.key, param->key) &&
		    !strcmp(opt->param.string ?: "", param->string ?: ""))
			return true;
	return false;
}

static void offloadfs_set_config(struct offloadfs_config *to,
				 const struct offloadfs_config *from)
{
	WRITE_ONCE(to->min, from->min);
	WRITE_ONCE(to->nosendfile, from->nosendfile);
	WRITE_ONCE(to->nocfr, from->nocfr);
	WRITE_ONCE(to->noclone, from->noclone);
	WRITE_ONCE(to->strict, from->strict);
	WRITE_ONCE(to->nosparse, from->nosparse);
}

static int offloadfs_reconfigure(struct fs_context *fc)
{
	struct offloadfs_fs_context *ctx = fc->fs_private;
	struct super_block *sb = fc->root->d_sb;
	struct offloadfs_sb *osb = offloadfs_sb(sb);
	struct offloadfs_extra_option *opt;
	int err;

	if (ctx->backends && !offloadfs_same_backends(osb, ctx->backends))
		return invalfc(fc, "backend cannot change by remount");
	list_for_each_entry(opt, &ctx->extra, list)
		if (!offloadfs_was_given(osb, &opt->param))
			warnfc(fc, "option '%s' cannot change by remount: ignored",
			       opt->param.key);
	if (sb_rdonly(sb) && (fc->sb_flags_mask & SB_RDONLY) &&
	    !(fc->sb_flags & SB_RDONLY) &&
	    (sb_rdonly(osb->lower.mnt->mnt_sb) ||
	     osb->lower.mnt->mnt_flags & MNT_READONLY)) {
		errorfc(fc, "the lower file system is read-only");
		return -EROFS;
	}
	err = sync_filesystem(sb);
	if (err && !(fc->sb_flags & SB_FORCE) &&
	    fc->sb_flags & fc->sb_flags_mask & SB_RDONLY) {
		errorfc(fc, "not everything could be written: still writable");
		return err;
	}
	offloadfs_set_config(&osb->config, &ctx->config);
	return 0;
}

static void offloadfs_free_fc(struct fs_context *fc)
{
	struct offloadfs_fs_context *ctx = fc->fs_private;

	offloadfs_free_sb(fc->s_fs_info);
	offloadfs_free_options(&ctx->extra);
	kfree(ctx->backends);
	kfree(ctx);
}

static const struct fs_context_operations offloadfs_context_operations = {
	.free		= offloadfs_free_fc,
	.parse_param	= offloadfs_parse_param,
	.get_tree	= offloadfs_get_tree,
	.reconfigure	= offloadfs_reconfigure,
};

/**
 * offloadfs_init_fs_context - start a mount or remount request
 * @fc: the request
 *
 * A remount starts from the options that the mount has. The VFS looks at the
 * caller's rights when the mount is made, which is late for what is allocated
 * until then.
 *
 * Return: 0, -EPERM without CAP_SYS_ADMIN, or -ENOMEM.
 */
int offloadfs_init_fs_context(struct fs_context *fc)
{
	struct offloadfs_fs_context *ctx;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	ctx = kzalloc(sizeof(*ctx), GFP_KERNEL);
	if (!ctx)
		return -ENOMEM;
	INIT_LIST_HEAD(&ctx->extra);
	ctx->config.min = -1;
	if (fc->purpose == FS_CONTEXT_FOR_RECONFIGURE)
		ctx->config = offloadfs_sb(fc->root->d_sb)->config;
	fc->fs_private = ctx;
	fc->ops = &offloadfs_context_operations;
	return 0;
}

/**
 * offloadfs_show_options - the options for /proc/self/mountinfo
 * @m: where to print
 * @root: root of the mount
 *
 * Return: 0.
 */
int offloadfs_show_options(struct seq_file *m, struct dentry *root)
{
	struct offloadfs_sb *osb = offloadfs_sb(root->d_sb);
	const struct offloadfs_config *config = &osb->config;
	struct offloadfs_backend *b;
	loff_t min = READ_ONCE(config->min);

	offloadfs_print_backends(m, osb);
	if (min >= 0)
		seq_printf(m, ",min=%lld", min);
	if (READ_ONCE(config->nosendfile))
		seq_puts(m, ",nosendfile");
	if (READ_ONCE(config->nocfr))
		seq_puts(m, ",nocfr");
	if (READ_ONCE(config->noclone))
		seq_puts(m, ",noclone");
	if (READ_ONCE(config->strict))
		seq_puts(m, ",strict");
	if (READ_ONCE(config->nosparse))
		seq_puts(m, ",nosparse");
	for (b = osb->backends; b < osb->backends + osb->nr_backends; b++)
		if (b->ops->show_options)
			b->ops->show_options(b->priv, m);
	return 0;
}
