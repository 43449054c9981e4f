#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# An offloadfs mount among other mounts, in other namespaces and for other
# users: bind mounts of it and their flags, propagation, chroot, pivot_root,
# user namespaces, maps of ids; and an NFS server that squashes root decides by
# itself.

. "$(dirname "$0")/lib.sh"
. "$DIR/libnfs.sh"
. "$DIR/libparity.sh"

setup() {
	make_lower tmpfs low
	parity_dirs low
}

# What cat(1) has when user 1000 runs it from there.
rights() { as 1000 "$1" /proc/self/status | grep -E '^(Uid|Gid|CapPrm)' || :; }

# flags MNT: a bind mount of it, with flags of its own.
flags() {
	mkdir -p "$1/d" view
	cp /bin/cat "$1/d/suid"
	cp /bin/cat "$1/d/caps"
	chown 1001:1001 "$1/d/suid"
	chmod 6755 "$1/d/suid"
	setcap cap_net_raw+ep "$1/d/caps"
	mknod -m 666 "$1/d/null" c 1 3
	mount --bind "$1/d" view
	rights view/suid
	rights view/caps
	try cp view/null /dev/null
	mount -o remount,bind,nosuid,nodev,noexec view
	try cp view/null /dev/null
	try view/caps /dev/null
	getcap view/caps
	mount -o remount,bind,exec,dev,nosuid view
	rights view/suid
	rights view/caps
	mount -o remount,bind,ro view
	try touch view/new
	try chmod 700 view/suid
	try test -w view/suid
	try setfattr -n trusted.x -v y view/suid
	try cp "$1/d/suid" "$1/d/copy"
	mount -o remount,bind,rw view
	try touch view/new
	umount view
}
t_flags() { setup; same flags; }

# A lower that is nosuid: no rights, but the capabilities can be seen.
nosuid() {
	cp /bin/cat "$2/caps"
	setcap cap_net_raw+ep "$2/caps"
	getcap "$1/caps"
	rights "$1/caps"
	getfattr -e hex -n security.capability "$1/caps"
}
t_nosuid_lower() {
	make_lower tmpfs low
	mount -o remount,nosuid low
	parity_dirs low
	same nosuid
}

# others MNT: mounts on the mount.
others() {
	mkdir -p "$1/m/sub"
	echo below >"$1/m/file"
	mount -t tmpfs tmpfs "$1/m"
	echo above >"$1/m/file"
	try rmdir "$1/m"
	try mv "$1/m" "$1/n"
	try cp "$1/m/file" "$1/file"

	umount "$1/m"
	cat "$1/m/file" "$1/file"
	mkdir "$1/to"
	mount --bind "$1/m" "$1/to"
	cat "$1/to/file"
	try mv "$1/m/file" "$1/to/other"
	try ln "$1/m/sub" "$1/to/other"
	umount "$1/to"
	echo covered >"$1/m/covered"
	mount --bind "$1/file" "$1/m/covered"
	cat "$1/m/covered"
	try rm "$1/m/covered"
	umount "$1/m/covered"
	cat "$1/m/covered"
}
t_others() { setup; same others; }

# The directory under a mount goes away in the lower: so does that mount.
t_others_lose_their_directory() {
	setup_pair tmpfs
	mkdir up/m
	mount -t tmpfs tmpfs up/m
	rmdir low/m
	refuse 'no such file' ls up/m
	mkdir low/m
	is 'file system' "$(stat -f -c %t up)" "$(stat -f -c %t up/m)"
	is mounts 1 "$(grep -c " $WORK/up" /proc/self/mountinfo)"
}

# propagation MNT LOWER
propagation() {
	mkdir -p shared/m peer slave
	mount --bind shared shared
	mount --make-shared shared
	mount --bind shared peer
	mount --bind shared slave
	mount --make-slave slave
	"mount_$1" "$2" shared/m
	echo hello >shared/m/f
	cat peer/m/f slave/m/f
	mkdir -p shared/m/n
	mount -t tmpfs tmpfs peer/m/n
	echo there >peer/m/n/g
	cat shared/m/n/g slave/m/n/g
	umount shared/m/n
	ls peer/m/n slave/m/n
	unshare -m --propagation slave sh -c '
		umount shared/m && ls shared/m; cat peer/m/f'
	unshare -m --propagation private sh -c '
		umount peer/m && cat shared/m/f'
	umount peer/m
	ls shared/m slave/m
	umount slave peer shared
}
mount_bm() { mount --bind "$1" "$2"; }
mount_up() { omount "$1" "$2"; }
t_propagation() { setup; same propagation; }

