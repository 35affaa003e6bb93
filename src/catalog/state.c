#include <stdio.h>
#include <stdlib.h>

#include "catalog/tombstone_internal.h"

/* --- parts that versions share */

static struct shared_arena *shared_new(void)
{
    struct shared_arena *shared = lh_allocate(1, sizeof *shared);
    atomic_init(&shared->refs, 1);
    shared->arena = lh_arena_new(0);
    return shared;
}

static struct shared_arena *shared_ref(struct shared_arena *shared)
{
    atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
    return shared;
}

static void shared_unref(struct shared_arena *shared)
{
    if (!shared || atomic_fetch_sub_explicit(&shared->refs, 1, memory_order_acq_rel) > 1)
        return;
    lh_arena_free(shared->arena);
    free(shared);
}

/* --- where files were moved */

/* An expiry forgets the moves that no version which is left needs to be read by; not young ones:
 * what they left behind is looked for when files are collected. */
#define MOVES_KEPT_MS ((int64_t)2 * 3600 * 1000)

static bool is_forgotten(const struct catalog_moved *moved, const struct manifest *manifest)
{
    return (manifest->set_bits & MANIFEST_SET_RETAINED) && !manifest->is_checkpoint &&
           moved->version <= manifest->set.retained_version &&
           manifest->time_ms - moved->time_ms >= MOVES_KEPT_MS;
}

static size_t count_forgotten(const struct dataset_state *parent, const struct manifest *manifest)
{
    size_t count = 0;
    for (size_t i = 0; parent && i < parent->view.move_count; i++)
        count += is_forgotten(&parent->view.moves[i], manifest);
    return count;
}

/* Those of the parent that are still told, then the manifest's own; texts stay where they are. */
static void merge_moves(const struct dataset_state *parent, const struct manifest *manifest,
                        struct lh_arena *arena, struct catalog_dataset *ret)
{
    size_t old_count = parent ? parent->view.move_count : 0, count = 0;
    struct catalog_moved *moves =
        lh_arena_array(arena, old_count + manifest->move_count + 1, sizeof *moves);
    for (size_t i = 0; i < old_count; i++)
        if (!is_forgotten(&parent->view.moves[i], manifest))
            moves[count++] = parent->view.moves[i];
    for (size_t i = 0; i < manifest->move_count; i++)
        moves[count++] = manifest->moves[i];
    ret->moves = moves;
    ret->move_count = count;
}

int64_t state_moved(const struct catalog_dataset *view)
{
    return view->move_count ? view->moves[view->move_count - 1].version : 0;
}

static void settle_files(struct dataset_state *state, int64_t version,
                         const struct catalog_moved *moves, size_t move_count)
{
    if (!state->files || !move_count)
        return;
    state->files =
        object_list_settle(state->files, state->view.object_count, version, moves, move_count);
    state->view.objects = object_list_items(state->files);
}

void state_settle(struct dataset_state *state, const struct catalog_dataset *now)
{
    settle_files(state, state->view.version, now->moves, now->move_count);
    state->view.moved_version = state_moved(now);
}

/* --- texts and columns after a change */

#define TEXT_BITS                                                                                  \
    (MANIFEST_SET_NAME | CATALOG_SET_DESCRIPTION | CATALOG_SET_OWNER | CATALOG_SET_TAGS |          \
     CATALOG_SET_LINEAGE | CATALOG_SET_REFRESH)

static struct lh_str_list copy_texts(struct lh_arena *arena, struct lh_str_list list)
{
    struct lh_str *items = lh_arena_array(arena, list.count + 1, sizeof *items);
    for (size_t i = 0; i < list.count; i++)
        items[i] = lh_arena_str(arena, list.items[i]);
    return (struct lh_str_list){items, list.count};
}

