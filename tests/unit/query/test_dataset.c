/* The catalog's datasets as relations: versions, added columns, escaped names, damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "query/encoder.h"
#include "support/catalog_lake.h"

static struct catalog_lake lake;
static struct engine *engine;
static struct query_engine *query_engine;

static void check(enum lh_code code, const struct lh_error *err)
{
    if (code)
        fail_msg("%s", err->message);
}

static int open_lake(void **state)
{
    struct lh_error err = LH_ERROR_NONE;
    struct engine_options options = {.thread_count = 1, .memory_bytes = INT64_C(512) << 20};
    (void)state;
    catalog_lake_make(&lake);
    catalog_lake_open(&lake);
    check(engine_open(&options, &engine, &err), &err);
    struct query_engine_options query = {
        .engine = engine, .catalog = lake.catalog, .storage = lake.storage};
    check(query_engine_new(&query, &query_engine, &err), &err);
    return 0;
}

static int close_lake(void **state)
{
    (void)state;
    query_engine_free(query_engine);
    engine_close(engine);
    catalog_lake_remove(&lake);
    return 0;
}

/* A published Parquet file of what `select` returns. */
static struct catalog_object file_of(struct lh_str id, const char *select)
{
    struct lh_error err = LH_ERROR_NONE;
    struct engine_connection *connection = NULL;
    struct engine_copy_options options = {0};
    struct engine_content content;
    struct storage_staged *staged = NULL;
    struct storage_sum sum;
    struct lh_uuid uuid = lh_uuid_new();
    struct lh_str folder = storage_staging_path(lake.storage);
    struct lh_str path = lh_arena_printf(lake.arena, "%.*s/%s.parquet", LH_ARG(folder), uuid.text);
    struct lh_str key =
        lh_arena_printf(lake.arena, "datasets/%.*s/%s.parquet", LH_ARG(id), uuid.text);
    check(engine_acquire(engine, (struct lh_str){0}, NULL, &connection, &err), &err);
    check(engine_copy(connection, lh_str_of(select), path, &options, NULL, NULL, &content, &err),
          &err);
    engine_release(connection);
    check(storage_stage_adopt(lake.storage, path, &staged, &err), &err);
    check(storage_staged_seal(staged, &sum, &err), &err);
    check(storage_staged_publish(staged, STORAGE_PRIMARY, key, &err), &err);
    storage_staged_discard(staged);
    struct catalog_object object = {
        .bucket = STORAGE_PRIMARY, .key = key, .bytes = sum.bytes, .rows = (int64_t)content.rows};
    memcpy(object.sha256, sum.sha256, sizeof sum.sha256);
    return object;
}

static struct lh_str commit(const struct catalog_change *change)
{
    struct lh_error err = LH_ERROR_NONE;
    struct catalog_commit_result result;
    check(catalog_commit(lake.catalog, change, lake.arena, &result, &err), &err);
    return result.dataset_id;
}

static struct lh_str create(const char *name, const struct catalog_column *columns, size_t count,
                            const char *select)
{
    struct lh_uuid uuid = lh_uuid_new();
    struct lh_str id = lh_arena_str(lake.arena, lh_uuid_str(&uuid));
    struct catalog_object object = {0};
    if (select)
        object = file_of(id, select);
    return commit(&(struct catalog_change){.action = CATALOG_CREATE,
                                           .dataset_id = id,
                                           .name = lh_str_of(name),
                                           .set_bits = CATALOG_SET_COLUMNS,
                                           .set = {.columns = columns, .column_count = count},
                                           .objects = &object,
                                           .object_count = select != NULL,
                                           .actor = lh_lit("tester")});
}

static void append(struct lh_str id, const struct catalog_column *columns, size_t count,
                   const char *select)
{
    struct catalog_object object = file_of(id, select);
    commit(&(struct catalog_change){.action = CATALOG_APPEND,
                                    .dataset_id = id,
                                    .set_bits = columns ? CATALOG_SET_COLUMNS : 0,
                                    .set = {.columns = columns, .column_count = count},
                                    .objects = &object,
                                    .object_count = 1,
                                    .actor = lh_lit("tester")});
}

