#include <assert.h>
#include <stdlib.h>

#include "catalog/tombstone_internal.h"

#define RESULT_BYTES_MAX ((size_t)65536)
#define TEXT_BYTES_MAX ((size_t)65536)
#define COLUMNS_MAX ((size_t)100000)

/* --- what can be said without looking at the dataset */

static enum lh_code check_text(struct lh_str text, const char *what, size_t max,
                               struct lh_error *err)
{
    if (text.len > max)
        return lh_fail(err, LH_TOO_LARGE, "%s has %zu bytes; the most is %zu.", what, text.len,
                       max);
    if (!lh_str_is_utf8(text, NULL) || (text.len && memchr(text.data, '\0', text.len)))
        return lh_fail(err, LH_INVALID, "%s is not UTF-8 text.", what);
    return LH_OK;
}

static enum lh_code check_texts(const struct catalog_change *change, struct lh_error *err)
{
    const struct {
        struct lh_str text;
        const char *what;
        size_t max;
    } rows[] = {
        {change->actor, "The actor", 1024},
        {change->reason, "The reason", TEXT_BYTES_MAX},
        {change->job_id, "The job's id", 1024},
        {change->idempotency_key, "The idempotency key", 1024},
        {change->request_hash, "The hash of the request", LH_SHA256_HEX_BYTES},
        {change->result, "The result", RESULT_BYTES_MAX},
        {change->set.description, "The description", TEXT_BYTES_MAX},
        {change->set.owner, "The owner", 1024},
        {change->set.lineage.source_system, "The lineage's source system", 1024},
        {change->set.lineage.source_file, "The lineage's source file", 8192},
        {change->set.lineage.ingest_job, "The lineage's job", 1024},
        {change->set.refresh.schedule, "The refresh policy's schedule", 1024},
    };
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && !code; i++)
        code = check_text(rows[i].text, rows[i].what, rows[i].max, err);
    for (size_t i = 0; i < change->set.tags.count && !code; i++)
        code = check_text(change->set.tags.items[i], "A tag", 1024, err);
    for (size_t i = 0; i < change->event_count && !code; i++) {
        code = check_text(change->events[i].entity, "An event's entity", 8192, err);
        if (!code)
            code = check_text(change->events[i].action, "An event's action", 1024, err);
        if (!code)
            code = check_text(change->events[i].detail, "An event's detail", TEXT_BYTES_MAX, err);
    }
    return code;
}

static enum lh_code check_columns(const struct catalog_dataset *set, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    if (!set->column_count || set->column_count > COLUMNS_MAX)
        return lh_fail(err, LH_INVALID, "A dataset has 1 to %zu columns, not %zu.", COLUMNS_MAX,
                       set->column_count);
    for (size_t i = 0; i < set->column_count && !code; i++) {
        const struct catalog_column *column = &set->columns[i];
        code = check_text(column->name, "A column's name", TEXT_BYTES_MAX, err);
        if (!code)
            code = check_text(column->type, "A column's type", TEXT_BYTES_MAX * 16, err);
        if (!code)
            code = check_text(column->description, "A column's description", TEXT_BYTES_MAX, err);
        if (!code && (!column->name.len || !column->stored_name.len || !column->type.len))
            code = lh_fail(err, LH_INVALID, "Column %zu has no name or no type.", i + 1);
        if (!code && (unsigned)column->sensitivity >= CATALOG_SENSITIVITY_COUNT)
            code = lh_fail(err, LH_INVALID, "Column %zu has an unknown sensitivity.", i + 1);
    }
    return code;
}

