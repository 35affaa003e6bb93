/* Columns of any type with any values, made of a fuzz input as the engine could hand them over:
 * texts are UTF-8, times lie within their day, tags and indexes within their lists. Everything else
 * is any bits. */
#ifndef LAKEHOUSE_TESTS_FUZZ_VECTORS_H
#define LAKEHOUSE_TESTS_FUZZ_VECTORS_H

#include "fuzz.h"

#include "base/arena.h"
#include "engine/vector.h"

struct input {
    const uint8_t *bytes;
    size_t left;
    struct lh_arena *arena;
    bool is_nested; /* then a text may become a key, in which the judge takes no NUL */
};

#define DEPTH_MAX 5
#define TEXT_BYTES_MAX 200
#define DAY_MICROS INT64_C(86400000000)

static void take(struct input *input, void *ret, size_t count)
{
    size_t some = count < input->left ? count : input->left;
    memset(ret, 0, count);
    memcpy(ret, input->bytes, some);
    input->bytes += some;
    input->left -= some;
}

static unsigned take_below(struct input *input, unsigned limit)
{
    uint8_t byte;
    take(input, &byte, 1);
    return byte % limit;
}

static struct lh_str take_bytes(struct input *input, size_t least)
{
    size_t len = least + take_below(input, TEXT_BYTES_MAX);
    char *copy = lh_arena_alloc(input->arena, len + 1);
    take(input, copy, len);
    return (struct lh_str){copy, len};
}

static struct lh_str take_text(struct input *input)
{
    struct lh_str text = take_bytes(input, 0);
    char *bytes = (char *)(uintptr_t)text.data;
    bool is_utf8 = lh_str_is_utf8(text, NULL);
    for (size_t i = 0; i < text.len; i++) {
        if (!is_utf8)
            bytes[i] &= 0x7f;
        if (input->is_nested && !bytes[i])
            bytes[i] = 1;
    }
    return text;
}

static void put_string(struct engine_string *string, struct lh_str text)
{
    string->length = (uint32_t)text.len;
    if (text.len <= sizeof string->bytes) {
        memcpy(string->bytes, text.data, text.len);
    } else {
        memcpy(string->bytes, text.data, 4);
        memcpy(string->bytes + 4, &text.data, sizeof text.data);
    }
}

static struct engine_type_info *make_type(struct input *input, unsigned depth)
{
    struct engine_type_info *info = lh_arena_alloc(input->arena, sizeof *info);
    static const enum engine_type decimals[] = {ENGINE_INT16, ENGINE_INT32, ENGINE_INT64,
                                                ENGINE_INT128};
    static const enum engine_type enums[] = {ENGINE_UINT8, ENGINE_UINT16, ENGINE_UINT32};
    static const uint8_t widths[] = {4, 9, 18, 38};
    *info =
        (struct engine_type_info){.type = (enum engine_type)take_below(
                                      input, depth < DEPTH_MAX ? ENGINE_TYPE_COUNT : ENGINE_LIST)};
    info->storage = info->type;
    input->is_nested = input->is_nested || info->type >= ENGINE_LIST;
    if (info->type == ENGINE_DECIMAL) {
        unsigned size = take_below(input, 4);
        info->storage = decimals[size];
        info->width = widths[size];
        info->scale = (uint8_t)take_below(input, info->width + 1U);
    } else if (info->type == ENGINE_ENUM) {
        struct lh_str *labels = lh_arena_array(input->arena, 3, sizeof *labels);
        info->storage = enums[take_below(input, 3)];
        for (int i = 0; i < 3; i++)
            labels[i] = take_text(input);
        info->labels = labels;
        info->label_count = 3;
    } else if (info->type >= ENGINE_LIST) {
        bool has_one = info->type == ENGINE_LIST || info->type == ENGINE_ARRAY;
        info->child_count = has_one ? 1 : info->type == ENGINE_MAP ? 2 : 1 + take_below(input, 4);
        info->array_size = 1 + take_below(input, 4);
        const struct engine_type_info **children =
            lh_arena_array(input->arena, info->child_count, sizeof *children);
        struct lh_str *names = lh_arena_array(input->arena, info->child_count, sizeof *names);
        bool is_named = take_below(input, 2) || info->type == ENGINE_UNION;
        for (size_t i = 0; i < info->child_count; i++) {
            children[i] = make_type(input, depth + 1);
            if (is_named) { /* a name is not empty, and no two are equal */
                struct lh_str name = take_text(input);
                names[i] = lh_arena_printf(input->arena, "%zu%.*s", i, LH_ARG(name));
            }
        }
        info->children = children;
        info->child_names = names;
    }
    return info;
}

