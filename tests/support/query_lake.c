#include "support/query_lake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define DAY_MS (INT64_C(86400) * 1000)
#define FIRST_MS (INT64_C(1767225600) * 1000) /* 2026-01-01 */

static const struct query_lake_version packages[] = {
    {"SELECT i AS id, 'pkg-' || lpad(i::VARCHAR, 3, '0') AS name, "
     "['admin', 'libs', 'net', NULL][i % 4 + 1] AS section, "
     "CASE WHEN i % 7 = 0 THEN NULL ELSE i * 1.5e0 END AS size, (i * 3.25)::DECIMAL(10,2) AS "
     "price, "
     "i % 2 = 0 AS installed, DATE '2024-02-27' + i::INTEGER AS released, "
     "TIMESTAMP '2024-02-28 23:59:58.5' + to_hours(i) AS updated, "
     "CASE WHEN i % 5 = 0 THEN [] WHEN i % 6 = 0 THEN NULL ELSE ['t' || i % 3, 'x'] END AS tags, "
     "{'license': ['MIT', 'GPL'][i % 2 + 1], 'stars': i::INTEGER % 6} AS meta "
     "FROM range(30) r(i)",
     FIRST_MS},
    {"SELECT i AS id, 'pkg-' || lpad(i::VARCHAR, 3, '0') AS name, 'new' AS section, "
     "i / 3e0 AS size, 9.99::DECIMAL(10,2) AS price, NULL::BOOLEAN AS installed, "
     "NULL::DATE AS released, TIMESTAMP '2025-06-01 12:00:00' AS updated, "
     "['t' || i % 3] AS tags, NULL::STRUCT(license VARCHAR, stars INTEGER) AS meta "
     "FROM range(30, 50) r(i)",
     FIRST_MS + DAY_MS},
};
static const struct query_lake_version dependencies[] = {
    {"SELECT 'pkg-' || lpad((i % 50)::VARCHAR, 3, '0') AS package, "
     "'pkg-' || lpad((i * 7 % 60)::VARCHAR, 3, '0') AS depends_on, "
     "['depends', 'suggests'][i % 2 + 1] AS kind, (i % 9)::INTEGER AS weight FROM range(120) r(i)",
     FIRST_MS}};
static const struct query_lake_version odd[] = {
    {"SELECT i::INTEGER AS \"select\", 'v' || i AS \"a b\", i::INTEGER AS \"quo\"\"te\", "
     "chr(233) || i AS \"Ünï\", i AS x_file_row_number, 'f' || i AS x_filename, "
     "i::INTEGER AS \"x.y\" FROM range(8) r(i)",
     FIRST_MS}};
static const struct query_lake_version events[] = {
    {"SELECT TIMESTAMP '2026-01-01 00:00:00' + to_minutes(i * 7) AS ts, "
     "['ann', 'bob', 'cid'][i % 3 + 1] AS who, (i * i % 17)::DOUBLE AS amount FROM range(40) r(i)",
     FIRST_MS}};
static const struct query_lake_version quotes[] = {
    {"SELECT TIMESTAMP '2026-01-01 00:00:00' + to_minutes(i * 30) AS ts, "
     "['ann', 'bob', 'cid'][i % 3 + 1] AS who, 100 + i AS price FROM range(12) r(i)",
     FIRST_MS}};
static const struct query_lake_version edges[] = {
    {"SELECT i AS src, (i * 3 + 1) % 11 AS dst FROM range(11) r(i)", FIRST_MS}};
static const struct query_lake_version sales[] = {
    {"SELECT (2020 + i % 4)::INTEGER AS year, 'Q' || (i % 4 + 1) AS quarter, "
     "(i * 12.5)::DECIMAL(12,2) AS amount, ['north', 'south'][i % 2 + 1] AS region "
     "FROM range(32) r(i)",
     FIRST_MS}};
static const struct query_lake_version kinds[] = {
    {"SELECT * EXCLUDE (bignum) REPLACE (small_enum::VARCHAR AS small_enum, medium_enum::VARCHAR "
     "AS medium_enum, "
     "large_enum::VARCHAR AS large_enum, \"union\"::VARCHAR AS \"union\", bit::VARCHAR AS bit, "
     "hugeint::VARCHAR AS hugeint, uhugeint::VARCHAR AS uhugeint) "
     "FROM test_all_types()",
     FIRST_MS}};
static const struct query_lake_version columns_of[] = {
    {"SELECT 'COLUMNS' AS name, 1 AS n", FIRST_MS}};

