#include "catalog/retention.h"

#include <stdlib.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "catalog/erase.h"
#include "catalog/file_set.h"
#include "catalog/tombstone_internal.h"
#include "storage/buckets.h"

/* --- one dataset on disk */

struct keeping {
    struct catalog *catalog;
    const struct catalog_dataset *now;
    struct lh_str id;
    struct lh_arena *arena;
    struct chain_file *files;
    size_t file_count;
    struct file_set *places; /* filled while manifests are read, unless NULL: buckets (their key is
                                "") that moves led from or to */
};

static enum lh_code look(struct catalog *catalog, const struct catalog_dataset *now,
                         struct lh_arena *arena, struct keeping *ret, struct lh_error *err)
{
    *ret = (struct keeping){.catalog = catalog, .now = now, .id = now->id, .arena = arena};
    return chain_list(catalog->storage, now->id, arena, &ret->files, &ret->file_count, err);
}

static void add_places(const struct keeping *keeping, const struct catalog_moved *moves,
                       size_t count)
{
    for (size_t i = 0; i < count && keeping->places; i++) {
        file_set_add(keeping->places, moves[i].from, lh_lit(""), 0);
        file_set_add(keeping->places, moves[i].to, lh_lit(""), 0);
    }
}

static enum lh_code add_version(const struct keeping *keeping, int64_t version,
                                struct file_set *set, struct lh_error *err)
{
    struct chain_head head = {0};
    enum lh_code code = chain_replay(keeping->catalog->storage, keeping->id, version, &head, err);
    if (!code) {
        state_settle(head.state, keeping->now);
        file_set_add_view(set, &head.state->view);
        add_places(keeping, head.state->view.moves, head.state->view.move_count);
    }
    state_unref(head.state);
    return code;
}

/* Everything that the files of versions from `low` to `high` say was added; with checkpoints also
 * what was there before the lowest file. */
static enum lh_code add_between(const struct keeping *keeping, int64_t low, int64_t high,
                                bool with_checkpoints, struct file_set *set, struct lh_error *err)
{
    struct lh_arena *scratch = lh_arena_new(0);
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < keeping->file_count && !code; i++) {
        struct chain_file file = keeping->files[i];
        struct manifest manifest;
        if (file.version < low || file.version > high || (file.is_checkpoint && !with_checkpoints))
            continue;
        lh_arena_clear(scratch);
        code = chain_read(keeping->catalog->storage, keeping->id, file, scratch, &manifest, err);
        if (!code) {
            file_set_add_manifest(set, &manifest, keeping->now);
            add_places(keeping, manifest.moves, manifest.move_count);
        }
    }
    lh_arena_free(scratch);
    return code;
}

/* What version `retained` and all later ones name: it must stay. */
static enum lh_code add_retained(const struct keeping *keeping, int64_t retained,
                                 struct file_set *set, struct lh_error *err)
{
    enum lh_code code = add_version(keeping, retained, set, err);
    if (!code)
        code = add_between(keeping, retained + 1, INT64_MAX, false, set, err);
    return code;
}

static enum lh_code read_change(const struct keeping *keeping, int64_t version,
                                struct manifest *ret, struct lh_error *err)
{
    struct chain_file file = {version, false};
    return chain_read(keeping->catalog->storage, keeping->id, file, keeping->arena, ret, err);
}

/* Manifests below *ret are needed by nobody once `retained` is the oldest version: two checkpoints
 * stay in front of it, for the case that one is damaged, and what is young enough to be asked for
 * by a repeated request. 0: all are needed. */
