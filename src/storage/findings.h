/* What a verifier finds: a list that grows, of sentences about objects. The verifiers of the
 * modules above fill one each; findings are their result, not a failure. One thread. */
#ifndef LAKEHOUSE_STORAGE_FINDINGS_H
#define LAKEHOUSE_STORAGE_FINDINGS_H

#include "base/arena.h"
#include "base/error.h"

#define STORAGE_FINDINGS_MAX 10000 /* kept; more are only counted */

struct storage_finding {
    bool is_error;        /* else: worth knowing, harmless */
    struct lh_str object; /* a key below the lake's folder */
    struct lh_str what;   /* a sentence */
};

struct storage_findings {
    struct lh_arena *arena; /* set by who makes the list; its texts live there */
    struct storage_finding *items;
    size_t count;
    size_t capacity;
    size_t error_count; /* of all, also of those that were not kept */
};

/* Object and sentence are copied. */
void storage_find(struct storage_findings *findings, bool is_error, struct lh_str object,
                  const char *format, ...) LH_PRINTF(4, 5);

#endif
