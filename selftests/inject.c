// SPDX-License-Identifier: GPL-2.0
/*
 * Every allocation and every copy from or to user space that a call makes
 * fails, one after the other, until a run of the call sees none (fail-nth of
 * the kernel's fault injection); then all of its allocations at once. Each time
 * the call says so or has coped, and the socket goes on where it was: nothing
 * is lost, nothing comes twice.
 *
 * Only a kernel with CONFIG_FAULT_INJECTION_DEBUG_FS can do this.
 */

#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "tls_test.h"
#include "wire.h"

#include <sys/uio.h>

#define MOST_SITES	500
#define LARGEST		70000
#define ALL		0		/* allocations, for as long as it runs */

/* What one run of a call works on. */
struct run {
	int a, b;		/* a sends, b receives */
	uint16_t version;
	int pipe[2];
	int file;
	size_t total;		/* bytes that b is to receive */
	size_t done;		/* that a has sent, or b has received */
	unsigned char *out, *in;
	bool starved;		/* no allocation of the call succeeded */
	const char *why;	/* what was wrong after the call */
};

/*
 * @prepare: everything before the call; 0 if well
 * @call: the one call; what it returned
 * @check: after the call; whether all is as it must be
 * @copes: it may need no memory at all
 */
struct operation {
	const char *name;
	int (*prepare)(struct run *r);
	ssize_t (*call)(struct run *r);
	bool (*check)(struct run *r, ssize_t ret, int err);
	bool copes;
};

static int nth_fd = -1;
static int all_fd = -1;		/* of this task's allocations all fail */

static int put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), ret;

	if (fd < 0)
		return -1;
	ret = write(fd, text, strlen(text)) < 0 ? -1 : 0;
	close(fd);
	return ret;
}

static int set_fault(const char *fault, const char *knob, const char *value)
{
	char path[80];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", fault, knob);
	return put_file(path, value);
}

/* Can failures be injected? */
static bool injection(void)
{
	static const char * const memory[] = { "failslab", "fail_page_alloc" };
	int i;

	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR);
	all_fd = open("/proc/self/make-it-fail", O_RDWR);
	if (nth_fd < 0 || all_fd < 0)
		return false;
	for (i = 0; i < 2; i++)
		if (set_fault(memory[i], "verbose", "0") ||
		    set_fault(memory[i], "ignore-gfp-wait", "N") ||
		    set_fault(memory[i], "task-filter", "Y") ||
		    set_fault(memory[i], "times", "-1") ||
		    set_fault(memory[i], "probability", "100"))
			return false;
	/* Of copies, one at a time fails: a call needs some of them. */
	return !set_fault("fail_usercopy", "verbose", "0") &&
	       !set_fault("fail_page_alloc", "ignore-gfp-highmem", "N") &&
	       !set_fault("fail_page_alloc", "min-order", "0");
}

static void arm(unsigned int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", n);

	/* Disarming may itself meet what is armed. */
	while (pwrite(nth_fd, text, len, 0) != len)
		;
}

/* Has the armed failure happened? */
static bool disarm(void)
{
	char text[16] = "1";
	bool happened;

	if (pread(nth_fd, text, sizeof(text) - 1, 0) < 0)
		text[0] = '0';
	happened = !atoi(text);
	arm(0);
	return happened;
}

/* From now on no memory can be had, or again. */
static void starve(bool on)
{
	while (pwrite(all_fd, on ? "1" : "0", 1, 0) != 1)
		;
}

static bool wrong(struct run *r, const char *why)
{
	r->why = why;
	return false;
}

/* ---- before: connections of all kinds ---- */

