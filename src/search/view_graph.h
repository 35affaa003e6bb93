/* The graph of a view: its rows are the view's entries. Inside search/ only.
 *
 * A graph is over parts, those that were there when it was made, in the order of its numbers: a
 * part's entries have numbers from a multiple of 64 on, as they have ordinals in the view. Parts
 * that have gone since leave numbers that nobody may find; parts that came since are searched
 * exactly beside it.
 */
#ifndef LAKEHOUSE_SEARCH_VIEW_GRAPH_H
#define LAKEHOUSE_SEARCH_VIEW_GRAPH_H

#include "search/graph.h"
#include "search/view.h"

struct view_graph_part {
    size_t number;  /* of its first entry in the graph */
    size_t ordinal; /* in the view; VIEW_NONE: the part is gone */
    size_t entries;
};
struct view_graph { /* belongs to a view, whose manifest names it */
    struct graph *graph;
    struct view_graph_part *parts; /* ascending by number */
    size_t part_count;
    bool *is_covered; /* by the number of the view's part: the graph has it */
    size_t ef;        /* that it is asked with, unless the asker says another */
    atomic_bool is_broken;
    struct storage_pin *pinned; /* of a remote bucket: its file stays in the cache */
};

/* Opens the graph that the view's manifest names; the rows of its parts are lent from the view.
 * LH_DAMAGED: it is missing, or not what was written, or of other parts. */
enum lh_code view_graph_open(struct storage *storage, const struct view *view,
                             struct view_graph **ret, struct lh_error *err) LH_MUST_USE;
void view_graph_free(struct view_graph *of);           /* NULL is fine */
int64_t view_graph_bytes(const struct view_graph *of); /* NULL is 0 */

/* The nearest entries among those that the graph has and `mute` does not leave out. */
struct view_graph_ask {
    const float *query;   /* aligned as rows are */
    const uint64_t *mute; /* by ordinals of the view */
    size_t k, ef;
};
/* `ret` has room for k: rows are ordinals of the view. *ret_is_used: false: so few may be found
 * that looking at all of them is quicker; nothing was done. */
enum lh_code view_graph_search(const struct view *view, const struct view_graph_ask *ask,
                               struct graph_hit *ret, size_t *ret_count, bool *ret_is_used,
                               struct lh_error *err) LH_MUST_USE;

/* A graph over all entries of the view that `mute` does not leave out, numbered as its ordinals. */
enum lh_code view_graph_build(const struct view *view, const uint64_t *mute,
                              const struct search_configuration *configuration,
                              const struct graph_work *work, struct graph **ret,
                              struct lh_error *err) LH_MUST_USE;
/* The graph of the view's manifest from its file once more, without what is gone and with the parts
 * that came since. Ends before the view does. *ret_parts: what it is over, in the arena. */
enum lh_code view_graph_extend(struct storage *storage, const struct view *view,
                               const struct graph_work *work, struct lh_arena *arena,
                               struct graph **ret, struct lh_list *ret_parts,
                               struct lh_error *err) LH_MUST_USE;

/* The k nearest by looking at all, but for one ordinal (VIEW_NONE: all are told). */
enum lh_code view_nearest(const struct view *view, const uint64_t *mute, const float *query,
                          size_t k, size_t but, struct graph_hit *ret, size_t *ret_count,
                          struct lh_error *err) LH_MUST_USE;

/* Numbers that so many entries of a part take. */
static inline int64_t graph_span(int64_t entries)
{
    return (entries + 63) / 64 * 64;
}
size_t bits_clear(const uint64_t *bits, size_t count); /* of so many, a multiple of 64 */

/* --- tend.c: when a graph is made, and how -----------------------------------------------------*/

/* The view's graph is not what was written: search_problems tells it, it is made anew. */
void graph_is_bad(struct search *search, const struct view *view, const struct lh_error *why);
/* Makes, extends or drops the index's graph, as is due, and publishes that. The caller is busy with
 * the index. `job` (may be NULL) is told how far it is. */
enum lh_code graph_tend(struct search_index *index, struct job *job, const struct lh_cancel *cancel,
                        struct lh_error *err) LH_MUST_USE;
/* The same with the configuration of a promotion, which stands in the manifest from then on and is
 * stamped with that moment. One of nothing goes to `otherwise`; NULL: the preset. */
enum lh_code graph_promote(struct search_index *index, struct search_promotion *promotion,
                           const struct search_configuration *otherwise,
                           const struct lh_cancel *cancel, struct lh_error *err) LH_MUST_USE;
/* The same at the end of a job that made or refreshed the index: what fails is told, and keeps the
 * job from nothing; but a job that is to stop stops. */
enum lh_code graph_tend_after(struct search_index *index, struct job *job,
                              struct lh_error *err) LH_MUST_USE;

#endif
