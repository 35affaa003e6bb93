#include <inttypes.h>
#include <stdlib.h>

#include "demo/internal.h"

#define INGEST_TIMEOUT_MS 600000
#define QUERY_TIMEOUT_MS 60000
#define RESPONSE_BYTES_MAX ((size_t)4 * 1024 * 1024)

/* A problem document as an error of ours: its own detail and hint. */
static enum lh_code fail_with_problem(const json_t *problem, int status, const char *path,
                                      struct lh_error *err)
{
    struct lh_str detail = lh_json_text(json_object_get(problem, "detail"));
    struct lh_str hint = lh_json_text(json_object_get(problem, "hint"));
    enum lh_code code = lh_fail(err, LH_INTERNAL, "%s answered %d: %.*s", path, status,
                                LH_ARG(detail.len ? detail : lh_lit("no reason was given")));
    if (hint.len)
        return lh_error_hint(err, "%.*s", LH_ARG(hint));
    return code;
}

static enum lh_code exchange(struct demo *demo, const struct http_client_request *request,
                             const char *path, const json_t **ret, int *ret_status,
                             struct lh_error *err)
{
    struct http_client_response response = {0};
    json_t *answer = NULL;
    enum lh_code code = http_client_send(demo->client, request, &response, err);
    if (code)
        return code;
    code = lh_json_parse(lh_buf_str(&response.body), path, RESPONSE_BYTES_MAX, &answer, err);
    if (code)
        goto out;
    lh_json_keep(answer, demo->arena);
    if (ret_status)
        *ret_status = response.status;
    else if (response.status >= 400)
        code = fail_with_problem(answer, response.status, path, err);
    if (!code)
        *ret = answer;
out:
    http_client_response_release(&response);
    return code;
}

static size_t put_key(const struct demo *demo, struct http_pair *headers)
{
    if (!demo->key.data)
        return 0;
    headers[0] = (struct http_pair){lh_lit("X-API-Key"), demo->key};
    return 1;
}

enum lh_code demo_request(struct demo *demo, const char *method, const char *path,
                          struct lh_str json_body, const json_t **ret, int *ret_status,
                          struct lh_error *err)
{
    struct http_pair headers[2];
    size_t header_count = put_key(demo, headers);
    if (!lh_str_empty(json_body))
        headers[header_count++] =
            (struct http_pair){lh_lit("Content-Type"), lh_lit("application/json")};
    struct http_client_request request = {
        .method = method,
        .url = lh_arena_printf(demo->arena, "%.*s%s", LH_ARG(demo->url), path),
        .headers = headers,
        .header_count = header_count,
        .body = json_body,
        .timeout_ms = QUERY_TIMEOUT_MS,
        .cancel = &demo->cancel,
        .response_bytes_max = RESPONSE_BYTES_MAX,
    };
    return exchange(demo, &request, path, ret, ret_status, err);
}

enum lh_code demo_ingest(struct demo *demo, struct lh_str dataset, struct lh_str path,
                         const json_t **ret, struct lh_error *err)
{
    const struct http_client_part parts[] = {
        {.name = lh_lit("dataset"), .value = dataset},
        {.name = lh_lit("mode"), .value = lh_lit("create")},
        {.name = lh_lit("file"), .file_path = path},
    };
    struct http_pair headers[1];
    struct http_client_request request = {
        .method = "POST",
        .url = lh_arena_printf(demo->arena, "%.*s/ingest/file", LH_ARG(demo->url)),
        .headers = headers,
        .header_count = put_key(demo, headers),
        .parts = parts,
        .part_count = sizeof(parts) / sizeof(parts[0]),
        .timeout_ms = INGEST_TIMEOUT_MS,
        .cancel = &demo->cancel,
        .response_bytes_max = RESPONSE_BYTES_MAX,
    };
    return exchange(demo, &request, "/ingest/file", ret, NULL, err);
}

struct lh_str demo_count(struct lh_arena *arena, int64_t count)
{
    char digits[24];
    char grouped[32];
    int len = snprintf(digits, sizeof(digits), "%" PRId64, count);
    size_t at = 0;
    for (int place = 0; place < len; place++) {
        if (place > 0 && (len - place) % 3 == 0 && digits[place - 1] != '-')
            grouped[at++] = ',';
        grouped[at++] = digits[place];
    }
    return lh_arena_str(arena, (struct lh_str){grouped, at});
}
