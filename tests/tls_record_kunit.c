// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: the record format. Vectors are from RFC 8448, section 3; the rest
 * follows the rules of RFC 5246, 5288, 6655, 7905 and 8446.
 */

#include <crypto/aead.h>
#include <kunit/test.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/unaligned.h>

#include "../compat.h"
#include "../tls.h"

/* Every cipher, in both versions. */
static const struct {
	u16 type;
	u16 info_size;
	u8 key_size;
	bool explicit_nonce;
	bool ccm;
	bool tls13;
} ciphers[] = {
	{ TLS_CIPHER_AES_GCM_128, 40, 16, true, false, true },
	{ TLS_CIPHER_AES_GCM_256, 56, 32, true, false, true },
	{ TLS_CIPHER_AES_CCM_128, 40, 16, true, true, true },
	{ TLS_CIPHER_CHACHA20_POLY1305, 56, 32, false, false, true },
	{ TLS_CIPHER_SM4_GCM, 40, 16, true, false, true },
	{ TLS_CIPHER_SM4_CCM, 40, 16, true, true, true },
	{ TLS_CIPHER_ARIA_GCM_128, 40, 16, true, false, false },
	{ TLS_CIPHER_ARIA_GCM_256, 56, 32, true, false, false },
};

static const u16 versions[] = { TLS_1_2_VERSION, TLS_1_3_VERSION };

/* Bytes that tell where they come from: IV 1.., key 0x40.., salt 0xa0.. */
static void fill_info(unsigned int i, u16 version, u64 seq, u8 *info)
{
	struct tls_crypto_info head = { version, ciphers[i].type };
	size_t iv_size = ciphers[i].explicit_nonce ? 8 : 12;
	size_t n;
	u8 *at = info;

	memcpy(at, &head, sizeof(head));
	at += sizeof(head);
	for (n = 0; n < iv_size; n++)
		*at++ = 1 + n;
	for (n = 0; n < ciphers[i].key_size; n++)
		*at++ = 0x40 + n;
	for (n = 0; n < 12 - iv_size; n++)
		*at++ = 0xa0 + n;
	put_unaligned_be64(seq, at);
}

/* A framing, and which cipher it is of. */
struct case_framing {
	struct tls_framing f;
	unsigned int cipher;
	unsigned int version;
};

/* On to the next version, then the next cipher; false after the last. */
static bool next_framing(struct case_framing *c)
{
	u8 info[TLS_MAX_INFO_SIZE];

	for (; c->cipher < ARRAY_SIZE(ciphers); c->cipher++, c->version = 0) {
		while (c->version < ARRAY_SIZE(versions)) {
			u16 version = versions[c->version++];
			const struct tls_cipher *cipher;

			cipher = tls_cipher_find(version,
						 ciphers[c->cipher].type);
			if (!cipher)
				continue;
			fill_info(c->cipher, version, 0x1122334455667788ULL,
				  info);
			tls_framing_init(&c->f, cipher, version, info);
			return true;
		}
	}
	return false;
}

static bool explicit_in(const struct tls_framing *f)
{
	return f->version == TLS_1_2_VERSION &&
	       f->cipher->type != TLS_CIPHER_CHACHA20_POLY1305;
}

static void cipher_table_has_each_cipher_and_no_other(struct kunit *test)
{
	unsigned int i, v, type;

	for (i = 0; i < ARRAY_SIZE(ciphers); i++) {
		for (v = 0; v < ARRAY_SIZE(versions); v++) {
			const struct tls_cipher *c;

			c = tls_cipher_find(versions[v], ciphers[i].type);
			if (versions[v] == TLS_1_3_VERSION &&
			    !ciphers[i].tls13) {
				KUNIT_EXPECT_NULL(test, c);
				continue;
			}
			KUNIT_ASSERT_NOT_NULL(test, c);
			KUNIT_EXPECT_EQ(test, c->info_size,
					ciphers[i].info_size);
			KUNIT_EXPECT_EQ(test, c->key_size, ciphers[i].key_size);
			KUNIT_EXPECT_EQ(test, c->ccm, ciphers[i].ccm);
		}
	}
	for (type = 0; type < 70; type++)
		if (type < 51 || type > 58)
			KUNIT_EXPECT_NULL(test, tls_cipher_find(TLS_1_2_VERSION,
								type));
	KUNIT_EXPECT_NULL(test, tls_cipher_find(0x0302, 51));
	KUNIT_EXPECT_NULL(test, tls_cipher_find(0x0305, 51));
}

