#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Many things at once, for a while: on each lower two programs change files
# through the mount, one that knows every byte and one that everybody fights
# over, while the mount is remounted with other options, mounted a second time
# and unmounted, and the caches are dropped. Then all goes, and is as it was.
#
# OFFLOADFS_SOAK is how many seconds each lower gets; without it nothing is run.
# OFFLOADFS_SEED makes other sequences.

. "$(dirname "$0")/lib.sh"

seconds=${OFFLOADFS_SOAK:-6}
seed=${OFFLOADFS_SEED:-1}

remount_options=(noclone clone nocfr cfr nosendfile sendfile nosparse sparse
	min=64K min=0)

# again LOWER MNT: mount it a second time, use it, unmount it.
again() {
	mkdir -p second
	omount "$1" second "min=0,${remount_options[RANDOM % 10]}"
	(cd second && ls -R >/dev/null)
	echo "$RANDOM" >second/from-second
	is 'written through another mount' "$(<second/from-second)" \
		"$(<"$2/from-second")"
	if [ $((RANDOM % 3)) = 0 ]; then
		umount -l second
	else
		umount second
	fi
}

# disturb LOWER MNT: until the file "over" appears.
disturb() {
	local n=0
	while [ ! -e over ]; do
		mount -o "remount,${remount_options[RANDOM % 10]}" "$2" || return
		case $((n++ % 4)) in
		0) again "$1" "$2" || return ;;
		1) echo 2 >/proc/sys/vm/drop_caches ;;
		2) echo 3 >/proc/sys/vm/drop_caches ;;
		3) sync -f "$2" || return ;;
		esac
		sleep 0.2
	done
	echo "# disturbed $n times"
}

# soak LOWER-TYPE
soak() {
	local model chaos disturber err=0
	[ -n "${OFFLOADFS_SOAK:-}" ] ||
		skip 'OFFLOADFS_SOAK is not set (make check-debug SOAK=SECONDS sets it)'
	setup_pair "$1" backend=native,min=0
	mkdir up/model up/chaos
	disturb low up >disturbed 2>&1 &
	disturber=$!
	"$DIR/soak_model" -t "$seconds" -s "$seed" up/model low/model &
	model=$!
	"$DIR/soak_chaos" -t "$seconds" -s "$seed" up/chaos &
	chaos=$!
	wait $model || err=1
	wait $chaos || err=1
	touch over
	wait $disturber || err=1
	cat disturbed
	rm over
	echo "# $(counts up)"
	[ $err = 0 ] || fail "something broke on $1"
	no_bytes_lost up low
	umount up
	umount low
	[ -z "$(ls /sys/fs/offloadfs)" ]
}

# Both sides have the same names and contents at rest.
no_bytes_lost() {
	diff -r "$1" "$2"
}

t_tmpfs() { soak tmpfs; }
t_xfs() { need_dev; soak xfs; }
t_btrfs() { need_dev; soak btrfs; }
t_ext4() { need_dev; soak ext4; }

run_tests \
	't_tmpfs all at once, on tmpfs' \
	't_xfs all at once, on XFS' \
	't_btrfs all at once, on Btrfs' \
	't_ext4 all at once, on ext4'
