// SPDX-License-Identifier: GPL-2.0
/*
 * The software engine, receiving: records in, plaintext out.
 *
 * A record is decrypted from where TCP queued it, while the socket lock is
 * held: straight into the caller's buffer when all of it fits there, else into
 * new memory that waits in @ready until it has been read. What was received is
 * never written, as others may share its pages.
 *
 * TLS 1.3 hides the content type and padding behind the ciphertext. So for a
 * record that could go straight to the caller, unpadded data is predicted. A
 * miss is decrypted again into memory, and then nothing is predicted for a
 * while that doubles with each further miss.
 */

#include <linux/net.h>
#include <linux/sched/signal.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include <linux/unaligned.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <trace/events/sock.h>

#include "tls.h"
#include "trace.h"

/* Pieces of a record beyond which it is copied together before decryption. */
#define TLS_RX_PIECES		(MAX_SKB_FRAGS + 7)
/* Pages of the caller that one record is decrypted into. */
#define TLS_DIRECT_PAGES	8
/* Records without data that one call reads before it looks up. */
#define TLS_EMPTY_RECORDS	64

/* How often a sleeper looks that waits for SO_RCVLOWAT. */
#define TLS_LOWAT_SLICE		((long)HZ / 10)

/* Records that are not predicted after a miss: at first, and at most. */
#define TLS_BACKOFF_MIN		16
#define TLS_BACKOFF_MAX		4096

#define TLS_HANDSHAKE_KEY_UPDATE	24	/* RFC 8446, 4 */
#define TLS_HANDSHAKE_HEADER_SIZE	4	/* its type, 24 bits of length */

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
 * @src: what the cipher reads: additional data, the record in TCP's queue
 * @dst: what it writes: additional data, text, @tail
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
	struct scatterlist src[1 + TLS_RX_PIECES];
	struct scatterlist dst[1 + TLS_DIRECT_PAGES + 1];
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

static struct rx_msg *rx_msg(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct rx_msg) > sizeof(skb->cb));
	return (struct rx_msg *)skb->cb;
}

static unsigned int unread(struct sk_buff *skb)
{
	return skb->len - rx_msg(skb)->offset;
}

static struct tls_sw_rx *sw_rx(const struct tls_rx *rx)
{
	return container_of((struct tls_rx *)rx, struct tls_sw_rx, rx);
}

/* Nothing that comes after this point of the stream is ever delivered. */
static int rx_fail(struct sock *sk, struct tls_sw_rx *rx, int err)
{
	trace_tls_abort(sk, true, err);
	WRITE_ONCE(rx->err, err);
	WRITE_ONCE(rx->readable, true);
	sk_error_report(sk);
	return err;
}

/* Look at the head of the stream; socket lock held, any context. */
static int rx_next(struct sock *sk, struct tls_sw_rx *rx,
		   struct tls_record *rec, gfp_t gfp)
{
	int ret;

	if (rx->err)
		return rx->err;
	if (rx->key_update)
		return -EKEYEXPIRED;
	ret = tls_strp_next(&rx->strp, &rx->key->framing, rec, gfp);
	return ret < 0 && ret != -ENOMEM ? rx_fail(sk, rx, ret) : ret;
}

/* TCP has received something: is it worth waking a reader? */
static void tls_data_ready(struct sock *sk)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	struct tls_sw_rx *rx;
	struct tls_record rec;
	int ret;

	trace_sk_data_ready(sk);
	if (!ctx || !ctx->priv_ctx_rx)
		return;
	rx = sw_rx(ctx->priv_ctx_rx);

	ret = rx_next(sk, rx, &rec, GFP_ATOMIC);
	if (!ret || ret == -EKEYEXPIRED)
		return;
	/* For want of memory here, the reader looks itself. */
	WRITE_ONCE(rx->readable, true);
	rx->data_ready(sk);
}

/* After reading: what does poll say now? */
static void rx_update(struct sock *sk, struct tls_sw_rx *rx)
{
	struct tls_record rec;
	bool readable = !skb_queue_empty(&rx->ready);

	if (!readable) {
		int ret = rx_next(sk, rx, &rec, GFP_ATOMIC);

		readable = ret && ret != -EKEYEXPIRED;
	}
	WRITE_ONCE(rx->readable, readable);
	if (rx->again) {
		void (*announce)(struct sock *sk) = READ_ONCE(sk->sk_data_ready);

		rx->again = false;
		if (readable)
			announce(sk);
	}
}

