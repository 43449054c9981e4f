#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The backend interface: what the core makes of everything that a backend may
# answer, registration, options, and module references. With the scriptable
# backends of test_modules.

. "$(dirname "$0")/lib.sh"

SIZE=300000

# A tmpfs pair whose chain is the test backend and the local copy.
setup() {
	load offloadfs offloadfs_test_backend
	setup_pair tmpfs "${1:-backend=test,min=0}"
	pattern up/src $SIZE
	rm -f up/dst
	script "${2:-do}"
	echo accept >"$PARAM/decide"
	echo -n >"$PARAM/remote_root"
	echo -n >"$PARAM/fail"
}

calls() { cat "$PARAM/calls"; }

# Both calls: the result wanted, the file's contents, and the counters.
both() {
	local want=$1 counters=$2 script=$3 call
	for call in sendfile cfr; do
		rm -f up/dst
		script "$script"
		counted "$counters" says "$want" xcopy_any $call up/src up/dst
	done
}
xcopy_any() { xcopy "$@" || true; }

t_do() {
	setup
	both "ret=$SIZE errno=0 calls=1 in=$SIZE out=$SIZE" copies_offloaded=1 'do'
	cmp low/src low/dst
	is copies 2 "$(backend_count test copies)"
	is bytes $((2 * SIZE)) "$(backend_count test bytes)"
	is errors 0 "$(backend_count test errors)"
}

t_short() {
	setup
	both "ret=$SIZE errno=0 calls=1" copies_offloaded=1 do=100000
	cmp low/src low/dst
	is calls 3 "$(calls)"
	says 'src=200000 dst=200000 len=100000' backend_log
}

t_one_byte_at_a_time() {
	setup
	script do=1
	says 'ret=500 ' xcopy -n 500 sendfile up/src up/dst
	is calls 500 "$(calls)"
	cmp -n 500 low/src low/dst
}

t_declines() {
	local step
	setup
	for step in EOPNOTSUPP EXDEV zero; do
		both "ret=$SIZE errno=0 calls=1" \
			'copies_local=1 declined/unsupported=1' $step
		cmp low/src low/dst
		is calls 1 "$(calls)"
	done
	is errors 0 "$(backend_count test errors)"
}

t_declines_with_reason() {
	local reason
	setup
	for reason in partial unaligned cross_mount unlinked down busy; do
		both "ret=$SIZE errno=0 calls=1" \
			"copies_local=1 declined/$reason=1" decline=$reason
	done
	cmp low/src low/dst
}

t_decides_in_advance() {
	local reason
	setup
	for reason in partial unlinked down busy; do
		echo $reason >"$PARAM/decide"
		both "ret=$SIZE errno=0 calls=1" \
			"copies_local=1 declined/$reason=1" EIO
		is calls 0 "$(calls)"
	done
	cmp low/src low/dst
}

t_declines_the_rest() {
	setup
	both "ret=$SIZE errno=0 calls=1" \
		'copies_offloaded=1 copies_local=1 declined/unsupported=1' \
		do=100000,EOPNOTSUPP
	cmp low/src low/dst
	is calls 2 "$(calls)"
}

t_errors() {
	local name
	setup
	for name in EIO ENOSPC; do
		both "ret=-1 errno=$name calls=1 in=0 out=0" '' $name
		is size 0 "$(stat -c %s low/dst)"
	done
	is errors 4 "$(backend_count test errors)"
}

t_error_part_way() {
	setup
	both 'ret=100000 errno=0 calls=1 in=100000 out=100000' \
		copies_offloaded=1 do=100000,EIO
	cmp -n 100000 low/src low/dst
	is size 100000 "$(stat -c %s low/dst)"
}

t_too_many() {
	setup
	both 'ret=-1 errno=EIO calls=1 in=0 out=0' '' toomany
	both 'ret=1000 errno=0 calls=1' copies_offloaded=1 do=1000,toomany
}

t_interrupted() {
	setup
	both 'ret=-1 errno=EINTR calls=1 in=0 out=0' '' EINTR
	both 'ret=1000 errno=0' copies_offloaded=1 do=1000,EINTR
}

t_killed_while_it_hangs() {
	local pid call
	setup
	for call in sendfile cfr; do
		script do=4096,hang
		"$DIR/xcopy" $call up/src up/dst >/dev/null &
		pid=$!
		while ! grep -q hang "$PARAM/log"; do
			sleep 0.1
		done
		kill -9 $pid
		SECONDS=0
		reap $pid
		[ $SECONDS -lt 4 ]
		is calls 2 "$(calls)"
		cmp -n 4096 low/src low/dst
		is size 4096 "$(stat -c %s low/dst)"
	done
}