static void nonce_follows_the_rfc_of_each_cipher(struct kunit *test)
{
	static const u8 wire[8] = { 9, 8, 7, 6, 5, 4, 3, 2 };
	struct case_framing c = {};
	unsigned int n;

	while (next_framing(&c)) {
		u8 iv[TLS_MAX_IV_SIZE], want[12];
		u8 *nonce = ciphers[c.cipher].ccm ? iv + 1 : iv;
		u8 seq[8];

		memset(iv, 0xee, sizeof(iv));
		tls_record_iv(&c.f, explicit_in(&c.f) ? wire : NULL, iv);

		if (ciphers[c.cipher].explicit_nonce)
			for (n = 0; n < 12; n++)
				want[n] = n < 4 ? 0xa0 + n : n - 3;
		else
			for (n = 0; n < 12; n++)
				want[n] = 1 + n;
		put_unaligned_be64(c.f.seq, seq);
		for (n = 0; n < 8; n++)
			if (explicit_in(&c.f))
				want[4 + n] = wire[n];
			else
				want[4 + n] ^= seq[n];
		KUNIT_EXPECT_MEMEQ(test, nonce, want, 12);
		if (ciphers[c.cipher].ccm) {
			/* A length field of 3 bytes: L' = 2. */
			KUNIT_EXPECT_EQ(test, iv[0], 2);
			KUNIT_EXPECT_EQ(test, iv[13] | iv[14] | iv[15], 0);
		}
	}
}

static void nonce_never_repeats_while_sending(struct kunit *test)
{
	struct case_framing c = {};
	unsigned int n;

	while (next_framing(&c)) {
		u8 before[TLS_MAX_IV_SIZE], after[TLS_MAX_IV_SIZE];

		memset(before, 0, sizeof(before));
		memset(after, 0, sizeof(after));
		tls_record_iv(&c.f, NULL, before);
		for (n = 0; n < 300; n++) {
			tls_framing_advance(&c.f);
			tls_record_iv(&c.f, NULL, after);
			KUNIT_ASSERT_NE(test, memcmp(before, after,
						     sizeof(before)), 0);
			memcpy(before, after, sizeof(before));
		}
	}
}

static void sequence_number_does_not_wrap(struct kunit *test)
{
	struct case_framing c = {};

	while (next_framing(&c)) {
		c.f.seq = U64_MAX - 1;
		tls_framing_advance(&c.f);
		KUNIT_EXPECT_FALSE(test, c.f.exhausted);
		KUNIT_EXPECT_EQ(test, c.f.seq, U64_MAX);
		tls_framing_advance(&c.f);
		KUNIT_EXPECT_TRUE(test, c.f.exhausted);
	}
}

static void record_that_is_decrypted_again_has_its_number_again(struct kunit *test)
{
	static const u64 numbers[] = { 0, 1, 0xff, 0xffffffff, U64_MAX };
	struct case_framing c = {};
	int i;

	while (next_framing(&c)) {
		for (i = 0; i < ARRAY_SIZE(numbers); i++) {
			struct tls_framing before;

			c.f.seq = numbers[i];
			if (explicit_in(&c.f))
				put_unaligned_be64(numbers[i], c.f.iv +
						   c.f.cipher->salt_size);
			memcpy(&before, &c.f, sizeof(before));
			tls_framing_advance(&c.f);
			KUNIT_EXPECT_NE(test, c.f.seq, before.seq);
			tls_framing_rewind(&c.f);
			KUNIT_EXPECT_MEMEQ(test, &c.f, &before, sizeof(before));
		}
	}
}

