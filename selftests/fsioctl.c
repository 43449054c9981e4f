// SPDX-License-Identifier: GPL-2.0-only
/*
 * fsioctl - a file system's own ioctls, and what they answer.
 *
 * usage: fsioctl ask TYPE FILE      those of ext4, xfs, btrfs or any ("vfs")
 *        fsioctl change TYPE FILE   those that change something
 *        fsioctl refused FILE       those that do not get through to a lower
 *        fsioctl verity FILE        make it a verity file
 *        fsioctl key|policy|lock DIR   add a key, encrypt DIR by it, remove it
 *
 * Prints each ioctl's result and a hash of what it returned.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <linux/fsmap.h>
#include <linux/fsverity.h>
#include <linux/types.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef FS_IOC_GETFSUUID
#define FS_IOC_GETFSUUID	_IOR(0x15, 0, __u8[17])
#endif

/* struct getbmap of XFS, and the one that its GETBMAPX takes */
struct bmap {
	__s64 offset, block, length;
	__s32 count, entries;
};

struct bmapx {
	struct bmap b;
	__s32 iflags, oflags, unused[2];
};

static int file;

/* Whatever the answer is: only that it is the same matters. */
static void answer(const char *name, int ret, const void *arg, size_t size)
{
	const unsigned char *p = arg;
	__u64 hash = 0xcbf29ce484222325ULL;
	size_t i;

	if (ret < 0) {
		printf("%s: %s\n", name, strerrorname_np(errno));
		return;
	}
	for (i = 0; i < size; i++)
		hash = (hash ^ p[i]) * 0x100000001b3ULL;
	printf("%s: %d %llx\n", name, ret, (unsigned long long)hash);
}

#define ASK(cmd, arg) answer(#cmd, ioctl(file, cmd, arg), arg, sizeof(*(arg)))
#define ASK_AS(name, cmd, arg) answer(name, ioctl(file, cmd, arg), arg, sizeof(*(arg)))

static void ask_any(void)
{
	struct { struct fsmap_head head; struct fsmap recs[8]; } map = {
		.head = { .fmh_count = 8, .fmh_keys = { {}, { .fmr_device = -1U,
		.fmr_flags = -1U, .fmr_physical = -1ULL, .fmr_owner = -1ULL,
		.fmr_offset = -1ULL } } },
	};
	struct fscrypt_get_policy_ex_arg policy = { .policy_size = sizeof(policy.policy) };
	struct fscrypt_get_key_status_arg status = {
		.key_spec.type = FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER,
	};
	unsigned char nonce[16] = {}, uuid[17] = {};
	char label[FSLABEL_MAX] = "";
	unsigned char digest[64 + sizeof(struct fsverity_digest)] = {};
	long version = 0;

	((struct fsverity_digest *)digest)->digest_size = 64;
	ASK(FS_IOC_GETVERSION, &version);
	ASK(FS_IOC_GETFSLABEL, &label);
	ASK(FS_IOC_GETFSUUID, &uuid);
	ASK(FS_IOC_GETFSMAP, &map);
	ASK(FS_IOC_MEASURE_VERITY, &digest);
	ASK(FS_IOC_GET_ENCRYPTION_POLICY_EX, &policy);
	ASK(FS_IOC_GET_ENCRYPTION_NONCE, &nonce);
	ASK(FS_IOC_GET_ENCRYPTION_KEY_STATUS, &status);
}

static void ask_ext4(void)
{
	struct { struct fiemap map; struct fiemap_extent extents[8]; } es = {
		.map = { .fm_length = FIEMAP_MAX_OFFSET, .fm_extent_count = 8 },
	};
	__u32 state = 0;
	long version = 0;

	ASK_AS("GETVERSION", _IOR('f', 3, long), &version);
	ASK_AS("PRECACHE_EXTENTS", _IO('f', 18), &version);
	ASK_AS("GETSTATE", _IOW('f', 41, __u32), &state);
	ASK_AS("GET_ES_CACHE", _IOWR('f', 42, struct fiemap), &es);
}

