#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Build for each kernel, run the selftests on it in a guest, look through its
# log, and add up. A test that prints results of its own counts as that many,
# any other as one; so does each guest's log, each dkms step of a kernel, and
# the fuzzing of the server.
#
# usage: check.sh [-k SERIES] [-t PREFIX] [-j GUESTS-AT-ONCE]
#   PREFIX selects the tests whose names, less `test_', begin with it.

. "$(dirname "$0")/lib.sh"

kernels=$(series_list) prefix="" jobs=3 all=yes
while getopts k:t:j:1: opt; do
	case $opt in
	k) kernels=$OPTARG; all="" ;;
	t) prefix=$OPTARG; all="" ;;
	j) jobs=$OPTARG ;;
	1) one=$OPTARG ;;
	*) exit 2 ;;
	esac
done
ksft=$build/ksft

# The selftests as kselftest installs them, for every guest.
build_tests() {
	local in=/build/$1/selftests out=/build/ksft
	rm -rf "$ksft"
	mkdir -p "$ksft/obj" "$ksft/run/offloadfs"
	# shellcheck disable=SC2016
	in_root trixie sh -ec '
		ksft=/linux/tools/testing/selftests
		make -s -C "$1" KSFT_SRC=$ksft OUTPUT="$2/obj" \
			INSTALL_PATH="$2/run/offloadfs" install
		make -s -C "$1" KSFT_SRC=$ksft OUTPUT="$2/obj" \
			COLLECTION=offloadfs emit_tests >"$2/run/kselftest-list.txt"
		cp -a $ksft/kselftest $ksft/run_kselftest.sh "$2/run/"' \
		sh "$in" "$out"
	# The programs under test go beside the tests.
	find "$build"/tools/tools/*/ -maxdepth 1 -type f -perm -u+x \
		-exec cp -t "$ksft/run/offloadfs" {} + 2>/dev/null || :
	if [ -n "$prefix" ]; then
		sed -i -E -n "/^offloadfs:(test_)?$prefix/p" "$ksft/run/kselftest-list.txt"
	fi
	[ -s "$ksft/run/kselftest-list.txt" ] ||
		die "no test begins with '$prefix'"
}

# What the guest runs. The kernel's log learns which test is running, and in
# the end what kmemleak knows, if it is there.
guest_command() {
	printf 'export OFFLOADFS_SOAK=%q OFFLOADFS_SEED=%q\n' \
		"${OFFLOADFS_SOAK:-}" "${OFFLOADFS_SEED:-}"
	echo "test_options='$1'"
	cat <<-'END'
	cp -a /host/ksft /root/
	cd /root/ksft
	{ ./run_kselftest.sh $test_options; echo $? >/run/rc; } |
	while IFS= read -r line; do
		printf '%s\n' "$line"
		case $line in
		'# selftests: '*) echo "$line" >/dev/kmsg ;;
		esac
	done
	leaks=/sys/kernel/debug/kmemleak
	if [ -e $leaks ]; then
		sleep 6
		echo scan >$leaks
		echo scan >$leaks
		while IFS= read -r line; do
			printf '%s\n' "$line" >/dev/kmsg
		done <$leaks
	fi
	echo "# $(cut -d. -f1 /proc/uptime) s up"
	exit "$(cat /run/rc)"
	END
}

# serve_guest SHARED-DIRECTORY: copyfiled on this machine, for the guest's 9p. The
# guest finds its address in /host/copyfiled.
serve_guest() {
	local port n at=/build/${1##*/}
	served=
	trap '[ -z "$served" ] || as_root kill "$served"' EXIT
	port=$(python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	mkdir -p "$1/9p" "$1/state"
	in_root -r trixie "$at/ksft/offloadfs/copyfiled" --state-dir "$at/state" \
		--listen "127.0.0.1:$port" --allow 127.0.0.1 \
		--export "share=$at/9p,squash=none,insecure" >"$1/copyfiled.log" 2>&1 &
	for ((n = 0; n < 100; n++)); do
		served=$(pgrep -f -- "--state-dir $at/state" | tail -n 1) || :
		! grep -q 'serving' "$1/copyfiled.log" || break
		sleep 0.1
	done
	echo "10.0.2.2:$port" >"$1/copyfiled"
}

