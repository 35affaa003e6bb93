/* By meaning, looking at all rows: what is found is what is there. */
#include <math.h>
#include <stdlib.h>

#include "search/asking.h"

static size_t first_of_row(const struct view *view, size_t ordinal)
{
    size_t at = 0;
    const struct entries *part = view_entry(view, ordinal, &at);
    return ordinal - (size_t)part->chunks[at];
}

/* Row numbers of a scan: the index's ordinals, then those of what is fresh. */
static struct found found_of(const struct asking *asking, const struct search_scan_hit *hit)
{
    size_t span = asking->layers[0].view->span;
    size_t layer = hit->row < span ? 0 : 1, ordinal = hit->row - layer * span;
    return (struct found){.layer = layer,
                          .ordinal = ordinal,
                          .row = first_of_row(asking->layers[layer].view, ordinal),
                          .score = (double)hit->score};
}

struct open_query open_query_of(const float *query, struct found_list *ret, size_t want, size_t all)
{
    return (struct open_query){query, ret, want + 16 < all ? want + 16 : all};
}

/* Several chunks may be of one row, and equal scores are
 * told apart by id: so more is taken than wanted, and more again, until what lies above the worst
 * that was taken is enough. */
enum lh_code open_query_settle(struct asking *asking, struct open_query *one,
                               const struct search_scan_hit *hits, size_t count, size_t want,
                               size_t all, bool *ret_is_enough, struct lh_error *err)
{
    struct found_list list = {.count = count};
    list.items = calloc(list.count + 1, sizeof *list.items);
    if (!list.items)
        return lh_fail(err, LH_BUSY, "There is no memory for the search.");
    for (size_t i = 0; i < list.count; i++)
        list.items[i] = found_of(asking, &hits[i]);
    double floor = list.count == one->take ? list.items[one->take - 1].score : -INFINITY;
    found_settle(asking, &list, want);
    *ret_is_enough =
        one->take >= all || (list.count == want && list.items[list.count - 1].score > floor);
    if (*ret_is_enough) {
        one->ret->items = lh_arena_array(asking->arena, list.count + 1, sizeof *list.items);
        memcpy(one->ret->items, list.items, list.count * sizeof *list.items);
        one->ret->count = list.count;
    }
    free(list.items);
    one->take = one->take * 8 < all ? one->take * 8 : all;
    return LH_OK;
}

/* One pass for those that have not enough yet; they are the first *count afterwards. */
static enum lh_code pass(struct asking *asking, struct open_query *open, size_t *count, size_t want,
                         size_t all, struct lh_error *err)
{
    size_t dimensions = (size_t)asking->layers[0].view->manifest->dimensions;
    size_t open_count = *count, kept = 0;
    struct search_scanner *scanners[SWEEP_QUERIES_MAX] = {0};
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < *count && !code; i++) {
        scanners[i] = search_scanner_new(open[i].query, dimensions, open[i].take);
        if (!scanners[i])
            code = lh_fail(err, LH_BUSY, "There is no memory for the search.");
    }
    if (!code) {
        struct sweep sweep = {.rows = asking->pin.overlay,
                              .layers = asking->layers,
                              .scanners = scanners,
                              .count = *count,
                              .cancel = asking->cancel};
        code = sweeps_join(asking->search->sweeps, &sweep, err);
    }
    for (size_t i = 0; i < *count && !code; i++) {
        bool is_enough = false;
        const struct search_scan_hit *hits = NULL;
        size_t hit_count = search_scanner_finish(scanners[i], &hits);
        code = open_query_settle(asking, &open[i], hits, hit_count, want, all, &is_enough, err);
        if (!is_enough)
            open[kept++] = open[i];
    }
    for (size_t i = 0; i < open_count; i++)
        search_scanner_free(scanners[i]);
    *count = kept;
    return code;
}

size_t entry_count(const struct asking *asking)
{
    size_t count = 0;
    for (size_t i = 0; i < LAYERS; i++)
        count += asking->layers[i].view ? asking->layers[i].view->span : 0;
    return count;
}

bool is_zero(const float *vector, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (vector[i] != 0)
            return false;
    return true;
}

static enum lh_code find_group(struct asking *asking, const float *const *queries, size_t count,
                               size_t want, struct found_list *rets, struct lh_error *err)
{
    size_t dimensions = (size_t)asking->layers[0].view->manifest->dimensions;
    size_t all = entry_count(asking), open_count = 0;
    struct open_query open[SWEEP_QUERIES_MAX];
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < count; i++) {
        rets[i] = (struct found_list){0};
        /* Nothing that the model knows: then nothing is near. */
        if (want && all && !is_zero(queries[i], dimensions))
            open[open_count++] = open_query_of(queries[i], &rets[i], want, all);
    }
    while (open_count && !code)
        code = pass(asking, open, &open_count, want, all, err);
    return code;
}

/* Group by group, so that others get their turn between them. */
enum lh_code exact_find(struct asking *asking, const float *const *queries, size_t query_count,
                        size_t want, struct found_list *rets, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t from = 0; from < query_count && !code; from += SWEEP_QUERIES_MAX) {
        size_t rest = query_count - from;
        code =
            find_group(asking, queries + from, rest < SWEEP_QUERIES_MAX ? rest : SWEEP_QUERIES_MAX,
                       want, rets + from, err);
    }
    return code;
}
