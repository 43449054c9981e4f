#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# SMB 3.1.1 below, from the kernel's own server: a copy is FSCTL_SRV_COPYCHUNK, a
# clone FSCTL_DUPLICATE_EXTENTS_TO_FILE, and the client counts its requests.

. "$(dirname "$0")/lib.sh"
. "$DIR/liblowers.sh"

SIZE=3000001

# serve_smb [OPTION...]: "server/dir" is the share "data".
serve_smb() {
	local n
	need ksmbd.mountd ksmbd.adduser mount.cifs
	modprobe -a ksmbd cifs || skip 'no SMB in this kernel'
	printf '%s\n' '[global]' 'interfaces = lo' 'bind interfaces only = yes' \
		'smb2 leases = yes' "$@" '[data]' "path = $PWD/server/dir" \
		'read only = no' 'force user = root' 'force group = root' >smb.conf
	ksmbd.adduser -C "$PWD/smb.conf" -P "$PWD/smb.pwd" -a -p secret tester >/dev/null
	trap 'stop_smb' EXIT
	ksmbd.mountd -C "$PWD/smb.conf" -P "$PWD/smb.pwd" >/dev/null 2>&1
	for ((n = 0; n < 100; n++)); do
		! (exec 9<>/dev/tcp/127.0.0.1/445) 2>/dev/null || return 0
		sleep 0.1
	done
	fail 'the SMB server does not listen'
}

# The client goes first. A connection's end is noticed by the server some time
# after it.
stop_smb() {
	local n
	! mountpoint -q up || umount up
	! mountpoint -q low || umount low
	ksmbd.control -s >/dev/null
	for ((n = 0; n < 100; n++)); do
		! umount server 2>/dev/null || break
		sleep 0.1
	done
}

mount_smb() {
	mkdir -p low
	mount -t cifs -o "vers=3.1.1,username=tester,password=secret,mfsymlinks${1:+,$1}" \
		//127.0.0.1/data low
	omount low up
}

# setup_smb TYPE [MOUNT-OPTIONS [SERVER-OPTION...]]
setup_smb() {
	need_dev
	make_lower "$1" server
	mkdir server/dir
	serve_smb "${@:3}"
	mount_smb "${2:-}"
}

# requests NAME...: how many of these the client has sent.
requests() {
	awk -v names=" $* " '
		/127\.0\.0\.1\\data/ { here = 1 }
		here && index(names, " " $1) { n += $2 }
		END { print n + 0 }' /proc/fs/cifs/Stats
}

# by_server COUNTERS COMMAND...: the command moves no data over the wire.
by_server() {
	local data asked
	data=$(requests Reads: Writes:)
	asked=$(requests IOCTLs:)
	counted "$@"
	is "requests for data of: ${*:2}" "$data" "$(requests Reads: Writes:)"
	[ "$(requests IOCTLs:)" -gt "$asked" ] || fail "not asked to copy: ${*:2}"
}

t_names() {
	setup_smb xfs
	names links
	is 'left over' '' "$(ls server/dir)"
}

t_names_nocase() {
	setup_smb xfs nocase
	names_without_case
}

t_copies() {
	local call
	setup_smb ext4
	pattern server/dir/src $SIZE
	stat up/src >/dev/null
	for call in sendfile cfr; do
		by_server "copies_offloaded=1 bytes_offloaded=$SIZE" \
			xcopy $call up/src up/dst
		is size $SIZE "$(stat -c %s up/dst)"
		cmp server/dir/src server/dir/dst
		cmp up/src up/dst
		by_server 'copies_offloaded=1 bytes_offloaded=700000' \
			xcopy -i 65537 -o 131073 -n 700000 $call up/src up/dst
		is 'size as it was' $SIZE "$(stat -c %s up/dst)"
		cmp -n 700000 -i 65537:131073 server/dir/src server/dir/dst
		cmp -n 131073 server/dir/src server/dir/dst
		cmp -i 831073 server/dir/src server/dir/dst
		cmp server/dir/dst up/dst
		by_server 'copies_offloaded=1' \
			xcopy -i 5 -o $((SIZE - 7)) -n 100000 $call up/src up/dst
		is 'size after it' $((SIZE + 99993)) "$(stat -c %s up/dst)"
		cmp server/dir/dst up/dst
		rm up/dst
	done
	# It asks for a clone first.
	by_server 'copies_offloaded=1 declined/unsupported=1' cp up/src up/dst
	refuse EOPNOTSUPP xcopy clone up/src up/clone
}

