/* Insertion, in batches that many threads work on and whose result does not depend on them.
 *
 *   prepare            find                 place              link back
 *   codes, levels ──▶ each row looks for ──▶ lists and tree, ──▶ each node that was chosen
 *   (parallel)        neighbours in the      in order            by new ones takes them up
 *                     graph as it was, and                       (parallel, by node)
 *                     among all of its batch
 *                     (parallel)
 *
 * In `find` nothing is written that another row reads; in `link back` each list has one writer, who
 * reads only codes, which no longer change. So the order in which threads come makes no difference.
 * A row sees the whole batch by comparing all with all: a batch fits the caches, where that costs a
 * fraction of one walk; so what a batch does not find in the graph it does not lose, and the first
 * batch needs no graph at all. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "search/graph_walk.h"

#define BATCH ((size_t)1024)
#define UPPER_WIDTH ((size_t)64)
#ifndef WANTED
#define WANTED 4
#endif
#define LEVEL_BITS 4 /* each sixteenth node of a level stands in the next */
#define UNIT_TOLERANCE 1e-3
#define SQUARE_MAX 1e30

struct build {
    struct graph *graph;
    struct graph_team *team;
    struct graph_walk *walks[GRAPH_THREADS_MAX];
    struct graph_lister listers[GRAPH_THREADS_MAX];
    const float *rows; /* of this batch, where they will stay; NULL: all are gaps */
    uint64_t gaps[BATCH / 64];
    uint32_t first, count;
    uint64_t entry;
    uint8_t levels[BATCH];
    uint32_t places[BATCH][GRAPH_LEVELS];                      /* node and slots of each row */
    uint32_t slots_from[GRAPH_LEVELS], slots_to[GRAPH_LEVELS]; /* of the batch */
    uint32_t (*chosen)[GRAPH_LINKS_MAX];                       /* of each row at level 0 … */
    uint32_t (*above)[GRAPH_LEVELS][GRAPH_SLOT_LINKS];         /* … and above */
    uint8_t chosen_count[BATCH][GRAPH_LEVELS];
    uint64_t *pairs; /* whom a link leads to, who has it */
    uint32_t *starts;
    size_t pair_count, start_count;
    unsigned level; /* that is linked back */
    atomic_bool is_damaged, is_without_memory;
};

static size_t links_wanted(const struct graph *graph, unsigned level)
{
    return level ? GRAPH_SLOT_LINKS / 2 : graph->options.links * WANTED / 6;
}

static bool is_gap(const struct build *build, size_t at)
{
    return build->gaps[at / 64] >> (at % 64) & 1;
}

/* --- prepare */

static unsigned level_of(const struct graph *graph, uint32_t node)
{
    uint64_t bits = graph_random(~graph->options.seed, node);
    unsigned level = 0;
    for (; level + 1 < GRAPH_LEVELS && !(bits & ((1U << LEVEL_BITS) - 1)); level++)
        bits >>= LEVEL_BITS;
    return level;
}

static void prepare(void *context, unsigned worker, size_t at)
{
    struct build *build = context;
    struct graph *graph = build->graph;
    uint32_t id = build->first + (uint32_t)at;
    struct graph_node *node = graph_node_at(graph, id);
    const float *row = is_gap(build, at) ? NULL : build->rows + at * graph->options.dimensions;
    float *turned = build->walks[worker]->turned;
    const float **places = atomic_load(graph->row_chunks + (id >> graph->chunk_shift));
    places[id & (((size_t)1 << graph->chunk_shift) - 1)] = row;
    for (size_t i = 0; i < graph->options.links; i++)
        atomic_init(node->links + i, GRAPH_LINK_NONE);
    build->levels[at] = 0;
    if (!row) {
        node->scale = node->self = 0;
        memset((uint8_t *)node + graph->head_bytes, 0, graph->blocks * PACKED_BLOCK_BYTES);
        atomic_fetch_or(graph_dead_word(graph, id), UINT64_C(1) << (id % 64));
        return;
    }
    /* A gap of a batch that came to nothing may have had the number. */
    atomic_fetch_and(graph_dead_word(graph, id), ~(UINT64_C(1) << (id % 64)));
    graph_turn(graph, row, turned);
    graph_encode(graph, turned, node);
    build->levels[at] = (uint8_t)level_of(graph, id);
}

