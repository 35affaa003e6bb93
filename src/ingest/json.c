/* JSON arrays and NDJSON: structure and types from every value of the file, nested objects
 * flattened into parent_child columns, lists kept. Lines of NDJSON that are no objects are kept
 * aside: one of them must not make a column of texts of all the others. */
#include "ingest/internal.h"

#include "engine/vector.h"

#define SQL_BYTES_MAX ((size_t)4 << 20)

/* The reader with what every reading says: the whole file tells the types unless `columns` (a
 * member ", columns={…}") does, objects never become maps, and a value may be as long as a line. */
static struct lh_str reader(const struct task *task, const char *format, struct lh_str columns)
{
    return lh_arena_printf(task->arena,
                           "read_json(%.*s, hive_partitioning=false, format='%s', records='true', "
                           "sample_size=-1, map_inference_threshold=-1, "
                           "field_appearance_threshold=0, maximum_object_size=%d%s%.*s)",
                           LH_ARG(sql_path(task->arena, task->path)), format, INGEST_LINE_BYTES_MAX,
                           task->scan.is_gzip ? ", compression='gzip'" : "", LH_ARG(columns));
}

/* --- numbers -----------------------------------------------------------------------------------
 * A column that holds 0.5 and 9007199254740993, or a number beyond all integers, is a DOUBLE to the
 * engine, which rounds without a word. Where the scan saw numbers that long, such columns are read
 * as text once and asked; those that would lose digits get a type that keeps them. */

struct leaf {
    struct lh_str expr;
    struct lh_str found; /* what the reader takes it for */
    struct lh_str type;  /* what it shall be */
};

struct leaves {
    struct task *task;
    struct leaf *items;
    size_t count;
};

/* A number beyond BIGINT makes all whole numbers of a file HUGEINT, which would be stored as text.
 */
static bool is_wide(const struct engine_type_info *info)
{
    return info->type == ENGINE_DOUBLE || info->type == ENGINE_INT128;
}

static size_t count_wide(const struct engine_type_info *info)
{
    size_t count = is_wide(info);
    if (info->type == ENGINE_STRUCT)
        for (size_t at = 0; at < info->child_count; at++)
            count += count_wide(info->children[at]);
    return count;
}

static void find_leaves(struct leaves *leaves, struct lh_str expr,
                        const struct engine_type_info *info)
{
    struct lh_arena *arena = leaves->task->arena;
    if (is_wide(info))
        leaves->items[leaves->count++] =
            (struct leaf){expr, info->type == ENGINE_DOUBLE ? lh_lit("DOUBLE") : lh_lit("HUGEINT"),
                          lh_lit("VARCHAR")};
    if (info->type != ENGINE_STRUCT)
        return;
    for (size_t at = 0; at < info->child_count; at++)
        find_leaves(leaves,
                    lh_arena_printf(arena, "%.*s.%.*s", LH_ARG(expr),
                                    LH_ARG(sql_ident(arena, info->child_names[at]))),
                    info->children[at]);
}

/* Whether a value reads the same when its type is told as when the reader found it. The forms of
 * dates and times that it found are its secret. */
static bool reads_alike(const struct engine_type_info *info)
{
    bool reads = info->type <= ENGINE_DECIMAL || info->type == ENGINE_TEXT ||
                 info->type == ENGINE_LIST || info->type == ENGINE_MAP ||
                 info->type == ENGINE_STRUCT;
    for (size_t at = 0; reads && at < info->child_count; at++)
        reads = reads_alike(info->children[at]);
    return reads;
}

/* The type as text, with what the leaves say; *next counts them. */
static void put_type(struct lh_buf *buf, const struct leaves *leaves,
                     const struct engine_type_info *info, size_t *next)
{
    if (is_wide(info)) {
        lh_buf_append_str(buf, leaves->items[(*next)++].type);
    } else if (lh_str_equal(info->alias, lh_lit("JSON")) || info->type == ENGINE_NULL) {
        lh_buf_append_str(buf, lh_lit("JSON"));
    } else if (info->type == ENGINE_STRUCT) {
        lh_buf_append_str(buf, lh_lit("STRUCT("));
        for (size_t at = 0; at < info->child_count; at++) {
            lh_buf_append_str(buf, at ? lh_lit(", ") : lh_lit(""));
            engine_quote_ident(buf, info->child_names[at]);
            lh_buf_append_char(buf, ' ');
            put_type(buf, leaves, info->children[at], next);
        }
        lh_buf_append_char(buf, ')');
    } else if (reads_alike(info)) {
        engine_type_text(info, buf);
    } else {
        lh_buf_append_str(buf, info->child_count ? lh_lit("JSON") : lh_lit("VARCHAR"));
    }
}

