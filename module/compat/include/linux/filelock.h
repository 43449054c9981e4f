/* SPDX-License-Identifier: GPL-2.0-only */
/* <linux/filelock.h>: up to 6.2 a part of <linux/fs.h>. */
#ifndef _OFFLOADFS_COMPAT_LINUX_FILELOCK_H
#define _OFFLOADFS_COMPAT_LINUX_FILELOCK_H

#if __has_include_next(<linux/filelock.h>)
#include_next <linux/filelock.h>
#endif
#include <linux/fs.h>

/* 6.9 made leases a type of their own, with a part in common. */
#ifndef COMPAT_HAVE_FILE_LOCK_CORE
#define file_lease file_lock
#endif

/* 6.6: ->setlease takes an int. As offloadfs_mkdir() in <linux/fs.h>. */
#ifndef COMPAT_HAVE_SETLEASE_INT
#define offloadfs_setlease(...)						\
	offloadfs_setlease_int(__VA_ARGS__);				\
	static int (offloadfs_setlease)(struct file *file, long arg,	\
					struct file_lease **lease,	\
					void **priv)			\
	{								\
		return offloadfs_setlease_int(file, arg, lease, priv);	\
	}								\
	static int offloadfs_setlease_int(__VA_ARGS__)
#endif

#endif /* _OFFLOADFS_COMPAT_LINUX_FILELOCK_H */
