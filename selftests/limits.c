// SPDX-License-Identifier: GPL-2.0
/*
 * Little memory and many connections: nothing stands still, nothing is lost,
 * and all memory comes back.
 */

#define _GNU_SOURCE
#include "../../kselftest_harness.h"
#include "tls_test.h"
#include "netns.h"
#include "wire.h"

#include <linux/sock_diag.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#define MB		(1L << 20)
/* Odd, so that no record or page begins at the same byte as another. */
#define PERIOD		1048573

static unsigned char pattern[2 * PERIOD];

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* KASAN keeps what is freed for a while: memory in use says nothing there. */
static bool debug_kernel(void)
{
	static const char path[] = "/sys/kernel/debug/kmemleak";

	if (access("/sys/kernel/debug/tracing", F_OK))
		mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	return !access(path, F_OK);
}

static int put_file(const char *value, const char *format, ...)
{
	char path[256];
	va_list ap;
	int fd, ret;

	va_start(ap, format);
	vsnprintf(path, sizeof(path), format, ap);
	va_end(ap);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	ret = write(fd, value, strlen(value)) < 0 ? -1 : 0;
	close(fd);
	return ret;
}

static int get_file(char *value, size_t size, const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, value, size - 1);

	close(fd);
	if (n < 0)
		return -1;
	value[n] = 0;
	return 0;
}

/* The number that follows @name in a file of names and numbers, or -1. */
static long number_in(const char *path, const char *name)
{
	static char text[1 << 16];
	size_t len = strlen(name);
	char *at;

	if (get_file(text, sizeof(text), path))
		return -1;
	for (at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (!strncmp(at, name, len) && strchr(": \t", at[len]))
			return strtol(at + len + 1, NULL, 10);
	}
	return -1;
}

/* ---- what the kernel holds ---- */

struct held {
	long inuse, orphan, alloc, pages;	/* TCP's own numbers */
	long kb;				/* of all of the machine */
};

static int held_now(struct held *h)
{
	static const char path[] = "/proc/meminfo";
	char text[1024], *at;
	long tw;

	if (get_file(text, sizeof(text), "/proc/net/sockstat"))
		return -1;
	at = strstr(text, "TCP: inuse");
	if (!at || sscanf(at, "TCP: inuse %ld orphan %ld tw %ld alloc %ld mem %ld",
			  &h->inuse, &h->orphan, &tw, &h->alloc,
			  &h->pages) != 5)
		return -1;
	h->kb = number_in(path, "MemTotal") - number_in(path, "MemFree") -
		number_in(path, "Buffers") - number_in(path, "Cached") -
		number_in(path, "SReclaimable");
	return 0;
}

static bool no_context(void)
{
	return !counter("TlsCurrTxSw") && !counter("TlsCurrRxSw") &&
	       !counter("TlsCurrTxDevice") && !counter("TlsCurrRxDevice");
}

/*
 * Freed after a grace period, and by processors on their own: all has some
 * seconds to come back. A processor keeps up to a megabyte for the next socket
 * that wants some of TCP's allowance.
 */
static bool all_is_back(const struct held *before, long kb)
{
	bool debug = debug_kernel();
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	struct held h = {};
	int i;

	for (i = 0; i < 200; i++) {
		if (!held_now(&h) && no_context() &&
		    h.inuse <= before->inuse && h.orphan <= before->orphan &&
		    h.alloc <= before->alloc &&
		    h.pages <= before->pages + 256 * cpus &&
		    (debug || h.kb <= before->kb + kb))
			return true;
		usleep(50000);
	}
	printf("# before: inuse %ld orphan %ld alloc %ld mem %ld, %ld kB\n",
	       before->inuse, before->orphan, before->alloc, before->pages,
	       before->kb);
	printf("# after:  inuse %ld orphan %ld alloc %ld mem %ld, %ld kB\n",
	       h.inuse, h.orphan, h.alloc, h.pages, h.kb);
	printf("# TlsCurrTxSw %ld TlsCurrRxSw %ld\n", counter("TlsCurrTxSw"),
	       counter("TlsCurrRxSw"));
	return false;
}

/* ---- one transfer ---- */

/* Where there is no page for the buffer, it is the copy that fails. */
static bool wait_a_moment(int *tries)
{
	if (errno != ENOMEM && errno != ENOBUFS && errno != EFAULT)
		return false;
	usleep(20000);
	return ++*tries < 2000;
}

