#include "ops/internal.h"

#include "lake/lake.h"
#include "query/encoder.h"

/* --- what a reply of rows looks like, for the documents */

struct query_column {
    struct lh_str name;
    struct lh_str type;
};
static const struct lh_field column_rows[] = {
    LH_STR(struct query_column, name, .required = true, .doc = "As the statement calls it."),
    LH_STR(struct query_column, type, .required = true, .doc = "The SQL type."),
};
static const struct lh_fields column_fields =
    LH_FIELDS_OF(struct query_column, "QueryColumn", column_rows);

struct query_result {
    struct lh_list columns;
    struct lh_json_value rows;
    int64_t row_count;
    bool truncated;
    double elapsed_ms;
    struct lh_int_map versions;
    struct lh_json_value error;
};
static const struct lh_field result_rows[] = {
    LH_LIST(struct query_result, columns, .fields = &column_fields, .doc = "In their order."),
    LH_JSON(struct query_result, rows, .required = true,
            .doc = "A list of rows, each a list of values in the order of the columns. DECIMAL and "
                   "integers of more than 64 bits are texts, NaN and infinities too; times are RFC "
                   "3339, blobs base64, lists and structs JSON."),
    LH_INT(struct query_result, row_count, .doc = "Rows in this reply."),
    LH_BOOL(struct query_result, truncated, .doc = "The limit was reached and there are more."),
    LH_DOUBLE(struct query_result, elapsed_ms, .doc = "From the statement's start to its end."),
    LH_INT_MAP(struct query_result, versions,
               .doc = "The version of every dataset that was read, by the name that it has there. "
                      "One that was "
                      "read at several versions stands with the newest under its name, with the "
                      "others as name@version. What a search function asked does not stand "
                      "here."),
    LH_JSON(struct query_result, error,
            .doc = "Only when the statement failed after the first rows had left: a problem with "
                   "code and detail. The rows before it are not the whole answer."),
};
const struct lh_fields op_query_result_fields =
    LH_FIELDS_OF(struct query_result, "QueryResult", result_rows);

/* --- POST /query/sql */

struct sql_args {
    struct lh_str sql;
    struct lh_json_value parameters;
    struct lh_json_value as_of;
    int64_t limit;
    int64_t timeout_ms;
    struct lh_str format;
    bool escape_formulas;
};

#define SQL_ROWS(struct_type)                                                                      \
    LH_STR(struct_type, sql, .required = true, .positional = true, .min = 1,                       \
           .doc = "One SELECT, DESCRIBE, SUMMARIZE, SHOW TABLES or EXPLAIN of these; at most 64 "  \
                  "KB."),                                                                          \
        LH_JSON(struct_type, parameters,                                                           \
                .doc = "Values of the statement's parameters: a list for ? and $1, an object for " \
                       "$name."),                                                                  \
        OP_QUERY_OPTIONS(struct_type)

static const struct lh_field sql_rows[] = {
    SQL_ROWS(struct sql_args),
    OP_ROWS_OPTIONS(struct sql_args),
};
static const struct lh_fields sql_fields = LH_FIELDS_OF(struct sql_args, "QuerySqlArgs", sql_rows);

/* The administrator of this house sees everything. Others need the lane of DESIGN 5, and query_open
 * refuses them. */
struct query_principal op_query_principal(const struct op_call *call)
{
    return (struct query_principal){
        .is_trusted = call->principal->is_unmasked,
        .grants = access_check(call->principal, "journal.read", NULL) ? LAKE_GRANTS_WITHOUT_JOURNAL
                                                                      : (struct lh_str){0},
        .sees_raw = lh_str_equal(call->principal->role, lh_lit("admin")),
    };
}

static int64_t at_most(int64_t value, int64_t max)
{
    return value < max ? value : max;
}

enum lh_code op_run_statement(struct op_call *call, const struct op_statement *statement,
                              struct op_reply *reply, struct lh_error *err)
{
    const struct settings_query *limits = &lake_settings(call->lake)->query;
    const struct query_principal principal = op_query_principal(call);
    const struct query_encode_options options = {.escapes_formulas = statement->escapes_formulas};
    struct query_request request = {
        .sql = statement->sql,
        .parameters = statement->parameters,
        .as_of = statement->as_of,
        .limit = at_most(statement->limit, limits->rows_max),
        .timeout_ms = at_most(statement->timeout_ms, limits->timeout_max_ms),
        .received_us = call->received_us,
    };
    struct query *query = NULL;
    enum lh_code code = op_choose_encoder(call, statement->format, &request.encoder, err);
    if (!code)
        code = query_open(lake_query(call->lake), &principal, &request, call->cancel, &query, err);
    if (!code)
        code = op_reply_rows(reply, query, request.encoder, &options, err);
    query_close(query);
    return code;
}

static enum lh_code run_sql(struct op_call *call, const void *raw, struct op_reply *reply,
                            struct lh_error *err)
{
    const struct sql_args *args = raw;
    const struct op_statement statement = {
        .sql = args->sql,
        .parameters = args->parameters.value,
        .as_of = args->as_of.value,
        .limit = args->limit,
        .timeout_ms = args->timeout_ms,
        .format = args->format,
        .escapes_formulas = args->escape_formulas,
    };
    return op_run_statement(call, &statement, reply, err);
}

