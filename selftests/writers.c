// SPDX-License-Identifier: GPL-2.0
/*
 * Several writers of one socket, and what each of them is told when the
 * connection ends: the same as of plain TCP, which goes through everything
 * here as well and is compared with.
 */

#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "tls_test.h"
#include "wire.h"

#include <pthread.h>
#include <stdarg.h>
#include <sys/mman.h>

FIXTURE(writers)
{
	int a;			/* sends TLS */
	struct wire w;		/* takes it apart */
};

FIXTURE_VARIANT(writers)
{
	uint16_t version, cipher;
};

FIXTURE_VARIANT_ADD(writers, tls12_gcm)
{
	.version = TLS_1_2_VERSION, .cipher = TLS_CIPHER_AES_GCM_128,
};

FIXTURE_VARIANT_ADD(writers, tls13_gcm)
{
	.version = TLS_1_3_VERSION, .cipher = TLS_CIPHER_AES_GCM_128,
};

FIXTURE_SETUP(writers)
{
	signal(SIGPIPE, SIG_IGN);
	ASSERT_EQ(0, wire_pair(&self->w, &self->a, variant->version,
			       variant->cipher));
}

FIXTURE_TEARDOWN(writers)
{
	close(self->a);
	wire_close(&self->w);
}

/* A buffer that soon is full. */
static const int small = 20000;

/* ---- several of them ---- */

enum { WRITERS = 5 };

struct writer {
	int fd, nr, calls, type;
	size_t most;
	unsigned int seed;
	unsigned int pos;	/* numbered on its own, apart from the others */
	struct cuts *c;
	bool wrong;
};

static unsigned int first_of(int nr)
{
	return 1000003u * (nr + 1);
}

/* Length of the next call: each of its records can be told from another's. */
static size_t random_len(unsigned int *seed, size_t most)
{
	size_t len = 16 + rand_r(seed) % (most - 16);

	return len % RECORD_MAX < 16 ? len - 16 : len;
}

static void *write_random(void *arg)
{
	struct writer *w = arg;
	unsigned char *out = malloc(w->most);
	int i;

	for (i = 0; i < w->calls && !w->wrong; i++) {
		size_t len = random_len(&w->seed, w->most);
		ssize_t n;

		number(out, len, w->pos);
		n = w->type == TYPE_DATA ? send(w->fd, out, len, 0) :
		    send_type(w->fd, w->type, out, len, 0);
		w->wrong = n != (ssize_t)len;
		w->pos += len;
	}
	free(out);
	return NULL;
}

/* The same calls, without sending: where their records end. */
static void expect_writer(struct writer *w)
{
	unsigned int seed = w->seed, pos = w->pos;
	int i;

	/* Where all bytes before are not there. */
	w->c->n = 0;
	w->c->open = 0;
	for (i = 0; i < w->calls; i++) {
		pos += random_len(&seed, w->most);
		cut(w->c, pos, w->type);
	}
}

/*
 * Each record is of one writer. One call's bytes, as far as they fit into a
 * record, stand in one; and each writer's bytes are in order.
 */
TEST_F_TIMEOUT(writers, record_is_of_one_call_whoever_else_sends, 600)
{
	static struct writer writers[WRITERS];
	struct wire *w = &self->w;
	unsigned int seen[WRITERS], left = 0;
	pthread_t threads[WRITERS];
	int i;

	ASSERT_EQ(0, setsockopt(self->a, SOL_SOCKET, SO_SNDBUF, &small,
				sizeof(small)));
	for (i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){
			.fd = self->a, .nr = i, .seed = i + variant->version,
			.pos = first_of(i), .calls = rounds(100),
			.type = i == 3 ? TYPE_HANDSHAKE : TYPE_DATA,
			.most = i == 4 ? 50000 : i == 2 ? 100 : RECORD_MAX,
			.c = calloc(1, sizeof(struct cuts)),
		};
		seen[i] = first_of(i);
		expect_writer(&writers[i]);
		left += writers[i].c->at[writers[i].c->n - 1].pos - seen[i];
	}
	for (i = 0; i < WRITERS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, write_random,
					    &writers[i]));
	while (left) {
		unsigned char due[16];

		ASSERT_EQ(1, wire_next(w));
		for (i = 0; i < WRITERS; i++) {
			size_t n = w->len < 16 ? w->len : 16;

			number(due, n, seen[i]);
			if (!memcmp(due, w->text, n) &&
			    w->type == writers[i].type)
				break;
		}
		ASSERT_GT(WRITERS, i)
			TH_LOG("record of %zu bytes is of nobody", w->len);
		w->pos = seen[i];
		ASSERT_EQ(0, wire_fits(w, writers[i].c, RECORD_MAX))
			TH_LOG("writer %d", i);
		seen[i] = w->pos;
		left -= w->len;
	}
	for (i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_FALSE(writers[i].wrong);
		EXPECT_EQ(writers[i].pos, seen[i]);
		free(writers[i].c);
	}
	ASSERT_TRUE(wire_silent(w, self->a));
}

