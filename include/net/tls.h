/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kernel TLS: what the core of the network stack and drivers compile against.
 * The engine's own state is in net/tls/tls.h and stays there.
 */

#ifndef _NET_TLS_H
#define _NET_TLS_H

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/list.h>
#include <linux/netdevice.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/socket.h>
#include <linux/spinlock.h>
#include <linux/tcp.h>
#include <linux/types.h>
#include <net/inet_connection_sock.h>
#include <net/net_namespace.h>
#include <net/strparser.h>
#include <net/tcp.h>
#include <uapi/linux/tls.h>

#define TLS_MAX_PAYLOAD_SIZE	((size_t)1 << 14)	/* RFC 8446, 5.1 */
#define TLS_HEADER_SIZE		5
#define TLS_NONCE_OFFSET	TLS_HEADER_SIZE
#define TLS_TAG_SIZE		16
#define TLS_MAX_SALT_SIZE	4
#define TLS_MAX_IV_SIZE		16
#define TLS_MAX_REC_SEQ_SIZE	8
#define TLS_AAD_SPACE_SIZE	13			/* RFC 5246, 6.2.3.3 */
#define TLS_MAX_AAD_SIZE	TLS_AAD_SPACE_SIZE

/* Who encrypts or decrypts one direction of a socket. */
enum {
	TLS_BASE,
	TLS_SW,
	TLS_HW,
	TLS_HW_RECORD,
	TLS_NUM_CONFIG,
};

/* What both directions agree on; cipher_type is 0 until the first key. */
struct tls_prot_info {
	u16 version;
	u16 cipher_type;
	u16 prepend_size;
	u16 tag_size;
	u16 overhead_size;
	u16 iv_size;
	u16 salt_size;
	u16 rec_seq_size;
	u16 aad_size;
	u16 tail_size;
};

struct tls_offload_context_tx;
struct tls_offload_context_rx;

/**
 * struct tls_context - the upper layer protocol's state of one socket
 * @prot_info: version, cipher and the sizes that follow from them
 * @tx_conf: who encrypts: TLS_BASE (nobody yet), TLS_SW or TLS_HW
 * @rx_conf: who decrypts
 * @zerocopy_sendfile: TLS_TX_ZEROCOPY_RO
 * @rx_no_pad: TLS_RX_EXPECT_NO_PAD
 * @sk_proto: the operations of the socket underneath
 * @sk_write_space: its write-space callback, while ours stands in its place
 * @priv_ctx_tx: state of sending, NULL until TLS_TX is set
 * @priv_ctx_rx: state of receiving, NULL until TLS_RX is set
 * @netdev: the device that has this connection, or NULL; under RCU
 * @flags: enum tls_context_flags; atomic
 * @tx_max_payload: TLS_TX_MAX_PAYLOAD_LEN
 * @ops: the operation tables that this socket uses
 * @device: the tie to a device, from the first offload to the socket's end
 * @offload_tx: what the driver sees of sending
 * @offload_rx: what the driver sees of receiving
 * @rcu: defers freeing past readers in socket diag
 *
 * All of it is written under the socket lock. Socket diag reads it under RCU;
 * what it reads is written with WRITE_ONCE().
 */
struct tls_context {
	struct tls_prot_info prot_info;

	u8 tx_conf;
	u8 rx_conf;
	u8 zerocopy_sendfile;
	u8 rx_no_pad;

	struct proto *sk_proto;
	void (*sk_write_space)(struct sock *sk);

	void *priv_ctx_tx;
	void *priv_ctx_rx;
	struct net_device __rcu *netdev;
	unsigned long flags;

	u16 tx_max_payload;
	struct tls_ops *ops;
	struct tls_device *device;
	struct tls_offload_context_tx *offload_tx;
	struct tls_offload_context_rx *offload_rx;
	struct rcu_head rcu;
};

/* Under the socket lock, or under RCU in socket diag. */
static inline struct tls_context *tls_get_ctx(const struct sock *sk)
{
	return (__force void *)inet_csk(sk)->icsk_ulp_data;
}

static inline struct tls_context *tls_inet_ctx(const struct sock *sk)
{
	if (!sk_is_inet(sk) || !inet_test_bit(IS_ICSK, sk))
		return NULL;
	return tls_get_ctx(sk);
}

/* BPF asks these of any socket, with or without TLS. */
static inline bool tls_sw_has_ctx_tx(const struct sock *sk)
{
	const struct tls_context *ctx = tls_inet_ctx(sk);

	return ctx && ctx->priv_ctx_tx;
}

static inline bool tls_sw_has_ctx_rx(const struct sock *sk)
{
	const struct tls_context *ctx = tls_inet_ctx(sk);

	return ctx && ctx->priv_ctx_rx;
}