# Whoever has the file open or mapped sees the copy when the call returns, and
# nothing that was written around it is lost.
t_coherence() {
	local call
	setup_smb xfs
	pattern up/src $SIZE
	for call in sendfile cfr; do
		rm -f up/dst
		tr 0-9 a-j <up/src >up/dst
		says "ret=$SIZE .*watch=ok" xcopy -w $call up/src up/dst
		rm up/dst
		: >up/dst
		says "ret=$SIZE .*watch=ok" xcopy -w $call up/src up/dst
	done
	python3 - up/src up/dst2 <<-'END'
		import mmap, os, sys
		src = os.open(sys.argv[1], os.O_RDWR)
		dst = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT, 0o644)
		other = os.open(sys.argv[2], os.O_RDONLY)
		size = os.fstat(src).st_size
		os.pwrite(dst, b"x" * (size + 5000), 0)
		m = mmap.mmap(dst, size + 5000)
		m[0:4] = b"head"
		m[size + 100:size + 104] = b"tail"
		s = mmap.mmap(src, size)
		s[5000:5003] = b"new"
		n, want = 1000, bytearray(b"x" * (size + 5000))
		want[0:4] = b"head"
		want[size + 100:size + 104] = b"tail"
		want[n:size] = s[n:size]
		while n < size:
		    n += os.copy_file_range(src, dst, size - n, n, n)
		assert m[:] == want, "the mapping"
		assert os.pread(other, size + 5000, 0) == want, "the other descriptor"
		assert os.fstat(other).st_size == size + 5000, "the size"
		os.pwrite(dst, b"end", size + 5000)
		assert os.fstat(other).st_size == size + 5003, "the size after a write"
	END
	is intact head "$(head -c 4 up/dst2)"
	cmp server/dir/dst2 up/dst2
}

# A server that says that its files can share extents.
t_clones() {
	need filefrag
	setup_smb xfs '' 'share:fake_fscaps = 134217792'
	head -c 1048576 /dev/urandom >up/src
	by_server copies_offloaded=1 cp --reflink=always up/src up/clone
	cmp server/dir/src server/dir/clone
	cmp up/src up/clone
	sync server/dir/clone
	filefrag -v server/dir/clone | grep -q shared || fail 'extents are not shared'
}

# The client does not know in advance that there is no clone, and drops what was
# written to the destination before it asks. A copy must not ask for one.
failed_copy() {
	python3 - "$1/src" "$1/$1" "server/dir/$1" <<-'END'
		import os, sys
		src = os.open(sys.argv[1], os.O_RDONLY)
		dst = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT, 0o644)
		old = b"old" * 30000
		os.pwrite(dst, old, 0)
		os.system("chattr +i " + sys.argv[3])
		try:
		    print(os.copy_file_range(src, dst, 65536, 0, 0))
		except OSError as e:
		    print(e.strerror)
		os.system("chattr -i " + sys.argv[3])
		now = os.pread(dst, 2 * len(old), 0)
		print(len(now), now == old)
	END
}

t_failed_copy() {
	local low up
	setup_smb xfs
	pattern up/src $SIZE
	low=$(failed_copy low)
	up=$(failed_copy up)
	is outcome "$low" "$up"
	cmp server/dir/low server/dir/up
}

run_tests \
	't_names names on SMB 3.1.1' \
	't_names_nocase names on SMB that does not tell a from A' \
	't_copies copies are made by the server, no data is read or written' \
	't_coherence open descriptors and mappings see them at once' \
	't_clones cp --reflink=always shares extents on the server' \
	't_failed_copy a copy that fails leaves what it leaves without us'
