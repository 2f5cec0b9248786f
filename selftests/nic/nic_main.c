// SPDX-License-Identifier: GPL-2.0
/*
 * Pairs of devices with a wire between them. "ip link add NAME type tlsnic"
 * makes NAME and, in the name space of the caller, NAMEp.
 *
 * What the stack hands over is copied before anything is done to it, as by DMA:
 * the pages behind a segment are those that TCP sends again from. Segments of
 * a large send are cut here, the device's cipher engine sees each by itself,
 * and the checksum is made last. So the peer, and a packet socket that listens
 * there, sees what a wire would carry; a packet socket on the sending device
 * sees, as with hardware, what the driver got.
 */

#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/module.h>
#include <linux/tcp.h>
#include <net/gso.h>
#include <net/rtnetlink.h>

#include "nic.h"

#define WIRE_FULL	512	/* frames; the sender waits */
#define WIRE_FREE	128	/* it goes on */

static struct rtnl_link_ops nic_link_ops;

static void wake_sender(struct nic *nic)
{
	struct nic *peer;

	rcu_read_lock();
	peer = rcu_dereference(nic->peer);
	if (peer && netif_queue_stopped(peer->dev) && netif_running(peer->dev))
		netif_wake_queue(peer->dev);
	rcu_read_unlock();
}

/* One frame, as the stack built it, onto the wire. */
static void send_frame(struct nic *nic, struct nic *peer, struct sk_buff *skb,
		       struct nic_conn *conn)
{
	struct sk_buff *frame;

	frame = netdev_alloc_skb_ip_align(peer->dev, skb->len);
	if (!frame)
		goto drop;
	if (skb_copy_bits(skb, 0, skb_put(frame, skb->len), skb->len))
		goto drop;
	skb_set_network_header(frame, skb_network_offset(skb));
	frame->protocol = skb->protocol;
	__vlan_hwaccel_copy_tag(frame, skb);

	if (conn) {
		skb_set_transport_header(frame, skb_transport_offset(skb));
		if (!nic_tls_encrypt(nic, conn, frame)) {
			nic_count(nic, NIC_tx_tls_dropped, 1);
			goto drop;
		}
		/* As hardware does: only what the stack has left to it. */
		if (skb->ip_summed == CHECKSUM_PARTIAL)
			nic_tcp_checksum(frame);
	} else if (skb->ip_summed == CHECKSUM_PARTIAL) {
		frame->ip_summed = CHECKSUM_PARTIAL;
		frame->csum_start = skb_headroom(frame) +
				    skb_checksum_start_offset(skb);
		frame->csum_offset = skb->csum_offset;
		if (skb_checksum_help(frame))
			goto drop;
	}
	nic_watch_frame(nic, conn, frame);
	dev_sw_netstats_tx_add(nic->dev, 1, frame->len);
	skb_queue_tail(&peer->wire, frame);
	return;
drop:
	nic_count(nic, NIC_wire_dropped, 1);
	DEV_STATS_INC(nic->dev, tx_dropped);
	kfree_skb(frame);
}

static netdev_tx_t nic_start_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct nic *nic = netdev_priv(dev), *peer;
	struct sk_buff *segs, *next;
	struct nic_conn *conn;

	rcu_read_lock();
	peer = rcu_dereference(nic->peer);
	if (!peer || !netif_running(peer->dev)) {
		DEV_STATS_INC(dev, tx_dropped);
		kfree_skb(skb);
		goto out;
	}
	skb_tx_timestamp(skb);
	skb = nic_tls_xmit(nic, skb, &conn);
	if (!skb) {
		DEV_STATS_INC(dev, tx_dropped);
		goto out;
	}

	segs = skb;
	if (skb_is_gso(skb)) {
		segs = skb_gso_segment(skb, dev->features & ~NETIF_F_GSO_MASK);
		if (IS_ERR_OR_NULL(segs)) {
			DEV_STATS_INC(dev, tx_dropped);
			kfree_skb(skb);
			goto out;
		}
		consume_skb(skb);
	}
	skb_list_walk_safe(segs, skb, next) {
		skb_mark_not_on_list(skb);
		send_frame(nic, peer, skb, conn);
		consume_skb(skb);
	}

	if (skb_queue_len_lockless(&peer->wire) >= WIRE_FULL) {
		netif_stop_queue(dev);
		/* Pairs with the one in nic_poll(). */
		smp_mb();
		if (skb_queue_len_lockless(&peer->wire) < WIRE_FREE)
			netif_wake_queue(dev);
	}
	napi_schedule(&peer->napi);
out:
	rcu_read_unlock();
	return NETDEV_TX_OK;
}

static int nic_poll(struct napi_struct *napi, int budget)
{
	struct nic *nic = container_of(napi, struct nic, napi);
	struct sk_buff *frame;
	int done;

	for (done = 0; done < budget; done++) {
		frame = skb_dequeue(&nic->wire);
		if (!frame)
			break;
		dev_sw_netstats_rx_add(nic->dev, frame->len);
		nic_tls_receive(nic, frame);
		frame->protocol = eth_type_trans(frame, nic->dev);
		napi_gro_receive(napi, frame);
	}
	/* Pairs with the one in nic_start_xmit(). */
	smp_mb();
	if (skb_queue_len_lockless(&nic->wire) < WIRE_FREE)
		wake_sender(nic);
	if (done < budget)
		napi_complete_done(napi, done);
	return done;
}

static int nic_open(struct net_device *dev)
{
	struct nic *nic = netdev_priv(dev);
	struct nic *peer = rtnl_dereference(nic->peer);

	napi_enable(&nic->napi);
	netif_start_queue(dev);
	if (peer && netif_running(peer->dev)) {
		netif_carrier_on(dev);
		netif_carrier_on(peer->dev);
		wake_sender(nic);
	}
	return 0;
}

