// SPDX-License-Identifier: GPL-2.0
/*
 * NIC offload: tests are named after the promises. The NIC is tlsnic (nic/),
 * which must be loaded; each test makes devices and network name spaces of its
 * own. Two sides, A and B, are joined by a wire, or by a router with a wire to
 * each. On a sending device, netem loses segments before the device encrypts
 * them; delay and duplicates are for the router, since the stack drops what is
 * still to be encrypted and has no socket any more.
 */

#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "tls_test.h"
#include "tlsnic.h"

#include <linux/sockios.h>
#include <sys/mman.h>

FIXTURE(wire)
{
	struct net n;
	int a, b;
};

FIXTURE_SETUP(wire)
{
	ASSERT_EQ(0, net_wire(&self->n)) {
		TH_LOG("is tlsnic loaded?");
	}
}

FIXTURE_TEARDOWN(wire)
{
	close(self->a);
	close(self->b);
	/* All that a device was given is taken back. */
	EXPECT_TRUE(UNTIL(nic(self->n.na, "tx_tls_add") ==
			  nic(self->n.na, "tx_tls_del")));
	EXPECT_TRUE(UNTIL(nic(self->n.nb, "rx_tls_add") ==
			  nic(self->n.nb, "rx_tls_del")));
}

#define TEST_WIRE(name) TEST_F_TIMEOUT(wire, name, PATIENCE)

/* What the other tests rely on: clear text would be seen. */
TEST_WIRE(the_watch_sees_clear_text)
{
	ASSERT_EQ(0, join(&self->n, &self->a, &self->b));
	ASSERT_EQ(20000, transfer(self->a, self->b, 20000, 3000));
	EXPECT_LE(20000 / 64 - 20, nic(self->n.na, "watch_hits"));
	EXPECT_EQ(0, nic(self->n.na, "tx_tls_add"));
}

TEST_WIRE(device_gets_the_connection_when_keys_are_installed)
{
	static const char * const now[] = { "TlsCurrTxDevice", "TlsCurrRxDevice",
					    "TlsTxDevice", "TlsRxDevice" };
	struct net *n = &self->n;
	int i;

	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(1, stat_in(n->a, now[i]));
		EXPECT_EQ(1, stat_in(n->b, now[i]));
	}
	EXPECT_EQ(0, stat_in(n->a, "TlsTxSw"));
	EXPECT_EQ(0, stat_in(n->b, "TlsRxSw"));
	EXPECT_EQ(1, nic(n->na, "tx_tls_add"));
	EXPECT_EQ(1, nic(n->nb, "rx_tls_add"));
	EXPECT_EQ(0, run_in(n->a, "ss -tinH | grep -q 'rxconf: hw txconf: hw'"));

	ASSERT_EQ(300000, transfer(self->a, self->b, 300000, 20000));
	ASSERT_EQ(100000, transfer(self->b, self->a, 100000, 20000));
	/* 15 calls of 20000 bytes are two records each. */
	EXPECT_EQ(30, nic(n->na, "tx_tls_records"));
	EXPECT_EQ(30, nic(n->nb, "rx_tls_records"));
	EXPECT_EQ(10, nic(n->nb, "tx_tls_records"));
	EXPECT_EQ(10, nic(n->na, "rx_tls_records"));
	EXPECT_EQ(300000 + 30 * 29, nic(n->na, "tx_tls_encrypted_bytes"));
	EXPECT_EQ(300000 + 30 * 29, nic(n->nb, "rx_tls_decrypted_bytes"));
	EXPECT_EQ(0, nic(n->nb, "rx_tls_passed"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
	EXPECT_SECRET(n->na);
	EXPECT_SECRET(n->nb);

	close(self->a);
	close(self->b);
	EXPECT_TRUE(UNTIL(stat_in(n->a, "TlsCurrTxDevice") == 0));
	EXPECT_TRUE(UNTIL(stat_in(n->b, "TlsCurrRxDevice") == 0));
}

/* What a packet socket on the other side of the wire sees. */
TEST_WIRE(no_plaintext_leaves_by_the_device)
{
	struct sockaddr_ll sll = { .sll_family = AF_PACKET,
				   .sll_protocol = htons(ETH_P_ALL) };
	static unsigned char frame[70000];
	struct net *n = &self->n;
	int tap, size = 8 << 20;
	size_t seen = 0;
	ssize_t len;

	ASSERT_EQ(0, run_in(n->b, "ethtool -K %s tls-hw-rx-offload off",
			    n->nb));
	tap = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	ASSERT_LE(0, tap);
	setsockopt(tap, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	sll.sll_ifindex = if_nametoindex(n->nb);
	ASSERT_EQ(0, bind(tap, (void *)&sll, sizeof(sll)));

	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	ASSERT_EQ(100000, transfer(self->a, self->b, 100000, 5000));
	EXPECT_EQ(1, stat_in(n->a, "TlsTxDevice"));
	EXPECT_EQ(1, stat_in(n->b, "TlsRxSw"));
	while ((len = recv(tap, frame, sizeof(frame), MSG_DONTWAIT)) > 0) {
		seen += len;
		EXPECT_EQ(NULL, memmem(frame, len, MARK, MARK_LEN));
	}
	EXPECT_LE(100000, seen);
	EXPECT_SECRET(n->na);
	close(tap);
}

/* Data of every length, and records of another type. */
TEST_WIRE(the_module_frames_records_and_the_device_encrypts)
{
	static unsigned char buf[20000];
	size_t len, at = 0, alerts = 0;
	struct net *n = &self->n;
	int type;

	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	for (len = 1; len < 18000; len += len < 40 ? 1 : len / 3, at += len) {
		text(buf, len, 0);
		ASSERT_EQ(len, send(self->a, buf, len, 0));
		ASSERT_EQ(2, send_type(self->a, TYPE_ALERT, "\1\2", 2, 0));
		alerts++;
		ASSERT_EQ(len, recv_text(self->b, len, 0));
		ASSERT_EQ(2, recv_type(self->b, &type, buf, sizeof(buf), 0));
		ASSERT_EQ(TYPE_ALERT, type);
		ASSERT_EQ(2, buf[1]);
	}
	/* A record that stays open. */
	for (at = 0; at < 5000; at += 500) {
		text(buf, 500, at);
		ASSERT_EQ(500, send(self->a, buf, 500,
				    at < 4500 ? MSG_MORE : 0));
	}
	EXPECT_EQ(5000, recv_text(self->b, 5000, 0));
	EXPECT_EQ(nic(n->na, "tx_tls_records"), nic(n->nb, "rx_tls_records"));
	EXPECT_EQ(0, nic(n->nb, "rx_tls_passed"));
	EXPECT_SECRET(n->na);
}

TEST_WIRE(sendfile_is_encrypted_by_the_device)
{
	int file = open("/tmp", O_TMPFILE | O_RDWR, 0600), zc, val;
	static unsigned char buf[150000];
	off_t off;
	pid_t pid;

	ASSERT_LE(0, file);
	text(buf, sizeof(buf), 0);
	ASSERT_EQ(sizeof(buf), write(file, buf, sizeof(buf)));
	ASSERT_EQ(0, tls_join(&self->n, &self->a, &self->b));
	for (zc = 0; zc < 2; zc++) {
		ASSERT_EQ(0, setsockopt(self->a, SOL_TLS, TLS_TX_ZEROCOPY_RO,
					&zc, sizeof(zc)));
		off = 0;
		pid = fork();
		if (!pid)
			_exit(sendfile(self->a, file, &off, sizeof(buf)) !=
			      sizeof(buf));
		EXPECT_EQ(sizeof(buf), recv_text(self->b, sizeof(buf), 0));
		waitpid(pid, &val, 0);
		EXPECT_EQ(0, val);
	}
	EXPECT_LE(2 * sizeof(buf),
		  nic(self->n.na, "tx_tls_encrypted_bytes"));
	EXPECT_EQ(0, nic(self->n.nb, "rx_tls_passed"));
	EXPECT_SECRET(self->n.na);
	close(file);
}

static int set_payload(int fd, uint16_t len)
{
	return setsockopt(fd, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &len,
			  sizeof(len));
}

/*
 * The device reads a file's pages when they leave, or what was copied before.
 * They stay with TCP for a while because the peer has no room.
 */
TEST_WIRE(pages_are_read_uncopied_only_if_the_user_says_so)
{
	int file = open("/tmp", O_TMPFILE | O_RDWR, 0600), zc, waiting;
	static unsigned char old[16384], new[16384], in[16384];
	struct net *n = &self->n;
	int large = 1 << 20;
	size_t before;
	off_t off;

	ASSERT_LE(0, file);
	memset(old, 'o', sizeof(old));
	memset(new, 'n', sizeof(new));
	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	setsockopt(self->a, SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
	for (zc = 0; zc < 2; zc++) {
		ASSERT_EQ(0, setsockopt(self->a, SOL_TLS, TLS_TX_ZEROCOPY_RO,
					&zc, sizeof(zc)));
		ASSERT_EQ(sizeof(old), pwrite(file, old, sizeof(old), 0));
		before = 0;
		do {
			ssize_t sent = send(self->a, new, sizeof(new),
					    MSG_DONTWAIT);

			ASSERT_LT(0, sent);
			before += sent;
			usleep(20000);
			ASSERT_EQ(0, ioctl(self->a, SIOCOUTQNSD, &waiting));
		} while (!waiting);
		off = 0;
		ASSERT_EQ(sizeof(old), sendfile(self->a, file, &off,
						sizeof(old)));
		ASSERT_EQ(sizeof(new), pwrite(file, new, sizeof(new), 0));
		for (; before; before -= off) {
			off = recv(self->b, in, before < sizeof(in) ? before :
				   sizeof(in), 0);
			ASSERT_LT(0, off);
		}
		ASSERT_EQ(sizeof(in), recv_all(self->b, in, sizeof(in)));
		EXPECT_EQ(0, memcmp(in, zc ? new : old, sizeof(in))) {
			TH_LOG("zerocopy %d, '%c' came", zc, in[0]);
		}
	}
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
	close(file);
}

/*
 * A file's own pages are given to the device: whatever happens next to them,
 * nothing is written into them. Records of all lengths and in few or many
 * pieces, while TCP has room and while it has not.
 */
TEST_WIRE(what_is_sent_uncopied_is_never_written_to)
{
	static const uint16_t payload[] = { 16384, 8192, 5000, 4096 };
	static const int room[] = { 200000, 20000 };
	int file = open("/tmp", O_TMPFILE | O_RDWR, 0600), zc = 1, val, i;
	static unsigned char buf[300000], back[300000];
	off_t off, start;
	pid_t pid;

	ASSERT_LE(0, file);
	text(buf, sizeof(buf), 0);
	ASSERT_EQ(sizeof(buf), write(file, buf, sizeof(buf)));
	ASSERT_EQ(0, tls_join(&self->n, &self->a, &self->b));
	ASSERT_EQ(0, setsockopt(self->a, SOL_TLS, TLS_TX_ZEROCOPY_RO, &zc,
				sizeof(zc)));
	for (i = 0; i < 24; i++) {
		start = (int[]){ 0, 1, 100 }[i % 3];
		off = start;
		ASSERT_EQ(0, set_payload(self->a, payload[i / 3 % 4]));
		setsockopt(self->a, SOL_SOCKET, SO_SNDBUF, &room[i / 12],
			   sizeof(room[0]));
		pid = fork();
		if (!pid) {
			while (off < (off_t)sizeof(buf))
				if (sendfile(self->a, file, &off,
					     sizeof(buf) - off) <= 0)
					_exit(1);
			/* What comes next has memory of its own. */
			memset(buf, 'x', 100);
			_exit(send(self->a, buf, 100, 0) != 100);
		}
		ASSERT_EQ(sizeof(buf) - start,
			  recv_text(self->b, sizeof(buf) - start, start));
		ASSERT_EQ(100, recv_all(self->b, back, 100));
		EXPECT_EQ('x', back[0]);
		EXPECT_EQ('x', back[99]);
		waitpid(pid, &val, 0);
		EXPECT_EQ(0, val);
		ASSERT_EQ(sizeof(back), pread(file, back, sizeof(back), 0));
		ASSERT_EQ(0, memcmp(buf, back, sizeof(buf))) {
			TH_LOG("payload %u, offset %ld, room %d",
			       payload[i / 3 % 4], (long)start, room[i / 12]);
		}
	}
	EXPECT_SECRET(self->n.na);
	close(file);
}

TEST_WIRE(any_failure_leaves_software)
{
	static const struct {
		const char *name, *value, *back;
	} fail[] = {
		{ "add_error", "5", "0" },
		{ "add_error", "12", "0" },
		{ "add_error", "95", "0" },
		{ "table_size", "0", "128" },
	};
	struct net *n = &self->n;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, knob(n->na, fail[i].name, fail[i].value));
		ASSERT_EQ(0, knob(n->nb, fail[i].name, fail[i].value));
		ASSERT_EQ(0, tls_join(n, &self->a, &self->b)) {
			TH_LOG("%s %s", fail[i].name, fail[i].value);
		}
		EXPECT_EQ(30000, transfer(self->a, self->b, 30000, 5000));
		EXPECT_EQ(i + 1, stat_in(n->a, "TlsTxSw"));
		EXPECT_EQ(i + 1, stat_in(n->b, "TlsRxSw"));
		close(self->a);
		close(self->b);
		ASSERT_EQ(0, knob(n->na, fail[i].name, fail[i].back));
		ASSERT_EQ(0, knob(n->nb, fail[i].name, fail[i].back));
	}
	ASSERT_EQ(0, run_in(n->a, "ethtool -K %s tls-hw-tx-offload off tls-hw-rx-offload off",
			    n->na));
	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	EXPECT_EQ(30000, transfer(self->a, self->b, 30000, 5000));
	EXPECT_EQ(5, stat_in(n->a, "TlsTxSw"));
	EXPECT_EQ(1, stat_in(n->b, "TlsRxDevice"));
	EXPECT_EQ(0, stat_in(n->a, "TlsTxDevice"));
	EXPECT_EQ(0, nic(n->na, "tx_tls_add"));
	EXPECT_SECRET(n->na);
}

/* The flags act on new connections; an old one stays, its checksums too. */
TEST_WIRE(an_offloaded_connection_outlives_the_feature_flags)
{
	struct net *n = &self->n;

	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	ASSERT_EQ(0, run_in(n->a, "ethtool -K %s tls-hw-tx-offload off",
			    n->na));
	ASSERT_EQ(0, run_in(n->b, "ethtool -K %s tls-hw-rx-offload off",
			    n->nb));
	ASSERT_EQ(50000, transfer(self->a, self->b, 50000, 5000));
	EXPECT_EQ(10, nic(n->na, "tx_tls_records"));
	EXPECT_EQ(10, nic(n->nb, "rx_tls_records"));
	EXPECT_SECRET(n->na);
}

/* Who sums before the device encrypts has summed the text. */
TEST_WIRE(a_device_that_does_not_sum_does_not_encrypt)
{
	struct net *n = &self->n;

	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	ASSERT_EQ(10000, transfer(self->a, self->b, 10000, 5000));
	ASSERT_EQ(2, nic(n->na, "tx_tls_records"));
	/* Sent again, too, from before. */
	ASSERT_EQ(0, run_in(n->a, "tc qdisc add dev %s root netem loss 100%%",
			    n->na));
	ASSERT_EQ(0, send_text(self->a, 10000, 5000, 0));
	ASSERT_EQ(0, run_in(n->a, "ethtool -K %s tx off && tc qdisc del dev %s root",
			    n->na, n->na));
	ASSERT_EQ(10000, recv_text(self->b, 10000, 0));
	ASSERT_EQ(50000, transfer(self->a, self->b, 50000, 5000));
	EXPECT_EQ(2, nic(n->na, "tx_tls_records"));
	/* And by the driver, as the device has lost its place. */
	ASSERT_EQ(0, knob(n->na, "tx_fallback", "1"));
	ASSERT_EQ(0, run_in(n->a, "ethtool -K %s tx on", n->na));
	ASSERT_EQ(50000, transfer(self->a, self->b, 50000, 5000));
	EXPECT_LE(1, nic(n->na, "tx_tls_fallback"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
	EXPECT_SECRET(n->na);
}

static int set_queue(int fd, int queue, uint32_t seq)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue,
			  sizeof(queue)) ||
	       setsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, sizeof(seq));
}

