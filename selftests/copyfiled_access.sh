#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# copyfiled: whom it copies for, and what no request can reach.

. "$(dirname "$0")/lib.sh"
. "$DIR/librpc.sh"
. "$DIR/libcopyfiled.sh"

# Rights

# may STATUS UID GID GROUPS: a copy on behalf of somebody, to what it is not
# allowed to nothing happens.
may() {
	remember tree/src tree/dst
	gets "$1" --uid "$2" --gid "$3" ${4:+--groups "$4"} copy src dst
	[ "$1" = OK ] || unchanged
}

# modes SRC-OWNER SRC-MODE DST-OWNER DST-MODE
modes() {
	chown "$1" tree/src
	chmod "$2" tree/src
	chown "$3" tree/dst
	chmod "$4" tree/dst
}

t_rights() {
	serve
	data tree/src tree/dst
	modes 0:0 644 0:0 666
	may OK 1000 1000
	modes 0:0 600 0:0 666
	may ACCES 1000 1000
	modes 0:0 644 0:0 644
	may ACCES 1000 1000
	modes 0:2000 640 0:2001 660
	may ACCES 1000 1000
	may ACCES 1000 2000
	may ACCES 1000 1000 2000
	may OK 1000 1000 2000,2001
	may OK 1000 2000 2001
	may OK 0 0
	# A group that is refused, though others are not.
	modes 0:2000 604 0:0 666
	may ACCES 1000 2000
	may OK 1000 1000
	# A directory that is closed to them.
	mkdir -m 700 tree/dir
	data tree/dir/src
	modes 0:0 644 0:0 666
	gets ACCES --uid 1000 --gid 1000 copy dir/src dst
	gets ACCES --uid 1000 --gid 1000 probe dir/sub
	gets ACCES --uid 1000 --gid 1000 commit dir/src
	chmod 600 tree/src
	gets ACCES --uid 1000 --gid 1000 commit src
	is denied 10 "$(copyfiled_stat denied)"
}

# As with NFS: the file was open at the client before it lost these modes.
t_owner() {
	serve
	data tree/src tree/dst
	modes 1000:1000 0 1000:1000 444
	may OK 1000 1000
	may ACCES 1001 1000
	modes 1000:1000 0 1001:1000 444
	may ACCES 1000 1000
	modes 1000:1000 444 1000:1000 0
	may OK 1000 5
}

t_immutable() {
	need_dev
	need chattr
	make_lower ext4 tree
	data tree/src tree/dst
	modes 1000:1000 644 1000:1000 644
	serve
	chattr +i tree/dst
	may PERM 1000 1000
	may PERM 0 0
	chattr -i +a tree/dst
	may PERM 1000 1000
	may PERM 0 0
	chattr -a tree/dst
	may OK 1000 1000
}

t_root_squash() {
	serve rw
	data tree/src tree/dst
	modes 0:0 600 0:0 666
	may ACCES 0 0
	may ACCES 0 0 0
	modes 0:0 640 0:0 666
	may ACCES 1000 0
	may ACCES 1000 1000 0
	modes 0:0 644 0:0 644
	may ACCES 0 0
	modes 65534:65534 600 65534:65534 600
	may OK 0 0
	modes 1000:1000 600 1000:1000 600
	may OK 1000 1000
}

t_all_squash() {
	serve squash=all,anonuid=1234,anongid=4321
	data tree/src tree/dst
	modes 1000:1000 600 1000:1000 600
	may ACCES 1000 1000
	may ACCES 0 0 1000
	modes 1234:0 400 0:4321 060
	may OK 1000 1000
	may OK 0 0
}

t_manage_gids() {
	local groups
	groups=$(mktemp)
	cp /etc/group "$groups"
	useradd -u 1500 rpcuser 2>/dev/null || :
	groupadd -g 2500 -U rpcuser rpcgroup
	serve squash=none,manage-gids
	data tree/src tree/dst
	modes 0:2500 640 0:0 666
	may OK 1500 1500
	modes 0:2600 640 0:0 666
	# What the client says of groups is not believed.
	may ACCES 1500 1500 2600
	may ACCES 1501 1501 2600
	groupdel rpcgroup
	userdel rpcuser
	cp "$groups" /etc/group
	rm "$groups"
}

