/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What tests over the device made of software (nic/) share: two sides in name
 * spaces of their own, the device's knobs and counters, and text that tells its
 * place. Include after tls_test.h.
 */

#ifndef _TLSNIC_H
#define _TLSNIC_H

#include <linux/if_packet.h>
#include <net/if.h>
#include <net/ethernet.h>
#include <sched.h>
#include <stdarg.h>

#define PATIENCE 600			/* seconds, for an emulated machine */
#define MARK "No one may read!"		/* in all text that is sent */
#define MARK_LEN 16

/* Name spaces, and devices as debugfs names them. */
struct net {
	int a, b, router;
	char na[16], nb[16];	/* the device of A, the device of B */
	char ra[16], rb[16];	/* what the router has for each */
};

static inline int vrun(const char *fmt, va_list ap)
{
	char cmd[2048];

	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	return system(cmd);
}

/* Run a shell command in the name space that we are in. */
static inline int __attribute__((format(printf, 1, 2)))
run(const char *fmt, ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = vrun(fmt, ap);
	va_end(ap);
	return ret;
}

static inline int enter(int ns)
{
	return setns(ns, CLONE_NEWNET);
}

static inline int __attribute__((format(printf, 2, 3)))
run_in(int ns, const char *fmt, ...)
{
	va_list ap;
	int ret;

	if (enter(ns))
		return -1;
	va_start(ap, fmt);
	ret = vrun(fmt, ap);
	va_end(ap);
	return ret;
}

static inline long nic(const char *dev, const char *name)
{
	char path[128], word[64];
	long value, found = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/debug/tlsnic/%s/counters",
		 dev);
	f = fopen(path, "r");
	if (!f)
		return -1;
	while (fscanf(f, "%63s %ld", word, &value) == 2)
		if (!strcmp(word, name))
			found = value;
	fclose(f);
	return found;
}

static inline int write_to(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY), ret;

	if (fd < 0)
		return -1;
	ret = write(fd, value, strlen(value)) < 0;
	close(fd);
	return ret;
}

static inline int knob(const char *dev, const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/debug/tlsnic/%s/%s", dev,
		 name);
	return write_to(path, value);
}

static inline long stat_in(int ns, const char *name)
{
	return enter(ns) ? -1 : counter(name);
}

static inline unsigned char text_at(size_t at)
{
	return at % 64 < MARK_LEN ? MARK[at % 64] :
	       (at * 2654435761u >> 24) ^ (at >> 16);
}

static inline void text(unsigned char *buf, size_t len, size_t from)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = text_at(from + i);
}

/* Send text in calls of @each bytes. */
static inline int send_text(int fd, size_t len, size_t each, size_t from)
{
	static unsigned char buf[65536];
	size_t at, n;

	for (at = 0; at < len; at += n) {
		n = len - at < each ? len - at : each;
		text(buf, n, from + at);
		if (send(fd, buf, n, MSG_NOSIGNAL) != (ssize_t)n)
			return -1;
	}
	return 0;
}

/*
 * Receive @len bytes of text; return how many came and were right. errno tells
 * of an error.
 */
static inline size_t recv_text(int fd, size_t len, size_t from)
{
	static unsigned char buf[65536];
	size_t got = 0;
	ssize_t n, i;

	while (got < len) {
		n = recv(fd, buf, len - got < sizeof(buf) ? len - got :
			 sizeof(buf), 0);
		if (n <= 0)
			break;
		for (i = 0; i < n; i++, got++)
			if (buf[i] != text_at(from + got)) {
				errno = EILSEQ;
				return got;
			}
	}
	return got;
}

/* Text from one socket to another, the sender in a process of its own. */
static inline size_t transfer(int from, int to, size_t len, size_t each)
{
	pid_t pid = fork();
	size_t got;
	int status;

	if (!pid)
		_exit(!!send_text(from, len, each, 0));
	got = recv_text(to, len, 0);
	if (got < len)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return status ? 0 : got;
}

static inline int set_address(struct sockaddr_storage *sa, int family,
			      const char *ip)
{
	struct sockaddr_in6 *sa6 = (void *)sa;
	struct sockaddr_in *sa4 = (void *)sa;

	memset(sa, 0, sizeof(*sa));
	sa->ss_family = family;
	return inet_pton(family, ip, family == AF_INET ?
			 (void *)&sa4->sin_addr : &sa6->sin6_addr) != 1;
}

