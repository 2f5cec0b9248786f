/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Kernel TLS: what the core of the network stack and drivers compile against.
 * The engine's own state is in net/tls/tls.h and stays there.
 */

#ifndef _NET_TLS_H
#define _NET_TLS_H

#include <linux/rcupdate.h>
#include <linux/socket.h>
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
 * @tx_max_payload: TLS_TX_MAX_PAYLOAD_LEN
 * @ops: the operation tables that this socket uses
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

	u16 tx_max_payload;
	struct tls_ops *ops;
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
 * Bonding asks whether a device encrypts this segment. No device does until
 * the kernel has TLS_DEVICE.
 */
static inline bool tls_is_skb_tx_device_offloaded(const struct sk_buff *skb)
{
	return false;
}

#endif /* _NET_TLS_H */
