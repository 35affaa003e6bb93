/* As much of XML as a store's answers have: elements of known names, texts, the five entities. What
 * is nested is found by asking for the outer one first. */
#include <stdio.h>

#include "storage/s3_internal.h"

static size_t find(struct lh_str text, const char *what)
{
    size_t len = strlen(what);
    const char *at = text.len ? memmem(text.data, text.len, what, len) : NULL;
    return at ? (size_t)(at - text.data) : SIZE_MAX;
}

struct lh_str s3_xml_next(struct lh_str *text, const char *tag)
{
    char open[64], close[64];
    int len = snprintf(open, sizeof open, "<%s>", tag);
    (void)snprintf(close, sizeof close, "</%s>", tag);
    size_t from = find(*text, open);
    if (from == SIZE_MAX)
        return (struct lh_str){0};
    struct lh_str rest = lh_str_slice(*text, from + (size_t)len, text->len);
    size_t until = find(rest, close);
    if (until == SIZE_MAX)
        return (struct lh_str){0};
    *text = lh_str_slice(rest, until + strlen(close), rest.len);
    return lh_str_slice(rest, 0, until);
}

static const struct {
    const char *entity;
    char value;
} entities[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "&#39;", "&#x27;": how long it is; 0: it is none. */
static size_t read_number(struct lh_str text, uint32_t *ret)
{
    bool is_hex = text.len > 3 && text.data[2] == 'x';
    size_t at = is_hex ? 3 : 2;
    uint32_t value = 0;
    if (text.len < 4 || text.data[0] != '&' || text.data[1] != '#')
        return 0;
    for (; at < text.len && text.data[at] != ';'; at++) {
        int next = digit(text.data[at]);
        if (next < 0 || (!is_hex && next > 9) || value > 0x10ffff)
            return 0;
        value = value * (is_hex ? 16 : 10) + (uint32_t)next;
    }
    if (at == text.len || value == 0 || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
        return 0;
    *ret = value;
    return at + 1;
}

/* Never longer than how it was written. */
static size_t put_utf8(char *ret, uint32_t value)
{
    if (value < 0x80) {
        ret[0] = (char)value;
        return 1;
    }
    size_t more = value < 0x800 ? 1 : value < 0x10000 ? 2 : 3;
    static const unsigned char first[] = {0, 0xc0, 0xe0, 0xf0};
    ret[0] = (char)(first[more] | value >> (6 * more));
    for (size_t i = 1; i <= more; i++)
        ret[i] = (char)(0x80 | (value >> (6 * (more - i)) & 0x3f));
    return more + 1;
}

struct lh_str s3_xml_text(struct lh_str raw, struct lh_arena *arena)
{
    char *copy = lh_arena_alloc(arena, raw.len + 4);
    size_t len = 0;
    for (size_t at = 0; at < raw.len;) {
        struct lh_str rest = lh_str_slice(raw, at, raw.len);
        uint32_t value = (unsigned char)raw.data[at];
        size_t taken = read_number(rest, &value);
        for (size_t i = 0; !taken && i < sizeof entities / sizeof entities[0]; i++) {
            struct lh_str entity = lh_str_of(entities[i].entity);
            if (lh_str_starts_with(rest, entity)) {
                taken = entity.len;
                value = (unsigned char)entities[i].value;
            }
        }
        if (taken)
            len += put_utf8(copy + len, value);
        else
            copy[len++] = raw.data[at];
        at += taken ? taken : 1;
    }
    copy[len] = '\0';
    return (struct lh_str){copy, len};
}

struct lh_str s3_url_text(struct lh_str raw, struct lh_arena *arena)
{
    struct lh_str plain = s3_xml_text(raw, arena);
    char *copy = lh_arena_alloc(arena, plain.len + 1);
    size_t len = 0;
    for (size_t at = 0; at < plain.len; at++) {
        bool is_escape = plain.data[at] == '%' && at + 2 < plain.len &&
                         digit(plain.data[at + 1]) >= 0 && digit(plain.data[at + 2]) >= 0;
        if (is_escape) {
            copy[len++] = (char)(digit(plain.data[at + 1]) << 4 | digit(plain.data[at + 2]));
            at += 2;
        } else {
            copy[len++] = plain.data[at] == '+' ? ' ' : plain.data[at];
        }
    }
    copy[len] = '\0';
    return (struct lh_str){copy, len};
}
