/* Single values as JSON, one function per type: chosen once per column, called once per cell.
 *
 * A cell writes at a bare pointer behind the buffer's length and moves it on; only what has no
 * fixed size looks for room. Strings are copied sixteen bytes at a time and looked at after the
 * copy: nearly every run is clean. */
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "query/encode_json.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

char *query_json_room(struct lh_buf *buf, char *out, size_t bytes)
{
    if ((size_t)(out - buf->data) + bytes + QUERY_JSON_CELL_BYTES <= buf->capacity)
        return out;
    buf->len = (size_t)(out - buf->data);
    return lh_buf_reserve(buf, bytes + QUERY_JSON_CELL_BYTES);
}

/* --- numbers */

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324252627282930"
                                  "31323334353637383940414243444546474849505152535455565758596061"
                                  "62636465666768697071727374757677787980818283848586878889909192"
                                  "93949596979899";

char *query_json_uint(char *out, uint64_t value)
{
    char digits[20];
    char *at = digits + sizeof digits;
    while (value >= 100) {
        at -= 2;
        memcpy(at, digit_pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        at -= 2;
        memcpy(at, digit_pairs + value * 2, 2);
    } else {
        *--at = (char)('0' + value);
    }
    size_t len = (size_t)(digits + sizeof digits - at);
    memcpy(out, at, len);
    return out + len;
}

static char *write_int(char *out, int64_t value)
{
    if (value >= 0)
        return query_json_uint(out, (uint64_t)value);
    *out = '-';
    return query_json_uint(out + 1, ~(uint64_t)value + 1);
}

#define INTEGER_CELL(name, ctype, write, wide)                                                     \
    static char *name(struct lh_buf *buf, const struct engine_vector *vector, size_t row,          \
                      char *out)                                                                   \
    {                                                                                              \
        (void)buf;                                                                                 \
        return write(out, (wide)((const ctype *)vector->data)[row]);                               \
    }
INTEGER_CELL(cell_int8, int8_t, write_int, int64_t)
INTEGER_CELL(cell_int16, int16_t, write_int, int64_t)
INTEGER_CELL(cell_int32, int32_t, write_int, int64_t)
INTEGER_CELL(cell_int64, int64_t, write_int, int64_t)
INTEGER_CELL(cell_uint8, uint8_t, query_json_uint, uint64_t)
INTEGER_CELL(cell_uint16, uint16_t, query_json_uint, uint64_t)
INTEGER_CELL(cell_uint32, uint32_t, query_json_uint, uint64_t)
INTEGER_CELL(cell_uint64, uint64_t, query_json_uint, uint64_t)

static char *cell_bool(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                       char *out)
{
    (void)buf;
    bool is_true = ((const uint8_t *)vector->data)[row] != 0;
    memcpy(out, is_true ? "true" : "false", 5);
    return out + (is_true ? 4 : 5);
}

/* Up to nine digits behind the point are tried in turn, which finds what people store: the first
 * that divides back exactly is the shortest text. All steps are exact but the last, which rounds as
 * reading the text would. */
static char *write_short(char *out, double value)
{
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    double size = fabs(value);
    if (!(size >= 1e-5) || size >= 1e15)
        return NULL;
    for (unsigned scale = 0; scale < 10; scale++) {
        double scaled = size * powers[scale];
        if (scaled >= 9007199254740992.0)
            return NULL;
        uint64_t digits = (uint64_t)(scaled + 0.5);
        if ((double)digits / powers[scale] != size)
            continue;
        uint64_t power = (uint64_t)powers[scale];
        if (signbit(value))
            *out++ = '-';
        out = query_json_uint(out, digits / power);
        *out++ = '.';
        if (scale == 0) {
            *out++ = '0';
            return out;
        }
        uint64_t rest = digits % power;
        for (unsigned i = scale; i-- > 0; rest /= 10)
            out[i] = (char)('0' + rest % 10);
        return out + scale;
    }
    return NULL;
}

static char *write_double(struct lh_buf *buf, double value, char *out)
{
    char *end = write_short(out, value);
    if (end)
        return end;
    buf->len = (size_t)(out - buf->data);
    lh_json_append_double(buf, value);
    return lh_buf_reserve(buf, QUERY_JSON_CELL_BYTES);
}

static char *cell_double(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                         char *out)
{
    return write_double(buf, ((const double *)vector->data)[row], out);
}

/* The shortest decimal that reads back as the same float. */
static char *cell_float(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                        char *out)
{
    float value = ((const float *)vector->data)[row];
    char text[32];
    if (!isfinite(value) || value == 0)
        return write_double(buf, (double)value, out);
    for (int digits = 6; digits <= 9; digits++) {
        double wide = 0;
        int len = snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (lh_str_to_double((struct lh_str){text, (size_t)len}, &wide) && (float)wide == value)
            return write_double(buf, wide, out);
    }
    return write_double(buf, (double)value, out);
}

/* --- numbers as text */

static char *cell_int128(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                         char *out)
{
    return query_json_engine_text(buf, vector, row, out);
}

static char *write_decimal64(char *out, int64_t value, unsigned scale)
{
    uint64_t power = 1, size = value < 0 ? ~(uint64_t)value + 1 : (uint64_t)value;
    for (unsigned i = 0; i < scale; i++)
        power *= 10;
    *out++ = '"';
    if (value < 0)
        *out++ = '-';
    out = query_json_uint(out, size / power);
    if (scale) {
        uint64_t rest = size % power;
        *out++ = '.';
        for (unsigned i = scale; i-- > 0; rest /= 10)
            out[i] = (char)('0' + rest % 10);
        out += scale;
    }
    *out++ = '"';
    return out;
}

static char *cell_decimal(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                          char *out)
{
    const struct engine_type_info *info = vector->info;
    switch (info->storage) {
    case ENGINE_INT16:
        return write_decimal64(out, ((const int16_t *)vector->data)[row], info->scale);
    case ENGINE_INT32:
        return write_decimal64(out, ((const int32_t *)vector->data)[row], info->scale);
    case ENGINE_INT64:
        return write_decimal64(out, ((const int64_t *)vector->data)[row], info->scale);
    default:
        return query_json_engine_text(buf, vector, row, out);
    }
}

/* --- strings */

#define IN_MASK(c) ((c) < 0x20 || (c) == '"' || (c) == '\\')

static char *write_escape(char *out, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    *out++ = '\\';
    if (byte >= 0x20) {
        *out++ = (char)byte;
    } else if (letters[byte]) {
        *out++ = letters[byte];
    } else {
        memcpy(out, "u00", 3);
        out[3] = hex[byte >> 4];
        out[4] = hex[byte & 15];
        out += 5;
    }
    return out;
}

/* Copies up to `len` bytes that need no escape; there is room for sixteen more than `len`. */
static size_t copy_clean(char *out, const char *text, size_t len)
{
    size_t at = 0;
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    const __m128i control = _mm_set1_epi8(0x1F);
    for (; at + 16 <= len; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(text + at));
        _mm_storeu_si128((__m128i *)(void *)(out + at), bytes);
        __m128i marks =
            _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, slash)),
                         _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes));
        int mask = _mm_movemask_epi8(marks);
        if (mask)
            return at + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    for (; at + 8 <= len; at += 8) {
        uint64_t word;
        memcpy(&word, text + at, 8);
        memcpy(out + at, &word, 8);
        const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;
        uint64_t quotes = word ^ ones * '"', slashes = word ^ ones * '\\';
        uint64_t marks = ((word - ones * 0x20) & ~word) | ((quotes - ones) & ~quotes) |
                         ((slashes - ones) & ~slashes);
        if (marks & tops)
            break;
    }
    for (; at < len; at++) {
        unsigned char byte = (unsigned char)text[at];
        if (IN_MASK(byte))
            return at;
        out[at] = (char)byte;
    }
    return len;
}

