/* What the number columns of a CSV file really hold: fractions, leading zeros, more digits than a
 * DOUBLE keeps.
 *
 * The engine's reader rounds 1.5 to 2 in a column of whole numbers, reads 007 as 7 and rounds long
 * numbers without a word. To read columns as text and cast them exactly costs a fifth of an ingest,
 * so only those pay that need it: this pass cuts the file into fields as the reader does (quotes
 * count at the start of a field only) and looks at the fields of these columns, at about a
 * nanosecond a byte. Where it cannot follow the reader, in comments say, a line ends the confusion;
 * it may name a column too many, which costs time or makes a text of numbers, and loses nothing.
 *
 * Two threads take half of a big file each. The second begins behind a line break, as if a row
 * began there; if the first does not end there at the end of a row, it goes on alone. */
#include <stdlib.h>

#include "base/beside.h"
#include "ingest/internal.h"
#include "ingest/pieces.h"

#define DELIMITER_BYTES_MAX 4

enum place { FIELD_START, IN_FIELD, IN_QUOTES, AFTER_QUOTE };

struct fields {
    const struct csv_marks *marks;
    struct source_column *columns; /* where it notes what it finds */
    size_t column_count;
    size_t asked_end; /* behind the last column that is asked */
    bool can_pass_rows;
    bool is_cut;        /* the row at hand goes on in the next piece */
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
    if (fields->head_lines == 0 && column < fields->column_count &&
        fields->columns[column].is_asked)
        fields->asked = &fields->columns[column];
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
    fields->is_cut = false;
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

/* Passes over fields that nobody asks about, which are most; stops where take_byte has to look. */
static size_t pass_over(struct fields *fields, const unsigned char *bytes, size_t at, size_t end)
{
    const struct csv_marks *marks = fields->marks;
    unsigned char delimiter = (unsigned char)marks->delimiter.data[0];
    bool is_plain = marks->delimiter.len == 1;
    size_t column = fields->column;
    while (at < end) {
        if (!fields->is_mark[bytes[at]]) {
            at++;
            continue;
        }
        bool is_next_asked = column + 1 < fields->column_count &&
                             fields->columns[column + 1].is_asked && !fields->head_lines;
        if (!is_plain || bytes[at] != delimiter || fields->place == IN_QUOTES || is_next_asked)
            break;
        column++;
        at++;
        fields->place = FIELD_START;
        fields->field_at = at;
        if (column == fields->asked_end)
            break; /* the rest of the row can be passed over at once */
    }
    fields->column = column;
    return at;
}

static bool has_byte(const unsigned char *bytes, size_t from, size_t to, unsigned char byte)
{
    return memchr(bytes + from, byte, to - from) != NULL;
}

/* The rest of a row, of which nobody asks, from the start of a field: returns where its line break
 * stands, or `end`. Says what take_byte says, but jumps from quote to quote. */
static size_t find_row_end(const struct fields *fields, const unsigned char *bytes, size_t at,
                           size_t end)
{
    const struct csv_marks *marks = fields->marks;
    unsigned char delimiter = (unsigned char)marks->delimiter.data[0];
    bool is_open_here = true; /* a quote at `at`, or behind blanks, opens */
    bool was_quoted = false;  /* the field at `at` was in quotes */
    const unsigned char *line_end = memchr(bytes + at, '\n', end - at);
    while (line_end && marks->has_quote) {
        const unsigned char *quote =
            memchr(bytes + at, marks->quote, (size_t)(line_end - bytes) - at);
        if (!quote)
            break;
        size_t opening = (size_t)(quote - bytes);
        size_t back = opening;
        while (back > at && bytes[back - 1] == ' ')
            back--;
        bool opens = (back > at ? bytes[back - 1] == delimiter : is_open_here) ||
                     (was_quoted && !has_byte(bytes, at, opening, delimiter));
        at = opening + 1;
        is_open_here = was_quoted = opens;
        if (!opens)
            continue;
        const unsigned char *closing = memchr(bytes + at, marks->quote, end - at);
        if (!closing)
            return end;
        at = (size_t)(closing - bytes) + 1;
        if (closing > line_end)
            line_end = memchr(bytes + at, '\n', end - at);
    }
    return line_end ? (size_t)(line_end - bytes) : end;
}

/* At the start of a field behind all that are asked. */
static size_t pass_row(struct fields *fields, const unsigned char *bytes, size_t at, size_t end)
{
    size_t row_end = find_row_end(fields, bytes, at, end);
    fields->is_cut = row_end == end;
    if (fields->is_cut)
        return at;
    end_line(fields, '\n', row_end);
    return row_end + 1;
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
        if (fields->column >= fields->asked_end && fields->can_pass_rows && !fields->is_cut &&
            fields->place == FIELD_START && fields->field_at == at)
            at = pass_row(fields, bytes, at, end);
        if (!fields->asked)
            at = pass_over(fields, bytes, at, end);
        if (at < end)
            at += take_byte(fields, bytes, at, count);
    }
    if (fields->place == FIELD_START && !is_blank(bytes, fields->field_at, at < count ? at : count))
        fields->place = IN_FIELD;
    fields->field_at = 0;
    return at;
}

