/* Many small refreshes: few parts, no row lost, none twice, no score another one. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "storage/storage.h"
#include "support/op_house.h"

#define IDS_MAX 8192
#define REVISIONS 4

/* What the dataset holds, and how well each text answers the question that is always asked. */
struct model {
    int revision[IDS_MAX]; /* of the text; 0: there is no such row */
    double score[IDS_MAX][REVISIONS];
    int next_id;
};

static const char *const words[] = {"river", "stone", "market", "window", "garden", "letter"};

static void write_row(struct lh_buf *csv, int id, int revision)
{
    lh_buf_printf(csv, "%d,the %s beside a %s and number %d of %d\n", id, words[id % 6],
                  words[(id / 6 + revision) % 6], id, revision);
}

static void ingest(struct op_house *house, struct lh_buf *csv, const char *mode)
{
    op_house_rows(house, "notes", lh_buf_str(csv).data, mode);
    lh_buf_release(csv);
}

static void append_rows(struct op_house *house, struct model *model, int count)
{
    struct lh_buf csv;
    lh_buf_init(&csv, (size_t)4 << 20);
    lh_buf_append_str(&csv, lh_lit("id,text\n"));
    for (int i = 0; i < count; i++, model->next_id++) {
        model->revision[model->next_id] = 1;
        write_row(&csv, model->next_id, 1);
    }
    ingest(house, &csv, "append");
}

/* Some rows go, some come back, some get another text. */
static void change_rows(struct op_house *house, struct model *model, int turn)
{
    struct lh_buf csv;
    lh_buf_init(&csv, (size_t)4 << 20);
    lh_buf_append_str(&csv, lh_lit("id,text\n"));
    for (int id = 0; id < model->next_id; id++) {
        int *revision = &model->revision[id];
        if ((id + turn) % 11 == 0)
            *revision = *revision ? 0 : 1;
        else if (*revision && (id + turn) % 13 == 0)
            *revision = 1 + *revision % (REVISIONS - 1);
        if (*revision)
            write_row(&csv, id, *revision);
    }
    ingest(house, &csv, "replace");
}

static void make_index(struct op_house *house, const char *name)
{
    char args[256];
    snprintf(args, sizeof args,
             "{\"index_name\": \"%s\", \"dataset\": \"notes\", \"id_column\": \"id\", "
             "\"text_columns\": [\"text\"]}",
             name);
    op_house_call(house, "vectors.index", args);
}

static void refresh(struct op_house *house)
{
    op_house_call(house, "vectors.refresh", "{\"dataset\": \"notes\", \"index_name\": \"kept\"}");
}

static json_t *ask(struct op_house *house, const char *index, const char *mode)
{
    char args[256];
    snprintf(args, sizeof args,
             "{\"index\": \"%s\", \"query\": \"river stone number\", \"mode\": \"%s\", \"k\": "
             "10000}",
             index, mode);
    return json_object_get(op_house_call(house, "vectors.hybrid", args), "items");
}

static double score_of(const json_t *item)
{
    return json_real_value(json_object_get(item, "score"));
}

/* By meaning every row is found, once, with the score that its text always had. */
static void check_scores(struct op_house *house, struct model *model)
{
    static bool is_found[IDS_MAX];
    const json_t *items = ask(house, "kept", "vector");
    memset(is_found, 0, sizeof is_found);
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        json_int_t id = json_integer_value(json_object_get(item, "id"));
        assert_true(id >= 0 && id < model->next_id);
        if (!model->revision[id] || is_found[id])
            fail_msg("the row %lld is found %s", id, is_found[id] ? "twice" : "and gone");
        is_found[id] = true;
        double *score = &model->score[id][model->revision[id]];
        if (*score == 0)
            *score = score_of(item);
        assert_true(*score == score_of(item));
    }
    for (int id = 0; id < model->next_id; id++)
        if (model->revision[id] && !is_found[id])
            fail_msg("the row %d is not found", id);
}

/* By words an index that was made of the dataset as it is now says the very same. */
static void check_words(struct op_house *house)
{
    make_index(house, "anew");
    const json_t *kept = ask(house, "kept", "keyword"), *anew = ask(house, "anew", "keyword");
    assert_int_equal(json_array_size(kept), json_array_size(anew));
    assert_true(json_array_size(kept) > 0);
    for (size_t i = 0; i < json_array_size(kept); i++) {
        const json_t *a = json_array_get(kept, i), *b = json_array_get(anew, i);
        assert_int_equal(json_integer_value(json_object_get(a, "id")),
                         json_integer_value(json_object_get(b, "id")));
        assert_float_equal(score_of(a), score_of(b), 1e-9);
    }
    op_house_call(house, "vectors.delete", "{\"name\": \"anew\"}");
}

