# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A real NFS server in this machine, for the tests that need one.

# serve_nfs DIR...: export directories to this machine, by file handles 1, 2...
serve_nfs() {
	local d n=0
	need rpc.nfsd rpc.mountd exportfs mount.nfs
	modprobe -a nfsd nfs || skip "no NFS in this kernel"
	ip link set lo up
	mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd
	mkdir -p /var/lib/nfs/rpc_pipefs /run/rpcbind /run/sendsigs.omit.d
	mountpoint -q /var/lib/nfs/rpc_pipefs ||
		mount -t rpc_pipefs rpc_pipefs /var/lib/nfs/rpc_pipefs
	: >/etc/exports
	for d; do
		n=$((n + 1))
		echo "$(realpath "$d") *(rw,no_root_squash,insecure,no_subtree_check,fsid=$n)" \
			>>/etc/exports
	done
	pidof rpcbind >/dev/null || rpcbind -w
	exportfs -ra
	# Nobody has state to reclaim: the first open need not wait 90 seconds.
	echo 10 >/proc/fs/nfsd/nfsv4leasetime
	echo 10 >/proc/fs/nfsd/nfsv4gracetime
	rpc.nfsd 4
	pidof rpc.mountd >/dev/null || rpc.mountd
}

# The server must let go of the directories before they can be unmounted.
stop_nfs() {
	rpc.nfsd 0
	exportfs -uaf
	killall -q rpc.mountd rpcbind || :
	umount /proc/fs/nfsd
}

# mount_nfs VERSION DIR MNT
mount_nfs() {
	mkdir -p "$3"
	mount -t nfs -o "vers=$1,nolock,noac,proto=tcp,addr=127.0.0.1" \
		"127.0.0.1:$(realpath "$2")" "$3"
}

# nfs_ops MNT OP...: how often the client has made one of these requests.
nfs_ops() {
	local mnt
	mnt=$(realpath "$1")
	shift
	awk -v mnt="$mnt" -v ops=" $* " '
		$1 == "device" { here = $5 == mnt }
		here && index(ops, " " substr($1, 1, length($1) - 1) " ") { n += $2 }
		END { print n + 0 }' /proc/self/mountstats
}
