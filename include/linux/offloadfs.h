/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * offloadfs - the interface that a copy backend implements.
 *
 * A backend is asked to copy (or clone, or deduplicate) a range between two
 * files of the lower file system. The core decides when to ask, keeps the
 * caches coherent, counts, and falls back to the next backend of the mount's
 * chain when one declines; the built-in "local" backend ends every chain.
 */
#ifndef _LINUX_OFFLOADFS_H
#define _LINUX_OFFLOADFS_H

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/magic.h>
#include <linux/time64.h>
#include <linux/types.h>

struct fs_context;
struct fs_parameter;
struct inode;
struct module;
struct path;
struct seq_file;
struct vfsmount;

/* Longest name of a backend, without the terminating NUL. */
#define OFFLOADFS_BACKEND_NAME_MAX	31

/* Prefix of the module alias that loads a backend on demand. */
#define OFFLOADFS_BACKEND_ALIAS		"offloadfs-backend-"

/**
 * enum offloadfs_op - what the caller asked for
 * @OFFLOADFS_COPY: the bytes have to arrive, in whatever way is cheapest
 * @OFFLOADFS_CLONE: the destination has to share the source's storage, and
 *	all of the range or nothing (FICLONE, FICLONERANGE)
 * @OFFLOADFS_DEDUPE: share the storage if the contents are equal
 *	(FIDEDUPERANGE)
 */
enum offloadfs_op {
	OFFLOADFS_COPY,
	OFFLOADFS_CLONE,
	OFFLOADFS_DEDUPE,
};

/**
 * enum offloadfs_origin - which system call started it
 * @OFFLOADFS_SENDFILE: sendfile(2) from file to file
 * @OFFLOADFS_COPY_FILE_RANGE: copy_file_range(2)
 * @OFFLOADFS_REMAP: ioctl_ficlone(2), ioctl_ficlonerange(2) or
 *	ioctl_fideduperange(2)
 */
enum offloadfs_origin {
	OFFLOADFS_SENDFILE,
	OFFLOADFS_COPY_FILE_RANGE,
	OFFLOADFS_REMAP,
};

/**
 * enum offloadfs_reason - why a copy is not offloaded
 * @OFFLOADFS_ACCEPT: it is; no reason against it
 * @OFFLOADFS_TOO_SMALL: shorter than the mount's min= option
 * @OFFLOADFS_PARTIAL: not the whole source over the whole destination, and
 *	the backend copies whole files only
 * @OFFLOADFS_UNALIGNED: positions or length off the lower's block boundaries
 * @OFFLOADFS_CROSS_MOUNT: source and destination are on different mounts
 * @OFFLOADFS_UNLINKED: source or destination has no name any more
 * @OFFLOADFS_PSEUDO: contents without a size, as in /proc
 * @OFFLOADFS_NOT_A_FILE: sendfile(2) to a socket, a pipe or a device, or by
 *	a kernel thread
 * @OFFLOADFS_DOWN: the backend's server does not answer
 * @OFFLOADFS_UNSUPPORTED: the lower file system or its server cannot
 * @OFFLOADFS_BUSY: the backend's server has too much to do
 * @OFFLOADFS_DISABLED: switched off by nosendfile, nocfr or noclone
 * @OFFLOADFS_OVERLAP: both ranges are in one file and overlap
 * @OFFLOADFS_STALE: the backend's server has another file there, or knows the
 *	file otherwise than the lower does
 * @OFFLOADFS_DENIED: the backend's server does not allow it to this user
 * @OFFLOADFS_NR_REASONS: how many there are
 */
enum offloadfs_reason {
	OFFLOADFS_ACCEPT,
	OFFLOADFS_TOO_SMALL,
	OFFLOADFS_PARTIAL,
	OFFLOADFS_UNALIGNED,
	OFFLOADFS_CROSS_MOUNT,
	OFFLOADFS_UNLINKED,
	OFFLOADFS_PSEUDO,
	OFFLOADFS_NOT_A_FILE,
	OFFLOADFS_DOWN,
	OFFLOADFS_UNSUPPORTED,
	OFFLOADFS_BUSY,
	OFFLOADFS_DISABLED,
	OFFLOADFS_OVERLAP,
	OFFLOADFS_STALE,
	OFFLOADFS_DENIED,
	OFFLOADFS_NR_REASONS
};

