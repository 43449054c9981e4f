#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# checkpatch, a build with W=1 and warnings as errors for each kernel, sparse,
# kernel-doc, a build of the programs with warnings as errors, clang's analyzer,
# groff over the manuals, shellcheck and codespell, in the build roots. Exits
# with 0 when none of them has anything to say.
#
# usage: lint.sh [CHECK...]

. "$(dirname "$0")/lib.sh"

host_packages
checks=("$@")
[ $# -gt 0 ] || checks=(checkpatch w1 sparse kernel-doc programs analyze man \
	shellcheck codespell)
failed=()

# sources [PATTERN...]: the files of the tree, as git sees them.
sources() { (cd "$top" && git ls-files --cached --others --exclude-standard -- "$@"); }

in_tree() { in_root trixie sh -ec 'cd /offloadfs; exec "$@"' sh "$@"; }

# Files for which checkpatch-ignore has the same to say go together.
lint_checkpatch() {
	local file pattern types ignore status=0
	declare -A groups=()
	while read -r file; do
		ignore=""
		while read -r pattern types; do
			# shellcheck disable=SC2053 # it is a pattern
			[[ $file != $pattern ]] || ignore+=,$types
		done < <(grep -v '^#' "$vm/checkpatch-ignore")
		groups[$ignore]+=" $file"
	done < <(sources '*.c' '*.h' '*/Kbuild' '*Makefile')
	for ignore in "${!groups[@]}"; do
		# shellcheck disable=SC2086 # a list
		in_tree perl /linux/scripts/checkpatch.pl --no-tree --strict --terse \
			--quiet --no-summary --show-types --max-line-length=100 \
			--ignore "${ignore#,}" -f ${groups[$ignore]} || status=1
	done
	return $status
}

# build_clean SERIES MAKE-ARGUMENT...: the modules anew, in a place of its own.
build_clean() {
	local series=$1 dir=lint-$1 log=$build/lint-$1.log
	shift
	rm -rf "${build:?}/$dir"
	copy_tree "$build/$dir"
	in_root "$(kernel_field "$series" 3)" make -j"$(nproc)" -C "/build/$dir" \
		KDIR="/lib/modules/$(kernel_release "$series")/build" "$@" \
		modules test_modules >"$log" 2>&1 || { cat "$log"; return 1; }
	# The newest kernel's own headers are not ours to mend.
	! grep -E '^(.*/)?(module|selftests|include)?[^ ]*: (warning|error):' "$log" |
		grep -v '^/usr/src/linux-headers'
}

lint_w1() {
	local series
	for series in $(series_list); do
		build_clean "$series" W=1 KCFLAGS=-Werror || return 1
	done
}

# Debian's headers lack the script that tells whether sparse will do, and its
# sparse does not know the kernel's word for a type without qualifiers, nor
# that the length of a literal is a constant; it is silent after an error.
lint_sparse() {
	local series check
	series=$(series_list | tail -n 1)
	check="sparse -D__typeof_unqual__=__typeof__ '-D__builtin_strlen(s)=(sizeof(s)-1)'"
	# shellcheck disable=SC2016 # for the shell in the root
	in_root -r trixie sh -c 'for d in /usr/src/linux-headers-*-common/scripts; do
		ln -sfn /linux/scripts/checker-valid.sh "$d/"; done'
	build_clean "$series" C=2 CHECK="$check" || return 1
	if ! grep -q '^  CHECK ' "$build/lint-$series.log"; then
		grep 'C=2' "$build/lint-$series.log"
		return 1
	fi
}

lint_kernel-doc() {
	mapfile -t files < <(sources 'include/linux/*.h' 'module/*.[ch]')
	in_tree /linux/scripts/kernel-doc -Wall -Werror -none "${files[@]}"
}

# The tools and the tests' own programs, with the compilers of both systems, and
# the units that are installed with them.
lint_programs() {
	local root dir=lint-programs log=$build/lint-programs.log
	for root in bookworm trixie; do
		rm -rf "${build:?}/$dir"
		copy_tree "$build/$dir"
		# shellcheck disable=SC2016 # for the shell in the root
		in_root "$root" sh -ec 'cd "$1"
			make -j"$(nproc)" tools CFLAGS="-O2 -g -Werror"
			[ "$2" = trixie ] || exit 0
			mkdir obj
			make -j"$(nproc)" -C selftests USERCFLAGS=-Werror \
				KSFT_SRC=/linux/tools/testing/selftests OUTPUT="$1/obj"
			make tools_install PREFIX="$1/inst" CFLAGS="-O2 -g -Werror"
			said=$(systemd-analyze verify --man=no inst/lib/systemd/system/* 2>&1) || :
			[ -z "$said" ] || { echo "$said"; exit 1; }' \
			sh "/build/$dir" "$root" >"$log" 2>&1 || { cat "$log"; return 1; }
	done
}

# clang's analyzer over the same, of Debian 12, as the guests' system has none.
# It takes what TAILQ_REMOVE() has removed from a list for being there still.
lint_analyze() {
	copy_tree "$build/lint-analyze"
	# shellcheck disable=SC2016
	in_root bookworm sh -ec 'cd "$1"; mkdir -p gen
		cp include/rpcsvc/copyfile.x gen
		(cd gen; rm -f copyfile.h; rpcgen -C -h -o copyfile.h copyfile.x)
		for f in tools/*/*.c selftests/*copyfile*.c; do
			clang --analyze --analyzer-output text -Xclang -analyzer-werror \
				-Xclang -analyzer-disable-checker -Xclang unix.Malloc \
				-std=gnu11 -D_GNU_SOURCE -DCOPYFILED_VERSION=\"0\" -DHAVE_SYSTEMD \
				-Igen $(pkg-config --cflags libtirpc) "$f"
		done' sh /build/lint-analyze
}

lint_man() {
	local said
	mapfile -t files < <(sources 'man/*.[0-9]')
	# shellcheck disable=SC2016
	said=$(in_root bookworm sh -ec 'cd /offloadfs
		for f; do groff -man -ww -b -z -Tutf8 "$f"; done' sh "${files[@]}" 2>&1) || :
	[ -z "$said" ] || { echo "$said"; return 1; }
}

lint_shellcheck() {
	mapfile -t files < <(sources | (cd "$top" && xargs grep -lE '^#!.*\b(ba|da)?sh$|^# shellcheck shell='))
	in_tree shellcheck -x -P SCRIPTDIR "${files[@]}"
}

lint_codespell() {
	mapfile -t files < <(sources)
	in_tree codespell --ignore-words=selftests/vm/codespell-ignore "${files[@]}"
}

for check in "${checks[@]}"; do
	start=$SECONDS
	if "lint_$check"; then
		say "$check: clean ($((SECONDS - start)) s)"
	else
		say "$check: not clean"
		failed+=("$check")
	fi
done
[ ${#failed[@]} = 0 ] || die "lint: ${failed[*]}"
