// SPDX-License-Identifier: GPL-2.0
/*
 * Sending more than the peer takes: what stays behind, what is said to the
 * caller, and who is woken when there is room again.
 */

#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "tls_test.h"
#include "wire.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>

#ifndef TCP_NOTSENT_LOWAT
#define TCP_NOTSENT_LOWAT 25
#endif

/* Buffers of the two ends, in bytes; 0 for what is usual. */
struct shape {
	int sndbuf, rcvbuf, mss, lowat;
};

static int set_int(int fd, int level, int option, int value)
{
	return value ? setsockopt(fd, level, option, &value, sizeof(value)) : 0;
}

/* @a sends to @b. */
static int shaped_pair(const struct shape *s, int *a, int *b)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int l = socket(AF_INET, SOCK_STREAM, 0), ret;

	*a = socket(AF_INET, SOCK_STREAM, 0);
	*b = -1;
	/* The child of a listener has its buffer from the first window on. */
	ret = set_int(l, SOL_SOCKET, SO_RCVBUF, s->rcvbuf) ||
	      set_int(l, IPPROTO_TCP, TCP_MAXSEG, s->mss) ||
	      set_int(*a, SOL_SOCKET, SO_SNDBUF, s->sndbuf) ||
	      set_int(*a, IPPROTO_TCP, TCP_MAXSEG, s->mss) ||
	      set_int(*a, IPPROTO_TCP, TCP_NOTSENT_LOWAT, s->lowat) ||
	      bind(l, (void *)&sa, len) || listen(l, 1) ||
	      getsockname(l, (void *)&sa, &len) ||
	      connect(*a, (void *)&sa, len);
	if (!ret)
		*b = accept(l, NULL, NULL);
	close(l);
	return ret || *b < 0 ? -1 : 0;
}

static int set_limit(int fd, uint16_t limit)
{
	return setsockopt(fd, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &limit,
			  sizeof(limit));
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

FIXTURE(backpressure)
{
	int a;			/* sends TLS */
	struct wire w;		/* takes it apart */
	unsigned int pos;	/* number of the next byte to send */
	struct cuts *c;
};

FIXTURE_VARIANT(backpressure)
{
	uint16_t version, cipher;
};

FIXTURE_VARIANT_ADD(backpressure, tls12_gcm)
{
	.version = TLS_1_2_VERSION, .cipher = TLS_CIPHER_AES_GCM_128,
};

FIXTURE_VARIANT_ADD(backpressure, tls13_gcm)
{
	.version = TLS_1_3_VERSION, .cipher = TLS_CIPHER_AES_GCM_128,
};

FIXTURE_SETUP(backpressure)
{
	signal(SIGPIPE, SIG_IGN);
	self->a = -1;
	self->pos = 0;
	self->c = calloc(1, sizeof(*self->c));
	ASSERT_NE(NULL, self->c);
	srand(variant->version);
}

FIXTURE_TEARDOWN(backpressure)
{
	free(self->c);
}

#define PUT(n, flags) put(self->a, &self->pos, n, flags)

/* A connection of this shape, its sender with the key. */
#define CONNECT(...) do {						\
	struct shape shape_ = { __VA_ARGS__ };				\
	int b_;								\
									\
	ASSERT_EQ(0, shaped_pair(&shape_, &self->a, &b_));		\
	ASSERT_EQ(0, wire_open(&self->w, b_, variant->version,		\
			       variant->cipher, 1));			\
	ASSERT_EQ(0, attach(self->a));					\
	ASSERT_EQ(0, set_key(self->a, TLS_TX, variant->version,		\
			     variant->cipher, 1));			\
	self->pos = 0;							\
	self->c->n = 0;							\
	self->c->open = 0;						\
} while (0)

#define DISCONNECT() do {						\
	close(self->a);							\
	wire_close(&self->w);						\
} while (0)

/* ---- what TCP takes ends anywhere in a record ---- */

