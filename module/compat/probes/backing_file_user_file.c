// SPDX-License-Identifier: GPL-2.0-only
/* Does backing_file_open() want the user's file, not its path? (stable updates of 6.12) */
#include <linux/backing-file.h>

struct file *(*probe)(const struct file *user_file, int flags,
		      const struct path *real_path, const struct cred *cred) =
	backing_file_open;
