// SPDX-License-Identifier: GPL-2.0
/*
 * NIC offload of streams, while segments are lost, late, twice or in another
 * order, keys change under them and devices go: no byte is lost or wrong, and
 * none leaves in the clear. The NIC is tlsnic (nic/), which must be loaded.
 *
 * OFFLOAD_MB is the length of the longest streams, each way; a gigabyte is for
 * running by hand. With it, what devices and wire have counted is shown.
 */

#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "tls_test.h"
#include "tlsnic.h"

#include <linux/sockios.h>
#include <sys/mman.h>

#define KEY_UPDATE 24

static const unsigned char key_update[5] = { KEY_UPDATE, 0, 0, 1, 0 };

/* A kernel that checks everything is several times slower. */
static bool slow_kernel(void)
{
	return !access("/sys/kernel/debug/kmemleak", F_OK);
}

static size_t long_stream(void)
{
	const char *mb = getenv("OFFLOAD_MB");

	return (mb ? strtoull(mb, NULL, 10) : slow_kernel() ? 4 : 16) << 20;
}

/* TCP looks for what is lost as soon as it may. */
static int hasty(int ns)
{
	return run_in(ns, "cd /proc/sys/net/ipv4 && echo 3 > tcp_early_retrans && { [ ! -e tcp_rto_min_us ] || echo 200000 > tcp_rto_min_us; }");
}

static int room(int fd, int option, int len)
{
	return setsockopt(fd, SOL_SOCKET, option, &len, sizeof(len));
}

static int unsent(int fd)
{
	int len = -1;

	return ioctl(fd, SIOCOUTQ, &len) ? -1 : len;
}

static long sent_again(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ? -1 :
	       (long)info.tcpi_total_retrans;
}

/*
 * Files that go to the device uncopied
 */

/* What happens at each eighth of the file. */
enum trouble {
	NOTHING,
	LOSE,		/* the device loses its place */
	FORGET,		/* the device forgets the connection, half way */
	DOWN,		/* the device goes down, half way */
};

FIXTURE(file)
{
	struct net n;
	int a, b, file;
	size_t len;
};

FIXTURE_VARIANT(file)
{
	const char *tx_fallback, *table_size;
	unsigned int loss;
	enum trouble trouble;
};

FIXTURE_VARIANT_ADD(file, lost_and_made_again_by_the_device)
{
	.tx_fallback = "0", .table_size = "128", .loss = 3,
};

FIXTURE_VARIANT_ADD(file, lost_and_made_again_in_software)
{
	.tx_fallback = "1", .table_size = "128", .loss = 3,
};

FIXTURE_VARIANT_ADD(file, place_lost_and_found_by_the_device)
{
	.tx_fallback = "0", .table_size = "128", .trouble = LOSE,
};

FIXTURE_VARIANT_ADD(file, place_lost_and_told_by_software)
{
	.tx_fallback = "1", .table_size = "128", .loss = 1, .trouble = LOSE,
};

FIXTURE_VARIANT_ADD(file, connection_forgotten)
{
	.tx_fallback = "0", .table_size = "128", .loss = 1, .trouble = FORGET,
};

FIXTURE_VARIANT_ADD(file, device_down)
{
	.tx_fallback = "0", .table_size = "128", .loss = 1, .trouble = DOWN,
};

FIXTURE_VARIANT_ADD(file, table_full)
{
	.tx_fallback = "0", .table_size = "0", .loss = 1,
};

FIXTURE_SETUP(file)
{
	unsigned char buf[65536];
	size_t at;

	self->len = slow_kernel() ? 1 << 20 : 3 << 20;
	ASSERT_EQ(0, net_wire(&self->n)) {
		TH_LOG("is tlsnic loaded?");
	}
	self->file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	for (at = 0; at < self->len; at += sizeof(buf)) {
		text(buf, sizeof(buf), at);
		ASSERT_EQ(sizeof(buf), write(self->file, buf, sizeof(buf)));
	}
}

FIXTURE_TEARDOWN(file)
{
	close(self->a);
	close(self->b);
	close(self->file);
	EXPECT_TRUE(UNTIL(nic(self->n.na, "tx_tls_add") ==
			  nic(self->n.na, "tx_tls_del")));
}

/* The file from its byte @from on, in calls of @each bytes. */
static int send_file(int fd, int file, off_t from, size_t len, size_t each)
{
	while (from < (off_t)len)
		if (sendfile(fd, file, &from, each) <= 0)
			return -1;
	return 0;
}

