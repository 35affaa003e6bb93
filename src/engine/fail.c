/* The library's errors as ours: the right code, one clean sentence, the position in the caller's
 * text.
 *
 * Messages come as JSON (errors_as_json), some with the kind in front of it ("Parser Error: {…}"),
 * a few as plain text; so the kind is always looked up by its name, which each of these forms
 * carries.
 */
#include "engine/internal.h"

#include "base/json.h"

#define MESSAGE_BYTES_MAX ((size_t)1 << 20)

struct kind {
    const char *name;
    enum lh_code code;
};

/* Kinds that are missing here are the statement's fault: LH_SQL. */
static const struct kind kinds[] = {
    {"Parser", LH_SYNTAX},
    {"Syntax", LH_SYNTAX},
    {"INTERRUPT", LH_CANCELLED},
    {"Interrupt", LH_CANCELLED},
    {"Out of Memory", LH_BUSY},
    {"IO", LH_IO},
    {"HTTP", LH_IO},
    {"Network", LH_IO},
    {"Connection", LH_IO},
    {"Permission", LH_REFUSED},
    {"Missing Extension", LH_REFUSED},
    {"Extension Autoloading", LH_REFUSED},
    {"INTERNAL", LH_INTERNAL},
    {"FATAL", LH_INTERNAL},
    {"TransactionContext", LH_INTERNAL},
    {"Invalid", LH_INTERNAL},
};

struct report {
    struct lh_str kind;
    struct lh_str message;
    struct lh_str subtype;
    int64_t position; /* as the library counts; -1: none */
};

static struct lh_str member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value))
        return (struct lh_str){0};
    return (struct lh_str){json_string_value(value), json_string_length(value)};
}

static enum lh_code code_of(struct lh_str kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (lh_str_equal(kind, lh_str_of(kinds[i].name)))
            return kinds[i].code;
    return LH_SQL;
}

static int64_t position_of(struct lh_str digits)
{
    int64_t position;
    return lh_str_to_int(digits, &position) ? position : -1;
}

/* Fills the report; what it points to lives as long as `text` and *ret_json. */
static void read_report(struct lh_str text, json_t **ret_json, struct report *ret)
{
    size_t at = 0;
    *ret = (struct report){.message = text, .position = -1};
    if (lh_str_find(text, lh_lit("Error: "), &at) && at < 40) {
        ret->kind = lh_str_trim(lh_str_slice(text, 0, at));
        ret->message = lh_str_slice(text, at + 7, text.len);
    }
    if (ret->message.len && ret->message.data[0] == '{' &&
        lh_json_parse(ret->message, "The message", MESSAGE_BYTES_MAX, ret_json, NULL) == LH_OK) {
        ret->kind = member(*ret_json, "exception_type");
        ret->message = member(*ret_json, "exception_message");
        ret->subtype = member(*ret_json, "error_subtype");
        ret->position = position_of(member(*ret_json, "position"));
    }
}

/* The grammar counts characters, everything behind it bytes. */
static int64_t bytes_of_characters(struct lh_str sql, int64_t characters)
{
    size_t at = 0;
    while (characters > 0 && at < sql.len) {
        at++;
        while (at < sql.len && ((unsigned char)sql.data[at] & 0xC0) == 0x80)
            at++;
        characters--;
    }
    return (int64_t)at;
}

