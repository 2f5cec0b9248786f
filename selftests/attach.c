// SPDX-License-Identifier: GPL-2.0
/* Attaching, keys, options, counters: tests are named after the promises. */

#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "tls_test.h"

#include <linux/bpf.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/syscall.h>

static const struct {
	uint16_t version;
	uint16_t cipher;
} all[] = {
	{ TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128 },
	{ TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_256 },
	{ TLS_1_2_VERSION, TLS_CIPHER_AES_CCM_128 },
	{ TLS_1_2_VERSION, TLS_CIPHER_CHACHA20_POLY1305 },
	{ TLS_1_2_VERSION, TLS_CIPHER_SM4_GCM },
	{ TLS_1_2_VERSION, TLS_CIPHER_SM4_CCM },
	{ TLS_1_2_VERSION, TLS_CIPHER_ARIA_GCM_128 },
	{ TLS_1_2_VERSION, TLS_CIPHER_ARIA_GCM_256 },
	{ TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128 },
	{ TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_256 },
	{ TLS_1_3_VERSION, TLS_CIPHER_AES_CCM_128 },
	{ TLS_1_3_VERSION, TLS_CIPHER_CHACHA20_POLY1305 },
	{ TLS_1_3_VERSION, TLS_CIPHER_SM4_GCM },
	{ TLS_1_3_VERSION, TLS_CIPHER_SM4_CCM },
};

#define NUM_ALL (sizeof(all) / sizeof(all[0]))

TEST(without_keys_data_passes_unchanged_ipv4_and_ipv6)
{
	int families[] = { AF_INET, AF_INET6 };
	char buf[16];
	int i, a, b, p[2];

	ASSERT_EQ(0, pipe(p));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, tcp_pair(families[i], &a, &b));
		ASSERT_EQ(0, attach(a));
		ASSERT_EQ(0, attach(b));
		EXPECT_EQ(5, send(a, "hello", 5, 0));
		EXPECT_EQ(5, recv(b, buf, sizeof(buf), 0));
		EXPECT_EQ(0, memcmp(buf, "hello", 5));
		EXPECT_EQ(5, send(a, "pipes", 5, 0));
		ASSERT_EQ(5, splice(b, NULL, p[1], NULL, 5, 0));
		EXPECT_EQ(5, read(p[0], buf, sizeof(buf)));
		EXPECT_EQ(0, memcmp(buf, "pipes", 5));
		close(a);
		EXPECT_EQ(0, recv(b, buf, sizeof(buf), 0));
		close(b);
	}
	close(p[0]);
	close(p[1]);
}

TEST(socket_in_another_state_is_enotconn)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int a, b;

	EXPECT_EQ(-1, attach(fd));
	EXPECT_EQ(ENOTCONN, errno);
	ASSERT_EQ(0, listen(fd, 1));
	EXPECT_EQ(-1, attach(fd));
	EXPECT_EQ(ENOTCONN, errno);
	close(fd);

	ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
	shutdown(a, SHUT_WR);
	EXPECT_EQ(-1, attach(a));
	EXPECT_EQ(ENOTCONN, errno);
	close(a);
	close(b);
}

TEST(second_attach_is_eexist)
{
	int a, b;

	ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
	EXPECT_EQ(0, attach(a));
	EXPECT_EQ(-1, attach(a));
	EXPECT_EQ(EEXIST, errno);
	close(a);
	close(b);
}

TEST(connect_af_unspec_is_eopnotsupp)
{
	struct sockaddr sa = { .sa_family = AF_UNSPEC };
	char buf[4];
	int a, b;

	ASSERT_EQ(0, tls_pair(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, &a, &b));
	EXPECT_EQ(-1, connect(a, &sa, sizeof(sa)));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(3, send(a, "abc", 3, 0));
	EXPECT_EQ(3, recv(b, buf, sizeof(buf), 0));
	close(a);
	close(b);
}

TEST(listen_on_attached_socket_is_refused)
{
	int a, b;

	ASSERT_EQ(0, tls_pair(TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128, &a, &b));
	shutdown(a, SHUT_RDWR);
	shutdown(b, SHUT_RDWR);
	close(b);
	usleep(50000);
	EXPECT_EQ(-1, listen(a, 1));
	EXPECT_EQ(EINVAL, errno);
	close(a);
}

