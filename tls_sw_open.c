// SPDX-License-Identifier: GPL-2.0
/*
 * The software engine, receiving: one record becomes plaintext.
 *
 * A record is decrypted from where TCP queued it, while the socket lock is
 * held: straight into the caller's buffer when all of it fits there, else into
 * new memory that waits in @ready until it has been read. What was received is
 * never written, as others may share its pages; where they may write them it is
 * copied first. A small record goes through one piece of memory to the caller:
 * that costs less than finding its pages.
 *
 * TLS 1.3 hides the content type and padding behind the ciphertext. So for a
 * record that could go straight to the caller, unpadded data is predicted. A
 * miss is decrypted again into memory, and then nothing is predicted for a
 * while that doubles with each further miss.
 */

#include <linux/fs.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include <linux/unaligned.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "tls_sw_rx.h"
#include "trace.h"

#define TLS_HANDSHAKE_KEY_UPDATE	24	/* RFC 8446, 4 */

/* Nothing that comes after this point of the stream is ever delivered. */
int tls_rx_fail(struct sock *sk, struct tls_sw_rx *rx,
		enum tls_counter reason, int err)
{
	bool told;

	tls_count(rx->rx.counters, reason, 1);
	trace_tls_abort(sk, true, reason, err);
	WRITE_ONCE(rx->err, err);
	WRITE_ONCE(rx->readable, true);
	/*
	 * Whoever has replaced the callback looks there for the reason (sunrpc).
	 * It does not stay: sending goes on.
	 */
	told = !cmpxchg(&sk->sk_err, 0, -err);
	sk_error_report(sk);
	if (told)
		cmpxchg(&sk->sk_err, -err, 0);
	return err;
}

/* Why could tls_key_open() not open a record? */
static enum tls_counter open_fault(const struct tls_framing *f, int err)
{
	if (f->exhausted)
		return TLS_ABORT_SEQUENCE;
	return err == -EBADMSG ? TLS_ABORT_TAG : TLS_ABORT_CIPHER;
}

/*
 * The device has decrypted the record at the head of the stream, and found it
 * authentic: its text only needs to be copied.
 */
static int rx_copy(struct sock *sk, struct tls_sw_rx *rx,
		   struct scatterlist *dst, int nents)
{
	struct tls_framing *f = &rx->key->framing;
	unsigned int at = f->prepend;
	struct sg_mapping_iter to;
	int err = 0;

	if (unlikely(f->exhausted))
		return tls_rx_fail(sk, rx, TLS_ABORT_SEQUENCE, -EBADMSG);
	sg_miter_start(&to, dst + 1, nents, SG_MITER_TO_SG);
	while (!err && sg_miter_next(&to)) {
		err = tls_strp_copy(&rx->strp, at, to.addr, to.length);
		at += to.length;
	}
	sg_miter_stop(&to);
	if (err)
		return tls_rx_fail(sk, rx, TLS_ABORT_TRUNCATED, -EBADMSG);
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
	struct scatterlist src[1 + TLS_RX_PIECES] __uninitialized;
	struct scatterlist dst[2];
	int used, err;
	u8 *buf;

	if (!rx->strp.held) {
		err = tls_strp_hold(&rx->strp, rec, sk->sk_allocation);
		if (err)
			return err;
	}
	/* A cipher writes there: no memory of vmalloc's. */
	buf = kmalloc(rec->text_len + TLS_TAG_SIZE,
		      sk->sk_allocation | __GFP_NOWARN);
	if (!buf)
		return -ENOMEM;
	sg_init_table(dst, ARRAY_SIZE(dst));
	sg_set_buf(&dst[1], buf, rec->text_len + TLS_TAG_SIZE);
	tls_sg_clear(src, 1);
	used = tls_strp_map(&rx->strp, skip, rec->text_len, src + 1,
			    TLS_RX_PIECES);
	err = used < 0 ? used : 0;
	if (!err) {
		sg_mark_end(&src[used]);
		err = tls_key_again(key, src, dst, rec, explicit_nonce,
				    sk->sk_allocation);
	}
	if (!err)
		tls_strp_restore(&rx->strp, buf, skip, rec->text_len);
	kfree_sensitive(buf);
	return err;
}

