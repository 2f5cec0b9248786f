// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: a cipher that completes later. Some of the kernel's own do so, and
 * one of ours does it at our word.
 */

#include <crypto/aead.h>
#include <crypto/algapi.h>
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/mm.h>

#include "late.h"
#include "user.h"

/**
 * struct engine - what "gcm(aes)" is to be, for the time of a test
 * @name: of the parameter
 * @template: the kernel's own, around another; NULL is ours
 * @mask: flags that the other must not have
 * @backlog: ours, with a full queue
 */
struct engine {
	char name[32];
	const char *template;
	u32 mask;
	bool backlog;
};

static const struct engine engines[] = {
	{ "ours", NULL, 0, false },
	{ "ours, its queue full", NULL, 0, true },
	{ "cryptd", "cryptd", CRYPTO_ALG_ASYNC, false },
	{ "pcrypt", "pcrypt", 0, false },
};

KUNIT_ARRAY_PARAM_DESC(engine, engines, name);

static const struct user_cipher *const versions[] = {
	USER_TLS_1_2, USER_TLS_1_3,
};

static void cipher_name(const struct user_cipher *const *cipher, char *to)
{
	strscpy(to, (*cipher)->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(version, versions, cipher_name);

static const struct user_cipher *cipher_of(struct kunit *test)
{
	return *(const struct user_cipher *const *)test->param_value;
}

/* ---- what "gcm(aes)" is ---- */

static void let_go_action(void *unused)
{
	late_let_go();
}

static void unregister_late_action(void *unused)
{
	late_unregister();
}

/* Sockets that are opened after this one close before it goes. */
static void use_late(struct kunit *test)
{
	KUNIT_ASSERT_EQ(test, 0, late_register());
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, unregister_late_action,
						  NULL));
}

/* As above: a test that ends early must not leave anyone waiting. */
static void hold(struct kunit *test)
{
	late_hold();
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, let_go_action,
							   NULL));
}

static void drop_instance_action(void *data)
{
	struct crypto_aead *tfm = data;
	struct crypto_alg *alg = crypto_aead_tfm(tfm)->__crt_alg;

	crypto_unregister_instance(container_of(alg, struct crypto_instance,
						alg));
	crypto_free_aead(tfm);
}

static bool is_default(const struct crypto_aead *tfm)
{
	struct crypto_aead *now = crypto_alloc_aead("gcm(aes)", 0, 0);
	bool is;

	if (IS_ERR(now))
		return false;
	is = crypto_aead_tfm(now)->__crt_alg ==
	     crypto_aead_tfm((struct crypto_aead *)tfm)->__crt_alg;
	crypto_free_aead(now);
	return is;
}

static void use_template(struct kunit *test, const struct engine *engine)
{
	struct crypto_aead *inner, *tfm;
	char name[CRYPTO_MAX_ALG_NAME + 16];

	inner = crypto_alloc_aead("gcm(aes)", 0, engine->mask);
	KUNIT_ASSERT_FALSE(test, IS_ERR(inner));
	snprintf(name, sizeof(name), "%s(%s)", engine->template,
		 crypto_tfm_alg_driver_name(crypto_aead_tfm(inner)));
	crypto_free_aead(inner);
	/* padata holds the lock of one CPU's list while it takes another's. */
	if (IS_ENABLED(CONFIG_PROVE_LOCKING) &&
	    !strcmp(engine->template, "pcrypt"))
		kunit_skip(test, "lockdep mistakes padata's own locks");
	if (!crypto_has_aead(name, 0, 0))
		kunit_skip(test, "this kernel has no %s", engine->template);
	tfm = crypto_alloc_aead(name, 0, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(tfm));
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, drop_instance_action,
						  tfm));
	crypto_aead_tfm(tfm)->__crt_alg->cra_priority = 100000;
	KUNIT_ASSERT_TRUE(test, is_default(tfm));
}

static void use_engine(struct kunit *test)
{
	const struct engine *engine = test->param_value;

	if (engine->template) {
		use_template(test, engine);
		return;
	}
	use_late(test);
	late_set_backlog(engine->backlog);
}

/* ---- everything works ---- */

