/* A graph's life and memory. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "search/graph_walk.h"

#define CHUNK_BYTES ((size_t)2 << 20) /* what processors map at once, if they may */
#define CHUNK_NODES_MIN_SHIFT 6U      /* a word of bits */
#define LINKS_PRESET 46U
#define BUILD_WIDTH_PRESET 200U
#define BUILD_WIDTH_MIN 8U
#define BUILD_WIDTH_MAX 4096U
/* Codes of 4 bits blur each number by a tenth; sums over many numbers blur less. */
#define FOUR_BITS_FROM ((size_t)256)

void *graph_aligned(size_t bytes, size_t alignment)
{
    return aligned_alloc(alignment, (bytes + alignment) / alignment * alignment);
}

static enum lh_code check_options(struct graph_options *options, struct lh_error *err)
{
    if (options->dimensions < 1 || options->dimensions > PACKED_DIMENSIONS_MAX)
        return lh_fail(err, LH_INVALID, "A graph has 1 to %zu dimensions, not %zu.",
                       PACKED_DIMENSIONS_MAX, options->dimensions);
    if (options->metric > GRAPH_L2)
        return lh_fail(err, LH_INVALID, "There is no metric %d.", (int)options->metric);
    if (!options->bits)
        options->bits = options->dimensions < FOUR_BITS_FROM ? 8 : 4;
    if (options->bits != 4 && options->bits != 8)
        return lh_fail(err, LH_INVALID, "Codes of a graph have 4 or 8 bits, not %u.",
                       options->bits);
    if (!options->links)
        options->links = LINKS_PRESET;
    if (options->links > GRAPH_LINKS_MAX || (options->links + 2) % 16)
        return lh_fail(err, LH_INVALID, "Nodes have 14, 30, 46 or 62 links, not %u.",
                       options->links);
    if (!options->build_width)
        options->build_width = BUILD_WIDTH_PRESET;
    if (options->build_width < BUILD_WIDTH_MIN || options->build_width > BUILD_WIDTH_MAX)
        return lh_fail(err, LH_INVALID, "The build's width is %u to %u, not %u.", BUILD_WIDTH_MIN,
                       BUILD_WIDTH_MAX, options->build_width);
    if (!options->kernels)
        options->kernels = packed_kernels_best();
    return LH_OK;
}

static void set_layout(struct graph *graph)
{
    size_t per_block = PACKED_BLOCK_BYTES * 8 / graph->options.bits;
    graph->blocks = (graph->options.dimensions + per_block - 1) / per_block;
    graph->padded = graph->blocks * per_block;
    graph->head_bytes = sizeof(struct graph_node) + graph->options.links * sizeof(graph_link);
    graph->node_stride = graph->head_bytes + graph->blocks * PACKED_BLOCK_BYTES;
    graph->chunk_shift = CHUNK_NODES_MIN_SHIFT;
    while (graph->node_stride << (graph->chunk_shift + 1) <= CHUNK_BYTES)
        graph->chunk_shift++;
    graph->chunk_max = GRAPH_ROWS_MAX >> graph->chunk_shift;
    graph->kernels = graph->options.kernels;
    graph->float_kernels = search_kernels_best();
}

enum lh_code graph_make(const struct graph_options *options, struct graph **ret,
                        struct lh_error *err)
{
    struct graph_options checked = *options;
    enum lh_code code = check_options(&checked, err);
    if (code)
        return code;
    struct graph *graph = calloc(1, sizeof *graph);
    if (!graph)
        return lh_fail(err, LH_BUSY, "There is no memory for a graph.");
    graph->options = checked;
    graph->root = GRAPH_LINK_NONE;
    atomic_store(&graph->entry, GRAPH_NOWHERE);
    pthread_mutex_init(&graph->write_lock, NULL);
    pthread_mutex_init(&graph->walks_lock, NULL);
    set_layout(graph);
    graph->chunks = calloc(graph->chunk_max, sizeof *graph->chunks);
    graph->dead_chunks = calloc(graph->chunk_max, sizeof *graph->dead_chunks);
    graph->row_chunks = calloc(graph->chunk_max, sizeof *graph->row_chunks);
    graph->turn = calloc(2 * checked.dimensions, sizeof *graph->turn);
    if (!graph->chunks || !graph->dead_chunks || !graph->row_chunks || !graph->turn) {
        graph_free(graph);
        return lh_fail(err, LH_BUSY, "There is no memory for a graph.");
    }
    graph_turn_make(graph, graph->turn);
    *ret = graph;
    return LH_OK;
}

enum lh_code graph_new(const struct graph_options *options, struct graph **ret,
                       struct lh_error *err)
{
    return graph_make(options, ret, err);
}

static bool make_chunk(struct graph *graph, size_t at)
{
    size_t nodes = (size_t)1 << graph->chunk_shift;
    if (!atomic_load_explicit(graph->chunks + at, memory_order_relaxed)) {
        uint8_t *chunk = graph_aligned(nodes * graph->node_stride, CHUNK_BYTES);
        if (!chunk)
            return false;
        if (at) /* a small graph shall stay small */
            madvise(chunk, CHUNK_BYTES, MADV_HUGEPAGE);
        atomic_store_explicit(graph->chunks + at, chunk, memory_order_release);
    }
    if (!atomic_load_explicit(graph->dead_chunks + at, memory_order_relaxed)) {
        _Atomic uint64_t *words = calloc(nodes / 64, sizeof *words);
        if (!words)
            return false;
        atomic_store_explicit(graph->dead_chunks + at, words, memory_order_release);
    }
    if (!atomic_load_explicit(graph->row_chunks + at, memory_order_relaxed)) {
        const float **rows = calloc(nodes, sizeof *rows);
        if (!rows)
            return false;
        atomic_store_explicit(graph->row_chunks + at, rows, memory_order_release);
    }
    return true;
}

