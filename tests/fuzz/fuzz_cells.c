#include "fuzz.h"

#include <jansson.h>
#include <math.h>

#include "query/encode_json.h"
#include "vectors.h"

/* Values that have a form of their own come back as they were. */
static void check_value(const struct engine_vector *vector, const json_t *value)
{
    if (vector->type == ENGINE_TEXT) {
        struct lh_str text = engine_vector_str(vector, 0);
        fuzz_must(json_is_string(value) && json_string_length(value) == text.len);
        fuzz_must(memcmp(json_string_value(value), text.data, text.len) == 0);
    } else if (vector->type == ENGINE_INT64) {
        fuzz_must(json_integer_value(value) == *(const int64_t *)vector->data);
    } else if (vector->type == ENGINE_DOUBLE) {
        double number = *(const double *)vector->data;
        fuzz_must(isfinite(number) ? json_real_value(value) == number : json_is_string(value));
    } else if (vector->type == ENGINE_FLOAT) {
        float number = *(const float *)vector->data;
        fuzz_must(isfinite(number) ? (float)json_real_value(value) == number
                                   : json_is_string(value));
    }
}

/* Every value is one JSON value, whatever it holds. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct input input = {.bytes = bytes, .left = count, .arena = lh_arena_new(0)};
    struct lh_buf buf;
    json_error_t error;
    const struct engine_type_info *info = make_type(&input, 0);
    const struct engine_vector *vector = make_vector(&input, info, 1);
    lh_buf_init(&buf, (size_t)4 << 20);
    char *out = lh_buf_reserve(&buf, QUERY_JSON_CELL_BYTES);
    fuzz_must(out);
    out = query_json_value(&buf, vector, 0, out);
    fuzz_must(out && !buf.is_over);
    buf.len = (size_t)(out - buf.data);
    json_t *value = json_loadb(buf.data, buf.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!value) /* only of whole numbers beyond int64 */
        value = json_loadb(buf.data, buf.len,
                           JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);
    if (!value)
        fprintf(stderr, "%s: %.*s\n", error.text, (int)buf.len, buf.data);
    fuzz_must(value);
    if (!engine_vector_is_null(vector, 0))
        check_value(vector, value);
    else
        fuzz_must(json_is_null(value));
    json_decref(value);
    lh_buf_release(&buf);
    lh_arena_free(input.arena);
    return 0;
}
