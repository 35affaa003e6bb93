#include "catalog/parquet_footer.h"

#include <string.h>

#define DEPTH_MAX 16

/* Types of the compact protocol. */
enum thrift {
    THRIFT_TRUE = 1,
    THRIFT_FALSE,
    THRIFT_BYTE,
    THRIFT_I16,
    THRIFT_I32,
    THRIFT_I64,
    THRIFT_DOUBLE,
    THRIFT_BINARY,
    THRIFT_LIST,
    THRIFT_SET,
    THRIFT_MAP,
    THRIFT_STRUCT,
};

/* FileMetaData, by number of field. */
enum { FIELD_VERSION = 1, FIELD_SCHEMA, FIELD_ROWS, FIELD_GROUPS, FIELD_KEYS, FIELD_LAST = 7 };

/* Structures that places are in, and what their fields are; of fields that are not named here, up
 * to the last one known, nothing matters. */
enum kind { KIND_GROUP, KIND_COLUMN, KIND_META };
static const int last_known[] = {[KIND_GROUP] = 7, [KIND_COLUMN] = 9, [KIND_META] = 17};
enum role { ROLE_NONE, ROLE_PLACE, ROLE_ROWS, ROLE_COLUMNS, ROLE_META, ROLE_REFUSED };
static const struct {
    enum kind kind;
    int field;
    enum role role;
} roles[] = {
    {KIND_GROUP, 1, ROLE_COLUMNS},
    {KIND_GROUP, 3, ROLE_ROWS},
    {KIND_GROUP, 5, ROLE_PLACE},    /* file_offset */
    {KIND_GROUP, 7, ROLE_REFUSED},  /* ordinal: would have to be counted anew */
    {KIND_COLUMN, 1, ROLE_REFUSED}, /* file_path: the bytes are elsewhere */
    {KIND_COLUMN, 2, ROLE_PLACE},   /* file_offset */
    {KIND_COLUMN, 3, ROLE_META},
    {KIND_COLUMN, 4, ROLE_REFUSED}, /* offset_index_offset: that index names places, too */
    {KIND_COLUMN, 6, ROLE_REFUSED}, /* column_index_offset */
    {KIND_COLUMN, 8, ROLE_REFUSED}, /* encrypted */
    {KIND_COLUMN, 9, ROLE_REFUSED},
    {KIND_META, 9, ROLE_PLACE},  /* data_page_offset */
    {KIND_META, 10, ROLE_PLACE}, /* index_page_offset */
    {KIND_META, 11, ROLE_PLACE}, /* dictionary_page_offset */
    {KIND_META, 14, ROLE_PLACE}, /* bloom_filter_offset */
};

/* Reads on; with `out` it writes what it reads, places moved by `shift`. */
struct walk {
    const uint8_t *at, *end;
    const uint8_t *copied; /* up to here it stands in `out` */
    struct lh_buf *out;
    int64_t shift;
    int64_t body_end;
    int64_t rows;
    bool is_bad;
};

static uint8_t take_byte(struct walk *walk)
{
    if (walk->at >= walk->end) {
        walk->is_bad = true;
        return 0;
    }
    return *walk->at++;
}

static uint64_t take_varint(struct walk *walk)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = take_byte(walk);
        number |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80))
            return number;
    }
    walk->is_bad = true;
    return 0;
}

static int64_t take_int(struct walk *walk)
{
    uint64_t number = take_varint(walk);
    return (int64_t)(number >> 1) ^ -(int64_t)(number & 1);
}

static void skip_bytes(struct walk *walk, uint64_t count)
{
    if (count > (uint64_t)(walk->end - walk->at))
        walk->is_bad = true;
    else
        walk->at += count;
}

/* An element takes a byte at least, so a count that is not there ends with the bytes. */
static uint64_t take_list(struct walk *walk, uint8_t *ret_type)
{
    uint8_t head = take_byte(walk);
    uint64_t count = head >> 4;
    *ret_type = head & 15;
    if (count == 15)
        count = take_varint(walk);
    walk->is_bad |= count > (uint64_t)(walk->end - walk->at);
    return walk->is_bad ? 0 : count;
}

/* The next field's number, or 0 behind the last one. Numbers go up. */
static int take_field(struct walk *walk, int last, uint8_t *ret_type)
{
    uint8_t head = take_byte(walk);
    *ret_type = head & 15;
    if (walk->is_bad || head == 0)
        return 0;
    int64_t field = head >> 4 ? last + (head >> 4) : take_int(walk);
    walk->is_bad |= field <= last || field > INT16_MAX;
    return walk->is_bad ? 0 : (int)field;
}

static void skip_value(struct walk *walk, uint8_t type, int depth);

static void skip_elements(struct walk *walk, uint64_t count, uint8_t type, int depth)
{
    for (uint64_t i = 0; i < count && !walk->is_bad; i++) {
        if (type == THRIFT_TRUE || type == THRIFT_FALSE)
            (void)take_byte(walk); /* in a list it is its value */
        else
            skip_value(walk, type, depth + 1);
    }
}

