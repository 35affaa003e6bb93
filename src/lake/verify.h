/* The offline verifier of a whole lake: what every module's own verifier finds, in one report.
 * Reads only; nobody may have the lake open. For `lakehouse verify` and, as their oracle, the
 * tests. */
#ifndef LAKEHOUSE_LAKE_VERIFY_H
#define LAKEHOUSE_LAKE_VERIFY_H

#include "base/arena.h"
#include "base/error.h"
#include "storage/findings.h"

struct lake_report {
    struct storage_finding *findings; /* errors first */
    size_t finding_count;
    int64_t errors; /* all of them, also those beyond what is kept */
    int64_t datasets;
    int64_t versions;
    int64_t checkpoints;
    int64_t objects; /* whose checksum was compared */
    int64_t object_bytes;
    int64_t orphans; /* files that nothing names: harmless */
    int64_t indexes;
    int64_t jobs;
    int64_t keys;
    int64_t saved; /* names of queries */
    int64_t profiles;
    int64_t epochs;
    int64_t journal_records;
    int64_t repeats; /* answers that are kept for requests with an Idempotency-Key */
    int64_t buckets; /* besides primary */
    int64_t erasures;
};

struct lake_verify_options {
    struct lh_str root;         /* the data folder */
    struct lh_str secrets_path; /* [secrets] file */
    bool skip_footers;          /* do not ask the engine what stands in the data files */
    bool only_journal;          /* and whether the commits stand in it */
};

/* Findings are the result, not a failure. LH_LOCKED: a process has the lake open; LH_NOT_FOUND and
 * the like: there is none. Texts live in `arena`. */
enum lh_code lake_verify(const struct lake_verify_options *options, struct lh_arena *arena,
                         struct lake_report *ret, struct lh_error *err) LH_MUST_USE;

#endif
