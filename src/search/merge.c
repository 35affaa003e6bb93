/* Parts become fewer again, as part of the refresh that adds one.
 *
 *   sizes   300  6  3 │+3       the last ones that are less than twice what comes after them
 *   merged  300  12   │         become one part with it: what is gone from them is left out
 *
 * Afterwards each part is at least twice as large as all after it together: an index has as many
 * parts as its size has binary digits, an entry is written again as often at most, and less than
 * half of any part is superseded, because what supersedes it stands in a later one. Only parts
 * below a limit take part in that, so that no refresh takes minutes; a large one is written again
 * by itself once most of it stands for nothing. One of which nothing stands just goes.
 *
 * What is merged is a part like any other. It stands where the last of those stood that it
 * replaces, so the log says the same; removals stay in it until nothing stands before them that
 * they could hide. */
#include "search/building.h"

#include <assert.h>
#include <stdlib.h>

#define MERGED_ENTRIES_MAX 32768
#define MERGED_BYTES_MAX ((int64_t)96 << 20)
#define TEXT_BYTES_MAX ((size_t)128 << 20)
#define WASTE_ENTRIES_MIN 4096

/* --- what is kept */

static bool is_kept(const struct view *view, size_t part, size_t at, bool is_first)
{
    size_t ordinal = view->bases[part] + at;
    if (view->parts[part]->chunks[at] != ENTRY_REMOVED)
        return !bit_is_set(view->dead, ordinal);
    return !is_first && view_is_last(view, ordinal);
}

static size_t count_kept(const struct view *view, size_t part)
{
    size_t kept = 0;
    for (size_t at = 0; at < view->parts[part]->count; at++)
        kept += is_kept(view, part, at, part == 0);
    return kept;
}

/* --- which parts */

struct range {
    size_t from, to; /* of the view's parts; empty: none */
};

/* A part in memory; that of the refresh itself, the last one, is there already. */
static int64_t bytes_of(const struct merging *merging, const struct view *view, size_t part)
{
    const struct index_manifest *manifest = merging->manifest;
    if (part >= manifest->parts.count)
        return (int64_t)(view->parts[part]->text_bytes +
                         view->parts[part]->count * view->parts[part]->dimensions * sizeof(float));
    return part_bytes_expected(manifest, &index_parts(manifest)[part]);
}

/* Large parts of which most stands for nothing: the one with the most of that. */
static bool find_waste(const struct view *view, const size_t *kept, struct range *ret)
{
    size_t most = WASTE_ENTRIES_MIN - 1;
    for (size_t i = 0; i < view->manifest->parts.count; i++) {
        size_t waste = view->parts[i]->count - kept[i];
        if (waste > most && waste > kept[i] && kept[i] > 0) {
            most = waste;
            *ret = (struct range){i, i + 1};
        }
    }
    return ret->to > 0;
}

static struct range choose(const struct merging *merging, const struct view *view,
                           const size_t *kept)
{
    struct range range = {0, 0};
    if (!view->part_count || find_waste(view, kept, &range))
        return range;
    size_t from = view->part_count - 1, total = kept[from];
    int64_t bytes = bytes_of(merging, view, from);
    while (from > 0 && kept[from - 1] < 2 * total) {
        bytes += bytes_of(merging, view, from - 1);
        if (total + kept[from - 1] > MERGED_ENTRIES_MAX || bytes > MERGED_BYTES_MAX)
            break;
        total += kept[--from];
    }
    if (from + 1 < view->part_count)
        range = (struct range){from, view->part_count};
    return range;
}

/* --- the merged part */

static enum lh_code add_kept(struct entries *merged, const struct view *view, size_t part,
                             const struct entries *from, bool is_first, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    size_t dimensions = merged->dimensions;
    for (size_t at = 0; at < from->count && !code; at++) {
        if (!is_kept(view, part, at, is_first))
            continue;
        const struct entry entry = {.id = from->ids[at],
                                    .text = from->texts_of[at],
                                    .chunk = from->chunks[at],
                                    .start = from->starts[at],
                                    .hash = from->hashes[at]};
        code = entries_add(merged, &entry, err);
        if (code || from->is_blank[at])
            continue;
        memcpy(merged->vectors + (merged->count - 1) * dimensions, from->vectors + at * dimensions,
               dimensions * sizeof(float));
        merged->is_blank[merged->count - 1] = false;
    }
    return code;
}