static void records_go_through(struct kunit *test,
			       const struct user_cipher *cipher)
{
	const struct engine *engine = test->param_value;
	struct user_reader *reader;
	struct user_pair p;
	u8 to[8], type;
	int i;

	use_engine(test);
	p = user_open(test, cipher, USER_ROOMY, USER_ROOMY);
	reader = user_reader(test, SZ_128K);
	user_send_stream(test, p.sender, 100001, 0);
	user_expect_stream(test, p.receiver, 100001, 0);
	for (i = 0; i < 20; i++)
		user_send_stream(test, p.receiver, 777, i * 777);
	KUNIT_ASSERT_EQ(test, 0, user_read_all(p.sender, reader, 20 * 777));
	KUNIT_EXPECT_TRUE(test, user_same(reader->to, 20 * 777, 0));
	KUNIT_ASSERT_EQ(test, 2, user_send_record(p.sender,
						  TLS_RECORD_TYPE_ALERT,
						  "\1\0", 2));
	KUNIT_ASSERT_EQ(test, 2, user_recv_type(p.receiver, to, sizeof(to), 0,
						&type));
	KUNIT_EXPECT_EQ(test, TLS_RECORD_TYPE_ALERT, type);
	/* Seven records, twenty, and one; each sealed and opened. */
	if (!engine->template)
		KUNIT_EXPECT_GE(test, late_completed(), 2 * 28);
}

static void all_goes_through_tls_1_2(struct kunit *test)
{
	records_go_through(test, USER_TLS_1_2);
}

static void all_goes_through_tls_1_3(struct kunit *test)
{
	records_go_through(test, USER_TLS_1_3);
}

static void bad_tag_is_found(struct kunit *test)
{
	const struct user_cipher *cipher = USER_TLS_1_3;
	struct user_capture *c;
	struct user_wire w;
	u8 to[100];

	use_engine(test);
	w = user_wire(test, cipher);
	user_send_stream(test, w.sender, 100, 0);
	user_send_stream(test, w.sender, 100, 100);
	c = user_capture(test, &w, cipher, 200);
	c->bytes[c->len - 1] ^= 0x80;
	user_attach(test, w.receiver);
	KUNIT_ASSERT_EQ(test, 0, user_set_key(w.receiver, TLS_RX, cipher, 0));
	user_feed(test, &w, c->bytes, c->len);
	user_expect_stream(test, w.receiver, 100, 0);
	KUNIT_EXPECT_EQ(test, -EBADMSG, user_recv(w.receiver, to, 100, 0));
	KUNIT_EXPECT_EQ(test, -EBADMSG, user_recv(w.receiver, to, 100, 0));
}

/* ---- nothing before its time ---- */

/**
 * struct call - one call of a user, in a thread
 * @sock: the socket
 * @data: what to send, or where to
 * @len: bytes of it
 * @receive: it is a receive
 * @ret: what it returned
 * @done: it has returned
 */
struct call {
	struct socket *sock;
	u8 *data;
	size_t len;
	bool receive;
	int ret;
	struct completion done;
};

static int call_thread(void *data)
{
	struct call *call = data;

	if (call->receive)
		call->ret = user_recv(call->sock, call->data, call->len, 0);
	else
		call->ret = user_send(call->sock, call->data, call->len, 0);
	kthread_complete_and_exit(&call->done, 0);
}

/* The thread ends before what it uses goes, however the test ends. */
static void join_action(void *data)
{
	struct call *call = data;

	late_let_go();
	wait_for_completion(&call->done);
}

static struct call *start(struct kunit *test, struct socket *sock, bool receive,
			  size_t len)
{
	struct call *call = kunit_kzalloc(test, sizeof(*call), GFP_KERNEL);
	struct task_struct *task;

	KUNIT_ASSERT_NOT_NULL(test, call);
	call->sock = sock;
	call->receive = receive;
	call->data = user_buffer(test, len);
	call->len = len;
	if (!receive)
		user_fill(call->data, len, 0);
	init_completion(&call->done);
	task = kthread_run(call_thread, call, "tls_user");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, join_action,
							   call));
	return call;
}

static int join(struct kunit *test, struct call *call)
{
	kunit_release_action(test, join_action, call);
	return call->ret;
}

