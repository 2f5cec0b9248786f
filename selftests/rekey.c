// SPDX-License-Identifier: GPL-2.0
/* TLS 1.3 key update: tests are named after the promises. */

#include "../../kselftest_harness.h"
#include "tls_test.h"
#include "sleeper.h"

#include <sys/mman.h>
#include <sys/uio.h>

#define KEY_UPDATE		24
#define NEW_SESSION_TICKET	4
#define CERTIFICATE		11

/* A whole KeyUpdate message: it asks for none in return. */
static const unsigned char key_update[5] = { KEY_UPDATE, 0, 0, 1, 0 };

#define EXPECT_ERRNO(want, call) do {					\
	EXPECT_EQ(-1, call);						\
	EXPECT_EQ(want, errno);						\
} while (0)

static int new_key(int fd, int direction, uint16_t cipher, unsigned char seed)
{
	return set_key(fd, direction, TLS_1_3_VERSION, cipher, seed);
}

static ssize_t send_update(int fd)
{
	return send_type(fd, TYPE_HANDSHAKE, key_update, sizeof(key_update), 0);
}

/* The next record is a KeyUpdate: read it. */
static bool read_update(int fd)
{
	char in[16];
	int type;

	return recv_type(fd, &type, in, sizeof(in), 0) == sizeof(key_update) &&
	       type == TYPE_HANDSHAKE &&
	       !memcmp(in, key_update, sizeof(key_update));
}

/* A call that hangs is seen as EAGAIN. */
static void be_patient(int fd)
{
	struct timeval tv = { .tv_sec = SLEEPER_PATIENCE };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

static int select_now(int fd)
{
	struct timeval tv = {};
	fd_set in, except;

	FD_ZERO(&in);
	FD_ZERO(&except);
	FD_SET(fd, &in);
	FD_SET(fd, &except);
	return select(fd + 1, &in, NULL, &except, &tv);
}

static int epoll_now(int fd, int ms)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(0), n;

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	n = epoll_wait(ep, &ev, 1, ms);
	close(ep);
	return n > 0 ? (int)ev.events : n;
}

/* Reading has stopped: no call reads, and none says that it would. */
static void expect_stopped(struct __test_metadata *_metadata, int fd)
{
	char buf[16], more[16], control[CMSG_SPACE(1)];
	struct iovec iov[2] = { { buf, 3 }, { more, sizeof(more) } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct mmsghdr many[2] = { { .msg_hdr = msg }, { .msg_hdr = msg } };
	int p[2];

	ASSERT_EQ(0, pipe(p));
	EXPECT_ERRNO(EKEYEXPIRED, recv(fd, buf, sizeof(buf), 0));
	EXPECT_ERRNO(EKEYEXPIRED, recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
	EXPECT_ERRNO(EKEYEXPIRED, recv(fd, buf, sizeof(buf), MSG_PEEK));
	EXPECT_ERRNO(EKEYEXPIRED, recv(fd, buf, sizeof(buf), MSG_WAITALL));
	EXPECT_ERRNO(EKEYEXPIRED, recv(fd, buf, sizeof(buf), MSG_TRUNC));
	EXPECT_ERRNO(EKEYEXPIRED, read(fd, buf, sizeof(buf)));
	EXPECT_ERRNO(EKEYEXPIRED, readv(fd, iov, 2));
	EXPECT_ERRNO(EKEYEXPIRED, recvmsg(fd, &msg, 0));
	EXPECT_ERRNO(EKEYEXPIRED, recvmmsg(fd, many, 2, 0, NULL));
	EXPECT_ERRNO(EKEYEXPIRED, splice(fd, NULL, p[1], NULL, 100, 0));
	EXPECT_ERRNO(EKEYEXPIRED, splice(fd, NULL, p[1], NULL, 100,
					 SPLICE_F_NONBLOCK));
	EXPECT_EQ(0, poll_now(fd, POLLIN | POLLRDNORM | POLLPRI, 0));
	EXPECT_EQ(0, select_now(fd));
	EXPECT_EQ(0, epoll_now(fd, 0));
	close(p[0]);
	close(p[1]);
}

/* ---- two sockets in the kernel ---- */

FIXTURE(rekey)
{
	int a, b;
};

FIXTURE_VARIANT(rekey)
{
	uint16_t cipher;
};

FIXTURE_VARIANT_ADD(rekey, gcm128)
{
	.cipher = TLS_CIPHER_AES_GCM_128,
};

FIXTURE_VARIANT_ADD(rekey, ccm)
{
	.cipher = TLS_CIPHER_AES_CCM_128,
};

FIXTURE_VARIANT_ADD(rekey, chacha)
{
	.cipher = TLS_CIPHER_CHACHA20_POLY1305,
};

FIXTURE_SETUP(rekey)
{
	ASSERT_EQ(0, tls_pair(TLS_1_3_VERSION, variant->cipher, &self->a,
			      &self->b));
	be_patient(self->a);
	be_patient(self->b);
}

FIXTURE_TEARDOWN(rekey)
{
	close(self->a);
	close(self->b);
}

/* The sender says so, and goes on under the key of @seed. */
#define UPDATE_TX(fd, seed) do {					\
	ASSERT_EQ(sizeof(key_update), send_update(fd));			\
	ASSERT_EQ(0, new_key(fd, TLS_TX, variant->cipher, seed));	\
} while (0)

#define UPDATE_RX(fd, seed) do {					\
	ASSERT_TRUE(read_update(fd));					\
	ASSERT_EQ(0, new_key(fd, TLS_RX, variant->cipher, seed));	\
} while (0)

TEST_F(rekey, both_directions_go_on_under_their_new_keys)
{
	char buf[16];
	int round;

	for (round = 0; round < 3; round++) {
		ASSERT_EQ(3, send(self->a, "old", 3, 0));
		UPDATE_TX(self->a, 10 + round);
		ASSERT_EQ(3, send(self->a, "new", 3, 0));
		ASSERT_EQ(3, recv(self->b, buf, sizeof(buf), 0));
		EXPECT_EQ(0, memcmp(buf, "old", 3));
		UPDATE_RX(self->b, 10 + round);
		ASSERT_EQ(3, recv(self->b, buf, sizeof(buf), 0));
		EXPECT_EQ(0, memcmp(buf, "new", 3));

		/* The other direction still has its key, then updates too. */
		ASSERT_EQ(4, send(self->b, "back", 4, 0));
		ASSERT_EQ(4, recv(self->a, buf, sizeof(buf), 0));
		UPDATE_TX(self->b, 20 + round);
		ASSERT_EQ(4, send(self->b, "BACK", 4, 0));
		UPDATE_RX(self->a, 20 + round);
		ASSERT_EQ(4, recv(self->a, buf, sizeof(buf), 0));
		EXPECT_EQ(0, memcmp(buf, "BACK", 4));
	}
}

