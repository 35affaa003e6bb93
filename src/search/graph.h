/* A graph over vectors in which the nearest ones are found by walking.
 *
 * Levels as in HNSW: every row is a node of level 0, each sixteenth of a level's nodes stands in
 * the next one too. A walk goes down from the top to the nearest node it finds, then keeps the
 * `width` nearest nodes of level 0, and looks at the neighbours of the nearest that it has not
 * been to. It reads codes (graph_code.c) of 4 or 8 bits a number, which lie beside the links;
 * what is found is ordered by the rows themselves, in floats, with the very scores of an exact
 * search (scan.h).
 *
 *               graph_insert ◀─┐ graph_delete ◀─┐ graph_repair
 *   graph_new ─▶ … ────────────┴────────────────┴─▶ graph_write ─▶ (a file) ─▶ graph_open ─▶ …
 *
 * Rows are numbered from 0 in the order of insertion; numbers are never used again. Equal rows,
 * options and calls give the same graph, byte by byte, whatever the number of threads and the kind
 * of processor.
 *
 * Always: all nodes of level 0 that were not taken out reach each other. A part of their links is a
 * tree that is never pruned (graph_tree.c), so that no row is lost, however many are equal.
 *
 * Threads: any thread may search at any time, without waiting, also while others insert, delete or
 * repair, which they do one after the other (`write_lock`). Nodes are written before a link names
 * them and never move; links are single words that are read and written whole. A search sees the
 * rows that were there when it began. graph_free when nobody uses it.
 * Blocking: inserts, repairs and writing take their time and look at `cancel`; nothing else blocks.
 */
#ifndef LAKEHOUSE_SEARCH_GRAPH_H
#define LAKEHOUSE_SEARCH_GRAPH_H

#include "base/cancel.h"
#include "base/error.h"

struct graph; /* made by graph_new or graph_open, ended by graph_free */
struct packed_kernels;

#define GRAPH_ROWS_MAX ((size_t)1 << 28)
#define GRAPH_WIDTH_MAX ((size_t)65536)
#define GRAPH_THREADS_MAX 64U

enum graph_metric {
    GRAPH_COSINE, /* rows of length 1, or zero; score: the dot product */
    GRAPH_DOT,    /* score: the dot product */
    GRAPH_L2,     /* score: minus the squared distance */
};

struct graph_options {
    size_t dimensions; /* 1 … 32768 */
    enum graph_metric metric;
    unsigned bits;        /* of a code's numbers: 4 or 8; 0: by dimensions */
    unsigned links;       /* most of a node at level 0: 14, 30, 46 or 62; 0: 46 */
    unsigned build_width; /* candidates of a new node, 8 … 4096; 0: 200 */
    uint64_t seed;
    /* Rows stay where they are until graph_free, and are not written into its file; else they are
     * copied. */
    bool lends_rows;
    const struct packed_kernels *kernels; /* NULL: the best ones here */
};

/* Where an insertion stands; `done` rows of `total`. Called by the inserting thread. */
typedef void graph_progress(void *context, size_t done, size_t total);

struct graph_work {
    unsigned threads; /* 0: 1 */
    const struct lh_cancel *cancel;
    graph_progress *progress; /* may be NULL */
    void *context;
};

/* LH_INVALID: an option is out of its bounds. */
enum lh_code graph_new(const struct graph_options *options, struct graph **ret,
                       struct lh_error *err) LH_MUST_USE;
void graph_free(struct graph *graph); /* NULL is fine */

/* Adds rows, one after the other in `rows`; *ret_first is the number of the first. LH_INVALID: a
 * row has a number that is not finite, is too long, or not of the length the metric asks for;
 * nothing was added. Cancelled, or without memory (LH_BUSY), nothing of it is ever found; its
 * numbers may be used up. */
enum lh_code graph_insert(struct graph *graph, const float *rows, size_t row_count,
                          const struct graph_work *work, size_t *ret_first,
                          struct lh_error *err) LH_MUST_USE;
/* The same, but that of rows whose bit is set in `gaps` only the numbers are used up: they are
 * deleted, were never a node, and are not looked at. */
enum lh_code graph_insert_between(struct graph *graph, const float *rows, size_t row_count,
                                  const uint64_t *gaps, const struct graph_work *work,
                                  size_t *ret_first, struct lh_error *err) LH_MUST_USE;
