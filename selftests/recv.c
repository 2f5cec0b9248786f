// SPDX-License-Identifier: GPL-2.0
/* Receiving: tests are named after the promises. */

#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "tls_test.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/time.h>
#include <time.h>

FIXTURE(recv)
{
	int a, b;		/* @a makes records by hand, @b reads them */
	unsigned char rec[32 + RECORD_MAX * 2];
	uint64_t seq;
};

FIXTURE_VARIANT(recv)
{
	uint16_t version;
};

FIXTURE_VARIANT_ADD(recv, tls12)
{
	.version = TLS_1_2_VERSION,
};

FIXTURE_VARIANT_ADD(recv, tls13)
{
	.version = TLS_1_3_VERSION,
};

FIXTURE_SETUP(recv)
{
	ASSERT_EQ(0, raw_pair(variant->version, TLS_CIPHER_AES_GCM_128,
			      &self->a, &self->b));
}

FIXTURE_TEARDOWN(recv)
{
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

TEST_F(recv, data_records_join_and_types_do_not_mix)
{
	char buf[64];
	int type;

	SEND(TYPE_DATA, "one", 3);
	SEND(TYPE_DATA, "two", 3);
	SEND(TYPE_ALERT, "\1\0", 2);
	SEND(TYPE_ALERT, "\1\1", 2);
	SEND(TYPE_DATA, "three", 5);
	usleep(20000);
	EXPECT_EQ(6, recv_type(self->b, &type, buf, sizeof(buf), 0));
	EXPECT_EQ(TYPE_DATA, type);
	EXPECT_EQ(0, memcmp(buf, "onetwo", 6));
	/* Control records are delivered one by one. */
	EXPECT_EQ(2, recv_type(self->b, &type, buf, sizeof(buf), 0));
	EXPECT_EQ(TYPE_ALERT, type);
	EXPECT_EQ(2, recv_type(self->b, &type, buf, sizeof(buf), 0));
	EXPECT_EQ(TYPE_ALERT, type);
	EXPECT_EQ(5, recv_type(self->b, &type, buf, sizeof(buf), 0));
	EXPECT_EQ(TYPE_DATA, type);
}

TEST_F(recv, control_record_without_room_is_eio_and_stays)
{
	char buf[16];
	int type, i;

	SEND(TYPE_ALERT, "\2\50", 2);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(-1, recv(self->b, buf, sizeof(buf), 0));
		EXPECT_EQ(EIO, errno);
	}
	/* In two pieces, each with its type. */
	EXPECT_EQ(1, recv_type(self->b, &type, buf, 1, 0));
	EXPECT_EQ(TYPE_ALERT, type);
	EXPECT_EQ(1, recv_type(self->b, &type, buf, 1, 0));
	EXPECT_EQ(TYPE_ALERT, type);
	EXPECT_EQ(-1, recv(self->b, buf, 1, MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
}

TEST_F(recv, empty_data_records_are_no_end_and_disturb_nobody)
{
	char buf[64];
	int type, i;

	for (i = 0; i < 3; i++)
		SEND(TYPE_DATA, "", 0);
	SEND(TYPE_DATA, "ab", 2);
	SEND(TYPE_DATA, "", 0);
	SEND(TYPE_DATA, "cd", 2);
	SEND(TYPE_DATA, "", 0);
	SEND(TYPE_ALERT, "\1\0", 2);
	SEND(TYPE_DATA, "", 0);
	usleep(20000);
	EXPECT_EQ(4, recv_type(self->b, &type, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(buf, "abcd", 4));
	EXPECT_EQ(2, recv_type(self->b, &type, buf, sizeof(buf), 0));
	EXPECT_EQ(TYPE_ALERT, type);
	EXPECT_EQ(-1, recv(self->b, buf, sizeof(buf), MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	SEND(TYPE_DATA, "", 0);
	SEND(TYPE_DATA, "x", 1);
	EXPECT_EQ(1, recv(self->b, buf, 1, MSG_PEEK | MSG_WAITALL));
	EXPECT_EQ(1, recv(self->b, buf, 1, 0));
}

/* What came before another type is a short read, and not all that there is. */
TEST_F(recv, edge_of_epoll_follows_a_read_that_ends_before_another_type)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int ep = epoll_create1(0), type, i;
	static const struct {
		int type;
		const char *text;
	} parts[] = {
		{ TYPE_DATA, "one" }, { TYPE_ALERT, "two" },
		{ TYPE_DATA, "six" },
	};
	char buf[64];

	for (i = 0; i < 3; i++)
		SEND(parts[i].type, parts[i].text, 3);
	ASSERT_EQ(1, poll_now(self->b, POLLIN, 10000));
	usleep(50000);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->b, &ev));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(1, epoll_wait(ep, &ev, 1, 10000)) {
			TH_LOG("part %d", i);
		}
		EXPECT_EQ(3, recv_type(self->b, &type, buf, sizeof(buf),
				       MSG_DONTWAIT));
		EXPECT_EQ(parts[i].type, type);
		EXPECT_EQ(0, memcmp(buf, parts[i].text, 3));
	}
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 50));
	close(ep);
}

