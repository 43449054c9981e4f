#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# copyfiled as a process: too much to do, garbage on the wire, how it starts,
# stops, is configured, and starts anew.

. "$(dirname "$0")/lib.sh"
. "$DIR/librpc.sh"
. "$DIR/libcopyfiled.sh"

# Too much to do

# busy_tree WORKERS: a slow tree, and files to copy to.
busy_tree() {
	local n
	slow_tree ext4 20 squash=none --workers "$1" --slice 0.1
	for n in {0..63}; do
		: >"tree/dst.$n"
	done
}

# copied N: so many of the files are copies, and the others are still empty.
copied() {
	local f
	is 'files that were copied' "$1" "$(find tree -name 'dst.*' -size 64k | wc -l)"
	is 'files that were not' $((64 - $1)) "$(find tree -name 'dst.*' -empty | wc -l)"
	for f in tree/dst.*; do
		[ ! -s "$f" ] || cmp -n 65536 tree/big "$f"
	done
}

t_busy() {
	local ok busy
	busy_tree 1
	ask --parallel 40 --window 40 --count 65536 copy big 'dst.{}'
	ok=$(answer OK) busy=$(answer BUSY)
	is answers 40 $((ok + busy))
	[ "$busy" -gt 0 ] || fail 'never busy'
	[ "$ok" -ge 16 ] || fail "only $ok copies were made"
	is 'busy, says --stats' "$busy" "$(copyfiled_stat busy)"
	is running '0 0' "$(copyfiled_stat running) $(copyfiled_stat queued)"
	copied "$ok"
}

# Four connections that ask for no more than each of them may have.
t_busy_all() {
	local n ok busy pids=()
	busy_tree 2
	for n in {0..3}.{0..15}; do
		: >"tree/dst.$n"
	done
	for n in 0 1 2 3; do
		client --root tree --parallel 16 --window 16 --count 65536 --client $n \
			copy big "dst.$n.{}" >>out &
		pids+=($!)
	done
	wait "${pids[@]}" || :
	ok=$(awk '$1 == "OK" { n += $2 } END { print n + 0 }' out)
	busy=$(awk '$1 == "BUSY" { n += $2 } END { print n + 0 }' out)
	is answers 64 $((ok + busy))
	[ "$busy" -gt 0 ] || fail 'never busy'
	[ "$ok" -ge 32 ] || fail "only $ok copies were made"
}

# One connection that asks for all there is leaves room for another.
t_fair() {
	local pid n
	busy_tree 2
	for n in {0..9}; do
		: >"tree/other.$n"
	done
	client --root tree --client 5 --parallel 64 --window 64 --count 65536 --flags stable \
		copy big 'dst.{}' >out &
	pid=$!
	until [ "$(copyfiled_stat busy)" -gt 0 ]; do sleep 0.05; done
	ask --parallel 10 --window 10 --count 65536 copy big 'other.{}'
	is 'copies of the other' 'OK 10' "$ANSWER"
	wait $pid || :
	copied "$(field OK "$(cat out)")"
}

# Slow copies hold up neither copies of other files nor other requests.
t_not_held_up() {
	need_copyfiled
	make_lower tmpfs other
	data other/src other/dst
	slow_tree ext4 50 squash=none --workers 2 --slice 60 --export "other=$PWD/other,squash=none"
	client --root tree --serial 1 copy big dst >/dev/null &
	local pid=$! start=${EPOCHREALTIME/./} took
	sleep 0.5
	ANSWER=$(client --root other --export other --client 2 --times 20 copy src dst) || :
	is 'the other copies' OK "$(status)"
	ANSWER=$(client --root other --export other --client 2 commit dst) || :
	is 'COMMIT' OK "$(status)"
	gets OK null
	took=$(((${EPOCHREALTIME/./} - start) / 1000))
	is 'still at it' 1 "$(copyfiled_stat running)"
	[ $took -lt 3000 ] || fail "they took $took ms"
	gets OK --serial 1 cancel
	wait $pid || :
}

