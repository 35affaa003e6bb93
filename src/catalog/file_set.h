/* Sets of files by bucket and key, as far as versions name them. Internal to the catalog. */
#ifndef LAKEHOUSE_CATALOG_FILE_SET_H
#define LAKEHOUSE_CATALOG_FILE_SET_H

#include "catalog/versions.h"

struct file_name {
    struct lh_str bucket, key;
    int64_t bytes;         /* 0: of rows that were not taken */
    const uint8_t *sha256; /* of a data file alone, else NULL; of whoever was added first */
};
struct file_set {
    struct lh_arena *arena; /* of all that is added */
    struct file_name *items;
    size_t count, capacity;
};

void file_set_add(struct file_set *set, struct lh_str bucket, struct lh_str key, int64_t bytes);
/* What the manifest adds, where it is by now. */
void file_set_add_manifest(struct file_set *set, const struct manifest *manifest,
                           const struct catalog_dataset *now);
void file_set_add_view(void *context, const struct catalog_dataset *view);
/* Each once, by bucket and key. */
void file_set_sort(struct file_set *set);
/* Both sorted: what of `set` is not in `other`. */
void file_set_subtract(struct file_set *set, const struct file_set *other);

#endif
