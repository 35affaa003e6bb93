/* From structs into JSON. */
#include <assert.h>

#include "base/clock.h"
#include "base/field_internal.h"

static void write_str_list(const struct lh_str_list *list, struct lh_json *json)
{
    lh_json_array(json);
    for (size_t i = 0; i < list->count; i++)
        lh_json_str(json, list->items[i]);
    lh_json_array_end(json);
}

static void write_list(const struct lh_fields *fields, const struct lh_list *list,
                       struct lh_json *json)
{
    const char *items = list->items;
    lh_json_array(json);
    for (size_t i = 0; i < list->count; i++)
        lh_fields_write(fields, items + i * fields->size, json);
    lh_json_array_end(json);
}

static void write_int_map(const struct lh_int_map *map, struct lh_json *json)
{
    lh_json_object(json);
    for (size_t i = 0; i < map->count; i++) {
        lh_json_key_str(json, map->items[i].name);
        lh_json_int(json, map->items[i].value);
    }
    lh_json_object_end(json);
}

static void write_time(const struct lh_time *time, struct lh_json *json)
{
    char text[LH_TIME_TEXT_BYTES + 1];
    lh_time_format(time->unix_ms, text);
    lh_json_str(json, lh_str_of(text));
}

static void write_json(const struct lh_json_value *value, struct lh_json *json)
{
    if (value->text.data)
        lh_json_raw(json, value->text);
    else
        lh_json_parsed(json, value->value);
}

static void write_value(const struct lh_field *field, const void *member, struct lh_json *json)
{
    switch (field->type) {
    case LH_FIELD_STR:
        lh_json_str(json, *(const struct lh_str *)member);
        break;
    case LH_FIELD_INT:
        lh_json_int(json, *(const int64_t *)member);
        break;
    case LH_FIELD_OPT_INT:
        lh_json_int(json, ((const struct lh_opt_int *)member)->value);
        break;
    case LH_FIELD_BOOL:
        lh_json_bool(json, *(const bool *)member);
        break;
    case LH_FIELD_DOUBLE:
        lh_json_double(json, *(const double *)member);
        break;
    case LH_FIELD_CHOICE:
        assert((size_t) * (const int *)member < field_choice_count(field));
        lh_json_str(json, lh_str_of(field->choices[*(const int *)member]));
        break;
    case LH_FIELD_TIME:
        write_time(member, json);
        break;
    case LH_FIELD_STR_LIST:
        write_str_list(member, json);
        break;
    case LH_FIELD_JSON:
        write_json(member, json);
        break;
    case LH_FIELD_OBJECT:
        lh_fields_write(field->fields, field_pointer(member), json);
        break;
    case LH_FIELD_LIST:
        write_list(field->fields, member, json);
        break;
    case LH_FIELD_INT_MAP:
        write_int_map(member, json);
        break;
    case LH_FIELD_FILE:
        break;
    }
}

void lh_fields_write(const struct lh_fields *fields, const void *source, struct lh_json *json)
{
    lh_json_object(json);
    for (size_t i = 0; i < fields->count; i++) {
        const struct lh_field *field = &fields->items[i];
        const void *member = field_member_const(field, source);
        bool is_absent = !field_is_always_written(field) && field_is_absent(field, member);
        if (field->type == LH_FIELD_FILE || (is_absent && !field->nullable))
            continue;
        lh_json_key(json, field->name);
        if (is_absent)
            lh_json_null(json);
        else
            write_value(field, member, json);
    }
    lh_json_object_end(json);
}

bool field_is_always_written(const struct lh_field *field)
{
    switch (field->type) {
    case LH_FIELD_INT:
    case LH_FIELD_BOOL:
    case LH_FIELD_STR_LIST:
    case LH_FIELD_INT_MAP:
        return true;
    case LH_FIELD_LIST:
        return !field->is_optional;
    case LH_FIELD_DOUBLE:
        return !field->nullable;
    default:
        return false;
    }
}

bool field_may_be_null(const struct lh_field *field)
{
    return field->nullable && !field_is_always_written(field);
}