/* Bytes that TCP has taken since the connection began, when it is at rest. */
static long tcp_taken(int fd)
{
	long before, after = -1;
	int i;

	for (i = 0; i < 2000; i++) {
		/*
		 * What the C library knows of it ends before these: bytes
		 * sent, those of them again, and not sent yet (32 bits).
		 */
		uint64_t info[32] = {};
		socklen_t len = sizeof(info);

		before = after;
		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len))
			return -1;
		after = info[25] - info[26] + (uint32_t)info[18];
		if (after == before)
			return after;
		usleep(1000);
	}
	return -1;
}

/*
 * Bytes in the clear before the first record move it along, so that TCP's
 * buffer is full in front of each of its bytes once. Whole records are taken,
 * and TCP has all of them when the call ends. The peer reads a few bytes at a
 * time, and all arrives without a further call.
 */
TEST_F_TIMEOUT(backpressure, whole_records_go_wherever_tcp_was_full, 600)
{
	const unsigned int limit = 64;
	unsigned int prefix, size, i;

	for (prefix = 0; prefix < 100; prefix++) {
		const struct shape shape = { .sndbuf = 1, .rcvbuf = 1,
					     .mss = 536 };
		char clear[1000] = {};
		long start;
		int b, ret;

		ASSERT_EQ(0, shaped_pair(&shape, &self->a, &b));
		ASSERT_EQ(0, wire_open(&self->w, b, variant->version,
				       variant->cipher, 1));
		size = limit + wire_overhead(&self->w);
		ASSERT_EQ(0, attach(self->a));
		start = tcp_taken(self->a);
		/* TCP waits for more: the first record joins the segment. */
		ASSERT_EQ(prefix, send(self->a, clear, prefix, MSG_MORE));
		ASSERT_EQ(0, set_key(self->a, TLS_TX, variant->version,
				     variant->cipher, 1));
		ASSERT_EQ(0, set_limit(self->a, limit));
		self->pos = 0;
		self->c->n = 0;
		for (i = 0; PUT(20000, MSG_DONTWAIT) >= 0; i++)
			ASSERT_GT(100, i);
		ASSERT_EQ(EAGAIN, errno);
		cut(self->c, self->pos, TYPE_DATA);

		start = tcp_taken(self->a) - start - prefix;
		ASSERT_EQ((long)(self->pos / limit * size), start);

		ASSERT_EQ(prefix, recv_all(b, clear, prefix));
		while (self->w.pos != self->pos) {
			ret = wire_read(&self->w, 1 + rand() % 40, 0);
			ASSERT_LT(0, ret);
			if (ret == 2)
				ASSERT_EQ(0, wire_fits(&self->w, self->c,
						       limit));
		}
		close(self->a);
		ASSERT_EQ(0, wire_next(&self->w));
		wire_close(&self->w);
	}
}

/* ---- any call, any time ---- */

/*
 * One call that does not wait, chosen by chance. The bytes that it says it
 * took are numbered on, and the places noted where a record has to end.
 *
 * Return: what the call returned.
 */
static ssize_t random_call(int fd, unsigned int *pos, struct cuts *c,
			   size_t most, int file, const int p[2])
{
	size_t len = 1 + rand() % most;
	bool more = rand() % 3 == 0;
	int flags = MSG_DONTWAIT | (more ? MSG_MORE : 0);
	int type = TYPE_DATA;
	struct iovec iov[3];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };
	bool whole_only = false;
	ssize_t n;

	switch (rand() % 8) {
	case 0:
	case 1:
		n = send(fd, next(*pos, len), len, flags);
		break;
	case 2:
		if (!more && rand() % 2)
			flags |= MSG_EOR;
		next(*pos, len);
		iov[0] = (struct iovec){ bytes, len / 3 };
		iov[1] = (struct iovec){ bytes + len / 3, len / 4 };
		iov[2].iov_base = bytes + len / 3 + len / 4;
		iov[2].iov_len = len - len / 3 - len / 4;
		n = sendmsg(fd, &msg, flags);
		break;
	case 3:
		/* What is open goes first, also when this cannot follow. */
		cut_at(c, *pos, TYPE_DATA, false);
		type = rand() % 2 ? TYPE_ALERT : TYPE_HANDSHAKE;
		more = false;
		n = send_type(fd, type, next(*pos, len), len, MSG_DONTWAIT);
		if (n > 0)
			cut(c, *pos, TYPE_DATA);
		break;
	case 4:
		pwrite(file, next(*pos, len), len, 0);
		more = false;
		whole_only = true;
		n = sendfile(fd, file, (off_t[]){ 0 }, len);
		break;
	case 5:
		if (len > 60000)
			len = 60000;
		write(p[1], next(*pos, len), len);
		whole_only = true;
		n = splice(p[0], NULL, fd, NULL, len, more ? SPLICE_F_MORE : 0);
		/* What it did not take is not sent. */
		while (read(p[0], bytes, sizeof(bytes)) > 0)
			;
		break;
	case 6:
		len = 0;
		n = send(fd, "", 0, flags);
		break;
	default:
		n = write(fd, next(*pos, len), len);
		more = false;
	}
	if (n > 0)
		*pos += n;
	/*
	 * A pipe is emptied in several steps, all but the last with MSG_MORE;
	 * a call that took nothing may have ended what was open, or not.
	 */
	if (!more || (whole_only && n < (ssize_t)len))
		cut_at(c, *pos, type,
		       n == (ssize_t)len || (n > 0 && !whole_only));
	return n;
}

