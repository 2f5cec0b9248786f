// SPDX-License-Identifier: GPL-2.0
/*
 * The corners of attaching: where bytes in the clear end and records begin,
 * whoever sends at that moment, and what is not accepted.
 */

#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "tls_test.h"
#include "wire.h"

#include <sys/mman.h>

#define CLEAR 0xaa		/* no record begins with it */

FIXTURE(keys)
{
	int a;			/* plain yet */
	struct wire w;		/* its peer */
};

FIXTURE_VARIANT(keys)
{
	uint16_t version, cipher;
};

FIXTURE_VARIANT_ADD(keys, tls12_gcm)
{
	.version = TLS_1_2_VERSION, .cipher = TLS_CIPHER_AES_GCM_128,
};

FIXTURE_VARIANT_ADD(keys, tls13_gcm)
{
	.version = TLS_1_3_VERSION, .cipher = TLS_CIPHER_AES_GCM_128,
};

static const int small = 20000;

#define CONNECT() do {							\
	int b_;								\
									\
	ASSERT_EQ(0, tcp_pair(AF_INET, &self->a, &b_));			\
	ASSERT_EQ(0, wire_open(&self->w, b_, variant->version,		\
			       variant->cipher, 1));			\
	ASSERT_EQ(0, setsockopt(self->a, SOL_SOCKET, SO_SNDBUF, &small,	\
				sizeof(small)));			\
	ASSERT_EQ(0, setsockopt(b_, SOL_SOCKET, SO_RCVBUF, &small,	\
				sizeof(small)));			\
	ASSERT_EQ(0, attach(self->a));					\
} while (0)

#define DISCONNECT() do {						\
	close(self->a);							\
	wire_close(&self->w);						\
} while (0)

#define SET_TX() set_key(self->a, TLS_TX, variant->version, variant->cipher, 1)

FIXTURE_SETUP(keys)
{
	signal(SIGPIPE, SIG_IGN);
	memset(bytes, CLEAR, sizeof(bytes));
	CONNECT();
}

FIXTURE_TEARDOWN(keys)
{
	DISCONNECT();
}

/* Read the bytes in the clear, up to the first record or the end: how many. */
static ssize_t read_clear(struct wire *w)
{
	static unsigned char buf[65536];
	ssize_t total = 0;

	for (;;) {
		ssize_t n = recv(w->fd, buf, sizeof(buf), MSG_PEEK), i;

		if (n <= 0)
			return n < 0 ? n : total;
		for (i = 0; i < n && buf[i] == CLEAR; i++)
			;
		if (recv(w->fd, buf, i, 0) != i)
			return -1;
		total += i;
		if (i < n)
			return total;
	}
}

/* Read records of such bytes to the end of the stream: how many, or -1. */
static ssize_t read_records(struct wire *w)
{
	ssize_t total = 0;
	size_t i;
	int ret;

	while ((ret = wire_next(w)) == 1) {
		for (i = 0; i < w->len; i++)
			if (w->text[i] != CLEAR)
				return -1;
		total += w->len;
	}
	return ret ? -1 : total;
}

/* ---- where the clear ends ---- */

TEST_F_TIMEOUT(keys, first_record_follows_the_last_byte_in_the_clear, 120)
{
	static const int lens[] = { 0, 1, 5, 100, 5000, 12000 };
	unsigned int i, how;

	for (i = 0; i < ARRAY_SIZE(lens) * 3; i++) {
		int len = lens[i / 3], file;

		how = i % 3;
		if (how == 2) {
			file = memfd_create("file", 0);
			ASSERT_EQ(len, write(file, bytes, len));
			ASSERT_EQ(len, sendfile(self->a, file, (off_t[]){ 0 },
						len));
			close(file);
		} else {
			ASSERT_EQ(len, send(self->a, bytes, len,
					    how ? MSG_MORE : 0));
		}
		ASSERT_EQ(0, SET_TX());
		ASSERT_EQ(7, send(self->a, bytes, 7, 0));
		ASSERT_EQ(0, shutdown(self->a, SHUT_WR));
		ASSERT_EQ(len, read_clear(&self->w));
		ASSERT_EQ(7, read_records(&self->w));
		DISCONNECT();
		CONNECT();
	}
}

