// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: connections over loopback, keys and bytes for those who play the
 * kernel's users of TLS sockets.
 */

#include <linux/module.h>
#include <linux/poll.h>
#include <linux/prandom.h>
#include <linux/tcp.h>
#include <linux/unaligned.h>
#include <linux/vmalloc.h>
#include <net/tcp.h>

#include "user.h"

const struct user_cipher user_ciphers[] = {
	{ "TLS 1.2 AES-GCM-128", TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128,
	  sizeof(struct tls12_crypto_info_aes_gcm_128), 13, 16 },
	{ "TLS 1.3 AES-GCM-128", TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128,
	  sizeof(struct tls12_crypto_info_aes_gcm_128), 5, 17 },
	{ "TLS 1.3 ChaCha20-Poly1305", TLS_1_3_VERSION,
	  TLS_CIPHER_CHACHA20_POLY1305,
	  sizeof(struct tls12_crypto_info_chacha20_poly1305), 5, 17 },
};

/* A prime: no length of a record or page has the stream repeat itself. */
#define PATTERN		65521

static u8 pattern[PATTERN];

KUNIT_DEFINE_ACTION_WRAPPER(release_action, sock_release, struct socket *);
KUNIT_DEFINE_ACTION_WRAPPER(kvfree_action, kvfree, const void *);

/* ---- the stream ---- */

void user_fill(void *to, size_t len, size_t at)
{
	while (len) {
		size_t n = min(len, PATTERN - at % PATTERN);

		memcpy(to, pattern + at % PATTERN, n);
		to += n;
		at += n;
		len -= n;
	}
}

bool user_same(const void *data, size_t len, size_t at)
{
	while (len) {
		size_t n = min(len, PATTERN - at % PATTERN);

		if (memcmp(data, pattern + at % PATTERN, n))
			return false;
		data += n;
		at += n;
		len -= n;
	}
	return true;
}

/* ---- memory ---- */

static u8 *keep(struct kunit *test, void *memory)
{
	KUNIT_ASSERT_NOT_NULL(test, memory);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, kvfree_action,
							   memory));
	return memory;
}

u8 *user_buffer(struct kunit *test, size_t len)
{
	return keep(test, kvzalloc(len, GFP_KERNEL));
}

u8 *user_vmalloc(struct kunit *test, size_t len)
{
	return keep(test, vzalloc(len));
}

static void put_page_action(void *page)
{
	put_page(page);
}

struct page *user_page(struct kunit *test, unsigned int order)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_COMP, order);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test,
							   put_page_action,
							   page));
	return page;
}

/* ---- connections ---- */

static void keep_socket(struct kunit *test, struct socket *sock)
{
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, release_action,
							   sock));
	sock->sk->sk_rcvtimeo = USER_PATIENCE;
	sock->sk->sk_sndtimeo = USER_PATIENCE;
}

void user_release(struct kunit *test, struct socket *sock)
{
	kunit_release_action(test, release_action, sock);
}

void user_forget(struct kunit *test, struct socket *sock)
{
	kunit_remove_action(test, release_action, sock);
}

/*
 * Buffers are set as NFS does: directly, and so above the system's limit. The
 * socket holds its network namespace: one that does not loses TCP's timers when
 * it closes, and what is still to be sent then may never be.
 */
static struct socket *new_socket(struct kunit *test, int sndbuf, int rcvbuf)
{
	struct socket *sock;

	KUNIT_ASSERT_EQ(test, 0, sock_create(AF_INET, SOCK_STREAM, IPPROTO_TCP,
					     &sock));
	keep_socket(test, sock);
	lock_sock(sock->sk);
	sock->sk->sk_userlocks |= SOCK_SNDBUF_LOCK | SOCK_RCVBUF_LOCK;
	WRITE_ONCE(sock->sk->sk_sndbuf, sndbuf);
	WRITE_ONCE(sock->sk->sk_rcvbuf, rcvbuf);
	release_sock(sock->sk);
	return sock;
}

