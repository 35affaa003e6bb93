/* From JSON into structs. */
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/field_internal.h"

static enum lh_code fail_json(const struct field_place *place, const struct lh_field *field,
                              const json_t *value, struct lh_error *err)
{
    char got[FIELD_QUOTED_BYTES] = "null";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        snprintf(got, sizeof got, "an object");
        break;
    case JSON_ARRAY:
        snprintf(got, sizeof got, "a list");
        break;
    case JSON_STRING:
        field_quote(lh_json_text(value), got);
        break;
    case JSON_INTEGER:
        snprintf(got, sizeof got, "%lld", (long long)json_integer_value(value));
        break;
    case JSON_REAL:
        snprintf(got, sizeof got, "%.15g", json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        snprintf(got, sizeof got, "%s", json_is_true(value) ? "true" : "false");
        break;
    case JSON_NULL:
        break;
    }
    return field_fail_value(place, field, got, err);
}

static enum lh_code bind_str(const struct field_place *place, const struct lh_field *field,
                             const json_t *value, struct lh_arena *arena, struct lh_str *ret,
                             struct lh_error *err)
{
    if (!json_is_string(value))
        return fail_json(place, field, value, err);
    struct lh_str text = lh_json_text(value);
    if (text.len && memchr(text.data, 0, text.len))
        return field_fail(place, err, LH_INVALID,
                          "holds a NUL character, which text here may not.");
    return lh_arena_try_str(arena, text, ret) ? LH_OK : field_fail_memory(place, err);
}

/* Whole numbers, also when they are written as 10.0 or 1e3: to JSON that is the same number. */
static bool to_int(const json_t *value, int64_t *ret)
{
    if (json_is_integer(value)) {
        *ret = json_integer_value(value);
        return true;
    }
    double real = json_is_real(value) ? json_real_value(value) : 0.5;
    if (real != floor(real) || fabs(real) > 0x1p53)
        return false;
    *ret = (int64_t)real;
    return true;
}

static enum lh_code bind_choice(const struct field_place *place, const struct lh_field *field,
                                const json_t *value, int *ret, struct lh_error *err)
{
    int choice = json_is_string(value) ? field_find_choice(field, lh_json_text(value)) : -1;
    if (choice < 0)
        return fail_json(place, field, value, err);
    *ret = choice;
    return LH_OK;
}

static enum lh_code bind_time(const struct field_place *place, const struct lh_field *field,
                              const json_t *value, struct lh_time *ret, struct lh_error *err)
{
    if (!json_is_string(value) || !lh_time_parse(lh_json_text(value), &ret->unix_ms))
        return fail_json(place, field, value, err);
    return LH_OK;
}

/* Room for `count` items; at least one byte, so that an empty list differs from an absent one. */
static void *try_items(struct lh_arena *arena, size_t count, size_t item_size)
{
    size_t size;
    if (__builtin_mul_overflow(count, item_size, &size))
        return NULL;
    return lh_arena_try(arena, size ? size : 1);
}

static enum lh_code bind_str_list(const struct field_place *place, const struct lh_field *field,
                                  const json_t *value, struct lh_arena *arena,
                                  struct lh_str_list *ret, struct lh_error *err)
{
    if (!json_is_array(value))
        return fail_json(place, field, value, err);
    static const struct lh_field item_field = {.name = "", .type = LH_FIELD_STR};
    struct lh_str_list list = {.count = json_array_size(value)};
    enum lh_code code = field_check_limits(place, field, &list, err);
    if (code)
        return code;
    struct lh_str *items = try_items(arena, list.count, sizeof *items);
    if (!items)
        return field_fail_memory(place, err);
    for (size_t i = 0; i < list.count && !code; i++) {
        struct field_place element = {.outer = place, .index = i};
        code = bind_str(&element, &item_field, json_array_get(value, i), arena, &items[i], err);
    }
    if (code)
        return code;
    list.items = items;
    *ret = list;
    return LH_OK;
}

