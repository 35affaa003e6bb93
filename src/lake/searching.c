/* Search meets its siblings here: rows come from query/, vectors from ai/. */
#include <stdlib.h>

#include "lake/internal.h"
#include "query/query.h"
#include "search/search.h"

static enum lh_code open_rows(void *context, struct lh_str sql, const json_t *parameters,
                              const struct lh_cancel *cancel, void **ret_rows, struct lh_error *err)
{
    struct query_engine *const *engine = context;
    const struct query_principal principal = {.is_trusted = true};
    const struct query_request request = {
        .sql = sql,
        .parameters = parameters,
        .limit = QUERY_ROWS_MAX,
        .timeout_ms = QUERY_TIMEOUT_MS_MAX,
    };
    struct query *query = NULL;
    enum lh_code code = query_open(*engine, &principal, &request, cancel, &query, err);
    if (!code)
        *ret_rows = query;
    return code;
}

static enum lh_code next_rows(void *rows, const struct engine_chunk **ret, struct lh_error *err)
{
    enum lh_code code = query_next(rows, ret, err);
    if (!code && !*ret && query_is_truncated(rows))
        code = lh_fail(err, LH_TOO_LARGE, "More than %lld rows are concerned.",
                       (long long)QUERY_ROWS_MAX);
    return code;
}

static enum lh_code write_value(const struct engine_vector *vector, size_t row, struct lh_buf *buf,
                                struct lh_error *err)
{
    return query_write_json(buf, vector, row, err);
}

static void close_rows(void *rows)
{
    query_close(rows);
}

struct search_source searching_source(struct query_engine **engine)
{
    return (struct search_source){.context = engine,
                                  .open = open_rows,
                                  .next = next_rows,
                                  .write = write_value,
                                  .close = close_rows};
}
