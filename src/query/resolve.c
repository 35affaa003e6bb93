/* From the caller's text to a plan: what the statement is, what it may use, what runs instead.
 *
 *   text ─▶ EXPLAIN taken off ─▶ tree ─▶ check ─▶ relations ─▶ spliced text ─▶ proof ─▶ plan
 *
 * The plan's positions are those of the whole text: an EXPLAIN that is taken off leaves blanks.
 */
#include "query/internal.h"

struct resolving {
    const struct query_resolve_input *input;
    struct lh_arena *scratch; /* trees and tokens; gone with the call */
    struct query_plan *plan;
    struct lh_str sql; /* the statement without EXPLAIN, blanks in its place */
    struct query_check check;
    struct lh_str *relations; /* by query_ref.relation, in scratch */
    struct query_relation_writer writer;
    struct lh_buf relation;
};

/* --- the text */

/* The engine takes these characters for blanks and counts positions without them. */
static size_t wide_blank(struct lh_str sql, size_t at)
{
    const unsigned char *c = (const unsigned char *)sql.data + at;
    size_t left = sql.len - at;
    if (left >= 2 && c[0] == 0xC2 && c[1] == 0xA0)
        return 2;
    if (left < 3)
        return 0;
    bool is_wide =
        (c[0] == 0xE2 && c[1] == 0x80 && ((c[2] >= 0x80 && c[2] <= 0x8D) || c[2] == 0xAF)) ||
        (c[0] == 0xE2 && c[1] == 0x81 && (c[2] == 0x9F || c[2] == 0xA0)) ||
        (c[0] == 0xE3 && c[1] == 0x80 && c[2] == 0x80) ||
        (c[0] == 0xEF && c[1] == 0xBB && c[2] == 0xBF);
    return is_wide ? 3 : 0;
}

static bool has_wide_blank(struct lh_str sql)
{
    for (size_t i = 0; i < sql.len; i++)
        if ((unsigned char)sql.data[i] >= 0xC2 && wide_blank(sql, i))
            return true;
    return false;
}

/* Outside of quotes they become as many plain blanks, so that bytes keep their places: in names,
 * which they cut in two, and in comments. */
static void narrow_blanks(char *text, size_t len)
{
    struct lh_str sql = {text, len};
    for (size_t at = 0; at < len;) {
        struct query_token token = query_token_at(sql, at);
        size_t end = token.kind == QUERY_TOKEN_WORD ? token.end : token.start;
        size_t next = token.end;
        for (size_t i = at; i < end; i++) {
            size_t width = wide_blank(sql, i);
            memset(text + i, ' ', width);
            if (width && i >= token.start) {
                next = i;
                break;
            }
        }
        if (token.kind == QUERY_TOKEN_END)
            return;
        at = next;
    }
}

static enum lh_code check_text(struct lh_str sql, struct lh_error *err)
{
    size_t at = 0;
    if (sql.len > QUERY_SQL_BYTES_MAX)
        return lh_fail(err, LH_TOO_LARGE, "The statement has %zu bytes; at most %zu are read.",
                       sql.len, QUERY_SQL_BYTES_MAX);
    if (!lh_str_is_utf8(sql, &at))
        return query_fail_at(err, LH_SYNTAX, (int64_t)at, "The statement is not valid UTF-8.");
    if (lh_str_find(sql, (struct lh_str){"", 1}, &at))
        return query_fail_at(err, LH_SYNTAX, (int64_t)at, "The statement holds a NUL character.");
    return LH_OK;
}