static int nic_stop(struct net_device *dev)
{
	struct nic *nic = netdev_priv(dev);
	struct nic *peer = rtnl_dereference(nic->peer);

	netif_stop_queue(dev);
	netif_carrier_off(dev);
	if (peer)
		netif_carrier_off(peer->dev);
	napi_disable(&nic->napi);
	skb_queue_purge(&nic->wire);
	return 0;
}

static int nic_init(struct net_device *dev)
{
	struct nic *nic = netdev_priv(dev);

	nic->scratch = kvmalloc(dev->max_mtu, GFP_KERNEL);
	if (!nic->scratch)
		return -ENOMEM;
	netif_napi_add(dev, &nic->napi, nic_poll);
	return 0;
}

static void nic_uninit(struct net_device *dev)
{
	struct nic *nic = netdev_priv(dev);

	/* The kernel takes every connection back when a device goes down. */
	WARN_ON_ONCE(!list_empty(&nic->conns));
	netif_napi_del(&nic->napi);
	kvfree_sensitive(nic->scratch, dev->max_mtu);
}

static const struct net_device_ops nic_netdev_ops = {
	.ndo_init		= nic_init,
	.ndo_uninit		= nic_uninit,
	.ndo_open		= nic_open,
	.ndo_stop		= nic_stop,
	.ndo_start_xmit		= nic_start_xmit,
	.ndo_set_mac_address	= eth_mac_addr,
	.ndo_validate_addr	= eth_validate_addr,
};

static void nic_setup(struct net_device *dev)
{
	struct nic *nic = netdev_priv(dev);

	ether_setup(dev);
	dev->netdev_ops = &nic_netdev_ops;
	nic->ops = nic_tlsdev_ops;
	dev->tlsdev_ops = &nic->ops;
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_TSTATS;
	dev->needs_free_netdev = true;
	dev->max_mtu = 9000;
	dev->hw_features = NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_RXCSUM |
			   NETIF_F_ALL_TSO | NIC_TLS_FEATURES;
	dev->vlan_features = dev->hw_features;
	dev->hw_features |= NETIF_F_HW_VLAN_CTAG_TX | NETIF_F_HW_VLAN_CTAG_RX;
	dev->features |= dev->hw_features | NETIF_F_HIGHDMA;

	nic->dev = dev;
	skb_queue_head_init(&nic->wire);
	spin_lock_init(&nic->lock);
	INIT_LIST_HEAD(&nic->conns);
	hash_init(nic->rx_conns);
	nic->knobs.table_size = 128;
}

static int nic_register(struct net_device *dev)
{
	int ret;

	if (is_zero_ether_addr(dev->dev_addr))
		eth_hw_addr_random(dev);
	ret = register_netdevice(dev);
	if (ret)
		return ret;
	netif_carrier_off(dev);
	ret = nic_debugfs_add(netdev_priv(dev));
	if (ret)
		unregister_netdevice(dev);
	return ret;
}

static int nic_newlink(struct net *src_net, struct net_device *dev,
		       struct nlattr *tb[], struct nlattr *data[],
		       struct netlink_ext_ack *extack)
{
	struct nic *nic = netdev_priv(dev), *peer;
	struct net_device *other;
	char name[IFNAMSIZ];
	int ret;

	ret = nic_register(dev);
	if (ret)
		return ret;

	if (snprintf(name, sizeof(name), "%sp", dev->name) >= sizeof(name)) {
		NL_SET_ERR_MSG(extack, "no room for the peer's name");
		ret = -EINVAL;
		goto err;
	}
	other = alloc_netdev(sizeof(struct nic), name, NET_NAME_ENUM,
			     nic_setup);
	if (!other) {
		ret = -ENOMEM;
		goto err;
	}
	dev_net_set(other, src_net);
	other->rtnl_link_ops = &nic_link_ops;
	other->mtu = dev->mtu;
	ret = nic_register(other);
	if (ret) {
		free_netdev(other);
		goto err;
	}
	peer = netdev_priv(other);
	rcu_assign_pointer(nic->peer, peer);
	rcu_assign_pointer(peer->peer, nic);
	return 0;
err:
	nic_debugfs_del(nic);
	unregister_netdevice(dev);
	return ret;
}

static void nic_dellink(struct net_device *dev, struct list_head *head)
{
	struct nic *nic = netdev_priv(dev);
	struct nic *peer = rtnl_dereference(nic->peer);

	nic_debugfs_del(nic);
	unregister_netdevice_queue(dev, head);
	if (!peer)
		return;
	RCU_INIT_POINTER(nic->peer, NULL);
	RCU_INIT_POINTER(peer->peer, NULL);
	nic_debugfs_del(peer);
	unregister_netdevice_queue(peer->dev, head);
}

static struct rtnl_link_ops nic_link_ops = {
	.kind		= "tlsnic",
	.priv_size	= sizeof(struct nic),
	.setup		= nic_setup,
	.newlink	= nic_newlink,
	.dellink	= nic_dellink,
};

static int __init nic_module_init(void)
{
	int ret;

	ret = nic_debugfs_init();
	if (ret)
		return ret;
	ret = rtnl_link_register(&nic_link_ops);
	if (ret)
		nic_debugfs_exit();
	return ret;
}
module_init(nic_module_init);

static void __exit nic_module_exit(void)
{
	rtnl_link_unregister(&nic_link_ops);
	nic_debugfs_exit();
}
module_exit(nic_module_exit);

MODULE_DESCRIPTION("Network device with TLS offload, in software, for tests");
MODULE_LICENSE("GPL");
MODULE_ALIAS_RTNL_LINK("tlsnic");