static enum lh_code find_floor(const struct keeping *keeping, int64_t retained, int64_t *ret,
                               struct lh_error *err)
{
    struct manifest manifest;
    struct fulfilled *fulfilled = &keeping->catalog->fulfilled;
    int64_t floor = retained, below = 0;
    *ret = 0;
    for (int i = 0; i < 2 && floor; i++) {
        enum lh_code code = read_change(keeping, floor, &manifest, err);
        if (code)
            return code == LH_NOT_FOUND ? LH_OK : code;
        floor = manifest.checkpoint.version;
    }
    for (size_t i = 0; i < keeping->file_count; i++)
        if (!keeping->files[i].is_checkpoint && keeping->files[i].version < floor)
            below = keeping->files[i].version;
    if (!below)
        return LH_OK;
    enum lh_code code = read_change(keeping, below, &manifest, err);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(keeping->catalog);
    if (!code && manifest.time_ms < snapshot->time_ms - fulfilled->keep_ms)
        *ret = floor;
    catalog_snapshot_unref(snapshot);
    return code;
}

/* --- what would expire */

struct plan {
    int64_t retain_from; /* 0: nothing is gained */
    int64_t version_count;
    struct file_set freed;
};

/* The newest version that had been made by `cutoff_ms`: it was the present then, so it stays. */
static enum lh_code find_oldest(const struct keeping *keeping, const struct catalog_dataset *view,
                                int64_t cutoff_ms, int64_t *ret, struct lh_error *err)
{
    int64_t oldest = view->retained_version ? view->retained_version : 1;
    int64_t version = view->version;
    *ret = oldest;
    while (version > oldest) {
        struct manifest manifest;
        enum lh_code code = read_change(keeping, version, &manifest, err);
        if (code)
            return code;
        if (manifest.time_ms <= cutoff_ms) {
            *ret = version;
            return LH_OK;
        }
        version = manifest.parent.version;
    }
    return LH_OK;
}

static size_t count_versions(const struct keeping *keeping, int64_t low, int64_t high)
{
    size_t count = 0;
    for (size_t i = 0; i < keeping->file_count; i++)
        count += !keeping->files[i].is_checkpoint && keeping->files[i].version >= low &&
                 keeping->files[i].version < high;
    return count;
}

static enum lh_code plan_dataset(const struct keeping *keeping, const struct catalog_dataset *view,
                                 int64_t cutoff_ms, struct plan *plan, struct lh_error *err)
{
    int64_t oldest = view->retained_version ? view->retained_version : 1;
    int64_t retain_from = 0, floor = 0;
    struct file_set kept = {.arena = keeping->arena};
    enum lh_code code = LH_OK;
    *plan = (struct plan){.freed = {.arena = keeping->arena}};
    if (view->is_deleted)
        retain_from = view->updated_ms <= cutoff_ms ? view->version + 1 : oldest;
    else
        code = find_oldest(keeping, view, cutoff_ms, &retain_from, err);
    if (code || retain_from <= oldest || (view->is_deleted && oldest == view->version))
        return code;
    code = add_version(keeping, oldest, &plan->freed, err);
    if (!code)
        code = add_between(keeping, oldest + 1, retain_from - 1, false, &plan->freed, err);
    if (!code && !view->is_deleted)
        code = add_retained(keeping, retain_from, &kept, err);
    if (!code && !view->is_deleted)
        code = find_floor(keeping, retain_from, &floor, err);
    file_set_sort(&plan->freed);
    file_set_sort(&kept);
    file_set_subtract(&plan->freed, &kept);
    if (!code && (plan->freed.count || count_versions(keeping, 0, floor) || view->is_deleted)) {
        plan->retain_from = retain_from;
        plan->version_count = (int64_t)count_versions(keeping, oldest, retain_from);
    }
    return code;
}

/* --- collecting */

static enum lh_code trash_files(struct catalog *catalog, const struct file_set *set,
                                size_t *ret_moved, struct lh_error *err)
{
    struct lh_str *keys = lh_allocate(set->count + 1, sizeof *keys);
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < set->count && !code;) {
        struct lh_str bucket = set->items[i].bucket;
        size_t count = 0;
        for (; i < set->count && lh_str_equal(set->items[i].bucket, bucket); i++) {
            struct storage_info info;
            const struct catalog_object gone = {.bucket = bucket, .key = set->items[i].key};
            catalog_tell_file(catalog, &gone, NULL);
            if (!storage_info(catalog->storage, bucket, set->items[i].key, &info, NULL))
                keys[count++] = set->items[i].key;
        }
        if (count)
            code = storage_trash(catalog->storage, bucket, keys, count, err);
        for (size_t at = 0; at < count && !code; at++)
            trust_forget(&catalog->trust, bucket, keys[at]);
        *ret_moved += code ? 0 : count;
    }
    free(keys);
    return code;
}

