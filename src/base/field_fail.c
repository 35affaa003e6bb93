/* What people read when a field is wrong. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/field_internal.h"

/* Writes the path from the top down; returns its length. What does not fit is cut. */
static size_t write_path(const struct field_place *place, char *out, size_t size)
{
    size_t len = place->outer ? write_path(place->outer, out, size) : 0;
    int added = 0;
    if (len >= size - 1)
        return len;
    if (place->name.data)
        added = snprintf(out + len, size - len, "%s%.*s", len ? "." : "", LH_ARG(place->name));
    else
        added = snprintf(out + len, size - len, "[%zu]", place->index);
    len += added > 0 ? (size_t)added : 0;
    return len < size ? len : size - 1;
}

enum lh_code field_fail(const struct field_place *place, struct lh_error *err, enum lh_code code,
                        const char *format, ...)
{
    char path[LH_ERROR_FIELD_BYTES], reason[LH_ERROR_MESSAGE_BYTES];
    size_t len = write_path(place, path, sizeof path);
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    lh_fail(err, code, "`%.*s` %s", (int)len, path, reason);
    return lh_error_field(err, (struct lh_str){path, len});
}

void field_quote(struct lh_str value, char ret[FIELD_QUOTED_BYTES])
{
    struct lh_str head = lh_str_head(value, FIELD_QUOTED_BYTES - 16);
    snprintf(ret, FIELD_QUOTED_BYTES, "'%.*s%s'", LH_ARG(head), head.len < value.len ? "…" : "");
}

static void describe_range(const struct lh_field *field, const char *noun, struct lh_buf *out)
{
    long long min = (long long)field->min, max = (long long)field->max;
    lh_buf_printf(out, "%s", noun);
    if (field_has_min(field) && field_has_max(field))
        lh_buf_printf(out, " between %lld and %lld", min, max);
    else if (field_has_min(field))
        lh_buf_printf(out, " of at least %lld", min);
}

static void describe_choices(const struct lh_field *field, struct lh_buf *out)
{
    for (size_t i = 0; field->choices[i]; i++) {
        const char *before = i == 0 ? "" : field->choices[i + 1] ? ", " : " or ";
        lh_buf_printf(out, "%s%s", before, field->choices[i]);
    }
}

static void describe_expected(const struct lh_field *field, struct lh_buf *out)
{
    static const char *const nouns[] = {
        [LH_FIELD_STR] = "text",
        [LH_FIELD_INT] = "a whole number",
        [LH_FIELD_OPT_INT] = "a whole number",
        [LH_FIELD_BOOL] = "true or false",
        [LH_FIELD_DOUBLE] = "a number",
        [LH_FIELD_CHOICE] = "",
        [LH_FIELD_TIME] = "a time such as 2026-01-31T09:00:00Z",
        [LH_FIELD_STR_LIST] = "a list of texts",
        [LH_FIELD_JSON] = "JSON",
        [LH_FIELD_OBJECT] = "an object",
        [LH_FIELD_LIST] = "a list of objects",
        [LH_FIELD_INT_MAP] = "an object of whole numbers",
        [LH_FIELD_FILE] = "a file that is sent as a part of a multipart/form-data body",
    };
    const char *noun = nouns[field->type];
    if (field->type == LH_FIELD_CHOICE)
        describe_choices(field, out);
    else if (field->type == LH_FIELD_INT || field->type == LH_FIELD_OPT_INT ||
             field->type == LH_FIELD_DOUBLE)
        describe_range(field, noun, out);
    else
        lh_buf_printf(out, "%s", noun);
}

enum lh_code field_fail_value(const struct field_place *place, const struct lh_field *field,
                              const char *got, struct lh_error *err)
{
    struct lh_buf expected;
    lh_buf_init(&expected, LH_ERROR_MESSAGE_BYTES / 2);
    describe_expected(field, &expected);
    enum lh_code code = field_fail(place, err, LH_INVALID, "must be %.*s; %s is not.",
                                   LH_ARG(lh_buf_str(&expected)), got);
    lh_buf_release(&expected);
    return code;
}

enum lh_code field_fail_memory(const struct field_place *place, struct lh_error *err)
{
    return field_fail(place, err, LH_TOO_LARGE, "needs more memory than one request may use.");
}

static void hint_known_names(const struct lh_fields *fields, struct lh_error *err)
{
    struct lh_buf known;
    lh_buf_init(&known, LH_ERROR_HINT_BYTES);
    for (size_t i = 0; i < fields->count; i++)
        lh_buf_printf(&known, "%s`%s`", i ? ", " : "", fields->items[i].name);
    if (fields->count == 0)
        lh_error_hint(err, "No fields are taken here.");
    else
        lh_error_hint(err, "Known fields: %.*s.", LH_ARG(lh_buf_str(&known)));
    lh_buf_release(&known);
}

enum lh_code field_fail_unknown(const struct lh_fields *fields, const struct field_place *place,
                                struct lh_error *err)
{
    struct lh_str names[LH_FIELDS_MAX];
    assert(fields->count <= LH_FIELDS_MAX);
    for (size_t i = 0; i < fields->count; i++)
        names[i] = lh_str_of(fields->items[i].name);
    struct lh_str nearest = lh_str_nearest(place->name, names, fields->count);
    char path[LH_ERROR_FIELD_BYTES];
    struct lh_str shown = {path, write_path(place, path, sizeof path)};
    if (nearest.data) {
        lh_fail(err, LH_UNKNOWN_FIELD, "Unknown field `%.*s`; did you mean `%.*s`?", LH_ARG(shown),
                LH_ARG(nearest));
    } else {
        lh_fail(err, LH_UNKNOWN_FIELD, "Unknown field `%.*s`.", LH_ARG(shown));
    }
    hint_known_names(fields, err);
    return lh_error_field(err, shown);
}
