// SPDX-License-Identifier: GPL-2.0
/*
 * A peer in user space: it makes records by hand, right ones or not, sends
 * them in odd segments, and takes apart what the kernel sends.
 */

#include "fuzz.h"

static struct wire wire;
static uint64_t seq;
static unsigned char *pend;	/* bytes for TCP that it has not taken */
static size_t pend_len, pend_room;
static bool fin;

void peer_start(const struct sequence *s, int fd)
{
	union keys k;

	if (wire_open(&wire, fd, s->version, s->cipher, 1))
		fail("no AF_ALG: errno %d", errno);
	key_of(s, 0, 0, &k);
	if (wire_key(&wire, &k, 0))
		fail("no AF_ALG: errno %d", errno);
	seq = 0;
	pend_len = 0;
	fin = false;
}

static void later(const void *bytes, size_t len)
{
	if (pend_len + len > pend_room) {
		pend_room = 2 * (pend_len + len);
		pend = realloc(pend, pend_room);
	}
	memcpy(pend + pend_len, bytes, len);
	pend_len += len;
}

/* Hand TCP what waits, in segments of @each bytes, at most @most bytes. */
void peer_push(const struct sequence *s, uint32_t each, uint32_t most)
{
	size_t at = 0;

	if (end[1].closed)
		return;
	while (at < pend_len && at < most) {
		size_t part = each;
		ssize_t n;

		if (part > pend_len - at)
			part = pend_len - at;
		if (part > most - at)
			part = most - at;
		n = send(end[1].fd, pend + at, part,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			/* The kernel's side has closed. */
			if (!dir[1].lossy)
				fail("the peer cannot send: errno %d", errno);
			at = pend_len;
			break;
		}
		at += n;
		progress();
	}
	memmove(pend, pend + at, pend_len - at);
	pend_len -= at;
	if (!pend_len && fin && !dir[1].ended) {
		shutdown(end[1].fd, SHUT_WR);
		dir[1].ended = true;
	}
}

static uint8_t peer_seed(void)
{
	return 128 + dir[1].tx_key % 100;
}

/* A record, and what the model must know of it. */
static size_t record(const struct sequence *s, unsigned char *rec,
		     uint8_t type, size_t len, size_t pad)
{
	static unsigned char text[RECORD_MAX];
	struct dir *d = &dir[1];
	size_t n;

	if (len + pad > RECORD_MAX)
		pad = RECORD_MAX - len;
	if (s->version == TLS_1_2_VERSION)
		pad = 0;
	number(text, len, d->sent);
	n = make_record_under(peer_seed(), rec, s->version, seq, type, text,
			      len, pad);
	if (!n)
		fail("no record: errno %d", errno);
	return n;
}

static void send_record(const struct sequence *s, uint8_t type, size_t len,
			size_t pad)
{
	static unsigned char rec[WIRE_MAX + 100];
	struct dir *d = &dir[1];
	size_t n = record(s, rec, type, len, pad);

	seq++;
	later(rec, n);
	/* Nothing from behind what is wrong may come. */
	if (d->bad)
		return;
	model_sent(d, type, len, false, true);
	if (!len)
		d->empty = true;
}

/* Something that no honest peer sends. */
static void send_bad(const struct sequence *s, const struct op *op)
{
	static unsigned char rec[WIRE_MAX + 100];
	size_t len = op->a % 3000 + 1, n, i;
	bool v12 = s->version == TLS_1_2_VERSION;
	struct dir *d = &dir[1];
	uint64_t r = op->c;

	n = record(s, rec, TYPE_DATA, len, op->b % 4 ? 0 : 100);
	d->bad = FAULT_EBADMSG;
	switch (op->b % 12) {
	case 0 ... 2:
		rec[5 + op->c % (n - 5)] ^= 1 << op->a % 8;
		break;
	case 3:
		rec[0] ^= 1 << op->a % 8;
		break;
	case 4:
		rec[1 + op->c % 2] ^= 1 << op->a % 8;
		d->bad = FAULT_EINVAL;
		break;
	case 5:
		rec[3 + op->c % 2] ^= 1 << op->a % 8;
		d->bad |= FAULT_EMSGSIZE;
		break;
	case 6:
		/* A record is missing. */
		seq++;
		n = record(s, rec, TYPE_DATA, len, 0);
		break;
	case 7:
		/* It came before. */
		if (seq)
			seq--;
		else
			seq = 99;
		n = record(s, rec, TYPE_DATA, len, 0);
		break;
	case 8:
		if (v12) {
			n = 5 + op->c % 24;
			rec[3] = 0;
			rec[4] = n - 5;
		} else {
			n = make_record_under(peer_seed(), rec, s->version,
					      seq, 0, rec, 0, op->c % 3000);
		}
		break;
	case 9:
		i = RECORD_MAX + (v12 ? 8 + 16 : 1 + 16) + 1 + op->c % 5000;
		rec[3] = i >> 8;
		rec[4] = i;
		n = 5 + op->c % 100;
		d->bad = FAULT_EMSGSIZE;
		break;
	case 10:
		n = 1 + op->c % 2000;
		for (i = 0; i < n; i++)
			rec[i] = rnd(&r);
		d->bad |= FAULT_EMSGSIZE | FAULT_EINVAL;
		break;
	default:
		/* The end comes within a record. */
		n = 1 + op->c % (n - 1);
		fin = true;
	}
	seq++;
	later(rec, n);
}

