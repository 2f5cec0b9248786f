// SPDX-License-Identifier: GPL-2.0
/* Sending: tests are named after the promises. */

#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "tls_test.h"

#include <sys/mman.h>
#include <sys/uio.h>

FIXTURE(send)
{
	int a, b;
};

FIXTURE_VARIANT(send)
{
	uint16_t version, cipher;
};

FIXTURE_VARIANT_ADD(send, tls12_gcm)
{
	.version = TLS_1_2_VERSION, .cipher = TLS_CIPHER_AES_GCM_128,
};

FIXTURE_VARIANT_ADD(send, tls13_gcm)
{
	.version = TLS_1_3_VERSION, .cipher = TLS_CIPHER_AES_GCM_128,
};

FIXTURE_VARIANT_ADD(send, tls13_chacha)
{
	.version = TLS_1_3_VERSION, .cipher = TLS_CIPHER_CHACHA20_POLY1305,
};

FIXTURE_VARIANT_ADD(send, tls12_ccm)
{
	.version = TLS_1_2_VERSION, .cipher = TLS_CIPHER_AES_CCM_128,
};

FIXTURE_SETUP(send)
{
	ASSERT_EQ(0, tls_pair(variant->version, variant->cipher, &self->a,
			      &self->b));
}

FIXTURE_TEARDOWN(send)
{
	close(self->a);
	close(self->b);
}

/* Lengths of the records that a plain socket sees; all of them must be there. */
static int record_lengths(int fd, int *lens, int most)
{
	unsigned char header[5];
	int n = 0;

	while (n < most && recv(fd, header, 5, MSG_DONTWAIT | MSG_PEEK) == 5) {
		static unsigned char body[70000];
		int len = header[3] << 8 | header[4];

		if (recv_all(fd, body, 5 + len) != 5 + len)
			return -1;
		lens[n++] = len;
	}
	return n;
}

static int overhead_of(uint16_t version, uint16_t cipher)
{
	if (version == TLS_1_3_VERSION)
		return 17;
	return cipher == TLS_CIPHER_CHACHA20_POLY1305 ? 16 : 24;
}

/* A TLS sender whose peer looks at the records themselves. */
static int sender(uint16_t version, uint16_t cipher, int *a, int *b)
{
	if (tcp_pair(AF_INET, a, b) || attach(*a))
		return -1;
	return set_key(*a, TLS_TX, version, cipher, 1);
}

TEST_F(send, record_is_cut_at_the_end_of_each_call)
{
	int a, b, lens[8], over = overhead_of(variant->version,
					      variant->cipher);

	ASSERT_EQ(0, sender(variant->version, variant->cipher, &a, &b));
	EXPECT_EQ(10, send(a, "0123456789", 10, 0));
	EXPECT_EQ(3, send(a, "abc", 3, 0));
	usleep(20000);
	ASSERT_EQ(2, record_lengths(b, lens, 8));
	EXPECT_EQ(10 + over, lens[0]);
	EXPECT_EQ(3 + over, lens[1]);
	close(a);
	close(b);
}

TEST_F(send, msg_more_joins_until_a_call_without_it)
{
	int a, b, i, lens[8], over = overhead_of(variant->version,
						 variant->cipher);

	ASSERT_EQ(0, sender(variant->version, variant->cipher, &a, &b));
	for (i = 0; i < 10; i++)
		EXPECT_EQ(10, send(a, "0123456789", 10, MSG_MORE));
	usleep(20000);
	EXPECT_EQ(0, record_lengths(b, lens, 8));
	EXPECT_EQ(1, send(a, "!", 1, 0));
	usleep(20000);
	ASSERT_EQ(1, record_lengths(b, lens, 8));
	EXPECT_EQ(101 + over, lens[0]);
	close(a);
	close(b);
}

