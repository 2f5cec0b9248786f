// SPDX-License-Identifier: GPL-2.0
/*
 * What /proc/net/tls_stat counts, in a network namespace of its own: every
 * counter is looked at, those that should not move too.
 */

#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "tls_test.h"
#include "netns.h"
#include "faults.h"

/* In this order, and new ones behind. */
static const char *const names[] = {
	"TlsCurrTxSw", "TlsCurrRxSw", "TlsCurrTxDevice", "TlsCurrRxDevice",
	"TlsTxSw", "TlsRxSw", "TlsTxDevice", "TlsRxDevice",
	"TlsDecryptError", "TlsRxDeviceResync", "TlsDecryptRetry",
	"TlsRxNoPadViolation", "TlsTxRekeyOk", "TlsRxRekeyOk",
	"TlsTxRekeyError", "TlsRxRekeyError", "TlsRxRekeyReceived",
	"TlsTxRecords", "TlsRxRecords",
	"TlsAbortVersion", "TlsAbortLength", "TlsAbortType", "TlsAbortTag",
	"TlsAbortPadding", "TlsAbortTruncated", "TlsAbortSequence",
	"TlsAbortCipher",
};

#define NUM_NAMES	(sizeof(names) / sizeof(names[0]))

struct counters {
	char name[64][40];
	long value[64];
	unsigned int num;
};

/* All of them; none when the file is not what it should be. */
static struct counters counters(void)
{
	FILE *f = fopen("/proc/net/tls_stat", "r");
	struct counters c = {};
	char line[128], rest;

	if (!f)
		return c;
	while (fgets(line, sizeof(line), f)) {
		if (c.num == 64 || sscanf(line, "%39s %ld%c", c.name[c.num],
					  &c.value[c.num], &rest) != 3 ||
		    rest != '\n') {
			c.num = 0;
			break;
		}
		c.num++;
	}
	fclose(f);
	return c;
}

struct move {
	const char *name;
	long by;
};

/* Since @before, these have moved, and no other. */
#define EXPECT_MOVED(before, ...)					\
	expect_moved(_metadata, __LINE__, before, (const struct move[]){ \
			     __VA_ARGS__ __VA_OPT__(,) {} })

static void expect_moved(struct __test_metadata *_metadata, int line,
			 const struct counters *before, const struct move *m)
{
	struct counters now = counters();
	unsigned int i;

	EXPECT_LE(NUM_NAMES, now.num);
	for (; m->name; m++) {
		for (i = 0; i < now.num; i++)
			if (!strcmp(now.name[i], m->name))
				break;
		EXPECT_GT(now.num, i) {
			TH_LOG("no counter %s", m->name);
		}
		/* One that is given twice moves by both. */
		if (i < now.num)
			now.value[i] -= m->by;
	}
	for (i = 0; i < now.num; i++) {
		EXPECT_EQ(before->value[i], now.value[i]) {
			TH_LOG("%s, asked for in line %d", now.name[i], line);
		}
	}
}

static int set_int(int fd, int option, int value)
{
	return setsockopt(fd, SOL_TLS, option, &value, sizeof(value));
}

/* Take @len bytes and throw them away; 0 when so many came. */
static int drain(int fd, size_t len)
{
	static char junk[200000];

	return recv_all(fd, junk, len) == (ssize_t)len ? 0 : -1;
}

/* ---- the namespace ---- */

TEST(names_stand_in_their_order_and_new_ones_behind)
{
	struct counters c = counters();
	unsigned int i;

	ASSERT_LE(NUM_NAMES, c.num);
	for (i = 0; i < NUM_NAMES; i++)
		EXPECT_STREQ(names[i], c.name[i]);
}

TEST(counters_of_a_new_namespace_are_0)
{
	struct counters here, c;
	unsigned int i;
	int a, b;

	/* So that there is something not to inherit. */
	ASSERT_EQ(0, tls_pair(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, &a, &b));
	ASSERT_EQ(3, send(a, "abc", 3, 0));
	here = counters();
	EXPECT_LT(0, counter("TlsTxRecords"));
	EXPECT_LT(0, counter("TlsCurrTxSw"));

	ASSERT_EQ(0, own_netns());
	c = counters();
	ASSERT_EQ(here.num, c.num);
	for (i = 0; i < c.num; i++) {
		EXPECT_EQ(0, c.value[i]) {
			TH_LOG("%s", c.name[i]);
		}
	}
}

