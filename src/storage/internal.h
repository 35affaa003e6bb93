/* The inside of storage: a data folder, its buckets, and the row that a backend is. */
#ifndef LAKEHOUSE_STORAGE_INTERNAL_H
#define LAKEHOUSE_STORAGE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/file.h"
#include "base/uuid.h"
#include "storage/buckets.h"
#include "storage/reserve.h"
#include "storage/storage.h"

#define STAGING_FOLDER "_staging"
#define SCRATCH_FOLDER "_scratch"
#define TRASH_FOLDER "_trash"
#define LAKE_FILE "_lake.json"
#define LOCK_FILE "_lock"
#define OWNER_FILE "_owner.json"
#define RESERVE_FILE "_reserve"
#define RESTORING_FILE "_restoring.json" /* a restore into this folder has not ended */
#define RESTORING_LAKE_FILE "_restoring.lake"
#define CACHE_FOLDER "_cache"
#define BUCKET_FILE "_bucket.json" /* says whose a bucket elsewhere is */
#define BUCKETS_FOLDER "_storage/buckets"
/* Of people and of doors, not objects: they may lie in a data folder before it is a lake. */
#define SETTINGS_FILE "lakehouse.toml"
#define SECRETS_FILE "secrets.toml"
#define ADMIN_KEY_FILE "admin.key"
#define ADMIN_KEY_NEW_FILE "admin.key.new"

struct storage_bucket {
    struct lh_str name;
    const struct storage_backend *backend;
    struct storage *storage; /* whose data folder holds the staged files */
    void *state;             /* the backend's own; NULL: it is not open */
    struct lh_arena *arena;  /* the options' texts; NULL: primary */
    struct storage_bucket_options options;
    bool is_configured;
    bool is_inherited; /* restored with the lake, not adopted: nobody may open it. As above */
    bool is_known;     /* the record was there before: its place must be as well */
    /* Guarded by the buckets' mutex: */
    unsigned holds;              /* callers that are about to put something there */
    bool is_leaving;             /* no more of them */
    struct lh_error problem;     /* why it is not open; code LH_OK: it is */
    int64_t tried_us;            /* when that was */
    struct storage_bucket *next; /* of the list, or of those that left */
};

/* What a backend must do. Keys were checked and are NUL-ended. */
struct storage_backend {
    const char *name;
    bool is_remote; /* its objects are read through the cache */
    /* Makes the place's mark ours, if it is of a lake that this one was restored from. While it is
     * not open. LH_CONFLICT: another lake's. */
    enum lh_code (*adopt)(struct storage_bucket *bucket, struct lh_error *err);
    /* Sets bucket->state, or leaves it NULL. */
    enum lh_code (*open)(struct storage_bucket *bucket, struct lh_error *err);
    void (*close)(struct storage_bucket *bucket);
    /* Whether it answers, and takes what is put there: now. */
    enum lh_code (*probe)(struct storage_bucket *bucket, const struct lh_cancel *cancel,
                          struct lh_error *err);
    /* Whether its place is there, at no cost, which becomes the bucket's problem. NULL: it tells
     * by itself. Not under the buckets' mutex. */
    enum lh_code (*look)(struct storage_bucket *bucket, struct lh_error *err);

    /* Before publishing: whatever the key needs to exist, durably. */
    enum lh_code (*prepare)(struct storage_bucket *bucket, const char *key, struct lh_error *err);
    /* Makes the sealed file `staged` (a path below the data folder) the object `key`, if there is
     * none: LH_EXISTS. *ret_is_unknown: it failed, and yet the object may be there. */
    enum lh_code (*publish)(struct storage_bucket *bucket, const char *staged, const char *key,
                            bool *ret_is_unknown, struct lh_error *err);
    /* The same in the place of another, or of none: whoever reads sees the one or the other. */
    enum lh_code (*replace)(struct storage_bucket *bucket, const char *staged, const char *key,
                            bool *ret_is_unknown, struct lh_error *err);
    /* Makes durable that the objects in the folder of `key` are there. */
    enum lh_code (*settle)(struct storage_bucket *bucket, const char *key, struct lh_error *err);