TEST(sockmap_and_keys_exclude_each_other)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_SOCKMAP, .key_size = 4,
		.value_size = 4, .max_entries = 2,
	};
	uint32_t key = 0, value;
	char buf[8];
	int map, a, b;

	map = syscall(__NR_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	if (map < 0)
		SKIP(return, "no sockmap in this kernel");
	ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));

	/* In the map first: no keys, and data passes on unchanged. */
	value = a;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = map;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&value;
	ASSERT_EQ(0, syscall(__NR_bpf, BPF_MAP_UPDATE_ELEM, &attr,
			     sizeof(attr)));
	EXPECT_EQ(0, attach(a));
	EXPECT_EQ(-1, set_key(a, TLS_TX, TLS_1_2_VERSION,
			      TLS_CIPHER_AES_GCM_128, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, set_key(a, TLS_RX, TLS_1_2_VERSION,
			      TLS_CIPHER_AES_GCM_128, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(3, send(a, "abc", 3, 0));
	EXPECT_EQ(3, recv(b, buf, sizeof(buf), 0));

	/* Out of the map, the socket can have keys. */
	attr.value = 0;
	EXPECT_EQ(0, syscall(__NR_bpf, BPF_MAP_DELETE_ELEM, &attr,
			     sizeof(attr)));
	usleep(100000);
	EXPECT_EQ(0, set_key(a, TLS_TX, TLS_1_2_VERSION,
			     TLS_CIPHER_AES_GCM_128, 1));
	EXPECT_EQ(3, send(a, "abc", 3, 0));
	EXPECT_EQ(8, recv(b, buf, sizeof(buf), 0));
	EXPECT_EQ(TYPE_DATA, buf[0]);

	/* With TLS first, the map refuses. */
	attr.value = (uintptr_t)&value;
	EXPECT_EQ(-1, syscall(__NR_bpf, BPF_MAP_UPDATE_ELEM, &attr,
			      sizeof(attr)));
	EXPECT_EQ(EOPNOTSUPP, errno);
	close(a);
	close(b);
	close(map);
}

TEST(second_sockmap_does_not_replace_our_operations)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_SOCKMAP, .key_size = 4,
		.value_size = 4, .max_entries = 2,
	};
	uint32_t key = 0, value;
	int map[2], a, b, i;
	char buf[32];

	for (i = 0; i < 2; i++)
		map[i] = syscall(__NR_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	if (map[0] < 0)
		SKIP(return, "no sockmap in this kernel");
	ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
	value = a;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = map[0];
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&value;
	ASSERT_EQ(0, syscall(__NR_bpf, BPF_MAP_UPDATE_ELEM, &attr,
			     sizeof(attr)));
	ASSERT_EQ(0, attach(a));
	attr.map_fd = map[1];
	EXPECT_EQ(-1, syscall(__NR_bpf, BPF_MAP_UPDATE_ELEM, &attr,
			      sizeof(attr)));
	EXPECT_EQ(EOPNOTSUPP, errno);
	attr.map_fd = map[0];
	attr.value = 0;
	EXPECT_EQ(0, syscall(__NR_bpf, BPF_MAP_DELETE_ELEM, &attr,
			     sizeof(attr)));
	usleep(100000);
	EXPECT_EQ(0, set_key(a, TLS_TX, TLS_1_2_VERSION,
			     TLS_CIPHER_AES_GCM_128, 1));
	EXPECT_EQ(3, send(a, "abc", 3, 0));
	EXPECT_EQ(5 + 8 + 3 + 16, recv(b, buf, sizeof(buf), MSG_WAITALL));
	EXPECT_EQ(TYPE_DATA, buf[0]);
	close(a);
	close(b);
	close(map[0]);
	close(map[1]);
}

TEST(every_version_and_cipher_carries_every_small_length)
{
	unsigned char out[300], in[300];
	unsigned int i, len;
	int a, b;

	fill(out, sizeof(out), 1);
	for (i = 0; i < NUM_ALL; i++) {
		ASSERT_EQ(0, tls_pair(all[i].version, all[i].cipher, &a, &b));
		for (len = 1; len < sizeof(out); len += 1 + len / 20) {
			ASSERT_EQ(len, send(a, out, len, 0));
			ASSERT_EQ(len, recv(b, in, sizeof(in), 0));
			ASSERT_EQ(0, memcmp(in, out, len));
			ASSERT_EQ(len, send(b, out, len, 0));
			ASSERT_EQ(len, recv(a, in, sizeof(in), 0));
			ASSERT_EQ(0, memcmp(in, out, len));
		}
		close(a);
		close(b);
	}
}

TEST(every_version_and_cipher_carries_large_data)
{
	static unsigned char out[100000], in[100000];
	unsigned int i;
	int a, b;

	fill(out, sizeof(out), 7);
	for (i = 0; i < NUM_ALL; i++) {
		pid_t pid;

		ASSERT_EQ(0, tls_pair(all[i].version, all[i].cipher, &a, &b));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			_exit(send(a, out, sizeof(out), 0) != sizeof(out));
		ASSERT_EQ(sizeof(in), recv_all(b, in, sizeof(in)));
		ASSERT_EQ(0, memcmp(in, out, sizeof(in)));
		waitpid(pid, NULL, 0);
		close(a);
		close(b);
	}
}

TEST(wrong_keys_are_refused_with_their_errno)
{
	union keys k;
	size_t len;
	int a, b;

	ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
	ASSERT_EQ(0, attach(a));
	len = make_keys(&k, TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128, 1);

	/* optlen */
	EXPECT_EQ(-1, setsockopt(a, SOL_TLS, TLS_TX, &k, len - 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, setsockopt(a, SOL_TLS, TLS_TX, &k, len + 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, setsockopt(a, SOL_TLS, TLS_TX, &k, 2));
	EXPECT_EQ(EINVAL, errno);
	/* version, cipher, and what TLS 1.3 does not have */
	k.info.version = 0x0302;
	EXPECT_EQ(-1, setsockopt(a, SOL_TLS, TLS_TX, &k, len));
	EXPECT_EQ(EINVAL, errno);
	k.info.version = TLS_1_2_VERSION;
	k.info.cipher_type = 50;
	EXPECT_EQ(-1, setsockopt(a, SOL_TLS, TLS_TX, &k, len));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, set_key(a, TLS_TX, TLS_1_3_VERSION,
			      TLS_CIPHER_ARIA_GCM_128, 1));
	EXPECT_EQ(EINVAL, errno);
	/* memory */
	EXPECT_EQ(-1, setsockopt(a, SOL_TLS, TLS_TX, NULL, len));
	EXPECT_EQ(EFAULT, errno);
	/* None of that left anything behind. */
	EXPECT_EQ(0, set_key(a, TLS_TX, TLS_1_2_VERSION,
			     TLS_CIPHER_AES_GCM_128, 1));
	/* the other direction differs */
	EXPECT_EQ(-1, set_key(a, TLS_RX, TLS_1_3_VERSION,
			      TLS_CIPHER_AES_GCM_128, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, set_key(a, TLS_RX, TLS_1_2_VERSION,
			      TLS_CIPHER_AES_GCM_256, 1));
	EXPECT_EQ(EINVAL, errno);
	/* TLS 1.2 has one key for life */
	EXPECT_EQ(-1, set_key(a, TLS_TX, TLS_1_2_VERSION,
			      TLS_CIPHER_AES_GCM_128, 1));
	EXPECT_EQ(EBUSY, errno);
	close(a);
	close(b);
}

TEST(getsockopt_gives_the_current_state)
{
	unsigned int i;
	int a, b;

	for (i = 0; i < NUM_ALL; i++) {
		union keys want, got = {};
		size_t full = make_keys(&want, all[i].version, all[i].cipher, 1);
		socklen_t len = full;
		char buf[64];

		ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
		ASSERT_EQ(0, attach(a));
		EXPECT_EQ(-1, getsockopt(a, SOL_TLS, TLS_TX, &got, &len));
		EXPECT_EQ(EBUSY, errno);
		ASSERT_EQ(0, set_key(a, TLS_TX, all[i].version, all[i].cipher,
				     1));
		EXPECT_EQ(0, getsockopt(a, SOL_TLS, TLS_TX, &got, &len));
		EXPECT_EQ(0, memcmp(&got, &want, full));

		/* One record later: the sequence number, and TLS 1.2's IV. */
		EXPECT_EQ(1, send(a, "x", 1, 0));
		EXPECT_LT(0, recv(b, buf, sizeof(buf), 0));
		want.bytes[full - 1]++;
		if (all[i].version == TLS_1_2_VERSION &&
		    all[i].cipher != TLS_CIPHER_CHACHA20_POLY1305)
			want.bytes[4 + 7]++;
		EXPECT_EQ(0, getsockopt(a, SOL_TLS, TLS_TX, &got, &len));
		EXPECT_EQ(0, memcmp(&got, &want, full));

		len = sizeof(struct tls_crypto_info);
		EXPECT_EQ(0, getsockopt(a, SOL_TLS, TLS_TX, &got, &len));
		EXPECT_EQ(all[i].cipher, got.info.cipher_type);
		len = full - 1;
		EXPECT_EQ(-1, getsockopt(a, SOL_TLS, TLS_TX, &got, &len));
		EXPECT_EQ(EINVAL, errno);
		len = 3;
		EXPECT_EQ(-1, getsockopt(a, SOL_TLS, TLS_TX, &got, &len));
		EXPECT_EQ(EINVAL, errno);
		close(a);
		close(b);
	}
}

TEST(unknown_option_is_enoprotoopt_and_other_levels_reach_tcp)
{
	int a, b, value = 1;
	socklen_t len = sizeof(value);

	ASSERT_EQ(0, tls_pair(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, &a, &b));
	EXPECT_EQ(-1, setsockopt(a, SOL_TLS, 77, &value, sizeof(value)));
	EXPECT_EQ(ENOPROTOOPT, errno);
	EXPECT_EQ(-1, getsockopt(a, SOL_TLS, 77, &value, &len));
	EXPECT_EQ(ENOPROTOOPT, errno);
	value = 1;
	EXPECT_EQ(0, setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &value, len));
	value = 0;
	EXPECT_EQ(0, getsockopt(a, IPPROTO_TCP, TCP_NODELAY, &value, &len));
	EXPECT_EQ(1, value);
	close(a);
	close(b);
}

TEST(options_are_checked_and_read_back)
{
	int a, b, value;
	uint16_t most;
	socklen_t len;

	ASSERT_EQ(0, tls_pair(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, &a, &b));
	for (value = 0; value < 2; value++) {
		int got = 7;

		len = sizeof(got);
		EXPECT_EQ(0, setsockopt(a, SOL_TLS, TLS_TX_ZEROCOPY_RO, &value,
					sizeof(value)));
		EXPECT_EQ(0, getsockopt(a, SOL_TLS, TLS_TX_ZEROCOPY_RO, &got,
					&len));
		EXPECT_EQ(value, got);
		EXPECT_EQ(0, setsockopt(a, SOL_TLS, TLS_RX_EXPECT_NO_PAD,
					&value, sizeof(value)));
		EXPECT_EQ(0, getsockopt(a, SOL_TLS, TLS_RX_EXPECT_NO_PAD, &got,
					&len));
		EXPECT_EQ(value, got);
	}
	EXPECT_EQ(-1, setsockopt(a, SOL_TLS, TLS_TX_ZEROCOPY_RO, &value,
				 sizeof(value)));
	EXPECT_EQ(EINVAL, errno);

	for (most = 60; most < 67; most++) {
		EXPECT_EQ(most < 63 ? -1 : 0,
			  setsockopt(a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &most,
				     sizeof(most)));
	}
	most = 16385;
	EXPECT_EQ(-1, setsockopt(a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &most,
				 sizeof(most)));
	EXPECT_EQ(EINVAL, errno);
	most = 100;
	EXPECT_EQ(0, setsockopt(a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &most,
				sizeof(most)));
	EXPECT_EQ(1, send(a, "x", 1, MSG_MORE));
	EXPECT_EQ(-1, setsockopt(a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &most,
				 sizeof(most)));
	EXPECT_EQ(EBUSY, errno);
	len = sizeof(most);
	EXPECT_EQ(0, getsockopt(a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &most,
				&len));
	EXPECT_EQ(100, most);
	close(a);
	close(b);
}

/* Some programs give more room than there is to tell, some less. */
TEST(options_tell_how_much_of_a_buffer_they_use)
{
	struct {
		int value, more;
	} buf;
	uint16_t most[2] = { 0, 7 };
	socklen_t len;
	int a, b;

	ASSERT_EQ(0, tls_pair(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, &a, &b));
	buf.value = 1;
	buf.more = 0;
	EXPECT_EQ(0, setsockopt(a, SOL_TLS, TLS_RX_EXPECT_NO_PAD, &buf,
				sizeof(buf)));
	buf.more = 1;
	EXPECT_EQ(-1, setsockopt(a, SOL_TLS, TLS_RX_EXPECT_NO_PAD, &buf,
				 sizeof(buf)));
	EXPECT_EQ(EINVAL, errno);
	buf.value = 7;
	len = sizeof(buf);
	EXPECT_EQ(0, getsockopt(a, SOL_TLS, TLS_RX_EXPECT_NO_PAD, &buf, &len));
	EXPECT_EQ(sizeof(int), len);
	EXPECT_EQ(1, buf.value);
	EXPECT_EQ(1, buf.more);
	len = sizeof(most);
	EXPECT_EQ(0, getsockopt(a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, most,
				&len));
	EXPECT_EQ(sizeof(most[0]), len);
	EXPECT_EQ(16384, most[0]);
	EXPECT_EQ(7, most[1]);
	len = sizeof(int);
	EXPECT_EQ(-1, getsockopt(a, SOL_TLS, TLS_RX_EXPECT_NO_PAD, NULL, &len));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, getsockopt(a, SOL_TLS, TLS_RX_EXPECT_NO_PAD, &buf, NULL));
	EXPECT_EQ(EFAULT, errno);

	for (len = 0; len < sizeof(int); len++) {
		socklen_t room = len;

		EXPECT_EQ(-1, getsockopt(a, SOL_TLS, TLS_RX_EXPECT_NO_PAD,
					 &buf, &room));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(len < sizeof(uint16_t) ? -1 : 0,
			  getsockopt(a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &buf,
				     &room));
	}
	close(a);
	close(b);
}

/* What TLS 1.2 would not take is not taken before it is known which it is. */
TEST(least_payload_before_a_key_is_that_of_tls_1_2)
{
	uint16_t most;
	int a, b;

	ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
	ASSERT_EQ(0, attach(a));
	most = 63;
	EXPECT_EQ(-1, setsockopt(a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &most,
				 sizeof(most)));
	EXPECT_EQ(EINVAL, errno);
	most = 64;
	EXPECT_EQ(0, setsockopt(a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &most,
				sizeof(most)));
	close(a);
	close(b);
}

/*
 * As long as somebody uses it: a socket without a key, one with keys, and one
 * that was closed and that TCP still brings to its end.
 */
TEST(module_stays_while_a_socket_uses_it)
{
	static char bytes[100000];
	int a, b, small = 4000, i;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
		setsockopt(b, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
		ASSERT_EQ(0, attach(a));
		if (i)
			ASSERT_EQ(0, set_key(a, TLS_TX, TLS_1_3_VERSION,
					     TLS_CIPHER_AES_GCM_128, 1));
		if (i == 2) {
			ASSERT_LT(0, send(a, bytes, sizeof(bytes),
					  MSG_DONTWAIT));
			close(a);
		}
		EXPECT_EQ(-1, syscall(SYS_delete_module, "tls", O_NONBLOCK));
		if (errno == ENOENT || errno == EPERM)
			SKIP(return, "the module is built in, or not root");
		EXPECT_EQ(EWOULDBLOCK, errno);
		if (i < 2)
			close(a);
		close(b);
	}
}

TEST(counters_tell_sockets_by_mode)
{
	long tx = counter("TlsTxSw"), rx = counter("TlsRxSw");
	long now_tx = counter("TlsCurrTxSw"), now_rx = counter("TlsCurrRxSw");
	int a, b;

	ASSERT_LE(0, tx);
	ASSERT_EQ(0, tls_pair(TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128, &a, &b));
	EXPECT_EQ(tx + 2, counter("TlsTxSw"));
	EXPECT_EQ(rx + 2, counter("TlsRxSw"));
	EXPECT_EQ(now_tx + 2, counter("TlsCurrTxSw"));
	EXPECT_EQ(now_rx + 2, counter("TlsCurrRxSw"));
	close(a);
	close(b);
	EXPECT_EQ(tx + 2, counter("TlsTxSw"));
	EXPECT_EQ(now_tx, counter("TlsCurrTxSw"));
	EXPECT_EQ(now_rx, counter("TlsCurrRxSw"));
}

/* The socket's TLS attributes as socket diag dumps them; -1 where missing. */
static int diag(int fd, int values[TLS_INFO_MAX + 1])
{
	struct {
		struct nlmsghdr nlh;
		struct inet_diag_req_v2 req;
	} ask = {
		.nlh = {
			.nlmsg_len = sizeof(ask),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		},
		.req = {
			.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP,
			.idiag_ext = 1 << (INET_DIAG_INFO - 1),
			.idiag_states = -1,
		},
	};
	int nl = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);
	static char buf[65536];
	int i, n, found = -1;

	for (i = 0; i <= TLS_INFO_MAX; i++)
		values[i] = -1;
	if (getsockname(fd, (void *)&sa, &len) ||
	    send(nl, &ask, sizeof(ask), 0) != sizeof(ask))
		goto out;
	while ((n = recv(nl, buf, sizeof(buf), 0)) > 0) {
		struct nlmsghdr *h = (void *)buf;

		for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			struct inet_diag_msg *m = NLMSG_DATA(h);
			struct nlattr *at, *in;
			char *end = (char *)h + h->nlmsg_len;

			if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY)
				goto out;
			if (m->id.idiag_sport != sa.sin_port)
				continue;
			for (at = (void *)(m + 1); (char *)at < end;
			     at = (void *)at + NLA_ALIGN(at->nla_len)) {
				if ((at->nla_type & NLA_TYPE_MASK) !=
				    INET_DIAG_ULP_INFO)
					continue;
				for (in = at + 1; (void *)in <
				     (void *)at + at->nla_len;
				     in = (void *)in + NLA_ALIGN(in->nla_len)) {
					struct nlattr *v = in + 1;

					if ((in->nla_type & NLA_TYPE_MASK) !=
					    INET_ULP_INFO_TLS)
						continue;
					for (; (void *)v < (void *)in +
					     in->nla_len; v = (void *)v +
					     NLA_ALIGN(v->nla_len))
						values[v->nla_type] =
							v->nla_len > 4 ?
							*(uint16_t *)(v + 1) :
							1;
					found = 0;
				}
			}
		}
	}
