/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _OFFLOADFS_COMPAT_LINUX_DCACHE_H
#define _OFFLOADFS_COMPAT_LINUX_DCACHE_H

#include_next <linux/dcache.h>

/*
 * 6.14: ->d_revalidate gets the directory and the name that it is asked for.
 * Only calls of it look like the macro, declarations do not.
 */
#ifndef COMPAT_HAVE_D_REVALIDATE_NAME
#define d_revalidate(dir, name, dentry, flags)	d_revalidate(dentry, flags)
#endif

#endif /* _OFFLOADFS_COMPAT_LINUX_DCACHE_H */
