/* The walk: from node to node, towards what is looked for.
 *
 * What is waited for is memory, not arithmetic: a hop touches some thirty codes that lie
 * anywhere. So the neighbours that were not visited yet are gathered first, and each code is
 * asked for several codes before its turn; links lie in the first lines of a node, which come
 * with it. The pool of the nearest is one sorted array of whole numbers: most nodes are turned
 * away by one comparison, the others move a few hundred bytes that are at hand. Visited nodes
 * are bits, cleared one by one afterwards: an array of marks that need no clearing would be
 * sixteen times as large. */
#include <stdlib.h>
#include <string.h>

#include "search/graph_walk.h"

#define AHEAD ((size_t)8) /* codes that are on their way */
#define GATHERED_MAX ((size_t)512)

/* --- keys */

/* Floats as whole numbers in the same order. */
static inline uint32_t rank_of(float key)
{
    uint32_t bits;
    memcpy(&bits, &key, sizeof bits);
    return bits & 0x80000000 ? ~bits : bits | 0x80000000;
}

float graph_pool_key(uint64_t entry)
{
    uint32_t bits = (uint32_t)(entry >> 32);
    float ret;
    bits = bits & 0x80000000 ? bits & 0x7FFFFFFF : ~bits;
    memcpy(&ret, &bits, sizeof ret);
    return ret;
}

uint64_t graph_pool_entry(float key, uint32_t id)
{
    return (uint64_t)rank_of(key) << 32 | (uint64_t)id << 1;
}

void graph_aim_finish(const struct graph *graph, struct graph_aim *aim)
{
    int32_t sum = 0;
    for (size_t i = 0; i < graph->padded; i++)
        sum += aim->bytes[i];
    aim->offset = sum * (graph->options.bits == 4 ? 15 : 128);
}

static inline float key_of(const struct graph_aim *aim, const struct graph_node *node, int32_t dot,
                           int32_t times)
{
    float value = (float)(dot * times - aim->offset);
    return aim->node_weight * node->self - aim->dot_weight * node->scale * value;
}

static inline void ask_for(const struct graph *graph, const struct graph_node *node)
{
    const char *from = (const char *)node, *code = from + graph->head_bytes;
    __builtin_prefetch(from);
    for (size_t i = 0; i < graph->blocks; i++)
        __builtin_prefetch(code + i * PACKED_BLOCK_BYTES);
}

static void dots_of(const struct graph *graph, const struct graph_aim *aim,
                    const struct graph_node *const *nodes, size_t count, float *ret)
{
    bool is_four = graph->options.bits == 4;
    packed_dots *dots = is_four ? graph->kernels->four_bits : graph->kernels->eight_bits;
    int32_t times = is_four ? 2 : 1;
    for (size_t i = 0; i < AHEAD && i < count; i++)
        ask_for(graph, nodes[i]);
    for (size_t from = 0; from < count; from += PACKED_AT_ONCE) {
        const uint8_t *codes[PACKED_AT_ONCE];
        int32_t sums[PACKED_AT_ONCE];
        size_t some = count - from < PACKED_AT_ONCE ? count - from : PACKED_AT_ONCE;
        for (size_t i = 0; i < PACKED_AT_ONCE; i++)
            codes[i] = graph_code_of(graph, nodes[from + (i < some ? i : 0)]);
        for (size_t i = from + AHEAD; i < from + AHEAD + PACKED_AT_ONCE && i < count; i++)
            ask_for(graph, nodes[i]);
        dots(codes, graph->blocks, aim->bytes, sums);
        for (size_t i = 0; i < some; i++)
            ret[from + i] = key_of(aim, nodes[from + i], sums[i], times);
    }
}

void graph_keys(const struct graph *graph, const struct graph_aim *aim, const uint32_t *nodes,
                size_t count, float *ret)
{
    const struct graph_node *at[64];
    for (size_t from = 0; from < count; from += 64) {
        size_t some = count - from < 64 ? count - from : 64;
        for (size_t i = 0; i < some; i++)
            at[i] = graph_node_at(graph, nodes[from + i]);
        dots_of(graph, aim, at, some, ret + from);
    }
}

/* --- life */

