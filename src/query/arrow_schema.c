/* Schemas: the tree of types as Arrow's FlatBuffers tell it. The numbers of slots and tags are
 * those of Schema.fbs and Message.fbs. */
#include "query/arrow_message.h"

#include <assert.h>

enum tag {
    TAG_NULL = 1,
    TAG_INT = 2,
    TAG_FLOAT = 3,
    TAG_BINARY = 4,
    TAG_UTF8 = 5,
    TAG_BOOL = 6,
    TAG_DECIMAL = 7,
    TAG_DATE = 8,
    TAG_TIME = 9,
    TAG_TIMESTAMP = 10,
    TAG_INTERVAL = 11,
    TAG_LIST = 12,
    TAG_STRUCT = 13,
    TAG_UNION = 14,
    TAG_FIXED_BINARY = 15,
    TAG_FIXED_LIST = 16,
    TAG_MAP = 17,
};

enum { UNIT_SECOND, UNIT_MILLI, UNIT_MICRO, UNIT_NANO };

struct type {
    uint8_t tag;
    uint8_t field_count;
    struct flat_field fields[3];
};

/* {slot, size, value}; what depends on the type's parameters is added in write_type. */
#define INT(bits, is_signed)                                                                       \
    {                                                                                              \
        TAG_INT, 2,                                                                                \
        {                                                                                          \
            {0, 4, bits},                                                                          \
            {                                                                                      \
                1, 1, is_signed                                                                    \
            }                                                                                      \
        }                                                                                          \
    }
#define STAMP(unit)                                                                                \
    {                                                                                              \
        TAG_TIMESTAMP, 1,                                                                          \
        {                                                                                          \
            {                                                                                      \
                0, 2, unit                                                                         \
            }                                                                                      \
        }                                                                                          \
    }

static const struct type types[ENGINE_TYPE_COUNT] = {
    [ENGINE_NULL] = {TAG_NULL, 0, {{0}}},
    [ENGINE_BOOL] = {TAG_BOOL, 0, {{0}}},
    [ENGINE_INT8] = INT(8, 1),
    [ENGINE_INT16] = INT(16, 1),
    [ENGINE_INT32] = INT(32, 1),
    [ENGINE_INT64] = INT(64, 1),
    [ENGINE_INT128] = {TAG_DECIMAL, 3, {{0, 4, 39}, {1, 4, 0}, {2, 4, 256}}},
    [ENGINE_UINT8] = INT(8, 0),
    [ENGINE_UINT16] = INT(16, 0),
    [ENGINE_UINT32] = INT(32, 0),
    [ENGINE_UINT64] = INT(64, 0),
    [ENGINE_UINT128] = {TAG_DECIMAL, 3, {{0, 4, 39}, {1, 4, 0}, {2, 4, 256}}},
    [ENGINE_FLOAT] = {TAG_FLOAT, 1, {{0, 2, 1}}},
    [ENGINE_DOUBLE] = {TAG_FLOAT, 1, {{0, 2, 2}}},
    [ENGINE_DECIMAL] = {TAG_DECIMAL, 3, {{0, 4, 0}, {1, 4, 0}, {2, 4, 128}}},
    [ENGINE_DATE] = {TAG_DATE, 1, {{0, 2, 0}}},
    [ENGINE_TIME] = {TAG_TIME, 2, {{0, 2, UNIT_MICRO}, {1, 4, 64}}},
    [ENGINE_TIME_NS] = {TAG_TIME, 2, {{0, 2, UNIT_NANO}, {1, 4, 64}}},
    [ENGINE_TIME_TZ] = {TAG_UTF8, 0, {{0}}},
    [ENGINE_TIMESTAMP] = STAMP(UNIT_MICRO),
    [ENGINE_TIMESTAMP_S] = STAMP(UNIT_SECOND),
    [ENGINE_TIMESTAMP_MS] = STAMP(UNIT_MILLI),
    [ENGINE_TIMESTAMP_NS] = STAMP(UNIT_NANO),
    [ENGINE_TIMESTAMP_TZ] = {TAG_TIMESTAMP, 2, {{0, 2, UNIT_MICRO}, FLAT_POINTER(1)}},
    [ENGINE_INTERVAL] = {TAG_INTERVAL, 1, {{0, 2, 2}}},
    [ENGINE_UUID] = {TAG_FIXED_BINARY, 1, {{0, 4, 16}}},
    [ENGINE_TEXT] = {TAG_UTF8, 0, {{0}}},
    [ENGINE_BLOB] = {TAG_BINARY, 0, {{0}}},
    [ENGINE_BIT] = {TAG_UTF8, 0, {{0}}},
    [ENGINE_BIGNUM] = {TAG_UTF8, 0, {{0}}},
    [ENGINE_ENUM] = {TAG_UTF8, 0, {{0}}},
    [ENGINE_LIST] = {TAG_LIST, 0, {{0}}},
    [ENGINE_ARRAY] = {TAG_FIXED_LIST, 1, {{0, 4, 0}}},
    [ENGINE_MAP] = {TAG_MAP, 1, {{0, 1, 0}}},
    [ENGINE_STRUCT] = {TAG_STRUCT, 0, {{0}}},
    [ENGINE_UNION] = {TAG_UNION, 2, {{0, 2, 0}, FLAT_POINTER(1)}},
};