/* True if whoever drains the commits has those of all versions below `floor`. */
static bool is_drained(const struct keeping *keeping, int64_t floor)
{
    struct manifest manifest;
    uint64_t drained = atomic_load(&keeping->catalog->drained);
    for (size_t i = keeping->file_count; i > 0 && drained != UINT64_MAX; i--)
        if (!keeping->files[i - 1].is_checkpoint && keeping->files[i - 1].version < floor)
            return !chain_read(keeping->catalog->storage, keeping->id, keeping->files[i - 1],
                               keeping->arena, &manifest, NULL) &&
                   manifest.sequence <= drained;
    return true;
}

/* Those of the versions below `floor`; *ret_all becomes false if they must stay for now. */
static enum lh_code trash_manifests(const struct keeping *keeping, int64_t floor, bool *ret_all,
                                    size_t *ret_moved, struct lh_error *err)
{
    struct file_set set = {.arena = keeping->arena};
    *ret_all = is_drained(keeping, floor);
    for (size_t i = 0; i < keeping->file_count && *ret_all; i++)
        if (keeping->files[i].version < floor)
            file_set_add(&set, STORAGE_PRIMARY,
                         manifest_key(keeping->id, keeping->files[i].version,
                                      keeping->files[i].is_checkpoint, keeping->arena),
                         0);
    file_set_sort(&set);
    return trash_files(keeping->catalog, &set, ret_moved, err);
}

static enum lh_code retire_manifests(const struct keeping *keeping, int64_t retained, bool *ret_all,
                                     size_t *ret_moved, struct lh_error *err)
{
    int64_t floor = 0;
    enum lh_code code = find_floor(keeping, retained, &floor, err);
    return code ? code : trash_manifests(keeping, floor, ret_all, ret_moved, err);
}

/* Copies that a move which runs has made: nothing names them yet. */
static bool is_being_made(const struct catalog *catalog, struct lh_str id, struct lh_str bucket)
{
    for (const struct moving *at = catalog->retention.moving; at; at = at->next)
        if (lh_str_equal(at->dataset_id, id) && lh_str_equal(at->to, bucket))
            return true;
    return false;
}

/* What is kept, and what goes, may also lie wherever the dataset ever was: a copy that was left
 * when it moved on, or that was made by a move which came to nothing. */
static void spread(const struct file_set *places, const struct file_set *kept,
                   struct file_set *gone)
{
    size_t own = gone->count;
    for (size_t k = 0; k < places->count; k++) {
        for (size_t i = 0; i < own; i++)
            file_set_add(gone, places->items[k].bucket, gone->items[i].key, gone->items[i].bytes);
        for (size_t i = 0; i < kept->count; i++)
            file_set_add(gone, places->items[k].bucket, kept->items[i].key, kept->items[i].bytes);
    }
}

struct collection {
    struct file_set gone, kept, held, places;
    struct keeping keeping;
    int64_t retained;
};

/* What no version that is left names, as far as it may lie anywhere. */
static enum lh_code find_gone(struct collection *found, struct lh_error *err)
{
    struct keeping *keeping = &found->keeping;
    enum lh_code code = add_between(keeping, 0, found->retained - 1, true, &found->gone, err);
    if (!code)
        code = add_retained(keeping, found->retained, &found->kept, err);
    file_set_sort(&found->gone);
    file_set_sort(&found->kept);
    file_set_sort(&found->places);
    if (!code && found->places.count) {
        spread(&found->places, &found->kept, &found->gone);
        file_set_sort(&found->gone);
    }
    file_set_subtract(&found->gone, &found->kept);
    return code;
}

