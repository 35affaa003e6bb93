/* The graph of a view: numbers and ordinals, what it is asked and what it is made of. */
#include "search/view_graph.h"

#include <assert.h>
#include <stdlib.h>

#include "base/file.h"
#include "search/scan.h"

/* So many rows may be found for each place of a walk before a walk is quicker than all of them. */
#define FEW_PER_PLACE 24

static size_t rounded(size_t entries)
{
    return (entries + 63) / 64 * 64;
}

size_t bits_clear(const uint64_t *bits, size_t count)
{
    size_t clear = 0;
    for (size_t i = 0; i < count / 64; i++)
        clear += (size_t)__builtin_popcountll(~bits[i]);
    return clear;
}

/* --- opening */

static size_t ordinal_of_part(const struct view *view, struct lh_str key, size_t *ret_part)
{
    for (size_t i = 0; i < view->manifest->parts.count; i++)
        if (lh_str_equal(index_parts(view->manifest)[i].key, key)) {
            *ret_part = i;
            return view->bases[i];
        }
    return VIEW_NONE;
}

/* Where the parts of the graph stand in it, and in the view. False: a part is not as long as the
 * graph says. */
static bool match_parts(const struct view *view, struct view_graph *of)
{
    const struct lh_list *list = &view->manifest->graph->parts;
    const struct index_graph_part *parts = list->items;
    size_t number = 0;
    of->parts = lh_allocate(list->count + 1, sizeof *of->parts);
    of->is_covered = lh_allocate(view->part_count + 1, sizeof *of->is_covered);
    of->part_count = list->count;
    for (size_t i = 0; i < list->count; i++) {
        size_t part = 0, ordinal = ordinal_of_part(view, parts[i].key, &part);
        of->parts[i] = (struct view_graph_part){number, ordinal, (size_t)parts[i].entries};
        number += rounded((size_t)parts[i].entries);
        if (ordinal == VIEW_NONE)
            continue;
        of->is_covered[part] = true;
        if (view->parts[part]->count != (size_t)parts[i].entries)
            return false;
    }
    return true;
}

static enum lh_code lend(const struct view *view, struct view_graph *of, struct lh_error *err)
{
    struct graph_lent *lent = lh_allocate(of->part_count + 1, sizeof *lent);
    size_t count = 0, ignored = 0;
    for (size_t i = 0; i < of->part_count; i++)
        if (of->parts[i].ordinal != VIEW_NONE)
            lent[count++] =
                (struct graph_lent){of->parts[i].number, of->parts[i].entries,
                                    view_entry(view, of->parts[i].ordinal, &ignored)->vectors};
    enum lh_code code = graph_lend(of->graph, lent, count, err);
    free(lent);
    return code;
}

static enum lh_code open_file(struct storage *storage, const struct view *view,
                              struct view_graph *of, struct lh_error *err)
{
    const struct index_object *file = view->manifest->graph->file;
    struct lh_file_info info;
    int fd = -1;
    struct lh_str bucket = index_bucket(view->manifest);
    enum lh_code code = object_pin(storage, bucket, file, NULL, &of->pinned, err);
    if (code)
        return code;
    code = storage_open_file(storage, bucket, file->key, &fd, err);
    if (code == LH_NOT_FOUND)
        return lh_fail(err, LH_DAMAGED, "The file %.*s is missing.", LH_ARG(file->key));
    if (!code)
        code = lh_file_info_of(fd, &info, err);
    if (!code && info.bytes != file->bytes)
        code = lh_fail(err, LH_DAMAGED, "The file %.*s is not as long as it was written.",
                       LH_ARG(file->key));
    if (!code)
        code = graph_open(fd, &of->graph, err);
    lh_file_abandon(fd);
    return code;
}

static enum lh_code check_state(const struct view *view, const struct view_graph *of,
                                struct lh_error *err)
{
    struct graph_state state = graph_state(of->graph);
    size_t numbers = 0;
    if (of->part_count) {
        const struct view_graph_part *last = &of->parts[of->part_count - 1];
        numbers = last->number + rounded(last->entries);
    }
    if (state.options.dimensions == (size_t)view->manifest->dimensions && state.rows == numbers &&
        state.options.metric == GRAPH_COSINE && state.options.lends_rows)
        return LH_OK;
    return lh_fail(err, LH_DAMAGED, "The file %.*s holds the graph of other rows.",
                   LH_ARG(view->manifest->graph->file->key));
}

