/* What making and restoring backups share: the folder of one, and its lists. */
#ifndef LAKEHOUSE_STORAGE_BACKUP_INTERNAL_H
#define LAKEHOUSE_STORAGE_BACKUP_INTERNAL_H

#include "storage/backup.h"
#include "storage/internal.h"

#define BACKUP_FORMAT 1
#define BACKUP_FILE "_backup.json"
#define BACKUP_LOCK "_lock"
#define BACKUP_NEW "_new"
#define BACKUP_OBJECTS "objects"
#define BACKUP_LISTS "snapshots"

/* One file of a lake as a backup has it. */
struct backup_file {
    struct lh_str bucket;
    struct lh_str key; /* also `_lake.json`, which is no object */
    int64_t bytes;
    uint64_t inode;     /* of the copied file; with the time it tells that it is still that one */
    int64_t changed_ns; /* 0: never the same */
    uint8_t sha256[LH_SHA256_BYTES];
    bool has_sum;       /* a manifest says it, or it was read already */
    bool is_summed;     /* the sum is what it must be: it need not be read if the backup has that */
    struct lh_str held; /* read already; absent: to be copied */
    bool is_gone;       /* removed while the files were looked at */
    bool is_known;      /* the backup has it from earlier */
};

struct backup_list {
    struct lh_arena *arena;
    struct backup_file *items;
    size_t count, capacity;
    int64_t number;
    uint64_t sequence;
    int64_t made_ms;
    struct lh_uuid lake;
    struct lh_str *left_out; /* buckets whose files are not in it; texts in `arena` */
    size_t left_out_count;
    struct lh_str job;                   /* that made it; absent: none did */
    struct storage_backup_result result; /* what was answered; noughts where nobody wrote it */
};
void backup_list_init(struct backup_list *list);
void backup_list_release(struct backup_list *list);
struct backup_file *backup_list_add(struct backup_list *list, struct lh_str bucket,
                                    struct lh_str key);
void backup_list_sort(struct backup_list *list);       /* by bucket and key */
int backup_compare_sums(const void *a, const void *b); /* of two pointers to files */
/* In a sorted list; NULL: none. */
const struct backup_file *backup_list_find(const struct backup_list *list, struct lh_str bucket,
                                           struct lh_str key);

/* What changed since the listing began, in the words of those who did it; guarded by the storage's
 * watch_mutex. */
struct backup_watch {
    struct backup_watch *next;
    struct lh_arena *arena; /* of the keys */
    struct lh_str *keys;    /* as they came, some several times */
    size_t count, capacity;
};

/* How far a backup is, told now and then. */
struct backup_meter {
    const struct storage_backup_options *options;
    struct storage_backup_progress progress;
    int64_t told_us;
};
void backup_meter_phase(struct backup_meter *meter, const char *phase); /* static text */
void backup_meter_add(struct backup_meter *meter, int64_t bytes);       /* NULL is fine */

struct backup_store {
    struct lh_dir *dir;
    int lock_fd;
    struct lh_uuid lake;
    bool has_folder[256]; /* of objects, by the first byte of the sum: known to be there */
    bool is_used[256];    /* by the list that is to be published: to be made durable */
};
/* Opens a backup's folder; with `lake` takes its lock, and makes it if there is none. Ended by
 * backup_store_close, also after a failure. */
enum lh_code backup_store_open(struct lh_str path, const struct lh_uuid *lake,
                               struct backup_store *ret, struct lh_error *err) LH_MUST_USE;
void backup_store_close(struct backup_store *store);

/* The numbers of all lists, ascending. */
enum lh_code backup_store_numbers(struct backup_store *store, struct lh_arena *arena, int64_t **ret,
                                  size_t *ret_count, struct lh_error *err) LH_MUST_USE;
/* LH_NOT_FOUND; LH_DAMAGED; LH_FORMAT. */
enum lh_code backup_store_read(struct backup_store *store, int64_t number, struct backup_list *ret,
                               struct lh_error *err) LH_MUST_USE;
/* Makes all objects durable, then the list: the backup is there with it. */
enum lh_code backup_store_publish(struct backup_store *store, struct backup_list *list,
                                  struct lh_error *err) LH_MUST_USE;

