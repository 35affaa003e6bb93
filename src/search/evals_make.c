/* Eval sets are made: drawn from the rows of an index, or from what people say. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "search/bench.h"
#include "search/evals.h"

static const struct lh_field label_rows[] = {
    LH_STR(struct search_eval_label, query, .max = SEARCH_QUERY_BYTES_MAX, .doc = "Words."),
    LH_JSON(struct search_eval_label, vector, .doc = "Instead of words: a list of numbers."),
    LH_JSON(struct search_eval_label, relevant, .required = true,
            .doc = "Ids of the rows that should be found: numbers or texts."),
};
const struct lh_fields search_eval_label_fields =
    LH_FIELDS_OF(struct search_eval_label, "EvalLabel", label_rows);

static void begin_set(const struct bench *bench, struct lh_str name, int64_t k, struct lh_str actor,
                      struct eval_set *ret)
{
    const struct index_manifest *manifest = bench->view->manifest;
    const struct catalog_dataset *dataset = bench->pin.dataset;
    *ret = (struct eval_set){
        .format = 1,
        .name = name,
        .k = k,
        .dataset_id = manifest->dataset_id,
        .dataset_data = dataset_fingerprint(dataset, bench->arena),
        .dataset_version = dataset->version,
        .covered_data = manifest->dataset_data,
        .covered_version = manifest->dataset_version,
        .generation = manifest->generation,
        .created_by = actor,
        .created_at = {lh_clock_unix_ms()},
    };
}

/* Stores what was made, and tells of it; texts of *ret are copied. */
static enum lh_code end_set(const struct bench *bench, const struct eval_set *set,
                            struct lh_arena *arena, struct search_eval *ret, struct lh_error *err)
{
    enum lh_code code = eval_store(bench->search, bench->view->manifest->id, set, err);
    if (code)
        return code;
    eval_describe(set, bench->view->manifest, bench->pin.dataset, arena, ret);
    ret->name = lh_arena_str(arena, set->name);
    ret->created_by = lh_arena_str(arena, set->created_by);
    ret->dataset_id = lh_arena_str(arena, set->dataset_id);
    ret->dataset_data = lh_arena_str(arena, set->dataset_data);
    return LH_OK;
}

static enum lh_code check_k(int64_t k, struct lh_error *err)
{
    if (k >= 1 && k <= SEARCH_EVAL_K_MAX)
        return LH_OK;
    lh_fail(err, LH_INVALID, "k is a whole number from 1 to %d.", SEARCH_EVAL_K_MAX);
    return lh_error_field(err, lh_lit("k"));
}

static enum lh_code check_room(const struct bench *bench, struct lh_str name, struct lh_error *err)
{
    struct search_eval *items = NULL;
    size_t count = 0;
    struct lh_str next;
    enum lh_code code =
        search_eval_list(bench->search, bench->view->manifest->name, (struct lh_str){0},
                         SEARCH_EVALS_MAX, bench->arena, &items, &count, &next, err);
    for (size_t i = 0; i < count && !code; i++)
        if (lh_str_equal(items[i].name, name))
            return LH_OK;
    if (!code && count == SEARCH_EVALS_MAX)
        code = lh_fail(err, LH_CONFLICT, "The index '%.*s' has %d eval sets; remove one first.",
                       LH_ARG(bench->view->manifest->name), SEARCH_EVALS_MAX);
    return code;
}

/* --- drawn */

struct lot {
    uint64_t number;
    size_t row;
};

/* The same row gets the same number whatever stands beside it: so a set that is drawn anew after a
 * few rows came keeps most of its queries. */
