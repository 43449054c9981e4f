// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run a command that Landlock allows to write below one directory only, and to
 * read and run what it likes elsewhere.
 *
 * usage: landlock_run DIRECTORY COMMAND [ARGUMENT...]
 * exit: the command's status; 4 without Landlock, 2 for any other trouble.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* All rights to files that the first version of the interface knew. */
#define ALL_RIGHTS	((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define READ_RIGHTS	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | \
			 LANDLOCK_ACCESS_FS_READ_DIR)

static int allow(int ruleset, const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = rights,
		.parent_fd = open(path, O_PATH | O_CLOEXEC),
	};

	return rule.parent_fd < 0 ? -1 :
	       syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
		       &rule, 0);
}

int main(int argc, char **argv)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = ALL_RIGHTS };
	int ruleset;

	if (argc < 3)
		return 2;
	ruleset = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return 4;
	if (allow(ruleset, "/usr", READ_RIGHTS) || allow(ruleset, "/etc", READ_RIGHTS) ||
	    allow(ruleset, argv[1], ALL_RIGHTS) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_landlock_restrict_self, ruleset, 0)) {
		perror("landlock_run");
		return 2;
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 2;
}
