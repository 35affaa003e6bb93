/* Compaction: fewer files, the same answers, and nothing forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "catalog/retention.h"
#include "catalog/tombstones.h"
#include "engine/engine.h"
#include "jobs/jobs.h"
#include "query/compact.h"
#include "query/query.h"
#include "storage/storage.h"
#include "support/op_house.h"
#include "support/op_house_columns.h"

static int make_with_small_files(void **state)
{
    op_house_set_up(state);
    struct op_house *house = *state;
    house->settings.compaction.file_bytes = 100000;
    op_house_reopen(house);
    return 0;
}

/* Rows first … first + count - 1. */
static json_t *bring(struct op_house *house, const char *dataset, const char *mode, int first,
                     int count)
{
    struct lh_buf csv;
    lh_buf_init(&csv, (size_t)64 << 20);
    lh_buf_append_str(&csv, lh_lit("id,name\n"));
    for (int i = first; i < first + count; i++)
        lh_buf_printf(&csv, "%d,name of %d\n", i, i * 7919 % 1000003);
    lh_buf_append_char(&csv, '\0');
    json_t *reply = op_house_rows(house, dataset, csv.data, mode);
    lh_buf_release(&csv);
    return reply;
}

/* Brings ten rows again. */
static bool is_known(struct op_house *house, int first)
{
    const json_t *known = json_object_get(bring(house, "t", "append", first, 10), "deduplicated");
    return json_is_true(known);
}

static void bring_deltas(struct op_house *house, const char *dataset, int count)
{
    bring(house, dataset, "create", 0, 10);
    for (int i = 1; i < count; i++)
        bring(house, dataset, "append", i * 10, 10);
}

static json_t *compact(struct op_house *house, const char *dataset)
{
    char args[128];
    snprintf(args, sizeof args, "{\"dataset\": \"%s\"}", dataset);
    return op_house_call(house, "query.compact", args);
}

static int64_t file_count(struct op_house *house, const char *dataset)
{
    char args[128];
    snprintf(args, sizeof args, "{\"name\": \"%s\"}", dataset);
    json_t *reply = op_house_call(house, "datasets.get", args);
    return (int64_t)json_array_size(json_object_get(reply, "objects"));
}

static void many_files_become_one_with_the_same_rows_in_the_same_order(void **state)
{
    struct op_house *house = *state;
    bring_deltas(house, "t", 12);
    const char *before = op_house_sql(house, "SELECT * FROM t");
    json_t *result = compact(house, "t");
    assert_int_equal(reply_int(result, "files_before"), 12);
    assert_int_equal(reply_int(result, "files_after"), 1);
    assert_int_equal(reply_int(result, "final_rows"), 120);
    assert_int_equal(reply_int(result, "compacted"), 1);
    assert_true(reply_int(result, "bytes_after") < reply_int(result, "bytes_before"));
    json_t *item = json_array_get(json_object_get(result, "datasets"), 0);
    assert_int_equal(reply_int(item, "version"), 13);
    assert_int_equal(file_count(house, "t"), 1);
    assert_string_equal(op_house_sql(house, "SELECT * FROM t"), before);
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t AT (VERSION => 12)"),
                        "[[120]]");
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t AT (VERSION => 3)"), "[[30]]");
    op_house_reopen(house);
    assert_string_equal(op_house_sql(house, "SELECT * FROM t"), before);
    assert_int_equal(op_house_staged_count(house), 0);
}

