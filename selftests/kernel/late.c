// SPDX-License-Identifier: GPL-2.0
/*
 * An AES-GCM that completes later: requests are queued, a work item hands them
 * to one that completes at once, and their completion is called with bottom
 * halves off, as an accelerator's driver would call it.
 */

#include <crypto/internal/aead.h>
#include <linux/module.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "late.h"

struct late_request {
	struct list_head list;
	struct aead_request *req;
	bool encrypt;
	bool backlog;
};

static LIST_HEAD(late_list);
static DEFINE_SPINLOCK(late_lock);
static bool late_held;
static bool late_backlog;
static int late_error;
static unsigned int late_waits;
static unsigned int late_done;

static struct late_request *late_next(int *err)
{
	struct late_request *r = NULL;

	spin_lock_bh(&late_lock);
	if (!late_held)
		r = list_first_entry_or_null(&late_list, struct late_request,
					     list);
	if (r) {
		list_del(&r->list);
		late_waits--;
		late_done++;
		*err = late_error;
		late_error = 0;
	}
	spin_unlock_bh(&late_lock);
	return r;
}

static void late_complete(struct aead_request *req, int err)
{
	local_bh_disable();
	aead_request_complete(req, err);
	local_bh_enable();
}

static int late_crypt(struct late_request *r)
{
	struct crypto_aead **now = crypto_aead_ctx(crypto_aead_reqtfm(r->req));
	struct aead_request *req = aead_request_alloc(*now, GFP_KERNEL);
	DECLARE_CRYPTO_WAIT(wait);
	int err;

	if (!req)
		return -ENOMEM;
	aead_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG,
				  crypto_req_done, &wait);
	aead_request_set_ad(req, r->req->assoclen);
	aead_request_set_crypt(req, r->req->src, r->req->dst, r->req->cryptlen,
			       r->req->iv);
	err = crypto_wait_req(r->encrypt ? crypto_aead_encrypt(req) :
					   crypto_aead_decrypt(req), &wait);
	aead_request_free(req);
	return err;
}

static void late_work_fn(struct work_struct *work)
{
	struct late_request *r;
	int err;

	while ((r = late_next(&err))) {
		if (r->backlog)
			late_complete(r->req, -EINPROGRESS);
		if (!err)
			err = late_crypt(r);
		late_complete(r->req, err);
	}
}

static DECLARE_WORK(late_work, late_work_fn);

static int late_queue(struct aead_request *req, bool encrypt)
{
	struct late_request *r = aead_request_ctx(req);
	bool backlog = READ_ONCE(late_backlog);

	if (backlog && !(aead_request_flags(req) & CRYPTO_TFM_REQ_MAY_BACKLOG))
		return -ENOSPC;
	r->req = req;
	r->encrypt = encrypt;
	r->backlog = backlog;
	spin_lock_bh(&late_lock);
	list_add_tail(&r->list, &late_list);
	late_waits++;
	spin_unlock_bh(&late_lock);
	/* From here on it may complete, and be gone. */
	queue_work(system_unbound_wq, &late_work);
	return backlog ? -EBUSY : -EINPROGRESS;
}

static int late_encrypt(struct aead_request *req)
{
	return late_queue(req, true);
}

static int late_decrypt(struct aead_request *req)
{
	return late_queue(req, false);
}

static int late_init(struct crypto_aead *tfm)
{
	struct crypto_aead **now = crypto_aead_ctx(tfm);

	*now = crypto_alloc_aead("gcm(aes)", 0, CRYPTO_ALG_ASYNC);
	if (IS_ERR(*now))
		return PTR_ERR(*now);
	crypto_aead_set_reqsize(tfm, sizeof(struct late_request));
	return 0;
}

static void late_exit(struct crypto_aead *tfm)
{
	struct crypto_aead **now = crypto_aead_ctx(tfm);

	crypto_free_aead(*now);
}

static int late_setkey(struct crypto_aead *tfm, const u8 *key, unsigned int len)
{
	struct crypto_aead **now = crypto_aead_ctx(tfm);

	return crypto_aead_setkey(*now, key, len);
}

static int late_setauthsize(struct crypto_aead *tfm, unsigned int size)
{
	struct crypto_aead **now = crypto_aead_ctx(tfm);

	return crypto_aead_setauthsize(*now, size);
}

static struct aead_alg late_alg = {
	.init		= late_init,
	.exit		= late_exit,
	.setkey		= late_setkey,
	.setauthsize	= late_setauthsize,
	.encrypt	= late_encrypt,
	.decrypt	= late_decrypt,
	.ivsize		= 12,
	.maxauthsize	= 16,
	.base = {
		.cra_name	 = "gcm(aes)",
		.cra_driver_name = "gcm-aes-late",
		.cra_priority	 = 100000,
		.cra_flags	 = CRYPTO_ALG_ASYNC,
		.cra_blocksize	 = 1,
		.cra_ctxsize	 = sizeof(struct crypto_aead *),
		.cra_module	 = THIS_MODULE,
	},
};

int late_register(void)
{
	late_held = false;
	late_backlog = false;
	late_error = 0;
	late_done = 0;
	return crypto_register_aead(&late_alg);
}

void late_unregister(void)
{
	/* The core warns when somebody still holds a key. */
	crypto_unregister_aead(&late_alg);
	flush_work(&late_work);
}

void late_hold(void)
{
	spin_lock_bh(&late_lock);
	late_held = true;
	spin_unlock_bh(&late_lock);
}

void late_let_go(void)
{
	spin_lock_bh(&late_lock);
	late_held = false;
	spin_unlock_bh(&late_lock);
	queue_work(system_unbound_wq, &late_work);
}

unsigned int late_waiting(void)
{
	return READ_ONCE(late_waits);
}

unsigned int late_completed(void)
{
	return READ_ONCE(late_done);
}

void late_set_backlog(bool backlog)
{
	WRITE_ONCE(late_backlog, backlog);
}

void late_fail_next(int err)
{
	spin_lock_bh(&late_lock);
	late_error = err;
	spin_unlock_bh(&late_lock);
}