/*
 * Sleep until TCP has received something. With SO_RCVLOWAT, TCP is silent while
 * it holds fewer bytes than that; it does not know what this call has taken
 * already, nor that a record is larger than its text. So look now and then.
 */
static void rx_sleep(struct sock *sk, long *timeo)
{
	long slice = *timeo;
	long left;

	if (READ_ONCE(sk->sk_rcvlowat) > 1)
		slice = min(slice, TLS_LOWAT_SLICE);
	left = slice;
	sk_wait_data(sk, &left, skb_peek_tail(&sk->sk_receive_queue));
	if (*timeo != MAX_SCHEDULE_TIMEOUT)
		*timeo -= slice - left;
}

/*
 * Wait for a record. The socket lock is given up meanwhile.
 *
 * @seen: the last record in @ready that the caller knows, or NULL
 * @unlinked: tls_sw_rx.unlinked as the caller knows it
 *
 * Return: 1 with @rec complete at the head of the stream, or with @ready not
 * as the caller knows it; 0 at the end of the stream; or an error, -EAGAIN
 * when the time is over.
 */
static int rx_wait(struct sock *sk, struct tls_sw_rx *rx,
		   const struct sk_buff *seen, u64 unlinked,
		   struct tls_record *rec, long *timeo)
{
	for (;;) {
		int ret;

		if (rx->unlinked != unlinked ||
		    skb_peek_tail(&rx->ready) != seen)
			return 1;
		ret = rx_next(sk, rx, rec, sk->sk_allocation);
		if (ret)
			return ret;
		/* A record that the peer's FIN cuts short is not the end. */
		if (sock_flag(sk, SOCK_DONE))
			return tls_strp_partial(&rx->strp) ?
			       rx_fail(sk, rx, -EBADMSG) : 0;
		if (sk->sk_err)
			return -sk->sk_err;
		if (sk->sk_shutdown & RCV_SHUTDOWN)
			return 0;
		if (sk->sk_state == TCP_CLOSE)
			return -ENOTCONN;
		if (!*timeo)
			return -EAGAIN;
		if (signal_pending(current))
			return sock_intr_errno(*timeo);
		rx_sleep(sk, timeo);
	}
}

/*
 * The device has decrypted the record at the head of the stream, and found it
 * authentic: its text only needs to be copied.
 */
static int rx_copy(struct sock *sk, struct tls_sw_rx *rx, int nents)
{
	struct tls_framing *f = &rx->key->framing;
	unsigned int at = f->prepend;
	struct sg_mapping_iter to;
	int err = 0;

	if (unlikely(f->exhausted))
		return rx_fail(sk, rx, -EBADMSG);
	sg_miter_start(&to, rx->dst + 1, nents + (f->tail ? 1 : 0),
		       SG_MITER_TO_SG);
	while (!err && sg_miter_next(&to)) {
		err = tls_strp_copy(&rx->strp, at, to.addr, to.length);
		at += to.length;
	}
	sg_miter_stop(&to);
	if (err)
		return rx_fail(sk, rx, -EBADMSG);
	tls_framing_advance(f);
	return 0;
}

/*
 * The device has decrypted parts of the record at the head of the stream, or
 * has done so with another key: make it what the peer sent.
 */
static int rx_restore(struct sock *sk, struct tls_sw_rx *rx,
		      const struct tls_record *rec, const u8 *explicit_nonce)
{
	unsigned int skip = rx->key->framing.prepend;
	struct tls_key *key = rx->old_key ?: rx->key;
	struct scatterlist dst[2];
	int used, err;
	u8 *buf;

	if (!rx->strp.held) {
		err = tls_strp_hold(&rx->strp, rec, sk->sk_allocation);
		if (err)
			return err;
	}
	buf = kvmalloc(rec->text_len + TLS_TAG_SIZE, sk->sk_allocation);
	if (!buf)
		return -ENOMEM;
	sg_init_table(dst, ARRAY_SIZE(dst));
	sg_set_buf(&dst[1], buf, rec->text_len + TLS_TAG_SIZE);
	used = tls_strp_map(&rx->strp, skip, rec->text_len, rx->src + 1,
			    TLS_RX_PIECES);
	err = used < 0 ? used : 0;
	if (!err) {
		sg_mark_end(&rx->src[used]);
		err = tls_key_again(key, rx->src, dst, rec, explicit_nonce,
				    sk->sk_allocation);
		if (used != TLS_RX_PIECES)
			sg_unmark_end(&rx->src[used]);
	}
	if (!err)
		tls_strp_restore(&rx->strp, buf, skip, rec->text_len);
	kvfree_sensitive(buf, rec->text_len + TLS_TAG_SIZE);
	return err;
}

