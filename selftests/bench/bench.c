// SPDX-License-Identifier: GPL-2.0
/*
 * What a call costs on a socket, with and without kernel TLS, over loopback.
 *
 *	bench tcp|tls quick|full
 *
 * Every line of the output is one figure:
 *
 *	row <tab> version <tab> cipher <tab> size <tab> value
 *
 * The value is nanoseconds of CLOCK_MONOTONIC a call, or bytes for the rows
 * named memory. On a machine that counts instructions instead of time, a
 * nanosecond is an instruction.
 *
 * Both ends of a connection belong to this one thread, and nothing that is
 * timed ever waits. So what is left to do for the other end is done outside of
 * the time that is taken: a send is timed until it returns and the reader is
 * drained after that, a receive is timed when all its records are queued. On
 * one CPU, what loopback does in softirq to deliver a segment, and the ULP's
 * data-ready callback with it, counts for the sender. That is the same for
 * plain TCP and for every module.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif

#define SIZE_MAX_ROW	262144
#define BATCH_BYTES	262144
#define BATCH_CALLS	32
#define BATCHES		11
#define WARM_UP		5
#define CHAIN		8
#define BIG_BUFFER	65536
#define IDLE_PAIRS	500
#define TURN_BYTES	1024

#define TYPE_HANDSHAKE	22

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

static const size_t all_sizes[] = {
	1, 64, 512, 1400, 4096, 16384, 65536, 262144,
};

static const size_t few_sizes[] = { 64, 4096, 16384, 65536 };

static const struct cipher {
	const char *name;
	uint16_t number;
	size_t len;
} ciphers[] = {
	{ "aes-128-gcm", TLS_CIPHER_AES_GCM_128,
	  sizeof(struct tls12_crypto_info_aes_gcm_128) },
	{ "aes-256-gcm", TLS_CIPHER_AES_GCM_256,
	  sizeof(struct tls12_crypto_info_aes_gcm_256) },
	{ "chacha20-poly1305", TLS_CIPHER_CHACHA20_POLY1305,
	  sizeof(struct tls12_crypto_info_chacha20_poly1305) },
};

/* What the rows of one pass share. */
static const struct cipher *cipher;	/* NULL: plain TCP */
static uint16_t version;
static unsigned char plain[SIZE_MAX_ROW], got[SIZE_MAX_ROW];
static int listener = -1, file = -1, pipe_in[2], pipe_out[2];
static struct sockaddr_in address;
static uint64_t clock_cost;

static void fail(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void wrong(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, n, sizeof(*values), compare);
	return n % 2 ? values[n / 2] :
	       (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* Taking the time twice costs something too. */
static void find_clock_cost(void)
{
	double cost[101];
	int i;

	for (i = 0; i < 101; i++) {
		uint64_t start = now();

		cost[i] = now() - start;
	}
	clock_cost = median(cost, 101);
}

static void print(const char *row, size_t size, double value)
{
	printf("%s\t%s\t%s\t%zu\t%.1f\n", row,
	       !cipher ? "tcp" : version == TLS_1_3_VERSION ? "1.3" : "1.2",
	       cipher ? cipher->name : "-", size, value);
	fflush(stdout);
}

static void set(int fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)))
		fail("setsockopt");
}

static void start_listening(void)
{
	socklen_t len = sizeof(address);

	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0)
		fail("socket");
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) ||
	    listen(listener, 128) ||
	    getsockname(listener, (struct sockaddr *)&address, &len))
		fail("listen");
}

/*
 * @large: buffers that take a whole batch, so that no call ever waits and TCP
 * never tunes them in the middle of a row.
 */