static enum lh_code take_explain(struct resolving *resolving, struct lh_error *err)
{
    struct lh_str sql = resolving->input->sql;
    struct query_token token = query_token_at(sql, 0);
    resolving->sql = sql;
    bool is_explain = query_token_is(sql, token, "EXPLAIN"), is_wide = has_wide_blank(sql);
    if (!is_explain && !is_wide)
        return LH_OK;
    char *text = lh_arena_try(resolving->scratch, sql.len + 1);
    if (!text)
        return lh_fail(err, LH_BUSY, "There is no memory for the statement.");
    memcpy(text, sql.data, sql.len);
    resolving->sql.data = text;
    if (is_wide) {
        narrow_blanks(text, sql.len);
        token = query_token_at(resolving->sql, 0);
        is_explain = query_token_is(resolving->sql, token, "EXPLAIN");
    }
    if (!is_explain)
        return LH_OK;
    resolving->plan->kind = QUERY_PLAN_EXPLAIN;
    size_t end = token.end;
    token = query_token_at(resolving->sql, end);
    if (query_token_is(resolving->sql, token, "ANALYZE")) {
        resolving->plan->kind = QUERY_PLAN_ANALYZE;
        end = token.end;
    } else if (query_token_is_char(resolving->sql, token, '(')) {
        struct query_token next = query_token_at(resolving->sql, token.end);
        if (!query_token_is(resolving->sql, next, "SELECT") &&
            !query_token_is(resolving->sql, next, "WITH") &&
            !query_token_is(resolving->sql, next, "FROM")) {
            query_fail_at(err, LH_REFUSED, (int64_t)token.start, "EXPLAIN takes no options here.");
            return lh_error_hint(err, "Write EXPLAIN or EXPLAIN ANALYZE.");
        }
    }
    memset(text, ' ', end);
    return LH_OK;
}

/* --- statements that are no SELECT */

static enum lh_code explain_refusal(struct lh_str sql, struct lh_error *err)
{
    static const struct {
        const char *word, *why, *hint;
    } rows[] = {
        {"PIVOT", "A PIVOT must say its values: they name the columns.",
         "Write ON column IN ('a', 'b')."},
        {"EXPLAIN", "EXPLAIN stands once, in front.", "Leave out one of them."},
        {"SET", "Settings belong to the server.", "See `lakehouse config show`."},
        {"RESET", "Settings belong to the server.", "See `lakehouse config show`."},
        {"PRAGMA", "Settings belong to the server.", "See `lakehouse config show`."},
        {"ATTACH", "SQL here sees the lake's datasets, no other databases.",
         "Ingest from that database instead."},
        {"USE", "SQL here sees the lake's datasets, no other databases.",
         "Write the dataset's name alone."},
        {"LOAD", "Extensions are not loaded.", "What is built in is loaded already."},
        {"INSTALL", "Extensions are not installed.", "What is built in is loaded already."},
        {"BEGIN", "Every statement reads one moment of the lake; there are no transactions.",
         "Send as_of to read the same moment again."},
    };
    struct query_token token = query_token_at(sql, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!query_token_is(sql, token, rows[i].word))
            continue;
        query_fail_at(err, LH_REFUSED, (int64_t)token.start, "%s", rows[i].why);
        return lh_error_hint(err, "%s", rows[i].hint);
    }
    struct lh_str word = lh_str_slice(sql, token.start, token.end - token.start);
    if (token.kind == QUERY_TOKEN_WORD && !query_token_is(sql, token, "SELECT") &&
        !query_token_is(sql, token, "WITH") && !query_token_is(sql, token, "FROM"))
        query_fail_at(err, LH_REFUSED, (int64_t)token.start,
                      "SQL here reads: '%.*s' is not a SELECT.", LH_ARG(word));
    else
        query_fail_at(err, LH_REFUSED, (int64_t)token.start,
                      "SQL here reads: only a SELECT can run.");
    return lh_error_hint(err, "Data comes in and changes through its own operations, such as "
                              "POST /ingest/file.");
}

