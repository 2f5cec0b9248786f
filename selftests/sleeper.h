/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A thread that sleeps on a socket, in one of the ways to wait for something
 * to read. Include after tls_test.h.
 */

#ifndef _SLEEPER_H
#define _SLEEPER_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>

enum sleeper_how {
	IN_RECV,
	IN_WAITALL,
	IN_PEEK,
	IN_RECVMSG,
	IN_SPLICE,
	IN_POLL,
	IN_SELECT,
	IN_EPOLL,
	IN_EPOLLET,
	SLEEPER_HOWS,
};

static const char * const sleeper_names[SLEEPER_HOWS] = {
	"recv", "recv MSG_WAITALL", "recv MSG_PEEK", "recvmsg", "splice",
	"poll", "select", "epoll", "epoll EPOLLET",
};

/* What is called long: a wake-up that has not come by then is lost. */
#define SLEEPER_PATIENCE	20

/*
 * @ret, @err: what the call gave, and errno
 * @events: poll and epoll: what they told; select: POLLIN or 0
 * @data: what the call read
 */
struct sleeper {
	enum sleeper_how how;
	int fd;
	int ep;
	int pipe[2];
	pthread_t thread;
	_Atomic pid_t tid;
	ssize_t ret;
	int err;
	int events;
	int type;
	char data[64];
};

/* These tell that something can be read, the others read it. */
static inline bool sleeper_polls(enum sleeper_how how)
{
	return how >= IN_POLL;
}

static inline void *sleeper_run(void *arg)
{
	struct pollfd p;
	struct epoll_event ev = {};
	struct sleeper *s = arg;
	fd_set in;

	atomic_store(&s->tid, syscall(SYS_gettid));
	switch (s->how) {
	case IN_RECV:
		s->ret = recv(s->fd, s->data, sizeof(s->data), 0);
		break;
	case IN_WAITALL:
		s->ret = recv(s->fd, s->data, sizeof(s->data), MSG_WAITALL);
		break;
	case IN_PEEK:
		s->ret = recv(s->fd, s->data, sizeof(s->data), MSG_PEEK);
		break;
	case IN_RECVMSG:
		s->ret = recv_type(s->fd, &s->type, s->data, sizeof(s->data),
				   0);
		break;
	case IN_SPLICE:
		s->ret = splice(s->fd, NULL, s->pipe[1], NULL,
				sizeof(s->data), 0);
		break;
	case IN_POLL:
		p.fd = s->fd;
		p.events = POLLIN | POLLRDHUP;
		s->ret = poll(&p, 1, SLEEPER_PATIENCE * 1000);
		s->events = p.revents;
		break;
	case IN_SELECT: {
		struct timeval tv = { .tv_sec = SLEEPER_PATIENCE };

		FD_ZERO(&in);
		FD_SET(s->fd, &in);
		s->ret = select(s->fd + 1, &in, NULL, NULL, &tv);
		s->events = s->ret > 0 && FD_ISSET(s->fd, &in) ? POLLIN : 0;
		break;
	}
	default:
		s->ret = epoll_wait(s->ep, &ev, 1, SLEEPER_PATIENCE * 1000);
		s->events = ev.events;
		break;
	}
	s->err = errno;
	if (s->how == IN_SPLICE && s->ret > 0 &&
	    read(s->pipe[0], s->data, s->ret) != s->ret)
		s->ret = -2;
	return NULL;
}

static inline bool thread_sleeps(pid_t tid)
{
	char name[64], state = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/self/task/%d/stat", tid);
	f = fopen(name, "r");
	if (!f)
		return false;
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	fclose(f);
	return state == 'S';
}

/* Wait until it has been seen asleep three times in a row. */
static inline bool thread_asleep(_Atomic pid_t *tid)
{
	int i, seen = 0;

	for (i = 0; i < 4000 && seen < 3; i++) {
		usleep(5000);
		if (!atomic_load(tid) || !thread_sleeps(*tid))
			seen = 0;
		else
			seen++;
	}
	return seen == 3;
}

/*
 * Start a thread that sleeps on @fd.
 *
 * Return: whether it is asleep.
 */
static inline bool sleeper_start(struct sleeper *s, enum sleeper_how how,
				 int fd)
{
	struct timeval tv = { .tv_sec = SLEEPER_PATIENCE };
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP };

	memset(s, 0, sizeof(*s));
	s->how = how;
	s->fd = fd;
	s->ep = epoll_create1(0);
	if (how == IN_EPOLLET)
		ev.events |= EPOLLET;
	if (s->ep < 0 || pipe(s->pipe) ||
	    epoll_ctl(s->ep, EPOLL_CTL_ADD, fd, &ev) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) ||
	    pthread_create(&s->thread, NULL, sleeper_run, s))
		return false;
	return thread_asleep(&s->tid);
}

/*
 * Wait for its end.
 *
 * Return: whether it came before the patience of its call had run out.
 */
static inline bool sleeper_join(struct sleeper *s)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += SLEEPER_PATIENCE / 2;
	if (pthread_timedjoin_np(s->thread, NULL, &end))
		return false;
	close(s->ep);
	close(s->pipe[0]);
	close(s->pipe[1]);
	return true;
}

#endif /* _SLEEPER_H */
