/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a socket really sends: its peer is plain TCP, takes the records apart
 * by hand and decrypts them with AF_ALG. Include after tls_test.h.
 *
 * The senders of these tests number their bytes: byte number n of all that was
 * sent, of every type, is the n-th of number(). So a byte that is lost, doubled
 * or out of place is found wherever it stands.
 */

#ifndef _TLS_WIRE_H
#define _TLS_WIRE_H

#include <linux/sockios.h>
#include <pthread.h>

/* Bytes @from, @from + 1, ...: no two stretches of them are alike. */
static inline void number(void *buf, size_t len, unsigned int from)
{
	unsigned char *at = buf;
	uint32_t four = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned int n = from + i;

		if (!i || !(n % 4)) {
			four = n / 4 + 1;
			four = (four ^ four >> 16) * 0x85ebca6b;
			four = (four ^ four >> 13) * 0xc2b2ae35;
			four ^= four >> 16;
		}
		at[i] = four >> n % 4 * 8;
	}
}

#define WIRE_MAX	(5 + 8 + RECORD_MAX + 1 + 16)

/**
 * struct wire - the receiving end of records
 * @fd: plain TCP
 * @tfm: AF_ALG, with the sender's key
 * @op: its operation
 * @version: TLS_1_2_VERSION or TLS_1_3_VERSION
 * @cipher: TLS_CIPHER_AES_GCM_128 or TLS_CIPHER_CHACHA20_POLY1305
 * @iv: salt and IV
 * @seq: number of the next record
 * @pos: number of the next byte, see above
 * @have: bytes of the next record in @buf
 * @buf: header and what follows
 * @type: content type of the last record
 * @len: its length, in plaintext
 * @text: additional data, then its plaintext
 * @why: what was wrong, for whoever debugs
 */
struct wire {
	int fd, tfm, op;
	uint16_t version, cipher;
	unsigned char iv[12];
	uint64_t seq;
	unsigned int pos;
	size_t have;
	unsigned char buf[WIRE_MAX];
	int type;
	size_t len;
	unsigned char text[13 + WIRE_MAX];
	const char *why;
};

static inline bool wire_explicit_nonce(const struct wire *w)
{
	return w->version == TLS_1_2_VERSION &&
	       w->cipher != TLS_CIPHER_CHACHA20_POLY1305;
}

/* Bytes that a record has on the wire beyond its plaintext. */
static inline size_t wire_overhead(const struct wire *w)
{
	return 5 + (wire_explicit_nonce(w) ? 8 : 0) + 16 +
	       (w->version == TLS_1_3_VERSION);
}

/* The sender goes on under this key, its next record has number @seq. */
static inline int wire_key(struct wire *w, const union keys *k, uint64_t seq)
{
	bool gcm = w->cipher == TLS_CIPHER_AES_GCM_128;
	struct sockaddr_alg sa = { .salg_family = AF_ALG, .salg_type = "aead" };
	size_t key_len = gcm ? 16 : 32, iv_len = gcm ? 8 : 12;
	const unsigned char *at = k->bytes + sizeof(k->info);

	close(w->op);
	close(w->tfm);
	snprintf((char *)sa.salg_name, sizeof(sa.salg_name),
		 gcm ? "gcm(aes)" : "rfc7539(chacha20,poly1305)");
	memcpy(w->iv + 12 - iv_len, at, iv_len);
	memcpy(w->iv, at + iv_len + key_len, 12 - iv_len);
	w->seq = seq;
	w->op = -1;
	w->tfm = socket(AF_ALG, SOCK_SEQPACKET, 0);
	if (w->tfm < 0 || bind(w->tfm, (void *)&sa, sizeof(sa)) ||
	    setsockopt(w->tfm, SOL_ALG, ALG_SET_KEY, at + iv_len, key_len) ||
	    setsockopt(w->tfm, SOL_ALG, ALG_SET_AEAD_AUTHSIZE, NULL, 16))
		return -1;
	w->op = accept(w->tfm, NULL, NULL);
	return w->op < 0 ? -1 : 0;
}

/* @fd is plain TCP, the peer of a socket with set_key()'s key of @seed. */
static inline int wire_open(struct wire *w, int fd, uint16_t version,
			    uint16_t cipher, unsigned char seed)
{
	struct timeval tv = { .tv_sec = 60 };
	union keys k;

	memset(w, 0, sizeof(*w));
	w->fd = fd;
	w->tfm = -1;
	w->op = -1;
	w->version = version;
	w->cipher = cipher;
	w->why = "";
	make_keys(&k, version, cipher, seed);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)))
		return -1;
	return wire_key(w, &k, 0);
}

