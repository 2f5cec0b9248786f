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
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "netns.h"

/* The two name spaces, for all tests of a program. */
static int nic_side[2];

/* Commands of ip, a line each: on a slow machine each process counts. */
static inline int __attribute__((format(printf, 1, 2)))
ip(const char *fmt, ...)
{
	FILE *f = popen("exec ip -batch -", "w");
	va_list ap;

	if (!f)
		return -1;
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
	return pclose(f);
}

/* A name space of ours, with loopback, that we are in; or -1. */
static inline int new_ns(void)
{
	return own_netns() ? -1 :
			     open("/proc/thread-self/ns/net",
				  O_RDONLY | O_CLOEXEC);
}

/*
 * Are connections offloaded, if device and cipher can? Then nothing is predicted
 * of a record of TLS 1.3: what a device has decrypted can be looked at before.
 */
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
	return ip("addr add 10.1.0.%d/24 dev %s\naddr add fd01::%d/64 dev %s nodad\nlink set %s up\n",
		  host, dev, host, dev, dev);
}

/* Before main(): tests are processes, and they inherit it. */
static void __attribute__((constructor)) nic_sides(void)
{
	char dev[16], devp[17];

	if (!nic_wanted())
		return;
	snprintf(dev, sizeof(dev), "t%d", getpid());
	snprintf(devp, sizeof(devp), "%sp", dev);
	nic_side[1] = new_ns();
	nic_side[0] = new_ns();
	if (nic_side[0] < 0 || nic_side[1] < 0 ||
	    ip("link add %s type tlsnic\nlink set %s netns /proc/%d/fd/%d\n",
	       dev, devp, getpid(), nic_side[1]) ||
	    nic_up(dev, 1) || nic_enter(1) || nic_up(devp, 2) || nic_enter(0)) {
		printf("Bail out! no pair of devices: is tlsnic loaded?\n");
		exit(1);
	}
}

#endif /* _NICPAIR_H */