TEST_F(rekey, data_gathered_before_goes_under_the_old_key)
{
	char buf[16];

	ASSERT_EQ(5, send(self->a, "early", 5, MSG_MORE));
	ASSERT_EQ(0, new_key(self->a, TLS_TX, variant->cipher, 3));
	ASSERT_EQ(4, send(self->a, "late", 4, 0));
	ASSERT_EQ(5, recv(self->b, buf, 5, MSG_WAITALL));
	EXPECT_EQ(0, memcmp(buf, "early", 5));
	ASSERT_EQ(0, new_key(self->b, TLS_RX, variant->cipher, 3));
	ASSERT_EQ(4, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(buf, "late", 4));
}

TEST_F(rekey, data_gathered_by_splice_goes_under_the_old_key)
{
	char buf[16];
	int p[2];

	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(5, write(p[1], "early", 5));
	ASSERT_EQ(5, splice(p[0], NULL, self->a, NULL, 5, SPLICE_F_MORE));
	ASSERT_EQ(0, new_key(self->a, TLS_TX, variant->cipher, 3));
	ASSERT_EQ(4, write(p[1], "late", 4));
	ASSERT_EQ(4, splice(p[0], NULL, self->a, NULL, 4, 0));
	ASSERT_EQ(5, recv(self->b, buf, 5, MSG_WAITALL));
	EXPECT_EQ(0, memcmp(buf, "early", 5));
	ASSERT_EQ(0, new_key(self->b, TLS_RX, variant->cipher, 3));
	ASSERT_EQ(4, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(buf, "late", 4));
	close(p[0]);
	close(p[1]);
}

TEST_F(rekey, records_that_wait_for_tcp_keep_their_key)
{
	static unsigned char out[20000], in[20000];
	size_t sent = 0, got = 0;
	int small = 8192;
	ssize_t n;
	pid_t pid;

	setsockopt(self->a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	do {
		fill(out, sizeof(out), sent);
		n = send(self->a, out, sizeof(out), MSG_DONTWAIT);
		if (n > 0)
			sent += n;
	} while (n > 0);
	ASSERT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, new_key(self->a, TLS_TX, variant->cipher, 3));
	pid = fork();
	if (!pid)
		_exit(send(self->a, "new", 3, 0) != 3);
	while (got < sent) {
		size_t want = sent - got;

		if (want > sizeof(in))
			want = sizeof(in);
		n = recv(self->b, in, want, 0);
		ASSERT_LT(0, n);
		fill(out, n, got);
		ASSERT_EQ(0, memcmp(in, out, n));
		got += n;
	}
	ASSERT_EQ(0, new_key(self->b, TLS_RX, variant->cipher, 3));
	ASSERT_EQ(3, recv(self->b, in, sizeof(in), 0));
	EXPECT_EQ(0, memcmp(in, "new", 3));
	waitpid(pid, NULL, 0);
}

TEST_F(rekey, reading_stops_at_a_key_update_until_the_new_key)
{
	char buf[16];

	ASSERT_EQ(3, send(self->a, "old", 3, 0));
	UPDATE_TX(self->a, 3);
	ASSERT_EQ(3, send(self->a, "new", 3, 0));

	/* What came before is read first. */
	ASSERT_EQ(POLLIN, poll_now(self->b, POLLIN, 1000));
	ASSERT_EQ(3, recv(self->b, buf, sizeof(buf), MSG_PEEK));
	ASSERT_EQ(3, recv(self->b, buf, sizeof(buf), 0));
	ASSERT_EQ(POLLIN, poll_now(self->b, POLLIN, 1000));
	ASSERT_TRUE(read_update(self->b));
	expect_stopped(_metadata, self->b);

	/* More of it changes nothing, and sending goes on. */
	ASSERT_EQ(4, send(self->a, "more", 4, 0));
	usleep(20000);
	expect_stopped(_metadata, self->b);
	EXPECT_EQ(POLLOUT, poll_now(self->b, POLLIN | POLLOUT, 0));
	EXPECT_EQ(4, send(self->b, "back", 4, 0));
	EXPECT_EQ(4, recv(self->a, buf, sizeof(buf), 0));

	ASSERT_EQ(0, new_key(self->b, TLS_RX, variant->cipher, 3));
	EXPECT_EQ(POLLIN, poll_now(self->b, POLLIN, 0));
	EXPECT_EQ(1, select_now(self->b));
	EXPECT_EQ(EPOLLIN, epoll_now(self->b, 0));
	ASSERT_EQ(7, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(buf, "newmore", 7));
}

TEST_F(rekey, splice_reads_up_to_the_update_and_after_the_key)
{
	char buf[16];
	int p[2];

	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(3, send(self->a, "old", 3, 0));
	UPDATE_TX(self->a, 3);
	ASSERT_EQ(3, send(self->a, "new", 3, 0));
	ASSERT_EQ(POLLIN, poll_now(self->b, POLLIN, 1000));
	ASSERT_EQ(3, splice(self->b, NULL, p[1], NULL, 100, 0));
	/* The update itself is a control record: it stays where it is. */
	EXPECT_ERRNO(EINVAL, splice(self->b, NULL, p[1], NULL, 100, 0));
	ASSERT_TRUE(read_update(self->b));
	EXPECT_ERRNO(EKEYEXPIRED, splice(self->b, NULL, p[1], NULL, 100, 0));
	ASSERT_EQ(0, new_key(self->b, TLS_RX, variant->cipher, 3));
	ASSERT_EQ(3, splice(self->b, NULL, p[1], NULL, 100, 0));
	ASSERT_EQ(6, read(p[0], buf, sizeof(buf)));
	EXPECT_EQ(0, memcmp(buf, "oldnew", 6));
	close(p[0]);
	close(p[1]);
}

TEST_F(rekey, updates_in_a_row_are_read_one_by_one)
{
	char buf[16];
	int i;

	for (i = 0; i < 40; i++) {
		UPDATE_TX(self->a, 3 + i);
		if (i % 3 == 0)
			ASSERT_EQ(1, send(self->a, "x", 1, 0));
	}
	for (i = 0; i < 40; i++) {
		ASSERT_TRUE(read_update(self->b));
		EXPECT_ERRNO(EKEYEXPIRED, recv(self->b, buf, 1, 0));
		ASSERT_EQ(0, new_key(self->b, TLS_RX, variant->cipher, 3 + i));
		if (i % 3 == 0)
			ASSERT_EQ(1, recv(self->b, buf, 1, 0));
	}
	EXPECT_ERRNO(EAGAIN, recv(self->b, buf, 1, MSG_DONTWAIT));
}