/*
 * What has the device done with the record at the head of the stream?
 *
 * Return: 1 when its text is there; 0 when it is to be decrypted; or an error.
 */
static int rx_from_device(struct sock *sk, struct tls_sw_rx *rx,
			  const struct tls_record *rec,
			  const u8 *explicit_nonce)
{
	u64 sn = rx->key->framing.seq;

	rx->how = tls_strp_decrypted(&rx->strp, rec);
	if (rx->noted != sn + 1) {
		rx->noted = sn + 1;
		tls_device_rx_record(sk, rx->device, tls_strp_seq(&rx->strp),
				     sn);
	}
	if (rx->how == TLS_ENCRYPTED)
		return 0;
	if (rx->how == TLS_DECRYPTED && !rx->old_key)
		return 1;
	return rx_restore(sk, rx, rec, explicit_nonce);
}

/*
 * Decrypt the record at the head of the stream. Entries 1 to @nents of @dst
 * are set to receive its text, but for TLS 1.3's last byte.
 *
 * Return: 0; -EBADMSG, and the direction has failed; -ENOMEM, and the record
 * can be tried again.
 */
static int rx_open(struct sock *sk, struct tls_sw_rx *rx,
		   const struct tls_record *rec, int nents)
{
	const struct tls_framing *f = &rx->key->framing;
	unsigned int skip = f->prepend;
	unsigned int len = rec->full_len - skip;
	u8 explicit_nonce[TLS_EXPLICIT_NONCE_SIZE];
	int used, err;

	if (skip > TLS_HEADER_SIZE &&
	    tls_strp_copy(&rx->strp, TLS_HEADER_SIZE, explicit_nonce,
			  skip - TLS_HEADER_SIZE))
		return rx_fail(sk, rx, -EBADMSG);

	if (f->tail)
		sg_set_buf(&rx->dst[nents + 1], &rx->tail, 1);
	if (rx->device) {
		err = rx_from_device(sk, rx, rec, explicit_nonce);
		if (err)
			return err > 0 ? rx_copy(sk, rx, nents) : err;
	}

	used = tls_strp_map(&rx->strp, skip, len, rx->src + 1, TLS_RX_PIECES);
	if (used == -EMSGSIZE) {
		err = tls_strp_hold(&rx->strp, rec, sk->sk_allocation);
		if (err)
			return err;
		used = tls_strp_map(&rx->strp, skip, len, rx->src + 1,
				    TLS_RX_PIECES);
	}
	if (used < 0)
		return rx_fail(sk, rx, -EBADMSG);

	if (f->tail)
		nents++;
	sg_mark_end(&rx->src[used]);
	sg_mark_end(&rx->dst[nents]);
	err = tls_key_open(rx->key, rx->src, rx->dst, rec, explicit_nonce,
			   sk->sk_allocation);
	sg_unmark_end(&rx->dst[nents]);
	if (used != TLS_RX_PIECES)
		sg_unmark_end(&rx->src[used]);

	if (!err || err == -ENOMEM)
		return err;
	tls_count(sk, TLS_DECRYPT_ERROR, 1);
	return rx_fail(sk, rx, -EBADMSG);
}

/* The record at the head of the stream has been read. */
static void rx_done(struct sock *sk, struct tls_sw_rx *rx,
		    const struct tls_record *rec)
{
	tls_strp_done(&rx->strp, rec);
	if (likely(!rx->device))
		return;
	tls_device_rx_done(sk, rx->device, rx->how, rx->key->framing.seq,
			   tls_strp_partial(&rx->strp));
	if (!rx->old_key)
		return;
	tls_framing_advance(&rx->old_key->framing);
	if (!before(tls_strp_seq(&rx->strp), rx->old_until)) {
		tls_key_free(rx->old_key);
		rx->old_key = NULL;
		tls_device_rx_restart(sk, rx->device, rx->key);
	}
}

/*
 * TLS 1.3: find the content type, and drop it and the padding before it.
 *
 * Return: 0, or -EBADMSG when there is none (RFC 8446, 5.4) or the text is
 * too long.
 */
static int rx_inner_type(struct tls_sw_rx *rx, struct sk_buff *skb)
{
	unsigned int len = skb->len;
	int i;

	if (rx->tail) {
		rx_msg(skb)->type = rx->tail;
		return 0;
	}
	for (i = skb_shinfo(skb)->nr_frags - 1; i >= 0; i--) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];
		const u8 *text = skb_frag_address(frag);
		unsigned int size = skb_frag_size(frag);
		unsigned int end = tls_padding_skip(text, size);

		len -= size - end;
		if (end) {
			rx_msg(skb)->type = text[end - 1];
			return pskb_trim(skb, len - 1);
		}
	}
	return -EBADMSG;
}

