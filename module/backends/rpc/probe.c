// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs_rpc - safety at mount: are the lower directory and the server's
 * export the same tree, and does the lower see what the server changes?
 *
 * A file with a random name and random contents is made in the lower. The
 * server has to find it, and to add to it; the lower has to show that. Where
 * root can make none, as on NFS with root_squash, the directory's owner may.
 * Where nobody can (the lower is read-only), the directories' file ids and times
 * are compared, which proves less: a snapshot of the tree has the same.
 */
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include <linux/string.h>
#include "rpc.h"

/*
 * So often it is tried: directories change while they are compared, and a PROBE
 * that was sent twice finds its own answer.
 */
#define OFFLOADFS_RPC_MAX_TRIES		3

/**
 * struct offloadfs_rpc_probe - one PROBE
 * @mount: the mount
 * @fc: request, for messages
 * @args: what the server is asked
 * @res: what it says
 * @nonce: contents of the file
 * @name: its name
 * @buf: room for its path
 */
struct offloadfs_rpc_probe {
	struct offloadfs_rpc_mount *mount;
	struct fs_context *fc;
	struct copyfile_probe_args args;
	struct copyfile_probe_res res;
	u8 nonce[COPYFILE_NONCE_SIZE];
	char name[sizeof(COPYFILE_PROBE_PREFIX) + 2 * sizeof(u64)];
	char buf[PATH_MAX];
};

static int offloadfs_rpc_ask(struct offloadfs_rpc_probe *p,
			     const struct path *path, const u8 *nonce)
{
	struct offloadfs_rpc_mount *mount = p->mount;
	int err;

	offloadfs_rpc_get_boot(mount, p->args.boot);
	p->args.export = mount->export;
	p->args.path = offloadfs_rpc_path(mount, path, p->buf);
	if (IS_ERR(p->args.path))
		return PTR_ERR(p->args.path);
	p->args.nonce = nonce;
	err = offloadfs_rpc_call(mount, COPYFILE_PROBE, &p->args, &p->res,
				 current_cred(), RPC_TASK_SOFT, NULL);
	if (err)
		errorfc(p->fc, "server %s: no proper reply to PROBE (%d)",
			mount->server_name, err);
	return err;
}

static int offloadfs_rpc_wrong_tree(const struct offloadfs_rpc_probe *p)
{
	const struct offloadfs_rpc_mount *mount = p->mount;

	errorfc(p->fc, "server %s, export %s%s%s: not the directory that is mounted here (check export= and prefix=)",
		mount->server_name, mount->export, *mount->prefix ? ", prefix " : "",
		mount->prefix);
	return -ESTALE;
}

/* A refusal that says nothing of the tree. */
static int offloadfs_rpc_refused(const struct offloadfs_rpc_probe *p)
{
	errorfc(p->fc, "server %s, export %s: cannot be compared with the lower directory (status %d, see the server's log)",
		p->mount->server_name, p->mount->export, p->res.status);
	return -EIO;
}

static int offloadfs_rpc_wrong(const struct offloadfs_rpc_probe *p)
{
	switch (p->res.status) {
	case COPYFILE_NOENT:
	case COPYFILE_STALE:
	case COPYFILE_MISMATCH:
	case COPYFILE_NOTSUPP:
	case COPYFILE_XDEV:
		return offloadfs_rpc_wrong_tree(p);
	default:
		return offloadfs_rpc_refused(p);
	}
}

static int offloadfs_rpc_wrong_ids(const struct offloadfs_rpc_probe *p)
{
	errorfc(p->fc, "server %s, export %s: the same tree, but the file ids are not those of the lower file system: use match=attr",
		p->mount->server_name, p->mount->export);
	return -EINVAL;
}

/* Others than the person who mounts may read that later. */
static void offloadfs_rpc_warn_unproved(const struct offloadfs_rpc_probe *p)
{
	const struct offloadfs_rpc_mount *mount = p->mount;

	pr_warn("server %s, export %s: no file can be made in the lower directory: compared by inode number and time, which a snapshot has, too\n",
		mount->server_name, mount->export);
}

