// SPDX-License-Identifier: GPL-2.0
/*
 * What becomes one record: MSG_MORE and all that ends it, calls that stop half
 * way. Looked at from the wire.
 */

#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "tls_test.h"
#include "wire.h"

#include <sys/mman.h>

FIXTURE(more)
{
	int a;			/* sends TLS */
	struct wire w;		/* takes it apart */
	unsigned int pos;	/* number of the next byte to send */
};

FIXTURE_VARIANT(more)
{
	uint16_t version, cipher;
};

FIXTURE_VARIANT_ADD(more, tls12_gcm)
{
	.version = TLS_1_2_VERSION, .cipher = TLS_CIPHER_AES_GCM_128,
};

FIXTURE_VARIANT_ADD(more, tls13_gcm)
{
	.version = TLS_1_3_VERSION, .cipher = TLS_CIPHER_AES_GCM_128,
};

FIXTURE_VARIANT_ADD(more, tls12_chacha)
{
	.version = TLS_1_2_VERSION, .cipher = TLS_CIPHER_CHACHA20_POLY1305,
};

FIXTURE_SETUP(more)
{
	signal(SIGPIPE, SIG_IGN);
	self->pos = 0;
	ASSERT_EQ(0, wire_pair(&self->w, &self->a, variant->version,
			       variant->cipher));
}

FIXTURE_TEARDOWN(more)
{
	close(self->a);
	wire_close(&self->w);
}

#define PUT(n, flags) put(self->a, &self->pos, n, flags)
#define PUT_TYPE(type, n) put_type(self->a, &self->pos, type, n)
#define WIRE(type, n) ASSERT_EQ(0, wire_expect(&self->w, type, n))
#define DATA(n) WIRE(TYPE_DATA, n)
#define SILENT() ASSERT_TRUE(wire_silent(&self->w, self->a))

/* Three pieces, and nothing leaves. */
#define CHAIN() do {							\
	ASSERT_EQ(10, PUT(10, MSG_MORE));				\
	ASSERT_EQ(1, PUT(1, MSG_MORE));					\
	ASSERT_EQ(200, PUT(200, MSG_MORE));				\
	SILENT();							\
} while (0)
#define CHAIN_LEN 211

/* ---- what ends a chain of MSG_MORE ---- */

TEST_F(more, chain_ends_with_a_send_or_msg_eor)
{
	CHAIN();
	ASSERT_EQ(5, PUT(5, 0));
	DATA(CHAIN_LEN + 5);
	CHAIN();
	ASSERT_EQ(5, PUT(5, MSG_EOR));
	DATA(CHAIN_LEN + 5);
	SILENT();
}

TEST_F(more, chain_ends_with_a_call_of_no_bytes)
{
	struct iovec none[3] = {};
	struct msghdr msg = {};

	CHAIN();
	EXPECT_EQ(0, send(self->a, "", 0, MSG_MORE));
	SILENT();
	EXPECT_EQ(0, send(self->a, "", 0, 0));
	DATA(CHAIN_LEN);
	CHAIN();
	EXPECT_EQ(0, send(self->a, "", 0, MSG_EOR));
	DATA(CHAIN_LEN);
	CHAIN();
	EXPECT_EQ(0, sendmsg(self->a, &msg, MSG_MORE));
	SILENT();
	EXPECT_EQ(0, sendmsg(self->a, &msg, 0));
	DATA(CHAIN_LEN);
	msg.msg_iov = none;
	msg.msg_iovlen = 3;
	CHAIN();
	EXPECT_EQ(0, sendmsg(self->a, &msg, 0));
	DATA(CHAIN_LEN);
	SILENT();
}

