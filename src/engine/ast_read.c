/* The parser's JSON as a tree that keeps every number's text.
 *
 * Why not the JSON door of base/: constants and locations of ordinary statements go beyond int64,
 * which jansson refuses, and a statement must come back out as it went in. The input is made by the
 * library, so the reader is strict and small; its depth is bounded because the statement behind it
 * is the caller's.
 */
#include "engine/ast.h"

#define NODES_PER_NAME 12 /* a name or a number is so many values of the JSON */

struct reader {
    struct lh_str json;
    size_t at;
    struct lh_arena *arena;
    size_t node_count;
    struct lh_error *err;
};

static enum lh_code malformed(struct reader *reader, const char *expected)
{
    return lh_fail(reader->err, LH_MALFORMED,
                   "The statement's tree is not valid JSON at byte %zu: %s.", reader->at, expected);
}

static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->json.len && strchr(" \t\r\n", reader->json.data[reader->at]) &&
           reader->json.data[reader->at])
        reader->at++;
}

static bool next_is(struct reader *reader, char expected)
{
    skip_blanks(reader);
    if (reader->at >= reader->json.len || reader->json.data[reader->at] != expected)
        return false;
    reader->at++;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool read_hex4(struct reader *reader, uint32_t *ret)
{
    *ret = 0;
    if (reader->json.len - reader->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(reader->json.data[reader->at++]);
        if (digit < 0)
            return false;
        *ret = *ret << 4 | (uint32_t)digit;
    }
    return true;
}

static size_t write_utf8(uint32_t code, char *ret)
{
    if (code < 0x80) {
        ret[0] = (char)code;
        return 1;
    }
    size_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xC0, 0xE0, 0xF0};
    for (size_t i = more; i > 0; i--) {
        ret[i] = (char)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    ret[0] = (char)(lead[more] | code);
    return more + 1;
}

/* After "\u": a character, from one or two halves. */
static bool read_unicode(struct reader *reader, uint32_t *ret)
{
    uint32_t low;
    if (!read_hex4(reader, ret))
        return false;
    if (*ret < 0xD800 || *ret > 0xDFFF)
        return true;
    if (*ret > 0xDBFF || reader->json.len - reader->at < 6 ||
        memcmp(reader->json.data + reader->at, "\\u", 2) != 0)
        return false;
    reader->at += 2;
    if (!read_hex4(reader, &low) || low < 0xDC00 || low > 0xDFFF)
        return false;
    *ret = 0x10000 + ((*ret - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

static bool read_escape(struct reader *reader, char *ret, size_t *ret_len)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (reader->at >= reader->json.len)
        return false;
    char c = reader->json.data[reader->at++];
    const char *simple = c ? strchr(from, c) : NULL;
    if (simple) {
        ret[*ret_len] = to[simple - from];
        *ret_len += 1;
        return true;
    }
    uint32_t code;
    if (c != 'u' || !read_unicode(reader, &code))
        return false;
    *ret_len += write_utf8(code, ret + *ret_len);
    return true;
}

/* After the opening quote. Unescaped text is never longer than what it was written as. */
static enum lh_code read_string(struct reader *reader, struct lh_str *ret)
{
    size_t end = reader->at;
    bool has_escape = false;
    while (end < reader->json.len && reader->json.data[end] != '"') {
        has_escape |= reader->json.data[end] == '\\';
        end += reader->json.data[end] == '\\' ? 2 : 1;
    }
    if (end >= reader->json.len)
        return malformed(reader, "a text has no end");
    if (!has_escape) {
        *ret =
            lh_arena_str(reader->arena, lh_str_slice(reader->json, reader->at, end - reader->at));
        reader->at = end + 1;
        return LH_OK;
    }
    char *text = lh_arena_try(reader->arena, end - reader->at + 1);
    size_t len = 0;
    if (!text)
        return lh_fail(reader->err, LH_TOO_LARGE, "The statement's tree needs too much memory.");
    while (reader->at < end) {
        char c = reader->json.data[reader->at++];
        if (c != '\\')
            text[len++] = c;
        else if (!read_escape(reader, text, &len))
            return malformed(reader, "a text has an unknown escape");
    }
    reader->at = end + 1;
    *ret = (struct lh_str){text, len};
    return LH_OK;
}

static bool read_word(struct reader *reader, const char *word)
{
    size_t len = strlen(word);
    if (reader->json.len - reader->at < len ||
        memcmp(reader->json.data + reader->at, word, len) != 0)
        return false;
    reader->at += len;
    return true;
}

static size_t skip_digits(struct reader *reader)
{
    size_t from = reader->at;
    while (reader->at < reader->json.len && reader->json.data[reader->at] >= '0' &&
           reader->json.data[reader->at] <= '9')
        reader->at++;
    return reader->at - from;
}

static bool skip_one_of(struct reader *reader, const char *characters)
{
    if (reader->at >= reader->json.len || !reader->json.data[reader->at] ||
        !strchr(characters, reader->json.data[reader->at]))
        return false;
    reader->at++;
    return true;
}

static enum lh_code read_number(struct reader *reader, struct ast_node *node)
{
    size_t from = reader->at;
    skip_one_of(reader, "-");
    /* No JSON, but what the library writes for a constant like 1e400. */
    bool is_infinite = read_word(reader, "Infinity");
    bool is_good = is_infinite || skip_digits(reader) > 0;
    if (is_good && !is_infinite && skip_one_of(reader, "."))
        is_good = skip_digits(reader) > 0;
    if (is_good && !is_infinite && skip_one_of(reader, "eE")) {
        skip_one_of(reader, "+-");
        is_good = skip_digits(reader) > 0;
    }
    if (!is_good)
        return malformed(reader, "a value is expected");
    node->kind = AST_NUMBER;
    node->text = lh_arena_str(reader->arena, lh_str_slice(reader->json, from, reader->at - from));
    return LH_OK;
}

static enum lh_code read_value(struct reader *reader, unsigned depth, struct ast_node **ret);

static enum lh_code read_children(struct reader *reader, unsigned depth, struct ast_node *node,
                                  char close)
{
    struct ast_node **end = &node->first;
    if (next_is(reader, close))
        return LH_OK;
    do {
        struct lh_str key = {0};
        enum lh_code code = LH_OK;
        if (node->kind == AST_OBJECT) {
            if (!next_is(reader, '"'))
                return malformed(reader, "a name is expected");
            code = read_string(reader, &key);
            if (!code && !next_is(reader, ':'))
                code = malformed(reader, "a colon is expected");
        }
        if (!code)
            code = read_value(reader, depth + 1, end);
        if (code)
            return code;
        (*end)->key = key;
        end = &(*end)->next;
    } while (next_is(reader, ','));
    return next_is(reader, close) ? LH_OK : malformed(reader, "a list or object has no end");
}

static enum lh_code read_scalar(struct reader *reader, struct ast_node *node)
{
    if (next_is(reader, '"')) {
        node->kind = AST_TEXT;
        return read_string(reader, &node->text);
    }
    if (read_word(reader, "null"))
        return LH_OK; /* a new node is AST_NULL */
    node->kind = AST_BOOL;
    node->boolean = read_word(reader, "true");
    if (node->boolean || read_word(reader, "false"))
        return LH_OK;
    return read_number(reader, node);
}

static enum lh_code read_value(struct reader *reader, unsigned depth, struct ast_node **ret)
{
    if (depth > AST_DEPTH_MAX) {
        lh_fail(reader->err, LH_TOO_LARGE, "The statement nests its expressions too deeply.");
        return lh_error_hint(reader->err, "At most about %d levels can be read.",
                             AST_DEPTH_MAX / 2);
    }
    if (++reader->node_count > AST_NODES_MAX) {
        lh_fail(reader->err, LH_TOO_LARGE,
                "The statement has too many names and operators; at most about %d are read.",
                AST_NODES_MAX / NODES_PER_NAME);
        return lh_error_hint(reader->err,
                             "Send values as parameters: a list of any length is one of them.");
    }
    struct ast_node *node = lh_arena_try(reader->arena, sizeof *node);
    if (!node)
        return lh_fail(reader->err, LH_TOO_LARGE, "The statement's tree needs too much memory.");
    *ret = node;
    if (next_is(reader, '{')) {
        node->kind = AST_OBJECT;
        return read_children(reader, depth, node, '}');
    }
    if (next_is(reader, '[')) {
        node->kind = AST_LIST;
        return read_children(reader, depth, node, ']');
    }
    return read_scalar(reader, node);
}

enum lh_code ast_read(struct lh_str json, struct lh_arena *arena, struct ast_node **ret,
                      struct lh_error *err)
{
    struct reader reader = {.json = json, .arena = arena, .err = err};
    struct ast_node *root = NULL;
    enum lh_code code = read_value(&reader, 1, &root);
    skip_blanks(&reader);
    if (!code && reader.at != json.len)
        code = malformed(&reader, "something follows the value");
    if (!code)
        *ret = root;
    return code;
}
