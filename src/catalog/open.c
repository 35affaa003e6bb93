#include <stdlib.h>

#include "catalog/load.h"
#include "catalog/tombstone_internal.h"

/* --- problems */

void catalog_add_problem(struct catalog *catalog, struct lh_str dataset_id, struct lh_str name,
                         struct lh_str what)
{
    pthread_mutex_lock(&catalog->problem_mutex);
    struct problem **link = &catalog->problems;
    while (*link && (!lh_str_equal(lh_str_of((*link)->dataset_id), dataset_id) ||
                     !lh_str_equal(lh_str_of((*link)->what), what)))
        link = &(*link)->next;
    if (!*link) {
        struct problem *problem = lh_allocate(1, sizeof *problem);
        problem->dataset_id = lh_allocate_text(dataset_id);
        problem->name = lh_allocate_text(name);
        problem->what = lh_allocate_text(what);
        *link = problem;
    }
    pthread_mutex_unlock(&catalog->problem_mutex);
}

static void problem_free(struct problem *problem)
{
    free(problem->dataset_id);
    free(problem->name);
    free(problem->what);
    free(problem->file);
    free(problem);
}

/* Under the mutex: of a dataset, or of a file if there is one. */
static void drop(struct catalog *catalog, struct lh_str dataset_id, struct lh_str file)
{
    for (struct problem **link = &catalog->problems; *link;) {
        struct problem *problem = *link;
        if (file.data ? !problem->file || !lh_str_equal(lh_str_of(problem->file), file)
                      : !lh_str_equal(lh_str_of(problem->dataset_id), dataset_id)) {
            link = &problem->next;
            continue;
        }
        *link = problem->next;
        catalog->file_problems -= problem->file != NULL;
        problem_free(problem);
    }
}

void catalog_drop_problems(struct catalog *catalog, struct lh_str dataset_id)
{
    pthread_mutex_lock(&catalog->problem_mutex);
    drop(catalog, dataset_id, (struct lh_str){0});
    pthread_mutex_unlock(&catalog->problem_mutex);
}

/* The dataset that has the file now; NULL: none, and what becomes of it is nobody's problem. */
static const struct catalog_dataset *owner_of(const struct catalog_snapshot *snapshot,
                                              const struct catalog_object *object)
{
    for (size_t i = 0; i < snapshot->item_count; i++) {
        const struct catalog_dataset *view = &snapshot->items[i]->view;
        for (size_t at = 0; !view->is_deleted && at < view->object_count; at++)
            if (lh_str_equal(view->objects[at]->key, object->key) &&
                lh_str_equal(view->objects[at]->bucket, object->bucket))
                return view;
    }
    return NULL;
}

static struct lh_str file_name(const struct catalog_object *object, struct lh_arena *arena)
{
    return lh_arena_printf(arena, "%.*s:%.*s", LH_ARG(object->bucket), LH_ARG(object->key));
}

/* Under the mutex. */
static void add_file(struct catalog *catalog, const struct catalog_dataset *owner,
                     struct lh_str file, struct lh_str what)
{
    struct problem *problem = lh_allocate(1, sizeof *problem);
    problem->dataset_id = lh_allocate_text(owner->id);
    problem->name = lh_allocate_text(owner->name);
    problem->what = lh_allocate_text(what);
    problem->file = lh_allocate_text(file);
    problem->next = catalog->problems;
    catalog->problems = problem;
    catalog->file_problems++;
}

void catalog_add_file_problem(struct catalog *catalog, const struct catalog_dataset *dataset,
                              const struct catalog_object *object, struct lh_str what)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str file = file_name(object, arena);
    pthread_mutex_lock(&catalog->problem_mutex);
    drop(catalog, (struct lh_str){0}, file);
    add_file(catalog, dataset, file, what);
    pthread_mutex_unlock(&catalog->problem_mutex);
    lh_arena_free(arena);
}

/* The newest of what is known of a file stands. */
void catalog_tell_file(struct catalog *catalog, const struct catalog_object *object,
                       const struct lh_error *err)
{
    if (!err && !catalog->file_problems)
        return;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str file = file_name(object, arena);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    const struct catalog_dataset *owner = err ? owner_of(snapshot, object) : NULL;
    pthread_mutex_lock(&catalog->problem_mutex);
    drop(catalog, (struct lh_str){0}, file);
    if (owner)
        add_file(catalog, owner, file, lh_str_of(err->message));
    pthread_mutex_unlock(&catalog->problem_mutex);
    catalog_snapshot_unref(snapshot);
    lh_arena_free(arena);
}

