/* Text that is not plain UTF-8 becomes it, in a file of its own, before anything else looks at it:
 * the engine knows neither big-endian UTF-16 nor surrogate pairs nor Windows' code page, takes a
 * half character at the end for none, and its JSON reader stumbles over a byte order mark. After
 * this all checks see the same bytes that the readers see. */
#include <assert.h>
#include <stdlib.h>

#include "ingest/internal.h"
#include "ingest/pieces.h"

#define OUT_BYTES_MAX (3 * (PIECE_BYTES + 4)) /* a byte becomes at most three */

struct converter {
    enum encoding from;
    int64_t line;           /* of the next character, from 1 */
    unsigned char carry[4]; /* a character that the last piece cut */
    size_t carry_len;
    bool is_begun; /* a mark can only stand at the very beginning */
    unsigned char *out;
    size_t out_len;
};

/* What the bytes 0x80 to 0x9F mean on Windows; the holes are the control characters they are. */
static const uint16_t windows_1252[32] = {
    0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008D, 0x017D, 0x008F, 0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178};

static const struct {
    const char *name;
    enum encoding encoding;
} names[] = {{"utf-8", ENCODING_UTF8},       {"utf-16", ENCODING_UTF16LE},
             {"utf-16le", ENCODING_UTF16LE}, {"utf-16be", ENCODING_UTF16BE},
             {"latin-1", ENCODING_LATIN1},   {"windows-1252", ENCODING_WINDOWS}};

bool encoding_find(struct lh_str name, enum encoding *ret)
{
    for (size_t at = 0; at < sizeof(names) / sizeof(names[0]); at++) {
        if (!lh_str_equal_nocase(name, lh_str_of(names[at].name)))
            continue;
        *ret = names[at].encoding;
        return true;
    }
    return false;
}

/* Without a mark: in text that is mostly ASCII the high half of a unit is mostly zero. */
static enum encoding guess_order(const unsigned char *head, size_t count)
{
    size_t even = 0;
    size_t odd = 0;
    for (size_t at = 0; at + 1 < count; at += 2) {
        even += head[at] == 0;
        odd += head[at + 1] == 0;
    }
    return even > odd ? ENCODING_UTF16BE : ENCODING_UTF16LE;
}

enum encoding encoding_of(const struct ingest_options *options, const unsigned char *head,
                          size_t count)
{
    enum encoding said = ENCODING_UTF8;
    if (count >= 2 && head[0] == 0xFF && head[1] == 0xFE)
        return ENCODING_UTF16LE;
    if (count >= 2 && head[0] == 0xFE && head[1] == 0xFF)
        return ENCODING_UTF16BE;
    (void)encoding_find(options->encoding, &said);
    return lh_str_equal_nocase(options->encoding, lh_lit("utf-16")) ? guess_order(head, count)
                                                                    : said;
}

static void put(struct converter *converter, uint32_t code)
{
    unsigned char *out = converter->out + converter->out_len;
    bool is_mark = code == 0xFEFF && !converter->is_begun;
    converter->is_begun = true;
    converter->line += code == '\n';
    if (is_mark)
        return;
    if (code < 0x80) {
        *out++ = (unsigned char)code;
    } else if (code < 0x800) {
        *out++ = (unsigned char)(0xC0 | code >> 6);
        *out++ = (unsigned char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *out++ = (unsigned char)(0xE0 | code >> 12);
        *out++ = (unsigned char)(0x80 | (code >> 6 & 0x3F));
        *out++ = (unsigned char)(0x80 | (code & 0x3F));
    } else {
        *out++ = (unsigned char)(0xF0 | code >> 18);
        *out++ = (unsigned char)(0x80 | (code >> 12 & 0x3F));
        *out++ = (unsigned char)(0x80 | (code >> 6 & 0x3F));
        *out++ = (unsigned char)(0x80 | (code & 0x3F));
    }
    converter->out_len = (size_t)(out - converter->out);
}

static enum lh_code fail_utf16(const struct converter *converter, struct lh_error *err)
{
    lh_fail(err, LH_UNREADABLE, "Line %lld of the file is not UTF-16 text.",
            (long long)converter->line);
    if (err)
        err->line = converter->line;
    return lh_error_hint(err, "Is the file whole? If it is something else, say so with "
                              "options.encoding, or save it as UTF-8.");
}

static uint32_t unit_at(const struct converter *converter, const unsigned char *bytes)
{
    return converter->from == ENCODING_UTF16LE ? (uint32_t)(bytes[0] | bytes[1] << 8)
                                               : (uint32_t)(bytes[1] | bytes[0] << 8);
}

/* What the piece cuts waits in `carry`. */
static enum lh_code take_utf16(struct converter *converter, const unsigned char *bytes,
                               size_t count, struct lh_error *err)
{
    size_t at = 0;
    while (at + 2 <= count) {
        uint32_t unit = unit_at(converter, bytes + at);
        bool is_high = unit >= 0xD800 && unit < 0xDC00;
        if (is_high && at + 4 > count)
            break;
        uint32_t low = is_high ? unit_at(converter, bytes + at + 2) : 0;
        if ((is_high && (low < 0xDC00 || low > 0xDFFF)) || (unit >= 0xDC00 && unit < 0xE000))
            return fail_utf16(converter, err);
        put(converter, is_high ? 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00) : unit);
        at += is_high ? 4 : 2;
    }
    converter->carry_len = count - at;
    memcpy(converter->carry, bytes + at, converter->carry_len);
    return LH_OK;
}