/* An open record may be what fills the last room, and goes first. */
static bool nothing_open(const struct cuts *c, unsigned int pos)
{
	return !pos || (c->n && c->at[c->n - 1].pos == pos &&
			c->at[c->n - 1].must);
}

static const struct shape shapes[] = {
	{ 0 },
	{ .sndbuf = 1 },
	{ .rcvbuf = 1 },
	{ .sndbuf = 1, .rcvbuf = 1 },
	{ .sndbuf = 5000, .rcvbuf = 5000, .mss = 88 },
	{ .sndbuf = 20000, .rcvbuf = 3000, .mss = 500, .lowat = 1 },
	{ .lowat = 4096 },
	{ .sndbuf = 100000, .rcvbuf = 1, .mss = 1000, .lowat = 20000 },
};

static const uint16_t limits[] = { 64, 1000, RECORD_MAX };

TEST_F_TIMEOUT(backpressure, no_byte_is_lost_doubled_or_moved, 900)
{
	unsigned int i, k, calls = rounds(400), full = 0;
	int file = memfd_create("file", 0), p[2];

	ASSERT_EQ(0, pipe2(p, O_NONBLOCK));
	ASSERT_LT(0, fcntl(p[1], F_SETPIPE_SZ, 1 << 18));
	for (i = 0; i < ARRAY_SIZE(shapes) * 3; i++) {
		size_t limit = limits[i % 3], most = 4 * limit;

		CONNECT(.sndbuf = shapes[i / 3].sndbuf,
			.rcvbuf = shapes[i / 3].rcvbuf,
			.mss = shapes[i / 3].mss,
			.lowat = shapes[i / 3].lowat);
		ASSERT_EQ(0, set_limit(self->a, limit));
		ASSERT_EQ(0, fcntl(self->a, F_SETFL, O_NONBLOCK));
		for (k = 0; k < calls; k++) {
			bool writable = poll_now(self->a, POLLOUT, 0) &&
					nothing_open(self->c, self->pos);
			ssize_t n = random_call(self->a, &self->pos, self->c,
						most, file, p);
			int reads, ret = 1;

			if (n < 0) {
				ASSERT_EQ(EAGAIN, errno);
				ASSERT_FALSE(writable);
				full++;
			}
			self->c->open = self->pos;
			for (reads = rand() % 6; reads && ret > 0; reads--) {
				ret = wire_read(&self->w, 1 + rand() % most,
						MSG_DONTWAIT);
				ASSERT_STREQ("", self->w.why);
				if (ret == 2)
					ASSERT_EQ(0, wire_fits(&self->w,
							       self->c, limit));
			}
		}
		/* Half of them by close alone. */
		cut(self->c, self->pos, TYPE_DATA);
		if (i % 2) {
			ASSERT_EQ(0, shutdown(self->a, SHUT_WR));
		} else {
			close(self->a);
			self->a = -1;
		}
		ASSERT_EQ(0, wire_follow(&self->w, self->c, limit))
			TH_LOG("shape %u, records of %zu", i / 3, limit);
		ASSERT_EQ(0, wire_next(&self->w));
		DISCONNECT();
	}
	/* It was about full buffers. */
	EXPECT_LT(calls, full);
	close(file);
	close(p[0]);
	close(p[1]);
}

