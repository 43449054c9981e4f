// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - whose rights a lower file is opened with.
 *
 * The caller's: user, groups, capabilities, keys. But not what a security module
 * keeps of him: AppArmor and Landlock judge by path, have judged the upper
 * path by then, and could only refuse one in a private mount that no name space
 * has. There the mounter counts, as with overlayfs. Rights to the lower inode
 * are checked with the caller's own credentials: see offloadfs_permission().
 *
 * Such credentials are made once for a caller and kept, one pair for each CPU.
 */
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/key.h>
#include <linux/percpu.h>
#include <linux/user_namespace.h>
#include "offloadfs.h"

/**
 * struct offloadfs_cred_pair - what was last made on a CPU
 * @caller: for whom, referenced, so that no other can have this address
 * @derived: what the lower is opened with
 */
struct offloadfs_cred_pair {
	const struct cred *caller;
	const struct cred *derived;
};

#ifdef CONFIG_KEYS
static void offloadfs_replace_key(struct key **to, struct key *from)
{
	key_put(*to);
	*to = key_get(from);
}

static void offloadfs_take_keys(struct cred *to, const struct cred *from)
{
	to->jit_keyring = from->jit_keyring;
	offloadfs_replace_key(&to->session_keyring, from->session_keyring);
	offloadfs_replace_key(&to->process_keyring, from->process_keyring);
	offloadfs_replace_key(&to->thread_keyring, from->thread_keyring);
	offloadfs_replace_key(&to->request_key_auth, from->request_key_auth);
}
#else
static void offloadfs_take_keys(struct cred *to, const struct cred *from) { }
#endif

static void offloadfs_take_rights(struct cred *to, const struct cred *from)
{
	to->uid = from->uid;
	to->gid = from->gid;
	to->suid = from->suid;
	to->sgid = from->sgid;
	to->euid = from->euid;
	to->egid = from->egid;
	to->fsuid = from->fsuid;
	to->fsgid = from->fsgid;
	to->securebits = from->securebits;
	to->cap_inheritable = from->cap_inheritable;
	to->cap_permitted = from->cap_permitted;
	to->cap_effective = from->cap_effective;
	to->cap_bset = from->cap_bset;
	to->cap_ambient = from->cap_ambient;
	set_groups(to, from->group_info);
	put_user_ns(to->user_ns);
	to->user_ns = get_user_ns(from->user_ns);
	offloadfs_take_keys(to, from);
}

static const struct cred *offloadfs_derive_cred(const struct cred *mounter,
						const struct cred *caller)
{
	const struct cred *old = override_creds(mounter);
	struct cred *derived = prepare_creds();

	revert_creds(old);
	if (derived)
		offloadfs_take_rights(derived, caller);
	return derived;
}

static const struct cred *offloadfs_find_cred(struct offloadfs_sb *osb,
					      const struct cred *caller)
{
	struct offloadfs_cred_pair *pair = get_cpu_ptr(osb->creds);
	const struct cred *derived = NULL;

	if (pair->caller == caller)
		derived = get_cred(pair->derived);
	put_cpu_ptr(osb->creds);
	return derived;
}

static void offloadfs_keep_cred(struct offloadfs_sb *osb,
				const struct cred *caller,
				const struct cred *derived)
{
	struct offloadfs_cred_pair *pair, last;

	get_cred(caller);
	get_cred(derived);
	pair = get_cpu_ptr(osb->creds);
	last = *pair;
	pair->caller = caller;
	pair->derived = derived;
	put_cpu_ptr(osb->creds);
	put_cred(last.caller);
	put_cred(last.derived);
}

/**
 * offloadfs_open_cred - credentials to open a lower file with
 * @sb: upper super block
 *
 * To be made the task's own while the file is opened, too: some security
 * modules look there.
 *
 * Context: may sleep.
 * Return: credentials that put_cred() drops, or ERR_PTR(-ENOMEM).
 */
const struct cred *offloadfs_open_cred(const struct super_block *sb)
{
	struct offloadfs_sb *osb = offloadfs_sb(sb);
	const struct cred *caller = current_cred();
	const struct cred *derived = offloadfs_find_cred(osb, caller);

	if (derived)
		return derived;
	derived = offloadfs_derive_cred(osb->mounter, caller);
	if (!derived)
		return ERR_PTR(-ENOMEM);
	offloadfs_keep_cred(osb, caller, derived);
	return derived;
}

/**
 * offloadfs_creds_create - remember the mounter
 * @osb: of a new mount
 * @mounter: the credentials of the mount request
 *
 * Return: 0 or -ENOMEM, after which offloadfs_creds_destroy() is due as well.
 */
int offloadfs_creds_create(struct offloadfs_sb *osb, const struct cred *mounter)
{
	osb->mounter = get_cred(mounter);
	osb->creds = alloc_percpu(struct offloadfs_cred_pair);
	return osb->creds ? 0 : -ENOMEM;
}

/**
 * offloadfs_creds_destroy - forget everybody
 * @osb: its mount is gone, or was never made
 */
void offloadfs_creds_destroy(struct offloadfs_sb *osb)
{
	struct offloadfs_cred_pair *pair;
	int cpu;

	if (osb->creds) {
		for_each_possible_cpu(cpu) {
			pair = per_cpu_ptr(osb->creds, cpu);
			put_cred(pair->caller);
			put_cred(pair->derived);
		}
	}
	free_percpu(osb->creds);
	put_cred(osb->mounter);
}
