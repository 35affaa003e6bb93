/* How much a call makes of constants alone: refused before it runs, because the engine neither
 * interrupts a scalar function nor counts what it allocates in one go.
 *
 * A bound is computed bottom-up where the text says it; sizes that come from columns are not known
 * here and count as one. So this stops what was written by mistake or to do harm in plain sight,
 * and is no proof: README.md tells what stays.
 */
#include <math.h>
#include <stdlib.h>

#include "query/internal.h"

#define MADE_MAX 1000000.0   /* bytes of a text, elements of a list */
#define CELLS_MAX 16000000.0 /* of the table that an edit distance fills */

enum making {
    REPEATS,  /* (what, times) */
    PADS,     /* (what, size, …) */
    COUNTS,   /* (stop), (start, stop) or (start, stop, step) */
    FORMATS,  /* (text with widths, …) */
    JOINS,    /* the sizes of all arguments together */
    MAPS,     /* (list, lambda): once per element */
    COMPARES, /* (a, b): a table of their sizes */
};

static const struct maker {
    const char *name;
    enum making making;
} makers[] = {
    {"||", JOINS},
    {"apply", MAPS},
    {"array_apply", MAPS},
    {"array_cat", JOINS},
    {"array_concat", JOINS},
    {"array_resize", PADS},
    {"array_transform", MAPS},
    {"bitstring", PADS},
    {"concat", JOINS},
    {"damerau_levenshtein", COMPARES},
    {"editdist3", COMPARES},
    {"format", FORMATS},
    {"generate_series", COUNTS},
    {"levenshtein", COMPARES},
    {"list_apply", MAPS},
    {"list_cat", JOINS},
    {"list_concat", JOINS},
    {"list_pack", JOINS},
    {"list_resize", PADS},
    {"list_transform", MAPS},
    {"list_value", JOINS},
    {"lpad", PADS},
    {"printf", FORMATS},
    {"range", COUNTS},
    {"repeat", REPEATS},
    {"rpad", PADS},
};

static const struct maker *find_maker(struct lh_str name)
{
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++)
        if (lh_str_equal_nocase(name, lh_str_of(makers[i].name)))
            return &makers[i];
    return NULL;
}

static const struct ast_node *argument(const struct ast_node *call, size_t at)
{
    return ast_at(ast_get(call, "children"), at);
}

/* --- numbers that stand in the text */

static bool constant_number(const struct ast_node *node, double *ret)
{
    const struct ast_node *value = ast_get(node, "value"), *type = ast_get(value, "type");
    int64_t scale = 0;
    if (!lh_str_to_double(ast_text(value, "value"), ret))
        return false;
    if (ast_is(type, "id", "DECIMAL") &&
        lh_str_to_int(ast_text(ast_get(type, "type_info"), "scale"), &scale))
        *ret /= pow(10, (double)scale);
    return isfinite(*ret);
}

static bool known_number(const struct ast_node *node, double *ret)
{
    if (ast_is(node, "class", "CONSTANT"))
        return constant_number(node, ret);
    if (ast_is(node, "class", "CAST"))
        return known_number(ast_get(node, "child"), ret);
    double a, b;
    struct lh_str name = ast_text(node, "function_name");
    if (!ast_is(node, "class", "FUNCTION") || !known_number(argument(node, 0), &a))
        return false;
    if (!argument(node, 1) && lh_str_equal(name, lh_lit("-"))) {
        *ret = -a;
        return true;
    }
    if (!known_number(argument(node, 1), &b))
        return false;
    if (lh_str_equal(name, lh_lit("+")))
        *ret = a + b;
    else if (lh_str_equal(name, lh_lit("-")))
        *ret = a - b;
    else if (lh_str_equal(name, lh_lit("*")))
        *ret = a * b;
    else if (lh_str_equal(name, lh_lit("**")) || lh_str_equal(name, lh_lit("^")) ||
             lh_str_equal_nocase(name, lh_lit("pow")) || lh_str_equal_nocase(name, lh_lit("power")))
        *ret = pow(a, b);
    else
        return false;
    return isfinite(*ret);
}

/* --- bounds */

