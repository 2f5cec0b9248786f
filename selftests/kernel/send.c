// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: sending as the kernel's users do: kernel vectors, bio vectors, pages
 * that are spliced, and messages in several pieces.
 */

#include <linux/bvec.h>
#include <linux/mm.h>
#include <linux/page_ref.h>

#include "user.h"

KUNIT_ARRAY_PARAM_DESC(cipher, user_ciphers, name);

/* A part of a page that holds a part of the stream. */
static void put_piece(struct bio_vec *bv, struct page *page, size_t len,
		      size_t offset, size_t at)
{
	user_fill(page_address(page) + offset, len, at);
	bvec_set_page(bv, page, len, offset);
}

static int send_pieces(struct socket *sock, struct bio_vec *bv,
		       unsigned int pieces, size_t len, int flags)
{
	struct msghdr msg = { .msg_flags = flags };

	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, bv, pieces, len);
	return sock_sendmsg(sock, &msg);
}

static void kernel_vectors_arrive(struct kunit *test)
{
	static u8 in_module[500];
	struct user_pair p = user_open(test, test->param_value, USER_ROOMY,
				       USER_ROOMY);
	u8 on_stack[40];
	struct kvec vec[] = {
		{ kunit_kmalloc(test, 1, GFP_KERNEL), 1 },
		{ on_stack, sizeof(on_stack) },
		{ user_vmalloc(test, 5000) + 3, 4990 },
		{ in_module, sizeof(in_module) },
		{ user_buffer(test, 40000), 40000 },
		{ user_vmalloc(test, 20000) + 1, 19001 },
	};
	struct msghdr msg = {};
	size_t len = 0;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, vec[0].iov_base);
	for (i = 0; i < ARRAY_SIZE(vec); i++) {
		user_fill(vec[i].iov_base, vec[i].iov_len, len);
		len += vec[i].iov_len;
	}
	KUNIT_ASSERT_EQ(test, len, kernel_sendmsg(p.sender, &msg, vec,
						  ARRAY_SIZE(vec), len));
	user_expect_stream(test, p.receiver, len, 0);
}

static void bio_vectors_arrive(struct kunit *test)
{
	struct user_pair p = user_open(test, test->param_value, USER_ROOMY,
				       USER_ROOMY);
	struct bio_vec bv[4];

	put_piece(&bv[0], user_page(test, 0), 100, 33, 0);
	put_piece(&bv[1], user_page(test, 3), 31000, 1001, 100);
	put_piece(&bv[2], user_page(test, 0), 4096, 0, 31100);
	put_piece(&bv[3], user_page(test, 0), 1, 4095, 35196);
	KUNIT_ASSERT_EQ(test, 35197, send_pieces(p.sender, bv, 4, 35197, 0));
	user_expect_stream(test, p.receiver, 35197, 0);
	/* The beginning of the first is not sent. */
	KUNIT_ASSERT_EQ(test, 35000, send_pieces(p.sender, bv, 4, 35000,
						 MSG_EOR));
	user_expect_stream(test, p.receiver, 35000, 0);
}

/* As the server of NFS: a marker in a page fragment, and then pages. */
static void spliced_reply_arrives(struct kunit *test)
{
	struct user_pair p = user_open(test, test->param_value, USER_ROOMY,
				       USER_ROOMY);
	const unsigned int pages = 40;
	struct page_frag_cache cache = {};
	struct bio_vec bv[41];
	struct page *page[40];
	size_t at = 4;
	void *marker;
	int i, ret;

	for (i = 0; i < pages; i++) {
		size_t len = i == pages - 1 ? 777 : PAGE_SIZE;

		page[i] = user_page(test, 0);
		put_piece(&bv[1 + i], page[i], len, 0, at);
		at += len;
	}
	marker = page_frag_alloc(&cache, 4, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, marker);
	user_fill(marker, 4, 0);
	bvec_set_virt(&bv[0], marker, 4);
	ret = send_pieces(p.sender, bv, 1 + pages, at, MSG_SPLICE_PAGES);
	page_frag_free(marker);
	page_frag_cache_drain(&cache);
	KUNIT_ASSERT_EQ(test, at, ret);
	user_expect_stream(test, p.receiver, at, 0);

	/* Once all is over, nobody has the pages but we. */
	user_release(test, p.sender);
	user_release(test, p.receiver);
	for (i = 0; i < pages; i++)
		KUNIT_EXPECT_EQ(test, 1, page_ref_count(page[i]));
}

