// SPDX-License-Identifier: GPL-2.0
/*
 * Networks, sockets and keys.
 */

#include <sched.h>
#include <stdarg.h>

#include "fuzz.h"

/* The name spaces of the two sides, for each network. */
static int ns[NR_NETS][2];

static int __attribute__((format(printf, 1, 2))) run(const char *fmt, ...)
{
	char cmd[1000];
	va_list ap;
	int ret;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	ret = system(cmd);
	if (ret)
		fprintf(stderr, "fuzz: '%s' fails\n", cmd);
	return ret;
}

static int up(int side, const char *dev, const char *netem)
{
	if (run("ip addr add 10.1.0.%d/24 dev %s", side + 1, dev) ||
	    run("ip addr add fd01::%d/64 dev %s nodad", side + 1, dev) ||
	    run("ip link set %s up", dev))
		return -1;
	return *netem ? run("tc qdisc add dev %s root netem %s", dev, netem) :
			0;
}

/* Two name spaces, and two joined devices of a kind between them. */
static int joined(int *pair, const char *kind, const char *netem)
{
	pair[1] = new_ns();
	pair[0] = new_ns();
	if (pair[0] < 0 || pair[1] < 0)
		return -1;
	if (!strcmp(kind, "veth") ?
	    run("ip link add fz0 type veth peer name fz1") :
	    run("ip link add fz0 type %s", kind))
		return -1;
	if (run("ip link set %s netns /proc/%d/fd/%d",
		strcmp(kind, "veth") ? "fz0p" : "fz1", getpid(), pair[1]) ||
	    up(0, "fz0", netem) || setns(pair[1], CLONE_NEWNET))
		return -1;
	return up(1, strcmp(kind, "veth") ? "fz0p" : "fz1", netem);
}

/* What the seed makes of the links is the same for all sequences. */
int make_nets(uint64_t seed)
{
	uint64_t r = seed;
	char netem[200];

	ns[NET_LO][0] = new_ns();
	ns[NET_LO][1] = ns[NET_LO][0];
	if (ns[NET_LO][0] < 0 || joined(ns[NET_VETH], "veth", ""))
		return -1;
	snprintf(netem, sizeof(netem),
		 "delay %ums 2ms loss %u%% duplicate %u%%", rnd(&r) % 4,
		 1 + rnd(&r) % 4, rnd(&r) % 4);
	if (joined(ns[NET_LOSSY], "veth", netem))
		return -1;
	snprintf(netem, sizeof(netem),
		 "delay %ums %ums reorder %u%% 50%%", 5 + rnd(&r) % 10,
		 rnd(&r) % 5, 5 + rnd(&r) % 20);
	if (joined(ns[NET_SLOW], "veth", netem))
		return -1;
	have_nic = !access("/sys/kernel/debug/tlsnic", F_OK);
	return have_nic ? joined(ns[NET_NIC], "tlsnic", "") : 0;
}

static int address(struct sockaddr_storage *sa, int net, int family, int side)
{
	struct sockaddr_in6 *sa6 = (void *)sa;
	struct sockaddr_in *sa4 = (void *)sa;
	char ip[20];

	memset(sa, 0, sizeof(*sa));
	sa->ss_family = family;
	if (net == NET_LO)
		strcpy(ip, family == AF_INET ? "127.0.0.1" : "::1");
	else
		snprintf(ip, sizeof(ip), family == AF_INET ? "10.1.0.%d" :
			 "fd01::%d", side + 1);
	return inet_pton(family, ip, family == AF_INET ?
			 (void *)&sa4->sin_addr : &sa6->sin6_addr) == 1 ? 0 : -1;
}

static void buffers(const struct sequence *s, int fd, int side)
{
	if (s->sndbuf[side])
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &s->sndbuf[side], 4);
	if (s->rcvbuf[side])
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &s->rcvbuf[side], 4);
}

/* The two sockets of a sequence. */
int net_pair(const struct sequence *s, int *a, int *b)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	int l, one = 1;

	if (setns(ns[s->net][1], CLONE_NEWNET) ||
	    address(&sa, s->net, s->family, 1))
		return -1;
	l = socket(s->family, SOCK_STREAM, 0);
	buffers(s, l, 1);
	if (bind(l, (void *)&sa, len) || listen(l, 1) ||
	    getsockname(l, (void *)&sa, &len) ||
	    setns(ns[s->net][0], CLONE_NEWNET))
		return -1;
	*a = socket(s->family, SOCK_STREAM, 0);
	buffers(s, *a, 0);
	if (connect(*a, (void *)&sa, len))
		return -1;
	*b = accept(l, NULL, NULL);
	close(l);
	if (*b < 0)
		return -1;
	if (s->nodelay & 1)
		setsockopt(*a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (s->nodelay & 2 || s->user_peer)
		setsockopt(*b, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return 0;
}

/* The key that @side sends with, after so many updates. */
int key_of(const struct sequence *s, int side, int update, union keys *k)
{
	return make_keys(k, s->version, s->cipher,
			 (side ? 128 : 1) + update % 100);
}

/* Give the socket of side @at the key that @side sends with. */
int put_key(const struct sequence *s, int at, int side, int direction,
	    int update)
{
	union keys k;
	int len = key_of(s, side, update, &k);

	return setsockopt(end[at].fd, SOL_TLS, direction, &k, len);
}

/* For a sequence that hangs. */
void show_sockets(int net)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (setns(ns[net][i], CLONE_NEWNET))
			continue;
		fflush(stdout);
		run("ss -tienom 2>&1 | sed 's/  *$//; s/^/# /'");
		run("grep Tcp: /proc/net/snmp | sed 's/^/# /'");
	}
	if (net == NET_NIC)
		run("grep -v ' 0$' /sys/kernel/debug/tlsnic/*/counters | sed 's/^/# /'");
	if (setns(ns[NET_LO][0], CLONE_NEWNET))
		perror("fuzz: setns");
}
