// SPDX-License-Identifier: GPL-2.0
/*
 * What socket diag tells of a socket: tests are named after the promises.
 *
 * Every look at a socket is taken twice: in a dump of all sockets, and by
 * asking for that one connection. The two must agree to the last attribute.
 */

#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "tls_test.h"
#include "netns.h"

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/utsname.h>

#define ALL_STATES	0xfff
#define NO_TIME_WAIT	(ALL_STATES & ~(1 << TCP_TIME_WAIT))

/* Which connection, as socket diag names it. */
struct conn {
	int family;
	struct inet_diag_sockid id;
};

/*
 * @listed: how many times it came
 * @name: the upper layer protocol, "" without one
 * @tls: TLS has put its attributes there, perhaps none
 * @value: by attribute; -1 is not there, a flag that is there is 1
 */
struct info {
	int listed;
	char name[16];
	bool tls;
	int value[TLS_INFO_MAX + 1];
};

static struct info nothing(void)
{
	struct info info;

	memset(&info, 0, sizeof(info));
	memset(info.value, -1, sizeof(info.value));
	return info;
}

/* Attached, with nothing else done to it. */
static struct info attached(void)
{
	struct info info = nothing();

	info.listed = 1;
	strcpy(info.name, "tls");
	info.tls = true;
	info.value[TLS_INFO_TXCONF] = TLS_CONF_BASE;
	info.value[TLS_INFO_RXCONF] = TLS_CONF_BASE;
	info.value[TLS_INFO_TX_MAX_PAYLOAD_LEN] = RECORD_MAX;
	return info;
}

static struct conn conn_of(int fd)
{
	struct sockaddr_in6 ends[2];
	struct conn c = { .id.idiag_cookie = { -1, -1 } };
	__be32 *addr[2] = { c.id.idiag_src, c.id.idiag_dst };
	__be16 *port[2] = { &c.id.idiag_sport, &c.id.idiag_dport };
	socklen_t len = sizeof(ends[0]);
	int i;

	if (getsockname(fd, (void *)&ends[0], &len) ||
	    getpeername(fd, (void *)&ends[1], &len))
		return c;
	c.family = ends[0].sin6_family;
	for (i = 0; i < 2; i++) {
		/* The port stands in the same place in both families. */
		*port[i] = ends[i].sin6_port;
		if (c.family == AF_INET6)
			memcpy(addr[i], &ends[i].sin6_addr, 16);
		else
			memcpy(addr[i], (char *)&ends[i] + 4, 4);
	}
	return c;
}

/* ---- the attributes ---- */

/* Each attribute once, none that is not known, of exactly its type. */
static int on_tls(const struct nlattr *attr, void *data)
{
	struct info *info = data;
	unsigned int type = mnl_attr_get_type(attr);
	unsigned int len = mnl_attr_get_payload_len(attr);
	bool flag = type == TLS_INFO_ZC_RO_TX || type == TLS_INFO_RX_NO_PAD;

	if (!type || type > TLS_INFO_MAX || info->value[type] != -1 ||
	    len != (flag ? 0 : 2))
		return MNL_CB_ERROR;
	info->value[type] = flag ? 1 : mnl_attr_get_u16(attr);
	return MNL_CB_OK;
}

static int on_ulp(const struct nlattr *attr, void *data)
{
	struct info *info = data;

	switch (mnl_attr_get_type(attr)) {
	case INET_ULP_INFO_NAME:
		if (mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) < 0)
			return MNL_CB_ERROR;
		snprintf(info->name, sizeof(info->name), "%s",
			 mnl_attr_get_str(attr));
		return MNL_CB_OK;
	case INET_ULP_INFO_TLS:
		if (info->tls)
			return MNL_CB_ERROR;
		info->tls = true;
		return mnl_attr_parse_nested(attr, on_tls, info);
	}
	return MNL_CB_ERROR;
}

