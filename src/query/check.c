/* The allow-list: which nodes a statement may be made of, member by member.
 *
 * Everything the engine's parser can say about a SELECT stands in the tables below, with what each
 * member holds. What is not there is refused, so a newer engine's additions are refused until
 * somebody has looked at them. The same walk meets every table reference and tells names of common
 * table expressions from names of datasets, by the engine's own scoping.
 */
#include "query/internal.h"

enum member_kind {
    VALUE, /* scalars and lists of names: nothing inside that could read or call */
    EXPRESSION,
    EXPRESSIONS,
    ROWS,    /* lists of lists of expressions */
    KEYED,   /* [{key, value: expression}] */
    CASES,   /* [{when_expr, then_expr}] */
    ITEMS,   /* expressions that name columns of a result */
    ORDERS,  /* [{expression}] */
    PIVOTS,  /* [{pivot_expressions, entries: [{star_expr}]}] */
    ORDER,   /* {orders} */
    LIMITS,  /* result modifiers */
    NODE,    /* a query */
    SELECT,  /* {node} */
    TABLE,   /* a table reference */
    CTES,    /* {map: [{key, value: {query, key_targets}}]}: walked before everything else */
    FUNCTION /* the function of a table function */
};

struct member {
    const char *name;
    enum member_kind kind;
};
struct kind {
    const char *name;
    struct member members[16];
};

static const struct member common_members[] = {
    {"class", VALUE}, {"type", VALUE}, {"alias", VALUE}, {"query_location", VALUE}, {NULL, VALUE}};

static const struct kind expressions[] = {
    {"BETWEEN", {{"input", EXPRESSION}, {"lower", EXPRESSION}, {"upper", EXPRESSION}}},
    {"CASE", {{"case_checks", CASES}, {"else_expr", EXPRESSION}}},
    {"CAST", {{"child", EXPRESSION}, {"cast_type", VALUE}, {"try_cast", VALUE}}},
    {"COLLATE", {{"child", EXPRESSION}, {"collation", VALUE}}},
    {"COLUMN_REF", {{"column_names", VALUE}}},
    {"COMPARISON", {{"left", EXPRESSION}, {"right", EXPRESSION}}},
    {"CONJUNCTION", {{"children", EXPRESSIONS}}},
    {"CONSTANT", {{"value", VALUE}}},
    {"FUNCTION",
     {{"function_name", VALUE},
      {"schema", VALUE},
      {"catalog", VALUE},
      {"children", EXPRESSIONS},
      {"filter", EXPRESSION},
      {"order_bys", ORDER},
      {"distinct", VALUE},
      {"is_operator", VALUE}}},
    {"LAMBDA", {{"lhs", EXPRESSION}, {"expr", EXPRESSION}, {"syntax_type", VALUE}}},
    {"OPERATOR", {{"children", EXPRESSIONS}}},
    {"PARAMETER", {{"identifier", VALUE}}},
    {"POSITIONAL_REFERENCE", {{"index", VALUE}}},
    {"STAR",
     {{"relation_name", VALUE},
      {"exclude_list", VALUE},
      {"qualified_exclude_list", VALUE},
      {"rename_list", VALUE},
      {"replace_list", KEYED},
      {"columns", VALUE},
      {"unpacked", VALUE},
      {"expr", EXPRESSION}}},
    {"SUBQUERY",
     {{"subquery_type", VALUE},
      {"subquery", SELECT},
      {"child", EXPRESSION},
      {"comparison_type", VALUE}}},
    {"WINDOW",
     {{"function_name", VALUE},
      {"schema", VALUE},
      {"catalog", VALUE},
      {"children", EXPRESSIONS},
      {"partitions", EXPRESSIONS},
      {"orders", ORDERS},
      {"start", VALUE},
      {"end", VALUE},
      {"start_expr", EXPRESSION},
      {"end_expr", EXPRESSION},
      {"offset_expr", EXPRESSION},
      {"default_expr", EXPRESSION},
      {"ignore_nulls", VALUE},
      {"filter_expr", EXPRESSION},
      {"exclude_clause", VALUE},
      {"distinct", VALUE}}},
};
/* A window has one member more than a row of the table holds. */
static const struct kind window_rest = {"WINDOW", {{"arg_orders", ORDERS}}};

