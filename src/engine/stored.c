/* What Parquet keeps of a type. */
#include "engine/engine.h"

/* Scalars that would come back as something else or with less in them (measured by writing and
 * reading back): 128-bit integers become DOUBLE, ENUM and BIGNUM text, intervals lose microseconds,
 * a time loses its zone. */
static const char *stored_scalar(enum engine_type type)
{
    switch (type) {
    case ENGINE_NULL:
    case ENGINE_INT128:
    case ENGINE_UINT128:
    case ENGINE_BIGNUM:
    case ENGINE_ENUM:
    case ENGINE_BIT:
    case ENGINE_INTERVAL:
    case ENGINE_TIME_TZ:
    case ENGINE_UNION:
        return "VARCHAR";
    case ENGINE_TIMESTAMP_S:
    case ENGINE_TIMESTAMP_MS:
        return "TIMESTAMP";
    default:
        return NULL;
    }
}

static bool is_stored_as_is(const struct engine_type_info *info)
{
    if (stored_scalar(info->type) || info->type == ENGINE_ARRAY)
        return false;
    for (size_t i = 0; i < info->child_count; i++)
        if (!is_stored_as_is(info->children[i]))
            return false;
    return true;
}

static void append_stored(const struct engine_type_info *info, struct lh_buf *buf)
{
    if (is_stored_as_is(info)) {
        engine_type_text(info, buf);
        return;
    }
    switch (info->type) {
    case ENGINE_LIST:
    case ENGINE_ARRAY:
        append_stored(info->children[0], buf);
        lh_buf_append(buf, "[]", 2);
        break;
    case ENGINE_MAP:
        lh_buf_append(buf, "MAP(", 4);
        append_stored(info->children[0], buf);
        lh_buf_append(buf, ", ", 2);
        append_stored(info->children[1], buf);
        lh_buf_append_char(buf, ')');
        break;
    case ENGINE_STRUCT:
        lh_buf_append(buf, "STRUCT(", 7);
        for (size_t i = 0; i < info->child_count; i++) {
            if (i)
                lh_buf_append(buf, ", ", 2);
            engine_quote_ident(buf, info->child_names[i]);
            lh_buf_append_char(buf, ' ');
            append_stored(info->children[i], buf);
        }
        lh_buf_append_char(buf, ')');
        break;
    default:
        lh_buf_append_str(buf, lh_str_of(stored_scalar(info->type)));
        break;
    }
}

bool engine_stored_text(const struct engine_type_info *info, struct lh_buf *buf)
{
    if (is_stored_as_is(info))
        return false;
    append_stored(info, buf);
    return true;
}
