// SPDX-License-Identifier: GPL-2.0
/*
 * The C code of the user's guide, compiled as it stands there and run. What is
 * not called here does not compile: every function of it is static.
 */

#pragma GCC diagnostic error "-Wunused-function"
/* Made from tls.rst by examples.awk. It brings the headers that it names. */
#include "examples.h"
#pragma GCC diagnostic warning "-Wunused-function"

#include "../../kselftest_harness.h"
#include "tls_test.h"

static const struct tls_secrets there = {
	.key = "key one.key one", .nonce = "nonce one..",
};

static const struct tls_secrets back = {
	.key = "key two.key two", .nonce = "nonce two..",
};

static const struct tls_secrets next = {
	.key = "key 3...key 3..", .nonce = "nonce 3....",
};

FIXTURE(guide)
{
	int a, b;
};

FIXTURE_VARIANT(guide)
{
	int version;
};

FIXTURE_VARIANT_ADD(guide, tls12)
{
	.version = TLS_1_2_VERSION,
};

FIXTURE_VARIANT_ADD(guide, tls13)
{
	.version = TLS_1_3_VERSION,
};

FIXTURE_SETUP(guide)
{
	int version = variant->version;

	ASSERT_EQ(0, tcp_pair(AF_INET, &self->a, &self->b));
	ASSERT_EQ(0, tls_attach(self->a));
	ASSERT_EQ(0, tls_attach(self->b));
	ASSERT_EQ(0, tls_set_key(self->a, TLS_TX, version, &there));
	ASSERT_EQ(0, tls_set_key(self->b, TLS_RX, version, &there));
	ASSERT_EQ(0, tls_set_key(self->b, TLS_TX, version, &back));
	ASSERT_EQ(0, tls_set_key(self->a, TLS_RX, version, &back));
}

FIXTURE_TEARDOWN(guide)
{
	close(self->a);
	close(self->b);
}

TEST_F(guide, attach_and_keys)
{
	char text[16];
	int fd, peer;

	EXPECT_EQ(5, send(self->a, "hello", 5, 0));
	EXPECT_EQ(5, recv(self->b, text, sizeof(text), 0));
	EXPECT_EQ(0, memcmp(text, "hello", 5));
	EXPECT_EQ(3, send(self->b, "hey", 3, 0));
	EXPECT_EQ(3, recv(self->a, text, sizeof(text), 0));
	EXPECT_EQ(0, memcmp(text, "hey", 3));

	EXPECT_EQ(-1, tls_attach(self->a));
	EXPECT_EQ(EEXIST, errno);
	ASSERT_EQ(0, tcp_pair(AF_INET, &fd, &peer));
	ASSERT_EQ(0, tls_attach(fd));
	EXPECT_EQ(-1, tls_set_key(fd, TLS_TX, 0x0302, &there));
	EXPECT_EQ(EINVAL, errno);
	close(fd);
	close(peer);
}

TEST_F(guide, state)
{
	struct tls_secrets later = there;
	unsigned long long number = 77;
	int fd, peer;

	EXPECT_EQ(0, tls_next_number(self->a, TLS_TX, &number));
	EXPECT_EQ(0, number);
	EXPECT_EQ(3, send(self->a, "abc", 3, 0));
	EXPECT_EQ(3, send(self->a, "def", 3, 0));
	EXPECT_EQ(0, tls_next_number(self->a, TLS_TX, &number));
	EXPECT_EQ(2, number);
	EXPECT_EQ(0, tls_next_number(self->b, TLS_RX, &number));
	EXPECT_EQ(0, number);

	ASSERT_EQ(0, tcp_pair(AF_INET, &fd, &peer));
	ASSERT_EQ(0, tls_attach(fd));
	EXPECT_EQ(-1, tls_next_number(fd, TLS_TX, &number));
	EXPECT_EQ(EBUSY, errno);
	later.rec_seq[6] = 1;
	later.rec_seq[7] = 2;
	ASSERT_EQ(0, tls_set_key(fd, TLS_TX, variant->version, &later));
	EXPECT_EQ(0, tls_next_number(fd, TLS_TX, &number));
	EXPECT_EQ(0x102, number);
	close(fd);
	close(peer);
}

