/* SIGKILL at every fault point of an index that gets a graph: a child builds it, appends so many
 * rows that the graph is extended, takes many of them away again, makes it anew, and is killed at
 * the first, second, third … point until it lives through. The next start answers for every row of
 * the dataset, once, whether by a graph or not; a refresh later there is a graph, and finds them.
 *
 * LAKEHOUSE_LONG: every point; else every STRIDE-th, and the second of each name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "support/fault_ways.h"
#include "support/kept_engine.h"
#include "support/killed_child.h"
#include "support/op_house.h"

#ifdef LH_FAULTS

#define STRIDE 200
#define GRAPH_ROWS 300
#define REFRESH "{\"dataset\": \"points\", \"index_name\": \"kept\"}"
#define STEP_COUNT 4

/* Vectors of two numbers, around a circle: who is near whom is plain to see. */
static void bring(struct op_house *house, int from, int to, const char *mode)
{
    struct lh_buf rows;
    char args[128];
    lh_buf_init(&rows, (size_t)1 << 20);
    for (int id = from; id < to; id++)
        lh_buf_printf(&rows, "{\"id\":%d,\"v\":[%d.5,%d.5]}\n", id, id % 50 - 25, id / 50 + 1);
    snprintf(args, sizeof(args), "{\"dataset\": \"points\", \"mode\": \"%s\"}", mode);
    if (op_house_try_file(house, "ingest.file", args, "p.ndjson", rows.data, rows.len))
        fail_msg("%s", house->err.message);
    lh_buf_release(&rows);
}

static int live(const char *folder)
{
    struct op_house house = {.graph_rows = GRAPH_ROWS};
    op_house_open(&house, lh_str_of(folder));
    op_house_call(&house, "vectors.refresh",
                  "{\"dataset\": \"points\", \"index_name\": \"kept\", \"id_column\": \"id\", "
                  "\"vector_column\": \"v\"}");
    bool is_heard = killed_child_acknowledge();
    bring(&house, 700, 1800, "append");
    op_house_call(&house, "vectors.refresh", REFRESH);
    is_heard = is_heard && killed_child_acknowledge();
    bring(&house, 0, 1000, "replace");
    op_house_call(&house, "vectors.refresh", REFRESH);
    is_heard = is_heard && killed_child_acknowledge();
    op_house_call(&house, "vectors.rebuild", "{}");
    is_heard = is_heard && killed_child_acknowledge();
    lake_close(house.lake);
    lh_arena_free(house.arena);
    return is_heard ? killed_child_end() : 1;
}

/* --- the parent */

static const json_t *ask(struct op_house *house, const char *more)
{
    char args[256];
    snprintf(args, sizeof(args), "{\"index\": \"kept\", \"vector\": [-3, 7]%s}", more);
    return op_house_call(house, "vectors.search", args);
}

static void check_index(struct op_house *house, const char *plan)
{
    int64_t rows = atoll(op_house_sql(house, "SELECT count(*) FROM points") + 2);
    const json_t *all = json_object_get(ask(house, ", \"k\": 10000"), "items");
    const json_t *ten = json_object_get(ask(house, ""), "items");
    if ((int64_t)json_array_size(all) != rows || json_array_size(ten) != 10)
        fail_msg("%s: %zu rows and %zu of ten are found, the dataset has %lld", plan,
                 json_array_size(all), json_array_size(ten), (long long)rows);
    /* The best are the best: a graph over a circle finds them. */
    if (json_real_value(json_object_get(json_array_get(ten, 0), "score")) !=
        json_real_value(json_object_get(json_array_get(all, 0), "score")))
        fail_msg("%s: the nearest row is not found", plan);
}

static void check_lake(const char *folder, const char *plan)
{
    struct op_house house = {.graph_rows = GRAPH_ROWS};
    op_house_open(&house, lh_str_of(folder));
    json_t *listed = op_house_call(&house, "vectors.list", "{}");
    if (json_array_size(json_object_get(listed, "items"))) {
        const json_t *index = json_array_get(json_object_get(listed, "items"), 0);
        if (strcmp(reply_text(index, "state"), "ready") == 0)
            check_index(&house, plan);
    }
    if (op_house_try(&house, "vectors.refresh",
                     "{\"dataset\": \"points\", \"index_name\": \"kept\", \"id_column\": \"id\", "
                     "\"vector_column\": \"v\"}") == LH_OK) { /* else a job goes on with it */
        check_index(&house, plan);
        const json_t *index = op_house_call(&house, "vectors.get", "{\"name\": \"kept\"}");
        if (!json_object_get(index, "graph"))
            fail_msg("%s: there is no graph after a refresh", plan);
    }
    op_house_close(&house); /* verifies */
}

static struct killed_ending one_life(const void *context, const char *plan)
{
    const struct temp_lake *folder = context;
    struct temp_lake own;
    char base[4200], lake[4200];
    temp_lake_make(&own);
    snprintf(base, sizeof(base), "%s/lake", folder->path);
    snprintf(lake, sizeof(lake), "%s/lake", own.path);
    temp_lake_copy(base, lake);
    struct killed_ending ending = killed_child_run("--live", lake, plan);
    check_lake(lake, plan);
    temp_lake_remove(&own);
    return ending;
}

static void a_graph_may_be_killed_anywhere(void **state)
{
    struct op_house house;
    (void)state;
    op_house_make(&house);
    bring(&house, 0, 700, "create");
    op_house_close(&house);
    struct killed_lives lives = killed_everywhere(one_life, &house.folder, STEP_COUNT, STRIDE, 2);
    assert_true(lives.kills > 8);
    printf("figure: graphs killed: %zu points under %zu names in one life, %u kills (every %u), "
           "every row found once afterwards\n",
           lives.peace.point_count, lives.peace.name_count, lives.kills, lives.step);
    temp_lake_remove(&house.folder);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--live") == 0)
        return live(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_graph_may_be_killed_anywhere),
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
