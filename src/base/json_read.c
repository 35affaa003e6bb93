#include <assert.h>
#include <stdlib.h>

#include "base/json_internal.h"

/* Without memory jansson 2.14 takes a good text for a malformed one, or writes past its own buffers
 * (a lexer's buffer that did not grow is not noticed). So it never sees NULL: a large text is
 * refused before when there is no room for its tree, and else the process ends as for all small
 * pieces (base/arena.h). */
#define SMALL_TEXT_BYTES ((size_t)65536)
#define TREE_BYTES_PER_VALUE ((size_t)160)

static void *allocate(size_t size)
{
    void *memory = malloc(size);
    if (!memory)
        lh_die_without_memory();
    return memory;
}

void lh_json_begin(void)
{
    json_set_alloc_funcs(allocate, free);
}

static bool has_room(struct lh_str text, size_t values)
{
    if (text.len <= SMALL_TEXT_BYTES)
        return true;
    void *room = malloc(text.len * 2 + values * TREE_BYTES_PER_VALUE);
    free(room);
    return room;
}

/* What a look over the text finds before a tree is built of it. */
struct outline {
    size_t values;      /* at most */
    size_t too_deep_at; /* offset of the first bracket that is nested too deep; SIZE_MAX: none */
    /* Lists whose numbers were read, in the order of the text; the tree gets EMPTY for each. */
    struct cut {
        size_t at, end;
    } cuts[LH_JSON_LISTS_MAX];
    size_t cut_count;
    size_t cut_values; /* of them, at most; in no tree */
};

#define EMPTY "[]"
#define EMPTY_BYTES (sizeof EMPTY - 1)

/* Whose numbers the caller wants, and where they go. */
struct wanted {
    struct lh_json_list *lists;
    size_t count;
    struct lh_arena *arena;
};

/* Line and column, 1-based, the column in characters. */
static void find_place(struct lh_str text, size_t at, int64_t *ret_line, int64_t *ret_column)
{
    int64_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < text.len; i++) {
        if (text.data[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text.data[i] & 0xC0) != 0x80) {
            column++;
        }
    }
    *ret_line = line;
    *ret_column = column;
}

static enum lh_code fail_at(struct lh_error *err, struct lh_str text, size_t at, const char *what,
                            const char *reason)
{
    int64_t line, column;
    find_place(text, at, &line, &column);
    enum lh_code code =
        lh_fail(err, LH_MALFORMED, "%s is not valid JSON at line %lld, column %lld: %s.", what,
                (long long)line, (long long)column, reason);
    if (err) {
        err->line = line;
        err->position = (int64_t)at;
    }
    return code;
}

/* The end of the string that begins at `at`: the offset of its closing quote, or the end of the
 * text. */
static size_t skip_string(struct lh_str text, size_t at)
{
    for (size_t i = at + 1; i < text.len; i++) {
        if (text.data[i] == '"')
            return i;
        if (text.data[i] == '\\')
            i++;
    }
    return text.len;
}

/* A string from `at` to its closing quote at `end`, in the outermost value. If it names a list that
 * is wanted, and its numbers could be read, returns the offset of the list's last byte; else `end`.
 * What is no valid JSON up to there is refused by its own place, with the list or without. */
static size_t take_list(struct lh_str text, size_t at, size_t end, const struct wanted *wanted,
                        struct outline *outline)
{
    struct lh_json_list *list = NULL;
    for (size_t i = 0; i < wanted->count && !list; i++)
        if (!wanted->lists[i].numbers.items && end < text.len &&
            lh_str_equal(wanted->lists[i].name, lh_str_slice(text, at + 1, end - at - 1)))
            list = &wanted->lists[i];
    size_t from = list ? json_skip_spaces(text, end + 1) : text.len;
    if (from == text.len || text.data[from] != ':')
        return end;
    from = json_skip_spaces(text, from + 1);
    if (from == text.len || text.data[from] != '[')
        return end;
    size_t after = json_read_numbers(text, from, list, wanted->arena);
    if (after == from)
        return end;
    outline->cuts[outline->cut_count++] = (struct cut){from, after};
    outline->values++;
    outline->cut_values += list->numbers.count;
    if (list->numbers.each)
        outline->cut_values += list->numbers.count / list->numbers.each;
    return after - 1;
}

/* jansson recurses per level and its own limit is 2048 levels: hostile depth ends here, without a
 * stack. */
static struct outline look_over(struct lh_str text, const struct wanted *wanted)
{
    struct outline outline = {.values = 1, .too_deep_at = SIZE_MAX};
    size_t depth = 0;
    for (size_t i = 0; i < text.len; i++) {
        switch (text.data[i]) {
        case '"': {
            size_t end = skip_string(text, i);
            i = depth == 1 && wanted->count ? take_list(text, i, end, wanted, &outline) : end;
            break;
        }
        case '[':
        case '{':
            outline.values++;
            if (++depth > LH_JSON_DEPTH_MAX) {
                outline.too_deep_at = i;
                return outline;
            }
            break;
        case ']':
        case '}':
            depth -= depth > 0;
            break;
        case ',':
            outline.values++;
            break;
        default:
            break;
        }
    }
    return outline;
}