static void walk_free(struct graph_walk *walk)
{
    if (!walk)
        return;
    free(walk->aim.bytes);
    free(walk->turned);
    free(walk->visited);
    free(walk->touched);
    free(walk->pool);
    free(walk);
}

struct graph_walk *graph_walk_take(struct graph *graph)
{
    pthread_mutex_lock(&graph->walks_lock);
    struct graph_walk *walk = graph->walks;
    if (walk)
        graph->walks = walk->next;
    pthread_mutex_unlock(&graph->walks_lock);
    if (walk)
        return walk;
    walk = calloc(1, sizeof *walk);
    if (!walk)
        return NULL;
    walk->graph = graph;
    walk->aim.bytes = graph_aligned(graph->padded, GRAPH_LINE);
    walk->turned = graph_aligned(2 * graph->padded * sizeof(float), GRAPH_LINE);
    if (!walk->aim.bytes || !walk->turned) {
        walk_free(walk);
        return NULL;
    }
    return walk;
}

void graph_walk_give(struct graph *graph, struct graph_walk *walk)
{
    if (!walk)
        return;
    pthread_mutex_lock(&graph->walks_lock);
    walk->next = graph->walks;
    graph->walks = walk;
    pthread_mutex_unlock(&graph->walks_lock);
}

void graph_walks_free(struct graph *graph)
{
    while (graph->walks) {
        struct graph_walk *walk = graph->walks;
        graph->walks = walk->next;
        walk_free(walk);
    }
}

static void forget(struct graph_walk *walk)
{
    for (size_t i = 0; i < walk->touched_count; i++)
        walk->visited[walk->touched[i] / 64] = 0;
    walk->touched_count = 0;
    walk->pool_count = 0;
}

bool graph_walk_begin(struct graph_walk *walk, size_t width, uint32_t limit)
{
    size_t words = ((size_t)limit + 63) / 64;
    forget(walk);
    if (words > walk->visited_words) {
        words += words / 2;
        free(walk->visited);
        walk->visited = calloc(words, sizeof *walk->visited);
        walk->visited_words = walk->visited ? words : 0;
    }
    if (width + 1 > walk->pool_capacity) {
        free(walk->pool);
        walk->pool = malloc((width + 1) * sizeof *walk->pool);
        walk->pool_capacity = walk->pool ? width + 1 : 0;
    }
    walk->width = width;
    walk->limit = walk->visible = limit;
    walk->equal_max = GRAPH_EQUAL_MAX;
    walk->filter = NULL;
    walk->is_damaged = walk->is_without_memory = false;
    return (walk->visited || !limit) && walk->pool;
}

/* --- what a hop does */

/* True the first time. */
static inline bool visit(struct graph_walk *walk, uint32_t at)
{
    uint64_t *word = walk->visited + at / 64, bit = UINT64_C(1) << (at % 64);
    if (at >= walk->limit || *word & bit)
        return false;
    if (walk->touched_count == walk->touched_capacity) {
        size_t capacity = walk->touched_capacity ? walk->touched_capacity * 2 : 4096;
        uint32_t *more = realloc(walk->touched, capacity * sizeof *more);
        if (!more) {
            walk->is_without_memory = true;
            return false;
        }
        walk->touched = more;
        walk->touched_capacity = capacity;
    }
    walk->touched[walk->touched_count++] = at;
    *word |= bit;
    return true;
}

static inline bool is_good(struct graph_walk *walk, const void *at, size_t bytes)
{
    if (!walk->graph->map || graph_map_is_good(walk->graph->map, at, bytes, &walk->bad_block))
        return true;
    walk->is_damaged = true;
    return false;
}

static inline bool may_be_found(const struct graph_walk *walk, unsigned level, uint32_t at)
{
    if (graph_is_dead(walk->graph, graph_node_of(walk->graph, level, at)))
        return false;
    if (level)
        return true;
    return at < walk->visible &&
           (!walk->filter || (at < walk->filter_rows && (walk->filter[at / 64] >> (at % 64) & 1)));
}

/* Equal rows are equally near, and a thousand of them would fill the pool, so that a walk saw
 * nothing else: enough of them are kept, as many of those that may be found as of the others. */
