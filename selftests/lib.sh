# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the shell tests share. A test is a function; run_tests runs each in a
# subshell with "set -e" and reports it by TAP:
#
#	. "$(dirname "$0")/lib.sh"
#	t_something() { ...; }
#	run_tests 't_something what it proves' ...
#
# A command that fails fails the test. "skip REASON" skips it, "fail TEXT" says
# why it fails, "refuse TEXT COMMAND..." wants a command to fail with TEXT in
# its messages. At the end everything mounted below the working directory is
# unmounted and the modules are removed; what does not work there is a failure.

DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for ktap in "$DIR/../kselftest/ktap_helpers.sh" \
	"${KSFT_SRC:-/nonexistent}/kselftest/ktap_helpers.sh"; do
	[ -e "$ktap" ] && break
done
# shellcheck disable=SC1090 # found at run time
. "$ktap"

export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
MODULES=${OFFLOADFS_MODULE_DIR:-}
DEV=${OFFLOADFS_SCRATCH_DEV:-}
DEV2=${OFFLOADFS_SCRATCH_DEV2:-}
PARAM=/sys/module/offloadfs_test_backend/parameters
WORK=

skip() { echo "# skipped: $*" >&2; exit "$KSFT_SKIP"; }
fail() { echo "# $*" >&2; exit "$KSFT_FAIL"; }

# is WHAT WANTED GOT
is() { [ "$2" = "$3" ] || fail "$1: wanted '$2', got '$3'"; }

# refuse TEXT COMMAND...: it must fail, and say TEXT (an extended regexp).
refuse() {
	local text=$1 out
	shift
	if out=$("$@" 2>&1); then
		fail "not refused: $*"
	fi
	grep -Eqi -- "$text" <<<"$out" || fail "$*: says '$out', not '$text'"
}

# says TEXT COMMAND...: it must succeed and print TEXT.
says() {
	local text=$1 out
	shift
	out=$("$@" 2>&1) || fail "$*: failed: $out"
	grep -Eq -- "$text" <<<"$out" || fail "$*: says '$out', not '$text'"
}

need_dev() { [ -b "$DEV" ] || skip "no scratch device"; }
need_dev2() { [ -b "$DEV2" ] || skip "no second scratch device"; }
need() {
	local p
	for p; do
		command -v "$p" >/dev/null || skip "no $p"
	done
}

# need_fs TYPE: of file systems that not every kernel has.
need_fs() {
	modprobe -q "fs-$1" || grep -qw "$1" /proc/filesystems || skip "no $1 in this kernel"
}

# Modules

loaded() { [ -d "/sys/module/$1" ]; }
load() {
	local m
	for m in "${@:-offloadfs}"; do
		[ "$m" != offloadfs_rpc ] || modprobe -a sunrpc dns_resolver
		loaded "$m" || insmod "$MODULES/$m.ko"
	done
}
unload() {
	local m
	for m in offloadfs_test_backend offloadfs_rpc offloadfs; do
		! loaded "$m" || rmmod "$m" || return 1
	done
}

# Lower file systems

# make_lower TYPE DIR [DEVICE [OPTIONS]]: a fresh file system of TYPE on DIR.
make_lower() {
	local type=$1 dir=$2 dev=${3:-$DEV}
	mkdir -p "$dir"
	case $type in
	tmpfs) mount -t tmpfs -o size=512m tmpfs "$dir"; return ;;
	xfs) mkfs.xfs -q -f -K -m reflink=1 "$dev" ;;
	ext4) mkfs.ext4 -q -F -E nodiscard "$dev" ;;
	btrfs) mkfs.btrfs -q -f -K "$dev" >/dev/null ;;
	vfat) mkfs.vfat -F 32 "$dev" >/dev/null ;;
	exfat) mkfs.exfat -q "$dev" >/dev/null ;;
	esac || return
	modprobe -q "$type"
	mount -t "$type" -o "${4:-defaults}" "$dev" "$dir"
}

# omount LOWER MNT [OPTIONS]
omount() {
	mkdir -p "$2"
	mount -t offloadfs -o "${3:-min=0}" "$1" "$2"
}

# A lower directory "low" of TYPE with an offloadfs mount of it on "up".
setup_pair() {
	make_lower "$1" low
	omount low up "${2:-min=0}"
}

# alike COMMAND...: it ends in the same way, and says the same, in the directories
# "low" and "up". What it changes is made twice: see that this does no harm.
alike() {
	local low up
	low=$(cd low && { "$@" 2>&1 || echo "status $?"; })
	up=$(cd up && { "$@" 2>&1 || echo "status $?"; })
	is "$*" "$low" "$up"
}