/* Put a decrypted record behind @ready, charged to the socket if it can be. */
static void rx_ready_add(struct sock *sk, struct tls_sw_rx *rx,
			 struct sk_buff *skb)
{
	rx_msg(skb)->charged = sk_rmem_schedule(sk, skb, skb->truesize);
	if (rx_msg(skb)->charged)
		sk_mem_charge(sk, skb->truesize);
	else
		rx->over = true;
	rx->ready_mem += skb->truesize;
	__skb_queue_tail(&rx->ready, skb);
}

/* The first record in @ready goes. */
static void rx_ready_drop(struct sock *sk, struct tls_sw_rx *rx,
			  struct sk_buff *skb)
{
	__skb_unlink(skb, &rx->ready);
	rx->unlinked++;
	rx->ready_mem -= skb->truesize;
	if (rx_msg(skb)->charged)
		sk_mem_uncharge(sk, skb->truesize);
	if (skb_queue_empty(&rx->ready))
		rx->over = false;
	consume_skb(skb);
}

/*
 * TLS 1.3: walk over the handshake messages in a record. Several may share one,
 * and one may go on in the next (RFC 8446, 5.1).
 *
 * Return: whether a KeyUpdate ends here, after which the key is another.
 */
static bool rx_has_key_update(struct tls_sw_rx *rx, const struct sk_buff *skb)
{
	unsigned int at = 0;

	while (at < skb->len) {
		unsigned int n;

		if (rx->handshake_got < TLS_HANDSHAKE_HEADER_SIZE) {
			n = min(TLS_HANDSHAKE_HEADER_SIZE - rx->handshake_got,
				skb->len - at);
			skb_copy_bits(skb, at,
				      rx->handshake + rx->handshake_got, n);
			at += n;
			rx->handshake_got += n;
			if (rx->handshake_got < TLS_HANDSHAKE_HEADER_SIZE)
				break;
			rx->handshake_left =
				get_unaligned_be24(rx->handshake + 1);
		}
		n = min(rx->handshake_left, skb->len - at);
		at += n;
		rx->handshake_left -= n;
		if (rx->handshake_left)
			break;
		rx->handshake_got = 0;
		if (rx->handshake[0] == TLS_HANDSHAKE_KEY_UPDATE)
			return true;
	}
	return false;
}

/*
 * Decrypt the record at the head of the stream into memory, behind @ready.
 * Data that is empty does not go there: there is nothing to read.
 *
 * Return: 0; 1 when it was empty; or an error.
 */
static int rx_take(struct sock *sk, struct tls_sw_rx *rx,
		   const struct tls_record *rec)
{
	const struct tls_framing *f = &rx->key->framing;
	unsigned int len = rec->text_len - f->tail;
	struct sk_buff *skb;
	int err, i;

	skb = alloc_skb_with_frags(0, len, PAGE_ALLOC_COSTLY_ORDER, &err,
				   sk->sk_allocation);
	if (!skb)
		return -ENOMEM;
	skb->len = len;
	skb->data_len = len;
	rx_msg(skb)->offset = 0;
	rx_msg(skb)->type = rec->type;
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

		sg_set_page(&rx->dst[1 + i], skb_frag_page(frag),
			    skb_frag_size(frag), skb_frag_off(frag));
	}

	err = rx_open(sk, rx, rec, i);
	if (!err && f->tail) {
		err = rx_inner_type(rx, skb);
		if (err)
			rx_fail(sk, rx, err);
	}
	if (err) {
		kfree_skb(skb);
		return err;
	}
	trace_tls_record_received(sk, rx_msg(skb)->type, skb->len, f->seq - 1);
	rx_done(sk, rx, rec);
	if (!skb->len && rx_msg(skb)->type == TLS_RECORD_TYPE_DATA) {
		consume_skb(skb);
		return 1;
	}

	if (f->version == TLS_1_3_VERSION &&
	    rx_msg(skb)->type == TLS_RECORD_TYPE_HANDSHAKE &&
	    rx_has_key_update(rx, skb)) {
		tls_count(sk, TLS_RX_REKEY_RECEIVED, 1);
		rx->key_update = true;
	}
	rx_ready_add(sk, rx, skb);
	return 0;
}

