/* Two lists made one.
 *
 * blend: a row's score is the weighted mean of its two scores, each as a share of the best in its
 * list. A row that a full list does not name stands below that list's last, and is taken to stand
 * right there; one that a list with room left does not name has nothing of it. How far apart two
 * rows are counts, so a leg that is sure outweighs one that is not.
 * rrf: reciprocal rank fusion: only places count. */
#include <stdlib.h>

#include "search/asking.h"

const char *const search_fusion_names[] = {"blend", "rrf", NULL};

/* Of meaning; words have the rest. */
#define MEANING_WEIGHT 0.3
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
                                   .vector = {(int64_t)i + 1, meaning->items[i].score}};
    }
    for (size_t i = 0; i < words->count; i++) {
        size_t at = place_of(&places, place_key(asking, &words->items[i]), count);
        if (at == count)
            fused[count++] = (struct fused){.found = words->items[i]};
        fused[at].keyword = (struct search_leg){(int64_t)i + 1, words->items[i].score};
    }
    places_release(&places);
    return count;
}

/* --- by score */

/* What a list has to say: its best score, and what a row that it does not name has at most. */
struct span {
    double best, rest;
};

static struct span span_of(const struct found_list *list, size_t want)
{
    struct span span = {0};
    if (list->count)
        span.best = list->items[0].score;
    if (list->count >= want && list->count)
        span.rest = list->items[list->count - 1].score;
    return span;
}

static double share(const struct span *span, const struct search_leg *leg)
{
    double score = leg->rank ? leg->score : span->rest;
    return span->best > 0 && score > 0 ? score / span->best : 0;
}

static double blended(const struct span *meaning, const struct span *words,
                      const struct fused *fused)
{
    return MEANING_WEIGHT * share(meaning, &fused->vector) +
           (1 - MEANING_WEIGHT) * share(words, &fused->keyword);
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
            const struct found_list *words, size_t want, struct fused *ret)
{
    struct span by_meaning = span_of(meaning, want), by_words = span_of(words, want);
    size_t count = unite(asking, meaning, words, ret);
    for (size_t i = 0; i < count; i++)
        ret[i].found.score = asking->ask->fusion == SEARCH_RRF
                                 ? reciprocal(&ret[i].vector) + reciprocal(&ret[i].keyword)
                                 : blended(&by_meaning, &by_words, &ret[i]);
    qsort_r(ret, count, sizeof *ret, compare, (void *)(uintptr_t)asking);
    return count;
}
