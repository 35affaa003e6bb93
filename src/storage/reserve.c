#include "storage/internal.h"

/* Room that is kept for what must go on when the disk is full: a file that is given up piece by
 * piece, so that others who write at that moment do not get all of it at once, and that is filled
 * again when there is room. What it holds is nobody's: it is not synced, and lost it is only made
 * anew. */

#define PIECE_BYTES ((int64_t)512 << 10)
#define STEP_BYTES ((int64_t)4 << 10)
/* A disk with less is not made fuller for this. */
#define PLENTY_BYTES (8 * STORAGE_RESERVE_BYTES)

static enum lh_code open_file(struct storage *storage, int *ret_fd, struct lh_error *err)
{
    enum lh_code code = lh_file_open(storage->dir, RESERVE_FILE, true, ret_fd, err);
    return code == LH_NOT_FOUND ? lh_file_create(storage->dir, RESERVE_FILE, ret_fd, err) : code;
}

/* With the mutex held. Never counts on more than is there. */
static enum lh_code resize(struct storage *storage, int64_t bytes, struct lh_error *err)
{
    int fd = -1;
    enum lh_code code = open_file(storage, &fd, err);
    if (code)
        return code;
    code = lh_file_resize(fd, bytes, err);
    if (!code)
        storage->reserve_bytes = bytes;
    else if (lh_file_resize(fd, storage->reserve_bytes, NULL) != LH_OK)
        storage->reserve_bytes = 0;
    lh_file_abandon(fd); /* nothing in it matters */
    return code;
}

void reserve_open(struct storage *storage)
{
    struct lh_file_info info;
    if (lh_file_info(storage->dir, RESERVE_FILE, &info, NULL) == LH_OK && !info.is_folder)
        storage->reserve_bytes = info.bytes;
}

bool storage_reserve_give(struct storage *storage)
{
    pthread_mutex_lock(&storage->reserve_mutex);
    int64_t kept = storage->reserve_bytes;
    bool is_given =
        kept > 0 && resize(storage, kept > PIECE_BYTES ? kept - PIECE_BYTES : 0, NULL) == LH_OK;
    pthread_mutex_unlock(&storage->reserve_mutex);
    return is_given;
}

enum lh_code storage_reserve_make_room(struct storage *storage, int64_t bytes, int64_t *ret_bytes,
                                       struct lh_error *err)
{
    int64_t free_bytes = 0, all = 0;
    pthread_mutex_lock(&storage->reserve_mutex);
    enum lh_code code = storage_free_bytes(storage, &free_bytes, err);
    if (!code) {
        all = free_bytes + storage->reserve_bytes;
        if (all < bytes)
            code = lh_fail(err, LH_FULL,
                           "Only %lld KB are free where the lake lies; %lld KB are needed.",
                           (long long)(all >> 10), (long long)(bytes >> 10) + 1);
        else if (free_bytes < bytes)
            code = resize(storage, all - bytes, err);
    }
    pthread_mutex_unlock(&storage->reserve_mutex);
    if (ret_bytes && (!code || code == LH_FULL))
        *ret_bytes = all;
    return code;
}

void storage_reserve_take_back(struct storage *storage)
{
    int64_t free_bytes = 0;
    pthread_mutex_lock(&storage->reserve_mutex);
    int64_t missing = STORAGE_RESERVE_BYTES - storage->reserve_bytes;
    if (missing > 0 && !storage_free_bytes(storage, &free_bytes, NULL)) {
        missing = free_bytes < missing ? free_bytes / STEP_BYTES * STEP_BYTES : missing;
        /* Others are as fast: then less. */
        while (missing > 0 && resize(storage, storage->reserve_bytes + missing, NULL))
            missing = missing / 2 / STEP_BYTES * STEP_BYTES;
    }
    pthread_mutex_unlock(&storage->reserve_mutex);
}

enum lh_code storage_reserve_fill(struct storage *storage, struct lh_error *err)
{
    int64_t free_bytes = 0;
    enum lh_code code = storage_check_writable(storage, err);
    if (code)
        return code;
    pthread_mutex_lock(&storage->reserve_mutex);
    if (storage->reserve_bytes != STORAGE_RESERVE_BYTES) {
        code = storage_free_bytes(storage, &free_bytes, err);
        if (!code && free_bytes >= PLENTY_BYTES)
            code = resize(storage, STORAGE_RESERVE_BYTES, err);
    }
    pthread_mutex_unlock(&storage->reserve_mutex);
    return code == LH_FULL ? LH_OK : code; /* somebody was faster: another time */
}

int64_t storage_reserve_bytes(struct storage *storage)
{
    pthread_mutex_lock(&storage->reserve_mutex);
    int64_t bytes = storage->reserve_bytes;
    pthread_mutex_unlock(&storage->reserve_mutex);
    return bytes;
}

enum lh_code storage_put_vital(struct storage *storage, struct lh_str bucket, struct lh_str key,
                               struct lh_str bytes, struct lh_error *err)
{
    enum lh_code code = storage_put_exclusive(storage, bucket, key, bytes, err);
    while (code == LH_FULL && storage_reserve_give(storage))
        code = storage_put_exclusive(storage, bucket, key, bytes, err);
    return code;
}