    enum lh_code (*get)(struct storage_bucket *bucket, const char *key, size_t bytes_max,
                        struct lh_arena *arena, struct lh_str *ret, struct lh_error *err);
    enum lh_code (*open_file)(struct storage_bucket *bucket, const char *key, int *ret_fd,
                              struct lh_error *err);
    enum lh_code (*info)(struct storage_bucket *bucket, const char *key, struct storage_info *ret,
                         struct lh_error *err);
    enum lh_code (*sum)(struct storage_bucket *bucket, const char *key,
                        const struct lh_cancel *cancel, struct storage_sum *ret,
                        struct lh_error *err);
    enum lh_code (*path)(struct storage_bucket *bucket, const char *key, struct lh_arena *arena,
                         struct lh_str *ret, struct lh_error *err);
    /* `folder` may be "". Names of the layout and names that no key may have are the caller's
     * affair. */
    enum lh_code (*list)(struct storage_bucket *bucket, const char *folder, struct lh_arena *arena,
                         struct storage_entry **ret, size_t *ret_count, struct lh_error *err);
    /* Puts the object below the folder `trash` of the bucket; missing = LH_OK. */
    enum lh_code (*trash)(struct storage_bucket *bucket, const char *key, const char *trash,
                          struct lh_error *err);
    enum lh_code (*sweep)(struct storage_bucket *bucket, int64_t age_ms, int64_t *bytes,
                          struct lh_error *err); /* as storage_trash_sweep; adds to *bytes */
    /* Remote ones: the whole object into an open, empty file. */
    enum lh_code (*fetch)(struct storage_bucket *bucket, const char *key, int fd,
                          const struct lh_cancel *cancel, struct lh_error *err);
    const struct storage_held_backend *held; /* held_internal.h */
};

extern const struct storage_backend storage_local;
extern const struct storage_backend storage_s3;

/* Folders known to be durable in this process, all their way from the data folder. */
struct folder_set {
    pthread_mutex_t mutex;
    char **names; /* open addressing; `capacity` is a power of two */
    size_t capacity;
    size_t count;
};

struct storage {
    struct lh_dir *dir;
    bool is_writable;
    int lock_fd; /* -1: none */
    int64_t started_ms;
    struct lh_uuid id;
    struct lh_str *restored_from; /* ids of lakes, the oldest first; written only while opening */
    size_t restored_count;
    struct lh_arena *arena; /* the paths; written only while opening */
    struct lh_str staging_path;
    struct lh_str scratch_path;
    struct storage_bucket primary;
    /* Shared by whoever publishes, replaces or removes an object, while it does; a backup takes it
     * alone while it looks at what there is. */
    pthread_rwlock_t gate;
    atomic_int backups;           /* that run: the trash is kept, they may need what went there */
    pthread_mutex_t watch_mutex;  /* guards the list and what is noted in it */
    struct backup_watch *watches; /* of backups that look at what there is */
    struct folder_set folders;    /* of primary */
    pthread_mutex_t buckets_mutex;
    struct storage_bucket *buckets; /* the others, by name */
    struct storage_bucket *left;    /* closed at the end: somebody may still use them */
    struct lh_str rescue;           /* name of the rescue bucket; absent = none */
    struct lh_str secrets_path;
    struct failures *failures;
    struct cache *cache; /* NULL: opened for reading */
    int64_t cache_bytes_max;
    pthread_mutex_t reserve_mutex; /* guards what follows; held while the reserve's size changes */
    int64_t reserve_bytes;         /* that are kept now */
};

/* A key (or folder) with a NUL behind it. */
struct key_text {
    char text[STORAGE_KEY_BYTES_MAX + 1];
};
enum lh_code key_copy(struct lh_str key, struct key_text *ret, struct lh_error *err) LH_MUST_USE;
enum lh_code folder_copy(struct lh_str folder, struct key_text *ret,
                         struct lh_error *err) LH_MUST_USE;
bool key_is_reserved(struct lh_str name); /* as a first part */
struct lh_str key_folder(struct lh_str key);

/* LH_NOT_FOUND: no such bucket; LH_IO: it is not available. What is found stays until the storage
 * is closed. */
enum lh_code storage_bucket_find(struct storage *storage, struct lh_str name,
                                 struct storage_bucket **ret, struct lh_error *err) LH_MUST_USE;
const struct storage_backend *storage_backend_find(struct lh_str name);

