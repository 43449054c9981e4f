#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# copyfiled: who its clients are, when their addresses change, when it forgets
# them, and when there are many.

. "$(dirname "$0")/lib.sh"
. "$DIR/librpc.sh"
. "$DIR/libcopyfiled.sh"

# Addresses that change

BOOT=
learn_boot() {
	gets OK hello
	BOOT=$(answer boot)
}

# Without HELLO, as a client is that has been told the boot verifier before.
from() { gets "$2" --from "$1" --boot "$BOOT" --client 5 "${@:3}"; }

# held_by ADDRESS: a connection of client 5 from there, until release.
held_by() {
	"$DIR/copyfile_client" --from "$1" --client 5 --hold 60000 connect 1 >held &
	HELD=$!
	until grep -qs open held; do sleep 0.05; done
}
release() {
	kill "$HELD"
	reap "$HELD"
	until [ "$(copyfiled_stat connections)" = 0 ]; do sleep 0.05; done
}

t_moved() {
	serve
	data tree/src tree/dst
	learn_boot
	held_by 127.0.0.1
	from 127.0.0.1 OK --serial 10 copy src dst
	remember tree/dst
	# The old connection is there still, as its end was never told to the server.
	# What is refused at the new address is not made, be it sent again from either.
	from 127.0.0.2 BUSY --serial 11 copy src dst
	from 127.0.0.1 BUSY --serial 11 copy src dst
	from 127.0.0.2 OK --serial 12 cancel
	is 'state of a copy that never came' NEVER_SEEN "$(answer state)"
	from 127.0.0.1 CANCELLED --serial 12 copy src dst
	gets BUSY --from 127.0.0.2 --client 5 hello
	# Nothing is left at its old address: it is told to say HELLO.
	release
	from 127.0.0.2 STALE_BOOT --serial 13 copy src dst
	from 127.0.0.2 OK --serial 10 cancel
	is 'state of a finished copy' 'FINISHED 65536' "$(answer state) $(answer count)"
	gets OK --from 127.0.0.2 --client 5 hello
	from 127.0.0.2 STALE_BOOT --serial 13 copy src dst
	from 127.0.0.2 CANCELLED --serial 12 copy src dst
	unchanged
	from 127.0.0.2 OK --serial 14 copy src dst
}

# A copy that runs is asked about, and sent again, from the new address.
t_moved_running() {
	need_dev
	make_lower ext4 tree
	pattern tree/big $((4 * MB))
	: >tree/dst
	umount tree
	slow_disk slow "$DEV" 0
	mount /dev/mapper/slow tree
	serve squash=none --slice 60
	learn_boot
	set_delay slow 100
	client --from 127.0.0.1 --root tree --client 5 --serial 1 copy big dst >first &
	local pids=($!)
	until [ "$(copyfiled_stat running)" = 1 ]; do sleep 0.05; done
	client --from 127.0.0.2 --root tree --client 5 --boot "$BOOT" --serial 1 copy big dst >again &
	pids+=($!)
	until [ "$(copyfiled_stat duplicates)" = 1 ]; do sleep 0.05; done
	from 127.0.0.2 OK --serial 1 cancel
	is 'the cancel' STOPPED "$(answer state)"
	wait "${pids[@]}" || :
	is 'both' 'CANCELLED CANCELLED' "$(field status "$(cat first)") $(field status "$(cat again)")"
}

# Clients that are forgotten

# The COPY comes after its CANCEL, and the client is known by then. Whom no export
# serves does not become a client so, and has nothing to say as another.
t_cancel_unknown() {
	need_copyfiled
	make_lower tmpfs tree
	data tree/src tree/dst
	remember tree/dst
	start_copyfiled --export "data=$PWD/tree,squash=none" --allow 127.0.0.1
	learn_boot
	gets STALE_BOOT --from 127.0.0.9 --boot "$BOOT" --client 6 --serial 1 cancel
	from 127.0.0.1 OK --serial 7 cancel
	is state NEVER_SEEN "$(answer state)"
	from 127.0.0.9 PERM --serial 8 copy src dst
	from 127.0.0.9 PERM --serial 8 cancel
	is clients 2 "$(copyfiled_stat clients)"
	gets OK --client 5 hello
	from 127.0.0.1 CANCELLED --serial 7 copy src dst
	unchanged
	from 127.0.0.1 OK --serial 8 copy src dst
}

# There is always one to forget, also when SIGHUP allows more connections.
t_more_clients() {
	need_copyfiled
	make_lower tmpfs tree
	printf '[global]\nmax-connections = 1\n[export data]\npath = %s\nallow = 127.0.0.0/8\n' \
		"$PWD/tree" >conf
	start_copyfiled --config "$PWD/conf"
	sed -i 's/^max-connections.*/max-connections = 100/' conf
	kill -HUP "$COPYFILED_PID"
	until_log 'new configuration'
	"$DIR/copyfile_client" --client 1000 --times 4 --hold 60000 connect 80 >held &
	local pid=$!
	until grep -qs open held; do sleep 0.05; done
	is 'connections, each of four clients' 80 "$(field open "$(cat held)")"
	is clients 320 "$(copyfiled_stat clients)"
	gets OK --from 127.0.0.2 --client 5 hello
	kill $pid
	reap $pid
}

run_tests 't_moved a client that comes from another address says HELLO there' \
	't_moved_running a copy is cancelled from another address' \
	't_cancel_unknown a COPY after its CANCEL is refused, though its client was forgotten' \
	't_more_clients more connections have room for more clients'
