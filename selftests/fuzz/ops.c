// SPDX-License-Identifier: GPL-2.0
/*
 * All that neither sends nor receives, and the way through a sequence.
 */

#include <sys/epoll.h>
#include <sys/mman.h>

#include "fuzz.h"

/* While on, no call sleeps long: signals end it. */
void guard(bool on)
{
	struct itimerval it = {};

	if (on) {
		it.it_value.tv_usec = 4000;
		it.it_interval.tv_usec = 3000;
	}
	setitimer(ITIMER_REAL, &it, NULL);
}

/* ---- poll ---- */

static void op_poll(const struct op *op)
{
	struct dir *in = &dir[!op->side], *out = &dir[op->side];
	int fd = end[op->side].fd;
	static unsigned char byte[2000];
	int shown = poll_now(fd, POLLIN | POLLOUT | POLLRDHUP, op->c % 3);

	if (in->err && !in->lossy &&
	    (shown & (POLLIN | POLLERR)) != (POLLIN | POLLERR))
		fail("poll shows %#x after an error", shown);
	if (in->expired && shown & POLLIN && !(shown & POLLRDHUP))
		fail("poll shows %#x after a key update", shown);
	if (shown & POLLIN && in->keyed && !in->empty) {
		struct how how = { .nonblock = true, .announced = true };

		take(op->side, byte, 1 + op->a % sizeof(byte), true,
		     MSG_DONTWAIT, &how);
	}
	if (shown & POLLOUT && !(shown & (POLLERR | POLLHUP))) {
		ssize_t n;

		number(byte, sizeof(byte), out->sent);
		n = send(fd, byte, 1 + op->b % sizeof(byte),
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0)
			model_sent(out, TYPE_DATA, n, false, true);
		else
			model_send_failed(out, errno, false, false);
	}
}

static void op_epoll(const struct op *op)
{
	int events = EPOLLIN | EPOLLOUT | EPOLLRDHUP;
	struct epoll_event e = { .events = events | (op->b & 1 ? EPOLLET : 0) };
	int ep = epoll_create1(0), fd = end[op->side].fd;
	int before, after, n;

	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e))
		fail("epoll does not take it: %d", errno);
	before = poll_now(fd, events, 0);
	n = epoll_wait(ep, &e, 1, 0);
	after = poll_now(fd, events, 0);
	if (!n)
		e.events = 0;
	if (before == after && (int)e.events != before)
		fail("epoll shows %#x, poll %#x", e.events, before);
	close(ep);
}

/* ---- options ---- */

static void set_int(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)))
		fail("option %d of level %d is refused: errno %d", name, level,
		     errno);
}

static void set_tls(int fd, int name, const void *value, int len, int err)
{
	int ret = setsockopt(fd, SOL_TLS, name, value, len);

	if (ret ? errno != err : err)
		fail("TLS option %d, %d bytes, gives %d, not %d", name, len,
		     ret ? errno : 0, err);
}

static uint32_t set_timeout(int fd, int name, uint32_t r)
{
	uint32_t ms = r % 3 ? 1 + r % 30 : 0;
	struct timeval tv = { .tv_usec = ms * 1000 };

	if (setsockopt(fd, SOL_SOCKET, name, &tv, sizeof(tv)))
		fail("no time-out: errno %d", errno);
	return ms;
}

static void op_max_payload(int side, uint32_t r, const struct sequence *s)
{
	int least = s->version == TLS_1_2_VERSION ? 64 : 63;
	uint16_t value = r % 3 ? least + r % 2000 : r % 16640, got = 0;
	bool right = value >= least && value <= RECORD_MAX;
	socklen_t len = sizeof(got);
	int fd = end[side].fd;

	if (!setsockopt(fd, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &value, 2)) {
		if (!right)
			fail("a limit of %d is accepted", value);
		if (getsockopt(fd, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &got,
			       &len) || got != value)
			fail("the limit is %d, not %d", got, value);
	} else if (errno == EBUSY ? !dir[side].open || !right :
				    errno != EINVAL || right) {
		fail("a limit of %d gives errno %d", value, errno);
	}
}

