/* Structs as JSON Schema. */
#include <stdio.h>

#include "base/clock.h"
#include "base/field_internal.h"

static void write_type(const char *type, bool is_nullable, struct lh_json *json)
{
    lh_json_key(json, "type");
    if (is_nullable)
        lh_json_array(json);
    lh_json_str(json, lh_str_of(type));
    if (is_nullable) {
        lh_json_str(json, lh_lit("null"));
        lh_json_array_end(json);
    }
}

static void write_limits(const struct lh_field *field, const char *min_key, const char *max_key,
                         struct lh_json *json)
{
    if (field_has_min(field))
        lh_json_put_int(json, min_key, field->min);
    if (field_has_max(field))
        lh_json_put_int(json, max_key, field->max);
}

/* Least length 0 says nothing. */
static void write_lengths(const struct lh_field *field, const char *min_key, const char *max_key,
                          struct lh_json *json)
{
    if (field->min > 0)
        lh_json_put_int(json, min_key, field->min);
    if (field->max > 0)
        lh_json_put_int(json, max_key, field->max);
}

static void write_enum(const struct lh_field *field, bool is_nullable, struct lh_json *json)
{
    lh_json_key(json, "enum");
    lh_json_array(json);
    for (size_t i = 0; field->choices[i]; i++)
        lh_json_str(json, lh_str_of(field->choices[i]));
    if (is_nullable)
        lh_json_null(json);
    lh_json_array_end(json);
}

static void write_ref(const struct lh_fields *fields, struct lh_json *json)
{
    char ref[256];
    snprintf(ref, sizeof ref, "#/components/schemas/%s", fields->struct_name);
    lh_json_put_cstr(json, "$ref", ref);
}

static void write_object(const struct lh_field *field, bool is_nullable, struct lh_json *json)
{
    if (!is_nullable) {
        write_ref(field->fields, json);
        return;
    }
    lh_json_key(json, "anyOf");
    lh_json_array(json);
    lh_json_object(json);
    write_ref(field->fields, json);
    lh_json_object_end(json);
    lh_json_object(json);
    lh_json_put_cstr(json, "type", "null");
    lh_json_object_end(json);
    lh_json_array_end(json);
}

static void write_items(const struct lh_field *field, struct lh_json *json)
{
    lh_json_key(json, field->type == LH_FIELD_INT_MAP ? "additionalProperties" : "items");
    lh_json_object(json);
    if (field->type == LH_FIELD_LIST)
        write_ref(field->fields, json);
    else
        lh_json_put_cstr(json, "type", field->type == LH_FIELD_INT_MAP ? "integer" : "string");
    if (field->type == LH_FIELD_INT_MAP)
        lh_json_put_cstr(json, "format", "int64");
    lh_json_object_end(json);
}

/* The type and what belongs to it, without limits. */
static void write_form(const struct lh_field *field, bool is_nullable, struct lh_json *json)
{
    switch (field->type) {
    case LH_FIELD_STR:
        write_type("string", is_nullable, json);
        if (field->format)
            lh_json_put_cstr(json, "format", field->format);
        break;
    case LH_FIELD_INT:
    case LH_FIELD_OPT_INT:
        write_type("integer", is_nullable, json);
        lh_json_put_cstr(json, "format", "int64");
        break;
    case LH_FIELD_BOOL:
        write_type("boolean", is_nullable, json);
        break;
    case LH_FIELD_DOUBLE:
        write_type("number", is_nullable, json);
        lh_json_put_cstr(json, "format", "double");
        break;
    case LH_FIELD_CHOICE:
        write_type("string", is_nullable, json);
        write_enum(field, is_nullable, json);
        break;
    case LH_FIELD_TIME:
        write_type("string", is_nullable, json);
        lh_json_put_cstr(json, "format", "date-time");
        break;
    case LH_FIELD_STR_LIST:
    case LH_FIELD_LIST:
        write_type("array", is_nullable, json);
        write_items(field, json);
        break;
    case LH_FIELD_JSON:
        if (field->fields)
            write_object(field, is_nullable, json);
        break;
    case LH_FIELD_OBJECT:
        write_object(field, is_nullable, json);
        break;
    case LH_FIELD_INT_MAP:
        write_type("object", is_nullable, json);
        write_items(field, json);
        break;
    case LH_FIELD_FILE:
        write_type("string", is_nullable, json);
        lh_json_put_cstr(json, "format", "binary");
        break;
    }
}

