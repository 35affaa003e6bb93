/* What went wrong lately: the newest failures of requests and of the background, in memory.
 *
 * Two rings, so that callers' own mistakes never push out what is the server's: LAKE_FAILURES_KEPT
 * of either kind. Texts are cut to bounds, and what looks like a secret in them is masked before
 * they are kept. Doors note the requests that failed; what the background logs as an error comes by
 * itself. Gone with the process: the log keeps what must last.
 *
 * Threads: any thread may call anything; nothing blocks but on a lock held for a copy.
 */
#ifndef LAKEHOUSE_LAKE_FAILURES_H
#define LAKEHOUSE_LAKE_FAILURES_H

#include "base/field.h"

#define LAKE_FAILURES_KEPT 1000

struct lake;

enum lake_failure_source { LAKE_FAILURE_REQUEST, LAKE_FAILURE_BACKGROUND };
extern const char *const lake_failure_sources[];
enum lake_failure_side { LAKE_FAILURE_CALLER, LAKE_FAILURE_SERVER };
extern const char *const lake_failure_sides[];

struct lake_failure {
    int64_t number; /* ascending, of this process */
    struct lh_time at;
    int source; /* enum lake_failure_source */
    int side;   /* enum lake_failure_side: by the status */
    int64_t status;
    struct lh_str code; /* the stable id: "not_found" */
    struct lh_str message;
    struct lh_str hint;
    struct lh_str field;
    struct lh_str operation; /* "datasets.get"; absent: none was found, or of the background */
    struct lh_str event;     /* what the background was at: "lake.sweep"; absent: a request */
    struct lh_str method;
    struct lh_str path; /* without the query */
    struct lh_str principal;
    struct lh_str request_id;
};
extern const struct lh_fields lake_failure_fields;

/* Where a failed request came from; everything may be absent, and is only borrowed. */
struct lake_failure_request {
    struct lh_str operation;
    struct lh_str method;
    struct lh_str path;
    struct lh_str principal;
    struct lh_str request_id;
};
void lake_note_failure(struct lake *lake, const struct lake_failure_request *request,
                       const struct lh_error *err);

struct lake_failure_filter {
    int source; /* -1 = any */
    int side;   /* -1 = any */
    struct lh_str code;
    struct lh_str operation; /* of a request, or the event of the background */
    struct lh_str request_id;
    int64_t since_ms; /* 0 = any */
};
/* Newest first, those with a number below `before` (0 = from the newest), copied into `arena`.
 * *ret_has_more: there are older ones that fit. */
void lake_list_failures(struct lake *lake, const struct lake_failure_filter *filter, int64_t before,
                        size_t limit, struct lh_arena *arena, struct lake_failure **ret,
                        size_t *ret_count, bool *ret_has_more);

#endif