static enum lh_code check_objects(const struct catalog_change *change, struct lh_error *err)
{
    for (size_t i = 0; i < change->object_count + change->tombstone_count; i++) {
        const struct catalog_object *object = i < change->object_count
                                                  ? &change->objects[i]
                                                  : &change->tombstones[i - change->object_count];
        enum lh_code code = storage_key_check(object->key, err);
        if (code)
            return code;
        if (!object->bucket.len || object->bytes <= 0 || object->rows < 0)
            return lh_fail(err, LH_INVALID, "The file '%.*s' has no bucket, no bytes or no rows.",
                           LH_ARG(object->key));
    }
    return LH_OK;
}

static enum lh_code check_shape(const struct catalog_change *change, struct lh_error *err)
{
    static const struct {
        bool takes_name, takes_objects, takes_removed, takes_set, takes_tombstones;
    } rows[] = {
        [CATALOG_CREATE] = {true, true, false, true, true},
        [CATALOG_APPEND] = {false, true, false, true, true},
        [CATALOG_UPSERT] = {false, true, false, true, true},
        [CATALOG_REPLACE] = {false, true, false, true, true},
        [CATALOG_REWRITE] = {false, true, true, true, true},
        [CATALOG_UPDATE] = {false, false, false, true, false},
        [CATALOG_RENAME] = {true, false, false, false, false},
        [CATALOG_DROP] = {false, false, false, false, false},
        [CATALOG_EXPIRE] = {false, false, false, false, false},
        [CATALOG_UNDO] = {true, true, true, true, true},
        [CATALOG_TOMBSTONE] = {false, false, false, false, true},
        [CATALOG_LIFT] = {false, false, false, false, true},
        [CATALOG_FOLD] = {false, false, false, false, true},
        [CATALOG_QUARANTINE] = {false, false, true, true, false},
        [CATALOG_RESYNC] = {false, true, true, false, false},
        [CATALOG_MOVE] = {false, false, false, false, false},
    };
    if ((unsigned)change->action >= sizeof rows / sizeof rows[0])
        return lh_fail(err, LH_INVALID, "There is no such change of a dataset.");
    if (!lh_uuid_is_valid(change->dataset_id))
        return lh_fail(err, LH_INVALID, "'%.*s' is not the id of a dataset.",
                       LH_ARG(lh_str_head(change->dataset_id, 100)));
    if ((change->object_count && !rows[change->action].takes_objects) ||
        (change->removed_count && !rows[change->action].takes_removed) ||
        (change->set_bits && !rows[change->action].takes_set) ||
        ((change->tombstone_count || change->tombstone_removed_count) &&
         !rows[change->action].takes_tombstones) ||
        (change->set_bits & ~(uint32_t)(2 * CATALOG_SET_QUARANTINED - 1)))
        return lh_fail(err, LH_INVALID, "This kind of change cannot carry what was given with it.");
    if (change->action == CATALOG_UPDATE && !change->set_bits)
        return lh_fail(err, LH_INVALID, "Nothing is to be changed.");
    if (change->action == CATALOG_APPEND && !change->object_count)
        return lh_fail(err, LH_INVALID, "There is nothing to append.");
    if (change->action == CATALOG_CREATE && !(change->set_bits & CATALOG_SET_COLUMNS))
        return lh_fail(err, LH_INVALID, "A new dataset needs columns.");
    if (change->action == CATALOG_CREATE && change->expected_version)
        return lh_fail(err, LH_PRECONDITION, "A dataset that is yet to be made has no version.");
    if (change->action == CATALOG_TOMBSTONE && !change->tombstone_count)
        return lh_fail(err, LH_INVALID, "There is nothing to tombstone.");
    if ((change->action == CATALOG_MOVE) != (change->move_count > 0))
        return lh_fail(err, LH_INVALID, "A move says what is moved, and nothing else does.");
    return rows[change->action].takes_name ? catalog_check_name(change->name, err) : LH_OK;
}

