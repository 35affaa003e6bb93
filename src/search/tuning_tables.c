/* Trials and promotions as tables inside SQL: all records of all indexes, as they are when the
 * statement begins to run. */
#include <math.h>
#include <stdlib.h>

#include "engine/function.h"
#include "search/trials.h"

/* A record as a row: flat, with the index's name of today. */
struct trial_row {
    struct lh_str index_name, trial_id;
    struct lh_time trial_at;
    struct lh_str trial_by, job_id, harness;
    int64_t ef_construction, ef_search, seed, m;
    double recall, p50_us, p95_us;
    int64_t evaluations, build_ms, bytes, queries, k, entries;
    double label_recall, mrr, ndcg;
    int64_t dataset_version, generation;
    bool is_stale;
};
static const struct lh_field trial_columns[] = {
    LH_STR(struct trial_row, index_name),
    LH_STR(struct trial_row, trial_id),
    LH_TIME(struct trial_row, trial_at),
    LH_STR(struct trial_row, trial_by),
    LH_STR(struct trial_row, job_id),
    LH_STR(struct trial_row, harness),
    LH_INT(struct trial_row, ef_construction),
    LH_INT(struct trial_row, ef_search),
    LH_INT(struct trial_row, seed),
    LH_INT(struct trial_row, m),
    LH_DOUBLE(struct trial_row, recall),
    LH_DOUBLE(struct trial_row, p50_us),
    LH_DOUBLE(struct trial_row, p95_us),
    LH_INT(struct trial_row, evaluations),
    LH_INT(struct trial_row, build_ms),
    LH_INT(struct trial_row, bytes),
    LH_INT(struct trial_row, queries),
    LH_INT(struct trial_row, k),
    LH_INT(struct trial_row, entries),
    LH_DOUBLE(struct trial_row, label_recall),
    LH_DOUBLE(struct trial_row, mrr),
    LH_DOUBLE(struct trial_row, ndcg),
    LH_INT(struct trial_row, dataset_version),
    LH_INT(struct trial_row, generation),
    LH_BOOL(struct trial_row, is_stale),
};

struct promotion_row {
    struct lh_str index_name, promotion_id, event;
    struct lh_time promoted_at;
    struct lh_str promoted_by, note, job_id, trial_id, harness, previous;
    struct lh_opt_int ef_construction, ef_search, seed, m, queries;
    double recall, p50_us;
    struct lh_time measured_at;
    bool is_current;
};
static const struct lh_field promotion_columns[] = {
    LH_STR(struct promotion_row, index_name),
    LH_STR(struct promotion_row, promotion_id),
    LH_STR(struct promotion_row, event),
    LH_TIME(struct promotion_row, promoted_at),
    LH_STR(struct promotion_row, promoted_by),
    LH_STR(struct promotion_row, note),
    LH_STR(struct promotion_row, job_id),
    LH_STR(struct promotion_row, trial_id),
    LH_STR(struct promotion_row, harness),
    LH_STR(struct promotion_row, previous),
    LH_OPT_INT(struct promotion_row, ef_construction),
    LH_OPT_INT(struct promotion_row, ef_search),
    LH_OPT_INT(struct promotion_row, seed),
    LH_OPT_INT(struct promotion_row, m),
    LH_OPT_INT(struct promotion_row, queries),
    LH_DOUBLE(struct promotion_row, recall),
    LH_DOUBLE(struct promotion_row, p50_us),
    LH_TIME(struct promotion_row, measured_at),
    LH_BOOL(struct promotion_row, is_current),
};

/* The rows of one index. */
struct rows {
    struct lh_arena *arena;
    const void **items;
    size_t count, at;
};
struct table {
    const char *function;
    const struct lh_field *columns;
    size_t column_count;
    enum lh_code (*read)(struct search *search, const struct index_manifest *head,
                         struct lh_arena *arena, const void ***ret, size_t *ret_count,
                         struct lh_error *err);
};
struct table_context {
    struct search *search;
    const struct table *table;
};

