#include "fuzz.h"

#include "http/coding.h"
#include "http/internal.h"

static struct lh_str exact(const uint8_t *bytes, size_t count, char **ret_copy)
{
    *ret_copy = malloc(count + 1); /* of just that size: a byte too far is found */
    fuzz_must(*ret_copy);
    memcpy(*ret_copy, bytes, count);
    (*ret_copy)[count] = '\0';
    return (struct lh_str){*ret_copy, count};
}

/* A request's target; and the same bytes as a list of codings. What is split is UTF-8 without an
 * escape left in it, and no longer than what came. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error err = LH_ERROR_NONE;
    char *copy = NULL;
    struct http_request request = {.target = exact(bytes, count, &copy), .arena = arena};
    fuzz_must(coding_choose(request.target) <= CODING_ZSTD);
    if (target_parse(&request, &err) == LH_OK) {
        size_t total = 0;
        for (size_t i = 0; i < request.segment_count; i++) {
            fuzz_must(lh_str_is_utf8(request.segments[i], NULL));
            total += request.segments[i].len;
        }
        for (size_t i = 0; i < request.query_count; i++) {
            fuzz_must(lh_str_is_utf8(request.query[i].name, NULL));
            fuzz_must(lh_str_is_utf8(request.query[i].value, NULL));
            total += request.query[i].name.len + request.query[i].value.len;
        }
        fuzz_must(total <= count && count <= HTTP_TARGET_BYTES_MAX);
    } else {
        fuzz_must(err.message[0] != '\0');
    }
    free(copy);
    lh_arena_free(arena);
    return 0;
}
