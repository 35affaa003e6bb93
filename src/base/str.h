/* Borrowed text: a pointer and a length, never owned, never assumed to end in NUL.
 *
 * A struct lh_str lives as long as what it points into. Text that came from outside is valid UTF-8
 * once it has passed a door (base/json, base/field); before that it is bytes. Absent text is {NULL,
 * 0}.
 */
#ifndef LAKEHOUSE_BASE_STR_H
#define LAKEHOUSE_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LH_MUST_USE __attribute__((warn_unused_result))
#define LH_PRINTF(format_index, first_index)                                                       \
    __attribute__((format(printf, format_index, first_index)))

struct lh_str {
    const char *data;
    size_t len;
};

/* A literal, at compile time and in static initialisers; arguments for "%.*s". */
#define LH_LIT(literal)                                                                            \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }
#define lh_lit(literal) ((struct lh_str)LH_LIT(literal))
#define LH_ARG(str) (int)(str).len, (str).data ? (str).data : ""

/* Wraps a NUL-ended string; NULL becomes absent text. */
static inline struct lh_str lh_str_of(const char *text)
{
    return (struct lh_str){text, text ? strlen(text) : 0};
}

static inline bool lh_str_empty(struct lh_str str)
{
    return str.len == 0;
}

bool lh_str_equal(struct lh_str a, struct lh_str b);
bool lh_str_equal_nocase(struct lh_str a, struct lh_str b); /* ASCII case only */
int lh_str_compare(struct lh_str a, struct lh_str b);       /* bytewise, as memcmp with lengths */
int lh_str_compare_nocase(struct lh_str a, struct lh_str b);
bool lh_str_starts_with(struct lh_str str, struct lh_str prefix);
bool lh_str_ends_with(struct lh_str str, struct lh_str suffix);
bool lh_str_find(struct lh_str str, struct lh_str part, size_t *ret_at);
struct lh_str lh_str_slice(struct lh_str str, size_t from, size_t len); /* clamped to str */
struct lh_str lh_str_trim(struct lh_str str);                           /* ASCII white space */

/* Cuts *rest at the first `separator`: returns what stands before it and leaves what stands after.
 * Without a separator returns all and leaves absent text. */
struct lh_str lh_str_cut(struct lh_str *rest, char separator);

/* Whole text as a decimal number; false on anything else: blanks, leftovers, overflow, hexadecimal,
 * NaN. */
bool lh_str_to_int(struct lh_str str, int64_t *ret);
bool lh_str_to_double(struct lh_str str, double *ret);

/* True if str is valid UTF-8 (no surrogates, no overlong forms). ret_bad_at (may be NULL) is the
 * offset of the first bad byte. NUL is valid here; who cannot bear it says so. */
bool lh_str_is_utf8(struct lh_str str, size_t *ret_bad_at);

/* Bytes of the valid UTF-8 character at the start of str; 0 if there is none. */
size_t lh_str_utf8_step(struct lh_str str);

/* The longest part of str of at most `max` bytes that does not end inside a character. */
struct lh_str lh_str_head(struct lh_str str, size_t max);

/* FNV-1a, 64 bits: for tables in memory only, never stored. */
uint64_t lh_str_hash(struct lh_str str);

/* The edit distance of two names (Damerau-Levenshtein, ASCII case ignored), at most `limit` + 1. */
size_t lh_str_distance(struct lh_str a, struct lh_str b, size_t limit);

/* The nearest of `count` names within a third of the length, for “did you mean”; absent text if
 * none. */
struct lh_str lh_str_nearest(struct lh_str name, const struct lh_str *names, size_t count);

#endif
