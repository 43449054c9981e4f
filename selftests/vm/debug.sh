#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Build a kernel that tells of mistakes (debug.config), once, and run the
# selftests on it as check.sh does on the stock ones. Its log and what
# kmemleak finds at the end are part of the result.
#
# usage: debug.sh [-t PREFIX] [-s SECONDS]
#   -t PREFIX	only the tests whose names, less `test_', begin with it
#   -s SECONDS	only the soak, for so long on each lower file system

. "$(dirname "$0")/lib.sh"

options=()
while getopts t:s: opt; do
	case $opt in
	t) options=(-t "$OPTARG") ;;
	s) export OFFLOADFS_SOAK=$OPTARG; options=(-t soak) ;;
	*) exit 2 ;;
	esac
done

host_packages
say "the debugging kernel is $(debug_release), in $(debug_kernel)"
exec "$vm/check.sh" -k debug "${options[@]}"