static void op_option(const struct sequence *s, const struct op *op)
{
	struct end *e = &end[op->side];
	int v = op->c % 3, fd = e->fd;
	bool can;

	switch (op->b % 15) {
	case 0:
		set_int(fd, SOL_SOCKET, SO_SNDBUF, op->a);
		break;
	case 1:
		set_int(fd, SOL_SOCKET, SO_RCVBUF, op->a);
		break;
	case 2:
		e->lowat = op->c % 2 ? 1 + op->a % 3000 : 1;
		set_int(fd, SOL_SOCKET, SO_RCVLOWAT, e->lowat);
		break;
	case 3:
		set_int(fd, IPPROTO_TCP, TCP_NODELAY, v > 0);
		break;
	case 4:
		set_int(fd, IPPROTO_TCP, TCP_CORK, v > 0);
		break;
	case 5:
		set_int(fd, IPPROTO_TCP, TCP_MAXSEG, 500 + op->a % 900);
		break;
	case 6:
		e->rcvtimeo = set_timeout(fd, SO_RCVTIMEO, op->c);
		break;
	case 7:
		e->sndtimeo = set_timeout(fd, SO_SNDTIMEO, op->c);
		break;
	case 8 ... 10:
		op_max_payload(op->side, op->c, s);
		break;
	case 11:
		set_tls(fd, TLS_TX_ZEROCOPY_RO, &v, 4, v < 2 ? 0 : EINVAL);
		break;
	case 12:
		can = s->version == TLS_1_3_VERSION && dir[!op->side].keyed;
		set_tls(fd, TLS_RX_EXPECT_NO_PAD, &v, 4,
			can && v < 2 ? 0 : EINVAL);
		break;
	case 13:
		set_tls(fd, 50 + op->c % 100, &v, 4, ENOPROTOOPT);
		break;
	default:
		set_tls(fd, TLS_TX_ZEROCOPY_RO, &v, op->c % 4, EINVAL);
	}
}

/* ---- keys ---- */

static void op_get_key(const struct sequence *s, const struct op *op)
{
	bool tx = op->b & 1;
	const struct dir *d = &dir[tx ? op->side : !op->side];
	int name = tx ? TLS_TX : TLS_RX;
	int fd = end[op->side].fd;
	union keys got = {}, due;
	socklen_t len = key_of(s, tx ? op->side : !op->side,
			       tx ? d->tx_key : d->rx_key, &due);
	size_t iv = keys_len(s->cipher) == 40 ||
		    s->cipher != TLS_CIPHER_CHACHA20_POLY1305 ? 8 : 12;
	size_t at = sizeof(due.info) + iv;
	int ret = getsockopt(fd, SOL_TLS, name, &got, &len);

	if (!tx && !d->keyed) {
		if (!ret || errno != EBUSY)
			fail("there is no key, and errno %d", ret ? errno : 0);
		return;
	}
	if (ret)
		fail("the key is not told: errno %d", errno);
	/* The number of the next record, and a nonce that counts, move. */
	if (memcmp(&got.info, &due.info, sizeof(got.info)) ||
	    memcmp(got.bytes + at, due.bytes + at, len - 8 - at))
		fail("another key is told");
	len = 1 + op->c % 39;
	if (len == 4 || len == keys_len(s->cipher))
		return;
	if (!getsockopt(fd, SOL_TLS, name, &got, &len) || errno != EINVAL)
		fail("a key of %d bytes is told", len);
}

static void op_wrong_key(const struct sequence *s, const struct op *op)
{
	bool tx = op->b & 1;
	int name = tx ? TLS_TX : TLS_RX, err = EINVAL, ret;
	const void *at;
	union keys k;
	int len = key_of(s, op->side, 77, &k);

	at = &k;
	switch (op->c % 7) {
	case 0:
		len -= 1 + op->a % len;
		break;
	case 1:
		k.info.version = op->a % 2 ? 0x0302 : 0x0305;
		break;
	case 2:
		k.info.cipher_type = op->a % 2 ? 50 : 59;
		break;
	case 3:
		k.info.version ^= TLS_1_2_VERSION ^ TLS_1_3_VERSION;
		break;
	case 4:
		k.info.cipher_type = s->cipher == TLS_CIPHER_AES_GCM_128 ?
				     TLS_CIPHER_AES_CCM_128 :
				     TLS_CIPHER_AES_GCM_128;
		len = keys_len(k.info.cipher_type);
		break;
	case 5:
		at = (void *)8;
		err = EFAULT;
		break;
	default:
		/* TLS 1.2 has no key update. */
		if (s->version != TLS_1_2_VERSION ||
		    (!tx && !dir[!op->side].keyed))
			return;
		err = EBUSY;
	}
	ret = setsockopt(end[op->side].fd, SOL_TLS, name, at, len);
	if (!ret || errno != err)
		fail("wrong key %d gives %d, not %d", op->c % 7,
		     ret ? errno : 0, err);
}