t_read_only() {
	local nonce=00112233445566778899aabbccddeeff
	serve squash=none,ro
	data tree/src tree/dst
	echo -n $nonce | xxd -r -p >tree/.offloadfs-probe-1
	gets OK hello
	is 'read-only, says HELLO' 2 "$(($(answer caps) & 2))"
	may ROFS 0 0
	gets ROFS --nonce $nonce probe .offloadfs-probe-1
	is 'the probe' $nonce "$(xxd -p tree/.offloadfs-probe-1)"
	gets OK probe ""
}

t_addresses() {
	rpc_hosts
	on_client ip addr add 192.0.2.3/24 dev rpc-client
	make_lower tmpfs tree
	data tree/src tree/dst
	start_copyfiled --export "data=$PWD/tree,squash=none" \
		--allow $CLIENT4 --allow 2001:db8::2/127
	local c=("$DIR/copyfile_client" --root tree)
	on_client "${c[@]}" --server $SERVER4 copy src dst >/dev/null
	on_client "${c[@]}" --server $SERVER6 copy src dst >/dev/null
	cmp tree/src tree/dst
	remember tree/dst
	local out
	out=$(on_client "${c[@]}" --server $SERVER4 --from 192.0.2.3 copy src dst) || :
	is 'from an address that is not on the list' 'hello NOEXPORT' "$out"
	out=$(client --root tree copy src dst) || :
	is 'from the server itself' 'hello NOEXPORT' "$out"
	unchanged
}

# A client's number belongs to its host while that is there, and so do its copies.
t_other_host() {
	rpc_hosts
	make_lower tmpfs tree
	data tree/src tree/dst
	start_copyfiled --export "data=$PWD/tree,squash=none" --allow 192.0.2.0/24 --allow 127.0.0.1
	on_client "$DIR/copyfile_client" --server $SERVER4 --client 5 --hold 3000 connect 1 >/dev/null &
	local pid=$! boot
	sleep 0.3
	ask hello
	boot=$(answer boot)
	remember tree/dst
	gets BUSY --boot "$boot" --client 5 copy src dst
	gets BUSY --client 5 copy src dst
	unchanged
	wait $pid
}

t_ports() {
	serve
	data tree/src tree/dst
	remember tree/dst
	gets PERM --unprivileged hello
	gets PERM --unprivileged copy src dst
	local boot
	ask hello
	boot=$(answer boot)
	gets PERM --unprivileged --boot "$boot" copy src dst
	gets PERM --unprivileged --boot "$boot" probe ""
	gets PERM --unprivileged --boot "$boot" commit dst
	unchanged
	stop_copyfiled
	serve squash=none,insecure
	gets OK --unprivileged copy src dst
}

# Who is at the other end of a UNIX socket is known for sure.
t_unix() {
	make_lower tmpfs tree
	data tree/src tree/dst
	chmod 711 "$WORK" ../.. 2>/dev/null || :
	local dir
	dir=$(mktemp -d /run/copyfiled-test.XXXXXX)
	chmod 755 "$dir"
	serve squash=none --listen "unix:$dir/socket"
	is 'who may connect unless told' 600 "$(stat -c %a "$dir/socket")"
	stop_copyfiled
	serve squash=none --listen "unix:$dir/socket" --unix-mode 666
	local to=(--server "unix:$dir/socket") as=(setpriv --reuid 1000 --regid 1000 --clear-groups)
	modes 1001:0 600 0:0 666
	gets OK "${to[@]}" copy src dst
	gets OK "${to[@]}" --uid 1001 copy src dst
	gets ACCES "${to[@]}" --uid 1002 copy src dst
	remember tree/dst
	cp "$DIR/copyfile_client" "$dir/"
	local args u
	# shellcheck disable=SC2207 # numbers
	args=(--dst-size 65536 --dst-fileid 0 --dst-mtime "$(stat -c %.9Y tree/dst)"
		--src-size 65536 --src-fileid 0 --src-mtime "$(stat -c %.9Y tree/src)")
	for u in 0 1001; do
		ANSWER=$(cd / && "${as[@]}" "$dir/copyfile_client" "${to[@]}" --client 9 \
			"${args[@]}" --uid $u --groups 0 copy src dst) || :
		is "user 1000 who says to be $u" ACCES "$(status)"
	done
	unchanged
	modes 1000:0 600 0:0 666
	ANSWER=$(cd / && "${as[@]}" "$dir/copyfile_client" "${to[@]}" --client 9 \
		"${args[@]}" --uid 0 copy src dst) || :
	is 'user 1000, for itself' OK "$(status)"
	stop_copyfiled
	[ ! -e "$dir/socket" ] || fail 'the socket is still there'
	rm -r "$dir"
}

