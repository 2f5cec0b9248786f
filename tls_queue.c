// SPDX-License-Identifier: GPL-2.0
/*
 * What stands between framing and TCP: pages of finished records that TCP has
 * not taken yet, and behind them the room of the record that is still open.
 *
 * TCP's callbacks call tls_queue_push() again when room comes; so an
 * application need not. All of it under the socket lock.
 *
 * When TCP finds no memory while nothing is in flight, no acknowledgment will
 * ever call back; nor may whoever has replaced sk_write_space. Then a timer does.
 */

#include <linux/socket.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "compat.h"
#include "tls.h"

/* TCP empties the backlog after the sixteenth new segment of a call. */
#define TLS_CALLBACK_SEGMENTS	8
/* Records that are worth a gap before them. */
#define TLS_ALIGNED		512
/* How soon to ask TCP again when it had no memory, in jiffies. */
#define TLS_RETRY		(HZ / 50 + 1)

/**
 * tls_queue_later - there is no memory now: ask TCP, or tell who waits, later
 * @q: the queue
 *
 * Socket lock held; any context.
 */
void tls_queue_later(struct tls_queue *q)
{
	q->retried = true;
	sk_reset_timer(q->sk, &q->retry, jiffies + TLS_RETRY);
}

/* Softirq. Whoever owns the socket now pushes, or finds the timer armed. */
static void queue_retry(struct timer_list *t)
{
	struct tls_queue *q = timer_container_of(q, t, retry);
	struct sock *sk = q->sk;
	bool again = true;

	bh_lock_sock(sk);
	if (!sock_owned_by_user(sk)) {
		tls_retry(sk);
		again = q->bytes;
	}
	if (again && !(READ_ONCE(sk->sk_shutdown) & SEND_SHUTDOWN))
		sk_reset_timer(sk, t, jiffies + TLS_RETRY);
	bh_unlock_sock(sk);
	sock_put(sk);
}

/**
 * tls_queue_init - an empty queue
 * @sk: the socket that it is for
 * @q: its memory
 */
void tls_queue_init(struct sock *sk, struct tls_queue *q)
{
	q->sk = sk;
	timer_setup(&q->retry, queue_retry, 0);
}

/* Move what is left to the front, so that new pieces find a place. */
static void queue_compact(struct tls_queue *q)
{
	if (!q->first)
		return;
	memmove(q->vec, q->vec + q->first,
		(q->end - q->first) * sizeof(q->vec[0]));
	q->sealed -= q->first;
	q->end -= q->first;
	q->first = 0;
}

/*
 * One more piece of memory, for up to @len bytes of the open record; what comes
 * after its first @head bytes is aligned.
 */
static __always_inline ssize_t queue_piece(struct tls_queue *q, size_t len,
					   size_t head, size_t align)
{
	struct sock *sk = q->sk;
	struct page_frag *pfrag = sk_page_frag(sk);
	size_t n;

	if (q->end == TLS_QUEUE_VECS)
		return -ENOBUFS;
	if (!skb_page_frag_refill(min(len + align - 1, PAGE_SIZE), pfrag,
				  sk->sk_allocation))
		return -ENOMEM;
	pfrag->offset = round_up(pfrag->offset + head, align) - head;
	n = min_t(size_t, len, pfrag->size - pfrag->offset);
	get_page(pfrag->page);
	bvec_set_page(&q->vec[q->end++], pfrag->page, n, pfrag->offset);
	pfrag->offset += n;
	return n;
}

/**
 * tls_queue_open - a record begins: take its memory
 * @q: the queue, not full, with no record open; the socket's sk_allocation
 *     says how
 * @len: bytes, at most TLS_MAX_RECORD_SIZE
 * @head: bytes of the record before its text
 *
 * The room comes in one piece if the kernel has one. Neighbouring records of
 * a call stand in the same pages, which TCP joins into few fragments.
 *
 * Where the text reaches over the end of a page, a block of the cipher should not:
 * it would go through a buffer on its own, here and where it is received.
 *
 * Process context, socket lock owned; sleeps if sk_allocation may.
 *
 * Return: 0, or -ENOMEM with no record open.
 */