static int on_attr(const struct nlattr *attr, void *data)
{
	if (mnl_attr_get_type(attr) == INET_DIAG_ULP_INFO)
		return mnl_attr_parse_nested(attr, on_ulp, data);
	return MNL_CB_OK;
}

static int parse(const struct nlmsghdr *nlh, struct info *info)
{
	return mnl_attr_parse(nlh, sizeof(struct inet_diag_msg), on_attr, info);
}

/* ---- asking ---- */

static char request[MNL_NLMSG_HDRLEN +
		    MNL_ALIGN(sizeof(struct inet_diag_req_v2))];

/* With @one, for that connection, else for all of @family. */
static int ask(struct mnl_socket *nl, int family, unsigned int states,
	       const struct conn *one, mnl_cb_t cb, void *data)
{
	static unsigned int seq;
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(request);
	struct inet_diag_req_v2 *req;
	char buf[32768];
	int ret;

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | (one ? 0 : NLM_F_DUMP);
	nlh->nlmsg_seq = ++seq;
	req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	req->sdiag_family = family;
	req->sdiag_protocol = IPPROTO_TCP;
	/* Room is made for the most that could be asked for. */
	req->idiag_ext = 0xff;
	req->idiag_states = states;
	if (one)
		req->id = one->id;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -1;
	do {
		ret = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (ret > 0)
			ret = mnl_cb_run(buf, ret, seq,
					 mnl_socket_get_portid(nl), cb, data);
	} while (ret > MNL_CB_STOP && !one);
	return ret < 0 ? -1 : 0;
}

struct search {
	const struct conn *conn;
	struct info info;
};

static int on_socket(const struct nlmsghdr *nlh, void *data)
{
	const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(nlh);
	struct search *s = data;

	if (msg->id.idiag_sport != s->conn->id.idiag_sport ||
	    msg->id.idiag_dport != s->conn->id.idiag_dport)
		return MNL_CB_OK;
	s->info.listed++;
	return parse(nlh, &s->info);
}

/*
 * What is told of a connection: 0, or -1 when the two ways to ask disagree, or
 * an attribute is not what it should be.
 */
static int look(struct mnl_socket *nl, const struct conn *conn,
		struct info *info)
{
	struct search all = { conn, nothing() }, one = { conn, nothing() };

	*info = nothing();
	if (ask(nl, conn->family, ALL_STATES, NULL, on_socket, &all))
		return -1;
	if (ask(nl, conn->family, ALL_STATES, conn, on_socket, &one) &&
	    (errno != ENOENT || all.info.listed))
		return -1;
	*info = all.info;
	return memcmp(&all.info, &one.info, sizeof(*info)) ? -1 : 0;
}

#define EXPECT_TOLD(conn, want) do {					\
	struct info got_, want_ = (want);				\
	int i_;								\
									\
	EXPECT_EQ(0, look(self->nl, conn, &got_)) {			\
		TH_LOG("dump and single answer: %s", strerror(errno));	\
	}								\
	EXPECT_EQ(want_.listed, got_.listed);				\
	EXPECT_STREQ(want_.name, got_.name);				\
	EXPECT_EQ(want_.tls, got_.tls);					\
	for (i_ = 0; i_ <= TLS_INFO_MAX; i_++) {			\
		EXPECT_EQ(want_.value[i_], got_.value[i_]) {		\
			TH_LOG("attribute %d", i_);			\
		}							\
	}								\
} while (0)

static int set_int(int fd, int option, int value)
{
	return setsockopt(fd, SOL_TLS, option, &value, sizeof(value));
}

static int set_max(int fd, uint16_t value)
{
	return setsockopt(fd, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN, &value,
			  sizeof(value));
}

/* A close that leaves nothing behind. */
static void reset(int fd)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/* ---- the tests ---- */

FIXTURE(diag)
{
	struct mnl_socket *nl;
	int a, b;
	struct conn conn;
};

FIXTURE_VARIANT(diag)
{
	int family;
};

