/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A fuzzer that knows what must come out. A sequence of operations on one
 * connection is made from a seed and a number alone (gen.c); a model in user
 * space follows what each call took and gave (model.c), so every byte, content
 * type and error of the module is checked, not only that nothing crashes.
 *
 *	main.c		runs sequences, each in a process of its own; shrinks
 *	gen.c		makes and prints them
 *	model.c		what each direction of a connection owes
 *	net.c		networks, sockets, keys
 *	send.c, recv.c	operations that send and receive
 *	ops.c		all others, and the walk through a sequence
 *	peer.c		a peer in user space, which makes records by hand
 *	threads.c	several readers and writers at once
 */

#ifndef _FUZZ_H
#define _FUZZ_H

#include <sys/mman.h>
#include <sys/uio.h>

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#endif

#include "../tls_test.h"
#include "../wire.h"

#define MAX_OPS		120
#define MAX_RUNS	1000
#define MAX_LEN		60000	/* of one call */

/* Every kind of operation: name, how often, whose. */
#define OPS(OP)								\
	/* sending */							\
	OP(send, 22, BOTH)						\
	OP(writev, 8, BOTH)						\
	OP(sendmmsg, 4, BOTH)						\
	OP(control, 8, BOTH)						\
	OP(sendfile, 6, BOTH)						\
	OP(splice_to, 6, BOTH)						\
	OP(vmsplice, 4, BOTH)						\
	OP(uring_send, 4, BOTH)						\
	OP(unreadable, 4, BOTH)						\
	OP(wrong_send, 4, BOTH)						\
	OP(fork_send, 2, BOTH)						\
	/* receiving */							\
	OP(recv, 18, BOTH)						\
	OP(recvmsg, 22, BOTH)						\
	OP(readv, 6, BOTH)						\
	OP(peek, 8, BOTH)						\
	OP(waitall, 6, BOTH)						\
	OP(unwritable, 5, BOTH)						\
	OP(splice_from, 8, BOTH)					\
	OP(tee, 4, BOTH)						\
	OP(recvmmsg, 5, BOTH)						\
	OP(uring_recv, 4, BOTH)						\
	OP(discard, 2, BOTH)						\
	OP(fork_recv, 2, BOTH)						\
	OP(drain, 8, BOTH)						\
	/* the rest */							\
	OP(poll, 8, BOTH)						\
	OP(epoll, 4, BOTH)						\
	OP(option, 14, BOTH)						\
	OP(get_key, 4, BOTH)						\
	OP(wrong_key, 5, BOTH)						\
	OP(refused, 3, BOTH)						\
	OP(update, 6, BOTH)						\
	OP(pass_fd, 3, BOTH)						\
	OP(wait, 3, BOTH)						\
	OP(shutdown, 1, BOTH)						\
	OP(shutdown_read, 1, BOTH)					\
	OP(close, 1, BOTH)						\
	/* the peer that makes records by hand */			\
	OP(peer_data, 40, PEER)						\
	OP(peer_control, 10, PEER)					\
	OP(peer_empty, 5, PEER)						\
	OP(peer_update, 5, PEER)					\
	OP(peer_push, 20, PEER)						\
	OP(peer_read, 20, PEER)						\
	OP(peer_bad, 2, PEER)						\
	OP(peer_end, 1, PEER)						\
	OP(peer_reset, 1, PEER)

enum kind {
#define OP(name, often, whose) OP_##name,
	OPS(OP)
#undef OP
	NR_KINDS
};

/**
 * struct op - one operation; what its numbers mean depends on its kind
 */
struct op {
	uint8_t kind;
	uint8_t side;
	uint32_t a, b, c;
};

enum net { NET_LO, NET_VETH, NET_LOSSY, NET_SLOW, NET_NIC, NR_NETS };

/**
 * struct sequence - all that is decided before it begins
 * @user_peer: side 1 is plain TCP and makes its records itself
 * @threads: several readers and writers; @op is not used
 * @late: a direction's receiver gets its key only in the middle
 * @plain: bytes that pass before there are keys
 */
struct sequence {
	uint64_t seed;
	uint32_t nr;
	int net, family;
	uint16_t version, cipher;
	bool user_peer, threads;
	bool late[2];
	uint32_t plain[2];
	uint32_t sndbuf[2], rcvbuf[2];
	int nodelay;
	int n;
	struct op op[MAX_OPS];
	bool off[MAX_OPS];
};