enum lh_code view_graph_open(struct storage *storage, const struct view *view,
                             struct view_graph **ret, struct lh_error *err)
{
    struct view_graph *of = lh_allocate(1, sizeof *of);
    of->ef = (size_t)view->manifest->graph->ef_search;
    enum lh_code code = LH_OK;
    if (!match_parts(view, of))
        code = lh_fail(err, LH_DAMAGED, "A part has another number of entries than its graph.");
    if (!code)
        code = open_file(storage, view, of, err);
    if (!code)
        code = check_state(view, of, err);
    if (!code)
        code = lend(view, of, err);
    if (code) {
        view_graph_free(of);
        return lh_error_context(err, "The graph of the index '%.*s'", LH_ARG(view->manifest->name));
    }
    *ret = of;
    return LH_OK;
}

void view_graph_free(struct view_graph *of)
{
    if (!of)
        return;
    graph_free(of->graph);
    storage_unpin(of->pinned);
    free(of->parts);
    free(of->is_covered);
    free(of);
}

int64_t view_graph_bytes(const struct view_graph *of)
{
    return of ? graph_state(of->graph).bytes : 0;
}

/* --- asking */

/* A bit for each number that may be found; returns how many are set. */
static size_t fill_filter(const struct view_graph *of, const uint64_t *mute, uint64_t *filter)
{
    size_t count = 0;
    for (size_t i = 0; i < of->part_count; i++) {
        const struct view_graph_part *part = &of->parts[i];
        size_t words = rounded(part->entries) / 64;
        for (size_t w = 0; w < words; w++) {
            uint64_t bits = part->ordinal == VIEW_NONE ? 0 : ~mute[part->ordinal / 64 + w];
            filter[part->number / 64 + w] = bits;
            count += (size_t)__builtin_popcountll(bits);
        }
    }
    return count;
}

static size_t ordinal_of(const struct view_graph *of, size_t number)
{
    size_t low = 0, high = of->part_count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (of->parts[middle].number <= number)
            low = middle;
        else
            high = middle;
    }
    assert(of->parts[low].ordinal != VIEW_NONE);
    return of->parts[low].ordinal + (number - of->parts[low].number);
}

enum lh_code view_graph_search(const struct view *view, const struct view_graph_ask *ask,
                               struct graph_hit *ret, size_t *ret_count, bool *ret_is_used,
                               struct lh_error *err)
{
    const struct view_graph *of = view->graph;
    size_t numbers = graph_state(of->graph).rows, width = ask->ef > ask->k ? ask->ef : ask->k;
    struct graph_told told;
    *ret_is_used = false;
    *ret_count = 0;
    uint64_t *filter = malloc((numbers / 64 + 1) * sizeof *filter);
    if (!filter)
        return lh_fail(err, LH_BUSY, "There is no memory for the search.");
    size_t findable = fill_filter(of, ask->mute, filter);
    enum lh_code code = LH_OK;
    if (findable > width * FEW_PER_PLACE && width <= GRAPH_WIDTH_MAX) {
        const struct graph_ask asked = {
            .k = ask->k, .width = width, .filter = filter, .filter_rows = numbers};
        code = graph_search(of->graph, ask->query, &asked, ret, ret_count, &told, err);
        *ret_is_used = !code;
    }
    free(filter);
    for (size_t i = 0; !code && i < *ret_count; i++)
        ret[i].row = ordinal_of(of, ret[i].row);
    return code;
}

enum lh_code view_nearest(const struct view *view, const uint64_t *mute, const float *query,
                          size_t k, size_t but, struct graph_hit *ret, size_t *ret_count,
                          struct lh_error *err)
{
    const struct search_scan_hit *hits = NULL;
    size_t count = 0;
    struct search_scanner *scanner =
        search_scanner_new(query, (size_t)view->manifest->dimensions, k + 1);
    if (!scanner)
        return lh_fail(err, LH_BUSY, "There is no memory for the search.");
    for (size_t i = 0; i < view->part_count; i++) {
        const struct search_scan scan = {.rows = view->parts[i]->vectors,
                                         .row_count = view->parts[i]->count,
                                         .left_out = mute + view->bases[i] / 64,
                                         .codes = view->parts[i]->codes};
        search_scanner_add(scanner, &scan, view->bases[i]);
    }
    size_t found = search_scanner_finish(scanner, &hits);
    for (size_t i = 0; i < found && count < k; i++)
        if (hits[i].row != but)
            ret[count++] = (struct graph_hit){hits[i].row, hits[i].score};
    search_scanner_free(scanner);
    *ret_count = count;
    return LH_OK;
}

