// SPDX-License-Identifier: GPL-2.0
/*
 * What has gone wrong in kernel TLS before: each test brings about the
 * situation of a published vulnerability, or of a class of them, that no test
 * elsewhere does. README.md has the table of all of them.
 */

#include "../../kselftest_harness.h"
#include "tls_test.h"
#include "wire.h"

#include <sys/mman.h>
#include <sys/uio.h>

#define EXPECT_ERRNO(want, call) do {					\
	EXPECT_EQ(-1, call);						\
	EXPECT_EQ(want, errno);						\
} while (0)

static const uint16_t both_versions[] = { TLS_1_2_VERSION, TLS_1_3_VERSION };

static int so_error(int fd)
{
	socklen_t len = sizeof(int);
	int err = -1;

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) ? -1 : err;
}

/* ---- state that is shared ---- */

/* Its peer has reset it: nothing is connected any more. */
static int reset_by(int peer, int fd)
{
	struct linger l = { .l_onoff = 1 };

	setsockopt(peer, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(peer);
	return poll_now(fd, POLLIN, 60000) & POLLHUP ? 0 : -1;
}

/* CVE-2023-0461 */
TEST(listen_shares_no_state_with_a_child)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	socklen_t len = sizeof(sa);
	int l, a, b, i, sockets[2];
	char buf[8];

	/* A socket that listens takes no state that a child could inherit. */
	l = socket(AF_INET, SOCK_STREAM, 0);
	ASSERT_EQ(0, bind(l, (void *)&sa, len));
	EXPECT_ERRNO(ENOTCONN, attach(l));
	ASSERT_EQ(0, listen(l, 2));
	EXPECT_ERRNO(ENOTCONN, attach(l));
	ASSERT_EQ(0, getsockname(l, (void *)&sa, &len));
	for (i = 0; i < 2; i++) {
		a = socket(AF_INET, SOCK_STREAM, 0);
		ASSERT_EQ(0, connect(a, (void *)&sa, len));
		b = accept(l, NULL, NULL);
		ASSERT_LE(0, b);
		/* The child is plain, and becomes what it wants itself. */
		EXPECT_ERRNO(ENOPROTOOPT, set_key(b, TLS_TX, TLS_1_3_VERSION,
						  TLS_CIPHER_AES_GCM_128, 1));
		EXPECT_EQ(0, attach(b));
		EXPECT_EQ(0, set_key(b, TLS_TX, TLS_1_3_VERSION,
				     TLS_CIPHER_AES_GCM_128, 1 + i));
		EXPECT_EQ(0, attach(a));
		EXPECT_EQ(0, set_key(a, TLS_RX, TLS_1_3_VERSION,
				     TLS_CIPHER_AES_GCM_128, 1 + i));
		EXPECT_EQ(3, send(b, "abc", 3, 0));
		EXPECT_EQ(3, recv(a, buf, sizeof(buf), 0));
		sockets[i] = b;
		close(a);
	}
	/* One goes, with all that is its own; the other stays usable. */
	close(sockets[0]);
	EXPECT_EQ(0, set_key(sockets[1], TLS_TX, TLS_1_3_VERSION,
			     TLS_CIPHER_AES_GCM_128, 9));
	close(sockets[1]);
	close(l);

	/* And what has state never listens, however its connection ended. */
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, tls_pair(TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128,
				      &a, &b));
		if (i == 0) {
			EXPECT_ERRNO(EOPNOTSUPP, connect(a, &none,
							 sizeof(none)));
			EXPECT_EQ(-1, listen(a, 1));
			ASSERT_EQ(0, reset_by(b, a));
		} else if (i == 1) {
			ASSERT_EQ(0, reset_by(b, a));
			EXPECT_ERRNO(EOPNOTSUPP, connect(a, &none,
							 sizeof(none)));
		} else {
			shutdown(b, SHUT_WR);
			close(b);
			shutdown(a, SHUT_WR);
			poll_now(a, POLLIN, 60000);
			EXPECT_ERRNO(EOPNOTSUPP, connect(a, &none,
							 sizeof(none)));
		}
		EXPECT_EQ(-1, listen(a, 1));
		len = sizeof(sa);
		bind(a, (void *)&sa, len);
		EXPECT_EQ(-1, listen(a, 1));
		close(a);
	}
}