int tls_queue_open(struct tls_queue *q, size_t len, size_t head)
{
	ssize_t n;

	if (WARN_ON_ONCE(tls_queue_full(q) || q->end != q->sealed))
		return -ENOBUFS;
	if (TLS_QUEUE_VECS - q->end < TLS_RECORD_PIECES)
		queue_compact(q);
	if (len < TLS_ALIGNED)
		return tls_queue_grow(q, len);
	n = queue_piece(q, len, head, TLS_TEXT_ALIGN);
	return n < 0 ? n : tls_queue_grow(q, len - n);
}

/**
 * tls_queue_grow - the open record goes on with memory of ours
 * @q: the queue, with a record open; the socket's sk_allocation says how
 * @len: bytes
 *
 * Process context, socket lock owned; sleeps if sk_allocation may.
 *
 * Return: 0; -ENOMEM, or -ENOBUFS when the record is in too many pieces: then
 * no record is open any more.
 */
int tls_queue_grow(struct tls_queue *q, size_t len)
{
	while (len) {
		ssize_t n = queue_piece(q, len, 0, 1);

		if (n < 0) {
			tls_queue_abandon(q);
			return n;
		}
		len -= n;
	}
	return 0;
}

/**
 * tls_queue_add - the open record goes on with a page of the caller
 * @q: the queue
 * @page: the page, that TCP may hold, and others may have too
 * @offset: where in it
 * @len: bytes
 *
 * Return: 0, or -ENOBUFS when the record is in too many pieces.
 */
int tls_queue_add(struct tls_queue *q, struct page *page, size_t offset,
		  size_t len)
{
	if (q->end == TLS_QUEUE_VECS)
		return -ENOBUFS;
	get_page(page);
	bvec_set_page(&q->vec[q->end++], page, len, offset);
	q->shared = true;
	return 0;
}

/**
 * tls_queue_charge - the open record will stay so: charge it to the socket
 * @q: the queue, with a record just opened
 *
 * How long it stays is the user's choice, and so its memory counts as what TCP
 * holds for the socket does. What is sealed goes to TCP, which charges it.
 *
 * Process context, socket lock owned.
 *
 * Return: 0, or -ENOMEM with no record open.
 */
int tls_queue_charge(struct tls_queue *q)
{
	size_t len = 0;
	unsigned int i;

	for (i = q->sealed; i < q->end; i++)
		len += q->vec[i].bv_len;
	if (!sk_wmem_schedule(q->sk, len)) {
		tls_queue_abandon(q);
		return -ENOMEM;
	}
	sk_mem_charge(q->sk, len);
	q->charged = len;
	return 0;
}

static void queue_uncharge(struct tls_queue *q)
{
	if (likely(!q->charged))
		return;
	sk_mem_uncharge(q->sk, q->charged);
	q->charged = 0;
}

/**
 * tls_queue_abandon - give the open record's room back
 * @q: the queue
 */
void tls_queue_abandon(struct tls_queue *q)
{
	queue_uncharge(q);
	while (q->end > q->sealed)
		put_page(q->vec[--q->end].bv_page);
}

/* The room after the record goes back to where it came from, if it can. */
static void queue_trim(struct tls_queue *q, size_t len)
{
	struct page_frag *pfrag = sk_page_frag(q->sk);
	unsigned int i = q->sealed;
	struct bio_vec *bv;
	size_t unused;

	while (len > q->vec[i].bv_len)
		len -= q->vec[i++].bv_len;
	bv = &q->vec[i++];
	unused = bv->bv_len - len;
	if (unused && i == q->end && bv->bv_page == pfrag->page &&
	    bv->bv_offset + bv->bv_len == pfrag->offset)
		pfrag->offset -= unused;
	bv->bv_len = len;
	while (q->end > i)
		put_page(q->vec[--q->end].bv_page);
}

/**
 * tls_queue_seal - the open record is encrypted and may go
 * @q: the queue
 * @len: bytes of the record, at most what it was opened with
 * @device: it is text, for a device to encrypt; what is queued may change
 *	from one to the other only once
 */
