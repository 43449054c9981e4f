#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Boot a stock kernel with virtme-ng and run a command in the guest, or a
# shell. The guest's disk is Debian 13 with the programs of the packages file;
# what it writes there is lost. It finds
#   $OFFLOADFS_MODULE_DIR    the modules built for its kernel (build.sh)
#   $OFFLOADFS_SCRATCH_DEV, $OFFLOADFS_SCRATCH_DEV2   empty disks of 8 GiB
#   /dev/pmem0               64 MiB of memory as a disk for DAX, once nd_e820 and
#                            nd_pmem are loaded
#   /host                    a directory shared with this machine (-d), by 9p; by
#                            virtiofs it is there as "host", where virtiofsd runs
#   10.0.2.2                 this machine's loopback, once it has made 10.0.2.15
#                            the address of its network card
# and its kernel's log is kept in build/guest-SERIES.log (-l).
#
# usage: guest.sh [-i] [-d SHARED-DIR] [-l LOG] [-c CPUS] [-m MEMORY] [-t SECONDS]
#                 SERIES [-- COMMAND...]
#   -i    one emulated CPU whose time is the instructions it has executed, one a
#         nanosecond
# exit: the command's status; 124 when it took longer than -t (default 1200),
# 125 when the guest ended without one. OFFLOADFS_ACCEL=kvm or tcg overrides
# the choice between KVM and emulation.

. "$(dirname "$0")/lib.sh"

shared="" log="" cpus=2 memory=2560M limit=1200 icount=""
while getopts id:l:c:m:t: opt; do
	case $opt in
	i) icount=yes ;;
	d) shared=$OPTARG ;;
	l) log=$OPTARG ;;
	c) cpus=$OPTARG ;;
	m) memory=$OPTARG ;;
	t) limit=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || die "usage: ${0##*/} [-d DIR] [-l LOG] SERIES [-- COMMAND...]"
series=$1
shift
[ "${1:-}" != -- ] || shift
log=${log:-$build/guest-$series.log}
# A third of its memory is the shadow and what is recorded of allocations.
[ "$series" != debug ] || [ "$memory" != 2560M ] || memory=4G

host_packages
kernel=$(kernel_dir "$series")
image=$(guest_image)
virtme=$(virtme_dir)
rel=$(kernel_release "$series")

# shellcheck disable=SC2317 # called by a trap
end_virtiofs() {
	local pid
	for pid in $(pgrep -f -- "--socket-path /build/${tmp#"$build"/}/virtiofs"); do
		kill "$pid" 2>/dev/null || :
	done
}