static void skip_struct(struct walk *walk, int depth)
{
    uint8_t type;
    int field = 0;
    while ((field = take_field(walk, field, &type)) > 0)
        skip_value(walk, type, depth + 1);
}

static void skip_map(struct walk *walk, int depth)
{
    uint64_t count = take_varint(walk);
    uint8_t types = count ? take_byte(walk) : 0;
    for (uint64_t i = 0; i < count && !walk->is_bad; i++) {
        skip_elements(walk, 1, types >> 4, depth);
        skip_elements(walk, 1, types & 15, depth);
    }
}

static void skip_value(struct walk *walk, uint8_t type, int depth)
{
    uint8_t inner;
    if (depth > DEPTH_MAX) {
        walk->is_bad = true;
        return;
    }
    switch (type) {
    case THRIFT_TRUE:
    case THRIFT_FALSE:
        return; /* the head says it */
    case THRIFT_BYTE:
        (void)take_byte(walk);
        return;
    case THRIFT_I16:
    case THRIFT_I32:
    case THRIFT_I64:
        (void)take_varint(walk);
        return;
    case THRIFT_DOUBLE:
        skip_bytes(walk, sizeof(double));
        return;
    case THRIFT_BINARY:
        skip_bytes(walk, take_varint(walk));
        return;
    case THRIFT_LIST:
    case THRIFT_SET: {
        uint64_t count = take_list(walk, &inner);
        skip_elements(walk, count, inner, depth);
        return;
    }
    case THRIFT_MAP:
        skip_map(walk, depth);
        return;
    case THRIFT_STRUCT:
        skip_struct(walk, depth);
        return;
    default:
        walk->is_bad = true;
    }
}

/* --- places */

static void put_varint(struct lh_buf *buf, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        lh_buf_append_char(buf, (char)(uint8_t)(number | 0x80));
    lh_buf_append_char(buf, (char)(uint8_t)number);
}

static void put_int(struct lh_buf *buf, int64_t number)
{
    put_varint(buf, (uint64_t)number << 1 ^ (number < 0 ? UINT64_MAX : 0));
}

static void put_pending(struct walk *walk, const uint8_t *to)
{
    if (walk->out)
        lh_buf_append(walk->out, walk->copied, (size_t)(to - walk->copied));
}

/* 0 is no place: writers leave it where there is none. */
static void walk_place(struct walk *walk)
{
    const uint8_t *start = walk->at;
    int64_t place = take_int(walk);
    if (walk->is_bad || place == 0)
        return;
    if (place < (int64_t)PARQUET_MARK_BYTES || place >= walk->body_end) {
        walk->is_bad = true;
        return;
    }
    put_pending(walk, start);
    if (walk->out)
        put_int(walk->out, place + walk->shift);
    walk->copied = walk->at;
}

static enum role role_of(enum kind kind, int field)
{
    if (field > last_known[kind])
        return ROLE_REFUSED;
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (roles[i].kind == kind && roles[i].field == field)
            return roles[i].role;
    return ROLE_NONE;
}

static void walk_struct(struct walk *walk, enum kind kind);

static void walk_columns(struct walk *walk)
{
    uint8_t inner;
    uint64_t count = take_list(walk, &inner);
    walk->is_bad |= inner != THRIFT_STRUCT;
    for (uint64_t i = 0; i < count && !walk->is_bad; i++)
        walk_struct(walk, KIND_COLUMN);
}

static void walk_rows(struct walk *walk)
{
    int64_t rows = take_int(walk);
    walk->is_bad |= rows < 0 || rows > INT64_MAX - walk->rows;
    if (!walk->is_bad)
        walk->rows += rows;
}

static void walk_field(struct walk *walk, enum role role, uint8_t type)
{
    static const uint8_t types[] = {[ROLE_PLACE] = THRIFT_I64,
                                    [ROLE_ROWS] = THRIFT_I64,
                                    [ROLE_COLUMNS] = THRIFT_LIST,
                                    [ROLE_META] = THRIFT_STRUCT};
    if (role == ROLE_NONE) {
        skip_value(walk, type, 0);
        return;
    }
    if (role == ROLE_REFUSED || type != types[role]) {
        walk->is_bad = true;
        return;
    }
    if (role == ROLE_PLACE)
        walk_place(walk);
    else if (role == ROLE_ROWS)
        walk_rows(walk);
    else if (role == ROLE_COLUMNS)
        walk_columns(walk);
    else
        walk_struct(walk, KIND_META);
}

static void walk_struct(struct walk *walk, enum kind kind)
{
    uint8_t type;
    int field = 0;
    while ((field = take_field(walk, field, &type)) > 0 && !walk->is_bad)
        walk_field(walk, role_of(kind, field), type);
}

