#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A lower without a page cache: ext4 with DAX, on memory that the kernel was
# started with as a disk (memmap=64M!1G; selftests/vm/guest.sh does that).

. "$(dirname "$0")/lib.sh"

PMEM=${OFFLOADFS_PMEM_DEV:-/dev/pmem0}

setup() {
	local n
	modprobe -q -a nd_e820 nd_pmem || :
	for ((n = 0; n < 20; n++)); do
		[ ! -b "$PMEM" ] || break
		sleep 0.1
	done
	[ -b "$PMEM" ] || skip "no $PMEM: the kernel needs memmap=64M!1G"
	mkfs.ext4 -q -F -b 4096 "$PMEM"
	mkdir low
	mount -t ext4 -o "dax=$1" "$PMEM" low ||
		skip "no DAX of ext4 on $PMEM: $(dmesg | tail -n 1)"
	omount low up
	pattern low/f 1000000
}

# What python's mmap does not do: MAP_SYNC, and what it is refused with.
map_sync() {
	python3 - "$1" <<-'END'
		import ctypes, os, sys
		libc = ctypes.CDLL(None, use_errno=True)
		libc.mmap.restype = ctypes.c_void_p
		libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + \
			[ctypes.c_int] * 3 + [ctypes.c_long]
		fd = os.open(sys.argv[1], os.O_RDWR)
		# read and write; MAP_SHARED_VALIDATE and MAP_SYNC
		p = libc.mmap(None, 8192, 3, 0x80003, fd, 0)
		if p == ctypes.c_void_p(-1).value:
		    print(os.strerror(ctypes.get_errno()))
		    sys.exit()
		ctypes.memmove(p + 100, b"mapped", 6)
		print(os.pread(fd, 6, 100).decode())
		for line in open("/proc/self/smaps"):
		    if line.startswith("VmFlags") and " sf" in line:
		        print("synchronous")
	END
}

# Of statx(2), STATX_ATTR_DAX.
is_dax() {
	local attributes
	attributes=$(xfs_io -r -c 'statx -r' "$1" | sed -n 's/^stat.attributes = //p')
	[ -n "$attributes" ] && echo $((attributes >> 21 & 1))
}

t_dax() {
	setup always
	is 'bare is synchronous' 'mapped synchronous' "$(map_sync low/f | paste -sd' ')"
	is 'so is the mount' 'mapped synchronous' "$(map_sync up/f | paste -sd' ')"
	says mapped head -c 106 low/f
	cmp low/f up/f
	# Coherent without any cache in between.
	cp up/f up/g
	cmp up/f up/g
	xcopy sendfile up/f up/h >/dev/null
	cmp low/f low/h
	is intercepted 1 "$(count sendfile_intercepted)"
	dd if=low/f of=up/g bs=4096 oflag=direct conv=notrunc status=none
	cmp low/f up/g
	truncate -s 5000 up/g
	cmp -n 5000 low/f low/g
	cp /bin/true up/true
	up/true
}

t_says_so() {
	need xfs_io
	setup always
	is bare 1 "$(is_dax low/f)"
	is mount 1 "$(is_dax up/f)"
}

# Nothing of it is kept, anyway: the kernel refuses to promise that.
t_dontcache() {
	setup always
	python3 - <<-'END'
		import errno, os
		def dontcache(name):
		    fd = os.open(name, os.O_RDONLY)
		    try:
		        return os.preadv(fd, [bytearray(4096)], 0, 0x80)
		    except OSError as e:
		        return e.errno
		assert dontcache("low/f") == dontcache("up/f") == errno.EOPNOTSUPP
	END
}

t_without() {
	setup never
	is 'bare' 'Operation not supported' "$(map_sync low/f)"
	is 'mount' 'Operation not supported' "$(map_sync up/f)"
}

run_tests \
	't_dax DAX: mappings, copies, programs' \
	't_says_so statx tells of DAX' \
	't_dontcache RWF_DONTCACHE is refused as on the lower' \
	't_without the same disk without DAX: no synchronous mapping'