tmp=$(mktemp -d "$build/guest-$series.XXXXXX")
trap 'end_virtiofs; rm -rf "$tmp"' EXIT
host=${shared:-$tmp/host}
mkdir -p "$host/modules"
cp "$vm/guest-main" "$host/"
rm -f "$host/command" "$host/status"
find "$build/$series" -name '*.ko' -exec cp -t "$host/modules" {} + 2>/dev/null || :
[ $# -eq 0 ] || printf '%s\n' "$*" >"$host/command"
truncate -s 8G "$tmp/scratch1" "$tmp/scratch2"
cmp -s "$vm/guest-init" "$kernel/guest-init" ||
	as_root install -m 755 "$vm/guest-init" "$kernel/guest-init"

disk() { echo "-drive file=$1,format=raw,if=virtio,cache=unsafe,discard=unmap$2"; }

# Whether KVM truly works is found out once, by booting: it can be there and
# fail on the first instruction that it has to emulate.
# shellcheck disable=SC2317 # called by make_once
_kvm_works() {
	local works=no
	if OFFLOADFS_ACCEL=kvm "$vm/guest.sh" -t 25 -l "$1.log" "$series" -- true \
		>/dev/null 2>&1; then
		works=yes
	fi
	rm -f "$1.log"
	say "KVM works here: $works"
	echo "$works" >"$1"
}

kvm_works() {
	[ -w /dev/kvm ] || return 1
	make_once "$cache/kvm-$(hash_of "$(cat /proc/sys/kernel/random/boot_id)")" _kvm_works
	grep -q yes "$cache/kvm-$(hash_of "$(cat /proc/sys/kernel/random/boot_id)")"
}

accel=${OFFLOADFS_ACCEL:-}
if [ -n "$icount" ]; then
	accel=tcg
	cpus=1
fi
if [ -z "$accel" ]; then
	if kvm_works; then accel=kvm; else accel=tcg; fi
fi

# virtme's own init is not used: it would run the whole of the guest from a
# shared directory, which under emulation takes several times as long. Old
# QEMUs' emulated time stamp counters leave the kernel in doubt, hence tsc=.
# Before 8.1 QEMU translates code on one thread while another is patching it,
# and what the kernel patched (every static key and tracepoint) may run
# half-patched for ever: one thread for all emulated CPUs has no such race.
# A kernel with all it needs to boot built in would else start virtme's init.
# virtiofsd wants to see the guest's memory, and goes when the guest does.
opts=() qemu_opts=()
[ "$series" != debug ] || opts+=(--force-initramfs)
if [ "$accel" = tcg ]; then
	opts+=(--disable-kvm --kopt tsc=reliable)
	# shellcheck disable=SC2054 # a comma of QEMU's
	qemu_opts+=(-accel tcg,thread=single)
fi
# shellcheck disable=SC2054 # commas of QEMU's
[ -z "$icount" ] || qemu_opts+=(-icount shift=0,sleep=off)

serve_virtiofs() {
	local n at=/build/${tmp#"$build"/}
	virtiofs=()
	# QEMU has to reach what root makes.
	[ "${host#"$build"/}" != "$host" ] && [ "$(id -u)" = 0 ] || return 0
	rm -f "$tmp/virtiofs"
	in_root -r trixie /usr/libexec/virtiofsd --sandbox none --log-level off \
		--socket-path "$at/virtiofs" --shared-dir "/build/${host#"$build"/}" \
		</dev/null >/dev/null 2>&1 &
	for ((n = 0; n < 50; n++)); do
		[ ! -S "$tmp/virtiofs" ] || break
		sleep 0.1
	done
	[ -S "$tmp/virtiofs" ] || return 0
	# shellcheck disable=SC2054 # commas that are QEMU's
	virtiofs=(-object "memory-backend-memfd,id=memory,size=$memory,share=on"
		-machine memory-backend=memory
		-chardev "socket,id=virtiofs,path=$tmp/virtiofs"
		-device vhost-user-fs-pci,chardev=virtiofs,tag=host)
}

boot() {
	serve_virtiofs
	# shellcheck disable=SC2046 # options
	PYTHONPATH=$virtme/usr/lib/python3/dist-packages PATH=$virtme/usr/bin:$PATH \
	timeout "$1" "$limit" \
	python3 -c 'from virtme.commands.run import main; exit(main())' \
		--kimg "$kernel/boot/vmlinuz-$rel" --root "$kernel" --force-9p \
		--mods auto --cpus "$cpus" --memory "$memory" --disable-monitor \
		--busybox /bin/busybox "${opts[@]}" \
		--kopt init=/guest-init --kopt norandmaps --kopt ignore_loglevel \
		--kopt panic=-1 --kopt 'memmap=64M!1G' \
		--qemu-opts $(disk "$image" ,snapshot=on) $(disk "$tmp/scratch1" '') \
		$(disk "$tmp/scratch2" '') "${qemu_opts[@]}" -no-reboot \
		-nic user,model=virtio-net-pci \
		-fsdev "local,id=host,path=$host,security_model=none,multidevs=remap" \
		-device virtio-9p-pci,fsdev=host,mount_tag=host "${virtiofs[@]}"
}

# Emulated machines now and then die while they boot, of the emulator's making:
# code that the kernel patches is executed half-patched. One that died before
# its first process began is started again, and said so.
for try in 1 2 3; do
	rc=0
	rm -f "$host/started"
	if [ -t 0 ] && [ $# -eq 0 ]; then
		boot --foreground 2>"$log" || rc=$?
	else
		boot --kill-after=5 2>"$log" </dev/null | stdbuf -oL tr -d '\r' || rc=$?
	fi
	if [ -e "$host/started" ] || [ "$accel" != tcg ] || [ "$rc" = 124 ]; then
		break
	fi
	say "$series: the guest died while it booted, try $try: see $log.died"
	cp "$log" "$log.died"
done
if [ ! -s "$host/status" ]; then
	say "$series: the guest did not end its command ($accel, status $rc): see $log"
	[ "$rc" = 124 ] || rc=125
	exit "$rc"
fi
exit "$(cat "$host/status")"
