// SPDX-License-Identifier: GPL-2.0
/*
 * Operations that send.
 */

#include <sys/mman.h>
#include <sys/uio.h>

#include "fuzz.h"

#if __has_include(<liburing.h>)
#include <liburing.h>
#define HAVE_URING 1
#endif

static unsigned char text[MAX_LEN];

/* Types of records that are not data; TLS 1.3 looks into handshake messages. */
static uint8_t other_type(const struct sequence *s, uint32_t r)
{
	static const uint8_t types[] = { 20, 21, 24, 100, 255, 22 };

	/* The simulated device encrypts what TLS itself has, and no other. */
	if (s->net == NET_NIC)
		r %= 2;
	/* Nor does wire.h know more of TLS 1.2, which shows them. */
	if (s->user_peer)
		r %= 3;
	return types[r % (s->version == TLS_1_2_VERSION ? 6 : 5)];
}

/* What the call that sent has answered. */
static void sent(int side, ssize_t ret, size_t len, uint8_t type, int flags,
		 bool sure)
{
	struct dir *d = &dir[side];
	int err = errno;

	if (ret < 0) {
		model_send_failed(d, err, flags & MSG_DONTWAIT ||
				  end[side].sndtimeo, !(flags & MSG_DONTWAIT));
		return;
	}
	if ((size_t)ret > len)
		fail("%zd bytes of %zu were taken", ret, len);
	if (!ret && len)
		fail("none of %zu bytes were taken, and no error", len);
	if (ret && d->ended)
		fail("%zd bytes were taken after the end", ret);
	model_sent(d, type, ret, flags & MSG_MORE, sure);
}

static int send_flags(uint32_t r)
{
	int flags = MSG_NOSIGNAL;

	if (r % 3)
		flags |= MSG_DONTWAIT;
	switch (r >> 4 & 7) {
	case 0 ... 1:
		flags |= MSG_MORE;
		break;
	case 2:
		flags |= MSG_EOR;
		break;
	}
	return flags;
}

/* Cut @len bytes from @buf into odd pieces; some are empty. */
int pieces(struct iovec *iov, int max, void *buf, size_t len, uint64_t r)
{
	int n = 0;

	while (len && n < max - 1) {
		size_t part = rnd(&r) % 5 ? rnd(&r) % (len + 1) :
					    rnd(&r) % 3;

		if (part > len)
			part = len;
		iov[n++] = (struct iovec){ buf, part };
		buf = (char *)buf + part;
		len -= part;
	}
	iov[n++] = (struct iovec){ buf, len };
	return n;
}

static ssize_t send_pieces(int fd, const struct op *op, int type, size_t len,
			   int flags)
{
	char control[CMSG_SPACE(1)] = {};
	struct iovec iov[20];
	struct msghdr msg = { .msg_iov = iov };
	struct cmsghdr *cmsg;

	msg.msg_iovlen = pieces(iov, 2 + op->c % 18, text, len, op->b);
	if (type >= 0) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_TLS;
		cmsg->cmsg_type = TLS_SET_RECORD_TYPE;
		cmsg->cmsg_len = CMSG_LEN(1);
		*CMSG_DATA(cmsg) = type;
	}
	return sendmsg(fd, &msg, flags);
}

