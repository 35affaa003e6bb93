/* The pages that the server shows to people with a browser: where to go, and the reference of the
 * API. Made from the table of operations; nothing is fetched from anywhere. */
#include <stdio.h>

#include "lake/lake.h"
#include "ops/internal.h"

#define PAGE_BYTES_MAX ((size_t)8 << 20)

static const char style[] =
    "<style>"
    ":root{color-scheme:light dark;--line:#8884;--soft:#8881;--mark:#0a6b6b}"
    "@media(prefers-color-scheme:dark){:root{--mark:#5cc8c8}}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid var(--line)}"
    "code,pre{font:.88em/1.5 ui-monospace,monospace}"
    "pre{background:var(--soft);padding:.7rem;overflow-x:auto;border-radius:4px}"
    "table{border-collapse:collapse;width:100%;font-size:.92em}"
    "td,th{text-align:left;vertical-align:top;padding:.3rem .6rem;border-top:1px solid var(--line)}"
    "a{color:var(--mark)}summary{cursor:pointer;padding:.25rem 0}"
    "summary b{display:inline-block;min-width:4.2rem;color:var(--mark)}"
    "details[open]{border-left:3px solid var(--line);padding-left:.8rem}"
    "</style>";

static void put_text(struct lh_buf *buf, struct lh_str text)
{
    for (size_t i = 0; i < text.len; i++)
        switch (text.data[i]) {
        case '<':
            lh_buf_append_str(buf, lh_lit("&lt;"));
            break;
        case '>':
            lh_buf_append_str(buf, lh_lit("&gt;"));
            break;
        case '&':
            lh_buf_append_str(buf, lh_lit("&amp;"));
            break;
        case '"':
            lh_buf_append_str(buf, lh_lit("&quot;"));
            break;
        default:
            lh_buf_append_char(buf, text.data[i]);
        }
}

static void put_head(struct lh_buf *buf, const char *title)
{
    lh_buf_printf(buf,
                  "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
                  "<meta name=\"viewport\" content=\"width=device-width\"><title>%s</title>",
                  title);
    lh_buf_append_str(buf, lh_str_of(style));
    lh_buf_printf(buf, "</head><body><h1>%s</h1>", title);
}

static enum lh_code give(struct op_reply *reply, struct lh_buf *buf, struct lh_error *err)
{
    lh_buf_append_str(buf, lh_lit("</body></html>\n"));
    enum lh_code code = lh_buf_check(buf, "The page", err);
    if (!code)
        code = op_reply_text(reply, lh_buf_str(buf), err);
    lh_buf_release(buf);
    return code;
}

/* --- GET / */

static enum lh_code run_home(struct op_call *call, const void *args, struct op_reply *reply,
                             struct lh_error *err)
{
    struct lake_health health;
    struct lh_buf buf;
    (void)args;
    lake_check_health(call->lake, call->arena, &health);
    lh_buf_init(&buf, PAGE_BYTES_MAX);
    put_head(&buf, "lakehouse");
    lh_buf_printf(&buf,
                  "<p>Version %s, %s. %lld dataset%s. %s</p>"
                  "<table><tr><td><a href=\"/docs\">/docs</a></td><td>every operation, its "
                  "arguments and errors</td></tr><tr><td><a href=\"/health\">/health</a></td><td>"
                  "whether everything works</td></tr><tr><td><a href=\"/catalog/datasets\">"
                  "/catalog/datasets</a></td><td>what there is</td></tr><tr><td>"
                  "<a href=\"/openapi.json\">/openapi.json</a></td><td>the API for programs</td>"
                  "</tr><tr><td><a href=\"/metrics\">/metrics</a></td><td>meters, as Prometheus "
                  "reads them</td></tr></table>",
                  LH_VERSION,
                  health.is_ok ? "everything works" : "something is broken: see /health",
                  (long long)health.dataset_count, health.dataset_count == 1 ? "" : "s",
                  lake_settings(call->lake)->auth.enabled
                      ? "Callers need keys."
                      : "There is no authentication: every caller is local-admin, on loopback.");
    lh_buf_append_str(
        &buf, lh_lit("<h2>Bring a file, ask it</h2><pre>curl -F dataset=people -F file=@people.csv "
                     "$URL/ingest/file\ncurl -H 'content-type: application/json' \\\n"
                     "     -d '{\"sql\": \"SELECT count(*) FROM people\"}' $URL/query/sql</pre>"
                     "<p>where <code>$URL</code> is the address of this page.</p>"));
    return give(reply, &buf, err);
}

const struct op op_system_home = {
    .name = "system.home",
    .summary = "A page that says what runs here and where to go.",
    .http = {OP_GET, "/"},
    .effect = OP_READ,
    .permission = "public",
    .kind = OP_TEXT,
    .media_type = "text/html; charset=utf-8",
    .run = run_home,
};

/* --- GET /docs */

static void put_cell(struct lh_buf *buf, const char *text)
{
    lh_buf_append_str(buf, lh_lit("<td>"));
    put_text(buf, lh_str_of(text));
    lh_buf_append_str(buf, lh_lit("</td>"));
}