static bool still_waits(struct call *call)
{
	return user_eventually(late_waiting() == 1) &&
	       !wait_for_completion_timeout(&call->done, USER_MOMENT) &&
	       late_waiting() == 1;
}

static void nothing_is_received_before_it_is_verified(struct kunit *test)
{
	struct user_pair p;
	struct call *call;

	use_late(test);
	p = user_open(test, cipher_of(test), USER_ROOMY, USER_ROOMY);
	user_send_stream(test, p.sender, 5000, 0);
	hold(test);
	call = start(test, p.receiver, true, 5000);
	KUNIT_EXPECT_TRUE(test, still_waits(call));
	KUNIT_EXPECT_NULL(test, memchr_inv(call->data, 0, 5000));
	late_let_go();
	KUNIT_EXPECT_EQ(test, 5000, join(test, call));
	KUNIT_EXPECT_TRUE(test, user_same(call->data, 5000, 0));
}

static void nothing_is_sent_before_it_is_encrypted(struct kunit *test)
{
	const struct user_cipher *cipher = cipher_of(test);
	struct user_capture *c;
	struct user_wire w;
	struct call *call;
	u8 byte;

	use_late(test);
	w = user_wire(test, cipher);
	hold(test);
	call = start(test, w.sender, false, 5000);
	KUNIT_EXPECT_TRUE(test, still_waits(call));
	KUNIT_EXPECT_EQ(test, -EAGAIN, user_recv(w.tap, &byte, 1,
						 MSG_DONTWAIT));
	late_let_go();
	KUNIT_EXPECT_EQ(test, 5000, join(test, call));
	c = user_capture(test, &w, cipher, 5000);
	KUNIT_EXPECT_EQ(test, 1, c->records);
}

static void peer_that_resets_meanwhile_harms_nothing(struct kunit *test)
{
	struct user_pair p;
	struct call *send, *recv;

	use_late(test);
	p = user_open(test, cipher_of(test), USER_ROOMY, USER_ROOMY);
	user_send_stream(test, p.receiver, 5000, 0);
	KUNIT_ASSERT_TRUE(test, user_eventually(user_has_queued(p.sender,
								5000)));
	hold(test);
	recv = start(test, p.sender, true, 5000);
	KUNIT_EXPECT_TRUE(test, still_waits(recv));
	send = start(test, p.sender, false, 50000);
	sock_no_linger(p.receiver->sk);
	user_release(test, p.receiver);
	schedule_timeout_uninterruptible(USER_MOMENT);
	late_let_go();
	KUNIT_EXPECT_EQ(test, 5000, join(test, recv));
	KUNIT_EXPECT_TRUE(test, user_same(recv->data, 5000, 0));
	KUNIT_EXPECT_LT(test, join(test, send), 0);
}

/* It waits for the socket, and then for nothing. */
static void shutdown_meanwhile_harms_nothing(struct kunit *test)
{
	struct user_pair p;
	struct call *call;

	use_late(test);
	p = user_open(test, cipher_of(test), USER_ROOMY, USER_ROOMY);
	hold(test);
	call = start(test, p.sender, false, 40000);
	KUNIT_EXPECT_TRUE(test, still_waits(call));
	late_let_go();
	KUNIT_EXPECT_EQ(test, 0, kernel_sock_shutdown(p.sender, SHUT_RDWR));
	KUNIT_EXPECT_EQ(test, 40000, join(test, call));
	user_expect_stream(test, p.receiver, 40000, 0);
	user_expect_eof(test, p.receiver);
}

/* ---- errors that come later ---- */

static void error_while_sending_fails_the_socket(struct kunit *test)
{
	struct user_pair p;
	u8 byte = 0;

	use_late(test);
	p = user_open(test, cipher_of(test), USER_ROOMY, USER_ROOMY);
	late_fail_next(-EIO);
	KUNIT_EXPECT_LT(test, user_send(p.sender, &byte, 1, 0), 0);
	KUNIT_EXPECT_LT(test, user_send(p.sender, &byte, 1, 0), 0);
	KUNIT_EXPECT_EQ(test, -EAGAIN, user_recv(p.receiver, &byte, 1,
						 MSG_DONTWAIT));
	user_release(test, p.sender);
	KUNIT_EXPECT_LE(test, user_recv(p.receiver, &byte, 1, 0), 0);
}

