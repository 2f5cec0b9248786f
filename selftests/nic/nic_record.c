// SPDX-License-Identifier: GPL-2.0
/*
 * The cipher engine of the device: TLS records as a stream of bytes that comes
 * in pieces of any length. What a device must remember between two segments is
 * in struct nic_stream. The ciphers themselves are the kernel's; a library call
 * that takes a whole record at once would not do, so counter mode is put
 * together here from blocks of key stream.
 */

#include <crypto/utils.h>
#include <linux/unaligned.h>

#include "nic.h"

static u32 block_size(const struct nic_key *key)
{
	return key->chacha ? CHACHA_BLOCK_SIZE : AES_BLOCK_SIZE;
}

/* Header and explicit nonce: what is in front of the text. */
static u32 text_start(const struct nic_stream *s)
{
	return TLS_HEADER_SIZE + s->key->explicit_nonce;
}

static u32 text_end(const struct nic_stream *s)
{
	return s->len - TLS_TAG_SIZE;
}

/**
 * nic_key_set() - take a connection's key as user space gave it
 * @key: to fill; zeroed by the caller
 * @info: version, cipher, key
 * @number: where the sequence number of the first record goes
 *
 * Context: process, may sleep.
 * Return: 0, or -EOPNOTSUPP for what the device does not do.
 */
