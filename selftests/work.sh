#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Real work: each program runs on the bare lower and on the mount, and what it
# says and leaves is the same.

. "$(dirname "$0")/lib.sh"

export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 TZ=UTC

# contents DIR: all names, with types, modes, links, targets and contents.
contents() {
	(
		cd "$1"
		find . -printf '%P %y %m %n %U:%G %l\n' | sort
		find . -type f -exec sha256sum {} + | sort -k 2
	)
}

# same_work FUNCTION [FIND-ARGUMENT...]: in "low/bare" and, through the mount, in
# "up". What the function prints is compared, and all that it leaves but for
# what the arguments to find(1) match.
same_work() {
	local func=$1
	need_dev
	make_lower "${LOWER:-xfs}" low
	mkdir low/bare low/shown
	omount low/shown up
	(cd low/bare && "$func") >want 2>want.err || { cat want.err; fail 'fails on the lower'; }
	(cd up && "$func") >got 2>got.err || { cat got.err; fail 'fails'; }
	diff want got
	[ $# = 1 ] || find low/bare up \( "${@:2}" \) -delete
	contents low/bare >want
	contents up >got
	diff want got
	contents low/shown | diff want -
}

# git: commits, branches, a merge, packing, and clones by link and by copy.
work_git() {
	export GIT_AUTHOR_DATE='2020-01-01 00:00' GIT_COMMITTER_DATE='2020-01-01 00:00'
	local i
	git init -q -b main repo
	cd repo
	git config user.email test@example.org
	git config user.name test
	git config gc.auto 0
	mkdir d1 d2
	for i in {1..8}; do seq "$i" $((i * 999)) >"d$((i % 2 + 1))/f$i"; done
	ln -s d1/f2 link
	git add .
	git commit -q -m one
	git checkout -q -b side
	git mv d1 moved
	echo side >>moved/f2
	git commit -q -am two
	git checkout -q main
	echo main >>d2/f1
	git commit -q -am three
	git merge -q -m merged side
	git gc -q
	cd ..
	git clone -q repo by-link
	git clone -q --no-hardlinks repo by-copy
	for i in repo by-link by-copy; do
		git -C $i fsck --strict --full
		git -C $i status --porcelain
		git -C $i log --format=%H --all | sort
	done
	cmp repo/moved/f2 by-copy/moved/f2
}
t_git() {
	need git
	# Packs and indexes know times and inode numbers; the hashes above tell.
	same_work work_git -path '*/.git*'
}

# make: a program of several files, built twice, the second time for one change.
# shellcheck disable=SC2016 # variables of make
work_make() {
	mkdir src
	cd src
	printf '%s\n' 'extern int printf(const char *, ...);' \
		'int b(void);' \
		'int main(void) { printf("%d\n", N + b()); return 0; }' >main.c
	echo '#include "b.h"' >b.c
	echo 'int b(void) { return 2; }' >b.h
	printf '%s\n' 'prog: main.o lib.a' '	$(CC) -o $@ main.o lib.a' \
		'lib.a: b.o' '	$(AR) rcsD $@ $^' 'b.o: b.h' \
		'%.o: %.c' '	$(CC) -pipe -c -DN=1 -o $@ $<' >Makefile
	make -s -j2
	./prog
	touch -d '+2 seconds' b.h
	make -n | sed 's/ -pipe//'
	make -s
	make -q && echo 'up to date'
	./prog
}
t_make() {
	need make gcc
	same_work work_make
}

# SQLite: several processes write to one database, with each kind of journal.
# Where the arguments say so, some of them by the other name of the directory.
stress_sqlite() {
	python3 - "$@" <<-'END'
		import os, sqlite3, sys
		journal, dirs = sys.argv[1], sys.argv[2:]
		workers, turns = 4, 6
		def connect(d):
		    db = sqlite3.connect(d + "/db", timeout=120, isolation_level=None)
		    db.execute("pragma synchronous=normal")
		    return db
		db = connect(dirs[0])
		assert db.execute("pragma journal_mode=" + journal).fetchone()[0] == journal
		db.execute("create table t(who, n, pad)")
		db.execute("create table total(n)")
		db.execute("insert into total values(0)")
		db.close()
		pids = []
		for w in range(workers):
		    pid = os.fork()
		    pids.append(pid)
		    if pid:
		        continue
		    status = 1
		    try:
		        db = connect(dirs[w % len(dirs)])
		        for n in range(turns):
		            db.execute("begin immediate")
		            db.execute("insert into t values(?, ?, ?)", (w, n, "x" * 500 * n))
		            db.execute("update total set n = n + 1")
		            db.execute("rollback" if n % 5 == 4 else "commit")
		            seen = db.execute("select (select count(*) from t) - (select n from total)")
		            assert seen.fetchone()[0] == 0, "torn"
		        db.close()
		        status = 0
		    finally:
		        os._exit(status)
		assert not any([os.waitpid(p, 0)[1] for p in pids]), "a worker failed"
		db = connect(dirs[-1])
		print(db.execute("select n from total").fetchone()[0])
		print(db.execute("pragma integrity_check").fetchone()[0])
		print(*db.execute("select who, count(*) from t group by who order by who"))
		db.execute("vacuum")
		db.close()
		print(sorted(os.listdir(dirs[0])))
	END
}
work_sqlite() {
	local journal
	for journal in delete wal; do
		mkdir $journal
		stress_sqlite $journal "$PWD/$journal"
	done
}
t_sqlite() {
	need python3
	same_work work_sqlite -name db
}

# Two of the processes on the lower, two on the mount: locks and the shared
# memory of a write-ahead log are one.
t_sqlite_both() {
	local journal
	need_dev
	make_lower xfs low
	omount low up
	for journal in wal delete; do
		mkdir low/$journal
		stress_sqlite $journal "$PWD/low/$journal" "$PWD/up/$journal" >$journal.out
		grep -qx 20 $journal.out
		grep -qx ok $journal.out
	done
}

# A tree with all that tar and rsync can keep.
make_tree() {
	mkdir -p tree/d/e tree/empty
	pattern tree/d/f 300000
	cp tree/d/f tree/d/copy
	ln tree/d/f tree/d/e/hard
	ln -s ../d/f tree/d/e/soft
	ln -s nowhere tree/dangling
	mkfifo tree/fifo
	truncate -s 3M tree/sparse
	echo end >>tree/sparse
	chmod 4711 tree/d/copy
	chown 1000:1001 tree/d/e
	chmod 2770 tree/d/e
	setfattr -n user.a -v b tree/d/f
	setfattr -n trusted.a -v b tree/d
	setfacl -m u:1234:rw -d -m g:99:r tree/d/e
	setcap cap_net_raw+ep tree/d/copy
	touch -h -d '2001-02-03 04:05:06.789' tree/d/f tree/d/copy tree/dangling tree/d
	touch "tree/name with spaces
and a line"
}

# What make_tree's results look like, times and attributes included.
tree_of() {
	(
		cd "$1"
		find . -printf '%P %y %m %n %U:%G %l %Ty-%Tm-%Td ' \
			\( -type f -printf '%s\n' -o -printf '\n' \) | sort
		find . -type f -exec sha256sum {} + | sort -k 2
		find . -print0 | sort -z | xargs -0 getfattr -h -d -m -
		find . ! -type l -print0 | sort -z | xargs -0 getfacl -n -p
	)
}

work_tar() {
	local keep=(--xattrs '--xattrs-include=*' --acls --sparse --numeric-owner)
	make_tree
	tar "${keep[@]}" --sort=name -cf t.tar tree
	tar "${keep[@]}" --compare -f t.tar
	mkdir x p
	tar "${keep[@]}" -C x -xpf t.tar
	tree_of tree >one
	tree_of x/tree | diff one -
	tar "${keep[@]}" -C tree -cf - . | tar "${keep[@]}" -C p -xpf -
	tree_of p | diff one - && echo same
	[ "$(stat -c %b x/tree/sparse)" -lt 1000 ] && echo sparse
	# Over what is there.
	tar "${keep[@]}" -C x --overwrite -xpf t.tar
	tar "${keep[@]}" -C x --compare -f t.tar && echo same
}
t_tar() {
	need tar getfattr setfacl setcap
	same_work work_tar -name one -o -name t.tar
}

work_rsync() {
	make_tree
	tree_of tree >one
	rsync -aHAXS --numeric-ids tree/ copy/
	tree_of copy | diff one - && echo same
	rsync -aHAXSic --numeric-ids --delete tree/ copy/
	echo more >>tree/d/f
	rm tree/dangling copy/fifo
	echo new >copy/unwanted
	# In place and by a new file.
	rsync -aHAXS --numeric-ids --delete --inplace --no-whole-file tree/ copy/
	cmp tree/d/f copy/d/f
	rsync -aHAX --numeric-ids --link-dest="$PWD/copy" tree/ linked/
	stat -c '%h %n' linked/d/f linked/d/copy
	rsync -aHAXSnic --numeric-ids --delete tree/ copy/
}
t_rsync() {
	need rsync setfacl setcap
	same_work work_rsync -name one
}

# make_deb VERSION: p_VERSION.deb, with a conffile and a diversion's worth of links.
make_deb() {
	local root=pkg-$1
	mkdir -p "$root/DEBIAN" "$root/usr/share/p" "$root/etc"
	printf '%s\n' 'Package: p' "Version: $1" 'Architecture: all' \
		'Maintainer: nobody <nobody@example.org>' 'Description: test' >"$root/DEBIAN/control"
	echo /etc/p.conf >"$root/DEBIAN/conffiles"
	echo "setting $1" >"$root/etc/p.conf"
	pattern "$root/usr/share/p/data" 200000
	echo "$1" >>"$root/usr/share/p/data"
	ln "$root/usr/share/p/data" "$root/usr/share/p/hard"
	ln -s data "$root/usr/share/p/soft"
	[ "$1" != 2 ] || echo new >"$root/usr/share/p/new"
	SOURCE_DATE_EPOCH=1000000000 dpkg-deb -Zgzip --root-owner-group -b "$root" "p_$1.deb" >/dev/null
}

work_dpkg() {
	local d="dpkg --root=$PWD/root --force-not-root --force-bad-path --log=/dev/null"
	mkdir -p root/var/lib/dpkg/{updates,info,triggers} x
	: >root/var/lib/dpkg/status
	make_deb 1
	make_deb 2
	dpkg-deb -c p_1.deb | sed 's/.* \././'
	dpkg -x p_1.deb x
	diff -r pkg-1/usr x/usr
	$d -i p_1.deb >/dev/null
	$d --verify p
	$d -L p | sort
	echo mine >root/etc/p.conf
	$d --force-confold -i p_2.deb >/dev/null 2>&1
	cat root/etc/p.conf
	cmp root/usr/share/p/data pkg-2/usr/share/p/data
	stat -c '%h %F' root/usr/share/p/*
	$d -s p | grep -e Version -e Status
	$d -r p >/dev/null
	find root -path root/var -prune -o -print | sort
	$d -P p >/dev/null
	find root -path root/var -prune -o -print | sort
}
t_dpkg() {
	need dpkg dpkg-deb
	same_work work_dpkg
}

# nginx: the same bytes, whole and in part, of files that change meanwhile.
work_nginx() {
	local n url=http://127.0.0.1:8081
	chmod 755 .
	mkdir -m 755 www
	for n in 0 1 4095 4096 70000 1500000; do pattern www/$n $n; done
	cat >nginx.conf <<-END
		user root;
		pid $PWD/nginx.pid;
		error_log /dev/null;
		events { }
		http { access_log off; sendfile on; sendfile_max_chunk 512k; tcp_nopush on;
		  server { listen 127.0.0.1:8081; root $PWD/www; etag off; } }
	END
	nginx -c "$PWD/nginx.conf"
	curl -sS $url/{0,1,4095,4096,70000,1500000} >got
	cat www/{0,1,4095,4096,70000,1500000} | cmp - got
	curl -sS -r 4000-69999 $url/{70000,1500000} | sha256sum
	curl -sS -r -1000 $url/1500000 | sha256sum
	pattern www/next 90000
	tr 0-9 a-j <www/next >www/next2
	mv www/next2 www/70000
	echo more >>www/4096
	rm www/1
	curl -sS $url/{70000,4096} | sha256sum
	curl -sS -o none -w '%{http_code}\n' $url/1
	curl -sS --parallel --parallel-immediate -o '#1' "$url/{next,1500000}"
	cmp next www/next
	cmp 1500000 www/1500000
	kill "$(<nginx.pid)"
	while pidof nginx >/dev/null; do sleep 0.1; done
}
t_nginx() {
	need nginx curl
	same_work work_nginx -name nginx.conf
}

run_tests \
	't_git git' \
	't_make make' \
	't_sqlite SQLite, by several processes' \
	't_sqlite_both SQLite, by processes on the lower and on the mount' \
	't_tar tar' \
	't_rsync rsync' \
	't_dpkg dpkg' \
	't_nginx nginx'
