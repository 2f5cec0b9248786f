/* SPDX-License-Identifier: GPL-2.0 */
/*
 * tls_poll() looks at the queue of records without the socket lock, while a
 * writer hands the last of them to TCP, and the ACK for it asks who waits for
 * space. Nobody waits for good: who finds the queue full is woken.
 *
 * -DNO_BARRIER: without tls_poll()'s. -DNO_RECHECK: without its second look.
 */
#define PROCESSES 2
#define VARIABLES 2
#define BLOCKED	0	/* tx->queue.bytes: a record waits for TCP */
#define NOSPACE	1	/* SOCK_NOSPACE: who sleeps wants to be called */
#include "store.h"

bool asleep = false, woken = false;

proctype poll()
{
	/* On the wait queue already: sock_poll_wait(). */
	if
	:: LOAD(0, BLOCKED) ->
		STORE(0, NOSPACE, 1);		/* set_bit(): orders nothing */
#ifndef NO_BARRIER
		BARRIER(0);			/* smp_mb__after_atomic() */
#endif
#ifndef NO_RECHECK
		if
		:: LOAD(0, BLOCKED) -> asleep = true
		:: else
		fi
#else
		asleep = true
#endif
	:: else
	fi
}

proctype writer_and_ack()
{
	STORE(1, BLOCKED, 0);		/* tls_queue_push() took the last */
	BARRIER(1);			/* tcp_check_space() */
	if
	:: LOAD(1, NOSPACE) -> woken = true
	:: else
	fi
}

init {
	atomic {
		memory[BLOCKED] = 1;
		STORES_ARRIVE();
		run poll();
		run writer_and_ack()
	}
	AT_THE_END;
	assert(!asleep || woken)
}
