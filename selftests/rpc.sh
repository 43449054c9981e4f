#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The rpc backend with a real copyfiled on a real NFS server: who copies, what
# the client sees of it, the options, and what is refused at mount.

. "$(dirname "$0")/lib.sh"
. "$DIR/libnfs.sh"
. "$DIR/librpc.sh"
. "$DIR/librpcfs.sh"

# Each system call, no data over the wire, contents and times on both sides, a
# file that was open and mapped before.
every_way() {
	local way n=0
	for way in sendfile cfr; do
		echo old >server/dir/$way
		no_data low xcopy $way up/src up/$way
		offloaded $((n += 1))
		same_both src $way
		tr 0-9 a-j <server/dir/src >server/dir/mapped
		says "ret=$SIZE .*watch=ok" xcopy -w $way up/src up/mapped
		offloaded $((n += 1))
	done
	no_data low cp up/src up/cp
	offloaded $((n += 1))
	same_both src cp
	no_data low python3 -c 'import shutil; shutil.copyfile("up/src", "up/py")'
	offloaded $((n + 1))
	same_both src py
}

t_nfs3() {
	setup_rpc xfs 3
	every_way
	is 'cloned by the server' $((6 * SIZE)) "$(copyfiled_stat bytes_cloned)"
}

t_nfs3_ext4() {
	setup_rpc ext4 3
	every_way
	is 'copied by the server' $((6 * SIZE)) "$(copyfiled_stat bytes_in_kernel)"
}

nfs4() {
	setup_rpc "$2" "$1" backend=rpc:native
	every_way
}
t_nfs40() { nfs4 4.0 xfs; }
t_nfs41() { nfs4 4.1 btrfs; }
t_nfs42() { nfs4 4.2 ext4; }

# FICLONE on NFSv3: where the server's file system can, and an error else.
t_ficlone() {
	setup_rpc xfs 3
	no_data low cp --reflink=always up/src up/clone
	offloaded 1
	same_both src clone
	is 'cloned by the server' $SIZE "$(copyfiled_stat bytes_cloned)"
	echo differs | dd of=up/clone conv=notrunc status=none
	is 'the source is its own' "$(seq 1 3)" "$(head -n 3 server/dir/src)"
	refuse 'errno=(EINVAL|EOPNOTSUPP)' \
		xcopy -I 4097 -n 100 clonerange up/src up/clone
}

