// SPDX-License-Identifier: GPL-2.0
/*
 * NIC offload, sending: the records that TCP may have to send again, and who
 * encrypts the next one.
 */

#include <linux/netdevice.h>
#include <net/inet_connection_sock.h>
#include <net/tcp.h>

#include "compat.h"
#include "tls_device.h"
#include "trace.h"

static struct tls_device_tx *device_tx(struct tls_offload_context_tx *offload)
{
	return container_of(offload, struct tls_device_tx, offload);
}

static void record_free(struct tls_record_info *rec)
{
	int i;

	for (i = 0; i < rec->num_frags; i++)
		put_page(skb_frag_page(&rec->frags[i]));
	kfree(rec);
}

/**
 * tls_device_tx_purge - forget what may have to be sent again
 * @sk: the socket, of which no segment is left
 * @tx: sending over a device
 *
 * Any context.
 */
void tls_device_tx_purge(struct sock *sk, struct tls_device_tx *tx)
{
	struct tls_record_info *rec, *next;

	clean_acked_data_disable(tcp_sk(sk));
	list_for_each_entry_safe(rec, next, &tx->offload.records_list, list)
		record_free(rec);
}

/*
 * What was handed to TCP until now is not merged with what comes: one may be
 * text for the device to encrypt, and the other must not be.
 */
void tls_device_fence(struct sock *sk)
{
	struct sk_buff *skb = tcp_rtx_queue_tail(sk);

	tcp_write_collapse_fence(sk);
	if (skb)
		TCP_SKB_CB(skb)->eor = 1;
}

/* Softirq, from TCP: everything before @acked arrived. */
static void clean_acked(struct sock *sk, u32 acked)
{
	struct tls_device_tx *tx = tls_get_ctx(sk)->device->tx;
	struct tls_offload_context_tx *offload = &tx->offload;
	struct tls_record_info *rec, *next;
	unsigned long flags;
	LIST_HEAD(gone);

	spin_lock_irqsave(&offload->lock, flags);
	if (!before(acked, offload->marker.end_seq))
		offload->marker_passed = true;
	list_for_each_entry_safe(rec, next, &offload->records_list, list) {
		if (before(acked, rec->end_seq))
			break;
		if (offload->hint == rec)
			offload->hint = NULL;
		list_move_tail(&rec->list, &gone);
	}
	spin_unlock_irqrestore(&offload->lock, flags);

	list_for_each_entry_safe(rec, next, &gone, list)
		record_free(rec);
}

/* Where the next record will begin, when @queued bytes wait in front of it. */
static u32 next_seq(const struct sock *sk, size_t queued)
{
	return tcp_sk(sk)->write_seq + queued;
}

/* Nothing before @seq is for the device to encrypt any more. */
static void tx_mark(struct tls_device_tx *tx, const struct tls_key *key,
		    u32 seq)
{
	struct tls_offload_context_tx *offload = &tx->offload;

	spin_lock_irq(&offload->lock);
	offload->marker.end_seq = seq;
	offload->marker.sn = key->framing.seq;
	offload->marker_passed = false;
	spin_unlock_irq(&offload->lock);
}

/* Offload begins at @seq, under @key; tls_device_lock held for reading. */
static int tx_begin(struct sock *sk, struct net_device *netdev,
		    struct tls_device_tx *tx, const struct tls_key *key,
		    u32 seq)
{
	struct tls_offload_context_tx *offload = &tx->offload;
	int err;

	memset(offload->driver_state, 0, sizeof(offload->driver_state));
	tx_mark(tx, key, seq);
	err = tls_device_add(netdev, sk, TLS_OFFLOAD_CTX_DIR_TX, key, seq);
	if (err)
		memset(offload->driver_state, 0,
		       sizeof(offload->driver_state));
	tx->added = !err;
	return err;
}

/**
 * tls_device_keep_whole - IP shall not cut what a device may have to encrypt
 * @sk: the socket
 *
 * A fragment does not say that it is text, and who copies it on its way down
 * asks nobody. Told that a segment is too large, TCP makes smaller ones. TCP over
 * IPv6 is never cut where it is sent.
 *
 * Any context.
 */
void tls_device_keep_whole(struct sock *sk)
{
	WRITE_ONCE(inet_sk(sk)->pmtudisc, IP_PMTUDISC_DO);
}

