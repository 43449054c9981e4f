#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Options that decide who copies, and how it shows: min=, strict, nosendfile,
# nocfr, noclone; the counters in sysfs and the tracepoints.

. "$(dirname "$0")/lib.sh"

SIZE=262144
TRACE=/sys/kernel/tracing

# XFS, where the native backend clones.
setup() {
	need_dev
	setup_pair xfs "$1"
	pattern up/src $SIZE
}

t_offloaded() {
	setup min=0
	counted "copies_offloaded=1 bytes_offloaded=$SIZE bytes_local=0 sendfile_intercepted=1" \
		xcopy sendfile up/src up/dst
	counted "copies_offloaded=1 bytes_offloaded=$SIZE sendfile_intercepted=0" \
		xcopy cfr up/src up/dst2
	counted "copies_offloaded=1 bytes_offloaded=$SIZE sendfile_intercepted=0" \
		xcopy clone up/src up/dst3
	is 'native copies' 3 "$(backend_count native copies)"
	is 'native bytes' $((3 * SIZE)) "$(backend_count native bytes)"
	is 'local copies' 0 "$(backend_count local copies)"
	cmp low/src low/dst
	cmp low/src low/dst2
	cmp low/src low/dst3
}

t_local() {
	setup backend=local,min=0
	counted "copies_local=1 bytes_local=$SIZE bytes_offloaded=0 sendfile_intercepted=1" \
		xcopy sendfile up/src up/dst
	counted "copies_local=1 bytes_local=$SIZE" xcopy cfr up/src up/dst2
	counted '' refuse EOPNOTSUPP xcopy clone up/src up/dst3
	is size 0 "$(stat -c %s low/dst3)"
	cmp low/src low/dst
	cmp low/src low/dst2
	# A program that tries a clone first still gets its copy.
	rm up/dst3
	cp up/src up/dst3
	cmp low/src low/dst3
}

t_min() {
	setup min=64k
	counted 'copies_local=1 declined/too_small=1' xcopy -n 65535 sendfile up/src up/dst
	counted 'copies_local=1 declined/too_small=1' xcopy -n 1 cfr up/src up/dst
	counted copies_offloaded=1 xcopy -n 65536 sendfile up/src up/dst
	counted copies_offloaded=1 xcopy -n 64K cfr up/src up/dst
	# What the file has counts, not what the caller hopes for.
	head -c 1000 up/src >up/small
	counted 'copies_local=1 declined/too_small=1' xcopy -n 1G sendfile up/small up/dst
	# A clone is cheap and asked for.
	counted copies_offloaded=1 xcopy clone up/src up/dst2
}

# Without min=, only sendfile has a least length here, which the lower would copy.
t_default_min() {
	setup min=0
	umount up
	mount -t offloadfs low up
	counted 'copies_local=1 declined/too_small=1' xcopy -n 16383 sendfile up/src up/dst
	cmp -n 16383 low/src low/dst
	counted copies_offloaded=1 xcopy -n 16384 sendfile up/src up/dst2
	counted copies_offloaded=1 xcopy -n 4096 cfr up/src up/dst3
	mount -o remount,strict up
	counted 'copies_local=1 declined/too_small=1' xcopy -n 4096 sendfile up/src up/dst4
	mount -o remount,min=0 up
	counted copies_offloaded=1 xcopy -n 4096 sendfile up/src up/dst5
}

t_nosendfile() {
	setup nosendfile,min=0
	counted 'declined/disabled=1 sendfile_intercepted=0 bytes_offloaded=0 bytes_local=0' \
		xcopy sendfile up/src up/dst
	cmp low/src low/dst
	counted copies_offloaded=1 xcopy cfr up/src up/dst2
	counted copies_offloaded=1 xcopy clone up/src up/dst3
	mount -o remount,sendfile up
	counted copies_offloaded=1 xcopy sendfile up/src up/dst4
}

t_nocfr() {
	setup nocfr,min=0
	counted 'copies_local=1 declined/disabled=1' xcopy cfr up/src up/dst
	cmp low/src low/dst
	counted copies_offloaded=1 xcopy sendfile up/src up/dst2
	counted copies_offloaded=1 xcopy clone up/src up/dst3
}

t_noclone() {
	setup noclone,min=0
	counted declined/disabled=1 refuse EOPNOTSUPP xcopy clone up/src up/dst
	counted declined/disabled=1 refuse EOPNOTSUPP \
		xcopy -n 4096 clonerange up/src up/dst
	is size 0 "$(stat -c %s low/dst)"
	counted copies_offloaded=1 xcopy cfr up/src up/dst
}

