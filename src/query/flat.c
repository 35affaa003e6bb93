#include "query/flat.h"

#include <assert.h>

static size_t position(const struct flat *flat)
{
    return flat->buf->len - flat->start;
}

static void append_zeroes(struct flat *flat, size_t count)
{
    char *room = lh_buf_reserve(flat->buf, count);
    if (!room)
        return;
    memset(room, 0, count);
    flat->buf->len += count;
}

static void align(struct flat *flat, size_t alignment, size_t ahead)
{
    while ((position(flat) + ahead) % alignment && !flat->buf->is_over)
        lh_buf_append_char(flat->buf, '\0');
}

void flat_put(struct flat *flat, size_t at, const void *bytes, size_t count)
{
    if (!flat->buf->is_over && count)
        memcpy(flat->buf->data + flat->start + at, bytes, count);
}

void flat_init(struct flat *flat, struct lh_buf *buf)
{
    *flat = (struct flat){.buf = buf, .start = buf->len};
    append_zeroes(flat, 4);
}

/* The vtable stands before its table: sizes of both, then for each slot where in the table its
 * member is, 0 for none. The table begins with the way back to it. */
size_t flat_table(struct flat *flat, const struct flat_field *fields, size_t field_count,
                  size_t *ret_places)
{
    uint16_t head[2 + FLAT_FIELDS_MAX] = {0};
    uint16_t end = 4, slots = 0;
    assert(field_count <= FLAT_FIELDS_MAX);
    for (size_t i = 0; i < field_count; i++) {
        assert(fields[i].slot < FLAT_FIELDS_MAX);
        end = (uint16_t)((end + fields[i].size - 1) / fields[i].size * fields[i].size);
        head[2 + fields[i].slot] = end;
        end = (uint16_t)(end + fields[i].size);
        if (fields[i].slot >= slots)
            slots = (uint16_t)(fields[i].slot + 1);
    }
    head[0] = (uint16_t)(4 + 2 * slots);
    head[1] = end;
    align(flat, 2, 0);
    size_t vtable = position(flat);
    lh_buf_append(flat->buf, head, head[0]);
    align(flat, 8, 0);
    size_t table = position(flat);
    int32_t back = (int32_t)(table - vtable);
    append_zeroes(flat, end);
    flat_put(flat, table, &back, sizeof back);
    for (size_t i = 0; i < field_count; i++) {
        size_t at = table + head[2 + fields[i].slot];
        flat_put(flat, at, &fields[i].value, fields[i].size); /* little-endian, as Arrow is */
        if (ret_places)
            ret_places[i] = at;
    }
    return table;
}

size_t flat_string(struct flat *flat, struct lh_str text)
{
    align(flat, 4, 0);
    size_t at = position(flat);
    uint32_t len = (uint32_t)text.len;
    lh_buf_append(flat->buf, &len, sizeof len);
    lh_buf_append_str(flat->buf, text);
    lh_buf_append_char(flat->buf, '\0');
    return at;
}

size_t flat_vector(struct flat *flat, size_t item_count, size_t item_size, size_t alignment)
{
    align(flat, alignment, 4);
    size_t at = position(flat);
    uint32_t count = (uint32_t)item_count;
    lh_buf_append(flat->buf, &count, sizeof count);
    append_zeroes(flat, item_count * item_size);
    return at;
}

void flat_point(struct flat *flat, size_t place, size_t target)
{
    uint32_t distance = (uint32_t)(target - place);
    flat_put(flat, place, &distance, sizeof distance);
}

void flat_root(struct flat *flat, size_t table)
{
    flat_point(flat, 0, table);
}