static inline void wire_close(struct wire *w)
{
	close(w->op);
	close(w->tfm);
	close(w->fd);
}

/* A TLS sender, and its peer. */
static inline int wire_pair(struct wire *w, int *a, uint16_t version,
			    uint16_t cipher)
{
	int b;

	if (tcp_pair(AF_INET, a, &b) ||
	    wire_open(w, b, version, cipher, 1) || attach(*a))
		return -1;
	return set_key(*a, TLS_TX, version, cipher, 1);
}

static inline int wire_wrong(struct wire *w, const char *why)
{
	if (!*w->why)
		printf("# record %llu: %s\n", (unsigned long long)w->seq, why);
	w->why = why;
	return -1;
}

/* Bytes of the record at the head, as far as its header is there. */
static inline size_t wire_wants(const struct wire *w)
{
	return w->have < 5 ? 5 : 5 + (w->buf[3] << 8 | w->buf[4]);
}

/* Decrypt the record in @buf, which is whole. */
static inline int wire_decrypt(struct wire *w)
{
	char control[CMSG_SPACE(4) + CMSG_SPACE(4 + 12) + CMSG_SPACE(4)] = {};
	size_t skip = wire_explicit_nonce(w) ? 8 : 0;
	size_t len = wire_wants(w) - 5 - skip - 16, aad_len = 0;
	unsigned char aad[13], nonce[12];
	struct iovec iov[2] = {
		{ aad }, { w->buf + 5 + skip, len + 16 },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	struct af_alg_iv *iv;
	int i;

	memcpy(nonce, w->iv, 12);
	if (skip)
		memcpy(nonce + 4, w->buf + 5, 8);
	else
		for (i = 0; i < 8; i++)
			nonce[4 + i] ^= w->seq >> (56 - 8 * i);
	if (w->version == TLS_1_2_VERSION)
		for (; aad_len < 8; aad_len++)
			aad[aad_len] = w->seq >> (56 - 8 * aad_len);
	memcpy(aad + aad_len, w->buf, 5);
	aad_len += 5;
	if (w->version == TLS_1_2_VERSION) {
		aad[11] = len >> 8;
		aad[12] = len;
	}
	iov[0].iov_len = aad_len;

	cmsg->cmsg_level = SOL_ALG;
	cmsg->cmsg_type = ALG_SET_OP;
	cmsg->cmsg_len = CMSG_LEN(4);
	*(uint32_t *)CMSG_DATA(cmsg) = ALG_OP_DECRYPT;
	cmsg = CMSG_NXTHDR(&msg, cmsg);
	cmsg->cmsg_level = SOL_ALG;
	cmsg->cmsg_type = ALG_SET_IV;
	cmsg->cmsg_len = CMSG_LEN(4 + 12);
	iv = (void *)CMSG_DATA(cmsg);
	iv->ivlen = 12;
	memcpy(iv->iv, nonce, 12);
	cmsg = CMSG_NXTHDR(&msg, cmsg);
	cmsg->cmsg_level = SOL_ALG;
	cmsg->cmsg_type = ALG_SET_AEAD_ASSOCLEN;
	cmsg->cmsg_len = CMSG_LEN(4);
	*(uint32_t *)CMSG_DATA(cmsg) = aad_len;
	if (sendmsg(w->op, &msg, 0) != (ssize_t)(aad_len + len + 16))
		return wire_wrong(w, "AF_ALG does not take it");
	if (read(w->op, w->text, aad_len + len) != (ssize_t)(aad_len + len))
		return wire_wrong(w, "its tag is wrong");
	memmove(w->text, w->text + aad_len, len);

	w->type = w->buf[0];
	w->len = len;
	if (w->version == TLS_1_3_VERSION) {
		while (w->len && !w->text[w->len - 1])
			w->len--;
		if (!w->len--)
			return wire_wrong(w, "it has no content type");
		w->type = w->text[w->len];
	}
	w->seq++;
	return 0;
}

/*
 * Read at most @most bytes, and no more than the record at the head has.
 *
 * Return: 2 when it is whole and decrypted; 1 when it is not whole yet; 0 at
 * the end of the stream; -1 when something is wrong, or with MSG_DONTWAIT and
 * EAGAIN when there is nothing to read.
 */
static inline int wire_read(struct wire *w, size_t most, int flags)
{
	size_t want = wire_wants(w) - w->have;
	ssize_t n = recv(w->fd, w->buf + w->have, want < most ? want : most,
			 flags);

	if (n < 0)
		return errno == EAGAIN && flags & MSG_DONTWAIT ? -1 :
			wire_wrong(w, strerror(errno));
	if (!n)
		return w->have ? wire_wrong(w, "it ends in the middle") : 0;
	w->have += n;
	if (w->have < 5)
		return 1;
	if (w->buf[1] != 3 || w->buf[2] != 3 ||
	    w->buf[0] < 20 || w->buf[0] > 24)
		return wire_wrong(w, "it has no header");
	if (wire_wants(w) > RECORD_MAX + wire_overhead(w))
		return wire_wrong(w, "it is too long");
	if (wire_wants(w) < wire_overhead(w))
		return wire_wrong(w, "it is too short");
	if (w->have < wire_wants(w))
		return 1;
	if (wire_decrypt(w))
		return -1;
	w->have = 0;
	return 2;
}

/* Wait for a record: 1, or 0 at the end of the stream, or -1. */
static inline int wire_next(struct wire *w)
{
	int ret;

	do {
		ret = wire_read(w, WIRE_MAX, 0);
	} while (ret == 1);
	return ret == 2 ? 1 : ret;
}

/* Are the bytes of the last record those that are due? */
static inline int wire_check(struct wire *w)
{
	unsigned char due[RECORD_MAX];

	number(due, w->len, w->pos);
	if (memcmp(due, w->text, w->len))
		return wire_wrong(w, "other bytes than were sent");
	w->pos += w->len;
	return 0;
}

/* The next record has this type, this length, and the bytes that are due. */
static inline int wire_expect(struct wire *w, int type, size_t len)
{
	if (wire_next(w) != 1 || wire_check(w))
		return -1;
	if (w->type == type && w->len == len)
		return 0;
	printf("# record %llu: type %d, %zu bytes, expected %d, %zu\n",
	       (unsigned long long)w->seq - 1, w->type, w->len, type, len);
	return -1;
}

/**
 * struct cuts - where records have to end, as the sender's calls tell it
 * @n: how many places
 * @at: the place, and the content type of all bytes since the one before;
 *	a record may go on there when it is not a must
 * @open: how many bytes of data were sent, when the last have no cut yet
 *
 * Calls with MSG_MORE leave no cut.
 */
struct cuts {
	int n;
	struct {
		unsigned int pos;
		int type;
		bool must;
	} at[20000];
	unsigned int open;
};

static inline void cut_at(struct cuts *c, unsigned int pos, int type, bool must)
{
	if (c->n && c->at[c->n - 1].pos == pos)
		c->at[c->n - 1].must |= must;
	if (pos == (c->n ? c->at[c->n - 1].pos : 0) ||
	    c->n == ARRAY_SIZE(c->at))
		return;
	c->at[c->n].pos = pos;
	c->at[c->n].type = type;
	c->at[c->n++].must = must;
}

static inline void cut(struct cuts *c, unsigned int pos, int type)
{
	cut_at(c, pos, type, true);
}

/* The last record: is it one that the cuts, and @limit, let the sender make? */
static inline int wire_fits(struct wire *w, const struct cuts *c, size_t limit)
{
	int low = 0, high = c->n;

	/* The first cut behind its first byte. */
	while (low < high) {
		int mid = (low + high) / 2;

		if (c->at[mid].pos > w->pos)
			high = mid;
		else
			low = mid + 1;
	}
	if (low == c->n) {
		/* With MSG_MORE, a record leaves when it is full. */
		if (w->pos + w->len > c->open)
			return wire_wrong(w, "more than was sent");
		if (w->type != TYPE_DATA || w->len != limit)
			return wire_wrong(w, "it did not wait for more");
		return wire_check(w);
	}
	if (!w->len || w->len > limit)
		return wire_wrong(w, "its length is wrong");
	while (w->pos + w->len > c->at[low].pos && !c->at[low].must &&
	       low + 1 < c->n)
		low++;
	if (w->type != c->at[low].type)
		return wire_wrong(w, "its type is wrong");
	if (w->pos + w->len > c->at[low].pos)
		return wire_wrong(w, "it goes on after the end of a call");
	if (w->pos + w->len < c->at[low].pos && w->len != limit)
		return wire_wrong(w, "it ends too early");
	return wire_check(w);
}

/* Read, waiting, all that there must be. */
static inline int wire_follow(struct wire *w, const struct cuts *c,
			      size_t limit)
{
	while (c->n && w->pos != c->at[c->n - 1].pos)
		if (wire_next(w) != 1 || wire_fits(w, c, limit))
			return -1;
	return 0;
}

/* ---- senders ---- */

static unsigned char bytes[400000];

/* The next @len bytes, in @bytes. */
static inline void *next(unsigned int pos, size_t len)
{
	number(bytes, len, pos);
	return bytes;
}

/* Send the next @len bytes. */
static inline ssize_t put(int fd, unsigned int *pos, size_t len, int flags)
{
	ssize_t n = send(fd, next(*pos, len), len, flags);

	if (n > 0)
		*pos += n;
	return n;
}

static inline ssize_t put_type(int fd, unsigned int *pos, unsigned char type,
			       size_t len)
{
	ssize_t n = send_type(fd, type, next(*pos, len), len, 0);

	if (n > 0)
		*pos += n;
	return n;
}

/* A file of the next @len bytes. */
static inline int file_of(unsigned int pos, size_t len)
{
	int fd = memfd_create("file", 0);

	if (fd >= 0 && write(fd, next(pos, len), len) != (ssize_t)len) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Bytes that TCP has and the peer has not acknowledged, or that were not sent. */
static inline int tcp_has(int fd, int which)
{
	int n = -1;

	return ioctl(fd, which, &n) ? -1 : n;
}

/* Nothing is there to read, and nothing is on its way from @a. */
static inline bool wire_silent(struct wire *w, int a)
{
	int i;
	char c;

	for (i = 0; tcp_has(a, SIOCOUTQ); i++) {
		if (i == 20000)
			return false;
		usleep(1000);
	}
	return !w->have && recv(w->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       errno == EAGAIN;
}

/*
 * Does TCP hold bytes back, though nothing is on its way whose acknowledgment
 * would set them going? Only for a peer that has room.
 */
static inline bool held_back(int fd)
{
	int unsent = tcp_has(fd, SIOCOUTQNSD);
	int unacked = tcp_has(fd, SIOCOUTQ);

	/* Nothing was sent in between: then the two belong together. */
	return unsent && unacked == unsent &&
	       tcp_has(fd, SIOCOUTQNSD) == unsent;
}

/**
 * struct sleeper - a writer that falls asleep, in a thread of its own
 * @fd: where it sends
 * @len: how many of @bytes
 * @flags: of send()
 * @tid: its thread
 * @n: what send() returned
 * @err: and errno
 */
struct sleeper {
	int fd;
	size_t len;
	int flags;
	int tid;
	ssize_t n;
	int err;
};

static inline void *sleeper_send(void *arg)
{
	struct sleeper *s = arg;

	__atomic_store_n(&s->tid, gettid(), __ATOMIC_RELEASE);
	s->n = send(s->fd, bytes, s->len, s->flags);
	s->err = errno;
	return NULL;
}

/* Start it, and come back when it sleeps: 0, or -1 when it has returned. */
static inline int sleeper_start(struct sleeper *s, pthread_t *thread)
{
	int i;

	s->tid = 0;
	if (pthread_create(thread, NULL, sleeper_send, s))
		return -1;
	for (i = 0; i < 20000; i++) {
		char name[64], line[200] = {}, *at;
		FILE *f;

		usleep(1000);
		if (!__atomic_load_n(&s->tid, __ATOMIC_ACQUIRE))
			continue;
		snprintf(name, sizeof(name), "/proc/self/task/%d/stat", s->tid);
		f = fopen(name, "r");
		if (!f)
			return -1;
		fgets(line, sizeof(line), f);
		fclose(f);
		/* Its state follows the name of the program. */
		at = strrchr(line, ')');
		if (at && at[1] == ' ' && at[2] == 'S')
			return 0;
	}
	return -1;
}

/* A debug kernel is many times slower. */
static inline int rounds(int n)
{
	return access("/sys/kernel/debug/kmemleak", F_OK) ? n : (n + 9) / 10;
}

#endif /* _TLS_WIRE_H */