/**
 * tls_device_tx_new - ask the device to encrypt what this socket sends
 * @sk: the socket
 * @key: its key
 *
 * Process context, socket lock owned; sleeps. What TCP has so far is already
 * as it must leave.
 *
 * Return: the state of sending over a device, or NULL: the engine encrypts.
 */
struct tls_device_tx *tls_device_tx_new(struct sock *sk,
					const struct tls_key *key)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	struct tls_device_tx *tx = NULL;
	struct net_device *netdev;
	struct tls_device *d;
	bool vlan;

	netdev = tls_device_find(sk, &vlan);
	if (!netdev)
		return NULL;
	down_read(&tls_device_lock);
	if (!tls_device_can(netdev, vlan, NETIF_F_HW_TLS_TX, &key->framing))
		goto out;
	tx = kzalloc(sizeof(*tx), sk->sk_allocation);
	if (!tx)
		goto out;
	spin_lock_init(&tx->offload.lock);
	INIT_LIST_HEAD(&tx->offload.records_list);
	tx->fallback = tls_fallback_new(key, sk->sk_allocation);
	d = tx->fallback ? tls_device_tie(sk, netdev) : NULL;
	if (!d)
		goto fail;
	d->tx = tx;
	ctx->offload_tx = &tx->offload;
	tls_device_fence(sk);
	clean_acked_data_enable(tcp_sk(sk), clean_acked);
	if (tx_begin(sk, netdev, tx, key, next_seq(sk, 0))) {
		clean_acked_data_disable(tcp_sk(sk));
		ctx->offload_tx = NULL;
		d->tx = NULL;
		goto fail;
	}
	tls_device_keep_whole(sk);
	/* Pairs with tls_is_skb_tx_device_offloaded(). */
	smp_store_release(&sk->sk_validate_xmit_skb, tls_validate_xmit_skb);
	goto out;
fail:
	tls_fallback_put(tx->fallback);
	kfree(tx);
	tx = NULL;
out:
	up_read(&tls_device_lock);
	dev_put(netdev);
	return tx;
}

/*
 * The device has gone, or is not on the way any more: what is framed for it
 * would be encrypted segment by segment.
 */
static bool is_cut_off(const struct sock *sk)
{
	return !rcu_access_pointer(tls_get_ctx(sk)->netdev) ||
	       READ_ONCE(sk->sk_validate_xmit_skb) != tls_validate_xmit_skb;
}

/* The device is free of the old key: it gets the new one from @seq on. */
static void tx_restart(struct sock *sk, struct tls_device_tx *tx,
		       const struct tls_key *key, u32 seq)
{
	struct tls_offload_context_tx *offload = &tx->offload;
	struct tls_context *ctx = tls_get_ctx(sk);
	struct tls_fallback *old = tx->fallback;
	struct net_device *netdev;

	tx->state = TX_ENGINE;
	down_read(&tls_device_lock);
	netdev = tls_device_netdev(ctx);
	if (netdev && tx->added) {
		tx_mark(tx, key, seq);
		tx->restarted = true;
		netdev->tlsdev_ops->tls_dev_del(netdev, ctx,
						TLS_OFFLOAD_CTX_DIR_TX);
		tx->added = false;
		clear_bit(TLS_TX_SYNC_SCHED, &ctx->flags);
		spin_lock_irq(&offload->lock);
		tx->fallback = tx->next_fallback;
		spin_unlock_irq(&offload->lock);
		tx->next_fallback = NULL;
		tls_fallback_put(old);
		if (tls_device_may_return(netdev, sk, NETIF_F_HW_TLS_TX,
					  &key->framing) &&
		    !tx_begin(sk, netdev, tx, key, seq))
			tx->state = TX_DEVICE;
	}
	up_read(&tls_device_lock);
}

/**
 * tls_device_tx_rekey - the next record is under another key
 * @sk: the socket
 * @tx: sending over a device
 * @key: the new key
 *
 * The device keeps the old one for what may have to be sent again. Process
 * context, socket lock owned.
 */
void tls_device_tx_rekey(struct sock *sk, struct tls_device_tx *tx,
			 const struct tls_key *key)
{
	tls_fallback_put(tx->next_fallback);
	tx->next_fallback = tx->added && !is_cut_off(sk) ?
			    tls_fallback_new(key, sk->sk_allocation) : NULL;
	tx->state = tx->next_fallback ? TX_DRAIN : TX_ENGINE;
}

