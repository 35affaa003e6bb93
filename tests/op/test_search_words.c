/* The keyword leg: what words find, in which order, and what its file says of itself. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "storage/storage.h"
#include "support/op_house.h"

static void given(struct op_house *house, const char *rows)
{
    char csv[4096];
    snprintf(csv, sizeof csv, "id,text\n%s", rows);
    op_house_rows(house, "notes", csv, "create");
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"notes_v1\", \"dataset\": \"notes\", \"id_column\": \"id\", "
                  "\"text_columns\": [\"text\"]}");
}

static json_t *ask(struct op_house *house, const char *mode, const char *query)
{
    char args[1024];
    snprintf(args, sizeof args, "{\"index\": \"notes_v1\", \"query\": \"%s\", \"mode\": \"%s\"}",
             query, mode);
    return op_house_call(house, "vectors.hybrid", args);
}

/* The ids that the words find, best first: "3 1". */
static const char *found(struct op_house *house, const char *query)
{
    static char text[512];
    size_t at = 0, i;
    const json_t *item;
    text[0] = 0;
    json_array_foreach(json_object_get(ask(house, "keyword", query), "items"), i, item) at +=
        (size_t)snprintf(text + at, sizeof text - at, "%s%lld", i ? " " : "",
                         (long long)json_integer_value(json_object_get(item, "id")));
    return text;
}

static double number_of(const json_t *object, const char *member)
{
    assert_true(json_is_number(json_object_get(object, member)));
    return json_number_value(json_object_get(object, member));
}

static void what_begins_a_word_finds_it_however_far_its_stem_goes(void **state)
{
    struct op_house *house = *state;
    given(house, "1,generalizations of rules\n2,the general store\n3,editing photos\n");
    assert_string_equal(found(house, "generalizat*"), "1");
    assert_string_equal(found(house, "general*"), "1 2");
    assert_string_equal(found(house, "editin*"), "3");
    assert_string_equal(found(house, "edits"), "3");
    assert_string_equal(found(house, "\\\"general sto\\\"*"), "2");
    assert_string_equal(found(house, "\\\"store general\\\"*"), "");
}

static void words_are_found_in_any_script_case_and_accents(void **state)
{
    struct op_house *house = *state;
    given(house, "1,caf\xC3\xA9 cr\xC3\xA8me\n2,\xD0\x9C\xD0\xBE\xD1\x81\xD0\xBA\xD0\xB2\xD0\xB0\n"
                 "3,cafe\xCC\x81 noir\n4,\xE6\x9D\xB1\xE4\xBA\xAC\n");
    assert_string_equal(found(house, "CAFE"), "1 3");
    assert_string_equal(found(house, "caf\xC3\x89"), "1 3");
    assert_string_equal(found(house, "\xD0\x9C\xD0\x9E\xD0\xA1\xD0\x9A\xD0\x92\xD0\x90"), "2");
    assert_string_equal(found(house, "\xE6\x9D\xB1\xE4\xBA\xAC"), "4");
    assert_string_equal(found(house, "\xE6\x9D\xB1*"), "4");
}

static void bm25_is_what_the_formula_says(void **state)
{
    struct op_house *house = *state;
    given(house, "1,pear apple\n2,pear pear pear plum\n3,plum\n4,fig\n");
    const json_t *items = json_object_get(ask(house, "keyword", "pear"), "items");
    assert_int_equal(json_array_size(items), 2);
    /* 4 texts, 2 with the word; 8 words in all. */
    double idf = log(1 + (4 - 2 + 0.5) / (2 + 0.5)), average = 8.0 / 4;
    double two = idf * 3 * 2.2 / (3 + 1.2 * (0.25 + 0.75 * 4 / average));
    double one = idf * 1 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / average));
    assert_int_equal(number_of(json_array_get(items, 0), "id"), 2);
    assert_true(fabs(number_of(json_array_get(items, 0), "score") - two) < 1e-8);
    assert_true(fabs(number_of(json_array_get(items, 1), "score") - one) < 1e-8);
}

