/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * offloadfs - structures and prototypes shared by the module's files.
 *
 * "Upper" is an object of the offloadfs mount, "lower" the one that it
 * stands for. Lock order: every lock of an upper object before any lock of a
 * lower one; the VFS takes the upper ones.
 */
#ifndef _OFFLOADFS_PRIVATE_H
#define _OFFLOADFS_PRIVATE_H

#include <linux/completion.h>
#include <linux/errseq.h>
#include <linux/exportfs.h>
#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/fs_parser.h>
#include <linux/kobject.h>
#include <linux/mount.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/offloadfs.h>
#include <uapi/linux/offloadfs.h>

#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

/* Backends in one mount's chain, the local copy at its end included. */
#define OFFLOADFS_MAX_BACKENDS	4

struct cred;
struct dentry;
struct fs_context;
struct offloadfs_cred_pair;
struct seq_file;

/**
 * struct offloadfs_backend_stats - one backend's counters of one mount
 * @copies: calls that copied something
 * @bytes: bytes that they copied
 * @errors: calls that failed with an error other than declining
 */
struct offloadfs_backend_stats {
	u64 copies;
	u64 bytes;
	u64 errors;
};

/**
 * struct offloadfs_stats - the counters of one mount, of one CPU
 * @copies_offloaded: system calls of which some bytes were offloaded
 * @bytes_offloaded: bytes that no read or write of this machine moved
 * @copies_local: system calls of which some bytes were copied locally
 * @bytes_local: those bytes
 * @sendfile_intercepted: sendfile(2) calls that entered the engine
 * @declined: refusals by reason
 * @backend: by position in the mount's chain
 */
struct offloadfs_stats {
	u64 copies_offloaded;
	u64 bytes_offloaded;
	u64 copies_local;
	u64 bytes_local;
	u64 sendfile_intercepted;
	u64 declined[OFFLOADFS_NR_REASONS];
	struct offloadfs_backend_stats backend[OFFLOADFS_MAX_BACKENDS];
};

/**
 * struct offloadfs_backend - a backend as part of one mount's chain
 * @ops: the backend, whose module is pinned
 * @priv: what its create operation returned
 * @created: the create operation has succeeded, so that destroy is due
 */
struct offloadfs_backend {
	const struct offloadfs_backend_ops *ops;
	void *priv;
	bool created;
};

/**
 * struct offloadfs_config - the mount options that a remount may change
 * @min: least length in bytes worth an offload, or -1: as each backend sees it
 * @nosendfile: leave sendfile(2) to the lower
 * @nocfr: copy locally on copy_file_range(2)
 * @noclone: refuse FICLONE and FICLONERANGE
 * @strict: fail rather than copy locally
 * @nosparse: write out the holes of the source in a local copy
 */
struct offloadfs_config {
	loff_t min;
	bool nosendfile;
	bool nocfr;
	bool noclone;
	bool strict;
	bool nosparse;
};

/**
 * struct offloadfs_kobj - a directory in sysfs
 * @kobj: the directory
 * @osb: the mount whose counters it shows
 * @base: offset in struct offloadfs_stats that its attributes count from
 */
struct offloadfs_kobj {
	struct kobject kobj;
	struct offloadfs_sb *osb;
	size_t base;
};