static const struct kind nodes[] = {
    {"SELECT_NODE",
     {{"cte_map", CTES},
      {"select_list", ITEMS},
      {"from_table", TABLE},
      {"where_clause", EXPRESSION},
      {"group_expressions", EXPRESSIONS},
      {"group_sets", VALUE},
      {"aggregate_handling", VALUE},
      {"having", EXPRESSION},
      {"sample", VALUE},
      {"qualify", EXPRESSION},
      {"modifiers", LIMITS}}},
    {"SET_OPERATION_NODE",
     {{"cte_map", CTES},
      {"setop_type", VALUE},
      {"setop_all", VALUE},
      {"left", NODE},
      {"right", NODE},
      {"modifiers", LIMITS}}},
    {"RECURSIVE_CTE_NODE",
     {{"cte_map", CTES},
      {"cte_name", VALUE},
      {"union_all", VALUE},
      {"left", NODE},
      {"right", NODE},
      {"aliases", VALUE},
      {"key_targets", EXPRESSIONS},
      {"modifiers", LIMITS}}},
};

static const struct kind tables[] = {
    {"BASE_TABLE",
     {{"sample", VALUE},
      {"schema_name", VALUE},
      {"table_name", VALUE},
      {"catalog_name", VALUE},
      {"column_name_alias", VALUE},
      {"at_clause", VALUE}}},
    {"EMPTY", {{"sample", VALUE}}},
    {"EXPRESSION_LIST",
     {{"sample", VALUE}, {"expected_names", VALUE}, {"expected_types", VALUE}, {"values", ROWS}}},
    {"JOIN",
     {{"sample", VALUE},
      {"left", TABLE},
      {"right", TABLE},
      {"condition", EXPRESSION},
      {"join_type", VALUE},
      {"ref_type", VALUE},
      {"using_columns", VALUE}}},
    {"PIVOT",
     {{"sample", VALUE},
      {"source", TABLE},
      {"aggregates", ITEMS},
      {"unpivot_names", VALUE},
      {"pivots", PIVOTS},
      {"groups", VALUE},
      {"column_name_alias", VALUE},
      {"include_nulls", VALUE}}},
    {"SHOW_REF",
     {{"sample", VALUE},
      {"query", NODE},
      {"show_type", VALUE},
      {"table_name", VALUE},
      {"schema_name", VALUE},
      {"catalog_name", VALUE}}},
    {"SUBQUERY", {{"sample", VALUE}, {"subquery", SELECT}, {"column_name_alias", VALUE}}},
    {"TABLE_FUNCTION",
     {{"sample", VALUE},
      {"function", FUNCTION},
      {"column_name_alias", VALUE},
      {"with_ordinality", VALUE}}},
};

static const struct kind modifiers[] = {
    {"LIMIT_MODIFIER", {{"limit", EXPRESSION}, {"offset", EXPRESSION}}},
    {"LIMIT_PERCENT_MODIFIER", {{"limit", EXPRESSION}, {"offset", EXPRESSION}}},
    {"DISTINCT_MODIFIER", {{"distinct_on_targets", EXPRESSIONS}}},
    {"ORDER_MODIFIER", {{"orders", ORDERS}}},
};

/* A name that a WITH brings into sight. */
struct scope {
    struct lh_str name;
    bool is_recursive; /* also as recurring.name */
    const struct scope *outer;
};

struct walk {
    struct query_check *check;
    const struct scope *scope;
    bool is_named; /* inside an expression whose text becomes the name of a column */
    int64_t near;  /* the last location seen, for nodes without one */
    unsigned depth;
    unsigned operators;  /* that the expression stands in */
    unsigned subqueries; /* that it stands in, as an expression */
    struct lh_error *err;
};

/* What the engine's planner does with them grows with the cube of the one and doubles with each of
 * the other, and no deadline reaches it: at these it is done within a second or so. */