/* ---- waiting: how long, and what is said after it ---- */

static void on_signal(int nr)
{
}

/* Signals again and again: the first may come before the call. */
static void signals(bool on, int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };
	struct itimerval it = {};

	if (on) {
		it.it_value.tv_usec = 50000;
		it.it_interval.tv_usec = 50000;
	}
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
}

/* Everything arrives, and then the end. */
#define FINISH(limit) do {						\
	cut(self->c, self->pos, TYPE_DATA);				\
	ASSERT_EQ(0, shutdown(self->a, SHUT_WR));			\
	ASSERT_EQ(0, wire_follow(&self->w, self->c, limit));		\
	ASSERT_EQ(0, wire_next(&self->w));				\
	DISCONNECT();							\
} while (0)

TEST_F_TIMEOUT(backpressure, o_nonblock_is_msg_dontwait, 120)
{
	int i;
	ssize_t n;

	for (i = 0; i < 2; i++) {
		int flags = i ? 0 : MSG_DONTWAIT;

		CONNECT(.sndbuf = 20000, .rcvbuf = 5000);
		if (i)
			ASSERT_EQ(0, fcntl(self->a, F_SETFL, O_NONBLOCK));
		/* A part is taken, then nothing, again and again. */
		n = PUT(sizeof(bytes), flags);
		ASSERT_LT(0, n);
		ASSERT_GT(sizeof(bytes), n);
		cut(self->c, self->pos, TYPE_DATA);
		while ((n = PUT(sizeof(bytes), flags)) > 0)
			cut(self->c, self->pos, TYPE_DATA);
		ASSERT_EQ(EAGAIN, errno);
		ASSERT_EQ(-1, PUT(1, flags));
		ASSERT_EQ(EAGAIN, errno);
		ASSERT_EQ(-1, send_type(self->a, TYPE_ALERT, "x", 1, flags));
		ASSERT_EQ(EAGAIN, errno);
		/* No bytes need no room. */
		ASSERT_EQ(0, send(self->a, "", 0, flags));
		FINISH(RECORD_MAX);
	}
}

TEST_F_TIMEOUT(backpressure, ioctl_tells_0_only_when_all_is_acknowledged, 120)
{
	const unsigned int limit = 64;
	uint64_t info[32] = {};
	socklen_t len = sizeof(info);
	int i, queued = -1;

	CONNECT(.sndbuf = 5000, .rcvbuf = 5000, .lowat = 1000);
	ASSERT_EQ(0, set_limit(self->a, limit));
	EXPECT_EQ(0, tcp_has(self->a, SIOCOUTQ));
	for (i = 0; PUT(20000, MSG_DONTWAIT) >= 0; i++)
		ASSERT_GT(100, i);
	cut(self->c, self->pos, TYPE_DATA);
	/* All records that were made, but for what has been acknowledged. */
	for (i = 0; i < 10000 && queued != tcp_has(self->a, SIOCOUTQ); i++) {
		queued = tcp_has(self->a, SIOCOUTQ);
		ASSERT_EQ(0, getsockopt(self->a, IPPROTO_TCP, TCP_INFO, info,
					&len));
		usleep(1000);
	}
	EXPECT_EQ(self->pos / limit * (limit + wire_overhead(&self->w)),
		  /* bytes_acked; the SYN is one of them */
		  queued + info[15] - 1);
	ASSERT_EQ(0, wire_follow(&self->w, self->c, limit));
	for (i = 0; tcp_has(self->a, SIOCOUTQ) && i < 10000; i++)
		usleep(1000);
	EXPECT_GT(10000, i);
	DISCONNECT();
}

