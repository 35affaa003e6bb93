/* Values for the parameters of a prepared statement. */
#include "engine/internal.h"

#include <stdlib.h>

#include "base/json.h"

#define PARAM_JSON_BYTES_MAX ((size_t)16 * 1024 * 1024)

/* --- JSON values as values of the library */

/* The least type that holds all scalars of a list: integers grow to doubles, anything else mixed is
 * text. */
enum common { COMMON_NONE, COMMON_BOOL, COMMON_INT, COMMON_DOUBLE, COMMON_TEXT, COMMON_NESTED };

static enum common common_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_TRUE:
    case JSON_FALSE:
        return COMMON_BOOL;
    case JSON_INTEGER:
        return COMMON_INT;
    case JSON_REAL:
        return COMMON_DOUBLE;
    case JSON_STRING:
        return COMMON_TEXT;
    case JSON_NULL:
        return COMMON_NONE;
    default:
        return COMMON_NESTED;
    }
}

static enum common common_join(enum common a, enum common b)
{
    if (a == b || b == COMMON_NONE)
        return a;
    if (a == COMMON_NONE)
        return b;
    bool numbers =
        (a == COMMON_INT || a == COMMON_DOUBLE) && (b == COMMON_INT || b == COMMON_DOUBLE);
    return numbers ? COMMON_DOUBLE : COMMON_TEXT;
}

static enum common common_of_list(const json_t *list)
{
    enum common common = COMMON_NONE;
    for (size_t i = 0; i < json_array_size(list); i++)
        common = common_join(common, common_of(json_array_get(list, i)));
    return common;
}

static duckdb_logical_type type_of_common(enum common common)
{
    static const duckdb_type types[] = {
        [COMMON_NONE] = DUCKDB_TYPE_VARCHAR, [COMMON_BOOL] = DUCKDB_TYPE_BOOLEAN,
        [COMMON_INT] = DUCKDB_TYPE_BIGINT,   [COMMON_DOUBLE] = DUCKDB_TYPE_DOUBLE,
        [COMMON_TEXT] = DUCKDB_TYPE_VARCHAR,
    };
    return duckdb_create_logical_type(types[common]);
}

static duckdb_value text_value(const json_t *value)
{
    if (json_is_string(value))
        return duckdb_create_varchar_length(json_string_value(value), json_string_length(value));
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    duckdb_value result = duckdb_create_varchar(text ? text : "");
    free(text);
    return result;
}

static duckdb_value scalar_value(const json_t *value, enum common common)
{
    if (json_is_null(value))
        return duckdb_create_null_value();
    switch (common) {
    case COMMON_BOOL:
        return duckdb_create_bool(json_is_true(value));
    case COMMON_INT:
        return duckdb_create_int64(json_integer_value(value));
    case COMMON_DOUBLE:
        return duckdb_create_double(json_number_value(value));
    default:
        return text_value(value);
    }
}

static duckdb_value json_value(const json_t *value);

static duckdb_value list_value(const json_t *list)
{
    size_t count = json_array_size(list);
    enum common common = common_of_list(list);
    duckdb_value *items = calloc(count ? count : 1, sizeof *items);
    duckdb_value result = NULL;
    duckdb_logical_type type = NULL;
    if (!items)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(list, i);
        items[i] = common == COMMON_NESTED ? json_value(item) : scalar_value(item, common);
        if (!items[i])
            goto out;
        if (common == COMMON_NESTED && !type && !json_is_null(item))
            type = duckdb_get_value_type(items[i]); /* borrowed from the value */
    }
    if (common == COMMON_NESTED) {
        result = duckdb_create_list_value(type, items, count);
    } else {
        type = type_of_common(common);
        result = duckdb_create_list_value(type, items, count);
        duckdb_destroy_logical_type(&type);
    }
out:
    for (size_t i = 0; i < count; i++)
        duckdb_destroy_value(&items[i]);
    free(items);
    return result;
}

static duckdb_value struct_value(const json_t *object)
{
    size_t count = json_object_size(object), i = 0;
    duckdb_value *items = calloc(count ? count : 1, sizeof *items);
    const char **names = calloc(count ? count : 1, sizeof *names);
    duckdb_logical_type *types = calloc(count ? count : 1, sizeof *types);
    duckdb_value result = NULL;
    duckdb_logical_type type = NULL;
    const char *key;
    json_t *value;
    if (!items || !names || !types || !count)
        goto out;
    json_object_foreach((json_t *)object, key, value)
    {
        items[i] = json_value(value);
        if (!items[i])
            goto out;
        names[i] = key;
        types[i] = duckdb_get_value_type(items[i]);
        i++;
    }
    type = duckdb_create_struct_type(types, names, count);
    result = duckdb_create_struct_value(type, items);
out:
    duckdb_destroy_logical_type(&type);
    for (i = 0; items && i < count; i++)
        duckdb_destroy_value(&items[i]);
    free(items);
    free(names);
    free(types);
    return result;
}

/* NULL: the library cannot make one value of it (an empty object, lists of unlike objects). */
static duckdb_value json_value(const json_t *value)
{
    if (json_is_array(value))
        return list_value(value);
    if (json_is_object(value))
        return struct_value(value);
    return scalar_value(value, common_of(value));
}