static enum lh_code parse(struct resolving *resolving, struct ast_node **ret, struct lh_error *err)
{
    enum lh_code code =
        engine_parse(resolving->input->connection, resolving->sql, resolving->scratch, ret, err);
    struct lh_str turned;
    if (code == LH_SYNTAX && query_turn_aliases(resolving->sql, resolving->scratch, &turned) &&
        !engine_parse(resolving->input->connection, turned, resolving->scratch, ret, NULL)) {
        resolving->sql = turned;
        return LH_OK;
    }
    if (code == LH_REFUSED)
        return explain_refusal(resolving->sql, err);
    return code ? query_message_plain(resolving->input->sql, err) : LH_OK;
}

/* --- relations */

static struct query_moment moment_of(const struct query_as_of *as_of, const struct query_ref *ref)
{
    if (ref->has_moment)
        return ref->moment;
    if (as_of->has_time)
        return (struct query_moment){.kind = QUERY_AT_TIME, .unix_ms = as_of->unix_ms};
    for (size_t i = 0; i < as_of->version_count; i++)
        if (lh_str_equal_nocase(as_of->versions[i].name, ref->name))
            return (struct query_moment){.kind = QUERY_AT_VERSION,
                                         .version = as_of->versions[i].version};
    return (struct query_moment){.kind = QUERY_NOW};
}

/* A version for a dataset that the statement does not read is a mistake of the caller's. */
static enum lh_code check_as_of(const struct resolving *resolving, struct lh_error *err)
{
    const struct query_as_of *as_of = resolving->input->as_of;
    for (size_t i = 0; i < as_of->version_count; i++) {
        bool is_read = false;
        for (const struct query_ref *ref = resolving->check.refs; ref; ref = ref->next)
            is_read |= lh_str_equal_nocase(as_of->versions[i].name, ref->name);
        if (is_read)
            continue;
        lh_fail(err, LH_INVALID, "as_of names '%.*s', which the statement does not read.",
                LH_ARG(as_of->versions[i].name));
        return lh_error_field(err, lh_lit("as_of"));
    }
    return LH_OK;
}

static bool same_moment(const struct query_moment *a, const struct query_moment *b)
{
    return a->kind == b->kind && a->version == b->version && a->unix_ms == b->unix_ms;
}

static enum lh_code write_relation(struct resolving *resolving, struct query_ref *ref,
                                   struct lh_error *err)
{
    struct query_moment moment = moment_of(resolving->input->as_of, ref);
    ref->moment = moment;
    for (const struct query_ref *other = resolving->check.refs; other != ref; other = other->next) {
        if (lh_str_equal_nocase(other->name, ref->name) && same_moment(&other->moment, &moment)) {
            ref->relation = other->relation;
            return LH_OK;
        }
    }
    lh_buf_clear(&resolving->relation);
    enum lh_code code = query_relation_write(&resolving->writer, 0, ref->name, &moment, err);
    if (!code)
        code = lh_buf_check(&resolving->relation, "The dataset's list of files", err);
    if (!code && !lh_arena_try_str(resolving->scratch, lh_buf_str(&resolving->relation),
                                   &resolving->relations[ref->relation]))
        code = lh_fail(err, LH_BUSY, "There is no memory for the statement.");
    if (code && err && err->position < 0)
        err->position = (int64_t)ref->location;
    return code;
}

static struct lh_str relation_text(const void *context, const struct query_ref *ref)
{
    return ((const struct lh_str *)context)[ref->relation];
}

static struct lh_str stand_in(const void *context, const struct query_ref *ref)
{
    (void)context;
    (void)ref;
    return lh_lit(QUERY_STAND_IN);
}

/* --- the plan */