static enum lh_code read_as(const struct leaves *leaves, const char *format,
                            const struct engine_columns *columns, struct lh_str *ret,
                            struct lh_error *err)
{
    struct lh_buf buf;
    struct lh_buf type;
    size_t next = 0;
    lh_buf_init(&buf, SQL_BYTES_MAX);
    lh_buf_init(&type, SQL_BYTES_MAX);
    lh_buf_append_str(&buf, lh_lit(", columns={"));
    for (size_t at = 0; at < columns->count; at++) {
        type.len = 0;
        put_type(&type, leaves, columns->items[at].info, &next);
        lh_buf_append_str(&buf, at ? lh_lit(", ") : lh_lit(""));
        engine_quote_literal(&buf, columns->items[at].name);
        lh_buf_append_str(&buf, lh_lit(": "));
        engine_quote_literal(&buf, lh_buf_str(&type));
    }
    lh_buf_append_char(&buf, '}');
    enum lh_code code = lh_buf_check(&buf, "the columns of the file", err);
    if (!code)
        *ret = reader(leaves->task, format, lh_buf_str(&buf));
    lh_buf_release(&type);
    lh_buf_release(&buf);
    return code;
}

/* Two numbers of every leaf: the digits of its longest whole number, and whether there are others.
 * The other columns are read along, so that what cannot be read with types given shows here. */
static enum lh_code ask_leaves(const struct leaves *leaves, const struct engine_columns *columns,
                               struct lh_str relation, struct engine_cursor **ret,
                               struct lh_error *err)
{
    struct lh_buf sql;
    struct task *task = leaves->task;
    lh_buf_init(&sql, SQL_BYTES_MAX);
    lh_buf_append_str(&sql, lh_lit("SELECT "));
    for (size_t at = 0; at < leaves->count; at++) {
        struct lh_str expr = leaves->items[at].expr;
        lh_buf_printf(&sql,
                      "coalesce(max(length(ltrim(%.*s, '-'))) FILTER (regexp_matches(%.*s, "
                      "'^-?[0-9]+$')), 0)::BIGINT, "
                      "count(*) FILTER (NOT regexp_matches(%.*s, '^-?[0-9]+$'))::BIGINT, ",
                      LH_ARG(expr), LH_ARG(expr), LH_ARG(expr));
    }
    for (size_t at = 0; at < columns->count; at++) {
        lh_buf_append_str(&sql, at ? lh_lit(", count(") : lh_lit("count("));
        engine_quote_ident(&sql, columns->items[at].name);
        lh_buf_append_char(&sql, ')');
    }
    lh_buf_printf(&sql, " FROM %.*s", LH_ARG(relation));
    enum lh_code code = lh_buf_check(&sql, "the columns of the file", err);
    if (!code)
        code = engine_run(task->connection, lh_buf_str(&sql), NULL, task->cancel, ret, err);
    lh_buf_release(&sql);
    return code;
}

static enum lh_code settle_leaves(struct leaves *leaves, struct engine_cursor *cursor,
                                  bool *ret_changed, struct lh_error *err)
{
    const struct engine_chunk *chunk = NULL;
    enum lh_code code = engine_cursor_next(cursor, &chunk, err);
    *ret_changed = false;
    for (size_t at = 0; !code && chunk && at < leaves->count; at++) {
        struct leaf *leaf = &leaves->items[at];
        int64_t digits = ((const int64_t *)chunk->columns[2 * at].data)[0];
        int64_t others = ((const int64_t *)chunk->columns[2 * at + 1].data)[0];
        bool is_whole = lh_str_equal(leaf->found, lh_lit("HUGEINT"));
        bool is_exact = others == 0 && digits <= INGEST_DECIMAL_DIGITS;
        leaf->type = is_exact ? lh_lit("DECIMAL(38,0)") : lh_lit("VARCHAR");
        if (is_whole && digits <= INGEST_BIGINT_DIGITS)
            leaf->type = lh_lit("BIGINT");
        if (!is_whole && digits <= INGEST_EXACT_DIGITS)
            leaf->type = leaf->found;
        *ret_changed = *ret_changed || !lh_str_equal(leaf->type, leaf->found);
        if (is_whole || lh_str_equal(leaf->type, leaf->found))
            continue;
        task_warn(leaves->task, "%.*s is %.*s: as DOUBLE its %lld digits would be rounded.",
                  LH_ARG(lh_str_head(leaf->expr, 100)), LH_ARG(leaf->type), (long long)digits);
    }
    return code;
}

/* Whether a column may not be called as its key is: the engine numbers keys that differ only in
 * upper and lower case, and finds no such key when it is told the column. */
