/* Files put behind one another: the same rows in the same order, with row groups, statistics and
 * filters as they were; and what cannot be joined is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catalog/data_file.h"
#include "catalog/parquet_footer.h"
#include "engine/joined.h"
#include "support/engine_bench.h"
#include "support/temp_lake.h"

#define PARTS_MAX 20

struct house {
    struct engine_bench *bench;
    struct temp_lake folder;
    struct storage *storage;
    struct lh_arena *arena;
    struct data_file_part parts[PARTS_MAX];
    struct engine_content content;
    size_t count;
    int64_t group_rows;
    int64_t told; /* by progress */
};

static int open_house(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    const struct storage_options options = {.access = STORAGE_WRITE, .create = true};
    struct storage_options own = options;
    struct lh_error err = LH_ERROR_NONE;
    house->bench = *state;
    house->arena = lh_arena_new(0);
    temp_lake_make(&house->folder);
    own.path = temp_lake_path(&house->folder);
    if (storage_open(&own, &house->storage, &err))
        fail_msg("%s", err.message);
    *state = house;
    return 0;
}

static int close_house(void **state)
{
    struct house *house = *state;
    struct engine_bench *bench = house->bench;
    storage_close(house->storage);
    temp_lake_remove(&house->folder);
    lh_arena_free(house->arena);
    free(house);
    *state = bench;
    return 0;
}

static struct lh_str bytes_of(struct lh_str path, struct lh_arena *arena)
{
    FILE *file = fopen(path.data, "rb");
    assert_non_null(file);
    char *bytes = lh_arena_alloc(arena, (size_t)8 << 20);
    size_t count = fread(bytes, 1, (size_t)8 << 20, file);
    assert_true(count < (size_t)8 << 20);
    fclose(file);
    return (struct lh_str){bytes, count};
}

static void sum_part(struct house *house, struct data_file_part *part)
{
    uint8_t *sum = lh_arena_alloc(house->arena, LH_SHA256_BYTES);
    struct lh_str bytes = bytes_of(part->path, house->arena);
    lh_sha256_of(bytes, sum);
    part->sha256 = sum;
    part->bytes = (int64_t)bytes.len;
}

static void add_part(struct house *house, const char *select)
{
    struct engine_content content = {0};
    const struct engine_copy_options options = {.row_group_rows = house->group_rows};
    struct data_file_part *part = &house->parts[house->count];
    static unsigned serial; /* the engine keeps what it read of a file by its name */
    char name[32];
    house->count++;
    snprintf(name, sizeof name, "part-%u.parquet", serial++);
    part->key = lh_arena_str(house->arena, lh_str_of(name));
    part->path = lh_arena_str(house->arena, lh_str_of(engine_bench_path(house->bench, name)));
    (void)remove(part->path.data);
    if (engine_copy(house->bench->connection, lh_str_of(select), part->path, &options, NULL, NULL,
                    &content, &house->bench->err))
        fail_msg("%s: %s", select, house->bench->err.message);
    part->rows = (int64_t)content.rows;
    sum_part(house, part);
    house->content.rows += content.rows;
    house->content.sums[0] += content.sums[0];
    house->content.sums[1] += content.sums[1];
}

static void hear(void *context, int64_t rows)
{
    struct house *house = context;
    assert_true(rows >= house->told);
    house->told = rows;
}

static enum lh_code join(struct house *house, int64_t group_rows_min, struct data_file *ret,
                         bool *ret_is_joined)
{
    const struct data_file_join request = {.parts = house->parts,
                                           .count = house->count,
                                           .content = house->content,
                                           .group_rows_min = group_rows_min,
                                           .progress = hear,
                                           .context = house};
    *ret = (struct data_file){0};
    house->told = 0;
    return data_file_join(house->storage, &request, NULL, ret, ret_is_joined, &house->bench->err);
}

static enum lh_code seal(struct house *house, struct data_file *file)
{
    return data_file_seal(file, house->bench->connection, "it", NULL, &house->bench->err);
}

/* Copied, and not looked at yet. */
static void must_copy(struct house *house, struct data_file *ret)
{
    bool is_joined = false;
    if (join(house, 1, ret, &is_joined))
        fail_msg("%s", house->bench->err.message);
    assert_true(is_joined);
    assert_int_equal(house->told, house->content.rows);
}

