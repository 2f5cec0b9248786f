/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory of a machine that may let each store reach the others later than what
 * follows it: one store a process and variable can be pending, and they arrive
 * in any order. BARRIER(p) waits for those of process p.
 */
typedef pending {
	bool late;
	bit value
};

pending store[PROCESSES * VARIABLES];
bit memory[VARIABLES];

#define SLOT(p, v)	store[(p) * VARIABLES + (v)]
#define LOAD(p, v)	(SLOT(p, v).late -> SLOT(p, v).value : memory[v])

inline STORE(p, v, x)
{
	atomic {
		!SLOT(p, v).late;
		SLOT(p, v).late = true;
		SLOT(p, v).value = x
	}
}

inline BARRIER(p)
{
	byte at;

	for (at : 0 .. (VARIABLES - 1)) {
		!SLOT(p, at).late
	}
}

/* An atomic read-modify-write is seen at once, and orders nothing else. */
inline ATOMIC(p, v, x)
{
	atomic { !SLOT(p, v).late; memory[v] = x }
}

/* One for each slot. */
proctype arrives(byte s)
{
end:	do
	:: d_step {
		store[s].late;
		memory[s % VARIABLES] = store[s].value;
		store[s].late = false
	   }
	od
}

inline STORES_ARRIVE()
{
	byte s;

	for (s : 0 .. (PROCESSES * VARIABLES - 1)) {
		run arrives(s)
	}
}

/* All others have ended. */
#define AT_THE_END	(_nr_pr == 1 + PROCESSES * VARIABLES)
