// SPDX-License-Identifier: GPL-2.0
/*
 * The model: what one direction of a connection owes its receiver, and which
 * answers of a call are right now.
 */

#include <stdarg.h>

#include "fuzz.h"

struct dir dir[2];
struct end end[2];

/* This sequence has found something: say what, and end its process. */
void fail(const char *fmt, ...)
{
	int i = __atomic_load_n(&shared->at, __ATOMIC_RELAXED);
	const struct sequence *s = &shared->s;
	size_t n = 0;
	va_list ap;

	if (!shared->why[0]) {
		if (!s->threads && i < s->n)
			n = snprintf(shared->why, sizeof(shared->why),
				     "op %d %s side %d: ", i,
				     kind_name(s->op[i].kind), s->op[i].side);
		va_start(ap, fmt);
		vsnprintf(shared->why + n, sizeof(shared->why) - n, fmt, ap);
		va_end(ap);
	}
	_exit(1);
}

static struct run *last_run(struct dir *d)
{
	return d->n ? &d->run[d->n - 1] : NULL;
}

/*
 * The sender's call took @n bytes of @type. @more: it left them in an open
 * record, perhaps. @sure: if not, the record was cut behind them.
 */
void model_sent(struct dir *d, uint8_t type, size_t n, bool more, bool sure)
{
	struct run *r = last_run(d);

	if (!n)
		return;
	shared->bytes += n;
	progress();
	if (r && d->open && type == TYPE_DATA && r->type == type) {
		r->len += n;
	} else {
		if (d->n == MAX_RUNS)
			fail("the model is full");
		r = &d->run[d->n++];
		*r = (struct run){ .type = type, .start = d->sent, .len = n };
	}
	d->sent += n;
	d->open = more || !sure;
	if (!more && sure)
		d->due = d->sent;
}

/* The sender's call took a KeyUpdate, alone in its record. */
void model_update(struct dir *d)
{
	model_sent(d, TYPE_HANDSHAKE, 5, false, true);
	last_run(d)->update = true;
}

static const unsigned char update[5] = { 24, 0, 0, 1, 0 };

/* Bytes from @off on of what a run holds. */
void model_bytes(const struct run *r, uint32_t off, void *buf, size_t n)
{
	if (r->update)
		memcpy(buf, update + off, n);
	else
		number(buf, n, r->start + off);
}

static void check_bytes(const struct run *r, uint32_t off,
			const unsigned char *buf, size_t n)
{
	static unsigned char due[MAX_LEN];
	size_t at;

	while (n) {
		size_t part = n < sizeof(due) ? n : sizeof(due);

		model_bytes(r, off, due, part);
		for (at = 0; at < part; at++)
			if (buf[at] != due[at])
				fail("byte %u of the stream is wrong (%#x, not %#x), number %zu of %zu",
				     (unsigned int)(r->start + off + at),
				     buf[at], due[at], at, n);
		buf += part;
		off += part;
		n -= part;
	}
}

/*
 * The receiver's call delivered @n bytes. @type is -1 when it was not told,
 * which is right only for data.
 */
void model_got(struct dir *d, int type, const void *buf, size_t n,
	       const struct how *how)
{
	const unsigned char *at = buf;
	int cur = d->cur;
	uint32_t off = d->off;
	uint8_t first = 0;

	if (d->err)
		fail("%zu bytes came after the error %d", n, d->err);
	if (how->peek && !n)
		return;
	for (bool begin = true; n; begin = false) {
		struct run *r = &d->run[cur];
		size_t part = n;

		if (cur == d->n)
			fail("%zu bytes more came than were sent", n);
		if (begin) {
			first = r->type;
			if (type < 0 ? first != TYPE_DATA : first != type)
				fail("type %d came, not %d", type, first);
		} else if (first != TYPE_DATA || r->type != first) {
			fail("%zu bytes came from behind a record of type %d",
			     n, first);
		}
		if (part > r->len - off)
			part = r->len - off;
		if (at) {
			check_bytes(r, off, at, part);
			at += part;
		}
		off += part;
		n -= part;
		if (!how->peek) {
			d->got += part;
			if (off == r->len && r->update)
				d->expired = true;
		}
		if (off == r->len) {
			/* An open run may go on: then as a new one. */
			if (!how->peek && cur == d->n - 1)
				d->open = false;
			off = 0;
			cur++;
		}
	}
	if (how->peek)
		return;
	d->cur = cur;
	d->off = off;
	progress();
}

