#include "storage/log.h"

#include <stdlib.h>

#include "storage/internal.h"

struct storage_log {
    struct storage *storage;
    struct key_text key;
    int fd;
    int64_t bytes;
    bool is_doubtful; /* an fsync failed, or a half-written piece could not be taken back */
};

/* A file that was just opened: what is behind its good part goes, what is in it becomes durable. */
static enum lh_code settle(struct storage_log *log, struct lh_error *err)
{
    struct lh_file_info info;
    enum lh_code code = lh_file_info_of(log->fd, &info, err);
    if (!code && info.bytes < log->bytes)
        code = lh_fail(err, LH_DAMAGED, "The log has %lld bytes; it had %lld.",
                       (long long)info.bytes, (long long)log->bytes);
    if (!code && info.bytes > log->bytes)
        code = lh_file_resize(log->fd, log->bytes, err);
    return code ? code : lh_file_sync(log->fd, err);
}

enum lh_code storage_log_open(struct storage *storage, struct lh_str key, int64_t bytes,
                              struct storage_log **ret, struct lh_error *err)
{
    struct key_text text;
    enum lh_code code = storage_check_writable(storage, err);
    if (!code)
        code = key_copy(key, &text, err);
    if (code)
        return code;
    struct storage_log *log = calloc(1, sizeof *log);
    if (!log)
        return lh_fail(err, LH_BUSY, "There is no memory to open a log.");
    *log = (struct storage_log){.storage = storage, .key = text, .fd = -1, .bytes = bytes};
    code = lh_file_open(storage->dir, text.text, true, &log->fd, err);
    if (!code)
        code = settle(log, err);
    if (code) {
        storage_log_close(log);
        return code;
    }
    *ret = log;
    return LH_OK;
}

void storage_log_close(struct storage_log *log)
{
    if (!log)
        return;
    lh_file_abandon(log->fd); /* all of it is durable, or in doubt for good */
    free(log);
}

static enum lh_code fail_doubtful(struct storage_log *log, struct lh_error *err)
{
    struct lh_error cause = LH_ERROR_NONE;
    if (err)
        cause = *err;
    log->is_doubtful = true;
    lh_fail(err, LH_UNKNOWN, "Whether what was appended will last is not known: %s", cause.message);
    lh_error_hint(err, "Look at the disk, then restart the server: it recovers what is there.");
    return LH_UNKNOWN;
}

/* Nobody was told of a piece that is there in part: it is taken back. */
static enum lh_code write_piece(struct storage_log *log, struct lh_str bytes, struct lh_error *err)
{
    bool is_left = false;
    struct storage_bucket *primary = &log->storage->primary;
    gate_enter(primary); /* a backup sees whole pieces, and none of later */
    enum lh_code code = lh_file_write_at(log->fd, bytes.data, bytes.len, log->bytes, err);
    if (code)
        is_left = lh_file_resize(log->fd, log->bytes, NULL) != LH_OK;
    gate_leave(primary, lh_str_of(log->key.text));
    return is_left ? fail_doubtful(log, err) : code;
}

enum lh_code storage_log_append(struct storage_log *log, struct lh_str bytes, bool is_vital,
                                struct lh_error *err)
{
    if (log->is_doubtful) {
        lh_fail(err, LH_UNKNOWN, "Appending stopped because the disk failed in the middle of it.");
        return lh_error_hint(err, "Look at the disk, then restart the server: it recovers.");
    }
    enum lh_code code = write_piece(log, bytes, err);
    while (code == LH_FULL && is_vital && storage_reserve_give(log->storage))
        code = write_piece(log, bytes, err);
    if (code)
        return code;
    /* Never a second time: the kernel may have dropped what it could not write. */
    if (lh_file_sync(log->fd, err) != LH_OK)
        return fail_doubtful(log, err);
    log->bytes += (int64_t)bytes.len;
    return LH_OK;
}

int64_t storage_log_bytes(const struct storage_log *log)
{
    return log->bytes;
}
