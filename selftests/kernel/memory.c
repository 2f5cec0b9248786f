// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: memory. A user who is part of writing back dirty pages (a file system
 * or a disk over the network) says how the socket may allocate: by
 * sk_allocation, by the scope that it calls in, or by both. Whatever this task
 * allocates meanwhile is watched.
 *
 * A call that has taken the socket's lock may sleep, whatever sk_allocation is:
 * a cipher that fails for want of memory would end the connection, and so it may
 * wait for clean pages to be freed. What none of them may do is to start I/O or
 * to enter a file system, on which this user may itself be waited for.
 */

#include <linux/bvec.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/tracepoint.h>
#include <net/tcp.h>
#include <trace/events/kmem.h>

#include "user.h"

/**
 * struct manner - how a user has its socket allocate
 * @name: of the parameter
 * @allocation: sk_allocation
 * @scope: PF_MEMALLOC*, while it calls
 * @memalloc: the socket serves those who free memory
 * @forbidden: what no allocation may have
 */
struct manner {
	char name[40];
	gfp_t allocation;
	unsigned int scope;
	bool memalloc;
	gfp_t forbidden;
};

static const struct manner manners[] = {
	{ "GFP_NOFS", GFP_NOFS, 0, false, __GFP_FS },
	{ "GFP_NOIO", GFP_NOIO, 0, false, __GFP_IO | __GFP_FS },
	{ "GFP_ATOMIC", GFP_ATOMIC, 0, false, __GFP_IO | __GFP_FS },
	{ "GFP_KERNEL, nofs", GFP_KERNEL, PF_MEMALLOC_NOFS, false, __GFP_FS },
	{ "GFP_KERNEL, noio", GFP_KERNEL, PF_MEMALLOC_NOIO, false,
	  __GFP_IO | __GFP_FS },
	{ "GFP_ATOMIC, noreclaim, memalloc", GFP_ATOMIC, PF_MEMALLOC, true,
	  __GFP_IO | __GFP_FS },
};

KUNIT_ARRAY_PARAM_DESC(manner, manners, name);

/**
 * struct watch - allocations of one task
 * @task: whose
 * @forbidden: what none of them may have
 * @seen: how many there were
 * @wrong: how many had it
 * @who: who asked for the last one that had, if that is known
 */
struct watch {
	struct task_struct *task;
	gfp_t forbidden;
	unsigned int seen;
	unsigned int wrong;
	unsigned long who;
};

static void watch_allocation(struct watch *watch, unsigned long who, gfp_t gfp)
{
	/* The other end of loopback is served in softirq, on top of us. */
	if (current != watch->task || !in_task())
		return;
	watch->seen++;
	if (!(current_gfp_context(gfp) & watch->forbidden))
		return;
	watch->wrong++;
	watch->who = who;
}

static void watch_kmalloc(void *data, unsigned long who, const void *ptr,
			  size_t wanted, size_t given, gfp_t gfp, int node)
{
	watch_allocation(data, who, gfp);
}

static void watch_cache(void *data, unsigned long who, const void *ptr,
			struct kmem_cache *cache, gfp_t gfp, int node)
{
	watch_allocation(data, who, gfp);
}

static void watch_page(void *data, struct page *page, unsigned int order,
		       gfp_t gfp, int migratetype)
{
	watch_allocation(data, 0, gfp);
}

/* Not every kernel exports this one to modules. */
static struct tracepoint *page_alloc;

static void find_page_alloc(struct tracepoint *tp, void *unused)
{
	if (!strcmp(tp->name, "mm_page_alloc"))
		page_alloc = tp;
}

static void watch_begin(struct watch *watch)
{
	WARN_ON(register_trace_kmalloc(watch_kmalloc, watch));
	WARN_ON(register_trace_kmem_cache_alloc(watch_cache, watch));
	WARN_ON(tracepoint_probe_register(page_alloc, watch_page, watch));
	watch->task = current;
}

