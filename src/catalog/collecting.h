/* What is known of collecting, and the moves that it must not get in the way of. Internal. */
#ifndef LAKEHOUSE_CATALOG_COLLECTING_H
#define LAKEHOUSE_CATALOG_COLLECTING_H

#include <pthread.h>

#include "catalog/catalog.h"

struct collected { /* nothing is left to collect below that version, and of moves before that one */
    int64_t retained, moved;
};
struct moving { /* files of the dataset are being copied there: those are named by nothing yet */
    struct moving *next;
    struct lh_str dataset_id, to;
};
struct retention {
    pthread_mutex_t mutex;
    struct collected *collected; /* by place */
    size_t count;
    struct moving *moving; /* those that run; theirs */
};
/* retention.c. LH_CONFLICT: it is being moved already. */
enum lh_code retention_begin_move(struct catalog *catalog, struct moving *moving,
                                  struct lh_str name, struct lh_error *err) LH_MUST_USE;
/* Afterwards copies that no version names go to the trash, unless it will be gone on with. */
void retention_end_move(struct catalog *catalog, struct moving *moving);
enum lh_code retention_tidy(struct catalog *catalog, struct lh_str dataset_id, struct lh_str bucket,
                            struct lh_error *err) LH_MUST_USE;
struct storage_placed;
struct dataset_state;
struct file_set;
/* Adds what the kept versions of a state name. Under the retention's mutex: nobody removes
 * manifests meanwhile, and the state is that of a snapshot that was taken under it. */
enum lh_code retention_add_state(struct catalog *catalog, const struct dataset_state *state,
                                 struct file_set *set, struct lh_error *err) LH_MUST_USE;
/* move.c: the data files of all versions of a state that can be read, which are not in primary. */
enum lh_code move_list_elsewhere(struct catalog *catalog, const struct dataset_state *state,
                                 struct lh_arena *arena, struct storage_placed **ret,
                                 size_t *ret_count, struct lh_error *err) LH_MUST_USE;

#endif
