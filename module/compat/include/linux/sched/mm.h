/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * <linux/sched/mm.h> of 6.19: the address space that a mapping is placed in is
 * the caller's own, and no argument.
 */
#ifndef _OFFLOADFS_COMPAT_LINUX_SCHED_MM_H
#define _OFFLOADFS_COMPAT_LINUX_SCHED_MM_H

#include_next <linux/sched/mm.h>

#ifndef COMPAT_HAVE_MM_GET_UNMAPPED_AREA_CURRENT
#include <linux/mm_types.h>
#include <linux/sched.h>

static inline unsigned long
compat_mm_get_unmapped_area(struct file *file, unsigned long addr,
			    unsigned long len, unsigned long pgoff,
			    unsigned long flags)
{
#ifdef COMPAT_HAVE_MM_GET_UNMAPPED_AREA
	return mm_get_unmapped_area(current->mm, file, addr, len, pgoff, flags);
#else
	return current->mm->get_unmapped_area(file, addr, len, pgoff, flags);
#endif
}

#define mm_get_unmapped_area	compat_mm_get_unmapped_area
#endif

#endif /* _OFFLOADFS_COMPAT_LINUX_SCHED_MM_H */
