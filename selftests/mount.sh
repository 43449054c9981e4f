#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# mount(8) of offloadfs: by type and from fstab, over another directory or the
# lower itself; what it refuses and with which words; what mountinfo shows and
# what a remount changes.

. "$(dirname "$0")/lib.sh"

options() {
	awk -v m="$WORK/up" '$5 == m { o = $6 "," $NF } END { print o }' \
		/proc/self/mountinfo
}

mount_with() { mount -t offloadfs -o "$1" low up; }

t_autoload() {
	local old log=$WORK/asked
	mkdir low up
	says '^fs-offloadfs$' modinfo -F alias "$MODULES/offloadfs.ko"
	unload
	cat >modprobe <<-END
		#!/bin/sh
		echo "\$*" >>$log
		case "\$*" in
		*fs-offloadfs) exec /sbin/insmod $MODULES/offloadfs.ko ;;
		*offloadfs-backend-test) exec /sbin/insmod $MODULES/offloadfs_test_backend.ko ;;
		esac
		exit 1
	END
	chmod +x modprobe
	old=$(</proc/sys/kernel/modprobe)
	echo "$WORK/modprobe" >/proc/sys/kernel/modprobe
	mount_with backend=test 2>&1 || touch failed
	echo "$old" >/proc/sys/kernel/modprobe
	load offloadfs
	says fs-offloadfs cat asked
	says offloadfs-backend-test cat asked
	[ ! -e failed ]
}

t_shows_lower() {
	make_lower tmpfs low
	mkdir low/d
	echo hello >low/d/f
	omount low up
	is contents hello "$(<up/d/f)"
	is 'device and inode' "$(stat -c %d:%i low/d/f)" "$(stat -c %d:%i up/d/f)"
	is 'type of statfs' 6f666c64 "$(stat -f -c %t up)"
	is blocks "$(stat -f -c %b low)" "$(stat -f -c %b up)"
	is 'lower in sysfs' "$WORK/low" "$(cat "$(sys_dir up)/lower")"
	mount -t offloadfs low/d d 2>/dev/null || mkdir d
	omount low/d d
	is 'subdirectory' f "$(ls d)"
}

t_over_itself() {
	make_lower tmpfs low
	echo hello >low/f
	omount low low
	is type 6f666c64 "$(stat -f -c %t low)"
	is contents hello "$(<low/f)"
	echo new >low/g
	umount low
	is contents new "$(<low/g)"
}

t_relative_and_symlink() {
	mkdir low up
	touch low/f
	ln -s low link
	omount ./link up
	is names f "$(ls up)"
	grep -q " $WORK/up .* - offloadfs " /proc/self/mountinfo
}

t_fstab() {
	make_lower tmpfs low
	touch low/f
	mkdir up
	echo "$WORK/low $WORK/up offloadfs min=64k,nocfr 0 0" >fstab
	mount -T fstab "$WORK/up"
	is names f "$(ls up)"
	[[ ,$(options), == *,min=65536,nocfr,* ]]
	umount up
	mount -T fstab -a
	is names f "$(ls up)"
}

t_bad_options() {
	mkdir low up
	refuse "unknown option '?nosuch" mount_with nosuch
	refuse "unknown option '?nosuch" mount_with nosuch=1
	refuse 'min=abc: expected a size' mount_with min=abc
	refuse 'min=-1: expected a size' mount_with min=-1
	refuse 'min=: expected a size|min' mount_with min=
	refuse 'min' mount_with min
	refuse 'min=1Kx: expected a size' mount_with min=1Kx
	refuse 'backend' mount_with backend=
	refuse 'backend nosuch is unknown' mount_with backend=nosuch
	refuse 'backend .* is unknown' mount_with backend=native:
	refuse 'native is named twice' mount_with backend=native:native
	refuse 'local can only be the last' mount_with backend=local:native
	refuse 'strict' mount_with strict=1
	is 'mounts left' '' "$(options)"
	is 'sysfs left' '' "$(ls /sys/fs/offloadfs)"
}

t_bad_lower() {
	mkdir up
	touch file
	refuse 'nosuch' mount -t offloadfs nosuch up
	refuse 'file: (error -20|not a directory)|not a directory' \
		mount -t offloadfs file up
	refuse 'lower directory|ELOOP|stack' mount -t offloadfs /proc up
	says 22 python3 -c '
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.mount(None, b"up", b"offloadfs", 0, None)
print(ctypes.get_errno())'
	is 'sysfs left' '' "$(ls /sys/fs/offloadfs)"
}

