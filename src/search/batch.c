/* Several questions at once: pinned, filtered and looked for together, answered one by one. */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "search/asking.h"

struct batch {
    const struct search_batch *asked;
    struct asking asking;
    struct search_ask ask; /* what stands for all of them */
    size_t count;
    const float **vectors; /* of unit length */
    struct found_list *found;
};

static enum lh_code fail_count(size_t count, struct lh_error *err)
{
    lh_fail(err, LH_INVALID, "A batch has 1 to %d questions, this one has %zu.", SEARCH_BATCH_MAX,
            count);
    return lh_error_hint(err, "Send it in several requests.");
}

static enum lh_code check_texts(const struct search_batch *asked, struct lh_error *err)
{
    for (size_t i = 0; i < asked->query_count; i++)
        if (asked->queries[i].len > SEARCH_QUERY_BYTES_MAX)
            return lh_fail(err, LH_TOO_LARGE, "Query %zu has %zu bytes; at most %d are read.", i,
                           asked->queries[i].len, SEARCH_QUERY_BYTES_MAX);
    return LH_OK;
}

static enum lh_code check_batch(const struct search_batch *asked, struct lh_error *err)
{
    if (asked->ask.k < 0 || asked->ask.k > SEARCH_K_MAX)
        return fail_field(err, "k", "k is a whole number from 0 to 10000.");
    if (!asked->vectors && (!asked->query_count || asked->query_count > SEARCH_BATCH_MAX))
        return fail_count(asked->query_count, err);
    enum lh_code code = check_width(&asked->ask, err);
    return code ? code : check_texts(asked, err);
}

/* How many vectors there are is known with the index only: those of a body follow each other
 * without a mark. */
static enum lh_code count_vectors(struct batch *batch, struct lh_error *err)
{
    const struct search_batch *asked = batch->asked;
    const struct index_manifest *manifest = batch->asking.pin.overlay->view->manifest;
    size_t dimensions = (size_t)manifest->dimensions;
    size_t each = asked->vector_count ? asked->vector_count : dimensions;
    if (each != dimensions || !each || asked->number_count % each) {
        lh_fail(err, LH_INVALID,
                "The index '%.*s' has vectors of %zu numbers; %zu numbers are no whole number of "
                "such.",
                LH_ARG(manifest->name), dimensions,
                asked->vector_count ? asked->vector_count : asked->number_count);
        return lh_error_field(err, lh_lit("vectors"));
    }
    batch->count = asked->number_count / each;
    if (!batch->count || batch->count > SEARCH_BATCH_MAX)
        return fail_count(batch->count, err);
    for (size_t i = 0; i < asked->number_count; i++)
        if (!isfinite(asked->vectors[i])) {
            lh_fail(err, LH_INVALID, "Number %zu of vector %zu is not finite.", i % each, i / each);
            return lh_error_field(err, lh_lit("vectors"));
        }
    return LH_OK;
}

static enum lh_code fail_memory(struct lh_error *err)
{
    return lh_fail(err, LH_BUSY, "There is no memory for the search.");
}

/* As the rows of the matrix: each aligned for the kernels. */
static enum lh_code make_vectors(struct batch *batch, struct lh_error *err)
{
    const struct search_batch *asked = batch->asked;
    const struct view *view = batch->asking.pin.overlay->view;
    struct lh_arena *arena = batch->asking.arena;
    size_t dimensions = (size_t)view->manifest->dimensions, stride = (dimensions + 15) / 16 * 16;
    char *room = lh_arena_try(arena, (batch->count + 1) * stride * sizeof(float) + 64);
    float *packed = NULL;
    batch->vectors = lh_arena_array(arena, batch->count, sizeof *batch->vectors);
    batch->found = lh_arena_array(arena, batch->count, sizeof *batch->found);
    if (!room)
        return fail_memory(err);
    float *to = (float *)(void *)(room + (64 - (uintptr_t)room % 64));
    if (!asked->vectors) {
        packed = lh_arena_try(arena, batch->count * dimensions * sizeof *packed);
        enum lh_code code =
            packed ? view->model->embedder->embed(view->model->loaded, asked->queries, batch->count,
                                                  packed, batch->asking.cancel, err)
                   : fail_memory(err);
        if (code)
            return code;
    }
    for (size_t i = 0; i < batch->count; i++) {
        if (packed)
            memcpy(to + i * stride, packed + i * dimensions, dimensions * sizeof *to);
        else
            make_unit(asked->vectors + i * dimensions, dimensions, to + i * stride);
        batch->vectors[i] = to + i * stride;
    }
    return LH_OK;
}

