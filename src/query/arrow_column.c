/* A chunk's vectors as the buffers of a record batch.
 *
 * Values that stand in the chunk as Arrow wants them are lent where they are. Only a column without
 * NULL is: what stands under a NULL is whatever the engine left there, and must not leave. */
#include "query/arrow.h"

#include <stdlib.h>

/* Which rows of a vector: `at` lists them, or they are `from` and the next ones. */
struct rows {
    size_t count;
    size_t from;
    const uint32_t *at; /* NULL: no list */
};
#define ROW_NONE UINT32_MAX /* NULL, whatever the vector says */

#define BLOCK_BYTES ((size_t)1 << 20)
#define ITEMS_MAX ((uint64_t)INT32_MAX)

/* --- scratch */

struct arrow_block {
    struct arrow_block *next;
    size_t size, used;
    _Alignas(64) char bytes[];
};

void arrow_scratch_release(struct arrow_scratch *scratch)
{
    while (scratch->blocks) {
        struct arrow_block *next = scratch->blocks->next;
        free(scratch->blocks);
        scratch->blocks = next;
    }
    scratch->current = NULL;
}

/* Keeps the first block alone, and that only if it is an ordinary one. */
void arrow_scratch_reset(struct arrow_scratch *scratch)
{
    struct arrow_block *first = scratch->blocks;
    if (!first || first->size > BLOCK_BYTES) {
        arrow_scratch_release(scratch);
        return;
    }
    scratch->blocks = first->next;
    arrow_scratch_release(scratch);
    first->next = NULL;
    first->used = 0;
    scratch->blocks = scratch->current = first;
}

/* NULL and batch->code without memory. */
static void *take(struct arrow_batch *batch, size_t size)
{
    struct arrow_scratch *scratch = &batch->scratch;
    size = (size + 63) / 64 * 64;
    if (!scratch->current || scratch->current->size - scratch->current->used < size) {
        size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        struct arrow_block *block = aligned_alloc(64, sizeof *block + room);
        if (!block) {
            if (!batch->code)
                batch->code = lh_fail(batch->err, LH_BUSY, "There is no memory for the result.");
            return NULL;
        }
        block->next = NULL;
        block->size = room;
        block->used = 0;
        if (scratch->current)
            scratch->current->next = block;
        else
            scratch->blocks = block;
        scratch->current = block;
    }
    void *bytes = scratch->current->bytes + scratch->current->used;
    scratch->current->used += size;
    return bytes;
}

/* --- lists of nodes and buffers */

static void *widen(struct lh_arena *arena, const void *items, size_t item_size, size_t *capacity)
{
    void *wider = lh_arena_array(arena, *capacity * 2 + 16, item_size);
    if (*capacity)
        memcpy(wider, items, *capacity * item_size);
    *capacity = *capacity * 2 + 16;
    return wider;
}

static void add_node(struct arrow_batch *batch, size_t length, size_t null_count)
{
    if (batch->node_count == batch->node_capacity)
        batch->nodes =
            widen(batch->arena, batch->nodes, sizeof *batch->nodes, &batch->node_capacity);
    batch->nodes[batch->node_count++] = (struct arrow_node){(int64_t)length, (int64_t)null_count};
}

static void add_piece(struct arrow_batch *batch, const void *data, size_t len)
{
    if (batch->piece_count == batch->piece_capacity)
        batch->pieces =
            widen(batch->arena, batch->pieces, sizeof *batch->pieces, &batch->piece_capacity);
    batch->pieces[batch->piece_count++] = (struct arrow_piece){data, data ? len : 0};
}

/* --- validity */

static inline size_t row_of(struct rows rows, size_t i)
{
    return rows.at ? rows.at[i] : rows.from + i;
}

static inline bool is_valid(const uint64_t *bits, size_t i)
{
    return !bits || (bits[i / 64] >> (i % 64) & 1);
}

static bool has_nulls(const struct engine_vector *vector, struct rows rows)
{
    return vector->validity || rows.at;
}

