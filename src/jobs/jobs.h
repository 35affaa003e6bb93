/* Background work: what was accepted is done once, whatever happens to the process in between.
 *
 *                jobs_submit          dispatcher               run() returned
 *   (caller) ─────────────▶ queued ─────────────▶ running ───────────────────▶ succeeded
 *                             │  ▲                   │ │                       failed
 *                jobs_cancel  │  └───────────────────┘ └─────────────────────▶ cancelled
 *                             │     for the next         jobs_cancel, then
 *                             ▼     process              run() gave up
 *                         cancelled
 *
 * A kind of job is a row of a table that the opened lake hands over; this module knows none of
 * them. A submitted job is durable before its id is returned: `_jobs/<id>.submitted.json` and the
 * file it works on (`_jobs/<id>.input`) stand in storage, and the next process queues it again
 * unless `_jobs/<id>.ended.json` stands beside them. An effect must therefore be one commit that
 * records the job's id, and run() looks for it first. Where this process cannot tell how a job
 * ends (it was stopped or killed, the disk failed in the middle of the commit, another process took
 * the lake over, a failure cannot be recorded), the job has not ended: it stays queued, and the
 * next process finds its effect or runs it again. What is told as ended stays so. A job run in the
 * caller's thread (jobs_run) takes the same way without records of its own: when the process dies,
 * its caller has no answer either. How such jobs ended is written afterwards, those of a while in
 * one file, for callers that lost their connection and come back; a kill within that while loses
 * it.
 *
 * Threads: any thread may call anything; run() is called on a slow-lane thread of the pool (or in
 * the thread of jobs_run), one thread per job. Blocking: submit and cancel write to the disk.
 */
#ifndef LAKEHOUSE_JOBS_JOBS_H
#define LAKEHOUSE_JOBS_JOBS_H

#include "base/cancel.h"
#include "base/field.h"
#include "base/uuid.h"

struct storage;
struct lh_pool;
struct jobs; /* made by jobs_open, ended by jobs_close */
struct job;  /* a running one; lives while its run() does */

#define JOBS_ARGS_BYTES_MAX 262144
#define JOBS_RESULT_BYTES_MAX 65536

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED };
extern const char *const job_state_names[]; /* in that order, NULL-ended: for LH_CHOICE rows */

/* --- kinds of jobs -----------------------------------------------------------------------------*/

struct job_kind {
    const char *name; /* stable, for records are kept under it: "ingest.file" */
    /* Does the work and sets the result. Looks at job_cancel in its loops and returns its code.
     * What it returns decides the state: LH_OK succeeded; LH_CANCELLED cancelled; LH_STOPPING,
     * LH_UNKNOWN and LH_LOCKED leave it to the next process; everything else failed with *err. */
    enum lh_code (*run)(void *context, struct job *job, struct lh_error *err);
    void *context; /* of run */
    /* Whether an earlier attempt had its effect; if so, sets the result. Does no work: it is asked
     * of a job that is not run again. Anything but LH_OK: that cannot be told now. NULL: what is
     * not run again has had no effect. */
    enum lh_code (*find_effect)(void *context, struct job *job, bool *ret_is_done,
                                struct lh_error *err);
    void *find_context; /* of find_effect */
    /* One at a time: the others stay queued, and keep no place of the pool meanwhile. (Those of
     * jobs_run are begun all the same.) */
    bool is_alone;
};

/* What run() may ask and tell. */
struct lh_str job_id(const struct job *job);
struct lh_str job_args(const struct job *job);  /* a JSON object, as submitted */
struct lh_str job_actor(const struct job *job); /* who asked for it */
/* The file to work on: absolute path, absent if none. run() only reads it. */
struct lh_upload job_input(const struct job *job);
int64_t job_attempt(const struct job *job); /* 1 = the first */
const struct lh_cancel *job_cancel(const struct job *job);

