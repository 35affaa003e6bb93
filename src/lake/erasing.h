/* Erasures: rows of some keys go from everything that the lake keeps, and a receipt says what went.
 *
 *   lake_erase_begin ─▶ request kept (for the owner alone) ─▶ hide ─▶ job:
 *     hide again ─▶ plan: what the rows held ─▶ which datasets have anything of it: of those
 *          ─▶ rewrite files ─▶ hash keys ─▶ rebuild indexes ─▶ expire versions
 *          ─▶ journal ─▶ answers, trash ─▶ scan of every file ─▶ receipt
 *          ─▶ request and plan removed
 *
 * The job goes on after a kill: each step looks what is left. Until it has ended the rows are
 * hidden, and what they held is known from the plan alone, which goes with the request. A receipt
 * never holds a key or a value. It claims what was done: what could not be looked into, and where
 * something of a row was found all the same, stands in it.
 *
 * Threads: any. Blocking: begin hides, as a tombstone does; get and list read small files. Format:
 * docs/formats/erasures.md.
 */
#ifndef LAKEHOUSE_LAKE_ERASING_H
#define LAKEHOUSE_LAKE_ERASING_H

#include "base/field.h"
#include "base/uuid.h"

struct lake;
struct lh_cancel;
struct job;
struct storage;
struct storage_findings;

#define LAKE_ERASE_JOB_KIND "catalog.erase"
#define LAKE_ERASE_FOUND_MAX 1000              /* findings that a receipt lists */
#define LAKE_ERASE_OBJECTS_MAX ((size_t)20000) /* files of older versions, of each dataset */

struct lake_erase_object {
    struct lh_str key;
    struct lh_str sha256; /* hex */
};
struct lake_erased_dataset {
    struct lh_str dataset;
    struct lh_str dataset_id;
    int64_t keys; /* tombstoned, now hashes */
    int64_t rows; /* that could be seen before */
    int64_t version_before, version_after;
    bool is_dropped; /* meanwhile: version_after is 0, and nothing is said of its files */
    struct lh_list objects_removed; /* struct lake_erase_object: of all versions that there were */
    struct lh_list objects_made;    /* likewise */
    int64_t versions_expired;
    int64_t files_removed; /* data files, lists of tombstones, manifests */
    int64_t rejected_rows; /* lines that were not taken, and say "erased" now */
};
enum lake_erase_outcome {
    LAKE_ERASE_NO_KEY, /* no column has a value like it */
    LAKE_ERASE_NULL,
    LAKE_ERASE_NO_MATCH, /* no row has it, in any version */
    LAKE_ERASE_ALREADY,  /* it was erased before, and no row came since */
    LAKE_ERASE_MATCH
};
enum lake_erase_proof {
    LAKE_ERASE_NOT_LOOKED_FOR, /* it is no key */
    LAKE_ERASE_COMPARED,       /* with the values in all places that hold keys */
    LAKE_ERASE_SEARCHED        /* in the bytes and rows of every file, besides */
};
struct lake_erase_value {
    int64_t index; /* among those that were asked for, which are not kept */
    int outcome;   /* enum lake_erase_outcome */
    int proof;     /* enum lake_erase_proof */
};
struct lake_erased_index {
    struct lh_str index;
    struct lh_str dataset;
    int64_t version; /* that it has now, made from the rows that are left */
};
struct lake_erased_bucket { /* of the attempt that ended it */
    struct lh_str bucket;
    int64_t objects_removed; /* for good: files, and versions of them that a store kept */
    int64_t uploads_removed; /* that were never ended */
    int64_t files;           /* that were searched */
    int64_t bytes;
    struct lh_str problem; /* why that is not all; absent = it is */
};
struct lake_erased_journal {
    int64_t records; /* that name pseudonyms now */
    struct lh_str hash_before, hash_after;
};
struct lake_erase_scan {
    int64_t files, bytes;
    int64_t decoded_files; /* of them Parquet, row by row */
    int64_t decoded_rows;
    int64_t texts;        /* that were searched for */
    int64_t texts_short;  /* too short to mean anything elsewhere */
    int64_t texts_shared; /* that rows hold which are left */
};
struct lake_erase_finding {
    struct lh_str object;
    struct lh_str what;
};
struct lake_erase_elsewhere { /* another dataset, that was not asked for */
    struct lh_str dataset;
    struct lh_str dataset_id;
    bool is_dropped;
    int64_t rows;               /* of the keys, in a column of the same name */
    int64_t object_count;       /* in which a key or a text of a row stands */
    struct lh_str_list objects; /* some of them */
};
enum lake_erase_state {
    LAKE_ERASE_WAITING,
    LAKE_ERASE_RUNNING,
    LAKE_ERASE_FAILED, /* hidden, and can be gone on with */
    LAKE_ERASE_ERASED,
    LAKE_ERASE_INCOMPLETE, /* all steps were done, and something was found: can be, too */
    LAKE_ERASE_GIVEN_UP,   /* one of the two, and nobody goes on */
    LAKE_ERASE_NOTHING,    /* nothing of the keys was found anywhere, and nothing changed */
    LAKE_ERASE_TRIAL,      /* a dry run: nothing was changed */
    LAKE_ERASE_HERE        /* erased from the dataset that was asked for; others have it, too */
};
struct lake_erasure {
    struct lh_str erase_id; /* absent: a dry run */
    int state;              /* enum lake_erase_state */
    struct lh_str dataset;  /* absent: all that had the column */
    struct lh_str row_key_column;
    int64_t keys;          /* asked for */
    struct lh_list values; /* struct lake_erase_value: one each */
    struct lh_str actor, committer, reason;
    struct lh_time created_at, ended_at;
    struct lh_str job_id;
    struct lh_str phase;   /* of a running one */
    struct lh_str problem; /* why it failed */
    int64_t rows;          /* that could be seen before */
    bool is_at_least;      /* a kill came between a removal and its count */
    struct lh_list datasets;
    struct lh_list indexes;
    struct lh_list buckets; /* struct lake_erased_bucket: all but primary */
    const struct lake_erased_journal *journal;
    int64_t answers_removed;
    const struct lake_erase_scan *scan;
    struct lh_list found;     /* struct lake_erase_finding */
    struct lh_list elsewhere; /* struct lake_erase_elsewhere */
    struct lh_str hint;       /* what to do about that */
    struct lh_str_list not_covered;
};
extern const struct lh_fields lake_erasure_fields;

