// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs_rpc - the backend "rpc": mount options, and what it is registered
 * with. See rpc.h for the whole.
 */
#include <linux/err.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/kernel.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <uapi/linux/offloadfs.h>
#include "rpc.h"

/* As those of NFS over TCP (nfs(5)). */
#define OFFLOADFS_RPC_DEFAULT_TIMEO	600
#define OFFLOADFS_RPC_DEFAULT_RETRANS	2
#define OFFLOADFS_RPC_MAX_TIMEO		6000
#define OFFLOADFS_RPC_MAX_RETRANS	100

/*
 * A server that lives has answered COPY by then. A hard mount goes on waiting,
 * but with the file unlocked.
 */
#define OFFLOADFS_RPC_MIN_HARD_TIMEO	300U

/* What a server has to answer a mount request. */
#define OFFLOADFS_RPC_MOUNT_TIMEO	50

/* Shorter copies are made faster by reading and writing (make bench-rpc). */
#define OFFLOADFS_RPC_MIN		(128 << 10)

enum {
	OPT_EXPORT,
	OPT_HARD,
	OPT_MATCH,
	OPT_PREFIX,
	OPT_RETRANS,
	OPT_SERVER,
	OPT_SOFT,
	OPT_TIMEO,
};

static const struct fs_parameter_spec offloadfs_rpc_parameters[] = {
	fsparam_string("export", OPT_EXPORT),
	fsparam_flag("hard", OPT_HARD),
	fsparam_string("match", OPT_MATCH),
	fsparam_string("prefix", OPT_PREFIX),
	fsparam_u32("retrans", OPT_RETRANS),
	fsparam_string("server", OPT_SERVER),
	fsparam_flag("soft", OPT_SOFT),
	fsparam_u32("timeo", OPT_TIMEO),
	{}
};

static void *offloadfs_rpc_create(struct super_block *sb,
				  const struct path *lower)
{
	struct offloadfs_rpc_mount *mount;

	mount = kzalloc(sizeof(*mount), GFP_KERNEL);
	if (!mount)
		return ERR_PTR(-ENOMEM);
	mount->lower = *lower;
	mount->timeo = OFFLOADFS_RPC_DEFAULT_TIMEO;
	mount->retrans = OFFLOADFS_RPC_DEFAULT_RETRANS;
	spin_lock_init(&mount->records_lock);
	INIT_LIST_HEAD(&mount->records);
	INIT_LIST_HEAD(&mount->unsettled);
	init_waitqueue_head(&mount->settled);
	mount->prefix = kstrdup("", GFP_KERNEL);
	if (!mount->prefix) {
		kfree(mount);
		return ERR_PTR(-ENOMEM);
	}
	return mount;
}

static void offloadfs_rpc_destroy(void *priv)
{
	struct offloadfs_rpc_mount *mount = priv;

	offloadfs_rpc_drop_unsettled(mount);
	/* A read-only mount is not asked to sync. That it failed is known. */
	if (mount->server && !offloadfs_rpc_is_down(mount->server))
		offloadfs_rpc_sync(mount);
	offloadfs_rpc_drop_records(mount);
	offloadfs_rpc_disconnect(mount);
	kfree(mount->server_name);
	kfree(mount->export);
	kfree(mount->prefix);
	kfree(mount);
}

static int offloadfs_rpc_keep(char **string, const char *value)
{
	kfree(*string);
	*string = kstrdup(value, GFP_KERNEL);
	return *string ? 0 : -ENOMEM;
}

static int offloadfs_rpc_parse_export(struct offloadfs_rpc_mount *mount,
				      struct fs_context *fc,
				      struct fs_parameter *param)
{
	if (!*param->string || strlen(param->string) > COPYFILE_EXPORT_MAX)
		return invalfc(fc, "export=%s: expected the name of an export",
			       param->string);
	return offloadfs_rpc_keep(&mount->export, param->string);
}

/* No component may be empty, "." or ".."; slashes at the ends do not matter. */
static int offloadfs_rpc_parse_prefix(struct offloadfs_rpc_mount *mount,
				      struct fs_context *fc, const char *value)
{
	const char *p = value + strspn(value, "/");
	size_t len;
	int err;

