/* What the files of the JSON door share; nobody else includes it. */
#ifndef LAKEHOUSE_BASE_JSON_INTERNAL_H
#define LAKEHOUSE_BASE_JSON_INTERNAL_H

#include "base/json.h"

size_t json_skip_spaces(struct lh_str text, size_t at);

/* Reads the numbers of the list that begins at `at` into *list. Returns where it ends, or `at` if
 * it is left to the tree: what is there is no such list, or there is no memory. */
size_t json_read_numbers(struct lh_str text, size_t at, struct lh_json_list *list,
                         struct lh_arena *arena);

#endif