/**
 * struct offloadfs_sb - what a super block has beyond the VFS
 * @lower: private clone of the lower mount, and the directory shown
 * @lower_name: its path when it was mounted, for people
 * @nosuid: no program of the lower may gain rights: there, too, it could not
 * @mounter: credentials of the mount request
 * @creds: per CPU, what lower files were last opened with
 * @config: options; read with READ_ONCE(), changed by a remount only
 * @backends: the chain, in the order in which they are asked
 * @nr_backends: its length
 * @options: options that were given for the backends
 * @stats: per-CPU counters
 * @export_operations: file handles, if the lower has them
 * @obtain_lock: one dentry at a time is made from a file handle
 * @obtain_task: who does that
 * @obtain_lower: the lower dentry that it is for
 * @leases_lock: guards @leases
 * @leases: struct offloadfs_lease of the files that have, or had, a lease
 * @wb_err_lock: guards @wb_err
 * @wb_err: how far the lower's write-back errors were reported by syncfs(2)
 * @top_kobj: directory in /sys/fs/offloadfs
 * @stats_kobj: its directory "stats"
 * @declined_kobj: the directory "stats/declined"
 * @backends_kobj: the directory "backends"
 * @backend_kobj: the directories in it, one a backend
 * @kobj_released: completed when sysfs has let go of @top_kobj
 */
struct offloadfs_sb {
	struct path lower;
	char *lower_name;
	bool nosuid;
	const struct cred *mounter;
	struct offloadfs_cred_pair __percpu *creds;
	struct offloadfs_config config;
	struct offloadfs_backend backends[OFFLOADFS_MAX_BACKENDS];
	unsigned int nr_backends;
	struct list_head options;
	struct offloadfs_stats __percpu *stats;
	struct export_operations export_operations;
	struct mutex obtain_lock;
	struct task_struct *obtain_task;
	struct dentry *obtain_lower;
	spinlock_t leases_lock;
	struct list_head leases;
	spinlock_t wb_err_lock;
	errseq_t wb_err;
	struct offloadfs_kobj top_kobj;
	struct offloadfs_kobj stats_kobj;
	struct offloadfs_kobj declined_kobj;
	struct offloadfs_kobj backends_kobj;
	struct offloadfs_kobj backend_kobj[OFFLOADFS_MAX_BACKENDS];
	struct completion kobj_released;
};

/**
 * struct offloadfs_inode - an upper inode
 * @lower: the lower inode, referenced until eviction
 * @vfs_inode: what the VFS sees
 */
struct offloadfs_inode {
	struct inode *lower;
	struct inode vfs_inode;
};

static inline struct offloadfs_sb *offloadfs_sb(const struct super_block *sb)
{
	return sb->s_fs_info;
}

static inline struct offloadfs_inode *offloadfs_i(struct inode *inode)
{
	return container_of(inode, struct offloadfs_inode, vfs_inode);
}

/* The lower inode. Safe in RCU mode: it is freed a grace period later. */
static inline struct inode *offloadfs_lower_inode(struct inode *inode)
{
	return offloadfs_i(inode)->lower;
}

/* The lower dentry, pinned as long as the upper one lives. */
static inline struct dentry *offloadfs_lower_dentry(const struct dentry *dentry)
{
	return dentry->d_fsdata;
}

/*
 * The lower half of an upper dentry's d_time: the lower's d_seq when it was last
 * found to have the upper's name, parent and inode, or this, which no d_seq at
 * rest is. The upper half: see offloadfs_start_change().
 */
#define OFFLOADFS_NEVER_RIGHT	1

/* The lower file of an open upper regular file or directory. */
static inline struct file *offloadfs_lower_file(const struct file *file)
{
	return file->private_data;
}

/* The flags that F_SETFL changes on the upper file alone. */
#define OFFLOADFS_SETFL_MASK \
	(O_APPEND | O_NONBLOCK | O_NDELAY | O_DIRECT | O_NOATIME)

struct file *offloadfs_sync_flags(const struct file *file, struct file *lower);

/*
 * The lower file, with the flags that the upper one has now, or an ERR_PTR()
 * if the lower cannot have them.
 */
static inline struct file *offloadfs_data_file(const struct file *file)
{
	struct file *lower = offloadfs_lower_file(file);

	if (unlikely((file->f_flags ^ lower->f_flags) & OFFLOADFS_SETFL_MASK))
		return offloadfs_sync_flags(file, lower);
	return lower;
}