/**
 * struct offloadfs_copy_request - one copy, as a backend sees it
 * @op: copy, clone or deduplicate
 * @origin: the system call behind it
 * @src: lower file to read from, open for reading (or, to deduplicate, for
 *	either)
 * @dst: lower file to write to, open for writing
 * @src_pos: first byte of the source, in bytes
 * @dst_pos: first byte of the destination, in bytes
 * @len: bytes; never 0, and for a copy never past the end of the source
 * @whole_file: the whole source goes to the start of the destination, which
 *	keeps no byte of its own
 * @can_shorten: a clone or dedupe of a shorter, aligned range is welcome; a
 *	shorter clone is an error without it
 * @sparse: holes of the source are to stay holes
 * @src_priv: private data of the mount that @src is on, which is another's
 *	than the destination's if the backend copies across mounts
 * @reason: set by the backend when it declines, OFFLOADFS_UNSUPPORTED if it
 *	leaves the field alone
 * @touched: set by a remote backend that declines or fails when it may have
 *	changed the destination all the same
 * @unknown: set by a remote backend that fails and cannot say what its server has
 *	made of the destination: the program gets the error even if bytes were
 *	copied before
 * @unsettled: set by a remote backend that has called offloadfs_add_unsettled():
 *	the core waits, and asks again when the file is settled
 * @has_attr: set by a remote backend that knows what the destination is like
 *	after the copy: @attr_size and @attr_ctime are valid. The copy fails
 *	if the lower does not come to see as much
 * @attr_size: size of the destination in bytes
 * @attr_ctime: time of its last change
 * @passed_here: set by a backend that copied, but not without this machine: the
 *	bytes are counted as a local copy, and it is not asked for the rest
 *
 * Valid during the call only. The backend reads all of it and writes what is
 * named from @reason on. Both files stay open meanwhile; a backend that needs them for longer
 * takes references of its own.
 */
struct offloadfs_copy_request {
	enum offloadfs_op op;
	enum offloadfs_origin origin;
	struct file *src;
	struct file *dst;
	loff_t src_pos;
	loff_t dst_pos;
	loff_t len;
	bool whole_file;
	bool can_shorten;
	bool sparse;
	void *src_priv;
	enum offloadfs_reason reason;
	bool touched;
	bool unknown;
	bool unsettled;
	bool has_attr;
	loff_t attr_size;
	struct timespec64 attr_ctime;
	bool passed_here;
};

/**
 * enum offloadfs_backend_flags - what a backend is like
 * @OFFLOADFS_BACKEND_REMOTE: it changes the destination behind the lower's
 *	back. The core writes both ranges back first, and afterwards drops the
 *	destination's cached pages and refreshes its attributes
 * @OFFLOADFS_BACKEND_WHOLE_FILE: it copies whole files only
 * @OFFLOADFS_BACKEND_CROSS_MOUNT: it can copy from one offloadfs mount to
 *	another when both use it
 * @OFFLOADFS_BACKEND_LOCAL: the bytes pass through this machine: not counted
 *	as an offload
 */
enum offloadfs_backend_flags {
	OFFLOADFS_BACKEND_REMOTE	= 1 << 0,
	OFFLOADFS_BACKEND_WHOLE_FILE	= 1 << 1,
	OFFLOADFS_BACKEND_CROSS_MOUNT	= 1 << 2,
	OFFLOADFS_BACKEND_LOCAL		= 1 << 3,
};

