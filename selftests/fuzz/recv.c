// SPDX-License-Identifier: GPL-2.0
/*
 * Operations that receive.
 */

#include <sys/mman.h>

#include "fuzz.h"

#if __has_include(<liburing.h>)
#include <liburing.h>
#define HAVE_URING 1
#endif

static unsigned char text[2 * MAX_LEN];

/* What this side receives is what the other sends. */
static struct dir *incoming(int side)
{
	return &dir[!side];
}

static int type_of(struct msghdr *msg)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);

	if (!cmsg)
		return -1;
	if (cmsg->cmsg_level != SOL_TLS ||
	    cmsg->cmsg_type != TLS_GET_RECORD_TYPE ||
	    cmsg->cmsg_len != CMSG_LEN(1))
		fail("a strange control message came");
	return *CMSG_DATA(cmsg);
}

/* One call of recvmsg(), checked. */
ssize_t take(int side, void *buf, size_t len, bool control, int flags,
	     const struct how *how)
{
	char room[CMSG_SPACE(1)] = {};
	struct iovec iov = { buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct how h = *how;
	ssize_t ret;
	int err;

	if (control) {
		msg.msg_control = room;
		msg.msg_controllen = sizeof(room);
	}
	h.control = control;
	ret = recvmsg(end[side].fd, &msg, flags);
	err = errno;
	model_received(incoming(side), ret, err,
		       control && ret > 0 ? type_of(&msg) : -1, buf, len, &h);
	errno = err;
	return ret;
}

static void how_of(struct how *how, int side, int flags)
{
	*how = (struct how){
		.nonblock = flags & MSG_DONTWAIT || end[side].rcvtimeo,
		.guarded = !(flags & MSG_DONTWAIT),
		.peek = flags & MSG_PEEK,
	};
}

static int recv_flags(uint32_t r)
{
	return r % 4 ? MSG_DONTWAIT : 0;
}

/* Peek, several times: the same bytes, and the next call takes them. */
static void receive_peek(int side, const struct op *op, struct how *how)
{
	int flags = recv_flags(op->b) | MSG_PEEK;
	ssize_t n, again;

	how->peek = true;
	n = take(side, text, op->a, true, flags, how);
	if (n <= 0)
		return;
	/* What was there is there, if the first did not look too far. */
	how->nonblock = true;
	again = take(side, text, n, true, flags | MSG_DONTWAIT, how);
	if (again != n && (again >= 0 || errno != EINTR))
		fail("peek shows %zd bytes, then %zd", n, again);
	how->peek = false;
	how->announced = true;
	if (op->c % 2)
		take(side, text, op->c / 2 % n + 1, true, MSG_DONTWAIT, how);
}

static void receive_pieces(int side, const struct op *op, struct how *how,
			   int flags)
{
	struct iovec iov[20];
	ssize_t ret;
	int n = pieces(iov, 20, text, op->a, op->b);

	if (flags & MSG_DONTWAIT) {
		struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };

		ret = recvmsg(end[side].fd, &msg, flags);
	} else {
		ret = readv(end[side].fd, iov, n);
	}
	model_received(incoming(side), ret, errno, -1, text, op->a, how);
}

