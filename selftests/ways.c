// SPDX-License-Identifier: GPL-2.0
/*
 * The ways to send: vectors, files, pipes, many messages, and in each of them
 * the limits of a record and of a key. Looked at from the wire.
 */

#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "tls_test.h"
#include "wire.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/uio.h>

FIXTURE(ways)
{
	int a;			/* sends TLS */
	struct wire w;		/* takes it apart */
	unsigned int pos;	/* number of the next byte to send */
};

FIXTURE_VARIANT(ways)
{
	uint16_t version, cipher;
};

FIXTURE_VARIANT_ADD(ways, tls12_gcm)
{
	.version = TLS_1_2_VERSION, .cipher = TLS_CIPHER_AES_GCM_128,
};

FIXTURE_VARIANT_ADD(ways, tls13_gcm)
{
	.version = TLS_1_3_VERSION, .cipher = TLS_CIPHER_AES_GCM_128,
};

FIXTURE_VARIANT_ADD(ways, tls12_chacha)
{
	.version = TLS_1_2_VERSION, .cipher = TLS_CIPHER_CHACHA20_POLY1305,
};

FIXTURE_SETUP(ways)
{
	signal(SIGPIPE, SIG_IGN);
	self->pos = 0;
	ASSERT_EQ(0, wire_pair(&self->w, &self->a, variant->version,
			       variant->cipher));
}

FIXTURE_TEARDOWN(ways)
{
	close(self->a);
	wire_close(&self->w);
}

#define PUT(n, flags) put(self->a, &self->pos, n, flags)
#define WIRE(type, n) ASSERT_EQ(0, wire_expect(&self->w, type, n))
#define DATA(n) WIRE(TYPE_DATA, n)
#define SILENT() ASSERT_TRUE(wire_silent(&self->w, self->a))

/* ---- vectors ---- */

TEST_F(ways, vector_of_1024_single_bytes_is_one_record)
{
	struct iovec iov[1024];
	int i, flags;

	for (flags = 0; flags <= MSG_MORE; flags += MSG_MORE) {
		struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 1024 };

		number(bytes, 1024, self->pos);
		for (i = 0; i < 1024; i++) {
			iov[i].iov_base = bytes + i;
			iov[i].iov_len = 1;
		}
		ASSERT_EQ(1024, sendmsg(self->a, &msg, flags));
		self->pos += 1024;
		if (flags) {
			SILENT();
			ASSERT_EQ(1, PUT(1, 0));
			DATA(1025);
		} else {
			DATA(1024);
		}
	}
}

/* @len bytes in random pieces, many of them empty; returns their number. */
static int pieces(struct iovec *iov, int most, unsigned char *from, size_t len)
{
	int i;

	for (i = 0; i < most - 1 && len; i++) {
		size_t n = rand() % 3 ? 0 : 1 + rand() % (2 * len / most + 1);

		if (rand() % 8 == 0)
			n = 1 + rand() % len;
		if (n > len)
			n = len;
		/* Nothing is read from where an empty piece points to. */
		iov[i].iov_base = n ? from : (void *)(long)(rand() % 4096);
		iov[i].iov_len = n;
		from += n;
		len -= n;
	}
	iov[i].iov_base = from;
	iov[i].iov_len = len;
	return i + 1;
}

TEST_F_TIMEOUT(ways, empty_pieces_of_a_vector_disturb_nothing, 120)
{
	static const size_t lens[] = {
		1, 2, 100, 4095, 4096, 4097, 10000, RECORD_MAX - 1, RECORD_MAX,
		RECORD_MAX + 1, 40000, 100000,
	};
	struct cuts *c = calloc(1, sizeof(*c));
	static struct iovec iov[1024];
	int round;

	srand(variant->version);
	for (round = 0; round < 5 * 12; round++) {
		struct msghdr msg = { .msg_iov = iov };
		size_t len = lens[round % 12];
		int flags = round % 5 == 3 ? MSG_MORE : 0;

		number(bytes, len, self->pos);
		msg.msg_iovlen = pieces(iov, 4 << round % 9, bytes, len);
		ASSERT_EQ(len, sendmsg(self->a, &msg, flags));
		self->pos += len;
		if (flags)
			continue;
		cut(c, self->pos, TYPE_DATA);
		ASSERT_EQ(0, wire_follow(&self->w, c, RECORD_MAX));
	}
	SILENT();
	free(c);
}

