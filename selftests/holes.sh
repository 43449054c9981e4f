#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The local copy: holes stay holes, wherever they are, and onto old data too;
# nosparse writes them; it copies what it says, and ends when it is killed.

. "$(dirname "$0")/lib.sh"

# Without XFS's speculation on longer files, which hides holes.
setup() {
	local fs=${1:-tmpfs} exact=
	[ "$fs" != xfs ] || exact=allocsize=4k
	make_lower "$fs" low "$DEV" $exact
	omount low up "backend=local,min=0${2:+,$2}"
}

# map FILE: where its data are, by SEEK_DATA and SEEK_HOLE.
map() {
	python3 - "$1" <<-'END'
		import os, sys
		f = os.open(sys.argv[1], os.O_RDONLY)
		size, pos, out = os.fstat(f).st_size, 0, []
		while pos < size:
		    try:
		        data = os.lseek(f, pos, os.SEEK_DATA)
		    except OSError:
		        break
		    pos = os.lseek(f, data, os.SEEK_HOLE)
		    out.append("%d-%d" % (data, pos))
		print(size, *out)
	END
}

# data FILE OFFSET LENGTH
data() {
	pattern piece "$3"
	dd if=piece of="$1" bs=64k seek="$2" oflag=seek_bytes conv=notrunc status=none
}

# Holes at the start, in the middle, at the end.
make_source() {
	data up/src 1M 256K
	data up/src 3M 64K
	truncate -s 8M up/src
}

holes_kept() {
	local call
	need_dev
	setup "$1"
	make_source
	for call in sendfile cfr; do
		counted copies_local=1 xcopy $call up/src up/dst
		cmp low/src low/dst
		is "map after $call" "$(map low/src)" "$(map low/dst)"
		sync low/dst
		sync low/src
		is "blocks after $call" "$(blocks low/src)" "$(blocks low/dst)"
		rm up/dst
	done
}
t_tmpfs() { holes_kept tmpfs; }
t_ext4() { holes_kept ext4; }
t_xfs() { holes_kept xfs; }

t_all_hole() {
	setup
	truncate -s 100G up/src
	SECONDS=0
	says "ret=$((100 << 30)) " xcopy -n 100G -l cfr up/src up/dst
	[ $SECONDS -lt 10 ]
	is map $((100 << 30)) "$(map low/dst)"
	is blocks 0 "$(blocks low/dst)"
	says "ret=0 " xcopy -n 0 cfr up/src up/dst2
}

t_trailing_hole() {
	setup
	data up/src 0 100000
	truncate -s 10000000 up/src
	xcopy sendfile up/src up/dst >/dev/null
	is size 10000000 "$(stat -c %s low/dst)"
	cmp low/src low/dst
	is blocks "$(blocks low/src)" "$(blocks low/dst)"
}

# What was there has to become zeros where the source has a hole.
t_onto_old_data() {
	local call fs
	need_dev
	for fs in tmpfs ext4; do
		setup $fs
		make_source
		for call in sendfile cfr; do
			pattern up/dst 9M
			tail -c 1M low/dst >rest
			xcopy $call up/src up/dst >/dev/null
			cmp -n 8M low/src low/dst
			is size 9437184 "$(stat -c %s low/dst)"
			cmp rest <(tail -c 1M low/dst)
			[ "$(blocks low/dst)" -lt $((9 << 11)) ] ||
				fail "$fs: no hole was made"
		done
		umount up low
	done
}

# Onto old data, from and to odd places.
t_unaligned_holes() {
	setup
	make_source
	pattern up/dst 9M
	xcopy -i 12345 -o 777 -n 5000001 sendfile up/src up/dst >/dev/null
	cmp <(tail -c +12346 low/src | head -c 5000001) \
		<(tail -c +778 low/dst | head -c 5000001)
	pattern want 9M
	cmp -n 777 want low/dst
	cmp -i 5000778 want low/dst
}

t_nosparse() {
	setup tmpfs nosparse
	make_source
	xcopy sendfile up/src up/dst >/dev/null
	cmp low/src low/dst
	is blocks 16384 "$(blocks low/dst)"
	mount -o remount,sparse up
	xcopy sendfile up/src up/dst2 >/dev/null
	is blocks "$(blocks low/src)" "$(blocks low/dst2)"
}

# Written but not on the disk yet is not a hole.
t_fresh_data_is_no_hole() {
	local i
	need_dev
	setup ext4
	truncate -s 4M up/src
	for i in 1 2 3 4 5; do
		data up/src ${i}00K 50000
		xcopy -t sendfile up/src up/dst >/dev/null
		cmp low/src low/dst
	done
}

