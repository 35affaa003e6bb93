/* Sealing: a key whose rows are gone for good needs not be known by name. It is looked for in every
 * file of every version that is kept; if none has it, its hash takes its place in the list, goes on
 * suppressing what comes, and is known again when somebody lifts it.
 *
 * It reads the key column of the whole dataset, so it is done when versions have expired, and not
 * again before the version of that time has expired, too: keys that were not gone then may be now.
 */
#include <stdlib.h>

#include "base/log.h"
#include "catalog/erase.h"
#include "catalog/files.h"
#include "catalog/rehash.h"
#include "catalog/retention.h"

#define RACES_MAX 16 /* with who names keys of the column, not with rows that come */

struct sealing {
    struct catalog *catalog;
    struct engine *engine;
    const struct catalog_dataset *dataset;
    struct lh_str column;
    bool is_erasure;            /* the older versions are about to go */
    bool keeps_keys;            /* of this column: they are none of the erased rows' */
    struct lh_str_list telling; /* texts that no reason may hold */
    const struct lh_cancel *cancel;
    struct lh_arena *arena;
    struct key_list keys; /* that could be sealed */
    bool *has_row;        /* per key */
};

/* Tombstoned before the oldest version that is kept: in that one their rows may be gone. When an
 * erasure ends all older versions, in the newest; keys that were lifted are then written down
 * nowhere else. */
static void choose(struct sealing *sealing, const struct key_list *all)
{
    const struct catalog_dataset *dataset = sealing->dataset;
    struct key_list *keys = &sealing->keys;
    *keys = *all;
    keys->count = 0;
    keys->items = lh_arena_array(sealing->arena, all->count + 1, sizeof *keys->items);
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i].form == TOMBSTONE_VALUE &&
            (sealing->is_erasure ||
             tombstone_version(dataset, all->items[i].record) < dataset->retained_version))
            keys->items[keys->count++] = all->items[i];
    sealing->has_row = lh_arena_array(sealing->arena, keys->count + 1, sizeof(bool));
}

static void note(void *context, size_t file, uint64_t row, size_t key)
{
    struct sealing *sealing = context;
    (void)file;
    (void)row;
    sealing->has_row[key] = true;
}

/* The newest version's files of one schema. */
static enum lh_code look_through(struct sealing *sealing, struct lh_str schema, bool *is_done,
                                 struct lh_error *err)
{
    const struct catalog_dataset *dataset = sealing->dataset;
    const struct catalog_column *column = catalog_dataset_column(dataset, sealing->keys.column);
    struct lh_str *paths = lh_arena_array(sealing->arena, dataset->object_count, sizeof *paths);
    struct key_files files = {.stored = tombstone_stored(dataset, schema, sealing->keys.column),
                              .paths = paths};
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < dataset->object_count && !code; i++) {
        if (!lh_str_equal(dataset->objects[i]->schema, schema))
            continue;
        is_done[i] = true;
        if (files.stored.len)
            code = catalog_object_file(sealing->catalog, dataset->objects[i], sealing->cancel,
                                       sealing->arena, &paths[files.path_count++], err);
    }
    if (code || !files.path_count || !column)
        return code;
    files.type = column->type;
    return key_list_rows(&sealing->keys, sealing->engine, &files, sealing->cancel, sealing->arena,
                         note, sealing, err);
}

static enum lh_code look_now(struct sealing *sealing, struct lh_error *err)
{
    const struct catalog_dataset *dataset = sealing->dataset;
    bool *is_done = lh_arena_array(sealing->arena, dataset->object_count + 1, sizeof(bool));
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < dataset->object_count && !code; i++)
        if (!is_done[i])
            code = look_through(sealing, dataset->objects[i]->schema, is_done, err);
    return code;
}

/* Older ones' files, for those that are gone from the newest. */
static enum lh_code look_back(struct sealing *sealing, struct lh_error *err)
{
    const struct key_list *keys = &sealing->keys;
    struct lh_arena *arena = sealing->arena;
    struct lh_str *texts = lh_arena_array(arena, keys->count + 1, sizeof *texts);
    size_t *places = lh_arena_array(arena, keys->count + 1, sizeof *places);
    bool *found = lh_arena_array(arena, keys->count + 1, sizeof *found);
    enum lh_code code = LH_OK;
    for (size_t t = 0; t < keys->type_count && !code; t++) {
        size_t count = 0;
        for (size_t i = 0; i < keys->count; i++)
            if (!sealing->has_row[i] && lh_str_equal(keys->items[i].record->type, keys->types[t])) {
                found[count] = false;
                texts[count] = keys->items[i].text;
                places[count++] = i;
            }
        if (count)
            code = tombstone_find_past(sealing->catalog, sealing->engine, sealing->dataset,
                                       keys->column, keys->types[t], texts, count, found,
                                       sealing->cancel, err);
        for (size_t i = 0; i < count && !code; i++)
            sealing->has_row[places[i]] = found[i];
    }
    return code;
}

static enum lh_code commit(struct sealing *sealing, int64_t *ret_keys, struct lh_error *err)
{
    struct rehash rehash = {
        .catalog = sealing->catalog,
        .dataset = sealing->dataset,
        .column = sealing->column,
        .forgets_reasons = sealing->is_erasure && !sealing->keeps_keys,
        .telling = sealing->telling,
        .form = TOMBSTONE_SEALED,
        .actor = lh_lit("lakehouse"),
        .reason = lh_lit("Keys whose rows are gone from every version are kept as hashes."),
        .arena = sealing->arena,
    };
    int64_t version = 0;
    rehash.texts = lh_arena_array(sealing->arena, sealing->keys.count + 1, sizeof *rehash.texts);
    for (size_t i = 0; i < sealing->keys.count; i++) /* ascending, as the list is */
        if (!sealing->has_row[i])
            rehash.texts[rehash.text_count++] = sealing->keys.items[i].text;
    bool is_due = false;
    enum lh_code code = tombstone_tells(&rehash, &is_due, err);
    if (!code && (is_due || rehash.text_count))
        code = tombstone_rehash(&rehash, &version, err);
    if (!code)
        *ret_keys = (int64_t)rehash.text_count;
    return code;
}

