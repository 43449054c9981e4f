#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The rpc backend and a server that answers with lies, garbage or silence: the
# file is right, or the caller has an error; nothing hangs, nothing is left.

. "$(dirname "$0")/lib.sh"
. "$DIR/libnfs.sh"
. "$DIR/librpc.sh"

SIZE=300000
LIAR=backend=rpc,server=127.0.0.1,export=data,min=0,soft,timeo=20,retrans=1

# Each test has a file system of its own.
setup() {
	need_client
	need_dev
	make_lower ext4 low
	ip link set lo up
	load offloadfs_rpc
	start_liar low
	omount low up "$LIAR"
	pattern low/src $SIZE
}

# right_or COMMAND...: the copy is right, or fails with an errno of those in WANT.
right_or() {
	local out
	SECONDS=0
	rm -f low/dst
	if out=$(xcopy -l cfr up/src up/dst); then
		cmp low/src low/dst || fail "$LIE: success, but wrong: $out"
		cmp up/src up/dst || fail "$LIE: success, but not seen: $out"
		RESULT=right
	else
		grep -Eq "errno=($WANT) " <<<"$out" || fail "$LIE: $out"
		RESULT=error
	fi
	[ $SECONDS -le 60 ] || fail "$LIE took $SECONDS s"
}

# recovers: with the truth the server is asked again, when there is a connection.
recovers() {
	local n before
	before=$(backend_count rpc copies)
	for n in {1..20}; do
		right_or
		[ "$(backend_count rpc copies)" = "$before" ] || return 0
		sleep 1
	done
	fail "$LIE: it does not recover"
}

# told LIE...: each of them in answer to COPY.
told() {
	for LIE; do
		lie "copy $LIE"
		right_or
		grep -q " copy .* ${LIE%%:*}" liar/log || fail "$LIE: not told"
		lie
		recovers
	done
}

WANT=EIO

t_honest() {
	setup
	told honest trailing twice stable:1 how:7
	is 'copied by it' 10 "$(backend_count rpc copies)"
	wire_exact
}

# It did not do what it says.
t_lies() {
	local l
	setup
	for l in count count:18446744073709551615 zero-count lie lie:1 fileid size:1; do
		lie "copy $l"
		LIE=$l right_or
		is "$l" error "$RESULT"
	done
	lie
	recovers
	# What cannot be decoded is no reply at all.
	told mtime:5 size:18446744073709551615
	wire_exact
}

