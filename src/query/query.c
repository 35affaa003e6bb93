/* Statements from request to last row, and the engine that opens them. */
#include <assert.h>
#include <stdlib.h>

#include "query/internal.h"

#include "base/clock.h"
#include "base/file.h"
#include "catalog/catalog.h"
#include "query/encode.h"
#include "storage/buckets.h"
#include "storage/storage.h"

struct query_engine {
    struct engine *engine;
    struct catalog *catalog;
    struct query_sources sources;
    struct query_datasets datasets;
    const struct lh_str *table_functions;
    size_t table_function_count;
    uint64_t (*table_function_stamp)(void *context);
    void *table_function_context;
    struct query_plans *plans;
    struct lh_arena *arena;
    struct lh_str scratch_path;
    _Atomic int64_t queries, refused, hits, misses;
};

struct query {
    struct query_engine *engine;
    struct engine_connection *connection;
    struct engine_cursor *cursor;
    struct query_plan *plan;
    struct query_scope scope;
    struct query_rescues rescues; /* the scope's */
    struct lh_cancel cancel;      /* the caller's, and the time limit */
    struct lh_arena *arena;       /* the scope's pins, parameters */
    struct engine_params params;
    struct engine_chunk cut; /* the last chunk, up to the limit */
    int64_t limit;
    int64_t row_count;
    int64_t started_us;
    int file;                 /* -1: the rows come from the cursor */
    struct lh_str file_sql;   /* what is copied to the file */
    bool is_file_sql_spliced; /* it is the plan's, so its errors are rewritten */
    bool is_truncated;
    bool is_at_end;
};

enum lh_code query_engine_new(const struct query_engine_options *options, struct query_engine **ret,
                              struct lh_error *err)
{
    if (options->relation_count + 1 > QUERY_SOURCES_MAX)
        return lh_fail(err, LH_INVALID, "There are %zu sources of relations; at most %d are taken.",
                       options->relation_count, QUERY_SOURCES_MAX - 1);
    struct query_engine *engine = calloc(1, sizeof *engine);
    struct query_plans *plans = query_plans_new(options->plan_max);
    if (!engine || !plans) {
        free(engine);
        query_plans_free(plans);
        return lh_fail(err, LH_BUSY, "There is no memory for the query engine.");
    }
    engine->engine = options->engine;
    engine->catalog = options->catalog;
    engine->table_functions = options->table_functions;
    engine->table_function_count = options->table_function_count;
    engine->table_function_stamp = options->table_function_stamp;
    engine->table_function_context = options->table_function_context;
    engine->plans = plans;
    engine->arena = lh_arena_new(0);
    engine->scratch_path = lh_arena_str(engine->arena, options->scratch_path);
    if (!options->scratch_path.len && options->storage)
        engine->scratch_path = lh_arena_str(engine->arena, storage_scratch_path(options->storage));
    for (size_t i = 0; i < options->relation_count; i++)
        engine->sources.items[engine->sources.count++] = options->relations[i];
    if (options->catalog) {
        query_datasets_init(&engine->datasets, options->catalog, options->storage, options->engine);
        engine->sources.items[engine->sources.count++] = &engine->datasets.relations;
    }
    *ret = engine;
    return LH_OK;
}

void query_engine_free(struct query_engine *engine)
{
    if (!engine)
        return;
    query_plans_free(engine->plans);
    lh_arena_free(engine->arena);
    free(engine);
}

struct query_stats query_engine_stats(struct query_engine *engine)
{
    return (struct query_stats){.queries = atomic_load(&engine->queries),
                                .refused = atomic_load(&engine->refused),
                                .plan_hits = atomic_load(&engine->hits),
                                .plan_misses = atomic_load(&engine->misses),
                                .plans = (int64_t)query_plans_count(engine->plans),
                                .plan_bytes = (int64_t)query_plans_bytes(engine->plans)};
}

/* --- finding the plan */

static uint64_t table_function_stamp(const struct query_engine *engine)
{
    return engine->table_function_stamp
               ? engine->table_function_stamp(engine->table_function_context)
               : 0;
}

static bool plan_holds(const struct query *query, const struct query_plan *plan)
{
    if (plan->lists_names || (plan->calls_table_functions &&
                              plan->table_function_stamp != table_function_stamp(query->engine)))
        return false;
    for (size_t i = 0; i < plan->dep_count; i++)
        if (!query_dep_holds(&query->engine->sources, &query->scope, &plan->deps[i]))
            return false;
    return true;
}