static enum lh_code bind_json(duckdb_prepared_statement prepared, idx_t at, struct lh_str text,
                              duckdb_state *ret_state, struct lh_error *err)
{
    json_t *json = NULL;
    enum lh_code code = lh_json_parse(text, "The parameter", PARAM_JSON_BYTES_MAX, &json, err);
    if (code)
        return code;
    duckdb_value value = json_value(json);
    json_decref(json);
    if (!value)
        return lh_fail(err, LH_INVALID,
                       "The value of parameter %llu cannot be one SQL value: the objects in it are "
                       "empty or differ in their members.",
                       (unsigned long long)at);
    *ret_state = duckdb_bind_value(prepared, at, value);
    duckdb_destroy_value(&value);
    return LH_OK;
}

/* --- binding */

static enum lh_code bind_one(duckdb_prepared_statement prepared, idx_t at,
                             const struct engine_param *param, struct lh_error *err)
{
    duckdb_state state = DuckDBError;
    enum lh_code code = LH_OK;
    switch (param->type) {
    case ENGINE_PARAM_NULL:
        state = duckdb_bind_null(prepared, at);
        break;
    case ENGINE_PARAM_BOOL:
        state = duckdb_bind_boolean(prepared, at, param->boolean);
        break;
    case ENGINE_PARAM_INT:
        state = duckdb_bind_int64(prepared, at, param->integer);
        break;
    case ENGINE_PARAM_DOUBLE:
        state = duckdb_bind_double(prepared, at, param->number);
        break;
    case ENGINE_PARAM_TEXT:
        if (!lh_str_is_utf8(param->text, NULL))
            return lh_fail(err, LH_INVALID, "The value of parameter %llu is not valid UTF-8.",
                           (unsigned long long)at);
        state = duckdb_bind_varchar_length(prepared, at, param->text.data ? param->text.data : "",
                                           param->text.len);
        break;
    case ENGINE_PARAM_JSON:
        code = bind_json(prepared, at, param->text, &state, err);
        break;
    }
    if (!code && state == DuckDBError)
        code = lh_fail(err, LH_INVALID, "The value of parameter %llu cannot be bound.",
                       (unsigned long long)at);
    return code;
}

static enum lh_code fail_unknown(struct engine_statement *statement, const char *name,
                                 struct lh_error *err)
{
    struct lh_buf names;
    lh_buf_init(&names, 4096);
    for (idx_t at = 1; at <= statement->param_count; at++) {
        const char *wanted = duckdb_parameter_name(statement->prepared, at);
        lh_buf_printf(&names, "%s$%s", at > 1 ? ", " : "", wanted ? wanted : "?");
        duckdb_free((void *)(uintptr_t)wanted);
    }
    lh_fail(err, LH_INVALID, "The statement has no parameter $%s.", name);
    if (!lh_buf_check(&names, "The list", NULL))
        lh_error_hint(err, "It wants a value for %.*s.", LH_ARG(lh_buf_str(&names)));
    lh_buf_release(&names);
    return LH_INVALID;
}

static enum lh_code find_named(struct engine_statement *statement, struct lh_str name, idx_t *ret,
                               struct lh_error *err)
{
    char text[256];
    if (name.len >= sizeof text)
        return lh_fail(err, LH_INVALID, "A parameter's name has %zu bytes; at most %zu are read.",
                       name.len, sizeof text - 1);
    memcpy(text, name.data, name.len);
    text[name.len] = 0;
    if (duckdb_bind_parameter_index(statement->prepared, ret, text) == DuckDBError)
        return fail_unknown(statement, text, err);
    return LH_OK;
}

enum lh_code params_bind(struct engine_statement *statement, const struct engine_params *params,
                         struct lh_error *err)
{
    size_t given = params ? params->count : 0;
    if (given != statement->param_count) {
        lh_fail(err, LH_INVALID, "The statement has %zu parameter%s, but %zu %s given.",
                statement->param_count, statement->param_count == 1 ? "" : "s", given,
                given == 1 ? "was" : "were");
        return lh_error_hint(err, "Every $1, $2, … or $name takes one value.");
    }
    if (given == 0)
        return LH_OK;
    duckdb_clear_bindings(statement->prepared);
    for (size_t i = 0; i < given; i++) {
        const struct engine_param *param = &params->items[i];
        idx_t at = i + 1;
        enum lh_code code = LH_OK;
        if (!lh_str_empty(param->name))
            code = find_named(statement, param->name, &at, err);
        if (!code)
            code = bind_one(statement->prepared, at, param, err);
        if (code)
            return code;
    }
    return LH_OK;
}

enum lh_code engine_param_names(struct engine_connection *connection, struct lh_str sql,
                                const struct lh_cancel *cancel, struct lh_arena *arena,
                                struct lh_str **ret, size_t *ret_count, struct lh_error *err)
{
    struct engine_statement *statement = NULL;
    (void)connection_take_error(connection, NULL); /* none of an earlier statement's */
    watchdog_watch(connection, cancel, NULL);
    enum lh_code code = statement_get(connection, sql, true, cancel, &statement, err);
    watchdog_unwatch(connection);
    if (code)
        return code;
    *ret_count = statement->param_count;
    *ret = lh_arena_array(arena, statement->param_count + 1, sizeof **ret);
    for (size_t i = 0; i < statement->param_count; i++) {
        const char *name = duckdb_parameter_name(statement->prepared, i + 1);
        (*ret)[i] = lh_arena_str(arena, lh_str_of(name ? name : ""));
        duckdb_free((void *)(uintptr_t)name);
    }
    return LH_OK;
}
