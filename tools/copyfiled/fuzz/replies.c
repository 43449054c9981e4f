// SPDX-License-Identifier: GPL-2.0-only
/*
 * Is a reply that is encoded, decoded and encoded again the same bytes? Tried
 * with random replies of each kind, the ones with a result and the ones without.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copyfile.h"

#define TIMES 10000

static void fill(void *to, size_t len)
{
	unsigned char *p = to;

	while (len--)
		*p++ = (unsigned char)(random() >> 7);
}

static u_int encode(xdrproc_t proc, void *res, char *buf, size_t size)
{
	u_int len;
	XDR xdrs;

	xdrmem_create(&xdrs, buf, (u_int)size, XDR_ENCODE);
	if (!proc(&xdrs, res)) {
		fputs("a reply cannot be encoded\n", stderr);
		exit(1);
	}
	len = XDR_GETPOS(&xdrs);
	XDR_DESTROY(&xdrs);
	return len;
}

static void check(const char *name, xdrproc_t proc, void *res, size_t size)
{
	char first[512], second[512], *decoded = calloc(1, size);
	u_int len = encode(proc, res, first, sizeof(first));
	bool_t ok;
	XDR xdrs;

	xdrmem_create(&xdrs, first, len, XDR_DECODE);
	ok = proc(&xdrs, decoded) && XDR_GETPOS(&xdrs) == len &&
	     encode(proc, decoded, second, sizeof(second)) == len && !memcmp(first, second, len);
	XDR_DESTROY(&xdrs);
	free(decoded);
	if (ok)
		return;
	fprintf(stderr, "a reply of %s changes on its way\n", name);
	exit(1);
}

#define CHECK(type, res) \
	check(#type, (xdrproc_t)xdr_copyfile_ ## type ## _res, &(res), sizeof(res))

static void try_all(copyfile_status status)
{
	copyfile_hello_res hello;
	copyfile_probe_res probe;
	copyfile_copy_res copy;
	copyfile_cancel_res cancel;
	copyfile_commit_res commit;

	fill(&hello, sizeof(hello));
	fill(&probe, sizeof(probe));
	fill(&copy, sizeof(copy));
	fill(&cancel, sizeof(cancel));
	fill(&commit, sizeof(commit));
	hello.status = probe.status = copy.status = cancel.status = commit.status = status;
	copy.copyfile_copy_res_u.ok.stable = random() & 1;
	CHECK(hello, hello);
	CHECK(probe, probe);
	CHECK(copy, copy);
	CHECK(cancel, cancel);
	CHECK(commit, commit);
}

int main(void)
{
	srandom(1);
	for (int i = 0; i < TIMES; i++)
		try_all(i % 4 ? COPYFILE_OK : COPYFILE_STALE);
	printf("%d replies of each kind come through as they were\n", TIMES);
	return 0;
}
