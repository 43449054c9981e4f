#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Build the modules and copyfiled for one stock kernel, boot that in a guest, and
# show there what unmodified programs' copies become on offloadfs (demo-guest). Ends with
# the README's words on a real mount. Fails if a copy that has to be offloaded
# is not, if contents differ, or if the kernel complains.
#
# usage: demo.sh [SERIES]	default: the newest

. "$(dirname "$0")/lib.sh"

series=${1:-$(series_list | tail -n 1)}
rel=$(kernel_release "$series")
shared=$(mktemp -d "$build/demo-$series.XXXXXX")
trap 'rm -rf "$shared"' EXIT
cp "$vm/demo-guest" "$shared/"

say "building the modules and the server for Linux $rel"
{ "$vm/build.sh" "$series" && "$vm/build.sh" tools; } >"$build/demo-build.log" ||
	die "it does not build: see ${build#"$top"/}/demo-build.log"
cp "$build/tools/tools/copyfiled/copyfiled" "$shared/"

log=$build/demo-$series.log
say "booting Linux $rel"
rc=0
"$vm/guest.sh" -t 900 -d "$shared" -l "$log" "$series" -- /host/demo-guest || rc=$?
if ! "$vm/scan-log.sh" "$log"; then
	say "the kernel complained: see ${log#"$top"/}"
	rc=1
fi
[ "$rc" = 0 ] || exit "$rc"

echo
sed -n '/^## A real mount/,/^## /{ /^## A/p; /^## /!p; }' "$top/README.md"
