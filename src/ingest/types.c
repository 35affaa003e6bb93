/* The types that a caller gives for columns (options.types): names of SQL types and nothing else.
 * They reach the engine inside statements, so that what is no type is told here, in our words,
 * before a byte of the file is looked at. */
#include <ctype.h>

#include "ingest/internal.h"

#define TYPE_BYTES_MAX 512

static const struct lh_str known[] = {
    LH_LIT("BIGINT"),   LH_LIT("BLOB"),      LH_LIT("BOOLEAN"),     LH_LIT("DATE"),
    LH_LIT("DECIMAL"),  LH_LIT("DOUBLE"),    LH_LIT("FLOAT"),       LH_LIT("HUGEINT"),
    LH_LIT("INTEGER"),  LH_LIT("INTERVAL"),  LH_LIT("SMALLINT"),    LH_LIT("TEXT"),
    LH_LIT("TIME"),     LH_LIT("TIMESTAMP"), LH_LIT("TIMESTAMPTZ"), LH_LIT("TINYINT"),
    LH_LIT("UBIGINT"),  LH_LIT("UHUGEINT"),  LH_LIT("UINTEGER"),    LH_LIT("USMALLINT"),
    LH_LIT("UTINYINT"), LH_LIT("UUID"),      LH_LIT("VARCHAR"),
};

/* Words, numbers, and brackets that match: nothing that could end the place where a type stands. */
static bool is_harmless(struct lh_str type)
{
    int depth = 0;
    if (!type.len || type.len > TYPE_BYTES_MAX)
        return false;
    for (size_t at = 0; at < type.len; at++) {
        unsigned char byte = (unsigned char)type.data[at];
        depth += (byte == '(') - (byte == ')');
        if (depth < 0 || !(isalnum(byte) || strchr("_ ,()[]", byte)))
            return false;
    }
    return depth == 0;
}

static enum lh_code fail_type(struct lh_str column, struct lh_str type, struct lh_error *err)
{
    size_t len = 0;
    while (len < type.len && isalnum((unsigned char)type.data[len]))
        len++;
    struct lh_str nearest =
        lh_str_nearest(lh_str_slice(type, 0, len), known, sizeof(known) / sizeof(known[0]));
    lh_fail(err, LH_INVALID, "options.types: '%.*s', for the column '%.*s', is no type.",
            LH_ARG(lh_str_head(type, 100)), LH_ARG(lh_str_head(column, 100)));
    lh_error_field(err, lh_lit("options.types"));
    if (nearest.len && !lh_str_equal_nocase(nearest, type))
        return lh_error_hint(err, "Did you mean '%.*s'?", LH_ARG(nearest));
    return lh_error_hint(err, "Types are those of SQL: VARCHAR, BIGINT, DOUBLE, DECIMAL(10,2), "
                              "DATE, TIMESTAMP, BOOLEAN …");
}

static enum lh_code check_type(struct engine_connection *connection, struct lh_arena *arena,
                               struct lh_str column, const json_t *value, struct lh_error *err)
{
    struct engine_columns columns = {0};
    struct lh_error refused = LH_ERROR_NONE;
    if (!json_is_string(value)) {
        lh_fail(err, LH_INVALID, "options.types: the type of '%.*s' must be text.",
                LH_ARG(lh_str_head(column, 100)));
        return lh_error_field(err, lh_lit("options.types"));
    }
    struct lh_str type = lh_str_trim(lh_json_text(value));
    if (!is_harmless(type))
        return fail_type(column, type, err);
    struct lh_str sql = lh_arena_printf(arena, "SELECT CAST(NULL AS %.*s)", LH_ARG(type));
    enum lh_code code = engine_describe(connection, sql, arena, &columns, &refused);
    if (code == LH_SQL || code == LH_SYNTAX || code == LH_INVALID)
        return fail_type(column, type, err);
    if (code && err)
        *err = refused;
    return code;
}

enum lh_code types_check(struct ingest *ingest, const json_t *types, struct lh_arena *arena,
                         struct lh_error *err)
{
    struct engine_connection *connection = NULL;
    const char *key = NULL;
    json_t *value = NULL;
    if (!json_object_size(types))
        return LH_OK;
    enum lh_code code = engine_acquire(ingest->engine, lh_str_of(NULL), NULL, &connection, err);
    if (code)
        return code;
    json_object_foreach((json_t *)types, key, value)
    {
        code = check_type(connection, arena, lh_str_of(key), value, err);
        if (code)
            break;
    }
    engine_release(connection);
    return code;
}

enum lh_code types_settle(struct task *task, struct lh_str type, struct lh_str *ret,
                          struct lh_error *err)
{
    struct engine_columns columns = {0};
    struct lh_str sql = lh_arena_printf(task->arena, "SELECT CAST(NULL AS %.*s)", LH_ARG(type));
    enum lh_code code = engine_describe(task->connection, sql, task->arena, &columns, err);
    if (!code)
        *ret = stored_type(task->arena, columns.items[0].info);
    return code;
}
