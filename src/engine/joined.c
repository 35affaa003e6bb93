#include "engine/joined.h"

#include "engine/internal.h"

#define JOINED_TEXT_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define SUMS "SELECT (count(*), sum(hash(t)), bit_xor(hash(t))) FROM (SELECT * EXCLUDE (file_name"

/* Where bytes lie; 0 and NULL mean that there are none. */
static const char *const places[] = {"file_offset", "index_page_offset", "dictionary_page_offset",
                                     "data_page_offset", "bloom_filter_offset"};

static void put_parts(const struct engine_joined_part *parts, size_t part_count, struct lh_buf *buf)
{
    lh_buf_append_str(buf, lh_lit(SUMS ", first, shift) REPLACE (row_group_id + first AS "
                                       "row_group_id"));
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        lh_buf_printf(buf, ", CASE WHEN %s > 0 THEN %s + shift ELSE %s END AS %s", places[i],
                      places[i], places[i], places[i]);
    lh_buf_append_str(buf, lh_lit(") FROM parquet_metadata(["));
    for (size_t i = 0; i < part_count; i++) {
        lh_buf_append_str(buf, i ? lh_lit(", ") : (struct lh_str){0});
        engine_quote_path(buf, parts[i].path);
    }
    lh_buf_append_str(buf, lh_lit("]) JOIN (VALUES "));
    for (size_t i = 0; i < part_count; i++) {
        lh_buf_append_str(buf, i ? lh_lit(", (") : lh_lit("("));
        engine_quote_literal(buf, parts[i].path);
        lh_buf_printf(buf, ", %lld::BIGINT, %lld::BIGINT)", (long long)parts[i].first_group,
                      (long long)parts[i].shift);
    }
    lh_buf_append_str(buf, lh_lit(") AS parts(file_name, first, shift) USING (file_name)) AS t"));
}

static void put_sums(const char *function, struct lh_str path, struct lh_buf *buf)
{
    lh_buf_printf(buf, SUMS ") FROM %s(", function);
    engine_quote_path(buf, path);
    lh_buf_append_str(buf, lh_lit(")) AS t"));
}

enum lh_code engine_parquet_is_joined(struct engine_connection *connection, struct lh_str path,
                                      const struct engine_joined_part *parts, size_t part_count,
                                      int64_t rows, const struct lh_cancel *cancel, bool *ret,
                                      struct lh_error *err)
{
    struct lh_buf text;
    int64_t found = 0;
    assert(part_count > 0);
    lh_buf_init(&text, JOINED_TEXT_BYTES_MAX);
    lh_buf_append_str(&text, lh_lit("SELECT 1 WHERE ("));
    put_parts(parts, part_count, &text);
    lh_buf_append_str(&text, lh_lit(") IS NOT DISTINCT FROM ("));
    put_sums("parquet_metadata", path, &text);
    lh_buf_append_str(&text, lh_lit(") AND ("));
    put_sums("parquet_schema", parts[0].path, &text);
    lh_buf_append_str(&text, lh_lit(") IS NOT DISTINCT FROM ("));
    put_sums("parquet_schema", path, &text);
    lh_buf_append_str(&text, lh_lit(") AND (SELECT count(*) FROM read_parquet("));
    engine_quote_path(&text, path);
    lh_buf_printf(&text, ", hive_partitioning = false)) = %lld", (long long)rows);
    enum lh_code code = lh_buf_check(&text, "The statement to compare footers", err);
    if (!code)
        code = execute_once(connection, lh_buf_str(&text), NULL, cancel, NULL, NULL, &found, err);
    if (code ==
        LH_SQL) /* the text is ours: it is what the files say that the engine does not take */
        code = LH_UNREADABLE;
    if (code && err) {
        err->code = code;
        err->position = -1;
    }
    if (!code)
        *ret = found == 1;
    lh_buf_release(&text);
    return code;
}