#define OPERATORS_MAX 200
#define SUBQUERIES_MAX 16

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static enum lh_code walk_member(struct walk *walk, const struct ast_node *node,
                                enum member_kind kind);

static enum lh_code refuse(const struct walk *walk, const struct ast_node *node, const char *what,
                           struct lh_str name)
{
    int64_t at = ast_location(node);
    return query_fail_at(walk->err, LH_REFUSED, at >= 0 ? at : walk->near,
                         "SQL here may not use %s '%.*s'.", what, LH_ARG(name));
}

static const struct member *find_member(const struct member *members, struct lh_str name)
{
    for (const struct member *member = members; member->name; member++)
        if (lh_str_equal(name, lh_str_of(member->name)))
            return member;
    return NULL;
}

static const struct kind *find_kind(const struct kind *kinds, size_t count, struct lh_str name)
{
    for (size_t i = 0; i < count; i++)
        if (lh_str_equal(name, lh_str_of(kinds[i].name)))
            return &kinds[i];
    return NULL;
}

/* The members of a row end where a name is missing; a full row ends with the array. */
static const struct member *kind_member(const struct kind *kind, struct lh_str name)
{
    for (size_t i = 0; i < COUNT(kind->members) && kind->members[i].name; i++)
        if (lh_str_equal(name, lh_str_of(kind->members[i].name)))
            return &kind->members[i];
    if (lh_str_equal(lh_str_of(kind->name), lh_lit("WINDOW")))
        return find_member(window_rest.members, name);
    return find_member(common_members, name);
}

static enum lh_code walk_members(struct walk *walk, const struct ast_node *node,
                                 const struct kind *kind)
{
    for (const struct ast_node *child = node->first; child; child = child->next) {
        const struct member *member = find_member(common_members, child->key);
        if (!member)
            member = kind_member(kind, child->key);
        if (!member)
            return refuse(walk, node, "the form", child->key);
        if (member->kind == VALUE || member->kind == CTES)
            continue;
        enum lh_code code = walk_member(walk, child, member->kind);
        if (code)
            return code;
    }
    return LH_OK;
}

static enum lh_code walk_list(struct walk *walk, const struct ast_node *list, enum member_kind kind)
{
    for (const struct ast_node *item = list->first; item; item = item->next) {
        enum lh_code code = walk_member(walk, item, kind);
        if (code)
            return code;
    }
    return LH_OK;
}

/* --- functions */

static bool is_lake_function(const struct query_check *check, struct lh_str name)
{
    for (size_t i = 0; i < check->table_function_count; i++)
        if (lh_str_equal_nocase(check->table_functions[i], name))
            return true;
    return false;
}

static enum lh_code refuse_function(const struct walk *walk, const struct ast_node *node,
                                    struct lh_str name, enum query_function_kind kind,
                                    enum query_function_verdict verdict)
{
    int64_t at = ast_location(node);
    if (verdict != QUERY_FUNCTION_UNKNOWN) {
        query_fail_at(walk->err, LH_REFUSED, at, "The function '%.*s' %s, which SQL here may not.",
                      LH_ARG(name), query_function_reason(verdict));
        if (verdict == QUERY_FUNCTION_FILES)
            lh_error_hint(walk->err, "Ingest the file as a dataset and name that.");
        return LH_REFUSED;
    }
    struct lh_str names[1024];
    size_t count = 0;
    for (size_t i = 0; i < query_function_count && count < COUNT(names); i++)
        if (query_functions[i].kind == kind && query_functions[i].verdict == QUERY_FUNCTION_ALLOWED)
            names[count++] = lh_str_of(query_functions[i].name);
    struct lh_str nearest = lh_str_nearest(name, names, count);
    query_fail_at(walk->err, LH_SQL, at, "There is no %sfunction '%.*s'.",
                  kind == QUERY_FUNCTION_TABLE ? "table " : "", LH_ARG(name));
    if (nearest.len)
        lh_error_hint(walk->err, "Did you mean '%.*s'?", LH_ARG(nearest));
    return LH_SQL;
}