t_strict() {
	setup strict,backend=local,min=1k
	counted '' refuse EOPNOTSUPP xcopy sendfile up/src up/dst
	counted '' refuse EOPNOTSUPP xcopy cfr up/src up/dst
	is size 0 "$(stat -c %s low/dst)"
	counted 'copies_local=1 declined/too_small=1' xcopy -n 1000 sendfile up/src up/dst
	cmp -n 1000 low/src low/dst
	mount -o remount,nostrict up
	counted copies_local=1 xcopy sendfile up/src up/dst
	cmp low/src low/dst
}

t_strict_where_it_can() {
	setup strict,min=0
	counted copies_offloaded=1 xcopy sendfile up/src up/dst
	counted copies_offloaded=1 xcopy cfr up/src up/dst2
	# At a byte's offset no file system clones.
	counted declined/unaligned=1 refuse EOPNOTSUPP xcopy -i 1 cfr up/src up/dst3
}

t_unaligned() {
	setup min=0
	counted 'copies_local=1 declined/unaligned=1' xcopy -i 1 sendfile up/src up/dst
	cmp <(tail -c +2 low/src) low/dst
	# Both off by as much: a little is copied, the rest is cloned.
	counted 'copies_local=1 copies_offloaded=1 declined/unaligned=1' \
		xcopy -i 100 -o 100 sendfile up/src up/dst2
	cmp -i 100 low/src low/dst2
}

t_not_a_file() {
	setup min=0
	counted 'declined/not_a_file=1 sendfile_intercepted=0' python3 -c '
import os, socket
a, b = socket.socketpair()
f = os.open("up/src", os.O_RDONLY)
assert os.sendfile(a.fileno(), f, 0, 1000) == 1000'
}

t_overlap() {
	setup min=0
	counted 'copies_local=1 declined/overlap=1' \
		xcopy -o 4096 -n 65536 sendfile up/src up/src
}

# sys_now FILE...: all counters are numbers, and not writable.
t_files() {
	local f n
	setup min=0
	while read -r f; do
		read -r n <"$f"
		[[ $n =~ ^[0-9]+$ ]] || fail "$f: $n"
		is "mode of $f" 444 "$(stat -c %a "$f")"
	done < <(find "$(sys_dir up)/stats" "$(sys_dir up)/backends" -type f)
	is files 'busy cross_mount denied disabled down not_a_file overlap partial pseudo stale too_small unaligned unlinked unsupported' \
		"$(find "$(sys_dir up)/stats/declined" -type f -printf '%f\n' | sort | paste -sd' ')"
	is files 'bytes_local bytes_offloaded copies_local copies_offloaded sendfile_intercepted' \
		"$(find "$(sys_dir up)/stats" -maxdepth 1 -type f -printf '%f\n' | sort | paste -sd' ')"
	is 'all 0' '' "$(counts up)"
}

# trace COMMAND...: what the tracepoints say about it.
trace() {
	echo >$TRACE/trace
	echo 1 >$TRACE/events/offloadfs/enable
	"$@" >/dev/null 2>&1 || true
	echo 0 >$TRACE/events/offloadfs/enable
	cat $TRACE/trace
}

t_tracepoints() {
	local dev
	[ -d $TRACE/events ] || skip 'no tracefs'
	setup min=4k
	is events 'offloadfs_copy offloadfs_decline' \
		"$(find $TRACE/events/offloadfs -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort | paste -sd' ')"
	dev=$(basename "$(sys_dir up)")
	says "offloadfs_copy: dev $dev backend native origin sendfile op copy .* len $SIZE ret $SIZE" \
		trace xcopy sendfile up/src up/dst
	says 'offloadfs_copy: .* origin copy_file_range' trace xcopy cfr up/src up/dst2
	says 'offloadfs_copy: .* origin remap op clone' trace xcopy clone up/src up/dst3
	says "offloadfs_copy: .*@1 -> [0-9]*@5 .*len 5000 ret 5000" \
		trace xcopy -i 1 -o 5 -n 5000 cfr up/src up/dst3
	says "offloadfs_decline: dev $dev ino $(stat -c %i low/src) origin sendfile .*reason too_small" \
		trace xcopy -n 10 sendfile up/src up/dst
	says 'offloadfs_decline: .* backend native reason unaligned' \
		trace xcopy -i 1 sendfile up/src up/dst
}

run_tests \
	't_offloaded an offload is counted once' \
	't_local a local copy is counted as such' \
	't_min min=' \
	't_default_min without min=, small files are no clones by sendfile' \
	't_nosendfile nosendfile' \
	't_nocfr nocfr' \
	't_noclone noclone' \
	't_strict strict: an error instead of a local copy, but for small ones' \
	't_strict_where_it_can strict does not get in the way of an offload' \
	't_unaligned unaligned copies' \
	't_not_a_file sendfile to a socket' \
	't_overlap overlapping ranges of one file' \
	't_files the files of sysfs' \
	't_tracepoints the tracepoints'
