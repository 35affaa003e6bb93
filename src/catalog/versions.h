/* The versions of one dataset: in memory, sharing what did not change, and on disk as a chain of
 * manifests. Internal to the catalog.
 */
#ifndef LAKEHOUSE_CATALOG_VERSIONS_H
#define LAKEHOUSE_CATALOG_VERSIONS_H

#include <stdatomic.h>

#include "catalog/manifest_internal.h"
#include "storage/storage.h"

struct lh_str catalog_folder_of(struct lh_str dataset_id, struct lh_arena *arena);

/* --- objects.c: lists of files that versions share */

const struct catalog_object *object_new(const struct catalog_object *from); /* a copy */
const struct catalog_object *object_ref(const struct catalog_object *object);
/* Old ones that stay, with the added ones in the place of what they stand for or behind, each with
 * a reference. NULL if a removed key is not there, or one that is stood for does not go. */
const struct catalog_object **objects_change(const struct catalog_object *const *old,
                                             size_t old_count, struct lh_str_list removed,
                                             struct manifest_objects added, size_t *ret_count);
/* Whether two of them are one file. */
bool objects_repeat(struct manifest_objects objects);
/* Whether one of those that were added is there twice. */
bool objects_have_twins(const struct catalog_object *const *objects, size_t count,
                        struct manifest_objects added);
/* Files of rows that were not taken: of index 0 to source_count; absent ones are none. */
struct lh_str object_rejects(const struct catalog_object *object, size_t index);
/* Where a file that a manifest or state of `version` names is now. */
struct lh_str object_place(const struct catalog_object *object, int64_t version,
                           const struct catalog_moved *moves, size_t move_count);
/* Exchanges those that moved for others which say where they are; the list is the caller's own. */
void objects_settle(const struct catalog_object **objects, size_t count, int64_t version,
                    const struct catalog_moved *moves, size_t move_count);
void objects_unref(const struct catalog_object *const *objects, size_t count);
/* A list of the same objects, for objects_unref. */
const struct catalog_object *const *objects_hold(const struct catalog_object *const *objects,
                                                 size_t count);

/* --- object_list.c: the data files of versions that follow one another.
 * Threads: any; those who have a version read its first `count` without a lock. */

struct object_list;
/* The list of the version that `manifest` makes of one with the first `old_count` of `old` (NULL:
 * none); *ret is a reference, perhaps to the same list. LH_DAMAGED: the change does not fit. */
enum lh_code object_list_change(struct object_list *old, size_t old_count,
                                const struct manifest *manifest, struct object_list **ret,
                                size_t *ret_count, struct lh_error *err) LH_MUST_USE;
/* Whether one of the first `count` has that key. NULL has none. */
bool object_list_has(struct object_list *list, size_t count, struct lh_str key);
const struct catalog_object *const *object_list_items(const struct object_list *list);
/* Ends the reference for one to a list that says where its files are now (objects_settle). */
struct object_list *object_list_settle(struct object_list *list, size_t count, int64_t version,
                                       const struct catalog_moved *moves, size_t move_count);
void object_list_unref(struct object_list *list); /* NULL is fine */

/* --- state.c: one version in memory */

struct shared_arena { /* texts that several versions have in common */
    atomic_size_t refs;
    struct lh_arena *arena;
};
struct tombstone_content;
struct object_node { /* one allocation: the view, then what it points to */
    struct catalog_object view;
    atomic_size_t refs;
    _Atomic(struct tombstone_content *) content; /* of a tombstone object, once it was read */
};
struct dataset_state {
    struct catalog_dataset view; /* first: the public pointer is this one */
    atomic_size_t refs;
    struct object_list *files;    /* what view.objects is of; NULL of a damaged one */
    struct shared_arena *texts;   /* id, name, description, owner, tags, lineage, refresh */
    struct shared_arena *columns; /* columns, schemas */
    char *damage;                 /* a sentence: this dataset cannot be served; NULL if it can */
    struct live_states *live;     /* where it is listed; NULL if it is not */
    struct dataset_state *live_previous, *live_next;
};

