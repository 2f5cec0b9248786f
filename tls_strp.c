// SPDX-License-Identifier: GPL-2.0
/*
 * Where records begin and end in TCP's receive queue.
 *
 * Records are looked at where TCP queued them, always from TCP's own pointer
 * into the stream (copied_seq) and only while the socket lock is held. TCP may
 * merge, split or drop what it queued at any other time: so no pointer or count
 * survives the lock, and every walk stops where the queue does. If TCP's pointer
 * is not where this has left it, bytes are missing, and nothing more is read.
 *
 * One case needs memory of its own: a record that is larger than what TCP may
 * hold. Its bytes move to @held as they come. When TCP has room for little, a
 * few bytes of a header may fill it too: they move to @start.
 */

#include <linux/bitmap.h>
#include <linux/module.h>
#include <linux/skbuff.h>
#include <net/tcp.h>
#include <kunit/visibility.h>

#include "tls.h"

/* Bytes of the stream that TCP has and nobody has read. */
static unsigned int queued(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	unsigned int n = tp->rcv_nxt - tp->copied_seq;

	/* The peer's FIN has a sequence number too. */
	return n && sock_flag(sk, SOCK_DONE) ? n - 1 : n;
}

/* A place in the stream, and the bytes that stand there in one buffer. */
struct strp_cursor {
	struct sk_buff *skb;
	unsigned int offset;
	u32 seq;
};

static bool cursor_start(const struct tls_strp *strp, struct strp_cursor *c)
{
	if (strp->held) {
		*c = (struct strp_cursor){ .skb = strp->held };
		return true;
	}
	c->seq = tcp_sk(strp->sk)->copied_seq;
	c->skb = tcp_recv_skb(strp->sk, c->seq, &c->offset);
	return c->skb && c->offset < c->skb->len;
}

/* Go @n bytes on, not past the end of the cursor's buffer. */
static bool cursor_advance(const struct tls_strp *strp, struct strp_cursor *c,
			   unsigned int n)
{
	c->offset += n;
	c->seq += n;
	if (c->offset < c->skb->len)
		return true;
	if (strp->held || skb_queue_is_last(&strp->sk->sk_receive_queue,
					    c->skb))
		return false;
	c->skb = skb_queue_next(&strp->sk->sk_receive_queue, c->skb);
	/* Buffers may overlap where the peer sent the same bytes twice. */
	c->offset = c->seq - TCP_SKB_CB(c->skb)->seq;
	return c->offset < c->skb->len;
}

/* As cursor_start(), @offset bytes into the record. */
static bool cursor_seek(const struct tls_strp *strp, struct strp_cursor *c,
			unsigned int offset)
{
	bool there = cursor_start(strp, c);

	while (there && offset) {
		unsigned int n = min(offset, c->skb->len - c->offset);

		there = cursor_advance(strp, c, n);
		offset -= n;
	}
	return there;
}

/* Bytes of a buffer, if they can be seen in one piece, or NULL. */
static const void *skb_piece(const struct sk_buff *skb, unsigned int offset,
			     unsigned int n)
{
	const skb_frag_t *frag = skb_shinfo(skb)->frags;
	const skb_frag_t *end = frag + skb_shinfo(skb)->nr_frags;

	if (offset < skb_headlen(skb))
		return offset + n <= skb_headlen(skb) ? skb->data + offset :
							NULL;
	if (!skb_frags_readable(skb))
		return NULL;
	for (offset -= skb_headlen(skb); frag != end; frag++) {
		if (offset >= skb_frag_size(frag)) {
			offset -= skb_frag_size(frag);
			continue;
		}
		if (offset + n > skb_frag_size(frag) ||
		    PageHighMem(skb_frag_page(frag)))
			return NULL;
		return skb_frag_address(frag) + offset;
	}
	return NULL;
}

/**
 * tls_strp_copy - copy bytes of the record at the head
 * @strp: the parser
 * @offset: where in the record
 * @to: where to
 * @len: how many
 *
 * Socket lock held; any context.
 *
 * Return: 0, or -ENODATA when the stream ends before.
 */
