// SPDX-License-Identifier: GPL-2.0
/*
 * The software engine's keys: setting up the AEAD of a direction, running it
 * over one record, and taking it down.
 */

#include <crypto/aead.h>
#include <linux/crypto.h>
#include <linux/scatterlist.h>
#include <linux/sched/mm.h>

#include "tls.h"

/*
 * The run of another key of the socket, if its algorithm is content with that,
 * or a new one.
 */
static struct tls_run *run_get(const struct tls_key *other,
			       const struct crypto_aead *tfm, gfp_t gfp)
{
	unsigned int size = crypto_aead_reqsize((struct crypto_aead *)tfm);
	struct tls_run *run;

	if (other && size <= other->run->size) {
		other->run->users++;
		return other->run;
	}
	run = kmalloc(sizeof(*run) + size, gfp);
	if (!run)
		return NULL;
	run->users = 1;
	run->size = size;
	crypto_init_wait(&run->wait);
	aead_request_set_callback(&run->req, CRYPTO_TFM_REQ_MAY_BACKLOG |
					     CRYPTO_TFM_REQ_MAY_SLEEP,
				  crypto_req_done, &run->wait);
	return run;
}

/* A key goes: nothing that its cipher has left there stays. */
static void run_put(struct tls_run *run)
{
	memzero_explicit(run->iv, sizeof(run->iv));
	memzero_explicit(run->req.__ctx, run->size);
	if (!--run->users)
		kfree(run);
}

/**
 * tls_key_new - a key ready for use
 * @cipher: its cipher
 * @version: its version
 * @info: the cipher's structure of the user ABI, whole
 * @other: another key of the same socket, or NULL
 * @gfp: for its memory
 *
 * Accelerated ciphers are often marked asynchronous, and yet complete at once
 * in process context: they are taken too, and waited for.
 *
 * Process context, socket lock owned; sleeps.
 *
 * Return: the key, or ERR_PTR: the crypto API's own error.
 */
struct tls_key *tls_key_new(const struct tls_cipher *cipher, u16 version,
			    const u8 *info, const struct tls_key *other,
			    gfp_t gfp)
{
	struct crypto_aead *tfm;
	struct tls_key *key;
	int err;

	tfm = crypto_alloc_aead(cipher->alg, 0, 0);
	if (IS_ERR(tfm))
		return ERR_CAST(tfm);
	key = kzalloc(sizeof(*key), gfp);
	if (!key) {
		crypto_free_aead(tfm);
		return ERR_PTR(-ENOMEM);
	}
	key->tfm = tfm;
	tls_framing_init(&key->framing, cipher, version, info);
	memcpy(key->secret, tls_info_key(cipher, info), cipher->key_size);

	err = crypto_aead_setkey(key->tfm, key->secret, cipher->key_size);
	if (err)
		goto fail;
	err = crypto_aead_setauthsize(key->tfm, TLS_TAG_SIZE);
	if (err)
		goto fail;
	key->run = run_get(other, tfm, gfp);
	if (key->run)
		return key;
	err = -ENOMEM;
fail:
	tls_key_free(key);
	return ERR_PTR(err);
}

/**
 * tls_key_free - wipe a key and forget it
 * @key: the key, or NULL
 *
 * Socket lock owned, or nobody else has the socket.
 */
void tls_key_free(struct tls_key *key)
{
	if (!key)
		return;
	if (key->run)
		run_put(key->run);
	crypto_free_aead(key->tfm);
	memzero_explicit(key, sizeof(*key));
	kfree(key);
}

/**
 * tls_key_export - the present state of a key, for getsockopt()
 * @key: the key
 * @info: the cipher's structure of the user ABI; filled whole
 *
 * Socket lock owned.
 */
void tls_key_export(const struct tls_key *key, u8 *info)
{
	const struct tls_cipher *cipher = key->framing.cipher;

	tls_framing_export(&key->framing, info);
	memcpy((u8 *)tls_info_key(cipher, info), key->secret,
	       cipher->key_size);
}

/* What a cipher allocates while it runs obeys the socket's user too. */
static unsigned int gfp_scope(gfp_t gfp)
{
	if (!(gfp & __GFP_IO))
		return PF_MEMALLOC_NOIO;
	return gfp & __GFP_FS ? 0 : PF_MEMALLOC_NOFS;
}

/* The additional data of the current record goes before its text. */
static size_t key_aad(struct tls_key *key, struct scatterlist *src,
		      struct scatterlist *dst, u8 type, size_t text_len)
{
	u8 *aad = key->run->aad;
	size_t len = tls_record_aad(&key->framing, type, text_len, aad);