static void ask_xfs(void)
{
	struct bmap bmap[8] = { { .length = -1, .count = 8 } };
	struct bmapx bmapx[8] = { { .b = { .length = -1, .count = 8 } } };
	__u32 dio[3] = {};
	unsigned char geometry[256] = {}, geometry_v4[112] = {};
	struct fsxattr fsx = {};
	__u64 counts[4] = {};

	ASK_AS("DIOINFO", _IOR('X', 30, __u32[3]), &dio);
	ASK_AS("GETBMAP", _IOWR('X', 38, struct bmap), &bmap);
	ASK_AS("FSGETXATTRA", _IOR('X', 45, struct fsxattr), &fsx);
	ASK_AS("GETBMAPX", _IOWR('X', 56, struct bmap), &bmapx);
	ASK_AS("FSCOUNTS", _IOR('X', 113, __u64[4]), &counts);
	ASK_AS("FSGEOMETRY", _IOR('X', 126, unsigned char[256]), &geometry);
	ASK_AS("FSGEOMETRY_V4", _IOR('X', 124, unsigned char[112]), &geometry_v4);
}

static void ask_btrfs(void)
{
	struct btrfs_ioctl_search_args search = { .key = {
		.tree_id = 5, .max_objectid = -1ULL, .max_offset = -1ULL,
		.max_transid = -1ULL, .max_type = -1U, .nr_items = 10 } };
	struct btrfs_ioctl_ino_lookup_args lookup = { .objectid = 256 };
	struct btrfs_ioctl_fs_info_args info = {};
	struct btrfs_ioctl_dev_info_args dev = { .devid = 1 };
	struct btrfs_ioctl_feature_flags features[3] = {};
	struct btrfs_ioctl_get_subvol_info_args subvol = {};
	struct btrfs_ioctl_space_args space = {};
	unsigned char room[4096] = {};
	struct btrfs_ioctl_ino_path_args paths = {
		.inum = 257, .size = sizeof(room), .fspath = (uintptr_t)room };
	__u64 flags = 0;

	ASK(BTRFS_IOC_TREE_SEARCH, &search);
	ASK(BTRFS_IOC_INO_LOOKUP, &lookup);
	ASK(BTRFS_IOC_FS_INFO, &info);
	ASK(BTRFS_IOC_DEV_INFO, &dev);
	ASK(BTRFS_IOC_SPACE_INFO, &space);
	ASK(BTRFS_IOC_GET_FEATURES, &features[0]);
	ASK(BTRFS_IOC_GET_SUPPORTED_FEATURES, &features);
	ASK(BTRFS_IOC_GET_SUBVOL_INFO, &subvol);
	ASK(BTRFS_IOC_SUBVOL_GETFLAGS, &flags);
	answer("INO_PATHS", ioctl(file, BTRFS_IOC_INO_PATHS, &paths), "", 0);
}

static void change_any(void)
{
	char label[FSLABEL_MAX] = "changed";
	struct fstrim_range range = { .len = -1ULL };

	ASK(FS_IOC_SETFSLABEL, &label);
	answer("FITRIM", ioctl(file, FITRIM, &range), "", 0);
}

static void change_fs(const char *type)
{
	/* XFS_IOC_FREE_EOFBLOCKS takes 128 bytes that begin with a version. */
	__u32 eof[32] = { 1 };
	struct btrfs_ioctl_defrag_range_args range = { .len = -1ULL, .extent_thresh = 1 << 20 };

	if (!strcmp(type, "ext4")) {
		ASK_AS("ALLOC_DA_BLKS", _IO('f', 12), &eof);
		ASK_AS("MIGRATE", _IO('f', 9), &eof);
	} else if (!strcmp(type, "xfs")) {
		ASK_AS("FREE_EOFBLOCKS", _IOR('X', 58, __u32[32]), &eof);
	} else if (!strcmp(type, "btrfs")) {
		answer("DEFRAG", ioctl(file, BTRFS_IOC_DEFRAG, NULL), "", 0);
		ASK(BTRFS_IOC_DEFRAG_RANGE, &range);
		answer("SYNC", ioctl(file, BTRFS_IOC_SYNC), "", 0);
	}
}

