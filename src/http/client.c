#include <assert.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/file.h"
#include "http/http_client.h"

#define POLL_MS 50
#define CONNECT_TIMEOUT_MS 10000
#define RESPONSE_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define RESPONSE_HEADERS_MAX ((size_t)200)

struct http_client {
    CURLM *multi; /* keeps the connections */
    CURL *easy;
};

/* A file on its way out. */
struct file_source {
    int fd;
    int64_t start; /* of what is sent */
    int64_t offset;
    int64_t bytes;
    struct transfer *transfer;
};

/* One exchange; lives on the stack of http_client_send. */
struct transfer {
    const struct http_client_request *request;
    struct http_client_response *response;
    struct lh_arena *arena;
    CURL *easy;
    struct curl_slist *headers;
    curl_mime *mime;
    struct file_source *files; /* one per part */
    size_t file_count;
    struct http_pair *response_headers;
    char curl_message[CURL_ERROR_SIZE];
    enum lh_code code; /* why a callback ended it */
    struct lh_error *err;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static bool curl_is_ready;

static void start_curl(void)
{
    curl_is_ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

enum lh_code http_client_new(struct http_client **ret, struct lh_error *err)
{
    pthread_once(&curl_once, start_curl);
    struct http_client *client = calloc(1, sizeof *client);
    if (client && curl_is_ready) {
        client->multi = curl_multi_init();
        client->easy = curl_easy_init();
    }
    if (!client || !client->multi || !client->easy) {
        http_client_free(client);
        return lh_fail(err, LH_BUSY, "There is no memory for an HTTP client.");
    }
    *ret = client;
    return LH_OK;
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    curl_easy_cleanup(client->easy);
    curl_multi_cleanup(client->multi);
    free(client);
}

/* --- what comes back --- */

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    const struct http_client_request *request = transfer->request;
    const size_t len = size * count;
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (request->sink && status < 300) {
        transfer->code =
            request->sink(request->context, (int)status, (struct lh_str){data, len}, transfer->err);
        return transfer->code ? 0 : len;
    }
    lh_buf_append(&transfer->response->body, data, len);
    transfer->code =
        lh_buf_check(&transfer->response->body, "The server's response", transfer->err);
    return transfer->code ? 0 : len;
}

static size_t take_header(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct http_client_response *response = transfer->response;
    struct lh_str value = {data, size * count};
    if (lh_str_starts_with(value, lh_lit("HTTP/")))
        response->header_count = 0; /* of the last response only: a 100 Continue came before */
    const struct lh_str name = lh_str_cut(&value, ':');
    if (!value.data || response->header_count == RESPONSE_HEADERS_MAX)
        return size * count;
    struct http_pair *pair = &transfer->response_headers[response->header_count++];
    pair->name = lh_arena_str(transfer->arena, name);
    pair->value = lh_arena_str(transfer->arena, lh_str_trim(value));
    return size * count;
}

static int on_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    (void)down_total;
    (void)down;
    const struct transfer *transfer = context;
    if (transfer->request->progress)
        transfer->request->progress(transfer->request->context, up, up_total > 0 ? up_total : -1);
    return 0;
}

/* --- what goes out --- */

static size_t read_file(char *ret, size_t size, size_t count, void *context)
{
    struct file_source *file = context;
    size_t got = 0;
    int64_t left = file->start + file->bytes - file->offset;
    size_t wanted = (int64_t)(size * count) < left ? size * count : (size_t)(left > 0 ? left : 0);
    file->transfer->code =
        lh_file_read_at(file->fd, ret, wanted, file->offset, &got, file->transfer->err);
    if (file->transfer->code)
        return CURL_READFUNC_ABORT;
    file->offset += (int64_t)got;
    return got;
}