static enum lh_code find_keys(struct sealing *sealing, struct lh_error *err)
{
    struct key_list all = {0};
    enum lh_code code = sealing->is_erasure
                            ? key_list_named(sealing->catalog->storage, sealing->dataset,
                                             sealing->column, sealing->arena, &all, err)
                            : tombstone_keys(sealing->catalog, sealing->dataset, sealing->column,
                                             sealing->arena, &all, err);
    if (!code)
        choose(sealing, &all);
    if (code || !sealing->keys.count)
        return code;
    code = look_now(sealing, err);
    return code || sealing->is_erasure ? code : look_back(sealing, err);
}

static enum lh_code seal(struct sealing *sealing, int64_t *ret_keys, struct lh_error *err)
{
    enum lh_code code = sealing->keeps_keys ? LH_OK : find_keys(sealing, err);
    return code ? code : commit(sealing, ret_keys, err);
}

/* One column after the other: each is a commit of its own. */
static enum lh_code seal_column(const struct sealing *asked, struct lh_str dataset_id,
                                struct lh_str column, int64_t *ret_keys, struct lh_error *err)
{
    enum lh_code code = LH_RACE;
    for (int i = 0; i < RACES_MAX && code == LH_RACE; i++) {
        struct sealing sealing = *asked;
        struct catalog_snapshot *snapshot = catalog_snapshot_ref(sealing.catalog);
        int64_t keys = 0;
        sealing.column = column;
        sealing.arena = lh_arena_new(0);
        code = catalog_find_id(snapshot, dataset_id, &sealing.dataset, err);
        if (!code)
            code = seal(&sealing, &keys, err);
        if (!code)
            *ret_keys += keys;
        catalog_snapshot_unref(snapshot);
        lh_arena_free(sealing.arena);
    }
    return code;
}

/* `but`: a column whose keys stay as they are; absent: none. */
static enum lh_code seal_columns(const struct sealing *asked, const struct catalog_dataset *dataset,
                                 struct lh_str but, int64_t *ret_keys, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    const struct lh_str_list columns = tombstone_columns(dataset, arena);
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < columns.count && !code; i++) {
        struct sealing sealing = *asked;
        sealing.keeps_keys = but.len && lh_str_equal_nocase(but, columns.items[i]);
        code = seal_column(&sealing, dataset->id, columns.items[i], ret_keys, err);
    }
    lh_arena_free(arena);
    return code;
}

enum lh_code catalog_seal_tombstones(struct catalog *catalog, struct engine *engine,
                                     struct lh_str dataset_id, const struct lh_cancel *cancel,
                                     int64_t *ret_keys, struct lh_error *err)
{
    const struct sealing sealing = {.catalog = catalog, .engine = engine, .cancel = cancel};
    const struct catalog_dataset *dataset = NULL;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    *ret_keys = 0;
    enum lh_code code = catalog_find_id(snapshot, dataset_id, &dataset, err);
    if (!code && dataset->tombstone_stamp &&
        dataset->retained_version > past_sealed(catalog->past, dataset_id)) {
        code = seal_columns(&sealing, dataset, (struct lh_str){0}, ret_keys, err);
        if (!code)
            past_set_sealed(catalog->past, dataset_id, dataset->version);
    }
    catalog_snapshot_unref(snapshot);
    return code;
}

enum lh_code catalog_erase_others(struct catalog *catalog, struct engine *engine,
                                  struct lh_str dataset_id, struct lh_str column,
                                  const json_t *values, const struct lh_cancel *cancel,
                                  struct lh_error *err)
{
    struct sealing sealing = {
        .catalog = catalog, .engine = engine, .cancel = cancel, .is_erasure = true};
    const struct catalog_dataset *dataset = NULL;
    struct lh_arena *arena = lh_arena_new(0);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    int64_t keys = 0;
    enum lh_code code = catalog_find_id(snapshot, dataset_id, &dataset, err);
    if (!code)
        code = catalog_erase_texts(catalog, engine, dataset, column, values, cancel, arena,
                                   &sealing.telling, err);
    if (!code)
        code = seal_columns(&sealing, dataset, column, &keys, err);
    catalog_snapshot_unref(snapshot);
    lh_arena_free(arena);
    return code;
}

void catalog_seal_expired(struct catalog *catalog, struct engine *engine,
                          const struct catalog_expiry *items, size_t count,
                          const struct lh_cancel *cancel)
{
    for (size_t i = 0; i < count; i++) {
        struct lh_error late = LH_ERROR_NONE;
        int64_t keys = 0;
        if (items[i].is_dropped)
            continue;
        enum lh_code code =
            catalog_seal_tombstones(catalog, engine, items[i].dataset_id, cancel, &keys, &late);
        if (code && code != LH_STOPPING && code != LH_RACE && code != LH_NOT_FOUND)
            lh_log_error(LH_LOG_WARN, "catalog.seal", &late);
        else if (keys)
            lh_log(LH_LOG_INFO, "catalog.seal",
                   "Dataset '%.*s': %lld keys are kept as hashes only; no version has their rows.",
                   LH_ARG(items[i].name), (long long)keys);
    }
}
