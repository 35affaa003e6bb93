/* An index with a graph, an eval set and a trial goes to another bucket and back: its calls to the
 * file system fail, and are the places of kills. Wherever that is, the next start finds the index
 * whole, in the one bucket or the other, as was acknowledged; its records are with it; and
 * the next move leaves nothing behind.
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
#include "storage/storage.h"
#include "support/fault_ways.h"
#include "support/killed_child.h"
#include "support/op_house.h"

#ifdef LH_FAULTS

#define STRIDE 25
#define ROWS 300
#define POINTS_MAX 4000
#define STEP_COUNT 3 /* the bucket, there, and back */
#define THERE "{\"name\": \"kept\", \"bucket\": \"other\"}"
#define BACK "{\"name\": \"kept\", \"bucket\": \"primary\"}"

static void make_base(struct temp_lake *folder)
{
    struct op_house house_of = {.graph_rows = ROWS / 2}, *house = &house_of;
    struct lh_buf rows;
    char path[4200];
    temp_lake_make(folder);
    snprintf(path, sizeof path, "%s/lake", folder->path);
    op_house_open(house, lh_str_of(path));
    lh_buf_init(&rows, (size_t)1 << 20);
    for (int id = 0; id < ROWS; id++)
        lh_buf_printf(&rows, "{\"id\":%d,\"v\":[%d.5,%d.5]}\n", id, id % 50 - 25, id / 50 + 1);
    if (op_house_try_file(house, "ingest.file", "{\"dataset\": \"points\"}", "p.ndjson", rows.data,
                          rows.len))
        fail_msg("%s", house->err.message);
    lh_buf_release(&rows);
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"kept\", \"dataset\": \"points\", \"id_column\": \"id\", "
                  "\"vector_column\": \"v\"}");
    op_house_call(house, "evals.autogen",
                  "{\"name\": \"drawn\", \"index_name\": \"kept\", \"queries\": 5, \"k\": 3}");
    op_house_call(house, "hnsw.trial",
                  "{\"index_name\": \"kept\", \"harness\": \"drawn\", \"config\": {\"ef_search\": "
                  "40}}");
    const json_t *index = op_house_call(house, "vectors.get", "{\"name\": \"kept\"}");
    assert_true(json_is_object(json_object_get(index, "graph")));
    op_house_close(house);
}

static enum lh_code make_bucket(struct op_house *house, const char *folder)
{
    char args[4400];
    snprintf(args, sizeof args, "{\"name\": \"other\", \"root\": \"%s-other\"}", folder);
    return op_house_try(house, "buckets.create", args);
}

/* --- what is left */

static enum lh_code count_one(void *context, const struct storage_entry *entry,
                              struct lh_error *err)
{
    (void)err;
    *(size_t *)context += !lh_str_starts_with(entry->name, lh_lit("keyword"));
    return LH_OK;
}

static size_t count_files(struct op_house *house, const char *bucket)
{
    static const char *const folders[] = {"indexes", "_hnsw_trials", "_hnsw_promotions",
                                          "_hnsw_evals"};
    size_t count = 0;
    for (size_t i = 0; i < 4; i++)
        if (storage_walk(lake_storage(house->lake), lh_str_of(bucket), lh_str_of(folders[i]),
                         count_one, &count, &house->err))
            fail_msg("%s", house->err.message);
    return count;
}

static void check_index(struct op_house *house, const char *plan)
{
    const json_t *all =
        json_object_get(op_house_call(house, "vectors.search",
                                      "{\"index\": \"kept\", \"vector\": [-3, 7], \"k\": 10000}"),
                        "items");
    if (json_array_size(all) != ROWS)
        fail_msg("%s: %zu rows of %d are found", plan, json_array_size(all), ROWS);
    if (reply_int(
            op_house_call(house, "evals.get", "{\"name\": \"drawn\", \"index_name\": \"kept\"}"),
            "query_count") != 5)
        fail_msg("%s: the eval set is not whole", plan);
    const json_t *trials = op_house_call(house, "hnsw.trials", "{\"index\": \"kept\"}");
    if (json_array_size(json_object_get(trials, "items")) != 1)
        fail_msg("%s: the trial is not there once", plan);
}

