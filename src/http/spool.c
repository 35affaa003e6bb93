#include "http/internal.h"

#include "base/uuid.h"

/* Free space is asked for again after so many bytes: others write too. */
#define LOOK_EVERY_BYTES ((int64_t)8 << 20)

/* Whether `wanted` bytes more leave the reserve free, which commits and deletes need. An unknown
 * amount of free space stops nobody: the write itself will tell. */
static enum lh_code check_space(const struct http_server *server, int64_t wanted,
                                struct lh_error *err)
{
    int64_t free_bytes = 0;
    if (lh_dir_free_bytes(server->options.staging, &free_bytes, NULL))
        return LH_OK;
    const int64_t left = free_bytes - server->options.disk_reserve_bytes;
    if (wanted <= left)
        return LH_OK;
    lh_fail(err, LH_FULL,
            "There is no room for the upload: %lld MB are free, %lld MB of them kept.",
            (long long)(free_bytes >> 20), (long long)(server->options.disk_reserve_bytes >> 20));
    return lh_error_hint(err, "Free space on the disk of the data folder, or send less at once.");
}

enum lh_code spool_open(struct exchange *exchange, struct spool *spool, struct lh_error *err)
{
    const struct http_server *server = exchange->server;
    if (!server->options.staging)
        return lh_fail(err, LH_BUSY, "This server takes no uploads: it has no staging folder.");
    const int64_t coming = exchange->content_length - exchange->body.received;
    if (check_space(server, coming > 0 ? coming : 0, err))
        return LH_FULL;
    const struct lh_uuid id = lh_uuid_new();
    const struct lh_str path =
        lh_arena_printf(exchange->arena, "%supload-%s", server->staging_prefix, id.text);
    const enum lh_code code = lh_file_create(server->options.staging, path.data, &spool->fd, err);
    if (code)
        return lh_error_context(err, "The upload cannot be stored");
    spool->path = path;
    spool->bytes = 0;
    spool->sum = lh_sha256_new();
    exchange->body.has_spooled = true;
    return LH_OK;
}

enum lh_code spool_add(const struct http_server *server, struct spool *spool, struct lh_str bytes,
                       struct lh_error *err)
{
    const int64_t after = spool->bytes + (int64_t)bytes.len;
    if (spool->bytes / LOOK_EVERY_BYTES != after / LOOK_EVERY_BYTES &&
        check_space(server, (int64_t)bytes.len, err))
        return LH_FULL;
    const enum lh_code code = lh_file_write(spool->fd, bytes.data, bytes.len, err);
    if (code)
        return lh_error_context(err, "The upload cannot be stored");
    lh_sha256_add(spool->sum, bytes.data, bytes.len);
    spool->bytes += (int64_t)bytes.len;
    return LH_OK;
}

enum lh_code spool_end(struct spool *spool, struct lh_upload *ret, struct lh_error *err)
{
    const int fd = spool->fd;
    spool->fd = -1;
    const enum lh_code code = lh_file_close(fd, err);
    if (!code) {
        ret->path = spool->path;
        ret->bytes = spool->bytes;
        lh_sha256_finish(spool->sum, ret->sha256);
    }
    spool_release(spool);
    return code;
}

void spool_release(struct spool *spool)
{
    if (spool->fd >= 0 && lh_file_close(spool->fd, NULL))
        spool->bytes = 0; /* the file is about to be removed: its close has nothing left to tell */
    lh_sha256_free(spool->sum);
    *spool = (struct spool){.fd = -1};
}
