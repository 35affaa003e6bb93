#include "http/internal.h"

/* Parts of a form on their way: files into the staging folder, everything else into memory. */

static enum lh_code take_part(void *context, const struct multipart_part *part,
                              struct lh_error *err)
{
    struct exchange *exchange = context;
    struct body *body = &exchange->body;
    if (body->part_count == exchange->server->options.form_parts_max)
        return lh_fail(err, LH_TOO_LARGE, "The form has more than %zu parts.", body->part_count);
    struct form_part *item = lh_arena_alloc(exchange->arena, sizeof *item);
    item->part.name = lh_arena_str(exchange->arena, part->name);
    if (part->content_type.data)
        item->part.content_type = lh_arena_str(exchange->arena, part->content_type);
    item->part.is_file = body->is_file = part->has_filename;
    if (body->last)
        body->last->next = item;
    else
        body->first = item;
    body->last = item;
    body->part_count++;
    if (!part->has_filename)
        return LH_OK;
    item->part.file.filename = lh_arena_str(exchange->arena, part->filename);
    const enum lh_code code = spool_open(exchange, &body->spool, err);
    if (!code)
        item->part.file.path = body->spool.path;
    return code;
}

static enum lh_code take_data(void *context, struct lh_str bytes, struct lh_error *err)
{
    struct exchange *exchange = context;
    struct body *body = &exchange->body;
    if (body->is_file)
        return spool_add(exchange->server, &body->spool, bytes, err);
    body->form_bytes += bytes.len;
    if (body->form_bytes > exchange->server->options.form_bytes_max) {
        lh_fail(err, LH_TOO_LARGE,
                "The form's parts without a file name are larger than %zu bytes.",
                exchange->server->options.form_bytes_max);
        return lh_error_hint(err, "Send large content as a file: curl -F file=@data.csv");
    }
    const enum lh_code code = body_count_memory(exchange, bytes.len, err);
    if (!code)
        lh_buf_append(&body->memory, bytes.data, bytes.len);
    return code;
}

static enum lh_code end_part(void *context, struct lh_error *err)
{
    struct exchange *exchange = context;
    struct body *body = &exchange->body;
    if (body->is_file)
        return spool_end(&body->spool, &body->last->part.file, err);
    const enum lh_code code = lh_buf_check(&body->memory, "A part of the form", err);
    if (code)
        return code;
    char *const value = lh_arena_try(exchange->arena, body->memory.len + 1);
    if (!value)
        return lh_fail(err, LH_BUSY, "There is no memory left for the form.");
    if (body->memory.len > 0)
        memcpy(value, body->memory.data, body->memory.len);
    body->last->part.value = (struct lh_str){value, body->memory.len};
    lh_buf_clear(&body->memory);
    return LH_OK;
}

enum lh_code form_begin(struct exchange *exchange, struct lh_error *err)
{
    const struct multipart_sink sink = {take_part, take_data, end_part, exchange};
    return multipart_new(http_request_header(&exchange->request, "Content-Type"), &sink,
                         &exchange->body.multipart, err);
}

enum lh_code form_end(struct exchange *exchange, struct lh_error *err)
{
    struct body *body = &exchange->body;
    const enum lh_code code = multipart_finish(body->multipart, err);
    if (code)
        return code;
    struct http_part *parts = lh_arena_array(exchange->arena, body->part_count + 1, sizeof *parts);
    size_t count = 0;
    for (const struct form_part *item = body->first; item; item = item->next)
        parts[count++] = item->part;
    exchange->request.parts = parts;
    exchange->request.part_count = count;
    return LH_OK;
}