static void copy_text_members(struct lh_arena *arena, const struct catalog_dataset *from,
                              struct catalog_dataset *to)
{
    to->id = lh_arena_str(arena, from->id);
    to->name = lh_arena_str(arena, from->name);
    to->description = lh_arena_str(arena, from->description);
    to->owner = lh_arena_str(arena, from->owner);
    to->tags = copy_texts(arena, from->tags);
    to->lineage.source_system = lh_arena_str(arena, from->lineage.source_system);
    to->lineage.source_file = lh_arena_str(arena, from->lineage.source_file);
    to->lineage.ingest_job = lh_arena_str(arena, from->lineage.ingest_job);
    to->lineage.timestamp_ms = from->lineage.timestamp_ms;
    to->refresh.kind = from->refresh.kind;
    to->refresh.schedule = lh_arena_str(arena, from->refresh.schedule);
    struct catalog_moved *moves = lh_arena_array(arena, from->move_count + 1, sizeof *moves);
    for (size_t i = 0; i < from->move_count; i++) {
        moves[i] = from->moves[i];
        moves[i].from = lh_arena_str(arena, from->moves[i].from);
        moves[i].to = lh_arena_str(arena, from->moves[i].to);
    }
    to->moves = moves;
    to->move_count = from->move_count;
}

static void set_text_members(uint32_t bits, const struct catalog_dataset *set,
                             struct catalog_dataset *to)
{
    if (bits & MANIFEST_SET_NAME)
        to->name = set->name;
    if (bits & CATALOG_SET_DESCRIPTION)
        to->description = set->description;
    if (bits & CATALOG_SET_OWNER)
        to->owner = set->owner;
    if (bits & CATALOG_SET_TAGS)
        to->tags = set->tags;
    if (bits & CATALOG_SET_LINEAGE)
        to->lineage = set->lineage;
    if (bits & CATALOG_SET_REFRESH)
        to->refresh = set->refresh;
}

static void set_numbers(uint32_t bits, const struct catalog_dataset *set,
                        struct catalog_dataset *to)
{
    if (bits & MANIFEST_SET_CREATED)
        to->created_ms = set->created_ms;
    if (bits & MANIFEST_SET_DELETED)
        to->is_deleted = set->is_deleted;
    if (bits & MANIFEST_SET_RETAINED)
        to->retained_version = set->retained_version;
    if (bits & MANIFEST_SET_CONTENT)
        to->content_version = set->content_version;
    if (bits & CATALOG_SET_SENSITIVITY)
        to->sensitivity = set->sensitivity;
    if (bits & CATALOG_SET_FRESHNESS)
        to->freshness_max_age_s = set->freshness_max_age_s;
    if (bits & CATALOG_SET_EMBEDDED_AT)
        to->last_embedded_at_ms = set->last_embedded_at_ms;
    if (bits & CATALOG_SET_QUARANTINED) {
        to->quarantined_files = set->quarantined_files;
        to->quarantined_rows = set->quarantined_rows;
    }
    if (bits & CATALOG_SET_STALE_SINCE)
        to->embedding_stale_since_ms = set->embedding_stale_since_ms;
}

void state_set_members(uint32_t bits, const struct catalog_dataset *set, struct catalog_dataset *to)
{
    set_text_members(bits, set, to);
    set_numbers(bits, set, to);
    if (bits & CATALOG_SET_COLUMNS) {
        to->columns = set->columns;
        to->column_count = set->column_count;
    }
    if (bits & CATALOG_SET_SCHEMAS) {
        to->schemas = set->schemas;
        to->schema_count = set->schema_count;
    }
}

static const struct catalog_column *copy_columns(struct lh_arena *arena,
                                                 const struct catalog_column *from, size_t count)
{
    struct catalog_column *to = lh_arena_array(arena, count + 1, sizeof *to);
    for (size_t i = 0; i < count; i++) {
        to[i] = from[i];
        to[i].name = lh_arena_str(arena, from[i].name);
        to[i].stored_name = lh_arena_str(arena, from[i].stored_name);
        to[i].type = lh_arena_str(arena, from[i].type);
        to[i].pii_kind = lh_arena_str(arena, from[i].pii_kind);
        to[i].description = lh_arena_str(arena, from[i].description);
    }
    return to;
}

