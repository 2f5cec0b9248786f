// SPDX-License-Identifier: GPL-2.0
/*
 * NIC offload, receiving: telling a device that has lost its place where
 * records begin.
 */

#include <linux/netdevice.h>
#include <net/tcp.h>

#include "compat.h"
#include "tls_device.h"
#include "trace.h"

/* Records that came encrypted before the device is told where it is. */
#define TLS_HINT_MIN		2
#define TLS_HINT_MAX		128

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

	netdev = tls_device_find(sk, &vlan);
	if (!netdev)
		return NULL;
	down_read(&tls_device_lock);
	if (!tls_device_can(netdev, vlan, NETIF_F_HW_TLS_RX, &key->framing))
		goto out;
	rx = kzalloc(sizeof(*rx), sk->sk_allocation);
	if (!rx)
		goto out;
	rx->target = TLS_HINT_MIN;
	d = tls_device_tie(sk, netdev);
	if (!d)
		goto fail;
	d->rx = rx;
	ctx->offload_rx = &rx->offload;
	if (tls_device_add(netdev, sk, TLS_OFFLOAD_CTX_DIR_RX, key,
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
	netdev = tls_device_netdev(ctx);
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
	struct net_device *netdev;

	down_read(&tls_device_lock);
	netdev = tls_device_netdev(tls_get_ctx(sk));
	if (netdev && tls_device_may_return(netdev, sk, NETIF_F_HW_TLS_RX,
					    &key->framing)) {
		*rx = (struct tls_device_rx){ .target = TLS_HINT_MIN };
		rx->added = !tls_device_add(netdev, sk, TLS_OFFLOAD_CTX_DIR_RX,
					    key, tcp_sk(sk)->copied_seq);
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
		tls_count(tls_rx(ctx)->counters, TLS_RX_DEVICE_RESYNC, 1);
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

/*
 * The driver wants to know what there was in a range, some time later. It may
 * ask anew at any time, on another CPU: what was noted belongs to one request.
 */
static void resync_async(struct sock *sk, struct tls_device_rx *rx, u32 seq,
			 u64 sn)
{
	struct tls_offload_resync_async *async =
		READ_ONCE(rx->offload.resync_async);
	unsigned int i;
	u32 asked;
	s64 req;

	if (!async)
		return;
	req = atomic64_read(&async->req);
	if (likely(!req))
		return;
	asked = (u64)req >> 32;

	if (req & RESYNC_REQ_ASYNC) {
		u32 end = asked + ((u64)req >> 16 & U16_MAX);

		if (rx->logged_for != (u64)req) {
			rx->logged_for = req;
			rx->logged = 0;
		}
		if (before(seq, asked) || after(seq, end) ||
		    rx->logged == TLS_DEVICE_LOG)
			return;
		rx->log[rx->logged].seq = seq;
		rx->log[rx->logged++].sn = sn;
		return;
	}

	for (i = 0; i < rx->logged; i++) {
		if (rx->log[i].seq != asked)
			continue;
		seq = asked;
		sn = rx->log[i].sn;
		break;
	}
	if (before(seq, asked))
		return;
	/* Also when no record began there: it is behind us now. */
	if (!atomic64_try_cmpxchg(&async->req, &req, 0))
		return;
	rx->logged_for = 0;
	rx->logged = 0;
	if (seq == asked)
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

/**
 * tls_device_rx_ahead - the record at the head is still to be completed
 * @sk: the socket
 * @rx: receiving over a device
 * @seq: TCP sequence number where it ends
 * @next_sn: number of the record after it
 *
 * In a stream that does not pause, this is where a device can be told its
 * place: tls_device_rx_done() comes too late for it.
 *
 * Socket lock held; any context.
 */
void tls_device_rx_ahead(struct sock *sk, struct tls_device_rx *rx, u32 seq,
			 u64 next_sn)
{
	if (!rx->told_next)
		return;
	rx->told_next = false;
	rx_resync(sk, rx, seq, next_sn);
}