struct writer {
    struct flat flat;
    struct lh_arena *arena;
    struct arrow_dictionaries *dictionaries;
};

/* What a field is called and may be. */
struct field {
    struct lh_str name;
    const struct engine_type_info *info; /* NULL: the entries of a map */
    const struct engine_type_info *map;  /* whose entries */
    struct lh_str sql_type;              /* of a column; absent below */
    bool is_required;
};

static size_t write_type_ids(struct writer *writer, size_t count)
{
    size_t ids = flat_vector(&writer->flat, count, 4, 4);
    for (size_t i = 0; i < count; i++) {
        int32_t id = (int32_t)i;
        flat_put(&writer->flat, ids + 4 + 4 * i, &id, sizeof id);
    }
    return ids;
}

static size_t write_type(struct writer *writer, const struct engine_type_info *info)
{
    struct type type = types[info->type];
    size_t places[3];
    if (info->type == ENGINE_DECIMAL) {
        type.fields[0].value = info->width;
        type.fields[1].value = info->scale;
    } else if (info->type == ENGINE_ARRAY) {
        type.fields[0].value = info->array_size;
    }
    size_t at = flat_table(&writer->flat, type.fields, type.field_count, places);
    if (info->type == ENGINE_TIMESTAMP_TZ)
        flat_point(&writer->flat, places[1], flat_string(&writer->flat, lh_lit("UTC")));
    else if (info->type == ENGINE_UNION)
        flat_point(&writer->flat, places[1], write_type_ids(writer, info->child_count));
    return at;
}

static size_t write_dictionary(struct writer *writer, const struct engine_type_info *info)
{
    struct arrow_dictionaries *list = writer->dictionaries;
    if (list->count == list->capacity) {
        const struct engine_type_info **wider =
            lh_arena_array(writer->arena, list->capacity * 2 + 8, sizeof(*wider));
        if (list->count)
            memcpy(wider, list->items, list->count * sizeof(*wider));
        list->items = wider;
        list->capacity = list->capacity * 2 + 8;
    }
    const struct flat_field fields[] = {{0, 8, list->count}, FLAT_POINTER(1)};
    list->items[list->count++] = info;
    size_t places[2];
    size_t at = flat_table(&writer->flat, fields, 2, places);
    struct type index = types[info->storage];
    flat_point(&writer->flat, places[1],
               flat_table(&writer->flat, index.fields, index.field_count, NULL));
    return at;
}

static void write_pair(struct writer *writer, size_t place, struct lh_str key, struct lh_str value)
{
    static const struct flat_field fields[] = {FLAT_POINTER(0), FLAT_POINTER(1)};
    size_t places[2];
    flat_point(&writer->flat, place, flat_table(&writer->flat, fields, 2, places));
    flat_point(&writer->flat, places[0], flat_string(&writer->flat, key));
    flat_point(&writer->flat, places[1], flat_string(&writer->flat, value));
}

/* The canonical extension types that other readers know. */
static struct lh_str extension_of(const struct engine_type_info *info)
{
    if (info && info->type == ENGINE_UUID)
        return lh_lit("arrow.uuid");
    if (info && info->type == ENGINE_TEXT && lh_str_equal_nocase(info->alias, lh_lit("JSON")))
        return lh_lit("arrow.json");
    return (struct lh_str){0};
}

static void write_metadata(struct writer *writer, size_t place, const struct field *field)
{
    struct lh_str extension = extension_of(field->info);
    size_t count = (extension.len ? 2U : 0U) + (field->sql_type.len ? 1U : 0U);
    size_t list = flat_vector(&writer->flat, count, 4, 4), at = list + 4;
    flat_point(&writer->flat, place, list);
    if (extension.len) {
        write_pair(writer, at, lh_lit("ARROW:extension:name"), extension);
        write_pair(writer, at + 4, lh_lit("ARROW:extension:metadata"), lh_lit(""));
        at += 8;
    }
    if (field->sql_type.len)
        write_pair(writer, at, lh_lit("sql_type"), field->sql_type);
}

static size_t write_field(struct writer *writer, const struct field *field);

/* Unnamed members are called by their place, from 1. */
static struct field child_of(struct writer *writer, const struct engine_type_info *info, size_t i)
{
    struct field child = {.name = lh_lit("item"), .info = info->children[i]};
    if (info->type == ENGINE_STRUCT || info->type == ENGINE_UNION)
        child.name = info->child_names[i].len ? info->child_names[i]
                                              : lh_arena_printf(writer->arena, "%zu", i + 1);
    return child;
}

