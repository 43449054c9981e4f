# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A copy by copyfiled that takes a while, so that it can be disturbed. Sourced
# after librpcfs.sh.

BIG=16M
COPY_DST=dst

# A copy that takes a while: each request of the server's disk has its time.
setup_slow() {
	need_dev
	need_copyfiled
	slow_disk slow "$DEV" 0
	DEV=/dev/mapper/slow setup_server ext4
	serve_data --slice 1
	client_mount_nfs 3 server/dir low
	client_omount low up "$RPC_EXPORT,min=0${1:+,$1}"
	pattern server/dir/big $BIG
	sync -f server
	echo 3 >/proc/sys/vm/drop_caches
	set_delay slow 20
}

mend_disk() { set_delay slow 0; }

# copy_begins: a copy to COPY_DST in the background, under way when this returns.
copy_begins() {
	local n
	"$DIR/xcopy" -l cfr up/big "up/$COPY_DST" >copy.out 2>&1 &
	COPY=$!
	for ((n = 0; n < 100; n++)); do
		[ "$(copyfiled_stat running)" = 0 ] || return 0
		sleep 0.1
	done
	fail "no copy runs: $(cat copy.out)"
}

# copy_goes_on N: until so many requests came.
copy_goes_on() {
	while [ -d "/proc/$COPY" ]; do
		[ "$(copyfiled_stat requests_copy)" -lt "$1" ] || return 0
		sleep 0.1
	done
	fail "it took fewer than $1 requests: $(cat copy.out)"
}

# copy_ends SECONDS: by itself, by then; its status.
copy_ends() {
	local n
	for ((n = 0; n < $1 * 10; n++)); do
		grep -qs '^State:.*[^Z] (' "/proc/$COPY/status" || break
		sleep 0.1
	done
	[ "$n" -lt $(($1 * 10)) ] || fail "the copy still hangs: $(cat "/proc/$COPY/stack")"
	wait "$COPY"
}

copy_hangs() {
	sleep "$1"
	[ -d "/proc/$COPY" ] || fail "the copy did not wait: $(cat copy.out)"
}

right() {
	cmp server/dir/big server/dir/dst
	cmp up/big up/dst
}

wait_idle() {
	local n
	for ((n = 0; n < 100; n++)); do
		[ "$(copyfiled_stat running)" != 0 ] || return 0
		sleep 0.1
	done
	fail 'a copy still runs at the server'
}

# hangs PID WHAT: a process in the background waits.
hangs() {
	sleep 1
	runs "$1" || fail "$2 did not wait"
}

# ends SECONDS PID: it ends by then; its status.
ends() {
	local n
	for ((n = 0; n < $1 * 10; n++)); do
		runs "$2" || break
		sleep 0.1
	done
	! runs "$2" || fail "$2 still hangs: $(cat "/proc/$2/stack")"
	{ wait "$2"; } 2>/dev/null
}

# writes SECONDS COMMAND...: it succeeds by then; until the client has heard what
# became of an earlier copy to the file, it has an error or waits.
writes() {
	local n end=$((SECONDS + $1))
	shift
	until timeout -k 1 $((end - SECONDS + 1)) "$@" >writes.out 2>&1; do
		[ $SECONDS -lt $end ] || fail "still not possible: $*: $(cat writes.out)"
		sleep 0.5
	done
}

# What comes after a copy that failed is not disturbed by what it left.
copies_later() {
	local before
	writes 30 "$DIR/xcopy" -l cfr up/big up/dst
	right
	before=$(md5sum <server/dir/dst)
	sleep 1
	is 'the file, later' "$before" "$(md5sum <server/dir/dst)"
}
