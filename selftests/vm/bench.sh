#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Build the modules and the programs for one stock kernel, and measure in a
# guest: either what copies over NFS take (rpc), or what offloadfs costs and
# saves on local file systems (cost). What was measured goes to build/bench-*.csv,
# the medians and the bounds to the terminal. Fails if a bound is broken, or if
# the kernel complains.
#
# usage: bench.sh [-c "CASE..."] rpc|cost [SERIES]	default: the newest
#   cases of rpc: big parallel small lengths (bench/rpc-guest)
#   cases of cost: icount, instructions on one CPU; wall, time (bench/cost-guest)
# environment: BENCH_MIB, BENCH_FILES, BENCH_ROUNDS: see bench/*-guest

. "$(dirname "$0")/lib.sh"

cases=""
while getopts c: opt; do
	case $opt in
	c) cases=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
what=${1:-}
series=${2:-$(series_list | tail -n 1)}
rel=$(kernel_release "$series")
shared=$(mktemp -d "$build/bench-$series.XXXXXX")
trap 'rm -rf "$shared"' EXIT

# The programs, beside the shell functions that they go with.
stock() {
	local here=$shared/bench/offloadfs
	mkdir -p "$here" "$shared/bench/kselftest" "$build/bench"
	cp "$top"/selftests/lib*.sh "$top/bench/$what"* "$here/"
	cp "$(source_dir)/tools/testing/selftests/kselftest/ktap_helpers.sh" \
		"$shared/bench/kselftest/"
	"stock_$what"
}

stock_rpc() {
	cp "$build/tools/tools/copyfiled/copyfiled" "$here/"
	in_root trixie gcc -O2 -Wall -o /build/bench/xcopy /offloadfs/selftests/xcopy.c
	cp "$build/bench/xcopy" "$here/"
}

stock_cost() {
	in_root trixie sh -c 'gcc -O2 -Wall -o /build/bench/cost /offloadfs/bench/cost*.c'
	cp "$build/bench/cost" "$here/"
}

# run NAME GUEST-OPTION... -- ARGUMENT...: boot, measure into bench-NAME-SERIES.csv.
run() {
	local name=$1 log=$build/bench-$1-$series.log csv=$build/bench-$1-$series.csv
	local rc=0 var opts=() settings=()
	shift
	while [ "$1" != -- ]; do
		opts+=("$1")
		shift
	done
	shift
	for var in BENCH_MIB BENCH_FILES BENCH_ROUNDS; do
		[ -z "${!var:-}" ] || settings+=("$var=${!var}")
	done
	say "$name: booting Linux $rel; this takes a while"
	rm -f "$shared/csv"
	"$vm/guest.sh" -t 3600 -d "$shared" -l "$log" "${opts[@]}" "$series" -- \
		"cp -a /host/bench /root/ && env ${settings[*]} /root/bench/offloadfs/$what-guest /host/csv $*" >&2 || rc=$?
	[ ! -e "$shared/csv" ] || cp "$shared/csv" "$csv"
	"$vm/scan-log.sh" "$log" || die "the kernel complained: see ${log#"$top"/}"
	[ "$rc" = 0 ] || die "it ended with $rc: see above, and ${log#"$top"/}"
}

bench_rpc() {
	# shellcheck disable=SC2086 # a list
	run rpc -- $cases
	"$top/bench/rpc-table" "$build/bench-rpc-$series.csv"
}

# With no case both are measured anew; with one, the other's last results are
# shown beside it.
bench_cost() {
	local case csv=()
	for case in ${cases:-icount wall}; do
		case $case in
		icount) run icount -i -- icount ;;
		wall) run wall -m 4G -- wall ;;
		*) die "no case '$case'" ;;
		esac
	done
	for case in icount wall; do
		[ ! -e "$build/bench-$case-$series.csv" ] || csv+=("$build/bench-$case-$series.csv")
	done
	"$top/bench/cost-table" -o "$build/bench/cost.dat" "${csv[@]}" || rc=$?
	if [ -s "$build/bench/cost.dat" ]; then
		in_root trixie gnuplot -e "kernel='$rel'" /offloadfs/bench/cost.gp
		say "the picture: build/bench/cost.svg"
	fi
	exit "${rc:-0}"
}

case $what in
rpc | cost) ;;
*) die "usage: ${0##*/} [-c 'CASE...'] rpc|cost [SERIES]" ;;
esac
say "building for Linux $rel"
{
	"$vm/build.sh" "$series"
	[ "$what" = cost ] || "$vm/build.sh" tools
	stock
} >"$build/bench-build.log" || die "it does not build: see ${build#"$top"/}/bench-build.log"
"bench_$what"
