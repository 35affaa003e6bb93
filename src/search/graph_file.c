/* A graph in a file (docs/formats/graph.md): written in one go, mapped to be read.
 *
 * Every block of 4 KB has a checksum in a table at the end. A block is compared with its sum when
 * it is first needed, and remembered as good; so opening takes as long for every size, and nothing
 * is ever believed that was not checked. The mapping is private: what is changed in memory does not
 * reach the file. Before the first change all nodes are checked, because changed blocks no longer
 * have their sums. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "search/graph_internal.h"

#define BLOCK ((size_t)4096)
#define AHEAD ((size_t)256) /* blocks that are on their way when all are checked */
#define BUFFERED ((size_t)256 * BLOCK)
#define BYTE_ORDER_MARK 0x01020304U
#define FORMAT_VERSION 1U

static const char magic[8] = {'L', 'H', 'G', 'R', 'A', 'P', 'H', '\n'};

struct file_head { /* at the start of block 0, zeros behind it */
    char magic[8];
    uint32_t byte_order;
    uint32_t version;
    uint32_t dimensions, metric, bits, links, build_width;
    uint32_t count, dead_count, root;
    uint32_t has_rows, zero; /* 1: yes; 0: they are lent */
    uint64_t seed;
    uint64_t entry;
    uint32_t slots[GRAPH_LEVELS]; /* [0]: 0 */
    uint64_t nodes_at, slots_at[GRAPH_LEVELS], dead_at, rows_at, sums_at, bytes;
};
_Static_assert(sizeof(struct file_head) == 208, "the format has no gaps");

struct graph_map {
    uint8_t *bytes;
    size_t size;
    size_t block_count; /* that have sums */
    const uint32_t *sums;
    _Atomic uint64_t *good; /* bit per block */
    struct file_head head;
    bool are_nodes_good;
};

static size_t rounded(size_t bytes)
{
    return (bytes + BLOCK - 1) / BLOCK * BLOCK;
}

/* Where everything stands follows from the counts. */
static void lay_out(const struct graph *graph, struct file_head *head)
{
    size_t at = BLOCK;
    head->nodes_at = at;
    at += rounded(head->count * graph->node_stride);
    for (unsigned level = 0; level < GRAPH_LEVELS; level++) {
        head->slots_at[level] = at;
        at += rounded(head->slots[level] * sizeof(struct graph_slot));
    }
    head->dead_at = at;
    at += rounded(((size_t)head->count + 63) / 64 * sizeof(uint64_t));
    head->rows_at = at;
    if (head->has_rows)
        at += rounded((size_t)head->count * head->dimensions * sizeof(float));
    head->sums_at = at;
    head->bytes = at + at / BLOCK * sizeof(uint32_t);
}

static uint32_t sum_of(const void *block, size_t number)
{
    return lh_crc32c((uint32_t)number, block, BLOCK);
}

/* --- writing */

struct writer {
    graph_sink *sink;
    void *context;
    uint8_t *buffer;
    size_t filled;
    uint32_t *sums;
    size_t sum_count;
    const struct lh_cancel *cancel;
    enum lh_code code;
    struct lh_error *err;
};

static void flush(struct writer *writer)
{
    if (writer->code)
        return;
    for (size_t at = 0; at < writer->filled; at += BLOCK) {
        writer->sums[writer->sum_count] = sum_of(writer->buffer + at, writer->sum_count);
        writer->sum_count++;
    }
    writer->code = lh_cancel_fail(writer->cancel, "Writing a graph", writer->err);
    if (!writer->code)
        writer->code = writer->sink(writer->context, writer->buffer, writer->filled, writer->err);
    writer->filled = 0;
}

static void put(struct writer *writer, const void *bytes, size_t count)
{
    const uint8_t *from = bytes;
    while (count && !writer->code) {
        size_t some = BUFFERED - writer->filled < count ? BUFFERED - writer->filled : count;
        memcpy(writer->buffer + writer->filled, from, some);
        writer->filled += some;
        from += some;
        count -= some;
        if (writer->filled == BUFFERED)
            flush(writer);
    }
}

static void pad(struct writer *writer)
{
    size_t end = rounded(writer->filled);
    memset(writer->buffer + writer->filled, 0, end - writer->filled);
    writer->filled = end;
    if (end == BUFFERED)
        flush(writer);
}

/* What was never a row has zeros. */
static void put_row(struct writer *writer, const struct graph *graph, uint32_t at)
{
    static const float zeros[16];
    const float *row = graph_row_at(graph, at);
    size_t left = graph->options.dimensions;
    if (row)
        put(writer, row, left * sizeof *row);
    while (!row && left) {
        size_t some = left < 16 ? left : 16;
        put(writer, zeros, some * sizeof *zeros);
        left -= some;
    }
}

