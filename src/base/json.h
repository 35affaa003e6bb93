/* The JSON door: a streaming writer for everything that goes out, and one parser for what comes in.
 *
 * The writer appends to a buffer and never holds a tree; it places commas itself and asserts that
 * keys and values alternate (that is our own mistake, not the world's). Whether everything fitted
 * says lh_buf_check, once, at the end. The reader is jansson behind limits: bytes, values, depth,
 * duplicate keys and lone surrogates are refused with line and column. No locks, no waiting.
 */
#ifndef LAKEHOUSE_BASE_JSON_H
#define LAKEHOUSE_BASE_JSON_H

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"

#define LH_JSON_DEPTH_MAX 64
/* Values in one parsed text: bounds the memory of the tree, some 100 bytes each. */
#define LH_JSON_VALUES_MAX 2000000

struct lh_json {
    struct lh_buf *buf;
    uint64_t has_item;  /* bit per depth: something stands before, so a comma is due */
    uint64_t is_object; /* bit per depth: keys and values alternate there */
    unsigned depth;
    bool is_after_key;
    bool is_canonical;                /* asserts that keys come in ascending byte order */
    size_t key_at[LH_JSON_DEPTH_MAX]; /* canonical: where the last key of each depth stands */
};

void lh_json_init(struct lh_json *json, struct lh_buf *buf); /* buf is borrowed */

void lh_json_object(struct lh_json *json);
void lh_json_object_end(struct lh_json *json);
void lh_json_array(struct lh_json *json);
void lh_json_array_end(struct lh_json *json);
void lh_json_key(struct lh_json *json, const char *key);
void lh_json_key_str(struct lh_json *json, struct lh_str key);
void lh_json_str(struct lh_json *json, struct lh_str value); /* invalid UTF-8 becomes U+FFFD */
void lh_json_int(struct lh_json *json, int64_t value);
void lh_json_uint(struct lh_json *json, uint64_t value);
/* The shortest form that reads back, always with a point or exponent (3.0); NaN, ±Infinity as
 * strings */
void lh_json_double(struct lh_json *json, double value);
void lh_json_bool(struct lh_json *json, bool value);
void lh_json_null(struct lh_json *json);
void lh_json_raw(struct lh_json *json, struct lh_str value);    /* one complete value, trusted */
void lh_json_parsed(struct lh_json *json, const json_t *value); /* what lh_json_parse gave */

/* Key and value in one. */
void lh_json_put_str(struct lh_json *json, const char *key, struct lh_str value);
void lh_json_put_cstr(struct lh_json *json, const char *key, const char *value);
void lh_json_put_int(struct lh_json *json, const char *key, int64_t value);
void lh_json_put_bool(struct lh_json *json, const char *key, bool value);

/* Appends `text` as a quoted JSON string; for encoders that write cells without the comma logic. */
void lh_json_append_quoted(struct lh_buf *buf, struct lh_str text);
void lh_json_append_double(struct lh_buf *buf, double value);
/* The shortest text that reads back the same ("3.0", "1e+21", "\"NaN\""), not NUL-ended. There is
 * room for LH_JSON_DOUBLE_BYTES; returns its end. */
#define LH_JSON_DOUBLE_BYTES 64
char *lh_json_write_double(char *out, double value);
char *lh_json_write_float(char *out, float value);

/* What every door says of a failure, as members of the open object: code, detail; hint, field,
 * position and line where there are any; retryable. */
void lh_json_put_error(struct lh_json *json, const struct lh_error *err);

/* Once, as a program begins, before it has threads: without it, what jansson makes of a failed
 * allocation is not to be trusted. */
void lh_json_begin(void);

/* Parses one value. The caller ends *ret with json_decref. LH_MALFORMED with line, column and byte
 * position; LH_TOO_LARGE for more than `bytes_max` bytes or LH_JSON_VALUES_MAX values;
 * LH_BUSY without memory for them. Keys may not
 * repeat; depth is at most LH_JSON_DEPTH_MAX; whole numbers must fit int64_t. Strings may hold NUL:
 * use lh_json_text, not json_string_value. `what` begins the messages ("The request body"). */
enum lh_code lh_json_parse(struct lh_str text, const char *what, size_t bytes_max, json_t **ret,
                           struct lh_error *err) LH_MUST_USE;

/* Numbers that stand in no tree: `count` of them, and if they are lists of numbers, `each` in each
 * of the lists; else 0. */
struct lh_floats {
    const float *items; /* NULL: there are none */
    size_t count, each;
};
#define LH_JSON_LISTS_MAX 4
/* A member of the outermost object that is likely to be a list of many numbers. */
struct lh_json_list {
    struct lh_str name;
    bool is_nested;           /* a list of lists, all of them equally long */
    struct lh_floats numbers; /* out: in the arena; without items, the tree has them */
};
/* The same, but numbers of such lists are read into floats, as the nearest double rounded to a
 * float: in the tree stands an empty list for them. That is of use only, never needed: a list that
 * is empty, not of such numbers only, or written with an escape in its name stays in the tree. What
 * is refused, and how, is the same. */
enum lh_code lh_json_parse_lists(struct lh_str text, const char *what, size_t bytes_max,
                                 struct lh_json_list *lists, size_t list_count,
                                 struct lh_arena *arena, json_t **ret,
                                 struct lh_error *err) LH_MUST_USE;

/* A parsed string's text, borrowed; absent text if `value` is NULL or no string. */
struct lh_str lh_json_text(const json_t *value);

/* The value lives as long as the arena: what is bound from it borrows from it. */
void lh_json_keep(json_t *value, struct lh_arena *arena);

#endif
