/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the test programs share: connected sockets, keys, and records made and
 * broken by hand. Include after kselftest_harness.h.
 */

#ifndef _TLS_TEST_H
#define _TLS_TEST_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_alg.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nicpair.h"

/* An emulated machine under a kernel that checks everything is slow. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 600

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef SOL_ALG
#define SOL_ALG 279
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif

#define TYPE_ALERT	21
#define TYPE_HANDSHAKE	22
#define TYPE_DATA	23
#define RECORD_MAX	16384

/* Any cipher's structure of the user ABI. */
union keys {
	struct tls_crypto_info info;
	struct tls12_crypto_info_aes_gcm_128 gcm128;
	unsigned char bytes[56];
};

static inline size_t keys_len(uint16_t cipher)
{
	switch (cipher) {
	case TLS_CIPHER_AES_GCM_256:
	case TLS_CIPHER_CHACHA20_POLY1305:
	case TLS_CIPHER_ARIA_GCM_256:
		return 56;
	default:
		return 40;
	}
}

/* A key that is the same for the same @seed; sequence number 0. */
static inline size_t make_keys(union keys *k, uint16_t version, uint16_t cipher,
			       unsigned char seed)
{
	size_t i, len = keys_len(cipher);

	for (i = 0; i < sizeof(k->bytes); i++)
		k->bytes[i] = seed + i * 5;
	k->info.version = version;
	k->info.cipher_type = cipher;
	memset(k->bytes + len - 8, 0, 8);
	return len;
}

static inline int attach(int fd)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls"));
}

static inline int set_key(int fd, int direction, uint16_t version,
			  uint16_t cipher, unsigned char seed)
{
	union keys k;
	size_t len = make_keys(&k, version, cipher, seed);

	return setsockopt(fd, SOL_TLS, direction, &k, len);
}