/* What TCP has taken and not sent yet stays as it is. */
TEST_F_TIMEOUT(keys, full_buffer_in_the_clear_goes_first, 120)
{
	ssize_t clear = 0, n;
	int i;

	while ((n = send(self->a, bytes, 9000, MSG_DONTWAIT)) > 0)
		clear += n;
	ASSERT_EQ(0, SET_TX());
	/* There may be no room for it now. */
	n = send(self->a, bytes, 3000, MSG_DONTWAIT);
	if (n < 0)
		ASSERT_EQ(EAGAIN, errno);
	ASSERT_EQ(0, shutdown(self->a, SHUT_WR));
	ASSERT_EQ(clear, read_clear(&self->w));
	i = read_records(&self->w);
	ASSERT_EQ(n < 0 ? 0 : n, i);
}

/*
 * A writer that sleeps in plain TCP: either the key is refused, or not one of
 * its further bytes goes in the clear.
 */
TEST_F_TIMEOUT(keys, sleeping_writer_never_goes_on_in_the_clear, 120)
{
	struct timeval tv = { .tv_usec = 400000 };
	int how;

	/* Plain, with MSG_MORE, with a timeout that ends its sleep. */
	for (how = 0; how < 3; how++) {
		struct sleeper s = { .fd = self->a, .len = sizeof(bytes),
				     .flags = how == 1 ? MSG_MORE : 0 };
		ssize_t clear, records, taken;
		pthread_t thread;
		int ret;

		if (how == 2)
			ASSERT_EQ(0, setsockopt(self->a, SOL_SOCKET,
						SO_SNDTIMEO, &tv, sizeof(tv)));
		ASSERT_EQ(0, sleeper_start(&s, &thread));
		ret = SET_TX();
		/* The peer does not read: what TCP has is what it had. */
		taken = tcp_has(self->a, SIOCOUTQ);
		if (ret) {
			ASSERT_EQ(EBUSY, errno);
			if (how == 2) {
				pthread_join(thread, NULL);
				ASSERT_EQ(0, SET_TX());
				ASSERT_EQ(0, shutdown(self->a, SHUT_WR));
				ASSERT_EQ(s.n, read_clear(&self->w));
				ASSERT_EQ(0, read_records(&self->w));
			} else {
				/* It was not accepted: all stays plain. */
				ASSERT_EQ(sizeof(bytes),
					  recv_all(self->w.fd, bytes,
						   sizeof(bytes)));
				pthread_join(thread, NULL);
				ASSERT_EQ(sizeof(bytes), s.n);
				/* It is accepted when nobody sleeps. */
				ASSERT_EQ(0, SET_TX());
				ASSERT_EQ(7, send(self->a, bytes, 7, 0));
				ASSERT_EQ(0, shutdown(self->a, SHUT_WR));
				ASSERT_EQ(7, read_records(&self->w));
			}
		} else {
			int queued = 0;

			ASSERT_EQ(0, ioctl(self->w.fd, FIONREAD, &queued));
			clear = read_clear(&self->w);
			ASSERT_GE(taken + queued, clear);
			pthread_join(thread, NULL);
			ASSERT_EQ(0, shutdown(self->a, SHUT_WR));
			records = read_records(&self->w);
			ASSERT_LE(0, records);
			ASSERT_EQ(s.n, clear + records);
		}
		DISCONNECT();
		memset(bytes, CLEAR, sizeof(bytes));
		CONNECT();
	}
}

struct sender {
	int fd;
	unsigned int seed;
	bool stop;
	ssize_t sent;
	int err;
};

static void *send_on(void *arg)
{
	struct sender *s = arg;
	size_t len;
	ssize_t n;
	bool stop;

	/* Once more after the key has come: its reader waits for a record. */
	do {
		stop = __atomic_load_n(&s->stop, __ATOMIC_RELAXED);
		len = 1 + rand_r(&s->seed) % 3000;
		n = send(s->fd, bytes, len, 0);
		if (n != (ssize_t)len) {
			s->err = errno;
			break;
		}
		s->sent += n;
		if (rand_r(&s->seed) % 4 == 0)
			usleep(rand_r(&s->seed) % 500);
	} while (!stop);
	return NULL;
}

struct key_setter {
	int fd;
	uint16_t version, cipher;
	struct sender *senders;
	int ret;
};

