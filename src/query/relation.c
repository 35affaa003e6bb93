/* The text of relations: what stands in parentheses where a name stood. */
#include "query/internal.h"

#include "engine/filter.h"

static void write_column(struct lh_buf *buf, const struct query_relation_column *column,
                         bool is_cast, bool is_empty)
{
    bool is_null = is_empty || !column->stored.len;
    if (is_null || is_cast)
        lh_buf_append_str(buf, lh_lit("CAST("));
    if (is_null)
        lh_buf_append_str(buf, lh_lit("NULL"));
    else
        engine_quote_ident(buf, column->stored);
    if (is_null || is_cast) {
        lh_buf_append_str(buf, lh_lit(" AS "));
        lh_buf_append_str(buf, column->type);
        lh_buf_append_char(buf, ')');
    }
    lh_buf_append_str(buf, lh_lit(" AS "));
    engine_quote_ident(buf, column->name);
}

void query_write_files(struct query_relation_writer *writer,
                       const struct query_relation_files *files)
{
    struct lh_buf *buf = writer->buf;
    lh_buf_append_str(buf, writer->has_files ? lh_lit(" UNION ALL SELECT ") : lh_lit("SELECT "));
    writer->has_files = true;
    for (size_t i = 0; i < files->column_count; i++) {
        if (i)
            lh_buf_append_str(buf, lh_lit(", "));
        write_column(buf, &files->columns[i], files->is_cast, files->path_count == 0);
    }
    if (files->path_count == 0) {
        lh_buf_append_str(buf, lh_lit(" WHERE false"));
        return;
    }
    lh_buf_append_str(buf, lh_lit(" FROM read_parquet(["));
    for (size_t i = 0; i < files->path_count; i++) {
        if (i)
            lh_buf_append_str(buf, lh_lit(", "));
        engine_quote_path(buf, files->paths[i]);
    }
    /* A folder called a=b above the lake is not a column. */
    lh_buf_append_str(buf, lh_lit("], hive_partitioning = false)"));
    if (files->filter)
        lh_buf_printf(buf, " WHERE " ENGINE_FILTER_FUNCTION "(%llu, file_index, file_row_number)",
                      (unsigned long long)files->filter);
    else if (files->where.len)
        lh_buf_printf(buf, " WHERE %.*s", LH_ARG(files->where));
}

void query_write_sql(struct query_relation_writer *writer, struct lh_str sql)
{
    lh_buf_append_str(writer->buf, sql);
}

void query_write_version(struct query_relation_writer *writer, struct lh_str dataset,
                         uint64_t version)
{
    for (size_t i = 0; i < writer->version_count; i++)
        if (lh_str_equal(writer->versions[i].dataset, dataset) &&
            writer->versions[i].version == version)
            return;
    if (writer->version_count == writer->version_capacity) {
        size_t capacity = writer->version_capacity ? writer->version_capacity * 2 : 8;
        struct query_version *grown = lh_arena_array(writer->arena, capacity, sizeof *grown);
        if (writer->version_count)
            memcpy(grown, writer->versions, writer->version_count * sizeof *grown);
        writer->versions = grown;
        writer->version_capacity = capacity;
    }
    size_t at = writer->version_count++;
    while (at > 0) {
        int order = lh_str_compare_nocase(writer->versions[at - 1].dataset, dataset);
        if (order < 0 || (order == 0 && writer->versions[at - 1].version > version))
            break;
        writer->versions[at] = writer->versions[at - 1];
        at--;
    }
    writer->versions[at] = (struct query_version){lh_arena_str(writer->arena, dataset), version};
}

static void note_dep(struct query_relation_writer *writer, size_t source, struct lh_str name,
                     const struct query_moment *moment, uint64_t stamp)
{
    if (writer->dep_count == writer->dep_capacity) {
        size_t capacity = writer->dep_capacity ? writer->dep_capacity * 2 : 8;
        struct query_dep *grown = lh_arena_array(writer->arena, capacity, sizeof *grown);
        if (writer->dep_count)
            memcpy(grown, writer->deps, writer->dep_count * sizeof *grown);
        writer->deps = grown;
        writer->dep_capacity = capacity;
    }
    writer->deps[writer->dep_count++] =
        (struct query_dep){.source = source, .name = name, .moment = *moment, .stamp = stamp};
}

