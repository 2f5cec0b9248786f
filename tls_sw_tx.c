// SPDX-License-Identifier: GPL-2.0
/*
 * The software engine, sending: plaintext in, records out to TCP.
 *
 * A record is made in one of two ways. Large pieces of the caller's memory
 * (user buffers, spliced pages) are read in place, and only ciphertext is
 * written. Anything else, and what MSG_MORE leaves open, is copied once into
 * the room of the open record, which is encrypted where it stands. The room
 * is taken before the first byte is: after that, nothing but the cipher
 * itself can fail, and that fails the socket.
 *
 * The state is consistent whenever the socket lock is given up, which is only
 * while waiting for TCP, between records. Then another writer may send.
 */

#include <linux/net.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>
#include <net/sock.h>

#include "tls.h"
#include "trace.h"

#define TLS_SEND_FLAGS	(MSG_MORE | MSG_EOR | MSG_DONTWAIT | MSG_NOSIGNAL | \
			 MSG_BATCH | MSG_CMSG_COMPAT | MSG_SPLICE_PAGES | \
			 MSG_SENDPAGE_NOPOLICY)

/*
 * Below this, copying costs less than taking hold of the caller's pages, and
 * than another piece for the cipher when they are held already.
 */
#define TLS_IN_PLACE_MIN	(SZ_4K + 1)
#define TLS_SPLICED_MIN		SZ_4K

/**
 * struct tls_sw_tx - all that sending owns
 * @tx: must be first
 * @key: the key of the next record
 * @device: a device may encrypt, or NULL
 * @to_device: the device encrypts the record that is being made
 * @err: why this direction has failed for good, or 0
 * @ended: nothing more is taken: FIN follows
 * @open: a record is being gathered
 * @type: its content type
 * @len: bytes of plaintext gathered
 * @room: bytes of plaintext that it may hold
 * @tail: TLS 1.3's inner type, for a record that is read in place
 * @queue: finished records, and the room of the open one; must be last
 */
struct tls_sw_tx {
	struct tls_tx tx;
	struct tls_key *key;
	struct tls_device_tx *device;
	bool to_device;
	int err;
	bool ended;
	bool open;
	u8 type;
	u16 len;
	u16 room;
	u8 tail;
	struct tls_queue queue;
};

static struct tls_sw_tx *sw_tx(const struct tls_tx *tx)
{
	return container_of((struct tls_tx *)tx, struct tls_sw_tx, tx);
}

/* Nothing can be sent under this key any more, and nothing will be. */
static int tx_fail(struct sock *sk, struct tls_sw_tx *tx,
		   enum tls_counter reason, int err)
{
	tls_count(tx->tx.counters, reason, 1);
	trace_tls_abort(sk, false, reason, err);
	WRITE_ONCE(tx->err, -EBADMSG);
	tx->open = false;
	tls_queue_abandon(&tx->queue);
	WRITE_ONCE(sk->sk_err, EBADMSG);
	sk_error_report(sk);
	return tx->err;
}

/*
 * Where the open record's plaintext has its byte number @at, and how many
 * follow it there in one piece.
 */
static inline u8 *tx_room(struct tls_sw_tx *tx, size_t at, size_t *run)
{
	struct bio_vec *bv = &tx->queue.vec[tx->queue.sealed];

	at += tx->key->framing.prepend;
	for (; unlikely(at >= bv->bv_len); bv++)
		at -= bv->bv_len;
	*run = bv->bv_len - at;
	return bvec_virt(bv) + at;
}

/* A record has been made, which is the one before the next. */
static inline void tx_made(struct sock *sk, const struct tls_sw_tx *tx, u8 type,
			   size_t text_len)
{
	const struct tls_framing *f = &tx->key->framing;

	tls_count(tx->tx.counters, TLS_TX_RECORDS, 1);
	trace_tls_record_sent(sk, type, text_len - f->tail, f->seq - 1);
}

/* Frame a record, for the device to encrypt what is in the open room. */
static int tx_frame(struct sock *sk, struct tls_sw_tx *tx, u8 type,
		    size_t text_len)
{
	struct tls_framing *f = &tx->key->framing;
	size_t len = f->prepend + text_len + TLS_TAG_SIZE;
	size_t end = text_len + TLS_TAG_SIZE;
	size_t at, run;

	tls_record_header(f, type, text_len,
			  bvec_virt(&tx->queue.vec[tx->queue.sealed]));
	/* The device puts the tag here; what was here before does not leave. */
	for (at = text_len; at < end; at += run) {
		u8 *tag = tx_room(tx, at, &run);

		run = min(run, end - at);
		memset(tag, 0, run);
	}
	tls_device_tx_record(sk, tx->device, &tx->queue, f->seq, len);
	tls_framing_advance(f);
	tx_made(sk, tx, type, text_len);
	tls_queue_seal(&tx->queue, len, true);
	return 0;
}

