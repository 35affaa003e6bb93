#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "catalog/internal.h"

/* --- old versions, a few of them kept in memory */

/* One that does not know of the newest move would be looked for where its files are no more. */
static struct dataset_state *recall(struct history *history, struct lh_str id, int64_t version,
                                    int64_t settled)
{
    struct dataset_state *found = NULL;
    pthread_mutex_lock(&history->mutex);
    for (size_t i = 0; i < HISTORY_KEPT && !found; i++) {
        struct dataset_state *state = history->items[i];
        if (state && state->view.version == version && state->view.moved_version == settled &&
            lh_str_equal(state->view.id, id)) {
            history->used_at[i] = ++history->clock;
            found = state_ref(state);
        }
    }
    pthread_mutex_unlock(&history->mutex);
    return found;
}

static void remember(struct history *history, struct dataset_state *state)
{
    pthread_mutex_lock(&history->mutex);
    size_t oldest = 0;
    for (size_t i = 1; i < HISTORY_KEPT; i++)
        if (history->used_at[i] < history->used_at[oldest])
            oldest = i;
    state_unref(history->items[oldest]);
    history->items[oldest] = state_ref(state);
    history->used_at[oldest] = ++history->clock;
    pthread_mutex_unlock(&history->mutex);
}

void history_forget(struct history *history, struct lh_str dataset_id, int64_t version)
{
    pthread_mutex_lock(&history->mutex);
    for (size_t i = 0; i < HISTORY_KEPT; i++) {
        struct dataset_state *state = history->items[i];
        if (!state || state->view.version >= version || !lh_str_equal(state->view.id, dataset_id))
            continue;
        history->items[i] = NULL;
        history->used_at[i] = 0;
        state_unref(state);
    }
    pthread_mutex_unlock(&history->mutex);
}

static enum lh_code fail_expired(const struct catalog_dataset *now, struct lh_error *err)
{
    lh_fail(err, LH_NOT_FOUND, "What dataset '%.*s' was then has expired.", LH_ARG(now->name));
    return lh_error_hint(err, "The oldest version that can be read is %lld.",
                         (long long)now->retained_version);
}

/* The dataset as it is now, with a reference; NULL: there is none, or it is damaged. */
static struct dataset_state *present(struct catalog *catalog, struct lh_str id)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    size_t place = snapshot_find_id(snapshot, id);
    struct dataset_state *now =
        place == SIZE_MAX || snapshot->items[place]->damage ? NULL : snapshot->items[place];
    if (now)
        state_ref(now);
    catalog_snapshot_unref(snapshot);
    return now;
}

/* The snapshot that a reader pinned may be older than the expiry, or than a move. */
static enum lh_code check_retained(struct catalog *catalog, struct lh_str id, int64_t version,
                                   int64_t settled, bool *ret_moved, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    struct dataset_state *now = present(catalog, id);
    if (now && version < now->view.retained_version)
        code = fail_expired(&now->view, err);
    *ret_moved = now && state_moved(&now->view) != settled;
    state_unref(now);
    return code;
}

/* *ret stays NULL if files of the dataset were moved meanwhile. */
static enum lh_code read_state(struct catalog *catalog, struct lh_str id, int64_t version,
                               struct dataset_state **ret, struct lh_error *err)
{
    struct chain_head head = {0};
    bool has_moved = false;
    struct dataset_state *now = present(catalog, id);
    *ret = recall(&catalog->history, id, version, now ? state_moved(&now->view) : 0);
    enum lh_code code = *ret ? LH_OK : chain_replay(catalog->storage, id, version, &head, err);
    if (!code && now && head.state)
        state_settle(head.state, &now->view);
    state_unref(now);
    if (code || *ret)
        return code;
    assert(head.state);
    live_add(catalog->live, head.state);
    code = check_retained(catalog, id, version, head.state->view.moved_version, &has_moved, err);
    if (code || has_moved) {
        state_unref(head.state);
        return code;
    }
    remember(&catalog->history, head.state);
    *ret = head.state;
    return LH_OK;
}

/* Listed first, then compared with what has expired and moved by now: whoever collects commits
 * first, then looks at the list, so one of the two sees the other. */
enum lh_code history_state_at(struct catalog *catalog, struct lh_str id, int64_t version,
                              struct dataset_state **ret, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    *ret = NULL;
    while (!code && !*ret)
        code = read_state(catalog, id, version, ret, err);
    return code;
}

/* --- when was what */