/*
 * Has all that the device had to encrypt left it, and arrived? Copies that TCP
 * has sent for nothing may still be on their way to the device when the peer
 * has acknowledged all.
 */
static bool tx_drained(const struct sock *sk, const struct tls_device_tx *tx)
{
	return list_empty(&tx->offload.records_list) && !sk_wmem_alloc_get(sk);
}

/**
 * tls_device_tx_prepare - will the device encrypt the next record?
 * @sk: the socket
 * @tx: sending over a device
 * @key: the key of the record
 * @q: the queue that it goes to
 *
 * Process context, socket lock owned.
 *
 * Return: 1 if it will, and then the record's memory is there; 0 if the engine
 * must; or -ENOMEM, or what TCP says.
 */
int tls_device_tx_prepare(struct sock *sk, struct tls_device_tx *tx,
			  const struct tls_key *key, struct tls_queue *q)
{
	if (tx->state == TX_DRAIN && !q->flip && tx_drained(sk, tx))
		tx_restart(sk, tx, key, next_seq(sk, q->bytes));
	if (tx->state == TX_ENGINE && is_cut_off(sk) && !q->bytes &&
	    sk->sk_validate_xmit_skb && tx_drained(sk, tx))
		/* There is no text any more, here, in TCP or below. */
		smp_store_release(&sk->sk_validate_xmit_skb, NULL);
	if (tx->state != TX_DEVICE)
		return 0;
	if (is_cut_off(sk)) {
		tx->state = TX_ENGINE;
		return 0;
	}
	/* It can be told its place only where a segment may begin. */
	if (unlikely(test_bit(TLS_TX_SYNC_SCHED, &tls_get_ctx(sk)->flags)) &&
	    q->bytes) {
		int err = tls_queue_push(q, TLS_PUSH_ALL);

		if (err && err != -EAGAIN)
			return err;
	}
	if (!tx->spare)
		tx->spare = kzalloc(sizeof(*tx->spare),
				    sk->sk_allocation | __GFP_ACCOUNT);
	return tx->spare ? 1 : -ENOMEM;
}

/* The driver asked where the next record begins. */
static void tx_resync(struct sock *sk, struct tls_device_tx *tx, u64 sn,
		      u32 seq)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	__be64 rcd_sn = cpu_to_be64(sn);
	struct net_device *netdev;
	int err = 0;

	down_read(&tls_device_lock);
	netdev = tls_device_netdev(ctx);
	if (netdev && tx->added)
		err = netdev->tlsdev_ops->tls_dev_resync(netdev, sk, seq,
							 (u8 *)&rcd_sn,
							 TLS_OFFLOAD_CTX_DIR_TX);
	up_read(&tls_device_lock);
	trace_tls_device_resync(sk, false, seq, sn, err);
	if (err)
		return;
	/* Pairs with tls_offload_tx_resync_pending(). */
	clear_bit_unlock(TLS_TX_SYNC_SCHED, &ctx->flags);
}

/**
 * tls_device_tx_record - keep a framed record for the device
 * @sk: the socket
 * @tx: sending over a device; tls_device_tx_prepare() has returned 1
 * @q: the queue, with the record open and framed, its text as it was given
 * @sn: the record's number
 * @len: bytes of the record
 *
 * Process context, socket lock owned.
 */
void tls_device_tx_record(struct sock *sk, struct tls_device_tx *tx,
			  const struct tls_queue *q, u64 sn, size_t len)
{
	struct tls_offload_context_tx *offload = &tx->offload;
	struct tls_record_info *rec = tx->spare;
	u32 seq = next_seq(sk, q->bytes);
	const struct bio_vec *bv = &q->vec[q->sealed];
	size_t left = len;

	/* A segment must begin where the device is told that the record does. */
	if (unlikely(test_bit(TLS_TX_SYNC_SCHED, &tls_get_ctx(sk)->flags)) &&
	    !q->bytes) {
		tls_device_fence(sk);
		tx_resync(sk, tx, sn, seq);
	}

	tx->spare = NULL;
	BUILD_BUG_ON(TLS_RECORD_PIECES > ARRAY_SIZE(rec->frags));
	rec->sn = sn;
	rec->len = len;
	rec->end_seq = seq + len;
	for (; left; bv++) {
		size_t n = min_t(size_t, left, bv->bv_len);

		get_page(bv->bv_page);
		skb_frag_fill_page_desc(&rec->frags[rec->num_frags++],
					bv->bv_page, bv->bv_offset, n);
		left -= n;
	}
	spin_lock_irq(&offload->lock);
	list_add_tail(&rec->list, &offload->records_list);
	spin_unlock_irq(&offload->lock);
}

