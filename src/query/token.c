/* Where one token ends and the next begins: enough of the lexer to find names, keywords and groups
 * in a statement that the engine has parsed already. A wrong cut cannot do harm: what is spliced by
 * it must parse to the same tree. */
#include "query/internal.h"

static bool is_word_start(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(unsigned char c)
{
    return is_word_start(c) || is_digit(c) || c == '$';
}

static char peek(struct lh_str sql, size_t at)
{
    return at < sql.len ? sql.data[at] : 0;
}

/* Block comments nest. */
static size_t skip_block(struct lh_str sql, size_t at)
{
    unsigned depth = 0;
    while (at < sql.len) {
        if (sql.data[at] == '/' && peek(sql, at + 1) == '*') {
            depth++;
            at += 2;
        } else if (sql.data[at] == '*' && peek(sql, at + 1) == '/') {
            at += 2;
            if (--depth == 0)
                return at;
        } else {
            at++;
        }
    }
    return at;
}

static size_t skip_blank(struct lh_str sql, size_t at)
{
    while (at < sql.len) {
        char c = sql.data[at];
        if (c == ' ' || (c >= '\t' && c <= '\r')) {
            at++;
        } else if (c == '-' && peek(sql, at + 1) == '-') {
            while (at < sql.len && sql.data[at] != '\n' && sql.data[at] != '\r')
                at++;
        } else if (c == '/' && peek(sql, at + 1) == '*') {
            at = skip_block(sql, at);
        } else {
            break;
        }
    }
    return at;
}

/* The end of a quoted token whose opening quote stands at `at`; a doubled quote is one inside. */
static size_t quoted_end(struct lh_str sql, size_t at, bool has_escapes)
{
    char quote = sql.data[at++];
    while (at < sql.len) {
        bool is_quote = sql.data[at] == quote;
        bool is_pair = is_quote ? peek(sql, at + 1) == quote : has_escapes && sql.data[at] == '\\';
        if (is_quote && !is_pair)
            return at + 1;
        at += is_pair ? 2 : 1;
    }
    return sql.len;
}

/* $tag$ … $tag$; `at` if there is no such opening. */
static size_t dollar_end(struct lh_str sql, size_t at)
{
    size_t open = at + 1;
    while (open < sql.len && sql.data[open] != '$' && is_word((unsigned char)sql.data[open]))
        open++;
    if (peek(sql, open) != '$' || is_digit((unsigned char)peek(sql, at + 1)))
        return at;
    struct lh_str tag = lh_str_slice(sql, at, open + 1 - at);
    size_t found;
    if (!lh_str_find(lh_str_slice(sql, open + 1, sql.len), tag, &found))
        return sql.len;
    return open + 1 + found + tag.len;
}

static size_t word_end(struct lh_str sql, size_t at)
{
    while (at < sql.len && is_word((unsigned char)sql.data[at]))
        at++;
    return at;
}

struct query_token query_token_at(struct lh_str sql, size_t at)
{
    struct query_token token = {.kind = QUERY_TOKEN_OTHER, .start = skip_blank(sql, at)};
    at = token.start;
    if (at >= sql.len) {
        token.kind = QUERY_TOKEN_END;
        token.end = at;
        return token;
    }
    unsigned char c = (unsigned char)sql.data[at];
    bool is_escape = (c == 'e' || c == 'E') && peek(sql, at + 1) == '\'';
    bool is_bytes = (c == 'x' || c == 'X' || c == 'b' || c == 'B') && peek(sql, at + 1) == '\'';
    if (c == '\'' || is_escape || is_bytes) {
        token.kind = QUERY_TOKEN_STRING;
        token.end = quoted_end(sql, c == '\'' ? at : at + 1, is_escape);
    } else if (c == '"') {
        token.kind = QUERY_TOKEN_QUOTED;
        token.end = quoted_end(sql, at, false);
    } else if (c == '$' && dollar_end(sql, at) > at) {
        token.kind = QUERY_TOKEN_STRING;
        token.end = dollar_end(sql, at);
    } else if (is_word_start(c)) {
        token.kind = QUERY_TOKEN_WORD;
        token.end = word_end(sql, at);
    } else if (is_digit(c) || c == '$') {
        token.end = word_end(sql, at + 1);
    } else {
        token.end = at + 1;
    }
    return token;
}

bool query_token_is(struct lh_str sql, struct query_token token, const char *word)
{
    return token.kind == QUERY_TOKEN_WORD &&
           lh_str_equal_nocase(lh_str_slice(sql, token.start, token.end - token.start),
                               lh_str_of(word));
}

bool query_token_is_char(struct lh_str sql, struct query_token token, char character)
{
    return token.kind == QUERY_TOKEN_OTHER && token.end == token.start + 1 &&
           sql.data[token.start] == character;
}

size_t query_token_group_end(struct lh_str sql, struct query_token token)
{
    unsigned depth = 0;
    for (; token.kind != QUERY_TOKEN_END; token = query_token_at(sql, token.end)) {
        if (query_token_is_char(sql, token, '('))
            depth++;
        else if (query_token_is_char(sql, token, ')') && --depth == 0)
            return token.end;
    }
    return 0;
}