static enum lh_code make_plan(struct query *query, const struct query_request *request,
                              const struct query_as_of *as_of, struct lh_str key,
                              struct lh_error *err)
{
    struct query_engine *engine = query->engine;
    enum lh_code code = LH_OK;
    if (!query->connection)
        code = engine_acquire(engine->engine, (struct lh_str){0}, &query->cancel,
                              &query->connection, err);
    if (code)
        return code;
    struct query_resolve_input input = {.connection = query->connection,
                                        .sources = &engine->sources,
                                        .scope = &query->scope,
                                        .table_functions = engine->table_functions,
                                        .table_function_count = engine->table_function_count,
                                        .table_function_stamp = table_function_stamp(engine),
                                        .as_of = as_of,
                                        .sql = request->sql,
                                        .key = key};
    code = query_resolve(&input, &query->plan, err);
    if (code == LH_REFUSED)
        atomic_fetch_add(&engine->refused, 1);
    if (!code && !query->plan->lists_names && !query->rescues.count)
        query_plans_put(engine->plans, query->plan);
    return code;
}

static enum lh_code find_plan(struct query *query, const struct query_request *request,
                              const struct query_as_of *as_of, struct lh_str key,
                              struct lh_error *err)
{
    struct query_engine *engine = query->engine;
    struct query_plan *plan = query_plans_find(engine->plans, request->sql, key);
    if (plan && plan_holds(query, plan)) {
        atomic_fetch_add(&engine->hits, 1);
        query->plan = plan;
        return LH_OK;
    }
    if (plan)
        query_plans_drop(engine->plans, plan);
    query_plan_unref(plan);
    atomic_fetch_add(&engine->misses, 1);
    return make_plan(query, request, as_of, key, err);
}

/* as_of and grants, so that nobody gets a plan that was made for another view of the lake. */
static struct lh_str plan_key(struct query *query, const struct query_as_of *as_of)
{
    if (!as_of->key.len && !query->scope.grants.len)
        return lh_lit("");
    return lh_arena_printf(query->arena, "%zu:%.*s%.*s", as_of->key.len, LH_ARG(as_of->key),
                           LH_ARG(query->scope.grants));
}

static enum lh_code ensure_files(struct query *query, struct lh_error *err)
{
    const struct query_plan *plan = query->plan;
    for (size_t i = 0; i < plan->dep_count; i++) {
        const struct query_dep *dep = &plan->deps[i];
        const struct query_relations *source = query->engine->sources.items[dep->source];
        if (!dep->stamp || !source->ensure)
            continue;
        enum lh_code code =
            source->ensure(source->context, &query->scope, dep->name, &dep->moment, err);
        if (code)
            return code;
    }
    return LH_OK;
}

/* A plan whose files are what was committed. What only now turned out to be none is read from
 * elsewhere, by a plan that says so. */
static enum lh_code find_sound_plan(struct query *query, const struct query_request *request,
                                    const struct query_as_of *as_of, struct lh_error *err)
{
    struct lh_str key = plan_key(query, as_of);
    enum lh_code code = find_plan(query, request, as_of, key, err);
    size_t planned = query->rescues.count;
    if (!code)
        code = ensure_files(query, err);
    if (code || query->rescues.count == planned)
        return code;
    query_plan_unref(query->plan);
    query->plan = NULL;
    return make_plan(query, request, as_of, key, err);
}

/* The engine could not read a file that was fine a moment ago: its bucket may have gone, which
 * shows at the next look. */
static bool is_unread(const struct query *query, enum lh_code code)
{
    struct storage *storage = query->engine->datasets.storage;
    if ((code != LH_IO && code != LH_UNREADABLE) || !storage || !query->plan->dep_count)
        return false;
    storage_buckets_look(storage);
    return true;
}

/* Rows may be sent already: all that can be done is to say why no more come. */
static enum lh_code tell_unread(struct query *query, enum lh_code code, struct lh_error *own)
{
    struct lh_error why = LH_ERROR_NONE;
    size_t rescued = query->rescues.count;
    if (!is_unread(query, code))
        return code;
    if (ensure_files(query, &why))
        *own = why;
    else if (query->rescues.count > rescued) {
        lh_fail(own, LH_RACE, "A file that the statement reads went away meanwhile.");
        lh_error_hint(own, "Ask again: there is a copy of it.");
    }
    return own->code;
}