/* The bits of rows without a list, shifted to their place. */
static void copy_bits(uint64_t *bits, const uint64_t *validity, struct rows rows)
{
    size_t words = (rows.count + 63) / 64, word = rows.from / 64, shift = rows.from % 64;
    size_t last = (rows.from + rows.count - 1) / 64;
    for (size_t i = 0; i < words; i++) {
        bits[i] = validity[word + i] >> shift;
        if (shift && word + i + 1 <= last)
            bits[i] |= validity[word + i + 1] << (64 - shift);
    }
    if (rows.count % 64)
        bits[words - 1] &= ((uint64_t)1 << (rows.count % 64)) - 1;
}

/* Adds the node and the validity; *ret_bits = NULL: no row is NULL. */
static bool add_validity(struct arrow_batch *batch, const struct engine_vector *vector,
                         struct rows rows, const uint64_t **ret_bits)
{
    size_t words = (rows.count + 63) / 64, valid = 0;
    *ret_bits = NULL;
    if (!has_nulls(vector, rows) || rows.count == 0) {
        add_node(batch, rows.count, 0);
        add_piece(batch, NULL, 0);
        return true;
    }
    uint64_t *bits = take(batch, words * 8);
    if (!bits)
        return false;
    if (!rows.at) {
        copy_bits(bits, vector->validity, rows);
    } else {
        memset(bits, 0, words * 8);
        for (size_t i = 0; i < rows.count; i++)
            if (rows.at[i] != ROW_NONE && !engine_vector_is_null(vector, rows.at[i]))
                bits[i / 64] |= (uint64_t)1 << (i % 64);
    }
    for (size_t i = 0; i < words; i++)
        valid += (size_t)__builtin_popcountll(bits[i]);
    add_node(batch, rows.count, rows.count - valid);
    if (valid == rows.count) {
        add_piece(batch, NULL, 0);
        return true;
    }
    add_piece(batch, bits, (rows.count + 7) / 8);
    *ret_bits = bits;
    return true;
}

/* --- values of a fixed width */

static void add_fixed(struct arrow_batch *batch, const struct engine_vector *vector,
                      struct rows rows, size_t width)
{
    const uint64_t *bits;
    const char *data = vector->data;
    if (!add_validity(batch, vector, rows, &bits))
        return;
    if (rows.count == 0 || (!rows.at && !bits)) {
        add_piece(batch, rows.count ? data + rows.from * width : NULL, rows.count * width);
        return;
    }
    char *copy = take(batch, rows.count * width);
    if (!copy)
        return;
    for (size_t i = 0; i < rows.count; i++) {
        if (is_valid(bits, i))
            memcpy(copy + i * width, data + row_of(rows, i) * width, width);
        else
            memset(copy + i * width, 0, width);
    }
    add_piece(batch, copy, rows.count * width);
}

/* Eight bytes of 0 or 1 as eight bits: the factor moves the lowest bit of each to the top byte. */
static inline uint64_t pack_eight(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return (word & UINT64_C(0x0101010101010101)) * UINT64_C(0x0102040810204080) >> 56;
}

static uint64_t pack_bools(const uint8_t *data, struct rows rows, size_t from)
{
    uint64_t word = 0;
    size_t count = rows.count - from < 64 ? rows.count - from : 64, i = 0;
    for (; !rows.at && i + 8 <= count; i += 8)
        word |= pack_eight(data + rows.from + from + i) << i;
    for (; i < count; i++) {
        size_t row = row_of(rows, from + i);
        word |= (uint64_t)(row != ROW_NONE && data[row] == 1) << i;
    }
    return word;
}

static void add_bools(struct arrow_batch *batch, const struct engine_vector *vector,
                      struct rows rows)
{
    const uint64_t *bits;
    if (!add_validity(batch, vector, rows, &bits))
        return;
    uint64_t *packed = take(batch, (rows.count + 63) / 64 * 8);
    if (!packed)
        return;
    for (size_t i = 0; i < rows.count; i += 64)
        packed[i / 64] = pack_bools(vector->data, rows, i) & (bits ? bits[i / 64] : UINT64_MAX);
    add_piece(batch, packed, (rows.count + 7) / 8);
}

/* Writes one value at `to`; the value is not NULL. False: it cannot be told. */
typedef bool (*convert)(const struct engine_vector *vector, size_t row, void *to);