FIXTURE_VARIANT_ADD(diag, ipv4)
{
	.family = AF_INET,
};

FIXTURE_VARIANT_ADD(diag, ipv6)
{
	.family = AF_INET6,
};

FIXTURE_SETUP(diag)
{
	ASSERT_EQ(0, own_netns());
	self->nl = mnl_socket_open(NETLINK_SOCK_DIAG);
	ASSERT_NE(NULL, self->nl);
	ASSERT_EQ(0, mnl_socket_bind(self->nl, 0, MNL_SOCKET_AUTOPID));
	ASSERT_EQ(0, tcp_pair(variant->family, &self->a, &self->b));
	self->conn = conn_of(self->a);
}

FIXTURE_TEARDOWN(diag)
{
	close(self->a);
	close(self->b);
	mnl_socket_close(self->nl);
}

TEST_F(diag, socket_that_is_not_attached_tells_nothing)
{
	struct info plain = nothing();

	plain.listed = 1;
	EXPECT_TOLD(&self->conn, plain);
}

TEST_F(diag, without_keys_both_modes_are_base_and_there_is_no_cipher)
{
	ASSERT_EQ(0, attach(self->a));
	EXPECT_TOLD(&self->conn, attached());
	EXPECT_EQ(3, send(self->a, "abc", 3, 0));
	EXPECT_TOLD(&self->conn, attached());
}

TEST_F(diag, each_direction_tells_its_own_mode)
{
	struct conn peer = conn_of(self->b);
	struct info want = attached();

	ASSERT_EQ(0, attach(self->a));
	ASSERT_EQ(0, attach(self->b));
	ASSERT_EQ(0, set_key(self->a, TLS_TX, TLS_1_2_VERSION,
			     TLS_CIPHER_AES_GCM_128, 1));
	ASSERT_EQ(0, set_key(self->b, TLS_RX, TLS_1_2_VERSION,
			     TLS_CIPHER_AES_GCM_128, 1));
	want.value[TLS_INFO_VERSION] = TLS_1_2_VERSION;
	want.value[TLS_INFO_CIPHER] = TLS_CIPHER_AES_GCM_128;
	want.value[TLS_INFO_TXCONF] = TLS_CONF_SW;
	EXPECT_TOLD(&self->conn, want);
	want.value[TLS_INFO_TXCONF] = TLS_CONF_BASE;
	want.value[TLS_INFO_RXCONF] = TLS_CONF_SW;
	EXPECT_TOLD(&peer, want);

	ASSERT_EQ(0, set_key(self->a, TLS_RX, TLS_1_2_VERSION,
			     TLS_CIPHER_AES_GCM_128, 2));
	want.value[TLS_INFO_TXCONF] = TLS_CONF_SW;
	EXPECT_TOLD(&self->conn, want);
}

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

TEST_F(diag, every_version_and_cipher_is_told)
{
	struct info want = attached();
	unsigned int i;
	int a, b;

	want.value[TLS_INFO_TXCONF] = TLS_CONF_SW;
	want.value[TLS_INFO_RXCONF] = TLS_CONF_SW;
	for (i = 0; i < NUM_ALL; i++) {
		struct conn conn;

		ASSERT_EQ(0, tcp_pair(variant->family, &a, &b));
		conn = conn_of(a);
		ASSERT_EQ(0, attach(a));
		ASSERT_EQ(0, set_key(a, TLS_TX, all[i].version, all[i].cipher,
				     1));
		ASSERT_EQ(0, set_key(a, TLS_RX, all[i].version, all[i].cipher,
				     2));
		want.value[TLS_INFO_VERSION] = all[i].version;
		want.value[TLS_INFO_CIPHER] = all[i].cipher;
		EXPECT_TOLD(&conn, want);
		reset(a);
		close(b);
	}
}

