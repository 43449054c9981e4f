#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The rules of the first in-kernel copyfile (2004), one test each, with a
# backend as network file systems have it: remote, and whole files only. An
# offload needs two regular files of one mount, the whole source, and a
# destination that keeps nothing of its own; afterwards everyone sees the new
# contents; all else is the generic copy.

. "$(dirname "$0")/lib.sh"

SIZE=300000
OFFLOADED=copies_offloaded=1

setup() {
	need_dev
	load offloadfs offloadfs_test_backend
	setup_pair ext4 backend=test-2004,min=0
	pattern up/src $SIZE
	script 'do'
	echo accept >"$PARAM/decide"
	echo -n >"$PARAM/remote_root"
}

t_whole_file() {
	setup
	counted "$OFFLOADED sendfile_intercepted=1" xcopy sendfile up/src up/dst
	cmp low/src low/dst
	counted "$OFFLOADED sendfile_intercepted=0" xcopy cfr up/src up/dst2
	cmp low/src low/dst2
	is calls 2 "$(<"$PARAM/calls")"
}

t_count_past_the_end() {
	setup
	counted $OFFLOADED xcopy -n 1G sendfile up/src up/dst
	cmp low/src low/dst
}

t_to_a_socket() {
	local dst
	setup
	python3 - up/src <<-'END' >sum
		import hashlib, os, socket, sys, threading
		a, b = socket.socketpair()
		h = hashlib.md5()
		def drain():
		    while d := b.recv(65536):
		        h.update(d)
		t = threading.Thread(target=drain)
		t.start()
		f = open(sys.argv[1], "rb")
		off, size = 0, os.fstat(f.fileno()).st_size
		while off < size:
		    off += os.sendfile(a.fileno(), f.fileno(), off, size - off)
		a.close()
		t.join()
		print(h.hexdigest())
	END
	dst=$(md5sum <low/src)
	is sum "${dst%% *}" "$(<sum)"
	is calls 0 "$(<"$PARAM/calls")"
	is intercepted 0 "$(count sendfile_intercepted)"
}

t_to_a_pipe() {
	setup
	python3 -c '
import os, sys
f = os.open("up/src", os.O_RDONLY)
while os.sendfile(1, f, None, 65536): pass' | cmp - low/src
	is calls 0 "$(<"$PARAM/calls")"
	is intercepted 0 "$(count sendfile_intercepted)"
}

# A loop device reads and writes its backing file from a kernel thread.
t_by_a_loop_device() {
	local loop
	modprobe -q loop
	setup
	truncate -s 2M up/image
	loop=$(losetup -f --show up/image) || skip 'no loop device'
	dd if=up/src of="$loop" conv=fsync status=none || { losetup -d "$loop"; false; }
	dd if="$loop" bs=$SIZE count=1 status=none iflag=fullblock | cmp - low/src ||
		{ losetup -d "$loop"; false; }
	losetup -d "$loop"
	udevadm settle 2>/dev/null || true
	cmp -n $SIZE low/src low/image
	is calls 0 "$(<"$PARAM/calls")"
	is intercepted 0 "$(count sendfile_intercepted)"
	# losetup -d returns before the device lets go.
	local i
	for ((i = 0; i < 50; i++)); do
		[ -n "$(losetup -j up/image)" ] || break
		sleep 0.1
	done
}

t_not_the_same_mount() {
	setup
	mkdir low2
	mount -t tmpfs tmpfs low2
	omount low2 up2 backend=test-2004,min=0
	counted_on up2 'copies_local=1 declined/cross_mount=1' \
		xcopy sendfile up/src up2/dst
	cmp low/src low2/dst
	is calls 0 "$(<"$PARAM/calls")"
	script 'do'
	xcopy sendfile up/src plain >/dev/null
	cmp low/src plain
	is calls 0 "$(<"$PARAM/calls")"
}

t_not_from_offset_0() {
	setup
	counted 'copies_local=1 declined/partial=1' \
		xcopy -i 1 sendfile up/src up/dst
	cmp <(tail -c +2 low/src) low/dst
	counted 'copies_local=1 declined/partial=1' \
		xcopy -I 4096 cfr up/src up/dst2
	cmp <(tail -c +4097 low/src) low/dst2
	is calls 0 "$(<"$PARAM/calls")"
}

t_not_to_offset_0() {
	setup
	counted 'copies_local=1 declined/partial=1' \
		xcopy -o 100 sendfile up/src up/dst
	cmp <(tail -c +101 low/dst) low/src
	is calls 0 "$(<"$PARAM/calls")"
}