static enum lh_code collect(void *context, struct lh_str bytes, struct lh_error *err)
{
    (void)err;
    lh_buf_append_str(context, bytes);
    return LH_OK;
}

static enum lh_code run(const char *sql, struct lh_buf *buf, struct lh_error *err)
{
    const struct query_principal admin = {.is_trusted = true};
    struct query_request request = {.sql = lh_str_of(sql)};
    struct query *query = NULL;
    *err = (struct lh_error)LH_ERROR_NONE;
    lh_buf_clear(buf);
    enum lh_code code = query_open(query_engine, &admin, &request, NULL, &query, err);
    struct query_sink sink = {.context = buf, .write = collect};
    if (!code)
        code = query_encode(query, query_encoders[0], NULL, &sink, NULL, err);
    query_close(query);
    return code;
}

static void assert_part(const char *sql, const char *part)
{
    struct lh_buf buf;
    struct lh_error err;
    size_t at;
    lh_buf_init(&buf, (size_t)1 << 24);
    if (run(sql, &buf, &err))
        fail_msg("%s: %s", sql, err.message);
    if (!lh_str_find(lh_buf_str(&buf), lh_str_of(part), &at))
        fail_msg("%s: %s\nhas no %s", sql, buf.data, part);
    lh_buf_release(&buf);
}

static void assert_fails(const char *sql, enum lh_code expected)
{
    struct lh_buf buf;
    struct lh_error err;
    lh_buf_init(&buf, (size_t)1 << 24);
    enum lh_code code = run(sql, &buf, &err);
    if (code != expected)
        fail_msg("%s: %s: %s", sql, lh_error_row(code)->id, err.message);
    lh_buf_release(&buf);
}

#define COLUMN(name_, stored_, type_)                                                              \
    {                                                                                              \
        .name = LH_LIT(name_), .stored_name = LH_LIT(stored_), .type = LH_LIT(type_)               \
    }
static const struct catalog_column people[] = {
    COLUMN("id", "id", "BIGINT"), COLUMN("name", "name", "VARCHAR"),
    COLUMN("filename", "esc_filename", "VARCHAR"), COLUMN("score", "score", "DOUBLE")};

static void versions_columns_and_names_are_the_catalogs(void **state)
{
    (void)state;
    struct lh_str id = create("people", people, 3,
                              "SELECT i AS id, 'p' || i AS name, 'f' || i AS esc_filename "
                              "FROM range(3) r(i)");
    assert_part("SELECT * FROM people ORDER BY id",
                "[[0,\"p0\",\"f0\"],[1,\"p1\",\"f1\"],[2,\"p2\",\"f2\"]]");
    assert_part("SELECT filename FROM People WHERE filename = 'f2'", "[[\"f2\"]]");
    append(id, people, 4,
           "SELECT i AS id, 'p' || i AS name, 'f' || i AS esc_filename, i / 2e0 AS score "
           "FROM range(3, 5) r(i)");
    assert_part("SELECT id, score FROM people ORDER BY id",
                "[[0,null],[1,null],[2,null],[3,1.5],[4,2.0]]");
    assert_part("SELECT count(*), sum(score) FROM people", "\"versions\":{\"people\":2}");
    assert_part("SELECT count(*) FROM people AT (VERSION => 1)", "[[3]]");
    assert_part("DESCRIBE SELECT * FROM people AT (VERSION => 1)", "\"row_count\":3");
    assert_part("SELECT count(*) FROM people AT (VERSION => 1)", "\"versions\":{\"people\":1}");
    assert_fails("SELECT count(*) FROM people AT (TIMESTAMP => '2100-01-01')", LH_INVALID);
    assert_fails("SELECT 1 FROM people AT (VERSION => 3)", LH_NOT_FOUND);
    assert_fails("SELECT 1 FROM people AT (TIMESTAMP => '2001-01-01')", LH_NOT_FOUND);
    append(id, NULL, 0, "SELECT 9 AS id, 'p9' AS name, 'f9' AS esc_filename, 9e0 AS score");
    assert_part("SELECT count(*), sum(score) FROM people", "[[6,12.5]]");
}