TEST_F(diag, switches_are_told_while_they_are_on)
{
	struct info want = attached();
	unsigned int i;

	want.value[TLS_INFO_VERSION] = TLS_1_3_VERSION;
	want.value[TLS_INFO_CIPHER] = TLS_CIPHER_AES_GCM_256;
	want.value[TLS_INFO_RXCONF] = TLS_CONF_SW;
	ASSERT_EQ(0, attach(self->a));
	ASSERT_EQ(0, set_key(self->a, TLS_RX, TLS_1_3_VERSION,
			     TLS_CIPHER_AES_GCM_256, 1));
	/* Through all four, and back to none. */
	for (i = 0; i < 5; i++) {
		bool uncopied = i & 1, no_pad = i & 2;

		ASSERT_EQ(0, set_int(self->a, TLS_TX_ZEROCOPY_RO, uncopied));
		ASSERT_EQ(0, set_int(self->a, TLS_RX_EXPECT_NO_PAD, no_pad));
		want.value[TLS_INFO_ZC_RO_TX] = uncopied ? 1 : -1;
		want.value[TLS_INFO_RX_NO_PAD] = no_pad ? 1 : -1;
		EXPECT_TOLD(&self->conn, want);
	}
}

TEST_F(diag, maximum_payload_is_told_with_and_without_a_key)
{
	static const uint16_t sizes[] = { 64, 100, 4096, 16383, 16384 };
	struct info want = attached();
	unsigned int i;

	ASSERT_EQ(0, attach(self->a));
	for (i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint16_t most = sizes[i / 2];

		if (i == 5) {
			ASSERT_EQ(0, set_key(self->a, TLS_TX, TLS_1_2_VERSION,
					     TLS_CIPHER_AES_CCM_128, 1));
			want.value[TLS_INFO_VERSION] = TLS_1_2_VERSION;
			want.value[TLS_INFO_CIPHER] = TLS_CIPHER_AES_CCM_128;
			want.value[TLS_INFO_TXCONF] = TLS_CONF_SW;
		}
		ASSERT_EQ(0, set_max(self->a, most));
		want.value[TLS_INFO_TX_MAX_PAYLOAD_LEN] = most;
		EXPECT_TOLD(&self->conn, want);
	}
}

TEST_F(diag, what_is_refused_changes_nothing)
{
	union keys k;
	size_t len = make_keys(&k, TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128, 1);
	struct info want = attached();

	ASSERT_EQ(0, attach(self->a));
	EXPECT_EQ(-1, setsockopt(self->a, SOL_TLS, TLS_TX, &k, len - 1));
	k.info.cipher_type = 50;
	EXPECT_EQ(-1, setsockopt(self->a, SOL_TLS, TLS_RX, &k, len));
	EXPECT_EQ(-1, set_int(self->a, TLS_TX_ZEROCOPY_RO, 2));
	EXPECT_EQ(-1, set_int(self->a, TLS_RX_EXPECT_NO_PAD, 1));
	EXPECT_EQ(-1, set_max(self->a, 10));
	EXPECT_TOLD(&self->conn, want);

	ASSERT_EQ(0, set_key(self->a, TLS_TX, TLS_1_3_VERSION,
			     TLS_CIPHER_SM4_GCM, 1));
	want.value[TLS_INFO_VERSION] = TLS_1_3_VERSION;
	want.value[TLS_INFO_CIPHER] = TLS_CIPHER_SM4_GCM;
	want.value[TLS_INFO_TXCONF] = TLS_CONF_SW;
	EXPECT_EQ(-1, set_key(self->a, TLS_RX, TLS_1_2_VERSION,
			      TLS_CIPHER_SM4_GCM, 1));
	EXPECT_EQ(-1, set_key(self->a, TLS_TX, TLS_1_3_VERSION,
			      TLS_CIPHER_AES_GCM_128, 1));
	EXPECT_TOLD(&self->conn, want);
}

