/* Reading all datasets at open, by several threads. Internal to the catalog. */
#ifndef LAKEHOUSE_CATALOG_LOAD_H
#define LAKEHOUSE_CATALOG_LOAD_H

#include "catalog/internal.h"

struct load_item {
    char id[LH_UUID_TEXT_BYTES + 1];
    bool is_dataset; /* it has at least one manifest */
    struct chain_head head;
    char *damage; /* a sentence; then head.state is NULL */
    char *name;   /* of a damaged one, from an older version; may be NULL */
    int64_t newest_version;
};

struct load {
    struct catalog *catalog;
    struct load_item *items;
    size_t count;
    size_t loaded_count; /* the first so many are sorted by id */
    atomic_size_t next;
    pthread_mutex_t mutex; /* the orphans of the catalog, and the first failure */
    enum lh_code code;
    struct lh_error err;
};

/* Finds all datasets and reads the newest state of each. LH_FORMAT; LH_IO and the like if the
 * folders cannot be listed. The caller ends *ret with load_release, states included. */
enum lh_code load_all(struct catalog *catalog, struct load *ret, struct lh_error *err) LH_MUST_USE;
void load_release(struct load *load);
/* The dataset had come as far as that version: it is damaged if what was found has not. */
void load_expect(struct catalog *catalog, struct load *load, struct lh_str id, int64_t version);

/* open.c: a problem of one of its files; catalog_tell_file puts another word in its place. */
void catalog_add_file_problem(struct catalog *catalog, const struct catalog_dataset *dataset,
                              const struct catalog_object *object, struct lh_str what);

#endif