static void additional_data_follows_the_rfc_of_each_version(struct kunit *test)
{
	struct case_framing c = {};

	while (next_framing(&c)) {
		static const u8 want12[13] = {
			0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
			TLS_RECORD_TYPE_ALERT, 3, 3, 0x12, 0x34,
		};
		static const u8 want13[5] = {
			TLS_RECORD_TYPE_DATA, 3, 3, 0x12, 0x44,
		};
		u8 aad[TLS_AAD_SPACE_SIZE];
		size_t n;

		n = tls_record_aad(&c.f, TLS_RECORD_TYPE_ALERT, 0x1234, aad);
		if (c.f.version == TLS_1_2_VERSION) {
			KUNIT_ASSERT_EQ(test, n, sizeof(want12));
			KUNIT_EXPECT_MEMEQ(test, aad, want12, n);
		} else {
			KUNIT_ASSERT_EQ(test, n, sizeof(want13));
			KUNIT_EXPECT_MEMEQ(test, aad, want13, n);
		}
	}
}

static void header_of_every_length_is_parsed_back(struct kunit *test)
{
	struct case_framing c = {};
	unsigned int len;

	while (next_framing(&c)) {
		for (len = c.f.tail; len <= TLS_MAX_PAYLOAD_SIZE + c.f.tail;
		     len++) {
			u8 header[TLS_HEADER_SIZE + TLS_EXPLICIT_NONCE_SIZE];
			struct tls_record rec;

			tls_record_header(&c.f, TLS_RECORD_TYPE_DATA, len,
					  header);
			KUNIT_ASSERT_EQ(test, 0,
					tls_record_parse(&c.f, header, &rec));
			KUNIT_ASSERT_EQ(test, rec.text_len, len);
			KUNIT_ASSERT_EQ(test, rec.full_len,
					c.f.prepend + len + TLS_TAG_SIZE);
			KUNIT_ASSERT_EQ(test, rec.type, TLS_RECORD_TYPE_DATA);
			if (explicit_in(&c.f))
				KUNIT_ASSERT_MEMEQ(test, header + 5,
						   "\1\2\3\4\5\6\7\10", 8);
		}
	}
}

static void header_of_every_length_is_judged(struct kunit *test)
{
	struct case_framing c = {};
	unsigned int len;

	while (next_framing(&c)) {
		unsigned int least = 16 + (explicit_in(&c.f) ? 8 : 0) +
				     (c.f.version == TLS_1_3_VERSION ? 1 : 0);

		for (len = 0; len <= U16_MAX; len++) {
			u8 header[5] = { TLS_RECORD_TYPE_DATA, 3, 3 };
			int want = len > least + 16384 ? -EMSGSIZE :
				   len < least ? -EBADMSG : 0;
			struct tls_record rec;

			put_unaligned_be16(len, header + 3);
			KUNIT_ASSERT_EQ(test, want,
					tls_record_parse(&c.f, header, &rec));
			/* A wrong version is told when the length is right. */
			header[2] ^= 1;
			want = want == -EMSGSIZE ? want : -EINVAL;
			KUNIT_ASSERT_EQ(test, want,
					tls_record_parse(&c.f, header, &rec));
		}
	}
}

static void tls13_record_must_look_like_data(struct kunit *test)
{
	struct case_framing c = {};
	unsigned int type;

	while (next_framing(&c)) {
		for (type = 0; type <= U8_MAX; type++) {
			u8 header[5] = { type, 3, 3, 0, 100 };
			struct tls_record rec;
			int want = c.f.version == TLS_1_3_VERSION &&
				   type != TLS_RECORD_TYPE_DATA ? -EBADMSG : 0;

			KUNIT_EXPECT_EQ(test, want,
					tls_record_parse(&c.f, header, &rec));
		}
	}
}

static void padding_is_skipped_to_the_content_type(struct kunit *test)
{
	u8 text[64] = {};
	unsigned int len, type_at;

	for (len = 0; len <= sizeof(text); len++) {
		KUNIT_EXPECT_EQ(test, tls_padding_skip(text, len), 0);
		for (type_at = 0; type_at < len; type_at++) {
			text[type_at] = TLS_RECORD_TYPE_ALERT;
			KUNIT_EXPECT_EQ(test, tls_padding_skip(text, len),
					type_at + 1);
			text[type_at] = 0;
		}
	}
}

