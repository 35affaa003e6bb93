#include "base/field.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

#include "base/field_internal.h"

static void preset_member(const struct lh_field *field, void *member)
{
    switch (field->type) {
    case LH_FIELD_STR:
        *(struct lh_str *)member = lh_str_of(field->preset_text);
        break;
    case LH_FIELD_INT:
        *(int64_t *)member = field->has_preset ? field->preset : field->required ? INT64_MIN : 0;
        break;
    case LH_FIELD_OPT_INT:
        *(struct lh_opt_int *)member = (struct lh_opt_int){field->has_preset, field->preset};
        break;
    case LH_FIELD_BOOL:
        assert(!field->required);
        *(bool *)member = field->has_preset && field->preset;
        break;
    case LH_FIELD_DOUBLE:
        *(double *)member = field->has_preset ? field->preset_double : field->required ? NAN : 0;
        break;
    case LH_FIELD_CHOICE:
        assert(field->choices);
        *(int *)member = field->has_preset ? (int)field->preset : -1;
        break;
    case LH_FIELD_TIME:
        *(struct lh_time *)member = (struct lh_time){field->has_preset ? field->preset : 0};
        break;
    case LH_FIELD_STR_LIST:
    case LH_FIELD_JSON:
    case LH_FIELD_INT_MAP:
    case LH_FIELD_FILE:
        break;
    case LH_FIELD_OBJECT:
    case LH_FIELD_LIST:
        assert(field->fields);
        break;
    }
}

void lh_fields_preset(const struct lh_fields *fields, void *target)
{
    assert(fields->count <= LH_FIELDS_MAX);
    memset(target, 0, fields->size);
    for (size_t i = 0; i < fields->count; i++)
        preset_member(&fields->items[i], field_member(&fields->items[i], target));
}

const struct lh_field *lh_fields_find(const struct lh_fields *fields, struct lh_str name)
{
    assert(fields->count <= LH_FIELDS_MAX);
    for (size_t i = 0; i < fields->count; i++) {
        if (lh_str_equal(lh_str_of(fields->items[i].name), name))
            return &fields->items[i];
    }
    return NULL;
}

size_t field_choice_count(const struct lh_field *field)
{
    size_t count = 0;
    while (field->choices[count])
        count++;
    return count;
}

int field_find_choice(const struct lh_field *field, struct lh_str name)
{
    for (int i = 0; field->choices[i]; i++) {
        if (lh_str_equal(lh_str_of(field->choices[i]), name))
            return i;
    }
    return -1;
}

/* --- limits: 0 and 0 are no limits; a least value alone leaves the other side open. */

bool field_has_max(const struct lh_field *field)
{
    return field->max != 0 || field->min < 0;
}

bool field_has_min(const struct lh_field *field)
{
    return field->min != 0 || field->max != 0;
}

static bool is_within(const struct lh_field *field, int64_t value)
{
    return (!field_has_min(field) || value >= field->min) &&
           (!field_has_max(field) || value <= field->max);
}

static bool is_within_double(const struct lh_field *field, double value)
{
    return isfinite(value) && (!field_has_min(field) || value >= (double)field->min) &&
           (!field_has_max(field) || value <= (double)field->max);
}

static enum lh_code check_length(const struct field_place *place, const struct lh_field *field,
                                 size_t length, const char *unit, struct lh_error *err)
{
    int64_t len = length > INT64_MAX ? INT64_MAX : (int64_t)length;
    if (is_within(field, len))
        return LH_OK;
    if (len == 0)
        return field_fail(place, err, LH_INVALID, "must not be empty.");
    bool is_short = len < field->min;
    return field_fail(place, err, LH_INVALID, "has %lld %s%s; %s %lld %s.", (long long)len, unit,
                      len == 1 ? "" : "s", is_short ? "at least" : "at most",
                      (long long)(is_short ? field->min : field->max),
                      is_short ? "are needed" : "are taken");
}

static enum lh_code check_int(const struct field_place *place, const struct lh_field *field,
                              int64_t value, struct lh_error *err)
{
    if (is_within(field, value))
        return LH_OK;
    char got[24];
    snprintf(got, sizeof got, "%lld", (long long)value);
    return field_fail_value(place, field, got, err);
}

static enum lh_code check_choice(const struct field_place *place, const struct lh_field *field,
                                 int value, struct lh_error *err)
{
    if (value >= -1 && (value == -1 || (size_t)value < field_choice_count(field)))
        return LH_OK;
    char got[24];
    snprintf(got, sizeof got, "%d", value);
    return field_fail_value(place, field, got, err);
}