bool graph_own_tail(struct graph *graph)
{
    size_t nodes = (size_t)1 << graph->chunk_shift, at = graph->mapped_count >> graph->chunk_shift;
    size_t left = graph->mapped_count & (nodes - 1);
    if (!left || graph->is_tail_own)
        return true;
    uint8_t *chunk = graph_aligned(nodes * graph->node_stride, CHUNK_BYTES);
    if (!chunk)
        return false;
    memcpy(chunk, atomic_load(graph->chunks + at), left * graph->node_stride);
    atomic_store_explicit(graph->chunks + at, chunk, memory_order_release);
    graph->is_tail_own = true;
    return true;
}

bool graph_make_room(struct graph *graph, size_t nodes)
{
    size_t from = atomic_load(&graph->count) >> graph->chunk_shift;
    for (size_t at = from; at << graph->chunk_shift < nodes; at++)
        if (!make_chunk(graph, at))
            return false;
    return true;
}

bool graph_make_slot_room(struct graph *graph, unsigned level, size_t slots)
{
    struct graph_level *to = graph->levels + level;
    if (!to->chunks)
        to->chunks = calloc(GRAPH_ROWS_MAX >> GRAPH_SLOT_SHIFT, sizeof *to->chunks);
    if (!to->chunks)
        return false;
    for (size_t at = atomic_load(&to->count) >> GRAPH_SLOT_SHIFT; at << GRAPH_SLOT_SHIFT < slots;
         at++)
        if (!atomic_load_explicit(to->chunks + at, memory_order_relaxed)) {
            struct graph_slot *chunk = graph_aligned(sizeof *chunk << GRAPH_SLOT_SHIFT, GRAPH_LINE);
            if (!chunk)
                return false;
            atomic_store_explicit(to->chunks + at, chunk, memory_order_release);
        }
    return true;
}

/* What lies in the file is not ours to free. */
static bool is_mapped(const struct graph *graph, size_t at)
{
    size_t nodes = (size_t)1 << graph->chunk_shift;
    return at < graph->mapped_count / nodes ||
           (at * nodes < graph->mapped_count && !graph->is_tail_own);
}

static void free_chunks(struct graph *graph)
{
    for (size_t at = 0; at < graph->chunk_max && atomic_load(graph->chunks + at); at++) {
        if (!is_mapped(graph, at))
            free(atomic_load(graph->chunks + at));
        free((void *)atomic_load(graph->dead_chunks + at));
        free((void *)atomic_load(graph->row_chunks + at));
    }
}

void graph_free(struct graph *graph)
{
    if (!graph)
        return;
    graph_walks_free(graph);
    if (graph->chunks && graph->dead_chunks && graph->row_chunks)
        free_chunks(graph);
    free(graph->chunks);
    free(graph->dead_chunks);
    free(graph->row_chunks);
    free(graph->turn);
    free(graph->lent);
    for (size_t i = 0; i < graph->own_row_count; i++)
        free(graph->own_rows[i]);
    free(graph->own_rows);
    for (unsigned level = 1; level < GRAPH_LEVELS; level++) {
        struct graph_level *of = graph->levels + level;
        for (size_t at = 0; of->chunks && at < GRAPH_ROWS_MAX >> GRAPH_SLOT_SHIFT; at++) {
            struct graph_slot *chunk = atomic_load(of->chunks + at);
            if (!chunk)
                break;
            if (at << GRAPH_SLOT_SHIFT >= of->mapped_count)
                free(chunk);
        }
        free(of->chunks);
    }
    graph_map_free(graph->map);
    pthread_mutex_destroy(&graph->write_lock);
    pthread_mutex_destroy(&graph->walks_lock);
    free(graph);
}

struct graph_state graph_state(const struct graph *graph)
{
    struct graph_state ret = {.options = graph->options,
                              .rows = atomic_load(&graph->count),
                              .deleted = atomic_load(&graph->dead_count)};
    size_t nodes = (ret.rows + ((size_t)1 << graph->chunk_shift) - 1) >> graph->chunk_shift;
    ret.bytes = (int64_t)(ret.rows * (graph->node_stride + sizeof(float *)) +
                          (nodes << graph->chunk_shift) / 8);
    ret.levels = ret.rows ? 1 : 0;
    for (unsigned level = 1; level < GRAPH_LEVELS; level++) {
        size_t slots = atomic_load(&graph->levels[level].count);
        ret.bytes += (int64_t)(slots * sizeof(struct graph_slot));
        ret.levels += slots ? 1 : 0;
    }
    ret.row_bytes = graph->own_row_bytes;
    if (graph->mapped_rows)
        ret.row_bytes += (int64_t)(graph->mapped_count * graph->options.dimensions * sizeof(float));
    return ret;
}