#define RUN_BYTES ((size_t)64 * 1024)

static char *write_string(struct lh_buf *buf, struct lh_str text, char *out)
{
    size_t left = text.len;
    const char *from = text.data;
    *out++ = '"';
    while (left) {
        size_t run = left < RUN_BYTES ? left : RUN_BYTES;
        out = query_json_room(buf, out, run + 16);
        if (!out)
            return NULL;
        size_t clean = copy_clean(out, from, run);
        out += clean;
        from += clean;
        left -= clean;
        if (clean < run) {
            out = write_escape(out, (unsigned char)*from++);
            left--;
        }
    }
    *out++ = '"';
    return query_json_room(buf, out, 0);
}

static char *cell_text(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                       char *out)
{
    return write_string(buf, engine_vector_str(vector, row), out);
}

static char *cell_enum(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                       char *out)
{
    return write_string(buf, engine_vector_enum_label(vector, row), out);
}

static char *cell_blob(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                       char *out)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct lh_str blob = engine_vector_str(vector, row);
    const unsigned char *in = (const unsigned char *)blob.data;
    out = query_json_room(buf, out, blob.len / 3 * 4 + 8);
    if (!out)
        return NULL;
    *out++ = '"';
    size_t at = 0;
    for (; at + 3 <= blob.len; at += 3) {
        unsigned bits = (unsigned)in[at] << 16 | (unsigned)in[at + 1] << 8 | in[at + 2];
        *out++ = letters[bits >> 18];
        *out++ = letters[bits >> 12 & 63];
        *out++ = letters[bits >> 6 & 63];
        *out++ = letters[bits & 63];
    }
    if (at < blob.len) {
        bool has_two = blob.len - at == 2;
        unsigned bits = (unsigned)in[at] << 16 | (has_two ? (unsigned)in[at + 1] << 8 : 0);
        *out++ = letters[bits >> 18];
        *out++ = letters[bits >> 12 & 63];
        *out++ = has_two ? letters[bits >> 6 & 63] : '=';
        *out++ = '=';
    }
    *out++ = '"';
    return out;
}