# Paths

# The export is tree/export; outside of it lies what nobody may reach.
setup_paths() {
	make_lower tmpfs tree
	mkdir -p tree/export/dir
	data tree/export/src tree/export/dst tree/secret tree/export/dir/file
	echo 'secret' >>tree/secret
	need_copyfiled
	start_copyfiled --export "data=$PWD/tree/export,squash=none" --allow 127.0.0.1
	remember tree/secret tree/export/dst tree/export/dir/file
}

# refused PATH...: as a source and as a destination, with the size and time of
# what it would lead to, so that nothing but the path is wrong.
refused() {
	local p t
	t=$(stat -c %.9Y tree/secret)
	for p; do
		ANSWER=$(client --root tree/export --src-size 65543 --src-mtime "$t" --src-fileid 0 \
			copy "$p" dst) || :
		[[ $(status) =~ ^(INVAL|NOENT|STALE|XDEV|NOTSUPP)$ ]] || fail "source $p: $(status)"
		ANSWER=$(client --root tree/export --dst-size 65543 --dst-mtime "$t" --dst-fileid 0 \
			copy src "$p") || :
		[[ $(status) =~ ^(INVAL|NOENT|STALE|XDEV|NOTSUPP)$ ]] || fail "destination $p: $(status)"
	done
	unchanged
}

# What is no path is refused as such, and not looked up.
t_dots() {
	setup_paths
	local p c t
	t=$(stat -c %.9Y tree/export/src)
	for p in ../secret dir/../../secret ../../etc/passwd ./../secret .. . dir/.. ./src \
		dir/./file "$PWD/tree/export/src" /etc/passwd //src /src dir//file dir/file/ src/ \
		'src%00' 'src%00/../../secret' '%00' 'dir/%00/file' src/../src \
		"$(printf 'a%.0s' {1..256})"; do
		ANSWER=$(client --root tree/export --src-size 65536 --src-mtime "$t" --src-fileid 0 \
			copy "$p" dst) || :
		is "source $p" INVAL "$(status)"
		ANSWER=$(client --root tree/export --dst-size 65536 --dst-mtime "$t" --dst-fileid 0 \
			copy src "$p") || :
		is "destination $p" INVAL "$(status)"
	done
	unchanged
	refused .../secret "~" "$(printf 'a/%.0s' {1..2000})a" dir ''
	for p in .. ../secret /etc dir/..; do
		for c in probe commit; do
			ANSWER=$(client "$c" "$p") || :
			is "$c $p" INVAL "$(status)"
		done
	done
}

t_symlinks() {
	setup_paths
	ln -s ../secret tree/export/link
	ln -s "$PWD/tree/secret" tree/export/absolute
	ln -s src tree/export/inside
	ln -s .. tree/export/updir
	ln -s / tree/export/rootdir
	ln -s dir tree/export/samedir
	ln -s loop tree/export/loop
	refused link absolute inside updir/secret "rootdir$PWD/tree/secret" samedir/file loop
}

t_mounts() {
	setup_paths
	mkdir tree/outside tree/export/{bind,tmp,proc}
	cp -p tree/secret tree/outside/secret
	: >tree/export/bindfile
	mount --bind tree/outside tree/export/bind
	mount --bind tree/secret tree/export/bindfile
	mount -t tmpfs tmpfs tree/export/tmp
	cp -p tree/secret tree/export/tmp/secret
	mount -t proc proc tree/export/proc
	refused bind/secret bindfile tmp/secret proc/version proc/self/environ \
		"proc/1/root$PWD/tree/secret" "proc/self/cwd$PWD/tree/secret" proc/self/fd/0
	cmp tree/secret tree/outside/secret
	cmp tree/secret tree/export/tmp/secret
}

# An export of /proc itself: no file of it leads out of it.
t_proc() {
	need_copyfiled
	mkdir tree
	mount -t proc proc tree
	echo outside >outside
	exec 5<>outside
	start_copyfiled --export "data=$PWD/tree,squash=none" --allow 127.0.0.1
	local p="$BASHPID/fd/5"
	ANSWER=$(client --src-size 8 --src-fileid 0 --src-mtime "$(stat -c %.9Y outside)" \
		copy "$p" "$p") || :
	[[ $(status) =~ ^(STALE|XDEV|NOTSUPP|NOENT)$ ]] || fail "$p: $(status)"
	exec 5<&-
	is outside outside "$(cat outside)"
}