struct lake_erase_request {
    struct lh_str dataset; /* absent: every one that has the column */
    struct lh_str column;
    const json_t *values; /* as of a tombstone */
    struct lh_str actor, committer, reason;
};
/* Accepts it: the rows are hidden, durably, and a job does the rest. LH_INVALID: no values, too
 * many, or actor or reason holds one of them; LH_NOT_FOUND: no such dataset or column; LH_CONFLICT:
 * rows of one cannot be erased, and why. */
enum lh_code lake_erase_begin(struct lake *lake, const struct lake_erase_request *request,
                              const struct lh_cancel *cancel, struct lh_arena *arena,
                              struct lh_str *ret_id, struct lh_str *ret_job,
                              struct lh_error *err) LH_MUST_USE;
/* What it would do, where; changes nothing. Errors likewise; LH_BUSY: ask again. */
enum lh_code lake_erase_try(struct lake *lake, const struct lake_erase_request *request,
                            const struct lh_cancel *cancel, struct lh_arena *arena,
                            struct lake_erasure *ret, struct lh_error *err) LH_MUST_USE;
/* Goes on with one that failed, or looks again what one that is incomplete left. LH_NOT_FOUND;
 * LH_CONFLICT: it waits, runs or has ended. */
enum lh_code lake_erase_resume(struct lake *lake, struct lh_str id, struct lh_arena *arena,
                               struct lh_str *ret_job, struct lh_error *err) LH_MUST_USE;
/* Ends one that failed, is incomplete or cannot be read without going on: what it did stays done,
 * rows that are hidden stay so, what it looked for is forgotten, and its receipt (*ret) says all
 * that. LH_CONFLICT: it is none of these, or an erasure is at work. */
enum lh_code lake_erase_give_up(struct lake *lake, struct lh_str id, struct lh_str by,
                                struct lh_arena *arena, struct lake_erasure *ret,
                                struct lh_error *err) LH_MUST_USE;
enum lh_code lake_erase_get(struct lake *lake, struct lh_str id, struct lh_arena *arena,
                            struct lake_erasure *ret, struct lh_error *err) LH_MUST_USE;
/* Newest first, those older than the id `after` (absent = from the newest). */
enum lh_code lake_erase_list(struct lake *lake, struct lh_str after, size_t limit,
                             struct lh_arena *arena, struct lake_erasure **ret, size_t *ret_count,
                             struct lh_str *ret_next, struct lh_error *err) LH_MUST_USE;

/* LH_CONFLICT: an erasure of rows of the dataset has not ended; its tombstones stay. LH_NOT_FOUND:
 * there is no such dataset. */
enum lh_code lake_erase_check_lift(struct lake *lake, struct lh_str dataset,
                                   struct lh_error *err) LH_MUST_USE;

/* LH_CONFLICT: likewise; its files stay where the erasure looks for them. One that is not there, or
 * was dropped, is fine. */
enum lh_code lake_erase_check_move(struct lake *lake, struct lh_str dataset_id,
                                   struct lh_error *err) LH_MUST_USE;

/* The kind of job; `context` is the lake. Its result names the erasure, and says is_partial of one
 * that ended incomplete. */
enum lh_code lake_erase_job(void *context, struct job *job, struct lh_error *err) LH_MUST_USE;
/* After jobs_start: those that an earlier process left without a job go on. */
void lake_erase_recover(struct lake *lake);
/* Over a lake that nobody has open. */
enum lh_code lake_erase_verify(struct storage *storage, struct storage_findings *findings,
                               int64_t *ret_count, struct lh_error *err) LH_MUST_USE;

#endif
