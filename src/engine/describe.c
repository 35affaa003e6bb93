/* Columns without rows: of a statement, of a Parquet file. */
#include "engine/internal.h"

/* Copies out of a statement's shape, which goes when the statement is forgotten. */
static const struct engine_type_info *copy_info(struct lh_arena *arena,
                                                const struct engine_type_info *from)
{
    struct engine_type_info *info = lh_arena_alloc(arena, sizeof *info);
    *info = *from;
    info->alias = from->alias.len ? lh_arena_str(arena, from->alias) : (struct lh_str){0};
    const struct engine_type_info **children =
        lh_arena_array(arena, from->child_count ? from->child_count : 1, sizeof *children);
    struct lh_str *names =
        lh_arena_array(arena, from->child_count ? from->child_count : 1, sizeof *names);
    struct lh_str *labels =
        lh_arena_array(arena, from->label_count ? from->label_count : 1, sizeof *labels);
    for (size_t i = 0; i < from->child_count; i++) {
        children[i] = copy_info(arena, from->children[i]);
        if (from->child_names)
            names[i] = lh_arena_str(arena, from->child_names[i]);
    }
    for (size_t i = 0; i < from->label_count; i++)
        labels[i] = lh_arena_str(arena, from->labels[i]);
    info->children = from->children ? children : NULL;
    info->child_names = from->child_names ? names : NULL;
    info->labels = from->labels ? labels : NULL;
    return info;
}

static void copy_columns(struct lh_arena *arena, const struct engine_column *from, size_t count,
                         struct engine_columns *ret)
{
    struct engine_column *items = lh_arena_array(arena, count ? count : 1, sizeof *items);
    for (size_t i = 0; i < count; i++)
        items[i] = (struct engine_column){.name = lh_arena_str(arena, from[i].name),
                                          .info = copy_info(arena, from[i].info),
                                          .is_cast = from[i].is_cast};
    *ret = (struct engine_columns){.items = items, .count = count};
}

enum lh_code describe_columns(struct engine_connection *connection, struct lh_str sql,
                              const struct engine_params *params, const struct lh_cancel *cancel,
                              struct lh_arena *arena, struct engine_columns *ret,
                              struct lh_error *err)
{
    struct engine_statement *statement = NULL;
    struct engine_cursor *cursor = NULL;
    assert(!connection->cursor.is_open);
    watchdog_watch(connection, cancel, NULL);
    enum lh_code code = statement_get(connection, sql, false, cancel, &statement, err);
    watchdog_unwatch(connection);
    if (code)
        return code;
    if (statement->has_fixed_shape) {
        copy_columns(arena, statement->shape.columns, statement->shape.column_count, ret);
    } else {
        /* Only with the parameters' values are the types known: start it, and stop at once. */
        code = engine_run(connection, sql, params, cancel, &cursor, err);
        if (code)
            return code;
        copy_columns(arena, engine_cursor_columns(cursor), engine_cursor_column_count(cursor), ret);
        engine_cursor_close(cursor);
    }
    statement_drop(&connection->once);
    return LH_OK;
}

enum lh_code engine_describe(struct engine_connection *connection, struct lh_str sql,
                             struct lh_arena *arena, struct engine_columns *ret,
                             struct lh_error *err)
{
    return describe_columns(connection, sql, NULL, NULL, arena, ret, err);
}

/* Names that are taken, by hash; a statement may have thousands of columns of one name. */
struct taken {
    const struct lh_str *names;
    size_t *slots; /* index + 1 of a name; 0: free */
    size_t mask;
};

/* The slot of that name, or the free one where it belongs. */
static size_t *slot_of(const struct taken *taken, struct lh_str name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.data[i];
        hash = (hash ^ (uint8_t)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c)) *
               UINT64_C(0x100000001b3);
    }
    size_t at = (size_t)hash & taken->mask;
    while (taken->slots[at] && !lh_str_equal_nocase(taken->names[taken->slots[at] - 1], name))
        at = (at + 1) & taken->mask;
    return &taken->slots[at];
}

const struct lh_str *engine_distinct_names(const struct engine_column *columns, size_t count,
                                           struct lh_arena *arena)
{
    struct lh_str *names = lh_arena_array(arena, count + 1, sizeof *names);
    unsigned long *numbers = lh_arena_array(arena, count + 1, sizeof *numbers); /* tried last */
    struct taken taken = {names, NULL, 15};
    while (taken.mask < 2 * count)
        taken.mask = taken.mask * 2 + 1;
    taken.slots = lh_arena_array(arena, taken.mask + 1, sizeof *taken.slots);
    for (size_t i = 0; i < count; i++) {
        const struct lh_str own = columns[i].name.len ? columns[i].name : lh_lit("column");
        struct lh_str name = own;
        size_t *slot = slot_of(&taken, name);
        const size_t first = *slot; /* who has the name: there the next number is kept */
        for (unsigned long n = first ? numbers[first - 1] + 1 : 0; *slot; n++) {
            numbers[first - 1] = n;
            name = lh_arena_printf(arena, "%.*s_%lu", LH_ARG(own), n);
            slot = slot_of(&taken, name);
        }
        names[i] = name;
        numbers[i] = 1;
        *slot = i + 1;
    }
    return names;
}

/* count(*) without a filter is answered from the footer. Not parquet_file_metadata(): running it a
 * second time from one prepared statement is a fatal error of the library, after which the instance
 * is dead. */
static enum lh_code footer_rows(struct engine_connection *connection, struct lh_str path,
                                int64_t *ret, struct lh_error *err)
{
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    struct lh_buf text;
    lh_buf_init(&text, STATEMENT_BYTES_MAX);
    lh_buf_append_str(&text, lh_lit("SELECT count(*) FROM read_parquet("));
    engine_quote_path(&text, path);
    lh_buf_append_str(&text, lh_lit(", hive_partitioning = false)"));
    enum lh_code code = engine_run(connection, lh_buf_str(&text), NULL, NULL, &cursor, err);
    if (!code)
        code = engine_cursor_next(cursor, &chunk, err);
    if (!code && !chunk)
        code = lh_fail(err, LH_UNREADABLE, "The Parquet file has no footer.");
    if (!code && chunk)
        *ret = ((const int64_t *)chunk->columns[0].data)[0];
    engine_cursor_close(cursor);
    lh_buf_release(&text);
    return code;
}

enum lh_code engine_parquet_schema(struct engine_connection *connection, struct lh_str path,
                                   struct lh_arena *arena, struct engine_columns *ret,
                                   int64_t *ret_rows, struct lh_error *err)
{
    struct engine_columns columns;
    struct lh_buf text;
    int64_t rows = 0;
    lh_buf_init(&text, STATEMENT_BYTES_MAX);
    lh_buf_append_str(&text, lh_lit("SELECT * FROM read_parquet("));
    engine_quote_path(&text, path);
    lh_buf_append_str(&text, lh_lit(", hive_partitioning = false)"));
    enum lh_code code = engine_describe(connection, lh_buf_str(&text), arena, &columns, err);
    if (!code)
        code = footer_rows(connection, path, &rows, err);
    lh_buf_release(&text);
    if (code) {
        if (err)
            err->position = -1; /* of a text that is ours */
        return code;
    }
    *ret = columns;
    *ret_rows = rows;
    return LH_OK;
}