static bool is_after(const struct manifest *manifest, struct catalog_as_of as_of)
{
    if (as_of.when == CATALOG_AT_TIME)
        return manifest->time_ms > as_of.value;
    return as_of.value < 0 || manifest->sequence > (uint64_t)as_of.value;
}

/* The newest version of `item` that is not after `as_of`; 0 if it came later. Times and sequences
 * ascend with versions, so halving finds it. */
static enum lh_code version_at(struct catalog *catalog, const struct catalog_dataset *item,
                               struct catalog_as_of as_of, int64_t *ret, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0), *scratch = lh_arena_new(0);
    struct chain_file *files = NULL;
    size_t file_count = 0, count = 0;
    enum lh_code code = chain_list(catalog->storage, item->id, arena, &files, &file_count, err);
    for (size_t i = 0; !code && i < file_count; i++)
        if (!files[i].is_checkpoint && files[i].version <= item->version)
            files[count++] = files[i];
    size_t low = 0, high = count; /* below low: not after; from high on: after */
    while (!code && low < high) {
        struct manifest manifest;
        size_t middle = low + (high - low) / 2;
        lh_arena_clear(scratch);
        code = chain_read(catalog->storage, item->id, files[middle], scratch, &manifest, err);
        if (!code && is_after(&manifest, as_of))
            high = middle;
        else
            low = middle + 1;
    }
    if (!code)
        *ret = low ? files[low - 1].version : 0;
    lh_arena_free(scratch);
    lh_arena_free(arena);
    return code;
}

/* LH_OK with *ret NULL: at that time there was no live dataset of that name in this item. */
static enum lh_code item_at(struct catalog *catalog, const struct dataset_state *item,
                            struct lh_str name, struct catalog_as_of as_of,
                            struct dataset_state **ret, struct lh_error *err)
{
    int64_t version = 0;
    struct dataset_state *state = NULL;
    *ret = NULL;
    if (!item->damage && as_of.when == CATALOG_AT_TIME && item->view.created_ms > as_of.value)
        return LH_OK;
    enum lh_code code = version_at(catalog, &item->view, as_of, &version, err);
    if (!code && version && version < item->view.retained_version) {
        bool has_name = !item->view.is_deleted && lh_str_equal_nocase(item->view.name, name);
        return has_name ? fail_expired(&item->view, err) : LH_OK;
    }
    if (!code && version)
        code = history_state_at(catalog, item->view.id, version, &state, err);
    if (code || !state)
        return code;
    if (state->view.is_deleted || !lh_str_equal_nocase(state->view.name, name))
        state_unref(state);
    else
        *ret = state;
    return LH_OK;
}

static void hint_made(const struct catalog_dataset *view, struct lh_error *err)
{
    char made[LH_TIME_TEXT_BYTES + 1];
    lh_time_format(view->created_ms, made);
    lh_error_hint(err, "The one that has this name now was made at %s.", made);
}

static enum lh_code find_then(struct catalog *catalog, const struct catalog_snapshot *snapshot,
                              struct lh_str name, struct catalog_as_of as_of,
                              struct dataset_state **ret, struct lh_error *err)
{
    size_t place = snapshot_find_name(snapshot, name);
    enum lh_code code = LH_OK;
    *ret = NULL;
    if (place != SIZE_MAX)
        code = item_at(catalog, snapshot->items[place], name, as_of, ret, err);
    /* Nobody who has the name today: perhaps one that was renamed or dropped since. */
    for (size_t i = 0; !code && !*ret && i < snapshot->item_count; i++)
        if (i != place)
            code = item_at(catalog, snapshot->items[i], name, as_of, ret, err);
    if (!code && !*ret) {
        lh_fail(err, LH_NOT_FOUND, "There was no dataset '%.*s' at that time.",
                LH_ARG(lh_str_head(name, 100)));
        code = LH_NOT_FOUND;
        if (place != SIZE_MAX && !snapshot->items[place]->damage)
            hint_made(&snapshot->items[place]->view, err);
    }
    return code;
}

static enum lh_code find_version(struct catalog *catalog, const struct catalog_snapshot *snapshot,
                                 struct lh_str name, int64_t version, struct dataset_state **ret,
                                 struct lh_error *err)
{
    size_t place = snapshot_find_name(snapshot, name);
    if (place == SIZE_MAX)
        return snapshot_fail_not_found(snapshot, name, err);
    struct dataset_state *item = snapshot->items[place];
    if (!item->damage && version == item->view.version) {
        *ret = state_ref(item);
        return LH_OK;
    }
    enum lh_code code = LH_NOT_FOUND;
    bool has_moved = false;
    if (version >= 1 && check_retained(catalog, item->view.id, version, 0, &has_moved, err))
        return LH_NOT_FOUND;
    if (version >= 1 && version <= item->view.version)
        code = history_state_at(catalog, item->view.id, version, ret, err);
    if (code == LH_NOT_FOUND) {
        lh_fail(err, LH_NOT_FOUND, "Dataset '%.*s' has no version %lld.", LH_ARG(item->view.name),
                (long long)version);
        lh_error_hint(err, "Its newest version is %lld.", (long long)item->view.version);
    }
    return code;
}

