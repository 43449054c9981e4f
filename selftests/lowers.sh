#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The same everyday work over each lower file system: names, and a copy by each
# call, with the counters that say who made it. What shares extents below is
# an offload; elsewhere the copy is local.

. "$(dirname "$0")/lib.sh"

SIZE=1048576

names() {
	mkdir -p up/d/e
	echo one >up/d/f
	ln up/d/f up/d/g
	ln -s f up/d/l
	mv up/d/g up/d/e/h
	is contents one "$(<up/d/e/h)"
	is link one "$(<up/d/l)"
	is names 'e f l' "$(find up/d -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | paste -sd' ')"
	is 'device and inode' "$(stat -c %d:%i low/d/f)" "$(stat -c %d:%i up/d/f)"
	setfattr -n trusted.a -v b up/d/f
	is xattr b "$(getfattr --only-values -n trusted.a low/d/f)"
	chmod 640 up/d/f
	is mode 640 "$(stat -c %a low/d/f)"
	rm -r up/d
	[ ! -e low/d ]
}

# copies COUNTERS: sendfile and copy_file_range, whole, part, and unaligned.
copies() {
	local call
	pattern up/src $SIZE
	for call in sendfile cfr; do
		counted "$1" xcopy $call up/src up/dst
		cmp low/src low/dst
		counted "$1" xcopy -i 65536 -o 131072 -n 262144 $call up/src up/dst
		cmp -n 262144 -i 65536:131072 low/src low/dst
		xcopy -l -i 1 -o 3 -n 100000 $call up/src up/dst >/dev/null
		cmp -n 100000 -i 1:3 low/src low/dst
		cmp -n 3 low/src low/dst
		cmp -i 393216 low/src low/dst
		rm up/dst
	done
	mkdir -p up/d
	cp up/src up/d/copy
	cmp up/src low/d/copy
}

clones() {
	counted copies_offloaded=1 xcopy clone up/src up/clone
	cmp low/src low/clone
	sync low
	filefrag -v low/clone | grep -q shared || fail 'extents are not shared'
}

no_clones() {
	refuse EOPNOTSUPP xcopy clone up/src up/clone
	is size 0 "$(stat -c %s low/clone)"
}

t_tmpfs() {
	setup_pair tmpfs
	names
	copies 'copies_local=1 declined/unsupported=1'
	no_clones
}

t_ext4() {
	need_dev
	setup_pair ext4
	names
	copies 'copies_local=1 declined/unsupported=1'
	no_clones
}

t_xfs() {
	need_dev
	need filefrag
	setup_pair xfs
	names
	copies copies_offloaded=1
	clones
}

t_btrfs() {
	need_dev
	need filefrag
	setup_pair btrfs
	names
	copies copies_offloaded=1
	clones
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

t_overlayfs() {
	make_lower tmpfs base
	mkdir base/l base/u base/w low
	echo below >base/l/f
	modprobe -q overlay
	mount -t overlay -o lowerdir=base/l,upperdir=base/u,workdir=base/w overlay low ||
		skip 'no overlayfs'
	omount low up
	is contents below "$(<up/f)"
	echo above >up/f
	is 'copied up' above "$(<base/u/f)"
	pattern up/src $SIZE
	xcopy sendfile up/src up/dst >/dev/null
	cmp base/u/src base/u/dst
	xcopy -l cfr up/src up/dst2 >/dev/null
	cmp base/u/src base/u/dst2
}

# offloadfs below overlayfs: as its lower layer.
t_below_overlayfs() {
	make_lower tmpfs base
	mkdir base/l base/u base/w top
	omount base/l up
	pattern up/src $SIZE
	modprobe -q overlay
	mount -t overlay -o lowerdir=up,upperdir=base/u,workdir=base/w overlay top ||
		skip 'no overlayfs'
	echo x >>top/src
	cmp -n $SIZE base/l/src base/u/src
	cp base/l/src top/new
	xcopy sendfile top/new top/dst >/dev/null
	cmp base/l/src base/u/dst
}

run_tests \
	't_tmpfs tmpfs' \
	't_ext4 ext4' \
	't_xfs XFS' \
	't_btrfs Btrfs' \
	't_btrfs_subvolume a Btrfs subvolume' \
	't_two_mounts from one mount to another of the same lower' \
	't_two_lowers from one lower to another' \
	't_overlayfs over overlayfs' \
	't_below_overlayfs below overlayfs'
