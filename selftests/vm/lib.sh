# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the scripts beside this one share: the cache, a private apt state for
# the suites the machine itself does not use, and what is made from its
# packages: unpacked kernels, build roots, kernel sources, the guests' disk.
#
# Everything in the cache is made in a temporary directory and renamed, under
# a lock, and is named after a hash of what it was made from: an interrupted
# run leaves nothing half done, a changed list makes a new one.

set -euo pipefail
shopt -s inherit_errexit

vm=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$vm/../.." && pwd)
cache=${OFFLOADFS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/offloadfs}
build=$top/build
export LC_ALL=C
export PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$cache" "$build"
# shellcheck source=selftests/vm/debug-lib.sh
. "$vm/debug-lib.sh"

say() { echo "# $*" >&2; }
die() { echo "error: $*" >&2; exit 1; }

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "this needs root or sudo: $*"
	fi
}

series_list() { awk '!/^#/ { print $1 }' "$vm/kernels"; }

# root_series NAME: the series that are built in a root.
root_series() { awk -v n="$1" '$3 == n { print $1 }' "$vm/kernels"; }

# kernel_field SERIES COLUMN
kernel_field() {
	if [ "$1" = debug ]; then
		debug_field "$2"
		return
	fi
	awk -v s="$1" -v c="$2" '$1 == s { print $c; ok = 1 } END { exit !ok }' \
		"$vm/kernels" || die "no kernel series '$1' in selftests/vm/kernels"
}

# package_list WHERE
package_list() {
	awk -v w="$1" '$1 == w { $1 = ""; printf "%s", $0 }' "$vm/packages"
}

hash_of() { printf '%s\n' "$@" | sha256sum | cut -c1-8; }

# make_once PATH FUNCTION [ARG...]: unless PATH exists, have FUNCTION make it
# (it is given a temporary path first), one process at a time.
make_once() {
	local path=$1 func=$2
	shift 2
	[ ! -e "$path" ] || return 0
	(
		flock 9
		[ ! -e "$path" ] || exit 0
		as_root rm -rf "$path.tmp" "$path.tmp".*
		"$func" "$path.tmp" "$@"
		mv "$path.tmp" "$path"
	) 9>"$path.lock"
}

# The machine's own packages, by name. Its apt configuration is not touched;
# its lists are fetched only when it has none that know the packages.
host_packages() {
	local p missing=()
	for p in $(package_list host); do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null |
			grep -q 'ok installed' || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing ${missing[*]}"
	(
		flock 9
		apt-cache show "${missing[@]}" >/dev/null 2>&1 ||
			as_root apt-get -qq update >&2
		as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 \
			--no-install-recommends install "${missing[@]}" </dev/null >/dev/null
	) 9>"$cache/host.lock" || die "needed on this machine: ${missing[*]}"
}

# archive_uri LABEL: the Debian archive that this machine's apt uses.
archive_uri() {
	# shellcheck disable=SC2016 # apt's variables
	apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' |
		awk -v l="$1" '$1 == "Debian" && $2 == l { print $3; exit }'
}

# apt_sources SUITE...: lines for sources.list.
apt_sources() {
	local suite main security key
	main=${OFFLOADFS_MIRROR:-$(archive_uri Debian)}
	if [ -z "$main" ]; then
		as_root apt-get -qq update >&2
		main=$(archive_uri Debian)
	fi
	[ -n "$main" ] || die "apt on this machine knows no Debian archive;" \
		"name one in OFFLOADFS_MIRROR"
	security=$(archive_uri Debian-Security)
	[ -z "${OFFLOADFS_MIRROR:-}" ] && [ -n "$security" ] ||
		security=${main%/}-security/
	for key in /usr/share/keyrings/debian-archive-keyring.{pgp,gpg}; do
		[ ! -e "$key" ] || break
	done
	for suite; do
		case $suite in
		*-security) echo "deb [signed-by=$key] $security $suite main" ;;
		*) echo "deb [signed-by=$key] $main $suite main" ;;
		esac
	done
}

# How this machine's apt reaches its archives (proxies and the like), and
# that suites may be older than their Release files promise.
apt_options() {
	apt-config dump | grep -E '^Acquire::(https?|ftp|Retries|Check-Date)\b' || :
	echo 'Acquire::Check-Valid-Until "false";'
	echo 'Acquire::Languages "none";'
	echo 'APT::Sandbox::User "root";'
	echo 'APT::Install-Recommends "false";'
}

_apt_state() {
	mkdir -p "$1/state" "$1/lists/partial" "$1/cache/archives/partial"
	: >"$1/status"
	mapfile -t suites < <(awk '!/^#/ { print $2; print $3 }' "$vm/kernels" | sort -u)
	apt_sources "${suites[@]}" >"$1/sources.list"
	# Written for the name the directory will have.
	{
		apt_options
		cat <<-END
		Dir::State "${1%.tmp}/state";
		Dir::State::Lists "${1%.tmp}/lists";
		Dir::State::status "${1%.tmp}/status";
		Dir::Cache "${1%.tmp}/cache";
		Dir::Etc::sourcelist "${1%.tmp}/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::parts "/dev/null";
		Dir::Etc::main "/dev/null";
		END
	} >"$1/apt.conf"
	sed "s|${1%.tmp}|$1|" "$1/apt.conf" >"$1/apt.conf.tmp"
	say "reading the package lists of the kernels' suites"
	APT_CONFIG=$1/apt.conf.tmp apt-get -qq update >&2
	rm "$1/apt.conf.tmp"
}

