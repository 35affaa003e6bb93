/* The tree: what keeps level 0 together.
 *
 * Choosing neighbours says nothing about the whole: lists that were chosen well one by one may
 * leave a row, or a thousand equal ones, without a link from outside. So each node, when it is
 * inserted, becomes the child of one that is there, and the links of parent to child and child
 * to parent are marked and never pruned. Since every node reaches the root and the root every
 * node, all reach all. A node takes at most half of its list in children; who finds no room goes
 * to a child of a child, which has some in the end.
 *
 * When a node is taken out, its first child takes its place below its parent (or as the root) and
 * the others become descendants of that child: each joins a tree that it is not a part of, so there
 * is never a ring. Readers may look on: a row that changes its parent is reached by the old or the
 * new one. */
#include <assert.h>

#include "search/graph_internal.h"

static size_t children_of(const struct graph *graph, uint32_t node, uint32_t *ret)
{
    uint32_t links[GRAPH_LINKS_MAX];
    size_t count = graph_list_read(graph, 0, node, links), children = 0;
    for (size_t i = node == graph->root ? 0 : 1; i < count; i++)
        if (links[i] & GRAPH_LINK_TREE)
            ret[children++] = links[i] & GRAPH_LINK_ID;
    return children;
}

bool graph_tree_has(const struct graph *graph, uint32_t node)
{
    return node == graph->root ||
           (graph_link_read(graph_links_of(graph, 0, node)) & GRAPH_LINK_TREE);
}

/* Marks the link to the child, or writes it over the last one that is not of the tree. */
static void add_child(struct graph *graph, uint32_t parent, uint32_t child)
{
    uint32_t links[GRAPH_LINKS_MAX];
    graph_link *list = graph_links_of(graph, 0, parent);
    size_t count = graph_list_read(graph, 0, parent, links), place = GRAPH_LINKS_MAX;
    for (size_t i = 0; i < count; i++)
        if ((links[i] & GRAPH_LINK_ID) == child) {
            graph_link_write(list + i, child | GRAPH_LINK_TREE);
            return;
        }
    if (count < graph->options.links)
        place = count;
    for (size_t i = count; i-- > 0 && place == GRAPH_LINKS_MAX;)
        if (!(links[i] & GRAPH_LINK_TREE))
            place = i;
    assert(place < GRAPH_LINKS_MAX); /* at most half of them are children */
    graph_link_write(list + place, child | GRAPH_LINK_TREE);
}

/* The parent stands first; what stood there moves behind, or falls out at the end. */
static void set_parent(struct graph *graph, uint32_t node, uint32_t parent)
{
    uint32_t links[GRAPH_LINKS_MAX], next[GRAPH_LINKS_MAX + 1];
    size_t count = graph_list_read(graph, 0, node, links), total = 1, max = graph->options.links;
    next[0] = parent | GRAPH_LINK_TREE;
    for (size_t i = 0; i < count; i++)
        if ((links[i] & GRAPH_LINK_ID) != parent)
            next[total++] = links[i];
    while (total > max) {
        size_t at = total - 1;
        while (at && next[at] & GRAPH_LINK_TREE)
            at--;
        assert(at); /* not all are of the tree */
        for (size_t i = at; i + 1 < total; i++)
            next[i] = next[i + 1];
        total--;
    }
    graph_list_write(graph, 0, node, next, total);
}

/* `at`, or one below it that has room for a child. Which child is asked depends on who asks: always
 * the first would make a chain, as long as there are rows, of rows that are all equal. */
static uint32_t with_room(const struct graph *graph, uint32_t at, uint32_t node)
{
    uint32_t children[GRAPH_LINKS_MAX];
    for (uint64_t depth = 0;; depth++) {
        size_t count = children_of(graph, at, children);
        if (!count || count < graph->options.links / 2)
            return at;
        at = children[graph_random(node, depth) % count];
    }
}

void graph_tree_join(struct graph *graph, uint32_t node, const uint32_t *wanted, size_t count)
{
    uint32_t children[GRAPH_LINKS_MAX], parent = GRAPH_LINK_NONE;
    if (graph->root == GRAPH_LINK_NONE) {
        graph->root = node;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t at = wanted[i];
        if (at == node || !graph_tree_has(graph, at))
            continue;
        if (children_of(graph, at, children) < graph->options.links / 2) {
            parent = at;
            break;
        }
        parent = parent == GRAPH_LINK_NONE ? at : parent;
    }
    parent = with_room(graph, parent == GRAPH_LINK_NONE ? graph->root : parent, node);
    set_parent(graph, node, parent);
    add_child(graph, parent, node);
}

/* Takes a link out of a list; the last one fills its place, the first keeps its own. */
static void unlink_from(struct graph *graph, uint32_t of, uint32_t link)
{
    uint32_t links[GRAPH_LINKS_MAX];
    size_t count = graph_list_read(graph, 0, of, links);
    for (size_t i = 0; i < count; i++)
        if ((links[i] & GRAPH_LINK_ID) == link) {
            for (size_t k = i; k + 1 < count; k++)
                links[k] = links[k + 1];
            graph_list_write(graph, 0, of, links, count - 1);
            return;
        }
}

void graph_tree_leave(struct graph *graph, uint32_t node)
{
    uint32_t children[GRAPH_LINKS_MAX];
    size_t count = children_of(graph, node, children);
    bool is_root = node == graph->root;
    uint32_t parent =
        is_root ? GRAPH_LINK_NONE : graph_link_read(graph_links_of(graph, 0, node)) & GRAPH_LINK_ID;
    if (!is_root)
        unlink_from(graph, parent, node);
    else
        graph->root = count ? children[0] : GRAPH_LINK_NONE;
    for (size_t i = 0; i < count; i++) {
        unlink_from(graph, children[i], node);
        if (is_root && i == 0)
            continue;
        uint32_t under = with_room(graph, i == 0 ? parent : children[0], children[i]);
        set_parent(graph, children[i], under);
        add_child(graph, under, children[i]);
    }
    /* Who stands on it just now goes on from here; nobody comes to it any more. */
    uint32_t links[GRAPH_LINKS_MAX];
    count = graph_list_read(graph, 0, node, links);
    for (size_t i = 0; i < count; i++)
        links[i] &= GRAPH_LINK_ID;
    graph_list_write(graph, 0, node, links, count);
}
