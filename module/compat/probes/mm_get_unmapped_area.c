// SPDX-License-Identifier: GPL-2.0-only
/* Is there mm_get_unmapped_area(), in whatever form? (6.10) */
#include <linux/fs.h>
#include <linux/sched/mm.h>

const void *probe = mm_get_unmapped_area;