/* The members of an object follow it, by their path. */
static void put_rows(struct lh_buf *buf, const struct lh_fields *fields, const char *within)
{
    for (size_t i = 0; i < fields->count; i++) {
        const struct lh_field *field = &fields->items[i];
        struct lh_buf limits;
        lh_buf_init(&limits, 1024);
        op_put_limits(&limits, field);
        if (field->type == LH_FIELD_CHOICE && limits.len)
            lh_buf_append_str(&limits, lh_lit("; "));
        op_put_choices(&limits, field);
        lh_buf_printf(buf, "<tr><td><code>%s%s</code><br>%s", within, field->name,
                      op_type_name(field));
        lh_buf_append_str(buf, lh_lit("</td><td>"));
        put_text(buf, lh_buf_str(&limits));
        lh_buf_append_str(buf, lh_lit("</td>"));
        put_cell(buf, field->doc ? field->doc : "");
        lh_buf_append_str(buf, lh_lit("</tr>"));
        lh_buf_release(&limits);
        if (field->fields && !*within) {
            char path[128];
            snprintf(path, sizeof(path), "%s.", field->name);
            put_rows(buf, field->fields, path);
        }
    }
}

static void put_fields(struct lh_buf *buf, const struct lh_fields *fields, const char *title)
{
    lh_buf_printf(buf, "<table><tr><th>%s</th><th></th><th></th></tr>", title);
    put_rows(buf, fields, "");
    lh_buf_append_str(buf, lh_lit("</table>"));
}

static void put_example(struct lh_buf *buf, const struct op *op, const struct op_example *example)
{
    char path[OP_PATH_BYTES_MAX];
    op_shown_path(op, path);
    lh_buf_append_str(buf, lh_lit("<p>"));
    put_text(buf, lh_str_of(example->summary));
    lh_buf_append_str(buf, lh_lit("</p><pre>"));
    if (op->body == OP_BODY_JSON)
        lh_buf_printf(buf, "curl -X %s -H 'content-type: application/json' \\\n     -d '",
                      op_method_name(op->http.method));
    put_text(buf, lh_str_of(example->request));
    if (op->body == OP_BODY_JSON) {
        lh_buf_append_str(buf, lh_lit("' $URL"));
        put_text(buf, lh_str_of(path));
    }
    lh_buf_append_str(buf, lh_lit("</pre>"));
}

static void put_operation(struct lh_buf *buf, const struct op *op)
{
    char path[OP_PATH_BYTES_MAX];
    op_shown_path(op, path);
    lh_buf_printf(buf, "<details id=\"%s\"><summary><b>%s</b><code>", op->name,
                  op_method_name(op->http.method));
    put_text(buf, lh_str_of(path));
    lh_buf_append_str(buf, lh_lit("</code> "));
    put_text(buf, lh_str_of(op->summary));
    lh_buf_append_str(buf, lh_lit("</summary>"));
    if (op->description) {
        lh_buf_append_str(buf, lh_lit("<p>"));
        put_text(buf, lh_str_of(op->description));
        lh_buf_append_str(buf, lh_lit("</p>"));
    }
    struct lh_str verb = lh_str_of(op->name);
    struct lh_str group = lh_str_cut(&verb, '.');
    lh_buf_printf(buf,
                  "<p><code>lakehouse %.*s %.*s</code>, permission <code>%s</code>, %s%s%s</p>",
                  LH_ARG(group), LH_ARG(verb), op->permission,
                  op->effect == OP_WRITE ? "changes the lake, takes an Idempotency-Key" : "reads",
                  op->takes_bucket ? ", takes X-Lakehouse-Bucket" : "",
                  op->takes_if_match ? ", takes If-Match" : "");
    if (op->fields)
        put_fields(buf, op->fields, "argument");
    if (op->result)
        put_fields(buf, op->result, op->kind == OP_LIST ? "each item" : "result");
    for (size_t i = 0; op->errors && op->errors[i]; i++)
        lh_buf_printf(buf, "%s<code>%s</code>",
                      i ? ", " : "<p>Errors of its own: ", lh_error_row(op->errors[i])->id);
    if (op->errors && op->errors[0])
        lh_buf_append_str(buf, lh_lit(".</p>"));
    for (size_t i = 0; i < op->example_count; i++)
        put_example(buf, op, &op->examples[i]);
    lh_buf_append_str(buf, lh_lit("</details>"));
}

static enum lh_code run_docs(struct op_call *call, const void *args, struct op_reply *reply,
                             struct lh_error *err)
{
    struct lh_buf buf;
    (void)args;
    (void)call;
    lh_buf_init(&buf, PAGE_BYTES_MAX);
    put_head(&buf, "lakehouse API");
    lh_buf_append_str(
        &buf,
        lh_lit(
            "<p>JSON in and out. Lists are <code>{items, next}</code> with <code>limit</code> and "
            "<code>after</code>. Errors are problem documents (RFC 9457) with a stable "
            "<code>code</code> and mostly a <code>hint</code>. Keys go into "
            "<code>X-API-Key</code> or <code>Authorization: Bearer</code>. The same for "
            "programs: <a href=\"/openapi.json\">/openapi.json</a>.</p>"));
    for (size_t i = 0; i < op_table_count; i++) {
        struct lh_str group = op_group(op_table[i]);
        if (!i || !lh_str_equal(group, op_group(op_table[i - 1]))) {
            const char *doc = op_group_doc(group);
            lh_buf_printf(&buf, "<h2>%.*s</h2><p>%s</p>", LH_ARG(group), doc ? doc : "");
        }
        put_operation(&buf, op_table[i]);
    }
    return give(reply, &buf, err);
}

const struct op op_system_docs = {
    .name = "system.docs",
    .summary = "The reference of this API as a page.",
    .http = {OP_GET, "/docs"},
    .effect = OP_READ,
    .permission = "public",
    .kind = OP_TEXT,
    .media_type = "text/html; charset=utf-8",
    .run = run_docs,
};
