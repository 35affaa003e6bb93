/* Saved queries: made, read, replaced, deleted, run. */
#include "query/saved.h"

#include "lake/lake.h"
#include "ops/internal.h"
#include "query/query.h"

#define NAME_ROW(struct_type)                                                                      \
    LH_STR(struct_type, name, .required = true, .positional = true, .min = 1,                      \
           .max = QUERY_SAVED_NAME_BYTES_MAX, .doc = "The query's name; case does not matter.")
#define QUERY_ROWS(struct_type)                                                                    \
    LH_STR(struct_type, sql, .required = true, .min = 1,                                           \
           .doc = "One statement as for /query/sql, with $name where a value is to come."),        \
        LH_JSON(struct_type, defaults,                                                             \
                .doc = "Values of parameters that need not be given: {\"city\": \"Utrecht\"}."),   \
        LH_STR(struct_type, description, .max = 2000, .doc = "What it tells.")

/* --- GET /query/saved */

struct list_args {
    int64_t limit;
    struct lh_str after;
};
static const struct lh_field list_rows[] = {
    OP_LIST_LIMIT(struct list_args),
    OP_LIST_AFTER(struct list_args),
};
static const struct lh_fields list_fields =
    LH_FIELDS_OF(struct list_args, "QueriesListArgs", list_rows);

static enum lh_code run_list(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    const struct list_args *args = raw;
    void *items = NULL;
    size_t count = 0;
    struct lh_str next = {0};
    enum lh_code code =
        storage_records_list(lake_saved(call->lake), args->after, (size_t)args->limit, call->arena,
                             &items, &count, &next, err);
    return code ? code : op_reply_list(reply, items, count, next, err);
}

const struct op op_queries_list = {
    .name = "queries.list",
    .summary = "Saved queries, by name.",
    .http = {OP_GET, "/query/saved"},
    .effect = OP_READ,
    .permission = "query",
    .fields = &list_fields,
    .kind = OP_LIST,
    .result = &query_saved_fields,
    .run = run_list,
};

/* --- GET /query/saved/{name} */

struct name_args {
    struct lh_str name;
};
static const struct lh_field name_rows[] = {NAME_ROW(struct name_args)};
static const struct lh_fields name_fields =
    LH_FIELDS_OF(struct name_args, "QueriesNameArgs", name_rows);

static enum lh_code run_get(struct op_call *call, const void *raw, struct op_reply *reply,
                            struct lh_error *err)
{
    const struct name_args *args = raw;
    struct query_saved_query query;
    enum lh_code code =
        storage_records_get(lake_saved(call->lake), args->name, call->arena, &query, err);
    if (code)
        return code;
    op_reply_version(reply, call, query.version);
    return op_reply_record(reply, &query, err);
}

const struct op op_queries_get = {
    .name = "queries.get",
    .summary = "One saved query: its statement, its parameters, their defaults.",
    .description = "The ETag is its version.",
    .http = {OP_GET, "/query/saved/{name}"},
    .effect = OP_READ,
    .permission = "query",
    .fields = &name_fields,
    .kind = OP_RECORD,
    .result = &query_saved_fields,
    .has_etag = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_DAMAGED),
    .run = run_get,
};

/* --- POST /query/saved, PUT /query/saved/{name} */

struct save_args {
    struct lh_str name;
    struct lh_str sql;
    struct lh_json_value defaults;
    struct lh_str description;
};
static const struct lh_field save_rows[] = {NAME_ROW(struct save_args),
                                            QUERY_ROWS(struct save_args)};
static const struct lh_fields save_fields =
    LH_FIELDS_OF(struct save_args, "QueriesSaveArgs", save_rows);

/* What is neither is refused for what it is. */
static bool has_none(const json_t *defaults)
{
    return !defaults || json_is_null(defaults) ||
           (json_is_object(defaults) && !json_object_size(defaults));
}