/* What must stay all the same, for now: readers have it, or it is being made. */
static void spare(struct catalog *catalog, struct collection *found)
{
    struct file_set *gone = &found->gone;
    struct lh_str id = found->keeping.id;
    size_t kept = 0;
    live_visit(catalog->live, id, found->places.count ? INT64_MAX : found->retained,
               file_set_add_view, &found->held);
    file_set_sort(&found->held);
    file_set_subtract(gone, &found->held);
    for (size_t i = 0; i < gone->count; i++)
        if (!is_being_made(catalog, id, gone->items[i].bucket))
            gone->items[kept++] = gone->items[i];
    gone->count = kept;
}

/* The expiry, or the move, has been committed and is seen: nobody begins to read what is below it,
 * and whoever does so already is listed. Data goes first, the manifests that name it last, so that
 * a kill in between loses track of nothing. `bucket`: one more where copies may lie; absent = none.
 */
static enum lh_code collect_dataset(struct catalog *catalog, const struct catalog_dataset *view,
                                    struct lh_str bucket, bool *ret_all, size_t *ret_moved,
                                    struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct collection found = {.gone.arena = arena,
                               .kept.arena = arena,
                               .held.arena = arena,
                               .places.arena = arena,
                               .retained = view->retained_version ? view->retained_version : 1};
    enum lh_code code = look(catalog, view, arena, &found.keeping, err);
    int64_t moved = state_moved(view);
    history_forget(&catalog->history, view->id,
                   view->retained_version > moved ? view->retained_version : moved);
    found.keeping.places = &found.places;
    if (bucket.len)
        file_set_add(&found.places, bucket, lh_lit(""), 0);
    add_places(&found.keeping, view->moves, view->move_count);
    if (!code)
        code = find_gone(&found, err);
    if (!code) {
        size_t expired = found.gone.count;
        spare(catalog, &found);
        *ret_all = found.gone.count == expired;
        code = trash_files(catalog, &found.gone, ret_moved, err);
    }
    if (!code && *ret_all && view->retained_version)
        code = retire_manifests(&found.keeping, view->retained_version, ret_all, ret_moved, err);
    lh_arena_free(arena);
    return code;
}

/* Under the retention's mutex. */
static bool is_collected(const struct catalog *catalog, size_t place,
                         const struct catalog_dataset *view)
{
    const struct retention *retention = &catalog->retention;
    return place < retention->count &&
           retention->collected[place].retained == view->retained_version &&
           retention->collected[place].moved == state_moved(view);
}

static void note_collected(struct catalog *catalog, size_t place,
                           const struct catalog_dataset *view)
{
    struct retention *retention = &catalog->retention;
    if (place >= retention->count) {
        size_t count = place + 64;
        struct collected *collected = lh_allocate(count, sizeof *collected);
        if (retention->count)
            memcpy(collected, retention->collected, retention->count * sizeof *collected);
        free(retention->collected);
        retention->collected = collected;
        retention->count = count;
    }
    retention->collected[place] = (struct collected){view->retained_version, state_moved(view)};
}

static enum lh_code collect_place(struct catalog *catalog, const struct catalog_snapshot *snapshot,
                                  size_t place, size_t *ret_moved, struct lh_error *err)
{
    const struct dataset_state *state = snapshot->items[place];
    bool is_all = false;
    if (state->damage || (!state->view.retained_version && !state->view.move_count) ||
        is_collected(catalog, place, &state->view))
        return LH_OK;
    enum lh_code code =
        collect_dataset(catalog, &state->view, (struct lh_str){0}, &is_all, ret_moved, err);
    if (!code && is_all)
        note_collected(catalog, place, &state->view);
    return code;
}

enum lh_code catalog_collect(struct catalog *catalog, size_t *ret_moved, struct lh_error *err)
{
    size_t moved = 0;
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&catalog->retention.mutex);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    for (size_t i = 0; i < snapshot->item_count && !code; i++)
        code = collect_place(catalog, snapshot, i, &moved, err);
    catalog_snapshot_unref(snapshot);
    pthread_mutex_unlock(&catalog->retention.mutex);
    if (!code)
        *ret_moved = moved;
    return code;
}

