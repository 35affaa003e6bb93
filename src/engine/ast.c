/* Looking at, changing, comparing and writing trees. */
#include "engine/ast.h"

#include <assert.h>

#include "base/json.h"

/* --- looking */

struct ast_node *ast_get(const struct ast_node *object, const char *key)
{
    if (!object || object->kind != AST_OBJECT)
        return NULL;
    size_t len = strlen(key);
    for (struct ast_node *child = object->first; child; child = child->next)
        if (child->key.len == len && memcmp(child->key.data, key, len) == 0)
            return child;
    return NULL;
}

struct ast_node *ast_at(const struct ast_node *list, size_t index)
{
    if (!list || list->kind != AST_LIST)
        return NULL;
    struct ast_node *child = list->first;
    while (child && index-- > 0)
        child = child->next;
    return child;
}

size_t ast_count(const struct ast_node *node)
{
    size_t count = 0;
    if (node)
        for (const struct ast_node *child = node->first; child; child = child->next)
            count++;
    return count;
}

struct lh_str ast_text(const struct ast_node *object, const char *key)
{
    const struct ast_node *member = ast_get(object, key);
    if (!member || (member->kind != AST_TEXT && member->kind != AST_NUMBER))
        return (struct lh_str){0};
    return member->text;
}

bool ast_bool(const struct ast_node *object, const char *key, bool absent)
{
    const struct ast_node *member = ast_get(object, key);
    return member && member->kind == AST_BOOL ? member->boolean : absent;
}

bool ast_is(const struct ast_node *object, const char *key, const char *text)
{
    const struct ast_node *member = ast_get(object, key);
    return member && member->kind == AST_TEXT && lh_str_equal(member->text, lh_str_of(text));
}

int64_t ast_location(const struct ast_node *object)
{
    int64_t location;
    const struct ast_node *member = ast_get(object, "query_location");
    /* Without one it is the largest uint64, which is no int64. */
    if (!member || member->kind != AST_NUMBER || !lh_str_to_int(member->text, &location) ||
        location < 0)
        return AST_LOCATION_NONE;
    return location;
}

/* --- changing */

struct ast_node *ast_new(struct lh_arena *arena, enum ast_kind kind)
{
    struct ast_node *node = lh_arena_alloc(arena, sizeof *node);
    node->kind = kind;
    return node;
}

struct ast_node *ast_new_text(struct lh_arena *arena, struct lh_str text)
{
    struct ast_node *node = ast_new(arena, AST_TEXT);
    node->text = lh_arena_str(arena, text);
    return node;
}

struct ast_node *ast_new_number(struct lh_arena *arena, int64_t number)
{
    struct ast_node *node = ast_new(arena, AST_NUMBER);
    node->text = lh_arena_printf(arena, "%lld", (long long)number);
    return node;
}

struct ast_node *ast_copy(struct lh_arena *arena, const struct ast_node *node)
{
    struct ast_node *copy = ast_new(arena, node->kind);
    *copy = *node;
    copy->next = NULL;
    copy->first = NULL;
    copy->key = lh_arena_str(arena, node->key);
    copy->text = lh_arena_str(arena, node->text);
    struct ast_node **end = &copy->first;
    for (const struct ast_node *child = node->first; child; child = child->next) {
        *end = ast_copy(arena, child);
        end = &(*end)->next;
    }
    return copy;
}

void ast_set(struct lh_arena *arena, struct ast_node *object, const char *key,
             struct ast_node *value)
{
    assert(object->kind == AST_OBJECT && !value->next);
    value->key = lh_arena_str(arena, lh_str_of(key));
    struct ast_node **place = &object->first;
    while (*place && !lh_str_equal((*place)->key, value->key))
        place = &(*place)->next;
    if (*place)
        value->next = (*place)->next;
    *place = value;
}

void ast_remove(struct ast_node *object, const char *key)
{
    assert(object->kind == AST_OBJECT);
    for (struct ast_node **place = &object->first; *place; place = &(*place)->next) {
        if (lh_str_equal((*place)->key, lh_str_of(key))) {
            struct ast_node *removed = *place;
            *place = removed->next;
            removed->next = NULL;
            return;
        }
    }
}

void ast_append(struct ast_node *list, struct ast_node *value)
{
    assert(list->kind == AST_LIST && !value->next);
    struct ast_node **end = &list->first;
    while (*end)
        end = &(*end)->next;
    value->key = (struct lh_str){0};
    *end = value;
}

void ast_become(struct ast_node *node, const struct ast_node *by)
{
    struct lh_str key = node->key;
    struct ast_node *next = node->next;
    *node = *by;
    node->key = key;
    node->next = next;
}

/* --- comparing */

static const struct ast_node *skip_location(const struct ast_node *child)
{
    while (child && lh_str_equal(child->key, lh_lit("query_location")))
        child = child->next;
    return child;
}

static bool equal_alone(const struct ast_node *a, const struct ast_node *b)
{
    return a->kind == b->kind && a->boolean == b->boolean && lh_str_equal(a->key, b->key) &&
           lh_str_equal(a->text, b->text);
}

static bool equal_below(const struct ast_node *a, const struct ast_node *b)
{
    if (!equal_alone(a, b))
        return false;
    const struct ast_node *left = skip_location(a->first), *right = skip_location(b->first);
    while (left && right && equal_below(left, right)) {
        left = skip_location(left->next);
        right = skip_location(right->next);
    }
    return !left && !right;
}

bool ast_equal(const struct ast_node *a, const struct ast_node *b, const struct ast_node **ret_a,
               const struct ast_node **ret_b)
{
    if (equal_below(a, b))
        return true;
    /* Downwards while one pair of children is all that differs. */
    while (equal_alone(a, b)) {
        const struct ast_node *left = skip_location(a->first), *right = skip_location(b->first);
        while (left && right && equal_below(left, right)) {
            left = skip_location(left->next);
            right = skip_location(right->next);
        }
        if (!left || !right) {
            a = left;
            b = right;
            break;
        }
        a = left;
        b = right;
    }
    if (ret_a)
        *ret_a = a;
    if (ret_b)
        *ret_b = b;
    return false;
}

/* --- writing */

void ast_write(const struct ast_node *node, struct lh_buf *buf)
{
    bool is_object = node->kind == AST_OBJECT;
    switch (node->kind) {
    case AST_NULL:
        lh_buf_append(buf, "null", 4);
        return;
    case AST_BOOL:
        lh_buf_append_str(buf, lh_str_of(node->boolean ? "true" : "false"));
        return;
    case AST_NUMBER:
        lh_buf_append_str(buf, node->text);
        return;
    case AST_TEXT:
        lh_json_append_quoted(buf, node->text);
        return;
    case AST_LIST:
    case AST_OBJECT:
        break;
    }
    lh_buf_append_char(buf, is_object ? '{' : '[');
    for (const struct ast_node *child = node->first; child; child = child->next) {
        if (child != node->first)
            lh_buf_append_char(buf, ',');
        if (is_object) {
            lh_json_append_quoted(buf, child->key);
            lh_buf_append_char(buf, ':');
        }
        ast_write(child, buf);
    }
    lh_buf_append_char(buf, is_object ? '}' : ']');
}