/* Each end of a transfer is a process of its own, which ends with this. */
static int sends(int fd, long total, bool patient)
{
	int tries = 0;
	long at = 0;

	while (at < total) {
		long len = 1 + at * 7 % 100000;
		ssize_t n;

		if (len > total - at)
			len = total - at;
		n = send(fd, pattern + at % PERIOD, len, 0);
		if (n < 0 && patient && wait_a_moment(&tries))
			continue;
		if (n <= 0) {
			printf("# send at %ld: %s\n", at, strerror(errno));
			return 1;
		}
		at += n;
	}
	return 0;
}

static int receives(int fd, long total, bool patient, int pause)
{
	static unsigned char buf[65536];
	int tries = 0;
	long at = 0;

	while (at < total) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n < 0 && patient && wait_a_moment(&tries))
			continue;
		if (n <= 0) {
			printf("# recv at %ld: %s\n", at,
			       n ? strerror(errno) : "end");
			return 2;
		}
		if (at + n > total || memcmp(buf, pattern + at % PERIOD, n)) {
			printf("# recv at %ld: other bytes\n", at);
			return 3;
		}
		at += n;
		if (pause)
			usleep(pause);
	}
	return 0;
}

/* Four processes, two directions at once. */
static void start_both(int a, int b, long total, bool patient, pid_t pid[4])
{
	int i, ret;

	fflush(stdout);
	for (i = 0; i < 4; i++) {
		int fd = i == 0 || i == 3 ? a : b;

		pid[i] = fork();
		if (pid[i])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ret = i % 2 ? receives(fd, total, patient, 0) :
			      sends(fd, total, patient);
		fflush(stdout);
		_exit(ret);
	}
}

/*
 * Return: how many of @n processes did not end well, each of which is gone
 * when this returns.
 */
static int ended_badly(pid_t *pid, int n, double seconds)
{
	double end = now() + seconds;
	int i, status, bad = 0;

	for (i = 0; i < n; i++) {
		while (!waitpid(pid[i], &status, WNOHANG)) {
			if (now() > end) {
				printf("# process %d stands still\n", i);
				kill(pid[i], SIGKILL);
			}
			usleep(10000);
		}
		if (status) {
			printf("# process %d: status %x\n", i, status);
			bad++;
		}
	}
	return bad;
}

static int carry_both(int a, int b, long total, bool patient)
{
	pid_t pid[4];

	start_both(a, b, total, patient, pid);
	return ended_badly(pid, 4, 200);
}

static int tcp_mem(int fd, const char *value)
{
	return pwrite(fd, value, strlen(value), 0) < 0 ? -1 : 0;
}

FIXTURE(limits)
{
	char tcp_mem[100];
	int tcp_mem_fd;
	char dir[64], group[80];
	bool debug;
};

FIXTURE_VARIANT(limits)
{
	uint16_t version;
};

FIXTURE_VARIANT_ADD(limits, tls12)
{
	.version = TLS_1_2_VERSION,
};

FIXTURE_VARIANT_ADD(limits, tls13)
{
	.version = TLS_1_3_VERSION,
};

FIXTURE_SETUP(limits)
{
	struct rlimit files = { 5000, 5000 };

	signal(SIGPIPE, SIG_IGN);
	number(pattern, PERIOD, 0);
	memcpy(pattern + PERIOD, pattern, PERIOD);
	self->debug = debug_kernel();
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &files));
	/* For the whole machine, and not there in another namespace. */
	ASSERT_EQ(0, get_file(self->tcp_mem, sizeof(self->tcp_mem),
			      "/proc/sys/net/ipv4/tcp_mem"));
	self->tcp_mem_fd = open("/proc/sys/net/ipv4/tcp_mem", O_WRONLY);
	ASSERT_LE(0, self->tcp_mem_fd);
	ASSERT_EQ(0, own_netns());
	/* What waits for late segments is not what is measured here. */
	ASSERT_EQ(0, put_file("0", "/proc/sys/net/ipv4/tcp_max_tw_buckets"));
}

FIXTURE_TEARDOWN(limits)
{
	EXPECT_EQ(0, tcp_mem(self->tcp_mem_fd, self->tcp_mem));
	close(self->tcp_mem_fd);
	if (*self->group)
		rmdir(self->group);
	if (*self->dir) {
		umount2(self->dir, MNT_DETACH);
		rmdir(self->dir);
	}
}

/* ---- little memory for TCP ---- */