static void a_dataset_without_files_is_an_empty_table(void **state)
{
    (void)state;
    create("nobody", people, 4, NULL);
    assert_part("SELECT * FROM nobody", "\"type\":\"DOUBLE\"}],\"rows\":[],\"row_count\":0");
    assert_part("SELECT count(*), max(score) FROM nobody", "[[0,null]]");
}

static void names_follow_renames_and_drops(void **state)
{
    (void)state;
    struct lh_str id = create("before", people, 1, "SELECT 1::BIGINT AS id");
    assert_part("SELECT * FROM before", "[[1]]");
    commit(&(struct catalog_change){.action = CATALOG_RENAME,
                                    .dataset_id = id,
                                    .name = lh_lit("afterwards"),
                                    .actor = lh_lit("tester")});
    assert_fails("SELECT * FROM before", LH_NOT_FOUND);
    assert_part("SELECT * FROM afterwards", "\"versions\":{\"afterwards\":2}");
    assert_part("SHOW TABLES", "\"afterwards\"");
    commit(&(struct catalog_change){
        .action = CATALOG_DROP, .dataset_id = id, .actor = lh_lit("tester")});
    assert_fails("SELECT * FROM afterwards", LH_NOT_FOUND);
}

/* What is counted from the manifests has the name, type and number that the engine gives. */
static void a_bare_count_is_what_counting_gives(void **state)
{
    static const struct {
        const char *sql, *part;
    } rows[] = {
        {"SELECT count(*) FROM counted", "[[37]]"},
        {"SELECT count(*) FROM counted",
         "\"columns\":[{\"name\":\"count_star()\",\"type\":\"BIGINT\"}]"},
        {"select COUNT( * ) from Counted as c;", "[[37]]"},
        {"SELECT count() AS \"a \"\"b\"\"\" FROM counted", "\"name\":\"a \\\"b\\\"\""},
        {"SELECT count() AS \"a \"\"b\"\"\" FROM counted", "[[37]]"},
        {"FROM counted SELECT count(*)", "[[37]]"},
        {"SELECT count(*) FROM counted AT (VERSION => 1)", "[[30]]"},
        {"SELECT count(*) FROM counted AT (VERSION => 1)", "\"versions\":{\"counted\":1}"},
        {"SELECT count(*) FROM counted", "\"versions\":{\"counted\":2}"},
        {"SELECT count(*) FROM nothing_yet", "[[0]]"},
        /* Whatever says more is not taken for it. */
        {"SELECT count(*) FROM counted WHERE id < 5", "[[5]]"},
        {"SELECT count(*) FILTER (id < 5) FROM counted", "[[5]]"},
        {"SELECT count(*) FROM counted LIMIT 0", "\"rows\":[]"},
        {"SELECT count(*) FROM counted OFFSET 1", "\"rows\":[]"},
        {"SELECT count(*) FROM counted HAVING count(*) > 40", "\"rows\":[]"},
        {"SELECT count(*) FROM counted GROUP BY id % 2 ORDER BY 1", "[[18],[19]]"},
        {"SELECT count(*) FROM counted TABLESAMPLE 5 ROWS", "[[5]]"},
        {"SELECT count(*) FROM counted USING SAMPLE 5 ROWS", "[[5]]"},
        {"SELECT count(*) FROM counted a, counted b", "[[1369]]"},
        {"SELECT count(*), count(*) FROM counted", "[[37,37]]"},
        {"SELECT count(*) + 1 FROM counted", "[[38]]"},
        {"SELECT count(DISTINCT id % 7) FROM counted", "[[7]]"},
        {"SELECT count(*) OVER () FROM counted LIMIT 1", "[[37]]"},
        {"WITH counted AS (SELECT 1) SELECT count(*) FROM counted", "[[1]]"},
        {"SELECT count(*) FROM (SELECT * FROM counted LIMIT 3)", "[[3]]"},
        {"SELECT count(*) FROM counted UNION ALL SELECT count(*) FROM counted", "[[37],[37]]"},
        {"SELECT (SELECT count(*) FROM counted) AS n", "[[37]]"},
    };
    (void)state;
    struct lh_str id = create("counted", people, 1, "SELECT range AS id FROM range(30)");
    append(id, NULL, 0, "SELECT range AS id FROM range(30, 37)");
    create("nothing_yet", people, 4, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_part(rows[i].sql, rows[i].part);
    assert_part("EXPLAIN SELECT count(*) FROM counted", "DUMMY_SCAN");
    assert_part("SELECT count(*) AS after_it FROM counted", "[[37]]");
    append(id, NULL, 0, "SELECT range AS id FROM range(37, 40)");
    assert_part("SELECT count(*) AS after_it FROM counted", "[[40]]");
    assert_fails("SELECT count(*) FROM counted AT (VERSION => 9)", LH_NOT_FOUND);
    assert_fails("SELECT count(*) FROM countless", LH_NOT_FOUND);
}

static void damaged_files_are_told_and_never_read(void **state)
{
    (void)state;
    struct lh_str id = create("broken", people, 1, "SELECT range AS id FROM range(1000)");
    const struct catalog_dataset *dataset = NULL;
    struct lh_error err = LH_ERROR_NONE;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake.catalog);
    (void)id;
    check(catalog_find(snapshot, lh_lit("broken"), &dataset, &err), &err);
    assert_part("SELECT count(*) FROM broken", "[[1000]]");
    struct lh_str path;
    check(storage_object_path(lake.storage, dataset->objects[0]->bucket, dataset->objects[0]->key,
                              lake.arena, &path, &err),
          &err);
    /* A file's time of change has the grain of the system's clock tick. */
    nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
    FILE *file = fopen(path.data, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 100, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, 100, SEEK_SET), 0);
    fputc(byte ^ 4, file);
    fclose(file);
    assert_fails("SELECT count(*) FROM broken", LH_DAMAGED);
    assert_fails("SELECT sum(id) FROM broken", LH_DAMAGED);
    catalog_snapshot_unref(snapshot);
}