static void exported_state_is_what_was_set(struct kunit *test)
{
	struct case_framing c = {};

	while (next_framing(&c)) {
		u8 want[TLS_MAX_INFO_SIZE] = {}, got[TLS_MAX_INFO_SIZE] = {};
		size_t key_at = 4 + (ciphers[c.cipher].explicit_nonce ? 8 : 12);

		fill_info(c.cipher, c.f.version, 0x1122334455667788ULL, want);
		tls_framing_export(&c.f, got);
		/* All but the key, which framing does not know. */
		memset(want + key_at, 0, ciphers[c.cipher].key_size);
		KUNIT_EXPECT_MEMEQ(test, got, want, ciphers[c.cipher].info_size);

		tls_framing_advance(&c.f);
		tls_framing_export(&c.f, got);
		put_unaligned_be64(0x1122334455667789ULL,
				   want + ciphers[c.cipher].info_size - 8);
		if (explicit_in(&c.f))
			want[4 + 7]++;
		KUNIT_EXPECT_MEMEQ(test, got, want, ciphers[c.cipher].info_size);
	}
}

/* RFC 8448, section 3: the application data records of the simple handshake. */
static const struct {
	const char *name;
	u8 key[16];
	u8 iv[12];
	u64 seq;
	u8 record[72];
} rfc8448[] = { {
	"client",
	{ 0x17, 0x42, 0x2d, 0xda, 0x59, 0x6e, 0xd5, 0xd9,
	  0xac, 0xd8, 0x90, 0xe3, 0xc6, 0x3f, 0x50, 0x51 },
	{ 0x5b, 0x78, 0x92, 0x3d, 0xee, 0x08, 0x57, 0x90,
	  0x33, 0xe5, 0x23, 0xd9 },
	0,
	{ 0x17, 0x03, 0x03, 0x00, 0x43,
	  0xa2, 0x3f, 0x70, 0x54, 0xb6, 0x2c, 0x94, 0xd0,
	  0xaf, 0xfa, 0xfe, 0x82, 0x28, 0xba, 0x55, 0xcb,
	  0xef, 0xac, 0xea, 0x42, 0xf9, 0x14, 0xaa, 0x66,
	  0xbc, 0xab, 0x3f, 0x2b, 0x98, 0x19, 0xa8, 0xa5,
	  0xb4, 0x6b, 0x39, 0x5b, 0xd5, 0x4a, 0x9a, 0x20,
	  0x44, 0x1e, 0x2b, 0x62, 0x97, 0x4e, 0x1f, 0x5a,
	  0x62, 0x92, 0xa2, 0x97, 0x70, 0x14, 0xbd, 0x1e,
	  0x3d, 0xea, 0xe6, 0x3a, 0xee, 0xbb, 0x21, 0x69,
	  0x49, 0x15, 0xe4 },
} };