/* Files in the index's folder that are parts. */
static int count_parts(struct op_house *house, const char *index)
{
    char args[128];
    char path[4096];
    int count = 0;
    snprintf(args, sizeof args, "{\"name\": \"%s\"}", index);
    const json_t *info = op_house_call(house, "vectors.get", args);
    struct lh_str root = storage_path(lake_storage(house->lake));
    snprintf(path, sizeof path, "%.*s/indexes/%s", LH_ARG(root),
             json_string_value(json_object_get(info, "id")));
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        count += strstr(entry->d_name, ".parquet") != NULL;
    closedir(dir);
    return count;
}

static int digits(int number)
{
    int count = 0;
    for (; number; number /= 2)
        count++;
    return count;
}

static long resident_kb(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%*d %ld", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * 4;
}

static int64_t ask_us(struct op_house *house)
{
    int64_t best = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        int64_t started = lh_clock_monotonic_us();
        op_house_call(house, "vectors.hybrid",
                      "{\"index\": \"kept\", \"query\": \"river stone number\", \"k\": 10}");
        int64_t took = lh_clock_monotonic_us() - started;
        best = took < best ? took : best;
    }
    return best;
}

/* LAKEHOUSE_LONG: a thousand refreshes. */
static void many_refreshes_leave_few_parts_and_every_answer_as_it_was(void **state)
{
    struct op_house *house = *state;
    static struct model model;
    int turns = getenv("LAKEHOUSE_LONG") ? 1000 : 45, most = 0;
    op_house_rows(house, "notes", "id,text\n0,none\n", "create");
    append_rows(house, &model, 200);
    change_rows(house, &model, 0);
    make_index(house, "kept");
    check_scores(house, &model);
    long before_kb = resident_kb();
    int64_t before_us = ask_us(house);
    for (int turn = 1; turn <= turns; turn++) {
        if (turn % 9 == 0)
            change_rows(house, &model, turn);
        else
            append_rows(house, &model, 3);
        refresh(house);
        int parts = count_parts(house, "kept");
        most = parts > most ? parts : most;
        /* A removal is an entry, too. */
        if (parts > digits(2 * model.next_id))
            fail_msg("%d parts after %d refreshes", parts, turn);
        if (turn % 10 == 0)
            check_scores(house, &model);
        if (turn % 45 == 0)
            check_words(house);
    }
    printf("figure: index: after %d small refreshes %d parts (at most %d), query %lld us (%lld "
           "before), memory +%ld KB in all\n",
           turns, count_parts(house, "kept"), most, (long long)ask_us(house), (long long)before_us,
           resident_kb() - before_kb);
    op_house_reopen(house);
    check_scores(house, &model);
    check_words(house);
}

static const char *ids(struct op_house *house, const char *query)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "SELECT list(id ORDER BY id) FROM text_search('kept', '%s', k := 100)", query);
    return op_house_sql(house, sql);
}

static void what_is_gone_does_not_come_back_when_parts_become_one(void **state)
{
    struct op_house *house = *state;
    op_house_rows(house, "notes", "id,text\n1,old boat\n2,old house\n3,old tree\n4,old road\n",
                  "create");
    make_index(house, "kept");
    op_house_rows(house, "notes", "id,text\n1,old boat\n3,old tree\n4,old road\n", "replace");
    refresh(house); /* a removal alone: half of what stands before it, no less */
    assert_string_equal(ids(house, "old"), "[[[1,3,4]]]");
    op_house_rows(house, "notes", "id,text\n1,new boat\n4,old road\n", "replace");
    refresh(house);
    assert_string_equal(ids(house, "old"), "[[[4]]]");
    op_house_reopen(house);
    assert_string_equal(ids(house, "old"), "[[[4]]]");
    assert_string_equal(ids(house, "new"), "[[[1]]]");
    op_house_rows(house, "notes", "id,text\n9,\n", "replace");
    refresh(house);
    assert_string_equal(ids(house, "old"), "[[null]]");
    assert_int_equal(count_parts(house, "kept"), 1);
    op_house_reopen(house);
    assert_string_equal(ids(house, "new"), "[[null]]");
    op_house_rows(house, "notes", "id,text\n2,old house again\n", "append");
    refresh(house);
    assert_string_equal(ids(house, "old"), "[[[2]]]");
}

static void the_chunks_of_a_long_text_stay_together(void **state)
{
    struct op_house *house = *state;
    struct lh_buf csv;
    op_house_rows(house, "notes", "id,text\n1,short\n", "create");
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"kept\", \"dataset\": \"notes\", \"id_column\": \"id\", "
                  "\"text_columns\": [\"text\"], \"chunk_size\": 100, \"overlap\": 10}");
    lh_buf_init(&csv, (size_t)1 << 20);
    lh_buf_append_str(&csv, lh_lit("id,text\n2,"));
    for (int i = 0; i < 400; i++)
        lh_buf_printf(&csv, "word%d ", i);
    lh_buf_append_str(&csv, lh_lit("\n3,another\n"));
    ingest(house, &csv, "append");
    refresh(house);
    assert_int_equal(count_parts(house, "kept"), 1);
    assert_string_equal(ids(house, "word3"), "[[[2]]]");
    assert_string_equal(ids(house, "word399"), "[[[2]]]");
    json_t *doc = op_house_call(house, "vectors.doc", "{\"name\": \"kept\", \"doc_id\": \"2\"}");
    assert_true(json_array_size(json_object_get(doc, "chunks")) > 20);
}