/* Would this record, if it is what we expect, go straight to the caller? */
static bool rx_is_direct(struct sock *sk, struct tls_sw_rx *rx,
			 const struct tls_record *rec,
			 const struct iov_iter *to)
{
	unsigned int len = rec->text_len - rx->key->framing.tail;

	if (!len || len > iov_iter_count(to) ||
	    rec->type != TLS_RECORD_TYPE_DATA)
		return false;
	/* CCM verifies what it has written: the caller must not write too. */
	if (rx->key->framing.cipher->ccm)
		return false;
	if (rx->key->framing.version == TLS_1_3_VERSION && rx->skip &&
	    !tls_get_ctx(sk)->rx_no_pad) {
		rx->skip--;
		return false;
	}
	return true;
}

/* Was the prediction right? */
static bool rx_predicted(struct sock *sk, struct tls_sw_rx *rx,
			 const struct tls_record *rec)
{
	if (!rx->key->framing.tail)
		return true;
	if (rx->tail == TLS_RECORD_TYPE_DATA) {
		if (rx->backoff > TLS_BACKOFF_MIN &&
		    ++rx->streak >= rx->backoff) {
			rx->backoff = TLS_BACKOFF_MIN;
			rx->streak = 0;
		}
		return true;
	}

	trace_tls_decrypt_retry(sk, rx->tail, rec->text_len,
				rx->key->framing.seq);
	tls_count(sk, TLS_DECRYPT_RETRY, 1);
	if (!rx->tail && tls_get_ctx(sk)->rx_no_pad)
		tls_count(sk, TLS_RX_NO_PAD_VIOLATION, 1);
	rx->skip = rx->backoff;
	rx->backoff = min(rx->backoff * 2, TLS_BACKOFF_MAX);
	rx->streak = 0;
	return false;
}

/*
 * Decrypt the record at the head of the stream straight into the caller's
 * buffer.
 *
 * Return: bytes delivered; 0 when the buffer or the record is not suited, and
 * nothing has happened; or an error.
 */
static ssize_t rx_take_direct(struct sock *sk, struct tls_sw_rx *rx,
			      const struct tls_record *rec, struct iov_iter *to)
{
	const struct tls_framing *f = &rx->key->framing;
	unsigned int len = rec->text_len - f->tail;
	struct page *pages[TLS_DIRECT_PAGES];
	unsigned int got = 0;
	int n = 0, err = -EFAULT;
	bool predicted = true;

	while (got < len && n < TLS_DIRECT_PAGES) {
		struct page **some = pages + n;
		size_t offset, left;
		ssize_t ret;

		ret = iov_iter_extract_pages(to, &some, len - got,
					     TLS_DIRECT_PAGES - n, 0, &offset);
		if (ret <= 0)
			break;
		got += ret;
		for (left = ret; left; offset = 0) {
			size_t part = min(left, PAGE_SIZE - offset);

			sg_set_page(&rx->dst[1 + n], pages[n], part, offset);
			n++;
			left -= part;
		}
	}

	if (got == len) {
		struct tls_framing before = *f;

		err = rx_open(sk, rx, rec, n);
		if (!err) {
			predicted = rx_predicted(sk, rx, rec);
			if (!predicted)
				rx->key->framing = before;
		}
	}
	if (iov_iter_extract_will_pin(to))
		unpin_user_pages_dirty_lock(pages, n, true);

	if (!err && predicted) {
		trace_tls_record_received(sk, TLS_RECORD_TYPE_DATA, len,
					  f->seq - 1);
		rx_done(sk, rx, rec);
		return len;
	}
	iov_iter_revert(to, got);
	if (err == -EBADMSG) {
		/* What is not authentic does not stay with the caller. */
		iov_iter_revert(to, iov_iter_zero(len, to));
		return err;
	}
	return err == -EFAULT || !err ? 0 : err;
}

/* @n bytes of the first record in @ready have been read. */
static void rx_consume(struct sock *sk, struct tls_sw_rx *rx,
		       struct sk_buff *skb, unsigned int n)
{
	rx_msg(skb)->offset += n;
	if (!unread(skb))
		rx_ready_drop(sk, rx, skb);
}

/*
 * What a call returns. TCP's pending error is taken only when it is told.
 */
static ssize_t rx_result(struct sock *sk, ssize_t copied, int ret)
{
	if (copied)
		return copied;
	if (ret < 0 && ret == -sk->sk_err)
		return sock_error(sk);
	return ret;
}

/*
 * The peer sends many records without data. They may not hold a reader that
 * does not wait, is signalled, or whose time is over.
 *
 * Return: 0 to go on, or an error.
 */
