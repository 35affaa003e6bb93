/* SIGKILL at every fault point of a life whose files come in by jobs (wait=false): a child submits
 * them, and is killed at the first, second, third … point until it lives through. The next start
 * ends every job that was accepted, and what is told of each is what the lake holds. Then the
 * recoveries are killed as well, so that jobs take the process down more often than they may.
 *
 * LAKEHOUSE_LONG: every point; else every STRIDE-th, and the first of each name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fault.h"
#include "support/fault_ways.h"
#include "support/kept_engine.h"
#include "support/killed_child.h"
#include "support/op_house.h"

#ifdef LH_FAULTS

#define STRIDE 5
#define END_POINTS 80
#define POINTS_MAX 4000
#define PLAN_BYTES (KILLED_LINE_BYTES + 64)
#define PATIENCE 20000 /* milliseconds */

/* --- the life of a child: each job is ended before the next is submitted */

static const struct step {
    const char *mode;
    const char *csv;
    const char *after; /* the lake, once the job has succeeded */
} steps[] = {
    {"create", "id\n1\n2\n", "[[2,3]]"},
    {"append", "id\n3\n4\n5\n", "[[5,15]]"},
    {"replace", "id\n6\n", "[[1,6]]"},
};
#define STEP_COUNT (sizeof(steps) / sizeof(steps[0]))

static const json_t *list_jobs(struct op_house *house)
{
    return json_object_get(op_house_call(house, "jobs.list", NULL), "items");
}

/* Until no job waits or runs. */
static void end_jobs(struct op_house *house)
{
    for (int turn = 0; turn < PATIENCE; turn++) {
        const json_t *jobs = list_jobs(house);
        bool is_over = true;
        for (size_t i = 0; i < json_array_size(jobs); i++) {
            const char *state = reply_text(json_array_get(jobs, i), "state");
            is_over = is_over && strcmp(state, "queued") != 0 && strcmp(state, "running") != 0;
        }
        if (is_over)
            return;
        usleep(1000);
    }
    fail_msg("a job does not end");
}

static bool take_step(struct op_house *house, const struct step *step, bool waits)
{
    char args[128];
    snprintf(args, sizeof(args), "{\"dataset\": \"fresh\", \"mode\": \"%s\", \"wait\": %s}",
             step->mode, waits ? "true" : "false");
    return !op_house_try_file(house, "ingest.file", args, "f.csv", step->csv, strlen(step->csv)) &&
           killed_child_acknowledge();
}

/* --waited: the caller waits for each; how they ended is written as one batch at the end. */
static int live(const char *folder, const char *mode)
{
    struct op_house house = {0};
    const bool only_open = strcmp(mode, "--open") == 0;
    op_house_open(&house, lh_str_of(folder));
    for (size_t i = 0; i < STEP_COUNT && !only_open; i++) {
        if (!take_step(&house, &steps[i], strcmp(mode, "--waited") == 0))
            return 1;
        end_jobs(&house);
    }
    end_jobs(&house);
    lake_close(house.lake);
    lh_arena_free(house.arena);
    return killed_child_end();
}

/* --- the parent */

static const char *rows_of(struct op_house *house)
{
    if (op_house_try(house, "datasets.get", "{\"name\": \"fresh\"}") == LH_NOT_FOUND)
        return "";
    return op_house_sql(house, "SELECT count(*), sum(id)::INT FROM fresh");
}

static unsigned given_up[2]; /* jobs that were not run again: without their effect, and with it */

/* Jobs are told newest first, and only the newest can have met a kill. */
static void check_lake(const char *folder, const char *plan, size_t acknowledged, bool may_give_up)
{
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(folder));
    end_jobs(&house);
    const json_t *jobs = list_jobs(&house);
    size_t count = json_array_size(jobs);
    bool is_done = true;
    for (size_t i = 0; i < count; i++) {
        const json_t *job = json_array_get(jobs, i);
        if (strcmp(reply_text(job, "state"), "succeeded") == 0)
            continue;
        is_done = false;
        if (i || !may_give_up ||
            !strstr(reply_text(json_object_get(job, "error"), "message"), "went down"))
            fail_msg("%s: a job is %s: %s", plan, reply_text(job, "state"),
                     reply_text(json_object_get(job, "error"), "message"));
    }
    if (count != acknowledged && count != acknowledged + 1)
        fail_msg("%s: %zu jobs were accepted, %zu are known", plan, acknowledged, count);
    size_t effects = is_done ? count : count - 1;
    if (count && json_integer_value(json_object_get(json_array_get(jobs, 0), "attempts")) >= 3)
        given_up[is_done]++;
    const char *found = rows_of(&house);
    const char *wanted = effects ? steps[effects - 1].after : "";
    if (strcmp(found, wanted) != 0)
        fail_msg("%s: of %zu jobs %zu have succeeded, and the lake holds '%s', not '%s'", plan,
                 count, effects, found, wanted);
    op_house_rows(&house, "after", "id\n1\n", "create"); /* and it goes on */
    op_house_close(&house);                              /* verifies the records too */
}

static struct killed_ending one_life(const void *context, const char *plan)
{
    (void)context;
    struct temp_lake folder;
    char lake[4200];
    temp_lake_make(&folder);
    snprintf(lake, sizeof(lake), "%s/lake", folder.path);
    struct killed_ending ending = killed_child_run("--live", lake, plan);
    check_lake(lake, plan, ending.acknowledged, false);
    temp_lake_remove(&folder);
    return ending;
}