TEST_F(rekey, numbers_begin_where_the_new_key_says)
{
	static const unsigned char seqs[][8] = {
		{ 0, 0, 0, 0, 0, 0, 0, 0 },
		{ 0, 0, 0, 0, 0, 0, 0, 255 },
		{ 0, 0, 0, 0, 255, 255, 255, 255 },
		{ 1, 2, 3, 4, 5, 6, 7, 8 },
		{ 255, 255, 255, 255, 255, 255, 255, 254 },
	};
	char buf[16];
	size_t i;

	for (i = 0; i < 5; i++) {
		union keys k, got;
		size_t full = make_keys(&k, TLS_1_3_VERSION, variant->cipher,
					3 + i);
		socklen_t len = full;

		ASSERT_EQ(2, send(self->a, "xy", 2, 0));
		ASSERT_EQ(2, recv(self->b, buf, sizeof(buf), 0));
		memcpy(k.bytes + full - 8, seqs[i], 8);
		ASSERT_EQ(5, send_update(self->a));
		ASSERT_EQ(0, setsockopt(self->a, SOL_TLS, TLS_TX, &k, full));
		EXPECT_EQ(0, getsockopt(self->a, SOL_TLS, TLS_TX, &got, &len));
		EXPECT_EQ(0, memcmp(&got, &k, full));
		ASSERT_TRUE(read_update(self->b));
		ASSERT_EQ(0, setsockopt(self->b, SOL_TLS, TLS_RX, &k, full));
		EXPECT_EQ(0, getsockopt(self->b, SOL_TLS, TLS_RX, &got, &len));
		EXPECT_EQ(0, memcmp(&got, &k, full));

		/* One record later both count one more; the IV is the same. */
		ASSERT_EQ(2, send(self->a, "xy", 2, 0));
		ASSERT_EQ(2, recv(self->b, buf, sizeof(buf), 0));
		if (!++k.bytes[full - 1])
			k.bytes[full - 2]++;
		if (i == 2) {
			memset(k.bytes + full - 8, 0, 8);
			k.bytes[full - 5] = 1;
		}
		EXPECT_EQ(0, getsockopt(self->a, SOL_TLS, TLS_TX, &got, &len));
		EXPECT_EQ(0, memcmp(&got, &k, full));
		EXPECT_EQ(0, getsockopt(self->b, SOL_TLS, TLS_RX, &got, &len));
		EXPECT_EQ(0, memcmp(&got, &k, full));
	}
}

TEST_F(rekey, last_number_of_a_key_is_not_the_end_of_the_connection)
{
	union keys k;
	size_t len = make_keys(&k, TLS_1_3_VERSION, variant->cipher, 3);
	char buf[16];
	int i;

	memset(k.bytes + len - 8, 0xff, 8);
	for (i = 0; i < 3; i++) {
		k.bytes[10]++;
		ASSERT_EQ(5, send_update(self->a));
		ASSERT_EQ(0, setsockopt(self->a, SOL_TLS, TLS_TX, &k, len));
		ASSERT_TRUE(read_update(self->b));
		ASSERT_EQ(0, setsockopt(self->b, SOL_TLS, TLS_RX, &k, len));
		/* The KeyUpdate of the next round has the last number. */
	}
	UPDATE_TX(self->a, 7);
	ASSERT_EQ(1, send(self->a, "x", 1, 0));
	UPDATE_RX(self->b, 7);
	ASSERT_EQ(1, recv(self->b, buf, sizeof(buf), 0));
}

/* Every way to fail a key update. */
static void fail_to_update(struct __test_metadata *_metadata, int fd,
			   int direction, uint16_t cipher)
{
	uint16_t other = cipher == TLS_CIPHER_AES_GCM_128 ?
			 TLS_CIPHER_AES_CCM_128 : TLS_CIPHER_AES_GCM_128;
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	union keys k;
	size_t len = make_keys(&k, TLS_1_3_VERSION, cipher, 9);

	ASSERT_NE(MAP_FAILED, page);
	EXPECT_ERRNO(EINVAL, set_key(fd, direction, TLS_1_2_VERSION, cipher,
				     9));
	EXPECT_ERRNO(EINVAL, set_key(fd, direction, 0x0305, cipher, 9));
	EXPECT_ERRNO(EINVAL, new_key(fd, direction, other, 9));
	EXPECT_ERRNO(EINVAL, new_key(fd, direction, 99, 9));
	EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_TLS, direction, &k, len - 1));
	EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_TLS, direction, &k, len + 1));
	EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_TLS, direction, &k, 4));
	EXPECT_ERRNO(EINVAL, setsockopt(fd, SOL_TLS, direction, &k, 0));
	EXPECT_ERRNO(EFAULT, setsockopt(fd, SOL_TLS, direction, NULL, len));

	/* The head can be read, the key cannot; and not all of the key. */
	mprotect(page + 4096, 4096, PROT_NONE);
	memcpy(page + 4096 - 4, &k, 4);
	EXPECT_ERRNO(EFAULT, setsockopt(fd, SOL_TLS, direction,
					page + 4096 - 4, len));
	memcpy(page + 4096 - (len - 1), &k, len - 1);
	EXPECT_ERRNO(EFAULT, setsockopt(fd, SOL_TLS, direction,
					page + 4096 - (len - 1), len));
	munmap(page, 8192);
}

TEST_F(rekey, failed_update_leaves_the_old_key_working)
{
	union keys k, got;
	size_t full = make_keys(&k, TLS_1_3_VERSION, variant->cipher, 1);
	socklen_t len = full;
	char buf[16];
	int i;

	ASSERT_EQ(3, send(self->a, "ope", 3, MSG_MORE));
	fail_to_update(_metadata, self->a, TLS_TX, variant->cipher);
	fail_to_update(_metadata, self->b, TLS_RX, variant->cipher);
	ASSERT_EQ(1, send(self->a, "n", 1, 0));
	ASSERT_EQ(4, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(buf, "open", 4));
	k.bytes[full - 1] = 1;
	EXPECT_EQ(0, getsockopt(self->a, SOL_TLS, TLS_TX, &got, &len));
	EXPECT_EQ(0, memcmp(&got, &k, full));
	EXPECT_EQ(0, getsockopt(self->b, SOL_TLS, TLS_RX, &got, &len));
	EXPECT_EQ(0, memcmp(&got, &k, full));

	/* Reading that has stopped is still stopped. */
	UPDATE_TX(self->a, 3);
	ASSERT_EQ(3, send(self->a, "new", 3, 0));
	ASSERT_TRUE(read_update(self->b));
	for (i = 0; i < 2; i++) {
		fail_to_update(_metadata, self->b, TLS_RX, variant->cipher);
		expect_stopped(_metadata, self->b);
	}
	ASSERT_EQ(0, new_key(self->b, TLS_RX, variant->cipher, 3));
	ASSERT_EQ(3, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(buf, "new", 3));
}