# Whoever holds a lease on a file (or a delegation) is asked to give it up.
t_lease() {
	serve
	data tree/src tree/dst
	python3 -c '
import fcntl, os, signal, time
fd = os.open("tree/dst", os.O_RDWR)
def give_up(*_):
    time.sleep(0.5)
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
signal.signal(signal.SIGIO, give_up)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
time.sleep(30)' >lease &
	local pid=$!
	until grep -q held lease; do sleep 0.05; done
	pattern tree/src 65536
	gets OK copy src dst
	cmp tree/src tree/dst
	kill $pid
	reap $pid
}

# hold N ADDRESS: so many connections from there, until the test ends.
hold() {
	"$DIR/copyfile_client" --from "$2" --client "${2##*.}" --hold 60000 connect "$1" \
		>"held.$2" &
	HELD+=($!)
	until grep -q open "held.$2"; do sleep 0.05; done
	is "connections from $2" "$1" "$(field open "$(cat "held.$2")")"
}

# one_more ADDRESS: prints what becomes of it.
one_more() { { client --from "$1" null 2>&1 || :; } | tail -n 1; }

t_connections() {
	HELD=()
	serve squash=none --max-connections 32
	hold 30 127.0.0.1
	is 'one more of the same host' closed "$(one_more 127.0.0.1)"
	hold 2 127.0.0.2
	is 'one more of any' closed "$(one_more 127.0.0.3)"
	is refused 2 "$(copyfiled_stat connections_refused)"
	kill "${HELD[@]}"
	until [ "$(copyfiled_stat connections)" = 0 ]; do sleep 0.1; done
	gets OK null
}

rss() { awk '/^VmRSS/ { print $2 }' "/proc/$COPYFILED_PID/status"; }

t_memory() {
	serve
	pattern tree/src 100
	: >tree/dst
	local start end
	gets OK --serial 1 --times 500 copy src dst
	start=$(rss)
	gets OK --serial 1000 --times 1500 copy src dst
	gets OK --serial 10000 --times 8500 cancel
	end=$(rss)
	echo "# VmRSS $start KiB after 500 copies, $end after 10500 requests"
	[ "$end" -lt $((start + 768)) ] || fail "VmRSS grew from $start to $end KiB"
	client --hold 500 connect 200 >held &
	local pid=$!
	until grep -q open held; do sleep 0.05; done
	is open 200 "$(field open "$(cat held)")"
	end=$(rss)
	wait $pid
	echo "# $end with 200 connections"
	[ "$end" -lt $((start + 8192)) ] || fail "VmRSS grew from $start to $end KiB"
	is 'copies that were made' 2000 "$(copyfiled_stat copies)"
	gets OK --client 100000 --times 3000 hello
	[ "$(copyfiled_stat clients)" -le 1300 ] || fail "$(copyfiled_stat clients) clients are kept"
	[ "$(find "/proc/$COPYFILED_PID/fd" | wc -l)" -lt 300 ] || fail 'it keeps files open'
}

# What is on the wire

t_rpc_errors() {
	serve
	gets RPC_MISMATCH --rpcvers 3 null
	gets PROG_UNAVAIL --prog 100003 null
	gets PROG_MISMATCH --vers 2 null
	gets PROC_UNAVAIL --proc 99 null
	gets GARBAGE_ARGS --proc 3 null
	gets AUTH_ERROR --auth none hello
	gets OK null
	rpcinfo -a 127.0.0.1.80.10 -T tcp 739185125 1 >/dev/null || fail 'another RPC client gets no answer'
}

# raw MS: stdin as it is; prints how the connection ended, or that it did not.
raw() { { client --timeout "$1" raw || :; } | tail -n 1; }

# bytes HEX: and 64 KiB of zeros.
bytes() { xxd -r -p <<<"$1"; head -c 65536 /dev/zero; }

