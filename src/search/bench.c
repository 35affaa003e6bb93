/* A bench: the rows of an index, the queries of an eval set, and what is true of them. */
#include "search/bench.h"

#include "search/watching.h"

#include <math.h>
#include <stdlib.h>

#define ALIGNMENT ((size_t)64) /* of vectors, for the kernels */

static size_t stride_of(const struct bench *bench)
{
    size_t each = ALIGNMENT / sizeof(float);
    return ((size_t)bench->view->manifest->dimensions + each - 1) / each * each;
}

/* --- what is nearest */

/* The row that an entry belongs to. */
static size_t row_of(const struct view *view, size_t ordinal)
{
    size_t at = 0;
    const struct entries *part = view_entry(view, ordinal, &at);
    return ordinal - (size_t)part->chunks[at];
}

void bench_add_row(const struct view *view, size_t ordinal, float score, size_t own, size_t want,
                   struct bench_row *rows, size_t *count)
{
    size_t row = row_of(view, ordinal);
    if (row == own || *count == want)
        return;
    for (size_t i = 0; i < *count; i++)
        if (rows[i].row == row)
            return;
    rows[(*count)++] = (struct bench_row){row, score};
}

enum lh_code bench_exact(const struct bench *bench, const float *vector, size_t own, size_t want,
                         struct bench_row *ret, size_t *ret_count, struct lh_error *err)
{
    size_t count = 0, found = 0, take = want + 16; /* several chunks may be of one row */
    enum lh_code code = LH_OK;
    do {
        struct graph_hit *hits = calloc(take, sizeof *hits);
        if (!hits)
            return lh_fail(err, LH_BUSY, "There is no memory to look at all rows.");
        code = view_nearest(bench->view, bench->mute, vector, take, VIEW_NONE, hits, &found, err);
        count = 0;
        for (size_t i = 0; i < found && !code; i++)
            bench_add_row(bench->view, hits[i].row, hits[i].score, own, want, ret, &count);
        free(hits);
        if (!code)
            code = lh_cancel_fail(bench->cancel, "The measurement", err);
        if (found < take)
            break;
        take *= 8;
    } while (!code && count < want);
    if (!code)
        *ret_count = count;
    return code;
}

/* --- queries */

/* To unit length; false: it has none. */
static bool normalise(float *vector, size_t dimensions)
{
    double square = 0;
    for (size_t i = 0; i < dimensions; i++)
        square += (double)vector[i] * (double)vector[i];
    if (!(square > 0) || !isfinite(square))
        return false;
    for (size_t i = 0; i < dimensions; i++)
        vector[i] = (float)((double)vector[i] / sqrt(square));
    return true;
}

static bool read_vector(const json_t *value, float *ret, size_t dimensions)
{
    if (json_array_size(value) != dimensions)
        return false;
    for (size_t i = 0; i < dimensions; i++)
        ret[i] = (float)json_number_value(json_array_get(value, i));
    return normalise(ret, dimensions);
}

/* The vector that asks; *ret_is_there = false: there is none any more. */
static enum lh_code find_vector(const struct bench *bench, const struct search_eval_query *query,
                                float *ret, size_t *ret_own, bool *ret_is_there,
                                struct lh_error *err)
{
    const struct view *view = bench->view;
    size_t dimensions = (size_t)view->manifest->dimensions, at = 0;
    *ret_own = VIEW_NONE;
    *ret_is_there = false;
    if (query->id.len) {
        size_t row = view_find(view, query->id);
        if (row == VIEW_NONE || bit_is_set(bench->mute, row))
            return LH_OK;
        const struct entries *part = view_entry(view, row, &at);
        memcpy(ret, part->vectors + at * dimensions, dimensions * sizeof *ret);
        *ret_own = row;
        *ret_is_there = true;
        return LH_OK;
    }
    if (query->vector.value) {
        *ret_is_there = read_vector(query->vector.value, ret, dimensions);
        return LH_OK;
    }
    if (!view->model)
        return LH_OK;
    enum lh_code code =
        view->model->embedder->embed(view->model->loaded, &query->text, 1, ret, bench->cancel, err);
    *ret_is_there = !code && normalise(ret, dimensions);
    return code;
}

static void find_relevant(struct bench *bench, const struct search_eval_query *from,
                          struct bench_query *to)
{
    size_t *rows = lh_arena_array(bench->arena, from->relevant.count + 1, sizeof *rows);
    for (size_t i = 0; i < from->relevant.count; i++) {
        size_t row = view_find(bench->view, from->relevant.items[i]);
        if (row == VIEW_NONE)
            bench->unknown_ids++;
        rows[to->relevant_count++] = row; /* what is not there is not found, and counts */
    }
    to->relevant = rows;
}

static enum lh_code find_truth(const struct bench *bench, const struct search_eval_query *from,
                               struct bench_query *to, struct bench_row *room, struct lh_error *err)
{
    size_t count = 0;
    if (bench->set.kind == SEARCH_EVAL_GENERATED && !bench->is_stale) {
        to->wanted = from->relevant.count;
        to->floor = (float)from->floor;
        return LH_OK;
    }
    enum lh_code code = bench_exact(bench, to->vector, to->own, bench->k, room, &count, err);
    if (code)
        return code;
    to->wanted = count;
    to->floor = count ? room[count - 1].score : 0;
    return LH_OK;
}

