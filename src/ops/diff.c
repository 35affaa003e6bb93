/* What changed between two versions, by key or by whole row.
 *
 * One statement counts, one makes the page; both read the two versions as any statement does, so
 * that rights and tombstones hold, and both are the engine's joins and sums, which go to disk when
 * they outgrow its memory. Rows that are in both versions cancel out first: what follows is as
 * large as the difference. Inside the statements columns go by numbers, for a user's may have any
 * name.
 */
#include "catalog/catalog.h"

#include "lake/lake.h"
#include "ops/internal.h"
#include "query/encoder.h"

struct diff_args {
    struct lh_str name;
    int64_t from;
    int64_t to;
    struct lh_str key;
    int64_t limit;
    struct lh_str after;
    int64_t timeout_ms;
};
static const struct lh_field diff_rows[] = {
    LH_STR(struct diff_args, name, .required = true, .positional = true, .min = 1, .max = 255,
           .doc = "The dataset's name; case does not matter."),
    LH_INT(struct diff_args, from, LH_PRESET(0), .min = 0, .max = INT64_MAX,
           .doc = "The earlier version; 0 = the one before `to`."),
    LH_INT(struct diff_args, to, LH_PRESET(0), .min = 0, .max = INT64_MAX,
           .doc = "The later version; 0 = the newest."),
    LH_STR(struct diff_args, key, .min = 1, .max = 255,
           .doc = "The column that says which row is which; absent: whole rows are compared."),
    LH_INT(struct diff_args, limit, LH_PRESET(OP_LIST_PRESET), .min = 0, .max = OP_LIST_MAX,
           .doc = "Most rows of a page; 0 = only the counts."),
    OP_LIST_AFTER(struct diff_args),
    LH_INT(struct diff_args, timeout_ms, LH_PRESET(QUERY_TIMEOUT_MS_PRESET), .min = 1,
           .max = QUERY_TIMEOUT_MS_MAX, .doc = "When to give up."),
};
static const struct lh_fields diff_fields =
    LH_FIELDS_OF(struct diff_args, "DatasetsDiffArgs", diff_rows);

struct diff_result {
    struct lh_str name;
    int64_t from;
    int64_t to;
    struct lh_str key;
    int64_t added;
    int64_t removed;
    int64_t changed;
    struct lh_str_list columns_added;
    struct lh_str_list columns_removed;
    struct lh_str_list columns_retyped;
    struct lh_json_value items;
    struct lh_str next;
};
static const struct lh_field result_rows[] = {
    LH_STR(struct diff_result, name, .required = true, .doc = "The dataset."),
    LH_INT(struct diff_result, from, .required = true, .doc = "The earlier version."),
    LH_INT(struct diff_result, to, .required = true, .doc = "The later version."),
    LH_STR(struct diff_result, key, .doc = "The column that rows were told apart by."),
    LH_INT(struct diff_result, added, .required = true, .doc = "Rows that came."),
    LH_INT(struct diff_result, removed, .required = true, .doc = "Rows that went."),
    LH_INT(struct diff_result, changed, .required = true,
           .doc = "Rows whose key stayed and whose values changed; 0 without a key."),
    LH_STR_LIST(struct diff_result, columns_added, .required = true,
                .doc = "Columns of the later version alone; their values are not compared."),
    LH_STR_LIST(struct diff_result, columns_removed, .required = true,
                .doc = "Columns of the earlier version alone."),
    LH_STR_LIST(struct diff_result, columns_retyped, .required = true,
                .doc = "Columns of another type now: compared as text."),
    LH_JSON(struct diff_result, items, .required = true,
            .doc = "The rows of the page, in order of key: {\"change\": \"added\" | \"removed\" | "
                   "\"changed\", \"before\": {…}, \"after\": {…}}, values as in a query's rows."),
    LH_STR(struct diff_result, next, .nullable = true,
           .doc = "The `after` of the following page; null at the end."),
};
static const struct lh_fields result_fields =
    LH_FIELDS_OF(struct diff_result, "DatasetDiff", result_rows);

#define STATEMENT_BYTES_MAX QUERY_SQL_BYTES_MAX
#define PAGE_BYTES_MAX ((size_t)32 << 20)

struct diff {
    struct op_call *call;
    const struct diff_args *args;
    const struct catalog_dataset *from, *to;
    struct lh_str *columns; /* that both have, as the later one calls them */
    bool *is_text;          /* by column: compared and shown as text */
    size_t column_count;
    size_t key; /* which of them; column_count: none */
    int64_t offset;
    struct diff_result *result;
};

