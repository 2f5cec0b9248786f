// SPDX-License-Identifier: GPL-2.0
/*
 * The software engine, receiving: the calls that read, and those who wait.
 *
 * A call takes records one after the other, as far as its buffer goes
 * (tls_sw_open.c), or what waits decrypted in @ready. All of it under the
 * socket lock, which is given up only while waiting for a record.
 */

#include <linux/net.h>
#include <linux/sched/signal.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <trace/events/sock.h>

#include "tls_sw_rx.h"
#include "trace.h"

/* Records without data that one call reads before it looks up. */
#define TLS_EMPTY_RECORDS	64

/* How often a sleeper looks that waits for SO_RCVLOWAT. */
#define TLS_LOWAT_SLICE		((long)HZ / 10)

/* What is wrong with a header that tls_record_parse() refuses? */
static enum tls_counter header_fault(const struct tls_framing *f,
				     const struct tls_record *rec, int err)
{
	if (err == -EINVAL)
		return TLS_ABORT_VERSION;
	if (err == -EBADMSG && f->version == TLS_1_3_VERSION &&
	    rec->type != TLS_RECORD_TYPE_DATA)
		return TLS_ABORT_TYPE;
	return TLS_ABORT_LENGTH;
}

/* Look at the head of the stream; socket lock held, any context. */
static int rx_next(struct sock *sk, struct tls_sw_rx *rx,
		   struct tls_record *rec, gfp_t gfp)
{
	const struct tls_framing *f = &rx->key->framing;
	u32 end;
	int ret;

	if (rx->err)
		return rx->err;
	if (rx->key_update)
		return -EKEYEXPIRED;
	ret = tls_strp_next(&rx->strp, f, rec, gfp);
	if (!ret && unlikely(rx->device) && tls_strp_end(&rx->strp, &end))
		tls_device_rx_ahead(sk, rx->device, end, f->seq + 1);
	if (likely(ret >= 0) || ret == -ENOMEM)
		return ret;
	if (ret == -ENODATA)
		return tls_rx_fail(sk, rx, TLS_ABORT_TRUNCATED, -EBADMSG);
	return tls_rx_fail(sk, rx, header_fault(f, rec, ret), ret);
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