static void connect_pair(int fd[2], bool large)
{
	const int bytes = 32 << 20;

	fd[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (fd[0] < 0)
		fail("socket");
	if (large) {
		/* Without the right to more, what the system allows. */
		if (setsockopt(listener, SOL_SOCKET, SO_RCVBUFFORCE, &bytes,
			       sizeof(bytes)))
			set(listener, SOL_SOCKET, SO_RCVBUF, bytes);
		if (setsockopt(fd[0], SOL_SOCKET, SO_SNDBUFFORCE, &bytes,
			       sizeof(bytes)))
			set(fd[0], SOL_SOCKET, SO_SNDBUF, bytes);
	}
	if (connect(fd[0], (struct sockaddr *)&address, sizeof(address)))
		fail("connect");
	fd[1] = accept(listener, NULL, NULL);
	if (fd[1] < 0)
		fail("accept");
	set(fd[0], IPPROTO_TCP, TCP_NODELAY, 1);
	set(fd[1], IPPROTO_TCP, TCP_NODELAY, 1);
}

/* Thousands of connections, none of which shall linger in TIME_WAIT. */
static void reset_pair(int fd[2])
{
	const struct linger now = { .l_onoff = 1 };

	setsockopt(fd[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd[0]);
	close(fd[1]);
}

static void close_pair(int fd[2])
{
	close(fd[0]);
	close(fd[1]);
}

static void attach(int fd)
{
	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")))
		fail("TCP_ULP");
}

/*
 * One key for both ends and both directions: @generation makes it another one
 * after a key update.
 */
static int try_key(int fd, int direction, int generation)
{
	union {
		struct tls_crypto_info info;
		unsigned char bytes[64];
	} key;

	memset(&key, 0x21 + generation % 64, sizeof(key));
	key.info.version = version;
	key.info.cipher_type = cipher->number;
	return setsockopt(fd, SOL_TLS, direction, &key, cipher->len);
}

static void set_key(int fd, int direction, int generation)
{
	if (try_key(fd, direction, generation))
		fail("TLS_TX or TLS_RX");
}

static void secure_pair(int fd[2])
{
	int i;

	if (!cipher)
		return;
	for (i = 0; i < 2; i++) {
		attach(fd[i]);
		set_key(fd[i], TLS_TX, 0);
		set_key(fd[i], TLS_RX, 0);
	}
}

static void open_pair(int fd[2], bool large)
{
	connect_pair(fd, large);
	secure_pair(fd);
}

/* Calls of the kind that is measured. */

static void send_all(int fd, size_t size, int flags)
{
	ssize_t ret = send(fd, plain, size, flags);

	if (ret != (ssize_t)size)
		fail("send");
}

static void recv_all(int fd, size_t size, size_t buffer)
{
	size_t done = 0;

	while (done < size) {
		size_t room = size - done < buffer ? size - done : buffer;
		ssize_t ret = recv(fd, got + done % SIZE_MAX_ROW, room,
				   MSG_DONTWAIT);

		if (ret <= 0)
			fail("recv");
		done += ret;
	}
}

static void send_one(int fd[2], size_t size)
{
	send_all(fd[0], size, 0);
}

static void send_chain(int fd[2], size_t size)
{
	int i;

	for (i = 1; i < CHAIN; i++)
		send_all(fd[0], size, MSG_MORE);
	send_all(fd[0], size, 0);
}

static void send_file(int fd[2], size_t size)
{
	off_t offset = 0;

	while (offset < (off_t)size)
		if (sendfile(fd[0], file, &offset, size - offset) <= 0)
			fail("sendfile");
}

static void splice_in(int fd[2], size_t size)
{
	while (size) {
		ssize_t ret = splice(pipe_in[0], NULL, fd[0], NULL, size, 0);

		if (ret <= 0)
			fail("splice from a pipe");
		size -= ret;
	}
}

static void recv_one(int fd[2], size_t size)
{
	recv_all(fd[1], size, size);
}

static void splice_out(int fd[2], size_t size)
{
	while (size) {
		ssize_t ret = splice(fd[1], NULL, pipe_out[1], NULL, size,
				     SPLICE_F_NONBLOCK);

		if (ret <= 0)
			fail("splice to a pipe");
		size -= ret;
	}
}

static void ping_pong(int fd[2], size_t size)
{
	send_all(fd[0], size, 0);
	recv_all(fd[1], size, size);
	send_all(fd[1], size, 0);
	recv_all(fd[0], size, size);
}

/* What happens before and after, in time that does not count. */

static void fill_pipe(int fd[2], size_t size, int calls)
{
	while (calls--) {
		size_t done = 0;

		while (done < size) {
			ssize_t ret = write(pipe_in[1], plain + done,
					    size - done);

			if (ret <= 0)
				fail("write to a pipe");
			done += ret;
		}
	}
}

static void fill_socket(int fd[2], size_t size, int calls)
{
	while (calls--)
		send_all(fd[0], size, 0);
}

/* All that was sent has arrived, byte for byte. */
static void check_arrived(size_t size)
{
	if (memcmp(got, plain, size))
		wrong("other bytes arrived than were sent");
}

static void drain_socket(int fd[2], size_t size, int calls)
{
	while (calls--) {
		size_t done = 0;

		while (done < size) {
			ssize_t ret = recv(fd[1], got + done, size - done,
					   MSG_WAITALL);

			if (ret <= 0)
				fail("recv after sends");
			done += ret;
		}
		check_arrived(size);
	}
}

static void drain_chain(int fd[2], size_t size, int calls)
{
	drain_socket(fd, size, calls * CHAIN);
}

static void drain_pipe(int fd[2], size_t size, int calls)
{
	while (calls--) {
		size_t done = 0;

		while (done < size) {
			ssize_t ret = read(pipe_out[0], got + done,
					   size - done);

			if (ret <= 0)
				fail("read from a pipe");
			done += ret;
		}
		check_arrived(size);
	}
}

static void check_received(int fd[2], size_t size, int calls)
{
	check_arrived(size);
}

struct row {
	const char *name;
	void (*before)(int fd[2], size_t size, int calls);
	void (*call)(int fd[2], size_t size);
	void (*after)(int fd[2], size_t size, int calls);
	int parts;	/* calls that one run of call() makes */
};

static const struct row row_send = {
	"send", NULL, send_one, drain_socket, 1
};

static const struct row row_recv = {
	"recv", fill_socket, recv_one, check_received, 1
};

static const struct row other_rows[] = {
	{ "more", NULL, send_chain, drain_chain, CHAIN },
	{ "sendfile", NULL, send_file, drain_socket, 1 },
	{ "splice-in", fill_pipe, splice_in, drain_socket, 1 },
	{ "splice-out", fill_socket, splice_out, drain_pipe, 1 },
};

static const struct row row_ping_pong = {
	"ping-pong", NULL, ping_pong, check_received, 1
};

static int batch(size_t size)
{
	size_t calls = BATCH_BYTES / size;

	return calls > BATCH_CALLS ? BATCH_CALLS : calls ? calls : 1;
}

static void measure(const struct row *row, size_t size)
{
	int fd[2], calls = batch(size * row->parts), i, n;
	double cost[BATCHES];

	open_pair(fd, true);
	for (n = -WARM_UP; n < BATCHES; n++) {
		uint64_t start, end;

		memset(got, 0, size);
		if (row->before)
			row->before(fd, size, calls);
		start = now();
		for (i = 0; i < calls; i++)
			row->call(fd, size);
		end = now();
		row->after(fd, size, calls);
		if (n >= 0)
			cost[n] = (double)(end - start - clock_cost) /
				  (calls * row->parts);
	}
	close_pair(fd);
	print(row->name, size, median(cost, BATCHES));
}

/* Records of @size bytes, as many as 64 KB hold, and a buffer of 64 KB. */
static void measure_recv_big(size_t size)
{
	int records = BIG_BUFFER / size, fd[2], n;
	double cost[BATCHES];

	records = records > BATCH_CALLS ? BATCH_CALLS : records ? records : 1;
	open_pair(fd, true);
	for (n = -WARM_UP; n < BATCHES; n++) {
		size_t left = records * size;
		uint64_t start, end;

		fill_socket(fd, size, records);
		start = now();
		while (left) {
			ssize_t ret = recv(fd[1], got, BIG_BUFFER,
					   MSG_DONTWAIT);

			if (ret <= 0)
				fail("recv with 64 KB");
			left -= ret;
		}
		end = now();
		if (n >= 0)
			cost[n] = (double)(end - start - clock_cost) / records;
	}
	close_pair(fd);
	print("recv-64k", size, median(cost, BATCHES));
}

/* From a connected socket to a closed one: the ULP, two keys, close. */
static void measure_attach(void)
{
	enum { pairs = 32 };
	double cost[BATCHES];
	int fd[pairs][2], i, n;

	for (n = -1; n < BATCHES; n++) {
		uint64_t start, end;

		for (i = 0; i < pairs; i++)
			connect_pair(fd[i], false);
		start = now();
		for (i = 0; i < pairs; i++) {
			if (cipher) {
				attach(fd[i][0]);
				set_key(fd[i][0], TLS_TX, 0);
				set_key(fd[i][0], TLS_RX, 0);
			}
			close(fd[i][0]);
		}
		end = now();
		for (i = 0; i < pairs; i++)
			close(fd[i][1]);
		if (n >= 0)
			cost[n] = (double)(end - start - clock_cost) / pairs;
	}
	print("attach", 0, median(cost, BATCHES));
}

/* The KeyUpdate message itself, sent and read, is not part of the figure. */
static void send_key_update(int fd)
{
	unsigned char message[] = { 24, 0, 0, 1, 0 };
	union {
		char buf[CMSG_SPACE(1)];
		struct cmsghdr align;
	} control = {};
	struct iovec iov = { message, sizeof(message) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_TLS;
	cmsg->cmsg_type = TLS_SET_RECORD_TYPE;
	cmsg->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(cmsg) = TYPE_HANDSHAKE;
	if (sendmsg(fd, &msg, 0) != sizeof(message))
		fail("sending KeyUpdate");
}

static void recv_key_update(int fd)
{
	unsigned char message[16];
	char control[CMSG_SPACE(1)];
	struct iovec iov = { message, sizeof(message) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};

	if (recvmsg(fd, &msg, 0) != 5 || message[0] != 24)
		wrong("this is no KeyUpdate");
}

/* A new sending key at one end and a new receiving key at the other. */
static void measure_key_update(void)
{
	double cost[BATCHES];
	int fd[2], n;

	if (!cipher || version != TLS_1_3_VERSION)
		return;
	open_pair(fd, true);
	for (n = -1; n < BATCHES; n++) {
		uint64_t start, end;

		send_key_update(fd[0]);
		start = now();
		if (try_key(fd[0], TLS_TX, n + 2)) {
			/* A kernel that cannot: the row stays empty. */
			if (errno != EBUSY || n > -1)
				fail("key update");
			close_pair(fd);
			return;
		}
		end = now();
		recv_key_update(fd[1]);
		end -= start;
		start = now();
		set_key(fd[1], TLS_RX, n + 2);
		end += now() - start;
		if (n >= 0)
			cost[n] = end - 2 * clock_cost;
		send_all(fd[0], 64, 0);
		drain_socket(fd, 64, 1);
	}
	close_pair(fd);
	print("key-update", 0, median(cost, BATCHES));
}

static void raise_limit(void)
{
	struct rlimit limit = { 8192, 8192 };

	if (setrlimit(RLIMIT_NOFILE, &limit))
		fail("RLIMIT_NOFILE");
}

/* A request of 1 KB to each connection in turn. */
static void measure_turns(int connections)
{
	int (*fd)[2] = calloc(connections, sizeof(*fd)), i, n;
	int rounds = connections < 32 ? 32 : 1;
	double cost[BATCHES];

	if (!fd)
		fail("calloc");
	for (i = 0; i < connections; i++) {
		connect_pair(fd[i], false);
		if (cipher) {
			attach(fd[i][0]);
			set_key(fd[i][0], TLS_TX, 0);
			attach(fd[i][1]);
			set_key(fd[i][1], TLS_RX, 0);
		}
	}
	for (n = -2; n < BATCHES; n++) {
		uint64_t start = now(), end;
		int round;

		for (round = 0; round < rounds; round++)
			for (i = 0; i < connections; i++) {
				send_all(fd[i][0], TURN_BYTES, 0);
				recv_all(fd[i][1], TURN_BYTES, TURN_BYTES);
			}
		end = now();
		check_arrived(TURN_BYTES);
		if (n >= 0)
			cost[n] = (double)(end - start - clock_cost) /
				  (connections * rounds);
	}
	for (i = 0; i < connections; i++)
		reset_pair(fd[i]);
	free(fd);
	print("turns", connections, median(cost, BATCHES));
}

/* The sum of these lines of /proc/meminfo, in bytes. */
static double memory(const char *const *names)
{
	FILE *info = fopen("/proc/meminfo", "r");
	char line[128];
	double sum = 0;

	if (!info)
		fail("/proc/meminfo");
	while (fgets(line, sizeof(line), info)) {
		const char *const *name;

		for (name = names; *name; name++) {
			size_t len = strlen(*name);

			if (!strncmp(line, *name, len) && line[len] == ':')
				sum += strtod(line + len + 1, NULL) * 1024;
		}
	}
	fclose(info);
	return sum;
}

static void connect_idle(int (*fd)[2])
{
	int i;

	for (i = 0; i < IDLE_PAIRS; i++)
		connect_pair(fd[i], false);
}

static void secure_idle(int (*fd)[2])
{
	int i;

	for (i = 0; i < IDLE_PAIRS; i++)
		secure_pair(fd[i]);
}

static void reset_idle(int (*fd)[2])
{
	int i;

	for (i = 0; i < IDLE_PAIRS; i++)
		reset_pair(fd[i]);
	/* What the kernel frees after a grace period. */
	sleep(2);
}

/*
 * What an idle end of a connection holds: plain TCP, its own; TLS, what is
 * there on top. Slab and per-CPU memory are exact to a page; pages that no
 * counter of the kernel has show only in what is free.
 */
static void measure_memory(void)
{
	static const char *const counted[] = { "Slab", "Percpu", NULL };
	static const char *const unused[] = { "MemFree", NULL };
	static int fd[IDLE_PAIRS][2];
	double before, before_free;

	/* Caches grow to their size. */
	connect_idle(fd);
	secure_idle(fd);
	reset_idle(fd);

	if (!cipher) {
		before = memory(counted);
		before_free = memory(unused);
		connect_idle(fd);
	} else {
		connect_idle(fd);
		sleep(2);
		before = memory(counted);
		before_free = memory(unused);
		secure_idle(fd);
	}
	sleep(2);
	print("memory", 0, (memory(counted) - before) / (2 * IDLE_PAIRS));
	print("memory-free", 0,
	      (before_free - memory(unused)) / (2 * IDLE_PAIRS));
	reset_idle(fd);
}

static void small_rows(bool quick)
{
	measure(&row_ping_pong, 64);
	measure(&row_ping_pong, TURN_BYTES);
	measure_attach();
	measure_key_update();
	measure_memory();
	measure_turns(1);
	measure_turns(100);
	if (!quick)
		measure_turns(2000);
}

static void rows(const size_t *sizes, size_t n, bool others)
{
	size_t i, r;

	for (i = 0; i < n; i++) {
		measure(&row_send, sizes[i]);
		measure(&row_recv, sizes[i]);
		if (!others)
			continue;
		measure_recv_big(sizes[i]);
		for (r = 0; r < ARRAY_SIZE(other_rows); r++)
			measure(&other_rows[r], sizes[i]);
	}
}

/* Plain TCP is what every other row stands beside, so it has them all. */
static void run_tcp(void)
{
	rows(all_sizes, ARRAY_SIZE(all_sizes), true);
	small_rows(false);
}

static void run_tls(bool quick)
{
	static const uint16_t versions[] = {
		TLS_1_3_VERSION, TLS_1_2_VERSION
	};
	size_t v, c, i, r;

	for (v = 0; v < ARRAY_SIZE(versions); v++) {
		for (c = 0; c < ARRAY_SIZE(ciphers); c++) {
			bool first = !v && !c;

			version = versions[v];
			cipher = &ciphers[c];
			if (!quick) {
				rows(all_sizes, ARRAY_SIZE(all_sizes), true);
				small_rows(false);
				continue;
			}
			if (!first) {
				/* The other version, and the other kind. */
				if (v == 0 ? c == 2 : c == 0)
					rows(few_sizes, ARRAY_SIZE(few_sizes),
					     false);
				continue;
			}
			rows(all_sizes, ARRAY_SIZE(all_sizes), false);
			for (i = 0; i < ARRAY_SIZE(few_sizes); i++) {
				measure_recv_big(few_sizes[i]);
				for (r = 0; r < ARRAY_SIZE(other_rows); r++)
					measure(&other_rows[r], few_sizes[i]);
			}
			small_rows(true);
		}
	}
}

static void prepare(void)
{
	char name[] = "/tmp/bench.XXXXXX";
	size_t i;

	for (i = 0; i < sizeof(plain); i++)
		plain[i] = i * 167 + (i >> 8) * 13;
	file = mkstemp(name);
	if (file < 0 || unlink(name) ||
	    write(file, plain, sizeof(plain)) != sizeof(plain))
		fail("a file in /tmp");
	if (pipe(pipe_in) || pipe(pipe_out) ||
	    fcntl(pipe_in[1], F_SETPIPE_SZ, 1 << 20) < 0 ||
	    fcntl(pipe_out[1], F_SETPIPE_SZ, 1 << 20) < 0)
		fail("pipe");
	raise_limit();
	start_listening();
	find_clock_cost();
}

int main(int argc, char *argv[])
{
	bool tls = argc == 3 && !strcmp(argv[1], "tls");
	bool quick = argc == 3 && !strcmp(argv[2], "quick");

	if (argc != 3 || (!tls && strcmp(argv[1], "tcp")) ||
	    (!quick && strcmp(argv[2], "full")))
		wrong("usage: bench tcp|tls quick|full");
	prepare();
	if (tls)
		run_tls(quick);
	else
		run_tcp();
	return 0;
}
