// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: recvmsg() as the kernel's users call it: into kernel and bio vectors,
 * with the content type in kernel memory, and without room for it.
 */

#include <linux/bvec.h>
#include <linux/mm.h>

#include "user.h"

KUNIT_ARRAY_PARAM_DESC(cipher, user_ciphers, name);

static const u8 fatal_alert[] = { TLS_ALERT_LEVEL_FATAL,
				  TLS_ALERT_DESC_HANDSHAKE_FAILURE };
static const u8 close_notify[] = { TLS_ALERT_LEVEL_WARNING,
				   TLS_ALERT_DESC_CLOSE_NOTIFY };

static struct user_pair open_pair(struct kunit *test)
{
	return user_open(test, test->param_value, USER_ROOMY, USER_ROOMY);
}

static void exact_short_and_long_buffers(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	u8 *to = user_buffer(test, 40000);
	int i;

	user_send_stream(test, p.sender, 1000, 0);
	KUNIT_ASSERT_EQ(test, 1000, user_recv(p.receiver, to, 1000, 0));
	KUNIT_EXPECT_TRUE(test, user_same(to, 1000, 0));

	user_send_stream(test, p.sender, 1000, 1000);
	for (i = 0; i < 10; i++) {
		KUNIT_ASSERT_EQ(test, 100, user_recv(p.receiver, to + i * 100,
						     100, 0));
	}
	KUNIT_EXPECT_TRUE(test, user_same(to, 1000, 1000));

	user_send_stream(test, p.sender, 1000, 2000);
	KUNIT_ASSERT_EQ(test, 1000, user_recv(p.receiver, to, 40000, 0));
	KUNIT_EXPECT_TRUE(test, user_same(to, 1000, 2000));
	KUNIT_EXPECT_EQ(test, 0, to[1000]);
	KUNIT_EXPECT_EQ(test, -EAGAIN, user_recv(p.receiver, to, 1,
						 MSG_DONTWAIT));
}

static void every_kind_of_kernel_memory_is_filled(struct kunit *test)
{
	static u8 in_module[500];
	struct user_pair p = open_pair(test);
	u8 on_stack[40];
	struct kvec vec[] = {
		{ kunit_kmalloc(test, 1, GFP_KERNEL), 1 },
		{ on_stack, sizeof(on_stack) },
		{ user_vmalloc(test, 5000) + 3, 4990 },
		{ in_module, sizeof(in_module) },
		{ user_buffer(test, 40000), 40000 },
		{ user_vmalloc(test, 20000) + 1, 19001 },
	};
	struct kvec copy[ARRAY_SIZE(vec)];
	size_t len = 0, at = 0;
	struct msghdr msg = {};
	int i;

	KUNIT_ASSERT_NOT_NULL(test, vec[0].iov_base);
	for (i = 0; i < ARRAY_SIZE(vec); i++) {
		copy[i] = vec[i];
		len += vec[i].iov_len;
	}
	user_send_stream(test, p.sender, len, 0);
	KUNIT_ASSERT_EQ(test, len, kernel_recvmsg(p.receiver, &msg, vec,
						  ARRAY_SIZE(vec), len,
						  MSG_WAITALL));
	for (i = 0; i < ARRAY_SIZE(vec); i++) {
		KUNIT_EXPECT_TRUE(test, user_same(copy[i].iov_base,
						  copy[i].iov_len, at));
		at += copy[i].iov_len;
	}
	/* A small record goes to the stack too. */
	user_send_stream(test, p.sender, sizeof(on_stack), 0);
	KUNIT_ASSERT_EQ(test, sizeof(on_stack),
			user_recv(p.receiver, on_stack, sizeof(on_stack), 0));
	KUNIT_EXPECT_TRUE(test, user_same(on_stack, sizeof(on_stack), 0));
}

