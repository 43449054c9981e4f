#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Loop devices on files of the mount: a file system in an image, as on the bare
# lower file system; and file handles, which have to be good without anything
# in the caches.

. "$(dirname "$0")/lib.sh"

SIZE=3000000

# attach FILE [OPTION...]: sets LOOP. It goes when the test ends.
attach() {
	local file=$1
	shift
	modprobe -q loop
	LOOP=$(losetup -f --show "$@" "$file") || skip 'no loop device'
	trap 'detach' EXIT
}

# The device lets go a moment after it is told to.
detach() {
	[ -n "${LOOP:-}" ] || return 0
	! mountpoint -q inside || umount inside
	losetup -d "$LOOP" || return
	for _ in {1..50}; do
		losetup "$LOOP" >/dev/null 2>&1 || break
		sleep 0.1
	done
	LOOP=
}

# image LOWER [OPTION...]: a file system in a file of the mount; copies in it,
# and of it.
image() {
	local type=$1 before after
	shift
	need mkfs.ext4 losetup fsck.ext4
	[ "$type" = tmpfs ] || need_dev
	setup_pair "$type"
	pattern src $SIZE
	truncate -s 64M up/image
	attach up/image "$@"
	mkfs.ext4 -q "$LOOP"
	mkdir inside
	mount "$LOOP" inside
	cp src inside/a
	xcopy sendfile inside/a inside/b >/dev/null
	xcopy cfr inside/a inside/c >/dev/null
	cmp src inside/a
	cmp src inside/b
	cmp src inside/c
	# What is freed in the image becomes a hole of the file.
	sync inside
	before=$(blocks low/image)
	rm inside/b inside/c
	sync inside
	if fstrim inside 2>/dev/null; then
		after=$(blocks low/image)
		[ "$after" -lt "$before" ] || fail "$before blocks, then $after"
	fi
	# With nothing in the caches.
	umount inside
	echo 3 >/proc/sys/vm/drop_caches
	mount "$LOOP" inside
	cmp src inside/a
	umount inside
	detach
	# The file has it all, whoever reads it.
	fsck.ext4 -fn low/image >/dev/null 2>&1
	attach low/image -r
	mount -o ro "$LOOP" inside
	cmp src inside/a
	umount inside
	detach
	is intercepted 0 "$(count sendfile_intercepted)"
	# And so has a copy of it.
	xcopy sendfile up/image up/copy >/dev/null
	cmp low/image low/copy
	attach up/copy
	mount "$LOOP" inside
	cmp src inside/a
	umount inside
	detach
}
t_tmpfs() { image tmpfs; }
t_ext4() { image ext4; }
t_xfs() { image xfs; }
t_direct() { image xfs --direct-io=on; }

# The image grows below, by another name, and the device follows.
t_resize() {
	need losetup blockdev
	need_dev
	setup_pair ext4
	truncate -s 16M up/image
	attach up/image
	is size 16777216 "$(blockdev --getsize64 "$LOOP")"
	ln up/image up/other
	truncate -s 32M low/other
	# Linux 6.1 takes the size that the VFS knows.
	stat up/image >/dev/null
	losetup -c "$LOOP"
	is grown 33554432 "$(blockdev --getsize64 "$LOOP")"
	rm up/image up/other
	dd if=/dev/zero of="$LOOP" bs=1M count=32 conv=fsync status=none
	detach
}

# An offloadfs mount in an image of an offloadfs mount.
t_mount_inside() {
	need mkfs.ext4 losetup
	need_dev
	setup_pair xfs
	pattern src $SIZE
	truncate -s 64M up/image
	attach up/image
	mkfs.ext4 -q "$LOOP"
	mkdir inside inside-up
	mount "$LOOP" inside
	omount inside inside-up
	cp src inside-up/a
	xcopy sendfile inside-up/a inside-up/b >/dev/null
	cmp src inside/b
	umount inside-up
	umount inside
	detach
}

