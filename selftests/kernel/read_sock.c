// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: read_sock() as the host of NVMe calls it, with an actor that does not
 * always take what it is offered.
 */

#include "user.h"

KUNIT_ARRAY_PARAM_DESC(cipher, user_ciphers, name);

static const u8 warning[] = { TLS_ALERT_LEVEL_WARNING,
			      TLS_ALERT_DESC_USER_CANCELED };

static struct user_pair open_pair(struct kunit *test)
{
	return user_open(test, test->param_value, USER_ROOMY, USER_ROOMY);
}

static void expect_alert(struct kunit *test, struct socket *sock)
{
	u8 to[8], type;

	KUNIT_ASSERT_EQ(test, 2, user_recv_type(sock, to, sizeof(to), 0,
						&type));
	KUNIT_EXPECT_EQ(test, TLS_RECORD_TYPE_ALERT, type);
	KUNIT_EXPECT_MEMEQ(test, to, warning, sizeof(warning));
}

/* Nothing is said with 0 as TCP does, or with -EAGAIN. */
static void expect_nothing(struct kunit *test, struct socket *sock,
			   struct user_reader *reader)
{
	unsigned int calls = reader->calls;
	int ret = user_read_sock(sock, reader);

	KUNIT_EXPECT_TRUE(test, !ret || ret == -EAGAIN);
	KUNIT_EXPECT_EQ(test, calls, reader->calls);
}

static void all_data_moves(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	struct user_reader *reader = user_reader(test, SZ_128K);

	user_send_stream(test, p.sender, 100, 0);
	user_send_stream(test, p.sender, 50000, 100);
	user_send_stream(test, p.sender, 1, 50100);
	KUNIT_ASSERT_EQ(test, 0, user_read_all(p.receiver, reader, 50101));
	KUNIT_EXPECT_EQ(test, 50101, reader->got);
	KUNIT_EXPECT_TRUE(test, user_same(reader->to, 50101, 0));
	expect_nothing(test, p.receiver, reader);
}

static void what_the_actor_leaves_is_offered_again(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	struct user_reader *reader = user_reader(test, SZ_64K);

	reader->chunk = 1001;
	user_send_stream(test, p.sender, 20000, 0);
	KUNIT_ASSERT_EQ(test, 0, user_read_all(p.receiver, reader, 20000));
	KUNIT_EXPECT_EQ(test, 20000, reader->got);
	KUNIT_EXPECT_GE(test, reader->calls, 20);
	KUNIT_EXPECT_TRUE(test, user_same(reader->to, 20000, 0));
}

static void reading_ends_with_the_count(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	struct user_reader *reader = user_reader(test, SZ_64K);
	int i;

	user_send_stream(test, p.sender, 5000, 0);
	user_send_stream(test, p.sender, 5000, 5000);
	for (i = 1; i <= 12; i++) {
		reader->limit = 700 * i;
		KUNIT_ASSERT_EQ(test, 0, user_read_all(p.receiver, reader,
						       reader->limit));
		KUNIT_ASSERT_EQ(test, 700 * i, reader->got);
	}
	KUNIT_EXPECT_TRUE(test, user_same(reader->to, 8400, 0));
	user_expect_stream(test, p.receiver, 1600, 8400);
}

static void actor_that_takes_nothing_loses_nothing(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	struct user_reader *reader = user_reader(test, SZ_64K);

	reader->chunk = 0;
	user_send_stream(test, p.sender, 5000, 0);
	KUNIT_ASSERT_TRUE(test, user_eventually((user_read_sock(p.receiver,
								reader),
						 reader->calls)));
	KUNIT_EXPECT_EQ(test, 0, user_read_sock(p.receiver, reader));
	KUNIT_EXPECT_EQ(test, 2, reader->calls);
	reader->chunk = 5000;
	KUNIT_ASSERT_EQ(test, 5000, user_read_sock(p.receiver, reader));
	KUNIT_EXPECT_TRUE(test, user_same(reader->to, 5000, 0));
}