static void put_all(struct writer *writer, const struct graph *graph, const struct file_head *head)
{
    put(writer, head, sizeof *head);
    pad(writer);
    for (uint32_t at = 0; at < head->count; at++)
        put(writer, graph_node_at(graph, at), graph->node_stride);
    pad(writer);
    for (unsigned level = 1; level < GRAPH_LEVELS; level++) {
        for (uint32_t at = 0; at < head->slots[level]; at++)
            put(writer, graph_slot_at(graph, level, at), sizeof(struct graph_slot));
        pad(writer);
    }
    for (uint32_t at = 0; at < head->count; at += 64) {
        uint64_t word = atomic_load(graph_dead_word(graph, at));
        put(writer, &word, sizeof word);
    }
    pad(writer);
    for (uint32_t at = 0; at < head->count && head->has_rows; at++)
        put_row(writer, graph, at);
    pad(writer);
    flush(writer);
}

static void set_head(const struct graph *graph, struct file_head *head)
{
    const struct graph_options *options = &graph->options;
    memcpy(head->magic, magic, sizeof magic);
    head->byte_order = BYTE_ORDER_MARK;
    head->version = FORMAT_VERSION;
    head->dimensions = (uint32_t)options->dimensions;
    head->metric = (uint32_t)options->metric;
    head->bits = options->bits;
    head->links = options->links;
    head->build_width = options->build_width;
    head->seed = options->seed;
    head->count = atomic_load(&graph->count);
    head->dead_count = atomic_load(&graph->dead_count);
    head->root = graph->root;
    head->has_rows = options->lends_rows ? 0 : 1;
    head->entry = atomic_load(&graph->entry);
    for (unsigned level = 1; level < GRAPH_LEVELS; level++)
        head->slots[level] = atomic_load(&graph->levels[level].count);
    lay_out(graph, head);
}

enum lh_code graph_write_to(struct graph *graph, graph_sink *sink, void *context,
                            const struct lh_cancel *cancel, struct lh_error *err)
{
    struct file_head head = {0};
    struct writer writer = {.sink = sink, .context = context, .cancel = cancel, .err = err};
    pthread_mutex_lock(&graph->write_lock);
    enum lh_code code = graph->map ? graph_verify(graph, cancel, err) : LH_OK;
    if (code)
        goto out;
    set_head(graph, &head);
    writer.buffer = malloc(BUFFERED);
    writer.sums = malloc(head.sums_at / BLOCK * sizeof *writer.sums);
    if (!writer.buffer || !writer.sums) {
        code = lh_fail(err, LH_BUSY, "There is no memory for a graph to be written.");
        goto out;
    }
    put_all(&writer, graph, &head);
    code = writer.code;
    if (!code)
        code = sink(context, writer.sums, writer.sum_count * sizeof *writer.sums, err);
out:
    pthread_mutex_unlock(&graph->write_lock);
    free(writer.buffer);
    free(writer.sums);
    return code;
}

static enum lh_code write_to_file(void *context, const void *bytes, size_t count,
                                  struct lh_error *err)
{
    const int *fd = context;
    return lh_file_write(*fd, bytes, count, err);
}

enum lh_code graph_write(struct graph *graph, int fd, const struct lh_cancel *cancel,
                         struct lh_error *err)
{
    return graph_write_to(graph, write_to_file, &fd, cancel, err);
}

/* --- reading */

static bool was_checked(struct graph_map *map, size_t block)
{
    uint64_t bit = UINT64_C(1) << (block % 64);
    return atomic_load_explicit(map->good + block / 64, memory_order_relaxed) & bit;
}

static bool is_block_good(struct graph_map *map, size_t block)
{
    uint64_t bit = UINT64_C(1) << (block % 64);
    if (was_checked(map, block))
        return true;
    assert(map->sums);
    if (sum_of(map->bytes + block * BLOCK, block) != map->sums[block])
        return false;
    atomic_fetch_or_explicit(map->good + block / 64, bit, memory_order_relaxed);
    return true;
}

bool graph_map_is_good(struct graph_map *map, const void *at, size_t bytes, size_t *ret_bad)
{
    const uint8_t *from = at;
    if (!map || from < map->bytes || from >= map->bytes + map->size)
        return true;
    size_t first = (size_t)(from - map->bytes);
    for (size_t block = first / BLOCK; block <= (first + bytes - 1) / BLOCK; block++)
        if (!is_block_good(map, block)) {
            *ret_bad = block;
            return false;
        }
    return true;
}