/*
 * ---- what drivers of devices compile against ----
 *
 * The driver's guide is Documentation/networking/tls-offload.rst.
 */

enum tls_offload_ctx_dir {
	TLS_OFFLOAD_CTX_DIR_RX,
	TLS_OFFLOAD_CTX_DIR_TX,
};

/* What a driver can take; see tlsdev_ops.capabilities. */
#define TLSDEV_CAP_TLS_1_3	BIT(0)

/**
 * struct tlsdev_ops - a device that encrypts or decrypts
 * @tls_dev_add: take a direction of a connection: its records begin at TCP
 *	sequence number start_offload_tcp_sn, with the keys and the number of
 *	the first record in crypto_info, valid for the call. May sleep. An
 *	error leaves the direction in software.
 * @tls_dev_del: forget it. May sleep.
 * @tls_dev_resync: the record that begins at TCP sequence number seq has the
 *	record number rcd_sn (8 bytes, big endian). For TX in process context,
 *	and may sleep; for RX under RCU, and may not.
 * @capabilities: TLSDEV_CAP_*: without them only TLS 1.2 connections come
 */
struct tlsdev_ops {
	int (*tls_dev_add)(struct net_device *netdev, struct sock *sk,
			   enum tls_offload_ctx_dir direction,
			   struct tls_crypto_info *crypto_info,
			   u32 start_offload_tcp_sn);
	void (*tls_dev_del)(struct net_device *netdev, struct tls_context *ctx,
			    enum tls_offload_ctx_dir direction);
	int (*tls_dev_resync)(struct net_device *netdev, struct sock *sk,
			      u32 seq, u8 *rcd_sn,
			      enum tls_offload_ctx_dir direction);
	unsigned long capabilities;
};

enum tls_context_flags {
	/* The driver waits for tls_dev_resync() of TX. */
	TLS_TX_SYNC_SCHED,
};

/**
 * struct tls_record_info - a record that TCP may have to send again
 * @list: in tls_offload_context_tx.records_list, by sequence number
 * @end_seq: TCP sequence number after its last byte
 * @len: its bytes; 0 for the start marker: what is before @end_seq was sent
 *	before the offload began
 * @num_frags: entries of @frags
 * @frags: header, plaintext, and room for the tag
 * @sn: its record number
 */
struct tls_record_info {
	struct list_head list;
	u32 end_seq;
	int len;
	int num_frags;
	skb_frag_t frags[MAX_SKB_FRAGS];
	u64 sn;
};

#define TLS_DRIVER_STATE_SIZE_TX	16

/**
 * struct tls_offload_context_tx - what a driver sees of sending
 * @lock: hold it (interrupts off) around tls_get_record() and the use of what
 *	it returned
 * @records_list: records not acknowledged yet
 * @marker: the start marker
 * @hint: where tls_get_record() found the last one
 * @marker_passed: the peer has acknowledged more than is before the marker
 * @driver_state: the driver's own
 */
struct tls_offload_context_tx {
	spinlock_t lock;	/* the list, and what is found in it */
	struct list_head records_list;
	struct tls_record_info marker;
	struct tls_record_info *hint;
	bool marker_passed;
	u8 driver_state[TLS_DRIVER_STATE_SIZE_TX] __aligned(8);
};

/* How a device that receives finds records again; see the driver's guide. */
enum tls_offload_sync_type {
	TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ = 0,
	TLS_OFFLOAD_SYNC_TYPE_CORE_NEXT_HINT = 1,
	TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ_ASYNC = 2,
};

/**
 * struct tls_offload_resync_async - a request that is answered later
 * @req: sequence number (32 bits), length (16 bits), RESYNC_REQ_* bits
 */
struct tls_offload_resync_async {
	atomic64_t req;
};

#define TLS_DRIVER_STATE_SIZE_RX	8

/**
 * struct tls_offload_context_rx - what a driver sees of receiving
 * @resync_type: which kind of resync the driver wants
 * @resync_req: TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ: what it asks
 * @resync_async: TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ_ASYNC: the same
 * @driver_state: the driver's own
 */
struct tls_offload_context_rx {
	enum tls_offload_sync_type resync_type;
	atomic64_t resync_req;
	struct tls_offload_resync_async *resync_async;
	u8 driver_state[TLS_DRIVER_STATE_SIZE_RX] __aligned(8);
};

static inline struct tls_offload_context_tx *
tls_offload_ctx_tx(const struct tls_context *ctx)
{
	return ctx->offload_tx;
}

static inline struct tls_offload_context_rx *
tls_offload_ctx_rx(const struct tls_context *ctx)
{
	return ctx->offload_rx;
}