static enum lh_code check_request(const struct query_principal *principal,
                                  const struct query_request *request, struct lh_error *err)
{
    if (!principal->is_trusted) {
        lh_fail(err, LH_FORBIDDEN, "This role may not use SQL.");
        return lh_error_hint(err,
                             "Roles that see a part of the data read through views and tools.");
    }
    if (request->limit < 0 || request->limit > QUERY_ROWS_MAX) {
        lh_fail(err, LH_INVALID, "limit is a whole number from 1 to %lld.",
                (long long)QUERY_ROWS_MAX);
        return lh_error_field(err, lh_lit("limit"));
    }
    if (request->timeout_ms < 0 || request->timeout_ms > QUERY_TIMEOUT_MS_MAX) {
        lh_fail(err, LH_INVALID, "timeout_ms is a whole number from 1 to %lld.",
                (long long)QUERY_TIMEOUT_MS_MAX);
        return lh_error_field(err, lh_lit("timeout_ms"));
    }
    return LH_OK;
}

/* Everything up to a plan whose files are what was committed. */
static enum lh_code prepare(struct query_engine *engine, const struct query_principal *principal,
                            const struct query_request *request, const struct lh_cancel *cancel,
                            struct query **ret, struct lh_error *err)
{
    struct query_as_of as_of;
    enum lh_code code = check_request(principal, request, err);
    if (code)
        return code;
    struct query *query = calloc(1, sizeof *query);
    if (!query)
        return lh_fail(err, LH_BUSY, "There is no memory for a statement.");
    atomic_fetch_add(&engine->queries, 1);
    query->engine = engine;
    query->file = -1;
    query->started_us = lh_clock_monotonic_us();
    query->limit = request->limit ? request->limit : QUERY_ROWS_PRESET;
    query->arena = lh_arena_new(0);
    lh_cancel_init_child(&query->cancel, cancel);
    lh_cancel_set_timeout_from(&query->cancel,
                               request->timeout_ms ? request->timeout_ms : QUERY_TIMEOUT_MS_PRESET,
                               request->received_us ? request->received_us : query->started_us);
    query->scope = (struct query_scope){
        .snapshot = engine->catalog ? catalog_snapshot_ref(engine->catalog) : NULL,
        .grants = principal->grants,
        .sees_raw = principal->sees_raw,
        .pins = query->arena,
        .cancel = &query->cancel,
        .rescues = &query->rescues};
    code = query_as_of_read(request->as_of, query->arena, &as_of, err);
    if (!code)
        code = query_params_read(request->parameters, query->arena, &query->params, err);
    if (!code)
        code = find_sound_plan(query, request, &as_of, err);
    if (code)
        query_close(query);
    else
        *ret = query;
    return code;
}

/* --- running */

/* Who asks for fewer rows waits for preparing the statement once, not twice, and gains no more from
 * blocks than that costs. */
#define BLOCK_ROWS_MIN 50000

/* What a function of ours returns may have other columns at its next call. */
static bool is_for_blocks(const struct query *query, const struct query_request *request)
{
    return request->encoder && request->encoder->write && query->limit >= BLOCK_ROWS_MIN &&
           query->params.count == 0 && !query->plan->calls_table_functions;
}

static enum lh_code run_blocks(struct query *query, struct lh_str sql,
                               const struct query_encoder *encoder, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    if (!query->connection)
        code = engine_acquire(query->engine->engine, sql, &query->cancel, &query->connection, err);
    if (!code)
        code = engine_run_blocks(query->connection, sql, encoder->write, &query->cancel,
                                 &query->cursor, err);
    return code;
}

static enum lh_code run(struct query *query, struct lh_str sql, const struct engine_params *params,
                        struct lh_error *err)
{
    enum lh_code code = LH_OK;
    if (!query->connection)
        code = engine_acquire(query->engine->engine, sql, &query->cancel, &query->connection, err);
    if (!code)
        code = engine_run(query->connection, sql, params, &query->cancel, &query->cursor, err);
    return code;
}

