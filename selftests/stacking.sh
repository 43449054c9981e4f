#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# offloadfs and other stacked file systems, one on the other: overlayfs above and
# below, offloadfs on itself up to the limit.

. "$(dirname "$0")/lib.sh"
. "$DIR/liblowers.sh"

# overlay TOP LOWERDIR UPPERDIR WORKDIR [OPTIONS]
overlay() {
	need_fs overlay
	mkdir -p "$1" "$2" "$3" "$4"
	mount -t overlay -o "lowerdir=$2,upperdir=$3,workdir=$4${5:+,$5}" overlay "$1"
}

# What a layer below looks like, for use_layers.
make_layer() {
	mkdir -p "$1/d/e" "$1/gone"
	pattern "$1/d/f" 300000
	pattern "$1/gone/f" 3000
	cp /bin/true "$1/d/true"
	ln "$1/d/f" "$1/d/g"
	ln -s f "$1/d/l"
	setfattr -n trusted.a -v b "$1/d/f"
}

# use_layers TOP: everyday work on an overlay of make_layer's.
use_layers() (
	cd "$1"
	echo more >>d/f
	chmod 711 d/g
	mv d/f d/e/f
	rm d/l
	rm -r gone
	mkdir gone
	echo new >gone/new
	mv d/e d/moved || { mkdir d/moved && mv d/e/f d/moved && rmdir d/e; }
	cp d/moved/f copy
	ln copy hard
	mkfifo fifo
	echo x | sha256sum >out
	mv out copy2
	d/true
	cp d/true true
	./true
	python3 - <<-'END'
		import mmap, os
		f = os.open("mapped", os.O_RDWR | os.O_CREAT, 0o600)
		os.ftruncate(f, 8192)
		m = mmap.mmap(f, 8192)
		m[4000:4200] = b"m" * 200
		m.flush()
		assert os.pread(f, 200, 4000) == b"m" * 200
		t = os.open(".", os.O_RDWR | os.O_TMPFILE, 0o644)
		os.write(t, b"tmp")
		os.link(f"/proc/self/fd/{t}", "linked", src_dir_fd=t)
		os.setxattr("linked", "trusted.x", b"y")
	END
	flock copy true
	sync copy
)

# tree DIR: all names, with types, modes, sizes and contents.
tree() {
	(
		cd "$1"
		find . -printf '%P %y %m %n %l ' \( -type f -printf '%s\n' -o -printf '\n' \) | sort
		find . -type f -exec sha256sum {} + | sort -k 2
		find . -print0 | sort -z | xargs -0 getfattr -h -d -m 'user|trusted' |
			grep -v -E 'overlay.(origin|uuid)='
	)
}

# The same on bare XFS and with the upper layer on offloadfs: both the merged
# view and the layer come out alike, whiteouts and opaque directories included.
t_overlay_upper() {
	local options=$1
	need_dev
	setup_pair xfs
	make_layer base
	overlay want base low/u1 low/w1 "$options"
	overlay got base up/u2 up/w2 "$options"
	use_layers want
	use_layers got
	tree want >want.tree
	tree got >got.tree
	diff want.tree got.tree
	umount want got
	tree low/u1 >want.tree
	tree low/u2 >got.tree
	diff want.tree got.tree
	is whiteout 'character special file 0 0' "$(stat -c '%F %t %T' low/u2/d/l)"
	overlay got base up/u2 up/w2 "$options"
	tree got >again.tree
	(cd got && ls d/moved && cmp copy d/moved/f) >/dev/null
}
t_overlay_upper_plain() { t_overlay_upper ''; }
t_overlay_upper_all() {
	t_overlay_upper "index=on,redirect_dir=on,metacopy=on,nfs_export=off,xino=on"
}

t_overlay_lower() {
	make_lower tmpfs base
	mkdir base/l
	omount base/l up
	make_layer base/l
	mkdir base/l2
	make_layer base/l2
	tree base/l >layer.tree
	overlay got up base/u1 base/w1
	overlay want base/l2 base/u2 base/w2
	use_layers got
	use_layers want
	tree want >want.tree
	tree got >got.tree
	diff want.tree got.tree
	tree base/l | diff layer.tree -
	# What changes below the layer is seen as overlayfs sees it on any other.
	is contents 3000 "$(stat -c %s base/l/gone/f)"
}

# Both layers on one mount: what overlayfs copies up is cloned.
t_overlay_copy_up() {
	need_dev
	need filefrag
	setup_pair xfs
	make_layer up/l
	overlay top up/l up/u up/w
	counted copies_offloaded=1 truncate -s 300001 top/d/f
	cmp -n 300000 low/l/d/f low/u/d/f
	sync low/u/d/f
	filefrag -v low/u/d/f | grep -q shared || fail 'extents are not shared'
}

# On overlayfs: what it does not know of copies, it asks its own layers.
t_on_overlayfs() {
	need_dev
	make_lower xfs base
	make_layer base/l/layer
	overlay low base/l base/u base/w
	omount low up
	names links xattrs
	copies copies_offloaded=1
	counted copies_offloaded=1 xcopy clone up/src up/clone
	cmp low/src low/clone
	echo more >>up/layer/gone/f
	cmp -n 3000 base/l/layer/gone/f base/u/layer/gone/f
	is 'copied up' 3005 "$(stat -c %s up/layer/gone/f)"
	counted copies_offloaded=1 xcopy cfr up/layer/gone/f up/dst
	cmp base/u/layer/gone/f base/u/dst
	rm up/layer/gone/f
	is whiteout 'character special file' "$(stat -c %F base/u/layer/gone/f)"
	is 'gone here' '' "$(ls up/layer/gone)"
}

# As deep as the kernel lets file systems be stacked. Whoever counts: a copy is
# offloaded on each level, or on none.
t_on_itself() {
	need_dev
	make_lower xfs base
	omount base low
	omount low up
	names links xattrs
	copies copies_offloaded=1
	counted_on low copies_offloaded=1 xcopy clone up/src up/clone
	cmp base/src base/clone
	refuse 'too many file systems are stacked' omount up third
	need_fs overlay
	mkdir base/u base/w top
	refuse 'stacking depth|wrong fs type|invalid argument' \
		mount -t overlay -o lowerdir=up,upperdir=base/u,workdir=base/w overlay top
	umount up
	umount low
	umount base
	make_lower tmpfs base
	omount base low
	omount low up
	pattern up/src $SIZE
	counted 'copies_local=1 declined/unsupported=1' xcopy cfr up/src up/dst
	counted 'copies_local=1 declined/unsupported=1' xcopy sendfile up/src up/dst
	cmp base/src base/dst
	no_clones
}

# Over its own lower, twice: each mount hides the one before.
t_over_itself() {
	need_dev
	make_lower xfs low
	omount low low
	omount low low
	pattern low/src $SIZE
	cp low/src low/dst
	cmp low/src low/dst
	is 'offloaded above' 1 "$(count copies_offloaded low)"
	umount low
	is 'offloaded below' 1 "$(count copies_offloaded low)"
	cmp low/src low/dst
	umount low
	cmp low/src low/dst
}

run_tests \
	't_overlay_upper_plain overlayfs with its upper layer on offloadfs' \
	't_overlay_upper_all the same with redirect_dir, metacopy and index' \
	't_overlay_lower overlayfs with its lower layer on offloadfs' \
	't_overlay_copy_up overlayfs with both layers on one mount clones' \
	't_on_overlayfs on overlayfs' \
	't_on_itself on itself, up to the limit' \
	't_over_itself over itself'