static bool convert_int128(const struct engine_vector *vector, size_t row, void *to)
{
    struct engine_int128 value = ((const struct engine_int128 *)vector->data)[row];
    int64_t sign = vector->type == ENGINE_INT128 && value.upper < 0 ? -1 : 0;
    memcpy(to, &value, 16);
    memcpy((char *)to + 16, &sign, 8);
    memcpy((char *)to + 24, &sign, 8);
    return true;
}

/* Big-endian, without the bit that the engine flips to order them. */
static bool convert_uuid(const struct engine_vector *vector, size_t row, void *to)
{
    struct engine_int128 value = ((const struct engine_int128 *)vector->data)[row];
    uint64_t upper = (uint64_t)value.upper ^ (uint64_t)1 << 63;
    unsigned char *bytes = to;
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)(upper >> (56 - 8 * i));
        bytes[8 + i] = (unsigned char)(value.lower >> (56 - 8 * i));
    }
    return true;
}

static bool convert_interval(const struct engine_vector *vector, size_t row, void *to)
{
    struct engine_interval value = ((const struct engine_interval *)vector->data)[row];
    int64_t nanos;
    if (__builtin_mul_overflow(value.micros, INT64_C(1000), &nanos))
        return false;
    memcpy(to, &value.months, 4);
    memcpy((char *)to + 4, &value.days, 4);
    memcpy((char *)to + 8, &nanos, 8);
    return true;
}

static void add_converted(struct arrow_batch *batch, const struct engine_vector *vector,
                          struct rows rows, size_t width, convert one)
{
    const uint64_t *bits;
    if (!add_validity(batch, vector, rows, &bits))
        return;
    char *copy = take(batch, rows.count * width);
    if (!copy)
        return;
    for (size_t i = 0; i < rows.count; i++) {
        if (!is_valid(bits, i)) {
            memset(copy + i * width, 0, width);
        } else if (!one(vector, row_of(rows, i), copy + i * width) && !batch->code) {
            batch->code = lh_fail(batch->err, LH_SQL,
                                  "An interval has more than 292 years in its time of day, which "
                                  "Arrow cannot hold.");
            lh_error_hint(batch->err, "Cast it to VARCHAR, or ask for another format.");
        }
    }
    add_piece(batch, copy, rows.count * width);
}

/* One loop per storage. */
#define WIDEN_DECIMALS(name, ctype)                                                                \
    static void name(const struct engine_vector *vector, struct rows rows, const uint64_t *bits,   \
                     struct engine_int128 *to)                                                     \
    {                                                                                              \
        const ctype *from = vector->data;                                                          \
        for (size_t i = 0; !rows.at && !bits && i < rows.count; i++) {                             \
            int64_t value = from[rows.from + i];                                                   \
            to[i] = (struct engine_int128){(uint64_t)value, value < 0 ? -1 : 0};                   \
        }                                                                                          \
        for (size_t i = 0; (rows.at || bits) && i < rows.count; i++) {                             \
            int64_t value = is_valid(bits, i) ? from[row_of(rows, i)] : 0;                         \
            to[i] = (struct engine_int128){(uint64_t)value, value < 0 ? -1 : 0};                   \
        }                                                                                          \
    }
WIDEN_DECIMALS(widen16, int16_t)
WIDEN_DECIMALS(widen32, int32_t)
WIDEN_DECIMALS(widen64, int64_t)

/* Arrow has them all in 128 bits; the engine in as many as their digits need. */
static void add_decimals(struct arrow_batch *batch, const struct engine_vector *vector,
                         struct rows rows)
{
    const uint64_t *bits;
    enum engine_type storage = vector->info->storage;
    if (storage == ENGINE_INT128) {
        add_fixed(batch, vector, rows, 16);
        return;
    }
    if (!add_validity(batch, vector, rows, &bits))
        return;
    struct engine_int128 *wide = take(batch, rows.count * sizeof *wide);
    if (!wide)
        return;
    if (storage == ENGINE_INT16)
        widen16(vector, rows, bits, wide);
    else if (storage == ENGINE_INT32)
        widen32(vector, rows, bits, wide);
    else
        widen64(vector, rows, bits, wide);
    add_piece(batch, wide, rows.count * sizeof *wide);
}

/* --- texts */