/* --- moves */

enum lh_code retention_begin_move(struct catalog *catalog, struct moving *moving,
                                  struct lh_str name, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&catalog->retention.mutex);
    for (const struct moving *at = catalog->retention.moving; at && !code; at = at->next)
        if (lh_str_equal(at->dataset_id, moving->dataset_id)) {
            lh_fail(err, LH_CONFLICT, "Dataset '%.*s' is being moved to the bucket '%.*s' already.",
                    LH_ARG(name), LH_ARG(at->to));
            code = lh_error_hint(err, "Wait for that move, or cancel its job.");
        }
    if (!code) {
        moving->next = catalog->retention.moving;
        catalog->retention.moving = moving;
    }
    pthread_mutex_unlock(&catalog->retention.mutex);
    return code;
}

void retention_end_move(struct catalog *catalog, struct moving *moving)
{
    pthread_mutex_lock(&catalog->retention.mutex);
    struct moving **at = &catalog->retention.moving;
    while (*at && *at != moving)
        at = &(*at)->next;
    if (*at)
        *at = moving->next;
    pthread_mutex_unlock(&catalog->retention.mutex);
}

enum lh_code retention_tidy(struct catalog *catalog, struct lh_str dataset_id, struct lh_str bucket,
                            struct lh_error *err)
{
    bool is_all = false;
    size_t moved = 0;
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&catalog->retention.mutex);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    size_t place = snapshot_find_id(snapshot, dataset_id);
    if (place != SIZE_MAX && !snapshot->items[place]->damage)
        code =
            collect_dataset(catalog, &snapshot->items[place]->view, bucket, &is_all, &moved, err);
    catalog_snapshot_unref(snapshot);
    pthread_mutex_unlock(&catalog->retention.mutex);
    return code;
}

/* --- expiring */

static enum lh_code commit_expiry(struct catalog *catalog, const struct catalog_dataset *view,
                                  const struct catalog_expire_options *options, int64_t retain_from,
                                  struct lh_arena *arena, bool *ret_done, struct lh_error *err)
{
    struct lh_error found = LH_ERROR_NONE;
    struct catalog_commit_result result;
    const struct catalog_change change = {
        .action = CATALOG_EXPIRE,
        .dataset_id = view->id,
        .expected_version = view->version,
        .retain_from = retain_from,
        .actor = options->actor,
        .reason = options->reason,
    };
    enum lh_code code = catalog_commit(catalog, &change, arena, &result, &found);
    *ret_done = !code;
    if (code == LH_PRECONDITION) /* it changed just now: the next time will do */
        return LH_OK;
    if (code && err)
        *err = found;
    return code;
}

static enum lh_code expire_place(struct catalog *catalog, const struct catalog_snapshot *snapshot,
                                 size_t place, const struct catalog_expire_options *options,
                                 int64_t cutoff_ms, struct lh_arena *arena,
                                 struct catalog_expiry *ret, struct lh_error *err)
{
    const struct catalog_dataset *view = &snapshot->items[place]->view;
    struct lh_arena *scratch = lh_arena_new(0);
    struct keeping keeping;
    struct plan plan = {0};
    bool is_done = options->is_dry_run;
    enum lh_code code = look(catalog, view, scratch, &keeping, err);
    if (!code)
        code = plan_dataset(&keeping, view, cutoff_ms, &plan, err);
    if (!code && plan.retain_from && !options->is_dry_run)
        code = commit_expiry(catalog, view, options, plan.retain_from, arena, &is_done, err);
    if (!code && plan.retain_from && is_done) {
        *ret = (struct catalog_expiry){
            .dataset_id = lh_arena_str(arena, view->id),
            .name = lh_arena_str(arena, view->name),
            .is_dropped = view->is_deleted,
            .retained_version = plan.retain_from,
            .version_count = plan.version_count,
        };
        for (size_t i = 0; i < plan.freed.count; i++) {
            ret->object_count += plan.freed.items[i].bytes > 0;
            ret->byte_count += plan.freed.items[i].bytes;
        }
    }
    lh_arena_free(scratch);
    return code;
}