/* The device may ask later where the record at the head of the stream began. */
static void rx_note(struct sock *sk, struct tls_sw_rx *rx)
{
	u64 sn = rx->key->framing.seq;

	if (rx->noted == sn + 1)
		return;
	rx->noted = sn + 1;
	tls_device_rx_record(sk, rx->device, tls_strp_seq(&rx->strp), sn);
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
	rx->how = tls_strp_decrypted(&rx->strp, rec);
	rx_note(sk, rx);
	if (rx->how == TLS_ENCRYPTED)
		return 0;
	if (rx->how == TLS_DECRYPTED && !rx->old_key)
		return 1;
	return rx_restore(sk, rx, rec, explicit_nonce);
}

/*
 * Entries from @sg on begin with an explicit nonce of @len bytes: take it.
 *
 * Return: whether it stands in one piece, with something behind it.
 */
static bool rx_take_nonce(struct scatterlist *sg, u8 *explicit_nonce,
			  unsigned int len)
{
	if (sg->length <= len || PageHighMem(sg_page(sg)))
		return false;
	memcpy(explicit_nonce, sg_virt(sg), len);
	sg->offset += len;
	sg->length -= len;
	return true;
}

/*
 * Map the ciphertext of the record at the head of the stream, and read the
 * nonce in front of it.
 *
 * Return: entries of @sg, or an error as tls_strp_map().
 */
static int rx_map(struct tls_sw_rx *rx, const struct tls_record *rec,
		  struct scatterlist *sg, u8 *explicit_nonce)
{
	unsigned int skip = rx->key->framing.prepend;
	unsigned int explicit_len = skip - TLS_HEADER_SIZE;
	int used, err;

	/* To find the place in TCP's queue twice costs more. */
	used = tls_strp_map(&rx->strp, TLS_HEADER_SIZE,
			    rec->full_len - TLS_HEADER_SIZE, sg,
			    TLS_RX_PIECES);
	if (used < 0 || !explicit_len ||
	    rx_take_nonce(sg, explicit_nonce, explicit_len))
		return used;
	err = tls_strp_copy(&rx->strp, TLS_HEADER_SIZE, explicit_nonce,
			    explicit_len);
	return err ?: tls_strp_map(&rx->strp, skip, rec->full_len - skip, sg,
				   TLS_RX_PIECES);
}

/*
 * Decrypt the record at the head of the stream. Entries 1 to @nents of @dst
 * are set to receive its text, entry 0 is free.
 *
 * Return: 0; -EBADMSG, and the direction has failed; -ENOMEM, and the record
 * can be tried again.
 */
static int rx_open(struct sock *sk, struct tls_sw_rx *rx,
		   const struct tls_record *rec, struct scatterlist *dst,
		   int nents)
{
	const struct tls_framing *f = &rx->key->framing;
	struct scatterlist src[1 + TLS_RX_PIECES] __uninitialized;
	u8 explicit_nonce[TLS_EXPLICIT_NONCE_SIZE];
	int used, err;

	sg_mark_end(&dst[nents]);
	if (rx->device) {
		if (tls_strp_copy(&rx->strp, TLS_HEADER_SIZE, explicit_nonce,
				  f->prepend - TLS_HEADER_SIZE))
			return tls_rx_fail(sk, rx, TLS_ABORT_TRUNCATED,
					   -EBADMSG);
		err = rx_from_device(sk, rx, rec, explicit_nonce);
		if (err > 0)
			return rx_copy(sk, rx, dst, nents);
		if (err)
			return err == -ENOMEM ? err :
			       tls_rx_fail(sk, rx, TLS_ABORT_CIPHER, -EBADMSG);
	}

	tls_sg_clear(src, 1);
	used = rx_map(rx, rec, src + 1, explicit_nonce);
	if (used == -EMSGSIZE) {
		err = tls_strp_hold(&rx->strp, rec, sk->sk_allocation);
		if (err)
			return err;
		used = rx_map(rx, rec, src + 1, explicit_nonce);
	}
	if (used < 0)
		return tls_rx_fail(sk, rx, TLS_ABORT_TRUNCATED, -EBADMSG);

	sg_mark_end(&src[used]);
	err = tls_key_open(rx->key, src, dst, rec, explicit_nonce,
			   sk->sk_allocation);
	if (!err || err == -ENOMEM)
		return err;
	tls_count(rx->rx.counters, TLS_DECRYPT_ERROR, 1);
	return tls_rx_fail(sk, rx, open_fault(f, err), -EBADMSG);
}