TEST_F(diag, key_update_changes_nothing)
{
	struct info want = attached();

	ASSERT_EQ(0, attach(self->a));
	want.value[TLS_INFO_VERSION] = TLS_1_3_VERSION;
	want.value[TLS_INFO_CIPHER] = TLS_CIPHER_CHACHA20_POLY1305;
	want.value[TLS_INFO_TXCONF] = TLS_CONF_SW;
	ASSERT_EQ(0, set_key(self->a, TLS_TX, TLS_1_3_VERSION,
			     TLS_CIPHER_CHACHA20_POLY1305, 1));
	ASSERT_EQ(0, set_key(self->a, TLS_TX, TLS_1_3_VERSION,
			     TLS_CIPHER_CHACHA20_POLY1305, 2));
	EXPECT_TOLD(&self->conn, want);
}

/* TCP takes its time to end a connection. */
static bool gone(struct mnl_socket *nl, const struct conn *conn)
{
	struct info info;
	int i;

	for (i = 0; i < 2000; i++) {
		if (!look(nl, conn, &info) && !info.listed)
			return true;
		usleep(10000);
	}
	return false;
}

TEST_F(diag, closed_socket_tells_nothing_of_tls)
{
	struct conn peer = conn_of(self->b);
	struct info want = attached();
	static char junk[65536];

	ASSERT_EQ(0, attach(self->a));
	ASSERT_EQ(0, attach(self->b));
	ASSERT_EQ(0, set_key(self->a, TLS_TX, TLS_1_3_VERSION,
			     TLS_CIPHER_AES_GCM_128, 1));
	ASSERT_EQ(0, set_key(self->b, TLS_RX, TLS_1_3_VERSION,
			     TLS_CIPHER_AES_GCM_128, 1));
	/* More than the peer has room for: TCP has to keep the socket. */
	while (send(self->a, junk, sizeof(junk), MSG_DONTWAIT) > 0)
		;
	ASSERT_EQ(EAGAIN, errno);
	close(self->a);

	want.value[TLS_INFO_VERSION] = TLS_1_3_VERSION;
	want.value[TLS_INFO_CIPHER] = TLS_CIPHER_AES_GCM_128;
	want.value[TLS_INFO_RXCONF] = TLS_CONF_SW;
	EXPECT_TOLD(&peer, want);
	want = nothing();
	want.listed = 1;
	strcpy(want.name, "tls");
	EXPECT_TOLD(&self->conn, want);

	reset(self->b);
	EXPECT_TRUE(gone(self->nl, &peer));
	EXPECT_TRUE(gone(self->nl, &self->conn));
}

TEST_F(diag, sockets_of_one_dump_each_tell_their_own)
{
	enum { PAIRS = 120 };
	static int a[PAIRS], b[PAIRS];
	struct conn conn;
	unsigned int i;

	for (i = 0; i < PAIRS; i++) {
		ASSERT_EQ(0, tcp_pair(variant->family, &a[i], &b[i]));
		ASSERT_EQ(0, attach(a[i]));
		ASSERT_EQ(0, set_key(a[i], i & 1 ? TLS_TX : TLS_RX,
				     all[i % NUM_ALL].version,
				     all[i % NUM_ALL].cipher, i));
		ASSERT_EQ(0, set_max(a[i], 1000 + i));
	}
	for (i = 0; i < PAIRS; i += 7) {
		struct info want = attached();

		want.value[TLS_INFO_VERSION] = all[i % NUM_ALL].version;
		want.value[TLS_INFO_CIPHER] = all[i % NUM_ALL].cipher;
		want.value[i & 1 ? TLS_INFO_TXCONF : TLS_INFO_RXCONF] =
			TLS_CONF_SW;
		want.value[TLS_INFO_TX_MAX_PAYLOAD_LEN] = 1000 + i;
		conn = conn_of(a[i]);
		EXPECT_TOLD(&conn, want);
		want = nothing();
		want.listed = 1;
		conn = conn_of(b[i]);
		EXPECT_TOLD(&conn, want);
	}
}

