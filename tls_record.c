// SPDX-License-Identifier: GPL-2.0
/*
 * The wire format of TLS 1.2 and 1.3 records: ciphers, nonces, additional
 * data, headers, limits, padding. Pure functions on bytes: no socket, no
 * buffer, no memory of their own.
 *
 * Every length that a peer sends is checked here, and trusted after.
 */

#include <linux/module.h>
#include <linux/unaligned.h>
#include <kunit/visibility.h>

#include "tls.h"

/* Each structure of the user ABI is the header, then these four in a row. */
#define CIPHER(nr, st, name, ...)					\
	{								\
		.alg		= name,					\
		.type		= nr,					\
		.info_size	= sizeof(struct st),			\
		.iv_size	= nr##_IV_SIZE,				\
		.key_size	= nr##_KEY_SIZE,			\
		.salt_size	= nr##_SALT_SIZE,			\
		__VA_ARGS__						\
	}

/* Its sizes are what the code counts on, and nothing stands between. */
#define CIPHER_IS_LAID_OUT(nr, st) (					\
	sizeof(struct st) == sizeof(struct tls_crypto_info) +		\
		nr##_IV_SIZE + nr##_KEY_SIZE + nr##_SALT_SIZE +		\
		nr##_REC_SEQ_SIZE &&					\
	nr##_SALT_SIZE + nr##_IV_SIZE == TLS_NONCE_SIZE &&		\
	nr##_KEY_SIZE <= TLS_MAX_KEY_SIZE &&				\
	nr##_TAG_SIZE == TLS_TAG_SIZE &&				\
	nr##_REC_SEQ_SIZE == sizeof(u64))

static_assert(CIPHER_IS_LAID_OUT(TLS_CIPHER_AES_GCM_128,
				 tls12_crypto_info_aes_gcm_128));
static_assert(CIPHER_IS_LAID_OUT(TLS_CIPHER_AES_GCM_256,
				 tls12_crypto_info_aes_gcm_256));
static_assert(CIPHER_IS_LAID_OUT(TLS_CIPHER_AES_CCM_128,
				 tls12_crypto_info_aes_ccm_128));
static_assert(CIPHER_IS_LAID_OUT(TLS_CIPHER_CHACHA20_POLY1305,
				 tls12_crypto_info_chacha20_poly1305));
static_assert(CIPHER_IS_LAID_OUT(TLS_CIPHER_SM4_GCM,
				 tls12_crypto_info_sm4_gcm));
static_assert(CIPHER_IS_LAID_OUT(TLS_CIPHER_SM4_CCM,
				 tls12_crypto_info_sm4_ccm));
static_assert(CIPHER_IS_LAID_OUT(TLS_CIPHER_ARIA_GCM_128,
				 tls12_crypto_info_aria_gcm_128));
static_assert(CIPHER_IS_LAID_OUT(TLS_CIPHER_ARIA_GCM_256,
				 tls12_crypto_info_aria_gcm_256));

static const struct tls_cipher ciphers[] = {
	CIPHER(TLS_CIPHER_AES_GCM_128, tls12_crypto_info_aes_gcm_128,
	       "gcm(aes)", .explicit_nonce = true, .tls13 = true),
	CIPHER(TLS_CIPHER_AES_GCM_256, tls12_crypto_info_aes_gcm_256,
	       "gcm(aes)", .explicit_nonce = true, .tls13 = true),
	CIPHER(TLS_CIPHER_AES_CCM_128, tls12_crypto_info_aes_ccm_128,
	       "ccm(aes)", .explicit_nonce = true, .tls13 = true, .ccm = true),
	CIPHER(TLS_CIPHER_CHACHA20_POLY1305,
	       tls12_crypto_info_chacha20_poly1305,
	       "rfc7539(chacha20,poly1305)", .tls13 = true),
	CIPHER(TLS_CIPHER_SM4_GCM, tls12_crypto_info_sm4_gcm,
	       "gcm(sm4)", .explicit_nonce = true, .tls13 = true),
	CIPHER(TLS_CIPHER_SM4_CCM, tls12_crypto_info_sm4_ccm,
	       "ccm(sm4)", .explicit_nonce = true, .tls13 = true, .ccm = true),
	CIPHER(TLS_CIPHER_ARIA_GCM_128, tls12_crypto_info_aria_gcm_128,
	       "gcm(aria)", .explicit_nonce = true),
	CIPHER(TLS_CIPHER_ARIA_GCM_256, tls12_crypto_info_aria_gcm_256,
	       "gcm(aria)", .explicit_nonce = true),
};

/**
 * tls_cipher_find - look a cipher up in the table
 * @version: TLS_1_2_VERSION or TLS_1_3_VERSION
 * @type: TLS_CIPHER_*
 *
 * Return: the cipher, or NULL when that version has no such cipher.
 */
