// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - loading and unloading: the order in which the parts appear.
 */
#include <linux/init.h>
#include <linux/module.h>
#include "offloadfs.h"
#include "compat/compat.h"

static struct file_system_type offloadfs_fs_type = {
	.owner			= THIS_MODULE,
	.name			= "offloadfs",
	.init_fs_context	= offloadfs_init_fs_context,
	.parameters		= offloadfs_fs_parameters,
	.kill_sb		= offloadfs_kill_sb,
};

static int __init offloadfs_init(void)
{
	int err;

	err = offloadfs_compat_init();
	if (err)
		return err;
	err = offloadfs_inode_cache_create();
	if (err)
		goto err_compat;
	err = offloadfs_sysfs_init();
	if (err)
		goto err_inode_cache;
	err = offloadfs_builtin_backends_register();
	if (err)
		goto err_sysfs;
	err = register_filesystem(&offloadfs_fs_type);
	if (err)
		goto err_backends;
	return 0;

err_backends:
	offloadfs_builtin_backends_unregister();
err_sysfs:
	offloadfs_sysfs_exit();
err_inode_cache:
	offloadfs_inode_cache_destroy();
err_compat:
	offloadfs_compat_exit();
	return err;
}

static void __exit offloadfs_exit(void)
{
	unregister_filesystem(&offloadfs_fs_type);
	offloadfs_builtin_backends_unregister();
	offloadfs_sysfs_exit();
	offloadfs_inode_cache_destroy();
	offloadfs_compat_exit();
}

module_init(offloadfs_init);
module_exit(offloadfs_exit);

MODULE_ALIAS_FS("offloadfs");
MODULE_AUTHOR("The offloadfs authors");
MODULE_DESCRIPTION("Stackable file system that offloads file copies");
MODULE_VERSION(OFFLOADFS_VERSION);
MODULE_LICENSE("GPL");
