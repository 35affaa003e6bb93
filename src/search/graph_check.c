/* All that must always hold of a graph, looked at one by one. */
#include <stdlib.h>

#include "search/graph_internal.h"

struct check {
    struct graph *graph;
    uint32_t *queue; /* of a walk over everything */
    uint8_t *seen;
    struct lh_error *err;
};

/* Deleted nodes that were taken out are nobody's neighbours; theirs do not matter. */
static bool is_out(const struct graph *graph, unsigned level, uint32_t at)
{
    uint32_t node = graph_node_of(graph, level, at);
    return graph_is_dead(graph, node) && !graph_tree_has(graph, node);
}

static enum lh_code check_list(const struct check *check, unsigned level, uint32_t at)
{
    const struct graph *graph = check->graph;
    uint32_t links[GRAPH_LINKS_MAX];
    size_t max = graph_links_max(graph, level), count = graph_list_read(graph, level, at, links);
    uint32_t end = level ? atomic_load(&graph->levels[level].count) : atomic_load(&graph->count);
    for (size_t i = count; i < max; i++)
        if (graph_link_read(graph_links_of(graph, level, at) + i) != GRAPH_LINK_NONE)
            return lh_fail(check->err, LH_INTERNAL, "The list of %u at level %u has a gap.", at,
                           level);
    for (size_t i = 0; i < count; i++) {
        uint32_t link = links[i] & GRAPH_LINK_ID;
        if (link >= end)
            return lh_fail(check->err, LH_INTERNAL, "%u at level %u leads to %u of %u.", at, level,
                           link, end);
        if (link == at)
            return lh_fail(check->err, LH_INTERNAL, "%u at level %u leads to itself.", at, level);
        if (is_out(graph, level, link))
            return lh_fail(check->err, LH_INTERNAL, "%u at level %u leads to %u, taken out.", at,
                           level, link);
        for (size_t k = 0; k < i; k++)
            if ((links[k] & GRAPH_LINK_ID) == link)
                return lh_fail(check->err, LH_INTERNAL, "%u at level %u leads to %u twice.", at,
                               level, link);
    }
    return LH_OK;
}

/* Each marked link is marked on the other side; the first one leads to the parent. */
static enum lh_code check_tree(const struct check *check, uint32_t at)
{
    const struct graph *graph = check->graph;
    uint32_t links[GRAPH_LINKS_MAX], other[GRAPH_LINKS_MAX];
    size_t count = graph_list_read(graph, 0, at, links), marked = 0;
    if (!graph_tree_has(graph, at))
        return lh_fail(check->err, LH_INTERNAL, "Node %u has no parent.", at);
    for (size_t i = 0; i < count; i++) {
        if (!(links[i] & GRAPH_LINK_TREE))
            continue;
        bool is_mutual = false, is_parent = i == 0 && at != graph->root;
        size_t other_count = graph_list_read(graph, 0, links[i] & GRAPH_LINK_ID, other);
        for (size_t k = 0; k < other_count; k++)
            is_mutual |= other[k] == (at | GRAPH_LINK_TREE) &&
                         (is_parent || (k == 0 && (links[i] & GRAPH_LINK_ID) != graph->root));
        if (!is_mutual)
            return lh_fail(check->err, LH_INTERNAL, "Of the tree: %u leads to %u, not back.", at,
                           links[i] & GRAPH_LINK_ID);
        marked++;
    }
    if (marked > graph->options.links / 2 + 1)
        return lh_fail(check->err, LH_INTERNAL, "Node %u has %zu links of the tree.", at, marked);
    return LH_OK;
}

static enum lh_code check_slot(const struct check *check, unsigned level, uint32_t at)
{
    const struct graph *graph = check->graph;
    const struct graph_slot *slot = graph_slot_at(graph, level, at);
    uint32_t below =
        level == 1 ? atomic_load(&graph->count) : atomic_load(&graph->levels[level - 1].count);
    if (slot->node >= atomic_load(&graph->count) || slot->below >= below ||
        graph_node_of(graph, level - 1, slot->below) != slot->node)
        return lh_fail(check->err, LH_INTERNAL, "Slot %u at level %u stands over another node.", at,
                       level);
    return LH_OK;
}

/* From where a search comes to level 0, along all links. */
static enum lh_code check_reach(const struct check *check)
{
    struct graph *graph = check->graph;
    uint64_t entry = atomic_load(&graph->entry);
    size_t count = 0, wanted = 0;
    for (uint32_t at = 0; at < atomic_load(&graph->count); at++)
        wanted += is_out(graph, 0, at) ? 0 : 1;
    if (entry == GRAPH_NOWHERE)
        return wanted ? lh_fail(check->err, LH_INTERNAL, "There is no way into the graph.") : LH_OK;
    if (is_out(graph, (unsigned)(entry >> 32), (uint32_t)entry))
        return lh_fail(check->err, LH_INTERNAL, "The way in is a node that was taken out.");
    check->queue[count++] = graph_node_of(graph, (unsigned)(entry >> 32), (uint32_t)entry);
    check->seen[check->queue[0]] = 1;
    for (size_t next = 0; next < count; next++) {
        uint32_t links[GRAPH_LINKS_MAX];
        size_t link_count = graph_list_read(graph, 0, check->queue[next], links);
        for (size_t i = 0; i < link_count; i++) {
            uint32_t link = links[i] & GRAPH_LINK_ID;
            if (check->seen[link])
                continue;
            check->seen[link] = 1;
            check->queue[count++] = link;
        }
    }
    if (count != wanted)
        return lh_fail(check->err, LH_INTERNAL, "%zu of %zu nodes are reached.", count, wanted);
    return LH_OK;
}

enum lh_code graph_check(struct graph *graph, struct lh_error *err)
{
    struct check check = {.graph = graph, .err = err};
    uint32_t count = atomic_load(&graph->count);
    enum lh_code code = LH_OK;
    check.queue = calloc((size_t)count + 1, sizeof *check.queue);
    check.seen = calloc((size_t)count + 1, 1);
    if (!check.queue || !check.seen) {
        code = lh_fail(err, LH_BUSY, "There is no memory for a graph to be checked.");
        goto out;
    }
    for (uint32_t at = 0; at < count && !code; at++) {
        if (is_out(graph, 0, at))
            continue;
        code = check_list(&check, 0, at);
        if (!code)
            code = check_tree(&check, at);
    }
    for (unsigned level = 1; level < GRAPH_LEVELS && !code; level++)
        for (uint32_t at = 0; at < atomic_load(&graph->levels[level].count) && !code; at++) {
            code = check_slot(&check, level, at);
            if (!code && !is_out(graph, level, at))
                code = check_list(&check, level, at);
        }
    if (!code)
        code = check_reach(&check);
out:
    free(check.queue);
    free(check.seen);
    return code;
}
