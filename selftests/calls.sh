#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# 32-bit programs: their own forms of the system calls, on large files and on
# small ones, give what they give on the lower file system.

. "$(dirname "$0")/lib.sh"

FAR=$((5 << 30))

# same PROGRAM: what it prints on the lower, and on the mount.
same() {
	local f
	mkdir -p low/bare low/below
	omount low/below up
	"$DIR/$1" low/bare >bare
	"$DIR/$1" up >upper
	diff bare upper
	for f in low/bare/*; do
		is size "$(stat -c %s "$f")" "$(stat -c %s "low/below/${f##*/}")"
		cmp -n 200000 "$f" "low/below/${f##*/}"
		[ "$(stat -c %s "$f")" -lt $FAR ] || cmp -i $FAR "$f" "low/below/${f##*/}"
	done
	# Each part has come to its end.
	grep -q '^mmap64: 0' upper
}

need_32() {
	[ -x "$DIR/calls_32" ] || skip 'no compiler for 32 bits'
	"$DIR/calls_32" /nonexistent 2>&1 | grep -q usage || skip 'no 32-bit programs'
}

t_tmpfs() { need_32; make_lower tmpfs low; same calls_32; }
t_ext4() { need_dev; need_32; make_lower ext4 low; same calls_32; }
t_btrfs() { need_dev; need_32; make_lower btrfs low; same calls_32; }

t_xfs() {
	need_dev
	need_32
	make_lower xfs low
	same calls_32
	# And the copies were seen to be such.
	[ "$(count sendfile_intercepted)" -ge 3 ]
	[ "$(count copies_offloaded)" -ge 2 ]
	grep -q '^open without O_LARGEFILE: EOVERFLOW' upper
	grep -q '^2 GiB without O_LARGEFILE: EFBIG' upper
}

t_64() { need_dev; make_lower xfs low; same calls; }

run_tests \
	't_tmpfs 32 bits, tmpfs' \
	't_ext4 32 bits, ext4' \
	't_xfs 32 bits, XFS' \
	't_btrfs 32 bits, Btrfs' \
	't_64 the same by a 64-bit program'