# check_kernel SERIES: its TAP on stdout.
check_kernel() {
	local series=$1 rc=0 start=$SECONDS shared hits log=$build/check-$1.log
	local limit=4800 test_options=
	if [ "$series" = debug ]; then
		limit=9000
		test_options="-o 2400"
	fi
	shared=$(mktemp -d "$build/share-$series.XXXXXX")
	cp -a "$ksft/run" "$shared/ksft"
	serve_guest "$shared"
	echo "# Linux $(kernel_release "$series")"
	"$vm/guest.sh" -t "$limit" -d "$shared" -l "$log" "$series" -- \
		"$(guest_command "$test_options")" || rc=$?
	[ -z "$served" ] || as_root kill "$served"
	served=
	as_root rm -rf "$shared"
	case $rc in
	124) echo "not ok - $series: the guest ran out of time, see ${log#"$top"/}" ;;
	125) echo "not ok - $series: the guest died, see ${log#"$top"/}" ;;
	esac
	if hits=$("$vm/scan-log.sh" "$log"); then
		echo "ok - $series: nothing bad in the kernel's log"
	else
		printf '%s\n' "$hits" | sed 's/^/# /'
		echo "not ok - $series: the kernel's log, ${log#"$top"/}"
	fi
	echo "# Linux $series took $((SECONDS - start)) s"
}

# Fuzz the server with the sanitizers of Debian 12, whose runtime wants to find
# its shadow where no randomized address space promises it. TAP.
fuzz() {
	local seconds=${FUZZ_SECONDS:-30} name="what reads requests, fuzzed" log=$build/fuzz.log
	copy_tree "$build/fuzz"
	if in_root bookworm setarch --addr-no-randomize make -C /build/fuzz/tools/copyfiled \
		fuzz FUZZ_SECONDS="$seconds" </dev/null >"$log" 2>&1; then
		echo "ok - $name for $seconds s"
	else
		tail -n 40 "$log" | sed 's/^/# /'
		echo "not ok - $name for $seconds s, see ${log#"$top"/}"
	fi
}

# This script again, for one part of the work.
case ${one:-} in
tests) build_tests "${kernels%%[[:space:]]*}"; exit ;;
dkms) "$vm/dkms.sh" >"$build/check-dkms.tap" || : ;;
fuzz) fuzz >"$build/check-fuzz.tap" ;;
?*) check_kernel "$one" >"$build/check-$one.tap" ;;
esac
if [ -n "${one:-}" ]; then
	cat "$build/check-$one.tap"
	exit
fi

start=$SECONDS
host_packages
rm -f "$build"/check-*
pids=() built=()
for series in $kernels; do
	kernel_field "$series" 1 >/dev/null
done
# What the guests need is fetched while the modules are built.
(
	virtme_dir
	for series in $kernels; do kernel_dir "$series"; done
	guest_image
) >/dev/null &
fetching=$!
for series in $kernels; do
	"$vm/build.sh" "$series" >"$build/build-$series.log" 2>&1 &
	pids+=($!)
done
"$vm/build.sh" tools >"$build/build-tools.log" 2>&1 &
tools=$!
for series in $kernels; do
	if wait "${pids[0]}"; then
		built+=("$series")
	else
		tail -n 40 "$build/build-$series.log"
		echo "not ok - $series: the modules do not build" |
			tee "$build/check-$series.tap"
	fi
	pids=("${pids[@]:1}")
done
wait "$tools" || {
	tail -n 40 "$build/build-tools.log"
	echo 'not ok - the tools do not build' | tee "$build/check-tools.tap"
}
say "built for: ${built[*]} ($((SECONDS - start)) s)"

if [ ${#built[@]} -gt 0 ] &&
	! "$0" -k "${built[0]}" ${prefix:+-t "$prefix"} -1 tests >&2; then
	echo "not ok - the tests do not build" | tee "$build/check-tests.tap"
	built=()
fi
if [ ${#built[@]} -gt 0 ]; then
	wait "$fetching"
	# shellcheck disable=SC2086 # two words
	printf '%s\n' "${built[@]}" ${all:+dkms fuzz} |
		xargs -P "$jobs" -I '{}' "$0" -j "$jobs" -1 '{}'
fi

read -r passed failed skipped < <("$vm/count-tap.awk" "$build"/check-*.tap)
say "all of it took $((SECONDS - start)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
