/* SELECT count(*) FROM dataset, which is asked more than anything else, without opening a file: how
 * many rows a version shows is known. Only the plainest form is recognised: a statement that says
 * anything more is the engine's. */
#include "query/internal.h"

#define NAMES_MAX 6

static bool has_only(const struct ast_node *object, const char *const names[NAMES_MAX])
{
    if (!object || object->kind != AST_OBJECT)
        return false;
    for (const struct ast_node *member = object->first; member; member = member->next) {
        bool is_known = false;
        for (size_t i = 0; i < NAMES_MAX && names[i]; i++)
            is_known |= lh_str_equal(member->key, lh_str_of(names[i]));
        if (!is_known)
            return false;
    }
    return true;
}

static bool is_count(const struct ast_node *item)
{
    static const char *const members[NAMES_MAX] = {"class",          "type",          "alias",
                                                   "query_location", "function_name", "order_bys"};
    static const char *const order[NAMES_MAX] = {"type"};
    const struct ast_node *order_bys = ast_get(item, "order_bys");
    return has_only(item, members) && ast_is(item, "class", "FUNCTION") &&
           ast_is(item, "function_name", "count_star") &&
           (!order_bys || has_only(order_bys, order));
}

bool query_is_bare_count(const struct ast_node *tree, struct lh_str *ret_name)
{
    static const char *const statement_members[NAMES_MAX] = {"node"};
    static const char *const node_members[NAMES_MAX] = {"type", "cte_map", "select_list",
                                                        "from_table", "aggregate_handling"};
    static const char *const table_members[NAMES_MAX] = {"type", "alias", "query_location",
                                                         "table_name", "at_clause"};
    const struct ast_node *statements = ast_get(tree, "statements");
    const struct ast_node *statement = ast_at(statements, 0);
    const struct ast_node *node = ast_get(statement, "node");
    const struct ast_node *items = ast_get(node, "select_list");
    const struct ast_node *table = ast_get(node, "from_table");
    if (ast_count(statements) != 1 || !has_only(statement, statement_members) ||
        !has_only(node, node_members) || !ast_is(node, "type", "SELECT_NODE") ||
        !ast_is(node, "aggregate_handling", "STANDARD_HANDLING") ||
        ast_count(ast_get(node, "cte_map")) != 0 || ast_count(items) != 1 ||
        !is_count(ast_at(items, 0)) || !has_only(table, table_members) ||
        !ast_is(table, "type", "BASE_TABLE"))
        return false;
    *ret_name = ast_text(ast_at(items, 0), "alias");
    if (lh_str_empty(*ret_name))
        *ret_name = lh_lit("count_star()"); /* as the engine calls it */
    return true;
}