	/* What was announced before has not been read: there is more of it. */
	if (rx->readable) {
		rx->data_ready(sk);
		return;
	}
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
			       tls_rx_fail(sk, rx, TLS_ABORT_TRUNCATED, -EBADMSG) :
			       0;
		/* SO_ERROR takes it without the lock. */
		ret = READ_ONCE(sk->sk_err);
		if (ret)
			return -ret;
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

/* @n bytes of the first record in @ready have been read. */
static void rx_consume(struct sock *sk, struct tls_sw_rx *rx,
		       struct sk_buff *skb, unsigned int n)
{
	rx_msg(skb)->offset += n;
	if (!unread(skb))
		tls_rx_ready_drop(sk, rx, skb);
}

/*
 * What a call returns. TCP's pending error is taken only when it is told.
 */
static ssize_t rx_result(struct sock *sk, ssize_t copied, int ret)
{
	if (copied)
		return copied;
	if (ret < 0)
		cmpxchg(&sk->sk_err, -ret, 0);
	return ret;
}

/*
 * The peer sends many records without data. They may not hold a reader that
 * does not wait, is signalled, or whose time, @until, is over.
 *
 * Return: 0 to go on, or an error.
 */
static int rx_flooded(struct tls_sw_rx *rx, long timeo, unsigned long until)
{
	rx->empty = 0;
	/* Whoever waits for an edge of poll must see one for the rest. */
	rx->again = true;
	if (!timeo)
		return -EAGAIN;
	if (signal_pending(current))
		return sock_intr_errno(timeo);
	if (timeo != MAX_SCHEDULE_TIMEOUT && time_after(jiffies, until))
		return -EAGAIN;
	rx->again = false;
	cond_resched();
	return 0;
}

/* Where splice() wants data, and how much. */
struct rx_splice {
	struct pipe_inode_info *pipe;
	size_t len;
};

/*
 * The first record in @ready, waiting for it. Data that is empty is skipped.
 *
 * @splice: a small record may go there at once; or NULL
 *
 * Return: 1 with @skb set; or with @skb NULL, and what went to @splice taken
 * off its length; 0 at the end of the stream; or an error.
 */
static int rx_first(struct sock *sk, struct tls_sw_rx *rx,
		    struct sk_buff **skb, struct rx_splice *splice,
		    long *timeo)
{
	unsigned long until = jiffies + *timeo;
	struct tls_record rec;
	ssize_t ret;

	rx->empty = 0;
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
		if (splice) {
			ret = tls_rx_take_splice(sk, rx, &rec, splice->pipe,
						 splice->len);
			if (ret > 0) {
				splice->len -= ret;
				return 1;
			}
		} else {
			ret = tls_rx_take(sk, rx, &rec);
		}
		if (ret < 0)
			return ret;
		if (rx->empty >= TLS_EMPTY_RECORDS) {
			ret = rx_flooded(rx, *timeo, until);
			if (ret)
				return ret;
		}
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
 */
struct rx_call {
	struct msghdr *msg;
	size_t len;
	size_t target;
	size_t copied;
	int type;
	struct sk_buff *seen;
	u64 unlinked;
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
		/* Whoever takes few bytes for all there are looks again. */
		rx->again = !(flags & MSG_PEEK);
		return 0;
	}
	if (!(flags & MSG_TRUNC) &&
	    skb_copy_datagram_msg(skb, rx_msg(skb)->offset, call->msg, n))
		return -EFAULT;
	call->copied += n;
	if (type != TLS_RECORD_TYPE_DATA) {
		if (n == unread(skb))
			call->msg->msg_flags |= MSG_EOR;
		if (!(flags & MSG_PEEK)) {
			rx_consume(sk, rx, skb, n);
			rx->again = true;
		}
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
 * Take the record at the head of the stream: to the caller at once, if it is
 * data that he has room for, else behind @ready.
 *
 * Return: bytes delivered, 0 or an error.
 */
static ssize_t rx_take(struct sock *sk, struct tls_sw_rx *rx,
		       struct rx_call *call, const struct tls_record *rec,
		       int flags)
{
	struct iov_iter *to = &call->msg->msg_iter;
	ssize_t n = 0;

	if (!(flags & (MSG_PEEK | MSG_TRUNC)) &&
	    (call->type < 0 || call->type == TLS_RECORD_TYPE_DATA)) {
		if (unlikely(tls_rx_is_decrypted(rx, rec)))
			n = tls_rx_take_decrypted(sk, rx, rec, to);
		else if (tls_rx_is_small(sk, rx, rec, to))
			return tls_rx_take_small(sk, rx, rec, to);
		else if (tls_rx_is_direct(sk, rx, rec, to))
			n = tls_rx_take_direct(sk, rx, rec, to);
		if (n)
			return n;
	}
	return tls_rx_take(sk, rx, rec);
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

	n = rx_take(sk, rx, call, &rec, flags);
	if (n <= 0)
		return n ?: 1;
	if (call->type < 0)
		rx_tell_type(call->msg, TLS_RECORD_TYPE_DATA);
	call->type = TLS_RECORD_TYPE_DATA;
	call->copied += n;
	return call->copied < call->len;
}

static int sw_recvmsg(struct sock *sk, struct tls_rx *base, struct msghdr *msg,
		      size_t len, int flags)
{
	struct tls_sw_rx *rx = sw_rx(base);
	struct rx_call call = { .msg = msg, .len = len, .type = -1 };
	unsigned long until;
	long timeo;
	int ret;

	lock_sock(sk);
	timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	until = jiffies + timeo;
	call.target = flags & MSG_WAITALL ? len :
		      min_t(size_t, tls_strp_lowat(&rx->strp), len);
	call.target = call.target ?: 1;
	rx->empty = 0;

	do {
		ret = rx_step(sk, rx, &call, flags, &timeo);
		if (ret > 0 && rx->empty >= TLS_EMPTY_RECORDS)
			ret = rx_flooded(rx, timeo, until) ?: 1;
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
	struct rx_splice splice = { .pipe = pipe, .len = len };
	struct tls_sw_rx *rx = sw_rx(base);
	struct sk_buff *skb;
	ssize_t copied;
	long timeo;
	int ret = 0;

	lock_sock(sk);
	timeo = sock_rcvtimeo(sk, nonblock);
	while (splice.len) {
		int n;

		ret = rx_first(sk, rx, &skb, &splice, &timeo);
		if (ret <= 0)
			break;
		if (skb) {
			ret = -EINVAL;
			if (rx_msg(skb)->type != TLS_RECORD_TYPE_DATA)
				break;
			n = min_t(size_t, splice.len, unread(skb));
			ret = skb_splice_bits(skb, sk, rx_msg(skb)->offset,
					      pipe, n, flags);
			if (ret <= 0)
				break;
			rx_consume(sk, rx, skb, ret);
			splice.len -= ret;
			if (ret < n)
				break;
		}
		/* What is here is taken along, nothing is waited for. */
		timeo = 0;
	}
	rx_update(sk, rx);
	copied = rx_result(sk, len - splice.len, ret);
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
		ret = rx_first(sk, rx, &skb, NULL, &timeo);
		if (ret == -ENOMEM) {
			/* As there: NVMe, too, would take it for the end. */
			desc->error = ret;
			rx->again = true;
		}
		if (ret == -ENOMEM || ret == -EAGAIN)
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

static unsigned int sw_held(const struct tls_rx *base)
{
	struct tls_sw_rx *rx = sw_rx(base);
	unsigned int n = tls_strp_held(&rx->strp);
	struct sk_buff *skb;

	skb_queue_walk(&rx->ready, skb)
		n += unread(skb);
	return n;
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
				tcp_receive_window(tcp_sk(sk)) + GRO_MAX_SIZE;
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
	/* Who has put a callback over ours was not told by that. */
	if (rx->readable && sk->sk_data_ready != tls_data_ready)
		sk->sk_data_ready(sk);
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
		tls_rx_ready_drop(sk, rx, skb_peek(&rx->ready));
	tls_strp_purge(&rx->strp);
	if (rx->device)
		tls_device_rx_stop(sk, rx->device);
	tls_key_free(rx->old_key);
	tls_key_free(rx->key);
	kfree(rx);
}

static const struct tls_rx_ops tls_sw_rx_ops = {
	.start		= sw_start,
	.recvmsg	= sw_recvmsg,
	.splice_read	= sw_splice_read,
	.read_sock	= sw_read_sock,
	.readable	= sw_readable,
	.failed		= sw_failed,
	.held		= sw_held,
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
	rx->rx.counters = tls_counters(sk);
	rx->rx.mode = TLS_SW;
	rx->key = key;
	tls_strp_init(&rx->strp, sk);
	rx->backoff = TLS_BACKOFF_MIN;
	__skb_queue_head_init(&rx->ready);
	return &rx->rx;
}
