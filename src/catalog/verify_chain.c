#include <ctype.h>
#include <stdlib.h>

#include "catalog/tombstone_internal.h"
#include "catalog/verify_internal.h"

/* The chain is replayed from the lowest version upwards, and every checkpoint compared with what
 * the replay gives. Few states are kept: a version's parent is the one before it, or, after a
 * commit of unknown outcome was published anew, one a little lower. */
#define STATES_KEPT 8

struct chain {
    struct verify *verify;
    struct lh_str id;
    struct lh_arena *arena; /* cleared for each file */
    struct dataset_state *states[STATES_KEPT];
    struct manifest_ref refs[STATES_KEPT]; /* of those states */
    size_t next;                           /* to be overwritten */
    struct manifest_ref *all;              /* manifests and checkpoints that were read well */
    bool *is_checkpoint;
    int64_t *parents;
    size_t count;
    bool is_broken;               /* what comes above cannot be replayed */
    int64_t retained;             /* the oldest version that must be whole; 0 = the first */
    struct dataset_state *newest; /* says where files were moved; NULL: it cannot be replayed */
    int64_t lowest;               /* version of the lowest file */
    uint64_t last_sequence, last_epoch;
};

static size_t find_state(const struct chain *chain, int64_t version)
{
    for (size_t i = 0; i < STATES_KEPT; i++)
        if (chain->states[i] && chain->refs[i].version == version)
            return i;
    return SIZE_MAX;
}

static const struct manifest_ref *find_ref(const struct chain *chain, int64_t version,
                                           bool is_checkpoint)
{
    for (size_t i = chain->count; i > 0; i--)
        if (chain->all[i - 1].version == version && chain->is_checkpoint[i - 1] == is_checkpoint)
            return &chain->all[i - 1];
    return NULL;
}

static bool is_same(const struct manifest_ref *a, const struct manifest_ref *b)
{
    return a && b->version == a->version && memcmp(a->sha256, b->sha256, sizeof a->sha256) == 0;
}

static void keep_state(struct chain *chain, struct dataset_state *state,
                       const struct manifest *manifest)
{
    size_t at = chain->next++ % STATES_KEPT;
    state_unref(chain->states[at]);
    chain->states[at] = state;
    chain->refs[at].version = manifest->version;
    memcpy(chain->refs[at].sha256, manifest->sha256, sizeof manifest->sha256);
}

static void add_text(struct verify *verify, struct text_node **list, size_t *count,
                     struct lh_str text, struct lh_str key)
{
    struct text_node *node = lh_arena_alloc(verify->arena, sizeof *node);
    *node = (struct text_node){*list, lh_arena_str(verify->arena, text), key};
    *list = node;
    ++*count;
}

/* By which column tombstones name rows. */
static void take_column(struct verify *verify, const struct catalog_object *object,
                        struct catalog_object *ret)
{
    struct lh_str suffix = lh_lit(TOMBSTONE_SUFFIX);
    if (object->key.len < suffix.len || !object->range_count ||
        !lh_str_equal(lh_str_slice(object->key, object->key.len - suffix.len, object->key.len),
                      suffix))
        return;
    struct catalog_range *range = lh_arena_alloc(verify->arena, sizeof *range);
    *range =
        (struct catalog_range){.column = lh_arena_str(verify->arena, tombstone_column(object))};
    ret->ranges = range;
    ret->range_count = 1;
}

/* Of files that `version` names: each is where the moves after that put it. */
static void add_objects(struct chain *chain, struct manifest_objects objects, int64_t version)
{
    struct verify *verify = chain->verify;
    for (size_t i = 0; i < objects.count; i++) {
        const struct catalog_object *object = &objects.items[i];
        struct object_record *record = lh_arena_alloc(verify->arena, sizeof *record);
        struct lh_str bucket = object->bucket;
        if (chain->newest)
            bucket = object_place(object, version, chain->newest->view.moves,
                                  chain->newest->view.move_count);
        record->object.bucket = lh_arena_str(verify->arena, bucket);
        record->object.key = lh_arena_str(verify->arena, object->key);
        record->object.bytes = object->bytes;
        record->object.rows = object->rows;
        memcpy(record->object.sha256, object->sha256, sizeof object->sha256);
        take_column(verify, object, &record->object);
        record->next = verify->objects;
        verify->objects = record;
        verify->object_count++;
        for (size_t k = 0; k <= object->source_count; k++)
            if (object_rejects(object, k).len)
                add_text(verify, &verify->rejects, &verify->reject_count, object_rejects(object, k),
                         record->object.key);
    }
}

