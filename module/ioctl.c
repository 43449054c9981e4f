// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs - ioctl(2): which of the lower's own commands get through.
 *
 * The VFS turns FICLONE and its relatives, FS_IOC_FIEMAP, FS_IOC_GETFLAGS,
 * FS_IOC_FSGETXATTR and what sets these into operations, and answers some
 * commands itself. The rest is the lower's: it is handed what works on the
 * lower file, or on its file system, with the lower's own checks. What takes
 * another file's descriptor never passes, since that would lead to an upper
 * file, nor what works on a name: the names here would not learn of it.
 */
#include <linux/btrfs.h>
#include <linux/compat.h>
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <linux/fsmap.h>
#include <linux/fsverity.h>
#include <linux/mount.h>
#include <linux/uaccess.h>
#include "offloadfs.h"

/* A command by all but the size of its argument: on 32 bits that differs. */
#define OFFLOADFS_CMD(cmd)	((cmd) & ~(_IOC_SIZEMASK << _IOC_SIZESHIFT))

/* Those that no header of every kernel has. */
#define OFFLOADFS_EXT4(dir, nr)	OFFLOADFS_CMD(_IOC(dir, 'f', nr, 0))
#define OFFLOADFS_XFS(dir, nr)	OFFLOADFS_CMD(_IOC(dir, 'X', nr, 0))

/* How a command is handed on. */
enum offloadfs_ioctl {
	OFFLOADFS_IOCTL_NO,
	OFFLOADFS_IOCTL_ASKS,
	OFFLOADFS_IOCTL_WRITES,		/* not on a read-only mount */
	OFFLOADFS_IOCTL_LOCKS,		/* takes away a key of encrypted files */
};

static enum offloadfs_ioctl offloadfs_generic_ioctl(unsigned int cmd)
{
	switch (OFFLOADFS_CMD(cmd)) {
	case OFFLOADFS_CMD(FS_IOC_GETVERSION):
	case OFFLOADFS_CMD(FS_IOC_GETFSLABEL):
	case OFFLOADFS_CMD(FS_IOC_GETFSMAP):
	case OFFLOADFS_CMD(FITRIM):
	case OFFLOADFS_CMD(FS_IOC_MEASURE_VERITY):
	case OFFLOADFS_CMD(FS_IOC_READ_VERITY_METADATA):
	case OFFLOADFS_CMD(FS_IOC_GET_ENCRYPTION_POLICY):
	case OFFLOADFS_CMD(FS_IOC_GET_ENCRYPTION_POLICY_EX):
	case OFFLOADFS_CMD(FS_IOC_GET_ENCRYPTION_NONCE):
	case OFFLOADFS_CMD(FS_IOC_GET_ENCRYPTION_KEY_STATUS):
	case OFFLOADFS_CMD(FS_IOC_ADD_ENCRYPTION_KEY):
		return OFFLOADFS_IOCTL_ASKS;
	case OFFLOADFS_CMD(FS_IOC_SETFSLABEL):
	case OFFLOADFS_CMD(FS_IOC_ENABLE_VERITY):
	case OFFLOADFS_CMD(FS_IOC_SET_ENCRYPTION_POLICY):
		return OFFLOADFS_IOCTL_WRITES;
	case OFFLOADFS_CMD(FS_IOC_REMOVE_ENCRYPTION_KEY):
	case OFFLOADFS_CMD(FS_IOC_REMOVE_ENCRYPTION_KEY_ALL_USERS):
		return OFFLOADFS_IOCTL_LOCKS;
	}
	return OFFLOADFS_IOCTL_NO;
}

static enum offloadfs_ioctl offloadfs_ext4_ioctl(unsigned int cmd)
{
	switch (OFFLOADFS_CMD(cmd)) {
	case OFFLOADFS_EXT4(_IOC_READ, 3):	/* EXT4_IOC_GETVERSION */
	case OFFLOADFS_EXT4(_IOC_NONE, 18):	/* EXT4_IOC_PRECACHE_EXTENTS */
	case OFFLOADFS_EXT4(_IOC_WRITE, 41):	/* EXT4_IOC_GETSTATE */
	case OFFLOADFS_EXT4(_IOC_READ | _IOC_WRITE, 42): /* EXT4_IOC_GET_ES_CACHE */
		return OFFLOADFS_IOCTL_ASKS;
	case OFFLOADFS_EXT4(_IOC_NONE, 9):	/* EXT4_IOC_MIGRATE */
	case OFFLOADFS_EXT4(_IOC_NONE, 12):	/* EXT4_IOC_ALLOC_DA_BLKS */
		return OFFLOADFS_IOCTL_WRITES;
	}
	return OFFLOADFS_IOCTL_NO;
}

static enum offloadfs_ioctl offloadfs_xfs_ioctl(unsigned int cmd)
{
	switch (OFFLOADFS_CMD(cmd)) {
	case OFFLOADFS_XFS(_IOC_READ, 30):	/* XFS_IOC_DIOINFO */
	case OFFLOADFS_XFS(_IOC_READ | _IOC_WRITE, 38):	/* XFS_IOC_GETBMAP */
	case OFFLOADFS_XFS(_IOC_READ, 45):	/* XFS_IOC_FSGETXATTRA */
	case OFFLOADFS_XFS(_IOC_READ | _IOC_WRITE, 56):	/* XFS_IOC_GETBMAPX */
	case OFFLOADFS_XFS(_IOC_READ, 58):	/* XFS_IOC_FREE_EOFBLOCKS */
	case OFFLOADFS_XFS(_IOC_READ, 100):	/* XFS_IOC_FSGEOMETRY_V1 */
	case OFFLOADFS_XFS(_IOC_READ, 113):	/* XFS_IOC_FSCOUNTS */
	case OFFLOADFS_XFS(_IOC_READ, 124):	/* XFS_IOC_FSGEOMETRY_V4 */
	case OFFLOADFS_XFS(_IOC_READ, 126):	/* XFS_IOC_FSGEOMETRY */
		return OFFLOADFS_IOCTL_ASKS;
	}
	return OFFLOADFS_IOCTL_NO;
}

