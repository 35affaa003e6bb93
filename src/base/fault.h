/* Fault points: named places where a test makes the next step fail. Compiled to nothing in release
 * builds (LH_FAULTS is defined by the debug, asan and tsan presets).
 *
 *     if (LH_FAULT("file.sync")) { errno = EIO; return lh_fail_errno(…); }
 *
 * A plan is "point=N:action" or "*=N:action": at the Nth hit of the point (of any point), do it.
 * Actions: an errno name (EIO, ENOSPC, …): fail with it; "kill": SIGKILL to this process; "short":
 * half a write or read, which the loops around them must bear (elsewhere it does nothing); "wait":
 * the thread stays there until another plan is set, and goes on as if nothing had been. Where a
 * step that goes wrong fails no call, EDOM makes it go wrong, and no other action does anything. A
 * trailing "+" (N+) keeps failing from the Nth on. The plan comes from lh_fault_plan or, in test
 * builds, from the environment variable LAKEHOUSE_FAULT at the first hit.
 */
#ifndef LAKEHOUSE_BASE_FAULT_H
#define LAKEHOUSE_BASE_FAULT_H

#include "base/str.h"

#ifdef LH_FAULTS
/* True if this hit must fail; errno is set by the plan. `point` is a literal. Any thread. */
bool lh_fault_hit(const char *point);
#define LH_FAULT(point) lh_fault_hit(point)
/* NULL or "" clears. Counts start anew. False if the plan cannot be read. */
bool lh_fault_plan(const char *plan);
uint64_t lh_fault_count(void);  /* hits since the plan was set */
bool lh_fault_was_struck(void); /* the plan's point was reached */
void lh_fault_await(void);      /* until it is, by another thread */
/* True if the last hit of this thread asks for half a transfer. */
bool lh_fault_is_short(void);
#define LH_FAULT_SHORT() lh_fault_is_short()
/* The points hit since the plan was set, oldest first, at most LH_FAULT_TRACE_MAX; returns how many
 * were copied to `ret`. For tests that assert the order of calls. */
#define LH_FAULT_TRACE_MAX 4096
size_t lh_fault_trace(const char **ret, size_t max);
#else
#define LH_FAULT(point) (false)
#define LH_FAULT_SHORT() (false)
#endif

#endif