static void what_is_compact_is_left_as_it_is(void **state)
{
    struct op_house *house = *state;
    bring_deltas(house, "t", 3);
    bring(house, "single", "create", 0, 5);
    json_t *dry = op_house_call(house, "query.compact", "{\"dry_run\": true}");
    assert_int_equal(reply_int(dry, "compacted"), 1);
    assert_int_equal(reply_int(dry, "files_before"), 4);
    assert_int_equal(reply_int(dry, "files_after"), 2);
    assert_null(json_object_get(dry, "bytes_after"));
    assert_int_equal(file_count(house, "t"), 3);
    json_t *all = op_house_call(house, "query.compact", NULL);
    assert_int_equal(reply_int(all, "compacted"), 1);
    assert_int_equal(reply_int(all, "final_rows"), 35);
    all = op_house_call(house, "query.compact", NULL);
    assert_int_equal(reply_int(all, "compacted"), 0);
    assert_int_equal(reply_int(all, "bytes_before"), reply_int(all, "bytes_after"));
    assert_int_equal(json_array_size(json_object_get(all, "datasets")), 0);
    json_t *versions = op_house_call(house, "datasets.versions", "{\"name\": \"t\"}");
    assert_int_equal(json_array_size(json_object_get(versions, "items")), 4);
    op_house_refuses(house, "query.compact", "{\"dataset\": \"nobody\"}", LH_NOT_FOUND);
    op_house_refuses(house, "query.compact", "{\"dataset\": \"nobody\", \"dry_run\": true}",
                     LH_NOT_FOUND);
    op_house_refuses(house, "query.compact", "{\"dataset\": \"nobody\", \"wait\": false}",
                     LH_NOT_FOUND);
}

static void files_are_merged_up_to_their_size_and_neighbours_only(void **state)
{
    struct op_house *house = *state;
    bring(house, "t", "create", 0, 100);
    bring(house, "t", "append", 100, 100);
    bring(house, "t", "append", 1000, 20000); /* large: it stays */
    for (int i = 0; i < 20; i++)
        bring(house, "t", "append", 100000 + i * 1500, 1500);
    const char *before = op_house_sql(house, "SELECT id FROM t");
    const char *content = op_house_sql(house, "SELECT count(*), sum(hash(t)) FROM t");
    json_t *result = compact(house, "t");
    int64_t files = reply_int(result, "files_after");
    assert_true(files >= 4 && files <= 12);
    assert_string_equal(op_house_sql(house, "SELECT id FROM t"), before);
    assert_string_equal(op_house_sql(house, "SELECT count(*), sum(hash(t)) FROM t"), content);
    op_house_reopen(house);
    assert_string_equal(op_house_sql(house, "SELECT id FROM t"), before);
    /* Again there is nothing to gain. */
    assert_int_equal(reply_int(compact(house, "t"), "files_after"), files);
}

static void a_file_that_comes_again_is_known_after_compaction(void **state)
{
    struct op_house *house = *state;
    const char *csv = "id,name\n1,a\n2,b\nx,c\n";
    const char *args = "{\"dataset\": \"t\", \"mode\": \"append\", \"options\": "
                       "{\"max_rejected_ratio\": 0.9}}";
    bring_deltas(house, "t", 3);
    assert_int_equal(op_house_try_file(house, "ingest.file", args, "a.csv", csv, strlen(csv)),
                     LH_OK);
    compact(house, "t");
    bring(house, "t", "append", 500, 10);
    compact(house, "t"); /* sources of sources */
    op_house_reopen(house);
    assert_int_equal(op_house_try_file(house, "ingest.file", args, "a.csv", csv, strlen(csv)),
                     LH_OK);
    json_t *reply = NULL;
    assert_int_equal(lh_json_parse(house->body, "It", house->body.len, &reply, &house->err), LH_OK);
    assert_true(json_is_true(json_object_get(reply, "deduplicated")));
    assert_int_equal(reply_int(reply, "rows"), 2);
    assert_int_equal(reply_int(reply, "rejected_rows"), 1);
    const char *rejects = json_string_value(json_object_get(reply, "rejects"));
    assert_non_null(rejects);
    /* The rejected rows stay as long as the file's rows, though nothing but the merged file names
     * them any more. */
    size_t moved = 0;
    op_house_call(house, "catalog.expire", "{\"older_than_s\": 0}");
    op_house_reopen(house);
    assert_int_equal(catalog_sweep(lake_catalog(house->lake), &moved, &house->err), LH_OK);
    struct storage_info info;
    assert_int_equal(storage_info(lake_storage(house->lake), STORAGE_PRIMARY, lh_str_of(rejects),
                                  &info, &house->err),
                     LH_OK);
    char same[512];
    snprintf(same, sizeof(same), "SELECT line, raw, rejects = '%s' FROM __rejects__t ORDER BY line",
             rejects);
    assert_string_equal(op_house_sql(house, same), "[[4,\"x,c\",true]]");
    json_decref(reply);
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t"), "[[42]]");
    assert_true(
        json_is_true(json_object_get(bring(house, "t", "append", 500, 10), "deduplicated")));
}

