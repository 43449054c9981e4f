# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the tests of copyfiled share: requests to it, and what must not change.
# The test client speaks the protocol; no module takes part.

MB=1048576
ANSWER=

# serve [EXPORT-OPTIONS [ARGUMENT...]]: the directory tree/ is the export "data",
# on a tmpfs unless the test has mounted something else. Nobody is squashed
# unless the options say so.
serve() {
	local opts=${1:-squash=none}
	need_copyfiled
	mountpoint -q tree || make_lower tmpfs tree
	start_copyfiled --export "data=$PWD/tree,$opts" --allow 127.0.0.0/8 --allow ::1 "${@:2}"
}

# ask ARGUMENT...: a request; the answer is in ANSWER, its status is printed.
ask() { ANSWER=$(client --root tree "$@" 2>&1) || :; }

status() {
	local s
	s=$(sed -n 's/^\(status\|hello\|rpc\) //p' <<<"$ANSWER" | tail -n 1)
	echo "${s:-$(tail -n 1 <<<"$ANSWER")}"
}

# gets STATUS ARGUMENT...: a request gets that status.
gets() {
	ask "${@:2}"
	is "${*:2}" "$1" "$(status)"
}

answer() { field "$1" "$ANSWER"; }

# until_log TEXT: in the log, whose lines are joined.
until_log() {
	local n
	for ((n = 0; n < 100; n++)); do
		! tr '\n' ' ' <copyfiled.log | grep -q "$1" || return 0
		sleep 0.1
	done
	fail "the log does not say '$1': $(tail -n 3 copyfiled.log)"
}

# data FILE...: 64 KiB of contents in a new file that anybody may use.
data() {
	local f
	for f; do
		pattern "$f" 65536
		chmod 666 "$f"
	done
}

# remember FILE...; unchanged: neither contents nor times have changed since.
remember() {
	remembered=("$@")
	sums=$(sha256sum "$@"; stat -c '%n %s %y %z' "$@")
}
unchanged() {
	[ "$sums" = "$(sha256sum "${remembered[@]}"; stat -c '%n %s %y %z' "${remembered[@]}")" ] ||
		fail "changed: ${remembered[*]}"
}

# slow_tree TYPE MS [EXPORT-OPTIONS [ARGUMENT...]]: tree/ is on a disk each
# request to which takes so long, with a file big of 32 MiB in it.
slow_tree() {
	need_dev
	make_lower "$1" tree
	pattern tree/big $((32 * MB))
	: >tree/dst
	: >tree/waits
	umount tree
	slow_disk slow "$DEV" 0
	mount /dev/mapper/slow tree
	serve "${@:3}"
	set_delay slow "$2"
}
