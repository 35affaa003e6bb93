/* The offline verifier: every promise of the commit protocol, checked over a lake that nobody
 * writes.
 *
 * Reads only. Shared by `lakehouse verify` and, as their oracle, by the crash tests.
 */
#ifndef LAKEHOUSE_CATALOG_VERIFY_H
#define LAKEHOUSE_CATALOG_VERIFY_H

#include "base/cancel.h"
#include "catalog/catalog.h"

struct storage;
struct storage_findings;

enum catalog_severity { CATALOG_INFO, CATALOG_ERROR };

struct catalog_finding {
    enum catalog_severity severity;
    struct lh_str object; /* a key below the lake's folder */
    struct lh_str what;   /* a sentence */
};

struct catalog_report {
    struct catalog_finding *findings; /* errors first, then information */
    size_t finding_count;
    size_t error_count; /* all of them, also those beyond CATALOG_FINDINGS_MAX */
    int64_t datasets;
    int64_t versions;
    int64_t checkpoints;
    int64_t objects;      /* data files whose checksum was compared */
    int64_t object_bytes; /* their size */
    int64_t orphans;      /* files that no manifest names: harmless, left by crashed writers */
};
#define CATALOG_FINDINGS_MAX 10000

struct catalog_verify_options {
    bool skip_objects; /* compare sizes only, do not read data files */
    /* Looks into one data file (footer, rows) as a bucket and key; NULL = not done. */
    enum lh_code (*inspect)(void *context, const struct catalog_object *object,
                            struct lh_error *err);
    /* Told of every version whose manifest is there, but for those that were published anew;
     * what it is given lives for the call. */
    void (*version)(void *context, const struct catalog_version *version);
    void *context;
    const struct lh_cancel *cancel; /* may be NULL */
};

/* Findings are the result, not a failure: LH_OK unless the lake could not be looked at at all.
 * Texts live in `arena`. */
enum lh_code catalog_verify(struct storage *storage, const struct catalog_verify_options *options,
                            struct lh_arena *arena, struct catalog_report *ret,
                            struct lh_error *err) LH_MUST_USE;

/* The epochs' files beside them; *ret_count is how many epochs there were. */
enum lh_code catalog_verify_epochs(struct storage *storage, struct storage_findings *findings,
                                   int64_t *ret_count, struct lh_error *err) LH_MUST_USE;

#endif
