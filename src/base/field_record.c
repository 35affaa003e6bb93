/* Records as texts of their own: what jobs, commits and small files keep. */
#include "base/field_internal.h"

struct lh_str lh_fields_text(const struct lh_fields *fields, const void *source, size_t bytes_max,
                             struct lh_arena *arena)
{
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, bytes_max);
    lh_json_init(&json, &buf);
    lh_fields_write(fields, source, &json);
    struct lh_str text = lh_arena_str(arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

enum lh_code lh_fields_parse(const struct lh_fields *fields, struct lh_str text, const char *what,
                             size_t bytes_max, struct lh_arena *arena, void *ret,
                             struct lh_error *err)
{
    json_t *object = NULL;
    lh_fields_preset(fields, ret);
    enum lh_code code = lh_json_parse(text, what, bytes_max, &object, err);
    if (code)
        return code;
    lh_json_keep(object, arena);
    return lh_fields_bind_json(fields, object, arena, ret, err);
}
