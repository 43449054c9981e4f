#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Programs as they are, over XFS: each copies right, and the counters say by
# which way the bytes went.

. "$(dirname "$0")/lib.sh"

SIZE=2000000

setup() {
	need_dev
	setup_pair xfs "${1:-min=0}"
	pattern up/src $SIZE
}

# The copy "up/dst" of "up/src" is right.
right() {
	cmp low/src low/dst
	is size $SIZE "$(stat -c %s up/dst)"
}

# offloaded COMMAND...: one copy, and all of its bytes but what is left of the
# last block.
offloaded() {
	local before
	before=$(count bytes_offloaded)
	counted copies_offloaded=1 "$@"
	is 'bytes offloaded' $SIZE $(($(count bytes_offloaded) - before))
	right
}

t_cp() {
	setup
	offloaded cp up/src up/dst
	offloaded cp -a up/src up/dst
	rm up/dst
	offloaded cp --reflink=always up/src up/dst
	# This one reads and writes.
	rm up/dst
	counted '' cp --reflink=never up/src up/dst
	right
}

t_cp_without_clones() {
	setup noclone,min=0
	counted 'copies_offloaded=1 declined/disabled=1' cp up/src up/dst
	right
	refuse 'not supported' cp --reflink=always up/src up/dst2
}

t_cp_read_only() {
	setup
	chmod 444 up/src
	offloaded cp -p up/src up/dst
	is mode 444 "$(stat -c %a up/dst)"
}

t_busybox_cp() {
	need busybox
	setup
	offloaded busybox cp up/src up/dst
	# One call that copies, maybe one more that finds the end.
	[ "$(count sendfile_intercepted)" -ge 1 ]
}

t_python_copyfile() {
	need python3
	setup
	offloaded python3 -c 'import shutil; shutil.copyfile("up/src", "up/dst")'
}

t_python_copytree() {
	need python3
	setup
	mkdir -p up/t/d
	cp up/src up/t/a
	cp up/src up/t/d/b
	ln -s a up/t/l
	counted copies_offloaded=2 python3 -c '
import shutil; shutil.copytree("up/t", "up/t2", symlinks=True)'
	diff -r low/t low/t2
}

t_install() {
	setup
	offloaded install -m 755 up/src up/dst
	is mode 755 "$(stat -c %a up/dst)"
}

t_mv_to_another_mount() {
	setup
	make_lower tmpfs low2
	omount low2 up2
	cp up/src keep
	mv up/src up2/src
	cmp keep low2/src
	[ ! -e low/src ]
}

t_dd() {
	setup
	counted '' dd if=up/src of=up/dst bs=64k status=none
	right
}

# rsync reads and writes.
t_rsync() {
	need rsync
	setup
	counted '' rsync -a up/src up/dst
	right
	mkdir up/t
	cp up/src up/t/a
	rsync -a --sparse up/t/ up/t2/
	cmp up/t/a up/t2/a
}

t_tar() {
	setup
	mkdir up/t
	cp up/src up/t/src
	tar -C up -cf up/t.tar t
	mkdir up/x
	tar -C up/x -xf up/t.tar
	cmp low/src low/x/t/src
}

t_git() {
	need git
	setup
	(
		export HOME=$WORK GIT_CONFIG_NOSYSTEM=1
		git init -q up/repo
		cd up/repo
		git config user.email test@example.org
		git config user.name test
		cp ../src src
		git add src
		git commit -q -m one
		git clone -q . ../clone
		git -C ../clone fsck --strict
	) >/dev/null 2>&1
	cmp low/src low/clone/src
}

t_copyfile2004() {
	setup
	offloaded "$DIR/copyfile2004" up/src up/dst
	is intercepted 1 "$(count sendfile_intercepted)"
	refuse 'File exists' "$DIR/copyfile2004" up/src up/dst
}

# Nothing is left of a copy that fails.
t_copyfile2004_fails() {
	setup strict,backend=local,min=0
	refuse 'not supported' "$DIR/copyfile2004" up/src up/dst
	[ ! -e up/dst ]
}

# Where the lower cannot clone: the same programs, no offload, right contents.
t_local() {
	local cp
	setup_pair tmpfs
	pattern up/src $SIZE
	for cp in cp install 'busybox cp' "$DIR/copyfile2004" \
		'python3 -c "import shutil, sys; shutil.copyfile(*sys.argv[1:])"'; do
		rm -f up/dst
		eval "$cp up/src up/dst"
		right
	done
	is offloaded 0 "$(count copies_offloaded)"
	[ "$(count copies_local)" -ge 4 ]
	refuse 'not supported' cp --reflink=always up/src up/none
}

# A web server's sendfile to a socket is left alone.
t_nginx() {
	need nginx curl
	setup
	chmod 755 up
	cat >nginx.conf <<-END
		user root;
		pid $WORK/nginx.pid;
		error_log $WORK/error.log;
		events { }
		http { access_log off; sendfile on;
		  server { listen 127.0.0.1:8080; root $WORK/up; } }
	END
	nginx -c "$WORK/nginx.conf"
	curl -s -o got http://127.0.0.1:8080/src || touch failed
	kill "$(<nginx.pid)"
	while pidof nginx >/dev/null; do sleep 0.1; done
	[ ! -e failed ]
	cmp low/src got
	[ "$(count declined/not_a_file)" -gt 0 ]
	is intercepted 0 "$(count sendfile_intercepted)"
}

t_sqlite() {
	need sqlite3
	setup
	sqlite3 up/db 'create table t(a); insert into t values (1), (2);'
	cp up/db up/db2
	is sum 3 "$(sqlite3 up/db2 'select sum(a) from t')"
	is check ok "$(sqlite3 up/db2 'pragma integrity_check')"
}

t_fio() {
	need fio
	setup
	fio --name=t --directory=up --size=4m --rw=randrw --bs=4k --ioengine="$1" \
		--verify=crc32c --end_fsync=1 --minimal >fio.log 2>&1 ||
		{ cat fio.log; false; }
}
t_fio_psync() { t_fio psync; }
t_fio_mmap() { t_fio mmap; }
t_fio_io_uring() { t_fio io_uring; }

run_tests \
	't_cp cp' \
	't_cp_without_clones cp, with noclone' \
	't_cp_read_only cp of a read-only file' \
	't_busybox_cp cp of busybox' \
	't_python_copyfile shutil.copyfile of Python' \
	't_python_copytree shutil.copytree of Python' \
	't_install install' \
	't_mv_to_another_mount mv to another mount' \
	't_dd dd' \
	't_rsync rsync' \
	't_tar tar' \
	't_git git' \
	't_copyfile2004 a copyfile() of libc alone' \
	't_copyfile2004_fails that copyfile() cleans up after an error' \
	't_local programs over a lower without clones' \
	't_nginx nginx sends to a socket' \
	't_sqlite SQLite' \
	't_fio_psync fio with pread and pwrite' \
	't_fio_mmap fio with mmap' \
	't_fio_io_uring fio with io_uring'
