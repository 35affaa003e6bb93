/* Eval sets, trials, autotune and promotions of an index with given vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "support/op_house.h"

#define ROWS 400
#define DIMENSIONS 16

/* Numbers without structure, the same in every run: hard for a graph. */
static void add_rows(struct lh_buf *lines, int from, int to)
{
    uint64_t x = 88172645463325252U + (uint64_t)from;
    for (int row = from; row < to; row++) {
        lh_buf_printf(lines, "{\"id\": %d, \"vector\": [", row);
        for (int i = 0; i < DIMENSIONS; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            lh_buf_printf(lines, "%s%.4f", i ? ", " : "", (double)(x >> 40) / (1 << 24) - 0.5);
        }
        lh_buf_append_str(lines, lh_lit("]}\n"));
    }
}

static void bring(struct op_house *house, int from, int to, const char *mode)
{
    struct lh_buf lines;
    char args[128];
    lh_buf_init(&lines, (size_t)1 << 20);
    add_rows(&lines, from, to);
    snprintf(args, sizeof args, "{\"dataset\": \"points\", \"mode\": \"%s\"}", mode);
    if (op_house_try_file(house, "ingest.file", args, "points.ndjson", lines.data, lines.len))
        fail_msg("%s", house->err.message);
    lh_buf_release(&lines);
}