# What the server cannot know: refused as by a file system, and nothing is done.
t_ficlone_limits() {
	local before args
	setup_rpc xfs 3
	cp server/dir/src server/dir/clone
	cp up/clone up/first
	before=$(copyfiled_stat requests_copy)
	for args in EINVAL:"-n $((SIZE + 4096))" "EINVAL:-i 4M -n 4096" \
		'EFBIG:-F 4096 -o 8192 -n 4096' 'EINVAL:-F 8192 -n 16384'; do
		# shellcheck disable=SC2086
		refuse "errno=${args%%:*}" xcopy ${args#*:} clonerange up/src up/clone
	done
	refuse errno=EINVAL xcopy -n 8192 -o 4096 clonerange up/clone up/clone
	is 'requests to copy' "$before" "$(copyfiled_stat requests_copy)"
	same_both src clone
	no_data low xcopy -F 8192 -n 8192 clonerange up/src up/clone
}

t_ficlone_refused() {
	setup_rpc ext4 3
	refuse 'not supported' cp --reflink=always up/src up/clone
	offloaded 0
	no_data low cp --reflink=auto up/src up/copy
	offloaded 1
	same_both src copy
}

# Ranges, holes, appends: the server's bytes are those that a local copy has.
t_ranges() {
	setup_rpc ext4 3
	local args
	for args in '-i 4096 -o 8192 -n 100000' '-i 1 -o 3 -n 99999' \
		"-i $((SIZE - 10)) -o 5000000 -n 100"; do
		cp server/dir/src server/dir/want
		cp server/dir/src server/dir/got
		# shellcheck disable=SC2086
		xcopy $args cfr server/dir/src server/dir/want
		# shellcheck disable=SC2086
		no_data low xcopy $args cfr up/src up/got
		same_both want got
	done
	offloaded 3
	truncate -s 20M server/dir/holes
	echo middle | dd of=server/dir/holes bs=1M seek=9 conv=notrunc status=none
	no_data low xcopy cfr up/holes up/holes2
	same_both holes holes2
	# A hole at the end costs a block: the size is set by a byte.
	[ "$(blocks server/dir/holes2)" -le $(($(blocks server/dir/holes) + 8)) ]
	head -c 20000000 /dev/zero | tr '\0' x >server/dir/full
	no_data low xcopy cfr up/holes up/full
	head -c 20M server/dir/full | cmp - server/dir/holes
}

# What was written here and is not at the server yet.
t_dirty() {
	setup_rpc xfs 3
	python3 - <<-END
		import os
		f = os.open("up/src", os.O_RDWR)
		os.pwrite(f, b"fresh", 70000)
		out = os.open("up/dst", os.O_RDWR | os.O_CREAT)
		os.pwrite(out, b"x" * $SIZE, 0)
		assert os.sendfile(out, f, 0, $SIZE) == $SIZE
		assert os.pread(out, 5, 70000) == b"fresh"
		os.pwrite(out, b"after", 80000)
		os.fsync(out)
		assert os.pread(out, 5, 80000) == b"after"
	END
	offloaded 1
	is 'source' fresh "$(dd if=server/dir/src bs=1 skip=70000 count=5 status=none)"
	is 'copy' fresh "$(dd if=server/dir/dst bs=1 skip=70000 count=5 status=none)"
	is 'later' after "$(dd if=server/dir/dst bs=1 skip=80000 count=5 status=none)"
}

# Renamed, replaced and removed on the server: the right file or none.
t_replaced() {
	setup_rpc xfs 3
	head -c $SIZE /dev/zero >server/dir/other
	cp server/dir/other server/dir/keep
	python3 - <<-END
		import os
		i = os.open("up/src", os.O_RDONLY)
		o = os.open("up/dst", os.O_RDWR | os.O_CREAT)
		os.rename("server/dir/dst", "server/dir/moved")
		os.rename("server/dir/other", "server/dir/dst")
		n = 0
		while n < $SIZE:
		    n += os.copy_file_range(i, o, $SIZE)
	END
	cmp server/dir/dst server/dir/keep
	cmp server/dir/moved server/dir/src
	offloaded 0
	[ "$(count declined/stale)" -ge 1 ]
	python3 - <<-END
		import os
		i = os.open("up/src", os.O_RDONLY)
		o = os.open("up/gone", os.O_RDWR | os.O_CREAT)
		os.unlink("up/gone")
		n = 0
		while n < $SIZE:
		    n += os.copy_file_range(i, o, $SIZE)
		assert os.pread(o, $SIZE, 0) == os.pread(i, $SIZE, 0)
	END
	# NFS has renamed it, and removes it when it is closed.
	offloaded 1
	is 'what is left' '' "$(find server/dir -name '.nfs*')"
}

# The caller's rights, at the server: no more, and the owner's as NFS has them.
t_rights() {
	setup_rpc xfs 3
	chmod 755 . server/dir
	mkdir -m 777 server/dir/all
	install -m 644 /dev/null server/dir/all/roots
	pattern server/dir/all/secret $SIZE
	chmod 600 server/dir/all/secret
	# A descriptor that another opened: the server asks who copies.
	python3 - <<-END
		import os
		i = os.open("up/all/secret", os.O_RDONLY)
		o = os.open("up/all/roots", os.O_RDWR)
		pid = os.fork()
		if not pid:
		    os.setgroups([]); os.setgid(1000); os.setuid(1000)
		    try:
		        os.copy_file_range(i, o, $SIZE)
		    except OSError: pass
		    os._exit(0)
		os.waitpid(pid, 0)
	END
	offloaded 0
	[ "$(count declined/denied)" -ge 1 ]
	# The owner of a file without write permission, as cp makes them.
	chmod 444 server/dir/src
	no_data low setpriv --reuid 1000 --regid 1000 --clear-groups \
		cp -p up/src up/all/copy
	offloaded 1
	is mode '444 1000' "$(stat -c '%a %u' server/dir/all/copy)"
	cmp server/dir/src server/dir/all/copy
}

t_cross_mount() {
	setup_server xfs
	mkdir server/dir/a server/dir/b
	mv server/dir/src server/dir/a/
	serve_data --export "b=$PWD/server/dir/b,squash=none"
	client_mount_nfs 3 server/dir low
	client_omount low/a up "$RPC_EXPORT,min=0,prefix=a"
	client_omount low/b up2 "backend=rpc,server=$SERVER4,export=b,min=0"
	no_data low xcopy cfr up/src up2/cfr
	no_data low xcopy sendfile up/src up2/sendfile
	cmp server/dir/a/src server/dir/b/cfr
	cmp server/dir/a/src server/dir/b/sendfile
	cmp up/src up2/cfr
	is 'copies by rpc' 2 "$(backend_count rpc copies up2)"
	is 'one connection' 1 "$(copyfiled_stat connections_total)"
	refuse 'cross-device' cp --reflink=always up/src up2/clone
}

t_ipv6() {
	setup_server xfs
	serve_data
	client_mount_nfs 3 server/dir low
	client_omount low up "backend=rpc,server=[$SERVER6]:20490,export=data,min=0"
	no_data low cp up/src up/dst
	offloaded 1
	same_both src dst
	umount up
	client_omount low up "backend=rpc,server=$SERVER6,export=data,min=0"
	no_data low cp up/src up/dst
	offloaded 1
}

# Short copies are not worth the trip; min= has the last word.
t_min() {
	setup_server xfs
	serve_data
	client_mount_nfs 3 server/dir low
	client_omount low up "$RPC_EXPORT"
	head -c 1000 server/dir/src >server/dir/small
	counted 'copies_local=1 declined/too_small=1' xcopy cfr up/small up/small2
	cmp server/dir/small server/dir/small2
	counted 'copies_offloaded=1' xcopy cfr up/src up/dst
	mount -o remount,min=0 up
	counted 'copies_offloaded=1' xcopy cfr up/small up/small3
	cmp server/dir/small server/dir/small3
}

# Many at once, over one connection.
t_parallel() {
	setup_rpc xfs 3
	local n pids=()
	for n in {1..16}; do
		tr 0-9 a-j <server/dir/src | head -c $((SIZE - n)) >"server/dir/src$n"
	done
	for n in {1..16}; do
		cp "up/src$n" "up/dst$n" &
		pids+=($!)
	done
	for n in "${pids[@]}"; do wait "$n"; done
	for n in {1..16}; do cmp "server/dir/src$n" "server/dir/dst$n"; done
	offloaded 16
	is 'one connection' 1 "$(copyfiled_stat connections_total)"
}

# no_mount TEXT OPTIONS: refused, with that in the message.
no_mount() {
	refuse "$1" client_omount low up "$2"
	is 'leftover files' '' "$(find server/dir -name '.offloadfs*')"
}

t_refused_at_mount() {
	setup_server xfs
	client_mount_nfs 3 server/dir low
	no_mount 'needs server= and export=' backend=rpc
	no_mount 'needs server= and export=' "backend=rpc,server=$SERVER4"
	no_mount 'server.*does not answer' "$RPC_EXPORT"
	mkdir server/dir/sub server/dir/empty server/other
	serve_data --export "wrong=$PWD/server/other" --export "ro=$PWD/server,ro"
	no_mount 'has no export nowhere' "backend=rpc,server=$SERVER4,export=nowhere"
	no_mount 'not the directory that is mounted' \
		"backend=rpc,server=$SERVER4,export=wrong"
	no_mount 'not the directory that is mounted' "$RPC_EXPORT,prefix=sub"
	no_mount 'not the directory that is mounted' "$RPC_EXPORT,prefix=none"
	no_mount 'prefix.*expected a directory' "$RPC_EXPORT,prefix=sub/../sub"
	no_mount 'match.*expected fileid or attr' "$RPC_EXPORT,match=name"
	no_mount 'timeo.*expected' "$RPC_EXPORT,timeo=0"
	no_mount 'expected HOST' "backend=rpc,server=:1,export=data"
	no_mount 'expected an absolute path' "backend=rpc,server=unix:x,export=data"
	no_mount 'no address' "backend=rpc,server=no.such.host.invalid,export=data"
	no_mount 'unknown option' "$RPC_EXPORT,nonsense"
	client_omount low up "$RPC_EXPORT,prefix=//"
	umount up
	client_omount low/sub up "$RPC_EXPORT,prefix=sub,soft,timeo=10,retrans=1"
	grep -q "server=$SERVER4,export=data,prefix=sub,soft,timeo=10,retrans=1" \
		/proc/self/mountinfo
	mount -o remount,nocfr up
}

# A lower that cannot be written to: the directories are compared instead.
t_unwritable() {
	setup_server xfs
	mkdir server/dir/sub
	serve_data
	client_mount_nfs 3 server/dir low ro
	client_omount low up "$RPC_EXPORT"
	umount up
	no_mount 'not the directory' "$RPC_EXPORT,prefix=sub"
	no_mount 'match=attr needs' "$RPC_EXPORT,match=attr"
}

# The NFS server squashes root: the directory's owner makes the file, and where it
# is root's, what could be compared is logged to be little.
t_squashed() {
	setup_server xfs
	chmod 755 . server/dir
	sed -i 's/no_root_squash/root_squash/' /etc/exports
	exportfs -ra
	chown 1000:1000 server/dir
	serve_data
	client_mount_nfs 3 server/dir low
	dmesg -C
	client_omount low up "$RPC_EXPORT"
	! dmesg | grep 'compared by inode number' || fail 'not by a file'
	umount up
	is 'leftover files' '' "$(find server/dir -name '.offloadfs*')"
	chown 0:0 server/dir
	client_omount low up "$RPC_EXPORT"
	dmesg | grep -q 'compared by inode number' || fail 'nothing was logged'
}

# The pages are not those of a stacked lower: refused.
t_stacked() {
	need_dev
	need_copyfiled
	make_lower xfs server
	mkdir server/dir
	load offloadfs_rpc
	start_copyfiled --export "data=$PWD/server/dir" --listen "unix:$PWD/sock"
	mkdir low
	mount -t overlay -o "lowerdir=server/dir,upperdir=$(mkdir -p server/u server/w; echo server/u),workdir=server/w" \
		overlay low
	refuse 'stacked file system' omount low up \
		"backend=rpc,server=unix:$PWD/sock,export=data"
	is 'leftover files' '' "$(find server low -name '.offloadfs*')"
}

run_tests 't_nfs3 NFSv3 on XFS: every way to copy, and no data on the wire' \
	't_nfs3_ext4 NFSv3 on ext4' \
	't_nfs40 NFSv4.0, rpc:native' \
	't_nfs41 NFSv4.1 on Btrfs, rpc:native' \
	't_nfs42 NFSv4.2, rpc:native' \
	't_ficlone FICLONE on NFSv3' \
	't_ficlone_limits FICLONERANGE past an end' \
	't_ficlone_refused FICLONE where the server cannot' \
	't_ranges ranges and holes' \
	't_dirty data that is not at the server yet' \
	't_replaced files that are renamed, replaced, removed on the server' \
	"t_rights the caller's rights at the server" \
	't_cross_mount between two mounts' \
	't_ipv6 IPv6' \
	't_min the least length' \
	't_parallel many copies at once' \
	't_refused_at_mount what is refused at mount' \
	't_unwritable a lower that is read-only' \
	't_squashed root is squashed' \
	't_stacked a stacked lower'