/* The rows are those of the parts: decoded, which sealing does not do. */
static void must_join(struct house *house, struct data_file *ret)
{
    struct engine_content content = {0};
    must_copy(house, ret);
    if (seal(house, ret) ||
        engine_parquet_check(house->bench->connection, storage_staged_path(ret->staged), NULL,
                             &content, &house->bench->err))
        fail_msg("%s", house->bench->err.message);
    assert_true(data_file_content_is(&content, &house->content));
    assert_true(data_file_content_is(&content, &ret->content));
}

static void must_not_join(struct house *house, int64_t group_rows_min)
{
    struct data_file file;
    bool is_joined = true;
    assert_int_equal(join(house, group_rows_min, &file, &is_joined), LH_OK);
    assert_false(is_joined);
    assert_null(file.staged);
}

/* The first value of a statement in which %s is the joined file. */
static const char *ask(struct house *house, const struct data_file *file, const char *sql)
{
    char text[8192];
    snprintf(text, sizeof text, sql, storage_staged_path(file->staged).data);
    return engine_bench_text(house->bench, text);
}

#define IN_ORDER                                                                                   \
    "SELECT count(*) FILTER (i = file_row_number) FROM read_parquet('%s', file_row_number = true)"

static void all_types_are_what_they_were(void **state)
{
    struct house *house = *state;
    struct data_file file;
    house->group_rows = 3;
    for (int i = 0; i < 4; i++)
        add_part(house, "SELECT * FROM test_all_types()");
    must_join(house, &file);
    assert_string_equal(ask(house, &file, "SELECT count(*) FROM read_parquet('%s')"), "12");
    data_file_discard(&file);
}

static void rows_keep_their_order_and_row_groups_stay(void **state)
{
    struct house *house = *state;
    struct data_file file;
    char select[512], sql[2048], before[64];
    house->group_rows = 2048;
    for (int i = 0; i < 17; i++) {
        snprintf(select, sizeof select,
                 "SELECT i, 'name ' || (i %% 50 + %d) AS name, CASE WHEN i %% 3 = 0 THEN NULL ELSE "
                 "i / 7.0 END AS d, [i, NULL, i + 1] AS list, {'a': i, 'b': 't' || i} AS pair "
                 "FROM range(%d, %d) r(i)",
                 i * 100, i * 5000, (i + 1) * 5000);
        add_part(house, select);
    }
    must_join(house, &file);
    assert_string_equal(ask(house, &file, IN_ORDER), "85000");
    assert_string_equal(ask(house, &file, "SELECT num_row_groups FROM parquet_file_metadata('%s')"),
                        "51");
    /* Statistics and filters serve: what is not in a row group is not looked for there. */
    assert_string_equal(ask(house, &file,
                            "SELECT count(*) FILTER (NOT bloom_filter_excludes) || ' of ' || "
                            "count(*) FROM parquet_bloom_probe('%s', 'name', 'name 120')"),
                        "3 of 51");
    assert_string_equal(
        ask(house, &file, "SELECT count(*) FROM read_parquet('%s') WHERE name = 'name 120'"),
        "100");
    assert_string_equal(
        ask(house, &file, "SELECT min(name) FROM read_parquet('%s') WHERE i = 84999"), "name 1649");
    static const char *const sum = "SELECT sum(hash(row_group_num_rows, path_in_schema, stats_min, "
                                   "stats_max, stats_null_count, encodings, compression, "
                                   "total_compressed_size, bloom_filter_length)) FROM "
                                   "parquet_metadata(%s)";
    snprintf(sql, sizeof sql, sum, "'%s'");
    snprintf(before, sizeof before, "%s", ask(house, &file, sql));
    char files[1024] = "[";
    for (size_t i = 0; i < house->count; i++)
        snprintf(files + strlen(files), sizeof files - strlen(files), "%s'%s'", i ? ", " : "",
                 house->parts[i].path.data);
    snprintf(files + strlen(files), sizeof files - strlen(files), "]");
    snprintf(sql, sizeof sql, sum, files);
    assert_string_equal(engine_bench_text(house->bench, sql), before);
    data_file_discard(&file);
}