static bool are_enough(const struct graph_walk *walk, unsigned level, uint32_t rank, size_t place,
                       uint32_t at)
{
    size_t from = place, to = place, same = 0;
    while (from && walk->pool[from - 1] >> 32 == rank)
        from--;
    while (to < walk->pool_count && walk->pool[to] >> 32 == rank)
        to++;
    if (to - from < walk->equal_max)
        return false;
    bool may = may_be_found(walk, level, at);
    for (; from < to; from++)
        same += may_be_found(walk, level, graph_pool_id(walk->pool[from])) == may;
    return same >= walk->equal_max;
}

/* The place in the pool, or its width: farther than all that are kept. */
static inline size_t pool_add(struct graph_walk *walk, unsigned level, float key, uint32_t at)
{
    uint32_t rank = rank_of(key);
    uint64_t entry = (uint64_t)rank << 32 | (uint64_t)at << 1;
    size_t count = walk->pool_count;
    if (count == walk->width) {
        if (entry >= walk->pool[count - 1])
            return walk->width;
        count--;
    }
    size_t low = graph_pool_place(walk, entry, count);
    if (((low < walk->pool_count && walk->pool[low] >> 32 == rank) ||
         (low && walk->pool[low - 1] >> 32 == rank)) &&
        are_enough(walk, level, rank, low, at))
        return walk->width;
    memmove(walk->pool + low + 1, walk->pool + low, (count - low) * sizeof *walk->pool);
    walk->pool[low] = entry;
    walk->pool_count = count + 1;
    return low;
}

/* Evaluates what was gathered; returns the foremost place that was taken in the pool. */
static size_t evaluate(struct graph_walk *walk, unsigned level, const uint32_t *gathered,
                       size_t count)
{
    const struct graph *graph = walk->graph;
    const struct graph_node *nodes[64];
    float keys[64];
    size_t foremost = walk->width;
    for (size_t from = 0; from < count; from += 64) {
        size_t some = count - from < 64 ? count - from : 64;
        bool are_known = true;
        for (size_t i = 0; i < some; i++) {
            nodes[i] = graph_node_at(graph, graph_node_of(graph, level, gathered[from + i]));
            if (graph->map && !graph_map_want(graph->map, nodes[i], graph->node_stride))
                are_known = false;
        }
        for (size_t i = 0; i < some && !are_known; i++) {
            if (!is_good(walk, nodes[i], graph->node_stride))
                return walk->width;
        }
        dots_of(graph, &walk->aim, nodes, some, keys);
        for (size_t i = 0; i < some; i++) {
            size_t place = pool_add(walk, level, keys[i], gathered[from + i]);
            if (place == walk->width)
                continue;
            foremost = place < foremost ? place : foremost;
            if (!level) /* the rest of its links: it may be next */
                __builtin_prefetch((const char *)nodes[i] + GRAPH_LINE);
        }
    }
    walk->evaluations += count;
    return foremost;
}

static inline size_t gather(struct graph_walk *walk, unsigned level, uint32_t at, uint32_t *ret)
{
    const struct graph *graph = walk->graph;
    size_t max = graph_links_max(graph, level), count = 0;
    if (level && !is_good(walk, graph_slot_at(graph, level, at), sizeof(struct graph_slot)))
        return 0;
    const graph_link *links = graph_links_of(graph, level, at);
    for (size_t i = 0; i < max && level && graph->map; i++) {
        uint32_t link = graph_link_read(links + i) & GRAPH_LINK_ID;
        if (link < graph->levels[level].mapped_count)
            (void)graph_map_want(graph->map, graph_slot_at(graph, level, link),
                                 sizeof(struct graph_slot));
    }
    for (size_t i = 0; i < max; i++) {
        uint32_t link = graph_link_read(links + i) & GRAPH_LINK_ID;
        if (link == GRAPH_LINK_NONE)
            break;
        if (!visit(walk, link))
            continue;
        if (level && !is_good(walk, graph_slot_at(graph, level, link), sizeof(struct graph_slot)))
            break;
        ret[count++] = link;
    }
    return count;
}

