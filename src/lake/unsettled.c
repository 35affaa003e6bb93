/* What /health names though nothing is broken: datasets that are overdue, and erasures that ended
 * before everything was gone. */
#include "base/clock.h"
#include "catalog/catalog.h"
#include "lake/erasing_internal.h"
#include "lake/internal.h"
#include "lake/lake.h"
#include "search/watch.h"
#include "storage/storage.h"

#define REQUEST_END ".request.json"

static size_t find_overdue(const struct catalog_snapshot *snapshot, struct lh_arena *arena,
                           struct lake_problem *ret)
{
    size_t count = 0;
    int64_t now_ms = lh_clock_unix_ms();
    for (size_t i = 0; i < catalog_snapshot_count(snapshot); i++) {
        const struct catalog_dataset *dataset = catalog_snapshot_item(snapshot, i);
        if (!catalog_is_overdue(dataset, now_ms))
            continue;
        ret[count++] = (struct lake_problem){
            lh_lit("dataset"), lh_arena_str(arena, dataset->name),
            lh_arena_printf(arena,
                            "It is overdue: its data came %lld s ago, freshness.max_age_s "
                            "is %lld.",
                            (long long)((now_ms - dataset->updated_ms) / 1000),
                            (long long)dataset->freshness_max_age_s)};
    }
    return count;
}

static struct lh_str trouble_of(const struct lake_erasure *erasure)
{
    if (erasure->state == LAKE_ERASE_INCOMPLETE)
        return lh_lit("It is incomplete: what it looked for was found, or a place could not be "
                      "looked into. Its receipt says which; resume it when that is settled.");
    return erasure->ended_at.unix_ms
               ? lh_lit("All was done, but what it looked for is kept yet. Resume it, or give it "
                        "up: it stands as erased then.")
               : lh_lit("It failed: its rows are hidden, and lie in files yet. Resume it.");
}

/* Of those that keep what they look for: the others have ended. One that cannot be read is told
 * too, for nobody knows whether its rows are gone. */
static bool find_erasure(struct lake *lake, struct lh_str name, struct lh_arena *arena,
                         struct lake_problem *ret)
{
    struct lake_erasure erasure;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str id = lh_str_head(name, LH_UUID_TEXT_BYTES);
    if (!lh_str_ends_with(name, lh_lit(REQUEST_END)))
        return false;
    enum lh_code code = lake_erase_get(lake, id, arena, &erasure, &err);
    if (code == LH_NOT_FOUND) /* it ended meanwhile */
        return false;
    if (code)
        *ret = (struct lake_problem){
            lh_lit("erasure"), lh_arena_str(arena, id),
            lh_arena_printf(arena, "How it stands cannot be read: %s", err.message)};
    else if (erasure.state == LAKE_ERASE_FAILED || erasure.state == LAKE_ERASE_INCOMPLETE)
        *ret = (struct lake_problem){lh_lit("erasure"), erasure.erase_id, trouble_of(&erasure)};
    else
        return false;
    return true;
}

/* Indexes that find less than they promise. */
static size_t find_breaches(const struct search_watched *items, size_t count,
                            struct lh_arena *arena, struct lake_problem *ret)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (items[i].is_breached)
            ret[kept++] = (struct lake_problem){
                lh_lit("index"), items[i].index_name,
                lh_arena_printf(arena,
                                "Of its last %lld answers that were asked again it found %.4f of "
                                "the nearest; its min_recall is %.4f. It is tuned.",
                                (long long)items[i].answers, items[i].recall, items[i].min_recall)};
    return kept;
}

size_t lake_unsettled(struct lake *lake, struct lh_arena *arena, struct lake_problem **ret)
{
    struct storage_entry *entries = NULL;
    size_t entry_count = 0;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake_catalog(lake));
    if (storage_list(lake_storage(lake), STORAGE_PRIMARY, lh_lit(ERASE_FOLDER), arena, &entries,
                     &entry_count, NULL))
        entry_count = 0; /* then the bucket is told as broken */
    struct search_watched *watched = NULL;
    size_t watched_count = 0;
    search_watch_list(lake_search(lake), arena, &watched, &watched_count);
    *ret = lh_arena_array(arena, catalog_snapshot_count(snapshot) + entry_count + watched_count + 1,
                          sizeof **ret);
    size_t count = find_overdue(snapshot, arena, *ret);
    count += find_breaches(watched, watched_count, arena, *ret + count);
    for (size_t i = 0; i < entry_count; i++)
        count += find_erasure(lake, entries[i].name, arena, &(*ret)[count]);
    catalog_snapshot_unref(snapshot);
    return count;
}