enum lh_code field_check_limits(const struct field_place *place, const struct lh_field *field,
                                const void *member, struct lh_error *err)
{
    switch (field->type) {
    case LH_FIELD_STR:
        return check_length(place, field, ((const struct lh_str *)member)->len, "byte", err);
    case LH_FIELD_INT:
        return check_int(place, field, *(const int64_t *)member, err);
    case LH_FIELD_OPT_INT:
        return check_int(place, field, ((const struct lh_opt_int *)member)->value, err);
    case LH_FIELD_DOUBLE: {
        double value = *(const double *)member;
        char got[40];
        snprintf(got, sizeof got, "%.15g", value);
        return is_within_double(field, value) ? LH_OK : field_fail_value(place, field, got, err);
    }
    case LH_FIELD_CHOICE:
        return check_choice(place, field, *(const int *)member, err);
    case LH_FIELD_STR_LIST:
        return check_length(place, field, ((const struct lh_str_list *)member)->count, "item", err);
    case LH_FIELD_LIST:
        return check_length(place, field, ((const struct lh_list *)member)->count, "item", err);
    case LH_FIELD_INT_MAP:
        return check_length(place, field, ((const struct lh_int_map *)member)->count, "item", err);
    case LH_FIELD_BOOL:
    case LH_FIELD_TIME:
    case LH_FIELD_JSON:
    case LH_FIELD_OBJECT:
    case LH_FIELD_FILE:
        return LH_OK;
    }
    return LH_OK;
}

/* A number has no absent value of its own; see lh_fields_preset and lh_fields_check. */
static bool is_number_absent(const struct lh_field *field, bool is_unset, bool is_zero, bool fits)
{
    if (field->required)
        return is_unset;
    return is_zero && !fits && !field->has_preset;
}

bool field_is_absent(const struct lh_field *field, const void *member)
{
    switch (field->type) {
    case LH_FIELD_STR:
        return !((const struct lh_str *)member)->data;
    case LH_FIELD_INT: {
        int64_t value = *(const int64_t *)member;
        return is_number_absent(field, value == INT64_MIN, value == 0, is_within(field, value));
    }
    case LH_FIELD_OPT_INT:
        return !((const struct lh_opt_int *)member)->is_set;
    case LH_FIELD_BOOL:
        return false;
    case LH_FIELD_DOUBLE: {
        double value = *(const double *)member;
        return isnan(value) ||
               is_number_absent(field, false, value == 0, is_within_double(field, value));
    }
    case LH_FIELD_CHOICE:
        return *(const int *)member == -1;
    case LH_FIELD_TIME:
        return ((const struct lh_time *)member)->unix_ms == 0;
    case LH_FIELD_STR_LIST:
        return !((const struct lh_str_list *)member)->items;
    case LH_FIELD_JSON: {
        const struct lh_json_value *value = member;
        return !value->value && !value->text.data;
    }
    case LH_FIELD_OBJECT:
        return !field_pointer(member);
    case LH_FIELD_LIST:
        return !((const struct lh_list *)member)->items;
    case LH_FIELD_INT_MAP:
        return !((const struct lh_int_map *)member)->items;
    case LH_FIELD_FILE:
        return ((const struct lh_upload *)member)->path.len == 0;
    }
    return true;
}

static enum lh_code check_struct(const struct lh_fields *fields, const void *source,
                                 const struct field_place *outer, struct lh_error *err);

static enum lh_code check_list(const struct lh_field *field, const struct lh_list *list,
                               const struct field_place *place, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < list->count && !code; i++) {
        struct field_place element = {.outer = place, .index = i};
        const char *items = list->items;
        code = check_struct(field->fields, items + i * field->fields->size, &element, err);
    }
    return code;
}

static enum lh_code check_struct(const struct lh_fields *fields, const void *source,
                                 const struct field_place *outer, struct lh_error *err)
{
    assert(fields->count <= LH_FIELDS_MAX);
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < fields->count && !code; i++) {
        const struct lh_field *field = &fields->items[i];
        const void *member = field_member_const(field, source);
        struct field_place place = {.outer = outer, .name = lh_str_of(field->name)};
        if (field_is_absent(field, member)) {
            if (field->required) {
                field_fail(&place, err, LH_INVALID, "is required.");
                code = field->doc ? lh_error_hint(err, "%s", field->doc) : LH_INVALID;
            }
            continue;
        }
        code = field_check_limits(&place, field, member, err);
        if (!code && field->type == LH_FIELD_OBJECT)
            code = check_struct(field->fields, field_pointer(member), &place, err);
        if (!code && field->type == LH_FIELD_LIST)
            code = check_list(field, member, &place, err);
    }
    return code;
}

enum lh_code lh_fields_check(const struct lh_fields *fields, const void *source,
                             struct lh_error *err)
{
    return check_struct(fields, source, NULL, err);
}
