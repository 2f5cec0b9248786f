// SPDX-License-Identifier: GPL-2.0
/*
 * NIC offload: a device that encrypts what is sent, or decrypts what comes.
 *
 * Sending: the engine frames a record, with room for its tag, and leaves the
 * text as it is; the device encrypts segment by segment. As any segment may
 * have to be sent again, the records that are not acknowledged are kept here.
 * When the device cannot have the next record (a new key while records of the
 * old one are in flight, a device that went away) the engine encrypts it, and
 * the device passes it on: segments say which of the two they are.
 *
 * Receiving: segments come marked as decrypted or not, records are found as
 * ever. The device must be told where records are when it lost its place.
 *
 * Lifetime: segments of a socket point at it until the last one has left the
 * device. So what they need (struct tls_context, the record list, the keys)
 * lives until the socket is destroyed, not only until it is closed; and goes
 * from a work item, as a driver may sleep while it forgets a connection.
 */

#include <linux/if_vlan.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/rwsem.h>
#include <linux/workqueue.h>
#include <net/dst.h>
#include <net/inet_connection_sock.h>
#include <net/tcp.h>

#include "compat.h"
#include "tls.h"
#include "trace.h"

/* Records that came encrypted before the device is told where it is. */
#define TLS_HINT_MIN		2
#define TLS_HINT_MAX		128

/**
 * enum device_tx_state - who encrypts the next record
 * @TX_DEVICE: the device
 * @TX_DRAIN: the engine, until all that the device has was acknowledged: then
 *	the device is given the new key
 * @TX_ENGINE: the engine
 */
enum device_tx_state {
	TX_DEVICE,
	TX_DRAIN,
	TX_ENGINE,
};

/**
 * struct tls_device_tx - sending over a device
 * @offload: what the driver sees; must be first
 * @state: who encrypts the next record; socket lock
 * @added: the driver has this direction; tls_device_lock
 * @restarted: the driver has had another key before
 * @acked: the peer has acknowledged what is before; under offload.lock
 * @fallback: encrypts what the device cannot; under offload.lock
 * @next_fallback: the same for the key that the device is given next
 * @spare: memory of the next record
 */
struct tls_device_tx {
	struct tls_offload_context_tx offload;
	enum device_tx_state state;
	bool added;
	bool restarted;
	u32 acked;
	struct tls_fallback *fallback;
	struct tls_fallback *next_fallback;
	struct tls_record_info *spare;
};

/**
 * struct tls_device_rx - receiving over a device
 * @offload: what the driver sees; must be first
 * @added: the driver has this direction; tls_device_lock
 * @failed: records that came encrypted since the last that did not
 * @target: how many of them there may be before the device is told its place
 * @told_next: tell it at the next record boundary that it has not passed
 */
struct tls_device_rx {
	struct tls_offload_context_rx offload;
	bool added;
	unsigned int failed;
	unsigned int target;
	bool told_next;
};

/**
 * struct tls_device - a socket's tie to a device
 * @ctx: the socket's context, which lives as long
 * @list: in tls_devices
 * @refs: the socket, until it is destroyed; tls_device_down()
 * @work: the end
 * @sk_destruct: the socket's own destructor
 * @tx: sending, or NULL
 * @rx: receiving, or NULL
 */
struct tls_device {
	struct tls_context *ctx;
	struct list_head list;
	refcount_t refs;
	struct work_struct work;
	void (*sk_destruct)(struct sock *sk);
	struct tls_device_tx *tx;
	struct tls_device_rx *rx;
};

/*
 * Held for reading while a driver is asked to add, delete or resync, and for
 * writing while a device goes down: then no driver hears of a connection that
 * it does not have. Taken inside the socket lock.
 */
static DECLARE_RWSEM(tls_device_lock);
static LIST_HEAD(tls_devices);
static DEFINE_SPINLOCK(tls_devices_lock);
static struct workqueue_struct *tls_device_wq;

