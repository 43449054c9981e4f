#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The waits of the rpc backend on a hard mount that are not for a copy: fsync,
# sync and unmount while the server is stopped, killed or cut off. They go on by
# themselves when it is back, and end when they are killed, or by umount -f.

. "$(dirname "$0")/lib.sh"
. "$DIR/libnfs.sh"
. "$DIR/librpc.sh"
. "$DIR/librpcfs.sh"
. "$DIR/librpcslow.sh"

# fsync_waits COMMAND...: a copy, and then the command, and then two fsync(2) in
# the background; what they say is in fsync.out.
fsync_waits() {
	rm -f copied go
	python3 - >fsync.out 2>&1 <<-END &
		import errno, os, time
		i = os.open("up/src", os.O_RDONLY)
		o = os.open("up/dst", os.O_RDWR | os.O_CREAT)
		assert os.copy_file_range(i, o, $SIZE) == $SIZE
		open("copied", "w").close()
		while not os.path.exists("go"):
		    time.sleep(0.1)
		for n in 1, 2:
		    try:
		        os.fsync(o)
		        print("ok")
		    except OSError as e:
		        print(errno.errorcode[e.errno])
	END
	FSYNC=$!
	until [ -e copied ]; do
		runs $FSYNC || fail "$(cat fsync.out)"
		sleep 0.1
	done
	"$@"
	: >go
	hangs $FSYNC fsync
}

fsync_said() {
	ends 60 "$FSYNC" || fail "$(cat fsync.out)"
	is "fsync, twice" "$1" "$(tr '\n' ' ' <fsync.out)"
}

t_commit() {
	setup_rpc xfs 3
	fsync_waits pause_copyfiled
	resume_copyfiled
	fsync_said 'ok ok '
	fsync_waits cut_network nft
	mend_network
	fsync_said 'ok ok '
	fsync_waits cut_network link
	mend_network
	fsync_said 'ok ok '
	cmp server/dir/src server/dir/dst
	is uncommitted 0 "$(copyfiled_stat uncommitted)"
}

# What was in the server's memory may be lost with it.
t_commit_restarted() {
	setup_rpc xfs 3
	fsync_waits pause_copyfiled
	kill_copyfiled
	sleep 1
	restart_copyfiled
	fsync_said 'EIO ok '
	fsync_waits stop_copyfiled
	restart_copyfiled
	fsync_said 'ok ok '
}

t_commit_killed() {
	setup_rpc xfs 3
	fsync_waits pause_copyfiled
	kill -KILL $FSYNC
	! ends 15 "$FSYNC" || fail 'fsync was not killed'
	resume_copyfiled
	# Somebody still has to make it durable.
	[ "$(copyfiled_stat requests_commit)" -le 1 ]
	sync -f up
	[ "$(copyfiled_stat requests_commit)" -ge 1 ]
	is uncommitted 0 "$(copyfiled_stat uncommitted)"
}

# A local lower does nothing on close; what was copied stays uncommitted.
setup_uncommitted() {
	need_dev
	need_copyfiled
	make_lower ext4 low
	load offloadfs_rpc
	start_copyfiled --export "data=$PWD/low,squash=none" --listen "unix:$PWD/sock"
	omount low up "backend=rpc,server=unix:$PWD/sock,export=data,min=0"
	pattern low/src $SIZE
	xcopy cfr up/src up/dst >/dev/null
	is uncommitted 1 "$(copyfiled_stat uncommitted)"
}

# log_since: what the kernel has logged since log_mark.
log_mark() { echo "rpc_wait.sh: $EPOCHREALTIME" | tee mark >/dev/kmsg; }
log_since() { dmesg | sed "1,/$(<mark)/d"; }

mounted() { mountpoint -q up; }

t_sync_killed() {
	local pid
	setup_uncommitted
	kill_copyfiled
	sync -f up &
	pid=$!
	hangs $pid 'sync -f'
	kill -KILL $pid
	! ends 5 $pid || fail 'sync -f was not killed'
	log_mark
	umount up &
	pid=$!
	hangs $pid umount
	kill -KILL $pid
	ends 5 $pid || :
	! mounted || fail 'still mounted'
	log_since | grep -q 'unmounted before copied data of inode' ||
		fail 'nothing was logged'
}

t_umount_forced() {
	setup_uncommitted
	kill_copyfiled
	log_mark
	timeout 20 umount -f up || fail 'umount -f did not work'
	log_since | grep -q 'unmounted before copied data of inode' ||
		fail 'nothing was logged'
	# A mount that is in use stays, and gets over it.
	restart_copyfiled
	omount low up "backend=rpc,server=unix:$PWD/sock,export=data,min=0"
	exec 5<up
	refuse busy umount -f up
	exec 5<&-
	xcopy cfr up/src up/dst >/dev/null
	offloaded 1
	sync -f up
}

# A removed file has nothing to make durable, and nothing to keep its space for.
t_removed() {
	local used
	setup_uncommitted
	rm up/dst
	sync -f low
	used=$(df --output=used -B 1 low | tail -n 1)
	xcopy cfr up/src up/dst >/dev/null
	rm up/dst
	sync -f low
	[ $(($(df --output=used -B 1 low | tail -n 1) - used)) -lt $SIZE ] ||
		fail 'the space is not free'
	is COMMITs 0 "$(copyfiled_stat requests_commit)"
}

# A copy that nobody knows what became of: unmount waits for the server to say.
t_umount_unsettled() {
	local pid
	setup_slow hard
	copy_begins
	pause_copyfiled
	kill -KILL $COPY
	! copy_ends 8 || fail 'the copy was not killed'
	log_mark
	umount up &
	pid=$!
	hangs $pid umount
	mend_disk
	resume_copyfiled
	ends 30 $pid || fail 'umount failed'
	! log_since | grep 'may still be writing' || fail 'it waited for nothing'
}

# umount -f does not wait, and says so; then nothing is left that would keep the
# modules from going.
t_umount_unsettled_forced() {
	setup_slow hard
	copy_begins
	pause_copyfiled
	# It fails what is under way, if not the mount that is in use for that.
	refuse busy umount -f up
	! copy_ends 20 || fail "no error: $(cat copy.out)"
	grep -q 'errno=EIO' copy.out || fail "$(cat copy.out)"
	log_mark
	timeout 20 umount -f up || fail 'umount -f did not work'
	log_since | grep -q 'may still be writing to 1 files' ||
		fail 'nothing was logged'
	timeout 20 rmmod offloadfs_rpc || fail 'offloadfs_rpc does not go'
	mend_disk
	resume_copyfiled
}

# The client's network lives as long as the mounts in it, and no longer.
t_netns() {
	local n
	setup_rpc xfs 3
	ip netns del client
	no_data low cp up/src up/dst
	offloaded 1
	umount up low
	for ((n = 0; n < 100; n++)); do
		[ -e /sys/class/net/rpc-server ] || return 0
		sleep 0.1
	done
	fail 'the network namespace is still there'
}

run_tests 't_commit the server is stopped or cut off during COMMIT' \
	't_commit_restarted the server is killed or shut down during COMMIT' \
	't_commit_killed the task is killed during COMMIT' \
	't_sync_killed sync and umount are killed' \
	't_umount_forced umount -f' \
	't_removed a file that was removed before it was durable' \
	't_umount_unsettled umount while a copy is not settled' \
	't_umount_unsettled_forced umount -f while a copy is not settled' \
	"t_netns the client's network namespace is deleted"
