/* A known life (known_lives.h) in a child process with a library loaded before all others
 * (tests/preload) that fails one call of one step, told by a plan. A child that cannot go on
 * tells why and ends: that is an outcome, not a failure. Only in builds with fault points.
 *
 *     <program> --live=2 <lake>
 *
 * with LD_PRELOAD, LAKEHOUSE_SHIM (the plan) and LAKEHOUSE_SHIM_TOLD (a file). */
#ifndef LAKEHOUSE_TESTS_SUPPORT_TOLD_CHILD_H
#define LAKEHOUSE_TESTS_SUPPORT_TOLD_CHILD_H

#include <stdbool.h>
#include <stddef.h>

struct told_child {
    size_t acknowledged; /* steps */
    bool has_ended_well, was_out_of_memory;
    bool has_told;   /* an error on standard error, and ended with a status of its own */
    char said[4096]; /* on standard error */
    int status;
};

/* `folder` holds what the child writes besides the lake: "told" is the shim's own file. */
void told_child_run(const char *shim, const char *folder, const char *lake, size_t life,
                    const char *plan, struct told_child *ret);
/* Up to `max` bytes of what the shim told. */
size_t told_child_read(const char *folder, void *ret, size_t max);

/* Makes <folder>/base, the lake that the life begins with; false: with none. */
bool told_child_make_base(const char *folder, size_t life);
/* A copy of the base whose path was never there before (support/kept_engine.h), and no other
 * one. */
void told_child_copy_base(const char *folder, char *lake, size_t max);

#endif
