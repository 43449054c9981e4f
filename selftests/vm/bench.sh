#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Build the modules and the server for one stock kernel, boot that in a guest,
# and measure there what copies over NFS take (bench/rpc-guest). What was
# measured goes to build/bench-rpc-SERIES.csv, the medians and the bounds
# to the terminal (bench/rpc-table). Fails if a bound is broken, or if the
# kernel complains.
#
# usage: bench.sh [-c "CASE..."] [SERIES]	default: big parallel small, the newest
# environment: BENCH_MIB, BENCH_FILES, BENCH_ROUNDS: see bench/rpc-guest

. "$(dirname "$0")/lib.sh"

cases=""
while getopts c: opt; do
	case $opt in
	c) cases=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
series=${1:-$(series_list | tail -n 1)}
rel=$(kernel_release "$series")
csv=$build/bench-rpc-$series.csv
shared=$(mktemp -d "$build/bench-$series.XXXXXX")
trap 'rm -rf "$shared"' EXIT

# The programs, beside the shell functions that they go with.
stock() {
	local here=$shared/bench/offloadfs
	mkdir -p "$here" "$shared/bench/kselftest" "$build/bench"
	cp "$top"/selftests/lib*.sh "$top"/bench/rpc-* "$build/tools/tools/copyfiled/copyfiled" "$here/"
	cp "$(source_dir)/tools/testing/selftests/kselftest/ktap_helpers.sh" \
		"$shared/bench/kselftest/"
	in_root trixie gcc -O2 -Wall -o /build/bench/xcopy /offloadfs/selftests/xcopy.c
	cp "$build/bench/xcopy" "$here/"
}

say "building for Linux $rel"
{
	"$vm/build.sh" "$series"
	"$vm/build.sh" tools
	stock
} >"$build/bench-build.log" || die "it does not build: see ${build#"$top"/}/bench-build.log"

settings=()
for name in BENCH_MIB BENCH_FILES BENCH_ROUNDS; do
	[ -z "${!name:-}" ] || settings+=("$name=${!name}")
done
log=$build/bench-$series.log
say "booting Linux $rel; this takes a while"
rc=0
"$vm/guest.sh" -t 3600 -d "$shared" -l "$log" "$series" -- \
	"cp -a /host/bench /root/ && env ${settings[*]} /root/bench/offloadfs/rpc-guest /host/csv $cases" >&2 || rc=$?
[ ! -e "$shared/csv" ] || cp "$shared/csv" "$csv"
"$vm/scan-log.sh" "$log" || die "the kernel complained: see ${log#"$top"/}"
[ "$rc" = 0 ] || die "it ended with $rc: see above, and ${log#"$top"/}"
"$top/bench/rpc-table" "$csv"
