/* The offline verifier of indexes: every promise of their manifests, checked over a lake that
 * nobody writes. Reads only. Shared by `lakehouse verify` and, as their oracle, by the crash tests.
 */
#ifndef LAKEHOUSE_SEARCH_VERIFY_H
#define LAKEHOUSE_SEARCH_VERIFY_H

#include "base/arena.h"
#include "base/cancel.h"

struct storage;

#define SEARCH_FINDINGS_MAX 10000

struct search_finding {
    bool is_error;        /* else: worth knowing, harmless */
    struct lh_str object; /* a key below the lake's folder */
    struct lh_str what;   /* a sentence */
};
struct search_report {
    const struct search_finding *findings; /* in the order they were found */
    size_t finding_count;
    size_t error_count;
    int64_t indexes;
    int64_t objects; /* whose checksum was compared */
    int64_t object_bytes;
    int64_t
        orphans; /* files that no index names: left by crashed writers, swept at the next start */
};

/* Findings are the result, not a failure. Texts live in `arena`. */
enum lh_code search_verify(struct storage *storage, const struct lh_cancel *cancel,
                           struct lh_arena *arena, struct search_report *ret,
                           struct lh_error *err) LH_MUST_USE;

#endif
