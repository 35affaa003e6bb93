#include "http/internal.h"

#include "base/log.h"

static enum lh_code fail_too_much(const struct exchange *exchange, struct lh_error *err)
{
    if (exchange->route.body == HTTP_BODY_NONE) {
        lh_fail(err, LH_INVALID, "This operation takes no body.");
        return lh_error_hint(err, "Its arguments stand in the address: ?name=value.");
    }
    return lh_fail(err, LH_TOO_LARGE,
                   "The body is larger than %lld bytes, the most that is taken here.",
                   (long long)exchange->route.body_bytes_max);
}

static int64_t bytes_max(const struct exchange *exchange)
{
    return exchange->route.body == HTTP_BODY_NONE ? 0 : exchange->route.body_bytes_max;
}

enum lh_code body_count_memory(struct exchange *exchange, size_t count, struct lh_error *err)
{
    struct http_server *server = exchange->server;
    const int64_t before = atomic_fetch_add(&server->body_memory, (int64_t)count);
    exchange->body.memory_counted += count;
    if ((size_t)before + count <= server->options.body_memory_max)
        return LH_OK;
    lh_fail(err, LH_BUSY, "The server holds too many request bodies in memory at the moment.");
    return lh_error_hint(err, "Try again shortly.");
}

enum lh_code body_begin(struct exchange *exchange, struct lh_error *err)
{
    struct body *body = &exchange->body;
    if (exchange->content_length > bytes_max(exchange))
        return fail_too_much(exchange, err);
    switch (exchange->route.body) {
    case HTTP_BODY_NONE:
        return LH_OK;
    case HTTP_BODY_MEMORY:
        lh_buf_init(&body->memory, (size_t)exchange->route.body_bytes_max);
        return LH_OK;
    case HTTP_BODY_SPOOL:
        return spool_open(exchange, &body->spool, err);
    case HTTP_BODY_MULTIPART:
        lh_buf_init(&body->memory, exchange->server->options.form_bytes_max);
        return form_begin(exchange, err);
    }
    return LH_OK;
}

enum lh_code body_add(struct exchange *exchange, struct lh_str bytes, struct lh_error *err)
{
    struct body *body = &exchange->body;
    enum lh_code code = LH_OK;
    body->received += (int64_t)bytes.len;
    count_add(&exchange->server->counters.bytes_received, (int64_t)bytes.len);
    if (body->received > bytes_max(exchange))
        return fail_too_much(exchange, err);
    switch (exchange->route.body) {
    case HTTP_BODY_NONE:
        break;
    case HTTP_BODY_MEMORY:
        code = body_count_memory(exchange, bytes.len, err);
        if (!code)
            lh_buf_append(&body->memory, bytes.data, bytes.len);
        break;
    case HTTP_BODY_SPOOL:
        code = spool_add(exchange->server, &body->spool, bytes, err);
        break;
    case HTTP_BODY_MULTIPART:
        code = multipart_feed(body->multipart, bytes, err);
        break;
    }
    return code;
}

enum lh_code body_end(struct exchange *exchange, struct lh_error *err)
{
    struct body *body = &exchange->body;
    switch (exchange->route.body) {
    case HTTP_BODY_NONE:
        return LH_OK;
    case HTTP_BODY_MEMORY:
        exchange->request.body = lh_buf_str(&body->memory);
        return lh_buf_check(&body->memory, "The body", err);
    case HTTP_BODY_SPOOL:
        return spool_end(&body->spool, &exchange->request.upload, err);
    case HTTP_BODY_MULTIPART:
        return form_end(exchange, err);
    }
    return LH_OK;
}

static void remove_file(struct exchange *exchange, struct lh_str path)
{
    struct lh_error err = LH_ERROR_NONE;
    if (path.len > 0 && lh_file_remove(exchange->server->options.staging, path.data, &err))
        lh_log_error(LH_LOG_WARN, "http.spool", &err);
}

void body_remove_files(struct exchange *exchange)
{
    struct body *body = &exchange->body;
    if (!body->has_spooled)
        return;
    remove_file(exchange, body->spool.path);
    remove_file(exchange, exchange->request.upload.path);
    for (const struct form_part *item = body->first; item; item = item->next)
        remove_file(exchange, item->part.file.path);
    body->has_spooled = false;
}

void body_release(struct exchange *exchange)
{
    struct body *body = &exchange->body;
    body_remove_files(exchange);
    spool_release(&body->spool);
    multipart_free(body->multipart);
    lh_buf_release(&body->memory);
    if (body->memory_counted > 0)
        atomic_fetch_sub(&exchange->server->body_memory, (int64_t)body->memory_counted);
    *body = (struct body){.spool = {.fd = -1}};
}