static bool is_wanted(const struct dataset_state *state, struct lh_str name)
{
    return !state->damage && (!name.len || lh_str_equal_nocase(state->view.name, name));
}

enum lh_code catalog_expire(struct catalog *catalog, const struct catalog_expire_options *options,
                            struct lh_arena *arena, struct catalog_expiry **ret, size_t *ret_count,
                            struct lh_error *err)
{
    int64_t cutoff_ms = lh_clock_unix_ms() - options->older_than_ms;
    size_t count = 0, wanted = 0, moved = 0;
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&catalog->retention.mutex);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    for (size_t i = 0; i < snapshot->item_count; i++)
        wanted += is_wanted(snapshot->items[i], options->dataset);
    struct catalog_expiry *list = lh_arena_array(arena, wanted + 1, sizeof *list);
    if (options->dataset.len && !wanted)
        code = snapshot_fail_not_found(snapshot, options->dataset, err);
    for (size_t i = 0; i < snapshot->item_count && !code; i++) {
        if (!is_wanted(snapshot->items[i], options->dataset))
            continue;
        code = expire_place(catalog, snapshot, i, options, cutoff_ms, arena, &list[count], err);
        count += list[count].name.len != 0;
        if (!code)
            code = lh_cancel_fail(options->cancel, "Expiring old versions", err);
    }
    catalog_snapshot_unref(snapshot);
    pthread_mutex_unlock(&catalog->retention.mutex);
    if (!code && count && !options->is_dry_run)
        code = catalog_collect(catalog, &moved, err);
    if (!code) {
        *ret = list;
        *ret_count = count;
    }
    return code;
}

/* --- who has files where */

static bool has_bucket(const struct file_set *set, struct lh_str bucket)
{
    for (size_t i = 0; i < set->count; i++)
        if (lh_str_equal(set->items[i].bucket, bucket))
            return true;
    return false;
}

/* One whose manifests cannot be read may have files anywhere. */
static bool uses_bucket(struct catalog *catalog, const struct dataset_state *state,
                        struct lh_str bucket)
{
    const struct catalog_dataset *view = &state->view;
    int64_t oldest = view->retained_version ? view->retained_version : 1;
    struct lh_arena *arena = lh_arena_new(0);
    struct file_set set = {.arena = arena};
    struct keeping keeping;
    bool is_unknown = state->damage || look(catalog, view, arena, &keeping, NULL) ||
                      add_retained(&keeping, oldest, &set, NULL);
    live_visit(catalog->live, view->id, INT64_MAX, file_set_add_view, &set);
    bool uses = is_unknown || has_bucket(&set, bucket);
    lh_arena_free(arena);
    return uses;
}

void catalog_bucket_users(struct catalog *catalog, struct lh_str bucket, struct lh_arena *arena,
                          struct lh_str **ret, size_t *ret_count)
{
    size_t count = 0;
    pthread_mutex_lock(&catalog->retention.mutex);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    struct lh_str *names = lh_arena_array(arena, snapshot->item_count + 1, sizeof *names);
    for (size_t i = 0; i < snapshot->item_count; i++) {
        const struct dataset_state *state = snapshot->items[i];
        if (uses_bucket(catalog, state, bucket))
            names[count++] =
                lh_arena_str(arena, state->view.name.len ? state->view.name : state->view.id);
    }
    catalog_snapshot_unref(snapshot);
    pthread_mutex_unlock(&catalog->retention.mutex);
    *ret = names;
    *ret_count = count;
}

/* --- erasing: where its files are, and all older versions, now */

enum lh_code retention_add_state(struct catalog *catalog, const struct dataset_state *state,
                                 struct file_set *set, struct lh_error *err)
{
    const struct catalog_dataset *view = &state->view;
    struct keeping keeping;
    if (state->damage)
        return state_fail_damaged(state, err);
    enum lh_code code = look(catalog, view, set->arena, &keeping, err);
    return code ? code
                : add_retained(&keeping, view->retained_version ? view->retained_version : 1, set,
                               err);
}