static enum lh_code read_trials(struct search *search, const struct index_manifest *head,
                                struct lh_arena *arena, const void ***ret, size_t *ret_count,
                                struct lh_error *err)
{
    struct search_trial *trials = NULL;
    enum lh_code code = trials_read(search, head, arena, &trials, ret_count, err);
    if (code)
        return code;
    const void **items = lh_arena_array(arena, *ret_count + 1, sizeof *items);
    for (size_t i = 0; i < *ret_count; i++) {
        const struct search_trial *trial = &trials[i];
        const struct search_relevance *labels = trial->relevance;
        struct trial_row *row = lh_arena_alloc(arena, sizeof *row);
        items[i] = row;
        *row = (struct trial_row){
            trial->index_name,
            trial->trial_id,
            trial->trial_at,
            trial->trial_by,
            trial->job_id,
            trial->harness,
            trial->config->ef_construction,
            trial->config->ef_search,
            trial->config->seed,
            trial->config->m,
            trial->recall,
            trial->p50_us,
            trial->p95_us,
            trial->evaluations,
            trial->build_ms,
            trial->bytes,
            trial->queries,
            trial->k,
            trial->entries,
            labels ? labels->recall : NAN,
            labels ? labels->mrr : NAN,
            labels ? labels->ndcg : NAN,
            trial->dataset_version,
            trial->generation,
            trial->is_stale,
        };
    }
    *ret = items;
    return LH_OK;
}

static enum lh_code read_promotions(struct search *search, const struct index_manifest *head,
                                    struct lh_arena *arena, const void ***ret, size_t *ret_count,
                                    struct lh_error *err)
{
    struct search_promotion *history = NULL;
    enum lh_code code = promotions_read(search, head, arena, &history, ret_count, err);
    if (code)
        return code;
    const void **items = lh_arena_array(arena, *ret_count + 1, sizeof *items);
    for (size_t i = 0; i < *ret_count; i++) {
        const struct search_promotion *from = &history[i];
        const struct search_configuration *config = from->config;
        struct promotion_row *row = lh_arena_alloc(arena, sizeof *row);
        items[i] = row;
        *row = (struct promotion_row){
            .index_name = from->index_name,
            .promotion_id = from->promotion_id,
            .event = lh_str_of(search_promotion_event_names[from->event]),
            .promoted_at = from->promoted_at,
            .promoted_by = from->promoted_by,
            .note = from->note,
            .job_id = from->job_id,
            .trial_id = from->trial_id,
            .harness = from->harness,
            .previous = from->previous,
            .queries = from->queries,
            .recall = from->recall,
            .p50_us = from->p50_us,
            .measured_at = from->measured_at,
            .is_current = i + 1 == *ret_count && config,
        };
        if (config) {
            row->ef_construction = (struct lh_opt_int){true, config->ef_construction};
            row->ef_search = (struct lh_opt_int){true, config->ef_search};
            row->seed = (struct lh_opt_int){true, config->seed};
            row->m = (struct lh_opt_int){true, config->m};
        }
    }
    *ret = items;
    return LH_OK;
}

static const struct table tables[] = {
    {"lakehouse_hnsw_trials", trial_columns, sizeof trial_columns / sizeof trial_columns[0],
     read_trials},
    {"lakehouse_hnsw_promotions", promotion_columns,
     sizeof promotion_columns / sizeof promotion_columns[0], read_promotions},
};

/* --- for the engine */

static enum engine_type type_of(const struct lh_field *field)
{
    switch (field->type) {
    case LH_FIELD_STR:
        return ENGINE_TEXT;
    case LH_FIELD_TIME:
        return ENGINE_TIMESTAMP_TZ;
    case LH_FIELD_DOUBLE:
        return ENGINE_DOUBLE;
    case LH_FIELD_BOOL:
        return ENGINE_BOOL;
    default:
        return ENGINE_INT64;
    }
}

static enum lh_code bind(void *context, struct engine_bind *bind, void **ret_bound,
                         struct lh_error *err)
{
    const struct table *table = ((const struct table_context *)context)->table;
    (void)err;
    for (size_t i = 0; i < table->column_count; i++)
        engine_bind_column(bind, lh_str_of(table->columns[i].name), type_of(&table->columns[i]),
                           false);
    *ret_bound = NULL;
    return LH_OK;
}

static void free_rows(void *state)
{
    struct rows *rows = state;
    if (rows)
        lh_arena_free(rows->arena);
}

static int compare_heads(const void *a, const void *b)
{
    const struct index_manifest *const *x = a, *const *y = b;
    return lh_str_compare_nocase((*x)->name, (*y)->name);
}