/*
 * A record larger than TCP may hold is taken out of it as it comes: what is
 * left of it may be less than the mark.
 */
TEST_F(recv, end_of_a_large_record_is_announced_below_the_low_water_mark)
{
	static unsigned char text[RECORD_MAX], in[RECORD_MAX];
	int room = 8192, mark = 6000, got = 0, i;
	socklen_t len = sizeof(got);
	size_t n, at;

	ASSERT_EQ(0, setsockopt(self->b, SOL_SOCKET, SO_RCVBUF, &room,
				sizeof(room)));
	ASSERT_EQ(0, setsockopt(self->b, SOL_SOCKET, SO_RCVLOWAT, &mark,
				sizeof(mark)));
	fill(text, sizeof(text), 0);
	for (i = 0; i < 20; i++) {
		n = MAKE(TYPE_DATA, text, RECORD_MAX - i * 500);
		/* TCP knows by them what a large segment is. */
		for (at = 0; at < n; at += 1000) {
			size_t part = n - at < 1000 ? n - at : 1000;

			ASSERT_EQ(part, send(self->a, self->rec + at, part,
					     0));
		}
		ASSERT_EQ(1, poll_now(self->b, POLLIN, 20000)) {
			TH_LOG("round %d", i);
		}
		ASSERT_EQ(RECORD_MAX - i * 500,
			  recv(self->b, in, sizeof(in), MSG_DONTWAIT));
		ASSERT_EQ(0, memcmp(in, text, RECORD_MAX - i * 500));
	}
	ASSERT_EQ(0, getsockopt(self->b, SOL_SOCKET, SO_RCVLOWAT, &got, &len));
	EXPECT_EQ(mark, got);
}