/* A buffer whose end cannot be written. */
static void receive_unwritable(int side, const struct op *op, struct how *how,
			       int flags)
{
	size_t page = 4096, good = op->c % 9000, room = 3 * page;
	unsigned char *mem = mmap(NULL, room + page, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (op->c % 5 == 0)
		good = 0;
	mprotect(mem + room, page, PROT_NONE);
	how->unwritable = true;
	/* What was handed over is known only from the count. */
	take(side, mem + room - good, good + 1 + op->b % page, true, flags,
	     how);
	munmap(mem, room + page);
}

/* Splice into a pipe; @tee: look at it twice on the way. */
static void receive_pipe(int side, const struct op *op, struct how *how,
			 bool twice)
{
	static unsigned char copy[MAX_LEN];
	size_t n = 0, m;
	int p[2], q[2];
	ssize_t ret;

	if (pipe2(p, O_NONBLOCK) || pipe2(q, O_NONBLOCK))
		fail("no pipe");
	if (op->b & 64)
		fcntl(p[1], F_SETPIPE_SZ, 4096);
	how->splice = true;
	/* A pipe that is full ends the call early. */
	ret = splice(end[side].fd, NULL, p[1], NULL, op->a,
		     op->b % 3 ? SPLICE_F_NONBLOCK : 0);
	how->nonblock = true;
	if (ret <= 0) {
		model_received(incoming(side), ret, errno, -1, text, op->a,
			       how);
		goto out;
	}
	if (twice) {
		ssize_t teed = tee(p[0], q[1], ret, SPLICE_F_NONBLOCK);

		if (teed <= 0)
			fail("tee gives %zd", teed);
		for (m = 0; m < (size_t)teed; m += n) {
			n = read(q[0], copy + m, teed - m);
			if ((ssize_t)n <= 0)
				fail("the second pipe gives %zd", (ssize_t)n);
		}
		n = 0;
		twice = teed;
	}
	while (n < (size_t)ret) {
		ssize_t got = read(p[0], text + n, ret - n);

		if (got <= 0)
			fail("the pipe gives %zd of %zd bytes", got, ret - n);
		n += got;
	}
	if (twice && memcmp(copy, text, m))
		fail("the two pipes differ");
	if (n > op->a)
		fail("%zu bytes spliced, not %u", n, op->a);
	model_received(incoming(side), ret, 0, -1, text, op->a, how);
out:
	close(p[0]);
	close(p[1]);
	close(q[0]);
	close(q[1]);
}

static void receive_many(int side, const struct op *op, struct how *how)
{
	char room[4][CMSG_SPACE(1)] = {};
	struct mmsghdr m[4] = {};
	struct iovec iov[4];
	size_t len = op->a / 4 + 1;
	int i, n;

	for (i = 0; i < 4; i++) {
		iov[i] = (struct iovec){ text + i * len, len };
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
		m[i].msg_hdr.msg_control = room[i];
		m[i].msg_hdr.msg_controllen = sizeof(room[i]);
	}
	n = recvmmsg(end[side].fd, m, 4, MSG_DONTWAIT, NULL);
	how->control = true;
	how->nonblock = true;
	how->socket_error = true;
	if (n < 0)
		model_received(incoming(side), -1, errno, -1, text, len, how);
	for (i = 0; i < n; i++)
		model_received(incoming(side), m[i].msg_len, 0,
			       m[i].msg_len ? type_of(&m[i].msg_hdr) : -1,
			       text + i * len, len, how);
	/* The error that ended it stays with the socket, for the next call. */
	if (n > 0 && n < 4) {
		socklen_t size = sizeof(i);

		if (!getsockopt(end[side].fd, SOL_SOCKET, SO_ERROR, &i,
				&size) && i)
			model_received(incoming(side), -1, i, -1, text, len,
				       how);
	}
}

static void receive_uring(int side, const struct op *op, struct how *how)
{
#ifdef HAVE_URING
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	int ret;

	if (io_uring_queue_init(4, &ring, 0))
		return;
	guard(false);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_recv(sqe, end[side].fd, text, op->a, MSG_DONTWAIT);
	io_uring_submit(&ring);
	while ((ret = io_uring_wait_cqe(&ring, &cqe)) == -EINTR)
		;
	if (ret)
		fail("io_uring gives %d", ret);
	how->nonblock = true;
	ret = cqe->res;
	model_received(incoming(side), ret < 0 ? -1 : ret, -ret, -1, text,
		       op->a, how);
	io_uring_queue_exit(&ring);
#endif
}

/* Another process receives, and tells us through shared memory. */
static void receive_forked(int side, const struct op *op, struct how *how)
{
	unsigned char *mem = mmap(NULL, MAX_LEN + 8, PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int *answer = (void *)(mem + MAX_LEN);
	pid_t pid = fork();

	if (!pid) {
		answer[0] = recv(end[side].fd, mem, op->a, MSG_DONTWAIT);
		answer[1] = errno;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	how->nonblock = true;
	model_received(incoming(side), answer[0], answer[1], -1, mem, op->a,
		       how);
	munmap(mem, MAX_LEN + 8);
}

/* The next key for what this side receives. */
void new_rx_key(const struct sequence *s, int side)
{
	struct dir *d = incoming(side);

	if (put_key(s, side, !side, TLS_RX, d->rx_key + 1)) {
		if (d->lossy && errno == EBADMSG)
			return;
		fail("a new receiving key is refused: errno %d", errno);
	}
	d->rx_key++;
	d->expired = false;
	progress();
}

/*
 * Receive what must come, or all up to the end. Here nothing has to be
 * repeated by the caller: keys are installed, control records are read.
 */
void drain(const struct sequence *s, int side, bool to_end)
{
	struct dir *d = incoming(side);
	int patience = 50, silent = 0;

	while (to_end || !model_complete(d)) {
		struct how how = { .nonblock = true };
		uint32_t before = d->got;
		ssize_t n;
		int shown;

		if (s->user_peer && !side)
			peer_push(s, 100000, UINT32_MAX);
		if (d->expired)
			new_rx_key(s, side);
		shown = poll_now(end[side].fd, POLLIN, 100);
		/* Records without data may be all that there is to read. */
		how.announced = shown & POLLIN && !d->empty && !d->no_read &&
				!d->lossy;
		n = take(side, text, sizeof(text), true, MSG_DONTWAIT, &how);
		if (n < 0 && errno == EKEYEXPIRED)
			continue;
		if (n < 0 && errno != EAGAIN)
			break;
		if (!n)
			break;
		/* A segment that resets a connection may be lost itself. */
		if (n < 0 && d->lossy && !--patience)
			break;
		silent = n > 0 && !(shown & POLLIN) ? silent + 1 : 0;
		if (silent > 5 && end[side].lowat <= 1)
			fail("records come and poll never says so");
		if (n > 0 && d->got == before)
			fail("nothing came in %zd bytes", n);
	}
	/* The error is final. */
	if (d->err && !d->lossy) {
		struct how how = { .nonblock = true };

		if (!(poll_now(end[side].fd, POLLIN, 0) & POLLERR))
			fail("poll does not show the error %d", d->err);
		take(side, text, 100, true, MSG_DONTWAIT, &how);
	}
}

/* Return: whether this operation is one that receives. */
bool op_receives(const struct sequence *s, const struct op *op)
{
	int side = op->side, fd = end[side].fd;
	int flags = recv_flags(op->b);
	struct dir *d = incoming(side);
	struct how how;
	ssize_t ret;

	if (op->kind < OP_recv || op->kind > OP_drain)
		return false;
	/* Ciphertext is not what the model knows. */
	if (end[side].closed || !d->keyed)
		return true;
	/* Most of the time, the key comes soon. */
	if (d->expired && op->c % 4)
		new_rx_key(s, side);
	how_of(&how, side, flags);
	guard(true);
	switch (op->kind) {
	case OP_recv:
		ret = recv(fd, text, op->a, flags);
		model_received(d, ret, errno, -1, text, op->a, &how);
		break;
	case OP_recvmsg:
		take(side, text, op->a, op->c & 1 || op->c & 16, flags, &how);
		break;
	case OP_readv:
		receive_pieces(side, op, &how, flags);
		break;
	case OP_peek:
		receive_peek(side, op, &how);
		break;
	case OP_waitall:
		flags |= MSG_WAITALL;
		take(side, text, op->a, true, flags, &how);
		break;
	case OP_unwritable:
		receive_unwritable(side, op, &how, flags);
		break;
	case OP_splice_from:
		receive_pipe(side, op, &how, false);
		break;
	case OP_tee:
		receive_pipe(side, op, &how, true);
		break;
	case OP_recvmmsg:
		receive_many(side, op, &how);
		break;
	case OP_uring_recv:
		receive_uring(side, op, &how);
		break;
	case OP_discard:
		how.discard = true;
		take(side, text, op->a, true, flags | MSG_TRUNC, &how);
		break;
	case OP_fork_recv:
		guard(false);
		receive_forked(side, op, &how);
		break;
	case OP_drain:
		guard(false);
		drain(s, side, false);
		break;
	}
	guard(false);
	return true;
}
