/* JSON arrays and NDJSON: structure and types from every value of the file, nested objects
 * flattened into parent_child columns, lists kept. Lines of NDJSON that are no JSON are kept aside.
 */
#include "ingest/internal.h"

#define SQL_BYTES_MAX ((size_t)4 << 20)

/* The reader with what every reading says: the whole file tells the types, objects never become
 * maps, and a value may be as long as a line. */
static struct lh_str reader(const struct task *task, struct lh_str path, bool is_array,
                            bool is_gzip)
{
    return lh_arena_printf(task->arena,
                           "read_json(%.*s, format='%s', records='auto', sample_size=-1, "
                           "map_inference_threshold=-1, field_appearance_threshold=0, "
                           "maximum_object_size=%d%s)",
                           LH_ARG(sql_literal(task->arena, path)),
                           is_array ? "array" : "newline_delimited", INGEST_LINE_BYTES_MAX,
                           is_gzip ? ", compression='gzip'" : "");
}

static void add_column(struct task *task, struct lh_str name, struct lh_str expr,
                       const struct engine_type_info *info)
{
    bool is_json = lh_str_equal(info->alias, lh_lit("JSON"));
    task->columns[task->column_count++] = (struct source_column){
        .name = name,
        .expr =
            is_json ? lh_arena_printf(task->arena, "CAST(%.*s AS VARCHAR)", LH_ARG(expr)) : expr,
        .type = is_json ? lh_lit("VARCHAR") : stored_type(task->arena, info),
        .is_null_only = is_json || info->type == ENGINE_NULL,
    };
}

static size_t count_leaves(const struct engine_type_info *info)
{
    size_t count = 0;
    if (info->type != ENGINE_STRUCT)
        return 1;
    for (size_t at = 0; at < info->child_count; at++)
        count += count_leaves(info->children[at]);
    return count;
}

/* Depth is bounded by the scan. */
static void add_flat(struct task *task, struct lh_str name, struct lh_str expr,
                     const struct engine_type_info *info)
{
    if (info->type != ENGINE_STRUCT || !task->options.flatten) {
        add_column(task, name, expr, info);
        return;
    }
    for (size_t at = 0; at < info->child_count; at++) {
        struct lh_str child = info->child_names[at];
        add_flat(task, lh_arena_printf(task->arena, "%.*s_%.*s", LH_ARG(name), LH_ARG(child)),
                 lh_arena_printf(task->arena, "%.*s.%.*s", LH_ARG(expr),
                                 LH_ARG(sql_ident(task->arena, child))),
                 info->children[at]);
    }
}

static enum lh_code describe(struct task *task, struct lh_error *err)
{
    struct engine_columns columns = {0};
    size_t leaves = 0;
    struct lh_str sql = lh_arena_printf(task->arena, "SELECT * FROM %.*s", LH_ARG(task->relation));
    enum lh_code code = engine_describe(task->connection, sql, task->arena, &columns, err);
    if (code)
        return code;
    for (size_t at = 0; at < columns.count; at++)
        leaves += count_leaves(columns.items[at].info);
    task->columns = lh_arena_array(task->arena, leaves + 1, sizeof(*task->columns));
    task->column_count = 0;
    for (size_t at = 0; at < columns.count; at++)
        add_flat(task, columns.items[at].name, sql_ident(task->arena, columns.items[at].name),
                 columns.items[at].info);
    return LH_OK;
}

/* Lines as text: a separator that no JSON text holds unescaped keeps them whole. */
static struct lh_str lines_of(const struct task *task)
{
    return lh_arena_printf(task->arena,
                           "(SELECT row_number() OVER () AS line, text FROM read_csv(%.*s, "
                           "columns={'text': 'VARCHAR'}, delim='\x01', quote='', escape='', "
                           "comment='', header=false, auto_detect=false, max_line_size=%d%s) "
                           "WHERE trim(text) <> '')",
                           LH_ARG(sql_literal(task->arena, task->path)), INGEST_LINE_BYTES_MAX,
                           task->scan.is_gzip ? ", compression='gzip'" : "");
}

/* The lines that are JSON go to a file of their own; the others are what `rejects` selects. */
static enum lh_code set_bad_lines_aside(struct task *task, struct lh_error *err)
{
    int64_t rows = 0;
    struct lh_str lines = lines_of(task);
    struct storage_staged *good = NULL;
    enum lh_code code = storage_stage(task->ingest->storage, lh_lit(".ndjson"), &good, err);
    if (code)
        return code;
    struct lh_str copy = lh_arena_printf(
        task->arena,
        "COPY (SELECT text FROM %.*s WHERE json_valid(text)) TO %.*s (FORMAT csv, HEADER false, "
        "DELIMITER '\x01', QUOTE '', ESCAPE '')",
        LH_ARG(lines), LH_ARG(sql_literal(task->arena, storage_staged_path(good))));
    code = engine_execute(task->connection, copy, NULL, task->cancel, &rows, err);
    if (!code && rows == 0)
        code = lh_fail(err, LH_UNREADABLE, "No line of the file is valid JSON.");
    if (code) {
        storage_staged_discard(good);
        return code;
    }
    task->rejects = lh_arena_printf(
        task->arena,
        "SELECT line::BIGINT AS line, 'not valid JSON' AS reason, text AS raw FROM %.*s "
        "WHERE NOT json_valid(text) ORDER BY line",
        LH_ARG(lines));
    storage_staged_discard(task->unpacked);
    task->unpacked = good;
    task->relation = reader(task, storage_staged_path(good), false, false);
    return describe(task, err);
}

enum lh_code json_open(struct task *task, struct lh_error *err)
{
    bool is_array = task->source->format == FORMAT_JSON;
    if (!lh_str_empty(task->options.encoding) &&
        !lh_str_equal_nocase(task->options.encoding, lh_lit("utf-8")))
        return lh_fail(err, LH_INVALID, "JSON is UTF-8: options.encoding '%.*s' cannot be used.",
                       LH_ARG(task->options.encoding));
    if (task->scan.is_utf16)
        return lh_fail(err, LH_UNREADABLE, "The file is UTF-16; JSON has to be UTF-8.");
    task->relation = reader(task, task->path, is_array, task->scan.is_gzip);
    enum lh_code code = describe(task, err);
    if (code && !is_array && code != LH_CANCELLED && code != LH_STOPPING)
        code = set_bad_lines_aside(task, err);
    if (code)
        return fail_unreadable(task, code, err);
    return columns_clean(task, err);
}
