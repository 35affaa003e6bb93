/* The files of jobs in storage, as they are written, read back and verified: see
 * docs/formats/jobs.md. Never leaves the folder. */
#ifndef LAKEHOUSE_JOBS_RECORDS_H
#define LAKEHOUSE_JOBS_RECORDS_H

#include "base/buf.h"
#include "jobs/jobs.h"
#include "storage/storage.h"

#define JOBS_FOLDER "_jobs"
#define JOBS_RECORD_BYTES_MAX ((size_t)1 << 20)
#define RECORD_KEY_BYTES 128

struct record_input {
    struct lh_str filename;
    int64_t bytes;
    struct lh_str sha256; /* hex */
};

struct record_submitted {
    struct lh_str kind;
    struct lh_str dataset;
    struct lh_str actor;
    struct lh_json_value args;
    struct lh_time created_at;
    const struct record_input *input; /* NULL: none */
};
extern const struct lh_fields record_submitted_fields;

struct record_ended {
    int state;
    int64_t attempts;
    struct lh_time started_at;
    struct lh_time ended_at;
    struct lh_json_value result;
    struct lh_str code;
    struct lh_str message;
    struct lh_str hint;
    struct lh_str field;
    int64_t line;
    int64_t rows_done;
    int64_t bytes_done;
    int64_t bytes_total;
};
extern const struct lh_fields record_ended_fields;

/* How a job ended whose caller waited: one line of a batch. */
struct record_batched {
    struct lh_str id;
    struct lh_str kind;
    struct lh_str dataset;
    struct lh_str actor;
    struct lh_time created_at;
    const struct record_ended *ended;
};
extern const struct lh_fields record_batched_fields;

#define RECORD_BATCH "ends.jsonl"
struct record_batch {
    struct record_batched *jobs;
    struct lh_str *lines; /* of each, without its end */
    size_t count;
};

/* "_jobs/<id>.<what>" in the buffer. */
struct lh_str record_key(struct lh_str id, const char *what, char buffer[RECORD_KEY_BYTES]);

/* What the folder holds of one job. */
struct record_files {
    struct lh_str id;
    bool has_input;
    bool is_submitted;
    bool is_ended;
    bool is_cancelled;
    int64_t last_attempt;                /* 0: it was never begun */
    int64_t last_stopped;                /* the last attempt that is not held against the job */
    const struct storage_entry *entries; /* all of them, strangers among them left out */
    size_t entry_count;
};

/* Calls `visit` for every job that has a file, ascending by id, and `stranger` (NULL: nobody) for
 * what has no name of ours. What `visit` returns other than LH_OK ends it. Everything lives for the
 * call. */
struct record_visitor {
    enum lh_code (*visit)(void *context, const struct record_files *files, struct lh_error *err);
    /* Of ends that were written together; `id` is the batch's. NULL: nobody asks. */
    enum lh_code (*batch)(void *context, struct lh_str id, struct lh_error *err);
    void (*stranger)(void *context, const struct storage_entry *entry);
    void *context;
};
enum lh_code record_each(struct storage *storage, const struct record_visitor *visitor,
                         struct lh_error *err) LH_MUST_USE;

/* Both check what they read; texts live in `arena`. */
enum lh_code record_read_submitted(struct storage *storage, struct lh_str id,
                                   struct lh_arena *arena, struct record_submitted *ret,
                                   uint8_t ret_sha256[LH_SHA256_BYTES],
                                   struct lh_error *err) LH_MUST_USE;
enum lh_code record_read_ended(struct storage *storage, struct lh_str id, struct lh_arena *arena,
                               struct record_ended *ret, struct lh_error *err) LH_MUST_USE;

/* Ends the lines of a batch with the line that holds their sum. */
void record_batch_seal(struct lh_buf *lines);
/* LH_DAMAGED: the sum is another, or a line tells of no ended job. */
enum lh_code record_batch_parse(struct lh_str text, struct lh_arena *arena,
                                struct record_batch *ret, struct lh_error *err) LH_MUST_USE;
enum lh_code record_read_batch(struct storage *storage, struct lh_str id, struct lh_arena *arena,
                               struct record_batch *ret, struct lh_error *err) LH_MUST_USE;

#endif