static void write_field_limits(const struct lh_field *field, struct lh_json *json)
{
    switch (field->type) {
    case LH_FIELD_INT:
    case LH_FIELD_OPT_INT:
    case LH_FIELD_DOUBLE:
        write_limits(field, "minimum", "maximum", json);
        break;
    case LH_FIELD_STR:
        write_lengths(field, "minLength", "maxLength", json);
        break;
    case LH_FIELD_STR_LIST:
    case LH_FIELD_LIST:
        write_lengths(field, "minItems", "maxItems", json);
        break;
    case LH_FIELD_INT_MAP:
        write_lengths(field, "minProperties", "maxProperties", json);
        break;
    default:
        break;
    }
}

static void write_default(const struct lh_field *field, struct lh_json *json)
{
    lh_json_key(json, "default");
    switch (field->type) {
    case LH_FIELD_STR:
        lh_json_str(json, lh_str_of(field->preset_text));
        break;
    case LH_FIELD_BOOL:
        lh_json_bool(json, field->preset != 0);
        break;
    case LH_FIELD_DOUBLE:
        lh_json_double(json, field->preset_double);
        break;
    case LH_FIELD_CHOICE:
        lh_json_str(json, lh_str_of(field->choices[field->preset]));
        break;
    case LH_FIELD_TIME: {
        char text[LH_TIME_TEXT_BYTES + 1];
        lh_time_format(field->preset, text);
        lh_json_str(json, lh_str_of(text));
        break;
    }
    default:
        lh_json_int(json, field->preset);
        break;
    }
}

static void write_required(const struct lh_fields *fields, bool is_input, struct lh_json *json)
{
    bool is_open = false;
    for (size_t i = 0; i < fields->count; i++) {
        const struct lh_field *field = &fields->items[i];
        bool is_written = field->required || field->nullable || field_is_always_written(field);
        if (is_input ? !field->required : !is_written || field->type == LH_FIELD_FILE)
            continue;
        if (!is_open) {
            lh_json_key(json, "required");
            lh_json_array(json);
            is_open = true;
        }
        lh_json_str(json, lh_str_of(field->name));
    }
    if (is_open)
        lh_json_array_end(json);
}

void lh_field_write_schema(const struct lh_field *field, bool is_input, struct lh_json *json)
{
    lh_json_object(json);
    write_form(field, !is_input && field_may_be_null(field), json);
    if (is_input)
        write_field_limits(field, json);
    if (is_input && field->has_preset)
        write_default(field, json);
    if (field->doc)
        lh_json_put_cstr(json, "description", field->doc);
    lh_json_object_end(json);
}

void lh_fields_write_schema(const struct lh_fields *fields, bool is_input, struct lh_json *json)
{
    lh_json_object(json);
    lh_json_put_cstr(json, "type", "object");
    lh_json_key(json, "properties");
    lh_json_object(json);
    for (size_t i = 0; i < fields->count; i++) {
        const struct lh_field *field = &fields->items[i];
        if (!is_input && field->type == LH_FIELD_FILE)
            continue;
        lh_json_key(json, field->name);
        lh_field_write_schema(field, is_input, json);
    }
    lh_json_object_end(json);
    write_required(fields, is_input, json);
    if (is_input)
        lh_json_put_bool(json, "additionalProperties", false);
    lh_json_object_end(json);
}