static struct tls_device_tx *device_tx(struct tls_offload_context_tx *offload)
{
	return container_of(offload, struct tls_device_tx, offload);
}

/* ---- the tie between socket and device ---- */

static struct net_device *ctx_netdev(const struct tls_context *ctx)
{
	return rcu_dereference_protected(ctx->netdev,
					 lockdep_is_held(&tls_device_lock));
}

/*
 * Something between TCP and the device works on what TCP sends: IPsec, or
 * TCP's own signatures (RFC 2385, RFC 5925), which are over the text then.
 */
static bool is_protected(const struct sock *sk, const struct dst_entry *dst)
{
#ifdef CONFIG_TCP_MD5SIG
	if (rcu_access_pointer(tcp_sk(sk)->md5sig_info))
		return true;
#endif
#ifdef CONFIG_TCP_AO
	if (rcu_access_pointer(tcp_sk(sk)->ao_info))
		return true;
#endif
	return dst_xfrm(dst);
}

/*
 * The device that the socket's packets leave by, below bonds and VLANs, with a
 * reference; NULL when it knows nothing of TLS. Socket lock owned.
 *
 * @vlan: whether they go over a VLAN
 */
static struct net_device *find_netdev(struct sock *sk, bool *vlan)
{
	struct net_device *dev = NULL, *lower;
	struct dst_entry *dst;

	*vlan = false;
	rcu_read_lock();
	dst = __sk_dst_get(sk);
	if (dst && !is_protected(sk, dst)) {
		lower = READ_ONCE(dst->dev);
		*vlan = is_vlan_dev(lower);
		do {
			dev = lower;
			lower = netdev_sk_get_lowest_dev(dev, sk);
			if (is_vlan_dev(lower)) {
				*vlan = true;
				lower = vlan_dev_real_dev(lower);
			}
		} while (lower != dev);
		if (dev->tlsdev_ops)
			dev_hold(dev);
		else
			dev = NULL;
	}
	rcu_read_unlock();
	return dev;
}

/* What the device must have to be asked: on a VLAN, for VLANs too. */
static bool netdev_can(const struct net_device *dev, bool vlan,
		       netdev_features_t feature, const struct tls_framing *f)
{
	if (!(dev->flags & IFF_UP) || !(dev->features & feature))
		return false;
	if (vlan && !(dev->vlan_features & feature))
		return false;
	switch (f->cipher->type) {
	case TLS_CIPHER_AES_GCM_128:
	case TLS_CIPHER_AES_GCM_256:
	case TLS_CIPHER_CHACHA20_POLY1305:
		break;
	default:
		return false;
	}
	return f->version == TLS_1_2_VERSION ||
	       dev->tlsdev_ops->capabilities & TLSDEV_CAP_TLS_1_3;
}

static void tie_free(struct work_struct *work)
{
	struct tls_device *d = container_of(work, struct tls_device, work);
	struct tls_context *ctx = d->ctx;
	struct tls_device_tx *tx = d->tx;
	struct net_device *netdev;

	down_read(&tls_device_lock);
	netdev = ctx_netdev(ctx);
	if (netdev) {
		if (tx && tx->added)
			netdev->tlsdev_ops->tls_dev_del(netdev, ctx,
							TLS_OFFLOAD_CTX_DIR_TX);
		if (d->rx && d->rx->added)
			netdev->tlsdev_ops->tls_dev_del(netdev, ctx,
							TLS_OFFLOAD_CTX_DIR_RX);
		dev_put(netdev);
	}
	up_read(&tls_device_lock);

	if (tx) {
		tls_fallback_put(tx->fallback);
		tls_fallback_put(tx->next_fallback);
		kfree(tx->spare);
		kfree(tx);
	}
	kfree(d->rx);
	kfree(d);
	kfree_rcu(ctx, rcu);
	module_put(THIS_MODULE);
}