const struct tls_cipher *tls_cipher_find(u16 version, u16 type)
{
	const struct tls_cipher *c;

	if (version != TLS_1_2_VERSION && version != TLS_1_3_VERSION)
		return NULL;
	for (c = ciphers; c < ciphers + ARRAY_SIZE(ciphers); c++)
		if (c->type == type)
			return version == TLS_1_2_VERSION || c->tls13 ? c : NULL;
	return NULL;
}
EXPORT_SYMBOL_IF_KUNIT(tls_cipher_find);

/* Does this direction send a part of each nonce with its record? */
static bool has_explicit_nonce(const struct tls_framing *f)
{
	return f->version == TLS_1_2_VERSION && f->cipher->explicit_nonce;
}

/**
 * tls_info_key - the key in a structure of the user ABI
 * @cipher: the cipher that the structure belongs to
 * @info: the structure
 *
 * Return: pointer to the key's @cipher->key_size bytes.
 */
const u8 *tls_info_key(const struct tls_cipher *cipher, const u8 *info)
{
	return info + sizeof(struct tls_crypto_info) + cipher->iv_size;
}

/**
 * tls_framing_init - begin framing under a key
 * @f: what to fill
 * @cipher: from tls_cipher_find()
 * @version: the version that it was looked up for
 * @info: the cipher's structure of the user ABI, whole
 */
void tls_framing_init(struct tls_framing *f, const struct tls_cipher *cipher,
		      u16 version, const u8 *info)
{
	const u8 *iv = info + sizeof(struct tls_crypto_info);
	const u8 *salt = tls_info_key(cipher, info) + cipher->key_size;

	f->cipher = cipher;
	f->version = version;
	f->tail = version == TLS_1_3_VERSION ? 1 : 0;
	f->prepend = TLS_HEADER_SIZE;
	if (has_explicit_nonce(f))
		f->prepend += cipher->iv_size;
	memcpy(f->iv, salt, cipher->salt_size);
	memcpy(f->iv + cipher->salt_size, iv, cipher->iv_size);
	f->seq = get_unaligned_be64(salt + cipher->salt_size);
	f->exhausted = false;
}
EXPORT_SYMBOL_IF_KUNIT(tls_framing_init);

/**
 * tls_framing_export - the present state as user space wants to see it
 * @f: framing of one direction
 * @info: the cipher's structure of the user ABI; all but the key is filled
 */
void tls_framing_export(const struct tls_framing *f, u8 *info)
{
	const struct tls_cipher *cipher = f->cipher;
	struct tls_crypto_info head = {
		.version = f->version,
		.cipher_type = cipher->type,
	};
	u8 *iv = info + sizeof(head);
	u8 *salt = iv + cipher->iv_size + cipher->key_size;

	memcpy(info, &head, sizeof(head));
	memcpy(salt, f->iv, cipher->salt_size);
	memcpy(iv, f->iv + cipher->salt_size, cipher->iv_size);
	put_unaligned_be64(f->seq, salt + cipher->salt_size);
}
EXPORT_SYMBOL_IF_KUNIT(tls_framing_export);

static inline void framing_step(struct tls_framing *f, s64 step)
{
	f->seq += step;
	if (has_explicit_nonce(f)) {
		u8 *counter = f->iv + f->cipher->salt_size;

		put_unaligned_be64(get_unaligned_be64(counter) + step, counter);
	}
}

/**
 * tls_framing_advance - go on to the next record
 * @f: framing of one direction
 *
 * Sequence numbers must not wrap (RFC 8446, 5.3; RFC 5246, 6.1): after the
 * last one, @f->exhausted forbids any further record.
 */
void tls_framing_advance(struct tls_framing *f)
{
	framing_step(f, 1);
	f->exhausted = !f->seq;
}
EXPORT_SYMBOL_IF_KUNIT(tls_framing_advance);

/**
 * tls_framing_rewind - back to the record before
 * @f: framing of the direction that receives
 *
 * After tls_framing_advance(), for a record that is decrypted once more.
 */
void tls_framing_rewind(struct tls_framing *f)
{
	framing_step(f, -1);
	f->exhausted = false;
}
EXPORT_SYMBOL_IF_KUNIT(tls_framing_rewind);

/**
 * tls_record_iv - the nonce of the current record, as the AEAD wants it
 * @f: framing of the direction
 * @explicit_nonce: the nonce bytes that came with the record; NULL when
 *		    sending
 * @iv: the result
 *
 * TLS 1.2 with explicit nonces joins salt and explicit part (RFC 5288, 3;
 * RFC 6655, 3); all else XORs the IV with the sequence number (RFC 8446, 5.3;
 * RFC 7905, 2). CCM takes it in its first block, after the byte that says how
 * wide its length field is (RFC 3610, 2.3).
 */
