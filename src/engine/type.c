/* Types and vectors of the library as the ones of vector.h. */
#include "engine/internal.h"

struct type_row {
    duckdb_type theirs;
    enum engine_type ours;
    const char *text;
};

/* One row per type that carries no more than its name, or that is told apart below. */
static const struct type_row types[] = {
    {DUCKDB_TYPE_SQLNULL, ENGINE_NULL, "\"NULL\""},
    {DUCKDB_TYPE_BOOLEAN, ENGINE_BOOL, "BOOLEAN"},
    {DUCKDB_TYPE_TINYINT, ENGINE_INT8, "TINYINT"},
    {DUCKDB_TYPE_SMALLINT, ENGINE_INT16, "SMALLINT"},
    {DUCKDB_TYPE_INTEGER, ENGINE_INT32, "INTEGER"},
    {DUCKDB_TYPE_BIGINT, ENGINE_INT64, "BIGINT"},
    {DUCKDB_TYPE_HUGEINT, ENGINE_INT128, "HUGEINT"},
    {DUCKDB_TYPE_UTINYINT, ENGINE_UINT8, "UTINYINT"},
    {DUCKDB_TYPE_USMALLINT, ENGINE_UINT16, "USMALLINT"},
    {DUCKDB_TYPE_UINTEGER, ENGINE_UINT32, "UINTEGER"},
    {DUCKDB_TYPE_UBIGINT, ENGINE_UINT64, "UBIGINT"},
    {DUCKDB_TYPE_UHUGEINT, ENGINE_UINT128, "UHUGEINT"},
    {DUCKDB_TYPE_FLOAT, ENGINE_FLOAT, "FLOAT"},
    {DUCKDB_TYPE_DOUBLE, ENGINE_DOUBLE, "DOUBLE"},
    {DUCKDB_TYPE_DECIMAL, ENGINE_DECIMAL, "DECIMAL"},
    {DUCKDB_TYPE_DATE, ENGINE_DATE, "DATE"},
    {DUCKDB_TYPE_TIME, ENGINE_TIME, "TIME"},
    {DUCKDB_TYPE_TIME_NS, ENGINE_TIME_NS, "TIME_NS"},
    {DUCKDB_TYPE_TIME_TZ, ENGINE_TIME_TZ, "TIME WITH TIME ZONE"},
    {DUCKDB_TYPE_TIMESTAMP, ENGINE_TIMESTAMP, "TIMESTAMP"},
    {DUCKDB_TYPE_TIMESTAMP_S, ENGINE_TIMESTAMP_S, "TIMESTAMP_S"},
    {DUCKDB_TYPE_TIMESTAMP_MS, ENGINE_TIMESTAMP_MS, "TIMESTAMP_MS"},
    {DUCKDB_TYPE_TIMESTAMP_NS, ENGINE_TIMESTAMP_NS, "TIMESTAMP_NS"},
    {DUCKDB_TYPE_TIMESTAMP_TZ, ENGINE_TIMESTAMP_TZ, "TIMESTAMP WITH TIME ZONE"},
    {DUCKDB_TYPE_INTERVAL, ENGINE_INTERVAL, "INTERVAL"},
    {DUCKDB_TYPE_UUID, ENGINE_UUID, "UUID"},
    {DUCKDB_TYPE_VARCHAR, ENGINE_TEXT, "VARCHAR"},
    {DUCKDB_TYPE_BLOB, ENGINE_BLOB, "BLOB"},
    {DUCKDB_TYPE_BIT, ENGINE_BIT, "BIT"},
    {DUCKDB_TYPE_BIGNUM, ENGINE_BIGNUM, "BIGNUM"},
    {DUCKDB_TYPE_ENUM, ENGINE_ENUM, "ENUM"},
    {DUCKDB_TYPE_LIST, ENGINE_LIST, "LIST"},
    {DUCKDB_TYPE_ARRAY, ENGINE_ARRAY, "ARRAY"},
    {DUCKDB_TYPE_MAP, ENGINE_MAP, "MAP"},
    {DUCKDB_TYPE_STRUCT, ENGINE_STRUCT, "STRUCT"},
    {DUCKDB_TYPE_UNION, ENGINE_UNION, "UNION"},
};