/* Each asks the other for its window. */
static int repair_ends(int a, int b)
{
	int off = 0;

	return setsockopt(a, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)) ||
	       setsockopt(b, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off));
}

/* One end of a connection that nobody has begun. */
static int repaired(int ns, const char *ip, const char *to, uint32_t snd,
		    uint32_t rcv)
{
	/* RFC 9293, 3.7.1; RFC 7323, 2.2, for both directions */
	struct tcp_repair_opt options[] = {
		{ .opt_code = 2, .opt_val = 1400 },
		{ .opt_code = 3, .opt_val = 7 << 16 | 7 },
	};
	struct sockaddr_storage from_sa, to_sa;
	int fd, on = 1;

	if (enter(ns) || set_address(&from_sa, AF_INET, ip) ||
	    set_address(&to_sa, AF_INET, to))
		return -1;
	((struct sockaddr_in *)&from_sa)->sin_port = htons(4433);
	((struct sockaddr_in *)&to_sa)->sin_port = htons(4433);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) ||
	    set_queue(fd, TCP_SEND_QUEUE, snd) ||
	    set_queue(fd, TCP_RECV_QUEUE, rcv) ||
	    bind(fd, (void *)&from_sa, sizeof(from_sa)) ||
	    connect(fd, (void *)&to_sa, sizeof(to_sa)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, options,
		       sizeof(options)))
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* A record, or a segment of several, lies across the end of the numbers. */
TEST_WIRE(sequence_numbers_begin_again_at_0)
{
	static const uint32_t before[] = { 1, 5, 13, 100, 1400, 5000, 9000,
					   16000, 20000, 64000 };
	struct net *n = &self->n;
	struct timeval tv = { .tv_sec = 300 };
	int i;

	/* The device loses its place at once, and stays lost. */
	ASSERT_EQ(0, knob(n->na, "tx_fallback", "1"));
	ASSERT_EQ(0, knob(n->na, "resync_mute", "1"));
	for (i = 0; i < 2 * (int)ARRAY_SIZE(before); i++) {
		uint16_t version = i & 1 ? TLS_1_3_VERSION : TLS_1_2_VERSION;
		uint32_t seq = -before[i / 2];

		self->a = repaired(n->a, "10.1.0.1", "10.1.0.2", seq, 1000);
		self->b = repaired(n->b, "10.1.0.2", "10.1.0.1", 1000, seq);
		ASSERT_LE(0, self->a);
		ASSERT_LE(0, self->b);
		ASSERT_EQ(0, repair_ends(self->a, self->b));
		setsockopt(self->b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		ASSERT_EQ(0, attach_both(self->a, self->b));
		ASSERT_EQ(0, set_keys(self->a, self->b, version,
				      TLS_CIPHER_AES_GCM_128));
		ASSERT_EQ(0, knob(n->na, "lose", "1"));
		EXPECT_EQ(100000, transfer(self->a, self->b, 100000,
					   i % 3 ? 30000 : 3000));
		/* Reset: the same ports are free at once. */
		setsockopt(self->a, SOL_SOCKET, SO_LINGER,
			   &(struct linger){ .l_onoff = 1 },
			   sizeof(struct linger));
		setsockopt(self->b, SOL_SOCKET, SO_LINGER,
			   &(struct linger){ .l_onoff = 1 },
			   sizeof(struct linger));
		close(self->a);
		close(self->b);
	}
	EXPECT_EQ(i, stat_in(n->a, "TlsTxDevice"));
	EXPECT_LE(i, nic(n->na, "tx_tls_fallback"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
	EXPECT_SECRET(n->na);
}

TEST_WIRE(ipv6_connections_are_offloaded)
{
	struct net *n = &self->n;

	ASSERT_EQ(0, connect_ip(n->a, n->b, AF_INET6, "fd01::1", "fd01::2",
				&self->a, &self->b));
	ASSERT_EQ(0, attach_both(self->a, self->b));
	ASSERT_EQ(0, set_keys(self->a, self->b, TLS_1_2_VERSION,
			      TLS_CIPHER_AES_GCM_128));
	ASSERT_EQ(50000, transfer(self->a, self->b, 50000, 5000));
	EXPECT_EQ(10, nic(n->na, "tx_tls_records"));
	EXPECT_EQ(10, nic(n->nb, "rx_tls_records"));
	EXPECT_SECRET(n->na);
}

/* TLS 1.3 is offered to drivers that say that they can; others never see it. */
TEST_WIRE(a_device_without_tls13_never_sees_such_a_connection)
{
	static const uint16_t ciphers[] = { TLS_CIPHER_AES_GCM_128,
					    TLS_CIPHER_AES_GCM_256,
					    TLS_CIPHER_CHACHA20_POLY1305 };
	struct net *n = &self->n;
	int i, key;

	ASSERT_EQ(0, knob(n->na, "capabilities", "0"));
	ASSERT_EQ(0, knob(n->nb, "capabilities", "0"));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, join(n, &self->a, &self->b));
		ASSERT_EQ(0, attach_both(self->a, self->b));
		ASSERT_EQ(0, set_keys(self->a, self->b, TLS_1_3_VERSION,
				      ciphers[i]));
		/* Nor with another key. */
		for (key = 1; key < 3; key++) {
			EXPECT_EQ(40000, transfer(self->a, self->b, 40000,
						  7000));
			EXPECT_EQ(20000, transfer(self->b, self->a, 20000,
						  7000));
			ASSERT_EQ(0, set_key(self->a, TLS_TX, TLS_1_3_VERSION,
					     ciphers[i], 10 + key));
			ASSERT_EQ(0, set_key(self->b, TLS_RX, TLS_1_3_VERSION,
					     ciphers[i], 10 + key));
		}
		EXPECT_EQ(40000, transfer(self->a, self->b, 40000, 7000));
		EXPECT_EQ(i + 1, stat_in(n->a, "TlsTxSw"));
		EXPECT_EQ(i + 1, stat_in(n->a, "TlsRxSw"));
		EXPECT_EQ(i + 1, stat_in(n->b, "TlsTxSw"));
		EXPECT_EQ(i + 1, stat_in(n->b, "TlsRxSw"));
		close(self->a);
		close(self->b);
	}
	EXPECT_EQ(0, nic(n->na, "tx_tls_add"));
	EXPECT_EQ(0, nic(n->na, "rx_tls_add"));
	EXPECT_EQ(0, nic(n->nb, "rx_tls_add"));
	/* It was not even asked. */
	EXPECT_EQ(0, nic(n->na, "add_refused"));
	EXPECT_EQ(0, nic(n->nb, "add_refused"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
	EXPECT_SECRET(n->na);

	/* TLS 1.2 is its work as ever. */
	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	EXPECT_EQ(40000, transfer(self->a, self->b, 40000, 4000));
	EXPECT_EQ(10, nic(n->na, "tx_tls_records"));
	EXPECT_EQ(10, nic(n->nb, "rx_tls_records"));
}

/* A key with @left records left. */
static int set_last(int fd, int direction, uint16_t version, uint16_t cipher,
		    unsigned int left)
{
	uint64_t seq = -(uint64_t)left;
	union keys k;
	size_t len = make_keys(&k, version, cipher, 1);
	int i;

	for (i = 0; i < 8; i++)
		k.bytes[len - 8 + i] = seq >> (56 - 8 * i);
	return setsockopt(fd, SOL_TLS, direction, &k, len);
}

static int last_join(const struct net *n, uint16_t version, uint16_t cipher,
		     unsigned int left, int *a, int *b)
{
	return join(n, a, b) || attach_both(*a, *b) ||
	       set_last(*a, TLS_TX, version, cipher, left) ||
	       set_last(*b, TLS_RX, version, cipher, left);
}

/* No number is left: as in software, the socket has failed for good. */
static void expect_exhausted(struct __test_metadata *_metadata, int fd,
			     uint16_t version, uint16_t cipher)
{
	int file = open("/proc/self/exe", O_RDONLY), err = 0, i;
	socklen_t len = sizeof(err);

	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-1, send(fd, MARK, MARK_LEN, MSG_NOSIGNAL));
		EXPECT_EQ(EBADMSG, errno);
		EXPECT_EQ(-1, send_type(fd, TYPE_ALERT, MARK, MARK_LEN,
					MSG_NOSIGNAL));
		EXPECT_EQ(EBADMSG, errno);
		EXPECT_EQ(-1, sendfile(fd, file, NULL, 1000));
		EXPECT_EQ(EBADMSG, errno);
	}
	EXPECT_EQ(-1, set_key(fd, TLS_TX, version, cipher, 7));
	EXPECT_EQ(0, getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len));
	EXPECT_EQ(EBADMSG, err);
	EXPECT_EQ(-1, send(fd, MARK, MARK_LEN, MSG_NOSIGNAL));
	EXPECT_EQ(EBADMSG, errno);
	close(file);
}