/* ---- errors ---- */

/* CVE-2021-47496 */
TEST(failure_to_send_is_stored_with_its_sign)
{
	union keys k;
	size_t i, len;
	int a, b, v;

	for (v = 0; v < 2; v++) {
		ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
		ASSERT_EQ(0, attach(a));
		/* The record after this number cannot be encrypted. */
		len = make_keys(&k, both_versions[v], TLS_CIPHER_AES_GCM_128,
				1);
		memset(k.bytes + len - 8, 0xff, 8);
		ASSERT_EQ(0, setsockopt(a, SOL_TLS, TLS_TX, &k, len));
		ASSERT_EQ(3, send(a, "abc", 3, 0));
		/* A wrong sign would look like so many bytes. */
		EXPECT_ERRNO(EBADMSG, send(a, "def", 3, MSG_NOSIGNAL));
		EXPECT_NE(0, poll_now(a, POLLOUT, 0) & POLLERR);
		EXPECT_EQ(EBADMSG, so_error(a));
		for (i = 0; i < 3; i++)
			EXPECT_ERRNO(EBADMSG, send(a, "def", 3,
						   MSG_NOSIGNAL));
		EXPECT_LE(0, so_error(a));
		close(a);
		close(b);
	}
}

/* CVE-2021-47496, CVE-2025-39946 */
TEST(failure_to_receive_is_stored_with_its_sign)
{
	static unsigned char junk[40000];
	char buf[64];
	int a, b, v, i;

	memset(junk, TYPE_DATA, sizeof(junk));
	for (v = 0; v < 2; v++) {
		ASSERT_EQ(0, raw_pair(both_versions[v], TLS_CIPHER_AES_GCM_128,
				      &a, &b));
		ASSERT_EQ(5, send(a, "\27\3\1\0\100", 5, 0));
		ASSERT_NE(0, poll_now(b, POLLIN, 60000) & POLLERR);
		/* What the parser could go on with, if it went on. */
		ASSERT_EQ(sizeof(junk), send(a, junk, sizeof(junk), 0));
		for (i = 0; i < 3; i++) {
			EXPECT_ERRNO(EINVAL, recv(b, buf, sizeof(buf), 0));
			EXPECT_ERRNO(EINVAL, recv(b, buf, sizeof(buf),
						  MSG_PEEK | MSG_DONTWAIT));
			EXPECT_LE(0, so_error(b));
		}
		close(a);
		close(b);
	}
}

/* ---- keys and operations ---- */

struct shared {
	int fd;
	bool stop;
	long calls;
	long wrong;
	int ended;	/* threads that the kernel has let end */
};

static bool stopped(struct shared *s)
{
	return __atomic_load_n(&s->stop, __ATOMIC_RELAXED);
}

/* Key, IV and salt are of one seed, or of several? */
static bool of_one_seed(const union keys *k)
{
	unsigned char seed = k->bytes[4] - 4 * 5;
	size_t i;

	/* The IV of TLS 1.3 stays as it was given. */
	for (i = 4; i < 4 + 8 + 16 + 4; i++)
		if (k->bytes[i] != (unsigned char)(seed + i * 5))
			return false;
	return true;
}