static void take_bytes(struct converter *converter, const unsigned char *bytes, size_t count)
{
    for (size_t at = 0; at < count; at++) {
        bool is_special = bytes[at] >= 0x80 && bytes[at] < 0xA0;
        put(converter, is_special && converter->from == ENCODING_WINDOWS
                           ? windows_1252[bytes[at] - 0x80]
                           : bytes[at]);
    }
}

static void take_utf8(struct converter *converter, const unsigned char *bytes, size_t count)
{
    bool has_mark = !converter->is_begun && count >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0;
    converter->is_begun = true;
    converter->out_len = count - (has_mark ? 3 : 0);
    assert(converter->out);
    memcpy(converter->out, bytes + count - converter->out_len, converter->out_len);
}

/* One piece, what was carried over already in front of it; `count` 0 is the end. */
static enum lh_code take(struct converter *converter, const unsigned char *bytes, size_t count,
                         struct lh_error *err)
{
    converter->out_len = 0;
    switch (converter->from) {
    case ENCODING_UTF8:
        take_utf8(converter, bytes, count);
        return LH_OK;
    case ENCODING_UTF16LE:
    case ENCODING_UTF16BE:
        return take_utf16(converter, bytes, count, err);
    case ENCODING_LATIN1:
    case ENCODING_WINDOWS:
        take_bytes(converter, bytes, count);
        return LH_OK;
    }
    return LH_OK;
}

static void discard(void *staged)
{
    storage_staged_discard(staged);
}

enum lh_code task_stage(struct task *task, struct lh_str suffix, struct storage_staged **ret,
                        struct lh_error *err)
{
    struct storage_staged *staged = NULL;
    enum lh_code code = storage_stage(task->ingest->storage, suffix, &staged, err);
    if (code)
        return code;
    lh_arena_defer(task->arena, discard, staged);
    *ret = staged;
    return LH_OK;
}

static enum lh_code convert_pieces(struct task *task, struct pieces *pieces,
                                   struct converter *converter, unsigned char *space,
                                   struct storage_staged *staged, struct lh_error *err)
{
    size_t got = 1;
    enum lh_code code = LH_OK;
    while (!code && got) {
        size_t carried = converter->carry_len;
        assert(space);
        memcpy(space, converter->carry, carried);
        code = pieces_next(pieces, space + carried, &got, err);
        if (!code)
            code = lh_cancel_fail(task->cancel, "The ingest", err);
        if (!code && !got && carried)
            code = fail_utf16(converter, err);
        if (!code && got)
            code = take(converter, space, carried + got, err);
        if (!code && got && converter->out_len)
            code = storage_staged_write(staged, converter->out, converter->out_len, err);
    }
    return code;
}

enum lh_code encoding_convert(struct task *task, enum encoding from, struct lh_error *err)
{
    struct pieces pieces;
    struct storage_staged *staged = NULL;
    unsigned char *space = malloc(PIECE_BYTES + sizeof(((struct converter *)0)->carry));
    struct converter converter = {.from = from, .line = 1, .out = malloc(OUT_BYTES_MAX)};
    enum lh_code code = space && converter.out
                            ? pieces_open(task->path, &pieces, err)
                            : lh_fail(err, LH_BUSY, "There is no memory to read the file.");
    if (!code) {
        code = task_stage(task, lh_lit(".unpacked"), &staged, err);
        if (!code)
            code = convert_pieces(task, &pieces, &converter, space, staged, err);
        pieces_close(&pieces);
    }
    if (!code) {
        task->path = storage_staged_path(staged);
        task->scan.is_gzip = false;
    }
    free(space);
    free(converter.out);
    return code;
}
