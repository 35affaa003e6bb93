/* What the rows of some keys hold, before they go: read from the data files themselves, of every
 * version that there is. */
#include "base/json.h"
#include "engine/engine.h"
#include "lake/erasing_internal.h"
#include "storage/buckets.h"
#include "storage/held.h"

#include <stdlib.h>

#define SQL_BYTES_MAX ((size_t)16 << 20)

/* The keys as a list of texts, the statement's only parameter. */
static enum lh_code list_keys(const json_t *values, struct lh_buf *buf, struct lh_error *err)
{
    struct lh_json json;
    size_t at = 0;
    const json_t *value = NULL;
    lh_json_init(&json, buf);
    lh_json_array(&json);
    json_array_foreach(values, at, value)
    {
        if (json_is_string(value)) {
            lh_json_str(&json, lh_json_text(value));
        } else if (!json_is_null(value)) {
            char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
            lh_json_str(&json, lh_str_of(text));
            free(text);
        }
    }
    lh_json_array_end(&json);
    return lh_buf_check(buf, "The list of keys", err);
}

static void write_where(const struct erase_rows *rows, struct lh_str path, struct lh_buf *sql)
{
    lh_buf_append_str(sql, lh_lit(" FROM read_parquet("));
    engine_quote_path(sql, path);
    lh_buf_append_str(sql, lh_lit(", hive_partitioning = false) WHERE TRY_CAST("));
    engine_quote_ident(sql, rows->column);
    lh_buf_printf(sql,
                  " AS %.*s) IN (SELECT TRY_CAST(t AS %.*s) FROM (SELECT unnest(CAST($1 AS "
                  "VARCHAR[])) AS t))",
                  LH_ARG(rows->type), LH_ARG(rows->type));
}

static enum lh_code open_rows(const struct erase_rows *rows, struct lh_str select,
                              struct lh_str path, struct engine_cursor **ret, struct lh_error *err)
{
    struct lh_buf sql, keys;
    lh_buf_init(&sql, SQL_BYTES_MAX);
    lh_buf_init(&keys, SQL_BYTES_MAX);
    lh_buf_append_str(&sql, select);
    write_where(rows, path, &sql);
    enum lh_code code = list_keys(rows->values, &keys, err);
    if (!code)
        code = lh_buf_check(&sql, "The statement", err);
    const struct engine_param param = {.type = ENGINE_PARAM_JSON, .text = lh_buf_str(&keys)};
    const struct engine_params params = {&param, 1};
    if (!code)
        code = engine_query(rows->engine, lh_buf_str(&sql), &params, rows->cancel, ret, err);
    lh_buf_release(&sql);
    lh_buf_release(&keys);
    return code;
}

/* Texts at any depth. */
static bool holds_texts(const struct engine_type_info *info)
{
    if (info->type == ENGINE_TEXT || info->type == ENGINE_BLOB || info->type == ENGINE_ENUM ||
        info->type == ENGINE_UUID)
        return true;
    for (size_t i = 0; i < info->child_count; i++)
        if (holds_texts(info->children[i]))
            return true;
    return false;
}

/* How a column is selected so that its texts can be had: nested ones as JSON. */
static void write_column(const struct engine_type_info *info, struct lh_str name,
                         struct lh_buf *sql)
{
    bool is_plain = info->type == ENGINE_TEXT || info->type == ENGINE_BLOB;
    if (info->type == ENGINE_MAP)
        lh_buf_append_str(sql, lh_lit("CAST(to_json(map_entries("));
    else if (info->child_count)
        lh_buf_append_str(sql, lh_lit("CAST(to_json("));
    else if (!is_plain)
        lh_buf_append_str(sql, lh_lit("CAST("));
    engine_quote_ident(sql, name);
    if (info->type == ENGINE_MAP)
        lh_buf_append_str(sql, lh_lit(")) AS VARCHAR)"));
    else if (info->child_count)
        lh_buf_append_str(sql, lh_lit(") AS VARCHAR)"));
    else if (!is_plain)
        lh_buf_append_str(sql, lh_lit(" AS VARCHAR)"));
}

/* The columns that hold texts, and which of them are nested; false: none, or the key is not among
 * all. */
static bool write_texts(const struct erase_rows *rows, const struct engine_columns *columns,
                        bool *nested, struct lh_buf *sql)
{
    bool has_key = false;
    size_t count = 0;
    lh_buf_append_str(sql, lh_lit("SELECT "));
    for (size_t i = 0; i < columns->count; i++) {
        const struct engine_type_info *info = columns->items[i].info;
        has_key |= lh_str_equal_nocase(columns->items[i].name, rows->column);
        if (!holds_texts(info))
            continue;
        lh_buf_append_str(sql, count ? lh_lit(", ") : lh_lit(""));
        write_column(info, columns->items[i].name, sql);
        nested[count++] = info->child_count > 0;
    }
    return has_key && count;
}

static void each_leaf(const json_t *value, void (*each)(void *context, struct lh_str text),
                      void *context)
{
    json_t *object = (json_t *)(uintptr_t)value; /* which its iterator takes, and only reads */
    if (json_is_string(value))
        each(context, lh_json_text(value));
    for (size_t at = 0; at < json_array_size(value); at++)
        each_leaf(json_array_get(value, at), each, context);
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at))
        each_leaf(json_object_iter_value(at), each, context);
}