static void columns_that_came_later_are_null_in_the_rows_before(void **state)
{
    struct op_house *house = *state;
    bring_deltas(house, "t", 2);
    op_house_add_column(house, "t", "file_index");
    op_house_rows(house, "t", "id,name,file_index\n100,n,here\n", "append");
    const char *before = op_house_sql(house, "SELECT * FROM t");
    assert_int_equal(reply_int(compact(house, "t"), "files_after"), 1);
    assert_string_equal(op_house_sql(house, "SELECT * FROM t"), before);
    assert_string_equal(op_house_sql(house, "SELECT count(*), count(file_index) FROM t"),
                        "[[21,1]]");
}

static void an_index_does_not_notice(void **state)
{
    struct op_house *house = *state;
    bring_deltas(house, "t", 4);
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"t_v1\", \"dataset\": \"t\", \"id_column\": \"id\", "
                  "\"text_columns\": [\"name\"]}");
    const char *ask = "{\"index\": \"t_v1\", \"query\": \"name of 7919\", \"k\": 3}";
    json_t *before = json_object_get(op_house_call(house, "vectors.search", ask), "items");
    compact(house, "t");
    json_t *stale = op_house_call(house, "vectors.stale", NULL);
    assert_int_equal(json_array_size(json_object_get(stale, "items")), 0);
    json_t *after = json_object_get(op_house_call(house, "vectors.search", ask), "items");
    assert_true(json_equal(before, after));
    json_t *index = op_house_call(house, "vectors.get", "{\"name\": \"t_v1\"}");
    int64_t version = reply_int(index, "version");
    json_t *refreshed =
        op_house_call(house, "vectors.refresh",
                      "{\"dataset\": \"t\", \"index_name\": \"t_v1\", \"id_column\": \"id\", "
                      "\"text_columns\": [\"name\"]}");
    assert_int_equal(reply_int(refreshed, "chunks_embedded"), 0);
    assert_int_equal(reply_int(refreshed, "version"), version);
    op_house_reopen(house); /* what the manifests say is enough */
    stale = op_house_call(house, "vectors.stale", NULL);
    assert_int_equal(json_array_size(json_object_get(stale, "items")), 0);
    /* And a row that comes is noticed as ever. */
    bring(house, "t", "append", 900, 1);
    compact(house, "t");
    stale = op_house_call(house, "vectors.stale", NULL);
    assert_int_equal(json_array_size(json_object_get(stale, "items")), 1);
    assert_int_equal(reply_int(json_array_get(json_object_get(stale, "items"), 0), "rows_waiting"),
                     1);
}

static void tombstone(struct op_house *house, const char *ids)
{
    char args[256];
    snprintf(args, sizeof args,
             "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": [%s], "
             "\"actor\": \"ann\", \"reason\": \"asked\"}",
             ids);
    op_house_call(house, "datasets.tombstone", args);
}

static void deleted_rows_are_gone_from_the_files_and_stay_deleted(void **state)
{
    struct op_house *house = *state;
    bring_deltas(house, "t", 6);
    tombstone(house, "3, 17, 18");
    const char *before = op_house_sql(house, "SELECT * FROM t");
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM __raw__t"), "[[60]]");
    json_t *dry = op_house_call(house, "query.compact", "{\"dataset\": \"t\", \"dry_run\": true}");
    assert_int_equal(reply_int(dry, "rows_dropped_by_tombstones"), 3);
    json_t *result = compact(house, "t");
    assert_int_equal(reply_int(result, "rows_dropped_by_tombstones"), 3);
    assert_int_equal(reply_int(result, "tombstones_applied"), 3);
    assert_int_equal(reply_int(result, "final_rows"), 57);
    assert_string_equal(op_house_sql(house, "SELECT * FROM t"), before);
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM __raw__t"), "[[57]]");
    /* In versions before, too, and whoever brings them again is suppressed. */
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t AT (VERSION => 6)"), "[[57]]");
    json_t *again = op_house_rows(house, "t", "id,name\n17,back\n99,new\n", "append");
    assert_int_equal(reply_int(again, "suppressed_rows"), 1);
    tombstone(house, "25");
    op_house_reopen(house);
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t"), "[[57]]");
    result = compact(house, "t");
    assert_int_equal(reply_int(result, "rows_dropped_by_tombstones"), 2);
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t"), "[[57]]");
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM __raw__t"), "[[57]]");
    /* What was never dropped comes back when it is lifted; what is gone is gone. */
    op_house_call(house, "catalog.expire", "{\"older_than_s\": 0}");
    op_house_reopen(house);
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t"), "[[57]]");
}

