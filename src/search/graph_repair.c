/* Deleting, and closing the gaps that it leaves.
 *
 * A deleted node stays in its place, is walked through and never told, until a repair takes it out:
 * each node that has it as a neighbour chooses anew among its other neighbours and those of the
 * deleted one. That reads only lists of deleted nodes, which nobody writes meanwhile, and each list
 * has one writer: threads may come in any order. Then the tree lets the deleted ones go. */
#include <string.h>

#include "search/graph_internal.h"

#define REPAIR_AT_ONCE ((size_t)4096) /* nodes between two looks at the token */

struct repair {
    struct graph *graph;
    struct graph_team *team;
    struct graph_lister listers[GRAPH_THREADS_MAX];
    unsigned level;
    size_t first;
};

enum lh_code graph_delete(struct graph *graph, size_t row, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&graph->write_lock);
    if (row >= atomic_load(&graph->visible)) {
        code = lh_fail(err, LH_NOT_FOUND, "The graph has no row %zu.", row);
    } else {
        uint64_t bit = UINT64_C(1) << (row % 64);
        if (!(atomic_fetch_or(graph_dead_word(graph, (uint32_t)row), bit) & bit))
            atomic_fetch_add(&graph->dead_count, 1);
    }
    pthread_mutex_unlock(&graph->write_lock);
    return code;
}

static bool is_gone(const struct graph *graph, unsigned level, uint32_t at)
{
    return graph_is_dead(graph, graph_node_of(graph, level, at));
}

/* Neighbours of a deleted neighbour that are not deleted take its place. */
static size_t add_behind(const struct graph *graph, unsigned level, uint32_t of, uint32_t gone,
                         uint32_t *list, size_t count, size_t max)
{
    uint32_t links[GRAPH_LINKS_MAX];
    size_t link_count = graph_list_read(graph, level, gone, links);
    for (size_t i = 0; i < link_count && count < max; i++) {
        uint32_t link = links[i] & GRAPH_LINK_ID;
        if (link != of && !is_gone(graph, level, link))
            list[count++] = link;
    }
    return count;
}

static void repair_list(void *context, unsigned worker, size_t index)
{
    struct repair *repair = context;
    struct graph *graph = repair->graph;
    unsigned level = repair->level;
    uint32_t at = (uint32_t)(repair->first + index);
    uint32_t links[GRAPH_LINKS_MAX], kept[GRAPH_LINKS_MAX], behind[1024];
    size_t count = graph_list_read(graph, level, at, links), kept_count = 0, behind_count = 0;
    if (is_gone(graph, level, at))
        return;
    for (size_t i = 0; i < count; i++) {
        uint32_t link = links[i] & GRAPH_LINK_ID;
        bool gone = is_gone(graph, level, link);
        if (!gone || (links[i] & GRAPH_LINK_TREE))
            kept[kept_count++] = links[i];
        if (gone)
            behind_count = add_behind(graph, level, at, link, behind, behind_count, 1024);
    }
    if (!behind_count && kept_count == count)
        return;
    graph_list_write(graph, level, at, kept, kept_count);
    graph_list_add(repair->listers + worker, level, at, behind, behind_count);
}

static enum lh_code repair_level(struct repair *repair, unsigned level,
                                 const struct graph_work *work, struct lh_error *err)
{
    struct graph *graph = repair->graph;
    size_t count = level ? atomic_load(&graph->levels[level].count) : atomic_load(&graph->count);
    repair->level = level;
    for (size_t from = 0; from < count; from += REPAIR_AT_ONCE) {
        size_t some = count - from < REPAIR_AT_ONCE ? count - from : REPAIR_AT_ONCE;
        enum lh_code code = lh_cancel_fail(work->cancel, "The repair of a graph", err);
        if (code)
            return code;
        repair->first = from;
        graph_team_run(repair->team, repair_list, repair, some);
        if (!level && work->progress)
            work->progress(work->context, from + some, count);
    }
    return LH_OK;
}

/* The highest slot that is left; the root of the tree where there is none. */
static void set_entry(struct graph *graph)
{
    uint64_t entry = atomic_load(&graph->entry);
    if (entry == GRAPH_NOWHERE || !is_gone(graph, (unsigned)(entry >> 32), (uint32_t)entry))
        return;
    for (unsigned level = GRAPH_LEVELS; level-- > 1;)
        for (uint32_t at = 0; at < atomic_load(&graph->levels[level].count); at++)
            if (!is_gone(graph, level, at)) {
                atomic_store(&graph->entry, (uint64_t)level << 32 | at);
                return;
            }
    atomic_store(&graph->entry, graph->root == GRAPH_LINK_NONE ? GRAPH_NOWHERE : graph->root);
}

static enum lh_code repair_all(struct repair *repair, const struct graph_work *work,
                               struct lh_error *err)
{
    struct graph *graph = repair->graph;
    enum lh_code code = LH_OK;
    for (unsigned level = GRAPH_LEVELS; level-- > 0 && !code;)
        code = repair_level(repair, level, work, err);
    if (code)
        return code;
    for (uint32_t at = 0; at < atomic_load(&graph->count); at++)
        if (graph_is_dead(graph, at) && graph_tree_has(graph, at))
            graph_tree_leave(graph, at);
    set_entry(graph);
    return LH_OK;
}

enum lh_code graph_repair(struct graph *graph, const struct graph_work *work, struct lh_error *err)
{
    static const struct graph_work plain = {.threads = 1};
    struct repair repair = {.graph = graph};
    bool is_made = true;
    work = work ? work : &plain;
    pthread_mutex_lock(&graph->write_lock);
    enum lh_code code = graph_map_check_nodes(graph, err);
    if (!code && atomic_load(&graph->dead_count)) {
        repair.team = graph_team_new(work->threads);
        for (unsigned i = 0; is_made && i < graph_team_size(repair.team); i++)
            is_made = graph_lister_init(repair.listers + i, graph);
        code = is_made ? repair_all(&repair, work, err)
                       : lh_fail(err, LH_BUSY, "There is no memory for a graph's repair.");
        for (unsigned i = 0; i < graph_team_size(repair.team); i++)
            graph_lister_release(repair.listers + i);
        graph_team_free(repair.team);
    }
    pthread_mutex_unlock(&graph->write_lock);
    return code;
}
