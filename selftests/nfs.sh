#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# NFS below and above. NFS 4.2 copies on the server (the client's own statistics
# count the requests), older versions cannot and are copied locally; and nfsd
# exports an offloadfs mount.

. "$(dirname "$0")/lib.sh"
. "$DIR/libnfs.sh"

SIZE=3000000

# An NFS mount "low" of "server", a directory of TYPE, and "up" over it.
setup_nfs() {
	make_lower "$1" server
	mkdir server/dir
	serve_nfs server/dir
	trap 'cleanup_nfs' EXIT
	mount_nfs "$2" server/dir low
	omount low up
	pattern server/dir/src $SIZE
}

# The clients go before the server does, and what it exports after it.
cleanup_nfs() {
	! mountpoint -q client || umount client
	if [ "$(stat -f -c %T low)" = nfs ]; then
		! mountpoint -q up || umount up
		umount low
	fi
	stop_nfs
}

# NFS 4.2: python's copy is the server's work, and no data comes here.
t_nfs42() {
	need_dev
	setup_nfs xfs 4.2
	counted "copies_offloaded=1 bytes_offloaded=$SIZE" \
		python3 -c 'import shutil; shutil.copyfile("up/src", "up/dst")'
	cmp server/dir/src server/dir/dst
	[ "$(nfs_ops low COPY CLONE)" -ge 1 ]
	is reads 0 "$(nfs_ops low READ READ_PLUS)"
	is writes 0 "$(nfs_ops low WRITE)"
	is "size here" $SIZE "$(stat -c %s up/dst)"
	cmp up/src up/dst
}

# The server's file system cannot clone, but its server can copy.
t_nfs42_ext4() {
	need_dev
	setup_nfs ext4 4.2
	counted "copies_offloaded=1 bytes_offloaded=$SIZE" \
		xcopy -l cfr up/src up/dst
	cmp server/dir/src server/dir/dst
	is reads 0 "$(nfs_ops low READ READ_PLUS)"
	[ "$(nfs_ops low COPY)" -ge 1 ]
}

t_nfs42_clone() {
	need_dev
	setup_nfs xfs 4.2
	counted copies_offloaded=1 cp --reflink=always up/src up/dst
	cmp server/dir/src server/dir/dst
	is clones 1 "$(nfs_ops low CLONE)"
}

# No server-side copy in that version, and none is claimed.
copied_locally() {
	need_dev
	setup_nfs xfs "$1"
	counted "copies_local=1 bytes_local=$SIZE declined/unsupported=1" \
		xcopy sendfile up/src up/dst
	cmp server/dir/src server/dir/dst
	counted "copies_local=1 declined/unsupported=1" xcopy cfr up/src up/dst2
	cmp server/dir/src server/dir/dst2
	refuse 'not supported' cp --reflink=always up/src up/none
}
t_nfs3() { copied_locally 3; }
t_nfs41() { copied_locally 4.1; }

# Names on an NFS lower; what another client does is seen when NFS sees it.
names() {
	need_dev
	setup_nfs xfs "$1"
	mkdir up/d
	echo one >up/d/a
	ln up/d/a up/d/b
	mv up/d/a up/d/c
	ln -s c up/d/s
	is link one "$(cat up/d/s)"
	is listing "b c s" "$(cd server/dir/d && echo *)"
	echo two >server/dir/d/new
	is "new below" two "$(cat up/d/new)"
	rm server/dir/d/new
	sleep 1
	refuse 'no such file' cat up/d/new
	mv up/d up/e
	exec 5<up/e/c
	rm up/e/c up/e/b up/e/s
	is "unlinked but open" one "$(cat <&5)"
	exec 5<&-
	for _ in {1..50}; do
		[ -n "$(ls -A server/dir/e)" ] || break
		sleep 0.1
	done
	is "left over" "" "$(ls -A server/dir/e)"
	rmdir up/e
}
t_names3() { names 3; }
t_names42() { names 4.2; }

# A new file of mode 0444 is open for writing to who has made it, and to an
# NFS 4 server making and opening it are two requests.
t_create_readonly() {
	need_dev
	setup_nfs xfs 4.2
	chmod 777 server/dir
	chmod 755 .
	setpriv --reuid 1000 --regid 1000 --clear-groups python3 -c '
import os
f = os.open("up/new", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o444)
os.write(f, b"text")'
	is mode "444 1000" "$(stat -c '%a %u' server/dir/new)"
	is text text "$(cat server/dir/new)"
}

# The other way round: the mount is exported. What nfsd reads is not
# intercepted, and a client works on it.
exported() {
	need_dev
	setup_pair xfs
	pattern up/src $SIZE
	mkdir -p up/sub/dir
	serve_nfs up
	trap 'cleanup_nfs' EXIT
	mount_nfs "$1" up client
	cmp client/src low/src
	cp client/src client/sub/dir/copy
	echo 3 >/proc/sys/vm/drop_caches
	cmp client/sub/dir/copy low/src
	mv client/sub client/moved
	cmp client/moved/dir/copy low/src
	rm -r client/moved
	is listing src "$(ls low)"
	is intercepted 0 "$(count sendfile_intercepted)"
}
t_exported3() { exported 3; }
t_exported42() { exported 4.2; }

run_tests 't_nfs42 NFS 4.2: shutil.copyfile is copied by the server, no data is read' \
	't_nfs42_ext4 NFS 4.2 over ext4: the server copies the bytes' \
	't_nfs42_clone NFS 4.2: cp --reflink=always is a CLONE' \
	't_nfs3 NFSv3: copied locally, and said so' \
	't_nfs41 NFS 4.1: copied locally, and said so' \
	't_names3 names on NFSv3' \
	't_names42 names on NFS 4.2' \
	't_create_readonly NFS 4.2: a new read-only file can be written' \
	't_exported3 nfsd exports the mount by NFSv3' \
	't_exported42 nfsd exports the mount by NFS 4.2'