static void a_file_of_which_rows_were_deleted_may_come_again(void **state)
{
    struct op_house *house = *state;
    bring_deltas(house, "t", 4); /* 0–9, 10–19, 20–29, 30–39 */
    tombstone(house, "12");
    compact(house, "t");
    assert_true(is_known(house, 20));
    json_t *again = bring(house, "t", "append", 10, 10);
    assert_true(json_is_false(json_object_get(again, "deduplicated")));
    assert_int_equal(reply_int(again, "suppressed_rows"), 1);
    /* Deleted in the merged file: the rows of its neighbours are still known. */
    compact(house, "t");
    tombstone(house, "22");
    assert_true(is_known(house, 30));
    assert_false(is_known(house, 20));
    compact(house, "t");
    assert_true(is_known(house, 30));
    assert_true(is_known(house, 20));
}

static void a_file_of_which_all_rows_are_deleted_is_left_with_none(void **state)
{
    struct op_house *house = *state;
    bring(house, "t", "create", 0, 3);
    tombstone(house, "0, 1, 2");
    json_t *result = compact(house, "t");
    assert_int_equal(reply_int(result, "rows_dropped_by_tombstones"), 3);
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM __raw__t"), "[[0]]");
    assert_int_equal(reply_int(compact(house, "t"), "compacted"), 0);
    bring(house, "t", "append", 10, 3);
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t"), "[[3]]");
}

static void an_undo_goes_past_compactions(void **state)
{
    struct op_house *house = *state;
    bring_deltas(house, "t", 4);
    compact(house, "t");
    const char *before = op_house_sql(house, "SELECT * FROM t");
    bring(house, "t", "append", 700, 5);
    compact(house, "t");
    json_t *undone = op_house_call(house, "datasets.undo", "{\"name\": \"t\"}");
    assert_int_equal(reply_int(undone, "undone_version"), 6);
    assert_string_equal(op_house_sql(house, "SELECT * FROM t"), before);
    /* Its rows are gone, so the file is no longer known. */
    bring(house, "t", "append", 700, 5);
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t"), "[[45]]");
}

static void a_job_tells_how_it_went(void **state)
{
    struct op_house *house = *state;
    char args[128];
    bring_deltas(house, "t", 5);
    json_t *accepted =
        op_house_call(house, "query.compact", "{\"dataset\": \"t\", \"wait\": false}");
    assert_int_equal(house->status, 202);
    const char *id = json_string_value(json_object_get(accepted, "job_id"));
    struct job_info info;
    assert_int_equal(
        jobs_wait(lake_jobs(house->lake), lh_str_of(id), NULL, house->arena, &info, &house->err),
        LH_OK);
    assert_int_equal(info.state, JOB_SUCCEEDED);
    snprintf(args, sizeof args, "{\"id\": \"%s\"}", id);
    json_t *job = op_house_call(house, "jobs.get", args);
    assert_int_equal(reply_int(json_object_get(job, "result"), "files_after"), 1);
    json_t *versions = op_house_call(house, "datasets.versions", "{\"name\": \"t\"}");
    json_t *newest = json_array_get(json_object_get(versions, "items"), 0);
    json_t *commit = json_array_get(json_object_get(newest, "commits"), 0);
    assert_string_equal(json_string_value(json_object_get(commit, "job_id")), id);
}

/* --- beside others */

struct others {
    struct op_house *house;
    atomic_bool is_over;
    atomic_int compactions;
};

