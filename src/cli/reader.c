#include "cli/internal.h"

#define DEPTH_MAX 256

struct reader {
    struct lh_str json;
    size_t at;
    unsigned depth;
    struct lh_arena *arena;
};

static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->json.len && strchr(" \t\r\n", reader->json.data[reader->at]))
        reader->at++;
}

static bool take(struct reader *reader, char character)
{
    skip_blanks(reader);
    if (reader->at >= reader->json.len || reader->json.data[reader->at] != character)
        return false;
    reader->at++;
    return true;
}

static bool read_hex(const struct reader *reader, size_t at, uint32_t *ret)
{
    uint32_t value = 0;
    if (at + 4 > reader->json.len)
        return false;
    for (size_t i = 0; i < 4; i++) {
        char c = reader->json.data[at + i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16)
            return false;
        value = value << 4 | digit;
    }
    *ret = value;
    return true;
}

static size_t put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xc0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xe0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 0x3f));
        to[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 0x3f));
    to[2] = (char)(0x80 | (c >> 6 & 0x3f));
    to[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* After the backslash; at most as many bytes as the escape had. */
static bool read_escape(struct reader *reader, char *to, size_t *len)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    char c = reader->at < reader->json.len ? reader->json.data[reader->at++] : '\0';
    const char *found = c ? strchr(names, c) : NULL;
    uint32_t high = 0;
    uint32_t low = 0;
    if (found) {
        to[(*len)++] = values[found - names];
        return true;
    }
    if (c != 'u' || !read_hex(reader, reader->at, &high))
        return false;
    reader->at += 4;
    if (high >= 0xd800 && high < 0xdc00 && reader->at + 6 <= reader->json.len &&
        reader->json.data[reader->at] == '\\' && reader->json.data[reader->at + 1] == 'u' &&
        read_hex(reader, reader->at + 2, &low) && low >= 0xdc00 && low < 0xe000) {
        reader->at += 6;
        high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    }
    *len += put_utf8(to + *len, high);
    return true;
}

/* After the opening quote. */
static bool read_text(struct reader *reader, struct lh_str *ret)
{
    size_t from = reader->at;
    size_t end = from;
    bool has_escapes = false;
    while (end < reader->json.len && reader->json.data[end] != '"') {
        has_escapes = has_escapes || reader->json.data[end] == '\\';
        end += reader->json.data[end] == '\\' ? 2 : 1;
    }
    if (end >= reader->json.len)
        return false;
    if (!has_escapes) {
        *ret = lh_str_slice(reader->json, from, end - from);
        reader->at = end + 1;
        return true;
    }
    char *text = lh_arena_try(reader->arena, end - from + 1);
    size_t len = 0;
    if (!text)
        return false;
    while (reader->at < end) {
        char c = reader->json.data[reader->at++];
        if (c != '\\')
            text[len++] = c;
        else if (!read_escape(reader, text, &len))
            return false;
    }
    reader->at = end + 1;
    *ret = (struct lh_str){text, len};
    return true;
}

static struct cli_value *read_value(struct reader *reader);

static bool read_members(struct reader *reader, struct cli_value *parent, char end)
{
    struct cli_value **to = &parent->first;
    if (take(reader, end))
        return true;
    do {
        struct lh_str key = {0};
        if (parent->kind == CLI_OBJECT &&
            (!take(reader, '"') || !read_text(reader, &key) || !take(reader, ':')))
            return false;
        if (!(*to = read_value(reader)))
            return false;
        (*to)->key = key;
        to = &(*to)->next;
    } while (take(reader, ','));
    return take(reader, end);
}

static bool read_word(struct reader *reader, struct cli_value *value)
{
    size_t from = reader->at;
    while (reader->at < reader->json.len && !strchr(",]} \t\r\n", reader->json.data[reader->at]))
        reader->at++;
    value->text = lh_str_slice(reader->json, from, reader->at - from);
    if (lh_str_equal(value->text, lh_lit("null")))
        value->kind = CLI_NULL;
    else if (lh_str_equal(value->text, lh_lit("true")) ||
             lh_str_equal(value->text, lh_lit("false")))
        value->kind = CLI_BOOL;
    else
        value->kind = CLI_NUMBER;
    return value->text.len > 0;
}

static struct cli_value *read_value(struct reader *reader)
{
    struct cli_value *value = lh_arena_try(reader->arena, sizeof(*value));
    bool is_read = false;
    skip_blanks(reader);
    size_t from = reader->at;
    if (!value || ++reader->depth > DEPTH_MAX)
        return NULL;
    if (take(reader, '"')) {
        value->kind = CLI_TEXT;
        is_read = read_text(reader, &value->text);
    } else if (take(reader, '[')) {
        value->kind = CLI_LIST;
        is_read = read_members(reader, value, ']');
    } else if (take(reader, '{')) {
        value->kind = CLI_OBJECT;
        is_read = read_members(reader, value, '}');
    } else {
        is_read = read_word(reader, value);
    }
    if (value->kind == CLI_LIST || value->kind == CLI_OBJECT)
        value->text = lh_str_slice(reader->json, from, reader->at - from);
    reader->depth--;
    return is_read ? value : NULL;
}

enum lh_code cli_parse(struct lh_str json, struct lh_arena *arena, struct cli_value **ret,
                       struct lh_error *err)
{
    struct reader reader = {.json = json, .arena = arena};
    struct cli_value *value = read_value(&reader);
    skip_blanks(&reader);
    if (!value || reader.at != json.len)
        return lh_fail(err, LH_MALFORMED, "The reply is not JSON from byte %zu on.", reader.at);
    *ret = value;
    return LH_OK;
}

const struct cli_value *cli_get(const struct cli_value *object, const char *key)
{
    if (!object || object->kind != CLI_OBJECT)
        return NULL;
    for (const struct cli_value *member = object->first; member; member = member->next)
        if (lh_str_equal(member->key, lh_str_of(key)))
            return member;
    return NULL;
}
