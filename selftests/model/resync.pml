/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A sending device that lost its place has asked where the next record begins
 * (TLS_TX_SYNC_SCHED). The answer is given to the driver in process context,
 * while segments go out on another CPU: who sees that nothing is pending any
 * more encrypts from the place that the answer told, never from the old one.
 *
 * -DNO_BARRIER: without tls_device_tx.c's before it clears the bit.
 */
#define PROCESSES 2
#define VARIABLES 2
#define PENDING	0	/* TLS_TX_SYNC_SCHED */
#define PLACE	1	/* the driver's: 1 is the new one */
#include "store.h"

bool wrong = false;

proctype answer()
{
	STORE(0, PLACE, 1);		/* tls_dev_resync() */
#ifndef NO_BARRIER
	BARRIER(0);			/* smp_mb__before_atomic() */
#endif
	ATOMIC(0, PENDING, 0)		/* clear_bit() */
}

proctype transmit()
{
	if
	:: !LOAD(1, PENDING) -> wrong = !LOAD(1, PLACE)
	:: else				/* encrypted in software */
	fi
}

init {
	atomic {
		memory[PENDING] = 1;
		STORES_ARRIVE();
		run answer();
		run transmit()
	}
	AT_THE_END;
	assert(!wrong)
}