/* Bytes of one value; 0: there is no data. */
static size_t size_of(enum engine_type type)
{
    static const uint8_t sizes[ENGINE_TYPE_COUNT] = {
        [ENGINE_BOOL] = 1,         [ENGINE_INT8] = 1,         [ENGINE_UINT8] = 1,
        [ENGINE_UNION] = 1,        [ENGINE_INT16] = 2,        [ENGINE_UINT16] = 2,
        [ENGINE_INT32] = 4,        [ENGINE_UINT32] = 4,       [ENGINE_FLOAT] = 4,
        [ENGINE_DATE] = 4,         [ENGINE_INT128] = 16,      [ENGINE_UINT128] = 16,
        [ENGINE_INTERVAL] = 16,    [ENGINE_UUID] = 16,        [ENGINE_TEXT] = 16,
        [ENGINE_BLOB] = 16,        [ENGINE_BIT] = 16,         [ENGINE_BIGNUM] = 16,
        [ENGINE_LIST] = 16,        [ENGINE_MAP] = 16,         [ENGINE_INT64] = 8,
        [ENGINE_UINT64] = 8,       [ENGINE_DOUBLE] = 8,       [ENGINE_TIME] = 8,
        [ENGINE_TIME_NS] = 8,      [ENGINE_TIME_TZ] = 8,      [ENGINE_TIMESTAMP] = 8,
        [ENGINE_TIMESTAMP_S] = 8,  [ENGINE_TIMESTAMP_MS] = 8, [ENGINE_TIMESTAMP_NS] = 8,
        [ENGINE_TIMESTAMP_TZ] = 8,
    };
    return sizes[type];
}

static int64_t within(int64_t value, int64_t limit)
{
    return (int64_t)((uint64_t)value % (uint64_t)limit);
}

static void take_time(struct input *input, enum engine_type type, void *cell)
{
    int64_t value;
    take(input, &value, sizeof value);
    if (type == ENGINE_TIME) {
        value = within(value, DAY_MICROS + 1);
    } else if (type == ENGINE_TIME_NS) {
        value = within(value, DAY_MICROS * 1000 + 1);
    } else if (type == ENGINE_TIME_TZ) {
        int64_t offset = within(value, 2 * 57599 + 1);
        value = within(value >> 17, DAY_MICROS + 1) << 24 | offset;
    }
    memcpy(cell, &value, sizeof value);
}

static void take_string(struct input *input, enum engine_type type, void *cell)
{
    struct lh_str text = type == ENGINE_TEXT ? take_text(input) : take_bytes(input, 4);
    char *first = (char *)(uintptr_t)text.data;
    if (type == ENGINE_BIT)
        *first = (char)(*first & 7);
    put_string(cell, text);
}

/* Lists lie behind each other in their child; *ret_rows is how long that is. */
static void take_lists(struct input *input, struct engine_list_entry *entries, size_t rows,
                       size_t *ret_rows)
{
    size_t next = 0;
    for (size_t row = 0; row < rows; row++) {
        entries[row] = (struct engine_list_entry){next, take_below(input, 4)};
        next += entries[row].length;
    }
    *ret_rows = next;
}

static void fill_row(struct input *input, const struct engine_type_info *info, void *cell)
{
    uint32_t label;
    switch (info->type) {
    case ENGINE_TEXT:
    case ENGINE_BLOB:
    case ENGINE_BIT:
    case ENGINE_BIGNUM:
        take_string(input, info->type, cell);
        break;
    case ENGINE_TIME:
    case ENGINE_TIME_NS:
    case ENGINE_TIME_TZ:
        take_time(input, info->type, cell);
        break;
    case ENGINE_BOOL:
        *(uint8_t *)cell = (uint8_t)take_below(input, 2);
        break;
    case ENGINE_UNION:
        *(uint8_t *)cell = (uint8_t)take_below(input, (unsigned)info->child_count);
        break;
    case ENGINE_ENUM: /* little endian, as every machine that is built for */
        label = take_below(input, 3);
        memcpy(cell, &label, size_of(info->storage));
        break;
    default:
        take(input, cell, size_of(info->storage));
    }
}

static struct engine_vector *make_vector(struct input *input, const struct engine_type_info *info,
                                         size_t rows)
{
    struct engine_vector *vector = lh_arena_alloc(input->arena, sizeof *vector);
    uint64_t *validity = lh_arena_alloc(input->arena, (rows / 64 + 1) * sizeof *validity);
    size_t size = size_of(info->storage), child_rows = rows;
    *vector = (struct engine_vector){.type = info->type, .info = info};
    memset(validity, 0xff, (rows / 64 + 1) * sizeof *validity);
    if (take_below(input, 2)) {
        for (size_t row = 0; row < rows; row++)
            if (take_below(input, 4) == 0)
                validity[row / 64] &= ~(UINT64_C(1) << row % 64);
        vector->validity = validity;
    }
    char *data = size ? lh_arena_alloc(input->arena, (rows + 1) * 16) : NULL;
    if (info->type == ENGINE_LIST || info->type == ENGINE_MAP)
        take_lists(input, (struct engine_list_entry *)(void *)data, rows, &child_rows);
    else
        for (size_t row = 0; data && row < rows; row++)
            fill_row(input, info, data + row * size);
    if (info->type == ENGINE_ARRAY)
        child_rows = rows * info->array_size;
    vector->data = data;
    struct engine_vector *children =
        lh_arena_array(input->arena, info->child_count + 1, sizeof *children);
    for (size_t i = 0; i < info->child_count; i++)
        children[i] = *make_vector(input, info->children[i], child_rows);
    if (info->type == ENGINE_MAP)
        children[0].validity = NULL; /* a key is never NULL */
    vector->children = children;
    vector->child_count = info->child_count;
    return vector;
}

#endif