enum lh_code change_check(const struct catalog_change *change, struct lh_error *err)
{
    enum lh_code code = check_shape(change, err);
    if (!code)
        code = check_texts(change, err);
    if (!code && (change->set_bits & CATALOG_SET_COLUMNS))
        code = check_columns(&change->set, err);
    if (!code && (change->set_bits & CATALOG_SET_SENSITIVITY) &&
        (unsigned)change->set.sensitivity >= CATALOG_SENSITIVITY_COUNT)
        code = lh_fail(err, LH_INVALID, "There is no such sensitivity.");
    if (!code)
        code = check_objects(change, err);
    return code;
}

bool change_is_joinable(const struct catalog_change *change)
{
    const uint32_t harmless =
        CATALOG_SET_LINEAGE | CATALOG_SET_STALE_SINCE | CATALOG_SET_EMBEDDED_AT;
    return change->action == CATALOG_APPEND && !change->expected_version &&
           !(change->set_bits & ~harmless);
}

/* --- against the dataset as it is */

static enum lh_code check_present(const struct dataset_state *state,
                                  const struct catalog_change *change, struct lh_error *err)
{
    if (!state || (state->view.is_deleted && change->action != CATALOG_EXPIRE &&
                   change->action != CATALOG_UNDO && change->action != CATALOG_MOVE))
        return lh_fail(err, LH_NOT_FOUND, "The dataset was dropped, or never existed.");
    if (state->damage)
        return state_fail_damaged(state, err);
    if (change->expected_version && change->expected_version != state->view.version) {
        lh_fail(err, LH_PRECONDITION, "Dataset '%.*s' is at version %lld, not %lld.",
                LH_ARG(state->view.name), (long long)state->view.version,
                (long long)change->expected_version);
        return lh_error_hint(err, "Read it again, then repeat the change on what it is now.");
    }
    if (change->base_version && change->base_version != state->view.version) {
        lh_fail(err, LH_RACE, "Dataset '%.*s' changed while its new rows were made.",
                LH_ARG(state->view.name));
        return lh_error_hint(err, "Try again.");
    }
    if (change->base_schema.len && !lh_str_equal(change->base_schema, state->view.schema)) {
        lh_fail(err, LH_RACE, "The columns of dataset '%.*s' changed while its new rows were made.",
                LH_ARG(state->view.name));
        return lh_error_hint(err, "Try again: the rows will be fitted to the new columns.");
    }
    return LH_OK;
}

static enum lh_code check_name_free(const struct catalog_snapshot *snapshot,
                                    const struct catalog_change *change, struct lh_error *err)
{
    size_t place = snapshot_find_name(snapshot, change->name);
    if (place == SIZE_MAX || lh_str_equal(snapshot->items[place]->view.id, change->dataset_id))
        return LH_OK;
    lh_fail(err, LH_EXISTS, "There is a dataset '%.*s' already.",
            LH_ARG(snapshot->items[place]->view.name));
    return lh_error_hint(err,
                         "Names are compared without regard to case. Choose another, or append "
                         "to or replace the one that is there.");
}

/* The newest version never expires: of a dropped dataset it is the expiry itself. */
static enum lh_code check_expiry(const struct dataset_state *state,
                                 const struct catalog_change *change, struct lh_error *err)
{
    int64_t newest = state->view.version + (state->view.is_deleted ? 1 : 0);
    if (change->retain_from > state->view.retained_version && change->retain_from > 1 &&
        change->retain_from <= newest)
        return LH_OK;
    return lh_fail(err, LH_INVALID,
                   "Dataset '%.*s' cannot keep its versions from %lld on: it has %lld to %lld.",
                   LH_ARG(state->view.name), (long long)change->retain_from,
                   (long long)(state->view.retained_version ? state->view.retained_version : 1),
                   (long long)newest);
}