TEST_F(diag, who_may_not_administer_the_network_is_told_nothing_of_tls)
{
	struct utsname kernel;
	int major, minor;
	struct info got;

	ASSERT_EQ(0, uname(&kernel));
	ASSERT_EQ(2, sscanf(kernel.release, "%d.%d", &major, &minor));
	if (major > 6 || (major == 6 && minor >= 15))
		SKIP(return, "this kernel tells everybody");
	ASSERT_EQ(0, attach(self->a));
	ASSERT_EQ(0, set_key(self->a, TLS_TX, TLS_1_3_VERSION,
			     TLS_CIPHER_AES_GCM_128, 1));
	ASSERT_EQ(0, setresuid(65534, 65534, 65534));
	EXPECT_EQ(0, look(self->nl, &self->conn, &got));
	EXPECT_EQ(1, got.listed);
	EXPECT_FALSE(got.tls);
}

/* ---- dumps while sockets come and go ---- */

static atomic_bool stop;
static _Atomic unsigned int lives, broken_lives;

/* Sockets from birth to end, with a moment at each station. */
static void *live(void *arg)
{
	unsigned int i = (uintptr_t)arg;

	for (; !stop; i++) {
		uint16_t version = i & 1 ? TLS_1_2_VERSION : TLS_1_3_VERSION;
		uint16_t cipher = i & 2 ? TLS_CIPHER_AES_GCM_128 :
					  TLS_CIPHER_CHACHA20_POLY1305;
		int a, b, bad;

		if (tcp_pair(i & 4 ? AF_INET : AF_INET6, &a, &b)) {
			broken_lives++;
			break;
		}
		bad = attach(a) || attach(b);
		sched_yield();
		bad = bad || set_max(a, 1000) ||
		      set_int(a, TLS_TX_ZEROCOPY_RO, 1);
		bad = bad || set_key(a, i & 8 ? TLS_TX : TLS_RX, version,
				     cipher, 1);
		sched_yield();
		bad = bad || set_key(a, i & 8 ? TLS_RX : TLS_TX, version,
				     cipher, 2);
		bad = bad || set_key(b, TLS_RX, version, cipher, 2);
		if (!bad && version == TLS_1_3_VERSION)
			bad = set_key(a, TLS_TX, version, cipher, 2);
		bad = bad || send(a, "x", 1, MSG_NOSIGNAL) != 1;
		sched_yield();
		if (bad)
			broken_lives++;
		lives++;
		if (i & 16) {
			close(a);
			sched_yield();
			reset(b);
		} else {
			reset(b);
			reset(a);
		}
	}
	return NULL;
}

/* What dumps have shown. */
struct seen {
	unsigned int with_key;
	unsigned int without_key;
	unsigned int wrong;
	struct info first_wrong;
};

/* Whenever it is looked at: what is told goes together. */
static bool consistent(const struct info *info)
{
	const int *v = info->value;
	int i, most = v[TLS_INFO_TX_MAX_PAYLOAD_LEN];

	for (i = TLS_INFO_TXCONF; i <= TLS_INFO_RXCONF; i++)
		if (v[i] != TLS_CONF_BASE &&
		    (v[i] != TLS_CONF_SW || v[TLS_INFO_CIPHER] < 0))
			return false;
	if (v[TLS_INFO_CIPHER] < 0)
		return v[TLS_INFO_VERSION] < 0;
	return (v[TLS_INFO_VERSION] == TLS_1_2_VERSION ||
		v[TLS_INFO_VERSION] == TLS_1_3_VERSION) &&
	       (v[TLS_INFO_CIPHER] == TLS_CIPHER_AES_GCM_128 ||
		v[TLS_INFO_CIPHER] == TLS_CIPHER_CHACHA20_POLY1305) &&
	       (most == 1000 || most == RECORD_MAX) &&
	       v[TLS_INFO_RX_NO_PAD] < 0 && !strcmp(info->name, "tls");
}

