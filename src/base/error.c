#include "base/error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const struct lh_error_row rows[LH_CODE_COUNT] = {
    [LH_OK] = {LH_OK, 200, "ok", false, "Nothing is wrong."},
#define LH_ERROR_ROW(name, http_status, id, retryable, meaning)                                    \
    [LH_##name] = {LH_##name, http_status, id, retryable, meaning},
#include "base/errors.def"
#undef LH_ERROR_ROW
};

/* What the adders return when the caller wants no error but the code. */
static _Thread_local enum lh_code last_code;

const struct lh_error_row *lh_error_row(enum lh_code code)
{
    return (unsigned)code < LH_CODE_COUNT ? &rows[code] : &rows[LH_INTERNAL];
}

/* Copies `text` into `target`, NUL-ended, as clean UTF-8, cut at a character. */
static void copy_clean(char *target, size_t size, struct lh_str text)
{
    text = lh_str_head(text, size - 1);
    for (size_t i = 0; i < text.len;) {
        size_t step = lh_str_utf8_step(lh_str_slice(text, i, text.len));
        bool is_control = step == 1 && ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7F);
        if (step == 0 || (is_control && text.data[i] != '\n' && text.data[i] != '\t')) {
            target[i++] = '?';
            continue;
        }
        memmove(target + i, text.data + i, step);
        i += step;
    }
    target[text.len] = 0;
}

/* Formats through a buffer of its own: the arguments may point into the target. */
static void write_text(char *target, size_t size, const char *format, va_list args)
{
    char text[LH_ERROR_MESSAGE_BYTES + 4];
    int len = vsnprintf(text, sizeof text, format, args);
    if (len < 0)
        len = 0;
    size_t have = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    copy_clean(target, size, (struct lh_str){text, have});
}

static void begin(struct lh_error *err, enum lh_code code)
{
    assert(code > LH_OK && code < LH_CODE_COUNT);
    last_code = code;
    if (!err)
        return;
    err->code = code;
    err->position = -1;
    err->line = 0;
}

/* What to do about a full disk is the same whoever meets it; who knows more says it instead. */
static void hint_first(struct lh_error *err)
{
    snprintf(err->hint, sizeof err->hint, "%s",
             err->code == LH_FULL
                 ? "Make room on the disk of the data folder (`df -h` shows it), then "
                   "try again: what is stored is safe."
                 : "");
}

enum lh_code lh_fail(struct lh_error *err, enum lh_code code, const char *format, ...)
{
    begin(err, code);
    if (err) {
        va_list args;
        va_start(args, format);
        write_text(err->message, sizeof err->message, format, args);
        va_end(args);
        err->field[0] = 0;
        hint_first(err);
    }
    return code;
}

enum lh_code lh_error_hint(struct lh_error *err, const char *format, ...)
{
    if (!err)
        return last_code;
    va_list args;
    va_start(args, format);
    write_text(err->hint, sizeof err->hint, format, args);
    va_end(args);
    return err->code;
}

enum lh_code lh_error_field(struct lh_error *err, struct lh_str field)
{
    if (!err)
        return last_code;
    copy_clean(err->field, sizeof err->field, field);
    return err->code;
}

enum lh_code lh_error_context(struct lh_error *err, const char *format, ...)
{
    if (!err)
        return last_code;
    char context[LH_ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    write_text(context, sizeof context, format, args);
    va_end(args);
    char whole[2 * LH_ERROR_MESSAGE_BYTES];
    int len = snprintf(whole, sizeof whole, "%s: %s", context, err->message);
    copy_clean(err->message, sizeof err->message,
               (struct lh_str){whole, len > 0 ? (size_t)len : 0});
    return err->code;
}

static enum lh_code code_of_errno(int error_number)
{
    switch (error_number) {
    case ENOSPC:
    case EDQUOT:
        return LH_FULL;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
        return LH_BUSY;
    case ENOENT:
        return LH_NOT_FOUND;
    case EEXIST:
        return LH_EXISTS;
    default:
        return LH_IO;
    }
}

enum lh_code lh_fail_errno(struct lh_error *err, int error_number, const char *format, ...)
{
    enum lh_code code = code_of_errno(error_number);
    begin(err, code);
    if (err) {
        const char *reason = strerrordesc_np(error_number);
        char what[LH_ERROR_MESSAGE_BYTES];
        va_list args;
        va_start(args, format);
        write_text(what, sizeof what, format, args);
        va_end(args);
        err->field[0] = 0;
        hint_first(err);
        /* A long name must not push the reason out. */
        snprintf(err->message, sizeof err->message, "%.*s: %s.",
                 LH_ARG(lh_str_head(lh_str_of(what), sizeof err->message - 128)),
                 reason ? reason : "unknown error");
    }
    return code;
}