TEST_F(more, chain_ends_with_a_control_record)
{
	CHAIN();
	ASSERT_EQ(2, PUT_TYPE(TYPE_ALERT, 2));
	DATA(CHAIN_LEN);
	WIRE(TYPE_ALERT, 2);
	CHAIN();
	ASSERT_EQ(RECORD_MAX + 9, PUT_TYPE(TYPE_HANDSHAKE, RECORD_MAX + 9));
	DATA(CHAIN_LEN);
	WIRE(TYPE_HANDSHAKE, RECORD_MAX);
	WIRE(TYPE_HANDSHAKE, 9);
	/* A data record may be asked for by its type as well. */
	CHAIN();
	ASSERT_EQ(7, PUT_TYPE(TYPE_DATA, 7));
	DATA(CHAIN_LEN + 7);
	SILENT();
}

TEST_F(more, chain_goes_on_with_sendfile_and_ends_with_it)
{
	off_t from = 3;
	int fd;

	CHAIN();
	fd = file_of(self->pos - 3, 6000);
	ASSERT_LE(0, fd);
	ASSERT_EQ(5000, sendfile(self->a, fd, &from, 5000));
	EXPECT_EQ(5003, from);
	self->pos += 5000;
	DATA(CHAIN_LEN + 5000);
	close(fd);

	/* The file ends before the count does: no more will come. */
	CHAIN();
	fd = file_of(self->pos, 6000);
	ASSERT_LE(0, fd);
	ASSERT_EQ(6000, sendfile(self->a, fd, (off_t[]){ 0 }, 100000));
	self->pos += 6000;
	DATA(CHAIN_LEN + 6000);
	close(fd);

	/* Through the full size of a record. */
	CHAIN();
	fd = file_of(self->pos, 50000);
	ASSERT_LE(0, fd);
	ASSERT_EQ(50000, sendfile(self->a, fd, (off_t[]){ 0 }, 50000));
	self->pos += 50000;
	DATA(RECORD_MAX);
	DATA(RECORD_MAX);
	DATA(RECORD_MAX);
	DATA(CHAIN_LEN + 50000 - 3 * RECORD_MAX);
	SILENT();
	close(fd);
}

TEST_F(more, sendfile_of_nothing_sends_nothing)
{
	int fd = file_of(self->pos, 100);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, sendfile(self->a, fd, (off_t[]){ 0 }, 0));
	EXPECT_EQ(0, sendfile(self->a, fd, (off_t[]){ 100 }, 100));
	EXPECT_EQ(0, sendfile(self->a, fd, (off_t[]){ 5000 }, 100));
	SILENT();
	ASSERT_EQ(1, PUT(1, 0));
	DATA(1);
	close(fd);
}

TEST_F(more, chain_goes_on_with_splice_until_it_has_no_more)
{
	int p[2];

	ASSERT_EQ(0, pipe(p));
	CHAIN();
	ASSERT_EQ(3000, write(p[1], next(self->pos, 3000), 3000));
	ASSERT_EQ(1000, splice(p[0], NULL, self->a, NULL, 1000, SPLICE_F_MORE));
	SILENT();
	ASSERT_EQ(1000, splice(p[0], NULL, self->a, NULL, 1000, SPLICE_F_MORE));
	SILENT();
	ASSERT_EQ(1000, splice(p[0], NULL, self->a, NULL, 1000, 0));
	self->pos += 3000;
	DATA(CHAIN_LEN + 3000);

	/* The pipe holds less than what is asked for. */
	CHAIN();
	ASSERT_EQ(10, write(p[1], next(self->pos, 10), 10));
	ASSERT_EQ(10, splice(p[0], NULL, self->a, NULL, 1000, 0));
	self->pos += 10;
	DATA(CHAIN_LEN + 10);
	SILENT();
	close(p[0]);
	close(p[1]);
}

TEST_F(more, chain_ends_with_close)
{
	CHAIN();
	close(self->a);
	self->a = -1;
	DATA(CHAIN_LEN);
	EXPECT_EQ(0, wire_next(&self->w));
}