static void *compact_on(void *context)
{
    struct others *others = context;
    const struct query_compact_request request = {.dataset = lh_lit("t")};
    while (!atomic_load(&others->is_over)) {
        struct lh_arena *arena = lh_arena_new(0);
        struct lh_error err = LH_ERROR_NONE;
        struct query_compact_result result;
        enum lh_code code = query_compact(lake_compactor(others->house->lake), &request, NULL,
                                          arena, &result, &err);
        if (code && code != LH_RACE)
            fail_msg("%s", err.message);
        atomic_fetch_add(&others->compactions, !code && result.compacted);
        lh_arena_free(arena);
    }
    return NULL;
}

static void what_happens_meanwhile_is_not_lost(void **state)
{
    struct op_house *house = *state;
    struct others others = {.house = house};
    pthread_t threads[2];
    bring_deltas(house, "t", 4);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, compact_on, &others), 0);
    int rows = 40;
    for (int i = 0; i < 24; i++) {
        if (i % 8 == 7) {
            bring(house, "t", "replace", 10000 * i, 30);
            rows = 30;
        } else {
            bring(house, "t", "append", 10000 * i, 10);
            rows += 10;
        }
    }
    atomic_store(&others.is_over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    char expected[32];
    snprintf(expected, sizeof expected, "[[%d,%d]]", rows, rows);
    assert_string_equal(op_house_sql(house, "SELECT count(*), count(DISTINCT id) FROM t"),
                        expected);
    assert_true(atomic_load(&others.compactions) > 2);
    assert_int_equal(op_house_staged_count(house), 0);
}

static void *delete_on(void *context)
{
    struct others *others = context;
    struct op_house *house = others->house;
    for (int i = 0; !atomic_load(&others->is_over); i++) {
        struct lh_arena *arena = lh_arena_new(0);
        struct lh_error err = LH_ERROR_NONE;
        json_t *values = json_pack("[i,i]", i % 40, 1000000);
        const struct catalog_tombstone_request request = {
            .name = lh_lit("t"), .column = lh_lit("id"), .values = values, .actor = lh_lit("ann")};
        struct catalog_tombstone_result result;
        enum lh_code code = catalog_tombstone(lake_catalog(house->lake), lake_engine(house->lake),
                                              &request, NULL, arena, &result, &err);
        if (code && code != LH_RACE)
            fail_msg("%s", err.message);
        if (!code && i % 3 == 0)
            code = catalog_tombstone_lift(lake_catalog(house->lake), lake_engine(house->lake),
                                          &request, NULL, arena, &result, &err);
        if (code && code != LH_RACE)
            fail_msg("%s", err.message);
        json_decref(values);
        lh_arena_free(arena);
    }
    return NULL;
}

/* What is deleted meanwhile stays so; what is lifted is there again unless its rows went before. */
static void deletes_meanwhile_hold(void **state)
{
    struct op_house *house = *state;
    struct others others = {.house = house};
    pthread_t threads[2];
    bring_deltas(house, "t", 4);
    assert_int_equal(pthread_create(&threads[0], NULL, compact_on, &others), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, delete_on, &others), 0);
    for (int i = 0; i < 16; i++)
        bring(house, "t", "append", 10000 * (i + 1), 10);
    atomic_store(&others.is_over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_string_equal(op_house_sql(house, "SELECT count(*), count(DISTINCT id) FROM t "
                                            "WHERE id >= 10000"),
                        "[[160,160]]");
    json_t *listed = op_house_call(house, "datasets.tombstones", "{\"name\": \"t\"}");
    json_t *items = json_object_get(listed, "items");
    assert_true(json_array_size(items) > 0);
    for (size_t i = 0; i < json_array_size(items); i++) {
        char sql[128];
        const char *value = reply_text(json_array_get(items, i), "row_key_value");
        snprintf(sql, sizeof sql, "SELECT count(*) FROM t WHERE id = %s", value);
        assert_string_equal(op_house_sql(house, sql), "[[0]]");
    }
    compact(house, "t");
    const char *visible = op_house_sql(house, "SELECT id FROM t");
    assert_string_equal(op_house_sql(house, "SELECT id FROM __raw__t"), visible);
}

/* --- cancelled, and beside a long scan */