static void error_while_receiving_delivers_nothing(struct kunit *test)
{
	struct user_pair p;
	u8 to[100] = {};

	use_late(test);
	p = user_open(test, cipher_of(test), USER_ROOMY, USER_ROOMY);
	user_send_stream(test, p.sender, 100, 0);
	late_fail_next(-EIO);
	KUNIT_EXPECT_EQ(test, -EBADMSG, user_recv(p.receiver, to, 100, 0));
	KUNIT_EXPECT_EQ(test, -EBADMSG, user_recv(p.receiver, to, 100, 0));
	KUNIT_EXPECT_NULL(test, memchr_inv(to, 0, sizeof(to)));
}

/* ---- what went wrong elsewhere ---- */

/* CVE-2024-26582: a part of a record is no sooner there than all of it. */
static void part_of_a_record_waits_for_all_of_it(struct kunit *test)
{
	static const size_t parts[] = { 1, 100, 4999 };
	struct user_pair p;
	struct call *call;
	int i;

	use_late(test);
	p = user_open(test, cipher_of(test), USER_ROOMY, USER_ROOMY);
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		user_send_stream(test, p.sender, 5000, 0);
		hold(test);
		call = start(test, p.receiver, true, parts[i]);
		KUNIT_EXPECT_TRUE(test, still_waits(call));
		KUNIT_EXPECT_NULL(test, memchr_inv(call->data, 0, parts[i]));
		late_let_go();
		KUNIT_EXPECT_EQ(test, parts[i], join(test, call));
		KUNIT_EXPECT_TRUE(test, user_same(call->data, parts[i], 0));
		user_expect_stream(test, p.receiver, 5000 - parts[i],
				   parts[i]);
	}
}

/* CVE-2024-26583: who was waiting closes as soon as he is told. */
static void socket_goes_right_after_a_completion(struct kunit *test)
{
	const struct user_cipher *cipher = cipher_of(test);
	struct user_pair p;
	u8 byte = 0;
	int i;

	use_late(test);
	for (i = 0; i < 64 / USER_SCALE; i++) {
		late_set_backlog(i & 1);
		p = user_open(test, cipher, USER_ROOMY, USER_ROOMY);
		KUNIT_EXPECT_EQ(test, 1, user_send(p.sender, &byte, 1, 0));
		if (i & 2)
			KUNIT_EXPECT_EQ(test, 1, user_recv(p.receiver, &byte,
							   1, 0));
		user_release(test, p.sender);
		user_release(test, p.receiver);
		KUNIT_EXPECT_EQ(test, 0, late_waiting());
	}
}

/*
 * CVE-2024-26800, CVE-2024-26584, CVE-2026-23414: the queue was full, and what
 * waited for it then fails. TCP's memory is given back with the socket.
 */
static void queued_decryption_that_fails_delivers_nothing(struct kunit *test)
{
	struct user_pair p;
	u8 to[100] = {};

	use_late(test);
	late_set_backlog(true);
	p = user_open(test, cipher_of(test), USER_ROOMY, USER_ROOMY);
	user_send_stream(test, p.sender, 100, 0);
	user_send_stream(test, p.sender, 100, 100);
	user_expect_stream(test, p.receiver, 100, 0);
	late_fail_next(-EIO);
	KUNIT_EXPECT_EQ(test, -EBADMSG, user_recv(p.receiver, to, 100, 0));
	KUNIT_EXPECT_EQ(test, -EBADMSG, user_recv(p.receiver, to, 100, 0));
	KUNIT_EXPECT_NULL(test, memchr_inv(to, 0, sizeof(to)));
	/* Nothing runs any more on what the socket holds. */
	KUNIT_EXPECT_EQ(test, 0, late_waiting());
}

