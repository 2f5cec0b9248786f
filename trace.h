/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM tls

#if !defined(_TLS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TLS_TRACE_H

#include <linux/tracepoint.h>
#include <net/inet_sock.h>

#include "tls.h"

DECLARE_EVENT_CLASS(tls_record,
		    TP_PROTO(const struct sock *sk, u8 type, unsigned int len,
			     u64 seq),
		    TP_ARGS(sk, type, len, seq),
		    TP_STRUCT__entry(__field(const void *, sk)
				     __field(u16, sport)
				     __field(u16, dport)
				     __field(u64, seq)
				     __field(unsigned int, len)
				     __field(u8, type)
		    ),
		    TP_fast_assign(__entry->sk = sk;
				   __entry->sport = inet_sk(sk)->inet_num;
				   __entry->dport = ntohs(inet_sk(sk)->inet_dport);
				   __entry->seq = seq;
				   __entry->len = len;
				   __entry->type = type;
		    ),
		    TP_printk("sk=%p sport=%u dport=%u seq=%llu type=%u len=%u",
			      __entry->sk, __entry->sport, __entry->dport,
			      __entry->seq, __entry->type, __entry->len)
);

/* A record was encrypted; @len counts its plaintext. */
DEFINE_EVENT(tls_record, tls_record_sent,
	     TP_PROTO(const struct sock *sk, u8 type, unsigned int len,
		      u64 seq),
	     TP_ARGS(sk, type, len, seq)
);

/* A record was verified; @len counts its plaintext, without padding. */
DEFINE_EVENT(tls_record, tls_record_received,
	     TP_PROTO(const struct sock *sk, u8 type, unsigned int len,
		      u64 seq),
	     TP_ARGS(sk, type, len, seq)
);

/*
 * A record was not what was predicted, and is decrypted again. @type is its
 * last byte, so 0 for padding, and @len counts padding and type in.
 */
DEFINE_EVENT(tls_record, tls_decrypt_retry,
	     TP_PROTO(const struct sock *sk, u8 type, unsigned int len,
		      u64 seq),
	     TP_ARGS(sk, type, len, seq)
);

/*
 * A further key was given: @generation is the one in use after that, old or
 * new, and @seq the number of the next record under it.
 */
TRACE_EVENT(tls_key_update,
	    TP_PROTO(const struct sock *sk, bool rx, u32 generation, u64 seq,
		     int err),
	    TP_ARGS(sk, rx, generation, seq, err),
	    TP_STRUCT__entry(__field(const void *, sk)
			     __field(u16, sport)
			     __field(u16, dport)
			     __field(bool, rx)
			     __field(u32, generation)
			     __field(u64, seq)
			     __field(int, err)
	    ),
	    TP_fast_assign(__entry->sk = sk;
			   __entry->sport = inet_sk(sk)->inet_num;
			   __entry->dport = ntohs(inet_sk(sk)->inet_dport);
			   __entry->rx = rx;
			   __entry->generation = generation;
			   __entry->seq = seq;
			   __entry->err = err;
	    ),
	    TP_printk("sk=%p sport=%u dport=%u %s generation=%u seq=%llu err=%d",
		      __entry->sk, __entry->sport, __entry->dport,
		      __entry->rx ? "rx" : "tx", __entry->generation,
		      __entry->seq, __entry->err)
);

TRACE_DEFINE_ENUM(TLS_ABORT_VERSION);
TRACE_DEFINE_ENUM(TLS_ABORT_LENGTH);
TRACE_DEFINE_ENUM(TLS_ABORT_TYPE);
TRACE_DEFINE_ENUM(TLS_ABORT_TAG);
TRACE_DEFINE_ENUM(TLS_ABORT_PADDING);
TRACE_DEFINE_ENUM(TLS_ABORT_TRUNCATED);
TRACE_DEFINE_ENUM(TLS_ABORT_SEQUENCE);
TRACE_DEFINE_ENUM(TLS_ABORT_CIPHER);

/* A direction has failed for good. */
TRACE_EVENT(tls_abort,
	    TP_PROTO(const struct sock *sk, bool rx, enum tls_counter reason,
		     int err),
	    TP_ARGS(sk, rx, reason, err),
	    TP_STRUCT__entry(__field(const void *, sk)
			     __field(u16, sport)
			     __field(u16, dport)
			     __field(bool, rx)
			     __field(int, reason)
			     __field(int, err)
	    ),
	    TP_fast_assign(__entry->sk = sk;
			   __entry->sport = inet_sk(sk)->inet_num;
			   __entry->dport = ntohs(inet_sk(sk)->inet_dport);
			   __entry->rx = rx;
			   __entry->reason = reason;
			   __entry->err = err;
	    ),
	    TP_printk("sk=%p sport=%u dport=%u %s reason=%s err=%d",
		      __entry->sk, __entry->sport, __entry->dport,
		      __entry->rx ? "rx" : "tx",
		      __print_symbolic(__entry->reason,
				       { TLS_ABORT_VERSION, "version" },
				       { TLS_ABORT_LENGTH, "length" },
				       { TLS_ABORT_TYPE, "type" },
				       { TLS_ABORT_TAG, "tag" },
				       { TLS_ABORT_PADDING, "padding" },
				       { TLS_ABORT_TRUNCATED, "truncated" },
				       { TLS_ABORT_SEQUENCE, "sequence" },
				       { TLS_ABORT_CIPHER, "cipher" }),
		      __entry->err)
);

/* A driver says that its device has lost its place. */
TRACE_EVENT(tls_device_lost,
	    TP_PROTO(const struct sock *sk, bool rx, u32 seq, u32 expected),
	    TP_ARGS(sk, rx, seq, expected),
	    TP_STRUCT__entry(__field(const void *, sk)
			     __field(u16, sport)
			     __field(u16, dport)
			     __field(bool, rx)
			     __field(u32, seq)
			     __field(u32, expected)
	    ),
	    TP_fast_assign(__entry->sk = sk;
			   __entry->sport = inet_sk(sk)->inet_num;
			   __entry->dport = ntohs(inet_sk(sk)->inet_dport);
			   __entry->rx = rx;
			   __entry->seq = seq;
			   __entry->expected = expected;
	    ),
	    TP_printk("sk=%p sport=%u dport=%u %s seq=%u expected=%u",
		      __entry->sk, __entry->sport, __entry->dport,
		      __entry->rx ? "rx" : "tx", __entry->seq,
		      __entry->expected)
);

/* A device was told where a record begins. */
TRACE_EVENT(tls_device_resync,
	    TP_PROTO(const struct sock *sk, bool rx, u32 seq, u64 sn, int err),
	    TP_ARGS(sk, rx, seq, sn, err),
	    TP_STRUCT__entry(__field(const void *, sk)
			     __field(u16, sport)
			     __field(u16, dport)
			     __field(bool, rx)
			     __field(u32, seq)
			     __field(u64, sn)
			     __field(int, err)
	    ),
	    TP_fast_assign(__entry->sk = sk;
			   __entry->sport = inet_sk(sk)->inet_num;
			   __entry->dport = ntohs(inet_sk(sk)->inet_dport);
			   __entry->rx = rx;
			   __entry->seq = seq;
			   __entry->sn = sn;
			   __entry->err = err;
	    ),
	    TP_printk("sk=%p sport=%u dport=%u %s seq=%u record=%llu err=%d",
		      __entry->sk, __entry->sport, __entry->dport,
		      __entry->rx ? "rx" : "tx", __entry->seq, __entry->sn,
		      __entry->err)
);

#endif /* _TLS_TRACE_H */

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