bool graph_map_want(struct graph_map *map, const void *at, size_t bytes)
{
    const uint8_t *from = at;
    if (!map || from < map->bytes || from >= map->bytes + map->size)
        return true;
    size_t at_byte = (size_t)(from - map->bytes);
    size_t first = at_byte / BLOCK, last = (at_byte + bytes - 1) / BLOCK;
    while (first <= last && was_checked(map, first))
        first++;
    if (first > last)
        return true;
    lh_file_map_want(map->bytes + first * BLOCK, (last - first + 1) * BLOCK);
    return false;
}

static enum lh_code check_blocks(struct graph_map *map, size_t from, size_t to,
                                 const struct lh_cancel *cancel, struct lh_error *err)
{
    for (size_t block = from / BLOCK; block < to / BLOCK; block++) {
        size_t left = to / BLOCK - block;
        if (block % AHEAD == 0 || block == from / BLOCK)
            (void)graph_map_want(map, map->bytes + block * BLOCK,
                                 (left < AHEAD ? left : AHEAD) * BLOCK);
        enum lh_code code =
            block % AHEAD ? LH_OK : lh_cancel_fail(cancel, "Looking at a graph", err);
        if (code)
            return code;
        if (!is_block_good(map, block))
            return lh_fail(err, LH_DAMAGED,
                           "Block %zu of the graph's file is not what was written.", block);
    }
    return LH_OK;
}

enum lh_code graph_verify(struct graph *graph, const struct lh_cancel *cancel, struct lh_error *err)
{
    return graph->map ? check_blocks(graph->map, 0, graph->map->head.sums_at, cancel, err) : LH_OK;
}

enum lh_code graph_map_check_nodes(struct graph *graph, struct lh_error *err)
{
    struct graph_map *map = graph->map;
    if (!map || map->are_nodes_good)
        return LH_OK;
    enum lh_code code = check_blocks(map, 0, map->head.rows_at, NULL, err);
    map->are_nodes_good = !code;
    return code;
}

void graph_map_free(struct graph_map *map)
{
    if (!map)
        return;
    lh_file_unmap(map->bytes, map->size);
    free(map->good);
    free(map);
}

static enum lh_code read_head(int fd, struct file_head *ret, struct lh_error *err)
{
    struct file_head head;
    size_t count = 0;
    enum lh_code code = lh_file_read_at(fd, &head, sizeof head, 0, &count, err);
    if (code)
        return code;
    if (count < sizeof head || memcmp(head.magic, magic, sizeof magic) != 0)
        return lh_fail(err, LH_DAMAGED, "The file is not a graph.");
    if (head.byte_order != BYTE_ORDER_MARK)
        return lh_fail(err, LH_FORMAT, "The graph was written with another order of bytes.");
    if (head.version != FORMAT_VERSION)
        return lh_fail(err, LH_FORMAT, "The graph has the format %u, which is newer than %u.",
                       head.version, FORMAT_VERSION);
    *ret = head;
    return LH_OK;
}

static enum lh_code map_file(int fd, struct graph *graph, const struct file_head *head,
                             struct lh_error *err)
{
    struct file_head expected = *head;
    struct lh_file_info info = {0};
    enum lh_code code = lh_file_info_of(fd, &info, err);
    if (code)
        return code;
    lay_out(graph, &expected);
    if (memcmp(&expected, head, sizeof expected) != 0 || (uint64_t)info.bytes != head->bytes ||
        head->count > GRAPH_ROWS_MAX)
        return lh_fail(err, LH_DAMAGED, "The graph's file is not as long as it says.");
    struct graph_map *map = calloc(1, sizeof *map);
    if (!map)
        return lh_fail(err, LH_BUSY, "There is no memory for a graph's file.");
    graph->map = map;
    map->head = *head;
    map->size = (size_t)info.bytes;
    map->block_count = head->sums_at / BLOCK;
    map->good = calloc(map->block_count / 64 + 1, sizeof *map->good);
    if (!map->good)
        return lh_fail(err, LH_BUSY, "There is no memory for a graph's file.");
    code = lh_file_map(fd, map->size, (void **)&map->bytes, err);
    if (code)
        return code;
    lh_file_map_scatter(map->bytes, map->size);
    lh_file_map_want(map->bytes + head->sums_at, map->size - head->sums_at);
    map->sums = (const uint32_t *)(const void *)(map->bytes + head->sums_at);
    return check_blocks(map, 0, BLOCK, NULL, err);
}

