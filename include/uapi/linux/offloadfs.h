/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * offloadfs - what programs may want to know about the file system.
 */
#ifndef _UAPI_LINUX_OFFLOADFS_H
#define _UAPI_LINUX_OFFLOADFS_H

/* statfs(2) f_type of an offloadfs mount ("ofld") */
#define OFFLOADFS_SUPER_MAGIC	0x6f666c64

#endif /* _UAPI_LINUX_OFFLOADFS_H */