/*
 * Encrypt a record into the open room of the queue: @text_len bytes from @src,
 * or in place when @src is NULL.
 */
static int tx_seal(struct sock *sk, struct tls_sw_tx *tx,
		   struct scatterlist *src, u8 type, size_t text_len)
{
	const struct tls_framing *f = &tx->key->framing;
	struct bio_vec *first = &tx->queue.vec[tx->queue.sealed];
	struct scatterlist dst[1 + TLS_RECORD_PIECES] __uninitialized;
	size_t nents;
	int err;

	if (unlikely(f->exhausted))
		return tx_fail(sk, tx, TLS_ABORT_SEQUENCE, -EOVERFLOW);
	if (tx->to_device)
		return tx_frame(sk, tx, type, text_len);

	/* The room begins with a piece that is longer than any header. */
	tls_record_header(f, type, text_len, bvec_virt(first));
	tls_sg_clear(dst, 1);
	nents = tls_queue_map(&tx->queue, f->prepend, text_len + TLS_TAG_SIZE,
			      dst + 1);
	sg_mark_end(&dst[nents]);
	err = tls_key_seal(tx->key, src ?: dst, dst, type, text_len,
			   sk->sk_allocation);
	if (unlikely(err))
		return tx_fail(sk, tx, TLS_ABORT_CIPHER, err);

	tx_made(sk, tx, type, text_len);
	tls_queue_seal(&tx->queue,
		       f->prepend + text_len + TLS_TAG_SIZE, false);
	return 0;
}

/* Copy up to @len bytes to the end of the open record. */
static size_t tx_gather(struct tls_sw_tx *tx, struct iov_iter *from, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t run, n;
		u8 *to = tx_room(tx, tx->len, &run);

		run = min(run, len - done);
		n = copy_from_iter(to, run, from);
		tx->len += n;
		done += n;
		if (n < run)
			break;
	}
	return done;
}

/* End the open record, as it is. */
static int tx_close_record(struct sock *sk, struct tls_sw_tx *tx)
{
	const struct tls_framing *f = &tx->key->framing;
	size_t run;

	tx->open = false;
	if (f->tail)
		*tx_room(tx, tx->len, &run) = tx->type;
	return tx_seal(sk, tx, NULL, tx->type, tx->len + f->tail);
}

static int tx_open_record(struct sock *sk, struct tls_sw_tx *tx, u8 type,
			  size_t room, bool stays)
{
	int err;

	err = tls_queue_open(&tx->queue,
			     room + tls_framing_overhead(&tx->key->framing),
			     tx->key->framing.prepend);
	if (!err && stays)
		err = tls_queue_charge(&tx->queue);
	if (err)
		return err;
	tx->open = true;
	tx->type = type;
	tx->len = 0;
	tx->room = room;
	return 0;
}

static void unpin(const struct iov_iter *iter, struct page **pages, int n)
{
	if (iov_iter_extract_will_pin(iter))
		unpin_user_pages(pages, n);
}

/*
 * Make a record of @len bytes that are read where the caller has them. The
 * cipher may read them while another thread of the caller writes them: then
 * the record holds one or the other, or is not authentic to the peer.
 *
 * Return: @len; 0 when they cannot be read in place; or an error.
 */
static ssize_t tx_send_in_place(struct sock *sk, struct tls_sw_tx *tx, u8 type,
				struct iov_iter *from, size_t len)
{
	const struct tls_framing *f = &tx->key->framing;
	struct scatterlist src[1 + TLS_IN_PLACE_PAGES + 1] __uninitialized;
	struct page *pages[TLS_IN_PLACE_PAGES] __uninitialized;
	struct scatterlist *sg = src + 1;
	size_t got = 0;
	int n = 0;
	int err;

	err = tls_queue_open(&tx->queue, len + tls_framing_overhead(f),
			     f->prepend);
	if (err)
		return err;

