/* Lists of links: which neighbours a node has.
 *
 * A candidate is passed over when it is nearer to a neighbour that was chosen before than to the
 * node itself (or as near): the way to it leads over that neighbour. So links point in different
 * directions, and of a thousand equal rows one is enough. OPENNESS makes that a little harder, so
 * that lists are longer and walks shorter.
 *
 * Links of the tree (graph_tree.c) are kept whatever is chosen. */
#include <stdlib.h>
#include <string.h>

#include "search/graph_walk.h"

#ifndef OPENNESS
#define OPENNESS 1.0F /* of squared distances */
#endif
#define CANDIDATES_AT_ONCE 192 /* of one list that is chosen anew */

bool graph_lister_init(struct graph_lister *lister, struct graph *graph)
{
    *lister = (struct graph_lister){.graph = graph};
    lister->bytes = graph_aligned(graph->padded, GRAPH_LINE);
    lister->other = graph_aligned(graph->padded, GRAPH_LINE);
    return lister->bytes && lister->other;
}

void graph_lister_release(struct graph_lister *lister)
{
    free(lister->bytes);
    free(lister->other);
}

/* What a node stands for becomes the aim; keys are then squared distances but for its own
 * square. */
static struct graph_aim aim_at(const struct graph *graph, const struct graph_node *node,
                               int8_t *bytes)
{
    struct graph_aim aim = {bytes, 1, 2 * node->scale, 0};
    graph_decode(graph, node, bytes);
    graph_aim_finish(graph, &aim);
    return aim;
}

/* Is it nearer to one of those than `distance` to the node? */
static bool is_behind(struct graph_lister *lister, unsigned level, uint32_t candidate,
                      float distance, const uint32_t *chosen, size_t count)
{
    const struct graph *graph = lister->graph;
    const struct graph_node *node = graph_node_at(graph, graph_node_of(graph, level, candidate));
    struct graph_aim aim = aim_at(graph, node, lister->other);
    for (size_t from = 0; from < count; from += PACKED_AT_ONCE) {
        uint32_t nodes[PACKED_AT_ONCE];
        float keys[PACKED_AT_ONCE];
        size_t some = count - from < PACKED_AT_ONCE ? count - from : PACKED_AT_ONCE;
        for (size_t i = 0; i < some; i++)
            nodes[i] = graph_node_of(graph, level, chosen[from + i]);
        graph_keys(graph, &aim, nodes, some, keys);
        for (size_t i = 0; i < some; i++)
            if ((node->self + keys[i]) * OPENNESS <= distance)
                return true;
    }
    return false;
}

/* Goes on where `chosen` has `count` already, and fills it up to `max`. */
static size_t choose(struct graph_lister *lister, unsigned level, uint32_t of,
                     const uint64_t *candidates, size_t candidate_count, uint32_t *chosen,
                     size_t count, size_t max)
{
    const struct graph *graph = lister->graph;
    float self = graph_node_at(graph, graph_node_of(graph, level, of))->self;
    for (size_t i = 0; i < candidate_count && count < max; i++) {
        uint32_t candidate = graph_pool_id(candidates[i]);
        float distance = self + graph_pool_key(candidates[i]);
        if (candidate == of || graph_is_dead(graph, graph_node_of(graph, level, candidate)))
            continue;
        if (is_behind(lister, level, candidate, distance, chosen, count))
            continue;
        chosen[count++] = candidate;
    }
    return count;
}

size_t graph_choose(struct graph_lister *lister, unsigned level, uint32_t node,
                    const uint64_t *candidates, size_t count, uint32_t *ret, size_t max)
{
    return choose(lister, level, node, candidates, count, ret, 0, max);
}

size_t graph_list_read(const struct graph *graph, unsigned level, uint32_t at, uint32_t *ret)
{
    const graph_link *links = graph_links_of(graph, level, at);
    size_t max = graph_links_max(graph, level), count = 0;
    while (count < max) {
        ret[count] = graph_link_read(links + count);
        if ((ret[count] & GRAPH_LINK_ID) == GRAPH_LINK_NONE)
            break;
        count++;
    }
    return count;
}

void graph_list_write(struct graph *graph, unsigned level, uint32_t at, const uint32_t *links,
                      size_t count)
{
    graph_link *to = graph_links_of(graph, level, at);
    size_t max = graph_links_max(graph, level);
    for (size_t i = 0; i < max; i++)
        graph_link_write(to + i, i < count ? links[i] : GRAPH_LINK_NONE);
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static uint64_t entry_of(float key, uint32_t id)
{
    uint32_t rank;
    memcpy(&rank, &key, sizeof rank);
    rank = rank & 0x80000000 ? ~rank : rank | 0x80000000;
    return (uint64_t)rank << 32 | (uint64_t)id << 1;
}

/* The list anew, of `count` links: those of the tree in their order, then the best of the
 * others. */
static void choose_anew(struct graph_lister *lister, unsigned level, uint32_t at,
                        const uint32_t *links, size_t count)
{
    struct graph *graph = lister->graph;
    uint32_t nodes[CANDIDATES_AT_ONCE], kept[GRAPH_LINKS_MAX], chosen[GRAPH_LINKS_MAX];
    float keys[CANDIDATES_AT_ONCE];
    uint64_t order[CANDIDATES_AT_ONCE];
    size_t kept_count = 0, others = 0, max = graph_links_max(graph, level);
    for (size_t i = 0; i < count; i++)
        nodes[i] = graph_node_of(graph, level, links[i] & GRAPH_LINK_ID);
    struct graph_aim aim =
        aim_at(graph, graph_node_at(graph, graph_node_of(graph, level, at)), lister->bytes);
    graph_keys(graph, &aim, nodes, count, keys);
    for (size_t i = 0; i < count; i++)
        if (links[i] & GRAPH_LINK_TREE) {
            chosen[kept_count] = links[i] & GRAPH_LINK_ID;
            kept[kept_count++] = links[i];
        } else {
            order[others++] = entry_of(keys[i], links[i]);
        }
    if (others > 1)
        qsort(order, others, sizeof *order, compare);
    size_t all = choose(lister, level, at, order, others, chosen, kept_count, max);
    for (size_t i = kept_count; i < all; i++)
        kept[i] = chosen[i];
    graph_list_write(graph, level, at, kept, all);
}

void graph_list_add(struct graph_lister *lister, unsigned level, uint32_t at, const uint32_t *links,
                    size_t count)
{
    struct graph *graph = lister->graph;
    uint32_t all[CANDIDATES_AT_ONCE];
    size_t max = graph_links_max(graph, level), had = graph_list_read(graph, level, at, all);
    size_t total = had;
    for (size_t i = 0; i < count; i++) {
        bool is_there = links[i] == at;
        for (size_t k = 0; k < total && !is_there; k++)
            is_there = (all[k] & GRAPH_LINK_ID) == links[i];
        if (is_there)
            continue;
        all[total++] = links[i];
        if (total == (size_t)CANDIDATES_AT_ONCE) {
            choose_anew(lister, level, at, all, total);
            had = total = graph_list_read(graph, level, at, all);
        }
    }
    if (total > max) {
        choose_anew(lister, level, at, all, total);
        return;
    }
    for (size_t i = had; i < total; i++)
        graph_link_write(graph_links_of(graph, level, at) + i, all[i]);
}
