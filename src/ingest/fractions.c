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
    const struct csv_marks *marks;
    struct task *task;
    size_t column;
    enum place place;
    bool is_escaped;
    bool is_asked; /* the field at hand is of a column that is asked about */
};

static void begin_field(struct fields *fields, size_t column)
{
    fields->column = column;
    fields->place = FIELD_START;
    fields->is_asked =
        column < fields->task->column_count && fields->task->columns[column].may_round;
}

static void look_at(struct fields *fields, unsigned char byte)
{
    if (fields->is_asked && (byte == '.' || (byte | 0x20) == 'e'))
        fields->task->columns[fields->column].is_checked = true;
}

static void step_quoted(struct fields *fields, unsigned char byte)
{
    if (fields->is_escaped) {
        fields->is_escaped = false;
    } else if (byte == fields->marks->escape && byte != fields->marks->quote) {
        fields->is_escaped = true;
    } else if (byte == fields->marks->quote) {
        fields->place = AFTER_QUOTE;
    } else {
        look_at(fields, byte);
    }
}

static void step(struct fields *fields, unsigned char byte)
{
    bool is_quote = fields->marks->has_quote && byte == fields->marks->quote;
    if (fields->place == IN_QUOTES) {
        step_quoted(fields, byte);
    } else if (is_quote && (fields->place == FIELD_START || fields->place == AFTER_QUOTE)) {
        fields->place = IN_QUOTES; /* the second of two is one in the text */
    } else if (byte == fields->marks->delimiter) {
        begin_field(fields, fields->column + 1);
    } else if (byte == '\n' || byte == '\r') {
        begin_field(fields, 0);
    } else {
        if (fields->place == FIELD_START && byte != ' ')
            fields->place = IN_FIELD;
        look_at(fields, byte);
    }
}

enum lh_code fractions_find(struct task *task, const struct csv_marks *marks, struct lh_error *err)
{
    struct pieces pieces;
    struct fields fields = {.marks = marks, .task = task};
    unsigned char *space = malloc(PIECE_BYTES);
    if (!space)
        return lh_fail(err, LH_BUSY, "There is no memory to read the file.");
    enum lh_code code = pieces_open(task->path, &pieces, err);
    if (code) {
        free(space);
        return code;
    }
    begin_field(&fields, 0);
    size_t got = 1;
    while (!code && got) {
        code = pieces_next(&pieces, space, &got, err);
        if (!code)
            code = lh_cancel_fail(task->cancel, "The ingest", err);
        for (size_t at = 0; !code && at < got; at++)
            step(&fields, space[at]);
    }
    pieces_close(&pieces);
    free(space);
    return code;
}
