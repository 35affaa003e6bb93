/* A look at every byte before the engine sees any: what the file is, whether its text is text, and
 * how deep it nests. The engine's own readers stop at the first bad byte with a message that does
 * not say what to do, read past NUL bytes, and recurse on nested JSON.
 *
 * One pass, through zlib where the file is gzipped, at memory speed for plain ASCII. */
#include "ingest/internal.h"

#include <ctype.h>
#include <stdlib.h>

#include "ingest/pieces.h"

/* --- text --------------------------------------------------------------------------------------
 */

struct text_scan {
    int64_t line;          /* of the next byte, from 1 */
    int64_t at;            /* bytes before this piece */
    unsigned char tail[4]; /* a character that the last piece cut */
    size_t tail_len;
    bool is_line_open; /* the last byte was not a line break */
    bool is_mac;
    bool has_content; /* anything but blanks */
    int64_t depth;    /* JSON */
    bool is_in_string;
    bool is_escaped;
};

static int64_t count_lines(const unsigned char *bytes, size_t count)
{
    int64_t lines = 0;
    const unsigned char *end = bytes + count;
    while ((bytes = memchr(bytes, '\n', (size_t)(end - bytes)))) {
        bytes++;
        lines++;
    }
    return lines;
}

/* What looks like 1.5 or 15e-1 anywhere: the engine's reader rounds such text to a whole number
 * when the column is one. May say yes too often. */
static bool may_hold_fraction(const unsigned char *bytes, size_t count)
{
    for (size_t at = 0; at < count; at++) {
        /* What the next piece begins with is not seen: it counts as what is looked for. */
        unsigned char next = at + 1 < count ? bytes[at + 1] : '-';
        if (bytes[at] == '.' && (next == '-' || (next >= '0' && next <= '9')))
            return true;
        if ((bytes[at] | 0x20) == 'e' && next == '-')
            return true;
    }
    return false;
}

/* Whether a carriage return ends a line alone. */
static bool has_lone_return(const unsigned char *bytes, size_t count)
{
    const unsigned char *at = bytes;
    while ((at = memchr(at, '\r', count - (size_t)(at - bytes)))) {
        if (++at < bytes + count && *at != '\n')
            return true;
    }
    return false;
}

/* What a CSV file needs to know before its rows are counted and its numbers trusted. */
static void note_csv(struct scan *scan, bool *is_mac, const unsigned char *bytes, size_t count)
{
    scan->has_fractions = scan->has_fractions || may_hold_fraction(bytes, count);
    *is_mac = *is_mac || (count && has_lone_return(bytes, count));
}

static bool is_ascii(const unsigned char *bytes, size_t count)
{
    uint64_t high = 0;
    size_t at = 0;
    for (; at + 8 <= count; at += 8) {
        uint64_t word;
        memcpy(&word, bytes + at, 8);
        high |= word;
    }
    for (; at < count; at++)
        high |= bytes[at];
    return !(high & UINT64_C(0x8080808080808080));
}

/* Bytes at the end that begin a character and do not end it. */
static size_t cut_character(const unsigned char *bytes, size_t count)
{
    for (size_t back = 1; back <= 3 && back <= count; back++) {
        unsigned char byte = bytes[count - back];
        if (byte < 0x80)
            return 0;
        if (byte >= 0xC0) {
            size_t wanted = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
            return wanted > back ? back : 0;
        }
    }
    return 0;
}

static enum lh_code fail_encoding(int64_t line, struct lh_error *err)
{
    lh_fail(err, LH_UNREADABLE, "Line %lld of the file is not UTF-8 text.", (long long)line);
    if (err)
        err->line = line;
    return lh_error_hint(err,
                         "Say what it is with options.encoding: \"latin-1\" or \"utf-16\" (CSV), "
                         "or save the file as UTF-8.");
}