/* What was set aside is told until it is back, or given up. */
static void add_quarantined(struct catalog *catalog, struct lh_arena *arena,
                            struct catalog_problem **list, size_t *count)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    size_t more = 0;
    for (size_t i = 0; i < snapshot->item_count; i++)
        more += snapshot->items[i]->view.quarantined_files && !snapshot->items[i]->view.is_deleted;
    if (more) {
        struct catalog_problem *grown = lh_arena_array(arena, *count + more + 2, sizeof *grown);
        memcpy(grown, *list, *count * sizeof *grown);
        *list = grown;
    }
    for (size_t i = 0; more && i < snapshot->item_count; i++) {
        const struct catalog_dataset *view = &snapshot->items[i]->view;
        if (view->quarantined_files && !view->is_deleted)
            (*list)[(*count)++] = (struct catalog_problem){
                .dataset_id = lh_arena_str(arena, view->id),
                .name = lh_arena_str(arena, view->name),
                .what = lh_arena_printf(arena,
                                        "%lld damaged files with %lld rows are set aside: "
                                        "statements do not see them.",
                                        (long long)view->quarantined_files,
                                        (long long)view->quarantined_rows),
            };
    }
    catalog_snapshot_unref(snapshot);
}

/* Of several files the same may be said: their bucket is not there. Those of one dataset stand
 * close together, so a look at the last ones does. */
static bool is_listed(const struct problem *problem, const struct catalog_problem *list,
                      size_t count)
{
    for (size_t i = count; i > 0 && count - i < 64; i--)
        if (lh_str_equal(list[i - 1].dataset_id, lh_str_of(problem->dataset_id)) &&
            lh_str_equal(list[i - 1].what, lh_str_of(problem->what)))
            return true;
    return false;
}

void catalog_problems(struct catalog *catalog, struct lh_arena *arena, struct catalog_problem **ret,
                      size_t *ret_count)
{
    size_t count = 0;
    pthread_mutex_lock(&catalog->problem_mutex);
    for (const struct problem *at = catalog->problems; at; at = at->next)
        count++;
    struct catalog_problem *list = lh_arena_array(arena, count + 2, sizeof *list);
    count = 0;
    for (const struct problem *at = catalog->problems; at; at = at->next) {
        if (is_listed(at, list, count))
            continue;
        list[count++] = (struct catalog_problem){
            .dataset_id = lh_arena_str(arena, lh_str_of(at->dataset_id)),
            .name = at->name[0] ? lh_arena_str(arena, lh_str_of(at->name)) : (struct lh_str){0},
            .what = lh_arena_str(arena, lh_str_of(at->what)),
        };
    }
    pthread_mutex_unlock(&catalog->problem_mutex);
    add_quarantined(catalog, arena, &list, &count);
    if (!catalog_is_writable(catalog))
        list[count++].what = lh_lit("Writing has stopped; restart the server to recover.");
    *ret = list;
    *ret_count = count;
}

bool catalog_is_writable(struct catalog *catalog)
{
    pthread_mutex_lock(&catalog->queue_mutex);
    bool is_writable = !catalog->stopped && !catalog->is_closing;
    pthread_mutex_unlock(&catalog->queue_mutex);
    return is_writable;
}

uint64_t catalog_epoch(const struct catalog *catalog)
{
    return catalog->epoch;
}

/* --- slots and what readers see */

size_t catalog_add_slot(struct catalog *catalog, struct lh_str id)
{
    if (catalog->slot_count == catalog->slot_capacity) {
        size_t capacity = catalog->slot_capacity ? catalog->slot_capacity * 2 : 64;
        struct slot *slots = lh_allocate(capacity, sizeof *slots);
        if (catalog->slot_count)
            memcpy(slots, catalog->slots, catalog->slot_count * sizeof *slots);
        free(catalog->slots);
        catalog->slots = slots;
        catalog->slot_capacity = capacity;
    }
    memcpy(catalog->slots[catalog->slot_count].id, id.data, LH_UUID_TEXT_BYTES);
    return catalog->slot_count++;
}

