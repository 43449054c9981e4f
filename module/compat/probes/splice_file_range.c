// SPDX-License-Identifier: GPL-2.0-only
/* Is there splice_file_range(), and so does do_splice_direct() take write access? (6.8) */
#include <linux/fs.h>
#include <linux/splice.h>

ssize_t (*probe)(struct file *in, loff_t *ppos, struct file *out, loff_t *opos,
		 size_t len) = splice_file_range;
