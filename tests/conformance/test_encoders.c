/* One suite over every row of the table of encoders: whatever the format, a result is whole or says
 * that it is not, sizes stay flat, a sink that wants no more stops the statement, and what the
 * engine reads back is what was asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/query_lake.h"

static struct query_lake lake;
static struct lh_arena *arena;
static const struct query_principal admin = {.is_trusted = true};

static int open_lake(void **state)
{
    (void)state;
    arena = lh_arena_new(0);
    query_lake_open(&lake);
    return 0;
}

static int close_lake(void **state)
{
    (void)state;
    query_lake_close(&lake);
    lh_arena_free(arena);
    return 0;
}

struct taken {
    struct lh_buf bytes;
    size_t pieces, largest;
    size_t stop_after; /* pieces; 0: never */
    bool keeps;
};

static enum lh_code take(void *context, struct lh_str bytes, struct lh_error *err)
{
    struct taken *taken = context;
    taken->pieces++;
    if (bytes.len > taken->largest)
        taken->largest = bytes.len;
    if (taken->keeps)
        lh_buf_append_str(&taken->bytes, bytes);
    if (taken->stop_after && taken->pieces >= taken->stop_after)
        return lh_fail(err, LH_CANCELLED, "The client hung up.");
    return LH_OK;
}

static enum lh_code write_all(const struct query_encoder *encoder, const char *sql, int64_t limit,
                              struct taken *taken, bool *ret_failed, struct lh_error *err)
{
    struct query *query = NULL;
    struct query_request request = {.sql = lh_str_of(sql), .limit = limit, .encoder = encoder};
    struct query_sink sink = {.context = taken, .write = take};
    lh_buf_init(&taken->bytes, (size_t)1 << 30);
    enum lh_code code = query_open(lake.query, &admin, &request, NULL, &query, err);
    if (!code)
        code = query_encode(query, encoder, NULL, &sink, ret_failed, err);
    query_close(query);
    return code;
}

static void each(void (*check)(const struct query_encoder *encoder))
{
    for (size_t i = 0; i < query_encoder_count; i++)
        check(query_encoders[i]);
}

/* The text of one cell, by the oracle. */
static struct lh_str oracle(const char *sql)
{
    struct lh_error err = LH_ERROR_NONE;
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    struct lh_buf text;
    lh_buf_init(&text, (size_t)1 << 24);
    if (engine_query(lake.oracle, lh_str_of(sql), NULL, NULL, &cursor, &err) ||
        engine_cursor_next(cursor, &chunk, &err) || !chunk)
        fail_msg("%s: %s", sql, err.message);
    engine_value_text(&chunk->columns[0], 0, &text);
    struct lh_str answer = lh_arena_str(arena, lh_buf_str(&text));
    lh_buf_release(&text);
    engine_cursor_close(cursor);
    return answer;
}

static void name_and_types_find(const struct query_encoder *encoder)
{
    assert_ptr_equal(query_encoder_by_name(lh_str_of(encoder->name)), encoder);
    assert_ptr_equal(query_encoder_by_media_type(lh_str_of(encoder->media_type)), encoder);
    assert_true(
        lh_str_starts_with(query_encoder_content_type(encoder), lh_str_of(encoder->media_type)));
    struct lh_str others = lh_str_of(encoder->other_types);
    while (others.len)
        assert_ptr_equal(query_encoder_by_media_type(lh_str_cut(&others, ' ')), encoder);
}

static void every_format_is_found_by_its_names(void **state)
{
    (void)state;
    each(name_and_types_find);
}

static void writes_all_types(const struct query_encoder *encoder)
{
    struct lh_error err = LH_ERROR_NONE;
    struct taken taken = {.keeps = true};
    bool is_failed = true;
    if (write_all(encoder, "SELECT * FROM test_all_types(use_large_enum=true)", 0, &taken,
                  &is_failed, &err))
        fail_msg("%s: %s", encoder->name, err.message);
    assert_false(is_failed);
    assert_true(taken.bytes.len > 1000);
    lh_buf_release(&taken.bytes);
}

static void every_format_writes_every_type(void **state)
{
    (void)state;
    each(writes_all_types);
}