TEST(a_socket_counts_where_it_was_made_whoever_uses_it)
{
	struct counters before, elsewhere;
	int home, a, b;

	ASSERT_EQ(0, own_netns());
	home = open("/proc/thread-self/ns/net", O_RDONLY);
	ASSERT_LE(0, home);
	ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
	before = counters();

	ASSERT_EQ(0, own_netns());
	elsewhere = counters();
	ASSERT_EQ(0, attach(a));
	ASSERT_EQ(0, set_key(a, TLS_TX, TLS_1_3_VERSION,
			     TLS_CIPHER_AES_GCM_128, 1));
	ASSERT_EQ(3, send(a, "abc", 3, 0));
	EXPECT_MOVED(&elsewhere);

	ASSERT_EQ(0, setns(home, CLONE_NEWNET));
	EXPECT_MOVED(&before, { "TlsCurrTxSw", 1 }, { "TlsTxSw", 1 },
		     { "TlsTxRecords", 1 });
	close(a);
	close(b);
	close(home);
}

/* ---- sockets, records, keys ---- */

FIXTURE(counters)
{
	int a, b;
	struct counters before;
};

FIXTURE_VARIANT(counters)
{
	uint16_t version;
};

FIXTURE_VARIANT_ADD(counters, tls12)
{
	.version = TLS_1_2_VERSION,
};

FIXTURE_VARIANT_ADD(counters, tls13)
{
	.version = TLS_1_3_VERSION,
};

FIXTURE_SETUP(counters)
{
	ASSERT_EQ(0, own_netns());
	ASSERT_EQ(0, tls_pair(variant->version, TLS_CIPHER_AES_GCM_128,
			      &self->a, &self->b));
	self->before = counters();
}

FIXTURE_TEARDOWN(counters)
{
	close(self->a);
	close(self->b);
}

TEST_F(counters, keys_are_counted_by_direction)
{
	int a, b;

	ASSERT_EQ(0, tcp_pair(AF_INET6, &a, &b));
	ASSERT_EQ(0, attach(a));
	EXPECT_MOVED(&self->before);
	ASSERT_EQ(0, set_key(a, TLS_RX, variant->version,
			     TLS_CIPHER_SM4_GCM, 1));
	EXPECT_MOVED(&self->before, { "TlsCurrRxSw", 1 }, { "TlsRxSw", 1 });
	/* The other direction cannot have another cipher. */
	EXPECT_EQ(-1, set_key(a, TLS_TX, variant->version,
			      TLS_CIPHER_AES_GCM_128, 1));
	EXPECT_MOVED(&self->before, { "TlsCurrRxSw", 1 }, { "TlsRxSw", 1 });
	ASSERT_EQ(0, set_key(a, TLS_TX, variant->version,
			     TLS_CIPHER_SM4_GCM, 1));
	EXPECT_MOVED(&self->before, { "TlsCurrRxSw", 1 }, { "TlsRxSw", 1 },
		     { "TlsCurrTxSw", 1 }, { "TlsTxSw", 1 });
	close(a);
	EXPECT_MOVED(&self->before, { "TlsRxSw", 1 }, { "TlsTxSw", 1 });
	close(b);
}

TEST_F(counters, every_record_counts_once_at_each_end)
{
	static char text[100000];
	int type;

	/* A call makes at least one; what MSG_MORE joins is one. */
	ASSERT_EQ(1, send(self->a, text, 1, 0));
	ASSERT_EQ(1, send(self->a, text, 1, MSG_MORE));
	ASSERT_EQ(1, send(self->a, text, 1, MSG_MORE));
	EXPECT_MOVED(&self->before, { "TlsTxRecords", 1 });
	ASSERT_EQ(1, send(self->a, text, 1, 0));
	EXPECT_MOVED(&self->before, { "TlsTxRecords", 2 });
	/* 16384 bytes at a time. */
	ASSERT_EQ(40000, send(self->a, text, 40000, 0));
	EXPECT_MOVED(&self->before, { "TlsTxRecords", 5 });
	ASSERT_EQ(2, send_type(self->a, TYPE_ALERT, "\1\0", 2, 0));
	EXPECT_MOVED(&self->before, { "TlsTxRecords", 6 });

	/* Looking does not count again, nor does reading in pieces. */
	ASSERT_EQ(1, recv(self->b, text, 1, MSG_PEEK));
	ASSERT_EQ(1, recv(self->b, text, 1, MSG_PEEK));
	EXPECT_MOVED(&self->before, { "TlsTxRecords", 6 },
		     { "TlsRxRecords", 1 });
	ASSERT_EQ(0, drain(self->b, 1 + 3));
	EXPECT_MOVED(&self->before, { "TlsTxRecords", 6 },
		     { "TlsRxRecords", 2 });
	ASSERT_EQ(0, drain(self->b, 10));
	ASSERT_EQ(0, drain(self->b, 10));
	EXPECT_MOVED(&self->before, { "TlsTxRecords", 6 },
		     { "TlsRxRecords", 3 });
	ASSERT_EQ(0, drain(self->b, 40000 - 20));
	ASSERT_EQ(2, recv_type(self->b, &type, text, sizeof(text), 0));
	EXPECT_MOVED(&self->before, { "TlsTxRecords", 6 },
		     { "TlsRxRecords", 6 });
}

