// SPDX-License-Identifier: GPL-2.0
/*
 * The tracepoints: each is enabled alone, in a trace instance of its own, made
 * to happen, and seen with what it promises to tell.
 */

#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "tls_test.h"
#include "netns.h"
#include "faults.h"

#include <sys/mount.h>
#include <sys/stat.h>

#define TRACEFS	"/sys/kernel/tracing"

/* One line of the trace: which event, of which socket, and the rest. */
struct event {
	char name[32];
	char sk[24];
	unsigned int sport;
	unsigned int dport;
	char rest[128];
};

/* A trace instance: others may trace at the same time. */
struct ring {
	char dir[64];
	struct event event[64];
	int num;
};

static int write_file(const char *dir, const char *name, const char *text)
{
	char path[192];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_TRUNC);
	if (fd < 0)
		return -1;
	ret = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
	close(fd);
	return ret;
}

static int ring_open(struct ring *r)
{
	snprintf(r->dir, sizeof(r->dir), TRACEFS "/instances/tls-%d", getpid());
	return mkdir(r->dir, 0700);
}

static int ring_enable(const struct ring *r, const char *event, bool on)
{
	char name[64];

	snprintf(name, sizeof(name), "events/tls/%s/enable", event);
	return write_file(r->dir, name, on ? "1" : "0");
}

/* What was traced since the last call; -1 when a line makes no sense. */
static int ring_read(struct ring *r)
{
	char path[128], line[512], *at;
	FILE *f;

	snprintf(path, sizeof(path), "%s/trace", r->dir);
	f = fopen(path, "r");
	if (!f)
		return -1;
	for (r->num = 0; fgets(line, sizeof(line), f);) {
		struct event *e = &r->event[r->num];

		if (line[0] == '#')
			continue;
		/* "task-pid [cpu] flags seconds: event: fields" */
		at = strstr(line, ": tls_");
		if (!at || r->num == 64 ||
		    sscanf(at, ": %31[^:]: sk=%23s sport=%u dport=%u %127[^\n]",
			   e->name, e->sk, &e->sport, &e->dport, e->rest) != 5) {
			r->num = -1;
			break;
		}
		r->num++;
	}
	fclose(f);
	/* Nothing is left for the next call. */
	return write_file(r->dir, "trace", "") ? -1 : r->num;
}

static unsigned int port(int fd)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);

	return getsockname(fd, (void *)&sa, &len) ? 0 : ntohs(sa.sin_port);
}

/* What is in place @i is of @fd, connected to @peer, and tells @... */
#define EXPECT_EVENT(i, event_, fd, peer, ...) do {			\
	const struct event *e_ = &self->ring.event[i];			\
	char want_[128];						\
									\
	snprintf(want_, sizeof(want_), __VA_ARGS__);			\
	EXPECT_STREQ(event_, e_->name);					\
	EXPECT_STREQ(want_, e_->rest);					\
	EXPECT_EQ(port(fd), e_->sport);					\
	EXPECT_EQ(port(peer), e_->dport);				\
	EXPECT_STREQ(self->ring.event[0].sk, e_->sk);			\
} while (0)

FIXTURE(trace)
{
	struct ring ring;
	int a, b;
};

FIXTURE_VARIANT(trace)
{
	uint16_t version;
};

FIXTURE_VARIANT_ADD(trace, tls12)
{
	.version = TLS_1_2_VERSION,
};

FIXTURE_VARIANT_ADD(trace, tls13)
{
	.version = TLS_1_3_VERSION,
};

FIXTURE_SETUP(trace)
{
	memset(&self->ring, 0, sizeof(self->ring));
	self->a = -1;
	self->b = -1;
	if (access(TRACEFS "/instances", F_OK))
		mount("tracefs", TRACEFS, "tracefs", 0, NULL);
	if (access(TRACEFS "/instances", F_OK))
		SKIP(return, "this kernel does not trace events");
	ASSERT_EQ(0, own_netns());
	ASSERT_EQ(0, ring_open(&self->ring));
}