static void rfc8448_records_are_made_and_read(struct kunit *test)
{
	struct tls12_crypto_info_aes_gcm_128 info = {
		.info.version = TLS_1_3_VERSION,
		.info.cipher_type = TLS_CIPHER_AES_GCM_128,
	};
	const struct tls_cipher *c;
	unsigned int i, n;

	c = tls_cipher_find(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128);
	KUNIT_ASSERT_NOT_NULL(test, c);

	for (i = 0; i < ARRAY_SIZE(rfc8448); i++) {
		size_t text_len = 50 + 1;
		struct crypto_aead *tfm;
		struct aead_request *req;
		struct scatterlist sg[2];
		DECLARE_CRYPTO_WAIT(wait);
		struct tls_framing f;
		struct tls_record rec;
		u8 iv[TLS_MAX_IV_SIZE];
		u8 *aad, *buf;

		memcpy(info.salt, rfc8448[i].iv, 4);
		memcpy(info.iv, rfc8448[i].iv + 4, 8);
		put_unaligned_be64(rfc8448[i].seq, info.rec_seq);
		tls_framing_init(&f, c, TLS_1_3_VERSION, (u8 *)&info);

		tfm = crypto_alloc_aead("gcm(aes)", 0, CRYPTO_ALG_ASYNC);
		KUNIT_ASSERT_FALSE(test, IS_ERR(tfm));
		KUNIT_ASSERT_EQ(test, 0,
				crypto_aead_setkey(tfm, rfc8448[i].key, 16));
		KUNIT_ASSERT_EQ(test, 0, crypto_aead_setauthsize(tfm, 16));
		req = aead_request_alloc(tfm, GFP_KERNEL);
		aad = kunit_kzalloc(test, TLS_AAD_SPACE_SIZE, GFP_KERNEL);
		buf = kunit_kzalloc(test, sizeof(rfc8448[i].record),
				    GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, req);
		KUNIT_ASSERT_NOT_NULL(test, aad);
		KUNIT_ASSERT_NOT_NULL(test, buf);

		/* The payload is 0, 1, 2, ... 49. */
		tls_record_header(&f, TLS_RECORD_TYPE_DATA, text_len, buf);
		for (n = 0; n < 50; n++)
			buf[f.prepend + n] = n;
		buf[f.prepend + 50] = TLS_RECORD_TYPE_DATA;
		sg_init_table(sg, 2);
		sg_set_buf(&sg[0], aad,
			   tls_record_aad(&f, TLS_RECORD_TYPE_DATA, text_len,
					  aad));
		sg_set_buf(&sg[1], buf + f.prepend, text_len + TLS_TAG_SIZE);
		tls_record_iv(&f, NULL, iv);
		aead_request_set_callback(req, CRYPTO_TFM_REQ_MAY_SLEEP,
					  crypto_req_done, &wait);
		aead_request_set_ad(req, sg[0].length);
		aead_request_set_crypt(req, sg, sg, text_len, iv);
		KUNIT_EXPECT_EQ(test, 0,
				crypto_wait_req(crypto_aead_encrypt(req),
						&wait));
		KUNIT_EXPECT_MEMEQ(test, buf, rfc8448[i].record,
				   sizeof(rfc8448[i].record));

		KUNIT_EXPECT_EQ(test, 0,
				tls_record_parse(&f, rfc8448[i].record, &rec));
		KUNIT_EXPECT_EQ(test, rec.full_len, 72);
		KUNIT_EXPECT_EQ(test, rec.text_len, text_len);
		tls_record_iv(&f, NULL, iv);
		aead_request_set_crypt(req, sg, sg, text_len + TLS_TAG_SIZE,
				       iv);
		KUNIT_EXPECT_EQ(test, 0,
				crypto_wait_req(crypto_aead_decrypt(req),
						&wait));
		KUNIT_EXPECT_EQ(test, 51,
				tls_padding_skip(buf + f.prepend, text_len));

		aead_request_free(req);
		crypto_free_aead(tfm);
	}
}

static struct kunit_case tls_record_cases[] = {
	KUNIT_CASE(cipher_table_has_each_cipher_and_no_other),
	KUNIT_CASE(nonce_follows_the_rfc_of_each_cipher),
	KUNIT_CASE(nonce_never_repeats_while_sending),
	KUNIT_CASE(sequence_number_does_not_wrap),
	KUNIT_CASE(record_that_is_decrypted_again_has_its_number_again),
	KUNIT_CASE(additional_data_follows_the_rfc_of_each_version),
	KUNIT_CASE(header_of_every_length_is_parsed_back),
	KUNIT_CASE(header_of_every_length_is_judged),
	KUNIT_CASE(tls13_record_must_look_like_data),
	KUNIT_CASE(padding_is_skipped_to_the_content_type),
	KUNIT_CASE(exported_state_is_what_was_set),
	KUNIT_CASE(rfc8448_records_are_made_and_read),
	{}
};

static struct kunit_suite tls_record_suite = {
	.name = "tls_record",
	.test_cases = tls_record_cases,
};

kunit_test_suite(tls_record_suite);

MODULE_DESCRIPTION("KUnit tests of kernel TLS");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");
