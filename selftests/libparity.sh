# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Scenarios that are played on a bind mount and on an offloadfs mount of two
# directories of one file system, and have to print the same.

# parity_dirs DIR: "bm" and "up" over two new directories of DIR.
parity_dirs() {
	mkdir -p "$1/a" "$1/b" bm
	chmod 755 .
	mount --bind "$1/a" bm
	omount "$1/b" up
}

# said MNT SCENARIO BELOW: what the scenario prints, errors and all.
said() {
	(
		set +eE
		trap - ERR EXIT
		"$2" "$1" "$3" 2>&1
	) | sed "s,\<$1\>,MNT,g; s,$3\>,BELOW,g
		s/cannot mount .* read-only/cannot mount it read-only/" >"said.$1"
}

# same SCENARIO [DIR]: the scenario gets the mount, and the directory below it
# (in DIR, "low" if it is not named).
same() {
	local below=${2:-low}
	said bm "$1" "$below/a"
	said up "$1" "$below/b"
	[ -z "${OFFLOADFS_VERBOSE:-}" ] || sed 's/^/# /' said.bm
	[ -s said.bm ] || fail "$1: nothing was said"
	diff said.bm said.up | sed 's/^/# /' >differs
	[ ! -s differs ] || { cat differs; fail "$1: not as on a bind mount (<)"; }
}

# try COMMAND...: what it says, and whether it succeeds.
try() {
	local rc=0
	"$@" 2>&1 || rc=$?
	echo "$rc: ${*:1:2}"
}

# as UID COMMAND...
as() { setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"; }
