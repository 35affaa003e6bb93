/* A struct of texts and numbers taken over into another arena. */
#include <assert.h>
#include <stdlib.h>

#include "base/field_internal.h"

static enum lh_code copy_json(const struct lh_json_value *from, struct lh_arena *arena,
                              struct lh_json_value *ret, struct lh_error *err)
{
    if (!from->value) {
        ret->text = lh_arena_str(arena, from->text);
        return LH_OK;
    }
    char *text = json_dumps(from->value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text)
        return lh_fail(err, LH_BUSY, "There is no memory for a JSON value.");
    *ret = (struct lh_json_value){.text = lh_arena_str(arena, lh_str_of(text))};
    free(text);
    return LH_OK;
}

static struct lh_str_list copy_list(const struct lh_str_list *from, struct lh_arena *arena)
{
    struct lh_str *items = lh_arena_array(arena, from->count + 1, sizeof *items);
    for (size_t i = 0; i < from->count; i++)
        items[i] = lh_arena_str(arena, from->items[i]);
    return (struct lh_str_list){items, from->count};
}

enum lh_code lh_fields_copy(const struct lh_fields *fields, const void *source,
                            struct lh_arena *arena, void *ret, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    memmove(ret, source, fields->size);
    for (size_t i = 0; i < fields->count && !code; i++) {
        size_t offset = fields->items[i].offset;
        const void *from = (const char *)source + offset;
        void *to = (char *)ret + offset;
        switch (fields->items[i].type) {
        case LH_FIELD_STR:
            *(struct lh_str *)to = lh_arena_str(arena, *(const struct lh_str *)from);
            break;
        case LH_FIELD_STR_LIST:
            *(struct lh_str_list *)to = copy_list(from, arena);
            break;
        case LH_FIELD_JSON:
            code = copy_json(from, arena, to, err);
            break;
        default: /* a value: it came with the struct */
            assert(fields->items[i].type < LH_FIELD_STR_LIST);
            break;
        }
    }
    return code;
}
