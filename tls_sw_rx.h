/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What receiving in software owns: shared by the calls that read
 * (tls_sw_rx.c) and the way of one record to plaintext (tls_sw_open.c).
 */

#ifndef _TLS_SW_RX_H
#define _TLS_SW_RX_H

#include "tls.h"

/* Pieces of a record beyond which it is copied together before decryption. */
#define TLS_RX_PIECES		(MAX_SKB_FRAGS + 7)
/* Pages of the caller that one record is decrypted into. */
#define TLS_DIRECT_PAGES	8
/* Entries of the additional data, the text, and TLS 1.3's last byte. */
#define TLS_RX_DST		(1 + TLS_DIRECT_PAGES + 1)
/* Up to here, copying costs less than taking hold of the caller's pages. */
#define TLS_SMALL_RECORD	SZ_4K

/* Of a handshake message: its type, 24 bits of length (RFC 8446, 4). */
#define TLS_HANDSHAKE_HEADER_SIZE	4

/* Records that are not predicted after a miss: at first, and at most. */
#define TLS_BACKOFF_MIN		16
#define TLS_BACKOFF_MAX		4096

/**
 * struct tls_sw_rx - all that receiving owns
 * @rx: must be first
 * @key: the key of the next record
 * @device: a device may decrypt, or NULL
 * @old_key: what it decrypted with, when that is not @key any more
 * @old_until: nothing from this sequence number on was decrypted with it
 * @noted: one more than the number of the record that @device knows of
 * @how: whether the device has decrypted the record at the head
 * @strp: records in TCP's queue
 * @ready: decrypted records, not wholly read; see struct rx_msg
 * @ready_mem: memory of @ready, in bytes
 * @over: the socket's memory ran out for @ready: no looking further ahead
 * @unlinked: records that have left @ready, for who looked at it before
 * @empty: data records without text, in a row, that this call has taken
 * @data_ready: the socket's callback, while ours stands in its place
 * @err: why this direction has failed for good, or 0
 * @readable: a read would not block; poll looks at it without the lock
 * @again: a call has ended before what is readable: announce it once more
 * @key_update: the peer goes on under a key that we do not have yet
 * @handshake: TLS 1.3: header of the handshake message that has begun
 * @handshake_got: bytes of that header that have come
 * @handshake_left: bytes of that message still to come after its header
 * @skip: records still to come before the next prediction
 * @backoff: what @skip becomes at the next miss
 * @streak: predictions that came true since the last miss
 * @tail: the last byte of TLS 1.3's inner plaintext
 */
struct tls_sw_rx {
	struct tls_rx rx;
	struct tls_key *key;
	struct tls_device_rx *device;
	struct tls_key *old_key;
	u32 old_until;
	u64 noted;
	enum tls_decrypted how;
	struct tls_strp strp;
	struct sk_buff_head ready;
	unsigned int ready_mem;
	bool over;
	u64 unlinked;
	unsigned int empty;
	void (*data_ready)(struct sock *sk);
	int err;
	bool readable;
	bool again;
	bool key_update;
	u8 handshake[TLS_HANDSHAKE_HEADER_SIZE];
	u8 handshake_got;
	u32 handshake_left;
	u16 skip;
	u16 backoff;
	u16 streak;
	u8 tail;
};

/**
 * struct rx_msg - in the control block of a decrypted record
 * @offset: bytes of it that have been read
 * @charged: it is charged to the socket
 * @type: its content type
 */
struct rx_msg {
	unsigned int offset;
	bool charged;
	u8 type;
};

static inline struct rx_msg *rx_msg(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct rx_msg) > sizeof(skb->cb));
	return (struct rx_msg *)skb->cb;
}

static inline unsigned int unread(struct sk_buff *skb)
{
	return skb->len - rx_msg(skb)->offset;
}

static inline struct tls_sw_rx *sw_rx(const struct tls_rx *rx)
{
	return container_of((struct tls_rx *)rx, struct tls_sw_rx, rx);
}

int tls_rx_fail(struct sock *sk, struct tls_sw_rx *rx,
		enum tls_counter reason, int err);
int tls_rx_take(struct sock *sk, struct tls_sw_rx *rx,
		const struct tls_record *rec);
bool tls_rx_is_direct(struct sock *sk, struct tls_sw_rx *rx,
		      const struct tls_record *rec, const struct iov_iter *to);
bool tls_rx_is_decrypted(const struct tls_sw_rx *rx,
			 const struct tls_record *rec);
ssize_t tls_rx_take_decrypted(struct sock *sk, struct tls_sw_rx *rx,
			      const struct tls_record *rec,
			      struct iov_iter *to);
ssize_t tls_rx_take_direct(struct sock *sk, struct tls_sw_rx *rx,
			   const struct tls_record *rec, struct iov_iter *to);
bool tls_rx_is_small(const struct sock *sk, const struct tls_sw_rx *rx,
		     const struct tls_record *rec, const struct iov_iter *to);
ssize_t tls_rx_take_small(struct sock *sk, struct tls_sw_rx *rx,
			  const struct tls_record *rec, struct iov_iter *to);
ssize_t tls_rx_take_splice(struct sock *sk, struct tls_sw_rx *rx,
			   const struct tls_record *rec,
			   struct pipe_inode_info *pipe, size_t len);
void tls_rx_ready_drop(struct sock *sk, struct tls_sw_rx *rx,
		       struct sk_buff *skb);

#endif /* _TLS_SW_RX_H */
