// SPDX-License-Identifier: GPL-2.0-only
/*
 * The boot verifier, one for each process, and the write verifier, which a
 * process that ends in order leaves to the next one.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "copyfiled.h"

#define NAME	"verifier"	/* in the state directory */

copyfile_verifier boot_verifier;

static pthread_mutex_t verifier_lock = PTHREAD_MUTEX_INITIALIZER;
static copyfile_verifier write_verifier;

void verifier_get(copyfile_verifier verifier)
{
	pthread_mutex_lock(&verifier_lock);
	memcpy(verifier, write_verifier, sizeof(write_verifier));
	pthread_mutex_unlock(&verifier_lock);
}

/**
 * verifier_change - tell all clients that copied data may be lost
 * @why: for the log
 */
void verifier_change(const char *why)
{
	stat_inc(STAT_WRITEBACK_ERRORS);
	log_err("%s: clients are told that what they have not committed may be lost", why);
	pthread_mutex_lock(&verifier_lock);
	random_bytes(write_verifier, sizeof(write_verifier));
	pthread_mutex_unlock(&verifier_lock);
}

static bool take_saved(int state_fd)
{
	int fd = openat(state_fd, NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool ok;

	if (fd < 0)
		return false;
	ok = read(fd, write_verifier, sizeof(write_verifier)) == sizeof(write_verifier);
	close(fd);
	/*
	 * It holds once: the next process must not find it, be this one killed or
	 * the machine.
	 */
	return unlinkat(state_fd, NAME, 0) == 0 && fsync(state_fd) == 0 && ok;
}

/**
 * verifier_start - make the verifiers of this process
 * @state_fd: the directory where an earlier one may have left its write
 *	verifier; this process has locked it
 */
void verifier_start(int state_fd)
{
	random_bytes(boot_verifier, sizeof(boot_verifier));
	if (!take_saved(state_fd))
		random_bytes(write_verifier, sizeof(write_verifier));
}

/* Leave the write verifier to the next process. All is durable. */
void verifier_save(int state_fd)
{
	int fd;

	unlinkat(state_fd, NAME, 0);
	fd = openat(state_fd, NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || !write_all(fd, write_verifier, sizeof(write_verifier)))
		log_warn("the verifier cannot be saved: %s: clients will take their uncommitted data for lost",
			 strerror(errno));
	if (fd >= 0)
		close(fd);
}
