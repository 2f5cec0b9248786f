// SPDX-License-Identifier: GPL-2.0
/*
 * What a hostile peer may send: it ends in EINVAL, EMSGSIZE or EBADMSG, never
 * in a hang, or in a byte that was not authenticated.
 */

#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "tls_test.h"

FIXTURE(garbage)
{
	int a, b;
};

FIXTURE_VARIANT(garbage)
{
	uint16_t version, cipher;
};

FIXTURE_VARIANT_ADD(garbage, tls12_gcm)
{
	.version = TLS_1_2_VERSION, .cipher = TLS_CIPHER_AES_GCM_128,
};

FIXTURE_VARIANT_ADD(garbage, tls13_gcm)
{
	.version = TLS_1_3_VERSION, .cipher = TLS_CIPHER_AES_GCM_128,
};

FIXTURE_VARIANT_ADD(garbage, tls12_chacha)
{
	.version = TLS_1_2_VERSION, .cipher = TLS_CIPHER_CHACHA20_POLY1305,
};

FIXTURE_VARIANT_ADD(garbage, tls13_ccm)
{
	.version = TLS_1_3_VERSION, .cipher = TLS_CIPHER_AES_CCM_128,
};

FIXTURE_SETUP(garbage)
{
	struct timeval tv = { .tv_sec = 10 };

	ASSERT_EQ(0, raw_pair(variant->version, variant->cipher, &self->a,
			      &self->b));
	/* A hang would be seen as EAGAIN. */
	setsockopt(self->b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

FIXTURE_TEARDOWN(garbage)
{
	close(self->a);
	close(self->b);
}

static bool is_refusal(int err)
{
	return err == EINVAL || err == EMSGSIZE || err == EBADMSG;
}

/* The error is final, poll shows it, and nothing comes after it. */
#define EXPECT_REFUSED(fd, want) do {					\
	static unsigned char in_[70000];				\
	int err_, again_;						\
									\
	EXPECT_EQ(-1, recv(fd, in_, sizeof(in_), 0));			\
	err_ = errno;							\
	EXPECT_TRUE(is_refusal(err_)) TH_LOG("errno %d", err_);		\
	if ((want) != 0)						\
		EXPECT_EQ(want, err_);					\
	for (again_ = 0; again_ < 3; again_++) {			\
		EXPECT_EQ(-1, recv(fd, in_, sizeof(in_), again_ ?	\
				   MSG_DONTWAIT : 0));			\
		EXPECT_EQ(err_, errno);					\
	}								\
	EXPECT_EQ(POLLERR, poll_now(fd, POLLIN, 0) & POLLERR);		\
} while (0)

/* A good record of the variant's cipher, @len bytes of plaintext. */
static ssize_t good_record(uint16_t version, uint16_t cipher,
			   unsigned char *rec, size_t size, size_t len)
{
	static unsigned char text[RECORD_MAX];
	ssize_t n;
	int a, b;

	if (tcp_pair(AF_INET, &a, &b) || attach(a) ||
	    set_key(a, TLS_TX, version, cipher, 1))
		return -1;
	fill(text, len, 0);
	if (send(a, text, len, 0) != (ssize_t)len)
		return -1;
	shutdown(a, SHUT_WR);
	n = recv_all(b, rec, size);
	close(a);
	close(b);
	return n;
}

TEST_F_TIMEOUT(garbage, random_bytes_are_refused, 120)
{
	unsigned char buf[4096];
	unsigned int round, i;
	int a, b;

	for (round = 0; round < 200; round++) {
		srandom(round);
		for (i = 0; i < sizeof(buf); i++)
			buf[i] = random() >> 7;
		/* Half of them look like a record at first. */
		if (round % 2) {
			buf[0] = TYPE_DATA;
			buf[1] = 3;
			buf[2] = 3;
			buf[3] &= 7;
		}
		ASSERT_EQ(0, raw_pair(variant->version, variant->cipher, &a,
				      &b));
		ASSERT_EQ(sizeof(buf), send(a, buf, sizeof(buf), 0));
		shutdown(a, SHUT_WR);
		EXPECT_REFUSED(b, 0);
		close(a);
		close(b);
	}
}

TEST_F(garbage, every_wrong_length_has_its_error)
{
	int over = variant->version == TLS_1_3_VERSION ? 17 :
		   variant->cipher == TLS_CIPHER_CHACHA20_POLY1305 ? 16 : 24;
	int lens[] = { 0, 1, over - 1, over + RECORD_MAX + 1, 0x5555, 0xffff };
	unsigned int i;
	int a, b;

	for (i = 0; i < 6; i++) {
		unsigned char header[5] = { TYPE_DATA, 3, 3, lens[i] >> 8,
					    lens[i] };

		ASSERT_EQ(0, raw_pair(variant->version, variant->cipher, &a,
				      &b));
		ASSERT_EQ(5, send(a, header, 5, 0));
		EXPECT_REFUSED(b, lens[i] < over ? EBADMSG : EMSGSIZE);
		close(a);
		close(b);
	}
}

TEST_F(garbage, wrong_version_is_einval)
{
	unsigned char header[5] = { TYPE_DATA, 3, 1, 0, 100 };

	ASSERT_EQ(5, send(self->a, header, 5, 0));
	EXPECT_REFUSED(self->b, EINVAL);
}

TEST_F_TIMEOUT(garbage, flipped_bit_anywhere_delivers_nothing, 120)
{
	unsigned char rec[256];
	ssize_t n, bit;
	int a, b;

	n = good_record(variant->version, variant->cipher, rec, sizeof(rec),
			20);
	ASSERT_LT(20, n);
	for (bit = 0; bit < n * 8; bit += bit < 104 ? 1 : 3) {
		rec[bit / 8] ^= 1 << bit % 8;
		ASSERT_EQ(0, raw_pair(variant->version, variant->cipher, &a,
				      &b));
		ASSERT_EQ(n, send(a, rec, n, 0));
		shutdown(a, SHUT_WR);
		EXPECT_REFUSED(b, 0);
		rec[bit / 8] ^= 1 << bit % 8;
		close(a);
		close(b);
	}
}

TEST_F(garbage, data_verified_before_is_delivered_and_nothing_after)
{
	unsigned char rec[256], in[256], text[20];
	ssize_t n;

	n = good_record(variant->version, variant->cipher, rec, sizeof(rec),
			20);
	ASSERT_LT(20, n);
	ASSERT_EQ(n, send(self->a, rec, n, 0));
	/* The same record again has the wrong number. */
	ASSERT_EQ(n, send(self->a, rec, n, 0));
	ASSERT_EQ(n, send(self->a, rec, n, 0));
	usleep(20000);
	fill(text, 20, 0);
	EXPECT_EQ(20, recv(self->b, in, sizeof(in), 0));
	EXPECT_EQ(0, memcmp(in, text, 20));
	EXPECT_REFUSED(self->b, EBADMSG);
}

TEST_F(garbage, bytes_that_are_not_authentic_do_not_stay_in_the_buffer)
{
	static unsigned char rec[9000], in[9000];
	ssize_t n, i;

	n = good_record(variant->version, variant->cipher, rec, sizeof(rec),
			8000);
	ASSERT_LT(8000, n);
	rec[n - 1] ^= 1;
	ASSERT_EQ(n, send(self->a, rec, n, 0));
	EXPECT_EQ(-1, recv(self->b, in, sizeof(in), 0));
	EXPECT_EQ(EBADMSG, errno);
	for (i = 0; i < 9000; i++)
		ASSERT_EQ(0, in[i]);
}

/*
 * It is seen by what is not authentic: where that was written, it is wiped. A
 * small record, and one that does not fit, go through memory of the kernel.
 */
TEST_F(garbage, record_that_fits_is_decrypted_straight_into_the_buffer)
{
	static unsigned char rec[RECORD_MAX + 64], in[RECORD_MAX + 1];
	static const struct {
		int text, room;
		bool straight;
	} cases[] = {
		{ RECORD_MAX, RECORD_MAX, true },
		{ RECORD_MAX - 1, RECORD_MAX + 1, true },
		{ 5000, 5000, true },
		{ RECORD_MAX, RECORD_MAX - 1, false },
		{ 5000, 4999, false },
	};
	int i, at, a, b;
	ssize_t n;

	for (i = 0; i < (int)(sizeof(cases) / sizeof(cases[0])); i++) {
		/* CCM verifies what it has written, where nobody else writes. */
		bool straight = cases[i].straight &&
				variant->cipher != TLS_CIPHER_AES_CCM_128;
		int text = cases[i].text;

		ASSERT_EQ(0, raw_pair(variant->version, variant->cipher, &a,
				      &b));
		n = good_record(variant->version, variant->cipher, rec,
				sizeof(rec), text);
		ASSERT_LT(text, n);
		rec[n - 1] ^= 1;
		ASSERT_EQ(n, send(a, rec, n, 0));
		memset(in, 0xaa, sizeof(in));
		EXPECT_EQ(-1, recv(b, in, cases[i].room, 0));
		EXPECT_EQ(EBADMSG, errno);
		for (at = 0; at < (int)sizeof(in); at++)
			if (in[at] != (straight && at < text ? 0 : 0xaa))
				break;
		EXPECT_EQ((int)sizeof(in), at) {
			TH_LOG("case %d", i);
		}
		close(a);
		close(b);
	}
}

TEST_F(garbage, truncated_stream_is_refused_at_every_byte)
{
	unsigned char rec[256];
	ssize_t n, cut;
	int a, b;

	n = good_record(variant->version, variant->cipher, rec, sizeof(rec),
			20);
	ASSERT_LT(20, n);
	for (cut = 1; cut < n; cut++) {
		ASSERT_EQ(0, raw_pair(variant->version, variant->cipher, &a,
				      &b));
		ASSERT_EQ(cut, send(a, rec, cut, 0));
		shutdown(a, SHUT_WR);
		EXPECT_REFUSED(b, EBADMSG);
		close(a);
		close(b);
	}
}

/* 16,406 segments take their time on a debug kernel. */
TEST_F_TIMEOUT(garbage, one_byte_a_segment_of_the_largest_record, 600)
{
	static unsigned char rec[RECORD_MAX + 64], in[RECORD_MAX], text[RECORD_MAX];
	bool slow = !access("/sys/kernel/debug/kmemleak", F_OK);
	ssize_t n, i, part;

	n = good_record(variant->version, variant->cipher, rec, sizeof(rec),
			RECORD_MAX);
	ASSERT_LT(RECORD_MAX, n);
	for (i = 0; i < n; i += part) {
		/* A kernel that checks everything takes minutes for that. */
		part = slow && i > 1000 && i < n - 1000 ? 100 : 1;
		ASSERT_EQ(part, send(self->a, rec + i, part, 0));
	}
	fill(text, sizeof(text), 0);
	EXPECT_EQ(sizeof(in), recv(self->b, in, sizeof(in), 0));
	EXPECT_EQ(0, memcmp(in, text, sizeof(in)));
}

TEST_F(garbage, sending_goes_on_after_the_peer_sent_garbage)
{
	unsigned char header[5] = { TYPE_DATA, 3, 3, 0xff, 0xff };
	unsigned char buf[100];

	ASSERT_EQ(0, set_key(self->b, TLS_TX, variant->version,
			     variant->cipher, 2));
	ASSERT_EQ(5, send(self->a, header, 5, 0));
	EXPECT_REFUSED(self->b, EMSGSIZE);
	/* An alert can still tell the peer. */
	EXPECT_EQ(2, send_type(self->b, TYPE_ALERT, "\2\26", 2, 0));
	EXPECT_LT(5, recv(self->a, buf, sizeof(buf), 0));
}

TEST(record_without_a_content_type_is_ebadmsg)
{
	static unsigned char rec[40000], zeros[9000];
	size_t len, n;
	int a, b;

	/* TLS 1.3: the inner plaintext is nothing but padding. */
	for (len = 0; len <= sizeof(zeros); len += 1500) {
		ASSERT_EQ(0, raw_pair(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128,
				      &a, &b));
		n = make_record(rec, TLS_1_3_VERSION, 0, 0, zeros, len, 100);
		ASSERT_LT(0, n);
		ASSERT_EQ(n, send(a, rec, n, 0));
		EXPECT_REFUSED(b, EBADMSG);
		close(a);
		close(b);
	}
}

TEST(ciphertext_taken_by_another_reader_is_no_harm)
{
	unsigned char rec[200], buf[200];
	size_t n;
	int a, b, b2, i;

	/*
	 * The socket is plain for one who reads before the key comes: what is
	 * left then begins within a record.
	 */
	for (i = 1; i < 30; i++) {
		ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
		ASSERT_EQ(0, attach(b));
		n = make_record(rec, TLS_1_3_VERSION, 0, TYPE_DATA, "abcdefgh",
				8, 0);
		ASSERT_EQ(n, send(a, rec, n, 0));
		usleep(1000);
		ASSERT_EQ(i, recv(b, buf, i, MSG_WAITALL));
		ASSERT_EQ(0, set_key(b, TLS_RX, TLS_1_3_VERSION,
				     TLS_CIPHER_AES_GCM_128, 1));
		b2 = dup(b);
		shutdown(a, SHUT_WR);
		EXPECT_REFUSED(b2, 0);
		close(b2);
		close(b);
		close(a);
	}
}

TEST_HARNESS_MAIN