/* As NFS reads a message: into pages, the first of them in part. */
static void bio_vectors_are_filled(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	struct bio_vec bv[12];
	struct msghdr msg = {};
	size_t at = 0;
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(bv); i++)
		bvec_set_page(&bv[i], user_page(test, 0), PAGE_SIZE, 0);
	user_send_stream(test, p.sender, 40000, 0);
	while (at < 40000) {
		iov_iter_bvec(&msg.msg_iter, ITER_DEST, bv, ARRAY_SIZE(bv),
			      123 + 40000);
		iov_iter_advance(&msg.msg_iter, 123 + at);
		ret = sock_recvmsg(p.receiver, &msg, 0);
		KUNIT_ASSERT_GT(test, ret, 0);
		at += ret;
	}
	KUNIT_EXPECT_EQ(test, 40000, at);
	KUNIT_EXPECT_TRUE(test, user_same(bvec_virt(&bv[0]) + 123,
					  PAGE_SIZE - 123, 0));
	for (i = 1; i < 9; i++)
		KUNIT_EXPECT_TRUE(test, user_same(bvec_virt(&bv[i]), PAGE_SIZE,
						  i * PAGE_SIZE - 123));
}

static void discarded_data_is_gone(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	struct msghdr msg = {};

	user_send_stream(test, p.sender, 20000, 0);
	iov_iter_discard(&msg.msg_iter, ITER_DEST, 19000);
	KUNIT_ASSERT_EQ(test, 19000, sock_recvmsg(p.receiver, &msg,
						  MSG_WAITALL));
	user_expect_stream(test, p.receiver, 1000, 19000);
}

static void data_tells_its_type(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	u8 to[100], type;

	user_send_stream(test, p.sender, 100, 0);
	KUNIT_ASSERT_EQ(test, 30, user_recv_type(p.receiver, to, 30, 0, &type));
	KUNIT_EXPECT_EQ(test, TLS_RECORD_TYPE_DATA, type);
	KUNIT_ASSERT_EQ(test, 70, user_recv_type(p.receiver, to, 100, 0,
						 &type));
	KUNIT_EXPECT_EQ(test, TLS_RECORD_TYPE_DATA, type);
	KUNIT_EXPECT_TRUE(test, user_same(to, 70, 30));
}

/* NVMe has no more room for the type than its bytes need. */
static void smallest_control_buffer_is_enough(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	u8 control[CMSG_LEN(sizeof(u8))] __aligned(8) = {};
	u8 to[8];
	struct kvec vec = { to, sizeof(to) };
	struct msghdr msg = {
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};

	KUNIT_ASSERT_EQ(test, 2, user_send_record(p.sender,
						  TLS_RECORD_TYPE_ALERT,
						  fatal_alert, 2));
	KUNIT_ASSERT_EQ(test, 2, kernel_recvmsg(p.receiver, &msg, &vec, 1,
						sizeof(to), 0));
	KUNIT_EXPECT_EQ(test, TLS_RECORD_TYPE_ALERT,
			tls_get_record_type(p.receiver->sk,
					    (struct cmsghdr *)control));
	KUNIT_EXPECT_EQ(test, 0, msg.msg_flags & MSG_CTRUNC);
}