static void small_buffers(struct __test_metadata *_metadata)
{
	ASSERT_EQ(0, put_file("4096 4096 4096",
			      "/proc/sys/net/ipv4/tcp_rmem"));
	ASSERT_EQ(0, put_file("4096 4096 4096",
			      "/proc/sys/net/ipv4/tcp_wmem"));
}

/* A record is four times as large as the buffer that it arrives in. */
TEST_F_TIMEOUT(limits, buffers_smaller_than_a_record_do_not_stop_it, 300)
{
	int a, b;

	small_buffers(_metadata);
	ASSERT_EQ(0, tls_pair(variant->version, TLS_CIPHER_AES_GCM_128,
			      &a, &b));
	EXPECT_EQ(0, carry_both(a, b, self->debug ? MB / 4 : MB, false));
	close(a);
	close(b);
}

TEST_F_TIMEOUT(limits, little_tcp_mem_does_not_stop_it, 300)
{
	int a, b, bad;

	ASSERT_EQ(0, tcp_mem(self->tcp_mem_fd, "8 16 64"));
	ASSERT_EQ(0, tls_pair(variant->version, TLS_CIPHER_AES_GCM_128,
			      &a, &b));
	bad = carry_both(a, b, self->debug ? MB / 4 : MB, false);
	EXPECT_EQ(0, tcp_mem(self->tcp_mem_fd, self->tcp_mem));
	EXPECT_EQ(0, bad);
	close(a);
	close(b);
}

/* ---- a memory cgroup ---- */

static long group_stat(const char *group, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/memory.stat", group);
	return number_in(path, name);
}

static bool group_holds_no_socket(const char *group)
{
	int i;

	/* Counted by each processor on its own, and summed up now and then. */
	for (i = 0; i < 300; i++) {
		if (!group_stat(group, "sock"))
			return true;
		usleep(50000);
	}
	printf("# the group holds %ld bytes\n", group_stat(group, "sock"));
	return false;
}

/*
 * The sockets belong to the group, and so do the processes at their ends.
 * While the limit is what the group has already, they wait or are told so;
 * what is outside goes on. When there is room again all of it arrives.
 */
TEST_F_TIMEOUT(limits, memory_cgroup_that_is_full_delays_only_its_own, 500)
{
	long total = self->debug ? MB : 4 * MB, full, charged = 0;
	char value[32], path[128];
	pid_t pid[4], group;
	int a, b, c, d, i, go[2], ready[2];

	snprintf(self->dir, sizeof(self->dir), "/tmp/limits.XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	ASSERT_EQ(0, mount("cgroup2", self->dir, "cgroup2", 0, NULL));
	ASSERT_EQ(0, put_file("+memory", "%s/cgroup.subtree_control",
			      self->dir));
	snprintf(self->group, sizeof(self->group), "%s/limits", self->dir);
	ASSERT_EQ(0, mkdir(self->group, 0755));
	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(ready));
	fflush(stdout);
	group = fork();
	if (!group) {
		char byte;
		int bad;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* Told that there is no memory, and not killed for it. */
		if (put_file("0", "%s/cgroup.procs", self->group) ||
		    put_file("-1000", "/proc/self/oom_score_adj") ||
		    tls_pair(variant->version, TLS_CIPHER_AES_GCM_128, &a, &b))
			_exit(1);
		/* Something stays unread, and is charged. */
		if (send(a, pattern, 50000, 0) != 50000)
			_exit(2);
		write(ready[1], "", 1);
		read(go[0], &byte, 1);
		if (recv_all(b, pattern + PERIOD, 50000) != 50000 ||
		    memcmp(pattern, pattern + PERIOD, 50000))
			_exit(3);
		memcpy(pattern + PERIOD, pattern, PERIOD);
		start_both(a, b, total, true, pid);
		write(ready[1], "", 1);
		bad = ended_badly(pid, 4, 200);
		close(a);
		close(b);
		_exit(bad ? 4 : 0);
	}
	ASSERT_EQ(1, read(ready[0], value, 1));
	for (i = 0; i < 300 && charged < 50000; i++) {
		charged = group_stat(self->group, "sock");
		usleep(20000);
	}
	EXPECT_LE(50000, charged);

	/* Enough for four processes to begin, not for what they carry. */
	ASSERT_EQ(0, write(go[1], "", 1) != 1);
	ASSERT_EQ(1, read(ready[0], value, 1));
	snprintf(path, sizeof(path), "%s/memory.current", self->group);
	ASSERT_EQ(0, get_file(value, sizeof(value), path));
	snprintf(value, sizeof(value), "%ld", atol(value) / 2);
	ASSERT_EQ(0, put_file(value, "%s/memory.max", self->group));

	ASSERT_EQ(0, tls_pair(variant->version, TLS_CIPHER_AES_GCM_128,
			      &c, &d));
	EXPECT_EQ(0, carry_both(c, d, total / 2, false));
	close(c);
	close(d);
	snprintf(path, sizeof(path), "%s/memory.events", self->group);
	full = number_in(path, "max");
	EXPECT_LT(0, full);

	ASSERT_EQ(0, put_file("max", "%s/memory.max", self->group));
	EXPECT_EQ(0, ended_badly(&group, 1, 250));
	EXPECT_TRUE(group_holds_no_socket(self->group));
	for (i = 0; i < 200 && rmdir(self->group); i++)
		usleep(20000);
	EXPECT_NE(0, access(self->group, F_OK));
	*self->group = 0;
}

