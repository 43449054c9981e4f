#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# copyfiled, the COPYFILE server: what it copies, how, and what it makes of copies
# that come again or are cancelled.

. "$(dirname "$0")/lib.sh"
. "$DIR/librpc.sh"
. "$DIR/libcopyfiled.sh"

# Procedures

t_procedures() {
	serve
	data tree/src
	: >tree/dst
	gets OK null
	gets OK --auth none null
	gets OK hello
	is 'minor version' 0 "$(answer minor)"
	is 'length of the verifier' 16 "$(answer boot | tr -d '\n' | wc -c)"
	gets OK copy src dst
	cmp tree/src tree/dst
	is count 65536 "$(answer count)"
	is size 65536 "$(answer size)"
	is fileid "$(stat -c %i tree/dst)" "$(answer fileid)"
	is mtime "$(stat -c %.9Y tree/dst)" "$(answer mtime)"
	gets OK commit dst
	gets OK commit
	gets NOEXPORT --export other hello
	gets NOEXPORT --src-export other copy src dst
	is 'requests, says --stats' '6 2' \
		"$(copyfiled_stat requests_hello) $(copyfiled_stat requests_copy)"
}

t_probe() {
	local nonce=00112233445566778899aabbccddeeff name=.offloadfs-probe-1
	serve
	mkdir tree/dir
	gets OK probe dir
	is fileid "$(stat -c %i tree/dir)" "$(answer fileid)"
	is mtime "$(stat -c %.9Y tree/dir)" "$(answer mtime)"
	gets OK probe ""
	echo -n $nonce | xxd -r -p >tree/dir/$name
	gets OK --nonce $nonce probe dir/$name
	is 'the file' "$nonce$(answer answer)" "$(xxd -p -c 64 tree/dir/$name)"
	is fileid "$(stat -c %i tree/dir/$name)" "$(answer fileid)"

	# It writes into nothing but what is plainly meant for it.
	gets MISMATCH --nonce $nonce probe dir/$name
	echo -n $nonce | xxd -r -p >tree/dir/$name
	gets MISMATCH --nonce "${nonce/00/01}" probe dir/$name
	is 'the file' $nonce "$(xxd -p tree/dir/$name)"
	gets NOENT --nonce $nonce probe $name
	echo -n $nonce | xxd -r -p >tree/other
	gets INVAL --nonce $nonce probe other
	ln tree/other tree/$name
	gets MISMATCH --nonce $nonce probe $name
	is 'the other file' $nonce "$(xxd -p -c 64 tree/other)"
}

t_stale_boot() {
	serve
	data tree/src tree/dst
	remember tree/dst
	gets STALE_BOOT --boot 0123456789abcdef copy src dst
	gets STALE_BOOT --boot 0123456789abcdef probe ""
	gets STALE_BOOT --boot 0123456789abcdef commit dst
	gets STALE_BOOT --boot 0123456789abcdef --serial 1 cancel
	ask hello
	gets STALE_BOOT --boot "$(answer boot)" --client 77 copy src dst
	unchanged
}

# How it copies

# cloning TYPE: whole blocks are shared, and all of a clone or nothing is.
cloning() {
	need_dev
	make_lower "$1" tree
	pattern tree/src 1000000
	: >tree/dst
	: >tree/clone
	serve
	gets OK hello
	is 'caps' 1 "$(answer caps)"
	gets OK copy src dst
	is how CLONED "$(answer how)"
	cmp tree/src tree/dst
	gets OK --flags clone copy src clone
	cmp tree/src tree/clone
	filefrag -v tree/clone | grep -q shared
	is bytes 2000000 "$(copyfiled_stat bytes_cloned)"

	# A part that cannot be shared is copied, or refused by a clone.
	pattern tree/part 500000
	remember tree/part
	gets NOTSUPP --flags clone --src-offset 1 --count 5000 copy src part
	unchanged
	cp tree/part part
	dd if=tree/src of=part bs=1 skip=1 seek=3 count=5000 conv=notrunc status=none
	gets OK --src-offset 1 --dst-offset 3 --count 5000 copy src part
	[ "$(answer how)" != CLONED ] || fail 'cloned what cannot be'
	cmp part tree/part
}
t_clone_xfs() { cloning xfs; }
t_clone_btrfs() { cloning btrfs; }