static void check_lake(const char *folder, size_t acknowledged, const char *plan)
{
    struct op_house house = {.graph_rows = ROWS / 2};
    op_house_open(&house, lh_str_of(folder));
    const char *bucket =
        reply_text(op_house_call(&house, "vectors.get", "{\"name\": \"kept\"}"), "bucket");
    bool is_there = strcmp(bucket, "other") == 0;
    if (is_there ? acknowledged == 0 || acknowledged == STEP_COUNT : false)
        fail_msg("%s: after %zu steps it is in '%s'", plan, acknowledged, bucket);
    check_index(&house, plan);
    enum lh_code code = make_bucket(&house, folder);
    if (code && code != LH_EXISTS)
        fail_msg("%s: the bucket: %s", plan, house.err.message);
    op_house_call(&house, "vectors.update", BACK);
    op_house_call(&house, "vectors.update", THERE);
    size_t left = count_files(&house, "primary"), files = count_files(&house, "other");
    if (left || files != 4)
        fail_msg("%s: %zu files were left in primary, %zu are in the other", plan, left, files);
    check_index(&house, plan);
    op_house_call(&house, "vectors.update", BACK);
    if (count_files(&house, "other") || count_files(&house, "primary") != files)
        fail_msg("%s: %zu files were left behind", plan, count_files(&house, "other"));
    check_index(&house, plan);
    op_house_close(&house); /* verifies */
}

/* --- kills */

static int live(const char *folder)
{
    struct op_house house = {.graph_rows = ROWS / 2};
    op_house_open(&house, lh_str_of(folder));
    bool is_heard = make_bucket(&house, folder) == LH_OK && killed_child_acknowledge();
    op_house_call(&house, "vectors.update", THERE);
    is_heard = is_heard && killed_child_acknowledge();
    op_house_call(&house, "vectors.update", BACK);
    is_heard = is_heard && killed_child_acknowledge();
    lake_close(house.lake);
    lh_arena_free(house.arena);
    return is_heard ? killed_child_end() : 1;
}

static void copy_base(const struct temp_lake *base, struct temp_lake *own, char lake[4200])
{
    char from[4200];
    temp_lake_make(own);
    snprintf(from, sizeof from, "%s/lake", base->path);
    snprintf(lake, 4200, "%s/lake", own->path);
    temp_lake_copy(from, lake);
}

static struct killed_ending one_life(const void *context, const char *plan)
{
    struct temp_lake own;
    char lake[4200];
    copy_base(context, &own, lake);
    struct killed_ending ending = killed_child_run("--live", lake, plan);
    check_lake(lake, ending.acknowledged, plan);
    temp_lake_remove(&own);
    return ending;
}

static void a_move_may_be_killed_anywhere(void **state)
{
    struct temp_lake base;
    (void)state;
    make_base(&base);
    struct killed_lives lives = killed_everywhere(one_life, &base, STEP_COUNT, STRIDE, 2);
    assert_true(lives.kills > 8);
    printf("figure: indexes killed on their way: %zu points under %zu names in one life, %u kills "
           "(every %u), whole afterwards\n",
           lives.peace.point_count, lives.peace.name_count, lives.kills, lives.step);
    temp_lake_remove(&base);
}

/* --- failures */

/* Threads in the background meet some of them: what is told is not judged, but what is left. */
static bool fail_at(const struct temp_lake *base, const char *plan, bool *ret_is_told)
{
    struct op_house house = {.graph_rows = ROWS / 2};
    struct temp_lake own;
    char lake[4200];
    copy_base(base, &own, lake);
    op_house_open(&house, lh_str_of(lake));
    assert_int_equal(make_bucket(&house, lake), LH_OK);
    assert_true(lh_fault_plan(plan));
    *ret_is_told = op_house_try(&house, "vectors.update", THERE) != LH_OK;
    bool was_struck = lh_fault_was_struck();
    assert_true(lh_fault_plan(NULL));
    if (*ret_is_told && !house.err.message[0])
        fail_msg("%s: a failure without a word", plan);
    lake_close(house.lake);
    lh_arena_free(house.arena);
    check_lake(lake, *ret_is_told ? 1 : 2, plan);
    temp_lake_remove(&own);
    return was_struck;
}

static void a_call_of_a_move_that_fails_leaves_the_index_whole(void **state)
{
    static const char *const ways[] = {"*=%u:EIO", "*=%u+:EIO", "*=%u+:ENOSPC"};
    struct temp_lake base;
    unsigned struck = 0, told = 0;
    (void)state;
    make_base(&base);
    for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
        bool was_struck = true, is_told = false;
        for (unsigned at = 1; was_struck && at < POINTS_MAX; at += fault_stride(STRIDE)) {
            char plan[64];
            snprintf(plan, sizeof plan, ways[way], at);
            was_struck = fail_at(&base, plan, &is_told);
            struck += was_struck;
            told += is_told;
        }
        assert_false(was_struck);
    }
    assert_true(struck * fault_stride(STRIDE) > 400 && told > struck / 4);
    printf("figure: indexes that failed on their way: %u points, %u told an error\n", struck, told);
    temp_lake_remove(&base);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--live") == 0)
        return live(argv[2]);
    temp_lake_prefer_memory();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_move_may_be_killed_anywhere),
        cmocka_unit_test(a_call_of_a_move_that_fails_leaves_the_index_whole),
    };
    return cmocka_run_group_tests_name("indexes on their way", tests, NULL, NULL);
}

#else

int main(void)
{
    printf("skipped: this build has no fault points\n");
    return 0;
}

#endif
