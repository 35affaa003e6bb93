/* A statement's text and tree: tokens, the reviewed functions, the check, the splice. Inside query/
 * only. */
#ifndef LAKEHOUSE_QUERY_STATEMENT_H
#define LAKEHOUSE_QUERY_STATEMENT_H

#include "query/relations.h"

/* --- token.c: the statement's text as the engine's lexer cuts it -------------------------------*/

enum query_token_kind {
    QUERY_TOKEN_END,
    QUERY_TOKEN_WORD,   /* an unquoted name or keyword */
    QUERY_TOKEN_QUOTED, /* "name" */
    QUERY_TOKEN_STRING, /* 'text', E'text', $$text$$ */
    QUERY_TOKEN_OTHER   /* a number, a parameter, or one character of punctuation */
};

struct query_token {
    enum query_token_kind kind;
    size_t start;
    size_t end;
};

/* The first token at or after `at`, comments and blanks skipped. */
struct query_token query_token_at(struct lh_str sql, size_t at);
bool query_token_is(struct lh_str sql, struct query_token token, const char *word); /* any case */
bool query_token_is_char(struct lh_str sql, struct query_token token, char character);
/* The end of the group that opens with the '(' at `token`; 0 if it never closes. */
size_t query_token_group_end(struct lh_str sql, struct query_token token);

/* turn.c. The statement with every AT (…) AS alias as AS alias AT (…), of the same length, in
 * `arena`; false: there is none, or no memory for it. */
bool query_turn_aliases(struct lh_str sql, struct lh_arena *arena, struct lh_str *ret);

/* --- functions.c: what SQL may call ------------------------------------------------------------*/

enum query_function_kind { QUERY_FUNCTION_SCALAR, QUERY_FUNCTION_TABLE };
enum query_function_verdict {
    QUERY_FUNCTION_UNKNOWN, /* the engine has none of that name */
    QUERY_FUNCTION_ALLOWED,
    QUERY_FUNCTION_FILES,    /* reads or writes files */
    QUERY_FUNCTION_STRINGS,  /* runs or parses strings as SQL */
    QUERY_FUNCTION_CATALOG,  /* speaks of the engine's own catalog */
    QUERY_FUNCTION_SETTINGS, /* reads or changes settings, variables, sequences, logs */
    QUERY_FUNCTION_INTERNAL, /* for the engine itself */
    QUERY_FUNCTION_WAITS     /* holds a thread for nothing */
};

struct query_function {
    const char *name;
    enum query_function_kind kind;
    enum query_function_verdict verdict;
};
extern const struct query_function query_functions[]; /* by name, bytewise, then by kind */
extern const size_t query_function_count;

enum query_function_verdict query_function_verdict(struct lh_str name,
                                                   enum query_function_kind kind);
const char *
query_function_reason(enum query_function_verdict verdict); /* "reads or writes files" */

/* --- sizes.c: what a call makes of constants --------------------------------------------------*/

/* LH_TOO_LARGE when a scalar call makes more of its constants than one value may hold. */
enum lh_code query_check_size(const struct ast_node *call, struct lh_error *err) LH_MUST_USE;

/* --- check.c: the allow-list, and the table references that it meets ---------------------------*/

/* How a reference is written, and so what takes its place. */
enum query_ref_form {
    QUERY_REF_TABLE, /* FROM t …: ( … ) AS "t" */
    QUERY_REF_SHOWN  /* DESCRIBE t, TABLE t: SELECT * FROM ( … ) AS "t" */
};

struct query_ref {
    const struct ast_node *node; /* BASE_TABLE */
    struct lh_str name;
    size_t location; /* byte in the statement */
    enum query_ref_form form;
    bool has_alias;
    bool is_named; /* part of an expression that names a column of the result by its own text */
    bool has_moment;
    struct query_moment moment;
    size_t start, end;       /* what is replaced, filled by query_splice_plan */
    size_t at_start, at_end; /* the AT (…) behind it; equal: none */
    size_t relation;         /* index into the plan's relations */
    bool by_cte;             /* left as it stands: a leading CTE of its name is put in */
    struct query_ref *next;
};

struct query_check {
    struct lh_arena *arena;
    struct lh_str sql;
    const struct lh_str *table_functions;
    size_t table_function_count;
    struct query_ref *refs; /* in order of location once query_check_tree has returned */
    size_t ref_count;
    bool lists_datasets;        /* the statement is SHOW TABLES */
    bool calls_table_functions; /* of the lake */
};

/* Walks a parsed statement; LH_REFUSED with the reason and position, or LH_INVALID (AT). */
enum lh_code query_check_tree(struct query_check *check, const struct ast_node *root,
                              struct lh_error *err) LH_MUST_USE;

/* --- splice.c: the caller's text with relations in it ------------------------------------------*/

struct query_piece { /* [at, at + len) of the new text stands for [from, to) of the old */
    size_t at, len;
    size_t from, to;
};

struct query_splice {
    struct lh_str text;
    const struct query_piece *pieces; /* in order */
    size_t piece_count;
};

/* The relation of a reference as text, in parentheses. */
typedef struct lh_str (*query_relation_text)(const void *context, const struct query_ref *ref);

/* Finds what each reference replaces. LH_REFUSED: written in a form that cannot be replaced. */
enum lh_code query_splice_plan(struct query_check *check, struct lh_error *err) LH_MUST_USE;
enum lh_code query_splice_write(const struct query_check *check, query_relation_text text,
                                const void *context, struct lh_arena *arena,
                                struct query_splice *ret, struct lh_error *err) LH_MUST_USE;
/* True if `spliced` (parsed from a text whose relations are QUERY_STAND_IN) is `original` but for
 * the replaced references. */
bool query_splice_proven(const struct query_check *check, const struct ast_node *original,
                         struct ast_node *spliced);
#define QUERY_STAND_IN "(SELECT 1)"

/* The byte of the caller's text that a byte of the spliced one stands for. */
int64_t query_splice_back(const struct query_splice *splice, int64_t position);

#endif