	err = offloadfs_rpc_keep(&mount->prefix, p);
	if (err)
		return err;
	len = strlen(mount->prefix);
	while (len && mount->prefix[len - 1] == '/')
		mount->prefix[--len] = '\0';
	for (p = mount->prefix; len && p; p = strchr(p, '/')) {
		p += *p == '/';
		len = strcspn(p, "/");
		if (!len || (len <= 2 && !strncmp(p, "..", len)))
			return invalfc(fc, "prefix=%s: expected a directory inside the export",
				       value);
	}
	return 0;
}

static int offloadfs_rpc_parse_match(struct offloadfs_rpc_mount *mount,
				     struct fs_context *fc, const char *value)
{
	mount->match_attr = !strcmp(value, "attr");
	if (mount->match_attr || !strcmp(value, "fileid"))
		return 0;
	return invalfc(fc, "match=%s: expected fileid or attr", value);
}

static int offloadfs_rpc_parse_number(struct fs_context *fc,
				      const char *name, unsigned int value,
				      unsigned int least, unsigned int most,
				      unsigned int *number)
{
	if (value < least || value > most)
		return invalfc(fc, "%s=%u: expected %u to %u", name, value,
			       least, most);
	*number = value;
	return 0;
}

static int offloadfs_rpc_parse_param(void *priv, struct fs_context *fc,
				     struct fs_parameter *param)
{
	struct offloadfs_rpc_mount *mount = priv;
	struct fs_parse_result result;
	int opt = fs_parse(fc, offloadfs_rpc_parameters, param, &result);

	switch (opt) {
	case OPT_EXPORT:
		return offloadfs_rpc_parse_export(mount, fc, param);
	case OPT_HARD:
	case OPT_SOFT:
		mount->soft = opt == OPT_SOFT;
		return 0;
	case OPT_MATCH:
		return offloadfs_rpc_parse_match(mount, fc, param->string);
	case OPT_PREFIX:
		return offloadfs_rpc_parse_prefix(mount, fc, param->string);
	case OPT_RETRANS:
		return offloadfs_rpc_parse_number(fc, "retrans", result.uint_32, 0,
						  OFFLOADFS_RPC_MAX_RETRANS,
						  &mount->retrans);
	case OPT_SERVER:
		return offloadfs_rpc_keep(&mount->server_name, param->string);
	case OPT_TIMEO:
		return offloadfs_rpc_parse_number(fc, "timeo", result.uint_32, 1,
						  OFFLOADFS_RPC_MAX_TIMEO,
						  &mount->timeo);
	}
	return opt;
}

static int offloadfs_rpc_greet(struct offloadfs_rpc_mount *mount,
			       struct fs_context *fc)
{
	int err = offloadfs_rpc_hello(mount, RPC_TASK_SOFT | RPC_TASK_SOFTCONN);

	if (fatal_signal_pending(current))
		return -EINTR;
	switch (err) {
	case 0:
		return 0;
	case -ENOENT:
		errorfc(fc, "server %s has no export %s for this client",
			mount->server_name, mount->export);
		return err;
	case -EACCES:
		errorfc(fc, "server %s refuses this client (see its log)",
			mount->server_name);
		return err;
	case -EPROTONOSUPPORT:
	case -EPFNOSUPPORT:
	case -EOPNOTSUPP:
		errorfc(fc, "server %s does not speak this version of the copyfile protocol",
			mount->server_name);
		return err;
	}
	errorfc(fc, "server %s does not answer (%d): does copyfiled run there, and listen on this address?",
		mount->server_name, err);
	return err;
}

