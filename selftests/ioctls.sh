#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A file system's own ioctls through the mount: the same file, asked through
# the mount and in the lower, answers the same, to a 64-bit and to a 32-bit
# program; changes arrive in the lower; what takes other files is refused.

. "$(dirname "$0")/lib.sh"

# each_size FUNCTION: with $ioctl for the 64-bit program, then the 32-bit one.
each_size() {
	ioctl=fsioctl
	"$1"
	[ -x "$DIR/fsioctl_32" ] || return 0
	ioctl=fsioctl_32
	"$1"
}

fsioctl() { "$DIR/${ioctl:-fsioctl}" "$@"; }

# At least so many of the answers are answers.
answered() { [ "$(grep -c ': 0 ' "$1")" -ge "$2" ] || fail "few answers: $(cat "$1")"; }

# A file system may write something by itself in between: then once more.
ask_both() {
	local f
	for f in f .; do
		for _ in 1 2 3; do
			fsioctl ask "$type" low/$f >"bare.$f"
			fsioctl ask "$type" up/$f >"upper.$f"
			! cmp -s "bare.$f" "upper.$f" || break
		done
		diff "bare.$f" "upper.$f"
	done
	answered bare.f "$answers"
}

# Each on its own file: what has been migrated, say, is not migrated again.
change_both() {
	pattern low/a 200000
	pattern low/b 200000
	fsioctl change "$type" low/a >bare
	sync low
	fsioctl change "$type" up/b >upper
	diff bare upper
	cmp low/a low/b
	says changed fsioctl_label
}

fsioctl_label() {
	python3 -c '
import fcntl, os
label = fcntl.ioctl(os.open("low", os.O_RDONLY), 0x81009431, b"\0" * 256)
print(label.strip(b"\0").decode())'
}

# A read-only mount of a lower that is not.
changes_refused() {
	mount -o remount,ro up
	fsioctl change "$type" up/f >upper
	grep -q 'FS_IOC_SETFSLABEL: EROFS' upper
	fsioctl verity up/f | grep -q 'ENABLE_VERITY: EROFS'
	mount -o remount,rw up
}

others_refused() {
	fsioctl refused up/f >upper
	fsioctl refused up >>upper
	! grep -v ': ENOTTY$' upper || fail 'other answers'
}

# of TYPE ANSWERS: all the tests of one type of lower, which has a file "f".
of() {
	type=$1 answers=$2
	pattern low/f 300000
	omount low up
	sync low
	each_size ask_both
	each_size others_refused
	each_size changes_refused
	change_both
}

t_ext4() {
	need_dev
	make_lower ext4 low
	of ext4 6
}

t_xfs() {
	need_dev
	make_lower xfs low
	of xfs 9
}

t_btrfs() {
	need_dev
	make_lower btrfs low
	of btrfs 10
}

t_tmpfs() {
	make_lower tmpfs low
	echo x >low/f
	omount low up
	type=vfs answers=0
	each_size ask_both
	each_size others_refused
}

t_sysfs_path() {
	make_lower tmpfs low
	omount low up
	python3 -c '
import fcntl, os
arg = bytearray(129)
fcntl.ioctl(os.open("up", os.O_RDONLY), 0x80811501, arg)
print("/sys/fs/" + arg[1:1 + arg[0]].decode())' >told 2>errors ||
		skip "the kernel does not tell: $(tail -n 1 errors)"
	is path "$(sys_dir up)" "$(<told)"
}

# has FEATURE: of this kernel's ext4.
has() {
	modprobe -q ext4 || :
	[ -e "/sys/fs/ext4/features/$1" ] || skip "no $1 in this kernel's ext4"
}

t_verity() {
	need_dev
	has verity
	mkfs.ext4 -q -F -O verity -E nodiscard "$DEV"
	mkdir low
	mount -t ext4 "$DEV" low
	pattern low/f 300000
	omount low up
	exec 5>>up/f
	says 'ENABLE_VERITY: ETXTBSY' fsioctl verity up/f
	exec 5>&-
	says 'ENABLE_VERITY: 0' fsioctl verity up/f
	ioctl=fsioctl
	fsioctl ask ext4 low/f >bare
	fsioctl ask ext4 up/f >upper
	diff bare upper
	grep -q 'MEASURE_VERITY: 0' upper
	is verity 1 "$(lsattr low/f | cut -d' ' -f1 | grep -c V)"
	is verity 1 "$(lsattr up/f | cut -d' ' -f1 | grep -c V)"
	refuse 'not permitted' dd if=/dev/zero of=up/f conv=notrunc count=1
	refuse 'not permitted' truncate -s 0 up/f
	refuse 'not permitted' dd if=/dev/zero of=low/f conv=notrunc count=1
	cmp low/f up/f
}

t_encryption() {
	local ioctl=fsioctl
	need_dev
	has encryption
	mkfs.ext4 -q -F -O encrypt -E nodiscard "$DEV"
	mkdir low
	mount -t ext4 "$DEV" low
	omount low up
	mkdir up/d
	fsioctl policy up/d >upper
	! grep -q 'ADD_KEY: E' upper || skip "no encryption: $(cat upper)"
	says 'SET_POLICY: 0' cat upper
	mkdir up/d/sub
	pattern keep 100000
	cp keep up/d/name
	cp keep up/d/sub/other
	cmp keep low/d/name
	is encrypted 1 "$(lsattr -d up/d | cut -d' ' -f1 | grep -c E)"
	touch up/plain
	refuse 'cross-device' ln up/plain up/d/plain
	# Names and files that the mount keeps in memory do not keep the key.
	says 'status 0' fsioctl lock up
	is names 2 "$(find up/d -mindepth 1 -maxdepth 1 | wc -l)"
	[ ! -e up/d/name ]
	refuse 'key not available' cp "up/d/$(find up/d -maxdepth 1 -type f -printf '%f')" got
	is names "$(ls low/d)" "$(ls up/d)"
	# With the key they are back, and the other names are gone.
	says 'ADD_KEY: 0' fsioctl key up
	is names 'name sub' "$(find up/d -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | paste -sd' ')"
	cmp keep up/d/name
	cmp keep up/d/sub/other
	# As long as a file is open the key stays for it.
	exec 5<up/d/name
	says 'status 1' fsioctl lock up
	exec 5<&-
	says 'status 0' fsioctl lock up
	[ ! -e up/d/name ]
}

run_tests \
	't_ext4 those of ext4' \
	't_xfs those of XFS' \
	't_btrfs those of Btrfs' \
	't_tmpfs a lower without any' \
	't_sysfs_path the path in sysfs is that of the mount' \
	't_verity verity files' \
	't_encryption encrypted directories, and taking their key away'
