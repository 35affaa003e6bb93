/* Searching: the way that suits the filter, then the rows themselves.
 *
 * Three ways, by the part of the rows that may be found. Most may: the plain walk, its pool widened
 * so that enough of it may be found. Few: an exact look at all of them, which then costs less than
 * a walk. Between: the bridge, a walk over rows that may be found alone, which looks through the
 * others without evaluating them. Whichever way, when it brings fewer than k where k exist, the
 * exact way is gone.
 *
 * Codes only order; scores come from the rows. A candidate is read as floats unless its code says
 * that it is behind the k-th best by more than the blur of a code can be: for turned rows that blur
 * is spread like a Gaussian, so SPREADS of its deviation are all but sure. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "search/graph_walk.h"

#define SPREADS 3.0F
#define EXACT_SPREADS 4.5F /* wrong about one row of 300,000 of those that are found */
/* The length of what a code leaves out, as a part of the row's. */
#define BLUR_FOUR 0.115F
#define BLUR_EIGHT 0.012F
#define NEARLY_ALL 0.9
#define WALK_PART 0.4            /* from here on the plain walk */
#define EXACT_PER_WIDTH 36.0     /* rows that cost as much as one place of a walk's pool */
#define FLOATS_MAX ((size_t)160) /* rows that are read before codes are worth a turned query */
#define SHORTLIST ((size_t)4096)
#define STARTS ((size_t)16)
#define ROW_AHEAD ((size_t)2)

struct best { /* the k best, best first */
    struct graph_hit *hits;
    size_t count, k;
};

struct asked {
    struct graph *graph;
    const struct graph_ask *ask;
    const float *query;
    double length; /* of the query */
    uint32_t visible;
    size_t findable;
    struct graph_walk *walk;
    struct best best;
    size_t rescored;
    bool is_aimed;
};

/* --- the k best */

static bool is_before(const struct graph_hit *a, const struct graph_hit *b)
{
    return a->score != b->score ? a->score > b->score : a->row < b->row;
}

static void best_add(struct best *best, struct graph_hit hit)
{
    size_t at = best->count;
    if (at == best->k) {
        if (!is_before(&hit, best->hits + at - 1))
            return;
        at--;
    } else {
        best->count++;
    }
    for (; at && is_before(&hit, best->hits + at - 1); at--)
        best->hits[at] = best->hits[at - 1];
    best->hits[at] = hit;
}

/* --- rows */

static bool may_be_found(const struct asked *asked, uint32_t row)
{
    const struct graph_ask *ask = asked->ask;
    if (row >= asked->visible || graph_is_dead(asked->graph, row))
        return false;
    return !ask->filter || (row < ask->filter_rows && (ask->filter[row / 64] >> (row % 64) & 1));
}

/* Sixteen sums, then added pairwise, like dot products (distance.h). */
static float minus_square(const float *a, const float *b, size_t count)
{
    float lanes[16] = {0};
    size_t whole = count / 16 * 16;
    for (size_t i = 0; i < whole; i += 16)
        for (size_t lane = 0; lane < 16; lane++)
            lanes[lane] += (a[i + lane] - b[i + lane]) * (a[i + lane] - b[i + lane]);
    for (size_t i = whole; i < count; i++)
        lanes[i - whole] += (a[i] - b[i]) * (a[i] - b[i]);
    for (size_t width = 8; width; width /= 2)
        for (size_t lane = 0; lane < width; lane++)
            lanes[lane] += lanes[lane + width];
    return -lanes[0];
}

static bool score(struct asked *asked, uint32_t row)
{
    const struct graph *graph = asked->graph;
    size_t count = graph->options.dimensions;
    const float *from = graph_row_at(graph, row);
    struct graph_hit hit = {.row = row};
    assert(from); /* who lends rows lets no others be found */
    if (graph->map &&
        !graph_map_is_good(graph->map, from, count * sizeof *from, &asked->walk->bad_block)) {
        asked->walk->is_damaged = true;
        return false;
    }
    if (graph->options.metric == GRAPH_L2)
        hit.score = minus_square(from, asked->query, count);
    else
        graph->float_kernels->dots(from, 1, count, asked->query, &hit.score);
    asked->rescored++;
    best_add(&asked->best, hit);
    return true;
}

