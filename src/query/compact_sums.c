/* What a merged file must hold: sums of parts add up, so that the sums that the parts were
 * committed with, less those of the rows that are left out, are those of the rows that stay.
 *
 * The rows that are left out are read by their numbers, written out in the statement. The filter by
 * which the merging statement leaves them out has no part in it: a row that it hides by mistake, or
 * lets through, is noticed before anything is published. */
#include "query/compact_internal.h"

#include "catalog/data_file.h"
#include "query/internal.h"
#include "storage/buckets.h"

#define SELECT_BYTES_MAX ((size_t)8 << 20)
#define NUMBERS_MAX 20000 /* of rows in one statement: the engine reads what is between them */

static void add(struct engine_content *sum, const struct engine_content *content)
{
    sum->rows += content->rows;
    sum->sums[0] += content->sums[0];
    sum->sums[1] += content->sums[1];
}

static void subtract(struct engine_content *sum, const struct engine_content *content)
{
    sum->rows -= content->rows;
    sum->sums[0] -= content->sums[0];
    sum->sums[1] -= content->sums[1];
}

/* --- all rows */

static bool is_uniform(const struct catalog_dataset *dataset, const struct compact_group *group)
{
    for (size_t i = 0; i < group->count; i++)
        if (!lh_str_equal(dataset->objects[group->first + i]->schema, dataset->schema))
            return false;
    return true;
}

bool compact_known_content(const struct catalog_dataset *dataset, const struct compact_group *group,
                           struct engine_content *ret)
{
    struct engine_content content = {0}, sum = {.rows = (uint64_t)group->rows};
    if (!is_uniform(dataset, group))
        return false;
    for (size_t i = 0; i < group->count; i++) {
        const struct catalog_object *object = dataset->objects[group->first + i];
        if (!data_file_content_read(object->content_hash, &content))
            return false;
        content.rows = 0;
        add(&sum, &content);
    }
    *ret = sum;
    return true;
}

/* Each file by itself, past everything that makes relations of files. */
static enum lh_code sum_files(const struct compact_sums *sums, const struct compact_group *group,
                              struct engine_content *ret, struct lh_error *err)
{
    struct engine_content content = {0}, sum = {0};
    struct lh_str path;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < group->count && !code; i++) {
        const struct catalog_object *object = sums->dataset->objects[group->first + i];
        code = storage_object_path(sums->compactor->storage, object->bucket, object->key,
                                   sums->arena, &path, err);
        if (!code)
            code = engine_parquet_check(sums->connection, path, sums->cancel, &content, err);
        if (!code)
            add(&sum, &content);
    }
    if (!code)
        *ret = sum;
    return code;
}

/* In today's columns; an empty `where`: all rows. */
static enum lh_code sum_rows(const struct compact_sums *sums, size_t first, size_t count,
                             struct lh_str where, struct engine_content *ret, struct lh_error *err)
{
    struct lh_buf buf;
    struct query_relation_writer writer = {.arena = sums->arena, .buf = &buf};
    const struct query_objects objects = {.storage = sums->compactor->storage,
                                          .engine = sums->compactor->engine,
                                          .dataset = sums->dataset,
                                          .first = first,
                                          .count = count,
                                          .is_stored = true,
                                          .where = where};
    lh_buf_init(&buf, SELECT_BYTES_MAX);
    enum lh_code code = query_write_objects(&objects, &writer, err);
    if (!code)
        code = lh_buf_check(&buf, "The statement that sums up rows", err);
    if (!code)
        code = engine_content_of(sums->connection, lh_buf_str(&buf), sums->cancel, ret, err);
    lh_buf_release(&buf);
    return code;
}

/* --- rows that are left out */

struct numbers {                /* of rows of one file, ascending */
    int64_t *items;             /* those that fit */
    int64_t first, last, count; /* more than fit only where none is missing between them */
};

static bool is_run(const struct numbers *numbers)
{
    return numbers->last - numbers->first + 1 == numbers->count;
}