static double bound(const struct ast_node *node);

static double bound_count(const struct ast_node *call)
{
    double first = 0, last, step = 1;
    bool has_start = argument(call, 1) != NULL;
    if (!known_number(argument(call, has_start ? 1 : 0), &last) ||
        (has_start && !known_number(argument(call, 0), &first)) ||
        (argument(call, 2) && !known_number(argument(call, 2), &step)) || step == 0)
        return 1;
    return fmax((last - first) / step, 0);
}

/* The widest width that a format asks for: the longest number inside {…}, or between % and the
 * letter that ends it. Numbers of the text around them are only text. */
static double bound_format(const struct ast_node *call)
{
    struct lh_str text = ast_text(ast_get(argument(call, 0), "value"), "value");
    bool is_printf = lh_str_equal_nocase(ast_text(call, "function_name"), lh_lit("printf"));
    bool is_inside = false;
    double widest = (double)text.len, number = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (c == (is_printf ? '%' : '{'))
            is_inside = true;
        else if (is_printf ? is_letter : c == '}')
            is_inside = false;
        number = is_inside && c >= '0' && c <= '9' ? number * 10 + (c - '0') : 0;
        widest = fmax(widest, number);
    }
    return widest;
}

static double bound_call(const struct ast_node *call, enum making making)
{
    const struct ast_node *children = ast_get(call, "children");
    double size = 0, number = 1;
    switch (making) {
    case REPEATS:
        return known_number(argument(call, 1), &number) ? bound(argument(call, 0)) * number : 1;
    case PADS:
        return known_number(argument(call, 1), &number) ? number : 1;
    case COUNTS:
        return bound_count(call);
    case FORMATS:
        return bound_format(call);
    case JOINS:
        for (const struct ast_node *one = children ? children->first : NULL; one; one = one->next)
            size += bound(one);
        return size;
    case MAPS:
        return bound(argument(call, 0)) * fmax(bound(ast_get(argument(call, 1), "expr")), 1);
    case COMPARES:
        return bound(argument(call, 0)) * bound(argument(call, 1));
    }
    return 1;
}

static double bound(const struct ast_node *node)
{
    if (ast_is(node, "class", "CAST"))
        return bound(ast_get(node, "child"));
    if (ast_is(node, "class", "CONSTANT")) {
        const struct ast_node *value = ast_get(node, "value");
        bool is_text = ast_is(ast_get(value, "type"), "id", "VARCHAR");
        return is_text ? (double)ast_text(value, "value").len : 1;
    }
    if (!ast_is(node, "class", "FUNCTION"))
        return 1;
    const struct maker *maker = find_maker(ast_text(node, "function_name"));
    if (maker && maker->making != COMPARES)
        return bound_call(node, maker->making);
    /* Most functions make no more than they are given. */
    double size = 1;
    const struct ast_node *children = ast_get(node, "children");
    for (const struct ast_node *one = children ? children->first : NULL; one; one = one->next)
        size = fmax(size, bound(one));
    return size;
}

enum lh_code query_check_size(const struct ast_node *call, struct lh_error *err)
{
    struct lh_str name = ast_text(call, "function_name");
    const struct maker *maker = find_maker(name);
    if (!maker)
        return LH_OK;
    double size = bound_call(call, maker->making);
    if (maker->making == COMPARES && size > CELLS_MAX) {
        query_fail_at(err, LH_TOO_LARGE, ast_location(call),
                      "'%.*s' would compare %.0f pairs of characters; at most %.0f are compared in "
                      "one call.",
                      LH_ARG(name), size, CELLS_MAX);
        return lh_error_hint(err, "Compare the beginnings, with left(…).");
    }
    if (maker->making == COMPARES || size <= MADE_MAX)
        return LH_OK;
    query_fail_at(err, LH_TOO_LARGE, ast_location(call),
                  "'%.*s' would make a value of %.0f bytes or elements; at most %.0f are made in "
                  "one value.",
                  LH_ARG(name), size, MADE_MAX);
    return lh_error_hint(err, "Rows have no such limit: FROM range(…), FROM generate_series(…).");
}