static void tie_put(struct tls_device *d)
{
	unsigned long flags;

	spin_lock_irqsave(&tls_devices_lock, flags);
	if (refcount_dec_and_test(&d->refs)) {
		list_del(&d->list);
		/* Whoever finds it in no list can wait for its work. */
		queue_work(tls_device_wq, &d->work);
	}
	spin_unlock_irqrestore(&tls_devices_lock, flags);
}

static void record_free(struct tls_record_info *rec)
{
	int i;

	for (i = 0; i < rec->num_frags; i++)
		put_page(skb_frag_page(&rec->frags[i]));
	kfree(rec);
}

/**
 * tls_device_sk_destruct - the socket's memory goes now
 * @sk: the socket
 *
 * None of its segments is left. Any context. Its address also tells drivers
 * that the socket is offloaded.
 */
void tls_device_sk_destruct(struct sock *sk)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	struct tls_device *d = ctx->device;
	struct tls_record_info *rec, *next;

	d->sk_destruct(sk);
	if (d->tx) {
		clean_acked_data_disable(inet_csk(sk));
		list_for_each_entry_safe(rec, next,
					 &d->tx->offload.records_list, list)
			record_free(rec);
	}
	tie_put(d);
}
EXPORT_SYMBOL_GPL(tls_device_sk_destruct);

/*
 * The socket's tie to @netdev, made if it has none yet: then the reference to
 * @netdev becomes part of it. tls_device_lock held for reading.
 */
static struct tls_device *tie_attach(struct sock *sk,
				     struct net_device *netdev)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	struct tls_device *d = ctx->device;

	if (d)
		return ctx_netdev(ctx) == netdev ? d : NULL;
	d = kzalloc(sizeof(*d), sk->sk_allocation);
	if (!d)
		return NULL;
	d->ctx = ctx;
	refcount_set(&d->refs, 1);
	INIT_WORK(&d->work, tie_free);
	d->sk_destruct = sk->sk_destruct;
	dev_hold(netdev);
	__module_get(THIS_MODULE);
	rcu_assign_pointer(ctx->netdev, netdev);
	ctx->device = d;
	spin_lock_irq(&tls_devices_lock);
	list_add_tail(&d->list, &tls_devices);
	spin_unlock_irq(&tls_devices_lock);
	/* Drivers look at this first, and then at the context. */
	smp_store_release(&sk->sk_destruct, tls_device_sk_destruct);
	return d;
}

static int driver_add(struct net_device *netdev, struct sock *sk,
		      enum tls_offload_ctx_dir dir, const struct tls_key *key,
		      u32 seq)
{
	u8 info[TLS_MAX_INFO_SIZE] __aligned(8);
	int err;

	tls_key_export(key, info);
	err = netdev->tlsdev_ops->tls_dev_add(netdev, sk, dir,
					      (void *)info, seq);
	memzero_explicit(info, sizeof(info));
	return err;
}

