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
#include "tls_device.h"

/*
 * Held for reading while a driver is asked to add, delete or resync, and for
 * writing while a device goes down: then no driver hears of a connection that
 * it does not have. Taken inside the socket lock.
 */
DECLARE_RWSEM(tls_device_lock);
static LIST_HEAD(tls_devices);
static DEFINE_SPINLOCK(tls_devices_lock);
static struct workqueue_struct *tls_device_wq;

/* ---- the tie between socket and device ---- */

/*
 * Something between TCP and the device works on what TCP sends: IPsec, a
 * tunnel of the route's own, or TCP's signatures (RFC 2385, RFC 5925), which are
 * over the text then.
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
	return dst_xfrm(dst) || dst->lwtstate;
}

/* What is at the bottom of bonds and VLANs for this socket; under RCU. */
struct net_device *tls_device_lowest(struct net_device *dev, struct sock *sk,
				     bool *vlan)
{
	struct net_device *lower = dev;

	do {
		dev = lower;
		lower = netdev_sk_get_lowest_dev(dev, sk);
		if (is_vlan_dev(lower)) {
			*vlan = true;
			lower = vlan_dev_real_dev(lower);
		}
	} while (lower != dev);
	return dev;
}

/**
 * tls_device_find - the device that a socket's packets leave by
 * @sk: the socket
 * @vlan: set to whether they go over a VLAN
 *
 * Looks below bonds and VLANs. Socket lock owned.
 *
 * Return: the device, with a reference; or NULL when it knows nothing of TLS,
 * or something else works on the packets before they come to it.
 */
struct net_device *tls_device_find(struct sock *sk, bool *vlan)
{
	struct net_device *dev = NULL;
	struct dst_entry *dst;

	*vlan = false;
	rcu_read_lock();
	dst = __sk_dst_get(sk);
	if (dst && !is_protected(sk, dst)) {
		dev = tls_device_lowest(READ_ONCE(dst->dev), sk, vlan);
		/* Drivers look for sockets in their device's namespace. */
		if (dev->tlsdev_ops && net_eq(dev_net(dev), sock_net(sk)))
			dev_hold(dev);
		else
			dev = NULL;
	}
	rcu_read_unlock();
	return dev;
}

/**
 * tls_device_can - shall the device be asked to take a direction?
 * @dev: the device
 * @vlan: packets go over a VLAN: it must have the feature for those too
 * @feature: NETIF_F_HW_TLS_TX or _RX
 * @f: how the direction frames its records
 *
 * tls_device_lock held for reading.
 */
bool tls_device_can(const struct net_device *dev, bool vlan,
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

/**
 * tls_device_may_return - may the device have a direction again?
 * @netdev: the device that the socket is tied to
 * @sk: the socket; its lock owned
 * @feature: NETIF_F_HW_TLS_TX or _RX
 * @f: how the direction frames its records
 *
 * tls_device_lock held for reading.
 */
bool tls_device_may_return(const struct net_device *netdev, struct sock *sk,
			   netdev_features_t feature,
			   const struct tls_framing *f)
{
	bool vlan;
	struct net_device *now = tls_device_find(sk, &vlan);
	bool can = now == netdev && tls_device_can(now, vlan, feature, f);

	dev_put(now);
	return can;
}

static void tie_free(struct work_struct *work)
{
	struct tls_device *d = container_of(work, struct tls_device, work);
	struct tls_context *ctx = d->ctx;
	struct tls_device_tx *tx = d->tx;
	struct net_device *netdev;

	/* Receiving was taken back before: tls_device_rx_stop(). */
	down_read(&tls_device_lock);
	netdev = tls_device_netdev(ctx);
	if (netdev) {
		if (tx && tx->added)
			netdev->tlsdev_ops->tls_dev_del(netdev, ctx,
							TLS_OFFLOAD_CTX_DIR_TX);
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

	d->sk_destruct(sk);
	if (d->tx)
		tls_device_tx_purge(sk, d->tx);
	tie_put(d);
}
EXPORT_SYMBOL_GPL(tls_device_sk_destruct);

/**
 * tls_device_tie - the socket's tie to a device, made if it has none yet
 * @sk: the socket; its lock owned
 * @netdev: the device; the tie takes a reference
 *
 * tls_device_lock held for reading.
 *
 * Return: the tie; or NULL for lack of memory, or when it is to another device.
 */
struct tls_device *tls_device_tie(struct sock *sk, struct net_device *netdev)
{
	struct tls_context *ctx = tls_get_ctx(sk);
	struct tls_device *d = ctx->device;

	if (d)
		return tls_device_netdev(ctx) == netdev ? d : NULL;
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

/**
 * tls_device_add - ask a driver to take a direction
 * @netdev: its device
 * @sk: the socket; its lock owned
 * @dir: the direction
 * @key: its key, as it is at @seq
 * @seq: TCP sequence number where a record begins
 *
 * Process context; sleeps. tls_device_lock held for reading.
 *
 * Return: 0, or what the driver says.
 */
int tls_device_add(struct net_device *netdev, struct sock *sk,
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
		if (tls_device_netdev(d->ctx) == netdev &&
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