/* Two connected TCP sockets. */
static inline int tcp_pair(int family, int *a, int *b)
{
	struct sockaddr_in6 sa6 = { .sin6_family = AF_INET6,
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in sa4 = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *sa = family == AF_INET ? (void *)&sa4 : (void *)&sa6;
	socklen_t len = family == AF_INET ? sizeof(sa4) : sizeof(sa6);
	int l, ret;

	*a = -1;
	*b = -1;
	if (nic_enter(1))
		return -1;
	if (nic_wanted()) {
		inet_pton(AF_INET, "10.1.0.2", &sa4.sin_addr);
		inet_pton(AF_INET6, "fd01::2", &sa6.sin6_addr);
	}
	l = socket(family, SOCK_STREAM, 0);
	ret = l < 0 || bind(l, sa, len) || listen(l, 1) ||
	      getsockname(l, sa, &len) || nic_enter(0);
	*a = socket(family, SOCK_STREAM, 0);
	ret = ret || *a < 0 || connect(*a, sa, len);
	if (!ret)
		*b = accept(l, NULL, NULL);
	close(l);
	return ret || *b < 0 ? -1 : 0;
}

static inline long counter_here(const char *name)
{
	FILE *f = fopen("/proc/thread-self/net/tls_stat", "r");
	char word[64];
	long value, found = -1;

	if (!f)
		return -1;
	while (fscanf(f, "%63s %ld", word, &value) == 2)
		if (!strcmp(word, name))
			found = value;
	fclose(f);
	return found;
}

/* A counter of /proc/net/tls_stat, or -1; of both sides together. */
static inline long counter(const char *name)
{
	long sum;

	if (!nic_side[0])
		return counter_here(name);
	if (nic_enter(1))
		return -1;
	sum = counter_here(name);
	return nic_enter(0) ? -1 : sum + counter_here(name);
}

/* Have devices so many directions, at least, if they should? */
static inline bool offloaded(uint16_t cipher, int tx, int rx)
{
	switch (cipher) {
	case TLS_CIPHER_AES_GCM_128:
	case TLS_CIPHER_AES_GCM_256:
	case TLS_CIPHER_CHACHA20_POLY1305:
		return !nic_wanted() || (counter("TlsCurrTxDevice") >= tx &&
					 counter("TlsCurrRxDevice") >= rx);
	default:
		return true;
	}
}

/* @a sends what @b receives, under the same key, both in the kernel. */
static inline int tls_pair(uint16_t version, uint16_t cipher, int *a, int *b)
{
	if (tcp_pair(AF_INET, a, b) || attach(*a) || attach(*b))
		return -1;
	if (set_key(*a, TLS_TX, version, cipher, 1) ||
	    set_key(*b, TLS_RX, version, cipher, 1) ||
	    set_key(*b, TLS_TX, version, cipher, 2) ||
	    set_key(*a, TLS_RX, version, cipher, 2))
		return -1;
	return offloaded(cipher, 2, 2) ? 0 : -1;
}

/* @b receives TLS; @a is plain TCP, for records made by hand. */
static inline int raw_pair(uint16_t version, uint16_t cipher, int *a, int *b)
{
	int one = 1;

	if (tcp_pair(AF_INET, a, b) || attach(*b))
		return -1;
	setsockopt(*a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (set_key(*b, TLS_RX, version, cipher, 1))
		return -1;
	return offloaded(cipher, 0, 1) ? 0 : -1;
}

/* Bytes that tell their place. */
static inline void fill(void *buf, size_t len, unsigned int from)
{
	unsigned char *at = buf;
	size_t i;

	for (i = 0; i < len; i++)
		at[i] = (from + i) * 2654435761u >> 24;
}

static inline ssize_t recv_all(int fd, void *buf, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = recv(fd, (char *)buf + got, len - got, 0);

		if (n < 0)
			return n;
		if (!n)
			break;
		got += n;
	}
	return got;
}

static inline ssize_t send_type(int fd, unsigned char type, const void *data,
				size_t len, int flags)
{
	char control[CMSG_SPACE(1)] = {};
	struct iovec iov = { (void *)data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_TLS;
	cmsg->cmsg_type = TLS_SET_RECORD_TYPE;
	cmsg->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(cmsg) = type;
	return sendmsg(fd, &msg, flags);
}

/* @type is -1 when no control message came. */
static inline ssize_t recv_type(int fd, int *type, void *data, size_t len,
				int flags)
{
	char control[CMSG_SPACE(1)] = {};
	struct iovec iov = { data, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg;
	ssize_t n = recvmsg(fd, &msg, flags);

	*type = -1;
	if (n < 0)
		return n;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg && cmsg->cmsg_level == SOL_TLS &&
	    cmsg->cmsg_type == TLS_GET_RECORD_TYPE)
		*type = *CMSG_DATA(cmsg);
	return n;
}

/*
 * A socket that encrypts with AES-GCM-128 under @key. The latest is kept, for the
 * process that made it: to make one costs more than many records.
 */
static inline int gcm_op(const unsigned char *key)
{
	struct sockaddr_alg sa = { .salg_family = AF_ALG, .salg_type = "aead",
				   .salg_name = "gcm(aes)" };
	static unsigned char kept_key[16];
	static int kept = -1;
	static pid_t owner;
	int tfm;

	if (kept >= 0 && owner == getpid() && !memcmp(kept_key, key, 16))
		return kept;
	if (kept >= 0)
		close(kept);
	kept = -1;
	tfm = socket(AF_ALG, SOCK_SEQPACKET, 0);
	if (tfm < 0)
		return -1;
	if (!bind(tfm, (void *)&sa, sizeof(sa)) &&
	    !setsockopt(tfm, SOL_ALG, ALG_SET_KEY, key, 16) &&
	    !setsockopt(tfm, SOL_ALG, ALG_SET_AEAD_AUTHSIZE, NULL, 16))
		kept = accept(tfm, NULL, NULL);
	close(tfm);
	memcpy(kept_key, key, 16);
	owner = getpid();
	return kept;
}

/*
 * AES-GCM-128 by the kernel's AF_ALG: encrypt @len bytes of @text in place,
 * the tag behind them.
 */
static inline int gcm_seal(const unsigned char *key, const unsigned char *nonce,
			   const unsigned char *aad, size_t aad_len,
			   unsigned char *text, size_t len)
{
	char control[CMSG_SPACE(4) + CMSG_SPACE(4 + 12) + CMSG_SPACE(4)] = {};
	static unsigned char out[32 + RECORD_MAX * 2];
	struct iovec iov[2] = { { (void *)aad, aad_len }, { text, len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	struct af_alg_iv *iv;
	int op = gcm_op(key);

	if (op < 0)
		return -1;
	cmsg->cmsg_level = SOL_ALG;
	cmsg->cmsg_type = ALG_SET_OP;
	cmsg->cmsg_len = CMSG_LEN(4);
	*(uint32_t *)CMSG_DATA(cmsg) = ALG_OP_ENCRYPT;
	cmsg = CMSG_NXTHDR(&msg, cmsg);
	cmsg->cmsg_level = SOL_ALG;
	cmsg->cmsg_type = ALG_SET_IV;
	cmsg->cmsg_len = CMSG_LEN(4 + 12);
	iv = (void *)CMSG_DATA(cmsg);
	iv->ivlen = 12;
	memcpy(iv->iv, nonce, 12);
	cmsg = CMSG_NXTHDR(&msg, cmsg);
	cmsg->cmsg_level = SOL_ALG;
	cmsg->cmsg_type = ALG_SET_AEAD_ASSOCLEN;
	cmsg->cmsg_len = CMSG_LEN(4);
	*(uint32_t *)CMSG_DATA(cmsg) = aad_len;
	if (sendmsg(op, &msg, 0) != (ssize_t)(aad_len + len) ||
	    read(op, out, aad_len + len + 16) != (ssize_t)(aad_len + len + 16))
		return -1;
	memcpy(text, out + aad_len, len + 16);
	return 0;
}

/*
 * A record for a socket with the AES-GCM-128 key of @seed, made by hand.
 * TLS 1.3 takes @pad bytes of padding.
 *
 * Return: its length, or 0.
 */
static inline size_t make_record_under(unsigned char seed, unsigned char *rec,
				       uint16_t version, uint64_t seq,
				       unsigned char type, const void *data,
				       size_t len, size_t pad)
{
	unsigned char aad[13], nonce[12], seq_be[8];
	size_t aad_len, text_len = len, body;
	unsigned char *text;
	union keys k;
	int i;

	make_keys(&k, version, TLS_CIPHER_AES_GCM_128, seed);
	for (i = 0; i < 8; i++)
		seq_be[i] = seq >> (56 - 8 * i);
	memcpy(nonce, k.gcm128.salt, 4);
	if (version == TLS_1_2_VERSION) {
		memcpy(nonce + 4, seq_be, 8);
		memcpy(rec + 5, seq_be, 8);
		text = rec + 13;
		memcpy(text, data, len);
		body = 8 + len + 16;
		rec[0] = type;
	} else {
		memcpy(nonce + 4, k.gcm128.iv, 8);
		for (i = 0; i < 8; i++)
			nonce[4 + i] ^= seq_be[i];
		text = rec + 5;
		memcpy(text, data, len);
		text[len] = type;
		memset(text + len + 1, 0, pad);
		text_len = len + 1 + pad;
		body = text_len + 16;
		rec[0] = TYPE_DATA;
	}
	rec[1] = 3;
	rec[2] = 3;
	rec[3] = body >> 8;
	rec[4] = body;
	if (version == TLS_1_2_VERSION) {
		memcpy(aad, seq_be, 8);
		memcpy(aad + 8, rec, 3);
		aad[11] = len >> 8;
		aad[12] = len;
		aad_len = 13;
	} else {
		memcpy(aad, rec, 5);
		aad_len = 5;
	}
	if (gcm_seal(k.gcm128.key, nonce, aad, aad_len, text, text_len))
		return 0;
	return 5 + body;
}

/* As make_record_under(), for raw_pair()'s first key. */
static inline size_t make_record(unsigned char *rec, uint16_t version,
				 uint64_t seq, unsigned char type,
				 const void *data, size_t len, size_t pad)
{
	return make_record_under(1, rec, version, seq, type, data, len, pad);
}

static inline int poll_now(int fd, int events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, ms) == 1 ? p.revents : 0;
}

#endif /* _TLS_TEST_H */
