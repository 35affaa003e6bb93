#include "search/pieces.h"

void search_pieces_init(struct search_pieces *pieces, struct lh_str text, size_t size,
                        size_t overlap)
{
    *pieces = (struct search_pieces){.text = text, .size = size, .overlap = overlap};
}

static size_t step(struct lh_str text, size_t at)
{
    size_t length = lh_str_utf8_step(lh_str_slice(text, at, 4));
    return length ? length : 1;
}

static bool is_blank(struct lh_str text, size_t at)
{
    unsigned char c = (unsigned char)text.data[at];
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static uint32_t character(struct lh_str text, size_t at)
{
    const unsigned char *c = (const unsigned char *)text.data + at;
    switch (step(text, at)) {
    case 2:
        return (uint32_t)(c[0] & 31) << 6 | (c[1] & 63);
    case 3:
        return (uint32_t)(c[0] & 15) << 12 | (uint32_t)(c[1] & 63) << 6 | (c[2] & 63);
    case 4:
        return (uint32_t)(c[0] & 7) << 18 | (uint32_t)(c[1] & 63) << 12 |
               (uint32_t)(c[2] & 63) << 6 | (c[3] & 63);
    default:
        return c[0];
    }
}

/* Accents, joiners, variants and skin tones: what stands before them must not be cut off. */
static bool belongs_to_before(struct lh_str text, size_t at)
{
    uint32_t c = character(text, at);
    return (c >= 0x0300 && c <= 0x036F) || c == 0x200D || (c >= 0xFE00 && c <= 0xFE0F) ||
           (c >= 0x1F3FB && c <= 0x1F3FF);
}

static bool ends_sentence(struct lh_str text, size_t at)
{
    uint32_t c = character(text, at);
    if (c == 0x3002 || c == 0xFF01 || c == 0xFF1F) /* 。！？ need no blank behind them */
        return true;
    size_t next = at + step(text, at);
    return (c == '.' || c == '!' || c == '?' || c == 0x2026) &&
           (next >= text.len || is_blank(text, next));
}

/* How good it is to cut behind the character at `at`: 0 = only if nothing else is left. */
static int cut_quality(struct lh_str text, size_t at)
{
    if (text.data[at] == '\n')
        return at > 0 && text.data[at - 1] == '\n' ? 3 : 2;
    if (ends_sentence(text, at))
        return 2;
    return is_blank(text, at) ? 1 : 0;
}

struct place {
    size_t at, characters;
};

/* Where the piece that begins at `from` ends. */
static struct place find_end(const struct search_pieces *pieces, struct place from)
{
    struct place at = from, best = from, whole = from;
    int quality = 0;
    size_t count = 0, earliest = pieces->size - pieces->size / 3;
    while (at.at < pieces->text.len && count < pieces->size) {
        size_t next = at.at + step(pieces->text, at.at);
        int here = cut_quality(pieces->text, at.at);
        at = (struct place){next, at.characters + 1};
        count++;
        if (next < pieces->text.len && !belongs_to_before(pieces->text, next))
            whole = at;
        if (count >= earliest && here > 0 && here >= quality) {
            quality = here;
            best = at;
        }
    }
    if (at.at >= pieces->text.len)
        return at;
    if (quality)
        return best;
    return whole.at > from.at ? whole : at;
}

/* Where the piece after one that ends at `end` begins: further on than this one did. */
static struct place find_next(const struct search_pieces *pieces, struct place from,
                              struct place end)
{
    struct place at = from, next = end;
    size_t earliest = end.characters > pieces->overlap ? end.characters - pieces->overlap : 0;
    bool is_first = true;
    while (at.at < end.at) {
        bool is_behind_blank = at.at > from.at && is_blank(pieces->text, at.at - 1);
        if (at.characters >= earliest && at.at > from.at &&
            !belongs_to_before(pieces->text, at.at)) {
            if (is_behind_blank && !is_blank(pieces->text, at.at))
                return at;
            if (is_first)
                next = at;
            is_first = false;
        }
        at = (struct place){at.at + step(pieces->text, at.at), at.characters + 1};
    }
    return next;
}

static bool is_blank_all(struct lh_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_blank(text, i))
            return false;
    return true;
}

bool search_pieces_next(struct search_pieces *pieces, struct search_piece *ret)
{
    while (!pieces->is_done && pieces->at < pieces->text.len) {
        struct place from = {pieces->at, pieces->characters};
        struct place end = find_end(pieces, from);
        struct lh_str text = lh_str_slice(pieces->text, from.at, end.at - from.at);
        struct place next = end;
        pieces->is_done = end.at >= pieces->text.len;
        if (!pieces->is_done && pieces->overlap)
            next = find_next(pieces, from, end);
        pieces->at = next.at;
        pieces->characters = next.characters;
        if (is_blank_all(text))
            continue;
        *ret = (struct search_piece){text, from.characters};
        return true;
    }
    return false;
}