static void *cancel_soon(void *context)
{
    struct timespec wait = {0, 0};
    struct lh_cancel *cancel = context;
    static int number;
    wait.tv_nsec = (long)(number++ % 12) * 3000000;
    nanosleep(&wait, NULL);
    lh_cancel_fire(cancel, LH_CANCELLED);
    return NULL;
}

static void what_is_cancelled_half_way_leaves_nothing(void **state)
{
    struct op_house *house = *state;
    const struct query_compact_request request = {.dataset = lh_lit("t")};
    int cancelled = 0;
    house->settings.compaction.enabled = false; /* the server's own would have files staged, too */
    op_house_reopen(house);
    for (int i = 0; i < 12; i++) {
        struct query_compact_result result;
        struct lh_cancel cancel;
        pthread_t thread;
        for (int k = 0; k < 4; k++)
            bring(house, "t", i + k ? "append" : "create", (i * 4 + k) * 2000, 2000);
        lh_cancel_init(&cancel);
        assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &cancel), 0);
        enum lh_code code = query_compact(lake_compactor(house->lake), &request, &cancel,
                                          house->arena, &result, &house->err);
        pthread_join(thread, NULL);
        assert_true(code == LH_OK || code == LH_CANCELLED);
        cancelled += code == LH_CANCELLED;
        char expected[64];
        snprintf(expected, sizeof expected, "[[%d,%d]]", (i + 1) * 8000, (i + 1) * 8000);
        assert_string_equal(op_house_sql(house, "SELECT count(*), count(DISTINCT id) FROM t"),
                            expected);
        assert_int_equal(op_house_staged_count(house), 0);
    }
    assert_true(cancelled > 0);
    compact(house, "t");
}

static void a_long_scan_reads_the_files_that_it_began_with(void **state)
{
    struct op_house *house = *state;
    const struct query_principal admin = {.is_trusted = true};
    const struct query_request request = {.sql = lh_lit("SELECT id, name FROM t"),
                                          .limit = 1000000};
    struct query *query = NULL;
    const struct engine_chunk *chunk = NULL;
    int64_t rows = 0, sum = 0;
    for (int i = 0; i < 6; i++)
        bring(house, "t", i ? "append" : "create", i * 20000, 20000);
    assert_int_equal(
        query_open(lake_query(house->lake), &admin, &request, NULL, &query, &house->err), LH_OK);
    assert_int_equal(query_next(query, &chunk, &house->err), LH_OK);
    for (bool is_first = true; chunk; is_first = false) {
        for (size_t i = 0; i < chunk->row_count; i++)
            sum += ((const int64_t *)chunk->columns[0].data)[i];
        rows += (int64_t)chunk->row_count;
        if (is_first) {
            compact(house, "t");
            op_house_call(house, "catalog.expire", "{\"older_than_s\": 0}");
            size_t moved = 0;
            assert_int_equal(catalog_collect(lake_catalog(house->lake), &moved, &house->err),
                             LH_OK);
            assert_int_equal(storage_trash_sweep(lake_storage(house->lake), 0, NULL, &house->err),
                             LH_OK);
        }
        assert_int_equal(query_next(query, &chunk, &house->err), LH_OK);
    }
    query_close(query);
    assert_int_equal(rows, 120000);
    assert_true(sum == INT64_C(120000) * 119999 / 2);
}

/* --- by itself */

static void the_server_compacts_by_itself_and_says_why(void **state)
{
    struct op_house *house = *state;
    house->settings.compaction.files = 3;
    op_house_reopen(house);
    bring_deltas(house, "t", 13); /* whether there is a pause between them or not */
    bring_deltas(house, "few", 2);
    for (int i = 0; i < 300 && file_count(house, "t") > 1; i++)
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    assert_int_equal(file_count(house, "t"), 1);
    assert_int_equal(file_count(house, "few"), 2);
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t"), "[[130]]");
    json_t *versions = op_house_call(house, "datasets.versions", "{\"name\": \"t\"}");
    json_t *newest = json_array_get(json_object_get(versions, "items"), 0);
    json_t *commit = json_array_get(json_object_get(newest, "commits"), 0);
    assert_string_equal(reply_text(commit, "actor"), "lakehouse");
    assert_string_equal(reply_text(commit, "action"), "rewrite");
    json_t *jobs = op_house_call(house, "jobs.list", "{\"kind\": \"query.compact\"}");
    assert_in_range(json_array_size(json_object_get(jobs, "items")), 1, 2);
}

