/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The few differences between the newest kernel, for which the code is
 * written, and the oldest that it builds for (6.12).
 */

#ifndef _TLS_COMPAT_H
#define _TLS_COMPAT_H

#include <linux/module.h>
#include <linux/timer.h>
#include <linux/version.h>
#include <net/tls.h>

#ifndef timer_container_of
#define timer_container_of from_timer
#endif

/* Before 6.13, the name of a namespace of symbols was no string. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#undef MODULE_IMPORT_NS
#define MODULE_IMPORT_NS(ns)	MODULE_INFO(import_ns, ns)
#endif

/* Before 6.15, TCP told of what was acknowledged by another structure. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
#define clean_acked_data_enable(tp, cad) \
	clean_acked_data_enable(&(tp)->inet_conn, cad)
#define clean_acked_data_disable(tp) \
	clean_acked_data_disable(&(tp)->inet_conn)
#endif

/* Since 6.15, socket diag says whether an administrator asks. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
#define NET_ADMIN_PARAM
#else
#define NET_ADMIN_PARAM		, bool net_admin
#endif

/* Before 7.1, who reads was told the length of an address by a pointer. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 1, 0)
#define ADDR_LEN_PARAM		, int *addr_len
#define ADDR_LEN		, addr_len
#else
#define ADDR_LEN_PARAM
#define ADDR_LEN
#endif

/*
 * A module that is built outside the kernel's tree meets a core that was
 * compiled with the tree's own header. It reads only these: whether the first
 * two are NULL, and bonding the third. Drivers that offload TLS read more:
 * they must be built from the same tree.
 */
#if defined(MODULE) && defined(CONFIG_64BIT)
static_assert(offsetof(struct tls_context, priv_ctx_tx) == 40);
static_assert(offsetof(struct tls_context, priv_ctx_rx) == 48);
static_assert(offsetof(struct tls_context, netdev) == 56);
#endif

#endif /* _TLS_COMPAT_H */