static enum lh_code check_files(const struct dataset_state *state,
                                const struct catalog_change *change,
                                const struct manifest *manifest, struct lh_error *err)
{
    for (size_t i = 0; i < change->object_count; i++) {
        struct lh_str key = change->objects[i].key;
        bool is_there = state && change->action != CATALOG_RESYNC &&
                        object_list_has(state->files, state->view.object_count, key);
        for (size_t k = 0; k < manifest->added.count && !is_there; k++)
            is_there = lh_str_equal(manifest->added.items[k].key, key);
        for (size_t k = 0; k < i && !is_there; k++)
            is_there = lh_str_equal(change->objects[k].key, key);
        if (is_there)
            return lh_fail(err, LH_EXISTS, "The file '%.*s' is in the dataset already.",
                           LH_ARG(key));
    }
    return LH_OK;
}

static int compare_live(const void *a, const void *b)
{
    const struct catalog_object *const *x = a, *const *y = b;
    return lh_str_compare((*x)->key, (*y)->key);
}

/* A file that comes anew under its own key is where it was: it may have been moved meanwhile. */
static enum lh_code check_places(const struct dataset_state *state,
                                 const struct catalog_change *change, struct lh_error *err)
{
    for (size_t i = 0; change->action == CATALOG_RESYNC && i < change->object_count; i++)
        for (size_t k = 0; k < state->view.object_count; k++)
            if (lh_str_equal(state->view.objects[k]->key, change->objects[i].key) &&
                !lh_str_equal(state->view.objects[k]->bucket, change->objects[i].bucket))
                return lh_fail(err, LH_RACE,
                               "Files of dataset '%.*s' were moved to another bucket meanwhile.",
                               LH_ARG(state->view.name));
    return LH_OK;
}

/* What was copied is what there was up to some version of the dataset. */
static enum lh_code check_moves(const struct dataset_state *state,
                                const struct catalog_change *change, struct lh_error *err)
{
    for (size_t i = 0; i < change->move_count; i++) {
        const struct catalog_moved *moved = &change->moves[i];
        assert(state && change->moves);
        if (!moved->from.len || !moved->to.len || lh_str_equal(moved->from, moved->to) ||
            moved->through < 1 || moved->through > state->view.version)
            return lh_fail(err, LH_INVALID, "Dataset '%.*s' cannot be moved from '%.*s' to '%.*s'.",
                           LH_ARG(state->view.name), LH_ARG(moved->from), LH_ARG(moved->to));
    }
    return LH_OK;
}

static void add_moves(const struct catalog_change *change, struct lh_arena *arena,
                      struct manifest *manifest)
{
    struct catalog_moved *moves = lh_arena_array(arena, change->move_count + 1, sizeof *moves);
    for (size_t i = 0; i < change->move_count; i++) {
        moves[i] = change->moves[i];
        moves[i].version = manifest->version;
        moves[i].time_ms = manifest->time_ms;
    }
    manifest->moves = moves;
    manifest->move_count = change->move_count;
}

/* What goes must still be there; *ret_rows is how many rows go with it. */
static enum lh_code check_removed(const struct dataset_state *state,
                                  const struct catalog_change *change, struct lh_arena *arena,
                                  int64_t *ret_rows, struct lh_error *err)
{
    *ret_rows = 0;
    if (!change->removed_count || !state)
        return LH_OK;
    size_t count = state->view.object_count;
    const struct catalog_object **live = lh_arena_array(arena, count + 1, sizeof *live);
    for (size_t i = 0; i < count; i++)
        live[i] = state->view.objects[i];
    qsort(live, count, sizeof *live, compare_live);
    for (size_t i = 0; i < change->removed_count; i++) {
        const struct catalog_object wanted = {.key = change->removed[i]};
        const struct catalog_object *key = &wanted;
        const struct catalog_object **found =
            bsearch(&key, live, count, sizeof *live, compare_live);
        if (!found)
            return lh_fail(err, LH_RACE,
                           "Files of dataset '%.*s' that were to be rewritten are no longer in it.",
                           LH_ARG(state->view.name));
        *ret_rows += (*found)->rows;
    }
    return LH_OK;
}

