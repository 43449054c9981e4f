#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Unmounting and unloading: busy is EBUSY, lazy works, and nothing is left
# behind: no mount of the lower, no directory in sysfs, no slab object, no
# reference to a module.

. "$(dirname "$0")/lib.sh"

no_sysfs() { [ -z "$(ls /sys/fs/offloadfs)" ]; }

# wait_for COMMAND...: up to 10 s.
wait_for() {
	local i
	for ((i = 0; i < 100; i++)); do
		"$@" && return
		sleep 0.1
	done
	fail "did not happen: $*"
}

t_open_file() {
	setup_pair tmpfs
	exec 5>up/f
	refuse 'busy' umount up
	echo still >&5
	exec 5>&-
	umount up
	is contents still "$(<low/f)"
	no_sysfs
	umount low
}

t_working_directory() {
	setup_pair tmpfs
	mkdir up/d
	(cd up/d && refuse 'busy' umount "$WORK/up")
	umount up
	umount low
}

# As with overlayfs, the mount holds a private clone of the lower's mount.
t_lower_is_held() {
	setup_pair tmpfs
	echo x >up/f
	umount low
	is contents x "$(<up/f)"
	pattern up/src 100000
	xcopy sendfile up/src up/dst >/dev/null
	cmp up/src up/dst
}

t_lazy() {
	local dir
	setup_pair tmpfs
	pattern up/src 100000
	dir=$(sys_dir up)
	exec 5<up/src 6<>up/dst
	umount -l up
	is mounts '' "$(grep " $WORK/up " /proc/self/mountinfo || true)"
	refuse 'in use' rmmod offloadfs
	cat <&5 >&6
	cmp low/src low/dst
	[ -e "$dir/lower" ]
	exec 5<&- 6>&-
	wait_for no_sysfs
	umount low
}

t_lazy_then_mount_again() {
	setup_pair tmpfs
	exec 5>up/f
	umount -l up
	omount low up
	echo x >up/g
	exec 5>&-
	is contents x "$(<up/g)"
}

t_during_a_copy() {
	local pid
	load offloadfs_test_backend
	setup_pair tmpfs backend=test,min=0
	pattern up/src 100000
	script hang
	"$DIR/xcopy" sendfile up/src up/dst >/dev/null 2>&1 &
	pid=$!
	wait_for grep -q hang "$PARAM/log"
	refuse 'busy' umount up
	refuse 'in use' rmmod offloadfs_test_backend
	kill -9 $pid
	reap $pid
	umount up
	no_sysfs
	rmmod offloadfs_test_backend
}

t_lazy_during_a_copy() {
	local pid
	load offloadfs_test_backend
	setup_pair tmpfs backend=test,min=0
	pattern up/src 100000
	script delay=1000,do
	"$DIR/xcopy" sendfile up/src up/dst >out &
	pid=$!
	wait_for grep -q delay "$PARAM/log"
	umount -l up
	wait $pid
	cmp low/src low/dst
	wait_for no_sysfs
}

t_rmmod() {
	unload
	load offloadfs
	setup_pair tmpfs
	refuse 'in use' rmmod offloadfs
	touch up/f
	umount up
	rmmod offloadfs
	[ ! -e /sys/fs/offloadfs ]
	load offloadfs
}

t_failed_mounts_leave_nothing() {
	local i
	make_lower tmpfs low
	mkdir up
	load offloadfs_test_backend
	for i in create ready; do
		echo $i >"$PARAM/fail"
		refuse 'backend test' mount -t offloadfs -o backend=test low up
	done
	echo >"$PARAM/fail"
	refuse 'refuses option testopt' \
		mount -t offloadfs -o backend=test,testopt=x low up
	refuse 'unknown option' mount -t offloadfs -o backend=test,nosuch low up
	is 'mounts of the backend' 0 "$(<"$PARAM/mounts")"
	no_sysfs
	umount low
	rmmod offloadfs_test_backend
	rmmod offloadfs
	load offloadfs
}

# Objects of every kind, then unload: the kernel says so if one is left.
t_nothing_leaks() {
	local i round
	dmesg -C
	for round in 1 2 3; do
		echo "# round $round"
		setup_pair tmpfs
		mkdir -p up/a/b/c
		ln -s x up/l
		mkfifo up/p
		mknod up/n c 1 3
		for ((i = 0; i < 200; i++)); do
			echo >up/a/$i
		done
		rm -r up/a
		pattern up/src 50000
		xcopy sendfile up/src up/dst >/dev/null
		xcopy cfr up/src up/dst >/dev/null
		setfattr -n trusted.x -v y up/src
		mv up/src up/l2
		umount up
		umount low
		unload
		is caches '' "$(awk '/^offloadfs/ { print $1 }' /proc/slabinfo)"
		load offloadfs
	done
	is 'complaints of the kernel' '' \
		"$(dmesg | grep -Ei 'still has objects|objects remaining|still in use|WARNING|BUG|leak' || true)"
}

run_tests \
	't_open_file an open file keeps the mount busy' \
	't_working_directory a working directory keeps the mount busy' \
	't_lower_is_held the lower may be unmounted meanwhile' \
	't_lazy lazy unmount with open files' \
	't_lazy_then_mount_again lazy unmount, and a new mount' \
	't_during_a_copy unmount while a copy runs is EBUSY' \
	't_lazy_during_a_copy lazy unmount while a copy runs' \
	't_rmmod the module is pinned by a mount, and goes afterwards' \
	't_failed_mounts_leave_nothing failed mounts leave nothing behind' \
	't_nothing_leaks nothing leaks'