static enum lh_code check_function(const struct walk *walk, const struct ast_node *node,
                                   enum query_function_kind kind)
{
    struct lh_str name = ast_text(node, "function_name");
    if (kind == QUERY_FUNCTION_TABLE && is_lake_function(walk->check, name)) {
        walk->check->calls_table_functions = true;
        return LH_OK;
    }
    enum query_function_verdict verdict = query_function_verdict(name, kind);
    /* As an expression it makes rows of a list; the engine lists it as a table function only. */
    if (verdict == QUERY_FUNCTION_UNKNOWN && (lh_str_equal_nocase(name, lh_lit("unnest")) ||
                                              lh_str_equal_nocase(name, lh_lit("unlist"))))
        verdict = QUERY_FUNCTION_ALLOWED;
    if (verdict == QUERY_FUNCTION_ALLOWED)
        return LH_OK;
    return refuse_function(walk, node, name, kind, verdict);
}

/* --- expressions */

static enum lh_code check_cast(const struct walk *walk, const struct ast_node *node)
{
    const struct ast_node *info = ast_get(ast_get(node, "cast_type"), "type_info");
    struct lh_str catalog = ast_text(info, "catalog"), schema = ast_text(info, "schema");
    if (catalog.len || schema.len)
        return refuse(walk, node, "the type of another schema", ast_text(info, "name"));
    return LH_OK;
}

static enum lh_code check_nesting(const struct walk *walk)
{
    bool is_query = walk->subqueries > SUBQUERIES_MAX;
    if (!is_query && walk->operators <= OPERATORS_MAX)
        return LH_OK;
    query_fail_at(walk->err, LH_TOO_LARGE, walk->near, "The statement nests its %s too deeply.",
                  is_query ? "subqueries" : "expressions");
    if (is_query)
        return lh_error_hint(walk->err,
                             "At most %d subqueries stand within each other as values; write them "
                             "as tables, with FROM or WITH.",
                             SUBQUERIES_MAX);
    return lh_error_hint(walk->err,
                         "At most %d operators and calls stand within each other; long sums can be "
                         "written as list_sum([…]), long texts as concat(…).",
                         OPERATORS_MAX);
}

static enum lh_code walk_expression(struct walk *walk, const struct ast_node *node)
{
    struct lh_str class = ast_text(node, "class");
    const struct kind *kind = find_kind(expressions, COUNT(expressions), class);
    if (!kind)
        return refuse(walk, node, "an expression of the kind", class);
    if (ast_location(node) >= 0)
        walk->near = ast_location(node);
    bool is_query = lh_str_equal(class, lh_lit("SUBQUERY"));
    walk->operators++;
    walk->subqueries += is_query;
    enum lh_code code = check_nesting(walk);
    if (code)
        return code;
    if (lh_str_equal(class, lh_lit("FUNCTION")) || lh_str_equal(class, lh_lit("WINDOW")))
        code = check_function(walk, node, QUERY_FUNCTION_SCALAR);
    else if (lh_str_equal(class, lh_lit("CAST")))
        code = check_cast(walk, node);
    if (!code && lh_str_equal(class, lh_lit("FUNCTION")))
        code = query_check_size(node, walk->err);
    if (!code)
        code = walk_members(walk, node, kind);
    walk->operators--;
    walk->subqueries -= is_query;
    return code;
}

/* An expression without an alias names its column by its own text, subqueries included. */
static enum lh_code walk_items(struct walk *walk, const struct ast_node *list)
{
    bool was_named = walk->is_named;
    enum lh_code code = LH_OK;
    for (const struct ast_node *item = list->first; item && !code; item = item->next) {
        walk->is_named = was_named || !ast_text(item, "alias").len;
        code = walk_expression(walk, item);
    }
    walk->is_named = was_named;
    return code;
}

/* --- tables */

static const struct scope *find_scope(const struct walk *walk, struct lh_str name)
{
    for (const struct scope *scope = walk->scope; scope; scope = scope->outer)
        if (lh_str_equal_nocase(scope->name, name))
            return scope;
    return NULL;
}

