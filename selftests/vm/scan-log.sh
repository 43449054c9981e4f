#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Print the lines of a kernel log that no run of ours may leave there.
#
# usage: scan-log.sh LOG; exit: 0 when the log is clean, 1 when it is not

grep -nE -A 12 \
	-e 'WARNING:|BUG:|BUG [^ ]+ .*:|kernel BUG|\bOops\b|general protection fault' \
	-e 'Kernel panic|unable to handle|Bad page|bad: scheduling|scheduling while atomic' \
	-e 'possible circular locking|possible recursive locking|inconsistent lock state' \
	-e 'suspicious RCU usage|lock held when returning|held lock freed|bad unlock balance' \
	-e 'refcount_t:|unreferenced object|UBSAN|KASAN|KCSAN|KFENCE' \
	-e 'list_(add|del) corruption|INFO: task .* blocked|detected .*stalls?\b|self-detected stall' \
	-e 'soft lockup|hard LOCKUP|Busy inodes after unmount|still has .* refs|still in use \(' \
	-e 'page allocation failure|sleeping function called|VFS: Close: file count is 0' \
	-e 'offloadfs: .*(leak|still)' \
	"$1"
[ $? = 1 ]