static enum lh_code bind_int_map(const struct field_place *place, const struct lh_field *field,
                                 const json_t *value, struct lh_arena *arena,
                                 struct lh_int_map *ret, struct lh_error *err)
{
    if (!json_is_object(value))
        return fail_json(place, field, value, err);
    static const struct lh_field item_field = {.name = "", .type = LH_FIELD_INT};
    struct lh_int_map map = {.count = json_object_size(value)};
    enum lh_code code = field_check_limits(place, field, &map, err);
    if (code)
        return code;
    struct lh_int_map_item *items = try_items(arena, map.count, sizeof *items);
    if (!items)
        return field_fail_memory(place, err);
    json_t *object = (json_t *)value; /* the iterator only reads */
    size_t i = 0;
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at), i++) {
        struct lh_str key = {json_object_iter_key(at), json_object_iter_key_len(at)};
        struct field_place element = {.outer = place, .name = key};
        if (!to_int(json_object_iter_value(at), &items[i].value))
            return fail_json(&element, &item_field, json_object_iter_value(at), err);
        if (!lh_arena_try_str(arena, key, &items[i].name))
            return field_fail_memory(place, err);
    }
    map.items = items;
    *ret = map;
    return LH_OK;
}

static enum lh_code bind_struct(const struct lh_fields *fields, const json_t *value,
                                const struct field_place *outer, struct lh_arena *arena,
                                void *target, struct lh_error *err)
{
    json_t *object = (json_t *)value; /* the iterator only reads */
    enum lh_code code = LH_OK;
    for (void *at = json_object_iter(object); at && !code; at = json_object_iter_next(object, at)) {
        struct lh_str key = {json_object_iter_key(at), json_object_iter_key_len(at)};
        struct field_place place = {.outer = outer, .name = key};
        const struct lh_field *field = lh_fields_find(fields, key);
        if (!field)
            return field_fail_unknown(fields, &place, err);
        code = field_bind_value(&place, field, json_object_iter_value(at), arena,
                                field_member(field, target), err);
    }
    return code;
}

static enum lh_code bind_object(const struct field_place *place, const struct lh_field *field,
                                const json_t *value, struct lh_arena *arena, void *member,
                                struct lh_error *err)
{
    if (!json_is_object(value))
        return fail_json(place, field, value, err);
    void *target = lh_arena_try(arena, field->fields->size);
    if (!target)
        return field_fail_memory(place, err);
    lh_fields_preset(field->fields, target);
    enum lh_code code = bind_struct(field->fields, value, place, arena, target, err);
    if (!code)
        memcpy(member, &target, sizeof target);
    return code;
}

static enum lh_code bind_list(const struct field_place *place, const struct lh_field *field,
                              const json_t *value, struct lh_arena *arena, struct lh_list *ret,
                              struct lh_error *err)
{
    if (!json_is_array(value))
        return fail_json(place, field, value, err);
    struct lh_list list = {.count = json_array_size(value)};
    enum lh_code code = field_check_limits(place, field, &list, err);
    if (code)
        return code;
    char *items = try_items(arena, list.count, field->fields->size);
    if (!items)
        return field_fail_memory(place, err);
    static const struct lh_field item_field = {.name = "", .type = LH_FIELD_OBJECT};
    for (size_t i = 0; i < list.count && !code; i++) {
        struct field_place element = {.outer = place, .index = i};
        const json_t *item = json_array_get(value, i);
        void *target = items + i * field->fields->size;
        if (!json_is_object(item))
            return fail_json(&element, &item_field, item, err);
        lh_fields_preset(field->fields, target);
        code = bind_struct(field->fields, item, &element, arena, target, err);
    }
    if (code)
        return code;
    list.items = items;
    *ret = list;
    return LH_OK;
}

