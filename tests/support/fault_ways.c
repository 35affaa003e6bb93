#include "support/fault_ways.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"

#ifdef LH_FAULTS

#define POINTS_MAX 2000

enum demand {
    TELL,  /* an error at every point, or the right outcome where the call does not matter */
    RETRY, /* right at the calls that the kernel interrupts; elsewhere as TELL */
    BEAR,  /* right at every point */
};

static const struct way {
    const char *plan;
    unsigned stride;
    enum demand demand;
    enum lh_code told; /* the only code that may be told besides LH_UNKNOWN; LH_OK: any */
} ways[] = {
    {"*=%u:EIO", 1, TELL, LH_OK},       {"*=%u+:EIO", 9, TELL, LH_OK},
    {"*=%u+:ENOSPC", 5, TELL, LH_FULL}, {"*=%u:EDQUOT", 9, TELL, LH_FULL},
    {"*=%u+:EDQUOT", 9, TELL, LH_FULL}, {"*=%u:EMFILE", 9, TELL, LH_OK},
    {"*=%u+:EMFILE", 9, TELL, LH_OK},   {"*=%u:EINTR", 4, RETRY, LH_OK},
    {"*=%u+:EINTR", 9, TELL, LH_OK},    {"*=%u:short", 5, BEAR, LH_OK},
};

/* Not fsync: after a failure, an interruption included, the pages may be gone, and a second one
 * would answer that all is well. */
static bool is_made_again(const char *point)
{
    static const char *const points[] = {"file.open", "file.create", "file.read", "file.write"};
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++)
        if (point && strcmp(point, points[i]) == 0)
            return true;
    return false;
}

void fault_note(struct fault_outcome *outcome, unsigned at)
{
    static const char *trace[LH_FAULT_TRACE_MAX];
    size_t count = lh_fault_trace(trace, LH_FAULT_TRACE_MAX);
    outcome->was_struck = lh_fault_was_struck();
    outcome->point = outcome->was_struck && at <= count ? trace[at - 1] : NULL;
}

static void judge(const struct way *way, const char *plan, const struct fault_outcome *outcome)
{
    bool must_succeed = way->demand == BEAR || !outcome->was_struck ||
                        (way->demand == RETRY && is_made_again(outcome->point));
    const char *point = outcome->point ? outcome->point : "no point";
    if (must_succeed && outcome->told)
        fail_msg("%s (%s): the session must bear it and tells code %d", plan, point, outcome->told);
    if (way->told && outcome->told && outcome->told != way->told && outcome->told != LH_UNKNOWN)
        fail_msg("%s (%s): code %d is told, not %d", plan, point, outcome->told, way->told);
}

unsigned fault_stride(unsigned usual)
{
    const char *times = getenv("LAKEHOUSE_STRIDES");
    unsigned factor = times ? (unsigned)strtoul(times, NULL, 10) : 1;
    if (getenv("LAKEHOUSE_LONG"))
        return 1;
    return factor > 1 ? usual * factor : usual;
}

static void run_way(const char *what, const struct way *way, fault_session session,
                    unsigned points_min, unsigned stride_max)
{
    unsigned errors = 0;
    unsigned sessions = 0;
    unsigned at = 1;
    unsigned stride = fault_stride(way->stride < stride_max ? way->stride : stride_max);
    bool is_through = false;
    for (; !is_through && at < POINTS_MAX; at += stride) {
        char plan[64];
        snprintf(plan, sizeof(plan), way->plan, at);
        struct fault_outcome outcome = session(plan, at);
        judge(way, plan, &outcome);
        is_through = !outcome.was_struck;
        sessions += outcome.was_struck;
        errors += outcome.told != LH_OK;
    }
    printf("figure: %s with %s, every %u: %u points struck, %u told an error\n", what, way->plan,
           stride, sessions, errors);
    assert_true(is_through);
    assert_true(sessions * stride >= points_min);
    /* What fails once may be done again in another file, and interrupted calls are made again: how
     * much of that there is, is the session's affair. What fails for good must be told. */
    bool is_for_good = strchr(way->plan, '+') != NULL;
    if (way->demand == BEAR)
        assert_int_equal(errors, 0);
    else if (is_for_good)
        assert_true(errors > sessions / 4);
}

void fault_ways_run(const char *what, fault_session session, unsigned points_min,
                    unsigned stride_max)
{
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        run_way(what, &ways[i], session, points_min, stride_max);
}

#else

/* A translation unit may not be empty. */
typedef int fault_ways_are_compiled_out;

#endif
