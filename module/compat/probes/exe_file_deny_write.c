// SPDX-License-Identifier: GPL-2.0-only
/* Is there exe_file_deny_write_access()? (6.14, and stable updates) */
#include <linux/fs.h>

int (*probe)(struct file *exe_file) = exe_file_deny_write_access;