static enum offloadfs_ioctl offloadfs_btrfs_ioctl(unsigned int cmd)
{
	switch (OFFLOADFS_CMD(cmd)) {
	case OFFLOADFS_CMD(BTRFS_IOC_SYNC):
	case OFFLOADFS_CMD(BTRFS_IOC_TREE_SEARCH):	/* and _V2 */
	case OFFLOADFS_CMD(BTRFS_IOC_INO_LOOKUP):
	case OFFLOADFS_CMD(BTRFS_IOC_SPACE_INFO):
	case OFFLOADFS_CMD(BTRFS_IOC_SUBVOL_GETFLAGS):
	case OFFLOADFS_CMD(BTRFS_IOC_DEV_INFO):
	case OFFLOADFS_CMD(BTRFS_IOC_FS_INFO):
	case OFFLOADFS_CMD(BTRFS_IOC_INO_PATHS):
	case OFFLOADFS_CMD(BTRFS_IOC_GET_FEATURES):	/* and _SUPPORTED_ */
	case OFFLOADFS_CMD(BTRFS_IOC_GET_SUBVOL_INFO):
		return OFFLOADFS_IOCTL_ASKS;
	case OFFLOADFS_CMD(BTRFS_IOC_DEFRAG):
	case OFFLOADFS_CMD(BTRFS_IOC_DEFRAG_RANGE):
		return OFFLOADFS_IOCTL_WRITES;
	}
	return OFFLOADFS_IOCTL_NO;
}

static enum offloadfs_ioctl offloadfs_classify_ioctl(unsigned int cmd)
{
	enum offloadfs_ioctl how = offloadfs_generic_ioctl(cmd);

	how = how ?: offloadfs_ext4_ioctl(cmd);
	how = how ?: offloadfs_xfs_ioctl(cmd);
	return how ?: offloadfs_btrfs_ioctl(cmd);
}

static long offloadfs_call_lower(struct file *lower, unsigned int cmd,
				 unsigned long arg, bool compat)
{
	if (compat) {
		if (!lower->f_op->compat_ioctl)
			return -ENOIOCTLCMD;
		return lower->f_op->compat_ioctl(lower, cmd, arg);
	}
	if (!lower->f_op->unlocked_ioctl)
		return -ENOTTY;
	return lower->f_op->unlocked_ioctl(lower, cmd, arg);
}

static long offloadfs_ioctl_writes(struct file *file, unsigned int cmd,
				   unsigned long arg, bool compat)
{
	long ret;

	ret = mnt_want_write_file(file);
	if (ret)
		return ret;
	ret = offloadfs_call_lower(offloadfs_lower_file(file), cmd, arg, compat);
	mnt_drop_write_file(file);
	offloadfs_copy_attr(file_inode(file));
	return ret;
}

/*
 * A key is gone once no inode of its files is left, and the names cached here
 * keep some: let go of them, and have it looked at again.
 */
static long offloadfs_ioctl_locks(struct file *file, unsigned int cmd,
				  unsigned long arg, bool compat)
{
	struct fscrypt_remove_key_arg __user *uarg =
		compat ? compat_ptr(arg) : (void __user *)arg;
	struct file *lower = offloadfs_lower_file(file);
	u32 status;
	long ret;

	ret = offloadfs_call_lower(lower, cmd, arg, compat);
	if (ret || get_user(status, &uarg->removal_status_flags) ||
	    !(status & FSCRYPT_KEY_REMOVAL_STATUS_FLAG_FILES_BUSY))
		return ret;
	shrink_dcache_sb(file_inode(file)->i_sb);
	return offloadfs_call_lower(lower, cmd, arg, compat);
}

static long offloadfs_do_ioctl(struct file *file, unsigned int cmd,
			       unsigned long arg, bool compat)
{
	switch (offloadfs_classify_ioctl(cmd)) {
	case OFFLOADFS_IOCTL_NO:
		break;
	case OFFLOADFS_IOCTL_ASKS:
		return offloadfs_call_lower(offloadfs_lower_file(file), cmd,
					    arg, compat);
	case OFFLOADFS_IOCTL_WRITES:
		return offloadfs_ioctl_writes(file, cmd, arg, compat);
	case OFFLOADFS_IOCTL_LOCKS:
		return offloadfs_ioctl_locks(file, cmd, arg, compat);
	}
	return -ENOTTY;
}

/**
 * offloadfs_ioctl - ->unlocked_ioctl: pass a safe command to the lower
 * @file: upper file or directory
 * @cmd: command
 * @arg: its argument
 *
 * Return: what the lower says; -ENOTTY for any other command.
 */
long offloadfs_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return offloadfs_do_ioctl(file, cmd, arg, false);
}

/**
 * offloadfs_compat_ioctl - ->compat_ioctl: the same for a 32-bit program
 * @file: upper file or directory
 * @cmd: command
 * @arg: its argument
 *
 * Return: as offloadfs_ioctl().
 */
long offloadfs_compat_ioctl(struct file *file, unsigned int cmd,
			    unsigned long arg)
{
	return offloadfs_do_ioctl(file, cmd, arg, true);
}