out:
	close(nl);
	return found;
}

TEST(socket_diag_tells_version_cipher_modes_and_options)
{
	int v[TLS_INFO_MAX + 1], a, b, one = 1;
	uint16_t most = 1000;

	ASSERT_EQ(0, tcp_pair(AF_INET, &a, &b));
	ASSERT_EQ(0, attach(a));
	ASSERT_EQ(0, diag(a, v));
	EXPECT_EQ(-1, v[TLS_INFO_CIPHER]);
	EXPECT_EQ(TLS_CONF_BASE, v[TLS_INFO_TXCONF]);
	EXPECT_EQ(TLS_CONF_BASE, v[TLS_INFO_RXCONF]);
	EXPECT_EQ(RECORD_MAX, v[TLS_INFO_TX_MAX_PAYLOAD_LEN]);

	ASSERT_EQ(0, set_key(a, TLS_RX, TLS_1_3_VERSION,
			     TLS_CIPHER_AES_GCM_256, 1));
	EXPECT_EQ(0, setsockopt(a, SOL_TLS, TLS_TX_ZEROCOPY_RO, &one,
				sizeof(one)));
	EXPECT_EQ(0, setsockopt(a, SOL_TLS, TLS_RX_EXPECT_NO_PAD, &one,
				sizeof(one)));
	EXPECT_EQ(0, setsockopt(a, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &most,
				sizeof(most)));
	ASSERT_EQ(0, diag(a, v));
	EXPECT_EQ(TLS_1_3_VERSION, v[TLS_INFO_VERSION]);
	EXPECT_EQ(TLS_CIPHER_AES_GCM_256, v[TLS_INFO_CIPHER]);
	EXPECT_EQ(TLS_CONF_BASE, v[TLS_INFO_TXCONF]);
	EXPECT_EQ(TLS_CONF_SW, v[TLS_INFO_RXCONF]);
	EXPECT_EQ(1, v[TLS_INFO_ZC_RO_TX]);
	EXPECT_EQ(1, v[TLS_INFO_RX_NO_PAD]);
	EXPECT_EQ(1000, v[TLS_INFO_TX_MAX_PAYLOAD_LEN]);
	close(a);
	close(b);
}

TEST_HARNESS_MAIN