/* storage.c: around what changes the objects of primary, which are those that a backup lists. */
void gate_enter(struct storage_bucket *bucket);
void gate_leave(struct storage_bucket *bucket, struct lh_str key); /* which it was about */
/* backup_look.c: between the two, for each further key. */
void gate_note(struct storage *storage, struct lh_str key);

/* bucket_record.c */
enum lh_code bucket_options_check(const struct storage_bucket_options *options,
                                  struct lh_error *err) LH_MUST_USE;
void bucket_options_copy(const struct storage_bucket_options *from, struct lh_arena *arena,
                         struct storage_bucket_options *ret);
bool bucket_is_same_place(const struct storage_bucket_options *a,
                          const struct storage_bucket_options *b);
struct lh_str bucket_record_key(struct lh_str name, struct lh_arena *arena);
enum lh_code bucket_record_text(struct lh_str lake, const struct storage_bucket_options *options,
                                struct lh_arena *arena, struct lh_str *ret,
                                struct lh_error *err) LH_MUST_USE;
enum lh_code bucket_record_write(struct storage *storage,
                                 const struct storage_bucket_options *options,
                                 struct lh_error *err) LH_MUST_USE;
enum lh_code bucket_record_read(struct storage *storage, struct lh_str name, struct lh_arena *arena,
                                struct storage_bucket_options *ret, bool *ret_is_inherited,
                                struct lh_error *err) LH_MUST_USE;
struct lh_str bucket_mark_text_of(struct lh_str lake, struct lh_arena *arena);
struct lh_str bucket_mark_text(const struct storage_bucket *bucket, struct lh_arena *arena);
/* LH_CONFLICT: another lake's. */
enum lh_code bucket_mark_check(const struct storage_bucket *bucket, struct lh_str text,
                               struct lh_error *err) LH_MUST_USE;
/* The same, or a lake's that this one was restored from. */
enum lh_code bucket_mark_check_adoptable(const struct storage_bucket *bucket, struct lh_str text,
                                         struct lh_error *err) LH_MUST_USE;
void bucket_inherited_fail(struct lh_str name, struct lh_error *err);

/* buckets.c: the records of primary, opened as far as they can be. */
enum lh_code buckets_load(struct storage *storage, struct lh_error *err) LH_MUST_USE;
void buckets_close(struct storage *storage);
enum lh_code storage_check_writable(const struct storage *storage,
                                    struct lh_error *err) LH_MUST_USE;

/* layout.c: what makes a folder a data folder. */
enum lh_code layout_check(struct storage *storage, struct lh_str shown, bool create,
                          struct lh_error *err) LH_MUST_USE;
enum lh_code layout_lock(struct storage *storage, struct lh_str shown,
                         struct lh_error *err) LH_MUST_USE;
enum lh_code layout_make(struct storage *storage, struct lh_error *err) LH_MUST_USE;
enum lh_code layout_write_owner(struct storage *storage, struct lh_str address,
                                struct lh_error *err) LH_MUST_USE;

/* reserve.c: looks how much is kept, before anything is written. */
void reserve_open(struct storage *storage);

/* failures.c */
enum lh_code failures_open(struct storage *storage, struct lh_error *err) LH_MUST_USE;
void failures_close(struct storage *storage); /* writes what is in memory */

/* secrets.c: the keys of a store, by their section of the secrets file. */
struct store_keys {
    char access_key[257];
    char secret_key[257];
    char session_token[4097]; /* "" = none */
};
/* LH_IO: there is no such file or section, others may read it, or it says something else. Never
 * tells what is in it. The caller wipes *ret. */
enum lh_code secrets_find(const struct storage *storage, struct lh_str id, struct store_keys *ret,
                          struct lh_error *err) LH_MUST_USE;

/* trash.c: of one folder that has `_trash`. */
enum lh_code trash_sweep_folder(struct lh_dir *dir, int64_t age_ms, int64_t *bytes,
                                struct lh_error *err) LH_MUST_USE;
/* The milliseconds that a UUIDv7 begins with. */
int64_t trash_time(struct lh_str uuid);

/* folders.c */
void folders_init(struct folder_set *set);
enum lh_code folders_ensure(struct lh_dir *dir, struct folder_set *set, struct lh_str folder,
                            struct lh_error *err) LH_MUST_USE;
void folders_forget(struct folder_set *set); /* all of them: somebody removed one */
void folders_release(struct folder_set *set);

#endif