static bool is_in_newest(const struct chain *chain, struct lh_str key)
{
    const struct catalog_dataset *newest = chain->newest ? &chain->newest->view : NULL;
    for (size_t i = 0; newest && i < newest->object_count; i++)
        if (lh_str_equal(newest->objects[i]->key, key))
            return true;
    return false;
}

/* Damaged files that somebody knows of are told as such. An undo may have brought one back. */
static void add_set_aside(struct chain *chain, const struct manifest *manifest)
{
    struct verify *verify = chain->verify;
    if (manifest->commit_count != 1 ||
        !lh_str_equal(manifest->commits[0].action, lh_lit("quarantine")))
        return;
    for (size_t i = 0; i < manifest->removed.count; i++)
        if (!is_in_newest(chain, manifest->removed.items[i]))
            add_text(verify, &verify->set_aside, &verify->set_aside_count,
                     manifest->removed.items[i], (struct lh_str){0});
}

/* The files of versions that expired are gone, or going. */
static void add_state(struct chain *chain, const struct dataset_state *state)
{
    const struct catalog_dataset *view = &state->view;
    for (size_t i = 0; i < view->object_count; i++)
        add_objects(chain, (struct manifest_objects){view->objects[i], 1}, view->version);
    for (size_t i = 0; i < view->tombstone_count; i++)
        add_objects(chain, (struct manifest_objects){view->tombstones[i], 1}, INT64_MAX);
}

static void add_sequence(struct chain *chain, const struct manifest *manifest, struct lh_str key)
{
    struct verify *verify = chain->verify;
    struct sequence_node *node = lh_arena_alloc(verify->arena, sizeof *node);
    *node = (struct sequence_node){verify->sequences, manifest->sequence, manifest->epoch,
                                   manifest->time_ms, lh_arena_str(verify->arena, key)};
    verify->sequences = node;
    verify->sequence_count++;
    if (manifest->sequence <= chain->last_sequence || manifest->epoch < chain->last_epoch)
        verify_find(verify, CATALOG_ERROR, key,
                    "Its sequence or epoch is not above that of the version before.");
    chain->last_sequence = manifest->sequence;
    chain->last_epoch = manifest->epoch;
}

/* Far below: the same commit was published anew many times on the same parent. */
static size_t replay_state(struct chain *chain, int64_t version)
{
    const struct manifest_ref *ref = find_ref(chain, version, false);
    struct chain_head head = {0};
    if (!ref || chain_replay(chain->verify->storage, chain->id, version, &head, NULL))
        return SIZE_MAX;
    struct manifest manifest = {.version = version};
    memcpy(manifest.sha256, ref->sha256, sizeof ref->sha256);
    keep_state(chain, head.state, &manifest);
    return find_state(chain, version);
}

/* The state that a version starts from: NULL for the first. False: it cannot be had. */
static bool parent_of(struct chain *chain, const struct manifest *manifest, struct lh_str key,
                      struct dataset_state **ret)
{
    *ret = NULL;
    if (!manifest->parent.version)
        return true;
    size_t at = find_state(chain, manifest->parent.version);
    if (at == SIZE_MAX)
        at = replay_state(chain, manifest->parent.version);
    if (at == SIZE_MAX) {
        if (!chain->is_broken)
            verify_find(chain->verify, CATALOG_ERROR, key, "Version %lld before it is missing.",
                        (long long)manifest->parent.version);
        return false;
    }
    *ret = chain->states[at];
    if (is_same(&chain->refs[at], &manifest->parent))
        return true;
    verify_find(chain->verify, CATALOG_ERROR, key,
                "Version %lld is not the one that it was made from.",
                (long long)manifest->parent.version);
    return false;
}