static void *read_keys(void *arg)
{
	struct shared *s = arg;

	while (!stopped(s)) {
		int direction = s->calls++ & 1 ? TLS_TX : TLS_RX;
		union keys k;
		socklen_t len = sizeof(k.gcm128);

		if (getsockopt(s->fd, SOL_TLS, direction, &k, &len) ||
		    !of_one_seed(&k))
			s->wrong++;
	}
	__atomic_add_fetch(&s->ended, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* CVE-2023-28466 */
TEST(key_that_is_read_is_never_half_of_another)
{
	struct shared s = {};
	pthread_t reader[2];
	int a, b, i;

	ASSERT_EQ(0, tls_pair(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, &a,
			      &b));
	s.fd = a;
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&reader[i], NULL, read_keys, &s));
	for (i = 0; i < rounds(20000); i++)
		ASSERT_EQ(0, set_key(a, i & 1 ? TLS_TX : TLS_RX,
				     TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128,
				     i * 7));
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++)
		pthread_join(reader[i], NULL);
	EXPECT_EQ(2, s.ended);
	EXPECT_LT(0, s.calls);
	EXPECT_EQ(0, s.wrong);
	close(a);
	close(b);
}

static void *use_all(void *arg)
{
	struct shared *s = arg;
	char buf[64];

	while (!stopped(s)) {
		int fd = __atomic_load_n(&s->fd, __ATOMIC_ACQUIRE);
		socklen_t len = sizeof(int);
		int value;

		if (fd < 0)
			continue;
		value = 0;
		setsockopt(fd, SOL_TLS, TLS_TX_ZEROCOPY_RO, &value,
			   sizeof(value));
		getsockopt(fd, SOL_TLS, TLS_TX_ZEROCOPY_RO, &value, &len);
		poll_now(fd, POLLIN | POLLOUT, 0);
		recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		send(fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		len = sizeof(value);
		getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len);
		s->calls++;
	}
	__atomic_add_fetch(&s->ended, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* CVE-2024-36489: who finds no context there faults, and does not end. */
TEST(operations_that_are_seen_have_their_context)
{
	struct shared s = { .fd = -1 };
	pthread_t users[2];
	int a, b, i;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&users[i], NULL, use_all, &s));
	for (i = 0; i < rounds(1000); i++) {
		long before = s.calls;
		int turn;

		ASSERT_EQ(0, tcp_pair(i & 1 ? AF_INET : AF_INET6, &a, &b));
		__atomic_store_n(&s.fd, a, __ATOMIC_RELEASE);
		for (turn = 0; turn < 1000 && s.calls == before; turn++)
			sched_yield();
		EXPECT_EQ(0, attach(a));
		set_key(a, TLS_TX, TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, 1);
		set_key(a, TLS_RX, TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, 1);
		__atomic_store_n(&s.fd, -1, __ATOMIC_RELEASE);
		close(a);
		close(b);
	}
	__atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++)
		pthread_join(users[i], NULL);
	EXPECT_EQ(2, s.ended);
	EXPECT_LT(0, s.calls);
}

/* ---- pieces of what is sent ---- */

/* A page of its own for each piece, so that none can be joined with another. */
static int fill_pipe(int p, unsigned char *pages, unsigned int *pos, int pieces,
		     size_t len)
{
	struct iovec iov;
	int i;

	for (i = 0; i < pieces; i++) {
		iov.iov_base = pages + i * 4096 + (i * 37 & 0xff);
		iov.iov_len = len;
		number(iov.iov_base, len, *pos);
		*pos += len;
		if (vmsplice(p, &iov, 1, 0) != (ssize_t)len)
			return -1;
	}
	return 0;
}

#define MANY_PIECES	64

/*
 * CVE-2024-0646, CVE-2023-6176: as many pieces as a record has room for, fewer
 * and more; behind data that is gathered already, and with more to come.
 */