TEST_F(rekey, wrong_new_key_is_ebadmsg_for_good)
{
	char buf[16];
	int i;

	UPDATE_TX(self->a, 3);
	ASSERT_EQ(3, send(self->a, "new", 3, 0));
	ASSERT_TRUE(read_update(self->b));
	ASSERT_EQ(0, new_key(self->b, TLS_RX, variant->cipher, 4));
	for (i = 0; i < 3; i++)
		EXPECT_ERRNO(EBADMSG, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(POLLERR, poll_now(self->b, POLLIN, 0) & POLLERR);
	/* The right one comes too late. */
	EXPECT_ERRNO(EBADMSG, new_key(self->b, TLS_RX, variant->cipher, 3));
	EXPECT_ERRNO(EBADMSG, recv(self->b, buf, sizeof(buf), 0));
}

TEST_F(rekey, readers_that_sleep_are_woken_by_the_new_key)
{
	struct sleeper s;
	char buf[16];
	int how;

	for (how = IN_POLL; how < SLEEPER_HOWS; how++) {
		UPDATE_TX(self->a, how);
		ASSERT_EQ(3, send(self->a, "new", 3, 0));
		ASSERT_TRUE(read_update(self->b));
		ASSERT_TRUE(sleeper_start(&s, how, self->b));
		ASSERT_EQ(0, new_key(self->b, TLS_RX, variant->cipher, how));
		ASSERT_TRUE(sleeper_join(&s)) {
			TH_LOG("%s", sleeper_names[how]);
		}
		EXPECT_EQ(1, s.ret);
		EXPECT_EQ(POLLIN, s.events);
		ASSERT_EQ(3, recv(self->b, buf, sizeof(buf), 0));
	}
}

TEST_F(rekey, readers_that_sleep_across_the_new_key_read_under_it)
{
	struct sleeper s;
	char buf[16];
	int how;

	for (how = 0; how < SLEEPER_HOWS; how++) {
		ASSERT_TRUE(sleeper_start(&s, how, self->b));
		/* Both ends agree on it by other means than a KeyUpdate. */
		ASSERT_EQ(0, new_key(self->b, TLS_RX, variant->cipher,
				     3 + how));
		ASSERT_EQ(0, new_key(self->a, TLS_TX, variant->cipher,
				     3 + how));
		ASSERT_EQ(3, send(self->a, "new", 3, 0));
		if (how == IN_WAITALL)
			ASSERT_EQ(61, send(self->a, s.data, 61, 0));
		ASSERT_TRUE(sleeper_join(&s)) {
			TH_LOG("%s", sleeper_names[how]);
		}
		if (sleeper_polls(how)) {
			EXPECT_EQ(POLLIN, s.events);
		} else {
			EXPECT_EQ(how == IN_WAITALL ? 64 : 3, s.ret);
			EXPECT_EQ(0, memcmp(s.data, "new", 3));
		}
		if (sleeper_polls(how) || how == IN_PEEK)
			ASSERT_EQ(3, recv(self->b, buf, sizeof(buf), 0));
	}
}

TEST_F(rekey, reader_that_sleeps_while_another_reads_the_update_is_told)
{
	struct sleeper s;
	int how;

	for (how = IN_RECV; how < IN_POLL; how++) {
		/* That one might read the update itself. */
		if (how == IN_RECVMSG)
			continue;
		ASSERT_TRUE(sleeper_start(&s, how, self->b));
		UPDATE_TX(self->a, how);
		ASSERT_TRUE(read_update(self->b));
		ASSERT_TRUE(sleeper_join(&s)) {
			TH_LOG("%s", sleeper_names[how]);
		}
		EXPECT_EQ(-1, s.ret);
		/* Which came first: the reader, or the other one? */
		if (s.err != EKEYEXPIRED)
			EXPECT_EQ(how == IN_SPLICE ? EINVAL : EIO, s.err);
		ASSERT_EQ(0, new_key(self->b, TLS_RX, variant->cipher, how));
	}
}

TEST_F(rekey, waitall_gives_what_came_before_the_update)
{
	struct sleeper s;

	ASSERT_EQ(3, send(self->a, "old", 3, 0));
	ASSERT_TRUE(sleeper_start(&s, IN_WAITALL, self->b));
	UPDATE_TX(self->a, 3);
	ASSERT_TRUE(sleeper_join(&s));
	EXPECT_EQ(3, s.ret);
	ASSERT_TRUE(read_update(self->b));
}

TEST_F(rekey, edge_of_epoll_comes_with_the_key_and_none_before)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int ep = epoll_create1(0);
	char buf[16];

	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->b, &ev));
	UPDATE_TX(self->a, 3);
	ASSERT_EQ(1, epoll_wait(ep, &ev, 1, 5000));
	ASSERT_TRUE(read_update(self->b));
	while (epoll_wait(ep, &ev, 1, 20) == 1)
		;
	ASSERT_EQ(3, send(self->a, "new", 3, 0));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 100));
	ASSERT_EQ(0, new_key(self->b, TLS_RX, variant->cipher, 3));
	EXPECT_EQ(1, epoll_wait(ep, &ev, 1, 0));
	EXPECT_EQ(EPOLLIN, ev.events);
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	ASSERT_EQ(3, recv(self->b, buf, sizeof(buf), 0));
	close(ep);
}

TEST_F(rekey, peeking_at_the_update_neither_stops_nor_passes_it)
{
	char buf[16];
	int type, i;

	ASSERT_EQ(3, send(self->a, "old", 3, 0));
	UPDATE_TX(self->a, 3);
	ASSERT_EQ(3, send(self->a, "new", 3, 0));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(3, recv(self->b, buf, sizeof(buf), MSG_PEEK));
	ASSERT_EQ(3, recv(self->b, buf, sizeof(buf), 0));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(5, recv_type(self->b, &type, buf, sizeof(buf),
				       MSG_PEEK));
		EXPECT_EQ(TYPE_HANDSHAKE, type);
		EXPECT_EQ(0, memcmp(buf, key_update, 5));
		/* It has been received, not read. */
		EXPECT_EQ(POLLIN, poll_now(self->b, POLLIN, 0));
		EXPECT_ERRNO(EIO, recv(self->b, buf, sizeof(buf), 0));
		EXPECT_EQ(POLLIN, poll_now(self->b, POLLIN, 0));
	}
	ASSERT_TRUE(read_update(self->b));
	expect_stopped(_metadata, self->b);
	ASSERT_EQ(0, new_key(self->b, TLS_RX, variant->cipher, 3));
	ASSERT_EQ(3, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(buf, "new", 3));
}

