/* Room for an erasure on a full disk. The reserve is for it, but only as much of it as is missing,
 * and none where even all of it would not do: then others still delete with it. So what all of it
 * needs is asked for before anything is written; then step by step, for others write meanwhile. At
 * its end what is free is the reserve's again. */
#include "journal/journal.h"
#include "lake/erase_run.h"
#include "lake/lake.h"
#include "query/compact.h"
#include "search/search.h"
#include "storage/reserve.h"

/* Manifests, records and lists of keys beside what is asked for. */
#define LEFT_BYTES ((int64_t)768 << 10)
#define NAME_BYTES_SHOWN 100

static int64_t mb_of(int64_t bytes)
{
    return (bytes + (1 << 20) - 1) >> 20;
}

/* `what` is written anew, and has so many bytes now. */
static enum lh_code make_room(struct erase_run *run, int64_t bytes, struct lh_str what,
                              struct lh_error *err)
{
    struct lh_error found = LH_ERROR_NONE;
    int64_t needed = bytes + LEFT_BYTES, there = 0;
    enum lh_code code = storage_reserve_make_room(lake_storage(run->lake), needed, &there, &found);
    if (code != LH_FULL) {
        if (code && err)
            *err = found;
        return code;
    }
    run->is_short = true;
    lh_fail(err, LH_FULL,
            "Only %lld MB are free where the lake lies; to write %.*s anew without the erased rows "
            "needs about %lld MB.",
            (long long)(there >> 20), LH_ARG(what), (long long)mb_of(needed));
    return lh_error_hint(
        err,
        "The rows are hidden. Make room for %lld MB on the disk of the data folder, then POST "
        "/catalog/erase/%.*s/resume goes on.",
        (long long)mb_of(needed - there), LH_ARG(run->id));
}

static enum lh_code bytes_of_dataset(struct erase_run *run, struct lh_str name, int64_t *ret,
                                     struct lh_error *err)
{
    const struct query_compact_request request = {.dataset = name, .is_dry_run = true};
    struct query_compact_result result;
    enum lh_code code =
        query_compact(lake_compactor(run->lake), &request, run->cancel, run->arena, &result, err);
    if (code)
        return code;
    const struct query_compact_item *items = result.datasets.items;
    for (size_t i = 0; i < result.datasets.count; i++)
        *ret += items[i].bytes_read;
    return LH_OK;
}

enum lh_code erase_room_for_dataset(struct erase_run *run, struct lh_str name, struct lh_error *err)
{
    int64_t bytes = 0;
    enum lh_code code = bytes_of_dataset(run, name, &bytes, err);
    return code ? code
                : make_room(run, bytes,
                            lh_arena_printf(run->arena, "the files of '%.*s'",
                                            LH_ARG(lh_str_head(name, NAME_BYTES_SHOWN))),
                            err);
}

static enum lh_code bytes_of_folder(struct erase_run *run, struct lh_str folder, int64_t *ret,
                                    struct lh_error *err)
{
    struct storage_entry *entries = NULL;
    size_t count = 0;
    enum lh_code code = storage_list(lake_storage(run->lake), STORAGE_PRIMARY, folder, run->arena,
                                     &entries, &count, err);
    for (size_t i = 0; i < count && !code; i++)
        *ret += entries[i].bytes;
    return code;
}

/* Its parts, model and graph, wherever they go: they are staged here. Its words are always here. */
static enum lh_code bytes_of_index(struct erase_run *run, const struct search_index_info *index,
                                   int64_t *ret, struct lh_error *err)
{
    if (!lh_str_equal(index->bucket, STORAGE_PRIMARY))
        *ret += index->bytes + (index->graph ? index->graph->bytes : 0);
    return bytes_of_folder(run, lh_arena_printf(run->arena, "indexes/%.*s", LH_ARG(index->id)), ret,
                           err);
}

enum lh_code erase_room_for_index(struct erase_run *run, const struct search_index_info *index,
                                  struct lh_error *err)
{
    int64_t bytes = 0;
    enum lh_code code = bytes_of_index(run, index, &bytes, err);
    return code ? code
                : make_room(run, bytes,
                            lh_arena_printf(run->arena, "the index '%.*s'",
                                            LH_ARG(lh_str_head(index->name, NAME_BYTES_SHOWN))),
                            err);
}

static enum lh_code bytes_of_journal(struct erase_run *run, int64_t *ret, struct lh_error *err)
{
    static const struct lh_str folders[] = {LH_LIT(JOURNAL_FOLDER "/log"),
                                            LH_LIT(JOURNAL_FOLDER "/segments")};
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0] && !code; i++)
        code = bytes_of_folder(run, folders[i], ret, err);
    return code;
}

enum lh_code erase_room_for_journal(struct erase_run *run, struct lh_error *err)
{
    int64_t bytes = 0;
    enum lh_code code = bytes_of_journal(run, &bytes, err);
    return code ? code : make_room(run, bytes, lh_lit("the journal"), err);
}

/* Of the largest index: the old files of one go before the next is made. */
static enum lh_code bytes_of_indexes(struct erase_run *run, struct lh_str dataset_id, int64_t *most,
                                     struct lh_str *ret_name, struct lh_error *err)
{
    struct lh_str_list names = {0};
    enum lh_code code = LH_OK;
    search_dependents(lake_search(run->lake), dataset_id, run->arena, &names);
    for (size_t i = 0; i < names.count && !code; i++) {
        struct search_index_info info;
        struct lh_error gone = LH_ERROR_NONE;
        int64_t bytes = 0;
        if (search_get(lake_search(run->lake), names.items[i], run->arena, &info, &gone))
            continue;
        code = bytes_of_index(run, &info, &bytes, err);
        *ret_name = bytes > *most ? info.name : *ret_name;
        *most = bytes > *most ? bytes : *most;
    }
    return code;
}

/* Datasets are written beside their old files, then one index after the other beside its own; both
 * are gone when the journal is written. */
enum lh_code erase_room_for_all(struct erase_run *run, struct lh_error *err)
{
    int64_t files = 0, index = 0, journal = 0;
    size_t count = 0;
    struct lh_str dataset = {0}, largest = {0};
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < run->dataset_count && !code; i++) {
        struct lake_erased_dataset *one = &run->datasets[i];
        if (!erase_run_has_work(run, one))
            continue;
        code = bytes_of_dataset(run, one->dataset, &files, err);
        if (!code)
            code = bytes_of_indexes(run, one->dataset_id, &index, &largest, err);
        dataset = count++ ? dataset : one->dataset;
    }
    if (!code)
        code = bytes_of_journal(run, &journal, err);
    if (code || journal > files + index)
        return code ? code : make_room(run, journal, lh_lit("the journal"), err);
    return make_room(run, files + index,
                     lh_arena_printf(run->arena, "the files of '%.*s'%s%s%.*s%s",
                                     LH_ARG(lh_str_head(dataset, NAME_BYTES_SHOWN)),
                                     count > 1 ? " and of other datasets" : "",
                                     largest.len ? " and the index '" : "",
                                     LH_ARG(lh_str_head(largest, NAME_BYTES_SHOWN)),
                                     largest.len ? "'" : ""),
                     err);
}