void tls_record_iv(const struct tls_framing *f, const u8 *explicit_nonce,
		   u8 iv[TLS_MAX_IV_SIZE])
{
	u8 *nonce = iv;

	if (f->cipher->ccm) {
		memset(iv, 0, TLS_MAX_IV_SIZE);
		iv[0] = TLS_MAX_IV_SIZE - 1 - TLS_NONCE_SIZE - 1;
		nonce = iv + 1;
	}
	memcpy(nonce, f->iv, TLS_NONCE_SIZE);
	if (has_explicit_nonce(f)) {
		if (explicit_nonce)
			memcpy(nonce + f->cipher->salt_size, explicit_nonce,
			       TLS_EXPLICIT_NONCE_SIZE);
	} else {
		u8 *low = nonce + TLS_NONCE_SIZE - sizeof(u64);

		put_unaligned_be64(get_unaligned_be64(low) ^ f->seq, low);
	}
}
EXPORT_SYMBOL_IF_KUNIT(tls_record_iv);

/**
 * tls_record_aad - the additional data of the current record
 * @f: framing of the direction
 * @type: content type; TLS 1.3 hides it and authenticates the header instead
 * @text_len: bytes that are encrypted, without the tag
 * @aad: the result
 *
 * RFC 5246, 6.2.3.3 and RFC 8446, 5.2.
 *
 * Return: how many bytes of @aad there are.
 */
size_t tls_record_aad(const struct tls_framing *f, u8 type, size_t text_len,
		      u8 aad[TLS_AAD_SPACE_SIZE])
{
	u8 *at = aad;

	if (f->version == TLS_1_3_VERSION) {
		type = TLS_RECORD_TYPE_DATA;
		text_len += TLS_TAG_SIZE;
	} else {
		put_unaligned_be64(f->seq, at);
		at += sizeof(u64);
	}
	*at++ = type;
	put_unaligned_be16(TLS_1_2_VERSION, at);
	put_unaligned_be16(text_len, at + 2);
	return at + 4 - aad;
}
EXPORT_SYMBOL_IF_KUNIT(tls_record_aad);

/**
 * tls_record_header - write what stands before the ciphertext
 * @f: framing of the direction
 * @type: content type
 * @text_len: bytes that are encrypted, without the tag
 * @header: room for @f->prepend bytes
 */
void tls_record_header(const struct tls_framing *f, u8 type, size_t text_len,
		       u8 *header)
{
	header[0] = f->version == TLS_1_3_VERSION ? TLS_RECORD_TYPE_DATA : type;
	put_unaligned_be16(TLS_1_2_VERSION, header + 1);
	put_unaligned_be16(f->prepend - TLS_HEADER_SIZE + text_len +
			   TLS_TAG_SIZE, header + 3);
	if (has_explicit_nonce(f))
		memcpy(header + TLS_HEADER_SIZE, f->iv + f->cipher->salt_size,
		       TLS_EXPLICIT_NONCE_SIZE);
}
EXPORT_SYMBOL_IF_KUNIT(tls_record_header);

/**
 * tls_record_parse - check a header that a peer sent
 * @f: framing of the direction
 * @header: the first bytes of the record
 * @rec: filled when the header is right; when it is wrong, only its type is
 *
 * Return: 0; -EMSGSIZE when the record is longer than the protocol allows
 * (RFC 5246, 6.2.3; RFC 8446, 5.2: a longer one could only hold a plaintext
 * that is too long, as the ciphers add exactly one tag); -EINVAL when its
 * version is wrong; -EBADMSG when it is too short to hold what every record
 * holds, or TLS 1.3 does not call it application data.
 */
int tls_record_parse(const struct tls_framing *f,
		     const u8 header[TLS_HEADER_SIZE], struct tls_record *rec)
{
	size_t explicit_len = f->prepend - TLS_HEADER_SIZE;
	size_t len = get_unaligned_be16(header + 3);
	size_t least = explicit_len + f->tail + TLS_TAG_SIZE;

	rec->type = header[0];
	if (len > least + TLS_MAX_PAYLOAD_SIZE)
		return -EMSGSIZE;
	if (get_unaligned_be16(header + 1) != TLS_1_2_VERSION)
		return -EINVAL;
	if (len < least)
		return -EBADMSG;
	if (f->version == TLS_1_3_VERSION && header[0] != TLS_RECORD_TYPE_DATA)
		return -EBADMSG;
	rec->full_len = TLS_HEADER_SIZE + len;
	rec->text_len = len - explicit_len - TLS_TAG_SIZE;
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(tls_record_parse);

/**
 * tls_padding_skip - find the end of what precedes TLS 1.3's padding
 * @text: decrypted bytes, the last piece of the record first
 * @len: how many
 *
 * The last byte that is not zero is the content type (RFC 8446, 5.4).
 *
 * Return: bytes of @text up to and with the content type; 0 when all of it is
 * padding.
 */
size_t tls_padding_skip(const u8 *text, size_t len)
{
	while (len && !text[len - 1])
		len--;
	return len;
}
EXPORT_SYMBOL_IF_KUNIT(tls_padding_skip);
