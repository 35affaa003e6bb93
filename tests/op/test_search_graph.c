/* Indexes that are large enough are searched through a graph: what it finds, what it must never
 * find, what happens to it when rows come and go, when its file is damaged, when it is asked for
 * odd things. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "search/ask.h"
#include "search/vectors.h"
#include "storage/storage.h"
#include "support/op_house.h"

#define GRAPH_ROWS 200
#define ROWS 1200
#define DIMENSIONS 16

static int set_up(void **state)
{
    if (op_house_set_up(state))
        return 1;
    struct op_house *house = *state;
    house->settings.search.graph_rows = GRAPH_ROWS;
    op_house_reopen(house);
    return 0;
}

/* --- rows */

static uint64_t bits = 7;
static double next_number(void)
{
    bits = bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(int64_t)(bits >> 11) / (double)(INT64_C(1) << 52) - 1;
}

static void write_vector(struct lh_buf *json)
{
    for (int i = 0; i < DIMENSIONS; i++)
        lh_buf_printf(json, "%s%.4f", i ? "," : "[", next_number());
    lh_buf_append_char(json, ']');
}

/* Rows with the ids from … to - 1, as NDJSON. */
static void add_rows(struct op_house *house, int from, int to, const char *mode)
{
    struct lh_buf rows;
    lh_buf_init(&rows, (size_t)8 << 20);
    for (int id = from; id < to; id++) {
        lh_buf_printf(&rows, "{\"id\":%d,\"kind\":%d,\"v\":", id, id % 10);
        write_vector(&rows);
        lh_buf_append_str(&rows, lh_lit("}\n"));
    }
    char args[128];
    snprintf(args, sizeof args, "{\"dataset\": \"points\", \"mode\": \"%s\"}", mode);
    if (op_house_try_file(house, "ingest.file", args, "points.ndjson", rows.data, rows.len))
        fail_msg("%s", house->err.message);
    lh_buf_release(&rows);
}

static void make_index(struct op_house *house)
{
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"points_v1\", \"dataset\": \"points\", \"id_column\": \"id\", "
                  "\"vector_column\": \"v\"}");
}

static void refresh(struct op_house *house)
{
    op_house_call(house, "vectors.refresh",
                  "{\"dataset\": \"points\", \"index_name\": \"points_v1\"}");
}

static json_t *info(struct op_house *house)
{
    return op_house_call(house, "vectors.get", "{\"name\": \"points_v1\"}");
}

/* --- asking */

static json_t *search(struct op_house *house, const char *vector, const char *more)
{
    char args[4096];
    snprintf(args, sizeof args, "{\"index\": \"points_v1\", \"vector\": %s%s}", vector, more);
    return op_house_call(house, "vectors.search", args);
}

static const char *some_vector(void)
{
    static char text[1024];
    struct lh_buf json;
    lh_buf_init(&json, sizeof text);
    write_vector(&json);
    snprintf(text, sizeof text, "%.*s", LH_ARG(lh_buf_str(&json)));
    lh_buf_release(&json);
    return text;
}

static json_int_t id_at(const json_t *reply, size_t at)
{
    return reply_int(json_array_get(json_object_get(reply, "items"), at), "id");
}

static size_t count_of(const json_t *reply)
{
    return json_array_size(json_object_get(reply, "items"));
}

static bool has_id(const json_t *reply, json_int_t id)
{
    for (size_t i = 0; i < count_of(reply); i++)
        if (id_at(reply, i) == id)
            return true;
    return false;
}

static const char *method_of(const json_t *reply)
{
    return reply_text(reply, "method");
}

/* Of what looking at all finds, how much the graph finds. */
static double recall_of(struct op_house *house, const char *more, int questions)
{
    int right = 0, wanted = 0;
    for (int q = 0; q < questions; q++) {
        char exactly[512];
        const char *vector = some_vector();
        snprintf(exactly, sizeof exactly, "%s, \"exact\": true", more);
        const json_t *truth = search(house, vector, exactly), *found = search(house, vector, more);
        assert_string_equal(method_of(truth), "exact");
        assert_int_equal(count_of(truth), count_of(found));
        for (size_t i = 0; i < count_of(truth); i++)
            right += has_id(found, id_at(truth, i));
        wanted += (int)count_of(truth);
    }
    return (double)right / wanted;
}