static void ask_for_row(const struct graph *graph, uint32_t row)
{
    const char *from = (const char *)graph_row_at(graph, row);
    for (size_t at = 0; at < graph->options.dimensions * sizeof(float); at += GRAPH_LINE)
        __builtin_prefetch(from + at);
}

/* By how much a code may be wrong about a score, as a part of its row's length. */
static float blur_of(const struct asked *asked, float spreads)
{
    const struct graph_options *options = &asked->graph->options;
    float part = options->bits == 4 ? BLUR_FOUR : BLUR_EIGHT;
    float blur = spreads * part * (float)asked->length / sqrtf((float)options->dimensions);
    return options->metric == GRAPH_L2 ? 2 * blur : blur;
}

/* Candidates of the pool that may be found, nearest first, in their places. */
static size_t candidates_of(struct asked *asked)
{
    struct graph_walk *walk = asked->walk;
    size_t count = 0;
    for (size_t i = 0; i < walk->pool_count; i++)
        if (may_be_found(asked, graph_pool_id(walk->pool[i])))
            walk->pool[count++] = walk->pool[i];
    walk->pool_count = count;
    return count;
}

static void rescore(struct asked *asked, float spreads)
{
    const struct graph *graph = asked->graph;
    struct graph_walk *walk = asked->walk;
    struct best *best = &asked->best;
    float square = (float)(asked->length * asked->length), blur = blur_of(asked, spreads);
    size_t count = candidates_of(asked);
    best->count = 0;
    for (size_t i = 0; i < count && graph->map; i++)
        (void)graph_map_want(graph->map, graph_row_at(graph, graph_pool_id(walk->pool[i])),
                             graph->options.dimensions * sizeof(float));
    for (size_t i = 0; i < count && i < ROW_AHEAD; i++)
        ask_for_row(graph, graph_pool_id(walk->pool[i]));
    for (size_t i = 0; i < count && !walk->is_damaged; i++) {
        uint32_t row = graph_pool_id(walk->pool[i]);
        float key = graph_pool_key(walk->pool[i]);
        float about = graph->options.metric == GRAPH_L2 ? -key - square : -key / 2;
        if (best->count == best->k &&
            about + blur * sqrtf(graph_node_at(graph, row)->self) < best->hits[best->k - 1].score)
            continue;
        if (i + ROW_AHEAD < count)
            ask_for_row(graph, graph_pool_id(walk->pool[i + ROW_AHEAD]));
        score(asked, row);
    }
}

/* --- the ways */

static void set_findable(struct asked *asked)
{
    struct graph_walk *walk = asked->walk;
    walk->equal_max = asked->ask->k > GRAPH_EQUAL_MAX ? asked->ask->k : GRAPH_EQUAL_MAX;
    walk->visible = asked->visible;
    walk->filter = asked->ask->filter;
    walk->filter_rows = asked->ask->filter_rows;
}

/* The query as the walk's aim, once it is needed. */
static void aim_at_query(struct asked *asked)
{
    struct graph_walk *walk = asked->walk;
    if (asked->is_aimed)
        return;
    graph_turn(asked->graph, asked->query, walk->turned);
    walk->aim.dot_weight = 2 * graph_query_bytes(asked->graph, walk->turned, walk->aim.bytes);
    walk->aim.node_weight = asked->graph->options.metric == GRAPH_L2 ? 1 : 0;
    graph_aim_finish(asked->graph, &walk->aim);
    asked->is_aimed = true;
}

static bool score_all(struct asked *asked, const uint32_t *rows, size_t count)
{
    for (size_t i = 0; i < count && i < ROW_AHEAD; i++)
        ask_for_row(asked->graph, rows[i]);
    for (size_t i = 0; i < count; i++) {
        if (i + ROW_AHEAD < count)
            ask_for_row(asked->graph, rows[i + ROW_AHEAD]);
        if (!score(asked, rows[i]))
            return false;
    }
    return true;
}