static struct catalog_schema schema_of(struct lh_arena *arena, const struct catalog_dataset *view)
{
    struct catalog_schema_column *columns =
        lh_arena_array(arena, view->column_count + 1, sizeof *columns);
    for (size_t i = 0; i < view->column_count; i++)
        columns[i] =
            (struct catalog_schema_column){view->columns[i].stored_name, view->columns[i].type};
    return (struct catalog_schema){view->schema, columns, view->column_count};
}

static struct catalog_schema copy_schema(struct lh_arena *arena, const struct catalog_schema *from)
{
    struct catalog_schema_column *to = lh_arena_array(arena, from->column_count + 1, sizeof *to);
    for (size_t i = 0; i < from->column_count; i++)
        to[i] = (struct catalog_schema_column){lh_arena_str(arena, from->columns[i].stored_name),
                                               lh_arena_str(arena, from->columns[i].type)};
    return (struct catalog_schema){lh_arena_str(arena, from->fingerprint), to, from->column_count};
}

static bool is_used(const struct catalog_dataset *view, struct lh_str fingerprint)
{
    for (size_t i = 0; i < view->object_count; i++)
        if (lh_str_equal(view->objects[i]->schema, fingerprint))
            return true;
    return false;
}

struct schema_list {
    struct catalog_schema *items;
    size_t count;
};

static void add_schemas(struct lh_arena *arena, const struct catalog_dataset *view,
                        const struct catalog_schema *from, size_t count, struct schema_list *list)
{
    for (size_t i = 0; i < count; i++) {
        bool is_known = false;
        for (size_t k = 0; k < list->count && !is_known; k++)
            is_known = lh_str_equal(list->items[k].fingerprint, from[i].fingerprint);
        if (!is_known && is_used(view, from[i].fingerprint))
            list->items[list->count++] = copy_schema(arena, &from[i]);
    }
}

/* Columns, and of the schemas those that a file still has. The view's objects are the new ones. */
static void set_columns(struct dataset_state *state, const struct dataset_state *parent,
                        const struct manifest *manifest)
{
    struct catalog_dataset *view = &state->view;
    bool has_columns = manifest->set_bits & CATALOG_SET_COLUMNS;
    bool has_schemas = manifest->set_bits & CATALOG_SET_SCHEMAS;
    bool may_lose = manifest->removed.count || manifest->removes_all;
    if (parent && !has_columns && !has_schemas && !(may_lose && parent->view.schema_count > 1)) {
        state->columns = shared_ref(parent->columns);
        return;
    }
    state->columns = shared_new();
    struct lh_arena *arena = state->columns->arena;
    const struct catalog_dataset *from = has_columns ? &manifest->set : &parent->view;
    if (!has_columns && !parent)
        from = &manifest->set;
    view->columns = copy_columns(arena, from->columns, from->column_count);
    view->column_count = from->column_count;
    view->schema = catalog_schema_fingerprint(view->columns, view->column_count, arena);
    size_t old_count = parent ? parent->view.schema_count : 0;
    struct schema_list list = {0};
    list.items =
        lh_arena_array(arena, old_count + manifest->set.schema_count + 1, sizeof *list.items);
    list.items[list.count++] = schema_of(arena, view);
    if (parent)
        add_schemas(arena, view, parent->view.schemas, old_count, &list);
    if (has_schemas)
        add_schemas(arena, view, manifest->set.schemas, manifest->set.schema_count, &list);
    view->schemas = list.items;
    view->schema_count = list.count;
}

/* Tombstones name keys, so they stay when every file goes; positions alone go with them. */
static const struct catalog_object **change_tombstones(const struct dataset_state *parent,
                                                       const struct manifest *manifest,
                                                       size_t *ret_count)
{
    size_t old_count = parent ? parent->view.tombstone_count : 0, kept = 0;
    bool drops_all = manifest->removes_all && parent && parent->view.is_deleted;
    const struct catalog_object **old = lh_allocate(old_count, sizeof *old);
    for (size_t i = 0; i < old_count && !drops_all; i++)
        if (!manifest->removes_all || !tombstone_is_of_rows(parent->view.tombstones[i]))
            old[kept++] = parent->view.tombstones[i];
    const struct catalog_object **list = objects_change(old, kept, manifest->tombstones_removed,
                                                        manifest->tombstones_added, ret_count);
    free(old);
    return list;
}

