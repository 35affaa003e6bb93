/* Saved queries: statements with a name, kept in the lake, run with named parameters.
 *
 * They are named records (storage/records.h): `_catalog/queries/<name>.<20-digit version>.json`.
 * Names are as those of datasets ([A-Za-z_][A-Za-z0-9_]{0,62}), with a space of their own.
 */
#ifndef LAKEHOUSE_QUERY_SAVED_H
#define LAKEHOUSE_QUERY_SAVED_H

#include <jansson.h>

#include "storage/records.h"

#define QUERY_SAVED_MAX 10000
#define QUERY_SAVED_NAME_BYTES_MAX 63

struct query_saved_query {
    STORAGE_RECORD_MEMBERS
    struct lh_str description;
    struct lh_str sql;
    struct lh_str_list parameters; /* names, in the order of the statement */
    struct lh_json_value defaults; /* an object; what is in it need not be given */
};
extern const struct storage_record_kind query_saved_kind;
extern const struct lh_fields query_saved_fields;

/* LH_INVALID: the name, or a default that no parameter has, or parameters without names. */
enum lh_code query_saved_check(const struct query_saved_query *query,
                               struct lh_error *err) LH_MUST_USE;

/* The values for one run: the defaults and over them those given (an object, or NULL), one for each
 * parameter; lives in `arena`. LH_INVALID names what is missing or unknown. */
enum lh_code query_saved_values(const struct query_saved_query *query, const json_t *given,
                                struct lh_arena *arena, const json_t **ret,
                                struct lh_error *err) LH_MUST_USE;

#endif
