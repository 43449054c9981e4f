#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# copyfiled: what stands behind the names of its exports, and who can be in the
# way of serving them.

. "$(dirname "$0")/lib.sh"
. "$DIR/librpc.sh"
. "$DIR/libcopyfiled.sh"

# reload: have conf read again; returns when it is in force or was refused.
reload() {
	local n before
	before=$(grep -c 'configuration .*in force' copyfiled.log) || :
	kill -HUP "$COPYFILED_PID"
	for ((n = 0; n < 100; n++)); do
		[ "$(grep -c 'configuration .*in force' copyfiled.log)" = "$before" ] || return 0
		sleep 0.1
	done
	fail "no end of the reload: $(tail -n 3 copyfiled.log)"
}

# conf NAME=DIR...: exports of directories below the working directory.
conf() {
	local e
	for e; do
		printf '[export %s]\npath = %s\nallow = 127.0.0.0/8\nsquash = none\n' "${e%%=*}" \
			"$PWD/${e#*=}"
	done >conf
}

# Whoever may read a directory can lock it, and keeps no server from its work.
t_foreign_lock() {
	need_copyfiled
	make_lower tmpfs tree
	mkdir -p tree/one tree/two
	mkdir -m 755 state
	chmod 711 .
	setpriv --reuid 1000 --regid 1000 --clear-groups flock -F tree/one flock -F tree/two \
		flock -F state sh -c 'echo held; exec sleep 60' >locks &
	local pid=$! start=$SECONDS
	until grep -qs held locks; do sleep 0.05; done
	conf one=tree/one
	start_copyfiled --config "$PWD/conf"
	conf one=tree/one two=tree/two
	reload
	gets OK --export two hello
	[ $((SECONDS - start)) -lt 8 ] || fail 'it waited for the locks'
	is 'who else may have the real ones' 'drwx------' "$(stat -c %A /run/copyfiled-locks)"
	kill $pid
	reap $pid
}

run_tests 't_foreign_lock a lock of anybody on a directory does no harm'