/* How long a call may wait. */
static void patience(int fd, int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000,
			      .tv_usec = ms % 1000 * 1000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

static void roomy(int fd)
{
	int size = 1 << 20, one = 1;

	patience(fd, 20000);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static int plain(struct run *r)
{
	if (tcp_pair(AF_INET, &r->a, &r->b))
		return -1;
	roomy(r->a);
	roomy(r->b);
	return 0;
}

static int set(int fd, int direction, const struct run *r, int generation)
{
	return set_key(fd, direction, r->version, TLS_CIPHER_AES_GCM_128,
		       generation + 1);
}

static int attached(struct run *r)
{
	return plain(r) || attach(r->a) || attach(r->b);
}

static int receiver_ready(struct run *r)
{
	return attached(r) || set(r->b, TLS_RX, r, 0);
}

static int ready(struct run *r)
{
	return receiver_ready(r) || set(r->a, TLS_TX, r, 0);
}

static int ready_1(struct run *r)
{
	r->total = 1;
	return ready(r);
}

static int ready_16k(struct run *r)
{
	r->total = RECORD_MAX;
	return ready(r);
}

static int ready_64k(struct run *r)
{
	r->total = 65536;
	return ready(r);
}

/* A record is open when the call comes. */
static int ready_more(struct run *r)
{
	r->total = 9000;
	r->done = 3000;
	return ready(r) || send(r->a, r->out, 3000, MSG_MORE) != 3000;
}

static int ready_file(struct run *r)
{
	r->total = 20000;
	r->file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	return ready(r) || r->file < 0 ||
	       write(r->file, r->out, r->total) != (ssize_t)r->total;
}

/* As above, and a device may read it when it sends. */
static int ready_file_that_stays(struct run *r)
{
	int one = 1;

	return ready_file(r) || setsockopt(r->a, SOL_TLS, TLS_TX_ZEROCOPY_RO,
					   &one, sizeof(one));
}

static int ready_pipe(struct run *r)
{
	r->total = 12000;
	return ready(r) || pipe(r->pipe) ||
	       write(r->pipe[1], r->out, r->total) != (ssize_t)r->total;
}

static int sent(struct run *r, size_t len)
{
	r->total = len;
	return ready(r) || send(r->a, r->out, len, 0) != (ssize_t)len;
}

static int sent_small(struct run *r)
{
	return sent(r, 300);
}

static int sent_large(struct run *r)
{
	return sent(r, 40000);
}

static int sent_to_pipe(struct run *r)
{
	return sent(r, 20000) || pipe(r->pipe);
}

/* Records that came in small segments. */
static int sent_in_pieces(struct run *r)
{
	static const int mss = 536;
	int piece;

	r->total = 16000;
	if (plain(r))
		return -1;
	setsockopt(r->a, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss));
	piece = attach(r->a) || attach(r->b) || set(r->a, TLS_TX, r, 0) ||
		set(r->b, TLS_RX, r, 0);
	return piece || send(r->a, r->out, r->total, 0) != (ssize_t)r->total;
}

static int sent_control(struct run *r)
{
	r->total = 0;
	return ready(r) ||
	       send_type(r->a, TYPE_ALERT, "\1\0", 2, 0) != 2;
}

/* A record is there before its key. */
static int sent_early(struct run *r)
{
	r->total = 5000;
	return attached(r) || set(r->a, TLS_TX, r, 0) ||
	       send(r->a, r->out, r->total, 0) != (ssize_t)r->total;
}

/* The peer's key is about to change: its KeyUpdate has been read. */
static int updated(struct run *r)
{
	static const unsigned char update[5] = { 24, 0, 0, 1, 0 };
	unsigned char in[5];
	int type;

	r->total = 5000;
	return ready(r) ||
	       send_type(r->a, TYPE_HANDSHAKE, update, 5, 0) != 5 ||
	       recv_type(r->b, &type, in, 5, 0) != 5 || set(r->a, TLS_TX, r, 1);
}

/* ---- the calls ---- */

static ssize_t call_attach(struct run *r)
{
	return attach(r->a);
}

static ssize_t call_tx_key(struct run *r)
{
	return set(r->a, TLS_TX, r, 0);
}

static ssize_t call_rx_key(struct run *r)
{
	return set(r->b, TLS_RX, r, 0);
}

static ssize_t call_rx_rekey(struct run *r)
{
	return set(r->b, TLS_RX, r, 1);
}

static ssize_t call_tx_rekey(struct run *r)
{
	return set(r->a, TLS_TX, r, 2);
}

static ssize_t call_get_key(struct run *r)
{
	union keys k;
	socklen_t len = keys_len(TLS_CIPHER_AES_GCM_128);

	return getsockopt(r->a, SOL_TLS, TLS_TX, &k, &len);
}

static ssize_t call_send(struct run *r)
{
	return send(r->a, r->out + r->done, r->total - r->done, 0);
}

static ssize_t call_send_at_once(struct run *r)
{
	return send(r->a, r->out + r->done, r->total - r->done, MSG_DONTWAIT);
}

static ssize_t call_writev(struct run *r)
{
	struct iovec iov[3] = {
		{ r->out, 1 }, { r->out + 1, 999 },
		{ r->out + 1000, r->total - 1000 },
	};

	return writev(r->a, iov, 3);
}

static ssize_t call_sendfile(struct run *r)
{
	off_t at = 0;

	return sendfile(r->a, r->file, &at, r->total);
}

static ssize_t call_splice_in(struct run *r)
{
	return splice(r->pipe[0], NULL, r->a, NULL, r->total, 0);
}

static ssize_t call_control(struct run *r)
{
	return send_type(r->a, TYPE_ALERT, "\1\0", 2, 0);
}

static ssize_t call_recv(struct run *r)
{
	return recv(r->b, r->in, r->total, 0);
}

static ssize_t call_recv_short(struct run *r)
{
	return recv(r->b, r->in, 7000, 0);
}

static ssize_t call_peek(struct run *r)
{
	return recv(r->b, r->in, r->total, MSG_PEEK);
}

static ssize_t call_recv_control(struct run *r)
{
	int type;

	return recv_type(r->b, &type, r->in, 2, 0);
}

static ssize_t call_splice_out(struct run *r)
{
	return splice(r->b, NULL, r->pipe[1], NULL, r->total, 0);
}

static ssize_t call_shutdown(struct run *r)
{
	return shutdown(r->a, SHUT_WR);
}

static ssize_t call_close(struct run *r)
{
	int fd = r->a;

	r->a = -1;
	return close(fd);
}

/* ---- after ---- */

/* What a call may say of a failure. */
static bool told(struct run *r, ssize_t ret, int err)
{
	if (ret >= 0 || err == ENOMEM || err == ENOBUFS || err == EFAULT)
		return true;
	/* It has waited for memory. */
	if (r->starved && err == EAGAIN)
		return true;
	return wrong(r, strerror(err));
}

/* All that was to be sent arrives. */
static bool arrives(struct run *r)
{
	if (recv_all(r->b, r->in + r->done, r->total - r->done) !=
	    (ssize_t)(r->total - r->done))
		return wrong(r, "not all has arrived");
	if (memcmp(r->in, r->out, r->total))
		return wrong(r, "other bytes have arrived");
	return true;
}

/* And then the end. */
static bool arrives_and_ends(struct run *r)
{
	if (!arrives(r))
		return false;
	if (shutdown(r->a, SHUT_WR))
		return wrong(r, "shutdown");
	return !recv(r->b, r->in, 1, 0) || wrong(r, "more has arrived");
}

/* TCP itself sends no end when it finds no memory for it (tcp_send_fin()). */
static bool ends_as_tcp(struct run *r)
{
	ssize_t n = recv(r->b, r->in, 1, 0);

	return !n || (n < 0 && (errno == ECONNRESET || errno == EAGAIN)) ||
	       wrong(r, "it does not end");
}

/*
 * The cipher itself failed in the midst of a record: that direction is over.
 * What arrives is what went before, and nothing else.
 */
static bool has_failed(struct run *r)
{
	ssize_t n;

	if (send(r->a, r->out, 1, 0) >= 0 || errno != EBADMSG)
		return wrong(r, "it sends after it has failed");
	close(r->a);
	r->a = -1;
	n = recv_all(r->b, r->in, r->total);
	if (n < 0 && errno == ECONNRESET)
		return true;
	if (n < 0 || (size_t)n == r->total || memcmp(r->in, r->out, n))
		return wrong(r, "other bytes have arrived than were sent");
	return ends_as_tcp(r);
}

/* The rest can be sent. */
static bool check_sent(struct run *r, ssize_t ret, int err)
{
	if (ret < 0 && err == EBADMSG)
		return has_failed(r);
	if (!told(r, ret, err))
		return false;
	r->done += ret > 0 ? ret : 0;
	while (r->done < r->total) {
		ret = call_send(r);
		if (ret <= 0)
			return wrong(r, "the rest cannot be sent");
		r->done += ret;
	}
	r->done = 0;
	return arrives_and_ends(r);
}

/* As before, but what the call did not take of the pipe is still in it. */
static bool check_spliced(struct run *r, ssize_t ret, int err)
{
	if (!told(r, ret, err))
		return false;
	r->done = ret > 0 ? ret : 0;
	while (r->done < r->total) {
		ret = splice(r->pipe[0], NULL, r->a, NULL, r->total, 0);
		if (ret <= 0)
			return wrong(r, "the rest of the pipe cannot be sent");
		r->done += ret;
	}
	r->done = 0;
	return arrives_and_ends(r);
}

/* The rest can be received. */
static bool check_received(struct run *r, ssize_t ret, int err)
{
	if (!told(r, ret, err))
		return false;
	r->done = ret > 0 ? ret : 0;
	return arrives_and_ends(r);
}

static bool check_peeked(struct run *r, ssize_t ret, int err)
{
	if (!told(r, ret, err))
		return false;
	if (ret > 0 && memcmp(r->in, r->out, ret))
		return wrong(r, "other bytes were seen");
	return arrives_and_ends(r);
}

static bool check_spliced_out(struct run *r, ssize_t ret, int err)
{
	if (!told(r, ret, err))
		return false;
	r->done = ret > 0 ? ret : 0;
	if (r->done && read(r->pipe[0], r->in, r->done) != (ssize_t)r->done)
		return wrong(r, "the pipe lacks bytes");
	return arrives_and_ends(r);
}

static bool check_control_received(struct run *r, ssize_t ret, int err)
{
	int type = TYPE_ALERT;

	if (!told(r, ret, err))
		return false;
	if (ret < 0)
		ret = recv_type(r->b, &type, r->in, 2, 0);
	if (ret != 2 || type != TYPE_ALERT || memcmp(r->in, "\1\0", 2))
		return wrong(r, "the record is not there any more");
	return arrives_and_ends(r);
}

static bool check_control_sent(struct run *r, ssize_t ret, int err)
{
	unsigned char in[2];
	int type;

	if (!told(r, ret, err))
		return false;
	if (ret < 0)
		ret = call_control(r);
	if (ret != 2)
		return wrong(r, "the record cannot be sent");
	/* What was kept from before goes first. */
	if (r->done && (recv_all(r->b, r->in, r->done) != (ssize_t)r->done ||
			memcmp(r->in, r->out, r->done)))
		return wrong(r, "the open record is not there");
	if (recv_type(r->b, &type, in, 2, 0) != 2 || type != TYPE_ALERT)
		return wrong(r, "the record has not arrived");
	return true;
}

static bool retry(struct run *r, ssize_t ret, int err,
		  ssize_t (*call)(struct run *r))
{
	if (!told(r, ret, err))
		return false;
	return ret >= 0 || !call(r) || wrong(r, "it fails again");
}

static bool check_attached(struct run *r, ssize_t ret, int err)
{
	r->total = 100;
	if (!retry(r, ret, err, call_attach))
		return false;
	if (attach(r->b) || set(r->a, TLS_TX, r, 0) || set(r->b, TLS_RX, r, 0))
		return wrong(r, "the keys");
	return check_sent(r, 0, 0);
}

static bool check_tx_key(struct run *r, ssize_t ret, int err)
{
	r->total = 100;
	return retry(r, ret, err, call_tx_key) && check_sent(r, 0, 0);
}

static bool check_rx_key(struct run *r, ssize_t ret, int err)
{
	return retry(r, ret, err, call_rx_key) && arrives_and_ends(r);
}

static bool check_rx_rekey(struct run *r, ssize_t ret, int err)
{
	return retry(r, ret, err, call_rx_rekey) && check_sent(r, 0, 0);
}

/* The old key works on after a failed update. */
static bool check_tx_rekey(struct run *r, ssize_t ret, int err)
{
	if (!told(r, ret, err))
		return false;
	if (ret) {
		if (set(r->b, TLS_RX, r, 1))
			return wrong(r, "the receiver's key");
		return check_sent(r, 0, 0);
	}
	return true;
}

static bool check_told(struct run *r, ssize_t ret, int err)
{
	r->total = 100;
	return told(r, ret, err) && check_sent(r, 0, 0);
}

static bool check_shut_down(struct run *r, ssize_t ret, int err)
{
	if (ret && err != EAGAIN && !told(r, ret, err))
		return false;
	r->total = r->done;
	r->done = 0;
	return arrives(r) && ends_as_tcp(r);
}

/* All of it, or an error: never less and then the end. */
static bool check_closed(struct run *r, ssize_t ret, int err)
{
	ssize_t n;

	/* TCP finds no memory for a reset then (tcp_send_active_reset()). */
	if (r->starved)
		patience(r->b, 3000);
	n = recv_all(r->b, r->in, r->done);
	if (n < 0)
		return errno == ECONNRESET || (r->starved && errno == EAGAIN) ||
		       wrong(r, strerror(errno));
	if (n != (ssize_t)r->done || memcmp(r->in, r->out, n))
		return wrong(r, "the stream ends too early");
	return ends_as_tcp(r);
}

/* ---- one after the other ---- */

static void begin(struct run *r, unsigned int n)
{
	r->starved = n == ALL;
	if (!r->starved) {
		arm(n);
		return;
	}
	patience(r->a, 100);
	patience(r->b, 100);
	starve(true);
}

/* Has what was to fail failed? */
static bool end(struct run *r)
{
	if (!r->starved)
		return disarm();
	starve(false);
	patience(r->a, 20000);
	patience(r->b, 20000);
	return true;
}

static bool one_run(const struct operation *op, uint16_t version,
		    unsigned int n, bool *happened, struct run *r)
{
	static unsigned char out[LARGEST], in[LARGEST];
	ssize_t ret;
	bool good;
	int err;

	memset(r, 0, sizeof(*r));
	memset(in, 0, sizeof(in));
	r->a = r->b = r->file = r->pipe[0] = r->pipe[1] = -1;
	r->version = version;
	r->out = out;
	r->in = in;
	number(out, sizeof(out), 0);
	*happened = false;
	if (op->prepare(r)) {
		good = wrong(r, "could not be prepared");
	} else {
		begin(r, n);
		ret = op->call(r);
		err = errno;
		*happened = end(r);
		good = op->check(r, ret, err);
	}
	close(r->a);
	close(r->b);
	close(r->file);
	close(r->pipe[0]);
	close(r->pipe[1]);
	return good;
}

static void all_fail(struct __test_metadata *_metadata,
		     const struct operation *op, uint16_t version)
{
	unsigned int n, injected = 0;
	bool happened = true;
	struct run r;

	for (n = 1; happened && n < MOST_SITES; n++) {
		EXPECT_TRUE(one_run(op, version, n, &happened, &r)) {
			TH_LOG("failure %u: %s", n, r.why);
		}
		injected += happened;
	}
	EXPECT_FALSE(happened);
	if (!op->copes)
		EXPECT_LE(1, injected);
	TH_LOG("%u failures", injected);
	EXPECT_TRUE(one_run(op, version, ALL, &happened, &r)) {
		TH_LOG("all fail: %s", r.why);
	}
}

FIXTURE(inject)
{
};

FIXTURE_VARIANT(inject)
{
	uint16_t version;
};

FIXTURE_VARIANT_ADD(inject, tls12)
{
	.version = TLS_1_2_VERSION,
};

FIXTURE_VARIANT_ADD(inject, tls13)
{
	.version = TLS_1_3_VERSION,
};

FIXTURE_SETUP(inject)
{
	signal(SIGPIPE, SIG_IGN);
	if (!injection())
		SKIP(return, "this kernel cannot inject failures");
}

FIXTURE_TEARDOWN(inject)
{
	close(nth_fd);
	close(all_fd);
}

#define TEST_FAILS(test, ...)						\
	TEST_F(inject, test)						\
	{								\
		static const struct operation op = {			\
			.name = #test, __VA_ARGS__			\
		};							\
									\
		all_fail(_metadata, &op, variant->version);		\
	}

/* What the others rely on. */
TEST_F(inject, failures_are_seen)
{
	int p[2], i, fd;
	char byte;

	ASSERT_EQ(0, pipe(p));
	ASSERT_EQ(1, write(p[1], "x", 1));
	arm(1);
	EXPECT_EQ(-1, read(p[0], &byte, 1));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_TRUE(disarm());
	EXPECT_EQ(1, read(p[0], &byte, 1));
	/* Now and then it meets a checker's own allocation, which does not mind. */
	for (i = 0, fd = 0; i < 20 && fd >= 0; i++) {
		arm(1);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		EXPECT_TRUE(disarm());
		close(fd);
	}
	EXPECT_EQ(-1, fd);
	for (i = 0; i < 20; i++) {
		starve(true);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		starve(false);
		EXPECT_EQ(-1, fd);
	}
	fd = socket(AF_INET, SOCK_STREAM, 0);
	EXPECT_LE(0, fd);
	close(fd);
	close(p[0]);
	close(p[1]);
}

TEST_FAILS(attaching, plain, call_attach, check_attached)
TEST_FAILS(sending_key, receiver_ready, call_tx_key, check_tx_key)
TEST_FAILS(receiving_key, sent_early, call_rx_key, check_rx_key)
TEST_FAILS(reading_the_key_back, ready, call_get_key, check_told)
TEST_FAILS(sending_a_byte, ready_1, call_send, check_sent)
TEST_FAILS(sending_a_record, ready_16k, call_send, check_sent)
TEST_FAILS(sending_several_records, ready_64k, call_send, check_sent)
TEST_FAILS(sending_without_waiting, ready_64k, call_send_at_once, check_sent)
TEST_FAILS(sending_what_belongs_to_an_open_record, ready_more, call_send,
	   check_sent)
TEST_FAILS(sending_many_pieces, ready_16k, call_writev, check_sent)
TEST_FAILS(sending_a_file, ready_file, call_sendfile, check_sent)
TEST_FAILS(sending_a_file_that_stays, ready_file_that_stays, call_sendfile,
	   check_sent)
TEST_FAILS(sending_a_pipe, ready_pipe, call_splice_in, check_spliced)
TEST_FAILS(sending_a_control_record, ready, call_control, check_control_sent)
TEST_FAILS(sending_a_control_record_after_an_open_one, ready_more,
	   call_control, check_control_sent)
TEST_FAILS(receiving_a_small_record, sent_small, call_recv, check_received)
TEST_FAILS(receiving_large_records, sent_large, call_recv, check_received)
TEST_FAILS(receiving_a_part_of_a_record, sent_large, call_recv_short,
	   check_received)
TEST_FAILS(receiving_what_came_in_pieces, sent_in_pieces, call_recv,
	   check_received)
TEST_FAILS(receiving_a_control_record, sent_control, call_recv_control,
	   check_control_received)
TEST_FAILS(peeking, sent_large, call_peek, check_peeked)
TEST_FAILS(splicing_to_a_pipe, sent_to_pipe, call_splice_out,
	   check_spliced_out)
TEST_FAILS(ending_with_a_record_open, ready_more, call_shutdown,
	   check_shut_down, .copes = true)
TEST_FAILS(closing_with_a_record_open, ready_more, call_close, check_closed,
	   .copes = true)

TEST_F(inject, updating_the_receiving_key)
{
	static const struct operation op = {
		"updating_the_receiving_key", updated, call_rx_rekey,
		check_rx_rekey, false,
	};

	if (variant->version == TLS_1_3_VERSION)
		all_fail(_metadata, &op, variant->version);
}

TEST_F(inject, updating_the_sending_key)
{
	static const struct operation op = {
		"updating_the_sending_key", updated, call_tx_rekey,
		check_tx_rekey, false,
	};

	if (variant->version == TLS_1_3_VERSION)
		all_fail(_metadata, &op, variant->version);
}

TEST_HARNESS_MAIN