/* Who watches the lower (fanotify) may have a say, or have to bring the data. */
static inline int offloadfs_may_access(int what, struct file *lower,
				       loff_t pos, size_t len)
{
	if (likely(!FMODE_FSNOTIFY_HSM(lower->f_mode)))
		return 0;
	return rw_verify_area(what, lower, &pos, min_t(size_t, len, MAX_RW_COUNT));
}

static inline struct vfsmount *offloadfs_lower_mnt(const struct super_block *sb)
{
	return offloadfs_sb(sb)->lower.mnt;
}

static inline struct mnt_idmap *offloadfs_lower_idmap(const struct super_block *sb)
{
	return mnt_idmap(offloadfs_lower_mnt(sb));
}

/* The lower path of an upper dentry, without references of its own. */
static inline struct path offloadfs_lower_path(const struct dentry *dentry)
{
	return (struct path) {
		.mnt = offloadfs_lower_mnt(dentry->d_sb),
		.dentry = offloadfs_lower_dentry(dentry),
	};
}

/* super.c */
int offloadfs_inode_cache_create(void);
void offloadfs_inode_cache_destroy(void);
int offloadfs_attach_lower(struct offloadfs_sb *osb, struct fs_context *fc);
int offloadfs_fill_super(struct super_block *sb, struct fs_context *fc);
void offloadfs_kill_sb(struct super_block *sb);
void offloadfs_free_sb(struct offloadfs_sb *osb);

/* cred.c */
int offloadfs_creds_create(struct offloadfs_sb *osb, const struct cred *mounter);
void offloadfs_creds_destroy(struct offloadfs_sb *osb);
const struct cred *offloadfs_open_cred(const struct super_block *sb);

/* params.c */
extern const struct fs_parameter_spec offloadfs_fs_parameters[];
int offloadfs_init_fs_context(struct fs_context *fc);
int offloadfs_show_options(struct seq_file *m, struct dentry *root);
void offloadfs_free_options(struct list_head *options);
int offloadfs_create_backends(struct super_block *sb, struct fs_context *fc);

/* namei.c */
void offloadfs_set_dentry_operations(struct super_block *sb,
				     const struct super_block *lower);
struct dentry *offloadfs_lookup(struct inode *dir, struct dentry *dentry,
				unsigned int flags);
void offloadfs_set_lower_dentry(struct dentry *dentry, struct dentry *lower);
void offloadfs_start_change(struct dentry *dentry);
void offloadfs_cancel_change(struct dentry *dentry);

/* inode.c */
extern const struct inode_operations offloadfs_file_inode_operations;
extern const struct inode_operations offloadfs_symlink_inode_operations;
extern const struct inode_operations offloadfs_special_inode_operations;
struct inode *offloadfs_iget(struct super_block *sb, struct inode *lower);
bool offloadfs_attr_differs(struct inode *inode);
void offloadfs_copy_attr(struct inode *inode);
int offloadfs_permission(struct mnt_idmap *idmap, struct inode *inode, int mask);
int offloadfs_getattr(struct mnt_idmap *idmap, const struct path *path,
		      struct kstat *stat, u32 request_mask, unsigned int flags);
int offloadfs_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
		      struct iattr *attr);
int offloadfs_fileattr_get(struct dentry *dentry, struct file_kattr *fa);
int offloadfs_fileattr_set(struct mnt_idmap *idmap, struct dentry *dentry,
			   struct file_kattr *fa);
int offloadfs_fiemap(struct inode *inode, struct fiemap_extent_info *info,
		     u64 start, u64 len);

/* dir.c */
extern const struct inode_operations offloadfs_dir_inode_operations;
extern const struct file_operations offloadfs_dir_operations;
bool offloadfs_wait_delegated(struct delegated_inode *delegated, int *err);

/* xattr.c */
extern const struct xattr_handler * const offloadfs_xattr_handlers[];
ssize_t offloadfs_listxattr(struct dentry *dentry, char *list, size_t size);
struct posix_acl *offloadfs_get_inode_acl(struct inode *inode, int type, bool rcu);
struct posix_acl *offloadfs_get_acl(struct mnt_idmap *idmap,
				    struct dentry *dentry, int type);