TEST_F(rekey, update_is_read_in_pieces_and_stops_after_the_last)
{
	unsigned char byte;
	int type, i;

	UPDATE_TX(self->a, 3);
	ASSERT_EQ(3, send(self->a, "new", 3, 0));
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(POLLIN, poll_now(self->b, POLLIN, 1000));
		ASSERT_EQ(1, recv_type(self->b, &type, &byte, 1, 0));
		EXPECT_EQ(TYPE_HANDSHAKE, type);
		EXPECT_EQ(key_update[i], byte);
	}
	expect_stopped(_metadata, self->b);
}

TEST_F(rekey, key_that_comes_before_the_update_is_read_keeps_what_was_seen)
{
	char buf[16];
	int type;

	ASSERT_EQ(3, send(self->a, "old", 3, 0));
	UPDATE_TX(self->a, 3);
	ASSERT_EQ(3, send(self->a, "new", 3, 0));
	ASSERT_EQ(POLLIN, poll_now(self->b, POLLIN, 1000));
	/* Reading a part of it, and a look at the next, leave both here. */
	ASSERT_EQ(1, recv(self->b, buf, 1, 0));
	ASSERT_EQ(2, recv(self->b, buf, sizeof(buf), MSG_PEEK));
	ASSERT_EQ(1, recv(self->b, buf, 1, 0));
	ASSERT_EQ(1, recv(self->b, buf, sizeof(buf), 0));
	ASSERT_EQ(1, recv_type(self->b, &type, buf, 1, 0));
	ASSERT_EQ(0, new_key(self->b, TLS_RX, variant->cipher, 3));
	ASSERT_EQ(4, recv_type(self->b, &type, buf, sizeof(buf), 0));
	EXPECT_EQ(TYPE_HANDSHAKE, type);
	EXPECT_EQ(0, memcmp(buf, key_update + 1, 4));
	ASSERT_EQ(3, recv_type(self->b, &type, buf, sizeof(buf), 0));
	EXPECT_EQ(TYPE_DATA, type);
	EXPECT_EQ(0, memcmp(buf, "new", 3));
}

TEST_F(rekey, recvmmsg_goes_up_to_the_update)
{
	char buf[3][16], control[3][CMSG_SPACE(1)];
	struct mmsghdr many[3] = {};
	struct iovec iov[3];
	int i;

	for (i = 0; i < 3; i++) {
		iov[i].iov_base = buf[i];
		iov[i].iov_len = sizeof(buf[i]);
		many[i].msg_hdr.msg_iov = &iov[i];
		many[i].msg_hdr.msg_iovlen = 1;
		many[i].msg_hdr.msg_control = control[i];
		many[i].msg_hdr.msg_controllen = sizeof(control[i]);
	}
	ASSERT_EQ(3, send(self->a, "old", 3, 0));
	UPDATE_TX(self->a, 3);
	ASSERT_EQ(3, send(self->a, "new", 3, 0));
	ASSERT_EQ(POLLIN, poll_now(self->b, POLLIN, 1000));
	EXPECT_EQ(2, recvmmsg(self->b, many, 3, 0, NULL));
	EXPECT_EQ(3, many[0].msg_len);
	EXPECT_EQ(5, many[1].msg_len);
	EXPECT_EQ(0, memcmp(buf[1], key_update, 5));
	EXPECT_ERRNO(EKEYEXPIRED, recv(self->b, buf[0], 3, 0));
	ASSERT_EQ(0, new_key(self->b, TLS_RX, variant->cipher, 3));
	EXPECT_EQ(3, recv(self->b, buf[0], 16, 0));
	EXPECT_EQ(0, memcmp(buf[0], "new", 3));
}

