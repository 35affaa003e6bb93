#include "fuzz.h"

#include "engine/ast.h"

/* What was read and is written reads again, to the same text. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct lh_str text = {(const char *)bytes, count};
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error err = LH_ERROR_NONE;
    struct ast_node *root = NULL;
    struct ast_node *again = NULL;
    struct lh_buf first, second;
    lh_buf_init(&first, (size_t)16 << 20);
    lh_buf_init(&second, (size_t)16 << 20);
    if (ast_read(text, arena, &root, &err) == LH_OK) {
        ast_write(root, &first);
        fuzz_must(ast_read(lh_buf_str(&first), arena, &again, NULL) == LH_OK);
        ast_write(again, &second);
        fuzz_must(lh_str_equal(lh_buf_str(&first), lh_buf_str(&second)));
    } else {
        fuzz_must(err.message[0] != '\0');
    }
    lh_buf_release(&first);
    lh_buf_release(&second);
    lh_arena_free(arena);
    return 0;
}
