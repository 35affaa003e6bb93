#include "support/two_places.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/buckets.h"

void two_places_make(struct two_places *places)
{
    struct lh_error err = LH_ERROR_NONE;
    catalog_lake_make(&places->lake);
    temp_lake_make(&places->other);
    catalog_lake_open(&places->lake);
    const struct storage_bucket_options options = {.name = lh_lit("other"),
                                                   .root = temp_lake_path(&places->other)};
    if (storage_bucket_add(places->lake.storage, &options, &err))
        fail_msg("%s", err.message);
}

void two_places_remove(struct two_places *places)
{
    catalog_lake_close(&places->lake);
    catalog_lake_is_clean(&places->lake);
    catalog_lake_remove(&places->lake);
    temp_lake_remove(&places->other);
}

enum lh_code two_places_move(struct catalog_lake *lake, struct lh_str id, const char *to,
                             struct catalog_move *ret, struct lh_error *err)
{
    struct catalog_move ignored;
    const struct catalog_move_options options = {
        .dataset_id = id, .to = lh_str_of(to), .actor = lh_lit("tester")};
    return catalog_move(lake->catalog, &options, lake->arena, ret ? ret : &ignored, err);
}

static enum lh_code count_file(void *context, const struct storage_entry *entry,
                               struct lh_error *err)
{
    (void)err;
    *(size_t *)context += lh_str_ends_with(entry->key, lh_lit(".parquet"));
    return LH_OK;
}

size_t two_places_count(struct catalog_lake *lake, const char *bucket)
{
    struct lh_error err = LH_ERROR_NONE;
    size_t count = 0;
    if (storage_walk(lake->storage, lh_str_of(bucket), lh_lit("datasets"), count_file, &count,
                     &err))
        fail_msg("%s", err.message);
    return count;
}

size_t two_places_read(struct catalog_lake *lake, const char *name, int64_t version,
                       const char *bucket)
{
    const struct catalog_dataset *dataset = NULL;
    const struct catalog_as_of as_of = {version ? CATALOG_AT_VERSION : CATALOG_NOW, version};
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    struct lh_error err = LH_ERROR_NONE;
    size_t count = 0;
    if (catalog_find_at(lake->catalog, snapshot, lh_str_of(name), as_of, &dataset, &err))
        fail_msg("%s", err.message);
    for (size_t i = 0; i < dataset->object_count; i++) {
        struct storage_sum sum;
        const struct catalog_object *object = dataset->objects[i];
        if (storage_sum(lake->storage, object->bucket, object->key, NULL, &sum, &err))
            fail_msg("version %lld: %s", (long long)dataset->version, err.message);
        assert_memory_equal(sum.sha256, object->sha256, sizeof(sum.sha256));
        count += lh_str_equal(object->bucket, lh_str_of(bucket));
    }
    catalog_dataset_unref(dataset);
    catalog_snapshot_unref(snapshot);
    return count;
}
