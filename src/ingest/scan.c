/* A look at every byte before the engine sees any: what the file is, whether its text is text, and
 * how deep it nests. The engine's own readers stop at the first bad byte with a message that does
 * not say what to do, read past NUL bytes, and recurse on nested JSON.
 *
 * One pass, through zlib where the file is gzipped, at memory speed for plain ASCII. */
#include "ingest/internal.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>

#include "base/beside.h"
#include "ingest/pieces.h"

#define UTF8_MARK "\xEF\xBB\xBF"

/* --- text --------------------------------------------------------------------------------------
 */

struct text_scan {
    int64_t line;          /* of the next byte, from 1 */
    int64_t at;            /* bytes before this piece */
    unsigned char tail[4]; /* a character that the last piece cut */
    size_t tail_len;
    int64_t line_bytes;    /* of the line at hand so far */
    unsigned char last[2]; /* the bytes before this piece */
    int digits;            /* JSON: of the number at hand, before its point */
    bool is_line_open;     /* the last byte was not a line break */
    bool is_mac;
    bool has_content; /* anything but blanks */
    int64_t depth;    /* JSON: of the line, or of the whole */
    int64_t whole_depth;
    bool is_in_string;
    bool is_escaped;
};

/* --- eight bytes at a time ---------------------------------------------------------------------
 * A word has the bytes' answers in their highest bits. */

#define ONES UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)
#define WORD_BYTES sizeof(uint64_t)