/*
 * The record at the head of the stream, which is the one before the next, has
 * been read: @len bytes of @type.
 */
static void rx_done(struct sock *sk, struct tls_sw_rx *rx,
		    const struct tls_record *rec, u8 type, unsigned int len)
{
	tls_count(rx->rx.counters, TLS_RX_RECORDS, 1);
	trace_tls_record_received(sk, type, len, rx->key->framing.seq - 1);
	tls_strp_done(&rx->strp, rec);
	if (likely(len))
		rx->empty = 0;
	else if (type == TLS_RECORD_TYPE_DATA)
		rx->empty++;
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
	rx_msg(skb)->charged = tls_rx_charge(sk, skb);
	if (!rx_msg(skb)->charged)
		rx->over = true;
	rx->ready_mem += skb->truesize;
	__skb_queue_tail(&rx->ready, skb);
}

/* The first record in @ready goes. */
void tls_rx_ready_drop(struct sock *sk, struct tls_sw_rx *rx,
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

/* A decrypted record has been taken from the stream: it goes behind @ready. */
static void rx_add(struct sock *sk, struct tls_sw_rx *rx, struct sk_buff *skb)
{
	if (rx->key->framing.version == TLS_1_3_VERSION &&
	    rx_msg(skb)->type == TLS_RECORD_TYPE_HANDSHAKE &&
	    rx_has_key_update(rx, skb)) {
		tls_count(rx->rx.counters, TLS_RX_REKEY_RECEIVED, 1);
		rx->key_update = true;
	}
	rx_ready_add(sk, rx, skb);
}

/**
 * struct rx_small - the text of a small record
 * @frag: the page where this task gathers small pieces (sk_page_frag())
 * @offset: where in that page
 * @len: bytes of text
 * @type: their content type
 *
 * The room is not taken from the page yet: whoever goes on with the text copies
 * it before anything else, or takes a reference and moves the page's offset.
 */
struct rx_small {
	struct page_frag *frag;
	unsigned int offset;
	unsigned int len;
	u8 type;
};

static const u8 *small_text(const struct rx_small *small)
{
	return page_address(small->frag->page) + small->offset;
}

static bool is_small(const struct tls_sw_rx *rx, const struct tls_record *rec)
{
	unsigned int tail = rx->key->framing.tail;

	return rec->text_len > tail &&
	       rec->text_len - tail <= TLS_SMALL_RECORD;
}

/*
 * Decrypt the small record at the head of the stream, which stays there.
 *
 * Return: 0 or an error, as rx_open().
 */
static int small_open(struct sock *sk, struct tls_sw_rx *rx,
		      const struct tls_record *rec, struct rx_small *small)
{
	struct page_frag *frag = sk_page_frag(sk);
	struct scatterlist dst[3] __uninitialized;
	const u8 *text;
	int err, nents = 1;

	if (!skb_page_frag_refill(rec->text_len + TLS_TEXT_ALIGN - 1, frag,
				  sk->sk_allocation))
		return -ENOMEM;
	small->frag = frag;
	small->offset = ALIGN(frag->offset, TLS_TEXT_ALIGN);
	small->len = rec->text_len;
	small->type = rec->type;
	tls_sg_clear(dst, ARRAY_SIZE(dst));
	/* It may be a single page, also if more was asked for. */
	BUILD_BUG_ON(TLS_SMALL_RECORD > PAGE_SIZE);
	if (unlikely(small->len > frag->size - small->offset)) {
		small->len--;
		sg_set_buf(&dst[++nents], &rx->tail, 1);
	}
	sg_set_page(&dst[1], frag->page, small->len, small->offset);
	err = rx_open(sk, rx, rec, dst, nents);
	if (err || !rx->key->framing.tail)
		return err;

	if (unlikely(nents > 1) && rx->tail) {
		small->type = rx->tail;
		return 0;
	}
	text = small_text(small);
	small->len = tls_padding_skip(text, small->len);
	if (!small->len)
		return tls_rx_fail(sk, rx, TLS_ABORT_PADDING, -EBADMSG);
	small->type = text[--small->len];
	return 0;
}

/* A buffer with the text, which is not worth a page of its own if it is short. */
static struct sk_buff *small_buffer(struct sock *sk,
				    const struct rx_small *small)
{
	bool copied = small->len <= TLS_COPIED;
	struct sk_buff *skb;

	skb = alloc_skb(copied ? small->len : 0, sk->sk_allocation);
	if (!skb)
		return NULL;
	rx_msg(skb)->offset = 0;
	rx_msg(skb)->type = small->type;
	if (copied) {
		skb_put_data(skb, small_text(small), small->len);
		return skb;
	}
	get_page(small->frag->page);
	small->frag->offset = small->offset + small->len;
	skb_add_rx_frag(skb, 0, small->frag->page, small->offset, small->len,
			ALIGN(small->len, TLS_TEXT_ALIGN));
	return skb;
}

/*
 * A small record that was opened goes behind @ready. Data that is empty does
 * not: there is nothing to read.
 *
 * Return: 0; or -ENOMEM, and the record can be tried again.
 */
static int small_keep(struct sock *sk, struct tls_sw_rx *rx,
		      const struct tls_record *rec,
		      const struct rx_small *small)
{
	struct sk_buff *skb = NULL;

	if (small->len || small->type != TLS_RECORD_TYPE_DATA) {
		skb = small_buffer(sk, small);
		if (!skb) {
			tls_framing_rewind(&rx->key->framing);
			return -ENOMEM;
		}
	}
	rx_done(sk, rx, rec, small->type, small->len);
	if (skb)
		rx_add(sk, rx, skb);
	return 0;
}

/* Pages for @len bytes of text. */
static struct sk_buff *rx_alloc(struct sock *sk, unsigned int len)
{
	struct sk_buff *skb;
	int err;

	skb = alloc_skb_with_frags(0, len, PAGE_ALLOC_COSTLY_ORDER, &err,
				   sk->sk_allocation);
	if (skb) {
		skb->len = len;
		skb->data_len = len;
	}
	return skb;
}

/*
 * Decrypt the record at the head of the stream into memory, behind @ready.
 * Data that is empty does not go there: there is nothing to read.
 *
 * Return: 0 or an error.
 */
int tls_rx_take(struct sock *sk, struct tls_sw_rx *rx,
		const struct tls_record *rec)
{
	const struct tls_framing *f = &rx->key->framing;
	struct scatterlist dst[TLS_RX_DST] __uninitialized;
	struct rx_small small;
	struct sk_buff *skb;
	int err, i;

	if (is_small(rx, rec))
		return small_open(sk, rx, rec, &small) ?:
		       small_keep(sk, rx, rec, &small);

	skb = rx_alloc(sk, rec->text_len - f->tail);
	if (!skb)
		return -ENOMEM;
	rx_msg(skb)->offset = 0;
	rx_msg(skb)->type = rec->type;
	tls_sg_clear(dst, 2 + skb_shinfo(skb)->nr_frags);
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

		sg_set_page(&dst[1 + i], skb_frag_page(frag),
			    skb_frag_size(frag), skb_frag_off(frag));
	}
	rx->tail = 0;
	/* Some ciphers look for the end of the list even if there is no text. */
	if (f->tail || !i)
		sg_set_buf(&dst[1 + i++], &rx->tail, 1);

	err = rx_open(sk, rx, rec, dst, i);
	if (!err && f->tail) {
		err = rx_inner_type(rx, skb);
		if (err)
			tls_rx_fail(sk, rx, TLS_ABORT_PADDING, err);
	}
	if (err) {
		kfree_skb(skb);
		return err;
	}
	rx_done(sk, rx, rec, rx_msg(skb)->type, skb->len);
	if (!skb->len && rx_msg(skb)->type == TLS_RECORD_TYPE_DATA) {
		consume_skb(skb);
		return 0;
	}

	rx_add(sk, rx, skb);
	return 0;
}