apt_dir() { echo "$cache/apt-$(hash_of "$(cat "$vm/kernels")" "$(date +%G-%V)")"; }

# apt_private COMMAND...: apt-get or apt-cache over the private lists, which
# are read anew each week.
apt_private() {
	local dir
	dir=$(apt_dir)
	make_once "$dir" _apt_state
	APT_CONFIG=$dir/apt.conf "$@"
}

# kernel_release SERIES: the release to use.
kernel_release() {
	local want glob newest file
	if [ "$1" = debug ]; then
		debug_release
		return
	fi
	want=$(kernel_field "$1" 4)
	glob=$(kernel_field "$1" 5)
	file=$(apt_dir)-release-$1
	make_once "$file" _kernel_release "$want" "$glob"
	newest=$(cat "$file")
	[ "$newest" = "$want" ] ||
		say "kernel $1: the archive has no $want, using $newest"
	echo "$newest"
}

_kernel_release() {
	local name
	apt_private apt-cache pkgnames linux-headers- | sed 's/^linux-headers-//' |
		sort -V >"$1.all"
	name=$(grep -Fx -- "$2" "$1.all" || while read -r name; do
		# shellcheck disable=SC2254
		case $name in *-cloud-* | *-rt-*) ;; $3) echo "$name" ;; esac
	done <"$1.all" | tail -n 1)
	rm "$1.all"
	[ -n "$name" ] || die "the archive has no kernel like $3"
	echo "$name" >"$1"
}