static enum lh_code resolve(struct bench *bench, struct lh_error *err)
{
    const struct search_eval_query *queries = bench->set.queries.items;
    size_t stride = stride_of(bench), count = bench->set.queries.count;
    struct bench_row *room = lh_arena_array(bench->arena, bench->k + 1, sizeof *room);
    enum lh_code code = LH_OK;
    bench->queries = lh_arena_array(bench->arena, count + 1, sizeof *bench->queries);
    bench->vectors = aligned_alloc(ALIGNMENT, (count + 1) * stride * sizeof(float));
    if (!bench->vectors)
        return lh_fail(err, LH_BUSY, "There is no memory for the queries of the eval set.");
    memset(bench->vectors, 0, (count + 1) * stride * sizeof(float));
    for (size_t i = 0; i < count && !code; i++) {
        struct bench_query *query = &bench->queries[bench->query_count];
        float *vector = bench->vectors + bench->query_count * stride;
        bool is_there = false;
        *query = (struct bench_query){.vector = vector};
        code = find_vector(bench, &queries[i], vector, &query->own, &is_there, err);
        if (!code && is_there)
            code = find_truth(bench, &queries[i], query, room, err);
        if (!code && bench->set.kind == SEARCH_EVAL_LABELLED && is_there)
            find_relevant(bench, &queries[i], query);
        bench->query_count += !code && is_there && query->wanted;
    }
    bench->left_out = count - bench->query_count;
    if (!code && !bench->query_count) {
        lh_fail(err, LH_CONFLICT, "The eval set '%.*s' has no query that the index can be asked.",
                LH_ARG(bench->set.name));
        lh_error_hint(err, "Its rows may be gone: POST /vectors/hnsw/evals/{name}/autogen makes it "
                           "anew.");
        code = LH_CONFLICT;
    }
    return code;
}

/* --- what callers asked */

#define CALLERS_MIN 30
#define CALLERS_K 10

static enum lh_code take_callers(struct bench *bench, struct lh_error *err)
{
    const struct index_manifest *manifest = bench->view->manifest;
    size_t stride = stride_of(bench), dimensions = (size_t)manifest->dimensions;
    struct bench_row room[CALLERS_K];
    float *asked = NULL;
    enum lh_code code = LH_OK;
    size_t count = watch_queries(bench->search, manifest, bench->arena, &asked);
    if (count < CALLERS_MIN) {
        lh_fail(err, LH_CONFLICT,
                "Of the searches of the index '%.*s' %zu were asked again since the start; %d are "
                "needed to measure on them.",
                LH_ARG(manifest->name), count, CALLERS_MIN);
        return LH_CONFLICT;
    }
    bench->set = (struct eval_set){.name = lh_lit(SEARCH_HARNESS_CALLERS), .k = CALLERS_K};
    bench->k = CALLERS_K;
    bench->queries = lh_arena_array(bench->arena, count, sizeof *bench->queries);
    bench->vectors = aligned_alloc(ALIGNMENT, count * stride * sizeof(float));
    if (!bench->vectors)
        return lh_fail(err, LH_BUSY, "There is no memory for the queries of callers.");
    for (size_t i = 0; i < count && !code; i++) {
        struct bench_query *query = &bench->queries[bench->query_count];
        float *vector = bench->vectors + i * stride;
        memcpy(vector, asked + i * dimensions, dimensions * sizeof *vector);
        *query = (struct bench_query){.vector = vector, .own = VIEW_NONE};
        code = bench_exact(bench, vector, VIEW_NONE, CALLERS_K, room, &query->wanted, err);
        if (!code && query->wanted)
            query->floor = room[query->wanted - 1].score;
        bench->query_count += !code && query->wanted;
    }
    return code;
}

static enum lh_code take_set(struct bench *bench, struct lh_str harness, struct lh_error *err)
{
    if (lh_str_equal(harness, lh_lit(SEARCH_HARNESS_CALLERS)))
        return take_callers(bench, err);
    enum lh_code code =
        eval_load(bench->search, bench->view->manifest, harness, bench->arena, &bench->set, err);
    if (code)
        return code;
    bench->k = (size_t)bench->set.k;
    bench->is_stale =
        eval_stale_because(&bench->set, bench->view->manifest, bench->pin.dataset, bench->arena)
            .len > 0;
    return resolve(bench, err);
}

/* --- life */

enum lh_code bench_open_rows(struct search *search, struct lh_str index_name,
                             const struct lh_cancel *cancel, struct bench *ret,
                             struct lh_error *err)
{
    struct bench bench = {.search = search, .cancel = cancel};
    enum lh_code code = pin_open(search, index_name, cancel, &bench.pin, err);
    if (code)
        return code;
    const struct overlay *overlay = bench.pin.overlay;
    bench.arena = lh_arena_new(0);
    bench.view = overlay->view;
    bench.mute = overlay->mute ? overlay->mute : overlay->view->mute;
    *ret = bench;
    return LH_OK;
}

enum lh_code bench_open(struct search *search, struct lh_str index_name, struct lh_str harness,
                        const struct lh_cancel *cancel, struct bench *ret, struct lh_error *err)
{
    struct bench bench;
    enum lh_code code = bench_open_rows(search, index_name, cancel, &bench, err);
    if (code)
        return code;
    code = take_set(&bench, harness, err);
    if (code)
        bench_close(&bench);
    else
        *ret = bench;
    return code;
}

void bench_close(struct bench *bench)
{
    pin_release(&bench->pin);
    free(bench->vectors);
    lh_arena_free(bench->arena);
}
