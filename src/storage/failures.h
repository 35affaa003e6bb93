/* What went wrong with buckets: kept in `_errors/` of primary, in batches that are written once.
 *
 *   note ─▶ memory ─ flush ─▶ _errors/<uuid>.json ─ compact ─▶ one batch of the newest
 *
 * A failure that comes again at once is counted, not written twice. What is in memory when the
 * process is killed is lost; it was told to whoever asked, and logged.
 *
 * Threads: any. note never blocks on a disk; the others do.
 */
#ifndef LAKEHOUSE_STORAGE_FAILURES_H
#define LAKEHOUSE_STORAGE_FAILURES_H

#include "base/field.h"

struct storage;

#define STORAGE_FAILURES_KEPT 10000 /* by compaction */

struct storage_failure {
    struct lh_str id; /* a UUID of the time when it first came */
    struct lh_time at;
    struct lh_str bucket;
    struct lh_str key; /* of the object; absent = none */
    struct lh_str operation;
    struct lh_str code; /* the id of the error */
    struct lh_str message;
    int64_t times; /* in a row */
};
extern const struct lh_fields storage_failure_fields;

void storage_failure_note(struct storage *storage, struct lh_str bucket, struct lh_str key,
                          const char *operation, const struct lh_error *err);

/* Newest first, those older than the one with the id `after` (absent = from the newest), of one
 * bucket (absent = of all). Batches that cannot be read are skipped and counted. */
struct storage_failures_page {
    struct storage_failure *items;
    size_t count;
    bool has_more;
    size_t damaged; /* batches */
};
enum lh_code storage_failures_list(struct storage *storage, struct lh_str bucket,
                                   struct lh_str after, size_t limit, struct lh_arena *arena,
                                   struct storage_failures_page *ret,
                                   struct lh_error *err) LH_MUST_USE;
/* What is in memory becomes a batch; many batches become one. *ret_count: how many were written. */
enum lh_code storage_failures_flush(struct storage *storage, size_t *ret_count,
                                    struct lh_error *err) LH_MUST_USE;
struct storage_failures_compacted {
    size_t batches_before, batches_after;
    size_t kept, dropped;
};
enum lh_code storage_failures_compact(struct storage *storage,
                                      struct storage_failures_compacted *ret,
                                      struct lh_error *err) LH_MUST_USE;

#endif