static void unref_dataset(void *dataset)
{
    catalog_dataset_unref(dataset);
}

/* --- which versions, which columns */

/* "3-5-200": the versions of the first page, and how many rows came before. */
static enum lh_code read_after(const struct diff_args *args, int64_t *from, int64_t *to,
                               int64_t *offset, struct lh_error *err)
{
    struct lh_str rest = args->after;
    struct lh_str first = lh_str_cut(&rest, '-'), second = lh_str_cut(&rest, '-');
    if (!args->after.len)
        return LH_OK;
    if (!lh_str_to_int(first, from) || !lh_str_to_int(second, to) || !lh_str_to_int(rest, offset) ||
        *from < 1 || *to < 1 || *offset < 1 || (args->from && args->from != *from) ||
        (args->to && args->to != *to)) {
        lh_fail(err, LH_INVALID, "'%.*s' is not the `next` of a page of this difference.",
                LH_ARG(args->after));
        return lh_error_field(err, lh_lit("after"));
    }
    return LH_OK;
}

static enum lh_code find_version(struct diff *diff, struct catalog_snapshot *snapshot,
                                 int64_t version, const struct catalog_dataset **ret,
                                 struct lh_error *err)
{
    struct catalog_as_of as_of = {CATALOG_AT_VERSION, version};
    enum lh_code code = catalog_find_at(lake_catalog(diff->call->lake), snapshot, diff->args->name,
                                        as_of, ret, err);
    if (!code)
        lh_arena_defer(diff->call->arena, unref_dataset, (void *)(uintptr_t)*ret);
    return code;
}

/* The newest version below: numbers may be left out. */
static enum lh_code version_before(struct diff *diff, int64_t version, int64_t *ret,
                                   struct lh_error *err)
{
    struct catalog_version *list = NULL;
    size_t count = 0;
    enum lh_code code = catalog_versions(lake_catalog(diff->call->lake), diff->to, version, 1,
                                         diff->call->arena, &list, &count, err);
    if (!code && !count) {
        lh_fail(err, LH_CONFLICT, "Dataset '%.*s' has no version before %lld to compare with.",
                LH_ARG(diff->to->name), (long long)version);
        return lh_error_hint(err, "Name `from` and `to`; its versions are listed at "
                                  "…/versions.");
    }
    if (!code)
        *ret = list[0].version;
    return code;
}

static enum lh_code find_versions(struct diff *diff, struct lh_error *err)
{
    struct catalog *catalog = lake_catalog(diff->call->lake);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    const struct catalog_dataset *now = NULL;
    int64_t from = diff->args->from, to = diff->args->to;
    enum lh_code code = read_after(diff->args, &from, &to, &diff->offset, err);
    if (!code)
        code = catalog_find(snapshot, diff->args->name, &now, err);
    if (!code)
        code = find_version(diff, snapshot, to ? to : now->version, &diff->to, err);
    if (!code && !from)
        code = version_before(diff, diff->to->version, &from, err);
    if (!code)
        code = find_version(diff, snapshot, from, &diff->from, err);
    catalog_snapshot_unref(snapshot);
    return code;
}

static void add_text(struct lh_str_list *list, struct lh_str text)
{
    ((struct lh_str *)(uintptr_t)list->items)[list->count++] = text;
}

/* The JSON reader takes whole numbers of 64 bits with a sign. */
static bool needs_text(struct lh_str type)
{
    size_t at = 0;
    return lh_str_find(type, lh_lit("UBIGINT"), &at);
}