void catalog_show(struct catalog *catalog, size_t place, struct dataset_state *state,
                  uint64_t sequence, int64_t time_ms)
{
    struct catalog_snapshot *old = catalog->snapshot;
    live_add(catalog->live, state);
    struct catalog_snapshot *snapshot = snapshot_with(old, place, state, sequence, time_ms);
    catalog->sequence = sequence;
    catalog->time_ms = time_ms;
    pthread_mutex_lock(&catalog->snapshot_mutex);
    catalog->snapshot = snapshot;
    pthread_mutex_unlock(&catalog->snapshot_mutex);
    catalog_snapshot_unref(old);
}

/* --- open */

struct named {
    struct load_item *item;
    struct lh_str name;
};

static int compare_named(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = lh_str_compare_nocase(x->name, y->name);
    if (order)
        return order;
    return x->item->head.sequence < y->item->head.sequence ? -1 : 1;
}

/* Two live datasets of one name: the commit protocol never makes them, so the later one is damage.
 */
static void refuse_twins(struct catalog *catalog, struct load *load)
{
    struct named *list = lh_allocate(load->count, sizeof *list);
    size_t count = 0;
    for (size_t i = 0; i < load->count; i++) {
        const struct dataset_state *state = load->items[i].head.state;
        if (state && !state->view.is_deleted)
            list[count++] = (struct named){&load->items[i], state->view.name};
    }
    qsort(list, count, sizeof *list, compare_named);
    for (size_t i = 1; i < count; i++) {
        struct load_item *item = list[i].item;
        if (!lh_str_equal_nocase(list[i - 1].name, list[i].name))
            continue;
        struct lh_str id = {item->id, LH_UUID_TEXT_BYTES};
        item->damage = lh_allocate_text(lh_lit("An earlier dataset has the same name."));
        item->name = lh_allocate_text(list[i].name);
        catalog_add_problem(catalog, id, list[i].name, lh_str_of(item->damage));
        list[i].name = lh_str_of(item->name);
        state_unref(item->head.state);
        item->head.state = NULL;
    }
    free(list);
}

static void take_over(struct catalog *catalog, struct load *load)
{
    struct dataset_state **states = lh_allocate(load->count, sizeof *states);
    size_t count = 0;
    for (size_t i = 0; i < load->count; i++) {
        struct load_item *item = &load->items[i];
        struct lh_str id = {item->id, LH_UUID_TEXT_BYTES};
        if (!item->is_dataset)
            continue;
        size_t place = catalog_add_slot(catalog, id);
        catalog->slots[place].head = item->head;
        if (item->head.sequence > catalog->sequence)
            catalog->sequence = item->head.sequence;
        if (item->head.time_ms > catalog->time_ms)
            catalog->time_ms = item->head.time_ms;
        if (item->head.epoch > catalog->epoch)
            catalog->epoch = item->head.epoch;
        if (!item->head.state)
            item->head.state = state_damaged(id, lh_str_of(item->name), item->newest_version,
                                             item->head.sequence, lh_str_of(item->damage));
        live_add(catalog->live, item->head.state);
        states[count++] = item->head.state;
    }
    catalog->snapshot = snapshot_new(states, count, catalog->sequence, catalog->time_ms);
    free(states);
}

/* Nothing stands above the newest version of a dataset, so when it vanishes there is no gap; the
 * note of the last clean end tells. Such a dataset is damaged, and stays so until the file is back:
 * the next version would be made on top of a lost one. */
static void miss_heads(struct catalog *catalog, struct load *load, const struct epoch_note *note)
{
    const char *id = NULL;
    const json_t *version = NULL;
    json_object_foreach((json_t *)(uintptr_t)note->heads, id,
                        version) if (strlen(id) == LH_UUID_TEXT_BYTES)
        load_expect(catalog, load, lh_str_of(id), json_integer_value(version));
}

/* How many sequences a writer may have given to versions that cannot be read now. */
#define SEQUENCE_LEAP ((uint64_t)1 << 20)

static bool has_damage(const struct catalog *catalog)
{
    bool is_damaged = false;
    for (size_t i = 0; i < catalog->snapshot->item_count && !is_damaged; i++)
        is_damaged = catalog->snapshot->items[i]->damage != NULL;
    return is_damaged;
}