struct job_progress {
    struct lh_str phase; /* static text: "reading", "writing", "committing" */
    int64_t rows_done;
    struct lh_opt_int rows_total; /* unset = not known */
    int64_t bytes_done;
    int64_t bytes_total;
    struct lh_opt_int chunks_done; /* unset = the work has none */
    struct lh_opt_int files_done;  /* likewise */
    struct lh_opt_int files_total; /* unset = not known */
    double rows_per_second;        /* these three are filled where a running job is told of */
    double bytes_per_second;
    struct lh_opt_int eta_s; /* by rows where all are known, else by bytes */
};
/* Cheap; any thread, as long as run() has not returned. */
void job_set_progress(struct job *job, const struct job_progress *progress);
/* A part of the work is durable and will not be done again: when the process goes down after this,
 * the attempt is not held against the job. Writes a small record the first time in an attempt. */
void job_checkpoint(struct job *job);
/* A JSON object of at most JOBS_RESULT_BYTES_MAX; copied. */
void job_set_result(struct job *job, struct lh_str json);

/* --- the registry ------------------------------------------------------------------------------*/

struct jobs_options {
    struct storage *storage; /* borrowed, outlives the jobs; open for writing */
    struct lh_pool *pool;    /* borrowed, outlives the jobs; its slow lane runs them */
    unsigned queue_max;      /* waiting jobs, those for the next start too; 0: 1000 */
    unsigned running_max;    /* at one time; 0: 4 */
    unsigned keep_max;       /* ended jobs that are remembered; 0: 1000 */
    int64_t keep_ms;         /* how long they are; 0: seven days */
    int64_t write_ms;        /* how long ends of jobs_run wait for others to be written; 0: 1000 */
    unsigned attempts_max;   /* a job that took the process down so often is not run again; 0: 3 */
};

/* Reads the records; nothing runs before jobs_start. A record that cannot be read is skipped, and
 * jobs_damaged counts it. */
enum lh_code jobs_open(const struct jobs_options *options, struct jobs **ret,
                       struct lh_error *err) LH_MUST_USE;
/* The kinds there are (borrowed for life), and the jobs begin to run; unfinished ones first. */
enum lh_code jobs_start(struct jobs *jobs, const struct job_kind *kinds, size_t kind_count,
                        struct lh_error *err) LH_MUST_USE;
/* Tells running jobs to stop and starts no more; does not wait. They are queued by the next
 * process. */
void jobs_stop(struct jobs *jobs);
/* Stops, and waits until no job runs, at most `limit_ms` (below 0: as long as it takes); the log
 * says which ones it waits for. False: one goes on. Then the registry cannot be closed: the process
 * ends with it open, and the next one queues the job again, without holding that against it. */
bool jobs_drain(struct jobs *jobs, int64_t limit_ms);
/* Drains for as long as it takes. No other call may be running. NULL is fine. */
void jobs_close(struct jobs *jobs);

size_t jobs_damaged(struct jobs *jobs);

struct jobs_counts {
    int64_t queued;
    int64_t running;
    int64_t succeeded; /* since the start, these three */
    int64_t failed;
    int64_t cancelled;
    int64_t held; /* of the queued: left to the next process */
};
struct jobs_counts jobs_counts(struct jobs *jobs);

/* --- one job -----------------------------------------------------------------------------------*/

struct job_spec {
    struct lh_str kind;
    struct lh_str dataset; /* what it works on, for people; absent = nothing */
    struct lh_str actor;
    struct lh_str args; /* a JSON object; absent = {} */
    /* A file to work on; path absent = none. jobs_submit takes over a file that lies in the staging
     * folder (it is gone from there, whatever happens later) and copies any other; jobs_run reads
     * it where it is. */
    struct lh_upload input;
    bool is_vital; /* jobs_submit: it is accepted on a full disk, too */
};

struct job_error {
    struct lh_str code; /* the stable id: "unreadable_file" */
    struct lh_str message;
    struct lh_str hint;  /* absent if none */
    struct lh_str field; /* absent if none */
    int64_t line;        /* 0 = none */
};