jail() {
	local i
	mkdir -p "$1/bin" "$1/old" "$1/d"
	for i in sh cat ls chroot umount; do
		cp /bin/busybox "$1/bin/$i"
	done
	chroot "$1" /bin/sh -c '
		echo in >/d/f; PATH=/bin; cd ../..; pwd; cat d/f; ls /; ls /proc/self'
	cat "$1/d/f" "$2/d/f"
	unshare -m sh -c "mount --bind $1 $1; cd $1; pivot_root . old
		exec /bin/chroot . /bin/sh -c 'PATH=/bin; pwd; cat /d/f; echo new >/d/g; umount -l /old; ls /old'"
	cat "$2/d/g"
	try chroot "$1/d" /bin/sh -c :
}
t_chroot() {
	[ -x /bin/busybox ] || skip "no busybox"
	setup
	same jail
}

# The mount of another mount namespace works as long as that one has it open.
namespace() {
	echo hello >"$1/f"
	exec 7< <(unshare -m sh -c "exec 5<$1/f; umount -l $1; ls $1; cat <&5")
	cat <&7
	exec 7<&-
	cat "$1/f"
	unshare -m sh -c "umount -l $1; cd /proc/self; ls $PWD/$1"
	unshare -m --propagation private sh -c "mount -o remount,bind,ro $1
		touch $1/ro; mount -o remount,bind,rw $1; touch $1/rw"
	ls "$1"
}
t_namespace() { setup; same namespace; }

# in_container COMMAND...: with user and mount namespaces of its own.
in_container() {
	local pid i
	rm -f go
	mkfifo go
	# shellcheck disable=SC2016
	unshare -Um --keep-caps sh -c 'read -r _ <go
		exec setpriv --reuid 0 --regid 0 --clear-groups "$@"' sh "$@" &
	pid=$!
	for ((i = 0; i < 100; i++)); do
		[ "$(readlink /proc/$pid/ns/user)" = "$(readlink /proc/self/ns/user)" ] ||
			break
		sleep 0.1
	done
	echo 0 100000 1000 >/proc/$pid/uid_map
	echo 0 100000 1000 >/proc/$pid/gid_map
	echo >go
	wait $pid || :
}

