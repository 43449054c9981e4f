#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# copyfiled: COMMITs that take long, of one file and of many, and what becomes
# of everybody else's meanwhile.

. "$(dirname "$0")/lib.sh"
. "$DIR/librpc.sh"
. "$DIR/libcopyfiled.sh"

SOON=(--timeout 8000)

# stuck_tree N: tree/ is on a disk, with N files dst.0, dst.1, ... that have been
# copied to and are not committed; other/ is not, and is the export "other".
stuck_tree() {
	local n
	need_dev
	make_lower ext4 tree
	make_lower tmpfs other
	data other/src other/dst
	pattern tree/src 4096
	for ((n = 0; n < $1; n++)); do
		: >"tree/dst.$n"
	done
	umount tree
	slow_disk slow "$DEV" 0
	mount /dev/mapper/slow tree
	serve squash=none --export "other=$PWD/other,squash=none"
	ask --client 1 --parallel "$1" --window 16 copy src 'dst.{}'
	[[ $ANSWER == "OK $1" || $(status) == OK ]] || fail "copies: $ANSWER"
	is 'files to commit' "$1" "$(copyfiled_stat uncommitted)"
}

# Every request to the disk waits from now on; fast_disks ends that.
freeze() { dmsetup suspend --noflush --nolockfs slow; }

# commits FILE ARGUMENT...: COMMITs over a connection of its own; see the end of them
# by thaw.
PIDS=()
commits() {
	client --root tree --window 1000 --timeout 120000 "${@:2}" >"$1" 2>&1 &
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

# One file that cannot be written, committed again and again.
t_one_file() {
	local boot
	stuck_tree 1
	ask hello
	boot=$(answer boot)
	freeze
	commits out --boot "$boot" --parallel 60 commit dst.0
	until_stat requests_commit 60
	others_go_on
	is 'workers that are at it' 1 "$(copyfiled_stat running)"
	thaw
	is 'all of them' 'OK 60' "$(cat out)"
	is 'files to commit' 0 "$(copyfiled_stat uncommitted)"
}

# The same for a file that nobody copied to, and for all of an export.
t_other_file() {
	stuck_tree 1
	ask hello
	local boot
	boot=$(answer boot)
	echo more >>tree/src
	freeze
	commits out --boot "$boot" --parallel 30 commit src
	commits all --boot "$boot" --parallel 30 commit ''
	until_stat requests_commit 60
	others_go_on
	is 'workers that are at it' 2 "$(copyfiled_stat running)"
	thaw
	is 'all of them' 'OK 30 OK 30' "$(cat out all | paste -sd' ')"
}

# Who asks during a commit waits for the next, with rights of its own.
t_rounds() {
	local boot
	stuck_tree 1
	chmod 700 tree
	ask hello
	boot=$(answer boot)
	freeze
	commits first --boot "$boot" commit dst.0
	until_stat running 1
	commits second --boot "$boot" --parallel 5 commit dst.0
	until_stat requests_commit 6
	gets ACCES --boot "$boot" "${SOON[@]}" --uid 1000 --gid 1000 commit dst.0
	thaw
	is 'the first' OK "$(field status "$(cat first)")"
	is 'the others' 'OK 5' "$(cat second)"
}

# Many files that cannot be written, of one connection and of one host.
t_many_files() {
	local boot n
	stuck_tree 40
	ask hello
	boot=$(answer boot)
	freeze
	commits out.0 --boot "$boot" --parallel 40 commit 'dst.{}'
	until_stat requests_commit 40
	gets OK --from 127.0.0.1 --root other --export other --client 9 "${SOON[@]}" commit dst
	is 'workers for one connection' 4 "$(copyfiled_stat running)"
	for n in {1..5}; do
		commits out.$n --boot "$boot" --parallel 40 commit 'dst.{}'
	done
	until_stat requests_commit 241
	until_stat running 12
	is 'workers for one host' 12 "$(copyfiled_stat running)"
	gets OK --from 127.0.0.2 --root other --export other --client 8 "${SOON[@]}" commit dst
	thaw
	is 'all of them' '6 OK 40' "$(cat out.? | uniq -c | sed 's/^ *//')"
}

rss() { awk '/^VmRSS/ { print $2 }' "/proc/$COPYFILED_PID/status"; }

# What waits is bounded, and so is the memory for it; the rest is told to wait.
t_bound() {
	local boot n start end long
	stuck_tree 1
	long=$(printf '/x%.0s' {1..15})
	long=${long//x/$(printf 'x%.0s' {1..250})}/file
	long=${long#/}
	mkdir -p "tree/${long%/*}"
	: >"tree/$long"
	gets OK copy src "$long"
	ask hello
	boot=$(answer boot)
	start=$(rss)
	freeze
	for n in {0..9}; do
		commits "out.$n" --boot "$boot" --parallel 250 commit "$long"
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

run_tests 't_one_file a file that cannot be written holds up no COMMIT of another' \
	't_other_file nor does one that was not copied to, nor a whole export' \
	't_rounds whoever asks during a COMMIT waits for the next' \
	't_many_files many such files leave workers for others' \
	't_bound COMMITs that wait are bounded'