/* ---- when the connection ends ---- */

/* A connection, and what was said about it. */
struct talk {
	int a, b;
	char *said;
	size_t room;
};

static int pipes;

static void on_pipe(int nr)
{
	__atomic_fetch_add(&pipes, 1, __ATOMIC_RELAXED);
}

static void say(struct talk *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->said, t->room, format, args);
	va_end(args);
	if (n > 0 && (size_t)n < t->room) {
		t->said += n;
		t->room -= n;
	}
}

/* What a call returned, in words: how many bytes is not for comparison. */
static void say_result(struct talk *t, const char *call, ssize_t n, int err)
{
	int got = __atomic_exchange_n(&pipes, 0, __ATOMIC_RELAXED);

	say(t, " %s:%s%s", call, n > 0 ? "some" : n ? strerrorname_np(err) :
	    "0", got ? "+SIGPIPE" : "");
}

/* While another thread sleeps: a signal now would be its. */
static void say_shutdown_beside(struct talk *t, int how)
{
	int n = shutdown(t->a, how);

	say(t, " shutdown:%s", n ? strerrorname_np(errno) : "0");
}

static void say_send(struct talk *t, size_t len, int flags)
{
	ssize_t n = send(t->a, bytes, len, flags);

	say_result(t, len ? flags & MSG_MORE ? "more" : "send" : "send0",
		   n, errno);
}

static void say_error(struct talk *t)
{
	int err = -1;
	socklen_t len = sizeof(err);

	getsockopt(t->a, SOL_SOCKET, SO_ERROR, &err, &len);
	say(t, " SO_ERROR:%s", err ? strerrorname_np(err) : "0");
}

static void say_poll(struct talk *t)
{
	short all = POLLIN | POLLOUT | POLLRDHUP;

	say(t, " poll:%x", poll_now(t->a, all, 0));
}

static void say_recv(struct talk *t)
{
	char c;

	say_result(t, "recv", recv(t->a, &c, 1, MSG_DONTWAIT), errno);
}

static void say_splice(struct talk *t)
{
	int p[2], file = memfd_create("file", 0);
	ssize_t n;

	write(file, bytes, 5000);
	n = sendfile(t->a, file, (off_t[]){ 0 }, 5000);
	say_result(t, "sendfile", n, errno);
	close(file);
	if (pipe(p))
		return;
	write(p[1], bytes, 100);
	n = splice(p[0], NULL, t->a, NULL, 100, 0);
	say_result(t, "splice", n, errno);
	close(p[0]);
	close(p[1]);
}

/* Wait, but not for ever, until the connection has ended for the sender. */
static void say_ended(struct talk *t)
{
	struct pollfd p = { .fd = t->a };

	say(t, " %s", poll(&p, 1, 30000) == 1 ? "ended" : "not ended");
}

/* The peer resets the connection. */
static void reset(struct talk *t)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(t->b, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(t->b);
	t->b = -1;
	say_ended(t);
}

/* Take all that goes without waiting. */
static void fill_up(struct talk *t)
{
	/* TCP's last segment takes little when it no longer takes much. */
	while (send(t->a, bytes, 50000, MSG_DONTWAIT) > 0 ||
	       send(t->a, bytes, 100, MSG_DONTWAIT) > 0 ||
	       send(t->a, bytes, 1, MSG_DONTWAIT) > 0 ||
	       poll_now(t->a, POLLOUT, 200))
		;
}

static void start_sleeper(struct talk *t, struct sleeper *s, pthread_t *thread)
{
	int i;

	s->fd = t->a;
	/* TCP may find a little room yet, which poll does not tell of. */
	for (i = 0; i < 100; i++) {
		if (!sleeper_start(s, thread))
			return;
		pthread_join(*thread, NULL);
		usleep(50000);
	}
	say(t, " not asleep");
}