/* --- the tests */

static void a_large_index_is_searched_through_a_graph_and_says_how_much_it_finds(void **state)
{
    struct op_house *house = *state;
    add_rows(house, 0, ROWS, "create");
    make_index(house);
    const json_t *told = info(house), *graph = json_object_get(told, "graph");
    assert_string_equal(reply_text(told, "backend"), "hnsw");
    assert_int_equal(reply_int(graph, "rows"), ROWS);
    assert_int_equal(reply_int(graph, "sample"), 100);
    double recall = json_real_value(json_object_get(graph, "recall"));
    assert_true(recall >= 0.95);
    const json_t *reply = search(house, some_vector(), "");
    assert_string_equal(method_of(reply), "hnsw");
    assert_int_equal(count_of(reply), 10);
    assert_true(json_real_value(json_object_get(reply, "recall")) == recall);
    assert_int_equal(reply_int(reply, "recall_sample"), 100);
    assert_true(recall_of(house, "", 40) >= 0.95);
}

static void a_small_index_has_none_and_is_searched_exactly(void **state)
{
    struct op_house *house = *state;
    add_rows(house, 0, GRAPH_ROWS - 1, "create");
    make_index(house);
    assert_null(json_object_get(info(house), "graph"));
    const json_t *reply = search(house, some_vector(), "");
    assert_string_equal(method_of(reply), "exact");
    assert_true(json_real_value(json_object_get(reply, "recall")) == 1);
    assert_null(json_object_get(reply, "recall_sample"));
    /* One row more, and the next refresh makes one. */
    add_rows(house, GRAPH_ROWS - 1, GRAPH_ROWS, "append");
    refresh(house);
    assert_non_null(json_object_get(info(house), "graph"));
}

static void a_row_that_is_deleted_is_gone_at_once_and_one_that_comes_is_there(void **state)
{
    struct op_house *house = *state;
    char args[256];
    add_rows(house, 0, ROWS, "create");
    make_index(house);
    for (int turn = 0; turn < 5; turn++) {
        const char *vector = some_vector();
        json_int_t id = id_at(search(house, vector, ""), 0);
        snprintf(args, sizeof args,
                 "{\"name\": \"points\", \"row_key_column\": \"id\", \"row_key_values\": "
                 "[%lld]}",
                 (long long)id);
        op_house_call(house, "datasets.tombstone", args);
        const json_t *reply = search(house, vector, ", \"k\": 20");
        assert_false(has_id(reply, id));
        assert_int_equal(count_of(reply), 20);
        assert_string_equal(method_of(reply), "hnsw");
    }
    add_rows(house, ROWS, ROWS + 50, "append");
    const json_t *all = search(house, some_vector(), ", \"k\": 10000");
    assert_int_equal(count_of(all), ROWS + 50 - 5);
    assert_true(recall_of(house, "", 20) >= 0.95);
    refresh(house);
    assert_int_equal(reply_int(json_object_get(info(house), "graph"), "rows"), ROWS);
    assert_int_equal(count_of(search(house, some_vector(), ", \"k\": 10000")), ROWS + 50 - 5);
    assert_true(recall_of(house, "", 20) >= 0.95);
}

static void many_new_rows_extend_the_graph_and_many_gone_ones_make_it_anew(void **state)
{
    struct op_house *house = *state;
    add_rows(house, 0, ROWS, "create");
    make_index(house);
    add_rows(house, ROWS, ROWS + 1300, "append");
    refresh(house);
    assert_int_equal(reply_int(json_object_get(info(house), "graph"), "rows"), ROWS + 1300);
    assert_int_equal(reply_int(json_object_get(info(house), "graph"), "tail"), 0);
    assert_true(recall_of(house, "", 20) >= 0.95);
    add_rows(house, 0, 700, "replace");
    refresh(house);
    assert_int_equal(count_of(search(house, some_vector(), ", \"k\": 10000")), 700);
    assert_true(recall_of(house, "", 20) >= 0.95);
    add_rows(house, 0, 40, "replace");
    refresh(house);
    assert_int_equal(count_of(search(house, some_vector(), ", \"k\": 10000")), 40);
    assert_string_equal(method_of(search(house, some_vector(), "")), "exact");
}