struct names {
    struct lh_arena *arena;
    struct lh_str items[1024];
    size_t count;
};

static void add_name(void *context, struct lh_str name)
{
    struct names *names = context;
    if (names->count < sizeof names->items / sizeof names->items[0])
        names->items[names->count++] = lh_arena_str(names->arena, name);
}

static bool looks_like_file(struct lh_str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] == '.' || name.data[i] == '/' || name.data[i] == ':')
            return true;
    return false;
}

static enum lh_code fail_not_found(const struct query_relation_writer *writer, struct lh_str name,
                                   struct lh_error *err)
{
    if (looks_like_file(name)) {
        lh_fail(err, LH_REFUSED, "'%.*s' looks like a file; SQL here reads no files.",
                LH_ARG(name));
        return lh_error_hint(err, "Ingest the file as a dataset and write the dataset's name.");
    }
    struct names *names = lh_arena_alloc(writer->arena, sizeof *names);
    names->arena = writer->arena;
    for (size_t i = 0; i < writer->sources->count; i++) {
        const struct query_relations *source = writer->sources->items[i];
        if (source->list)
            source->list(source->context, writer->scope, add_name, names);
    }
    struct lh_str nearest = lh_str_nearest(name, names->items, names->count);
    lh_fail(err, LH_NOT_FOUND, "There is no dataset '%.*s'.", LH_ARG(name));
    if (nearest.len)
        return lh_error_hint(err, "Did you mean '%.*s'?", LH_ARG(nearest));
    return lh_error_hint(err, "SHOW TABLES lists the datasets.");
}

enum lh_code query_relation_write(struct query_relation_writer *writer, size_t first,
                                  struct lh_str name, const struct query_moment *moment,
                                  struct lh_error *err)
{
    struct lh_str kept = lh_arena_str(writer->arena, name);
    for (size_t i = first; i < writer->sources->count; i++) {
        const struct query_relations *source = writer->sources->items[i];
        uint64_t stamp = source->stamp(source->context, writer->scope, kept, moment);
        note_dep(writer, i, kept, moment, stamp);
        /* A moment that is not there is still this source's to explain. */
        bool is_here = stamp || (moment->kind != QUERY_NOW &&
                                 source->stamp(source->context, writer->scope, kept,
                                               &(struct query_moment){.kind = QUERY_NOW}));
        if (!is_here)
            continue;
        size_t outer = writer->source;
        bool had_files = writer->has_files;
        writer->source = i;
        writer->has_files = false;
        writer->row_count = (struct lh_opt_int){0};
        lh_buf_append_char(writer->buf, '(');
        enum lh_code code =
            source->write(source->context, writer->scope, kept, moment, writer, err);
        lh_buf_append_char(writer->buf, ')');
        writer->source = outer;
        writer->has_files = had_files;
        return code;
    }
    return fail_not_found(writer, name, err);
}

enum lh_code query_write_base(struct query_relation_writer *writer, struct lh_str name,
                              const struct query_moment *moment, struct lh_error *err)
{
    if (writer->depth >= QUERY_VIEW_DEPTH_MAX)
        return lh_fail(err, LH_TOO_LARGE, "'%.*s' is a view of a view more than %d times over.",
                       LH_ARG(name), QUERY_VIEW_DEPTH_MAX);
    writer->depth++;
    enum lh_code code = query_relation_write(writer, writer->source + 1, name, moment, err);
    writer->depth--;
    writer->row_count = (struct lh_opt_int){0}; /* whoever writes around it may leave rows out */
    return code;
}

bool query_dep_holds(const struct query_sources *sources, const struct query_scope *scope,
                     const struct query_dep *dep)
{
    const struct query_relations *source = sources->items[dep->source];
    return source->stamp(source->context, scope, dep->name, &dep->moment) == dep->stamp;
}
