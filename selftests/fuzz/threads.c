// SPDX-License-Identifier: GPL-2.0
/*
 * Several readers and writers of each direction, in threads or processes, and
 * somebody who disturbs them. Which bytes follow each other is for the
 * scheduler to choose, so they travel in units that tell who wrote them, and
 * every call carries whole units: each must come once, a writer's in order.
 */

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "fuzz.h"

#define UNIT		64
#define WRITERS		4
#define READERS		3
#define UNITS		2000	/* of one writer, at most */
#define CALL_UNITS	400

struct unit {
	uint32_t dir, writer, nr;
	unsigned char text[UNIT - 12];
};

static struct crowd {
	pthread_rwlock_t lock;	/* who changes a key is alone */
	bool abrupt;
	bool told[2];
	int writers[2], readers[2], units;
	int tx_key[2], rx_key[2];
	int busy[2];		/* writers that have not done */
	int active;		/* readers and writers */
	unsigned char seen[2][WRITERS][UNITS];
} *crowd;

struct actor {
	const struct sequence *s;
	void (*play)(struct actor *a);
	int dir, nr;
	uint64_t r;
	pthread_t thread;
	pid_t pid;
	uint32_t last[WRITERS];
};

static void make_unit(struct unit *u, int dir, int writer, uint32_t nr)
{
	u->dir = dir;
	u->writer = writer;
	u->nr = nr;
	number(u->text, sizeof(u->text), (writer * UNITS + nr) * 52);
}

static bool over(int err)
{
	return crowd->abrupt && (err == EPIPE || err == ECONNRESET ||
				 err == EBADMSG || err == ENOTCONN);
}

static ssize_t write_some(struct actor *a, int fd, unsigned char *buf,
			  size_t len)
{
	int p[2], flags = MSG_NOSIGNAL | (rnd(&a->r) % 2 ? MSG_DONTWAIT : 0);
	struct iovec iov[10];
	ssize_t ret;

	switch (rnd(&a->r) % 8) {
	case 0:
		return writev(fd, iov, pieces(iov, 10, buf, len,
					      rnd(&a->r)));
	case 1:
		return send(fd, buf, len, flags | MSG_MORE);
	case 2:
		p[0] = memfd_create("fuzz", 0);
		if (write(p[0], buf, len) != (ssize_t)len)
			fail("no file");
		ret = sendfile(fd, p[0], &(off_t){ 0 }, len);
		close(p[0]);
		return ret;
	case 3:
		if (pipe2(p, O_NONBLOCK) ||
		    write(p[1], buf, len) != (ssize_t)len)
			fail("no pipe");
		ret = splice(p[0], NULL, fd, NULL, len, rnd(&a->r) % 2 ?
			     SPLICE_F_MORE : 0);
		close(p[0]);
		close(p[1]);
		return ret;
	default:
		return send(fd, buf, len, flags);
	}
}

/* Alone: the message, and then at once the next key. */
static void update_key(struct actor *a, int fd)
{
	unsigned char message[5] = { 24, 0, 0, 1, 0 };
	ssize_t n;

	if (pthread_rwlock_trywrlock(&crowd->lock))
		return;
	do {
		n = send_type(fd, TYPE_HANDSHAKE, message, 5, MSG_NOSIGNAL);
	} while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n == 5) {
		crowd->tx_key[a->dir]++;
		if (put_key(a->s, a->dir, a->dir, TLS_TX,
			    crowd->tx_key[a->dir]) && !over(errno))
			fail("a new sending key is refused: errno %d", errno);
	} else if (!over(errno)) {
		fail("a key update is not sent: %zd, errno %d", n, errno);
	}
	pthread_rwlock_unlock(&crowd->lock);
}

