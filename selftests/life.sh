#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A mount's life: what is synced survives a crash, a frozen lower holds writers
# until it is thawed, a lower that becomes read-only says so, caches shrink when
# memory is wanted, and many mounts leave nothing behind.
#
# OFFLOADFS_SOAK, if set, makes it thousands of mounts.

. "$(dirname "$0")/lib.sh"
. "$DIR/libparity.sh"

# crash: the lower stops as it does when the power goes.
crash() {
	xfs_io -x -c shutdown low
	umount up
	umount low
	mount "$DEV" low
	omount low up
}

# What was written but not synced is lost, or the others prove nothing.
t_crash() {
	local how
	need_dev
	need xfs_io
	setup_pair xfs
	pattern up/unsynced 300000
	crash
	[ ! -e low/unsynced ] || [ "$(stat -c %s low/unsynced)" = 0 ]
	for how in 'sync up/f' 'sync -d up/f' 'sync -f up/f' 'sync'; do
		pattern up/f 300000
		[ "$how" != 'sync -d up/f' ] || sync up
		$how
		crash
		pattern want 300000
		cmp want up/f || fail "lost after $how"
		rm up/f
		sync
	done
}

# writer FILE: as long as the file "stop" is not there; counts in FILE.
writer() {
	local n=0
	while [ ! -e stop ]; do
		echo $((++n)) >>"$1"
	done
}

# still FILE...: nobody writes to them.
still() {
	local before
	before=$(stat -c %s "$@")
	sleep 1
	is 'sizes while frozen' "$before" "$(stat -c %s "$@")"
}

# frozen BY OTHER: freeze it by one mount, while both are written to.
frozen() {
	local pids=() f i
	for f in up/w1 up/w2 low/w3; do
		writer $f &
		pids+=($!)
	done
	trap 'touch stop; fsfreeze -u low 2>/dev/null || :' EXIT
	for i in 1 2; do
		sleep 0.3
		fsfreeze -f "$1"
		refuse 'busy' fsfreeze -f "$2"
		[ $i != 2 ] || still up/w1 up/w2 low/w3
		timeout 20 sync -f up
		timeout 20 mount -t offloadfs low second
		is 'first line' 1 "$(head -n 1 second/w1)"
		timeout 20 umount second
		timeout 20 mount -o remount,min=1M up
		fsfreeze -u "$2"
		refuse 'invalid argument' fsfreeze -u "$1"
	done
	i=$(stat -c %s up/w1)
	sleep 0.5
	[ "$(stat -c %s up/w1)" -gt "$i" ] || fail "the writer stays stopped"
	touch stop
	wait "${pids[@]}"
	for f in w1 w2 w3; do
		seq 1 "$(wc -l <up/$f)" | cmp - up/$f
		cmp low/$f up/$f
	done
}

setup_freeze() { need_dev; setup_pair "$1"; mkdir second; }
t_freeze_lower() { setup_freeze xfs; frozen low up; }
t_freeze_mount() { setup_freeze ext4; frozen up low; }

# A copy waits like a write.
t_freeze_copy() {
	local pid
	setup_freeze xfs
	pattern up/src 1000000
	sync
	fsfreeze -f up
	trap 'fsfreeze -u low 2>/dev/null || :' EXIT
	touch -d @0 copied
	(xcopy sendfile up/src up/dst && xcopy cfr up/src up/dst2; touch copied) \
		>/dev/null &
	pid=$!
	sleep 1
	is 'time of the copy' 0 "$(stat -c %Y copied)"
	fsfreeze -u up
	wait $pid
	cmp up/src low/dst
	cmp up/src low/dst2
}

freezing() {
	try fsfreeze -f "$1"
	try fsfreeze -u "$1"
	try as 1000 fsfreeze -f "$1"
}
t_no_freeze() { make_lower tmpfs low; parity_dirs low; same freezing; }

# The lower becomes read-only, if nobody is writing, and writable again.
becomes_readonly() {
	local kind=$1
	need_dev
	make_lower "$kind" low
	omount low up
	echo text >up/f
	exec 5>>up/f
	refuse 'busy' mount -o remount,ro low
	echo more >&5
	exec 5>&-
	mount -o remount,ro low
	refuse 'read-only' touch up/g
	refuse 'read-only' rm up/f
	refuse 'read-only' sh -c 'echo x >>up/f'
	refuse 'read-only' truncate -s 0 up/f
	refuse 'read-only' setfattr -n user.x -v 1 up/f
	refuse 'read-only' mv up/f up/g
	[ ! -w up/f ]
	is text 'text more' "$(tr '\n' ' ' <up/f | sed 's/ $//')"
	mount -o remount,rw low
	echo again >>up/f
	is lines 3 "$(wc -l <low/f)"
}
t_readonly_ext4() { becomes_readonly ext4; }
t_readonly_xfs() { becomes_readonly xfs; }

# objects CACHE: in use, of a slab cache.
objects() {
	awk -v c="$1" '$1 == c { n = $2 } END { print n + 0 }' /proc/slabinfo
}

# Per-CPU objects in use are only counted by the page: shrink first.
upper_inodes() {
	echo 1 >/sys/kernel/slab/offloadfs_inode/shrink
	objects offloadfs_inode
}

many_files() {
	python3 - "$1" "$2" <<-'END'
		import os, sys
		for i in range(int(sys.argv[2])):
		    d = f"{sys.argv[1]}/{i // 500}"
		    if i % 500 == 0:
		        os.mkdir(d)
		    os.close(os.open(f"{d}/file-of-some-length-{i}", os.O_CREAT | os.O_WRONLY))
	END
}