FIXTURE_TEARDOWN(trace)
{
	close(self->a);
	close(self->b);
	if (self->ring.dir[0])
		EXPECT_EQ(0, rmdir(self->ring.dir));
}

TEST_F(trace, tells_no_more_than_what_is_enabled)
{
	char text[16];

	ASSERT_EQ(0, tls_pair(variant->version, TLS_CIPHER_AES_GCM_128,
			      &self->a, &self->b));
	ASSERT_EQ(0, ring_enable(&self->ring, "tls_abort", true));
	ASSERT_EQ(5, send(self->a, "hello", 5, 0));
	ASSERT_EQ(5, recv(self->b, text, sizeof(text), 0));
	EXPECT_EQ(0, ring_read(&self->ring));

	ASSERT_EQ(0, ring_enable(&self->ring, "tls_record_sent", true));
	ASSERT_EQ(5, send(self->a, "hello", 5, 0));
	ASSERT_EQ(5, recv(self->b, text, sizeof(text), 0));
	EXPECT_EQ(1, ring_read(&self->ring));
	ASSERT_EQ(0, ring_enable(&self->ring, "tls_record_sent", false));
	ASSERT_EQ(5, send(self->a, "hello", 5, 0));
	EXPECT_EQ(0, ring_read(&self->ring));
}

TEST_F(trace, record_sent_tells_number_type_and_length)
{
	static char text[40000];

	ASSERT_EQ(0, tls_pair(variant->version, TLS_CIPHER_AES_GCM_128,
			      &self->a, &self->b));
	ASSERT_EQ(0, ring_enable(&self->ring, "tls_record_sent", true));
	ASSERT_EQ(5, send(self->a, text, 5, 0));
	ASSERT_EQ(sizeof(text), send(self->a, text, sizeof(text), 0));
	ASSERT_EQ(2, send_type(self->a, TYPE_ALERT, "\1\0", 2, 0));
	/* This one is made when it ends. */
	ASSERT_EQ(3, send(self->a, text, 3, MSG_MORE));
	ASSERT_EQ(5, ring_read(&self->ring));
	EXPECT_EVENT(0, "tls_record_sent", self->a, self->b,
		     "seq=0 type=23 len=5");
	EXPECT_EVENT(1, "tls_record_sent", self->a, self->b,
		     "seq=1 type=23 len=16384");
	EXPECT_EVENT(2, "tls_record_sent", self->a, self->b,
		     "seq=2 type=23 len=16384");
	EXPECT_EVENT(3, "tls_record_sent", self->a, self->b,
		     "seq=3 type=23 len=7232");
	EXPECT_EVENT(4, "tls_record_sent", self->a, self->b,
		     "seq=4 type=21 len=2");
	ASSERT_EQ(4, send(self->a, text, 4, 0));
	ASSERT_EQ(1, ring_read(&self->ring));
	EXPECT_EVENT(0, "tls_record_sent", self->a, self->b,
		     "seq=5 type=23 len=7");
}

TEST_F(trace, record_received_tells_number_type_and_length)
{
	bool pads = variant->version == TLS_1_3_VERSION;
	unsigned char rec[512];
	char text[64];
	size_t n = 0;
	int type;

	ASSERT_EQ(0, raw_pair(variant->version, TLS_CIPHER_AES_GCM_128,
			      &self->a, &self->b));
	ASSERT_EQ(0, ring_enable(&self->ring, "tls_record_received", true));
	n += make_record(rec + n, variant->version, 0, TYPE_DATA, "hello", 5,
			 0);
	n += make_record(rec + n, variant->version, 1, TYPE_DATA, "", 0, 0);
	n += make_record(rec + n, variant->version, 2, TYPE_DATA, "abc", 3,
			 pads ? 50 : 0);
	n += make_record(rec + n, variant->version, 3, TYPE_HANDSHAKE, "\1\0", 2,
			 pads ? 9 : 0);
	ASSERT_EQ(n, send(self->a, rec, n, 0));
	ASSERT_EQ(5 + 3, recv_all(self->b, text, 5 + 3));
	ASSERT_EQ(2, recv_type(self->b, &type, text, sizeof(text), 0));
	ASSERT_EQ(4, ring_read(&self->ring));
	EXPECT_EVENT(0, "tls_record_received", self->b, self->a,
		     "seq=0 type=23 len=5");
	EXPECT_EVENT(1, "tls_record_received", self->b, self->a,
		     "seq=1 type=23 len=0");
	EXPECT_EVENT(2, "tls_record_received", self->b, self->a,
		     "seq=2 type=23 len=3");
	EXPECT_EVENT(3, "tls_record_received", self->b, self->a,
		     "seq=3 type=22 len=2");
}