/* What the process of a sequence tells who started it. */
struct shared {
	uint64_t progress;
	uint64_t done[NR_KINDS];
	uint64_t bytes;
	uint64_t threaded;
	unsigned int sequences;
	int at;
	char why[1000];
	char crowd[200];
	struct sequence s;
};

extern struct shared *shared;
extern bool slow;		/* the kernel checks everything */
extern bool have_nic;
extern bool verbose;

/* main.c */
double now(void);

/* gen.c */
uint32_t rnd(uint64_t *state);
void make_sequence(struct sequence *s, uint64_t seed, uint32_t nr);
void print_sequence(const struct sequence *s);
const char *kind_name(int kind);

/* model.c */

/* Bytes that one call sent; or one record, when the peer makes them by hand. */
struct run {
	uint8_t type;
	bool update;
	uint32_t start, len;
};

/**
 * struct dir - what one direction of the connection owes
 * @run: all that was sent
 * @n: how many
 * @cur: the first that is not read whole
 * @off: what is read of it
 * @sent: bytes
 * @got: bytes
 * @due: bytes that must arrive without a further call
 * @open: MSG_MORE was the last
 * @tx_key: which key the sender has
 * @rx_key: which the receiver has
 * @keyed: the receiver has one at all
 * @expired: it has read a key update, and needs the next
 * @ended: the sender has ended the stream
 * @lossy: the connection may be reset: what was not read may be lost
 * @no_read: the receiver did shutdown(SHUT_RD)
 * @bad: after all runs something wrong comes: set of errors, see fault()
 * @err: the error that was told: it is final
 * @empty: the sender made records without data
 */
struct dir {
	struct run run[MAX_RUNS];
	int n, cur;
	uint32_t off;
	uint32_t sent, got, due;
	bool open;
	int tx_key, rx_key;
	bool keyed, expired, ended, lossy, no_read, empty;
	unsigned int bad;
	int err;
};

#define FAULT_EINVAL	1
#define FAULT_EMSGSIZE	2
#define FAULT_EBADMSG	4

/* How a call that received was made. */
struct how {
	bool nonblock;		/* EAGAIN is an answer */
	bool guarded;		/* EINTR is an answer */
	bool control;		/* there is room for the type */
	bool splice;
	bool peek;
	bool unwritable;
	bool announced;		/* poll has just said readable */
	bool discard;		/* no bytes are there to look at */
	bool socket_error;	/* that of the socket is told first */
};

void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *fmt, ...);
void model_sent(struct dir *d, uint8_t type, size_t n, bool more, bool sure);
void model_update(struct dir *d);
void model_bytes(const struct run *r, uint32_t off, void *buf, size_t n);
void model_got(struct dir *d, int type, const void *buf, size_t n,
	       const struct how *how);
void model_received(struct dir *d, ssize_t ret, int err, int type,
		    const void *buf, size_t len, const struct how *how);
void model_send_failed(struct dir *d, int err, bool nonblock, bool guarded);
bool model_complete(const struct dir *d);

/* net.c */
struct end {
	int fd;
	bool closed;
	int lowat;
	uint32_t rcvtimeo, sndtimeo;
};

extern struct end end[2];
extern struct dir dir[2];	/* dir[i] is what end[i] sends */

int make_nets(uint64_t seed);
int net_pair(const struct sequence *s, int *a, int *b);
int key_of(const struct sequence *s, int side, int update, union keys *k);
int put_key(const struct sequence *s, int at, int side, int direction,
	    int update);
void show_sockets(int net);

/* send.c, recv.c, ops.c */
int pieces(struct iovec *iov, int max, void *buf, size_t len, uint64_t r);
void guard(bool on);
bool op_sends(const struct sequence *s, const struct op *op);
bool op_receives(const struct sequence *s, const struct op *op);
bool op_others(const struct sequence *s, const struct op *op);
ssize_t take(int side, void *buf, size_t len, bool control, int flags,
	     const struct how *how);
void drain(const struct sequence *s, int side, bool to_end);
void new_rx_key(const struct sequence *s, int side);
void end_sending(const struct sequence *s, int side);
void run_ops(const struct sequence *s);

/* peer.c */
void peer_start(const struct sequence *s, int fd);
bool op_peer(const struct sequence *s, const struct op *op);
bool peer_read(const struct sequence *s, int most);
void peer_push(const struct sequence *s, uint32_t each, uint32_t most);
void peer_finish(const struct sequence *s);
bool peer_pending(void);

/* threads.c */
void run_threads(const struct sequence *s);

static inline void progress(void)
{
	__atomic_fetch_add(&shared->progress, 1, __ATOMIC_RELAXED);
}

#endif /* _FUZZ_H */
