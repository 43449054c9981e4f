# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The same everyday work over any lower file system: "low", and "up" over it.

SIZE=1048576

# names [WHAT...]: what any lower can do, and of "links" (with "late-counts", if
# need be) and "xattrs" what this one can, too. What it cannot ends as it does without us.
names() {
	local can=" $* "
	mkdir -p up/d/e
	echo one >up/d/f
	echo two >up/d/g
	mv up/d/g up/d/e/h
	is contents two "$(<low/d/e/h)"
	mv up/d/e/h up/d/f2
	mv up/d/f2 up/d/f
	is 'replaced' two "$(<low/d/f)"
	is names 'e f' "$(find up/d -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | paste -sd' ')"
	is 'device and inode' "$(stat -c %d:%i low/d/f)" "$(stat -c %d:%i up/d/f)"
	refuse 'not empty' rmdir up/d
	touch -d @1000000000 up/d/f
	is mtime 1000000000 "$(stat -c %Y low/d/f)"
	truncate -s 10000 up/d/f
	is size 10000 "$(stat -c %s low/d/f)"
	alike stat -c '%A %u %g %s %b %h %x %y' d d/f
	alike stat -f -c '%l %S %b' .
	names_links "$can"
	names_xattrs "$can"
	alike chmod 600 d/f
	alike stat -c '%A %u %g' d/f
	rm -r up/d
	[ ! -e low/d ]
	refuse 'no such file' cat up/d/f
}

names_links() {
	if [[ $1 == *' links '* ]]; then
		ln up/d/f up/d/g
		ln -s f up/d/l
		is 'a link' "$(stat -c %i low/d/f)" "$(stat -c %i up/d/g)"
		# mergerfs keeps them to itself for a second.
		[[ $1 == *' late-counts '* ]] || alike stat -c %h d/f d/g
		cmp low/d/f up/d/l
	else
		alike ln d/f d/g
		alike ln -s f d/l
		[ ! -e low/d/g ]
	fi
}

names_xattrs() {
	if [[ $1 == *' xattrs '* ]]; then
		setfattr -n trusted.a -v b up/d/f
		is xattr b "$(getfattr --only-values -n trusted.a low/d/f)"
	else
		alike setfattr -n trusted.a -v b d/f
		alike getfattr -d -m - d/f
	fi
}

# For a lower that does not tell FILE from file. A name that was looked for in
# vain does not become that of a file with other letters.
names_without_case() {
	[ ! -e up/NEW ]
	echo one >up/New
	is 'name as written' New "$(find low -iname new -printf %f)"
	is 'by another name' one "$(<up/nEW)"
	alike stat -c '%i %s' NEW
	mv up/NEW up/Other
	[ ! -e up/new ]
	is 'renamed' Other "$(find up -iname other -printf %f)"
	mkdir up/Dir
	echo two >up/dir/f
	(cd up/DIR && is 'in it' two "$(<../Dir/F)")
	alike mkdir dIR
	alike touch 'no:such'
	alike cat 'no:such'
	rm -f low/no:such up/OTHER up/DIR/F
	rmdir up/dir
	is 'all gone' '' "$(ls low)"
}

# copies COUNTERS: sendfile and copy_file_range, whole, part, and unaligned.
copies() {
	local call
	pattern up/src $SIZE
	for call in sendfile cfr; do
		counted "$1" xcopy $call up/src up/dst
		cmp low/src low/dst
		counted "$1" xcopy -i 65536 -o 131072 -n 262144 $call up/src up/dst
		cmp -n 262144 -i 65536:131072 low/src low/dst
		xcopy -l -i 1 -o 3 -n 100000 $call up/src up/dst >/dev/null
		cmp -n 100000 -i 1:3 low/src low/dst
		cmp -n 3 low/src low/dst
		cmp -i 393216 low/src low/dst
		rm up/dst
	done
	mkdir -p up/d
	cp up/src up/d/copy
	cmp up/src low/d/copy
}

clones() {
	counted copies_offloaded=1 xcopy clone up/src up/clone
	cmp low/src low/clone
	sync low
	filefrag -v low/clone | grep -q shared || fail 'extents are not shared'
}

no_clones() {
	refuse EOPNOTSUPP xcopy clone up/src up/clone
	is size 0 "$(stat -c %s low/clone)"
}
