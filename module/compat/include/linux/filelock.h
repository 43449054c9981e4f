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
#define file_lease			file_lock
#define lease_manager_operations	lock_manager_operations
#define locks_free_lease		locks_free_lock

static inline struct file_lock *locks_alloc_lease(void)
{
	struct file_lock *fl = locks_alloc_lock();

	if (fl)
		fl->fl_end = OFFSET_MAX;
	return fl;
}
#endif

/* 6.6: vfs_setlease() without the check of the caller's rights. */
#ifndef COMPAT_HAVE_KERNEL_SETLEASE
#define kernel_setlease		vfs_setlease
#endif

/* 6.6: ->setlease takes an int. */
#ifndef COMPAT_HAVE_SETLEASE_INT
int offloadfs_setlease_int(struct file *file, int arg,
			   struct file_lease **lease, void **priv);

static inline int offloadfs_setlease(struct file *file, long arg,
				     struct file_lease **lease, void **priv)
{
	return offloadfs_setlease_int(file, arg, lease, priv);
}

#define offloadfs_setlease(...)	offloadfs_setlease_int(__VA_ARGS__)
#endif

/* 7.0: flags of their own for breaking a delegation, not those of open(2). */
#ifndef LEASE_BREAK_NONBLOCK
#define LEASE_BREAK_NONBLOCK	(O_WRONLY | O_NONBLOCK)
#endif

/* 6.19 */
#ifndef COMPAT_HAVE_DELEGATED_INODE
static inline bool is_delegated(struct delegated_inode *delegated)
{
	return delegated->di_inode;
}

static inline int compat_break_deleg_wait(struct delegated_inode *delegated)
{
	return break_deleg_wait(&delegated->di_inode);
}

#define break_deleg_wait	compat_break_deleg_wait
#endif

#endif /* _OFFLOADFS_COMPAT_LINUX_FILELOCK_H */