TEST_WIRE(the_last_record_number_of_an_offloaded_key_is_the_last)
{
	static const uint16_t versions[] = { TLS_1_2_VERSION, TLS_1_3_VERSION };
	static const uint16_t ciphers[] = { TLS_CIPHER_AES_GCM_128,
					    TLS_CIPHER_CHACHA20_POLY1305 };
	static unsigned char buf[50000];
	struct net *n = &self->n;
	long sealed;
	ssize_t len;
	char c;
	int i;

	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < 8; i++) {
		uint16_t version = versions[i & 1], cipher = ciphers[i >> 1 & 1];

		sealed = nic(n->na, "tx_tls_records");
		ASSERT_EQ(0, knob(n->na, "tx_fallback", i & 4 ? "1" : "0"));
		ASSERT_EQ(0, last_join(n, version, cipher, 3, &self->a,
				       &self->b));
		ASSERT_EQ(i * 2 + 1, nic(n->na, "tx_tls_add"));
		ASSERT_EQ(0, send_text(self->a, 1000, 1000, 0));
		/* The last but one is sent by whoever can. */
		ASSERT_EQ(1000, recv_text(self->b, 1000, 0));
		ASSERT_EQ(0, knob(n->na, "lose", "1"));
		ASSERT_EQ(0, send_text(self->a, 4000, 2000, 1000));
		expect_exhausted(_metadata, self->a, version, cipher);
		ASSERT_EQ(4000, recv_text(self->b, 4000, 1000));
		EXPECT_EQ(-1, recv(self->b, &c, 1, MSG_DONTWAIT));
		EXPECT_EQ(EAGAIN, errno);
		EXPECT_GE(sealed + 3, nic(n->na, "tx_tls_records"));
		close(self->a);
		/* The end of the stream, or a reset; no byte more. */
		EXPECT_GE(0, recv(self->b, &c, 1, 0));
		close(self->b);

		/* Of one call only the records go that have a number. */
		ASSERT_EQ(0, last_join(n, version, cipher, 2, &self->a,
				       &self->b));
		text(buf, sizeof(buf), 0);
		len = send(self->a, buf, sizeof(buf), 0);
		EXPECT_GT(50000, len);
		expect_exhausted(_metadata, self->a, version, cipher);
		close(self->a);
		sealed = recv_text(self->b, 50000, 0);
		/* What was said to be taken is not lost. */
		EXPECT_LE(len, sealed);
		EXPECT_GE(2 * RECORD_MAX, sealed);
		EXPECT_EQ(0, sealed % RECORD_MAX);
		close(self->b);
	}
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
	EXPECT_SECRET(n->na);
}

