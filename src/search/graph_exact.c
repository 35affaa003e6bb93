/* All rows that may be found, by their codes: what may be among the k nearest is kept, nearest
 * first, to be read as floats.
 *
 * A code says where a row's key lies, give or take a margin. A row is left out when even the near
 * end of its span is behind the far ends of k others. How wide the margin is, is the caller's: for
 * turned rows what codes leave out is spread like a Gaussian. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "search/graph_walk.h"

#define BATCH 64

struct shortlist {
    struct graph_walk *walk;
    float *highs; /* the k least far ends, ascending */
    size_t high_count, k;
    float margin;
};

static float margin_of(const struct shortlist *list, uint32_t row)
{
    return list->margin * sqrtf(graph_node_at(list->walk->graph, row)->self);
}

static bool is_behind(const struct shortlist *list, float key, float margin)
{
    return list->high_count && list->high_count == list->k &&
           key - margin > list->highs[list->k - 1];
}

static void add_high(struct shortlist *list, float high)
{
    size_t at = list->high_count;
    if (at == list->k) {
        if (high >= list->highs[at - 1])
            return;
        at--;
    } else {
        list->high_count++;
    }
    for (; at && list->highs[at - 1] > high; at--)
        list->highs[at] = list->highs[at - 1];
    list->highs[at] = high;
}

/* Those at the end that meanwhile are behind. */
static void prune(struct shortlist *list)
{
    struct graph_walk *walk = list->walk;
    while (walk->pool_count) {
        uint64_t last = walk->pool[walk->pool_count - 1];
        if (!is_behind(list, graph_pool_key(last), margin_of(list, graph_pool_id(last))))
            break;
        walk->pool_count--;
    }
}

/* False: more may be near than the pool has room for. */
static bool add(struct shortlist *list, uint32_t row, float key)
{
    struct graph_walk *walk = list->walk;
    float margin = margin_of(list, row);
    if (is_behind(list, key, margin))
        return true;
    add_high(list, key + margin);
    if (walk->pool_count == walk->width)
        prune(list);
    if (walk->pool_count == walk->width)
        return false;
    uint64_t entry = graph_pool_entry(key, row);
    size_t low = graph_pool_place(walk, entry, walk->pool_count);
    memmove(walk->pool + low + 1, walk->pool + low, (walk->pool_count - low) * sizeof *walk->pool);
    walk->pool[low] = entry;
    walk->pool_count++;
    return true;
}

static bool add_batch(struct shortlist *list, const uint32_t *rows, size_t count)
{
    struct graph_walk *walk = list->walk;
    const struct graph *graph = walk->graph;
    float keys[BATCH];
    bool are_known = true;
    for (size_t i = 0; i < count && graph->map; i++)
        are_known &= graph_map_want(graph->map, graph_node_at(graph, rows[i]), graph->node_stride);
    for (size_t i = 0; i < count && !are_known; i++)
        if (!graph_map_is_good(graph->map, graph_node_at(graph, rows[i]), graph->node_stride,
                               &walk->bad_block)) {
            walk->is_damaged = true;
            return true;
        }
    graph_keys(graph, &walk->aim, rows, count, keys);
    walk->evaluations += count;
    bool has_room = true;
    for (size_t i = 0; i < count && has_room; i++)
        has_room = add(list, rows[i], keys[i]);
    return has_room;
}

uint64_t graph_findable_word(const struct graph_walk *walk, uint32_t word)
{
    uint64_t first = (uint64_t)word * 64, bits = UINT64_MAX;
    if (walk->filter)
        bits = first < walk->filter_rows ? walk->filter[word] : 0;
    if (walk->filter && first < walk->filter_rows && walk->filter_rows - first < 64)
        bits &= (UINT64_C(1) << (walk->filter_rows - first)) - 1;
    if (walk->visible - first < 64)
        bits &= (UINT64_C(1) << (walk->visible - first)) - 1;
    return bits & ~atomic_load_explicit(graph_dead_word(walk->graph, (uint32_t)first),
                                        memory_order_relaxed);
}

bool graph_walk_all(struct graph_walk *walk, size_t k, float margin)
{
    struct shortlist list = {
        .walk = walk, .highs = malloc((k + 1) * sizeof(float)), .k = k, .margin = margin};
    uint32_t rows[BATCH];
    size_t count = 0;
    bool has_room = true;
    assert(k);
    if (!list.highs)
        return false;
    for (uint32_t word = 0; (uint64_t)word * 64 < walk->visible; word++) {
        uint64_t bits = graph_findable_word(walk, word);
        for (; bits && has_room && !walk->is_damaged; bits &= bits - 1) {
            rows[count++] = word * 64 + (uint32_t)__builtin_ctzll(bits);
            if (count == BATCH) {
                has_room = add_batch(&list, rows, count);
                count = 0;
            }
        }
    }
    if (count && has_room && !walk->is_damaged)
        has_room = add_batch(&list, rows, count);
    prune(&list);
    free(list.highs);
    return has_room;
}
