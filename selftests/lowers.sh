#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The same everyday work over each lower file system: names, and a copy by each
# call, with the counters that say who made it. What shares extents below is
# an offload; elsewhere the copy is local. NFS, SMB, FUSE and what is stacked have
# tests of their own.

. "$(dirname "$0")/lib.sh"
. "$DIR/liblowers.sh"

t_tmpfs() {
	setup_pair tmpfs
	names links xattrs
	copies 'copies_local=1 declined/unsupported=1'
	no_clones
}

t_ext4() {
	need_dev
	setup_pair ext4
	names links xattrs
	copies 'copies_local=1 declined/unsupported=1'
	no_clones
}

t_xfs() {
	need_dev
	need filefrag
	setup_pair xfs
	names links xattrs
	copies copies_offloaded=1
	clones
}

t_btrfs() {
	need_dev
	need filefrag
	setup_pair btrfs
	names links xattrs
	copies copies_offloaded=1
	clones
}

# Neither links nor attributes, owners for all, and names of its own mind.
without_case() {
	need_dev
	need "mkfs.$1"
	need_fs "$1"
	setup_pair "$1"
	names
	names_without_case
	copies 'copies_local=1 declined/unsupported=1'
	no_clones
	alike chown 1:1 src
	umount up
	omount low up
	cmp low/src up/src
}
t_vfat() {
	without_case vfat
	alike truncate -s 5G src
}
t_exfat() { without_case exfat; }

# The host's file system, by 9p.
t_9p() {
	[ -d /host/9p ] || skip 'no directory of the host: check.sh has one'
	rm -rf /host/9p/lowers
	mkdir /host/9p/lowers low
	mount --bind /host/9p/lowers low
	omount low up
	names links
	copies 'copies_local=1 declined/unsupported=1'
	no_clones
	umount up
	rm -rf /host/9p/lowers
}

t_btrfs_subvolume() {
	need_dev
	make_lower btrfs low
	btrfs subvolume create low/v >/dev/null
	omount low/v up
	pattern up/src $SIZE
	counted copies_offloaded=1 xcopy sendfile up/src up/dst
	cmp low/v/src low/v/dst
}

# Two directories of one file system, each with a mount of its own.
t_two_mounts() {
	need_dev
	make_lower xfs low
	mkdir low/a low/b
	omount low/a up
	omount low/b up2
	pattern up2/src $SIZE
	counted copies_offloaded=1 xcopy cfr up2/src up/dst
	counted copies_offloaded=1 xcopy sendfile up2/src up/dst2
	cmp low/b/src low/a/dst
	cmp low/b/src low/a/dst2
}

# And of two: the bytes arrive, or the VFS says EXDEV and nothing is written.
t_two_lowers() {
	local out
	need_dev
	make_lower xfs low
	make_lower tmpfs low2
	omount low up
	omount low2 up2
	pattern up2/src $SIZE
	xcopy sendfile up2/src up/dst >/dev/null
	cmp low2/src low/dst
	out=$(xcopy -l cfr up2/src up/dst2 || true)
	case $out in
	"ret=$SIZE errno=0 "*) cmp low2/src low/dst2 ;;
	'ret=-1 errno=EXDEV '*) is size 0 "$(stat -c %s low/dst2)" ;;
	*) fail "$out" ;;
	esac
	refuse EXDEV xcopy clone up2/src up/dst3
}

run_tests \
	't_tmpfs tmpfs' \
	't_ext4 ext4' \
	't_xfs XFS' \
	't_btrfs Btrfs' \
	't_vfat vfat' \
	't_exfat exFAT' \
	't_9p 9p' \
	't_btrfs_subvolume a Btrfs subvolume' \
	't_two_mounts from one mount to another of the same lower' \
	't_two_lowers from one lower to another'