# container MNT BELOW: its root is 100000 here.
container() {
	mkdir -m 777 "$1/d"
	echo secret >"$1/secret"
	chmod 600 "$1/secret"
	cp /bin/cat "$1/suid"
	chmod 4755 "$1/suid"
	in_container sh -c "
		cd -P $1/d
		umask 022
		touch mine; mkdir dir; ln -s x link; mkfifo fifo
		chown 5:6 mine; chown -h 7 link
		stat -c '%n %u %g %a' mine dir link fifo ..
		chown 5000 dir
		mknod null c 1 3
		cat ../secret
		chmod 777 ../secret
		rm ../secret
		setfattr -n user.x -v 1 mine; setfattr -n trusted.x -v 1 mine
		getfattr -d -m - mine
		chmod 6755 mine; stat -c %a mine
		cp /bin/cat caps; setcap cap_net_raw+ep caps; getcap caps
		../suid /proc/self/status | grep Uid
		echo x >t; mount --bind . dir && ls dir
		mount -o remount,bind,ro dir && touch dir/no
		umount dir
		mount -o remount,ro .. ; umount .."
	stat -c '%n %u %g %a' "$2"/d/*
	getfattr -e hex -n security.capability "$2/d/caps"
	try as 1000 touch "$1/d/mine"
	try as 100005 touch "$1/d/mine"
}
t_user_namespace() {
	unshare -U true || skip "no user namespaces"
	setup
	same container
}

# mount(8) makes the map of the lower; and none of the mount itself.
t_mapped_lower() {
	need_dev
	make_lower xfs low
	chmod 755 .
	mkdir -m 777 low/d mapped
	mount --bind -o X-mount.idmap=b:0:100000:10000 low/d mapped ||
		skip "mount(8) cannot make idmapped mounts"
	omount mapped up
	is owner 100000 "$(stat -c %u up)"
	as 100005 touch up/f
	is owner 100005 "$(stat -c %u up/f)"
	is 'owner on the disk' 5 "$(stat -c %u low/d/f)"
	refuse 'too large|overflow' touch up/root
	umount mapped
	as 100006 touch up/g
	is 'owner on the disk' 6 "$(stat -c %u low/d/g)"
	refuse 'invalid argument|not supported' \
		mount --bind -o X-mount.idmap=b:0:100000:10000 up mapped
	is mounts 1 "$(grep -c ' - offloadfs ' /proc/self/mountinfo)"
}

# A server that is told ids would be told the wrong ones.
t_mapped_lower_rpc() {
	need_dev
	[ -e "$MODULES/offloadfs_rpc.ko" ] || skip "no offloadfs_rpc.ko"
	load offloadfs offloadfs_rpc
	make_lower xfs low
	mkdir low/d mapped up
	mount --bind -o X-mount.idmap=b:0:100000:10000 low/d mapped ||
		skip "mount(8) cannot make idmapped mounts"
	refuse 'users of an idmapped mount' \
		mount -t offloadfs -o backend=rpc,server=127.0.0.1,export=x mapped up
}

# squashed MNT BELOW: BELOW is the server's.
squashed() {
	mkdir -m 755 "$2/roots"
	mkdir -m 777 "$2/all"
	mkdir -m 700 "$2/user"
	echo secret >"$2/roots/secret"
	echo text >"$2/all/text"
	echo user >"$2/user/f"
	chmod 600 "$2/roots/secret" "$2/user/f"
	chown -R 1000:1000 "$2/user"
	sleep 1
	try cat "$1/roots/secret"
	try touch "$1/roots/new"
	try touch "$1/all/new"
	stat -c '%n %u:%g' "$1/all/new" "$2/all/new"
	try cat "$1/all/text"
	try sh -c "echo more >>$1/all/text"
	try rm "$1/all/text"
	try chown 1000 "$1/all/new"
	try chmod 600 "$1/roots/secret"
	try cat "$1/user/f"
	try ls "$1/user"
	try test -r "$1/user/f"
	try test -w "$1/roots"
	try as 1000 cat "$1/user/f"
	try as 1000 cp "$1/user/f" "$1/user/copy"
	try as 1000 touch "$1/roots/by-user"
	try as 1001 cat "$1/user/f"
	try as 1001 cp "$1/all/new" "$1/all/copy"
	stat -c '%n %u:%g %a' "$2"/*/*
}

root_squash() {
	need_dev
	make_lower xfs server
	mkdir -m 777 server/dir
	serve_nfs server/dir
	trap 'umount bm up; umount low; stop_nfs' EXIT
	sed -i s/no_root_squash/root_squash/ /etc/exports
	exportfs -ra
	mount_nfs "$1" server/dir low
	mkdir server/dir/a server/dir/b
	chmod 777 server/dir/a server/dir/b
	parity_dirs low
	same squashed server/dir
}
t_root_squash3() { root_squash 3; }
t_root_squash42() { root_squash 4.2; }

run_tests \
	't_flags bind mounts of the mount, their flags, and remounts' \
	't_nosuid_lower capabilities of a nosuid lower' \
	't_others mounts on the mount' \
	't_others_lose_their_directory a mount whose directory goes in the lower' \
	't_propagation mount propagation' \
	't_chroot chroot and pivot_root' \
	't_namespace mount namespaces' \
	't_user_namespace user namespaces' \
	't_mapped_lower an idmapped lower, and no map for the mount' \
	't_mapped_lower_rpc no rpc for an idmapped lower' \
	't_root_squash3 NFSv3 with root squashed' \
	't_root_squash42 NFS 4.2 with root squashed'