static enum lh_code compare_columns(struct diff *diff, struct lh_error *err)
{
    struct lh_arena *arena = diff->call->arena;
    struct diff_result *result = diff->result;
    size_t most = diff->from->column_count + diff->to->column_count + 1;
    diff->columns = lh_arena_array(arena, most, sizeof(*diff->columns));
    diff->is_text = lh_arena_array(arena, most, sizeof(*diff->is_text));
    result->columns_added.items = lh_arena_array(arena, most, sizeof(struct lh_str));
    result->columns_removed.items = lh_arena_array(arena, most, sizeof(struct lh_str));
    result->columns_retyped.items = lh_arena_array(arena, most, sizeof(struct lh_str));
    for (size_t i = 0; i < diff->to->column_count; i++) {
        const struct catalog_column *column = &diff->to->columns[i];
        const struct catalog_column *old = catalog_dataset_column(diff->from, column->name);
        if (!old) {
            add_text(&result->columns_added, column->name);
            continue;
        }
        bool is_retyped = !lh_str_equal(old->type, column->type);
        if (is_retyped)
            add_text(&result->columns_retyped, column->name);
        diff->is_text[diff->column_count] = is_retyped || needs_text(column->type);
        diff->columns[diff->column_count++] = column->name;
    }
    for (size_t i = 0; i < diff->from->column_count; i++)
        if (!catalog_dataset_column(diff->to, diff->from->columns[i].name))
            add_text(&result->columns_removed, diff->from->columns[i].name);
    if (!diff->column_count)
        return lh_fail(
            err, LH_CONFLICT, "Versions %lld and %lld of dataset '%.*s' have no column in common.",
            (long long)diff->from->version, (long long)diff->to->version, LH_ARG(diff->to->name));
    return LH_OK;
}

static enum lh_code find_key(struct diff *diff, struct lh_error *err)
{
    struct lh_str key = diff->args->key;
    diff->key = diff->column_count;
    if (!key.len)
        return LH_OK;
    for (size_t i = 0; i < diff->column_count; i++)
        if (lh_str_equal_nocase(diff->columns[i], key))
            diff->key = i;
    if (diff->key < diff->column_count) {
        diff->result->key = diff->columns[diff->key];
        return LH_OK;
    }
    struct lh_str nearest = lh_str_nearest(key, diff->columns, diff->column_count);
    lh_fail(err, LH_INVALID, "'%.*s' is not a column of versions %lld and %lld of dataset '%.*s'.",
            LH_ARG(lh_str_head(key, 100)), (long long)diff->from->version,
            (long long)diff->to->version, LH_ARG(diff->to->name));
    lh_error_hint(err, "Did you mean '%.*s'?", LH_ARG(nearest.len ? nearest : diff->columns[0]));
    return lh_error_field(err, lh_lit("key"));
}

/* --- the statements */

static void write_numbers(const struct diff *diff, const char *prefix, struct lh_buf *sql)
{
    for (size_t i = 0; i < diff->column_count; i++)
        lh_buf_printf(sql, "%s%sc%zu", i ? "," : "", prefix, i);
}

static void write_side(const struct diff *diff, const struct catalog_dataset *dataset, int sign,
                       struct lh_buf *sql)
{
    lh_buf_append_str(sql, lh_lit("SELECT "));
    for (size_t i = 0; i < diff->column_count; i++) {
        engine_quote_ident(sql, diff->columns[i]);
        lh_buf_printf(sql, "%s AS c%zu,", diff->is_text[i] ? "::VARCHAR" : "", i);
    }
    lh_buf_printf(sql, "%d AS m FROM ", sign);
    engine_quote_ident(sql, diff->to->name);
    lh_buf_printf(sql, " AT (VERSION => %lld)", (long long)dataset->version);
}

/* Datasets cannot be called "__…": the name is free. */
static void write_difference(const struct diff *diff, struct lh_buf *sql)
{
    lh_buf_append_str(sql, lh_lit("WITH __diff AS MATERIALIZED (SELECT "));
    write_numbers(diff, "", sql);
    lh_buf_append_str(sql, lh_lit(",sum(m) AS m FROM ("));
    write_side(diff, diff->to, 1, sql);
    lh_buf_append_str(sql, lh_lit(" UNION ALL "));
    write_side(diff, diff->from, -1, sql);
    lh_buf_append_str(sql, lh_lit(") AS sides GROUP BY ALL HAVING sum(m) <> 0) "));
}

static void write_counts(const struct diff *diff, struct lh_buf *sql)
{
    write_difference(diff, sql);
    lh_buf_append_str(sql, lh_lit("SELECT coalesce(sum(p - least(p, q)), 0)::BIGINT, "
                                  "coalesce(sum(q - least(p, q)), 0)::BIGINT, "
                                  "coalesce(sum(least(p, q)), 0)::BIGINT FROM (SELECT "));
    if (diff->key < diff->column_count) {
        lh_buf_printf(sql,
                      "coalesce(sum(m) FILTER (m > 0), 0) AS p, "
                      "coalesce(-sum(m) FILTER (m < 0), 0) AS q FROM __diff GROUP BY c%zu",
                      diff->key);
    } else {
        lh_buf_append_str(sql, lh_lit("greatest(m, 0) AS p, 0 AS q FROM __diff UNION ALL "
                                      "SELECT 0 AS p, greatest(-m, 0) AS q FROM __diff"));
    }
    lh_buf_append_str(sql, lh_lit(") AS keys"));
}