	sg_set_buf(src, aad, len);
	/* Not as a whole: where there is no text, one list may end here. */
	if (src != dst)
		sg_set_page(dst, sg_page(src), len, src->offset);
	return len;
}

/*
 * Run the request and wait for it, also when the algorithm queues it
 * (-EINPROGRESS) or its queue is full (-EBUSY): crypto_wait_req() returns only
 * when nothing will touch the buffers any more.
 */
static int key_run(struct tls_key *key, struct scatterlist *src,
		   struct scatterlist *dst, size_t aad_len, size_t crypt_len,
		   gfp_t gfp, bool seal)
{
	struct tls_run *run = key->run;
	struct aead_request *req = &run->req;
	unsigned int scope = gfp_scope(gfp);
	int err;

	might_sleep();
	/* A cipher that fails for memory fails the socket: it may sleep. */
	if (unlikely(scope))
		scope = memalloc_flags_save(scope);
	aead_request_set_tfm(req, key->tfm);
	aead_request_set_ad(req, aad_len);
	aead_request_set_crypt(req, src, dst, crypt_len, run->iv);
	err = crypto_wait_req(seal ? crypto_aead_encrypt(req) :
				     crypto_aead_decrypt(req), &run->wait);
	if (unlikely(scope))
		memalloc_flags_restore(scope);
	return err;
}

/**
 * tls_key_seal - encrypt the current record and go on to the next
 * @key: the key
 * @src: entry 0 free for the additional data, then @text_len bytes
 * @dst: the same, and room for the tag; may be @src
 * @type: content type of the record
 * @text_len: bytes to encrypt: the plaintext, and TLS 1.3's inner type
 * @gfp: whether memory for the cipher may be won by writing to storage
 *
 * Process context, socket lock owned.
 *
 * Return: 0, or an error: then the record must not be sent, nor its number
 * used again.
 */
int tls_key_seal(struct tls_key *key, struct scatterlist *src,
		 struct scatterlist *dst, u8 type, size_t text_len, gfp_t gfp)
{
	struct tls_framing *f = &key->framing;
	size_t aad_len;
	int err;

	if (unlikely(f->exhausted))
		return -EBADMSG;
	tls_record_iv(f, NULL, key->run->iv);
	aad_len = key_aad(key, src, dst, type, text_len);
	err = key_run(key, src, dst, aad_len, text_len, gfp, true);
	tls_framing_advance(f);
	return err;
}

/**
 * tls_key_again - the ciphertext of a received record, from its text
 * @key: the key that a device decrypted it with
 * @src: entry 0 free for the additional data, then the text
 * @dst: entry 0 free for the additional data, then room for the text and a
 *	tag, which means nothing
 * @rec: the record's header
 * @explicit_nonce: what follows its header
 * @gfp: whether memory for the cipher may be won by writing to storage
 *
 * Bytes of @src that are no text make no difference to the others. Process
 * context, socket lock owned.
 *
 * Return: 0 or an error.
 */
int tls_key_again(struct tls_key *key, struct scatterlist *src,
		  struct scatterlist *dst, const struct tls_record *rec,
		  const u8 *explicit_nonce, gfp_t gfp)
{
	const struct tls_framing *f = &key->framing;
	size_t aad_len;

	tls_record_iv(f, explicit_nonce, key->run->iv);
	aad_len = key_aad(key, src, dst, rec->type, rec->text_len);
	return key_run(key, src, dst, aad_len, rec->text_len, gfp, true);
}

/**
 * tls_key_open - decrypt and verify the current record
 * @key: the key
 * @src: entry 0 free for the additional data, then text and tag
 * @dst: entry 0 free for the additional data, then room for the text
 * @rec: the record's header
 * @explicit_nonce: what follows its header
 * @gfp: whether memory for the cipher may be won by writing to storage
 *
 * Goes on to the next record only when this one is authentic. @src is never
 * written, so a record can be tried again.
 *
 * Process context, socket lock owned.
 *
 * Return: 0; -EBADMSG when the tag is wrong or numbers have run out; -ENOMEM;
 * the cipher's own error.
 */
int tls_key_open(struct tls_key *key, struct scatterlist *src,
		 struct scatterlist *dst, const struct tls_record *rec,
		 const u8 *explicit_nonce, gfp_t gfp)
{
	struct tls_framing *f = &key->framing;
	size_t aad_len;
	int err;

	if (unlikely(f->exhausted))
		return -EBADMSG;
	tls_record_iv(f, explicit_nonce, key->run->iv);
	aad_len = key_aad(key, src, dst, rec->type, rec->text_len);
	err = key_run(key, src, dst, aad_len, rec->text_len + TLS_TAG_SIZE,
		      gfp, false);
	if (!err)
		tls_framing_advance(f);
	return err;
}