static int rx_flooded(struct tls_sw_rx *rx, long timeo, unsigned long since)
{
	/* Whoever waits for an edge of poll must see one for the rest. */
	rx->again = true;
	if (signal_pending(current))
		return sock_intr_errno(timeo);
	if (!timeo || (timeo != MAX_SCHEDULE_TIMEOUT &&
		       time_after(jiffies, since + timeo)))
		return -EAGAIN;
	rx->again = false;
	cond_resched();
	return 0;
}

/*
 * The first record in @ready, waiting for it. Data that is empty is skipped.
 *
 * Return: 1 with @skb set; 0 at the end of the stream; or an error.
 */
static int rx_first(struct sock *sk, struct tls_sw_rx *rx,
		    struct sk_buff **skb, long *timeo)
{
	unsigned long since = jiffies;
	struct tls_record rec;
	int empty = 0;
	int ret;

	for (;;) {
		u64 unlinked = rx->unlinked;

		*skb = skb_peek(&rx->ready);
		if (*skb)
			return 1;
		ret = rx_wait(sk, rx, NULL, unlinked, &rec, timeo);
		if (ret <= 0)
			return ret;
		/* Another reader came while we waited: there is no @rec. */
		if (unlinked != rx->unlinked || !skb_queue_empty(&rx->ready))
			continue;
		ret = rx_take(sk, rx, &rec);
		if (ret > 0)
			ret = ++empty % TLS_EMPTY_RECORDS ? 0 :
			      rx_flooded(rx, *timeo, since);
		if (ret)
			return ret;
	}
}

/*
 * Tell the content type of what this call returns.
 *
 * Return: 0, or -EIO when it is not data and there is no room to tell.
 */
static int rx_tell_type(struct msghdr *msg, u8 type)
{
	bool told = false;

	if (msg->msg_controllen)
		told = !put_cmsg(msg, SOL_TLS, TLS_GET_RECORD_TYPE,
				 sizeof(type), &type) &&
		       !(msg->msg_flags & MSG_CTRUNC);
	if (told || type == TLS_RECORD_TYPE_DATA)
		return 0;
	/* Sunrpc looks for this, and then reads again with room. */
	msg->msg_flags |= MSG_CTRUNC;
	return -EIO;
}

/**
 * struct rx_call - how far one recvmsg() has come
 * @msg: where to
 * @len: bytes wanted
 * @target: bytes to wait for
 * @copied: bytes delivered
 * @type: their content type, or -1 while it is open
 * @seen: MSG_PEEK: the last record in @ready that was looked at
 * @unlinked: tls_sw_rx.unlinked when this call last looked
 * @empty: records without data, in a row
 */
struct rx_call {
	struct msghdr *msg;
	size_t len;
	size_t target;
	size_t copied;
	int type;
	struct sk_buff *seen;
	u64 unlinked;
	unsigned int empty;
};

/*
 * Deliver from a decrypted record.
 *
 * Return: 1 to go on, 0 when the call is done, or an error.
 */
static int rx_deliver(struct sock *sk, struct tls_sw_rx *rx,
		      struct rx_call *call, struct sk_buff *skb, int flags)
{
	u8 type = rx_msg(skb)->type;
	size_t n = min_t(size_t, call->len - call->copied, unread(skb));

	if (call->type < 0) {
		int err = rx_tell_type(call->msg, type);

		if (err)
			return err;
		call->type = type;
	} else if (call->type != type) {
		return 0;
	}
	if (!(flags & MSG_TRUNC) &&
	    skb_copy_datagram_msg(skb, rx_msg(skb)->offset, call->msg, n))
		return -EFAULT;
	call->copied += n;
	call->empty = 0;
	if (type != TLS_RECORD_TYPE_DATA) {
		if (n == unread(skb))
			call->msg->msg_flags |= MSG_EOR;
		if (!(flags & MSG_PEEK))
			rx_consume(sk, rx, skb, n);
		return 0;
	}
	if (flags & MSG_PEEK)
		call->seen = skb;
	else
		rx_consume(sk, rx, skb, n);
	return call->copied < call->len;
}

/* The next record in @ready that this call has not looked at. */
static struct sk_buff *rx_ready(struct tls_sw_rx *rx, struct rx_call *call)
{
	if (!call->seen)
		return skb_peek(&rx->ready);
	if (skb_queue_is_last(&rx->ready, call->seen))
		return NULL;
	return skb_queue_next(&rx->ready, call->seen);
}

/*
 * One step of recvmsg(): deliver from one record, or get one.
 *
 * Return: 1 to go on, 0 when the call is done, or an error.
 */