TEST_F(rekey, end_of_the_stream_behind_an_update_is_read_after_the_key)
{
	char buf[16];

	UPDATE_TX(self->a, 3);
	ASSERT_EQ(3, send(self->a, "new", 3, 0));
	shutdown(self->a, SHUT_WR);
	ASSERT_TRUE(read_update(self->b));
	EXPECT_ERRNO(EKEYEXPIRED, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(POLLRDHUP, poll_now(self->b, POLLRDHUP, 1000));
	ASSERT_EQ(0, new_key(self->b, TLS_RX, variant->cipher, 3));
	EXPECT_EQ(3, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, recv(self->b, buf, sizeof(buf), 0));
}

TEST_F(rekey, large_record_waits_for_its_key_in_a_small_buffer)
{
	static unsigned char out[RECORD_MAX], in[RECORD_MAX];
	int small = 1, i;
	pid_t pid;

	setsockopt(self->b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	fill(out, sizeof(out), 3);
	for (i = 0; i < 3; i++) {
		UPDATE_TX(self->a, 3 + i);
		pid = fork();
		if (!pid)
			_exit(send(self->a, out, sizeof(out), 0) !=
			      sizeof(out));
		ASSERT_TRUE(read_update(self->b));
		usleep(50000);
		EXPECT_EQ(0, poll_now(self->b, POLLIN, 0));
		ASSERT_EQ(0, new_key(self->b, TLS_RX, variant->cipher, 3 + i));
		if (i == 1)
			ASSERT_EQ(POLLIN, poll_now(self->b, POLLIN, 20000));
		ASSERT_EQ(sizeof(in), recv_all(self->b, in, sizeof(in)));
		ASSERT_EQ(0, memcmp(in, out, sizeof(in)));
		waitpid(pid, NULL, 0);
	}
}

TEST_F(rekey, counters_move_by_what_happened)
{
	static const char * const names[] = {
		"TlsTxRekeyOk", "TlsRxRekeyOk", "TlsTxRekeyError",
		"TlsRxRekeyError", "TlsRxRekeyReceived", "TlsDecryptError",
		"TlsCurrTxSw", "TlsCurrRxSw", "TlsTxSw", "TlsRxSw",
	};
	long before[10], moved[10] = { 3, 2, 11, 22, 2 };
	char buf[16];
	int i;

	for (i = 0; i < 10; i++)
		before[i] = counter(names[i]);
	ASSERT_LE(0, before[0]);

	UPDATE_TX(self->a, 3);
	UPDATE_TX(self->a, 4);
	ASSERT_EQ(1, send(self->a, "x", 1, 0));
	UPDATE_RX(self->b, 3);
	UPDATE_RX(self->b, 4);
	ASSERT_EQ(1, recv(self->b, buf, 1, 0));
	/* Each of these fails eleven times. */
	fail_to_update(_metadata, self->a, TLS_TX, variant->cipher);
	fail_to_update(_metadata, self->b, TLS_RX, variant->cipher);
	fail_to_update(_metadata, self->a, TLS_RX, variant->cipher);
	ASSERT_EQ(0, new_key(self->b, TLS_TX, variant->cipher, 5));
	for (i = 0; i < 10; i++) {
		EXPECT_EQ(before[i] + moved[i], counter(names[i])) {
			TH_LOG("%s", names[i]);
		}
	}
}

/* ---- a pipeline: thousands of records, hundreds of keys ---- */

#define ROUNDS 400

struct end {
	int fd;
	uint16_t cipher;
	const char *wrong;
};

static unsigned int round_records(int round)
{
	return 1 + round % 6;
}

static size_t record_len(int round, unsigned int i)
{
	return 1 + (round * 977 + i * 131) % 2500;
}

static void *send_rounds(void *arg)
{
	struct end *e = arg;
	unsigned char out[2500];
	unsigned int i;
	size_t at = 0;
	int round;

	for (round = 0; round < ROUNDS && !e->wrong; round++) {
		for (i = 0; i < round_records(round); i++) {
			size_t len = record_len(round, i);

			fill(out, len, at);
			at += len;
			/* Sometimes the update itself cuts the last record. */
			if (send(e->fd, out, len, (round + i) % 4 ? 0 :
				 MSG_MORE) != (ssize_t)len)
				e->wrong = "send";
		}
		if (send_update(e->fd) != 5)
			e->wrong = "send KeyUpdate";
		if (new_key(e->fd, TLS_TX, e->cipher, round))
			e->wrong = "TLS_TX";
	}
	shutdown(e->fd, SHUT_WR);
	return NULL;
}

static void *read_rounds(void *arg)
{
	unsigned char in[4000], want[4000];
	struct end *e = arg;
	int round = 0, type, p[2];
	size_t at = 0;
	ssize_t n;

	if (pipe(p))
		e->wrong = "pipe";
	while (!e->wrong) {
		/* Another way to read, each time. */
		size_t most = 1 + (at + round) % sizeof(in);

		if (round % 4 == 1)
			recv_type(e->fd, &type, in, most, MSG_PEEK);
		if (round % 4 == 2) {
			n = splice(e->fd, NULL, p[1], NULL, most, 0);
			type = TYPE_DATA;
			if (n > 0 && read(p[0], in, n) != n)
				e->wrong = "pipe";
			if (n < 0 && errno == EINVAL)
				n = recv_type(e->fd, &type, in, sizeof(in), 0);
		} else {
			n = recv_type(e->fd, &type, in, most < 5 ? 5 : most,
				      0);
		}
		if (n == 0)
			break;
		if (n < 0) {
			e->wrong = strerror(errno);
		} else if (type == TYPE_HANDSHAKE) {
			if (n != 5 || memcmp(in, key_update, 5))
				e->wrong = "not the KeyUpdate";
			if (recv(e->fd, in, 1, 0) != -1 ||
			    errno != EKEYEXPIRED)
				e->wrong = "did not stop";
			if (new_key(e->fd, TLS_RX, e->cipher, round++))
				e->wrong = "TLS_RX";
		} else {
			fill(want, n, at);
			at += n;
			if (memcmp(in, want, n))
				e->wrong = "other bytes";
		}
	}
	if (!e->wrong && round != ROUNDS)
		e->wrong = "not all updates";
	/* Do not leave the sender waiting. */
	if (e->wrong)
		shutdown(e->fd, SHUT_RDWR);
	close(p[0]);
	close(p[1]);
	return NULL;
}

TEST_F_TIMEOUT(rekey, thousands_of_records_under_hundreds_of_keys, 400)
{
	struct end ends[4] = {
		{ .fd = self->a }, { .fd = self->b },
		{ .fd = self->b }, { .fd = self->a },
	};
	long received = counter("TlsRxRekeyReceived");
	long tx = counter("TlsTxRekeyOk"), rx = counter("TlsRxRekeyOk");
	long bad = counter("TlsDecryptError");
	pthread_t threads[4];
	int i;

	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < 4; i++) {
		ends[i].cipher = variant->cipher;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, i % 2 ?
					    read_rounds : send_rounds,
					    &ends[i]));
	}
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(NULL, ends[i].wrong) {
			TH_LOG("%d: %s", i, ends[i].wrong);
		}
	}
	EXPECT_EQ(received + 2 * ROUNDS, counter("TlsRxRekeyReceived"));
	EXPECT_EQ(tx + 2 * ROUNDS, counter("TlsTxRekeyOk"));
	EXPECT_EQ(rx + 2 * ROUNDS, counter("TlsRxRekeyOk"));
	EXPECT_EQ(bad, counter("TlsDecryptError"));
}

/* ---- records made by hand: how messages and records meet ---- */

FIXTURE(update)
{
	int a, b;
	unsigned char seed;
	uint64_t seq;
	unsigned char out[80000];
	size_t len;
};

FIXTURE_SETUP(update)
{
	ASSERT_EQ(0, raw_pair(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128,
			      &self->a, &self->b));
	be_patient(self->b);
	self->seed = 1;
}

FIXTURE_TEARDOWN(update)
{
	close(self->a);
	close(self->b);
}

#define PUT_PADDED(type, data, size, pad) do {				\
	size_t n_ = make_record_under(self->seed, self->out + self->len,\
				      TLS_1_3_VERSION, self->seq++,	\
				      type, data, size, pad);		\
	ASSERT_LT(0, n_);						\
	self->len += n_;						\
} while (0)

#define PUT(type, data, size) PUT_PADDED(type, data, size, 0)

/* What is put from here on is under another key. */
#define PUT_NEW_KEY() do {						\
	self->seed++;							\
	self->seq = 0;							\
} while (0)

/* All of it is there before the first byte is read. */
#define FLUSH() do {							\
	ASSERT_EQ(self->len, send(self->a, self->out, self->len, 0));	\
	self->len = 0;							\
	ASSERT_EQ(POLLIN, poll_now(self->b, POLLIN, 5000));		\
} while (0)