static void expect_alert(struct kunit *test, struct socket *sock,
			 const u8 alert[2])
{
	union {
		struct cmsghdr head;
		u8 room[CMSG_SPACE(sizeof(u8))];
	} control = {};
	u8 level, description, to[2];
	struct kvec vec = { to, sizeof(to) };
	struct msghdr msg = {
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	iov_iter_kvec(&msg.msg_iter, ITER_DEST, &vec, 1, sizeof(to));
	KUNIT_ASSERT_EQ(test, 2, sock_recvmsg(sock, &msg, 0));
	KUNIT_ASSERT_EQ(test, TLS_RECORD_TYPE_ALERT,
			tls_get_record_type(sock->sk, &control.head));
	iov_iter_revert(&msg.msg_iter, 2);
	tls_alert_recv(sock->sk, &msg, &level, &description);
	KUNIT_EXPECT_EQ(test, alert[0], level);
	KUNIT_EXPECT_EQ(test, alert[1], description);
}

static void alerts_are_told(struct kunit *test)
{
	struct user_pair p = open_pair(test);

	KUNIT_ASSERT_EQ(test, 2, user_send_record(p.sender,
						  TLS_RECORD_TYPE_ALERT,
						  fatal_alert, 2));
	KUNIT_ASSERT_EQ(test, 2, user_send_record(p.sender,
						  TLS_RECORD_TYPE_ALERT,
						  close_notify, 2));
	expect_alert(test, p.receiver, fatal_alert);
	expect_alert(test, p.receiver, close_notify);
}

static void handshake_is_told_and_data_is_not_joined(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	u8 message[64], to[200], type;

	memset(message, 4, sizeof(message));
	user_send_stream(test, p.sender, 50, 0);
	KUNIT_ASSERT_EQ(test, 64, user_send_record(p.sender,
						   TLS_RECORD_TYPE_HANDSHAKE,
						   message, sizeof(message)));
	user_send_stream(test, p.sender, 50, 50);
	KUNIT_ASSERT_EQ(test, 50, user_recv_type(p.receiver, to, sizeof(to), 0,
						 &type));
	KUNIT_EXPECT_EQ(test, TLS_RECORD_TYPE_DATA, type);
	/* In two parts, each of which tells. */
	KUNIT_ASSERT_EQ(test, 60, user_recv_type(p.receiver, to, 60, 0, &type));
	KUNIT_EXPECT_EQ(test, TLS_RECORD_TYPE_HANDSHAKE, type);
	KUNIT_ASSERT_EQ(test, 4, user_recv_type(p.receiver, to + 60, 100, 0,
						&type));
	KUNIT_EXPECT_EQ(test, TLS_RECORD_TYPE_HANDSHAKE, type);
	KUNIT_EXPECT_MEMEQ(test, to, message, sizeof(message));
	user_expect_stream(test, p.receiver, 50, 50);
}

/*
 * NFS reads without room for the type, and looks for MSG_CTRUNC: only then
 * does it read again with room.
 */
static void control_record_without_room_says_so(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	struct msghdr msg = {};
	u8 to[100];
	struct kvec vec = { to, sizeof(to) };
	int ret;

	KUNIT_ASSERT_EQ(test, 2, user_send_record(p.sender,
						  TLS_RECORD_TYPE_ALERT,
						  close_notify, 2));
	user_send_stream(test, p.sender, 100, 0);
	iov_iter_kvec(&msg.msg_iter, ITER_DEST, &vec, 1, sizeof(to));
	ret = sock_recvmsg(p.receiver, &msg, 0);
	KUNIT_EXPECT_EQ(test, -EIO, ret);
	KUNIT_EXPECT_NE(test, 0, msg.msg_flags & MSG_CTRUNC);
	KUNIT_EXPECT_EQ(test, sizeof(to), msg_data_left(&msg));
	expect_alert(test, p.receiver, close_notify);
	user_expect_stream(test, p.receiver, 100, 0);
}

/* The target of NVMe looks at the first message before it decides. */
static void peeked_data_and_type_stay(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	u8 to[128], type;
	int i;

	user_send_stream(test, p.sender, 128, 0);
	KUNIT_ASSERT_EQ(test, 2, user_send_record(p.sender,
						  TLS_RECORD_TYPE_ALERT,
						  fatal_alert, 2));
	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_EQ(test, 8, user_recv_type(p.receiver, to, 8,
							MSG_PEEK, &type));
		KUNIT_EXPECT_EQ(test, TLS_RECORD_TYPE_DATA, type);
		KUNIT_EXPECT_TRUE(test, user_same(to, 8, 0));
	}
	user_expect_stream(test, p.receiver, 128, 0);
	KUNIT_ASSERT_EQ(test, 2, user_recv_type(p.receiver, to, 8, MSG_PEEK,
						&type));
	KUNIT_EXPECT_EQ(test, TLS_RECORD_TYPE_ALERT, type);
	expect_alert(test, p.receiver, fatal_alert);
}

static void waiting_for_all_joins_records(struct kunit *test)
{
	struct user_pair p = open_pair(test);
	u8 *to = user_buffer(test, 500);
	u8 type;
	int i;

	for (i = 0; i < 5; i++)
		user_send_stream(test, p.sender, 100, i * 100);
	KUNIT_ASSERT_EQ(test, 500, user_recv_type(p.receiver, to, 500,
						  MSG_WAITALL, &type));
	KUNIT_EXPECT_EQ(test, TLS_RECORD_TYPE_DATA, type);
	KUNIT_EXPECT_TRUE(test, user_same(to, 500, 0));
}

