// SPDX-License-Identifier: GPL-2.0
/*
 * fuzzer [-s SEED] [-t SECONDS] [-n NUMBER [-o OP,OP,...]] [-T] [-v]
 *
 * Sequences of operations on kernel TLS sockets, one after the other, each in
 * a process of its own. -n: only this one, again and again if it has threads;
 * -o: only these of its operations.
 * -T: only those with threads. -v: tell of each.
 */

#include <sys/mman.h>
#include <time.h>

#include "fuzz.h"

/* Most of them wait for TCP, most of the time. */
#define JOBS	4

struct shared *shared;
bool slow, have_nic, verbose;
static const char *flavour = "release";	/* the kernel */
static bool only_threads;

static void on_signal(int sig)
{
}

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void play(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	/* No SA_RESTART: a signal ends a call that sleeps. */
	sigaction(SIGALRM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	setpgid(0, 0);
	if (shared->s.threads)
		run_threads(&shared->s);
	else
		run_ops(&shared->s);
	_exit(0);
}

/* Run what is in @shared. Return: whether it found something. */
static bool run_one(void)
{
	double patience = slow ? 90 : 30, since = now(), begin = since;
	const struct timespec second = { .tv_sec = 1 };
	uint64_t last = 0;
	sigset_t chld;
	int status;
	pid_t pid;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	shared->why[0] = 0;
	shared->at = -1;
	fflush(NULL);
	pid = fork();
	if (!pid)
		play();
	while (waitpid(pid, &status, WNOHANG) != pid) {
		uint64_t done = __atomic_load_n(&shared->progress,
						__ATOMIC_RELAXED);

		if (done != last) {
			last = done;
			since = now();
		}
		if (now() - since > patience || now() - begin > 4 * patience) {
			printf("# no progress in %.0f s, no end in %.0f s, in operation %d\n",
			       now() - since, now() - begin, shared->at);
			show_sockets(shared->s.net);
			snprintf(shared->why, sizeof(shared->why), "it hangs");
			kill(-pid, SIGKILL);
			waitpid(pid, &status, 0);
			break;
		}
		sigtimedwait(&chld, NULL, &second);
	}
	kill(-pid, SIGKILL);
	if (verbose || now() - begin > 10)
		printf("# number %u: %.1f s\n", shared->s.nr, now() - begin);
	if (status && !shared->why[0])
		snprintf(shared->why, sizeof(shared->why),
			 "its process ended with %#x", status);
	return status;
}

/* Leave out what the failure does not need. */
static void shrink(void)
{
	struct sequence *s = &shared->s;
	double until = now() + (slow ? 120 : 60);
	char why[sizeof(shared->why)];
	int step, i, j;

	strcpy(why, shared->why);
	for (step = s->n / 2; step && now() < until; step /= 2)
		for (i = 0; i < s->n && now() < until; i += step) {
			bool before[MAX_OPS], any = false;

			memcpy(before, s->off, sizeof(before));
			for (j = i; j < i + step && j < s->n; j++) {
				any |= !s->off[j];
				s->off[j] = true;
			}
			if (!any)
				continue;
			if (run_one())
				strcpy(why, shared->why);
			else
				memcpy(s->off, before, sizeof(before));
		}
	printf("# the shortest that fails: %s\n", why);
	print_sequence(s);
}

/* How to repeat what failed, now that it is shrunk. */
static void tell_again(const struct sequence *s)
{
	int i, any = 0;

	printf("# again: make fuzz KFLAVOUR=%s SEED=%llu FUZZ_ARGS='-n %u",
	       flavour, (unsigned long long)s->seed, s->nr);
	for (i = 0; i < s->n; i++)
		if (!s->off[i])
			printf("%s%d", any++ ? "," : " -o ", i);
	printf("'\n");
}

static void report(bool may_shrink)
{
	struct sequence *s = &shared->s;

	printf("# seed %llu number %u fails: %s\n",
	       (unsigned long long)s->seed, s->nr, shared->why);
	if (!s->threads && may_shrink && run_one()) {
		shrink();
	} else {
		if (!s->threads && may_shrink)
			printf("# it does not fail again\n");
		print_sequence(s);
		if (s->threads)
			printf("# %s\n", shared->crowd);
	}
	tell_again(s);
	fflush(stdout);
}

static void only_ops(struct sequence *s, char *list)
{
	char *at;

	memset(s->off, 1, sizeof(s->off));
	for (at = strtok(list, ","); at; at = strtok(NULL, ","))
		if (atoi(at) >= 0 && atoi(at) < MAX_OPS)
			s->off[atoi(at)] = false;
}

/* Every so many-th sequence, or one. Return: how many have failed. */
static int job(uint64_t seed, uint32_t nr, int step, double until, char *list)
{
	int failed = 0;

	for (; now() < until && failed < 3; nr += step) {
		make_sequence(&shared->s, seed, nr);
		if (only_threads && step && !shared->s.threads)
			continue;
		if (list)
			only_ops(&shared->s, list);
		if (verbose) {
			printf("# number %u\n", nr);
			print_sequence(&shared->s);
		}
		shared->sequences++;
		if (run_one()) {
			failed++;
			report(!list);
		}
		/* What the scheduler decides takes more than one try. */
		if (!step && !shared->s.threads)
			break;
	}
	fflush(stdout);
	return failed;
}

static void add(struct shared *sum, const struct shared *s)
{
	int i;

	sum->sequences += s->sequences;
	sum->threaded += s->threaded;
	sum->bytes += s->bytes;
	for (i = 0; i < NR_KINDS; i++)
		sum->done[i] += s->done[i];
}

int main(int argc, char **argv)
{
	uint64_t seed = time(NULL), ops = 0;
	int opt, i, seconds = 120, only = -1, jobs = JOBS, failed = 0, status;
	char *list = NULL;
	double begin;
	sigset_t chld;

	while ((opt = getopt(argc, argv, "s:t:n:o:Tv")) != -1) {
		switch (opt) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			seconds = atoi(optarg);
			break;
		case 'n':
			only = atoi(optarg);
			break;
		case 'o':
			list = optarg;
			break;
		case 'T':
			only_threads = true;
			break;
		case 'v':
			verbose = true;
			break;
		default:
			return 2;
		}
	}
	shared = mmap(NULL, JOBS * sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!access("/sys/kernel/debug/kmemleak", F_OK))
		flavour = "debug";
	else if (!access("/sys/kernel/debug/kcsan", F_OK))
		flavour = "kcsan";
	slow = strcmp(flavour, "release");
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	setlinebuf(stdout);
	printf("1..1\n# seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	if (make_nets(seed)) {
		printf("not ok 1 fuzz: no networks\n");
		return 1;
	}

	if (only >= 0)
		jobs = 1;
	begin = now();
	for (i = 0; i < jobs; i++) {
		if (fork())
			continue;
		shared += i;
		if (only >= 0)
			_exit(job(seed, only, 0, begin + seconds, list));
		_exit(job(seed, i, jobs, begin + seconds, list));
	}
	while (wait(&status) > 0)
		failed |= status;
	for (i = 1; i < jobs; i++)
		add(shared, shared + i);
	for (i = 0; i < NR_KINDS; i++)
		ops += shared->done[i];
	printf("# %u sequences, %llu of them threaded, in %.0f s; %llu operations, %llu bytes%s\n",
	       shared->sequences, (unsigned long long)shared->threaded,
	       now() - begin,
	       (unsigned long long)ops, (unsigned long long)shared->bytes,
	       have_nic ? ", a device that offloads" : "");
	for (i = 0; i < NR_KINDS; i++)
		printf("%s%s %llu%s", i % 6 ? ", " : "# ", kind_name(i),
		       (unsigned long long)shared->done[i],
		       i % 6 == 5 || i == NR_KINDS - 1 ? "\n" : "");
	printf("%sok 1 every_sequence_gives_what_the_model_says\n",
	       failed ? "not " : "");
	return failed ? 1 : 0;
}