/*
 * Does this record cost less when it is decrypted into memory in one piece, and
 * copied to the caller? Who has asked for the other way (TLS_RX_EXPECT_NO_PAD)
 * gets it.
 */
bool tls_rx_is_small(const struct sock *sk, const struct tls_sw_rx *rx,
		     const struct tls_record *rec, const struct iov_iter *to)
{
	unsigned int len = rec->text_len - rx->key->framing.tail;

	return is_small(rx, rec) && len <= iov_iter_count(to) &&
	       rec->type == TLS_RECORD_TYPE_DATA &&
	       !tls_get_ctx(sk)->rx_no_pad;
}

/*
 * Decrypt the small record at the head of the stream, and copy it to the caller
 * if it is data. If not, or if the caller's memory cannot be written, it goes
 * behind @ready.
 *
 * Return: bytes delivered; 0 when it is behind @ready, or was empty; or an error.
 */
ssize_t tls_rx_take_small(struct sock *sk, struct tls_sw_rx *rx,
			  const struct tls_record *rec, struct iov_iter *to)
{
	struct rx_small small;
	size_t n;
	int err;

	err = small_open(sk, rx, rec, &small);
	if (err)
		return err;
	if (small.type == TLS_RECORD_TYPE_DATA && small.len) {
		n = copy_to_iter(small_text(&small), small.len, to);
		if (n == small.len) {
			rx_done(sk, rx, rec, small.type, n);
			return n;
		}
		iov_iter_revert(to, n);
	}
	return small_keep(sk, rx, rec, &small);
}