TEST(splice_of_any_number_of_pieces_fits_its_record)
{
	static const size_t sizes[] = { 1, 300, 600, 3800 };
	static struct wire w;
	unsigned char *pages;
	unsigned int pos = 0;
	int a, p[2], n, v;
	size_t i;

	for (v = 0; v < 2; v++) {
		ASSERT_EQ(0, wire_pair(&w, &a, both_versions[v],
				       TLS_CIPHER_AES_GCM_128));
		ASSERT_EQ(0, pipe(p));
		ASSERT_LE(MANY_PIECES * 4096,
			  fcntl(p[1], F_SETPIPE_SZ, MANY_PIECES * 4096));
		for (i = pos = 0; i < ARRAY_SIZE(sizes); i++) {
			for (n = 1; n <= MANY_PIECES; n += 1 + n / 20) {
				ssize_t total = n * sizes[i], left;
				unsigned int gathered = n % 3;

				/* Fresh pages: the old may still be on the way. */
				pages = mmap(NULL, MANY_PIECES * 4096,
					     PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS, -1,
					     0);
				ASSERT_NE(MAP_FAILED, pages);
				ASSERT_EQ(gathered, put(a, &pos, gathered,
							MSG_MORE));
				ASSERT_EQ(0, fill_pipe(p[1], pages, &pos, n,
						       sizes[i]));
				for (left = total; left; ) {
					ssize_t did;

					did = splice(p[0], NULL, a, NULL, left,
						     n & 1 ? SPLICE_F_MORE : 0);
					ASSERT_LT(0, did);
					left -= did;
				}
				ASSERT_EQ(0, send(a, "", 0, 0));
				while (w.pos != pos) {
					ASSERT_EQ(1, wire_next(&w));
					ASSERT_EQ(0, wire_check(&w));
				}
				munmap(pages, MANY_PIECES * 4096);
			}
		}
		close(p[0]);
		close(p[1]);
		close(a);
		wire_close(&w);
	}
}

/* CVE-2023-6176: a user's buffer that covers one page more than it fills. */
TEST(buffer_across_any_pages_fits_its_record)
{
	static const size_t lens[] = { 4097, 8191, 8193, 12289, 16383, 16384 };
	static struct wire w;
	unsigned char *area;
	unsigned int pos = 0;
	size_t i, at;
	int a, v;

	area = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, area);
	for (v = 0; v < 2; v++) {
		ASSERT_EQ(0, wire_pair(&w, &a, both_versions[v],
				       TLS_CIPHER_AES_GCM_128));
		for (i = pos = 0; i < ARRAY_SIZE(lens); i++) {
			for (at = 0; at < 4096; at += at < 4090 ? 409 : 1) {
				/* In two vectors, the first of a few bytes. */
				struct iovec iov[2] = {
					{ area + at, at % 7 },
					{ area + at + at % 7,
					  lens[i] - at % 7 },
				};
				struct msghdr msg = { .msg_iov = iov,
						      .msg_iovlen = 2 };

				number(area + at, lens[i], pos);
				pos += lens[i];
				ASSERT_EQ(lens[i], sendmsg(a, &msg, 0));
				ASSERT_EQ(0, wire_expect(&w, TYPE_DATA,
							 lens[i]));
			}
		}
		close(a);
		wire_close(&w);
	}
	munmap(area, 8 * 4096);
}

/*
 * CVE-2023-52767: the end of a file comes while a record is open, is empty
 * because its first byte could not be read, or was just completed.
 */
TEST(end_of_splice_meets_any_record)
{
	static const size_t lens[] = { 1, 4096, RECORD_MAX - 1, RECORD_MAX,
				       RECORD_MAX + 1, 2 * RECORD_MAX };
	static struct wire w;
	unsigned int pos = 0;
	size_t i, gathered;
	int a, v, fd, way;

	for (v = 0; v < 2; v++) {
		ASSERT_EQ(0, wire_pair(&w, &a, both_versions[v],
				       TLS_CIPHER_AES_GCM_128));
		for (i = pos = 0; i < ARRAY_SIZE(lens); i++) {
			for (way = 0; way < 4; way++) {
				gathered = way & 1;
				ASSERT_EQ(gathered, put(a, &pos, gathered,
							MSG_MORE));
				if (way & 2)
					EXPECT_ERRNO(EFAULT,
						     send(a, (void *)8, 100,
							  MSG_MORE));
				fd = file_of(pos, lens[i]);
				ASSERT_LE(0, fd);
				lseek(fd, 0, SEEK_SET);
				pos += lens[i];
				/* It has less than is asked for. */
				ASSERT_EQ(lens[i], sendfile(a, fd, NULL,
							    lens[i] + 50000));
				ASSERT_EQ(0, sendfile(a, fd, NULL, 50000));
				close(fd);
				ASSERT_EQ(0, send(a, "", 0, 0));
				while (w.pos != pos) {
					ASSERT_EQ(1, wire_next(&w));
					ASSERT_EQ(0, wire_check(&w));
				}
			}
		}
		close(a);
		/* And no record that nobody asked for. */
		EXPECT_EQ(0, wire_next(&w));
		wire_close(&w);
	}
}