TEST_F(more, chain_ends_with_shutdown_of_writing)
{
	CHAIN();
	/* Reading ends alone. */
	EXPECT_EQ(0, shutdown(self->a, SHUT_RD));
	SILENT();
	ASSERT_EQ(1, PUT(1, MSG_MORE));
	EXPECT_EQ(0, shutdown(self->a, SHUT_WR));
	DATA(CHAIN_LEN + 1);
	EXPECT_EQ(0, wire_next(&self->w));
	EXPECT_EQ(-1, PUT(1, MSG_MORE));
	EXPECT_EQ(EPIPE, errno);
}

TEST_F(more, chain_ends_with_shutdown_of_both)
{
	CHAIN();
	EXPECT_EQ(0, shutdown(self->a, SHUT_RDWR));
	DATA(CHAIN_LEN);
	EXPECT_EQ(0, wire_next(&self->w));
}

TEST_F(more, chain_ends_with_the_key_that_it_began_with)
{
	union keys k;

	if (variant->version == TLS_1_2_VERSION) {
		/* There is one key for life, and asking disturbs nothing. */
		CHAIN();
		ASSERT_EQ(-1, set_key(self->a, TLS_TX, variant->version,
				      variant->cipher, 9));
		EXPECT_EQ(EBUSY, errno);
		SILENT();
		ASSERT_EQ(1, PUT(1, 0));
		DATA(CHAIN_LEN + 1);
		return;
	}

	CHAIN();
	/* A key that cannot be installed disturbs nothing either. */
	EXPECT_EQ(-1, set_key(self->a, TLS_TX, variant->version,
			      TLS_CIPHER_AES_GCM_256, 9));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, setsockopt(self->a, SOL_TLS, TLS_TX, NULL, 40));
	EXPECT_EQ(EFAULT, errno);
	SILENT();
	ASSERT_EQ(1, PUT(1, MSG_MORE));
	ASSERT_EQ(0, set_key(self->a, TLS_TX, variant->version,
			     variant->cipher, 9));
	DATA(CHAIN_LEN + 1);
	make_keys(&k, variant->version, variant->cipher, 9);
	ASSERT_EQ(0, wire_key(&self->w, &k, 0));
	ASSERT_EQ(3, PUT(3, 0));
	DATA(3);
	SILENT();
}

TEST_F(more, limit_of_a_record_cannot_change_within_it)
{
	uint16_t most = 100;
	socklen_t len = sizeof(most);

	CHAIN();
	EXPECT_EQ(-1, setsockopt(self->a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN,
				 &most, len));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_EQ(0, getsockopt(self->a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN,
				&most, &len));
	EXPECT_EQ(RECORD_MAX, most);
	SILENT();
	ASSERT_EQ(500, PUT(500, 0));
	DATA(CHAIN_LEN + 500);

	most = 100;
	EXPECT_EQ(0, setsockopt(self->a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN,
				&most, len));
	ASSERT_EQ(99, PUT(99, MSG_MORE));
	SILENT();
	ASSERT_EQ(1, PUT(1, MSG_MORE));
	DATA(100);
	/* A record that is full is not open. */
	EXPECT_EQ(0, setsockopt(self->a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN,
				&most, len));
	SILENT();
}

TEST_F(more, call_that_took_nothing_opens_no_record)
{
	uint16_t most = 100;

	EXPECT_EQ(-1, send(self->a, NULL, 100, MSG_MORE));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, send(self->a, "", 0, MSG_MORE));
	ASSERT_EQ(0, setsockopt(self->a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN,
				&most, sizeof(most)));
	ASSERT_EQ(101, PUT(101, MSG_MORE));
	DATA(100);
	ASSERT_EQ(1, PUT(1, 0));
	DATA(2);
}