static void watch_end(struct watch *watch)
{
	watch->task = NULL;
	tracepoint_probe_unregister(page_alloc, watch_page, watch);
	unregister_trace_kmem_cache_alloc(watch_cache, watch);
	unregister_trace_kmalloc(watch_kmalloc, watch);
	tracepoint_synchronize_unregister();
}

/* A user's calls, and what they returned. */
struct calls {
	const struct manner *manner;
	struct user_pair pair;
	struct bio_vec bv[12];
	u8 *small;
	u8 *to;
	struct user_reader *reader;
	int ret[8];
	struct watch watch;
};

#define PIECES		37001	/* of pages, and so that no block fits */
#define SMALL		3001

static void make_calls(struct calls *c)
{
	struct msghdr msg = { .msg_flags = MSG_SPLICE_PAGES };
	struct user_pair *p = &c->pair;
	unsigned int scope;

	watch_begin(&c->watch);
	scope = memalloc_flags_save(c->manner->scope);
	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, c->bv, ARRAY_SIZE(c->bv),
		      PIECES);
	c->ret[0] = sock_sendmsg(p->sender, &msg);
	c->ret[1] = user_send(p->sender, c->small, 1000, MSG_MORE);
	c->ret[2] = user_send(p->sender, c->small + 1000, SMALL - 1000, 0);
	c->ret[3] = user_send(p->sender, c->small, SMALL, 0);
	c->ret[4] = user_recv(p->receiver, c->to, 50, MSG_PEEK);
	c->ret[5] = user_recv(p->receiver, c->to, PIECES + 7, MSG_WAITALL);
	c->ret[6] = user_recv(p->receiver, c->to + PIECES + 7, SMALL - 7,
			      MSG_WAITALL);
	c->ret[7] = user_read_all(p->receiver, c->reader, SMALL);
	memalloc_flags_restore(scope);
	watch_end(&c->watch);
}

static void manner_is_kept(struct kunit *test, const struct user_cipher *cipher)
{
	struct calls *c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);
	struct socket *sock[2];
	size_t at = 0;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, c);
	c->manner = test->param_value;
	c->pair = user_open(test, cipher, USER_ROOMY, USER_ROOMY);
	c->small = user_buffer(test, SMALL);
	c->to = user_buffer(test, PIECES + SMALL);
	c->reader = user_reader(test, SMALL);
	for (i = 0; i < ARRAY_SIZE(c->bv); i++) {
		struct page *page = user_page(test, 0);
		size_t len = min_t(size_t, PIECES - at, 3331);

		user_fill(page_address(page) + 501, len, at);
		bvec_set_page(&c->bv[i], page, len, 501);
		at += len;
	}
	KUNIT_ASSERT_EQ(test, PIECES, at);
	user_fill(c->small, SMALL, PIECES);
	sock[0] = c->pair.sender;
	sock[1] = c->pair.receiver;
	for (i = 0; i < ARRAY_SIZE(sock); i++) {
		lock_sock(sock[i]->sk);
		sock[i]->sk->sk_allocation = c->manner->allocation;
		sock[i]->sk->sk_use_task_frag = false;
		release_sock(sock[i]->sk);
		if (c->manner->memalloc)
			sk_set_memalloc(sock[i]->sk);
	}

	c->watch.forbidden = c->manner->forbidden;
	make_calls(c);
	for (i = 0; i < ARRAY_SIZE(sock) && c->manner->memalloc; i++)
		sk_clear_memalloc(sock[i]->sk);

	KUNIT_EXPECT_EQ(test, PIECES, c->ret[0]);
	KUNIT_EXPECT_EQ(test, 1000, c->ret[1]);
	KUNIT_EXPECT_EQ(test, SMALL - 1000, c->ret[2]);
	KUNIT_EXPECT_EQ(test, SMALL, c->ret[3]);
	KUNIT_EXPECT_EQ(test, 50, c->ret[4]);
	KUNIT_EXPECT_EQ(test, PIECES + 7, c->ret[5]);
	KUNIT_EXPECT_EQ(test, SMALL - 7, c->ret[6]);
	KUNIT_EXPECT_EQ(test, 0, c->ret[7]);
	KUNIT_EXPECT_TRUE(test, user_same(c->to, PIECES + SMALL, 0));
	KUNIT_EXPECT_TRUE(test, user_same(c->reader->to, SMALL, PIECES));

	KUNIT_EXPECT_GT(test, c->watch.seen, 0);
	KUNIT_EXPECT_EQ_MSG(test, 0, c->watch.wrong, "the last by %pS",
			    (void *)c->watch.who);
}

