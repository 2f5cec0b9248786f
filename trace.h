/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM tls

#if !defined(_TLS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TLS_TRACE_H

#include <linux/tracepoint.h>

struct sock;

DECLARE_EVENT_CLASS(tls_record,
		    TP_PROTO(const struct sock *sk, u8 type, unsigned int len,
			     u64 seq),
		    TP_ARGS(sk, type, len, seq),
		    TP_STRUCT__entry(__field(const void *, sk)
				     __field(u64, seq)
				     __field(unsigned int, len)
				     __field(u8, type)
		    ),
		    TP_fast_assign(__entry->sk = sk;
				   __entry->seq = seq;
				   __entry->len = len;
				   __entry->type = type;
		    ),
		    TP_printk("sk=%p seq=%llu type=%u len=%u", __entry->sk,
			      __entry->seq, __entry->type, __entry->len)
);

/* A record was encrypted; @len counts its plaintext. */
DEFINE_EVENT(tls_record, tls_record_sent,
	     TP_PROTO(const struct sock *sk, u8 type, unsigned int len,
		      u64 seq),
	     TP_ARGS(sk, type, len, seq)
);

/* A record was verified. */
DEFINE_EVENT(tls_record, tls_record_received,
	     TP_PROTO(const struct sock *sk, u8 type, unsigned int len,
		      u64 seq),
	     TP_ARGS(sk, type, len, seq)
);

/* A record was not what was predicted, and is decrypted again. */
DEFINE_EVENT(tls_record, tls_decrypt_retry,
	     TP_PROTO(const struct sock *sk, u8 type, unsigned int len,
		      u64 seq),
	     TP_ARGS(sk, type, len, seq)
);

/* A direction has failed for good. */
TRACE_EVENT(tls_abort,
	    TP_PROTO(const struct sock *sk, bool rx, int err),
	    TP_ARGS(sk, rx, err),
	    TP_STRUCT__entry(__field(const void *, sk)
			     __field(bool, rx)
			     __field(int, err)
	    ),
	    TP_fast_assign(__entry->sk = sk;
			   __entry->rx = rx;
			   __entry->err = err;
	    ),
	    TP_printk("sk=%p %s err=%d", __entry->sk,
		      __entry->rx ? "rx" : "tx", __entry->err)
);

/* A driver says that its device has lost its place. */
TRACE_EVENT(tls_device_lost,
	    TP_PROTO(const struct sock *sk, bool rx, u32 seq, u32 expected),
	    TP_ARGS(sk, rx, seq, expected),
	    TP_STRUCT__entry(__field(const void *, sk)
			     __field(bool, rx)
			     __field(u32, seq)
			     __field(u32, expected)
	    ),
	    TP_fast_assign(__entry->sk = sk;
			   __entry->rx = rx;
			   __entry->seq = seq;
			   __entry->expected = expected;
	    ),
	    TP_printk("sk=%p %s seq=%u expected=%u", __entry->sk,
		      __entry->rx ? "rx" : "tx", __entry->seq,
		      __entry->expected)
);

/* A device was told where a record begins. */
TRACE_EVENT(tls_device_resync,
	    TP_PROTO(const struct sock *sk, bool rx, u32 seq, u64 sn, int err),
	    TP_ARGS(sk, rx, seq, sn, err),
	    TP_STRUCT__entry(__field(const void *, sk)
			     __field(bool, rx)
			     __field(u32, seq)
			     __field(u64, sn)
			     __field(int, err)
	    ),
	    TP_fast_assign(__entry->sk = sk;
			   __entry->rx = rx;
			   __entry->seq = seq;
			   __entry->sn = sn;
			   __entry->err = err;
	    ),
	    TP_printk("sk=%p %s seq=%u record=%llu err=%d", __entry->sk,
		      __entry->rx ? "rx" : "tx", __entry->seq, __entry->sn,
		      __entry->err)
);

#endif /* _TLS_TRACE_H */

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
