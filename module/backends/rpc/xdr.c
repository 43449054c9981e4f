// SPDX-License-Identifier: GPL-2.0-only
/*
 * offloadfs_rpc - the COPYFILE protocol's data on the wire (RFC 4506), as
 * include/rpcsvc/copyfile.x has it.
 *
 * An encoder cannot fail: what it writes is bounded by the sizes that the RPC
 * layer was told. A decoder takes nothing for granted: what is not there, or
 * not what it may be, is -EIO.
 */
#include <linux/string.h>
#include <linux/sunrpc/xdr.h>
#include "rpc.h"

/* Sizes in words of four bytes. */
#define XDR_STRING(max)		(1 + XDR_QUADLEN(max))
#define XDR_VERIFIER		XDR_QUADLEN(COPYFILE_VERIFIER_SIZE)
#define XDR_NONCE		XDR_QUADLEN(COPYFILE_NONCE_SIZE)
#define XDR_EXPORT		XDR_STRING(COPYFILE_EXPORT_MAX)
#define XDR_PATH		XDR_STRING(COPYFILE_PATH_MAX)
#define XDR_TIME		3
#define XDR_ID			4
#define XDR_FILE		(XDR_EXPORT + XDR_PATH + 2 + 2 + XDR_TIME)

static void offloadfs_rpc_encode_string(struct xdr_stream *xdr, const char *s)
{
	xdr_stream_encode_opaque(xdr, s, strlen(s));
}

static void offloadfs_rpc_encode_verifier(struct xdr_stream *xdr,
					  const copyfile_verifier verifier)
{
	xdr_stream_encode_opaque_fixed(xdr, verifier, COPYFILE_VERIFIER_SIZE);
}

static void offloadfs_rpc_encode_time(struct xdr_stream *xdr,
				      const struct timespec64 *t)
{
	xdr_stream_encode_u64(xdr, t->tv_sec);
	xdr_stream_encode_u32(xdr, t->tv_nsec);
}

static void offloadfs_rpc_encode_id(struct xdr_stream *xdr,
				    const struct copyfile_id *id)
{
	xdr_stream_encode_u64(xdr, id->client);
	xdr_stream_encode_u64(xdr, id->serial);
}

static void offloadfs_rpc_encode_file(struct xdr_stream *xdr,
				      const struct copyfile_file *file)
{
	offloadfs_rpc_encode_string(xdr, file->export);
	offloadfs_rpc_encode_string(xdr, file->path);
	xdr_stream_encode_u64(xdr, file->fileid);
	xdr_stream_encode_u64(xdr, file->size);
	offloadfs_rpc_encode_time(xdr, &file->mtime);
}

static int offloadfs_rpc_decode_time(struct xdr_stream *xdr,
				     struct timespec64 *t)
{
	u64 seconds;
	u32 nseconds;

	if (xdr_stream_decode_u64(xdr, &seconds) < 0 ||
	    xdr_stream_decode_u32(xdr, &nseconds) < 0 ||
	    nseconds >= NSEC_PER_SEC)
		return -EIO;
	t->tv_sec = seconds;
	t->tv_nsec = nseconds;
	return 0;
}

/* More follows if it is COPYFILE_OK. */
static int offloadfs_rpc_decode_status(struct xdr_stream *xdr,
				       enum copyfile_status *status)
{
	u32 n;

	if (xdr_stream_decode_u32(xdr, &n) < 0)
		return -EIO;
	*status = n;
	return 0;
}

static void offloadfs_rpc_encode_null(struct rpc_rqst *rqst,
				      struct xdr_stream *xdr, const void *data)
{
}

static int offloadfs_rpc_decode_null(struct rpc_rqst *rqst,
				     struct xdr_stream *xdr, void *data)
{
	return 0;
}

static void offloadfs_rpc_encode_hello(struct rpc_rqst *rqst,
				       struct xdr_stream *xdr, const void *data)
{
	const struct copyfile_hello_args *args = data;

	xdr_stream_encode_u32(xdr, COPYFILE_MINOR_VERSION);
	offloadfs_rpc_encode_string(xdr, args->export);
	xdr_stream_encode_u64(xdr, args->client);
}

static int offloadfs_rpc_decode_hello(struct rpc_rqst *rqst,
				      struct xdr_stream *xdr, void *data)
{
	struct copyfile_hello_res *res = data;