t_garbage() {
	serve
	is 'a record of 1 GiB' closed "$(bytes c0000000 | raw 3000)"
	is 'a record without end' closed \
		"$(for _ in {1..40}; do xxd -r -p <<<00001000; head -c 4096 /dev/zero; done | raw 3000)"
	is 'a call of 20000 bytes' closed "$(bytes 80004e20deadbeef0000000000000002 | raw 3000)"
	local n
	for n in {1..10}; do
		head -c 3000 /dev/urandom | raw 200 >/dev/null
	done
	printf 'GET / HTTP/1.1\r\n\r\n' | raw 200 >/dev/null
	runs "$COPYFILED_PID" || fail 'it is gone'
	gets OK null
	sleep 0.2
	is 'connections left' 0 "$(copyfiled_stat connections)"
}

# Whoever sends calls and never reads an answer hurts nobody else.
t_unread() {
	serve
	data tree/src
	: >tree/dst
	python3 -c '
import socket, struct, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
for port in range(1023, 599, -1):
    try:
        s.bind(("127.0.0.1", port))
        break
    except OSError:
        if port == 600:
            raise
s.connect(("127.0.0.1", 20490))
s.settimeout(20)
call = struct.pack(">11I", 0x80000028, 1, 0, 2, 0x2c0f11e5, 1, 0, 0, 0, 0, 0)
try:
    while True:
        s.sendall(call * 1000)
except OSError as e:
    print(type(e).__name__)' >unread &
	local pid=$!
	sleep 1
	gets OK --times 50 copy src dst
	wait $pid
	grep -Eq 'ConnectionResetError|BrokenPipeError' unread || fail "it ended with $(cat unread)"
	runs "$COPYFILED_PID" || fail 'it is gone'
}

# Three that take long are begun when the tests begin, with a server of their own:
# half a record and then nothing, a second server of the same files, and a copy
# between two files with leases, one of which is given up late and one not at all.
STALL_DIR='' STALL_PID=''
begin_stalled() {
	[ -x "$COPYFILED" ] && [ -x "$DIR/copyfile_client" ] || return 0
	STALL_DIR=$(mktemp -d /tmp/copyfiled-stall.XXXXXX)
	mkdir -m 700 "$STALL_DIR/tree" "$STALL_DIR/state" "$STALL_DIR/state2"
	"$COPYFILED" --export "data=$STALL_DIR/tree" --allow 127.0.0.1 --state-dir "$STALL_DIR/state" \
		--listen 127.0.0.1:20491 2>"$STALL_DIR/log" &
	STALL_PID=$!
	for _ in {1..100}; do
		! listens 20491 || break
		sleep 0.1
	done
	(
		s=$SECONDS
		xxd -r -p <<<80000100deadbeef00000000 |
			"$DIR/copyfile_client" --port 20491 --timeout 60000 raw >"$STALL_DIR/out"
		echo $((SECONDS - s)) >"$STALL_DIR/took"
	) &
	(
		"$COPYFILED" --export "data=$STALL_DIR/tree" --allow 127.0.0.1 \
			--state-dir "$STALL_DIR/state2" --listen 127.0.0.1:20492 \
			2>"$STALL_DIR/second"
		echo $? >"$STALL_DIR/second-rc"
	) &
	begin_leases &
}
begin_leases() {
	local start
	cd "$STALL_DIR" || return
	data tree/src tree/dst
	chmod 755 tree
	python3 -c '
import fcntl, os, signal, time
src, dst = (os.open("tree/" + f, os.O_RDWR) for f in ("src", "dst"))
signal.signal(signal.SIGIO, signal.SIG_IGN)
for fd in src, dst:
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
open("leases", "w").close()
time.sleep(6)
fcntl.fcntl(src, fcntl.F_SETLEASE, fcntl.F_UNLCK)
time.sleep(30)' &
	until [ -e leases ]; do sleep 0.05; done
	start=${EPOCHREALTIME/./}
	client --port 20491 --root tree --uid 1000 --gid 1000 copy src dst >leased
	echo $(((${EPOCHREALTIME/./} - start) / 1000)) >leased-ms
	kill %?python3
}
end_stalled() {
	[ -n "$STALL_DIR" ] || return 0
	kill "$STALL_PID"
	rm -rf "$STALL_DIR"
}

