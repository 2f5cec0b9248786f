// SPDX-License-Identifier: GPL-2.0
/*
 * tls_get_record_type() and tls_alert_recv() for a kernel that was configured
 * without any user of them: compiled here from that kernel's own source.
 */

#include "alert.c"
#include "trace.c"