/* A checkpoint stands behind the first of them, so that nothing older is needed to read; the oldest
 * version that stays comes after it, and is read from there. */
static enum lh_code expire_all(struct catalog *catalog, struct lh_str dataset_id,
                               struct lh_str actor, struct lh_str reason, struct lh_arena *arena,
                               int64_t *ret_floor, struct lh_error *err)
{
    struct catalog_commit_result done = {0};
    const struct catalog_dataset *dataset = NULL;
    struct catalog_change change = {.action = CATALOG_EXPIRE,
                                    .dataset_id = dataset_id,
                                    .checkpoint = true,
                                    .actor = actor,
                                    .reason = reason};
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    enum lh_code code = catalog_find_id(snapshot, dataset_id, &dataset, err);
    int64_t version = code ? 0 : dataset->version, floor = version;
    catalog_snapshot_unref(snapshot);
    /* Of one that has a single version nothing was erased, and nothing is older. */
    for (int i = 0; i < 3 && !code && version > 1; i++) {
        change.retain_from = version;
        code = catalog_commit(catalog, &change, arena, &done, err);
        version = done.version;
        floor = i ? floor : version;
        change.checkpoint = false;
    }
    if (!code)
        *ret_floor = floor;
    return code;
}

/* Nothing older than `floor` is named by any version that is left; young ones go, too. */
static enum lh_code remove_manifests(const struct keeping *keeping, int64_t newest, int64_t floor,
                                     bool *ret_all, size_t *ret_moved, struct lh_error *err)
{
    struct manifest manifest;
    enum lh_code code = read_change(keeping, newest, &manifest, err);
    if (!code && manifest.checkpoint.version < floor)
        return lh_fail(err, LH_IO, "No checkpoint could be written of the dataset '%.*s'.",
                       LH_ARG(keeping->id));
    return code ? code : trash_manifests(keeping, floor, ret_all, ret_moved, err);
}

static enum lh_code remove_past(struct catalog *catalog, struct lh_str dataset_id, int64_t floor,
                                struct catalog_erased_past *ret, struct lh_error *err)
{
    size_t moved = 0;
    bool is_all = false;
    struct keeping keeping;
    struct lh_arena *arena = lh_arena_new(0);
    pthread_mutex_lock(&catalog->retention.mutex);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    const struct catalog_dataset *dataset = NULL;
    enum lh_code code = catalog_find_id(snapshot, dataset_id, &dataset, err);
    if (!code)
        code = look(catalog, dataset, arena, &keeping, err);
    if (!code)
        ret->version_count = (int64_t)count_versions(&keeping, 0, floor);
    if (!code)
        code = collect_dataset(catalog, dataset, (struct lh_str){0}, &is_all, &moved, err);
    if (!code && is_all)
        code = look(catalog, dataset, arena, &keeping, err);
    if (!code && is_all)
        code = remove_manifests(&keeping, dataset->version, floor, &is_all, &moved, err);
    if (!code) {
        ret->retained_version = dataset->retained_version;
        ret->file_count = (int64_t)moved;
        ret->is_all = is_all;
    }
    catalog_snapshot_unref(snapshot);
    pthread_mutex_unlock(&catalog->retention.mutex);
    lh_arena_free(arena);
    return code;
}

enum lh_code catalog_erase_past(struct catalog *catalog, struct lh_str dataset_id,
                                struct lh_str actor, struct lh_str reason, int64_t *floor,
                                struct catalog_erased_past *ret, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = LH_OK;
    *ret = (struct catalog_erased_past){0};
    if (!*floor)
        code = expire_all(catalog, dataset_id, actor, reason, arena, floor, err);
    if (!code && *floor > 1)
        code = remove_past(catalog, dataset_id, *floor, ret, err);
    else if (!code)
        *ret = (struct catalog_erased_past){.retained_version = *floor, .is_all = true};
    lh_arena_free(arena);
    return code;
}
