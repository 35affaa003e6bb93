#include "fuzz.h"

#include "query/internal.h"

/* A statement is cut into tokens that lie behind each other, within it, to its end; a group ends
 * behind where it opens. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char *copy = malloc(count ? count : 1);
    fuzz_must(copy);
    memcpy(copy, bytes, count);
    struct lh_str sql = {copy, count};
    size_t at = 0;
    for (;;) {
        struct query_token token = query_token_at(sql, at);
        fuzz_must(token.start >= at && token.end >= token.start && token.end <= count);
        if (token.kind == QUERY_TOKEN_END)
            break;
        fuzz_must(token.end > token.start);
        if (count <= 512 && query_token_is_char(sql, token, '(')) {
            size_t end = query_token_group_end(sql, token);
            fuzz_must(end == 0 || (end > token.end && end <= count));
        }
        fuzz_must(!query_token_is(sql, token, "as of"));
        at = token.end;
    }
    free(copy);
    return 0;
}