static void each_text(struct lh_str text, bool is_nested,
                      void (*each)(void *context, struct lh_str text), void *context)
{
    json_t *value = NULL;
    if (!is_nested || lh_json_parse(text, "A value", text.len + 1, &value, NULL))
        each(context, text);
    else
        each_leaf(value, each, context);
    json_decref(value);
}

static enum lh_code columns_of_file(const struct erase_rows *rows, struct lh_str path,
                                    struct lh_arena *arena, struct engine_columns *ret,
                                    struct lh_error *err)
{
    struct engine_connection *connection = NULL;
    int64_t row_count = 0;
    enum lh_code code =
        engine_acquire(rows->engine, (struct lh_str){0}, rows->cancel, &connection, err);
    if (!code)
        code = engine_parquet_schema(connection, path, arena, ret, &row_count, err);
    engine_release(connection);
    return code;
}

static enum lh_code read_file(const struct erase_rows *rows, struct lh_str path,
                              void (*each)(void *context, struct lh_str text), void *context,
                              struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    struct engine_columns columns = {0};
    struct lh_buf select;
    lh_buf_init(&select, SQL_BYTES_MAX);
    enum lh_code code = columns_of_file(rows, path, arena, &columns, err);
    bool *nested = lh_arena_array(arena, columns.count + 1, sizeof *nested);
    if (!code && write_texts(rows, &columns, nested, &select)) {
        code = open_rows(rows, lh_buf_str(&select), path, &cursor, err);
        while (!code && !(code = engine_cursor_next(cursor, &chunk, err)) && chunk)
            for (size_t at = 0; at < chunk->column_count; at++)
                for (size_t row = 0; row < chunk->row_count; row++)
                    if (!engine_vector_is_null(&chunk->columns[at], row))
                        each_text(engine_vector_str(&chunk->columns[at], row), nested[at], each,
                                  context);
        engine_cursor_close(cursor);
    }
    lh_buf_release(&select);
    lh_arena_free(arena);
    return code;
}

/* Of one bucket: what lies in the dataset's folder there. */
static enum lh_code read_bucket(const struct erase_rows *rows, struct lh_str bucket,
                                struct lh_str folder,
                                void (*each)(void *context, struct lh_str text), void *context,
                                struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct storage_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code = storage_list(rows->storage, bucket, folder, arena, &entries, &count, err);
    for (size_t i = 0; i < count && !code; i++) {
        struct storage_held_file file;
        const struct storage_held held = {.key = entries[i].key, .bytes = entries[i].bytes};
        if (entries[i].is_folder || !lh_str_ends_with(entries[i].name, lh_lit(".parquet")))
            continue;
        code = storage_held_open(rows->storage, bucket, &held, rows->cancel, arena, &file, err);
        if (code == LH_NOT_FOUND) {
            code = LH_OK; /* it went meanwhile: no version that is kept names it */
            continue;
        }
        if (!code) {
            code = read_file(rows, file.path, each, context, err);
            storage_held_close(&file);
        }
    }
    lh_arena_free(arena);
    return code;
}

/* Versions that are kept have files there: what these hold must be known. */
static bool is_needed(struct lh_str_list buckets, struct lh_str name)
{
    for (size_t i = 0; i < buckets.count; i++)
        if (lh_str_equal(buckets.items[i], name))
            return true;
    return lh_str_equal(name, STORAGE_PRIMARY);
}

enum lh_code erase_rows_texts(const struct erase_rows *rows, struct lh_str dataset_id,
                              struct lh_str_list buckets,
                              void (*each)(void *context, struct lh_str text), void *context,
                              struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str *names = NULL;
    struct lh_str folder = lh_arena_printf(arena, "datasets/%.*s", LH_ARG(dataset_id));
    size_t count = 0;
    enum lh_code code = LH_OK;
    storage_bucket_names(rows->storage, arena, &names, &count);
    for (size_t i = 0; i < count && !code; i++) {
        struct lh_error own = LH_ERROR_NONE;
        code = read_bucket(rows, names[i], folder, each, context, &own);
        if (code == LH_IO && !is_needed(buckets, names[i]))
            code = LH_OK; /* copies may lie there, which the scan asks for again */
        if (code && err)
            *err = own;
    }
    lh_arena_free(arena);
    return code;
}

enum lh_code erase_rows_count(const struct erase_rows *rows, struct lh_str path, int64_t *ret,
                              struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    struct engine_columns columns = {0};
    bool has_key = false;
    enum lh_code code = columns_of_file(rows, path, arena, &columns, err);
    *ret = 0;
    for (size_t i = 0; i < columns.count && !code; i++)
        has_key |= lh_str_equal_nocase(columns.items[i].name, rows->column);
    if (!code && has_key)
        code = open_rows(rows, lh_lit("SELECT count(*)"), path, &cursor, err);
    if (!code && has_key && !(code = engine_cursor_next(cursor, &chunk, err)) && chunk)
        *ret = ((const int64_t *)chunk->columns[0].data)[0];
    engine_cursor_close(cursor);
    lh_arena_free(arena);
    return code;
}
