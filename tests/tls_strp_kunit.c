// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: finding records in TCP's receive queue, over any segmentation. The
 * socket here is only as much of one as the queue needs.
 */

#include <kunit/test.h>
#include <linux/prandom.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <linux/unaligned.h>
#include <net/tcp.h>

#include "../tls.h"

#define START_SEQ	0xfffffff0u	/* sequence numbers wrap on the way */

struct strp_test {
	struct tcp_sock *tp;
	struct sock *sk;
	struct tls_strp strp;
	struct tls_framing f;
	u8 *stream;
	unsigned int len;
};

/* How the bytes of one segment lie in memory. */
enum shape { LINEAR, PAGES, SPLIT, FRAG_LIST, NUM_SHAPES };

static struct sk_buff *make_linear(struct kunit *test, const u8 *data,
				   unsigned int len)
{
	struct sk_buff *skb = alloc_skb(len, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, skb);
	skb_put_data(skb, data, len);
	return skb;
}

static struct sk_buff *make_paged(struct kunit *test, const u8 *data,
				  unsigned int len, unsigned int head)
{
	unsigned int left = len - head;
	struct sk_buff *skb;
	int err;

	skb = alloc_skb_with_frags(head, left, 0, &err, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, skb);
	skb_put(skb, head);
	skb->len += left;
	skb->data_len = left;
	KUNIT_ASSERT_EQ(test, 0, skb_store_bits(skb, 0, data, len));
	return skb;
}

static struct sk_buff *make_skb(struct kunit *test, enum shape shape,
				const u8 *data, unsigned int len)
{
	struct sk_buff *skb, *more;

	switch (shape) {
	case LINEAR:
		return make_linear(test, data, len);
	case PAGES:
		return make_paged(test, data, len, 0);
	case SPLIT:
		return make_paged(test, data, len, len / 3);
	default:
		if (len < 2)
			return make_linear(test, data, len);
		skb = make_linear(test, data, len / 2);
		more = make_paged(test, data + len / 2, len - len / 2, 0);
		skb_shinfo(skb)->frag_list = more;
		skb->len += more->len;
		skb->data_len += more->len;
		skb->truesize += more->truesize;
		return skb;
	}
}

/* A segment arrives; @again of its bytes came before. */
static void receive(struct kunit *test, enum shape shape, unsigned int len,
		    unsigned int again)
{
	struct strp_test *t = test->priv;
	u32 have = t->tp->rcv_nxt - START_SEQ;
	struct sk_buff *skb;

	skb = make_skb(test, shape, t->stream + have - again, len + again);
	TCP_SKB_CB(skb)->seq = t->tp->rcv_nxt - again;
	TCP_SKB_CB(skb)->end_seq = t->tp->rcv_nxt + len;
	TCP_SKB_CB(skb)->tcp_flags = 0;
	__skb_queue_tail(&t->sk->sk_receive_queue, skb);
	t->tp->rcv_nxt += len;
}

/* TCP has delivered so much, to whomever. */
static void deliver(struct strp_test *t, unsigned int len)
{
	struct sk_buff *skb;

	t->tp->copied_seq += len;
	while ((skb = skb_peek(&t->sk->sk_receive_queue)) &&
	       !before(t->tp->copied_seq, TCP_SKB_CB(skb)->end_seq)) {
		__skb_unlink(skb, &t->sk->sk_receive_queue);
		kfree_skb(skb);
	}
}

/* What tls_strp_done() does, without the acknowledgment. */
static void consume(struct strp_test *t, unsigned int len)
{
	deliver(t, len);
	t->strp.seq += len;
	t->strp.head_known = false;
}

static unsigned int add_record(struct strp_test *t, unsigned int payload)
{
	u8 *at = t->stream + t->len;
	unsigned int i, n = payload + t->f.prepend + t->f.tail + TLS_TAG_SIZE;

	tls_record_header(&t->f, TLS_RECORD_TYPE_DATA, payload + t->f.tail, at);
	for (i = t->f.prepend; i < n; i++)
		at[i] = (t->len + i) * 7;
	t->len += n;
	return n;
}