/* ---- many connections ---- */

#define MANY 2000

TEST_F_TIMEOUT(limits, memory_of_2000_connections_comes_back, 500)
{
	static int fd[MANY][2];
	unsigned char buf[100];
	struct held before, during;
	int i, round;

	/* The first round fills what is kept for the next. */
	for (round = 0; round < (self->debug ? 1 : 2); round++) {
		usleep(500000);
		ASSERT_EQ(0, held_now(&before));
		for (i = 0; i < MANY; i++)
			ASSERT_EQ(0, tls_pair(variant->version,
					      TLS_CIPHER_AES_GCM_128,
					      &fd[i][0], &fd[i][1]));
		ASSERT_EQ(2 * MANY, counter("TlsCurrTxSw"));
		ASSERT_EQ(2 * MANY, counter("TlsCurrRxSw"));
		for (i = 0; i < 2 * MANY; i++)
			ASSERT_EQ(100, send(fd[i / 2][i % 2], pattern + i,
					    100, 0));
		ASSERT_EQ(0, held_now(&during));
		EXPECT_LE(before.inuse + 2 * MANY, during.inuse);
		for (i = 0; i < 2 * MANY; i++) {
			ASSERT_EQ(100, recv_all(fd[i / 2][!(i % 2)], buf, 100));
			ASSERT_EQ(0, memcmp(buf, pattern + i, 100));
		}
		for (i = 0; i < 2 * MANY; i++)
			ASSERT_EQ(0, close(fd[i / 2][i % 2]));
		/* One kilobyte for each socket: a cipher's key has more. */
		EXPECT_TRUE(all_is_back(&before,
					round ? 4096 : 65536));
	}
}

/* ---- records that stay open ---- */

/* What a program begins, and does not end, counts as its sockets' memory. */
TEST_F_TIMEOUT(limits, record_that_stays_open_is_charged_to_its_socket, 300)
{
	enum { SOME = 500 };
	long slack = 256 * sysconf(_SC_NPROCESSORS_CONF);
	static int fd[SOME][2];
	struct held before, during;
	char buf[2];
	int i;

	for (i = 0; i < SOME; i++)
		ASSERT_EQ(0, tls_pair(variant->version, TLS_CIPHER_AES_GCM_128,
				      &fd[i][0], &fd[i][1]));
	ASSERT_EQ(0, held_now(&before));
	for (i = 0; i < SOME; i++)
		ASSERT_EQ(1, send(fd[i][0], "a", 1, MSG_MORE));
	ASSERT_EQ(0, held_now(&during));
	EXPECT_LE(before.pages + SOME * (RECORD_MAX / 4096) - slack,
		  during.pages);
	for (i = 0; i < SOME; i++) {
		if (i % 2) {
			ASSERT_EQ(1, send(fd[i][0], "b", 1, 0));
			ASSERT_EQ(2, recv_all(fd[i][1], buf, 2));
		}
		close(fd[i][0]);
		close(fd[i][1]);
	}
	before.inuse -= 2 * SOME;
	before.alloc -= 2 * SOME;
	EXPECT_TRUE(all_is_back(&before, 65536));
}

/* ---- a slow reader ---- */

