#include "base/json.h"

#include <assert.h>

void lh_json_init(struct lh_json *json, struct lh_buf *buf)
{
    *json = (struct lh_json){.buf = buf};
}

static uint64_t bit(const struct lh_json *json)
{
    return UINT64_C(1) << (json->depth - 1);
}

/* Before every value and key: the comma, if one is due. At depth 0 values just follow each other,
 * each on a line that the caller ends (NDJSON). */
static void separate(struct lh_json *json)
{
    if (json->depth == 0)
        return;
    if (json->has_item & bit(json))
        lh_buf_append_char(json->buf, ',');
    json->has_item |= bit(json);
}

static void begin_value(struct lh_json *json)
{
    if (json->is_after_key) {
        json->is_after_key = false;
        return;
    }
    assert(json->depth == 0 || !(json->is_object & bit(json)));
    separate(json);
}

static void open_container(struct lh_json *json, char bracket)
{
    begin_value(json);
    assert(json->depth < LH_JSON_DEPTH_MAX);
    lh_buf_append_char(json->buf, bracket);
    json->depth++;
    json->has_item &= ~bit(json);
    if (bracket == '{')
        json->is_object |= bit(json);
    else
        json->is_object &= ~bit(json);
    json->key_at[json->depth - 1] = SIZE_MAX;
}

static void close_container(struct lh_json *json, char bracket)
{
    assert(json->depth > 0 && !json->is_after_key);
    assert(((json->is_object & bit(json)) != 0) == (bracket == '}'));
    json->depth--;
    lh_buf_append_char(json->buf, bracket);
}

void lh_json_object(struct lh_json *json)
{
    open_container(json, '{');
}

void lh_json_object_end(struct lh_json *json)
{
    close_container(json, '}');
}

void lh_json_array(struct lh_json *json)
{
    open_container(json, '[');
}

void lh_json_array_end(struct lh_json *json)
{
    close_container(json, ']');
}

#ifndef NDEBUG
/* The quoted key at `at`, without quotes; absent if it is escaped or repaired, where the order of
 * the written bytes says nothing about the order of the keys. */
static struct lh_str plain_key(const struct lh_buf *buf, size_t at)
{
    struct lh_str rest = lh_str_slice(lh_buf_str(buf), at + 1, buf->len);
    struct lh_str key = lh_str_cut(&rest, '"');
    bool is_plain = key.len && !memchr(key.data, '\\', key.len) && !memchr(key.data, 0xEF, key.len);
    return is_plain ? key : (struct lh_str){NULL, 0};
}

static bool is_ascending(const struct lh_json *json, size_t last_at, size_t at)
{
    if (json->buf->is_over || last_at == SIZE_MAX)
        return true;
    struct lh_str last = plain_key(json->buf, last_at), key = plain_key(json->buf, at);
    return !last.data || !key.data || lh_str_compare(last, key) < 0;
}
#endif

void lh_json_key_str(struct lh_json *json, struct lh_str key)
{
    assert(json->depth > 0 && (json->is_object & bit(json)) && !json->is_after_key);
    separate(json);
    size_t at = json->buf->len;
    lh_json_append_quoted(json->buf, key);
    if (json->is_canonical) {
        assert(is_ascending(json, json->key_at[json->depth - 1], at));
        json->key_at[json->depth - 1] = at;
    }
    lh_buf_append_char(json->buf, ':');
    json->is_after_key = true;
}

void lh_json_key(struct lh_json *json, const char *key)
{
    lh_json_key_str(json, lh_str_of(key));
}

void lh_json_str(struct lh_json *json, struct lh_str value)
{
    begin_value(json);
    lh_json_append_quoted(json->buf, value);
}