static void many_spliced_pieces_make_one_record(struct kunit *test)
{
	const struct user_cipher *cipher = test->param_value;
	struct user_wire w = user_wire(test, cipher);
	struct user_capture *c;
	struct bio_vec bv[60];
	size_t at = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(bv); i++) {
		size_t len = 1 + 37 * i % 271;

		put_piece(&bv[i], user_page(test, 0), len, 13 * i, at);
		at += len;
	}
	KUNIT_ASSERT_LT(test, at, USER_RECORD);
	KUNIT_ASSERT_EQ(test, at, send_pieces(w.sender, bv, ARRAY_SIZE(bv), at,
					      MSG_SPLICE_PAGES));
	c = user_capture(test, &w, cipher, at);
	KUNIT_EXPECT_EQ(test, 1, c->records);

	user_attach(test, w.receiver);
	KUNIT_ASSERT_EQ(test, 0, user_set_key(w.receiver, TLS_RX, cipher, 0));
	user_feed(test, &w, c->bytes, c->len);
	user_expect_stream(test, w.receiver, at, 0);
}

/* As NVMe: a header, data where the block layer has it, a digest. */
static void pieces_with_more_make_one_record(struct kunit *test)
{
	const struct user_cipher *cipher = test->param_value;
	struct user_wire w = user_wire(test, cipher);
	int more = MSG_DONTWAIT | MSG_MORE;
	struct user_capture *c;
	size_t at = 72;
	u8 head[72];
	u8 digest[4];
	int i;

	user_fill(head, sizeof(head), 0);
	KUNIT_ASSERT_EQ(test, 72, user_send(w.sender, head, sizeof(head),
					    more));
	for (i = 0; i < 3; i++) {
		size_t len = i == 1 ? 511 : PAGE_SIZE;
		struct bio_vec bv;

		put_piece(&bv, user_page(test, 0), len, 0, at);
		KUNIT_ASSERT_EQ(test, len, send_pieces(w.sender, &bv, 1, len,
						       more |
						       MSG_SPLICE_PAGES));
		at += len;
	}
	user_fill(digest, sizeof(digest), at);
	at += sizeof(digest);
	KUNIT_ASSERT_EQ(test, 4, user_send(w.sender, digest, sizeof(digest),
					   MSG_DONTWAIT | MSG_EOR));

	c = user_capture(test, &w, cipher, at);
	KUNIT_EXPECT_EQ(test, 1, c->records);
	user_attach(test, w.receiver);
	KUNIT_ASSERT_EQ(test, 0, user_set_key(w.receiver, TLS_RX, cipher, 0));
	user_feed(test, &w, c->bytes, c->len);
	user_expect_stream(test, w.receiver, at, 0);
}

static void more_than_a_record_is_cut_where_it_is_full(struct kunit *test)
{
	const struct user_cipher *cipher = test->param_value;
	struct user_wire w = user_wire(test, cipher);
	struct user_capture *c;
	size_t at = 0;
	int i;

	for (i = 0; i < 11; i++) {
		size_t len = i == 10 ? 100 : PAGE_SIZE;
		struct bio_vec bv;

		put_piece(&bv, user_page(test, 0), len, 0, at);
		KUNIT_ASSERT_EQ(test, len,
				send_pieces(w.sender, &bv, 1, len,
					    MSG_SPLICE_PAGES |
					    (i == 10 ? 0 : MSG_MORE)));
		at += len;
	}
	c = user_capture(test, &w, cipher, at);
	KUNIT_EXPECT_EQ(test, 3, c->records);
	KUNIT_EXPECT_EQ(test, USER_RECORD, c->text[0]);
	KUNIT_EXPECT_EQ(test, USER_RECORD, c->text[1]);
	user_attach(test, w.receiver);
	KUNIT_ASSERT_EQ(test, 0, user_set_key(w.receiver, TLS_RX, cipher, 0));
	user_feed(test, &w, c->bytes, c->len);
	user_expect_stream(test, w.receiver, at, 0);
}

