// SPDX-License-Identifier: GPL-2.0-only
/*
 * The source of the corpus: writes files, into the directory it is given, that
 * each hold what a client sends over one connection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copyfile.h"
#include "tree.h"

static FILE *out;
static XDR stream;
static unsigned int xid;

static int put(void *handle, void *buf, int len)
{
	return (int)fwrite(buf, 1, (size_t)len, out);
}

static void begin(const char *dir, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	out = fopen(path, "w");
	if (!out) {
		perror(path);
		exit(1);
	}
	xid = 0;
	xdrrec_create(&stream, 0, 0, NULL, NULL, put);
	stream.x_op = XDR_ENCODE;
}

static void end(void)
{
	XDR_DESTROY(&stream);
	fclose(out);
}

static void header(unsigned int prog, unsigned int vers, unsigned int proc, int flavor, char *cred)
{
	struct authunix_parms unix_cred = { 0, "client", FUZZ_UID, FUZZ_UID, 1, (gid_t[]){ 7 } };
	struct rpc_msg call = { .rm_xid = ++xid, .rm_direction = CALL };
	XDR xdrs;

	call.rm_call.cb_rpcvers = RPC_MSG_VERSION;
	call.rm_call.cb_prog = prog;
	call.rm_call.cb_vers = vers;
	call.rm_call.cb_proc = proc;
	if (flavor == AUTH_SYS) {
		xdrmem_create(&xdrs, cred, MAX_AUTH_BYTES, XDR_ENCODE);
		xdr_authunix_parms(&xdrs, &unix_cred);
		call.rm_call.cb_cred.oa_length = XDR_GETPOS(&xdrs);
	}
	call.rm_call.cb_cred.oa_flavor = flavor;
	call.rm_call.cb_cred.oa_base = cred;
	if (!xdr_callmsg(&stream, &call))
		abort();
}

static void send_call(unsigned int proc, xdrproc_t encode, void *args)
{
	char cred[MAX_AUTH_BYTES];

	header(COPYFILE_PROGRAM, COPYFILE_V1, proc, AUTH_SYS, cred);
	if (encode && !encode(&stream, args))
		abort();
	xdrrec_endofrecord(&stream, TRUE);
}

static void odd_call(unsigned int prog, unsigned int vers, unsigned int proc, int flavor)
{
	char cred[MAX_AUTH_BYTES];

	header(prog, vers, proc, flavor, cred);
	xdrrec_endofrecord(&stream, TRUE);
}

static void hello(char *export)
{
	copyfile_hello_args args = { 0, export, FUZZ_CLIENT };

	send_call(COPYFILE_HELLO, (xdrproc_t)xdr_copyfile_hello_args, &args);
}

static void set_path(copyfile_path *to, char *path)
{
	to->copyfile_path_len = (u_int)strlen(path);
	to->copyfile_path_val = path;
}

static void probe(char *path, char *nonce)
{
	copyfile_probe_args args = { .export = "data" };

	memcpy(args.boot, FUZZ_BOOT, sizeof(args.boot));
	set_path(&args.path, path);
	args.nonce.nonce_len = (u_int)strlen(nonce);
	args.nonce.nonce_val = nonce;
	send_call(COPYFILE_PROBE, (xdrproc_t)xdr_copyfile_probe_args, &args);
}

static void set_file(copyfile_file *file, char *export, char *path, u_quad_t size)
{
	file->export = export;
	set_path(&file->path, path);
	file->size = size;
	file->mtime.seconds = FUZZ_MTIME;
}

static void copy(u_quad_t serial, char *to, u_quad_t size, u_quad_t at, unsigned int flags)
{
	copyfile_copy_args args = {
		.id = { FUZZ_CLIENT, serial },
		.src_offset = at,
		.dst_offset = at,
		.count = FUZZ_SRC_SIZE - at,
		.flags = flags,
	};

	memcpy(args.boot, FUZZ_BOOT, sizeof(args.boot));
	set_file(&args.src, "data", "src", FUZZ_SRC_SIZE);
	set_file(&args.dst, strcmp(to, "ro") ? "data" : "ro", strcmp(to, "ro") ? to : "dst", size);
	send_call(COPYFILE_COPY, (xdrproc_t)xdr_copyfile_copy_args, &args);
}

static void cancel(u_quad_t serial)
{
	copyfile_cancel_args args = { .id = { FUZZ_CLIENT, serial } };

	memcpy(args.boot, FUZZ_BOOT, sizeof(args.boot));
	send_call(COPYFILE_CANCEL, (xdrproc_t)xdr_copyfile_cancel_args, &args);
}

static void commit(char *path)
{
	copyfile_commit_args args = { .export = "data" };

	memcpy(args.boot, FUZZ_BOOT, sizeof(args.boot));
	set_path(&args.path, path);
	send_call(COPYFILE_COMMIT, (xdrproc_t)xdr_copyfile_commit_args, &args);
}

static void write_hello(const char *dir)
{
	begin(dir, "null");
	odd_call(COPYFILE_PROGRAM, COPYFILE_V1, COPYFILE_NULL, AUTH_NONE);
	end();
	begin(dir, "hello");
	hello("data");
	hello("ro");
	hello("none");
	end();
	begin(dir, "probe");
	probe(FUZZ_PROBE, FUZZ_NONCE);
	probe("dir", "");
	probe("", "");
	probe("src", FUZZ_NONCE);
	probe("pipe", "");
	end();
}

static void write_copies(const char *dir)
{
	begin(dir, "copy");
	hello("data");
	copy(1, "dst", FUZZ_DST_SIZE, 0, 0);
	end();
	begin(dir, "copy-flags");
	hello("data");
	copy(1, "dst", FUZZ_DST_SIZE, 4096, COPYFILE_CLONE_ONLY);
	copy(2, "dir/dst", 0, 0, COPYFILE_SPARSE);
	copy(3, "dst", FUZZ_DST_SIZE, 60000, COPYFILE_SPARSE | COPYFILE_STABLE);
	copy(4, "src", FUZZ_SRC_SIZE, 0, 0);
	end();
	begin(dir, "copy-refused");
	hello("data");
	copy(1, "link", FUZZ_DST_SIZE, 0, 0);
	copy(2, "pipe", 0, 0, 0);
	copy(3, "ro", FUZZ_DST_SIZE, 0, 0);
	copy(4, "../dst", FUZZ_DST_SIZE, 0, 0);
	copy(5, "dst", 5, 0, 0);
	end();
	begin(dir, "copy-again");
	hello("data");
	copy(1, "dst", FUZZ_DST_SIZE, 0, 0);
	copy(1, "dst", FUZZ_DST_SIZE, 0, 0);
	commit("dst");
	copy(1, "dst", FUZZ_DST_SIZE, 0, 0);
	end();
}

static void write_rest(const char *dir)
{
	begin(dir, "cancel");
	hello("data");
	copy(7, "dst", FUZZ_DST_SIZE, 0, 0);
	cancel(7);
	cancel(8);
	copy(8, "dst", FUZZ_DST_SIZE, 0, 0);
	copy(9, "dst", FUZZ_DST_SIZE, 0, 0);
	end();
	begin(dir, "commit");
	hello("data");
	copy(1, "dst", FUZZ_DST_SIZE, 0, 0);
	commit("dst");
	commit("");
	commit("dir");
	commit("missing");
	end();
	begin(dir, "odd");
	odd_call(COPYFILE_PROGRAM + 1, COPYFILE_V1, COPYFILE_HELLO, AUTH_SYS);
	odd_call(COPYFILE_PROGRAM, COPYFILE_V1 + 1, COPYFILE_HELLO, AUTH_SYS);
	odd_call(COPYFILE_PROGRAM, COPYFILE_V1, COPYFILE_COMMIT + 1, AUTH_SYS);
	odd_call(COPYFILE_PROGRAM, COPYFILE_V1, COPYFILE_COPY, AUTH_SYS);
	odd_call(COPYFILE_PROGRAM, COPYFILE_V1, COPYFILE_COPY, AUTH_NONE);
	end();
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fputs("usage: corpus DIRECTORY\n", stderr);
		return 2;
	}
	write_hello(argv[1]);
	write_copies(argv[1]);
	write_rest(argv[1]);
	return 0;
}
