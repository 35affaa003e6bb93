/* The recall that is served: measured of callers' searches, promised, kept; and the agent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"
#include "support/op_house.h"

#define PATIENCE 3000 /* looks of 10 ms */

static uint64_t bits = 88172645463325252U;
static int rows, dimensions; /* of the test that runs */

static double number(void)
{
    bits ^= bits << 13;
    bits ^= bits >> 7;
    bits ^= bits << 17;
    return (double)(bits >> 40) / (1 << 24) - 0.5;
}

/* `far`: how far from the middle of all the vector stands, in one direction. */
static void add_vector(struct lh_buf *to, double far)
{
    for (int i = 0; i < dimensions; i++)
        lh_buf_printf(to, "%s%.4f", i ? ", " : "[", number() + (i ? 0 : far));
    lh_buf_append_char(to, ']');
}

/* Rows without structure, and graphs for small indexes; searches are asked again at once. */
static void make_house(void **state, double far)
{
    struct op_house *house = calloc(1, sizeof *house);
    struct lh_buf lines;
    bits = 88172645463325252U;
    op_house_make(house);
    house->settings.search.graph_rows = 100;
    house->settings.search.watch_percent = 100;
    house->settings.agent.cycle_interval_s = 1;
    house->settings.agent.cooldown_s = 0;
    house->settings.agent.max_trials_per_hour = 2;
    op_house_reopen(house);
    lh_buf_init(&lines, (size_t)16 << 20);
    for (int row = 0; row < rows; row++) {
        lh_buf_printf(&lines, "{\"id\": %d, \"vector\": ", row);
        add_vector(&lines, far);
        lh_buf_append_str(&lines, lh_lit("}\n"));
    }
    if (op_house_try_file(house, "ingest.file", "{\"dataset\": \"points\"}", "points.ndjson",
                          lines.data, lines.len))
        fail_msg("%s", house->err.message);
    lh_buf_release(&lines);
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"points_v1\", \"dataset\": \"points\", \"id_column\": \"id\", "
                  "\"vector_column\": \"vector\"}");
    *state = house;
}

static int make(void **state)
{
    rows = 900;
    dimensions = 40;
    make_house(state, 0);
    return 0;
}

/* All rows stand close together, far from the questions: their codes hardly tell them apart. A few
 * more than the widest walk that is tried would rather look at all of. */
static int make_hard(void **state)
{
    rows = 2450;
    dimensions = 8;
    make_house(state, 400);
    return 0;
}

static int remove_house(void **state)
{
    op_house_remove(*state);
    free(*state);
    return 0;
}

static void rest(void)
{
    (void)nanosleep(&(struct timespec){0, 10000000}, NULL);
}

static json_t *ask(struct op_house *house)
{
    struct lh_buf args;
    lh_buf_init(&args, 4096);
    lh_buf_append_str(&args, lh_lit("{\"index\": \"points_v1\", \"vector\": "));
    add_vector(&args, 0);
    lh_buf_append_char(&args, '}');
    json_t *answer = op_house_call(house, "vectors.search", args.data);
    lh_buf_release(&args);
    return answer;
}

/* Tries a configuration and promotes it; the recall that was found. */
static double take_up(struct op_house *house, int ef_construction, int ef_search, int m)
{
    char args[256];
    snprintf(args, sizeof args,
             "{\"index_name\": \"points_v1\", \"config\": {\"ef_construction\": %d, "
             "\"ef_search\": %d, \"m\": %d}}",
             ef_construction, ef_search, m);
    json_t *trial = op_house_call(house, "hnsw.trial", args);
    snprintf(args, sizeof args, "{\"index\": \"points_v1\", \"trial_id\": \"%s\"}",
             reply_text(trial, "trial_id"));
    op_house_call(house, "hnsw.promote", args);
    return json_number_value(json_object_get(trial, "recall"));
}

/* The index's graph is as poor as one may be that is measured. */
static void make_poor(struct op_house *house)
{
    assert_true(take_up(house, 8, 1, 2) < 1);
}

static bool happened(struct op_house *house, const char *action)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT count(*) > 0 FROM journal WHERE action = '%s'", action);
    return strcmp(op_house_sql(house, sql), "[[true]]") == 0;
}