static void filters_leave_k_rows_if_k_exist(void **state)
{
    static const struct {
        const char *filter;
        size_t count;
    } filters[] = {{"kind < 9", 10},     {"kind = 3", 10},      {"id = 77", 1},
                   {"id < 7", 7},        {"id < 0", 0},         {"id >= 0", 10},
                   {"id % 100 = 0", 10}, {"kind IN (1, 2)", 10}};
    struct op_house *house = *state;
    add_rows(house, 0, ROWS, "create");
    make_index(house);
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        char more[128];
        snprintf(more, sizeof more, ", \"sql_filter\": \"%s\"", filters[i].filter);
        assert_int_equal(count_of(search(house, some_vector(), more)), filters[i].count);
        if (filters[i].count)
            assert_true(recall_of(house, more, 10) >= 0.95);
    }
}

static void odd_questions_get_right_answers(void **state)
{
    struct op_house *house = *state;
    add_rows(house, 0, ROWS, "create");
    make_index(house);
    const char *zero = "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]";
    assert_int_equal(count_of(search(house, some_vector(), ", \"k\": 10000")), ROWS);
    assert_int_equal(count_of(search(house, some_vector(), ", \"k\": 0")), 0);
    assert_int_equal(count_of(search(house, some_vector(), ", \"k\": 50, \"ef\": 1")), 50);
    assert_int_equal(count_of(search(house, some_vector(), ", \"ef\": 65536")), 10);
    assert_int_equal(count_of(search(house, zero, "")), 0);
    const json_t *narrow = search(house, some_vector(), ", \"ef\": 1");
    assert_true(json_is_null(json_object_get(narrow, "recall")));
    op_house_refuses(house, "vectors.search",
                     "{\"index\": \"points_v1\", \"vector\": [1, 2], \"ef\": 30}", LH_INVALID);
    op_house_refuses(house, "vectors.search",
                     "{\"index\": \"points_v1\", \"vector\": [1], \"ef\": 65537}", LH_INVALID);
    char args[512];
    snprintf(args, sizeof args,
             "{\"index\": \"points_v1\", \"vector\": %s, \"ef\": 30, \"exact\": true}", zero);
    op_house_refuses(house, "vectors.search", args, LH_INVALID);
}

static void equal_rows_and_rows_without_length_hide_nothing(void **state)
{
    struct op_house *house = *state;
    struct lh_buf rows;
    lh_buf_init(&rows, (size_t)4 << 20);
    for (int id = 0; id < ROWS; id++) {
        lh_buf_printf(&rows, "{\"id\":%d,\"v\":", id);
        if (id % 3 == 0)
            lh_buf_append_str(&rows, lh_lit("[1,0,0,0]"));
        else if (id % 3 == 1)
            lh_buf_append_str(&rows, lh_lit("[0,0,0,0]"));
        else
            lh_buf_printf(&rows, "[%.3f,%.3f,%.3f,1]", next_number(), next_number(), next_number());
        lh_buf_append_str(&rows, lh_lit("}\n"));
    }
    const char *args = "{\"dataset\": \"points\", \"mode\": \"create\"}";
    assert_int_equal(op_house_try_file(house, "ingest.file", args, "p.ndjson", rows.data, rows.len),
                     LH_OK);
    lh_buf_release(&rows);
    make_index(house);
    assert_int_equal(reply_int(json_object_get(info(house), "graph"), "rows"), ROWS / 3 * 2);
    const json_t *equal = search(house, "[1,0,0,0]", ", \"k\": 20");
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(id_at(equal, i), 3 * i); /* ties by id */
    assert_int_equal(count_of(search(house, "[0,0,0,1]", ", \"k\": 400")), 400);
    assert_int_equal(id_at(search(house, "[0,0,0,1]", ""), 0) % 3, 2);
}

static void a_restart_finds_the_graph(void **state)
{
    struct op_house *house = *state;
    add_rows(house, 0, ROWS, "create");
    make_index(house);
    const char *vector = some_vector();
    char *before = json_dumps(json_object_get(search(house, vector, ""), "items"), 0);
    op_house_reopen(house);
    json_t *reply = search(house, vector, "");
    assert_string_equal(method_of(reply), "hnsw");
    char *after = json_dumps(json_object_get(reply, "items"), 0);
    assert_non_null(before);
    assert_string_equal(before, after);
    free(before);
    free(after);
}

