/* The inside of storage: a data folder, its buckets, and the row that a backend is. */
#ifndef LAKEHOUSE_STORAGE_INTERNAL_H
#define LAKEHOUSE_STORAGE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/file.h"
#include "base/uuid.h"
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
/* Of people and of doors, not objects: they may lie in a data folder before it is a lake. */
#define SETTINGS_FILE "lakehouse.toml"
#define SECRETS_FILE "secrets.toml"
#define ADMIN_KEY_FILE "admin.key"
#define ADMIN_KEY_NEW_FILE "admin.key.new"

struct storage_bucket {
    struct lh_str name;
    const struct storage_backend *backend;
    struct storage *storage; /* whose data folder holds the staged files */
    void *state;             /* the backend's own */
};

/* What a backend must do. Keys were checked and are NUL-ended. */
struct storage_backend {
    const char *name;
    enum lh_code (*open)(struct storage_bucket *bucket, struct lh_error *err);
    void (*close)(struct storage_bucket *bucket);

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
    /* Puts the object below the folder `trash` of the data folder; missing = LH_OK. */
    enum lh_code (*trash)(struct storage_bucket *bucket, const char *key, const char *trash,
                          struct lh_error *err);
};

extern const struct storage_backend storage_local;

/* Folders known to be durable in this process, with their whole way from the data folder. */
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
    struct lh_arena *arena; /* the paths; written only while opening */
    struct lh_str staging_path;
    struct lh_str scratch_path;
    struct storage_bucket primary;
    struct folder_set folders;
    /* Shared by whoever publishes, replaces or removes an object, while it does; a backup takes it
     * alone while it looks at what there is. */
    pthread_rwlock_t gate;
    atomic_int backups; /* that run: the trash is kept, they may need what went there */
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

enum lh_code storage_bucket_find(struct storage *storage, struct lh_str name,
                                 struct storage_bucket **ret, struct lh_error *err) LH_MUST_USE;
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
/* Gives a part of it up; false: nothing is left. */
bool reserve_give(struct storage *storage);

/* folders.c */
enum lh_code folders_ensure(struct storage *storage, struct lh_str folder,
                            struct lh_error *err) LH_MUST_USE;
void folders_forget(struct storage *storage); /* all of them: somebody removed one */
void folders_release(struct folder_set *set);

#endif
