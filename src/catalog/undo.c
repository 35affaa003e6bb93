#include "catalog/undo.h"

#include <assert.h>
#include <stdlib.h>

#include "catalog/tombstone_internal.h"

struct undoing {
    struct catalog *catalog;
    const struct catalog_undo_options *options;
    struct lh_arena *arena;
    struct catalog_snapshot *snapshot;
    const struct catalog_dataset *now;
    struct manifest undone;
    struct dataset_state *before; /* what `undone` changed */
};

/* --- which dataset */

static const struct dataset_state *find_dropped(const struct catalog_snapshot *snapshot,
                                                struct lh_str name)
{
    const struct dataset_state *found = NULL;
    for (size_t i = 0; i < snapshot->item_count; i++) {
        const struct dataset_state *state = snapshot->items[i];
        if (!state->damage && state->view.is_deleted &&
            lh_str_equal_nocase(state->view.name, name) &&
            (!found || found->view.sequence < state->view.sequence))
            found = state;
    }
    return found;
}

static enum lh_code find_dataset(struct undoing *undoing, struct lh_error *err)
{
    struct lh_str name = undoing->options->dataset;
    const struct catalog_snapshot *snapshot = undoing->snapshot;
    const struct dataset_state *found = NULL;
    size_t place = snapshot_find_name(snapshot, name);
    if (place == SIZE_MAX && lh_uuid_is_valid(name))
        place = snapshot_find_id(snapshot, name);
    found = place == SIZE_MAX ? find_dropped(snapshot, name) : snapshot->items[place];
    if (!found)
        return snapshot_fail_not_found(snapshot, name, err);
    if (found->damage)
        return state_fail_damaged(found, err);
    undoing->now = &found->view;
    int64_t wanted = undoing->options->expected_version;
    if (!wanted || wanted == found->view.version)
        return LH_OK;
    lh_fail(err, LH_PRECONDITION, "Dataset '%.*s' is at version %lld, not %lld.",
            LH_ARG(found->view.name), (long long)found->view.version, (long long)wanted);
    return lh_error_hint(err, "Read it again, then decide whether its last commit is to go.");
}

/* --- which version */

/* It changed nothing that anybody reads: versions expired, tombstones or files were written
 * together, or files were moved. */
static bool is_upkeep(const struct manifest *manifest)
{
    return manifest->commit_count == 1 &&
           (lh_str_equal(manifest->commits[0].action, lh_lit("expire")) ||
            lh_str_equal(manifest->commits[0].action, lh_lit("fold")) ||
            lh_str_equal(manifest->commits[0].action, lh_lit("move")) ||
            lh_str_equal(manifest->commits[0].action, lh_lit("rewrite")));
}

static enum lh_code fail_last(const struct undoing *undoing, const char *why, const char *hint,
                              struct lh_error *err)
{
    lh_fail(err, LH_CONFLICT, "The last commit of dataset '%.*s' cannot be undone: %s",
            LH_ARG(undoing->now->name), why);
    return lh_error_hint(err, hint, (long long)undoing->undone.parent.version);
}

/* What the undo took back, as far as anybody can read it. */
static enum lh_code fail_undo(const struct undoing *undoing, struct lh_error *err)
{
    static const char why[] = "it is itself an undo.";
    const struct catalog_dataset *now = undoing->now;
    int64_t before = undoing->undone.parent.version;
    struct dataset_state *then = NULL;
    if (before < now->retained_version ||
        history_state_at(undoing->catalog, now->id, before, &then, NULL))
        return fail_last(undoing, why, "What was undone cannot be read any more.", err);
    bool is_drop = then->view.is_deleted;
    state_unref(then);
    if (is_drop)
        return fail_last(undoing, why,
                         "What was undone was that the dataset was dropped: drop it again, if it "
                         "is to go.",
                         err);
    return fail_last(undoing, why,
                     "What was undone can be read with AT (VERSION => %lld), and brought in "
                     "again from there.",
                     err);
}

