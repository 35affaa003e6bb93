/* Room for an erasure on a full disk. The reserve is for it, but only as much of it as is missing,
 * and none where even all of it would not do: then others still delete with it. */
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

enum lh_code erase_room_for_dataset(struct erase_run *run, struct lh_str name, struct lh_error *err)
{
    const struct query_compact_request request = {.dataset = name, .is_dry_run = true};
    struct query_compact_result result;
    int64_t bytes = 0;
    enum lh_code code =
        query_compact(lake_compactor(run->lake), &request, run->cancel, run->arena, &result, err);
    if (code)
        return code;
    const struct query_compact_item *items = result.datasets.items;
    for (size_t i = 0; i < result.datasets.count; i++)
        bytes += items[i].bytes_read;
    return make_room(run, bytes,
                     lh_arena_printf(run->arena, "the files of '%.*s'",
                                     LH_ARG(lh_str_head(name, NAME_BYTES_SHOWN))),
                     err);
}

enum lh_code erase_room_for_index(struct erase_run *run, const struct search_index_info *index,
                                  struct lh_error *err)
{
    return make_room(run, index->bytes,
                     lh_arena_printf(run->arena, "the index '%.*s'",
                                     LH_ARG(lh_str_head(index->name, NAME_BYTES_SHOWN))),
                     err);
}

enum lh_code erase_room_for_journal(struct erase_run *run, struct lh_error *err)
{
    static const struct lh_str folders[] = {LH_LIT(JOURNAL_FOLDER "/log"),
                                            LH_LIT(JOURNAL_FOLDER "/segments")};
    int64_t bytes = 0;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0] && !code; i++) {
        struct storage_entry *entries = NULL;
        size_t count = 0;
        code = storage_list(lake_storage(run->lake), STORAGE_PRIMARY, folders[i], run->arena,
                            &entries, &count, err);
        for (size_t k = 0; k < count && !code; k++)
            bytes += entries[k].bytes;
    }
    return code ? code : make_room(run, bytes, lh_lit("the journal"), err);
}