void tls_queue_seal(struct tls_queue *q, size_t len, bool device)
{
	struct bio_vec *last, *next;

	queue_uncharge(q);
	if (!q->bytes) {
		if (q->device != device)
			tls_device_fence(q->sk);
		q->device = device;
	} else if (!q->flip && q->device != device) {
		q->flip = q->bytes;
	}
	queue_trim(q, len);
	q->bytes += len;

	/* Two records in a row in one page are one piece. */
	if (q->sealed > q->first) {
		last = &q->vec[q->sealed - 1];
		next = &q->vec[q->sealed];
		if (last->bv_page == next->bv_page &&
		    last->bv_offset + last->bv_len == next->bv_offset) {
			last->bv_len += next->bv_len;
			put_page(next->bv_page);
			q->end--;
			memmove(next, next + 1,
				(q->end - q->sealed) * sizeof(*next));
		}
	}
	q->sealed = q->end;
}

/* TCP has its own references to the first @n bytes now: drop ours. */
static void queue_taken(struct tls_queue *q, size_t n)
{
	q->bytes -= n;
	if (q->flip) {
		q->flip -= n;
		if (!q->flip) {
			q->device = !q->device;
			tls_device_fence(q->sk);
		}
	}
	while (n) {
		struct bio_vec *bv = &q->vec[q->first];

		if (n < bv->bv_len) {
			bv->bv_offset += n;
			bv->bv_len -= n;
			return;
		}
		n -= bv->bv_len;
		put_page(bv->bv_page);
		q->first++;
	}
	if (q->first == q->end) {
		q->first = 0;
		q->sealed = 0;
		q->end = 0;
		q->shared = false;
	}
}

/**
 * tls_queue_push - hand finished records to TCP, as many as it takes
 * @q: the queue
 * @how: and what will follow
 *
 * Socket lock held, in process context or softirq: does not sleep when
 * sk_allocation does not, and never waits for room. From TCP's callback
 * (sk_allocation is GFP_ATOMIC) only a few segments go at a time: after more,
 * TCP would look into the socket's backlog in the midst of its own work.
 *
 * Return: 0 when all has gone; -EAGAIN when TCP is full: its write-space
 * callback, or our timer, goes on when it is not; -EPIPE when nothing can be
 * sent any more: why is in sk_err, until it is told.
 */
int tls_queue_push(struct tls_queue *q, enum tls_push how)
{
	const bool keep = how == TLS_PUSH_SOME;
	struct msghdr msg = {
		.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL |
			     (q->bytes <= TLS_COPIED && !q->device ?
			      0 : MSG_SPLICE_PAGES) |
			     (how == TLS_PUSH_ALL ? 0 : MSG_MORE) |
			     (q->shared ? 0 : MSG_NO_SHARED_FRAGS),
	};
	struct sock *sk = q->sk;
	int pending, ret = 0;

	/* TCP may empty the socket's backlog, and so call write-space. */
	if (q->pushing)
		return q->bytes ? -EAGAIN : 0;
	q->pushing = true;
	/*
	 * TCP would take an error and send nothing, and there is nobody to tell.
	 * One of the path (IP_RECVERR) ends nothing; it is told to who asks next.
	 */
	pending = sk->sk_err;
	if (unlikely(pending))
		WRITE_ONCE(sk->sk_err, 0);
	while (q->bytes > keep) {
		size_t n = q->flip ?: q->bytes - keep;

		ret = -EPIPE;
		if (sk->sk_err || sk->sk_shutdown & SEND_SHUTDOWN ||
		    !(BIT(sk->sk_state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)))
			break;
		if (!gfpflags_allow_blocking(sk->sk_allocation))
			n = min_t(size_t, n,
				  TLS_CALLBACK_SEGMENTS *
				  tcp_sk(sk)->mss_cache);
		if (q->device)
			msg.msg_flags |= MSG_SENDPAGE_DECRYPTED;
		else
			msg.msg_flags &= ~MSG_SENDPAGE_DECRYPTED;
		iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, q->vec + q->first,
			      q->sealed - q->first, n);
		ret = tcp_sendmsg_locked(sk, &msg, n);
		if (ret <= 0)
			break;
		queue_taken(q, ret);
		ret = 0;
	}
	q->pushing = false;
	/* TCP has taken it for its own caller's: whoever waits is signalled. */
	sk_set_bit(SOCKWQ_ASYNC_NOSPACE, sk);

	if (ret == -EAGAIN) {
		if (tcp_rtx_and_write_queues_empty(sk))
			tls_queue_later(q);
	} else if (ret < 0) {
		/* The connection failed while TCP was at it. */
		if (ret != -EPIPE && !sk->sk_err)
			WRITE_ONCE(sk->sk_err, -ret);
		ret = -EPIPE;
	}
	if (unlikely(pending)) {
		if (!sk->sk_err)
			WRITE_ONCE(sk->sk_err, pending);
		/* Who looked meanwhile looks again. */
		sk_error_report(sk);
	}
	return ret;
}

