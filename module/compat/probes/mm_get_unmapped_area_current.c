// SPDX-License-Identifier: GPL-2.0-only
/* Does mm_get_unmapped_area() do without an argument for the mm? (6.19) */
#include <linux/fs.h>
#include <linux/sched/mm.h>

unsigned long (*probe)(struct file *file, unsigned long addr, unsigned long len,
		       unsigned long pgoff, unsigned long flags) =
	mm_get_unmapped_area;