static void check_change(struct chain *chain, const struct manifest *manifest, struct lh_str key)
{
    struct verify *verify = chain->verify;
    struct lh_error err = LH_ERROR_NONE;
    struct dataset_state *parent = NULL, *state = NULL;
    verify->report.versions++;
    add_sequence(chain, manifest, key);
    add_set_aside(chain, manifest);
    if (manifest->version > chain->retained) {
        add_objects(chain, manifest->added, manifest->version);
        add_objects(chain, manifest->tombstones_added, INT64_MAX); /* always in primary */
    }
    bool is_retired =
        manifest->version <= chain->retained && manifest->checkpoint.version < chain->lowest;
    if (manifest->checkpoint.version && !is_retired &&
        !is_same(find_ref(chain, manifest->checkpoint.version, true), &manifest->checkpoint))
        verify_find(verify, CATALOG_ERROR, key,
                    "The checkpoint of version %lld is not the one that "
                    "it refers to.",
                    (long long)manifest->checkpoint.version);
    /* Below the oldest version that is kept, replay begins at the first checkpoint. */
    if (manifest->version < chain->retained && manifest->parent.version &&
        find_state(chain, manifest->parent.version) == SIZE_MAX &&
        manifest->parent.version < chain->lowest)
        return;
    if (!parent_of(chain, manifest, key, &parent)) {
        chain->is_broken = true;
        return;
    }
    enum lh_code code = state_apply(parent, manifest, &state, &err);
    if (!code)
        code = state_check(state, manifest, &err);
    if (code)
        verify_find(verify, CATALOG_ERROR, key, "%s", err.message);
    if (state && manifest->version == chain->retained)
        add_state(chain, state);
    if (state)
        keep_state(chain, state, manifest);
    else
        chain->is_broken = true;
}

/* The lowest one after manifests were retired: there is nothing to compare it with. */
static void begin_with(struct chain *chain, const struct manifest *checkpoint, struct lh_str key)
{
    struct lh_error err = LH_ERROR_NONE;
    struct dataset_state *state = NULL;
    enum lh_code code = state_apply(NULL, checkpoint, &state, &err);
    if (!code)
        code = state_check(state, checkpoint, &err);
    if (!code && !is_same(find_ref(chain, checkpoint->version, false), &checkpoint->parent))
        code = lh_fail(&err, LH_DAMAGED, "It does not repeat the version of its number.");
    if (code) {
        verify_find(chain->verify, CATALOG_ERROR, key, "%s", err.message);
        state_unref(state);
        return;
    }
    struct manifest repeated = {.version = checkpoint->version};
    memcpy(repeated.sha256, checkpoint->parent.sha256, sizeof repeated.sha256);
    keep_state(chain, state, &repeated);
}

static void check_checkpoint(struct chain *chain, const struct manifest *manifest,
                             struct lh_str key)
{
    struct verify *verify = chain->verify;
    size_t at = find_state(chain, manifest->version);
    verify->report.checkpoints++;
    if (at == SIZE_MAX && !chain->is_broken && manifest->version == chain->lowest &&
        manifest->version < chain->retained) {
        begin_with(chain, manifest, key);
        return;
    }
    if (at == SIZE_MAX) {
        if (!chain->is_broken)
            verify_find(verify, CATALOG_ERROR, key, "The version that it repeats is missing.");
        return;
    }
    struct manifest expected;
    struct lh_buf buf;
    lh_buf_init(&buf, MANIFEST_BYTES_MAX);
    state_to_checkpoint(chain->states[at], chain->arena, &expected);
    if (!(manifest->set_bits & MANIFEST_SET_CONTENT)) /* of a release that did not say it */
        expected.set_bits &= ~(uint32_t)MANIFEST_SET_CONTENT;
    expected.epoch = manifest->epoch;
    expected.parent = chain->refs[at];
    if (manifest_encode(&expected, &buf, NULL) ||
        memcmp(expected.sha256, manifest->sha256, sizeof expected.sha256) != 0)
        verify_find(verify, CATALOG_ERROR, key,
                    "It is not the state that the versions up to it add up to.");
    lh_buf_release(&buf);
}

static enum lh_code check_file(struct chain *chain, struct chain_file file, struct lh_error *err)
{
    struct verify *verify = chain->verify;
    struct manifest manifest;
    struct lh_error found = LH_ERROR_NONE;
    lh_arena_clear(chain->arena);
    struct lh_str key = manifest_key(chain->id, file.version, file.is_checkpoint, chain->arena);
    enum lh_code code =
        chain_read(verify->storage, chain->id, file, chain->arena, &manifest, &found);
    if (code == LH_FORMAT || code == LH_BUSY) {
        if (err)
            *err = found;
        return code;
    }
    if (code) {
        verify_find(verify, CATALOG_ERROR, key, "%s", found.message);
        chain->is_broken = chain->is_broken || !file.is_checkpoint;
        return LH_OK;
    }
    chain->all[chain->count].version = manifest.version;
    memcpy(chain->all[chain->count].sha256, manifest.sha256, sizeof manifest.sha256);
    chain->parents[chain->count] = manifest.parent.version;
    chain->is_checkpoint[chain->count++] = file.is_checkpoint;
    if (file.is_checkpoint)
        check_checkpoint(chain, &manifest, key);
    else
        check_change(chain, &manifest, key);
    return LH_OK;
}

