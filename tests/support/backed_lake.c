#include "support/backed_lake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "catalog/moment.h"
#include "catalog/move.h"
#include "storage/buckets.h"

void backed_lake_make(struct backed_lake *backed)
{
    memset(backed, 0, sizeof(*backed));
    temp_lake_make(&backed->backup);
    temp_lake_make(&backed->target);
    catalog_lake_make(&backed->lake);
    catalog_lake_open(&backed->lake);
    catalog_lake_create(&backed->lake, "old", 3);
}

void backed_lake_spread(struct backed_lake *backed)
{
    char root[4200];
    struct catalog_lake *lake = &backed->lake;
    struct lh_error err = LH_ERROR_NONE;
    const struct catalog_dataset *far = NULL;
    struct catalog_move moved;
    snprintf(root, sizeof(root), "%s/o", backed->backup.path);
    const struct storage_bucket_options options = {.name = lh_lit("other"),
                                                   .root = lh_str_of(root)};
    if (!storage_has_bucket(lake->storage, options.name) &&
        storage_bucket_add(lake->storage, &options, &err))
        fail_msg("%s", err.message);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    bool is_new = catalog_find(snapshot, lh_lit("far"), &far, NULL) != LH_OK;
    struct lh_str id =
        is_new ? catalog_lake_create(lake, "far", 2) : lh_arena_str(lake->arena, far->id);
    catalog_snapshot_unref(snapshot);
    if (!is_new)
        catalog_lake_append(lake, id, 1);
    const struct catalog_move_options move = {.dataset_id = id, .to = options.name};
    if (catalog_move(lake->catalog, &move, lake->arena, &moved, &err))
        fail_msg("%s", err.message);
}

void backed_lake_remove(struct backed_lake *backed)
{
    catalog_lake_remove(&backed->lake);
    temp_lake_remove(&backed->target);
    temp_lake_remove(&backed->backup);
}

enum lh_code backed_lake_backup(struct backed_lake *backed, bool is_rechecked,
                                struct storage_backup_result *ret, struct lh_error *err)
{
    struct catalog_moment *moment = catalog_moment_new(backed->lake.catalog);
    struct storage_backup_result result;
    const struct storage_backup_options options = {
        .path = lh_str_of(backed_lake_file(backed, "")),
        .is_rechecked = is_rechecked,
        .source = catalog_moment_source(moment),
    };
    enum lh_code code = storage_backup(backed->lake.storage, &options, ret ? ret : &result, err);
    catalog_moment_free(moment);
    return code;
}

enum lh_code backed_lake_restore(struct backed_lake *backed, int64_t number, bool is_check,
                                 struct lh_error *err)
{
    char target[4200], other[4200];
    struct storage_restore_result result;
    snprintf(target, sizeof(target), "%s/r", backed->target.path);
    snprintf(other, sizeof(other), "%s/ro", backed->target.path);
    const struct storage_restore_place place = {lh_lit("other"), lh_str_of(other)};
    const struct storage_restore_options options = {
        .path = lh_str_of(backed_lake_file(backed, "")),
        .number = number,
        .target = is_check ? (struct lh_str){0} : lh_str_of(target),
        .places = &place,
        .place_count = 1,
    };
    return storage_restore(&options, &result, err);
}

void backed_lake_look(struct backed_lake *backed, int64_t *ret_old, int64_t *ret_new)
{
    struct catalog_lake restored = {.arena = lh_arena_new(0)};
    struct lh_dir *dir = NULL;
    struct lh_error err;
    snprintf(restored.folder.path, sizeof(restored.folder.path), "%.4000s/r", backed->target.path);
    if (catalog_lake_verify(&restored, NULL))
        fail_msg("the restored lake does not verify");
    if (catalog_lake_try_open(&restored, &err))
        fail_msg("the restored lake: %s", err.message);
    *ret_old = catalog_lake_rows(&restored, "old");
    *ret_new = catalog_lake_rows(&restored, "new");
    catalog_lake_close(&restored);
    lh_arena_free(restored.arena);
    assert_int_equal(lh_dir_open(temp_lake_path(&backed->target), false, &dir, NULL), LH_OK);
    assert_int_equal(lh_dir_remove_tree(dir, "r", NULL), LH_OK);
    enum lh_code removed = lh_dir_remove_tree(dir, "ro", NULL);
    assert_true(removed == LH_OK || removed == LH_NOT_FOUND);
    lh_dir_close(dir);
}

const char *backed_lake_file(struct backed_lake *backed, const char *name)
{
    static char paths[4][4400];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/b%s%s", backed->backup.path, *name ? "/" : "", name);
    return path;
}

static void add_files(struct lh_dir *dir, const char *folder, char ret[][160], size_t max,
                      size_t *count)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_dir_entry *entries = NULL;
    size_t entry_count = 0;
    assert_int_equal(lh_dir_list(dir, folder, arena, &entries, &entry_count, NULL), LH_OK);
    for (size_t i = 0; i < entry_count && *count < max; i++) {
        char path[160];
        snprintf(path, sizeof(path), "%.60s/%.*s", folder, (int)(entries[i].name.len % 90),
                 entries[i].name.data);
        if (entries[i].is_folder)
            add_files(dir, path, ret, max, count);
        else
            memcpy(ret[(*count)++], path, sizeof(path));
    }
    lh_arena_free(arena);
}

size_t backed_lake_files(struct backed_lake *backed, const char *folder, char ret[][160],
                         size_t max)
{
    struct lh_dir *dir = NULL;
    size_t count = 0;
    assert_int_equal(lh_dir_open(lh_str_of(backed_lake_file(backed, "")), false, &dir, NULL),
                     LH_OK);
    add_files(dir, folder, ret, max, &count);
    lh_dir_close(dir);
    return count;
}