/* Bytes that a socket has: its buffers, and what it keeps for more. */
static long socket_memory(int fd, int buffer, long *allowed)
{
	uint32_t m[SK_MEMINFO_VARS] = {};
	socklen_t len = sizeof(m);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, m, &len))
		return -1;
	*allowed += m[buffer];
	return (long)m[SK_MEMINFO_RMEM_ALLOC] + m[SK_MEMINFO_WMEM_QUEUED] +
	       m[SK_MEMINFO_FWD_ALLOC] + m[SK_MEMINFO_BACKLOG];
}

TEST_F_TIMEOUT(limits, slow_reader_holds_no_more_than_two_buffers, 900)
{
	const char *how_long = getenv("LIMITS");
	long total = self->debug ? 8 * MB : 32 * MB, most = 0, limit = 0;
	int a, b, buffer = 100000, status;
	pid_t pid[2], ended;
	struct held h;
	long kb, most_kb = 0;
	double end;

	if (how_long && !strcmp(how_long, "long") && !self->debug)
		total = 1024 * MB;
	ASSERT_EQ(0, tls_pair(variant->version, TLS_CIPHER_AES_GCM_128,
			      &a, &b));
	setsockopt(a, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	setsockopt(b, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	fflush(stdout);
	pid[0] = fork();
	if (!pid[0])
		_exit(sends(a, total, false));
	/* The first megabytes tell what is in use while it runs. */
	usleep(300000);
	ASSERT_EQ(0, held_now(&h));
	kb = h.kb;
	pid[1] = fork();
	if (!pid[1])
		_exit(receives(b, total, false, 500));
	end = now() + 850;
	while (!(ended = waitpid(pid[1], &status, WNOHANG)) && now() < end) {
		long have;

		limit = 0;
		have = socket_memory(a, SK_MEMINFO_SNDBUF, &limit) +
		       socket_memory(b, SK_MEMINFO_RCVBUF, &limit);
		if (have > most)
			most = have;
		ASSERT_EQ(0, held_now(&h));
		if (h.kb > most_kb)
			most_kb = h.kb;
		usleep(10000);
	}
	if (!ended)
		kill(pid[1], SIGKILL);
	EXPECT_EQ(pid[1], ended);
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, ended_badly(pid, 1, 20));
	TH_LOG("%ld MB: %ld kB at most in the sockets, of %ld; %ld kB more",
	       total / MB, most / 1024, limit / 1024, most_kb - kb);
	EXPECT_LT(20000, most);
	/* A write may pass the mark, so may a segment; and pages in hand. */
	EXPECT_GE(limit + 3 * 65536, most);
	if (!self->debug)
		EXPECT_GT(8 * 1024, most_kb - kb);
	close(a);
	close(b);
}

/* ---- what is left when it is closed in the middle ---- */

static int closed_in_the_middle(uint16_t version, int cycles)
{
	/* A header, and less than it says. */
	static const char half[1000] = "\x17\x03\x03\x20";
	int a, b, i;

	for (i = 0; i < cycles; i++) {
		if (tls_pair(version, TLS_CIPHER_AES_GCM_128, &a, &b))
			return -1;
		if (send(a, pattern, 30000, 0) != 30000 ||
		    send(a, pattern, 7000, MSG_MORE) != 7000 ||
		    send(b, pattern, 7000, MSG_MORE) != 7000)
			return -1;
		/* A part of a record is read, the rest of it is at hand. */
		if (recv(b, pattern + PERIOD, 100, 0) != 100 ||
		    memcmp(pattern, pattern + PERIOD, 100))
			return -1;
		if (close(i % 2 ? a : b) || close(i % 2 ? b : a))
			return -1;
		if (raw_pair(version, TLS_CIPHER_AES_GCM_128, &a, &b))
			return -1;
		if (send(a, half, sizeof(half), 0) != sizeof(half) ||
		    recv(b, pattern + PERIOD, 100, MSG_DONTWAIT) != -1 ||
		    errno != EAGAIN)
			return -1;
		if (close(i % 2 ? a : b) || close(i % 2 ? b : a))
			return -1;
	}
	return 0;
}

TEST_F_TIMEOUT(limits, close_in_the_middle_leaves_nothing, 500)
{
	struct held before;

	ASSERT_EQ(0, closed_in_the_middle(variant->version, 200));
	usleep(500000);
	ASSERT_EQ(0, held_now(&before));
	ASSERT_EQ(0, closed_in_the_middle(variant->version,
					  self->debug ? 500 : 1500));
	/* Less than 700 bytes for each that was closed. */
	EXPECT_TRUE(all_is_back(&before, 1024));
}

TEST_HARNESS_MAIN