t_too_deep() {
	mkdir low
	omount low one
	omount one two
	touch two/f
	[ -e low/f ]
	mkdir three
	refuse 'stacked' mount -t offloadfs two three
}

t_two_mounts_of_one_lower() {
	mkdir low
	omount low up
	omount low up2 min=1M
	echo a >up/f
	is contents a "$(<up2/f)"
	[ "$(sys_dir up)" != "$(sys_dir up2)" ]
	[[ ,$(options), != *,min=1048576,* ]]
}

t_mountinfo() {
	mkdir low up
	mount_with min=1M,nosendfile,nocfr,noclone,strict,nosparse
	[[ ,$(options), == *,min=1048576,nosendfile,nocfr,noclone,strict,nosparse,* ]]
	umount up
	mount_with backend=local,sparse
	[[ ,$(options), == *,backend=local,* ]]
	[[ ,$(options), != *sparse* ]]
	umount up
	mount -t offloadfs low up
	[[ ,$(options), == *,backend=native,* ]]
	[[ ,$(options), != *nosendfile* ]]
}

t_options_survive_a_round_trip() {
	local shown
	mkdir low up
	mount_with backend=native,min=4k,nocfr,strict
	shown=$(options)
	umount up
	mount_with "${shown#*,rw,}"
	is options "$shown" "$(options)"
}

t_remount() {
	mkdir low up
	mount_with min=4k,nocfr
	mount -o remount,min=8k up
	[[ ,$(options), == *,min=8192,nocfr,* ]]
	mount -o remount,cfr,nosendfile,noclone,strict,nosparse up
	[[ ,$(options), == *,min=8192,nosendfile,noclone,strict,nosparse,* ]]
	mount -o remount,sendfile,clone,nostrict,sparse up
	[[ ,$(options), != *nosendfile* && ,$(options), != *strict* ]]
	refuse 'backend cannot change' mount -o remount,backend=local up
	refuse 'min=x: expected a size' mount -o remount,min=x up
	[[ ,$(options), == *,min=8192,* ]]
}

t_read_only() {
	make_lower tmpfs low
	touch low/f
	omount low up ro
	refuse 'read-only' touch up/g
	touch low/g
	mount -o remount,rw up
	touch up/h
	umount up
	mount -o remount,ro low
	omount low up
	refuse 'read-only' touch up/i
}

t_flags() {
	mkdir low
	cp /bin/true low/t
	omount low up noexec,nosuid,nodev
	refuse 'permission denied' up/t
	[[ $(options) == *nosuid*nodev*noexec* ]]
}

# The lower's own flags hold: a stacked mount is no way around them.
t_flags_of_the_lower() {
	make_lower tmpfs low
	mount -o remount,noexec,nosuid,nodev low
	cp /bin/true low/t
	mknod low/null c 1 3
	omount low up
	refuse 'permission denied' up/t
	refuse 'permission denied' dd if=/dev/zero of=up/null count=1
}

t_user_namespace() {
	mkdir low up
	unshare -Urm true || skip 'no user namespaces'
	refuse 'permission denied|not permitted|must be superuser' \
		unshare -Urm mount -t offloadfs low up
	touch up/still-plain
	[ ! -e low/still-plain ]
}

run_tests \
	't_autoload mount by type loads the module, backend= its module' \
	't_shows_lower it shows the lower, with its device and inode numbers' \
	't_over_itself over the lower directory itself' \
	't_relative_and_symlink relative paths and symbolic links as lower' \
	't_fstab from fstab' \
	't_bad_options bad options are refused in words' \
	't_bad_lower a lower that is missing, a file, or not stackable is refused' \
	't_too_deep a third layer is refused' \
	't_two_mounts_of_one_lower two mounts of one lower' \
	't_mountinfo mountinfo shows the options' \
	't_options_survive_a_round_trip what is shown can be mounted with' \
	't_remount remount changes switches and min, not the backend' \
	't_read_only read-only mounts and lowers' \
	't_flags noexec, nosuid, nodev of the mount' \
	't_flags_of_the_lower noexec, nosuid, nodev of the lower' \
	't_user_namespace a user namespace may not mount'
