/* The vectors of an index, for other tools. */
#include <inttypes.h>
#include <stdio.h>

#include "engine/engine.h"
#include "lake/lake.h"
#include "ops/internal.h"
#include "search/search.h"
#include "search/vectors.h"

struct export_args {
    struct lh_str name;
    struct lh_str format;
};
static const struct lh_field export_rows[] = {
    LH_STR(struct export_args, name, .required = true, .positional = true, .min = 1, .max = 255,
           .doc = "The index."),
    LH_STR(struct export_args, format, .min = 1, .max = 32,
           .doc = "How the rows are written: json, ndjson, csv, arrow or parquet; absent: what "
                  "Accept says, else json. Or npy: the vectors alone, as one array."),
};
static const struct lh_fields export_fields =
    LH_FIELDS_OF(struct export_args, "VectorsExportArgs", export_rows);

/* --- npy: a head that says the shape, then row after row */

#define HEAD_BYTES 128
#define ROWS_AT_ONCE ((size_t)64)

static enum lh_code write_head(const struct search_vectors_info *info, struct op_reply *reply,
                               struct lh_error *err)
{
    char head[HEAD_BYTES];
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00", 8);
    head[8] = (char)(HEAD_BYTES - 10);
    head[9] = 0;
    int length = snprintf(head + 10, HEAD_BYTES - 10,
                          "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }",
                          info->live, info->dimensions);
    head[10 + length] = ' ';
    head[HEAD_BYTES - 1] = '\n';
    reply->content_type = lh_lit("application/octet-stream");
    reply->length = (int64_t)(HEAD_BYTES + info->live * info->dimensions * sizeof(float));
    return op_reply_write(reply, (struct lh_str){head, sizeof head}, err);
}

static bool is_left_out(const struct search_vectors_part *part, size_t at)
{
    return part->left_out[at / 64] >> (at % 64) & 1;
}

/* Rows that stand side by side go together. */
static enum lh_code write_part(const struct op_call *call, const struct search_vectors_part *part,
                               size_t dimensions, struct op_reply *reply, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t at = 0, run = 0; at < part->count && !code; at += run + !run) {
        for (run = 0; at + run < part->count && run < ROWS_AT_ONCE && !is_left_out(part, at + run);)
            run++;
        if (run)
            code = op_reply_write(reply,
                                  (struct lh_str){(const char *)(part->rows + at * dimensions),
                                                  run * dimensions * sizeof(float)},
                                  err);
        if (!code)
            code = lh_cancel_fail(call->cancel, "The export", err);
    }
    return code;
}

static enum lh_code write_npy(const struct op_call *call, const struct search_vectors *vectors,
                              struct op_reply *reply, struct lh_error *err)
{
    const struct search_vectors_info *info = search_vectors_info(vectors);
    enum lh_code code = write_head(info, reply, err);
    for (size_t i = 0; i < info->part_count && !code; i++)
        code = write_part(call, &info->parts[i], info->dimensions, reply, err);
    return code;
}

/* --- everything else: a statement */

static enum lh_code write_rows(struct op_call *call, const struct export_args *args, size_t count,
                               struct op_reply *reply, struct lh_error *err)
{
    const struct settings_query *limits = &lake_settings(call->lake)->query;
    struct lh_buf sql;
    if ((int64_t)count > limits->rows_max) {
        lh_fail(err, LH_TOO_LARGE,
                "The index '%.*s' has %zu vectors; at most %" PRId64 " rows are sent at once.",
                LH_ARG(args->name), count, limits->rows_max);
        return lh_error_hint(err, "Ask for format npy, or by parts: SELECT * FROM "
                                  "index_vectors('NAME') WHERE ….");
    }
    lh_buf_init(&sql, 1024);
    lh_buf_append_str(&sql, lh_lit("SELECT * FROM index_vectors("));
    engine_quote_literal(&sql, args->name);
    lh_buf_append_char(&sql, ')');
    const struct op_statement statement = {.sql = lh_arena_str(call->arena, lh_buf_str(&sql)),
                                           .limit = limits->rows_max,
                                           .timeout_ms = limits->timeout_max_ms,
                                           .format = args->format};
    lh_buf_release(&sql);
    return op_run_statement(call, &statement, reply, err);
}

static enum lh_code run_export(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct export_args *args = raw;
    struct search_vectors *vectors = NULL;
    bool is_npy = lh_str_equal(args->format, lh_lit("npy"));
    enum lh_code code =
        search_vectors_open(lake_search(call->lake), args->name, call->cancel, &vectors, err);
    if (code)
        return code;
    if (is_npy)
        code = write_npy(call, vectors, reply, err);
    else
        code = write_rows(call, args, search_vectors_info(vectors)->live, reply, err);
    search_vectors_close(vectors);
    return code;
}

const struct op op_vectors_export = {
    .name = "vectors.export",
    .summary = "The vectors of an index, for other tools.",
    .description =
        "Rows of the id (under its column's name), chunk, text and vector, of length 1 as the "
        "index has it: of every chunk that a search of the index finds by meaning, but for rows "
        "that have come since it was refreshed. The same is a table in SQL: index_vectors('name'). "
        "Format npy is one array of the vectors alone, in the order of those rows, as numpy.load "
        "reads it.",
    .http = {OP_GET, "/vectors/indexes/{name}/export"},
    .effect = OP_READ,
    .permission = "search.read",
    .lane = LH_LANE_SLOW,
    .fields = &export_fields,
    .kind = OP_ROWS,
    .result = &op_query_result_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_DAMAGED, LH_TOO_LARGE, LH_TIMEOUT, LH_SQL,
                        LH_REFUSED, LH_NOT_ACCEPTABLE),
    .run = run_export,
};