/* ---- sending ---- */

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
	tx->acked = acked;
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
	err = driver_add(netdev, sk, TLS_OFFLOAD_CTX_DIR_TX, key, seq);
	tx->added = !err;
	return err;
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

	netdev = find_netdev(sk, &vlan);
	if (!netdev)
		return NULL;
	down_read(&tls_device_lock);
	if (!netdev_can(netdev, vlan, NETIF_F_HW_TLS_TX, &key->framing))
		goto out;
	tx = kzalloc(sizeof(*tx), sk->sk_allocation);
	if (!tx)
		goto out;
	spin_lock_init(&tx->offload.lock);
	INIT_LIST_HEAD(&tx->offload.records_list);
	tx->fallback = tls_fallback_new(key, sk->sk_allocation);
	d = tx->fallback ? tie_attach(sk, netdev) : NULL;
	if (!d)
		goto fail;
	d->tx = tx;
	tx->acked = tcp_sk(sk)->snd_una;
	ctx->offload_tx = &tx->offload;
	tls_device_fence(sk);
	clean_acked_data_enable(inet_csk(sk), clean_acked);
	if (tx_begin(sk, netdev, tx, key, next_seq(sk, 0))) {
		clean_acked_data_disable(inet_csk(sk));
		ctx->offload_tx = NULL;
		d->tx = NULL;
		goto fail;
	}
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
	netdev = ctx_netdev(ctx);
	if (netdev && tx->added) {
		tx_mark(tx, key, seq);
		WRITE_ONCE(tx->restarted, true);
		netdev->tlsdev_ops->tls_dev_del(netdev, ctx,
						TLS_OFFLOAD_CTX_DIR_TX);
		tx->added = false;
		clear_bit(TLS_TX_SYNC_SCHED, &ctx->flags);
		spin_lock_irq(&offload->lock);
		tx->fallback = tx->next_fallback;
		spin_unlock_irq(&offload->lock);
		tx->next_fallback = NULL;
		tls_fallback_put(old);
		if (!tx_begin(sk, netdev, tx, key, seq))
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
	tx->next_fallback = tx->added ?
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
 * must; or -ENOMEM.
 */
int tls_device_tx_prepare(struct sock *sk, struct tls_device_tx *tx,
			  const struct tls_key *key, const struct tls_queue *q)
{
	if (tx->state == TX_DRAIN && !q->flip && tx_drained(sk, tx))
		tx_restart(sk, tx, key, next_seq(sk, q->bytes));
	if (tx->state != TX_DEVICE)
		return 0;
	if (!rcu_access_pointer(tls_get_ctx(sk)->netdev)) {
		tx->state = TX_ENGINE;
		return 0;
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
	netdev = ctx_netdev(ctx);
	if (netdev && tx->added)
		err = netdev->tlsdev_ops->tls_dev_resync(netdev, sk, seq,
							 (u8 *)&rcd_sn,
							 TLS_OFFLOAD_CTX_DIR_TX);
	up_read(&tls_device_lock);
	trace_tls_device_resync(sk, false, seq, sn, err);
	if (err)
		return;
	/* Pairs with tls_offload_tx_resync_pending(). */
	smp_mb__before_atomic();
	clear_bit(TLS_TX_SYNC_SCHED, &ctx->flags);
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
	WARN_ON(test_and_set_bit(TLS_TX_SYNC_SCHED, &tls_get_ctx(sk)->flags));
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
 * @seq: TCP sequence number of a byte that was framed for a device
 *
 * It is not when the device has a later key: then the byte was acknowledged,
 * and the device would take it for something that was never to be encrypted.
 *
 * Any context.
 */
bool tls_device_has(const struct sock *sk, u32 seq)
{
	struct tls_device_tx *tx = device_tx(tls_get_ctx(sk)->offload_tx);
	unsigned long flags;
	bool has;

	/* Without a second key, nothing was framed before the marker. */
	if (likely(!READ_ONCE(tx->restarted)))
		return true;
	spin_lock_irqsave(&tx->offload.lock, flags);
	has = tx->offload.marker_passed ||
	      !before(seq, tx->offload.marker.end_seq);
	spin_unlock_irqrestore(&tx->offload.lock, flags);
	return has;
}

/**
 * tls_device_had - may this byte of the stream have been framed for a device?
 * @sk: the socket
 * @seq: TCP sequence number of any byte
 *
 * Any context.
 *
 * Return: false for what was not; true for what was, and for all that was
 * acknowledged.
 */
bool tls_device_had(const struct sock *sk, u32 seq)
{
	struct tls_device_tx *tx = device_tx(tls_get_ctx(sk)->offload_tx);
	struct tls_record_info *rec;
	unsigned long flags;
	bool had;
	u64 sn;

	spin_lock_irqsave(&tx->offload.lock, flags);
	rec = tls_get_record(&tx->offload, seq, &sn);
	had = (rec && !tls_record_is_start_marker(rec)) ||
	      before(seq, tx->acked);
	spin_unlock_irqrestore(&tx->offload.lock, flags);
	return had;
}

/* ---- receiving ---- */

/**
 * tls_device_rx_new - ask the device to decrypt what this socket receives
 * @sk: the socket
 * @key: its key
 *
 * Process context, socket lock owned; sleeps.
 *
 * Return: the state of receiving over a device, or NULL: software decrypts.
 */
struct tls_device_rx *tls_device_rx_new(struct sock *sk,
					const struct tls_key *key)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	struct tls_device_rx *rx = NULL;
	struct net_device *netdev;
	struct tls_device *d;
	bool vlan;

	netdev = find_netdev(sk, &vlan);
	if (!netdev)
		return NULL;
	down_read(&tls_device_lock);
	if (!netdev_can(netdev, vlan, NETIF_F_HW_TLS_RX, &key->framing))
		goto out;
	rx = kzalloc(sizeof(*rx), sk->sk_allocation);
	if (!rx)
		goto out;
	rx->target = TLS_HINT_MIN;
	d = tie_attach(sk, netdev);
	if (!d)
		goto fail;
	d->rx = rx;
	ctx->offload_rx = &rx->offload;
	if (driver_add(netdev, sk, TLS_OFFLOAD_CTX_DIR_RX, key,
		       tcp_sk(sk)->copied_seq)) {
		ctx->offload_rx = NULL;
		d->rx = NULL;
		goto fail;
	}
	rx->added = true;
	goto out;
fail:
	kfree(rx);
	rx = NULL;
out:
	up_read(&tls_device_lock);
	dev_put(netdev);
	return rx;
}

/**
 * tls_device_rx_stop - the device need not decrypt any more
 * @sk: the socket
 * @rx: receiving over a device; the driver may look at it until the socket is
 *	destroyed
 *
 * Process context, socket lock owned; sleeps.
 */
void tls_device_rx_stop(struct sock *sk, struct tls_device_rx *rx)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	struct net_device *netdev;

	down_read(&tls_device_lock);
	netdev = ctx_netdev(ctx);
	if (netdev && rx->added)
		netdev->tlsdev_ops->tls_dev_del(netdev, ctx,
						TLS_OFFLOAD_CTX_DIR_RX);
	rx->added = false;
	up_read(&tls_device_lock);
}

/**
 * tls_device_rx_restart - the device may decrypt under another key
 * @sk: the socket, stopped; TCP's next byte begins a record
 * @rx: receiving over a device
 * @key: the key of that record
 *
 * Process context, socket lock owned; sleeps.
 */
void tls_device_rx_restart(struct sock *sk, struct tls_device_rx *rx,
			   const struct tls_key *key)
{
	struct tls_offload_context_rx *offload = &rx->offload;
	struct net_device *netdev;

	down_read(&tls_device_lock);
	netdev = ctx_netdev(tls_get_ctx(sk));
	if (netdev) {
		memset(offload->driver_state, 0,
		       sizeof(offload->driver_state));
		atomic64_set(&offload->resync_req, 0);
		offload->resync_async = NULL;
		rx->failed = 0;
		rx->target = TLS_HINT_MIN;
		rx->added = !driver_add(netdev, sk, TLS_OFFLOAD_CTX_DIR_RX, key,
					tcp_sk(sk)->copied_seq);
	}
	up_read(&tls_device_lock);
}

/* Tell the device that record @sn begins at @seq. Socket lock held. */
static void rx_resync(struct sock *sk, struct tls_device_rx *rx, u32 seq,
		      u64 sn)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	__be64 rcd_sn = cpu_to_be64(sn);
	struct net_device *netdev;
	int err = -ENODEV;

	rcu_read_lock();
	netdev = rcu_dereference(ctx->netdev);
	if (netdev && READ_ONCE(rx->added))
		err = netdev->tlsdev_ops->tls_dev_resync(netdev, sk, seq,
							 (u8 *)&rcd_sn,
							 TLS_OFFLOAD_CTX_DIR_RX);
	rcu_read_unlock();
	trace_tls_device_resync(sk, true, seq, sn, err);
	if (!err)
		tls_count(sk, TLS_RX_DEVICE_RESYNC, 1);
}