static void given_lines(struct op_house *house, const char *mode, const char *lines)
{
    char args[128];
    snprintf(args, sizeof args, "{\"dataset\": \"notes\", \"mode\": \"%s\"}", mode);
    assert_int_equal(
        op_house_try_file(house, "ingest.file", args, "v.ndjson", lines, strlen(lines)), LH_OK);
}

/* Vectors of the caller's, and rows without one. */
static void given_vectors_are_merged_as_they_are(void **state)
{
    struct op_house *house = *state;
    given_lines(house, "create", "{\"id\": 1, \"v\": [1, 0]}\n{\"id\": 2, \"v\": null}\n");
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"kept\", \"dataset\": \"notes\", \"id_column\": \"id\", "
                  "\"vector_column\": \"v\"}");
    given_lines(house, "append",
                "{\"id\": 3, \"v\": [0, 1]}\n{\"id\": 4, \"v\": [3, 4]}\n{\"id\": 5}\n");
    refresh(house);
    assert_int_equal(count_parts(house, "kept"), 1);
    json_t *items = json_object_get(
        op_house_call(house, "vectors.search", "{\"index\": \"kept\", \"vector\": [0, 2]}"),
        "items");
    assert_int_equal(json_array_size(items), 3);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(items, 0), "id")), 3);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(items, 1), "id")), 4);
    assert_float_equal(score_of(json_array_get(items, 1)), 0.8, 1e-6);
}

#define LARGE 9000

/* The first `old` rows say "river", the others `word`. */
static void given_large(struct op_house *house, int old, const char *word, const char *mode)
{
    struct lh_buf csv;
    lh_buf_init(&csv, (size_t)4 << 20);
    lh_buf_append_str(&csv, lh_lit("id,text\n"));
    for (int i = 0; i < LARGE; i++)
        lh_buf_printf(&csv, "%d,%s\n", i, i < old ? "river" : word);
    ingest(house, &csv, mode);
}

static int count_found(struct op_house *house, const char *query)
{
    char sql[256];
    int count = 0;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM text_search('kept', '%s', k := 10000)", query);
    assert_int_equal(sscanf(op_house_sql(house, sql), "[[%d]]", &count), 1);
    return count;
}

/* Two parts are cut of it. */
static void a_large_part_of_which_little_stands_is_written_anew(void **state)
{
    struct op_house *house = *state;
    given_large(house, LARGE, "", "create");
    make_index(house, "kept");
    assert_int_equal(count_parts(house, "kept"), 2);
    given_large(house, 2000, "stone", "replace");
    refresh(house);
    assert_int_equal(count_parts(house, "kept"), 2);
    assert_int_equal(count_found(house, "river"), 2000);
    assert_int_equal(count_found(house, "stone"), LARGE - 2000);
    op_house_reopen(house);
    assert_int_equal(count_found(house, "river"), 2000);
    assert_int_equal(count_found(house, "stone"), LARGE - 2000);
}

/* What replaces it is recorded before the refresh ends, part by part. */
static void a_large_part_of_which_nothing_stands_goes(void **state)
{
    struct op_house *house = *state;
    given_large(house, LARGE, "", "create");
    make_index(house, "kept");
    given_large(house, 0, "stone", "replace");
    refresh(house);
    assert_int_equal(count_parts(house, "kept"), 2);
    for (int i = 0; i < 2; i++) {
        struct lh_buf csv;
        lh_buf_init(&csv, 256);
        lh_buf_printf(&csv, "id,text\n%d,stone\n", 10000 + i);
        ingest(house, &csv, "append");
        refresh(house);
        assert_int_equal(count_parts(house, "kept"), 3);
    }
    assert_int_equal(count_found(house, "stone"), LARGE + 2);
    assert_int_equal(count_found(house, "river"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(many_refreshes_leave_few_parts_and_every_answer_as_it_was,
                                        op_house_set_up, op_house_tear_down),
        cmocka_unit_test_setup_teardown(what_is_gone_does_not_come_back_when_parts_become_one,
                                        op_house_set_up, op_house_tear_down),
        cmocka_unit_test_setup_teardown(the_chunks_of_a_long_text_stay_together, op_house_set_up,
                                        op_house_tear_down),
        cmocka_unit_test_setup_teardown(given_vectors_are_merged_as_they_are, op_house_set_up,
                                        op_house_tear_down),
        cmocka_unit_test_setup_teardown(a_large_part_of_which_little_stands_is_written_anew,
                                        op_house_set_up, op_house_tear_down),
        cmocka_unit_test_setup_teardown(a_large_part_of_which_nothing_stands_goes, op_house_set_up,
                                        op_house_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
