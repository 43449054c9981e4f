# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the tests of the rpc backend share: "server", a file system with the
# directory "server/dir", which an NFS server and copyfiled export; "low", the
# client's NFS mount of it; "up", offloadfs over that. Sourced after lib.sh,
# libnfs.sh and librpc.sh.

SIZE=3000000
RPC_EXPORT=backend=rpc,server=$SERVER4,export=data

# setup_server TYPE: the file system, the hosts and the NFS server.
setup_server() {
	need_dev
	need_copyfiled
	make_lower "$1" server
	mkdir server/dir
	pattern server/dir/src $SIZE
	rpc_hosts
	rpc_serve_nfs server/dir
	load offloadfs_rpc
}

serve_data() {
	start_copyfiled --export "data=$PWD/server/dir,squash=none" \
		--allow 192.0.2.0/24 --allow 2001:db8::/64 "$@"
}

# setup_rpc TYPE VERSION [OPTIONS [COPYFILED-OPTION...]]
setup_rpc() {
	setup_server "$1"
	serve_data "${@:4}"
	client_mount_nfs "$2" server/dir low
	client_omount low up "$RPC_EXPORT,min=0${3:+,$3}"
}

# no_data MNT COMMAND...: it moves no file's data over NFS.
no_data() {
	local mnt=$1 before after
	shift
	before=$(nfs_ops "$mnt" READ READ_PLUS WRITE COPY)
	"$@"
	after=$(nfs_ops "$mnt" READ READ_PLUS WRITE COPY)
	is "requests of NFS for data during: $*" "$before" "$after"
}

# offloaded N: so many copies were made by the server.
offloaded() { is "copies by rpc" "$1" "$(backend_count rpc copies)"; }

# same_both SRC DST: on the server, and as the client sees it.
same_both() {
	cmp "server/dir/$1" "server/dir/$2"
	is "size" "$(stat -c %s "server/dir/$2")" "$(stat -c %s "up/$2")"
	is "mtime" "$(stat -c %y "server/dir/$2")" "$(stat -c %y "up/$2")"
	cmp "up/$1" "up/$2"
}
