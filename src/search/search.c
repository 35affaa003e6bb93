/* A search from request to answer: pin, filter, legs, fusion, hits. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "search/watching.h"

const char *const search_mode_names[] = {"vector", "keyword", "hybrid", NULL};

/* --- order */

static bool is_number_type(struct lh_str type)
{
    return lh_str_ends_with(type, lh_lit("INT")) || lh_str_equal(type, lh_lit("INTEGER")) ||
           lh_str_equal(type, lh_lit("UINTEGER"));
}

int compare_ids(bool are_numbers, struct lh_str a, struct lh_str b)
{
    if (!are_numbers)
        return lh_str_compare(a, b);
    bool is_a_low = a.len && a.data[0] == '-', is_b_low = b.len && b.data[0] == '-';
    if (is_a_low != is_b_low)
        return is_a_low ? -1 : 1;
    int order = a.len != b.len ? (a.len < b.len ? -1 : 1) : lh_str_compare(a, b);
    return is_a_low ? -order : order;
}

struct lh_str found_id(const struct asking *asking, const struct found *found)
{
    size_t at = 0;
    const struct entries *part = view_entry(asking->layers[found->layer].view, found->ordinal, &at);
    return part->ids[at];
}

static int32_t found_chunk(const struct asking *asking, const struct found *found)
{
    size_t at = 0;
    const struct entries *part = view_entry(asking->layers[found->layer].view, found->ordinal, &at);
    return part->chunks[at];
}

int compare_found(const void *a, const void *b, void *context)
{
    const struct found *x = a, *y = b;
    const struct asking *asking = context;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    int order = compare_ids(asking->has_number_ids, found_id(asking, x), found_id(asking, y));
    if (order)
        return order;
    int32_t left = found_chunk(asking, x), right = found_chunk(asking, y);
    return left < right ? -1 : left > right;
}

static uint64_t row_key(const struct found *found)
{
    return (uint64_t)found->row * LAYERS + found->layer;
}

