# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Two hosts in one machine: the server is the machine as it is, the client a
# network namespace that a pair of veth devices leads to. Only the network is
# the client's own; both see all mounts, so a test can look at a file on both
# sides. With them go copyfiled, the server under test, and copyfile_liar, one
# that answers what the test wants.
#
# What these functions start ends with the test, whatever its end: rpc_hosts and
# the start_* functions see to that.

SERVER4=192.0.2.1 CLIENT4=192.0.2.2
SERVER6=2001:db8::1 CLIENT6=2001:db8::2
RPC_PORT=20490
COPYFILED=${COPYFILED:-$DIR/copyfiled}
COPYFILED_PID='' LIAR_PID='' NFS_SERVED='' NETWORK_CUT='' SLOW_DISKS=()
COPYFILED_ARGS=()

need_client() {
	[ -x "$DIR/copyfile_client" ] ||
		skip "no copyfile_client: it is built where rpcgen, libtirpc and the protocol are"
}

need_copyfiled() {
	need_client
	[ -x "$COPYFILED" ] || skip "no copyfiled: make tools builds it"
}

# The two hosts

# rpc_hosts: make the client, and the network between it and the server.
rpc_hosts() {
	need ip nsenter
	trap clean_rpc EXIT
	[ ! -e /run/netns/client ] || return 0
	ip netns add client
	ip link add rpc-server type veth peer name rpc-client netns client
	ip addr add $SERVER4/24 dev rpc-server
	ip addr add $SERVER6/64 dev rpc-server nodad
	ip link set rpc-server up
	on_client ip link set lo up
	on_client ip addr add $CLIENT4/24 dev rpc-client
	on_client ip addr add $CLIENT6/64 dev rpc-client nodad
	on_client ip link set rpc-client up
}

# on_client COMMAND...: with the client's network, and everybody's mounts.
on_client() { nsenter --net=/run/netns/client "$@"; }

# cut_network [link|nft]: take the link down, or drop every packet of the copyfile
# protocol silently (those of NFS pass, so that the lower mount still works).
cut_network() {
	NETWORK_CUT=yes
	case ${1:-nft} in
	link) ip link set rpc-server down ;;
	nft)
		nft -f - <<-END
		table inet rpc_cut {
			chain in {
				type filter hook input priority 0
				iifname "rpc-server" tcp dport $RPC_PORT drop
			}
			chain out {
				type filter hook output priority 0
				oifname "rpc-server" tcp sport $RPC_PORT drop
			}
		}
		END
		;;
	esac
}

mend_network() {
	[ -n "$NETWORK_CUT" ] || return 0
	! nft list table inet rpc_cut >/dev/null 2>&1 || nft delete table inet rpc_cut
	[ ! -e /sys/class/net/rpc-server ] || ip link set rpc-server up
	# Addresses of IPv6 go with the link.
	ip addr replace $SERVER6/64 dev rpc-server nodad 2>/dev/null || :
}

# wire_bytes: what has gone over the wire between them, both ways together.
wire_bytes() {
	local rx tx
	read -r rx </sys/class/net/rpc-server/statistics/rx_bytes
	read -r tx </sys/class/net/rpc-server/statistics/tx_bytes
	echo $((rx + tx))
}

# client_mount_nfs VERSION DIR MNT [OPTIONS]: the client mounts what serve_nfs
# (libnfs.sh) exports.
client_mount_nfs() {
	mkdir -p "$3"
	on_client mount -t nfs \
		-o "vers=$1,nolock,proto=tcp,port=2049${4:+,$4}" \
		"${NFS_SERVER:-$SERVER4}:$(realpath "$2")" "$3"
}

# rpc_serve_nfs DIR...: serve_nfs, and it ends with the test.
rpc_serve_nfs() {
	trap clean_rpc EXIT
	NFS_SERVED=yes
	serve_nfs "$@"
}

# client_omount LOWER MNT OPTIONS: offloadfs, mounted by the client.
client_omount() {
	mkdir -p "$2"
	on_client mount -t offloadfs -o "$3" "$1" "$2"
}

# copyfiled

# listens PORT: does anybody? (ss would load modules first.)
listens() { cat /proc/net/tcp /proc/net/tcp6 | grep -q "$(printf ':%04X 0*:0000 0A' "$1")"; }

# start_copyfiled ARGUMENT...: until it is ready. Its log is copyfiled.log, its
# state is in state/.
start_copyfiled() {
	need_copyfiled
	trap clean_rpc EXIT
	COPYFILED_ARGS=("$@")
	mkdir -p state
	"$COPYFILED" --state-dir "$PWD/state" "$@" >>copyfiled.log 2>&1 &
	COPYFILED_PID=$!
	wait_copyfiled
}

wait_copyfiled() {
	local n unix
	unix=$(printf '%s\n' "${COPYFILED_ARGS[@]}" | sed -n 's/^\(--listen=\)\?unix://p' | head -n 1)
	for ((n = 0; n < 150; n++)); do
		[ -d "/proc/$COPYFILED_PID" ] || break
		if [ -n "$unix" ]; then
			[ ! -S "$unix" ] || return 0
		elif listens $RPC_PORT; then
			return 0
		fi
		sleep 0.1
	done
	tail -n 5 copyfiled.log | sed 's/^/# copyfiled: /'
	fail "copyfiled does not listen"
}

# runs PID: and is not only waited for.
runs() { grep -qs "^State:[[:space:]][RSDTt]" "/proc/$1/status"; }

