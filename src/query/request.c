/* What a request carries beside its SQL: the moment, the parameters. */
#include "query/internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"

enum lh_code query_fail_at(struct lh_error *err, enum lh_code code, int64_t position,
                           const char *format, ...)
{
    char message[LH_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    lh_fail(err, code, "%s", message);
    if (err)
        err->position = position;
    return code;
}

/* RFC 3339, or as SQL writes it: a blank for the T, no offset (then UTC), no seconds' fraction. */
bool query_time_read(struct lh_str text, int64_t *ret_unix_ms)
{
    char buffer[64];
    text = lh_str_trim(text);
    if (text.len >= sizeof buffer - 2 || text.len < 10)
        return false;
    memcpy(buffer, text.data, text.len);
    size_t len = text.len;
    if (len > 10) {
        if (buffer[10] == ' ')
            buffer[10] = 'T';
        bool has_offset = buffer[len - 1] == 'Z' || buffer[len - 1] == 'z';
        for (size_t i = 11; i < len; i++)
            has_offset |= buffer[i] == '+' || buffer[i] == '-';
        if (!has_offset)
            buffer[len++] = 'Z';
    }
    return lh_time_parse((struct lh_str){buffer, len}, ret_unix_ms);
}

/* --- as_of */

static struct lh_str json_text(const json_t *value)
{
    return (struct lh_str){json_string_value(value), json_string_length(value)};
}

static enum lh_code read_versions(const json_t *object, struct lh_arena *arena,
                                  struct query_as_of *ret, struct lh_error *err)
{
    size_t count = json_object_size(object), at = 0;
    if (count > 1000)
        return lh_fail(err, LH_TOO_LARGE, "as_of names %zu datasets; at most 1000 are read.",
                       count);
    struct query_as_of_version *versions = lh_arena_array(arena, count, sizeof *versions);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (!json_is_integer(value) || json_integer_value(value) < 1) {
            lh_fail(err, LH_INVALID, "as_of gives '%s' no version: a whole number from 1 on.",
                    name);
            return lh_error_field(err, lh_lit("as_of"));
        }
        versions[at++] =
            (struct query_as_of_version){.name = lh_arena_str(arena, lh_str_of(name)),
                                         .version = (uint64_t)json_integer_value(value)};
    }
    ret->versions = versions;
    ret->version_count = count;
    return LH_OK;
}

enum lh_code query_as_of_read(const json_t *value, struct lh_arena *arena, struct query_as_of *ret,
                              struct lh_error *err)
{
    *ret = (struct query_as_of){0};
    if (!value || json_is_null(value))
        return LH_OK;
    if (json_is_string(value)) {
        if (!query_time_read(json_text(value), &ret->unix_ms)) {
            lh_fail(err, LH_INVALID, "as_of '%.*s' is not a time.", LH_ARG(json_text(value)));
            lh_error_hint(err, "Write it as \"2026-01-31T09:00:00Z\".");
            return lh_error_field(err, lh_lit("as_of"));
        }
        ret->has_time = true;
    } else if (json_is_object(value)) {
        enum lh_code code = read_versions(value, arena, ret, err);
        if (code)
            return code;
    } else {
        lh_fail(err, LH_INVALID, "as_of is a time or an object of dataset names and versions.");
        return lh_error_field(err, lh_lit("as_of"));
    }
    char *dump = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    bool is_kept = dump && lh_arena_try_str(arena, lh_str_of(dump), &ret->key);
    free(dump);
    return is_kept ? LH_OK : lh_fail(err, LH_BUSY, "There is no memory for as_of.");
}

/* --- parameters */

static enum lh_code read_param(const json_t *value, struct lh_arena *arena,
                               struct engine_param *param, struct lh_error *err)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
        param->type = ENGINE_PARAM_NULL;
        return LH_OK;
    case JSON_TRUE:
    case JSON_FALSE:
        param->type = ENGINE_PARAM_BOOL;
        param->boolean = json_is_true(value);
        return LH_OK;
    case JSON_INTEGER:
        param->type = ENGINE_PARAM_INT;
        param->integer = json_integer_value(value);
        return LH_OK;
    case JSON_REAL:
        param->type = ENGINE_PARAM_DOUBLE;
        param->number = json_real_value(value);
        return LH_OK;
    case JSON_STRING:
        param->type = ENGINE_PARAM_TEXT;
        param->text = json_text(value);
        return LH_OK;
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    param->type = ENGINE_PARAM_JSON;
    char *dump = json_dumps(value, JSON_COMPACT);
    bool is_kept = dump && lh_arena_try_str(arena, lh_str_of(dump), &param->text);
    free(dump);
    return is_kept ? LH_OK : lh_fail(err, LH_BUSY, "There is no memory for the parameters.");
}

enum lh_code query_params_read(const json_t *value, struct lh_arena *arena,
                               struct engine_params *ret, struct lh_error *err)
{
    *ret = (struct engine_params){0};
    if (!value || json_is_null(value))
        return LH_OK;
    bool is_list = json_is_array(value);
    if (!is_list && !json_is_object(value)) {
        lh_fail(err, LH_INVALID, "parameters is a list for ? and $1, or an object for $name.");
        return lh_error_field(err, lh_lit("parameters"));
    }
    size_t count = is_list ? json_array_size(value) : json_object_size(value), at = 0;
    if (count > QUERY_PARAMETERS_MAX) {
        lh_fail(err, LH_TOO_LARGE, "There are %zu parameters; at most %d are taken.", count,
                QUERY_PARAMETERS_MAX);
        return lh_error_field(err, lh_lit("parameters"));
    }
    struct engine_param *items = lh_arena_array(arena, count + 1, sizeof *items);
    enum lh_code code = LH_OK;
    if (is_list) {
        for (; at < count && !code; at++)
            code = read_param(json_array_get(value, at), arena, &items[at], err);
    } else {
        const char *name;
        json_t *item;
        json_object_foreach((json_t *)(uintptr_t)value, name, item)
        {
            items[at].name = lh_str_of(name);
            code = read_param(item, arena, &items[at++], err);
            if (code)
                break;
        }
    }
    if (!code)
        *ret = (struct engine_params){items, count};
    return code;
}
