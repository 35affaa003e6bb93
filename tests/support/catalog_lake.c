#include "support/catalog_lake.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static const struct catalog_column columns[] = {
    {.name = LH_LIT("id"),
     .stored_name = LH_LIT("id"),
     .type = LH_LIT("BIGINT"),
     .sensitivity = CATALOG_INTERNAL},
    {.name = LH_LIT("email"),
     .stored_name = LH_LIT("email"),
     .type = LH_LIT("VARCHAR"),
     .sensitivity = CATALOG_PII,
     .is_pii = true,
     .pii_kind = LH_LIT("email")},
};

void catalog_lake_make(struct catalog_lake *lake)
{
    *lake = (struct catalog_lake){0};
    temp_lake_make(&lake->folder);
    lake->arena = lh_arena_new(0);
}

void catalog_lake_remove(struct catalog_lake *lake)
{
    catalog_lake_close(lake);
    lh_arena_free(lake->arena);
    temp_lake_remove(&lake->folder);
}

enum lh_code catalog_lake_try_open(struct catalog_lake *lake, struct lh_error *err)
{
    struct storage_options options = {
        .path = temp_lake_path(&lake->folder), .access = STORAGE_WRITE, .create = true};
    enum lh_code code = storage_open(&options, &lake->storage, err);
    if (code)
        return code;
    code = catalog_open(lake->storage, &lake->options, &lake->catalog, err);
    if (code) {
        storage_close(lake->storage);
        lake->storage = NULL;
    }
    return code;
}

void catalog_lake_open(struct catalog_lake *lake)
{
    struct lh_error err = LH_ERROR_NONE;
    if (catalog_lake_try_open(lake, &err))
        fail_msg("%s", err.message);
}

void catalog_lake_close(struct catalog_lake *lake)
{
    catalog_close(lake->catalog);
    storage_close(lake->storage);
    lake->catalog = NULL;
    lake->storage = NULL;
}

void catalog_lake_reopen(struct catalog_lake *lake)
{
    catalog_lake_close(lake);
    catalog_lake_open(lake);
}

void catalog_lake_crash(struct catalog_lake *lake)
{
    catalog_lake_close(lake);
    DIR *dir = opendir(temp_lake_file(&lake->folder, "_catalog/epochs"));
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (lh_str_ends_with(lh_str_of(entry->d_name), lh_lit(".closed.json")))
            assert_int_equal(unlinkat(dirfd(dir), entry->d_name, 0), 0);
    closedir(dir);
}

enum lh_code catalog_lake_file(struct catalog_lake *lake, struct lh_str id, int64_t rows,
                               struct lh_arena *arena, struct catalog_object *ret,
                               struct lh_error *err)
{
    struct storage_staged *staged = NULL;
    struct storage_sum sum;
    struct lh_uuid uuid = lh_uuid_new();
    struct lh_str key = lh_arena_printf(arena, "datasets/%.*s/%s.parquet", LH_ARG(id), uuid.text);
    enum lh_code code = storage_stage(lake->storage, lh_lit(".parquet"), &staged, err);
    if (!code)
        code = storage_staged_write(staged, uuid.text, LH_UUID_TEXT_BYTES, err);
    if (!code)
        code = storage_staged_seal(staged, &sum, err);
    if (!code)
        code = storage_staged_publish(staged, STORAGE_PRIMARY, key, err);
    if (!code) {
        *ret = (struct catalog_object){
            .bucket = STORAGE_PRIMARY, .key = key, .bytes = sum.bytes, .rows = rows};
        memcpy(ret->sha256, sum.sha256, sizeof sum.sha256);
    }
    storage_staged_discard(staged);
    return code;
}