static enum lh_code prove(struct resolving *resolving, const struct ast_node *tree,
                          struct lh_error *err)
{
    struct query_splice splice;
    struct ast_node *spliced = NULL;
    enum lh_code code =
        query_splice_write(&resolving->check, stand_in, NULL, resolving->scratch, &splice, err);
    if (code)
        return code;
    code =
        engine_parse(resolving->input->connection, splice.text, resolving->scratch, &spliced, NULL);
    if (!code && query_splice_proven(&resolving->check, tree, spliced))
        return LH_OK;
    if (code != LH_OK && code != LH_SYNTAX && code != LH_REFUSED)
        return lh_fail(err, code, "The statement could not be resolved.");
    query_fail_at(err, LH_REFUSED, (int64_t)resolving->check.refs->location,
                  "A dataset's name is written in a form that is not supported here.");
    return lh_error_hint(err, "Write datasets as FROM name AS alias, and give expressions with a "
                              "subquery a name: (SELECT …) AS name.");
}

static enum lh_code write_count(struct resolving *resolving, struct lh_str name,
                                struct lh_error *err)
{
    struct lh_buf *buf = &resolving->relation;
    struct query_splice *splice = &resolving->plan->splice;
    lh_buf_clear(buf);
    lh_buf_printf(buf, "SELECT CAST(%lld AS BIGINT) AS ",
                  (long long)resolving->writer.row_count.value);
    engine_quote_ident(buf, name);
    *splice = (struct query_splice){0};
    enum lh_code code = lh_buf_check(buf, "The statement", err);
    if (!code && !lh_arena_try_str(resolving->plan->arena, lh_buf_str(buf), &splice->text))
        code = lh_fail(err, LH_BUSY, "There is no memory for the statement.");
    return code;
}

static enum lh_code splice(struct resolving *resolving, const struct ast_node *tree,
                           struct lh_error *err)
{
    struct query_check *check = &resolving->check;
    struct query_plan *plan = resolving->plan;
    if (check->ref_count == 0) {
        bool is_kept = lh_arena_try_str(plan->arena, resolving->sql, &plan->splice.text);
        return is_kept ? LH_OK : lh_fail(err, LH_BUSY, "There is no memory for the statement.");
    }
    enum lh_code code = query_splice_plan(check, err);
    resolving->relations =
        lh_arena_array(resolving->scratch, check->ref_count, sizeof *resolving->relations);
    size_t at = 0;
    for (struct query_ref *ref = check->refs; ref && !code; ref = ref->next) {
        ref->relation = at++;
        code = write_relation(resolving, ref, err);
    }
    if (!code)
        code = prove(resolving, tree, err);
    if (!code)
        code = query_splice_write(check, relation_text, resolving->relations, plan->arena,
                                  &plan->splice, err);
    struct lh_str name;
    if (!code && check->ref_count == 1 && resolving->writer.row_count.is_set &&
        query_is_bare_count(tree, &name))
        code = write_count(resolving, name, err);
    return code;
}

struct listing {
    struct lh_buf *buf;
    size_t count;
};

static void list_name(void *context, struct lh_str name)
{
    struct listing *listing = context;
    lh_buf_append_str(listing->buf, listing->count++ ? lh_lit(", (") : lh_lit("("));
    engine_quote_literal(listing->buf, name);
    lh_buf_append_char(listing->buf, ')');
}

/* SHOW TABLES as the engine answers it: one column, in order of name. */
static enum lh_code list_datasets(struct resolving *resolving, struct lh_error *err)
{
    const struct query_sources *sources = resolving->input->sources;
    struct listing listing = {.buf = &resolving->relation};
    lh_buf_clear(&resolving->relation);
    lh_buf_append_str(&resolving->relation, lh_lit("SELECT DISTINCT name FROM (VALUES "));
    for (size_t i = 0; i < sources->count; i++)
        if (sources->items[i]->list)
            sources->items[i]->list(sources->items[i]->context, resolving->input->scope, list_name,
                                    &listing);
    if (listing.count == 0)
        lh_buf_append_str(&resolving->relation, lh_lit("(NULL::VARCHAR)"));
    lh_buf_append_str(&resolving->relation, lh_lit(") AS datasets(name) WHERE name IS NOT NULL "
                                                   "ORDER BY name"));
    enum lh_code code = lh_buf_check(&resolving->relation, "The list of datasets", err);
    struct query_plan *plan = resolving->plan;
    if (!code &&
        !lh_arena_try_str(plan->arena, lh_buf_str(&resolving->relation), &plan->splice.text))
        code = lh_fail(err, LH_BUSY, "There is no memory for the list of datasets.");
    plan->lists_names = true;
    return code;
}