static int on_any(const struct nlmsghdr *nlh, void *data)
{
	struct info info = nothing();
	struct seen *seen = data;

	if (parse(nlh, &info) < 0)
		return MNL_CB_ERROR;
	if (!info.tls)
		return MNL_CB_OK;
	if (info.value[TLS_INFO_CIPHER] < 0)
		seen->without_key++;
	else
		seen->with_key++;
	if (!consistent(&info) && !seen->wrong++)
		seen->first_wrong = info;
	return MNL_CB_OK;
}

TEST_F(diag, dumps_while_sockets_come_and_go_are_whole)
{
	enum { THREADS = 3, DUMPS = 400, LIVES = 300 };
	pthread_t threads[THREADS];
	struct seen seen = {};
	int i, dumps;

	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, live,
					    (void *)(uintptr_t)(i * 5)));
	/* Enough of both, however the machine shares itself out. */
	for (dumps = 0; (dumps < DUMPS || lives < LIVES) && !broken_lives;
	     dumps++)
		ASSERT_EQ(0, ask(self->nl, dumps & 1 ? AF_INET : AF_INET6,
				 NO_TIME_WAIT, NULL, on_any, &seen));
	stop = true;
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);

	EXPECT_EQ(0, broken_lives);
	EXPECT_LT(0, seen.with_key);
	EXPECT_LT(0, seen.without_key);
	EXPECT_EQ(0, seen.wrong) {
		for (i = 1; i <= TLS_INFO_MAX; i++)
			TH_LOG("attribute %d: %d", i,
			       seen.first_wrong.value[i]);
	}
}

/* ---- ss ---- */

/* What ss prints of @conn; 0, or 127 when there is no ss. */
static int ss(const struct conn *conn, char *text, size_t size)
{
	char command[128];
	size_t got = 0;
	int status;
	FILE *f;

	snprintf(command, sizeof(command),
		 "ss -tieHn 'sport = :%u and dport = :%u' 2>/dev/null",
		 ntohs(conn->id.idiag_sport), ntohs(conn->id.idiag_dport));
	f = popen(command, "r");
	if (!f)
		return -1;
	got = fread(text, 1, size - 1, f);
	text[got] = '\0';
	status = pclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(diag, ss_prints_what_is_told)
{
	static const char *const words[] = {
		"tcp-ulp-tls", "version: 1.3", "cipher: aes-gcm-256",
		"rxconf: sw", "txconf: none",
	};
	char text[4096];
	unsigned int i;
	int ret;

	ASSERT_EQ(0, attach(self->a));
	ret = ss(&self->conn, text, sizeof(text));
	if (ret == 127)
		SKIP(return, "no ss here");
	ASSERT_EQ(0, ret);
	EXPECT_NE(NULL, strstr(text, "tcp-ulp-tls")) {
		TH_LOG("%s", text);
	}
	EXPECT_EQ(NULL, strstr(text, "cipher:"));

	ASSERT_EQ(0, set_key(self->a, TLS_RX, TLS_1_3_VERSION,
			     TLS_CIPHER_AES_GCM_256, 1));
	ASSERT_EQ(0, ss(&self->conn, text, sizeof(text)));
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		EXPECT_NE(NULL, strstr(text, words[i])) {
			TH_LOG("no '%s' in: %s", words[i], text);
		}
	}
	EXPECT_EQ(NULL, strstr(text, "zc_ro_tx"));
	EXPECT_EQ(NULL, strstr(text, "no_pad_rx"));

	ASSERT_EQ(0, set_int(self->a, TLS_TX_ZEROCOPY_RO, 1));
	ASSERT_EQ(0, set_int(self->a, TLS_RX_EXPECT_NO_PAD, 1));
	ASSERT_EQ(0, ss(&self->conn, text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, "zc_ro_tx"));
	EXPECT_NE(NULL, strstr(text, "no_pad_rx"));
}

TEST_HARNESS_MAIN
