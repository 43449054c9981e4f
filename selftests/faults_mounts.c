// SPDX-License-Identifier: GPL-2.0-only
/*
 * faults_mounts - faults while mounts are made, changed and taken down
 *
 * usage: faults_mounts UP LOWER [SCENARIO...]
 *   UP is an offloadfs mount of LOWER; without SCENARIO all of them
 */
#include "faults.h"

/* Mounts */

static void is_unmounted(void)
{
	struct stat a, b;
	struct dirent *e;
	int n = 0;
	DIR *d;

	if (stat(path, &a) || stat(path2, &b) || a.st_dev != b.st_dev)
		broken("%s is still a mount", path);
	d = opendir("/sys/fs/offloadfs");
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	if (n > 1)	/* UP itself */
		broken("/sys/fs/offloadfs shows %d mounts", n);
}

/* UP.mnt is a mount point, UP.not its neighbour. */
static void mount_point(void)
{
	snprintf(path, sizeof(path), "%s.mnt", up);
	snprintf(path2, sizeof(path2), "%s.not", up);
	mkdir(path, 0755);
	mkdir(path2, 0755);
}

static ssize_t act_mount(void)
{
	return mount(low, path, "offloadfs", 0, "backend=native,min=4096,nosparse");
}

/* The kernel says EINVAL when it has no memory to clone the lower's mount. */
static void verify_mount(ssize_t ret)
{
	if (ret < 0 && errno == EINVAL)
		errno = ENOMEM;
	errno_is_sane(ret);
	if (!ret && umount2(path, 0))
		broken("cannot unmount: %s", strerror(errno));
	is_unmounted();
}

static void mounted(void)
{
	char name[4200];

	mount_point();
	if (act_mount())
		err(2, "mount");
	snprintf(name, sizeof(name), "%s/src", path);
	if (access(name, R_OK))
		err(2, "%s", name);
}

static ssize_t act_umount(void) { return umount2(path, 0); }

static void verify_umount(ssize_t ret)
{
	errno_is_sane(ret);
	if (ret && umount2(path, 0))
		broken("cannot unmount: %s", strerror(errno));
	is_unmounted();
}

static ssize_t act_remount(void)
{
	return mount(NULL, path, NULL, MS_REMOUNT, "min=8192,backend=native");
}

static void verify_remount(ssize_t ret)
{
	errno_is_sane(ret);
	if (ret && act_remount())
		broken("cannot remount: %s", strerror(errno));
	if (umount2(path, 0))
		broken("cannot unmount: %s", strerror(errno));
}

static const struct scenario scenarios[] = {
	{ "mount", mount_point, act_mount, verify_mount },
	{ "remount", mounted, act_remount, verify_remount },
	{ "umount", mounted, act_umount, verify_umount },
};

int main(int argc, char **argv)
{
	return play_named(argc, argv, scenarios,
			  sizeof(scenarios) / sizeof(*scenarios));
}