# deb_closure SERIES PACKAGE...: the packages and those of the kernel's own
# packages that they depend on.
deb_closure() {
	local series=$1 todo found=() p
	shift
	todo=("$@")
	while [ ${#todo[@]} -gt 0 ]; do
		p=${todo[0]}
		todo=("${todo[@]:1}")
		case " ${found[*]} " in *" $p "*) continue ;; esac
		found+=("$p")
		mapfile -t -O ${#todo[@]} todo < <(apt_private apt-cache show "$p" |
			sed -n '/^$/q; s/^Depends: //p' | tr ',' '\n' |
			sed 's/^ *//; s/[ |].*//' |
			grep -E "^linux-(headers|kbuild|binary|modules|base)-${series/./\\.}\b")
	done
	printf '%s\n' "${found[@]}"
}

# fetch_debs DIR PACKAGE...: download into DIR.
fetch_debs() {
	local dir=$1
	shift
	mkdir -p "$dir"
	say "fetching $*"
	(cd "$dir" && apt_private apt-get -qq download "$@" >&2)
}

# unpack_debs DIR DEB...: through tar, which leaves /lib -> usr/lib alone.
unpack_debs() {
	local dir=$1 deb
	shift
	for deb; do
		dpkg-deb --fsys-tarfile "$deb" |
			as_root tar -x --keep-directory-symlink -C "$dir"
	done
}

# A kernel as the guests boot it: boot/vmlinuz-*, lib/modules/*, and just
# enough to find the real root: guests see this directory first, over 9p.
_kernel() {
	local dir=$1 series=$2 rel=$3 image d
	image=linux-image-$rel
	apt_private apt-cache show "$image" >/dev/null 2>&1 || image+=-unsigned
	mapfile -t debs < <(deb_closure "$series" "$image")
	fetch_debs "$dir.debs" "${debs[@]}"
	mkdir -p "$dir"
	for d in bin dev etc mnt newroot proc run sys tmp usr/lib; do
		mkdir -p "$dir/$d"
	done
	ln -s usr/lib "$dir/lib"
	ln -s bin "$dir/sbin"
	unpack_debs "$dir" "$dir.debs"/*.deb
	as_root rm -rf "$dir.debs"
	mkdir -p "$dir/boot"
	[ ! -e "$dir/lib/modules/$rel/vmlinuz" ] ||
		as_root mv "$dir/lib/modules/$rel/vmlinuz" "$dir/boot/vmlinuz-$rel"
	as_root depmod -b "$dir" "$rel"
	cp /bin/busybox "$dir/bin/busybox"
	ln -s busybox "$dir/bin/sh"
	ln -s busybox "$dir/bin/modprobe"
}

# kernel_dir SERIES
kernel_dir() {
	local rel dir
	if [ "$1" = debug ]; then
		debug_kernel
		return
	fi
	rel=$(kernel_release "$1")
	dir=$cache/kernel-$rel-$(hash_of "$(declare -f _kernel)")
	make_once "$dir" _kernel "$1" "$rel"
	echo "$dir"
}

# A Debian of its own to build in, with the headers of its kernels unpacked.
_root() {
	local dir=$1 name=$2 opts=() line series rel
	local packages=${3// /,}
	while read -r line; do opts+=(--aptopt="$line"); done < <(apt_options)
	say "making the $name root"
	mapfile -t sources < <(apt_sources "$name" "$name-updates" "$name-security")
	as_root env -u TMPDIR mmdebstrap --quiet --variant=apt "${opts[@]}" \
		--include="${packages#,}" "$name" "$dir" "${sources[@]}" >&2 </dev/null
	for series in $(root_series "$name"); do
		rel=$(kernel_release "$series")
		mapfile -t debs < <(deb_closure "$series" "linux-headers-$rel")
		fetch_debs "$dir.debs" "${debs[@]}"
	done
	unpack_debs "$dir" "$dir.debs"/*.deb
	as_root mkdir -p "$dir/build" "$dir/linux" "$dir/offloadfs"
	as_root rm -rf "$dir.debs"
}

# root_dir NAME
root_dir() {
	local dir packages series rels=
	if [ "$1" = debug ]; then
		debug_root
		return
	fi
	packages=$(package_list "$1")
	for series in $(root_series "$1"); do
		rels+=" $(kernel_release "$series")"
	done
	dir=$cache/root-$1-$(hash_of "$packages" "$rels" "$(declare -f _root)")
	make_once "$dir" _root "$1" "$packages"
	echo "$dir"
}

# What the tests and the checks take from the newest kernel's source.
_source() {
	local base=linux-source-$2 p paths=()
	for p in tools/testing/selftests/{lib.mk,Makefile,run_kselftest.sh,kselftest*} \
		tools/testing/selftests/gen_kselftest_tar.sh \
		tools/{docs,include,arch,lib/python,scripts} scripts Documentation/dev-tools \
		include/{linux,uapi} usr/include .clang-format; do
		paths+=("$base/$p")
	done
	fetch_debs "$1.debs" "$base"
	mkdir -p "$1"
	say "unpacking $base"
	dpkg-deb --fsys-tarfile "$1.debs"/*.deb |
		tar -xO "./usr/src/$base.tar.xz" | xz -dT0 |
		tar -x --strip-components=1 --wildcards -C "$1" "${paths[@]}"
	rm -rf "$1.debs"
}

source_dir() {
	local series dir
	series=$(series_list | tail -n 1)
	dir=$cache/source-$series-$(hash_of "$(declare -f _source)")
	make_once "$dir" _source "$series"
	echo "$dir"
}

_virtme() {
	fetch_debs "$1.debs" virtme-ng
	mkdir "$1"
	dpkg-deb -x "$1.debs"/virtme-ng_*.deb "$1"
	rm -rf "$1.debs"
}

virtme_dir() {
	make_once "$cache/virtme-ng" _virtme
	echo "$cache/virtme-ng"
}

# The guests' disk, made from the trixie root.
_image() {
	local root=$2
	say "making the guests' disk"
	truncate -s 6G "$1"
	as_root mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1 -m 0 \
		-d "$root" "$1"
}

guest_image() {
	local root
	root=$(root_dir trixie)
	make_once "$cache/guest-${root##*-}.ext4" _image "$root"
	echo "$cache/guest-${root##*-}.ext4"
}

# copy_tree DIR: the sources, without what was built in the work tree; what was
# built in DIR stays, for make to decide about.
copy_tree() {
	mkdir -p "$1"
	rsync -a --delete --filter='- *.o' --filter='- *.ko' --filter='- *.mod' \
		--filter='- *.mod.c' --filter='- .*.cmd' --filter='- .*.d' \
		--filter='- Module.symvers' --filter='- modules.order' \
		--filter='- .tmp_*' --filter='- /build/' --filter='- /.git/' \
		--filter=':- .gitignore' "$top"/ "$1"/
}

# in_root [-r] NAME COMMAND...: run in a build root, as the caller (-r: as
# root), with the build directory at /build, the tree at /offloadfs (read
# only) and the newest kernel's source at /linux.
in_root() {
	local user dir src modules
	user=$(id -u):$(id -g)
	if [ "$1" = -r ]; then
		user=0:0
		shift
	fi
	dir=$(root_dir "$1")
	modules=$(debug_modules "$1")
	src=$(source_dir)
	shift
	# shellcheck disable=SC2016
	as_root unshare --mount --pid --fork sh -ec '
		root=$1 user=$2 build=$3 top=$4 src=$5 modules=$6
		shift 6
		mount --bind "$build" "$root/build"
		mount --bind "$src" "$root/linux"
		[ -z "$modules" ] || mount --bind "$modules" "$root/lib/modules"
		mount --bind "$top" "$root/offloadfs"
		mount -o remount,bind,ro "$root/offloadfs"
		mount -t proc proc "$root/proc"
		mount -t tmpfs tmpfs "$root/tmp"
		chmod 1777 "$root/tmp"
		exec chroot --userspec="$user" "$root" /usr/bin/env -i HOME=/tmp LC_ALL=C.UTF-8 \
			PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"' \
		sh "$dir" "$user" "$build" "$top" "$src" \
		"$modules" "$@"
}
