/* Relations put into the caller's own text, and the proof that nothing else changed.
 *
 * Why text and not the tree: writing the tree back changes literals (1.1e0 becomes a decimal, 1e400
 * fails), names columns anew and returns lambdas in an old form; the caller's text keeps all of
 * them, and positions in errors stay the caller's. The text is cut where the parser says that a
 * table name stands. What results is parsed again with a stand-in for each relation: as relations
 * are complete subqueries in parentheses, a tree that is right for the stand-in is right for them.
 *
 * A subquery inside an unnamed expression is part of its column's name, so nothing may be put
 * there: such names stay, and a WITH in front of the statement gives them their relation.
 * Rejected: a WITH for every name (it takes 5 to 15 % longer to prepare over 65 files, and AT,
 * SUMMARIZE and a WITH of the same name would need splicing all the same).
 */
#include "query/internal.h"

static struct lh_str token_text(struct lh_str sql, struct query_token token)
{
    return lh_str_slice(sql, token.start, token.end - token.start);
}

/* --- what is replaced */

static enum lh_code fail_form(const struct query_ref *ref, struct lh_error *err, const char *hint)
{
    query_fail_at(err, LH_REFUSED, (int64_t)ref->location,
                  "The reference to '%.*s' is written in a form that is not supported here.",
                  LH_ARG(ref->name));
    return lh_error_hint(err, "%s", hint);
}

/* Behind the name: [AS] alias [(columns)] AT (…). */
static bool find_at(struct lh_str sql, struct query_ref *ref)
{
    struct query_token token = query_token_at(sql, ref->end);
    if (query_token_is(sql, token, "AS"))
        token = query_token_at(sql, token.end);
    for (int step = 0; step < 3; step++) {
        struct query_token after = query_token_at(sql, token.end);
        if (query_token_is(sql, token, "AT") && query_token_is_char(sql, after, '(')) {
            ref->at_start = token.start;
            ref->at_end = query_token_group_end(sql, after);
            return ref->at_end > 0;
        }
        if (query_token_is_char(sql, token, '(')) {
            size_t end = query_token_group_end(sql, token);
            if (!end)
                return false;
            after = query_token_at(sql, end);
        }
        token = after;
    }
    return false;
}

static enum lh_code plan_ref(struct lh_str sql, struct query_token before, struct query_token name,
                             struct query_ref *ref, struct lh_error *err)
{
    if (name.kind == QUERY_TOKEN_STRING) {
        query_fail_at(err, LH_REFUSED, (int64_t)ref->location,
                      "%.*s is text where a table must stand; SQL here reads no files.",
                      LH_ARG(token_text(sql, name)));
        return lh_error_hint(err, "Ingest the file as a dataset and write the dataset's name.");
    }
    if (name.kind != QUERY_TOKEN_WORD && name.kind != QUERY_TOKEN_QUOTED)
        return fail_form(ref, err, "Write the dataset's name alone.");
    ref->start = name.start;
    ref->end = name.end;
    if (query_token_is(sql, before, "TABLE")) {
        ref->form = QUERY_REF_SHOWN;
        ref->start = before.start;
    } else if (query_token_is(sql, before, "DESCRIBE") || query_token_is(sql, before, "DESC") ||
               query_token_is(sql, before, "SHOW") || query_token_is(sql, before, "SUMMARIZE")) {
        ref->form = QUERY_REF_SHOWN;
    }
    struct query_token after = query_token_at(sql, name.end);
    if (query_token_is(sql, before, "ONLY") || query_token_is_char(sql, after, '*'))
        return fail_form(ref, err, "Leave out ONLY and the star behind the name.");
    ref->at_start = ref->at_end = ref->end;
    if (ref->has_moment && !find_at(sql, ref))
        return fail_form(ref, err, "Write AT (…) behind the name and its alias.");
    return LH_OK;
}

