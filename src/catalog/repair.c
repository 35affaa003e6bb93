#include "catalog/repair.h"

#include "catalog/internal.h"

#define RESULT_FILES_MAX 100 /* named in the commit; more are only counted */

struct repairing {
    struct catalog *catalog;
    const struct catalog_repair_options *options;
    struct lh_arena *arena;
    const struct catalog_dataset *now;
    struct catalog_repair *ret;
    const struct catalog_object **objects; /* of ret->files */
};

static enum lh_code begin(struct repairing *repairing, const struct catalog_snapshot *snapshot,
                          struct lh_error *err)
{
    const struct catalog_repair_options *options = repairing->options;
    enum lh_code code = catalog_find(snapshot, options->dataset, &repairing->now, err);
    if (code)
        return code;
    const struct catalog_dataset *now = repairing->now;
    if (options->expected_version && options->expected_version != now->version) {
        lh_fail(err, LH_PRECONDITION, "Dataset '%.*s' is at version %lld, not %lld.",
                LH_ARG(now->name), (long long)now->version, (long long)options->expected_version);
        return lh_error_hint(err, "Read it again, then decide.");
    }
    repairing->objects =
        lh_arena_array(repairing->arena, now->object_count + 1, sizeof(*repairing->objects));
    *repairing->ret = (struct catalog_repair){
        .dataset_id = lh_arena_str(repairing->arena, now->id),
        .name = lh_arena_str(repairing->arena, now->name),
        .version = now->version,
        .file_count = (int64_t)now->object_count,
        .row_count = now->row_count,
        .files =
            lh_arena_array(repairing->arena, now->object_count + 1, sizeof(*repairing->ret->files)),
        .is_dry_run = options->is_dry_run,
    };
    return LH_OK;
}

static struct catalog_repaired_file *add_file(struct repairing *repairing,
                                              const struct catalog_object *object)
{
    size_t at = repairing->ret->repaired_count++;
    repairing->objects[at] = object;
    repairing->ret->files[at] = (struct catalog_repaired_file){
        .key = lh_arena_str(repairing->arena, object->key), .rows = object->rows};
    return &repairing->ret->files[at];
}

