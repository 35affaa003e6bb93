/* Parquet: columns and types as the file has them. */
#include "ingest/internal.h"

enum lh_code parquet_open(struct task *task, struct lh_error *err)
{
    struct engine_columns columns = {0};
    int64_t rows = 0;
    enum lh_code code = columns_refuse_types(task, err);
    if (code)
        return code;
    code = task->scan.is_gzip ? encoding_convert(task, ENCODING_UTF8, err) : LH_OK;
    if (code)
        return code;
    code = engine_parquet_schema(task->connection, task->path, task->arena, &columns, &rows, err);
    if (code)
        return fail_unreadable(task, code, err);
    task->relation = lh_arena_printf(task->arena, "read_parquet(%.*s, hive_partitioning = false)",
                                     LH_ARG(sql_path(task->arena, task->path)));
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