# A slow backend does not keep other copies of the mount waiting.
t_slow() {
	setup
	script delay=3000,do
	"$DIR/xcopy" sendfile up/src up/dst >out &
	while ! grep -q delay "$PARAM/log"; do
		sleep 0.1
	done
	SECONDS=0
	xcopy sendfile up/src up/dst2 >/dev/null
	touch up/other
	ls -l up >/dev/null
	[ $SECONDS -lt 2 ]
	wait
	cmp low/src low/dst
	cmp low/src low/dst2
}

t_request() {
	setup
	xcopy cfr up/src up/dst >/dev/null
	says "step=do op=0 origin=1 src=0 dst=0 len=$SIZE whole=1 .*sparse=1 src dst" \
		backend_log
	script 'do'
	xcopy -i 10 -o 20 -n 1000000 sendfile up/src up/dst >/dev/null
	says "op=0 origin=0 src=10 dst=20 len=$((SIZE - 10)) whole=0" backend_log
	script 'do'
	mount -o remount,nosparse up
	xcopy -n 5 cfr up/src up/dst >/dev/null
	says 'len=5 whole=0 .*sparse=0' backend_log
	script 'do'
	xcopy clone up/src up/dst2 >/dev/null
	says 'op=1 origin=2 src=0 dst=0 len=[0-9]* whole=1 shorten=0' backend_log
	script EOPNOTSUPP
	refuse EOPNOTSUPP xcopy dedupe up/src up/dst
	says 'op=2 origin=2' backend_log
}

# A backend is not asked for more than the caller may write.
t_limits() {
	local call
	setup
	for call in sendfile cfr; do
		script 'do'
		says 'ret=100001 errno=0 ' xcopy -t -F 100001 $call up/src up/dst
		says 'src=0 dst=0 len=100001 ' backend_log
		is calls 1 "$(calls)"
		script 'do'
		says 'errno=EFBIG' xcopy_any -o 100001 -F 100001 $call up/src up/dst
		is calls 0 "$(calls)"
	done
}

# Nothing to copy: nobody is asked.
t_empty_request() {
	setup
	script EIO
	says 'ret=0 errno=0' xcopy -n 0 sendfile up/src up/dst
	says 'ret=0 errno=0' xcopy -i $SIZE -n 10 sendfile up/src up/dst
	says 'ret=0 errno=0' xcopy -i $SIZE -n 10 cfr up/src up/dst
	: >up/empty
	says 'ret=0 errno=0' xcopy -n 10 sendfile up/empty up/dst
	is calls 0 "$(calls)"
}

t_clone_has_no_fallback() {
	setup
	script EOPNOTSUPP
	refuse EOPNOTSUPP xcopy clone up/src up/dst
	script decline=busy
	counted declined/busy=1 refuse EOPNOTSUPP xcopy clone up/src up/dst
	script EIO
	refuse EIO xcopy clone up/src up/dst
	script EBADE
	refuse EBADE xcopy dedupe up/src up/dst
	script zero
	refuse EOPNOTSUPP xcopy clone up/src up/dst
	is size 0 "$(stat -c %s low/dst)"
	# The program of a FICLONE does not learn of a length.
	script do=4096
	refuse EIO xcopy clone up/src up/dst
}

# A success of which nothing came would lose the file.
t_clone_nobody_asked() {
	local reason
	setup
	for reason in busy down unsupported; do
		echo $reason >"$PARAM/decide"
		counted "declined/$reason=1" refuse EOPNOTSUPP xcopy clone up/src up/dst
		counted "declined/$reason=1" refuse EOPNOTSUPP \
			xcopy -n 4096 clonerange up/src up/dst
		counted "declined/$reason=1" refuse EOPNOTSUPP xcopy dedupe up/src up/dst
	done
	is calls 0 "$(calls)"
	is size 0 "$(stat -c %s low/dst)"
	# cp makes do with a copy.
	rm up/dst
	cp up/src up/dst
	cmp low/src low/dst
	umount up
	omount low up backend=test-whole,min=0
	echo accept >"$PARAM/decide"
	counted declined/partial=1 refuse EOPNOTSUPP \
		xcopy -n 4096 clonerange up/src up/dst2
	is size 0 "$(stat -c %s low/dst2)"
}