/* The best of the pool from *next on that nobody went on from; false: there is none. */
static inline bool take_next(struct graph_walk *walk, size_t *next, uint32_t *ret_id)
{
    while (*next < walk->pool_count && walk->pool[*next] & 1)
        ++*next;
    if (*next >= walk->pool_count || walk->is_damaged)
        return false;
    *ret_id = graph_pool_id(walk->pool[*next]);
    walk->pool[*next] |= 1;
    walk->hops++;
    return true;
}

void graph_walk_from(struct graph_walk *walk, unsigned level, uint32_t start)
{
    size_t next = 0;
    uint32_t gathered[GRAPH_LINKS_MAX];
    if (level &&
        !is_good(walk, graph_slot_at(walk->graph, level, start), sizeof(struct graph_slot)))
        return;
    if (!visit(walk, start))
        return;
    evaluate(walk, level, &start, 1);
    for (uint32_t at = 0; take_next(walk, &next, &at);) {
        size_t count = gather(walk, level, at, gathered);
        size_t foremost = evaluate(walk, level, gathered, count);
        next = foremost <= next ? foremost : next + 1;
    }
}

void graph_walk_join(struct graph_walk *walk, unsigned level, uint32_t from, uint32_t to,
                     uint32_t except)
{
    uint32_t gathered[64];
    while (from < to) {
        size_t count = 0;
        for (; from < to && count < 64; from++) /* what is deleted already never was a node */
            if (from != except &&
                !graph_is_dead(walk->graph, graph_node_of(walk->graph, level, from)))
                gathered[count++] = from;
        if (count)
            evaluate(walk, level, gathered, count);
    }
}

uint32_t graph_walk_down(struct graph_walk *walk, uint64_t entry, unsigned level)
{
    const struct graph *graph = walk->graph;
    unsigned at_level = (unsigned)(entry >> 32);
    uint32_t at = (uint32_t)entry;
    while (at_level > level && !walk->is_damaged) {
        uint32_t limit = atomic_load(&graph->levels[at_level].count);
        if (!graph_walk_begin(walk, 1, limit)) {
            walk->is_without_memory = true;
            break;
        }
        graph_walk_from(walk, at_level, at);
        if (walk->pool_count)
            /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): as many are set as are counted */
            at = graph_pool_id(walk->pool[0]);
        at = graph_slot_at(graph, at_level, at)->below;
        at_level--;
    }
    return at;
}

/* --- the bridge */

/* Neighbours that may be found; where one may not, its neighbours that may. */
static size_t gather_over(struct graph_walk *walk, uint32_t at, uint32_t *ret)
{
    const struct graph *graph = walk->graph;
    uint32_t through[GRAPH_LINKS_MAX];
    size_t through_count = 0, count = 0;
    const graph_link *links = graph_links_of(graph, 0, at);
    for (size_t i = 0; i < graph->options.links; i++) {
        uint32_t link = graph_link_read(links + i) & GRAPH_LINK_ID;
        if (link == GRAPH_LINK_NONE)
            break;
        if (!visit(walk, link))
            continue;
        if (may_be_found(walk, 0, link))
            ret[count++] = link;
        else
            through[through_count++] = link;
        __builtin_prefetch(graph_node_at(graph, link));
    }
    for (size_t from = 0; from < through_count; from++) {
        const struct graph_node *node = graph_node_at(graph, through[from]);
        if (!is_good(walk, node, graph->node_stride))
            return 0;
        for (size_t i = 0; i < graph->options.links && count < GATHERED_MAX; i++) {
            uint32_t link = graph_link_read(node->links + i) & GRAPH_LINK_ID;
            if (link == GRAPH_LINK_NONE)
                break;
            if (link < walk->limit && may_be_found(walk, 0, link) && visit(walk, link))
                ret[count++] = link;
        }
    }
    return count;
}

void graph_walk_bridge(struct graph_walk *walk, const uint32_t *starts, size_t start_count)
{
    size_t next = 0;
    uint32_t gathered[GATHERED_MAX];
    for (size_t i = 0; i < start_count; i++)
        if (visit(walk, starts[i]))
            evaluate(walk, 0, starts + i, 1);
    for (uint32_t at = 0; take_next(walk, &next, &at);) {
        size_t count = gather_over(walk, at, gathered);
        size_t foremost = evaluate(walk, 0, gathered, count);
        next = foremost <= next ? foremost : next + 1;
    }
}
