/* Compaction of files whose row groups are large already: their bytes are copied, and nothing else
 * is different from a compaction that writes all rows anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "engine/engine.h"
#include "support/op_house.h"

#define ROWS 45000 /* of a file: one row group, large enough */

static json_t *bring(struct op_house *house, const char *mode, int first, int count)
{
    struct lh_buf csv;
    lh_buf_init(&csv, (size_t)64 << 20);
    lh_buf_append_str(&csv, lh_lit("id,name,share\n"));
    for (int i = first; i < first + count; i++)
        lh_buf_printf(&csv, "%d,name %d,%s\n", i, i * 7919 % 100, i % 3 ? "0.25" : "");
    lh_buf_append_char(&csv, '\0');
    json_t *reply = op_house_rows(house, "t", csv.data, mode);
    lh_buf_release(&csv);
    return reply;
}

static void bring_files(struct op_house *house, int count)
{
    for (int i = 0; i < count; i++)
        bring(house, i ? "append" : "create", i * ROWS, ROWS);
}

static json_t *compact(struct op_house *house)
{
    return op_house_call(house, "query.compact", "{\"dataset\": \"t\"}");
}

static const char *path_of(struct op_house *house, size_t index)
{
    static char path[8192];
    json_t *reply = op_house_call(house, "datasets.get", "{\"name\": \"t\"}");
    json_t *object = json_array_get(json_object_get(reply, "objects"), index);
    const char *key = json_string_value(json_object_get(object, "key"));
    assert_non_null(key);
    snprintf(path, sizeof path, "%s/lake/%s", house->folder.path, key);
    return path;
}

/* Of the first file: how many row groups it has. */
static int64_t group_count(struct op_house *house)
{
    char sql[9000];
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    snprintf(sql, sizeof sql, "SELECT num_row_groups::BIGINT FROM parquet_file_metadata('%s')",
             path_of(house, 0));
    assert_int_equal(
        engine_query(lake_engine(house->lake), lh_str_of(sql), NULL, NULL, &cursor, &house->err),
        LH_OK);
    assert_int_equal(engine_cursor_next(cursor, &chunk, &house->err), LH_OK);
    int64_t count = ((const int64_t *)chunk->columns[0].data)[0];
    engine_cursor_close(cursor);
    return count;
}

static const char all[] = "SELECT count(*), count(DISTINCT id), sum(id), sum(hash(id, name, share))"
                          ", count(share) FROM t";
static const char some[] = "SELECT id FROM t WHERE name = 'name 81' AND id > 80000 LIMIT 3";

static void row_groups_stay_and_no_answer_changes(void **state)
{
    struct op_house *house = *state;
    bring_files(house, 3);
    const char *before = op_house_sql(house, all), *found = op_house_sql(house, some);
    json_t *result = compact(house);
    assert_int_equal(reply_int(result, "files_after"), 1);
    assert_int_equal(reply_int(result, "final_rows"), 3 * ROWS);
    assert_int_equal(group_count(house), 3);
    assert_string_equal(op_house_sql(house, all), before);
    assert_string_equal(op_house_sql(house, some), found);
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t AT (VERSION => 2)"),
                        "[[90000]]");
    /* Files that came in stay known, and rows are deleted and brought as ever. */
    assert_true(json_is_true(json_object_get(bring(house, "append", ROWS, ROWS), "deduplicated")));
    op_house_reopen(house);
    assert_string_equal(op_house_sql(house, all), before);
    bring(house, "append", 3 * ROWS, ROWS);
    result = compact(house);
    assert_int_equal(reply_int(result, "files_after"), 1);
    assert_int_equal(group_count(house), 4);
    assert_string_equal(op_house_sql(house, "SELECT count(*), count(DISTINCT id) FROM t"),
                        "[[180000,180000]]");
}

static void deleted_rows_are_still_left_out(void **state)
{
    struct op_house *house = *state;
    bring_files(house, 2);
    compact(house);
    op_house_call(house, "datasets.tombstone",
                  "{\"name\": \"t\", \"row_key_column\": \"id\", \"row_key_values\": "
                  "[0, 44999, 45000, 89999], \"actor\": \"ann\", \"reason\": \"asked\"}");
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM t"), "[[89996]]");
    assert_string_equal(op_house_sql(house, "SELECT min(id), max(id) FROM t"), "[[1,89998]]");
    json_t *result = compact(house);
    assert_int_equal(reply_int(result, "rows_dropped_by_tombstones"), 4);
    assert_string_equal(op_house_sql(house, "SELECT count(*) FROM __raw__t"), "[[89996]]");
    bring(house, "append", 2 * ROWS, ROWS);
    compact(house);
    assert_string_equal(op_house_sql(house, "SELECT count(*), max(id) FROM t"),
                        "[[134996,134999]]");
}

static void small_files_beside_large_ones_are_written_anew_in_time(void **state)
{
    struct op_house *house = *state;
    bring_files(house, 2);
    for (int i = 0; i < 4; i++)
        bring(house, "append", 2 * ROWS + i * 10, 10);
    const char *before = op_house_sql(house, all);
    compact(house);
    assert_int_equal(group_count(house), 2); /* 90,040 rows, as the engine cuts them */
    assert_string_equal(op_house_sql(house, all), before);
}

/* What a disk did to a file while nobody looked. */
static void damage_is_not_carried_over(void **state)
{
    struct op_house *house = *state;
    bring_files(house, 2);
    const char *before = op_house_sql(house, all);
    nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
    FILE *file = fopen(path_of(house, 1), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 1000, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, 1000, SEEK_SET), 0);
    fputc(byte ^ 4, file);
    fclose(file);
    op_house_refuses(house, "query.compact", "{\"dataset\": \"t\"}", LH_DAMAGED);
    assert_int_equal(op_house_staged_count(house), 0);
    file = fopen(path_of(house, 1), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 1000, SEEK_SET), 0);
    fputc(byte, file);
    fclose(file);
    op_house_reopen(house);
    assert_string_equal(op_house_sql(house, all), before);
    compact(house);
    assert_string_equal(op_house_sql(house, all), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(row_groups_stay_and_no_answer_changes, op_house_set_up,
                                        op_house_tear_down),
        cmocka_unit_test_setup_teardown(deleted_rows_are_still_left_out, op_house_set_up,
                                        op_house_tear_down),
        cmocka_unit_test_setup_teardown(small_files_beside_large_ones_are_written_anew_in_time,
                                        op_house_set_up, op_house_tear_down),
        cmocka_unit_test_setup_teardown(damage_is_not_carried_over, op_house_set_up,
                                        op_house_tear_down),
    };
    temp_lake_prefer_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
