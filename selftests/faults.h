/* SPDX-License-Identifier: GPL-2.0 */
/*
 * All that ends a direction for good, each with how it is told. Include after
 * tls_test.h.
 */

#ifndef _FAULTS_H
#define _FAULTS_H

#define LAST_SEQ	UINT64_MAX

/*
 * @version: for which TLS
 * @reason: as the tracepoint tls_abort names it
 * @counter: what counts it
 * @also: what counts it too, or NULL
 * @rx: receiving fails, else sending
 * @err: as the tracepoint tells it
 * @told: errno for the user
 * @seq: number of the first record
 * @records: how many records go well before
 * @fin: the stream ends after @make()'s bytes
 * @make: what the peer sends, into a large buffer; returns how much
 */
struct fault {
	const char *name;
	uint16_t version;
	const char *reason;
	const char *counter;
	const char *also;
	bool rx;
	int err;
	int told;
	uint64_t seq;
	unsigned int records;
	bool fin;
	size_t (*make)(const struct fault *f, unsigned char *to);
};

static size_t wrong_version(const struct fault *f, unsigned char *to)
{
	size_t n = make_record(to, f->version, 0, TYPE_DATA, "abc", 3, 0);

	to[2] = 1;
	return n;
}

static size_t too_long(const struct fault *f, unsigned char *to)
{
	static const unsigned char header[5] = { TYPE_DATA, 3, 3, 0x60, 0 };

	memcpy(to, header, sizeof(header));
	return sizeof(header);
}

static size_t too_short(const struct fault *f, unsigned char *to)
{
	static const unsigned char header[5] = { TYPE_DATA, 3, 3, 0, 16 };

	memcpy(to, header, sizeof(header));
	memset(to + sizeof(header), 0, 16);
	return sizeof(header) + 16;
}

/* What a peer sends that could not decrypt, or does not want to go on. */
static size_t alert_in_the_clear(const struct fault *f, unsigned char *to)
{
	static const unsigned char alert[7] = { TYPE_ALERT, 3, 3, 0, 2, 2, 20 };

	memcpy(to, alert, sizeof(alert));
	return sizeof(alert);
}

static size_t wrong_tag(const struct fault *f, unsigned char *to)
{
	size_t n = make_record(to, f->version, 0, TYPE_DATA, "abc", 3, 0);

	n += make_record(to + n, f->version, 1, TYPE_DATA, "def", 3, 0);
	to[n - 1] ^= 0x40;
	return n;
}

/* Zeroes where data and its content type should be. */
static size_t only_padding(const struct fault *f, unsigned char *to)
{
	return make_record(to, f->version, 0, 0, "", 0, 100);
}

static size_t half_a_record(const struct fault *f, unsigned char *to)
{
	size_t n = make_record(to, f->version, 0, TYPE_DATA, "abc", 3, 0);

	make_record(to + n, f->version, 1, TYPE_DATA, "defghi", 6, 0);
	return n + 12;
}

static size_t past_the_last_number(const struct fault *f, unsigned char *to)
{
	size_t n = make_record(to, f->version, LAST_SEQ, TYPE_DATA, "abc", 3,
			       0);

	return n + make_record(to + n, f->version, 0, TYPE_DATA, "def", 3, 0);
}

#define RX_FAULT(ver, text, count, errno_, make_, ...)			\
	{								\
		.name = #make_ " " #ver, .version = TLS_1_##ver##_VERSION, \
		.reason = text, .counter = count, .rx = true,		\
		.err = -(errno_), .told = errno_, .make = make_,	\
		__VA_ARGS__						\
	}