static uint64_t word_at(const unsigned char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

/* Which bytes are at most `limit`, which is below 0x80. */
static uint64_t at_most(uint64_t word, unsigned char limit)
{
    return ~(((word & ~HIGHS) + ONES * (0x7FU - limit)) | word) & HIGHS;
}

static uint64_t are(uint64_t word, char byte)
{
    return at_most(word ^ ONES * (unsigned char)byte, 0);
}

static uint64_t are_digits(uint64_t word)
{
    return at_most(word ^ ONES * '0', 9);
}

static bool is_digit(unsigned char byte)
{
    return byte >= '0' && byte <= '9';
}

/* In blocks whose sums fit a byte, so that compilers do many bytes at once. */
static int64_t count_lines(const unsigned char *bytes, size_t count)
{
    enum { BLOCK = 128 };
    int64_t lines = 0;
    size_t at = 0;
    for (; at + BLOCK <= count; at += BLOCK) {
        unsigned char in_block = 0;
        for (size_t i = 0; i < BLOCK; i++)
            in_block = (unsigned char)(in_block + (bytes[at + i] == '\n'));
        lines += in_block;
    }
    for (; at < count; at++)
        lines += bytes[at] == '\n';
    return lines;
}

/* What looks like 1.5 or 15e-1 anywhere: the engine's reader rounds such text to a whole number
 * when the column is one. May say yes too often. */
static bool is_fraction_at(const unsigned char *bytes, size_t at, size_t count)
{
    /* What the next piece begins with is not seen: it counts as what is looked for. */
    unsigned char next = at + 1 < count ? bytes[at + 1] : '-';
    return (bytes[at] == '.' && (next == '-' || is_digit(next))) ||
           ((bytes[at] | 0x20) == 'e' && next == '-');
}

static bool may_hold_fraction(const unsigned char *bytes, size_t count)
{
    size_t at = 0;
    for (; at + WORD_BYTES < count; at += WORD_BYTES) {
        uint64_t word = word_at(bytes + at);
        uint64_t points = are(word, '.');
        uint64_t exponents = are(word | ONES * 0x20, 'e');
        if (!(points | exponents))
            continue;
        uint64_t next = word_at(bytes + at + 1);
        uint64_t minus = are(next, '-');
        if ((points & (are_digits(next) | minus)) | (exponents & minus))
            return true;
    }
    for (; at < count; at++)
        if (is_fraction_at(bytes, at, count))
            return true;
    return false;
}

/* A nought and another digit behind what may end a field, as postcodes and telephone numbers begin:
 * as a number the field would lose the nought. May say yes too often. */
static bool begins_with_zero(unsigned char before, unsigned char first, unsigned char second)
{
    bool is_end = (before <= ',' && before != ' ') || before == ';' || before == '|';
    return is_end && first == '0' && is_digit(second);
}

/* `last` are the two bytes before the piece, and become those before the next. */
static bool may_hold_zeros(const unsigned char *bytes, size_t count, unsigned char last[2])
{
    size_t at = 1;
    if (count < 2)
        return count > 0; /* a stray byte: not worth its own rules */
    bool found = begins_with_zero(last[0], last[1], bytes[0]) ||
                 begins_with_zero(last[1], bytes[0], bytes[1]);
    last[0] = bytes[count - 2];
    last[1] = bytes[count - 1];
    for (; at + WORD_BYTES < count && !found; at += WORD_BYTES) {
        uint64_t zeros = are(word_at(bytes + at), '0') & are_digits(word_at(bytes + at + 1));
        if (!zeros)
            continue;
        uint64_t before = word_at(bytes + at - 1);
        uint64_t ends =
            (at_most(before, ',') & ~are(before, ' ')) | are(before, ';') | are(before, '|');
        found = (zeros & ends) != 0;
    }
    for (; at + 1 < count && !found; at++)
        found = begins_with_zero(bytes[at - 1], bytes[at], bytes[at + 1]);
    return found;
}

/* A run of more digits than a DOUBLE keeps. It covers an aligned word, or, where a piece cuts it, a
 * word at that end of one of the two. */
static bool may_hold_long_number(const unsigned char *bytes, size_t count)
{
    if (count < WORD_BYTES || are_digits(word_at(bytes)) == HIGHS ||
        are_digits(word_at(bytes + count - WORD_BYTES)) == HIGHS)
        return true;
    for (size_t at = 0; at + WORD_BYTES <= count; at += WORD_BYTES) {
        if (are_digits(word_at(bytes + at)) != HIGHS)
            continue;
        size_t from = at;
        size_t to = at + WORD_BYTES;
        while (from > 0 && is_digit(bytes[from - 1]))
            from--;
        while (to < count && is_digit(bytes[to]))
            to++;
        if (to - from > INGEST_EXACT_DIGITS)
            return true;
        at = to / WORD_BYTES * WORD_BYTES;
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
static void note_csv(struct scan *scan, struct text_scan *text, const unsigned char *bytes,
                     size_t count)
{
    scan->has_fractions = scan->has_fractions || may_hold_fraction(bytes, count);
    scan->has_zeros = scan->has_zeros || may_hold_zeros(bytes, count, text->last);
    scan->has_long_numbers = scan->has_long_numbers || may_hold_long_number(bytes, count);
    text->is_mac = text->is_mac || (count && has_lone_return(bytes, count));
}

static bool ends_line(unsigned char byte)
{
    return byte == '\n' || byte == '\r';
}

/* A piece is shorter than the longest line, so that only what it begins and ends with counts. */
static enum lh_code check_line(struct text_scan *text, const unsigned char *bytes, size_t count,
                               struct lh_error *err)
{
    size_t first = 0;
    size_t last = count;
    while (first < count && !ends_line(bytes[first]))
        first++;
    text->line_bytes += (int64_t)first;
    if (text->line_bytes > INGEST_LINE_BYTES_MAX) {
        lh_fail(err, LH_TOO_LARGE, "Line %lld of the file is longer than %d MB.",
                (long long)text->line, INGEST_LINE_BYTES_MAX >> 20);
        if (err)
            err->line = text->line;
        return lh_error_hint(err, "Is it one file of rows? What a line breaks is cut elsewhere, or "
                                  "send long texts as Parquet.");
    }
    if (first == count)
        return LH_OK;
    while (!ends_line(bytes[last - 1]))
        last--;
    text->line_bytes = (int64_t)(count - last);
    return LH_OK;
}

static bool is_ascii(const unsigned char *bytes, size_t count)
{
    uint64_t high = 0;
    size_t at = 0;
    for (; at + WORD_BYTES <= count; at += WORD_BYTES)
        high |= word_at(bytes + at);
    for (; at < count; at++)
        high |= bytes[at];
    return !(high & HIGHS);
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
    return lh_error_hint(err, "Say what it is with options.encoding (\"windows-1252\", which Excel "
                              "writes, \"latin-1\" or \"utf-16\"), or save the file as UTF-8.");
}

/* Every other byte is NUL, as Latin letters in UTF-16 have it. */
static bool looks_like_utf16(const unsigned char *bytes, size_t count)
{
    size_t nuls[2] = {0, 0};
    if (count > 4096)
        count = 4096;
    for (size_t i = 0; i < count; i++)
        nuls[i & 1] += bytes[i] == 0;
    size_t more = nuls[0] > nuls[1] ? nuls[0] : nuls[1];
    return more > count / 3 && nuls[0] + nuls[1] - more < count / 20 + 1;
}

static enum lh_code check_text(struct text_scan *scan, unsigned char *bytes, size_t count,
                               struct lh_error *err)
{
    const unsigned char *nul = memchr(bytes, 0, count);
    if (nul) {
        int64_t line = scan->line + count_lines(bytes, (size_t)(nul - bytes));
        lh_fail(err, LH_UNREADABLE, "Line %lld of the file holds a NUL byte: it is not text.",
                (long long)line);
        if (err)
            err->line = line;
        if (looks_like_utf16(bytes, count))
            return lh_error_hint(err, "It looks like UTF-16 without its mark: say so with "
                                      "options.encoding, utf-16le or utf-16be.");
        return lh_error_hint(err, "CSV, JSON, NDJSON and Parquet are taken, each also gzipped.");
    }
    size_t bad = 0;
    if (!is_ascii(bytes, count) && !lh_str_is_utf8((struct lh_str){(char *)bytes, count}, &bad))
        return fail_encoding(scan->line + count_lines(bytes, bad), err);
    scan->line += count_lines(bytes, count);
    return LH_OK;
}

/* Digits of a whole number, as far as it goes; a point or an exponent make it another kind. */
static bool is_long_number(struct text_scan *scan, unsigned char byte)
{
    if (is_digit(byte))
        return ++scan->digits > INGEST_EXACT_DIGITS;
    scan->digits = byte == '.' || byte == 'e' || byte == 'E' ? INT_MIN : 0;
    return false;
}

static enum lh_code fail_depth(const struct text_scan *scan, size_t at, struct lh_error *err)
{
    lh_fail(err, LH_UNREADABLE, "The JSON nests deeper than %d levels near byte %lld.",
            INGEST_JSON_DEPTH_MAX, (long long)(scan->at + (int64_t)at));
    return lh_error_hint(err, "Bring the inner parts to the top, or send them as text.");
}

static enum lh_code fail_empty(struct lh_error *err)
{
    lh_fail(err, LH_UNREADABLE, "The file is empty: it has neither columns nor rows.");
    return lh_error_hint(err, "A CSV file has a line of column names at least.");
}

/* Lines of NDJSON stand for themselves, so that a broken one spoils no other; text that is one
 * value over many lines counts as a whole too (scan->deepest). */
static enum lh_code check_depth(struct text_scan *scan, const unsigned char *bytes, size_t count,
                                bool is_by_line, struct scan *ret, struct lh_error *err)
{
    for (size_t at = 0; at < count; at++) {
        unsigned char byte = bytes[at];
        if (byte == '\n' && is_by_line) {
            scan->is_in_string = scan->is_escaped = false;
            scan->depth = 0;
        } else if (scan->is_in_string) {
            if (scan->is_escaped)
                scan->is_escaped = false;
            else if (byte == '\\')
                scan->is_escaped = true;
            else if (byte == '"')
                scan->is_in_string = false;
        } else if (byte == '"') {
            scan->is_in_string = true;
        } else if (byte == '[' || byte == '{') {
            ret->depth = ++scan->whole_depth > ret->depth ? scan->whole_depth : ret->depth;
            if (++scan->depth > INGEST_JSON_DEPTH_MAX)
                return fail_depth(scan, at, err);
        } else if (byte == ']' || byte == '}') {
            scan->depth--;
            scan->whole_depth--;
        } else {
            ret->has_long_numbers = is_long_number(scan, byte) || ret->has_long_numbers;
        }
    }
    return LH_OK;
}

/* --- what it is --------------------------------------------------------------------------------
 */

/* What people send that is no table. Only what cannot begin a text that is one. */
static const struct {
    const char *bytes;
    size_t at;
    size_t count;
    const char *what;
} foreign[] = {
    {"PK\3\4", 0, 4, "a ZIP archive (an XLSX workbook is one too)"},
    {"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", 0, 8, "an old Office document (XLS, DOC)"},
    {"%PDF-", 0, 5, "a PDF document"},
    {"\x28\xB5\x2F\xFD", 0, 4, "compressed with Zstandard"},
    {"1AY&SY", 4, 6, "compressed with bzip2"},
    {"\xFD\x37zXZ\0", 0, 6, "compressed with xz"},
    {"7z\xBC\xAF\x27\x1C", 0, 6, "a 7z archive"},
    {"SQLite format 3\0", 0, 16, "an SQLite database"},
    {"ARROW1\0\0", 0, 8, "an Arrow file"},
    {"Obj\1", 0, 4, "an Avro file"},
    {"\x89PNG\r\n", 0, 6, "a picture"},
    {"\xFF\xD8\xFF", 0, 3, "a picture"},
};
static const char *const pages[] = {"<!doctype", "<html", "<?xml", NULL};

static enum lh_code fail_foreign(const char *what, struct lh_error *err)
{
    lh_fail(err, LH_UNREADABLE, "The file is %s, no CSV, TSV, JSON, NDJSON or Parquet.", what);
    return lh_error_hint(err, "Send its rows in one of these formats, plain or gzipped; "
                              "options.format takes it for one in spite of this.");
}

static enum lh_code check_foreign(const unsigned char *head, size_t count, struct lh_error *err)
{
    size_t at = 0;
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        if (count >= foreign[i].at + foreign[i].count &&
            memcmp(head + foreign[i].at, foreign[i].bytes, foreign[i].count) == 0)
            return fail_foreign(foreign[i].what, err);
    while (at < count && isspace(head[at]))
        at++;
    struct lh_str text = {(const char *)head + at, count - at};
    for (size_t i = 0; pages[i]; i++)
        if (lh_str_equal_nocase(lh_str_slice(text, 0, strlen(pages[i])), lh_str_of(pages[i])))
            return fail_foreign("a page of HTML or XML", err);
    return LH_OK;
}

static bool name_ends(const struct task *task, const char *suffix)
{
    struct lh_str name = task->input.filename;
    struct lh_str ends[] = {lh_str_of(suffix), lh_arena_printf(task->arena, "%s.gz", suffix)};
    for (size_t at = 0; at < 2; at++)
        if (name.len >= ends[at].len &&
            lh_str_equal_nocase(lh_str_slice(name, name.len - ends[at].len, ends[at].len),
                                ends[at]))
            return true;
    return false;
}

/* The first byte that is neither mark nor blank; 0 if there is none. */
static unsigned char first_byte(const unsigned char *head, size_t count)
{
    size_t at = count >= 3 && memcmp(head, UTF8_MARK, 3) == 0 ? 3 : 0;
    while (at < count && isspace(head[at]))
        at++;
    return at < count ? head[at] : 0;
}

/* Content decides; the name breaks the tie between formats that look alike. */
static enum ingest_format sniff(const struct task *task, const unsigned char *head, size_t count)
{
    unsigned char first = first_byte(head, count);
    bool is_table = name_ends(task, ".csv") || name_ends(task, ".tsv");
    if (count >= 4 && memcmp(head, "PAR1", 4) == 0)
        return FORMAT_PARQUET;
    if ((count >= 6 && memcmp(head, "\x93NUMPY", 6) == 0) || name_ends(task, ".npy"))
        return FORMAT_NPY;
    if (name_ends(task, ".parquet"))
        return FORMAT_PARQUET; /* and the reader will say that it is none */
    if (first == '{')
        return FORMAT_NDJSON;
    if (first == '[' && !is_table)
        return FORMAT_JSON;
    if (name_ends(task, ".json") || name_ends(task, ".ndjson") || name_ends(task, ".jsonl"))
        return FORMAT_NDJSON;
    return name_ends(task, ".tsv") ? FORMAT_TSV : FORMAT_CSV;
}

static enum lh_code choose_source(struct task *task, const unsigned char *head, size_t count,
                                  struct lh_error *err)
{
    enum ingest_format format = (enum ingest_format)task->options.format;
    enum lh_code code = LH_OK;
    if (format == FORMAT_AUTO) {
        code = check_foreign(head, count, err);
        format = sniff(task, head, count);
    } else if (format == FORMAT_JSON && first_byte(head, count) == '{') {
        format = FORMAT_NDJSON; /* objects one after the other */
    }
    for (size_t at = 0; at < ingest_source_count; at++)
        if (ingest_sources[at].format == format)
            task->source = &ingest_sources[at];
    task->scan.has_mark = count >= 3 && memcmp(head, UTF8_MARK, 3) == 0;
    return code;
}

/* Sniffing takes time with the square of the columns: what cannot become a dataset is refused by
 * the marks in its first line, as far as they stand in the first piece. */
static enum lh_code check_width(const struct task *task, const unsigned char *head, size_t count,
                                struct lh_error *err)
{
    static const unsigned char usual[] = {',', ';', '\t', '|'};
    struct lh_str told = task->options.delimiter;
    const unsigned char *end = memchr(head, '\n', count);
    size_t line = end ? (size_t)(end - head) : count, most = 0;
    for (size_t i = 0; i < sizeof(usual); i++) {
        size_t marks = 0;
        if (told.len && (told.len > 1 || (unsigned char)told.data[0] != usual[i]))
            continue;
        for (size_t at = 0; at < line; at++)
            marks += head[at] == usual[i];
        most = marks > most ? marks : most;
    }
    return most < INGEST_COLUMNS_MAX ? LH_OK : columns_fail_width(most + 1, err);
}

/* Marks that the look for leading zeros does not know. */
static bool is_odd_mark(struct lh_str mark)
{
    static const char known[] = {',', ';', '|', '\t', '"', '\''};
    return mark.len && !memchr(known, mark.data[mark.len - 1], sizeof known);
}

/* --- the look --------------------------------------------------------------------------------
 */

struct scanning {
    const struct task *task;
    struct pieces pieces;
    unsigned char *space; /* a piece, and a cut character before it */
    size_t got;           /* of the first piece, which told the source */
    struct text_scan text;
    struct scan found;
    int64_t lines_wanted; /* how far to go; 0 = to the end */
    bool is_done;
    struct lh_beside beside;
    bool is_beside;
};

/* One piece of a text file, the tail of the one before already in front of it. */
static enum lh_code scan_piece(struct scanning *scanning, size_t count, bool is_last,
                               struct lh_error *err)
{
    struct text_scan *text = &scanning->text;
    unsigned char *bytes = scanning->space;
    enum ingest_format format = scanning->task->source->format;
    bool is_csv = format == FORMAT_CSV || format == FORMAT_TSV;
    enum lh_code code = LH_OK;
    for (size_t at = 0; at < count && !text->has_content; at++)
        text->has_content = !isspace(bytes[at]);
    if (count)
        text->is_line_open = bytes[count - 1] != '\n';
    text->tail_len = !is_last ? cut_character(bytes, count) : 0;
    memcpy(text->tail, bytes + count - text->tail_len, text->tail_len);
    count -= text->tail_len;
    if (is_csv)
        note_csv(&scanning->found, text, bytes, count);
    if (format != FORMAT_JSON)
        code = check_line(text, bytes, count, err);
    if (!code && !is_csv)
        code = check_depth(text, bytes, count, format == FORMAT_NDJSON, &scanning->found, err);
    if (!code)
        code = check_text(text, bytes, count, err);
    text->at += (int64_t)count;
    return code;
}

/* From the piece that is there on, as far as is wanted; another call goes on. */
static enum lh_code scan_pieces(void *context, struct lh_error *err)
{
    struct scanning *scanning = context;
    struct text_scan *text = &scanning->text;
    struct scan *found = &scanning->found;
    enum lh_code code = LH_OK;
    while (!code && !scanning->is_done) {
        if (scanning->lines_wanted && text->line > scanning->lines_wanted)
            return LH_OK;
        bool is_last = scanning->got == 0;
        if (!is_last || text->tail_len)
            code = scan_piece(scanning, text->tail_len + scanning->got, is_last, err);
        scanning->is_done = is_last;
        if (code || is_last)
            break;
        memcpy(scanning->space, text->tail, text->tail_len);
        code =
            pieces_next(&scanning->pieces, scanning->space + text->tail_len, &scanning->got, err);
        if (!code)
            code = lh_cancel_fail(scanning->task->cancel, "The ingest", err);
    }
    if (!code && !text->has_content)
        code = fail_empty(err);
    found->bytes = scanning->pieces.given;
    found->rows_max = text->line;
    found->lines = text->is_mac ? 0 : text->line - !text->is_line_open;
    return code;
}

static void scanning_end(void *context)
{
    struct scanning *scanning = context;
    lh_beside_wait(&scanning->beside);
    pieces_close(&scanning->pieces);
    free(scanning->space);
}

static enum lh_code find_encoding(struct task *task, unsigned char *space, enum encoding *ret,
                                  struct lh_error *err)
{
    struct pieces pieces;
    size_t got = 0;
    enum lh_code code = pieces_open(task->path, &pieces, err);
    if (code)
        return code;
    code = pieces_next(&pieces, space, &got, err);
    *ret = encoding_of(&task->options, space, got);
    pieces_close(&pieces);
    return code;
}

static enum lh_code scanning_open(struct task *task, struct scanning **ret, struct lh_error *err)
{
    enum encoding encoding = ENCODING_UTF8;
    struct scanning *scanning = lh_arena_array(task->arena, 1, sizeof(*scanning));
    *scanning = (struct scanning){.task = task, .text = {.line = 1, .last = {'\n', '\n'}}};
    scanning->space = malloc(PIECE_BYTES + sizeof(scanning->text.tail));
    enum lh_code code = scanning->space
                            ? find_encoding(task, scanning->space, &encoding, err)
                            : lh_fail(err, LH_BUSY, "There is no memory to read the file.");
    if (!code && encoding != ENCODING_UTF8 && task->options.format != FORMAT_PARQUET)
        code = encoding_convert(task, encoding, err);
    if (!code)
        code = pieces_open(task->path, &scanning->pieces, err);
    if (code) {
        free(scanning->space);
        return code;
    }
    lh_arena_defer(task->arena, scanning_end, scanning);
    *ret = scanning;
    return LH_OK;
}

/* More than the engine sniffs (its sample_size): at a line of tens of MB it would be busy for a
 * minute before anybody hears that the line is too long. */
#define SNIFFED_LINES 24576

enum lh_code scan_begin(struct task *task, struct lh_error *err)
{
    struct scanning *scanning = NULL;
    enum lh_code code = scanning_open(task, &scanning, err);
    if (!code)
        code = pieces_next(&scanning->pieces, scanning->space, &scanning->got, err);
    if (!code && scanning->got == 0)
        code = fail_empty(err);
    if (!code)
        code = choose_source(task, scanning->space, scanning->got, err);
    if (code)
        return code;
    bool is_csv = task->source->format == FORMAT_CSV || task->source->format == FORMAT_TSV;
    if (is_csv && (code = check_width(task, scanning->space, scanning->got, err)))
        return code;
    task->scan.is_gzip = scanning->pieces.is_gzip;
    task->scan.bytes = scanning->pieces.given;
    scanning->found = task->scan;
    scanning->found.has_zeros =
        is_odd_mark(task->options.delimiter) || is_odd_mark(task->options.quote);
    if (!task->source->is_text)
        return LH_OK;
    task->scanning = scanning;
    bool is_big = is_csv && scanning->pieces.file_bytes >= LH_BESIDE_BYTES_MIN;
    scanning->lines_wanted = is_big ? SNIFFED_LINES : 0;
    code = scan_pieces(scanning, err);
    scanning->is_beside = !code && !scanning->is_done;
    scanning->lines_wanted = 0;
    if (scanning->is_beside)
        lh_beside_start(&scanning->beside, scan_pieces, scanning);
    return code;
}

enum lh_code scan_end(struct task *task, struct lh_error *err)
{
    struct scanning *scanning = task->scanning;
    enum lh_code code = LH_OK;
    if (!scanning)
        return LH_OK;
    task->scanning = NULL;
    if (scanning->is_beside)
        code = lh_beside_end(&scanning->beside, err);
    if (!code)
        task->scan = scanning->found;
    return code;
}