static const json_t *parts_of(const json_t *reply, int id)
{
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(reply, "items"), i,
                       item) if (json_integer_value(json_object_get(item, "id")) ==
                                 id) return json_object_get(item, "parts");
    fail_msg("row %d was not found", id);
    return NULL;
}

static void both_tells_how_much_of_the_query_a_row_has_and_what_stands_together(void **state)
{
    struct op_house *house = *state;
    given(house, "1,red boats sail\n2,sail a red wooden boat\n3,red paint\n4,a boat far away from "
                 "anything that is red\n");
    json_t *reply = ask(house, "hybrid", "the red boat sail");
    assert_true(fabs(number_of(parts_of(reply, 1), "coverage") - 1) < 1e-9);
    assert_true(fabs(number_of(parts_of(reply, 1), "pairs") - 1) < 1e-9);
    assert_true(fabs(number_of(parts_of(reply, 2), "coverage") - 1) < 1e-9);
    assert_true(fabs(number_of(parts_of(reply, 2), "pairs") - 0.5) < 1e-9); /* red … boat */
    assert_true(number_of(parts_of(reply, 3), "coverage") < 0.5);
    assert_true(number_of(parts_of(reply, 4), "pairs") == 0);
    const json_t *first = json_array_get(json_object_get(reply, "items"), 0);
    assert_int_equal(number_of(first, "id"), 1);
    reply = ask(house, "keyword", "the red boat sail");
    assert_true(json_is_null(json_object_get(parts_of(reply, 1), "coverage")));
}

static void a_phrase_must_be_there_and_counts_once(void **state)
{
    struct op_house *house = *state;
    given(house, "1,red boat\n2,boat red\n3,a red boat and a blue boat\n");
    assert_string_equal(found(house, "\\\"red boat\\\""), "1 3");
    assert_string_equal(found(house, "\\\"red boat\\\" blue"), "3 1");
    assert_string_equal(found(house, "\\\"red boat\\\" \\\"blue boat\\\""), "3");
    const json_t *reply = ask(house, "hybrid", "\\\"red boat\\\" blue");
    assert_true(fabs(number_of(parts_of(reply, 3), "coverage") - 1) < 1e-9);
    const json_t *item =
        json_array_get(json_object_get(ask(house, "keyword", "\\\"red boat\\\""), "items"), 0);
    assert_string_equal(json_string_value(json_object_get(item, "highlight")), "**red boat**");
}

static void words_that_tell_nothing_are_left_out_unless_there_are_no_others(void **state)
{
    struct op_house *house = *state;
    given(house, "1,what you will\n2,a boat\n");
    assert_string_equal(found(house, "what is my boat"), "2");
    assert_string_equal(found(house, "what"), "1");
    assert_string_equal(found(house, "\xF0\x9F\x98\x80 \xF0\x9F\x9A\xA4 ... -- !!"), "");
    assert_string_equal(found(house, "\xF0\x9F\x98\x80 boat \\\"\\\" \\\"!\\\""), "2");
}

static void many_words_and_long_ones_are_no_trouble(void **state)
{
    struct op_house *house = *state;
    struct lh_buf query;
    given(house, "1,boat\n2,lake\n");
    lh_buf_init(&query, 1 << 20);
    lh_buf_append_str(&query, lh_lit("{\"index\": \"notes_v1\", \"query\": \"boat "));
    for (int i = 0; i < 3000; i++)
        lh_buf_printf(&query, "word%d ", i);
    for (int i = 0; i < 20000; i++)
        lh_buf_append_char(&query, 'x');
    lh_buf_append_str(&query, lh_lit("\"}"));
    lh_buf_append_char(&query, '\0');
    json_t *reply = op_house_call(house, "vectors.hybrid", query.data);
    lh_buf_release(&query);
    assert_int_equal(number_of(json_array_get(json_object_get(reply, "items"), 0), "id"), 1);
}

