#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A lower that is full, and one with quotas: who runs out of space through the
# mount is told as on the bare lower, at the same amount, and gets it back.

. "$(dirname "$0")/lib.sh"

# tried COMMAND...: the first line that it says, less the names of files.
tried() {
	local out
	out=$("$@" 2>&1 | sed -n "s,[^ ']*/,,g; 1p")
	echo "$out"
}

# fill DIR: what programs are told on a file system without space.
fill() {
	tried dd if=/dev/zero of="$1/big" bs=64k conv=fsync status=none
	tried fallocate -l 1G "$1/more"
	tried fallocate -n -l 1G "$1/more"
	tried cp -r --sparse=never "$DIR" "$1/tree"
	stat -c %s "$1/more"
	tried dd if=/dev/zero of="$1/direct" bs=64k oflag=direct status=none
}

# A small file system: bare, then through the mount, from the same state.
t_full_ext4() {
	local bare
	need_dev
	mkfs.ext4 -q -F -m 0 -E nodiscard "$DEV" 32M
	mkdir low
	mount -t ext4 "$DEV" low
	mkdir low/d
	fill low/d >bare
	bare=$(df --output=used,iused low | tail -n 1)
	rm -r low/d
	sync low
	mkdir low/d
	omount low up
	fill up/d >upper
	diff bare upper
	grep -q 'No space left on device' upper
	is 'blocks and inodes used' "$bare" "$(df --output=used,iused up | tail -n 1)"
	is 'free blocks' "$(stat -f -c '%f %a %d' low)" "$(stat -f -c '%f %a %d' up)"
	# What is removed through the mount is free at once.
	rm -r up/d
	sync low
	dd if=/dev/zero of=up/again bs=64k count=100 conv=fsync status=none
	cmp -n 6553600 up/again /dev/zero
}

t_full_tmpfs() {
	mkdir low
	mount -t tmpfs -o size=4m,nr_inodes=100 tmpfs low
	mkdir low/d
	fill low/d >bare
	rm -r low/d
	mkdir low/d
	omount low up
	fill up/d >upper
	diff bare upper
	grep -q 'No space left on device' upper
	rm -r up/d
	# Inodes, too, run out.
	refuse 'No space left on device' touch up/{1..200}
	refuse 'No space left on device' mkdir up/d
	rm up/*
	mkdir up/d
}

as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }

# over_quota DIR: user 65534 has 1 MiB and 10 inodes. The way there may be closed
# to him.
over_quota() (
	cd "$1" || exit
	chmod 777 .
	as_nobody dd if=/dev/zero of=a bs=64k count=12 conv=fsync status=none
	tried as_nobody dd if=/dev/zero of=b bs=64k conv=fsync status=none
	tried as_nobody fallocate -l 2M c
	tried as_nobody cp a d
	tried as_nobody touch {1..20}
	tried as_nobody mkdir dir
	rm -r ./*
	as_nobody touch e
	# Given away, it counts for whom it was given to.
	dd if=/dev/zero of=root bs=64k count=32 status=none
	tried chown 65534 root
	tried as_nobody dd if=/dev/zero of=f bs=64k conv=fsync status=none
	rm -r ./*
)

quotas() {
	mkdir low/d
	over_quota low/d >bare
	grep -q 'Disk quota exceeded' bare
	omount low up
	over_quota up/d >upper
	diff bare upper
}

t_quota_ext4() {
	need_dev
	need setquota setpriv
	mkfs.ext4 -q -F -O quota -E nodiscard,quotatype=usrquota "$DEV"
	mkdir low
	mount -t ext4 -o usrquota "$DEV" low || skip 'no quotas in this kernel'
	setquota -u 65534 0 1024 0 10 low
	quotas
}

t_quota_xfs() {
	need_dev
	need xfs_quota setpriv
	make_lower xfs low "$DEV" uquota || skip 'no quotas in this kernel'
	xfs_quota -x -c 'limit -u bhard=1m ihard=10 65534' low
	quotas
}

# By project: what is created below inherits the project, and its limit.
t_quota_project() {
	need_dev
	need xfs_quota
	make_lower xfs low "$DEV" pquota || skip 'no quotas in this kernel'
	mkdir low/p
	omount low up
	chattr -p 42 +P up/p
	says '^ *42 .*P' lsattr -pd low/p
	xfs_quota -x -c 'limit -p bhard=1m 42' low
	refuse 'No space left on device' \
		dd if=/dev/zero of=up/p/f bs=64k count=32 conv=fsync status=none
	says '^ *42 ' lsattr -p low/p/f
	is 'blocks of statfs' "$(stat -f -c %b low/p)" "$(stat -f -c %b up/p)"
	touch up/outside
	refuse 'Invalid cross-device link' ln up/outside up/p/link
}

run_tests \
	't_full_tmpfs a full tmpfs, by bytes and by inodes' \
	't_full_ext4 a full ext4' \
	't_quota_ext4 a quota of ext4' \
	't_quota_xfs a quota of XFS' \
	't_quota_project a project quota of XFS, and inherited projects'
