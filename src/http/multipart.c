#include "http/multipart.h"

#include <stdlib.h>

/*   PREAMBLE ─ "--boundary" ─▶ DELIMITER ─ CRLF ─▶ HEADER ─ empty line ─▶ DATA
 *                                ▲  └─ "--" ─▶ EPILOGUE                    │
 *                                └───────── CRLF "--boundary" ─────────────┘
 * Matching needs no memory of the bytes: what was matched is a prefix of the delimiter itself, and
 * since CR stands only at its start, a failed match can begin anew only at the byte that broke it.
 */
enum multipart_state { PREAMBLE, DELIMITER, HEADER, DATA, EPILOGUE };

struct multipart {
    struct multipart_sink sink;
    enum multipart_state state;
    size_t part_number; /* from 1 */
    size_t matched;     /* bytes of the delimiter */
    size_t delimiter_len;
    size_t header_len;
    size_t tail_len;
    char delimiter[4 + MULTIPART_BOUNDARY_BYTES_MAX]; /* CRLF, "--", boundary */
    char tail[2];                                     /* what followed a delimiter so far */
    char header[MULTIPART_HEADER_BYTES_MAX];
};

static bool is_token_char(char character)
{
    const unsigned char byte = (unsigned char)character;
    return byte > ' ' && byte < 0x7f && !strchr("()<>@,;:\\\"/[]?={}", character);
}

/* Cuts "; name=value" or "; name=\"value\"" off *rest. False at the end; *ret_is_bad on anything
 * else. A quoted value keeps its backslashes: see unquote. */
static bool cut_parameter(struct lh_str *rest, struct lh_str *ret_name, struct lh_str *ret_value,
                          bool *ret_is_quoted, bool *ret_is_bad)
{
    struct lh_str left = lh_str_trim(*rest);
    while (left.len > 0 && left.data[0] == ';')
        left = lh_str_trim(lh_str_slice(left, 1, left.len));
    *ret_is_bad = false;
    if (left.len == 0)
        return false;
    size_t at = 0;
    while (at < left.len && is_token_char(left.data[at]))
        at++;
    *ret_name = lh_str_slice(left, 0, at);
    *ret_is_bad = at == 0 || at == left.len || left.data[at] != '=';
    if (*ret_is_bad)
        return false;
    const size_t from = ++at;
    *ret_is_quoted = at < left.len && left.data[at] == '"';
    if (*ret_is_quoted) {
        for (at++; at < left.len && left.data[at] != '"'; at++)
            if (left.data[at] == '\\' && at + 1 < left.len)
                at++;
        *ret_is_bad = at >= left.len;
        *ret_value = lh_str_slice(left, from + 1, at - from - 1);
        at++;
    } else {
        while (at < left.len && left.data[at] != ';' && left.data[at] != ' ' &&
               left.data[at] != '\t')
            at++;
        *ret_value = lh_str_slice(left, from, at - from);
    }
    if (*ret_is_bad)
        return false;
    *rest = lh_str_trim(lh_str_slice(left, at, left.len));
    *ret_is_bad = rest->len > 0 && rest->data[0] != ';';
    return !*ret_is_bad;
}

/* Only \" and \\ are escapes: clients send the backslashes of Windows paths as they are. */
static struct lh_str unquote(struct lh_str value, char *memory)
{
    size_t len = 0;
    for (size_t at = 0; at < value.len; at++) {
        if (value.data[at] == '\\' && at + 1 < value.len &&
            (value.data[at + 1] == '"' || value.data[at + 1] == '\\'))
            at++;
        memory[len++] = value.data[at];
    }
    return (struct lh_str){memory, len};
}