/* The text of the one cell that the engine's EXPLAIN returns beside its kind. */
static enum lh_code read_plan(struct query *query, struct lh_buf *buf, struct lh_error *err)
{
    const struct engine_chunk *chunk = NULL;
    struct lh_buf json;
    lh_buf_init(&json, (size_t)16 << 20);
    enum lh_code code = engine_cursor_next(query->cursor, &chunk, err);
    while (!code && chunk) {
        const struct engine_vector *last = &chunk->columns[chunk->column_count - 1];
        for (size_t row = 0; row < chunk->row_count && last->type == ENGINE_TEXT; row++)
            lh_buf_append_str(&json, engine_vector_str(last, row));
        code = engine_cursor_next(query->cursor, &chunk, err);
    }
    if (!code)
        code = lh_buf_check(&json, "The plan of the statement", err);
    if (!code)
        code = query_plan_text(lh_buf_str(&json), buf, err);
    lh_buf_release(&json);
    engine_cursor_close(query->cursor);
    query->cursor = NULL;
    return code;
}

static enum lh_code explain(struct query *query, bool is_analyzed, struct lh_buf *buf,
                            struct lh_error *err)
{
    static const struct lh_str plain = LH_LIT("EXPLAIN (FORMAT json) ");
    static const struct lh_str analyzed = LH_LIT("EXPLAIN (ANALYZE, FORMAT json) ");
    struct lh_str prefix = is_analyzed ? analyzed : plain;
    struct lh_buf sql;
    lh_buf_init(&sql, query->plan->splice.text.len + prefix.len);
    lh_buf_append_str(&sql, prefix);
    lh_buf_append_str(&sql, query->plan->splice.text);
    enum lh_code code = lh_buf_check(&sql, "The statement", err);
    if (!code) {
        code = run(query, lh_buf_str(&sql), &query->params, err);
        if (!code)
            code = read_plan(query, buf, err);
        if (code && err && err->position >= (int64_t)prefix.len)
            err->position -= (int64_t)prefix.len;
        if (code)
            code = query_message(query->plan, err);
    }
    lh_buf_release(&sql);
    return code;
}

int query_file(const struct query *query)
{
    return query->file;
}

/* The library opens the nameless file anew by its descriptor. Its row groups are small, so that the
 * first is sent soon. */
#define FILE_GROUP_ROWS 20480
enum lh_code query_copy(struct query *query,
                        enum lh_code (*step)(void *context, struct lh_error *err), void *context,
                        struct lh_error *err)
{
    const struct engine_copy_options options = {.row_max = query->limit,
                                                .row_group_rows = FILE_GROUP_ROWS,
                                                .has_distinct_names = true,
                                                .has_no_sums = true,
                                                .step = step,
                                                .step_context = context};
    struct engine_content content;
    struct lh_error own = LH_ERROR_NONE;
    struct lh_str path = lh_arena_printf(query->arena, "/proc/self/fd/%d", query->file);
    const struct engine_params *params = query->is_file_sql_spliced ? &query->params : NULL;
    enum lh_code code = engine_copy(query->connection, query->file_sql, path, &options, params,
                                    &query->cancel, &content, &own);
    query->is_at_end = true;
    if (!code) {
        query->row_count = (int64_t)content.rows;
        return LH_OK;
    }
    if (query->is_file_sql_spliced)
        code = tell_unread(query, query_message(query->plan, &own), &own);
    if (err)
        *err = own;
    return code;
}

static enum lh_code prepare_file(struct query *query, struct lh_str sql, bool is_spliced,
                                 struct lh_error *err)
{
    enum lh_code code = lh_file_nameless(query->engine->scratch_path, &query->file, err);
    if (!code && !query->connection)
        code = engine_acquire(query->engine->engine, sql, &query->cancel, &query->connection, err);
    query->file_sql = lh_arena_str(query->arena, sql);
    query->is_file_sql_spliced = is_spliced;
    return code;
}

static enum lh_code start(struct query *query, const struct query_request *request,
                          struct lh_str sql, const struct engine_params *params,
                          struct lh_error *err)
{
    if (request->encoder && request->encoder->is_file)
        return prepare_file(query, sql, params != NULL, err);
    return is_for_blocks(query, request) ? run_blocks(query, sql, request->encoder, err)
                                         : run(query, sql, params, err);
}