TEST_F_TIMEOUT(backpressure, sndtimeo_ends_a_wait_with_what_was_taken, 120)
{
	struct timeval tv = { .tv_usec = 200000 };
	double start, took;
	ssize_t n;

	CONNECT(.sndbuf = 20000, .rcvbuf = 5000);
	ASSERT_EQ(0, setsockopt(self->a, SOL_SOCKET, SO_SNDTIMEO, &tv,
				sizeof(tv)));
	start = now();
	n = PUT(sizeof(bytes), 0);
	took = now() - start;
	ASSERT_LT(0, n);
	ASSERT_GT(sizeof(bytes), n);
	EXPECT_LT(0.19, took);
	cut(self->c, self->pos, TYPE_DATA);
	/* TCP may find a little room yet. */
	do {
		start = now();
		n = PUT(sizeof(bytes), 0);
		took = now() - start;
		cut(self->c, self->pos, TYPE_DATA);
	} while (n > 0);
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_LT(0.19, took);
	/* It is for those who wait. */
	start = now();
	EXPECT_EQ(-1, PUT(1, MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	FINISH(RECORD_MAX);
}

TEST_F_TIMEOUT(backpressure, signal_ends_a_wait_with_what_was_taken, 120)
{
	struct timeval tv = { .tv_sec = 1000 };
	int how;

	/* Without and with SA_RESTART; with a timeout that is far away. */
	for (how = 0; how < 3; how++) {
		ssize_t n;

		CONNECT(.sndbuf = 20000, .rcvbuf = 5000);
		if (how == 2)
			ASSERT_EQ(0, setsockopt(self->a, SOL_SOCKET,
						SO_SNDTIMEO, &tv, sizeof(tv)));
		signals(true, how ? SA_RESTART : 0);
		n = PUT(sizeof(bytes), 0);
		ASSERT_LT(0, n);
		ASSERT_GT(sizeof(bytes), n);
		cut(self->c, self->pos, TYPE_DATA);
		if (how != 1) {
			while ((n = PUT(sizeof(bytes), 0)) > 0)
				cut(self->c, self->pos, TYPE_DATA);
			EXPECT_EQ(EINTR, errno);
		}
		signals(false, 0);
		FINISH(RECORD_MAX);
	}
}

struct reader {
	struct wire *w;
	struct cuts *c;
	int delay;
	int ret;
};

static void *read_later(void *arg)
{
	struct reader *r = arg;

	usleep(r->delay);
	r->ret = wire_follow(r->w, r->c, RECORD_MAX);
	return NULL;
}

TEST_F_TIMEOUT(backpressure, call_that_took_nothing_is_restarted, 120)
{
	struct reader r = { .w = &self->w, .c = self->c, .delay = 600000 };
	pthread_t thread;
	ssize_t n;

	CONNECT(.sndbuf = 20000, .rcvbuf = 5000);
	while ((n = PUT(sizeof(bytes), MSG_DONTWAIT)) > 0 ||
	       poll_now(self->a, POLLOUT, 300))
		cut(self->c, self->pos, TYPE_DATA);
	/* These are for this thread alone. */
	signals(true, SA_RESTART);
	cut(self->c, self->pos + 77, TYPE_DATA);
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_later, &r));
	EXPECT_EQ(77, PUT(77, 0));
	signals(false, 0);
	pthread_join(thread, NULL);
	ASSERT_EQ(0, r.ret);
	FINISH(RECORD_MAX);
}

/* ---- poll and epoll ---- */

TEST_F_TIMEOUT(backpressure, poll_waits_for_notsent_lowat, 120)
{
	int i;

	for (i = 0; i < 3; i++) {
		int lowat = 1000 + 20000 * i;
		ssize_t n;

		CONNECT(.rcvbuf = 5000, .lowat = lowat);
		while ((n = PUT(3000, MSG_DONTWAIT)) > 0 ||
		       poll_now(self->a, POLLOUT, 100))
			cut(self->c, self->pos, TYPE_DATA);
		/* TCP's buffer has room for much more than what it took. */
		EXPECT_GT(300000, self->pos);
		EXPECT_LE(lowat, tcp_has(self->a, SIOCOUTQNSD));
		EXPECT_EQ(0, poll_now(self->a, POLLOUT, 0));
		/* Writable again when so little is left, not before. */
		while (!poll_now(self->a, POLLOUT, 0)) {
			ASSERT_LT(0, wire_read(&self->w, 1000, 0));
			ASSERT_GE(self->pos, self->w.pos);
			self->w.pos += self->w.have ? 0 : self->w.len;
			usleep(1000);
		}
		EXPECT_GT(lowat, tcp_has(self->a, SIOCOUTQNSD));
		EXPECT_LT(0, send(self->a, "x", 1, MSG_DONTWAIT));
		DISCONNECT();
	}
}