static uint64_t stamp_of(const struct catalog_dataset *view)
{
    uint64_t stamp = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < view->tombstone_count; i++)
        stamp = (stamp ^ lh_str_hash(view->tombstones[i]->key)) * UINT64_C(0x100000001b3);
    return view->tombstone_count ? stamp | 1 : 0;
}

/* Counted from the parent's where files only came. */
static void count_rows(struct catalog_dataset *view, const struct catalog_dataset *old,
                       const struct manifest *manifest)
{
    bool only_more = !manifest->removed.count;
    size_t from = only_more ? old->object_count : 0;
    view->row_count = only_more ? old->row_count : 0;
    view->byte_count = only_more ? old->byte_count : 0;
    for (size_t i = from; i < view->object_count; i++) {
        view->row_count += view->objects[i]->rows;
        view->byte_count += view->objects[i]->bytes;
    }
}

static enum lh_code set_objects(struct dataset_state *state, const struct dataset_state *parent,
                                const struct manifest *manifest, struct lh_error *err)
{
    struct catalog_dataset *view = &state->view;
    const struct dataset_state none = {.files = NULL};
    const struct dataset_state *old = parent && !manifest->removes_all ? parent : &none;
    view->objects = NULL;
    view->object_count = 0;
    view->tombstones = NULL;
    view->tombstone_count = 0;
    enum lh_code code = object_list_change(old->files, old->view.object_count, manifest,
                                           &state->files, &view->object_count, err);
    if (code)
        return code;
    view->objects = object_list_items(state->files);
    view->tombstones = change_tombstones(parent, manifest, &view->tombstone_count);
    if (!view->tombstones) {
        view->tombstone_count = 0;
        return lh_fail(
            err, LH_DAMAGED,
            "Version %lld removes a list of deleted keys that the dataset does not have.",
            (long long)manifest->version);
    }
    view->tombstone_stamp = stamp_of(view);
    count_rows(view, &old->view, manifest);
    return LH_OK;
}

/* Columns count as content when they are set, though it may be their descriptions alone. */
static bool changes_content(const struct manifest *manifest)
{
    struct lh_str action =
        manifest->commit_count == 1 ? manifest->commits[0].action : (struct lh_str){0};
    bool is_rewrite =
        lh_str_equal(action, lh_lit("rewrite")) || lh_str_equal(action, lh_lit("fold"));
    return !is_rewrite &&
           (manifest->added.count || manifest->removed.count || manifest->removes_all ||
            manifest->tombstones_added.count || manifest->tombstones_removed.count ||
            (manifest->set_bits & CATALOG_SET_COLUMNS));
}

enum lh_code state_apply(struct dataset_state *parent, const struct manifest *manifest,
                         struct dataset_state **ret, struct lh_error *err)
{
    struct dataset_state *state = lh_allocate(1, sizeof *state);
    struct catalog_dataset *view = &state->view;
    if (parent)
        *view = parent->view;
    else
        view->sensitivity = CATALOG_INTERNAL;
    atomic_init(&state->refs, 1);
    enum lh_code code = set_objects(state, parent, manifest, err);
    if (code) {
        state_unref(state);
        return code;
    }
    view->version = manifest->version;
    view->sequence = manifest->sequence;
    view->updated_ms = manifest->time_ms;
    /* A checkpoint of an earlier release does not say it: then nothing before it is known. */
    if (!parent || changes_content(manifest))
        view->content_version = manifest->version;
    set_numbers(manifest->set_bits, &manifest->set, view);
    if (!parent || (manifest->set_bits & TEXT_BITS) || manifest->move_count ||
        count_forgotten(parent, manifest)) {
        struct catalog_dataset merged = *view;
        merged.id = manifest->dataset_id;
        set_text_members(manifest->set_bits, &manifest->set, &merged);
        state->texts = shared_new();
        merge_moves(parent, manifest, state->texts->arena, &merged);
        copy_text_members(state->texts->arena, &merged, view);
    } else {
        state->texts = shared_ref(parent->texts);
    }
    set_columns(state, parent, manifest);
    if (parent) /* a checkpoint says where its files are itself */
        settle_files(state, parent->view.version, manifest->moves, manifest->move_count);
    state->view.moved_version = state_moved(view);
    *ret = state;
    return LH_OK;
}