static void writes_nothing(const struct query_encoder *encoder)
{
    struct lh_error err = LH_ERROR_NONE;
    struct taken taken = {.keeps = true};
    bool is_failed = true;
    if (write_all(encoder, "SELECT * FROM test_all_types() WHERE false", 0, &taken, &is_failed,
                  &err))
        fail_msg("%s: %s", encoder->name, err.message);
    assert_false(is_failed);
    lh_buf_release(&taken.bytes);
}

static void every_format_writes_no_rows(void **state)
{
    (void)state;
    each(writes_nothing);
}

static void stays_flat(const struct query_encoder *encoder)
{
    struct lh_error err = LH_ERROR_NONE;
    struct taken taken = {0};
    bool is_failed = true;
    if (write_all(encoder,
                  "SELECT range AS id, 'text of some length ' || range AS t, range / 7 AS d, "
                  "[range, range + 1] AS l FROM range(500000)",
                  1000000, &taken, &is_failed, &err))
        fail_msg("%s: %s", encoder->name, err.message);
    assert_false(is_failed);
    if (taken.pieces < 4 || taken.largest > (size_t)1 << 20)
        fail_msg("%s: %zu pieces, the largest of %zu bytes", encoder->name, taken.pieces,
                 taken.largest);
    lh_buf_release(&taken.bytes);
}

static void large_results_leave_in_small_pieces(void **state)
{
    (void)state;
    each(stays_flat);
}

static void tells_late_errors(const struct query_encoder *encoder)
{
    struct lh_error err = LH_ERROR_NONE;
    struct taken taken = {.keeps = true};
    bool is_failed = false;
    enum lh_code code =
        write_all(encoder,
                  "SELECT range AS id, 'text ' || range AS t, "
                  "CASE WHEN range = 150000 THEN error('late') END AS e FROM range(200000)",
                  1000000, &taken, &is_failed, &err);
    assert_int_equal(err.code, LH_SQL);
    if (!lh_str_find(lh_str_of(err.message), lh_lit("late"), &(size_t){0}))
        fail_msg("%s: %s", encoder->name, err.message);
    if (encoder->fail) { /* the output says it, behind whole rows */
        assert_int_equal(code, LH_OK);
        assert_true(is_failed && taken.pieces > 1);
        assert_true(
            lh_str_find(lh_buf_str(&taken.bytes), lh_lit("\"detail\":\"late\""), &(size_t){0}));
    } else { /* the door has to cut it */
        assert_int_equal(code, LH_SQL);
        assert_true(!is_failed && taken.pieces > 1);
    }
    lh_buf_release(&taken.bytes);
}

static void errors_after_the_first_byte_are_told_or_returned(void **state)
{
    (void)state;
    each(tells_late_errors);
}

static void tells_early_errors(const struct query_encoder *encoder)
{
    struct lh_error err = LH_ERROR_NONE;
    struct taken taken = {0};
    enum lh_code code =
        write_all(encoder, "SELECT error('early') FROM range(10)", 0, &taken, NULL, &err);
    assert_int_equal(code, LH_SQL);
    assert_int_equal(taken.pieces, 0);
    lh_buf_release(&taken.bytes);
}

static void errors_before_the_first_byte_leave_nothing(void **state)
{
    (void)state;
    each(tells_early_errors);
}

static void stops_on_hang_up(const struct query_encoder *encoder)
{
    struct lh_error err = LH_ERROR_NONE;
    struct taken taken = {.stop_after = 2};
    bool is_failed = false;
    enum lh_code code = write_all(encoder, "SELECT range, 'x' || range FROM range(2000000)",
                                  2000000, &taken, &is_failed, &err);
    assert_int_equal(code, LH_CANCELLED);
    assert_false(is_failed);
    assert_int_equal(taken.pieces, 2);
    lh_buf_release(&taken.bytes);
}

static void a_sink_that_wants_no_more_ends_the_statement(void **state)
{
    (void)state;
    each(stops_on_hang_up);
}

static void repeats_names(const struct query_encoder *encoder)
{
    struct lh_error err = LH_ERROR_NONE;
    struct taken taken = {.keeps = true};
    if (write_all(encoder, "SELECT 1 AS a, 2 AS A, 3 AS a_2, 4 AS a", 0, &taken, NULL, &err))
        fail_msg("%s: %s", encoder->name, err.message);
    lh_buf_release(&taken.bytes);
}