/* A statement that could not run now is not saved: whoever runs it later could not mend it. */
static enum lh_code save(struct op_call *call, const struct save_args *args, int64_t over,
                         struct op_reply *reply, struct lh_error *err)
{
    const struct query_principal principal = op_query_principal(call);
    const struct query_request request = {.sql = args->sql, .received_us = call->received_us};
    struct query_saved_query query = {
        .name = args->name,
        .description = args->description,
        .sql = args->sql,
        .defaults = has_none(args->defaults.value) ? (struct lh_json_value){0} : args->defaults,
        .saved_by = call->principal->id,
    };
    struct query_saved_query made;
    struct lh_str *names = NULL;
    size_t count = 0;
    enum lh_code code = query_parameters(lake_query(call->lake), &principal, &request, call->cancel,
                                         call->arena, &names, &count, err);
    query.parameters = (struct lh_str_list){names, count};
    if (!code)
        code = query_saved_check(&query, err);
    const struct journal_event event = op_event(call, "query.save", args->name);
    struct lake_change change;
    if (!code)
        code = lake_change_begin(call->lake, &event, false, &change, err);
    if (!code) {
        code = storage_records_put(lake_saved(call->lake), &query, over, call->arena, &made, err);
        lake_change_end(call->lake, &change, code, &event);
    }
    if (code)
        return code;
    op_reply_version(reply, call, made.version);
    return op_reply_record(reply, &made, err);
}

static enum lh_code run_create(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct save_args *args = raw;
    enum lh_code code = save(call, args, 0, reply, err);
    if (!code)
        reply->location = lh_arena_printf(call->arena, "/query/saved/%.*s", LH_ARG(args->name));
    return code;
}

static const struct op_example create_examples[] = {
    {.summary = "People of a city",
     .request = "{\"name\": \"people_of\", \"sql\": \"SELECT name FROM people WHERE city = $city "
                "AND age >= $age\", \"defaults\": {\"age\": 18}}"},
};

const struct op op_queries_create = {
    .name = "queries.create",
    .summary = "Save a statement under a name, with named parameters.",
    .description = "It is checked against the datasets that there are now. A name that is taken is "
                   "409: PUT replaces.",
    .http = {OP_POST, "/query/saved"},
    .effect = OP_WRITE,
    .permission = "query.save",
    .body = OP_BODY_JSON,
    .fields = &save_fields,
    .kind = OP_RECORD,
    .result = &query_saved_fields,
    .status = 201,
    .has_etag = true,
    .errors = OP_ERRORS(LH_SYNTAX, LH_SQL, LH_REFUSED, LH_NOT_FOUND, LH_EXISTS, LH_TOO_LARGE,
                        LH_RACE, LH_DAMAGED, LH_TIMEOUT),
    OP_EXAMPLES(create_examples),
    .run = run_create,
};

/* Without If-Match: whatever version there is. */
static enum lh_code wanted_version(const struct op_call *call, int64_t *ret, struct lh_error *err)
{
    int64_t version;
    enum lh_code code = op_if_match(call, &version, err);
    if (!code)
        *ret = version ? version : -1;
    return code;
}

static enum lh_code run_replace(struct op_call *call, const void *raw, struct op_reply *reply,
                                struct lh_error *err)
{
    int64_t over;
    enum lh_code code = wanted_version(call, &over, err);
    return code ? code : save(call, raw, over, reply, err);
}

const struct op op_queries_replace = {
    .name = "queries.replace",
    .summary = "Give a saved query another statement.",
    .http = {OP_PUT, "/query/saved/{name}"},
    .effect = OP_WRITE,
    .permission = "query.save",
    .body = OP_BODY_JSON,
    .fields = &save_fields,
    .kind = OP_RECORD,
    .result = &query_saved_fields,
    .takes_if_match = true,
    .has_etag = true,
    .errors = OP_ERRORS(LH_SYNTAX, LH_SQL, LH_REFUSED, LH_NOT_FOUND, LH_PRECONDITION, LH_TOO_LARGE,
                        LH_RACE, LH_DAMAGED, LH_TIMEOUT),
    .run = run_replace,
};

