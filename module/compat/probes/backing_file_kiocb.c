// SPDX-License-Identifier: GPL-2.0-only
/* Do the backing-file helpers call back with the kiocb? (6.17) */
#include <linux/backing-file.h>

static void probe_end_write(struct kiocb *iocb, ssize_t ret)
{
}

struct backing_file_ctx probe = {
	.end_write = probe_end_write,
};