TEST_F_TIMEOUT(ways, control_message_of_many_pieces_and_records, 120)
{
	struct cuts *c = calloc(1, sizeof(*c));
	static struct iovec iov[1024];
	char control[CMSG_SPACE(1)] = {};
	struct cmsghdr *cmsg;
	struct msghdr msg = { .msg_iov = iov, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	int round;

	cmsg = CMSG_FIRSTHDR(&msg);
	cmsg->cmsg_level = SOL_TLS;
	cmsg->cmsg_type = TLS_SET_RECORD_TYPE;
	cmsg->cmsg_len = CMSG_LEN(1);
	srand(variant->version);
	for (round = 0; round < 20; round++) {
		size_t len = 1 + rand() % 60000;
		int type = round % 3 ? TYPE_HANDSHAKE : TYPE_ALERT;

		if (round % 2) {
			ASSERT_EQ(33, PUT(33, MSG_MORE));
			cut(c, self->pos, TYPE_DATA);
		}
		*CMSG_DATA(cmsg) = type;
		number(bytes, len, self->pos);
		msg.msg_iovlen = pieces(iov, 1024, bytes, len);
		ASSERT_EQ(len, sendmsg(self->a, &msg, 0));
		self->pos += len;
		cut(c, self->pos, type);
		ASSERT_EQ(0, wire_follow(&self->w, c, RECORD_MAX));
	}
	SILENT();
	free(c);
}

/* ---- files and pipes ---- */

TEST_F(ways, sendfile_respects_offset_and_count)
{
	static const struct {
		off_t from;
		size_t count;
	} part[] = {
		{ 0, 1 }, { 0, 4096 }, { 1, 4096 }, { 4095, 2 }, { 4096, 4096 },
		{ 4097, 16384 }, { 3, 50000 }, { 69999, 1 }, { 69000, 5000 },
		{ 0, 70000 },
	};
	struct cuts *c = calloc(1, sizeof(*c));
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(part); i++) {
		/* Byte number @pos of the stream is at @from of the file. */
		int fd = file_of(self->pos - part[i].from, 70000);
		off_t at = part[i].from;
		size_t n = part[i].count;

		ASSERT_LE(0, fd);
		if (n > 70000 - (size_t)at)
			n = 70000 - at;
		if (i % 2) {
			ASSERT_EQ(n, sendfile(self->a, fd, &at,
					      part[i].count));
			EXPECT_EQ(part[i].from + (off_t)n, at);
		} else {
			/* The file's own position. */
			lseek(fd, at, SEEK_SET);
			ASSERT_EQ(n, sendfile(self->a, fd, NULL,
					      part[i].count));
			EXPECT_EQ(part[i].from + (off_t)n,
				  lseek(fd, 0, SEEK_CUR));
		}
		self->pos += n;
		cut(c, self->pos, TYPE_DATA);
		ASSERT_EQ(0, wire_follow(&self->w, c, RECORD_MAX));
		close(fd);
	}
	SILENT();
	free(c);
}

TEST_F(ways, sendfile_from_tmpfs_with_holes)
{
	int fd = memfd_create("holes", 0);
	size_t got = 0, i;

	ASSERT_EQ(0, ftruncate(fd, 100000));
	ASSERT_EQ(5, pwrite(fd, "begin", 5, 0));
	ASSERT_EQ(3, pwrite(fd, "end", 3, 99997));
	ASSERT_EQ(100000, sendfile(self->a, fd, (off_t[]){ 0 }, 100000));
	while (got < 100000) {
		ASSERT_EQ(1, wire_next(&self->w));
		for (i = 0; i < self->w.len; i++, got++) {
			unsigned char due = got < 5 ? "begin"[got] :
				got >= 99997 ? "end"[got - 99997] : 0;

			ASSERT_EQ(due, self->w.text[i]);
		}
	}
	close(fd);
}

struct truncater {
	int fd;
	bool stop;
};