static const struct type_row *row_of_theirs(duckdb_type theirs)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].theirs == theirs)
            return &types[i];
    return NULL;
}

static const struct type_row *row_of_ours(enum engine_type ours)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].ours == ours)
            return &types[i];
    return NULL;
}

/* --- reading */

bool type_is(const struct engine_type_info *info, duckdb_type type)
{
    const struct type_row *row = row_of_theirs(type);
    return row && row->ours == info->type && info->child_count == 0 &&
           info->type != ENGINE_DECIMAL && info->type != ENGINE_ENUM && !info->alias.len;
}

bool type_fits(const struct engine_type_info *info, duckdb_logical_type type)
{
    const struct type_row *row = row_of_theirs(duckdb_get_type_id(type));
    if (!row || row->ours != info->type || info->child_count > 0)
        return false;
    if (info->type == ENGINE_DECIMAL)
        return duckdb_decimal_width(type) == info->width &&
               duckdb_decimal_scale(type) == info->scale;
    return info->type != ENGINE_ENUM || duckdb_enum_dictionary_size(type) == info->label_count;
}

static struct lh_str take_text(struct lh_arena *arena, char *text)
{
    struct lh_str copy = text ? lh_arena_str(arena, lh_str_of(text)) : (struct lh_str){0};
    duckdb_free(text);
    return copy;
}

static void make_children(struct engine_type_info *info, struct lh_arena *arena, size_t count,
                          const struct engine_type_info ***ret_children, struct lh_str **ret_names)
{
    *ret_children = lh_arena_array(arena, count ? count : 1, sizeof **ret_children);
    info->children = *ret_children;
    info->child_count = count;
    if (ret_names) {
        *ret_names = lh_arena_array(arena, count ? count : 1, sizeof **ret_names);
        info->child_names = *ret_names;
    }
}

static const struct engine_type_info *take_type(duckdb_logical_type type, struct lh_arena *arena,
                                                bool *ret_unknown)
{
    const struct engine_type_info *info = type_read(type, arena, ret_unknown);
    duckdb_destroy_logical_type(&type);
    return info;
}

static void read_enum(duckdb_logical_type type, struct lh_arena *arena,
                      struct engine_type_info *info)
{
    size_t count = duckdb_enum_dictionary_size(type);
    struct lh_str *labels = lh_arena_array(arena, count ? count : 1, sizeof *labels);
    for (size_t i = 0; i < count; i++)
        labels[i] = take_text(arena, duckdb_enum_dictionary_value(type, i));
    info->labels = labels;
    info->label_count = count;
    info->storage = row_of_theirs(duckdb_enum_internal_type(type))->ours;
}

static void read_members(duckdb_logical_type type, struct lh_arena *arena,
                         struct engine_type_info *info, bool *ret_unknown)
{
    bool is_union = info->type == ENGINE_UNION;
    size_t count =
        is_union ? duckdb_union_type_member_count(type) : duckdb_struct_type_child_count(type);
    const struct engine_type_info **children;
    struct lh_str *names;
    make_children(info, arena, count, &children, &names);
    for (size_t i = 0; i < count; i++) {
        names[i] = take_text(arena, is_union ? duckdb_union_type_member_name(type, i)
                                             : duckdb_struct_type_child_name(type, i));
        children[i] = take_type(is_union ? duckdb_union_type_member_type(type, i)
                                         : duckdb_struct_type_child_type(type, i),
                                arena, ret_unknown);
    }
}

