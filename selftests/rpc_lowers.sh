#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The rpc backend over lowers other than the kernel's NFS server: 9p from the
# machine that runs this one, sshfs, NFS-Ganesha.

. "$(dirname "$0")/lib.sh"
. "$DIR/libnfs.sh"
. "$DIR/librpc.sh"
. "$DIR/librpcfs.sh"

# copies SERVER-DIRECTORY: what any lower must pass.
copies() {
	local way n
	n=$(backend_count rpc copies)
	for way in sendfile cfr; do
		xcopy $way up/src up/$way >/dev/null
		cmp "$1/src" "$1/$way"
		cmp up/src up/$way
		echo old >"$1/new-$way"
		says "ret=$SIZE .*watch=ok" xcopy -w $way up/src up/new-$way
		cmp "$1/src" "$1/new-$way"
	done
	# A mapping of a file that was empty when it was opened.
	python3 - <<-END
		import mmap, os
		i = os.open("up/src", os.O_RDONLY)
		o = os.open("up/mapped", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
		r = os.open("up/mapped", os.O_RDONLY)
		n = 0
		while n < $SIZE:
		    n += os.copy_file_range(i, o, $SIZE)
		m = mmap.mmap(r, 0, mmap.MAP_SHARED, mmap.PROT_READ)
		assert m[:] == os.pread(i, $SIZE, 0), "the mapping is wrong"
	END
	# Over longer contents.
	tr 0-9 a-j <"$1/src" >"$1/long"
	cat "$1/src" >>"$1/long"
	cat up/long >/dev/null
	xcopy cfr up/src up/long >/dev/null
	head -c $SIZE up/long | cmp - "$1/src"
	tail -c $SIZE up/long | cmp - "$1/src"
	is 'copies by rpc' $((n + 6)) "$(backend_count rpc copies)"
	sync up/long
	sync -f up
}

# 9p: the files are the host's, and so is copyfiled (check.sh starts it). QEMU
# makes file ids of its own.
t_9p() {
	local server dir=/host/9p
	[ -e /host/copyfiled ] || skip "no copyfiled on the host: check.sh starts one"
	need_copyfiled
	read -r server </host/copyfiled
	modprobe virtio_net || skip 'no virtio_net'
	ip addr replace 10.0.2.15/24 dev "$(basename /sys/class/net/e[tn]*)"
	ip link set "$(basename /sys/class/net/e[tn]*)" up
	load offloadfs_rpc
	rm -rf "${dir:?}"/*
	pattern $dir/src $SIZE
	local opts="backend=rpc,server=$server,export=share,min=0,soft,timeo=100"
	refuse 'use match=attr' omount $dir up "$opts"
	is 'leftover files' '' "$(find $dir -name '.offloadfs*')"
	omount $dir up "$opts,match=attr"
	copies $dir
	umount up
	rm -rf "${dir:?}"/*
}

# sshfs keeps attributes to itself, unless told not to.
t_sshfs() {
	need sshfs ssh-keygen
	[ -x /usr/sbin/sshd ] || skip 'no sshd'
	modprobe fuse
	[ -c /dev/fuse ] || skip 'no /dev/fuse'
	need_dev
	need_copyfiled
	make_lower xfs server
	mkdir server/dir low
	rpc_hosts
	mkdir -p /run/sshd
	ssh-keygen -q -t ed25519 -N '' -f hostkey
	ssh-keygen -q -t ed25519 -N '' -f key
	/usr/sbin/sshd -o "HostKey=$PWD/hostkey" -o "AuthorizedKeysFile=$PWD/key.pub" \
		-o StrictModes=no -o PermitRootLogin=yes -o UsePAM=no -o ListenAddress=$SERVER4 \
		-o "PidFile=$PWD/sshd.pid" -o "Subsystem=sftp internal-sftp"
	trap 'kill "$(<sshd.pid)"; clean_rpc' EXIT
	serve_data
	load offloadfs_rpc
	pattern server/dir/src $SIZE
	local opts="IdentityFile=$PWD/key,StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null"
	on_client sshfs -o "$opts" "root@$SERVER4:$PWD/server/dir" low
	refuse 'not see at once|file ids' client_omount low up "$RPC_EXPORT,match=attr"
	umount low
	on_client sshfs -o "$opts,dir_cache=no,attr_timeout=0" "root@$SERVER4:$PWD/server/dir" low
	refuse 'use match=attr' client_omount low up "$RPC_EXPORT"
	is 'leftover files' '' "$(find server/dir -name '.offloadfs*')"
	client_omount low up "$RPC_EXPORT,min=0,match=attr"
	copies server/dir
}

# serve_ganesha EXPIRATION: how many seconds it keeps attributes for itself.
serve_ganesha() {
	local n
	cat >ganesha.conf <<-END
		NFS_CORE_PARAM { Protocols = 3, 4; Enable_NLM = false; Enable_RQUOTA = false; }
		NFSv4 { Graceless = true; }
		EXPORT { Export_Id = 1; Path = $PWD/server/dir; Pseudo = /data;
			Attr_Expiration_Time = $1;
			Access_Type = RW; Squash = No_Root_Squash; SecType = sys;
			FSAL { Name = VFS; } }
	END
	ganesha.nfsd -F -f "$PWD/ganesha.conf" -L "$PWD/ganesha.log" -p "$PWD/ganesha.pid" &
	GANESHA=$!
	for ((n = 0; n < 300; n++)); do
		! on_client mount -t nfs -o "vers=3,nolock,proto=tcp" \
			"$SERVER4:$PWD/server/dir" low 2>/dev/null || return 0
		[ -d /proc/$GANESHA ] || break
		sleep 0.2
	done
	skip "ganesha.nfsd does not run here: $(tail -n 1 ganesha.log)"
}

end_ganesha() {
	kill -9 "$GANESHA"
	reap "$GANESHA"
}

# NFS-Ganesha in place of the kernel's NFS server. It believes its own cache, and
# is refused, unless told not to.
t_ganesha() {
	need ganesha.nfsd rpcbind
	need_dev
	need_copyfiled
	modprobe nfs
	make_lower xfs server
	mkdir server/dir low
	rpc_hosts
	serve_data
	load offloadfs_rpc
	pattern server/dir/src $SIZE
	mkdir -p /var/run/ganesha /run/rpcbind /run/dbus
	pidof rpcbind >/dev/null || rpcbind -w
	trap 'clean_clients; end_ganesha; killall -q rpcbind; clean_rpc' EXIT
	serve_ganesha 60
	refuse 'not see at once' client_omount low up "$RPC_EXPORT"
	umount low
	end_ganesha
	serve_ganesha 0
	client_omount low up "$RPC_EXPORT,min=0"
	no_data low xcopy cfr up/src up/first
	copies server/dir
}

run_tests 't_9p 9p from the host, copyfiled on the host' \
	't_sshfs sshfs' \
	't_ganesha NFS-Ganesha'