/* A name that stands in an unnamed expression gets a WITH, and then stands everywhere. */
static enum lh_code choose_ctes(struct query_check *check, struct lh_error *err)
{
    for (struct query_ref *named = check->refs; named; named = named->next) {
        if (!named->is_named)
            continue;
        if (named->has_moment) {
            query_fail_at(err, LH_REFUSED, (int64_t)named->location,
                          "'%.*s' AT (…) stands inside an expression without a name.",
                          LH_ARG(named->name));
            return lh_error_hint(err, "Give the expression a name: (…) AS name.");
        }
        for (struct query_ref *ref = check->refs; ref; ref = ref->next)
            if (!ref->has_moment && lh_str_equal_nocase(ref->name, named->name))
                ref->by_cte = true;
    }
    return LH_OK;
}

enum lh_code query_splice_plan(struct query_check *check, struct lh_error *err)
{
    struct lh_str sql = check->sql;
    struct query_token before = {.kind = QUERY_TOKEN_END};
    struct query_token token = query_token_at(sql, 0);
    enum lh_code code = LH_OK;
    for (struct query_ref *ref = check->refs; ref && !code; ref = ref->next) {
        while (token.kind != QUERY_TOKEN_END && token.start < ref->location) {
            before = token;
            token = query_token_at(sql, token.end);
        }
        if (token.kind == QUERY_TOKEN_END || token.start != ref->location)
            return fail_form(ref, err, "Write the dataset's name alone.");
        code = plan_ref(sql, before, token, ref, err);
    }
    return code ? code : choose_ctes(check, err);
}

/* --- writing */

struct writing {
    const struct query_check *check;
    query_relation_text text;
    const void *context;
    struct lh_buf buf;
    size_t done; /* of the caller's text */
    struct query_piece *pieces;
    size_t count;
};

static void copy_to(struct writing *writing, size_t to)
{
    lh_buf_append_str(&writing->buf,
                      lh_str_slice(writing->check->sql, writing->done, to - writing->done));
    writing->done = to;
}

static void end_piece(struct writing *writing, size_t at, size_t from, size_t to)
{
    writing->pieces[writing->count++] =
        (struct query_piece){.at = at, .len = writing->buf.len - at, .from = from, .to = to};
    writing->done = to;
}

/* Where a WITH goes: before the query itself, behind a DESCRIBE; `ret_joins`: into its own WITH. */
static size_t cte_place(struct lh_str sql, bool *ret_joins)
{
    struct query_token token = query_token_at(sql, 0);
    if (query_token_is(sql, token, "DESCRIBE") || query_token_is(sql, token, "DESC") ||
        query_token_is(sql, token, "SHOW") || query_token_is(sql, token, "SUMMARIZE"))
        token = query_token_at(sql, token.end);
    *ret_joins = query_token_is(sql, token, "WITH");
    if (!*ret_joins)
        return token.start;
    token = query_token_at(sql, token.end);
    if (query_token_is(sql, token, "RECURSIVE"))
        token = query_token_at(sql, token.end);
    return token.start;
}

/* The first reference that a WITH of this name serves. */
static bool is_first_of_cte(const struct query_check *check, const struct query_ref *ref)
{
    for (const struct query_ref *other = check->refs; other != ref; other = other->next)
        if (other->by_cte && lh_str_equal_nocase(other->name, ref->name))
            return false;
    return ref->by_cte;
}

static void write_ctes(struct writing *writing)
{
    bool joins, any = false;
    size_t place = cte_place(writing->check->sql, &joins);
    for (const struct query_ref *ref = writing->check->refs; ref; ref = ref->next) {
        if (!is_first_of_cte(writing->check, ref))
            continue;
        if (!any)
            copy_to(writing, place);
        size_t at = writing->buf.len;
        if (!joins)
            lh_buf_append_str(&writing->buf, any ? lh_lit(", ") : lh_lit("WITH "));
        engine_quote_ident(&writing->buf, ref->name);
        lh_buf_append_str(&writing->buf, lh_lit(" AS NOT MATERIALIZED "));
        lh_buf_append_str(&writing->buf, writing->text(writing->context, ref));
        if (joins)
            lh_buf_append_str(&writing->buf, lh_lit(", "));
        end_piece(writing, at, place, place);
        any = true;
    }
    if (any && !joins) {
        size_t at = writing->buf.len;
        lh_buf_append_char(&writing->buf, ' ');
        end_piece(writing, at, place, place);
    }
}