static enum lh_code take_slots(struct graph *graph, unsigned level, struct lh_error *err)
{
    struct graph_map *map = graph->map;
    struct graph_level *to = graph->levels + level;
    size_t count = map->head.slots[level], whole = count >> GRAPH_SLOT_SHIFT << GRAPH_SLOT_SHIFT;
    size_t at = map->head.slots_at[level];
    if (!count)
        return LH_OK;
    enum lh_code code = check_blocks(map, at + whole * sizeof(struct graph_slot),
                                     at + rounded(count * sizeof(struct graph_slot)), NULL, err);
    if (code)
        return code;
    struct graph_slot *slots = (struct graph_slot *)(void *)(map->bytes + at);
    to->chunks = calloc(GRAPH_ROWS_MAX >> GRAPH_SLOT_SHIFT, sizeof *to->chunks);
    for (size_t i = 0; to->chunks && i < whole; i += (size_t)1 << GRAPH_SLOT_SHIFT)
        atomic_store(to->chunks + (i >> GRAPH_SLOT_SHIFT), slots + i);
    to->mapped_count = (uint32_t)whole;
    atomic_store(&to->count, (uint32_t)whole);
    if (!to->chunks || !graph_make_slot_room(graph, level, count))
        return lh_fail(err, LH_BUSY, "There is no memory for a graph.");
    assert(slots);
    if (count > whole)
        memcpy(graph_slot_at(graph, level, (uint32_t)whole), slots + whole,
               (count - whole) * sizeof *slots);
    atomic_store(&to->count, (uint32_t)count);
    return LH_OK;
}

static enum lh_code take_nodes(struct graph *graph, struct lh_error *err)
{
    struct graph_map *map = graph->map;
    const struct file_head *head = &map->head;
    size_t per_chunk = (size_t)1 << graph->chunk_shift;
    enum lh_code code = check_blocks(map, head->dead_at, head->rows_at, NULL, err);
    if (code)
        return code;
    graph->mapped_count = head->count;
    if (head->has_rows)
        graph->mapped_rows = (const float *)(const void *)(map->bytes + head->rows_at);
    for (size_t from = 0; from < head->count; from += per_chunk) {
        size_t left = head->count - from < per_chunk ? head->count - from : per_chunk;
        size_t at = from >> graph->chunk_shift;
        atomic_store(graph->chunks + at, map->bytes + head->nodes_at + from * graph->node_stride);
        _Atomic uint64_t *words = calloc(per_chunk / 64, sizeof *words);
        if (!words)
            return lh_fail(err, LH_BUSY, "There is no memory for a graph.");
        memcpy((void *)words, map->bytes + head->dead_at + from / 8, (left + 63) / 64 * 8);
        atomic_store(graph->dead_chunks + at, words);
    }
    atomic_store(&graph->count, head->count);
    atomic_store(&graph->visible, head->count);
    atomic_store(&graph->dead_count, head->dead_count);
    graph->root = head->root;
    atomic_store(&graph->entry, head->entry);
    return LH_OK;
}

enum lh_code graph_lend(struct graph *graph, const struct graph_lent *lent, size_t count,
                        struct lh_error *err)
{
    assert(!graph->mapped_rows && !graph->lent);
    graph->lent = calloc(count + 1, sizeof *graph->lent);
    if (!graph->lent)
        return lh_fail(err, LH_BUSY, "There is no memory for a graph.");
    for (size_t i = 0; i < count; i++) {
        assert(!i || lent[i - 1].first + lent[i - 1].count <= lent[i].first);
        graph->lent[i] = lent[i];
    }
    graph->lent_count = count;
    return LH_OK;
}

const float *graph_lent_row(const struct graph *graph, uint32_t at)
{
    size_t low = 0, high = graph->lent_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (graph->lent[middle].first <= at)
            low = middle + 1;
        else
            high = middle;
    }
    const struct graph_lent *lent = low ? graph->lent + low - 1 : NULL;
    if (!lent || at - lent->first >= lent->count)
        return NULL;
    return lent->rows + (at - lent->first) * graph->options.dimensions;
}

enum lh_code graph_open(int fd, struct graph **ret, struct lh_error *err)
{
    struct file_head head = {0};
    struct graph *graph = NULL;
    enum lh_code code = read_head(fd, &head, err);
    if (code)
        return code;
    struct graph_options options = {.dimensions = head.dimensions,
                                    .metric = (enum graph_metric)head.metric,
                                    .bits = head.bits,
                                    .links = head.links,
                                    .build_width = head.build_width,
                                    .seed = head.seed,
                                    .lends_rows = !head.has_rows};
    if (graph_make(&options, &graph, NULL))
        return lh_fail(err, LH_DAMAGED, "The head of the graph's file is not what was written.");
    code = map_file(fd, graph, &head, err);
    for (unsigned level = 1; level < GRAPH_LEVELS && !code; level++)
        code = take_slots(graph, level, err);
    if (!code)
        code = take_nodes(graph, err);
    if (code) {
        graph_free(graph);
        return code;
    }
    *ret = graph;
    return LH_OK;
}