/* Other types than these are refused: the tree holds a decimal as its digits without the point. */
static const char *const version_types[] = {"TINYINT",  "SMALLINT", "INTEGER",
                                            "BIGINT",   "UTINYINT", "USMALLINT",
                                            "UINTEGER", "UBIGINT",  "VARCHAR"};
static const char *const time_types[] = {"VARCHAR", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE",
                                         "DATE"};

static bool is_one_of(struct lh_str name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (lh_str_equal(name, lh_str_of(names[i])))
            return true;
    return false;
}

/* The text of a constant, of one or two types that a moment may have; absent if it has another. */
static struct lh_str moment_text(const struct ast_node *expr, bool is_version)
{
    const char *const *types = is_version ? version_types : time_types;
    size_t count = is_version ? COUNT(version_types) : COUNT(time_types);
    if (ast_is(expr, "class", "CAST")) {
        if (!is_one_of(ast_text(ast_get(expr, "cast_type"), "id"), types, count))
            return (struct lh_str){0};
        expr = ast_get(expr, "child");
    }
    const struct ast_node *value = ast_get(expr, "value");
    if (!is_one_of(ast_text(ast_get(value, "type"), "id"), types, count))
        return (struct lh_str){0};
    return ast_text(value, "value");
}

/* The caller's own words for the moment: from where it stands to the parenthesis that ends it. */
static struct lh_str moment_words(const struct walk *walk, int64_t at)
{
    struct lh_str sql = walk->check->sql;
    if (at < 0 || (size_t)at >= sql.len)
        return lh_lit("…");
    struct lh_str rest = lh_str_slice(sql, (size_t)at, sql.len);
    return lh_str_head(lh_str_trim(lh_str_cut(&rest, ')')), 60);
}

static enum lh_code read_at(const struct walk *walk, const struct ast_node *table,
                            struct query_ref *ref)
{
    const struct ast_node *at = ast_get(table, "at_clause");
    if (!at)
        return LH_OK;
    const struct ast_node *expr = ast_get(at, "expr"), *constant = expr;
    if (ast_is(expr, "class", "CAST"))
        constant = ast_get(expr, "child");
    if (!ast_is(constant, "class", "CONSTANT")) {
        query_fail_at(walk->err, LH_INVALID, ast_location(table),
                      "The moment in AT (…) behind '%.*s' must be a constant.", LH_ARG(ref->name));
        return lh_error_hint(walk->err, "Write AT (VERSION => 3) or AT (TIMESTAMP => "
                                        "'2026-01-31T09:00:00Z'), or send as_of.");
    }
    bool is_version = lh_str_equal_nocase(ast_text(at, "unit"), lh_lit("VERSION"));
    struct lh_str text = moment_text(expr, is_version);
    struct query_moment moment = {.kind = is_version ? QUERY_AT_VERSION : QUERY_AT_TIME};
    int64_t place = ast_location(constant), version = 0;
    if (is_version && (!lh_str_to_int(text, &version) || version < 1))
        return query_fail_at(walk->err, LH_INVALID, place,
                             "A version is a whole number from 1 on, not %.*s.",
                             LH_ARG(moment_words(walk, place)));
    moment.version = (uint64_t)version;
    if (!is_version && !query_time_read(text, &moment.unix_ms)) {
        query_fail_at(walk->err, LH_INVALID, place, "%.*s is not a time.",
                      LH_ARG(moment_words(walk, place)));
        return lh_error_hint(walk->err, "Write it as '2026-01-31T09:00:00Z' or '2026-01-31'.");
    }
    ref->has_moment = true;
    ref->moment = moment;
    return LH_OK;
}

static enum lh_code refuse_schema(const struct walk *walk, const struct ast_node *node,
                                  struct lh_str name)
{
    struct lh_str schema = ast_text(node, "schema_name"), catalog = ast_text(node, "catalog_name");
    query_fail_at(walk->err, LH_REFUSED, ast_location(node),
                  "'%.*s%s%.*s.%.*s' names another schema; SQL here sees datasets only.",
                  LH_ARG(catalog), catalog.len ? "." : "", LH_ARG(schema), LH_ARG(name));
    return lh_error_hint(walk->err, "Write the dataset's name alone; SHOW TABLES lists them.");
}