static enum lh_code sum_numbers(const struct compact_sums *sums, size_t index,
                                struct numbers *numbers, struct engine_content *ret,
                                struct lh_error *err)
{
    struct engine_content content = {0};
    struct lh_buf where;
    lh_buf_init(&where, SELECT_BYTES_MAX);
    lh_buf_printf(&where, "file_row_number BETWEEN %lld AND %lld", (long long)numbers->first,
                  (long long)numbers->last);
    for (int64_t i = 0; !is_run(numbers) && i < numbers->count; i++)
        lh_buf_printf(&where, "%s%lld", i ? ", " : " AND file_row_number IN (",
                      (long long)numbers->items[i]);
    if (!is_run(numbers))
        lh_buf_append_char(&where, ')');
    enum lh_code code = lh_buf_check(&where, "The list of hidden rows", err);
    if (!code)
        code = sum_rows(sums, index, 1, lh_buf_str(&where), &content, err);
    if (!code)
        add(ret, &content);
    numbers->count = 0;
    lh_buf_release(&where);
    return code;
}

static enum lh_code add_number(const struct compact_sums *sums, size_t index,
                               struct numbers *numbers, int64_t row, struct engine_content *ret,
                               struct lh_error *err)
{
    bool continues = is_run(numbers) && row == numbers->last + 1;
    enum lh_code code = LH_OK;
    if (numbers->count >= NUMBERS_MAX && !continues)
        code = sum_numbers(sums, index, numbers, ret, err);
    if (numbers->count < NUMBERS_MAX)
        numbers->items[numbers->count] = row;
    if (!numbers->count)
        numbers->first = row;
    numbers->last = row;
    numbers->count++;
    return code;
}

static enum lh_code sum_hidden(const struct compact_sums *sums, const struct compact_group *group,
                               struct engine_content *ret, struct lh_error *err)
{
    struct numbers numbers = {.items =
                                  lh_arena_array(sums->arena, NUMBERS_MAX, sizeof *numbers.items)};
    enum lh_code code = LH_OK;
    *ret = (struct engine_content){0};
    for (size_t i = group->first; i < group->first + group->count && !code; i++) {
        const struct catalog_rows *rows = catalog_hidden_of(sums->hidden, i);
        for (int64_t row = 0; rows && row < sums->dataset->objects[i]->rows && !code; row++) {
            size_t page = (size_t)(row / CATALOG_ROWS_PER_PAGE);
            if (page >= rows->page_count)
                break;
            if (!rows->pages[page])
                row = (int64_t)(page + 1) * CATALOG_ROWS_PER_PAGE - 1;
            else if (catalog_rows_has(rows, (uint64_t)row))
                code = add_number(sums, i, &numbers, row, ret, err);
        }
        if (!code && numbers.count)
            code = sum_numbers(sums, i, &numbers, ret, err);
    }
    return code;
}

/* --- both */

/* Files that lack columns were committed with sums of fewer columns: they are summed anew with what
 * stands for those. Sums of a file that was written by another release of the engine differ: then
 * the files are summed anew before anything is called wrong. */
enum lh_code compact_compare(const struct compact_sums *sums, const struct compact_group *group,
                             const struct engine_content *written, struct lh_error *err)
{
    struct engine_content wanted = {.rows = (uint64_t)(group->rows - group->hidden)}, hidden = {0};
    bool is_same = false;
    enum lh_code code = LH_OK;
    if (written->rows == wanted.rows) {
        if (group->hidden)
            code = sum_hidden(sums, group, &hidden, err);
        if (!code && compact_known_content(sums->dataset, group, &wanted)) {
            subtract(&wanted, &hidden);
            is_same = data_file_content_is(&wanted, written);
        }
        if (!code && !is_same) {
            code = is_uniform(sums->dataset, group) ? sum_files(sums, group, &wanted, err)
                                                    : sum_rows(sums, group->first, group->count,
                                                               (struct lh_str){0}, &wanted, err);
            subtract(&wanted, &hidden);
            is_same = !code && data_file_content_is(&wanted, written);
        }
    }
    if (code || is_same)
        return code;
    return lh_fail(
        err, LH_INTERNAL,
        "Merged files of '%.*s' do not hold the rows that they were committed with, less "
        "the deleted ones (%llu rows of %llu): nothing was changed.",
        LH_ARG(sums->dataset->name), (unsigned long long)written->rows,
        (unsigned long long)wanted.rows);
}