/* What a rewrite brings has the rows of what it takes away: `rows` of them. */
static enum lh_code check_rewrite(const struct dataset_state *state,
                                  const struct catalog_change *change, int64_t rows,
                                  struct lh_error *err)
{
    if (change->action != CATALOG_REWRITE)
        return LH_OK;
    if (change->tombstone_stamp != state->view.tombstone_stamp)
        return lh_fail(err, LH_RACE, "The tombstones of dataset '%.*s' changed meanwhile.",
                       LH_ARG(state->view.name));
    rows -= change->rows_dropped;
    for (size_t i = 0; i < change->object_count; i++)
        rows -= change->objects[i].rows;
    if (rows)
        return lh_fail(err, LH_INVALID, "A rewrite of dataset '%.*s' changes how many rows it has.",
                       LH_ARG(state->view.name));
    return LH_OK;
}

/* Two who make a column's first tombstone at once may both be told that there is room. */
static enum lh_code check_tombstones(const struct dataset_state *state,
                                     const struct catalog_change *change, struct lh_error *err)
{
    size_t count = state ? state->view.tombstone_count : 0;
    if (change->tombstone_stamp && state && change->tombstone_stamp != state->view.tombstone_stamp)
        return lh_fail(err, LH_RACE, "The tombstones of dataset '%.*s' changed meanwhile.",
                       LH_ARG(state->view.name));
    for (size_t i = 0; i < change->tombstone_removed_count; i++) {
        bool is_there = false;
        for (size_t k = 0; k < count && !is_there; k++)
            is_there = lh_str_equal(state->view.tombstones[k]->key, change->tombstones_removed[i]);
        if (!is_there)
            return lh_fail(err, LH_RACE, "The tombstones of dataset '%.*s' changed meanwhile.",
                           LH_ARG(state ? state->view.name : change->name));
    }
    enum lh_code code = LH_OK;
    if (change->tombstone_check && state)
        code = change->tombstone_check(change->tombstone_context, &state->view, err);
    if (!code && change->action == CATALOG_TOMBSTONE)
        code = tombstone_check_column(&state->view, tombstone_column(&change->tombstones[0]), true,
                                      err);
    return code;
}

/* The caller looked before it did the work; meanwhile another may have brought the same file. */
static enum lh_code check_once(const struct dataset_state *state,
                               const struct catalog_change *change, const struct manifest *manifest,
                               struct lh_error *err)
{
    for (size_t i = 0; change->once && i < change->object_count; i++) {
        const struct catalog_object *object = &change->objects[i];
        bool is_there = state && object->source_sha256.len &&
                        catalog_dataset_source(&state->view, object->source_sha256,
                                               object->source_options, NULL);
        for (size_t k = 0; k < manifest->added.count && !is_there; k++)
            is_there =
                object->source_sha256.len &&
                lh_str_equal(manifest->added.items[k].source_sha256, object->source_sha256) &&
                lh_str_equal(manifest->added.items[k].source_options, object->source_options);
        if (is_there)
            return lh_fail(err, LH_RACE, "The same file came into '%.*s' a moment ago.",
                           LH_ARG(state ? state->view.name : change->name));
    }
    return LH_OK;
}

static struct lh_str schema_of_files(const struct dataset_state *state,
                                     const struct catalog_change *change, struct lh_arena *arena)
{
    if (change->set_bits & CATALOG_SET_COLUMNS)
        return catalog_schema_fingerprint(change->set.columns, change->set.column_count, arena);
    return state ? state->view.schema : (struct lh_str){0};
}