static void equal_names_do_not_meet(void **state)
{
    (void)state;
    each(repeats_names);
    struct lh_error err = LH_ERROR_NONE;
    struct taken taken = {.keeps = true};
    assert_int_equal(write_all(query_encoder_by_name(lh_lit("ndjson")),
                               "SELECT 1 AS a, 2 AS A, 3 AS a_2, 4 AS a", 0, &taken, NULL, &err),
                     LH_OK);
    assert_string_equal(taken.bytes.data, "{\"a\":1,\"A_2\":2,\"a_2_2\":3,\"a_3\":4}\n");
    lh_buf_release(&taken.bytes);
}

/* --- read back */

/* Writes the fixture in a format to a file that the oracle reads. */
static const char *write_fixture(const char *format, const char *sql)
{
    struct lh_error err = LH_ERROR_NONE;
    struct taken taken = {.keeps = true};
    static int count; /* the oracle remembers footers by name */
    const char *name = lh_arena_printf(arena, "fixture-%d.%s", count++, format).data;
    if (write_all(query_encoder_by_name(lh_str_of(format)), sql, 1000000, &taken, NULL, &err))
        fail_msg("%s: %s", format, err.message);
    temp_lake_write(&lake.folder, name, taken.bytes.data, taken.bytes.len);
    lh_buf_release(&taken.bytes);
    return temp_lake_file(&lake.folder, name);
}

/* Columns of the fixture as SQL over one that was read as text: blobs were base64, nested values
 * JSON, everything else casts. A union is its value and a geometry text; those compare as text. */
static const char *differences(const char *source, bool is_text)
{
    struct lh_buf sql;
    lh_buf_init(&sql, (size_t)1 << 20);
    struct lh_str list =
        oracle("SELECT string_agg(column_name || '|' || CASE WHEN column_type LIKE 'UNION%' OR "
               "column_name "
               "= 'geometry' THEN 'TEXT' ELSE column_type END, ';') FROM (DESCRIBE SELECT * FROM "
               "test_all_types())");
    lh_buf_printf(&sql, "SELECT coalesce(string_agg(d, ', '), 'none') FROM (SELECT unnest([''");
    while (list.len) {
        struct lh_str type = lh_str_cut(&list, ';'), name = lh_str_cut(&type, '|');
        const char *form = "CAST(b.\"%.*s\" AS %.*s)";
        bool is_plain = lh_str_equal(type, lh_lit("TEXT"));
        bool is_nested = lh_str_ends_with(type, lh_lit("]")) ||
                         lh_str_starts_with(type, lh_lit("STRUCT")) ||
                         lh_str_starts_with(type, lh_lit("MAP"));
        if (is_plain || !is_text) {
            lh_buf_printf(&sql,
                          ", CASE WHEN CAST(a.\"%.*s\" AS VARCHAR) IS DISTINCT FROM "
                          "CAST(b.\"%.*s\" AS VARCHAR) THEN '%.*s' END",
                          LH_ARG(name), LH_ARG(name), LH_ARG(name));
            continue;
        }
        if (is_nested)
            form = "CAST(CAST(b.\"%.*s\" AS JSON) AS %.*s)";
        else if (lh_str_equal(type, lh_lit("BLOB")))
            form = "from_base64(b.\"%.*s\")::%.*s";
        lh_buf_printf(&sql, ", CASE WHEN a.\"%.*s\" IS DISTINCT FROM ", LH_ARG(name));
        lh_buf_printf(&sql, form, LH_ARG(name), LH_ARG(type));
        lh_buf_printf(&sql, " THEN '%.*s' END", LH_ARG(name));
    }
    lh_buf_printf(&sql,
                  "]) AS d FROM (SELECT *, row_number() OVER () AS n FROM test_all_types()) a JOIN "
                  "(SELECT *, row_number() OVER () AS n FROM %s) b USING (n)) WHERE d != ''",
                  source);
    const char *text = lh_arena_str(arena, lh_buf_str(&sql)).data;
    lh_buf_release(&sql);
    return text;
}

static void assert_same(struct lh_str actual, const char *expected)
{
    if (!lh_str_equal(actual, lh_str_of(expected)))
        fail_msg("got %.*s", LH_ARG(actual));
}