/*
 * As tls_rx_take(), for a reader that wants up to @len bytes of data in @pipe.
 *
 * Return: bytes that are in the pipe; 0 when the record is behind @ready, or was
 * empty; or an error.
 */
ssize_t tls_rx_take_splice(struct sock *sk, struct tls_sw_rx *rx,
			   const struct tls_record *rec,
			   struct pipe_inode_info *pipe, size_t len)
{
	struct pipe_buffer buf = { .ops = &nosteal_pipe_buf_ops };
	struct rx_small small;
	ssize_t ret;

	if (!is_small(rx, rec))
		return tls_rx_take(sk, rx, rec);
	ret = small_open(sk, rx, rec, &small);
	if (ret)
		return ret;
	if (small.type == TLS_RECORD_TYPE_DATA && small.len &&
	    small.len <= len) {
		buf.page = small.frag->page;
		buf.offset = small.offset;
		buf.len = small.len;
		/* The pipe's, or given back by what failed. */
		get_page(buf.page);
		ret = add_to_pipe(pipe, &buf);
		if (ret > 0) {
			small.frag->offset = small.offset + small.len;
			rx_done(sk, rx, rec, small.type, small.len);
			return ret;
		}
	}
	return small_keep(sk, rx, rec, &small);
}

/* Has the device decrypted the record at the head of the stream? */
bool tls_rx_is_decrypted(const struct tls_sw_rx *rx,
			 const struct tls_record *rec)
{
	return rx->device && !rx->old_key &&
	       tls_strp_decrypted(&rx->strp, rec) == TLS_DECRYPTED;
}

