#include "support/jobs_house.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"

#define PATIENCE_MS 20000

/* --- kinds */

static enum lh_code run_echo(void *context, struct job *job, struct lh_error *err)
{
    struct jobs_house *house = context;
    (void)err;
    atomic_fetch_add(&house->runs, 1);
    atomic_store(&house->first_input_bytes, job_input(job).bytes);
    job_set_result(job, job_args(job));
    return LH_OK;
}

static enum lh_code run_fail(void *context, struct job *job, struct lh_error *err)
{
    struct jobs_house *house = context;
    (void)job;
    atomic_fetch_add(&house->runs, 1);
    lh_fail(err, LH_UNREADABLE, "The thing cannot be read.");
    return lh_error_hint(err, "Bring another.");
}

static enum lh_code run_wait(void *context, struct job *job, struct lh_error *err)
{
    struct jobs_house *house = context;
    atomic_fetch_add(&house->runs, 1);
    while (!atomic_load(&house->may_end)) {
        const struct job_progress progress = {.phase = lh_lit("waiting"), .rows_done = 7};
        enum lh_code code = lh_cancel_fail(job_cancel(job), "The wait", err);
        if (code)
            return code;
        job_set_progress(job, &progress);
        usleep(1000);
    }
    return LH_OK;
}

static enum lh_code run_stubborn(void *context, struct job *job, struct lh_error *err)
{
    struct jobs_house *house = context;
    atomic_fetch_add(&house->runs, 1);
    while (!atomic_load(&house->may_end))
        usleep(1000);
    return lh_cancel_fail(job_cancel(job), "The stubborn work", err);
}

static enum lh_code run_told(void *context, struct job *job, struct lh_error *err)
{
    struct jobs_house *house = context;
    enum lh_code code = (enum lh_code)atomic_load(&house->ends_with);
    (void)job;
    atomic_fetch_add(&house->runs, 1);
    return code ? lh_fail(err, code, "It was told to end so.") : LH_OK;
}

static enum lh_code find_told(void *context, struct job *job, bool *ret_is_done,
                              struct lh_error *err)
{
    struct jobs_house *house = context;
    enum lh_code code = (enum lh_code)atomic_load(&house->finds_with);
    if (code)
        return lh_fail(err, code, "It was told not to find out.");
    *ret_is_done = atomic_load(&house->has_effect);
    if (*ret_is_done)
        job_set_result(job, lh_lit("{\"found\":true}"));
    return LH_OK;
}

/* --- the house */

void jobs_house_open(struct jobs_house *house)
{
    const struct storage_options where = {.path = temp_lake_path(&house->folder), .create = true};
    const struct job_kind kinds[] = {
        {.name = "echo", .run = run_echo, .context = house},
        {.name = "fail", .run = run_fail, .context = house},
        {.name = "wait", .run = run_wait, .context = house},
        {.name = "stubborn", .run = run_stubborn, .context = house},
        {.name = "alone", .run = run_wait, .context = house, .is_alone = true},
        {.name = "told",
         .run = run_told,
         .context = house,
         .find_effect = find_told,
         .find_context = house}};
    size_t count = sizeof(kinds) / sizeof(kinds[0]);
    memcpy(house->kinds, kinds, sizeof(kinds));
    assert_int_equal(storage_open(&where, &house->storage, &house->err), LH_OK);
    assert_int_equal(lh_pool_new(4, 0, 64, &house->pool, &house->err), LH_OK);
    house->options.storage = house->storage;
    house->options.pool = house->pool;
    assert_int_equal(jobs_open(&house->options, &house->jobs, &house->err), LH_OK);
    assert_int_equal(jobs_start(house->jobs, house->kinds, count, &house->err), LH_OK);
}

void jobs_house_close(struct jobs_house *house)
{
    jobs_close(house->jobs);
    lh_pool_free(house->pool);
    storage_close(house->storage);
}

void jobs_house_make(struct jobs_house *house)
{
    lh_log_set_level(LH_LOG_ERROR);
    temp_lake_make(&house->folder);
    house->arena = lh_arena_new(0);
    house->options = (struct jobs_options){0};
    atomic_store(&house->runs, 0);
    atomic_store(&house->may_end, false);
    atomic_store(&house->ends_with, LH_OK);
    atomic_store(&house->has_effect, false);
    atomic_store(&house->finds_with, LH_OK);
    jobs_house_open(house);
}

void jobs_house_remove(struct jobs_house *house)
{
    atomic_store(&house->may_end, true); /* a test that failed must not hang here */
    jobs_house_close(house);
    lh_arena_free(house->arena);
    temp_lake_remove(&house->folder);
}

/* --- jobs */

struct lh_uuid jobs_house_submit(struct jobs_house *house, const char *kind, const char *args)
{
    struct lh_uuid id;
    const struct job_spec spec = {
        .kind = lh_str_of(kind), .actor = lh_lit("tester"), .args = lh_str_of(args)};
    if (jobs_submit(house->jobs, &spec, &id, &house->err))
        fail_msg("%s: %s", kind, house->err.message);
    return id;
}

struct job_info jobs_house_told(struct jobs_house *house, struct lh_uuid id)
{
    struct job_info info;
    if (jobs_get(house->jobs, lh_uuid_str(&id), house->arena, &info, &house->err))
        fail_msg("%s: %s", id.text, house->err.message);
    return info;
}

struct job_info jobs_house_ended(struct jobs_house *house, struct lh_uuid id)
{
    struct job_info info;
    struct lh_cancel patience;
    lh_cancel_init(&patience);
    lh_cancel_set_timeout(&patience, PATIENCE_MS);
    if (jobs_wait(house->jobs, lh_uuid_str(&id), &patience, house->arena, &info, &house->err))
        fail_msg("the job does not end: %s", house->err.message);
    return info;
}

void jobs_house_until_running(struct jobs_house *house, struct lh_uuid id)
{
    for (int turn = 0; turn < PATIENCE_MS && jobs_house_told(house, id).state == JOB_QUEUED; turn++)
        usleep(1000);
    assert_int_equal(jobs_house_told(house, id).state, JOB_RUNNING);
}

/* --- files */

static const char *name_of(const char *id, const char *what)
{
    static char name[128];
    snprintf(name, sizeof(name), "_jobs/%s.%s", id, what);
    return name;
}

void jobs_house_write(struct jobs_house *house, const char *id, const char *what, const char *text)
{
    temp_lake_write(&house->folder, name_of(id, what), text, strlen(text));
}

bool jobs_house_has(struct jobs_house *house, const char *id, const char *what)
{
    return temp_lake_has(&house->folder, name_of(id, what));
}