/* What was committed may be ahead of a clock that was set back. */
static enum lh_code check_past(const struct catalog_snapshot *snapshot, int64_t time_ms,
                               struct lh_error *err)
{
    char asked[LH_TIME_TEXT_BYTES + 1], now[LH_TIME_TEXT_BYTES + 1];
    int64_t now_ms = lh_clock_unix_ms();
    if (time_ms <= now_ms || time_ms <= snapshot->time_ms)
        return LH_OK;
    lh_time_format(time_ms, asked);
    lh_time_format(now_ms, now);
    lh_fail(err, LH_INVALID, "The time %s is in the future: nobody knows yet what will be then.",
            asked);
    return lh_error_hint(err, "The server's clock says %s. Leave the time out to read the present.",
                         now);
}

enum lh_code catalog_find_at(struct catalog *catalog, const struct catalog_snapshot *snapshot,
                             struct lh_str name, struct catalog_as_of as_of,
                             const struct catalog_dataset **ret, struct lh_error *err)
{
    struct dataset_state *state = NULL;
    enum lh_code code = LH_OK;
    if (as_of.when == CATALOG_AT_TIME)
        code = check_past(snapshot, as_of.value, err);
    if (code)
        return code;
    /* At or after the snapshot's last commit: what the snapshot shows. Anything earlier is settled,
     * for later commits never have earlier times. */
    bool is_now = as_of.when == CATALOG_NOW ||
                  (as_of.when == CATALOG_AT_TIME && as_of.value >= snapshot->time_ms) ||
                  (as_of.when == CATALOG_AT_SEQUENCE && as_of.value >= 0 &&
                   (uint64_t)as_of.value >= snapshot->sequence);
    if (is_now) {
        const struct catalog_dataset *found = NULL;
        code = catalog_find(snapshot, name, &found, err);
        if (!code)
            *ret = catalog_dataset_ref(found);
        return code;
    }
    if (as_of.when == CATALOG_AT_VERSION)
        code = find_version(catalog, snapshot, name, as_of.value, &state, err);
    else
        code = find_then(catalog, snapshot, name, as_of, &state, err);
    if (!code)
        *ret = &state->view;
    return code;
}

/* --- who did what */

#define DETAIL_BYTES_MAX ((size_t)1 << 20)

struct lh_str catalog_event_actor(struct lh_str detail, struct lh_arena *arena)
{
    struct lh_str actor = {0};
    json_t *json = NULL;
    size_t at;
    if (!lh_str_find(detail, lh_lit("\"actor\""), &at) ||
        lh_json_parse(detail, "The detail", DETAIL_BYTES_MAX, &json, NULL))
        return actor;
    struct lh_str text = lh_json_text(json_object_get(json, "actor"));
    if (text.len)
        actor = lh_arena_str(arena, text);
    json_decref(json);
    return actor;
}

static void fill_version(const struct manifest *manifest, struct lh_str name,
                         struct lh_arena *arena, struct catalog_version *ret)
{
    *ret = (struct catalog_version){
        .dataset_id = manifest->dataset_id,
        .name = lh_arena_str(arena, name),
        .version = manifest->version,
        .sequence = manifest->sequence,
        .epoch = manifest->epoch,
        .time_ms = manifest->time_ms,
        .row_count = manifest->row_count,
        .object_count = manifest->object_count,
        .byte_count = manifest->byte_count,
        .set_bits = manifest->set_bits,
        .commits = manifest->commits,
        .commit_count = manifest->commit_count,
    };
}

/* The version that `version` was made from, or the newest below it that is there. */
static enum lh_code version_below(struct catalog *catalog, struct lh_str id, int64_t version,
                                  struct lh_arena *arena, int64_t *ret, struct lh_error *err)
{
    struct manifest manifest;
    struct chain_file file = {version, false};
    enum lh_code code = chain_read(catalog->storage, id, file, arena, &manifest, err);
    if (!code)
        *ret = manifest.parent.version;
    if (code != LH_NOT_FOUND)
        return code;
    struct chain_file *files = NULL;
    size_t count = 0;
    code = chain_list(catalog->storage, id, arena, &files, &count, err);
    *ret = 0;
    for (size_t i = 0; !code && i < count; i++)
        if (!files[i].is_checkpoint && files[i].version < version)
            *ret = files[i].version;
    return code;
}

