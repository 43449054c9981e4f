#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Directories whose names do not care for case (chattr +F). What a program sees
# of them on the mount is what it sees on the bare lower file system; and both
# of what happens in the other one.

. "$(dirname "$0")/lib.sh"

# setup TYPE [OPTIONS]: "low" with the directories bare and below; "up" is of
# the latter.
setup() {
	need python3 chattr lsattr
	mkdir -p low
	case $1 in
	tmpfs)
		mount -t tmpfs -o casefold tmpfs low 2>/dev/null ||
			skip 'no case-insensitive tmpfs in this kernel'
		;;
	ext4)
		need_dev
		mkfs.ext4 -q -F -E "nodiscard${2:+,$2}" -O casefold "$DEV"
		mount -t ext4 "$DEV" low ||
			skip 'no case-insensitive ext4 in this kernel'
		;;
	esac
	mkdir low/bare low/below
	omount low/below up
}

# play PYTHON: on the bare file system and on the mount, with the same outcome.
# "d" is a case-insensitive directory, "p" a plain one.
play() {
	local where
	cat >prelude.py <<-'END'
		import ctypes, errno, os, stat, subprocess, sys
		libc = ctypes.CDLL(None, use_errno=True)
		def say(what, f, *args, **kw):
		    try:
		        r = f(*args, **kw)
		        print(what, 'ok' if r is None or isinstance(r, int) else r)
		        return r
		    except OSError as e:
		        print(what, errno.errorcode[e.errno])
		def ls(d):
		    print(d, sorted(os.listdir(d)))
		def st(p):
		    say('stat %a' % p,
		        lambda: '%o %d' % (os.lstat(p).st_mode, os.lstat(p).st_nlink))
		def ino(p):
		    return os.lstat(p).st_ino
		def make(p, text='x', flags=os.O_CREAT | os.O_EXCL | os.O_WRONLY):
		    def f():
		        fd = os.open(p, flags, 0o644)
		        os.write(fd, text.encode())
		        os.close(fd)
		    say('make %a' % p, f)
		def cat(p):
		    say('cat %a' % p, lambda: open(p).read())
		def rename(a, b, flags=0):
		    def f():
		        if libc.renameat2(-100, a.encode(), -100, b.encode(), flags):
		            raise OSError(ctypes.get_errno(), '')
		    say('rename %a %a %d' % (a, b, flags), f)
		def where(fd):
		    p = os.readlink('/proc/self/fd/%d' % fd)
		    print('path', p[len(top):] if p.startswith(top) else 'elsewhere')
		top = os.getcwd()
		os.mkdir('d')
		os.mkdir('p')
		subprocess.run(['chattr', '+F', 'd'], check=True)
	END
	cat >steps.py
	for where in low/bare up; do
		cat prelude.py steps.py >play.py
		(cd "$where" && python3 "$WORK/play.py") >"${where//\//-}.out" 2>&1 ||
			fail "$where: $(cat "${where//\//-}.out")"
		# The directories of the next play are new.
		rm -rf "${where:?}"/*
	done
	[ -s up.out ]
	diff low-bare.out up.out
}

names() {
	setup "$1"
	play <<-'END'
		make('d/Foo')
		for n in 'd/foo', 'd/FOO', 'd/fOo', 'd/Foo', 'd/fo':
		    st(n)
		ls('d')
		print(ino('d/foo') == ino('d/FOO'))
		make('d/fOO')
		make('d/FOo', 'more', os.O_CREAT | os.O_WRONLY | os.O_APPEND)
		cat('d/foo')
		say('trunc', os.truncate, 'd/fOO', 2)
		cat('d/FOO')
		say('mkdir', os.mkdir, 'd/FOO')
		say('symlink', os.symlink, 'x', 'd/fOO')
		say('link', os.link, 'p', 'd/foo')
		say('mkfifo', os.mkfifo, 'd/fOO')
		say('unlink', os.unlink, 'd/FoO')
		for n in 'd/foo', 'd/FOO', 'd/Foo':
		    st(n)
		ls('d')
		say('unlink', os.unlink, 'd/Foo')
		# Names that were missed before
		for n in 'd/bar', 'd/BAR', 'd/Bar':
		    st(n)
		make('d/bAr')
		for n in 'd/bar', 'd/BAR', 'd/Bar':
		    st(n)
		say('unlink', os.unlink, 'd/BAR')
		make('d/BAR', 'again')
		cat('d/bar')
		ls('d')
		# A directory, and what it inherits
		say('mkdir', os.mkdir, 'd/Dir')
		say('mkdir', os.mkdir, 'd/DIR')
		make('d/dir/In')
		st('d/DIR/iN')
		ls('d/dIR')
		os.chdir('d/DIr')
		cat('in')
		say('unlink', os.unlink, 'IN')
		os.chdir(top)
		say('rmdir', os.rmdir, 'd/diR')
		st('d/Dir')
		say('mkdir', os.mkdir, 'd/dir')
		ls('d')
		# Each kind of object
		say('symlink', os.symlink, 'BAR', 'd/Link')
		cat('d/LINK')
		say('fifo', os.mkfifo, 'd/Fifo')
		st('d/FIFO')
		# A plain directory beside it cares
		make('p/Foo')
		st('p/foo')
		make('p/foo')
		ls('p')
	END
	play <<-'END'
		# Equal by more than ASCII
		make('d/\u00c9t\u00e9')
		for n in '\u00e9T\u00c9', 'e\u0301te\u0301', 'E\u0301TE\u0301', 'ete':
		    st('d/' + n)
		make('d/stra\u00dfe')
		st('d/STRASSE')
		st('d/stra\u1e9ee')
		make('d/\u03c3')
		st('d/\u03c2')
		make('d/' + 'N' * 255)
		st('d/' + 'n' * 255)
		st('d/' + 'n' * 256)
		make('d/' + 'n' * 256)
		bad = os.fsencode('d/') + b'\xff\xfeA'
		make(bad)
		st(bad)
		st(os.fsencode('d/') + b'\xff\xfea')
		say('list', lambda: sorted(os.listdir(b'd'), key=bytes) and None)
		print([ascii(n) for n in sorted(os.listdir(b'd'))])
		say('unlink', os.unlink, bad)
		say('unlink', os.unlink, 'd/STRASSE')
		say('unlink', os.unlink, 'd/E\u0301te\u0301')
		print([ascii(n) for n in sorted(os.listdir(b'd'))])
	END
}

renames() {
	setup "$1"
	play <<-'END'
		make('d/a', 'a')
		rename('d/a', 'd/A')
		ls('d')
		rename('d/A', 'd/a', 1)
		ls('d')
		make('d/Target', 'target')
		rename('d/A', 'd/TARGET', 1)
		rename('d/A', 'd/TARGET')
		ls('d')
		cat('d/target')
		st('d/a')
		make('p/from', 'from')
		rename('p/from', 'd/Into')
		cat('d/INTO')
		rename('d/INTO', 'p/out')
		ls('p')
		ls('d')
		rename('p/out', 'd/TARGET')
		cat('d/target')
		make('d/One', '1')
		make('p/two', '2')
		rename('d/oNE', 'p/two', 2)
		cat('d/one')
		cat('p/two')
		rename('d/ONE', 'd/tArGeT', 2)
		cat('d/One')
		cat('d/Target')
		rename('d/one', 'd/none', 2)
		rename('d/one', 'p/white', 4)
		st('d/ONE')
		ls('d')
		say('unlink', os.unlink, 'd/oNE')
		# Directories: with one open, and one inside
		os.makedirs('d/X/Y')
		fd = os.open('d/x/y', os.O_RDONLY)
		rename('d/x', 'd/Z')
		ls('d/z/Y')
		where(fd)
		rename('d/Z/y', 'd/z')
		rename('d/z', 'd/Z/y/w')
		rename('d/z/Y', 'p/y')
		where(fd)
		rename('p/y', 'd/New')
		st('d/new')
		ls('d')
		rename('d/New', 'd/z')
		ls('d')
		# Missed before
		st('d/q')
		st('d/Q')
		rename('d/target', 'd/q')
		cat('d/Q')
		rename('d/missing', 'd/q')
	END
}

links() {
	setup "$1"
	play <<-'END'
		make('d/f', 'f')
		say('link', os.link, 'd/F', 'd/G')
		say('link', os.link, 'd/F', 'd/g')
		say('link', os.link, 'd/f', 'd/F')
		say('link', os.link, 'd/f', 'p/h')
		say('link', os.link, 'p/h', 'd/Back')
		st('d/BACK')
		print(ino('d/back') == ino('p/h') == ino('d/g'))
		say('unlink', os.unlink, 'd/F')
		st('d/G')
		cat('d/bACK')
		t = os.open('d', os.O_TMPFILE | os.O_RDWR, 0o600)
		os.write(t, b'tmp')
		say('link', os.link, '/proc/self/fd/%d' % t, 'd/Named', follow_symlinks=True)
		say('link', os.link, '/proc/self/fd/%d' % t, 'd/NAMED', follow_symlinks=True)
		cat('d/named')
		# Open, and without a name, and another one by it
		fd = os.open('d/Open', os.O_CREAT | os.O_RDWR)
		os.write(fd, b'old')
		where(fd)
		os.unlink('d/OPEN')
		make('d/open', 'new')
		print(os.pread(fd, 9, 0), os.fstat(fd).st_nlink)
		cat('d/OPEN')
		say('fchmod', os.fchmod, fd, 0o600)
		# And one that is used through the descriptor that made it
		fd = os.open('d/Made', os.O_CREAT | os.O_EXCL | os.O_RDWR)
		os.write(fd, b'text')
		cat('d/mADE')
		os.ftruncate(fd, 2)
		cat('d/made')
		say('chmod', os.chmod, 'd/MADE', 0o640)
		print('%o' % os.fstat(fd).st_mode)
		os.mkdir('d/Sub')
		sub = os.open('d/sUB', os.O_RDONLY)
		fd = os.open('File', os.O_CREAT | os.O_RDWR, dir_fd=sub)
		print(os.listdir(sub))
		say('unlink', os.unlink, 'fILE', dir_fd=sub)
		say('rmdir', os.rmdir, 'd/SUB')
		say('create', os.open, 'x', os.O_CREAT, dir_fd=sub)
		ls('d')
	END
}

# The flag itself: of empty directories only, and through the mount.
flag() {
	setup "$1"
	play <<-'END'
		def chattr(*args):
		    r = subprocess.run(['chattr', *args], capture_output=True, text=True)
		    print('chattr', args, r.returncode)
		def flag(p):
		    r = subprocess.run(['lsattr', '-d', p], capture_output=True, text=True)
		    print('lsattr', p, 'F' in r.stdout.split()[0])
		flag('d')
		flag('p')
		make('d/a')
		chattr('-F', 'd')
		say('unlink', os.unlink, 'd/A')
		chattr('-F', 'd')
		st('d/a')
		make('d/a')
		make('d/A')
		ls('d')
		chattr('+F', 'd')
		os.unlink('d/a')
		os.unlink('d/A')
		st('d/b')
		chattr('+F', 'd')
		st('d/B')
		make('d/b')
		st('d/B')
		st('d/b')
		os.mkdir('d/Sub')
		flag('d/sub')
		make('p/a')
		chattr('+F', 'p')
		os.unlink('p/a')
		chattr('+F', 'p')
		make('p/a')
		st('p/A')
		chattr('+F', 'p/A')
	END
}

# What one side does, the other sees.
both_sides() {
	setup "$1"
	local a b
	mkdir low/below/d
	chattr +F low/below/d
	for a in low/below up; do
		b=up
		[ "$a" = low/below ] || b=low/below
		[ ! -e $b/d/foo ] && [ ! -e $b/d/FOO ]
		echo one >$a/d/Foo
		is 'other case' one "$(<$b/d/FOO)"
		is 'same case' one "$(<$b/d/Foo)"
		is inode "$(stat -c %i $a/d/foo)" "$(stat -c %i $b/d/fOO)"
		echo two >$b/d/foO
		is written two "$(<$a/d/FOo)"
		refuse 'exist' mkdir $b/d/fOo
		rm $b/d/fOO
		[ ! -e $a/d/Foo ] && [ ! -e $a/d/FOO ]
		mkdir $a/d/Dir
		touch $b/d/DIR/In
		[ -e $a/d/dir/IN ]
		mv $a/d/dIR $a/d/Else
		[ ! -e $b/d/dir ] && [ -e $b/d/ELSE/in ]
		echo 3 >/proc/sys/vm/drop_caches
		[ -e $b/d/else/IN ]
		rm -r $b/d/elsE
		is empty '' "$(ls $a/d)"
	done
}

# The lower directory itself.
t_top() {
	setup ext4
	mkdir low/top
	chattr +F low/top
	omount low/top up2
	echo text >up2/File
	is contents text "$(<up2/fILE)"
	mkdir up2/Dir
	touch up2/dir/x
	[ -e low/top/DIR/X ]
	mv up2/file up2/dIR/
	is moved text "$(<low/top/dir/FILE)"
	# Made so while it was mounted.
	umount up2
	rm -r low/top/*
	chattr -F low/top
	omount low/top up2
	[ ! -e up2/a ]
	chattr +F low/top
	touch up2/a
	[ -e up2/A ]
	touch up2/b
	[ -e up2/B ] && [ -e low/top/B ]
}

# Strict encoding refuses what is no UTF-8.
t_strict() {
	setup ext4 encoding=utf8,encoding_flags=strict
	play <<-'END'
		bad = os.fsencode('d/') + b'\xff\xfeA'
		make(bad)
		st(bad)
		say('mkdir', os.mkdir, bad)
		make('d/\u00e9')
		st('d/\u00c9')
		say('rename', os.rename, 'd/\u00c9', bad)
		make(os.fsencode('p/') + b'\xff\xfeA')
	END
}

# Many at once, through both, by names that are equal: whatever happens is one
# of the errors that a name which comes and goes may give, and in the end all
# agree.
races() {
	setup "$1"
	mkdir low/below/d low/below/p
	chattr +F low/below/d
	python3 - <<-'END'
		import errno, os, random, sys, time
		allowed = {errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR,
		           errno.ENOTEMPTY, errno.EPERM, errno.ESTALE, errno.EINVAL, errno.EBUSY}
		def case(r, n):
		    return ''.join(r.choice((c, c.upper())) for c in n)
		def work(seed):
		    r = random.Random(seed)
		    top = r.choice(('up', 'up', 'low/below'))
		    end = time.monotonic() + 4
		    while time.monotonic() < end:
		        a, b = (top + '/' + r.choice('ddp') + '/' +
		                case(r, r.choice(('aa', 'bb', 'cc'))) for _ in 'ab')
		        try:
		            op = r.randrange(8)
		            if op == 0:
		                os.close(os.open(a, os.O_CREAT | os.O_RDWR))
		            elif op == 1:
		                os.close(os.open(a, os.O_CREAT | os.O_EXCL | os.O_RDWR))
		            elif op == 2:
		                os.unlink(a)
		            elif op == 3:
		                os.rename(a, b)
		            elif op == 4:
		                os.mkdir(a)
		            elif op == 5:
		                os.rmdir(a)
		            elif op == 6:
		                os.link(a, b)
		            else:
		                os.listdir(os.path.dirname(a))
		                os.stat(a)
		        except OSError as e:
		            if e.errno not in allowed:
		                print('#', a, b, op, e, flush=True)
		                os._exit(1)
		    os._exit(0)
		pids = []
		for i in range(6):
		    pid = os.fork()
		    if not pid:
		        work(i)
		    pids.append(pid)
		if any(os.waitpid(p, 0)[1] for p in pids):
		    sys.exit(1)
		up, low = sorted(os.listdir('up/d')), sorted(os.listdir('low/below/d'))
		assert up == low, (up, low)
		assert len({n.lower() for n in up}) == len(up), up
		for n in up:
		    inos = {os.lstat(t + '/d/' + m).st_ino
		            for t in ('up', 'low/below') for m in (n, n.lower(), n.upper())}
		    assert len(inos) == 1, (n, inos)
		for n in 'aa', 'bb', 'cc':
		    for t in 'up', 'low/below':
		        there = {os.path.lexists(t + '/d/' + m)
		                 for m in (n, n.upper(), n.title())}
		        assert there == {n in {m.lower() for m in up}}, (n, t, up)
	END
}

t_ext4_names() { names ext4; }
t_ext4_renames() { renames ext4; }
t_ext4_links() { links ext4; }
t_ext4_flag() { flag ext4; }
t_ext4_both() { both_sides ext4; }
t_ext4_races() { races ext4; }
t_tmpfs_names() { names tmpfs; }
t_tmpfs_renames() { renames tmpfs; }
t_tmpfs_links() { links tmpfs; }
t_tmpfs_flag() { flag tmpfs; }
t_tmpfs_both() { both_sides tmpfs; }
t_tmpfs_races() { races tmpfs; }

run_tests \
	't_ext4_names ext4: names' \
	't_ext4_renames ext4: renames' \
	't_ext4_links ext4: links, and open files' \
	't_ext4_flag ext4: the flag' \
	't_ext4_both ext4: each side sees the other' \
	't_ext4_races ext4: many at once' \
	't_top ext4: the lower directory itself' \
	't_strict ext4: strict encoding' \
	't_tmpfs_names tmpfs: names' \
	't_tmpfs_renames tmpfs: renames' \
	't_tmpfs_links tmpfs: links, and open files' \
	't_tmpfs_flag tmpfs: the flag' \
	't_tmpfs_both tmpfs: each side sees the other' \
	't_tmpfs_races tmpfs: many at once'
