#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Changes below the mount, made directly in the lower or at an NFS server by
# somebody else: they are seen as on a bind mount, also where names, files and
# directories are in use meanwhile, and with the answers that the client keeps.

. "$(dirname "$0")/lib.sh"
. "$DIR/libnfs.sh"
. "$DIR/libparity.sh"

# changes MNT BELOW: each change, with the old state in the cache.
changes() {
	local m=$1 b=$2
	mkdir -p "$b/d/e"
	echo one >"$b/d/f"
	ln -s f "$b/d/l"
	try cat "$m/d/f"
	try cat "$m/d/l"
	try cat "$m/d/new"
	try ls "$m/d"
	echo two >"$b/d/new"
	echo longer than before >>"$b/d/f"
	try cat "$m/d/new"
	try cat "$m/d/f"
	stat -c %s "$m/d/f"
	truncate -s 5 "$b/d/f"
	stat -c %s "$m/d/f"
	try cat "$m/d/f"
	mv "$b/d/new" "$b/d/f"
	ln -sf nowhere "$b/d/l"
	try cat "$m/d/f"
	try cat "$m/d/l"
	try readlink "$m/d/l"
	try cat "$m/d/new"
	ls "$m/d"
	mv "$b/d" "$b/moved"
	try ls "$m/d"
	try cat "$m/moved/f"
	rmdir "$b/moved/e"
	echo a file >"$b/moved/e"
	try ls "$m/moved/e/"
	try cat "$m/moved/e"
	rm "$b/moved/f"
	mkdir "$b/moved/f"
	try cat "$m/moved/f"
	try ls -d "$m/moved/f/"
	chmod 751 "$b/moved/f"
	chown 5:6 "$b/moved/f"
	stat -c '%a %u %g' "$m/moved/f"
	try ln "$m/moved/e" "$m/moved/hard"
	stat -c %h "$m/moved/e"
	rm "$b/moved/e"
	stat -c %h "$m/moved/hard"
	rm -r "$b/moved"
	try ls "$m/moved"
	ls -A "$m"
}

# in_use MNT BELOW: what is open, mapped, or somebody's working directory. How
# long a server keeps what has no name any more is left to NFS 4, which opens.
in_use() {
	python3 - "$1" "$2" <<-'END'
		import errno, mmap, os, sys, time
		m, b = sys.argv[1:]
		local = os.stat(b).st_dev == os.stat(m).st_dev
		def say(what, call, *args):
		    try:
		        print(what, call(*args))
		    except OSError as e:
		        print(what, errno.errorcode[e.errno])
		def make(path, text):
		    with open(path, "w") as f:
		        f.write(text)
		os.mkdir(b + "/d")
		make(b + "/d/f", "x" * 8192)
		make(b + "/d/g", "g")
		fd = os.open(m + "/d/f", os.O_RDWR)
		d = os.open(m + "/d", os.O_RDONLY)
		mem = mmap.mmap(fd, 8192)
		print(mem[:2], os.listdir(d) and sorted(os.listdir(d)))
		if local:
		    make(b + "/d/f", "y" * 8192)
		    print(mem[:2], os.pread(fd, 2, 4096))
		os.rename(b + "/d", b + "/e")
		say("stat", lambda: os.fstat(d).st_nlink > 0)
		say("list", lambda: sorted(os.listdir(d)))
		say("at", lambda: os.stat("g", dir_fd=d).st_size)
		say("create", lambda: os.close(os.open("h", os.O_CREAT | os.O_WRONLY, dir_fd=d)))
		print(sorted(os.listdir(b + "/e")))
		os.rename(b + "/e/g", b + "/e/f")
		say("read", os.pread, fd, 2, 0)
		say("size", lambda: os.fstat(fd).st_size)
		say("links", lambda: os.fstat(fd).st_nlink)
		say("write", os.pwrite, fd, b"zz", 0)
		say("sync", os.fsync, fd)
		say("other", lambda: open(m + "/e/f").read())
		os.unlink(b + "/e/f")
		os.unlink(b + "/e/h")
		os.rmdir(b + "/e")
		if local:
		    say("stat", lambda: os.fstat(d).st_nlink)
		    say("list", os.listdir, d)
		    say("create", lambda: os.open("i", os.O_CREAT | os.O_WRONLY, dir_fd=d))
		    say("mkdir", lambda: os.mkdir("i", dir_fd=d))
		say("gone", os.stat, m + "/e")
		os.close(fd)
		os.close(d)
	END
}

t_changes_xfs() { need_dev; make_lower xfs low; parity_dirs low; same changes; }
t_in_use_xfs() { need_dev; make_lower xfs low; parity_dirs low; same in_use; }
t_in_use_tmpfs() { make_lower tmpfs low; parity_dirs low; same in_use; }

# A second mount of the same server that keeps what it knows for a minute.
setup_nfs() {
	need_dev
	make_lower xfs server
	mkdir server/dir
	serve_nfs server/dir
	trap 'umount_all_nfs; stop_nfs' EXIT
	mount_nfs "$1" server/dir low
	mkdir lazy
	mount -t nfs -o "vers=$1,nolock,nosharecache,proto=tcp,actimeo=60" \
		"127.0.0.1:$WORK/server/dir" lazy
}

umount_all_nfs() {
	! mountpoint -q up || umount bm up
	umount low lazy
}

