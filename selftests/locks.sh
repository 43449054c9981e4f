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

# lock FILE TYPE: what a lock would get: "free" or "taken". TYPE is posix, ofd
# or flock.
lock() {
	python3 - "$@" <<-'END'
		import errno, fcntl, os, struct, sys
		f = os.open(sys.argv[1], os.O_RDWR)
		arg = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 10, 0)
		try:
		    if sys.argv[2] == 'flock':
		        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
		    else:
		        fcntl.fcntl(f, fcntl.F_OFD_SETLK if sys.argv[2] == 'ofd' else fcntl.F_SETLK,
		                    arg)
		    print('free')
		except OSError as e:
		    print('taken' if e.errno in (errno.EAGAIN, errno.EACCES) else e)
	END
}

# hold FILE TYPE: until release; like lock otherwise.
hold() {
	mkfifo held release 2>/dev/null || true
	python3 - "$@" <<-'END' &
		import fcntl, os, struct, sys
		f = os.open(sys.argv[1], os.O_RDWR)
		arg = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 10, 0)
		if sys.argv[2] == 'flock':
		    fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
		else:
		    fcntl.fcntl(f, fcntl.F_OFD_SETLK if sys.argv[2] == 'ofd' else fcntl.F_SETLK, arg)
		open('held', 'w').close()
		open('release').read()
	END
	HOLDER=$!
	read -r -t 30 _ <held || true
}
release() {
	: >release
	wait "$HOLDER"
}

cleanup() {
	! mountpoint -q client || umount client
	stop_nfs
}

# exported DIR: by NFS 4.2, with a client on "client".
exported() {
	need_dev
	need python3
	setup_pair xfs
	serve_nfs "$1"
	trap 'cleanup' EXIT
	mount_nfs 4.2 "$1" client
	echo text >up/f
}

# seen FILE FILE: what is locked by the one name is locked by the other.
seen() {
	local type
	for type in posix ofd; do
		is 'before' free "$(lock "$2" $type)"
		hold "$1" $type
		is "$type of $1 seen by $2" taken "$(lock "$2" $type)"
		release
		is 'after' free "$(lock "$2" $type)"
	done
}

t_lower_server() {
	exported low
	seen client/f up/f
	seen up/f client/f
	seen client/f low/f
}

t_mount_server() {
	exported up
	seen client/f up/f
	seen up/f client/f
	seen client/f low/f
	seen low/f client/f
}

# Waiting for a lock that a client has, and the other way round.
waits() {
	hold "$1" posix
	python3 - "$2" <<-'END' &
		import fcntl, sys
		f = open(sys.argv[1], 'r+')
		fcntl.lockf(f, fcntl.LOCK_EX, 10)
		open('got', 'w').close()
	END
	local waiter=$!
	sleep 1
	[ ! -e got ] || fail "$2: got it too early"
	release
	for _ in {1..400}; do
		[ ! -e got ] || break
		sleep 0.1
	done
	[ -e got ] || fail "$2: never got it"
	wait "$waiter"
	rm got
}

t_lower_waits() {
	exported low
	waits client/f up/f
	waits up/f client/f
}

t_mount_waits() {
	exported up
	waits client/f up/f
	waits up/f client/f
}

# A client that reads a file through the server of the lower has a delegation
# of it: whoever changes it through the mount waits until it is back.
t_delegation() {
	local n=0 op
	exported low
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
	't_lower_server locks by a server of the lower' \
	't_mount_server locks by a server of the mount' \
	't_lower_waits waiting for locks, with a server of the lower' \
	't_mount_waits waiting for locks, with a server of the mount' \
	't_delegation delegations of files in the lower'