static char *cell_uuid(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                       char *out)
{
    (void)buf;
    *out++ = '"';
    engine_uuid_text(((const struct engine_int128 *)vector->data)[row], out);
    out[36] = '"';
    return out + 37;
}

static char *cell_null(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                       char *out)
{
    (void)buf;
    (void)vector;
    (void)row;
    memcpy(out, "null", 4);
    return out + 4;
}

/* --- nested: a bracket, a comma or a key stands before a value, so there is room made anew. */

char *query_json_value(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                       char *out)
{
    if (engine_vector_is_null(vector, row))
        return cell_null(buf, vector, row, out);
    return query_json_cell_of(vector)(buf, vector, row, out);
}

static char *write_items(struct lh_buf *buf, const struct engine_vector *items, uint64_t from,
                         uint64_t count, char *out)
{
    query_json_cell cell = query_json_cell_of(items);
    *out++ = '[';
    out = query_json_room(buf, out, 0);
    for (uint64_t i = 0; i < count && out; i++) {
        if (i)
            *out++ = ',';
        size_t row = (size_t)(from + i);
        out = engine_vector_is_null(items, row) ? cell_null(buf, items, row, out)
                                                : cell(buf, items, row, out);
        if (out)
            out = query_json_room(buf, out, 0);
    }
    if (out)
        *out++ = ']';
    return out;
}

static char *cell_list(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                       char *out)
{
    struct engine_list_entry entry = engine_vector_list(vector, row);
    return write_items(buf, &vector->children[0], entry.offset, entry.length, out);
}

static char *cell_array(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                        char *out)
{
    uint64_t size = vector->info->array_size;
    return write_items(buf, &vector->children[0], row * size, size, out);
}