static enum lh_code check_text(struct text_scan *scan, unsigned char *bytes, size_t count,
                               bool is_utf8, struct lh_error *err)
{
    const unsigned char *nul = memchr(bytes, 0, count);
    if (nul) {
        int64_t line = scan->line + count_lines(bytes, (size_t)(nul - bytes));
        lh_fail(err, LH_UNREADABLE, "Line %lld of the file holds a NUL byte: it is not text.",
                (long long)line);
        if (err)
            err->line = line;
        return lh_error_hint(err,
                             "If it is UTF-16 without its mark, say so with options.encoding.");
    }
    size_t bad = 0;
    if (is_utf8 && !is_ascii(bytes, count) &&
        !lh_str_is_utf8((struct lh_str){(char *)bytes, count}, &bad))
        return fail_encoding(scan->line + count_lines(bytes, bad), err);
    scan->line += count_lines(bytes, count);
    return LH_OK;
}

static enum lh_code check_depth(struct text_scan *scan, const unsigned char *bytes, size_t count,
                                struct lh_error *err)
{
    for (size_t at = 0; at < count; at++) {
        unsigned char byte = bytes[at];
        if (scan->is_in_string) {
            if (scan->is_escaped)
                scan->is_escaped = false;
            else if (byte == '\\')
                scan->is_escaped = true;
            else if (byte == '"')
                scan->is_in_string = false;
        } else if (byte == '"') {
            scan->is_in_string = true;
        } else if (byte == '[' || byte == '{') {
            if (++scan->depth > INGEST_JSON_DEPTH_MAX)
                return lh_fail(err, LH_UNREADABLE,
                               "The JSON nests deeper than %d levels near byte %lld.",
                               INGEST_JSON_DEPTH_MAX, (long long)(scan->at + (int64_t)at));
        } else if (byte == ']' || byte == '}') {
            scan->depth--;
        }
    }
    return LH_OK;
}

/* --- what it is --------------------------------------------------------------------------------
 */

static bool has_mark(const unsigned char *head, size_t count, unsigned char a, unsigned char b)
{
    return count >= 2 && head[0] == a && head[1] == b;
}

static bool name_ends(const struct task *task, const char *suffix)
{
    struct lh_str name = task->input.filename;
    struct lh_str end = lh_str_of(suffix);
    return name.len >= end.len &&
           lh_str_equal_nocase(lh_str_slice(name, name.len - end.len, end.len), end);
}

/* Content decides; the name breaks the tie between formats that look alike. */
static enum ingest_format sniff(const struct task *task, const unsigned char *head, size_t count)
{
    size_t at = 0;
    if (count >= 4 && memcmp(head, "PAR1", 4) == 0)
        return FORMAT_PARQUET;
    if (name_ends(task, ".parquet"))
        return FORMAT_PARQUET; /* and the reader will say that it is none */
    if (count >= 3 && memcmp(head, "\xEF\xBB\xBF", 3) == 0)
        at = 3;
    while (at < count && isspace(head[at]))
        at++;
    if (at < count && head[at] == '{')
        return FORMAT_NDJSON;
    if (at < count && head[at] == '[' && !name_ends(task, ".csv") && !name_ends(task, ".tsv"))
        return FORMAT_JSON;
    return name_ends(task, ".tsv") || name_ends(task, ".tsv.gz") ? FORMAT_TSV : FORMAT_CSV;
}

static void choose_source(struct task *task, const unsigned char *head, size_t count)
{
    enum ingest_format format = (enum ingest_format)task->options.format;
    if (format == FORMAT_AUTO)
        format = sniff(task, head, count);
    for (size_t at = 0; at < ingest_source_count; at++)
        if (ingest_sources[at].format == format)
            task->source = &ingest_sources[at];
}

static bool is_declared_utf8(const struct task *task)
{
    struct lh_str encoding = task->options.encoding;
    return lh_str_empty(encoding) || lh_str_equal_nocase(encoding, lh_lit("utf-8"));
}

