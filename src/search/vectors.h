/* The vectors of an index as one version of its dataset has them, held still: what trials, evals
 * and measurements work on.
 *
 *   search_vectors_open ─▶ read, search exactly, build graphs over them … ─▶ search_vectors_close
 *
 * Vectors have numbers: those of a part from its `first` on, and gaps between the parts. Graphs
 * that are made here number their rows the same. Nothing is copied: what is handed out lives as
 * long as the handle, which keeps the index in memory. Rows that the index does not have yet are
 * left out.
 *
 * Threads: any number may read one handle. Blocking: the opening, as long as the index is loaded;
 * the build of a graph, which looks at `cancel`.
 */
#ifndef LAKEHOUSE_SEARCH_VECTORS_H
#define LAKEHOUSE_SEARCH_VECTORS_H

#include "base/cancel.h"
#include "search/configuration.h"
#include "search/graph.h"

struct search;
struct search_codes;
struct search_vectors; /* made by search_vectors_open, ended by search_vectors_close */

struct search_vectors_part {
    size_t first; /* a multiple of 64 */
    size_t count;
    const float *rows;                /* of unit length, or zero where there is no vector */
    const uint64_t *left_out;         /* bit per row: gone, changed, or without a vector */
    const struct search_codes *codes; /* NULL: there are none */
};
struct search_vectors_info {
    const struct search_vectors_part *parts;
    size_t part_count;
    size_t end;  /* above the last number; a multiple of 64 */
    size_t live; /* that are not left out */
    size_t dimensions;
    int64_t index_version;
    int64_t dataset_version; /* pinned */
};

/* LH_NOT_FOUND: the index, or its dataset is gone; LH_CONFLICT: it is still being built;
 * LH_TOO_LARGE, LH_BUSY: memory. */
enum lh_code search_vectors_open(struct search *search, struct lh_str index,
                                 const struct lh_cancel *cancel, struct search_vectors **ret,
                                 struct lh_error *err) LH_MUST_USE;
void search_vectors_close(struct search_vectors *vectors); /* NULL is fine */

const struct search_vectors_info *search_vectors_info(const struct search_vectors *vectors);
/* NULL: nothing stands at that number, or what stands there is left out. */
const float *search_vectors_at(const struct search_vectors *vectors, size_t number);
struct lh_str search_vectors_id(const struct search_vectors *vectors, size_t number);
struct lh_str search_vectors_text(const struct search_vectors *vectors, size_t number);
/* The number of its row's first chunk. */
size_t search_vectors_row(const struct search_vectors *vectors, size_t number);

/* The k nearest that are not left out, by looking at all: best first, equal scores by number. `ret`
 * has room for k. `but` is not told (SIZE_MAX: all are). LH_BUSY: no memory. */
enum lh_code search_vectors_nearest(const struct search_vectors *vectors, const float *query,
                                    size_t k, size_t but, struct graph_hit *ret, size_t *ret_count,
                                    struct lh_error *err) LH_MUST_USE;
/* A graph over what is not left out, by their numbers: the very one that the index would have. It
 * ends (graph_free) before the handle does. `work` may be NULL. */
enum lh_code search_vectors_graph(const struct search_vectors *vectors,
                                  const struct search_configuration *configuration,
                                  const struct graph_work *work, struct graph **ret,
                                  struct lh_error *err) LH_MUST_USE;

/* --- what is in memory -----------------------------------------------------------------------*/

/* Whether the index is in memory as it is now, so that a search reads nothing; no such index is
 * not. *ret_has_graph (may be NULL): whether it is searched by a graph then. search_vectors_open
 * loads it. */
bool search_is_warm(struct search *search, struct lh_str name, bool *ret_has_graph);
/* Lets go of what is in memory of it: who searches it goes on, the next search loads it anew. No
 * such index is fine. Waits for who loads it. */
void search_unload(struct search *search, struct lh_str name);

#endif