#define VERSIONS(array) array, sizeof(array) / sizeof(array)[0]
const struct query_lake_dataset query_lake_datasets[] = {
    {"packages", "*", VERSIONS(packages)},
    {"dependencies", "*", VERSIONS(dependencies)},
    {"odd",
     "\"select\", \"a b\", \"quo\"\"te\", \"Ünï\", x_file_row_number AS file_row_number, "
     "x_filename AS filename, \"x.y\"",
     VERSIONS(odd)},
    {"events", "*", VERSIONS(events)},
    {"quotes", "*", VERSIONS(quotes)},
    {"edges", "*", VERSIONS(edges)},
    {"Sales", "*", VERSIONS(sales)},
    {"kinds", "*", VERSIONS(kinds)},
    {"columns_", "*", VERSIONS(columns_of)},
    {"nothing_yet", "*", NULL, 0},
};
const size_t query_lake_dataset_count = sizeof query_lake_datasets / sizeof query_lake_datasets[0];

static void check(enum lh_code code, const struct lh_error *err)
{
    if (code)
        fail_msg("%s", err->message);
}

static void execute(struct engine *engine, const char *sql)
{
    struct lh_error err = LH_ERROR_NONE;
    struct engine_connection *connection = NULL;
    check(engine_acquire(engine, (struct lh_str){0}, NULL, &connection, &err), &err);
    check(engine_execute(connection, lh_str_of(sql), NULL, NULL, NULL, &err), &err);
    engine_release(connection);
}

/* --- the source of relations */

static int find_dataset(struct lh_str name)
{
    for (size_t i = 0; i < query_lake_dataset_count; i++)
        if (lh_str_equal_nocase(name, lh_str_of(query_lake_datasets[i].name)))
            return (int)i;
    return -1;
}

static size_t version_at(const struct query_lake *lake, int at, const struct query_moment *moment)
{
    const struct query_lake_dataset *dataset = &query_lake_datasets[at];
    size_t count = lake->version_count[at];
    if (moment->kind == QUERY_AT_VERSION)
        return moment->version <= count ? (size_t)moment->version : 0;
    if (moment->kind == QUERY_AT_TIME)
        while (count && dataset->versions[count - 1].unix_ms > moment->unix_ms)
            count--;
    return count;
}

static uint64_t stamp(void *context, const struct query_scope *scope, struct lh_str name,
                      const struct query_moment *moment)
{
    int at = find_dataset(name);
    (void)scope;
    if (at < 0)
        return 0;
    if (query_lake_datasets[at].version_count == 0)
        return 1000;
    return version_at(context, at, moment);
}

static enum lh_code write(void *context, const struct query_scope *scope, struct lh_str name,
                          const struct query_moment *moment, struct query_relation_writer *writer,
                          struct lh_error *err)
{
    const struct query_lake *lake = context;
    int at = find_dataset(name);
    const struct query_lake_dataset *dataset = &query_lake_datasets[at];
    size_t version = version_at(lake, at, moment);
    (void)scope;
    if (!version && dataset->version_count)
        return lh_fail(err, LH_NOT_FOUND, "The dataset '%s' has no such version.", dataset->name);
    static const struct query_relation_column nothing[] = {
        {LH_LIT("id"), LH_LIT("id"), LH_LIT("INTEGER")},
        {LH_LIT("label"), LH_LIT("label"), LH_LIT("VARCHAR")}};
    struct query_relation_column columns[128];
    struct query_relation_files files = {.columns = nothing, .column_count = 2};
    if (dataset->version_count) {
        for (size_t i = 0; i < lake->columns[at].count; i++) {
            struct lh_str stored = lake->columns[at].items[i].name, shown = stored;
            if (lh_str_starts_with(stored, lh_lit("x_file")))
                shown = lh_str_slice(stored, 2, stored.len);
            columns[i] = (struct query_relation_column){.name = shown, .stored = stored};
        }
        files = (struct query_relation_files){.columns = columns,
                                              .column_count = lake->columns[at].count,
                                              .paths = lake->paths[at],
                                              .path_count = version};
    }
    query_write_version(writer, lh_str_of(dataset->name), version ? version : 1);
    query_write_files(writer, &files);
    return LH_OK;
}

static void list(void *context, const struct query_scope *scope,
                 void (*each)(void *each_context, struct lh_str name), void *each_context)
{
    (void)context;
    (void)scope;
    for (size_t i = 0; i < query_lake_dataset_count; i++)
        each(each_context, lh_str_of(query_lake_datasets[i].name));
}

/* --- life */

