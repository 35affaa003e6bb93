#include "gateway/internal.h"

static struct route_node *child_of(struct route_node *node, struct lh_str part,
                                   struct lh_arena *arena)
{
    bool takes_rest = false;
    op_path_field(part, &takes_rest);
    struct route_node **at = takes_rest            ? &node->rest
                             : part.data[0] == '{' ? &node->parameter
                                                   : &node->first;
    if (part.data[0] != '{')
        while (*at && !lh_str_equal((*at)->literal, part))
            at = &(*at)->next;
    if (!*at) {
        *at = lh_arena_alloc(arena, sizeof(struct route_node));
        (*at)->literal = part;
    }
    return *at;
}

struct route_node *route_tree_new(const struct op *const *ops, size_t op_count,
                                  struct lh_arena *arena)
{
    struct route_node *root = lh_arena_alloc(arena, sizeof(*root));
    for (size_t i = 0; i < op_count; i++) {
        struct route_node *node = root;
        struct lh_str rest = lh_str_of(ops[i]->http.path);
        lh_str_cut(&rest, '/');
        while (rest.len)
            node = child_of(node, lh_str_cut(&rest, '/'), arena);
        node->ops[ops[i]->http.method] = ops[i];
    }
    return root;
}

static bool has_ops(const struct route_node *node)
{
    for (size_t i = 0; i < ROUTE_METHODS; i++)
        if (node->ops[i])
            return true;
    return false;
}

/* As deep as the longest path of the table, whatever the request's. */
const struct route_node *route_find(const struct route_node *root, const struct lh_str *segments,
                                    size_t segment_count)
{
    if (!root)
        return NULL;
    if (segment_count == 0)
        return has_ops(root) ? root : NULL;
    for (const struct route_node *node = root->first; node; node = node->next)
        if (lh_str_equal(node->literal, segments[0])) {
            const struct route_node *found = route_find(node, segments + 1, segment_count - 1);
            if (found)
                return found;
        }
    const struct route_node *found = NULL;
    if (!lh_str_empty(segments[0]))
        found = route_find(root->parameter, segments + 1, segment_count - 1);
    return found ? found : root->rest;
}

const struct op *route_op(const struct route_node *node, enum http_method method)
{
    static const enum op_method methods[] = {
        [HTTP_GET] = OP_GET,
        [HTTP_HEAD] = OP_GET,
        [HTTP_POST] = OP_POST,
        [HTTP_PUT] = OP_PUT,
        [HTTP_PATCH] = OP_PATCH,
        [HTTP_DELETE] = OP_DELETE,
        [HTTP_OPTIONS] = OP_METHOD_NONE,
        [HTTP_OTHER] = OP_METHOD_NONE,
    };
    return node->ops[methods[method]];
}

struct lh_str route_allow(const struct route_node *node, struct lh_arena *arena)
{
    static const char *const names[ROUTE_METHODS] = {
        [OP_GET] = "GET, HEAD, ", [OP_POST] = "POST, ",     [OP_PUT] = "PUT, ",
        [OP_PATCH] = "PATCH, ",   [OP_DELETE] = "DELETE, ",
    };
    struct lh_str allow = lh_lit("");
    for (size_t i = 0; i < ROUTE_METHODS; i++)
        if (node->ops[i])
            allow = lh_arena_printf(arena, "%.*s%s", LH_ARG(allow), names[i]);
    return lh_arena_printf(arena, "%.*sOPTIONS", LH_ARG(allow));
}

/* The row's path with the request's own parts in the places of its parameters, so that only the
 * words are compared. */
static struct lh_str path_like(const struct op *op, const struct http_request *request)
{
    struct lh_str rest = lh_str_of(op->http.path);
    struct lh_str path = lh_lit("");
    lh_str_cut(&rest, '/');
    for (size_t i = 0; rest.data; i++) {
        struct lh_str part = lh_str_cut(&rest, '/');
        if (part.data[0] == '{' && i < request->segment_count)
            part = request->segments[i];
        path = lh_arena_printf(request->arena, "%.*s/%.*s", LH_ARG(path), LH_ARG(part));
    }
    return path;
}

enum lh_code route_missing(const struct op *const *ops, size_t op_count,
                           const struct http_request *request, struct lh_error *err)
{
    struct lh_str *paths = lh_arena_array(request->arena, op_count, sizeof(*paths));
    for (size_t i = 0; i < op_count; i++)
        paths[i] = path_like(ops[i], request);
    struct lh_str nearest = lh_str_nearest(request->path, paths, op_count);
    lh_fail(err, LH_NO_ROUTE, "There is nothing at '%.*s'.",
            LH_ARG(lh_str_head(request->path, 200)));
    if (nearest.len)
        return lh_error_hint(err, "The nearest path is %.*s.", LH_ARG(nearest));
    return lh_error_hint(err, "GET /openapi.json lists every path.");
}
