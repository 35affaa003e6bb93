/* How a graph lies in memory; inside graph*.c only.
 *
 * A node is `node_stride` bytes, aligned to 64: scale and square of what its code stands for, its
 * links at level 0, then the code. A node that stands in upper levels has a slot of 64 bytes in
 * each. Nodes and slots lie in chunks that never move, found through tables of fixed size, so that
 * readers need no lock. Chunks of a mapped graph lie in its file. */
#ifndef LAKEHOUSE_SEARCH_GRAPH_INTERNAL_H
#define LAKEHOUSE_SEARCH_GRAPH_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "search/distance.h"
#include "search/distance_packed.h"
#include "search/graph.h"

#define GRAPH_LINE ((size_t)64)
#define GRAPH_LEVELS 8U      /* level 0 and those above */
#define GRAPH_SLOT_LINKS 14U /* of a slot: it fills a line */
#define GRAPH_LINKS_MAX 62U
#define GRAPH_LINK_TREE 0x80000000U /* this link belongs to the tree */
#define GRAPH_LINK_NONE 0x7FFFFFFFU /* here and behind, there are none */
#define GRAPH_LINK_ID 0x7FFFFFFFU
#define GRAPH_NOWHERE UINT64_MAX

typedef _Atomic uint32_t graph_link;

struct graph_node {
    float scale; /* the row is about scale · code */
    float self;  /* the squared length of that */
    graph_link links[];
};
struct graph_slot {
    uint32_t node;
    uint32_t below; /* the same node's slot one level below; at level 1 the node */
    graph_link links[GRAPH_SLOT_LINKS];
};

struct graph_level {
    struct graph_slot *_Atomic *chunks;
    _Atomic uint32_t count;
    uint32_t mapped_count; /* the first so many lie in the file, in whole chunks */
};

struct graph_turn_step { /* a number of the turned row, before it is transformed */
    uint32_t from;
    float sign;
};

struct graph_map; /* graph_file.c: the file below a graph */
struct graph_walk;

struct graph {
    struct graph_options options;
    size_t padded;     /* numbers of a code, those behind the dimensions too */
    size_t blocks;     /* of a code */
    size_t head_bytes; /* before the code */
    size_t node_stride;
    unsigned chunk_shift; /* nodes of a chunk, as a power of two */
    size_t chunk_max;
    const struct packed_kernels *kernels;
    const struct search_kernels *float_kernels;

    struct graph_turn_step *turn;

    uint8_t *_Atomic *chunks;
    _Atomic uint64_t *_Atomic *dead_chunks; /* bit per node: deleted */
    const float **_Atomic *row_chunks;      /* where each row lies */
    float **own_rows;                       /* copies, as they were allocated */
    size_t own_row_count, own_row_capacity;
    int64_t own_row_bytes;
    struct graph_level levels[GRAPH_LEVELS]; /* [0] is not used */
    _Atomic uint32_t count;
    _Atomic uint32_t visible; /* rows that may be found; those behind are being inserted */
    _Atomic uint32_t dead_count;
    _Atomic uint64_t entry; /* level << 32 | slot or node; GRAPH_NOWHERE */
    uint32_t root;          /* of the tree; GRAPH_LINK_NONE: there is none */

    struct graph_map *map;    /* NULL: not from a file */
    const float *mapped_rows; /* the first `mapped_count` rows lie here */
    uint32_t mapped_count;
    struct graph_lent *lent; /* where they lie if the file has none */
    size_t lent_count;
    bool is_tail_own;           /* the last chunk of them was copied, to be filled up */
    pthread_mutex_t write_lock; /* one change at a time */
    pthread_mutex_t walks_lock; /* the list of walks that rest; a few instructions */
    struct graph_walk *walks;   /* graph_walk.h */
};

/* --- graph_memory.c */

static inline struct graph_node *graph_node_at(const struct graph *graph, uint32_t at)
{
    uint8_t *chunk =
        atomic_load_explicit(graph->chunks + (at >> graph->chunk_shift), memory_order_acquire);
    size_t place = at & (((size_t)1 << graph->chunk_shift) - 1);
    return (struct graph_node *)(void *)(chunk + place * graph->node_stride);
}
static inline const uint8_t *graph_code_of(const struct graph *graph, const struct graph_node *node)
{
    return (const uint8_t *)node + graph->head_bytes;
}
#define GRAPH_SLOT_SHIFT 10U
static inline struct graph_slot *graph_slot_at(const struct graph *graph, unsigned level,
                                               uint32_t at)
{
    struct graph_slot *chunk = atomic_load_explicit(
        graph->levels[level].chunks + (at >> GRAPH_SLOT_SHIFT), memory_order_acquire);
    return chunk + (at & ((1U << GRAPH_SLOT_SHIFT) - 1));
}
/* The links of a node (level 0) or slot, and the node it is. */
static inline graph_link *graph_links_of(const struct graph *graph, unsigned level, uint32_t at)
{
    return level ? graph_slot_at(graph, level, at)->links : graph_node_at(graph, at)->links;
}
static inline uint32_t graph_node_of(const struct graph *graph, unsigned level, uint32_t at)
{
    return level ? graph_slot_at(graph, level, at)->node : at;
}
static inline size_t graph_links_max(const struct graph *graph, unsigned level)
{
    return level ? GRAPH_SLOT_LINKS : graph->options.links;
}
static inline uint32_t graph_link_read(const graph_link *link)
{
    return atomic_load_explicit(link, memory_order_acquire);
}
static inline void graph_link_write(graph_link *link, uint32_t value)
{
    atomic_store_explicit(link, value, memory_order_release);
}
static inline _Atomic uint64_t *graph_dead_word(const struct graph *graph, uint32_t at)
{
    _Atomic uint64_t *words =
        atomic_load_explicit(graph->dead_chunks + (at >> graph->chunk_shift), memory_order_acquire);
    return words + (at & (((size_t)1 << graph->chunk_shift) - 1)) / 64;
}
static inline bool graph_is_dead(const struct graph *graph, uint32_t at)
{
    return atomic_load_explicit(graph_dead_word(graph, at), memory_order_relaxed) >> (at % 64) & 1;
}
const float *graph_lent_row(const struct graph *graph, uint32_t at); /* graph_file.c; NULL: none */
static inline const float *graph_row_at(const struct graph *graph, uint32_t at)
{
    if (at < graph->mapped_count)
        return graph->mapped_rows ? graph->mapped_rows + (size_t)at * graph->options.dimensions
                                  : graph_lent_row(graph, at);
    const float **rows =
        atomic_load_explicit(graph->row_chunks + (at >> graph->chunk_shift), memory_order_acquire);
    return rows[at & (((size_t)1 << graph->chunk_shift) - 1)];
}