static void end_sleeper(struct talk *t, struct sleeper *s, pthread_t thread)
{
	pthread_join(thread, NULL);
	say_result(t, "sleeper", s->n, s->err);
}

static void t_reset_idle(struct talk *t)
{
	reset(t);
	say_poll(t);
	say_send(t, 10, 0);
	say_error(t);
	say_send(t, 10, 0);
	say_send(t, 10, MSG_NOSIGNAL);
	say_error(t);
	say_poll(t);
}

static void t_reset_so_error(struct talk *t)
{
	reset(t);
	say_error(t);
	say_error(t);
	say_send(t, 10, 0);
	say_send(t, 10, MSG_NOSIGNAL);
}

static void t_reset_send_more(struct talk *t)
{
	reset(t);
	say_send(t, 10, MSG_MORE);
	say_send(t, 10, MSG_MORE);
	say_send(t, 10, MSG_DONTWAIT);
}

static void t_reset_no_bytes(struct talk *t)
{
	reset(t);
	say_send(t, 0, 0);
	say_send(t, 0, 0);
	say_error(t);
}

static void t_reset_with_open_data(struct talk *t)
{
	say_send(t, 10, MSG_MORE);
	reset(t);
	say_send(t, 10, MSG_MORE);
	say_error(t);
	say_send(t, 10, 0);
}

static void t_reset_splice(struct talk *t)
{
	reset(t);
	say_splice(t);
	say_splice(t);
}

static void t_reset_recv_first(struct talk *t)
{
	reset(t);
	say_recv(t);
	say_error(t);
	say_recv(t);
	say_send(t, 10, MSG_NOSIGNAL);
}

static void t_reset_full(struct talk *t)
{
	fill_up(t);
	reset(t);
	say_poll(t);
	say_send(t, 10, 0);
	say_error(t);
	say_send(t, 10, 0);
}

static void t_reset_full_so_error(struct talk *t)
{
	fill_up(t);
	reset(t);
	say_error(t);
	say_error(t);
	say_send(t, 10, MSG_NOSIGNAL);
}

static void t_reset_full_shutdown(struct talk *t)
{
	fill_up(t);
	reset(t);
	say_result(t, "shutdown", shutdown(t->a, SHUT_WR), errno);
	say_error(t);
	say_send(t, 10, MSG_NOSIGNAL);
}

static void t_reset_asleep(struct talk *t)
{
	struct sleeper s = { .len = sizeof(bytes) };
	pthread_t thread;

	start_sleeper(t, &s, &thread);
	reset(t);
	end_sleeper(t, &s, thread);
	say_error(t);
	say_error(t);
	say_send(t, 10, 0);
}

static void t_reset_asleep_send(struct talk *t)
{
	struct sleeper s = { .len = sizeof(bytes) };
	pthread_t thread;

	start_sleeper(t, &s, &thread);
	reset(t);
	end_sleeper(t, &s, thread);
	say_send(t, 10, 0);
	say_error(t);
	say_send(t, 10, 0);
}

static void t_reset_asleep_with_nothing(struct talk *t)
{
	struct sleeper s = { .len = 100 };
	pthread_t thread;

	fill_up(t);
	start_sleeper(t, &s, &thread);
	reset(t);
	end_sleeper(t, &s, thread);
	say_error(t);
	say_send(t, 10, 0);
}

/* The peer closes, with bytes that it has not read. */
static void t_close_unread(struct talk *t)
{
	say_send(t, 10, 0);
	close(t->b);
	t->b = -1;
	say_ended(t);
	say_send(t, 10, 0);
	say_error(t);
	say_send(t, 10, 0);
}

/* The peer closes, all read: the next bytes are what it resets. */
static void t_close_read(struct talk *t)
{
	close(t->b);
	t->b = -1;
	say_send(t, 10, 0);
	say_ended(t);
	say_poll(t);
	say_send(t, 10, 0);
	say_error(t);
	say_send(t, 10, MSG_NOSIGNAL);
}

static void t_close_read_so_error(struct talk *t)
{
	close(t->b);
	t->b = -1;
	say_send(t, 10, 0);
	say_ended(t);
	say_error(t);
	say_error(t);
	say_send(t, 10, MSG_NOSIGNAL);
}

