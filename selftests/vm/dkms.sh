#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# dkms add, build, install and remove for each kernel, with the dkms of Debian
# 12 and of Debian 13, in the build roots, and a kernel that is refused. TAP.
#
# usage: dkms.sh

. "$(dirname "$0")/lib.sh"

host_packages
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$top/dkms.conf")
set +e
n=0 failed=0

result() {
	n=$((n + 1))
	[ "$1" = 0 ] || failed=$((failed + 1))
	if [ "$1" = 0 ]; then echo "ok - $2"; else echo "not ok - $2"; fi
}

tree=$build/dkms/offloadfs
rm -rf "$build/dkms"
copy_tree "$tree"

# Runs in a root: keep what dkms writes off it, but for /usr/src and
# /lib/modules, where the packages' own files are.
steps() {
	cat <<-'END'
	version=$1 release=$2
	dir=/lib/modules/$release/updates/dkms
	trap 'rm -rf "/usr/src/offloadfs-$version" "$dir" /lib/modules/$release/modules.*' EXIT
	mount -t tmpfs tmpfs /var/lib/dkms || exit
	step() { echo "step $1"; shift; echo "+ $*"; "$@" || { cat /var/lib/dkms/offloadfs/*/build/make.log; exit 1; }; }
	cd /build/dkms/offloadfs
	echo "dkms $(dkms --version)"
	step add dkms add .
	step build dkms build "offloadfs/$version" -k "$release"
	step install dkms install "offloadfs/$version" -k "$release"
	step version sh -ec "for m in offloadfs offloadfs_rpc; do
		modinfo -F version $dir/\$m.ko* | grep -Fx $version; done"
	step remove dkms remove "offloadfs/$version" --all
	step gone sh -c "! ls $dir/offloadfs*.ko* 2>/dev/null"
	echo "step end"
	END
}

for series in $(series_list); do
	root=$(kernel_field "$series" 3)
	rel=$(kernel_release "$series")
	log=$build/dkms-$series.log
	(
		flock 9
		in_root -r "$root" bash -c "$(steps)" bash "$version" "$rel" </dev/null
	) 9>"$cache/dkms-$root.lock" >"$log" 2>&1 || :
	last=$(sed -n 's/^step //p' "$log" | tail -n 1)
	[ "$last" = end ] || sed 's/^/# /' "$log"
	for step in add build install version remove gone; do
		grep -q "^step $step$" "$log" && [ "$last" != "$step" ]
		result $? "dkms $(sed -n 's/^dkms //p' "$log") on $series: $step"
	done
done

# A kernel outside the range: a sentence, and no compiler.
for rel in 5.10.0-30-amd64 7.3.1-amd64; do
	mkdir -p "$build/dkms/$rel/include/config"
	echo "$rel" >"$build/dkms/$rel/include/config/kernel.release"
	if make -s -C "$tree" modules KDIR="$build/dkms/$rel" >"$build/dkms/out" 2>&1; then
		false
	else
		grep -q "^error: offloadfs supports Linux .*$rel" "$build/dkms/out"
	fi
	result $? "Linux $rel is refused with a sentence"
done
echo "1..$n"
[ $failed = 0 ]