enum lh_code catalog_lake_try_create(struct catalog_lake *lake, const char *name, int64_t rows,
                                     struct lh_str *ret_id, struct lh_error *err)
{
    struct lh_uuid uuid = lh_uuid_new();
    struct catalog_commit_result result;
    struct catalog_object object;
    struct catalog_change change = {
        .action = CATALOG_CREATE,
        .dataset_id = lh_uuid_str(&uuid),
        .name = lh_str_of(name),
        .set_bits = CATALOG_SET_COLUMNS,
        .set = {.columns = columns, .column_count = 2},
        .objects = &object,
        .object_count = 1,
        .actor = lh_lit("tester"),
    };
    enum lh_code code = catalog_lake_file(lake, change.dataset_id, rows, lake->arena, &object, err);
    if (!code)
        code = catalog_lake_commit(lake, &change, &result, err);
    if (!code && ret_id)
        *ret_id = result.dataset_id;
    return code;
}

enum lh_code catalog_lake_try_append(struct catalog_lake *lake, struct lh_str id, int64_t rows,
                                     struct catalog_commit_result *ret, struct lh_error *err)
{
    struct catalog_object object;
    struct catalog_change change = {
        .action = CATALOG_APPEND, .dataset_id = id, .objects = &object, .object_count = 1};
    enum lh_code code = catalog_lake_file(lake, id, rows, lake->arena, &object, err);
    if (!code)
        code = catalog_lake_commit(lake, &change, ret, err);
    return code;
}

enum lh_code catalog_lake_commit(struct catalog_lake *lake, const struct catalog_change *change,
                                 struct catalog_commit_result *ret, struct lh_error *err)
{
    struct catalog_commit_result ignored;
    return catalog_commit(lake->catalog, change, lake->arena, ret ? ret : &ignored, err);
}

struct lh_str catalog_lake_create(struct catalog_lake *lake, const char *name, int64_t rows)
{
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str id = {0};
    if (catalog_lake_try_create(lake, name, rows, &id, &err))
        fail_msg("%s", err.message);
    return id;
}

int64_t catalog_lake_append(struct catalog_lake *lake, struct lh_str id, int64_t rows)
{
    struct lh_error err = LH_ERROR_NONE;
    struct catalog_commit_result result;
    if (catalog_lake_try_append(lake, id, rows, &result, &err))
        fail_msg("%s", err.message);
    return result.version;
}

static int64_t look(struct catalog_lake *lake, const char *name, bool is_version)
{
    const struct catalog_dataset *dataset = NULL;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    int64_t value = -1;
    if (!catalog_find(snapshot, lh_str_of(name), &dataset, NULL))
        value = is_version ? dataset->version : dataset->row_count;
    catalog_snapshot_unref(snapshot);
    return value;
}

int64_t catalog_lake_rows(struct catalog_lake *lake, const char *name)
{
    return look(lake, name, false);
}

int64_t catalog_lake_version(struct catalog_lake *lake, const char *name)
{
    return look(lake, name, true);
}

size_t catalog_lake_verify(struct catalog_lake *lake, struct catalog_report *ret)
{
    struct lh_error err = LH_ERROR_NONE;
    struct catalog_report report = {0};
    struct storage *storage = lake->storage;
    struct storage_options options = {.path = temp_lake_path(&lake->folder),
                                      .access = STORAGE_READ};
    if (!storage && storage_open(&options, &storage, &err))
        fail_msg("%s", err.message);
    if (catalog_verify(storage, NULL, lake->arena, &report, &err))
        fail_msg("%s", err.message);
    if (!lake->storage)
        storage_close(storage);
    for (size_t i = 0; i < report.error_count && i < report.finding_count; i++)
        print_message("%.*s: %.*s\n", LH_ARG(report.findings[i].object),
                      LH_ARG(report.findings[i].what));
    if (ret)
        *ret = report;
    return report.error_count;
}

void catalog_lake_is_clean(struct catalog_lake *lake)
{
    assert_int_equal(catalog_lake_verify(lake, NULL), 0);
}

const char *catalog_lake_manifest(struct catalog_lake *lake, struct lh_str id, int64_t version)
{
    char name[256];
    snprintf(name, sizeof name, "_catalog/datasets/%.*s/%020lld.json", LH_ARG(id),
             (long long)version);
    return temp_lake_file(&lake->folder, name);
}
