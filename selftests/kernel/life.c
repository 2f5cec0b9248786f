// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: much data, and the end of a socket: closed with data queued, shut
 * down under a reader, released where the kernel's users release.
 */

#include <linux/bvec.h>
#include <linux/completion.h>
#include <linux/file.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/workqueue.h>

#include "user.h"

KUNIT_ARRAY_PARAM_DESC(cipher, user_ciphers, name);

static const struct user_cipher *cipher_of(struct kunit *test)
{
	return test->param_value;
}

/* Send the stream until the socket takes no more. */
static size_t fill_up(struct kunit *test, struct socket *sock)
{
	u8 *data = user_buffer(test, 10000);
	size_t sent = 0;
	int ret;

	for (;;) {
		user_fill(data, 10000, sent);
		ret = user_send(sock, data, 10000, MSG_DONTWAIT);
		if (ret == -EAGAIN)
			return sent;
		KUNIT_ASSERT_GT(test, ret, 0);
		sent += ret;
	}
}

/* ---- the end ---- */

static void close_sends_what_was_taken(struct kunit *test)
{
	struct user_pair p = user_open(test, cipher_of(test), USER_TIGHT,
				       USER_TIGHT);
	size_t sent = fill_up(test, p.sender);

	user_release(test, p.sender);
	user_expect_stream(test, p.receiver, sent, 0);
	user_expect_eof(test, p.receiver);
}

/* NVMe would rather lose what is queued than send it late. */
static void close_without_linger_resets(struct kunit *test)
{
	struct user_pair p = user_open(test, cipher_of(test), USER_TIGHT,
				       USER_TIGHT);
	u8 *to = user_buffer(test, 10000);
	size_t got = 0, sent;
	int ret;

	sent = fill_up(test, p.sender);
	sock_no_linger(p.sender->sk);
	user_release(test, p.sender);
	while ((ret = user_recv(p.receiver, to, 10000, 0)) > 0) {
		KUNIT_ASSERT_TRUE(test, user_same(to, ret, got));
		got += ret;
	}
	KUNIT_EXPECT_EQ(test, -ECONNRESET, ret);
	KUNIT_EXPECT_LE(test, got, sent);
}

static void close_with_data_unread(struct kunit *test)
{
	struct user_pair p = user_open(test, cipher_of(test), USER_ROOMY,
				       USER_ROOMY);
	u8 byte;

	user_send_stream(test, p.sender, 30000, 0);
	/* A record that is decrypted, and others that are not. */
	user_expect_stream(test, p.receiver, 100, 0);
	user_release(test, p.receiver);
	KUNIT_ASSERT_TRUE(test, user_eventually(p.sender->sk->sk_err ||
						p.sender->sk->sk_state !=
						TCP_ESTABLISHED));
	KUNIT_EXPECT_LT(test, user_recv(p.sender, &byte, 1, 0), 0);
}

static void shutdown_sends_what_was_taken(struct kunit *test)
{
	struct user_pair p = user_open(test, cipher_of(test), USER_TIGHT,
				       USER_TIGHT);
	size_t sent = fill_up(test, p.sender);
	u8 byte = 0;

	KUNIT_ASSERT_EQ(test, 0, kernel_sock_shutdown(p.sender, SHUT_WR));
	KUNIT_EXPECT_EQ(test, -EPIPE, user_send(p.sender, &byte, 1,
						MSG_NOSIGNAL));
	user_expect_stream(test, p.receiver, sent, 0);
	user_expect_eof(test, p.receiver);
	/* The other direction stays. */
	user_send_stream(test, p.receiver, 1000, 0);
	user_expect_stream(test, p.sender, 1000, 0);
}

/*
 * An error of the path, which an application asks for with IP_RECVERR, is told
 * to it, and ends nothing: what was taken before is not lost by it.
 */
