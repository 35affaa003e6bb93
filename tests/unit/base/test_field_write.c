#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "unit/base/sample_fields.h"

struct written {
    struct lh_buf buf;
    struct lh_json json;
};

static void begin(struct written *written)
{
    lh_buf_init(&written->buf, 100000);
    lh_json_init(&written->json, &written->buf);
}

static json_t *parse(struct written *written)
{
    json_t *value = NULL;
    assert_int_equal(lh_json_parse(lh_buf_str(&written->buf), "It", 100000, &value, NULL), LH_OK);
    lh_buf_release(&written->buf);
    return value;
}

static void then_written(const struct sample *sample, const char *expected)
{
    struct written written;
    begin(&written);
    lh_fields_write(&sample_fields, sample, &written.json);
    assert_string_equal(written.buf.data, expected);
    lh_buf_release(&written.buf);
}

static void absent_members_are_left_out_or_null(void **state)
{
    (void)state;
    struct sample sample = {.kind = -1};
    then_written(&sample, "{\"label\":null,\"limit\":0,\"offset\":0,\"version\":null,"
                          "\"is_dry\":false,\"share\":0.0,\"kind\":null,\"columns\":[],"
                          "\"first\":null,\"items\":[],\"counts\":{}}");
}

static void present_members_are_written_in_the_order_of_the_rows(void **state)
{
    (void)state;
    const struct lh_str columns[] = {lh_lit("a"), lh_lit("\"")};
    const struct sample_item items[] = {{lh_lit("x"), 1}, {lh_lit("y"), 2}};
    const struct lh_int_map_item counts[] = {{lh_lit("z"), 9}, {lh_lit("a"), -9}};
    struct sample sample = {
        .sql = lh_lit("s"),
        .label = lh_lit(""),
        .limit = INT64_MAX,
        .offset = -1,
        .version = {true, 0},
        .is_dry = true,
        .share = 0.25,
        .kind = 2,
        .since = {1000},
        .columns = {columns, 2},
        .options = {.text = lh_lit("{\"raw\":1}")},
        .first = &items[1],
        .items = {items, 2},
        .counts = {counts, 2},
        .file = {.path = lh_lit("never shown")},
    };
    then_written(&sample, "{\"sql\":\"s\",\"label\":\"\",\"limit\":9223372036854775807,"
                          "\"offset\":-1,\"version\":0,\"is_dry\":true,\"share\":0.25,"
                          "\"kind\":\"arrow\",\"since\":\"1970-01-01T00:00:01.000Z\","
                          "\"columns\":[\"a\",\"\\\"\"],\"options\":{\"raw\":1},"
                          "\"first\":{\"name\":\"y\",\"weight\":2},"
                          "\"items\":[{\"name\":\"x\",\"weight\":1},{\"name\":\"y\",\"weight\":2}],"
                          "\"counts\":{\"z\":9,\"a\":-9}}");
}

struct measure {
    double value;
};

static void a_nullable_double_without_a_number_is_null(void **state)
{
    (void)state;
    static const struct lh_field rows[] = {LH_DOUBLE(struct measure, value, .nullable = true)};
    static const struct lh_fields fields = LH_FIELDS_OF(struct measure, "Measure", rows);
    struct written written;
    begin(&written);
    lh_fields_write(&fields, &(struct measure){NAN}, &written.json);
    lh_fields_write(&fields, &(struct measure){0}, &written.json);
    assert_string_equal(written.buf.data, "{\"value\":null}{\"value\":0.0}");
    lh_buf_release(&written.buf);
}

static void what_was_bound_is_written_back_the_same(void **state)
{
    (void)state;
    const char *text = "{\"sql\":\"s\",\"label\":\"l\",\"limit\":7,\"offset\":-2,\"version\":3,"
                       "\"is_dry\":false,\"share\":0.125,\"kind\":\"json\","
                       "\"since\":\"2026-01-31T09:00:00.123Z\",\"columns\":[\"a\"],"
                       "\"options\":[1,{\"x\":null}],\"first\":{\"name\":\"n\",\"weight\":1},"
                       "\"items\":[{\"name\":\"m\",\"weight\":2}],\"counts\":{\"k\":5}}";
    struct lh_arena *arena = lh_arena_new(0);
    struct sample sample;
    json_t *value = NULL;
    assert_int_equal(lh_json_parse(lh_str_of(text), "It", 100000, &value, NULL), LH_OK);
    lh_fields_preset(&sample_fields, &sample);
    assert_int_equal(lh_fields_bind_json(&sample_fields, value, arena, &sample, NULL), LH_OK);
    then_written(&sample, text);
    json_decref(value);
    lh_arena_free(arena);
}

static json_t *schema_of(const struct lh_fields *fields, bool is_input)
{
    struct written written;
    begin(&written);
    lh_fields_write_schema(fields, is_input, &written.json);
    return parse(&written);
}

