// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: the device's cipher engine against the crypto API's AEAD, which has
 * whole records at once, while the engine gets them in pieces.
 */

#include <crypto/aead.h>
#include <kunit/test.h>
#include <linux/prandom.h>
#include <linux/scatterlist.h>

#include "nic_record.c"

#define FIRST	0x00000000fffffffeULL	/* the number carries on the way */
#define ROOM	(3 * (NIC_RECORD_MAX + TLS_HEADER_SIZE))

struct engine_param {
	u16 version, cipher;
	const char *name;
};

static const struct engine_param params[] = {
	{ TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128, "tls12_gcm128" },
	{ TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_256, "tls12_gcm256" },
	{ TLS_1_2_VERSION, TLS_CIPHER_CHACHA20_POLY1305, "tls12_chacha" },
	{ TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, "tls13_gcm128" },
	{ TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_256, "tls13_gcm256" },
	{ TLS_1_3_VERSION, TLS_CIPHER_CHACHA20_POLY1305, "tls13_chacha" },
};

static void param_name(const struct engine_param *p, char *name)
{
	strscpy(name, p->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(engine, params, param_name);

/* Text lengths of three records in a row. */
static const u32 lengths[][3] = {
	{ 0, 0, 1 }, { 1, 15, 16 }, { 17, 63, 64 }, { 65, 0, 255 },
	{ 1460, 1, 4096 }, { 16384, 16383, 5 },
};

struct engine_test {
	struct nic_key key;
	struct nic_stream stream;
	struct crypto_aead *aead;
	union {
		struct tls_crypto_info info;
		struct tls12_crypto_info_aes_gcm_128 gcm128;
		struct tls12_crypto_info_aes_gcm_256 gcm256;
		struct tls12_crypto_info_chacha20_poly1305 chacha;
	} user;
	struct rnd_state rnd;
	u32 len;
	u8 *plain, *cipher, *work;	/* len bytes of records */
};

static int engine_init(struct kunit *test)
{
	const struct engine_param *p = test->param_value;
	struct engine_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	const char *name = "gcm(aes)";
	u32 key_len = 16;
	const u8 *key;
	u64 number;

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	prandom_seed_state(&t->rnd, 8446);
	prandom_bytes_state(&t->rnd, &t->user, sizeof(t->user));
	t->user.info.version = p->version;
	t->user.info.cipher_type = p->cipher;
	switch (p->cipher) {
	case TLS_CIPHER_AES_GCM_128:
		key = t->user.gcm128.key;
		put_unaligned_be64(FIRST, t->user.gcm128.rec_seq);
		break;
	case TLS_CIPHER_AES_GCM_256:
		key = t->user.gcm256.key;
		key_len = 32;
		put_unaligned_be64(FIRST, t->user.gcm256.rec_seq);
		break;
	default:
		key = t->user.chacha.key;
		key_len = 32;
		name = "rfc7539(chacha20,poly1305)";
		put_unaligned_be64(FIRST, t->user.chacha.rec_seq);
	}
	t->aead = crypto_alloc_aead(name, 0, CRYPTO_ALG_ASYNC);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->aead);
	KUNIT_ASSERT_EQ(test, 0, crypto_aead_setkey(t->aead, key, key_len));
	KUNIT_ASSERT_EQ(test, 0, crypto_aead_setauthsize(t->aead, 16));

	KUNIT_ASSERT_EQ(test, 0, nic_key_set(&t->key, &t->user.info, &number));
	KUNIT_ASSERT_EQ(test, FIRST, number);
	t->plain = kunit_kzalloc(test, ROOM, GFP_KERNEL);
	t->cipher = kunit_kzalloc(test, ROOM, GFP_KERNEL);
	t->work = kunit_kzalloc(test, ROOM, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->plain);
	KUNIT_ASSERT_NOT_NULL(test, t->cipher);
	KUNIT_ASSERT_NOT_NULL(test, t->work);
	return 0;
}

static void engine_exit(struct kunit *test)
{
	struct engine_test *t = test->priv;

	nic_stream_free(&t->stream);
	nic_key_clear(&t->key);
	crypto_free_aead(t->aead);
}

/* By the RFCs, without the engine: one more record, as it is before and after. */
static void add_record(struct kunit *test, u64 number, u32 len)
{
	const struct engine_param *p = test->param_value;
	struct engine_test *t = test->priv;
	bool tls13 = p->version == TLS_1_3_VERSION;
	bool chacha = p->cipher == TLS_CIPHER_CHACHA20_POLY1305;
	u8 *head = t->plain + t->len, *text, *sealed, nonce[12], number_be[8];
	u8 ad[13];
	u32 front = 5, text_len = len + tls13, ad_len = tls13 ? 5 : 13;
	struct scatterlist sg;
	struct aead_request *req;

	put_unaligned_be64(number, number_be);
	head[0] = 23;
	head[1] = 3;
	head[2] = 3;
	if (!tls13 && !chacha) {
		prandom_bytes_state(&t->rnd, head + 5, 8);
		front += 8;
	}
	put_unaligned_be16(front - 5 + text_len + 16, head + 3);
	text = head + front;
	prandom_bytes_state(&t->rnd, text, text_len);
	memset(text + text_len, 0xee, 16);

	if (chacha) {
		memcpy(nonce, t->user.chacha.iv, 12);
	} else if (p->cipher == TLS_CIPHER_AES_GCM_128) {
		memcpy(nonce, t->user.gcm128.salt, 4);
		memcpy(nonce + 4, t->user.gcm128.iv, 8);
	} else {
		memcpy(nonce, t->user.gcm256.salt, 4);
		memcpy(nonce + 4, t->user.gcm256.iv, 8);
	}
	if (front == 13)
		memcpy(nonce + 4, head + 5, 8);
	else
		crypto_xor(nonce + 4, number_be, 8);
	if (tls13) {
		memcpy(ad, head, 5);
	} else {
		memcpy(ad, number_be, 8);
		memcpy(ad + 8, head, 3);
		put_unaligned_be16(text_len, ad + 11);
	}

	memcpy(t->cipher + t->len, head, front + text_len);
	sealed = kmalloc(16 + text_len + 16, GFP_KERNEL);
	req = aead_request_alloc(t->aead, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, sealed);
	KUNIT_ASSERT_NOT_NULL(test, req);
	memcpy(sealed, ad, ad_len);
	memcpy(sealed + ad_len, text, text_len);
	sg_init_one(&sg, sealed, ad_len + text_len + 16);
	aead_request_set_callback(req, 0, NULL, NULL);
	aead_request_set_ad(req, ad_len);
	aead_request_set_crypt(req, &sg, &sg, text_len, nonce);
	KUNIT_EXPECT_EQ(test, 0, crypto_aead_encrypt(req));
	memcpy(t->cipher + t->len + front, sealed + ad_len, text_len + 16);
	aead_request_free(req);
	kfree(sealed);
	t->len += front + text_len + 16;
}

static void make_records(struct kunit *test, const u32 *lens)
{
	struct engine_test *t = test->priv;

	t->len = 0;
	for (int i = 0; i < 3; i++)
		add_record(test, FIRST + i, lens[i]);
}

static void start(struct kunit *test, bool encrypt)
{
	struct engine_test *t = test->priv;

	nic_stream_free(&t->stream);
	KUNIT_ASSERT_EQ(test, 0, nic_stream_init(&t->stream, &t->key, encrypt));
	nic_stream_start(&t->stream, FIRST);
}

/* In pieces of a random length up to @most. */
static int run_pieces(struct engine_test *t, u32 from, u32 most)
{
	u32 n, at;
	int ret;

	for (at = from; at < t->len; at += n) {
		n = min(t->len - at,
			1 + prandom_u32_state(&t->rnd) % most);
		ret = nic_stream_run(&t->stream, t->work + at, n);
		if (ret)
			return ret;
	}
	return 0;
}

static const u32 pieces[] = { 1, 7, 100, 1460, ROOM };

static void encrypts_as_the_aead_does(struct kunit *test)
{
	struct engine_test *t = test->priv;

	for (int i = 0; i < ARRAY_SIZE(lengths); i++) {
		make_records(test, lengths[i]);
		for (int j = 0; j < ARRAY_SIZE(pieces); j++) {
			memcpy(t->work, t->plain, t->len);
			start(test, true);
			KUNIT_EXPECT_EQ(test, 0, run_pieces(t, 0, pieces[j]));
			KUNIT_EXPECT_MEMEQ(test, t->work, t->cipher, t->len);
			KUNIT_EXPECT_EQ(test, 3, t->stream.records);
		}
	}
}

static void decrypts_and_finds_tags_right(struct kunit *test)
{
	struct engine_test *t = test->priv;

	for (int i = 0; i < ARRAY_SIZE(lengths); i++) {
		make_records(test, lengths[i]);
		for (int j = 0; j < ARRAY_SIZE(pieces); j++) {
			memcpy(t->work, t->cipher, t->len);
			start(test, false);
			KUNIT_EXPECT_EQ(test, 0, run_pieces(t, 0, pieces[j]));
			KUNIT_EXPECT_EQ(test, 3, t->stream.records);
			/* Tags stay as received; all else is as it was. */
			for (u32 at = 0, n; at < t->len; at += n) {
				n = nic_record_len(&t->key, t->plain + at);
				KUNIT_EXPECT_MEMEQ(test, t->work + at,
						   t->plain + at,
						   n - TLS_TAG_SIZE);
			}
		}
	}
}

static void one_wrong_bit_is_found(struct kunit *test)
{
	struct engine_test *t = test->priv;
	u32 first;

	make_records(test, lengths[4]);
	first = nic_record_len(&t->key, t->cipher);
	for (u32 at = TLS_HEADER_SIZE; at < first; at += at < 64 ? 1 : 99) {
		memcpy(t->work, t->cipher, t->len);
		t->work[at] ^= 0x10;
		start(test, false);
		KUNIT_EXPECT_EQ_MSG(test, -EBADMSG, run_pieces(t, 0, 700),
				    "at byte %u", at);
		KUNIT_EXPECT_EQ(test, 0, t->stream.records);
	}
}

/* A gap within a record costs that record; the next is decrypted. */
static void a_gap_in_a_record_costs_that_record(struct kunit *test)
{
	struct engine_test *t = test->priv;
	u32 first;

	make_records(test, lengths[4]);
	first = nic_record_len(&t->key, t->cipher);
	for (u32 from = 6; from <= first; from += 311) {
		memcpy(t->work, t->cipher, t->len);
		start(test, false);
		KUNIT_EXPECT_EQ(test, 0,
				nic_stream_run(&t->stream, t->work, 5));
		KUNIT_EXPECT_FALSE(test, nic_stream_skip(&t->stream, first));
		KUNIT_EXPECT_TRUE(test, nic_stream_skip(&t->stream, from - 5));
		KUNIT_EXPECT_EQ(test, 0, run_pieces(t, from, 1460));
		KUNIT_EXPECT_EQ(test, 2, t->stream.records);
	}
}

static void what_is_no_header_is_refused(struct kunit *test)
{
	struct engine_test *t = test->priv;

	for (int at = 0; at < 4; at++) {
		make_records(test, lengths[0]);
		memcpy(t->work, t->cipher, t->len);
		t->work[at] = 0x7f;
		start(test, false);
		KUNIT_EXPECT_EQ(test, -EPROTO, run_pieces(t, 0, 1));
	}
}

static struct kunit_case engine_cases[] = {
	KUNIT_CASE_PARAM(encrypts_as_the_aead_does, engine_gen_params),
	KUNIT_CASE_PARAM(decrypts_and_finds_tags_right, engine_gen_params),
	KUNIT_CASE_PARAM(one_wrong_bit_is_found, engine_gen_params),
	KUNIT_CASE_PARAM(a_gap_in_a_record_costs_that_record,
			 engine_gen_params),
	KUNIT_CASE_PARAM(what_is_no_header_is_refused, engine_gen_params),
	{}
};

static struct kunit_suite engine_suite = {
	.name = "tlsnic",
	.init = engine_init,
	.exit = engine_exit,
	.test_cases = engine_cases,
};

kunit_test_suite(engine_suite);

MODULE_DESCRIPTION("KUnit tests of tlsnic's cipher engine");
MODULE_LICENSE("GPL");
