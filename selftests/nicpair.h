/* SPDX-License-Identifier: GPL-2.0 */
/*
 * With TLS_TEST_NIC in the environment, the two sockets of a pair are in two
 * name spaces, joined by a device that offloads TLS (nic/): so the promises of
 * software are held to the devices too. Included by tls_test.h.
 */

#ifndef _NICPAIR_H
#define _NICPAIR_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The two name spaces; made with the process's first pair. */
static int nic_side[2];

/* Are connections offloaded, if device and cipher can? */
static inline bool nic_wanted(void)
{
	return getenv("TLS_TEST_NIC");
}

static inline int nic_enter(int side)
{
	return nic_wanted() ? setns(nic_side[side], CLONE_NEWNET) : 0;
}

static inline int nic_up(const char *dev, int host)
{
	char cmd[256];

	snprintf(cmd, sizeof(cmd), "ip link set lo up && ip addr add 10.1.0.%d/24 dev %s && ip addr add fd01::%d/64 dev %s nodad && ip link set %s up",
		 host, dev, host, dev, dev);
	return system(cmd);
}

static inline int nic_sides(void)
{
	char dev[16], cmd[128];
	int i;

	if (!nic_wanted() || nic_side[0])
		return 0;
	for (i = 1; i >= 0; i--) {
		if (unshare(CLONE_NEWNET))
			return -1;
		nic_side[i] = open("/proc/thread-self/ns/net", O_RDONLY);
	}
	snprintf(cmd, sizeof(cmd), "ip link add t%d type tlsnic && ip link set t%dp netns /proc/%d/fd/%d",
		 getpid(), getpid(), getpid(), nic_side[1]);
	snprintf(dev, sizeof(dev), "t%d", getpid());
	if (system(cmd) || nic_up(dev, 1) || nic_enter(1))
		return -1;
	snprintf(dev, sizeof(dev), "t%dp", getpid());
	return nic_up(dev, 2);
}

#endif /* _NICPAIR_H */
