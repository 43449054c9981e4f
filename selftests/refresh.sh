#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A remote backend writes behind the lower's back: here a real NFS server's
# directory, of whose change the client, the lower, hears nothing. The core has
# to write back first and to refresh afterwards: size, times, what a second
# descriptor reads, what a shared mapping shows. The client caches attributes
# for a minute, so that nothing is right by accident.

. "$(dirname "$0")/lib.sh"
. "$DIR/libnfs.sh"

SIZE=300000

setup() {
	need_dev
	load offloadfs offloadfs_test_backend
	make_lower xfs server
	mkdir server/dir low
	serve_nfs server/dir
	trap tear_down EXIT
	mount -t nfs -o "vers=$1,nolock,proto=tcp,actimeo=60" \
		"127.0.0.1:$WORK/server/dir" low
	omount low up backend=test-2004,min=0
	script 'do'
	echo accept >"$PARAM/decide"
	echo -n "$WORK/server/dir" >"$PARAM/remote_root"
	pattern up/src $SIZE
	sync up/src
}

tear_down() {
	echo -n >"$PARAM/remote_root"
	! mountpoint -q up || umount up
	! mountpoint -q low || umount low
	stop_nfs
}

remote_copies() { is calls "$1" "$(<"$PARAM/calls")"; }

new_file() {
	setup "$1"
	counted copies_offloaded=1 xcopy sendfile up/src up/dst
	remote_copies 1
	is size $SIZE "$(stat -c %s up/dst)"
	is 'size of the lower' $SIZE "$(stat -c %s low/dst)"
	cmp up/src up/dst
	cmp server/dir/src server/dir/dst
}

# Over a file of which everything is cached, by a descriptor and a mapping.
over_cached() {
	local call
	setup "$1"
	for call in sendfile cfr; do
		tr 0-9 a-j <server/dir/src >up/dst
		says "ret=$SIZE .*watch=ok" xcopy -w $call up/src up/dst
		cmp up/src up/dst
		cmp low/src low/dst
	done
	remote_copies 2
}

# Someone reads the old data while the copy is under way, through a mapping, since
# read(2) waits on NFS: they must not stay, not even for a descriptor that is never
# opened anew.
read_meanwhile() {
	setup "$1"
	tr 0-9 a-j <server/dir/src >up/dst
	sync up/dst
	script delay=3000,do
	python3 - "$DIR/xcopy" "$PARAM/log" <<-END
		import mmap, os, subprocess, sys, time
		f = os.open("up/dst", os.O_RDONLY)
		m = mmap.mmap(f, $SIZE, mmap.MAP_SHARED, mmap.PROT_READ)
		copy = subprocess.Popen([sys.argv[1], "sendfile", "up/src", "up/dst"])
		while "delay" not in open(sys.argv[2]).read():
		    time.sleep(0.1)
		old = m[:]
		assert copy.wait() == 0
		new = os.pread(f, $SIZE, 0)
		want = open("server/dir/src", "rb").read()
		assert old != want, "the copy was over before it was read"
		assert new == want, "the old data are still shown"
		assert m[:] == want, "the mapping still shows the old data"
	END
}

shorter_before() {
	setup "$1"
	head -c 1000 /dev/zero >up/dst
	says "ret=$SIZE .*watch=ok" xcopy -w sendfile up/src up/dst
	is size $SIZE "$(stat -c %s up/dst)"
	remote_copies 1
}

# What was written here but is not at the server yet must be in the copy.
dirty_source() {
	setup "$1"
	python3 - <<-END
		import os
		f = os.open("up/src", os.O_RDWR)
		os.pwrite(f, b"fresh", 70000)
		out = os.open("up/dst", os.O_RDWR | os.O_CREAT)
		assert os.sendfile(out, f, 0, $SIZE) == $SIZE
		assert os.pread(out, 5, 70000) == b"fresh"
	END
	cmp server/dir/src server/dir/dst
	remote_copies 1
}

# Old data on their way to the server must not land on top of the copy.
dirty_destination() {
	setup "$1"
	python3 - <<-END
		import os
		f = os.open("up/src", os.O_RDONLY)
		out = os.open("up/dst", os.O_RDWR | os.O_CREAT)
		os.pwrite(out, b"x" * $SIZE, 0)
		assert os.sendfile(out, f, 0, $SIZE) == $SIZE
		os.fsync(out)
		assert os.pread(out, $SIZE, 0) == os.pread(f, $SIZE, 0)
	END
	cmp server/dir/src server/dir/dst
	remote_copies 1
}

times_move() {
	setup "$1"
	touch -d @1000 up/dst
	xcopy sendfile up/src up/dst >/dev/null
	[ "$(stat -c %Y up/dst)" -gt 1000 ]
	is mtime "$(stat -c %Y server/dir/dst)" "$(stat -c %Y up/dst)"
	remote_copies 1
}

# Two writes to the mount: before and after, in program order.
written_after() {
	setup "$1"
	xcopy sendfile up/src up/dst >/dev/null
	printf after | dd of=up/dst bs=1 seek=100 conv=notrunc status=none
	printf end >>up/dst
	is size $((SIZE + 3)) "$(stat -c %s server/dir/dst)"
	is text after "$(tail -c +101 server/dir/dst | head -c 5)"
	cmp -i 105 -n $((SIZE - 105)) server/dir/src server/dir/dst
}

t_new3() { new_file 3; }
t_new42() { new_file 4.2; }
t_cached3() { over_cached 3; }
t_cached42() { over_cached 4.2; }
t_meanwhile3() { read_meanwhile 3; }
t_shorter3() { shorter_before 3; }
t_shorter42() { shorter_before 4.2; }
t_source3() { dirty_source 3; }
t_destination3() { dirty_destination 3; }
t_times3() { times_move 3; }
t_after3() { written_after 3; }

run_tests \
	't_new3 NFSv3: a new file' \
	't_new42 NFS 4.2: a new file' \
	't_cached3 NFSv3: a cached destination is refreshed' \
	't_cached42 NFS 4.2: a cached destination is refreshed' \
	't_meanwhile3 NFSv3: a destination that is read meanwhile' \
	't_shorter3 NFSv3: a shorter destination grows' \
	't_shorter42 NFS 4.2: a shorter destination grows' \
	't_source3 NFSv3: dirty data of the source are copied' \
	't_destination3 NFSv3: dirty data of the destination do not come back' \
	't_times3 NFSv3: the times are fresh' \
	't_after3 NFSv3: what is written afterwards stays'