/* The sender goes on to its next key. */
static void op_update(const struct sequence *s, const struct op *op)
{
	struct dir *d = &dir[op->side];
	unsigned char message[5] = { 24, 0, 0, 1, 0 };
	ssize_t n;

	if (s->version != TLS_1_3_VERSION || d->ended)
		return;
	n = send_type(end[op->side].fd, TYPE_HANDSHAKE, message, 5,
		      MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0) {
		model_send_failed(d, errno, true, false);
		return;
	}
	if (n != 5)
		fail("%zd bytes of a key update were taken", n);
	model_update(d);
	if (put_key(s, op->side, op->side, TLS_TX, d->tx_key + 1))
		fail("a new sending key is refused: errno %d", errno);
	d->tx_key++;
}

/* ---- calls that are refused, and the descriptor's own life ---- */

static void op_refused(const struct op *op)
{
	struct sockaddr sa = { .sa_family = AF_UNSPEC };
	int fd = end[op->side].fd;

	if (!listen(fd, 1))
		fail("it listens");
	if (!connect(fd, &sa, sizeof(sa)) || errno != EOPNOTSUPP)
		fail("connect(AF_UNSPEC): errno %d", errno);
	if (!attach(fd) || errno != EEXIST)
		fail("attached again: errno %d", errno);
}