static void exact_in_floats(struct asked *asked)
{
    uint32_t rows[128];
    size_t count = 0;
    bool is_good = true;
    asked->best.count = 0;
    for (uint32_t word = 0; (uint64_t)word * 64 < asked->visible && is_good; word++) {
        for (uint64_t bits = graph_findable_word(asked->walk, word); bits; bits &= bits - 1)
            rows[count++] = word * 64 + (uint32_t)__builtin_ctzll(bits);
        if (count > 64) {
            is_good = score_all(asked, rows, count);
            count = 0;
        }
    }
    if (is_good)
        (void)score_all(asked, rows, count);
}

/* The margin of keys, which are twice as far apart as the scores of dot products. */
static bool exact(struct asked *asked)
{
    struct graph_walk *walk = asked->walk;
    size_t room = SHORTLIST + 4 * asked->ask->k;
    float blur = blur_of(asked, EXACT_SPREADS);
    if (!graph_walk_begin(walk, room, asked->visible))
        return false;
    set_findable(asked);
    if (asked->findable <= FLOATS_MAX || asked->findable <= asked->ask->k) {
        exact_in_floats(asked);
        return true;
    }
    aim_at_query(asked);
    bool is_listed = graph_walk_all(walk, asked->ask->k,
                                    asked->graph->options.metric == GRAPH_L2 ? blur : 2 * blur);
    if (is_listed && !walk->is_damaged)
        rescore(asked, EXACT_SPREADS);
    else if (!walk->is_damaged)
        exact_in_floats(asked);
    return true;
}

static bool walk_at(struct asked *asked, size_t width)
{
    struct graph_walk *walk = asked->walk;
    uint64_t entry = atomic_load_explicit(&asked->graph->entry, memory_order_acquire);
    if (entry == GRAPH_NOWHERE)
        return true;
    uint32_t start = graph_walk_down(walk, entry, 0);
    uint32_t limit = atomic_load_explicit(&asked->graph->count, memory_order_acquire);
    if (walk->is_without_memory || !graph_walk_begin(walk, width, limit))
        return false;
    set_findable(asked);
    if (!walk->is_damaged)
        graph_walk_from(walk, 0, start);
    rescore(asked, SPREADS);
    return !walk->is_without_memory;
}

/* Starts: what a short walk comes to, and rows here and there that may be found. */
static bool bridge_at(struct asked *asked, size_t width)
{
    struct graph_walk *walk = asked->walk;
    uint32_t starts[STARTS + 1];
    size_t count = 0;
    uint64_t entry = atomic_load_explicit(&asked->graph->entry, memory_order_acquire);
    if (entry == GRAPH_NOWHERE)
        return true;
    starts[count++] = graph_walk_down(walk, entry, 0);
    uint32_t limit = atomic_load_explicit(&asked->graph->count, memory_order_acquire);
    for (size_t i = 0; i < STARTS; i++) {
        uint32_t from = (uint32_t)((uint64_t)asked->visible * i / STARTS);
        for (uint32_t row = from; row < asked->visible && row < from + 4096; row++)
            if (may_be_found(asked, row)) {
                starts[count++] = row;
                break;
            }
    }
    if (walk->is_without_memory || !graph_walk_begin(walk, width, limit))
        return false;
    set_findable(asked);
    if (!walk->is_damaged)
        graph_walk_bridge(walk, starts, count);
    rescore(asked, SPREADS);
    return !walk->is_without_memory;
}

/* How many rows may be found. */
static size_t count_findable(const struct asked *asked)
{
    const struct graph_ask *ask = asked->ask;
    size_t count = 0;
    if (!ask->filter) {
        size_t dead = atomic_load(&asked->graph->dead_count);
        return asked->visible > dead ? asked->visible - dead : 0;
    }
    for (uint32_t word = 0;
         (uint64_t)word * 64 < asked->visible && (uint64_t)word * 64 < ask->filter_rows; word++) {
        uint64_t bits = ask->filter[word];
        size_t left = asked->visible < ask->filter_rows ? asked->visible : ask->filter_rows;
        left -= (size_t)word * 64;
        bits &=
            ~atomic_load_explicit(graph_dead_word(asked->graph, word * 64), memory_order_relaxed);
        bits &= left < 64 ? (UINT64_C(1) << left) - 1 : UINT64_MAX;
        count += (size_t)__builtin_popcountll(bits);
    }
    return count;
}