/**
 * struct offloadfs_backend_ops - what a backend implements
 * @name: what backend= calls it: letters, digits, '-' and '_', at most
 *	OFFLOADFS_BACKEND_NAME_MAX
 * @owner: THIS_MODULE
 * @flags: of enum offloadfs_backend_flags
 * @min: least length in bytes that is worth its while, where the mount has no
 *	min= option
 * @sendfile_min: the same for sendfile(2), if it is more
 * @copy: copy (some of) the request; mandatory.
 *	Returns the number of bytes copied, from the start of the range and
 *	without gaps: > 0, may be fewer than @len, in which case the core asks
 *	again for the rest; -EOPNOTSUPP or -EXDEV to decline with nothing
 *	written, and the next backend is asked; any other negative errno is
 *	final and reaches the program, unless bytes were copied before. To
 *	deduplicate, -EBADE says that the contents differ. 0 counts as
 *	declining. More than @len is an error of the backend: the caller gets
 *	-EIO. Must return soon after a fatal signal.
 * @decide: say in advance why the request would be declined, before anything
 *	is written back; optional. Returns OFFLOADFS_ACCEPT or the reason.
 *	Must not block on I/O.
 * @create: a mount that uses the backend is being made; optional. @lower is
 *	the directory that it shows. Returns the mount's private data (NULL is
 *	fine) or an ERR_PTR(), which fails the mount. Called before any
 *	@parse_param.
 * @destroy: the mount is gone; optional. No other call is under way.
 * @parse_param: one mount option that is not the core's; optional. Returns 0
 *	if taken, -ENOPARAM if the option is not the backend's, another
 *	negative errno if its value is wrong, after a message with errorfc().
 * @ready: all options are parsed: check them, connect; optional. Returns 0
 *	or a negative errno, which fails the mount, after a message.
 * @show_options: print the options as ",name=value"; optional.
 * @commit: make the range of @dst, a lower file, that the backend copied
 *	durable; optional. Called by fsync(2) and its relatives before the
 *	lower's own. Returns 0 or a negative errno. Data that is lost for
 *	good is reported by filemap_set_wb_err() on the lower file's mapping,
 *	so that each open file hears of it once.
 * @flush: a descriptor of @dst, a lower file open for writing, is closed;
 *	optional. Returns 0 or the errno that close(2) has. Called before the
 *	lower's own.
 * @sync: as @commit, for all files of the mount; optional. Called by sync(2),
 *	syncfs(2), a remount and before the mount goes. Returns 0 or an errno.
 * @evict: an inode of the lower leaves the mount's cache; optional. Must not
 *	sleep for long.
 * @abort: umount(8) with -f: fail what waits for the server, and wait for it no
 *	more for the time being; optional. The mount may stay. Must not sleep
 *	for long.
 *
 * Every operation may sleep and is called without any lock of the core's
 * held; @show_options with the mount namespace's, and @copy of a remote backend
 * with the inode lock of @dst if another machine may have its data. Copies run concurrently,
 * also on the same file. The @priv argument is what @create returned.
 */
struct offloadfs_backend_ops {
	const char *name;
	struct module *owner;
	unsigned int flags;
	loff_t min;
	loff_t sendfile_min;

	ssize_t (*copy)(void *priv, struct offloadfs_copy_request *req);
	enum offloadfs_reason (*decide)(void *priv,
					const struct offloadfs_copy_request *req);
	void *(*create)(struct super_block *sb, const struct path *lower);
	void (*destroy)(void *priv);
	int (*parse_param)(void *priv, struct fs_context *fc,
			   struct fs_parameter *param);
	int (*ready)(void *priv, struct fs_context *fc);
	void (*show_options)(void *priv, struct seq_file *m);
	int (*commit)(void *priv, struct file *dst, loff_t start, loff_t end,
		      int datasync);
	int (*flush)(void *priv, struct file *dst);
	int (*sync)(void *priv);
	void (*evict)(void *priv, struct inode *lower);
	void (*abort)(void *priv);
};

/**
 * struct offloadfs_unsettled - a file to which a server may still be writing
 * @list: of all of them
 * @inode: the file, in the lower; referenced
 * @patience: how many jiffies others wait for it
 *
 * Part of what a backend keeps of a copy that was not answered. All of it is
 * the core's.
 */
struct offloadfs_unsettled {
	struct list_head list;
	struct inode *inode;
	long patience;
};

/**
 * offloadfs_is_elsewhere - does another machine, or a process, have the data?
 * @inode: inode of a lower file system
 *
 * If not, this machine has the only page cache that matters, and its locks do
 * all that is needed.
 *
 * Return: whether it does.
 */
static inline bool offloadfs_is_elsewhere(const struct inode *inode)
{
	switch (inode->i_sb->s_magic) {
	case AFS_FS_MAGIC:
	case CEPH_SUPER_MAGIC:
	case CIFS_SUPER_MAGIC:
	case FUSE_SUPER_MAGIC:
	case NFS_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
	case V9FS_MAGIC:
		return true;
	}
	return false;
}

void offloadfs_add_unsettled(struct offloadfs_unsettled *u, struct inode *inode,
			     long patience);
void offloadfs_give_up_unsettled(struct offloadfs_unsettled *u);
void offloadfs_settled(struct offloadfs_unsettled *u, struct vfsmount *mnt);

int offloadfs_register_backend(const struct offloadfs_backend_ops *ops);
void offloadfs_unregister_backend(const struct offloadfs_backend_ops *ops);

#endif /* _LINUX_OFFLOADFS_H */
