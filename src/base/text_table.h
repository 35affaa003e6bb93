/* A table for people: aligned columns on a terminal, by the width that characters really have.
 *
 *   name     hours
 *   ───────  ─────
 *   Bob          8
 *
 * Cells are UTF-8; control characters become U+FFFD so that data cannot steer a terminal; line
 * breaks become "⏎". A cell wider than `cell_width_max` is cut with "…". One thread.
 */
#ifndef LAKEHOUSE_BASE_TEXT_TABLE_H
#define LAKEHOUSE_BASE_TEXT_TABLE_H

#include "base/arena.h"
#include "base/buf.h"

struct lh_text_column {
    struct lh_str title;
    bool is_number; /* aligned to the right */
};

/* `cells` row by row, column_count each; borrowed. cell_width_max 0 = 60. Appends the title line, a
 * rule and one line per row, each indented by `margin` blanks and without trailing blanks. */
void lh_text_table(struct lh_buf *out, const struct lh_text_column *columns, size_t column_count,
                   const struct lh_str *cells, size_t row_count, size_t cell_width_max,
                   size_t margin);

/* The text by itself, made as harmless as a cell, whole. */
void lh_text_line(struct lh_buf *out, struct lh_str text);

/* Columns that the text takes on a terminal. */
size_t lh_text_width(struct lh_str text);

#endif