/* The state after a change of `parent` (NULL: before the first version). LH_DAMAGED: the change
 * does not fit. Counts of the manifest are not looked at. */
enum lh_code state_apply(struct dataset_state *parent, const struct manifest *manifest,
                         struct dataset_state **ret, struct lh_error *err) LH_MUST_USE;
/* Makes an old version say where its files are by now, as the dataset's present tells; nobody else
 * may have it yet. */
void state_settle(struct dataset_state *state, const struct catalog_dataset *now);
/* The version of the newest move of a dataset that is still told; 0: none. */
int64_t state_moved(const struct catalog_dataset *view);
/* Copies the members that `bits` name; texts stay where they are. */
void state_set_members(uint32_t bits, const struct catalog_dataset *set,
                       struct catalog_dataset *to);
/* LH_DAMAGED unless the counts of the manifest are those of the state. */
enum lh_code state_check(const struct dataset_state *state, const struct manifest *manifest,
                         struct lh_error *err) LH_MUST_USE;
/* The whole state as a checkpoint that borrows from it; `objects` go into the arena. */
void state_to_checkpoint(const struct dataset_state *state, struct lh_arena *arena,
                         struct manifest *ret);
struct dataset_state *state_damaged(struct lh_str id, struct lh_str name, int64_t version,
                                    uint64_t sequence, struct lh_str damage);
struct dataset_state *state_ref(struct dataset_state *state);
void state_unref(struct dataset_state *state);

/* --- live.c: which versions somebody can still read from memory: their files must stay.
 * Threads: any; its mutex is the last that is taken. */

struct live_states *live_new(void);
void live_unref(struct live_states *live); /* states that are still listed keep it */
/* Lists a state, once, before others can see it; it leaves the list when its last holder lets go.
 */
void live_add(struct live_states *live, struct dataset_state *state);
void live_drop(struct dataset_state *state); /* for state_unref; not listed is fine */
/* Calls visit for every listed version of the dataset below `version`; it must not call back. */
void live_visit(struct live_states *live, struct lh_str dataset_id, int64_t version,
                void (*visit)(void *context, const struct catalog_dataset *view), void *context);

/* --- chain.c: the manifests of one dataset on disk */

struct chain_file {
    int64_t version;
    bool is_checkpoint;
};
struct chain_head {
    struct dataset_state *state;
    struct manifest_ref head;
    struct manifest_ref parent;
    struct manifest_ref checkpoint; /* 0: none usable */
    uint64_t epoch;
    uint64_t sequence;
    int64_t time_ms;
    int64_t versions_since_checkpoint;
    int64_t changes_since_checkpoint; /* objects added and removed */
    bool is_checkpoint_damaged;       /* served by a longer replay */
};
/* Files of a dataset ascending by version; a manifest before the checkpoint of its version. */
enum lh_code chain_list(struct storage *storage, struct lh_str id, struct lh_arena *arena,
                        struct chain_file **ret, size_t *ret_count,
                        struct lh_error *err) LH_MUST_USE;
/* LH_NOT_FOUND, LH_DAMAGED, LH_FORMAT. */
enum lh_code chain_read(struct storage *storage, struct lh_str id, struct chain_file file,
                        struct lh_arena *arena, struct manifest *ret,
                        struct lh_error *err) LH_MUST_USE;
/* Replays up to `version`. ret->state is the caller's, to be unreferenced. */
enum lh_code chain_replay(struct storage *storage, struct lh_str id, int64_t version,
                          struct chain_head *ret, struct lh_error *err) LH_MUST_USE;
/* LH_DAMAGED: a version from `retained` on (0 = the first) is missing that no later one replaces.
 */
enum lh_code chain_check_gaps(struct storage *storage, struct lh_str id,
                              const struct chain_file *files, size_t file_count, int64_t retained,
                              struct lh_error *err) LH_MUST_USE;

#endif
