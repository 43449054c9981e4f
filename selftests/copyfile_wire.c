// SPDX-License-Identifier: GPL-2.0-only
/*
 * copyfile_wire - read calls of the copyfile protocol as they came over the
 * wire (copyfile_liar records them), and print what they say. Each is encoded
 * again from what was read, by rpcgen's XDR, and has to come out the same.
 *
 * usage: copyfile_wire FILE...
 *
 * exit: 0 when all of them did; 1 when one did not.
 */
#define _GNU_SOURCE
#include "copyfile_rpc.h"

struct wire {
	struct rpc_msg msg;
	union copyfile_any_args args;
	char cred[MAX_AUTH_BYTES], verf[MAX_AUTH_BYTES];
};

static bool complain(const char *file, const char *what)
{
	printf("bad %s: %s\n", file, what);
	return false;
}

static bool same(const char *file, const void *a, size_t alen, const void *b, size_t blen,
		 const char *what)
{
	if (alen == blen && !memcmp(a, b, alen))
		return true;
	printf("is  ");
	print_hex(stdout, a, alen);
	printf("not ");
	print_hex(stdout, b, blen);
	return complain(file, what);
}

static void print_file(const char *which, const copyfile_file *f)
{
	printf("%s-export %s\n%s-path %.*s\n%s-fileid %llu\n%s-size %llu\n%s-mtime %lld.%09u\n",
	       which, f->export, which, (int)f->path.copyfile_path_len, f->path.copyfile_path_val,
	       which, (unsigned long long)f->fileid, which, (unsigned long long)f->size,
	       which, (long long)f->mtime.seconds, f->mtime.nseconds);
}

static void print_id(const copyfile_id *id)
{
	printf("client %llu\nserial %llu\n", (unsigned long long)id->client,
	       (unsigned long long)id->serial);
}

static void print_args(unsigned int proc, const union copyfile_any_args *a)
{
	switch (proc) {
	case COPYFILE_HELLO:
		printf("minor %u\nexport %s\nclient %llu\n", a->hello.minor, a->hello.export,
		       (unsigned long long)a->hello.client);
		break;
	case COPYFILE_COPY:
		print_id(&a->copy.id);
		print_file("src", &a->copy.src);
		print_file("dst", &a->copy.dst);
		printf("src-offset %llu\ndst-offset %llu\ncount %llu\nflags %u\n",
		       (unsigned long long)a->copy.src_offset,
		       (unsigned long long)a->copy.dst_offset,
		       (unsigned long long)a->copy.count, a->copy.flags);
		break;
	case COPYFILE_CANCEL:
		print_id(&a->cancel.id);
		break;
	case COPYFILE_PROBE:
		printf("nonce ");
		print_hex(stdout, a->probe.nonce.nonce_val, a->probe.nonce.nonce_len);
		break;
	}
	/* These two begin alike. */
	if (proc == COPYFILE_PROBE || proc == COPYFILE_COMMIT)
		printf("export %s\npath %.*s\n", a->probe.export,
		       (int)a->probe.path.copyfile_path_len, a->probe.path.copyfile_path_val);
	if (proc == COPYFILE_COMMIT)
		printf("fileid %llu\noffset %llu\ncount %llu\n",
		       (unsigned long long)a->commit.fileid,
		       (unsigned long long)a->commit.offset,
		       (unsigned long long)a->commit.count);
	if (proc == COPYFILE_HELLO || proc == COPYFILE_NULL)
		return;
	printf("boot ");
	print_hex(stdout, a->copy.boot, sizeof(a->copy.boot));
}

/* The body of the credential, which is opaque to the message. */
static bool check_cred(const char *file, const struct opaque_auth *cred)
{
	struct authunix_parms parsed = { 0 };
	char again[MAX_AUTH_BYTES];
	size_t len;
	XDR x;

	if (cred->oa_flavor != AUTH_SYS)
		return true;
	xdrmem_create(&x, cred->oa_base, cred->oa_length, XDR_DECODE);
	if (!xdr_authunix_parms(&x, &parsed))
		return complain(file, "the credential cannot be decoded");
	printf("machine %s\nuid %u\ngid %u\ngroups", parsed.aup_machname, parsed.aup_uid,
	       parsed.aup_gid);
	for (u_int i = 0; i < parsed.aup_len; i++)
		printf(" %u", parsed.aup_gids[i]);
	putchar('\n');
	xdrmem_create(&x, again, sizeof(again), XDR_ENCODE);
	if (!xdr_authunix_parms(&x, &parsed))
		return complain(file, "the credential cannot be encoded");
	len = xdr_getpos(&x);
	return same(file, cred->oa_base, cred->oa_length, again, len, "the credential differs");
}

static bool check_head(const char *file, const struct rpc_msg *m)
{
	const struct call_body *c = &m->rm_call;

	printf("proc %s\nxid %08x\nflavor %d\n", name_of(proc_names, c->cb_proc), m->rm_xid,
	       c->cb_cred.oa_flavor);
	if (m->rm_direction != CALL || c->cb_rpcvers != RPC_MSG_VERSION)
		return complain(file, "no call of RPC version 2");
	if (c->cb_prog != COPYFILE_PROGRAM || c->cb_vers != COPYFILE_V1 ||
	    c->cb_proc > COPYFILE_COMMIT)
		return complain(file, "no procedure of this program");
	return check_cred(file, &c->cb_cred);
}

static bool check(const char *file, char *record, size_t len)
{
	static char again[RECORD_MAX];
	static struct wire w;
	unsigned int proc;
	size_t len2;
	XDR x;

	memset(&w, 0, sizeof(w));
	w.msg.rm_call.cb_cred.oa_base = w.cred;
	w.msg.rm_call.cb_verf.oa_base = w.verf;
	xdrmem_create(&x, record, len, XDR_DECODE);
	if (!xdr_callmsg(&x, &w.msg))
		return complain(file, "the head cannot be decoded");
	if (!check_head(file, &w.msg))
		return false;
	proc = w.msg.rm_call.cb_proc;
	if (!copyfile_xdr[proc].args(&x, &w.args))
		return complain(file, "the arguments cannot be decoded");
	if (xdr_getpos(&x) != len)
		return complain(file, "bytes are left over");
	print_args(proc, &w.args);
	len2 = encode_call(again, sizeof(again), &w.msg, copyfile_xdr[proc].args, &w.args);
	return same(file, record, len, again, len2, "it is encoded differently");
}

int main(int argc, char **argv)
{
	static char record[RECORD_MAX];
	int rc = 0;

	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "r");
		size_t len;

		if (!f)
			err(2, "%s", argv[i]);
		len = fread(record, 1, sizeof(record), f);
		fclose(f);
		if (!check(argv[i], record, len))
			rc = 1;
		puts("");
	}
	return argc > 1 ? rc : 2;
}