static void error_of_the_path_loses_nothing_that_was_taken(struct kunit *test)
{
	bool closes;
	u8 *data = user_buffer(test, 1000);

	user_fill(data, 1000, 0);
	for (closes = false;; closes = true) {
		struct user_pair p = user_open(test, cipher_of(test),
					       USER_ROOMY, USER_ROOMY);
		struct sock *sk = p.sender->sk;

		KUNIT_ASSERT_EQ(test, 1000, user_send(p.sender, data, 1000,
						      MSG_MORE));
		lock_sock(sk);
		WRITE_ONCE(sk->sk_err, EHOSTUNREACH);
		release_sock(sk);
		if (closes) {
			user_release(test, p.sender);
		} else {
			KUNIT_EXPECT_EQ(test, 0,
					kernel_sock_shutdown(p.sender,
							     SHUT_WR));
			KUNIT_EXPECT_EQ(test, EHOSTUNREACH, sk->sk_err);
		}
		user_expect_stream(test, p.receiver, 1000, 0);
		user_expect_eof(test, p.receiver);
		if (closes)
			break;
	}
}

/* ---- threads ---- */

/**
 * struct mover - a thread that sends or receives the stream
 * @sock: the socket
 * @total: bytes to move
 * @seed: of its sizes
 * @moved: bytes that it moved
 * @ret: what its last call returned
 * @differs: what came is not what was sent
 * @began: it is about to call
 * @done: it has ended
 * @scratch: memory of its own
 * @page: the same
 */
struct mover {
	struct socket *sock;
	size_t total;
	u64 seed;
	size_t moved;
	int ret;
	bool differs;
	struct completion began;
	struct completion done;
	u8 *scratch;
	struct page *page[10];
};

#define MOST_AT_ONCE	40000

static struct mover *new_mover(struct kunit *test, struct socket *sock,
			       size_t total, u64 seed)
{
	struct mover *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, m);
	m->sock = sock;
	m->total = total;
	m->seed = seed;
	m->scratch = user_buffer(test, MOST_AT_ONCE);
	for (i = 0; i < ARRAY_SIZE(m->page); i++)
		m->page[i] = user_page(test, 0);
	init_completion(&m->began);
	init_completion(&m->done);
	return m;
}

static void map_pages(struct mover *m, struct bio_vec *bv)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(m->page); i++)
		bvec_set_page(&bv[i], m->page[i], PAGE_SIZE, 0);
}

static int send_some(struct mover *m, struct rnd_state *rnd, size_t n)
{
	bool last = m->moved + n == m->total;
	struct msghdr msg = {};
	struct bio_vec bv[10];
	size_t at;
	int i;

	if (!last && prandom_u32_state(rnd) % 3 == 0)
		msg.msg_flags |= MSG_MORE;
	if (prandom_u32_state(rnd) % 2) {
		user_fill(m->scratch, n, m->moved);
		return user_send(m->sock, m->scratch, n, msg.msg_flags);
	}
	map_pages(m, bv);
	for (i = 0, at = 0; at < n; i++, at += PAGE_SIZE)
		user_fill(page_address(m->page[i]), min(n - at, PAGE_SIZE),
			  m->moved + at);
	/* Not spliced: they change as soon as the call returns. */
	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, bv, ARRAY_SIZE(bv), n);
	return sock_sendmsg(m->sock, &msg);
}

static int recv_some(struct mover *m, struct rnd_state *rnd, size_t n)
{
	struct msghdr msg = {};
	struct bio_vec bv[10];
	size_t at;
	int i, ret;

	if (prandom_u32_state(rnd) % 2) {
		ret = user_recv(m->sock, m->scratch, n, 0);
		if (ret > 0 && !user_same(m->scratch, ret, m->moved))
			m->differs = true;
		return ret;
	}
	map_pages(m, bv);
	iov_iter_bvec(&msg.msg_iter, ITER_DEST, bv, ARRAY_SIZE(bv), n);
	ret = sock_recvmsg(m->sock, &msg, 0);
	for (i = 0, at = 0; ret > 0 && at < ret; i++, at += PAGE_SIZE)
		if (!user_same(page_address(m->page[i]),
			       min(ret - at, PAGE_SIZE), m->moved + at))
			m->differs = true;
	return ret;
}