TEST_F(guide, header_and_file)
{
	int file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	static char text[30000], got[30010];
	unsigned long long number;

	ASSERT_LE(0, file);
	fill(text, sizeof(text), 3);
	ASSERT_EQ(sizeof(text), write(file, text, sizeof(text)));
	ASSERT_EQ(0, tls_send_file(self->a, "0123456789", file, sizeof(text)));
	ASSERT_EQ(sizeof(got), recv_all(self->b, got, sizeof(got)));
	EXPECT_EQ(0, memcmp(got, "0123456789", 10));
	EXPECT_EQ(0, memcmp(got + 10, text, sizeof(text)));
	/* The header is in the first of two records. */
	EXPECT_EQ(0, tls_next_number(self->a, TLS_TX, &number));
	EXPECT_EQ(2, number);
	close(file);
}

TEST_F(guide, control_records_and_goodbye)
{
	unsigned char type = 0, text[64];

	ASSERT_EQ(4, send(self->a, "data", 4, 0));
	ASSERT_EQ(7, tls_send_record(self->a, TLS_HANDSHAKE, "message", 7));
	ASSERT_EQ(0, tls_say_goodbye(self->a));

	ASSERT_EQ(4, tls_receive_record(self->b, &type, text, sizeof(text)));
	EXPECT_EQ(TLS_DATA, type);
	/* Without room for the type, it stays. */
	EXPECT_EQ(-1, recv(self->b, text, sizeof(text), 0));
	EXPECT_EQ(EIO, errno);
	ASSERT_EQ(7, tls_receive_record(self->b, &type, text, sizeof(text)));
	EXPECT_EQ(TLS_HANDSHAKE, type);
	EXPECT_EQ(0, memcmp(text, "message", 7));
	ASSERT_EQ(2, tls_receive_record(self->b, &type, text, sizeof(text)));
	EXPECT_EQ(TLS_ALERT, type);
	EXPECT_EQ(1, text[0]);
	EXPECT_EQ(0, text[1]);
	EXPECT_EQ(0, tls_receive_record(self->b, &type, text, sizeof(text)));
}

TEST_F(guide, fatal_alerts)
{
	static const struct {
		int error;
		unsigned char alert;
	} answers[] = {
		{ EMSGSIZE, 22 }, { EINVAL, 70 }, { EBADMSG, 20 },
	};
	unsigned char type, text[16];
	unsigned int i;

	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		EXPECT_EQ(0, tls_send_fatal(self->b, answers[i].error));
		EXPECT_EQ(2, tls_receive_record(self->a, &type, text,
						sizeof(text)));
		EXPECT_EQ(TLS_ALERT, type);
		EXPECT_EQ(2, text[0]);
		EXPECT_EQ(answers[i].alert, text[1]);
	}
	EXPECT_EQ(-1, tls_send_fatal(self->b, EAGAIN));
}

/* As it goes: receiving has failed, and the peer is told. */
TEST(fatal_alert_after_a_bad_record)
{
	static const unsigned char junk[100] = { 23, 3, 3, 0, 95 };
	unsigned char type, text[16];
	int a, b;

	ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
	ASSERT_EQ(0, tls_attach(a));
	ASSERT_EQ(0, tls_attach(b));
	ASSERT_EQ(0, tls_set_key(a, TLS_RX, TLS_1_3_VERSION, &back));
	ASSERT_EQ(0, tls_set_key(b, TLS_RX, TLS_1_3_VERSION, &there));
	ASSERT_EQ(0, tls_set_key(b, TLS_TX, TLS_1_3_VERSION, &back));
	ASSERT_EQ(sizeof(junk), send(a, junk, sizeof(junk), 0));
	ASSERT_EQ(-1, tls_receive_record(b, &type, text, sizeof(text)));
	ASSERT_EQ(0, tls_send_fatal(b, errno));
	ASSERT_EQ(2, tls_receive_record(a, &type, text, sizeof(text)));
	EXPECT_EQ(TLS_ALERT, type);
	EXPECT_EQ(20, text[1]);
	close(a);
	close(b);
}

static int asked = -1;

static int set_next_key(int fd, int peer_asks)
{
	asked = peer_asks;
	return tls_set_key(fd, TLS_RX, TLS_1_3_VERSION, &next);
}

static int have_no_key(int fd, int peer_asks)
{
	errno = ENOKEY;
	return -1;
}

