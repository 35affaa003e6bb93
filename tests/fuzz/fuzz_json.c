#include "fuzz.h"

#include "base/field.h"

struct inner {
    int64_t number;
    struct lh_str text;
};
static const struct lh_field inner_rows[] = {
    LH_INT(struct inner, number, .min = -5, .max = 5),
    LH_STR(struct inner, text, .max = 16),
};
static const struct lh_fields inner_fields = LH_FIELDS_OF(struct inner, "Inner", inner_rows);

static const char *const colours[] = {"red", "green", NULL};
struct outer {
    struct lh_str text;
    int64_t integer;
    struct lh_opt_int maybe;
    double number;
    bool truth;
    int colour;
    struct lh_time when;
    struct lh_str_list texts;
    struct lh_json_value json;
    const struct inner *one;
    struct lh_list many;
    struct lh_int_map map;
};
static const struct lh_field outer_rows[] = {
    LH_STR(struct outer, text, .max = 64),
    LH_INT(struct outer, integer, .max = INT64_MAX),
    LH_OPT_INT(struct outer, maybe),
    LH_DOUBLE(struct outer, number),
    LH_BOOL(struct outer, truth),
    LH_CHOICE(struct outer, colour, .choices = colours),
    LH_TIME(struct outer, when),
    LH_STR_LIST(struct outer, texts, .max = 8),
    LH_JSON(struct outer, json),
    LH_OBJECT(struct outer, one, const struct inner *, .fields = &inner_fields),
    LH_LIST(struct outer, many, .fields = &inner_fields, .max = 8),
    LH_INT_MAP(struct outer, map),
};
static const struct lh_fields outer_fields = LH_FIELDS_OF(struct outer, "Outer", outer_rows);

/* What was bound and is written must bind again, to the same text. */
static void write_and_read_again(const struct outer *bound, struct lh_arena *arena)
{
    struct lh_buf first, second;
    struct lh_json json;
    struct outer again;
    json_t *value = NULL;
    lh_buf_init(&first, (size_t)1 << 20);
    lh_buf_init(&second, (size_t)1 << 20);
    struct outer shown = *bound;
    shown.json = (struct lh_json_value){0};
    lh_json_init(&json, &first);
    lh_fields_write(&outer_fields, &shown, &json);
    fuzz_must(lh_json_parse(lh_buf_str(&first), "it", (size_t)1 << 20, &value, NULL) == LH_OK);
    lh_fields_preset(&outer_fields, &again);
    fuzz_must(lh_fields_bind_json(&outer_fields, value, arena, &again, NULL) == LH_OK);
    again.json = (struct lh_json_value){0};
    lh_json_init(&json, &second);
    lh_fields_write(&outer_fields, &again, &json);
    fuzz_must(lh_str_equal(lh_buf_str(&first), lh_buf_str(&second)));
    json_decref(value);
    lh_buf_release(&first);
    lh_buf_release(&second);
}

/* Read without a tree, the numbers of a list are those that the tree has. */
static void compare_list(const struct lh_json_list *list, const json_t *whole)
{
    const struct lh_floats *numbers = &list->numbers;
    size_t each = numbers->each ? numbers->each : numbers->count;
    for (size_t i = 0; numbers->items && i < numbers->count; i++) {
        const json_t *row = numbers->each ? json_array_get(whole, i / each) : whole;
        float number = (float)json_number_value(json_array_get(row, i % each));
        fuzz_must(json_array_size(row) == each);
        fuzz_must(number == numbers->items[i]);
    }
}

/* With lists of numbers taken out of the tree, the same is taken and the same is refused. */
static void read_lists(struct lh_str text, enum lh_code code, const json_t *whole,
                       const struct lh_error *err)
{
    struct lh_json_list lists[] = {{.name = lh_lit("json")},
                                   {.name = lh_lit("many"), .is_nested = true}};
    struct lh_error other = LH_ERROR_NONE;
    struct lh_arena *arena = lh_arena_new(0);
    json_t *rest = NULL;
    fuzz_must(lh_json_parse_lists(text, "it", 65536, lists, 2, arena, &rest, &other) == code);
    fuzz_must(strcmp(other.message, err->message) == 0 && other.position == err->position);
    for (size_t i = 0; i < 2 && !code; i++)
        compare_list(&lists[i], json_object_get(whole, lists[i].name.data));
    json_decref(rest);
    lh_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct lh_str text = {(const char *)bytes, count};
    struct lh_error err = LH_ERROR_NONE;
    struct outer bound;
    json_t *value = NULL;
    enum lh_code code = lh_json_parse(text, "it", 65536, &value, &err);
    read_lists(text, code, value, &err);
    if (code) {
        fuzz_must(err.message[0] != '\0');
        return 0;
    }
    struct lh_arena *arena = lh_arena_new(0);
    lh_fields_preset(&outer_fields, &bound);
    if (lh_fields_bind_json(&outer_fields, value, arena, &bound, &err) == LH_OK &&
        lh_fields_check(&outer_fields, &bound, &err) == LH_OK)
        write_and_read_again(&bound, arena);
    else
        fuzz_must(err.message[0] != '\0');
    lh_arena_free(arena);
    json_decref(value);
    return 0;
}