t_copy_ext4() {
	need_dev
	make_lower ext4 tree
	pattern tree/src $((3 * MB + 1))
	pattern tree/dst 1000
	serve
	gets OK hello
	is caps 0 "$(answer caps)"
	remember tree/dst
	gets NOTSUPP --flags clone copy src dst
	unchanged
	gets OK --src-offset 5 --dst-offset 1000 copy src dst
	is how IN_KERNEL "$(answer how)"
	{ head -c 1000 tree/src; tail -c +6 tree/src; } | cmp - tree/dst
}

# Between two file systems, whatever it does is told truly.
t_two_exports() {
	need_dev
	make_lower ext4 tree
	make_lower tmpfs other
	pattern tree/src 300000
	: >other/dst
	need_copyfiled
	start_copyfiled --export "data=$PWD/tree,squash=none" \
		--export "other=$PWD/other,squash=none" --allow 127.0.0.1
	gets OK --dst-export other --dst-size 0 --dst-fileid 0 \
		--dst-mtime "$(stat -c %.9Y other/dst)" copy src dst
	cmp tree/src other/dst
	# Once each, and only as far as its own options allow.
	stop_copyfiled
	start_copyfiled --export "data=$PWD/tree,squash=none" \
		--export "other=$PWD/other,ro,squash=none" --allow 127.0.0.1
	remember other/dst
	gets ROFS --dst-export other --dst-size 300000 --dst-fileid 0 \
		--dst-mtime "$(stat -c %.9Y other/dst)" copy src dst
	unchanged
}

t_slice() {
	serve squash=none --slice 0.01
	pattern tree/src $((32 * MB))
	: >tree/dst
	gets OK copy src dst
	[ "$(answer count)" -lt $((32 * MB)) ] || fail "all at once: $(answer count)"
	cmp -n "$(answer count)" tree/src tree/dst
	is 'size of what was copied' "$(answer count)" "$(stat -c %s tree/dst)"
	gets OK --all copy src dst
	cmp tree/src tree/dst
	[ "$(answer calls)" -gt 1 ] || fail 'one call was enough'
}

t_ranges() {
	serve
	data tree/src tree/dst
	remember tree/src tree/dst
	gets INVAL --count 0 copy src dst
	gets INVAL --src-offset 1 --count 65536 copy src dst
	gets INVAL --src-offset 65536 --count 1 copy src dst
	gets INVAL --src-offset 0xffffffffffffff00 --count 512 copy src dst
	gets INVAL --count 0xffffffffffffffff copy src dst
	gets FBIG --dst-offset 0x7fffffffffffff00 --count 512 copy src dst
	gets INVAL --flags unknown copy src dst
	gets INVAL --count 1000 --dst-offset 999 copy src src
	gets INVAL copy src src
	unchanged
	gets OK --count 1000 --dst-offset 1000 copy src src
	cmp -n 1000 tree/src tree/src 0 1000
}

t_holes() {
	need_dev
	make_lower ext4 tree
	truncate -s 8M tree/src
	printf middle | dd of=tree/src bs=1 seek=4194304 conv=notrunc status=none
	pattern tree/dst $((6 * MB))
	: >tree/new
	sync
	serve
	gets OK --flags sparse copy src dst
	cmp tree/src tree/dst
	sync
	[ "$(blocks tree/dst)" -lt 100 ] || fail "$(blocks tree/dst) blocks: the holes are filled"
	gets OK --flags sparse,stable --count $((2 * MB)) copy src new
	is 'size, all a hole' $((2 * MB)) "$(stat -c %s tree/new)"
	[ "$(blocks tree/new)" -lt 16 ] || fail "$(blocks tree/new) blocks"
	# Without being told, right all the same.
	pattern tree/dst $((6 * MB))
	gets OK copy src dst
	cmp tree/src tree/dst
}

# A hole at the end of a time slice, which the destination cannot be long enough for.
t_hole_fails() {
	need_dev
	make_lower ext4 tree
	truncate -s 8M tree/src
	# Where the data is has to be read from the disk, which takes all of the slice.
	python3 -c '
f = open("tree/src", "r+b")
for at in range(4 << 20, 5 << 20, 8192):
    f.seek(at)
    f.write(b"data")'
	: >tree/dst
	umount tree
	slow_disk slow "$DEV" 0
	mount /dev/mapper/slow tree
	ulimit -f 1024
	serve squash=none --slice 0.01
	set_delay slow 50
	gets FBIG --flags sparse copy src dst
	is 'size' 0 "$(stat -c %s tree/dst)"
}

t_suid() {
	serve
	data tree/src tree/dst
	chown 1000:1000 tree/dst
	chmod 6755 tree/dst
	gets OK --uid 1000 --gid 1000 copy src dst
	is mode 755 "$(stat -c %a tree/dst)"
	chmod 6755 tree/dst
	gets OK copy src dst
	is 'mode, as root does it' 755 "$(stat -c %a tree/dst)"
}