/* @len bytes that can be read, and none behind them; until the next call. */
static unsigned char *before_a_hole(unsigned int pos, size_t len)
{
	static unsigned char *hole;
	const size_t room = 1 << 17;

	if (!hole) {
		void *at = mmap(NULL, room + 4096, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (at == MAP_FAILED || mprotect(at + room, 4096, PROT_NONE))
			return NULL;
		hole = at + room;
	}
	number(hole - len, len, pos);
	return hole - len;
}

TEST_F(more, chain_goes_on_after_unreadable_memory)
{
	unsigned char *at;
	ssize_t n;

	CHAIN();
	EXPECT_EQ(-1, send(self->a, NULL, 100, MSG_MORE));
	EXPECT_EQ(EFAULT, errno);
	SILENT();
	at = before_a_hole(self->pos, 50);
	ASSERT_NE(NULL, at);
	n = send(self->a, at, 100, MSG_MORE);
	ASSERT_LT(0, n);
	ASSERT_GE(50, n);
	self->pos += n;
	SILENT();
	ASSERT_EQ(1, PUT(1, 0));
	DATA(CHAIN_LEN + n + 1);

	/* Without MSG_MORE, what there is goes. */
	CHAIN();
	EXPECT_EQ(-1, send(self->a, NULL, 100, 0));
	EXPECT_EQ(EFAULT, errno);
	DATA(CHAIN_LEN);
	CHAIN();
	number(at, 50, self->pos);
	n = send(self->a, at, 100, 0);
	ASSERT_LT(0, n);
	ASSERT_GE(50, n);
	self->pos += n;
	DATA(CHAIN_LEN + n);
	SILENT();
	ASSERT_EQ(1, PUT(1, 0));
	DATA(1);
}

TEST_F(more, refused_flags_and_messages_leave_the_chain_alone)
{
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	CHAIN();
	EXPECT_EQ(-1, send(self->a, "x", 1, MSG_MORE | MSG_EOR));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, send(self->a, "x", 1, MSG_OOB));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(-1, send(self->a, "x", 1, MSG_ZEROCOPY | MSG_MORE));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(-1, send_type(self->a, TYPE_ALERT, "x", 1, MSG_MORE));
	EXPECT_EQ(EINVAL, errno);
	msg.msg_iov = NULL;
	EXPECT_EQ(-1, sendmsg(self->a, &msg, 0));
	EXPECT_EQ(EFAULT, errno);
	SILENT();
	ASSERT_EQ(1, PUT(1, 0));
	DATA(CHAIN_LEN + 1);
}

TEST_F(more, chain_of_every_length_around_the_limit)
{
	uint16_t most = 64;
	struct cuts *c = calloc(1, sizeof(*c));
	int len, i;

	ASSERT_EQ(0, setsockopt(self->a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN,
				&most, sizeof(most)));
	for (len = 0; len < 3 * 64 + 2; len++) {
		/* In three pieces, the last one ends it. */
		for (i = 0; i < 3; i++) {
			int n = i == 2 ? len - len / 2 - len / 3 :
				len / (2 + i);

			ASSERT_EQ(n, PUT(n, i < 2 ? MSG_MORE : 0));
		}
		cut(c, self->pos, TYPE_DATA);
		ASSERT_EQ(0, wire_follow(&self->w, c, most));
	}
	SILENT();
	free(c);
}

static void on_signal(int nr)
{
}

/* A signal at once, and again and again: the first may come too early. */
static void signals(bool on, int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };
	struct itimerval it = {};

	if (on) {
		it.it_value.tv_usec = 100000;
		it.it_interval.tv_usec = 100000;
	}
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
}