	tls_sg_clear(src, ARRAY_SIZE(src));
	while (got < len) {
		struct page **some = pages + n;
		size_t offset, left;
		ssize_t ret;

		if (n == TLS_IN_PLACE_PAGES)
			break;
		ret = iov_iter_extract_pages(from, &some, len - got,
					     TLS_IN_PLACE_PAGES - n, 0,
					     &offset);
		if (ret <= 0)
			break;
		got += ret;
		for (left = ret; left; offset = 0) {
			size_t part = min(left, PAGE_SIZE - offset);

			sg_set_page(sg++, pages[n++], part, offset);
			left -= part;
		}
	}
	if (got < len) {
		unpin(from, pages, n);
		iov_iter_revert(from, got);
		tls_queue_abandon(&tx->queue);
		return 0;
	}

	if (f->tail) {
		tx->tail = type;
		sg_set_buf(sg++, &tx->tail, 1);
	}
	sg_mark_end(sg - 1);
	err = tx_seal(sk, tx, src, type, len + f->tail);
	unpin(from, pages, n);
	return err ?: len;
}

/*
 * As tx_send_in_place(), for a device: it reads the pages when TCP sends them,
 * and again when TCP sends them again. The caller said that they will not
 * change (TLS_TX_ZEROCOPY_RO).
 */
static ssize_t tx_send_uncopied(struct sock *sk, struct tls_sw_tx *tx, u8 type,
				struct iov_iter *from, size_t len)
{
	const struct tls_framing *f = &tx->key->framing;
	struct tls_queue *q = &tx->queue;
	size_t got = 0, run;
	int err, pages = 0;

	err = tls_queue_open(q, f->prepend, f->prepend);
	if (err)
		return err;
	while (got < len && pages < TLS_IN_PLACE_PAGES) {
		struct page *page, **some = &page;
		size_t offset;
		ssize_t n = iov_iter_extract_pages(from, &some, len - got, 1, 0,
						   &offset);

		if (n <= 0)
			break;
		if (!sendpage_ok(page) || tls_queue_add(q, page, offset, n)) {
			iov_iter_revert(from, n);
			break;
		}
		got += n;
		pages++;
	}
	if (got < len) {
		iov_iter_revert(from, got);
		tls_queue_abandon(q);
		return 0;
	}
	err = tls_queue_grow(q, f->tail + TLS_TAG_SIZE);
	if (err) {
		iov_iter_revert(from, got);
		return err;
	}
	if (f->tail)
		*tx_room(tx, len, &run) = type;
	err = tx_seal(sk, tx, NULL, type, len + f->tail);
	return err ?: len;
}

/* A further record would find a place in the queue, and then in TCP. */
static bool tx_has_room(const struct sock *sk, const struct tls_queue *q)
{
	/* One change from text to ciphertext, or back, is all that it holds. */
	return !tls_queue_full(q) && !q->flip && sk_stream_memory_free(sk) &&
	       (!q->bytes || (int)q->bytes < sk_stream_wspace(sk));
}

/*
 * Be ready to make a record. The socket lock is given up while this waits.
 *
 * Return: 1 when ready at once; 0 after a wait: look at the state anew; or an
 * error, -EAGAIN when the time is over.
 */
static int tx_ready(struct sock *sk, struct tls_sw_tx *tx, long *timeo)
{
	struct tls_queue *q = &tx->queue;
	int err;

	if (tx->err)
		return tx->err;
	if (tx_has_room(sk, q))
		return 1;
	err = tls_queue_push(q, TLS_PUSH_SOME);
	if (err && err != -EAGAIN)
		return err;
	if (tx_has_room(sk, q))
		return 1;
	return sk_stream_wait_memory(sk, timeo);
}

/* Which content type do the control messages ask for? */
static int tx_content_type(const struct tls_sw_tx *tx, struct msghdr *msg)
{
	int type = -1;
	struct cmsghdr *cmsg;

	for_each_cmsghdr(cmsg, msg) {
		if (!CMSG_OK(msg, cmsg))
			return -EINVAL;
		if (cmsg->cmsg_level != SOL_TLS)
			continue;
		if (cmsg->cmsg_type != TLS_SET_RECORD_TYPE ||
		    cmsg->cmsg_len < CMSG_LEN(sizeof(u8)) || type >= 0 ||
		    msg->msg_flags & MSG_MORE)
			return -EINVAL;
		type = *(u8 *)CMSG_DATA(cmsg);
	}
	if (type < 0)
		return TLS_RECORD_TYPE_DATA;
	/* TLS 1.3 could not tell it from padding. */
	if (!type && tx->key->framing.version == TLS_1_3_VERSION)
		return -EINVAL;
	return type;
}

/* Nothing more can be sent; sk_err may say why. */
static bool tx_ended(const struct sock *sk, const struct tls_sw_tx *tx)
{
	return sk->sk_err || sk->sk_shutdown & SEND_SHUTDOWN || tx->ended;
}

