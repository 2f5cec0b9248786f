// SPDX-License-Identifier: GPL-2.0
/*
 * The bare AEAD over the bytes of TLS records, in buffers of one piece: what
 * no kernel TLS can go below. Each read of bench_aead in debugfs measures, and
 * gives lines of the same form as the program beside this folder.
 */

#include <crypto/aead.h>
#include <linux/crypto.h>
#include <linux/debugfs.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/sort.h>

#define RECORD_MAX	16384
#define TAG_LEN		16
#define NONCE_LEN	12
#define AAD_MAX		13
#define CHAIN		8
#define CALLS		8
#define BATCHES		11
#define OUTPUT_BYTES	65536

static const struct cipher {
	const char *name;
	const char *algorithm;
	unsigned int key_len;
} ciphers[] = {
	{ "aes-128-gcm", "gcm(aes)", 16 },
	{ "aes-256-gcm", "gcm(aes)", 32 },
	{ "chacha20-poly1305", "rfc7539(chacha20,poly1305)", 32 },
};

/* A record of TLS 1.3 has its content type inside. */
static const struct version {
	const char *name;
	unsigned int aad_len;
	unsigned int type_len;
} versions[] = {
	{ "1.2", 13, 0 },
	{ "1.3", 5, 1 },
};

static const unsigned int sizes[] = {
	1, 64, 512, 1024, 1400, 4096, 16384, 65536, 262144,
};

static struct dentry *file;

static struct crypto_aead *make_tfm(const struct cipher *cipher)
{
	static const u8 key[32] = { 1, 2, 3 };
	struct crypto_aead *tfm;
	int err;

