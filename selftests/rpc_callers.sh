#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The rpc backend and who copies: tasks with many groups, in user namespaces and
# in mount namespaces of their own.

. "$(dirname "$0")/lib.sh"
. "$DIR/libnfs.sh"
. "$DIR/librpc.sh"
. "$DIR/librpcfs.sh"

# A directory for everybody, and a source that nobody but root can read.
setup_callers() {
	setup_rpc xfs 3
	chmod 755 . server/dir
	mkdir -m 777 server/dir/all
	pattern server/dir/all/secret $SIZE
}

# copies_as PYTHON: what a child becomes that copies the secret. Root has opened
# the files: it is the server that asks who copies.
copies_as() {
	python3 - "$1" <<-END
		import os, sys
		i = os.open("up/all/secret", os.O_RDONLY)
		o = os.open("up/all/copy", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
		os.fchmod(o, 0o666)
		pid = os.fork()
		if not pid:
		    exec(sys.argv[1])
		    n = 0
		    while n < $SIZE:
		        n += os.copy_file_range(i, o, $SIZE)
		    os._exit(0)
		assert not os.waitpid(pid, 0)[1]
	END
	cmp server/dir/all/secret server/dir/all/copy
}

# as_group N: with 20 groups, 5000 and up, of which N may read the secret.
as_group() {
	chgrp "$1" server/dir/all/secret
	chmod 640 server/dir/all/secret
	copies_as 'os.setgroups(range(5000, 5020)); os.setgid(1000); os.setuid(1000)'
}

# AUTH_SYS has room for 16: who needs another one has a local copy.
t_groups() {
	setup_callers
	as_group 5003
	offloaded 1
	as_group 5015
	offloaded 2
	counted 'copies_local=1 declined/denied=1' as_group 5016
	offloaded 2
}

# Who is root in a user namespace is himself to the server.
t_userns() {
	setup_callers
	unshare -U true || skip 'no user namespaces here'
	no_data low setpriv --reuid 1000 --regid 1000 --clear-groups \
		unshare -r cp up/src up/all/own
	offloaded 1
	is owner '1000 1000' "$(stat -c '%u %g' server/dir/all/own)"
	cmp server/dir/src server/dir/all/own
}

# Over a UNIX socket, to the machine itself; and the caller's mount namespace
# has no say in which socket that is, whoever connects next.
t_unix() {
	need_dev
	need_copyfiled
	make_lower xfs low
	load offloadfs_rpc
	start_copyfiled --export "data=$PWD/low,squash=none" --listen "unix:$PWD/sock"
	omount low up "backend=rpc,server=unix:$PWD/sock,export=data,min=0"
	pattern low/src $SIZE
	cp up/src up/dst
	cmp low/src low/dst
	offloaded 1
	stop_copyfiled
	restart_copyfiled
	is 'connections to the new server' 0 "$(copyfiled_stat connections_total)"
	unshare -m sh -ec 'mount --bind /dev/null sock; cp up/src up/dst2'
	cmp low/src low/dst2
	offloaded 2
	is 'connections to the new server' 1 "$(copyfiled_stat connections_total)"
}

run_tests 't_groups more groups than fit' \
	't_userns a user namespace' \
	't_unix a mount namespace, and a UNIX socket'