static void sendmmsg_some(int side, const struct op *op, int flags)
{
	struct mmsghdr m[4] = {};
	struct iovec iov[4];
	int i, n = 1 + op->b % 4, ret;
	size_t len = op->a / n, at = 0;

	if (!len)
		return;
	for (i = 0; i < n; i++, at += len) {
		iov[i] = (struct iovec){ text + at, len };
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	ret = sendmmsg(end[side].fd, m, n, flags);
	if (ret < 0)
		sent(side, ret, len, TYPE_DATA, flags, true);
	for (i = 0; i < ret; i++)
		sent(side, m[i].msg_len, len, TYPE_DATA, flags, true);
}

static int file(size_t before, size_t len)
{
	int fd = memfd_create("fuzz", 0);

	if (fd < 0 || ftruncate(fd, before) ||
	    pwrite(fd, text, len, before) != (ssize_t)len)
		fail("no file: errno %d", errno);
	return fd;
}

static void send_file(int side, const struct op *op)
{
	off_t at = op->c % 5000;
	int fd = file(at, op->a);
	ssize_t ret = sendfile(end[side].fd, fd, &at, op->a + op->b % 2 * 99);

	/* Its end is the end of the last record. */
	sent(side, ret, op->a, TYPE_DATA, 0, ret == op->a);
	close(fd);
}

/* Bytes go into a pipe, copied or not, and from there to the socket. */
static void send_pipe(int side, const struct op *op, bool gift)
{
	bool more = op->b % 4 == 0, dontwait = op->b & 16;
	unsigned char *mem = NULL;
	size_t len = op->a;
	struct iovec iov;
	ssize_t in, ret;
	int p[2];

	if (pipe2(p, O_NONBLOCK))
		fail("no pipe");
	if (gift) {
		/* TCP may look at these pages for a while. */
		mem = mmap(NULL, MAX_LEN, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memcpy(mem, text, len);
		iov = (struct iovec){ mem, len };
		in = vmsplice(p[1], &iov, 1, 0);
	} else {
		size_t first = op->c % (len + 1);

		/* Two writes are two pieces. */
		in = first ? write(p[1], text, first) : 0;
		if (in == (ssize_t)first && first < len) {
			ret = write(p[1], text + first, len - first);
			in += ret > 0 ? ret : 0;
		}
	}
	if (in <= 0)
		fail("a pipe takes %zd", in);
	ret = splice(p[0], NULL, end[side].fd, NULL, in,
		     (more ? SPLICE_F_MORE : 0) |
		     (dontwait ? SPLICE_F_NONBLOCK : 0));
	sent(side, ret, in, TYPE_DATA, more ? MSG_MORE : 0, ret == in);
	close(p[0]);
	close(p[1]);
	if (mem)
		munmap(mem, MAX_LEN);
}

static void send_uring(int side, const struct op *op, int flags)
{
#ifdef HAVE_URING
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	int ret;

	if (io_uring_queue_init(4, &ring, 0))
		return;
	guard(false);
	flags |= MSG_DONTWAIT;
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_send(sqe, end[side].fd, text, op->a, flags);
	io_uring_submit(&ring);
	while ((ret = io_uring_wait_cqe(&ring, &cqe)) == -EINTR)
		;
	if (ret)
		fail("io_uring gives %d", ret);
	ret = cqe->res;
	if (ret < 0) {
		errno = -ret;
		ret = -1;
	}
	sent(side, ret, op->a, TYPE_DATA, flags, true);
	io_uring_queue_exit(&ring);
#endif
}

/* A buffer whose end cannot be read. */
static void send_unreadable(int side, const struct op *op, int flags)
{
	size_t page = 4096, good = op->c % 9000, room = 3 * page;
	unsigned char *mem = mmap(NULL, room + page, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ssize_t ret;

	mprotect(mem + room, page, PROT_NONE);
	memcpy(mem + room - good, text, good);
	ret = send(end[side].fd, mem + room - good, good + 1 + op->b % page,
		   flags);
	if (ret < 0 && errno == EFAULT)
		/* What is read in place is not read in parts. */
		progress();
	else
		sent(side, ret, good, TYPE_DATA, flags, false);
	munmap(mem, room + page);
}

/* What is refused takes nothing. */
static void send_wrong(int side, const struct op *op)
{
	static const struct {
		int flags, err;
	} wrong[] = {
		{ MSG_OOB, EOPNOTSUPP },
		{ MSG_MORE | MSG_EOR, EINVAL },
		{ MSG_CONFIRM, EOPNOTSUPP },
		{ MSG_DONTROUTE, EOPNOTSUPP },
		{ MSG_FASTOPEN, EOPNOTSUPP },
		{ 0, EINVAL }, { 0, EINVAL }, { MSG_MORE, EINVAL },
	};
	char control[CMSG_SPACE(4)] = {};
	struct iovec iov = { text, op->a };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = CMSG_SPACE(1) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	unsigned int i = op->b % ARRAY_SIZE(wrong);
	ssize_t ret;

	cmsg->cmsg_level = SOL_TLS;
	cmsg->cmsg_type = TLS_SET_RECORD_TYPE;
	cmsg->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(cmsg) = 21;
	if (i < 5)
		msg.msg_controllen = 0;
	else if (i == 5)
		cmsg->cmsg_type = 77;
	else if (i == 6)
		cmsg->cmsg_len = CMSG_LEN(0);
	ret = sendmsg(end[side].fd, &msg, wrong[i].flags | MSG_DONTWAIT |
		      MSG_NOSIGNAL);
	if (ret >= 0)
		fail("wrong call %u is accepted: %zd", i, ret);
	if (errno != wrong[i].err && !dir[side].lossy &&
	    !(errno == EPIPE && dir[side].ended))
		fail("wrong call %u: errno %d, not %d", i, errno, wrong[i].err);
}

/* Another process sends on the socket. */
static void send_forked(int side, const struct op *op)
{
	int flags = MSG_NOSIGNAL | MSG_DONTWAIT, p[2], answer[2] = {};
	pid_t pid;

	if (pipe(p))
		fail("no pipe");
	pid = fork();
	if (!pid) {
		answer[0] = send(end[side].fd, text, op->a, flags);
		answer[1] = errno;
		_exit(write(p[1], answer, sizeof(answer)) < 0);
	}
	waitpid(pid, NULL, 0);
	if (read(p[0], answer, sizeof(answer)) != sizeof(answer))
		fail("the other process died");
	close(p[0]);
	close(p[1]);
	errno = answer[1];
	sent(side, answer[0], op->a, TYPE_DATA, flags, true);
}

/* Return: whether this operation is one that sends. */
bool op_sends(const struct sequence *s, const struct op *op)
{
	int side = op->side, fd = end[side].fd;
	int flags = send_flags(op->b);
	struct iovec iov[20];
	struct dir *d = &dir[side];
	ssize_t ret;

	if (op->kind > OP_fork_send)
		return false;
	if (end[side].closed)
		return true;
	number(text, op->kind == OP_unreadable ? 9000 : op->a, d->sent);
	guard(true);
	switch (op->kind) {
	case OP_send:
		sent(side, send(fd, text, op->a, flags), op->a, TYPE_DATA,
		     flags, true);
		break;
	case OP_writev:
		ret = writev(fd, iov, pieces(iov, 20, text, op->a, op->b));
		sent(side, ret, op->a, TYPE_DATA, 0, true);
		break;
	case OP_sendmmsg:
		sendmmsg_some(side, op, flags);
		break;
	case OP_control:
		flags &= ~MSG_MORE;
		ret = send_pieces(fd, op, other_type(s, op->c), op->a, flags);
		sent(side, ret, op->a, other_type(s, op->c), flags, true);
		break;
	case OP_sendfile:
		send_file(side, op);
		break;
	case OP_splice_to:
		send_pipe(side, op, false);
		break;
	case OP_vmsplice:
		send_pipe(side, op, true);
		break;
	case OP_uring_send:
		send_uring(side, op, flags);
		break;
	case OP_unreadable:
		send_unreadable(side, op, flags);
		break;
	case OP_wrong_send:
		send_wrong(side, op);
		break;
	case OP_fork_send:
		guard(false);
		send_forked(side, op);
		break;
	}
	guard(false);
	return true;
}