/* CVE-2023-6176: the record must stay for as long as the cipher has it. */
static void queued_encryption_that_fails_keeps_its_record(struct kunit *test)
{
	struct user_pair p;
	struct call *call;
	u8 byte;

	use_late(test);
	late_set_backlog(true);
	p = user_open(test, cipher_of(test), USER_ROOMY, USER_ROOMY);
	hold(test);
	call = start(test, p.sender, false, 40000);
	KUNIT_EXPECT_TRUE(test, still_waits(call));
	late_fail_next(-EIO);
	late_let_go();
	KUNIT_EXPECT_LT(test, join(test, call), 0);
	KUNIT_EXPECT_EQ(test, 0, late_waiting());
	KUNIT_EXPECT_EQ(test, -EAGAIN, user_recv(p.receiver, &byte, 1,
						 MSG_DONTWAIT));
}

/* While a reader holds the socket, a record arrives: who polls is told. */
static void record_that_comes_while_one_is_decrypted_is_told(struct kunit *test)
{
	const struct user_cipher *cipher = cipher_of(test);
	struct user_callbacks *user;
	struct user_capture *c;
	struct user_wire w;
	struct call *call;
	int before;

	use_late(test);
	w = user_wire(test, cipher);
	user_send_stream(test, w.sender, 5000, 0);
	user_send_stream(test, w.sender, 700, 5000);
	c = user_capture(test, &w, cipher, 5700);
	KUNIT_ASSERT_EQ(test, 2, c->records);
	user = user_take_over(test, w.receiver, NULL);
	user_attach(test, w.receiver);
	KUNIT_ASSERT_EQ(test, 0, user_set_key(w.receiver, TLS_RX, cipher, 0));
	user_feed(test, &w, c->bytes, c->end[0]);
	KUNIT_ASSERT_TRUE(test, user_eventually(user_is_readable(w.receiver)));
	hold(test);
	call = start(test, w.receiver, true, 5000);
	KUNIT_EXPECT_TRUE(test, still_waits(call));
	before = atomic_read(&user->readied);
	user_feed(test, &w, c->bytes + c->end[0], c->len - c->end[0]);
	schedule_timeout_uninterruptible(USER_MOMENT);
	late_let_go();
	KUNIT_EXPECT_EQ(test, 5000, join(test, call));
	KUNIT_EXPECT_TRUE(test,
			  user_eventually(atomic_read(&user->readied) > before));
	KUNIT_EXPECT_TRUE(test, user_eventually(user_is_readable(w.receiver)));
	user_expect_stream(test, w.receiver, 700, 5000);
	KUNIT_EXPECT_FALSE(test, user_is_readable(w.receiver));
}

static struct kunit_case async_cases[] = {
	KUNIT_CASE_PARAM(all_goes_through_tls_1_2, engine_gen_params),
	KUNIT_CASE_PARAM(all_goes_through_tls_1_3, engine_gen_params),
	KUNIT_CASE_PARAM(bad_tag_is_found, engine_gen_params),
	KUNIT_CASE_PARAM(nothing_is_received_before_it_is_verified,
			 version_gen_params),
	KUNIT_CASE_PARAM(nothing_is_sent_before_it_is_encrypted,
			 version_gen_params),
	KUNIT_CASE_PARAM(peer_that_resets_meanwhile_harms_nothing,
			 version_gen_params),
	KUNIT_CASE_PARAM(shutdown_meanwhile_harms_nothing, version_gen_params),
	KUNIT_CASE_PARAM(error_while_sending_fails_the_socket,
			 version_gen_params),
	KUNIT_CASE_PARAM(error_while_receiving_delivers_nothing,
			 version_gen_params),
	KUNIT_CASE_PARAM(part_of_a_record_waits_for_all_of_it,
			 version_gen_params),
	KUNIT_CASE_PARAM(socket_goes_right_after_a_completion,
			 version_gen_params),
	KUNIT_CASE_PARAM(queued_decryption_that_fails_delivers_nothing,
			 version_gen_params),
	KUNIT_CASE_PARAM(queued_encryption_that_fails_keeps_its_record,
			 version_gen_params),
	KUNIT_CASE_PARAM(record_that_comes_while_one_is_decrypted_is_told,
			 version_gen_params),
	{}
};

static struct kunit_suite async_suite = {
	.name = "tls_user_async",
	.test_cases = async_cases,
};

kunit_test_suite(async_suite);