# Handles taken before the caches are dropped; then what they lead to is used.
handles() {
	[ "$1" = tmpfs ] || need_dev
	need python3
	setup_pair "$1"
	python3 - <<-'END'
		import ctypes, errno, os
		libc = ctypes.CDLL(None, use_errno=True)
		class Handle(ctypes.Structure):
		    _fields_ = [('bytes', ctypes.c_uint), ('type', ctypes.c_int),
		                ('f', ctypes.c_ubyte * 128)]
		def handle(path, flags=0):
		    h, mnt = Handle(128), ctypes.c_int()
		    if libc.name_to_handle_at(-100, path.encode(), ctypes.byref(h),
		                              ctypes.byref(mnt), flags):
		        raise OSError(ctypes.get_errno(), path)
		    return h
		def by_handle(top, h, flags=os.O_RDONLY):
		    fd = os.open(top, os.O_RDONLY)
		    r = libc.open_by_handle_at(fd, ctypes.byref(h), flags)
		    e = ctypes.get_errno()
		    os.close(fd)
		    if r < 0:
		        raise OSError(e, 'open_by_handle_at')
		    return r
		def same(a, b):
		    return (a.bytes, a.type, bytes(a.f)) == (b.bytes, b.type, bytes(b.f))
		def forget():
		    open('/proc/sys/vm/drop_caches', 'w').write('3')

		os.makedirs('up/a/b/c')
		open('up/a/b/c/f', 'w').write('text')
		os.link('up/a/b/c/f', 'up/a/g')
		os.symlink('f', 'up/a/s')
		names = '', 'a', 'a/b/c', 'a/b/c/f', 'a/s'
		up = {n: handle('up/' + n) for n in names}
		low = {n: handle('low/' + n) for n in names}
		for n in names:
		    assert same(up[n], low[n]), n
		assert same(handle('up/a/g'), up['a/b/c/f'])
		forget()
		# A file; a directory, which has its place in the tree again.
		f = by_handle('up', up['a/b/c/f'], os.O_RDWR)
		assert os.read(f, 9) == b'text'
		os.pwrite(f, b'more', 4)
		assert open('low/a/b/c/f').read() == 'textmore'
		forget()
		d = by_handle('up', up['a/b/c'])
		assert os.listdir(d) == ['f']
		assert os.readlink('/proc/self/fd/%d' % d) == os.path.realpath('up/a/b/c')
		up2 = os.open('../../b', os.O_RDONLY, dir_fd=d)
		assert os.fstat(up2).st_ino == os.stat('low/a/b').st_ino
		assert os.path.samestat(os.stat('..', dir_fd=d), os.stat('low/a/b'))
		# One from the lower is good here, and the other way round.
		assert os.read(by_handle('up', low['a/b/c/f']), 9) == b'textmore'
		assert os.read(by_handle('low', up['a/b/c/f']), 9) == b'textmore'
		s = by_handle('up', up['a/s'], os.O_PATH)
		assert os.readlink('', dir_fd=s) == 'f'
		# It stays through renames, on either side.
		os.rename('up/a/b/c/f', 'up/h')
		os.rename('low/a/b', 'low/moved')
		forget()
		assert os.read(by_handle('up', up['a/b/c/f']), 9) == b'textmore'
		where = os.path.realpath('up/moved/c')
		d = by_handle('up', up['a/b/c'])
		assert os.readlink('/proc/self/fd/%d' % d) == where
		# And is stale when the last link and the last user are gone.
		os.close(f)
		os.unlink('up/h')
		assert os.read(by_handle('up', up['a/b/c/f']), 9) == b'textmore'
		os.unlink('low/a/g')
		os.close(d)
		os.rmdir('up/moved/c')
		forget()
		for n in 'a/b/c/f', 'a/b/c':
		    try:
		        by_handle('up', up[n])
		        raise SystemExit('not stale: ' + n)
		    except OSError as e:
		        assert e.errno == errno.ESTALE, e
	END
	# A fresh mount takes them, too.
	python3 - "$1" <<-'END'
		import ctypes, os, subprocess
		libc = ctypes.CDLL(None, use_errno=True)
		open('up/again', 'w').write('again')
		buf = ctypes.create_string_buffer(200)
		ctypes.c_uint.from_buffer(buf).value = 128
		mnt = ctypes.c_int()
		assert not libc.name_to_handle_at(-100, b'up/again', buf, ctypes.byref(mnt), 0)
		subprocess.run('umount up && mount -t offloadfs low up', shell=True, check=True)
		top = os.open('up', os.O_RDONLY)
		fd = libc.open_by_handle_at(top, buf, os.O_RDONLY)
		assert os.read(fd, 9) == b'again'
	END
}
t_handles_tmpfs() { handles tmpfs; }
t_handles_ext4() { handles ext4; }
t_handles_xfs() { handles xfs; }

# Outside of what is shown there is nothing.
t_handles_outside() {
	need_dev
	need python3
	make_lower xfs low
	mkdir low/shown low/hidden
	echo secret >low/hidden/f
	omount low/shown up
	python3 - <<-'END'
		import ctypes, errno, os
		libc = ctypes.CDLL(None, use_errno=True)
		for path, hidden in (b'low/hidden', True), (b'low', True), (b'low/shown', False):
		    buf = ctypes.create_string_buffer(200)
		    ctypes.c_uint.from_buffer(buf).value = 128
		    mnt = ctypes.c_int()
		    assert not libc.name_to_handle_at(-100, path, buf, ctypes.byref(mnt), 0)
		    top = os.open('up', os.O_RDONLY)
		    r = libc.open_by_handle_at(top, buf, os.O_RDONLY)
		    assert (r < 0) == hidden, path
		    assert not hidden or ctypes.get_errno() == errno.ESTALE, path
	END
}

run_tests \
	't_tmpfs a file system in a file on tmpfs' \
	't_ext4 a file system in a file on ext4' \
	't_xfs a file system in a file on XFS' \
	't_direct the same with direct I/O' \
	't_resize a device whose file grows' \
	't_mount_inside a mount in an image of a mount' \
	't_handles_tmpfs file handles on tmpfs' \
	't_handles_ext4 file handles on ext4' \
	't_handles_xfs file handles on XFS' \
	't_handles_outside no handle leads out of what is shown'
