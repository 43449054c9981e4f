#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Locks and delegations with an NFS server in this machine: of the lower, beside
# the mount, and of the mount itself. Who locks through the server and who locks
# through the mount see each other; a delegation that a client has of a file in
# the lower is recalled by who changes the file through the mount. And a lease
# through two mounts.

. "$(dirname "$0")/lib.sh"
. "$DIR/libnfs.sh"

# seen BY BY...: what is locked by one name is locked by each other, for another
# process too, until it is unlocked.
seen() {
	python3 - "$@" <<-'END'
		import errno, fcntl, itertools, os, struct, sys
		def arg(t):
		    return struct.pack('hhqqi4x', t, 0, 0, 10, 0)
		def taken(f, cmd):
		    try:
		        fcntl.fcntl(f, cmd, arg(fcntl.F_WRLCK))
		        fcntl.fcntl(f, cmd, arg(fcntl.F_UNLCK))
		        return False
		    except OSError as e:
		        if e.errno not in (errno.EAGAIN, errno.EACCES):
		            raise
		        return True
		def by_another(f, cmd):
		    pid = os.fork()
		    if not pid:
		        os._exit(taken(f, cmd))
		    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
		files = {n: os.open(n, os.O_RDWR) for n in sys.argv[1:]}
		for a, b in itertools.permutations(files, 2):
		    for cmd in fcntl.F_OFD_SETLK, fcntl.F_SETLK:
		        assert not by_another(files[b], cmd), ('before', a, b, cmd)
		        fcntl.fcntl(files[a], cmd, arg(fcntl.F_WRLCK))
		        assert by_another(files[b], cmd) == 1, ('not seen', a, b, cmd)
		        fcntl.fcntl(files[a], cmd, arg(fcntl.F_UNLCK))
		        assert not by_another(files[b], cmd), ('after', a, b, cmd)
	END
}

cleanup() {
	local d
	for d in client upper-client; do
		! mountpoint -q $d || umount $d
	done
	stop_nfs
}

# exported: both sides, by NFS 4.2, each with a client of its own, which the
# server lets lock when its grace period is over.
exported() {
	need_dev
	need python3
	setup_pair xfs
	serve_nfs low up
	trap 'cleanup' EXIT
	mount_nfs 4.2 low client
	mount_nfs 4.2 up upper-client
	echo text >up/f
}

t_locks() {
	exported
	seen client/f up/f low/f
	seen upper-client/f up/f low/f
	waits client/f up/f
	waits upper-client/f up/f
}

# waits FILE FILE: who wants what is locked by the other name waits, and gets it.
waits() {
	python3 - "$@" <<-'END'
		import fcntl, os, select, sys
		for a, b in sys.argv[1:], sys.argv[:0:-1]:
		    r, w = os.pipe()
		    f = open(a, 'r+')
		    fcntl.lockf(f, fcntl.LOCK_EX, 10)
		    pid = os.fork()
		    if not pid:
		        fcntl.lockf(open(b, 'r+'), fcntl.LOCK_EX, 10)
		        os.write(w, b'x')
		        os._exit(0)
		    assert not select.select([r], [], [], 1)[0], (a, b, 'too early')
		    fcntl.lockf(f, fcntl.LOCK_UN, 10)
		    assert select.select([r], [], [], 60)[0], (a, b, 'never')
		    assert os.waitpid(pid, 0)[1] == 0
	END
}

# A client that reads a file through the server of the lower has a delegation
# of it: whoever changes it through the mount waits until it is back.
t_delegation() {
	local n=0 op
	exported
	sleep 11 # no delegations in the grace period
	for op in 'chmod 600 up/f' 'mv up/f up/g' 'ln up/f up/g' 'rm up/f' \
		'truncate -s 3 up/f' 'mv up/h up/f' 'chown 1 up/f' 'touch up/f'; do
		rm -f low/f low/g low/h
		echo text >low/f
		echo other >low/h
		exec 5<client/f
		read -r _ <&5
		grep -qs 'type: deleg' /proc/fs/nfsd/clients/*/states && n=$((n + 1))
		# shellcheck disable=SC2086 # words
		timeout 60 $op || fail "$op: $?"
		exec 5<&-
	done
	[ $n -gt 0 ] || skip 'the server gave no delegation'
	echo "# $n delegations were recalled"
}

# A lease on a mount of a mount is broken by who opens the file below both, or
# between them.
t_stacked_lease() {
	local at
	need python3
	setup_pair tmpfs
	omount up top
	for at in low up top; do
		echo text >low/f
		python3 - $at <<-'END'
			import fcntl, os, signal, sys
			signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})
			f = os.open('top/f', os.O_RDONLY)
			fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_WRLCK)
			assert fcntl.fcntl(f, fcntl.F_GETLEASE) == fcntl.F_WRLCK
			try:
			    os.open(sys.argv[1] + '/f', os.O_WRONLY | os.O_NONBLOCK)
			    raise SystemExit('not blocked')
			except BlockingIOError:
			    pass
			assert signal.sigtimedwait({signal.SIGIO}, 10)
			assert fcntl.fcntl(f, fcntl.F_GETLEASE) == fcntl.F_UNLCK
			fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_UNLCK)
			os.open(sys.argv[1] + '/f', os.O_WRONLY | os.O_NONBLOCK)
		END
	done
}

run_tests \
	't_stacked_lease a lease through two mounts' \
	't_locks locks, and waiting for them, with a server of either side' \
	't_delegation delegations of files in the lower'