/* A thread that reads TLS as it likes, and looks at each byte. */
struct drain {
	int fd;
	unsigned int seed, pos;
	const char *why;
};

static void *drain(void *arg)
{
	struct drain *d = arg;
	static unsigned char in[70000], due[70000];
	struct pollfd p = { .fd = d->fd, .events = POLLIN };

	for (;;) {
		size_t most = rand_r(&d->seed) % 4 ?
			      1 + rand_r(&d->seed) % 3000 : sizeof(in);
		ssize_t n;

		if (rand_r(&d->seed) % 16 == 0)
			usleep(rand_r(&d->seed) % 2000);
		n = recv(d->fd, in, most, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN) {
			poll(&p, 1, 1000);
			continue;
		}
		if (n < 0)
			d->why = strerror(errno);
		if (n <= 0)
			return NULL;
		number(due, n, d->pos);
		if (memcmp(in, due, n)) {
			d->why = "other bytes than were sent";
			return NULL;
		}
		d->pos += n;
	}
}

/* As CONNECT(), the peer decrypts in the kernel and drains in a thread. */
#define CONNECT_DRAIN(d, thread, ...) do {				\
	struct shape shape_ = { __VA_ARGS__ };				\
									\
	ASSERT_EQ(0, shaped_pair(&shape_, &self->a, &(d)->fd));		\
	ASSERT_EQ(0, attach(self->a));					\
	ASSERT_EQ(0, attach((d)->fd));					\
	ASSERT_EQ(0, set_key(self->a, TLS_TX, variant->version,		\
			     variant->cipher, 1));			\
	ASSERT_EQ(0, set_key((d)->fd, TLS_RX, variant->version,		\
			     variant->cipher, 1));			\
	self->pos = 0;							\
	(d)->pos = 0;							\
	(d)->seed = variant->version;					\
	(d)->why = NULL;						\
	ASSERT_EQ(0, pthread_create(thread, NULL, drain, d));		\
} while (0)

#define DISCONNECT_DRAIN(d, thread) do {				\
	close(self->a);							\
	pthread_join(thread, NULL);					\
	EXPECT_EQ(NULL, (d)->why)					\
		TH_LOG("%s", (d)->why);					\
	EXPECT_EQ(self->pos, (d)->pos);					\
	close((d)->fd);							\
} while (0)

static const struct shape drained[] = {
	{ .sndbuf = 1 },
	{ .sndbuf = 10000, .rcvbuf = 10000 },
	{ .sndbuf = 30000, .rcvbuf = 6000, .mss = 536 },
	{ .rcvbuf = 20000, .lowat = 3000 },
	{ .sndbuf = 70000 },
};

/* Send until there is no room, wait for an edge, again and again. */
TEST_F_TIMEOUT(backpressure, edge_of_epoll_is_never_missed, 900)
{
	unsigned int i, edges, most = rounds(100);
	struct drain d;
	pthread_t thread;

	for (i = 0; i < ARRAY_SIZE(drained); i++) {
		struct epoll_event ev = { .events = EPOLLOUT | EPOLLET };
		int ep = epoll_create1(0);

		CONNECT_DRAIN(&d, &thread, .sndbuf = drained[i].sndbuf,
			      .rcvbuf = drained[i].rcvbuf,
			      .mss = drained[i].mss,
			      .lowat = drained[i].lowat);
		ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->a, &ev));
		for (edges = 0; edges < most && !d.why; edges++) {
			unsigned int before = self->pos;

			ASSERT_EQ(1, epoll_wait(ep, &ev, 1, 60000))
				TH_LOG("shape %u: %u sent, %u read, TCP has %d",
				       i, self->pos, d.pos,
				       tcp_has(self->a, SIOCOUTQ));
			ASSERT_EQ(EPOLLOUT, ev.events);
			while (PUT(1 + rand() % 8000, MSG_DONTWAIT |
				   (rand() % 4 ? 0 : MSG_MORE)) > 0)
				;
			ASSERT_EQ(EAGAIN, errno);
			/* It said so, and so it was. */
			ASSERT_LT(before, self->pos);
		}
		EXPECT_EQ(most, edges);
		DISCONNECT_DRAIN(&d, thread);
		close(ep);
	}
}

