// SPDX-License-Identifier: GPL-2.0
/*
 * Corners of reading: tests are named after the promises. Those of "like_tcp"
 * run on plain TCP too: what a TCP user expects is what TCP does.
 */

#include "../../kselftest_harness.h"
#include "tls_test.h"
#include "sleeper.h"

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <sys/mman.h>
#include <sys/uio.h>

#ifndef TCP_ZEROCOPY_RECEIVE
#define TCP_ZEROCOPY_RECEIVE 35
#endif

#define EXPECT_ERRNO(want, call) do {					\
	EXPECT_EQ(-1, call);						\
	EXPECT_EQ(want, errno);						\
} while (0)

/* A connection into which @a writes by hand; @version 0 is plain TCP. */
struct stream {
	int a, b;
	uint16_t version;
	uint64_t seq;
	size_t len;
	unsigned char out[120000];
};

static int stream_open(struct stream *s, uint16_t version)
{
	struct timeval tv = { .tv_sec = SLEEPER_PATIENCE };
	int one = 1;

	s->version = version;
	s->seq = 0;
	s->len = 0;
	if (version ? raw_pair(version, TLS_CIPHER_AES_GCM_128, &s->a, &s->b) :
		      tcp_pair(AF_INET, &s->a, &s->b))
		return -1;
	setsockopt(s->a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* A call that hangs is seen as EAGAIN. */
	return setsockopt(s->b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

static void stream_close(struct stream *s)
{
	close(s->a);
	close(s->b);
}

/* One more record into the buffer; on plain TCP, its data alone. */
static bool put_padded(struct stream *s, unsigned char type, const void *data,
		       size_t len, size_t pad)
{
	size_t n = len;

	if (s->version)
		n = make_record(s->out + s->len, s->version, s->seq++, type,
				data, len, pad);
	else
		memcpy(s->out + s->len, data, len);
	s->len += n;
	return n || !s->version;
}

static bool put(struct stream *s, unsigned char type, const void *data,
		size_t len)
{
	return put_padded(s, type, data, len, 0);
}

/* All of the buffer arrives before this returns. */
static bool flush(struct stream *s)
{
	struct pollfd p = { .fd = s->b, .events = POLLIN };
	bool sent = send(s->a, s->out, s->len, 0) == (ssize_t)s->len;

	s->len = 0;
	return sent && poll(&p, 1, 10000) == 1;
}

/* As put() and flush(), without a look at the receiver. */
static bool say(struct stream *s, const void *data, size_t len)
{
	size_t n;

	if (!put(s, TYPE_DATA, data, len))
		return false;
	n = s->len;
	s->len = 0;
	return send(s->a, s->out, n, 0) == (ssize_t)n;
}

static void reset(struct stream *s)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(s->a, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(s->a);
	s->a = -1;
}

/* ---- what TCP does as well ---- */

FIXTURE(like_tcp)
{
	struct stream s;
};

FIXTURE_VARIANT(like_tcp)
{
	uint16_t version;
};

FIXTURE_VARIANT_ADD(like_tcp, plain)
{
	.version = 0,
};

FIXTURE_VARIANT_ADD(like_tcp, tls12)
{
	.version = TLS_1_2_VERSION,
};

FIXTURE_VARIANT_ADD(like_tcp, tls13)
{
	.version = TLS_1_3_VERSION,
};

FIXTURE_SETUP(like_tcp)
{
	ASSERT_EQ(0, stream_open(&self->s, variant->version));
}

FIXTURE_TEARDOWN(like_tcp)
{
	stream_close(&self->s);
}

TEST_F(like_tcp, peek_and_read_at_every_place)
{
	static const size_t lens[] = { 7, 1, 12, 3 };
	struct stream *s = &self->s;
	unsigned char out[23], in[64];
	size_t peek, i, at, get;

	fill(out, sizeof(out), 5);
	for (peek = 1; peek <= 23; peek++) {
		for (i = 0, at = 0; i < 4; at += lens[i++])
			ASSERT_TRUE(put(s, TYPE_DATA, out + at, lens[i]));
		ASSERT_TRUE(flush(s));
		get = peek * 7 % 23;
		ASSERT_EQ(peek, recv(s->b, in, peek, MSG_PEEK));
		ASSERT_EQ(0, memcmp(in, out, peek));
		if (get) {
			ASSERT_EQ(get, recv(s->b, in, get, 0));
			ASSERT_EQ(0, memcmp(in, out, get));
		}
		ASSERT_EQ(23 - get, recv(s->b, in, sizeof(in), MSG_PEEK));
		ASSERT_EQ(0, memcmp(in, out + get, 23 - get));
		ASSERT_EQ(23 - get, recv(s->b, in, sizeof(in), 0));
		ASSERT_EQ(0, memcmp(in, out + get, 23 - get));
		EXPECT_ERRNO(EAGAIN, recv(s->b, in, 1, MSG_DONTWAIT));
	}
}

TEST_F(like_tcp, peek_waits_for_all_with_waitall)
{
	struct stream *s = &self->s;
	char buf[16];
	pid_t pid;

	ASSERT_TRUE(say(s, "ab", 2));
	pid = fork();
	if (!pid) {
		bool sent = true;

		s->seq = 1;
		usleep(50000);
		sent &= say(s, "cd", 2);
		usleep(50000);
		sent &= say(s, "efgh", 4);
		_exit(!sent);
	}
	EXPECT_EQ(7, recv(s->b, buf, 7, MSG_PEEK | MSG_WAITALL));
	EXPECT_EQ(0, memcmp(buf, "abcdefg", 7));
	EXPECT_EQ(8, recv(s->b, buf, 8, MSG_WAITALL));
	EXPECT_EQ(0, memcmp(buf, "abcdefgh", 8));
	waitpid(pid, NULL, 0);
}

TEST_F(like_tcp, waitall_ends_at_the_end)
{
	struct timeval tv = { .tv_usec = 200000 };
	struct stream *s = &self->s;
	struct sleeper r;

	ASSERT_TRUE(sleeper_start(&r, IN_WAITALL, s->b));
	ASSERT_TRUE(say(s, "abc", 3));
	ASSERT_TRUE(thread_asleep(&r.tid));
	ASSERT_TRUE(say(s, "de", 2));
	ASSERT_TRUE(thread_asleep(&r.tid));
	shutdown(s->a, SHUT_WR);
	ASSERT_TRUE(sleeper_join(&r));
	EXPECT_EQ(5, r.ret);
	EXPECT_EQ(0, memcmp(r.data, "abcde", 5));
	EXPECT_EQ(0, recv(s->b, r.data, 1, MSG_WAITALL));
	stream_close(s);

	/* The same by time, */
	ASSERT_EQ(0, stream_open(s, variant->version));
	setsockopt(s->b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	ASSERT_TRUE(say(s, "abc", 3));
	EXPECT_EQ(3, recv(s->b, r.data, 10, MSG_WAITALL));
	EXPECT_ERRNO(EAGAIN, recv(s->b, r.data, 10, MSG_WAITALL));
	/* without waiting, */
	ASSERT_TRUE(say(s, "abc", 3));
	ASSERT_EQ(POLLIN, poll_now(s->b, POLLIN, 5000));
	EXPECT_EQ(3, recv(s->b, r.data, 10, MSG_WAITALL | MSG_DONTWAIT));
	/* and by a reset: the data first, the error then. */
	ASSERT_TRUE(sleeper_start(&r, IN_WAITALL, s->b));
	ASSERT_TRUE(say(s, "abc", 3));
	ASSERT_TRUE(thread_asleep(&r.tid));
	reset(s);
	ASSERT_TRUE(sleeper_join(&r));
	EXPECT_EQ(3, r.ret);
	EXPECT_ERRNO(ECONNRESET, recv(s->b, r.data, 10, MSG_WAITALL));
	EXPECT_EQ(0, recv(s->b, r.data, 10, MSG_WAITALL));
}

TEST_F(like_tcp, low_water_mark_is_waited_for)
{
	static const size_t parts[][5] = {
		{ 30, 30 }, { 45, 15 }, { 59, 1 }, { 15, 15, 15, 15 },
		{ 20, 100 }, { 1, 1, 1, 57 }, { 40, 19, 1 },
	};
	struct stream *s = &self->s;
	int mark = 60, one = 1;
	char out[120], in[120];
	struct sleeper r;
	size_t i, j, sum;

	fill(out, sizeof(out), 6);
	for (i = 0; i < 7; i++) {
		setsockopt(s->b, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark));
		ASSERT_TRUE(sleeper_start(&r, i % 2 ? IN_RECVMSG : IN_RECV,
					  s->b));
		for (j = 0, sum = 0; sum < 60; sum += parts[i][j++]) {
			ASSERT_TRUE(thread_asleep(&r.tid));
			ASSERT_TRUE(say(s, out + sum, parts[i][j]));
		}
		ASSERT_TRUE(sleeper_join(&r));
		/* That is all of it, or the sleeper's whole buffer. */
		EXPECT_EQ(sum < 64 ? sum : 64, r.ret);
		EXPECT_EQ(0, memcmp(r.data, out, r.ret));
		setsockopt(s->b, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
		if (sum > 64) {
			ASSERT_EQ(sum - 64, recv(s->b, in, sizeof(in), 0));
			EXPECT_EQ(0, memcmp(in, out + 64, sum - 64));
		}
	}
}

TEST_F(like_tcp, low_water_mark_keeps_poll_quiet_and_lowering_it_tells)
{
	struct timeval tv = { .tv_usec = 200000 };
	struct stream *s = &self->s;
	static char buf[2000];
	int mark = 1000, one = 1;

	setsockopt(s->b, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark));
	ASSERT_TRUE(say(s, buf, 400));
	EXPECT_EQ(0, poll_now(s->b, POLLIN, 50));
	ASSERT_TRUE(say(s, buf, 600));
	EXPECT_EQ(POLLIN, poll_now(s->b, POLLIN, 5000));
	EXPECT_EQ(1000, recv(s->b, buf, sizeof(buf), 0));

	ASSERT_TRUE(say(s, buf, 400));
	EXPECT_EQ(0, poll_now(s->b, POLLIN, 50));
	EXPECT_EQ(400, recv(s->b, buf, sizeof(buf), MSG_DONTWAIT));
	ASSERT_TRUE(say(s, buf, 300));
	EXPECT_EQ(0, poll_now(s->b, POLLIN, 50));
	setsockopt(s->b, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
	EXPECT_EQ(POLLIN, poll_now(s->b, POLLIN, 0));
	EXPECT_EQ(300, recv(s->b, buf, sizeof(buf), 0));

	/* Time ends the wait with what there is, and so does the end. */
	setsockopt(s->b, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark));
	setsockopt(s->b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	ASSERT_TRUE(say(s, buf, 400));
	EXPECT_EQ(400, recv(s->b, buf, sizeof(buf), 0));
	EXPECT_ERRNO(EAGAIN, recv(s->b, buf, sizeof(buf), 0));
	ASSERT_TRUE(say(s, buf, 400));
	shutdown(s->a, SHUT_WR);
	EXPECT_EQ(400, recv(s->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, recv(s->b, buf, sizeof(buf), 0));
}

TEST_F(like_tcp, receive_timeout_is_eagain_after_that_time)
{
	struct timeval tv = { .tv_usec = 300000 };
	struct stream *s = &self->s;
	struct timespec from, to;
	char buf[8];
	int p[2], i;
	ssize_t n;

	ASSERT_EQ(0, pipe(p));
	setsockopt(s->b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	for (i = 0; i < 6; i++) {
		/* A part of a record changes nothing. */
		if (i == 3 && s->version) {
			ASSERT_TRUE(put(s, TYPE_DATA, "abc", 3));
			ASSERT_EQ(9, send(s->a, s->out, 9, 0));
		}
		clock_gettime(CLOCK_MONOTONIC, &from);
		if (i % 3 == 2)
			n = splice(s->b, NULL, p[1], NULL, 8, 0);
		else
			n = recv(s->b, buf, 8, i % 3 ? MSG_PEEK : 0);
		EXPECT_EQ(-1, n);
		EXPECT_EQ(EAGAIN, errno);
		clock_gettime(CLOCK_MONOTONIC, &to);
		EXPECT_LE(250, (to.tv_sec - from.tv_sec) * 1000 +
			       (to.tv_nsec - from.tv_nsec) / 1000000);
	}
	if (s->version) {
		ASSERT_EQ(s->len - 9, send(s->a, s->out + 9, s->len - 9, 0));
	} else {
		ASSERT_TRUE(say(s, "abc", 3));
	}
	EXPECT_EQ(3, recv(s->b, buf, 8, 0));
	close(p[0]);
	close(p[1]);
}

static void nothing(int sig)
{
}

TEST_F(like_tcp, signal_ends_a_wait_and_loses_nothing)
{
	struct sigaction act = { .sa_handler = nothing };
	struct stream *s = &self->s;
	struct sleeper r;
	int how;

	for (how = IN_RECV; how <= IN_SPLICE; how++) {
		/* Calls with a receive timeout are not begun again. */
		act.sa_flags = how % 2 ? SA_RESTART : 0;
		sigaction(SIGUSR1, &act, NULL);
		ASSERT_TRUE(sleeper_start(&r, how, s->b));
		pthread_kill(r.thread, SIGUSR1);
		ASSERT_TRUE(sleeper_join(&r));
		EXPECT_EQ(-1, r.ret);
		EXPECT_EQ(EINTR, r.err);
	}
	/* What was read by then is given. */
	ASSERT_TRUE(sleeper_start(&r, IN_WAITALL, s->b));
	ASSERT_TRUE(say(s, "abc", 3));
	ASSERT_TRUE(thread_asleep(&r.tid));
	pthread_kill(r.thread, SIGUSR1);
	ASSERT_TRUE(sleeper_join(&r));
	EXPECT_EQ(3, r.ret);
	EXPECT_EQ(0, memcmp(r.data, "abc", 3));
}

TEST_F(like_tcp, buffer_unwritable_from_any_byte_on_loses_nothing)
{
	struct stream *s = &self->s;
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char out[50], in[64];
	struct iovec iov[3];
	size_t can;

	ASSERT_NE(MAP_FAILED, page);
	mprotect(page + 4096, 4096, PROT_NONE);
	fill(out, sizeof(out), 9);
	for (can = 0; can < 40; can += 1 + can / 8) {
		char *at = page + 4096 - can;

		ASSERT_TRUE(put(s, TYPE_DATA, out, 40));
		ASSERT_TRUE(flush(s));
		EXPECT_ERRNO(EFAULT, recv(s->b, at, 40, 0));
		EXPECT_ERRNO(EFAULT, recv(s->b, at, 40, MSG_PEEK));
		EXPECT_ERRNO(EFAULT, recv(s->b, at, 40, MSG_WAITALL));
		iov[0].iov_base = at;
		iov[0].iov_len = can;
		iov[1].iov_base = page + 4096;
		iov[1].iov_len = 4;
		iov[2].iov_base = in;
		iov[2].iov_len = sizeof(in);
		EXPECT_ERRNO(EFAULT, readv(s->b, iov, 3));
		ASSERT_EQ(40, recv(s->b, in, sizeof(in), 0));
		ASSERT_EQ(0, memcmp(in, out, 40));
	}

	/*
	 * Two records, the second does not fit: the first is given. TCP may
	 * have joined what was sent apart.
	 */
	for (can = 20; variant->version && can < 50; can += 3) {
		char *at = page + 4096 - can;

		ASSERT_TRUE(put(s, TYPE_DATA, out, 20));
		ASSERT_TRUE(flush(s));
		ASSERT_TRUE(put(s, TYPE_DATA, out + 20, 30));
		ASSERT_TRUE(flush(s));
		ASSERT_EQ(20, recv(s->b, at, 60, MSG_WAITALL));
		ASSERT_EQ(0, memcmp(at, out, 20));
		ASSERT_EQ(30, recv(s->b, in, sizeof(in), 0));
		ASSERT_EQ(0, memcmp(in, out + 20, 30));
	}
	munmap(page, 8192);
}

TEST_F(like_tcp, short_buffer_of_any_length_takes_its_part)
{
	struct stream *s = &self->s;
	unsigned char out[50], in[64];
	size_t n;

	fill(out, sizeof(out), 3);
	for (n = 1; n < 50; n++) {
		ASSERT_TRUE(put(s, TYPE_DATA, out, 50));
		ASSERT_TRUE(flush(s));
		ASSERT_EQ(n, recv(s->b, in, n, 0));
		ASSERT_EQ(0, memcmp(in, out, n));
		ASSERT_EQ(POLLIN, poll_now(s->b, POLLIN, 0));
		ASSERT_EQ(50 - n, recv(s->b, in, sizeof(in), 0));
		ASSERT_EQ(0, memcmp(in, out + n, 50 - n));
		ASSERT_EQ(0, poll_now(s->b, POLLIN, 0));
	}
}

TEST_F(like_tcp, tiny_and_empty_iovecs_are_filled_in_order)
{
	static unsigned char out[3000], in[3000 * 3];
	static struct iovec iov[1024];
	struct stream *s = &self->s;
	size_t step, i, at;

	fill(out, sizeof(out), 1);
	for (step = 1; step < 6; step++) {
		ASSERT_TRUE(put(s, TYPE_DATA, out, 1000));
		ASSERT_TRUE(put(s, TYPE_DATA, out + 1000, 1));
		ASSERT_TRUE(put(s, TYPE_DATA, out + 1001, 1999));
		ASSERT_TRUE(flush(s));
		memset(in, 0, sizeof(in));
		/* Each a few bytes, some none, with a gap behind each. */
		for (i = 0, at = 0; i < 1024; i++) {
			iov[i].iov_base = in + i * 8;
			iov[i].iov_len = i % 7 == 3 ? 0 : 1 + i % step;
		}
		ASSERT_LT(0, readv(s->b, iov, 1024));
		for (i = 0, at = 0; i < 1024; i++) {
			size_t n = iov[i].iov_len;

			if (n > 3000 - at)
				n = 3000 - at;
			ASSERT_EQ(0, memcmp(in + i * 8, out + at, n));
			ASSERT_EQ(0, in[i * 8 + iov[i].iov_len]);
			at += n;
		}
		if (at < 3000) {
			ASSERT_EQ(3000 - at, recv(s->b, in, sizeof(in), 0));
			ASSERT_EQ(0, memcmp(in, out + at, 3000 - at));
		}
	}
}

TEST_F(like_tcp, msg_trunc_drops_what_it_counts)
{
	struct stream *s = &self->s;
	unsigned char out[30], in[64];
	size_t n;

	fill(out, sizeof(out), 3);
	for (n = 1; n < 30; n++) {
		memset(in, 0, sizeof(in));
		ASSERT_TRUE(put(s, TYPE_DATA, out, 10));
		ASSERT_TRUE(put(s, TYPE_DATA, out + 10, 20));
		ASSERT_TRUE(flush(s));
		/* Nothing is written, not even to NULL. */
		ASSERT_EQ(n, recv(s->b, NULL, n, MSG_TRUNC | MSG_PEEK));
		ASSERT_EQ(n, recv(s->b, n % 2 ? in : NULL, n, MSG_TRUNC));
		ASSERT_EQ(0, in[0]);
		ASSERT_EQ(30 - n, recv(s->b, in, sizeof(in), 0));
		ASSERT_EQ(0, memcmp(in, out + n, 30 - n));
	}
}

TEST_F(like_tcp, recvmmsg_reads_as_recvmsg_does)
{
	struct stream *s = &self->s;
	struct mmsghdr many[4] = {};
	struct iovec iov[4];
	char buf[4][3];
	int i;

	for (i = 0; i < 4; i++) {
		iov[i].iov_base = buf[i];
		iov[i].iov_len = 3;
		many[i].msg_hdr.msg_iov = &iov[i];
		many[i].msg_hdr.msg_iovlen = 1;
	}
	ASSERT_TRUE(put(s, TYPE_DATA, "ab", 2));
	ASSERT_TRUE(put(s, TYPE_DATA, "cde", 3));
	ASSERT_TRUE(put(s, TYPE_DATA, "fghi", 4));
	ASSERT_TRUE(flush(s));
	EXPECT_EQ(3, recvmmsg(s->b, many, 4, MSG_WAITFORONE, NULL));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(3, many[i].msg_len);
	EXPECT_EQ(0, memcmp(buf, "abcdefghi", 9));
	EXPECT_ERRNO(EAGAIN, recvmmsg(s->b, many, 4, MSG_DONTWAIT, NULL));
}

TEST_F(like_tcp, sleeper_is_woken_by_data_end_reset_and_shutdown)
{
	enum { DATA, END, RESET, SHUT_R, SHUT_BOTH, CLOSED, WHATS };
	static const int events[] = {
		[DATA] = POLLIN,
		[END] = POLLIN | POLLRDHUP,
		[RESET] = POLLIN | POLLRDHUP | POLLERR | POLLHUP,
		[SHUT_R] = POLLIN | POLLRDHUP,
		[SHUT_BOTH] = POLLIN | POLLRDHUP | POLLHUP,
	};
	struct stream *s = &self->s;
	char full[64] = "abc";
	struct sleeper r;
	int how, what;

	stream_close(s);
	for (how = 0; how < SLEEPER_HOWS; how++) {
		for (what = 0; what < WHATS; what++) {
			/* Who waits by a descriptor may not close it. */
			if (what == CLOSED && sleeper_polls(how))
				continue;
			ASSERT_EQ(0, stream_open(s, variant->version));
			ASSERT_TRUE(sleeper_start(&r, how, s->b));
			switch (what) {
			case CLOSED:
				/* As TCP: the sleeper still has the socket. */
				close(s->b);
				/* fall through */
			case DATA:
				ASSERT_TRUE(say(s, full, 64));
				break;
			case END:
				shutdown(s->a, SHUT_WR);
				break;
			case RESET:
				reset(s);
				break;
			case SHUT_R:
				shutdown(s->b, SHUT_RD);
				break;
			case SHUT_BOTH:
				shutdown(s->b, SHUT_RDWR);
				break;
			}
			ASSERT_TRUE(sleeper_join(&r)) {
				TH_LOG("%s, %d", sleeper_names[how], what);
			}
			if (how == IN_SELECT) {
				EXPECT_EQ(POLLIN, r.events);
			} else if (sleeper_polls(how)) {
				EXPECT_EQ(1, r.ret);
				/* It may have looked before all had happened. */
				EXPECT_NE(0, r.events);
				EXPECT_EQ(0, r.events & ~events[what]);
				EXPECT_EQ(events[what],
					  poll_now(s->b, POLLIN | POLLRDHUP,
						   1000));
			} else if (what == RESET) {
				EXPECT_EQ(-1, r.ret);
				EXPECT_EQ(ECONNRESET, r.err);
			} else if (what == DATA || what == CLOSED) {
				EXPECT_EQ(64, r.ret);
				EXPECT_EQ(0, memcmp(r.data, full, 64));
			} else {
				EXPECT_EQ(0, r.ret) {
					TH_LOG("%s, %d: %d",
					       sleeper_names[how], what, r.err);
				}
			}
			if (what != CLOSED)
				close(s->b);
			close(s->a);
		}
	}
	ASSERT_EQ(0, stream_open(s, variant->version));
}

TEST_F(like_tcp, data_before_shutdown_or_reset_is_still_read)
{
	struct stream *s = &self->s;
	char buf[16];

	ASSERT_TRUE(put(s, TYPE_DATA, "abc", 3));
	ASSERT_TRUE(flush(s));
	shutdown(s->b, SHUT_RD);
	EXPECT_EQ(POLLIN | POLLRDHUP, poll_now(s->b, POLLIN | POLLRDHUP, 0));
	EXPECT_EQ(1, recv(s->b, buf, 1, 0));
	EXPECT_EQ(2, recv(s->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, recv(s->b, buf, sizeof(buf), 0));
	stream_close(s);

	ASSERT_EQ(0, stream_open(s, variant->version));
	ASSERT_TRUE(put(s, TYPE_DATA, "abc", 3));
	ASSERT_TRUE(put(s, TYPE_DATA, "def", 3));
	ASSERT_TRUE(flush(s));
	reset(s);
	EXPECT_EQ(POLLIN | POLLERR | POLLHUP,
		  poll_now(s->b, POLLIN, 5000));
	EXPECT_EQ(4, recv(s->b, buf, 4, 0));
	EXPECT_EQ(2, recv(s->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(buf, "ef", 2));
	EXPECT_ERRNO(ECONNRESET, recv(s->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, recv(s->b, buf, sizeof(buf), 0));
}

TEST_F(like_tcp, error_queue_is_apart_from_the_data)
{
	int what = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE |
		   SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY;
	struct stream *s = &self->s;
	char buf[16], control[256];
	struct msghdr msg = { .msg_control = control,
			      .msg_controllen = sizeof(control) };

	if (s->version)
		ASSERT_EQ(0, set_key(s->b, TLS_TX, s->version,
				     TLS_CIPHER_AES_GCM_128, 2));
	ASSERT_TRUE(put(s, TYPE_DATA, "abc", 3));
	ASSERT_TRUE(flush(s));
	EXPECT_ERRNO(EAGAIN, recv(s->b, buf, sizeof(buf), MSG_ERRQUEUE));
	ASSERT_EQ(0, setsockopt(s->b, SOL_SOCKET, SO_TIMESTAMPING, &what,
				sizeof(what)));
	ASSERT_EQ(1, send(s->b, "x", 1, 0));
	EXPECT_EQ(POLLERR, poll_now(s->b, 0, 5000));
	EXPECT_EQ(0, recvmsg(s->b, &msg, MSG_ERRQUEUE));
	EXPECT_EQ(MSG_ERRQUEUE, msg.msg_flags & MSG_ERRQUEUE);
	EXPECT_EQ(POLLIN, poll_now(s->b, POLLIN, 0));
	EXPECT_EQ(3, recv(s->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(buf, "abc", 3));
}

TEST_F(like_tcp, splice_into_a_pipe_that_is_nearly_full)
{
	static unsigned char out[40000], in[60000];
	struct stream *s = &self->s;
	size_t got, at, before;
	int p[2], pages;
	ssize_t n;

	fcntl(s->b, F_SETFL, O_NONBLOCK);
	for (pages = 1; pages <= 4; pages *= 2) {
		fill(out, sizeof(out), pages);
		ASSERT_EQ(0, pipe2(p, O_NONBLOCK));
		ASSERT_EQ(pages * 4096, fcntl(p[1], F_SETPIPE_SZ,
					      pages * 4096));
		/* Room for one piece is left. */
		before = (pages - 1) * 4096;
		if (before) {
			ASSERT_EQ(before, write(p[1], out, before));
		}
		for (at = 0; at < sizeof(out); at += 10000)
			ASSERT_TRUE(put(s, TYPE_DATA, out + at, 10000));
		ASSERT_TRUE(flush(s));
		for (got = 0; got < before + sizeof(out); ) {
			ASSERT_LT(0, splice(s->b, NULL, p[1], NULL, 100000,
					    0));
			while (splice(s->b, NULL, p[1], NULL, 100000, 0) > 0)
				;
			/* It is full, or that was all. */
			ASSERT_EQ(EAGAIN, errno);
			while ((n = read(p[0], in + got, sizeof(in) - got)) > 0)
				got += n;
		}
		EXPECT_EQ(before + sizeof(out), got);
		EXPECT_EQ(0, memcmp(in, out, before));
		EXPECT_EQ(0, memcmp(in + before, out, sizeof(out)));
		close(p[0]);
		close(p[1]);
	}
}

/* Records so small that many share a page, each of another length. */
TEST_F(like_tcp, small_pieces_fill_a_pipe_and_none_is_lost)
{
	static unsigned char out[20000], in[30000];
	struct stream *s = &self->s;
	size_t got = 0, at, n;
	int p[2], wrong = 0;
	ssize_t ret;

	fcntl(s->b, F_SETFL, O_NONBLOCK);
	fill(out, sizeof(out), 9);
	ASSERT_EQ(0, pipe2(p, O_NONBLOCK));
	ASSERT_EQ(4 * 4096, fcntl(p[1], F_SETPIPE_SZ, 4 * 4096));
	for (at = 0, n = 1; at < sizeof(out); at += n, n++) {
		n = at + n > sizeof(out) ? sizeof(out) - at : n;
		ASSERT_TRUE(put(s, TYPE_DATA, out + at, n));
	}
	ASSERT_TRUE(flush(s));
	while (got < sizeof(out)) {
		/* Seven bytes end within a record, or behind several. */
		ASSERT_LT(0, splice(s->b, NULL, p[1], NULL, 7, 0));
		while (splice(s->b, NULL, p[1], NULL, 1000, 0) > 0)
			;
		/* It is full, or that was all. */
		ASSERT_EQ(EAGAIN, errno);
		while ((ret = read(p[0], in + got, sizeof(in) - got)) > 0)
			got += ret;
		/* And some of them past the pipe. */
		ret = recv(s->b, in + got, 50, 0);
		got += ret > 0 ? ret : 0;
		ASSERT_LT(wrong++, 10000);
	}
	EXPECT_EQ(sizeof(out), got);
	EXPECT_EQ(0, memcmp(in, out, sizeof(out)));
	close(p[0]);
	close(p[1]);
}

TEST_F(like_tcp, what_a_pipe_holds_is_not_written_to_any_more)
{
	enum { pieces = 12, piece = 700 };
	static unsigned char out[pieces * piece], in[pieces * piece];
	static unsigned char other[piece];
	struct stream *s = &self->s;
	int p[2], c, d, i;

	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(0, tcp_pair(AF_INET, &c, &d));
	fill(out, sizeof(out), 3);
	memset(other, 0xee, sizeof(other));
	for (i = 0; i < pieces; i++) {
		ASSERT_TRUE(put(s, TYPE_DATA, out + i * piece, piece));
		ASSERT_TRUE(flush(s));
		ASSERT_EQ(piece, splice(s->b, NULL, p[1], NULL, piece, 0));
		/* All that this task writes into small pieces of pages. */
		ASSERT_EQ(piece, send(c, other, piece, 0));
		ASSERT_TRUE(put(s, TYPE_DATA, other, piece));
		ASSERT_TRUE(flush(s));
		ASSERT_EQ(piece, recv(s->b, in, piece, MSG_WAITALL));
		ASSERT_EQ(piece, send(c, other, piece, MSG_MORE));
	}
	ASSERT_EQ((int)sizeof(in), read(p[0], in, sizeof(in)));
	EXPECT_EQ(0, memcmp(in, out, sizeof(out)));
	for (i = 0; i < 2 * pieces; i++) {
		ASSERT_EQ(piece, recv(d, in, piece, MSG_WAITALL));
		EXPECT_EQ(0, memcmp(in, other, piece));
	}
	close(p[0]);
	close(p[1]);
	close(c);
	close(d);
}

TEST_F(like_tcp, splice_into_a_pipe_that_nobody_reads_loses_nothing)
{
	struct stream *s = &self->s;
	char buf[16];
	int p[2];

	signal(SIGPIPE, SIG_IGN);
	ASSERT_EQ(0, pipe(p));
	close(p[0]);
	ASSERT_TRUE(put(s, TYPE_DATA, "abcde", 5));
	ASSERT_TRUE(flush(s));
	EXPECT_ERRNO(EPIPE, splice(s->b, NULL, p[1], NULL, 100, 0));
	EXPECT_EQ(5, recv(s->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(buf, "abcde", 5));
	close(p[1]);
}

TEST_F(like_tcp, tee_and_late_readers_see_the_spliced_bytes)
{
	static unsigned char out[12000], in[12000];
	struct stream *s = &self->s;
	int p[2], q[2];
	ssize_t n;

	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(0, pipe(q));
	fill(out, sizeof(out), 7);
	ASSERT_TRUE(put(s, TYPE_DATA, out, 6000));
	ASSERT_TRUE(put(s, TYPE_DATA, out + 6000, 6000));
	ASSERT_TRUE(flush(s));
	/* A part by another way first. */
	ASSERT_EQ(100, recv(s->b, in, 100, 0));
	for (n = 100; n < 12000; ) {
		ssize_t k = splice(s->b, NULL, p[1], NULL, 12000 - n, 0);

		ASSERT_LT(0, k);
		n += k;
	}
	ASSERT_LT(0, tee(p[0], q[1], 12000, 0));
	/* More goes over the socket: what is in the pipes stays. */
	memset(in, 0xee, sizeof(in));
	ASSERT_TRUE(put(s, TYPE_DATA, in, 12000));
	ASSERT_TRUE(flush(s));
	ASSERT_EQ(12000, recv(s->b, in, 12000, MSG_WAITALL));
	for (n = 0; n < 11900; ) {
		ssize_t k = read(p[0], in + n, sizeof(in) - n);

		ASSERT_LT(0, k);
		n += k;
	}
	EXPECT_EQ(0, memcmp(in, out + 100, 11900));
	n = read(q[0], in, sizeof(in));
	ASSERT_LT(0, n);
	EXPECT_EQ(0, memcmp(in, out + 100, n));
	close(p[0]);
	close(p[1]);
	close(q[0]);
	close(q[1]);
}

TEST_F(like_tcp, urgent_byte_in_line_is_a_byte)
{
	struct stream *s = &self->s;
	unsigned char out[20], in[64];
	int one = 1;
	size_t at;

	fill(out, sizeof(out), 2);
	setsockopt(s->b, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one));
	for (at = 0; ; at++) {
		size_t got = 0;

		ASSERT_TRUE(put(s, TYPE_DATA, out, sizeof(out)));
		if (at == s->len)
			break;
		ASSERT_EQ(at + 1, send(s->a, s->out, at + 1, MSG_OOB));
		ASSERT_EQ(s->len - at - 1, send(s->a, s->out + at + 1,
						s->len - at - 1, 0));
		s->len = 0;
		/* TCP stops a call at the mark. */
		while (got < sizeof(out)) {
			ssize_t n = recv(s->b, in + got, sizeof(in) - got, 0);

			ASSERT_LT(0, n);
			got += n;
		}
		ASSERT_EQ(sizeof(out), got);
		ASSERT_EQ(0, memcmp(in, out, sizeof(out)));
		/* What has been read is urgent no more. */
		EXPECT_ERRNO(EAGAIN, recv(s->b, in, 1, MSG_DONTWAIT));
		ASSERT_EQ(0, poll_now(s->b, POLLPRI | POLLIN, 0));
	}
}

TEST_F(like_tcp, ioctl_tells_0_only_when_there_is_nothing)
{
	struct stream *s = &self->s;
	char buf[100] = {};
	int n = -1;

	EXPECT_EQ(0, ioctl(s->b, SIOCINQ, &n));
	EXPECT_EQ(0, n);
	ASSERT_TRUE(put(s, TYPE_DATA, buf, 100));
	ASSERT_TRUE(flush(s));
	/* It counts what TCP has: with TLS, more than there is to read. */
	EXPECT_EQ(0, ioctl(s->b, FIONREAD, &n));
	EXPECT_LE(100, n);
	/* The rest of what has been read in part, or looked at, too. */
	EXPECT_EQ(30, recv(s->b, buf, 30, 0));
	EXPECT_EQ(70, recv(s->b, buf, 100, MSG_PEEK));
	EXPECT_EQ(0, ioctl(s->b, FIONREAD, &n));
	EXPECT_EQ(70, n);
	EXPECT_EQ(70, recv(s->b, buf, 100, 0));
	EXPECT_EQ(0, ioctl(s->b, SIOCINQ, &n));
	EXPECT_EQ(0, n);
}

/* ---- edges of epoll ---- */

struct writer {
	struct stream *s;
	unsigned int seed;
	bool failed;
};

/* Send the buffer in pieces, then the end. */
static void *write_pieces(void *arg)
{
	struct writer *w = arg;
	size_t at = 0;

	while (at < w->s->len) {
		size_t n = 1 + rand_r(&w->seed) % 700;

		if (n > w->s->len - at)
			n = w->s->len - at;
		if (send(w->s->a, w->s->out + at, n, 0) != (ssize_t)n)
			w->failed = true;
		at += n;
		if (rand_r(&w->seed) % 4 == 0)
			usleep(rand_r(&w->seed) % 3000);
	}
	shutdown(w->s->a, SHUT_WR);
	return NULL;
}

TEST_F(like_tcp, edges_of_epoll_lead_to_every_byte)
{
	struct stream *s = &self->s;
	static unsigned char out[50000], in[50000];
	int round;

	fill(out, sizeof(out), 7);
	stream_close(s);
	for (round = 0; round < 6; round++) {
		struct epoll_event ev = {
			.events = EPOLLIN | EPOLLET | EPOLLRDHUP,
		};
		struct writer w = { .s = s, .seed = round };
		size_t at = 0, got = 0, size;
		bool end = false, hung = false;
		int ep = epoll_create1(0);
		pthread_t thread;

		ASSERT_EQ(0, stream_open(s, variant->version));
		for (at = 0; at < sizeof(out); at += size) {
			size = 1 + at % 1500;
			if (size > sizeof(out) - at)
				size = sizeof(out) - at;
			ASSERT_TRUE(put(s, TYPE_DATA, out + at, size));
		}
		ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, s->b, &ev));
		ASSERT_EQ(0, pthread_create(&thread, NULL, write_pieces, &w));
		while (!end) {
			ssize_t n;

			/* A lost edge would be a wait without an end. */
			ASSERT_EQ(1, epoll_wait(ep, &ev, 1,
						SLEEPER_PATIENCE * 500));
			hung |= ev.events & EPOLLRDHUP;
			do {
				size = sizeof(in) - got + 1;
				if (round % 3 == 2 && size > 100)
					size = 100;
				n = recv(s->b, in + got, size, MSG_DONTWAIT);
				if (n < 0)
					ASSERT_EQ(EAGAIN, errno);
				end = n == 0;
				if (n > 0)
					got += n;
				/* Some take a short read for the last one. */
			} while (n > 0 && (round % 2 || n == (ssize_t)size ||
					   hung));
		}
		pthread_join(thread, NULL);
		EXPECT_FALSE(w.failed);
		EXPECT_EQ(POLLRDHUP, poll_now(s->b, POLLRDHUP, 0));
		EXPECT_EQ(sizeof(out), got);
		EXPECT_EQ(0, memcmp(in, out, sizeof(out)));
		close(ep);
		stream_close(s);
	}
	ASSERT_EQ(0, stream_open(s, variant->version));
}

/* ---- several readers ---- */

#define TOKENS 4000

struct taker {
	int fd;
	int way;
	pthread_t thread;
	int err;
	unsigned char taken[TOKENS];
};

/* Each record is made of whole tokens, so each call gets whole tokens. */
static void *take(void *arg)
{
	static const int sizes[] = { 8, 64, 400, 4096 };
	struct taker *t = arg;
	uint64_t in[512];
	int p[2] = { -1, -1 };
	ssize_t n, i;

	if (t->way == 3 && pipe(p))
		t->err = errno;
	while (!t->err) {
		if (t->way == 2) {
			n = recv(t->fd, in, 4096, MSG_PEEK);
			if (n > 0)
				n = recv(t->fd, in, 64, MSG_DONTWAIT);
			if (n < 0 && errno == EAGAIN)
				continue;
		} else if (t->way == 3) {
			n = splice(t->fd, NULL, p[1], NULL, 400, 0);
			if (n > 0 && read(p[0], in, n) != n)
				n = -1;
		} else {
			n = recv(t->fd, in, sizes[t->way], 0);
		}
		if (n <= 0 || n % 8) {
			t->err = n < 0 ? errno : n % 8;
			break;
		}
		for (i = 0; i < n / 8; i++) {
			if (in[i] >= TOKENS)
				t->err = ERANGE;
			else
				t->taken[in[i]]++;
		}
	}
	close(p[0]);
	close(p[1]);
	return NULL;
}

TEST_F_TIMEOUT(like_tcp, readers_in_threads_get_each_byte_once, 120)
{
	static struct taker takers[5];
	struct stream *s = &self->s;
	uint64_t tokens[40], next = 0;
	int i, k;

	for (i = 0; i < 5; i++) {
		takers[i].fd = s->b;
		takers[i].way = i % 4;
		ASSERT_EQ(0, pthread_create(&takers[i].thread, NULL, take,
					    &takers[i]));
	}
	while (next < TOKENS) {
		for (k = 0; k < 1 + (int)(next % 40) && next < TOKENS; k++)
			tokens[k] = next++;
		ASSERT_TRUE(say(s, tokens, k * 8));
	}
	shutdown(s->a, SHUT_WR);
	for (i = 0; i < 5; i++) {
		pthread_join(takers[i].thread, NULL);
		EXPECT_EQ(0, takers[i].err);
	}
	for (next = 0; next < TOKENS; next++) {
		int sum = 0;

		for (i = 0; i < 5; i++)
			sum += takers[i].taken[next];
		ASSERT_EQ(1, sum);
	}
}

/* ---- what only TLS has ---- */

/* May the kernel gather small pieces in several pages at once? */
static int pages_at_once(const char *not)
{
	int here = open("/proc/thread-self/ns/net", O_RDONLY);
	int first = open("/proc/1/ns/net", O_RDONLY), fd = -1, ret = -1;

	if (!setns(first, CLONE_NEWNET))
		fd = open("/proc/sys/net/core/high_order_alloc_disable",
			  O_WRONLY);
	if (fd >= 0 && write(fd, not, 1) == 1)
		ret = 0;
	close(fd);
	ret = setns(here, CLONE_NEWNET) ?: ret;
	close(first);
	close(here);
	return ret;
}

FIXTURE(records)
{
	struct stream s;
	bool single_pages;
};

FIXTURE_VARIANT(records)
{
	uint16_t version;
};

FIXTURE_VARIANT_ADD(records, tls12)
{
	.version = TLS_1_2_VERSION,
};

FIXTURE_VARIANT_ADD(records, tls13)
{
	.version = TLS_1_3_VERSION,
};

FIXTURE_SETUP(records)
{
	ASSERT_EQ(0, stream_open(&self->s, variant->version));
}

FIXTURE_TEARDOWN(records)
{
	if (self->single_pages) {
		EXPECT_EQ(0, pages_at_once("0"));
	}
	stream_close(&self->s);
}

/* What was read, in a form that can be compared: types, and their bytes. */
struct story {
	char text[400];
	size_t len;
	int type;
};

static void tell(struct story *st, int type, const char *data, size_t len)
{
	/* Data records join; the pieces of control records may. */
	if (st->type != type || type != TYPE_DATA)
		st->len += sprintf(st->text + st->len, " %d:", type);
	st->type = type;
	memcpy(st->text + st->len, data, len);
	st->len += len;
	st->text[st->len] = 0;
}

enum reading { LARGE, PEEKED, BY_BYTE, SPLICED, READINGS };

/* Read it all in one of the ways; the pieces of a control record join. */
static bool read_story(int fd, enum reading how, struct story *st)
{
	char buf[64], control[CMSG_SPACE(1)], peeked[64];
	struct iovec iov = { buf, how == BY_BYTE ? 1 : sizeof(buf) };
	bool within = false;
	int p[2];

	if (pipe(p))
		return false;
	memset(st, 0, sizeof(*st));
	for (;;) {
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
				      .msg_control = control,
				      .msg_controllen = sizeof(control) };
		ssize_t n, m = 0;
		int type;

		if (how == SPLICED) {
			n = splice(fd, NULL, p[1], NULL, sizeof(buf), 0);
			if (n > 0) {
				if (read(p[0], buf, n) != n)
					return false;
				tell(st, TYPE_DATA, buf, n);
				continue;
			}
			if (n == 0)
				break;
			if (errno != EINVAL)
				return false;
		}
		if (how == PEEKED) {
			n = recv_type(fd, &type, peeked, sizeof(peeked),
				      MSG_PEEK);
			m = recv_type(fd, &type, peeked, sizeof(peeked),
				      MSG_PEEK);
			if (n < 0 || n != m)
				return false;
		}
		n = recvmsg(fd, &msg, 0);
		if (n < 0)
			return false;
		if (how == PEEKED && (n != m || memcmp(buf, peeked, n)))
			return false;
		/* The end has no type; a record without a byte has. */
		if (!msg.msg_controllen) {
			if (n)
				return false;
			break;
		}
		type = *CMSG_DATA(CMSG_FIRSTHDR(&msg));
		if (within) {
			memcpy(st->text + st->len, buf, n);
			st->len += n;
			st->text[st->len] = 0;
		} else {
			tell(st, type, buf, n);
		}
		within = type != TYPE_DATA && !(msg.msg_flags & MSG_EOR);
	}
	close(p[0]);
	close(p[1]);
	return true;
}

#define KINDS 6

TEST_F_TIMEOUT(records, every_mixture_of_types_and_empty_records, 300)
{
	static const struct {
		unsigned char type;
		const char *data;
	} kinds[KINDS] = {
		{ TYPE_DATA, "ab" }, { TYPE_DATA, "" }, { TYPE_ALERT, "xyz" },
		{ TYPE_HANDSHAKE, "" }, { TYPE_ALERT, "" }, { 99, "qrs" },
	};
	static unsigned char recs[KINDS][4][64];
	struct stream *s = &self->s;
	size_t lens[KINDS][4];
	int k, at, mix;

	for (k = 0; k < KINDS; k++) {
		for (at = 0; at < 4; at++) {
			lens[k][at] = make_record(recs[k][at],
						  variant->version, at,
						  kinds[k].type, kinds[k].data,
						  strlen(kinds[k].data), 0);
			ASSERT_LT(0, lens[k][at]);
		}
	}
	stream_close(s);
	for (mix = 0; mix < KINDS * KINDS * KINDS * KINDS; mix++) {
		struct story want = {}, got;
		int rest = mix;

		ASSERT_EQ(0, stream_open(s, variant->version));
		for (at = 0; at < 4; at++, rest /= KINDS) {
			k = rest % KINDS;
			memcpy(s->out + s->len, recs[k][at], lens[k][at]);
			s->len += lens[k][at];
			if (kinds[k].type != TYPE_DATA || *kinds[k].data)
				tell(&want, kinds[k].type, kinds[k].data,
				     strlen(kinds[k].data));
		}
		ASSERT_EQ(s->len, send(s->a, s->out, s->len, 0));
		shutdown(s->a, SHUT_WR);
		ASSERT_TRUE(read_story(s->b, mix % READINGS, &got)) {
			TH_LOG("mixture %d: %s", mix, want.text);
		}
		ASSERT_STREQ(want.text, got.text) {
			TH_LOG("mixture %d", mix);
		}
		stream_close(s);
	}
	ASSERT_EQ(0, stream_open(s, variant->version));
}

TEST_F(records, control_record_in_pieces_of_any_length)
{
	struct stream *s = &self->s;
	unsigned char out[20], in[64];
	size_t n;
	int type;

	fill(out, sizeof(out), 4);
	for (n = 0; n < 20; n++) {
		ASSERT_TRUE(put(s, TYPE_HANDSHAKE, out, 20));
		ASSERT_TRUE(put(s, TYPE_DATA, out, 5));
		ASSERT_TRUE(flush(s));
		/* No room for the type: it stays whole, however often. */
		EXPECT_ERRNO(EIO, recv(s->b, in, sizeof(in), 0));
		EXPECT_ERRNO(EIO, recv(s->b, in, sizeof(in), MSG_PEEK));
		ASSERT_EQ(20, recv_type(s->b, &type, in, sizeof(in),
					MSG_PEEK));
		ASSERT_EQ(n, recv_type(s->b, &type, in, n, 0));
		ASSERT_EQ(TYPE_HANDSHAKE, type);
		ASSERT_EQ(0, memcmp(in, out, n));
		EXPECT_ERRNO(EIO, recv(s->b, in, sizeof(in), 0));
		EXPECT_ERRNO(EFAULT, recv_type(s->b, &type, NULL, 20, 0));
		ASSERT_EQ(20 - n, recv_type(s->b, &type, in, sizeof(in),
					    n % 2 ? MSG_TRUNC : MSG_WAITALL));
		ASSERT_EQ(TYPE_HANDSHAKE, type);
		if (n % 2 == 0) {
			ASSERT_EQ(0, memcmp(in, out + n, 20 - n));
		}
		ASSERT_EQ(5, recv_type(s->b, &type, in, sizeof(in), 0));
		ASSERT_EQ(TYPE_DATA, type);
	}
}

TEST_F(records, small_padded_records_and_others_meet_a_splice)
{
	struct stream *s = &self->s;
	char in[300];
	int p[2], type, i;

	ASSERT_EQ(0, pipe(p));
	for (i = 0; i < 20; i++) {
		ASSERT_TRUE(put_padded(s, TYPE_DATA, "some", 4, i));
		ASSERT_TRUE(put_padded(s, TYPE_DATA, "", 0, i * 5));
		ASSERT_TRUE(put_padded(s, TYPE_ALERT, "\1\2", 2, i));
	}
	ASSERT_TRUE(flush(s));
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(4, splice(s->b, NULL, p[1], NULL, sizeof(in), 0));
		ASSERT_EQ(4, read(p[0], in, sizeof(in)));
		EXPECT_EQ(0, memcmp(in, "some", 4));
		EXPECT_ERRNO(EINVAL, splice(s->b, NULL, p[1], NULL,
					    sizeof(in), 0));
		ASSERT_EQ(2, recv_type(s->b, &type, in, sizeof(in), 0));
		EXPECT_EQ(TYPE_ALERT, type);
		EXPECT_EQ(0, memcmp(in, "\1\2", 2));
	}
	close(p[0]);
	close(p[1]);
}

/*
 * Every other page of a region is given back: what the kernel takes next has
 * neighbours of ours, and who writes past its end writes there.
 */
#define NEIGHBOURS 2048

static unsigned char *neighbours(void)
{
	unsigned char *at = mmap(NULL, NEIGHBOURS * 4096,
				 PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i;

	if (at == MAP_FAILED)
		return NULL;
	madvise(at, NEIGHBOURS * 4096, MADV_NOHUGEPAGE);
	memset(at, 0x5a, NEIGHBOURS * 4096);
	for (i = 0; i < NEIGHBOURS; i += 2)
		madvise(at + i * 4096, 4096, MADV_DONTNEED);
	return at;
}

static int disturbed(const unsigned char *at)
{
	int i, n = 0;

	for (i = 1; i < NEIGHBOURS; i += 2)
		n += at[i * 4096] != 0x5a;
	return n;
}

TEST_F(records, records_about_as_long_as_a_single_page)
{
	static unsigned char out[5000], in[5000];
	unsigned char *around;
	struct stream *s = &self->s;
	int p[2], way;
	size_t len;

	ASSERT_EQ(0, pipe(p));
	if (pages_at_once("1"))
		SKIP(return, "this needs root, and the first name space");
	self->single_pages = true;
	fill(out, sizeof(out), 4);
	around = neighbours();
	ASSERT_TRUE(around);
	for (len = 4032; len <= 4100; len += len < 4090 ? 29 : 1) {
		for (way = 0; way < 4; way++) {
			/* As long, and its last byte is padding. */
			size_t pad = way == 3 && s->version == TLS_1_3_VERSION ?
				     7 : 0;

			ASSERT_TRUE(put_padded(s, TYPE_DATA, out, len - pad,
					       pad));
			ASSERT_TRUE(flush(s));
			memset(in, 0, len);
			if (way == 0) {
				ASSERT_EQ(len, splice(s->b, NULL, p[1], NULL,
						      len, 0));
				ASSERT_EQ(len, read(p[0], in, len));
				EXPECT_EQ(0, memcmp(in, out, len));
				continue;
			}
			if (way == 1)
				ASSERT_EQ(9, recv(s->b, in, 9, MSG_PEEK));
			ASSERT_EQ(len - pad, recv(s->b, in, len - pad,
						  MSG_WAITALL));
			EXPECT_EQ(0, memcmp(in, out, len - pad));
		}
	}
	close(p[0]);
	close(p[1]);
	EXPECT_EQ(0, disturbed(around));
}

TEST_F(records, waitall_and_the_low_water_mark_end_at_another_type)
{
	struct stream *s = &self->s;
	struct sleeper r;
	char buf[16];
	int type, mark;

	for (mark = 1; mark < 64; mark += 50) {
		setsockopt(s->b, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark));
		ASSERT_TRUE(sleeper_start(&r, IN_WAITALL, s->b));
		ASSERT_TRUE(put(s, TYPE_DATA, "abc", 3));
		ASSERT_TRUE(put(s, TYPE_ALERT, "xy", 2));
		ASSERT_EQ(s->len, send(s->a, s->out, s->len, 0));
		s->len = 0;
		ASSERT_TRUE(sleeper_join(&r));
		EXPECT_EQ(3, r.ret);
		EXPECT_EQ(2, recv_type(s->b, &type, buf, sizeof(buf),
				       MSG_WAITALL));
		EXPECT_EQ(TYPE_ALERT, type);
	}
}

TEST_F(records, room_for_the_type_that_is_too_small_is_no_room)
{
	struct stream *s = &self->s;
	char buf[16], control[CMSG_SPACE(1)];
	struct iovec iov = { buf, sizeof(buf) };
	size_t room;

	for (room = 0; room < CMSG_LEN(1); room++) {
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
				      .msg_control = control,
				      .msg_controllen = room };

		ASSERT_TRUE(put(s, TYPE_DATA, "data", 4));
		ASSERT_TRUE(put(s, TYPE_ALERT, "xy", 2));
		ASSERT_TRUE(flush(s));
		/* Data needs none. */
		ASSERT_EQ(4, recvmsg(s->b, &msg, 0));
		msg.msg_controllen = room;
		EXPECT_ERRNO(EIO, recvmsg(s->b, &msg, 0));
		msg.msg_controllen = CMSG_LEN(1);
		ASSERT_EQ(2, recvmsg(s->b, &msg, 0));
		EXPECT_EQ(TYPE_ALERT, *CMSG_DATA(CMSG_FIRSTHDR(&msg)));
	}
}

TEST_F(records, recvmmsg_gives_each_type_its_own_message)
{
	struct stream *s = &self->s;
	static const int types[] = { TYPE_DATA, TYPE_ALERT, TYPE_ALERT,
				     TYPE_DATA };
	static const char * const texts[] = { "abcd", "x", "", "ef" };
	char buf[6][16], control[6][CMSG_SPACE(1)];
	struct mmsghdr many[6] = {};
	struct iovec iov[6];
	int i;

	for (i = 0; i < 6; i++) {
		iov[i].iov_base = buf[i];
		iov[i].iov_len = sizeof(buf[i]);
		many[i].msg_hdr.msg_iov = &iov[i];
		many[i].msg_hdr.msg_iovlen = 1;
		many[i].msg_hdr.msg_control = control[i];
		many[i].msg_hdr.msg_controllen = sizeof(control[i]);
	}
	ASSERT_TRUE(put(s, TYPE_DATA, "ab", 2));
	ASSERT_TRUE(put(s, TYPE_DATA, "", 0));
	ASSERT_TRUE(put(s, TYPE_DATA, "cd", 2));
	ASSERT_TRUE(put(s, TYPE_ALERT, "x", 1));
	ASSERT_TRUE(put(s, TYPE_ALERT, "", 0));
	ASSERT_TRUE(put(s, TYPE_DATA, "", 0));
	ASSERT_TRUE(put(s, TYPE_DATA, "ef", 2));
	ASSERT_TRUE(flush(s));
	ASSERT_EQ(4, recvmmsg(s->b, many, 6, MSG_DONTWAIT, NULL));
	for (i = 0; i < 4; i++) {
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&many[i].msg_hdr);

		ASSERT_NE(NULL, cmsg);
		EXPECT_EQ(types[i], *CMSG_DATA(cmsg));
		EXPECT_EQ(strlen(texts[i]), many[i].msg_len);
		EXPECT_EQ(0, memcmp(buf[i], texts[i], strlen(texts[i])));
	}
}

TEST_F_TIMEOUT(records, stream_that_came_before_the_key_is_cut_anywhere, 120)
{
	unsigned char two[200], in[64];
	size_t first, len, cut;
	int a, b, end;

	first = make_record(two, variant->version, 0, TYPE_DATA, "one", 3, 0);
	len = first + make_record(two + first, variant->version, 1, TYPE_DATA,
				  "two", 3, 0);
	for (cut = 0; cut <= len; cut++) {
		for (end = 0; end < 2; end++) {
			struct timeval tv = { .tv_sec = SLEEPER_PATIENCE };
			bool ready = cut >= first || end;

			ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
			setsockopt(b, SOL_SOCKET, SO_RCVTIMEO, &tv,
				   sizeof(tv));
			ASSERT_EQ(0, attach(b));
			if (cut)
				ASSERT_EQ(cut, send(a, two, cut, 0));
			if (end)
				shutdown(a, SHUT_WR);
			if (cut || end)
				ASSERT_EQ(POLLIN, poll_now(b, POLLIN, 5000));
			ASSERT_EQ(0, set_key(b, TLS_RX, variant->version,
					     TLS_CIPHER_AES_GCM_128, 1));
			ASSERT_EQ(ready ? POLLIN : 0, poll_now(b, POLLIN, 0) &
						      POLLIN);
			if (!end && cut < len)
				ASSERT_EQ(len - cut, send(a, two + cut,
							  len - cut, 0));
			if (cut >= first || !end) {
				ASSERT_EQ(3, recv(b, in, 3, 0));
				ASSERT_EQ(0, memcmp(in, "one", 3));
			}
			if (cut == len || !end) {
				ASSERT_EQ(3, recv(b, in, 3, 0));
				ASSERT_EQ(0, memcmp(in, "two", 3));
			}
			if (end && (cut == len || cut == first || !cut)) {
				ASSERT_EQ(0, recv(b, in, 3, 0));
			} else if (end) {
				EXPECT_ERRNO(EBADMSG, recv(b, in, 3, 0));
			}
			close(a);
			close(b);
		}
	}
}

TEST_F(records, sleeper_is_woken_by_what_is_wrong)
{
	struct stream *s = &self->s;
	struct sleeper r;
	int how, wrong;

	stream_close(s);
	for (how = 0; how < SLEEPER_HOWS; how++) {
		for (wrong = 0; wrong < 3; wrong++) {
			static const int errs[] = { EBADMSG, EINVAL, EBADMSG };

			ASSERT_EQ(0, stream_open(s, variant->version));
			ASSERT_TRUE(sleeper_start(&r, how, s->b));
			ASSERT_TRUE(put(s, TYPE_DATA, "abc", 3));
			if (wrong == 0)
				s->out[s->len - 1] ^= 1;
			if (wrong == 1)
				s->out[1]++;
			if (wrong == 2)
				s->len--;
			ASSERT_EQ(s->len, send(s->a, s->out, s->len, 0));
			if (wrong == 2)
				shutdown(s->a, SHUT_WR);
			ASSERT_TRUE(sleeper_join(&r)) {
				TH_LOG("%s, %d", sleeper_names[how], wrong);
			}
			if (sleeper_polls(how)) {
				EXPECT_EQ(POLLIN, r.events & POLLIN);
				EXPECT_ERRNO(errs[wrong],
					     recv(s->b, r.data, 8, 0));
			} else {
				EXPECT_EQ(-1, r.ret);
				EXPECT_EQ(errs[wrong], r.err);
			}
			EXPECT_EQ(POLLIN | POLLERR, poll_now(s->b, POLLIN, 0));
			stream_close(s);
		}
	}
	ASSERT_EQ(0, stream_open(s, variant->version));
}

TEST_F(records, all_sleepers_are_told_of_what_is_wrong)
{
	struct stream *s = &self->s;
	struct sleeper r[6];
	int i;

	for (i = 0; i < 6; i++)
		ASSERT_TRUE(sleeper_start(&r[i], i, s->b));
	ASSERT_EQ(5, send(s->a, "\27\3\3\377\377", 5, 0));
	for (i = 0; i < 6; i++) {
		ASSERT_TRUE(sleeper_join(&r[i])) {
			TH_LOG("%s", sleeper_names[i]);
		}
		if (!sleeper_polls(i)) {
			EXPECT_EQ(-1, r[i].ret);
			EXPECT_EQ(EMSGSIZE, r[i].err);
		}
	}
}

TEST_F(records, urgent_bytes_do_no_harm)
{
	struct stream *s = &self->s;
	unsigned char out[20], in[64];
	size_t at, from;
	ssize_t n;

	fill(out, sizeof(out), 2);
	/* One, and the record is whole: it is a byte as any other. */
	for (at = 0; ; at++) {
		ASSERT_TRUE(put(s, TYPE_DATA, out, sizeof(out)));
		if (at == s->len)
			break;
		ASSERT_EQ(at + 1, send(s->a, s->out, at + 1, MSG_OOB));
		if (at % 3 == 0)
			recv(s->b, in, 1, MSG_OOB);
		ASSERT_EQ(s->len - at - 1, send(s->a, s->out + at + 1,
						s->len - at - 1, 0));
		s->len = 0;
		ASSERT_EQ(sizeof(out), recv(s->b, in, sizeof(in), 0));
		ASSERT_EQ(0, memcmp(in, out, sizeof(out)));
	}
	stream_close(s);

	/*
	 * TCP drops an urgent byte that was not read when the next one comes:
	 * the record is short of it, and refused.
	 */
	for (from = 0; from < 30; from++) {
		ASSERT_EQ(0, stream_open(s, variant->version));
		ASSERT_TRUE(put(s, TYPE_DATA, out, sizeof(out)));
		ASSERT_EQ(from, send(s->a, s->out, from, 0));
		for (at = from; at < s->len; at++)
			ASSERT_EQ(1, send(s->a, s->out + at, 1, MSG_OOB));
		shutdown(s->a, SHUT_WR);
		n = recv(s->b, in, sizeof(in), 0);
		if (n < 0) {
			EXPECT_TRUE(errno == EBADMSG || errno == EINVAL ||
				    errno == EMSGSIZE);
		} else {
			ASSERT_EQ(sizeof(out), n);
			EXPECT_EQ(0, memcmp(in, out, sizeof(out)));
		}
		stream_close(s);
	}
	ASSERT_EQ(0, stream_open(s, variant->version));
}

/* Read what TCP holds, past TLS. */
static int steal(int fd, void *buf, size_t len)
{
	struct {
		uint64_t address;
		uint32_t length, recv_skip_hint, inq;
		int32_t err;
		uint64_t copybuf_address;
		int32_t copybuf_len;
		uint32_t flags;
		uint64_t msg_control, msg_controllen;
		uint32_t msg_flags, reserved;
	} zc = {
		.copybuf_address = (uintptr_t)buf, .copybuf_len = len,
	};
	socklen_t size = sizeof(zc);

	return getsockopt(fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &size) ?
	       -1 : zc.copybuf_len;
}

/*
 * TCP forgets an urgent byte that nobody has read when another comes. Without
 * its first byte this record has a header again, of TLS 1.2 and another length.
 */
TEST_F(records, urgent_byte_that_tcp_forgets_is_missed)
{
	static unsigned char out[2][745], in[2000];
	struct stream *s = &self->s;
	size_t n;
	int i;

	memset(out, 0x5a, sizeof(out));
	for (i = 0; i < 2; i++)
		ASSERT_TRUE(put(s, TYPE_DATA, out[i], sizeof(out[i])));
	n = s->len / 2;
	ASSERT_EQ(1, send(s->a, s->out, 1, MSG_OOB));
	ASSERT_EQ(n - 1, send(s->a, s->out + 1, n - 1, MSG_OOB));
	ASSERT_EQ(n, send(s->a, s->out + n, n, 0));
	shutdown(s->a, SHUT_WR);
	EXPECT_ERRNO(EBADMSG, recv(s->b, in, sizeof(in), 0));
	EXPECT_ERRNO(EBADMSG, recv(s->b, in, sizeof(in), 0));
}

TEST_F(records, bytes_that_another_reader_of_tcp_takes_are_missed_safely)
{
	static unsigned char out[9000], in[20000];
	struct stream *s = &self->s;
	struct sleeper r;
	size_t i, part;
	ssize_t n;

	fill(out, sizeof(out), 2);
	stream_close(s);
	for (i = 0; i < 40; i++) {
		bool sleeps = i % 2;

		ASSERT_EQ(0, stream_open(s, variant->version));
		ASSERT_TRUE(put(s, TYPE_DATA, "first", 5));
		ASSERT_TRUE(put(s, TYPE_DATA, out, sizeof(out)));
		part = 1 + i * 211 % (s->len - 1);
		/* Its bytes are announced, looked at, and then gone. */
		if (part > 60)
			ASSERT_EQ(part, send(s->a, s->out, part, 0));
		if (part > 60 && i % 4 < 2)
			ASSERT_EQ(5, recv(s->b, in, 5, MSG_PEEK));
		if (part <= 60)
			ASSERT_EQ(part, send(s->a, s->out, part, 0));
		if (sleeps && part < 20)
			ASSERT_TRUE(sleeper_start(&r, i % 5, s->b));
		ASSERT_LE(0, steal(s->b, in, sizeof(in)));
		ASSERT_EQ(s->len - part, send(s->a, s->out + part,
					      s->len - part, 0));
		shutdown(s->a, SHUT_WR);
		if (sleeps && part < 20)
			ASSERT_TRUE(sleeper_join(&r));
		/* What was verified may come, then the error; no other byte. */
		do {
			n = recv(s->b, in, sizeof(in), 0);
			if (n > 0) {
				EXPECT_EQ(5, n);
				EXPECT_EQ(0, memcmp(in, "first", 5));
			}
		} while (n > 0);
		if (n)
			EXPECT_TRUE(errno == EBADMSG || errno == EINVAL ||
				    errno == EMSGSIZE);
		stream_close(s);
	}
	ASSERT_EQ(0, stream_open(s, variant->version));
}

/* ---- prediction: TLS 1.3 ---- */

/* Records up to 4 KB cost less without it; it is for larger ones. */
#define PREDICTED	4200

/* Every how many records one is not plain data; 0: it is random. */
static const int patterns[] = { 1, 2, 3, 5, 16, 17, 18, 33, 49, 50, 66, 0 };

TEST(predictions_that_fail_cost_less_than_a_tenth_more_decryptions)
{
	static char out[PREDICTED], in[PREDICTED];
	unsigned int seed = 1;
	size_t i;
	int a, b, type, n;

	fill(out, sizeof(out), 1);
	for (i = 0; i < 12; i++) {
		long before = counter("TlsDecryptRetry");

		ASSERT_EQ(0, tls_pair(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128,
				      &a, &b));
		for (n = 0; n < 1000; n++) {
			bool other = patterns[i] ? n % patterns[i] == 0 :
						   rand_r(&seed) % 3 == 0;

			type = other ? TYPE_ALERT : TYPE_DATA;
			ASSERT_EQ(sizeof(out), send_type(a, type, out,
							 sizeof(out), 0));
			memset(in, 0, sizeof(in));
			ASSERT_EQ(sizeof(in), recv_type(b, &type, in,
							sizeof(in), 0));
			ASSERT_EQ(other ? TYPE_ALERT : TYPE_DATA, type);
			ASSERT_EQ(0, memcmp(in, out, sizeof(in)));
		}
		EXPECT_LT(before, counter("TlsDecryptRetry") + nic_wanted());
		EXPECT_GT(before + 100, counter("TlsDecryptRetry")) {
			TH_LOG("every %d", patterns[i]);
		}
		close(a);
		close(b);
	}
}

TEST(honest_peer_is_always_predicted)
{
	long before = counter("TlsDecryptRetry");
	static char out[PREDICTED], in[2 * PREDICTED];
	int a, b, n;

	ASSERT_EQ(0, tls_pair(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, &a,
			      &b));
	for (n = 0; n < 500; n++) {
		size_t len = n % 2 ? PREDICTED : 100;

		ASSERT_EQ(len, send(a, out, len, 0));
		ASSERT_EQ(len, recv(b, in, n % 3 ? 2 * len : len, 0));
	}
	EXPECT_EQ(before, counter("TlsDecryptRetry"));
	close(a);
	close(b);
}

TEST(padding_mixed_with_types_and_sizes_stays_cheap)
{
	static unsigned char in[RECORD_MAX], out[RECORD_MAX];
	long before = counter("TlsDecryptRetry");
	static struct stream s;
	unsigned int seed = 7;
	int n, type;

	fill(out, sizeof(out), 1);
	ASSERT_EQ(0, stream_open(&s, TLS_1_3_VERSION));
	for (n = 0; n < 1000; n++) {
		size_t len = rand_r(&seed) % 300, pad = rand_r(&seed) % 300;
		bool control = rand_r(&seed) % 4 == 0;

		if (rand_r(&seed) % 4)
			len += PREDICTED;
		if (rand_r(&seed) % 2)
			pad = 0;
		len += !len && !control;
		ASSERT_TRUE(put_padded(&s, control ? TYPE_HANDSHAKE :
				       TYPE_DATA, out, len, pad));
		ASSERT_EQ(s.len, send(s.a, s.out, s.len, 0));
		s.len = 0;
		ASSERT_EQ(len, recv_type(s.b, &type, in, sizeof(in), 0));
		ASSERT_EQ(control ? TYPE_HANDSHAKE : TYPE_DATA, type);
		ASSERT_EQ(0, memcmp(in, out, len));
	}
	EXPECT_LT(before, counter("TlsDecryptRetry") + nic_wanted());
	EXPECT_GT(before + 100, counter("TlsDecryptRetry"));
	stream_close(&s);
}

TEST(who_expects_no_padding_gets_every_violation_counted)
{
	long retry = counter("TlsDecryptRetry");
	long violation = counter("TlsRxNoPadViolation");
	static struct stream s;
	char in[100];
	int n, type, one = 1;

	ASSERT_EQ(0, stream_open(&s, TLS_1_3_VERSION));
	ASSERT_EQ(0, setsockopt(s.b, SOL_TLS, TLS_RX_EXPECT_NO_PAD, &one,
				sizeof(one)));
	for (n = 0; n < 60; n++) {
		ASSERT_TRUE(put_padded(&s, n % 3 == 2 ? TYPE_ALERT : TYPE_DATA,
				       "ab", 2, n % 3 == 1));
		ASSERT_TRUE(flush(&s));
		ASSERT_EQ(2, recv_type(s.b, &type, in, sizeof(in), 0));
	}
	if (!nic_wanted()) {
		EXPECT_EQ(retry + 40, counter("TlsDecryptRetry"));
	}
	EXPECT_EQ(violation + 20, counter("TlsRxNoPadViolation"));
	stream_close(&s);
}

TEST_HARNESS_MAIN
