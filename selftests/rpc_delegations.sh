#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The rpc backend and files of which the NFS server has handed out delegations:
# copyfiled has them recalled, and nobody waits until they would run out.

. "$(dirname "$0")/lib.sh"
. "$DIR/libnfs.sh"
. "$DIR/librpc.sh"
. "$DIR/librpcfs.sh"

# copies_in_time: from src to dst, both open before, with dst written to.
copies_in_time() {
	python3 - <<-END
		import os, subprocess, time
		i = os.open("up/src", os.O_RDONLY)
		o = os.open("up/dst", os.O_RDWR | os.O_CREAT)
		os.pwrite(o, b"old", 0)
		held = [os.open(d + "/src", os.O_RDONLY) for d in ("other", "up") if os.path.exists(d)]
		if os.path.exists("other/dst"):
		    held.append(os.open("other/dst", os.O_RDONLY))
		states = subprocess.run("cat /proc/fs/nfsd/clients/*/states", shell=True,
		                        capture_output=True).stdout
		open("states", "wb").write(states)
		start = time.time()
		assert os.copy_file_range(i, o, $SIZE) == $SIZE
		took = time.time() - start
		assert took < 15, took
		print("# took %.1f s" % took)
		assert os.pread(o, $SIZE, 0) == os.pread(i, $SIZE, 0)
	END
	same_both src dst
	offloaded 1
}

# Both files are open at another client, too.
shared() {
	setup_rpc xfs "$1"
	mkdir other
	mount -t nfs -o "vers=$1,proto=tcp" "127.0.0.1:$PWD/server/dir" other
	copies_in_time
	umount other
}
t_shared40() { shared 4.0; }
t_shared41() { shared 4.1; }
t_shared42() { shared 4.2; }

# The client that has the copy made holds a delegation to write to dst.
t_write() {
	setup_rpc xfs 4.2
	: >server/dir/dst
	copies_in_time
	grep -q 'type: deleg, access: w' states ||
		skip "this NFS server delegates no writing"
}

run_tests 't_shared40 NFSv4.0, two clients' \
	't_shared41 NFSv4.1, two clients' \
	't_shared42 NFSv4.2, two clients' \
	't_write a delegation to write'