/* Names of unnamed structs are empty: those are lists of their values. */
static char *cell_struct(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                         char *out)
{
    bool has_names = vector->child_count && vector->info->child_names[0].len;
    *out++ = has_names ? '{' : '[';
    out = query_json_room(buf, out, 0);
    for (size_t i = 0; i < vector->child_count && out; i++) {
        if (i)
            *out++ = ',';
        if (has_names) {
            out = write_string(buf, vector->info->child_names[i], out);
            if (!out)
                return NULL;
            *out++ = ':';
        }
        out = query_json_value(buf, &vector->children[i], row, out);
        if (out)
            out = query_json_room(buf, out, 0);
    }
    if (out)
        *out++ = has_names ? '}' : ']';
    return out;
}

/* Keys of any type may repeat as text, so a map whose keys are not text is a list of pairs. */
static char *cell_map(struct lh_buf *buf, const struct engine_vector *vector, size_t row, char *out)
{
    struct engine_list_entry entry = engine_vector_list(vector, row);
    const struct engine_vector *keys = &vector->children[0], *values = &vector->children[1];
    bool is_object = keys->type == ENGINE_TEXT || keys->type == ENGINE_ENUM;
    query_json_cell key = query_json_cell_of(keys);
    *out++ = is_object ? '{' : '[';
    out = query_json_room(buf, out, 0);
    for (uint64_t i = 0; i < entry.length && out; i++) {
        size_t at = (size_t)(entry.offset + i);
        if (i)
            *out++ = ',';
        if (!is_object)
            *out++ = '[';
        out = key(buf, keys, at, out);
        if (out)
            *out++ = is_object ? ':' : ',';
        if (out)
            out = query_json_room(buf, out, 0);
        if (out)
            out = query_json_value(buf, values, at, out);
        if (out && !is_object)
            *out++ = ']';
        if (out)
            out = query_json_room(buf, out, 0);
    }
    if (out)
        *out++ = is_object ? '}' : ']';
    return out;
}

static char *cell_union(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                        char *out)
{
    return query_json_value(buf, &vector->children[engine_vector_union_tag(vector, row)], row, out);
}

static const query_json_cell cells[ENGINE_TYPE_COUNT] = {
    [ENGINE_NULL] = cell_null,
    [ENGINE_BOOL] = cell_bool,
    [ENGINE_INT8] = cell_int8,
    [ENGINE_INT16] = cell_int16,
    [ENGINE_INT32] = cell_int32,
    [ENGINE_INT64] = cell_int64,
    [ENGINE_INT128] = cell_int128,
    [ENGINE_UINT8] = cell_uint8,
    [ENGINE_UINT16] = cell_uint16,
    [ENGINE_UINT32] = cell_uint32,
    [ENGINE_UINT64] = cell_uint64,
    [ENGINE_UINT128] = cell_int128,
    [ENGINE_FLOAT] = cell_float,
    [ENGINE_DOUBLE] = cell_double,
    [ENGINE_DECIMAL] = cell_decimal,
    [ENGINE_DATE] = query_json_date,
    [ENGINE_TIME] = query_json_time,
    [ENGINE_TIME_NS] = query_json_time,
    [ENGINE_TIME_TZ] = query_json_time,
    [ENGINE_TIMESTAMP] = query_json_timestamp,
    [ENGINE_TIMESTAMP_S] = query_json_timestamp,
    [ENGINE_TIMESTAMP_MS] = query_json_timestamp,
    [ENGINE_TIMESTAMP_NS] = query_json_timestamp,
    [ENGINE_TIMESTAMP_TZ] = query_json_timestamp,
    [ENGINE_INTERVAL] = query_json_engine_text,
    [ENGINE_UUID] = cell_uuid,
    [ENGINE_TEXT] = cell_text,
    [ENGINE_BLOB] = cell_blob,
    [ENGINE_BIT] = query_json_engine_text,
    [ENGINE_BIGNUM] = query_json_engine_text,
    [ENGINE_ENUM] = cell_enum,
    [ENGINE_LIST] = cell_list,
    [ENGINE_ARRAY] = cell_array,
    [ENGINE_MAP] = cell_map,
    [ENGINE_STRUCT] = cell_struct,
    [ENGINE_UNION] = cell_union,
};

query_json_cell query_json_cell_of(const struct engine_vector *vector)
{
    return cells[vector->type];
}
