#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/text_table.h"
#include "demo/internal.h"

#define REPLY_BYTES_MAX ((size_t)256 * 1024)
#define SQL_BYTES_MAX ((size_t)8192)

/* The tour: a join, an aggregation, a window. */
static const struct {
    const char *question;
    const char *sql;
} stops[] = {
    {"What do most packages rest on? (a join)",
     "SELECT p.name, p.section, count(DISTINCT d.package) AS needed_by,\n"
     "       round(p.installed_size / 1e6, 1) AS installed_mb\n"
     "FROM dependencies d JOIN packages p ON p.name = d.depends_on\n"
     "WHERE d.kind = 'depends'\n"
     "GROUP BY ALL ORDER BY needed_by DESC LIMIT 6"},
    {"Where is the bulk? (an aggregation)",
     "SELECT section, count(*) AS packages,\n"
     "       round(sum(download_size) / 1e9, 2) AS download_gb,\n"
     "       round(median(installed_size) / 1e3) AS median_kb\n"
     "FROM packages GROUP BY section ORDER BY download_gb DESC LIMIT 6"},
    {"The largest package of each big section, and its share? (a window)",
     "SELECT section, name, round(installed_size / 1e6) AS installed_mb,\n"
     "       round(100 * installed_size / sum(installed_size) OVER of_section, 1) AS percent\n"
     "FROM packages\n"
     "WINDOW of_section AS (PARTITION BY section)\n"
     "QUALIFY row_number() OVER (PARTITION BY section ORDER BY installed_size DESC NULLS LAST) = "
     "1\n"
     "    AND count(*) OVER of_section > 2000\n"
     "ORDER BY installed_mb DESC LIMIT 6"},
};

/* The text of one value, as a person would write it. */
static struct lh_str cell_text(struct lh_arena *arena, const json_t *value)
{
    if (json_is_string(value))
        return lh_json_text(value);
    if (json_is_integer(value))
        return lh_arena_printf(arena, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (json_is_real(value))
        return lh_arena_printf(arena, "%.10g", json_real_value(value));
    if (json_is_boolean(value))
        return json_is_true(value) ? lh_lit("true") : lh_lit("false");
    return (struct lh_str){NULL, 0};
}

static bool is_number_type(struct lh_str type)
{
    static const char *const starts[] = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT",
                                         "U",       "FLOAT",    "DOUBLE",  "DECIMAL"};
    for (size_t at = 0; at < sizeof(starts) / sizeof(starts[0]); at++)
        if (lh_str_starts_with(type, lh_str_of(starts[at])) && !lh_str_equal(type, lh_lit("UUID")))
            return true;
    return false;
}

static void print_rows(struct demo *demo, const json_t *answer)
{
    const json_t *columns = json_object_get(answer, "columns");
    const json_t *rows = json_object_get(answer, "rows");
    size_t column_count = json_array_size(columns);
    size_t row_count = json_array_size(rows);
    struct lh_text_column *heads =
        lh_arena_array(demo->arena, column_count + 1, sizeof(struct lh_text_column));
    struct lh_str *cells =
        lh_arena_array(demo->arena, column_count * row_count + 1, sizeof(struct lh_str));
    for (size_t at = 0; at < column_count; at++) {
        const json_t *column = json_array_get(columns, at);
        heads[at].title = lh_json_text(json_object_get(column, "name"));
        heads[at].is_number = is_number_type(lh_json_text(json_object_get(column, "type")));
    }
    for (size_t row = 0; row < row_count; row++)
        for (size_t at = 0; at < column_count; at++)
            cells[row * column_count + at] =
                cell_text(demo->arena, json_array_get(json_array_get(rows, row), at));
    struct lh_buf text;
    lh_buf_init(&text, REPLY_BYTES_MAX);
    lh_text_table(&text, heads, column_count, cells, row_count, 40, 4);
    printf("%s", text.data ? text.data : "");
    lh_buf_release(&text);
}

static void print_sql(const char *sql)
{
    struct lh_str rest = lh_str_of(sql);
    while (rest.len) {
        struct lh_str line = lh_str_cut(&rest, '\n');
        printf("    %.*s\n", LH_ARG(line));
    }
    printf("\n");
}

static enum lh_code show(struct demo *demo, size_t stop, struct lh_error *err)
{
    const json_t *answer = NULL;
    struct lh_buf body;
    struct lh_json json;
    lh_buf_init(&body, SQL_BYTES_MAX);
    lh_json_init(&json, &body);
    lh_json_object(&json);
    lh_json_put_cstr(&json, "sql", stops[stop].sql);
    lh_json_object_end(&json);
    printf("%zu. %s\n\n", stop + 1, stops[stop].question);
    print_sql(stops[stop].sql);
    int64_t start_us = lh_clock_monotonic_us();
    enum lh_code code =
        demo_request(demo, "POST", "/query/sql", lh_buf_str(&body), &answer, NULL, err);
    int64_t took_us = lh_clock_monotonic_us() - start_us;
    lh_buf_release(&body);
    if (code)
        return code;
    print_rows(demo, answer);
    printf("    (%" JSON_INTEGER_FORMAT " rows, %.1f ms over HTTP)\n\n",
           json_integer_value(json_object_get(answer, "row_count")), (double)took_us / 1e3);
    return LH_OK;
}

enum lh_code demo_tour(struct demo *demo, struct lh_error *err)
{
    for (size_t stop = 0; stop < sizeof(stops) / sizeof(stops[0]); stop++) {
        enum lh_code code = show(demo, stop, err);
        if (code)
            return code;
    }
    return demo_searches(demo, sizeof(stops) / sizeof(stops[0]) + 1, err);
}