static int seek_file(void *context, curl_off_t offset, int origin)
{
    struct file_source *file = context;
    if (origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    file->offset = file->start + offset;
    return CURL_SEEKFUNC_OK;
}

static struct lh_str last_component(struct lh_str path)
{
    size_t at = path.len;
    while (at > 0 && path.data[at - 1] != '/')
        at--;
    return lh_str_slice(path, at, path.len);
}

static enum lh_code open_file(struct transfer *transfer, struct lh_str path,
                              struct file_source *ret, struct lh_error *err)
{
    const struct lh_str name = last_component(path);
    struct lh_str folder = lh_str_slice(path, 0, path.len - name.len);
    struct lh_dir *dir = NULL;
    struct lh_file_info info;
    if (folder.len == 0)
        folder = lh_lit(".");
    if (name.len == 0)
        return lh_fail(err, LH_INVALID, "'%.*s' does not name a file.", LH_ARG(path));
    const char *const file_name = lh_arena_cstr(transfer->arena, name);
    enum lh_code code = lh_dir_open(folder, false, &dir, err);
    if (!code)
        code = lh_file_info(dir, file_name, &info, err);
    if (!code && info.is_folder)
        code = lh_fail(err, LH_INVALID, "'%.*s' is a folder, not a file.", LH_ARG(path));
    if (!code)
        code = lh_file_open(dir, file_name, false, &ret->fd, err);
    if (!code) {
        ret->bytes = info.bytes;
        ret->transfer = transfer;
    }
    lh_dir_close(dir);
    return code;
}

static enum lh_code add_part(struct transfer *transfer, const struct http_client_part *part,
                             struct lh_error *err)
{
    curl_mimepart *item = curl_mime_addpart(transfer->mime);
    if (!item)
        return lh_fail(err, LH_BUSY, "There is no memory for a form.");
    curl_mime_name(item, lh_arena_cstr(transfer->arena, part->name));
    if (part->content_type.data)
        curl_mime_type(item, lh_arena_cstr(transfer->arena, part->content_type));
    if (!part->file_path.data) {
        curl_mime_data(item, part->value.data ? part->value.data : "", part->value.len);
        return LH_OK;
    }
    struct file_source *file = &transfer->files[transfer->file_count];
    const enum lh_code code = open_file(transfer, part->file_path, file, err);
    if (code)
        return code;
    transfer->file_count++;
    const struct lh_str filename =
        part->filename.data ? part->filename : last_component(part->file_path);
    curl_mime_filename(item, lh_arena_cstr(transfer->arena, filename));
    if (!part->content_type.data)
        curl_mime_type(item, "application/octet-stream");
    curl_mime_data_cb(item, file->bytes, read_file, seek_file, NULL, file);
    return LH_OK;
}

static enum lh_code set_file_body(struct transfer *transfer, struct lh_error *err)
{
    transfer->files = lh_arena_array(transfer->arena, 1, sizeof *transfer->files);
    const enum lh_code code =
        open_file(transfer, transfer->request->body_path, transfer->files, err);
    if (code)
        return code;
    transfer->file_count = 1;
    struct file_source *file = transfer->files;
    file->start = file->offset = transfer->request->body_offset;
    file->bytes -= file->start;
    if (transfer->request->body_bytes)
        file->bytes = transfer->request->body_bytes;
    curl_easy_setopt(transfer->easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(transfer->easy, CURLOPT_READFUNCTION, read_file);
    curl_easy_setopt(transfer->easy, CURLOPT_READDATA, transfer->files);
    curl_easy_setopt(transfer->easy, CURLOPT_SEEKFUNCTION, seek_file);
    curl_easy_setopt(transfer->easy, CURLOPT_SEEKDATA, transfer->files);
    curl_easy_setopt(transfer->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)transfer->files->bytes);
    return LH_OK;
}

static enum lh_code set_body(struct transfer *transfer, struct lh_error *err)
{
    const struct http_client_request *request = transfer->request;
    if (request->body_path.data)
        return set_file_body(transfer, err);
    if (request->part_count == 0) {
        const bool has_body = request->body.data && request->body.len > 0;
        if (has_body || strcmp(request->method, "POST") == 0 ||
            strcmp(request->method, "PUT") == 0 || strcmp(request->method, "PATCH") == 0) {
            curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS,
                             has_body ? request->body.data : "");
            curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                             (curl_off_t)request->body.len);
        }
        return LH_OK;
    }
    transfer->mime = curl_mime_init(transfer->easy);
    transfer->files = lh_arena_array(transfer->arena, request->part_count, sizeof *transfer->files);
    for (size_t at = 0; at < request->part_count; at++) {
        const enum lh_code code = add_part(transfer, &request->parts[at], err);
        if (code)
            return code;
    }
    curl_easy_setopt(transfer->easy, CURLOPT_MIMEPOST, transfer->mime);
    return LH_OK;
}

static enum lh_code set_headers(struct transfer *transfer, struct lh_error *err)
{
    const struct http_client_request *request = transfer->request;
    bool has_type = false;
    for (size_t at = 0; at < request->header_count; at++) {
        const struct http_pair *pair = &request->headers[at];
        if (memchr(pair->value.data ? pair->value.data : "", '\n', pair->value.len) ||
            memchr(pair->value.data ? pair->value.data : "", '\r', pair->value.len))
            return lh_fail(err, LH_INVALID, "The header '%.*s' has a line break.",
                           LH_ARG(pair->name));
        has_type = has_type || lh_str_equal_nocase(pair->name, lh_lit("Content-Type"));
        /* curl's own form for a header without a value ends in a semicolon */
        const struct lh_str line =
            lh_arena_printf(transfer->arena, pair->value.len ? "%.*s: %.*s" : "%.*s;%.*s",
                            LH_ARG(pair->name), LH_ARG(pair->value));
        transfer->headers = curl_slist_append(transfer->headers, line.data);
    }
    if (!has_type && request->part_count == 0) /* curl would call every body a form */
        transfer->headers = curl_slist_append(transfer->headers, "Content-Type:");
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
    return LH_OK;
}