static const struct fault faults[] = {
	RX_FAULT(2, "version", "TlsAbortVersion", EINVAL, wrong_version),
	RX_FAULT(3, "version", "TlsAbortVersion", EINVAL, wrong_version),
	RX_FAULT(2, "length", "TlsAbortLength", EMSGSIZE, too_long),
	RX_FAULT(3, "length", "TlsAbortLength", EMSGSIZE, too_long),
	RX_FAULT(2, "length", "TlsAbortLength", EBADMSG, too_short),
	RX_FAULT(3, "length", "TlsAbortLength", EBADMSG, too_short),
	/* TLS 1.2 knows the type before: this one is only too short. */
	RX_FAULT(2, "length", "TlsAbortLength", EBADMSG, alert_in_the_clear),
	RX_FAULT(3, "type", "TlsAbortType", EBADMSG, alert_in_the_clear),
	RX_FAULT(2, "tag", "TlsAbortTag", EBADMSG, wrong_tag, .records = 1,
		 .also = "TlsDecryptError"),
	RX_FAULT(3, "tag", "TlsAbortTag", EBADMSG, wrong_tag, .records = 1,
		 .also = "TlsDecryptError"),
	RX_FAULT(3, "padding", "TlsAbortPadding", EBADMSG, only_padding),
	RX_FAULT(2, "truncated", "TlsAbortTruncated", EBADMSG, half_a_record,
		 .records = 1, .fin = true),
	RX_FAULT(3, "truncated", "TlsAbortTruncated", EBADMSG, half_a_record,
		 .records = 1, .fin = true),
	RX_FAULT(2, "sequence", "TlsAbortSequence", EBADMSG,
		 past_the_last_number, .records = 1, .seq = LAST_SEQ,
		 .also = "TlsDecryptError"),
	RX_FAULT(3, "sequence", "TlsAbortSequence", EBADMSG,
		 past_the_last_number, .records = 1, .seq = LAST_SEQ,
		 .also = "TlsDecryptError"),
	{
		.name = "sending past the last number 2", .reason = "sequence",
		.version = TLS_1_2_VERSION, .counter = "TlsAbortSequence",
		.err = -EOVERFLOW, .told = EBADMSG, .records = 1,
		.seq = LAST_SEQ,
	},
	{
		.name = "sending past the last number 3", .reason = "sequence",
		.version = TLS_1_3_VERSION, .counter = "TlsAbortSequence",
		.err = -EOVERFLOW, .told = EBADMSG, .records = 1,
		.seq = LAST_SEQ,
	},
};

#define NUM_FAULTS	(sizeof(faults) / sizeof(faults[0]))

/* The key of seed 1, its first record numbered @seq. */
static inline int set_key_at(int fd, int direction, uint16_t version,
			     uint64_t seq)
{
	union keys k;
	size_t len = make_keys(&k, version, TLS_CIPHER_AES_GCM_128, 1);
	int i;

	for (i = 0; i < 8; i++)
		k.gcm128.rec_seq[i] = seq >> (56 - 8 * i);
	return setsockopt(fd, SOL_TLS, direction, &k, len);
}

/*
 * Make a fault happen, on sockets of its own: @fd is the one that fails, twice.
 *
 * Return: errno of the call that failed, or -1 when it did not come so far.
 */
static inline int provoke(const struct fault *f, int *fd, int *peer)
{
	static unsigned char bytes[4096];
	unsigned int records = 0;
	char small[3];
	size_t len;
	int err;

	if (tcp_pair(AF_INET, fd, peer) || attach(*fd) ||
	    set_key_at(*fd, f->rx ? TLS_RX : TLS_TX, f->version, f->seq))
		return -1;
	if (f->rx) {
		len = f->make(f, bytes);
		if (!len || send(*peer, bytes, len, 0) != (ssize_t)len)
			return -1;
		if (f->fin)
			shutdown(*peer, SHUT_WR);
	}
	/* A record of 3 bytes at a time. */
	while ((f->rx ? recv(*fd, small, 3, 0) :
			send(*fd, "abc", 3, MSG_NOSIGNAL)) == 3)
		records++;
	err = errno;
	if (records != f->records || (f->rx ? recv(*fd, small, 3, 0) :
					      send(*fd, "abc", 3,
						   MSG_NOSIGNAL)) != -1)
		return -1;
	return err == errno ? err : -1;
}

#endif /* _FAULTS_H */