int tls_strp_copy(const struct tls_strp *strp, unsigned int offset, void *to,
		  unsigned int len)
{
	struct strp_cursor c;
	bool there = cursor_seek(strp, &c, offset);

	while (there && len) {
		unsigned int n = min(len, c.skb->len - c.offset);
		const void *from = skb_piece(c.skb, c.offset, n);

		if (from)
			memcpy(to, from, n);
		else if (skb_copy_bits(c.skb, c.offset, to, n))
			break;
		to += n;
		len -= n;
		if (len)
			there = cursor_advance(strp, &c, n);
	}
	return len ? -ENODATA : 0;
}
EXPORT_SYMBOL_IF_KUNIT(tls_strp_copy);

/**
 * tls_strp_deliver - copy bytes of the record at the head to a reader
 * @strp: the parser
 * @offset: where in the record
 * @len: how many
 * @to: where to; it may be left anywhere if not all are copied
 *
 * Process context, socket lock owned; sleeps.
 *
 * Return: 0; -EFAULT; or -ENODATA when the stream ends before.
 */
int tls_strp_deliver(const struct tls_strp *strp, unsigned int offset,
		     unsigned int len, struct iov_iter *to)
{
	struct strp_cursor c;
	bool there = cursor_seek(strp, &c, offset);

	while (there && len) {
		unsigned int n = min(len, c.skb->len - c.offset);

		if (skb_copy_datagram_iter(c.skb, c.offset, to, n))
			return -EFAULT;
		len -= n;
		if (len)
			there = cursor_advance(strp, &c, n);
	}
	return len ? -ENODATA : 0;
}

/**
 * tls_strp_map - scatterlist over bytes of the record at the head
 * @strp: the parser
 * @offset: where in the record
 * @len: how many bytes
 * @sg: entries, not initialized
 * @nents: how many entries there are
 *
 * Socket lock held, and for as long as @sg is used; any context.
 *
 * Return: entries used, the end not marked; -EMSGSIZE when the bytes are in
 * more pieces than that, or where somebody else may still change them between
 * a cipher's looks at them; -ENODATA when the stream ends before; -EFAULT when
 * the bytes are in a device's memory.
 */
int tls_strp_map(const struct tls_strp *strp, unsigned int offset,
		 unsigned int len, struct scatterlist *sg, int nents)
{
	struct strp_cursor c;
	bool there = cursor_seek(strp, &c, offset);
	int used = 0;

	/* The table ends here, for those who fill it. */
	tls_sg_clear(&sg[nents - 1], 1);
	sg_mark_end(&sg[nents - 1]);
	while (there && len) {
		unsigned int n = min(len, c.skb->len - c.offset);
		int most = nents - 1 - used;
		int ret;

		if (used == nents || skb_has_shared_frag(c.skb))
			return -EMSGSIZE;
		if (!skb_frags_readable(c.skb))
			return -EFAULT;
		if (!skb_has_frag_list(c.skb))
			most = min(most, skb_shinfo(c.skb)->nr_frags + 1);
		tls_sg_clear(sg + used, most);
		ret = skb_to_sgvec_nomark(c.skb, sg + used, c.offset, n);
		if (ret < 0)
			return ret;
		used += ret;
		len -= n;
		if (len)
			there = cursor_advance(strp, &c, n);
	}
	return len ? -ENODATA : used;
}
EXPORT_SYMBOL_IF_KUNIT(tls_strp_map);

/* Remember which of the next @n bytes of @held a device has decrypted. */
static void held_mark(struct tls_strp *strp, const struct tls_strp *in_tcp,
		      unsigned int n)
{
	unsigned int at = strp->held_len;
	struct strp_cursor c;
	bool there = cursor_start(in_tcp, &c);

	while (there && n) {
		unsigned int part = min(n, c.skb->len - c.offset);

		if (skb_is_decrypted(c.skb))
			bitmap_set(strp->held_plain, at, part);
		at += part;
		n -= part;
		if (n)
			there = cursor_advance(in_tcp, &c, part);
	}
}