/*
 * A record of data that the device has decrypted goes from where TCP queued it
 * to the caller, as with plain TCP: what TLS 1.3 hides can be seen there.
 *
 * Return: bytes delivered; 0 when it is not data, or the caller's memory has no
 * room or cannot be written, and nothing has happened.
 */
ssize_t tls_rx_take_decrypted(struct sock *sk, struct tls_sw_rx *rx,
			      const struct tls_record *rec,
			      struct iov_iter *to)
{
	struct tls_framing *f = &rx->key->framing;
	unsigned int len = rec->text_len - f->tail;
	size_t room = iov_iter_count(to);
	u8 type = rec->type;

	if (f->tail) {
		if (tls_strp_copy(&rx->strp, f->prepend + len, &type, 1))
			return 0;
		if (!type && tls_get_ctx(sk)->rx_no_pad)
			tls_count(rx->rx.counters, TLS_RX_NO_PAD_VIOLATION, 1);
	}
	if (type != TLS_RECORD_TYPE_DATA || !len || len > room || f->exhausted)
		return 0;
	if (tls_strp_deliver(&rx->strp, f->prepend, len, to)) {
		iov_iter_revert(to, room - iov_iter_count(to));
		return 0;
	}
	rx->how = TLS_DECRYPTED;
	rx_note(sk, rx);
	tls_framing_advance(f);
	rx_done(sk, rx, rec, type, len);
	return len;
}

/* Would this record, if it is what we expect, go straight to the caller? */
bool tls_rx_is_direct(struct sock *sk, struct tls_sw_rx *rx,
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
				rx->key->framing.seq - 1);
	tls_count(rx->rx.counters, TLS_DECRYPT_RETRY, 1);
	if (!rx->tail && tls_get_ctx(sk)->rx_no_pad)
		tls_count(rx->rx.counters, TLS_RX_NO_PAD_VIOLATION, 1);
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
ssize_t tls_rx_take_direct(struct sock *sk, struct tls_sw_rx *rx,
			   const struct tls_record *rec, struct iov_iter *to)
{
	const struct tls_framing *f = &rx->key->framing;
	unsigned int len = rec->text_len - f->tail;
	struct page *pages[TLS_DIRECT_PAGES] __uninitialized;
	struct scatterlist dst[TLS_RX_DST] __uninitialized;
	unsigned int got = 0;
	int n = 0, err = -EFAULT;
	bool predicted = true;

	tls_sg_clear(dst, ARRAY_SIZE(dst));
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

			sg_set_page(&dst[1 + n], pages[n], part, offset);
			n++;
			left -= part;
		}
	}

	if (got == len) {
		if (f->tail)
			sg_set_buf(&dst[1 + n], &rx->tail, 1);
		err = rx_open(sk, rx, rec, dst, n + f->tail);
		if (!err) {
			predicted = rx_predicted(sk, rx, rec);
			if (!predicted)
				tls_framing_rewind(&rx->key->framing);
		}
	}
	if (iov_iter_extract_will_pin(to))
		unpin_user_pages_dirty_lock(pages, n, true);

	if (!err && predicted) {
		rx_done(sk, rx, rec, TLS_RECORD_TYPE_DATA, len);
		return len;
	}
	iov_iter_revert(to, got);
	/* What was not found authentic does not stay with the caller. */
	if (err && got == len)
		iov_iter_revert(to, iov_iter_zero(len, to));
	return err == -EFAULT || !err ? 0 : err;
}