t_full() {
	make_lower tmpfs tree
	mount -o remount,size=4m tree
	pattern tree/src $((3 * MB))
	: >tree/dst
	serve
	gets NOSPC --all copy src dst
	local total
	total=$(answer total)
	[ "$total" -le $MB ] || fail "$total bytes in 1 MiB"
	is 'size, and what it said' "$total" "$(stat -c %s tree/dst)"
	cmp -n "$total" tree/src tree/dst
}

t_quota() {
	need_dev
	need setquota quotaon
	modprobe -q quota_v2 || :
	mkdir -p tree
	mkfs.ext4 -q -F -E nodiscard,quotatype=usrquota -O quota "$DEV"
	mount -o usrquota "$DEV" tree || skip 'no quotas in this kernel'
	pattern tree/src $((3 * MB))
	: >tree/dst
	chmod 644 tree/src
	chown 1000 tree/dst
	setquota -u 1000 0 1024 0 0 tree
	serve
	gets DQUOT --uid 1000 --all copy src dst
	cmp -n "$(answer total)" tree/src tree/dst
	[ "$(answer total)" -le $MB ] || fail "$(answer total) bytes in a quota of 1 MiB"
	[ "$(stat -c %s tree/dst)" -le $MB ] || fail "the quota is overdrawn"
	# Nor has root's own right to exceed it leaked to anybody.
	setquota -u 1000 0 0 0 0 tree
	gets OK --uid 1000 --all copy src dst
	cmp tree/src tree/dst
}

# in_disk TEXT: how often it stands on the disk itself.
in_disk() { dd if="$DEV" bs=1M count=64 iflag=direct status=none | grep -a -o "$1" | wc -l; }

t_durable() {
	need_dev
	mkdir tree
	dd if=/dev/zero of="$DEV" bs=1M count=64 status=none
	mkfs.ext4 -q -F -O ^has_journal "$DEV" 64M
	mount "$DEV" tree
	yes 'a line that is copied' | head -n 4096 >tree/src
	: >tree/dst
	sync
	serve
	gets OK copy src dst
	is 'stable, unasked' 0 "$(answer stable)"
	local before v
	v=$(answer verifier)
	before=$(in_disk 'a line that is copied')
	is 'copies on the disk before COMMIT' 4096 "$before"
	is 'files to commit' 1 "$(copyfiled_stat uncommitted)"
	gets OK --fileid "$(stat -c %i tree/dst)" commit dst
	is 'copies on the disk after COMMIT' 8192 "$(in_disk 'a line that is copied')"
	is 'write verifier' "$v" "$(answer verifier)"

	: >tree/two
	sync
	gets OK --flags stable copy src two
	is 'stable, when asked' 1 "$(answer stable)"
	is 'copies on the disk' 12288 "$(in_disk 'a line that is copied')"

	: >tree/three
	sync
	gets OK copy src three
	gets OK commit
	is 'copies on the disk after COMMIT of all' 16384 "$(in_disk 'a line that is copied')"
	gets STALE --fileid 1 commit dst

	# All means what others have written as well.
	cp tree/src tree/four
	gets OK commit
	is 'copies on the disk after COMMIT of all' 20480 "$(in_disk 'a line that is copied')"
}

# Copies that come again, and CANCEL

t_duplicates() {
	serve squash=none --slice 10
	pattern tree/src $((32 * MB))
	: >tree/dst
	ask --repeat 5 --serial 1000 copy src dst
	is replies "5 reply OK $((32 * MB))" "$(grep reply <<<"$ANSWER" | uniq -c | sed 's/^ *//')"
	is copies '1 4' "$(copyfiled_stat copies) $(copyfiled_stat duplicates)"
	cmp tree/src tree/dst
	# Long after it, over another connection, and the file is another by now.
	pattern tree/dst 10
	remember tree/dst
	gets OK --serial 1000 copy src dst
	is count $((32 * MB)) "$(answer count)"
	is copies 1 "$(copyfiled_stat copies)"
	unchanged
}

t_cancel() {
	serve
	data tree/src tree/dst
	remember tree/dst
	gets OK --serial 500 cancel
	is 'state of a copy that never came' NEVER_SEEN "$(answer state)"
	gets CANCELLED --serial 500 copy src dst
	unchanged
	pattern tree/src 70000
	gets OK --serial 501 copy src dst
	gets OK --serial 501 cancel
	is 'state of a finished copy' 'FINISHED 70000' "$(answer state) $(answer count)"
	remember tree/dst
	gets CANCELLED --serial 501 copy src dst
	unchanged
	# Somebody else's copies.
	gets OK --serial 501 --client 2 cancel
	is 'state, for another client' NEVER_SEEN "$(answer state)"
}