/* Refused while one sleeps, tried again; then the senders go on for a while. */
static void *set_key_some_time(void *arg)
{
	struct key_setter *k = arg;
	int i;

	usleep(rand() % 20000);
	for (i = 0; i < 30000; i++) {
		k->ret = set_key(k->fd, TLS_TX, k->version, k->cipher, 1);
		if (!k->ret || errno != EBUSY)
			break;
		usleep(500);
	}
	usleep(10000);
	for (i = 0; i < 3; i++)
		__atomic_store_n(&k->senders[i].stop, true, __ATOMIC_RELAXED);
	return NULL;
}

TEST_F_TIMEOUT(keys, no_byte_in_the_clear_follows_a_record, 600)
{
	int round, most = rounds(20), i;

	srand(variant->version);
	for (round = 0; round < most; round++) {
		struct sender senders[3] = {};
		struct key_setter k = {
			.fd = self->a, .version = variant->version,
			.cipher = variant->cipher, .senders = senders,
		};
		pthread_t threads[3], setter;
		ssize_t sent = 0, clear, records;

		for (i = 0; i < 3; i++) {
			senders[i].fd = self->a;
			senders[i].seed = round * 3 + i;
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, send_on,
						    &senders[i]));
		}
		ASSERT_EQ(0, pthread_create(&setter, NULL, set_key_some_time,
					    &k));
		/* Comes back at the first record. */
		clear = read_clear(&self->w);
		ASSERT_LE(0, clear);
		records = 0;
		/* The key is there: nothing that the setter does waits for us. */
		pthread_join(setter, NULL);
		ASSERT_EQ(0, k.ret);
		/* They may sleep until the peer reads on. */
		for (i = 0; i < 3; i++) {
			while (pthread_tryjoin_np(threads[i], NULL)) {
				int ret = wire_read(&self->w, WIRE_MAX,
						    MSG_DONTWAIT);

				ASSERT_STREQ("", self->w.why);
				if (ret == 2)
					records += self->w.len;
				else if (ret < 0)
					usleep(500);
			}
			ASSERT_EQ(0, senders[i].err);
			sent += senders[i].sent;
		}
		ASSERT_EQ(0, shutdown(self->a, SHUT_WR));
		/* A record may be there in part. */
		while (self->w.have) {
			int ret = wire_read(&self->w, WIRE_MAX, 0);

			ASSERT_LT(0, ret);
			if (ret == 2)
				records += self->w.len;
		}
		records += read_records(&self->w);
		ASSERT_EQ(sent, clear + records);
		DISCONNECT();
		CONNECT();
	}
}

/* ---- several threads attach and install ---- */

struct starter {
	pthread_barrier_t *start;
	int fd;
	uint16_t version, cipher;
	bool key;
	int err;
};

static void *start(void *arg)
{
	struct starter *s = arg;
	int ret;

	pthread_barrier_wait(s->start);
	ret = s->key ? set_key(s->fd, TLS_TX, s->version, s->cipher, 1) :
	      attach(s->fd);
	s->err = ret ? errno : 0;
	return NULL;
}

/* All at once: how many had this error? */
static int start_all(int fd, bool key, uint16_t version, uint16_t cipher,
		     int err)
{
	struct starter s[4];
	pthread_barrier_t barrier;
	pthread_t threads[4];
	int i, count = 0;

	pthread_barrier_init(&barrier, NULL, 4);
	for (i = 0; i < 4; i++) {
		s[i] = (struct starter){ &barrier, fd, version, cipher, key, 0 };
		pthread_create(&threads[i], NULL, start, &s[i]);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		count += s[i].err == err;
	}
	pthread_barrier_destroy(&barrier);
	return count;
}

TEST_F_TIMEOUT(keys, one_of_several_threads_attaches_and_installs, 120)
{
	int i, a, b, won, most = rounds(50);

	for (i = 0; i < most; i++) {
		ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
		ASSERT_EQ(1, start_all(a, false, 0, 0, 0));
		/* A second time by each of them. */
		ASSERT_EQ(4, start_all(a, false, 0, 0, EEXIST));
		won = start_all(a, true, variant->version, variant->cipher, 0);
		if (variant->version == TLS_1_2_VERSION) {
			ASSERT_EQ(1, won);
			ASSERT_EQ(4, start_all(a, true, variant->version,
					       variant->cipher, EBUSY));
		} else {
			ASSERT_EQ(4, won);
		}
		ASSERT_EQ(3, send(a, "abc", 3, 0));
		close(a);
		close(b);
	}
}