t_stalled() {
	need_copyfiled
	local n
	for ((n = 0; n < 400; n++)); do
		[ ! -e "$STALL_DIR/took" ] || break
		sleep 0.1
	done
	is 'the connection' closed "$(tail -n 1 "$STALL_DIR/out")"
	[ "$(cat "$STALL_DIR/took")" -ge 20 ] || fail "after $(cat "$STALL_DIR/took") s already"
}

# Ten seconds are for all files of a request.
t_leases() {
	need_copyfiled
	local n ms
	for ((n = 0; n < 200; n++)); do
		[ ! -s "$STALL_DIR/leased-ms" ] || break
		sleep 0.1
	done
	is 'the copy' BUSY "$(field status "$(cat "$STALL_DIR/leased")")"
	ms=$(cat "$STALL_DIR/leased-ms")
	[[ $ms -ge 8000 && $ms -lt 14000 ]] || fail "after $ms ms"
}

t_two_servers() {
	need_copyfiled
	[ -s "$STALL_DIR/second-rc" ] || fail 'the second server is still there'
	[ "$(cat "$STALL_DIR/second-rc")" != 0 ] || fail 'the second server ended well'
	grep -q 'another copyfiled' "$STALL_DIR/second" || fail "$(cat "$STALL_DIR/second")"
}

# Starting, stopping, configuration

t_help() {
	need_copyfiled
	local o
	says '^usage: copyfiled ' "$COPYFILED" --help
	for o in export allow config listen port workers slice max-connections state-dir stats \
		check-config; do
		says "--$o" "$COPYFILED" --help
	done
	says '^copyfiled [0-9]' "$COPYFILED" --version
	refuse 'try .*--help' "$COPYFILED" --no-such-option
	mkdir d
	refuse 'no export|--export' "$COPYFILED" --config /dev/null --state-dir "$PWD/d"
	refuse '/nonexistent.*no such' "$COPYFILED" --export data=/nonexistent --allow 127.0.0.1 \
		--state-dir "$PWD/d"
	refuse 'absolute' "$COPYFILED" --export data=relative --allow 127.0.0.1
	refuse 'squash' "$COPYFILED" --export "data=$PWD/d,squash=some" --allow 127.0.0.1
	refuse 'ADDRESS' "$COPYFILED" --export "data=$PWD/d" --allow 300.1.1.1
	refuse 'copyfiled running' "$COPYFILED" --stats "$PWD/d/none"
	refuse 'as root' setpriv --reuid 1000 "$COPYFILED" --export "data=$PWD/d" \
		--allow 127.0.0.1 --state-dir "$PWD/d"
}

t_reload() {
	need_copyfiled
	make_lower tmpfs tree
	mkdir tree/one tree/two
	data tree/one/src tree/one/dst
	cat >conf <<-END
	[global]
	slice = 1
	[export one]
	path = $PWD/tree/one
	allow = 127.0.0.1
	squash = none
	END
	start_copyfiled --config "$PWD/conf"
	gets OK --export one hello
	gets NOEXPORT --export two hello
	printf '[export two]\npath = %s\nallow = 127.0.0.1\n' "$PWD/tree/two" >>conf
	kill -HUP "$COPYFILED_PID"
	until_log 'new configuration'
	gets OK --export one hello
	gets OK --export two hello

	# One that is wrong changes nothing, and is told by its line.
	printf '[export three]\npath = /\nsqash = none\n' >>conf
	refuse 'line 12.*sqash' "$COPYFILED" --check-config --config "$PWD/conf"
	kill -HUP "$COPYFILED_PID"
	until_log 'line 12'
	gets OK --export two hello
	gets NOEXPORT --export three hello

	sed -i '/^slice/d; /^\[export two\]/,$d; s/squash = none/ro = yes/' conf
	says 'is good' "$COPYFILED" --check-config --config "$PWD/conf"
	kill -HUP "$COPYFILED_PID"
	until_log 'new configuration.*new configuration'
	gets NOEXPORT --export two hello
	ANSWER=$(client --root tree/one --export one copy src dst) || :
	is 'read-only now' ROFS "$(status)"
	is reloads 2 "$(copyfiled_stat reloads)"
}