static enum lh_code start(void *context, void *bound, struct engine_scan *scan, void **ret_state,
                          struct lh_error *err)
{
    const struct table_context *of = context;
    struct lh_arena *arena = lh_arena_new(0);
    struct rows *rows = lh_arena_alloc(arena, sizeof *rows);
    struct index_manifest **heads = NULL;
    size_t count = 0, kept = 0;
    enum lh_code code = LH_OK;
    (void)bound;
    rows->arena = arena;
    registry_heads(of->search, &heads, &count);
    qsort(heads, count, sizeof(struct index_manifest *), compare_heads);
    const void ***items = lh_arena_array(arena, count + 1, sizeof *items);
    size_t *counts = lh_arena_array(arena, count + 1, sizeof *counts);
    for (size_t i = 0; i < count; i++) {
        if (!code)
            code = of->table->read(of->search, heads[i], arena, &items[i], &counts[i], err);
        if (!code)
            code = lh_cancel_fail(engine_scan_cancel(scan), "The statement", err);
        rows->count += code ? 0 : counts[i];
        index_manifest_unref(heads[i]);
    }
    rows->items = lh_arena_array(arena, rows->count + 1, sizeof *rows->items);
    for (size_t i = 0; i < count && !code; kept += counts[i++])
        if (counts[i])
            memcpy(rows->items + kept, items[i], counts[i] * sizeof *rows->items);
    free(heads);
    if (code)
        lh_arena_free(arena);
    else
        *ret_state = rows;
    return code;
}

static void write_cell(const struct lh_field *field, const void *record, struct engine_write *write,
                       size_t at, size_t row)
{
    const void *member = (const char *)record + field->offset;
    const struct lh_str *text = member;
    const struct lh_opt_int *optional = member;
    bool is_null = (field->type == LH_FIELD_STR && !text->data) ||
                   (field->type == LH_FIELD_TIME && !((const struct lh_time *)member)->unix_ms) ||
                   (field->type == LH_FIELD_DOUBLE && isnan(*(const double *)member)) ||
                   (field->type == LH_FIELD_OPT_INT && !optional->is_set);
    if (is_null)
        engine_write_null(write, at, row);
    else if (field->type == LH_FIELD_STR)
        engine_write_str(write, at, row, *text);
    else if (field->type == LH_FIELD_TIME)
        ((int64_t *)engine_write_data(write, at))[row] =
            ((const struct lh_time *)member)->unix_ms * 1000;
    else if (field->type == LH_FIELD_DOUBLE)
        ((double *)engine_write_data(write, at))[row] = *(const double *)member;
    else if (field->type == LH_FIELD_BOOL)
        ((uint8_t *)engine_write_data(write, at))[row] = *(const bool *)member;
    else
        ((int64_t *)engine_write_data(write, at))[row] =
            field->type == LH_FIELD_OPT_INT ? optional->value : *(const int64_t *)member;
}

static enum lh_code next(void *context, void *bound, void *state, struct engine_scan *scan,
                         struct engine_write *write, size_t *ret_rows, struct lh_error *err)
{
    const struct table *table = ((const struct table_context *)context)->table;
    struct rows *rows = state;
    size_t count = rows->count - rows->at;
    (void)bound;
    (void)err;
    if (count > ENGINE_CHUNK_ROWS)
        count = ENGINE_CHUNK_ROWS;
    for (size_t at = 0; at < engine_scan_column_count(scan); at++)
        for (size_t row = 0; row < count; row++)
            write_cell(&table->columns[engine_scan_column(scan, at)], rows->items[rows->at + row],
                       write, at, row);
    rows->at += count;
    *ret_rows = count;
    return LH_OK;
}

enum lh_code tuning_tables_register(struct search *search, struct lh_error *err)
{
    size_t count = sizeof tables / sizeof tables[0];
    struct table_context *contexts = lh_arena_array(search->arena, count, sizeof *contexts);
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < count && !code; i++) {
        contexts[i] = (struct table_context){search, &tables[i]};
        const struct engine_table_function function = {
            .name = tables[i].function,
            .context = &contexts[i],
            .bind = bind,
            .start = start,
            .next = next,
            .free_state = free_rows,
        };
        code = engine_register_table(search->options.engine, &function, err);
    }
    return code;
}