static enum lh_code check_action(const struct undoing *undoing, struct lh_str action,
                                 struct lh_error *err)
{
    static const char *const undoable[] = {"create", "append", "upsert", "replace",   "update",
                                           "rename", "drop",   "resync", "quarantine"};
    for (size_t i = 0; i < sizeof undoable / sizeof undoable[0]; i++)
        if (lh_str_equal(action, lh_str_of(undoable[i])))
            return LH_OK;
    if (lh_str_equal(action, lh_lit("undo")))
        return fail_undo(undoing, err);
    return fail_last(undoing, "it deleted rows or let deleted ones come back.",
                     "Lift the tombstones, or set them again; they hold in every version.", err);
}

/* The newest version that is no upkeep, and the state before it. */
static enum lh_code find_undone(struct undoing *undoing, struct lh_error *err)
{
    const struct catalog_dataset *now = undoing->now;
    struct manifest *undone = &undoing->undone;
    assert(now);
    int64_t version = now->version;
    enum lh_code code = LH_OK;
    do {
        struct chain_file file = {version, false};
        code = chain_read(undoing->catalog->storage, now->id, file, undoing->arena, undone, err);
        version = undone->parent.version;
    } while (!code && is_upkeep(undone) && version);
    if (code == LH_NOT_FOUND)
        return fail_last(undoing, "what was before it has expired.",
                         "Only versions that are kept can come back.", err);
    for (size_t i = 0; i < undone->commit_count && !code; i++)
        code = check_action(undoing, undone->commits[i].action, err);
    if (code)
        return code;
    if (!undone->parent.version)
        return fail_last(undoing, "it made the dataset.", "Delete the dataset instead.", err);
    if (undone->parent.version < now->retained_version)
        return fail_last(undoing, "what was before it has expired.",
                         "Only versions that are kept can come back.", err);
    return history_state_at(undoing->catalog, now->id, undone->parent.version, &undoing->before,
                            err);
}

/* --- the change */

static int compare_keys(const void *a, const void *b)
{
    const struct catalog_object *const *x = a, *const *y = b;
    return lh_str_compare((*x)->key, (*y)->key);
}

static const struct catalog_object **sorted(const struct catalog_dataset *view,
                                            struct lh_arena *arena)
{
    const struct catalog_object **list =
        lh_arena_array(arena, view->object_count + 1, sizeof(*list));
    if (view->object_count) {
        memcpy(list, view->objects, view->object_count * sizeof(*list));
        qsort(list, view->object_count, sizeof(*list), compare_keys);
    }
    return list;
}

static bool has(const struct catalog_object *const *list, size_t count,
                const struct catalog_object *object)
{
    return count && bsearch(&object, list, count, sizeof(object), compare_keys);
}

static bool names(const struct catalog_dataset *view, struct lh_str key)
{
    for (size_t i = 0; i < view->tombstone_count; i++)
        if (lh_str_equal(view->tombstones[i]->key, key))
            return true;
    return false;
}

/* Rows that an upsert replaced are seen again, those that it replaced in what comes back are not.
 * Tombstones of keys stay as they are: they belong to no version. */
static void change_rows(const struct undoing *undoing, struct catalog_change *change)
{
    const struct catalog_dataset *now = undoing->now, *before = &undoing->before->view;
    struct lh_str *removed =
        lh_arena_array(undoing->arena, now->tombstone_count + 1, sizeof(*removed));
    struct catalog_object *added =
        lh_arena_array(undoing->arena, before->tombstone_count + 1, sizeof(*added));
    for (size_t i = 0; i < now->tombstone_count; i++)
        if (tombstone_is_of_rows(now->tombstones[i]) && !names(before, now->tombstones[i]->key))
            removed[change->tombstone_removed_count++] = now->tombstones[i]->key;
    for (size_t i = 0; i < before->tombstone_count; i++)
        if (tombstone_is_of_rows(before->tombstones[i]) && !names(now, before->tombstones[i]->key))
            added[change->tombstone_count++] = *before->tombstones[i];
    change->tombstones_removed = removed;
    change->tombstones = added;
}