# A copy that runs when the configuration changes goes on.
t_reload_running() {
	slow_disk slow "$DEV" 0
	make_lower ext4 tree /dev/mapper/slow
	pattern tree/big $((8 * MB))
	: >tree/dst
	sync
	need_copyfiled
	printf '[export data]\npath = %s\nallow = 127.0.0.1\nsquash = none\n' "$PWD/tree" >conf
	start_copyfiled --config "$PWD/conf" --slice 60
	set_delay slow 10
	echo 3 >/proc/sys/vm/drop_caches
	client --root tree copy big dst >out &
	local pid=$!
	sleep 0.3
	is running 1 "$(copyfiled_stat running)"
	make_lower tmpfs other
	printf '[export other]\npath = %s\nallow = 127.0.0.1\n' "$PWD/other" >conf
	kill -HUP "$COPYFILED_PID"
	until_log 'new configuration'
	gets NOEXPORT hello
	wait $pid
	set_delay slow 0
	is 'the copy' OK "$(field status "$(cat out)")"
	cmp tree/big tree/dst
}

# verifiers: boot and write.
verifiers() {
	local boot
	ask hello
	boot=$(answer boot)
	: >tree/verifier
	ask --flags "" copy src verifier
	echo "$boot $(answer verifier)"
}

t_restart() {
	local a b c
	serve
	data tree/src
	a=$(verifiers)
	stop_copyfiled || fail 'the exit status is not 0'
	restart_copyfiled
	b=$(verifiers)
	[ "${a% *}" != "${b% *}" ] || fail 'the boot verifier is the same'
	is 'the write verifier after an orderly end' "${a#* }" "${b#* }"
	kill_copyfiled
	restart_copyfiled
	c=$(verifiers)
	[ "${c% *}" != "${b% *}" ] || fail 'the boot verifier is the same'
	[ "${c#* }" != "${b#* }" ] || fail 'the write verifier is the same after SIGKILL'
	kill_copyfiled
	restart_copyfiled
	[ "$(verifiers | cut -d' ' -f2)" != "${a#* }" ] || fail 'an old write verifier is back'
}

t_stop_during_copy() {
	slow_tree ext4 20 squash=none --slice 60
	client --root tree copy big dst >out 2>&1 &
	local pid=$! start=$SECONDS count
	sleep 0.5
	is running 1 "$(copyfiled_stat running)"
	stop_copyfiled || fail 'it did not end in order'
	wait $pid || :
	[ $((SECONDS - start)) -lt 15 ] || fail 'it took long'
	count=$(field count "$(cat out)")
	# With a reply for what was done, or none; nothing more is written after it.
	remember tree/dst
	[ -z "$count" ] || is 'bytes, and what it said' "$count" "$(stat -c %s tree/dst)"
	sleep 0.5
	unchanged
	[ "$(stat -c %s tree/dst)" -lt $((32 * MB)) ] || fail 'it copied all of it before it ended'
	cmp -n "$(stat -c %s tree/dst)" tree/big tree/dst
	set_delay slow 0
}

# The next server waits until no thread of a killed one can write any more.
t_kill_during_copy() {
	slow_tree ext4 20 squash=none --slice 60
	client --root tree copy big dst >out 2>&1 &
	local pid=$!
	sleep 0.5
	is running 1 "$(copyfiled_stat running)"
	kill_copyfiled
	wait $pid || :
	restart_copyfiled
	remember tree/dst
	sleep 0.5
	unchanged
	set_delay slow 0
	gets OK --all copy big dst
	cmp tree/big tree/dst
}