static void csv_reads_back_with_equal_values(void **state)
{
    (void)state;
    const char *path = write_fixture("csv", "SELECT * FROM test_all_types()");
    const char *source =
        lh_arena_printf(
            arena,
            "read_csv('%s', header=true, all_varchar=true, delim=',', quote='\"', "
            "escape='\"', nullstr='', allow_quoted_nulls=false, max_line_size=10000000)",
            path)
            .data;
    assert_same(oracle(lh_arena_printf(arena, "SELECT count(*) FROM %s", source).data), "3");
    assert_same(oracle(differences(source, true)), "none");
}

static void ndjson_reads_back_with_equal_values(void **state)
{
    (void)state;
    const char *path = write_fixture("ndjson", "SELECT * FROM test_all_types()");
    struct lh_str columns = oracle("SELECT string_agg('\"' || column_name || '\": ''VARCHAR''', "
                                   "', ') FROM (DESCRIBE SELECT * FROM test_all_types())");
    const char *source = lh_arena_printf(arena,
                                         "read_json('%s', format='newline_delimited', "
                                         "columns={%.*s})",
                                         path, LH_ARG(columns))
                             .data;
    assert_same(oracle(lh_arena_printf(arena, "SELECT count(*) FROM %s", source).data), "3");
    assert_same(oracle(differences(source, true)), "none");
}

static void parquet_reads_back_with_equal_values(void **state)
{
    (void)state;
    const char *path = write_fixture("parquet", "SELECT * FROM test_all_types()");
    const char *source = lh_arena_printf(arena, "read_parquet('%s')", path).data;
    assert_same(oracle(lh_arena_printf(arena, "SELECT count(*) FROM %s", source).data), "3");
    assert_same(oracle(differences(source, false)), "none");
}

static void the_comparison_sees_a_difference(void **state)
{
    (void)state;
    const char *path = write_fixture(
        "parquet", "SELECT * REPLACE (tinyint + 0::TINYINT AS tinyint, bit || '1' AS "
                   "bit, list_append(int_array, 1) AS int_array) FROM test_all_types()");
    const char *source = lh_arena_printf(arena, "read_parquet('%s')", path).data;
    struct lh_str found = oracle(differences(source, false));
    assert_true(lh_str_find(found, lh_lit("bit"), &(size_t){0}));
    assert_true(lh_str_find(found, lh_lit("int_array"), &(size_t){0}));
    assert_false(lh_str_find(found, lh_lit("tinyint"), &(size_t){0}));
}

static void parquet_is_cut_at_the_limit_in_the_order_of_the_statement(void **state)
{
    (void)state;
    struct lh_error err = LH_ERROR_NONE;
    struct taken taken = {.keeps = true};
    assert_int_equal(write_all(query_encoder_by_name(lh_lit("parquet")),
                               "SELECT range AS id FROM range(1000) ORDER BY id DESC", 10, &taken,
                               NULL, &err),
                     LH_OK);
    temp_lake_write(&lake.folder, "cut.parquet", taken.bytes.data, taken.bytes.len);
    lh_buf_release(&taken.bytes);
    assert_same(oracle(lh_arena_printf(arena, "SELECT list(id)::VARCHAR FROM read_parquet('%s')",
                                       temp_lake_file(&lake.folder, "cut.parquet"))
                           .data),
                "[999, 998, 997, 996, 995, 994, 993, 992, 991, 990]");
}

static void texts_of_every_kind_survive_csv(void **state)
{
    (void)state;
    const char *sql =
        "SELECT i, CASE i % 11 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'a,b' WHEN "
        "3 THEN 'say \"hi\"' WHEN 4 THEN 'a' || chr(10) || 'b' WHEN 5 THEN 'a' || "
        "chr(13) || chr(10) WHEN 6 THEN ' edges ' WHEN 7 THEN '\"' WHEN 8 THEN '=1+1' "
        "WHEN 9 THEN 'NULL' ELSE repeat('é\"', i::INTEGER) END AS t, i::VARCHAR AS last "
        "FROM range(5000) r(i)";
    const char *path = write_fixture("csv", sql);
    const char *check =
        lh_arena_printf(
            arena,
            "SELECT count(*) || ' ' || count(*) FILTER (WHERE a.t IS DISTINCT FROM b.t OR "
            "a.last != b.last) FROM (%s) a JOIN read_csv('%s', header=true, "
            "columns={i: 'BIGINT', t: 'VARCHAR', last: 'VARCHAR'}, nullstr='', "
            "allow_quoted_nulls=false, quote='\"', escape='\"', delim=',', "
            "max_line_size=10000000) b USING (i)",
            sql, path)
            .data;
    assert_same(oracle(check), "5000 0");
}

