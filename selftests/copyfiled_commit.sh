#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# copyfiled: COMMITs that take long, of one file and of many, and what becomes
# of everybody else's meanwhile.

. "$(dirname "$0")/lib.sh"
. "$DIR/librpc.sh"
. "$DIR/libcopyfiled.sh"

SOON=(--timeout 8000)

# stuck_tree: tree/ is on a disk, other/ is not, and is the export "other".
stuck_tree() {
	need_dev
	make_lower ext4 tree
	make_lower tmpfs other
	data other/src other/dst
	pattern tree/src 4096
	umount tree
	slow_disk slow "$DEV" 0
	mount /dev/mapper/slow tree
	serve squash=none --export "other=$PWD/other,squash=none"
	ask hello
	BOOT=$(answer boot)
}

# copied N: to dst.0, dst.1, ..., which are not committed.
copied() {
	local n
	for ((n = 0; n < $1; n++)); do
		: >"tree/dst.$n"
	done
	ask --parallel "$1" --window 16 copy src 'dst.{}'
	[ "$ANSWER" = "OK $1" ] || fail "copies: $ANSWER"
}

# Every request to the disk waits from now on; fast_disks ends that.
freeze() { dmsetup suspend --noflush --nolockfs slow; }

# commits FILE ARGUMENT...: COMMITs over a connection of its own, to be waited for
# by thaw.
PIDS=()
commits() {
	client --boot "$BOOT" --window 1000 --timeout 120000 "${@:2}" >"$1" 2>&1 &
	PIDS+=($!)
}

# until_stat NAME N: until a counter is at least so high.
until_stat() {
	local n
	for ((n = 0; n < 200; n++)); do
		[ "$(copyfiled_stat "$1")" -lt "$2" ] || return 0
		sleep 0.05
	done
	fail "$1 is $(copyfiled_stat "$1"), not $2"
}

# Everybody else is served.
others_go_on() {
	local c=(--root other --export other --client 9 "${SOON[@]}")
	gets OK "${c[@]}" copy src dst
	gets OK "${c[@]}" commit dst
	gets OK "${c[@]}" probe ''
}

# thaw: the disk works again, and all commits have come to their end.
thaw() {
	set_delay slow 0
	wait "${PIDS[@]}" || :
	PIDS=()
	is 'running and waiting' '0 0' "$(copyfiled_stat running) $(copyfiled_stat queued)"
}

# A file that cannot be written is committed again and again, another that nobody
# copied to, and all of the export.
t_one_file() {
	stuck_tree
	copied 2
	chmod 700 tree
	echo more >>tree/src
	freeze
	commits first commit dst.0
	until_stat running 1
	commits file --parallel 60 commit dst.0
	commits src --parallel 30 commit src
	commits all --parallel 30 commit ''
	until_stat requests_commit 121
	others_go_on
	is 'workers that are at it' 3 "$(copyfiled_stat running)"
	# Whoever comes to wait with the others has rights of its own.
	gets ACCES --boot "$BOOT" "${SOON[@]}" --uid 1000 --gid 1000 commit dst.0
	thaw
	is 'the first' OK "$(field status "$(cat first)")"
	is 'all of them' 'OK 60 OK 30 OK 30' "$(cat file src all | paste -sd' ')"
	is 'files to commit' 0 "$(copyfiled_stat uncommitted)"
}

# Many files that cannot be written, of one connection and of one host.
t_many_files() {
	local n
	stuck_tree
	copied 40
	freeze
	commits out.0 --parallel 40 commit 'dst.{}'
	until_stat requests_commit 40
	gets OK --from 127.0.0.1 --root other --export other --client 9 "${SOON[@]}" commit dst
	is 'workers for one connection' 4 "$(copyfiled_stat running)"
	for n in {1..5}; do
		commits "out.$n" --parallel 40 commit 'dst.{}'
	done
	until_stat requests_commit 241
	until_stat running 12
	gets OK --from 127.0.0.2 --root other --export other --client 8 "${SOON[@]}" commit dst
	is 'workers for one host' 12 "$(copyfiled_stat running)"
	thaw
	is 'all of them' '6 OK 40' "$(cat out.? | uniq -c | sed 's/^ *//')"
}

rss() { awk '/^VmRSS/ { print $2 }' "/proc/$COPYFILED_PID/status"; }

# What waits is bounded, and so is the memory for it; the rest is told to wait.
t_bound() {
	local n start end long
	stuck_tree
	long=$(printf '/x%.0s' {1..15})
	long=${long//x/$(printf 'x%.0s' {1..250})}/file
	long=${long#/}
	mkdir -p "tree/${long%/*}"
	: >"tree/$long"
	gets OK copy src "$long"
	start=$(rss)
	freeze
	for n in {0..9}; do
		commits "out.$n" --parallel 250 commit "$long"
	done
	until_stat requests_commit 2500
	end=$(rss)
	gets OK --from 127.0.0.2 --root other --export other --client 8 "${SOON[@]}" commit dst
	thaw
	echo "# VmRSS $start KiB, and $end with COMMITs that wait"
	is 'those of one host' 'OK 512 BUSY 1988' "OK $(sum OK) BUSY $(sum BUSY)"
	[ "$(awk '$1 == "OK" && $2 > 128' out.*)" = "" ] || fail 'more than 128 of one connection'
	[ "$end" -lt $((start + 6144)) ] || fail "VmRSS grew from $start to $end KiB"
	gets OK "${SOON[@]}" commit "$long"
}

# sum STATUS: so many of all COMMITs.
sum() { awk -v s="$1" '$1 == s { n += $2 } END { print n + 0 }' out.*; }

run_tests 't_one_file what cannot be written holds up no COMMIT of another file' \
	't_many_files many files that cannot be written leave workers for others' \
	't_bound COMMITs that wait are bounded'