/* A walk looks at so many rows that may not be found as there are for each that may; so does the
 * bridge, without evaluating them. Where all may be found, or nearly, who built a graph wants it
 * walked unless an exact look is cheaper for certain: what is measured of a configuration is the
 * graph then. */
static enum graph_way choose_way(const struct asked *asked, size_t width)
{
    double rows = (double)atomic_load(&asked->graph->count), findable = (double)asked->findable;
    double places = (double)width;
    if (asked->findable <= asked->ask->k)
        return GRAPH_EXACT;
    if (!asked->ask->filter || findable >= NEARLY_ALL * rows)
        return findable <= EXACT_PER_WIDTH / 3 * places ? GRAPH_EXACT : GRAPH_WALK;
    if (findable * findable <= EXACT_PER_WIDTH * places * rows)
        return GRAPH_EXACT;
    return findable >= WALK_PART * rows ? GRAPH_WALK : GRAPH_BRIDGE;
}

static enum lh_code find(struct asked *asked, enum graph_way *ret_way, struct lh_error *err)
{
    struct graph_walk *walk = asked->walk;
    size_t k = asked->ask->k, width = asked->ask->width > k ? asked->ask->width : k;
    bool is_done = true;
    walk->hops = walk->evaluations = 0;
    walk->is_damaged = walk->is_without_memory = false;
    enum graph_way way = choose_way(asked, width);
    if (way != GRAPH_EXACT)
        aim_at_query(asked);
    if (way == GRAPH_WALK) {
        size_t rows = atomic_load(&asked->graph->count);
        size_t wider = (size_t)((double)width * (double)rows / (double)asked->findable);
        is_done = walk_at(asked, wider < rows ? wider : rows);
    } else if (way == GRAPH_BRIDGE) {
        is_done = bridge_at(asked, width);
    }
    if (is_done && !walk->is_damaged &&
        (way == GRAPH_EXACT || (asked->best.count < k && asked->best.count < asked->findable))) {
        way = GRAPH_EXACT;
        is_done = exact(asked);
    }
    if (walk->is_damaged)
        return lh_fail(err, LH_DAMAGED, "Block %zu of the graph's file is not what was written.",
                       walk->bad_block);
    if (!is_done)
        return lh_fail(err, LH_BUSY, "There is no memory for a walk over a graph.");
    *ret_way = way;
    return LH_OK;
}

static enum lh_code check_ask(const struct graph *graph, const float *query,
                              const struct graph_ask *ask, double *ret_length, struct lh_error *err)
{
    double square = 0;
    for (size_t i = 0; i < graph->options.dimensions; i++)
        square += (double)query[i] * (double)query[i];
    if (!isfinite(square) || square > 1e30)
        return lh_fail(err, LH_INVALID,
                       "The query has a number that is not finite, or is too long.");
    if (ask->width > GRAPH_WIDTH_MAX || ask->k > GRAPH_WIDTH_MAX)
        return lh_fail(err, LH_INVALID, "A search keeps at most %zu candidates.", GRAPH_WIDTH_MAX);
    *ret_length = sqrt(square);
    return LH_OK;
}

enum lh_code graph_search(struct graph *graph, const float *query, const struct graph_ask *ask,
                          struct graph_hit *ret, size_t *ret_count, struct graph_told *ret_told,
                          struct lh_error *err)
{
    struct graph_told told = {.way = GRAPH_EXACT};
    struct asked asked = {.graph = graph, .ask = ask, .query = query, .best = {ret, 0, ask->k}};
    enum lh_code code = check_ask(graph, query, ask, &asked.length, err);
    if (code)
        return code;
    asked.visible = atomic_load_explicit(&graph->visible, memory_order_acquire);
    asked.findable = ask->k ? count_findable(&asked) : 0;
    if (asked.findable) {
        asked.walk = graph_walk_take(graph);
        if (!asked.walk)
            return lh_fail(err, LH_BUSY, "There is no memory for a search.");
        code = find(&asked, &told.way, err);
        told.hops = asked.walk->hops;
        told.evaluations = asked.walk->evaluations;
        told.rescored = asked.rescored;
        graph_walk_give(graph, asked.walk);
    }
    if (code)
        return code;
    *ret_count = asked.best.count;
    if (ret_told)
        *ret_told = told;
    return LH_OK;
}