/* Connections remember what they prepared by its text, and with it the columns that a table
 * function had then: so another stamp makes another text. A line break first, for a text that ends
 * in a comment. */
static enum lh_code put_stamp(struct resolving *resolving, struct lh_error *err)
{
    struct query_plan *plan = resolving->plan;
    struct lh_buf buf;
    plan->calls_table_functions = true;
    plan->table_function_stamp = resolving->input->table_function_stamp;
    lh_buf_init(&buf, plan->splice.text.len + 40);
    lh_buf_append_str(&buf, plan->splice.text);
    lh_buf_printf(&buf, "\n/* %llu */", (unsigned long long)plan->table_function_stamp);
    enum lh_code code = lh_buf_check(&buf, "The statement", err);
    if (!code && !lh_arena_try_str(plan->arena, lh_buf_str(&buf), &plan->splice.text))
        code = lh_fail(err, LH_BUSY, "There is no memory for the statement.");
    lh_buf_release(&buf);
    return code;
}

static enum lh_code resolve(struct resolving *resolving, struct lh_error *err)
{
    struct ast_node *tree = NULL;
    enum lh_code code = take_explain(resolving, err);
    if (!code)
        code = parse(resolving, &tree, err);
    if (code)
        return code;
    struct query_check *check = &resolving->check;
    *check = (struct query_check){.arena = resolving->scratch,
                                  .sql = resolving->sql,
                                  .table_functions = resolving->input->table_functions,
                                  .table_function_count = resolving->input->table_function_count};
    code = query_check_tree(check, tree, err);
    if (!code)
        code = check_as_of(resolving, err);
    if (!code)
        code = check->lists_datasets ? list_datasets(resolving, err) : splice(resolving, tree, err);
    if (!code && check->calls_table_functions)
        code = put_stamp(resolving, err);
    return code;
}

#define RELATION_BYTES_MAX ((size_t)32 << 20)
#define SCRATCH_BYTES_MAX ((size_t)256 << 20)

enum lh_code query_resolve(const struct query_resolve_input *input, struct query_plan **ret,
                           struct lh_error *err)
{
    enum lh_code code = check_text(input->sql, err);
    if (code)
        return code;
    struct lh_arena *arena = lh_arena_new(SCRATCH_BYTES_MAX);
    struct query_plan *plan = lh_arena_alloc(arena, sizeof *plan);
    plan->arena = arena;
    atomic_store(&plan->ref_count, 1);
    struct resolving resolving = {
        .input = input, .scratch = lh_arena_new(SCRATCH_BYTES_MAX), .plan = plan};
    lh_buf_init(&resolving.relation, RELATION_BYTES_MAX);
    resolving.writer = (struct query_relation_writer){.sources = input->sources,
                                                      .scope = input->scope,
                                                      .arena = arena,
                                                      .buf = &resolving.relation};
    if (!lh_arena_try_str(arena, input->sql, &plan->sql) ||
        !lh_arena_try_str(arena, input->key, &plan->key))
        code = lh_fail(err, LH_BUSY, "There is no memory for the statement.");
    if (!code)
        code = resolve(&resolving, err);
    plan->deps = resolving.writer.deps;
    plan->dep_count = resolving.writer.dep_count;
    plan->versions = resolving.writer.versions;
    plan->version_count = resolving.writer.version_count;
    lh_buf_release(&resolving.relation);
    lh_arena_free(resolving.scratch);
    if (code)
        query_plan_unref(plan);
    else
        *ret = plan;
    return code;
}
