/* Long texts in pieces: of at most so many characters, cut where the text itself pauses.
 *
 * A piece ends at the last paragraph, else sentence, else blank of its last third, else where it is
 * full, never inside a character or before a mark that belongs to it. The next one begins `overlap`
 * characters earlier, at the beginning of a word if there is one. Pieces of blanks alone are left
 * out. Equal texts give equal pieces. No locks, no memory of its own.
 */
#ifndef LAKEHOUSE_SEARCH_PIECES_H
#define LAKEHOUSE_SEARCH_PIECES_H

#include "base/str.h"

struct search_pieces {
    struct lh_str text;
    size_t size, overlap; /* characters; overlap is at most half of size */
    size_t at;            /* byte where the next piece begins */
    size_t characters;    /* before it */
    bool is_done;
};

struct search_piece {
    struct lh_str text; /* borrowed */
    size_t start;       /* in characters */
};

/* `text` is valid UTF-8. */
void search_pieces_init(struct search_pieces *pieces, struct lh_str text, size_t size,
                        size_t overlap);
bool search_pieces_next(struct search_pieces *pieces, struct search_piece *ret);

#endif
