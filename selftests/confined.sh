#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Programs that a security module confines by path: what they may do on the
# mount, they can, and what they may not, they cannot.

. "$(dirname "$0")/lib.sh"

# What a confined program does: all of it below "up".
cat >"${TMPDIR:-/tmp}/offloadfs-confined.$$" <<-'END'
	set -e
	cd "$1"
	echo one >new
	[ "$(cat new)" = one ]
	[ "$(stat -c %s new)" = 4 ]
	mkdir -p d
	ls d
	cp src copy
	cmp src copy
	python3 -c 'import os
fd = os.open(".", os.O_TMPFILE | os.O_RDWR)
os.write(fd, b"x")
a = os.open("src", os.O_RDONLY)
b = os.open("sent", os.O_RDWR | os.O_CREAT)
while os.sendfile(b, a, None, 1 << 20): pass'
	cmp src sent
	mv copy d/moved
	truncate -s 10 d/moved
	rm d/moved new
END
STEPS=${TMPDIR:-/tmp}/offloadfs-confined.$$
trap 'rm -f "$STEPS"' EXIT

inside() {
	pattern up/src 1048576
	cp "$STEPS" up/steps
	"$@" bash up/steps "$PWD/up"
	is 'what it made' "$(sha256sum <low/src)" "$(sha256sum <low/sent)"
	rm low/sent low/steps
}

landlock() { "$DIR/landlock_run" "$@"; }

# The rules are of upper inodes; of the lower, nothing is allowed.
t_landlock() {
	local rc=0
	setup_pair tmpfs
	mkdir up/allowed up/denied
	echo secret >up/denied/f
	landlock up/allowed true || rc=$?
	[ $rc != 4 ] || skip 'no Landlock'
	is 'landlock_run' 0 $rc
	inside landlock up
	refuse 'Permission denied' landlock up/allowed cat up/denied/f
	refuse 'Permission denied' landlock up/allowed cat low/denied/f
	landlock up/allowed bash -c 'echo two >up/allowed/g'
	is contents two "$(<low/allowed/g)"
	refuse 'Permission denied' landlock up/allowed bash -c 'echo two >up/denied/g'
}

# An unprivileged user is still who he is below.
t_landlock_user() {
	local rc=0
	setup_pair tmpfs
	landlock up true || rc=$?
	[ $rc != 4 ] || skip 'no Landlock'
	chmod 755 .
	cp "$DIR/landlock_run" .
	install -d -o 1000 -g 1000 up/mine
	chmod 700 up/mine
	: >up/roots
	chmod 600 up/roots
	setpriv --reuid 1000 --regid 1000 --clear-groups ./landlock_run up \
		bash -c 'echo x >up/mine/f'
	is owner 1000:1000 "$(stat -c %u:%g low/mine/f)"
	refuse 'Permission denied' setpriv --reuid 1000 --regid 1000 --clear-groups \
		./landlock_run up cat up/roots
}

# Those of one user are not used for another who comes next.
t_users_in_turn() {
	local user
	setup_pair tmpfs
	chmod 755 .
	chmod 1777 up
	for user in 1000 1001 0 1000 1001; do
		taskset -c 0 setpriv --reuid $user --regid $user --clear-groups \
			bash -c "echo x >up/of-$user-\$\$; python3 -c 'import os
os.write(os.open(\"up\", os.O_TMPFILE | os.O_RDWR, 0o600), b\"x\")'"
		is owners '' "$(find low -name "of-$user-*" ! -uid $user)"
	done
}

t_apparmor() {
	need apparmor_parser aa-exec
	mountpoint -q /sys/kernel/security || mount -t securityfs securityfs /sys/kernel/security
	grep -q apparmor /sys/kernel/security/lsm || skip 'no AppArmor in this kernel'
	setup_pair tmpfs
	mkdir up/denied
	echo secret >up/denied/f
	cat >profile <<-END
	abi <abi/4.0>,
	profile offloadfs-test {
		/usr/** rix,
		/bin/** rix,
		/lib/** rm,
		/lib64/** rm,
		/etc/** r,
		/proc/** r,
		/dev/** rw,
		/sys/** r,
		$PWD/ r,
		$PWD/up/ rw,
		$PWD/up/** rwkl,
		deny $PWD/up/denied/** rw,
	}
	END
	apparmor_parser -r -K profile
	inside aa-exec -p offloadfs-test --
	refuse 'Permission denied' aa-exec -p offloadfs-test -- cat up/denied/f
	refuse 'Permission denied' aa-exec -p offloadfs-test -- cat low/denied/f
	apparmor_parser -R profile
}

run_tests \
	't_landlock Landlock' \
	't_landlock_user Landlock, and a user without privileges' \
	't_users_in_turn one user after the other' \
	't_apparmor AppArmor'