static void allocation_follows_the_user_tls_1_2(struct kunit *test)
{
	manner_is_kept(test, USER_TLS_1_2);
}

static void allocation_follows_the_user_tls_1_3(struct kunit *test)
{
	manner_is_kept(test, USER_TLS_1_3);
}

/* Would the watch see it? */
static void watch_sees_what_is_forbidden(struct kunit *test)
{
	struct watch watch = { .forbidden = __GFP_FS };

	watch_begin(&watch);
	kfree(kmalloc(100, GFP_KERNEL));
	kfree(kmalloc(100, GFP_NOFS));
	__free_page(alloc_page(GFP_KERNEL));
	watch_end(&watch);
	KUNIT_EXPECT_GE(test, watch.seen, 3);
	KUNIT_EXPECT_GE(test, watch.wrong, 2);
	KUNIT_EXPECT_LT(test, watch.wrong, watch.seen);
}

static int memory_suite_init(struct kunit_suite *suite)
{
	for_each_kernel_tracepoint(find_page_alloc, NULL);
	return page_alloc ? 0 : -ENOENT;
}

/*
 * NVMe over TCP goes on with its next PDU after any other error than EAGAIN: in
 * the midst of one, its peer would take that for data.
 */
static void atomic_sender_without_memory_is_called_back(struct kunit *test)
{
	struct user_pair p = user_open(test, USER_TLS_1_3, USER_ROOMY,
				       USER_ROOMY);
	struct user_callbacks *user = user_take_over(test, p.sender, NULL);
	long *tcp_mem = p.sender->sk->sk_prot->sysctl_mem;
	u8 *data = user_buffer(test, 1000);
	long limits[3];
	int i, ret;

	user_fill(data, 1000, 0);
	p.sender->sk->sk_allocation = GFP_ATOMIC;
	for (i = 0; i < 3; i++) {
		limits[i] = tcp_mem[i];
		WRITE_ONCE(tcp_mem[i], -1);
	}
	ret = user_send(p.sender, data, 1000, MSG_MORE | MSG_DONTWAIT);
	for (i = 0; i < 3; i++)
		WRITE_ONCE(tcp_mem[i], limits[i]);
	KUNIT_EXPECT_EQ(test, -EAGAIN, ret);
	KUNIT_EXPECT_TRUE(test, user_eventually(atomic_read(&user->spaced)));
	KUNIT_EXPECT_EQ(test, 1000, user_send(p.sender, data, 1000,
					      MSG_DONTWAIT));
	user_expect_stream(test, p.receiver, 1000, 0);
}

static struct kunit_case memory_cases[] = {
	KUNIT_CASE(atomic_sender_without_memory_is_called_back),
	KUNIT_CASE(watch_sees_what_is_forbidden),
	KUNIT_CASE_PARAM(allocation_follows_the_user_tls_1_2,
			 manner_gen_params),
	KUNIT_CASE_PARAM(allocation_follows_the_user_tls_1_3,
			 manner_gen_params),
	{}
};

static struct kunit_suite memory_suite = {
	.name = "tls_user_memory",
	.suite_init = memory_suite_init,
	.test_cases = memory_cases,
};

kunit_test_suite(memory_suite);