	if (offloadfs_rpc_decode_status(xdr, &res->status))
		return -EIO;
	if (res->status != COPYFILE_OK)
		return 0;
	if (xdr_stream_decode_u32(xdr, &res->minor) < 0 ||
	    xdr_stream_decode_opaque_fixed(xdr, res->boot,
					   sizeof(res->boot)) < 0 ||
	    xdr_stream_decode_u64(xdr, &res->max_count) < 0 ||
	    xdr_stream_decode_u32(xdr, &res->caps) < 0 ||
	    xdr_stream_decode_u64(xdr, &res->tree) < 0)
		return -EIO;
	return res->max_count ? 0 : -EIO;
}

static void offloadfs_rpc_encode_probe(struct rpc_rqst *rqst,
				       struct xdr_stream *xdr, const void *data)
{
	const struct copyfile_probe_args *args = data;

	offloadfs_rpc_encode_verifier(xdr, args->boot);
	offloadfs_rpc_encode_string(xdr, args->export);
	offloadfs_rpc_encode_string(xdr, args->path);
	xdr_stream_encode_opaque(xdr, args->nonce,
				 args->nonce ? COPYFILE_NONCE_SIZE : 0);
}

static int offloadfs_rpc_decode_probe(struct rpc_rqst *rqst,
				      struct xdr_stream *xdr, void *data)
{
	struct copyfile_probe_res *res = data;

	if (offloadfs_rpc_decode_status(xdr, &res->status))
		return -EIO;
	if (res->status != COPYFILE_OK)
		return 0;
	if (xdr_stream_decode_u64(xdr, &res->fileid) < 0 ||
	    offloadfs_rpc_decode_time(xdr, &res->mtime) ||
	    xdr_stream_decode_opaque_fixed(xdr, res->answer,
					   sizeof(res->answer)) < 0)
		return -EIO;
	return 0;
}

static void offloadfs_rpc_encode_copy(struct rpc_rqst *rqst,
				      struct xdr_stream *xdr, const void *data)
{
	const struct copyfile_copy_args *args = data;

	offloadfs_rpc_encode_verifier(xdr, args->boot);
	offloadfs_rpc_encode_id(xdr, &args->id);
	offloadfs_rpc_encode_file(xdr, &args->src);
	offloadfs_rpc_encode_file(xdr, &args->dst);
	xdr_stream_encode_u64(xdr, args->src_offset);
	xdr_stream_encode_u64(xdr, args->dst_offset);
	xdr_stream_encode_u64(xdr, args->count);
	xdr_stream_encode_u32(xdr, args->flags);
}

static int offloadfs_rpc_decode_copied(struct xdr_stream *xdr,
				       struct copyfile_copy_res *res)
{
	u32 stable;

	if (xdr_stream_decode_u64(xdr, &res->count) < 0 ||
	    xdr_stream_decode_u32(xdr, &res->how) < 0 ||
	    xdr_stream_decode_bool(xdr, &stable) < 0 ||
	    xdr_stream_decode_opaque_fixed(xdr, res->verifier,
					   sizeof(res->verifier)) < 0 ||
	    xdr_stream_decode_u64(xdr, &res->fileid) < 0 ||
	    xdr_stream_decode_u64(xdr, &res->size) < 0 ||
	    offloadfs_rpc_decode_time(xdr, &res->mtime) ||
	    offloadfs_rpc_decode_time(xdr, &res->ctime))
		return -EIO;
	res->stable = stable;
	return res->size <= LLONG_MAX ? 0 : -EIO;
}

static int offloadfs_rpc_decode_copy(struct rpc_rqst *rqst,
				     struct xdr_stream *xdr, void *data)
{
	struct copyfile_copy_res *res = data;

	if (offloadfs_rpc_decode_status(xdr, &res->status))
		return -EIO;
	return res->status == COPYFILE_OK ?
		offloadfs_rpc_decode_copied(xdr, res) : 0;
}

static void offloadfs_rpc_encode_cancel(struct rpc_rqst *rqst,
					struct xdr_stream *xdr, const void *data)
{
	const struct copyfile_cancel_args *args = data;

	offloadfs_rpc_encode_verifier(xdr, args->boot);
	offloadfs_rpc_encode_id(xdr, &args->id);
}

