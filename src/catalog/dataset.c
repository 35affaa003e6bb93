#include "catalog/internal.h"

const char *const catalog_sensitivity_names[] = {
    "public", "internal", "confidential", "PII", "PHI", "Financial", NULL};
const char *const catalog_refresh_kind_names[] = {"manual", "on_append", "scheduled", NULL};

static const struct lh_str reserved_columns[] = {
    LH_LIT("file_row_number"),
    LH_LIT("file_index"),
    LH_LIT("filename"),
};
#define STORED_PREFIX "__user_"

bool catalog_object_source(const struct catalog_object *object, size_t index,
                           struct catalog_source *ret)
{
    if (index > 0 && index <= object->source_count)
        *ret = object->sources[index - 1];
    else if (index == 0 && (object->source_sha256.len || object->rejects.len))
        *ret = (struct catalog_source){object->source_sha256, object->source_options,
                                       object->rows,          object->rows,
                                       object->rejects,       object->rejected_rows};
    else
        return false;
    return true;
}

bool catalog_dataset_source(const struct catalog_dataset *dataset, struct lh_str source_sha256,
                            struct lh_str source_options, struct catalog_source *ret)
{
    struct catalog_source source;
    for (size_t i = 0; source_sha256.len && i < dataset->object_count; i++) {
        const struct catalog_object *object = dataset->objects[i];
        for (size_t k = 0; k <= object->source_count; k++)
            if (catalog_object_source(object, k, &source) &&
                lh_str_equal(source.sha256, source_sha256) &&
                lh_str_equal(source.options, source_options)) {
                if (ret)
                    *ret = source;
                return true;
            }
    }
    return false;
}

const struct catalog_column *catalog_dataset_column(const struct catalog_dataset *dataset,
                                                    struct lh_str name)
{
    for (size_t i = 0; i < dataset->column_count; i++)
        if (lh_str_equal_nocase(dataset->columns[i].name, name))
            return &dataset->columns[i];
    return NULL;
}

static void add_text(struct lh_sha256 *sum, struct lh_str text)
{
    uint64_t length = text.len; /* keeps ("ab","c") and ("a","bc") apart */
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(length >> (8 * i));
    lh_sha256_add(sum, bytes, sizeof bytes);
    lh_sha256_add(sum, text.data, text.len);
}

static struct lh_str finish_hex(struct lh_sha256 *sum, struct lh_arena *arena)
{
    uint8_t bytes[LH_SHA256_BYTES];
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_sha256_finish(sum, bytes);
    lh_sha256_free(sum);
    lh_hex(bytes, sizeof bytes, hex);
    return lh_arena_str(arena, lh_str_of(hex));
}

struct lh_str catalog_schema_fingerprint(const struct catalog_column *columns, size_t column_count,
                                         struct lh_arena *arena)
{
    struct lh_sha256 *sum = lh_sha256_new();
    for (size_t i = 0; i < column_count; i++) {
        add_text(sum, columns[i].stored_name);
        add_text(sum, columns[i].type);
    }
    return finish_hex(sum, arena);
}

struct lh_str catalog_stored_name(struct lh_str name, struct lh_arena *arena)
{
    /* A name that already begins with the escape is escaped once more: no two names meet. */
    bool is_escaped =
        name.len >= sizeof STORED_PREFIX - 1 &&
        lh_str_equal_nocase(lh_str_slice(name, 0, sizeof STORED_PREFIX - 1), lh_lit(STORED_PREFIX));
    for (size_t i = 0; i < sizeof reserved_columns / sizeof reserved_columns[0]; i++)
        is_escaped = is_escaped || lh_str_equal_nocase(name, reserved_columns[i]);
    if (!is_escaped)
        return lh_arena_str(arena, name);
    return lh_arena_printf(arena, STORED_PREFIX "%.*s", LH_ARG(name));
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

enum lh_code catalog_check_name(struct lh_str name, struct lh_error *err)
{
    bool is_good = name.len >= 1 && name.len <= CATALOG_NAME_BYTES_MAX && is_letter(name.data[0]);
    for (size_t i = 1; is_good && i < name.len; i++)
        is_good = is_letter(name.data[i]) || (name.data[i] >= '0' && name.data[i] <= '9');
    if (is_good && !lh_str_starts_with(name, lh_lit("__")))
        return LH_OK;
    struct lh_str shown = lh_str_head(name, 100);
    if (is_good)
        lh_fail(err, LH_INVALID,
                "'%.*s' cannot be the name of a dataset or an index: '__' is reserved.",
                LH_ARG(shown));
    else
        lh_fail(err, LH_INVALID, "'%.*s'%s cannot be the name of a dataset or an index.",
                LH_ARG(shown), shown.len < name.len ? "…" : "");
    lh_error_field(err, lh_lit("name"));
    return lh_error_hint(err,
                         "A name has 1 to %d letters, digits and underscores, does not begin "
                         "with a digit, nor with two underscores.",
                         CATALOG_NAME_BYTES_MAX);
}

enum lh_code catalog_check_new_name(struct lh_str name, struct lh_error *err)
{
    enum lh_code code = catalog_check_name(name, err);
    if (code || !lh_str_equal_nocase(name, lh_lit("journal")))
        return code;
    lh_fail(err, LH_INVALID, "'%.*s' cannot be a dataset's name: SQL reads the journal under it.",
            LH_ARG(name));
    lh_error_field(err, lh_lit("name"));
    return lh_error_hint(err, "Choose another.");
}

bool catalog_is_overdue(const struct catalog_dataset *dataset, int64_t now_ms)
{
    return dataset->freshness_max_age_s > 0 &&
           now_ms - dataset->updated_ms > dataset->freshness_max_age_s * 1000;
}