static enum lh_code set_options(struct transfer *transfer, struct lh_error *err)
{
    CURL *easy = transfer->easy;
    const struct http_client_request *request = transfer->request;
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_URL, lh_arena_cstr(transfer->arena, request->url));
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* none from the environment either */
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->curl_message);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, transfer);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 262144L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, request->stall_timeout_ms ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
                     (long)((request->stall_timeout_ms + 999) / 1000));
    curl_easy_setopt(
        easy, CURLOPT_CONNECTTIMEOUT_MS,
        (long)(request->connect_timeout_ms ? request->connect_timeout_ms : CONNECT_TIMEOUT_MS));
    enum lh_code code = set_body(transfer, err);
    if (!code)
        code = set_headers(transfer, err);
    if (strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
    return code;
}

/* --- the exchange --- */

static enum lh_code fail_curl(struct transfer *transfer, CURLcode result, struct lh_error *err)
{
    const struct lh_str url = lh_str_slice(transfer->request->url, 0, 300);
    const char *const reason =
        transfer->curl_message[0] ? transfer->curl_message : curl_easy_strerror(result);
    switch (result) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        lh_fail(err, LH_INVALID, "'%.*s' is not an http or https URL: %s.", LH_ARG(url), reason);
        return lh_error_hint(err, "Write http://127.0.0.1:3100/… .");
    case CURLE_OPERATION_TIMEDOUT:
        return lh_fail(err, LH_TIMEOUT, "No answer from '%.*s' in time: %s.", LH_ARG(url), reason);
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
        lh_fail(err, LH_IO, "There is no connection to '%.*s': %s.", LH_ARG(url), reason);
        return lh_error_hint(err, "Is the server running, and is this its address?");
    case CURLE_OUT_OF_MEMORY:
        return lh_fail(err, LH_BUSY, "There is no memory for a request to '%.*s'.", LH_ARG(url));
    default:
        return lh_fail(err, LH_IO, "The exchange with '%.*s' broke off: %s.", LH_ARG(url), reason);
    }
}

static bool is_done(CURLM *multi, CURLcode *ret)
{
    int left = 0;
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));)
        if (message->msg == CURLMSG_DONE) {
            *ret = message->data.result;
            return true;
        }
    return false;
}

static enum lh_code perform(struct http_client *client, struct transfer *transfer,
                            struct lh_error *err)
{
    CURLcode result = CURLE_OK;
    enum lh_code code = LH_OK;
    int running = 0;
    if (curl_multi_add_handle(client->multi, client->easy))
        return lh_fail(err, LH_BUSY, "There is no memory for an HTTP request.");
    for (;;) {
        const CURLMcode step = curl_multi_perform(client->multi, &running);
        if (step) {
            code = lh_fail(err, LH_IO, "The HTTP client failed: %s.", curl_multi_strerror(step));
            break;
        }
        if (is_done(client->multi, &result))
            break;
        code = lh_cancel_check(transfer->request->cancel);
        if (code) {
            lh_cancel_fail(transfer->request->cancel, "The HTTP request", err);
            break;
        }
        curl_multi_poll(client->multi, NULL, 0, POLL_MS, NULL);
    }
    curl_multi_remove_handle(client->multi, client->easy);
    if (code)
        return code;
    if (transfer->code) /* a callback's own error, already written */
        return transfer->code;
    return result ? fail_curl(transfer, result, err) : LH_OK;
}

static void transfer_release(struct transfer *transfer)
{
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(transfer->easy, CURLOPT_MIMEPOST, NULL);
    curl_slist_free_all(transfer->headers);
    curl_mime_free(transfer->mime);
    for (size_t at = 0; at < transfer->file_count; at++)
        if (lh_file_close(transfer->files[at].fd, NULL))
            transfer->files[at].fd = -1; /* it was only read */
}

enum lh_code http_client_send(struct http_client *client, const struct http_client_request *request,
                              struct http_client_response *ret, struct lh_error *err)
{
    assert(request->method && request->url.data);
    struct http_client_response response = {.arena = lh_arena_new(0)};
    lh_buf_init(&response.body,
                request->response_bytes_max ? request->response_bytes_max : RESPONSE_BYTES_MAX);
    struct transfer transfer = {
        .request = request,
        .response = &response,
        .arena = response.arena,
        .easy = client->easy,
        .err = err,
    };
    transfer.response_headers =
        lh_arena_array(response.arena, RESPONSE_HEADERS_MAX, sizeof *transfer.response_headers);
    enum lh_code code = set_options(&transfer, err);
    if (!code)
        code = perform(client, &transfer, err);
    if (!code) {
        long status = 0;
        curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &status);
        response.status = (int)status;
        response.headers = transfer.response_headers;
    }
    transfer_release(&transfer);
    if (code)
        http_client_response_release(&response);
    else
        *ret = response;
    return code;
}

void http_client_response_release(struct http_client_response *response)
{
    if (!response)
        return;
    lh_buf_release(&response->body);
    lh_arena_free(response->arena);
    *response = (struct http_client_response){0};
}

struct lh_str http_client_response_header(const struct http_client_response *response,
                                          const char *name)
{
    for (size_t at = 0; at < response->header_count; at++)
        if (lh_str_equal_nocase(response->headers[at].name, lh_str_of(name)))
            return response->headers[at].value;
    return (struct lh_str){0};
}