static enum lh_code gather(const struct merging *merging, const struct view *view,
                           const struct range *range, const size_t *kept, struct entries *merged,
                           struct lh_error *err)
{
    size_t total = 0;
    for (size_t i = range->from; i < range->to; i++)
        total += kept[i];
    enum lh_code code = entries_reserve(merged, total, err);
    for (size_t i = range->from; i < range->to && !code; i++) {
        struct entries *from = NULL;
        if (!kept[i])
            continue;
        if (i >= merging->manifest->parts.count)
            from = entries_ref(merging->fresh);
        else
            code = part_read(merging->search, merging->manifest, &index_parts(merging->manifest)[i],
                             true, merging->cancel, &from, err);
        if (!code)
            code = add_kept(merged, view, i, from, range->from == 0, err);
        entries_unref(from);
        if (!code && merged->text_bytes > TEXT_BYTES_MAX)
            code = lh_fail(err, LH_TOO_LARGE, "The texts of the parts are too long for one.");
        if (!code)
            code = lh_cancel_fail(merging->cancel, "The index", err);
    }
    return code;
}

/* The manifest's parts, but that those of the range are one, and those of which nothing is kept are
 * none. */
static void replace(struct merging *merging, const struct range *range, const size_t *kept,
                    const struct index_part *merged)
{
    struct index_manifest *manifest = merging->manifest;
    size_t count = manifest->parts.count, gone = 0;
    const struct index_part *parts = index_parts(manifest);
    struct index_part *replaced = lh_arena_array(merging->arena, count + 1, sizeof *replaced);
    for (size_t i = count; i-- > 0;) {
        bool is_in = i >= range->from && i < range->to;
        if (!is_in && kept[i])
            continue;
        replaced[gone] = parts[i];
        replaced[gone++].key = lh_arena_str(merging->arena, parts[i].key);
        index_manifest_replace_parts(manifest, i, i + 1, i == range->from ? merged : NULL);
        parts = index_parts(manifest);
    }
    merging->replaced = (struct lh_list){replaced, gone};
}

static enum lh_code merge(struct merging *merging, const struct view *view,
                          const struct range *range, const size_t *kept, struct entries *merged,
                          struct index_part *ret_part, struct lh_error *err)
{
    enum lh_code code = gather(merging, view, range, kept, merged, err);
    if (!code && merged->count)
        code = part_write(merging->search, merging->manifest, merged, merging->cancel,
                          merging->arena, ret_part, err);
    return code;
}

enum lh_code merge_parts(struct merging *merging, const struct view *known, struct lh_error *err)
{
    struct index_manifest *manifest = merging->manifest;
    size_t dimensions = (size_t)manifest->dimensions;
    struct view *view = NULL;
    struct entries *merged = entries_new(dimensions, true);
    struct index_part part;
    struct range range = {0, 0};
    size_t *kept = NULL;
    assert(!merging->fresh || merging->fresh->dimensions == dimensions);
    enum lh_code code = view_load_with(merging->search, manifest, known, merging->fresh,
                                       merging->cancel, &view, err);
    if (!code) {
        kept = lh_arena_array(merging->arena, view->part_count + 1, sizeof *kept);
        for (size_t i = 0; i < view->part_count; i++)
            kept[i] = count_kept(view, i);
        range = choose(merging, view, kept);
        if (range.to)
            code = merge(merging, view, &range, kept, merged, &part, err);
    }
    view_unref(view); /* reads the manifest */
    if (!code) {
        merging->took_fresh = range.to > manifest->parts.count;
        replace(merging, &range, kept, merged->count ? &part : NULL);
    }
    entries_unref(merged);
    return code;
}