/* A part of the file: all of it, or half. */
struct part {
    const struct task *task;
    struct fields fields;
    struct pieces pieces;
    unsigned char *space;
    size_t from; /* where it begins in the next piece: its first byte may be escaped */
};

static enum lh_code take_pieces(void *context, struct lh_error *err)
{
    struct part *part = context;
    size_t kept = 0; /* bytes before the piece, not taken yet */
    size_t got = 1;
    enum lh_code code = LH_OK;
    while (!code && got) {
        code = pieces_next(&part->pieces, part->space + kept, &got, err);
        if (!code)
            code = lh_cancel_fail(part->task->cancel, "The ingest", err);
        if (code)
            break;
        size_t count = kept + got;
        size_t at = take_piece(&part->fields, part->space, part->from, count, got == 0);
        kept = at < count ? count - at : 0;
        part->from = at > count ? at - count : 0;
        memmove(part->space, part->space + count - kept, kept);
    }
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

static void part_close(struct part *part)
{
    if (part->space)
        pieces_close(&part->pieces);
    free(part->space);
}

static enum lh_code part_open(struct task *task, const struct csv_marks *marks, struct part *ret,
                              struct lh_error *err)
{
    *ret = (struct part){.task = task,
                         .fields = {.marks = marks,
                                    .columns = lh_arena_array(task->arena, task->column_count + 1,
                                                              sizeof(*task->columns)),
                                    .column_count = task->column_count}};
    memcpy(ret->fields.columns, task->columns, task->column_count * sizeof(*task->columns));
    for (size_t at = 0; at < task->column_count; at++)
        if (task->columns[at].is_asked)
            ret->fields.asked_end = at + 1;
    /* Not where carriage returns may end lines, or something else than a quote stands before one.
     */
    ret->fields.can_pass_rows = task->scan.lines && marks->delimiter.len == 1 &&
                                (!marks->has_quote || marks->quote == marks->escape);
    note_marks(&ret->fields);
    begin_field(&ret->fields, 0, 0);
    unsigned char *space = malloc(PIECE_BYTES + DELIMITER_BYTES_MAX);
    if (!space)
        return lh_fail(err, LH_BUSY, "There is no memory to read the file.");
    enum lh_code code = pieces_open(task->path, &ret->pieces, err);
    if (code)
        free(space);
    else
        ret->space = space;
    return code;
}

/* Where the second half begins: behind the first line break in the middle. 0: it is not worth it.
 */
static enum lh_code find_middle(struct part *part, int64_t *ret, struct lh_error *err)
{
    size_t got = 0;
    int64_t middle = part->pieces.file_bytes / 2;
    *ret = 0;
    if (part->pieces.is_gzip || part->fields.marks->delimiter.len != 1 ||
        part->pieces.file_bytes < 2 * LH_BESIDE_BYTES_MIN)
        return LH_OK;
    part->pieces.offset = middle;
    enum lh_code code = pieces_next(&part->pieces, part->space, &got, err);
    const unsigned char *end = code || !got ? NULL : memchr(part->space, '\n', got);
    if (end)
        *ret = middle + (end - part->space) + 1;
    part->pieces.offset = *ret;
    return code;
}

/* What a part found is true of the column. */
static void merge(struct task *task, struct part *part)
{
    begin_field(&part->fields, 0, 0); /* the end ends a field too */
    for (size_t at = 0; at < task->column_count; at++) {
        const struct source_column *found = &part->fields.columns[at];
        struct source_column *column = &task->columns[at];
        column->has_fraction = column->has_fraction || found->has_fraction;
        column->has_zeros = column->has_zeros || found->has_zeros;
        column->digits = found->digits > column->digits ? found->digits : column->digits;
    }
}

static bool is_at_row(const struct part *part)
{
    return part->fields.column == 0 && part->fields.place == FIELD_START && part->from == 0 &&
           part->fields.head_lines == 0;
}

static enum lh_code take_halves(struct task *task, struct part *first, struct part *second,
                                struct lh_error *err)
{
    struct lh_beside beside;
    int64_t middle = 0;
    enum lh_code code = find_middle(second, &middle, err);
    if (code || !middle)
        return code ? code : take_pieces(first, err);
    first->pieces.end = middle;
    second->fields.head_lines = 0;
    begin_field(&second->fields, 0, 0);
    lh_beside_start(&beside, take_pieces, second);
    code = take_pieces(first, err);
    enum lh_code other = lh_beside_end(&beside, code ? NULL : err);
    if (code || other)
        return code ? code : other;
    if (is_at_row(first)) {
        merge(task, second);
        return LH_OK;
    }
    first->pieces.end = INT64_MAX;
    return take_pieces(first, err);
}

enum lh_code numbers_find(struct task *task, const struct csv_marks *marks, struct lh_error *err)
{
    struct part first = {0};
    struct part second = {0};
    enum lh_code code = part_open(task, marks, &first, err);
    if (!code)
        code = part_open(task, marks, &second, err);
    if (!code) {
        first.fields.head_lines = task->scan.lines ? marks->head_lines : 0;
        begin_field(&first.fields, 0, 0);
        code = take_halves(task, &first, &second, err);
    }
    if (!code)
        merge(task, &first);
    part_close(&second);
    part_close(&first);
    return code;
}