static void a_joined_file_can_be_joined_again(void **state)
{
    struct house *house = *state;
    struct data_file first, second;
    house->group_rows = 2048;
    add_part(house, "SELECT i, i::VARCHAR AS t FROM range(3000) r(i)");
    add_part(house, "SELECT i, i::VARCHAR AS t FROM range(3000, 3001) r(i)");
    must_join(house, &first);
    house->parts[0].path = storage_staged_path(first.staged);
    house->parts[0].rows = 3001;
    sum_part(house, &house->parts[0]);
    house->count = 1;
    add_part(house, "SELECT i, i::VARCHAR AS t FROM range(3001, 9000) r(i)");
    struct engine_content whole = {0};
    assert_int_equal(engine_copy(house->bench->connection,
                                 lh_lit("SELECT i, i::VARCHAR AS t FROM range(9000) r(i)"),
                                 lh_str_of(engine_bench_path(house->bench, "whole.parquet")), NULL,
                                 NULL, NULL, &whole, &house->bench->err),
                     LH_OK);
    house->content = whole;
    must_join(house, &second);
    assert_string_equal(ask(house, &second, IN_ORDER), "9000");
    data_file_discard(&first);
    data_file_discard(&second);
}

static void an_empty_file_adds_nothing(void **state)
{
    struct house *house = *state;
    struct data_file file;
    add_part(house, "SELECT 7 AS i");
    add_part(house, "SELECT 7 AS i WHERE false");
    house->parts[1].rows = 0;
    bool is_joined = false;
    assert_int_equal(join(house, 1, &file, &is_joined), LH_OK);
    if (is_joined) /* it may have a row group of no rows, or none */
        assert_int_equal(seal(house, &file), LH_OK);
    data_file_discard(&file);
}

static void files_that_differ_are_left_to_the_engine(void **state)
{
    static const char *const others[] = {
        "SELECT 1::BIGINT AS i, 'a' AS u",
        "SELECT 1::INTEGER AS i, 'a' AS t",
        "SELECT 1::BIGINT AS i",
        "SELECT 'a' AS t, 1::BIGINT AS i",
        "SELECT 1::BIGINT AS i, 'a'::BLOB AS t",
        "SELECT 1::BIGINT AS i, 'a' AS t, 2 AS k",
        "SELECT [1::BIGINT] AS i, 'a' AS t",
    };
    struct house *house = *state;
    add_part(house, "SELECT 1::BIGINT AS i, 'a' AS t");
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        house->count = 1;
        add_part(house, others[i]);
        must_not_join(house, 1);
    }
}

static void small_row_groups_are_left_to_the_engine(void **state)
{
    struct house *house = *state;
    struct data_file file;
    bool is_joined = false;
    for (int i = 0; i < 3; i++)
        add_part(house, "SELECT i FROM range(1000) r(i)");
    must_not_join(house, 1001);
    assert_int_equal(join(house, 1000, &file, &is_joined), LH_OK);
    assert_true(is_joined);
    data_file_discard(&file);
}

static void other_rows_than_the_manifests_say_are_left_to_the_engine(void **state)
{
    struct house *house = *state;
    add_part(house, "SELECT i FROM range(1000) r(i)");
    add_part(house, "SELECT i FROM range(1000) r(i)");
    house->parts[1].rows--;
    must_not_join(house, 1);
}

/* Every bit that turns anywhere in a file, its statistics included. */
static void a_flipped_bit_is_found_before_anything_is_published(void **state)
{
    struct house *house = *state;
    struct data_file file;
    unsigned damaged = 0, refused = 0;
    add_part(house, "SELECT i, 'name ' || i % 5 AS name FROM range(400) r(i)");
    add_part(house, "SELECT i, 'name ' || i % 5 AS name FROM range(400) r(i)");
    struct lh_str whole = bytes_of(house->parts[1].path, house->arena);
    for (size_t at = 0; at < whole.len; at += 3) {
        bool is_joined = false;
        FILE *out = fopen(house->parts[1].path.data, "r+b");
        assert_non_null(out);
        assert_int_equal(fseek(out, (long)at, SEEK_SET), 0);
        fputc(whole.data[at] ^ (1 << at % 8), out);
        fclose(out);
        enum lh_code code = join(house, 1, &file, &is_joined);
        if (is_joined)
            code = seal(house, &file);
        if (code != (is_joined ? LH_DAMAGED : LH_OK))
            fail_msg("byte %zu: joined %d, code %d", at, is_joined, code);
        damaged += code == LH_DAMAGED;
        refused += !code;
        data_file_discard(&file);
        out = fopen(house->parts[1].path.data, "r+b");
        assert_non_null(out);
        assert_int_equal(fseek(out, (long)at, SEEK_SET), 0);
        fputc(whole.data[at], out);
        fclose(out);
    }
    printf("figure: of %u flipped bits %u were found by the checksum, %u by the footer\n",
           damaged + refused, damaged, refused);
    assert_true(damaged > 100 && refused > 10);
}

