/* What the engine returns: typed columns of values, borrowed from it one chunk at a time.
 *
 * A vector's data is an array of its storage type; a bit of `validity` that is 0 means NULL (the
 * data there is undefined). Nested types have children; their rows are addressed as the accessor of
 * each type says. Everything is valid until the next chunk is asked for or the cursor is closed.
 * Knows nothing of who reads.
 */
#ifndef LAKEHOUSE_ENGINE_VECTOR_H
#define LAKEHOUSE_ENGINE_VECTOR_H

#include <assert.h>

#include "base/buf.h"

/* The storage of one value stands behind each type. Types that the engine has and this list has not
 * (GEOMETRY, VARIANT, …) arrive as ENGINE_TEXT. */
enum engine_type {
    ENGINE_NULL, /* the type of a bare NULL: every value is NULL */
    ENGINE_BOOL, /* uint8_t, 0 or 1 */
    ENGINE_INT8,
    ENGINE_INT16,
    ENGINE_INT32,
    ENGINE_INT64,
    ENGINE_INT128, /* struct engine_int128 */
    ENGINE_UINT8,
    ENGINE_UINT16,
    ENGINE_UINT32,
    ENGINE_UINT64,
    ENGINE_UINT128, /* struct engine_uint128 */
    ENGINE_FLOAT,
    ENGINE_DOUBLE,
    ENGINE_DECIMAL,      /* info->storage: INT16, INT32, INT64 or INT128, times 10^-scale */
    ENGINE_DATE,         /* int32_t days since 1970-01-01; INT32_MAX, -INT32_MAX: infinities */
    ENGINE_TIME,         /* int64_t microseconds since midnight */
    ENGINE_TIME_NS,      /* int64_t nanoseconds since midnight */
    ENGINE_TIME_TZ,      /* uint64_t: see engine_time_tz_split */
    ENGINE_TIMESTAMP,    /* int64_t microseconds since 1970; INT64_MAX, -INT64_MAX: infinities (all
                            four) */
    ENGINE_TIMESTAMP_S,  /* int64_t seconds */
    ENGINE_TIMESTAMP_MS, /* int64_t milliseconds */
    ENGINE_TIMESTAMP_NS, /* int64_t nanoseconds */
    ENGINE_TIMESTAMP_TZ, /* int64_t microseconds since 1970 in UTC */
    ENGINE_INTERVAL,     /* struct engine_interval */
    ENGINE_UUID,         /* struct engine_int128, the top bit flipped: see engine_uuid_text */
    ENGINE_TEXT,         /* engine_vector_str: UTF-8 */
    ENGINE_BLOB,         /* engine_vector_str: bytes */
    ENGINE_BIT,          /* engine_vector_str: see engine_bit_text */
    ENGINE_BIGNUM,       /* engine_vector_str: see engine_bignum_text */
    ENGINE_ENUM,         /* info->storage: UINT8, UINT16 or UINT32: index into info->labels */
    ENGINE_LIST,         /* struct engine_list_entry into children[0] */
    ENGINE_ARRAY,        /* no data: row r is children[0] from r * info->array_size on */
    ENGINE_MAP,    /* struct engine_list_entry into children[0] (keys) and children[1] (values) */
    ENGINE_STRUCT, /* no data: row r is row r of each child, unless it is NULL here */
    ENGINE_UNION,  /* uint8_t: the index of the child whose row r is the value */
    ENGINE_TYPE_COUNT
};

struct engine_int128 {
    uint64_t lower;
    int64_t upper; /* the value is upper * 2^64 + lower */
};
struct engine_uint128 {
    uint64_t lower;
    uint64_t upper;
};
struct engine_interval {
    int32_t months;
    int32_t days;
    int64_t micros;
};
struct engine_list_entry {
    uint64_t offset;
    uint64_t length;
};
/* Text of up to 12 bytes stands inside; of longer text the first four, then a pointer to it. (No
 * union: its alignment would move what the library has at byte 4 to byte 8.) */
struct engine_string {
    uint32_t length;
    char bytes[12];
};

struct engine_type_info {
    enum engine_type type;
    enum engine_type storage;    /* DECIMAL, ENUM; otherwise the type itself */
    uint8_t width;               /* DECIMAL: digits */
    uint8_t scale;               /* DECIMAL: digits behind the point */
    uint64_t array_size;         /* ARRAY */
    struct lh_str alias;         /* the name of a derived type ("JSON" over TEXT), absent if none */
    const struct lh_str *labels; /* ENUM */
    size_t label_count;
    const struct engine_type_info *const
        *children;                    /* LIST, ARRAY: item; MAP: key, value; STRUCT, UNION */
    const struct lh_str *child_names; /* STRUCT, UNION */
    size_t child_count;
};