TEST_F(recv, flood_of_empty_records_does_not_hold_a_reader)
{
	struct timeval tv = { .tv_usec = 100000 };
	int pipes[2], i;
	char buf[8];
	long read;

	setsockopt(self->b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	ASSERT_EQ(0, pipe(pipes));
	for (i = 0; i < 1000; i++)
		SEND(TYPE_DATA, "", 0);
	/* One call reads some of them, and comes back. */
	read = counter("TlsRxRecords");
	EXPECT_EQ(-1, recv(self->b, buf, sizeof(buf), MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_GT(read + 200, counter("TlsRxRecords"));
	EXPECT_LT(read, counter("TlsRxRecords"));
	read = counter("TlsRxRecords");
	EXPECT_EQ(-1, splice(self->b, NULL, pipes[1], NULL, 100,
			     SPLICE_F_NONBLOCK));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_GT(read + 200, counter("TlsRxRecords"));
	EXPECT_LT(read, counter("TlsRxRecords"));
	EXPECT_EQ(-1, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(EAGAIN, errno);
	/* What follows the flood is reached, call by call. */
	SEND(TYPE_DATA, "ok", 2);
	for (i = 0; i < 100; i++) {
		ssize_t n = recv(self->b, buf, sizeof(buf), 0);

		if (n == 2)
			break;
		ASSERT_EQ(-1, n);
		ASSERT_EQ(EAGAIN, errno);
	}
	EXPECT_GT(100, i);
}

static void on_alarm(int nr)
{
}

/* Who does not wait is not interrupted either. */
TEST_F_TIMEOUT(recv, flood_of_empty_records_and_signals_is_eagain, 300)
{
	/* A kernel that checks everything would do nothing but signals. */
	bool slow = !access("/sys/kernel/debug/kmemleak", F_OK);
	struct itimerval it = { { 0, slow ? 7000 : 300 },
				{ 0, slow ? 7000 : 300 } };
	int rounds = slow ? 3 : 20;
	char buf[8];
	int i, k;

	signal(SIGALRM, on_alarm);
	for (i = 0; i < rounds; i++) {
		for (k = 0; k < 300; k++)
			SEND(TYPE_DATA, "", 0);
		setitimer(ITIMER_REAL, &it, NULL);
		for (k = 0; k < 6; k++) {
			ASSERT_EQ(-1, recv(self->b, buf, sizeof(buf),
					   MSG_DONTWAIT));
			ASSERT_EQ(EAGAIN, errno);
		}
		setitimer(ITIMER_REAL, &(struct itimerval){}, NULL);
	}
}

/* Nor does a flood end a wait before its time. */
TEST_F(recv, empty_records_do_not_shorten_a_wait)
{
	struct timeval tv = { .tv_sec = 2 };
	struct timespec from, to;
	char buf[8];
	pid_t pid;
	int i;

	ASSERT_EQ(0, setsockopt(self->b, SOL_SOCKET, SO_RCVTIMEO, &tv,
				sizeof(tv)));
	pid = fork();
	if (!pid) {
		usleep(1300000);
		for (i = 0; i < 200; i++) {
			size_t n = MAKE(TYPE_DATA, "", 0);

			if (send(self->a, self->rec, n, 0) != (ssize_t)n)
				_exit(1);
		}
		_exit(0);
	}
	clock_gettime(CLOCK_MONOTONIC, &from);
	EXPECT_EQ(-1, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(EAGAIN, errno);
	clock_gettime(CLOCK_MONOTONIC, &to);
	EXPECT_LE(1950, (to.tv_sec - from.tv_sec) * 1000 +
			(to.tv_nsec - from.tv_nsec) / 1000000);
	waitpid(pid, &i, 0);
	EXPECT_EQ(0, i);
}

/*
 * Who passes the peer's ciphertext on may still have its pages, and could
 * change them between a cipher's two looks at them: they are copied first.
 */
TEST_F(recv, ciphertext_in_pages_of_a_relay_is_delivered)
{
	static unsigned char in[3 * RECORD_MAX], out[3 * RECORD_MAX];
	int file = memfd_create("relay", 0), i, at;
	size_t n, len = 0, got = 0;
	unsigned char *map;
	ssize_t ret;

	for (at = 0; at < (int)sizeof(out); at++)
		out[at] = at * 7 ^ at >> 8;
	for (i = at = 0; i < 3; i++, at += RECORD_MAX) {
		n = MAKE(TYPE_DATA, out + at, RECORD_MAX);
		ASSERT_EQ(n, pwrite(file, self->rec, n, len));
		len += n;
	}
	map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, map);
	if (!fork()) {
		off_t offset = 0;

		while (offset < (off_t)len)
			if (sendfile(self->a, file, &offset, len - offset) <= 0)
				_exit(1);
		_exit(0);
	}
	/* In pieces of all kinds, large enough for a record or not. */
	while (got < sizeof(in)) {
		n = got ? 1 + got % 30000 : RECORD_MAX;
		ret = recv(self->b, in + got,
			   n < sizeof(in) - got ? n : sizeof(in) - got, 0);
		ASSERT_LT(0, ret);
		got += ret;
	}
	EXPECT_EQ(0, memcmp(in, out, sizeof(in)));
	/* And none of them has been written to. */
	for (i = at = 0, self->seq = 0; i < 3; i++, at += n) {
		n = MAKE(TYPE_DATA, out + i * RECORD_MAX, RECORD_MAX);
		EXPECT_EQ(0, memcmp(self->rec, map + at, n));
	}
	munmap(map, len);
	close(file);
	wait(NULL);
}

TEST_F(recv, peek_shows_several_records_and_takes_none)
{
	char buf[64];
	int i;

	SEND(TYPE_DATA, "one", 3);
	SEND(TYPE_DATA, "two", 3);
	SEND(TYPE_DATA, "three", 5);
	usleep(20000);
	for (i = 1; i <= 11; i++) {
		memset(buf, 0, sizeof(buf));
		EXPECT_EQ(i, recv(self->b, buf, i, MSG_PEEK));
		EXPECT_EQ(0, memcmp(buf, "onetwothree", i));
	}
	EXPECT_EQ(4, recv(self->b, buf, 4, 0));
	EXPECT_EQ(0, memcmp(buf, "onet", 4));
	EXPECT_EQ(7, recv(self->b, buf, sizeof(buf), MSG_PEEK));
	EXPECT_EQ(7, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(buf, "wothree", 7));
}

TEST_F(recv, waitall_waits_and_dontwait_does_not)
{
	char buf[16];

	EXPECT_EQ(-1, recv(self->b, buf, 4, MSG_DONTWAIT));
	EXPECT_EQ(EAGAIN, errno);
	if (!fork()) {
		size_t n = MAKE(TYPE_DATA, "abc", 3);

		send(self->a, self->rec, n, 0);
		usleep(100000);
		n = MAKE(TYPE_DATA, "defg", 4);
		send(self->a, self->rec, n, 0);
		_exit(0);
	}
	EXPECT_EQ(6, recv(self->b, buf, 6, MSG_WAITALL));
	EXPECT_EQ(0, memcmp(buf, "abcdef", 6));
	EXPECT_EQ(1, recv(self->b, buf, 6, 0));
	wait(NULL);
}

TEST_F(recv, unwritable_memory_is_efault_and_loses_nothing)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char out[3000];
	char buf[3000];

	fill(out, sizeof(out), 8);
	mprotect(page + 4096, 4096, PROT_READ);
	SEND(TYPE_DATA, out, sizeof(out));
	EXPECT_EQ(-1, recv(self->b, page + 4096, 4096, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, recv(self->b, page + 2000, 4096, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, recv(self->b, NULL, 10, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(sizeof(buf), recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(buf, out, sizeof(buf)));
	munmap(page, 8192);
}

TEST_F(recv, record_arrives_however_it_is_segmented)
{
	static const size_t sizes[] = { 1, 2, 100, 4000, RECORD_MAX };
	static unsigned char out[RECORD_MAX], in[RECORD_MAX];
	static const size_t cuts[] = { 1, 2, 3, 7, 100, 1400 };
	size_t i, j, n, at;

	fill(out, sizeof(out), 4);
	for (i = 0; i < 5; i++) {
		for (j = 0; j < 6; j++) {
			/* Many segments are slow: not for the largest. */
			if (sizes[i] / cuts[j] > 500)
				continue;
			n = MAKE(TYPE_DATA, out, sizes[i]);
			for (at = 0; at < n; at += cuts[j]) {
				size_t part = n - at < cuts[j] ? n - at :
					      cuts[j];

				ASSERT_EQ(0, poll_now(self->b, POLLIN, 0));
				ASSERT_EQ(part, send(self->a, self->rec + at,
						     part, 0));
			}
			ASSERT_EQ(POLLIN, poll_now(self->b, POLLIN, 1000));
			ASSERT_EQ(sizes[i], recv(self->b, in, sizeof(in), 0));
			ASSERT_EQ(0, memcmp(in, out, sizes[i]));
		}
	}
}

TEST_F(recv, record_larger_than_the_receive_buffer)
{
	static unsigned char out[RECORD_MAX], in[RECORD_MAX];
	int small = 1, i;

	setsockopt(self->b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	fill(out, sizeof(out), 6);
	for (i = 0; i < 5; i++) {
		size_t n = MAKE(TYPE_DATA, out, sizeof(out));
		pid_t pid = fork();

		if (!pid)
			_exit(send(self->a, self->rec, n, 0) != (ssize_t)n);
		if (i % 2)
			ASSERT_EQ(POLLIN, poll_now(self->b, POLLIN, 20000));
		ASSERT_EQ(sizeof(in), recv(self->b, in, sizeof(in), 0));
		ASSERT_EQ(0, memcmp(in, out, sizeof(in)));
		waitpid(pid, NULL, 0);
	}
}

/* A few bytes of a header may close TCP's window, when it has little room. */
TEST_F_TIMEOUT(recv, part_of_a_header_does_not_close_the_window, 300)
{
	static unsigned char out[2000], two[2 * sizeof(out) + 200];
	struct timeval tv = { .tv_sec = 30 };
	unsigned char in[sizeof(out)];
	int small = 1;
	size_t len, part;

	setsockopt(self->b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	setsockopt(self->b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	fill(out, sizeof(out), 9);
	for (len = 50; len < sizeof(out); len += 150) {
		for (part = 1; part < 5; part++) {
			size_t first = MAKE(TYPE_DATA, out, len), n;
			pid_t pid;

			memcpy(two, self->rec, first);
			n = MAKE(TYPE_DATA, out, len);
			memcpy(two + first, self->rec, n);
			pid = fork();
			if (!pid)
				_exit(send(self->a, two, first + part, 0) < 0 ||
				      send(self->a, two + first + part,
					   n - part, 0) < 0);
			ASSERT_EQ(len, recv(self->b, in, len, MSG_WAITALL));
			ASSERT_EQ(len, recv(self->b, in, len, MSG_WAITALL)) {
				TH_LOG("after %zu bytes of its header", part);
			}
			ASSERT_EQ(0, memcmp(in, out, len));
			waitpid(pid, NULL, 0);
		}
	}
}

TEST_F(recv, buffers_of_every_size_get_every_byte_once)
{
	static unsigned char out[60000], in[60000];
	size_t at, got = 0, step = 0;
	pid_t pid;

	fill(out, sizeof(out), 12);
	pid = fork();
	if (!pid) {
		for (at = 0; at < sizeof(out); ) {
			size_t len = 1 + at * 7 % 9000, n;

			if (len > sizeof(out) - at)
				len = sizeof(out) - at;
			n = MAKE(TYPE_DATA, out + at, len);
			if (send(self->a, self->rec, n, 0) != (ssize_t)n)
				_exit(1);
			at += len;
		}
		_exit(0);
	}
	while (got < sizeof(in)) {
		size_t want = 1 + step++ * 131 % 7000;
		ssize_t n;

		if (want > sizeof(in) - got)
			want = sizeof(in) - got;
		n = recv(self->b, in + got, want, 0);
		ASSERT_LT(0, n);
		got += n;
	}
	EXPECT_EQ(0, memcmp(in, out, sizeof(in)));
	waitpid(pid, NULL, 0);
}

TEST_F(recv, record_complete_before_the_key_is_announced)
{
	unsigned char rec[100], buf[16];
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	int a, b, ep = epoll_create1(0);
	size_t n;

	ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
	ASSERT_EQ(0, attach(b));
	n = make_record(rec, variant->version, 0, TYPE_DATA, "early", 5, 0);
	ASSERT_EQ(n, send(a, rec, n, 0));
	usleep(20000);
	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, b, &ev));
	EXPECT_EQ(1, epoll_wait(ep, &ev, 1, 0));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	ASSERT_EQ(0, set_key(b, TLS_RX, variant->version,
			     TLS_CIPHER_AES_GCM_128, 1));
	EXPECT_EQ(1, epoll_wait(ep, &ev, 1, 1000));
	EXPECT_EQ(5, recv(b, buf, sizeof(buf), MSG_DONTWAIT));
	close(ep);
	close(a);
	close(b);
}

TEST_F(recv, end_of_file_is_0_and_hang_up_as_tcp)
{
	char buf[8];

	SEND(TYPE_DATA, "bye", 3);
	shutdown(self->a, SHUT_WR);
	usleep(20000);
	EXPECT_EQ(POLLIN | POLLRDHUP,
		  poll_now(self->b, POLLIN | POLLRDHUP, 0));
	EXPECT_EQ(3, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, recv(self->b, buf, sizeof(buf), 0));
}

TEST_F(recv, stream_cut_within_a_record_is_ebadmsg_not_the_end)
{
	char buf[8];
	size_t n;

	SEND(TYPE_DATA, "all", 3);
	n = MAKE(TYPE_DATA, "cut", 3);
	ASSERT_EQ(n - 1, send(self->a, self->rec, n - 1, 0));
	shutdown(self->a, SHUT_WR);
	EXPECT_EQ(3, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(-1, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(EBADMSG, errno);
	EXPECT_EQ(-1, recv(self->b, buf, sizeof(buf), 0));
	EXPECT_EQ(EBADMSG, errno);
}

TEST_F(recv, splice_moves_data_and_leaves_a_control_record)
{
	static unsigned char out[20000], in[20000];
	int p[2], type;
	size_t got = 0;
	char buf[8];

	fill(out, sizeof(out), 1);
	ASSERT_EQ(0, pipe(p));
	SEND(TYPE_DATA, out, 15000);
	SEND(TYPE_DATA, "", 0);
	SEND(TYPE_DATA, out + 15000, 5000);
	SEND(TYPE_ALERT, "\1\0", 2);
	usleep(20000);
	while (got < sizeof(in)) {
		ssize_t n = splice(self->b, NULL, p[1], NULL, 7777, 0);

		ASSERT_LT(0, n);
		ASSERT_EQ(n, read(p[0], in + got, n));
		got += n;
	}
	EXPECT_EQ(0, memcmp(in, out, sizeof(in)));
	EXPECT_EQ(-1, splice(self->b, NULL, p[1], NULL, 100, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(2, recv_type(self->b, &type, buf, sizeof(buf), 0));
	EXPECT_EQ(TYPE_ALERT, type);
	EXPECT_EQ(-1, splice(self->b, NULL, p[1], NULL, 100,
			     SPLICE_F_NONBLOCK));
	EXPECT_EQ(EAGAIN, errno);
	close(p[0]);
	close(p[1]);
}

TEST_F(recv, readers_in_several_processes_lose_nothing)
{
	enum { READERS = 4, TOTAL = 400000 };
	static unsigned char buf[5000];
	int p[2], r, status;
	size_t at, n, sum = 0, part;

	ASSERT_EQ(0, pipe(p));
	for (r = 0; r < READERS; r++) {
		if (!fork()) {
			size_t got = 0;
			ssize_t k;

			close(self->a);
			while ((k = recv(self->b, buf, 1777, 0)) > 0)
				got += k;
			_exit(k || write(p[1], &got, sizeof(got)) < 0);
		}
	}
	for (at = 0; at < TOTAL; at += 4000) {
		n = MAKE(TYPE_DATA, buf, 4000);
		ASSERT_EQ(n, send(self->a, self->rec, n, 0));
	}
	shutdown(self->a, SHUT_WR);
	for (r = 0; r < READERS; r++) {
		wait(&status);
		EXPECT_EQ(0, status);
		ASSERT_EQ(sizeof(part), read(p[0], &part, sizeof(part)));
		sum += part;
	}
	EXPECT_EQ(TOTAL, sum);
	close(p[0]);
	close(p[1]);
}

TEST(padded_and_control_records_of_tls13_are_decrypted_again)
{
	static unsigned char rec[RECORD_MAX * 2], out[1000], in[70000];
	static const size_t pads[] = { 0, 1, 15, 16, 255, 5000, 15383 };
	long retries = counter("TlsDecryptRetry");
	size_t i, n, len;
	int a, b;

	ASSERT_EQ(0, raw_pair(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, &a,
			      &b));
	fill(out, sizeof(out), 3);
	for (i = 0; i < 7; i++) {
		len = sizeof(out);
		n = make_record(rec, TLS_1_3_VERSION, i, TYPE_DATA, out, len,
				pads[i]);
		ASSERT_LT(0, n);
		ASSERT_EQ(n, send(a, rec, n, 0));
		ASSERT_EQ(len, recv(b, in, sizeof(in), 0));
		ASSERT_EQ(0, memcmp(in, out, len));
	}
	EXPECT_LT(retries, counter("TlsDecryptRetry") + nic_wanted());
	close(a);
	close(b);
}

TEST(hostile_padding_costs_less_than_a_tenth_more_decryptions)
{
	static unsigned char rec[6000], out[5000], in[5500];
	long before = counter("TlsDecryptRetry");
	size_t n;
	int a, b, i;

	ASSERT_EQ(0, raw_pair(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, &a,
			      &b));
	for (i = 0; i < 1000; i++) {
		/* Always padded; then padded after every honest stretch. */
		n = make_record(rec, TLS_1_3_VERSION, i, TYPE_DATA, out,
				sizeof(out), i < 500 || i % 33 == 0);
		ASSERT_EQ(n, send(a, rec, n, 0));
		ASSERT_EQ(sizeof(out), recv(b, in, sizeof(in), 0));
	}
	EXPECT_LT(before, counter("TlsDecryptRetry") + nic_wanted());
	EXPECT_GT(before + 100, counter("TlsDecryptRetry"));
	close(a);
	close(b);
}

TEST(key_update_stops_reading_until_the_new_key)
{
	static const unsigned char update[5] = { 24, 0, 0, 1, 0 };
	unsigned char rec[200];
	char buf[16];
	size_t n;
	int a, b, type;

	ASSERT_EQ(0, raw_pair(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, &a,
			      &b));
	n = make_record(rec, TLS_1_3_VERSION, 0, TYPE_HANDSHAKE, update, 5, 0);
	ASSERT_EQ(n, send(a, rec, n, 0));
	/* The next record is under the new key, which numbers from 0. */
	n = make_record(rec, TLS_1_3_VERSION, 0, TYPE_DATA, "new", 3, 0);
	ASSERT_EQ(n, send(a, rec, n, 0));
	usleep(20000);
	EXPECT_EQ(5, recv_type(b, &type, buf, sizeof(buf), 0));
	EXPECT_EQ(TYPE_HANDSHAKE, type);
	EXPECT_EQ(0, poll_now(b, POLLIN, 20));
	EXPECT_EQ(-1, recv(b, buf, sizeof(buf), 0));
	EXPECT_EQ(EKEYEXPIRED, errno);
	EXPECT_EQ(0, set_key(b, TLS_RX, TLS_1_3_VERSION,
			     TLS_CIPHER_AES_GCM_128, 1));
	EXPECT_EQ(POLLIN, poll_now(b, POLLIN, 0));
	EXPECT_EQ(3, recv(b, buf, sizeof(buf), 0));
	close(a);
	close(b);
}

TEST_HARNESS_MAIN
