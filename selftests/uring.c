// SPDX-License-Identifier: GPL-2.0
/*
 * io_uring: tests are named after the promises. Those of "uring" run on plain
 * TCP too.
 */

#include "../../kselftest_harness.h"
#include "tls_test.h"

#include <limits.h>
#include <liburing.h>
#include <sys/mman.h>

#define ENTRIES		128
#define PATIENCE	20

/* What has completed, by the number that was submitted. */
struct result {
	bool done;
	int res;
};

struct queue {
	struct io_uring ring;
	struct result results[ENTRIES];
};

static int queue_open(struct queue *q)
{
	memset(q, 0, sizeof(*q));
	return io_uring_queue_init(ENTRIES, &q->ring, 0);
}

/* The next entry to submit; @prepare is one of liburing's, without a prefix. */
#define SUBMIT(q, id, prepare, ...) ({					\
	struct io_uring_sqe *sqe_ = io_uring_get_sqe(&(q)->ring);	\
									\
	ASSERT_NE(NULL, sqe_);						\
	io_uring_prep_ ## prepare(sqe_, ##__VA_ARGS__);			\
	io_uring_sqe_set_data64(sqe_, id);				\
	(q)->results[id].done = false;					\
	sqe_;								\
})

/* The next completion, or NULL when none comes. */
static struct io_uring_cqe *next(struct queue *q)
{
	struct __kernel_timespec ts = { .tv_sec = PATIENCE };
	struct io_uring_cqe *cqe;

	io_uring_submit(&q->ring);
	return io_uring_wait_cqe_timeout(&q->ring, &cqe, &ts) ? NULL : cqe;
}

/* What became of @id; INT_MIN when it does not complete. */
static int wait_for(struct queue *q, unsigned int id)
{
	while (!q->results[id].done) {
		struct io_uring_cqe *cqe = next(q);

		if (!cqe)
			return INT_MIN;
		/* liburing's own time-out has another number. */
		if (cqe->user_data < ENTRIES) {
			q->results[cqe->user_data].done = true;
			q->results[cqe->user_data].res = cqe->res;
		}
		io_uring_cqe_seen(&q->ring, cqe);
	}
	return q->results[id].res;
}

/* Let the kernel do what it can; true: @id is not complete. */
static bool pending(struct queue *q, unsigned int id)
{
	struct __kernel_timespec ts = { .tv_nsec = 30000000 };
	struct io_uring_cqe *cqe;

	io_uring_submit(&q->ring);
	while (!io_uring_wait_cqe_timeout(&q->ring, &cqe, &ts)) {
		if (cqe->user_data < ENTRIES) {
			q->results[cqe->user_data].done = true;
			q->results[cqe->user_data].res = cqe->res;
		}
		io_uring_cqe_seen(&q->ring, cqe);
	}
	return !q->results[id].done;
}

FIXTURE(uring)
{
	int a, b;
	struct queue q;
};

FIXTURE_VARIANT(uring)
{
	uint16_t version;
};

FIXTURE_VARIANT_ADD(uring, plain)
{
	.version = 0,
};

FIXTURE_VARIANT_ADD(uring, tls12)
{
	.version = TLS_1_2_VERSION,
};

FIXTURE_VARIANT_ADD(uring, tls13)
{
	.version = TLS_1_3_VERSION,
};

static int pair(uint16_t version, int *a, int *b)
{
	return version ? tls_pair(version, TLS_CIPHER_AES_GCM_128, a, b) :
			 tcp_pair(AF_INET, a, b);
}

FIXTURE_SETUP(uring)
{
	ASSERT_EQ(0, queue_open(&self->q));
	ASSERT_EQ(0, pair(variant->version, &self->a, &self->b));
}

FIXTURE_TEARDOWN(uring)
{
	io_uring_queue_exit(&self->q.ring);
	close(self->a);
	close(self->b);
}

TEST_F(uring, recv_waits_for_what_a_send_brings)
{
	struct queue *q = &self->q;
	char in[16];
	int i;

	for (i = 0; i < 3; i++) {
		SUBMIT(q, 1, recv, self->b, in, sizeof(in), 0);
		ASSERT_TRUE(pending(q, 1));
		SUBMIT(q, 2, send, self->a, "hello", 5, 0);
		EXPECT_EQ(5, wait_for(q, 2));
		EXPECT_EQ(5, wait_for(q, 1));
		EXPECT_EQ(0, memcmp(in, "hello", 5));
	}
	/* And looks, and takes all. */
	SUBMIT(q, 1, send, self->a, "hello", 5, MSG_MORE);
	SUBMIT(q, 2, send, self->a, " you", 4, 0);
	EXPECT_EQ(5, wait_for(q, 1));
	EXPECT_EQ(4, wait_for(q, 2));
	SUBMIT(q, 1, recv, self->b, in, 9, MSG_PEEK | MSG_WAITALL);
	EXPECT_EQ(9, wait_for(q, 1));
	SUBMIT(q, 1, recv, self->b, in, 12, MSG_WAITALL);
	ASSERT_TRUE(pending(q, 1));
	SUBMIT(q, 2, send, self->a, "all", 3, 0);
	EXPECT_EQ(12, wait_for(q, 1));
	EXPECT_EQ(0, memcmp(in, "hello youall", 12));
}