/* They take another file, a name, or what identifies a file to others. */
static void refused(void)
{
	static char arg[8192];

	ASK_AS("EXT4_IOC_SETVERSION", _IOW('f', 4, long), &arg);
	ASK_AS("EXT4_IOC_MOVE_EXT", _IOWR('f', 15, char[40]), &arg);
	ASK_AS("EXT4_IOC_RESIZE_FS", _IOW('f', 16, __u64), &arg);
	ASK_AS("EXT4_IOC_SWAP_BOOT", _IO('f', 17), &arg);
	ASK_AS("XFS_IOC_SWAPEXT", _IOWR('X', 109, char[192]), &arg);
	ASK_AS("XFS_IOC_GOINGDOWN", _IOR('X', 125, __u32), &arg);
	ASK_AS("XFS_IOC_EXCHANGE_RANGE", _IOW('X', 129, char[40]), &arg);
	ASK_AS("XFS_IOC_FD_TO_HANDLE", _IOWR('X', 106, char[56]), &arg);
	ASK(BTRFS_IOC_SNAP_CREATE_V2, (struct btrfs_ioctl_vol_args_v2 *)arg);
	ASK(BTRFS_IOC_SUBVOL_CREATE, (struct btrfs_ioctl_vol_args *)arg);
	ASK(BTRFS_IOC_SNAP_DESTROY, (struct btrfs_ioctl_vol_args *)arg);
	ASK(BTRFS_IOC_SET_FEATURES, (struct btrfs_ioctl_feature_flags (*)[2])arg);
	ASK(BTRFS_IOC_ENCODED_WRITE, (struct btrfs_ioctl_encoded_io_args *)arg);
	ASK(FS_IOC_SETVERSION, (long *)arg);
}

static void verity(void)
{
	struct fsverity_enable_arg arg = {
		.version = 1, .hash_algorithm = FS_VERITY_HASH_ALG_SHA256,
		.block_size = 4096,
	};

	answer("ENABLE_VERITY", ioctl(file, FS_IOC_ENABLE_VERITY, &arg), "", 0);
}

/* The key of every test; the kernel says how it is called. */
static struct fscrypt_key_specifier add_key(void)
{
	struct { struct fscrypt_add_key_arg arg; unsigned char raw[64]; } key = {
		.arg = { .raw_size = 64,
			 .key_spec.type = FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER },
	};
	int i;

	for (i = 0; i < 64; i++)
		key.raw[i] = i * 7;
	answer("ADD_KEY", ioctl(file, FS_IOC_ADD_ENCRYPTION_KEY, &key), "", 0);
	return key.arg.key_spec;
}

static void policy(void)
{
	struct fscrypt_policy_v2 policy = {
		.version = FSCRYPT_POLICY_V2,
		.contents_encryption_mode = FSCRYPT_MODE_AES_256_XTS,
		.filenames_encryption_mode = FSCRYPT_MODE_AES_256_CTS,
		.flags = FSCRYPT_POLICY_FLAGS_PAD_32,
	};
	struct fscrypt_key_specifier spec = add_key();

	memcpy(policy.master_key_identifier, spec.u.identifier, 16);
	answer("SET_POLICY", ioctl(file, FS_IOC_SET_ENCRYPTION_POLICY, &policy), "", 0);
}

static void lock(void)
{
	struct fscrypt_remove_key_arg arg = { .key_spec = add_key() };

	answer("REMOVE_KEY", ioctl(file, FS_IOC_REMOVE_ENCRYPTION_KEY, &arg), "", 0);
	printf("status %x\n", arg.removal_status_flags);
}

static void ask(const char *type)
{
	ask_any();
	if (!strcmp(type, "ext4"))
		ask_ext4();
	else if (!strcmp(type, "xfs"))
		ask_xfs();
	else if (!strcmp(type, "btrfs"))
		ask_btrfs();
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	file = open(argv[argc - 1], O_RDONLY);
	if (file < 0)
		err(1, "%s", argv[argc - 1]);
	if (!strcmp(what, "ask") && argc == 4) {
		ask(argv[2]);
	} else if (!strcmp(what, "change") && argc == 4) {
		change_any();
		change_fs(argv[2]);
	} else if (!strcmp(what, "refused")) {
		refused();
	} else if (!strcmp(what, "verity")) {
		verity();
	} else if (!strcmp(what, "key")) {
		add_key();
	} else if (!strcmp(what, "policy")) {
		policy();
	} else if (!strcmp(what, "lock")) {
		lock();
	} else {
		errx(2, "usage: see the source");
	}
	return 0;
}
