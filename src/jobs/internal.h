/* Shared by the files of jobs/; never leaves the folder.
 *
 * One mutex (jobs.lock) guards every member below it and everything of a job that is not said to be
 * fixed. It is never held while storage is called, while run() runs or while the pool is asked.
 */
#ifndef LAKEHOUSE_JOBS_INTERNAL_H
#define LAKEHOUSE_JOBS_INTERNAL_H

#include <pthread.h>

#include "base/pool.h"
#include "jobs/jobs.h"
#include "storage/storage.h"

struct record_ended;

/* Ends that were written together. It goes with the last of its jobs. */
struct job_batch {
    struct lh_uuid id;
    size_t jobs; /* in the list */
};

struct job {
    /* Fixed once the job is in the list. */
    struct jobs *jobs;
    struct lh_arena *arena; /* holds every text of the job; only its owner adds to it */
    struct lh_uuid id;
    struct lh_str kind_name;
    struct lh_str dataset;
    struct lh_str actor;
    struct lh_str args;
    struct lh_upload input; /* path: absolute; absent if none */
    bool is_durable;
    bool is_vital; /* see job_spec */
    int64_t created_ms;
    /* Why it is not run again, unless its effect is found; NULL: it is run. */
    const struct lh_error *given_up;

    struct lh_cancel cancel; /* atomic by itself */
    bool is_checked;         /* job_checkpoint has noted this attempt; only its own thread looks */

    /* Under jobs.lock. */
    enum job_state state;
    bool is_cancelling;
    bool is_handed_over; /* queued, and the pool has it */
    bool is_awaited;     /* jobs_run still looks at it, though it has ended: it is not forgotten */
    bool is_held;        /* queued, but for the next process: this one does no more with it */
    bool is_unwritten;   /* it has ended, and stands in no batch yet */
    bool is_being_written;   /* the same, and somebody writes it now: it is not forgotten */
    struct job_batch *batch; /* NULL: none; out of the list: the one that goes with it */
    int64_t attempts;
    int64_t last_attempt; /* the highest number that a file in storage may have */
    int64_t started_ms;
    int64_t begun_us; /* this attempt, monotonic */
    int64_t ended_ms;
    struct job_progress progress;
    struct lh_str result;
    struct job_error error;
    bool has_error;
    uint64_t change;
    struct job *newer;
    struct job *older;
    struct job *next_queued; /* once it is out of the list: the next to be removed */
};

/* How a job ended, as its record tells it; a copy, so that no lock is held while it is written.
 * Texts are borrowed. */
struct job_ending {
    struct lh_uuid id;
    enum job_state state;
    int64_t attempts;
    int64_t started_ms;
    int64_t ended_ms;
    struct job_progress progress;
    struct lh_str result; /* only if it succeeded */
    struct job_error error;
    bool has_error;
};

struct jobs {
    struct storage *storage;
    struct lh_pool *pool;
    struct jobs_options options; /* with its presets filled in */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* a job changed, or room came up; waits are bounded, see watch */
    const struct job_kind *kinds;
    size_t kind_count;
    struct job *newest;
    struct job *oldest;
    struct job *queue_first;
    struct job *queue_last;
    unsigned queued;
    unsigned pooled; /* given to the pool, run or about to */
    unsigned ended_kept;
    unsigned unwritten;
    int64_t write_at_us;     /* when those are due, monotonic */
    bool is_writing_batches; /* one at a time writes, rewrites */
    size_t damaged;
    uint64_t last_change;
    bool is_started;
    bool is_stopping;
    struct jobs_counts counts;
    pthread_t dispatcher;
};

/* jobs.c */
struct job *jobs_new_job(struct jobs *jobs);           /* not in the list yet */
void jobs_free_job(struct job *job);                   /* not in the list any more; NULL is fine */
void jobs_insert(struct jobs *jobs, struct job *job);  /* by age; locked */
void jobs_unlink(struct jobs *jobs, struct job *job);  /* locked */
void jobs_enqueue(struct jobs *jobs, struct job *job); /* locked */
struct job *jobs_find(struct jobs *jobs, struct lh_str id); /* locked; NULL: none */
const struct job_kind *jobs_find_kind(struct jobs *jobs, struct lh_str name);
void jobs_touch(struct job *job);        /* locked: it changed, tell who waits */
void jobs_forget_old(struct jobs *jobs); /* not locked: retention of ended jobs */

/* Locked: until something changes, at most `ms`. */
void jobs_wait_a_while(struct jobs *jobs, int64_t ms);

/* run.c */
enum lh_code jobs_perform(struct job *job, struct lh_error *err); /* not locked */
/* Locked: the end of a job; the caller writes the record. */
void jobs_settle(struct job *job, enum job_state state, int64_t ended_ms,
                 const struct lh_error *err);

/* dispatch.c */
void *jobs_dispatch(void *context);                        /* the dispatcher's thread */
void jobs_leave_queue(struct jobs *jobs, struct job *job); /* locked; not in it is fine */

/* batches.c: ends of jobs whose callers waited. */
void batches_add(struct jobs *jobs, struct job *job); /* locked: it has ended */
int64_t batches_due_ms(const struct jobs *jobs);      /* locked; -1: none wait */
void batches_write(struct jobs *jobs);                /* not locked; failures are logged */
/* Waits for others, writes what waits, and keeps others out until batches_end, also on failure. */
enum lh_code batches_begin(struct jobs *jobs, struct lh_error *err) LH_MUST_USE;
void batches_end(struct jobs *jobs);
void batches_load(struct jobs *jobs, struct lh_str id); /* while the registry is opened */

/* record.c: what is written to storage. None of it is called with the lock held. */

/* Makes `input` (NULL: none) the job's own and accepts the job. LH_UNKNOWN: both stand there, and
 * may be gone after a power cut; any other failure leaves nothing. */
enum lh_code record_submit(struct job *job, const struct lh_upload *input,
                           struct lh_error *err) LH_MUST_USE;
enum lh_code record_attempt(struct jobs *jobs, const struct lh_uuid *id, int64_t attempt,
                            struct lh_error *err) LH_MUST_USE;
/* The attempt is not held against the job. LH_EXISTS: that is noted already. */
enum lh_code record_stopped(struct jobs *jobs, const struct lh_uuid *id, int64_t attempt,
                            struct lh_error *err) LH_MUST_USE;
/* It shall not be run again. LH_EXISTS: that is noted already. */
enum lh_code record_cancel(struct jobs *jobs, const struct lh_uuid *id,
                           struct lh_error *err) LH_MUST_USE;
enum lh_code record_end(struct jobs *jobs, const struct job_ending *ending,
                        struct lh_error *err) LH_MUST_USE;
struct record_ended record_of_ending(const struct job_ending *ending); /* borrows its texts */
/* The input of an ended job. */
void record_drop_input(struct jobs *jobs, const struct lh_uuid *id);
/* Everything of jobs that are not in the list any more, a chain by next_queued. */
void record_remove(struct jobs *jobs, const struct job *first);

/* load.c: fills the list and the queue from storage. */
enum lh_code record_load(struct jobs *jobs, struct lh_error *err) LH_MUST_USE;
void record_tell(struct job *job, const struct record_ended *record); /* copies it into the job */

#endif