static void error_of_the_actor_is_told_and_loses_nothing(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	struct user_reader *reader = user_reader(test, SZ_64K);

	reader->chunk = 1000;
	reader->error = -EBADE;
	reader->error_at = 1;
	user_send_stream(test, p.sender, 5000, 0);
	KUNIT_ASSERT_TRUE(test, user_eventually((user_read_sock(p.receiver,
								reader),
						 reader->calls)));
	KUNIT_EXPECT_EQ(test, -EBADE, user_read_sock(p.receiver, reader));

	/* What was taken before the error is told first. */
	reader->calls = 0;
	reader->error_at = 3;
	KUNIT_EXPECT_EQ(test, 2000, user_read_sock(p.receiver, reader));
	KUNIT_EXPECT_EQ(test, -EBADE, user_read_sock(p.receiver, reader));
	reader->error = 0;
	KUNIT_EXPECT_EQ(test, 3000, user_read_sock(p.receiver, reader));
	KUNIT_EXPECT_TRUE(test, user_same(reader->to, 5000, 0));
}

static void part_of_a_record_is_nothing(struct kunit *test)
{
	const struct user_cipher *cipher = test->param_value;
	struct user_wire w = user_wire(test, cipher);
	struct user_reader *reader = user_reader(test, SZ_64K);
	struct user_capture *c;

	user_send_stream(test, w.sender, 2000, 0);
	c = user_capture(test, &w, cipher, 2000);
	user_attach(test, w.receiver);
	KUNIT_ASSERT_EQ(test, 0, user_set_key(w.receiver, TLS_RX, cipher, 0));

	expect_nothing(test, w.receiver, reader);
	user_feed(test, &w, c->bytes, 3);
	KUNIT_ASSERT_TRUE(test, user_eventually(user_has_queued(w.receiver,
								3)));
	expect_nothing(test, w.receiver, reader);
	user_feed(test, &w, c->bytes + 3, c->len - 4);
	KUNIT_ASSERT_TRUE(test, user_eventually(user_has_queued(w.receiver,
								c->len - 1)));
	expect_nothing(test, w.receiver, reader);
	user_feed(test, &w, c->bytes + c->len - 1, 1);
	KUNIT_ASSERT_EQ(test, 0, user_read_all(w.receiver, reader, 2000));
	KUNIT_EXPECT_TRUE(test, user_same(reader->to, 2000, 0));
}

static void control_record_stays_for_recvmsg(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	struct user_reader *reader = user_reader(test, SZ_64K);
	int i, ret = 0;

	user_send_stream(test, p.sender, 100, 0);
	KUNIT_ASSERT_EQ(test, 2, user_send_record(p.sender,
						  TLS_RECORD_TYPE_ALERT,
						  warning, 2));
	user_send_stream(test, p.sender, 200, 100);
	KUNIT_ASSERT_EQ(test, 0, user_read_all(p.receiver, reader, 100));
	KUNIT_ASSERT_TRUE(test,
			  user_eventually((ret = user_read_sock(p.receiver,
								reader),
					   ret < 0 && ret != -EAGAIN)));
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, ret, user_read_sock(p.receiver, reader));
	KUNIT_EXPECT_EQ(test, 100, reader->got);
	expect_alert(test, p.receiver);
	KUNIT_ASSERT_EQ(test, 0, user_read_all(p.receiver, reader, 300));
	KUNIT_EXPECT_TRUE(test, user_same(reader->to, 300, 0));
}

static void both_ways_of_reading_take_turns(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	struct user_reader *reader = user_reader(test, SZ_64K);
	u8 byte;

	user_send_stream(test, p.sender, 3000, 0);
	user_expect_stream(test, p.receiver, 10, 0);
	reader->limit = 2000;
	KUNIT_ASSERT_EQ(test, 2000, user_read_sock(p.receiver, reader));
	KUNIT_EXPECT_TRUE(test, user_same(reader->to, 2000, 10));
	user_expect_stream(test, p.receiver, 990, 2010);
	reader->limit = SZ_64K;
	expect_nothing(test, p.receiver, reader);
	KUNIT_EXPECT_EQ(test, -EAGAIN, user_recv(p.receiver, &byte, 1,
						 MSG_DONTWAIT));
}