static inline void *__tls_driver_ctx(struct tls_context *ctx,
				     enum tls_offload_ctx_dir direction)
{
	return direction == TLS_OFFLOAD_CTX_DIR_TX ?
	       (void *)ctx->offload_tx->driver_state :
	       (void *)ctx->offload_rx->driver_state;
}

static inline void *tls_driver_ctx(const struct sock *sk,
				   enum tls_offload_ctx_dir direction)
{
	return __tls_driver_ctx(tls_get_ctx(sk), direction);
}

static inline bool tls_record_is_start_marker(struct tls_record_info *rec)
{
	return !rec->len;
}

static inline u32 tls_record_start_seq(struct tls_record_info *rec)
{
	return rec->end_seq - rec->len;
}

#define RESYNC_REQ		BIT(0)
#define RESYNC_REQ_ASYNC	BIT(1)

/* Is there a record whose header ends at sequence number @seq? Softirq. */
static inline void tls_offload_rx_resync_request(struct sock *sk, __be32 seq)
{
	struct tls_offload_context_rx *rx = tls_offload_ctx_rx(tls_get_ctx(sk));

	atomic64_set(&rx->resync_req, (u64)ntohl(seq) << 32 | RESYNC_REQ);
}

/* Note where records begin from @seq on, for @len bytes. */
static inline void
tls_offload_rx_resync_async_request_start(struct tls_offload_resync_async *resync_async,
					  __be32 seq, u16 len)
{
	atomic64_set(&resync_async->req,
		     (u64)ntohl(seq) << 32 | (u64)len << 16 |
		     RESYNC_REQ | RESYNC_REQ_ASYNC);
}

/* Does a record begin at @seq, as noted since the request's start? */
static inline void
tls_offload_rx_resync_async_request_end(struct tls_offload_resync_async *resync_async,
					__be32 seq)
{
	atomic64_set(&resync_async->req, (u64)ntohl(seq) << 32 | RESYNC_REQ);
}

static inline void
tls_offload_rx_resync_async_request_cancel(struct tls_offload_resync_async *resync_async)
{
	atomic64_set(&resync_async->req, 0);
}

static inline void tls_offload_rx_resync_set_type(struct sock *sk,
						  enum tls_offload_sync_type type)
{
	tls_offload_ctx_rx(tls_get_ctx(sk))->resync_type = type;
}

/* Has the driver asked for a resync of TX that has not come yet? */
static inline bool tls_offload_tx_resync_pending(struct sock *sk)
{
	/* Whoever sees that it came sees what it brought. */
	return test_bit_acquire(TLS_TX_SYNC_SCHED, &tls_get_ctx(sk)->flags);
}

struct tls_record_info *tls_get_record(struct tls_offload_context_tx *context,
				       u32 seq, u64 *p_record_sn);
struct sk_buff *tls_encrypt_skb(struct sk_buff *skb);
struct sk_buff *tls_validate_xmit_skb(struct sock *sk, struct net_device *dev,
				      struct sk_buff *skb);
struct sk_buff *tls_validate_xmit_skb_sw(struct sock *sk,
					 struct net_device *dev,
					 struct sk_buff *skb);

#ifdef CONFIG_TLS_DEVICE
void tls_device_sk_destruct(struct sock *sk);
void tls_offload_tx_resync_request(struct sock *sk, u32 got_seq, u32 exp_seq);

/*
 * Must the device encrypt this segment? Then it is plaintext. That holds too
 * for what a device has been given before its connection left it.
 */
static inline bool tls_is_skb_tx_device_offloaded(const struct sk_buff *skb)
{
	struct sk_buff *(*validate)(struct sock *sk, struct net_device *dev,
				    struct sk_buff *skb);
	struct sock *sk = skb->sk;

	if (!skb_is_decrypted((struct sk_buff *)skb) || !sk || !sk_fullsock(sk))
		return false;
	/* Pairs with tls_device_tx_new(). */
	validate = smp_load_acquire(&sk->sk_validate_xmit_skb);
	return validate == tls_validate_xmit_skb ||
	       validate == tls_validate_xmit_skb_sw;
}

static inline bool tls_is_sk_rx_device_offloaded(struct sock *sk)
{
	return sk_fullsock(sk) &&
	       /* Pairs with the tie of the socket to its device. */
	       smp_load_acquire(&sk->sk_destruct) == tls_device_sk_destruct &&
	       tls_get_ctx(sk)->rx_conf == TLS_HW;
}
#else
static inline bool tls_is_skb_tx_device_offloaded(const struct sk_buff *skb)
{
	return false;
}
#endif

#endif /* _NET_TLS_H */