struct job_info {
    struct lh_str id;
    struct lh_str kind;
    int state; /* enum job_state */
    struct lh_str dataset;
    struct lh_str actor;
    int64_t attempts;
    struct lh_time created_at;
    struct lh_time started_at; /* 0 = not yet */
    struct lh_time ended_at;   /* 0 = not yet */
    const struct job_progress *progress;
    struct lh_json_value result;   /* text: a JSON object; absent unless succeeded */
    const struct job_error *error; /* why it failed, was cancelled or is left to the next process */
    bool is_cancelling;            /* told to stop, has not ended yet */
    uint64_t change;               /* grows with everything that happens to the job: jobs_watch */
};
extern const struct lh_fields job_info_fields; /* all but `change`: what doors show */
extern const struct lh_fields job_progress_fields;

/* Accepts a job: durable and queued when it returns. LH_BUSY: too many wait, nothing was kept.
 * LH_NOT_FOUND: no such kind; LH_FULL, LH_IO: nothing was kept; LH_STOPPING. LH_UNKNOWN: it is
 * queued and runs, but may be forgotten by a power cut before it has ended; the message names it.
 */
enum lh_code jobs_submit(struct jobs *jobs, const struct job_spec *spec, struct lh_uuid *ret_id,
                         struct lh_error *err) LH_MUST_USE;
/* Runs a job here and now; it shows in jobs_list and may be cancelled like any other, and stops
 * when `cancel` (may be NULL) does. Returns what run() returned. ret_id (may be NULL) is written
 * before anything runs. *ret_result is copied into `arena`. */
enum lh_code jobs_run(struct jobs *jobs, const struct job_spec *spec,
                      const struct lh_cancel *cancel, struct lh_arena *arena,
                      struct lh_uuid *ret_id, struct lh_str *ret_result,
                      struct lh_error *err) LH_MUST_USE;

/* Texts of *ret are copied into `arena`. LH_NOT_FOUND. */
enum lh_code jobs_get(struct jobs *jobs, struct lh_str id, struct lh_arena *arena,
                      struct job_info *ret, struct lh_error *err) LH_MUST_USE;

struct jobs_filter {
    struct lh_str kind;    /* absent = any */
    struct lh_str dataset; /* absent = any */
    int state;             /* enum job_state; -1 = any */
};
/* Newest first, those older than the job `after` (absent = from the newest). `filter` may be NULL.
 * *ret_next is the id to go on after, absent at the end. LH_INVALID: `after` is no job's id. */
enum lh_code jobs_list(struct jobs *jobs, const struct jobs_filter *filter, struct lh_str after,
                       size_t limit, struct lh_arena *arena, struct job_info **ret,
                       size_t *ret_count, struct lh_str *ret_next,
                       struct lh_error *err) LH_MUST_USE;

/* Ends a job that was never begun at once, tells any other to stop: how that one ends, run() tells,
 * maybe in the next process. LH_CONFLICT: it has ended. When the wish cannot be recorded, a job
 * that was never begun goes on as if it had not been uttered. */
enum lh_code jobs_cancel(struct jobs *jobs, struct lh_str id, struct lh_error *err) LH_MUST_USE;

/* Removes what is known of ended jobs before its time, where `is_found` says so of the text of a
 * record: somebody must find nothing of it. Jobs that have not ended stay. */
enum lh_code jobs_forget_found(struct jobs *jobs,
                               bool (*is_found)(void *context, struct lh_str text), void *context,
                               struct lh_error *err) LH_MUST_USE;

/* Waits until the job has ended, or is left to the next process (then it is told as queued).
 * LH_NOT_FOUND; the codes of `cancel` (the job goes on). */
enum lh_code jobs_wait(struct jobs *jobs, struct lh_str id, const struct lh_cancel *cancel,
                       struct lh_arena *arena, struct job_info *ret,
                       struct lh_error *err) LH_MUST_USE;
/* Waits until the job's `change` is above `seen` or `timeout_ms` have passed, then tells how it
 * stands: what a stream of events is made from. */
enum lh_code jobs_watch(struct jobs *jobs, struct lh_str id, uint64_t seen, int64_t timeout_ms,
                        const struct lh_cancel *cancel, struct lh_arena *arena,
                        struct job_info *ret, struct lh_error *err) LH_MUST_USE;

#endif