/* Rows that came (or went), each as often as it did, numbered within their key. */
static void write_ranked(const struct diff *diff, const char *condition, struct lh_buf *sql)
{
    lh_buf_append_str(sql, lh_lit("(SELECT "));
    write_numbers(diff, "", sql);
    lh_buf_append_str(sql, lh_lit(",row_number() OVER ("));
    if (diff->key < diff->column_count)
        lh_buf_printf(sql, "PARTITION BY c%zu ", diff->key);
    lh_buf_append_str(sql, lh_lit("ORDER BY "));
    write_numbers(diff, "", sql);
    lh_buf_append_str(sql, lh_lit(") AS r FROM (SELECT "));
    write_numbers(diff, "", sql);
    lh_buf_printf(sql, ",unnest(range(abs(m)::BIGINT)) AS u FROM __diff WHERE %s) AS each_row)",
                  condition);
}

/* Which side a row has says r: absent on a side that does not. */
static void write_page(const struct diff *diff, struct lh_buf *sql)
{
    bool has_key = diff->key < diff->column_count;
    write_difference(diff, sql);
    lh_buf_append_str(sql, lh_lit("SELECT b.r IS NOT NULL, a.r IS NOT NULL,"));
    write_numbers(diff, "b.", sql);
    lh_buf_append_char(sql, ',');
    write_numbers(diff, "a.", sql);
    lh_buf_append_str(sql, lh_lit(" FROM "));
    write_ranked(diff, "m > 0", sql);
    lh_buf_append_str(sql, lh_lit(" AS a FULL JOIN "));
    write_ranked(diff, "m < 0", sql);
    if (has_key)
        lh_buf_printf(sql, " AS b ON a.c%zu IS NOT DISTINCT FROM b.c%zu AND a.r = b.r ORDER BY ",
                      diff->key, diff->key);
    else
        lh_buf_append_str(sql, lh_lit(" AS b ON a.r = -b.r ORDER BY "));
    if (has_key)
        lh_buf_printf(sql, "coalesce(a.c%zu, b.c%zu) NULLS LAST,", diff->key, diff->key);
    else
        for (size_t i = 0; i < diff->column_count; i++)
            lh_buf_printf(sql, "coalesce(a.c%zu, b.c%zu) NULLS LAST,", i, i);
    lh_buf_printf(sql, "coalesce(a.r, b.r), a.r IS NULL LIMIT %lld OFFSET %lld",
                  (long long)diff->args->limit + 1, (long long)diff->offset);
}

/* --- running them */

static enum lh_code take_bytes(void *context, struct lh_str bytes, struct lh_error *err)
{
    struct lh_buf *buf = context;
    lh_buf_append_str(buf, bytes);
    return lh_buf_check(buf, "The page", err);
}

static enum lh_code run(struct diff *diff, struct lh_buf *sql, const json_t **ret_rows,
                        struct lh_error *err)
{
    struct op_call *call = diff->call;
    const struct query_principal principal = {.is_trusted = call->principal->is_unmasked};
    const struct query_request request = {
        .sql = lh_buf_str(sql),
        .limit = OP_LIST_MAX + 1,
        .timeout_ms = diff->args->timeout_ms,
        .received_us = call->received_us,
    };
    struct query *query = NULL;
    struct lh_buf buf;
    json_t *root = NULL;
    bool is_failed = false;
    lh_buf_init(&buf, PAGE_BYTES_MAX);
    const struct query_sink sink = {&buf, take_bytes};
    enum lh_code code = lh_buf_check(sql, "The comparison of so many columns", err);
    if (!code)
        code = query_open(lake_query(call->lake), &principal, &request, call->cancel, &query, err);
    if (!code)
        code = query_encode(query, query_encoder_by_name(lh_lit("json")), NULL, &sink, &is_failed,
                            err);
    if (!code)
        code = lh_json_parse(lh_buf_str(&buf), "The difference", PAGE_BYTES_MAX, &root, err);
    if (!code) {
        lh_json_keep(root, call->arena);
        *ret_rows = json_object_get(root, "rows");
        struct lh_str detail =
            lh_json_text(json_object_get(json_object_get(root, "error"), "detail"));
        if (is_failed)
            code = lh_fail(err, LH_SQL, "The versions could not be compared: %.*s", LH_ARG(detail));
    }
    query_close(query);
    lh_buf_release(&buf);
    return code;
}