/* ---- what is not accepted, and leaves nothing behind ---- */

TEST_F(keys, key_is_read_to_its_last_byte_and_no_further)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	union keys k;
	size_t len = make_keys(&k, variant->version, variant->cipher, 1), cut;
	char *at = page + 4096 - len;

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, mprotect(page + 4096, 4096, PROT_NONE));
	memcpy(at, &k, len);
	/* The last bytes are not there. */
	for (cut = 1; cut <= len; cut++) {
		ASSERT_EQ(-1, setsockopt(self->a, SOL_TLS, TLS_TX, at + cut,
					 len));
		/* The header may look like something else. */
		ASSERT_TRUE(errno == EFAULT || errno == EINVAL);
	}
	memmove(at + 1, at, len - 1);
	ASSERT_EQ(-1, setsockopt(self->a, SOL_TLS, TLS_TX, at + 1, len));
	EXPECT_EQ(EFAULT, errno);
	/* It is plain TCP as before. */
	ASSERT_EQ(5, send(self->a, bytes, 5, 0));
	memcpy(at, &k, len);
	ASSERT_EQ(0, setsockopt(self->a, SOL_TLS, TLS_TX, at, len));
	ASSERT_EQ(6, send(self->a, bytes, 6, 0));
	ASSERT_EQ(0, shutdown(self->a, SHUT_WR));
	EXPECT_EQ(5, read_clear(&self->w));
	EXPECT_EQ(6, read_records(&self->w));
	munmap(page, 8192);
}

TEST_F(keys, connection_that_ended_is_not_attached)
{
	struct linger now = { .l_onoff = 1 };
	char c, name[16] = {};
	socklen_t len = sizeof(name);
	int a, b;

	ASSERT_EQ(0, getsockopt(self->a, IPPROTO_TCP, TCP_ULP, name, &len));
	EXPECT_STREQ("tls", name);

	/* The peer closed, and we saw it. */
	ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
	close(b);
	ASSERT_EQ(0, recv(a, &c, 1, 0));
	EXPECT_EQ(-1, attach(a));
	EXPECT_EQ(ENOTCONN, errno);
	close(a);

	/* It was reset. */
	ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
	ASSERT_EQ(0, setsockopt(b, SOL_SOCKET, SO_LINGER, &now, sizeof(now)));
	close(b);
	ASSERT_EQ(-1, recv(a, &c, 1, 0));
	ASSERT_EQ(ECONNRESET, errno);
	EXPECT_EQ(-1, attach(a));
	EXPECT_EQ(ENOTCONN, errno);
	close(a);
}

/* The same over IPv6, and over IPv4 through a socket of IPv6. */
TEST_F(keys, every_family_carries_records)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6 };
	socklen_t len = sizeof(sa);
	int a, b, l, i;

	for (i = 0; i < 2; i++) {
		if (i) {
			l = socket(AF_INET6, SOCK_STREAM, 0);
			a = socket(AF_INET6, SOCK_STREAM, 0);
			ASSERT_EQ(1, inet_pton(AF_INET6, "::ffff:127.0.0.1",
					       &sa.sin6_addr));
			ASSERT_EQ(0, bind(l, (void *)&sa, len));
			ASSERT_EQ(0, listen(l, 1));
			ASSERT_EQ(0, getsockname(l, (void *)&sa, &len));
			ASSERT_EQ(0, connect(a, (void *)&sa, len));
			b = accept(l, NULL, NULL);
			ASSERT_LE(0, b);
			close(l);
		} else {
			ASSERT_EQ(0, tcp_pair(AF_INET6, &a, &b));
		}
		DISCONNECT();
		self->a = a;
		ASSERT_EQ(0, wire_open(&self->w, b, variant->version,
				       variant->cipher, 1));
		ASSERT_EQ(0, attach(a));
		ASSERT_EQ(0, SET_TX());
		ASSERT_EQ(20000, send(a, next(0, 20000), 20000, 0));
		ASSERT_EQ(0, wire_expect(&self->w, TYPE_DATA, RECORD_MAX));
		ASSERT_EQ(0, wire_expect(&self->w, TYPE_DATA,
					 20000 - RECORD_MAX));
	}
}

TEST_HARNESS_MAIN