/* The path of an object below the store: "objects/ab/abcd…". */
#define BACKUP_OBJECT_BYTES (sizeof BACKUP_OBJECTS + 4 + LH_SHA256_HEX_BYTES)
void backup_object_path(const uint8_t *sha256, char ret[BACKUP_OBJECT_BYTES]);
/* Whether an object of that size is there. */
bool backup_store_has(struct backup_store *store, const uint8_t *sha256, int64_t bytes);
/* LH_DAMAGED: missing, or not what its name says. */
enum lh_code backup_store_check(struct backup_store *store, const struct backup_file *file,
                                const struct lh_cancel *cancel, struct backup_meter *meter,
                                struct lh_error *err) LH_MUST_USE;
/* Puts `bytes` bytes of an open file (or of memory, with fd -1) into the store and sums them. With
 * `is_mending` it takes the place of what is there. */
struct backup_input {
    int fd;
    struct lh_str held;
    int64_t bytes;
    const uint8_t *expected; /* LH_DAMAGED if the sum is another; NULL: not known */
    struct lh_str shown;     /* for messages */
    bool is_mending;
    const struct lh_cancel *cancel;
    struct backup_meter *meter; /* may be NULL */
};
enum lh_code backup_store_put(struct backup_store *store, const struct backup_input *input,
                              uint8_t ret[LH_SHA256_BYTES], struct lh_error *err) LH_MUST_USE;

/* backup_places.c. LH_INVALID: no absolute path; LH_CONFLICT: inside the lake or a bucket of it. */
enum lh_code backup_place_check(struct storage *storage, struct lh_str path,
                                struct lh_error *err) LH_MUST_USE;
/* backup_others.c: the files of other buckets, added to the list. LH_CONFLICT: one does not answer.
 */
enum lh_code backup_others_check(struct storage *storage, struct lh_error *err) LH_MUST_USE;
enum lh_code backup_others_add(struct storage *storage, const struct storage_backup_source *source,
                               const struct lh_cancel *cancel, struct backup_list *list,
                               struct lh_error *err) LH_MUST_USE;
/* One of them as an open file; what comes from a store is in `_new` of the backup first. */
enum lh_code backup_others_open(struct storage *storage, struct backup_store *store,
                                const struct backup_file *file, const struct lh_cancel *cancel,
                                int *ret_fd, struct lh_error *err) LH_MUST_USE;

/* The buckets beside primary that hold anything, or do not answer. */
void backup_places_in_use(struct storage *storage, struct lh_arena *arena, struct lh_str **ret,
                          size_t *ret_count);
struct lh_str backup_names_text(const struct lh_str *names, size_t count, struct lh_arena *arena);

/* --- restore_places.c: folders that other buckets are restored into */

struct restore_place {
    const struct storage_restore_place *place;
    struct lh_dir *dir;
};
struct restore_places {
    struct restore_place items[STORAGE_RESTORE_PLACES_MAX];
    size_t count;
};
/* The place of each bucket that the list, which is sorted, has files of. LH_CONFLICT: one has none,
 * unless all are left out; LH_INVALID. Touches nothing. */
enum lh_code restore_places_find(struct restore_places *places,
                                 const struct storage_restore_options *options,
                                 const struct backup_list *list, struct lh_error *err) LH_MUST_USE;
/* LH_CONFLICT: one is not empty, and not of the restore that the marker names. */
enum lh_code restore_places_open(struct restore_places *places, struct lh_str marker,
                                 bool is_complete, struct lh_error *err) LH_MUST_USE;
/* They and their records in the target become those of the lake with that id. */
enum lh_code restore_places_claim(struct restore_places *places, struct lh_dir *target,
                                  const struct lh_uuid *id, struct lh_error *err) LH_MUST_USE;
enum lh_code restore_places_end(struct restore_places *places, struct lh_error *err) LH_MUST_USE;
void restore_places_release(struct restore_places *places);

/* Copies exactly `bytes` bytes and sums them; the output may be -1, the meter NULL. LH_DAMAGED:
 * there are fewer. */
enum lh_code backup_copy(int from, int to, int64_t bytes, struct lh_str shown,
                         const struct lh_cancel *cancel, struct backup_meter *meter,
                         uint8_t ret[LH_SHA256_BYTES], struct lh_error *err) LH_MUST_USE;

/* room.c. LH_FULL: for `bytes` more bytes, which `what` needs, there is no room below `dir`. */
enum lh_code room_check(struct lh_dir *dir, int64_t bytes, const char *what,
                        struct lh_error *err) LH_MUST_USE;

/* backup_look.c: the files of primary at one moment, sorted, with the documents of their owner;
 * *ret_held_us is how long nobody could publish. */
enum lh_code backup_look(struct storage *storage, const struct storage_backup_options *options,
                         struct backup_list *list, int64_t *ret_held_us,
                         struct lh_error *err) LH_MUST_USE;

#endif