/* What the commit remembers, and the journal tells. */
static struct lh_str result_text(const struct repairing *repairing, bool has_found)
{
    struct lh_buf buf;
    struct lh_json json;
    size_t count = repairing->ret->repaired_count;
    lh_buf_init(&buf, 65536);
    lh_json_init(&json, &buf);
    lh_json_object(&json);
    lh_json_put_int(&json, "file_count", (int64_t)count);
    lh_json_key(&json, "files");
    lh_json_array(&json);
    for (size_t i = 0; i < count && i < RESULT_FILES_MAX; i++) {
        const struct catalog_repaired_file *file = &repairing->ret->files[i];
        lh_json_object(&json);
        if (has_found)
            lh_json_put_int(&json, "found_rows", file->found_rows);
        lh_json_put_str(&json, "key", file->key);
        lh_json_put_int(&json, "rows", file->rows);
        if (!has_found)
            lh_json_put_str(&json, "what", lh_str_head(file->what, 300));
        lh_json_object_end(&json);
    }
    lh_json_array_end(&json);
    lh_json_object_end(&json);
    struct lh_str text = lh_arena_str(repairing->arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

static enum lh_code commit(struct repairing *repairing, struct catalog_change *change,
                           struct lh_error *err)
{
    const struct catalog_repair_options *options = repairing->options;
    struct catalog_repair *ret = repairing->ret;
    struct catalog_commit_result result;
    bool is_resync = change->action == CATALOG_RESYNC;
    struct lh_str *removed =
        lh_arena_array(repairing->arena, ret->repaired_count + 1, sizeof(*removed));
    for (size_t i = 0; i < ret->repaired_count; i++)
        removed[i] = repairing->objects[i]->key;
    struct catalog_event *event = lh_arena_alloc(repairing->arena, sizeof(*event));
    *event = (struct catalog_event){ret->name, is_resync ? lh_lit("resync") : lh_lit("quarantine"),
                                    result_text(repairing, is_resync)};
    change->dataset_id = repairing->now->id;
    /* Commits that came meanwhile do no harm as long as these files are still in it. */
    change->expected_version = options->expected_version;
    change->removed = removed;
    change->removed_count = ret->repaired_count;
    change->actor = options->actor;
    change->reason = options->reason;
    change->result = event->detail;
    change->events = event;
    change->event_count = 1;
    enum lh_code code = catalog_commit(repairing->catalog, change, repairing->arena, &result, err);
    if (!code)
        ret->version = result.version;
    return code;
}

/* --- quarantine */

static enum lh_code find_damaged(struct repairing *repairing, struct lh_error *err)
{
    const struct catalog_dataset *now = repairing->now;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < now->object_count && !code; i++) {
        struct lh_error found = LH_ERROR_NONE;
        code =
            trust_recheck(repairing->catalog, now->objects[i], repairing->options->cancel, &found);
        if (code == LH_DAMAGED) {
            add_file(repairing, now->objects[i])->what =
                lh_arena_str(repairing->arena, lh_str_of(found.message));
            code = LH_OK;
        } else if (code && err) {
            *err = found;
        }
    }
    return code;
}

static enum lh_code set_aside(struct repairing *repairing, struct lh_error *err)
{
    const struct catalog_dataset *now = repairing->now;
    struct catalog_repair *ret = repairing->ret;
    struct catalog_change change = {
        .action = CATALOG_QUARANTINE, .set_bits = CATALOG_SET_QUARANTINED, .set = *now};
    if (ret->repaired_count == now->object_count) {
        lh_fail(err, LH_CONFLICT, "Every data file of dataset '%.*s' is damaged or missing.",
                LH_ARG(now->name));
        return lh_error_hint(err, "Is its disk there? Restore the files from a backup, or delete "
                                  "the dataset.");
    }
    for (size_t i = 0; i < ret->repaired_count; i++) {
        change.set.quarantined_rows += ret->files[i].rows;
        change.set.quarantined_files++;
        if (!repairing->options->is_dry_run)
            ret->row_count -= ret->files[i].rows;
    }
    if (repairing->options->is_dry_run)
        return LH_OK;
    enum lh_code code = commit(repairing, &change, err);
    if (!code)
        catalog_drop_problems(repairing->catalog, now->id);
    return code;
}

enum lh_code catalog_quarantine(struct catalog *catalog,
                                const struct catalog_repair_options *options,
                                struct lh_arena *arena, struct catalog_repair *ret,
                                struct lh_error *err)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    struct catalog_repair result = {0};
    struct repairing repairing = {
        .catalog = catalog, .options = options, .arena = arena, .ret = &result};
    enum lh_code code = begin(&repairing, snapshot, err);
    if (!code)
        code = find_damaged(&repairing, err);
    if (!code && result.repaired_count)
        code = set_aside(&repairing, err);
    catalog_snapshot_unref(snapshot);
    if (!code)
        *ret = result;
    return code;
}

/* --- resync */

static enum lh_code count_again(struct repairing *repairing, struct lh_error *err)
{
    const struct catalog_repair_options *options = repairing->options;
    const struct catalog_dataset *now = repairing->now;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < now->object_count && !code; i++) {
        int64_t rows = 0;
        code = catalog_ensure_verified(repairing->catalog, now->objects[i], options->cancel, err);
        if (!code)
            code = options->count_rows(options->context, now->objects[i], &rows, err);
        if (!code && rows != now->objects[i]->rows)
            add_file(repairing, now->objects[i])->found_rows = rows;
    }
    return code;
}

static enum lh_code put_counts(struct repairing *repairing, struct lh_error *err)
{
    struct catalog_repair *ret = repairing->ret;
    struct catalog_object *objects =
        lh_arena_array(repairing->arena, ret->repaired_count + 1, sizeof(*objects));
    for (size_t i = 0; i < ret->repaired_count; i++) {
        objects[i] = *repairing->objects[i];
        objects[i].rows = ret->files[i].found_rows;
        objects[i].stands_for = objects[i].key; /* rows keep their order */
        if (!repairing->options->is_dry_run)
            ret->row_count += ret->files[i].found_rows - ret->files[i].rows;
    }
    struct catalog_change change = {
        .action = CATALOG_RESYNC, .objects = objects, .object_count = ret->repaired_count};
    return repairing->options->is_dry_run ? LH_OK : commit(repairing, &change, err);
}

enum lh_code catalog_resync(struct catalog *catalog, const struct catalog_repair_options *options,
                            struct lh_arena *arena, struct catalog_repair *ret,
                            struct lh_error *err)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    struct catalog_repair result = {0};
    struct repairing repairing = {
        .catalog = catalog, .options = options, .arena = arena, .ret = &result};
    enum lh_code code = begin(&repairing, snapshot, err);
    if (!code)
        code = count_again(&repairing, err);
    if (!code && result.repaired_count)
        code = put_counts(&repairing, err);
    catalog_snapshot_unref(snapshot);
    if (!code)
        *ret = result;
    return code;
}