struct user_pair user_connect(struct kunit *test, int sndbuf, int rcvbuf)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct sockaddr *name = (struct sockaddr *)&addr;
	struct socket *listener = new_socket(test, sndbuf, rcvbuf);
	struct user_pair pair;

	KUNIT_ASSERT_EQ(test, 0, kernel_bind(listener, name, sizeof(addr)));
	KUNIT_ASSERT_EQ(test, 0, kernel_listen(listener, 1));
	KUNIT_ASSERT_EQ(test, sizeof(addr), kernel_getsockname(listener, name));
	pair.sender = new_socket(test, sndbuf, rcvbuf);
	KUNIT_ASSERT_EQ(test, 0, kernel_connect(pair.sender, name, sizeof(addr),
						0));
	KUNIT_ASSERT_EQ(test, 0, kernel_accept(listener, &pair.receiver, 0));
	keep_socket(test, pair.receiver);
	user_release(test, listener);
	tcp_sock_set_nodelay(pair.sender->sk);
	tcp_sock_set_nodelay(pair.receiver->sk);
	return pair;
}

static int set_option(struct socket *sock, int level, int option, void *value,
		      unsigned int len)
{
	return READ_ONCE(sock->ops)->setsockopt(sock, level, option,
						KERNEL_SOCKPTR(value), len);
}

void user_attach(struct kunit *test, struct socket *sock)
{
	KUNIT_ASSERT_EQ(test, 0, set_option(sock, SOL_TCP, TCP_ULP, "tls", 3));
}

int user_set_key(struct socket *sock, int direction,
		 const struct user_cipher *cipher, u8 generation)
{
	u8 info[sizeof(struct tls12_crypto_info_aes_gcm_256)];
	const struct tls_crypto_info head = {
		.version = cipher->version,
		.cipher_type = cipher->type,
	};
	int i;

	for (i = 0; i < sizeof(info); i++)
		info[i] = 7 * i + 31 * generation;
	memcpy(info, &head, sizeof(head));
	return set_option(sock, SOL_TLS, direction, info, cipher->size);
}

struct user_pair user_open(struct kunit *test, const struct user_cipher *cipher,
			   int sndbuf, int rcvbuf)
{
	struct user_pair p = user_connect(test, sndbuf, rcvbuf);

	user_attach(test, p.sender);
	user_attach(test, p.receiver);
	KUNIT_ASSERT_EQ(test, 0, user_set_key(p.sender, TLS_TX, cipher, 0));
	KUNIT_ASSERT_EQ(test, 0, user_set_key(p.receiver, TLS_RX, cipher, 0));
	KUNIT_ASSERT_EQ(test, 0, user_set_key(p.receiver, TLS_TX, cipher, 1));
	KUNIT_ASSERT_EQ(test, 0, user_set_key(p.sender, TLS_RX, cipher, 1));
	return p;
}

struct user_wire user_wire(struct kunit *test, const struct user_cipher *cipher)
{
	struct user_pair in = user_connect(test, USER_ROOMY, USER_ROOMY);
	struct user_pair out = user_connect(test, USER_ROOMY, USER_ROOMY);

	user_attach(test, in.sender);
	KUNIT_ASSERT_EQ(test, 0, user_set_key(in.sender, TLS_TX, cipher, 0));
	return (struct user_wire){
		.sender = in.sender,
		.tap = in.receiver,
		.feed = out.sender,
		.receiver = out.receiver,
	};
}

/* Take records from the wire, until they hold @text bytes and no more come. */
struct user_capture *user_capture(struct kunit *test,
				  const struct user_wire *wire,
				  const struct user_cipher *cipher, size_t text)
{
	struct user_capture *c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);
	size_t room = text + SZ_64K;
	unsigned int n;

	KUNIT_ASSERT_NOT_NULL(test, c);
	c->bytes = user_buffer(test, room);
	while (text) {
		u8 *at = c->bytes + c->len;
		u16 len;

		KUNIT_ASSERT_LT(test, c->records, ARRAY_SIZE(c->text));
		KUNIT_ASSERT_LT(test, c->len, room - SZ_32K);
		KUNIT_ASSERT_EQ(test, USER_HEADER,
				user_recv(wire->tap, at, USER_HEADER,
					  MSG_WAITALL));
		len = get_unaligned_be16(at + 3);
		KUNIT_ASSERT_LE(test, len, USER_RECORD + 256);
		KUNIT_ASSERT_EQ(test, len, user_recv(wire->tap,
						     at + USER_HEADER, len,
						     MSG_WAITALL));
		c->len += USER_HEADER + len;
		n = USER_HEADER + len - cipher->prepend - cipher->append;
		KUNIT_ASSERT_LE(test, n, text);
		text -= n;
		c->text[c->records] = n;
		c->end[c->records++] = c->len;
	}
	KUNIT_EXPECT_EQ(test, -EAGAIN, user_recv(wire->tap, &n, 1,
						 MSG_DONTWAIT));
	return c;
}