int offloadfs_set_acl(struct mnt_idmap *idmap, struct dentry *dentry,
		      struct posix_acl *acl, int type);

/* export.c */
int offloadfs_d_init(struct dentry *dentry);
void offloadfs_export_init(struct super_block *sb);

/* file.c */
const struct file_operations *offloadfs_file_ops(const struct inode *lower);
bool offloadfs_is_file(const struct file *file);
void offloadfs_file_opened(struct file *file, struct file *lower);
int offloadfs_open(struct inode *inode, struct file *file);
int offloadfs_release(struct inode *inode, struct file *file);
loff_t offloadfs_llseek(struct file *file, loff_t offset, int whence);
int offloadfs_fsync(struct file *file, loff_t start, loff_t end, int datasync);
int offloadfs_flush_backends(struct file *file);

/* ioctl.c */
long offloadfs_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long offloadfs_compat_ioctl(struct file *file, unsigned int cmd,
			    unsigned long arg);

/* locks.c */
int offloadfs_flush(struct file *file, fl_owner_t id);
int offloadfs_lock(struct file *file, int cmd, struct file_lock *fl);
int offloadfs_flock(struct file *file, int cmd, struct file_lock *fl);

/* leases.c */
int offloadfs_setlease(struct file *file, int arg, struct file_lease **lease,
		       void **priv);
void offloadfs_end_lease(struct file *file);

/* splice.c */
ssize_t offloadfs_splice_read(struct file *in, loff_t *ppos,
			      struct pipe_inode_info *pipe, size_t len,
			      unsigned int flags);
ssize_t offloadfs_splice_write(struct pipe_inode_info *pipe, struct file *out,
			       loff_t *ppos, size_t len, unsigned int flags);

/* offload.c */
ssize_t offloadfs_sendfile(struct file *in, loff_t pos_in, struct file *out,
			   loff_t pos_out, size_t len);
ssize_t offloadfs_copy_file_range(struct file *file_in, loff_t pos_in,
				  struct file *file_out, loff_t pos_out,
				  size_t len, unsigned int flags);
loff_t offloadfs_remap_file_range(struct file *file_in, loff_t pos_in,
				  struct file *file_out, loff_t pos_out,
				  loff_t len, unsigned int remap_flags);
void offloadfs_decline(struct super_block *sb, const struct file *src,
		       enum offloadfs_origin origin,
		       enum offloadfs_reason reason);

/* unsettled.c */
extern unsigned int offloadfs_nr_unsettled;
int offloadfs_wait_settled(struct inode *inode, long most);

/*
 * To be called before anything is written to a lower inode: see
 * offloadfs_wait_settled(). Most often nothing anywhere is unsettled.
 */
static inline int offloadfs_settle(struct inode *inode, long most)
{
	if (likely(!READ_ONCE(offloadfs_nr_unsettled)))
		return 0;
	return offloadfs_wait_settled(inode, most);
}

/* backend.c */
extern const char * const offloadfs_reason_names[OFFLOADFS_NR_REASONS];
const struct offloadfs_backend_ops *offloadfs_get_backend(const char *name);
void offloadfs_put_backend(const struct offloadfs_backend_ops *ops);
int offloadfs_builtin_backends_register(void);
void offloadfs_builtin_backends_unregister(void);

/* backends/native.c, backends/local.c */
extern const struct offloadfs_backend_ops offloadfs_native_backend;
extern const struct offloadfs_backend_ops offloadfs_local_backend;

/* sysfs.c */
int offloadfs_sysfs_init(void);
void offloadfs_sysfs_exit(void);
int offloadfs_sysfs_add(struct super_block *sb);
void offloadfs_sysfs_remove(struct super_block *sb);

#endif /* _OFFLOADFS_PRIVATE_H */