enum lh_code catalog_versions(struct catalog *catalog, const struct catalog_dataset *dataset,
                              int64_t before, size_t limit, struct lh_arena *arena,
                              struct catalog_version **ret, size_t *ret_count, struct lh_error *err)
{
    size_t count = 0, most = limit;
    int64_t version = dataset->version;
    enum lh_code code = LH_OK;
    if (before > 0 && before <= dataset->version)
        code = version_below(catalog, dataset->id, before, arena, &version, err);
    if (most > (size_t)version)
        most = (size_t)version;
    struct catalog_version *list = lh_arena_array(arena, most + 1, sizeof *list);
    while (!code && version && version >= dataset->retained_version && count < most) {
        struct manifest manifest;
        struct chain_file file = {version, false};
        code = chain_read(catalog->storage, dataset->id, file, arena, &manifest, err);
        if (code)
            break;
        fill_version(&manifest, dataset->name, arena, &list[count++]);
        version = manifest.parent.version;
    }
    if (code == LH_NOT_FOUND && count) /* what is below was retired */
        code = LH_OK;
    if (!code) {
        *ret = list;
        *ret_count = count;
    }
    return code;
}

struct change_place {
    const struct catalog_dataset *dataset;
    int64_t version;
    uint64_t sequence;
};
struct change_list {
    struct change_place *items;
    size_t count, capacity;
};

static int compare_places(const void *a, const void *b)
{
    const struct change_place *x = a, *y = b;
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

static void add_place(struct change_list *list, struct change_place place)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        struct change_place *items = lh_allocate(capacity, sizeof *items);
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        free(list->items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = place;
}

static enum lh_code collect(struct catalog *catalog, const struct catalog_dataset *dataset,
                            uint64_t sequence, struct lh_arena *scratch, struct change_list *list,
                            struct lh_error *err)
{
    int64_t version = dataset->sequence > sequence ? dataset->version : 0;
    while (version) { /* expired ones too, as long as they are there */
        struct manifest manifest;
        struct chain_file file = {version, false};
        lh_arena_clear(scratch);
        enum lh_code code =
            chain_read(catalog->storage, dataset->id, file, scratch, &manifest, err);
        if (code == LH_NOT_FOUND)
            return LH_OK;
        if (code == LH_DAMAGED) { /* it keeps nobody from following the others */
            catalog_add_problem(catalog, dataset->id, dataset->name,
                                lh_lit("A manifest of its past is damaged; its changes before that "
                                       "cannot be told."));
            return LH_OK;
        }
        if (code || manifest.sequence <= sequence)
            return code;
        add_place(list, (struct change_place){dataset, version, manifest.sequence});
        version = manifest.parent.version;
    }
    return LH_OK;
}

void catalog_set_drained(struct catalog *catalog, uint64_t sequence)
{
    atomic_store(&catalog->drained, sequence);
}

enum lh_code catalog_changes(struct catalog *catalog, uint64_t sequence, size_t limit,
                             struct lh_arena *arena, struct catalog_version **ret,
                             size_t *ret_count, struct lh_error *err)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    struct lh_arena *scratch = lh_arena_new(0);
    struct change_list list = {0};
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < snapshot->item_count && !code; i++)
        if (!snapshot->items[i]->damage)
            code = collect(catalog, &snapshot->items[i]->view, sequence, scratch, &list, err);
    if (list.count)
        qsort(list.items, list.count, sizeof *list.items, compare_places);
    size_t count = list.count < limit ? list.count : limit;
    struct catalog_version *versions = lh_arena_array(arena, count + 1, sizeof *versions);
    for (size_t i = 0; i < count && !code; i++) {
        const struct change_place *place = &list.items[i];
        struct manifest manifest;
        struct chain_file file = {place->version, false};
        code = chain_read(catalog->storage, place->dataset->id, file, arena, &manifest, err);
        if (!code)
            fill_version(&manifest, place->dataset->name, arena, &versions[i]);
    }
    if (!code) {
        *ret = versions;
        *ret_count = count;
    }
    free(list.items);
    lh_arena_free(scratch);
    catalog_snapshot_unref(snapshot);
    return code;
}