void user_feed(struct kunit *test, const struct user_wire *wire,
	       const u8 *bytes, size_t len)
{
	KUNIT_ASSERT_EQ(test, len, user_send(wire->feed, bytes, len, 0));
}

bool user_is_readable(struct socket *sock)
{
	return READ_ONCE(sock->ops)->poll(NULL, sock, NULL) & EPOLLIN;
}

bool user_has_queued(struct socket *sock, size_t len)
{
	const struct tcp_sock *tp = tcp_sk(sock->sk);

	return READ_ONCE(tp->rcv_nxt) - READ_ONCE(tp->copied_seq) >= len;
}

/* ---- plain uses ---- */

int user_send(struct socket *sock, const void *data, size_t len, int flags)
{
	struct kvec vec = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr msg = { .msg_flags = flags };

	return kernel_sendmsg(sock, &msg, &vec, 1, len);
}

int user_send_record(struct socket *sock, u8 type, const void *data, size_t len)
{
	union {
		struct cmsghdr head;
		u8 room[CMSG_SPACE(sizeof(u8))];
	} control = {
		.head.cmsg_level = SOL_TLS,
		.head.cmsg_type = TLS_SET_RECORD_TYPE,
		.head.cmsg_len = CMSG_LEN(sizeof(u8)),
	};
	struct kvec vec = { .iov_base = (void *)data, .iov_len = len };
	struct msghdr msg = {
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	*(u8 *)CMSG_DATA(&control.head) = type;
	return kernel_sendmsg(sock, &msg, &vec, 1, len);
}

int user_recv(struct socket *sock, void *to, size_t len, int flags)
{
	struct kvec vec = { .iov_base = to, .iov_len = len };
	struct msghdr msg = {};

	return kernel_recvmsg(sock, &msg, &vec, 1, len, flags);
}

int user_recv_type(struct socket *sock, void *to, size_t len, int flags,
		   u8 *type)
{
	union {
		struct cmsghdr head;
		u8 room[CMSG_SPACE(sizeof(u8))];
	} control = {};
	struct kvec vec = { .iov_base = to, .iov_len = len };
	struct msghdr msg = {
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int ret;

	ret = kernel_recvmsg(sock, &msg, &vec, 1, len, flags);
	*type = tls_get_record_type(sock->sk, &control.head);
	return ret;
}

void user_send_stream(struct kunit *test, struct socket *sock, size_t len,
		      size_t at)
{
	u8 *data = kvmalloc(len, GFP_KERNEL);
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, data);
	user_fill(data, len, at);
	ret = user_send(sock, data, len, 0);
	kvfree(data);
	KUNIT_ASSERT_EQ(test, len, ret);
}

void user_expect_stream(struct kunit *test, struct socket *sock, size_t len,
			size_t at)
{
	u8 *data = kvmalloc(len, GFP_KERNEL);
	bool same = false;
	int ret;

	KUNIT_ASSERT_NOT_NULL(test, data);
	ret = user_recv(sock, data, len, MSG_WAITALL);
	if (ret == len)
		same = user_same(data, len, at);
	kvfree(data);
	KUNIT_ASSERT_EQ(test, len, ret);
	KUNIT_ASSERT_TRUE(test, same);
}

void user_expect_eof(struct kunit *test, struct socket *sock)
{
	u8 byte;

	KUNIT_EXPECT_EQ(test, 0, user_recv(sock, &byte, 1, 0));
}

/* ---- callbacks ---- */

static void wake_user(struct user_callbacks *user)
{
	if (user->work.func)
		queue_work(system_unbound_wq, &user->work);
}

static void user_data_ready(struct sock *sk)
{
	struct user_callbacks *user;

	read_lock_bh(&sk->sk_callback_lock);
	user = sk->sk_user_data;
	if (user) {
		atomic_inc(&user->readied);
		if (!user->deaf)
			user->data_ready(sk);
		wake_user(user);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

static void user_write_space(struct sock *sk)
{
	struct user_callbacks *user;

	read_lock_bh(&sk->sk_callback_lock);
	user = sk->sk_user_data;
	if (user && sk_stream_is_writeable(sk)) {
		clear_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
		atomic_inc(&user->spaced);
		if (!user->deaf)
			user->write_space(sk);
		wake_user(user);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

static void user_state_change(struct sock *sk)
{
	struct user_callbacks *user;

	read_lock_bh(&sk->sk_callback_lock);
	user = sk->sk_user_data;
	if (user) {
		atomic_inc(&user->changed);
		if (!user->deaf)
			user->state_change(sk);
		wake_user(user);
	}
	read_unlock_bh(&sk->sk_callback_lock);
}

/* Whatever became of the socket: its callbacks find nobody any more. */
static void leave_action(void *data)
{
	struct user_callbacks *user = data;
	struct sock *sk = user->sk;

	write_lock_bh(&sk->sk_callback_lock);
	if (sk->sk_user_data == user)
		sk->sk_user_data = NULL;
	write_unlock_bh(&sk->sk_callback_lock);
	if (user->work.func)
		cancel_work_sync(&user->work);
	sock_put(sk);
}

struct user_callbacks *user_take_over(struct kunit *test, struct socket *sock,
				      work_func_t work)
{
	struct user_callbacks *user;
	struct sock *sk = sock->sk;

	user = kunit_kzalloc(test, sizeof(*user), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, user);
	user->sk = sk;
	sock_hold(sk);
	if (work)
		INIT_WORK(&user->work, work);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, leave_action,
							   user));
	write_lock_bh(&sk->sk_callback_lock);
	user->data_ready = sk->sk_data_ready;
	user->write_space = sk->sk_write_space;
	user->state_change = sk->sk_state_change;
	sk->sk_user_data = user;
	sk->sk_data_ready = user_data_ready;
	sk->sk_write_space = user_write_space;
	sk->sk_state_change = user_state_change;
	write_unlock_bh(&sk->sk_callback_lock);
	return user;
}

void user_give_back(struct user_callbacks *user)
{
	struct sock *sk = user->sk;

	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_data_ready = user->data_ready;
	sk->sk_write_space = user->write_space;
	sk->sk_state_change = user->state_change;
	sk->sk_user_data = NULL;
	write_unlock_bh(&sk->sk_callback_lock);
}

/* ---- read_sock() ---- */

static int actor(read_descriptor_t *desc, struct sk_buff *skb,
		 unsigned int offset, size_t len)
{
	struct user_reader *reader = desc->arg.data;
	size_t n = min(len, reader->chunk);
	int err;

	reader->calls++;
	if (reader->error && reader->calls >= reader->error_at)
		return reader->error;
	n = min(n, reader->limit - reader->got);
	err = skb_copy_bits(skb, offset, reader->to + reader->got, n);
	if (err)
		return err;
	reader->got += n;
	if (reader->got == reader->limit)
		desc->count = 0;
	return n;
}

struct user_reader *user_reader(struct kunit *test, size_t room)
{
	struct user_reader *reader;

	reader = kunit_kzalloc(test, sizeof(*reader), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, reader);
	reader->to = user_buffer(test, room);
	reader->chunk = room;
	reader->limit = room;
	return reader;
}

int user_read_sock(struct socket *sock, struct user_reader *reader)
{
	read_descriptor_t desc = { .arg.data = reader, .count = 1 };
	int ret;

	lock_sock(sock->sk);
	ret = READ_ONCE(sock->ops)->read_sock(sock->sk, &desc, actor);
	reader->desc_error = desc.error;
	release_sock(sock->sk);
	return ret;
}

/* Is it over, with all of it or with an error? */
static bool read_more(struct socket *sock, struct user_reader *reader,
		      size_t total, int *err)
{
	int ret = user_read_sock(sock, reader);

	if (reader->got >= total)
		return true;
	*err = ret == -EAGAIN ? 0 : min(ret, 0);
	return *err;
}

int user_read_all(struct socket *sock, struct user_reader *reader, size_t total)
{
	int err = 0;

	if (!user_eventually(read_more(sock, reader, total, &err)))
		return -ETIMEDOUT;
	return err;
}

/* ---- the module ---- */

static int __init user_init(void)
{
	struct rnd_state rnd;

	prandom_seed_state(&rnd, 8446);
	prandom_bytes_state(&rnd, pattern, sizeof(pattern));
	return 0;
}

static void __exit user_exit(void)
{
}

module_init(user_init);
module_exit(user_exit);

MODULE_DESCRIPTION("KUnit tests of TLS sockets as the kernel's users have them");
MODULE_LICENSE("GPL");
