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

struct lh_str s3_xml_text(struct lh_str raw, struct lh_arena *arena)
{
    char *copy = lh_arena_alloc(arena, raw.len + 1);
    size_t len = 0;
    for (size_t at = 0; at < raw.len;) {
        size_t taken = 1;
        char value = raw.data[at];
        for (size_t i = 0; i < sizeof entities / sizeof entities[0]; i++) {
            struct lh_str entity = lh_str_of(entities[i].entity);
            if (lh_str_starts_with(lh_str_slice(raw, at, raw.len), entity)) {
                taken = entity.len;
                value = entities[i].value;
            }
        }
        copy[len++] = value;
        at += taken;
    }
    copy[len] = '\0';
    return (struct lh_str){copy, len};
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
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