static void add_ref(struct query_check *check, const struct query_ref *found)
{
    struct query_ref *ref = lh_arena_alloc(check->arena, sizeof *ref);
    *ref = *found;
    struct query_ref **at = &check->refs;
    while (*at && (*at)->location < ref->location)
        at = &(*at)->next;
    ref->next = *at;
    *at = ref;
    check->ref_count++;
}

static enum lh_code check_base_table(struct walk *walk, const struct ast_node *node)
{
    struct query_ref ref = {.node = node,
                            .name = ast_text(node, "table_name"),
                            .has_alias = ast_text(node, "alias").len > 0,
                            .is_named = walk->is_named};
    int64_t location = ast_location(node);
    struct lh_str schema = ast_text(node, "schema_name"), catalog = ast_text(node, "catalog_name");
    const struct scope *scope = catalog.len ? NULL : find_scope(walk, ref.name);
    bool is_cte =
        scope &&
        (!schema.len || (scope->is_recursive && lh_str_equal_nocase(schema, lh_lit("recurring"))));
    if (is_cte) {
        if (ast_get(node, "at_clause"))
            return query_fail_at(walk->err, LH_REFUSED, location,
                                 "'%.*s' is a name of this statement's WITH; only datasets have "
                                 "versions.",
                                 LH_ARG(ref.name));
        return LH_OK;
    }
    if (schema.len || catalog.len)
        return refuse_schema(walk, node, ref.name);
    if (location < 0 || (size_t)location >= walk->check->sql.len)
        return lh_fail(walk->err, LH_REFUSED, "The reference to '%.*s' has no place in the text.",
                       LH_ARG(ref.name));
    ref.location = (size_t)location;
    enum lh_code code = read_at(walk, node, &ref);
    if (!code)
        add_ref(walk->check, &ref);
    return code;
}

static enum lh_code check_show(const struct walk *walk, const struct ast_node *node)
{
    if (ast_get(node, "query"))
        return LH_OK;
    struct lh_str what = ast_text(node, "table_name");
    query_fail_at(walk->err, LH_REFUSED, walk->near,
                  "SHOW here lists datasets, nothing else%s%.*s.", what.len ? ": not " : "",
                  LH_ARG(what));
    return lh_error_hint(walk->err, "Write SHOW TABLES, or DESCRIBE with a dataset's name.");
}

static enum lh_code walk_table(struct walk *walk, const struct ast_node *node)
{
    struct lh_str type = ast_text(node, "type");
    const struct kind *kind = find_kind(tables, COUNT(tables), type);
    if (!kind)
        return refuse(walk, node, "a table of the kind", type);
    if (ast_location(node) >= 0)
        walk->near = ast_location(node);
    if (lh_str_equal(type, lh_lit("SHOW_REF"))) {
        enum lh_code code = check_show(walk, node);
        if (code)
            return code;
    }
    enum lh_code code = walk_members(walk, node, kind);
    if (!code && lh_str_equal(type, lh_lit("BASE_TABLE")))
        code = check_base_table(walk, node);
    return code;
}

/* --- queries */

static enum lh_code walk_cte(struct walk *walk, const struct ast_node *value)
{
    for (const struct ast_node *child = value->first; child; child = child->next) {
        static const struct member members[] = {{"aliases", VALUE},
                                                {"materialized", VALUE},
                                                {"query", SELECT},
                                                {"key_targets", EXPRESSIONS},
                                                {NULL, VALUE}};
        const struct member *member = find_member(members, child->key);
        if (!member)
            return refuse(walk, value, "the form", child->key);
        enum lh_code code = member->kind == VALUE ? LH_OK : walk_member(walk, child, member->kind);
        if (code)
            return code;
    }
    return LH_OK;
}