/* Two connected sockets, one in each name space. */
static inline int connect_ip(int ns_a, int ns_b, int family, const char *ip_a,
			     const char *ip_b, int *a, int *b)
{
	struct sockaddr_storage sa, sb;
	socklen_t len = sizeof(sb);
	struct timeval tv = { .tv_sec = 300 };
	int l, one = 1, ret;

	if (set_address(&sa, family, ip_a) || set_address(&sb, family, ip_b) ||
	    enter(ns_b))
		return -1;
	l = socket(family, SOCK_STREAM, 0);
	if (bind(l, (void *)&sb, len) || listen(l, 8) ||
	    getsockname(l, (void *)&sb, &len) || enter(ns_a))
		return -1;
	*a = socket(family, SOCK_STREAM, 0);
	if (bind(*a, (void *)&sa, sizeof(sa)))
		return -1;
	ret = connect(*a, (void *)&sb, sizeof(sb));
	*b = ret ? -1 : accept(l, NULL, NULL);
	close(l);
	if (*b < 0)
		return -1;
	setsockopt(*a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(*b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(*a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	return 0;
}

static inline int attach_both(int a, int b)
{
	return attach(a) || attach(b);
}

static inline int set_keys(int a, int b, uint16_t version, uint16_t cipher)
{
	return set_key(a, TLS_TX, version, cipher, 1) ||
	       set_key(b, TLS_RX, version, cipher, 1) ||
	       set_key(b, TLS_TX, version, cipher, 2) ||
	       set_key(a, TLS_RX, version, cipher, 2);
}

static inline int join(const struct net *n, int *a, int *b)
{
	return connect_ip(n->a, n->b, AF_INET, "10.1.0.1",
			  n->router < 0 ? "10.1.0.2" : "10.2.0.2", a, b);
}

/* Keys in both directions: A sends what B receives, and back. */
static inline int tls_join(const struct net *n, int *a, int *b)
{
	return join(n, a, b) || attach_both(*a, *b) ||
	       set_keys(*a, *b, TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128);
}

/* B receives TLS from A, who makes records by hand. */
static inline int raw_join(const struct net *n, int *a, int *b)
{
	return join(n, a, b) || attach(*b) ||
	       set_key(*b, TLS_RX, TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128, 1);
}

/* A pair of devices: @near in the name space that we are in, @far in @ns. */
static inline int new_pair(char *near, char *far, int ns)
{
	static int count;

	snprintf(near, 14, "n%d.%d", getpid(), count++);
	snprintf(far, 16, "%.13sp", near);
	return ip("link add %s type tlsnic\nlink set %s netns /proc/%d/fd/%d\n",
		  near, far, getpid(), ns) ||
	       knob(near, "watch", MARK) || knob(far, "watch", MARK);
}

static inline int up_in(int ns, const char *dev, int net, int host)
{
	return enter(ns) ||
	       ip("addr add 10.%d.0.%d/24 dev %s\naddr add fd0%d::%d/64 dev %s nodad\nlink set %s up\n",
		  net, host, dev, net, host, dev, dev);
}

/*
 * Nothing is lost between them, and a slow machine shall not make TCP think so:
 * each segment is counted.
 */
static inline int patient(int ns)
{
	if (enter(ns) || write_to("/proc/sys/net/ipv4/tcp_early_retrans", "0"))
		return -1;
	return write_to("/proc/sys/net/ipv4/tcp_rto_min_us", "1000000") &&
	       errno != ENOENT;
}

/* A and B, and a wire between them. */
static inline int net_wire(struct net *n)
{
	n->router = -1;
	n->b = new_ns();
	n->a = new_ns();
	return patient(n->b) || patient(n->a) ||
	       new_pair(n->na, n->nb, n->b) || up_in(n->b, n->nb, 1, 2) ||
	       up_in(n->a, n->na, 1, 1);
}

/* A, a router, B. The router keeps segments as they are. */
static inline int net_router(struct net *n)
{
	n->a = new_ns();
	n->b = new_ns();
	n->router = new_ns();
	return new_pair(n->ra, n->na, n->a) || new_pair(n->rb, n->nb, n->b) ||
	       up_in(n->router, n->ra, 1, 254) ||
	       up_in(n->router, n->rb, 2, 254) ||
	       run("echo 1 > /proc/sys/net/ipv4/ip_forward") ||
	       run("ethtool -K %s gro off && ethtool -K %s gro off", n->ra,
		   n->rb) ||
	       up_in(n->a, n->na, 1, 1) || up_in(n->b, n->nb, 2, 2) ||
	       run_in(n->a, "ip route add default via 10.1.0.254") ||
	       run_in(n->b, "ip route add default via 10.2.0.254");
}

/* Wait for what happens in softirq or a worker. */
#define UNTIL(cond) ({							\
	int _ms;							\
	for (_ms = 0; !(cond) && _ms < 60000; _ms += 20)		\
		usleep(20000);						\
	(cond); })

/* None of it has left in the clear, and every segment could be encrypted. */
#define EXPECT_SECRET(dev) do {						\
	EXPECT_EQ(0, nic(dev, "watch_hits"));				\
	EXPECT_EQ(0, nic(dev, "tx_tls_dropped"));			\
} while (0)

#endif /* _TLSNIC_H */