static bool has_other_names(const struct engine_columns *columns)
{
    for (size_t at = 0; at < columns->count; at++) {
        struct lh_str name = columns->items[at].name;
        size_t len = name.len;
        while (len && name.data[len - 1] >= '0' && name.data[len - 1] <= '9')
            len--;
        if (len == name.len || len < 1 || name.data[len - 1] != '_')
            continue;
        for (size_t other = 0; other < columns->count; other++)
            if (lh_str_equal_nocase(columns->items[other].name, lh_str_slice(name, 0, len - 1)))
                return true;
    }
    return false;
}

static enum lh_code warn_rounding(struct task *task)
{
    task_warn(task, "Numbers of more than %d digits beside fractions are rounded to DOUBLE.",
              INGEST_EXACT_DIGITS);
    return LH_OK;
}

static void make_leaves(struct leaves *leaves, const struct engine_columns *columns)
{
    size_t count = 0;
    for (size_t at = 0; at < columns->count; at++)
        count += count_wide(columns->items[at].info);
    leaves->items = lh_arena_array(leaves->task->arena, count + 1, sizeof(*leaves->items));
    for (size_t at = 0; at < columns->count; at++)
        find_leaves(leaves, sql_ident(leaves->task->arena, columns->items[at].name),
                    columns->items[at].info);
}

/* Makes task->relation one that rounds nothing; `columns` are described again by the caller. */
static enum lh_code keep_digits(struct task *task, const char *format,
                                const struct engine_columns *columns, bool *ret_changed,
                                struct lh_error *err)
{
    struct leaves leaves = {.task = task};
    struct lh_str relation = {0};
    struct engine_cursor *cursor = NULL;
    *ret_changed = false;
    if (!task->scan.has_long_numbers)
        return LH_OK;
    make_leaves(&leaves, columns);
    if (!leaves.count)
        return LH_OK;
    if (has_other_names(columns))
        return warn_rounding(task);
    enum lh_code code = read_as(&leaves, format, columns, &relation, err);
    if (!code)
        code = ask_leaves(&leaves, columns, relation, &cursor, err);
    if (!code)
        code = settle_leaves(&leaves, cursor, ret_changed, err);
    engine_cursor_close(cursor);
    if (!code && *ret_changed)
        code = read_as(&leaves, format, columns, &task->relation, err);
    for (size_t at = 0; !code && *ret_changed && at < columns->count; at++)
        if (!reads_alike(columns->items[at].info))
            task_warn(task, "Column '%.*s' is text, so that others can keep their digits.",
                      LH_ARG(lh_str_head(columns->items[at].name, 100)));
    if (code != LH_SQL && code != LH_UNREADABLE && code != LH_INVALID)
        return code;
    *ret_changed = false;
    return warn_rounding(task);
}

/* Tells the reader the types that it found: it looks through the whole file for them each time that
 * a statement with it is prepared, which takes longer than to read the rows. */
static enum lh_code tell_types(struct task *task, const char *format,
                               const struct engine_columns *columns, struct lh_error *err)
{
    struct leaves leaves = {.task = task};
    bool reads = !has_other_names(columns);
    for (size_t at = 0; reads && at < columns->count; at++)
        reads = reads_alike(columns->items[at].info);
    if (!reads)
        return LH_OK;
    make_leaves(&leaves, columns);
    for (size_t at = 0; at < leaves.count; at++)
        leaves.items[at].type = leaves.items[at].found;
    return read_as(&leaves, format, columns, &task->relation, err);
}

/* --- columns -----------------------------------------------------------------------------------
 */