static void promise(struct op_house *house, const char *min_recall)
{
    char args[128];
    snprintf(args, sizeof args, "{\"name\": \"points_v1\", \"min_recall\": %s}", min_recall);
    op_house_call(house, "vectors.update", args);
}

/* Callers search until a breach is seen; then nobody does, and something comes of it. */
static void search_until_breached(struct op_house *house, const char *action)
{
    bool is_breached = false, is_over = false;
    for (int i = 0; i < PATIENCE && !is_breached; i++) {
        for (int k = 0; k < 5; k++) {
            rest();
            (void)ask(house);
        }
        is_breached = happened(house, "index.recall_breach");
    }
    assert_true(is_breached);
    for (int i = 0; i < PATIENCE && !is_over; i++) {
        rest();
        is_over = happened(house, action);
    }
    assert_true(is_over);
}

static void replies_tell_the_recall_that_callers_got(void **state)
{
    struct op_house *house = *state;
    json_t *answer = ask(house);
    assert_string_equal(reply_text(answer, "method"), "hnsw");
    assert_int_equal(reply_int(answer, "recall_sample"), 100); /* when it was made */
    int64_t sample = 100;
    for (int i = 0; i < PATIENCE && sample == 100; i++) {
        rest();
        sample = reply_int(ask(house), "recall_sample");
    }
    assert_in_range(sample, 30, 60);
    json_t *status = op_house_call(house, "agent.status", NULL);
    const json_t *told = json_array_get(json_object_get(status, "contracts"), 0);
    assert_string_equal(reply_text(told, "index_name"), "points_v1");
    assert_true(json_number_value(json_object_get(told, "recall")) > 0.5);
    assert_true(json_is_false(json_object_get(told, "is_breached")));
    /* Of another graph nothing is known. */
    make_poor(house);
    assert_int_equal(reply_int(ask(house), "recall_sample"), 100);
}

static void a_breach_is_an_event_and_the_index_is_tuned(void **state)
{
    struct op_house *house = *state;
    make_poor(house);
    op_house_refuses(house, "vectors.update", "{\"name\": \"points_v1\", \"min_recall\": 1.5}",
                     LH_INVALID);
    json_t *info =
        op_house_call(house, "vectors.update", "{\"name\": \"points_v1\", \"min_recall\": 1}");
    assert_true(json_number_value(json_object_get(info, "min_recall")) == 1);
    search_until_breached(house, "index.autotune");
    assert_string_equal(op_house_sql(house, "SELECT event, recall >= 0.99, promoted_by FROM "
                                            "hnsw_promotions WHERE is_current"),
                        "[[\"promoted\",true,\"contract\"]]");
    assert_string_equal(op_house_sql(house, "SELECT count(*), list(DISTINCT trial_by) FROM "
                                            "hnsw_trials WHERE job_id <> ''"),
                        "[[5,[\"contract\"]]]");
    assert_string_equal(op_house_sql(house, "SELECT DISTINCT harness FROM hnsw_trials WHERE job_id "
                                            "<> ''"),
                        "[[\"callers\"]]");
    op_house_refuses(house, "evals.autogen",
                     "{\"name\": \"callers\", \"index_name\": \"points_v1\"}", LH_INVALID);
    info =
        op_house_call(house, "vectors.update", "{\"name\": \"points_v1\", \"min_recall\": null}");
    assert_true(json_number_value(json_object_get(info, "min_recall")) == 0);
}

/* What the contract did, in order; what it found is told apart. */
static const char *acts(struct op_house *house)
{
    return op_house_sql(house, "SELECT list(action ORDER BY sequence) FROM journal WHERE actor = "
                               "'contract' AND action <> 'index.autotune'");
}

