/* How things go wrong: a code that is returned and must be used, and an error that tells the caller
 * why.
 *
 * The deepest function that knows writes the message: one sentence that names the object and says
 * what is wrong; the hint says what to do. Callers may add context, never replace the code.
 * Messages reach the public: no secrets, no paths of the machine, no hidden values.
 */
#ifndef LAKEHOUSE_BASE_ERROR_H
#define LAKEHOUSE_BASE_ERROR_H

#include "base/str.h"

enum lh_code {
    LH_OK = 0,
#define LH_ERROR_ROW(name, http_status, id, retryable, meaning) LH_##name,
#include "base/errors.def"
#undef LH_ERROR_ROW
    LH_CODE_COUNT
};

#define LH_ERROR_MESSAGE_BYTES 2048
#define LH_ERROR_HINT_BYTES 512
#define LH_ERROR_FIELD_BYTES 128

struct lh_error {
    enum lh_code code;
    int64_t position; /* byte offset in the caller's own text (SQL, JSON, TOML); -1: none */
    int64_t line;     /* 1-based line of a file or body; 0: none */
    char field[LH_ERROR_FIELD_BYTES]; /* the argument that is wrong, as the caller knows it; "" if
                                         none */
    char message[LH_ERROR_MESSAGE_BYTES]; /* UTF-8, cut at a character when too long */
    char hint[LH_ERROR_HINT_BYTES];       /* "" if none */
};

/* One row of errors.def. */
struct lh_error_row {
    enum lh_code code;
    int http_status;
    const char *id; /* stable: the `code` of problem documents */
    bool retryable;
    const char *meaning;
};

/* The row of a code (LH_OK included, with status 200); never NULL. */
const struct lh_error_row *lh_error_row(enum lh_code code);

/* Writes code and message and returns the code, so that a failure is one statement:
 *     return lh_fail(err, LH_NOT_FOUND, "There is no dataset '%.*s'.", LH_ARG(name));
 * err may be NULL (only the code travels). Clears hint, field, line and position. `code` is not
 * LH_OK. Bytes of the arguments that are not UTF-8, and control characters, are written as '?'. The
 * arguments may point into *err. */
enum lh_code lh_fail(struct lh_error *err, enum lh_code code, const char *format, ...)
    LH_PRINTF(3, 4);

/* Adds to a written error; each returns err->code, so that it can be the last statement of a
 * failing path. With err NULL they return the code of this thread's last failure. */
enum lh_code lh_error_hint(struct lh_error *err, const char *format, ...) LH_PRINTF(2, 3);
enum lh_code lh_error_field(struct lh_error *err, struct lh_str field);
enum lh_code lh_error_context(struct lh_error *err, const char *format, ...)
    LH_PRINTF(2, 3); /* "<context>: <message>" */

/* Fails with the code that fits an errno (ENOSPC, EDQUOT → FULL; EMFILE, ENFILE, ENOMEM, EAGAIN →
 * BUSY; ENOENT → NOT_FOUND; EEXIST → EXISTS; all else → IO) and a message "<what>: <reason>".
 * `what` names the object, not a path of the machine. */
enum lh_code lh_fail_errno(struct lh_error *err, int error_number, const char *format, ...)
    LH_PRINTF(3, 4);

/* An error without content, for initialisation. */
#define LH_ERROR_NONE                                                                              \
    {                                                                                              \
        .code = LH_OK, .position = -1                                                              \
    }

#endif