static enum lh_code check_schemas(const struct dataset_state *state,
                                  const struct catalog_change *change, struct lh_str current,
                                  struct lh_error *err)
{
    for (size_t i = 0; i < change->object_count; i++) {
        struct lh_str schema = change->objects[i].schema;
        bool is_known = !schema.len || lh_str_equal(schema, current);
        for (size_t k = 0; state && k < state->view.schema_count && !is_known; k++)
            is_known = lh_str_equal(state->view.schemas[k].fingerprint, schema);
        for (size_t k = 0; k < change->set.schema_count && !is_known; k++)
            is_known = lh_str_equal(change->set.schemas[k].fingerprint, schema);
        if (!is_known)
            return lh_fail(err, LH_INVALID, "The file '%.*s' has a schema that nothing describes.",
                           LH_ARG(change->objects[i].key));
    }
    return LH_OK;
}

static void add_objects(const struct catalog_change *change, struct lh_str schema,
                        struct lh_arena *arena, struct manifest *manifest)
{
    size_t old_count = manifest->added.count, count = old_count + change->object_count;
    struct catalog_object *items = lh_arena_array(arena, count + 1, sizeof *items);
    for (size_t i = 0; i < old_count; i++)
        items[i] = manifest->added.items[i];
    for (size_t i = old_count; i < count; i++) {
        items[i] = change->objects[i - old_count];
        items[i].added_version = manifest->version;
        if (!items[i].schema.len)
            items[i].schema = schema;
    }
    manifest->added = (struct manifest_objects){items, count};
}

static void add_tombstones(const struct catalog_change *change, struct lh_arena *arena,
                           struct manifest *manifest)
{
    size_t old_count = manifest->tombstones_added.count;
    size_t count = old_count + change->tombstone_count;
    struct catalog_object *items = lh_arena_array(arena, count + 1, sizeof *items);
    for (size_t i = 0; i < old_count; i++)
        items[i] = manifest->tombstones_added.items[i];
    for (size_t i = old_count; i < count; i++) {
        items[i] = change->tombstones[i - old_count];
        items[i].added_version = manifest->version;
    }
    manifest->tombstones_added = (struct manifest_objects){items, count};
    if (change->tombstone_removed_count)
        manifest->tombstones_removed =
            (struct lh_str_list){change->tombstones_removed, change->tombstone_removed_count};
}

/* A rename tells the old name, which nothing else in the version does. */
static const struct catalog_event *rename_event(const struct dataset_state *state,
                                                const struct catalog_change *change,
                                                struct lh_arena *arena)
{
    struct catalog_event *event = lh_arena_alloc(arena, sizeof *event);
    *event = (struct catalog_event){
        .entity = state->view.name,
        .action = lh_lit("rename"),
        .detail = lh_arena_printf(arena, "{\"from\":\"%.*s\",\"to\":\"%.*s\"}",
                                  LH_ARG(state->view.name), LH_ARG(change->name)),
    };
    return event;
}

static void add_commit(const struct dataset_state *state, const struct catalog_change *change,
                       const struct lh_uuid *uuid, struct lh_arena *arena,
                       struct manifest *manifest)
{
    static const char *const actions[] = {
        [CATALOG_CREATE] = "create",   [CATALOG_APPEND] = "append",
        [CATALOG_UPSERT] = "upsert",   [CATALOG_REPLACE] = "replace",
        [CATALOG_REWRITE] = "rewrite", [CATALOG_UPDATE] = "update",
        [CATALOG_RENAME] = "rename",   [CATALOG_DROP] = "drop",
        [CATALOG_EXPIRE] = "expire",   [CATALOG_UNDO] = "undo",
        [CATALOG_LIFT] = "lift",       [CATALOG_TOMBSTONE] = "tombstone",
        [CATALOG_FOLD] = "fold",       [CATALOG_QUARANTINE] = "quarantine",
        [CATALOG_RESYNC] = "resync",   [CATALOG_MOVE] = "move"};
    struct catalog_commit_info *commits =
        lh_arena_array(arena, manifest->commit_count + 1, sizeof *commits);
    for (size_t i = 0; i < manifest->commit_count; i++)
        commits[i] = manifest->commits[i];
    commits[manifest->commit_count] = (struct catalog_commit_info){
        .uuid = lh_uuid_str(uuid),
        .action = lh_str_of(actions[change->action]),
        .actor = change->actor,
        .reason = change->reason,
        .job_id = change->job_id,
        .idempotency_key = change->idempotency_key,
        .request_hash = change->request_hash,
        .result = change->result,
        .events = change->events,
        .event_count = change->event_count,
    };
    if (change->action == CATALOG_RENAME && !change->event_count) {
        commits[manifest->commit_count].events = rename_event(state, change, arena);
        commits[manifest->commit_count].event_count = 1;
    }
    manifest->commits = commits;
    manifest->commit_count++;
}

