/* Which columns of a CSV file, taken for whole numbers, hold anything like a fraction.
 *
 * The engine's reader rounds 1.5 to 2 in such a column. To read them as text and cast them exactly
 * costs a fifth of an ingest, so only those pay that need it: this pass cuts the file into fields
 * as the reader does (quotes count at the start of a field only) and looks at the fields of these
 * columns, at about a nanosecond a byte. Where it cannot follow the reader, in comments say, a line
 * ends the confusion; it may name a column too many, which costs time and nothing else. */
#include <stdlib.h>

#include "ingest/internal.h"
#include "ingest/pieces.h"

enum place { FIELD_START, IN_FIELD, IN_QUOTES, AFTER_QUOTE };

struct fields {
    struct task *task;
    const struct csv_marks *marks;
    bool is_mark[2][256]; /* bytes that mean something: anywhere, and in a field that is asked */
    size_t column;
    size_t field_at; /* where the field at hand begins in this piece */
    enum place place;
    bool is_escaped; /* the first byte of the next piece is */
    bool is_asked;   /* the field at hand is of a column that may round */
};

static void begin_field(struct fields *fields, size_t column, size_t at)
{
    fields->column = column;
    fields->field_at = at;
    fields->place = FIELD_START;
    fields->is_asked =
        column < fields->task->column_count && fields->task->columns[column].may_round;
}

static bool is_blank(const unsigned char *bytes, size_t from, size_t to)
{
    while (from < to && bytes[from] == ' ')
        from++;
    return from == to;
}

/* A byte that means something, at `at`; returns how many bytes it takes. */
static size_t take_mark(struct fields *fields, const unsigned char *bytes, size_t at)
{
    const struct csv_marks *marks = fields->marks;
    unsigned char byte = bytes[at];
    bool is_quote = marks->has_quote && byte == marks->quote;
    bool is_number = byte == '.' || (byte | 0x20) == 'e';
    if (fields->place == IN_QUOTES && is_quote) {
        fields->place = AFTER_QUOTE;
    } else if (fields->place == IN_QUOTES && byte == marks->escape) {
        return 2;
    } else if (is_quote &&
               (fields->place == AFTER_QUOTE ||
                (fields->place == FIELD_START && is_blank(bytes, fields->field_at, at)))) {
        fields->place = IN_QUOTES; /* the second of two is one in the text */
    } else if (fields->place != IN_QUOTES && byte == marks->delimiter) {
        begin_field(fields, fields->column + 1, at + 1);
    } else if (fields->place != IN_QUOTES && (byte == '\n' || byte == '\r')) {
        begin_field(fields, 0, at + 1);
    } else if (is_number && fields->is_asked) {
        fields->task->columns[fields->column].is_checked = true;
    }
    return 1;
}

static void take_piece(struct fields *fields, const unsigned char *bytes, size_t count)
{
    size_t at = fields->is_escaped;
    while (at < count) {
        const bool *is_mark = fields->is_mark[fields->is_asked];
        while (at < count && !is_mark[bytes[at]])
            at++;
        if (at < count)
            at += take_mark(fields, bytes, at);
    }
    fields->is_escaped = at > count;
    if (fields->place == FIELD_START && !is_blank(bytes, fields->field_at, count))
        fields->place = IN_FIELD;
    fields->field_at = 0;
}

static void note_marks(struct fields *fields)
{
    const struct csv_marks *marks = fields->marks;
    for (int asked = 0; asked < 2; asked++) {
        bool *is_mark = fields->is_mark[asked];
        is_mark['\r'] = is_mark['\n'] = is_mark[marks->delimiter] = true;
        if (marks->has_quote)
            is_mark[marks->quote] = is_mark[marks->escape] = true;
    }
    fields->is_mark[1]['.'] = fields->is_mark[1]['e'] = fields->is_mark[1]['E'] = true;
}

enum lh_code fractions_find(struct task *task, const struct csv_marks *marks, struct lh_error *err)
{
    struct pieces pieces;
    struct fields fields = {.task = task, .marks = marks};
    unsigned char *space = malloc(PIECE_BYTES);
    if (!space)
        return lh_fail(err, LH_BUSY, "There is no memory to read the file.");
    enum lh_code code = pieces_open(task->path, &pieces, err);
    if (code) {
        free(space);
        return code;
    }
    note_marks(&fields);
    begin_field(&fields, 0, 0);
    size_t got = 1;
    while (!code && got) {
        code = pieces_next(&pieces, space, &got, err);
        if (!code)
            code = lh_cancel_fail(task->cancel, "The ingest", err);
        if (!code && got)
            take_piece(&fields, space, got);
    }
    pieces_close(&pieces);
    free(space);
    return code;
}
