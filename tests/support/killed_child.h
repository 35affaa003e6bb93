/* A life in a child process that is killed at a fault point: the test's own program is run again,
 * as
 *
 *     <program> <mode> <folder>        with LAKEHOUSE_FAULT = plan
 *
 * and its main() then lives instead of testing. The child writes one "+" for every step that was
 * acknowledged to it, and calls killed_child_end at a good end. Only in builds with fault points.
 */
#ifndef LAKEHOUSE_TESTS_SUPPORT_KILLED_CHILD_H
#define LAKEHOUSE_TESTS_SUPPORT_KILLED_CHILD_H

#include <stdbool.h>
#include <stddef.h>

#define KILLED_NAMES_MAX 64
#define KILLED_LINE_BYTES 128

struct killed_ending {
    bool was_killed;
    size_t acknowledged;
    /* Of the points that were passed, each once; at a good end. */
    char names[KILLED_NAMES_MAX][KILLED_LINE_BYTES];
    size_t name_count;
    size_t point_count;
};

/* Fails the test if the child ends in any other way than well or by the kill. */
struct killed_ending killed_child_run(const char *mode, const char *folder, const char *plan);

/* A life under a plan ("": in peace), and the check of what it left. */
typedef struct killed_ending killed_life(const void *context, const char *plan);
struct killed_lives {
    struct killed_ending peace;
    unsigned kills;
    unsigned named; /* of these, at a passing of a name */
    unsigned step;  /* every how many points */
};
/* Lives in peace, to which `steps` are acknowledged; is killed at the `pass`-th passing of each
 * name, then at every point that fault_stride(stride) leaves, until a life gets through. */
struct killed_lives killed_everywhere(killed_life *life, const void *context, size_t steps,
                                      unsigned stride, unsigned pass);

/* In the child: a step was acknowledged; false: nobody listens. */
bool killed_child_acknowledge(void);
/* In the child: tells the names of all points passed; the status to exit with. */
int killed_child_end(void);

#endif