static void write_ref(struct writing *writing, const struct query_ref *ref)
{
    if (ref->by_cte)
        return;
    copy_to(writing, ref->start);
    size_t at = writing->buf.len;
    if (ref->form == QUERY_REF_SHOWN)
        lh_buf_append_str(&writing->buf, lh_lit("SELECT * FROM "));
    lh_buf_append_str(&writing->buf, writing->text(writing->context, ref));
    if (!ref->has_alias) {
        lh_buf_append_str(&writing->buf, lh_lit(" AS "));
        engine_quote_ident(&writing->buf, ref->name);
    }
    end_piece(writing, at, ref->start, ref->end);
    if (ref->at_end > ref->at_start) {
        copy_to(writing, ref->at_start);
        at = writing->buf.len;
        lh_buf_append_char(&writing->buf, ' ');
        end_piece(writing, at, ref->at_start, ref->at_end);
    }
}

#define SPLICED_BYTES_MAX ((size_t)64 << 20)

enum lh_code query_splice_write(const struct query_check *check, query_relation_text text,
                                const void *context, struct lh_arena *arena,
                                struct query_splice *ret, struct lh_error *err)
{
    struct writing writing = {.check = check, .text = text, .context = context};
    lh_buf_init(&writing.buf, SPLICED_BYTES_MAX);
    writing.pieces = lh_arena_array(arena, check->ref_count * 2 + 1, sizeof *writing.pieces);
    write_ctes(&writing);
    for (const struct query_ref *ref = check->refs; ref; ref = ref->next)
        write_ref(&writing, ref);
    copy_to(&writing, check->sql.len);
    enum lh_code code = lh_buf_check(&writing.buf, "The statement with its datasets' files", err);
    if (!code && !lh_arena_try_str(arena, lh_buf_str(&writing.buf), &ret->text))
        code = lh_fail(err, LH_BUSY, "There is no memory for the statement.");
    if (!code) {
        ret->pieces = writing.pieces;
        ret->piece_count = writing.count;
    }
    lh_buf_release(&writing.buf);
    return code;
}

int64_t query_splice_back(const struct query_splice *splice, int64_t position)
{
    if (position < 0)
        return position;
    size_t at = (size_t)position, old = at;
    for (size_t i = 0; i < splice->piece_count; i++) {
        const struct query_piece *piece = &splice->pieces[i];
        if (at < piece->at)
            break;
        if (at < piece->at + piece->len)
            return (int64_t)piece->from;
        old = piece->to + (at - piece->at - piece->len);
    }
    return (int64_t)old;
}

/* --- the proof */

/* The node of QUERY_STAND_IN: SELECT 1 and nothing else. */
static bool is_stand_in(const struct ast_node *node)
{
    const struct ast_node *list = ast_get(node, "select_list");
    const struct ast_node *one = ast_at(list, 0);
    return ast_is(node, "type", "SELECT_NODE") &&
           ast_is(ast_get(node, "from_table"), "type", "EMPTY") && ast_count(list) == 1 &&
           ast_is(one, "class", "CONSTANT") &&
           lh_str_equal(ast_text(ast_get(one, "value"), "value"), lh_lit("1")) &&
           !ast_get(node, "where_clause") && ast_count(ast_get(node, "modifiers")) == 0 &&
           ast_count(ast_get(ast_get(node, "cte_map"), "map")) == 0;
}