static void check_nonce(const struct sequence *s)
{
	uint64_t due = 0, is = 0;
	int i;

	if (s->version != TLS_1_2_VERSION)
		return;
	for (i = 0; i < 8; i++) {
		due = due << 8 | wire.iv[4 + i];
		is = is << 8 | wire.buf[5 + i];
	}
	/* It was counted already. */
	if (is != due + wire.seq - 1)
		fail("nonce %llx of record %llu is not the next",
		     (unsigned long long)is, (unsigned long long)wire.seq - 1);
}

/* The kernel sent a record: is it the one that is due? */
static void got_record(const struct sequence *s)
{
	static const struct how how;
	struct dir *d = &dir[0];
	union keys k;

	check_nonce(s);
	if (!wire.len)
		fail("the kernel sent an empty record");
	if (d->cur < d->n && wire.len > d->run[d->cur].len - d->off)
		fail("a record of %zu bytes goes on after the end of its call",
		     wire.len);
	model_got(d, wire.type, wire.text, wire.len, &how);
	if (!d->expired)
		return;
	key_of(s, 0, ++d->rx_key, &k);
	if (wire_key(&wire, &k, 0))
		fail("no AF_ALG: errno %d", errno);
	d->expired = false;
}

/*
 * Read what has come, at most @most records.
 *
 * Return: whether more may come.
 */
bool peer_read(const struct sequence *s, int most)
{
	struct dir *d = &dir[0];
	static int patience;

	while (!end[1].closed && most) {
		int ret = wire_read(&wire, WIRE_MAX, MSG_DONTWAIT);

		switch (ret) {
		case 2:
			got_record(s);
			most--;
			break;
		case 1:
			progress();
			break;
		case 0:
			if (!d->lossy && (!d->ended || d->got != d->sent))
				fail("the kernel's stream ends after %u of %u bytes",
				     d->got, d->sent);
			return false;
		default:
			if (d->lossy && (*wire.why || ++patience > 100))
				return false;
			if (*wire.why)
				fail("record %llu of the kernel: %s",
				     (unsigned long long)wire.seq, wire.why);
			return true;
		}
	}
	return !end[1].closed;
}

bool peer_pending(void)
{
	return pend_len;
}

/* It ends its stream; drain() pushes what waits. */
void peer_finish(const struct sequence *s)
{
	fin = true;
	peer_push(s, 100000, UINT32_MAX);
}

static void reset(void)
{
	struct linger l = { .l_onoff = 1 };

	setsockopt(end[1].fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(end[1].fd);
	end[1].closed = true;
	dir[0].lossy = true;
	dir[1].lossy = true;
}

/* Return: whether this operation is one of the peer's. */
bool op_peer(const struct sequence *s, const struct op *op)
{
	static const uint8_t types[] = { 20, 21, 24, 100, 255 };
	size_t len = op->a > RECORD_MAX ? op->a % RECORD_MAX + 1 : op->a;
	static const unsigned char update[5] = { 24, 0, 0, 1, 0 };
	unsigned char rec[200];
	uint32_t i;

	if (op->kind < OP_peer_data)
		return false;
	if (end[1].closed)
		return true;
	if (fin && op->kind != OP_peer_push && op->kind != OP_peer_read)
		return true;
	/* Most of the time, TCP gets all of it at once. */
	switch (op->kind) {
	case OP_peer_data:
		for (i = 0; i <= op->b % 3; i++)
			send_record(s, TYPE_DATA, len, op->c % 5 ? 0 :
				    op->c / 5 % 1000);
		break;
	case OP_peer_control:
		send_record(s, types[op->c % 5], len, op->b % 200);
		break;
	case OP_peer_empty:
		for (i = 0; i <= op->b % 90; i++)
			send_record(s, TYPE_DATA, 0, op->c % 3 ? 0 : 30);
		break;
	case OP_peer_update:
		if (s->version != TLS_1_3_VERSION || dir[1].bad)
			break;
		later(rec, make_record_under(peer_seed(), rec, s->version,
					     seq, TYPE_HANDSHAKE, update, 5,
					     op->c % 100));
		model_update(&dir[1]);
		dir[1].tx_key++;
		seq = 0;
		break;
	case OP_peer_push:
		i = op->b % 3 ? op->b % 20000 + 1 : op->b % 40 + 1;
		peer_push(s, i, op->c % 2 ? 100 * i : i * (op->c % 100));
		return true;
	case OP_peer_read:
		peer_read(s, op->c % 2 ? INT32_MAX : op->c % 8 + 1);
		return true;
	case OP_peer_bad:
		if (!dir[1].bad)
			send_bad(s, op);
		break;
	case OP_peer_end:
		fin = true;
		break;
	case OP_peer_reset:
		if (op->c % 2)
			reset();
		break;
	}
	if (op->c % 4)
		peer_push(s, 100000, UINT32_MAX);
	return true;
}