static bool is_due(struct op_house *house, int64_t files, int64_t bytes, int64_t rest_ms)
{
    const struct query_compact_policy policy = {
        .files = files, .pause_ms = 10000, .bytes = bytes, .age_ms = 3600000};
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(house->lake));
    const struct catalog_dataset *t = NULL;
    assert_int_equal(catalog_find(snapshot, lh_lit("t"), &t, &house->err), LH_OK);
    bool ret = query_compact_is_due(lake_compactor(house->lake), snapshot, t, &policy,
                                    t->updated_ms + rest_ms);
    catalog_snapshot_unref(snapshot);
    return ret;
}

static void many_files_wait_for_no_pause_between_appends_but_few_do(void **state)
{
    struct op_house *house = *state;
    const int64_t many_bytes = INT64_C(1) << 40;
    bring_deltas(house, "t", 4);
    assert_true(is_due(house, 4, many_bytes, 0));
    assert_false(is_due(house, 5, many_bytes, 3599999));
    assert_true(is_due(house, 5, many_bytes, 3600000));
    assert_false(is_due(house, 5, 1, 9999));
    assert_true(is_due(house, 5, 1, 10000));
    op_house_call(house, "datasets.tombstone",
                  "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": [7], "
                  "\"actor\": \"ann\", \"reason\": \"asked\"}");
    assert_false(is_due(house, 5, many_bytes, 9999));
    assert_true(is_due(house, 5, many_bytes, 10000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_files_become_one_with_the_same_rows_in_the_same_order,
                                        op_house_set_up, op_house_tear_down),
        cmocka_unit_test_setup_teardown(what_is_compact_is_left_as_it_is, op_house_set_up,
                                        op_house_tear_down),
        cmocka_unit_test_setup_teardown(files_are_merged_up_to_their_size_and_neighbours_only,
                                        make_with_small_files, op_house_tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_comes_again_is_known_after_compaction,
                                        op_house_set_up, op_house_tear_down),
        cmocka_unit_test_setup_teardown(columns_that_came_later_are_null_in_the_rows_before,
                                        op_house_set_up, op_house_tear_down),
        cmocka_unit_test_setup_teardown(an_index_does_not_notice, op_house_set_up,
                                        op_house_tear_down),
        cmocka_unit_test_setup_teardown(deleted_rows_are_gone_from_the_files_and_stay_deleted,
                                        op_house_set_up, op_house_tear_down),
        cmocka_unit_test_setup_teardown(a_file_of_which_rows_were_deleted_may_come_again,
                                        op_house_set_up, op_house_tear_down),
        cmocka_unit_test_setup_teardown(a_file_of_which_all_rows_are_deleted_is_left_with_none,
                                        op_house_set_up, op_house_tear_down),
        cmocka_unit_test_setup_teardown(an_undo_goes_past_compactions, op_house_set_up,
                                        op_house_tear_down),
        cmocka_unit_test_setup_teardown(deletes_meanwhile_hold, op_house_set_up,
                                        op_house_tear_down),
        cmocka_unit_test_setup_teardown(what_is_cancelled_half_way_leaves_nothing,
                                        make_with_small_files, op_house_tear_down),
        cmocka_unit_test_setup_teardown(a_long_scan_reads_the_files_that_it_began_with,
                                        op_house_set_up, op_house_tear_down),
        cmocka_unit_test_setup_teardown(the_server_compacts_by_itself_and_says_why, op_house_set_up,
                                        op_house_tear_down),
        cmocka_unit_test_setup_teardown(many_files_wait_for_no_pause_between_appends_but_few_do,
                                        op_house_set_up, op_house_tear_down),
        cmocka_unit_test_setup_teardown(a_job_tells_how_it_went, op_house_set_up,
                                        op_house_tear_down),
        cmocka_unit_test_setup_teardown(what_happens_meanwhile_is_not_lost, op_house_set_up,
                                        op_house_tear_down),
    };
    temp_lake_prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