#define NEW_RX_KEY(seed)						\
	ASSERT_EQ(0, new_key(self->b, TLS_RX, TLS_CIPHER_AES_GCM_128, seed))

#define READ(want_type, want, size) do {				\
	static unsigned char in_[RECORD_MAX];				\
	int type_;							\
									\
	ASSERT_EQ((ssize_t)(size), recv_type(self->b, &type_, in_,	\
					     sizeof(in_), 0));		\
	ASSERT_EQ(want_type, type_);					\
	ASSERT_EQ(0, memcmp(in_, want, size));				\
} while (0)

/* A handshake message, its body @fill all over. */
static size_t message(unsigned char *to, unsigned char type, size_t len,
		      unsigned char fill)
{
	to[0] = type;
	to[1] = len >> 16;
	to[2] = len >> 8;
	to[3] = len;
	memset(to + 4, fill, len);
	return 4 + len;
}

TEST_F(update, behind_another_message_of_its_record)
{
	unsigned char hs[300];
	long received = counter("TlsRxRekeyReceived");
	size_t n, body;

	for (body = 0; body < 200; body += 1 + body) {
		/* Its body looks like many updates. */
		n = message(hs, NEW_SESSION_TICKET, body, KEY_UPDATE);
		memcpy(hs + n, key_update, 5);
		PUT(TYPE_HANDSHAKE, hs, n + 5);
		PUT_NEW_KEY();
		PUT(TYPE_DATA, "new", 3);
		FLUSH();
		READ(TYPE_HANDSHAKE, hs, n + 5);
		expect_stopped(_metadata, self->b);
		EXPECT_EQ(++received, counter("TlsRxRekeyReceived"));
		NEW_RX_KEY(self->seed);
		READ(TYPE_DATA, "new", 3);
	}
}

TEST_F(update, in_two_records_at_every_place)
{
	unsigned char hs[40];
	long received = counter("TlsRxRekeyReceived");
	size_t cut, n, before;

	for (before = 0; before < 2; before++) {
		n = before ? message(hs, NEW_SESSION_TICKET, 7, KEY_UPDATE) : 0;
		memcpy(hs + n, key_update, 5);
		n += 5;
		for (cut = 1; cut < n; cut++) {
			PUT(TYPE_HANDSHAKE, hs, cut);
			PUT_PADDED(TYPE_HANDSHAKE, hs + cut, n - cut, cut);
			PUT_NEW_KEY();
			PUT(TYPE_DATA, "new", 3);
			FLUSH();
			READ(TYPE_HANDSHAKE, hs, cut);
			/* A part of an update does not stop yet. */
			EXPECT_EQ(received, counter("TlsRxRekeyReceived"));
			READ(TYPE_HANDSHAKE, hs + cut, n - cut);
			expect_stopped(_metadata, self->b);
			EXPECT_EQ(++received, counter("TlsRxRekeyReceived"));
			NEW_RX_KEY(self->seed);
			READ(TYPE_DATA, "new", 3);
		}
	}
}

TEST_F(update, in_a_record_for_each_byte)
{
	int i;

	for (i = 0; i < 5; i++)
		PUT(TYPE_HANDSHAKE, key_update + i, 1);
	PUT_NEW_KEY();
	PUT(TYPE_DATA, "new", 3);
	FLUSH();
	for (i = 0; i < 5; i++)
		READ(TYPE_HANDSHAKE, key_update + i, 1);
	expect_stopped(_metadata, self->b);
	NEW_RX_KEY(self->seed);
	READ(TYPE_DATA, "new", 3);
}

TEST_F(update, is_not_what_looks_like_one_within_a_message)
{
	static unsigned char hs[40000];
	long received = counter("TlsRxRekeyReceived");
	size_t at, n, part;

	/* Every record after the first begins with 24, 0, 0, 1, 0. */
	n = message(hs, CERTIFICATE, 30000, 0);
	for (at = 7000; at < n; at += 7000)
		memcpy(hs + at, key_update, 5);
	for (at = 0; at < n; at += part) {
		part = n - at < 7000 ? n - at : 7000;
		PUT(TYPE_HANDSHAKE, hs + at, part);
	}
	PUT(TYPE_DATA, "\30\0\0\1\0", 5);
	PUT(TYPE_ALERT, "\30\0", 2);
	PUT(TYPE_HANDSHAKE, "", 0);
	PUT(TYPE_DATA, "old", 3);
	FLUSH();
	for (at = 0; at < n; at += part) {
		part = n - at < 7000 ? n - at : 7000;
		READ(TYPE_HANDSHAKE, hs + at, part);
	}
	READ(TYPE_DATA, "\30\0\0\1\0", 5);
	READ(TYPE_ALERT, "\30\0", 2);
	READ(TYPE_HANDSHAKE, "", 0);
	READ(TYPE_DATA, "old", 3);
	EXPECT_EQ(received, counter("TlsRxRekeyReceived"));

	/* And the walk is still in step. */
	PUT(TYPE_HANDSHAKE, key_update, 5);
	FLUSH();
	READ(TYPE_HANDSHAKE, key_update, 5);
	expect_stopped(_metadata, self->b);
	EXPECT_EQ(received + 1, counter("TlsRxRekeyReceived"));
}

TEST_F(update, new_key_begins_a_new_message)
{
	unsigned char hs[16];
	size_t n;

	/* What follows an update in its record is the reader's to refuse. */
	memcpy(hs, key_update, 5);
	n = 5 + message(hs + 5, NEW_SESSION_TICKET, 1, 0) - 1;
	hs[8] = 200;
	PUT(TYPE_HANDSHAKE, hs, n);
	PUT_NEW_KEY();
	PUT(TYPE_HANDSHAKE, key_update, 5);
	FLUSH();
	READ(TYPE_HANDSHAKE, hs, n);
	expect_stopped(_metadata, self->b);
	NEW_RX_KEY(self->seed);
	READ(TYPE_HANDSHAKE, key_update, 5);
	expect_stopped(_metadata, self->b);

	/* The key comes in the midst of a message, without an update. */
	NEW_RX_KEY(2);
	PUT_NEW_KEY();
	self->seed = 2;
	PUT(TYPE_HANDSHAKE, "\4\0\1\0", 4);
	FLUSH();
	READ(TYPE_HANDSHAKE, "\4\0\1\0", 4);
	NEW_RX_KEY(3);
	PUT_NEW_KEY();
	PUT(TYPE_HANDSHAKE, key_update, 5);
	FLUSH();
	READ(TYPE_HANDSHAKE, key_update, 5);
	expect_stopped(_metadata, self->b);
}

