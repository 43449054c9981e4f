#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Lower file systems that nobody would copy on: those of the kernel itself, and
# images that cannot be written to. Each can be shown and walked, or is refused
# with an errno and a reason.

. "$(dirname "$0")/lib.sh"

# names_of DIR DEPTH: what there is, as far as it stays the same.
names_of() {
	(cd "$1" && find . -maxdepth "$2" -printf '%p %y %m %n %U %G\n' 2>&1 | sort)
}

# contents_of FILE: by read, and by a copy.
contents_of() {
	cat "$1" 2>&1
	python3 - "$1" <<-'END'
		import os, sys
		f = os.open(sys.argv[1], os.O_RDONLY)
		try:
		    while os.sendfile(1, f, None, 1 << 20):
		        pass
		except OSError as e:
		    print(e.strerror)
	END
}

# shows DIR DEPTH [FILE...]: the mount shows the same names as a bind mount, and
# of these files the same contents.
shows() {
	local f
	mkdir -p bare
	mount --bind "$1" bare
	omount "$1" up ''
	names_of bare "$2" >want
	names_of up "$2" >got
	umount bare
	diff want got
	is statfs "$(stat -f -c '%l %S' "$1")" "$(stat -f -c '%l %S' up)"
	for f in "${@:3}"; do
		(cd "$1" && contents_of "$f") >want
		(cd up && contents_of "$f") >got
		cmp want got
		[ -s got ] || fail "$1/$f: nothing"
	done
	umount up
}

need_mounted() { mountpoint -q "$1" || skip "$1 is not mounted"; }

# What must not be stacked on says so to the kernel.
t_refused() {
	modprobe -q binfmt_misc || :
	refuse 'cannot be stacked on' omount /proc up
	refuse 'cannot be stacked on' omount /proc/self up
	refuse 'not a directory' omount /proc/version up
	mkdir huge
	if mount -t hugetlbfs hugetlbfs huge; then
		refuse 'cannot be stacked on' omount huge up
	fi
	[ "$(stat -f -c %T up)" != offloadfs ]
}

t_sysfs() {
	shows /sys 2
	shows /sys/kernel 2 mm/transparent_hugepage/enabled mm/hugepages/hugepages-2048kB/nr_hugepages
	# A write that the attribute refuses, and one that it takes.
	omount /sys/module/offloadfs up ''
	alike_write() { echo "$2" >"$1" 2>/dev/null && echo taken || echo refused; }
	is 'a write' "$(alike_write /sys/module/offloadfs/refcnt 1)" \
		"$(alike_write up/refcnt 1)"
	umount up
	omount /sys/kernel/mm/transparent_hugepage up ''
	local was
	was=$(sed 's/.*\[\(.*\)\].*/\1/' up/enabled)
	echo never >up/enabled
	grep -q '\[never\]' /sys/kernel/mm/transparent_hugepage/enabled
	echo "$was" >up/enabled
	grep -q "\[$was\]" up/enabled
}

t_cgroup() {
	need_mounted /sys/fs/cgroup
	shows /sys/fs/cgroup 1 cgroup.controllers cgroup.max.depth
	omount /sys/fs/cgroup up ''
	mkdir up/offloadfs-test
	echo 5 >up/offloadfs-test/cgroup.max.depth
	is written 5 "$(cat /sys/fs/cgroup/offloadfs-test/cgroup.max.depth)"
	rmdir up/offloadfs-test
	[ ! -e /sys/fs/cgroup/offloadfs-test ]
}

t_debugfs() {
	need_mounted /sys/kernel/debug
	local want
	omount /sys/kernel/debug up ''
	ls /sys/kernel/debug >want
	ls up >got
	cmp want got
	# The kernel would mount tracefs there.
	[ ! -e want ] || ! grep -qx tracing want ||
		refuse 'is remote' stat up/tracing
	umount up
	need_mounted /sys/kernel/tracing
	shows /sys/kernel/tracing 1 available_tracers current_tracer
	omount /sys/kernel/tracing up ''
	mkdir up/instances/offloadfs-test
	is tracer nop "$(cat up/instances/offloadfs-test/current_tracer)"
	rmdir up/instances/offloadfs-test
}