static void *truncate_and_grow(void *arg)
{
	struct truncater *t = arg;
	static unsigned char ff[65536];
	unsigned int i = 0;

	memset(ff, 0xff, sizeof(ff));
	while (!__atomic_load_n(&t->stop, __ATOMIC_RELAXED)) {
		ftruncate(t->fd, 65536 + i++ * 1234 % 100000);
		usleep(100);
		ftruncate(t->fd, i * 777 % 65536);
		pwrite(t->fd, ff, sizeof(ff), 0);
		pwrite(t->fd, ff, sizeof(ff), 65536);
	}
	return NULL;
}

/*
 * What the file loses is zero bytes or not there: nothing else is sent, every
 * record is authentic, and the count is right.
 */
TEST_F_TIMEOUT(ways, sendfile_of_a_file_that_is_truncated_meanwhile, 120)
{
	struct truncater t = { .fd = memfd_create("shrinks", 0) };
	int i, rounds_left = rounds(60);
	pthread_t thread;
	size_t total = 0;

	ASSERT_EQ(0, ftruncate(t.fd, 131072));
	ASSERT_EQ(0, pthread_create(&thread, NULL, truncate_and_grow, &t));
	for (i = 0; i < rounds_left; i++) {
		off_t at = i * 997 % 60000;
		ssize_t n = sendfile(self->a, t.fd, &at, 131072);
		ssize_t got = 0;
		size_t k;

		ASSERT_LE(0, n);
		ASSERT_EQ(i * 997 % 60000 + n, at);
		total += n;
		while (got < n) {
			ASSERT_EQ(1, wire_next(&self->w));
			for (k = 0; k < self->w.len; k++)
				ASSERT_TRUE(!self->w.text[k] ||
					    self->w.text[k] == 0xff);
			got += self->w.len;
		}
		ASSERT_EQ(n, got);
	}
	__atomic_store_n(&t.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	EXPECT_LT(0, total);
	SILENT();
	close(t.fd);
}

TEST_F_TIMEOUT(ways, splice_of_many_small_buffers_is_one_record, 120)
{
	static const int counts[] = { 1, 2, 7, 8, 9, 15, 16, 17, 33, 60 };
	static const int sizes[] = { 1, 8, 43, 218, 1093, 4000 };
	const size_t room = 60 * 4096;
	unsigned char *at = mmap(NULL, room, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct cuts *c = calloc(1, sizeof(*c));
	unsigned int i, k;
	int p[2];

	ASSERT_NE(MAP_FAILED, at);
	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(1 << 19, fcntl(p[1], F_SETPIPE_SZ, 1 << 19));
	for (i = 0; i < ARRAY_SIZE(sizes) * 10; i++) {
		unsigned int size = sizes[i / 10], count = counts[i % 10];
		size_t len = count * size;
		struct iovec iov[60];

		/* Each piece, or what of it is in a page, is a buffer. */
		for (k = 0; k < count; k++) {
			iov[k].iov_base = at + k * (size + 3);
			iov[k].iov_len = size;
			number(at + k * (size + 3), size, self->pos + k * size);
		}
		ASSERT_EQ(len, vmsplice(p[1], iov, count, 0));
		ASSERT_EQ(len, splice(p[0], NULL, self->a, NULL, len, 0));
		self->pos += len;
		cut(c, self->pos, TYPE_DATA);
		ASSERT_EQ(0, wire_follow(&self->w, c, RECORD_MAX))
			TH_LOG("%u pieces of %u", count, size);
	}
	SILENT();
	munmap(at, room);
	close(p[0]);
	close(p[1]);
	free(c);
}

TEST_F(ways, gifts_and_tees_of_pipes_arrive_as_they_are)
{
	struct cuts *c = calloc(1, sizeof(*c));
	int p[2], q[2], other, i;
	struct wire *w2 = malloc(sizeof(*w2));
	unsigned int pos2 = 0;

	ASSERT_EQ(0, wire_pair(w2, &other, variant->version, variant->cipher));
	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(0, pipe(q));
	for (i = 1; i <= 12; i++) {
		size_t len = i * 4096, done;
		void *gift = mmap(NULL, len, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		struct iovec iov = { gift, len };

		ASSERT_NE(MAP_FAILED, gift);
		number(gift, len, self->pos);
		ASSERT_EQ(len, vmsplice(p[1], &iov, 1, SPLICE_F_GIFT));
		munmap(gift, len);
		ASSERT_EQ(len, tee(p[0], q[1], len, 0));
		ASSERT_EQ(len, splice(p[0], NULL, self->a, NULL, len, 0));
		self->pos += len;
		cut(c, self->pos, TYPE_DATA);
		ASSERT_EQ(0, wire_follow(&self->w, c, RECORD_MAX));

		/* The other one is as it was, after the first was sent. */
		for (done = 0; done < len; done += 2048) {
			ASSERT_EQ(2048, splice(q[0], NULL, other, NULL, 2048,
					       i % 2 ? SPLICE_F_MORE : 0));
		}
		ASSERT_EQ(0, send(other, "", 0, 0));
		pos2 += len;
		while (w2->pos != pos2) {
			ASSERT_EQ(1, wire_next(w2));
			ASSERT_EQ(0, wire_check(w2));
			ASSERT_EQ(i % 2 && w2->pos != pos2 ? RECORD_MAX :
				  i % 2 ? (len - 1) % RECORD_MAX + 1 : 2048,
				  w2->len);
		}
	}
	SILENT();
	close(p[0]);
	close(p[1]);
	close(q[0]);
	close(q[1]);
	close(other);
	wire_close(w2);
	free(w2);
	free(c);
}

TEST_F(ways, sendmmsg_makes_a_record_of_each_message)
{
	static const int lens[] = { 1, 5000, 100, RECORD_MAX + 1, 3, 4096 };
	struct cuts *c = calloc(1, sizeof(*c));
	char control[CMSG_SPACE(1)] = {};
	struct mmsghdr msgs[6] = {};
	struct iovec iov[6];
	struct cmsghdr *cmsg = (void *)control;
	unsigned int pos = self->pos;
	int i;

	cmsg->cmsg_level = SOL_TLS;
	cmsg->cmsg_type = TLS_SET_RECORD_TYPE;
	cmsg->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(cmsg) = TYPE_HANDSHAKE;
	next(pos, sizeof(bytes));
	for (i = 0; i < 6; i++) {
		iov[i].iov_base = bytes + pos - self->pos;
		iov[i].iov_len = lens[i];
		msgs[i].msg_hdr.msg_iov = iov + i;
		msgs[i].msg_hdr.msg_iovlen = 1;
		if (i % 3 == 2) {
			msgs[i].msg_hdr.msg_control = control;
			msgs[i].msg_hdr.msg_controllen = sizeof(control);
		}
		pos += lens[i];
		cut(c, pos, i % 3 == 2 ? TYPE_HANDSHAKE : TYPE_DATA);
	}
	ASSERT_EQ(6, sendmmsg(self->a, msgs, 6, 0));
	for (i = 0; i < 6; i++)
		EXPECT_EQ(lens[i], msgs[i].msg_len);
	self->pos = pos;
	ASSERT_EQ(0, wire_follow(&self->w, c, RECORD_MAX));
	SILENT();

	/* A message that fails ends the call; those before it are sent. */
	c->n = 0;
	pos = self->pos;
	next(pos, sizeof(bytes));
	for (i = 0; i < 6; i++) {
		iov[i].iov_base = bytes + pos - self->pos;
		msgs[i].msg_hdr.msg_controllen = 0;
		pos += lens[i];
		if (i < 4)
			cut(c, pos, TYPE_DATA);
	}
	iov[4].iov_base = NULL;
	ASSERT_EQ(4, sendmmsg(self->a, msgs, 6, 0));
	self->pos = c->at[c->n - 1].pos;
	ASSERT_EQ(0, wire_follow(&self->w, c, RECORD_MAX));
	SILENT();
	free(c);
}

/* ---- the limits of a record ---- */

/* Send the next @len bytes in one of the ways there are. */
enum way { SEND, MORE, VECTOR, CONTROL, SENDFILE, SPLICE, SENDMMSG, WAYS };

static ssize_t send_by(enum way way, int fd, unsigned int pos, size_t len,
		       int flags)
{
	struct iovec iov[3];
	struct mmsghdr msg = {};
	ssize_t n = -1;
	int in, p[2];

	switch (way) {
	case MORE:
		n = put(fd, &pos, len / 3, flags | MSG_MORE);
		if (n == (ssize_t)len / 3) {
			ssize_t m = put(fd, &pos, len - n, flags);

			n = m < 0 ? m : n + m;
		}
		return n;
	case VECTOR:
	case SENDMMSG:
		next(pos, len);
		iov[0] = (struct iovec){ bytes, len / 2 };
		iov[1] = (struct iovec){ NULL, 0 };
		iov[2] = (struct iovec){ bytes + len / 2, len - len / 2 };
		if (way == VECTOR)
			return writev(fd, iov, 3);
		msg.msg_hdr.msg_iov = iov;
		msg.msg_hdr.msg_iovlen = 3;
		n = sendmmsg(fd, &msg, 1, flags);
		return n == 1 ? (ssize_t)msg.msg_len : n;
	case CONTROL:
		return send_type(fd, TYPE_HANDSHAKE, next(pos, len), len,
				 flags);
	case SENDFILE:
	case SPLICE:
		in = file_of(pos, len);
		lseek(in, 0, SEEK_SET);
		if (way == SENDFILE) {
			n = sendfile(fd, in, NULL, len);
		} else if (!pipe(p)) {
			fcntl(p[1], F_SETPIPE_SZ, 1 << 19);
			if (splice(in, NULL, p[1], NULL, len, 0) ==
			    (ssize_t)len)
				n = splice(p[0], NULL, fd, NULL, len, 0);
			close(p[0]);
			close(p[1]);
		}
		close(in);
		return n;
	default:
		return send(fd, next(pos, len), len, flags);
	}
}

TEST_F_TIMEOUT(ways, every_way_of_sending_respects_the_limit_of_a_record, 240)
{
	uint16_t least = variant->version == TLS_1_2_VERSION ? 64 : 63, limit;
	const uint16_t limits[] = {
		least, least + 1, 4095, 4096, 4097, RECORD_MAX - 1, RECORD_MAX,
	};
	struct cuts *c = calloc(1, sizeof(*c));
	int i, k;

	limit = least - 1;
	EXPECT_EQ(-1, setsockopt(self->a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN,
				 &limit, sizeof(limit)));
	EXPECT_EQ(EINVAL, errno);
	limit = RECORD_MAX + 1;
	EXPECT_EQ(-1, setsockopt(self->a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN,
				 &limit, sizeof(limit)));
	EXPECT_EQ(EINVAL, errno);
	for (i = 0; i < (int)ARRAY_SIZE(limits); i++) {
		limit = limits[i];
		ASSERT_EQ(0, setsockopt(self->a, SOL_TLS,
					TLS_TX_MAX_PAYLOAD_LEN, &limit,
					sizeof(limit)));
		for (k = 0; k < WAYS * 5; k++) {
			const size_t lens[] = {
				limit - 1, limit, limit + 1, 2 * limit,
				3 * limit,
			};
			size_t len = lens[k % 5];
			enum way way = k / 5;

			ASSERT_EQ(len, send_by(way, self->a, self->pos, len, 0));
			self->pos += len;
			cut(c, self->pos,
			    way == CONTROL ? TYPE_HANDSHAKE : TYPE_DATA);
			ASSERT_EQ(0, wire_follow(&self->w, c, limit))
				TH_LOG("way %d, limit %d, %zu bytes", way,
				       limit, len);
		}
	}
	SILENT();
	free(c);
}

/* ---- the limits of a key ---- */

/* A sender whose key has @left records left. */
static int last_records(struct wire *w, int *a, uint16_t version,
			uint16_t cipher, unsigned int left)
{
	uint64_t seq = -(uint64_t)left;
	union keys k;
	size_t len = make_keys(&k, version, cipher, 1);
	int b, i;

	for (i = 0; i < 8; i++)
		k.bytes[len - 8 + i] = seq >> (56 - 8 * i);
	if (tcp_pair(AF_INET, a, &b) || wire_open(w, b, version, cipher, 1) ||
	    wire_key(w, &k, seq) || attach(*a))
		return -1;
	return setsockopt(*a, SOL_TLS, TLS_TX, &k, len);
}

TEST_F_TIMEOUT(ways, every_way_of_sending_ends_with_the_last_record_number, 120)
{
	enum way way, other;

	for (way = 0; way < WAYS; way++) {
		struct wire *w = malloc(sizeof(*w));
		int a, type = way == CONTROL ? TYPE_HANDSHAKE : TYPE_DATA;
		union keys k;
		socklen_t len;
		int err = 0;

		ASSERT_EQ(0, last_records(w, &a, variant->version,
					  variant->cipher, 3));
		ASSERT_EQ(9, send_by(way, a, 0, 9, 0));
		ASSERT_EQ(9, send_by(way, a, 9, 9, 0));
		ASSERT_EQ(9, send_by(way, a, 18, 9, 0));
		/* No number is left for a further one, of any kind. */
		for (other = 0; other < WAYS; other++) {
			EXPECT_EQ(-1, send_by(way, a, 27, 9, 0));
			EXPECT_EQ(EBADMSG, errno);
			EXPECT_EQ(-1, send_by(other, a, 27, 9, 0));
			EXPECT_EQ(EBADMSG, errno);
		}
		/* Nor does a key update help: the socket has failed. */
		len = keys_len(variant->cipher);
		EXPECT_EQ(0, getsockopt(a, SOL_TLS, TLS_TX, &k, &len));
		make_keys(&k, variant->version, variant->cipher, 7);
		EXPECT_EQ(-1, setsockopt(a, SOL_TLS, TLS_TX, &k, len));
		len = sizeof(err);
		EXPECT_EQ(0, getsockopt(a, SOL_SOCKET, SO_ERROR, &err, &len));
		EXPECT_EQ(EBADMSG, err);
		EXPECT_EQ(-1, send(a, "x", 1, 0));
		EXPECT_EQ(EBADMSG, errno);
		/* Who waits to send is woken, to be told. */
		EXPECT_EQ(POLLOUT, poll_now(a, POLLOUT, 0) & POLLOUT);

		ASSERT_EQ(0, wire_expect(w, type, 9));
		ASSERT_EQ(0, wire_expect(w, type, 9));
		ASSERT_EQ(0, wire_expect(w, type, 9));
		ASSERT_TRUE(wire_silent(w, a));
		close(a);
		/* The end of the stream, or a reset; no byte more. */
		EXPECT_GE(0, recv(w->fd, &k, sizeof(k), 0));
		wire_close(w);
		free(w);
	}
}

/* Of one call only the records go that have a number. */
TEST_F(ways, call_that_crosses_the_last_record_number_fails)
{
	struct wire *w = malloc(sizeof(*w));
	enum way way;
	ssize_t n;
	int a, i, ret;

	for (way = 0; way < WAYS; way++) {
		ASSERT_EQ(0, last_records(w, &a, variant->version,
					  variant->cipher, 2));
		n = send_by(way, a, 0, 50000, 0);
		EXPECT_GT(50000, n);
		for (i = 0; i < 3; i++) {
			EXPECT_EQ(-1, send(a, "x", 1, 0));
			EXPECT_EQ(EBADMSG, errno);
		}
		close(a);
		for (i = 0; (ret = recv(w->fd, w->buf, 1, MSG_PEEK)) > 0; i++) {
			ASSERT_EQ(1, wire_next(w));
			ASSERT_EQ(RECORD_MAX, w->len);
			ASSERT_EQ(0, wire_check(w));
		}
		EXPECT_GE(2, i);
		/* What was said to be taken is not lost. */
		EXPECT_LE(n, i * RECORD_MAX);
		wire_close(w);
	}
	free(w);
}

TEST_F(ways, open_record_without_a_number_is_not_passed_over_in_silence)
{
	struct wire *w = malloc(sizeof(*w));
	int a, how;
	char c;

	for (how = 0; how < 2; how++) {
		ASSERT_EQ(0, last_records(w, &a, variant->version,
					  variant->cipher, 1));
		ASSERT_EQ(5, send(a, next(0, 5), 5, 0));
		ASSERT_EQ(0, wire_expect(w, TYPE_DATA, 5));
		/* Either this fails, or what took it does. */
		if (send(a, "more", 4, MSG_MORE) < 0) {
			EXPECT_EQ(EBADMSG, errno);
			close(a);
			wire_close(w);
			continue;
		}
		if (how) {
			EXPECT_EQ(-1, send(a, "", 0, 0));
			EXPECT_EQ(EBADMSG, errno);
		}
		close(a);
		/* A reset: a FIN would say that this was all. */
		EXPECT_EQ(-1, recv(w->fd, &c, 1, 0));
		EXPECT_EQ(ECONNRESET, errno);
		wire_close(w);
	}
	free(w);
}

TEST_HARNESS_MAIN