/* --- DELETE /query/saved/{name} */

static enum lh_code run_delete(struct op_call *call, const void *raw, struct op_reply *reply,
                               struct lh_error *err)
{
    const struct name_args *args = raw;
    int64_t over;
    (void)reply;
    const struct journal_event event = op_event(call, "query.delete", args->name);
    struct lake_change change;
    struct query_saved_query query;
    enum lh_code code = wanted_version(call, &over, err);
    if (!code && (code = storage_records_get(lake_saved(call->lake), args->name, call->arena,
                                             &query, err)) == LH_DAMAGED)
        code = LH_OK; /* removing it mends it */
    if (!code)
        code = lake_change_begin(call->lake, &event, true, &change, err);
    if (!code) {
        code = storage_records_remove(lake_saved(call->lake), args->name, over, call->principal->id,
                                      err);
        lake_change_end(call->lake, &change, code, &event);
    }
    return code;
}

const struct op op_queries_delete = {
    .name = "queries.delete",
    .summary = "Forget a saved query.",
    .http = {OP_DELETE, "/query/saved/{name}"},
    .effect = OP_WRITE,
    .permission = "query.save",
    .fields = &name_fields,
    .takes_if_match = true,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_PRECONDITION, LH_RACE),
    .run = run_delete,
};

/* --- POST /query/saved/{name}/run */

struct run_args {
    struct lh_str name;
    struct lh_json_value parameters;
    struct lh_json_value as_of;
    int64_t limit;
    int64_t timeout_ms;
    struct lh_str format;
    bool escape_formulas;
};
static const struct lh_field run_rows[] = {
    NAME_ROW(struct run_args),
    LH_JSON(struct run_args, parameters,
            .doc = "Values by name; the saved defaults stand in for what is not given."),
    OP_QUERY_OPTIONS(struct run_args),
    OP_ROWS_OPTIONS(struct run_args),
};
static const struct lh_fields run_fields =
    LH_FIELDS_OF(struct run_args, "QueriesRunArgs", run_rows);

static enum lh_code run_run(struct op_call *call, const void *raw, struct op_reply *reply,
                            struct lh_error *err)
{
    const struct run_args *args = raw;
    struct query_saved_query query;
    struct op_statement statement = {
        .as_of = args->as_of.value,
        .limit = args->limit,
        .timeout_ms = args->timeout_ms,
        .format = args->format,
        .escapes_formulas = args->escape_formulas,
    };
    enum lh_code code =
        storage_records_get(lake_saved(call->lake), args->name, call->arena, &query, err);
    if (!code)
        code = query_saved_values(&query, args->parameters.value, call->arena,
                                  &statement.parameters, err);
    if (code)
        return code;
    statement.sql = query.sql;
    return op_run_statement(call, &statement, reply, err);
}

static const struct op_example run_examples[] = {
    {.summary = "With a value", .request = "{\"parameters\": {\"city\": \"Utrecht\"}}"},
};

const struct op op_queries_run = {
    .name = "queries.run",
    .summary = "Run a saved query, with the caller's own rights.",
    .description = "Rows come as from /query/sql, in every format.",
    .http = {OP_POST, "/query/saved/{name}/run"},
    .effect = OP_READ,
    .permission = "query",
    .body = OP_BODY_JSON,
    .fields = &run_fields,
    .kind = OP_ROWS,
    .result = &op_query_result_fields,
    .errors = OP_ERRORS(LH_SYNTAX, LH_SQL, LH_FORBIDDEN, LH_REFUSED, LH_NOT_FOUND,
                        LH_NOT_ACCEPTABLE, LH_LOST, LH_DAMAGED, LH_TIMEOUT, LH_RACE),
    OP_EXAMPLES(run_examples),
    .run = run_run,
};
