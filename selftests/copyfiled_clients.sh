#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# copyfiled: who its clients are, when their addresses change, when it forgets
# them, and when there are many.

. "$(dirname "$0")/lib.sh"
. "$DIR/librpc.sh"
. "$DIR/libcopyfiled.sh"

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

run_tests 't_more_clients more connections have room for more clients'