/* --- damage */

/* The path of the only graph file of all indexes; "": there is none. */
static const char *graph_path(const struct op_house *house)
{
    static char path[8192];
    char command[8192];
    snprintf(command, sizeof command, "find '%s/lake/indexes' -name '*.graph'", house->folder.path);
    FILE *found = popen(command, "r");
    assert_non_null(found);
    path[0] = 0;
    size_t count = fread(path, 1, sizeof path - 1, found);
    path[count] = 0;
    pclose(found);
    assert_true(!count || strchr(path, '\n') == path + count - 1); /* one at most */
    path[count ? count - 1 : 0] = 0;
    return path;
}

/* One byte of each block of nodes and links. */
static void flip_blocks(const char *path)
{
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    for (long at = 4096 + 100; fseek(file, at, SEEK_SET) == 0; at += 4096) {
        int byte = fgetc(file);
        if (byte == EOF)
            break;
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        fputc(byte ^ 16, file);
    }
    fclose(file);
}

static void cut(const char *path)
{
    assert_int_equal(truncate(path, 4096 * 3), 0);
}

static void take_away(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

static bool is_degraded_by_index(struct op_house *house)
{
    json_t *health = op_house_call(house, "system.health", "{}");
    return strcmp(reply_text(health, "status"), "degraded") == 0;
}

/* A background job makes it anew. */
static void wait_for_graph(struct op_house *house)
{
    const struct timespec pause = {0, 50 * 1000000L};
    for (int i = 0; i < 600; i++) {
        if (strcmp(method_of(search(house, some_vector(), "")), "hnsw") == 0 &&
            !is_degraded_by_index(house))
            return;
        nanosleep(&pause, NULL);
    }
    fail_msg("the graph is not made anew");
}

static void a_damaged_graph_answers_nothing_and_is_made_anew(void **state)
{
    static void (*const ways[])(const char *path) = {flip_blocks, cut, take_away};
    struct op_house *house = *state;
    add_rows(house, 0, ROWS, "create");
    make_index(house);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const char *vector = some_vector();
        const json_t *truth = search(house, vector, ", \"exact\": true");
        ways[i](graph_path(house));
        op_house_reopen(house);
        const json_t *reply = search(house, vector, "");
        if (strcmp(method_of(reply), "exact") == 0) { /* else it was made anew by now */
            assert_true(
                json_equal(json_object_get(truth, "items"), json_object_get(reply, "items")));
            assert_true(is_degraded_by_index(house) ||
                        strcmp(method_of(search(house, vector, "")), "hnsw") == 0);
        }
        wait_for_graph(house);
        assert_true(recall_of(house, "", 10) >= 0.95);
    }
}

/* --- what other modules use */

static void what_is_promoted_takes_the_place_of_the_graph(void **state)
{
    struct op_house *house = *state;
    char before[8192], args[256];
    add_rows(house, 0, ROWS, "create");
    make_index(house);
    snprintf(before, sizeof before, "%s", graph_path(house));
    op_house_call(house, "evals.autogen",
                  "{\"name\": \"drawn\", \"index_name\": \"points_v1\", \"queries\": 5}");
    const json_t *trial =
        op_house_call(house, "hnsw.trial",
                      "{\"index_name\": \"points_v1\", \"harness\": \"drawn\", \"config\": "
                      "{\"ef_construction\": 120, \"ef_search\": 40, \"m\": 8}}");
    snprintf(args, sizeof args, "{\"index\": \"points_v1\", \"trial_id\": \"%s\"}",
             reply_text(trial, "trial_id"));
    op_house_call(house, "hnsw.promote", args);
    assert_string_not_equal(graph_path(house), before);
    for (int turn = 0; turn < 2; turn++) {
        const json_t *graph = json_object_get(info(house), "graph");
        assert_int_equal(reply_int(json_object_get(graph, "configuration"), "ef_construction"),
                         120);
        assert_int_equal(reply_int(graph, "ef_search"), 40);
        const json_t *reply = search(house, some_vector(), "");
        assert_string_equal(method_of(reply), "hnsw");
        assert_int_equal(reply_int(reply, "ef"), 40);
        op_house_reopen(house);
        if (!turn)
            op_house_call(house, "vectors.rebuild", "{}");
    }
    op_house_call(house, "hnsw.rollback", "{\"index\": \"points_v1\"}");
    const json_t *graph = json_object_get(info(house), "graph");
    assert_int_equal(reply_int(json_object_get(graph, "configuration"), "ef_construction"), 80);
    assert_string_equal(method_of(search(house, some_vector(), "")), "hnsw");
}

