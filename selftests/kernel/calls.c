// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: the callbacks of a socket, replaced by its user before the keys come
 * (then ours stand in front of the user's, as for NFS) or after (then the
 * user's stand in front of ours, as for NVMe).
 */

#include <linux/completion.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/random.h>

#include "user.h"

KUNIT_ARRAY_PARAM_DESC(cipher, user_ciphers, name);

/* When the user comes: the keys are there then, or not. */
struct order {
	char name[40];
	bool before;
	bool deaf;
	const struct user_cipher *cipher;
};

static const struct order orders[] = {
	{ "before the keys, TLS 1.2", true, false, USER_TLS_1_2 },
	{ "before the keys, TLS 1.3", true, false, USER_TLS_1_3 },
	{ "after the keys, TLS 1.2", false, false, USER_TLS_1_2 },
	{ "after the keys, TLS 1.3", false, false, USER_TLS_1_3 },
	/* As the target of NVMe, which leaves our write_space out. */
	{ "not calling through, TLS 1.2", false, true, USER_TLS_1_2 },
	{ "not calling through, TLS 1.3", false, true, USER_TLS_1_3 },
};

KUNIT_ARRAY_PARAM_DESC(order, orders, name);

static void set_rx(struct kunit *test, struct socket *sock,
		   const struct user_cipher *cipher)
{
	user_attach(test, sock);
	KUNIT_ASSERT_EQ(test, 0, user_set_key(sock, TLS_RX, cipher, 0));
}

/* ---- data_ready ---- */

static void data_ready_comes_once_a_record_is_whole(struct kunit *test)
{
	const struct user_cipher *cipher = test->param_value;
	struct user_wire w = user_wire(test, cipher);
	struct user_callbacks *user = user_take_over(test, w.receiver, NULL);
	struct user_capture *c;
	size_t fed = 0;
	int i;

	for (i = 0; i < 3; i++)
		user_send_stream(test, w.sender, 1000, i * 1000);
	c = user_capture(test, &w, cipher, 3000);
	KUNIT_ASSERT_EQ(test, 3, c->records);
	set_rx(test, w.receiver, cipher);
	for (i = 0; i < 3; i++) {
		size_t part = c->end[i] - fed - 1;

		/* First the header alone, then all but one byte. */
		KUNIT_EXPECT_EQ(test, 0, atomic_read(&user->readied));
		user_feed(test, &w, c->bytes + fed, 5);
		KUNIT_ASSERT_TRUE(test,
				  user_eventually(user_has_queued(w.receiver,
								  5)));
		user_feed(test, &w, c->bytes + fed + 5, part - 5);
		KUNIT_ASSERT_TRUE(test,
				  user_eventually(user_has_queued(w.receiver,
								  part)));
		schedule_timeout_uninterruptible(2);
		KUNIT_EXPECT_EQ(test, 0, atomic_read(&user->readied));

		user_feed(test, &w, c->bytes + fed + part, 1);
		KUNIT_ASSERT_TRUE(test,
				  user_eventually(atomic_read(&user->readied)));
		fed = c->end[i];
		user_expect_stream(test, w.receiver, 1000, i * 1000);
		atomic_set(&user->readied, 0);
	}
}

/* ---- error_report ---- */

static int reported;
static void (*reported_through)(struct sock *sk);

static void note_error(struct sock *sk)
{
	reported = READ_ONCE(sk->sk_err);
	reported_through(sk);
}

/* NFS looks there whether it has to connect anew; then the other way goes on. */
static void error_report_finds_what_is_wrong_with_a_record(struct kunit *test)
{
	const struct user_cipher *cipher = test->param_value;
	u8 *buf = user_buffer(test, 1000);
	int tag;

	for (tag = 0; tag < 2; tag++) {
		struct user_wire w = user_wire(test, cipher);
		struct sock *sk = w.receiver->sk;
		struct user_capture *c;

		user_send_stream(test, w.sender, 1000, 0);
		c = user_capture(test, &w, cipher, 1000);
		set_rx(test, w.receiver, cipher);
		write_lock_bh(&sk->sk_callback_lock);
		reported = 0;
		reported_through = sk->sk_error_report;
		sk->sk_error_report = note_error;
		write_unlock_bh(&sk->sk_callback_lock);

		/* The last byte, or the header's version. */
		c->bytes[tag ? c->len - 1 : 1] ^= 1;
		user_feed(test, &w, c->bytes, c->len);
		KUNIT_EXPECT_EQ(test, tag ? -EBADMSG : -EINVAL,
				user_recv(w.receiver, buf, 1000, 0));
		KUNIT_EXPECT_EQ(test, tag ? EBADMSG : EINVAL, reported);
		KUNIT_EXPECT_EQ(test, 0, sk->sk_err);
		KUNIT_EXPECT_EQ(test, 1000, user_send(w.receiver, buf, 1000, 0));

		write_lock_bh(&sk->sk_callback_lock);
		sk->sk_error_report = reported_through;
		write_unlock_bh(&sk->sk_callback_lock);
	}
}

static void record_that_came_before_its_key_is_told(struct kunit *test)
{
	const struct user_cipher *cipher = test->param_value;
	struct user_wire w = user_wire(test, cipher);
	struct user_callbacks *user = user_take_over(test, w.receiver, NULL);
	struct user_capture *c;

	user_send_stream(test, w.sender, 1000, 0);
	c = user_capture(test, &w, cipher, 1000);
	user_feed(test, &w, c->bytes, c->len);
	KUNIT_ASSERT_TRUE(test, user_eventually(user_has_queued(w.receiver,
								c->len)));
	user_attach(test, w.receiver);
	schedule_timeout_uninterruptible(2);
	atomic_set(&user->readied, 0);
	KUNIT_ASSERT_EQ(test, 0, user_set_key(w.receiver, TLS_RX, cipher, 0));
	KUNIT_EXPECT_GT(test, atomic_read(&user->readied), 0);
	user_expect_stream(test, w.receiver, 1000, 0);
}

/* Who was there before the keys, behind one who came after them. */
static atomic_t behind;
static void (*behind_data_ready)(struct sock *sk);

static void count_behind(struct sock *sk)
{
	atomic_inc(&behind);
	behind_data_ready(sk);
}

static void user_in_front_sees_bytes_and_who_is_behind_records(struct kunit *t)
{
	const struct user_cipher *cipher = t->param_value;
	struct user_wire w = user_wire(t, cipher);
	struct sock *sk = w.receiver->sk;
	struct user_capture *c;
	struct user_callbacks *user;

	user_send_stream(t, w.sender, 1000, 0);
	c = user_capture(t, &w, cipher, 1000);
	write_lock_bh(&sk->sk_callback_lock);
	behind_data_ready = sk->sk_data_ready;
	sk->sk_data_ready = count_behind;
	write_unlock_bh(&sk->sk_callback_lock);
	set_rx(t, w.receiver, cipher);
	atomic_set(&behind, 0);
	user = user_take_over(t, w.receiver, NULL);

	user_feed(t, &w, c->bytes, c->len - 1);
	KUNIT_ASSERT_TRUE(t, user_eventually(atomic_read(&user->readied)));
	schedule_timeout_uninterruptible(2);
	KUNIT_EXPECT_EQ(t, 0, atomic_read(&behind));
	user_feed(t, &w, c->bytes + c->len - 1, 1);
	KUNIT_ASSERT_TRUE(t, user_eventually(atomic_read(&behind)));
	user_expect_stream(t, w.receiver, 1000, 0);
}

/*
 * The host of NVMe does not call through. A record may even be larger than
 * what TCP may hold at once.
 */
struct host {
	struct user_callbacks *user;
	struct socket *sock;
	struct user_reader *reader;
	size_t total;
	int err;
	struct completion done;
};

static struct host host;

static void host_work(struct work_struct *work)
{
	int ret = user_read_sock(host.sock, host.reader);

	/* What one call left, no callback announces. */
	if (ret > 0 && host.reader->got < host.total)
		queue_work(system_unbound_wq, work);
	if (ret < 0 && ret != -EAGAIN)
		host.err = ret;
	if (host.err || host.reader->got >= host.total)
		complete(&host.done);
}

static void user_that_does_not_call_through_reads_all(struct kunit *test)
{
	const struct user_cipher *cipher = test->param_value;
	/* Half of it is for the kernel's own structures. */
	struct user_pair p = user_open(test, cipher, USER_ROOMY, SZ_8K);
	const size_t total = 4 * USER_RECORD;
	u8 *data = user_buffer(test, total);

	host = (struct host){
		.sock = p.receiver,
		.reader = user_reader(test, total),
		.total = total,
	};
	init_completion(&host.done);
	host.reader->chunk = 3000;
	host.user = user_take_over(test, p.receiver, host_work);
	host.user->deaf = true;
	user_fill(data, total, 0);
	KUNIT_ASSERT_EQ(test, total, user_send(p.sender, data, total, 0));
	KUNIT_EXPECT_GT(test, wait_for_completion_timeout(&host.done,
							  USER_PATIENCE), 0);
	user_give_back(host.user);
	cancel_work_sync(&host.user->work);
	KUNIT_EXPECT_EQ(test, 0, host.err);
	KUNIT_EXPECT_EQ(test, total, host.reader->got);
	KUNIT_EXPECT_TRUE(test, user_same(host.reader->to, total, 0));
}

static void peer_that_closes_is_told_by_state_change(struct kunit *test)
{
	const struct order *order = test->param_value;
	struct user_pair p = user_connect(test, USER_ROOMY, USER_ROOMY);
	struct user_callbacks *user = NULL;

	if (order->before)
		user = user_take_over(test, p.receiver, NULL);
	set_rx(test, p.receiver, order->cipher);
	if (!order->before)
		user = user_take_over(test, p.receiver, NULL);
	KUNIT_EXPECT_EQ(test, 0, atomic_read(&user->changed));
	user_release(test, p.sender);
	KUNIT_EXPECT_TRUE(test, user_eventually(atomic_read(&user->changed)));
	user_expect_eof(test, p.receiver);
}

/* ---- write_space ---- */

/**
 * struct sender - one who sends without waiting
 * @sock: the socket
 * @user: its callbacks
 * @data: what to send
 * @total: bytes of it
 * @sent: bytes that the socket has taken
 * @full: times that it took none
 * @err: another error
 * @done: all is taken, or there was an error
 */
struct sender {
	struct socket *sock;
	struct user_callbacks *user;
	u8 *data;
	size_t total;
	size_t sent;
	unsigned int full;
	int err;
	struct completion done;
};

static struct sender sender;
/* It may be called back before it has noticed that there was no room. */
static DEFINE_MUTEX(sending);

static void send_some(void)
{
	while (sender.sent < sender.total) {
		size_t n = min_t(size_t, sender.total - sender.sent,
				 1 + get_random_u32_below(40000));
		int ret = user_send(sender.sock, sender.data + sender.sent, n,
				    MSG_DONTWAIT);

		if (ret == -EAGAIN) {
			WRITE_ONCE(sender.full, sender.full + 1);
			return;
		}
		if (ret <= 0) {
			sender.err = ret ?: -EPROTO;
			break;
		}
		WRITE_ONCE(sender.sent, sender.sent + ret);
	}
	complete(&sender.done);
}

static void send_until_full(void)
{
	mutex_lock(&sending);
	send_some();
	mutex_unlock(&sending);
}

static void send_work(struct work_struct *work)
{
	send_until_full();
}

/* A sender with little room, and a peer that does not read yet. */
static struct user_pair start_sender(struct kunit *test, work_func_t work)
{
	const struct order *order = test->param_value;
	struct user_pair p = user_connect(test, USER_TIGHT, USER_TIGHT);

	sender = (struct sender){
		.sock = p.sender,
		.total = SZ_512K,
	};
	init_completion(&sender.done);
	sender.data = user_buffer(test, sender.total);
	user_fill(sender.data, sender.total, 0);
	set_rx(test, p.receiver, order->cipher);
	user_attach(test, p.sender);
	if (order->before)
		sender.user = user_take_over(test, p.sender, work);
	KUNIT_ASSERT_EQ(test, 0, user_set_key(p.sender, TLS_TX, order->cipher,
					      0));
	if (!order->before)
		sender.user = user_take_over(test, p.sender, work);
	sender.user->deaf = order->deaf;
	send_until_full();
	KUNIT_ASSERT_EQ(test, 0, sender.err);
	KUNIT_ASSERT_LE(test, 1, READ_ONCE(sender.full));
	KUNIT_ASSERT_GT(test, sender.sent, 0);
	return p;
}

static void sender_goes_on_when_called_back(struct kunit *test)
{
	struct user_pair p = start_sender(test, send_work);

	KUNIT_EXPECT_LT(test, sender.sent, sender.total);
	user_expect_stream(test, p.receiver, sender.total, 0);
	KUNIT_EXPECT_GT(test, wait_for_completion_timeout(&sender.done,
							  USER_PATIENCE), 0);
	KUNIT_EXPECT_EQ(test, 0, sender.err);
	KUNIT_EXPECT_EQ(test, sender.total, sender.sent);
	KUNIT_EXPECT_GT(test, atomic_read(&sender.user->spaced), 0);
}

static void what_was_taken_goes_out_without_another_call(struct kunit *test)
{
	struct user_pair p = start_sender(test, NULL);
	u8 byte;

	user_expect_stream(test, p.receiver, sender.sent, 0);
	KUNIT_EXPECT_EQ(test, -EAGAIN, user_recv(p.receiver, &byte, 1,
						 MSG_DONTWAIT));
	KUNIT_EXPECT_GT(test, atomic_read(&sender.user->spaced), 0);
}

/* ---- giving back ---- */

/*
 * NVMe gives back what it found, which is ours; NFS what it found before there
 * were keys, and so puts TCP's over ours. Then they close.
 */
static void closed_after_giving_back(struct kunit *test)
{
	struct user_pair p = start_sender(test, NULL);

	user_give_back(sender.user);
	user_release(test, p.sender);
	user_expect_stream(test, p.receiver, sender.sent, 0);
	user_expect_eof(test, p.receiver);
}

/* NFS gives back what it found before there were keys: over ours. */
static void tcp_callbacks_put_over_ours(struct kunit *test)
{
	const struct user_cipher *cipher = test->param_value;
	struct user_pair p = user_connect(test, USER_ROOMY, USER_ROOMY);
	struct user_callbacks *user = user_take_over(test, p.receiver, NULL);
	struct user_reader *reader = user_reader(test, 2000);

	user_attach(test, p.receiver);
	KUNIT_ASSERT_EQ(test, 0, user_set_key(p.receiver, TLS_TX, cipher, 1));
	KUNIT_ASSERT_EQ(test, 0, user_set_key(p.receiver, TLS_RX, cipher, 0));
	user_attach(test, p.sender);
	KUNIT_ASSERT_EQ(test, 0, user_set_key(p.sender, TLS_TX, cipher, 0));
	user_send_stream(test, p.sender, 1000, 0);
	KUNIT_ASSERT_TRUE(test, user_eventually(atomic_read(&user->readied)));

	KUNIT_ASSERT_EQ(test, 0, kernel_sock_shutdown(p.receiver, SHUT_RDWR));
	lock_sock(p.receiver->sk);
	user_give_back(user);
	release_sock(p.receiver->sk);
	/* More still comes, for nobody. */
	user_send(p.sender, reader->to, 1000, MSG_DONTWAIT);
	KUNIT_EXPECT_EQ(test, 0, user_read_all(p.receiver, reader, 1000));
	KUNIT_EXPECT_TRUE(test, user_same(reader->to, 1000, 0));
	user_release(test, p.receiver);
	user_release(test, p.sender);
}

/*
 * A user who has not given back when its socket closes: TCP may call it until
 * the socket is an orphan, when ours have gone already.
 */
static void callbacks_left_in_place_outlive_the_keys(struct kunit *test)
{
	struct user_pair p = start_sender(test, NULL);
	struct sock *sk = p.sender->sk;

	sock_hold(sk);
	user_release(test, p.sender);
	lock_sock(sk);
	sender.user->write_space(sk);
	sender.user->data_ready(sk);
	sender.user->state_change(sk);
	release_sock(sk);
	sock_put(sk);
	user_expect_stream(test, p.receiver, sender.sent, 0);
	user_expect_eof(test, p.receiver);
}

static struct kunit_case calls_cases[] = {
	KUNIT_CASE_PARAM(data_ready_comes_once_a_record_is_whole,
			 cipher_gen_params),
	KUNIT_CASE_PARAM(error_report_finds_what_is_wrong_with_a_record,
			 cipher_gen_params),
	KUNIT_CASE_PARAM(record_that_came_before_its_key_is_told,
			 cipher_gen_params),
	KUNIT_CASE_PARAM(user_in_front_sees_bytes_and_who_is_behind_records,
			 cipher_gen_params),
	KUNIT_CASE_PARAM(user_that_does_not_call_through_reads_all,
			 cipher_gen_params),
	KUNIT_CASE_PARAM(peer_that_closes_is_told_by_state_change,
			 order_gen_params),
	KUNIT_CASE_PARAM(sender_goes_on_when_called_back, order_gen_params),
	KUNIT_CASE_PARAM(what_was_taken_goes_out_without_another_call,
			 order_gen_params),
	KUNIT_CASE_PARAM(closed_after_giving_back, order_gen_params),
	KUNIT_CASE_PARAM(tcp_callbacks_put_over_ours, cipher_gen_params),
	KUNIT_CASE_PARAM(callbacks_left_in_place_outlive_the_keys,
			 order_gen_params),
	{}
};

static struct kunit_suite calls_suite = {
	.name = "tls_user_calls",
	.test_cases = calls_cases,
};

kunit_test_suite(calls_suite);