static void read_nested(duckdb_logical_type type, struct lh_arena *arena,
                        struct engine_type_info *info, bool *ret_unknown)
{
    const struct engine_type_info **children;
    switch (info->type) {
    case ENGINE_LIST:
        make_children(info, arena, 1, &children, NULL);
        children[0] = take_type(duckdb_list_type_child_type(type), arena, ret_unknown);
        break;
    case ENGINE_ARRAY:
        make_children(info, arena, 1, &children, NULL);
        children[0] = take_type(duckdb_array_type_child_type(type), arena, ret_unknown);
        info->array_size = duckdb_array_type_array_size(type);
        break;
    case ENGINE_MAP:
        make_children(info, arena, 2, &children, NULL);
        children[0] = take_type(duckdb_map_type_key_type(type), arena, ret_unknown);
        children[1] = take_type(duckdb_map_type_value_type(type), arena, ret_unknown);
        break;
    case ENGINE_STRUCT:
    case ENGINE_UNION:
        read_members(type, arena, info, ret_unknown);
        break;
    default:
        break;
    }
}

const struct engine_type_info *type_read(duckdb_logical_type type, struct lh_arena *arena,
                                         bool *ret_unknown)
{
    struct engine_type_info *info = lh_arena_alloc(arena, sizeof *info);
    const struct type_row *row = row_of_theirs(duckdb_get_type_id(type));
    info->alias = take_text(arena, duckdb_logical_type_get_alias(type));
    if (!row) {
        *ret_unknown = true;
        info->type = info->storage = ENGINE_TEXT;
        return info;
    }
    info->type = info->storage = row->ours;
    if (row->ours == ENGINE_DECIMAL) {
        info->width = duckdb_decimal_width(type);
        info->scale = duckdb_decimal_scale(type);
        info->storage = row_of_theirs(duckdb_decimal_internal_type(type))->ours;
    } else if (row->ours == ENGINE_ENUM) {
        read_enum(type, arena, info);
    } else {
        read_nested(type, arena, info, ret_unknown);
    }
    return info;
}

duckdb_logical_type type_make(enum engine_type type, bool is_list)
{
    duckdb_logical_type scalar = duckdb_create_logical_type(row_of_ours(type)->theirs);
    if (!is_list)
        return scalar;
    duckdb_logical_type list = duckdb_create_list_type(scalar);
    duckdb_destroy_logical_type(&scalar);
    return list;
}

/* --- vectors */

static void prepare_vector(struct lh_arena *arena, const struct engine_type_info *info,
                           struct engine_vector *vector)
{
    struct engine_vector *children = NULL;
    if (info->child_count)
        children = lh_arena_array(arena, info->child_count, sizeof *children);
    for (size_t i = 0; i < info->child_count; i++)
        prepare_vector(arena, info->children[i], &children[i]);
    *vector = (struct engine_vector){
        .type = info->type, .info = info, .children = children, .child_count = info->child_count};
}

void shape_vectors(struct engine_shape *shape)
{
    shape->vectors = lh_arena_array(shape->arena, shape->column_count ? shape->column_count : 1,
                                    sizeof *shape->vectors);
    for (size_t i = 0; i < shape->column_count; i++)
        prepare_vector(shape->arena, shape->columns[i].info, &shape->vectors[i]);
}

void shape_fill(struct engine_vector *vector, duckdb_vector source)
{
    /* The children are ours, made by prepare_vector; only readers see them as const. */
    struct engine_vector *children = (struct engine_vector *)vector->children;
    vector->validity = duckdb_vector_get_validity(source);
    switch (vector->type) {
    case ENGINE_LIST:
        vector->data = duckdb_vector_get_data(source);
        shape_fill(&children[0], duckdb_list_vector_get_child(source));
        break;
    case ENGINE_MAP:
        vector->data = duckdb_vector_get_data(source);
        source = duckdb_list_vector_get_child(source);
        shape_fill(&children[0], duckdb_struct_vector_get_child(source, 0));
        shape_fill(&children[1], duckdb_struct_vector_get_child(source, 1));
        break;
    case ENGINE_ARRAY:
        shape_fill(&children[0], duckdb_array_vector_get_child(source));
        break;
    case ENGINE_STRUCT:
        for (size_t i = 0; i < vector->child_count; i++)
            shape_fill(&children[i], duckdb_struct_vector_get_child(source, i));
        break;
    case ENGINE_UNION: /* a struct whose first member is the tag */
        vector->data = duckdb_vector_get_data(duckdb_struct_vector_get_child(source, 0));
        for (size_t i = 0; i < vector->child_count; i++)
            shape_fill(&children[i], duckdb_struct_vector_get_child(source, i + 1));
        break;
    default:
        vector->data = duckdb_vector_get_data(source);
        break;
    }
}