/* --- erasure, memory, threads */

static void an_erasure_leaves_no_graph_that_knew_the_row(void **state)
{
    struct op_house *house = *state;
    char before[8192], command[9000];
    add_rows(house, 0, ROWS, "create");
    make_index(house);
    const char *vector = some_vector();
    char found[4096];
    snprintf(found, sizeof found, "%s", vector);
    json_int_t id = id_at(search(house, found, ""), 0);
    snprintf(before, sizeof before, "%s", graph_path(house));
    char args[256];
    snprintf(args, sizeof args,
             "{\"dataset\": \"points\", \"row_key_column\": \"id\", \"row_key_values\": [%lld]}",
             (long long)id);
    op_house_call(house, "catalog.erase", args);
    assert_false(has_id(search(house, found, ", \"k\": 50"), id));
    assert_string_equal(method_of(search(house, found, "")), "hnsw");
    assert_string_not_equal(graph_path(house), before);
    snprintf(command, sizeof command, "test -z \"$(find '%s/lake' -name '%s*')\"",
             house->folder.path, strrchr(before, '/') + 1);
    assert_int_equal(system(command), 0); /* not in the trash either */
}

static void where_there_is_no_memory_for_a_graph_all_are_looked_at(void **state)
{
    struct op_house *house = *state;
    struct search_memory *items = NULL;
    size_t count = 0;
    char limit[32];
    add_rows(house, 0, ROWS, "create");
    make_index(house);
    (void)search(house, some_vector(), "");
    search_memory_list(lake_search(house->lake), house->arena, &items, &count);
    assert_int_equal(count, 1);
    assert_true(items[0].graph_bytes > 0);
    snprintf(limit, sizeof limit, "%lldKB",
             (long long)(items[0].bytes - items[0].graph_bytes / 2) / 1024);
    house->settings.search.memory_limit = lh_str_of(limit);
    op_house_reopen(house);
    const json_t *reply = search(house, some_vector(), "");
    assert_string_equal(method_of(reply), "exact");
    assert_int_equal(count_of(reply), 10);
    assert_false(is_degraded_by_index(house));
    house->settings.search.memory_limit = (struct lh_str){0};
    op_house_reopen(house);
    assert_string_equal(method_of(search(house, some_vector(), "")), "hnsw");
}

struct searching {
    struct search *search;
    atomic_bool is_over;
    atomic_int answered, by_graph;
};

static void *search_on(void *context)
{
    struct searching *of = context;
    const struct timespec pause = {0, 5 * 1000000L};
    uint64_t seed = (uint64_t)(uintptr_t)&seed;
    while (!atomic_load(&of->is_over)) {
        float vector[DIMENSIONS];
        struct lh_arena *arena = lh_arena_new(0);
        struct search_answer answer;
        struct lh_error err = LH_ERROR_NONE;
        for (size_t i = 0; i < DIMENSIONS; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1;
            vector[i] = (float)(int32_t)(seed >> 32);
        }
        const struct search_ask ask = {
            .index = lh_lit("points_v1"), .vector = vector, .vector_count = DIMENSIONS, .k = 10};
        if (search_run(of->search, &ask, NULL, arena, &answer, &err))
            fail_msg("%s", err.message);
        assert_int_equal(answer.hit_count, 10);
        for (size_t i = 1; i < 10; i++)
            assert_true(answer.hits[i - 1].score >= answer.hits[i].score);
        nanosleep(&pause, NULL); /* whoever makes a graph gives way to searches */
        atomic_fetch_add(&of->answered, 1);
        atomic_fetch_add(&of->by_graph, strcmp(answer.method, "hnsw") == 0);
        lh_arena_free(arena);
    }
    return NULL;
}