static void a_job_that_meets_a_kill_is_ended_by_the_next_start(void **state)
{
    (void)state;
    struct killed_lives lives = killed_everywhere(one_life, NULL, STEP_COUNT, STRIDE, 1);
    assert_true(lives.kills > 20);
    printf(
        "figure: jobs killed: %zu points under %zu names in one life, %u kills (every %u), every "
        "accepted job ended as it was told\n",
        lives.peace.point_count, lives.peace.name_count, lives.kills, lives.step);
}

/* --- batches of the job history */

static unsigned batches[2]; /* of lives with all steps: lost to the kill, and known */

/* What nobody waits for may be lost, whole, and nothing else: jobs that are told are told as they
 * were. */
static void check_history(const char *lake, const char *plan, const struct killed_ending *ending)
{
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(lake));
    end_jobs(&house);
    const json_t *jobs = list_jobs(&house);
    size_t count = json_array_size(jobs);
    for (size_t i = 0; i < count; i++)
        if (strcmp(reply_text(json_array_get(jobs, i), "state"), "succeeded") != 0)
            fail_msg("%s: a job whose caller waited is %s", plan,
                     reply_text(json_array_get(jobs, i), "state"));
    const size_t done = ending->acknowledged;
    const char *found = rows_of(&house);
    bool is_right = strcmp(found, done ? steps[done - 1].after : "") == 0 ||
                    (done < STEP_COUNT && strcmp(found, steps[done].after) == 0);
    if (!is_right)
        fail_msg("%s: %zu steps were acknowledged, and the lake holds '%s'", plan, done, found);
    if (count > STEP_COUNT || (!ending->was_killed && count != STEP_COUNT))
        fail_msg("%s: %zu jobs are known", plan, count);
    if (done == STEP_COUNT && ending->was_killed && (count == 0 || count == STEP_COUNT))
        batches[count == STEP_COUNT]++;
    op_house_rows(&house, "after", "id\n1\n", "create");
    op_house_close(&house); /* verifies the records too */
}

static struct killed_ending one_waited_life(const char *plan)
{
    struct temp_lake folder;
    char lake[4200];
    temp_lake_make(&folder);
    snprintf(lake, sizeof(lake), "%s/lake", folder.path);
    struct killed_ending ending = killed_child_run("--waited", lake, plan);
    check_history(lake, plan, &ending);
    temp_lake_remove(&folder);
    return ending;
}

/* The steps themselves are killed by others (test_kill.c): here the end, with the batch in it. */
static void a_kill_while_a_batch_of_the_history_is_written_leaves_it_whole_or_none(void **state)
{
    const size_t step = getenv("LAKEHOUSE_LONG") ? 1 : 4;
    struct killed_ending peace = one_waited_life("");
    char plan[PLAN_BYTES];
    unsigned kills = 0;
    (void)state;
    assert_true(peace.acknowledged == STEP_COUNT && peace.point_count > END_POINTS);
    for (size_t at = peace.point_count - END_POINTS; at <= peace.point_count; at += step) {
        snprintf(plan, sizeof(plan), "*=%zu:kill", at);
        kills += one_waited_life(plan).was_killed;
    }
    printf("figure: the end of a life of jobs whose callers waited killed: %d points, %u kills "
           "(every %zu), the batch of their ends lost %u times and whole %u times\n",
           END_POINTS, kills, step, batches[false], batches[true]);
    assert_true(batches[false] > 0 && batches[true] > 0); /* else this test shows nothing */
}

/* --- recoveries */

/* The recovery from one kill, killed itself again and again, each time a little later; returns how
 * often. Publications are what a recovery is made of: epoch, attempt, data, manifest, end. */
static unsigned kill_recovery(unsigned first)
{
    struct temp_lake folder;
    char lake[4200];
    char plan[PLAN_BYTES];
    unsigned kills = 0;
    bool is_through = false;
    temp_lake_make(&folder);
    snprintf(lake, sizeof(lake), "%s/lake", folder.path);
    snprintf(plan, sizeof(plan), "file.publish=%u:kill", first);
    struct killed_ending ending = killed_child_run("--live", lake, plan);
    assert_true(ending.was_killed);
    const char *point = getenv("LAKEHOUSE_LONG") ? "*" : "file.publish";
    for (unsigned at = 1; !is_through && at < POINTS_MAX; at++) {
        snprintf(plan, sizeof(plan), "%s=%u:kill", point, at);
        is_through = !killed_child_run("--open", lake, plan).was_killed;
        kills += !is_through;
    }
    assert_true(is_through);
    snprintf(plan, sizeof(plan), "file.publish=%u:kill and %u kills of its recovery", first, kills);
    check_lake(lake, plan, ending.acknowledged, true);
    temp_lake_remove(&folder);
    return kills;
}

/* The first job begins with the third publication or so, and the last one ends with the 20th. */
static void a_job_that_took_the_process_down_too_often_is_told_as_what_came_of_it(void **state)
{
    unsigned kills = 0;
    unsigned lives = 0;
    (void)state;
    for (unsigned first = 3; first <= 18; first++, lives++)
        kills += kill_recovery(first);
    printf("figure: the recoveries of jobs from %u kills were killed %u times in all: %u jobs were "
           "given up without their effect, %u with it\n",
           lives, kills, given_up[0], given_up[1]);
    assert_true(given_up[true] > 0); /* else this test shows nothing */
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return live(argv[2], argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_that_meets_a_kill_is_ended_by_the_next_start),
        cmocka_unit_test(a_kill_while_a_batch_of_the_history_is_written_leaves_it_whole_or_none),
        cmocka_unit_test(a_job_that_took_the_process_down_too_often_is_told_as_what_came_of_it),
    };
    temp_lake_prefer_memory(); /* a kill leaves the page cache alone: memory is as good */
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