/* Each name is in sight of what comes after it, not of itself: a WITH that is named as a dataset
 * reads that dataset. Recursion brings the name into sight of its second half only. */
static enum lh_code walk_ctes(struct walk *walk, const struct ast_node *map)
{
    const struct ast_node *list = ast_get(map, "map");
    for (const struct ast_node *item = list ? list->first : NULL; item; item = item->next) {
        const struct ast_node *value = ast_get(item, "value");
        enum lh_code code =
            value ? walk_cte(walk, value) : refuse(walk, item, "the form", lh_lit("cte_map"));
        if (code)
            return code;
        struct scope *scope = lh_arena_alloc(walk->check->arena, sizeof *scope);
        *scope = (struct scope){.name = ast_text(item, "key"), .outer = walk->scope};
        walk->scope = scope;
    }
    return LH_OK;
}

static enum lh_code walk_recursive(struct walk *walk, const struct ast_node *node)
{
    const struct scope *outer = walk->scope;
    struct scope own = {.name = ast_text(node, "cte_name"), .is_recursive = true, .outer = outer};
    enum lh_code code = LH_OK;
    for (const struct ast_node *child = node->first; child && !code; child = child->next) {
        const struct member *member = kind_member(&nodes[2], child->key);
        if (!member)
            return refuse(walk, node, "the form", child->key);
        if (member->kind == VALUE || member->kind == CTES)
            continue;
        if (lh_str_equal(child->key, lh_lit("right")))
            walk->scope = &own;
        code = walk_member(walk, child, member->kind);
        walk->scope = outer;
    }
    return code;
}

static enum lh_code walk_node(struct walk *walk, const struct ast_node *node)
{
    struct lh_str type = ast_text(node, "type");
    const struct kind *kind = find_kind(nodes, COUNT(nodes), type);
    if (!kind)
        return refuse(walk, node, "a statement of the kind", type);
    const struct scope *outer = walk->scope;
    enum lh_code code = walk_ctes(walk, ast_get(node, "cte_map"));
    if (!code)
        code = kind == &nodes[2] ? walk_recursive(walk, node) : walk_members(walk, node, kind);
    walk->scope = outer;
    return code;
}

static enum lh_code walk_modifier(struct walk *walk, const struct ast_node *node)
{
    struct lh_str type = ast_text(node, "type");
    const struct kind *kind = find_kind(modifiers, COUNT(modifiers), type);
    return kind ? walk_members(walk, node, kind) : refuse(walk, node, "the clause", type);
}

static enum lh_code walk_pivot(struct walk *walk, const struct ast_node *node)
{
    if (ast_text(node, "pivot_enum").len)
        return refuse(walk, node, "the enum type", ast_text(node, "pivot_enum"));
    enum lh_code code = LH_OK;
    const struct ast_node *list = ast_get(node, "pivot_expressions");
    if (list)
        code = walk_list(walk, list, EXPRESSION);
    const struct ast_node *entries = ast_get(node, "entries");
    for (const struct ast_node *entry = entries ? entries->first : NULL; entry && !code;
         entry = entry->next) {
        const struct ast_node *star = ast_get(entry, "star_expr");
        if (star && star->kind == AST_OBJECT)
            code = walk_expression(walk, star);
    }
    return code;
}

static enum lh_code walk_parts(struct walk *walk, const struct ast_node *item,
                               const struct member *members)
{
    for (const struct ast_node *child = item->first; child; child = child->next) {
        const struct member *member = find_member(members, child->key);
        if (!member)
            return refuse(walk, item, "the form", child->key);
        enum lh_code code = member->kind == VALUE ? LH_OK : walk_member(walk, child, member->kind);
        if (code)
            return code;
    }
    return LH_OK;
}

