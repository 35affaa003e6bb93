/* The reviewed list of the engine's functions. */
#include <stdlib.h>

#include "query/internal.h"

#define QUERY_FUNCTION_ROW(name_, kind_, verdict_)                                                 \
    {.name = (name_), .kind = QUERY_FUNCTION_##kind_, .verdict = QUERY_FUNCTION_##verdict_},
const struct query_function query_functions[] = {
#include "query/functions.def"
};
#undef QUERY_FUNCTION_ROW
const size_t query_function_count = sizeof query_functions / sizeof query_functions[0];

struct wanted {
    struct lh_str name;
    enum query_function_kind kind;
};

static int compare(const void *key, const void *row)
{
    const struct wanted *wanted = key;
    const struct query_function *function = row;
    int order = lh_str_compare_nocase(wanted->name, lh_str_of(function->name));
    return order ? order : (int)wanted->kind - (int)function->kind;
}

enum query_function_verdict query_function_verdict(struct lh_str name,
                                                   enum query_function_kind kind)
{
    struct wanted wanted = {name, kind};
    const struct query_function *found =
        bsearch(&wanted, query_functions, query_function_count, sizeof query_functions[0], compare);
    return found ? found->verdict : QUERY_FUNCTION_UNKNOWN;
}

const char *query_function_reason(enum query_function_verdict verdict)
{
    switch (verdict) {
    case QUERY_FUNCTION_FILES:
        return "reads files";
    case QUERY_FUNCTION_STRINGS:
        return "treats text as SQL";
    case QUERY_FUNCTION_CATALOG:
        return "speaks of the engine's own catalog";
    case QUERY_FUNCTION_SETTINGS:
        return "reads or changes settings of the server";
    case QUERY_FUNCTION_WAITS:
        return "holds a thread without working";
    case QUERY_FUNCTION_INTERNAL:
    case QUERY_FUNCTION_UNKNOWN:
    case QUERY_FUNCTION_ALLOWED:
        break;
    }
    return "is the engine's own";
}