TEST_F(send, msg_more_waits_only_for_the_full_size)
{
	static char buf[RECORD_MAX + 100];
	int a, b, lens[8], over = overhead_of(variant->version,
					      variant->cipher);

	ASSERT_EQ(0, sender(variant->version, variant->cipher, &a, &b));
	EXPECT_EQ(100, send(a, buf, 100, MSG_MORE));
	EXPECT_EQ(RECORD_MAX, send(a, buf, RECORD_MAX, MSG_MORE));
	usleep(300000);
	ASSERT_EQ(1, record_lengths(b, lens, 8));
	EXPECT_EQ(RECORD_MAX + over, lens[0]);
	EXPECT_EQ(0, close(a));
	usleep(20000);
	ASSERT_EQ(1, record_lengths(b, lens, 8));
	EXPECT_EQ(100 + over, lens[0]);
	close(b);
}

TEST_F(send, msg_eor_cuts_and_excludes_msg_more)
{
	char buf[32];

	EXPECT_EQ(3, send(self->a, "abc", 3, MSG_MORE));
	EXPECT_EQ(3, send(self->a, "def", 3, MSG_EOR));
	EXPECT_EQ(6, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(-1, send(self->a, "abc", 3, MSG_EOR | MSG_MORE));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(send, unknown_flag_and_zerocopy_are_eopnotsupp)
{
	EXPECT_EQ(-1, send(self->a, "abc", 3, MSG_OOB));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(-1, send(self->a, "abc", 3, MSG_ZEROCOPY));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(-1, send(self->a, "abc", 3, MSG_CONFIRM));
	EXPECT_EQ(EOPNOTSUPP, errno);
}

TEST_F(send, control_record_has_its_type_and_sends_open_data_first)
{
	char buf[64];
	int type;

	EXPECT_EQ(4, send(self->a, "open", 4, MSG_MORE));
	EXPECT_EQ(2, send_type(self->a, TYPE_ALERT, "\1\0", 2, 0));
	EXPECT_EQ(4, send(self->a, "more", 4, 0));

	EXPECT_EQ(4, recv_type(self->b, &type, buf, sizeof(buf), 0));
	EXPECT_EQ(TYPE_DATA, type);
	EXPECT_EQ(0, memcmp(buf, "open", 4));
	EXPECT_EQ(2, recv_type(self->b, &type, buf, sizeof(buf), 0));
	EXPECT_EQ(TYPE_ALERT, type);
	EXPECT_EQ(4, recv_type(self->b, &type, buf, sizeof(buf), 0));
	EXPECT_EQ(TYPE_DATA, type);
}

TEST_F(send, wrong_control_message_is_einval)
{
	char control[CMSG_SPACE(4)] = {};
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = CMSG_SPACE(1) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_TLS;
	cmsg->cmsg_type = TLS_GET_RECORD_TYPE;
	cmsg->cmsg_len = CMSG_LEN(1);
	EXPECT_EQ(-1, sendmsg(self->a, &msg, 0));
	EXPECT_EQ(EINVAL, errno);
	cmsg->cmsg_type = TLS_SET_RECORD_TYPE;
	cmsg->cmsg_len = CMSG_LEN(0);
	EXPECT_EQ(-1, sendmsg(self->a, &msg, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, send_type(self->a, TYPE_ALERT, "x", 1, MSG_MORE));
	EXPECT_EQ(EINVAL, errno);
	/* Type 0 would be padding in TLS 1.3 (RFC 8446, 5.4). */
	if (variant->version == TLS_1_3_VERSION) {
		EXPECT_EQ(-1, send_type(self->a, 0, "x", 1, 0));
		EXPECT_EQ(EINVAL, errno);
	}
}

TEST_F(send, control_message_of_another_level_changes_nothing)
{
	char control[CMSG_SPACE(4)] = {}, buf[8];
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = CMSG_SPACE(4) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int type;

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = TLS_SET_RECORD_TYPE;
	cmsg->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(cmsg) = TYPE_ALERT;
	EXPECT_EQ(1, sendmsg(self->a, &msg, 0));
	EXPECT_EQ(1, recv_type(self->b, &type, buf, sizeof(buf), 0));
	EXPECT_EQ(TYPE_DATA, type);
}

TEST_F(send, control_message_larger_than_a_record_in_pieces)
{
	static char out[40000], in[40000];
	char control[CMSG_SPACE(1)] = {};
	struct iovec iov[3] = {
		{ out, 1 }, { out + 1, 20000 }, { out + 20001, 19999 },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	size_t got = 0;

	fill(out, sizeof(out), 3);
	cmsg->cmsg_level = SOL_TLS;
	cmsg->cmsg_type = TLS_SET_RECORD_TYPE;
	cmsg->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(cmsg) = TYPE_HANDSHAKE;
	ASSERT_EQ(sizeof(out), sendmsg(self->a, &msg, 0));
	while (got < sizeof(in)) {
		int type;
		ssize_t n = recv_type(self->b, &type, in + got,
				      sizeof(in) - got, 0);

		ASSERT_LT(0, n);
		ASSERT_EQ(TYPE_HANDSHAKE, type);
		got += n;
	}
	EXPECT_EQ(0, memcmp(in, out, sizeof(in)));
}

TEST_F(send, max_payload_len_bounds_each_record)
{
	static char buf[5000];
	int a, b, i, n, lens[80], over = overhead_of(variant->version,
						    variant->cipher);
	uint16_t most = 100;

	ASSERT_EQ(0, sender(variant->version, variant->cipher, &a, &b));
	ASSERT_EQ(0, setsockopt(a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &most,
				sizeof(most)));
	EXPECT_EQ(sizeof(buf), send(a, buf, sizeof(buf), 0));
	usleep(20000);
	n = record_lengths(b, lens, 80);
	ASSERT_EQ(50, n);
	for (i = 0; i < n; i++)
		EXPECT_EQ(100 + over, lens[i]);
	close(a);
	close(b);
}

TEST_F(send, sendfile_and_splice_carry_the_file)
{
	static unsigned char out[200000], in[200000];
	int fd = memfd_create("file", 0), p[2];
	loff_t at = 0;
	pid_t pid;

	fill(out, sizeof(out), 11);
	ASSERT_EQ(sizeof(out), write(fd, out, sizeof(out)));
	ASSERT_EQ(0, pipe(p));
	pid = fork();
	if (!pid) {
		size_t left = 100001;
		off_t from = 0;

		/* An odd half by sendfile, the rest by splice. */
		while (left) {
			ssize_t n = sendfile(self->a, fd, &from, left);

			if (n <= 0)
				_exit(1);
			left -= n;
		}
		at = 100001;
		left = sizeof(out) - at;
		while (left) {
			ssize_t n = splice(fd, &at, p[1], NULL, left, 0);

			if (n <= 0)
				_exit(2);
			left -= n;
			while (n) {
				ssize_t m = splice(p[0], NULL, self->a, NULL,
						   n, left ? SPLICE_F_MORE : 0);

				if (m <= 0)
					_exit(3);
				n -= m;
			}
		}
		_exit(0);
	}
	EXPECT_EQ(sizeof(in), recv_all(self->b, in, sizeof(in)));
	EXPECT_EQ(0, memcmp(in, out, sizeof(in)));
	waitpid(pid, &p[0], 0);
	EXPECT_EQ(0, p[0]);
	close(fd);
}

TEST_F(send, end_of_splice_with_an_empty_record_is_harmless)
{
	char buf[8];
	int p[2];

	ASSERT_EQ(0, pipe2(p, O_NONBLOCK));
	close(p[1]);
	EXPECT_EQ(0, splice(p[0], NULL, self->a, NULL, 100, SPLICE_F_MORE));
	EXPECT_EQ(3, send(self->a, "abc", 3, 0));
	EXPECT_EQ(3, recv(self->b, buf, sizeof(buf), 0));
	close(p[0]);
}

TEST_F(send, splice_of_many_small_pieces_with_more)
{
	unsigned char out[4000], in[4000];
	int p[2];
	size_t i;

	ASSERT_EQ(0, pipe(p));
	fill(out, sizeof(out), 5);
	for (i = 0; i < sizeof(out); i++) {
		ASSERT_EQ(1, write(p[1], out + i, 1));
		ASSERT_EQ(1, splice(p[0], NULL, self->a, NULL, 1,
				    SPLICE_F_MORE));
	}
	EXPECT_EQ(0, send(self->a, "", 0, 0));
	EXPECT_EQ(sizeof(in), recv_all(self->b, in, sizeof(in)));
	EXPECT_EQ(0, memcmp(in, out, sizeof(in)));
	close(p[0]);
	close(p[1]);
}

TEST_F(send, unreadable_memory_is_efault_and_loses_nothing)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char in[8192];
	ssize_t n;

	ASSERT_NE(MAP_FAILED, page);
	fill(page, 4096, 9);
	mprotect(page + 4096, 4096, PROT_NONE);
	EXPECT_EQ(-1, send(self->a, page + 4096, 100, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, send(self->a, NULL, 100, MSG_MORE));
	EXPECT_EQ(EFAULT, errno);
	/* What can be read is sent, and said. */
	n = send(self->a, page, 8192, 0);
	ASSERT_LT(0, n);
	ASSERT_GE(4096, n);
	EXPECT_EQ(n, recv_all(self->b, in, n));
	EXPECT_EQ(0, memcmp(in, page, n));
	EXPECT_EQ(3, send(self->a, "abc", 3, 0));
	EXPECT_EQ(3, recv(self->b, in, sizeof(in), 0));
	munmap(page, 8192);
}

TEST_F(send, full_buffer_is_eagain_and_no_byte_is_lost_or_repeated)
{
	static unsigned char out[30000], in[30000];
	int small = 8192;
	size_t sent = 0, got = 0;
	int round;

	setsockopt(self->a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(self->b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (round = 0; round < 300; round++) {
		ssize_t n;

		fill(out, sizeof(out), sent);
		n = send(self->a, out, 1 + round * 97, MSG_DONTWAIT);
		if (n < 0) {
			ASSERT_EQ(EAGAIN, errno);
			n = 0;
		}
		sent += n;
		n = recv(self->b, in, 1 + round * 61, MSG_DONTWAIT);
		if (n < 0) {
			ASSERT_EQ(EAGAIN, errno);
			n = 0;
		}
		fill(out, n, got);
		ASSERT_EQ(0, memcmp(in, out, n));
		got += n;
	}
	shutdown(self->a, SHUT_WR);
	while (got < sent) {
		ssize_t n = recv(self->b, in, sizeof(in), 0);

		ASSERT_LT(0, n);
		fill(out, n, got);
		ASSERT_EQ(0, memcmp(in, out, n));
		got += n;
	}
	EXPECT_EQ(0, recv(self->b, in, sizeof(in), 0));
	EXPECT_LT(50000, got);
}

TEST_F(send, encrypted_records_go_out_without_another_call)
{
	static char out[400000], in[400000];
	size_t sent = 0;
	ssize_t n;

	while ((n = send(self->a, out + sent, sizeof(out) - sent,
			 MSG_DONTWAIT)) > 0)
		sent += n;
	ASSERT_LT(0, sent);
	EXPECT_EQ(sent, recv_all(self->b, in, sent));
}

TEST_F(send, close_sends_what_is_open_and_what_waits)
{
	static char out[200000], in[200000];
	int small = 4096;
	size_t sent = 0;
	ssize_t n;

	setsockopt(self->a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	fill(out, sizeof(out), 2);
	while (sent < 150000 &&
	       (n = send(self->a, out + sent, 20000, MSG_DONTWAIT)) > 0)
		sent += n;
	n = send(self->a, out + sent, 100, MSG_MORE | MSG_DONTWAIT);
	if (n > 0)
		sent += n;
	close(self->a);
	EXPECT_EQ(sent, recv_all(self->b, in, sizeof(in)));
	EXPECT_EQ(0, memcmp(in, out, sent));
	self->a = -1;
}

TEST_F(send, shutdown_sends_what_is_open)
{
	char buf[16];

	EXPECT_EQ(4, send(self->a, "open", 4, MSG_MORE));
	EXPECT_EQ(0, shutdown(self->a, SHUT_WR));
	EXPECT_EQ(4, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, recv(self->b, buf, sizeof(buf), 0));
	signal(SIGPIPE, SIG_IGN);
	EXPECT_EQ(-1, send(self->a, "x", 1, 0));
	EXPECT_EQ(EPIPE, errno);
}

TEST_F(send, sndtimeo_and_signals_end_a_wait)
{
	struct timeval tv = { .tv_usec = 50000 };
	static char out[65536];
	ssize_t n = 0;
	int i;

	setsockopt(self->a, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	for (i = 0; i < 1000; i++) {
		n = send(self->a, out, sizeof(out), 0);
		if (n < 0)
			break;
	}
	EXPECT_EQ(-1, n);
	EXPECT_EQ(EAGAIN, errno);
}

TEST_F(send, poll_says_writable_only_when_a_send_makes_progress)
{
	static char out[65536], in[65536];
	ssize_t n;
	int i;

	EXPECT_EQ(POLLOUT, poll_now(self->a, POLLOUT, 0));
	/* There is room again when what was on its way has arrived. */
	for (i = 0; !i || (i < 100 && poll_now(self->a, POLLOUT, 200)); i++)
		while ((n = send(self->a, out, sizeof(out), MSG_DONTWAIT)) > 0)
			;
	EXPECT_EQ(0, poll_now(self->a, POLLOUT, 50));
	for (i = 0; i < 1000 && !poll_now(self->a, POLLOUT, 0); i++)
		if (recv(self->b, in, sizeof(in), MSG_DONTWAIT) < 0)
			usleep(1000);
	EXPECT_EQ(POLLOUT, poll_now(self->a, POLLOUT, 1000));
	EXPECT_LT(0, send(self->a, out, 1, MSG_DONTWAIT));
}

TEST_F(send, sequence_number_does_not_wrap)
{
	union keys k;
	size_t len = make_keys(&k, variant->version, variant->cipher, 1);
	char buf[64];
	int a, b;

	signal(SIGPIPE, SIG_IGN);
	ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
	ASSERT_EQ(0, attach(a));
	memset(k.bytes + len - 8, 0xff, 8);
	ASSERT_EQ(0, setsockopt(a, SOL_TLS, TLS_TX, &k, len));
	/* The last number may be used, once. */
	EXPECT_EQ(1, send(a, "x", 1, 0));
	EXPECT_LT(0, recv(b, buf, sizeof(buf), 0));
	EXPECT_EQ(-1, send(a, "x", 1, 0));
	EXPECT_EQ(EBADMSG, errno);
	EXPECT_EQ(-1, send(a, "x", 1, 0));
	EXPECT_EQ(EBADMSG, errno);
	EXPECT_EQ(-1, recv(b, buf, sizeof(buf), MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	close(a);
	close(b);
}

TEST_F(send, writers_in_several_processes_lose_nothing)
{
	enum { WRITERS = 4, EACH = 40 };
	static unsigned char in[WRITERS * EACH * 3000];
	size_t count[WRITERS] = {}, i;
	int w, status;

	for (w = 0; w < WRITERS; w++) {
		if (!fork()) {
			char buf[3000];

			memset(buf, 'a' + w, sizeof(buf));
			for (i = 0; i < EACH; i++)
				if (send(self->a, buf, sizeof(buf), 0) !=
				    sizeof(buf))
					_exit(1);
			_exit(0);
		}
	}
	ASSERT_EQ(sizeof(in), recv_all(self->b, in, sizeof(in)));
	for (i = 0; i < sizeof(in); i++)
		count[in[i] - 'a']++;
	for (w = 0; w < WRITERS; w++) {
		EXPECT_EQ(EACH * 3000, count[w]);
		wait(&status);
		EXPECT_EQ(0, status);
	}
}

TEST_HARNESS_MAIN