/* --- making */

/* Progress of one part within that of all. */
struct many {
    const struct graph_work *work;
    size_t before, total;
};

static void tell_of_many(void *context, size_t done, size_t total)
{
    const struct many *many = context;
    (void)total;
    many->work->progress(many->work->context, many->before + done, many->total);
}

static enum lh_code insert_part(struct graph *graph, const struct entries *part,
                                const uint64_t *gaps, struct many *many, struct lh_error *err)
{
    struct graph_work work = *many->work;
    size_t first = 0, left = rounded(part->count) - part->count;
    if (work.progress) {
        work.progress = tell_of_many;
        work.context = many;
    }
    enum lh_code code =
        graph_insert_between(graph, part->vectors, part->count, gaps, &work, &first, err);
    if (!code && left)
        code = graph_skip(graph, left, err);
    many->before += part->count;
    return code;
}

enum lh_code view_graph_build(const struct view *view, const uint64_t *mute,
                              const struct search_configuration *configuration,
                              const struct graph_work *work, struct graph **ret,
                              struct lh_error *err)
{
    static const struct graph_work plain = {.threads = 1};
    struct graph_options options = {.dimensions = (size_t)view->manifest->dimensions,
                                    .metric = GRAPH_COSINE,
                                    .lends_rows = true};
    struct many many = {.work = work ? work : &plain};
    struct graph *graph = NULL;
    search_configuration_to_graph(configuration, &options);
    for (size_t i = 0; i < view->part_count; i++)
        many.total += view->parts[i]->count;
    enum lh_code code = graph_new(&options, &graph, err);
    for (size_t i = 0; i < view->part_count && !code; i++)
        code = insert_part(graph, view->parts[i], mute + view->bases[i] / 64, &many, err);
    if (code)
        graph_free(graph);
    else
        *ret = graph;
    return code;
}

/* Numbers that stand for nothing any more. */
static enum lh_code delete_gone(const struct view *view, const struct view_graph *of,
                                struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < of->part_count && !code; i++) {
        const struct view_graph_part *part = &of->parts[i];
        for (size_t at = 0; at < part->entries && !code; at++)
            if (part->ordinal == VIEW_NONE || bit_is_set(view->mute, part->ordinal + at))
                code = graph_delete(of->graph, part->number + at, err);
    }
    return code;
}

enum lh_code view_graph_extend(struct storage *storage, const struct view *view,
                               const struct graph_work *work, struct lh_arena *arena,
                               struct graph **ret, struct lh_list *ret_parts, struct lh_error *err)
{
    const struct index_graph *before = view->manifest->graph;
    struct view_graph *of = NULL;
    struct many many = {.work = work};
    size_t count = before->parts.count;
    struct index_graph_part *parts =
        lh_arena_array(arena, count + view->part_count + 1, sizeof *parts);
    memcpy(parts, before->parts.items, count * sizeof *parts);
    enum lh_code code = view_graph_open(storage, view, &of, err);
    if (code)
        return code;
    assert(of);
    for (size_t i = 0; i < view->part_count; i++)
        many.total += of->is_covered[i] ? 0 : view->parts[i]->count;
    code = delete_gone(view, of, err);
    if (!code)
        code = graph_repair(of->graph,
                            &(struct graph_work){work->threads, work->cancel, NULL, NULL}, err);
    for (size_t i = 0; i < view->part_count && !code; i++) {
        if (of->is_covered[i])
            continue;
        code = insert_part(of->graph, view->parts[i], view->mute + view->bases[i] / 64, &many, err);
        parts[count++] = (struct index_graph_part){(int64_t)view->parts[i]->count,
                                                   index_parts(view->manifest)[i].key};
    }
    if (!code) {
        *ret = of->graph;
        *ret_parts = (struct lh_list){parts, count};
        of->graph = NULL;
    }
    view_graph_free(of);
    return code;
}
