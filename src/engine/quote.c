/* Quoting: the one place that turns names and values into SQL text. */
#include "engine/engine.h"

static void append_quoted(struct lh_buf *buf, struct lh_str text, char quote)
{
    lh_buf_append_char(buf, quote);
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == quote)
            lh_buf_append_char(buf, quote);
        lh_buf_append_char(buf, text.data[i]);
    }
    lh_buf_append_char(buf, quote);
}

void engine_quote_ident(struct lh_buf *buf, struct lh_str name)
{
    append_quoted(buf, name, '"');
}

void engine_quote_literal(struct lh_buf *buf, struct lh_str text)
{
    append_quoted(buf, text, '\'');
}

static bool is_pattern_mark(char byte)
{
    return byte == '*' || byte == '?' || byte == '[';
}

/* A class of one character stands for that character. The engine cuts patterns at backslashes as at
 * slashes; in the rare path that has both, any character may stand in a backslash's place. */
void engine_quote_path(struct lh_buf *buf, struct lh_str path)
{
    bool is_pattern = false;
    for (size_t i = 0; i < path.len; i++)
        is_pattern = is_pattern || is_pattern_mark(path.data[i]);
    if (!is_pattern) {
        engine_quote_literal(buf, path);
        return;
    }
    lh_buf_append_char(buf, '\'');
    for (size_t i = 0; i < path.len; i++) {
        char byte = path.data[i];
        if (is_pattern_mark(byte))
            lh_buf_printf(buf, "[%c]", byte);
        else if (byte == '\'')
            lh_buf_append_str(buf, lh_lit("''"));
        else
            lh_buf_append_char(buf, byte == '\\' ? '?' : byte);
    }
    lh_buf_append_char(buf, '\'');
}

/* A bit is "/." or "/" before the last part: to the file system both are nothing. */
struct lh_str engine_path_of(struct lh_str path, uint64_t state, struct lh_arena *arena)
{
    enum { BITS = 32 };
    size_t folder = path.len;
    while (folder > 0 && path.data[folder - 1] != '/')
        folder--;
    if (!folder)
        return path;
    char *text = lh_arena_alloc(arena, path.len + (size_t)2 * BITS + 1);
    size_t at = folder - 1;
    memcpy(text, path.data, at);
    state = (state ^ (state >> 32)) * UINT64_C(0x9e3779b97f4a7c15) >> 32;
    for (int bit = 0; bit < BITS; bit++) {
        text[at++] = '/';
        if (state >> bit & 1)
            text[at++] = '.';
    }
    memcpy(text + at, path.data + folder - 1, path.len - folder + 1);
    at += path.len - folder + 1;
    text[at] = 0;
    return (struct lh_str){text, at};
}