/* The driver guesses where a header ends: is it this one? */
static void resync_request(struct sock *sk, struct tls_device_rx *rx, u32 seq,
			   u64 sn)
{
	s64 req = atomic64_read(&rx->offload.resync_req);
	u32 asked = (u64)req >> 32;

	if (likely(!req))
		return;
	seq += TLS_HEADER_SIZE - 1;
	if (after(asked, seq))
		return;
	/* Also when what was asked for is no header: it is behind us now. */
	if (atomic64_try_cmpxchg(&rx->offload.resync_req, &req, 0) &&
	    asked == seq)
		rx_resync(sk, rx, seq, sn);
}

/* The driver wants to know what there was in a range, some time later. */
static void resync_async(struct sock *sk, struct tls_device_rx *rx, u32 seq,
			 u64 sn)
{
	struct tls_offload_resync_async *async =
		READ_ONCE(rx->offload.resync_async);
	s64 req;
	u32 asked;
	u16 i;

	if (!async)
		return;
	req = atomic64_read(&async->req);
	if (likely(!req))
		return;
	asked = (u64)req >> 32;

	if (req & RESYNC_REQ_ASYNC) {
		u32 end = asked + ((u64)req >> 16 & U16_MAX);

		if (before(seq, asked))
			return;
		if (async->rcd_delta == U16_MAX) {
			/* The device has forgotten about it. */
			tls_offload_rx_resync_async_request_cancel(async);
			return;
		}
		if (!after(seq, end) &&
		    async->loglen < TLS_DEVICE_RESYNC_ASYNC_LOGMAX)
			async->log[async->loglen++] = seq;
		async->rcd_delta++;
		return;
	}

	for (i = 0; i < async->loglen; i++) {
		if (async->log[i] != asked)
			continue;
		sn -= async->rcd_delta - i;
		seq = asked;
		break;
	}
	async->loglen = 0;
	async->rcd_delta = 0;
	if (seq == asked && atomic64_try_cmpxchg(&async->req, &req, 0))
		rx_resync(sk, rx, seq, sn);
}