static int rx_step(struct sock *sk, struct tls_sw_rx *rx, struct rx_call *call,
		   int flags, long *timeo)
{
	long no_time = 0;
	struct tls_record rec;
	struct sk_buff *skb;
	ssize_t n;
	int ret;

	/* Another reader took what we had looked at, while we waited. */
	if (call->seen && call->unlinked != rx->unlinked) {
		if (call->copied)
			return 0;
		call->seen = NULL;
	}
	call->unlinked = rx->unlinked;

	skb = rx_ready(rx, call);
	if (skb)
		return rx_deliver(sk, rx, call, skb, flags);

	/* Peeking far ahead must not hold more than the socket may. */
	if (call->copied && flags & MSG_PEEK &&
	    (rx->over || rx->ready_mem > READ_ONCE(sk->sk_rcvbuf)))
		return 0;

	ret = rx_wait(sk, rx, call->seen, call->unlinked, &rec,
		      call->copied < call->target ? timeo : &no_time);
	if (ret <= 0)
		return ret;
	if (call->unlinked != rx->unlinked ||
	    skb_peek_tail(&rx->ready) != call->seen)
		return 1;

	if (!(flags & (MSG_PEEK | MSG_TRUNC)) &&
	    (call->type < 0 || call->type == TLS_RECORD_TYPE_DATA) &&
	    rx_is_direct(sk, rx, &rec, &call->msg->msg_iter)) {
		n = rx_take_direct(sk, rx, &rec, &call->msg->msg_iter);
		if (n < 0)
			return n;
		if (n) {
			if (call->type < 0)
				rx_tell_type(call->msg, TLS_RECORD_TYPE_DATA);
			call->type = TLS_RECORD_TYPE_DATA;
			call->copied += n;
			call->empty = 0;
			return call->copied < call->len;
		}
	}
	ret = rx_take(sk, rx, &rec);
	if (ret < 0)
		return ret;
	call->empty += ret;
	return 1;
}

static int sw_recvmsg(struct sock *sk, struct tls_rx *base, struct msghdr *msg,
		      size_t len, int flags)
{
	struct tls_sw_rx *rx = sw_rx(base);
	struct rx_call call = { .msg = msg, .len = len, .type = -1 };
	unsigned long since = jiffies;
	long timeo;
	int ret;

	lock_sock(sk);
	timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	call.target = sock_rcvlowat(sk, flags & MSG_WAITALL, len);

	do {
		ret = rx_step(sk, rx, &call, flags, &timeo);
		if (ret > 0 && call.empty >= TLS_EMPTY_RECORDS) {
			call.empty = 0;
			ret = rx_flooded(rx, timeo, since) ?: 1;
		}
	} while (ret > 0);

	rx_update(sk, rx);
	ret = rx_result(sk, call.copied, ret);
	release_sock(sk);
	return ret;
}

static ssize_t sw_splice_read(struct sock *sk, struct tls_rx *base,
			      struct pipe_inode_info *pipe, size_t len,
			      bool nonblock, unsigned int flags)
{
	struct tls_sw_rx *rx = sw_rx(base);
	struct sk_buff *skb;
	ssize_t copied = 0;
	long timeo;
	int ret = 0;

	lock_sock(sk);
	timeo = sock_rcvtimeo(sk, nonblock);
	while (len) {
		int n;

		ret = rx_first(sk, rx, &skb, &timeo);
		if (ret <= 0)
			break;
		ret = -EINVAL;
		if (rx_msg(skb)->type != TLS_RECORD_TYPE_DATA)
			break;
		n = min_t(size_t, len, unread(skb));
		ret = skb_splice_bits(skb, sk, rx_msg(skb)->offset, pipe, n,
				      flags);
		if (ret <= 0)
			break;
		rx_consume(sk, rx, skb, ret);
		copied += ret;
		len -= ret;
		if (ret < n)
			break;
		/* What is here is taken along, nothing is waited for. */
		timeo = 0;
	}
	rx_update(sk, rx);
	copied = rx_result(sk, copied, ret);
	release_sock(sk);
	return copied;
}

