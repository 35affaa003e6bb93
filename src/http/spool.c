#include "http/internal.h"

#include "base/uuid.h"

enum lh_code spool_open(struct exchange *exchange, struct spool *spool, struct lh_error *err)
{
    const struct http_server *server = exchange->server;
    if (!server->options.staging)
        return lh_fail(err, LH_BUSY, "This server takes no uploads: it has no staging folder.");
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

enum lh_code spool_add(struct spool *spool, struct lh_str bytes, struct lh_error *err)
{
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