/* Uses up so many numbers, at most 64. LH_BUSY, LH_DAMAGED, LH_TOO_LARGE. */
enum lh_code graph_skip(struct graph *graph, size_t count, struct lh_error *err) LH_MUST_USE;
/* From now on no search that begins finds the row. Twice is fine. LH_NOT_FOUND: no such number. */
enum lh_code graph_delete(struct graph *graph, size_t row, struct lh_error *err) LH_MUST_USE;
/* Takes deleted nodes out of all lists and closes the gaps. Cancelled, some may be left. */
enum lh_code graph_repair(struct graph *graph, const struct graph_work *work,
                          struct lh_error *err) LH_MUST_USE;

struct graph_ask {
    size_t k;
    size_t width; /* ef: nodes kept on the walk; at least k is taken */
    /* Bit per row that may be found; rows from `filter_rows` on may not. NULL: all may. */
    const uint64_t *filter;
    size_t filter_rows;
};
struct graph_hit {
    size_t row;
    float score;
};
enum graph_way {
    GRAPH_WALK,   /* the plain walk, widened by what may not be found */
    GRAPH_BRIDGE, /* over rows that may be found, through those that may not */
    GRAPH_EXACT,  /* all rows that may be found: by their codes, then in floats what may be near */
};
struct graph_told { /* about a search */
    enum graph_way way;
    size_t hops;        /* nodes whose links were followed */
    size_t evaluations; /* codes looked at */
    size_t rescored;    /* rows read in floats */
};

/* The nearest rows, best first, equal scores by number: `ret` has room for k. *ret_count is k
 * whenever so many may be found. `ret_told` may be NULL. LH_INVALID: a number of the query is not
 * finite, or the width is too large. LH_DAMAGED: a block of the file that was needed is not what
 * was written. LH_BUSY: no memory. */
enum lh_code graph_search(struct graph *graph, const float *query, const struct graph_ask *ask,
                          struct graph_hit *ret, size_t *ret_count, struct graph_told *ret_told,
                          struct lh_error *err) LH_MUST_USE;

struct graph_state {
    struct graph_options options; /* as they are in effect */
    size_t rows;                  /* inserted, deleted ones too: above the last number */
    size_t deleted;
    size_t levels;
    int64_t bytes;     /* nodes and links, in memory or mapped */
    int64_t row_bytes; /* copied or mapped rows */
};
struct graph_state graph_state(const struct graph *graph);

/* Writes the graph to an empty file, without making it durable; searches go on meanwhile. Format:
 * docs/formats/graph.md. */
enum lh_code graph_write(struct graph *graph, int fd, const struct lh_cancel *cancel,
                         struct lh_error *err) LH_MUST_USE;
/* The same, handed out piece by piece. */
typedef enum lh_code graph_sink(void *context, const void *bytes, size_t count,
                                struct lh_error *err);
enum lh_code graph_write_to(struct graph *graph, graph_sink *sink, void *context,
                            const struct lh_cancel *cancel, struct lh_error *err) LH_MUST_USE;
/* Maps a file that graph_write made and that is not changed or cut afterwards. Takes as long for
 * every size: blocks are compared with their checksums when a search first needs them. What is
 * inserted and deleted then stays in memory. `fd` may be closed. LH_DAMAGED; LH_FORMAT: of a newer
 * release, or of a machine with another byte order. */
enum lh_code graph_open(int fd, struct graph **ret, struct lh_error *err) LH_MUST_USE;
/* Where rows lie that a graph of lent rows was written without: before its first search, ascending
 * and apart; copied, but for the rows. What is not lent may be no row that a search may find. */
struct graph_lent {
    size_t first; /* its number */
    size_t count;
    const float *rows;
};
enum lh_code graph_lend(struct graph *graph, const struct graph_lent *lent, size_t count,
                        struct lh_error *err) LH_MUST_USE;
/* Compares every block of the file it was opened from. LH_DAMAGED names the first bad one. */
enum lh_code graph_verify(struct graph *graph, const struct lh_cancel *cancel,
                          struct lh_error *err) LH_MUST_USE;

/* For tests: looks at all that must always hold, while nobody writes: lists without gaps, doubles,
 * loops and dangling links, the tree whole and mutual, everything reachable, levels that agree.
 * LH_INTERNAL says what does not. */
enum lh_code graph_check(struct graph *graph, struct lh_error *err) LH_MUST_USE;

#endif