TEST_F(trace, decrypt_retry_tells_what_was_not_predicted)
{
	/* Large enough that its type is predicted. */
	static unsigned char rec[6000], text[6000];
	const int len = 5000;
	int one = 1, type;
	size_t n;

	/* TLS 1.2 has nothing to predict. */
	ASSERT_EQ(0, raw_pair(variant->version, TLS_CIPHER_AES_GCM_128,
			      &self->a, &self->b));
	ASSERT_EQ(0, ring_enable(&self->ring, "tls_decrypt_retry", true));
	n = make_record(rec, variant->version, 0, TYPE_DATA, text, len, 0);
	ASSERT_EQ(n, send(self->a, rec, n, 0));
	ASSERT_EQ(len, recv_type(self->b, &type, text, sizeof(text), 0));
	n = make_record(rec, variant->version, 1, TYPE_ALERT, text, len, 0);
	ASSERT_EQ(n, send(self->a, rec, n, 0));
	ASSERT_EQ(len, recv_type(self->b, &type, text, sizeof(text), 0));
	if (variant->version == TLS_1_2_VERSION) {
		EXPECT_EQ(0, ring_read(&self->ring));
		return;
	}
	ASSERT_EQ(1, ring_read(&self->ring));
	EXPECT_EVENT(0, "tls_decrypt_retry", self->b, self->a,
		     "seq=1 type=21 len=5001");

	ASSERT_EQ(0, setsockopt(self->b, SOL_TLS, TLS_RX_EXPECT_NO_PAD, &one,
				sizeof(one)));
	n = make_record(rec, variant->version, 2, TYPE_DATA, text, len, 7);
	ASSERT_EQ(n, send(self->a, rec, n, 0));
	ASSERT_EQ(len, recv(self->b, text, sizeof(text), 0));
	ASSERT_EQ(1, ring_read(&self->ring));
	EXPECT_EVENT(0, "tls_decrypt_retry", self->b, self->a,
		     "seq=2 type=0 len=5008");
}