/* --- text
 * -----------------------------------------------------------------------------------------------
 */

static bool is_plain_name(struct lh_str name)
{
    char lower[64];
    if (!name.len || name.len > sizeof lower)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool is_upper = c >= 'A' && c <= 'Z';
        if (!(c == '_' || is_upper || (c >= 'a' && c <= 'z') || (i && c >= '0' && c <= '9')))
            return false;
        lower[i] = is_upper ? (char)(c - 'A' + 'a') : c;
    }
    return !keyword_is((struct lh_str){lower, name.len});
}

static void append_member(const struct engine_type_info *info, size_t i, struct lh_buf *buf)
{
    if (i)
        lh_buf_append(buf, ", ", 2);
    if (is_plain_name(info->child_names[i]))
        lh_buf_append_str(buf, info->child_names[i]);
    else
        engine_quote_ident(buf, info->child_names[i]);
    lh_buf_append_char(buf, ' ');
    engine_type_text(info->children[i], buf);
}

static void append_enum(const struct engine_type_info *info, struct lh_buf *buf)
{
    lh_buf_append(buf, "ENUM(", 5);
    for (size_t i = 0; i < info->label_count; i++) {
        if (i)
            lh_buf_append(buf, ", ", 2);
        engine_quote_literal(buf, info->labels[i]);
    }
    lh_buf_append_char(buf, ')');
}

void engine_type_text(const struct engine_type_info *info, struct lh_buf *buf)
{
    if (info->alias.len) {
        lh_buf_append_str(buf, info->alias);
        return;
    }
    switch (info->type) {
    case ENGINE_DECIMAL:
        lh_buf_printf(buf, "DECIMAL(%u,%u)", info->width, info->scale);
        break;
    case ENGINE_ENUM:
        append_enum(info, buf);
        break;
    case ENGINE_LIST:
        engine_type_text(info->children[0], buf);
        lh_buf_append(buf, "[]", 2);
        break;
    case ENGINE_ARRAY:
        engine_type_text(info->children[0], buf);
        lh_buf_printf(buf, "[%llu]", (unsigned long long)info->array_size);
        break;
    case ENGINE_MAP:
        lh_buf_append(buf, "MAP(", 4);
        engine_type_text(info->children[0], buf);
        lh_buf_append(buf, ", ", 2);
        engine_type_text(info->children[1], buf);
        lh_buf_append_char(buf, ')');
        break;
    case ENGINE_STRUCT:
    case ENGINE_UNION:
        lh_buf_append_str(buf, lh_str_of(info->type == ENGINE_UNION ? "UNION(" : "STRUCT("));
        for (size_t i = 0; i < info->child_count; i++)
            append_member(info, i, buf);
        lh_buf_append_char(buf, ')');
        break;
    default:
        lh_buf_append_str(buf, lh_str_of(row_of_ours(info->type)->text));
        break;
    }
}

static bool all_equal(const struct engine_type_info *a, const struct engine_type_info *b)
{
    for (size_t i = 0; i < a->child_count; i++) {
        if (!engine_type_equal(a->children[i], b->children[i]))
            return false;
        if (a->child_names && !lh_str_equal(a->child_names[i], b->child_names[i]))
            return false;
    }
    for (size_t i = 0; i < a->label_count; i++)
        if (!lh_str_equal(a->labels[i], b->labels[i]))
            return false;
    return true;
}

bool engine_type_equal(const struct engine_type_info *a, const struct engine_type_info *b)
{
    return a->type == b->type && a->width == b->width && a->scale == b->scale &&
           a->array_size == b->array_size && a->child_count == b->child_count &&
           a->label_count == b->label_count && lh_str_equal(a->alias, b->alias) && all_equal(a, b);
}
