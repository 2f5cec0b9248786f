/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The few differences between the newest kernel, for which the code is
 * written, and the oldest that it builds for (6.12).
 */

#ifndef _TLS_COMPAT_H
#define _TLS_COMPAT_H

#include <linux/timer.h>
#include <net/tls.h>

#ifndef timer_container_of
#define timer_container_of from_timer
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
