/* What the number columns of a CSV file really hold: fractions, leading zeros, more digits than a
 * DOUBLE keeps.
 *
 * The engine's reader rounds 1.5 to 2 in a column of whole numbers, reads 007 as 7 and rounds long
 * numbers without a word. To read columns as text and cast them exactly costs a fifth of an ingest,
 * so only those pay that need it: this pass cuts the file into fields as the reader does (quotes
 * count at the start of a field only) and looks at the fields of these columns, at about a
 * nanosecond a byte. Where it cannot follow the reader, in comments say, a line ends the confusion;
 * it may name a column too many, which costs time or makes a text of numbers, and loses nothing. */
#include <stdlib.h>

#include "ingest/internal.h"
#include "ingest/pieces.h"

#define DELIMITER_BYTES_MAX 4

enum place { FIELD_START, IN_FIELD, IN_QUOTES, AFTER_QUOTE };

struct fields {
    struct task *task;
    const struct csv_marks *marks;
    bool is_mark[256];  /* bytes that mean something anywhere */
    int64_t head_lines; /* still to pass over */
    size_t column;
    size_t field_at; /* where the field at hand begins in this piece */
    enum place place;
    struct source_column *asked; /* the column of the field at hand, if it is asked */
    size_t digits;               /* of the field, if it is asked */
    bool is_other;               /* it holds anything but digits, a sign and blanks */
    bool is_signed;
    bool begins_with_zero;
};

static void begin_field(struct fields *fields, size_t column, size_t at)
{
    struct source_column *asked = fields->asked;
    if (asked && !fields->is_other && fields->digits > asked->digits)
        asked->digits = fields->digits;
    fields->column = column;
    fields->field_at = at;
    fields->place = FIELD_START;
    fields->digits = 0;
    fields->is_other = fields->is_signed = fields->begins_with_zero = false;
    fields->asked = NULL;
    if (fields->head_lines == 0 && column < fields->task->column_count &&
        fields->task->columns[column].is_asked)
        fields->asked = &fields->task->columns[column];
}

static bool is_blank(const unsigned char *bytes, size_t from, size_t to)
{
    while (from < to && bytes[from] == ' ')
        from++;
    return from == to;
}

/* One byte of a field that is asked. */
static void take_number(struct fields *fields, unsigned char byte)
{
    if (byte >= '0' && byte <= '9') {
        bool is_first = !fields->digits && !fields->is_other && !fields->is_signed;
        if (fields->digits == 1 && fields->begins_with_zero && !fields->is_other)
            fields->asked->has_zeros = true;
        fields->begins_with_zero = fields->begins_with_zero || (is_first && byte == '0');
        fields->digits++;
    } else if (byte == '-' || byte == '+') {
        fields->is_signed = true;
    } else if (byte != ' ') {
        fields->is_other = true;
        if (byte == '.' || (byte | 0x20) == 'e')
            fields->asked->has_fraction = true;
    }
}

static bool is_delimiter(const struct fields *fields, const unsigned char *bytes, size_t at,
                         size_t count)
{
    struct lh_str delimiter = fields->marks->delimiter;
    if (bytes[at] != (unsigned char)delimiter.data[0])
        return false;
    return delimiter.len == 1 ||
           (count - at >= delimiter.len && memcmp(bytes + at, delimiter.data, delimiter.len) == 0);
}

static void end_line(struct fields *fields, unsigned char byte, size_t at)
{
    /* Where carriage returns end lines, nobody knows how many lines there are: then none is left
     * out, and a heading counts as a row. */
    if (fields->head_lines && byte == '\n')
        fields->head_lines--;
    begin_field(fields, 0, at + 1);
}

/* The byte at `at`; returns how many bytes it takes. */
static size_t take_byte(struct fields *fields, const unsigned char *bytes, size_t at, size_t count)
{
    const struct csv_marks *marks = fields->marks;
    unsigned char byte = bytes[at];
    bool is_quote = marks->has_quote && byte == marks->quote;
    if (fields->place == IN_QUOTES && is_quote) {
        fields->place = AFTER_QUOTE;
    } else if (fields->place == IN_QUOTES && marks->has_quote && byte == marks->escape) {
        return 2;
    } else if (is_quote &&
               (fields->place == AFTER_QUOTE ||
                (fields->place == FIELD_START && is_blank(bytes, fields->field_at, at)))) {
        fields->place = IN_QUOTES; /* the second of two is one in the text */
    } else if (fields->place != IN_QUOTES && is_delimiter(fields, bytes, at, count)) {
        begin_field(fields, fields->column + 1, at + marks->delimiter.len);
        return marks->delimiter.len;
    } else if (fields->place != IN_QUOTES && (byte == '\n' || byte == '\r')) {
        end_line(fields, byte, at);
    } else if (fields->asked) {
        take_number(fields, byte);
    }
    return 1;
}

/* Returns how far it came: what is left may be half a delimiter; more than `count` passes over the
 * next piece's first byte. */
static size_t take_piece(struct fields *fields, const unsigned char *bytes, size_t from,
                         size_t count, bool is_last)
{
    size_t wanted = fields->marks->delimiter.len - 1;
    size_t end = is_last ? count : count > wanted ? count - wanted : 0;
    size_t at = from;
    while (at < end) {
        while (!fields->asked && at < end && !fields->is_mark[bytes[at]])
            at++;
        if (at < end)
            at += take_byte(fields, bytes, at, count);
    }
    if (fields->place == FIELD_START && !is_blank(bytes, fields->field_at, at < count ? at : count))
        fields->place = IN_FIELD;
    fields->field_at = 0;
    return at;
}

static enum lh_code take_pieces(struct fields *fields, struct pieces *pieces, unsigned char *space,
                                struct lh_error *err)
{
    size_t kept = 0; /* bytes before the piece, not taken yet */
    size_t from = 0;
    size_t got = 1;
    enum lh_code code = LH_OK;
    while (!code && got) {
        code = pieces_next(pieces, space + kept, &got, err);
        if (!code)
            code = lh_cancel_fail(fields->task->cancel, "The ingest", err);
        if (code)
            break;
        size_t count = kept + got;
        size_t at = take_piece(fields, space, from, count, got == 0);
        kept = at < count ? count - at : 0;
        from = at > count ? at - count : 0;
        memmove(space, space + count - kept, kept);
    }
    begin_field(fields, 0, 0); /* the end ends a field too */
    return code;
}

static void note_marks(struct fields *fields)
{
    const struct csv_marks *marks = fields->marks;
    fields->is_mark['\r'] = fields->is_mark['\n'] = true;
    fields->is_mark[(unsigned char)marks->delimiter.data[0]] = true;
    if (marks->has_quote)
        fields->is_mark[marks->quote] = fields->is_mark[marks->escape] = true;
}

enum lh_code numbers_find(struct task *task, const struct csv_marks *marks, struct lh_error *err)
{
    struct pieces pieces;
    struct fields fields = {.task = task, .marks = marks};
    unsigned char *space = malloc(PIECE_BYTES + DELIMITER_BYTES_MAX);
    if (!space)
        return lh_fail(err, LH_BUSY, "There is no memory to read the file.");
    enum lh_code code = pieces_open(task->path, &pieces, err);
    if (code) {
        free(space);
        return code;
    }
    fields.head_lines = task->scan.lines ? marks->head_lines : 0;
    note_marks(&fields);
    begin_field(&fields, 0, 0);
    code = take_pieces(&fields, &pieces, space, err);
    pieces_close(&pieces);
    free(space);
    return code;
}
