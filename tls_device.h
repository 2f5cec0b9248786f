/* SPDX-License-Identifier: GPL-2.0 */
/*
 * NIC offload: what the tie between a socket and a device (tls_device.c),
 * sending (tls_device_tx.c) and receiving (tls_device_rx.c) share.
 */

#ifndef _TLS_DEVICE_H
#define _TLS_DEVICE_H

#include <linux/lockdep.h>
#include <linux/netdevice.h>
#include <linux/rwsem.h>

#include "tls.h"

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
 * @fallback: encrypts what the device cannot; under offload.lock
 * @next_fallback: the same for the key that the device is given next
 * @spare: memory of the next record
 */
struct tls_device_tx {
	struct tls_offload_context_tx offload;
	enum device_tx_state state;
	bool added;
	bool restarted;
	struct tls_fallback *fallback;
	struct tls_fallback *next_fallback;
	struct tls_record_info *spare;
};

/* Records that are noted of a range that the device asked about. */
#define TLS_DEVICE_LOG	13

/**
 * struct tls_device_rx - receiving over a device
 * @offload: what the driver sees; must be first
 * @added: the driver has this direction; tls_device_lock
 * @failed: records that came encrypted since the last that did not
 * @target: how many of them there may be before the device is told its place
 * @told_next: tell it at the next record boundary that it has not passed
 * @logged_for: the request that @log is for
 * @logged: entries of @log
 * @log: records that began in the range asked for, and their numbers
 */
struct tls_device_rx {
	struct tls_offload_context_rx offload;
	bool added;
	unsigned int failed;
	unsigned int target;
	bool told_next;
	u64 logged_for;
	unsigned int logged;
	struct {
		u32 seq;
		u64 sn;
	} log[TLS_DEVICE_LOG];
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

extern struct rw_semaphore tls_device_lock;

/* The device that has the connection, or NULL. */
static inline struct net_device *
tls_device_netdev(const struct tls_context *ctx)
{
	return rcu_dereference_protected(ctx->netdev,
					 lockdep_is_held(&tls_device_lock));
}

struct net_device *tls_device_lowest(struct net_device *dev, struct sock *sk,
				     bool *vlan);
struct net_device *tls_device_find(struct sock *sk, bool *vlan);
bool tls_device_can(const struct net_device *dev, bool vlan,
		    netdev_features_t feature, const struct tls_framing *f);
bool tls_device_may_return(const struct net_device *netdev, struct sock *sk,
			   netdev_features_t feature,
			   const struct tls_framing *f);
struct tls_device *tls_device_tie(struct sock *sk, struct net_device *netdev);
int tls_device_add(struct net_device *netdev, struct sock *sk,
		   enum tls_offload_ctx_dir dir, const struct tls_key *key,
		   u32 seq);
void tls_device_tx_purge(struct sock *sk, struct tls_device_tx *tx);

#endif /* _TLS_DEVICE_H */