/* The record at the head is the @n bytes at @from of the stream. */
static void check_head(struct kunit *test, const u8 *from, unsigned int n)
{
	struct strp_test *t = test->priv;
	unsigned int skip = t->f.prepend, at = skip;
	struct scatterlist *sg;
	int used, i, nents = 64;
	u8 *copy;

	copy = kunit_kmalloc(test, n, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, copy);
	KUNIT_ASSERT_EQ(test, 0, tls_strp_copy(&t->strp, 0, copy, n));
	KUNIT_ASSERT_MEMEQ(test, copy, from, n);
	kunit_kfree(test, copy);

	sg = kunit_kcalloc(test, nents, sizeof(*sg), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, sg);
	sg_init_table(sg, nents);
	used = tls_strp_map(&t->strp, skip, n - skip, sg, nents);
	if (used == -EMSGSIZE) {
		kunit_kfree(test, sg);
		return;
	}
	KUNIT_ASSERT_GT(test, used, 0);
	for (i = 0; i < used; i++) {
		KUNIT_ASSERT_LE(test, at + sg[i].length, n);
		KUNIT_ASSERT_MEMEQ(test, (u8 *)sg_virt(&sg[i]), from + at,
				   sg[i].length);
		at += sg[i].length;
	}
	KUNIT_ASSERT_EQ(test, at, n);
	kunit_kfree(test, sg);
}

static void record_is_found_however_it_is_segmented(struct kunit *test)
{
	struct strp_test *t = test->priv;
	static const unsigned int sizes[] = { 0, 1, 2, 30, 1000, 5000, 16384 };
	struct rnd_state rnd;
	unsigned int round, i;

	prandom_seed_state(&rnd, 42);
	for (round = 0; round < 200; round++) {
		unsigned int lens[ARRAY_SIZE(sizes)], base = t->len, at = base;
		unsigned int most = 1 + prandom_u32_state(&rnd) % 9000;
		struct tls_record rec;

		if (base > 400000)
			break;
		for (i = 0; i < ARRAY_SIZE(sizes); i++)
			lens[i] = add_record(t, sizes[i]);
		i = 0;
		while (i < ARRAY_SIZE(sizes)) {
			u32 have = t->tp->rcv_nxt - START_SEQ;
			unsigned int n, again = 0;
			int ret;

			ret = tls_strp_next(&t->strp, &t->f, &rec, GFP_KERNEL);
			KUNIT_ASSERT_EQ(test, ret, have >= at + lens[i]);
			if (ret) {
				KUNIT_ASSERT_EQ(test, rec.full_len, lens[i]);
				check_head(test, t->stream + at, lens[i]);
				consume(t, lens[i]);
				at += lens[i++];
				continue;
			}
			n = min(1 + prandom_u32_state(&rnd) % most,
				t->len - have);
			if (prandom_u32_state(&rnd) % 4 == 0)
				again = min(have - base,
					    prandom_u32_state(&rnd) % 20);
			receive(test, prandom_u32_state(&rnd) % NUM_SHAPES, n,
				again);
		}
	}
	KUNIT_EXPECT_GT(test, round, 10);
}

static void record_of_one_byte_segments_is_found(struct kunit *test)
{
	struct strp_test *t = test->priv;
	unsigned int n = add_record(t, 300), i;
	struct scatterlist sg[8];
	struct tls_record rec;

	for (i = 0; i < n; i++) {
		KUNIT_ASSERT_EQ(test, 0, tls_strp_next(&t->strp, &t->f, &rec,
						       GFP_KERNEL));
		receive(test, i % NUM_SHAPES, 1, 0);
	}
	KUNIT_ASSERT_EQ(test, 1, tls_strp_next(&t->strp, &t->f, &rec,
					       GFP_KERNEL));
	/* More pieces than the table has entries are refused, not overrun. */
	sg_init_table(sg, ARRAY_SIZE(sg));
	KUNIT_EXPECT_EQ(test, -EMSGSIZE,
			tls_strp_map(&t->strp, 0, n, sg, ARRAY_SIZE(sg)));
	check_head(test, t->stream, n);
}

