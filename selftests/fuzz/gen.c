// SPDX-License-Identifier: GPL-2.0
/*
 * Sequences, from a seed and a number.
 */

#include "fuzz.h"

enum { BOTH, PEER };

static const struct {
	const char *name;
	int often;
	int whose;
} kinds[] = {
#define OP(name, often, whose) { #name, often, whose },
	OPS(OP)
#undef OP
};

const char *kind_name(int kind)
{
	return kinds[kind].name;
}

/* The next of a row of numbers that @state alone decides. */
uint32_t rnd(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return (x ^ x >> 31) >> 16;
}

/* A length: most are small, some are around a limit, some large. */
static uint32_t length(uint64_t *r)
{
	switch (rnd(r) % 10) {
	case 0 ... 2:
		return 1 + rnd(r) % 16;
	case 3 ... 4:
		return 1 + rnd(r) % 300;
	case 5:
		return 4080 + rnd(r) % 40;
	case 6:
		return 16370 + rnd(r) % 30;
	case 7:
		return 1 + rnd(r) % MAX_LEN;
	default:
		return 1 + rnd(r) % 6000;
	}
}

static uint32_t buffer(uint64_t *r)
{
	static const uint32_t sizes[] = {
		0, 0, 0, 0, 1, 5000, 20000, 20000, 100000, 100000,
	};

	return sizes[rnd(r) % ARRAY_SIZE(sizes)];
}

static int choose_kind(uint64_t *r, bool peer)
{
	int i, sum = 0, at;

	for (i = 0; i < NR_KINDS; i++)
		if (kinds[i].whose == (peer ? PEER : BOTH))
			sum += kinds[i].often;
	at = rnd(r) % sum;
	for (i = 0; i < NR_KINDS; i++) {
		if (kinds[i].whose != (peer ? PEER : BOTH))
			continue;
		at -= kinds[i].often;
		if (at < 0)
			break;
	}
	return i;
}

void make_sequence(struct sequence *s, uint64_t seed, uint32_t nr)
{
	uint64_t r = seed * 0x2545f4914f6cdd1d + nr;
	int i;

	memset(s, 0, sizeof(*s));
	s->seed = seed;
	s->nr = nr;
	rnd(&r);
	s->version = rnd(&r) % 2 ? TLS_1_2_VERSION : TLS_1_3_VERSION;
	s->cipher = rnd(&r) % 2 ? TLS_CIPHER_AES_GCM_128 :
		    TLS_CIPHER_AES_GCM_128 + rnd(&r) % 8;
	if (s->version == TLS_1_3_VERSION &&
	    s->cipher >= TLS_CIPHER_ARIA_GCM_128)
		s->cipher = TLS_CIPHER_CHACHA20_POLY1305;
	s->threads = rnd(&r) % 8 == 0;
	s->user_peer = !s->threads && rnd(&r) % 5 < 2;
	if (s->user_peer)
		s->cipher = TLS_CIPHER_AES_GCM_128;
	s->family = rnd(&r) % 2 ? AF_INET : AF_INET6;
	/* What loses segments is slow: less of it. */
	i = rnd(&r) % 16;
	s->net = i < 8 ? NET_LO : i < 11 ? NET_VETH : i < 12 ? NET_LOSSY :
		 i < 13 ? NET_SLOW : NET_NIC;
	if (s->net == NET_NIC && !have_nic)
		s->net = NET_LO;
	s->nodelay = rnd(&r) % 4;
	for (i = 0; i < 2; i++) {
		s->late[i] = rnd(&r) % 8 == 0;
		s->plain[i] = rnd(&r) % 8 ? 0 : 1 + rnd(&r) % 3000;
		s->sndbuf[i] = buffer(&r);
		s->rcvbuf[i] = buffer(&r);
	}
	s->n = s->threads ? 0 : 8 + rnd(&r) % (MAX_OPS - 8);
	/* One that does not lose is worth more when it is long. */
	if (s->net == NET_LOSSY || s->net == NET_SLOW)
		s->n /= 3;
	for (i = 0; i < s->n; i++) {
		struct op *op = &s->op[i];

		op->side = rnd(&r) % 2;
		op->kind = choose_kind(&r, s->user_peer && op->side);
		op->a = length(&r);
		op->b = rnd(&r);
		op->c = rnd(&r);
	}
}

void print_sequence(const struct sequence *s)
{
	static const char * const nets[] = {
		"loopback", "veth", "lossy veth", "slow veth", "nic",
	};
	int i;

	printf("# version %s cipher %d over %s, IPv%d%s%s\n",
	       s->version == TLS_1_2_VERSION ? "1.2" : "1.3", s->cipher,
	       nets[s->net], s->family == AF_INET ? 4 : 6,
	       s->user_peer ? ", the peer in user space" : "",
	       s->threads ? ", threads" : "");
	for (i = 0; i < 2; i++)
		printf("# side %d: sndbuf %u rcvbuf %u%s, %u bytes before keys\n",
		       i, s->sndbuf[i], s->rcvbuf[i],
		       s->late[i] ? ", its records before their key" : "",
		       s->plain[i]);
	for (i = 0; i < s->n; i++)
		if (!s->off[i])
			printf("#   %3d: side %d %s %u %#x %#x\n", i,
			       s->op[i].side, kind_name(s->op[i].kind),
			       s->op[i].a, s->op[i].b, s->op[i].c);
	fflush(stdout);
}
