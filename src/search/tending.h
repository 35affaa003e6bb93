/* A graph on its way to an index: made, measured, written, published. Inside search/ only. */
#ifndef LAKEHOUSE_SEARCH_TENDING_H
#define LAKEHOUSE_SEARCH_TENDING_H

#include "search/building.h"
#include "search/view_graph.h"

#define TENDING_WIDTHS_MAX 6 /* that are measured, each twice as wide as the one before */

enum plan { PLAN_NOTHING, PLAN_DROP, PLAN_MEASURE, PLAN_EXTEND, PLAN_BUILD };

struct tending {
    struct search_index *index;
    struct search *search;
    struct job *job; /* NULL: nobody is told */
    const struct lh_cancel *cancel;
    struct search_configuration configuration;
    struct search_promotion *promotion; /* NULL: as it is; is stamped when it takes effect */
    const struct search_configuration
        *otherwise;       /* after a promotion of nothing; NULL: the preset */
    bool is_reconfigured; /* the index has that configuration from now on */
    struct index_manifest *head;
    struct lh_arena *arena;
    enum plan plan;
    struct pin pin;
    struct graph *graph; /* that was made */
    struct index_graph made;
    struct search_graph_recall recalls[TENDING_WIDTHS_MAX];
};

static inline const struct view *tending_view(const struct tending *tending)
{
    return tending->pin.overlay->view;
}
void tending_show(const struct tending *tending, const char *phase, size_t done, size_t total);

/* --- measure.c */

/* What walks find in the graph that was made (or, if none was, in the one that is served), and how
 * wide they are to be: `recalls`, `ef_search` and `sample` of `made`. */
enum lh_code graph_measure(struct tending *tending, struct lh_error *err) LH_MUST_USE;

#endif