t_drop_caches() {
	local n names lower
	need_dev
	setup_pair ext4
	many_files up 3000
	sync
	n=$(upper_inodes)
	[ "$n" -ge 3000 ] || fail "$n inodes in the cache"
	lower=$(objects ext4_inode_cache)
	names=$(objects dentry)
	exec 5<up/1/file-of-some-length-600
	echo 2 >/proc/sys/vm/drop_caches
	n=$(upper_inodes)
	[ "$n" -le 300 ] || fail "$n inodes after drop_caches"
	echo 2 >/proc/sys/vm/drop_caches
	n=$((names - $(objects dentry)))
	[ $n -ge 4000 ] || fail "only $n names went"
	n=$((lower - $(objects ext4_inode_cache)))
	[ $n -ge 2000 ] || fail "only $n inodes of the lower went"
	is 'a directory' 500 "$(find up/2 -type f | wc -l)"
	exec 5<&-
}

# What a cgroup has cached here is its own, and goes when it has to.
t_cgroup() {
	local n cg=/sys/fs/cgroup
	mountpoint -q $cg || mount -t cgroup2 cgroup2 $cg
	grep -q memory $cg/cgroup.controllers || skip "no memory cgroups"
	need_dev
	setup_pair xfs
	echo +memory >$cg/cgroup.subtree_control
	mkdir -p $cg/offloadfs
	trap 'rmdir /sys/fs/cgroup/offloadfs' EXIT
	many_files up 3000
	sync
	echo 3 >/proc/sys/vm/drop_caches
	(
		echo $BASHPID >$cg/offloadfs/cgroup.procs
		find up -type f -size +1M
	)
	n=$(upper_inodes)
	[ "$n" -ge 3000 ] || fail "$n inodes in the cache"
	n=$(awk '/^slab_reclaimable/ { print $2 }' $cg/offloadfs/memory.stat)
	[ "$n" -ge 3000000 ] || fail "charged for $n bytes only"
	echo 1M >$cg/offloadfs/memory.max
	n=$(upper_inodes)
	[ "$n" -le 1500 ] || fail "$n inodes stay"
	is killed 0 "$(awk '$1 == "oom_kill" { print $2 }' $cg/offloadfs/memory.events)"
	# And somebody works within a limit that is less than all of it.
	echo 8M >$cg/offloadfs/memory.max
	is files 3000 "$(
		echo $BASHPID >$cg/offloadfs/cgroup.procs
		find up -type f -size -1M -printf 'x\n' | grep -c x
	)"
	is killed 0 "$(awk '$1 == "oom_kill" { print $2 }' $cg/offloadfs/memory.events)"
}

# mounts N: mount, use and unmount; prints the last device number.
mounts() {
	python3 - "$1" <<-'END'
		import ctypes, os, sys
		libc = ctypes.CDLL(None, use_errno=True)
		for i in range(int(sys.argv[1])):
		    if libc.mount(b"low", b"up", b"offloadfs", 0, b"min=4k"):
		        sys.exit(os.strerror(ctypes.get_errno()))
		    os.stat("up/f")
		    dev = open("/proc/self/mountinfo").read().split(" - offloadfs")[0]
		    dev = dev.rsplit("\n", 1)[1].split()[2]
		    if i % 7 == 0:
		        fd = os.open("up/f", os.O_RDONLY)
		        assert libc.umount2(b"up", 2) == 0
		        os.close(fd)
		    elif libc.umount2(b"up", 0):
		        sys.exit(os.strerror(ctypes.get_errno()))
		print(dev)
	END
}

kilobytes() { awk -v k="$1:" '$1 == k { print $2 }' /proc/meminfo; }

t_many_mounts() {
	local n=100 dev percpu mnt names
	[ -z "${OFFLOADFS_SOAK:-}" ] || n=3000
	make_lower tmpfs low
	mkdir up
	touch low/f
	dev=$(mounts 10)
	sleep 1
	percpu=$(kilobytes Percpu)
	mnt=$(objects mnt_cache)
	names=$(objects kernfs_node_cache)
	is 'device number' "$dev" "$(mounts $n)"
	sleep 1
	is 'inodes left' 0 "$(upper_inodes)"
	is 'sysfs left' '' "$(ls /sys/fs/offloadfs)"
	# Each has some kilobytes of counters a CPU, a mount, forty names.
	[ "$(kilobytes Percpu)" -le $((percpu + n)) ] || fail 'per-CPU memory is lost'
	[ "$(objects mnt_cache)" -le $((mnt + n / 2)) ] || fail 'mounts are lost'
	[ "$(objects kernfs_node_cache)" -le $((names + n * 10)) ] ||
		fail 'names in sysfs are lost'
}

run_tests \
	't_crash synced data survive a crash' \
	't_freeze_lower fsfreeze of the lower holds writers' \
	't_freeze_mount fsfreeze of the mount freezes the lower' \
	't_freeze_copy a copy waits for the thaw' \
	't_no_freeze fsfreeze where the lower cannot' \
	't_readonly_ext4 the lower becomes read-only, ext4' \
	't_readonly_xfs the lower becomes read-only, XFS' \
	't_drop_caches drop_caches shrinks the caches' \
	't_cgroup a limit of memory shrinks the caches' \
	't_many_mounts many mounts leave nothing'