/* Where in the text stands what stands at `at` without the lists that were cut out. */
static size_t place_in_whole(const struct outline *outline, size_t at)
{
    for (size_t i = 0; i < outline->cut_count && at > outline->cuts[i].at; i++)
        at += outline->cuts[i].end - outline->cuts[i].at - EMPTY_BYTES;
    return at;
}

static enum lh_code fail_parse(struct lh_error *err, struct lh_str text, const char *what,
                               const struct outline *outline, const json_error_t *from)
{
    /* jansson counts what it has read: the last byte of it is where reading stopped. */
    size_t at = place_in_whole(outline, from->position > 0 ? (size_t)from->position - 1 : 0);
    enum json_error_code why = json_error_code(from);
    enum lh_code code = fail_at(err, text, at, what, from->text);
    if (why == json_error_numeric_overflow)
        lh_error_hint(err, "Numbers must fit 64 bits; write longer ones as strings.");
    else if (why == json_error_duplicate_key)
        lh_error_hint(err, "Give each key of an object once.");
    else if (why == json_error_invalid_utf8)
        lh_error_hint(err, "JSON is UTF-8; convert the text before sending it.");
    return code;
}

/* The text without the lists that were read. */
static void cut_out(struct lh_str text, const struct outline *outline, struct lh_buf *ret)
{
    size_t from = 0;
    for (size_t i = 0; i < outline->cut_count; i++) {
        lh_buf_append_str(ret, lh_str_slice(text, from, outline->cuts[i].at - from));
        lh_buf_append(ret, EMPTY, EMPTY_BYTES);
        from = outline->cuts[i].end;
    }
    lh_buf_append_str(ret, lh_str_slice(text, from, text.len - from));
}

static enum lh_code build_tree(struct lh_str body, const char *what, const struct outline *outline,
                               json_t **ret, struct lh_error *err)
{
    json_error_t from;
    struct lh_buf rest;
    lh_buf_init(&rest, body.len);
    if (outline->cut_count)
        cut_out(body, outline, &rest);
    struct lh_str text = outline->cut_count ? lh_buf_str(&rest) : body;
    json_t *value = NULL;
    enum lh_code code = lh_buf_check(&rest, what, err);
    if (!code && !has_room(text, outline->values))
        code = lh_fail(err, LH_BUSY, "There is no memory to read %s.", what);
    if (!code)
        value = json_loadb(text.data, text.len,
                           JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &from);
    if (!code && !value)
        code = fail_parse(err, body, what, outline, &from);
    lh_buf_release(&rest);
    if (!code)
        *ret = value;
    return code;
}

enum lh_code lh_json_parse_lists(struct lh_str text, const char *what, size_t bytes_max,
                                 struct lh_json_list *lists, size_t list_count,
                                 struct lh_arena *arena, json_t **ret, struct lh_error *err)
{
    const struct wanted wanted = {lists, list_count, arena};
    assert(list_count <= LH_JSON_LISTS_MAX);
    if (text.len > bytes_max) {
        return lh_fail(err, LH_TOO_LARGE, "%s has %zu bytes; at most %zu are taken.", what,
                       text.len, bytes_max);
    }
    struct lh_str body = text;
    if (lh_str_starts_with(body, lh_lit("\xEF\xBB\xBF")))
        body = lh_str_slice(body, 3, body.len);
    if (lh_str_trim(body).len == 0)
        return lh_fail(err, LH_MALFORMED, "%s is empty, where JSON is expected.", what);
    struct outline outline = look_over(body, &wanted);
    if (outline.too_deep_at != SIZE_MAX) {
        fail_at(err, body, outline.too_deep_at, what, "it is nested too deep");
        return lh_error_hint(err, "At most %d levels of arrays and objects are taken.",
                             LH_JSON_DEPTH_MAX);
    }
    if (outline.values + outline.cut_values > LH_JSON_VALUES_MAX) {
        lh_fail(err, LH_TOO_LARGE, "%s has more than %d values.", what, LH_JSON_VALUES_MAX);
        return lh_error_hint(err, "Send large data as a file.");
    }
    return build_tree(body, what, &outline, ret, err);
}

enum lh_code lh_json_parse(struct lh_str text, const char *what, size_t bytes_max, json_t **ret,
                           struct lh_error *err)
{
    return lh_json_parse_lists(text, what, bytes_max, NULL, 0, NULL, ret, err);
}

struct lh_str lh_json_text(const json_t *value)
{
    if (!json_is_string(value))
        return (struct lh_str){NULL, 0};
    return (struct lh_str){json_string_value(value), json_string_length(value)};
}

static void drop(void *value)
{
    json_decref(value);
}

void lh_json_keep(json_t *value, struct lh_arena *arena)
{
    lh_arena_defer(arena, drop, value);
}