static bool starts_path(struct lh_str text, size_t at)
{
    static const char before[] = " \t\n\"'`(=:,[";
    if (text.data[at] != '/' || at + 1 >= text.len)
        return false;
    char next = text.data[at + 1];
    bool is_name = (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z') ||
                   (next >= '0' && next <= '9') || next == '_' || next == '.' ||
                   ((unsigned char)next & 0x80);
    return is_name && (at == 0 || strchr(before, text.data[at - 1]));
}

/* Whether the statement has it as a name in quotes: then the caller wrote it. The server's own
 * paths stand in statements as texts, never as names. */
static bool is_quoted_name(struct lh_str sql, struct lh_str path)
{
    for (size_t at = 1; at + path.len < sql.len; at++)
        if (sql.data[at - 1] == '"' && sql.data[at + path.len] == '"' &&
            lh_str_equal(lh_str_slice(sql, at, path.len), path))
            return true;
    return false;
}

/* Appends text with every absolute path replaced: a message never tells how the machine is laid
 * out. */
static bool append_redacted(struct lh_buf *buf, struct lh_str text, struct lh_str sql)
{
    bool has_path = false;
    size_t at = 0;
    while (at < text.len) {
        if (!starts_path(text, at)) {
            lh_buf_append_char(buf, text.data[at++]);
            continue;
        }
        /* A quoted path ends at its quote, blanks included; a bare one at a blank. */
        char quote = at ? text.data[at - 1] : ' ';
        const char *ends = quote == '"' ? "\"\n" : quote == '\'' ? "'\n" : " \t\n\"'),;";
        size_t from = at;
        while (at < text.len && text.data[at] && !strchr(ends, text.data[at]))
            at++;
        struct lh_str path = lh_str_slice(text, from, at - from);
        if (is_quoted_name(sql, path)) {
            lh_buf_append_str(buf, path);
            continue;
        }
        lh_buf_append(buf, "<file>", 6);
        has_path = true;
    }
    return has_path;
}

static bool append_reworded(struct lh_buf *buf, struct lh_str line, struct lh_str sql)
{
    struct lh_buf words;
    lh_buf_init(&words, MESSAGE_BYTES_MAX);
    advice_reword(line, &words);
    bool has_path = append_redacted(buf, lh_buf_str(&words), sql);
    lh_buf_release(&words);
    return has_path;
}

/* The first line says what is wrong, later ones what might be done; advice about settings is not
 * the caller's to follow. */
static bool split_message(struct lh_str text, struct lh_str sql, struct lh_buf *message,
                          struct lh_buf *hint)
{
    size_t end;
    if (lh_str_find(text, lh_lit("Possible solutions:"), &end))
        text = lh_str_slice(text, 0, end);
    if (lh_str_find(text, lh_lit("\nLINE "), &end))
        text = lh_str_slice(text, 0, end);
    struct lh_str rest = lh_str_trim(text);
    bool has_path = append_reworded(message, lh_str_cut(&rest, '\n'), sql);
    while (!lh_str_empty(rest)) {
        struct lh_str line = lh_str_trim(lh_str_cut(&rest, '\n'));
        if (lh_str_empty(line) || lh_str_starts_with(line, lh_lit("*")))
            continue;
        if (hint->len)
            lh_buf_append_char(hint, ' ');
        has_path |= append_reworded(hint, line, sql);
    }
    return has_path;
}

/* What the caller is told beyond the library's words, by code. */
static enum lh_code write_error(const struct report *report, struct lh_str sql, enum lh_code code,
                                const struct lh_cancel *cancel, struct lh_error *err)
{
    struct lh_buf message, hint;
    size_t at;
    lh_buf_init(&message, (size_t)LH_ERROR_MESSAGE_BYTES * 2);
    lh_buf_init(&hint, (size_t)LH_ERROR_HINT_BYTES * 2);
    bool has_path = split_message(report->message, sql, &message, &hint);
    bool is_space = lh_str_find(report->message, lh_lit("max_temp_directory_size"), &at) ||
                    lh_str_find(report->message, lh_lit("No space left"), &at);
    if (code == LH_CANCELLED && lh_cancel_check(cancel)) {
        code = lh_cancel_fail(cancel, "The statement", err);
    } else if (code == LH_CANCELLED) {
        lh_fail(err, code, "The statement was interrupted.");
    } else if (lh_str_find(report->message, lh_lit("has been invalidated"), &at)) {
        code =
            lh_fail(err, LH_INTERNAL, "The SQL engine stopped after a fatal error of its library.");
        lh_error_hint(err, "Restart the server; stored data is not affected.");
    } else if (is_space) {
        code = lh_fail(err, LH_FULL,
                       "There is no space left for what the statement does not hold in memory.");
    } else if (code == LH_BUSY) {
        lh_fail(err, code, "The statement needs more memory than is free for it: %.*s.",
                LH_ARG(lh_buf_str(&message)));
        lh_error_hint(err,
                      "Ask for fewer rows or columns at once, or try again when less is running.");
    } else {
        if (code == LH_SQL && has_path &&
            (lh_str_equal(report->kind, lh_lit("Invalid Input")) ||
             lh_str_equal(report->kind, lh_lit("Serialization"))))
            code = LH_UNREADABLE;
        lh_fail(err, code, "%.*s", LH_ARG(lh_buf_str(&message)));
        if (hint.len)
            lh_error_hint(err, "%.*s", LH_ARG(lh_buf_str(&hint)));
    }
    lh_buf_release(&message);
    lh_buf_release(&hint);
    return code;
}

static void place_error(const struct report *report, struct lh_str sql, size_t prefix,
                        struct lh_error *err)
{
    int64_t position = report->position;
    if (!err || position < 0 || lh_str_empty(sql))
        return;
    position -= (int64_t)prefix; /* what is put before the caller's text is ASCII */
    if (lh_str_equal(report->subtype, lh_lit("SYNTAX_ERROR")))
        position = bytes_of_characters(sql, position);
    if (position >= 0 && position <= (int64_t)sql.len)
        err->position = position;
}

/* The grammar's stack and the planner's are bounded each in its own words. */
static bool is_too_deep(struct lh_str message)
{
    size_t at;
    return lh_str_find(message, lh_lit("expression depth"), &at) ||
           lh_str_starts_with(message, lh_lit("memory exhausted"));
}

static enum lh_code fail_depth(struct lh_error *err)
{
    lh_fail(err, LH_TOO_LARGE, "The statement nests its expressions too deeply.");
    return lh_error_hint(err, "At most about %d levels can be read.", AST_DEPTH_MAX / 2);
}

enum lh_code engine_fail(const char *message, struct lh_str sql, size_t prefix,
                         const struct lh_cancel *cancel, struct lh_error *err)
{
    struct report report;
    json_t *json = NULL;
    read_report(message ? lh_str_of(message) : lh_lit("The SQL engine gave no reason."), &json,
                &report);
    enum lh_code code = is_too_deep(report.message)
                            ? fail_depth(err)
                            : write_error(&report, sql, code_of(report.kind), cancel, err);
    place_error(&report, sql, prefix, err);
    json_decref(json);
    return code;
}

enum lh_code engine_fail_parse(const struct ast_node *root, struct lh_str sql, struct lh_error *err)
{
    struct lh_str type = ast_text(root, "error_type");
    struct report report = {.kind = lh_lit("Parser"),
                            .message = ast_text(root, "error_message"),
                            .subtype = ast_text(root, "error_subtype"),
                            .position = position_of(ast_text(root, "position"))};
    size_t at;
    bool is_missing = lh_str_equal(type, lh_lit("not implemented"));
    if (is_missing && lh_str_find(report.message, lh_lit("Only SELECT"), &at)) {
        lh_fail(err, LH_REFUSED, "Only SELECT statements can run here.");
        return lh_error_hint(err, "Data changes through its own operations, not by SQL.");
    }
    if (is_too_deep(report.message))
        return fail_depth(err);
    enum lh_code code = write_error(&report, sql, is_missing ? LH_SQL : LH_SYNTAX, NULL, err);
    place_error(&report, sql, 0, err);
    if (code == LH_SYNTAX)
        advice_on_syntax(sql, err);
    return code;
}