/* @n bytes of what TCP has are read. */
static void strp_read(struct tls_strp *strp, unsigned int n)
{
	struct sock *sk = strp->sk;
	struct tcp_sock *tp = tcp_sk(sk);

	tcp_read_done(sk, n);
	strp->seq = tp->copied_seq;
	strp->head_known = false;
	/* An urgent byte is a byte of its record, and with it read. */
	if (unlikely(tp->urg_data) && after(tp->copied_seq, tp->urg_seq)) {
		WRITE_ONCE(tp->urg_data, 0);
		tcp_fast_path_check(sk);
	}
}

/*
 * What is left of the record may be less than TCP is to wait for (SO_RCVLOWAT):
 * it does not know what was taken out of it.
 */
static void strp_listen(struct tls_strp *strp)
{
	struct sock *sk = strp->sk;

	if (sk->sk_rcvlowat == 1)
		return;
	strp->lowat = sk->sk_rcvlowat;
	WRITE_ONCE(sk->sk_rcvlowat, 1);
}

/* Move what TCP has of the held record into @held. */
static void held_fill(struct tls_strp *strp)
{
	const struct tls_strp in_tcp = { .sk = strp->sk };
	unsigned int from = strp->held_len;
	unsigned int n = min_t(unsigned int, queued(strp->sk),
			       strp->held_rec.full_len - from);
	struct skb_shared_info *si = skb_shinfo(strp->held);
	unsigned int moved = 0;
	int i;

	for (i = 0; i < si->nr_frags && moved < n; i++) {
		u8 *to = page_address(skb_frag_page(&si->frags[i]));
		unsigned int size = skb_frag_size(&si->frags[i]);
		unsigned int part;

		if (from >= size) {
			from -= size;
			continue;
		}
		part = min(n - moved, size - from);
		to += skb_frag_off(&si->frags[i]) + from;
		if (tls_strp_copy(&in_tcp, moved, to, part))
			break;
		from = 0;
		moved += part;
	}
	if (!moved)
		return;
	if (strp->held_plain)
		held_mark(strp, &in_tcp, moved);
	strp->held_len += moved;
	strp_read(strp, moved);
}

/**
 * tls_strp_hold - collect the record at the head in memory of our own
 * @strp: the parser
 * @rec: the record's header; it need not be complete
 * @gfp: for the memory
 *
 * Socket lock held; any context that @gfp allows.
 *
 * Return: 0 or -ENOMEM: then nothing has changed.
 */