static enum lh_code walk_inner(struct walk *walk, const struct ast_node *node,
                               enum member_kind kind)
{
    static const struct member case_parts[] = {
        {"when_expr", EXPRESSION}, {"then_expr", EXPRESSION}, {NULL, VALUE}};
    static const struct member keyed_parts[] = {
        {"key", VALUE}, {"value", EXPRESSION}, {NULL, VALUE}};
    static const struct member order_parts[] = {
        {"type", VALUE}, {"null_order", VALUE}, {"expression", EXPRESSION}, {NULL, VALUE}};
    static const struct member orders_parts[] = {
        {"type", VALUE}, {"orders", ORDERS}, {NULL, VALUE}};
    static const struct member select_parts[] = {
        {"node", NODE}, {"named_param_map", VALUE}, {NULL, VALUE}};
    enum lh_code code = LH_OK;
    switch (kind) {
    case EXPRESSIONS:
        return walk_list(walk, node, EXPRESSION);
    case ROWS:
        return walk_list(walk, node, EXPRESSIONS);
    case CASES:
    case KEYED:
    case ORDERS: {
        const struct member *parts = kind == CASES   ? case_parts
                                     : kind == KEYED ? keyed_parts
                                                     : order_parts;
        for (const struct ast_node *item = node->first; item && !code; item = item->next)
            code = walk_parts(walk, item, parts);
        return code;
    }
    case PIVOTS:
        for (const struct ast_node *item = node->first; item && !code; item = item->next)
            code = walk_pivot(walk, item);
        return code;
    case ORDER:
        return walk_parts(walk, node, orders_parts);
    case LIMITS:
        for (const struct ast_node *item = node->first; item && !code; item = item->next)
            code = walk_modifier(walk, item);
        return code;
    case SELECT:
        return walk_parts(walk, node, select_parts);
    case FUNCTION:
        code = ast_is(node, "class", "FUNCTION")
                   ? check_function(walk, node, QUERY_FUNCTION_TABLE)
                   : refuse(walk, node, "as a table", ast_text(node, "class"));
        return code ? code
                    : walk_members(walk, node,
                                   find_kind(expressions, COUNT(expressions), lh_lit("FUNCTION")));
    default:
        return LH_OK;
    }
}

static enum lh_code walk_member(struct walk *walk, const struct ast_node *node,
                                enum member_kind kind)
{
    if (node->kind == AST_NULL)
        return LH_OK;
    if (++walk->depth > 2 * AST_DEPTH_MAX)
        return lh_fail(walk->err, LH_TOO_LARGE, "The statement is nested too deeply.");
    enum lh_code code;
    switch (kind) {
    case EXPRESSION:
        code = walk_expression(walk, node);
        break;
    case ITEMS:
        code = walk_items(walk, node);
        break;
    case TABLE:
        code = walk_table(walk, node);
        break;
    case NODE:
        code = walk_node(walk, node);
        break;
    default:
        code = walk_inner(walk, node, kind);
        break;
    }
    walk->depth--;
    return code;
}

/* SHOW TABLES alone: SELECT * that stands nowhere, over a SHOW_REF of that name. */
static bool is_show_tables(const struct ast_node *node)
{
    const struct ast_node *from = ast_get(node, "from_table");
    const struct ast_node *star = ast_at(ast_get(node, "select_list"), 0);
    return ast_is(from, "type", "SHOW_REF") && ast_is(from, "table_name", "\"tables\"") &&
           !ast_get(from, "query") && ast_location(star) < 0;
}

enum lh_code query_check_tree(struct query_check *check, const struct ast_node *root,
                              struct lh_error *err)
{
    const struct ast_node *statements = ast_get(root, "statements");
    size_t count = ast_count(statements);
    if (count == 0) {
        lh_fail(err, LH_SYNTAX, "There is no statement in the text.");
        return lh_error_hint(err, "Send one SELECT.");
    }
    if (count > 1) {
        lh_fail(err, LH_REFUSED, "The text holds %zu statements; one is run at a time.", count);
        return lh_error_hint(err, "Send them one after the other.");
    }
    const struct ast_node *statement = ast_at(statements, 0);
    check->lists_datasets = is_show_tables(ast_get(statement, "node"));
    if (check->lists_datasets)
        return LH_OK;
    struct walk walk = {.check = check, .near = -1, .err = err};
    return walk_inner(&walk, statement, SELECT);
}