# play SCENARIO LOWER: on two new directories of the server.
play() {
	rm -rf server/dir/*
	parity_dirs "$2"
	same "$1" server/dir
	umount bm up
}

# replaced MNT BELOW: the client trusts a handle that its server has no more.
# The first try says ESTALE; the VFS then looks again, all the way.
replaced() {
	local i
	for i in cat stat touch create mkdir rm mv ln chmod; do
		mkdir -p "$2/$i/d"
		echo old >"$2/$i/d/f"
	done
	for i in "$1"/*/d; do
		cat "$i/f"
		ls "$i"
	done
	for i in "$2"/*; do
		rm -r "$i"
		mkdir -p "$i/d"
		echo new "${i##*/}" >"$i/d/f"
	done
	try cat "$1/cat/d/f"
	try stat -c %s "$1/stat/d/f"
	try touch "$1/touch/d/f"
	try sh -c "echo made >$1/create/d/g"
	try mkdir "$1/mkdir/d/e"
	try rm "$1/rm/d/f"
	try mv "$1/mv/d/f" "$1/mv/d/g"
	try ln "$1/ln/d/f" "$1/ln/d/g"
	try chmod 600 "$1/chmod/d/f"
	(cd "$2" && ls -d ./*/*/* && cat ./*/*/*)
}

# silly MNT: what is removed while it is open.
silly() {
	local dir=$2
	mkdir "$1/d"
	echo text >"$1/d/open"
	echo text >"$1/d/over"
	echo new >"$1/d/new"
	exec 5<"$1/d/open" 6<"$1/d/over"
	rm "$1/d/open"
	mv "$1/d/new" "$1/d/over"
	try rmdir "$1/d"
	find "$dir/d" -name '.nfs*' | wc -l
	cat <&5 - <&6 "$1/d/over"
	exec 5<&- 6<&-
	for _ in {1..50}; do
		[ -n "$(find "$dir/d" -name '.nfs*')" ] || break
		sleep 0.1
	done
	find "$dir/d" -name '.nfs*' | wc -l
	rm "$1/d/over"
	try rmdir "$1/d"
}

# Removed by another path of the same client: while the mount has it open, and
# after it was only looked at there. The placeholder goes with the last user,
# at the latest when memory is wanted.
silly_below() {
	rm -rf server/dir/*
	mkdir -p lazy/b/d
	omount lazy/b up
	echo text >lazy/b/d/open
	echo text >lazy/b/d/seen
	exec 5<up/d/open
	stat up/d/seen >/dev/null
	rm lazy/b/d/open lazy/b/d/seen
	refuse 'no such file' cat up/d/open
	refuse 'no such file' cat up/d/seen
	is 'still open' text "$(cat <&5)"
	exec 5<&-
	echo 2 >/proc/sys/vm/drop_caches
	for _ in {1..50}; do
		[ -n "$(ls -A server/dir/b/d)" ] || break
		sleep 0.1
	done
	is 'left over' '' "$(ls -A server/dir/b/d)"
	rmdir up/d
	umount up
}

# One server for all: it takes its time to start.
nfs() {
	setup_nfs "$1"
	play changes low
	[ "$1" = 3 ] || play in_use low
	play replaced lazy
	play silly lazy
	silly_below
}
t_nfs3() { nfs 3; }
t_nfs42() { nfs 4.2; }

# Space of what was removed below while it was open here.
t_space() {
	local free
	make_lower tmpfs low
	omount low up
	free=$(stat -f -c %f low)
	head -c 10000000 /dev/zero >up/f
	exec 5<up/f
	rm low/f
	[ "$(stat -f -c %f low)" -lt "$free" ]
	exec 5<&-
	is 'free blocks' "$free" "$(stat -f -c %f low)"
}

# racing LOW UP: the same names, made, moved and removed by both at once, end with
# errors that name clashes have and no others. ESTALE may be one of them: a call
# through the mount looks again only once.
racing() {
	python3 - "$1" "$2" <<-'END'
		import collections, errno, os, random, sys, time
		fine = {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.EISDIR,
		        errno.ENOTDIR, errno.EPERM}
		def play(top, seed):
		    random.seed(seed)
		    odd = collections.Counter()
		    end = time.time() + 4
		    n = 0
		    while time.time() < end:
		        a, b = (f"{top}/{random.choice('abc')}" for _ in range(2))
		        try:
		            match random.randrange(8):
		                case 0: os.close(os.open(a, os.O_CREAT | os.O_WRONLY))
		                case 1: os.close(os.open(a, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
		                case 2: os.unlink(a)
		                case 3: os.rename(a, b)
		                case 4: os.mkdir(a)
		                case 5: os.rmdir(a)
		                case 6: os.link(a, b)
		                case 7: os.stat(a)
		            n += 1
		        except OSError as e:
		            if e.errno not in fine:
		                odd[errno.errorcode[e.errno]] += 1
		    if top == "up":
		        odd.pop("ESTALE", 0)
		    print(top, n, "done", dict(odd), file=sys.stderr)
		    return 1 if odd or not n else 0
		pid = os.fork()
		if not pid:
		    os._exit(play(sys.argv[1], 1))
		mine = play(sys.argv[2], 2)
		other = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
		sys.exit(mine or other)
	END
}
t_race() { make_lower tmpfs low; omount low up; racing low up; }
t_race_xfs() { need_dev; make_lower xfs low; omount low up; racing low up; }

run_tests \
	't_changes_xfs changes of names and contents, on XFS' \
	't_in_use_xfs of what is in use, on XFS' \
	't_in_use_tmpfs of what is in use, on tmpfs' \
	't_nfs3 at an NFSv3 server: changes, stale handles, removal' \
	't_nfs42 at an NFS 4.2 server: changes, files in use, stale handles, removal' \
	't_space removed in the lower while open here: space comes back' \
	't_race clashes with changes below, on tmpfs' \
	't_race_xfs clashes with changes below, on XFS'