TEST_F(guide, key_update)
{
	unsigned long long number;
	char text[16];
	int ask;

	if (variant->version == TLS_1_2_VERSION) {
		/* The message goes out; the key does not change. */
		EXPECT_EQ(-1, tls_update_sending(self->a, 0, &next));
		EXPECT_EQ(-1, tls_set_key(self->a, TLS_TX, TLS_1_2_VERSION,
					  &next));
		EXPECT_EQ(EBUSY, errno);
		return;
	}
	for (ask = 0; ask < 2; ask++) {
		ASSERT_EQ(3, send(self->a, "old", 3, 0));
		ASSERT_EQ(0, tls_update_sending(self->a, ask, &next));
		EXPECT_EQ(0, tls_next_number(self->a, TLS_TX, &number));
		EXPECT_EQ(0, number);
		ASSERT_EQ(3, send(self->a, "new", 3, 0));
		ASSERT_EQ(3, tls_read(self->b, text, sizeof(text),
				      set_next_key));
		EXPECT_EQ(0, memcmp(text, "old", 3));
		ASSERT_EQ(3, tls_read(self->b, text, sizeof(text),
				      set_next_key));
		EXPECT_EQ(0, memcmp(text, "new", 3));
		EXPECT_EQ(ask, asked);
	}
	/* Reading stops, and says so. */
	ASSERT_EQ(0, tls_update_sending(self->a, 0, &there));
	ASSERT_EQ(3, send(self->a, "new", 3, 0));
	EXPECT_EQ(-1, tls_read(self->b, text, sizeof(text), have_no_key));
	EXPECT_EQ(ENOKEY, errno);
	EXPECT_EQ(-1, tls_read(self->b, text, sizeof(text), have_no_key));
	EXPECT_EQ(EKEYEXPIRED, errno);
}

TEST_F(guide, reading_ends_with_close_notify_alone)
{
	char text[16];

	ASSERT_EQ(3, send(self->a, "abc", 3, 0));
	ASSERT_EQ(0, tls_say_goodbye(self->a));
	EXPECT_EQ(3, tls_read(self->b, text, sizeof(text), have_no_key));
	EXPECT_EQ(0, tls_read(self->b, text, sizeof(text), have_no_key));

	/* The other way, an end that nobody has announced. */
	ASSERT_EQ(3, send(self->b, "abc", 3, 0));
	ASSERT_EQ(0, shutdown(self->b, SHUT_WR));
	EXPECT_EQ(3, tls_read(self->a, text, sizeof(text), have_no_key));
	EXPECT_EQ(-1, tls_read(self->a, text, sizeof(text), have_no_key));
	EXPECT_EQ(EPROTO, errno);
}

TEST_F(guide, limit)
{
	int version = variant->version;
	unsigned long long number;
	char text[1000];

	ASSERT_EQ(0, tls_limit_records(self->a, version, 101));
	ASSERT_EQ(sizeof(text), send(self->a, text, sizeof(text), 0));
	EXPECT_EQ(0, tls_next_number(self->a, TLS_TX, &number));
	/* Ten of 100 bytes; TLS 1.2 counts no content type: 101 bytes. */
	EXPECT_EQ(10, number);
	ASSERT_EQ(0, tls_limit_records(self->a, version, 64));
	EXPECT_EQ(-1, tls_limit_records(self->a, version, 63));
	EXPECT_EQ(EINVAL, errno);
	ASSERT_EQ(63, send(self->a, text, 63, 0));
	ASSERT_EQ(64, send(self->a, text, 64, 0));
	EXPECT_EQ(0, tls_next_number(self->a, TLS_TX, &number));
	EXPECT_EQ(version == TLS_1_3_VERSION ? 13 : 12, number);
}

TEST_F(guide, counter)
{
	long long before = tls_counter("TlsTxRecords");

	ASSERT_LE(0, before);
	ASSERT_EQ(3, send(self->a, "abc", 3, 0));
	/* Others in this namespace may send too. */
	EXPECT_LT(before, tls_counter("TlsTxRecords"));
	EXPECT_LE(2, tls_counter("TlsCurrTxSw"));
	EXPECT_EQ(-1, tls_counter("TlsNothing"));
}

TEST_HARNESS_MAIN
