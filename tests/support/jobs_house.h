/* A registry of background work over a folder of its own, with kinds that only note what was done
 * to them.
 *
 *     static struct jobs_house house;
 *     jobs_house_make(&house);                      // in setup
 *     struct lh_uuid id = jobs_house_submit(&house, "echo", "{}");
 *     … jobs_house_ended(&house, id).state …
 *     jobs_house_remove(&house);                    // in teardown
 */
#ifndef LAKEHOUSE_TESTS_SUPPORT_JOBS_HOUSE_H
#define LAKEHOUSE_TESTS_SUPPORT_JOBS_HOUSE_H

#include <stdatomic.h>

#include "base/pool.h"
#include "jobs/jobs.h"
#include "storage/storage.h"
#include "support/temp_lake.h"

struct jobs_house {
    struct temp_lake folder;
    struct storage *storage;
    struct lh_pool *pool;
    struct jobs *jobs;
    struct lh_arena *arena; /* of the whole test */
    struct jobs_options options;
    struct lh_error err; /* of the last call that failed */

    _Atomic int runs;     /* of all kinds, since the house was made */
    _Atomic bool may_end; /* what "wait" and "stubborn" jobs wait for */
    _Atomic int64_t first_input_bytes;
    /* Of "told" jobs: */
    _Atomic int ends_with;   /* an enum lh_code */
    _Atomic bool has_effect; /* found where one is not run again, … */
    _Atomic int finds_with;  /* … or this is why that cannot be told */
    struct job_kind kinds[8];
};

/* The kinds: "echo" succeeds with its arguments; "fail" fails; "wait" runs until it may end or is
 * told to stop; "alone" the same, one at a time; "stubborn" until it may end; "told" ends with the
 * code that the test has set. */
void jobs_house_make(struct jobs_house *house);
void jobs_house_remove(struct jobs_house *house);
void jobs_house_open(struct jobs_house *house); /* again, with `options` as they are now */
void jobs_house_close(struct jobs_house *house);

/* These fail the test where they cannot do it. */
struct lh_uuid jobs_house_submit(struct jobs_house *house, const char *kind, const char *args);
struct job_info jobs_house_told(struct jobs_house *house, struct lh_uuid id);
struct job_info jobs_house_ended(struct jobs_house *house, struct lh_uuid id);
void jobs_house_until_running(struct jobs_house *house, struct lh_uuid id);

/* A file of a job as a process before this one would have left it. */
void jobs_house_write(struct jobs_house *house, const char *id, const char *what, const char *text);
bool jobs_house_has(struct jobs_house *house, const char *id, const char *what);

#endif
