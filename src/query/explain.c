/* The engine's plan as text: operators, one per line, children indented below.
 *
 * Written anew from the plan's members instead of passed on, so that nothing can come along that
 * was not asked for: files, functions that read them, the text that really ran. */
#include <stdio.h>

#include "query/internal.h"

#define PLAN_JSON_BYTES_MAX ((size_t)16 << 20)
#define PLAN_DEPTH_MAX 60 /* of operators: two levels of JSON each */

static bool is_hidden(const char *key)
{
    static const char *const keys[] = {"Function", "Filename(s)", "Text", "Estimated Cardinality",
                                       "__estimated_cardinality__"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

static void append_value(struct lh_buf *buf, const char *text)
{
    for (; *text; text++)
        lh_buf_append_char(buf, *text == '\n' || *text == '\r' ? ' ' : *text);
}

static void append_info(struct lh_buf *buf, const json_t *info)
{
    const char *key;
    json_t *value;
    bool any = false;
    json_object_foreach((json_t *)(uintptr_t)info, key, value)
    {
        if (is_hidden(key))
            continue;
        json_t *first = json_is_array(value) ? NULL : value;
        size_t count = first ? 1 : json_array_size(value);
        if (first && (!json_is_string(first) || !json_string_length(first)))
            continue;
        lh_buf_append_str(buf, any ? lh_lit("; ") : lh_lit("  "));
        any = true;
        append_value(buf, key);
        lh_buf_append_str(buf, lh_lit(": "));
        for (size_t i = 0; i < count; i++) {
            const json_t *item = first ? first : json_array_get(value, i);
            if (i)
                lh_buf_append_str(buf, lh_lit(", "));
            if (json_is_string(item))
                append_value(buf, json_string_value(item));
        }
    }
}

static void append_name(struct lh_buf *buf, const json_t *node)
{
    const json_t *name = json_object_get(node, "operator_name");
    if (!json_is_string(name))
        name = json_object_get(node, "name");
    const char *text = json_is_string(name) ? json_string_value(name) : "QUERY";
    if (strstr(text, "PARQUET"))
        text = "SCAN";
    while (*text == ' ')
        text++;
    struct lh_str trimmed = lh_str_trim(lh_str_of(text));
    lh_buf_append_str(buf, trimmed);
}

static void append_counts(struct lh_buf *buf, const json_t *node)
{
    const json_t *rows = json_object_get(node, "operator_cardinality");
    const json_t *seconds = json_object_get(node, "operator_timing");
    const json_t *guess =
        json_object_get(json_object_get(node, "extra_info"), "Estimated Cardinality");
    if (json_is_integer(rows))
        lh_buf_printf(buf, "  [%lld rows, %.3f ms]", (long long)json_integer_value(rows),
                      json_number_value(seconds) * 1e3);
    else if (json_is_string(guess))
        lh_buf_printf(buf, "  [about %s rows]", json_string_value(guess));
}

static void append_node(struct lh_buf *buf, const json_t *node, unsigned depth)
{
    const json_t *children = json_object_get(node, "children");
    const json_t *name = json_object_get(node, "operator_name");
    bool is_frame = json_is_string(name) && strcmp(json_string_value(name), "EXPLAIN_ANALYZE") == 0;
    if (!is_frame) {
        for (unsigned i = 0; i < depth; i++)
            lh_buf_append_str(buf, lh_lit("  "));
        append_name(buf, node);
        append_counts(buf, node);
        append_info(buf, json_object_get(node, "extra_info"));
        lh_buf_append_char(buf, '\n');
        depth++;
    }
    if (depth >= PLAN_DEPTH_MAX)
        return;
    for (size_t i = 0; i < json_array_size(children); i++)
        append_node(buf, json_array_get(children, i), depth);
}

enum lh_code query_plan_text(struct lh_str text, struct lh_buf *buf, struct lh_error *err)
{
    /* Operators nest deeper than the doors' JSON may: the engine wrote this, so jansson's own
     * limit (2048) is enough. */
    json_t *json =
        text.len <= PLAN_JSON_BYTES_MAX ? json_loadb(text.data, text.len, 0, NULL) : NULL;
    if (!json)
        return lh_fail(err, LH_TOO_LARGE, "The plan of the statement is too large to be shown.");
    const json_t *latency = json_object_get(json, "latency");
    if (json_is_number(latency))
        lh_buf_printf(buf, "%.3f ms in all\n", json_number_value(latency) * 1e3);
    if (json_is_array(json)) {
        for (size_t i = 0; i < json_array_size(json); i++)
            append_node(buf, json_array_get(json, i), 0);
    } else {
        const json_t *children = json_object_get(json, "children");
        for (size_t i = 0; i < json_array_size(children); i++)
            append_node(buf, json_array_get(children, i), 0);
    }
    json_decref(json);
    return lh_buf_check(buf, "The plan of the statement", err);
}