/* Slots for the rows that stand in upper levels. */
static bool make_slots(struct build *build)
{
    struct graph *graph = build->graph;
    for (unsigned level = 1; level < GRAPH_LEVELS; level++)
        build->slots_from[level] = build->slots_to[level] =
            atomic_load(&graph->levels[level].count);
    build->slots_from[0] = build->first;
    build->slots_to[0] = build->first + build->count;
    for (uint32_t i = 0; i < build->count; i++) {
        build->places[i][0] = build->first + i;
        for (unsigned level = 1; level <= build->levels[i]; level++) {
            uint32_t at = build->slots_to[level]++;
            if (!graph_make_slot_room(graph, level, (size_t)at + 1))
                return false;
            struct graph_slot *slot = graph_slot_at(graph, level, at);
            slot->node = build->first + i;
            slot->below = build->places[i][level - 1];
            for (size_t k = 0; k < GRAPH_SLOT_LINKS; k++)
                atomic_init(slot->links + k, GRAPH_LINK_NONE);
            build->places[i][level] = at;
        }
    }
    return true;
}

/* --- find */

static void aim_at_row(struct graph_walk *walk, const float *row)
{
    graph_turn(walk->graph, row, walk->turned);
    walk->aim.dot_weight = 2 * graph_query_bytes(walk->graph, walk->turned, walk->aim.bytes);
    walk->aim.node_weight = 1;
    graph_aim_finish(walk->graph, &walk->aim);
}

static void find_at(struct build *build, unsigned worker, size_t at, unsigned level,
                    uint32_t *ret_start)
{
    struct graph *graph = build->graph;
    struct graph_walk *walk = build->walks[worker];
    bool has_graph = build->entry != GRAPH_NOWHERE && (unsigned)(build->entry >> 32) >= level;
    size_t width = level && graph->options.build_width > UPPER_WIDTH ? UPPER_WIDTH
                                                                     : graph->options.build_width;
    if (!graph_walk_begin(walk, width, has_graph ? build->slots_from[level] : 0)) {
        atomic_store(&build->is_without_memory, true);
        return;
    }
    if (has_graph) {
        graph_walk_from(walk, level, *ret_start);
        if (walk->pool_count)
            *ret_start = graph_pool_id(walk->pool[0]);
        if (level)
            *ret_start = graph_slot_at(graph, level, *ret_start)->below;
    }
    graph_walk_join(walk, level, build->slots_from[level], build->slots_to[level],
                    build->places[at][level]);
    build->chosen_count[at][level] = (uint8_t)graph_choose(
        build->listers + worker, level, build->places[at][level], walk->pool, walk->pool_count,
        level ? build->above[at][level] : build->chosen[at], links_wanted(graph, level));
    if (walk->is_damaged)
        atomic_store(&build->is_damaged, true);
    if (walk->is_without_memory)
        atomic_store(&build->is_without_memory, true);
}

static void find(void *context, unsigned worker, size_t at)
{
    struct build *build = context;
    struct graph_walk *walk = build->walks[worker];
    uint32_t start = 0;
    if (is_gap(build, at))
        return;
    aim_at_row(walk, build->rows + at * build->graph->options.dimensions);
    if (build->entry != GRAPH_NOWHERE) {
        unsigned top = (unsigned)(build->entry >> 32);
        unsigned from = build->levels[at] < top ? build->levels[at] : top;
        start = graph_walk_down(walk, build->entry, from);
    }
    for (unsigned level = build->levels[at] + 1U; level-- > 0;)
        find_at(build, worker, at, level, &start);
}

/* --- link back */

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void link_back_one(void *context, unsigned worker, size_t at)
{
    struct build *build = context;
    uint32_t links[BATCH];
    size_t from = build->starts[at], to = build->starts[at + 1];
    for (size_t i = from; i < to; i++)
        links[i - from] = (uint32_t)build->pairs[i];
    graph_list_add(build->listers + worker, build->level, (uint32_t)(build->pairs[from] >> 32),
                   links, to - from);
}

static void link_back(struct build *build, unsigned level)
{
    build->level = level;
    build->pair_count = build->start_count = 0;
    for (uint32_t i = 0; i < build->count; i++) {
        const uint32_t *chosen = level ? build->above[i][level] : build->chosen[i];
        if (level > build->levels[i])
            continue;
        for (size_t k = 0; k < build->chosen_count[i][level]; k++)
            build->pairs[build->pair_count++] = (uint64_t)chosen[k] << 32 | build->places[i][level];
    }
    qsort(build->pairs, build->pair_count, sizeof *build->pairs, compare);
    for (size_t i = 0; i < build->pair_count; i++)
        if (!i || build->pairs[i] >> 32 != build->pairs[i - 1] >> 32)
            build->starts[build->start_count++] = (uint32_t)i;
    build->starts[build->start_count] = (uint32_t)build->pair_count;
    graph_team_run(build->team, link_back_one, build, build->start_count);
}

/* --- a batch */

