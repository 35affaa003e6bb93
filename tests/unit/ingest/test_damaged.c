/* Parquet files with damaged bytes are the caller's: refused as unreadable, never as our defect,
 * and nothing of a reading stays behind on the engine's connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/engine.h"
#include "storage/storage.h"
#include "support/op_house.h"

static struct op_house house;

static int make(void **state)
{
    (void)state;
    op_house_make(&house);
    return 0;
}

static int remove_house(void **state)
{
    (void)state;
    op_house_remove(&house);
    return 0;
}

/* The data file of a dataset; the caller frees. */
static char *data_file(const char *name, size_t *ret_count)
{
    char args[64], path[8192];
    snprintf(args, sizeof args, "{\"name\": \"%s\"}", name);
    json_t *dataset = op_house_call(&house, "datasets.get", args);
    const json_t *object = json_array_get(json_object_get(dataset, "objects"), 0);
    const char *key = json_string_value(json_object_get(object, "key"));
    assert_non_null(key);
    snprintf(path, sizeof path, "%.*s/%s", LH_ARG(storage_path(lake_storage(house.lake))), key);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *bytes = malloc(1 << 20);
    *ret_count = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

static void a_flipped_byte_is_unreadable_or_harmless(void **state)
{
    (void)state;
    char csv[8192];
    size_t at = (size_t)sprintf(csv, "id,name,day\n");
    for (int row = 0; row < 200; row++)
        at += (size_t)sprintf(csv + at, "%d,name %d,2024-01-%02d\n", row, row % 17, 1 + row % 28);
    op_house_rows(&house, "whole", csv, "create");
    size_t count = 0, refused = 0;
    char *bytes = data_file("whole", &count);
    for (size_t i = 0; i < 150; i++) {
        size_t place = (i * 2654435761u + 12345) % count;
        bytes[place] = (char)(bytes[place] ^ (1 << i % 8));
        enum lh_code code =
            op_house_try_file(&house, "ingest.file", "{\"dataset\": \"t\", \"mode\": \"replace\"}",
                              "t.parquet", bytes, count);
        bytes[place] = (char)(bytes[place] ^ (1 << i % 8));
        refused += code == LH_UNREADABLE;
        if (code && code != LH_UNREADABLE && code != LH_TOO_LARGE && code != LH_BUSY)
            fail_msg("byte %zu: %s: %s", place, lh_error_row(code)->id, house.err.message);
    }
    assert_true(refused > 10);
    free(bytes);
}

/* Of the connection that was used last: it is the next one that is given out. */
static int64_t temporary_tables(void)
{
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    assert_int_equal(engine_query(lake_engine(house.lake),
                                  lh_lit("SELECT count(*) FROM duckdb_tables() WHERE temporary"),
                                  NULL, NULL, &cursor, NULL),
                     LH_OK);
    assert_int_equal(engine_cursor_next(cursor, &chunk, NULL), LH_OK);
    int64_t count = ((const int64_t *)chunk->columns[0].data)[0];
    engine_cursor_close(cursor);
    return count;
}

/* The sample misleads: the file is read twice, each time with tables of bad rows. */
static void reading_twice_leaves_no_temporary_table(void **state)
{
    (void)state;
    enum { ROWS = 60000 };
    char *csv = malloc((size_t)ROWS * 16);
    size_t at = (size_t)sprintf(csv, "id,v\n");
    for (int row = 0; row < ROWS; row++)
        at += (size_t)sprintf(csv + at, row == ROWS - 5 ? "%d,word\n" : "%d,7\n", row);
    for (int i = 0; i < 3; i++)
        assert_int_equal(op_house_try_file(&house, "ingest.file",
                                           "{\"dataset\": \"twice\", \"mode\": \"replace\", "
                                           "\"options\": {\"allow_duplicate\": true}}",
                                           "t.csv", csv, at),
                         LH_OK);
    assert_int_equal(temporary_tables(), 0);
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM twice WHERE v = 'word'"),
                        "[[1]]");
    free(csv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_byte_is_unreadable_or_harmless),
        cmocka_unit_test(reading_twice_leaves_no_temporary_table),
    };
    return cmocka_run_group_tests(tests, make, remove_house);
}