/* Digits from the right into a buffer of 20; returns how many. */
static size_t write_digits(char digits[20], uint64_t value)
{
    size_t count = 0;
    do {
        digits[19 - count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return count;
}

static void append_uint(struct lh_buf *buf, uint64_t value)
{
    char digits[20];
    size_t count = write_digits(digits, value);
    lh_buf_append(buf, digits + 20 - count, count);
}

static void append_int(struct lh_buf *buf, int64_t value)
{
    if (value < 0)
        lh_buf_append_char(buf, '-');
    append_uint(buf, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void lh_json_int(struct lh_json *json, int64_t value)
{
    begin_value(json);
    append_int(json->buf, value);
}

void lh_json_uint(struct lh_json *json, uint64_t value)
{
    begin_value(json);
    append_uint(json->buf, value);
}

void lh_json_double(struct lh_json *json, double value)
{
    begin_value(json);
    lh_json_append_double(json->buf, value);
}

void lh_json_bool(struct lh_json *json, bool value)
{
    lh_json_raw(json, value ? lh_lit("true") : lh_lit("false"));
}

void lh_json_null(struct lh_json *json)
{
    lh_json_raw(json, lh_lit("null"));
}

void lh_json_raw(struct lh_json *json, struct lh_str value)
{
    begin_value(json);
    lh_buf_append_str(json->buf, value);
}

void lh_json_put_str(struct lh_json *json, const char *key, struct lh_str value)
{
    lh_json_key(json, key);
    lh_json_str(json, value);
}

void lh_json_put_cstr(struct lh_json *json, const char *key, const char *value)
{
    lh_json_put_str(json, key, lh_str_of(value));
}

void lh_json_put_int(struct lh_json *json, const char *key, int64_t value)
{
    lh_json_key(json, key);
    lh_json_int(json, value);
}

void lh_json_put_bool(struct lh_json *json, const char *key, bool value)
{
    lh_json_key(json, key);
    lh_json_bool(json, value);
}

static void append_parsed(struct lh_buf *buf, const json_t *value);

static void append_parsed_object(struct lh_buf *buf, const json_t *object)
{
    /* The iterator of jansson wants a mutable object, but only reads it. */
    json_t *readable = (json_t *)object;
    char separator = '{';
    for (void *at = json_object_iter(readable); at; at = json_object_iter_next(readable, at)) {
        lh_buf_append_char(buf, separator);
        lh_json_append_quoted(
            buf, (struct lh_str){json_object_iter_key(at), json_object_iter_key_len(at)});
        lh_buf_append_char(buf, ':');
        append_parsed(buf, json_object_iter_value(at));
        separator = ',';
    }
    lh_buf_append(buf, "{}", separator == '{' ? 1 : 0);
    lh_buf_append_char(buf, '}');
}

/* Recursion is as deep as what the parser let through. */
static void append_parsed(struct lh_buf *buf, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        append_parsed_object(buf, value);
        break;
    case JSON_ARRAY:
        lh_buf_append_char(buf, '[');
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i)
                lh_buf_append_char(buf, ',');
            append_parsed(buf, json_array_get(value, i));
        }
        lh_buf_append_char(buf, ']');
        break;
    case JSON_STRING:
        lh_json_append_quoted(buf, lh_json_text(value));
        break;
    case JSON_INTEGER:
        append_int(buf, json_integer_value(value));
        break;
    case JSON_REAL:
        lh_json_append_double(buf, json_real_value(value));
        break;
    case JSON_TRUE:
        lh_buf_append_str(buf, lh_lit("true"));
        break;
    case JSON_FALSE:
        lh_buf_append_str(buf, lh_lit("false"));
        break;
    case JSON_NULL:
        lh_buf_append_str(buf, lh_lit("null"));
        break;
    }
}

void lh_json_parsed(struct lh_json *json, const json_t *value)
{
    begin_value(json);
    append_parsed(json->buf, value);
}

void lh_json_put_error(struct lh_json *json, const struct lh_error *err)
{
    const struct lh_error_row *row = lh_error_row(err->code);
    lh_json_put_cstr(json, "code", row->id);
    lh_json_put_cstr(json, "detail", err->message);
    if (err->hint[0])
        lh_json_put_cstr(json, "hint", err->hint);
    if (err->field[0])
        lh_json_put_cstr(json, "field", err->field);
    if (err->position >= 0)
        lh_json_put_int(json, "position", err->position);
    if (err->line > 0)
        lh_json_put_int(json, "line", err->line);
    lh_json_put_bool(json, "retryable", row->retryable);
}
