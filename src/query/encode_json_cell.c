/* Single values as JSON, one function per type: chosen once per column, called once per cell.
 *
 * A cell writes at a bare pointer behind the buffer's length and moves it on; only what has no
 * fixed size looks for room. Strings are copied sixteen bytes at a time and looked at after the
 * copy: nearly every run is clean. */
#include "query/encode_json.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

char *query_json_more(struct lh_buf *buf, char *out, size_t bytes)
{
    buf->len = (size_t)(out - buf->data);
    return lh_buf_reserve(buf, bytes + QUERY_JSON_CELL_BYTES);
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
        memcpy(out, (const char[]){'u', '0', '0'}, 3);
        out[3] = hex[byte >> 4];
        out[4] = hex[byte & 15];
        out += 5;
    }
    return out;
}

/* --- texts
 *
 * Blocks of sixteen bytes are copied first and looked at then: nearly every one is clean. The last
 * block of a text of at least sixteen overlaps the one before it, so that no byte beyond the text
 * is read. */

#if defined(__SSE2__)
/* A bit for each byte that must be escaped. */
static inline unsigned escapes_in(__m128i bytes)
{
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    const __m128i control = _mm_set1_epi8(0x1F);
    __m128i marks =
        _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, slash)),
                     _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes));
    return (unsigned)_mm_movemask_epi8(marks);
}

static inline unsigned copy_block(char *out, const char *text)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)text);
    _mm_storeu_si128((__m128i *)(void *)out, bytes);
    return escapes_in(bytes);
}

/* Copies bytes up to the first that must be escaped, and says how many. */
static inline size_t copy_long(char *out, const char *text, size_t len) /* at least 16 */
{
    unsigned marks;
    size_t at = 0;
    for (; at + 16 <= len; at += 16) {
        marks = copy_block(out + at, text + at);
        if (marks)
            return at + (size_t)__builtin_ctz(marks);
    }
    marks = copy_block(out + len - 16, text + len - 16);
    return marks ? len - 16 + (size_t)__builtin_ctz(marks) : len;
}
#else
static inline size_t copy_long(char *out, const char *text, size_t len)
{
    size_t at = 0;
    for (; at < len && !IN_MASK((unsigned char)text[at]); at++)
        out[at] = text[at];
    return at;
}
#endif

static inline size_t copy_short(char *out, const char *text, size_t len)
{
    size_t at = 0;
    for (; at < len && !IN_MASK((unsigned char)text[at]); at++)
        out[at] = text[at];
    return at;
}

#define RUN_BYTES ((size_t)64 * 1024)

static char *write_string(struct lh_buf *buf, struct lh_str text, char *out)
{
    size_t left = text.len;
    const char *from = text.data;
    *out++ = '"';
    while (left) {
        size_t run = left < RUN_BYTES ? left : RUN_BYTES;
        out = query_json_room(buf, out, run);
        if (!out)
            return NULL;
        size_t clean = run < 16 ? copy_short(out, from, run) : copy_long(out, from, run);
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

/* Texts of up to twelve bytes stand in the vector itself: one block, in which those that are not
 * the text's do not count. */
static char *cell_text(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                       char *out)
{
#if defined(__SSE2__)
    const struct engine_string *string = (const struct engine_string *)vector->data + row;
    if (string->length <= sizeof string->bytes) {
        _Static_assert(sizeof *string == 16, "a string is a block");
        __m128i bytes = _mm_srli_si128(_mm_loadu_si128((const __m128i *)(const void *)string), 4);
        if (!(escapes_in(bytes) & ((1U << string->length) - 1))) {
            *out = '"';
            _mm_storeu_si128((__m128i *)(void *)(out + 1), bytes);
            out[string->length + 1] = '"';
            return out + string->length + 2;
        }
    }
#endif
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
    return query_json_null(out);
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
    [ENGINE_BOOL] = query_json_bool,
    [ENGINE_INT8] = query_json_int8,
    [ENGINE_INT16] = query_json_int16,
    [ENGINE_INT32] = query_json_int32,
    [ENGINE_INT64] = query_json_int64,
    [ENGINE_INT128] = query_json_engine_text,
    [ENGINE_UINT8] = query_json_uint8,
    [ENGINE_UINT16] = query_json_uint16,
    [ENGINE_UINT32] = query_json_uint32,
    [ENGINE_UINT64] = query_json_uint64,
    [ENGINE_UINT128] = query_json_engine_text,
    [ENGINE_FLOAT] = query_json_float,
    [ENGINE_DOUBLE] = query_json_double,
    [ENGINE_DECIMAL] = query_json_decimal,
    [ENGINE_DATE] = query_json_date,
    [ENGINE_TIME] = query_json_time,
    [ENGINE_TIME_NS] = query_json_time,
    [ENGINE_TIME_TZ] = query_json_time,
    [ENGINE_TIMESTAMP] = query_json_timestamp,
    [ENGINE_TIMESTAMP_S] = query_json_timestamp_s,
    [ENGINE_TIMESTAMP_MS] = query_json_timestamp_ms,
    [ENGINE_TIMESTAMP_NS] = query_json_timestamp_ns,
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

enum lh_code query_write_json(struct lh_buf *buf, const struct engine_vector *vector, size_t row,
                              struct lh_error *err)
{
    char *out = lh_buf_reserve(buf, QUERY_JSON_CELL_BYTES);
    out = out ? query_json_value(buf, vector, row, out) : NULL;
    if (out)
        buf->len = (size_t)(out - buf->data);
    return lh_buf_check(buf, "A value as JSON", err);
}