t_cancel_running() {
	slow_tree ext4 20 squash=none --slice 60
	ask --cancel-after 500 --cancels 3 copy big dst
	is 'the copy came first' 0 "$(answer early)"
	is 'the copy' CANCELLED "$(answer copy)"
	is 'the cancel' 'OK STOPPED' "$(status) $(answer state)"
	[ "$(answer count)" -gt 0 ] || fail 'nothing had been copied yet'
	[ "$(answer count)" -lt $((32 * MB)) ] || fail 'all had been copied'
	is 'bytes, and what it said' "$(answer count)" "$(stat -c %s tree/dst)"
	remember tree/dst
	sleep 0.5
	unchanged
	cmp -n "$(answer count)" tree/big tree/dst
}

# One worker is busy; what waits is cancelled at once, and never begins.
t_cancel_queued() {
	slow_tree ext4 20 squash=none --workers 1 --slice 60
	client --root tree --serial 1 copy big dst >first &
	local pid=$!
	sleep 0.5
	local start=$SECONDS
	ask --serial 2 --cancel-after 200 copy big waits
	is 'the copy' CANCELLED "$(answer copy)"
	is 'the cancel' 'STOPPED 0' "$(answer state) $(answer count)"
	[ $((SECONDS - start)) -lt 3 ] || fail 'CANCEL waited for the worker'
	gets OK --serial 1 cancel
	wait $pid || :
	is 'the first copy' CANCELLED "$(field status "$(cat first)")"
	sleep 0.3
	is 'size of what was cancelled' 0 "$(stat -c %s tree/waits)"
}

# A serial so old that nothing is remembered of it is refused, not executed.
t_watermark() {
	serve
	data tree/src
	: >tree/dst
	gets OK --serial 1 --times 300 copy src dst
	remember tree/dst
	gets CANCELLED --serial 3 copy src dst
	unchanged
	gets OK --serial 3 cancel
	gets OK --serial 5000 copy src dst
}

# The files that are meant

t_stale() {
	local i
	serve
	for i in src dst; do
		data tree/src tree/dst
		touch -d '2020-02-02 02:02:02.123456789' tree/$i
		remember tree/dst
		gets STALE --$i-size 65535 copy src dst
		gets STALE --$i-mtime 1580608923.123456789 copy src dst
		gets STALE --$i-mtime 1580608922.123456788 copy src dst
		gets STALE --$i-fileid 1 copy src dst
		unchanged
		mv tree/$i tree/moved
		gets NOENT --$i-size 65536 --count 65536 copy src dst
		data tree/$i
		remember tree/dst tree/moved
		gets STALE --$i-fileid "$(stat -c %i tree/moved)" copy src dst
		unchanged
		mv tree/moved tree/$i
		touch -d '2020-02-02 02:02:02.123456789' tree/$i
		# The file id may be unknown, and the nanoseconds.
		gets OK --$i-mtime 1580608922 --$i-fileid 0 copy src dst
	done
	is 'stale ones' 10 "$(copyfiled_stat stale)"
}

run_tests 't_procedures all procedures, and what their replies say' \
	't_probe PROBE answers in the file, and only in one that is meant for it' \
	't_stale_boot whoever has not said HELLO to this process is told to' \
	't_clone_xfs xfs: clones, and says so' \
	't_clone_btrfs btrfs: clones, and says so' \
	't_copy_ext4 ext4: copies in the kernel, and refuses a clone' \
	't_two_exports from one export to another' \
	't_slice a time slice ends a copy with a short count' \
	't_ranges ranges that make no sense are refused' \
	't_holes holes stay holes' \
	't_hole_fails a hole that cannot be is told truly' \
	't_suid set-user-id bits are dropped' \
	't_full a full file system is told truly' \
	't_quota the quota of the user holds' \
	't_durable data is on the disk after COMMIT or a stable COPY, and not before' \
	't_duplicates a COPY that comes again is not made again' \
	't_cancel CANCEL before and after a copy, and the COPY after it' \
	't_cancel_running CANCEL ends a copy, which writes nothing afterwards' \
	't_cancel_queued CANCEL of a copy that waits does not wait' \
	't_watermark an old copy that nobody remembers is refused' \
	't_stale a file that is not the one meant is refused'