# Nothing that is no file is opened: a FIFO would wait, a device do things. All
# that the client says of them is right.
t_special_files() {
	setup_paths
	local f start=$SECONDS said
	mkfifo tree/export/fifo
	mknod tree/export/zero c 1 5
	mknod tree/export/watchdog c 10 130
	mknod tree/export/disk b 7 99
	python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("tree/export/socket")'
	chmod 666 tree/export/{fifo,zero,watchdog,disk,socket}
	refused fifo zero watchdog disk socket dir
	exec 7<>tree/export/fifo
	for f in fifo zero watchdog disk socket dir; do
		ANSWER=$(client --root tree/export copy src $f) || :
		is "destination $f" NOTSUPP "$(status)"
		ANSWER=$(client --root tree/export commit $f) || :
		is "COMMIT of $f" NOTSUPP "$(status)"
	done
	! read -r -t 0.1 -n 1 said <&7 || fail "the FIFO was written to: $said"
	exec 7<&-
	[ $((SECONDS - start)) -lt 15 ] || fail "it waited for something"
}

# Names are bytes, and a newline is one.
t_names() {
	serve
	mkdir "tree/a b"
	data tree/$'new\nline' "tree/a b/"$'\xff\xfe' "tree/ %n;\$(touch x)"
	: >"tree/"$'ta\tb'
	gets OK copy $'new\nline' $'ta\tb'
	cmp tree/$'new\nline' tree/$'ta\tb'
	gets OK copy "a b/"$'\xff\xfe' $'ta\tb'
	gets OK copy " %25n;\$(touch x)" $'ta\tb'
	ln tree/$'ta\tb' tree/hardlink
	gets OK copy $'new\nline' hardlink
	data "tree/$(printf 'n%.0s' {1..255})"
	gets OK copy "$(printf 'n%.0s' {1..255})" hardlink
}

# A directory of the path is swapped for a link that leads out, to a file of the
# same size, again and again while copies go through it.
t_swapped_links() {
	setup_paths
	local n pid
	mkdir tree/outside
	tr 0-9 a-j <tree/export/src >tree/outside/file
	chmod 666 tree/outside/file
	ln -s ../outside tree/export/link
	for n in {0..199}; do
		: >"tree/export/dst.$n"
	done
	remember tree/outside/file
	python3 -c '
import ctypes
libc = ctypes.CDLL(None)
while True:
    libc.renameat2(-100, b"tree/export/dir", -100, b"tree/export/link", 2)' &
	pid=$!
	sleep 1
	local to=(--root tree/export --src-fileid 0 --dst-fileid 0 --parallel 200 --window 1)
	ANSWER=$(client "${to[@]}" --src-size 65536 copy dir/file 'dst.{}') || :
	swapped 'out of the directory'
	! grep -l '[a-j]' tree/export/dst.* || fail 'what is outside was copied'
	ANSWER=$(client "${to[@]}" copy src dir/file) || :
	swapped 'into the directory'
	kill $pid
	reap $pid
	unchanged
}

# Some met the directory, and some the link, or nothing at all.
swapped() {
	echo "# $1: $(paste -sd' ' <<<"$ANSWER")"
	[[ $ANSWER == *OK* && $ANSWER =~ (STALE|XDEV|NOENT) ]] || fail "$1: no race"
}

run_tests 't_rights who may not read the source or write the destination' \
	't_owner a file that its owner has closed is open to its owner' \
	't_immutable immutable and append-only files are not written' \
	't_root_squash root is nobody by default' \
	't_all_squash everybody can be somebody' \
	't_manage_gids groups can be those that the server knows' \
	't_read_only nothing is written to a read-only export' \
	't_addresses an address that is not on the list gets nothing' \
	't_other_host the copies of one host are not those of another' \
	't_ports an unprivileged port gets nothing unless allowed' \
	't_unix the user at a UNIX socket is known, whatever it says' \
	't_dots paths that would leave the export' \
	't_symlinks symbolic links are not followed' \
	't_mounts mounts below the export are not entered' \
	't_proc links of /proc lead nowhere' \
	't_special_files FIFOs, devices and sockets are not opened' \
	't_names names with all bytes there are' \
	't_swapped_links a directory that is swapped for a link during copies'