static void writer(struct actor *a)
{
	int fd = end[a->dir].fd, nr = 0;
	struct unit *u = malloc(CALL_UNITS * UNIT);

	while (nr < crowd->units) {
		int n = 1 + rnd(&a->r) % (rnd(&a->r) % 3 ? 20 : CALL_UNITS), i;
		ssize_t ret;

		if (n > crowd->units - nr)
			n = crowd->units - nr;
		for (i = 0; i < n; i++)
			make_unit(u + i, a->dir, a->nr, nr + i);
		pthread_rwlock_rdlock(&crowd->lock);
		ret = write_some(a, fd, (void *)u, n * UNIT);
		i = errno;
		pthread_rwlock_unlock(&crowd->lock);
		if (ret < 0 && over(i))
			break;
		if (ret < 0 && i == EAGAIN)
			poll_now(fd, POLLOUT, 20);
		else if (ret < 0 && i != EINTR)
			fail("writer %d fails with errno %d", a->nr, i);
		if (ret <= 0)
			continue;
		if (ret % UNIT || ret > n * UNIT)
			fail("a call takes %zd bytes of %d", ret, n * UNIT);
		nr += ret / UNIT;
		shared->bytes += ret;
		progress();
		if (a->s->version == TLS_1_3_VERSION && rnd(&a->r) % 30 == 0)
			update_key(a, fd);
		if (rnd(&a->r) % 10 == 0)
			usleep(rnd(&a->r) % 3000);
	}
	free(u);
	__atomic_fetch_sub(&crowd->busy[a->dir], 1, __ATOMIC_SEQ_CST);
}

static void check_units(struct actor *a, const unsigned char *buf, ssize_t n)
{
	struct unit u, due;

	if (n % UNIT)
		fail("%zd bytes come, no whole units", n);
	for (; n; n -= UNIT, buf += UNIT) {
		memcpy(&u, buf, UNIT);
		if (u.dir != (uint32_t)a->dir ||
		    u.writer >= (uint32_t)crowd->writers[a->dir] ||
		    u.nr >= (uint32_t)crowd->units)
			fail("a unit of nobody");
		make_unit(&due, u.dir, u.writer, u.nr);
		if (memcmp(&u, &due, UNIT))
			fail("unit %u of writer %u has other bytes", u.nr,
			     u.writer);
		if (__atomic_exchange_n(&crowd->seen[u.dir][u.writer][u.nr], 1,
					__ATOMIC_SEQ_CST))
			fail("unit %u of writer %u comes twice", u.nr,
			     u.writer);
		if (u.nr + 1 <= a->last[u.writer])
			fail("unit %u of writer %u comes after %u", u.nr,
			     u.writer, a->last[u.writer] - 1);
		if (crowd->readers[a->dir] == 1 && u.nr != a->last[u.writer])
			fail("unit %u of writer %u comes, not %u", u.nr,
			     u.writer, a->last[u.writer]);
		a->last[u.writer] = u.nr + 1;
	}
	progress();
}

static ssize_t read_some(struct actor *a, int fd, unsigned char *buf,
			 size_t len, int *type)
{
	int p[2], flags = rnd(&a->r) % 2 ? MSG_DONTWAIT : 0, err;
	ssize_t ret, n;

	switch (rnd(&a->r) % 8) {
	case 0:
		n = recv_type(fd, type, buf, len, flags | MSG_PEEK);
		if (n > 0 && *type == TYPE_DATA && n % UNIT)
			fail("peek shows %zd bytes, no whole units", n);
		break;
	case 1:
		if (pipe2(p, O_NONBLOCK))
			fail("no pipe");
		ret = splice(fd, NULL, p[1], NULL, len, 0);
		err = errno;
		*type = TYPE_DATA;
		for (n = 0; n < ret; ) {
			ssize_t got = read(p[0], buf + n, ret - n);

			if (got <= 0)
				fail("the pipe gives %zd", got);
			n += got;
		}
		close(p[0]);
		close(p[1]);
		errno = err;
		if (ret >= 0 || errno != EINVAL)
			return ret;
		/* A control record is in front. */
		break;
	case 2:
		flags |= MSG_WAITALL;
		break;
	}
	return recv_type(fd, type, buf, len, flags);
}