TEST_F_TIMEOUT(more, chain_goes_on_after_a_signal, 120)
{
	struct cuts *c = calloc(1, sizeof(*c));
	ssize_t n;

	CHAIN();
	signals(true, 0);
	/* More than all buffers hold, to a peer that does not read. */
	while ((n = PUT(sizeof(bytes), MSG_MORE)) == sizeof(bytes))
		;
	ASSERT_LT(0, n);
	/* Soon nothing is taken. */
	while (n > 0)
		n = PUT(sizeof(bytes), MSG_MORE);
	EXPECT_EQ(-1, n);
	EXPECT_EQ(EINTR, errno);
	signals(false, 0);
	cut(c, self->pos, TYPE_DATA);
	/* All that is full arrives, and the rest when the chain ends. */
	while (self->pos - self->w.pos >= RECORD_MAX) {
		ASSERT_EQ(1, wire_next(&self->w));
		ASSERT_EQ(0, wire_fits(&self->w, c, RECORD_MAX));
		ASSERT_EQ(RECORD_MAX, self->w.len);
	}
	c->n = 0;
	ASSERT_EQ(1, PUT(1, 0));
	cut(c, self->pos, TYPE_DATA);
	ASSERT_EQ(0, wire_follow(&self->w, c, RECORD_MAX));
	SILENT();
	free(c);
}

/* ---- unreadable memory in a vector ---- */

TEST_F_TIMEOUT(more, count_tells_what_arrives_before_unreadable_memory, 120)
{
	static const size_t lens[] = {
		1, 100, 4095, 4096, 4097, 8192, RECORD_MAX - 1, RECORD_MAX,
		RECORD_MAX + 1, 20000, 65535, 65536, 65537, 90000,
	};
	struct cuts *c = calloc(1, sizeof(*c));
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lens) * 3 * 2; i++) {
		int shape = i / 2 % 3, flags = i % 2 ? MSG_MORE : 0;
		size_t len = lens[i / 6];
		unsigned char *at = before_a_hole(self->pos, len);
		struct iovec iov[4] = {
			{ at, len }, { at + len, 100 }, { at, len },
		};
		struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };
		ssize_t n;

		ASSERT_NE(NULL, at);
		if (shape == 1) {
			/* The hole is in the midst of a piece. */
			iov[0].iov_len = len / 2;
			iov[1].iov_base = at + len / 2;
			iov[1].iov_len = len + 1;
		} else if (shape == 2) {
			iov[1].iov_base = NULL;
			iov[1].iov_len = 1;
		}
		n = sendmsg(self->a, &msg, flags);
		ASSERT_LT(0, n);
		ASSERT_GE(len, n);
		self->pos += n;
		if (flags)
			ASSERT_EQ(1, PUT(1, 0));
		cut(c, self->pos, TYPE_DATA);
		ASSERT_EQ(0, wire_follow(&self->w, c, RECORD_MAX))
			TH_LOG("%zu bytes, shape %d", len, shape);
	}
	SILENT();
	free(c);
}

/* ---- nothing is held back ---- */

/* Let the peer's window grow beyond all that a test has on its way. */
#define OPEN_WINDOW() do {						\
	int size_ = 1 << 23, i_;					\
									\
	ASSERT_EQ(0, setsockopt(self->w.fd, SOL_SOCKET, SO_RCVBUFFORCE,	\
				&size_, sizeof(size_)));		\
	for (i_ = 0; i_ < 40; i_++) {					\
		ASSERT_EQ(3 * RECORD_MAX, PUT(3 * RECORD_MAX, 0));	\
		DATA(RECORD_MAX);					\
		DATA(RECORD_MAX);					\
		DATA(RECORD_MAX);					\
	}								\
} while (0)

/*
 * What a call without MSG_MORE took is sent at once, or when the peer
 * acknowledges what is on its way: TCP does not sit on it with a timer.
 */
