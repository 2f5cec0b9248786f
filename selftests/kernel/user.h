/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KUnit: those inside the kernel who use TLS sockets, as NFS and NVMe over TCP
 * do. What the suites share: connections over loopback, keys, a known stream
 * of bytes, and records that are stopped on their way.
 *
 * Nothing here reaches into the TLS module: there are sockets, their
 * operations and their callbacks, and no more.
 */

#ifndef TLS_USER_H
#define TLS_USER_H

#include <kunit/test.h>
#include <linux/jiffies.h>
#include <linux/net.h>
#include <linux/sizes.h>
#include <linux/tls.h>
#include <linux/uio.h>
#include <linux/wait.h>
#include <net/handshake.h>
#include <net/sock.h>
#include <net/tls_prot.h>

/* The longest that anything may take, on the slowest machine. */
#define USER_PATIENCE		(60 * HZ)
/* Long enough for what should not happen, to happen. */
#define USER_MOMENT		(HZ / 5)
/* Buffers in which all of a test fits, and in which it does not. */
#define USER_ROOMY		SZ_4M
#define USER_TIGHT		SZ_64K
/* Checkers make the kernel slow. */
#define USER_SCALE		(IS_ENABLED(CONFIG_KASAN) ? 8 : 1)

/* Bytes of a header, and the most of plaintext, of a record. */
#define USER_HEADER		5
#define USER_RECORD		16384

/**
 * struct user_cipher - a cipher that the suites run over
 * @name: of the parameter
 * @version: TLS version
 * @type: TLS_CIPHER_*
 * @size: of its structure in the user ABI
 * @prepend: bytes of a record before its ciphertext
 * @append: bytes that the ciphertext is longer than the plaintext
 */
struct user_cipher {
	char name[32];
	u16 version;
	u16 type;
	u16 size;
	u8 prepend;
	u8 append;
};

extern const struct user_cipher user_ciphers[3];

#define USER_TLS_1_2		(&user_ciphers[0])
#define USER_TLS_1_3		(&user_ciphers[1])

/* A connection: what @sender sends, @receiver receives. */
struct user_pair {
	struct socket *sender;
	struct socket *receiver;
};

/*
 * A connection whose records are stopped on their way: @sender and @receiver
 * have keys, the two sockets between them see only bytes.
 */
struct user_wire {
	struct socket *sender;
	struct socket *tap;
	struct socket *feed;
	struct socket *receiver;
};

/* What was taken from a wire. */
struct user_capture {
	u8 *bytes;
	size_t len;
	unsigned int records;
	u16 text[64];		/* bytes of plaintext of each record */
	size_t end[64];		/* where each ends in @bytes */
};

/* Connections. They, and what they hold, go when the test ends. */
struct user_pair user_connect(struct kunit *test, int sndbuf, int rcvbuf);
void user_attach(struct kunit *test, struct socket *sock);
int user_set_key(struct socket *sock, int direction,
		 const struct user_cipher *cipher, u8 generation);
struct user_pair user_open(struct kunit *test, const struct user_cipher *cipher,
			   int sndbuf, int rcvbuf);
struct user_wire user_wire(struct kunit *test,
			   const struct user_cipher *cipher);
struct user_capture *user_capture(struct kunit *test,
				  const struct user_wire *wire,
				  const struct user_cipher *cipher,
				  size_t text);
void user_feed(struct kunit *test, const struct user_wire *wire,
	       const u8 *bytes, size_t len);
void user_release(struct kunit *test, struct socket *sock);
/* Somebody else releases it. */
void user_forget(struct kunit *test, struct socket *sock);

/* Memory that goes when the test ends. */
u8 *user_buffer(struct kunit *test, size_t len);
u8 *user_vmalloc(struct kunit *test, size_t len);
struct page *user_page(struct kunit *test, unsigned int order);

/* The stream: its byte number @at and those that follow. */
void user_fill(void *to, size_t len, size_t at);
bool user_same(const void *data, size_t len, size_t at);

/* Plain uses of a socket; they return what the socket says. */
int user_send(struct socket *sock, const void *data, size_t len, int flags);
int user_send_record(struct socket *sock, u8 type, const void *data,
		     size_t len);
int user_recv(struct socket *sock, void *to, size_t len, int flags);
int user_recv_type(struct socket *sock, void *to, size_t len, int flags,
		   u8 *type);

/* Send or expect bytes of the stream, all of them. */
void user_send_stream(struct kunit *test, struct socket *sock, size_t len,
		      size_t at);
void user_expect_stream(struct kunit *test, struct socket *sock, size_t len,
			size_t at);
void user_expect_eof(struct kunit *test, struct socket *sock);

/* poll() says so, asked as NFS does: with no table to wait on. */
bool user_is_readable(struct socket *sock);
/* TCP has this many bytes for the socket that nobody has read. */
bool user_has_queued(struct socket *sock, size_t len);

/**
 * user_eventually() - wait until a condition comes true
 * @condition: looked at every few milliseconds
 *
 * Return: whether it did.
 */
#define user_eventually(condition)					\
({									\
	unsigned long __end = jiffies + USER_PATIENCE;			\
	bool __true;							\
									\
	while (!(__true = (condition)) && time_before(jiffies, __end))	\
		schedule_timeout_uninterruptible(1);			\
	__true;								\
})

/**
 * struct user_callbacks - who uses a socket: its callbacks, replaced
 * @sk: the socket
 * @data_ready: what the user found, and calls through unless @deaf
 * @write_space: the same
 * @state_change: the same
 * @deaf: the user does not call through
 * @readied: times that data_ready was called
 * @spaced: times that write_space was called
 * @changed: times that state_change was called
 * @work: queued by each of the three, if its function is set
 */
struct user_callbacks {
	struct sock *sk;
	void (*data_ready)(struct sock *sk);
	void (*write_space)(struct sock *sk);
	void (*state_change)(struct sock *sk);
	bool deaf;
	atomic_t readied;
	atomic_t spaced;
	atomic_t changed;
	struct work_struct work;
};

struct user_callbacks *user_take_over(struct kunit *test, struct socket *sock,
				      work_func_t work);
void user_give_back(struct user_callbacks *user);

/**
 * struct user_reader - what the actor of read_sock() does
 * @to: where to; the actor compares nothing
 * @got: bytes that it has taken
 * @calls: times that it was called
 * @chunk: the most that it takes of what it is offered; 0 is nothing
 * @limit: desc->count ends when it has this many bytes
 * @error: what it returns from call number @error_at on, if not 0
 * @error_at: counted from 1
 * @desc_error: what the last call has left in desc->error
 */
struct user_reader {
	u8 *to;
	size_t got;
	unsigned int calls;
	size_t chunk;
	size_t limit;
	int error;
	unsigned int error_at;
	int desc_error;
};

struct user_reader *user_reader(struct kunit *test, size_t room);
int user_read_sock(struct socket *sock, struct user_reader *reader);
/* Until @reader has @total bytes, or an error. */
int user_read_all(struct socket *sock, struct user_reader *reader,
		  size_t total);

#endif /* TLS_USER_H */
