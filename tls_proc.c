// SPDX-License-Identifier: GPL-2.0
/*
 * Counters: /proc/net/tls_stat, one set per network namespace. The storage is
 * the module's own, so that a new counter needs no change to the core.
 */

#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "tls.h"

struct tls_net {
	struct tls_counters __percpu *counters;
};

static unsigned int tls_net_id __read_mostly;

static const char *const names[] = {
	[TLS_CURR_TX_SW]		= "TlsCurrTxSw",
	[TLS_CURR_RX_SW]		= "TlsCurrRxSw",
	[TLS_CURR_TX_DEVICE]		= "TlsCurrTxDevice",
	[TLS_CURR_RX_DEVICE]		= "TlsCurrRxDevice",
	[TLS_TX_SW]			= "TlsTxSw",
	[TLS_RX_SW]			= "TlsRxSw",
	[TLS_TX_DEVICE]			= "TlsTxDevice",
	[TLS_RX_DEVICE]			= "TlsRxDevice",
	[TLS_DECRYPT_ERROR]		= "TlsDecryptError",
	[TLS_RX_DEVICE_RESYNC]		= "TlsRxDeviceResync",
	[TLS_DECRYPT_RETRY]		= "TlsDecryptRetry",
	[TLS_RX_NO_PAD_VIOLATION]	= "TlsRxNoPadViolation",
	[TLS_TX_REKEY_OK]		= "TlsTxRekeyOk",
	[TLS_RX_REKEY_OK]		= "TlsRxRekeyOk",
	[TLS_TX_REKEY_ERROR]		= "TlsTxRekeyError",
	[TLS_RX_REKEY_ERROR]		= "TlsRxRekeyError",
	[TLS_RX_REKEY_RECEIVED]		= "TlsRxRekeyReceived",
	[TLS_TX_RECORDS]		= "TlsTxRecords",
	[TLS_RX_RECORDS]		= "TlsRxRecords",
	[TLS_ABORT_VERSION]		= "TlsAbortVersion",
	[TLS_ABORT_LENGTH]		= "TlsAbortLength",
	[TLS_ABORT_TYPE]		= "TlsAbortType",
	[TLS_ABORT_TAG]			= "TlsAbortTag",
	[TLS_ABORT_PADDING]		= "TlsAbortPadding",
	[TLS_ABORT_TRUNCATED]		= "TlsAbortTruncated",
	[TLS_ABORT_SEQUENCE]		= "TlsAbortSequence",
	[TLS_ABORT_CIPHER]		= "TlsAbortCipher",
};

static_assert(ARRAY_SIZE(names) == TLS_NUM_COUNTERS);

/**
 * tls_counters - the counters of a socket's network namespace
 * @sk: the socket
 *
 * They stay as long as the namespace, and so the socket, does. Any context.
 */
struct tls_counters __percpu *tls_counters(const struct sock *sk)
{
	const struct tls_net *tn = net_generic(sock_net(sk), tls_net_id);

	return tn->counters;
}

static int tls_stat_show(struct seq_file *seq, void *unused)
{
	const struct tls_net *tn = net_generic(seq_file_single_net(seq),
					       tls_net_id);
	int counter, cpu;

	for (counter = 0; counter < TLS_NUM_COUNTERS; counter++) {
		unsigned long sum = 0;

		for_each_possible_cpu(cpu)
			sum += per_cpu_ptr(tn->counters, cpu)->value[counter];
		seq_printf(seq, "%-32s\t%lu\n", names[counter], sum);
	}
	return 0;
}

static int __net_init tls_net_init(struct net *net)
{
	struct tls_net *tn = net_generic(net, tls_net_id);

	tn->counters = alloc_percpu(struct tls_counters);
	if (!tn->counters)
		return -ENOMEM;
#ifdef CONFIG_PROC_FS
	if (!proc_create_net_single("tls_stat", 0444, net->proc_net,
				    tls_stat_show, NULL)) {
		free_percpu(tn->counters);
		return -ENOMEM;
	}
#endif
	return 0;
}

static void __net_exit tls_net_exit(struct net *net)
{
	struct tls_net *tn = net_generic(net, tls_net_id);

	remove_proc_entry("tls_stat", net->proc_net);
	free_percpu(tn->counters);
}

static struct pernet_operations tls_net_ops = {
	.init	= tls_net_init,
	.exit	= tls_net_exit,
	.id	= &tls_net_id,
	.size	= sizeof(struct tls_net),
};

int __init tls_proc_init(void)
{
	return register_pernet_subsys(&tls_net_ops);
}

void tls_proc_exit(void)
{
	unregister_pernet_subsys(&tls_net_ops);
}