static void reader(struct actor *a)
{
	int fd = end[!a->dir].fd, type;
	unsigned char *buf = malloc(CALL_UNITS * UNIT);

	for (;;) {
		size_t len = (1 + rnd(&a->r) % (rnd(&a->r) % 3 ? 30 :
						CALL_UNITS)) * UNIT;
		ssize_t n;

		n = read_some(a, fd, buf, len, &type);
		if (!n)
			break;
		if (n > 0 && type == TYPE_HANDSHAKE) {
			crowd->rx_key[a->dir]++;
			if (n != 5 ||
			    (put_key(a->s, !a->dir, a->dir, TLS_RX,
				     crowd->rx_key[a->dir]) && !over(errno)))
				fail("a new receiving key is refused: errno %d",
				     errno);
			progress();
			continue;
		}
		if (n > 0) {
			if (type != TYPE_DATA)
				fail("type %d comes", type);
			check_units(a, buf, n);
			continue;
		}
		if (over(errno))
			break;
		switch (errno) {
		case EAGAIN:
			if (rnd(&a->r) % 2)
				poll_now(fd, POLLIN, 20);
			break;
		case EKEYEXPIRED:
			usleep(500);
			break;
		case EINTR:
			break;
		default:
			fail("reader %d of what side %d sends fails with errno %d, key %d, sent under %d",
			     a->nr, a->dir, errno, crowd->rx_key[a->dir],
			     crowd->tx_key[a->dir]);
		}
	}
	free(buf);
}

/* Options and questions, of both ends, while the others work. */
static void disturber(struct actor *a)
{
	while (__atomic_load_n(&crowd->active, __ATOMIC_SEQ_CST) > 0) {
		int side = rnd(&a->r) % 2, fd = end[side].fd;
		int v = rnd(&a->r) % 60000, one = rnd(&a->r) % 2;
		uint16_t limit = 64 * (1 + rnd(&a->r) % 256);
		union keys k;
		socklen_t len = keys_len(a->s->cipher);

		switch (rnd(&a->r) % 9) {
		case 0:
			setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &v, sizeof(v));
			break;
		case 1:
			setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &v, sizeof(v));
			break;
		case 2:
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
				   sizeof(one));
			break;
		case 3:
			if (setsockopt(fd, SOL_TLS, TLS_TX_MAX_PAYLOAD_LEN,
				       &limit, sizeof(limit)) && errno != EBUSY)
				fail("a limit of %d: errno %d", limit, errno);
			break;
		case 4:
			if (getsockopt(fd, SOL_TLS, one ? TLS_TX : TLS_RX, &k,
				       &len))
				fail("the key is not told: errno %d", errno);
			break;
		case 5:
			setsockopt(fd, SOL_TLS, TLS_TX_ZEROCOPY_RO, &one,
				   sizeof(one));
			break;
		case 6:
			setsockopt(fd, SOL_TLS, TLS_RX_EXPECT_NO_PAD, &one,
				   sizeof(one));
			break;
		case 7:
			poll_now(fd, POLLIN | POLLOUT, 1);
			break;
		default:
			if (!setsockopt(fd, SOL_TLS, TLS_TX, &k, 3))
				fail("a key of 3 bytes is taken");
		}
		usleep(rnd(&a->r) % 4000);
	}
}

