/* Walks over a graph, and how near nodes are; inside graph*.c only. */
#ifndef LAKEHOUSE_SEARCH_GRAPH_WALK_H
#define LAKEHOUSE_SEARCH_GRAPH_WALK_H

#include "search/graph_internal.h"

/* How near nodes are to what is looked for: the smaller the key, the nearer. key = node_weight ·
 * self − dot_weight · scale · (code · bytes). */
struct graph_aim {
    int8_t *bytes; /* `padded`, aligned */
    float node_weight;
    float dot_weight;
    int32_t offset; /* what is taken off for the codes' zero */
};

/* A walk and its memory, for one thread at a time. */
struct graph_walk {
    struct graph_walk *next; /* in the list of those that rest */
    struct graph *graph;
    struct graph_aim aim;
    float *turned;
    uint64_t *visited; /* bit per node or slot; only those of `touched` are set */
    size_t visited_words;
    uint32_t *touched;
    size_t touched_count, touched_capacity;
    uint64_t *pool; /* key, number, whether it was expanded: ascending */
    size_t pool_count, pool_capacity;
    size_t width;
    uint32_t limit;         /* numbers from here on came later */
    size_t equal_max;       /* of equally near nodes that are kept */
    uint32_t visible;       /* rows from here on may not be found */
    const uint64_t *filter; /* rows that may be; NULL: all */
    size_t filter_rows;
    bool is_damaged, is_without_memory;
    size_t bad_block;
    size_t hops, evaluations;
};

struct graph_walk *graph_walk_take(struct graph *graph); /* NULL: no memory */
void graph_walk_give(struct graph *graph, struct graph_walk *walk);
void graph_walks_free(struct graph *graph);
/* Sets the offset to the bytes. */
void graph_aim_finish(const struct graph *graph, struct graph_aim *aim);
/* Forgets where it was; `width` best are kept from now on, of which GRAPH_EQUAL_MAX may be equally
 * near and found: the caller may set more, and what may be found. False: no memory. */
#define GRAPH_EQUAL_MAX ((size_t)16)
bool graph_walk_begin(struct graph_walk *walk, size_t width, uint32_t limit);
/* Keys of nodes. */
void graph_keys(const struct graph *graph, const struct graph_aim *aim, const uint32_t *nodes,
                size_t count, float *ret);
/* From the entry down to above `level`; the nearest slot (or node) of `level` that was found. */
uint32_t graph_walk_down(struct graph_walk *walk, uint64_t entry, unsigned level);
void graph_walk_from(struct graph_walk *walk, unsigned level, uint32_t start);
/* Nodes (slots) from … to − 1 of a level join the pool, but for one. */
void graph_walk_join(struct graph_walk *walk, unsigned level, uint32_t from, uint32_t to,
                     uint32_t except);
/* Rows that may be found as starts, then over those alone. */
void graph_walk_bridge(struct graph_walk *walk, const uint32_t *starts, size_t start_count);

/* The rows of a word of bits that may be found: filtered, visible, not deleted. */
uint64_t graph_findable_word(const struct graph_walk *walk, uint32_t word);
/* Rows that may be found go into the pool, nearest first, but for those that are behind k others
 * though codes may be wrong by `margin` times a row's length. False: there are more than the pool
 * has room for, or there is no memory; the pool is then of no use. */
bool graph_walk_all(struct graph_walk *walk, size_t k, float margin);

static inline uint32_t graph_pool_id(uint64_t entry)
{
    return (uint32_t)entry >> 1;
}
float graph_pool_key(uint64_t entry);
uint64_t graph_pool_entry(float key, uint32_t id);
/* Where the entry belongs among the first `count` of the pool. */
static inline size_t graph_pool_place(const struct graph_walk *walk, uint64_t entry, size_t count)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (walk->pool[middle] < entry)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

#endif