static json_t *row_object(const struct diff *diff, const json_t *row, size_t first)
{
    json_t *object = json_object();
    for (size_t i = 0; i < diff->column_count; i++)
        json_object_set(object,
                        lh_arena_printf(diff->call->arena, "%.*s", LH_ARG(diff->columns[i])).data,
                        json_array_get(row, first + i));
    return object;
}

static json_t *item_of(const struct diff *diff, const json_t *row)
{
    bool was = json_is_true(json_array_get(row, 0)), is = json_is_true(json_array_get(row, 1));
    json_t *item = json_object();
    json_object_set_new(item, "change",
                        json_string(was && is ? "changed"
                                    : was     ? "removed"
                                              : "added"));
    if (was)
        json_object_set_new(item, "before", row_object(diff, row, 2));
    if (is)
        json_object_set_new(item, "after", row_object(diff, row, 2 + diff->column_count));
    return item;
}

static enum lh_code count(struct diff *diff, struct lh_error *err)
{
    struct lh_buf sql;
    const json_t *rows = NULL;
    lh_buf_init(&sql, STATEMENT_BYTES_MAX);
    write_counts(diff, &sql);
    enum lh_code code = run(diff, &sql, &rows, err);
    if (!code) {
        const json_t *row = json_array_get(rows, 0);
        diff->result->added = json_integer_value(json_array_get(row, 0));
        diff->result->removed = json_integer_value(json_array_get(row, 1));
        diff->result->changed = json_integer_value(json_array_get(row, 2));
    }
    lh_buf_release(&sql);
    return code;
}

static enum lh_code page(struct diff *diff, struct lh_error *err)
{
    struct lh_buf sql;
    const json_t *rows = NULL;
    struct diff_result *result = diff->result;
    size_t limit = (size_t)diff->args->limit;
    json_t *items = json_array();
    lh_json_keep(items, diff->call->arena);
    result->items.value = items;
    if (!limit || !(result->added + result->removed + result->changed))
        return LH_OK;
    lh_buf_init(&sql, STATEMENT_BYTES_MAX);
    write_page(diff, &sql);
    enum lh_code code = run(diff, &sql, &rows, err);
    for (size_t i = 0; !code && i < json_array_size(rows) && i < limit; i++)
        json_array_append_new(items, item_of(diff, json_array_get(rows, i)));
    if (!code && json_array_size(rows) > limit)
        result->next =
            lh_arena_printf(diff->call->arena, "%lld-%lld-%lld", (long long)result->from,
                            (long long)result->to, (long long)(diff->offset + diff->args->limit));
    lh_buf_release(&sql);
    return code;
}

static enum lh_code run_diff(struct op_call *call, const void *raw, struct op_reply *reply,
                             struct lh_error *err)
{
    struct diff_result result = {0};
    struct diff diff = {.call = call, .args = raw, .result = &result};
    enum lh_code code = find_versions(&diff, err);
    if (!code)
        code = compare_columns(&diff, err);
    if (!code)
        code = find_key(&diff, err);
    if (code)
        return code;
    result.name = diff.to->name;
    result.from = diff.from->version;
    result.to = diff.to->version;
    code = count(&diff, err);
    if (!code)
        code = page(&diff, err);
    return code ? code : op_reply_record(reply, &result, err);
}

const struct op op_datasets_diff = {
    .name = "datasets.diff",
    .summary = "What changed between two versions of a dataset.",
    .description =
        "By the column `key`: a row that went and one that came under the same key are one changed "
        "row; NULL is a key like any other, and of a key with several rows those that stayed alike "
        "do not count. Without a key whole rows are compared, each as often as it is there. "
        "Tombstones hold in both versions. `next` names the versions, so that later pages belong "
        "to "
        "the same difference.",
    .http = {OP_GET, "/catalog/datasets/by-name/{name}/diff"},
    .effect = OP_READ,
    .permission = "query",
    .lane = LH_LANE_SLOW,
    .fields = &diff_fields,
    .kind = OP_RECORD,
    .result = &result_fields,
    .errors = OP_ERRORS(LH_NOT_FOUND, LH_CONFLICT, LH_LOST, LH_DAMAGED, LH_TIMEOUT, LH_TOO_LARGE,
                        LH_SQL, LH_RACE),
    .run = run_diff,
};