/* Every line is a value, as we write it, and the engine's own text of it. */
static size_t lines_that_agree(const char *sql)
{
    struct lh_error err = LH_ERROR_NONE;
    struct taken taken = {.keeps = true};
    size_t count = 0;
    if (write_all(query_encoder_by_name(lh_lit("csv")), sql, 1000000, &taken, NULL, &err))
        fail_msg("%s: %s", sql, err.message);
    struct lh_str rest = lh_buf_str(&taken.bytes);
    (void)lh_str_cut(&rest, '\n');
    for (; rest.len; count++) {
        struct lh_str line = lh_str_cut(&rest, '\n'), ours = lh_str_cut(&line, ',');
        line.len--; /* CR */
        if (!lh_str_equal(ours, line))
            fail_msg("'%.*s' should be '%.*s'", LH_ARG(ours), LH_ARG(line));
    }
    lh_buf_release(&taken.bytes);
    return count;
}

static void numbers_of_every_length_are_written_as_the_engine_writes_them(void **state)
{
    (void)state;
    static const char around[] =
        "SELECT v::%s AS v, v::%s::VARCHAR AS t FROM (SELECT unnest([p - 1, p, p + 1, -p, 1 - p, "
        "-p - 1, p // 7, p // -13]) AS v FROM (SELECT (10::HUGEINT ** i)::HUGEINT AS p FROM "
        "range(%d) r(i))) WHERE v BETWEEN %s AND %s";
    static const struct {
        const char *type;
        int powers;
        const char *least, *most;
    } rows[] = {
        {"TINYINT", 3, "-128", "127"},
        {"SMALLINT", 5, "-32768", "32767"},
        {"INTEGER", 10, "-2147483648", "2147483647"},
        {"BIGINT", 19, "-9223372036854775808", "9223372036854775807"},
        {"UTINYINT", 3, "0", "255"},
        {"USMALLINT", 5, "0", "65535"},
        {"UINTEGER", 10, "0", "4294967295"},
        {"UBIGINT", 20, "0", "18446744073709551615"},
        {"HUGEINT", 38, "-1e38::HUGEINT", "1e38::HUGEINT"},
    };
    char sql[1024];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(sql, sizeof sql, around, rows[i].type, rows[i].type, rows[i].powers, rows[i].least,
                 rows[i].most);
        assert_true(lines_that_agree(sql) > 6);
    }
    assert_int_equal(lines_that_agree("SELECT v, v::VARCHAR FROM (VALUES (-9223372036854775808), "
                                      "(9223372036854775807), (0)) x(v)"),
                     3);
    for (int scale = 0; scale < 18;
         scale++) { /* of 18 the engine writes no digit before the point */
        snprintf(sql, sizeof sql,
                 "SELECT d, d::VARCHAR FROM (SELECT (v / 10::HUGEINT ** %d)::DECIMAL(18,%d) AS d "
                 "FROM (SELECT unnest([0, 1, p - 1, p, p // 3, -p, 1 - p]) AS v FROM (SELECT "
                 "(10::HUGEINT ** i)::HUGEINT AS p FROM range(17) r(i))))",
                 scale, scale);
        assert_int_equal(lines_that_agree(sql), 17 * 7);
    }
    assert_int_equal(
        lines_that_agree("SELECT d, d::VARCHAR FROM (SELECT (unnest([0, 1, -1, 99, -999, 1234]) / "
                         "100)::DECIMAL(4,2) AS d)"),
        6);
    assert_int_equal(lines_that_agree("SELECT d, d::VARCHAR FROM (SELECT (i * 7919 % 199999999 / "
                                      "1000)::DECIMAL(9,3) AS d FROM range(50000) r(i))"),
                     50000);
}