static void tell_version(struct verify *verify, const struct manifest *manifest)
{
    const struct catalog_version version = {
        .dataset_id = manifest->dataset_id,
        .version = manifest->version,
        .sequence = manifest->sequence,
        .epoch = manifest->epoch,
        .time_ms = manifest->time_ms,
        .commits = manifest->commits,
        .commit_count = manifest->commit_count,
    };
    if (verify->options.version)
        verify->options.version(verify->options.context, &version);
}

/* Commits count once, along the line from the newest version down: a version that was published
 * anew stands beside its first copy. */
static void add_commits(struct chain *chain)
{
    struct verify *verify = chain->verify;
    int64_t version = 0;
    for (size_t i = 0; i < chain->count; i++)
        if (!chain->is_checkpoint[i])
            version = chain->all[i].version;
    for (size_t i = chain->count; i > 0 && version; i--) {
        struct manifest manifest;
        struct chain_file file = {version, false};
        if (chain->is_checkpoint[i - 1] || chain->all[i - 1].version != version)
            continue;
        lh_arena_clear(chain->arena);
        if (chain_read(verify->storage, chain->id, file, chain->arena, &manifest, NULL))
            return;
        struct lh_str key = manifest_key(chain->id, version, false, verify->arena);
        for (size_t k = 0; k < manifest.commit_count; k++)
            add_text(verify, &verify->uuids, &verify->uuid_count, manifest.commits[k].uuid, key);
        tell_version(verify, &manifest);
        version = chain->parents[i - 1];
    }
}

static void add_name(struct chain *chain, int64_t newest)
{
    struct verify *verify = chain->verify;
    char lower[CATALOG_NAME_BYTES_MAX];
    size_t at = find_state(chain, newest);
    if (at == SIZE_MAX || chain->states[at]->view.is_deleted)
        return;
    struct lh_str name = chain->states[at]->view.name,
                  key = catalog_folder_of(chain->id, verify->arena);
    if (catalog_check_name(name, NULL)) {
        verify_find(verify, CATALOG_ERROR, key, "Its name is not one that a dataset may have.");
        return;
    }
    for (size_t i = 0; i < name.len; i++)
        lower[i] = (char)tolower((unsigned char)name.data[i]);
    add_text(verify, &verify->names, &verify->name_count, (struct lh_str){lower, name.len}, key);
}

/* What cannot be replayed keeps all its versions: then everything that is missing is told. */
static void find_retained(struct chain *chain, int64_t newest)
{
    struct chain_head head = {0};
    if (newest && !chain_replay(chain->verify->storage, chain->id, newest, &head, NULL))
        chain->retained = head.state->view.retained_version;
    chain->newest = head.state;
}

enum lh_code verify_dataset(struct verify *verify, struct lh_str id, struct lh_error *err)
{
    struct chain chain = {.verify = verify, .id = id, .arena = lh_arena_new(0)};
    struct lh_arena *arena = lh_arena_new(0);
    struct chain_file *files = NULL;
    struct lh_error gap = LH_ERROR_NONE;
    size_t count = 0;
    int64_t newest = 0;
    enum lh_code code = chain_list(verify->storage, id, arena, &files, &count, err);
    if (code || !count)
        goto out;
    chain.all = lh_arena_array(arena, count, sizeof *chain.all);
    chain.is_checkpoint = lh_arena_array(arena, count, sizeof *chain.is_checkpoint);
    chain.parents = lh_arena_array(arena, count, sizeof *chain.parents);
    for (size_t i = 0; i < count; i++)
        newest = files[i].is_checkpoint ? newest : files[i].version;
    chain.lowest = files[0].version;
    find_retained(&chain, newest);
    for (size_t i = 0; i < count && !code; i++)
        code = check_file(&chain, files[i], err);
    if (code)
        goto out;
    verify->report.datasets++;
    if (!newest)
        verify_find(verify, CATALOG_ERROR, catalog_folder_of(id, verify->arena),
                    "Only checkpoints of the dataset are left.");
    if (chain_check_gaps(verify->storage, id, files, count, chain.retained, &gap))
        verify_find(verify, CATALOG_ERROR, catalog_folder_of(id, verify->arena), "%s", gap.message);
    add_commits(&chain);
    add_name(&chain, newest);
out:
    for (size_t i = 0; i < STATES_KEPT; i++)
        state_unref(chain.states[i]);
    state_unref(chain.newest);
    lh_arena_free(arena);
    lh_arena_free(chain.arena);
    return code;
}