int nic_key_set(struct nic_key *key, const struct tls_crypto_info *info,
		u64 *number)
{
	const union {
		struct tls_crypto_info info;
		struct tls12_crypto_info_aes_gcm_128 gcm128;
		struct tls12_crypto_info_aes_gcm_256 gcm256;
		struct tls12_crypto_info_chacha20_poly1305 chacha;
	} *c = (const void *)info;
	u8 zero[AES_BLOCK_SIZE] = {};
	int ret;

	if (info->version != TLS_1_2_VERSION &&
	    info->version != TLS_1_3_VERSION)
		return -EOPNOTSUPP;
	key->tls13 = info->version == TLS_1_3_VERSION;

	switch (info->cipher_type) {
	case TLS_CIPHER_AES_GCM_128:
		memcpy(key->iv, c->gcm128.salt, 4);
		memcpy(key->iv + 4, c->gcm128.iv, 8);
		*number = get_unaligned_be64(c->gcm128.rec_seq);
		ret = aes_expandkey(&key->aes, c->gcm128.key, 16);
		break;
	case TLS_CIPHER_AES_GCM_256:
		memcpy(key->iv, c->gcm256.salt, 4);
		memcpy(key->iv + 4, c->gcm256.iv, 8);
		*number = get_unaligned_be64(c->gcm256.rec_seq);
		ret = aes_expandkey(&key->aes, c->gcm256.key, 32);
		break;
	case TLS_CIPHER_CHACHA20_POLY1305:
		key->chacha = true;
		memcpy(key->iv, c->chacha.iv, NIC_NONCE);
		*number = get_unaligned_be64(c->chacha.rec_seq);
		for (int i = 0; i < ARRAY_SIZE(key->chacha_key); i++)
			key->chacha_key[i] =
				get_unaligned_le32(c->chacha.key + 4 * i);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
	if (ret)
		return ret;

	if (!key->tls13)
		key->explicit_nonce = 8;
	key->ghash = crypto_alloc_shash("ghash", 0, 0);
	if (IS_ERR(key->ghash)) {
		ret = PTR_ERR(key->ghash);
		key->ghash = NULL;
		return ret;
	}
	aes_encrypt(&key->aes, zero, zero);
	ret = crypto_shash_setkey(key->ghash, zero, sizeof(zero));
	memzero_explicit(zero, sizeof(zero));
	return ret;
}

void nic_key_clear(struct nic_key *key)
{
	crypto_free_shash(key->ghash);
	memzero_explicit(key, sizeof(*key));
}

/* May sleep; nic_stream_free() also after a failure. */
int nic_stream_init(struct nic_stream *s, const struct nic_key *key,
		    bool encrypt)
{
	s->key = key;
	s->encrypt = encrypt;
	if (key->chacha)
		return 0;
	s->ghash = kzalloc(sizeof(*s->ghash) +
			   crypto_shash_descsize(key->ghash), GFP_KERNEL);
	if (!s->ghash)
		return -ENOMEM;
	s->ghash->tfm = key->ghash;
	return 0;
}

void nic_stream_free(struct nic_stream *s)
{
	kfree_sensitive(s->ghash);
	memzero_explicit(s, sizeof(*s));
}

/* The next byte is the first of the record @number. */
void nic_stream_start(struct nic_stream *s, u64 number)
{
	s->number = number;
	s->at = 0;
	s->framing = false;
	s->blind = false;
}

/**
 * nic_record_len() - the length of a record, from its header
 * @key: the connection's
 * @head: TLS_HEADER_SIZE bytes
 *
 * Return: bytes of the whole record, or 0 if this is no header that a
 * connection with this key could have.
 */
u32 nic_record_len(const struct nic_key *key, const u8 *head)
{
	u32 len = get_unaligned_be16(head + 3);
	u32 least = key->explicit_nonce + TLS_TAG_SIZE + key->tls13;

	if (key->tls13 ? head[0] != 23 : head[0] < 20 || head[0] > 23)
		return 0;
	if (head[1] != 3 || head[2] != 3)
		return 0;
	if (len < least || len > NIC_RECORD_MAX)
		return 0;
	return TLS_HEADER_SIZE + len;
}

static void auth(struct nic_stream *s, const u8 *data, u32 len)
{
	if (s->key->chacha)
		poly1305_update(&s->poly, data, len);
	else
		crypto_shash_update(s->ghash, data, len);
}

/* Both authenticators want each part filled up to whole blocks. */
static void auth_pad(struct nic_stream *s, u32 len)
{
	static const u8 zero[16];

	if (len % 16)
		auth(s, zero, 16 - len % 16);
}

/* Block @index of the key stream; 0 is the one that seals the tag. */
static void key_stream(struct nic_stream *s, u32 index, u8 *out)
{
	const struct nic_key *key = s->key;
	u8 block[AES_BLOCK_SIZE];

	if (key->chacha) {
		u32 state[CHACHA_STATE_WORDS];
		u8 iv[CHACHA_IV_SIZE];

		put_unaligned_le32(index, iv);
		memcpy(iv + 4, s->nonce, NIC_NONCE);
		chacha_init(state, key->chacha_key, iv);
		chacha20_block(state, out);
		memzero_explicit(state, sizeof(state));
		return;
	}
	memcpy(block, s->nonce, NIC_NONCE);
	put_unaligned_be32(index + 1, block + NIC_NONCE);
	aes_encrypt(&key->aes, out, block);
}

/* Additional data: RFC 5246, 6.2.3.3 or RFC 8446, 5.2. */
static u32 aad(const struct nic_stream *s, u8 *out)
{
	if (s->key->tls13) {
		memcpy(out, s->head, TLS_HEADER_SIZE);
		return TLS_HEADER_SIZE;
	}
	put_unaligned_be64(s->number, out);
	memcpy(out + 8, s->head, 3);
	put_unaligned_be16(text_end(s) - text_start(s), out + 11);
	return TLS_AAD_SPACE_SIZE;
}

/* All that is in front of the text is known: set up nonce and authenticator. */
static void begin_text(struct nic_stream *s)
{
	u8 data[TLS_AAD_SPACE_SIZE];
	u32 len;

	memcpy(s->nonce, s->key->iv, NIC_NONCE);
	if (s->key->explicit_nonce)
		memcpy(s->nonce + 4, s->head + TLS_HEADER_SIZE, 8);
	else
		put_unaligned_be64(get_unaligned_be64(s->nonce + 4) ^ s->number,
				   s->nonce + 4);

	if (s->key->chacha) {
		key_stream(s, 0, s->key_bytes);
		poly1305_init(&s->poly, s->key_bytes);
	} else {
		crypto_shash_init(s->ghash);
	}
	len = aad(s, data);
	auth(s, data, len);
	auth_pad(s, len);
}

static void text(struct nic_stream *s, u8 *data, u32 len)
{
	u32 size = block_size(s->key), from = s->at - text_start(s);

	if (!s->encrypt)
		auth(s, data, len);
	for (u32 i = 0, n; i < len; i += n) {
		u32 place = (from + i) % size;

		if (!place)
			key_stream(s, (from + i) / size + 1, s->key_bytes);
		n = min(len - i, size - place);
		crypto_xor(data + i, s->key_bytes + place, n);
	}
	if (s->encrypt)
		auth(s, data, len);
}

static void end_text(struct nic_stream *s)
{
	u32 len = text_end(s) - text_start(s);
	u32 aad_len = s->key->tls13 ? TLS_HEADER_SIZE : TLS_AAD_SPACE_SIZE;
	u8 lens[16], seal[AES_BLOCK_SIZE];

	auth_pad(s, len);
	if (s->key->chacha) {
		put_unaligned_le64(aad_len, lens);
		put_unaligned_le64(len, lens + 8);
		auth(s, lens, sizeof(lens));
		poly1305_final(&s->poly, s->tag);
	} else {
		put_unaligned_be64(aad_len * 8, lens);
		put_unaligned_be64(len * 8, lens + 8);
		auth(s, lens, sizeof(lens));
		crypto_shash_final(s->ghash, s->tag);
		key_stream(s, 0, seal);
		crypto_xor(s->tag, seal, sizeof(seal));
	}
	s->wrong = 0;
}

static void tag(struct nic_stream *s, u8 *data, u32 len)
{
	const u8 *right = s->tag + (s->at - text_end(s));

	for (u32 i = 0; i < len; i++) {
		if (s->encrypt)
			data[i] = right[i];
		else
			s->wrong |= data[i] ^ right[i];
	}
}

static void end_record(struct nic_stream *s)
{
	s->at = 0;
	s->len = 0;
	s->number++;
	s->blind = false;
}

/**
 * nic_stream_run() - encrypt or decrypt the next bytes of a stream, in place
 * @s: where the stream is
 * @data: the bytes; a sender leaves room for the tag, and it is filled in
 * @len: how many, any number
 *
 * Context: any but hard interrupt; the caller serialises.
 * Return: 0, -EPROTO for what is no record, -EBADMSG for a wrong tag. After
 * an error the place in the stream is lost.
 */
int nic_stream_run(struct nic_stream *s, u8 *data, u32 len)
{
	u32 n;

	for (; len; data += n, len -= n) {
		bool dark = s->framing || s->blind;

		n = 1;
		if (dark)
			s->passed = true;
		if (s->at < TLS_HEADER_SIZE) {
			s->head[s->at] = *data;
			if (s->at + n == TLS_HEADER_SIZE) {
				s->len = nic_record_len(s->key, s->head);
				if (!s->len)
					return -EPROTO;
				if (!dark && !s->key->explicit_nonce)
					begin_text(s);
			}
		} else if (dark) {
			n = min(len, s->len - s->at);
		} else if (s->at < text_start(s)) {
			s->head[s->at] = *data;
			if (s->at + n == text_start(s))
				begin_text(s);
		} else if (s->at < text_end(s)) {
			n = min(len, text_end(s) - s->at);
			text(s, data, n);
		} else {
			n = min(len, s->len - s->at);
			if (s->at == text_end(s)) {
				end_text(s);
				if (nic_take(s->spoil))
					s->tag[0] ^= 1;
			}
			tag(s, data, n);
		}
		s->at += n;
		if (s->at < TLS_HEADER_SIZE || s->at < s->len)
			continue;

		end_record(s);
		if (dark)
			continue;
		if (!s->encrypt && s->wrong)
			return -EBADMSG;
		s->records++;
	}
	return 0;
}

/**
 * nic_stream_skip() - bytes of the stream are missing
 * @s: where the stream is
 * @len: how many
 *
 * Return: false when the next record's place is not known any more.
 */
bool nic_stream_skip(struct nic_stream *s, u32 len)
{
	if (s->at < TLS_HEADER_SIZE || len > s->len - s->at)
		return false;
	s->at += len;
	s->blind = true;
	if (s->at == s->len)
		end_record(s);
	return true;
}