t_not_the_whole_source() {
	setup
	counted 'copies_local=1 declined/partial=1' \
		xcopy -n $((SIZE - 1)) sendfile up/src up/dst
	cmp <(head -c $((SIZE - 1)) low/src) low/dst
	is calls 0 "$(<"$PARAM/calls")"
}

t_destination_longer() {
	setup
	pattern up/dst $((SIZE + 1))
	tr 0-9 a-j <low/dst >want
	cp want up/dst
	counted 'copies_local=1 declined/partial=1' xcopy sendfile up/src up/dst
	cmp -n $SIZE low/src low/dst
	is size $((SIZE + 1)) "$(stat -c %s up/dst)"
	is 'last byte' "$(tail -c 1 want)" "$(tail -c 1 up/dst)"
	is calls 0 "$(<"$PARAM/calls")"
}

t_destination_of_the_same_length() {
	setup
	head -c $SIZE /dev/zero >up/dst
	counted $OFFLOADED xcopy -w sendfile up/src up/dst
	cmp low/src low/dst
}

# A second descriptor and a shared mapping, both in use, see the copy.
t_refresh() {
	setup
	head -c $SIZE /dev/zero >up/dst
	says 'watch=ok' xcopy -w sendfile up/src up/dst
	head -c $((SIZE / 2)) /dev/zero >up/dst
	says 'watch=ok' xcopy -w cfr up/src up/dst
	is calls 2 "$(<"$PARAM/calls")"
	is size $SIZE "$(stat -c %s up/dst)"
	is 'size below' $SIZE "$(stat -c %s low/dst)"
}

t_times() {
	setup
	touch -d @1000 up/dst
	counted $OFFLOADED xcopy sendfile up/src up/dst
	[ "$(stat -c %Y up/dst)" -gt 1000 ]
	is mtime "$(stat -c %y low/dst)" "$(stat -c %y up/dst)"
	is blocks "$(blocks low/dst)" "$(blocks up/dst)"
}

# What was written but not yet stored is copied, too.
t_dirty_source() {
	setup
	head -c $SIZE /dev/zero >up/src
	python3 - <<-END
		import mmap, os
		f = os.open("up/src", os.O_RDWR)
		m = mmap.mmap(f, $SIZE)
		m[1000:1005] = b"dirty"
		out = os.open("up/dst", os.O_RDWR | os.O_CREAT)
		assert os.sendfile(out, f, 0, $SIZE) == $SIZE
	END
	cmp low/src low/dst
	is text dirty "$(head -c 1005 low/dst | tail -c 5)"
}

t_declined_is_a_plain_copy() {
	setup
	script EOPNOTSUPP
	counted 'copies_local=1 declined/unsupported=1' xcopy sendfile up/src up/dst
	cmp low/src low/dst
}

t_unlinked() {
	setup
	script decline=unlinked
	counted 'copies_local=1 declined/unlinked=1' xcopy -u sendfile up/src up/dst
	[ ! -e up/dst ]
}

t_32_bit_program() {
	[ -x "$DIR/xcopy_32" ] || skip 'not built for 32 bits'
	(refuse usage "$DIR/xcopy_32") 2>/dev/null || skip 'no 32-bit programs here'
	setup
	counted $OFFLOADED "$DIR/xcopy_32" sendfile up/src up/dst
	cmp low/src low/dst
	rm up/dst
	counted $OFFLOADED "$DIR/xcopy_32" -I 0 sendfile up/src up/dst
	cmp low/src low/dst
}

run_tests \
	't_whole_file a whole file is offloaded' \
	't_count_past_the_end so it is when the count goes past the end' \
	't_to_a_socket to a socket: not' \
	't_to_a_pipe to a pipe: not' \
	't_by_a_loop_device a kernel thread: not' \
	't_not_the_same_mount another mount: not' \
	't_not_from_offset_0 not from offset 0: not' \
	't_not_to_offset_0 not to offset 0: not' \
	't_not_the_whole_source not the whole source: not' \
	't_destination_longer a longer destination: not, and it keeps its rest' \
	't_destination_of_the_same_length a destination of the same length' \
	't_refresh descriptors and mappings of the destination see the copy' \
	't_times size, times, and blocks are fresh' \
	't_dirty_source dirty pages of the source are copied' \
	't_declined_is_a_plain_copy when declined, the generic copy' \
	't_unlinked a destination without a name' \
	't_32_bit_program a 32-bit program'
