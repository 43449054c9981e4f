#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Every allocation that calls on a mount make fails once: see faults.h. Needs a
# kernel with fault injection; the leaks it may cause are looked for where the
# kernel can find them (kmemleak).

. "$(dirname "$0")/lib.sh"

debugfs=/sys/kernel/debug

# Faults in every allocation of a task that asks for them, without a word.
set_up_faults() {
	local f
	[ -e /proc/self/fail-nth ] || skip "this kernel has no fault injection"
	for f in failslab fail_page_alloc; do
		echo N >$debugfs/$f/ignore-gfp-wait
		echo 0 >$debugfs/$f/verbose
	done
	echo N >$debugfs/fail_page_alloc/ignore-gfp-highmem
	echo 0 >$debugfs/fail_page_alloc/min-order
}

# leaks: what nobody points to any more, although nobody freed it.
leaks() {
	[ -e $debugfs/kmemleak ] || return 0
	sleep 6	# younger objects are not looked at
	echo scan >$debugfs/kmemleak
	echo scan >$debugfs/kmemleak
	cat $debugfs/kmemleak
}

no_leaks() {
	leaks >leaked
	[ ! -s leaked ] || { sed 's/^/# /' leaked; fail "memory leaked"; }
}

# play LOWER-TYPE PROGRAM
play() {
	set_up_faults
	setup_pair "$1"
	"$DIR/$2" up low
	is 'names below' src "$(cd low && echo *)"
	umount up
	umount low
	no_leaks
}

t_files_tmpfs() { play tmpfs faults_files; }
t_files_xfs() { need_dev; play xfs faults_files; }
t_mounts_tmpfs() { play tmpfs faults_mounts; }
t_mounts_xfs() { need_dev; play xfs faults_mounts; }

run_tests \
	't_files_tmpfs calls on files survive every failed allocation, on tmpfs' \
	't_files_xfs calls on files survive every failed allocation, on XFS' \
	't_mounts_tmpfs mounting survives every failed allocation, on tmpfs' \
	't_mounts_xfs mounting survives every failed allocation, on XFS'