static void fractions_and_times_are_written_as_the_engine_writes_them(void **state)
{
    (void)state;
    char sql[1024];
    for (int digits = 0; digits <= 8; digits++) {
        snprintf(sql, sizeof sql,
                 "SELECT d, d::VARCHAR FROM (SELECT ((CASE WHEN i %% 2 = 0 THEN 1 ELSE -1 END) * "
                 "(i * 1000003 %% 99999999989) / 10 ** %d)::DOUBLE AS d FROM range(1, 20000) r(i)) "
                 "WHERE abs(d) >= 0.0001 AND abs(d) < 1e11",
                 digits);
        assert_true(lines_that_agree(sql) > 10000);
    }
    assert_int_equal(
        lines_that_agree("SELECT d, d::VARCHAR FROM (SELECT DATE '0001-01-01' + (i * 31)::INTEGER "
                         "AS d FROM range(117805) r(i))"),
        117805);
    assert_int_equal(
        lines_that_agree("SELECT t, strftime(t, '%Y-%m-%dT%H:%M:%S') || CASE WHEN m % 1000000 = 0 "
                         "THEN '' WHEN m % 1000 = 0 THEN strftime(t, '.%g') ELSE strftime(t, "
                         "'.%f') END || 'Z' FROM (SELECT TIMESTAMP '1890-02-27 00:00:00' + "
                         "to_microseconds(m) AS t, m FROM (SELECT (i * 86399123457 + CASE i % 3 "
                         "WHEN 0 THEN 0 WHEN 1 THEN 5000 ELSE 17 END) // CASE i % 3 WHEN 0 THEN "
                         "1000000 WHEN 1 THEN 1000 ELSE 1 END * CASE i % 3 WHEN 0 THEN 1000000 "
                         "WHEN 1 THEN 1000 ELSE 1 END AS m FROM range(60000) r(i)))"),
        60000);
}

/* --- one format's own */

static struct lh_str csv_of(const char *sql, bool escapes_formulas)
{
    struct lh_error err = LH_ERROR_NONE;
    struct taken taken = {.keeps = true};
    struct query *query = NULL;
    const struct query_encode_options options = {.escapes_formulas = escapes_formulas};
    struct query_request request = {.sql = lh_str_of(sql)};
    struct query_sink sink = {.context = &taken, .write = take};
    lh_buf_init(&taken.bytes, (size_t)1 << 30);
    assert_int_equal(query_open(lake.query, &admin, &request, NULL, &query, &err), LH_OK);
    assert_int_equal(
        query_encode(query, query_encoder_by_name(lh_lit("csv")), &options, &sink, NULL, &err),
        LH_OK);
    query_close(query);
    struct lh_str text = lh_arena_str(arena, lh_buf_str(&taken.bytes));
    lh_buf_release(&taken.bytes);
    return text;
}

static void null_and_empty_text_are_told_apart(void **state)
{
    (void)state;
    assert_same(csv_of("SELECT NULL AS a, '' AS b, ''::BLOB AS c, [] AS d, 1.50 AS e", false),
                "a,b,c,d,e\r\n,\"\",\"\",\"[]\",1.50\r\n");
    assert_same(csv_of("SELECT * FROM (VALUES ('a'), (NULL), ('')) t(\"x,y\")", false),
                "\"x,y\"\r\na\r\n\r\n\"\"\r\n");
}

static void formulas_are_escaped_when_asked(void **state)
{
    (void)state;
    const char *sql = "SELECT '=1+1' AS a, '-5' AS b, -5 AS c, '@x' AS d, chr(9) || 'x' AS e, "
                      "'＝1' AS f, ' =1' AS g, 'a=1' AS h, -1.5::DECIMAL(3,1) AS i, '+\"' AS "
                      "\"=j\", INTERVAL '-1 day' AS k, '' AS l";
    assert_same(
        csv_of(sql, true),
        "a,b,c,d,e,f,g,h,i,\"'=j\",k,l\r\n\"'=1+1\",\"'-5\",-5,\"'@x\",\"'\tx\",\"'＝1\",\"' "
        "=1\",a=1,-1.5,\"'+\"\"\",\"'-1 day\",\"\"\r\n");
    assert_same(csv_of("SELECT '=1+1' AS a, -5 AS b", false), "a,b\r\n=1+1,-5\r\n");
}