static int make(void **state)
{
    struct op_house *house = calloc(1, sizeof *house);
    op_house_make(house);
    bring(house, 0, ROWS, "create");
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

static double real_of(const json_t *object, const char *member)
{
    assert_true(json_is_number(json_object_get(object, member)));
    return json_number_value(json_object_get(object, member));
}

static bool is_true(const json_t *object, const char *member)
{
    assert_true(json_is_boolean(json_object_get(object, member)));
    return json_is_true(json_object_get(object, member));
}

static json_t *draw(struct op_house *house, const char *more)
{
    char args[256];
    snprintf(args, sizeof args, "{\"name\": \"drawn\", \"index_name\": \"points_v1\"%s}", more);
    return op_house_call(house, "evals.autogen", args);
}

/* --- eval sets */

static void what_is_drawn_is_what_is_nearest_without_the_row_itself(void **state)
{
    struct op_house *house = *state;
    draw(house, ", \"queries\": 5, \"k\": 7");
    json_t *set =
        op_house_call(house, "evals.get", "{\"name\": \"drawn\", \"index_name\": \"points_v1\"}");
    const json_t *queries = json_object_get(set, "queries");
    assert_int_equal(json_array_size(queries), 5);
    for (size_t i = 0; i < 5; i++) {
        char sql[512];
        const json_t *query = json_array_get(queries, i);
        const char *id = reply_text(query, "id");
        char *wanted = json_dumps(json_object_get(query, "relevant"), JSON_COMPACT);
        snprintf(sql, sizeof sql,
                 "SELECT list(id::VARCHAR) FROM (SELECT b.id FROM points a, points b WHERE a.id = "
                 "%s AND b.id <> a.id ORDER BY list_cosine_similarity(a.vector::DOUBLE[], "
                 "b.vector::DOUBLE[]) DESC LIMIT 7)",
                 id);
        const char *found = op_house_sql(house, sql);
        size_t len = strlen(wanted);
        assert_memory_equal(found + 2, wanted, len); /* "[[[…]]]" */
        free(wanted);
    }
}

static void equal_seeds_draw_equal_rows_and_other_seeds_others(void **state)
{
    struct op_house *house = *state;
    const char *get = "{\"name\": \"drawn\", \"index_name\": \"points_v1\"}";
    char *texts[3];
    static const char *const seeds[] = {", \"queries\": 9, \"seed\": 1",
                                        ", \"queries\": 9, \"seed\": 1",
                                        ", \"queries\": 9, \"seed\": 2"};
    for (size_t i = 0; i < 3; i++) {
        draw(house, seeds[i]);
        texts[i] = json_dumps(json_object_get(op_house_call(house, "evals.get", get), "queries"),
                              JSON_COMPACT);
    }
    assert_string_equal(texts[0], texts[1]);
    assert_string_not_equal(texts[0], texts[2]);
    for (size_t i = 0; i < 3; i++)
        free(texts[i]);
    assert_int_equal(reply_int(draw(house, ", \"queries\": 5000"), "query_count"), ROWS);
}

static void a_set_says_when_it_is_stale_and_why(void **state)
{
    struct op_house *house = *state;
    assert_false(is_true(draw(house, ""), "is_stale"));
    bring(house, ROWS, ROWS + 3, "append");
    json_t *list = op_house_call(house, "evals.list", "{\"index_name\": \"points_v1\"}");
    const json_t *told = json_array_get(json_object_get(list, "items"), 0);
    assert_true(is_true(told, "is_stale"));
    assert_non_null(strstr(reply_text(told, "stale_because"), "version 2"));
    /* Measured against what is true now, and said to be. */
    op_house_call(house, "vectors.refresh", "{\"dataset\": \"points\"}");
    json_t *trial = op_house_call(house, "hnsw.trial",
                                  "{\"index_name\": \"points_v1\", \"harness\": \"drawn\", "
                                  "\"config\": {\"ef_search\": 200}}");
    assert_true(is_true(trial, "is_stale"));
    assert_true(real_of(trial, "recall") > 0.95);
    assert_int_equal(reply_int(trial, "dataset_version"), 2);
    assert_false(is_true(draw(house, ""), "is_stale"));
    op_house_reopen(house);
    list = op_house_call(house, "evals.list", NULL);
    assert_false(is_true(json_array_get(json_object_get(list, "items"), 0), "is_stale"));
}

static void labels_are_measured_beside_the_recall_of_the_graph(void **state)
{
    struct op_house *house = *state;
    struct lh_buf args;
    lh_buf_init(&args, 65536);
    json_t *doc =
        op_house_call(house, "vectors.doc", "{\"name\": \"points_v1\", \"doc_id\": \"5\"}");
    char *vector = json_dumps(
        json_object_get(json_array_get(json_object_get(doc, "chunks"), 0), "vector"), JSON_COMPACT);
    /* Row 5 is nearest to its own vector; 100000 is no row. */
    lh_buf_printf(&args,
                  "{\"name\": \"ours\", \"index_name\": \"points_v1\", \"k\": 4, \"queries\": "
                  "[{\"vector\": %s, \"relevant\": [5, \"100000\"]}]}",
                  vector);
    json_t *set = op_house_call(house, "evals.put", args.data);
    assert_string_equal(reply_text(set, "kind"), "labelled");
    assert_int_equal(reply_int(set, "unknown_ids"), 1);
    json_t *trial = op_house_call(house, "hnsw.trial",
                                  "{\"index_name\": \"points_v1\", \"harness\": \"ours\", "
                                  "\"config\": {\"ef_search\": 100}}");
    const json_t *relevance = json_object_get(trial, "relevance");
    assert_true(real_of(trial, "recall") == 1);
    assert_true(real_of(relevance, "recall") == 0.5);
    assert_true(real_of(relevance, "mrr") == 1);
    op_house_refuses(house, "evals.autogen", "{\"name\": \"ours\", \"index_name\": \"points_v1\"}",
                     LH_CONFLICT);
    op_house_call(house, "evals.delete", "{\"name\": \"ours\", \"index_name\": \"points_v1\"}");
    op_house_refuses(house, "evals.get", "{\"name\": \"ours\", \"index_name\": \"points_v1\"}",
                     LH_NOT_FOUND);
    free(vector);
    lh_buf_release(&args);
}

static void what_is_wrong_with_a_set_is_told(void **state)
{
    struct op_house *house = *state;
    static const struct {
        const char *queries, *field;
    } cases[] = {
        {"[]", "queries"},
        {"[{\"relevant\": [1]}]", "queries[0].query"},
        {"[{\"query\": \"x\", \"relevant\": [1]}]", "queries[0].query"}, /* no model reads it */
        {"[{\"vector\": [1, 2], \"relevant\": [1]}]", "queries[0].vector"},
        {"[{\"vector\": [0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0], \"relevant\": [1]}]",
         "queries[0].vector"},
        {"[{\"vector\": [1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0], \"relevant\": []}]",
         "queries[0].relevant"},
        {"[{\"vector\": [1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0], \"relevant\": [1, \"1\"]}]",
         "queries[0].relevant"},
        {"[{\"vector\": [1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0], \"relevant\": [1.5]}]",
         "queries[0].relevant"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char args[512];
        snprintf(args, sizeof args,
                 "{\"name\": \"ours\", \"index_name\": \"points_v1\", \"queries\": %s}",
                 cases[i].queries);
        op_house_refuses(house, "evals.put", args, LH_INVALID);
        assert_string_equal(house->err.field, cases[i].field);
    }
    op_house_refuses(house, "evals.autogen",
                     "{\"name\": \"No/Good\", \"index_name\": \"points_v1\"}", LH_INVALID);
    op_house_refuses(house, "evals.autogen", "{\"name\": \"x\", \"index_name\": \"nothere\"}",
                     LH_NOT_FOUND);
    op_house_refuses(house, "hnsw.trial",
                     "{\"index_name\": \"points_v1\", \"harness\": \"nothere\"}", LH_NOT_FOUND);
    op_house_refuses(house, "hnsw.trial",
                     "{\"index_name\": \"points_v1\", \"config\": {\"m\": 1000}}", LH_INVALID);
}

/* --- trials */

static json_t *try_one(struct op_house *house, int construction, int search)
{
    char args[256];
    snprintf(args, sizeof args,
             "{\"index_name\": \"points_v1\", \"harness\": \"drawn\", \"config\": "
             "{\"ef_construction\": %d, \"ef_search\": %d, \"m\": 3}}",
             construction, search);
    return op_house_call(house, "hnsw.trial", args);
}

static void trials_are_listed_newest_first_in_pages_and_compared(void **state)
{
    struct op_house *house = *state;
    draw(house, "");
    char first[64], last[64];
    double few = real_of(try_one(house, 8, 10), "recall");
    snprintf(first, sizeof first, "%s", reply_text(try_one(house, 60, 200), "trial_id"));
    json_t *list = op_house_call(house, "hnsw.trials", "{\"index\": \"points_v1\", \"limit\": 1}");
    const json_t *newest = json_array_get(json_object_get(list, "items"), 0);
    assert_string_equal(reply_text(newest, "trial_id"), first);
    assert_true(real_of(newest, "recall") > few);
    char args[256];
    snprintf(args, sizeof args, "{\"index\": \"points_v1\", \"limit\": 1, \"after\": \"%s\"}",
             reply_text(list, "next"));
    list = op_house_call(house, "hnsw.trials", args);
    snprintf(last, sizeof last, "%s",
             reply_text(json_array_get(json_object_get(list, "items"), 0), "trial_id"));
    assert_string_not_equal(first, last);
    assert_true(json_is_null(json_object_get(list, "next")));
    json_t *best = op_house_call(house, "hnsw.best", "{\"index\": \"points_v1\"}");
    assert_string_equal(reply_text(json_array_get(json_object_get(best, "items"), 0), "trial_id"),
                        first);
    best = op_house_call(house, "hnsw.best", "{\"index\": \"points_v1\", \"metric\": \"pareto\"}");
    const json_t *front = json_object_get(best, "items");
    for (size_t i = 1; i < json_array_size(front); i++)
        assert_true(real_of(json_array_get(front, i), "recall") >
                    real_of(json_array_get(front, i - 1), "recall"));
    op_house_reopen(house);
    assert_string_equal(op_house_sql(house, "SELECT count(*), max(recall) > min(recall), "
                                            "list(DISTINCT index_name) FROM hnsw_trials"),
                        "[[2,true,[\"points_v1\"]]]");
    op_house_refuses(house, "hnsw.best", "{\"index\": \"nothere\"}", LH_NOT_FOUND);
}

/* More than sixty-four batches become one, and none is lost. */
static void many_trials_are_kept_in_few_files(void **state)
{
    struct op_house *house = *state;
    draw(house, ", \"queries\": 2, \"k\": 1");
    for (int i = 0; i < 70; i++)
        try_one(house, 8, 10 + i);
    assert_string_equal(op_house_sql(house, "SELECT count(*), count(DISTINCT ef_search), "
                                            "count(DISTINCT trial_id) FROM hnsw_trials"),
                        "[[70,70,70]]");
    op_house_reopen(house);
    json_t *list =
        op_house_call(house, "hnsw.trials", "{\"index\": \"points_v1\", \"limit\": 1000}");
    assert_int_equal(json_array_size(json_object_get(list, "items")), 70);
}

/* --- autotune */

static void the_best_of_the_grid_is_promoted_and_the_rest_kept(void **state)
{
    struct op_house *house = *state;
    json_t *result = op_house_call(
        house, "hnsw.autotune",
        "{\"index_name\": \"points_v1\", \"min_recall\": 0.5, \"grid\": [{\"ef_construction\": 10, "
        "\"ef_search\": 10, \"m\": 3}, {\"ef_construction\": 10, \"ef_search\": 200, \"m\": 3}]}");
    const json_t *trials = json_object_get(result, "trials");
    assert_true(is_true(result, "is_promoted"));
    assert_string_equal(reply_text(result, "harness"), "auto");
    assert_int_equal(json_array_size(trials), 2);
    assert_string_equal(reply_text(result, "winner"),
                        reply_text(json_array_get(trials, 1), "trial_id"));
    /* One graph for both. */
    assert_int_equal(reply_int(json_array_get(trials, 0), "build_ms"),
                     reply_int(json_array_get(trials, 1), "build_ms"));
    assert_memory_equal(reply_text(result, "note"), "autotune winner: recall=", 24);
    json_t *promoted = op_house_call(house, "hnsw.history", "{\"index\": \"points_v1\"}");
    assert_int_equal(reply_int(json_object_get(promoted, "config"), "ef_search"), 200);
    assert_string_equal(reply_text(json_object_get(promoted, "current"), "note"),
                        reply_text(result, "note"));
}

static void the_quickest_that_finds_enough_is_promoted_when_that_is_asked_for(void **state)
{
    static const struct {
        const char *metric, *min_recall;
        bool is_narrow;
    } cases[] = {{"latency", "0.2", true}, {"latency", "1", false}, {"recall", "0.2", false}};
    struct op_house *house = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char args[512];
        snprintf(args, sizeof args,
                 "{\"index_name\": \"points_v1\", \"metric\": \"%s\", \"min_recall\": %s, "
                 "\"grid\": [{\"ef_construction\": 10, \"ef_search\": 200, \"m\": 3}, "
                 "{\"ef_construction\": 10, \"ef_search\": 60, \"m\": 3}, "
                 "{\"ef_construction\": 10, \"ef_search\": 10, \"m\": 3}]}",
                 cases[i].metric, cases[i].min_recall);
        json_t *result = op_house_call(house, "hnsw.autotune", args);
        const json_t *trials = json_object_get(result, "trials");
        assert_true(is_true(result, "is_promoted"));
        assert_true(real_of(json_array_get(trials, 0), "recall") == 1);
        assert_true(real_of(json_array_get(trials, 2), "recall") < 1);
        for (size_t k = 0; k < 3; k++)
            assert_in_range(reply_int(json_array_get(trials, k), "evaluations"), 1, 2 * ROWS);
        json_t *promoted = op_house_call(house, "hnsw.history", "{\"index\": \"points_v1\"}");
        int64_t width = reply_int(json_object_get(promoted, "config"), "ef_search");
        assert_true((width == 10) == cases[i].is_narrow);
    }
    op_house_refuses(house, "hnsw.autotune",
                     "{\"index_name\": \"points_v1\", \"metric\": \"pareto\"}", LH_INVALID);
}

static void below_the_least_recall_nothing_is_promoted(void **state)
{
    struct op_house *house = *state;
    json_t *result = op_house_call(
        house, "hnsw.autotune",
        "{\"index_name\": \"points_v1\", \"min_recall\": 1, \"grid\": [{\"ef_construction\": 10, "
        "\"ef_search\": 10, \"m\": 2}]}");
    const json_t *trial = json_array_get(json_object_get(result, "trials"), 0);
    assert_true(real_of(trial, "recall") < 1);
    assert_false(is_true(result, "is_promoted"));
    assert_string_equal(reply_text(result, "winner"), reply_text(trial, "trial_id"));
    json_t *promoted = op_house_call(house, "hnsw.promoted", NULL);
    assert_int_equal(json_array_size(json_object_get(promoted, "items")), 0);
    static const char *const bad[] = {
        "{\"index_name\": \"points_v1\", \"min_recall\": 1.1}",
        "{\"index_name\": \"points_v1\", \"grid\": [{\"ef_construction\": 401}]}",
        "{\"index_name\": \"points_v1\", \"grid\": [{\"ef_search\": 9}]}",
    };
    for (size_t i = 0; i < 3; i++)
        op_house_refuses(house, "hnsw.autotune", bad[i], LH_INVALID);
}

static void a_second_autotune_is_refused_with_the_first_ones_id(void **state)
{
    struct op_house *house = *state;
    char args[256], job[64];
    json_t *accepted = op_house_call(
        house, "hnsw.autotune",
        "{\"index_name\": \"points_v1\", \"wait\": false, \"grid\": [{\"ef_construction\": 400, "
        "\"m\": 31}, {\"ef_construction\": 390, \"m\": 31}, {\"ef_construction\": 380, \"m\": 31}, "
        "{\"ef_construction\": 370, \"m\": 31}]}");
    assert_int_equal(house->status, 202);
    snprintf(job, sizeof job, "%s", reply_text(accepted, "job_id"));
    for (int wait = 0; wait < 2; wait++) {
        snprintf(args, sizeof args, "{\"index_name\": \"points_v1\", \"wait\": %s}",
                 wait ? "true" : "false");
        op_house_refuses(house, "hnsw.autotune", args, LH_CONFLICT);
        assert_non_null(strstr(house->err.message, job));
    }
    snprintf(args, sizeof args, "{\"id\": \"%s\"}", job);
    op_house_call(house, "jobs.cancel", args);
    for (int i = 0; i < 600; i++) {
        const char *state_now = reply_text(op_house_call(house, "jobs.get", args), "state");
        if (strcmp(state_now, "running") != 0 && strcmp(state_now, "queued") != 0)
            break;
        (void)nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    assert_string_equal(reply_text(op_house_call(house, "jobs.get", args), "state"), "cancelled");
    op_house_call(house, "hnsw.autotune",
                  "{\"index_name\": \"points_v1\", \"min_recall\": 0, \"grid\": "
                  "[{\"ef_construction\": 10, \"ef_search\": 10}]}");
}

/* --- promotions */

static void promote(struct op_house *house, const char *trial_id, const char *note)
{
    char args[512];
    snprintf(args, sizeof args,
             "{\"index\": \"points_v1\", \"trial_id\": \"%s\", \"promoted_by\": \"ann\", \"note\": "
             "\"%s\"}",
             trial_id, note);
    op_house_call(house, "hnsw.promote", args);
}

/* What builds use: its ef_search. */
static int64_t in_force(struct op_house *house)
{
    json_t *promoted = op_house_call(house, "hnsw.history", "{\"index\": \"points_v1\"}");
    return reply_int(json_object_get(promoted, "config"), "ef_search");
}

static void rollbacks_lead_back_over_what_was_rolled_back(void **state)
{
    struct op_house *house = *state;
    char trials[3][64];
    draw(house, ", \"queries\": 2");
    for (int i = 0; i < 3; i++)
        snprintf(trials[i], 64, "%s", reply_text(try_one(house, 8, 11 + i), "trial_id"));
    assert_int_equal(in_force(house), 30);
    promote(house, trials[0], "a");
    promote(house, trials[1], "b");
    promote(house, trials[1], "the same again"); /* changes nothing */
    assert_int_equal(in_force(house), 12);
    op_house_call(house, "hnsw.rollback", "{\"index\": \"points_v1\", \"note\": \"slow\"}");
    assert_int_equal(in_force(house), 11);
    promote(house, trials[2], "c");
    assert_int_equal(in_force(house), 13);
    op_house_reopen(house);
    op_house_call(house, "hnsw.rollback", "{\"index\": \"points_v1\"}");
    assert_int_equal(in_force(house), 11);
    json_t *last = op_house_call(house, "hnsw.rollback", "{\"index\": \"points_v1\"}");
    assert_null(json_object_get(last, "config"));
    assert_true(json_is_null(json_object_get(last, "recall")));
    assert_int_equal(in_force(house), 30);
    op_house_refuses(house, "hnsw.rollback", "{\"index\": \"points_v1\"}", LH_CONFLICT);
    assert_string_equal(
        op_house_sql(house,
                     "SELECT list(event || ' ' || coalesce(ef_search::VARCHAR, '-') ORDER BY "
                     "promotion_id) FROM hnsw_promotions"),
        "[[[\"promoted 11\",\"promoted 12\",\"rolled_back 11\",\"promoted 13\",\"rolled_back "
        "11\",\"rolled_back -\"]]]");
    assert_string_equal(
        op_house_sql(house, "SELECT count(*) FROM hnsw_promotions WHERE is_current"), "[[0]]");
    promote(house, trials[0], "again");
    json_t *history = op_house_call(house, "hnsw.history", "{\"index\": \"points_v1\"}");
    assert_int_equal(json_array_size(json_object_get(history, "history")), 7);
    assert_string_equal(reply_text(json_object_get(history, "current"), "promoted_by"), "ann");
    op_house_refuses(house, "hnsw.promote", "{\"index\": \"points_v1\", \"trial_id\": \"nothere\"}",
                     LH_NOT_FOUND);
}

static void what_is_promoted_stays_when_the_index_is_made_anew(void **state)
{
    struct op_house *house = *state;
    draw(house, ", \"queries\": 2");
    promote(house, reply_text(try_one(house, 8, 77), "trial_id"), "");
    bring(house, ROWS, ROWS + 5, "append");
    op_house_call(house, "vectors.refresh", "{\"dataset\": \"points\"}");
    op_house_call(house, "vectors.refresh", "{\"dataset\": \"points\", \"from_scratch\": true}");
    op_house_call(house, "vectors.update", "{\"name\": \"points_v1\", \"new_name\": \"dots\"}");
    json_t *promoted = op_house_call(house, "hnsw.promoted", NULL);
    const json_t *one = json_array_get(json_object_get(promoted, "items"), 0);
    assert_string_equal(reply_text(one, "index_name"), "dots");
    assert_int_equal(reply_int(json_object_get(one, "config"), "ef_search"), 77);
    /* Trials were made on other vectors: none is the best of today's. */
    op_house_refuses(house, "hnsw.best", "{\"index\": \"dots\"}", LH_NOT_FOUND);
    json_t *stats = op_house_call(house, "hnsw.cache", NULL);
    assert_int_equal(reply_int(stats, "loaded"), 1);
    op_house_call(house, "vectors.delete", "{\"name\": \"dots\"}");
    assert_string_equal(op_house_sql(house, "SELECT (SELECT count(*) FROM hnsw_trials) + (SELECT "
                                            "count(*) FROM hnsw_promotions)"),
                        "[[0]]");
}

/* --- erasure */

static void erased_rows_are_in_no_eval_set_any_more(void **state)
{
    struct op_house *house = *state;
    draw(house, ", \"queries\": 400");
    op_house_call(house, "evals.put",
                  "{\"name\": \"ours\", \"index_name\": \"points_v1\", \"queries\": [{\"vector\": "
                  "[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0], \"relevant\": [7]}, {\"vector\": "
                  "[0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0], \"relevant\": [8]}]}");
    promote(house, reply_text(try_one(house, 8, 11), "trial_id"), "it found 7");
    json_t *receipt = op_house_call(house, "catalog.erase",
                                    "{\"dataset\": \"points\", \"row_key_column\": \"id\", "
                                    "\"row_key_values\": [7], \"actor\": \"ann\", \"reason\": "
                                    "\"asked for\", \"wait\": true}");
    assert_string_equal(reply_text(receipt, "state"), "erased");
    op_house_refuses(house, "evals.get", "{\"name\": \"drawn\", \"index_name\": \"points_v1\"}",
                     LH_NOT_FOUND);
    json_t *set =
        op_house_call(house, "evals.get", "{\"name\": \"ours\", \"index_name\": \"points_v1\"}");
    assert_int_equal(reply_int(set, "query_count"), 1);
    json_t *promoted = op_house_call(house, "hnsw.history", "{\"index\": \"points_v1\"}");
    assert_string_equal(reply_text(json_object_get(promoted, "current"), "note"), "erased");
    assert_string_equal(op_house_sql(house, "SELECT list(note) FROM hnsw_promotions"),
                        "[[[\"erased\"]]]");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, remove_house)
    const struct CMUnitTest tests[] = {
        TEST(what_is_drawn_is_what_is_nearest_without_the_row_itself),
        TEST(equal_seeds_draw_equal_rows_and_other_seeds_others),
        TEST(a_set_says_when_it_is_stale_and_why),
        TEST(labels_are_measured_beside_the_recall_of_the_graph),
        TEST(what_is_wrong_with_a_set_is_told),
        TEST(trials_are_listed_newest_first_in_pages_and_compared),
        TEST(many_trials_are_kept_in_few_files),
        TEST(the_best_of_the_grid_is_promoted_and_the_rest_kept),
        TEST(the_quickest_that_finds_enough_is_promoted_when_that_is_asked_for),
        TEST(below_the_least_recall_nothing_is_promoted),
        TEST(a_second_autotune_is_refused_with_the_first_ones_id),
        TEST(rollbacks_lead_back_over_what_was_rolled_back),
        TEST(what_is_promoted_stays_when_the_index_is_made_anew),
        TEST(erased_rows_are_in_no_eval_set_any_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