# Unmount all below the working directory, newest first.
umount_all() {
	local m err=0
	while read -r m; do
		umount "$m" || { echo "# cannot unmount $m"; err=1; umount -l "$m"; }
	done < <(awk -v w="$WORK/" 'index($5, w) == 1 { print $5 }' \
		/proc/self/mountinfo | tac)
	return $err
}

# Counters

# sys_dir MNT: the mount's directory in sysfs.
sys_dir() {
	local real dev
	real=$(realpath "$1")
	dev=$(awk -v m="$real" '$5 == m { d = $3 } END { print d }' \
		/proc/self/mountinfo)
	echo "/sys/fs/offloadfs/$dev"
}

# count NAME [MNT]: a counter, such as copies_offloaded or declined/busy.
count() {
	local n
	read -r n <"$(sys_dir "${2:-up}")/stats/$1"
	echo "$n"
}

# backend_count BACKEND NAME [MNT]
backend_count() {
	local n
	read -r n <"$(sys_dir "${3:-up}")/backends/$1/$2"
	echo "$n"
}

# counts [MNT]: all of stats/ that is not 0, as "name=value" on one line.
counts() {
	local d f n out=
	d=$(sys_dir "${1:-up}")/stats
	for f in "$d"/* "$d"/declined/*; do
		[ -f "$f" ] || continue
		read -r n <"$f"
		[ "$n" = 0 ] || out+=" ${f#"$d"/}=$n"
	done
	echo "${out# }"
}

# counted "NAME=N..." COMMAND...: the command succeeds, and moves the counters
# of "up" by that much and no others; those of bytes and of intercepted calls
# are only looked at when named.
counted() { counted_on up "$@"; }

# counted_on MNT "NAME=N..." COMMAND...
counted_on() {
	local d f n want=$2
	local -A before
	d=$(sys_dir "$1")/stats
	shift 2
	for f in "$d"/* "$d"/declined/*; do
		[ ! -f "$f" ] || read -r "before[${f#"$d"/}]" <"$f"
	done
	"$@" >/dev/null || fail "$* failed"
	local name diff
	for name in "${!before[@]}"; do
		read -r n <"$d/$name"
		diff=$((n - before[$name]))
		if [[ " $want " =~ \ $name=([0-9]+)\  ]]; then
			[ "$diff" = "${BASH_REMATCH[1]}" ] ||
				fail "$*: $name moved by $diff, not ${BASH_REMATCH[1]}"
		elif [[ $name != bytes* && $name != sendfile* ]]; then
			[ "$diff" = 0 ] || fail "$*: $name moved by $diff"
		fi
	done
}

# Files

# pattern FILE SIZE: contents of which no two pages are the same.
pattern() {
	seq 1 1000000000 2>/dev/null | head -c "$2" >"$1"
}

xcopy() { "$DIR/xcopy" "$@"; }
blocks() { stat -c %b "$1"; }

# reap PID: wait for a killed child without the shell's remarks.
reap() {
	{ wait "$1"; } 2>/dev/null || true
}

# script STEPS: what the test backend does next.
script() {
	echo >"$PARAM/log"
	echo -n "$1" >"$PARAM/script"
}
backend_log() { cat "$PARAM/log"; }

# Running

run_one() {
	local rc func=${1%% *} name=$1
	[[ $1 != *\ * ]] || name=${1#* }
	SECONDS=0
	(
		set -eE
		trap 'echo "# $func: line $LINENO: $BASH_COMMAND"' ERR
		"$func"
	)
	rc=$?
	umount_all || rc=$KSFT_FAIL
	[ "$rc" = "$KSFT_PASS" ] || [ "$rc" = "$KSFT_SKIP" ] || rc=$KSFT_FAIL
	[ $SECONDS -lt 10 ] || echo "# $func took $SECONDS s"
	case $rc in
	"$KSFT_PASS") ktap_test_pass "$name" ;;
	"$KSFT_SKIP") ktap_test_skip "$name" ;;
	*) ktap_test_fail "$name" ;;
	esac
	rm -rf "${WORK:?}"/*
}

clean_up() {
	cd /
	unload && ! loaded offloadfs && rmdir "$WORK"
}

# run_tests 'FUNCTION DESCRIPTION'...
run_tests() {
	local t
	ktap_print_header
	WORK=$(realpath "$(mktemp -d -p . work.XXXXXX)")
	cd "$WORK" || exit
	ktap_set_plan $(($# + 1))
	load offloadfs || ktap_exit_fail_msg "cannot load the module"
	for t; do
		run_one "$t"
	done
	if clean_up; then
		ktap_test_pass "all is unmounted, and the modules go"
	else
		ktap_test_fail "all is unmounted, and the modules go"
	fi
	ktap_finished
}