/* Under a NULL stands what the engine left there: it must not leave the process. */
static void arrow_lends_nothing_that_stands_under_a_null(void **state)
{
    (void)state;
    struct lh_error err = LH_ERROR_NONE;
    struct taken taken = {.keeps = true};
    const int64_t secret = INT64_C(0x5345435245543432);
    assert_int_equal(write_all(query_encoder_by_name(lh_lit("arrow")),
                               "SELECT CASE WHEN x = 6000276099170579506 THEN NULL ELSE x END AS y "
                               "FROM (SELECT CASE WHEN range % 2 = 0 THEN 6000276099170579506 ELSE "
                               "range END AS x FROM range(5000))",
                               10000, &taken, NULL, &err),
                     LH_OK);
    assert_null(memmem(taken.bytes.data, taken.bytes.len, &secret, sizeof secret));
    lh_buf_release(&taken.bytes);
}

static void an_interval_that_arrow_cannot_hold_is_refused(void **state)
{
    (void)state;
    struct lh_error err = LH_ERROR_NONE;
    struct taken taken = {.keeps = true};
    assert_int_equal(write_all(query_encoder_by_name(lh_lit("arrow")),
                               "SELECT to_hours(3000000) AS i", 0, &taken, NULL, &err),
                     LH_SQL);
    assert_true(err.hint[0] != 0);
    lh_buf_release(&taken.bytes);
}

static void no_file_is_left_behind(void **state)
{
    (void)state;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_dir *dir = NULL;
    struct lh_dir_entry *before, *after;
    size_t before_count, after_count;
    int open_before = temp_lake_open_count();
    const struct query_encoder *parquet = query_encoder_by_name(lh_lit("parquet"));
    assert_int_equal(lh_dir_open(temp_lake_path(&lake.folder), false, &dir, &err), LH_OK);
    assert_int_equal(lh_dir_list(dir, "", arena, &before, &before_count, &err), LH_OK);
    for (int way = 0; way < 3; way++) {
        struct taken taken = {.stop_after = way == 1 ? 1 : 0};
        enum lh_code code = write_all(parquet,
                                      way == 2 ? "SELECT error('x' || range) FROM range(9)"
                                               : "SELECT * FROM range(9)",
                                      0, &taken, NULL, &err);
        assert_int_equal(code, way == 0 ? LH_OK : way == 1 ? LH_CANCELLED : LH_SQL);
        lh_buf_release(&taken.bytes);
    }
    assert_int_equal(lh_dir_list(dir, "", arena, &after, &after_count, &err), LH_OK);
    lh_dir_close(dir);
    assert_int_equal(before_count, after_count);
    assert_int_equal(temp_lake_open_count(), open_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_is_found_by_its_names),
        cmocka_unit_test(every_format_writes_every_type),
        cmocka_unit_test(every_format_writes_no_rows),
        cmocka_unit_test(large_results_leave_in_small_pieces),
        cmocka_unit_test(errors_after_the_first_byte_are_told_or_returned),
        cmocka_unit_test(errors_before_the_first_byte_leave_nothing),
        cmocka_unit_test(a_sink_that_wants_no_more_ends_the_statement),
        cmocka_unit_test(equal_names_do_not_meet),
        cmocka_unit_test(csv_reads_back_with_equal_values),
        cmocka_unit_test(ndjson_reads_back_with_equal_values),
        cmocka_unit_test(parquet_reads_back_with_equal_values),
        cmocka_unit_test(the_comparison_sees_a_difference),
        cmocka_unit_test(parquet_is_cut_at_the_limit_in_the_order_of_the_statement),
        cmocka_unit_test(texts_of_every_kind_survive_csv),
        cmocka_unit_test(numbers_of_every_length_are_written_as_the_engine_writes_them),
        cmocka_unit_test(fractions_and_times_are_written_as_the_engine_writes_them),
        cmocka_unit_test(null_and_empty_text_are_told_apart),
        cmocka_unit_test(formulas_are_escaped_when_asked),
        cmocka_unit_test(arrow_lends_nothing_that_stands_under_a_null),
        cmocka_unit_test(an_interval_that_arrow_cannot_hold_is_refused),
        cmocka_unit_test(no_file_is_left_behind),
    };
    return cmocka_run_group_tests(tests, open_lake, close_lake);
}