/* EXPLAIN in the text answers with rows, as the engine's own does. */
static enum lh_code open_explained(struct query *query, const struct query_request *request,
                                   struct lh_error *err)
{
    struct lh_buf plan, sql;
    bool is_analyzed = query->plan->kind == QUERY_PLAN_ANALYZE;
    lh_buf_init(&plan, (size_t)1 << 20);
    lh_buf_init(&sql, (size_t)4 << 20);
    enum lh_code code = explain(query, is_analyzed, &plan, err);
    if (!code) {
        lh_buf_printf(&sql, "SELECT '%s' AS explain_key, ",
                      is_analyzed ? "analyzed_plan" : "physical_plan");
        engine_quote_literal(&sql, lh_buf_str(&plan));
        lh_buf_append_str(&sql, lh_lit(" AS explain_value"));
        code = lh_buf_check(&sql, "The plan of the statement", err);
    }
    if (!code)
        code = start(query, request, lh_buf_str(&sql), NULL, err);
    lh_buf_release(&plan);
    lh_buf_release(&sql);
    return code;
}

/* What it reads was written anew since it was planned, as the journal is when rows are erased: the
 * files that the plan names may be gone. */
static bool is_outdated(const struct query *query)
{
    return !lh_cancel_check(&query->cancel) && !plan_holds(query, query->plan) &&
           !query->plan->lists_names && !query->plan->calls_table_functions;
}

static enum lh_code open_once(struct query_engine *engine, const struct query_principal *principal,
                              const struct query_request *request, const struct lh_cancel *cancel,
                              bool *ret_is_again, struct query **ret, struct lh_error *err)
{
    struct query *query = NULL;
    struct lh_error own = LH_ERROR_NONE; /* err may be NULL, and messages are rewritten */
    enum lh_code code = prepare(engine, principal, request, cancel, &query, &own);
    assert(code || query);
    if (code)
        query_place_line(request->sql, &own);
    if (!code && query->plan->kind != QUERY_PLAN_ROWS) {
        code = open_explained(query, request, &own);
    } else if (!code) {
        code = start(query, request, query->plan->splice.text, &query->params, &own);
        if (code)
            code = query_message(query->plan, &own);
    }
    if (code) {
        *ret_is_again = query && (is_outdated(query) || is_unread(query, code));
        query_close(query);
        if (err)
            *err = own;
        return code;
    }
    *ret = query;
    return LH_OK;
}

enum lh_code query_open(struct query_engine *engine, const struct query_principal *principal,
                        const struct query_request *request, const struct lh_cancel *cancel,
                        struct query **ret, struct lh_error *err)
{
    bool is_again = false;
    enum lh_code code = open_once(engine, principal, request, cancel, &is_again, ret, err);
    if (code && is_again)
        code = open_once(engine, principal, request, cancel, &is_again, ret, err);
    return code;
}

static enum lh_code explain_once(struct query_engine *engine,
                                 const struct query_principal *principal,
                                 const struct query_request *request, bool is_analyzed,
                                 const struct lh_cancel *cancel, struct lh_buf *plan,
                                 bool *ret_is_again, struct lh_error *err)
{
    struct query *query = NULL;
    enum lh_code code = prepare(engine, principal, request, cancel, &query, err);
    assert(code || query);
    if (code)
        query_place_line(request->sql, err);
    else
        code = explain(query, is_analyzed || query->plan->kind == QUERY_PLAN_ANALYZE, plan, err);
    *ret_is_again = code && query && is_unread(query, code);
    query_close(query);
    return code;
}

enum lh_code query_explain(struct query_engine *engine, const struct query_principal *principal,
                           const struct query_request *request, bool is_analyzed,
                           const struct lh_cancel *cancel, struct lh_arena *arena,
                           struct lh_str *ret_plan, struct lh_error *err)
{
    struct lh_error own = LH_ERROR_NONE;
    struct lh_buf plan;
    bool is_again = false;
    lh_buf_init(&plan, (size_t)1 << 20);
    enum lh_code code =
        explain_once(engine, principal, request, is_analyzed, cancel, &plan, &is_again, &own);
    if (is_again) {
        lh_buf_clear(&plan);
        own = (struct lh_error)LH_ERROR_NONE;
        code =
            explain_once(engine, principal, request, is_analyzed, cancel, &plan, &is_again, &own);
    }
    if (!code && !lh_arena_try_str(arena, lh_buf_str(&plan), ret_plan))
        code = lh_fail(&own, LH_BUSY, "There is no memory for the plan.");
    if (code && err)
        *err = own;
    lh_buf_release(&plan);
    return code;
}

