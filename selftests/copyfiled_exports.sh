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

# tree_of NAME: the id that HELLO tells of the export's directory.
tree_of() {
	ask --export "$1" hello
	is "HELLO to $1" OK "$(status)"
	answer tree
}

# No name comes to stand for another directory while clients may still know it
# by the same boot verifier: their COMMIT would make the wrong tree durable.
t_tree() {
	local tree boot
	need_copyfiled
	make_lower tmpfs tree
	make_lower tmpfs other
	data tree/src tree/dst other/dst
	conf data=tree keep=other
	start_copyfiled --config "$PWD/conf"
	tree=$(tree_of data)
	ask hello
	boot=$(answer boot)
	gets OK copy src dst
	conf data=other keep=other
	reload
	grep -q 'export data: .*/other is another directory' copyfiled.log
	is 'the tree' "$tree" "$(tree_of data)"

	# Not by the detour of being no export for a while, either.
	conf keep=other
	reload
	conf data=other keep=other
	reload
	gets NOEXPORT --boot "$boot" commit
	# The same directory may come back, and what is mounted over it is another.
	conf data=tree keep=other
	reload
	make_lower tmpfs tree
	reload
	umount tree
	gets OK --boot "$boot" --fileid "$(stat -c %i tree/dst)" commit dst
	is 'the tree' "$tree" "$(tree_of data)"
	is reloads 2 "$(copyfiled_stat reloads)"

	# After a restart it may, and whoever knew the old one can tell.
	stop_copyfiled
	restart_copyfiled
	is 'the same tree' "$tree" "$(tree_of data)"
	stop_copyfiled
	conf data=other
	restart_copyfiled
	gets STALE_BOOT --boot "$boot" commit
	[ "$(tree_of data)" != "$tree" ] || fail 'another tree has the same id'
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

# Local users together take no more than half of the connections.
t_local_users() {
	local u dir rc=0 pids=() as=(setpriv --clear-groups)
	need_copyfiled
	make_lower tmpfs tree
	dir=$(mktemp -d /run/copyfiled-test.XXXXXX)
	chmod 755 "$dir"
	cp "$DIR/copyfile_client" "$dir/"
	start_copyfiled --export "data=$PWD/tree,squash=none" --max-connections 32 \
		--listen "unix:$dir/socket" --unix-mode 666
	local c=("$dir/copyfile_client" --server "unix:$dir/socket")
	for u in 1001 1002; do
		(cd / && exec "${as[@]}" --reuid $u --regid $u "${c[@]}" --client $u \
			--hold 60000 connect 8) >held.$u &
		pids+=($!)
		until grep -qs open held.$u; do sleep 0.05; done
		is "connections of $u" 8 "$(field open "$(cat held.$u)")"
	done
	(cd / && "${as[@]}" --reuid 1003 --regid 1003 "${c[@]}" null) || rc=$?
	is 'exit status of one more, whose connection is closed' 4 $rc
	gets OK --server "unix:$dir/socket" null
	kill "${pids[@]}"
	stop_copyfiled
	rm -r "$dir"
}

run_tests 't_tree only a restart puts another directory behind a name, and clients can tell' \
	't_foreign_lock a lock of anybody on a directory does no harm' \
	't_local_users local users leave connections for others'