TEST_F(counters, records_of_every_way_to_send_and_receive)
{
	int pipe_[2], file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	static char text[50000];
	uint16_t most = 1000;
	off_t from = 0;

	ASSERT_LE(0, file);
	ASSERT_EQ(sizeof(text), write(file, text, sizeof(text)));
	ASSERT_EQ(0, setsockopt(self->a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN,
				&most, sizeof(most)));
	ASSERT_EQ(5000, sendfile(self->a, file, &from, 5000));
	ASSERT_EQ(0, pipe(pipe_));
	ASSERT_EQ(2000, write(pipe_[1], text, 2000));
	ASSERT_EQ(2000, splice(pipe_[0], NULL, self->a, NULL, 2000, 0));
	ASSERT_EQ(999, write(self->a, text, 999));
	EXPECT_MOVED(&self->before, { "TlsTxRecords", 8 });

	for (from = 0; from < 7000;) {
		ssize_t n = splice(self->b, NULL, pipe_[1], NULL, 7000 - from,
				   0);

		ASSERT_LT(0, n);
		ASSERT_EQ(n, read(pipe_[0], text, sizeof(text)));
		from += n;
	}
	ASSERT_EQ(0, drain(self->b, 999));
	EXPECT_MOVED(&self->before, { "TlsTxRecords", 8 },
		     { "TlsRxRecords", 8 });
	close(pipe_[0]);
	close(pipe_[1]);
	close(file);
}

TEST_F(counters, processes_that_count_together_lose_nothing)
{
	enum { SENDERS = 3, RECORDS = 400 };
	int i, j, status;

	for (i = 0; i < SENDERS; i++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (pid)
			continue;
		for (j = 0; j < RECORDS; j++)
			if (send(self->a, "0123456789", 10, 0) != 10)
				_exit(1);
		_exit(0);
	}
	ASSERT_EQ(0, drain(self->b, SENDERS * RECORDS * 10));
	for (i = 0; i < SENDERS; i++) {
		ASSERT_LT(0, wait(&status));
		EXPECT_EQ(0, status);
	}
	EXPECT_MOVED(&self->before, { "TlsTxRecords", SENDERS * RECORDS },
		     { "TlsRxRecords", SENDERS * RECORDS });
}

TEST_F(counters, second_key_is_counted_as_what_became_of_it)
{
	bool updates = variant->version == TLS_1_3_VERSION;
	static const char update[] = { 24, 0, 0, 1, 0 };
	char text[16];
	int i, type;

	/* TLS 1.2 knows no KeyUpdate. */
	ASSERT_EQ(5, send_type(self->a, TYPE_HANDSHAKE, update, 5, 0));
	ASSERT_EQ(5, recv_type(self->b, &type, text, sizeof(text), 0));
	EXPECT_MOVED(&self->before, { "TlsTxRecords", 1 },
		     { "TlsRxRecords", 1 },
		     { "TlsRxRekeyReceived", updates });

	for (i = 0; i < 3; i++) {
		EXPECT_EQ(updates ? 0 : -1,
			  set_key(self->a, TLS_TX, variant->version,
				  TLS_CIPHER_AES_GCM_128, 3 + i));
		EXPECT_EQ(updates ? 0 : -1,
			  set_key(self->b, TLS_RX, variant->version,
				  TLS_CIPHER_AES_GCM_128, 3 + i));
	}
	EXPECT_EQ(-1, set_key(self->a, TLS_TX, variant->version,
			      TLS_CIPHER_AES_GCM_256, 3));
	for (i = 0; i < 2; i++)
		EXPECT_EQ(-1, set_key(self->b, TLS_RX, variant->version,
				      TLS_CIPHER_AES_GCM_256, 3));
	EXPECT_MOVED(&self->before, { "TlsTxRecords", 1 },
		     { "TlsRxRecords", 1 },
		     { "TlsRxRekeyReceived", updates },
		     { "TlsTxRekeyOk", updates ? 3 : 0 },
		     { "TlsRxRekeyOk", updates ? 3 : 0 },
		     { "TlsTxRekeyError", updates ? 1 : 0 },
		     { "TlsRxRekeyError", updates ? 2 : 0 });
}