static int offloadfs_rpc_decode_cancel(struct rpc_rqst *rqst,
				       struct xdr_stream *xdr, void *data)
{
	struct copyfile_cancel_res *res = data;
	u32 state;

	if (offloadfs_rpc_decode_status(xdr, &res->status))
		return -EIO;
	if (res->status != COPYFILE_OK)
		return 0;
	if (xdr_stream_decode_u32(xdr, &state) < 0 ||
	    state > COPYFILE_STOPPED ||
	    xdr_stream_decode_u64(xdr, &res->count) < 0)
		return -EIO;
	res->state = state;
	return 0;
}

static void offloadfs_rpc_encode_commit(struct rpc_rqst *rqst,
					struct xdr_stream *xdr, const void *data)
{
	const struct copyfile_commit_args *args = data;

	offloadfs_rpc_encode_verifier(xdr, args->boot);
	offloadfs_rpc_encode_string(xdr, args->export);
	offloadfs_rpc_encode_string(xdr, args->path);
	xdr_stream_encode_u64(xdr, args->fileid);
	xdr_stream_encode_u64(xdr, args->offset);
	xdr_stream_encode_u64(xdr, args->count);
}

static int offloadfs_rpc_decode_commit(struct rpc_rqst *rqst,
				       struct xdr_stream *xdr, void *data)
{
	struct copyfile_commit_res *res = data;

	if (offloadfs_rpc_decode_status(xdr, &res->status))
		return -EIO;
	if (res->status == COPYFILE_OK &&
	    xdr_stream_decode_opaque_fixed(xdr, res->verifier,
					   sizeof(res->verifier)) < 0)
		return -EIO;
	return 0;
}

#define OFFLOADFS_RPC_PROC(_number, _name, _arglen, _replen)			\
[_number] = {									\
	.p_proc		= _number,						\
	.p_encode	= offloadfs_rpc_encode_##_name,				\
	.p_decode	= offloadfs_rpc_decode_##_name,				\
	.p_arglen	= _arglen,						\
	.p_replen	= _replen,						\
	.p_statidx	= _number,						\
	.p_name		= #_number,						\
}

static const struct rpc_procinfo offloadfs_rpc_procs[COPYFILE_NR_PROCS] = {
	OFFLOADFS_RPC_PROC(COPYFILE_NULL, null, 0, 0),
	OFFLOADFS_RPC_PROC(COPYFILE_HELLO, hello, 1 + XDR_EXPORT + 2,
			   1 + 1 + XDR_VERIFIER + 2 + 1 + 2),
	OFFLOADFS_RPC_PROC(COPYFILE_PROBE, probe,
			   XDR_VERIFIER + XDR_EXPORT + XDR_PATH + 1 + XDR_NONCE,
			   1 + 2 + XDR_TIME + XDR_NONCE),
	OFFLOADFS_RPC_PROC(COPYFILE_COPY, copy,
			   XDR_VERIFIER + XDR_ID + 2 * XDR_FILE + 3 * 2 + 1,
			   1 + 2 + 1 + 1 + XDR_VERIFIER + 2 + 2 + 2 * XDR_TIME),
	OFFLOADFS_RPC_PROC(COPYFILE_CANCEL, cancel, XDR_VERIFIER + XDR_ID,
			   1 + 1 + 2),
	OFFLOADFS_RPC_PROC(COPYFILE_COMMIT, commit,
			   XDR_VERIFIER + XDR_EXPORT + XDR_PATH + 3 * 2,
			   1 + XDR_VERIFIER),
};

static unsigned int offloadfs_rpc_counts[COPYFILE_NR_PROCS];

static const struct rpc_version offloadfs_rpc_version = {
	.number		= COPYFILE_VERSION,
	.nrprocs	= COPYFILE_NR_PROCS,
	.procs		= offloadfs_rpc_procs,
	.counts		= offloadfs_rpc_counts,
};

static const struct rpc_version *offloadfs_rpc_versions[] = {
	[COPYFILE_VERSION] = &offloadfs_rpc_version,
};

static struct rpc_stat offloadfs_rpc_stats;

const struct rpc_program offloadfs_rpc_program = {
	.name		= "copyfile",
	.number		= COPYFILE_PROGRAM,
	.nrvers		= ARRAY_SIZE(offloadfs_rpc_versions),
	.version	= offloadfs_rpc_versions,
	.stats		= &offloadfs_rpc_stats,
};