static const struct op_example sql_examples[] = {
    {.summary = "One row",
     .request = "{\"sql\": \"SELECT 42 AS answer\"}",
     .reply = "{\"columns\": [{\"name\": \"answer\", \"type\": \"INTEGER\"}], \"rows\": [[42]], "
              "\"row_count\": 1, \"truncated\": false, \"elapsed_ms\": 0.2, \"versions\": {}}"},
    {.summary = "Bound parameters",
     .request = "{\"sql\": \"SELECT name FROM people WHERE id = $1\", \"parameters\": [7]}"},
    {.summary = "The past",
     .request = "{\"sql\": \"SELECT count(*) FROM people\", \"as_of\": {\"people\": 1}}"},
    {.summary = "Search inside SQL, of an index whose id column is `package`",
     .request = "{\"sql\": \"SELECT package, s.score, p.section FROM "
                "hybrid_search('packages_v1', 'edit photos', k := 5) s JOIN packages p "
                "USING (package) ORDER BY s.score DESC\"}"},
};

const struct op op_query_sql = {
    .name = "query.sql",
    .command = "sql",
    .summary = "Run one SQL statement over everything the caller may see.",
    .description =
        "Rows come as they are made, with flat memory. An error after the first byte ends JSON "
        "with a member `error`. Hanging up stops the statement. `FROM name AT (VERSION => n)` "
        "reads an older version; an alias stands before AT, or behind it with AS. "
        "Search is a table in SQL: "
        "vector_search('index', 'words', k := 10) by meaning (or vector := [...] instead of the "
        "words), text_search('index', 'words', k := 10) by words, hybrid_search('index', 'words', "
        "k := 10) by both; all take sql_filter := 'expression', too, and per_chunk := true. Their "
        "columns: the id, under the name and with the type of the dataset's id column, as it "
        "stands there (without the index's id prefix), so that JOIN dataset USING (that column) "
        "works; score DOUBLE, higher is better; text VARCHAR, of the chunk that was found; chunk "
        "INTEGER, its place in the row, from 0. An id column of one of these names keeps it, and "
        "the other is search_score, search_text or search_chunk. They answer for the newest "
        "version, whatever `as_of` says. index_vectors('index') is what an index has: the id, "
        "chunk INTEGER, text VARCHAR, vector FLOAT[].",
    .http = {OP_POST, "/query/sql"},
    .effect = OP_READ,
    .takes_bucket = true,
    .permission = "query",
    .body = OP_BODY_JSON,
    .fields = &sql_fields,
    .kind = OP_ROWS,
    .result = &op_query_result_fields,
    .errors = OP_ERRORS(LH_SYNTAX, LH_SQL, LH_FORBIDDEN, LH_REFUSED, LH_NOT_FOUND,
                        LH_NOT_ACCEPTABLE, LH_LOST, LH_DAMAGED, LH_TIMEOUT, LH_RACE),
    OP_EXAMPLES(sql_examples),
    .run = run_sql,
};

/* --- POST /query/explain */

struct explain_args {
    struct lh_str sql;
    struct lh_json_value parameters;
    struct lh_json_value as_of;
    int64_t timeout_ms;
    bool analyze;
};
static const struct lh_field explain_rows[] = {
    SQL_ROWS(struct explain_args),
    LH_BOOL(struct explain_args, analyze,
            .doc = "Run it to its end, so that the plan carries times and rows."),
};
static const struct lh_fields explain_fields =
    LH_FIELDS_OF(struct explain_args, "QueryExplainArgs", explain_rows);

struct explain_result {
    struct lh_str plan;
};
static const struct lh_field plan_rows[] = {
    LH_STR(struct explain_result, plan, .required = true, .doc = "The plan, drawn as text."),
};
static const struct lh_fields plan_fields =
    LH_FIELDS_OF(struct explain_result, "QueryPlan", plan_rows);

static enum lh_code run_explain(struct op_call *call, const void *raw, struct op_reply *reply,
                                struct lh_error *err)
{
    const struct explain_args *args = raw;
    const struct query_principal principal = op_query_principal(call);
    const struct query_request request = {
        .sql = args->sql,
        .parameters = args->parameters.value,
        .as_of = args->as_of.value,
        .timeout_ms = at_most(args->timeout_ms, lake_settings(call->lake)->query.timeout_max_ms),
        .received_us = call->received_us,
    };
    struct explain_result result = {0};
    enum lh_code code = query_explain(lake_query(call->lake), &principal, &request, args->analyze,
                                      call->cancel, call->arena, &result.plan, err);
    return code ? code : op_reply_record(reply, &result, err);
}

const struct op op_query_explain = {
    .name = "query.explain",
    .command = "explain",
    .summary = "Show how a statement would be run.",
    .http = {OP_POST, "/query/explain"},
    .effect = OP_READ,
    .takes_bucket = true,
    .permission = "query",
    .body = OP_BODY_JSON,
    .fields = &explain_fields,
    .kind = OP_RECORD,
    .result = &plan_fields,
    .errors = OP_ERRORS(LH_SYNTAX, LH_SQL, LH_FORBIDDEN, LH_REFUSED, LH_NOT_FOUND, LH_DAMAGED,
                        LH_TIMEOUT),
    .run = run_explain,
};
