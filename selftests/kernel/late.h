/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An AES-GCM that completes later, as an accelerator does, and at our word.
 */

#ifndef TLS_USER_LATE_H
#define TLS_USER_LATE_H

#include <linux/types.h>

/* While it is registered, "gcm(aes)" is this one. */
int late_register(void);
void late_unregister(void);

/* Nothing completes from now on, until it is let go. */
void late_hold(void);
void late_let_go(void);
/* How many wait to be let go, and how many have completed. */
unsigned int late_waiting(void);
unsigned int late_completed(void);
/* Requests go to a backlog first. */
void late_set_backlog(bool backlog);
/* The next one completes with this. */
void late_fail_next(int err);

#endif /* TLS_USER_LATE_H */