static enum lh_code too_long(struct arrow_batch *batch, const char *what)
{
    if (!batch->code) {
        batch->code = lh_fail(batch->err, LH_TOO_LARGE,
                              "The %s of 2048 rows are more than an Arrow batch holds.", what);
        lh_error_hint(batch->err, "Ask for another format, or for a part of the column.");
    }
    return batch->code;
}

static size_t text_bytes(const struct engine_vector *vector, struct rows rows, const uint64_t *bits)
{
    const struct engine_string *strings = vector->data;
    size_t total = 0;
    if (!rows.at && !bits) {
        for (size_t i = 0; i < rows.count; i++)
            total += strings[rows.from + i].length;
        return total;
    }
    for (size_t i = 0; i < rows.count; i++)
        if (is_valid(bits, i))
            total += strings[row_of(rows, i)].length;
    return total;
}

/* Short texts stand inside and are copied whole; the room for what is too much is asked for. */
static void copy_texts(const struct engine_vector *vector, struct rows rows, const uint64_t *bits,
                       int32_t *offsets, char *to)
{
    const struct engine_string *strings = vector->data;
    char *const start = to;
    for (size_t i = 0; i < rows.count; i++) {
        offsets[i] = (int32_t)(to - start);
        if (!is_valid(bits, i))
            continue;
        const struct engine_string *string = &strings[row_of(rows, i)];
        if (string->length <= sizeof string->bytes) {
            memcpy(to, string->bytes, sizeof string->bytes);
        } else {
            const char *data;
            memcpy(&data, string->bytes + 4, sizeof data);
            memcpy(to, data, string->length);
        }
        to += string->length;
    }
    offsets[rows.count] = (int32_t)(to - start);
}

static void add_texts(struct arrow_batch *batch, const struct engine_vector *vector,
                      struct rows rows)
{
    const uint64_t *bits;
    if (!add_validity(batch, vector, rows, &bits))
        return;
    size_t total = text_bytes(vector, rows, bits);
    if (total > ITEMS_MAX) {
        too_long(batch, "texts");
        return;
    }
    int32_t *offsets = take(batch, (rows.count + 1) * 4);
    char *data = take(batch, total + sizeof((struct engine_string *)0)->bytes);
    if (!offsets || !data)
        return;
    copy_texts(vector, rows, bits, offsets, data);
    add_piece(batch, offsets, (rows.count + 1) * 4);
    add_piece(batch, data, total);
}

/* Of types that Arrow does not have: their text. */
static void add_as_text(struct arrow_batch *batch, const struct engine_vector *vector,
                        struct rows rows)
{
    const uint64_t *bits;
    if (!add_validity(batch, vector, rows, &bits))
        return;
    int32_t *offsets = take(batch, (rows.count + 1) * 4);
    if (!offsets)
        return;
    lh_buf_clear(&batch->text);
    for (size_t i = 0; i < rows.count; i++) {
        offsets[i] = (int32_t)batch->text.len;
        if (is_valid(bits, i))
            engine_value_text(vector, row_of(rows, i), &batch->text);
    }
    offsets[rows.count] = (int32_t)batch->text.len;
    if (!batch->code)
        batch->code = lh_buf_check(&batch->text, "The text of 2048 values", batch->err);
    char *data = take(batch, batch->text.len + 1);
    if (!data)
        return;
    memcpy(data, lh_buf_str(&batch->text).data, batch->text.len);
    add_piece(batch, offsets, (rows.count + 1) * 4);
    add_piece(batch, data, batch->text.len);
}

/* --- nested */

static void add(struct arrow_batch *batch, const struct engine_vector *vector, struct rows rows);

/* Rows of a child: those of valid parents, `step` of them each; NULL parents have NULL children. */
static bool child_rows(struct arrow_batch *batch, struct rows rows, const uint64_t *bits,
                       size_t step, struct rows *ret)
{
    if (!rows.at && !bits) {
        *ret = (struct rows){.count = rows.count * step, .from = rows.from * step};
        return true;
    }
    uint32_t *at = take(batch, rows.count * step * sizeof *at);
    if (!at)
        return false;
    for (size_t i = 0; i < rows.count; i++)
        for (size_t j = 0; j < step; j++)
            at[i * step + j] =
                is_valid(bits, i) ? (uint32_t)(row_of(rows, i) * step + j) : ROW_NONE;
    *ret = (struct rows){.count = rows.count * step, .at = at};
    return true;
}