/* Nobody would come back for it. */
static void record_left_open_goes_out_at_shutdown(struct kunit *test)
{
	struct user_pair p = user_open(test, test->param_value, USER_ROOMY,
				       USER_ROOMY);
	u8 data[300];

	user_fill(data, sizeof(data), 0);
	KUNIT_ASSERT_EQ(test, 300, user_send(p.sender, data, sizeof(data),
					     MSG_MORE));
	KUNIT_EXPECT_EQ(test, -EAGAIN, user_recv(p.receiver, data, 1,
						 MSG_DONTWAIT));
	KUNIT_ASSERT_EQ(test, 0, kernel_sock_shutdown(p.sender, SHUT_WR));
	user_expect_stream(test, p.receiver, 300, 0);
	user_expect_eof(test, p.receiver);
}

static void wrong_flags_are_refused(struct kunit *test)
{
	struct user_pair p = user_open(test, test->param_value, USER_ROOMY,
				       USER_ROOMY);
	u8 byte = 0;

	KUNIT_EXPECT_EQ(test, -EINVAL, user_send(p.sender, &byte, 1,
						 MSG_MORE | MSG_EOR));
	KUNIT_EXPECT_EQ(test, -EOPNOTSUPP, user_send(p.sender, &byte, 1,
						     MSG_OOB));
	user_send_stream(test, p.sender, 10, 0);
	user_expect_stream(test, p.receiver, 10, 0);
}

/* As kernel_sendmsg(), by who owns the socket lock. */
static int send_locked(struct socket *sock, void *data, size_t len)
{
	struct kvec vec = { data, len };
	struct msghdr msg = {};
	int ret;

	lock_sock(sock->sk);
	ret = kernel_sendmsg_locked(sock->sk, &msg, &vec, 1, len);
	release_sock(sock->sk);
	return ret;
}

static void lock_owner_sends_what_others_send(struct kunit *test)
{
	struct user_pair p = user_connect(test, USER_ROOMY, USER_ROOMY);
	const struct user_cipher *cipher = test->param_value;
	u8 *data = user_buffer(test, 20000);

	user_fill(data, 20000, 0);
	user_attach(test, p.sender);
	KUNIT_ASSERT_EQ(test, 20000, send_locked(p.sender, data, 20000));
	user_expect_stream(test, p.receiver, 20000, 0);

	user_attach(test, p.receiver);
	KUNIT_ASSERT_EQ(test, 0, user_set_key(p.sender, TLS_TX, cipher, 0));
	KUNIT_ASSERT_EQ(test, 0, user_set_key(p.receiver, TLS_RX, cipher, 0));
	KUNIT_ASSERT_EQ(test, 20000, send_locked(p.sender, data, 20000));
	user_expect_stream(test, p.receiver, 20000, 0);
}

static struct kunit_case send_cases[] = {
	KUNIT_CASE_PARAM(kernel_vectors_arrive, cipher_gen_params),
	KUNIT_CASE_PARAM(bio_vectors_arrive, cipher_gen_params),
	KUNIT_CASE_PARAM(spliced_reply_arrives, cipher_gen_params),
	KUNIT_CASE_PARAM(many_spliced_pieces_make_one_record,
			 cipher_gen_params),
	KUNIT_CASE_PARAM(pieces_with_more_make_one_record, cipher_gen_params),
	KUNIT_CASE_PARAM(more_than_a_record_is_cut_where_it_is_full,
			 cipher_gen_params),
	KUNIT_CASE_PARAM(record_left_open_goes_out_at_shutdown,
			 cipher_gen_params),
	KUNIT_CASE_PARAM(wrong_flags_are_refused, cipher_gen_params),
	KUNIT_CASE_PARAM(lock_owner_sends_what_others_send,
			 cipher_gen_params),
	{}
};

static struct kunit_suite send_suite = {
	.name = "tls_user_send",
	.test_cases = send_cases,
};

kunit_test_suite(send_suite);