static void write_files(struct query_lake *lake, struct engine_connection *connection, size_t at)
{
    struct lh_error err = LH_ERROR_NONE;
    const struct query_lake_dataset *dataset = &query_lake_datasets[at];
    struct engine_content content;
    struct engine_copy_options options = {0};
    for (size_t i = 0; i < dataset->version_count; i++) {
        lake->paths[at][i] =
            lh_arena_printf(lake->arena, "%s/%s-%zu.parquet", lake->folder.path, dataset->name, i);
        check(engine_copy(connection, lh_str_of(dataset->versions[i].select), lake->paths[at][i],
                          &options, NULL, NULL, &content, &err),
              &err);
        int64_t rows;
        if (i == 0)
            check(engine_parquet_schema(connection, lake->paths[at][i], lake->arena,
                                        &lake->columns[at], &rows, &err),
                  &err);
    }
    lake->version_count[at] = dataset->version_count;
}

static void make_view(struct query_lake *lake, size_t at)
{
    const struct query_lake_dataset *dataset = &query_lake_datasets[at];
    struct lh_buf sql;
    lh_buf_init(&sql, 1 << 20);
    lh_buf_printf(&sql, "CREATE VIEW \"%s\" AS SELECT %s FROM ", dataset->name, dataset->columns);
    if (dataset->version_count == 0)
        lh_buf_printf(&sql, "(SELECT NULL::INTEGER AS id, NULL::VARCHAR AS label WHERE false)");
    else
        lh_buf_printf(&sql, "read_parquet([");
    for (size_t i = 0; i < dataset->version_count; i++)
        lh_buf_printf(&sql, "%s'%.*s'", i ? ", " : "", LH_ARG(lake->paths[at][i]));
    if (dataset->version_count)
        lh_buf_printf(&sql, "])");
    execute(lake->oracle, sql.data);
    lh_buf_release(&sql);
}

void query_lake_open(struct query_lake *lake)
{
    struct lh_error err = LH_ERROR_NONE;
    *lake = (struct query_lake){0};
    temp_lake_make(&lake->folder);
    lake->arena = lh_arena_new(0);
    /* One thread each, so that both give rows in the same order. */
    struct engine_options options = {.thread_count = 1, .memory_bytes = INT64_C(1) << 30};
    check(engine_open(&options, &lake->engine, &err), &err);
    check(engine_open(&options, &lake->oracle, &err), &err);
    struct engine_connection *connection = NULL;
    check(engine_acquire(lake->engine, (struct lh_str){0}, NULL, &connection, &err), &err);
    for (size_t i = 0; i < query_lake_dataset_count; i++)
        write_files(lake, connection, i);
    engine_release(connection);
    for (size_t i = 0; i < query_lake_dataset_count; i++)
        make_view(lake, i);
    lake->relations = (struct query_relations){
        .kind = "dataset", .context = lake, .stamp = stamp, .write = write, .list = list};
    lake->sources[0] = &lake->relations;
    struct query_engine_options query = {.engine = lake->engine,
                                         .relations = lake->sources,
                                         .relation_count = 1,
                                         .scratch_path = temp_lake_path(&lake->folder)};
    check(query_engine_new(&query, &lake->query, &err), &err);
}

void query_lake_close(struct query_lake *lake)
{
    query_engine_free(lake->query);
    engine_close(lake->oracle);
    engine_close(lake->engine);
    lh_arena_free(lake->arena);
    temp_lake_remove(&lake->folder);
}

static enum lh_code collect(void *context, struct lh_str bytes, struct lh_error *err)
{
    (void)err;
    lh_buf_append_str(context, bytes);
    return LH_OK;
}

struct lh_str query_lake_json(struct query_lake *lake, const struct query_request *request,
                              struct lh_arena *arena, struct lh_error *ret_err)
{
    const struct query_principal admin = {.is_trusted = true};
    struct query *query = NULL;
    struct lh_buf buf;
    struct lh_str text;
    lh_buf_init(&buf, (size_t)1 << 30);
    *ret_err = (struct lh_error)LH_ERROR_NONE;
    enum lh_code code = query_open(lake->query, &admin, request, NULL, &query, ret_err);
    struct query_sink sink = {.context = &buf, .write = collect};
    if (!code)
        code = query_encode(query, query_encoders[0], NULL, &sink, NULL, ret_err);
    query_close(query);
    if (code)
        text = lh_arena_printf(arena, "ERROR %s: %s", lh_error_row(code)->id, ret_err->message);
    else
        text = lh_arena_str(arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

struct lh_str query_lake_sql(struct query_lake *lake, const char *sql, struct lh_arena *arena)
{
    struct lh_error err;
    struct query_request request = {.sql = lh_str_of(sql)};
    return query_lake_json(lake, &request, arena, &err);
}