struct lh_str search_id_json(const struct index_manifest *manifest, struct lh_str id,
                             struct lh_arena *arena)
{
    struct lh_buf buf;
    int64_t number = 0;
    /* What most readers of JSON cannot hold exactly goes as text, as in replies of SQL. */
    if (is_number_type(manifest->id_type) && !manifest->id_prefix.len && lh_str_to_int(id, &number))
        return lh_arena_str(arena, id);
    lh_buf_init(&buf, (manifest->id_prefix.len + id.len) * 6 + 16);
    lh_json_append_quoted(
        &buf, manifest->id_prefix.len
                  ? lh_arena_printf(arena, "%.*s%.*s", LH_ARG(manifest->id_prefix), LH_ARG(id))
                  : id);
    struct lh_str text = lh_arena_str(arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

/* A set of rows, for lists of any length. */
struct row_set {
    uint64_t *slots;
    size_t count;
};

static bool row_set_add(struct row_set *set, uint64_t key)
{
    size_t slot = (size_t)(key * UINT64_C(0x9E3779B97F4A7C15) >> 20) & (set->count - 1);
    while (set->slots[slot] && set->slots[slot] != key + 1)
        slot = (slot + 1) & (set->count - 1);
    bool is_new = !set->slots[slot];
    set->slots[slot] = key + 1;
    return is_new;
}

void found_settle(const struct asking *asking, struct found_list *list, size_t want)
{
    struct row_set rows = {.count = 16};
    size_t kept = 0;
    if (!list->count)
        return;
    qsort_r(list->items, list->count, sizeof *list->items, compare_found,
            (void *)(uintptr_t)asking);
    if (asking->ask->per_chunk) {
        list->count = list->count < want ? list->count : want;
        return;
    }
    while (rows.count < list->count * 2)
        rows.count *= 2;
    rows.slots = lh_allocate(rows.count, sizeof *rows.slots);
    for (size_t i = 0; i < list->count && kept < want; i++)
        if (row_set_add(&rows, row_key(&list->items[i])))
            list->items[kept++] = list->items[i];
    free(rows.slots);
    list->count = kept;
}

/* --- by meaning */

void make_unit(const float *vector, size_t count, float *ret)
{
    double square = 0;
    for (size_t i = 0; i < count; i++)
        square += (double)vector[i] * (double)vector[i];
    for (size_t i = 0; i < count; i++)
        ret[i] = square > 0 ? (float)((double)vector[i] / sqrt(square)) : 0;
}

static enum lh_code query_vector(struct asking *asking, float *vector, struct lh_error *err)
{
    const struct search_ask *ask = asking->ask;
    const struct view *view = asking->pin.overlay->view;
    size_t dimensions = (size_t)view->manifest->dimensions;
    if (ask->vector) {
        make_unit(ask->vector, dimensions, vector);
        return LH_OK;
    }
    return view->model->embedder->embed(view->model->loaded, &ask->query, 1, vector, asking->cancel,
                                        err);
}

enum lh_code leg_by_meaning(struct asking *asking, size_t want, struct found_list *ret,
                            struct lh_error *err)
{
    size_t dimensions = (size_t)asking->pin.overlay->view->manifest->dimensions;
    /* As the rows of the matrix: aligned for the kernels. */
    uint64_t *room = lh_arena_alloc(asking->arena, dimensions * sizeof(float) + 128);
    float *query = (float *)(void *)((char *)room + (64 - (uintptr_t)room % 64));
    enum lh_code code = query_vector(asking, query, err);
    *ret = (struct found_list){0};
    if (code)
        return code;
    asking->vector = query;
    return meaning_find(asking, (const float *const *)&query, 1, want, ret, err);
}

/* --- the request */

enum lh_code fail_field(struct lh_error *err, const char *field, const char *why)
{
    lh_fail(err, LH_INVALID, "%s", why);
    return lh_error_field(err, lh_str_of(field));
}

static enum lh_code check_vector(const struct search_ask *ask,
                                 const struct index_manifest *manifest, struct lh_error *err)
{
    if ((int64_t)ask->vector_count != manifest->dimensions) {
        lh_fail(err, LH_INVALID, "The index '%.*s' has vectors of %lld numbers, this one has %zu.",
                LH_ARG(manifest->name), (long long)manifest->dimensions, ask->vector_count);
        return lh_error_field(err, lh_lit("vector"));
    }
    for (size_t i = 0; i < ask->vector_count; i++)
        if (!isfinite(ask->vector[i]))
            return fail_field(err, "vector", "A vector holds finite numbers only.");
    return LH_OK;
}

enum lh_code check_width(const struct search_ask *ask, struct lh_error *err)
{
    if (ask->ef < 0 || ask->ef > SEARCH_EF_SEARCH_MAX)
        return fail_field(err, "ef", "ef is a whole number from 1 to 65536.");
    if (ask->ef && ask->is_exact)
        return fail_field(err, "ef", "An exact search takes no walk that `ef` could widen.");
    return LH_OK;
}

static enum lh_code check_ask(const struct search_ask *ask, struct lh_error *err)
{
    if (ask->k < 0 || ask->k > SEARCH_K_MAX)
        return fail_field(err, "k", "k is a whole number from 0 to 10000.");
    if (ask->query.data && ask->vector)
        return fail_field(err, "vector", "Give a query or a vector, not both.");
    if (!ask->query.data && !ask->vector)
        return fail_field(err, "query", "Give a query: words, or a vector.");
    if (ask->query.len > SEARCH_QUERY_BYTES_MAX)
        return lh_fail(err, LH_TOO_LARGE, "The query has %zu bytes; at most %d are read.",
                       ask->query.len, SEARCH_QUERY_BYTES_MAX);
    if (ask->vector && ask->mode != SEARCH_VECTOR)
        return fail_field(err, "vector", "Only a search by meaning takes a vector.");
    return check_width(ask, err);
}

static enum lh_code check_id(const struct asking *asking, struct lh_error *err)
{
    const struct search_ask *ask = asking->ask;
    struct lh_str id = asking->pin.overlay->view->manifest->id;
    return !ask->index_id.len || lh_str_equal(ask->index_id, id)
               ? LH_OK
               : lh_fail(err, LH_RACE, "Another index has got the name '%.*s' meanwhile.",
                         LH_ARG(ask->index));
}

static enum lh_code check_index(const struct asking *asking, struct lh_error *err)
{
    const struct search_ask *ask = asking->ask;
    const struct index_manifest *manifest = asking->pin.overlay->view->manifest;
    if (asking->has_vectors)
        return LH_OK;
    if (ask->vector)
        return check_vector(ask, manifest, err);
    if (ask->mode != SEARCH_KEYWORD && !asking->pin.overlay->view->model) {
        lh_fail(err, LH_INVALID,
                "The vectors of the index '%.*s' were given: no model here turns words into such.",
                LH_ARG(manifest->name));
        lh_error_hint(err, "Send `vector`.");
        return lh_error_field(err, lh_lit("query"));
    }
    if (ask->mode != SEARCH_VECTOR && !manifest->text_columns.count) {
        lh_fail(err, LH_INVALID, "The index '%.*s' has no text columns to find words in.",
                LH_ARG(manifest->name));
        return lh_error_field(err, lh_lit("index"));
    }
    return LH_OK;
}

static enum lh_code lay_out(struct asking *asking, struct lh_error *err)
{
    const struct overlay *overlay = asking->pin.overlay;
    asking->layers[0] = (struct layer){
        .view = overlay->view,
        .hidden = overlay->hidden ? overlay->hidden : overlay->view->dead,
        .mute = overlay->mute ? overlay->mute : overlay->view->mute,
    };
    if (overlay->fresh)
        asking->layers[1] = (struct layer){
            .view = overlay->fresh, .hidden = overlay->fresh->dead, .mute = overlay->fresh->mute};
    asking->has_number_ids = is_number_type(overlay->view->manifest->id_type);
    if (!asking->ask->filter.len)
        return LH_OK;
    enum lh_code code = LH_OK;
    if (asking->ask->is_alone)
        code = filter_check_alone(asking->search, asking->ask->filter, asking->cancel, err);
    if (!code)
        code = filter_run(asking->search, &asking->pin, asking->ask->filter, asking->layers,
                          asking->cancel, err);
    for (size_t i = 0; i < LAYERS && !code; i++) {
        struct layer *layer = &asking->layers[i];
        size_t words = layer->view ? layer->view->span / 64 : 0;
        uint64_t *mute = lh_arena_try(asking->arena, (words + 1) * 2 * sizeof *mute);
        if (!mute)
            return lh_fail(err, LH_BUSY, "There is no memory for the filter.");
        uint64_t *hidden = mute + words + 1;
        assert(!words || layer->allowed);
        for (size_t w = 0; w < words; w++) {
            mute[w] = layer->mute[w] | ~layer->allowed[w];
            hidden[w] = layer->hidden[w] | ~layer->allowed[w];
        }
        layer->mute = mute;
        layer->hidden = hidden;
    }
    return code;
}

/* --- the answer */

static void take_leg(struct fused *fused, const struct found_list *list, enum search_mode mode)
{
    for (size_t i = 0; i < list->count; i++) {
        struct search_leg leg = {(int64_t)i + 1, list->items[i].score};
        fused[i] = (struct fused){.found = list->items[i]};
        *(mode == SEARCH_VECTOR ? &fused[i].vector : &fused[i].keyword) = leg;
    }
}

struct search_hit asking_hit(const struct asking *asking, const struct fused *fused)
{
    size_t at = 0;
    const struct entries *part =
        view_entry(asking->layers[fused->found.layer].view, fused->found.ordinal, &at);
    const struct index_manifest *manifest = asking->pin.overlay->view->manifest;
    struct lh_str prefix = manifest->id_prefix;
    if (asking->ask->is_raw_id)
        prefix = (struct lh_str){0};
    struct lh_str id = prefix.len ? lh_arena_printf(asking->arena, "%.*s%.*s", LH_ARG(prefix),
                                                    LH_ARG(part->ids[at]))
                                  : lh_arena_str(asking->arena, part->ids[at]);
    return (struct search_hit){.id = id,
                               .id_json = search_id_json(manifest, part->ids[at], asking->arena),
                               .score = fused->found.score,
                               .text = lh_arena_str(asking->arena, part->texts_of[at]),
                               .chunk = part->chunks[at],
                               .vector = fused->vector,
                               .keyword = fused->keyword,
                               .coverage = fused->evidence.coverage,
                               .pairs = fused->evidence.pairs,
                               .is_fresh = fused->found.layer > 0};
}

/* Marking reads the text once more; who asks for hundreds of hits does not look at each. */
#define HIGHLIGHTS_MAX 100

static void mark_words(struct asking *asking, const struct fused *fused, struct search_hit *hits,
                       size_t count)
{
    struct found found[HIGHLIGHTS_MAX];
    for (size_t i = 0; i < count; i++)
        found[i] = fused[i].found;
    words_highlight(asking, found, hits, count);
}

static size_t candidates(const struct search_ask *ask)
{
    const size_t least = 20, limit = (size_t)SEARCH_K_MAX * 2;
    size_t most = (size_t)ask->k * 5;
    most = most > least ? most : least;
    return most < limit ? most : limit;
}

static enum lh_code find(struct asking *asking, struct search_answer *answer, struct lh_error *err)
{
    const struct search_ask *ask = asking->ask;
    struct found_list meaning = {0}, words = {0};
    size_t want = ask->mode == SEARCH_HYBRID ? candidates(ask) : (size_t)ask->k;
    enum lh_code code = LH_OK;
    if (ask->k == 0)
        return LH_OK;
    if (ask->mode != SEARCH_KEYWORD)
        code = leg_by_meaning(asking, want, &meaning, err);
    if (!code && ask->mode != SEARCH_VECTOR)
        code = leg_by_words(asking, want, &meaning, &words, err);
    if (code)
        return code;
    struct fused *fused =
        lh_arena_array(asking->arena, meaning.count + words.count + 1, sizeof *fused);
    size_t count = meaning.count + words.count;
    if (ask->mode == SEARCH_HYBRID)
        count = fuse(asking, &meaning, &words, fused);
    else
        take_leg(fused, ask->mode == SEARCH_VECTOR ? &meaning : &words, ask->mode);
    if (count > (size_t)ask->k)
        count = (size_t)ask->k;
    struct search_hit *hits = lh_arena_array(asking->arena, count + 1, sizeof *hits);
    for (size_t i = 0; i < count; i++)
        hits[i] = asking_hit(asking, &fused[i]);
    if (ask->mode != SEARCH_VECTOR)
        mark_words(asking, fused, hits, count < HIGHLIGHTS_MAX ? count : HIGHLIGHTS_MAX);
    if (ask->with_rows && count)
        code = rows_fetch(asking->search, &asking->pin, ask->is_raw_id, hits, count, asking->cancel,
                          asking->arena, err);
    answer->hits = hits;
    answer->hit_count = count;
    return code;
}

void asking_describe(const struct asking *asking, struct search_answer *answer)
{
    static const char *const methods[] = {"exact", "keyword", "hybrid"};
    const struct overlay *overlay = asking->pin.overlay;
    const struct index_manifest *manifest = overlay->view->manifest;
    answer->method = methods[asking->ask->mode];
    answer->recall = asking->ask->mode == SEARCH_KEYWORD ? NAN : 1;
    if (asking->ef) {
        if (asking->ask->mode == SEARCH_VECTOR)
            answer->method = "hnsw";
        answer->recall = index_graph_recall(manifest->graph, (int64_t)asking->ef);
        answer->recall_measured_at = manifest->graph->made_at;
        answer->recall_sample = manifest->graph->sample;
        answer->ef = (int64_t)asking->ef;
        if (!asking->ask->ef) /* what callers got, if enough of that is known */
            (void)watch_recall(asking->search, manifest, &answer->recall,
                               &answer->recall_measured_at, &answer->recall_sample);
    }
    if (asking->is_graph_broken)
        answer->note = lh_lit("The graph of the index is damaged and is made anew: this answer "
                              "comes from looking at all vectors.");
    else if (overlay->view->graph_failed_us && asking->ask->mode != SEARCH_KEYWORD)
        answer->note = lh_arena_printf(asking->arena,
                                       "The graph of the index cannot be had from the bucket "
                                       "'%.*s' now: this answer comes from looking at all "
                                       "vectors.",
                                       LH_ARG(index_bucket(manifest)));
    answer->dataset = lh_arena_str(asking->arena, asking->pin.dataset->name);
    answer->dataset_version = asking->pin.dataset->version;
    answer->index_version = manifest->version;
    answer->covered_version = manifest->dataset_version;
    answer->fresh_rows = overlay->fresh_rows;
    answer->hidden_rows = overlay->hidden_rows;
    answer->pending_rows = overlay->pending_rows;
}

enum lh_code asking_open(struct asking *asking, struct lh_error *err)
{
    enum lh_code code =
        pin_open(asking->search, asking->ask->index, asking->cancel, &asking->pin, err);
    if (!code)
        code = check_id(asking, err);
    if (!code)
        code = check_index(asking, err);
    return code ? code : lay_out(asking, err);
}

void asking_close(struct asking *asking)
{
    for (size_t i = 0; i < LAYERS; i++)
        free(asking->layers[i].allowed);
    pin_release(&asking->pin);
}

static enum lh_code run_once(struct asking *asking, struct search_answer *ret, struct lh_error *err)
{
    struct search_answer answer = {.hits = NULL};
    int64_t started_us = lh_clock_monotonic_us();
    enum lh_code code = asking_open(asking, err);
    if (!code)
        code = find(asking, &answer, err);
    if (!code) {
        asking_describe(asking, &answer);
        answer.elapsed_ms = (double)(lh_clock_monotonic_us() - started_us) / 1000;
        watch_offer(asking, &answer);
        *ret = answer;
    }
    return code;
}

enum lh_code search_run(struct search *search, const struct search_ask *ask,
                        const struct lh_cancel *cancel, struct lh_arena *arena,
                        struct search_answer *ret, struct lh_error *err)
{
    enum lh_code code = check_ask(ask, err);
    bool is_again = !code;
    for (int attempt = 0; is_again; attempt++) {
        struct asking asking = {.search = search, .ask = ask, .cancel = cancel, .arena = arena};
        code = run_once(&asking, ret, err);
        /* A keyword file that is not what was written is made anew, once. */
        is_again = code == LH_DAMAGED && !attempt && asking.pin.overlay &&
                   words_is_broken(asking.pin.overlay->words);
        asking_close(&asking);
    }
    return code;
}