TEST_F(update, old_key_never_touches_what_comes_behind)
{
	long bad = counter("TlsDecryptError");
	unsigned char byte;
	char buf[64];
	int type, i;

	/* Under the old key, these would be refused. */
	PUT(TYPE_DATA, "old", 3);
	PUT(TYPE_HANDSHAKE, key_update, 5);
	PUT_NEW_KEY();
	for (i = 0; i < 5; i++)
		PUT(TYPE_DATA, "new", 3);
	FLUSH();
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(3, recv(self->b, buf, sizeof(buf), MSG_PEEK));
		EXPECT_EQ(3, recv(self->b, buf, sizeof(buf),
				  MSG_PEEK | MSG_WAITALL));
	}
	EXPECT_EQ(3, recv(self->b, buf, sizeof(buf), MSG_WAITALL));
	EXPECT_EQ(5, recv_type(self->b, &type, buf, sizeof(buf),
			       MSG_PEEK | MSG_WAITALL));
	EXPECT_EQ(5, recv_type(self->b, &type, buf, sizeof(buf), MSG_WAITALL));
	expect_stopped(_metadata, self->b);
	EXPECT_EQ(bad, counter("TlsDecryptError"));
	NEW_RX_KEY(self->seed);
	EXPECT_EQ(15, recv(self->b, buf, 15, MSG_WAITALL));
	EXPECT_EQ(0, memcmp(buf, "newnewnewnewnew", 15));

	/* Nor what comes of it later, byte by byte. */
	PUT(TYPE_HANDSHAKE, key_update, 5);
	FLUSH();
	ASSERT_TRUE(read_update(self->b));
	PUT_NEW_KEY();
	PUT(TYPE_DATA, "more", 4);
	for (i = 0; i < (int)self->len; i++) {
		if (i == 10) {
			EXPECT_ERRNO(EKEYEXPIRED, recv(self->b, &byte, 1, 0));
			NEW_RX_KEY(self->seed);
		}
		EXPECT_EQ(0, poll_now(self->b, POLLIN, 0));
		ASSERT_EQ(1, send(self->a, self->out + i, 1, 0));
	}
	READ(TYPE_DATA, "more", 4);
}

TEST_F(update, error_of_the_connection_is_seen_while_reading_has_stopped)
{
	struct linger reset = { .l_onoff = 1 };
	char buf[16];

	PUT(TYPE_HANDSHAKE, key_update, 5);
	FLUSH();
	ASSERT_TRUE(read_update(self->b));
	setsockopt(self->a, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(self->a);
	self->a = -1;
	EXPECT_EQ(POLLERR | POLLHUP,
		  poll_now(self->b, POLLIN, 5000) & (POLLERR | POLLHUP));
	NEW_RX_KEY(2);
	EXPECT_ERRNO(ECONNRESET, recv(self->b, buf, sizeof(buf), 0));
}

/* ---- what is not a key update ---- */

TEST(tls12_has_no_key_update)
{
	unsigned char rec[200];
	char buf[16];
	int a, b, type;
	size_t n;

	ASSERT_EQ(0, tls_pair(TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128, &a,
			      &b));
	EXPECT_ERRNO(EBUSY, set_key(a, TLS_TX, TLS_1_2_VERSION,
				    TLS_CIPHER_AES_GCM_128, 3));
	EXPECT_ERRNO(EBUSY, set_key(b, TLS_RX, TLS_1_2_VERSION,
				    TLS_CIPHER_AES_GCM_128, 3));
	EXPECT_EQ(3, send(a, "old", 3, 0));
	EXPECT_EQ(3, recv(b, buf, sizeof(buf), 0));
	close(a);
	close(b);

	ASSERT_EQ(0, raw_pair(TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128, &a,
			      &b));
	n = make_record(rec, TLS_1_2_VERSION, 0, TYPE_HANDSHAKE, key_update, 5,
			0);
	ASSERT_EQ(n, send(a, rec, n, 0));
	n = make_record(rec, TLS_1_2_VERSION, 1, TYPE_DATA, "old", 3, 0);
	ASSERT_EQ(n, send(a, rec, n, 0));
	EXPECT_EQ(5, recv_type(b, &type, buf, sizeof(buf), 0));
	EXPECT_EQ(3, recv(b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(buf, "old", 3));
	close(a);
	close(b);
}

static _Atomic bool over;

static void *send_on(void *arg)
{
	static char out[6000];
	int i;

	for (i = 0; i < 300; i++)
		if (send(*(int *)arg, out, 1 + i * 131 % sizeof(out),
			 i % 3 ? 0 : MSG_MORE) < 0)
			break;
	return NULL;
}

static void *drain(void *arg)
{
	static char in[60000];

	while (recv(*(int *)arg, in, sizeof(in), 0) > 0)
		;
	return NULL;
}

static void *update_on(void *arg)
{
	union keys k;
	socklen_t len;
	int seed = 0;

	while (!over) {
		len = sizeof(k.gcm128);
		new_key(*(int *)arg, TLS_TX, TLS_CIPHER_AES_GCM_128, seed++);
		new_key(*(int *)arg, TLS_RX, TLS_CIPHER_AES_GCM_128, seed++);
		getsockopt(*(int *)arg, SOL_TLS, TLS_TX, &k, &len);
	}
	return NULL;
}

TEST(keys_replaced_while_others_send_and_sleep_do_no_harm)
{
	pthread_t senders[2], updater, drainer;
	struct sleeper s;
	int a, b, i;

	ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
	ASSERT_EQ(0, attach(a));
	ASSERT_EQ(0, new_key(a, TLS_TX, TLS_CIPHER_AES_GCM_128, 1));
	ASSERT_EQ(0, new_key(a, TLS_RX, TLS_CIPHER_AES_GCM_128, 1));
	ASSERT_TRUE(sleeper_start(&s, IN_RECV, a));
	pthread_create(&drainer, NULL, drain, &b);
	pthread_create(&updater, NULL, update_on, &a);
	for (i = 0; i < 2; i++)
		pthread_create(&senders[i], NULL, send_on, &a);
	for (i = 0; i < 2; i++)
		pthread_join(senders[i], NULL);
	over = true;
	pthread_join(updater, NULL);
	shutdown(b, SHUT_WR);
	EXPECT_TRUE(sleeper_join(&s));
	EXPECT_EQ(0, s.ret);
	shutdown(a, SHUT_WR);
	pthread_join(drainer, NULL);
	close(a);
	close(b);
}

TEST_HARNESS_MAIN
