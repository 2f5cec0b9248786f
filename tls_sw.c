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
 * struct tls_run - one record on its way through a cipher
 * @size: bytes behind @req, for the algorithm
 * @page: where @aad is, as a scatterlist wants it
 * @wait: for the end of @req
 * @iv: the AEAD's nonce of the record
 * @aad: additional data of the record
 * @req: the request
 *
 * Some algorithms want much memory there. So it belongs to nobody: a key takes
 * one for a record, and gives it back. What software leaves in it is of the last
 * record alone (Poly1305's key, at most). Drivers of hardware keep there what is
 * of the key (GHASH's): that is wiped.
 */
struct tls_run {
	unsigned int size;
	struct page *page;
	struct crypto_wait wait;
	u8 iv[TLS_MAX_IV_SIZE];
	u8 aad[TLS_AAD_SPACE_SIZE];
	struct aead_request req;
};

/*
 * Each processor keeps one for the next record. Whoever exchanges it owns it: that
 * needs no lock, also when he goes on elsewhere.
 */
static DEFINE_PER_CPU(struct tls_run *, idle_run);

static struct tls_run *run_new(unsigned int size, gfp_t gfp)
{
	struct tls_run *run = kmalloc(sizeof(*run) + size, gfp);

	if (!run)
		return NULL;
	run->size = size;
	run->page = virt_to_page(run->aad);
	crypto_init_wait(&run->wait);
	return run;
}

static inline void run_put(struct tls_run *run, struct crypto_aead *tfm)
{
	if (unlikely(crypto_aead_alg(tfm)->base.cra_flags &
		     CRYPTO_ALG_KERN_DRIVER_ONLY))
		memzero_explicit(run->req.__ctx, run->size);
	run = this_cpu_xchg(idle_run, run);
	if (unlikely(run))
		kfree_sensitive(run);
}

/**
 * tls_sw_exit - give back what is kept for the next record
 *
 * No key is left.
 */
void tls_sw_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		kfree_sensitive(per_cpu(idle_run, cpu));
}

/**
 * tls_key_new - a key ready for use
 * @cipher: its cipher
 * @version: its version
 * @info: the cipher's structure of the user ABI, whole
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
			    const u8 *info, gfp_t gfp)
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
	return key;
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
		run_put(key->run, key->tfm);
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

/**
 * tls_key_prepare - have all that the next record needs but its buffers
 * @key: the key
 * @gfp: for its memory
 *
 * After that, nothing but the cipher itself can fail. Socket lock owned.
 *
 * Return: 0 or -ENOMEM.
 */
int tls_key_prepare(struct tls_key *key, gfp_t gfp)
{
	unsigned int size = crypto_aead_reqsize(key->tfm);

	if (key->run)
		return 0;
	key->run = this_cpu_xchg(idle_run, NULL);
	if (likely(key->run) && likely(key->run->size >= size))
		return 0;
	kfree_sensitive(key->run);
	key->run = run_new(size, gfp);
	return key->run ? 0 : -ENOMEM;
}

/*
 * Run the cipher over the current record: its additional data goes before its
 * text. Wait for it, also when the algorithm queues it (-EINPROGRESS) or its
 * queue is full (-EBUSY): crypto_wait_req() returns only when nothing will touch
 * the buffers any more.
 */
static __always_inline int key_run(struct tls_key *key, struct scatterlist *src,
				   struct scatterlist *dst, u8 type,
				   size_t text_len, const u8 *explicit_nonce,
				   gfp_t gfp, bool seal)
{
	const struct tls_framing *f = &key->framing;
	unsigned int scope = gfp == GFP_KERNEL ? 0 : gfp_scope(gfp);
	struct aead_request *req;
	struct tls_run *run;
	size_t aad_len;
	int err;

	might_sleep();
	if (!key->run) {
		err = tls_key_prepare(key, gfp);
		if (unlikely(err))
			return err;
	}
	run = key->run;
	req = &run->req;

	tls_record_iv(f, explicit_nonce, run->iv);
	aad_len = tls_record_aad(f, type, text_len, run->aad);
	/* Not as a whole: where there is no text, one list may end here. */
	sg_set_page(src, run->page, aad_len, offset_in_page(run->aad));
	if (src != dst)
		sg_set_page(dst, run->page, aad_len, offset_in_page(run->aad));

	/* A cipher that fails for memory fails the socket: it may sleep. */
	if (unlikely(scope))
		scope = memalloc_flags_save(scope);
	/* Nothing of the last record's algorithm is relied on. */
	aead_request_set_tfm(req, key->tfm);
	aead_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				       CRYPTO_TFM_REQ_MAY_SLEEP,
				  crypto_req_done, &run->wait);
	aead_request_set_ad(req, aad_len);
	aead_request_set_crypt(req, src, dst,
			       text_len + (seal ? 0 : TLS_TAG_SIZE), run->iv);
	err = crypto_wait_req(seal ? crypto_aead_encrypt(req) :
				     crypto_aead_decrypt(req), &run->wait);
	if (unlikely(scope))
		memalloc_flags_restore(scope);
	key->run = NULL;
	run_put(run, key->tfm);
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
 * After tls_key_prepare(), which is not needed when -ENOMEM may fail the key.
 * Process context, socket lock owned.
 *
 * Return: 0, or an error: then the record must not be sent, nor its number
 * used again.
 */
int tls_key_seal(struct tls_key *key, struct scatterlist *src,
		 struct scatterlist *dst, u8 type, size_t text_len, gfp_t gfp)
{
	struct tls_framing *f = &key->framing;
	int err;

	if (unlikely(f->exhausted))
		return -EBADMSG;
	err = key_run(key, src, dst, type, text_len, NULL, gfp, true);
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
	return key_run(key, src, dst, rec->type, rec->text_len, explicit_nonce,
		       gfp, true);
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
	int err;

	if (unlikely(f->exhausted))
		return -EBADMSG;
	err = key_run(key, src, dst, rec->type, rec->text_len, explicit_nonce,
		      gfp, false);
	if (!err)
		tls_framing_advance(f);
	return err;
}