TEST_F(uring, read_and_write_with_vectors_and_fixed_buffers)
{
	static unsigned char out[40000], in[40000];
	static const size_t lens[] = { 1, 100, 4096, 5000, RECORD_MAX, 30000 };
	struct iovec reg[2] = { { out, sizeof(out) }, { in, sizeof(in) } };
	struct iovec outv[3], inv[3];
	struct queue *q = &self->q;
	size_t i, len, got;

	ASSERT_EQ(0, io_uring_register_buffers(&q->ring, reg, 2));
	for (i = 0; i < 6; i++) {
		len = lens[i];
		fill(out + 3, len, i);
		memset(in, 0, sizeof(in));
		SUBMIT(q, 1, write_fixed, self->a, out + 3, len, 0, 0);
		ASSERT_EQ(len, wait_for(q, 1));
		for (got = 0; got < len; got += q->results[2].res) {
			SUBMIT(q, 2, read_fixed, self->b, in + 5 + got,
			       len - got, 0, 1);
			ASSERT_LT(0, wait_for(q, 2));
		}
		ASSERT_EQ(0, memcmp(in + 5, out + 3, len));
		EXPECT_EQ(0, in[4]);
		EXPECT_EQ(0, in[5 + len]);

		outv[0].iov_base = out + 3;
		outv[0].iov_len = len / 3;
		outv[1].iov_base = out;
		outv[1].iov_len = 0;
		outv[2].iov_base = out + 3 + len / 3;
		outv[2].iov_len = len - len / 3;
		SUBMIT(q, 1, writev, self->a, outv, 3, 0);
		ASSERT_EQ(len, wait_for(q, 1));
		memset(in, 0, sizeof(in));
		for (got = 0; got < len; got += q->results[2].res) {
			inv[0].iov_base = in + 5 + got;
			inv[0].iov_len = (len - got) / 2;
			inv[1].iov_base = in + 5 + got + (len - got) / 2;
			inv[1].iov_len = len - got - (len - got) / 2;
			SUBMIT(q, 2, readv, self->b, inv, 2, 0);
			ASSERT_LT(0, wait_for(q, 2));
		}
		ASSERT_EQ(0, memcmp(in + 5, out + 3, len));
	}
}

/* Sends and receives in flight at once, some of them in worker threads. */
TEST_F(uring, many_in_flight_lose_and_repeat_nothing)
{
	enum { OPS = 32, TOKENS = 8, ROUNDS = 12 };
	static uint64_t out[OPS][TOKENS], in[OPS][TOKENS];
	static unsigned char taken[ROUNDS * OPS * TOKENS];
	struct queue *q = &self->q;
	size_t round, i, k, got, sent;
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;

	for (i = 0; i < OPS; i++) {
		sqe = SUBMIT(q, i, recv, self->b, in[i], sizeof(in[i]), 0);
		if (i % 3 == 0)
			sqe->flags |= IOSQE_ASYNC;
	}
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < OPS; i++) {
			for (k = 0; k < TOKENS; k++)
				out[i][k] = (round * OPS + i) * TOKENS + k;
			sqe = SUBMIT(q, OPS + i, send, self->a, out[i],
				     sizeof(out[i]), 0);
			if (i % 2)
				sqe->flags |= IOSQE_ASYNC;
		}
		for (got = 0, sent = 0; got < sizeof(out) || sent < OPS; ) {
			cqe = next(q);
			ASSERT_NE(NULL, cqe);
			i = cqe->user_data;
			if (i < OPS) {
				ASSERT_LT(0, cqe->res);
				ASSERT_EQ(0, cqe->res % 8);
				got += cqe->res;
				for (k = 0; k < (size_t)cqe->res / 8; k++) {
					ASSERT_GT(sizeof(taken), in[i][k]);
					taken[in[i][k]]++;
				}
				sqe = SUBMIT(q, i, recv, self->b, in[i],
					     sizeof(in[i]), 0);
				if (i % 3 == round % 3)
					sqe->flags |= IOSQE_ASYNC;
			} else if (i < 2 * OPS) {
				ASSERT_EQ(sizeof(out[0]), cqe->res);
				sent++;
			}
			io_uring_cqe_seen(&q->ring, cqe);
		}
	}
	shutdown(self->a, SHUT_WR);
	for (i = 0; i < OPS; i++)
		ASSERT_EQ(0, wait_for(q, i));
	for (i = 0; i < sizeof(taken); i++)
		ASSERT_EQ(1, taken[i]);
}