/**
 * tls_device_rx_record - a record has been found
 * @sk: the socket
 * @rx: receiving over a device
 * @seq: TCP sequence number of its first byte
 * @sn: its record number
 *
 * Socket lock held; any context.
 */
void tls_device_rx_record(struct sock *sk, struct tls_device_rx *rx, u32 seq,
			  u64 sn)
{
	rcu_read_lock();
	/* What the driver has lent us is gone with the device. */
	if (!rcu_access_pointer(tls_get_ctx(sk)->netdev) ||
	    !READ_ONCE(rx->added))
		goto out;
	switch (rx->offload.resync_type) {
	case TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ:
		resync_request(sk, rx, seq, sn);
		break;
	case TLS_OFFLOAD_SYNC_TYPE_DRIVER_REQ_ASYNC:
		resync_async(sk, rx, seq, sn);
		break;
	case TLS_OFFLOAD_SYNC_TYPE_CORE_NEXT_HINT:
		break;
	}
out:
	rcu_read_unlock();
}

/**
 * tls_device_rx_done - a record has been read
 * @sk: the socket
 * @rx: receiving over a device
 * @how: how it came
 * @next_sn: number of the record after it
 * @more: TCP has bytes after it
 *
 * A device that waits to be told its place is told after some records that it
 * did not decrypt, each time after twice as many; always at a boundary that it
 * has not seen go by yet.
 *
 * Socket lock owned.
 */