static void add_column(struct task *task, struct lh_str name, struct lh_str expr,
                       const struct engine_type_info *info)
{
    bool is_json = lh_str_equal(info->alias, lh_lit("JSON"));
    /* What differs from row to row is text; a text among it is itself, without its quotes. */
    struct lh_str as_text =
        lh_arena_printf(task->arena,
                        "CASE json_type(%.*s) WHEN 'VARCHAR' THEN %.*s->>'$' WHEN 'NULL' THEN NULL "
                        "ELSE CAST(%.*s AS VARCHAR) END",
                        LH_ARG(expr), LH_ARG(expr), LH_ARG(expr));
    task->columns[task->column_count++] = (struct source_column){
        .name = name,
        .expr = is_json ? as_text : expr,
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

static enum lh_code describe_relation(struct task *task, struct engine_columns *ret,
                                      struct lh_error *err)
{
    struct lh_str sql = lh_arena_printf(task->arena, "SELECT * FROM %.*s", LH_ARG(task->relation));
    return engine_describe(task->connection, sql, task->arena, ret, err);
}

static enum lh_code describe(struct task *task, const char *format, struct lh_error *err)
{
    struct engine_columns columns = {0};
    size_t leaves = 0;
    bool has_changed = false;
    task->relation = reader(task, format, lh_lit(""));
    enum lh_code code = describe_relation(task, &columns, err);
    if (!code)
        code = keep_digits(task, format, &columns, &has_changed, err);
    if (!code)
        code = has_changed ? describe_relation(task, &columns, err)
                           : tell_types(task, format, &columns, err);
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

/* --- broken lines ------------------------------------------------------------------------------
 */

/* Lines as text: a separator that no JSON text holds unescaped keeps them whole. */
static struct lh_str lines_of(const struct task *task)
{
    return lh_arena_printf(task->arena,
                           "(SELECT row_number() OVER () AS line, text FROM read_csv(%.*s, "
                           "columns={'text': 'VARCHAR'}, delim='\x01', quote='', escape='', "
                           "comment='', header=false, auto_detect=false, hive_partitioning=false, "
                           "max_line_size=%d, buffer_size=%d%s) WHERE trim(text) <> '')",
                           LH_ARG(sql_path(task->arena, task->path)), INGEST_LINE_BYTES_MAX,
                           2 * INGEST_LINE_BYTES_MAX,
                           task->scan.is_gzip ? ", compression='gzip'" : "");
}

/* A line that is one object, each of whose keys is there once: two values of one name would be one
 * too many. */
#define IS_OBJECT                                                                                  \
    "(json_valid(text) AND json_type(CASE WHEN json_valid(text) THEN text END) = 'OBJECT' AND "    \
    "len(json_keys(CASE WHEN json_valid(text) THEN text END)) = "                                  \
    "len(list_distinct(json_keys(CASE WHEN json_valid(text) THEN text END))))"
#define REASON                                                                                     \
    "CASE WHEN NOT json_valid(text) THEN 'not valid JSON' "                                        \
    "WHEN json_type(text) <> 'OBJECT' THEN 'not an object' ELSE 'a key is there twice' END"

/* The lines that are objects go to a file of their own; the others are what `rejects` selects. */
static enum lh_code set_bad_lines_aside(struct task *task, struct lh_error *err)
{
    int64_t rows = 0;
    struct lh_str lines = lines_of(task);
    struct storage_staged *good = NULL;
    enum lh_code code = task_stage(task, lh_lit(".ndjson"), &good, err);
    if (code)
        return code;
    struct lh_str copy = lh_arena_printf(
        task->arena,
        "COPY (SELECT text FROM %.*s WHERE " IS_OBJECT ") TO %.*s (FORMAT csv, HEADER false, "
        "DELIMITER '\x01', QUOTE '', ESCAPE '')",
        LH_ARG(lines), LH_ARG(sql_literal(task->arena, storage_staged_path(good))));
    code = engine_execute(task->connection, copy, NULL, task->cancel, &rows, err);
    if (!code && rows == 0)
        code = lh_fail(err, LH_UNREADABLE, "No line of the file is a JSON object.");
    if (code)
        return code;
    task->rejects =
        lh_arena_printf(task->arena,
                        "SELECT line::BIGINT AS line, " REASON " AS reason, text AS raw FROM %.*s "
                        "WHERE NOT coalesce(" IS_OBJECT ", false) ORDER BY line",
                        LH_ARG(lines));
    task->path = storage_staged_path(good);
    task->scan.is_gzip = false;
    return describe(task, "newline_delimited", err);
}

static bool is_of_the_file(enum lh_code code)
{
    return code == LH_SQL || code == LH_UNREADABLE || code == LH_INVALID || code == LH_IO;
}

enum lh_code json_open(struct task *task, struct lh_error *err)
{
    bool is_array = task->source->format == FORMAT_JSON;
    enum lh_code code = scan_end(task, err);
    if (!code)
        code = columns_refuse_types(task, err);
    /* The reader takes a byte order mark for a broken value. */
    if (!code && task->scan.has_mark)
        code = encoding_convert(task, ENCODING_UTF8, err);
    if (code)
        return code;
    if (task->is_wary) {
        code = set_bad_lines_aside(task, err);
        return code ? fail_unreadable(task, code, err) : columns_clean(task, err);
    }
    code = describe(task, is_array ? "array" : "newline_delimited", err);
    /* Objects over several lines each are no NDJSON, but what many a tool writes. */
    if (is_of_the_file(code) && !is_array && task->scan.depth <= INGEST_JSON_DEPTH_MAX)
        code = describe(task, "unstructured", err);
    if (is_of_the_file(code) && !is_array)
        code = set_bad_lines_aside(task, err);
    if (code)
        return fail_unreadable(task, code, err);
    return columns_clean(task, err);
}