TEST_F_TIMEOUT(uring, long_stream_through_full_buffers, 120)
{
	enum { TOTAL = 1500000, PIECE = 40000 };
	static unsigned char out[PIECE], in[PIECE], want[PIECE];
	size_t sent = 0, got = 0;
	struct queue *q = &self->q;
	bool sending = false, receiving = false;
	int small = 20000;

	setsockopt(self->a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(self->b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	while (got < TOTAL) {
		struct io_uring_cqe *cqe;

		if (!sending && sent < TOTAL) {
			size_t len = 1 + sent % PIECE;

			if (len > TOTAL - sent)
				len = TOTAL - sent;
			fill(out, len, sent);
			SUBMIT(q, 1, send, self->a, out, len, 0);
			sending = true;
		}
		if (!receiving) {
			SUBMIT(q, 2, recv, self->b, in, 1 + got % PIECE, 0);
			receiving = true;
		}
		cqe = next(q);
		ASSERT_NE(NULL, cqe);
		if (cqe->user_data == 1) {
			ASSERT_LT(0, cqe->res);
			sent += cqe->res;
			sending = false;
		} else if (cqe->user_data == 2) {
			ASSERT_LT(0, cqe->res);
			fill(want, cqe->res, got);
			ASSERT_EQ(0, memcmp(in, want, cqe->res));
			got += cqe->res;
			receiving = false;
		}
		io_uring_cqe_seen(&q->ring, cqe);
	}
	EXPECT_EQ(TOTAL, sent);
}

/* Buffers that the kernel chooses. */
#define BUFS		16
#define BUF_LEN		256
#define GROUP		7

struct chosen {
	struct io_uring_buf_ring *ring;
	unsigned char (*bufs)[BUF_LEN];
};

static bool choose_from(struct queue *q, struct chosen *c, int count)
{
	struct io_uring_buf_reg reg = {
		.ring_entries = BUFS, .bgid = GROUP,
	};
	char *mem = mmap(NULL, 16384, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i;

	if (mem == MAP_FAILED)
		return false;
	c->ring = (void *)mem;
	c->bufs = (void *)(mem + 4096);
	reg.ring_addr = (uintptr_t)mem;
	if (io_uring_register_buf_ring(&q->ring, &reg, 0))
		return false;
	io_uring_buf_ring_init(c->ring);
	for (i = 0; i < count; i++)
		io_uring_buf_ring_add(c->ring, c->bufs[i], BUF_LEN, i,
				      io_uring_buf_ring_mask(BUFS), i);
	io_uring_buf_ring_advance(c->ring, count);
	return true;
}

static void give_back(struct chosen *c, int bid)
{
	io_uring_buf_ring_add(c->ring, c->bufs[bid], BUF_LEN, bid,
			      io_uring_buf_ring_mask(BUFS), 0);
	io_uring_buf_ring_advance(c->ring, 1);
}

TEST_F(uring, recv_into_a_buffer_that_the_kernel_chooses)
{
	struct queue *q = &self->q;
	unsigned char out[BUF_LEN];
	struct chosen c;
	int i;

	ASSERT_TRUE(choose_from(q, &c, BUFS));
	for (i = 1; i < 100; i++) {
		struct io_uring_cqe *cqe;
		struct io_uring_sqe *sqe;
		int bid;

		sqe = SUBMIT(q, 1, recv, self->b, NULL, BUF_LEN, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = GROUP;
		if (i % 2)
			ASSERT_TRUE(pending(q, 1));
		fill(out, i, i);
		ASSERT_EQ(i, send(self->a, out, i, 0));
		cqe = next(q);
		ASSERT_NE(NULL, cqe);
		ASSERT_EQ(1, cqe->user_data);
		ASSERT_EQ(i, cqe->res);
		ASSERT_TRUE(cqe->flags & IORING_CQE_F_BUFFER);
		bid = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
		ASSERT_EQ(0, memcmp(c.bufs[bid], out, i));
		io_uring_cqe_seen(&q->ring, cqe);
		give_back(&c, bid);
	}
}

TEST_F_TIMEOUT(uring, one_recv_gives_the_whole_stream, 120)
{
	enum { TOTAL = 100000 };
	static unsigned char out[3000], want[BUF_LEN];
	struct queue *q = &self->q;
	struct io_uring_sqe *sqe;
	size_t got = 0, at = 0;
	bool armed = false, end = false;
	struct chosen c;
	pid_t pid;

	ASSERT_TRUE(choose_from(q, &c, BUFS));
	pid = fork();
	if (!pid) {
		while (at < TOTAL) {
			size_t len = 1 + at * 7 % sizeof(out);

			if (len > TOTAL - at)
				len = TOTAL - at;
			fill(out, len, at);
			if (send(self->a, out, len, 0) != (ssize_t)len)
				_exit(1);
			at += len;
			if (at % 5 == 0)
				usleep(1000);
		}
		shutdown(self->a, SHUT_WR);
		_exit(0);
	}
	while (!end) {
		struct io_uring_cqe *cqe;

		if (!armed) {
			sqe = SUBMIT(q, 1, recv_multishot, self->b, NULL, 0, 0);
			sqe->flags |= IOSQE_BUFFER_SELECT;
			sqe->buf_group = GROUP;
			armed = true;
		}
		cqe = next(q);
		ASSERT_NE(NULL, cqe);
		if (cqe->user_data == 1) {
			armed = cqe->flags & IORING_CQE_F_MORE;
			if (cqe->res == -ENOBUFS) {
				ASSERT_FALSE(armed);
			} else if (!cqe->res) {
				end = true;
			} else {
				int bid = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

				ASSERT_LT(0, cqe->res);
				fill(want, cqe->res, got);
				ASSERT_EQ(0, memcmp(c.bufs[bid], want,
						    cqe->res));
				got += cqe->res;
				give_back(&c, bid);
			}
		}
		io_uring_cqe_seen(&q->ring, cqe);
	}
	EXPECT_EQ(TOTAL, got);
	waitpid(pid, NULL, 0);
}

TEST_F(uring, splice_carries_both_ways)
{
	static unsigned char out[50000], in[50000];
	struct queue *q = &self->q;
	size_t sent = 0, moved = 0, got = 0;
	int p[2], r[2];
	ssize_t n;

	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(0, pipe(r));
	fcntl(r[0], F_SETFL, O_NONBLOCK);
	fill(out, sizeof(out), 3);
	while (got < sizeof(in)) {
		if (sent == moved && sent < sizeof(out)) {
			n = sizeof(out) - sent < 10000 ? sizeof(out) - sent :
			    10000;
			ASSERT_EQ(n, write(p[1], out + sent, n));
			sent += n;
		}
		if (moved < sent) {
			SUBMIT(q, 1, splice, p[0], -1, self->a, -1,
			       sent - moved, 0);
			ASSERT_LT(0, wait_for(q, 1));
			moved += q->results[1].res;
		}
		SUBMIT(q, 2, splice, self->b, -1, r[1], -1, 7000, 0);
		ASSERT_LT(0, wait_for(q, 2));
		while ((n = read(r[0], in + got, sizeof(in) - got)) > 0)
			got += n;
	}
	EXPECT_EQ(0, memcmp(in, out, sizeof(in)));

	/* One that waits is cancelled, and has lost nothing. */
	SUBMIT(q, 1, splice, self->b, -1, r[1], -1, 100, 0);
	ASSERT_TRUE(pending(q, 1));
	SUBMIT(q, 2, cancel64, 1, 0);
	ASSERT_NE(INT_MIN, wait_for(q, 2));
	ASSERT_GT(0, wait_for(q, 1));
	ASSERT_EQ(3, send(self->a, "abc", 3, 0));
	SUBMIT(q, 1, splice, self->b, -1, r[1], -1, 100, 0);
	ASSERT_EQ(3, wait_for(q, 1));
	ASSERT_EQ(3, read(r[0], in, 10));
	EXPECT_EQ(0, memcmp(in, "abc", 3));
	close(p[0]);
	close(p[1]);
	close(r[0]);
	close(r[1]);
}

TEST_F(uring, poll_completes_when_there_is_something_to_do)
{
	static char out[65536], in[65536];
	struct queue *q = &self->q;
	int i;

	SUBMIT(q, 1, poll_add, self->b, POLLIN);
	ASSERT_TRUE(pending(q, 1));
	ASSERT_EQ(3, send(self->a, "abc", 3, 0));
	EXPECT_EQ(POLLIN, wait_for(q, 1));
	SUBMIT(q, 1, poll_add, self->b, POLLIN);
	EXPECT_EQ(POLLIN, wait_for(q, 1));
	ASSERT_EQ(3, recv(self->b, in, sizeof(in), 0));
	SUBMIT(q, 1, poll_add, self->b, POLLIN);
	ASSERT_TRUE(pending(q, 1));
	SUBMIT(q, 2, cancel64, 1, 0);
	EXPECT_EQ(0, wait_for(q, 2));
	EXPECT_EQ(-ECANCELED, wait_for(q, 1));

	/* Until TCP takes no more, whatever has been acknowledged. */
	do {
		for (i = 0; send(self->a, out, sizeof(out), MSG_DONTWAIT) > 0; )
			i++;
		usleep(50000);
	} while (i);
	SUBMIT(q, 1, poll_add, self->a, POLLOUT);
	ASSERT_TRUE(pending(q, 1));
	SUBMIT(q, 2, send, self->a, "more", 4, 0);
	/* A send may go before poll says so: that wants a third of the room. */
	for (i = 0; i < 1000 && (pending(q, 2) || pending(q, 1)); i++)
		while (recv(self->b, in, sizeof(in), MSG_DONTWAIT) > 0)
			;
	EXPECT_EQ(POLLOUT, wait_for(q, 1));
	EXPECT_EQ(4, wait_for(q, 2));
}

TEST_F(uring, cancelled_recv_has_taken_nothing)
{
	struct queue *q = &self->q;
	char in[8][16];
	int i;

	for (i = 0; i < 8; i++) {
		struct io_uring_sqe *sqe;

		sqe = SUBMIT(q, i, recv, self->b, in[i], 16, 0);
		if (i % 2)
			sqe->flags |= IOSQE_ASYNC;
	}
	ASSERT_TRUE(pending(q, 0));
	/* By number, and then all of the socket. */
	SUBMIT(q, 20, cancel64, 3, 0);
	ASSERT_NE(INT_MIN, wait_for(q, 20));
	EXPECT_EQ(-ECANCELED, wait_for(q, 3));
	SUBMIT(q, 20, cancel_fd, self->b, IORING_ASYNC_CANCEL_ALL);
	ASSERT_NE(INT_MIN, wait_for(q, 20));
	for (i = 0; i < 8; i++)
		EXPECT_EQ(-ECANCELED, wait_for(q, i));
	SUBMIT(q, 1, recv, self->b, in[1], 16, 0);
	ASSERT_EQ(5, send(self->a, "hello", 5, 0));
	EXPECT_EQ(5, wait_for(q, 1));
	EXPECT_EQ(0, memcmp(in[1], "hello", 5));
}

TEST_F(uring, cancel_races_with_data_and_every_byte_is_read_once)
{
	struct queue *q = &self->q;
	unsigned char in[16];
	int i, n, cancelled = 0;

	for (i = 0; i < 300; i++) {
		struct io_uring_sqe *sqe;
		unsigned char byte = i;

		sqe = SUBMIT(q, 1, recv, self->b, in, sizeof(in), 0);
		if (i % 3 == 0)
			sqe->flags |= IOSQE_ASYNC;
		io_uring_submit(&q->ring);
		/* Before, within or after. */
		SUBMIT(q, 2, cancel64, 1, 0);
		if (i % 5 == 1)
			io_uring_submit(&q->ring);
		SUBMIT(q, 3, send, self->a, &byte, 1, 0);
		ASSERT_EQ(1, wait_for(q, 3));
		ASSERT_NE(INT_MIN, wait_for(q, 2));
		n = wait_for(q, 1);
		if (n == -ECANCELED || n == -EINTR) {
			cancelled++;
			n = recv(self->b, in, sizeof(in), 0);
		}
		ASSERT_EQ(1, n);
		ASSERT_EQ(byte, in[0]);
	}
	EXPECT_LT(0, cancelled);
}

TEST_F(uring, linked_timeout_ends_a_recv)
{
	struct __kernel_timespec ts = { .tv_nsec = 20000000 };
	struct queue *q = &self->q;
	struct io_uring_sqe *sqe;
	char in[16];

	sqe = SUBMIT(q, 1, recv, self->b, in, sizeof(in), 0);
	sqe->flags |= IOSQE_IO_LINK;
	SUBMIT(q, 2, link_timeout, &ts, 0);
	EXPECT_EQ(-ECANCELED, wait_for(q, 1));
	EXPECT_EQ(-ETIME, wait_for(q, 2));
	ASSERT_EQ(5, send(self->a, "hello", 5, 0));
	EXPECT_EQ(5, recv(self->b, in, sizeof(in), 0));
}

TEST_F(uring, linked_requests_run_in_order)
{
	static unsigned char out[20][3000], in[60000], want[60000];
	struct queue *q = &self->q;
	struct io_uring_sqe *sqe;
	int i;

	fill(want, sizeof(want), 5);
	memcpy(out, want, sizeof(want));
	for (i = 0; i < 20; i++) {
		sqe = SUBMIT(q, i, send, self->a, out[i], sizeof(out[i]), 0);
		sqe->flags |= IOSQE_IO_LINK;
		if (i % 4 == 3)
			sqe->flags |= IOSQE_ASYNC;
	}
	SUBMIT(q, 20, recv, self->b, in, sizeof(in), MSG_WAITALL);
	EXPECT_EQ(sizeof(in), wait_for(q, 20));
	for (i = 0; i < 20; i++)
		EXPECT_EQ(sizeof(out[i]), wait_for(q, i));
	EXPECT_EQ(0, memcmp(in, want, sizeof(in)));
}

TEST_F(uring, end_and_reset_complete_all_that_wait)
{
	struct linger now = { .l_onoff = 1 };
	struct queue *q = &self->q;
	char in[4][16];
	int i;

	for (i = 0; i < 4; i++)
		SUBMIT(q, i, recv, self->b, in[i], 16, 0);
	SUBMIT(q, 4, poll_add, self->b, POLLIN | POLLRDHUP);
	ASSERT_TRUE(pending(q, 0));
	shutdown(self->a, SHUT_WR);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, wait_for(q, i));
	EXPECT_EQ(POLLIN | POLLRDHUP, wait_for(q, 4));
	close(self->a);
	close(self->b);

	ASSERT_EQ(0, pair(variant->version, &self->a, &self->b));
	for (i = 0; i < 4; i++)
		SUBMIT(q, i, recv, self->b, in[i], 16, 0);
	ASSERT_TRUE(pending(q, 0));
	setsockopt(self->a, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(self->a);
	self->a = -1;
	/* One is told of the error, the others of the end. */
	for (i = 0; i < 4; i++) {
		int res = wait_for(q, i);

		if (res)
			EXPECT_EQ(-ECONNRESET, res);
	}
}

TEST_F(uring, sockets_and_ring_go_while_requests_wait)
{
	static char out[65536];
	char in[4][16], text[16];
	struct queue *q = &self->q;
	int a, b, i, round;

	for (round = 0; round < 4; round++) {
		struct queue own;

		ASSERT_EQ(0, pair(variant->version, &a, &b));
		ASSERT_EQ(0, queue_open(&own));
		for (i = 0; i < 4; i++) {
			struct io_uring_sqe *sqe;

			sqe = SUBMIT(&own, i, recv, b, in[i], 16, 0);
			if (i % 2)
				sqe->flags |= IOSQE_ASYNC;
		}
		while (send(a, out, sizeof(out), MSG_DONTWAIT) > 0)
			if (round % 2 == 0)
				break;
		SUBMIT(&own, 4, send, a, out, sizeof(out), 0);
		io_uring_submit(&own.ring);
		if (round < 2) {
			close(a);
			close(b);
			io_uring_queue_exit(&own.ring);
		} else {
			io_uring_queue_exit(&own.ring);
			close(a);
			close(b);
		}
	}
	/* The descriptor goes, the request keeps the socket. */
	SUBMIT(q, 1, recv, self->b, text, sizeof(text), 0);
	ASSERT_TRUE(pending(q, 1));
	SUBMIT(q, 2, close, self->b);
	EXPECT_EQ(0, wait_for(q, 2));
	self->b = -1;
	ASSERT_EQ(5, send(self->a, "hello", 5, 0));
	EXPECT_EQ(5, wait_for(q, 1));
	EXPECT_EQ(0, memcmp(text, "hello", 5));
}

/* ---- what only TLS has ---- */

FIXTURE(uring_tls)
{
	int a, b;		/* @a makes records by hand, @b reads them */
	struct queue q;
	uint64_t seq;
	unsigned char rec[4096];
};

FIXTURE_VARIANT(uring_tls)
{
	uint16_t version;
};

FIXTURE_VARIANT_ADD(uring_tls, tls12)
{
	.version = TLS_1_2_VERSION,
};

FIXTURE_VARIANT_ADD(uring_tls, tls13)
{
	.version = TLS_1_3_VERSION,
};

FIXTURE_SETUP(uring_tls)
{
	ASSERT_EQ(0, queue_open(&self->q));
	ASSERT_EQ(0, raw_pair(variant->version, TLS_CIPHER_AES_GCM_128,
			      &self->a, &self->b));
}

FIXTURE_TEARDOWN(uring_tls)
{
	io_uring_queue_exit(&self->q.ring);
	close(self->a);
	close(self->b);
}

#define MAKE(type, data, len)						\
	make_record(self->rec, variant->version, self->seq++, type, data, \
		    len, 0)

#define SEND(type, data, len) do {					\
	size_t n_ = MAKE(type, data, len);				\
	ASSERT_LT(0, n_);						\
	ASSERT_EQ(n_, send(self->a, self->rec, n_, 0));			\
} while (0)

/* A message with room for a content type. */
struct typed {
	struct msghdr msg;
	struct iovec iov;
	char control[CMSG_SPACE(1)];
	char data[64];
};

static struct msghdr *typed(struct typed *t)
{
	memset(t, 0, sizeof(*t));
	t->iov.iov_base = t->data;
	t->iov.iov_len = sizeof(t->data);
	t->msg.msg_iov = &t->iov;
	t->msg.msg_iovlen = 1;
	t->msg.msg_control = t->control;
	t->msg.msg_controllen = sizeof(t->control);
	return &t->msg;
}

static int type_of(struct typed *t)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&t->msg);

	return cmsg && cmsg->cmsg_level == SOL_TLS &&
	       cmsg->cmsg_type == TLS_GET_RECORD_TYPE ? *CMSG_DATA(cmsg) : -1;
}

TEST_F(uring_tls, sendmsg_and_recvmsg_carry_types)
{
	struct queue *q = &self->q;
	struct typed out, in;
	struct cmsghdr *cmsg;
	int a, b, i;

	ASSERT_EQ(0, tls_pair(variant->version, TLS_CIPHER_AES_GCM_128, &a,
			      &b));
	for (i = 0; i < 20; i++) {
		struct io_uring_sqe *sqe;

		typed(&out);
		out.iov.iov_len = 5;
		memcpy(out.data, "hello", 5);
		cmsg = CMSG_FIRSTHDR(&out.msg);
		cmsg->cmsg_level = SOL_TLS;
		cmsg->cmsg_type = TLS_SET_RECORD_TYPE;
		cmsg->cmsg_len = CMSG_LEN(1);
		*CMSG_DATA(cmsg) = TYPE_ALERT + i % 3;
		sqe = SUBMIT(q, 1, recvmsg, b, typed(&in), 0);
		if (i % 2)
			sqe->flags |= IOSQE_ASYNC;
		ASSERT_TRUE(pending(q, 1));
		sqe = SUBMIT(q, 2, sendmsg, a, &out.msg, 0);
		if (i % 4 == 3)
			sqe->flags |= IOSQE_ASYNC;
		EXPECT_EQ(5, wait_for(q, 2));
		EXPECT_EQ(5, wait_for(q, 1));
		EXPECT_EQ(TYPE_ALERT + i % 3, type_of(&in));
		EXPECT_EQ(0, memcmp(in.data, "hello", 5));
	}
	close(a);
	close(b);
}

TEST_F(uring_tls, several_recvmsg_in_flight_get_one_type_each)
{
	struct queue *q = &self->q;
	static struct typed in[8];
	int i, alerts = 0, bytes = 0;

	for (i = 0; i < 8; i++)
		SUBMIT(q, i, recvmsg, self->b, typed(&in[i]), 0);
	ASSERT_TRUE(pending(q, 0));
	for (i = 0; i < 4; i++) {
		SEND(TYPE_DATA, "ab", 2);
		SEND(TYPE_ALERT, "xyz", 3);
	}
	shutdown(self->a, SHUT_WR);
	for (i = 0; i < 8; i++) {
		int n = wait_for(q, i);

		ASSERT_LE(0, n);
		if (type_of(&in[i]) == TYPE_ALERT) {
			EXPECT_EQ(3, n);
			EXPECT_EQ(0, memcmp(in[i].data, "xyz", 3));
			alerts++;
		} else if (n) {
			EXPECT_EQ(TYPE_DATA, type_of(&in[i]));
			EXPECT_EQ(0, memcmp(in[i].data, "abababab", n));
			bytes += n;
		}
	}
	EXPECT_EQ(4, alerts);
	EXPECT_EQ(8, bytes);
}

TEST_F(uring_tls, part_of_a_record_wakes_nobody)
{
	struct queue *q = &self->q;
	char in[16];
	size_t n, i;

	SUBMIT(q, 1, recv, self->b, in, sizeof(in), 0);
	SUBMIT(q, 2, poll_add, self->b, POLLIN);
	n = MAKE(TYPE_DATA, "hello", 5);
	for (i = 0; i < n; i++) {
		if (i % 8 == 0) {
			ASSERT_TRUE(pending(q, 1));
			ASSERT_TRUE(pending(q, 2));
		}
		ASSERT_EQ(1, send(self->a, self->rec + i, 1, 0));
	}
	EXPECT_EQ(5, wait_for(q, 1));
	EXPECT_EQ(0, memcmp(in, "hello", 5));
}

TEST_F(uring_tls, control_record_stops_recv_and_stays)
{
	struct queue *q = &self->q;
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	struct chosen c;
	struct typed t;
	char in[16];
	int type;

	SUBMIT(q, 1, recv, self->b, in, sizeof(in), MSG_WAITALL);
	SEND(TYPE_DATA, "data", 4);
	SEND(TYPE_ALERT, "xy", 2);
	EXPECT_EQ(4, wait_for(q, 1));
	EXPECT_EQ(0, memcmp(in, "data", 4));
	SUBMIT(q, 1, recv, self->b, in, sizeof(in), 0);
	EXPECT_EQ(-EIO, wait_for(q, 1));
	SUBMIT(q, 1, recvmsg, self->b, typed(&t), 0);
	EXPECT_EQ(2, wait_for(q, 1));
	EXPECT_EQ(TYPE_ALERT, type_of(&t));

	/* The same in the midst of a multishot receive. */
	ASSERT_TRUE(choose_from(q, &c, BUFS));
	sqe = SUBMIT(q, 1, recv_multishot, self->b, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	io_uring_submit(&q->ring);
	SEND(TYPE_DATA, "data", 4);
	cqe = next(q);
	ASSERT_NE(NULL, cqe);
	EXPECT_EQ(4, cqe->res);
	EXPECT_TRUE(cqe->flags & IORING_CQE_F_MORE);
	io_uring_cqe_seen(&q->ring, cqe);
	SEND(TYPE_ALERT, "xy", 2);
	cqe = next(q);
	ASSERT_NE(NULL, cqe);
	EXPECT_EQ(-EIO, cqe->res);
	EXPECT_FALSE(cqe->flags & IORING_CQE_F_MORE);
	io_uring_cqe_seen(&q->ring, cqe);
	EXPECT_EQ(2, recv_type(self->b, &type, in, sizeof(in), 0));
	EXPECT_EQ(TYPE_ALERT, type);
}

TEST_F(uring_tls, multishot_recvmsg_tells_each_type)
{
	static const char * const texts[] = { "one", "two", "three", "four" };
	struct msghdr msg = { .msg_controllen = CMSG_SPACE(1) };
	struct queue *q = &self->q;
	struct io_uring_sqe *sqe;
	struct chosen c;
	int i;

	ASSERT_TRUE(choose_from(q, &c, BUFS));
	sqe = SUBMIT(q, 1, recvmsg_multishot, self->b, &msg, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	io_uring_submit(&q->ring);
	for (i = 0; i < 12; i++) {
		int type = i % 2 ? TYPE_ALERT : TYPE_DATA, bid;
		struct io_uring_recvmsg_out *out;
		const char *text = texts[i % 4];
		struct io_uring_cqe *cqe;
		struct cmsghdr *cmsg;

		SEND(type, text, strlen(text));
		cqe = next(q);
		ASSERT_NE(NULL, cqe);
		ASSERT_LT(0, cqe->res);
		ASSERT_TRUE(cqe->flags & IORING_CQE_F_MORE);
		bid = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
		out = io_uring_recvmsg_validate(c.bufs[bid], cqe->res, &msg);
		ASSERT_NE(NULL, out);
		ASSERT_EQ(strlen(text),
			  io_uring_recvmsg_payload_length(out, cqe->res, &msg));
		EXPECT_EQ(0, memcmp(io_uring_recvmsg_payload(out, &msg), text,
				    strlen(text)));
		cmsg = io_uring_recvmsg_cmsg_firsthdr(out, &msg);
		ASSERT_NE(NULL, cmsg);
		EXPECT_EQ(TLS_GET_RECORD_TYPE, cmsg->cmsg_type);
		EXPECT_EQ(type, *CMSG_DATA(cmsg));
		io_uring_cqe_seen(&q->ring, cqe);
		give_back(&c, bid);
	}
}

TEST_F(uring_tls, bad_record_completes_all_that_wait)
{
	struct queue *q = &self->q;
	struct typed in[2];
	char buf[4][16];
	size_t n;
	int i;

	for (i = 0; i < 4; i++)
		SUBMIT(q, i, recv, self->b, buf[i], 16, 0);
	for (i = 0; i < 2; i++)
		SUBMIT(q, 4 + i, recvmsg, self->b, typed(&in[i]), 0);
	SUBMIT(q, 6, poll_add, self->b, POLLIN);
	ASSERT_TRUE(pending(q, 0));
	n = MAKE(TYPE_DATA, "hello", 5);
	self->rec[n - 1] ^= 1;
	ASSERT_EQ(n, send(self->a, self->rec, n, 0));
	for (i = 0; i < 6; i++)
		EXPECT_EQ(-EBADMSG, wait_for(q, i));
	ASSERT_LT(0, wait_for(q, 6));
	EXPECT_EQ(POLLIN, q->results[6].res & POLLIN);
}

TEST_F(uring_tls, zero_copy_send_is_refused_and_does_no_harm)
{
	struct queue *q = &self->q;
	struct io_uring_cqe *cqe;
	int a, b, more;
	char in[16];

	ASSERT_EQ(0, tls_pair(variant->version, TLS_CIPHER_AES_GCM_128, &a,
			      &b));
	SUBMIT(q, 1, send_zc, a, "hello", 5, 0, 0);
	cqe = next(q);
	ASSERT_NE(NULL, cqe);
	EXPECT_EQ(-EOPNOTSUPP, cqe->res);
	more = cqe->flags & IORING_CQE_F_MORE;
	io_uring_cqe_seen(&q->ring, cqe);
	if (more) {
		cqe = next(q);
		ASSERT_NE(NULL, cqe);
		EXPECT_TRUE(cqe->flags & IORING_CQE_F_NOTIF);
		io_uring_cqe_seen(&q->ring, cqe);
	}
	EXPECT_EQ(-1, recv(b, in, sizeof(in), MSG_DONTWAIT));
	SUBMIT(q, 2, send, a, "hello", 5, 0);
	EXPECT_EQ(5, wait_for(q, 2));
	EXPECT_EQ(5, recv(b, in, sizeof(in), 0));
	close(a);
	close(b);
}

TEST(key_update_and_what_waits_for_it)
{
	static const unsigned char update[5] = { 24, 0, 0, 1, 0 };
	struct queue q;
	struct typed t;
	char in[16];
	int a, b, i;

	ASSERT_EQ(0, queue_open(&q));
	ASSERT_EQ(0, tls_pair(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, &a,
			      &b));
	for (i = 0; i < 5; i++) {
		SUBMIT(&q, 1, recvmsg, b, typed(&t), 0);
		ASSERT_TRUE(pending(&q, 1));
		ASSERT_EQ(5, send_type(a, TYPE_HANDSHAKE, update, 5, 0));
		ASSERT_EQ(0, set_key(a, TLS_TX, TLS_1_3_VERSION,
				     TLS_CIPHER_AES_GCM_128, 10 + i));
		ASSERT_EQ(3, send(a, "new", 3, 0));
		EXPECT_EQ(5, wait_for(&q, 1));
		EXPECT_EQ(TYPE_HANDSHAKE, type_of(&t));
		SUBMIT(&q, 1, recv, b, in, sizeof(in), 0);
		EXPECT_EQ(-EKEYEXPIRED, wait_for(&q, 1));
		SUBMIT(&q, 1, poll_add, b, POLLIN);
		ASSERT_TRUE(pending(&q, 1));
		ASSERT_EQ(0, set_key(b, TLS_RX, TLS_1_3_VERSION,
				     TLS_CIPHER_AES_GCM_128, 10 + i));
		EXPECT_EQ(POLLIN, wait_for(&q, 1));
		SUBMIT(&q, 1, recv, b, in, sizeof(in), 0);
		EXPECT_EQ(3, wait_for(&q, 1));
		EXPECT_EQ(0, memcmp(in, "new", 3));
	}
	io_uring_queue_exit(&q.ring);
	close(a);
	close(b);
}

TEST_HARNESS_MAIN