static void what_tuning_does_not_mend_is_rolled_back_to_what_promised_enough(void **state)
{
    struct op_house *house = *state;
    /* So wide a walk looks at every row: no tuner proposes that. */
    assert_true(take_up(house, 8, 8000, 2) == 1);
    make_poor(house);
    promise(house, "1");
    search_until_breached(house, "index.rollback");
    assert_string_equal(acts(house), "[[[\"index.recall_breach\",\"index.rollback\"]]]");
    assert_string_equal(op_house_sql(house, "SELECT event, ef_search, m, recall, promoted_by FROM "
                                            "hnsw_promotions WHERE is_current"),
                        "[[\"rolled_back\",8000,2,1.0,\"contract\"]]");
    assert_string_equal(op_house_sql(house, "SELECT count(*), count(*) FILTER (recall >= 1) FROM "
                                            "hnsw_trials WHERE harness = 'callers'"),
                        "[[5,0]]");
    assert_true(json_number_value(json_object_get(ask(house), "recall")) == 1);
    /* It is kept now: nothing else happens, however long callers search. */
    for (int i = 0; i < 100; i++) {
        rest();
        (void)ask(house);
    }
    assert_string_equal(acts(house), "[[[\"index.recall_breach\",\"index.rollback\"]]]");
}

static void what_nothing_helps_is_told_with_the_best_there_was(void **state)
{
    if (!getenv("LAKEHOUSE_LONG")) /* such rows make graphs slowly */
        skip();
    (void)make_hard(state);
    struct op_house *house = *state;
    make_poor(house);
    promise(house, "1");
    search_until_breached(house, "index.recall_unmet");
    assert_string_equal(acts(house), "[[[\"index.recall_breach\",\"index.recall_unmet\"]]]");
    /* What is promoted is what the caller promoted, and the best trial is named. */
    assert_string_equal(op_house_sql(house, "SELECT event, ef_search, m FROM hnsw_promotions"),
                        "[[\"promoted\",1,2]]");
    assert_string_equal(
        op_house_sql(house,
                     "SELECT count(*), bool_and(t.recall < 1 AND t.recall = (SELECT max(recall) "
                     "FROM hnsw_trials WHERE harness = 'callers')) FROM journal j JOIN hnsw_trials "
                     "t ON t.trial_id = json_extract_string(j.detail, '$.best_trial_id') WHERE "
                     "j.action = 'index.recall_unmet'"),
        "[[1,true]]");
    (void)remove_house(state);
}

static void the_agent_tries_what_it_may_and_no_more(void **state)
{
    struct op_house *house = *state;
    assert_true(
        json_is_false(json_object_get(op_house_call(house, "agent.status", NULL), "is_running")));
    json_t *status = op_house_call(house, "agent.enqueue", "{\"index\": \"points_v1\"}");
    assert_int_equal(json_array_size(json_object_get(status, "queue")), 1);
    assert_int_equal(reply_int(status, "trials"), 0);
    op_house_refuses(house, "agent.enqueue", "{\"index\": \"nothere\"}", LH_NOT_FOUND);
    op_house_call(house, "agent.start", NULL);
    int64_t trials = 0;
    for (int i = 0; i < PATIENCE && trials < 2; i++) {
        rest();
        trials = reply_int(op_house_call(house, "agent.status", NULL), "trials");
    }
    op_house_call(house, "agent.enqueue", "{\"index\": \"points_v1\"}");
    for (int i = 0; i < 120; i++)
        rest();
    status = op_house_call(house, "agent.stop", NULL);
    assert_int_equal(reply_int(status, "trials"), 2);
    assert_int_equal(reply_int(status, "trials_this_hour"), 2);
    assert_true(json_is_false(json_object_get(status, "is_running")));
    /* The champion first, then something else. */
    assert_string_equal(
        op_house_sql(house,
                     "SELECT list(trial_by ORDER BY trial_id), first(ef_construction ORDER BY "
                     "trial_id), count(DISTINCT ef_construction * 1000 + ef_search) FROM "
                     "hnsw_trials"),
        "[[[\"agent\",\"agent\"],80,2]]");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, remove_house)
    const struct CMUnitTest tests[] = {
        TEST(replies_tell_the_recall_that_callers_got),
        TEST(a_breach_is_an_event_and_the_index_is_tuned),
        cmocka_unit_test_setup_teardown(
            what_tuning_does_not_mend_is_rolled_back_to_what_promised_enough, make_hard,
            remove_house),
        cmocka_unit_test(what_nothing_helps_is_told_with_the_best_there_was),
        TEST(the_agent_tries_what_it_may_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