# configfs, bpf, mqueue, securityfs and others that are there.
t_small() {
	local fs
	mkdir small
	for fs in configfs bpf mqueue securityfs fusectl pstore rpc_pipefs selinuxfs \
		ramfs efivarfs binder devpts; do
		modprobe -q "$fs" || :
		mount -t "$fs" "$fs" small 2>/dev/null || continue
		echo "# $fs"
		[ $fs = rpc_pipefs ] || shows small 2
		umount small
	done
	mount -t ramfs ramfs small
	omount small up ''
	pattern up/src 100000
	cp up/src up/dst
	cmp small/src small/dst
	umount up
}

# Devices can be used, but those of terminals look for their own file system.
t_dev() {
	shows /dev 1
	omount /dev up ''
	is zeros 5 "$(head -c 5 up/zero | wc -c)"
	echo lost >up/null
	is listing "$(stat -c '%t %T' /dev/null)" "$(stat -c '%t %T' up/null)"
	refuse 'no such (device|file)' cat up/ptmx
	umount up
	shows /dev/pts 1
	omount /dev/pts up ''
	python3 -c 'import errno, os, pty
ours, theirs = pty.openpty()
try:
    os.open("up/" + os.path.basename(os.ttyname(theirs)), os.O_RDWR | os.O_NOCTTY)
    raise SystemExit("opened")
except OSError as e:
    assert e.errno == errno.EIO, e'
}

t_read_only() {
	need mksquashfs genisoimage
	mkdir -p tree/d image
	pattern tree/d/f 300000
	ln -s f tree/d/l
	mksquashfs tree s.img -quiet -no-progress >/dev/null
	genisoimage -quiet -R -o i.img tree
	local type
	modprobe -q loop
	for type in squashfs:s.img iso9660:i.img; do
		need_fs "${type%:*}"
		mount -t "${type%:*}" -o loop,ro "${type#*:}" image
		shows image 3 d/f d/l
		omount image up ''
		findmnt -no OPTIONS up | grep -q '^ro'
		refuse 'read-only' touch up/new
		refuse 'read-only|write-protected' mount -o remount,rw up
		python3 -c 'import mmap, os
m = mmap.mmap(os.open("up/d/f", os.O_RDONLY), 0, prot=mmap.PROT_READ)
assert m[:] == open("tree/d/f", "rb").read()'
		umount up
		umount image
	done
}

# A name on which another file system would be mounted. The daemon is this
# program, and never answers: nothing asks it.
t_autofs() {
	need_fs autofs
	mkdir auto
	python3 - <<-'END'
		import ctypes, os, subprocess
		os.setpgrp()
		r, w = os.pipe()
		libc = ctypes.CDLL(None, use_errno=True)
		opts = f"fd={w},pgrp={os.getpgrp()},minproto=5,maxproto=5,indirect"
		if libc.mount(b"auto", b"auto", b"autofs", 0, opts.encode()):
		    raise OSError(ctypes.get_errno(), "mount")
		os.mkdir("auto/there")
		os.mkdir("up")
		subprocess.check_call("mount -t offloadfs auto up", shell=True)
		script = '''
		for name in there other; do
			stat up/$name 2>&1 | sed s/^.*:.//
		done
		'''
		# Not one of the daemon's own process group, whose lookups mount nothing.
		out = subprocess.check_output(script, shell=True, text=True, timeout=60,
		                              preexec_fn=os.setpgrp)
		print(out)
		assert out.split("\n")[:2] == ["Object is remote"] * 2, out
		assert os.listdir("up") == ["there"]
		subprocess.check_call("umount up; umount auto", shell=True)
	END
}

run_tests \
	't_refused what cannot be stacked on is refused' \
	't_sysfs sysfs' \
	't_cgroup cgroup2' \
	't_debugfs debugfs and tracefs' \
	't_small small file systems of the kernel' \
	't_dev devices' \
	't_read_only squashfs and ISO 9660' \
	't_autofs autofs'
