/* SIGKILL at every fault point of promotions, a rollback and an autotune: a child lives through
 * them and is killed at the first, second, third … point. The next start finds what was
 * acknowledged in force, a history without gaps or doubles that a rollback can follow, and goes on
 * with the autotune behind the trials that were kept.
 *
 * LAKEHOUSE_LONG: every point; else every STRIDE-th, and the first of each name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "support/fault_ways.h"
#include "support/kept_engine.h"
#include "support/killed_child.h"
#include "support/op_house.h"

#ifdef LH_FAULTS

#define STRIDE 17
#define AUTOTUNE                                                                                   \
    "{\"index_name\": \"kept\", \"min_recall\": 0, \"wait\": false, \"grid\": "                    \
    "[{\"ef_construction\": 10, \"ef_search\": 21}, {\"ef_construction\": 10, \"ef_search\": "     \
    "22}]}"

/* The ef_search in force after each step that was acknowledged. */
static const int in_force[] = {30, 11, 12, 11};

static void promote(struct op_house *house, size_t trial)
{
    char args[256];
    json_t *list = op_house_call(house, "hnsw.trials", "{\"index\": \"kept\"}");
    const json_t *items = json_object_get(list, "items");
    size_t last = json_array_size(items) - 1; /* newest first */
    snprintf(args, sizeof args, "{\"index\": \"kept\", \"trial_id\": \"%s\"}",
             reply_text(json_array_get(items, last - trial), "trial_id"));
    op_house_call(house, "hnsw.promote", args);
}

/* Until no job goes on. */
static void settle(struct op_house *house)
{
    for (int i = 0; i < 3000; i++) {
        json_t *jobs = op_house_call(house, "jobs.list", "{\"kind\": \"vectors.autotune\"}");
        const json_t *first = json_array_get(json_object_get(jobs, "items"), 0);
        const char *state = first ? reply_text(first, "state") : "none";
        if (strcmp(state, "queued") != 0 && strcmp(state, "running") != 0)
            return;
        (void)nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
    fail_msg("the autotune does not end");
}

static int live(const char *folder)
{
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(folder));
    for (size_t step = 0; step < 4; step++) {
        if (step < 2)
            promote(&house, step);
        else if (step == 2)
            op_house_call(&house, "hnsw.rollback", "{\"index\": \"kept\"}");
        else
            op_house_call(&house, "hnsw.autotune", AUTOTUNE);
        if (!killed_child_acknowledge())
            return 1;
    }
    settle(&house);
    lake_close(house.lake);
    lh_arena_free(house.arena);
    return killed_child_end();
}

/* --- the parent */

static int64_t width(struct op_house *house)
{
    json_t *told = op_house_call(house, "hnsw.history", "{\"index\": \"kept\"}");
    return reply_int(json_object_get(told, "config"), "ef_search");
}

static void check_promotions(struct op_house *house, size_t acknowledged, const char *plan)
{
    int64_t now = width(house);
    bool is_done = now == in_force[acknowledged];
    bool is_next = acknowledged < 3 && now == in_force[acknowledged + 1];
    if (!is_done && !is_next)
        fail_msg("%s: after %zu steps %lld is in force", plan, acknowledged, (long long)now);
    const char *events = op_house_sql(
        house, "SELECT string_agg(event[1] || coalesce(ef_search::VARCHAR, ''), ' ' ORDER BY "
               "promotion_id) FROM hnsw_promotions");
    size_t steps = acknowledged < 3 ? acknowledged + is_next : 3;
    static const char *const wanted[] = {"[[null]]", "[[\"p11\"]]", "[[\"p11 p12\"]]",
                                         "[[\"p11 p12 r11\"]]"};
    /* Widths of the first and the third step are equal; what is told twice is not. */
    if (strcmp(events, wanted[steps]) != 0 &&
        (steps == 3 || strcmp(events, wanted[steps + 1]) != 0))
        fail_msg("%s: after %zu steps the history is %s", plan, acknowledged, events);
}

/* The job was accepted: it goes on behind what it had kept, and ends. */
static void check_autotune(struct op_house *house, const char *plan)
{
    settle(house);
    const char *tried = op_house_sql(
        house, "SELECT list(ef_search ORDER BY ef_search) FROM hnsw_trials WHERE job_id <> ''");
    if (strcmp(tried, "[[[21,22]]]") != 0)
        fail_msg("%s: the autotune kept %s", plan, tried);
    if (width(house) != 21 && width(house) != 22)
        fail_msg("%s: the autotune promoted nothing", plan);
}

static void check_lake(const char *folder, size_t acknowledged, const char *plan)
{
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(folder));
    if (acknowledged == 4)
        check_autotune(&house, plan);
    else if (acknowledged < 3)
        check_promotions(&house, acknowledged, plan);
    settle(&house); /* accepted, and not acknowledged */
    while (width(&house) != 30)
        op_house_call(&house, "hnsw.rollback", "{\"index\": \"kept\"}");
    op_house_call(&house, "vectors.search", "{\"index\": \"kept\", \"query\": \"player\"}");
    op_house_close(&house); /* verifies */
}

static struct killed_ending one_life(const void *context, const char *plan)
{
    const struct temp_lake *folder = context;
    struct temp_lake own;
    char base[4200], lake[4200];
    temp_lake_make(&own);
    snprintf(lake, sizeof lake, "%s/lake", own.path);
    snprintf(base, sizeof base, "%s/lake", folder->path);
    temp_lake_copy(base, lake);
    struct killed_ending ending = killed_child_run("--live", lake, plan);
    check_lake(lake, ending.acknowledged, plan);
    temp_lake_remove(&own);
    return ending;
}

static void give_rows(struct op_house *house)
{
    op_house_rows(house, "tools",
                  "id,text\n1,music player\n2,text editor\n3,game player\n4,a clock\n", "create");
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"kept\", \"dataset\": \"tools\", \"id_column\": \"id\", "
                  "\"text_columns\": [\"text\"]}");
    op_house_call(house, "hnsw.trial",
                  "{\"index_name\": \"kept\", \"config\": {\"ef_search\": 11}}");
    op_house_call(house, "hnsw.trial",
                  "{\"index_name\": \"kept\", \"config\": {\"ef_search\": 12}}");
}

static void what_was_promoted_stays_wherever_it_is_killed(void **state)
{
    struct op_house house;
    (void)state;
    op_house_make(&house);
    give_rows(&house);
    op_house_close(&house);
    struct killed_lives lives = killed_everywhere(one_life, &house.folder, 4, STRIDE, 1);
    assert_true(lives.kills > 12);
    printf("figure: promotions and an autotune killed: %zu points under %zu names in one life, %u "
           "kills (every %u), nothing acknowledged lost\n",
           lives.peace.point_count, lives.peace.name_count, lives.kills, lives.step);
    temp_lake_remove(&house.folder);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--live") == 0)
        return live(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_promoted_stays_wherever_it_is_killed),
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