static void walk_groups(struct walk *walk, size_t count)
{
    for (size_t i = 0; i < count && !walk->is_bad; i++)
        walk_struct(walk, KIND_GROUP);
    put_pending(walk, walk->at);
}

static struct walk walk_of(struct lh_str bytes)
{
    const uint8_t *start = (const uint8_t *)bytes.data;
    return (struct walk){.at = start, .end = start + bytes.len, .copied = start};
}

/* --- whole footers */

size_t parquet_footer_len(const uint8_t *tail)
{
    if (memcmp(tail + (PARQUET_TAIL_BYTES - PARQUET_MARK_BYTES), PARQUET_MARK,
               PARQUET_MARK_BYTES) != 0)
        return 0;
    return (size_t)tail[0] | (size_t)tail[1] << 8 | (size_t)tail[2] << 16 | (size_t)tail[3] << 24;
}

static bool read_groups(struct parquet_footer *footer)
{
    uint8_t inner;
    struct walk walk = walk_of(footer->fields[FIELD_GROUPS]);
    footer->group_count = (size_t)take_list(&walk, &inner);
    walk.is_bad |= inner != THRIFT_STRUCT;
    footer->fields[FIELD_GROUPS] =
        (struct lh_str){(const char *)walk.at, (size_t)(walk.end - walk.at)};
    walk.body_end = footer->body_end;
    walk_groups(&walk, footer->group_count);
    return !walk.is_bad && walk.at == walk.end && walk.rows == footer->rows;
}

bool parquet_footer_read(struct lh_str bytes, int64_t body_end, struct parquet_footer *ret)
{
    struct walk walk = walk_of(bytes);
    struct parquet_footer footer = {.body_end = body_end};
    uint8_t type;
    int field = 0;
    while ((field = take_field(&walk, field, &type)) > 0) {
        if (field > FIELD_LAST) /* encrypted, or unheard of */
            return false;
        const uint8_t *start = walk.at;
        skip_value(&walk, type, 0);
        footer.types[field] = type;
        footer.fields[field] = (struct lh_str){(const char *)start, (size_t)(walk.at - start)};
    }
    if (walk.is_bad || walk.at != walk.end || footer.types[FIELD_SCHEMA] != THRIFT_LIST ||
        footer.types[FIELD_ROWS] != THRIFT_I64 || footer.types[FIELD_GROUPS] != THRIFT_LIST)
        return false;
    struct walk rows = walk_of(footer.fields[FIELD_ROWS]);
    footer.rows = take_int(&rows);
    if (!read_groups(&footer))
        return false;
    *ret = footer;
    return true;
}

bool parquet_footer_fits(const struct parquet_footer *a, const struct parquet_footer *b)
{
    for (int i = FIELD_VERSION; i <= FIELD_LAST; i++)
        if (i != FIELD_ROWS && i != FIELD_GROUPS &&
            (a->types[i] != b->types[i] || !lh_str_equal(a->fields[i], b->fields[i])))
            return false;
    return true;
}

static void put_groups(const struct parquet_footer *footers, size_t count, struct lh_buf *buf)
{
    size_t group_count = 0;
    int64_t shift = 0;
    for (size_t i = 0; i < count; i++)
        group_count += footers[i].group_count;
    lh_buf_append_char(buf, (char)(uint8_t)((group_count < 15 ? group_count << 4 : 0xF0) |
                                            (unsigned)THRIFT_STRUCT));
    if (group_count >= 15)
        put_varint(buf, group_count);
    for (size_t i = 0; i < count; i++) {
        struct walk walk = walk_of(footers[i].fields[FIELD_GROUPS]);
        walk.out = buf;
        walk.shift = shift;
        walk.body_end = footers[i].body_end;
        walk_groups(&walk, footers[i].group_count);
        shift += footers[i].body_end - (int64_t)PARQUET_MARK_BYTES;
    }
}

void parquet_footer_join(const struct parquet_footer *footers, size_t count, struct lh_buf *buf)
{
    size_t start = buf->len;
    uint64_t rows = 0;
    int last = 0;
    for (size_t i = 0; i < count; i++)
        rows += (uint64_t)footers[i].rows;
    for (int field = FIELD_VERSION; field <= FIELD_LAST; field++) {
        uint8_t type = footers[0].types[field];
        if (!type)
            continue;
        lh_buf_append_char(buf, (char)(uint8_t)((unsigned)(field - last) << 4 | type));
        last = field;
        if (field == FIELD_ROWS)
            put_int(buf, (int64_t)rows);
        else if (field == FIELD_GROUPS)
            put_groups(footers, count, buf);
        else
            lh_buf_append_str(buf, footers[0].fields[field]);
    }
    lh_buf_append_char(buf, 0);
    size_t len = buf->len - start;
    for (unsigned i = 0; i < 4; i++)
        lh_buf_append_char(buf, (char)(uint8_t)(len >> (8 * i)));
    lh_buf_append(buf, PARQUET_MARK, PARQUET_MARK_BYTES);
}