static void end_of_file_is_told_after_the_data(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	struct user_reader *reader = user_reader(test, SZ_64K);

	user_send_stream(test, p.sender, 100, 0);
	user_release(test, p.sender);
	KUNIT_ASSERT_EQ(test, 0, user_read_all(p.receiver, reader, 100));
	user_expect_eof(test, p.receiver);
	KUNIT_EXPECT_EQ(test, 0, user_read_sock(p.receiver, reader));
	KUNIT_EXPECT_EQ(test, 0, user_read_sock(p.receiver, reader));
	KUNIT_EXPECT_TRUE(test, user_same(reader->to, 100, 0));
}

static void bad_record_is_told_after_the_data(struct kunit *test)
{
	const struct user_cipher *cipher = test->param_value;
	struct user_wire w = user_wire(test, cipher);
	struct user_reader *reader = user_reader(test, SZ_64K);
	struct user_capture *c;
	int i;

	for (i = 0; i < 3; i++)
		user_send_stream(test, w.sender, 100, i * 100);
	c = user_capture(test, &w, cipher, 300);
	KUNIT_ASSERT_EQ(test, 3, c->records);
	c->bytes[c->end[1] - 1] ^= 1;
	user_attach(test, w.receiver);
	KUNIT_ASSERT_EQ(test, 0, user_set_key(w.receiver, TLS_RX, cipher, 0));
	user_feed(test, &w, c->bytes, c->len);
	KUNIT_ASSERT_EQ(test, 0, user_read_all(w.receiver, reader, 100));
	KUNIT_EXPECT_EQ(test, -EBADMSG, user_read_all(w.receiver, reader, 200));
	KUNIT_EXPECT_EQ(test, -EBADMSG, user_read_sock(w.receiver, reader));
	KUNIT_EXPECT_EQ(test, 100, reader->got);
	KUNIT_EXPECT_TRUE(test, user_same(reader->to, 100, 0));
}

static void reading_goes_on_after_a_key_update(struct kunit *test)
{
	static const u8 key_update[] = { 24, 0, 0, 1, 0 };
	const struct user_cipher *cipher = USER_TLS_1_3;
	struct user_pair p = user_open(test, cipher, USER_ROOMY, USER_ROOMY);
	struct user_reader *reader = user_reader(test, SZ_64K);
	u8 to[100], type;

	user_send_stream(test, p.sender, 100, 0);
	KUNIT_ASSERT_EQ(test, 5, user_send_record(p.sender,
						  TLS_RECORD_TYPE_HANDSHAKE,
						  key_update, 5));
	KUNIT_ASSERT_EQ(test, 0, user_set_key(p.sender, TLS_TX, cipher, 2));
	user_send_stream(test, p.sender, 3000, 100);
	KUNIT_ASSERT_EQ(test, 0, user_read_all(p.receiver, reader, 100));

	KUNIT_EXPECT_EQ(test, -EINVAL, user_read_all(p.receiver, reader, 3100));
	KUNIT_ASSERT_EQ(test, 5, user_recv_type(p.receiver, to, sizeof(to), 0,
						&type));
	KUNIT_EXPECT_EQ(test, TLS_RECORD_TYPE_HANDSHAKE, type);
	KUNIT_EXPECT_MEMEQ(test, to, key_update, sizeof(key_update));

	KUNIT_EXPECT_EQ(test, -EKEYEXPIRED, user_read_sock(p.receiver, reader));
	KUNIT_EXPECT_FALSE(test, user_is_readable(p.receiver));
	KUNIT_EXPECT_EQ(test, 100, reader->got);

	KUNIT_ASSERT_EQ(test, 0, user_set_key(p.receiver, TLS_RX, cipher, 2));
	KUNIT_ASSERT_EQ(test, 0, user_read_all(p.receiver, reader, 3100));
	KUNIT_EXPECT_TRUE(test, user_same(reader->to, 3100, 0));
	/* The other direction has its old key. */
	user_send_stream(test, p.receiver, 10, 0);
	user_expect_stream(test, p.sender, 10, 0);
}

