/* Every call that an accepted job makes to the file system fails, from the submit to the record of
 * its end, in all the ways that disks fail. Afterwards what was told of the job is what came of it:
 * one that was accepted ends, it has succeeded if and only if its rows are there, and nothing that
 * was told as ended changes with the next start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "jobs/jobs.h"
#include "support/fault_ways.h"
#include "support/kept_engine.h"
#include "support/op_house.h"

#ifdef LH_FAULTS

#define PATIENCE 200 /* times POLL_MS */
#define POLL_MS 100

struct told {
    enum lh_code submit;
    char id[LH_UUID_TEXT_BYTES + 1]; /* "" if there is no job */
    int state;                       /* once it has ended or waits for the next start */
    enum lh_code error;
};

static enum lh_code code_of(const char *id)
{
    for (int code = 0; code < LH_CODE_COUNT; code++)
        if (strcmp(lh_error_row((enum lh_code)code)->id, id) == 0)
            return (enum lh_code)code;
    fail_msg("there is no error '%s'", id);
    return LH_INTERNAL;
}

static int state_of(const json_t *job)
{
    const char *name = json_string_value(json_object_get(job, "state"));
    for (int i = 0; job_state_names[i]; i++)
        if (strcmp(job_state_names[i], name) == 0)
            return i;
    fail_msg("there is no state '%s'", name);
    return -1;
}

/* The newest job, if it is not the one that stood there before. */
static void find_job(struct op_house *house, const char *before, char *ret_id)
{
    const json_t *reply = op_house_call(house, "jobs.list", "{\"limit\": 1}");
    const json_t *newest = json_array_get(json_object_get(reply, "items"), 0);
    const char *id = newest ? json_string_value(json_object_get(newest, "id")) : "";
    snprintf(ret_id, LH_UUID_TEXT_BYTES + 1, "%s", strcmp(id, before) == 0 ? "" : id);
}

/* Until it has ended or, told as queued with its reason, waits for the next start. */
static const json_t *wait_for(struct op_house *house, const char *id)
{
    char args[128];
    snprintf(args, sizeof(args), "{\"id\": \"%s\", \"wait_ms\": %d}", id, POLL_MS);
    for (int turn = 0; turn < PATIENCE; turn++) {
        const json_t *job = op_house_call(house, "jobs.get", args);
        if (state_of(job) >= JOB_SUCCEEDED ||
            (state_of(job) == JOB_QUEUED && json_is_object(json_object_get(job, "error"))))
            return job;
    }
    fail_msg("the job %s does not end", id);
    return NULL;
}

/* Who looks after the server learns of jobs that wait for its next start, and of none else. */
static void check_health(struct op_house *house, bool is_held, const char *id)
{
    struct lake_health health;
    bool is_told = false;
    lake_check_health(house->lake, house->arena, &health);
    for (size_t i = 0; i < health.problem_count; i++)
        is_told = is_told || lh_str_equal(health.problems[i].name, lh_lit("held"));
    if (is_told != is_held)
        fail_msg("the job %s %s, and /health says %s of it", id,
                 is_held ? "waits for the next start" : "has ended", is_told ? "so" : "nothing");
}

static void append(struct op_house *house, struct told *ret)
{
    static const char args[] = "{\"dataset\": \"fresh\", \"mode\": \"append\", \"wait\": false}";
    static const char csv[] = "id,name\n3,c\n4,d\n5,e\n";
    char before[LH_UUID_TEXT_BYTES + 1];
    find_job(house, "", before);
    ret->submit = op_house_try_file(house, "ingest.file", args, "more.csv", csv, strlen(csv));
    find_job(house, before, ret->id);
    if (!ret->id[0])
        return;
    const json_t *job = wait_for(house, ret->id);
    const json_t *error = json_object_get(job, "error");
    ret->state = state_of(job);
    check_health(house, ret->state < JOB_SUCCEEDED, ret->id);
    if (json_is_object(error))
        ret->error = code_of(json_string_value(json_object_get(error, "code")));
}

static bool has_appended(struct op_house *house, const char *plan)
{
    const char *rows = op_house_sql(house, "SELECT count(*), sum(id)::INT FROM fresh");
    bool has_both = strcmp(rows, "[[5,15]]") == 0;
    if (!has_both && strcmp(rows, "[[2,3]]") != 0)
        fail_msg("%s: rows are half there: %s", plan, rows);
    return has_both;
}

/* Nobody knew whether its record had got its name; the next process does. */
static bool is_known(struct op_house *house, const char *id)
{
    char newest[LH_UUID_TEXT_BYTES + 1];
    find_job(house, "", newest);
    return strcmp(newest, id) == 0;
}

static void check_after(struct op_house *house, const struct told *told, const char *plan)
{
    bool is_accepted = !told->submit || told->submit == LH_UNKNOWN;
    if (!told->submit && !told->id[0])
        fail_msg("%s: an accepted job is not listed", plan);
    if (told->id[0] && !is_accepted)
        fail_msg("%s: a refused job is listed: code %d", plan, told->submit);
    if (jobs_damaged(lake_jobs(house->lake)))
        fail_msg("%s: a record cannot be read", plan);
    if (!told->id[0] || (told->submit == LH_UNKNOWN && !is_known(house, told->id))) {
        if (has_appended(house, plan))
            fail_msg("%s: a job that was not accepted (code %d) had its effect", plan,
                     told->submit);
        return;
    }
    int state = state_of(wait_for(house, told->id));
    if (told->state >= JOB_SUCCEEDED && state != told->state)
        fail_msg("%s: told as %s, after the restart it is %s", plan, job_state_names[told->state],
                 job_state_names[state]);
    if (state < JOB_SUCCEEDED)
        fail_msg("%s: the next process does not end it either", plan);
    if (has_appended(house, plan) != (state == JOB_SUCCEEDED))
        fail_msg("%s: the job has %s, and its rows are %sthere", plan, job_state_names[state],
                 has_appended(house, plan) ? "" : "not ");
}

static struct fault_outcome session(const char *plan, unsigned at)
{
    struct op_house house;
    struct told told = {0};
    struct fault_outcome ret = {0};
    op_house_make(&house);
    op_house_rows(&house, "fresh", "id,name\n1,a\n2,b\n", "create");
    assert_true(lh_fault_plan(plan));
    append(&house, &told);
    fault_note(&ret, at);
    ret.told = told.submit ? told.submit : told.error;
    assert_true(lh_fault_plan(NULL));
    op_house_reopen(&house);
    check_after(&house, &told, plan);
    op_house_rows(&house, "after", "id\n1\n", "create");
    op_house_remove(&house); /* verifies, and counts descriptors */
    return ret;
}

static void what_is_told_of_a_job_is_what_came_of_it(void **state)
{
    (void)state;
    fault_ways_run("an accepted job", session, 50, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told_of_a_job_is_what_came_of_it),
    };
    temp_lake_prefer_memory();
    kept_engine_begin(KEPT_ENGINE_LAKES);
    return kept_engine_end(cmocka_run_group_tests(tests, NULL, NULL));
}

#else

int main(void)
{
    printf("skipped: this build has no fault points\n");
    return 0;
}

#endif