static void *play_thread(void *arg)
{
	struct actor *a = arg;

	a->play(a);
	if (a->play != disturber)
		__atomic_fetch_sub(&crowd->active, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void engage(struct actor *a, bool process)
{
	if (!process) {
		if (pthread_create(&a->thread, NULL, play_thread, a))
			fail("no thread");
		return;
	}
	a->pid = fork();
	if (a->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	play_thread(a);
	_exit(0);
}

static void set_up(const struct sequence *s, uint64_t *r)
{
	struct timeval tv = { .tv_usec = 100000 };
	pthread_rwlockattr_t attr;
	int i;

	crowd = mmap(NULL, sizeof(*crowd), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_rwlock_init(&crowd->lock, &attr);
	crowd->abrupt = rnd(r) % 5 == 0;
	crowd->units = (100 + rnd(r) % (UNITS - 100)) / (slow ? 4 : 1);
	if (s->net == NET_LOSSY || s->net == NET_SLOW)
		crowd->units /= 4;
	if (net_pair(s, &end[0].fd, &end[1].fd))
		fail("no connection: errno %d", errno);
	for (i = 0; i < 2; i++) {
		if (attach(end[i].fd) || put_key(s, i, i, TLS_TX, 0) ||
		    put_key(s, i, !i, TLS_RX, 0))
			fail("no keys: errno %d", errno);
		setsockopt(end[i].fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	}
}

void run_threads(const struct sequence *s)
{
	static struct actor actors[2 * (READERS + WRITERS) + 1];
	uint64_t r = s->seed ^ (uint64_t)s->nr << 32 ^ 0x5555;
	bool process;
	int n = 0, i, j, status;

	set_up(s, &r);
	process = rnd(&r) % 2;
	for (i = 0; i < 2; i++) {
		crowd->writers[i] = 1 + rnd(&r) % WRITERS;
		crowd->readers[i] = 1 + rnd(&r) % READERS;
		crowd->busy[i] = crowd->writers[i];
		crowd->active += crowd->writers[i] + crowd->readers[i];
		for (j = 0; j < crowd->writers[i]; j++)
			actors[n++] = (struct actor){ s, writer, i, j };
		for (j = 0; j < crowd->readers[i]; j++)
			actors[n++] = (struct actor){ s, reader, i, j };
	}
	actors[n++] = (struct actor){ s, disturber };
	snprintf(shared->crowd, sizeof(shared->crowd),
		 "%s; writers %d, %d; readers %d, %d; %d units each%s",
		 process ? "processes" : "threads", crowd->writers[0],
		 crowd->writers[1], crowd->readers[0], crowd->readers[1],
		 crowd->units, crowd->abrupt ? "; ended abruptly" : "");
	for (i = 0; i < n; i++) {
		actors[i].r = r + i * 7919;
		engage(&actors[i], process);
	}

	for (j = 0; __atomic_load_n(&crowd->active, __ATOMIC_SEQ_CST); j++) {
		struct actor *a = &actors[rnd(&r) % n];

		usleep(3000);
		/* A call that sleeps ends, with what it has done. */
		if (process && a->pid > 0 && j < 300)
			kill(a->pid, SIGALRM);
		for (i = 0; process && i < n; i++)
			if (actors[i].pid > 0 &&
			    waitpid(actors[i].pid, &status, WNOHANG) > 0) {
				actors[i].pid = -1;
				if (status)
					fail("a process ended with %#x",
					     status);
			}
		if (crowd->abrupt && j == 20) {
			i = rnd(&r) % 2;
			shutdown(end[i].fd, SHUT_RDWR);
		}
		for (i = 0; i < 2; i++)
			if (!__atomic_load_n(&crowd->busy[i],
					     __ATOMIC_SEQ_CST) &&
			    !crowd->told[i])
				/* When a record does not fit yet: again. */
				crowd->told[i] = !shutdown(end[i].fd, SHUT_WR) ||
						 errno != EAGAIN;
	}
	for (i = 0; i < n; i++) {
		if (!process)
			pthread_join(actors[i].thread, NULL);
		else if (actors[i].pid > 0 &&
			 waitpid(actors[i].pid, &status, 0) > 0 && status)
			fail("a process ended with %#x", status);
	}
	for (i = 0; i < 2 && !crowd->abrupt; i++)
		for (j = 0; j < crowd->writers[i] * crowd->units; j++)
			if (!crowd->seen[i][j / crowd->units][j % crowd->units])
				fail("unit %d of writer %d never comes",
				     j % crowd->units, j / crowd->units);
	close(end[0].fd);
	close(end[1].fd);
	shared->threaded++;
}