	tfm = crypto_alloc_aead(cipher->algorithm, 0, 0);
	if (IS_ERR(tfm))
		return tfm;
	err = crypto_aead_setkey(tfm, key, cipher->key_len);
	if (!err)
		err = crypto_aead_setauthsize(tfm, TAG_LEN);
	if (err) {
		crypto_free_aead(tfm);
		return ERR_PTR(err);
	}
	return tfm;
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* The median of BATCHES, less what taking the time costs, in tenths a call. */
static u64 tenths(u64 *cost, unsigned int calls)
{
	u64 start = ktime_get_ns(), clock = ktime_get_ns() - start;

	sort(cost, BATCHES, sizeof(*cost), compare, NULL);
	return div_u64((cost[BATCHES / 2] - clock) * 10, calls);
}

static void line(struct seq_file *seq, const char *row,
		 const struct version *version, const struct cipher *cipher,
		 unsigned int size, u64 value)
{
	u32 tenth;

	value = div_u64_rem(value, 10, &tenth);
	seq_printf(seq, "%s\t%s\t%s\t%u\t%llu.%u\n", row, version->name,
		   cipher->name, size, value, tenth);
}

/* What one record needs: additional data, text and tag in one piece. */
struct buffers {
	struct aead_request *req;
	struct crypto_wait wait;
	u8 *plain;
	u8 *sealed;
	u8 *opened;
};

static int crypt_record(struct buffers *b, const struct version *version,
			unsigned int len, bool seal)
{
	unsigned int text = len + version->type_len;
	u8 nonce[NONCE_LEN] = { 4, 5, 6 };
	struct scatterlist src, dst;

	sg_init_one(&src, seal ? b->plain : b->sealed,
		    version->aad_len + text + TAG_LEN);
	sg_init_one(&dst, seal ? b->sealed : b->opened,
		    version->aad_len + text + TAG_LEN);
	aead_request_set_ad(b->req, version->aad_len);
	aead_request_set_crypt(b->req, &src, &dst,
			       seal ? text : text + TAG_LEN, nonce);
	aead_request_set_callback(b->req, CRYPTO_TFM_REQ_MAY_BACKLOG,
				  crypto_req_done, &b->wait);
	return crypto_wait_req(seal ? crypto_aead_encrypt(b->req) :
				      crypto_aead_decrypt(b->req), &b->wait);
}

/* @total bytes, in records as long as can be. */
static int crypt_records(struct buffers *b, const struct version *version,
			 unsigned int total, bool seal)
{
	while (total) {
		unsigned int len = min_t(unsigned int, total, RECORD_MAX);
		int err = crypt_record(b, version, len, seal);

		if (err)
			return err;
		total -= len;
	}
	return 0;
}

static int measure(struct seq_file *seq, const char *row, struct buffers *b,
		   const struct version *version, const struct cipher *cipher,
		   unsigned int size, unsigned int parts, bool seal)
{
	unsigned int total = size * parts;
	unsigned int calls = total > RECORD_MAX ? 1 : CALLS;
	u64 cost[BATCHES];
	int err, i, n;

	/*
	 * What is opened must have been sealed with the same length: past one
	 * record, the sizes that are opened are multiples of it.
	 */
	/* Not every cipher copies the additional data. */
	memset(b->sealed, 0, version->aad_len);
	err = crypt_record(b, version, min_t(unsigned int, total, RECORD_MAX),
			   true);
	for (n = -1; !err && n < BATCHES; n++) {
		u64 start = ktime_get_ns();

		for (i = 0; !err && i < calls; i++)
			err = crypt_records(b, version, total, seal);
		if (n >= 0)
			cost[n] = ktime_get_ns() - start;
		cond_resched();
	}
	if (err)
		pr_err("bench_aead: %s TLS %s %s, %u bytes: error %d\n", row,
		       version->name, cipher->name, size, err);
	else
		line(seq, row, version, cipher, size,
		     tenths(cost, calls * parts));
	return err;
}

/* An algorithm found, made and freed; and only its key replaced. */
static int measure_keys(struct seq_file *seq, const struct version *version,
			const struct cipher *cipher)
{
	static const u8 key[32] = { 7, 8, 9 };
	u64 make[BATCHES], set[BATCHES];
	struct crypto_aead *tfm;
	int err, n;

	for (n = -1; n < BATCHES; n++) {
		u64 start = ktime_get_ns(), made;

		tfm = make_tfm(cipher);
		if (IS_ERR(tfm))
			return PTR_ERR(tfm);
		made = ktime_get_ns() - start;
		start = ktime_get_ns();
		err = crypto_aead_setkey(tfm, key, cipher->key_len);
		if (n >= 0)
			set[n] = ktime_get_ns() - start;
		start = ktime_get_ns();
		crypto_free_aead(tfm);
		if (n >= 0)
			make[n] = made + ktime_get_ns() - start;
		if (err)
			return err;
	}
	line(seq, "make", version, cipher, 0, tenths(make, 1));
	line(seq, "setkey", version, cipher, 0, tenths(set, 1));
	return 0;
}

static int measure_cipher(struct seq_file *seq, struct buffers *b,
			  const struct cipher *cipher)
{
	struct crypto_aead *tfm = make_tfm(cipher);
	int err = 0, i, v;

	if (IS_ERR(tfm))
		return PTR_ERR(tfm);
	b->req = aead_request_alloc(tfm, GFP_KERNEL);
	if (!b->req) {
		crypto_free_aead(tfm);
		return -ENOMEM;
	}
	seq_printf(seq, "# %s: %s\n", cipher->name,
		   crypto_tfm_alg_driver_name(crypto_aead_tfm(tfm)));
	for (v = 0; !err && v < ARRAY_SIZE(versions); v++) {
		for (i = 0; !err && i < ARRAY_SIZE(sizes); i++) {
			err = measure(seq, "seal", b, &versions[v], cipher,
				      sizes[i], 1, true);
			if (!err)
				err = measure(seq, "open", b, &versions[v],
					      cipher, sizes[i], 1, false);
			if (!err)
				err = measure(seq, "chain", b, &versions[v],
					      cipher, sizes[i], CHAIN, true);
		}
		if (!err)
			err = measure_keys(seq, &versions[v], cipher);
	}
	aead_request_free(b->req);
	crypto_free_aead(tfm);
	return err;
}

static int bench_show(struct seq_file *seq, void *unused)
{
	const size_t len = AAD_MAX + RECORD_MAX + 1 + TAG_LEN;
	struct buffers b = {};
	int err = -ENOMEM, i;

	crypto_init_wait(&b.wait);
	b.plain = kzalloc(len, GFP_KERNEL);
	b.sealed = kzalloc(len, GFP_KERNEL);
	b.opened = kzalloc(len, GFP_KERNEL);
	if (b.plain && b.sealed && b.opened)
		err = 0;
	for (i = 0; !err && i < ARRAY_SIZE(ciphers); i++)
		err = measure_cipher(seq, &b, &ciphers[i]);
	kfree(b.opened);
	kfree(b.sealed);
	kfree(b.plain);
	return err;
}

static int bench_open(struct inode *inode, struct file *file)
{
	/* With room for all of it, seq_file never asks a second time. */
	return single_open_size(file, bench_show, NULL, OUTPUT_BYTES);
}

static const struct file_operations bench_operations = {
	.owner = THIS_MODULE,
	.open = bench_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_release,
};

static int __init bench_init(void)
{
	file = debugfs_create_file("bench_aead", 0400, NULL, NULL,
				   &bench_operations);
	return PTR_ERR_OR_ZERO(file);
}

static void __exit bench_exit(void)
{
	debugfs_remove(file);
}

module_init(bench_init);
module_exit(bench_exit);

MODULE_DESCRIPTION("The bare AEAD over the bytes of TLS records");
MODULE_LICENSE("GPL");
