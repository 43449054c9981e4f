/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests of reading and writing share. */
#ifndef OFFLOADFS_SELFTESTS_IO_H
#define OFFLOADFS_SELFTESTS_IO_H

#include "parity.h"
#include <sys/uio.h>

#define SIZE	100000

/* Newer than the C library's. */
#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND	0x20
#endif
#ifndef RWF_ATOMIC
#define RWF_ATOMIC	0x40
#endif
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE	0x80
#endif

static inline void *aligned(size_t len)
{
	void *buf = NULL;

	if (posix_memalign(&buf, 65536, len))
		exit(KSFT_FAIL);
	memset(buf, 'A', len);
	return buf;
}

#endif /* OFFLOADFS_SELFTESTS_IO_H */