enum lh_code state_check(const struct dataset_state *state, const struct manifest *manifest,
                         struct lh_error *err)
{
    const struct catalog_dataset *view = &state->view;
    size_t key_columns = tombstone_column_count(view);
    if ((key_columns > 1) != manifest->has_key_columns)
        return lh_fail(err, LH_DAMAGED,
                       "Version %lld %s that tombstones name rows by several columns, but there "
                       "are %zu.",
                       (long long)manifest->version,
                       manifest->has_key_columns ? "says" : "does not say", key_columns);
    if (view->row_count == manifest->row_count && view->byte_count == manifest->byte_count &&
        (int64_t)view->object_count == manifest->object_count)
        return LH_OK;
    return lh_fail(err, LH_DAMAGED,
                   "Version %lld says it has %lld files and %lld rows, but its changes add up to "
                   "%zu files and %lld rows.",
                   (long long)manifest->version, (long long)manifest->object_count,
                   (long long)manifest->row_count, view->object_count, (long long)view->row_count);
}

static struct manifest_objects flat_objects(const struct catalog_object *const *objects,
                                            size_t count, struct lh_arena *arena)
{
    struct catalog_object *items = lh_arena_array(arena, count + 1, sizeof *items);
    for (size_t i = 0; i < count; i++)
        items[i] = *objects[i];
    return (struct manifest_objects){items, count};
}

void state_to_checkpoint(const struct dataset_state *state, struct lh_arena *arena,
                         struct manifest *ret)
{
    const struct catalog_dataset *view = &state->view;
    *ret = (struct manifest){
        .is_checkpoint = true,
        .dataset_id = view->id,
        .version = view->version,
        .sequence = view->sequence,
        .time_ms = view->updated_ms,
        .set_bits = MANIFEST_SET_ALL,
        .set = *view,
        .added = flat_objects(view->objects, view->object_count, arena),
        .tombstones_added = flat_objects(view->tombstones, view->tombstone_count, arena),
        .moves = view->moves,
        .move_count = view->move_count,
        .row_count = view->row_count,
        .object_count = (int64_t)view->object_count,
        .byte_count = view->byte_count,
        .has_key_columns = tombstone_column_count(view) > 1,
    };
}

struct dataset_state *state_damaged(struct lh_str id, struct lh_str name, int64_t version,
                                    uint64_t sequence, struct lh_str damage)
{
    struct dataset_state *state = lh_allocate(1, sizeof *state);
    atomic_init(&state->refs, 1);
    state->texts = shared_new();
    state->view.id = lh_arena_str(state->texts->arena, id);
    state->view.name = lh_arena_str(state->texts->arena, name);
    state->view.version = version;
    state->view.sequence = sequence;
    state->damage = lh_allocate_text(damage);
    return state;
}

struct dataset_state *state_ref(struct dataset_state *state)
{
    atomic_fetch_add_explicit(&state->refs, 1, memory_order_relaxed);
    return state;
}

void state_unref(struct dataset_state *state)
{
    if (!state || atomic_fetch_sub_explicit(&state->refs, 1, memory_order_acq_rel) > 1)
        return;
    live_drop(state);
    object_list_unref(state->files);
    objects_unref(state->view.tombstones, state->view.tombstone_count);
    shared_unref(state->texts);
    shared_unref(state->columns);
    free(state->damage);
    free(state);
}

const struct catalog_dataset *catalog_dataset_ref(const struct catalog_dataset *dataset)
{
    return &state_ref((struct dataset_state *)(uintptr_t)dataset)->view;
}

void catalog_dataset_unref(const struct catalog_dataset *dataset)
{
    state_unref((struct dataset_state *)(uintptr_t)dataset);
}