/* The offsets of lists, and the rows of their items: one range if they stand one behind the other.
 */
static bool list_rows(struct arrow_batch *batch, const struct engine_vector *vector,
                      struct rows rows, const uint64_t *bits, int32_t *offsets, struct rows *ret)
{
    uint64_t total = 0, next = 0;
    bool is_range = true;
    *ret = (struct rows){0};
    for (size_t i = 0; i < rows.count; i++) {
        offsets[i] = (int32_t)total;
        if (!is_valid(bits, i))
            continue;
        struct engine_list_entry entry = engine_vector_list(vector, row_of(rows, i));
        if (entry.length && total == 0)
            ret->from = (size_t)(next = entry.offset);
        if (entry.length && entry.offset != next)
            is_range = false;
        if (entry.length)
            next = entry.offset + entry.length;
        total += entry.length;
        if (total > ITEMS_MAX || entry.offset + entry.length >= ROW_NONE) {
            too_long(batch, "lists");
            return false;
        }
    }
    offsets[rows.count] = (int32_t)total;
    ret->count = (size_t)total;
    if (is_range)
        return true;
    uint32_t *at = take(batch, (size_t)total * sizeof *at);
    if (!at)
        return false;
    ret->at = at;
    for (size_t i = 0; i < rows.count; i++) {
        if (!is_valid(bits, i))
            continue;
        struct engine_list_entry entry = engine_vector_list(vector, row_of(rows, i));
        for (uint64_t j = 0; j < entry.length; j++)
            *at++ = (uint32_t)(entry.offset + j);
    }
    return true;
}

static void add_list(struct arrow_batch *batch, const struct engine_vector *vector,
                     struct rows rows)
{
    const uint64_t *bits;
    struct rows items;
    if (!add_validity(batch, vector, rows, &bits))
        return;
    int32_t *offsets = take(batch, (rows.count + 1) * 4);
    if (!offsets || !list_rows(batch, vector, rows, bits, offsets, &items))
        return;
    add_piece(batch, offsets, (rows.count + 1) * 4);
    if (vector->type == ENGINE_MAP) { /* the entries: a struct of key and value, never NULL */
        add_node(batch, items.count, 0);
        add_piece(batch, NULL, 0);
        add(batch, &vector->children[0], items);
        add(batch, &vector->children[1], items);
    } else {
        add(batch, &vector->children[0], items);
    }
}

static void add_array(struct arrow_batch *batch, const struct engine_vector *vector,
                      struct rows rows)
{
    const uint64_t *bits;
    struct rows items;
    if (add_validity(batch, vector, rows, &bits) &&
        child_rows(batch, rows, bits, (size_t)vector->info->array_size, &items))
        add(batch, &vector->children[0], items);
}

static void add_struct(struct arrow_batch *batch, const struct engine_vector *vector,
                       struct rows rows)
{
    const uint64_t *bits;
    struct rows members;
    if (!add_validity(batch, vector, rows, &bits) || !child_rows(batch, rows, bits, 1, &members))
        return;
    for (size_t i = 0; i < vector->child_count; i++)
        add(batch, &vector->children[i], members);
}

/* Sparse, as the engine's are: each member has every row, NULL where another one is meant. Arrow's
 * unions have no validity: NULL is a NULL first member. */
static void add_union(struct arrow_batch *batch, const struct engine_vector *vector,
                      struct rows rows)
{
    uint8_t *tags = take(batch, rows.count);
    uint32_t *at = take(batch, rows.count * vector->child_count * sizeof *at);
    if (!tags || !at)
        return;
    for (size_t i = 0; i < rows.count; i++) {
        size_t row = row_of(rows, i);
        bool is_null = (rows.at && row == ROW_NONE) || engine_vector_is_null(vector, row);
        tags[i] = is_null ? 0 : engine_vector_union_tag(vector, row);
        for (size_t member = 0; member < vector->child_count; member++)
            at[member * rows.count + i] = !is_null && member == tags[i] ? (uint32_t)row : ROW_NONE;
    }
    add_node(batch, rows.count, 0);
    add_piece(batch, tags, rows.count);
    for (size_t member = 0; member < vector->child_count; member++)
        add(batch, &vector->children[member],
            (struct rows){.count = rows.count, .at = at + member * rows.count});
}