static unsigned int fault(int err)
{
	switch (err) {
	case EINVAL:
		return FAULT_EINVAL;
	case EMSGSIZE:
		return FAULT_EMSGSIZE;
	case EBADMSG:
		return FAULT_EBADMSG;
	default:
		return 0;
	}
}

/* The type of what comes next, or -1. */
static int next_type(const struct dir *d)
{
	return d->cur < d->n ? d->run[d->cur].type : -1;
}

/* A call that receives has failed: may it? */
static void check_error(struct dir *d, int err, const struct how *how)
{
	int type = next_type(d);

	if (d->err) {
		if (err != d->err && !(how->socket_error && d->lossy))
			fail("the error was %d, now it is %d", d->err, err);
		return;
	}
	if (d->expired && err != EKEYEXPIRED && !d->lossy && !d->no_read)
		fail("errno %d, not EKEYEXPIRED", err);
	switch (err) {
	case EAGAIN:
		if (how->announced)
			fail("poll said readable, then nothing was there");
		if (how->nonblock)
			return;
		break;
	case EINTR:
		if (how->guarded)
			return;
		break;
	case EKEYEXPIRED:
		if (d->expired)
			return;
		break;
	case EIO:
		if (!how->control && type >= 0 && type != TYPE_DATA)
			return;
		break;
	case EFAULT:
		if (how->unwritable)
			return;
		break;
	case EINVAL:
		if (how->splice && type >= 0 && type != TYPE_DATA)
			return;
		break;
	case ECONNRESET:
	case EPIPE:
	case ENOTCONN:
	case ETIMEDOUT:
		if (d->lossy)
			return;
		break;
	}
	if (fault(err) & d->bad) {
		if (d->cur < d->n)
			fail("errno %d came before %d runs of good data", err,
			     d->n - d->cur);
		d->err = err;
		progress();
		return;
	}
	/* A stream that a reset has cut may look truncated. */
	if (d->lossy && err == EBADMSG) {
		d->err = err;
		return;
	}
	fail("receiving fails with errno %d; %u of %u bytes, next type %d", err,
	     d->got, d->sent, type);
}

/* Check what any call that receives has answered, and follow it. */
void model_received(struct dir *d, ssize_t ret, int err, int type,
		    const void *buf, size_t len, const struct how *how)
{
	if (ret < 0) {
		check_error(d, err, how);
		return;
	}
	if ((size_t)ret > len)
		fail("%zd bytes came into a buffer of %zu", ret, len);
	if (ret) {
		int next = next_type(d);

		if (d->expired)
			fail("%zd bytes came behind a key update", ret);
		if (!how->control && next >= 0 && next != TYPE_DATA)
			fail("%zd bytes of type %d came without its type", ret,
			     next);
		model_got(d, how->control ? type : -1,
			  how->discard ? NULL : buf, ret, how);
		return;
	}
	if (!len || d->no_read || d->lossy)
		return;
	if (d->err)
		fail("the error %d was told, now the end", d->err);
	if (d->expired)
		fail("the end came, not EKEYEXPIRED");
	if (!d->ended)
		fail("the end came, and the sender has not ended");
	if (d->cur < d->n)
		fail("the end came %u bytes too early", d->sent - d->got);
	if (d->bad)
		fail("the end came, not an error");
}

/* A call that sends has failed: may it? */
void model_send_failed(struct dir *d, int err, bool nonblock, bool guarded)
{
	if (err == EAGAIN && nonblock)
		return;
	if (err == EINTR && guarded)
		return;
	if (err == EPIPE && (d->ended || d->lossy))
		return;
	if (d->lossy && (err == ECONNRESET || err == ETIMEDOUT))
		return;
	fail("sending fails with errno %d", err);
}

/* Has all come that must? */
bool model_complete(const struct dir *d)
{
	return d->err || d->expired || d->got >= d->due;
}