/* ---- the end of a socket ---- */

static void *drain_slowly(void *arg)
{
	struct shared *s = arg;
	unsigned char in[5000], due[5000];
	ssize_t n;

	while ((n = recv(s->fd, in, sizeof(in), 0)) > 0) {
		number(due, n, s->calls);
		if (memcmp(in, due, n))
			s->wrong++;
		s->calls += n;
	}
	if (n < 0)
		s->wrong++;
	return NULL;
}

/* Return: the line at which something was not as it should be, or 0. */
static int close_and_make_room(int i)
{
	int a, b, turn, small = 8000, large = 1 << 20;
	const uint16_t version = both_versions[i & 1];
	struct shared s = {};
	unsigned int pos = 0;
	pthread_t reader;

	if (tcp_pair(AF_INET, &a, &b))
		return __LINE__;
	setsockopt(a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (attach(a) || attach(b) ||
	    set_key(a, TLS_TX, version, TLS_CIPHER_AES_GCM_128, 1) ||
	    set_key(b, TLS_RX, version, TLS_CIPHER_AES_GCM_128, 1))
		return __LINE__;
	/* Until it takes no more. */
	for (turn = 0; turn < 100; turn++)
		if (put(a, &pos, 3000 + i * 97 % 9000, MSG_DONTWAIT) < 0)
			break;
	if (turn == 100)
		return __LINE__;
	/* A record begins, and TCP is full when it ends. */
	setsockopt(a, SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
	turn = 20000 + i * 977 % 60000;
	if (put(a, &pos, turn, 0) != turn ||
	    put(a, &pos, 15000, MSG_MORE) != 15000)
		return __LINE__;
	setsockopt(a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	s.fd = b;
	/* The peer makes room later, at the same time, or before. */
	if (i % 3 == 0)
		close(a);
	if (pthread_create(&reader, NULL, drain_slowly, &s))
		return __LINE__;
	if (i % 3 == 2)
		usleep(i * 53 % 2000);
	if (i % 4 == 3 && i % 3)
		shutdown(a, SHUT_WR);
	if (i % 3)
		close(a);
	pthread_join(reader, NULL);
	close(b);
	/* All that was taken arrives, as it was given. */
	return s.wrong || s.calls != pos ? __LINE__ : 0;
}

/*
 * CVE-2024-26585, CVE-2026-23240: while a socket is closed, its peer makes
 * room, so that records that wait want to go once more. TCP waits most of the
 * time, so several do it side by side.
 */
TEST(close_and_room_for_what_waits_come_together)
{
	const int jobs = 5;
	pid_t pid[jobs];
	int i, j, line, status;

	for (j = 0; j < jobs; j++) {
		pid[j] = fork();
		if (pid[j])
			continue;
		line = 0;
		for (i = j; i < rounds(100) && !line; i += jobs)
			line = close_and_make_room(i);
		if (line)
			printf("# round %d, line %d\n", i - jobs, line);
		fflush(stdout);
		_exit(!!line);
	}
	for (j = 0; j < jobs; j++) {
		ASSERT_EQ(pid[j], waitpid(pid[j], &status, 0));
		EXPECT_EQ(0, status);
	}
}

static void *recv_three(void *arg)
{
	struct shared *s = arg;
	char buf[8] = {};

	__atomic_store_n(&s->stop, true, __ATOMIC_RELEASE);
	s->calls = recv(s->fd, buf, 3, MSG_WAITALL);
	s->wrong = memcmp(buf, "abc", 3);
	return NULL;
}

/* CVE-2025-37756: with whoever sleeps on the socket, and what waits in it. */
TEST(connect_af_unspec_leaves_all_as_it_was)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct sockaddr_in sa = { .sin_family = AF_INET };
	socklen_t len = sizeof(sa);
	struct shared s = {};
	pthread_t reader;
	char buf[8];
	int a, b, i;

	ASSERT_EQ(0, tls_pair(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, &a,
			      &b));
	s.fd = a;
	ASSERT_EQ(0, pthread_create(&reader, NULL, recv_three, &s));
	while (!stopped(&s))
		usleep(1000);
	usleep(50000);
	ASSERT_EQ(2, send(a, "de", 2, MSG_MORE));
	for (i = 0; i < 3; i++) {
		EXPECT_ERRNO(EOPNOTSUPP, connect(a, &none, sizeof(none)));
		/* Nor does it become another connection. */
		ASSERT_EQ(0, getpeername(a, (void *)&sa, &len));
		EXPECT_EQ(-1, connect(a, (void *)&sa, len));
	}
	EXPECT_EQ(3, send(b, "abc", 3, 0));
	pthread_join(reader, NULL);
	EXPECT_EQ(3, s.calls);
	EXPECT_EQ(0, s.wrong);
	EXPECT_EQ(1, send(a, "f", 1, 0));
	EXPECT_EQ(3, recv(b, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(buf, "def", 3));
	close(a);
	close(b);

	/* The same without keys, and then with. */
	ASSERT_EQ(0, tcp_pair(AF_INET6, &a, &b));
	ASSERT_EQ(0, attach(a));
	EXPECT_ERRNO(EOPNOTSUPP, connect(a, &none, sizeof(none)));
	ASSERT_EQ(0, attach(b));
	ASSERT_EQ(0, set_key(a, TLS_TX, TLS_1_2_VERSION,
			     TLS_CIPHER_AES_GCM_128, 1));
	ASSERT_EQ(0, set_key(b, TLS_RX, TLS_1_2_VERSION,
			     TLS_CIPHER_AES_GCM_128, 1));
	EXPECT_EQ(3, send(a, "abc", 3, 0));
	EXPECT_EQ(3, recv(b, buf, sizeof(buf), 0));
	close(a);
	close(b);
}

/* ---- what is received ---- */

/* CVE-2024-58239: the type that was peeked at is that of the whole call. */
TEST(control_record_that_was_peeked_at_ends_its_call)
{
	unsigned char rec[4][100];
	int a, b, v, type, i;
	size_t n[4];
	char buf[64];

	for (v = 0; v < 2; v++) {
		ASSERT_EQ(0, raw_pair(both_versions[v], TLS_CIPHER_AES_GCM_128,
				      &a, &b));
		for (i = 0; i < 4; i++) {
			n[i] = make_record(rec[i], both_versions[v], i,
					   i ? TYPE_DATA : TYPE_ALERT,
					   i ? "data" : "\1\0", i ? 4 : 2, 0);
			ASSERT_LT(0, n[i]);
		}
		ASSERT_EQ(n[0], send(a, rec[0], n[0], 0));
		EXPECT_EQ(2, recv_type(b, &type, buf, sizeof(buf), MSG_PEEK));
		EXPECT_EQ(TYPE_ALERT, type);
		/* It is decrypted; one byte of it, and data comes behind. */
		EXPECT_EQ(1, recv_type(b, &type, buf, 1, 0));
		EXPECT_EQ(TYPE_ALERT, type);
		for (i = 1; i < 4; i++)
			ASSERT_EQ(n[i], send(a, rec[i], n[i], 0));
		ASSERT_EQ(1, recv_type(b, &type, buf, sizeof(buf), 0));
		EXPECT_EQ(TYPE_ALERT, type);
		EXPECT_EQ(12, recv_type(b, &type, buf, 12, MSG_WAITALL));
		EXPECT_EQ(TYPE_DATA, type);
		EXPECT_EQ(0, memcmp(buf, "datadatadata", 12));
		close(a);
		close(b);
	}
}

/* A counter of TCP, or -1. */
static long tcp_counter(const char *name)
{
	char names[8192], values[8192], *n, *v, *save_n, *save_v;
	FILE *f = fopen("/proc/net/netstat", "r");
	long found = -1;

	while (f && found < 0 && fgets(names, sizeof(names), f) &&
	       fgets(values, sizeof(values), f)) {
		n = strtok_r(names, " \n", &save_n);
		v = strtok_r(values, " \n", &save_v);
		for (; n && v; n = strtok_r(NULL, " \n", &save_n),
			       v = strtok_r(NULL, " \n", &save_v))
			if (!strcmp(n, name))
				found = atol(v);
	}
	if (f)
		fclose(f);
	return found;
}

/*
 * CVE-2025-38471: a record is announced, and peeked at; then TCP, short of
 * room, copies its segments together and frees them.
 */
TEST(segments_that_tcp_copies_together_are_found_anew)
{
	static unsigned char rec[2][RECORD_MAX + 100];
	static unsigned char out[12000], in[RECORD_MAX];
	int a, b, i, v, room = 6000;
	long before = tcp_counter("TCPRcvCollapsed");
	size_t first, len, at;
	ssize_t n;

	ASSERT_LE(0, before);
	fill(out, sizeof(out), 3);
	/* Whether it comes to that depends on how fast each side is. */
	for (i = 0; i < rounds(20) ||
	     (i < 200 && before == tcp_counter("TCPRcvCollapsed")); i++) {
		v = i & 1;
		ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
		setsockopt(b, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
		ASSERT_EQ(0, attach(b));
		ASSERT_EQ(0, set_key(b, TLS_RX, both_versions[v],
				     TLS_CIPHER_AES_GCM_128, 1));
		setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 },
			   sizeof(int));
		first = make_record(rec[0], both_versions[v], 0, TYPE_DATA,
				    "first", 5, 0);
		len = make_record(rec[1], both_versions[v], 1, TYPE_DATA, out,
				  sizeof(out), 0);
		ASSERT_LT(0, first);
		ASSERT_LT(0, len);
		for (at = 0; at < first; at++)
			ASSERT_EQ(1, send(a, rec[0] + at, 1, 0));
		if (i % 3)
			ASSERT_EQ(POLLIN, poll_now(b, POLLIN, 60000));
		if (i % 3 == 2)
			ASSERT_EQ(5, recv(b, in, 5, MSG_PEEK));
		/* Segments of few bytes cost TCP many, until it has no more. */
		for (at = 0; at < len; at += n) {
			n = len - at < 20 ? len - at : 20;
			n = send(a, rec[1] + at, n, MSG_DONTWAIT);
			if (n < 0)
				break;
		}
		/* They are on their way, or the window is closed. */
		usleep(20000);
		ASSERT_EQ(5, recv(b, in, 5, MSG_WAITALL));
		EXPECT_EQ(0, memcmp(in, "first", 5));
		ASSERT_EQ(len - at, send(a, rec[1] + at, len - at, 0));
		ASSERT_EQ(sizeof(out), recv_all(b, in, sizeof(out)));
		EXPECT_EQ(0, memcmp(in, out, sizeof(out)));
		close(a);
		close(b);
	}
	EXPECT_LT(before, tcp_counter("TCPRcvCollapsed"));
}

TEST_HARNESS_MAIN