/* The peer only stops sending: that is not for the writer. */
static void t_peer_shutdown(struct talk *t)
{
	shutdown(t->b, SHUT_WR);
	say_send(t, 10, 0);
	say_recv(t);
	say_send(t, 10, 0);
	say_poll(t);
}

static void t_shutdown(struct talk *t)
{
	say_result(t, "shutdown", shutdown(t->a, SHUT_WR), errno);
	say_poll(t);
	say_send(t, 10, 0);
	say_send(t, 10, MSG_NOSIGNAL);
	say_send(t, 10, MSG_MORE);
	say_send(t, 0, 0);
	say_splice(t);
	say_error(t);
	say_result(t, "shutdown", shutdown(t->a, SHUT_RDWR), errno);
}

static void t_shutdown_asleep(struct talk *t)
{
	struct sleeper s = { .len = sizeof(bytes) };
	pthread_t thread;

	start_sleeper(t, &s, &thread);
	say_shutdown_beside(t, SHUT_WR);
	end_sleeper(t, &s, thread);
	say_send(t, 10, 0);
	say_error(t);
}

static void t_shutdown_asleep_with_nothing(struct talk *t)
{
	struct sleeper s = { .len = 100 };
	pthread_t thread;

	fill_up(t);
	start_sleeper(t, &s, &thread);
	say_shutdown_beside(t, SHUT_RDWR);
	end_sleeper(t, &s, thread);
	say_send(t, 10, MSG_NOSIGNAL);
	say_error(t);
}

static void t_shutdown_asleep_nosignal(struct talk *t)
{
	struct sleeper s = { .len = 100, .flags = MSG_NOSIGNAL };
	pthread_t thread;

	fill_up(t);
	start_sleeper(t, &s, &thread);
	say_shutdown_beside(t, SHUT_WR);
	end_sleeper(t, &s, thread);
}