# Refusals: the copy is made here, or the error is the server's.
t_statuses() {
	local s
	setup
	for s in 1 2 13 18 22 30 70 10004 10008 20001 20003 20004 4711 4294967295; do
		lie "copy status:$s"
		LIE="status $s" WANT='' right_or
		is "status $s" right "$RESULT"
	done
	for s in 5:EIO 27:EFBIG 28:ENOSPC 69:EDQUOT; do
		lie "copy status:${s%:*}"
		LIE="status $s" WANT=${s#*:} right_or
		is "status $s" error "$RESULT"
	done
	is 'copies by the server' 0 "$(backend_count rpc copies)"
	# A server that has always just started anew.
	lie 'copy status:20002' 'cancel status:20002'
	LIE='stale boot' WANT='' right_or
	wire_exact
}

t_garbage() {
	setup
	told fragments empty-fragments garbage garbage:3 garbage-body word:0=9 truncate \
		huge-verifier huge-record call denied rpc-error:1 rpc-error:4 wrong-xid
	wire_exact
}

t_silence() {
	setup
	told silence lose close reset close-after stall stall:8 stall-close \
		'delay:500' 'delay:2500'
	wire_exact
}

# The fate of the copy stays unknown: an error, and no copy by others meanwhile.
t_unsettled() {
	local l before
	setup
	for l in silence garbage 'status:5' 'state:7' 'rpc-error:3' close; do
		before=$(count copies_local)
		lie 'copy lose' "cancel $l"
		LIE="CANCEL $l" right_or
		is "CANCEL $l" error "$RESULT"
		refuse 'errno=EIO' xcopy cfr up/src up/dst
		is 'local copies' "$before" "$(count copies_local)"
		lie
		recovers
	done
	wire_exact
}

# fsync TEXT: of a copy, with what the liar says to COMMIT.
fsync() {
	python3 - "$1" <<-END
		import errno, os, sys
		i = os.open("up/src", os.O_RDONLY)
		o = os.open("up/dst", os.O_RDWR | os.O_CREAT)
		assert os.copy_file_range(i, o, $SIZE) == $SIZE
		got = []
		for n in 1, 2:
		    try:
		        os.fsync(o)
		        got.append("ok")
		    except OSError as e:
		        got.append(errno.errorcode[e.errno])
		assert got == sys.argv[1].split(), got
	END
}

t_commit() {
	local l
	setup
	# It cannot open the file: all of the export is made durable.
	lie 'commit:1-1 status:13'
	fsync 'ok ok' || fail 'COMMIT refused once'
	is COMMITs 2 "$(liar_calls commit)"
	# It has too much to do: asked again, and nothing is lost.
	lie 'commit:1-3 status:10008'
	fsync 'ok ok' || fail 'COMMIT of a busy server'
	is COMMITs 6 "$(liar_calls commit)"
	# From here on the lower, which the liar shares, has errors to tell of, too.
	for l in 'verifier' 'status:5'; do
		lie "commit $l"
		fsync 'EIO ok' || fail "COMMIT $l"
	done
	lie 'commit status:28'
	fsync 'ENOSPC ok' || fail 'COMMIT status:28'
	for l in garbage silence rpc-error:4 truncate:20 close; do
		lie "commit $l"
		fsync 'EIO EIO' || fail "COMMIT $l"
	done
	lie 'commit status:13'
	fsync 'EIO ok' || fail 'COMMIT refused'
	lie
	wire_exact
}

# no_mount TEXT LIE [OPTIONS]
no_mount() {
	lie "$2"
	refuse "$1" omount low up "$LIAR${3:+,$3}"
	is 'leftover files' '' "$(find low -name '.offloadfs*')"
}

t_mount() {
	local l
	setup
	umount up
	for l in garbage truncate close silence status:5 max-count:0; do
		no_mount 'does not answer' "hello $l"
	done
	no_mount 'does not speak' 'hello status:20005'
	no_mount 'does not speak' 'hello minor:1'
	no_mount 'does not speak' 'hello rpc-error:1'
	no_mount 'refuses this client' 'hello status:1'
	no_mount 'no export' 'hello status:20003'
	no_mount 'not see at once' 'probe answer'
	no_mount 'not the directory' 'probe status:20004'
	no_mount 'cannot be compared' 'probe status:10008'
}

# The longest names, and no more of them than the protocol has room for.
t_names() {
	local d n
	setup
	n=$(printf 'n%.0s' {1..255})
	d=low
	while [ ${#d} -lt 3000 ]; do
		mkdir "$d/$n" 2>/dev/null || break
		d+=/$n
	done
	(
		cd "${d/#low/up}"
		cp "$WORK/low/src" s
		"$DIR/xcopy" cfr s "${n:1}" >/dev/null
		cmp s "${n:1}"
	)
	is 'copied by it' 1 "$(backend_count rpc copies)"
	cp low/src "low/"$'new\nline'
	xcopy cfr "up/"$'new\nline' "up/"$'\xff\x01 *' >/dev/null
	cmp low/src "low/"$'\xff\x01 *'
	is 'copied by it' 2 "$(backend_count rpc copies)"
	wire_exact
}

run_tests 't_honest unusual, but right' \
	't_lies success that is none' \
	't_statuses every status' \
	't_garbage garbage' \
	't_silence silence, and connections that end' \
	't_unsettled copies whose fate stays unknown' \
	't_commit COMMIT' \
	't_mount at mount' \
	't_names long and strange names'
