/* Saved queries: what their records hold, what may be saved, the values of a run. */
#include "query/saved.h"

#include <stdlib.h>

#include "base/json.h"
#include "query/query.h"

static const struct lh_field query_rows[] = {
    LH_STR(struct query_saved_query, name, .required = true, .doc = "By which it is run."),
    LH_STR(struct query_saved_query, description, .doc = "What it tells."),
    LH_STR(struct query_saved_query, sql,
           .doc = "The statement; absent where the stored record is damaged."),
    LH_STR_LIST(struct query_saved_query, parameters, .max = QUERY_PARAMETERS_MAX,
                .doc = "Names of its parameters: $name in the statement."),
    LH_JSON(struct query_saved_query, defaults,
            .doc = "Values of parameters that need not be given, by name."),
    LH_INT(struct query_saved_query, version, .required = true, .doc = "Counts its saves."),
    LH_TIME(struct query_saved_query, saved_at, .doc = "When; absent likewise."),
    LH_STR(struct query_saved_query, saved_by, .doc = "Who saved it."),
};
const struct lh_fields query_saved_fields =
    LH_FIELDS_OF(struct query_saved_query, "SavedQuery", query_rows);

/* What a file holds: a query, or that its name means nothing any more. */
static const struct lh_field record_rows[] = {
    LH_STR(struct query_saved_query, name, .required = true),
    LH_STR(struct query_saved_query, description),
    LH_STR(struct query_saved_query, sql),
    LH_STR_LIST(struct query_saved_query, parameters, .max = QUERY_PARAMETERS_MAX),
    LH_JSON(struct query_saved_query, defaults),
    LH_INT(struct query_saved_query, version, .required = true, .min = 1),
    LH_TIME(struct query_saved_query, saved_at),
    LH_STR(struct query_saved_query, saved_by),
    LH_BOOL(struct query_saved_query, is_removed),
};
static const struct lh_fields record_fields =
    LH_FIELDS_OF(struct query_saved_query, "SavedQueryRecord", record_rows);

static bool is_name(struct lh_str name)
{
    bool is_fine = name.len && name.len <= QUERY_SAVED_NAME_BYTES_MAX;
    for (size_t i = 0; is_fine && i < name.len; i++) {
        char c = name.data[i];
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        is_fine = is_letter || (i && c >= '0' && c <= '9');
    }
    return is_fine && !lh_str_starts_with(name, lh_lit("__"));
}

static enum lh_code check_record(const void *record, struct lh_error *err)
{
    const struct query_saved_query *query = record;
    return query->sql.len
               ? LH_OK
               : lh_fail(err, LH_DAMAGED, "The record of a saved query has no statement.");
}

const struct storage_record_kind query_saved_kind = {
    .folder = "_catalog/queries",
    .what = "saved query",
    .replace = "PUT replaces it.",
    .mend = "Save it anew with PUT, or delete it.",
    .count_max = QUERY_SAVED_MAX,
    .fields = &record_fields,
    .is_name = is_name,
    .check = check_record,
};

/* --- checks */

static bool has_parameter(const struct query_saved_query *query, struct lh_str name)
{
    for (size_t i = 0; i < query->parameters.count; i++)
        if (lh_str_equal_nocase(query->parameters.items[i], name))
            return true;
    return false;
}

static enum lh_code no_such_parameter(const struct query_saved_query *query, struct lh_str name,
                                      const char *field, struct lh_error *err)
{
    struct lh_str nearest = lh_str_nearest(name, query->parameters.items, query->parameters.count);
    lh_fail(err, LH_INVALID, "The query '%.*s' has no parameter $%.*s.", LH_ARG(query->name),
            LH_ARG(lh_str_head(name, 100)));
    if (nearest.len)
        lh_error_hint(err, "Did you mean $%.*s?", LH_ARG(nearest));
    return lh_error_field(err, lh_str_of(field));
}

static enum lh_code check_names(const struct query_saved_query *query, const json_t *values,
                                const char *field, struct lh_error *err)
{
    const char *name;
    json_t *value;
    if (values && !json_is_object(values) && !json_is_null(values)) {
        lh_fail(err, LH_INVALID, "'%s' is an object of parameters' names and values.", field);
        return lh_error_field(err, lh_str_of(field));
    }
    json_object_foreach((json_t *)(uintptr_t)values, name, value)
    {
        if (!has_parameter(query, lh_str_of(name)))
            return no_such_parameter(query, lh_str_of(name), field, err);
    }
    return LH_OK;
}

enum lh_code query_saved_check(const struct query_saved_query *query, struct lh_error *err)
{
    if (!is_name(query->name)) {
        lh_fail(err, LH_INVALID, "'%.*s' cannot be the name of a saved query.",
                LH_ARG(lh_str_head(query->name, 64)));
        lh_error_hint(err, "Take up to 63 letters, digits and _, a letter or _ first, and not __.");
        return lh_error_field(err, lh_lit("name"));
    }
    for (size_t i = 0; i < query->parameters.count; i++) {
        struct lh_str name = query->parameters.items[i];
        if (name.len && (name.data[0] < '0' || name.data[0] > '9'))
            continue;
        lh_fail(err, LH_INVALID, "A saved query's parameters have names.");
        lh_error_hint(err, "Write $city, say, instead of ? and $1.");
        return lh_error_field(err, lh_lit("sql"));
    }
    return check_names(query, query->defaults.value, "defaults", err);
}

/* --- the values of a run */

/* The engine compares names as SQL does, so each parameter gets one value under its own name. */
static const json_t *value_of(const json_t *values, struct lh_str parameter)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)values, name, value)
    {
        if (lh_str_equal_nocase(lh_str_of(name), parameter))
            return value;
    }
    return NULL;
}

enum lh_code query_saved_values(const struct query_saved_query *query, const json_t *given,
                                struct lh_arena *arena, const json_t **ret, struct lh_error *err)
{
    json_t *defaults = NULL, *values = json_object();
    enum lh_code code = check_names(query, given, "parameters", err);
    if (!values)
        return lh_fail(err, LH_BUSY, "There is no memory for the parameters.");
    lh_json_keep(values, arena);
    if (!code && query->defaults.text.len)
        code = lh_json_parse(query->defaults.text, "The defaults", STORAGE_RECORD_BYTES_MAX,
                             &defaults, err);
    for (size_t i = 0; !code && i < query->parameters.count; i++) {
        struct lh_str name = query->parameters.items[i];
        const json_t *value = value_of(given, name);
        value = value ? value : value_of(defaults, name);
        if (!value) {
            lh_fail(err, LH_INVALID, "The query '%.*s' needs a value for $%.*s.",
                    LH_ARG(query->name), LH_ARG(name));
            lh_error_hint(err, "Give it in 'parameters': {\"%.*s\": …}.", LH_ARG(name));
            code = lh_error_field(err, lh_lit("parameters"));
        } else if (json_object_setn(values, name.data, name.len, (json_t *)(uintptr_t)value)) {
            code = lh_fail(err, LH_BUSY, "There is no memory for the parameters.");
        }
    }
    json_decref(defaults);
    if (!code)
        *ret = query->parameters.count ? values : NULL;
    return code;
}