t_preallocated() {
	need_dev
	setup ext4
	fallocate -l 4M up/src
	data up/src 1M 65536
	xcopy sendfile up/src up/dst >/dev/null
	cmp low/src low/dst
	is size 4194304 "$(stat -c %s low/dst)"
}

# kill_copy CALL SRC: how many tenths of a second a kill takes.
kill_copy() {
	local pid start
	"$DIR/xcopy" -t -l "$1" "$2" up/dst >/dev/null &
	pid=$!
	for ((i = 0; i < 50; i++)); do
		[ "$(stat -c %s low/dst 2>/dev/null || echo 0)" -gt 1000000 ] && break
		sleep 0.1
	done
	kill -0 $pid || fail 'the copy ended before it was killed'
	start=${EPOCHREALTIME/./}
	kill -9 $pid
	reap $pid
	echo $(((${EPOCHREALTIME/./} - start) / 100000))
}

t_killed() {
	local tenths size
	setup tmpfs nosparse
	pattern up/src 1M
	truncate -s 20G up/src
	tenths=$(kill_copy sendfile up/src)
	[ "$tenths" -lt 15 ] || fail "killed sendfile took $tenths/10 s"
	size=$(stat -c %s low/dst)
	[ "$size" -gt 0 ] && [ "$size" -lt $((20 << 30)) ]
	cmp -n "$size" low/src low/dst
	tenths=$(kill_copy cfr up/src)
	[ "$tenths" -lt 15 ] || fail "killed copy_file_range took $tenths/10 s"
}

# No more memory than a pipe's worth, whatever the length.
t_memory() {
	local before after
	need_dev
	setup ext4 nosparse
	truncate -s 512M up/src
	echo 3 >/proc/sys/vm/drop_caches
	before=$(awk '/^(Slab|KernelStack|PageTables|VmallocUsed):/ { s += $2 } END { print s }' /proc/meminfo)
	"$DIR/xcopy" -n 200M sendfile up/src up/dst >/dev/null &
	sleep 2
	after=$(awk '/^(Slab|KernelStack|PageTables|VmallocUsed):/ { s += $2 } END { print s }' /proc/meminfo)
	wait
	[ $((after - before)) -lt 65536 ] ||
		fail "$((after - before)) KiB more during the copy"
}

t_no_space() {
	local avail out
	setup
	pattern up/src 4M
	avail=$(($(stat -f -c '%a * %S' low)))
	fallocate -l $((avail - (2 << 20))) low/hog
	out=$(xcopy -l sendfile up/src up/dst || true)
	[[ $out =~ ^ret=([0-9]+)\ errno=ENOSPC ]]
	cmp -n "${BASH_REMATCH[1]}" low/src low/dst
	rm low/hog up/dst
	fallocate -l $((avail - (2 << 20))) low/hog
	out=$(xcopy -l cfr up/src up/dst || true)
	[[ $out =~ ^ret=([0-9]+)\ errno=ENOSPC ]]
	cmp -n "${BASH_REMATCH[1]}" low/src low/dst
}

# A hole beyond the last byte that fits is no way around the limits.
t_limits() {
	setup
	truncate -s 10M up/src
	says 'ret=100001 errno=EFBIG.* out=100001' \
		xcopy -l -F 100001 sendfile up/src up/dst
	is size 100001 "$(stat -c %s low/dst)"
	says 'ret=100001 errno=EFBIG' xcopy -t -l -F 100001 cfr up/src up/dst
	is size 100001 "$(stat -c %s low/dst)"
}

# It prints all the same.
xcopy_fails() { ! xcopy "$@"; }

# Not even a hole up to where it would have begun.
t_nothing_copied() {
	setup
	data up/src 0 128K
	: >up/dst
	fallocate -l 500M low/fill
	dd if=/dev/zero of=low/rest bs=4k status=none 2>/dev/null || true
	says 'ret=-1 errno=ENOSPC' xcopy_fails -o 1M sendfile up/src up/dst
	is size 0 "$(stat -c %s low/dst)"
}

run_tests \
	't_tmpfs holes stay holes: tmpfs' \
	't_ext4 holes stay holes: ext4' \
	't_xfs holes stay holes: XFS' \
	't_all_hole nothing but a hole' \
	't_trailing_hole a hole at the end' \
	't_onto_old_data a hole erases old data' \
	't_unaligned_holes holes at odd places' \
	't_nosparse nosparse writes them' \
	't_fresh_data_is_no_hole data that are not on the disk yet' \
	't_preallocated preallocated space' \
	't_killed a huge copy can be killed' \
	't_memory it takes no memory' \
	't_no_space ENOSPC part-way' \
	't_nothing_copied a copy that fails at once leaves the size alone' \
	't_limits RLIMIT_FSIZE holds for holes, too'
