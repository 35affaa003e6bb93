#include "support/stored_parquet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "engine/engine.h"

#define CUT_BYTES 40
#define FILE_BYTES_MAX ((size_t)1 << 20)

static void write_file(struct op_house *house, const char *sql, struct lh_str path)
{
    struct engine_connection *connection = NULL;
    struct engine_content content;
    const struct engine_copy_options options = {.codec = lh_lit("snappy")};
    enum lh_code code = engine_acquire(lake_engine(house->lake), (struct lh_str){0}, NULL,
                                       &connection, &house->err);
    if (!code)
        code = engine_copy(connection, lh_str_of(sql), path, &options, NULL, NULL, &content,
                           &house->err);
    engine_release(connection);
    if (code)
        fail_msg("%s: %s", sql, house->err.message);
}

static void put(struct op_house *house, const char *key, const char *sql, size_t cut)
{
    struct lh_str path = lh_arena_printf(house->arena, "%.*s/_staging/put.parquet",
                                         LH_ARG(settings_root(&house->settings)));
    struct lh_str args =
        lh_arena_printf(house->arena, "{\"bucket\": \"primary\", \"key\": \"%s\"}", key);
    write_file(house, sql, path);
    FILE *file = fopen(path.data, "rb");
    char *bytes = lh_arena_alloc(house->arena, FILE_BYTES_MAX);
    assert_non_null(file);
    size_t count = fread(bytes, 1, FILE_BYTES_MAX, file);
    fclose(file);
    remove(path.data);
    assert_true(count > cut);
    if (op_house_try_file(house, "objects.put", args.data, key, bytes, count - cut))
        fail_msg("%s: %s", key, house->err.message);
}

void stored_parquet_put(struct op_house *house, const char *key, const char *sql)
{
    put(house, key, sql, 0);
}

void stored_parquet_cut(struct op_house *house, const char *key, const char *sql)
{
    put(house, key, sql, CUT_BYTES);
}