/* Checks options, sets what follows from them, makes the tables. */
enum lh_code graph_make(const struct graph_options *options, struct graph **ret,
                        struct lh_error *err) LH_MUST_USE;
/* Room for nodes and slots up to these numbers; false: there is no memory. */
bool graph_make_room(struct graph *graph, size_t nodes);
/* Makes the file's last chunk of nodes, if it is not full, our own. */
bool graph_own_tail(struct graph *graph);
bool graph_make_slot_room(struct graph *graph, unsigned level, size_t slots);
void *graph_aligned(size_t bytes, size_t alignment); /* not cleared; NULL: no memory */

/* --- graph_code.c: rows as codes */

/* The steps of the turn, two rounds of `dimensions`. */
void graph_turn_make(const struct graph *graph, struct graph_turn_step *ret);
/* Turns a row by the orthogonal map of the seed: `ret` has room for 2 · `padded` floats, of which
 * the first half counts, and may not be the row. */
void graph_turn(const struct graph *graph, const float *row, float *ret);
/* The code of a turned row, with scale and square, into a node. */
void graph_encode(const struct graph *graph, const float *turned, struct graph_node *node);
/* A turned row as signed bytes; returns the scale. */
float graph_query_bytes(const struct graph *graph, const float *turned, int8_t *ret);
/* What a node's code stands for, as a query. */
void graph_decode(const struct graph *graph, const struct graph_node *node, int8_t *ret);
uint64_t graph_random(uint64_t seed, uint64_t at); /* the same number for the same arguments */

/* --- graph_list.c: lists of links */

struct graph_lister { /* memory for one thread */
    struct graph *graph;
    int8_t *bytes, *other;
};
bool graph_lister_init(struct graph_lister *lister, struct graph *graph);
void graph_lister_release(struct graph_lister *lister);
/* Chooses at most `max` of the candidates (pool entries, nearest first) for a node, such that they
 * stand in different directions; deleted ones are left out. Returns how many. */
size_t graph_choose(struct graph_lister *lister, unsigned level, uint32_t node,
                    const uint64_t *candidates, size_t count, uint32_t *ret, size_t max);
/* Adds links to a list; when it is full, it is chosen anew. */
void graph_list_add(struct graph_lister *lister, unsigned level, uint32_t at, const uint32_t *links,
                    size_t count);
size_t graph_list_read(const struct graph *graph, unsigned level, uint32_t at, uint32_t *ret);
void graph_list_write(struct graph *graph, unsigned level, uint32_t at, const uint32_t *links,
                      size_t count);

/* --- graph_tree.c: what keeps level 0 together. The parent of every node but the root stands
 * first in its list, its children are marked in it. */

/* Gives a node that has none a parent: the first of `wanted` with room, or one below; none wanted:
 * the root. Both lists are written. */
void graph_tree_join(struct graph *graph, uint32_t node, const uint32_t *wanted, size_t count);
/* Takes a node out; its children get other parents. Its own list is emptied. */
void graph_tree_leave(struct graph *graph, uint32_t node);

/* --- graph_team.c: threads that share a loop */

struct graph_team;
/* NULL is a team of one. */
struct graph_team *graph_team_new(unsigned threads);
void graph_team_free(struct graph_team *team);
unsigned graph_team_size(const struct graph_team *team);
/* each(context, worker, at) for all at < count, in any order, by workers 0 … size − 1. */
void graph_team_run(struct graph_team *team,
                    void (*each)(void *context, unsigned worker, size_t at), void *context,
                    size_t count);

/* Deleted nodes that are not of the tree any more were taken out. */
bool graph_tree_has(const struct graph *graph, uint32_t node);

/* --- graph_file.c */

/* Before anything is changed: nodes and slots of the file are compared with their sums. */
enum lh_code graph_map_check_nodes(struct graph *graph, struct lh_error *err) LH_MUST_USE;

/* Whether all blocks that these bytes lie in are what was written; those outside the file are. */
bool graph_map_is_good(struct graph_map *map, const void *at, size_t bytes, size_t *ret_bad);
/* Begins to read what was not checked yet of those bytes, if they lie in the map; true: there is
 * nothing of them to be checked. */
bool graph_map_want(struct graph_map *map, const void *at, size_t bytes);
void graph_map_free(struct graph_map *map);

#endif