/**
 * tls_get_record - the record that holds a byte of the stream
 * @context: what the driver sees of sending
 * @seq: TCP sequence number of the byte
 * @p_record_sn: its record number
 *
 * @context's lock held, and for as long as the record is used; any context.
 *
 * Return: the record; the start marker for what was sent before the device
 * had the connection; or NULL: the byte was acknowledged.
 */
struct tls_record_info *tls_get_record(struct tls_offload_context_tx *context,
				       u32 seq, u64 *p_record_sn)
{
	struct tls_record_info *rec = context->hint;

	if (!context->marker_passed && before(seq, context->marker.end_seq)) {
		/* A later key begins when all before it was acknowledged. */
		if (device_tx(context)->restarted)
			return NULL;
		*p_record_sn = context->marker.sn;
		return &context->marker;
	}
	if (!rec || before(seq, tls_record_start_seq(rec)))
		rec = list_first_entry(&context->records_list,
				       struct tls_record_info, list);
	list_for_each_entry_from(rec, &context->records_list, list) {
		if (!before(seq, rec->end_seq))
			continue;
		if (before(seq, tls_record_start_seq(rec)))
			return NULL;
		context->hint = rec;
		*p_record_sn = rec->sn;
		return rec;
	}
	return NULL;
}
EXPORT_SYMBOL_GPL(tls_get_record);

/**
 * tls_offload_tx_resync_request - the device has lost its place
 * @sk: the socket
 * @got_seq: sequence number that it met
 * @exp_seq: sequence number that it expected
 *
 * It is told with the next record that is framed. Softirq, from the driver.
 */
void tls_offload_tx_resync_request(struct sock *sk, u32 got_seq, u32 exp_seq)
{
	trace_tls_device_lost(sk, false, got_seq, exp_seq);
	set_bit(TLS_TX_SYNC_SCHED, &tls_get_ctx(sk)->flags);
}
EXPORT_SYMBOL_GPL(tls_offload_tx_resync_request);

/**
 * tls_device_fallback - what encrypts instead of the device, and which record
 * @sk: the socket
 * @seq: TCP sequence number in the record
 * @rec: a copy of the record, with references to its pages
 *
 * Any context.
 *
 * Return: with a reference; or NULL: the byte was acknowledged, or never was
 * for the device.
 */
struct tls_fallback *tls_device_fallback(const struct sock *sk, u32 seq,
					 struct tls_record_info *rec)
{
	struct tls_device_tx *tx = device_tx(tls_get_ctx(sk)->offload_tx);
	struct tls_fallback *fallback = NULL;
	struct tls_record_info *found;
	unsigned long flags;
	u64 sn;
	int i;

	spin_lock_irqsave(&tx->offload.lock, flags);
	found = tls_get_record(&tx->offload, seq, &sn);
	if (found && !tls_record_is_start_marker(found)) {
		fallback = tls_fallback_get(tx->fallback);
		*rec = *found;
		for (i = 0; i < rec->num_frags; i++)
			get_page(skb_frag_page(&rec->frags[i]));
	}
	spin_unlock_irqrestore(&tx->offload.lock, flags);
	return fallback;
}

/**
 * tls_device_has - is this byte of the stream the device's to encrypt?
 * @sk: the socket
 * @seq: sequence number that a segment has for a byte that was framed for a
 *	device
 *
 * It is not when the device has a later key: then the byte was acknowledged.
 * Nor when somebody behind TCP has given the segment another number. The device
 * would take it for something that was never to be encrypted.
 *
 * Any context.
 */
bool tls_device_has(const struct sock *sk, u32 seq)
{
	struct tls_device_tx *tx = device_tx(tls_get_ctx(sk)->offload_tx);
	unsigned long flags;
	bool has;

	spin_lock_irqsave(&tx->offload.lock, flags);
	has = tx->offload.marker_passed ||
	      !before(seq, tx->offload.marker.end_seq);
	spin_unlock_irqrestore(&tx->offload.lock, flags);
	return has;
}