# end_copyfiled SIGNAL: returns its exit status, 1 if it had to be killed. What
# the shell has to say about that goes nowhere.
end_copyfiled() {
	local n pid=$COPYFILED_PID rc=0
	[ -n "$pid" ] || return 0
	COPYFILED_PID=
	kill -"$1" "$pid"
	kill -CONT "$pid" || :
	for ((n = 0; n < 200; n++)); do
		runs "$pid" || break
		sleep 0.1
	done
	! runs "$pid" || kill -KILL "$pid"
	wait "$pid" || rc=$?
	[ $n -lt 200 ] || rc=1
	return $rc
} 2>/dev/null

stop_copyfiled() { end_copyfiled TERM; }
kill_copyfiled() { end_copyfiled KILL || :; }
pause_copyfiled() { kill -STOP "$COPYFILED_PID"; }
resume_copyfiled() { kill -CONT "$COPYFILED_PID"; }

# restart_copyfiled: as it was started before; whoever stopped it has waited.
restart_copyfiled() { start_copyfiled "${COPYFILED_ARGS[@]}"; }

# copyfiled_stat NAME: one of its counters.
copyfiled_stat() {
	"$COPYFILED" --state-dir "$PWD/state" --stats | awk -v n="$1" '
		$1 == n { print $2; ok = 1 } END { exit !ok }'
}

# The test client; the server is told where its files are, for their sizes and
# times: "client --root DIR copy SRC DST".
client() { "$DIR/copyfile_client" "$@"; }

# field NAME OUTPUT: what copyfile_client or copyfile_wire says NAME is.
field() { sed -n "s/^$1 //p" <<<"$2"; }

# A server that lies

# start_liar DIR [OPTION...]: it has the export "data", which is DIR.
start_liar() {
	need_client
	trap clean_rpc EXIT
	mkdir -p liar/record
	lie 'null honest'
	: >liar/out
	"$DIR/copyfile_liar" --export "data=$(realpath "$1")" --control liar/control \
		--record liar/record --log liar/log "${@:2}" >liar/out 2>&1 &
	LIAR_PID=$!
	local n
	for ((n = 0; n < 100; n++)); do
		! grep -q ready liar/out || return 0
		sleep 0.1
	done
	fail "copyfile_liar: $(cat liar/out)"
}

stop_liar() {
	[ -n "$LIAR_PID" ] || return 0
	kill "$LIAR_PID" 2>/dev/null || echo "# copyfile_liar: $(cat liar/out)"
	reap "$LIAR_PID"
	LIAR_PID=
}

# lie ["PROCEDURE[:FROM[-TO]] ACTION,..."]...: from now on, and nothing else. The
# calls are counted from 1 again.
lie() { printf '%s\n' "# $EPOCHREALTIME" "$@" >liar/control; }

# liar_calls PROCEDURE: how many came.
liar_calls() { awk -v p="$1" '$2 == p { n++ } END { print n + 0 }' liar/log; }

# wire_exact: every call that the liar got is what rpcgen's XDR makes of it.
wire_exact() {
	compgen -G 'liar/record/*' >/dev/null || fail "nothing was recorded"
	"$DIR/copyfile_wire" liar/record/* >liar/wire ||
		fail "not what XDR encodes: $(grep '^bad' liar/wire)"
}

# A slow disk

# slow_disk NAME DEVICE MS: /dev/mapper/NAME, each request to which takes so
# long. It takes 64 KiB at a time, and is slow for those who read much at once,
# too: make file systems before it is there.
slow_disk() {
	need dmsetup
	modprobe -q dm_delay || skip "no dm-delay in this kernel"
	trap clean_rpc EXIT
	dmsetup create "$1" --table "0 $(blockdev --getsz "$2") delay $2 0 $3"
	SLOW_DISKS+=("$1")
	dmsetup mknodes "$1"
	slow_queue "$1"
}

slow_queue() {
	local dev
	dev=/sys/block/$(dmsetup info -c --noheadings -o blkdevname "$1")
	echo 64 >"$dev/queue/max_sectors_kb"
	echo 64 >"$dev/queue/read_ahead_kb"
}

# set_delay NAME MS: another delay, from now on.
set_delay() {
	dmsetup suspend --nolockfs "$1"
	dmsetup table "$1" | sed "s/[0-9]*$/$2/" | dmsetup load "$1"
	dmsetup resume "$1"
	slow_queue "$1"
}

# Nothing of a test is left to wait for.
fast_disks() {
	local d
	for d in "${SLOW_DISKS[@]}"; do
		set_delay "$d" 0
	done
}

# The end of a test

# Clients go first, while their servers still answer.
clean_clients() {
	local m
	while read -r m; do
		timeout 60 umount "$m" || umount -f -l "$m"
	done < <(awk -v w="$WORK/" 'index($5, w) == 1 && / - (offloadfs|nfs4?|fuse\.[a-z]*|9p) / { print $5 }' \
		/proc/self/mountinfo | tac)
}

clean_rpc() {
	local err=0 d
	set +e
	trap '' ERR
	mend_network 2>/dev/null
	[ -z "$COPYFILED_PID" ] || kill -CONT "$COPYFILED_PID" 2>/dev/null
	cd "$WORK" || err=1
	fast_disks
	clean_clients || err=1
	stop_liar
	stop_copyfiled || { echo "# copyfiled does not end"; err=1; }
	[ -z "$NFS_SERVED" ] || stop_nfs
	# What the test has left in the background, when it failed.
	jobs -p | xargs -r kill 2>/dev/null
	umount_all || err=1
	for d in "${SLOW_DISKS[@]}"; do
		dmsetup remove --retry "$d" || err=1
	done
	if [ -e /run/netns/client ]; then
		ip netns pids client | xargs -r kill 2>/dev/null
		ip link del rpc-server
		ip netns del client || err=1
	fi
	[ $err = 0 ] || exit "$KSFT_FAIL"
}