static void write_children(struct writer *writer, size_t place, const struct field *field)
{
    const struct engine_type_info *info = field->info ? field->info : field->map;
    bool is_map = field->info && field->info->type == ENGINE_MAP;
    assert(info);
    size_t count = is_map ? 1 : info->child_count;
    size_t list = flat_vector(&writer->flat, count, 4, 4);
    flat_point(&writer->flat, place, list);
    for (size_t i = 0; i < count; i++) {
        struct field child;
        if (is_map)
            child = (struct field){.name = lh_lit("entries"), .map = info, .is_required = true};
        else if (field->info)
            child = child_of(writer, info, i);
        else
            child = (struct field){.name = i ? lh_lit("value") : lh_lit("key"),
                                   .info = info->children[i],
                                   .is_required = i == 0};
        flat_point(&writer->flat, list + 4 + 4 * i, write_field(writer, &child));
    }
}

static size_t write_field(struct writer *writer, const struct field *field)
{
    const struct engine_type_info *info = field->info;
    bool is_enum = info && info->type == ENGINE_ENUM;
    const struct flat_field fields[] = {
        FLAT_POINTER(0),
        {1, 1, !field->is_required},
        {2, 1, info ? types[info->type].tag : TAG_STRUCT},
        FLAT_POINTER(3),
        FLAT_POINTER(5),
        FLAT_POINTER(6),
        FLAT_POINTER(4), /* only of an ENUM */
    };
    size_t places[7];
    size_t at = flat_table(&writer->flat, fields, is_enum ? 7 : 6, places);
    flat_point(&writer->flat, places[0], flat_string(&writer->flat, field->name));
    flat_point(&writer->flat, places[3],
               info ? write_type(writer, info) : flat_table(&writer->flat, NULL, 0, NULL));
    write_children(writer, places[4], field);
    write_metadata(writer, places[5], field);
    if (is_enum)
        flat_point(&writer->flat, places[6], write_dictionary(writer, info));
    return at;
}

void arrow_write_schema(const struct engine_column *columns, size_t count, struct lh_arena *arena,
                        struct arrow_dictionaries *ret, struct lh_buf *buf)
{
    static const struct flat_field fields[] = {{0, 2, 0}, FLAT_POINTER(1)};
    const struct lh_str *names = engine_distinct_names(columns, count, arena);
    struct writer writer = {.arena = arena, .dictionaries = ret};
    size_t places[2];
    struct lh_buf type;
    *ret = (struct arrow_dictionaries){0};
    lh_buf_init(&type, (size_t)1 << 20);
    size_t message = arrow_message_begin(&writer.flat, buf, ARROW_SCHEMA, 0);
    flat_point(&writer.flat, message, flat_table(&writer.flat, fields, 2, places));
    size_t list = flat_vector(&writer.flat, count, 4, 4);
    flat_point(&writer.flat, places[1], list);
    for (size_t i = 0; i < count; i++) {
        lh_buf_clear(&type);
        engine_type_text(columns[i].info, &type);
        const struct field field = {
            .name = names[i], .info = columns[i].info, .sql_type = lh_buf_str(&type)};
        flat_point(&writer.flat, list + 4 + 4 * i, write_field(&writer, &field));
    }
    arrow_message_end(&writer.flat);
    lh_buf_release(&type);
}

/* --- messages */

/* What says that a length follows; older streams began with the length itself. */
static const uint32_t continuation = 0xFFFFFFFF;

size_t arrow_message_begin(struct flat *flat, struct lh_buf *buf, enum arrow_header header,
                           int64_t body_bytes)
{
    const struct flat_field fields[] = {
        {0, 2, 4}, /* version 5 */
        {1, 1, header},
        FLAT_POINTER(2),
        {3, 8, (uint64_t)body_bytes},
    };
    const uint32_t length = 0;
    size_t places[4];
    lh_buf_append(buf, &continuation, sizeof continuation);
    lh_buf_append(buf, &length, sizeof length);
    flat_init(flat, buf);
    flat_root(flat, flat_table(flat, fields, 4, places));
    return places[2];
}

void arrow_message_end(struct flat *flat)
{
    struct lh_buf *buf = flat->buf;
    while ((buf->len - flat->start + 8) % ARROW_ALIGNMENT && !buf->is_over)
        lh_buf_append_char(buf, '\0');
    uint32_t length = (uint32_t)(buf->len - flat->start);
    if (!buf->is_over)
        memcpy(buf->data + flat->start - 4, &length, sizeof length);
}

void arrow_write_end(struct lh_buf *buf)
{
    const uint32_t nothing = 0;
    lh_buf_append(buf, &continuation, sizeof continuation);
    lh_buf_append(buf, &nothing, sizeof nothing);
}