TEST_F_TIMEOUT(more, nothing_is_held_back_after_unreadable_memory, 240)
{
	static const int bufs[] = { 4608, 20000, 100000, 400000 };
	struct cuts *c = calloc(1, sizeof(*c));
	const uint16_t limits[] = { 500, 5000, RECORD_MAX };
	size_t i, len;

	OPEN_WINDOW();
	for (i = 0; i < ARRAY_SIZE(bufs) * 3; i++) {
		uint16_t limit = limits[i % 3];
		int buf = bufs[i / 3];

		ASSERT_EQ(0, setsockopt(self->a, SOL_SOCKET, SO_SNDBUF,
					&buf, sizeof(buf)));
		ASSERT_EQ(0, setsockopt(self->a, SOL_TLS,
					TLS_TX_MAX_PAYLOAD_LEN, &limit,
					sizeof(limit)));
		for (len = 700; len < 80000; len += len / 3) {
			unsigned char *at = before_a_hole(self->pos, len);
			ssize_t n;

			ASSERT_NE(NULL, at);
			n = send(self->a, at, len + 1, MSG_DONTWAIT);
			ASSERT_LT(0, n);
			ASSERT_FALSE(held_back(self->a))
				TH_LOG("%zd of %zu, buffer %d, records of %d",
				       n, len, buf, limit);
			self->pos += n;
			cut(c, self->pos, TYPE_DATA);
			ASSERT_EQ(0, wire_follow(&self->w, c, limit));
			ASSERT_TRUE(wire_silent(&self->w, self->a));
		}
	}
	free(c);
}

TEST_F_TIMEOUT(more, nothing_is_held_back_after_eagain, 240)
{
	static const int bufs[] = { 1, 4608, 20000, 100000, 400000 };
	struct cuts *c = calloc(1, sizeof(*c));
	const uint16_t limits[] = { 500, 5000, RECORD_MAX };
	size_t i, len;

	OPEN_WINDOW();
	for (i = 0; i < ARRAY_SIZE(bufs) * 3; i++) {
		uint16_t limit = limits[i % 3];
		int buf = bufs[i / 3];

		ASSERT_EQ(0, setsockopt(self->a, SOL_SOCKET, SO_SNDBUF,
					&buf, sizeof(buf)));
		ASSERT_EQ(0, setsockopt(self->a, SOL_TLS,
					TLS_TX_MAX_PAYLOAD_LEN, &limit,
					sizeof(limit)));
		for (len = 700; len < 200000; len += len / 2) {
			ssize_t n = PUT(len, MSG_DONTWAIT);

			ASSERT_LT(0, n);
			ASSERT_FALSE(held_back(self->a))
				TH_LOG("%zd of %zu, buffer %d, records of %d",
				       n, len, buf, limit);
			cut(c, self->pos, TYPE_DATA);
			ASSERT_EQ(0, wire_follow(&self->w, c, limit));
			ASSERT_TRUE(wire_silent(&self->w, self->a));
		}
	}
	free(c);
}

/* A reader that lets a writer fall asleep, then wakes it with little. */
TEST_F_TIMEOUT(more, nothing_is_held_back_after_a_signal_or_a_timeout, 240)
{
	struct timeval tv = { .tv_usec = 30000 }, never = {};
	struct cuts *c = calloc(1, sizeof(*c));
	uint16_t limit = 900;
	int small = 6000, round;

	ASSERT_EQ(0, setsockopt(self->a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN,
				&limit, sizeof(limit)));
	ASSERT_EQ(0, setsockopt(self->a, SOL_SOCKET, SO_SNDBUF, &small,
				sizeof(small)));
	ASSERT_EQ(0, setsockopt(self->w.fd, SOL_SOCKET, SO_RCVBUF, &small,
				sizeof(small)));
	for (round = 0; round < 6; round++) {
		bool timeout = round % 2;
		ssize_t n;

		ASSERT_EQ(0, setsockopt(self->a, SOL_SOCKET, SO_SNDTIMEO,
					timeout ? &tv : &never, sizeof(tv)));
		if (!timeout)
			signals(true, round % 4 ? SA_RESTART : 0);
		n = PUT(100000 + round, 0);
		signals(false, 0);
		ASSERT_LT(0, n);
		ASSERT_GT(100000, n);
		cut(c, self->pos, TYPE_DATA);
		ASSERT_EQ(0, wire_follow(&self->w, c, limit));
		/* The peer has it all and has room: none is left. */
		SILENT();
	}
	free(c);
}

TEST_HARNESS_MAIN