static void move(struct mover *m, int (*some)(struct mover *m,
					      struct rnd_state *rnd, size_t n))
{
	struct rnd_state rnd;

	prandom_seed_state(&rnd, m->seed);
	complete(&m->began);
	while (m->moved < m->total && !m->differs) {
		size_t most = prandom_u32_state(&rnd) % 4 ? MOST_AT_ONCE : 300;
		size_t n = 1 + prandom_u32_state(&rnd) % most;

		m->ret = some(m, &rnd, min(n, m->total - m->moved));
		if (m->ret <= 0)
			break;
		m->moved += m->ret;
	}
}

static int send_thread(void *data)
{
	struct mover *m = data;

	move(m, send_some);
	kthread_complete_and_exit(&m->done, 0);
}

static int recv_thread(void *data)
{
	struct mover *m = data;

	move(m, recv_some);
	kthread_complete_and_exit(&m->done, 0);
}

static void run(struct kunit *test, int (*thread)(void *data), struct mover *m)
{
	struct task_struct *task = kthread_run(thread, m, "tls_user");

	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
}

/* Wait without a limit: what the thread uses must outlive it. */
static void join(struct mover *m)
{
	wait_for_completion(&m->done);
}

static void threads_move_both_directions(struct kunit *test)
{
	struct user_pair p = user_open(test, cipher_of(test), SZ_256K, SZ_256K);
	size_t total = SZ_2M / USER_SCALE;
	struct mover *m[4];
	int i;

	m[0] = new_mover(test, p.sender, total, 1);
	m[1] = new_mover(test, p.receiver, total, 2);
	m[2] = new_mover(test, p.receiver, total, 3);
	m[3] = new_mover(test, p.sender, total, 4);
	for (i = 0; i < ARRAY_SIZE(m); i++)
		run(test, i % 2 ? recv_thread : send_thread, m[i]);
	for (i = 0; i < ARRAY_SIZE(m); i++)
		join(m[i]);
	for (i = 0; i < ARRAY_SIZE(m); i++) {
		KUNIT_EXPECT_EQ(test, total, m[i]->moved);
		KUNIT_EXPECT_GT(test, m[i]->ret, 0);
		KUNIT_EXPECT_FALSE(test, m[i]->differs);
	}
}

static void shutdown_wakes_a_reader(struct kunit *test)
{
	struct user_pair p = user_open(test, cipher_of(test), USER_ROOMY,
				       USER_ROOMY);
	struct mover *m = new_mover(test, p.receiver, SZ_1M, 1);
	bool waits;

	p.receiver->sk->sk_rcvtimeo = MAX_SCHEDULE_TIMEOUT;
	user_send_stream(test, p.sender, 5000, 0);
	run(test, recv_thread, m);
	wait_for_completion(&m->began);
	waits = user_eventually(READ_ONCE(m->moved) == 5000) &&
		!wait_for_completion_timeout(&m->done, USER_MOMENT);
	KUNIT_EXPECT_EQ(test, 0, kernel_sock_shutdown(p.receiver, SHUT_RDWR));
	join(m);
	KUNIT_EXPECT_TRUE(test, waits);
	KUNIT_EXPECT_EQ(test, 0, m->ret);
	KUNIT_EXPECT_EQ(test, 5000, m->moved);
	KUNIT_EXPECT_FALSE(test, m->differs);
}

static void shutdown_wakes_a_writer(struct kunit *test)
{
	struct user_pair p = user_open(test, cipher_of(test), USER_TIGHT,
				       USER_TIGHT);
	struct mover *m = new_mover(test, p.sender, SZ_16M, 1);
	bool waits;
	size_t moved;

	p.sender->sk->sk_sndtimeo = MAX_SCHEDULE_TIMEOUT;
	run(test, send_thread, m);
	wait_for_completion(&m->began);
	do {
		moved = READ_ONCE(m->moved);
		waits = !wait_for_completion_timeout(&m->done, USER_MOMENT);
	} while (waits && moved != READ_ONCE(m->moved));
	KUNIT_EXPECT_EQ(test, 0, kernel_sock_shutdown(p.sender, SHUT_RDWR));
	join(m);
	KUNIT_EXPECT_TRUE(test, waits);
	KUNIT_EXPECT_EQ(test, -EPIPE, m->ret);
}

