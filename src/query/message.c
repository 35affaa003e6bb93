/* Errors in the caller's own text: positions mapped back, nothing of what was spliced in. */
#include "query/internal.h"

#include "engine/filter.h"

/* Words that only the spliced text has. */
static bool tells_internals(struct lh_str sql, struct lh_str message)
{
    static const char *const words[] = {"read_parquet", "hive_partitioning", "READ_PARQUET",
                                        "PARQUET_SCAN", ENGINE_FILTER_FUNCTION};
    size_t at;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (lh_str_find(message, lh_str_of(words[i]), &at) &&
            !lh_str_find(sql, lh_str_of(words[i]), &at))
            return true;
    return false;
}

void query_place_line(struct lh_str sql, struct lh_error *err)
{
    if (!err || err->position < 0 || (size_t)err->position > sql.len)
        return;
    int64_t line = 1;
    for (size_t i = 0; i < (size_t)err->position; i++)
        line += sql.data[i] == '\n';
    err->line = line;
}

static enum lh_code rewrite(struct lh_str sql, const struct query_splice *splice,
                            struct lh_error *err)
{
    if (!err)
        return LH_INTERNAL;
    int64_t position = err->position;
    if (splice)
        position = query_splice_back(splice, position);
    if (tells_internals(sql, lh_str_of(err->message))) {
        bool is_file = err->code == LH_UNREADABLE || err->code == LH_IO;
        lh_fail(err, err->code, "%s",
                is_file ? "The files of a dataset that the statement reads could not be read."
                        : "The statement does not fit the datasets that it reads.");
    } else if (tells_internals(sql, lh_str_of(err->hint))) {
        err->hint[0] = 0;
    }
    err->position = position;
    query_place_line(sql, err);
    return err->code;
}

enum lh_code query_message(const struct query_plan *plan, struct lh_error *err)
{
    return rewrite(plan->sql, &plan->splice, err);
}

enum lh_code query_message_plain(struct lh_str sql, struct lh_error *err)
{
    return rewrite(sql, NULL, err);
}