struct engine_column {
    struct lh_str name; /* as the statement calls it; need not be unique */
    const struct engine_type_info *info;
    bool is_cast; /* its type is none of those above: it was cast to ENGINE_TEXT */
};

struct engine_vector {
    enum engine_type type;    /* info->type, at hand */
    const void *data;         /* NULL for NULL, ARRAY and STRUCT */
    const uint64_t *validity; /* NULL: no value is NULL */
    const struct engine_type_info *info;
    const struct engine_vector *children; /* child_count of them, as info->children */
    size_t child_count;
};

struct engine_chunk {
    size_t row_count; /* at most ENGINE_CHUNK_ROWS */
    size_t column_count;
    const struct engine_vector *columns;
};

#define ENGINE_CHUNK_ROWS 2048

static inline bool engine_vector_is_null(const struct engine_vector *vector, size_t row)
{
    return vector->type == ENGINE_NULL ||
           (vector->validity && !(vector->validity[row / 64] >> (row % 64) & 1));
}

/* TEXT, BLOB, BIT, BIGNUM. Borrowed from the chunk. */
static inline struct lh_str engine_vector_str(const struct engine_vector *vector, size_t row)
{
    const struct engine_string *string = (const struct engine_string *)vector->data + row;
    const char *data = string->bytes;
    if (string->length > sizeof string->bytes)
        memcpy(&data, string->bytes + 4, sizeof data);
    return (struct lh_str){data, string->length};
}

/* LIST, MAP. */
static inline struct engine_list_entry engine_vector_list(const struct engine_vector *vector,
                                                          size_t row)
{
    return ((const struct engine_list_entry *)vector->data)[row];
}

static inline uint8_t engine_vector_union_tag(const struct engine_vector *vector, size_t row)
{
    return ((const uint8_t *)vector->data)[row];
}

static inline size_t engine_vector_enum_index(const struct engine_vector *vector, size_t row)
{
    switch (vector->info->storage) {
    case ENGINE_UINT8:
        return ((const uint8_t *)vector->data)[row];
    case ENGINE_UINT16:
        return ((const uint16_t *)vector->data)[row];
    default:
        return ((const uint32_t *)vector->data)[row];
    }
}

static inline struct lh_str engine_vector_enum_label(const struct engine_vector *vector, size_t row)
{
    return vector->info->labels[engine_vector_enum_index(vector, row)];
}

/* The unscaled value of a DECIMAL, whatever its storage. */
struct engine_int128 engine_vector_decimal(const struct engine_vector *vector, size_t row);

/* Microseconds since midnight there, and the seconds that its clock is ahead of UTC. */
static inline void engine_time_tz_split(uint64_t bits, int64_t *ret_micros, int32_t *ret_offset)
{
    *ret_micros = (int64_t)(bits >> 24);
    *ret_offset = 57599 - (int32_t)(bits & 0xFFFFFF); /* stored so that the bits order by instant */
}

/* Canonical text of one value of a scalar type, as a cast to VARCHAR writes it; the value is not
 * NULL. ENGINE_LIST and later are their caller's affair: they are walked. Blobs come out as \xNN
 * escapes. */
void engine_value_text(const struct engine_vector *vector, size_t row, struct lh_buf *buf);
/* The parts of the above that encoders need alone. */
void engine_int128_text(struct engine_int128 value, struct lh_buf *buf);
void engine_uint128_text(struct engine_uint128 value, struct lh_buf *buf);
void engine_decimal_text(struct engine_int128 value, unsigned scale, struct lh_buf *buf);
void engine_uuid_text(struct engine_int128 value, char ret[36]);
void engine_bit_text(struct lh_str bits, struct lh_buf *buf);      /* "0101" */
void engine_bignum_text(struct lh_str bignum, struct lh_buf *buf); /* decimal digits */

/* The type's text, as DESCRIBE shows it: DECIMAL(18,3), STRUCT(a INTEGER, "b c" VARCHAR[]), MAP(…,
 * …). */
void engine_type_text(const struct engine_type_info *info, struct lh_buf *buf);

bool engine_type_equal(const struct engine_type_info *a, const struct engine_type_info *b);

#endif