static int sw_read_sock(struct sock *sk, struct tls_rx *base,
			read_descriptor_t *desc, sk_read_actor_t actor)
{
	struct tls_sw_rx *rx = sw_rx(base);
	struct sk_buff *skb;
	long timeo = 0;
	int copied = 0;
	int ret;

	/* A stream parser looks in softirq first: it comes back by its work. */
	if (!sock_owned_by_user_nocheck(sk)) {
		desc->error = -ENOMEM;
		return -ENOMEM;
	}
	do {
		ret = rx_first(sk, rx, &skb, &timeo);
		if (ret == -EAGAIN)
			ret = 0;
		if (ret <= 0)
			break;
		ret = -EINVAL;
		if (rx_msg(skb)->type != TLS_RECORD_TYPE_DATA)
			break;
		ret = actor(desc, skb, rx_msg(skb)->offset, unread(skb));
		if (ret <= 0)
			break;
		rx_consume(sk, rx, skb, ret);
		copied += ret;
	} while (desc->count);
	rx_update(sk, rx);
	return rx_result(sk, copied, ret);
}

static bool sw_readable(const struct tls_rx *base)
{
	return READ_ONCE(sw_rx(base)->readable);
}

static bool sw_failed(const struct tls_rx *base)
{
	return READ_ONCE(sw_rx(base)->err);
}

static void sw_start(struct sock *sk, struct tls_rx *base)
{
	struct tls_sw_rx *rx = sw_rx(base);

	write_lock_bh(&sk->sk_callback_lock);
	rx->data_ready = sk->sk_data_ready;
	sk->sk_data_ready = tls_data_ready;
	write_unlock_bh(&sk->sk_callback_lock);

	rx->device = tls_device_rx_new(sk, rx->key);
	if (rx->device) {
		rx->strp.device = true;
		rx->rx.mode = TLS_HW;
	}

	/* A record may have been complete before its key came. */
	tls_data_ready(sk);
}

static int sw_rekey(struct sock *sk, struct tls_rx *base, struct tls_key *key)
{
	struct tls_sw_rx *rx = sw_rx(base);

	if (rx->err)
		return rx->err;
	if (rx->device) {
		/* What it has decrypted already, it did with the first key. */
		tls_device_rx_stop(sk, rx->device);
		rx->old_until = tcp_sk(sk)->rcv_nxt +
				tcp_receive_window(tcp_sk(sk));
		if (rx->old_key)
			tls_key_free(rx->key);
		else
			rx->old_key = rx->key;
		rx->noted = 0;
	} else {
		tls_key_free(rx->key);
	}
	rx->key = key;
	rx->key_update = false;
	/* No message spans a change of keys (RFC 8446, 5.1). */
	rx->handshake_got = 0;
	tls_data_ready(sk);
	return 0;
}

static const struct tls_key *sw_key(const struct tls_rx *base)
{
	return sw_rx(base)->key;
}

static void sw_free(struct sock *sk, struct tls_rx *base)
{
	struct tls_sw_rx *rx = sw_rx(base);

	write_lock_bh(&sk->sk_callback_lock);
	if (sk->sk_data_ready == tls_data_ready)
		sk->sk_data_ready = rx->data_ready;
	write_unlock_bh(&sk->sk_callback_lock);

	while (!skb_queue_empty(&rx->ready))
		rx_ready_drop(sk, rx, skb_peek(&rx->ready));
	tls_strp_purge(&rx->strp);
	if (rx->device)
		tls_device_rx_stop(sk, rx->device);
	tls_key_free(rx->old_key);
	tls_key_free(rx->key);
	kfree_sensitive(rx);
}

static const struct tls_rx_ops tls_sw_rx_ops = {
	.start		= sw_start,
	.recvmsg	= sw_recvmsg,
	.splice_read	= sw_splice_read,
	.read_sock	= sw_read_sock,
	.readable	= sw_readable,
	.failed		= sw_failed,
	.rekey		= sw_rekey,
	.key		= sw_key,
	.free		= sw_free,
};

/**
 * tls_sw_rx_new - the state of receiving in software
 * @sk: the socket
 * @key: its key, which becomes part of the state
 *
 * Return: the state, or NULL for lack of memory.
 */
struct tls_rx *tls_sw_rx_new(struct sock *sk, struct tls_key *key)
{
	struct tls_sw_rx *rx = kzalloc(sizeof(*rx), sk->sk_allocation);

	if (!rx)
		return NULL;
	rx->rx.ops = &tls_sw_rx_ops;
	rx->rx.mode = TLS_SW;
	rx->key = key;
	rx->strp.sk = sk;
	rx->backoff = TLS_BACKOFF_MIN;
	__skb_queue_head_init(&rx->ready);
	sg_init_table(rx->src, ARRAY_SIZE(rx->src));
	sg_init_table(rx->dst, ARRAY_SIZE(rx->dst));
	sg_unmark_end(&rx->dst[ARRAY_SIZE(rx->dst) - 1]);
	return &rx->rx;
}