/* ---- records made by hand ---- */

TEST(empty_records_count_though_nothing_is_read)
{
	struct counters before;
	static unsigned char rec[512];
	size_t n = 0;
	int a, b, i;

	ASSERT_EQ(0, own_netns());
	ASSERT_EQ(0, raw_pair(TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128, &a, &b));
	before = counters();
	for (i = 0; i < 4; i++)
		n += make_record(rec + n, TLS_1_2_VERSION, i, TYPE_DATA, "", 0,
				 0);
	n += make_record(rec + n, TLS_1_2_VERSION, i, TYPE_DATA, "x", 1, 0);
	ASSERT_EQ(n, send(a, rec, n, 0));
	ASSERT_EQ(0, drain(b, 1));
	EXPECT_MOVED(&before, { "TlsRxRecords", 5 });
	close(a);
	close(b);
}

TEST(records_decrypted_again_are_counted_and_padding_by_option)
{
	/* Large enough that its type is predicted. */
	static unsigned char rec[6000], text[6000];
	const int len = 5000;
	struct counters before;
	int a, b, type;
	size_t n;

	ASSERT_EQ(0, own_netns());
	ASSERT_EQ(0, raw_pair(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, &a, &b));
	before = counters();

	/* It fits the buffer and looks like data. */
	n = make_record(rec, TLS_1_3_VERSION, 0, TYPE_HANDSHAKE, text, len,
			0);
	ASSERT_EQ(n, send(a, rec, n, 0));
	ASSERT_EQ(len, recv_type(b, &type, text, sizeof(text), 0));
	EXPECT_MOVED(&before, { "TlsRxRecords", 1 }, { "TlsDecryptRetry", 1 });
	/* Nothing is predicted for a while after that. */
	n = make_record(rec, TLS_1_3_VERSION, 1, TYPE_DATA, text, len, 7);
	ASSERT_EQ(n, send(a, rec, n, 0));
	ASSERT_EQ(len, recv(b, text, sizeof(text), 0));
	EXPECT_MOVED(&before, { "TlsRxRecords", 2 }, { "TlsDecryptRetry", 1 });
	/* The option predicts always, and holds the peer to it. */
	ASSERT_EQ(0, set_int(b, TLS_RX_EXPECT_NO_PAD, 1));
	n = make_record(rec, TLS_1_3_VERSION, 2, TYPE_DATA, text, len, 7);
	ASSERT_EQ(n, send(a, rec, n, 0));
	ASSERT_EQ(len, recv(b, text, sizeof(text), 0));
	EXPECT_MOVED(&before, { "TlsRxRecords", 3 }, { "TlsDecryptRetry", 2 },
		     { "TlsRxNoPadViolation", 1 });
	close(a);
	close(b);
}

TEST(a_failed_direction_counts_once_and_by_its_reason)
{
	struct counters before;
	unsigned int i;
	int fd, peer;

	for (i = 0; i < NUM_FAULTS; i++) {
		const struct fault *f = &faults[i];
		const char *also = f->also ?: f->counter;

		ASSERT_EQ(0, own_netns());
		before = counters();
		ASSERT_EQ(f->told, provoke(f, &fd, &peer)) {
			TH_LOG("%s", f->name);
		}
		EXPECT_MOVED(&before, { f->counter, 1 },
			     { also, f->also ? 1 : 0 },
			     { f->rx ? "TlsRxRecords" : "TlsTxRecords",
			       f->records },
			     { f->rx ? "TlsRxSw" : "TlsTxSw", 1 },
			     { f->rx ? "TlsCurrRxSw" : "TlsCurrTxSw", 1 });
		close(fd);
		close(peer);
		EXPECT_MOVED(&before, { f->counter, 1 },
			     { also, f->also ? 1 : 0 },
			     { f->rx ? "TlsRxRecords" : "TlsTxRecords",
			       f->records },
			     { f->rx ? "TlsRxSw" : "TlsTxSw", 1 });
	}
}

TEST_HARNESS_MAIN
