/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _OFFLOADFS_COMPAT_LINUX_MOUNT_H
#define _OFFLOADFS_COMPAT_LINUX_MOUNT_H

#include_next <linux/mount.h>
#include <linux/fs.h>

/* mnt_idmap(), by what <linux/fs.h> makes of its name. */
#ifndef COMPAT_HAVE_MNT_IDMAP
static inline struct user_namespace *user_namespace(const struct vfsmount *mnt)
{
	return mnt_user_ns(mnt);
}
#endif

#endif /* _OFFLOADFS_COMPAT_LINUX_MOUNT_H */
