#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Build the modules and the test modules for one kernel in its build root.
# The tree is copied to build/SERIES first, so the work tree stays clean and
# several kernels can be built at the same time. For the series "tools", build
# the programs of tools/ instead, for the system that the guests run.
#
# usage: build.sh SERIES|tools [MAKE-ARGUMENT...]

. "$(dirname "$0")/lib.sh"

[ $# -gt 0 ] || die "usage: ${0##*/} $(series_list | paste -sd'|')|tools [MAKE-ARGUMENT...]"
series=$1
shift
host_packages
if [ "$series" = tools ]; then
	copy_tree "$build/tools"
	in_root trixie make -j"$(nproc)" -C /build/tools tools "$@"
	exit
fi
rel=$(kernel_release "$series")
dir=$build/$series
copy_tree "$dir"
in_root "$(kernel_field "$series" 3)" make -j"$(nproc)" -C "/build/$series" \
	KDIR="/lib/modules/$rel/build" modules test_modules "$@"
