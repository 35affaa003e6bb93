#include "base/text_table.h"

#include <utf8proc.h>

#define CELL_WIDTH_PRESET 60
#define GAP 2

/* The next character as it will be shown; advances *text. */
static utf8proc_int32_t next_shown(struct lh_str *text)
{
    utf8proc_int32_t point = 0xFFFD;
    utf8proc_ssize_t used =
        utf8proc_iterate((const utf8proc_uint8_t *)text->data, (utf8proc_ssize_t)text->len, &point);
    if (used < 1) {
        used = 1;
        point = 0xFFFD;
    }
    text->data += used;
    text->len -= (size_t)used;
    if (point == '\n')
        return 0x23CE;
    bool is_control = point < 0x20 || (point >= 0x7F && point < 0xA0);
    bool is_steering = (point >= 0x202A && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069);
    return is_control || is_steering ? 0xFFFD : point;
}

static size_t width_of(utf8proc_int32_t point)
{
    int width = utf8proc_charwidth(point);
    return width > 0 ? (size_t)width : 0;
}

size_t lh_text_width(struct lh_str text)
{
    size_t width = 0;
    while (text.len)
        width += width_of(next_shown(&text));
    return width;
}

static void blanks(struct lh_buf *out, size_t count)
{
    while (count--)
        lh_buf_append_char(out, ' ');
}

/* Writes the text, cut to `width_max`; returns the width written. */
static size_t put_cut(struct lh_buf *out, struct lh_str text, size_t width_max)
{
    bool is_cut = lh_text_width(text) > width_max;
    size_t room = is_cut ? width_max - 1 : width_max;
    size_t width = 0;
    while (text.len) {
        utf8proc_int32_t point = next_shown(&text);
        if (width + width_of(point) > room)
            break;
        utf8proc_uint8_t bytes[4];
        utf8proc_ssize_t count = utf8proc_encode_char(point, bytes);
        lh_buf_append(out, bytes, (size_t)count);
        width += width_of(point);
    }
    if (!is_cut)
        return width;
    lh_buf_append_str(out, lh_lit("…"));
    return width + 1;
}

void lh_text_line(struct lh_buf *out, struct lh_str text)
{
    (void)put_cut(out, text, SIZE_MAX);
}

static void put_line(struct lh_buf *out, const struct lh_text_column *columns, size_t column_count,
                     const struct lh_str *cells, const size_t *widths, size_t margin)
{
    size_t owed = margin; /* blanks are written only before something */
    for (size_t at = 0; at < column_count; at++) {
        struct lh_str cell = cells ? cells[at] : columns[at].title;
        size_t width = lh_text_width(cell);
        width = width > widths[at] ? widths[at] : width;
        if (columns[at].is_number)
            owed += widths[at] - width;
        if (width) {
            blanks(out, owed);
            owed = 0;
            (void)put_cut(out, cell, widths[at]);
        } else {
            owed += width;
        }
        owed += (columns[at].is_number ? 0 : widths[at] - width) + GAP;
    }
    lh_buf_append_char(out, '\n');
}

void lh_text_table(struct lh_buf *out, const struct lh_text_column *columns, size_t column_count,
                   const struct lh_str *cells, size_t row_count, size_t cell_width_max,
                   size_t margin)
{
    size_t width_max = cell_width_max ? cell_width_max : CELL_WIDTH_PRESET;
    struct lh_arena *arena = lh_arena_new(0);
    size_t *widths = lh_arena_array(arena, column_count + 1, sizeof(*widths));
    for (size_t at = 0; at < column_count; at++) {
        widths[at] = lh_text_width(columns[at].title);
        for (size_t row = 0; row < row_count; row++) {
            size_t width = lh_text_width(cells[row * column_count + at]);
            widths[at] = width > widths[at] ? width : widths[at];
        }
        widths[at] = widths[at] > width_max ? width_max : widths[at];
        widths[at] = widths[at] ? widths[at] : 1;
    }
    put_line(out, columns, column_count, NULL, widths, margin);
    blanks(out, margin);
    for (size_t at = 0; at < column_count; at++) {
        for (size_t dash = 0; dash < widths[at]; dash++)
            lh_buf_append_str(out, lh_lit("─"));
        if (at + 1 < column_count)
            blanks(out, GAP);
    }
    lh_buf_append_char(out, '\n');
    for (size_t row = 0; row < row_count; row++)
        put_line(out, columns, column_count, cells + row * column_count, widths, margin);
    lh_arena_free(arena);
}
