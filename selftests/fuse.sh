#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# FUSE below: bindfs, which cannot copy, and mergerfs, which can. The kernel
# copies by itself where the daemon cannot, and tells nobody: that must not
# count as an offload.

. "$(dirname "$0")/lib.sh"
. "$DIR/liblowers.sh"

need_fuse() {
	need "$1"
	modprobe -q fuse
	[ -c /dev/fuse ] || skip 'no /dev/fuse'
}

t_bindfs() {
	need_fuse bindfs
	make_lower tmpfs base
	mkdir low
	bindfs base low
	omount low up
	names links xattrs
	copies 'copies_local=1 declined/unsupported=1'
	no_clones
}

t_mergerfs() {
	need_fuse mergerfs
	need filefrag
	need_dev
	make_lower xfs base
	mkdir low
	mergerfs -o "cache.files=${1:-libfuse}" base low
	omount low up
	names links late-counts xattrs
	copies copies_offloaded=1
	no_clones
	counted copies_offloaded=1 xcopy cfr up/src up/dst
	sync base/dst
	filefrag -v base/dst | grep -q shared || fail 'extents are not shared'
	echo old >up/new
	says "ret=$SIZE .*watch=ok" xcopy -w cfr up/src up/new
	says "ret=$SIZE .*watch=ok" xcopy -w sendfile up/src up/new
}
t_mergerfs_cached() { t_mergerfs auto-full; }

# The host's file system, whose daemon copies there.
t_virtiofs() {
	modprobe -q virtiofs
	mkdir vfs low
	mount -t virtiofs host vfs || skip 'no virtiofsd on the host'
	[ -d vfs/9p ] || skip 'no directory of the host: check.sh has one'
	rm -rf vfs/9p/fuse
	mkdir vfs/9p/fuse
	mount --bind vfs/9p/fuse low
	omount low up
	names links
	copies copies_offloaded=1
	no_clones
	echo old >up/new
	says "ret=$SIZE .*watch=ok" xcopy -w cfr up/src up/new
	cmp /host/9p/fuse/src /host/9p/fuse/new
	umount up
	rm -rf vfs/9p/fuse
}

# What the daemon can copy depends on the files.
t_two_branches() {
	need_fuse mergerfs
	need_dev
	make_lower xfs one
	make_lower tmpfs two
	mkdir low
	mergerfs -o category.create=ff one:two low
	omount low up
	pattern one/src $SIZE
	: >two/far
	counted copies_offloaded=1 xcopy cfr up/src up/near
	counted 'copies_local=1 declined/unsupported=1' xcopy -l cfr up/src up/far
	cmp one/src two/far
	counted 'copies_local=1 declined/unsupported=1' xcopy sendfile up/src up/far
	cmp one/src two/far
	counted copies_offloaded=1 xcopy sendfile up/src up/near
	cmp one/src one/near
}

# A daemon that is gone: errors, not hanging, and all can be unmounted.
t_dead() {
	local pid
	need_fuse bindfs
	make_lower tmpfs base
	mkdir low
	bindfs -f base low &
	pid=$!
	until mountpoint -q low; do
		[ -d /proc/$pid ] || fail 'bindfs has ended'
		sleep 0.1
	done
	omount low up
	pattern up/src 10000
	exec 5<up/src
	kill -9 $pid
	reap $pid
	refuse 'not connected|connection aborted' cat up/src
	refuse 'not connected|connection aborted' ls up/other
	refuse 'not connected|connection aborted' cp up/src up/dst
	exec 5<&-
	umount up
	umount low
}

run_tests \
	't_bindfs bindfs' \
	't_mergerfs mergerfs, which copies' \
	't_mergerfs_cached mergerfs with a page cache' \
	't_virtiofs virtiofs, whose daemon copies' \
	't_two_branches a daemon that cannot copy between all of its files' \
	't_dead a daemon that is gone'