int tls_strp_hold(struct tls_strp *strp, const struct tls_record *rec,
		  gfp_t gfp)
{
	int err;

	strp->held = alloc_skb_with_frags(0, rec->full_len, 0, &err,
					  gfp | __GFP_NOWARN);
	if (!strp->held)
		return -ENOMEM;
	if (strp->device) {
		strp->held_plain = bitmap_zalloc(TLS_MAX_RECORD_SIZE, gfp);
		if (!strp->held_plain) {
			tls_strp_purge(strp);
			return -ENOMEM;
		}
	}
	strp->held->len = rec->full_len;
	strp->held->data_len = rec->full_len;
	strp->held_rec = *rec;
	strp->held_charged = tls_rx_charge(strp->sk, strp->held);
	strp_listen(strp);
	strp->held_len = strp->start_len;
	strp->start_len = 0;
	skb_store_bits(strp->held, 0, strp->start, strp->held_len);
	held_fill(strp);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(tls_strp_hold);

/*
 * TCP has no room for the rest of a header: take what is there of it. A record
 * whose header is known by that is held.
 *
 * Return: 0, or an error as tls_strp_next().
 */
static int start_fill(struct tls_strp *strp, const struct tls_framing *f,
		      struct tls_record *rec, gfp_t gfp)
{
	unsigned int n = min_t(unsigned int, queued(strp->sk),
			       TLS_HEADER_SIZE - strp->start_len);

	if (n) {
		if (tls_strp_copy(strp, 0, strp->start + strp->start_len, n))
			return 0;
		strp->start_len += n;
		strp_listen(strp);
		strp_read(strp, n);
	}
	if (strp->start_len < TLS_HEADER_SIZE)
		return 0;
	return tls_record_parse(f, strp->start, rec) ?:
	       tls_strp_hold(strp, rec, gfp);
}

/**
 * tls_strp_init - begin with what TCP has not delivered yet
 * @strp: the parser, zeroed
 * @sk: the socket; its lock held
 */
void tls_strp_init(struct tls_strp *strp, struct sock *sk)
{
	strp->sk = sk;
	strp->seq = tcp_sk(sk)->copied_seq;
}
EXPORT_SYMBOL_IF_KUNIT(tls_strp_init);

/**
 * tls_strp_next - find the record at the head of the stream
 * @strp: the parser
 * @f: framing of the direction
 * @rec: what its header says, when there is a header
 * @gfp: for a record that TCP has no room for
 *
 * Socket lock held; any context that @gfp allows.
 *
 * Return: 1 when the record is complete; 0 when it is not; -EINVAL, -EMSGSIZE
 * or -EBADMSG when its header is wrong (tls_record_parse()); -ENODATA when bytes
 * have gone another way; -ENOMEM when the record can only be completed with
 * memory that is not there now.
 */
int tls_strp_next(struct tls_strp *strp, const struct tls_framing *f,
		  struct tls_record *rec, gfp_t gfp)
{
	u8 header[TLS_HEADER_SIZE];
	struct sock *sk = strp->sk;
	int err;

	/*
	 * TCP drops an urgent byte for the next one, and has other readers. A
	 * device that has decrypted what remains would not notice.
	 */
	if (unlikely(tcp_sk(sk)->copied_seq != strp->seq))
		return -ENODATA;
	if (!strp->held && strp->start_len) {
		err = start_fill(strp, f, rec, gfp);
		if (err || !strp->held)
			return err;
	} else if (!strp->held) {
		unsigned int have = queued(sk);

		if (strp->head_known) {
			*rec = strp->head;
		} else {
			if (have < TLS_HEADER_SIZE)
				return have && tcp_epollin_ready(sk, INT_MAX) ?
				       start_fill(strp, f, rec, gfp) : 0;
			if (tls_strp_copy(strp, 0, header, sizeof(header)))
				return 0;
			err = tls_record_parse(f, header, rec);
			if (err)
				return err;
			strp->head = *rec;
			strp->head_known = true;
		}
		if (have >= rec->full_len)
			return 1;
		/* Does TCP have room for the rest? */
		if (likely(!tcp_epollin_ready(sk, INT_MAX)))
			return 0;
		err = tls_strp_hold(strp, rec, gfp);
		if (err)
			return err;
	}
	if (strp->held_len < strp->held_rec.full_len)
		held_fill(strp);
	*rec = strp->held_rec;
	return strp->held_len == rec->full_len;
}
EXPORT_SYMBOL_IF_KUNIT(tls_strp_next);

/**
 * tls_strp_done - the record at the head has been read
 * @strp: the parser
 * @rec: the record, complete
 *
 * Socket lock owned; any context.
 */
void tls_strp_done(struct tls_strp *strp, const struct tls_record *rec)
{
	if (strp->held)
		tls_strp_purge(strp);
	else
		strp_read(strp, rec->full_len);
}
EXPORT_SYMBOL_IF_KUNIT(tls_strp_done);

/**
 * tls_strp_decrypted - what has a device done with the record at the head?
 * @strp: the parser
 * @rec: the record, complete
 *
 * Socket lock held; any context.
 */
enum tls_decrypted tls_strp_decrypted(const struct tls_strp *strp,
				      const struct tls_record *rec)
{
	bool plain = false, cipher = false;
	unsigned int left = rec->full_len;
	struct strp_cursor c;
	bool there;

	if (strp->held) {
		if (!strp->held_plain)
			return TLS_ENCRYPTED;
		plain = find_first_bit(strp->held_plain, left) < left;
		cipher = find_first_zero_bit(strp->held_plain, left) < left;
		left = 0;
	}
	there = left && cursor_start(strp, &c);
	while (there && left) {
		unsigned int n = min(left, c.skb->len - c.offset);

		if (skb_is_decrypted(c.skb))
			plain = true;
		else
			cipher = true;
		left -= n;
		if (left)
			there = cursor_advance(strp, &c, n);
	}
	if (!plain)
		return TLS_ENCRYPTED;
	return cipher ? TLS_MIXED : TLS_DECRYPTED;
}

/**
 * tls_strp_restore - what a device has decrypted becomes ciphertext again
 * @strp: the parser, holding the record
 * @from: the ciphertext of @len bytes
 * @offset: where they begin in the record
 * @len: how many they are
 *
 * Socket lock held; any context.
 */
void tls_strp_restore(struct tls_strp *strp, const u8 *from,
		      unsigned int offset, unsigned int len)
{
	unsigned int start, end;

	for_each_set_bitrange(start, end, strp->held_plain, offset + len) {
		start = max(start, offset);
		if (start < end)
			skb_store_bits(strp->held, start,
				       from + start - offset, end - start);
	}
	bitmap_zero(strp->held_plain, TLS_MAX_RECORD_SIZE);
}

/**
 * tls_strp_held - bytes of the record at the head that TCP does not have
 * @strp: the parser
 */
unsigned int tls_strp_held(const struct tls_strp *strp)
{
	return strp->held ? strp->held_len : strp->start_len;
}

/**
 * tls_strp_lowat - for how many bytes does the user want to wait?
 * @strp: the parser
 *
 * Socket lock owned. Return: the user's SO_RCVLOWAT; 0 is as 1.
 */
int tls_strp_lowat(const struct tls_strp *strp)
{
	int lowat = READ_ONCE(strp->sk->sk_rcvlowat);

	return lowat == 1 && strp->lowat ? strp->lowat : lowat;
}

/**
 * tls_strp_seq - TCP sequence number of the record at the head
 * @strp: the parser
 */
u32 tls_strp_seq(const struct tls_strp *strp)
{
	return tcp_sk(strp->sk)->copied_seq - tls_strp_held(strp);
}

/**
 * tls_strp_end - where does the record at the head end?
 * @strp: the parser
 * @seq: TCP sequence number after it
 *
 * Return: false when its header is not known.
 */
bool tls_strp_end(const struct tls_strp *strp, u32 *seq)
{
	if (strp->held) {
		*seq = tls_strp_seq(strp) + strp->held_rec.full_len;
		return true;
	}
	*seq = strp->seq + strp->head.full_len;
	return strp->head_known;
}

/**
 * tls_strp_partial - is there a part of a record?
 * @strp: the parser
 *
 * At the end of the stream it means that the stream was cut.
 */
bool tls_strp_partial(const struct tls_strp *strp)
{
	return tls_strp_held(strp) || queued(strp->sk);
}

/**
 * tls_strp_purge - forget what is held
 * @strp: the parser
 */
void tls_strp_purge(struct tls_strp *strp)
{
	struct sock *sk = strp->sk;

	/* Unless the user has set it meanwhile. */
	if (strp->lowat && sk->sk_rcvlowat == 1)
		WRITE_ONCE(sk->sk_rcvlowat, strp->lowat);
	strp->lowat = 0;
	if (strp->held_charged)
		sk_mem_uncharge(sk, strp->held->truesize);
	strp->held_charged = false;
	kfree_skb(strp->held);
	bitmap_free(strp->held_plain);
	strp->held_plain = NULL;
	strp->held = NULL;
	strp->held_len = 0;
}
EXPORT_SYMBOL_IF_KUNIT(tls_strp_purge);