static uint64_t draw(struct lh_str id, int64_t seed)
{
    uint64_t x = lh_str_hash(id) + (uint64_t)seed * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static int compare_lots(const void *a, const void *b)
{
    const struct lot *x = a, *y = b;
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static enum lh_code draw_rows(const struct bench *bench, int64_t seed, struct lot **ret,
                              size_t *ret_count, struct lh_error *err)
{
    const struct view *view = bench->view;
    struct lot *lots = calloc(view->live_rows + 1, sizeof *lots);
    size_t count = 0;
    if (!lots)
        return lh_fail(err, LH_BUSY, "There is no memory to draw queries.");
    for (size_t p = 0; p < view->part_count; p++)
        for (size_t i = 0; i < view->parts[p]->count; i++)
            if (view->parts[p]->chunks[i] == 0 && !bit_is_set(bench->mute, view->bases[p] + i))
                lots[count++] =
                    (struct lot){draw(view->parts[p]->ids[i], seed), view->bases[p] + i};
    qsort(lots, count, sizeof *lots, compare_lots);
    *ret = lots;
    *ret_count = count;
    return LH_OK;
}

static enum lh_code ask_row(const struct bench *bench, size_t row, size_t k, float *vector,
                            struct bench_row *room, struct search_eval_query *ret,
                            struct lh_error *err)
{
    const struct view *view = bench->view;
    size_t dimensions = (size_t)view->manifest->dimensions, at = 0, count = 0;
    const struct entries *part = view_entry(view, row, &at);
    memcpy(vector, part->vectors + at * dimensions, dimensions * sizeof *vector);
    enum lh_code code = bench_exact(bench, vector, row, k, room, &count, err);
    if (code)
        return code;
    struct lh_str *ids = lh_arena_array(bench->arena, count + 1, sizeof *ids);
    *ret = (struct search_eval_query){.id = part->ids[at], .relevant = {ids, count}};
    for (size_t i = 0; i < count; i++) {
        const struct entries *of = view_entry(view, room[i].row, &at);
        ids[i] = of->ids[at];
        ret->floor = (double)room[i].score;
    }
    return LH_OK;
}

static enum lh_code ask_rows(struct bench *bench, const struct search_autogen *request,
                             const struct lot *lots, size_t count, struct eval_set *set,
                             struct lh_error *err)
{
    size_t k = (size_t)request->k, dimensions = (size_t)bench->view->manifest->dimensions;
    struct search_eval_query *queries = lh_arena_array(bench->arena, count + 1, sizeof *queries);
    struct bench_row *room = lh_arena_array(bench->arena, k + 1, sizeof *room);
    float *vector = aligned_alloc(64, (dimensions * sizeof *vector + 63) / 64 * 64);
    enum lh_code code = LH_OK;
    if (!vector)
        return lh_fail(err, LH_BUSY, "There is no memory to draw queries.");
    for (size_t i = 0; i < count && !code; i++)
        code = ask_row(bench, lots[i].row, k, vector, room, &queries[i], err);
    free(vector);
    set->queries = (struct lh_list){queries, count};
    return code;
}

static enum lh_code keep_labelled(const struct bench *bench, struct lh_str name,
                                  struct lh_error *err)
{
    struct eval_set old;
    struct lh_error none = LH_ERROR_NONE;
    if (eval_load(bench->search, bench->view->manifest, name, bench->arena, &old, &none) ||
        old.kind == SEARCH_EVAL_GENERATED)
        return LH_OK;
    lh_fail(err, LH_CONFLICT, "The eval set '%.*s' was labelled by people; it is not drawn anew.",
            LH_ARG(name));
    return lh_error_hint(err, "Take another name, or remove that set first.");
}

static enum lh_code generate(struct bench *bench, const struct search_autogen *request,
                             struct eval_set *set, struct lh_error *err)
{
    struct lot *lots = NULL;
    size_t count = 0;
    enum lh_code code = draw_rows(bench, request->seed, &lots, &count, err);
    if (!code && count < 2)
        code = lh_fail(err, LH_CONFLICT,
                       "The index '%.*s' has %zu rows with a vector; a query needs one to find.",
                       LH_ARG(bench->view->manifest->name), count);
    if (!code) {
        size_t want = (size_t)request->queries;
        begin_set(bench, request->name, request->k, request->actor, set);
        set->kind = SEARCH_EVAL_GENERATED;
        set->seed = request->seed;
        code = ask_rows(bench, request, lots, count < want ? count : want, set, err);
    }
    free(lots);
    return code;
}

enum lh_code search_eval_autogen(struct search *search, const struct search_autogen *request,
                                 const struct lh_cancel *cancel, struct lh_arena *arena,
                                 struct search_eval *ret, struct lh_error *err)
{
    struct bench bench = {0};
    struct eval_set set = {0};
    enum lh_code code = eval_check_name(request->name, err);
    if (!code)
        code = check_k(request->k, err);
    if (!code && (request->queries < 1 || request->queries > SEARCH_EVAL_QUERIES_MAX)) {
        lh_fail(err, LH_INVALID, "queries is a whole number from 1 to %d.",
                SEARCH_EVAL_QUERIES_MAX);
        code = lh_error_field(err, lh_lit("queries"));
    }
    if (!code)
        code = bench_open_rows(search, request->index_name, cancel, &bench, err);
    if (code)
        return code;
    code = keep_labelled(&bench, request->name, err);
    if (!code)
        code = check_room(&bench, request->name, err);
    if (!code)
        code = generate(&bench, request, &set, err);
    if (!code)
        code = end_set(&bench, &set, arena, ret, err);
    bench_close(&bench);
    return code;
}

/* --- said by people */

static enum lh_code fail_query(struct lh_error *err, size_t at, const char *member, const char *why)
{
    char field[64];
    snprintf(field, sizeof field, "queries[%zu].%s", at, member);
    lh_fail(err, LH_INVALID, "%s", why);
    return lh_error_field(err, lh_str_of(field));
}

/* An id as the entries have it: text, without the index's prefix. */
static bool read_id(const json_t *value, const struct index_manifest *manifest,
                    struct lh_arena *arena, struct lh_str *ret)
{
    struct lh_str id = lh_json_text(value), prefix = manifest->id_prefix;
    if (json_is_integer(value))
        id = lh_arena_printf(arena, "%lld", (long long)json_integer_value(value));
    else if (!json_is_string(value))
        return false;
    if (prefix.len && lh_str_starts_with(id, prefix))
        id = lh_str_slice(id, prefix.len, id.len);
    *ret = id;
    return id.len > 0;
}

static enum lh_code check_numbers(const json_t *vector, int64_t dimensions, size_t at,
                                  struct lh_error *err)
{
    size_t count = json_array_size(vector);
    bool is_fine = json_is_array(vector) && (int64_t)count == dimensions;
    double square = 0;
    for (size_t i = 0; i < count && is_fine; i++) {
        const json_t *item = json_array_get(vector, i);
        is_fine = json_is_number(item) && isfinite((float)json_number_value(item));
        square += json_number_value(item) * json_number_value(item);
    }
    if (is_fine && square > 0)
        return LH_OK;
    return fail_query(err, at, "vector",
                      "A vector has as many finite numbers as those of the index, not all zero.");
}

static enum lh_code read_label(const struct bench *bench, const struct search_eval_label *label,
                               size_t at, struct search_eval_query *ret, int64_t *unknown,
                               struct lh_error *err)
{
    const struct index_manifest *manifest = bench->view->manifest;
    size_t count = json_array_size(label->relevant.value);
    if (!label->query.len == !label->vector.value)
        return fail_query(err, at, "query", "A query has words, or a vector: one of them.");
    if (label->query.len && !bench->view->model)
        return fail_query(err, at, "query",
                          "The vectors of this index were given: send a vector instead.");
    if (label->vector.value && check_numbers(label->vector.value, manifest->dimensions, at, err))
        return LH_INVALID;
    if (!json_is_array(label->relevant.value) || !count || count > SEARCH_EVAL_RELEVANT_MAX)
        return fail_query(err, at, "relevant", "A list of 1 to 1000 ids says what is relevant.");
    struct lh_str *ids = lh_arena_array(bench->arena, count, sizeof *ids);
    for (size_t i = 0; i < count; i++) {
        if (!read_id(json_array_get(label->relevant.value, i), manifest, bench->arena, &ids[i]))
            return fail_query(err, at, "relevant", "An id is a whole number or a text.");
        for (size_t k = 0; k < i; k++)
            if (lh_str_equal(ids[k], ids[i]))
                return fail_query(err, at, "relevant", "An id stands in the list twice.");
        *unknown += view_find(bench->view, ids[i]) == VIEW_NONE;
    }
    *ret = (struct search_eval_query){
        .text = label->query, .vector = label->vector, .relevant = {ids, count}};
    return LH_OK;
}

static enum lh_code read_labels(const struct bench *bench,
                                const struct search_eval_request *request, struct eval_set *set,
                                struct lh_error *err)
{
    const struct search_eval_label *labels = request->queries.items;
    size_t count = request->queries.count;
    enum lh_code code = LH_OK;
    int64_t unknown = 0;
    if (!count || count > SEARCH_EVAL_QUERIES_MAX) {
        lh_fail(err, LH_INVALID, "An eval set has 1 to %d queries.", SEARCH_EVAL_QUERIES_MAX);
        return lh_error_field(err, lh_lit("queries"));
    }
    struct search_eval_query *queries = lh_arena_array(bench->arena, count, sizeof *queries);
    for (size_t i = 0; i < count && !code; i++) {
        code = read_label(bench, &labels[i], i, &queries[i], &unknown, err);
        if (!code)
            code = lh_cancel_fail(bench->cancel, "Reading the eval set", err);
    }
    begin_set(bench, request->name, request->k, request->actor, set);
    set->kind = SEARCH_EVAL_LABELLED;
    set->unknown_ids = unknown;
    set->queries = (struct lh_list){queries, count};
    return code;
}

enum lh_code search_eval_put(struct search *search, const struct search_eval_request *request,
                             const struct lh_cancel *cancel, struct lh_arena *arena,
                             struct search_eval *ret, struct lh_error *err)
{
    struct bench bench = {0};
    struct eval_set set = {0};
    enum lh_code code = eval_check_name(request->name, err);
    if (!code)
        code = check_k(request->k, err);
    if (!code)
        code = bench_open_rows(search, request->index_name, cancel, &bench, err);
    if (code)
        return code;
    code = check_room(&bench, request->name, err);
    if (!code)
        code = read_labels(&bench, request, &set, err);
    if (!code)
        code = end_set(&bench, &set, arena, ret, err);
    bench_close(&bench);
    return code;
}
