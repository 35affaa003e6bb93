/* The ways in which file-system calls fail, and a session tried at point 1, 2, 3 … in each of them
 * until it passes without being struck.
 *
 * Only where LH_FAULTS is defined. */
#ifndef LAKEHOUSE_TESTS_SUPPORT_FAULT_WAYS_H
#define LAKEHOUSE_TESTS_SUPPORT_FAULT_WAYS_H

#include "base/error.h"

struct fault_outcome {
    enum lh_code told; /* the first error of the session; LH_OK: none */
    bool was_struck;
    const char *point; /* the one at which the plan struck first; NULL: none */
};

/* Plans, lives, clears the plan and judges what is left: fails the test if it is not right. */
typedef struct fault_outcome (*fault_session)(const char *plan, unsigned at);

/* Every how many points a session is tried: `usual`, or 1 with LAKEHOUSE_LONG, or LAKEHOUSE_STRIDES
 * times as many, for builds that are slow. */
unsigned fault_stride(unsigned usual);

/* With the plan still set: whether and where it struck, for a plan about any point ("*"). */
void fault_note(struct fault_outcome *outcome, unsigned at);

/* Prints one figure a way. `points_min`: how many the session has at least; `stride_max`: 1 for a
 * session that is cheap enough to be tried at every point. */
void fault_ways_run(const char *what, fault_session session, unsigned points_min,
                    unsigned stride_max);

#endif