TEST_F(trace, key_update_tells_direction_generation_number_and_result)
{
	char text[16];

	ASSERT_EQ(0, tls_pair(variant->version, TLS_CIPHER_AES_GCM_128,
			      &self->a, &self->b));
	ASSERT_EQ(0, ring_enable(&self->ring, "tls_key_update", true));
	if (variant->version == TLS_1_2_VERSION) {
		EXPECT_EQ(-1, set_key_at(self->a, TLS_TX, variant->version, 0));
		EXPECT_EQ(0, ring_read(&self->ring));
		return;
	}

	ASSERT_EQ(0, set_key_at(self->a, TLS_TX, variant->version, 7));
	ASSERT_EQ(0, set_key_at(self->b, TLS_RX, variant->version, 7));
	ASSERT_EQ(2, ring_read(&self->ring));
	EXPECT_EVENT(0, "tls_key_update", self->a, self->b,
		     "tx generation=1 seq=7 err=0");
	self->ring.event[0] = self->ring.event[1];
	EXPECT_EVENT(1, "tls_key_update", self->b, self->a,
		     "rx generation=1 seq=7 err=0");

	/* What fails leaves the key as it is: two records further. */
	ASSERT_EQ(3, send(self->a, "abc", 3, 0));
	ASSERT_EQ(3, send(self->a, "def", 3, 0));
	ASSERT_EQ(6, recv_all(self->b, text, 6));
	EXPECT_EQ(-1, set_key(self->a, TLS_TX, variant->version,
			      TLS_CIPHER_AES_GCM_256, 1));
	EXPECT_EQ(0, set_key_at(self->a, TLS_TX, variant->version, 0));
	ASSERT_EQ(2, ring_read(&self->ring));
	EXPECT_EVENT(0, "tls_key_update", self->a, self->b,
		     "tx generation=1 seq=9 err=%d", -EINVAL);
	EXPECT_EVENT(1, "tls_key_update", self->a, self->b,
		     "tx generation=2 seq=0 err=0");

	EXPECT_EQ(-1, setsockopt(self->b, SOL_TLS, TLS_RX, NULL, 40));
	EXPECT_EQ(0, set_key_at(self->b, TLS_RX, variant->version, 0));
	ASSERT_EQ(2, ring_read(&self->ring));
	EXPECT_EVENT(0, "tls_key_update", self->b, self->a,
		     "rx generation=1 seq=9 err=%d", -EFAULT);
	EXPECT_EVENT(1, "tls_key_update", self->b, self->a,
		     "rx generation=2 seq=0 err=0");
}

TEST_F(trace, abort_tells_direction_reason_and_errno_once)
{
	unsigned int i;

	ASSERT_EQ(0, ring_enable(&self->ring, "tls_abort", true));
	for (i = 0; i < NUM_FAULTS; i++) {
		const struct fault *f = &faults[i];

		if (f->version != variant->version)
			continue;
		ASSERT_EQ(f->told, provoke(f, &self->a, &self->b)) {
			TH_LOG("%s", f->name);
		}
		EXPECT_EQ(1, ring_read(&self->ring)) {
			TH_LOG("%s", f->name);
		}
		EXPECT_EVENT(0, "tls_abort", self->a, self->b,
			     "%s reason=%s err=%d", f->rx ? "rx" : "tx",
			     f->reason, f->err);
		close(self->a);
		close(self->b);
	}
}

/* Tools read them from here, and not from the text above. */
TEST_F(trace, formats_name_every_field)
{
	static const char *const fields[][8] = {
		{ "tls_record_sent", "seq", "len", "type" },
		{ "tls_record_received", "seq", "len", "type" },
		{ "tls_decrypt_retry", "seq", "len", "type" },
		{ "tls_key_update", "rx", "generation", "seq", "err" },
		{ "tls_abort", "rx", "reason", "err" },
		{ "tls_device_lost", "rx", "seq", "expected" },
		{ "tls_device_resync", "rx", "seq", "sn", "err" },
	};
	static const char *const common[] = { "sk", "sport", "dport" };
	static char text[8192];
	char path[128], word[32];
	unsigned int i, j;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		ssize_t n;
		int fd;

		snprintf(path, sizeof(path), TRACEFS "/events/tls/%s/format",
			 fields[i][0]);
		fd = open(path, O_RDONLY);
		ASSERT_LE(0, fd) {
			TH_LOG("%s", path);
		}
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
		ASSERT_LT(0, n);
		text[n] = '\0';
		for (j = 0; j < 3 + 7; j++) {
			const char *name = j < 3 ? common[j] :
						   fields[i][j - 2];

			if (!name)
				break;
			snprintf(word, sizeof(word), " %s;", name);
			EXPECT_NE(NULL, strstr(text, word)) {
				TH_LOG("%s: no field %s", fields[i][0], name);
			}
		}
		/* Enabled by a tool, by name or all of a system at once. */
		EXPECT_EQ(0, ring_enable(&self->ring, fields[i][0], true));
	}
	EXPECT_EQ(0, write_file(self->ring.dir, "events/tls/enable", "0"));
	EXPECT_EQ(0, write_file(self->ring.dir, "events/tls/enable", "1"));
}

TEST_HARNESS_MAIN
