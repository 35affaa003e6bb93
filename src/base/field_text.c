/* From named texts and received files into structs. */
#include "base/clock.h"
#include "base/field_internal.h"

static enum lh_code fail_text(const struct field_place *place, const struct lh_field *field,
                              struct lh_str value, struct lh_error *err)
{
    char got[FIELD_QUOTED_BYTES];
    field_quote(value, got);
    return field_fail_value(place, field, got, err);
}

static enum lh_code bind_str_list(const struct field_place *place, const struct lh_field *field,
                                  struct lh_str value, struct lh_arena *arena,
                                  struct lh_str_list *ret, struct lh_error *err)
{
    size_t commas = 0;
    for (size_t i = 0; i < value.len; i++)
        commas += value.data[i] == ',';
    struct lh_str_list list = {.count = lh_str_trim(value).len ? commas + 1 : 0};
    enum lh_code code = field_check_limits(place, field, &list, err);
    if (code)
        return code;
    struct lh_str *items = lh_arena_try(arena, (commas + 1) * sizeof *items);
    if (!items)
        return field_fail_memory(place, err);
    for (size_t i = 0; i < list.count; i++) {
        struct lh_str item = lh_str_trim(lh_str_cut(&value, ','));
        if (!item.len)
            return field_fail(place, err, LH_INVALID, "has an empty item between its commas.");
        if (!lh_arena_try_str(arena, item, &items[i]))
            return field_fail_memory(place, err);
    }
    list.items = items;
    *ret = list;
    return LH_OK;
}

static enum lh_code bind_json(const struct field_place *place, const struct lh_field *field,
                              struct lh_str text, struct lh_arena *arena, void *member,
                              struct lh_error *err)
{
    json_t *value = NULL;
    enum lh_code code = lh_json_parse(text, "it", text.len, &value, err);
    if (code == LH_MALFORMED && err)
        return field_fail(place, err, LH_INVALID, "must be JSON: %s", err->message);
    if (code)
        return code;
    lh_json_keep(value, arena);
    return field_bind_value(place, field, value, arena, member, err);
}

static bool to_bool(struct lh_str value, bool *ret)
{
    if (lh_str_equal(value, lh_lit("true")) || lh_str_equal(value, lh_lit("1")))
        *ret = true;
    else if (lh_str_equal(value, lh_lit("false")) || lh_str_equal(value, lh_lit("0")))
        *ret = false;
    else
        return false;
    return true;
}

static enum lh_code bind_str(const struct field_place *place, const struct lh_field *field,
                             struct lh_str value, struct lh_arena *arena, struct lh_str *ret,
                             struct lh_error *err)
{
    /* Given but empty is a value; absent is none. */
    if (!value.data)
        value = lh_lit("");
    enum lh_code code = field_check_limits(place, field, &value, err);
    if (!code && !lh_arena_try_str(arena, value, ret))
        code = field_fail_memory(place, err);
    return code;
}

static enum lh_code bind_number(const struct field_place *place, const struct lh_field *field,
                                struct lh_str value, void *member, struct lh_error *err)
{
    int64_t whole = 0;
    double real = 0;
    enum lh_code code;
    if (field->type == LH_FIELD_DOUBLE) {
        if (!lh_str_to_double(value, &real))
            return fail_text(place, field, value, err);
        code = field_check_limits(place, field, &real, err);
        if (!code)
            *(double *)member = real;
        return code;
    }
    if (!lh_str_to_int(value, &whole))
        return fail_text(place, field, value, err);
    struct lh_opt_int optional = {true, whole};
    if (field->type == LH_FIELD_OPT_INT) {
        code = field_check_limits(place, field, &optional, err);
        if (!code)
            *(struct lh_opt_int *)member = optional;
        return code;
    }
    code = field_check_limits(place, field, &whole, err);
    if (!code)
        *(int64_t *)member = whole;
    return code;
}

static enum lh_code bind_value(const struct field_place *place, const struct lh_field *field,
                               struct lh_str value, struct lh_arena *arena, void *member,
                               struct lh_error *err)
{
    switch (field->type) {
    case LH_FIELD_STR:
        return bind_str(place, field, value, arena, member, err);
    case LH_FIELD_INT:
    case LH_FIELD_OPT_INT:
    case LH_FIELD_DOUBLE:
        return bind_number(place, field, value, member, err);
    case LH_FIELD_BOOL:
        return to_bool(value, member) ? LH_OK : fail_text(place, field, value, err);
    case LH_FIELD_CHOICE: {
        int choice = field_find_choice(field, value);
        if (choice < 0)
            return fail_text(place, field, value, err);
        *(int *)member = choice;
        return LH_OK;
    }
    case LH_FIELD_TIME: {
        struct lh_time *time = member;
        return lh_time_parse(value, &time->unix_ms) ? LH_OK : fail_text(place, field, value, err);
    }
    case LH_FIELD_STR_LIST:
        return bind_str_list(place, field, value, arena, member, err);
    case LH_FIELD_JSON:
    case LH_FIELD_OBJECT:
    case LH_FIELD_LIST:
    case LH_FIELD_INT_MAP:
        return bind_json(place, field, value, arena, member, err);
    case LH_FIELD_FILE:
        return field_fail_value(place, field, "text", err);
    }
    return LH_OK;
}

static bool was_bound(const struct lh_fields *fields, const struct lh_field *field,
                      const uint64_t *bound)
{
    return bound && (*bound & UINT64_C(1) << (field - fields->items)) != 0;
}

static void set_bound(const struct lh_fields *fields, const struct lh_field *field, uint64_t *bound)
{
    if (bound)
        *bound |= UINT64_C(1) << (field - fields->items);
}

static enum lh_code check_text(const struct field_place *place, struct lh_str value,
                               struct lh_error *err)
{
    size_t bad_at;
    if (!lh_str_is_utf8(value, &bad_at))
        return field_fail(place, err, LH_INVALID, "is not valid UTF-8 at byte %zu.", bad_at + 1);
    if (value.len && memchr(value.data, 0, value.len))
        return field_fail(place, err, LH_INVALID,
                          "holds a NUL character, which text here may not.");
    return LH_OK;
}

enum lh_code lh_fields_bind_text(const struct lh_fields *fields, struct lh_str name,
                                 struct lh_str value, struct lh_arena *arena, void *target,
                                 uint64_t *bound, struct lh_error *err)
{
    struct field_place place = {.name = name.data ? name : lh_lit("")};
    const struct lh_field *field = lh_fields_find(fields, place.name);
    if (!field)
        return field_fail_unknown(fields, &place, err);
    if (was_bound(fields, field, bound))
        return field_fail(&place, err, LH_INVALID, "is given more than once.");
    enum lh_code code = check_text(&place, value, err);
    if (!code)
        code = bind_value(&place, field, value, arena, field_member(field, target), err);
    if (!code)
        set_bound(fields, field, bound);
    return code;
}

enum lh_code lh_fields_bind_file(const struct lh_fields *fields, struct lh_str name,
                                 const struct lh_upload *upload, void *target, uint64_t *bound,
                                 struct lh_error *err)
{
    struct field_place place = {.name = name.data ? name : lh_lit("")};
    const struct lh_field *field = lh_fields_find(fields, place.name);
    if (!field)
        return field_fail_unknown(fields, &place, err);
    if (was_bound(fields, field, bound))
        return field_fail(&place, err, LH_INVALID, "is given more than once.");
    if (field->type != LH_FIELD_FILE)
        return field_fail_value(&place, field, "a file", err);
    *(struct lh_upload *)field_member(field, target) = *upload;
    set_bound(fields, field, bound);
    return LH_OK;
}