static bool takes_a_name(const struct catalog_change *change)
{
    return change->action == CATALOG_CREATE || change->action == CATALOG_RENAME ||
           change->action == CATALOG_UNDO;
}

static void merge_set(const struct catalog_change *change, struct manifest *manifest)
{
    struct catalog_dataset *set = &manifest->set;
    state_set_members(change->set_bits, &change->set, set);
    manifest->set_bits |= change->set_bits;
    if (change->action == CATALOG_CREATE) {
        manifest->set_bits |= MANIFEST_SET_CREATED;
        set->created_ms = manifest->time_ms;
    }
    if (takes_a_name(change)) {
        manifest->set_bits |= MANIFEST_SET_NAME;
        set->name = change->name;
    }
    if (change->action == CATALOG_DROP || change->action == CATALOG_UNDO) {
        manifest->set_bits |= MANIFEST_SET_DELETED;
        set->is_deleted = change->action == CATALOG_DROP;
    }
    if (change->action == CATALOG_EXPIRE) {
        manifest->set_bits |= MANIFEST_SET_RETAINED;
        set->retained_version = change->retain_from;
    }
}

enum lh_code change_merge(const struct catalog_snapshot *snapshot,
                          const struct dataset_state *state, const struct catalog_change *change,
                          const struct lh_uuid *uuid, struct lh_arena *arena,
                          struct manifest *manifest, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    int64_t rows = 0;
    if (change->action != CATALOG_CREATE)
        code = check_present(state, change, err);
    else if (state)
        code = lh_fail(err, LH_EXISTS, "A dataset with the id '%.*s' was made already.",
                       LH_ARG(change->dataset_id));
    if (!code && takes_a_name(change))
        code = check_name_free(snapshot, change, err);
    if (!code && change->action == CATALOG_EXPIRE)
        code = check_expiry(state, change, err);
    if (!code)
        code = check_files(state, change, manifest, err);
    if (!code)
        code = check_places(state, change, err);
    if (!code)
        code = check_moves(state, change, err);
    if (!code)
        code = check_removed(state, change, arena, &rows, err);
    if (!code)
        code = check_rewrite(state, change, rows, err);
    if (!code)
        code = check_once(state, change, manifest, err);
    if (!code)
        code = check_tombstones(state, change, err);
    struct lh_str schema = schema_of_files(state, change, arena);
    if (!code)
        code = check_schemas(state, change, schema, err);
    if (code)
        return code;
    merge_set(change, manifest);
    if (change->action == CATALOG_REPLACE && state && state->view.quarantined_files)
        manifest->set_bits |= CATALOG_SET_QUARANTINED; /* to none: those files went with the rest */
    if (change->object_count)
        add_objects(change, schema, arena, manifest);
    if (change->move_count)
        add_moves(change, arena, manifest);
    if (change->tombstone_count || change->tombstone_removed_count)
        add_tombstones(change, arena, manifest);
    /* Readers that still hold a dropped dataset hold a state of before. */
    manifest->removes_all = change->action == CATALOG_REPLACE ||
                            (change->action == CATALOG_EXPIRE && state && state->view.is_deleted);
    manifest->removed = (struct lh_str_list){change->removed, change->removed_count};
    add_commit(state, change, uuid, arena, manifest);
    return LH_OK;
}