/*
 * One step: at most one record further.
 *
 * Return: bytes of plaintext taken, 0 after a wait, or an error.
 */
static ssize_t tx_step(struct sock *sk, struct tls_sw_tx *tx, u8 type,
		       struct msghdr *msg, long *timeo)
{
	size_t most = tls_get_ctx(sk)->tx_max_payload;
	size_t left = msg_data_left(msg);
	bool more = msg->msg_flags & MSG_MORE;
	size_t n = min(left, most);
	ssize_t ret;

	if (tx_ended(sk, tx))
		return -EPIPE;
	if (tx->open && tx->type != type)
		return tx_close_record(sk, tx);

	if (!tx->open) {
		ret = tx_ready(sk, tx, timeo);
		if (ret <= 0)
			return ret;

		ret = tx->device ? tls_device_tx_prepare(sk, tx->device,
							 tx->key, &tx->queue) :
				   0;
		if (ret < 0)
			return ret;
		tx->to_device = ret;
		if (!tx->to_device) {
			ret = tls_key_prepare(tx->key, sk->sk_allocation);
			if (ret)
				return ret;
		}

		if (n >= (msg->msg_flags & MSG_SPLICE_PAGES ?
			  TLS_SPLICED_MIN : TLS_IN_PLACE_MIN) &&
		    (n == most || !more)) {
			ret = 0;
			if (!tx->to_device)
				ret = tx_send_in_place(sk, tx, type,
						       &msg->msg_iter, n);
			else if (msg->msg_flags & MSG_SPLICE_PAGES &&
				 tls_get_ctx(sk)->zerocopy_sendfile)
				ret = tx_send_uncopied(sk, tx, type,
						       &msg->msg_iter, n);
			if (ret)
				return ret;
		}
		ret = tx_open_record(sk, tx, type, more ? most : n, more);
		if (ret)
			return ret;
	}

	n = tx_gather(tx, &msg->msg_iter,
		      min_t(size_t, left, tx->room - tx->len));
	if (!tx->len) {
		/* Its first bytes could not be read: there is no record. */
		tx->open = false;
		tls_queue_abandon(&tx->queue);
	}
	if (tx->len == tx->room) {
		ret = tx_close_record(sk, tx);
		if (ret)
			return ret;
	}
	return n ?: -EFAULT;
}

static int sw_sendmsg(struct sock *sk, struct tls_tx *base,
		      struct msghdr *msg, size_t size)
{
	struct tls_sw_tx *tx = sw_tx(base);
	int flags = msg->msg_flags;
	bool more = flags & MSG_MORE;
	long timeo = sock_sndtimeo(sk, flags & MSG_DONTWAIT);
	size_t copied = 0;
	ssize_t ret = 0;
	int type;

	if (flags & ~TLS_SEND_FLAGS)
		return -EOPNOTSUPP;
	if (more && flags & MSG_EOR)
		return -EINVAL;
	type = tx_content_type(tx, msg);
	if (type < 0)
		return type;
	if (tx->err)
		return tx->err;

	/* Who sends no bytes is told too, as by TCP. */
	if (!msg_data_left(msg) && tx_ended(sk, tx))
		ret = -EPIPE;
	while (msg_data_left(msg)) {
		ret = tx_step(sk, tx, type, msg, &timeo);
		if (ret == -ENOMEM && timeo) {
			/* Memory comes back: wait as TCP does. */
			ret = sk_stream_wait_memory(sk, &timeo);
			if (!ret)
				continue;
		}
		if (ret < 0)
			break;
		copied += ret;
	}

	if (ret == -ENOMEM && !gfpflags_allow_blocking(sk->sk_allocation)) {
		/*
		 * Who sends from within the kernel without sleeping has to end
		 * what it began (a PDU of NVMe): it is told as by TCP, and
		 * called back.
		 */
		set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
		tls_queue_later(&tx->queue);
		ret = -EAGAIN;
	}

	/* What was taken goes out, whatever stopped the rest. */
	if (tx->open && !more && !tx->err) {
		int err = tx_close_record(sk, tx);

		if (err)
			return err;
	}
	if (tx->queue.bytes) {
		int err = tls_queue_push(&tx->queue, more ? TLS_PUSH_MORE :
							    TLS_PUSH_ALL);

		/*
		 * A call takes no record when TCP has no room, so no more than
		 * one is over. Whoever replaced write-space need not call ours.
		 */
		if (err == -EAGAIN)
			err = tls_queue_force(&tx->queue, false);
		if (err && err != -EAGAIN && !copied)
			ret = err;
	}
	if (tx->err)
		return tx->err;
	if (copied)
		return copied;
	return ret < 0 ? sk_stream_error(sk, flags, ret) : 0;
}