static enum lh_code bind_number(const struct field_place *place, const struct lh_field *field,
                                const json_t *value, void *member, struct lh_error *err)
{
    int64_t whole = 0;
    double real = json_is_number(value) ? json_number_value(value) : 0;
    if (field->type == LH_FIELD_DOUBLE ? !json_is_number(value) : !to_int(value, &whole))
        return fail_json(place, field, value, err);
    struct lh_opt_int optional = {true, whole};
    const void *bound = &whole;
    size_t size = sizeof whole;
    if (field->type == LH_FIELD_DOUBLE) {
        bound = &real;
        size = sizeof real;
    } else if (field->type == LH_FIELD_OPT_INT) {
        bound = &optional;
        size = sizeof optional;
    }
    enum lh_code code = field_check_limits(place, field, bound, err);
    if (!code)
        memcpy(member, bound, size);
    return code;
}

enum lh_code field_bind_value(const struct field_place *place, const struct lh_field *field,
                              const json_t *value, struct lh_arena *arena, void *member,
                              struct lh_error *err)
{
    if (json_is_null(value) && field->type != LH_FIELD_JSON)
        return LH_OK;
    switch (field->type) {
    case LH_FIELD_STR: {
        struct lh_str text;
        enum lh_code code = bind_str(place, field, value, arena, &text, err);
        if (!code)
            code = field_check_limits(place, field, &text, err);
        if (!code)
            *(struct lh_str *)member = text;
        return code;
    }
    case LH_FIELD_INT:
    case LH_FIELD_OPT_INT:
    case LH_FIELD_DOUBLE:
        return bind_number(place, field, value, member, err);
    case LH_FIELD_BOOL:
        if (!json_is_boolean(value))
            return fail_json(place, field, value, err);
        *(bool *)member = json_is_true(value);
        return LH_OK;
    case LH_FIELD_CHOICE:
        return bind_choice(place, field, value, member, err);
    case LH_FIELD_TIME:
        return bind_time(place, field, value, member, err);
    case LH_FIELD_STR_LIST:
        return bind_str_list(place, field, value, arena, member, err);
    case LH_FIELD_JSON:
        ((struct lh_json_value *)member)->value = value;
        return LH_OK;
    case LH_FIELD_OBJECT:
        return bind_object(place, field, value, arena, member, err);
    case LH_FIELD_LIST:
        return bind_list(place, field, value, arena, member, err);
    case LH_FIELD_INT_MAP:
        return bind_int_map(place, field, value, arena, member, err);
    case LH_FIELD_FILE:
        return fail_json(place, field, value, err);
    }
    return LH_OK;
}

enum lh_code lh_fields_bind_json(const struct lh_fields *fields, const json_t *object,
                                 struct lh_arena *arena, void *target, struct lh_error *err)
{
    if (!json_is_object(object)) {
        return lh_fail(err, LH_INVALID,
                       "A JSON object is expected, with the fields as its members.");
    }
    return bind_struct(fields, object, NULL, arena, target, err);
}

enum lh_code lh_fields_parse_json(const struct lh_fields *fields, struct lh_str text,
                                  const char *what, size_t bytes_max, struct lh_arena *arena,
                                  void *target, const json_t **ret, struct lh_error *err)
{
    struct lh_json_list lists[LH_JSON_LISTS_MAX] = {0};
    const struct lh_field *rows[LH_JSON_LISTS_MAX];
    size_t count = 0;
    json_t *object = NULL;
    for (size_t i = 0; i < fields->count && count < LH_JSON_LISTS_MAX; i++)
        if (fields->items[i].numbers) {
            rows[count] = &fields->items[i];
            lists[count++] =
                (struct lh_json_list){.name = lh_str_of(fields->items[i].name),
                                      .is_nested = fields->items[i].numbers == LH_NUMBERS_LISTS};
        }
    enum lh_code code =
        lh_json_parse_lists(text, what, bytes_max, lists, count, arena, &object, err);
    if (code)
        return code;
    lh_json_keep(object, arena);
    for (size_t i = 0; i < count; i++)
        ((struct lh_json_value *)field_member(rows[i], target))->numbers = lists[i].numbers;
    *ret = object;
    return LH_OK;
}