t_public_address() {
	need_copyfiled
	modprobe -q dummy || skip 'no dummy network device in this kernel'
	make_lower tmpfs tree
	trap 'clean_rpc; ip link del rpc-public' EXIT
	ip link add rpc-public type dummy
	ip addr add 11.22.33.44/24 dev rpc-public
	ip addr add 10.22.33.44/24 dev rpc-public
	ip addr add 10.99.99.44/24 dev rpc-public
	ip link set rpc-public up
	start_copyfiled --export "data=$PWD/tree" --allow 10.22.33.0/24 --allow 11.0.0.0/8
	trap 'clean_rpc; ip link del rpc-public' EXIT
	local where
	where=$(ss -Hltn 'sport = :20490' | awk '{ print $4 }' | sort | paste -sd' ')
	is 'where it listens' '10.22.33.44:20490 127.0.0.1:20490 [::1]:20490' "$where"
	grep -q 'not listening at 11.22.33.44.*public' copyfiled.log
	grep -q 'not listening at 10.99.99.44' copyfiled.log
	stop_copyfiled
	start_copyfiled --export "data=$PWD/tree" --allow 11.0.0.0/8 --listen 11.22.33.44
	trap 'clean_rpc; ip link del rpc-public' EXIT
	is 'where it was told to' 11.22.33.44:20490 "$(ss -Hltn 'sport = :20490' | awk '{ print $4 }')"
}

# What the service manager is told, and what it gives.
t_service() {
	need_copyfiled
	need systemd-socket-activate
	make_lower tmpfs tree
	data tree/src
	: >tree/dst
	python3 -c '
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("notify")
s.settimeout(20)
while True:
    print(s.recv(4096).decode().split("\n")[0], flush=True)' >told 2>/dev/null &
	local pid=$! n
	until [ -S notify ]; do sleep 0.05; done
	printf '[export data]\npath = %s\nallow = 127.0.0.1\nsquash = none\n' "$PWD/tree" >conf
	mkdir -m 700 state
	systemd-socket-activate -l 127.0.0.1:$RPC_PORT -E "NOTIFY_SOCKET=$PWD/notify" \
		"$COPYFILED" --config "$PWD/conf" --state-dir "$PWD/state" >>copyfiled.log 2>&1 &
	COPYFILED_PID=$!
	trap clean_rpc EXIT
	for ((n = 0; n < 100; n++)); do
		! listens $RPC_PORT || break
		sleep 0.1
	done
	gets OK copy src dst
	cmp tree/src tree/dst
	kill -HUP "$COPYFILED_PID"
	until_log 'new configuration'
	(($(awk '/^flags/ { print $2 }' "/proc/$COPYFILED_PID/fdinfo/3") & 04000)) ||
		fail 'accept(2) may wait'
	stop_copyfiled || fail 'the exit status is not 0'
	sleep 0.2
	kill $pid
	reap $pid
	is told 'READY=1 RELOADING=1 READY=1 STOPPING=1' "$(paste -sd' ' told)"
}

# What it may do at all, were it taken over.
t_capabilities() {
	serve
	local s="/proc/$COPYFILED_PID/status"
	# CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SETGID, CAP_SETUID.
	is 'effective capabilities' 00000000000000c6 "$(awk '/^CapEff/ { print $2 }' "$s")"
	is 'capabilities it could get' 00000000000000c6 "$(awk '/^CapBnd/ { print $2 }' "$s")"
	is 'no new privileges' 1 "$(awk '/^NoNewPrivs/ { print $2 }' "$s")"
}

begin_stalled
trap end_stalled EXIT
run_tests 't_busy what is too much gets BUSY, and the rest is copied' \
	't_busy_all the bound is one for all connections' \
	't_fair no connection takes all of it' \
	't_not_held_up a slow copy holds up no other' \
	't_lease the holder of a lease is waited for' \
	't_connections connections are bounded' \
	't_memory memory is bounded' \
	't_rpc_errors calls that RPC refuses' \
	't_garbage what is no call closes the connection' \
	't_unread a peer that never reads is dropped, and hurts nobody' \
	't_help help, and errors that name the remedy' \
	't_reload SIGHUP reads the configuration, and a wrong one changes nothing' \
	't_reload_running a copy that runs outlives a reload' \
	't_restart verifiers after an orderly end, and after SIGKILL' \
	't_stop_during_copy SIGTERM ends copies and the server in order' \
	't_kill_during_copy after SIGKILL no copy goes on' \
	't_public_address it listens at no public address unless told' \
	't_service the service manager gives the socket, and is told' \
	't_capabilities it keeps no capability that it does not need' \
	't_leases holders of leases are waited for, but not one after the other' \
	't_two_servers a second server of the same files is refused' \
	't_stalled a connection with half a record is closed'