static enum lh_code make_hits(struct batch *batch, struct search_hits **ret, struct lh_error *err)
{
    struct asking *asking = &batch->asking;
    struct search_hits *lists = lh_arena_array(asking->arena, batch->count, sizeof *lists);
    size_t all = 0, at = 0;
    for (size_t i = 0; i < batch->count; i++)
        all += batch->found[i].count;
    struct search_hit *hits = lh_arena_try(asking->arena, (all + 1) * sizeof *hits);
    if (!hits)
        return fail_memory(err);
    for (size_t i = 0; i < batch->count; i++) {
        const struct found_list *list = &batch->found[i];
        lists[i] = (struct search_hits){hits + at, list->count};
        for (size_t rank = 0; rank < list->count; rank++) {
            const struct fused fused = {.found = list->items[rank],
                                        .vector = {(int64_t)rank + 1, list->items[rank].score}};
            hits[at++] = asking_hit(asking, &fused);
        }
    }
    *ret = lists;
    if (!asking->ask->with_rows || !all)
        return LH_OK;
    return rows_fetch(asking->search, &asking->pin, asking->ask->is_raw_id, hits, all,
                      asking->cancel, asking->arena, err);
}

/* With the index's rows pinned. */
static enum lh_code run_pinned(struct batch *batch, struct search_hits **ret_hits,
                               struct lh_error *err)
{
    size_t k = (size_t)batch->ask.k;
    enum lh_code code = LH_OK;
    batch->count = batch->asked->query_count;
    if (batch->asked->vectors)
        code = count_vectors(batch, err);
    if (!code && batch->count * k > SEARCH_BATCH_HITS_MAX) {
        lh_fail(err, LH_INVALID, "%zu questions with %zu hits each are more than %d hits.",
                batch->count, k, SEARCH_BATCH_HITS_MAX);
        code = lh_error_field(err, lh_lit("k"));
    }
    if (!code)
        code = make_vectors(batch, err);
    if (!code)
        code = meaning_find(&batch->asking, batch->vectors, batch->count, k, batch->found, err);
    return code ? code : make_hits(batch, ret_hits, err);
}

enum lh_code search_run_batch(struct search *search, const struct search_batch *asked,
                              const struct lh_cancel *cancel, struct lh_arena *arena,
                              struct search_answer *ret, struct search_hits **ret_hits,
                              size_t *ret_count, struct lh_error *err)
{
    struct batch batch = {.asked = asked, .ask = asked->ask};
    struct search_answer answer = {.hits = NULL};
    struct search_hits *hits = NULL;
    int64_t started_us = lh_clock_monotonic_us();
    batch.asking = (struct asking){.search = search,
                                   .ask = &batch.ask,
                                   .cancel = cancel,
                                   .arena = arena,
                                   .has_vectors = asked->vectors != NULL};
    enum lh_code code = check_batch(asked, err);
    if (!code)
        code = asking_open(&batch.asking, err);
    if (!code)
        code = run_pinned(&batch, &hits, err);
    if (!code) {
        asking_describe(&batch.asking, &answer);
        answer.elapsed_ms = (double)(lh_clock_monotonic_us() - started_us) / 1000;
        *ret = answer;
        *ret_hits = hits;
        *ret_count = batch.count;
    }
    asking_close(&batch.asking);
    return code;
}
