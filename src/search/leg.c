/* By meaning: through the index's graph, or by looking at all.
 *
 * The graph has the entries of the parts that it was made of. Those of parts that came since, and
 * rows that the index does not have yet, are looked at one by one, and both lists become one. */
#include <stdlib.h>

#include "search/asking.h"
#include "search/view_graph.h"

/* Best first, as both lists are. */
static size_t merge_hits(const struct graph_hit *walked, size_t walked_count,
                         const struct search_scan_hit *scanned, size_t scanned_count, size_t take,
                         struct search_scan_hit *ret)
{
    size_t a = 0, b = 0, count = 0;
    while (count < take && (a < walked_count || b < scanned_count)) {
        bool is_walked =
            b == scanned_count ||
            (a < walked_count &&
             (walked[a].score > scanned[b].score ||
              (walked[a].score == scanned[b].score && walked[a].row < scanned[b].row)));
        ret[count++] =
            is_walked ? (struct search_scan_hit){walked[a].row, walked[a].score} : scanned[b];
        a += is_walked;
        b += !is_walked;
    }
    return count;
}

/* *ret_is_used: false: it does not suit, or it is damaged. */
static enum lh_code ask_graph(struct asking *asking, const float *query, size_t take,
                              struct graph_hit *hits, size_t *ret_count, bool *ret_is_used,
                              struct lh_error *err)
{
    const struct view *view = asking->layers[0].view;
    struct view_graph *graph = view->graph;
    const struct view_graph_ask ask = {.query = query,
                                       .mute = asking->layers[0].mute,
                                       .k = take,
                                       .ef = asking->ask->ef ? (size_t)asking->ask->ef : graph->ef};
    struct lh_error why = LH_ERROR_NONE;
    enum lh_code code = atomic_load(&graph->is_broken) ? LH_DAMAGED : LH_OK;
    *ret_is_used = false;
    if (!code)
        code = view_graph_search(view, &ask, hits, ret_count, ret_is_used, &why);
    if (code == LH_DAMAGED) {
        if (!atomic_exchange(&graph->is_broken, true))
            graph_is_bad(asking->search, view, &why);
        asking->is_graph_broken = true;
        return LH_OK;
    }
    if (*ret_is_used)
        asking->ef = ask.ef;
    if (code && err)
        *err = why;
    return code;
}

/* What the graph does not have. */
static enum lh_code scan_rest(struct asking *asking, struct search_scanner *scanner,
                              struct lh_error *err)
{
    size_t first = 0;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < LAYERS && asking->layers[i].view; i++) {
        const struct layer *layer = &asking->layers[i];
        for (size_t p = 0; p < layer->view->part_count && !code; p++) {
            const struct entries *part = layer->view->parts[p];
            size_t base = layer->view->bases[p];
            const struct search_scan matrix = {.rows = part->vectors,
                                               .row_count = part->count,
                                               .left_out = layer->mute + base / 64,
                                               .codes = part->codes};
            if (i == 0 && layer->view->graph->is_covered[p])
                continue;
            search_scanner_add(scanner, &matrix, first + base);
            code = lh_cancel_fail(asking->cancel, "The search", err);
        }
        first += layer->view->span;
    }
    return code;
}

static enum lh_code walk_once(struct asking *asking, const struct open_query *one,
                              struct search_scan_hit *merged, size_t *ret_count, bool *ret_is_used,
                              struct lh_error *err)
{
    const struct search_scan_hit *scanned = NULL;
    size_t walked_count = 0;
    size_t dimensions = (size_t)asking->layers[0].view->manifest->dimensions;
    struct search_scanner *scanner = search_scanner_new(one->query, dimensions, one->take);
    struct graph_hit *walked = calloc(one->take + 1, sizeof *walked);
    enum lh_code code =
        scanner && walked ? LH_OK : lh_fail(err, LH_BUSY, "There is no memory for the search.");
    if (!code)
        code = ask_graph(asking, one->query, one->take, walked, &walked_count, ret_is_used, err);
    if (!code && *ret_is_used)
        code = scan_rest(asking, scanner, err);
    if (!code && *ret_is_used) {
        size_t scanned_count = search_scanner_finish(scanner, &scanned);
        *ret_count = merge_hits(walked, walked_count, scanned, scanned_count, one->take, merged);
    }
    search_scanner_free(scanner);
    free(walked);
    return code;
}

/* *ret_is_found: false: all are to be looked at. */
static enum lh_code walk(struct asking *asking, const float *query, size_t want,
                         struct found_list *ret, bool *ret_is_found, struct lh_error *err)
{
    size_t all = entry_count(asking);
    struct open_query one = open_query_of(query, ret, want, all);
    bool is_used = true;
    enum lh_code code = LH_OK;
    *ret_is_found = false;
    while (!code && is_used && !*ret_is_found) {
        size_t count = 0;
        struct search_scan_hit *merged = calloc(one.take + 1, sizeof *merged);
        if (!merged)
            return lh_fail(err, LH_BUSY, "There is no memory for the search.");
        code = walk_once(asking, &one, merged, &count, &is_used, err);
        if (!code && is_used)
            code = open_query_settle(asking, &one, merged, count, want, all, ret_is_found, err);
        free(merged);
    }
    return code;
}

enum lh_code meaning_find(struct asking *asking, const float *const *queries, size_t query_count,
                          size_t want, struct found_list *rets, struct lh_error *err)
{
    const struct view *view = asking->layers[0].view;
    bool is_walked = view->graph && !asking->ask->is_exact && want;
    enum lh_code code = LH_OK;
    size_t at = 0;
    while (is_walked && at < query_count && !code) {
        rets[at] = (struct found_list){0};
        if (!is_zero(queries[at], (size_t)view->manifest->dimensions))
            code = walk(asking, queries[at], want, &rets[at], &is_walked, err);
        at += is_walked;
    }
    if (code || at == query_count)
        return code;
    if (!at)
        asking->ef = 0; /* a walk that was begun came to nothing */
    return exact_find(asking, queries + at, query_count - at, want, rets + at, err);
}
