/* A statement as a tree: what the engine's parser made of the text, to be read, changed and
 * compared.
 *
 * The tree is the engine's own JSON, kept exactly: numbers stay the text they were (locations and
 * constants go beyond int64), members keep their order. All nodes live in the arena they were made
 * in; changing a tree is relinking. The reader and every walk here stop at AST_DEPTH_MAX, so that
 * no statement, however nested, reaches the end of a stack. Not thread-safe. Does not block.
 */
#ifndef LAKEHOUSE_ENGINE_AST_H
#define LAKEHOUSE_ENGINE_AST_H

#include "base/arena.h"
#include "base/buf.h"

enum ast_kind { AST_NULL, AST_BOOL, AST_NUMBER, AST_TEXT, AST_LIST, AST_OBJECT };

#define AST_DEPTH_MAX 1024   /* of JSON: an operator inside an operator costs two */
#define AST_NODES_MAX 250000 /* a 64 KB statement of names and operators stays below */
#define AST_LOCATION_NONE (-1)

struct ast_node {
    enum ast_kind kind;
    bool boolean;           /* AST_BOOL */
    struct lh_str key;      /* the name as a member of an object; absent in lists and at the root */
    struct lh_str text;     /* AST_NUMBER: its digits; AST_TEXT: the text, unescaped */
    struct ast_node *first; /* AST_LIST, AST_OBJECT */
    struct ast_node *next;  /* the sibling after this one */
};

/* Reads one JSON value. LH_TOO_LARGE past the depth or node limit, LH_MALFORMED otherwise. */
enum lh_code ast_read(struct lh_str json, struct lh_arena *arena, struct ast_node **ret,
                      struct lh_error *err) LH_MUST_USE;
/* Writes it back; reading that gives an equal tree. */
void ast_write(const struct ast_node *node, struct lh_buf *buf);

/* Looks. Each accepts NULL and nodes of another kind, and answers NULL, absent text or the given
 * default. */
struct ast_node *ast_get(const struct ast_node *object, const char *key);
struct ast_node *ast_at(const struct ast_node *list, size_t index);
size_t ast_count(const struct ast_node *node); /* children; walks them */
struct lh_str ast_text(const struct ast_node *object,
                       const char *key); /* of a TEXT or NUMBER member */
bool ast_bool(const struct ast_node *object, const char *key, bool absent);
bool ast_is(const struct ast_node *object, const char *key,
            const char *text); /* the member is that TEXT */
/* The byte in the statement's text that the node speaks of ("query_location"), or
 * AST_LOCATION_NONE. */
int64_t ast_location(const struct ast_node *object);

/* Changes. Nodes are made in `arena`; text is copied. */
struct ast_node *ast_new(struct lh_arena *arena, enum ast_kind kind);
struct ast_node *ast_new_text(struct lh_arena *arena, struct lh_str text);
struct ast_node *ast_new_number(struct lh_arena *arena, int64_t number);
struct ast_node *ast_copy(struct lh_arena *arena, const struct ast_node *node); /* deep */
/* Sets a member, replacing one of that name in its place, else as the last. `value` must stand
 * nowhere else. */
void ast_set(struct lh_arena *arena, struct ast_node *object, const char *key,
             struct ast_node *value);
void ast_remove(struct ast_node *object, const char *key);
void ast_append(struct ast_node *list, struct ast_node *value);
/* Turns `node` into `by` where it stands: its key and place stay. `by` is used up. */
void ast_become(struct ast_node *node, const struct ast_node *by);

/* Equal up to locations: members named query_location do not count. Members compare by order.
 * On a difference *ret_a and *ret_b (may be NULL) are the outermost nodes that differ (NULL:
 * missing). */
bool ast_equal(const struct ast_node *a, const struct ast_node *b, const struct ast_node **ret_a,
               const struct ast_node **ret_b);

#endif
