# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# The kernel series "debug": the newest kernel's source, built with
# debug.config. lib.sh sources this file and calls debug_release, debug_root
# and debug_kernel where it would use a stock kernel's package.

debug_base() { series_list | tail -n 1; }

# debug_field COLUMN: as the kernels file would have it.
debug_field() {
	case $1 in
	1 | 3) echo debug ;;
	*) die "the debugging kernel has no column $1" ;;
	esac
}

# The root that the kernel, and then the modules for it, are built in.
_debug_root() {
	local dir=$1 packages=${2// /,} suite opts=() line
	suite=$(kernel_field "$(debug_base)" 3)
	while read -r line; do opts+=(--aptopt="$line"); done < <(apt_options)
	say "making the debug root"
	mapfile -t sources < <(apt_sources "$suite" "$suite-updates" "$suite-security")
	as_root env -u TMPDIR mmdebstrap --quiet --variant=apt "${opts[@]}" \
		--include="${packages#,}" "$suite" "$dir" "${sources[@]}" >&2 </dev/null
	as_root mkdir -p "$dir/build" "$dir/linux" "$dir/offloadfs" "$dir/lib/modules"
}

debug_root() {
	local packages dir
	packages=$(package_list debug)
	dir=$cache/root-debug-$(hash_of "$packages" "$(declare -f _debug_root)")
	make_once "$dir" _debug_root "$packages"
	echo "$dir"
}

# The source, whole: what source_dir() keeps is not enough to build from.
_debug_source() {
	local base
	base=linux-source-$(debug_base)
	fetch_debs "$1.debs" "$base"
	mkdir -p "$1"
	say "unpacking all of $base"
	dpkg-deb --fsys-tarfile "$1.debs"/*.deb | tar -xO "./usr/src/$base.tar.xz" |
		xz -dT0 | tar -x --strip-components=1 -C "$1"
	rm -rf "$1.debs"
}

# The version of the archive's source package: a new one is a new kernel.
debug_version() {
	local file
	file=$(apt_dir)-debug-version
	make_once "$file" _debug_version
	cat "$file"
}

_debug_version() {
	apt_private apt-cache show "linux-source-$(debug_base)" |
		awk '$1 == "Version:" { print $2; exit }' >"$1"
	[ -s "$1" ] || die "the archive has no linux-source-$(debug_base)"
}

# debug_config SOURCE: make .config there, and see that it is what was asked for.
debug_config() {
	local line name lost=()
	cp "$vm/debug.config" "$1/.config-wanted"
	debug_make -s KCONFIG_ALLCONFIG=.config-wanted alldefconfig
	while read -r line; do
		case $line in
		CONFIG_*) grep -qxF -- "$line" "$1/.config" || lost+=("$line") ;;
		'# CONFIG_'*)
			name=${line#\# }
			! grep -q "^${name%% *}=" "$1/.config" || lost+=("$line") ;;
		esac
	done <"$1/.config-wanted"
	[ ${#lost[@]} = 0 ] || die "the debugging kernel cannot have ${lost[*]}"
}

# debug_make ARGUMENT...: make in the source below $build, reproducibly.
debug_make() {
	in_root debug nice -n 19 make -C /build/linux -j"$(nproc)" KBUILD_BUILD_USER=offloadfs \
		KBUILD_BUILD_HOST=debug KBUILD_BUILD_TIMESTAMP=@0 "$@" >&2
}

# A kernel as guest.sh wants it, like _kernel() in lib.sh, and what modules
# are built with, in lib/modules/RELEASE/build. An interrupted build goes on
# where it was.
_debug_kernel() {
	local dir=$1 build=${1%.tmp}.build modules rel d
	mkdir -p "$build"
	make_once "$build/linux" _debug_source
	debug_config "$build/linux"
	say "building the debugging kernel: this takes a while, once"
	debug_make -s bzImage modules
	rel=$(cat "$build/linux/include/config/kernel.release")
	rm -rf "$build/out"
	modules=$build/out/lib/modules/$rel
	debug_make -s INSTALL_MOD_PATH=/build/out modules_install
	rm -f "$modules/build"
	debug_make -s run-command KBUILD_RUN_COMMAND="\$(srctree)/scripts/package/install-extmod-build /build/out/lib/modules/$rel/build"
	mkdir -p "$dir"
	for d in bin boot dev etc mnt newroot proc run sys tmp usr; do
		mkdir -p "$dir/$d"
	done
	mv "$build/out/lib" "$dir/usr/lib"
	ln -s usr/lib "$dir/lib"
	ln -s bin "$dir/sbin"
	cp "$build/linux/arch/x86/boot/bzImage" "$dir/boot/vmlinuz-$rel"
	cp "$build/linux/.config" "$dir/boot/config-$rel"
	cp "$build/linux/System.map" "$dir/boot/System.map-$rel"
	cp /bin/busybox "$dir/bin/busybox"
	ln -s busybox "$dir/bin/sh"
	ln -s busybox "$dir/bin/modprobe"
	echo "$rel" >"$dir/release"
	rm -rf "$build"
}

debug_kernel() {
	local dir
	dir=$cache/kernel-debug-$(hash_of "$(debug_version)" "$(cat "$vm/debug.config")" \
		"$(debug_root)" "$(declare -f _debug_kernel debug_make debug_config)")
	debug_building=yes make_once "$dir" _debug_kernel
	echo "$dir"
}

debug_release() { cat "$(debug_kernel)/release"; }

# debug_modules ROOT: what in_root binds over the root's /lib/modules: those
# of the debugging kernel, unless it is the one being built.
debug_modules() {
	[ "$1" = debug ] && [ -z "${debug_building:-}" ] || return 0
	echo "$(debug_kernel)/lib/modules"
}
