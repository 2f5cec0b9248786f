/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A network namespace of a test's own, for what is counted or listed by
 * namespace.
 */

#ifndef _NETNS_H
#define _NETNS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The calling thread goes into a new one, whose loopback is up. */
static inline int own_netns(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd, ret;

	if (unshare(CLONE_NEWNET))
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	ret = ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	return ret;
}

#endif /* _NETNS_H */