enum lh_code query_parameters(struct query_engine *engine, const struct query_principal *principal,
                              const struct query_request *request, const struct lh_cancel *cancel,
                              struct lh_arena *arena, struct lh_str **ret, size_t *ret_count,
                              struct lh_error *err)
{
    struct query *query = NULL;
    struct lh_error own = LH_ERROR_NONE;
    enum lh_code code = prepare(engine, principal, request, cancel, &query, &own);
    assert(code || query);
    if (!code && !query->connection)
        code = engine_acquire(engine->engine, query->plan->splice.text, &query->cancel,
                              &query->connection, &own);
    if (!code) {
        code = engine_param_names(query->connection, query->plan->splice.text, &query->cancel,
                                  arena, ret, ret_count, &own);
        if (code)
            code = query_message(query->plan, &own);
    }
    if (code && err)
        *err = own;
    query_close(query);
    return code;
}

const struct engine_column *query_columns(const struct query *query, size_t *ret_count)
{
    *ret_count = query->cursor ? engine_cursor_column_count(query->cursor) : 0;
    return query->cursor ? engine_cursor_columns(query->cursor) : NULL;
}

bool query_has_blocks(const struct query *query)
{
    return query->cursor && engine_cursor_has_blocks(query->cursor);
}

static enum lh_code fail_next(struct query *query, struct lh_error *own, struct lh_error *err)
{
    enum lh_code code = query_message(query->plan, own);
    if (is_outdated(query)) {
        code = lh_fail(own, LH_RACE, "What the statement reads was written anew meanwhile.");
        lh_error_hint(own, "Ask again.");
    } else {
        code = tell_unread(query, code, own);
    }
    if (err)
        *err = *own;
    return code;
}

/* The limit is no LIMIT in the text, which could change what a statement means: the cursor streams,
 * so what is not asked for is not computed. Rows beyond the limit tell that there were more. Counts
 * those that came (0: it is the end) and returns how many of them are within the limit. */
static size_t count_rows(struct query *query, size_t row_count)
{
    int64_t left = query->limit - query->row_count;
    size_t taken = (int64_t)row_count > left ? (size_t)left : row_count;
    query->is_truncated = row_count > taken;
    query->is_at_end = taken == 0 || query->is_truncated;
    query->row_count += (int64_t)taken;
    return taken;
}

enum lh_code query_next(struct query *query, const struct engine_chunk **ret, struct lh_error *err)
{
    const struct engine_chunk *chunk = NULL;
    struct lh_error own = LH_ERROR_NONE;
    *ret = NULL;
    if (query->is_at_end)
        return LH_OK;
    if (engine_cursor_next(query->cursor, &chunk, &own))
        return fail_next(query, &own, err);
    size_t taken = count_rows(query, chunk ? chunk->row_count : 0);
    if (taken == 0)
        return LH_OK;
    assert(chunk); /* none has no rows */
    if (taken < chunk->row_count) {
        query->cut = *chunk;
        query->cut.row_count = taken;
        chunk = &query->cut;
    }
    *ret = chunk;
    return LH_OK;
}

enum lh_code query_next_block(struct query *query, struct lh_str *ret, struct lh_error *err)
{
    const struct engine_block *block = NULL;
    struct lh_error own = LH_ERROR_NONE;
    *ret = (struct lh_str){0};
    if (query->is_at_end)
        return LH_OK;
    if (engine_cursor_next_block(query->cursor, &block, &own))
        return fail_next(query, &own, err);
    size_t taken = count_rows(query, block ? block->row_count : 0);
    assert(block || !taken); /* none has no rows */
    if (taken > 0)
        *ret = lh_str_slice(lh_buf_str(&block->bytes), 0, block->ends[taken - 1]);
    return LH_OK;
}

const struct query_version *query_versions(const struct query *query, size_t *ret_count)
{
    *ret_count = query->plan->version_count;
    return query->plan->versions;
}

int64_t query_row_count(const struct query *query)
{
    return query->row_count;
}

bool query_is_truncated(const struct query *query)
{
    return query->is_truncated;
}

int64_t query_elapsed_us(const struct query *query)
{
    return lh_clock_monotonic_us() - query->started_us;
}

void query_close(struct query *query)
{
    if (!query)
        return;
    engine_cursor_close(query->cursor);
    engine_release(query->connection);
    lh_file_abandon(query->file);
    query_plan_unref(query->plan);
    lh_arena_free(query->arena);
    if (query->scope.snapshot)
        catalog_snapshot_unref(query->scope.snapshot);
    free(query);
}
