#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A copy of the rpc backend that was not answered: until the server has said what
# became of it, nobody writes to the file through offloadfs, whatever the system
# call and the mount; and nobody who does not want to is in the way.

. "$(dirname "$0")/lib.sh"
. "$DIR/libnfs.sh"
. "$DIR/librpc.sh"
. "$DIR/librpcfs.sh"
. "$DIR/librpcslow.sh"

# Who wants to write waits for a second.
LIAR=backend=rpc,server=127.0.0.1,export=data,soft,timeo=10,retrans=0

setup_liar() {
	need_client
	need_dev
	make_lower xfs low
	ip link set lo up
	load offloadfs_rpc
	start_liar low
	omount low up "$LIAR,min=0"
	pattern low/src $SIZE
}

# It is executed and not answered, and nor is the question about it.
unsettle() {
	lie 'copy lose' 'cancel status:5'
	refuse 'errno=EIO' xcopy cfr up/src up/dst
	cmp low/src low/dst
}

# refused MNT: whatever writes to the file.
refused() {
	python3 - "$1" <<-END
		import errno, mmap, os, sys
		dst = sys.argv[1] + "/dst"
		def fails(what, call, want=errno.EIO):
		    try:
		        call()
		    except OSError as e:
		        assert e.errno == want, (what, e)
		    else:
		        sys.exit(what + ": not refused")
		f = os.open(dst, os.O_RDWR)
		i = os.open(sys.argv[1] + "/src", os.O_RDONLY)
		r, w = os.pipe()
		os.write(w, b"x")
		fails("write", lambda: os.write(f, b"x"))
		fails("splice", lambda: os.splice(r, f, 1))
		fails("sendfile", lambda: os.sendfile(f, i, 0, 100))
		fails("small copy", lambda: os.copy_file_range(i, f, 100))
		fails("fallocate", lambda: os.posix_fallocate(f, 0, 1 << 23))
		fails("ftruncate", lambda: os.ftruncate(f, 1))
		fails("O_TRUNC", lambda: os.open(dst, os.O_WRONLY | os.O_TRUNC))
		fails("mmap", lambda: mmap.mmap(f, 4096), errno.EAGAIN)
		f = os.open(dst, os.O_RDONLY)
		mmap.mmap(f, 4096, mmap.MAP_SHARED, mmap.PROT_READ)
		assert os.pread(f, 10, 0) == os.pread(i, 10, 0)
	END
}

t_writers() {
	setup_liar
	omount low up2 "$LIAR"
	omount low up3 backend=native
	unsettle
	refused up
	# Other mounts of the lower: a copy too small for rpc, and no rpc at all.
	refuse 'errno=EIO' xcopy -n 100 cfr up2/src up2/dst
	refused up3
	refuse 'input/output' cp --reflink=always up3/src up3/dst
	cmp low/src low/dst
	cp up3/src up3/other
	cmp low/src low/other
	lie
	writes 10 dd if=low/src of=up3/dst bs=100 count=1 conv=notrunc status=none
	writes 1 dd if=low/src of=up/dst bs=100 count=1 status=none
	is size 100 "$(stat -c %s low/dst)"
}

# hard: who copies or writes waits as long as the server is dead, and can be
# killed; who reads or removes the file does not wait.
t_hard() {
	local writer
	setup_slow hard
	mkdir server/dir/d
	COPY_DST=d/dst
	copy_begins
	kill_copyfiled
	copy_hangs 2
	dd if=up/src of=up/d/dst bs=5 count=1 conv=notrunc status=none &
	writer=$!
	hangs $writer 'who writes'
	timeout 10 head -c 100 up/d/dst >/dev/null
	timeout 10 rm up/d/dst
	kill -KILL $writer
	! ends 5 $writer || fail 'who writes was not killed'
	kill -KILL $COPY
	! copy_ends 8 || fail 'the copy was not killed'
	sleep 1
	# Nothing holds what was removed, though the copy's fate is not known.
	is 'what is left' '' "$(find server/dir/d -name '.nfs*')"
	timeout 10 rmdir up/d
	mend_disk
	restart_copyfiled
	copies_later
}

# Who writes to a file that a killed copy left waits, and then its bytes count.
t_writer_waits() {
	local writer
	setup_slow hard
	copy_begins
	pause_copyfiled
	kill -KILL $COPY
	! copy_ends 8 || fail 'the copy was not killed'
	printf after | dd of=up/dst conv=notrunc status=none &
	writer=$!
	hangs $writer 'who writes'
	mend_disk
	resume_copyfiled
	ends 30 $writer
	wait_idle
	is 'what was written' after "$(head -c 5 server/dir/dst)"
	is 'on the other side' after "$(head -c 5 up/dst)"
}

# CANCEL is under way when the server dies and starts anew.
t_cancel_restarted() {
	setup_slow hard
	copy_begins
	pause_copyfiled
	kill -KILL $COPY
	! copy_ends 8 || fail 'the copy was not killed'
	kill_copyfiled
	mend_disk
	restart_copyfiled
	copies_later
}

# The same when the network is cut, and the reply is lost.
t_cancel_cut() {
	setup_slow hard
	copy_begins
	pause_copyfiled
	kill -KILL $COPY
	! copy_ends 8 || fail 'the copy was not killed'
	cut_network nft
	resume_copyfiled
	sleep 1
	mend_network
	mend_disk
	copies_later
}

run_tests 't_writers whatever writes to an unsettled file' \
	't_hard hard: the server is dead' \
	't_writer_waits who writes after a killed copy' \
	't_cancel_restarted the server is started anew during CANCEL' \
	't_cancel_cut packets are dropped during CANCEL'