/* The peer is there and takes nothing. */
static void t_user_timeout(struct talk *t)
{
	struct sleeper s = { .len = sizeof(bytes) };
	unsigned int ms = 300;
	pthread_t thread;

	setsockopt(t->a, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	start_sleeper(t, &s, &thread);
	end_sleeper(t, &s, thread);
	say_ended(t);
	say_send(t, 10, 0);
	say_error(t);
	say_send(t, 10, 0);
}

static void t_user_timeout_so_error(struct talk *t)
{
	unsigned int ms = 300;

	setsockopt(t->a, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	fill_up(t);
	say_ended(t);
	say_poll(t);
	say_error(t);
	say_error(t);
	say_send(t, 10, MSG_NOSIGNAL);
}

static const struct {
	const char *name;
	void (*talk)(struct talk *t);
} talks[] = {
#define TALK(name) { #name, t_##name }
	TALK(reset_idle),
	TALK(reset_so_error),
	TALK(reset_send_more),
	TALK(reset_no_bytes),
	TALK(reset_with_open_data),
	TALK(reset_splice),
	TALK(reset_recv_first),
	TALK(reset_full),
	TALK(reset_full_so_error),
	TALK(reset_full_shutdown),
	TALK(reset_asleep),
	TALK(reset_asleep_send),
	TALK(reset_asleep_with_nothing),
	TALK(close_unread),
	TALK(close_read),
	TALK(close_read_so_error),
	TALK(peer_shutdown),
	TALK(shutdown),
	TALK(shutdown_asleep),
	TALK(shutdown_asleep_with_nothing),
	TALK(shutdown_asleep_nosignal),
	TALK(user_timeout),
	TALK(user_timeout_so_error),
};

/* Go through @nr on plain TCP, or with keys both ways. */
static int have_talk(unsigned int nr, bool tls, uint16_t version,
		     uint16_t cipher, char *said, size_t room)
{
	struct talk t = { .said = said, .room = room };

	*said = 0;
	if (tls ? tls_pair(version, cipher, &t.a, &t.b) :
		  tcp_pair(AF_INET, &t.a, &t.b))
		return -1;
	setsockopt(t.a, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(t.b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	__atomic_store_n(&pipes, 0, __ATOMIC_RELAXED);
	talks[nr].talk(&t);
	close(t.a);
	close(t.b);
	return 0;
}

TEST_F_TIMEOUT(writers, end_of_a_connection_is_told_as_by_tcp, 600)
{
	char tcp[500], tls[500];
	unsigned int i;

	signal(SIGPIPE, on_pipe);
	for (i = 0; i < ARRAY_SIZE(talks); i++) {
		ASSERT_EQ(0, have_talk(i, false, 0, 0, tcp, sizeof(tcp)));
		ASSERT_EQ(0, have_talk(i, true, variant->version,
				       variant->cipher, tls, sizeof(tls)));
		/* It was about what it is about. */
		ASSERT_LT(0, strlen(tcp));
		EXPECT_EQ(NULL, strstr(tcp, " not "))
			TH_LOG("%s: %s", talks[i].name, tcp);
		EXPECT_STREQ(tcp, tls)
			TH_LOG("%s", talks[i].name);
	}
}

/* ---- what was taken arrives, whatever ends the call ---- */

TEST_F_TIMEOUT(writers, shutdown_ends_the_stream_after_what_was_taken, 120)
{
	struct sleeper s = { .fd = self->a, .len = sizeof(bytes) };
	struct cuts *c = calloc(1, sizeof(*c));
	pthread_t thread;

	ASSERT_EQ(0, setsockopt(self->a, SOL_SOCKET, SO_SNDBUF, &small,
				sizeof(small)));
	ASSERT_EQ(0, setsockopt(self->w.fd, SOL_SOCKET, SO_RCVBUF, &small,
				sizeof(small)));
	next(0, sizeof(bytes));
	ASSERT_EQ(0, sleeper_start(&s, &thread));
	ASSERT_EQ(0, shutdown(self->a, SHUT_WR));
	pthread_join(thread, NULL);
	ASSERT_LT(0, s.n);
	ASSERT_GT(sizeof(bytes), s.n);
	cut(c, s.n, TYPE_DATA);
	ASSERT_EQ(0, wire_follow(&self->w, c, RECORD_MAX));
	EXPECT_EQ(0, wire_next(&self->w));
	free(c);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static void *read_late(void *fd)
{
	static char in[200000];

	usleep(500000);
	return (void *)recv_all(*(int *)fd, in, sizeof(in));
}

/* SO_LINGER: until all has arrived, or until the time is over. */
TEST_F_TIMEOUT(writers, close_lingers_until_all_has_arrived_or_time_is_over, 120)
{
	struct linger linger = { .l_onoff = 1 };
	int a, b, room = 1 << 20, read;
	static char some[150000];
	double start, took;
	pthread_t reader;
	void *got = NULL;

	for (read = 0; read < 2; read++) {
		ASSERT_EQ(0, tls_pair(variant->version, variant->cipher, &a,
				      &b));
		setsockopt(a, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
		setsockopt(b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
		linger.l_linger = read ? 60 : 1;
		ASSERT_EQ(0, setsockopt(a, SOL_SOCKET, SO_LINGER, &linger,
					sizeof(linger)));
		ASSERT_EQ(sizeof(some), send(a, some, sizeof(some), 0));
		if (read)
			ASSERT_EQ(0, pthread_create(&reader, NULL, read_late,
						    &b));
		start = seconds();
		close(a);
		took = seconds() - start;
		if (read) {
			pthread_join(reader, &got);
			EXPECT_EQ(sizeof(some), (size_t)got);
		}
		EXPECT_LT(read ? 0.3 : 0.9, took);
		EXPECT_GT(50, took);
		close(b);
	}
}

/* The call has its own hold on the socket. */
TEST_F_TIMEOUT(writers, close_of_the_descriptor_leaves_a_sleeper_alone, 120)
{
	struct sleeper s = { .fd = self->a, .len = sizeof(bytes) };
	struct cuts *c = calloc(1, sizeof(*c));
	pthread_t thread;

	ASSERT_EQ(0, setsockopt(self->a, SOL_SOCKET, SO_SNDBUF, &small,
				sizeof(small)));
	ASSERT_EQ(0, setsockopt(self->w.fd, SOL_SOCKET, SO_RCVBUF, &small,
				sizeof(small)));
	next(0, sizeof(bytes));
	cut(c, sizeof(bytes), TYPE_DATA);
	ASSERT_EQ(0, sleeper_start(&s, &thread));
	ASSERT_EQ(0, close(self->a));
	self->a = -1;
	ASSERT_EQ(0, wire_follow(&self->w, c, RECORD_MAX));
	pthread_join(thread, NULL);
	EXPECT_EQ(sizeof(bytes), s.n);
	/* The end comes when the call has returned. */
	EXPECT_EQ(0, wire_next(&self->w));
	free(c);
}

TEST_HARNESS_MAIN