static void sw_splice_eof(struct sock *sk, struct tls_tx *base)
{
	struct tls_sw_tx *tx = sw_tx(base);

	if (tx->err || (tx->open && tx_close_record(sk, tx)))
		return;
	tls_queue_push(&tx->queue, TLS_PUSH_ALL);
}

static int sw_end(struct sock *sk, struct tls_tx *base)
{
	struct tls_sw_tx *tx = sw_tx(base);
	int err;

	if (tx->open && !tx->err)
		tx_close_record(sk, tx);
	err = tx->queue.bytes ? tls_queue_force(&tx->queue, true) : 0;
	err = err ?: tx->err;
	tx->ended = err != -EAGAIN;
	return err;
}

/* Softirq, or the backlog of the process that owns the socket. */
static bool sw_write_space(struct sock *sk, struct tls_tx *base)
{
	struct tls_sw_tx *tx = sw_tx(base);
	bool use_task_frag = sk->sk_use_task_frag;
	gfp_t gfp = sk->sk_allocation;
	int err;

	if (!tx->queue.bytes)
		return true;
	/* The interrupted task's page fragment is not ours to use. */
	sk->sk_use_task_frag = false;
	sk->sk_allocation = GFP_ATOMIC;
	err = tls_queue_push(&tx->queue, TLS_PUSH_ALL);
	sk->sk_allocation = gfp;
	sk->sk_use_task_frag = use_task_frag;
	return err != -EAGAIN;
}

static unsigned int sw_waiting(const struct tls_tx *base)
{
	/* A hint for poll: TCP calls back when the queue has gone. */
	return READ_ONCE(sw_tx(base)->queue.bytes);
}

static bool sw_failed(const struct tls_tx *base)
{
	return READ_ONCE(sw_tx(base)->err);
}

static bool sw_record_is_open(const struct tls_tx *base)
{
	return sw_tx(base)->open;
}

static int sw_rekey(struct sock *sk, struct tls_tx *base, struct tls_key *key)
{
	struct tls_sw_tx *tx = sw_tx(base);
	int err = 0;

	/* What was gathered before goes out under the key of then. */
	if (tx->err)
		return tx->err;
	if (tx->open)
		err = tx_close_record(sk, tx);
	if (err)
		return err;
	tls_key_free(tx->key);
	tx->key = key;
	if (tx->device)
		tls_device_tx_rekey(sk, tx->device, key);
	tls_queue_push(&tx->queue, TLS_PUSH_ALL);
	return 0;
}

static const struct tls_key *sw_key(const struct tls_tx *base)
{
	return sw_tx(base)->key;
}

static void sw_free(struct sock *sk, struct tls_tx *base)
{
	struct tls_sw_tx *tx = sw_tx(base);

	tls_queue_purge(&tx->queue);
	tls_key_free(tx->key);
	kfree(tx);
}

static const struct tls_tx_ops tls_sw_tx_ops = {
	.sendmsg	= sw_sendmsg,
	.splice_eof	= sw_splice_eof,
	.end		= sw_end,
	.write_space	= sw_write_space,
	.waiting	= sw_waiting,
	.failed		= sw_failed,
	.record_is_open	= sw_record_is_open,
	.rekey		= sw_rekey,
	.key		= sw_key,
	.free		= sw_free,
};

/**
 * tls_sw_tx_new - the state of sending in software
 * @sk: the socket
 * @key: its key, which becomes part of the state
 *
 * Return: the state, or NULL for lack of memory.
 */
struct tls_tx *tls_sw_tx_new(struct sock *sk, struct tls_key *key)
{
	struct tls_sw_tx *tx = kmalloc(sizeof(*tx), sk->sk_allocation);

	if (!tx)
		return NULL;
	/* The table of pieces is most of it, and filled as it is used. */
	memset(tx, 0, offsetof(struct tls_sw_tx, queue.vec));
	tx->tx.ops = &tls_sw_tx_ops;
	tx->tx.counters = tls_counters(sk);
	tx->device = tls_device_tx_new(sk, key);
	tx->tx.mode = tx->device ? TLS_HW : TLS_SW;
	tx->key = key;
	tls_queue_init(sk, &tx->queue);
	return &tx->tx;
}