TEST_F_TIMEOUT(backpressure, poll_that_says_writable_is_right, 900)
{
	unsigned int i, k, most = rounds(250);
	struct drain d;
	pthread_t thread;

	for (i = 0; i < ARRAY_SIZE(drained); i++) {
		CONNECT_DRAIN(&d, &thread, .sndbuf = drained[i].sndbuf,
			      .rcvbuf = drained[i].rcvbuf,
			      .mss = drained[i].mss,
			      .lowat = drained[i].lowat);
		for (k = 0; k < most && !d.why; k++) {
			ASSERT_EQ(POLLOUT, poll_now(self->a, POLLOUT, 60000));
			ASSERT_LT(0, PUT(1 + rand() % 8000, MSG_DONTWAIT |
					 (rand() % 4 ? 0 : MSG_MORE)));
		}
		DISCONNECT_DRAIN(&d, thread);
	}
}

TEST_F_TIMEOUT(backpressure, writer_that_waits_is_always_woken, 900)
{
	unsigned int i, k, most = rounds(250);
	struct drain d;
	pthread_t thread;

	for (i = 0; i < ARRAY_SIZE(drained); i++) {
		CONNECT_DRAIN(&d, &thread, .sndbuf = drained[i].sndbuf,
			      .rcvbuf = drained[i].rcvbuf,
			      .mss = drained[i].mss,
			      .lowat = drained[i].lowat);
		for (k = 0; k < most && !d.why; k++) {
			size_t n = 1 + rand() % 8000;

			ASSERT_EQ(n, PUT(n, rand() % 4 ? 0 : MSG_MORE));
		}
		DISCONNECT_DRAIN(&d, thread);
	}
}

static volatile sig_atomic_t told;

static void on_sigio(int nr)
{
	told++;
}

/* O_ASYNC: also when a call was taken in part, or not at all. */
TEST_F_TIMEOUT(backpressure, signal_tells_that_there_is_room_again, 120)
{
	struct sigaction act = { .sa_handler = on_sigio,
				 .sa_flags = SA_RESTART };
	const struct shape shape = { .sndbuf = 30000, .rcvbuf = 30000 };
	static char bytes[60000], in[60000];
	double end;
	ssize_t n;
	int b, i;

	ASSERT_EQ(0, shaped_pair(&shape, &self->a, &b));
	ASSERT_EQ(0, attach(self->a));
	ASSERT_EQ(0, attach(b));
	ASSERT_EQ(0, set_key(self->a, TLS_TX, variant->version,
			     variant->cipher, 1));
	ASSERT_EQ(0, set_key(b, TLS_RX, variant->version, variant->cipher, 1));
	ASSERT_EQ(0, sigaction(SIGIO, &act, NULL));
	ASSERT_EQ(0, fcntl(self->a, F_SETOWN, getpid()));
	ASSERT_EQ(0, fcntl(self->a, F_SETFL, O_ASYNC | O_NONBLOCK));
	for (i = 0; i < 6; i++) {
		/* There may be room again as soon as the last call is over. */
		do {
			told = 0;
			n = send(self->a, bytes, sizeof(bytes), 0);
		} while (n == sizeof(bytes) || (i % 2 && n > 0));
		for (end = now() + 15; !told && now() < end; usleep(2000))
			while (recv(b, in, sizeof(in), MSG_DONTWAIT) > 0)
				;
		EXPECT_LT(0, told) {
			TH_LOG("round %d", i);
		}
		/* Signals end a poll too. */
		for (end = now() + 15; now() < end;)
			if (poll_now(self->a, POLLOUT, 1000) == POLLOUT)
				break;
		EXPECT_GT(end, now());
	}
	close(self->a);
	close(b);
}

TEST_HARNESS_MAIN
