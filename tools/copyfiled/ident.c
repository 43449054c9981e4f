// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whose rights a request has. A worker takes on the caller's user, group and
 * groups for the file system's checks; those of the thread, not of the process,
 * so the system calls are made directly where glibc would tell all threads. With
 * a user id that is not 0 the kernel takes CAP_DAC_OVERRIDE and its like away
 * too, and gives them back with the old id.
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "copyfiled.h"

#ifdef SYS_setgroups32
#define SETGROUPS SYS_setgroups32
#else
#define SETGROUPS SYS_setgroups
#endif

#define GROUPS_MAX 65536

/* The daemon's own, to come back to. */
static uid_t own_uid;
static gid_t own_gid;
static bool privileged;

void ident_start(void)
{
	own_uid = geteuid();
	own_gid = getegid();
	privileged = own_uid == 0;
	if (privileged && setgroups(0, NULL))
		log_warn("cannot drop the groups: %s", strerror(errno));
}

/* The user's groups as this machine knows them; none if it does not. */
static void look_up_groups(struct ident *ident)
{
	struct passwd pwd, *found = NULL;
	char buf[16384];
	int n = NGRPS;

	ident->ngroups = 0;
	if (getpwuid_r(ident->uid, &pwd, buf, sizeof(buf), &found) || !found)
		return;
	for (;;) {
		int room = n;

		ident->groups = xrealloc(ident->groups, (size_t)room * sizeof(gid_t));
		if (getgrouplist(pwd.pw_name, pwd.pw_gid, ident->groups, &n) >= 0)
			break;
		if (n <= room || n > GROUPS_MAX)
			return;
	}
	ident->ngroups = (size_t)n;
}

static void squash_all(struct ident *ident, const struct export *export)
{
	ident->uid = export->anonuid;
	ident->gid = export->anongid;
	ident->ngroups = 0;
}

static void squash_root(struct ident *ident, const struct export *export)
{
	if (ident->uid == 0)
		ident->uid = export->anonuid;
	if (ident->gid == 0)
		ident->gid = export->anongid;
	for (size_t i = 0; i < ident->ngroups; i++)
		if (ident->groups[i] == 0)
			ident->groups[i] = export->anongid;
}

/* -1 is nobody's id; the system calls take it for "leave it as it is". */
static void squash_invalid(struct ident *ident, const struct export *export)
{
	if (ident->uid == (uid_t)-1)
		ident->uid = export->anonuid;
	if (ident->gid == (gid_t)-1)
		ident->gid = export->anongid;
	for (size_t i = 0; i < ident->ngroups; i++)
		if (ident->groups[i] == (gid_t)-1)
			ident->groups[i] = export->anongid;
}

/**
 * ident_make - who a request is made for
 * @ident: filled in; to be freed with ident_free()
 * @caller: who it says it is
 * @peer: who says so: over a UNIX socket only root speaks for others
 * @export: how it squashes
 *
 * Context: may look up a user, and wait for that.
 */
void ident_make(struct ident *ident, const struct caller *caller, const struct peer *peer,
		const struct export *export)
{
	bool local = peer->family == AF_UNIX && peer->uid != 0;

	ident->uid = local ? peer->uid : caller->uid;
	ident->gid = local ? peer->gid : caller->gid;
	ident->ngroups = caller->ngroups;
	ident->groups = xalloc(sizeof(caller->groups));
	memcpy(ident->groups, caller->groups, sizeof(caller->groups));
	if (export->squash == SQUASH_ALL) {
		squash_all(ident, export);
		return;
	}
	squash_invalid(ident, export);
	if (export->manage_gids && ident->uid == 0 && export->squash == SQUASH_ROOT)
		ident->ngroups = 0;
	else if (local || export->manage_gids)
		look_up_groups(ident);
	if (export->squash == SQUASH_ROOT)
		squash_root(ident, export);
}

void ident_free(struct ident *ident)
{
	free(ident->groups);
	ident->groups = NULL;
}

static bool set_groups(size_t n, const gid_t *groups)
{
	return syscall(SETGROUPS, n, groups) == 0;
}

/* The calls report no error: ask what it is now. */
static bool set_ids(uid_t uid, gid_t gid)
{
	setfsgid(gid);
	setfsuid(uid);
	return (uid_t)setfsuid((uid_t)-1) == uid && (gid_t)setfsgid((gid_t)-1) == gid;
}

/**
 * ident_enter - take on someone's rights in this thread
 *
 * Return: false if that cannot be; the thread then has the daemon's own.
 */
bool ident_enter(const struct ident *ident)
{
	if (!privileged)
		return true;
	if (set_groups(ident->ngroups, ident->groups) && set_ids(ident->uid, ident->gid))
		return true;
	ident_leave();
	return false;
}

/* Back to the daemon's own rights. There is no going on without them. */
void ident_leave(void)
{
	if (!privileged)
		return;
	if (!set_ids(own_uid, own_gid) || !set_groups(0, NULL)) {
		log_err("cannot go back to the daemon's own rights");
		abort();
	}
}

/**
 * ident_drop_caps - keep only the capabilities that serving needs
 *
 * Not CAP_SYS_RESOURCE, which overrides quotas, and not CAP_FSETID, which keeps
 * the set-user-id bit of a file that is written to.
 *
 * Context: before any thread is started.
 */
bool ident_drop_caps(void)
{
	const uint32_t keep = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_DAC_OVERRIDE |
			      1u << CAP_DAC_READ_SEARCH;
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (cap >= 32 || !(keep & 1u << cap))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	data[0].effective = keep;
	data[0].permitted = keep;
	if (syscall(SYS_capset, &head, data) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) {
		log_err("cannot drop privileges: %s (copyfiled needs CAP_SETUID, CAP_SETGID, CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH)",
			strerror(errno));
		return false;
	}
	return true;
}
