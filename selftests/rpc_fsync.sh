#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# fsync(2) and its relatives on what the rpc backend had copied: they reach the
# server, and a server that may have lost the data is told of once to each open
# file.

. "$(dirname "$0")/lib.sh"
. "$DIR/libnfs.sh"
. "$DIR/librpc.sh"
. "$DIR/librpcfs.sh"

# A local lower does nothing on close: what commits is what is under test.
setup_local() {
	need_dev
	need_copyfiled
	make_lower ext4 low
	load offloadfs_rpc
	start_copyfiled --export "data=$PWD/low,squash=none" --listen "unix:$PWD/sock"
	omount low up "backend=rpc,server=unix:$PWD/sock,export=data,min=0"
	pattern low/src $SIZE
}

# commits N COMMAND...: the command makes the client ask for that many.
commits() {
	local before want=$1
	before=$(copyfiled_stat requests_commit)
	shift
	"$@" || fail "$* failed"
	is "COMMITs by: $*" "$want" $(($(copyfiled_stat requests_commit) - before))
}

copy() { xcopy cfr up/src "up/$1" >/dev/null; }

t_fsync() {
	setup_local
	commits 0 copy dst
	is uncommitted 1 "$(copyfiled_stat uncommitted)"
	commits 1 sync up/dst
	is uncommitted 0 "$(copyfiled_stat uncommitted)"
	commits 0 sync up/dst
	commits 0 copy dst
	commits 1 sync -d up/dst
	commits 0 sync up/src
}

t_sync() {
	setup_local
	copy a
	copy b
	commits 2 sync -f up
	copy a
	commits 1 sync
	copy a
	commits 1 mount -o remount,nosparse up
	copy a
	copy b
	commits 2 umount up
}

t_o_sync() {
	setup_local
	commits 0 python3 - <<-END
		import os
		for flag in os.O_SYNC, os.O_DSYNC:
		    i = os.open("up/src", os.O_RDONLY)
		    o = os.open("up/dst", os.O_RDWR | os.O_CREAT | flag)
		    assert os.copy_file_range(i, o, $SIZE) == $SIZE
	END
	is 'not durable' 0 "$(copyfiled_stat uncommitted)"
	cmp low/src low/dst
}

# NFS makes a file durable when it is closed.
t_close() {
	setup_rpc xfs 3
	commits 1 copy dst
	is 'not durable' 0 "$(copyfiled_stat uncommitted)"
	commits 0 sync up/dst
}

# Copy, wait for the file "restarted", and see what each of two open files is told.
lost() {
	python3 - <<-END
		import errno, os, subprocess, sys
		i = os.open("up/src", os.O_RDONLY)
		o = os.open("up/dst", os.O_RDWR | os.O_CREAT)
		other = os.open("up/dst", os.O_RDWR)
		assert os.copy_file_range(i, o, $SIZE) == $SIZE
		open("copied", "w").close()
		while not os.path.exists("restarted"):
		    pass
		def sync(fd):
		    try:
		        os.fsync(fd)
		    except OSError as e:
		        return errno.errorcode[e.errno]
		    return "ok"
		print(sync(o), sync(o), sync(other), sync(other))
		os.close(o)
		late = os.open("up/dst", os.O_RDONLY)
		print(sync(late))
	END
}

while_copied() {
	lost >lost.out 2>&1 &
	LOST=$!
	until [ -e copied ]; do
		[ -d /proc/$LOST ] || fail "$(cat lost.out)"
		sleep 0.1
	done
	"$@"
	restart_copyfiled
	: >restarted
	wait $LOST || fail "$(cat lost.out)"
}

# Killed: data may be lost, and each of the open files hears of it once.
t_lost() {
	setup_local
	while_copied kill_copyfiled
	is 'fsync of both, twice; of a later one' 'EIO ok EIO ok
ok' "$(cat lost.out)"
}

t_lost_nfs() {
	setup_rpc xfs 3
	while_copied kill_copyfiled
	is 'fsync of both, twice; of a later one' 'EIO ok EIO ok
ok' "$(cat lost.out)"
}

# Shut down in order: nothing is lost, nobody is troubled.
t_kept() {
	setup_local
	while_copied stop_copyfiled
	is 'fsync of both, twice; of a later one' 'ok ok ok ok
ok' "$(cat lost.out)"
}

# syncfs(2) tells it, too.
t_lost_syncfs() {
	setup_local
	copy dst
	exec 5<up
	kill_copyfiled
	restart_copyfiled
	! python3 -c 'import ctypes; l = ctypes.CDLL(None); exit(l.syncfs(5) != 0)' ||
		fail 'syncfs said nothing'
	python3 -c 'import ctypes; l = ctypes.CDLL(None); exit(l.syncfs(5) != 0)'
	exec 5<&-
}

# More files than the client keeps track of: none is forgotten.
t_many() {
	setup_local
	local n
	head -c 4096 low/src >low/s
	mkdir low/d
	python3 - <<-END
		import os
		i = os.open("up/s", os.O_RDONLY)
		for n in range(1100):
		    o = os.open("up/d/%d" % n, os.O_WRONLY | os.O_CREAT)
		    assert os.copy_file_range(i, o, 4096, 0, 0) == 4096
		    os.close(o)
	END
	commits 1024 sync -f up
	commits 0 sync -f up
	for n in 0 1 1023 1024 1099; do cmp low/s low/d/$n; done
}

# Renamed and removed since: still durable, still no error.
t_renamed() {
	setup_local
	copy a
	mv up/a up/b
	commits 1 sync -f up
	copy c
	mv low/c low/d
	sync -f up
	copy e
	rm low/e
	sync -f up
	copy f
	rm up/f
	sync -f up
	is 'errors' 0 "$(backend_count rpc errors)"
}

run_tests 't_fsync fsync and fdatasync' \
	't_sync sync, syncfs, remount and unmount' \
	't_o_sync O_SYNC and O_DSYNC' \
	't_close close on NFS' \
	't_lost a killed server: each open file hears of it once' \
	't_lost_nfs the same on NFS' \
	't_kept a server that was shut down in order' \
	't_lost_syncfs syncfs hears of it' \
	't_many more files than are kept track of' \
	't_renamed files that were renamed or removed'