static void place(struct build *build)
{
    struct graph *graph = build->graph;
    for (uint32_t i = 0; i < build->count; i++) {
        uint32_t node = build->places[i][0];
        if (is_gap(build, i))
            continue;
        graph_list_write(graph, 0, node, build->chosen[i], build->chosen_count[i][0]);
        graph_tree_join(graph, node, build->chosen[i], build->chosen_count[i][0]);
        for (unsigned level = 1; level <= build->levels[i]; level++)
            graph_list_write(graph, level, build->places[i][level], build->above[i][level],
                             build->chosen_count[i][level]);
    }
}

static void set_entry(struct build *build)
{
    uint64_t entry = build->entry;
    for (uint32_t i = 0; i < build->count; i++)
        if (!is_gap(build, i) && (entry == GRAPH_NOWHERE || build->levels[i] > entry >> 32))
            entry = (uint64_t)build->levels[i] << 32 | build->places[i][build->levels[i]];
    atomic_store(&build->graph->entry, entry);
}

static enum lh_code insert_batch(struct build *build, const float *rows, size_t count,
                                 struct lh_error *err)
{
    struct graph *graph = build->graph;
    build->rows = rows;
    build->first = atomic_load(&graph->count);
    build->count = (uint32_t)count;
    build->entry = atomic_load(&graph->entry);
    memset(build->chosen_count, 0, sizeof build->chosen_count);
    if (!graph_make_room(graph, build->first + count))
        return lh_fail(err, LH_BUSY, "There is no memory for %zu more rows in a graph.", count);
    graph_team_run(build->team, prepare, build, count);
    if (!make_slots(build))
        return lh_fail(err, LH_BUSY, "There is no memory for %zu more rows in a graph.", count);
    graph_team_run(build->team, find, build, count);
    if (atomic_load(&build->is_without_memory))
        return lh_fail(err, LH_BUSY, "There is no memory for walks over a graph.");
    if (atomic_load(&build->is_damaged))
        return lh_fail(err, LH_DAMAGED, "A block of the graph's file is not what was written.");
    for (unsigned level = 1; level < GRAPH_LEVELS; level++)
        atomic_store(&graph->levels[level].count, build->slots_to[level]);
    atomic_store(&graph->count, build->first + build->count);
    for (size_t i = 0; i < BATCH / 64; i++)
        atomic_fetch_add(&graph->dead_count, (uint32_t)__builtin_popcountll(build->gaps[i]));
    place(build);
    for (unsigned level = 0; level < GRAPH_LEVELS; level++)
        if (!level || build->slots_to[level] > build->slots_from[level])
            link_back(build, level);
    set_entry(build);
    return LH_OK;
}

/* --- the whole */

static void build_free(struct build *build)
{
    if (!build)
        return;
    for (unsigned i = 0; i < graph_team_size(build->team); i++) {
        graph_walk_give(build->graph, build->walks[i]);
        graph_lister_release(build->listers + i);
    }
    graph_team_free(build->team);
    free(build->chosen);
    free(build->above);
    free(build->pairs);
    free(build->starts);
    free(build);
}

static struct build *build_new(struct graph *graph, unsigned threads, size_t rows)
{
    struct build *build = calloc(1, sizeof *build);
    size_t batch = rows < BATCH ? rows : BATCH, most = batch * graph->options.links;
    if (!build)
        return NULL;
    build->graph = graph;
    build->team = graph_team_new(rows > 1 ? threads : 1);
    build->chosen = calloc(batch, sizeof *build->chosen);
    build->above = calloc(batch, sizeof *build->above);
    build->pairs = malloc(most * sizeof *build->pairs);
    build->starts = malloc((most + 1) * sizeof *build->starts);
    bool is_made = build->chosen && build->above && build->pairs && build->starts;
    for (unsigned i = 0; is_made && i < graph_team_size(build->team); i++) {
        build->walks[i] = graph_walk_take(graph);
        is_made = build->walks[i] && graph_lister_init(build->listers + i, graph);
    }
    if (is_made)
        return build;
    build_free(build);
    return NULL;
}

static enum lh_code check_row(const struct graph *graph, const float *row, size_t at,
                              struct lh_error *err)
{
    double square = 0;
    for (size_t i = 0; i < graph->options.dimensions; i++)
        square += (double)row[i] * (double)row[i];
    if (!isfinite(square))
        return lh_fail(err, LH_INVALID, "Row %zu has a number that is not finite.", at);
    if (square > SQUARE_MAX)
        return lh_fail(err, LH_INVALID, "Row %zu has the length %g, which is too long.", at,
                       sqrt(square));
    if (graph->options.metric == GRAPH_COSINE && square > 0 &&
        fabs(sqrt(square) - 1) > UNIT_TOLERANCE) {
        lh_fail(err, LH_INVALID, "Row %zu has the length %g, but cosine takes rows of length 1.",
                at, sqrt(square));
        return lh_error_hint(err, "Divide each row by its length.");
    }
    return LH_OK;
}

