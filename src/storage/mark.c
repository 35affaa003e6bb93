#include "storage/mark.h"

#include <assert.h>
#include <stdlib.h>

#include "base/little.h"
#include "storage/internal.h"

/* A place, little-endian: magic (4), length (4), number (8), the bytes, noughts, CRC-32C (4). */
#define MAGIC "LHMK"
#define HEAD_BYTES ((size_t)16)
#define PLACE_BYTES ((size_t)256)
#define FILE_BYTES (2 * PLACE_BYTES)

struct storage_mark {
    struct storage *storage;
    struct key_text key;
    int fd;
    uint64_t number; /* of the last one that was written */
};

static void fill_place(char place[PLACE_BYTES], uint64_t number, struct lh_str bytes)
{
    assert(bytes.len <= STORAGE_MARK_BYTES_MAX);
    memset(place, 0, PLACE_BYTES);
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes with a length, no string */
    memcpy(place, MAGIC, 4);
    lh_little_put(place + 4, bytes.len, 4);
    lh_little_put(place + 8, number, 8);
    memcpy(place + HEAD_BYTES, bytes.data, bytes.len);
    lh_little_put(place + PLACE_BYTES - 4, lh_crc32c(0, place, PLACE_BYTES - 4), 4);
}

static bool read_place(const char place[PLACE_BYTES], uint64_t *ret_number, struct lh_str *ret)
{
    size_t len = (size_t)lh_little_get(place + 4, 4);
    if (memcmp(place, MAGIC, 4) != 0 || len > STORAGE_MARK_BYTES_MAX ||
        lh_little_get(place + PLACE_BYTES - 4, 4) != lh_crc32c(0, place, PLACE_BYTES - 4))
        return false;
    *ret_number = lh_little_get(place + 8, 8);
    *ret = (struct lh_str){place + HEAD_BYTES, len};
    return true;
}

/* Its place in the file is the one that does not hold the newest. */
static bool read_newest(struct lh_str file, uint64_t *ret_number, struct lh_str *ret)
{
    uint64_t number = 0;
    *ret_number = 0;
    for (size_t at = 0; file.len == FILE_BYTES && at < FILE_BYTES; at += PLACE_BYTES) {
        struct lh_str found;
        if (read_place(file.data + at, &number, &found) && number > *ret_number) {
            *ret_number = number;
            *ret = found;
        }
    }
    return *ret_number > 0;
}

/* Over one that is there, so that a full disk does not matter; else a file of its own, durably. */
static enum lh_code make(struct storage *storage, struct lh_str key, struct lh_str bytes,
                         uint64_t *ret_number, struct lh_error *err)
{
    char file[FILE_BYTES];
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str old, newest;
    enum lh_code code = storage_get(storage, STORAGE_PRIMARY, key, FILE_BYTES, arena, &old, NULL);
    bool is_there = !code && read_newest(old, ret_number, &newest);
    lh_arena_free(arena);
    if (is_there)
        return LH_OK;
    fill_place(file, 1, bytes);
    fill_place(file + PLACE_BYTES, 2, bytes);
    *ret_number = 2;
    return storage_put_replacing(storage, STORAGE_PRIMARY, key, (struct lh_str){file, sizeof file},
                                 err);
}

enum lh_code storage_mark_open(struct storage *storage, struct lh_str key, struct lh_str bytes,
                               struct storage_mark **ret, struct lh_error *err)
{
    struct key_text text;
    uint64_t number = 0;
    enum lh_code code = key_copy(key, &text, err);
    if (!code)
        code = make(storage, key, bytes, &number, err);
    if (code)
        return code;
    struct storage_mark *mark = calloc(1, sizeof *mark);
    if (!mark)
        return lh_fail(err, LH_BUSY, "There is no memory for a mark.");
    *mark = (struct storage_mark){.storage = storage, .key = text, .fd = -1, .number = number};
    code = lh_file_open(storage->dir, text.text, true, &mark->fd, err);
    if (!code)
        code = storage_mark_write(mark, bytes, err);
    if (code)
        storage_mark_close(mark);
    else
        *ret = mark;
    return code;
}

enum lh_code storage_mark_write(struct storage_mark *mark, struct lh_str bytes,
                                struct lh_error *err)
{
    char place[PLACE_BYTES];
    fill_place(place, mark->number + 1, bytes);
    int64_t at = mark->number % 2 ? (int64_t)PLACE_BYTES : 0;
    gate_enter(&mark->storage->primary); /* a backup sees whole ones */
    enum lh_code code = lh_file_write_at(mark->fd, place, sizeof place, at, err);
    gate_leave(&mark->storage->primary, lh_str_of(mark->key.text));
    if (!code)
        mark->number++;
    return code;
}

void storage_mark_close(struct storage_mark *mark)
{
    if (!mark)
        return;
    lh_file_abandon(mark->fd);
    free(mark);
}

enum lh_code storage_mark_read(struct storage *storage, struct lh_str key, struct lh_arena *arena,
                               struct lh_str *ret, struct lh_error *err)
{
    struct lh_str bytes, newest = {0};
    uint64_t number = 0;
    enum lh_code code = storage_get(storage, STORAGE_PRIMARY, key, FILE_BYTES, arena, &bytes, err);
    if (code == LH_TOO_LARGE || (!code && !read_newest(bytes, &number, &newest)))
        return lh_fail(err, LH_DAMAGED, "'%.*s' is not what was written.", LH_ARG(key));
    if (!code)
        *ret = newest;
    return code;
}