/* Before anything is committed. Where a dataset is damaged, that is told already. */
static void reach(struct catalog *catalog, uint64_t sequence, bool is_told)
{
    if (sequence <= catalog->sequence)
        return;
    struct lh_arena *arena = lh_arena_new(0);
    if (!is_told)
        catalog_add_problem(
            catalog, (struct lh_str){0}, (struct lh_str){0},
            lh_arena_printf(arena,
                            "Commits are missing: the lake had reached sequence %llu, the "
                            "newest that is left is %llu.",
                            (unsigned long long)sequence, (unsigned long long)catalog->sequence));
    catalog->sequence = sequence;
    lh_arena_free(arena);
}

uint64_t catalog_expect(struct catalog *catalog, uint64_t sequence)
{
    reach(catalog, sequence, has_damage(catalog));
    return catalog->sequence;
}

/* Sequences are not given twice: not those of a clean end whose versions vanished, nor those that
 * damaged versions may have, should they be restored. */
static void settle_sequence(struct catalog *catalog, const struct epoch_note *note)
{
    bool is_damaged = has_damage(catalog);
    reach(catalog, note->sequence, is_damaged);
    if (is_damaged && !note->was_clean)
        catalog->sequence += SEQUENCE_LEAP;
}

/* The newest commit of a writer that did not end cleanly. Its folder's fsync may have failed, and a
 * folder whose fsync failed once cannot be trusted to be synced by a second call: the name may be
 * lost with the next power cut although everybody reads it now. So the same change is published
 * again under the next version, as a change of the same parent: whether the first copy survives or
 * not, the dataset is the same. Only the newest commit of all can be in doubt, because writing
 * stops at the first doubt. The folders of the others are synced: after a kill their names may
 * still be only in memory. */
static enum lh_code republish(struct catalog *catalog, size_t place, struct lh_error *err)
{
    struct slot *slot = &catalog->slots[place];
    struct lh_str id = {slot->id, LH_UUID_TEXT_BYTES};
    struct lh_arena *arena = lh_arena_new(0);
    struct manifest old, manifest;
    struct chain_head parent = {0};
    struct chain_file file = {slot->head.head.version, false};
    enum lh_code code = chain_read(catalog->storage, id, file, arena, &old, err);
    if (!code && old.parent.version)
        code = chain_replay(catalog->storage, id, old.parent.version, &parent, err);
    if (!code) {
        publish_prepare(catalog, place, id, &manifest);
        struct manifest fresh = manifest;
        struct catalog_object *added = lh_arena_array(arena, old.added.count + 1, sizeof *added);
        for (size_t i = 0; i < old.added.count; i++) {
            added[i] = old.added.items[i];
            added[i].added_version = fresh.version;
        }
        manifest = old;
        manifest.version = fresh.version;
        manifest.sequence = fresh.sequence;
        manifest.epoch = fresh.epoch;
        manifest.time_ms = fresh.time_ms;
        manifest.added.items = added;
        struct catalog_moved *moves = lh_arena_array(arena, old.move_count + 1, sizeof *moves);
        for (size_t i = 0; i < old.move_count; i++) {
            moves[i] = old.moves[i];
            moves[i].version = fresh.version;
            moves[i].time_ms = fresh.time_ms;
        }
        manifest.moves = moves;
        code = publish_version(catalog, place, parent.state, &manifest, err);
    }
    state_unref(parent.state);
    lh_arena_free(arena);
    return code;
}

static enum lh_code sync_folders(struct catalog *catalog, uint64_t epoch, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < catalog->slot_count && !code; i++) {
        const struct slot *slot = &catalog->slots[i];
        struct lh_str id = {slot->id, LH_UUID_TEXT_BYTES};
        if (slot->head.state && slot->head.epoch == epoch)
            code =
                storage_sync_folder(catalog->storage, STORAGE_PRIMARY,
                                    manifest_key(id, slot->head.head.version, false, arena), err);
    }
    lh_arena_free(arena);
    return code;
}

