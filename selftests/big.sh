#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The point of it all: sendfile of a 1 GiB file on XFS is one clone. One copy
# is counted, the disk reads no data, and it takes at most a fiftieth of the
# time of the same sendfile on the bare XFS, in the same run.

. "$(dirname "$0")/lib.sh"

# sectors_read: of the scratch device, since the machine started.
sectors_read() {
	local stat
	read -r -a stat <"/sys/class/block/$(basename "$DEV")/stat"
	echo "${stat[2]}"
}

# cold_copy SRC DST: sendfile 1 GiB that no cache holds; sets us, the system
# call's microseconds, and sectors, what the disk read meanwhile.
cold_copy() {
	local read out
	sync
	echo 3 >/proc/sys/vm/drop_caches
	"$DIR/xcopy" -n 0 sendfile /dev/null /dev/null >/dev/null || true
	read=$(sectors_read)
	out=$(xcopy sendfile "$1" "$2")
	sectors=$(($(sectors_read) - read))
	echo "# $out"
	[[ $out =~ ^ret=1073741824\ errno=0\ calls=1\ in=1073741824\ .*\ us=([0-9]+) ]]
	us=${BASH_REMATCH[1]}
}

t_one_clone() {
	local pos us sectors bare bare_sectors
	need_dev
	setup_pair xfs
	dd if=/dev/zero of=low/src bs=1M count=1024 conv=fsync status=none
	pattern piece 4096
	for pos in 0 500 1023; do
		dd if=piece of=low/src bs=1M seek=$pos conv=notrunc status=none
	done
	cold_copy low/src low/bare
	bare=$us bare_sectors=$sectors
	rm low/bare
	cold_copy up/src up/dst
	echo "# bare XFS: $bare us, $bare_sectors sectors read; offloadfs: $us us, $sectors sectors read"
	is counters 'bytes_offloaded=1073741824 copies_offloaded=1 sendfile_intercepted=1' \
		"$(counts up)"
	is size $((1 << 30)) "$(stat -c %s low/dst)"
	cmp -n 2M -i 499M low/src low/dst
	[ "$bare_sectors" -ge $((1 << 21)) ]
	[ "$sectors" -lt 2048 ]
	[ $((us * 50)) -le "$bare" ]
}

run_tests 't_one_clone sendfile of 1 GiB on XFS is one clone'
