/* Parquet: columns and types as the file has them, or the files, which have the same. */
#include "ingest/internal.h"

static struct lh_str type_text(struct task *task, const struct engine_column *column)
{
    struct lh_buf buf;
    lh_buf_init(&buf, 1 << 20);
    engine_type_text(column->info, &buf);
    struct lh_str text = lh_arena_str(task->arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

static bool is_same(struct task *task, const struct engine_column *a, const struct engine_column *b)
{
    return lh_str_equal(a->name, b->name) && lh_str_equal(type_text(task, a), type_text(task, b));
}

/* "The object …" inside of a sentence. */
static struct lh_str bare_name(const struct stored *file)
{
    return lh_str_slice(file->name, sizeof "The", file->name.len);
}

static enum lh_code compare_columns(struct task *task, const struct engine_columns *first,
                                    const struct engine_columns *other, size_t at,
                                    struct lh_error *err)
{
    const struct stored *files = task->stored_files;
    size_t i = 0;
    while (i < first->count && i < other->count &&
           is_same(task, &first->items[i], &other->items[i]))
        i++;
    if (i == first->count && i == other->count)
        return LH_OK;
    if (i == first->count || i == other->count)
        lh_fail(err, LH_SCHEMA, "%.*s has %zu columns, the %.*s has %zu.", LH_ARG(files[at].name),
                other->count, LH_ARG(bare_name(&files[0])), first->count);
    else
        lh_fail(err, LH_SCHEMA,
                "Column %zu of the %.*s is '%.*s' %.*s, of the %.*s it is '%.*s' %.*s.", i + 1,
                LH_ARG(bare_name(&files[at])), LH_ARG(lh_str_head(other->items[i].name, 100)),
                LH_ARG(lh_str_head(type_text(task, &other->items[i]), 200)),
                LH_ARG(bare_name(&files[0])), LH_ARG(lh_str_head(first->items[i].name, 100)),
                LH_ARG(lh_str_head(type_text(task, &first->items[i]), 200)));
    return lh_error_hint(err, "Objects of one dataset have the same columns in the same order.");
}

static enum lh_code read_footer(struct task *task, struct lh_str path, struct engine_columns *ret,
                                struct lh_error *err)
{
    int64_t rows = 0;
    enum lh_code code = engine_parquet_schema(task->connection, path, task->arena, ret, &rows, err);
    return code ? fail_unreadable(task, code, err) : LH_OK;
}

static enum lh_code read_footers(struct task *task, struct lh_buf *paths,
                                 struct engine_columns *ret, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < task->args.objects.count && !code; i++) {
        const struct stored *file = &task->stored_files[i];
        struct engine_columns columns = {0};
        code = read_footer(task, file->path, &columns, err);
        if (code == LH_UNREADABLE)
            code = lh_error_context(err, "%.*s", LH_ARG(file->name));
        if (!code && !i)
            *ret = columns;
        else if (!code)
            code = compare_columns(task, ret, &columns, i, err);
        lh_buf_printf(paths, "%s%.*s", i ? ", " : "[", LH_ARG(sql_path(task->arena, file->path)));
    }
    lh_buf_append_str(paths, lh_lit("]"));
    return code ? code : lh_buf_check(paths, "The list of objects", err);
}

/* The columns of what is read, and where it is as SQL has it. */
static enum lh_code look(struct task *task, struct lh_buf *paths, struct engine_columns *ret,
                         struct lh_error *err)
{
    if (task->stored_files)
        return read_footers(task, paths, ret, err);
    enum lh_code code = task->scan.is_gzip ? encoding_convert(task, ENCODING_UTF8, err) : LH_OK;
    if (!code)
        code = read_footer(task, task->path, ret, err);
    lh_buf_append_str(paths, sql_path(task->arena, task->path));
    return code;
}

enum lh_code parquet_open(struct task *task, struct lh_error *err)
{
    struct engine_columns columns = {0};
    struct lh_buf paths;
    lh_buf_init(&paths, (size_t)16 << 20);
    enum lh_code code = columns_refuse_types(task, err);
    if (!code)
        code = look(task, &paths, &columns, err);
    task->relation = lh_arena_printf(task->arena, "read_parquet(%.*s, hive_partitioning = false)",
                                     LH_ARG(lh_buf_str(&paths)));
    lh_buf_release(&paths);
    if (code)
        return code;
    task->columns = lh_arena_array(task->arena, columns.count + 1, sizeof(*task->columns));
    task->column_count = columns.count;
    for (size_t at = 0; at < columns.count; at++) {
        task->columns[at] = (struct source_column){
            .name = columns.items[at].name,
            .expr = sql_ident(task->arena, columns.items[at].name),
            .type = stored_type(task->arena, columns.items[at].info),
        };
    }
    return columns_clean(task, err);
}