static int offloadfs_rpc_ready(void *priv, struct fs_context *fc)
{
	struct offloadfs_rpc_mount *mount = priv;
	struct offloadfs_rpc_address address;
	int err;

	if (!mount->server_name || !mount->export)
		return invalfc(fc, "backend rpc needs server= and export=");
	switch (mount->lower.mnt->mnt_sb->s_magic) {
	case OFFLOADFS_SUPER_MAGIC:
	case OVERLAYFS_SUPER_MAGIC:
		return invalfc(fc, "backend rpc cannot see what a stacked file system has not written yet: mount it on what that one is on");
	}
	if (is_idmapped_mnt(mount->lower.mnt)) {
		errorfc(fc, "backend rpc: the server does not know the users of an idmapped mount");
		return -EOPNOTSUPP;
	}
	err = offloadfs_rpc_parse_server(fc, mount->server_name, &address);
	if (err)
		return err;
	err = offloadfs_rpc_connect(mount, fc->net_ns, &address);
	if (err) {
		errorfc(fc, "server %s: no connection can be made (%d)",
			mount->server_name, err);
		return err;
	}
	/* sync(2) and others wait for a mount that is being made. */
	offloadfs_rpc_set_timeouts(mount, OFFLOADFS_RPC_MOUNT_TIMEO, 1);
	err = offloadfs_rpc_greet(mount, fc);
	err = err ?: offloadfs_rpc_probe(mount, fc);
	if (mount->soft)
		offloadfs_rpc_set_timeouts(mount, mount->timeo, mount->retrans);
	else
		offloadfs_rpc_set_timeouts(mount,
					   max(mount->timeo, OFFLOADFS_RPC_MIN_HARD_TIMEO),
					   0);
	return err;
}

static void offloadfs_rpc_show_options(void *priv, struct seq_file *m)
{
	const struct offloadfs_rpc_mount *mount = priv;

	seq_show_option(m, "server", mount->server_name);
	seq_show_option(m, "export", mount->export);
	if (*mount->prefix)
		seq_show_option(m, "prefix", mount->prefix);
	if (mount->match_attr)
		seq_puts(m, ",match=attr");
	if (mount->soft)
		seq_puts(m, ",soft");
	if (mount->timeo != OFFLOADFS_RPC_DEFAULT_TIMEO)
		seq_printf(m, ",timeo=%u", mount->timeo);
	if (mount->retrans != OFFLOADFS_RPC_DEFAULT_RETRANS)
		seq_printf(m, ",retrans=%u", mount->retrans);
}

static const struct offloadfs_backend_ops offloadfs_rpc_backend = {
	.name		= "rpc",
	.owner		= THIS_MODULE,
	.flags		= OFFLOADFS_BACKEND_REMOTE |
			  OFFLOADFS_BACKEND_CROSS_MOUNT,
	.min		= OFFLOADFS_RPC_MIN,
	.copy		= offloadfs_rpc_copy,
	.decide		= offloadfs_rpc_decide,
	.create		= offloadfs_rpc_create,
	.destroy	= offloadfs_rpc_destroy,
	.parse_param	= offloadfs_rpc_parse_param,
	.ready		= offloadfs_rpc_ready,
	.show_options	= offloadfs_rpc_show_options,
	.commit		= offloadfs_rpc_commit,
	.flush		= offloadfs_rpc_flush,
	.sync		= offloadfs_rpc_sync,
	.evict		= offloadfs_rpc_evict,
	.abort		= offloadfs_rpc_abort,
};

static int __init offloadfs_rpc_init(void)
{
	int err = offloadfs_rpc_client_init();

	if (err)
		return err;
	err = offloadfs_rpc_unsettled_init();
	if (err)
		goto err_client;
	err = offloadfs_register_backend(&offloadfs_rpc_backend);
	if (err)
		goto err_unsettled;
	return 0;

err_unsettled:
	offloadfs_rpc_unsettled_exit();
err_client:
	offloadfs_rpc_client_exit();
	return err;
}
module_init(offloadfs_rpc_init);

static void __exit offloadfs_rpc_exit(void)
{
	offloadfs_unregister_backend(&offloadfs_rpc_backend);
	offloadfs_rpc_unsettled_exit();
	offloadfs_rpc_client_exit();
}
module_exit(offloadfs_rpc_exit);

MODULE_DESCRIPTION("offloadfs backend: copies made by a COPYFILE server");
MODULE_LICENSE("GPL");
MODULE_VERSION(OFFLOADFS_VERSION);
MODULE_ALIAS(OFFLOADFS_BACKEND_ALIAS "rpc");