/**
 * tls_queue_force - hand everything to TCP, even over its buffer's limit
 * @q: the queue
 * @last: nobody will come back for it
 *
 * For the end of a call, or of the stream. Whoever replaced sk_write_space need
 * not call ours (the target of NVMe over TCP does not), and so nobody may come
 * back. The senders see to it that what is queued is no more than a record over
 * the room that TCP has. Process context, socket lock owned.
 *
 * Return: 0, or as tls_queue_push().
 */
int tls_queue_force(struct tls_queue *q, bool last)
{
	struct sock *sk = q->sk;
	struct tcp_sock *tp = tcp_sk(sk);
	u32 lowat = tp->notsent_lowat;
	int sndbuf = sk->sk_sndbuf;
	size_t before;
	int ret;

	WRITE_ONCE(tp->notsent_lowat, UINT_MAX);
	WRITE_ONCE(sk->sk_sndbuf, INT_MAX / 2);
	ret = tls_queue_push(q, TLS_PUSH_ALL);
	/*
	 * TCP's memory in all may be used up. Then it gives a socket one more
	 * segment when that segment is what fills the socket's own buffer. It
	 * makes that buffer smaller then, but not one that the user has set:
	 * each call would pass the limit again.
	 */
	do {
		before = q->bytes;
		if (ret != -EAGAIN ||
		    (!last && sk->sk_userlocks & SOCK_SNDBUF_LOCK))
			break;
		WRITE_ONCE(sk->sk_sndbuf, sk->sk_wmem_queued + 1);
		ret = tls_queue_push(q, TLS_PUSH_ALL);
	} while (q->bytes < before);
	WRITE_ONCE(sk->sk_sndbuf, sndbuf);
	WRITE_ONCE(tp->notsent_lowat, lowat);
	/* Memory is short: there may be none who calls us when it is not. */
	if (ret == -EAGAIN)
		tls_queue_later(q);
	return ret;
}

/**
 * tls_queue_purge - drop everything, the open record too
 * @q: the queue
 *
 * Process context, socket lock owned: waits for the timer.
 */
void tls_queue_purge(struct tls_queue *q)
{
	if (q->retried)
		sk_stop_timer_sync(q->sk, &q->retry);
	queue_uncharge(q);
	while (q->end > q->first)
		put_page(q->vec[--q->end].bv_page);
	q->first = 0;
	q->sealed = 0;
	q->end = 0;
	q->bytes = 0;
	q->flip = 0;
	q->shared = false;
}

/**
 * tls_queue_map - scatterlist over a part of the open record
 * @q: the queue
 * @skip: bytes of the record to leave out
 * @len: bytes to map; the record has that many
 * @sg: at least TLS_RECORD_PIECES entries; they need not be initialized
 *
 * Return: the number of entries; the end is not marked.
 */
size_t tls_queue_map(const struct tls_queue *q, size_t skip, size_t len,
		     struct scatterlist *sg)
{
	const struct bio_vec *bv = &q->vec[q->sealed];
	size_t nents = 0;

	for (; len; bv++) {
		size_t n;

		if (skip >= bv->bv_len) {
			skip -= bv->bv_len;
			continue;
		}
		n = min_t(size_t, len, bv->bv_len - skip);
		tls_sg_clear(&sg[nents], 1);
		sg_set_page(&sg[nents++], bv->bv_page, n, bv->bv_offset + skip);
		skip = 0;
		len -= n;
	}
	return nents;
}