static void then_property(json_t *schema, const char *name, const char *expected)
{
    json_t *value = NULL;
    assert_int_equal(lh_json_parse(lh_str_of(expected), "It", 10000, &value, NULL), LH_OK);
    json_t *property = json_object_get(json_object_get(schema, "properties"), name);
    if (!json_equal(property, value))
        fail_msg("%s: %s", name, json_dumps(property, JSON_ENCODE_ANY));
    json_decref(value);
}

static bool is_required(json_t *schema, const char *name)
{
    json_t *required = json_object_get(schema, "required");
    for (size_t i = 0; i < json_array_size(required); i++) {
        if (strcmp(json_string_value(json_array_get(required, i)), name) == 0)
            return true;
    }
    return false;
}

static void the_schema_of_input_has_limits_and_presets_and_admits_nothing_else(void **state)
{
    (void)state;
    json_t *schema = schema_of(&sample_fields, true);
    assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
    assert_int_equal(json_object_size(json_object_get(schema, "properties")), sample_fields.count);
    then_property(schema, "sql",
                  "{\"type\":\"string\",\"maxLength\":20,\"description\":\"A text.\"}");
    then_property(schema, "label",
                  "{\"type\":\"string\",\"format\":\"uuid\",\"default\":\"none\"}");
    then_property(schema, "limit",
                  "{\"type\":\"integer\",\"format\":\"int64\",\"minimum\":1,\"maximum\":10000000,"
                  "\"default\":100,\"description\":\"Most rows.\"}");
    then_property(schema, "version", "{\"type\":\"integer\",\"format\":\"int64\",\"minimum\":1}");
    then_property(schema, "is_dry", "{\"type\":\"boolean\",\"default\":true}");
    then_property(schema, "share",
                  "{\"type\":\"number\",\"format\":\"double\",\"minimum\":0,\"maximum\":1,"
                  "\"default\":0.5}");
    then_property(
        schema, "kind",
        "{\"type\":\"string\",\"enum\":[\"json\",\"csv\",\"arrow\"],\"default\":\"csv\"}");
    then_property(schema, "since", "{\"type\":\"string\",\"format\":\"date-time\"}");
    then_property(schema, "columns",
                  "{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"maxItems\":3}");
    then_property(schema, "options", "{}");
    then_property(schema, "first", "{\"$ref\":\"#/components/schemas/SampleItem\"}");
    then_property(schema, "items",
                  "{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/SampleItem\"},"
                  "\"maxItems\":100}");
    then_property(schema, "counts",
                  "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\","
                  "\"format\":\"int64\"},\"maxProperties\":2}");
    then_property(schema, "file", "{\"type\":\"string\",\"format\":\"binary\"}");
    assert_int_equal(json_array_size(json_object_get(schema, "required")), 1);
    assert_true(is_required(schema, "sql"));
    json_decref(schema);
}

static void the_schema_of_output_says_what_is_always_there_and_what_may_be_null(void **state)
{
    (void)state;
    json_t *schema = schema_of(&sample_fields, false);
    assert_null(json_object_get(schema, "additionalProperties"));
    assert_null(json_object_get(json_object_get(schema, "properties"), "file"));
    then_property(schema, "label", "{\"type\":[\"string\",\"null\"],\"format\":\"uuid\"}");
    then_property(schema, "limit",
                  "{\"type\":\"integer\",\"format\":\"int64\",\"description\":\"Most rows.\"}");
    then_property(schema, "version", "{\"type\":[\"integer\",\"null\"],\"format\":\"int64\"}");
    then_property(schema, "kind",
                  "{\"type\":[\"string\",\"null\"],\"enum\":[\"json\",\"csv\",\"arrow\",null]}");
    then_property(
        schema, "first",
        "{\"anyOf\":[{\"$ref\":\"#/components/schemas/SampleItem\"},{\"type\":\"null\"}]}");
    /* What the writer writes for an empty struct is what the schema promises. */
    struct written written;
    struct sample sample = {.sql = lh_lit(""), .kind = -1};
    begin(&written);
    lh_fields_write(&sample_fields, &sample, &written.json);
    json_t *least = parse(&written);
    for (size_t i = 0; i < sample_fields.count; i++) {
        const char *name = sample_fields.items[i].name;
        assert_int_equal(is_required(schema, name), json_object_get(least, name) != NULL);
    }
    json_decref(least);
    json_decref(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_members_are_left_out_or_null),
        cmocka_unit_test(present_members_are_written_in_the_order_of_the_rows),
        cmocka_unit_test(a_nullable_double_without_a_number_is_null),
        cmocka_unit_test(what_was_bound_is_written_back_the_same),
        cmocka_unit_test(the_schema_of_input_has_limits_and_presets_and_admits_nothing_else),
        cmocka_unit_test(the_schema_of_output_says_what_is_always_there_and_what_may_be_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