/* The rows where they will stay. */
static const float *keep_rows(struct graph *graph, const float *rows, size_t count)
{
    size_t bytes = count * graph->options.dimensions * sizeof *rows;
    if (graph->options.lends_rows)
        return rows;
    if (graph->own_row_count == graph->own_row_capacity) {
        size_t capacity = graph->own_row_capacity ? graph->own_row_capacity * 2 : 64;
        float **more = realloc(graph->own_rows, capacity * sizeof *more);
        if (!more)
            return NULL;
        graph->own_rows = more;
        graph->own_row_capacity = capacity;
    }
    float *own = graph_aligned(bytes, GRAPH_LINE);
    if (!own)
        return NULL;
    memcpy(own, rows, bytes);
    graph->own_rows[graph->own_row_count++] = own;
    graph->own_row_bytes += (int64_t)bytes;
    return own;
}

/* The gaps of a batch that begins at row `from` of `gaps`. */
static void set_gaps(struct build *build, const uint64_t *gaps, size_t from, size_t count)
{
    memset(build->gaps, 0, sizeof build->gaps);
    for (size_t at = 0; gaps && at < count; at++)
        build->gaps[at / 64] |= (gaps[(from + at) / 64] >> ((from + at) % 64) & 1) << (at % 64);
}

static enum lh_code insert_all(struct build *build, const float *rows, size_t row_count,
                               const uint64_t *gaps, const struct graph_work *work,
                               struct lh_error *err)
{
    struct graph *graph = build->graph;
    enum lh_code code = LH_OK;
    for (size_t done = 0; done < row_count && !code;) {
        size_t count = row_count - done < BATCH ? row_count - done : BATCH;
        code = lh_cancel_fail(work->cancel, "The insertion into a graph", err);
        if (code)
            return code;
        const float *from = rows ? rows + done * graph->options.dimensions : NULL;
        const float *kept = from ? keep_rows(graph, from, count) : NULL;
        if (from && !kept)
            return lh_fail(err, LH_BUSY, "There is no memory for %zu more rows.", count);
        set_gaps(build, gaps, done, count);
        code = insert_batch(build, kept, count, err);
        done += count;
        if (!code && work->progress)
            work->progress(work->context, done, row_count);
    }
    return code;
}

/* What was inserted by half is deleted before anybody may find it. */
static void take_back(struct graph *graph, uint32_t from)
{
    uint32_t to = atomic_load(&graph->count);
    for (uint32_t at = from; at < to; at++) {
        uint64_t bit = UINT64_C(1) << (at % 64);
        if (!(atomic_fetch_or(graph_dead_word(graph, at), bit) & bit))
            atomic_fetch_add(&graph->dead_count, 1);
    }
}

enum lh_code graph_insert_between(struct graph *graph, const float *rows, size_t row_count,
                                  const uint64_t *gaps, const struct graph_work *work,
                                  size_t *ret_first, struct lh_error *err)
{
    static const struct graph_work plain = {.threads = 1};
    enum lh_code code = LH_OK;
    work = work ? work : &plain;
    for (size_t i = 0; i < row_count && rows && !code; i++)
        if (!gaps || !(gaps[i / 64] >> (i % 64) & 1))
            code = check_row(graph, rows + i * graph->options.dimensions, i, err);
    if (code)
        return code;
    pthread_mutex_lock(&graph->write_lock);
    uint32_t first = atomic_load(&graph->count);
    struct build *build = NULL;
    if (row_count > GRAPH_ROWS_MAX - first) {
        code = lh_fail(err, LH_TOO_LARGE, "A graph has at most %zu rows.", GRAPH_ROWS_MAX);
        goto out;
    }
    code = row_count ? graph_map_check_nodes(graph, err) : LH_OK;
    if (code)
        goto out;
    build = row_count && graph_own_tail(graph) ? build_new(graph, work->threads, row_count) : NULL;
    if (row_count && !build)
        code = lh_fail(err, LH_BUSY, "There is no memory for a graph to be built.");
    else if (row_count)
        code = insert_all(build, rows, row_count, gaps, work, err);
    if (code)
        take_back(graph, first);
    atomic_store(&graph->visible, atomic_load(&graph->count));
    if (!code)
        *ret_first = first;
out:
    build_free(build);
    pthread_mutex_unlock(&graph->write_lock);
    return code;
}

enum lh_code graph_insert(struct graph *graph, const float *rows, size_t row_count,
                          const struct graph_work *work, size_t *ret_first, struct lh_error *err)
{
    return graph_insert_between(graph, rows, row_count, NULL, work, ret_first, err);
}

enum lh_code graph_skip(struct graph *graph, size_t count, struct lh_error *err)
{
    static const uint64_t all = UINT64_MAX;
    size_t first = 0;
    assert(count <= 64);
    return graph_insert_between(graph, NULL, count, &all, NULL, &first, err);
}