static void searches_go_on_while_graphs_come_and_go(void **state)
{
    struct op_house *house = *state;
    pthread_t threads[3];
    if (!getenv("LAKEHOUSE_LONG")) /* who makes a graph gives way to searches: it takes a while */
        skip();
    add_rows(house, 0, ROWS, "create");
    make_index(house);
    struct searching of = {.search = lake_search(house->lake)};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, search_on, &of), 0);
    add_rows(house, ROWS, ROWS + 1200, "append");
    refresh(house);
    add_rows(house, 0, 900, "replace");
    refresh(house);
    op_house_call(house, "vectors.rebuild", "{}");
    atomic_store(&of.is_over, true);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_true(atomic_load(&of.answered) > 0);
    assert_true(atomic_load(&of.by_graph) > 0);
    assert_int_equal(count_of(search(house, some_vector(), ", \"k\": 10000")), 900);
}

static void vectors_held_still_are_those_that_are_searched(void **state)
{
    struct op_house *house = *state;
    struct search_vectors *vectors = NULL;
    struct lh_error err = LH_ERROR_NONE;
    struct graph *graph = NULL;
    const struct search_configuration configuration = search_configuration_preset();
    add_rows(house, 0, ROWS, "create");
    make_index(house);
    op_house_call(house, "datasets.tombstone",
                  "{\"name\": \"points\", \"row_key_column\": \"id\", \"row_key_values\": [7, 8]}");
    assert_int_equal(
        search_vectors_open(lake_search(house->lake), lh_lit("points_v1"), NULL, &vectors, &err),
        LH_OK);
    const struct search_vectors_info *told = search_vectors_info(vectors);
    assert_int_equal(told->live, ROWS - 2);
    assert_int_equal(told->dimensions, DIMENSIONS);
    assert_int_equal(search_vectors_graph(vectors, &configuration, NULL, &graph, &err), LH_OK);
    assert_int_equal(graph_state(graph).rows - graph_state(graph).deleted, ROWS - 2);
    assert_int_equal(graph_check(graph, &err), LH_OK);
    for (size_t number = 0; number < told->end; number += 97) {
        const float *row = search_vectors_at(vectors, number);
        struct graph_hit truth[5], found[5];
        size_t count = 0;
        if (!row)
            continue;
        assert_int_equal(search_vectors_nearest(vectors, row, 5, SIZE_MAX, truth, &count, &err),
                         LH_OK);
        assert_int_equal(count, 5);
        assert_int_equal(truth[0].row, number);
        assert_int_equal(search_vectors_nearest(vectors, row, 4, number, found, &count, &err),
                         LH_OK);
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(found[i].row, truth[i + 1].row);
            assert_true(found[i].score == truth[i + 1].score);
        }
        const struct graph_ask ask = {.k = 5, .width = 200};
        assert_int_equal(graph_search(graph, row, &ask, found, &count, NULL, &err), LH_OK);
        assert_int_equal(found[0].row, number);
        assert_true(found[0].score == truth[0].score);
    }
    graph_free(graph);
    search_vectors_close(vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, op_house_tear_down)
        TEST(a_large_index_is_searched_through_a_graph_and_says_how_much_it_finds),
        TEST(a_small_index_has_none_and_is_searched_exactly),
        TEST(a_row_that_is_deleted_is_gone_at_once_and_one_that_comes_is_there),
        TEST(many_new_rows_extend_the_graph_and_many_gone_ones_make_it_anew),
        TEST(filters_leave_k_rows_if_k_exist),
        TEST(odd_questions_get_right_answers),
        TEST(equal_rows_and_rows_without_length_hide_nothing),
        TEST(a_restart_finds_the_graph),
        TEST(a_damaged_graph_answers_nothing_and_is_made_anew),
        TEST(what_is_promoted_takes_the_place_of_the_graph),
        TEST(an_erasure_leaves_no_graph_that_knew_the_row),
        TEST(where_there_is_no_memory_for_a_graph_all_are_looked_at),
        TEST(searches_go_on_while_graphs_come_and_go),
        TEST(vectors_held_still_are_those_that_are_searched),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