/* Compare the directories themselves. */
static int offloadfs_rpc_probe_directory(struct offloadfs_rpc_probe *p)
{
	const struct offloadfs_rpc_mount *mount = p->mount;
	unsigned int tries = 0;
	struct kstat stat;
	int err;

	if (mount->match_attr) {
		errorfc(p->fc, "match=attr needs a lower directory that root can make a file in, to be sure of server %s, export %s",
			mount->server_name, mount->export);
		return -EROFS;
	}
	do {
		err = vfs_getattr_nosec(&mount->lower, &stat, STATX_BASIC_STATS,
					AT_STATX_FORCE_SYNC);
		err = err ?: offloadfs_rpc_ask(p, &mount->lower, NULL);
		if (err)
			return err;
		if (p->res.status != COPYFILE_OK)
			return offloadfs_rpc_wrong(p);
		if (p->res.fileid != stat.ino)
			return offloadfs_rpc_wrong_tree(p);
		if (timespec64_equal(&p->res.mtime, &stat.mtime)) {
			offloadfs_rpc_warn_unproved(p);
			return 0;
		}
	} while (++tries < OFFLOADFS_RPC_MAX_TRIES);
	return offloadfs_rpc_wrong_tree(p);
}

static void offloadfs_rpc_remove_file(const struct offloadfs_rpc_probe *p,
				      struct file *file)
{
	struct dentry *dentry = file->f_path.dentry;
	struct dentry *parent = dget_parent(dentry);
	struct dentry *locked;
	int err;

	err = mnt_want_write_file(file);
	if (err)
		goto out;
	locked = start_removing_dentry(parent, dentry);
	err = PTR_ERR_OR_ZERO(locked);
	if (!err) {
		err = vfs_unlink(file_mnt_idmap(file), d_inode(parent), locked,
				 NULL);
		end_removing(locked);
	}
	mnt_drop_write_file(file);
out:
	if (err)
		warnfc(p->fc, "the file %s could not be removed (%d)", p->name,
		       err);
	dput(parent);
}

static struct file *offloadfs_rpc_make_file(struct offloadfs_rpc_probe *p)
{
	struct file *file;
	loff_t pos = 0;
	ssize_t ret;

	snprintf(p->name, sizeof(p->name), COPYFILE_PROBE_PREFIX "%016llx",
		 get_random_u64());
	get_random_bytes(p->nonce, sizeof(p->nonce));
	file = file_open_root(&p->mount->lower, p->name,
			      O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (IS_ERR(file))
		return file;
	ret = kernel_write(file, p->nonce, sizeof(p->nonce), &pos);
	if (ret == sizeof(p->nonce))
		ret = vfs_fsync(file, 0);
	else if (ret >= 0)
		ret = -EIO;
	if (!ret)
		return file;
	offloadfs_rpc_remove_file(p, file);
	fput(file);
	return ERR_PTR(ret);
}

/* Does the lower show what the server has added? */
static bool offloadfs_rpc_sees_answer(const struct offloadfs_rpc_probe *p,
				      struct file *file)
{
	u8 got[2 * COPYFILE_NONCE_SIZE];
	struct kstat stat;
	loff_t pos = 0;

	if (vfs_getattr_nosec(&file->f_path, &stat, STATX_BASIC_STATS,
			      AT_STATX_FORCE_SYNC) || stat.size != sizeof(got) ||
	    i_size_read(file_inode(file)) != sizeof(got) ||
	    invalidate_inode_pages2(file->f_mapping))
		return false;
	return kernel_read(file, got, sizeof(got), &pos) == sizeof(got) &&
	       !memcmp(got, p->nonce, COPYFILE_NONCE_SIZE) &&
	       !memcmp(got + COPYFILE_NONCE_SIZE, p->res.answer,
		       COPYFILE_NONCE_SIZE);
}

/* Returns -EAGAIN if another try may end better. */
static int offloadfs_rpc_probe_file(struct offloadfs_rpc_probe *p,
				    struct file *file)
{
	struct offloadfs_rpc_mount *mount = p->mount;
	struct inode *inode = file_inode(file);
	struct kstat stat;
	int err;