static int64_t number_in(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *ask_file = NULL;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &ask_file, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(ask_file), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(ask_file, 0);
    sqlite3_finalize(ask_file);
    sqlite3_close(db);
    return number;
}

static void the_file_says_which_version_it_is_of(void **state)
{
    struct op_house *house = *state;
    char path[1024];
    given(house, "1,boat\n2,lake\n");
    assert_string_equal(found(house, "boat"), "1");
    op_house_rows(house, "notes", "id,text\n3,another boat\n", "append");
    op_house_call(house, "vectors.refresh", "{\"dataset\": \"notes\"}");
    assert_string_equal(found(house, "boat"), "1 3");
    json_t *info = op_house_call(house, "vectors.get", "{\"name\": \"notes_v1\"}");
    snprintf(path, sizeof path, "%.*s/indexes/%s/keyword3-1-english.sqlite",
             LH_ARG(storage_path(lake_storage(house->lake))),
             json_string_value(json_object_get(info, "id")));
    assert_int_equal(number_in(path, "SELECT index_version FROM applied"),
                     number_of(info, "version"));
    assert_int_equal(number_in(path, "SELECT dataset_version FROM applied"), 2);
    assert_int_equal(number_in(path, "SELECT count(*) FROM parts"), number_of(info, "parts"));
    /* A new generation has a file of its own; the old one goes. */
    op_house_call(house, "vectors.refresh", "{\"dataset\": \"notes\", \"from_scratch\": true}");
    assert_string_equal(found(house, "boat"), "1 3");
    assert_int_not_equal(access(path, F_OK), 0);
}

/* Returns how many bytes it has; flips one bit of one of them. */
static long flip(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    long bytes = ftell(file);
    fseek(file, at, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, at, SEEK_SET);
    if (byte != EOF)
        fputc(byte ^ 1 << at % 8, file);
    fclose(file);
    return bytes;
}

static void a_flipped_bit_of_the_file_hides_no_row(void **state)
{
    struct op_house *house = *state;
    char path[1024];
    struct stat before, after;
    size_t flipped = 0, noticed = 0;
    given(house, "1,boat on a lake\n2,lake\n3,another boat\n4,nothing\n");
    assert_string_equal(found(house, "boat"), "3 1");
    json_t *info = op_house_call(house, "vectors.get", "{\"name\": \"notes_v1\"}");
    snprintf(path, sizeof path, "%.*s/indexes/%s/keyword3-1-english.sqlite",
             LH_ARG(storage_path(lake_storage(house->lake))),
             json_string_value(json_object_get(info, "id")));
    for (long at = 17, bytes = 4096; at < bytes; at += 1531, flipped++) {
        op_house_reopen(house); /* what was written is in the file, and not in the log beside it */
        bytes = flip(path, at);
        assert_int_equal(stat(path, &before), 0);
        op_house_reopen(house);
        assert_string_equal(found(house, "boat"), "3 1");
        assert_string_equal(found(house, "lake"), "2 1");
        assert_int_equal(stat(path, &after), 0);
        noticed += before.st_ino != after.st_ino;
    }
    assert_true(flipped > 12);
    assert_true(noticed > flipped / 2); /* pages that a search does not read stay */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, op_house_set_up, op_house_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_begins_a_word_finds_it_however_far_its_stem_goes),
        TEST(words_are_found_in_any_script_case_and_accents),
        TEST(bm25_is_what_the_formula_says),
        TEST(both_tells_how_much_of_the_query_a_row_has_and_what_stands_together),
        TEST(a_phrase_must_be_there_and_counts_once),
        TEST(words_that_tell_nothing_are_left_out_unless_there_are_no_others),
        TEST(many_words_and_long_ones_are_no_trouble),
        TEST(the_file_says_which_version_it_is_of),
        TEST(a_flipped_bit_of_the_file_hides_no_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