/* Without keys the socket is TCP's. */
static void attached_socket_without_keys_reads_as_tcp(struct kunit *test)
{
	struct user_pair p = user_connect(test, USER_ROOMY, USER_ROOMY);
	struct user_reader *reader = user_reader(test, SZ_64K);

	user_attach(test, p.receiver);
	expect_nothing(test, p.receiver, reader);
	user_send_stream(test, p.sender, 1000, 0);
	KUNIT_ASSERT_EQ(test, 0, user_read_all(p.receiver, reader, 1000));
	KUNIT_EXPECT_TRUE(test, user_same(reader->to, 1000, 0));
}

#ifdef CONFIG_FAILSLAB
/* Whoever is called back is called again, and no connection ends for it. */
static void memory_that_fails_is_asked_for_again(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	struct user_reader *reader = user_reader(test, SZ_64K);
	struct user_callbacks *user;
	int failures = 0;
	size_t len;
	int nth;

	/* As NVMe's. */
	user = user_take_over(test, p.receiver, NULL);
	p.receiver->sk->sk_allocation = GFP_ATOMIC;
	for (len = 100; len <= 10000; len += 9900) {
		for (nth = 1; nth < 100; nth++) {
			int ret, left;

			reader->got = 0;
			user_send_stream(test, p.sender, len, 0);
			KUNIT_ASSERT_TRUE(test,
					  user_eventually(user_is_readable(p.receiver)));
			atomic_set(&user->readied, 0);
			current->fail_nth = nth;
			ret = user_read_sock(p.receiver, reader);
			left = current->fail_nth;
			current->fail_nth = 0;
			if (!ret) {
				failures++;
				KUNIT_EXPECT_EQ(test, -ENOMEM, reader->desc_error);
				KUNIT_EXPECT_NE(test, 0,
						atomic_read(&user->readied));
				ret = user_read_sock(p.receiver, reader);
			}
			KUNIT_ASSERT_EQ(test, len, ret);
			KUNIT_EXPECT_TRUE(test, user_same(reader->to, len, 0));
			if (left)
				break;
		}
		KUNIT_EXPECT_GT(test, 100, nth);
	}
	KUNIT_EXPECT_LE(test, 2, failures);
}
#endif

static struct kunit_case read_sock_cases[] = {
	KUNIT_CASE_PARAM(all_data_moves, cipher_gen_params),
	KUNIT_CASE_PARAM(what_the_actor_leaves_is_offered_again,
			 cipher_gen_params),
	KUNIT_CASE_PARAM(reading_ends_with_the_count, cipher_gen_params),
	KUNIT_CASE_PARAM(actor_that_takes_nothing_loses_nothing,
			 cipher_gen_params),
	KUNIT_CASE_PARAM(error_of_the_actor_is_told_and_loses_nothing,
			 cipher_gen_params),
	KUNIT_CASE_PARAM(part_of_a_record_is_nothing, cipher_gen_params),
	KUNIT_CASE_PARAM(control_record_stays_for_recvmsg, cipher_gen_params),
	KUNIT_CASE_PARAM(both_ways_of_reading_take_turns, cipher_gen_params),
	KUNIT_CASE_PARAM(end_of_file_is_told_after_the_data,
			 cipher_gen_params),
	KUNIT_CASE_PARAM(bad_record_is_told_after_the_data,
			 cipher_gen_params),
	KUNIT_CASE(reading_goes_on_after_a_key_update),
	KUNIT_CASE(attached_socket_without_keys_reads_as_tcp),
#ifdef CONFIG_FAILSLAB
	KUNIT_CASE_PARAM(memory_that_fails_is_asked_for_again,
			 cipher_gen_params),
#endif
	{}
};

static struct kunit_suite read_sock_suite = {
	.name = "tls_user_read_sock",
	.test_cases = read_sock_cases,
};

kunit_test_suite(read_sock_suite);
