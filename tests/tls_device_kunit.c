// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: what a driver must have that says that its device does TLS. Those who
 * register it hear what it lacks, not the first socket that needs it.
 */

#include <kunit/test.h>
#include <linux/etherdevice.h>
#include <linux/netdevice.h>

#include "../tls.h"

#define TX	NETIF_F_HW_TLS_TX
#define RX	NETIF_F_HW_TLS_RX

static netdev_tx_t drop(struct sk_buff *skb, struct net_device *dev)
{
	dev_kfree_skb(skb);
	return NETDEV_TX_OK;
}

static const struct net_device_ops netdev_ops = {
	.ndo_start_xmit	= drop,
};

static int add(struct net_device *netdev, struct sock *sk,
	       enum tls_offload_ctx_dir dir,
	       struct tls_crypto_info *crypto_info, u32 seq)
{
	return -EOPNOTSUPP;
}

static void del(struct net_device *netdev, struct tls_context *ctx,
		enum tls_offload_ctx_dir dir)
{
}

static int resync(struct net_device *netdev, struct sock *sk, u32 seq,
		  u8 *number, enum tls_offload_ctx_dir dir)
{
	return 0;
}

/* Return: what becomes of a device with these features and operations. */
static int registered(struct kunit *test, netdev_features_t features,
		      const struct tlsdev_ops *ops)
{
	struct net_device *dev = alloc_netdev(0, "tlskunit%d",
					      NET_NAME_UNKNOWN, ether_setup);
	int err;

	KUNIT_ASSERT_NOT_NULL(test, dev);
	eth_hw_addr_random(dev);
	dev->netdev_ops = &netdev_ops;
	dev->tlsdev_ops = ops;
	/* Without these the core takes the others away. */
	dev->features |= NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_RXCSUM |
			 features;
	err = register_netdev(dev);
	if (!err)
		unregister_netdev(dev);
	free_netdev(dev);
	return err;
}

static void driver_without_its_operations_is_refused(struct kunit *test)
{
	static const struct tlsdev_ops no_add = {
		.tls_dev_del	= del,
		.tls_dev_resync	= resync,
	};
	static const struct tlsdev_ops no_del = {
		.tls_dev_add	= add,
		.tls_dev_resync	= resync,
	};
	static const struct tlsdev_ops no_resync = {
		.tls_dev_add	= add,
		.tls_dev_del	= del,
	};

	KUNIT_EXPECT_EQ(test, -EPERM, registered(test, TX, NULL));
	KUNIT_EXPECT_EQ(test, -EPERM, registered(test, RX, NULL));
	KUNIT_EXPECT_EQ(test, -EPERM, registered(test, TX, &no_add));
	KUNIT_EXPECT_EQ(test, -EPERM, registered(test, TX, &no_del));
	KUNIT_EXPECT_EQ(test, -EPERM, registered(test, RX, &no_resync));
	KUNIT_EXPECT_EQ(test, -EPERM, registered(test, TX | RX, &no_resync));
}

static void driver_with_its_operations_is_not_refused(struct kunit *test)
{
	static const struct tlsdev_ops all = {
		.tls_dev_add	= add,
		.tls_dev_del	= del,
		.tls_dev_resync	= resync,
	};
	static const struct tlsdev_ops sends = {
		.tls_dev_add	= add,
		.tls_dev_del	= del,
	};

	KUNIT_EXPECT_EQ(test, 0, registered(test, TX | RX, &all));
	KUNIT_EXPECT_EQ(test, 0, registered(test, TX, &sends));
	/* And one that has nothing to do with TLS. */
	KUNIT_EXPECT_EQ(test, 0, registered(test, 0, NULL));
}

static struct kunit_case tls_device_cases[] = {
	KUNIT_CASE(driver_without_its_operations_is_refused),
	KUNIT_CASE(driver_with_its_operations_is_not_refused),
	{}
};

static struct kunit_suite tls_device_suite = {
	.name = "tls_device",
	.test_cases = tls_device_cases,
};

kunit_test_suite(tls_device_suite);