/* A device counts on by itself, and finds the tag right. */
TEST_WIRE(a_record_behind_the_last_number_is_not_delivered)
{
	static unsigned char rec[3000], data[2000];
	struct timeval tv = { .tv_sec = 20 };
	struct net *n = &self->n;
	size_t len;
	int i;

	text(data, sizeof(data), 0);
	for (i = 0; i < 2; i++) {
		uint16_t version = i ? TLS_1_3_VERSION : TLS_1_2_VERSION;

		ASSERT_EQ(0, join(n, &self->a, &self->b));
		setsockopt(self->b, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		ASSERT_EQ(0, attach(self->b));
		ASSERT_EQ(0, set_last(self->b, TLS_RX, version,
				      TLS_CIPHER_AES_GCM_128, 1));
		EXPECT_EQ(i + 1, nic(n->nb, "rx_tls_add"));
		len = make_record(rec, version, -1, TYPE_DATA, data, 2000, 0);
		ASSERT_EQ(len, send(self->a, rec, len, 0));
		len = make_record(rec, version, 0, TYPE_DATA, data, 2000, 0);
		ASSERT_EQ(len, send(self->a, rec, len, 0));
		EXPECT_EQ(2000, recv_text(self->b, 2000, 0));
		EXPECT_EQ(-1, recv(self->b, rec, 1, 0));
		EXPECT_EQ(EBADMSG, errno);
		close(self->a);
		close(self->b);
	}
}

/* A KeyUpdate may be the last record of a key. */
TEST_WIRE(an_update_in_the_last_record_of_an_offloaded_key)
{
	static const unsigned char key_update[5] = { 24, 0, 0, 1, 0 };
	struct net *n = &self->n;
	unsigned char in[16];
	int i, type;

	ASSERT_EQ(0, last_join(n, TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, 2,
			       &self->a, &self->b));
	ASSERT_EQ(0, send_text(self->a, 3000, 3000, 0));
	ASSERT_EQ(5, send_type(self->a, TYPE_HANDSHAKE, key_update, 5, 0));
	ASSERT_EQ(0, set_key(self->a, TLS_TX, TLS_1_3_VERSION,
			     TLS_CIPHER_AES_GCM_128, 9));
	ASSERT_EQ(0, send_text(self->a, 3000, 3000, 3000));
	ASSERT_EQ(3000, recv_text(self->b, 3000, 0));
	ASSERT_EQ(5, recv_type(self->b, &type, in, sizeof(in), 0));
	ASSERT_EQ(TYPE_HANDSHAKE, type);
	ASSERT_EQ(0, set_key(self->b, TLS_RX, TLS_1_3_VERSION,
			     TLS_CIPHER_AES_GCM_128, 9));
	ASSERT_EQ(3000, recv_text(self->b, 3000, 3000));
	for (i = 0; i < 20 && nic(n->na, "tx_tls_add") < 2; i++)
		ASSERT_EQ(30000, transfer(self->a, self->b, 30000, 3000));
	EXPECT_EQ(2, nic(n->na, "tx_tls_add"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
	EXPECT_SECRET(n->na);
}

/*
 * Records of both keys are in flight, and some are sent again: each is under
 * its own key, and the devices get the new one when they can take it.
 */
static void update_keys(struct __test_metadata *_metadata, struct net *n, int a,
			int b, const char *netem)
{
	int i;

	if (netem)
		ASSERT_EQ(0, run_in(n->a, "tc qdisc add dev %s root netem %s",
				    n->na, netem));
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(60000, transfer(a, b, 60000, 7000));
		ASSERT_EQ(0, set_key(a, TLS_TX, TLS_1_3_VERSION,
				     TLS_CIPHER_AES_GCM_128, 10 + i));
		ASSERT_EQ(0, set_key(b, TLS_RX, TLS_1_3_VERSION,
				     TLS_CIPHER_AES_GCM_128, 10 + i));
	}
	for (i = 0; i < 20 && (nic(n->na, "tx_tls_add") < 2 ||
			       nic(n->nb, "rx_tls_add") < 2); i++)
		ASSERT_EQ(400000, transfer(a, b, 400000, 16384));
	ASSERT_EQ(400000, transfer(a, b, 400000, 16384));

	EXPECT_LE(2, nic(n->na, "tx_tls_add"));
	EXPECT_LE(2, nic(n->nb, "rx_tls_add"));
	EXPECT_EQ(nic(n->na, "tx_tls_add") - 1, nic(n->na, "tx_tls_del"));
	EXPECT_EQ(8, stat_in(n->a, "TlsTxRekeyOk"));
	EXPECT_EQ(8, stat_in(n->b, "TlsRxRekeyOk"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
	EXPECT_SECRET(n->na);
}

TEST_WIRE(a_key_update_gives_the_devices_the_new_key)
{
	struct net *n = &self->n;

	ASSERT_EQ(0, join(n, &self->a, &self->b));
	ASSERT_EQ(0, attach_both(self->a, self->b));
	ASSERT_EQ(0, set_keys(self->a, self->b, TLS_1_3_VERSION,
			      TLS_CIPHER_AES_GCM_128));
	update_keys(_metadata, n, self->a, self->b, NULL);
}

TEST_WIRE(a_key_update_survives_what_is_sent_again)
{
	struct net *n = &self->n;

	ASSERT_EQ(0, join(n, &self->a, &self->b));
	ASSERT_EQ(0, attach_both(self->a, self->b));
	ASSERT_EQ(0, set_keys(self->a, self->b, TLS_1_3_VERSION,
			      TLS_CIPHER_AES_GCM_128));
	update_keys(_metadata, n, self->a, self->b, "loss 2%");
}

/* Segments from before the keys, sent again after them. */
TEST_WIRE(what_was_sent_before_the_keys_passes_unchanged)
{
	struct net *n = &self->n;

	ASSERT_EQ(0, join(n, &self->a, &self->b));
	ASSERT_EQ(0, knob(n->na, "watch", "\1\2\3\4\5\6\7\10"));
	ASSERT_EQ(0, run_in(n->a, "tc qdisc add dev %s root netem loss 100%%",
			    n->na));
	ASSERT_EQ(0, send_text(self->a, 5000, 5000, 0));
	ASSERT_EQ(0, attach(self->a));
	ASSERT_EQ(0, set_key(self->a, TLS_TX, TLS_1_2_VERSION,
			     TLS_CIPHER_AES_GCM_128, 1));
	EXPECT_EQ(1, nic(n->na, "tx_tls_add"));
	ASSERT_EQ(0, send_text(self->a, 20000, 4000, 0));
	ASSERT_EQ(0, run_in(n->a, "tc qdisc del dev %s root", n->na));

	ASSERT_EQ(5000, recv_text(self->b, 5000, 0));
	ASSERT_EQ(0, attach(self->b));
	ASSERT_EQ(0, set_key(self->b, TLS_RX, TLS_1_2_VERSION,
			     TLS_CIPHER_AES_GCM_128, 1));
	EXPECT_EQ(20000, recv_text(self->b, 20000, 0));
	EXPECT_LE(20000, nic(n->na, "tx_tls_encrypted_bytes"));
}

/* Segments that were lost before they came to the device. */
TEST_WIRE(every_segment_can_be_retransmitted)
{
	struct net *n = &self->n;
	int i;

	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	ASSERT_EQ(0, run_in(n->a, "tc qdisc add dev %s root netem loss 10%%",
			    n->na));
	/* Few segments may carry all of it, and none of them be lost. */
	for (i = 0; i < 50 && !nic(n->na, "tx_tls_rebuilt"); i++)
		ASSERT_EQ(400000, transfer(self->a, self->b, 400000, 9000));
	EXPECT_LE(1, nic(n->na, "tx_tls_rebuilt"));
	EXPECT_EQ(0, nic(n->na, "tx_tls_fallback"));
	EXPECT_EQ(0, nic(n->na, "watch_hits"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

/* The same with a device that leaves such segments to the kernel. */
TEST_WIRE(a_segment_that_the_device_cannot_do_is_encrypted_in_software)
{
	struct net *n = &self->n;
	int i;

	ASSERT_EQ(0, knob(n->na, "tx_fallback", "1"));
	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	ASSERT_EQ(0, run_in(n->a, "tc qdisc add dev %s root netem loss 10%%",
			    n->na));
	/* Few segments may carry all of it, and none of them be lost. */
	for (i = 0; i < 50 && !nic(n->na, "tx_tls_fallback"); i++)
		ASSERT_EQ(400000, transfer(self->a, self->b, 400000, 9000));
	EXPECT_LE(1, nic(n->na, "tx_tls_fallback"));
	EXPECT_EQ(0, nic(n->na, "tx_tls_rebuilt"));
	EXPECT_EQ(0, nic(n->na, "watch_hits"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

/* Lose its place, and go on: by what the record list has, or at a new record. */
TEST_WIRE(a_sending_device_that_lost_its_place_is_put_right)
{
	struct net *n = &self->n;
	int i, way;

	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	for (way = 0; way < 2; way++) {
		ASSERT_EQ(0, knob(n->na, "tx_fallback", way ? "1" : "0"));
		for (i = 0; i < 5; i++) {
			ASSERT_EQ(0, knob(n->na, "lose", "1"));
			ASSERT_EQ(30000, transfer(self->a, self->b, 30000,
						  3000));
		}
		EXPECT_LE(way ? 5 : 0, nic(n->na, "tx_tls_resync_res"));
	}
	EXPECT_LE(5, nic(n->na, "tx_tls_rebuilt"));
	EXPECT_LE(5, nic(n->na, "tx_tls_fallback"));
	/* Most of it was still the device's work. */
	EXPECT_LE(200000, nic(n->na, "tx_tls_encrypted_bytes"));
	EXPECT_SECRET(n->na);
}

/* In the midst of a stream no segment needs to begin where a record does. */
TEST_WIRE(a_sending_device_finds_its_place_in_a_stream)
{
	struct net *n = &self->n;
	long before, sealed;

	ASSERT_EQ(0, knob(n->na, "tx_fallback", "1"));
	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	ASSERT_EQ(300000, transfer(self->a, self->b, 300000, 65536));
	before = nic(n->na, "tx_tls_encrypted_bytes");
	ASSERT_EQ(0, knob(n->na, "lose", "1"));
	ASSERT_EQ(3000000, transfer(self->a, self->b, 3000000, 65536));
	sealed = nic(n->na, "tx_tls_encrypted_bytes") - before;
	EXPECT_LE(2000000, sealed);
	EXPECT_LE(1, nic(n->na, "tx_tls_fallback"));
	EXPECT_SECRET(n->na);
}

/* What nstat calls @name in a name space; negative when it does not. */
static long snmp(int ns, const char *name)
{
	char cmd[128];
	long value = -1;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "nstat -asz %s", name);
	f = enter(ns) ? NULL : popen(cmd, "r");
	if (!f)
		return -1;
	/* A line of its own, and then name and value. */
	if (fscanf(f, "#%*[^\n] %*s %ld", &value) != 1)
		value = -1;
	pclose(f);
	return value;
}

/*
 * IP would cut segments into fragments when a route's MTU becomes smaller in the
 * midst of a burst, and what it makes does not say that it is text. So there
 * are none, whatever the socket says of it; TCP makes smaller segments.
 */
static void fragments(struct __test_metadata *_metadata, struct net *n, int a,
		      int b, const char *to, int smaller, const char *counter)
{
	long before = snmp(n->a, counter);
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(50000, transfer(a, b, 50000, 25000));
		ASSERT_EQ(0, run_in(n->a, "ip route replace %s dev %s mtu lock %d",
				    to, n->na, i % 2 ? 1400 : smaller));
	}
	ASSERT_EQ(50000, transfer(a, b, 50000, 25000));
	EXPECT_LE(0, before);
	EXPECT_EQ(before, snmp(n->a, counter));
	EXPECT_EQ(0, nic(n->na, "watch_hits"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

TEST_WIRE(no_fragment_of_plaintext_leaves)
{
	int dont = IP_PMTUDISC_DONT;
	struct net *n = &self->n;

	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	fragments(_metadata, n, self->a, self->b, "10.1.0.2/32", 600,
		  "IpFragCreates");
	ASSERT_EQ(0, setsockopt(self->a, SOL_IP, IP_MTU_DISCOVER, &dont,
				sizeof(dont)));
	fragments(_metadata, n, self->a, self->b, "10.1.0.2/32", 700,
		  "IpFragCreates");
}

TEST_WIRE(no_fragment_of_plaintext_leaves_over_ipv6)
{
	struct net *n = &self->n;

	ASSERT_EQ(0, connect_ip(n->a, n->b, AF_INET6, "fd01::1", "fd01::2",
				&self->a, &self->b));
	ASSERT_EQ(0, attach_both(self->a, self->b));
	ASSERT_EQ(0, set_keys(self->a, self->b, TLS_1_2_VERSION,
			      TLS_CIPHER_AES_GCM_128));
	fragments(_metadata, n, self->a, self->b, "fd01::2/128", 1280,
		  "Ip6FragCreates");
}

/* On a VLAN of each side. */
TEST_WIRE(a_connection_on_a_vlan_is_offloaded)
{
	struct net *n = &self->n;

	ASSERT_EQ(0, run_in(n->a, "ip link add link %s name v type vlan id 5 && ip addr add 10.5.0.1/24 dev v && ip link set v up",
			    n->na));
	ASSERT_EQ(0, run_in(n->b, "ip link add link %s name v type vlan id 5 && ip addr add 10.5.0.2/24 dev v && ip link set v up",
			    n->nb));
	ASSERT_EQ(0, connect_ip(n->a, n->b, AF_INET, "10.5.0.1", "10.5.0.2",
				&self->a, &self->b));
	ASSERT_EQ(0, attach_both(self->a, self->b));
	ASSERT_EQ(0, set_keys(self->a, self->b, TLS_1_2_VERSION,
			      TLS_CIPHER_AES_GCM_128));
	EXPECT_EQ(1, stat_in(n->a, "TlsTxDevice"));
	EXPECT_EQ(1, stat_in(n->b, "TlsRxDevice"));
	ASSERT_EQ(300000, transfer(self->a, self->b, 300000, 9000));
	EXPECT_LE(300000, nic(n->na, "tx_tls_encrypted_bytes"));
	EXPECT_EQ(0, nic(n->nb, "rx_tls_passed"));
	EXPECT_SECRET(n->na);
}

/* Its features for VLANs are others, or become others. */
TEST_WIRE(a_vlan_that_the_device_cannot_encrypt_is_left_to_software)
{
	struct net *n = &self->n;
	long sealed;

	ASSERT_EQ(0, run_in(n->a, "ip link add link %s name v type vlan id 5 && ip addr add 10.5.0.1/24 dev v && ip link set v up",
			    n->na));
	ASSERT_EQ(0, run_in(n->b, "ip link add link %s name v type vlan id 5 && ip addr add 10.5.0.2/24 dev v && ip link set v up",
			    n->nb));
	ASSERT_EQ(0, connect_ip(n->a, n->b, AF_INET, "10.5.0.1", "10.5.0.2",
				&self->a, &self->b));
	ASSERT_EQ(0, attach_both(self->a, self->b));
	ASSERT_EQ(0, set_keys(self->a, self->b, TLS_1_2_VERSION,
			      TLS_CIPHER_AES_GCM_128));
	ASSERT_EQ(30000, transfer(self->a, self->b, 30000, 3000));
	sealed = nic(n->na, "tx_tls_encrypted_bytes");
	EXPECT_LE(30000, sealed);
	ASSERT_EQ(0, knob(n->na, "vlan", "0"));
	ASSERT_EQ(100000, transfer(self->a, self->b, 100000, 3000));
	EXPECT_EQ(sealed, nic(n->na, "tx_tls_encrypted_bytes"));
	close(self->a);
	close(self->b);

	ASSERT_EQ(0, connect_ip(n->a, n->b, AF_INET, "10.5.0.1", "10.5.0.2",
				&self->a, &self->b));
	ASSERT_EQ(0, attach_both(self->a, self->b));
	ASSERT_EQ(0, set_keys(self->a, self->b, TLS_1_2_VERSION,
			      TLS_CIPHER_AES_GCM_128));
	EXPECT_EQ(1, stat_in(n->a, "TlsTxDevice"));
	EXPECT_EQ(1, stat_in(n->a, "TlsTxSw"));
	EXPECT_EQ(1, stat_in(n->a, "TlsRxSw"));
	ASSERT_EQ(30000, transfer(self->a, self->b, 30000, 3000));
	EXPECT_EQ(sealed, nic(n->na, "tx_tls_encrypted_bytes"));
	EXPECT_SECRET(n->na);
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

TEST_WIRE(a_device_that_forgot_the_connection_leaves_it_to_software)
{
	struct net *n = &self->n;
	long sealed, opened;

	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	ASSERT_EQ(30000, transfer(self->a, self->b, 30000, 3000));
	ASSERT_EQ(0, knob(n->na, "forget", "1"));
	ASSERT_EQ(0, knob(n->nb, "forget", "1"));
	sealed = nic(n->na, "tx_tls_encrypted_packets");
	opened = nic(n->nb, "rx_tls_decrypted_packets");
	ASSERT_EQ(100000, transfer(self->a, self->b, 100000, 3000));
	EXPECT_EQ(sealed, nic(n->na, "tx_tls_encrypted_packets"));
	EXPECT_EQ(opened, nic(n->nb, "rx_tls_decrypted_packets"));
	EXPECT_SECRET(n->na);
}

/* A resync that the device refuses is no end. */
TEST_WIRE(a_refused_resync_leaves_sending_to_software)
{
	struct net *n = &self->n;

	ASSERT_EQ(0, knob(n->na, "tx_fallback", "1"));
	ASSERT_EQ(0, knob(n->na, "resync_mute", "1"));
	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	ASSERT_EQ(30000, transfer(self->a, self->b, 30000, 3000));
	ASSERT_EQ(0, knob(n->na, "lose", "1"));
	ASSERT_EQ(100000, transfer(self->a, self->b, 100000, 3000));
	EXPECT_EQ(1, nic(n->na, "tx_tls_resync_req"));
	EXPECT_EQ(0, nic(n->na, "tx_tls_resync_res"));
	EXPECT_LE(100000 / 3000, nic(n->na, "tx_tls_fallback"));
	EXPECT_SECRET(n->na);
	/* Refused is not forgotten. */
	ASSERT_EQ(0, knob(n->na, "resync_mute", "0"));
	ASSERT_EQ(30000, transfer(self->a, self->b, 30000, 3000));
	EXPECT_EQ(1, nic(n->na, "tx_tls_resync_res"));
}

/* Both devices could encrypt; only the one that has the connection may. */
TEST_WIRE(a_segment_that_meets_another_device_is_encrypted_in_software)
{
	static const char * const state[] = { "on", "off" };
	char other[16], otherp[16];
	struct net *n = &self->n;
	long bytes;
	int i;

	ASSERT_EQ(0, enter(n->a));
	ASSERT_EQ(0, new_pair(other, otherp, n->b));
	ASSERT_EQ(0, up_in(n->b, otherp, 2, 2));
	ASSERT_EQ(0, up_in(n->a, other, 2, 1));
	ASSERT_EQ(0, run_in(n->a, "ip addr add 10.9.0.1/32 dev lo && ip route add 10.9.0.2 via 10.1.0.2"));
	ASSERT_EQ(0, run_in(n->b, "ip addr add 10.9.0.2/32 dev lo && ip route add 10.9.0.1 via 10.1.0.1"));
	ASSERT_EQ(0, connect_ip(n->a, n->b, AF_INET, "10.9.0.1", "10.9.0.2",
				&self->a, &self->b));
	ASSERT_EQ(0, attach_both(self->a, self->b));
	ASSERT_EQ(0, set_keys(self->a, self->b, TLS_1_2_VERSION,
			      TLS_CIPHER_AES_GCM_128));
	ASSERT_EQ(30000, transfer(self->a, self->b, 30000, 3000));
	EXPECT_EQ(10, nic(n->na, "tx_tls_records"));

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, run_in(n->a, "ethtool -K %s tls-hw-tx-offload %s",
				    other, state[i]));
		ASSERT_EQ(0, run_in(n->a, "ip route replace 10.9.0.2 via 10.2.0.2"));
		ASSERT_EQ(0, run_in(n->b, "ip route replace 10.9.0.1 via 10.2.0.1"));
		bytes = nic(n->na, "wire_bytes");
		ASSERT_EQ(60000, transfer(self->a, self->b, 60000, 3000));
		EXPECT_EQ(bytes, nic(n->na, "wire_bytes"));
		EXPECT_LE((i + 1) * 60000, nic(other, "wire_bytes"));
		EXPECT_EQ(0, nic(other, "tx_tls_encrypted_packets"));

		/* Back again, the first device finds its place. */
		ASSERT_EQ(0, run_in(n->a,
				    "ip route replace 10.9.0.2 via 10.1.0.2"));
		ASSERT_EQ(0, run_in(n->b, "ip route replace 10.9.0.1 via 10.1.0.1"));
		bytes = nic(n->na, "tx_tls_encrypted_bytes");
		ASSERT_EQ(60000, transfer(self->a, self->b, 60000, 3000));
		EXPECT_LE(bytes + 60000, nic(n->na, "tx_tls_encrypted_bytes"));
	}
	EXPECT_SECRET(n->na);
	EXPECT_SECRET(other);
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

/* Many at a time, as a queueing discipline of several queues gives them. */
TEST_WIRE(segments_in_a_row_that_meet_another_device_are_all_encrypted)
{
	struct net *n = &self->n;

	ASSERT_EQ(0, run_in(n->a, "ip link add other numtxqueues 4 type veth peer name there numtxqueues 4 netns /proc/%d/fd/%d",
			    getpid(), n->b));
	ASSERT_EQ(0, up_in(n->b, "there", 2, 2));
	ASSERT_EQ(0, up_in(n->a, "other", 2, 1));
	ASSERT_EQ(0, run_in(n->a, "ethtool -K other tso off gso off && tc qdisc add dev other root tbf rate 200mbit burst 64k limit 4m"));
	ASSERT_EQ(0, run_in(n->a, "ip addr add 10.9.0.1/32 dev lo && ip route add 10.9.0.2 via 10.1.0.2"));
	ASSERT_EQ(0, run_in(n->b, "ip addr add 10.9.0.2/32 dev lo && ip route add 10.9.0.1 via 10.1.0.1"));
	ASSERT_EQ(0, connect_ip(n->a, n->b, AF_INET, "10.9.0.1", "10.9.0.2",
				&self->a, &self->b));
	ASSERT_EQ(0, attach_both(self->a, self->b));
	ASSERT_EQ(0, set_keys(self->a, self->b, TLS_1_2_VERSION,
			      TLS_CIPHER_AES_GCM_128));
	ASSERT_EQ(30000, transfer(self->a, self->b, 30000, 3000));
	ASSERT_EQ(0, run_in(n->a, "ip route replace 10.9.0.2 via 10.2.0.2"));
	ASSERT_EQ(0, run_in(n->b, "ip route replace 10.9.0.1 via 10.2.0.1"));
	ASSERT_EQ(1000000, transfer(self->a, self->b, 1000000, 20000));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
	EXPECT_SECRET(n->na);
}

/* Start a sender, and take the device down when half has arrived. */
static size_t down_halfway(const struct net *n, int from, int to, int ns,
			   const char *dev)
{
	size_t len = 400000, got;
	int room = 30000;
	pid_t pid;

	/* What is under way is less than half. */
	setsockopt(from, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	setsockopt(to, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	pid = fork();
	if (!pid)
		_exit(!!send_text(from, len, 5000, 0));
	got = recv_text(to, len / 2, 0);
	run_in(ns, "ip link set %s down && ip link set %s up", dev, dev);
	if (got == len / 2)
		got += recv_text(to, len - got, got);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return got;
}

TEST_WIRE(a_sending_device_that_goes_down_falls_back_to_software)
{
	struct net *n = &self->n;
	long sealed;

	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	EXPECT_EQ(400000, down_halfway(n, self->a, self->b, n->a, n->na));
	EXPECT_EQ(1, nic(n->na, "tx_tls_del"));
	EXPECT_EQ(1, nic(n->na, "rx_tls_del"));
	sealed = nic(n->na, "tx_tls_encrypted_bytes");
	EXPECT_LE(200000, sealed);
	EXPECT_GE(350000, sealed);
	EXPECT_EQ(50000, transfer(self->a, self->b, 50000, 5000));
	EXPECT_EQ(50000, transfer(self->b, self->a, 50000, 5000));
	EXPECT_EQ(sealed, nic(n->na, "tx_tls_encrypted_bytes"));
	EXPECT_EQ(0, nic(n->na, "watch_hits"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

/* A bond of two devices, that chooses one of them for each connection. */
static int bond_in(int ns, const char *one, const char *two, int host)
{
	return run_in(ns, "ip link add bonded type bond mode balance-xor xmit_hash_policy layer3+4 miimon 20") ||
	       run_in(ns, "ip link set %s down; ip link set %s down; ip link set %s master bonded && ip link set %s master bonded",
		      one, two, one, two) ||
	       run_in(ns, "ip addr add 10.7.0.%d/24 dev bonded && ip link set bonded up",
		      host);
}

/* How many devices the bond can send by. */
static int bond_has(int ns)
{
	return run_in(ns, "exit $(grep -c '^MII Status: up' /proc/net/bonding/bonded)") >> 8;
}

/* One on each side, over this pair of devices and another one. */
static int bonds(const struct net *n, char *other, char *otherp)
{
	return enter(n->a) || new_pair(other, otherp, n->b) ||
	       bond_in(n->a, n->na, other, 1) ||
	       bond_in(n->b, n->nb, otherp, 2) ||
	       !UNTIL(bond_has(n->a) == 3 && bond_has(n->b) == 3);
}

static int bonds_join(const struct net *n, int *a, int *b)
{
	return connect_ip(n->a, n->b, AF_INET, "10.7.0.1", "10.7.0.2", a, b) ||
	       attach_both(*a, *b) ||
	       set_keys(*a, *b, TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128);
}

TEST_WIRE(a_device_that_changes_under_a_bond)
{
	char other[16], otherp[16], *dev, *far;
	struct net *n = &self->n;
	int turn;

	ASSERT_EQ(0, bonds(n, other, otherp)) {
		TH_LOG("is bonding loaded?");
	}
	for (turn = 0; turn < 3; turn++) {
		/* The bond, and both of its devices. */
		ASSERT_TRUE(UNTIL(bond_has(n->a) == 3 && bond_has(n->b) == 3));
		ASSERT_EQ(0, bonds_join(n, &self->a, &self->b));
		dev = nic(n->na, "tx_tls_add") > nic(n->na, "tx_tls_del") ?
		      n->na : other;
		far = dev == other ? otherp : n->nb;
		ASSERT_EQ(nic(dev, "tx_tls_add"), nic(dev, "tx_tls_del") + 1);
		ASSERT_EQ(30000, transfer(self->a, self->b, 30000, 3000));
		EXPECT_LE(10, nic(dev, "tx_tls_records"));

		/* It goes down, loses its link, or leaves the bond. */
		if (turn == 0) {
			EXPECT_EQ(400000, down_halfway(n, self->a, self->b,
						       n->a, dev));
		} else if (turn == 1) {
			ASSERT_EQ(0, run_in(n->b, "ip link set %s down", far));
			EXPECT_EQ(100000, transfer(self->a, self->b, 100000,
						   5000));
			ASSERT_EQ(0, run_in(n->b, "ip link set %s up", far));
		} else {
			ASSERT_EQ(0, run_in(n->a, "ip link set %s nomaster",
					    dev));
			EXPECT_EQ(100000, transfer(self->a, self->b, 100000,
						   5000));
		}
		EXPECT_EQ(30000, transfer(self->a, self->b, 30000, 3000));
		EXPECT_EQ(30000, transfer(self->b, self->a, 30000, 3000));
		close(self->a);
		close(self->b);
		ASSERT_TRUE(UNTIL(nic(dev, "tx_tls_add") ==
				  nic(dev, "tx_tls_del")));
	}
	EXPECT_SECRET(n->na);
	EXPECT_SECRET(other);
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

/*
 * On a machine that lets IP cut segments: what software encrypts for the bond
 * meets the same questions once more at the device below, also when the bond
 * has to sum it.
 */
TEST_WIRE(a_device_that_goes_from_under_segments_that_may_be_cut)
{
	char other[16], otherp[16], *dev;
	struct net *n = &self->n;

	ASSERT_EQ(0, enter(n->a));
	ASSERT_EQ(0, write_to("/proc/sys/net/ipv4/ip_no_pmtu_disc", "1"));
	ASSERT_EQ(0, bonds(n, other, otherp)) {
		TH_LOG("is bonding loaded?");
	}
	ASSERT_EQ(0, bonds_join(n, &self->a, &self->b));
	dev = nic(n->na, "tx_tls_add") ? n->na : other;
	ASSERT_EQ(1, nic(dev, "tx_tls_add"));
	ASSERT_EQ(0, run_in(n->a, "ethtool -K bonded tx off >&2"));
	ASSERT_EQ(50000, transfer(self->a, self->b, 50000, 5000));
	EXPECT_EQ(0, nic(dev, "tx_tls_encrypted_bytes"));
	ASSERT_EQ(0, run_in(n->a, "ethtool -K bonded tx on >&2"));
	/* What waits in its queue is sent again by the other one. */
	ASSERT_EQ(0, run_in(n->a, "tc qdisc add dev %s root netem delay 5s limit 10000",
			    dev));
	ASSERT_EQ(0, send_text(self->a, 10000, 5000, 0));
	ASSERT_EQ(0, run_in(n->a, "ip link set %s down", dev));
	ASSERT_EQ(10000, recv_text(self->b, 10000, 0));
	ASSERT_EQ(50000, transfer(self->a, self->b, 50000, 5000));
	EXPECT_SECRET(n->na);
	EXPECT_SECRET(other);
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

/* Both devices stay as they are, with text in the queue of one. */
TEST_WIRE(text_that_waits_when_the_bond_chooses_anew)
{
	char other[16], otherp[16], *dev;
	struct net *n = &self->n;
	int room = 200000;
	long sealed;

	ASSERT_EQ(0, bonds(n, other, otherp)) {
		TH_LOG("is bonding loaded?");
	}
	ASSERT_EQ(0, bonds_join(n, &self->a, &self->b));
	setsockopt(self->a, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	dev = nic(n->na, "tx_tls_add") ? n->na : other;
	ASSERT_EQ(1, nic(dev, "tx_tls_add"));
	/* Wide enough to have a window in the queue. */
	ASSERT_EQ(200000, transfer(self->a, self->b, 200000, 10000));

	ASSERT_EQ(0, run_in(n->a, "tc qdisc add dev %s root netem delay 1s limit 10000",
			    dev));
	ASSERT_EQ(0, send_text(self->a, 50000, 5000, 0));
	/* The layers that it hashes now tell nothing of a connection. */
	ASSERT_EQ(0, run_in(n->a, "ip link set bonded type bond xmit_hash_policy layer2"));
	ASSERT_EQ(0, send_text(self->a, 50000, 5000, 50000));
	ASSERT_EQ(100000, recv_text(self->b, 100000, 0));
	/* The core asks when they leave the queue: software has encrypted them. */
	ASSERT_EQ(0, run_in(n->a, "tc qdisc del dev %s root", dev));
	sealed = nic(dev, "tx_tls_encrypted_bytes");
	ASSERT_EQ(100000, transfer(self->a, self->b, 100000, 5000));
	EXPECT_EQ(sealed, nic(dev, "tx_tls_encrypted_bytes"));
	EXPECT_SECRET(n->na);
	EXPECT_SECRET(other);
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

TEST_WIRE(a_receiving_device_that_goes_down_falls_back_to_software)
{
	struct net *n = &self->n;
	long opened;

	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	EXPECT_EQ(400000, down_halfway(n, self->a, self->b, n->b, n->nb));
	EXPECT_EQ(1, nic(n->nb, "rx_tls_del"));
	opened = nic(n->nb, "rx_tls_decrypted_bytes");
	EXPECT_LE(200000, opened);
	EXPECT_GE(350000, opened);
	EXPECT_EQ(50000, transfer(self->a, self->b, 50000, 5000));
	EXPECT_EQ(opened, nic(n->nb, "rx_tls_decrypted_bytes"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

/* The beginning of a record came decrypted, its end does not. */
TEST_WIRE(a_record_that_the_device_left_half_done_is_completed_in_software)
{
	static const char * const how[] = { "lose", "forget", "down" };
	static unsigned char rec[10000], data[8000];
	struct net *n = &self->n;
	size_t len;
	int i;

	text(data, sizeof(data), 0);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, raw_join(n, &self->a, &self->b));
		len = make_record(rec, TLS_1_2_VERSION, 0, TYPE_DATA, data,
				  sizeof(data), 0);
		ASSERT_LT(sizeof(data), len);
		long opened = nic(n->nb, "rx_tls_decrypted_bytes");

		ASSERT_EQ(4000, send(self->a, rec, 4000, 0));
		ASSERT_TRUE(UNTIL(nic(n->nb, "rx_tls_decrypted_bytes") ==
				  opened + 4000));
		ASSERT_EQ(0, i < 2 ? knob(n->nb, how[i], "1") :
			  run_in(n->b, "ip link set %s down && ip link set %s up",
				 n->nb, n->nb));
		ASSERT_EQ(len - 4000, send(self->a, rec + 4000, len - 4000, 0));
		len = make_record(rec, TLS_1_2_VERSION, 1, TYPE_DATA, data,
				  1000, 0);
		ASSERT_EQ(len, send(self->a, rec, len, 0));
		EXPECT_EQ(8000, recv_text(self->b, 8000, 0)) {
			TH_LOG("after %s", how[i]);
		}
		EXPECT_EQ(1000, recv_text(self->b, 1000, 0));
		EXPECT_EQ(opened + 4000, nic(n->nb, "rx_tls_decrypted_bytes"));
		EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
		close(self->a);
		close(self->b);
	}
}

/* There is no text, and the lists that a cipher is given are as short as can be. */
TEST_WIRE(an_empty_record_that_the_device_left_half_done_is_completed)
{
	static const int cuts[] = { 1, 5, 9, 13, 14, 20, 28 };
	static unsigned char rec[2000], data[1000];
	struct net *n = &self->n;
	size_t len, i;

	text(data, sizeof(data), 0);
	for (i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		long opened = nic(n->nb, "rx_tls_decrypted_bytes");

		ASSERT_EQ(0, raw_join(n, &self->a, &self->b));
		len = make_record(rec, TLS_1_2_VERSION, 0, TYPE_DATA, data, 0,
				  0);
		ASSERT_EQ(29, len);
		ASSERT_EQ(cuts[i], send(self->a, rec, cuts[i], 0));
		ASSERT_TRUE(UNTIL(nic(n->nb, "rx_tls_decrypted_bytes") ==
				  opened + cuts[i]));
		ASSERT_EQ(0, knob(n->nb, "lose", "1"));
		ASSERT_EQ(len - cuts[i], send(self->a, rec + cuts[i],
					      len - cuts[i], 0));
		len = make_record(rec, TLS_1_2_VERSION, 1, TYPE_DATA, data,
				  sizeof(data), 0);
		ASSERT_EQ(len, send(self->a, rec, len, 0));
		EXPECT_EQ(1000, recv_text(self->b, 1000, 0)) {
			TH_LOG("cut at %d", cuts[i]);
		}
		EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
		close(self->a);
		close(self->b);
	}
}

/* The other way round: the device comes in with the record half received. */
TEST_WIRE(records_that_arrived_before_the_key_are_decrypted_in_software)
{
	static unsigned char rec[4000], data[3000];
	struct net *n = &self->n;
	size_t len = 0;
	int i, queued;

	ASSERT_EQ(0, join(n, &self->a, &self->b));
	ASSERT_EQ(0, attach(self->b));
	for (i = 0; i < 60; i++) {
		text(data, 3000, i * 3000);
		len = make_record(rec, TLS_1_2_VERSION, i, TYPE_DATA, data,
				  3000, 0);
		queued = i == 2 ? 100 : len;
		ASSERT_EQ(queued, send(self->a, rec, queued, 0));
		if (i == 2) {
			/* The header came before the key, the rest after. */
			ASSERT_TRUE(UNTIL(!ioctl(self->b, FIONREAD, &queued) &&
					  queued == 2 * len + 100));
			ASSERT_EQ(0, set_key(self->b, TLS_RX, TLS_1_2_VERSION,
					     TLS_CIPHER_AES_GCM_128, 1));
			EXPECT_EQ(1, nic(n->nb, "rx_tls_add"));
			ASSERT_EQ(len - 100, send(self->a, rec + 100,
						  len - 100, 0));
			ASSERT_EQ(9000, recv_text(self->b, 9000, 0));
		} else if (i > 2) {
			ASSERT_EQ(3000, recv_text(self->b, 3000, i * 3000));
		}
	}
	/* And the device joins in. */
	EXPECT_LE(1, nic(n->nb, "rx_tls_resync_ok"));
	EXPECT_LE(20, nic(n->nb, "rx_tls_records"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

/* A tag that is wrong on the wire, whoever finds it. */
TEST_WIRE(a_record_with_a_wrong_tag_is_never_delivered)
{
	static const size_t size[] = { 500, 9000 };
	struct net *n = &self->n;
	char byte;
	int i, rx;

	for (i = 0; i < 4; i++) {
		size_t len = size[i / 2];

		rx = i % 2;
		ASSERT_EQ(0, run_in(n->b, "ethtool -K %s tls-hw-rx-offload %s",
				    n->nb, rx ? "on" : "off"));
		ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
		ASSERT_EQ(0, send_text(self->a, 2000, 1000, 0));
		ASSERT_TRUE(UNTIL(nic(n->na, "wire_bytes") > 0));
		ASSERT_EQ(1000, recv_text(self->b, 1000, 0));
		ASSERT_EQ(0, knob(n->na, "tx_spoil_tags", "1"));
		ASSERT_EQ(0, send_text(self->a, 2 * len, len, 0));
		EXPECT_EQ(1000, recv_text(self->b, 1000, 1000));
		EXPECT_EQ(0, recv_text(self->b, 1, 0));
		EXPECT_EQ(EBADMSG, errno);
		EXPECT_EQ(-1, recv(self->b, &byte, 1, 0));
		EXPECT_EQ(EBADMSG, errno);
		EXPECT_LE(i + 1, stat_in(n->b, "TlsDecryptError"));
		EXPECT_EQ((i + 1) / 2, nic(n->nb, "rx_tls_bad_tag"));
		close(self->a);
		close(self->b);
	}
	EXPECT_EQ(2, stat_in(n->b, "TlsRxDevice"));
}

/* The device says that a tag is wrong, and it is not. */
TEST_WIRE(a_record_that_the_device_could_not_verify_is_verified_in_software)
{
	struct net *n = &self->n;
	int i;

	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	for (i = 1; i <= 5; i++) {
		ASSERT_EQ(0, knob(n->nb, "rx_spoil_tags", "1"));
		ASSERT_EQ(40000, transfer(self->a, self->b, 40000,
					  i % 2 ? 500 : 9000));
	}
	EXPECT_LE(2, nic(n->nb, "rx_tls_bad_tag"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

/* A device that lies about one segment of a record. */
TEST_WIRE(a_segment_with_a_wrong_mark_never_becomes_wrong_data)
{
	static unsigned char rec[10000], data[8000];
	struct net *n = &self->n;
	size_t len, got;
	int i;

	text(data, sizeof(data), 0);
	len = make_record(rec, TLS_1_2_VERSION, 0, TYPE_DATA, data,
			  sizeof(data), 0);
	for (i = 0; i < 3; i++) {
		long seen = nic(n->nb, "rx_tls_decrypted_packets") +
			    nic(n->nb, "rx_tls_passed");

		ASSERT_EQ(0, raw_join(n, &self->a, &self->b));
		/* Decrypted and not marked; the reverse in its middle, its end. */
		ASSERT_EQ(0, knob(n->nb, "rx_mark_not", i == 0 ? "1" : "0"));
		ASSERT_EQ(1000, send(self->a, rec, 1000, 0));
		ASSERT_TRUE(UNTIL(nic(n->nb, "rx_tls_decrypted_packets") +
				  nic(n->nb, "rx_tls_passed") == seen + 1));
		if (i > 0) {
			ASSERT_EQ(0, knob(n->nb, "lose", "1"));
			ASSERT_EQ(0, knob(n->nb, "rx_mark_wrong", "1"));
		}
		ASSERT_EQ(i == 2 ? len - 1000 : 1000,
			  send(self->a, rec + 1000,
			       i == 2 ? len - 1000 : 1000, 0));
		ASSERT_TRUE(UNTIL(nic(n->nb, "rx_tls_decrypted_packets") +
				  nic(n->nb, "rx_tls_passed") >= seen + 2));
		if (i < 2) {
			ASSERT_EQ(len - 2000,
				  send(self->a, rec + 2000, len - 2000, 0));
		}
		got = recv_text(self->b, 8000, 0);
		EXPECT_EQ(0, got);
		EXPECT_EQ(EBADMSG, errno);
		close(self->a);
		close(self->b);
		ASSERT_EQ(0, knob(n->nb, "rx_mark_wrong", "0"));
	}
}

TEST_WIRE(a_device_that_is_removed_leaves_the_connection_usable)
{
	char other[16], otherp[16];
	struct net *n = &self->n;

	/* To the same addresses, by another wire, once the first is gone. */
	ASSERT_EQ(0, enter(n->a));
	ASSERT_EQ(0, new_pair(other, otherp, n->b));
	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	ASSERT_EQ(30000, transfer(self->a, self->b, 30000, 3000));
	ASSERT_EQ(0, send_text(self->a, 5000, 5000, 0));
	ASSERT_EQ(0, run_in(n->a, "ip link del %s", n->na));
	ASSERT_EQ(0, send_text(self->a, 20000, 5000, 5000));
	ASSERT_EQ(0, up_in(n->b, otherp, 1, 2));
	ASSERT_EQ(0, up_in(n->a, other, 1, 1));
	ASSERT_EQ(25000, recv_text(self->b, 25000, 0));
	ASSERT_EQ(30000, transfer(self->b, self->a, 30000, 3000));
	EXPECT_LE(20000, nic(other, "wire_bytes"));
	EXPECT_EQ(0, nic(other, "tx_tls_encrypted_packets"));
	EXPECT_SECRET(other);
	/* A new connection is the new device's. */
	close(self->a);
	close(self->b);
	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	EXPECT_EQ(1, nic(other, "tx_tls_add"));
}

TEST_WIRE(a_device_that_goes_down_while_it_takes_a_connection)
{
	struct net *n = &self->n;
	int i, status;
	pid_t pid;

	ASSERT_EQ(0, knob(n->na, "add_delay_ms", "2000"));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, join(n, &self->a, &self->b));
		ASSERT_EQ(0, attach_both(self->a, self->b));
		pid = fork();
		if (!pid)
			_exit(set_key(self->a, i ? TLS_RX : TLS_TX,
				      TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128,
				      1));
		usleep(500000);
		ASSERT_EQ(0, run_in(n->a, "ip link set %s down && ip link set %s up",
				    n->na, n->na));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		ASSERT_EQ(0, set_key(self->b, i ? TLS_TX : TLS_RX,
				     TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128,
				     1));
		EXPECT_EQ(30000, i ? transfer(self->b, self->a, 30000, 3000) :
				     transfer(self->a, self->b, 30000, 3000));
		close(self->a);
		close(self->b);
	}
	EXPECT_EQ(0, nic(n->na, "watch_hits"));
}

/* Connections come and go while the device fails in every way at once. */
TEST_WIRE(many_connections_over_a_failing_device)
{
	enum { MANY = 8 };
	struct net *n = &self->n;
	int a[MANY], b[MANY], i, round, status;
	pid_t pid[MANY];

	ASSERT_EQ(0, run_in(n->a, "tc qdisc add dev %s root netem loss 2%%",
			    n->na));
	ASSERT_EQ(0, knob(n->na, "table_size", "11"));
	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, knob(n->na, "tx_fallback", round ? "1" : "0"));
		for (i = 0; i < MANY; i++)
			ASSERT_EQ(0, tls_join(n, &a[i], &b[i]));
		for (i = 0; i < MANY; i++) {
			pid[i] = fork();
			if (!pid[i]) {
				pid_t peer = fork();
				size_t got;

				if (!peer)
					_exit(!!send_text(a[i], 60000,
							  777 * (i + 1), 0));
				got = recv_text(b[i], 60000, 0);
				waitpid(peer, &status, 0);
				_exit(got != 60000 || status);
			}
			close(a[i]);
			close(b[i]);
		}
		for (i = 0; i < 10; i++) {
			knob(n->na, "lose", "1");
			usleep(50000);
			knob(n->nb, "lose", "1");
			usleep(50000);
		}
		for (i = 0; i < MANY; i++) {
			EXPECT_EQ(pid[i], waitpid(pid[i], &status, 0));
			EXPECT_EQ(0, status);
		}
	}
	EXPECT_LE(1, nic(n->na, "add_refused"));
	EXPECT_EQ(0, nic(n->na, "watch_hits"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
	EXPECT_TRUE(UNTIL(nic(n->na, "rx_tls_add") ==
			  nic(n->na, "rx_tls_del")));
}

/* The three ways in which drivers find a lost place again. */
FIXTURE(resync)
{
	struct net n;
	int a, b;
};

FIXTURE_VARIANT(resync)
{
	const char *kind;
};

FIXTURE_VARIANT_ADD(resync, driver_req)
{
	.kind = "0",
};

FIXTURE_VARIANT_ADD(resync, core_next_hint)
{
	.kind = "1",
};

FIXTURE_VARIANT_ADD(resync, driver_req_async)
{
	.kind = "2",
};

FIXTURE_SETUP(resync)
{
	ASSERT_EQ(0, net_wire(&self->n));
	ASSERT_EQ(0, knob(self->n.nb, "rx_resync", variant->kind));
	ASSERT_EQ(0, tls_join(&self->n, &self->a, &self->b));
}

FIXTURE_TEARDOWN(resync)
{
	close(self->a);
	close(self->b);
	EXPECT_TRUE(UNTIL(nic(self->n.nb, "rx_tls_add") ==
			  nic(self->n.nb, "rx_tls_del")));
}

/* So many records at once, and the next ones when these have been read. */
static int records(int a, int b, int count, int at_once, size_t len)
{
	for (; count > 0; count -= at_once) {
		for (int i = 0; i < at_once; i++)
			if (send_text(a, len, len, i * len))
				return -1;
		if (recv_text(b, at_once * len, 0) != at_once * len)
			return -1;
	}
	return 0;
}

static void lose_and_find(struct __test_metadata *_metadata,
			  const struct net *n, int a, int b, int at_once)
{
	int i, turn;
	long before;

	ASSERT_EQ(0, records(a, b, 6, at_once, 4000));
	EXPECT_EQ(6, nic(n->nb, "rx_tls_records"));
	for (turn = 1; turn <= 4; turn++) {
		ASSERT_EQ(0, knob(n->nb, "lose", "1"));
		for (i = 0; i < 100; i++) {
			ASSERT_EQ(0, records(a, b, at_once, at_once, 4000));
			if (nic(n->nb, "rx_tls_resync_ok") == turn)
				break;
		}
		ASSERT_EQ(turn, nic(n->nb, "rx_tls_resync_ok"));
		ASSERT_EQ(0, records(a, b, 4, at_once, 4000));
		before = nic(n->nb, "rx_tls_records");
		ASSERT_EQ(0, records(a, b, 10, at_once, 4000));
		EXPECT_EQ(before + 10, nic(n->nb, "rx_tls_records"));
	}
	EXPECT_EQ(4, nic(n->nb, "rx_tls_lost"));
	EXPECT_LE(4, stat_in(n->b, "TlsRxDeviceResync"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

TEST_F_TIMEOUT(resync, lost_sync_is_found_between_single_records, PATIENCE)
{
	lose_and_find(_metadata, &self->n, self->a, self->b, 1);
}

TEST_F_TIMEOUT(resync, lost_sync_is_found_where_records_follow_each_other,
	       PATIENCE)
{
	lose_and_find(_metadata, &self->n, self->a, self->b, 2);
}

/* Lost in the middle of a stream that does not wait. */
TEST_F_TIMEOUT(resync, lost_sync_costs_no_byte, PATIENCE)
{
	struct net *n = &self->n;
	pid_t pid;
	int i;

	for (i = 0; i < 5; i++) {
		pid = fork();
		if (!pid)
			_exit(!!send_text(self->a, 100000, 2500, 0));
		ASSERT_EQ(20000, recv_text(self->b, 20000, 0));
		ASSERT_EQ(0, knob(n->nb, "lose", "1"));
		ASSERT_EQ(80000, recv_text(self->b, 80000, 20000));
		waitpid(pid, NULL, 0);
	}
	EXPECT_LE(1, nic(n->nb, "rx_tls_lost"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

struct stream {
	bool enough;
	size_t sent;
};

static int send_stream(int fd, size_t len, struct stream *s)
{
	const size_t each = 60000;
	int size = 400000;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	while (s->sent < len && !__atomic_load_n(&s->enough, __ATOMIC_SEQ_CST)) {
		if (send_text(fd, each, each, s->sent))
			return 1;
		s->sent += each;
	}
	return !!shutdown(fd, SHUT_WR);
}

/*
 * There is always a part of the next record behind one. Whether a place that is
 * told is still to come when the device hears of it is chance: go on.
 */
TEST_F_TIMEOUT(resync, lost_sync_is_found_in_a_stream_without_a_pause, PATIENCE)
{
	size_t got = 0, len = 12000000;
	struct net *n = &self->n;
	struct stream *s;
	int status;
	pid_t pid;

	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, s);
	pid = fork();
	if (!pid)
		_exit(send_stream(self->a, len, s));
	ASSERT_EQ(0, knob(n->nb, "lose", "1"));
	while (got < len && !nic(n->nb, "rx_tls_resync_ok")) {
		size_t part = 1 + rand() % 30000;

		part = part < len - got ? part : len - got;
		ASSERT_EQ(part, recv_text(self->b, part, got));
		got += part;
	}
	EXPECT_EQ(1, nic(n->nb, "rx_tls_resync_ok"));
	__atomic_store_n(&s->enough, true, __ATOMIC_SEQ_CST);
	got += recv_text(self->b, len - got, got);
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(s->sent, got);
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

TEST_F_TIMEOUT(resync, a_resync_that_is_never_answered_harms_nothing, PATIENCE)
{
	struct net *n = &self->n;

	ASSERT_EQ(0, knob(n->nb, "resync_mute", "1"));
	ASSERT_EQ(0, knob(n->nb, "lose", "1"));
	ASSERT_EQ(0, records(self->a, self->b, 150, 2, 300));
	EXPECT_EQ(0, nic(n->nb, "rx_tls_resync_ok"));
	EXPECT_EQ(0, nic(n->nb, "rx_tls_records"));
	/* It can still be found. */
	ASSERT_EQ(0, knob(n->nb, "resync_mute", "0"));
	ASSERT_EQ(0, records(self->a, self->b, 300, 2, 300));
	EXPECT_LE(1, nic(n->nb, "rx_tls_resync_ok"));
	EXPECT_LE(100, nic(n->nb, "rx_tls_records"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

TEST_F_TIMEOUT(resync, a_question_about_a_place_long_gone_harms_nothing,
	       PATIENCE)
{
	struct net *n = &self->n;

	ASSERT_EQ(0, knob(n->nb, "rx_resync_late_ms", "300"));
	ASSERT_EQ(0, knob(n->nb, "lose", "1"));
	ASSERT_EQ(0, records(self->a, self->b, 150, 2, 300));
	ASSERT_EQ(0, knob(n->nb, "rx_resync_late_ms", "0"));
	ASSERT_EQ(0, knob(n->nb, "rx_resync_wrong", "1"));
	ASSERT_EQ(0, knob(n->nb, "lose", "1"));
	ASSERT_EQ(0, records(self->a, self->b, 100, 2, 300));
	ASSERT_EQ(0, knob(n->nb, "rx_resync_wrong", "0"));
	ASSERT_EQ(0, records(self->a, self->b, 200, 2, 300));
	EXPECT_LE(1, nic(n->nb, "rx_tls_resync_ok"));
	EXPECT_LE(50, nic(n->nb, "rx_tls_records"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

/* A router in the middle that loses, doubles and reorders segments. */
FIXTURE(router)
{
	struct net n;
	int a, b;
};

FIXTURE_VARIANT(router)
{
	const char *netem, *kind;
};

FIXTURE_VARIANT_ADD(router, loss)
{
	.netem = "loss 3%", .kind = "0",
};

FIXTURE_VARIANT_ADD(router, reorder)
{
	.netem = "delay 20ms reorder 75%", .kind = "2",
};

FIXTURE_VARIANT_ADD(router, duplicate)
{
	.netem = "duplicate 20%", .kind = "1",
};

FIXTURE_VARIANT_ADD(router, all_of_it)
{
	.netem = "delay 20ms 10ms reorder 75% loss 2% duplicate 5%",
	.kind = "0",
};

FIXTURE_SETUP(router)
{
	ASSERT_EQ(0, net_router(&self->n));
	ASSERT_EQ(0, knob(self->n.na, "rx_resync", variant->kind));
	ASSERT_EQ(0, knob(self->n.nb, "rx_resync", variant->kind));
}

FIXTURE_TEARDOWN(router)
{
	close(self->a);
	close(self->b);
	EXPECT_TRUE(UNTIL(nic(self->n.na, "tx_tls_add") ==
			  nic(self->n.na, "tx_tls_del")));
}

TEST_F_TIMEOUT(router, no_byte_is_lost_or_wrong, PATIENCE)
{
	struct net *n = &self->n;
	int way;

	ASSERT_EQ(0, tls_join(n, &self->a, &self->b));
	ASSERT_EQ(0, run_in(n->router, "tc qdisc add dev %s root netem %s && tc qdisc add dev %s root netem %s",
			    n->ra, variant->netem, n->rb, variant->netem));
	for (way = 0; way < 2; way++) {
		ASSERT_EQ(0, knob(n->na, "tx_fallback", way ? "1" : "0"));
		ASSERT_EQ(200000, transfer(self->a, self->b, 200000, 7000));
		ASSERT_EQ(50000, transfer(self->b, self->a, 50000, 3000));
	}
	EXPECT_LE(1, nic(n->na, "tx_tls_records"));
	EXPECT_LE(1, nic(n->nb, "rx_tls_records"));
	EXPECT_EQ(0, nic(n->na, "watch_hits"));
	EXPECT_EQ(0, nic(n->nb, "watch_hits"));
	EXPECT_EQ(0, nic(n->ra, "watch_hits"));
	EXPECT_EQ(0, nic(n->rb, "watch_hits"));
	EXPECT_EQ(0, stat_in(n->a, "TlsDecryptError"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

/* What the device takes, it gets. */
FIXTURE(cipher)
{
	struct net n;
	int a, b;
};

FIXTURE_VARIANT(cipher)
{
	uint16_t version, cipher;
};

FIXTURE_VARIANT_ADD(cipher, tls12_gcm128)
{
	.version = TLS_1_2_VERSION, .cipher = TLS_CIPHER_AES_GCM_128,
};

FIXTURE_VARIANT_ADD(cipher, tls12_gcm256)
{
	.version = TLS_1_2_VERSION, .cipher = TLS_CIPHER_AES_GCM_256,
};

FIXTURE_VARIANT_ADD(cipher, tls12_chacha)
{
	.version = TLS_1_2_VERSION, .cipher = TLS_CIPHER_CHACHA20_POLY1305,
};

FIXTURE_VARIANT_ADD(cipher, tls13_gcm128)
{
	.version = TLS_1_3_VERSION, .cipher = TLS_CIPHER_AES_GCM_128,
};

FIXTURE_VARIANT_ADD(cipher, tls13_gcm256)
{
	.version = TLS_1_3_VERSION, .cipher = TLS_CIPHER_AES_GCM_256,
};

FIXTURE_VARIANT_ADD(cipher, tls13_chacha)
{
	.version = TLS_1_3_VERSION, .cipher = TLS_CIPHER_CHACHA20_POLY1305,
};

FIXTURE_SETUP(cipher)
{
	ASSERT_EQ(0, net_wire(&self->n));
	ASSERT_EQ(0, join(&self->n, &self->a, &self->b));
	ASSERT_EQ(0, attach_both(self->a, self->b));
	ASSERT_EQ(0, set_keys(self->a, self->b, variant->version,
			      variant->cipher));
}

FIXTURE_TEARDOWN(cipher)
{
	close(self->a);
	close(self->b);
}

TEST_F_TIMEOUT(cipher, is_offloaded, PATIENCE)
{
	struct net *n = &self->n;
	int type;
	char c;

	EXPECT_EQ(1, nic(n->na, "tx_tls_add"));
	EXPECT_EQ(1, nic(n->nb, "rx_tls_add"));
	ASSERT_EQ(100000, transfer(self->a, self->b, 100000, 10000));
	ASSERT_EQ(2, send_type(self->a, TYPE_ALERT, "\1\2", 2, 0));
	ASSERT_EQ(1, recv_type(self->b, &type, &c, 1, 0));
	EXPECT_EQ(TYPE_ALERT, type);
	EXPECT_EQ(11, nic(n->na, "tx_tls_records"));
	EXPECT_EQ(11, nic(n->nb, "rx_tls_records"));
	EXPECT_EQ(0, nic(n->nb, "rx_tls_passed"));
	EXPECT_SECRET(n->na);
}

/* The kernel's own encryption of segments, and of parts of records. */
TEST_F_TIMEOUT(cipher, is_completed_in_software, PATIENCE)
{
	struct net *n = &self->n;
	int way;

	ASSERT_EQ(0, run_in(n->a, "tc qdisc add dev %s root netem loss 5%%",
			    n->na));
	for (way = 0; way < 2; way++) {
		ASSERT_EQ(0, knob(n->na, "tx_fallback", way ? "1" : "0"));
		ASSERT_EQ(0, knob(n->na, "lose", "1"));
		ASSERT_EQ(0, knob(n->nb, "rx_spoil_tags", "2"));
		ASSERT_EQ(100000, transfer(self->a, self->b, 100000, 7000));
	}
	EXPECT_EQ(0, nic(n->na, "watch_hits"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

TEST_HARNESS_MAIN