static void a_running_query_keeps_its_moment(void **state)
{
    const struct query_principal admin = {.is_trusted = true};
    struct query_request request = {.sql = lh_lit("SELECT id FROM growing")};
    struct lh_error err = LH_ERROR_NONE;
    struct query *query = NULL;
    const struct engine_chunk *chunk = NULL;
    int64_t rows = 0;
    (void)state;
    struct lh_str id = create("growing", people, 1, "SELECT range AS id FROM range(5000)");
    check(query_open(query_engine, &admin, &request, NULL, &query, &err), &err);
    append(id, NULL, 0, "SELECT range AS id FROM range(7)");
    while (!query_next(query, &chunk, &err) && chunk)
        rows += (int64_t)chunk->row_count;
    query_close(query);
    assert_int_equal(rows, 5000);
    assert_part("SELECT count(*) FROM growing", "[[5007]]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_columns_and_names_are_the_catalogs),
        cmocka_unit_test(a_dataset_without_files_is_an_empty_table),
        cmocka_unit_test(names_follow_renames_and_drops),
        cmocka_unit_test(a_bare_count_is_what_counting_gives),
        cmocka_unit_test(damaged_files_are_told_and_never_read),
        cmocka_unit_test(a_running_query_keeps_its_moment),
    };
    return cmocka_run_group_tests(tests, open_lake, close_lake);
}