void tls_device_rx_done(struct sock *sk, struct tls_device_rx *rx,
			enum tls_decrypted how, u64 next_sn, bool more)
{
	if (rx->offload.resync_type != TLS_OFFLOAD_SYNC_TYPE_CORE_NEXT_HINT)
		return;
	if (how != TLS_ENCRYPTED) {
		rx->failed = 0;
		rx->target = TLS_HINT_MIN;
		rx->told_next = false;
		return;
	}
	if (++rx->failed > rx->target) {
		rx->failed = 0;
		rx->target = min(rx->target * 2, TLS_HINT_MAX);
		rx->told_next = true;
	}
	if (rx->told_next && !more) {
		rx->told_next = false;
		rx_resync(sk, rx, tcp_sk(sk)->copied_seq, next_sn);
	}
}

/* ---- devices that go ---- */

/*
 * Each of its connections goes on in software. What TCP has for the device to
 * encrypt is encrypted as it leaves.
 */
static void tls_device_down(struct net_device *netdev)
{
	struct tls_device *d, *next;
	LIST_HEAD(gone);

	down_write(&tls_device_lock);
	spin_lock_irq(&tls_devices_lock);
	list_for_each_entry_safe(d, next, &tls_devices, list) {
		if (ctx_netdev(d->ctx) == netdev &&
		    refcount_inc_not_zero(&d->refs))
			list_move(&d->list, &gone);
	}
	spin_unlock_irq(&tls_devices_lock);
	if (list_empty(&gone))
		goto out;

	list_for_each_entry(d, &gone, list)
		rcu_assign_pointer(d->ctx->netdev, NULL);
	/* Nobody is between asking which device it is and handing it over. */
	synchronize_net();

	while (!list_empty(&gone)) {
		d = list_first_entry(&gone, struct tls_device, list);
		if (d->tx && d->tx->added)
			netdev->tlsdev_ops->tls_dev_del(netdev, d->ctx,
							TLS_OFFLOAD_CTX_DIR_TX);
		if (d->rx && d->rx->added)
			netdev->tlsdev_ops->tls_dev_del(netdev, d->ctx,
							TLS_OFFLOAD_CTX_DIR_RX);
		if (d->tx)
			d->tx->added = false;
		if (d->rx)
			d->rx->added = false;
		dev_put(netdev);
		spin_lock_irq(&tls_devices_lock);
		list_move(&d->list, &tls_devices);
		spin_unlock_irq(&tls_devices_lock);
		tie_put(d);
	}
out:
	up_write(&tls_device_lock);
	/* And those whose sockets are gone already. */
	flush_workqueue(tls_device_wq);
}

static int netdev_event(struct notifier_block *nb, unsigned long event,
			void *ptr)
{
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);
	const struct tlsdev_ops *ops = dev->tlsdev_ops;

	switch (event) {
	case NETDEV_REGISTER:
	case NETDEV_FEAT_CHANGE:
		if (!(dev->features & (NETIF_F_HW_TLS_TX | NETIF_F_HW_TLS_RX)))
			break;
		/* Features without what is behind them: the driver is wrong. */
		if (!ops || !ops->tls_dev_add || !ops->tls_dev_del ||
		    ((dev->features & NETIF_F_HW_TLS_RX) &&
		     !ops->tls_dev_resync))
			return NOTIFY_BAD;
		break;
	case NETDEV_DOWN:
		if (ops)
			tls_device_down(dev);
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block tls_device_notifier = {
	.notifier_call	= netdev_event,
};

int __init tls_device_init(void)
{
	int err;

	tls_device_wq = alloc_workqueue("tls_device", WQ_UNBOUND, 0);
	if (!tls_device_wq)
		return -ENOMEM;
	err = register_netdevice_notifier(&tls_device_notifier);
	if (err)
		destroy_workqueue(tls_device_wq);
	return err;
}

void tls_device_exit(void)
{
	unregister_netdevice_notifier(&tls_device_notifier);
	destroy_workqueue(tls_device_wq);
	clean_acked_data_flush();
}