static enum lh_code recover(struct catalog *catalog, struct lh_error *err)
{
    size_t newest = SIZE_MAX;
    for (size_t i = 0; i < catalog->slot_count; i++)
        if (catalog->slots[i].head.state &&
            (newest == SIZE_MAX ||
             catalog->slots[i].head.sequence > catalog->slots[newest].head.sequence))
            newest = i;
    if (newest == SIZE_MAX)
        return LH_OK;
    uint64_t epoch = catalog->slots[newest].head.epoch;
    if (epoch_ended_cleanly(catalog, epoch))
        return LH_OK;
    enum lh_code code = sync_folders(catalog, epoch, err);
    if (!code)
        code = republish(catalog, newest, err);
    return code;
}

static struct catalog *allocate(struct storage *storage, const struct catalog_options *options)
{
    struct catalog *catalog = lh_allocate(1, sizeof *catalog);
    atomic_init(&catalog->drained, UINT64_MAX);
    catalog->storage = storage;
    if (options)
        catalog->options = *options;
    if (!catalog->options.checkpoint_every)
        catalog->options.checkpoint_every = CATALOG_CHECKPOINT_EVERY;
    if (!catalog->options.fulfilled_keep_ms)
        catalog->options.fulfilled_keep_ms = CATALOG_FULFILLED_KEEP_MS;
    pthread_mutex_init(&catalog->queue_mutex, NULL);
    pthread_cond_init(&catalog->queue_changed, NULL);
    pthread_mutex_init(&catalog->snapshot_mutex, NULL);
    pthread_mutex_init(&catalog->problem_mutex, NULL);
    pthread_mutex_init(&catalog->history.mutex, NULL);
    pthread_mutex_init(&catalog->retention.mutex, NULL);
    catalog->live = live_new();
    trust_init(&catalog->trust);
    hidden_init(&catalog->hidden);
    catalog->kept = kept_new();
    catalog->past = past_new();
    fulfilled_init(&catalog->fulfilled, catalog->options.fulfilled_keep_ms);
    catalog->orphan_arena = lh_arena_new(0);
    return catalog;
}

static void release(struct catalog *catalog)
{
    catalog_snapshot_unref(catalog->snapshot);
    for (size_t i = 0; i < HISTORY_KEPT; i++)
        state_unref(catalog->history.items[i]);
    while (catalog->problems) {
        struct problem *problem = catalog->problems;
        catalog->problems = problem->next;
        problem_free(problem);
    }
    live_unref(catalog->live);
    free(catalog->retention.collected);
    trust_release(&catalog->trust);
    hidden_release(&catalog->hidden);
    kept_free(catalog->kept);
    past_free(catalog->past);
    fulfilled_release(&catalog->fulfilled);
    lh_arena_free(catalog->orphan_arena);
    free(catalog->slots);
    pthread_mutex_destroy(&catalog->retention.mutex);
    pthread_mutex_destroy(&catalog->history.mutex);
    pthread_mutex_destroy(&catalog->problem_mutex);
    pthread_mutex_destroy(&catalog->snapshot_mutex);
    pthread_cond_destroy(&catalog->queue_changed);
    pthread_mutex_destroy(&catalog->queue_mutex);
    free(catalog);
}

enum lh_code catalog_open(struct storage *storage, const struct catalog_options *options,
                          struct catalog **ret, struct lh_error *err)
{
    struct catalog *catalog = allocate(storage, options);
    struct load load;
    struct lh_arena *arena = lh_arena_new(0);
    struct epoch_note note;
    enum lh_code code = load_all(catalog, &load, err);
    if (!code) {
        epoch_read_note(storage, arena, &note);
        miss_heads(catalog, &load, &note);
        refuse_twins(catalog, &load);
        take_over(catalog, &load);
        settle_sequence(catalog, &note);
        code = epoch_begin(catalog, err);
    }
    load_release(&load);
    lh_arena_free(arena);
    if (!code)
        code = recover(catalog, err);
    if (code)
        release(catalog);
    else
        *ret = catalog;
    return code;
}

void catalog_close(struct catalog *catalog)
{
    if (!catalog)
        return;
    pthread_mutex_lock(&catalog->queue_mutex);
    catalog->is_closing = true;
    while (catalog->has_leader || catalog->queue_first)
        pthread_cond_wait(&catalog->queue_changed, &catalog->queue_mutex);
    pthread_mutex_unlock(&catalog->queue_mutex);
    epoch_end(catalog);
    release(catalog);
}
