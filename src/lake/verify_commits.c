#include <stdlib.h>

#include "base/uuid.h"
#include "catalog/catalog.h"
#include "journal/journal.h"
#include "lake/internal.h"
#include "storage/findings.h"

struct entry {
    char uuid[LH_UUID_TEXT_BYTES + 1];
    uint64_t sequence; /* of the lake: of the commit, or that the event says */
    uint64_t record;   /* of the journal; 0: this is a commit */
    int64_t version;
    const char *dataset_id;
};

struct commit_list {
    struct lh_arena *arena;
    struct entry *items;
    size_t count, capacity;
    uint64_t drained; /* the highest lake sequence in the journal */
};

struct commit_list *commit_list_new(struct lh_arena *arena)
{
    struct commit_list *list = lh_arena_alloc(arena, sizeof *list);
    list->arena = arena;
    return list;
}

static void add(struct commit_list *list, struct lh_str uuid, struct entry entry)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 1024;
        struct entry *items = lh_arena_array(list->arena, capacity, sizeof *items);
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    if (uuid.len != LH_UUID_TEXT_BYTES)
        return;
    memcpy(entry.uuid, uuid.data, LH_UUID_TEXT_BYTES);
    list->items[list->count++] = entry;
}

void commit_list_add(struct commit_list *list, const struct catalog_version *version)
{
    const struct entry entry = {.sequence = version->sequence,
                                .version = version->version,
                                .dataset_id = lh_arena_cstr(list->arena, version->dataset_id)};
    for (size_t i = 0; i < version->commit_count; i++)
        add(list, version->commits[i].uuid, entry);
}

void commit_list_visit(void *context, uint64_t sequence, const struct journal_event *event)
{
    struct commit_list *list = context;
    if (!event->lake_sequence)
        return;
    if (event->lake_sequence > list->drained)
        list->drained = event->lake_sequence;
    if (!event->request.data) /* what names a commit came with it */
        add(list, event->id,
            (struct entry){.sequence = event->lake_sequence,
                           .record = sequence,
                           .version = event->version,
                           .dataset_id = lh_arena_cstr(list->arena, event->dataset_id)});
}

/* Commits before their events. */
static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->uuid, y->uuid);
    if (order)
        return order;
    return x->record < y->record ? -1 : x->record > y->record;
}

struct lowest {
    const char *dataset_id;
    int64_t version;
};

static int compare_lowest(const void *a, const void *b)
{
    const struct lowest *x = a, *y = b;
    int order = strcmp(x->dataset_id, y->dataset_id);
    if (order)
        return order;
    return x->version < y->version ? -1 : x->version > y->version;
}

/* The lowest version of each dataset whose manifest is there: what is below it was retired. */
static size_t find_lowest(const struct commit_list *list, struct lowest *ret)
{
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < list->count; i++)
        if (!list->items[i].record)
            ret[count++] = (struct lowest){list->items[i].dataset_id, list->items[i].version};
    if (count)
        qsort(ret, count, sizeof *ret, compare_lowest);
    for (size_t i = 0; i < count; i++)
        if (!kept || strcmp(ret[kept - 1].dataset_id, ret[i].dataset_id) != 0)
            ret[kept++] = ret[i];
    return kept;
}

/* An event whose commit should be there. */
static bool is_kept(const struct entry *event, const struct lowest *lowest, size_t count)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(lowest[middle].dataset_id, event->dataset_id);
        if (!order)
            return event->version >= lowest[middle].version;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static void check_one(const struct commit_list *list, const struct entry *items, size_t count,
                      const struct lowest *lowest, size_t lowest_count,
                      struct storage_findings *findings)
{
    const struct entry *last = &items[count - 1];
    size_t events = 0;
    for (size_t i = 0; i < count; i++)
        events += items[i].record != 0;
    struct lh_str id = lh_str_of(last->dataset_id);
    if (events > 1)
        storage_find(findings, true, lh_lit(JOURNAL_FOLDER),
                     "Commit %s of dataset %.*s stands %zu times in the journal.", last->uuid,
                     LH_ARG(id), events);
    if (!events && last->sequence <= list->drained)
        storage_find(findings, true, lh_lit(JOURNAL_FOLDER),
                     "Commit %s, version %lld of dataset %.*s, is not in the journal.", last->uuid,
                     (long long)last->version, LH_ARG(id));
    if (events == count && is_kept(last, lowest, lowest_count))
        storage_find(findings, true, lh_lit(JOURNAL_FOLDER),
                     "Record %llu of the journal tells of a commit of dataset %.*s that is not "
                     "there.",
                     (unsigned long long)last->record, LH_ARG(id));
}

void commit_list_compare(struct commit_list *list, struct storage_findings *findings)
{
    if (!list->count)
        return;
    struct lowest *lowest = lh_arena_array(list->arena, list->count, sizeof *lowest);
    size_t lowest_count = find_lowest(list, lowest);
    qsort(list->items, list->count, sizeof *list->items, compare);
    for (size_t i = 0, from = 0; i < list->count; i++) {
        bool is_end =
            i + 1 == list->count || strcmp(list->items[i].uuid, list->items[i + 1].uuid) != 0;
        if (is_end) {
            check_one(list, &list->items[from], i + 1 - from, lowest, lowest_count, findings);
            from = i + 1;
        }
    }
}
