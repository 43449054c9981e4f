#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The rpc backend when replies are lost: the server is killed, stopped or started
# anew, the network is cut, the task is killed. The file is right, or the caller
# has an error; nothing is copied twice at the same time.

. "$(dirname "$0")/lib.sh"
. "$DIR/libnfs.sh"
. "$DIR/librpc.sh"
. "$DIR/librpcfs.sh"
. "$DIR/librpcslow.sh"

# It takes more than one request, and the pieces fit.
t_slices() {
	setup_slow
	copy_begins
	copy_ends 120
	right
	[ "$(copyfiled_stat requests_copy)" -gt 1 ] || fail 'only one request'
	is 'offloaded' "$(stat -c %s up/big)" "$(backend_count rpc bytes)"
}

t_stopped() {
	setup_slow
	copy_begins
	pause_copyfiled
	copy_hangs 5
	resume_copyfiled
	mend_disk
	copy_ends 60
	right
}

t_restarted() {
	setup_slow
	copy_begins
	kill_copyfiled
	copy_hangs 3
	mend_disk
	restart_copyfiled
	copy_ends 90
	right
	[ "$(copyfiled_stat requests_hello)" -ge 1 ]
}

# Shut down in order: the copy is stopped, and goes on with the next server.
t_shut_down() {
	setup_slow
	copy_begins
	stop_copyfiled
	mend_disk
	restart_copyfiled
	copy_ends 90
	right
}

cut() {
	setup_slow
	copy_begins
	cut_network "$1"
	copy_hangs 5
	mend_network
	mend_disk
	copy_ends 120
	right
}
t_cut() { cut nft; }
t_link_down() { cut link; }

# soft: an error in its time, and nothing copied behind the caller's back.
t_soft_stopped() {
	setup_slow soft,timeo=20,retrans=1
	copy_begins
	pause_copyfiled
	! copy_ends 30 || fail "no error: $(cat copy.out)"
	grep -q 'errno=EIO' copy.out || fail "$(cat copy.out)"
	is 'local copies' 0 "$(count copies_local)"
	resume_copyfiled
	mend_disk
	wait_idle
	xcopy -l cfr up/big up/dst >/dev/null
	right
}

# Not even when a part was copied before: the rest is not copied on top of what the
# server may still be doing, by whomever, until the server has said so.
t_soft_later() {
	setup_slow soft,timeo=10,retrans=0
	copy_begins
	copy_goes_on 3
	pause_copyfiled
	! copy_ends 30 || fail "no error: $(cat copy.out)"
	grep -q 'errno=EIO' copy.out || fail "$(cat copy.out)"
	refuse 'errno=EIO' xcopy cfr up/src up/dst
	is 'local copies' 0 "$(count copies_local)"
	resume_copyfiled
	mend_disk
	copies_later
}

t_soft_cut() {
	setup_slow soft,timeo=20,retrans=1
	copy_begins
	cut_network nft
	! copy_ends 40 || fail "no error: $(cat copy.out)"
	grep -q 'errno=EIO' copy.out || fail "$(cat copy.out)"
	is 'local copies' 0 "$(count copies_local)"
	mend_network
	mend_disk
	wait_idle
	copies_later
}

# A killed task ends soon, and so does its copy at the server.
t_killed() {
	setup_slow
	copy_begins
	kill -KILL $COPY
	if copy_ends 6; then
		fail 'it was not killed'
	fi
	local before
	wait_idle
	[ "$(copyfiled_stat requests_cancel)" -ge 1 ]
	before=$(md5sum <server/dir/dst)
	sleep 2
	is 'the file, later' "$before" "$(md5sum <server/dir/dst)"
}

t_killed_silent() {
	setup_slow
	copy_begins
	pause_copyfiled
	sleep 1
	kill -KILL $COPY
	if copy_ends 8; then
		fail 'it was not killed'
	fi
	resume_copyfiled
	mend_disk
	wait_idle
	copies_later
}

# The copies before it left something to make durable, which a task that exits
# cannot wait for for ever.
t_killed_later() {
	setup_slow
	copy_begins
	copy_goes_on 3
	pause_copyfiled
	sleep 1
	kill -KILL $COPY
	if copy_ends 15; then
		fail 'it was not killed'
	fi
	resume_copyfiled
	wait_idle
}

# A server that is not there is not waited for: the copy is local.
t_down() {
	setup_rpc xfs 3
	cp up/src up/first
	stop_copyfiled
	SECONDS=0
	counted 'copies_local=1 declined/down=1' xcopy cfr up/src up/dst
	[ $SECONDS -lt 5 ] || fail "took $SECONDS s"
	cmp server/dir/src server/dir/dst
	counted 'copies_local=1 declined/down=1' xcopy cfr up/src up/dst2
	restart_copyfiled
	sleep 11
	counted 'copies_offloaded=1' xcopy cfr up/src up/dst3
	cmp server/dir/src server/dir/dst3
}

# One that does not speak is asked for a few seconds, and not again at once.
t_silent() {
	setup_rpc xfs 3
	sleep 11
	pause_copyfiled
	SECONDS=0
	counted 'copies_local=1 declined/down=1' xcopy cfr up/src up/dst
	[ $SECONDS -lt 10 ] || fail "took $SECONDS s"
	SECONDS=0
	counted 'copies_local=1 declined/down=1' xcopy cfr up/src up/dst2
	[ $SECONDS -lt 3 ] || fail "took $SECONDS s"
	cmp server/dir/src server/dir/dst
	resume_copyfiled
	sleep 11
	counted 'copies_offloaded=1' xcopy cfr up/src up/dst3
}

run_tests 't_slices a long copy in many requests' \
	't_stopped the server stops and goes on' \
	't_restarted the server is killed and started' \
	't_shut_down the server is shut down and started' \
	't_cut packets are dropped' \
	't_link_down the link is down' \
	't_soft_stopped soft: the server stops' \
	't_soft_later soft: the server stops after a part was copied' \
	't_soft_cut soft: packets are dropped' \
	't_killed the task is killed' \
	't_killed_silent the task is killed, the server is stopped' \
	't_killed_later the same after a part was copied' \
	't_down the server is not there' \
	't_silent the server does not answer'
