/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * offloadfs - tracepoints: every decision against an offload, every copy.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM offloadfs

#if !defined(_OFFLOADFS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _OFFLOADFS_TRACE_H

#include <linux/tracepoint.h>
#include "offloadfs.h"

/* Arrays, not __string(): older kernels want __assign_str() otherwise. */
#define OFFLOADFS_REASON_NAME_MAX	15

#define offloadfs_show_origin(origin) \
	__print_symbolic(origin, \
			 { OFFLOADFS_SENDFILE,		"sendfile" }, \
			 { OFFLOADFS_COPY_FILE_RANGE,	"copy_file_range" }, \
			 { OFFLOADFS_REMAP,		"remap" })

#define offloadfs_show_op(op) \
	__print_symbolic(op, \
			 { OFFLOADFS_COPY,	"copy" }, \
			 { OFFLOADFS_CLONE,	"clone" }, \
			 { OFFLOADFS_DEDUPE,	"dedupe" })

/* A backend, or the core for all of them (""), will not offload. */
TRACE_EVENT(offloadfs_decline,
	TP_PROTO(const struct super_block *sb, const struct file *src,
		 enum offloadfs_origin origin, const char *backend,
		 enum offloadfs_reason reason),
	TP_ARGS(sb, src, origin, backend, reason),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(int, origin)
		__array(char, backend, OFFLOADFS_BACKEND_NAME_MAX + 1)
		__array(char, reason, OFFLOADFS_REASON_NAME_MAX + 1)
	),
	TP_fast_assign(
		__entry->dev = sb->s_dev;
		__entry->ino = file_inode(src)->i_ino;
		__entry->origin = origin;
		strscpy(__entry->backend, backend, sizeof(__entry->backend));
		strscpy(__entry->reason, offloadfs_reason_names[reason],
			sizeof(__entry->reason));
	),
	TP_printk("dev %d:%d ino %llu origin %s backend %s reason %s",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino,
		  offloadfs_show_origin(__entry->origin),
		  __entry->backend, __entry->reason)
);

/* A backend was asked: RET bytes of LEN, or the errno. */
TRACE_EVENT(offloadfs_copy,
	TP_PROTO(const struct super_block *sb, const char *backend,
		 const struct offloadfs_copy_request *req, loff_t ret),
	TP_ARGS(sb, backend, req, ret),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, src_ino)
		__field(u64, dst_ino)
		__field(loff_t, src_pos)
		__field(loff_t, dst_pos)
		__field(loff_t, len)
		__field(loff_t, ret)
		__field(int, op)
		__field(int, origin)
		__array(char, backend, OFFLOADFS_BACKEND_NAME_MAX + 1)
	),
	TP_fast_assign(
		__entry->dev = sb->s_dev;
		__entry->src_ino = file_inode(req->src)->i_ino;
		__entry->dst_ino = file_inode(req->dst)->i_ino;
		__entry->src_pos = req->src_pos;
		__entry->dst_pos = req->dst_pos;
		__entry->len = req->len;
		__entry->ret = ret;
		__entry->op = req->op;
		__entry->origin = req->origin;
		strscpy(__entry->backend, backend, sizeof(__entry->backend));
	),
	TP_printk("dev %d:%d backend %s origin %s op %s ino %llu@%lld -> %llu@%lld len %lld ret %lld",
		  MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->backend, offloadfs_show_origin(__entry->origin),
		  offloadfs_show_op(__entry->op), __entry->src_ino,
		  __entry->src_pos, __entry->dst_ino, __entry->dst_pos,
		  __entry->len, __entry->ret)
);

#endif /* _OFFLOADFS_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