/* One piece of a text file, the tail of the one before already in front of it. */
static enum lh_code scan_piece(struct task *task, struct text_scan *text, unsigned char *bytes,
                               size_t count, bool is_last, struct lh_error *err)
{
    bool is_utf8 = is_declared_utf8(task) && !task->scan.is_utf16;
    bool is_wide =
        task->scan.is_utf16 || lh_str_starts_with(task->options.encoding, lh_lit("utf-16"));
    if (is_wide) {
        task->scan.has_fractions = text->is_mac = text->has_content = true;
        return LH_OK;
    }
    if (task->source->format == FORMAT_CSV || task->source->format == FORMAT_TSV)
        note_csv(&task->scan, &text->is_mac, bytes, count);
    for (size_t at = 0; at < count && !text->has_content; at++)
        text->has_content = !isspace(bytes[at]);
    if (count)
        text->is_line_open = bytes[count - 1] != '\n';
    text->tail_len = is_utf8 && !is_last ? cut_character(bytes, count) : 0;
    memcpy(text->tail, bytes + count - text->tail_len, text->tail_len);
    count -= text->tail_len;
    enum lh_code code = check_text(text, bytes, count, is_utf8, err);
    bool is_json = task->source->format == FORMAT_JSON || task->source->format == FORMAT_NDJSON;
    if (!code && is_json)
        code = check_depth(text, bytes, count, err);
    text->at += (int64_t)count;
    return code;
}

static enum lh_code scan_pieces(struct task *task, struct pieces *pieces, unsigned char *space,
                                struct lh_error *err)
{
    struct text_scan text = {.line = 1};
    enum lh_code code = LH_OK;
    for (bool is_first = true; !code; is_first = false) {
        size_t got = 0;
        memcpy(space, text.tail, text.tail_len);
        code = pieces_next(pieces, space + text.tail_len, &got, err);
        if (!code)
            code = lh_cancel_fail(task->cancel, "The ingest", err);
        if (code)
            break;
        if (is_first) {
            if (got == 0)
                return lh_fail(err, LH_UNREADABLE, "The file is empty.");
            choose_source(task, space, got);
            task->scan.is_utf16 =
                has_mark(space, got, 0xFF, 0xFE) || has_mark(space, got, 0xFE, 0xFF);
        }
        if (!task->source->is_text || (got == 0 && text.tail_len == 0))
            break;
        code = scan_piece(task, &text, space, text.tail_len + got, got == 0, err);
        if (got == 0)
            break;
    }
    if (!code && task->source->is_text && !text.has_content)
        return lh_fail(err, LH_UNREADABLE, "The file holds nothing but blanks.");
    task->scan.rows_max = text.line;
    task->scan.lines = text.is_mac ? 0 : text.line - !text.is_line_open;
    return code;
}

enum lh_code scan_file(struct task *task, struct lh_error *err)
{
    struct pieces pieces;
    unsigned char *space = NULL;
    enum lh_code code = pieces_open(task->path, &pieces, err);
    if (code)
        return code;
    space = malloc(PIECE_BYTES + sizeof(((struct text_scan *)0)->tail));
    if (!space)
        code = lh_fail(err, LH_BUSY, "There is no memory to read the file.");
    if (!code)
        code = scan_pieces(task, &pieces, space, err);
    task->scan.is_gzip = pieces.is_gzip;
    task->scan.bytes = pieces.given;
    free(space);
    pieces_close(&pieces);
    return code;
}

enum lh_code scan_unpack(struct task *task, struct lh_error *err)
{
    struct pieces pieces;
    unsigned char *space = malloc(PIECE_BYTES);
    if (!space)
        return lh_fail(err, LH_BUSY, "There is no memory to inflate the file.");
    enum lh_code code = pieces_open(task->path, &pieces, err);
    if (code) {
        free(space);
        return code;
    }
    code = storage_stage(task->ingest->storage, lh_lit(".unpacked"), &task->unpacked, err);
    while (!code) {
        size_t got = 0;
        code = pieces_next(&pieces, space, &got, err);
        if (!code)
            code = lh_cancel_fail(task->cancel, "The ingest", err);
        if (code || got == 0)
            break;
        code = storage_staged_write(task->unpacked, space, got, err);
    }
    if (!code)
        task->path = storage_staged_path(task->unpacked);
    free(space);
    pieces_close(&pieces);
    return code;
}