/* Files that go, and those that come back: each of them read and compared with its checksum. */
static enum lh_code change_objects(const struct undoing *undoing, struct catalog_change *change,
                                   struct lh_error *err)
{
    const struct catalog_dataset *now = undoing->now, *before = &undoing->before->view;
    const struct catalog_object **present = sorted(now, undoing->arena);
    const struct catalog_object **past = sorted(before, undoing->arena);
    struct lh_str *removed =
        lh_arena_array(undoing->arena, now->object_count + 1, sizeof(*removed));
    struct catalog_object *added =
        lh_arena_array(undoing->arena, before->object_count + 1, sizeof(*added));
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < now->object_count; i++)
        if (!has(past, before->object_count, now->objects[i]))
            removed[change->removed_count++] = now->objects[i]->key;
    for (size_t i = 0; i < before->object_count && !code; i++) {
        if (has(present, now->object_count, before->objects[i]))
            continue;
        added[change->object_count++] = *before->objects[i];
        code = catalog_ensure_verified(undoing->catalog, before->objects[i],
                                       undoing->options->cancel, err);
    }
    change->removed = removed;
    change->objects = added;
    if (!code)
        change_rows(undoing, change);
    return code;
}

static struct lh_str result_text(const struct undoing *undoing)
{
    struct lh_buf buf;
    struct lh_json json;
    const struct manifest *undone = &undoing->undone;
    lh_buf_init(&buf, 65536);
    lh_json_init(&json, &buf);
    lh_json_object(&json);
    lh_json_key(&json, "actions");
    lh_json_array(&json);
    for (size_t i = 0; i < undone->commit_count; i++)
        lh_json_str(&json, undone->commits[i].action);
    lh_json_array_end(&json);
    lh_json_put_int(&json, "restored_version", undone->parent.version);
    lh_json_put_int(&json, "undone_version", undone->version);
    lh_json_object_end(&json);
    struct lh_str text = lh_arena_str(undoing->arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

/* Another commit came between: what the caller wanted to undo is no longer the last one. */
static enum lh_code fail_race(const struct undoing *undoing, struct lh_error *err)
{
    lh_fail(err, LH_RACE, "Dataset '%.*s' changed meanwhile; nothing was undone.",
            LH_ARG(undoing->now->name));
    return lh_error_hint(err, "Look at its versions, then decide whether the last one is to go.");
}

static enum lh_code commit_undo(const struct undoing *undoing, struct catalog_commit_result *ret,
                                struct lh_error *err)
{
    const struct catalog_undo_options *options = undoing->options;
    const struct catalog_dataset *before = &undoing->before->view;
    struct lh_str detail = result_text(undoing);
    const struct catalog_event event = {before->name, lh_lit("undo"), detail};
    struct catalog_change change = {
        .action = CATALOG_UNDO,
        .dataset_id = undoing->now->id,
        .name = before->name,
        .expected_version = undoing->now->version,
        .set_bits =
            CATALOG_SET_DESCRIPTION | CATALOG_SET_OWNER | CATALOG_SET_SENSITIVITY |
            CATALOG_SET_TAGS | CATALOG_SET_COLUMNS | CATALOG_SET_LINEAGE | CATALOG_SET_FRESHNESS |
            CATALOG_SET_REFRESH | CATALOG_SET_SCHEMAS |
            (before->quarantined_files || undoing->now->quarantined_files ? CATALOG_SET_QUARANTINED
                                                                          : 0),
        .set = *before,
        .actor = options->actor,
        .reason = options->reason,
        .idempotency_key = options->idempotency_key,
        .request_hash = options->request_hash,
        .result = detail,
        .events = &event,
        .event_count = 1,
    };
    enum lh_code code = change_objects(undoing, &change, err);
    if (!code)
        code = catalog_commit(undoing->catalog, &change, undoing->arena, ret, err);
    return code == LH_PRECONDITION ? fail_race(undoing, err) : code;
}

/* --- the answer */

static void fill(const struct undoing *undoing, int64_t version, struct lh_arena *arena,
                 struct catalog_undo *ret)
{
    const struct manifest *undone = &undoing->undone;
    struct lh_str *actions = lh_arena_array(arena, undone->commit_count + 1, sizeof(*actions));
    for (size_t i = 0; i < undone->commit_count; i++)
        actions[i] = lh_arena_str(arena, undone->commits[i].action);
    *ret = (struct catalog_undo){
        .dataset_id = lh_arena_str(arena, undoing->now->id),
        .name = lh_arena_str(arena, undoing->before->view.name),
        .version = version,
        .undone_version = undone->version,
        .restored_version = undone->parent.version,
        .actions = {actions, undone->commit_count},
        .row_count = undoing->before->view.row_count,
        .is_dry_run = undoing->options->is_dry_run,
    };
}

/* What the first call with this key answered; rows and name are of the version that it made. */
static enum lh_code repeat(struct catalog *catalog, const struct catalog_commit_result *first,
                           struct lh_arena *arena, struct catalog_undo *ret, struct lh_error *err)
{
    json_t *root = NULL;
    struct dataset_state *state = NULL;
    enum lh_code code = lh_json_parse(first->result, "The result", 65536, &root, err);
    if (!code)
        code = history_state_at(catalog, first->dataset_id, first->version, &state, err);
    if (!code) {
        const json_t *list = json_object_get(root, "actions");
        struct lh_str *actions = lh_arena_array(arena, json_array_size(list) + 1, sizeof *actions);
        for (size_t i = 0; i < json_array_size(list); i++)
            actions[i] = lh_arena_str(arena, lh_str_of(json_string_value(json_array_get(list, i))));
        *ret = (struct catalog_undo){
            .dataset_id = first->dataset_id,
            .name = lh_arena_str(arena, state->view.name),
            .version = first->version,
            .undone_version = json_integer_value(json_object_get(root, "undone_version")),
            .restored_version = json_integer_value(json_object_get(root, "restored_version")),
            .actions = {actions, json_array_size(list)},
            .row_count = state->view.row_count,
        };
    }
    state_unref(state);
    json_decref(root);
    return code;
}

static enum lh_code undo(struct undoing *undoing, struct lh_arena *arena, struct catalog_undo *ret,
                         struct lh_error *err)
{
    struct catalog_commit_result result = {0};
    enum lh_code code = find_dataset(undoing, err);
    if (!code)
        code = find_undone(undoing, err);
    if (code)
        return code;
    result.version = undoing->now->version;
    if (!undoing->options->is_dry_run)
        code = commit_undo(undoing, &result, err);
    if (!code && result.is_repeat)
        return repeat(undoing->catalog, &result, arena, ret, err);
    if (!code)
        fill(undoing, result.version, arena, ret);
    return code;
}

enum lh_code catalog_undo(struct catalog *catalog, const struct catalog_undo_options *options,
                          struct lh_arena *arena, struct catalog_undo *ret, struct lh_error *err)
{
    struct catalog_commit_result first;
    bool is_done = false;
    enum lh_code code = LH_OK;
    if (options->idempotency_key.len)
        code = catalog_fulfilled(catalog, (struct lh_str){0}, options->idempotency_key,
                                 options->request_hash, arena, &is_done, &first, err);
    if (code || is_done)
        return code ? code : repeat(catalog, &first, arena, ret, err);
    struct undoing undoing = {
        .catalog = catalog,
        .options = options,
        .arena = lh_arena_new(0),
        .snapshot = catalog_snapshot_ref(catalog),
    };
    code = undo(&undoing, arena, ret, err);
    state_unref(undoing.before);
    catalog_snapshot_unref(undoing.snapshot);
    lh_arena_free(undoing.arena);
    return code;
}