static int make_trouble(enum trouble trouble, int eighth, const struct net *n)
{
	switch (trouble) {
	case LOSE:
		return knob(n->na, "lose", "1");
	case FORGET:
		return eighth == 4 ? knob(n->na, "forget", "1") : 0;
	case DOWN:
		return eighth == 4 ? run_in(n->a, "ip link set %s down && ip link set %s up",
					    n->na, n->na) : 0;
	default:
		return 0;
	}
}

TEST_F_TIMEOUT(file, sent_uncopied_arrives_as_it_is, PATIENCE)
{
	/* From within a page, and records that end within one. */
	static const struct { size_t each; off_t from; } call[2] = {
		{ 1 << 20, 0 }, { 77777, 100 },
	};
	static unsigned char back[65536];
	struct net *n = &self->n;
	int turn, zc = 1, eighth, status;
	size_t at, part, i;
	long sealed = 0;
	pid_t pid;

	ASSERT_EQ(0, knob(n->na, "tx_fallback", variant->tx_fallback));
	ASSERT_EQ(0, knob(n->na, "table_size", variant->table_size));
	if (variant->loss)
		ASSERT_EQ(0, run_in(n->a, "tc qdisc add dev %s root netem loss %u%%",
				    n->na, variant->loss));
	for (turn = 0; turn < 2; turn++) {
		ASSERT_EQ(0, join(n, &self->a, &self->b));
		ASSERT_EQ(0, attach_both(self->a, self->b));
		ASSERT_EQ(0, set_keys(self->a, self->b, turn ? TLS_1_3_VERSION :
				      TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128));
		ASSERT_EQ(0, setsockopt(self->a, SOL_TLS, TLS_TX_ZEROCOPY_RO,
					&zc, sizeof(zc)));
		/* What is under way is less than an eighth. */
		room(self->a, SO_SNDBUF, self->len / 32);
		room(self->b, SO_RCVBUF, self->len / 32);
		pid = fork();
		if (!pid)
			_exit(!!send_file(self->a, self->file, call[turn].from,
					  self->len, call[turn].each));
		for (eighth = 0, at = call[turn].from; eighth < 8; eighth++) {
			ASSERT_EQ(0, make_trouble(variant->trouble, eighth, n));
			if (variant->trouble == DOWN && eighth == 4)
				sealed = nic(n->na, "tx_tls_encrypted_bytes");
			part = (eighth + 1) * (self->len / 8) - at;
			ASSERT_EQ(part, recv_text(self->b, part, at)) {
				TH_LOG("in part %d of turn %d", eighth, turn);
			}
			at += part;
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		close(self->a);
		close(self->b);
	}
	/* Nothing was written into the file's own pages. */
	for (at = 0; at < self->len; at += sizeof(back)) {
		ASSERT_EQ(sizeof(back),
			  pread(self->file, back, sizeof(back), at));
		for (i = 0; i < sizeof(back) && back[i] == text_at(at + i); i++)
			;
		ASSERT_EQ(sizeof(back), i);
	}

	/* And it was done by whom it should have been. */
	if (!strcmp(variant->table_size, "0")) {
		EXPECT_EQ(2, stat_in(n->a, "TlsTxSw"));
		EXPECT_EQ(0, nic(n->na, "tx_tls_add"));
	} else {
		EXPECT_EQ(2, stat_in(n->a, "TlsTxDevice"));
		EXPECT_LE(self->len / 2, nic(n->na, "tx_tls_encrypted_bytes"));
		/* Without a device, there is no place to lose. */
		if (variant->trouble != DOWN)
			EXPECT_LE(1, nic(n->na, "tx_tls_ooo"));
	}
	if (!strcmp(variant->tx_fallback, "1") || variant->trouble == FORGET)
		EXPECT_LE(1, nic(n->na, "tx_tls_fallback"));
	if (variant->trouble == LOSE && variant->tx_fallback[0] == '1')
		EXPECT_LE(4, nic(n->na, "tx_tls_resync_res"));
	if (variant->trouble == DOWN)
		EXPECT_EQ(sealed, nic(n->na, "tx_tls_encrypted_bytes"));
	EXPECT_EQ(0, nic(n->na, "watch_hits"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

/*
 * Keys that change while data of the old one are not acknowledged
 */

FIXTURE(update)
{
	struct net n;
	int a, b;
};

FIXTURE_VARIANT(update)
{
	const char *tx_fallback;
	uint16_t cipher;
};

FIXTURE_VARIANT_ADD(update, device_makes_segments_again)
{
	.tx_fallback = "0", .cipher = TLS_CIPHER_AES_GCM_128,
};

FIXTURE_VARIANT_ADD(update, software_makes_segments_again)
{
	.tx_fallback = "1", .cipher = TLS_CIPHER_AES_GCM_256,
};

FIXTURE_SETUP(update)
{
	ASSERT_EQ(0, net_wire(&self->n)) {
		TH_LOG("is tlsnic loaded?");
	}
	ASSERT_EQ(0, hasty(self->n.a));
}

FIXTURE_TEARDOWN(update)
{
	close(self->a);
	close(self->b);
	EXPECT_TRUE(UNTIL(nic(self->n.na, "tx_tls_add") ==
			  nic(self->n.na, "tx_tls_del")));
	EXPECT_TRUE(UNTIL(nic(self->n.nb, "rx_tls_add") ==
			  nic(self->n.nb, "rx_tls_del")));
}

enum { GROUPS = 4, MOST_GROUPS = 20, KEYS = 3, UNDER_A_KEY = 60000 };

/* What the sender has seen; shared memory. */
struct seen {
	int updates;	/* keys that changed with data of the old one unacked */
	long again;	/* segments that TCP has sent again */
	long old;	/* that the device did not expect, of a key gone by */
	int groups;	/* that are over */
};

/* What gets lost is chance: go on until it was of a key gone by. */
static bool another_group(struct seen *seen, int g)
{
	return g < GROUPS || (g < MOST_GROUPS && !seen->old);
}

/*
 * In each group the keys change while all of it is under way; between groups
 * everything is acknowledged, as far as TCP knows. All that is for the device
 * is under the first key of a group: it has the next when nothing is left.
 */
static int send_updating(int fd, const char *dev, uint16_t cipher,
			 struct seen *seen)
{
	int g, k, i, seed = 10;
	size_t at = 0;
	long ooo = 0;

	room(fd, SO_SNDBUFFORCE, 4 << 20);
	for (g = 0; another_group(seen, g); g++) {
		for (k = 0; k < KEYS; k++) {
			if (send_text(fd, UNDER_A_KEY, 5000, at))
				return 1;
			at += UNDER_A_KEY;
			if (send_type(fd, TYPE_HANDSHAKE, key_update, 5, 0) != 5)
				return 2;
			seen->updates += unsent(fd) > 5000;
			if (set_key(fd, TLS_TX, TLS_1_3_VERSION, cipher,
				    seed++))
				return 3;
			if (!k)
				ooo = nic(dev, "tx_tls_ooo");
		}
		for (i = 0; i < 60000 && unsent(fd); i++)
			usleep(1000);
		if (unsent(fd))
			return 4;
		seen->old += nic(dev, "tx_tls_ooo") - ooo;
		__atomic_store_n(&seen->groups, g + 1, __ATOMIC_SEQ_CST);
		/* Copies that TCP sent for nothing may be there or not. */
		if (g % 2)
			usleep(300000);
	}
	seen->again = sent_again(fd);
	return 0;
}

TEST_F_TIMEOUT(update, each_record_goes_under_the_key_that_it_was_framed_for,
	       PATIENCE)
{
	struct net *n = &self->n;
	int g, k, type, status, seed = 10;
	unsigned char in[16];
	struct seen *seen;
	size_t at = 0;
	pid_t pid;

	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, seen);
	ASSERT_EQ(0, knob(n->na, "tx_fallback", variant->tx_fallback));
	ASSERT_EQ(0, join(n, &self->a, &self->b));
	/* The receiving device waits until a window has gone by. */
	room(self->b, SO_RCVBUF, 200000);
	ASSERT_EQ(0, attach_both(self->a, self->b));
	ASSERT_EQ(0, set_keys(self->a, self->b, TLS_1_3_VERSION,
			      variant->cipher));
	/*
	 * Segments wait in front of the device and some get lost there;
	 * acknowledgments are late.
	 */
	ASSERT_EQ(0, run_in(n->a, "tc qdisc add dev %s root handle 1: tbf rate 4mbit burst 20k limit 1m && tc qdisc add dev %s parent 1:1 netem loss 5%%",
			    n->na, n->na));
	ASSERT_EQ(0, run_in(n->b, "tc qdisc add dev %s root netem delay 20ms",
			    n->nb));

	pid = fork();
	if (!pid)
		_exit(send_updating(self->a, n->na, variant->cipher, seen));
	for (g = 0; another_group(seen, g); g++) {
		/* Later than TCP expects: it sends again what has arrived. */
		ASSERT_EQ(0, run_in(n->b, "tc qdisc change dev %s root netem delay %dms",
				    n->nb, g % 2 ? 500 : 20));
		for (k = 0; k < KEYS; k++) {
			ASSERT_EQ(UNDER_A_KEY,
				  recv_text(self->b, UNDER_A_KEY, at)) {
				TH_LOG("key %d of group %d: %s", k, g,
				       strerror(errno));
			}
			at += UNDER_A_KEY;
			ASSERT_EQ(5, recv_type(self->b, &type, in, sizeof(in),
					       0));
			ASSERT_EQ(TYPE_HANDSHAKE, type);
			ASSERT_EQ(0, memcmp(in, key_update, 5));
			ASSERT_EQ(0, set_key(self->b, TLS_RX, TLS_1_3_VERSION,
					     variant->cipher, seed++));
		}
		ASSERT_TRUE(UNTIL(__atomic_load_n(&seen->groups,
						  __ATOMIC_SEQ_CST) > g));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);

	/* It was as hard as it should be. */
	EXPECT_LE(GROUPS * (KEYS - 1), seen->updates);
	EXPECT_LE(1, seen->again);
	EXPECT_LE(1, seen->old);
	EXPECT_LE(1, nic(n->na, variant->tx_fallback[0] == '1' ?
			 "tx_tls_fallback" : "tx_tls_rebuilt"));
	EXPECT_LE(GROUPS, g);
	EXPECT_EQ(g * KEYS, stat_in(n->a, "TlsTxRekeyOk"));
	EXPECT_EQ(g * KEYS, stat_in(n->b, "TlsRxRekeyOk"));

	/* The devices have the last key in the end. */
	ASSERT_EQ(0, run_in(n->a, "tc qdisc del dev %s root", n->na));
	ASSERT_EQ(0, run_in(n->b, "tc qdisc del dev %s root", n->nb));
	ASSERT_TRUE(UNTIL(unsent(self->a) == 0));
	for (g = 0; g < 20 && nic(n->nb, "rx_tls_add") < 2; g++)
		ASSERT_EQ(100000, transfer(self->a, self->b, 100000, 5000));
	ASSERT_EQ(100000, transfer(self->a, self->b, 100000, 5000));
	EXPECT_LE(2, nic(n->na, "tx_tls_add"));
	EXPECT_LE(2, nic(n->nb, "rx_tls_add"));
	EXPECT_LE(UNDER_A_KEY, nic(n->na, "tx_tls_encrypted_bytes"));
	EXPECT_EQ(0, nic(n->na, "watch_hits"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

/*
 * A device that is removed under many
 */

FIXTURE(removal)
{
	struct net n;
	char other[16], otherp[16];
};

/* Connections are between addresses that either wire leads to. */
FIXTURE_SETUP(removal)
{
	struct net *n = &self->n;

	ASSERT_EQ(0, net_wire(n)) {
		TH_LOG("is tlsnic loaded?");
	}
	ASSERT_EQ(0, enter(n->a));
	ASSERT_EQ(0, new_pair(self->other, self->otherp, n->b));
	ASSERT_EQ(0, up_in(n->b, self->otherp, 2, 2));
	ASSERT_EQ(0, up_in(n->a, self->other, 2, 1));
	ASSERT_EQ(0, run_in(n->a, "ip addr add 10.9.0.1/32 dev lo && ip route add 10.9.0.2 via 10.2.0.2 metric 20"));
	ASSERT_EQ(0, run_in(n->b, "ip addr add 10.9.0.2/32 dev lo && ip route add 10.9.0.1 via 10.2.0.1 metric 20"));
}

FIXTURE_TEARDOWN(removal)
{
}

/* The wire that is preferred, and can be removed; a new one if need be. */
static int prefer_wire(struct net *n, int turn)
{
	if (turn && (enter(n->a) || new_pair(n->na, n->nb, n->b) ||
		     up_in(n->b, n->nb, 1, 2) || up_in(n->a, n->na, 1, 1)))
		return -1;
	return run_in(n->a, "ip route add 10.9.0.2 via 10.1.0.2 metric 10") ||
	       run_in(n->b, "ip route add 10.9.0.1 via 10.1.0.1 metric 10") ||
	       run_in(n->a, "tc qdisc add dev %s root tbf rate 1mbit burst 10k limit 1m",
		      n->na);
}

/* Small sends of any size up to 300 bytes. */
static int send_small(int fd, size_t len, unsigned int seed)
{
	size_t at = 0, n;

	while (at < len) {
		n = 1 + rand_r(&seed) % 300;
		if (n > len - at)
			n = len - at;
		if (send_text(fd, n, n, at))
			return -1;
		at += n;
	}
	return 0;
}

/* What a process does not use it must not keep open. */
static void close_but(int keep, const int *fd, int many)
{
	for (int i = 0; i < many; i++)
		if (fd[i] != keep)
			close(fd[i]);
}

TEST_F_TIMEOUT(removal, while_many_send_and_the_last_of_others_leave, PATIENCE)
{
	enum { MANY = 6, TURNS = 3, FEW = 30000, LEN = 150000 };
	struct net *n = &self->n;
	int a[MANY], b[MANY], last, turn, i, status;
	pid_t sender[MANY], reader[MANY];
	char c;

	for (turn = 0; turn < TURNS; turn++) {
		long other = nic(self->other, "tx_tls_add");

		ASSERT_LE(0, other);
		ASSERT_EQ(0, prefer_wire(n, turn));
		for (i = 0; i < MANY; i++) {
			ASSERT_EQ(0, connect_ip(n->a, n->b, AF_INET, "10.9.0.1",
						"10.9.0.2", &a[i], &b[i]));
			ASSERT_EQ(0, attach_both(a[i], b[i]));
			ASSERT_EQ(0, set_keys(a[i], b[i], i % 2 ?
					      TLS_1_2_VERSION : TLS_1_3_VERSION,
					      TLS_CIPHER_AES_GCM_128));
			room(a[i], SO_SNDBUFFORCE, 1 << 20);
		}
		EXPECT_EQ(MANY, nic(n->na, "tx_tls_add"));
		EXPECT_EQ(MANY, nic(n->na, "rx_tls_add"));
		EXPECT_EQ(MANY, nic(n->nb, "tx_tls_add"));
		EXPECT_EQ(MANY, nic(n->nb, "rx_tls_add"));

		/* Half of them send on; half end, with all of it queued. */
		last = MANY / 2;
		for (i = 0; i < MANY; i++) {
			reader[i] = fork();
			if (!reader[i]) {
				size_t all = i < last ? LEN : FEW;

				close_but(-1, a, MANY);
				close_but(b[i], b, MANY);
				if (recv_text(b[i], all, 0) != all)
					_exit(1);
				if (i >= last && recv(b[i], &c, 1, 0))
					_exit(2);
				_exit(0);
			}
		}
		for (i = 0; i < last; i++) {
			sender[i] = fork();
			if (!sender[i]) {
				close_but(a[i], a, MANY);
				close_but(-1, b, MANY);
				_exit(!!send_small(a[i], LEN, i + turn));
			}
		}
		ASSERT_TRUE(UNTIL(nic(n->na, "tx_tls_records") >= 100));
		for (i = last; i < MANY; i++) {
			ASSERT_EQ(0, send_small(a[i], FEW, i));
			close(a[i]);
		}
		EXPECT_EQ(0, nic(n->na, "watch_hits"));
		ASSERT_EQ(0, run_in(n->a, "ip link del %s", n->na));

		for (i = 0; i < MANY; i++) {
			EXPECT_EQ(reader[i], waitpid(reader[i], &status, 0));
			EXPECT_EQ(0, status) {
				TH_LOG("reader %d of turn %d", i, turn);
			}
			if (i < last) {
				waitpid(sender[i], &status, 0);
				EXPECT_EQ(0, status);
				close(a[i]);
			}
			close(b[i]);
		}
		/*
		 * No other device took what these had. That they gave all of
		 * it back they look at themselves, when they go.
		 */
		EXPECT_EQ(other, nic(self->other, "tx_tls_add"));
		EXPECT_LE((turn + 1) * FEW, nic(self->other, "wire_bytes"));
	}
	EXPECT_SECRET(self->other);
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

/*
 * Long streams, both ways at once, over a router that does everything wrong
 */

FIXTURE(stream)
{
	struct net n;
	int a, b;
};

FIXTURE_VARIANT(stream)
{
	uint16_t version;
};

FIXTURE_VARIANT_ADD(stream, tls12)
{
	.version = TLS_1_2_VERSION,
};

FIXTURE_VARIANT_ADD(stream, tls13)
{
	.version = TLS_1_3_VERSION,
};

FIXTURE_SETUP(stream)
{
	ASSERT_EQ(0, net_router(&self->n)) {
		TH_LOG("is tlsnic loaded?");
	}
}

FIXTURE_TEARDOWN(stream)
{
	close(self->a);
	close(self->b);
	EXPECT_TRUE(UNTIL(nic(self->n.na, "tx_tls_add") ==
			  nic(self->n.na, "tx_tls_del")));
	EXPECT_TRUE(UNTIL(nic(self->n.nb, "tx_tls_add") ==
			  nic(self->n.nb, "tx_tls_del")));
}

static void tell(struct net *n)
{
	run_in(n->a, "cd /sys/kernel/debug/tlsnic && for dev in %s %s; do sed \"s/^/# $dev /\" $dev/counters; done",
	       n->na, n->nb);
	run_in(n->router, "tc -s qdisc show | sed 's/^/# /'");
	run_in(n->a, "sed 's/^/# A /' /proc/net/tls_stat");
	run_in(n->b, "sed 's/^/# B /' /proc/net/tls_stat");
}

/* A minute for each megabyte and way is more than any machine needs. */
#define LONG_PATIENCE (PATIENCE + 60 * (int)(long_stream() >> 20))

TEST_F_TIMEOUT(stream, both_ways_at_once_arrives_whole, LONG_PATIENCE)
{
	static const char bad[] = "delay 5ms 3ms reorder 90% loss 0.5% duplicate 1%";
	size_t len = long_stream();
	struct net *n = &self->n;
	pid_t pid[3];
	int i, status;

	ASSERT_EQ(0, knob(n->nb, "tx_fallback", "1"));
	/* Each of the three ways to be told a place again. */
	ASSERT_EQ(0, knob(n->na, "rx_resync",
			  variant->version == TLS_1_2_VERSION ? "0" : "1"));
	ASSERT_EQ(0, knob(n->nb, "rx_resync", "2"));
	ASSERT_EQ(0, join(n, &self->a, &self->b));
	ASSERT_EQ(0, attach_both(self->a, self->b));
	ASSERT_EQ(0, set_keys(self->a, self->b, variant->version,
			      TLS_CIPHER_AES_GCM_128));
	ASSERT_EQ(0, run_in(n->router, "tc qdisc add dev %s root netem %s && tc qdisc add dev %s root netem %s",
			    n->ra, bad, n->rb, bad));
	for (i = 0; i < 3; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		switch (i) {
		case 0:
			_exit(!!send_text(self->a, len, 30000, 0));
		case 1:
			_exit(!!send_text(self->b, len, 16384, 64));
		default:
			_exit(recv_text(self->a, len, 64) != len);
		}
	}
	EXPECT_EQ(len, recv_text(self->b, len, 0));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status) {
			TH_LOG("process %d", i);
		}
	}
	if (getenv("OFFLOAD_MB"))
		tell(n);
	/* The devices did their part, and so did software. */
	EXPECT_LE(len / 4, nic(n->na, "tx_tls_encrypted_bytes"));
	EXPECT_LE(len / 4, nic(n->nb, "tx_tls_encrypted_bytes"));
	EXPECT_LE(1, nic(n->na, "rx_tls_records"));
	EXPECT_LE(1, nic(n->nb, "rx_tls_records"));
	EXPECT_LE(1, nic(n->na, "tx_tls_rebuilt"));
	EXPECT_LE(1, nic(n->nb, "tx_tls_fallback"));
	EXPECT_LE(1, nic(n->na, "rx_tls_passed"));
	EXPECT_LE(1, nic(n->nb, "rx_tls_resync_ok"));
	EXPECT_EQ(0, nic(n->na, "watch_hits"));
	EXPECT_EQ(0, nic(n->nb, "watch_hits"));
	EXPECT_EQ(0, nic(n->ra, "watch_hits"));
	EXPECT_EQ(0, nic(n->rb, "watch_hits"));
	EXPECT_EQ(0, stat_in(n->a, "TlsDecryptError"));
	EXPECT_EQ(0, stat_in(n->b, "TlsDecryptError"));
}

TEST_HARNESS_MAIN