t_chain() {
	setup backend=test:test-whole:native,min=0 decline=busy,do
	counted 'copies_offloaded=1 declined/busy=1' xcopy sendfile up/src up/dst
	cmp low/src low/dst
	is 'copies of the first' 0 "$(backend_count test copies)"
	is 'copies of the second' 1 "$(backend_count test-whole copies)"
	is 'in sysfs' 'local native test test-whole' \
		"$(find "$(sys_dir up)/backends" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | paste -sd' ')"
	script decline=busy,decline=down
	counted 'copies_local=1 declined/busy=1 declined/down=1 declined/unsupported=1' \
		xcopy sendfile up/src up/dst
	is 'copies of local' 1 "$(backend_count local copies)"
}

t_cross_mount() {
	load offloadfs offloadfs_test_backend
	make_lower tmpfs low
	omount low up backend=test-cross:test,min=0
	omount low up2 backend=test-cross,min=0
	pattern up/src $SIZE
	script 'do'
	counted copies_offloaded=1 xcopy cfr up2/src up/dst
	counted copies_offloaded=1 xcopy sendfile up2/src up/dst
	cmp low/src low/dst
	script decline=busy
	counted 'copies_local=1 declined/busy=1 declined/cross_mount=1' \
		xcopy sendfile up2/src up/dst
	cmp low/src low/dst
}

t_registration() {
	local kind
	load offloadfs offloadfs_test_backend
	refuse 'File exists' bash -c "echo duplicate >$PARAM/try_register"
	for kind in nocopy noname badname longname; do
		refuse 'Invalid argument' bash -c "echo $kind >$PARAM/try_register"
	done
	bash -c "echo good >$PARAM/try_register"
	mkdir low up
	refuse 'is unknown' mount -t offloadfs \
		-o backend=a-name-of-exactly-31-characters low up
}

t_module_reference() {
	setup
	refuse 'in use' rmmod offloadfs_test_backend
	umount up
	rmmod offloadfs_test_backend
	refuse 'backend test is unknown, and no module offloadfs-backend-test' \
		mount -t offloadfs -o backend=test low up
	load offloadfs_test_backend
	omount low up backend=test
}

t_options() {
	setup backend=test,testopt=42,min=0
	says 'testopt=42' grep " $WORK/up " /proc/self/mountinfo
	is mounts 1 "$(<"$PARAM/mounts")"
	umount up
	is mounts 0 "$(<"$PARAM/mounts")"
	refuse 'refuses option testopt=x' \
		mount -t offloadfs -o backend=test,testopt=x low up
	refuse 'unknown option' mount -t offloadfs -o testopt=1 low up
	refuse 'unknown option' mount -t offloadfs -o backend=test,other=1 low up
	is mounts 0 "$(<"$PARAM/mounts")"
}

t_commit() {
	setup
	xcopy sendfile up/src up/dst >/dev/null
	is commits 0 "$(<"$PARAM/commits")"
	xcopy -f sendfile up/src up/dst >/dev/null
	[ "$(<"$PARAM/commits")" -ge 1 ]
	script 'do'
	sync up/dst
	[ "$(<"$PARAM/commits")" -ge 1 ]
}

run_tests \
	't_do a backend that copies' \
	't_short one that copies less at a time is asked again' \
	't_one_byte_at_a_time a byte at a time' \
	't_declines one that declines: the next is asked' \
	't_declines_with_reason the reason is counted' \
	't_decides_in_advance decide() spares the copy' \
	't_declines_the_rest one that declines part-way: the rest is copied' \
	't_errors an error reaches the program' \
	't_error_part_way an error part-way: what was copied counts' \
	't_too_many more bytes than asked are EIO' \
	't_interrupted EINTR' \
	't_killed_while_it_hangs a hanging copy can be killed' \
	't_slow a slow copy stops nobody else' \
	't_request what a backend is asked' \
	't_limits RLIMIT_FSIZE limits what it is asked' \
	't_empty_request nothing to copy: it is not asked' \
	't_clone_has_no_fallback a declined clone is refused' \
	't_clone_nobody_asked a clone that no backend was asked for is refused' \
	't_chain a chain of backends' \
	't_cross_mount from mount to mount' \
	't_registration bad registrations are refused' \
	't_module_reference a mount pins the module of its backend' \
	't_options options of a backend' \
	't_commit fsync reaches commit()'