static void reset_by_the_peer_wakes_both(struct kunit *test)
{
	struct user_pair p = user_open(test, cipher_of(test), USER_TIGHT,
				       USER_TIGHT);
	struct mover *reader = new_mover(test, p.sender, SZ_16M, 1);
	struct mover *writer = new_mover(test, p.sender, SZ_16M, 2);

	run(test, recv_thread, reader);
	run(test, send_thread, writer);
	wait_for_completion(&reader->began);
	user_eventually(READ_ONCE(writer->moved) > USER_RECORD);
	sock_no_linger(p.receiver->sk);
	user_release(test, p.receiver);
	join(reader);
	join(writer);
	/* One of the two is told the reset, the other finds an end. */
	if (reader->ret)
		KUNIT_EXPECT_EQ(test, -ECONNRESET, reader->ret);
	if (writer->ret != -EPIPE)
		KUNIT_EXPECT_EQ(test, -ECONNRESET, writer->ret);
}

/* ---- where it is released ---- */

struct release {
	struct work_struct work;
	struct socket *sock;
	struct completion done;
};

static void release_work(struct work_struct *work)
{
	struct release *r = container_of(work, struct release, work);

	sock_release(r->sock);
	complete(&r->done);
}

static void released_from_a_work_item(struct kunit *test)
{
	struct user_pair p = user_open(test, cipher_of(test), USER_TIGHT,
				       USER_TIGHT);
	struct release r = { .sock = p.sender };
	size_t sent = fill_up(test, p.sender);

	init_completion(&r.done);
	INIT_WORK_ONSTACK(&r.work, release_work);
	user_forget(test, p.sender);
	queue_work(system_wq, &r.work);
	user_expect_stream(test, p.receiver, sent, 0);
	user_expect_eof(test, p.receiver);
	wait_for_completion(&r.done);
	destroy_work_on_stack(&r.work);
}

/* A socket with a file goes with its last reference, some time after. */
static void released_with_its_file(struct kunit *test)
{
	struct user_pair p = user_open(test, cipher_of(test), USER_TIGHT,
				       USER_TIGHT);
	size_t sent = fill_up(test, p.sender);
	struct file *file;

	/* When there is no file, it has released the socket. */
	user_forget(test, p.sender);
	file = sock_alloc_file(p.sender, O_NONBLOCK, NULL);
	KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	fput(file);
	user_expect_stream(test, p.receiver, sent, 0);
	user_expect_eof(test, p.receiver);
}

static struct kunit_case life_cases[] = {
	KUNIT_CASE_PARAM(close_sends_what_was_taken, cipher_gen_params),
	KUNIT_CASE_PARAM(close_without_linger_resets, cipher_gen_params),
	KUNIT_CASE_PARAM(close_with_data_unread, cipher_gen_params),
	KUNIT_CASE_PARAM(shutdown_sends_what_was_taken, cipher_gen_params),
	KUNIT_CASE_PARAM(error_of_the_path_loses_nothing_that_was_taken,
			 cipher_gen_params),
	KUNIT_CASE_PARAM_ATTR(threads_move_both_directions, cipher_gen_params,
			      { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_PARAM(shutdown_wakes_a_reader, cipher_gen_params),
	KUNIT_CASE_PARAM(shutdown_wakes_a_writer, cipher_gen_params),
	KUNIT_CASE_PARAM(reset_by_the_peer_wakes_both, cipher_gen_params),
	KUNIT_CASE_PARAM(released_from_a_work_item, cipher_gen_params),
	KUNIT_CASE_PARAM(released_with_its_file, cipher_gen_params),
	{}
};

static struct kunit_suite life_suite = {
	.name = "tls_user_life",
	.test_cases = life_cases,
};

kunit_test_suite(life_suite);