static void data_that_vanishes_is_not_read(struct kunit *test)
{
	struct strp_test *t = test->priv;
	unsigned int n = add_record(t, 1000);
	struct scatterlist sg[8];
	struct tls_record rec;
	u8 buf[64];

	receive(test, LINEAR, 500, 0);
	receive(test, PAGES, n - 500, 0);
	KUNIT_ASSERT_EQ(test, 1, tls_strp_next(&t->strp, &t->f, &rec,
					       GFP_KERNEL));

	/* Another reader takes the first segment, ... */
	deliver(t, 500);
	sg_init_table(sg, ARRAY_SIZE(sg));
	KUNIT_EXPECT_EQ(test, -ENODATA, tls_strp_map(&t->strp, 0, rec.full_len,
						     sg, ARRAY_SIZE(sg)));
	KUNIT_EXPECT_EQ(test, -ENODATA, tls_strp_copy(&t->strp, n - 510, buf,
						      sizeof(buf)));
	/* ... and then the second, but nobody told rcv_nxt. */
	__skb_queue_purge(&t->sk->sk_receive_queue);
	KUNIT_EXPECT_EQ(test, -ENODATA, tls_strp_copy(&t->strp, 0, buf, 1));
	KUNIT_EXPECT_EQ(test, -ENODATA, tls_strp_next(&t->strp, &t->f, &rec,
						      GFP_KERNEL));
	t->strp.seq = t->tp->copied_seq;
	t->strp.head_known = false;
	KUNIT_EXPECT_EQ(test, 0, tls_strp_next(&t->strp, &t->f, &rec,
					       GFP_KERNEL));
}

static void bad_header_is_told(struct kunit *test)
{
	struct strp_test *t = test->priv;
	struct tls_record rec;

	add_record(t, 100);
	put_unaligned_be16(20000, t->stream + 3);
	receive(test, LINEAR, 4, 0);
	KUNIT_EXPECT_EQ(test, 0, tls_strp_next(&t->strp, &t->f, &rec,
					       GFP_KERNEL));
	receive(test, LINEAR, 1, 0);
	KUNIT_EXPECT_EQ(test, -EMSGSIZE, tls_strp_next(&t->strp, &t->f, &rec,
						       GFP_KERNEL));
}

static int strp_test_init(struct kunit *test)
{
	static const u8 info[TLS_MAX_INFO_SIZE];
	struct strp_test *t;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	t->tp = kunit_kzalloc(test, sizeof(*t->tp), GFP_KERNEL);
	t->stream = kvmalloc(SZ_512K, GFP_KERNEL);
	if (!t->tp || !t->stream)
		return -ENOMEM;
	t->sk = (struct sock *)t->tp;
	t->sk->sk_prot = &tcp_prot;
	t->sk->sk_rcvbuf = SZ_1G;
	t->sk->sk_rcvlowat = 1;
	t->tp->rcv_wnd = SZ_1G;
	t->tp->rcv_wup = START_SEQ;
	t->tp->copied_seq = START_SEQ;
	t->tp->rcv_nxt = START_SEQ;
	skb_queue_head_init(&t->sk->sk_receive_queue);
	tls_strp_init(&t->strp, t->sk);
	tls_framing_init(&t->f, tls_cipher_find(TLS_1_3_VERSION,
						TLS_CIPHER_AES_GCM_128),
			 TLS_1_3_VERSION, info);
	test->priv = t;
	return 0;
}

static void strp_test_exit(struct kunit *test)
{
	struct strp_test *t = test->priv;

	if (!t)
		return;
	__skb_queue_purge(&t->sk->sk_receive_queue);
	tls_strp_purge(&t->strp);
	kvfree(t->stream);
}

static struct kunit_case tls_strp_cases[] = {
	KUNIT_CASE(record_is_found_however_it_is_segmented),
	KUNIT_CASE(record_of_one_byte_segments_is_found),
	KUNIT_CASE(data_that_vanishes_is_not_read),
	KUNIT_CASE(bad_header_is_told),
	{}
};

static struct kunit_suite tls_strp_suite = {
	.name = "tls_strp",
	.init = strp_test_init,
	.exit = strp_test_exit,
	.test_cases = tls_strp_cases,
};

kunit_test_suite(tls_strp_suite);