/* Another descriptor, which has been in a message meanwhile. */
static void op_pass_fd(const struct op *op)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, c = 0;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv))
		fail("no pair");
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &end[op->side].fd, sizeof(int));
	if (sendmsg(sv[0], &msg, 0) != 1)
		fail("a descriptor is not passed: errno %d", errno);
	close(end[op->side].fd);
	msg.msg_controllen = sizeof(control);
	if (recvmsg(sv[1], &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		fail("a descriptor does not come: errno %d", errno);
	memcpy(&end[op->side].fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	close(sv[0]);
	close(sv[1]);
}

/* TCP resets a connection that still sends to who has stopped reading. */
static void may_be_reset(void)
{
	dir[0].lossy = true;
	dir[1].lossy = true;
}

/* This side sends no more; what it has sent arrives, and then the end. */
void end_sending(const struct sequence *s, int side)
{
	struct dir *d = &dir[side];
	int ret;

	if (d->ended || end[side].closed)
		return;
	if (dir[!side].no_read)
		may_be_reset();
	do {
		ret = shutdown(end[side].fd, SHUT_WR);
	} while (ret && (errno == EAGAIN || errno == EINTR));
	if (ret && !d->lossy)
		fail("shutdown: errno %d", errno);
	d->ended = true;
	d->open = false;
	d->due = d->sent;
}

static void op_close(const struct sequence *s, const struct op *op)
{
	struct dir *in = &dir[!op->side], *out = &dir[op->side];
	struct linger l = { .l_onoff = op->c % 3 < 2, .l_linger = op->c % 3 };

	if (l.l_onoff && !l.l_linger)
		may_be_reset();
	if (in->got < in->sent || in->bad || !in->keyed || in->no_read ||
	    in->empty)
		may_be_reset();
	in->lossy = true;
	setsockopt(end[op->side].fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	guard(true);
	close(end[op->side].fd);
	guard(false);
	end[op->side].closed = true;
	out->ended = true;
	out->open = false;
	out->due = out->sent;
}

/* Return: whether this operation is one of these. */
bool op_others(const struct sequence *s, const struct op *op)
{
	if (op->kind < OP_poll || op->kind > OP_close)
		return false;
	if (end[op->side].closed)
		return true;
	switch (op->kind) {
	case OP_poll:
		op_poll(op);
		break;
	case OP_epoll:
		op_epoll(op);
		break;
	case OP_option:
		op_option(s, op);
		break;
	case OP_get_key:
		op_get_key(s, op);
		break;
	case OP_wrong_key:
		op_wrong_key(s, op);
		break;
	case OP_refused:
		op_refused(op);
		break;
	case OP_update:
		op_update(s, op);
		break;
	case OP_pass_fd:
		op_pass_fd(op);
		break;
	case OP_wait:
		usleep(op->c % 20000);
		break;
	case OP_shutdown:
		if (op->c % 2)
			end_sending(s, op->side);
		break;
	case OP_shutdown_read:
		if (op->c % 4)
			break;
		dir[!op->side].no_read = true;
		if (dir[op->side].ended)
			may_be_reset();
		if (shutdown(end[op->side].fd, SHUT_RD) &&
		    !dir[!op->side].lossy)
			fail("shutdown: errno %d", errno);
		break;
	case OP_close:
		if (op->c % 2)
			op_close(s, op);
		break;
	}
	return true;
}

/* ---- from the beginning to the end ---- */

/* Data passes unchanged while there are no keys. */
static void pass_plain(int from, uint32_t len)
{
	unsigned char out[3000], in[3000];
	uint32_t sent = 0, got = 0;
	ssize_t n;

	fill(out, len, 7);
	while (got < len) {
		n = send(end[from].fd, out + sent, len - sent, MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			fail("plain data is not taken: errno %d", errno);
		if (n > 0)
			sent += n;
		if (!poll_now(end[!from].fd, POLLIN, 5))
			continue;
		n = recv(end[!from].fd, in + got, sizeof(in) - got,
			 MSG_DONTWAIT);
		if (n <= 0)
			fail("plain data does not come: errno %d", errno);
		got += n;
		progress();
	}
	if (got != len || memcmp(in, out, len))
		fail("other plain data came");
}

static void late_key(const struct sequence *s, int side)
{
	struct dir *d = &dir[side];

	if (d->keyed || end[!side].closed)
		return;
	if (put_key(s, !side, side, TLS_RX, 0))
		fail("no key for receiving: errno %d", errno);
	d->keyed = true;
}

static void start(const struct sequence *s)
{
	int sides = s->user_peer ? 1 : 2, i;

	memset(dir, 0, sizeof(dir));
	memset(end, 0, sizeof(end));
	if (net_pair(s, &end[0].fd, &end[1].fd))
		fail("no connection: errno %d", errno);
	for (i = 0; i < sides; i++)
		if (attach(end[i].fd))
			fail("not attached: errno %d", errno);
	for (i = 0; i < 2; i++)
		pass_plain(i, s->plain[i]);
	for (i = 0; i < sides; i++)
		if (put_key(s, i, i, TLS_TX, 0))
			fail("no key for sending: errno %d", errno);
	for (i = 0; i < 2; i++) {
		if (s->user_peer && !i)
			dir[i].keyed = true;
		else if (!s->late[i])
			late_key(s, i);
	}
	if (s->user_peer)
		peer_start(s, end[1].fd);
}

/* All that was sent has come, and then the end. */
static void finish(const struct sequence *s)
{
	int i;

	for (i = 0; i < 2; i++) {
		late_key(s, i);
		if (s->user_peer && i)
			peer_finish(s);
		else
			end_sending(s, i);
	}
	for (i = 0; i < 2; i++) {
		const struct dir *d = &dir[!i];

		if (end[i].closed)
			continue;
		if (s->user_peer && i) {
			while (peer_read(s, INT32_MAX))
				poll_now(end[1].fd, POLLIN, 20);
		} else {
			drain(s, i, true);
		}
		if (d->lossy || d->no_read)
			continue;
		if (d->bad ? !d->err : d->got != d->sent)
			fail("%u of %u bytes have come to side %d in the end%s",
			     d->got, d->sent, i, d->bad ? ", and no error" : "");
	}
	for (i = 0; i < 2; i++)
		if (!end[i].closed)
			close(end[i].fd);
}

/* With -v: which operations are slow? */
static void tell_time(int nr, const char *what, double since)
{
	if (verbose && now() - since > 0.3)
		printf("#   %3d: %s takes %.1f s\n", nr, what, now() - since);
	fflush(stdout);
}

void run_ops(const struct sequence *s)
{
	double since = now();
	int i;

	start(s);
	tell_time(-1, "the start", since);
	for (i = 0; i < s->n; i++) {
		const struct op *op = &s->op[i];

		if (i == s->n / 2) {
			late_key(s, 0);
			late_key(s, 1);
		}
		if (s->off[i])
			continue;
		__atomic_store_n(&shared->at, i, __ATOMIC_RELAXED);
		progress();
		since = now();
		/* A closed end answers with a reset. */
		if (end[!op->side].closed &&
		    (op->kind <= OP_fork_send || op->kind == OP_poll ||
		     op->kind == OP_update || op->kind >= OP_peer_data))
			may_be_reset();
		if (op_sends(s, op) || op_receives(s, op) ||
		    op_others(s, op) || op_peer(s, op))
			shared->done[op->kind]++;
		tell_time(i, kind_name(op->kind), since);
	}
	__atomic_store_n(&shared->at, s->n, __ATOMIC_RELAXED);
	since = now();
	finish(s);
	tell_time(s->n, "the end", since);
}