static void poll_without_a_table_tells_of_whole_records(struct kunit *test)
{
	const struct user_cipher *cipher = test->param_value;
	struct user_wire w = user_wire(test, cipher);
	struct user_capture *c;

	user_send_stream(test, w.sender, 1000, 0);
	c = user_capture(test, &w, cipher, 1000);
	user_attach(test, w.receiver);
	KUNIT_ASSERT_EQ(test, 0, user_set_key(w.receiver, TLS_RX, cipher, 0));

	KUNIT_EXPECT_FALSE(test, user_is_readable(w.receiver));
	user_feed(test, &w, c->bytes, c->len - 1);
	KUNIT_ASSERT_TRUE(test, user_eventually(user_has_queued(w.receiver,
								c->len - 1)));
	KUNIT_EXPECT_FALSE(test, user_is_readable(w.receiver));
	user_feed(test, &w, c->bytes + c->len - 1, 1);
	KUNIT_EXPECT_TRUE(test, user_eventually(user_is_readable(w.receiver)));
	user_expect_stream(test, w.receiver, 400, 0);
	KUNIT_EXPECT_TRUE(test, user_is_readable(w.receiver));
	user_expect_stream(test, w.receiver, 600, 400);
	KUNIT_EXPECT_FALSE(test, user_is_readable(w.receiver));
}

static unsigned int raw_bytes;

static int take_raw(struct sock *sk, struct sk_buff *skb)
{
	int len = skb->len;

	raw_bytes += len;
	kfree_skb(skb);
	return len;
}

/* What sockmap and vhost use: bytes of TCP, which are records once keys are set. */
static void readers_of_raw_bytes_get_no_records(struct kunit *test)
{
	struct user_pair p = user_connect(test, USER_ROOMY, USER_ROOMY);
	struct socket *sock = p.receiver;
	const struct proto_ops *ops;

	user_attach(test, sock);
	ops = READ_ONCE(sock->ops);
	user_send_stream(test, p.sender, 100, 0);
	KUNIT_ASSERT_TRUE(test, user_eventually(user_has_queued(sock, 100)));
	KUNIT_EXPECT_EQ(test, 100, ops->peek_len(sock));
	raw_bytes = 0;
	lock_sock(sock->sk);
	KUNIT_EXPECT_LT(test, 0, ops->read_skb(sock->sk, take_raw));
	release_sock(sock->sk);
	KUNIT_EXPECT_EQ(test, 100, raw_bytes);

	p = open_pair(test);
	sock = p.receiver;
	ops = READ_ONCE(sock->ops);
	user_send_stream(test, p.sender, 100, 0);
	KUNIT_ASSERT_TRUE(test, user_eventually(user_is_readable(sock)));
	/* How much text is behind is not known before it is decrypted. */
	KUNIT_EXPECT_EQ(test, INT_MAX, ops->peek_len(sock));
	lock_sock(sock->sk);
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, ops->read_skb(sock->sk, take_raw));
	release_sock(sock->sk);
	KUNIT_EXPECT_EQ(test, 100, raw_bytes);
	user_expect_stream(test, sock, 100, 0);
}

static struct kunit_case recv_cases[] = {
	KUNIT_CASE_PARAM(exact_short_and_long_buffers, cipher_gen_params),
	KUNIT_CASE_PARAM(every_kind_of_kernel_memory_is_filled,
			 cipher_gen_params),
	KUNIT_CASE_PARAM(bio_vectors_are_filled, cipher_gen_params),
	KUNIT_CASE_PARAM(discarded_data_is_gone, cipher_gen_params),
	KUNIT_CASE_PARAM(data_tells_its_type, cipher_gen_params),
	KUNIT_CASE_PARAM(smallest_control_buffer_is_enough, cipher_gen_params),
	KUNIT_CASE_PARAM(alerts_are_told, cipher_gen_params),
	KUNIT_CASE_PARAM(handshake_is_told_and_data_is_not_joined,
			 cipher_gen_params),
	KUNIT_CASE_PARAM(control_record_without_room_says_so,
			 cipher_gen_params),
	KUNIT_CASE_PARAM(peeked_data_and_type_stay, cipher_gen_params),
	KUNIT_CASE_PARAM(waiting_for_all_joins_records, cipher_gen_params),
	KUNIT_CASE_PARAM(poll_without_a_table_tells_of_whole_records,
			 cipher_gen_params),
	KUNIT_CASE_PARAM(readers_of_raw_bytes_get_no_records,
			 cipher_gen_params),
	{}
};

static struct kunit_suite recv_suite = {
	.name = "tls_user_recv",
	.test_cases = recv_cases,
};

kunit_test_suite(recv_suite);