static void change_byte(struct lh_str path, long at, int change)
{
    FILE *file = fopen(path.data, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    int byte = at ? fgetc(file) : 'P';
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    fputc(byte == EOF ? change : byte ^ change, file);
    fclose(file);
}

/* The parts are what they were, but the disk gives back something else for them. */
static void a_file_that_reads_back_differently_is_not_sealed(void **state)
{
    struct house *house = *state;
    struct data_file file;
    add_part(house, "SELECT i, 'name ' || i % 5 AS name FROM range(400) r(i)");
    add_part(house, "SELECT i, 'name ' || i % 5 AS name FROM range(400) r(i)");
    must_join(house, &file);
    long len = (long)bytes_of(storage_staged_path(file.staged), house->arena).len;
    data_file_discard(&file);
    for (long at = 0; at <= len; at += at + 41 < len || at == len ? 41 : len - at) {
        must_copy(house, &file);
        change_byte(storage_staged_path(file.staged), at, 16); /* behind the end: one more */
        if (seal(house, &file) != LH_IO)
            fail_msg("byte %ld of %ld: %s", at, len, house->bench->err.message);
        data_file_discard(&file);
    }
    must_copy(house, &file);
    assert_int_equal(truncate(storage_staged_path(file.staged).data, len - 1), 0);
    assert_int_equal(seal(house, &file), LH_IO);
    data_file_discard(&file);
}

static bool is_joined_for_the_engine(struct house *house, const struct data_file *file,
                                     const struct engine_joined_part *parts, int64_t rows)
{
    bool is_joined = false;
    if (engine_parquet_is_joined(house->bench->connection, storage_staged_path(file->staged), parts,
                                 house->count, rows, NULL, &is_joined, &house->bench->err))
        fail_msg("%s", house->bench->err.message);
    return is_joined;
}

static void the_engine_tells_any_other_place_order_or_number(void **state)
{
    struct house *house = *state;
    struct engine_joined_part parts[3], tried[3];
    struct data_file file;
    int64_t shift = 0;
    house->group_rows = 2048;
    for (int i = 0; i < 3; i++) {
        add_part(house, i == 1 ? "SELECT i, 'b' || i % 9 AS name FROM range(5000) r(i)"
                               : "SELECT i, 'a' || i % 9 AS name FROM range(5000) r(i)");
        struct lh_str whole = bytes_of(house->parts[i].path, house->arena);
        const uint8_t *tail = (const uint8_t *)whole.data + whole.len - PARQUET_TAIL_BYTES;
        parts[i] = (struct engine_joined_part){house->parts[i].path, shift, i * INT64_C(3)};
        shift += (int64_t)(whole.len - PARQUET_TAIL_BYTES - parquet_footer_len(tail) -
                           PARQUET_MARK_BYTES);
    }
    must_join(house, &file);
    assert_true(is_joined_for_the_engine(house, &file, parts, 15000));
    assert_false(is_joined_for_the_engine(house, &file, parts, 14999));
    for (int i = 0; i < 3; i++) {
        memcpy(tried, parts, sizeof parts);
        tried[i].shift++;
        assert_false(is_joined_for_the_engine(house, &file, tried, 15000));
        memcpy(tried, parts, sizeof parts);
        tried[i].first_group++;
        assert_false(is_joined_for_the_engine(house, &file, tried, 15000));
        memcpy(tried, parts, sizeof parts);
        tried[i].path = parts[(i + 1) % 3].path;
        assert_false(is_joined_for_the_engine(house, &file, tried, 15000));
    }
    /* Parts of equal rows and equal sizes in the other order are another file. */
    memcpy(tried, parts, sizeof parts);
    tried[0].path = parts[1].path;
    tried[1].path = parts[0].path;
    assert_false(is_joined_for_the_engine(house, &file, tried, 15000));
    bool is_joined = true;
    tried[1].path = lh_lit("/proc/self/cmdline"); /* no Parquet file */
    enum lh_code code =
        engine_parquet_is_joined(house->bench->connection, storage_staged_path(file.staged), tried,
                                 3, 15000, NULL, &is_joined, &house->bench->err);
    assert_true(code == LH_UNREADABLE || code == LH_IO);
    assert_int_equal(house->bench->err.code, code);
    data_file_discard(&file);
}

/* Any prefix of a footer, and any with one byte changed, is refused or makes a footer that can be
 * read again. */
static void footers_that_are_cut_or_changed_are_harmless(void **state)
{
    struct house *house = *state;
    struct parquet_footer footer, pair[2], again;
    struct lh_buf buf;
    add_part(house, "SELECT i, 'name ' || i % 5 AS name, [i] AS list FROM range(400) r(i)");
    struct lh_str whole = bytes_of(house->parts[0].path, house->arena);
    size_t len = parquet_footer_len((const uint8_t *)whole.data + whole.len - PARQUET_TAIL_BYTES);
    size_t body = whole.len - PARQUET_TAIL_BYTES - len;
    assert_true(len > 50 && len < whole.len);
    char *copy = malloc(len);
    lh_buf_init(&buf, (size_t)1 << 20);
    for (size_t cut = 0; cut <= len; cut++) {
        memcpy(copy, whole.data + body, len);
        struct lh_str bytes = {copy, cut};
        assert_int_equal(parquet_footer_read(bytes, (int64_t)body, &footer), cut == len);
    }
    assert_false(parquet_footer_read((struct lh_str){copy, len}, 100, &footer));
    unsigned accepted = 0;
    for (size_t at = 0; at < len; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            copy[at] = (char)(copy[at] ^ (1 << bit));
            if (parquet_footer_read((struct lh_str){copy, len}, (int64_t)body, &footer)) {
                accepted++;
                pair[0] = pair[1] = footer;
                lh_buf_clear(&buf);
                parquet_footer_join(pair, 2, &buf);
                assert_true(parquet_footer_read((struct lh_str){buf.data, buf.len - 8},
                                                (int64_t)body * 2, &again));
                assert_int_equal(again.group_count, 2 * footer.group_count);
                assert_true(parquet_footer_fits(&again, &footer));
            }
            copy[at] = (char)(copy[at] ^ (1 << bit));
        }
    assert_true(accepted > 0);
    lh_buf_release(&buf);
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_types_are_what_they_were, open_house, close_house),
        cmocka_unit_test_setup_teardown(rows_keep_their_order_and_row_groups_stay, open_house,
                                        close_house),
        cmocka_unit_test_setup_teardown(a_joined_file_can_be_joined_again, open_house, close_house),
        cmocka_unit_test_setup_teardown(an_empty_file_adds_nothing, open_house, close_house),
        cmocka_unit_test_setup_teardown(files_that_differ_are_left_to_the_engine, open_house,
                                        close_house),
        cmocka_unit_test_setup_teardown(small_row_groups_are_left_to_the_engine, open_house,
                                        close_house),
        cmocka_unit_test_setup_teardown(other_rows_than_the_manifests_say_are_left_to_the_engine,
                                        open_house, close_house),
        cmocka_unit_test_setup_teardown(a_flipped_bit_is_found_before_anything_is_published,
                                        open_house, close_house),
        cmocka_unit_test_setup_teardown(a_file_that_reads_back_differently_is_not_sealed,
                                        open_house, close_house),
        cmocka_unit_test_setup_teardown(the_engine_tells_any_other_place_order_or_number,
                                        open_house, close_house),
        cmocka_unit_test_setup_teardown(footers_that_are_cut_or_changed_are_harmless, open_house,
                                        close_house),
    };
    return cmocka_run_group_tests(tests, engine_bench_open, engine_bench_close);
}