static const struct query_ref *find_ref(const struct query_check *check,
                                        const struct ast_node *node)
{
    for (const struct query_ref *ref = check->refs; ref; ref = ref->next)
        if (ref->node == node && !ref->by_cte)
            return ref;
    return NULL;
}

/* What may stand where a reference stood. */
static bool is_replaced(const struct query_ref *ref, const struct ast_node *table)
{
    struct lh_str alias = ref->has_alias ? ast_text(ref->node, "alias") : ref->name;
    const struct ast_node *old_sample = ast_get(ref->node, "sample");
    const struct ast_node *sample = ast_get(table, "sample");
    const struct ast_node *old_names = ast_get(ref->node, "column_name_alias");
    const struct ast_node *names = ast_get(table, "column_name_alias");
    return ast_is(table, "type", "SUBQUERY") && lh_str_equal(ast_text(table, "alias"), alias) &&
           !sample == !old_sample && (!sample || ast_equal(sample, old_sample, NULL, NULL)) &&
           !names == !old_names && (!names || ast_equal(names, old_names, NULL, NULL)) &&
           is_stand_in(ast_get(ast_get(table, "subquery"), "node"));
}

static const struct ast_node *skip_location(const struct ast_node *node)
{
    while (node && lh_str_equal(node->key, lh_lit("query_location")))
        node = node->next;
    return node;
}

/* Equal up to locations and replaced references. The trees are no deeper than AST_DEPTH_MAX. */
static bool is_same(const struct query_check *check, const struct ast_node *a,
                    const struct ast_node *b)
{
    if (a->kind == AST_OBJECT && ast_is(a, "type", "BASE_TABLE")) {
        const struct query_ref *ref = find_ref(check, a);
        if (ref)
            return is_replaced(ref, b);
    }
    if (a->kind != b->kind || a->boolean != b->boolean || !lh_str_equal(a->text, b->text) ||
        !lh_str_equal(a->key, b->key))
        return false;
    const struct ast_node *left = skip_location(a->first), *right = skip_location(b->first);
    while (left && right) {
        if (!is_same(check, left, right))
            return false;
        left = skip_location(left->next);
        right = skip_location(right->next);
    }
    return !left && !right;
}

/* The query that a leading WITH belongs to. */
static struct ast_node *head_query(const struct ast_node *root)
{
    struct ast_node *node = ast_get(ast_at(ast_get(root, "statements"), 0), "node");
    const struct ast_node *from = ast_get(node, "from_table");
    if (ast_is(from, "type", "SHOW_REF") &&
        ast_location(ast_at(ast_get(node, "select_list"), 0)) < 0 && ast_get(from, "query"))
        return ast_get(from, "query");
    return node;
}

/* Takes the names that were put in front out of the tree again. */
static bool take_ctes(const struct query_check *check, const struct ast_node *original,
                      struct ast_node *head)
{
    struct ast_node *list = ast_get(ast_get(head, "cte_map"), "map");
    bool any = false;
    for (const struct query_ref *ref = check->refs; ref; ref = ref->next) {
        if (!is_first_of_cte(check, ref))
            continue;
        const struct ast_node *first = list ? list->first : NULL;
        const struct ast_node *query = ast_get(ast_get(first, "value"), "query");
        if (!first || !lh_str_equal(ast_text(first, "key"), ref->name) ||
            !is_stand_in(ast_get(query, "node")))
            return false;
        list->first = first->next;
        any = true;
    }
    if (any && !list->first && !ast_get(ast_get(original, "cte_map"), "map"))
        ast_remove(ast_get(head, "cte_map"), "map");
    if (any && !list->first && !ast_get(original, "cte_map"))
        ast_remove(head, "cte_map");
    return true;
}

bool query_splice_proven(const struct query_check *check, const struct ast_node *original,
                         struct ast_node *spliced)
{
    struct ast_node *head = head_query(spliced);
    return head && take_ctes(check, head_query(original), head) &&
           is_same(check, original, spliced);
}