	err = vfs_getattr_nosec(&file->f_path, &stat, STATX_BASIC_STATS, 0);
	if (err)
		return err;
	/* As for a copy: a server on this very mount cannot answer. */
	if (offloadfs_is_elsewhere(inode))
		inode_lock(inode);
	err = offloadfs_rpc_ask(p, &file->f_path, p->nonce);
	if (offloadfs_is_elsewhere(inode))
		inode_unlock(inode);
	if (err)
		return err;
	if (p->res.status == COPYFILE_STALE_BOOT ||
	    p->res.status == COPYFILE_MISMATCH)
		return -EAGAIN;
	if (p->res.status == COPYFILE_ROFS)
		return offloadfs_rpc_probe_directory(p);
	if (p->res.status != COPYFILE_OK)
		return offloadfs_rpc_wrong(p);
	if (!offloadfs_rpc_sees_answer(p, file)) {
		errorfc(p->fc, "the lower file system does not see at once what server %s changes: mount it with less caching",
			mount->server_name);
		return -EINVAL;
	}
	if (!mount->match_attr && p->res.fileid != stat.ino)
		return offloadfs_rpc_wrong_ids(p);
	return 0;
}

/* *MADE says whether there was a file to ask about; else the errno is why. */
static int offloadfs_rpc_probe_with_file(struct offloadfs_rpc_probe *p,
					 bool *made)
{
	struct file *file = offloadfs_rpc_make_file(p);
	int err;

	*made = !IS_ERR(file);
	if (!*made)
		return PTR_ERR(file);
	err = offloadfs_rpc_probe_file(p, file);
	offloadfs_rpc_remove_file(p, file);
	fput(file);
	return err;
}

/* The same in the name of the directory's owner. */
static int offloadfs_rpc_probe_as_owner(struct offloadfs_rpc_probe *p,
					bool *made)
{
	const struct inode *dir = d_inode(p->mount->lower.dentry);
	const struct cred *old;
	struct cred *cred = prepare_creds();
	int err;

	if (!cred)
		return -ENOMEM;
	cred->fsuid = dir->i_uid;
	cred->fsgid = dir->i_gid;
	old = override_creds(cred);
	err = offloadfs_rpc_probe_with_file(p, made);
	revert_creds(old);
	put_cred(cred);
	return err;
}

static int offloadfs_rpc_probe_once(struct offloadfs_rpc_probe *p)
{
	bool made;
	int err = offloadfs_rpc_probe_with_file(p, &made);

	if (!made && (err == -EACCES || err == -EPERM))
		err = offloadfs_rpc_probe_as_owner(p, &made);
	if (made)
		return err;
	switch (err) {
	case -EACCES:
	case -EOPNOTSUPP:
	case -EPERM:
	case -EROFS:
		return offloadfs_rpc_probe_directory(p);
	}
	errorfc(p->fc, "no file can be made in the lower directory, to compare it with the server's export (%d)",
		err);
	return err;
}

/**
 * offloadfs_rpc_probe - make sure of the server
 * @mount: a mount that has said HELLO
 * @fc: request, for messages
 *
 * Return: 0; -ESTALE if it is another tree; -EINVAL if the lower and match=
 * do not fit; -EROFS if match=attr cannot be proved; another negative errno.
 * Each after a message.
 */
int offloadfs_rpc_probe(struct offloadfs_rpc_mount *mount,
			struct fs_context *fc)
{
	struct offloadfs_rpc_probe *p;
	unsigned int tries = 0;
	int err;

	p = kzalloc(sizeof(*p), GFP_KERNEL);
	if (!p)
		return -ENOMEM;
	p->mount = mount;
	p->fc = fc;
	err = offloadfs_rpc_probe_once(p);
	while (err == -EAGAIN && ++tries < OFFLOADFS_RPC_MAX_TRIES)
		err = offloadfs_rpc_hello(mount, RPC_TASK_SOFT) ?:
		      offloadfs_rpc_probe_once(p);
	if (err == -EAGAIN)
		err = offloadfs_rpc_wrong(p);
	mount->probed = !err;
	kfree(p);
	return err;
}
