/* SPDX-License-Identifier: GPL-2.0-only */
/* <linux/dns_resolver.h>: some kernels' does not include what it needs. */
#ifndef _OFFLOADFS_COMPAT_LINUX_DNS_RESOLVER_H
#define _OFFLOADFS_COMPAT_LINUX_DNS_RESOLVER_H

#include <linux/time64.h>
#include_next <linux/dns_resolver.h>

#endif
