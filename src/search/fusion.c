/* Two lists made one.
 *
 * blend: every row of either list gets both scores, whichever list named it, and the evidence of
 * its words: how much of the query it has, and what stands together there as it does in the query.
 * What has no natural end (BM25, and the cosine of short questions) counts as a share of the best.
 * So how far apart two rows are counts, and a leg that is sure outweighs one that is not. rrf:
 * reciprocal rank fusion: only places count. weighted: the shares of both scores, nothing else.
 *
 * Why blend is the preset, and where its weights come from: docs/decisions/0010. */
#include <stdlib.h>

#include "search/asking.h"

const char *const search_fusion_names[] = {"blend", "rrf", "weighted", NULL};

/* Those of blend were chosen for the built-in model, which knows words, not what they mean. */
static const struct search_weights fusion_weights[] = {
    [SEARCH_BLEND] = {.meaning = 0.4, .words = 0.6, .coverage = 1, .pairs = 0.2},
    [SEARCH_RRF] = {.meaning = 1, .words = 1},
    [SEARCH_WEIGHTED] = {.meaning = 0.5, .words = 0.5},
};

struct search_weights search_fusion_weights(enum search_fusion fusion)
{
    return fusion_weights[fusion];
}

/* The constant of the method's authors: the first places count, and not alone. */
#define RANK_CONSTANT 60.0

/* --- rows of both lists */

struct places {
    uint64_t *keys; /* plus one; 0: free */
    uint32_t *at;
    size_t mask;
};

static uint64_t place_key(const struct asking *asking, const struct found *found)
{
    return (uint64_t)(asking->ask->per_chunk ? found->ordinal : found->row) * LAYERS + found->layer;
}

static void places_init(struct places *places, size_t count)
{
    size_t size = 16;
    while (size < count * 2)
        size *= 2;
    places->keys = lh_allocate(size, sizeof *places->keys);
    places->at = lh_allocate(size, sizeof *places->at);
    places->mask = size - 1;
}

static void places_release(struct places *places)
{
    free(places->keys);
    free(places->at);
}

/* Where the row stands in the fused list; it is put at `otherwise` when it is new. */
static size_t place_of(struct places *places, uint64_t key, size_t otherwise)
{
    size_t slot = (size_t)(key * UINT64_C(0x9E3779B97F4A7C15) >> 20) & places->mask;
    while (places->keys[slot] && places->keys[slot] != key + 1)
        slot = (slot + 1) & places->mask;
    if (!places->keys[slot]) {
        places->keys[slot] = key + 1;
        places->at[slot] = (uint32_t)otherwise;
    }
    return places->at[slot];
}

/* Every row once, with what each list says of it. */
static size_t unite(const struct asking *asking, const struct found_list *meaning,
                    const struct found_list *words, struct fused *fused)
{
    struct places places;
    size_t count = 0;
    places_init(&places, meaning->count + words->count);
    for (size_t i = 0; i < meaning->count; i++) {
        size_t at = place_of(&places, place_key(asking, &meaning->items[i]), count);
        count += at == count;
        fused[at] = (struct fused){.found = meaning->items[i],
                                   .evidence = meaning->items[i].evidence,
                                   .vector = {(int64_t)i + 1, meaning->items[i].score}};
    }
    for (size_t i = 0; i < words->count; i++) {
        size_t at = place_of(&places, place_key(asking, &words->items[i]), count);
        if (at == count)
            fused[count++] = (struct fused){.found = words->items[i]};
        fused[at].evidence = words->items[i].evidence; /* of the row's best chunk by words */
        fused[at].keyword = (struct search_leg){(int64_t)i + 1, words->items[i].score};
    }
    places_release(&places);
    return count;
}

/* --- by score */

static double similarity(const struct asking *asking, const struct fused *fused)
{
    const struct layer *layer = &asking->layers[fused->found.layer];
    size_t at = 0;
    double sum = 0;
    if (fused->vector.rank)
        return fused->vector.score;
    if (!asking->vector || bit_is_set(layer->mute, fused->found.ordinal))
        return 0;
    const struct entries *part = view_entry(layer->view, fused->found.ordinal, &at);
    for (size_t i = 0; i < part->dimensions; i++)
        sum += (double)part->vectors[at * part->dimensions + i] * (double)asking->vector[i];
    return sum > 0 ? sum : 0;
}

static double share(double score, double best)
{
    return best > 0 && score > 0 ? score / best : 0;
}

static double best_of(const struct found_list *list)
{
    return list->count ? list->items[0].score : 0;
}

static double blended(const struct asking *asking, const struct fused *fused,
                      const struct search_weights *weights, double best_meaning, double best_words)
{
    const struct evidence *evidence = &fused->evidence;
    double sum = weights->meaning * share(similarity(asking, fused), best_meaning) +
                 weights->words * share(evidence->bm25, best_words) +
                 weights->coverage * evidence->coverage + weights->pairs * evidence->pairs;
    return sum / (weights->meaning + weights->words + weights->coverage + weights->pairs);
}

/* --- by rank */

static double reciprocal(const struct search_leg *leg)
{
    return leg->rank ? 1 / (RANK_CONSTANT + (double)leg->rank) : 0;
}

/* --- both */

static int compare(const void *a, const void *b, void *context)
{
    return compare_found(&((const struct fused *)a)->found, &((const struct fused *)b)->found,
                         context);
}

size_t fuse(const struct asking *asking, const struct found_list *meaning,
            const struct found_list *words, struct fused *ret)
{
    size_t count = unite(asking, meaning, words, ret);
    struct search_weights weights = search_fusion_weights(asking->ask->fusion);
    if (asking->ask->weights)
        weights = *asking->ask->weights;
    for (size_t i = 0; i < count; i++)
        ret[i].found.score =
            asking->ask->fusion == SEARCH_RRF
                ? weights.meaning * reciprocal(&ret[i].vector) +
                      weights.words * reciprocal(&ret[i].keyword)
                : blended(asking, &ret[i], &weights, best_of(meaning), best_of(words));
    qsort_r(ret, count, sizeof *ret, compare, (void *)(uintptr_t)asking);
    return count;
}