static size_t width_of(enum engine_type type)
{
    switch (type) {
    case ENGINE_INT8:
    case ENGINE_UINT8:
        return 1;
    case ENGINE_INT16:
    case ENGINE_UINT16:
        return 2;
    case ENGINE_INT32:
    case ENGINE_UINT32:
    case ENGINE_FLOAT:
    case ENGINE_DATE:
        return 4;
    default:
        return 8;
    }
}

static void add(struct arrow_batch *batch, const struct engine_vector *vector, struct rows rows)
{
    if (batch->code)
        return;
    switch (vector->type) {
    case ENGINE_NULL:
        add_node(batch, rows.count, rows.count);
        break;
    case ENGINE_BOOL:
        add_bools(batch, vector, rows);
        break;
    case ENGINE_INT128:
    case ENGINE_UINT128:
        add_converted(batch, vector, rows, 32, convert_int128);
        break;
    case ENGINE_DECIMAL:
        add_decimals(batch, vector, rows);
        break;
    case ENGINE_INTERVAL:
        add_converted(batch, vector, rows, 16, convert_interval);
        break;
    case ENGINE_UUID:
        add_converted(batch, vector, rows, 16, convert_uuid);
        break;
    case ENGINE_TEXT:
    case ENGINE_BLOB:
        add_texts(batch, vector, rows);
        break;
    case ENGINE_TIME_TZ:
    case ENGINE_BIT:
    case ENGINE_BIGNUM:
        add_as_text(batch, vector, rows);
        break;
    case ENGINE_ENUM:
        add_fixed(batch, vector, rows, width_of(vector->info->storage));
        break;
    case ENGINE_LIST:
    case ENGINE_MAP:
        add_list(batch, vector, rows);
        break;
    case ENGINE_ARRAY:
        add_array(batch, vector, rows);
        break;
    case ENGINE_STRUCT:
        add_struct(batch, vector, rows);
        break;
    case ENGINE_UNION:
        add_union(batch, vector, rows);
        break;
    default:
        add_fixed(batch, vector, rows, width_of(vector->type));
        break;
    }
}

/* --- batches */

void arrow_batch_init(struct arrow_batch *batch, struct lh_arena *arena)
{
    *batch = (struct arrow_batch){.arena = arena};
    lh_buf_init(&batch->text, ITEMS_MAX);
}

void arrow_batch_release(struct arrow_batch *batch)
{
    arrow_scratch_release(&batch->scratch);
    lh_buf_release(&batch->text);
}

void arrow_batch_begin(struct arrow_batch *batch, struct lh_error *err)
{
    arrow_scratch_reset(&batch->scratch);
    batch->node_count = batch->piece_count = 0;
    batch->code = LH_OK;
    batch->err = err;
}

void arrow_batch_add(struct arrow_batch *batch, const struct engine_vector *vector, size_t count)
{
    add(batch, vector, (struct rows){.count = count});
}

void arrow_batch_add_labels(struct arrow_batch *batch, const struct engine_type_info *info)
{
    size_t total = 0, at = 0;
    for (size_t i = 0; i < info->label_count; i++)
        total += info->labels[i].len;
    if (total > ITEMS_MAX) {
        too_long(batch, "labels");
        return;
    }
    int32_t *offsets = take(batch, (info->label_count + 1) * 4);
    char *data = take(batch, total + 1);
    if (!offsets || !data)
        return;
    for (size_t i = 0; i < info->label_count; i++) {
        offsets[i] = (int32_t)at;
        if (info->labels[i].len)
            memcpy(data + at, info->labels[i].data, info->labels[i].len);
        at += info->labels[i].len;
    }
    offsets[info->label_count] = (int32_t)at;
    add_node(batch, info->label_count, 0);
    add_piece(batch, NULL, 0);
    add_piece(batch, offsets, (info->label_count + 1) * 4);
    add_piece(batch, data, total);
}
