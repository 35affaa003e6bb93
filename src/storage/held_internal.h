/* What a backend does for held.h. Never leaves the folder. */
#ifndef LAKEHOUSE_STORAGE_HELD_INTERNAL_H
#define LAKEHOUSE_STORAGE_HELD_INTERNAL_H

#include "storage/held.h"
#include "storage/internal.h"

struct storage_held_backend {
    enum lh_code (*list)(struct storage_bucket *bucket, const struct lh_cancel *cancel,
                         struct lh_arena *arena, struct storage_holdings *ret,
                         struct lh_error *err);
    enum lh_code (*remove)(struct storage_bucket *bucket, const struct storage_held *held,
                           const struct lh_cancel *cancel, struct lh_error *err);
    /* Remote: the bytes into an open, empty file. Local: NULL. */
    enum lh_code (*fetch)(struct storage_bucket *bucket, const struct storage_held *held, int fd,
                          const struct lh_cancel *cancel, struct lh_error *err);
};
extern const struct storage_held_backend held_local, held_s3;

/* local.c: the folder of an open bucket that is one. */
struct lh_dir *local_dir(const struct storage_bucket *bucket);

/* A list that grows in `arena`. LH_TOO_LARGE: more than anybody can look through. */
struct held_list {
    struct lh_arena *arena;
    struct storage_held *items;
    size_t count, capacity;
};
enum lh_code held_add(struct held_list *list, const struct storage_held *held,
                      struct lh_error *err) LH_MUST_USE;

#endif
