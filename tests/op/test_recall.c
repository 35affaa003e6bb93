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

#define ROWS 900
#define DIMENSIONS 40
#define PATIENCE 3000 /* looks of 10 ms */

static uint64_t bits = 88172645463325252U;

static double number(void)
{
    bits ^= bits << 13;
    bits ^= bits >> 7;
    bits ^= bits << 17;
    return (double)(bits >> 40) / (1 << 24) - 0.5;
}

static void add_vector(struct lh_buf *to)
{
    for (int i = 0; i < DIMENSIONS; i++)
        lh_buf_printf(to, "%s%.4f", i ? ", " : "[", number());
    lh_buf_append_char(to, ']');
}

/* Rows without structure, and graphs for small indexes. */
static int make(void **state)
{
    struct op_house *house = calloc(1, sizeof *house);
    struct lh_buf lines;
    bits = 88172645463325252U;
    op_house_make(house);
    house->settings.search.graph_rows = 100;
    house->settings.agent.cycle_interval_s = 1;
    house->settings.agent.cooldown_s = 0;
    house->settings.agent.max_trials_per_hour = 2;
    op_house_reopen(house);
    lh_buf_init(&lines, (size_t)4 << 20);
    for (int row = 0; row < ROWS; row++) {
        lh_buf_printf(&lines, "{\"id\": %d, \"vector\": ", row);
        add_vector(&lines);
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
    add_vector(&args);
    lh_buf_append_char(&args, '}');
    json_t *answer = op_house_call(house, "vectors.search", args.data);
    lh_buf_release(&args);
    return answer;
}

/* The index's graph is as poor as one may be that is measured. */
static void make_poor(struct op_house *house)
{
    char args[256];
    json_t *trial = op_house_call(house, "hnsw.trial",
                                  "{\"index_name\": \"points_v1\", \"config\": "
                                  "{\"ef_construction\": 8, \"ef_search\": 1, \"m\": 2}}");
    snprintf(args, sizeof args, "{\"index\": \"points_v1\", \"trial_id\": \"%s\"}",
             reply_text(trial, "trial_id"));
    op_house_call(house, "hnsw.promote", args);
}

static bool happened(struct op_house *house, const char *action)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT count(*) > 0 FROM journal WHERE action = '%s'", action);
    return strcmp(op_house_sql(house, sql), "[[true]]") == 0;
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
    bool is_breached = false;
    for (int i = 0; i < PATIENCE && !is_breached; i++) {
        for (int k = 0; k < 5; k++) {
            rest();
            (void)ask(house);
        }
        is_breached = happened(house, "index.recall_breach");
    }
    assert_true(is_breached);
    bool is_over = false;
    for (int i = 0; i < PATIENCE && !is_over; i++) {
        rest();
        is_over = happened(house, "index.autotune");
    }
    assert_true(is_over);
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
        TEST(the_agent_tries_what_it_may_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