static int hex_digit(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    const char lower = (char)(character | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* RFC 8187: charset'language'percent-encoded. Only UTF-8, which is what everybody sends. */
static bool decode_extended(struct lh_str value, char *memory, struct lh_str *ret)
{
    struct lh_str rest = value;
    const struct lh_str charset = lh_str_cut(&rest, '\'');
    lh_str_cut(&rest, '\'');
    if (!lh_str_equal_nocase(charset, lh_lit("utf-8")) || !rest.data)
        return false;
    size_t len = 0;
    for (size_t at = 0; at < rest.len; at++) {
        char byte = rest.data[at];
        if (byte == '%') {
            const int high = at + 2 < rest.len ? hex_digit(rest.data[at + 1]) : -1;
            const int low = at + 2 < rest.len ? hex_digit(rest.data[at + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            byte = (char)(high * 16 + low);
            at += 2;
        }
        memory[len++] = byte;
    }
    *ret = (struct lh_str){memory, len};
    return true;
}

static bool is_clean_text(struct lh_str text)
{
    for (size_t at = 0; at < text.len; at++)
        if ((unsigned char)text.data[at] < ' ' || text.data[at] == 0x7f)
            return false;
    return lh_str_is_utf8(text, NULL);
}

static bool is_boundary(struct lh_str boundary)
{
    if (boundary.len == 0 || boundary.len > MULTIPART_BOUNDARY_BYTES_MAX ||
        boundary.data[boundary.len - 1] == ' ')
        return false;
    for (size_t at = 0; at < boundary.len; at++) {
        const unsigned char byte = (unsigned char)boundary.data[at];
        const bool is_alnum =
            (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
        if (!is_alnum && (byte == 0 || !strchr("'()+_,-./:=? ", byte)))
            return false;
    }
    return true;
}

enum lh_code multipart_new(struct lh_str content_type, const struct multipart_sink *sink,
                           struct multipart **ret, struct lh_error *err)
{
    struct lh_str rest = content_type;
    const struct lh_str type = lh_str_trim(lh_str_cut(&rest, ';'));
    if (!lh_str_equal_nocase(type, lh_lit("multipart/form-data"))) {
        lh_fail(err, LH_UNSUPPORTED,
                "The body's content type is '%.*s' instead of multipart/form-data.",
                LH_ARG(lh_str_slice(type, 0, 100)));
        return lh_error_hint(err, "Send the file as a form: curl -F file=@data.csv");
    }
    struct lh_str boundary = {0};
    struct lh_str name, value;
    bool is_quoted = false;
    bool is_bad = false;
    while (cut_parameter(&rest, &name, &value, &is_quoted, &is_bad))
        if (lh_str_equal_nocase(name, lh_lit("boundary")) && !boundary.data)
            boundary = value;
    if (is_bad || !is_boundary(boundary)) {
        lh_fail(err, LH_MALFORMED, "The content type multipart/form-data names no valid boundary.");
        return lh_error_hint(err,
                             "Let your client set the Content-Type header of a form by itself.");
    }
    struct multipart *multipart = calloc(1, sizeof *multipart);
    if (!multipart)
        return lh_fail(err, LH_BUSY, "There is no memory left to read a form.");
    multipart->sink = *sink;
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): bytes with a length, no string */
    memcpy(multipart->delimiter, "\r\n--", 4);
    memcpy(multipart->delimiter + 4, boundary.data, boundary.len);
    multipart->delimiter_len = 4 + boundary.len;
    multipart->matched = 2; /* the first delimiter may stand at the very start */
    *ret = multipart;
    return LH_OK;
}

void multipart_free(struct multipart *multipart)
{
    free(multipart);
}

static enum lh_code fail_part(const struct multipart *multipart, const char *what,
                              struct lh_error *err)
{
    return lh_fail(err, LH_MALFORMED, "Part %zu of the form %s.", multipart->part_number, what);
}

/* Reads Content-Disposition. `memory` has room for the whole header twice. */
static enum lh_code read_disposition(const struct multipart *multipart, struct lh_str value,
                                     char *memory, struct multipart_part *ret, struct lh_error *err)
{
    struct lh_str rest = value;
    const struct lh_str kind = lh_str_trim(lh_str_cut(&rest, ';'));
    if (!lh_str_equal_nocase(kind, lh_lit("form-data")))
        return fail_part(multipart, "is not form-data", err);
    struct lh_str name, text;
    bool is_quoted = false;
    bool is_bad = false;
    bool is_extended = false;
    while (cut_parameter(&rest, &name, &text, &is_quoted, &is_bad)) {
        if (is_quoted)
            text = unquote(text, memory);
        if (lh_str_equal_nocase(name, lh_lit("name")) && !ret->name.data) {
            ret->name = text;
        } else if (lh_str_equal_nocase(name, lh_lit("filename")) && !ret->has_filename) {
            ret->filename = text;
            ret->has_filename = true;
        } else if (lh_str_equal_nocase(name, lh_lit("filename*")) && !is_extended) {
            if (!decode_extended(text, memory, &ret->filename))
                return fail_part(multipart, "has a filename* that cannot be read", err);
            is_extended = true;
            ret->has_filename = true;
        } else if (!lh_str_equal_nocase(name, lh_lit("filename"))) {
            return fail_part(multipart, "has a Content-Disposition with an unknown parameter", err);
        }
        memory += text.len;
    }
    if (is_bad)
        return fail_part(multipart, "has a Content-Disposition that cannot be read", err);
    return LH_OK;
}

static enum lh_code check_part(const struct multipart *multipart, const struct multipart_part *part,
                               struct lh_error *err)
{
    if (part->name.len == 0) {
        fail_part(multipart, "has no name", err);
        return lh_error_hint(err, "Every part needs Content-Disposition: form-data; name=\"…\".");
    }
    if (part->name.len > MULTIPART_NAME_BYTES_MAX)
        return fail_part(multipart, "has a name of more than 256 bytes", err);
    if (part->filename.len > MULTIPART_FILENAME_BYTES_MAX) {
        fail_part(multipart, "has a file name of more than 1024 bytes", err);
        return lh_error_hint(err, "Send the file under a shorter name.");
    }
    if (!is_clean_text(part->name) || !is_clean_text(part->filename))
        return fail_part(multipart,
                         "has a name with control characters or bytes that are not UTF-8", err);
    return LH_OK;
}

static bool is_plain_encoding(struct lh_str value)
{
    return lh_str_equal_nocase(value, lh_lit("binary")) ||
           lh_str_equal_nocase(value, lh_lit("8bit")) || lh_str_equal_nocase(value, lh_lit("7bit"));
}

/* The header of a part is complete in multipart->header, its last empty line included. */
static enum lh_code read_header(struct multipart *multipart, struct lh_error *err)
{
    struct multipart_part part = {0};
    char memory[2 * MULTIPART_HEADER_BYTES_MAX];
    struct lh_str rest = {multipart->header, multipart->header_len};
    bool has_disposition = false;
    while (rest.len > 0) {
        struct lh_str line = lh_str_cut(&rest, '\n');
        if (line.len == 0 || line.data[line.len - 1] != '\r')
            return fail_part(multipart, "has a header line that does not end in CR LF", err);
        line.len--;
        if (line.len == 0)
            break;
        if (line.data[0] == ' ' || line.data[0] == '\t')
            return fail_part(multipart, "has a folded header line", err);
        struct lh_str value = line;
        const struct lh_str name = lh_str_cut(&value, ':');
        if (!value.data || name.len == 0)
            return fail_part(multipart, "has a header line without a colon", err);
        value = lh_str_trim(value);
        if (lh_str_equal_nocase(name, lh_lit("Content-Disposition")) && !has_disposition) {
            has_disposition = true;
            const enum lh_code code = read_disposition(multipart, value, memory, &part, err);
            if (code)
                return code;
        } else if (lh_str_equal_nocase(name, lh_lit("Content-Disposition"))) {
            return fail_part(multipart, "has two Content-Disposition headers", err);
        } else if (lh_str_equal_nocase(name, lh_lit("Content-Type"))) {
            part.content_type = value;
        } else if (lh_str_equal_nocase(name, lh_lit("Content-Transfer-Encoding")) &&
                   !is_plain_encoding(value)) {
            return fail_part(multipart, "has a transfer encoding; parts are sent as they are", err);
        }
    }
    const enum lh_code code = check_part(multipart, &part, err);
    return code ? code : multipart->sink.part(multipart->sink.context, &part, err);
}

/* --- the bytes --- */

static enum lh_code emit(struct multipart *multipart, const char *data, size_t len,
                         struct lh_error *err)
{
    if (len == 0 || multipart->state != DATA)
        return LH_OK;
    return multipart->sink.data(multipart->sink.context, (struct lh_str){data, len}, err);
}

/* PREAMBLE and DATA: looks for the delimiter; what is surely not part of it is content. */
static enum lh_code feed_content(struct multipart *multipart, struct lh_str *rest,
                                 struct lh_error *err)
{
    const char *const data = rest->data;
    const size_t len = rest->len;
    size_t from = 0; /* of the content not yet emitted */
    size_t at = 0;
    size_t held = multipart->matched; /* matched bytes that came with earlier pieces */
    enum lh_code code = LH_OK;
    while (at < len && multipart->matched < multipart->delimiter_len) {
        if (multipart->matched == 0) {
            const char *const cr = memchr(data + at, '\r', len - at);
            at = cr ? (size_t)(cr - data) + 1 : len;
            multipart->matched = cr ? 1 : 0;
        } else if (data[at] == multipart->delimiter[multipart->matched]) {
            multipart->matched++;
            at++;
        } else {
            multipart->matched = 0; /* the byte is looked at again */
            code = emit(multipart, multipart->delimiter, held, err);
            if (code)
                return code;
            held = 0;
        }
    }
    const size_t matched_here = multipart->matched > held ? multipart->matched - held : 0;
    code = emit(multipart, data + from, at - from - matched_here, err);
    if (code)
        return code;
    *rest = lh_str_slice(*rest, at, len);
    if (multipart->matched < multipart->delimiter_len)
        return LH_OK;
    const bool was_data = multipart->state == DATA;
    multipart->matched = 0;
    multipart->tail_len = 0;
    multipart->state = DELIMITER;
    return was_data ? multipart->sink.part_end(multipart->sink.context, err) : LH_OK;
}

/* After a delimiter: "--" ends the form, white space and CRLF begin a part. */
static enum lh_code feed_delimiter(struct multipart *multipart, struct lh_str *rest,
                                   struct lh_error *err)
{
    while (rest->len > 0) {
        const char byte = rest->data[0];
        *rest = lh_str_slice(*rest, 1, rest->len);
        if (multipart->tail_len == 0 && (byte == ' ' || byte == '\t'))
            continue;
        multipart->tail[multipart->tail_len++] = byte;
        if (multipart->tail_len < 2)
            continue;
        if (multipart->tail[0] == '-' && multipart->tail[1] == '-') {
            multipart->state = EPILOGUE;
            return LH_OK;
        }
        if (multipart->tail[0] != '\r' || multipart->tail[1] != '\n')
            return lh_fail(err, LH_MALFORMED, "The boundary after part %zu of the form is damaged.",
                           multipart->part_number);
        multipart->state = HEADER;
        multipart->header_len = 0;
        multipart->part_number++;
        return LH_OK;
    }
    return LH_OK;
}

static bool header_is_complete(const struct multipart *multipart)
{
    const char *const header = multipart->header;
    const size_t len = multipart->header_len;
    return (len == 2 && memcmp(header, "\r\n", 2) == 0) ||
           (len >= 4 && memcmp(header + len - 4, "\r\n\r\n", 4) == 0);
}

static enum lh_code feed_header(struct multipart *multipart, struct lh_str *rest,
                                struct lh_error *err)
{
    while (rest->len > 0) {
        if (multipart->header_len == MULTIPART_HEADER_BYTES_MAX)
            return fail_part(multipart, "has a header of more than 8192 bytes", err);
        const char byte = rest->data[0];
        *rest = lh_str_slice(*rest, 1, rest->len);
        multipart->header[multipart->header_len++] = byte;
        if (byte != '\n' || !header_is_complete(multipart))
            continue;
        const enum lh_code code = read_header(multipart, err);
        if (code)
            return code;
        multipart->state = DATA;
        /* The CRLF of the empty line is the header's: the next delimiter brings its own. */
        multipart->matched = 0;
        return LH_OK;
    }
    return LH_OK;
}

enum lh_code multipart_feed(struct multipart *multipart, struct lh_str bytes, struct lh_error *err)
{
    struct lh_str rest = bytes;
    enum lh_code code = LH_OK;
    while (rest.len > 0 && !code) {
        switch (multipart->state) {
        case PREAMBLE:
        case DATA:
            code = feed_content(multipart, &rest, err);
            break;
        case DELIMITER:
            code = feed_delimiter(multipart, &rest, err);
            break;
        case HEADER:
            code = feed_header(multipart, &rest, err);
            break;
        case EPILOGUE:
            return LH_OK; /* to be ignored, says RFC 2046 */
        }
    }
    return code;
}

enum lh_code multipart_finish(struct multipart *multipart, struct lh_error *err)
{
    if (multipart->state == EPILOGUE)
        return LH_OK;
    if (multipart->part_number == 0)
        return lh_fail(err, LH_MALFORMED, "The form does not contain its boundary.");
    lh_fail(err, LH_MALFORMED, "The form ends in part %zu, before its last boundary.",
            multipart->part_number);
    return lh_error_hint(err,
                         "The body was cut off on its way, or is shorter than its client meant.");
}
