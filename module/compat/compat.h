/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the main code has to know of compat/: what is to be set up when the
 * module comes and taken down when it goes.
 */
#ifndef _OFFLOADFS_COMPAT_H
#define _OFFLOADFS_COMPAT_H

/* backing-file.c is all that needs it. */
#ifndef COMPAT_HAVE_BACKING_FILE_KIOCB
int offloadfs_compat_init(void);
void offloadfs_compat_exit(void);
#else
static inline int offloadfs_compat_init(void)
{
	return 0;
}

static inline void offloadfs_compat_exit(void)
{
}
#endif

#endif /* _OFFLOADFS_COMPAT_H */
