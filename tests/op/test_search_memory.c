/* Loaded indexes share a bounded memory: who was not asked for longest makes room. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "search/ask.h"
#include "support/op_house.h"

#define INDEXES 4
#define ROWS 1500

static void given_indexes(struct op_house *house)
{
    static const char *const words[] = {"river", "stone", "market", "window", "garden"};
    op_house_make(house);
    for (int at = 0; at < INDEXES; at++) {
        struct lh_buf csv;
        char name[16], args[256];
        lh_buf_init(&csv, 1 << 20);
        lh_buf_append_str(&csv, lh_lit("id,text\n"));
        for (int row = 0; row < ROWS; row++)
            lh_buf_printf(&csv, "%d,%s and %s number %d\n", at * 10000 + row, words[row % 5],
                          words[row / 5 % 5], row);
        snprintf(name, sizeof name, "d%d", at);
        op_house_rows(house, name, csv.data, "create");
        lh_buf_release(&csv);
        snprintf(args, sizeof args,
                 "{\"index_name\": \"i%d\", \"dataset\": \"d%d\", \"id_column\": \"id\", "
                 "\"text_columns\": [\"text\"]}",
                 at, at);
        op_house_call(house, "vectors.index", args);
    }
}

static void reopen_with(struct op_house *house, const char *limit)
{
    house->settings.search.memory_limit = lh_str_of(limit);
    op_house_reopen(house);
}

/* "i0 i2" */
static const char *loaded(struct op_house *house, int64_t *ret_bytes)
{
    static char names[128];
    struct search_memory *items = NULL;
    size_t count = 0, at = 0;
    names[0] = '\0';
    *ret_bytes = 0;
    search_memory_list(lake_search(house->lake), house->arena, &items, &count);
    for (size_t i = 0; i < count; i++) {
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%.*s", i ? " " : "",
                               LH_ARG(items[i].name));
        *ret_bytes += items[i].bytes + items[i].fresh_bytes;
    }
    return names;
}

static void ask(struct op_house *house, int index)
{
    char args[128], *text;
    snprintf(args, sizeof args, "{\"index\": \"i%d\", \"query\": \"river stone\", \"k\": 1}",
             index);
    const json_t *reply = op_house_call(house, "vectors.search", args);
    text = json_dumps(json_object_get(json_array_get(json_object_get(reply, "items"), 0), "id"),
                      JSON_ENCODE_ANY);
    assert_int_equal(atoi(text) / 10000, index);
    free(text);
}

static void the_index_that_was_not_asked_for_longest_makes_room(void **state)
{
    struct op_house house;
    int64_t bytes = 0, one = 0;
    char limit[32];
    (void)state;
    given_indexes(&house);
    reopen_with(&house, "");
    assert_string_equal(loaded(&house, &bytes), "");
    ask(&house, 0);
    assert_string_equal(loaded(&house, &one), "i0");
    snprintf(limit, sizeof limit, "%lldKB", (long long)((one + (1 << 20)) * 5 / 2 / 1000));
    reopen_with(&house, limit); /* room for two of them, their models included */
    static const struct {
        int asked;
        const char *loaded;
    } steps[] = {{0, "i0"},    {1, "i0 i1"}, {0, "i0 i1"}, {2, "i0 i2"},
                 {3, "i2 i3"}, {2, "i2 i3"}, {1, "i1 i2"}, {0, "i0 i1"}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        ask(&house, steps[i].asked);
        assert_string_equal(loaded(&house, &bytes), steps[i].loaded);
    }
    op_house_remove(&house);
}

static void an_index_that_is_too_large_alone_is_told_with_both_sizes(void **state)
{
    struct op_house house;
    int64_t bytes = 0;
    (void)state;
    given_indexes(&house);
    reopen_with(&house, "2MiB");
    op_house_refuses(&house, "vectors.search", "{\"index\": \"i0\", \"query\": \"river\"}",
                     LH_TOO_LARGE);
    assert_non_null(strstr(house.err.message, "'i0' takes"));
    assert_non_null(strstr(house.err.message, "2 MB"));
    assert_non_null(strstr(house.err.hint, "memory_limit under [search]"));
    assert_string_equal(loaded(&house, &bytes), "");
    /* It is built and refreshed all the same. */
    op_house_rows(&house, "d0", "id,text\n9999,one more\n", "append");
    op_house_call(&house, "vectors.refresh", "{\"dataset\": \"d0\"}");
    reopen_with(&house, "");
    ask(&house, 0);
    op_house_remove(&house);
}

static void rows_that_came_since_count_too(void **state)
{
    struct op_house house;
    int64_t one = 0, bytes = 0;
    char limit[32];
    (void)state;
    given_indexes(&house);
    reopen_with(&house, "");
    ask(&house, 0);
    loaded(&house, &one);
    snprintf(limit, sizeof limit, "%lldKB", (long long)((one + (1 << 20)) * 6 / 5 / 1000));
    reopen_with(&house, limit);
    ask(&house, 0);
    struct lh_buf csv;
    lh_buf_init(&csv, 1 << 20);
    lh_buf_append_str(&csv, lh_lit("id,text\n"));
    for (int row = 0; row < ROWS; row++)
        lh_buf_printf(&csv, "%d,later row %d\n", 5000 + row, row);
    op_house_rows(&house, "d0", csv.data, "append");
    lh_buf_release(&csv);
    op_house_refuses(&house, "vectors.search", "{\"index\": \"i0\", \"query\": \"river\"}",
                     LH_TOO_LARGE);
    loaded(&house, &bytes);
    assert_true(bytes <= one);
    op_house_remove(&house);
}

/* --- large texts */

static void given_large(struct op_house *house, const char *mode, size_t bytes, int id)
{
    static const char sentence[] = "A river runs by the stone market where windows open. ";
    struct lh_buf csv;
    lh_buf_init(&csv, bytes + 4096);
    lh_buf_printf(&csv, "id,text\n%d,", id);
    while (csv.len < bytes)
        lh_buf_append(&csv, sentence, sizeof sentence - 1);
    lh_buf_printf(&csv, "The last word is zebra%d.\n", id);
    op_house_rows(house, "large", csv.data, mode);
    lh_buf_release(&csv);
}

static json_int_t number_of(struct op_house *house, const char *args, const char *member)
{
    return json_integer_value(
        json_object_get(op_house_call(house, "vectors.search", args), member));
}

static void a_row_of_more_chunks_than_fit_in_memory_is_told_by_its_id(void **state)
{
    struct op_house house;
    (void)state;
    op_house_make(&house);
    op_house_rows(&house, "large", "id,text\n1,a small one\n", "create");
    given_large(&house, "append", (size_t)6 << 20, 77);
    op_house_refuses(&house, "vectors.index",
                     "{\"index_name\": \"fine\", \"dataset\": \"large\", \"id_column\": \"id\", "
                     "\"text_columns\": [\"text\"], \"chunk_size\": 50, \"overlap\": 25}",
                     LH_TOO_LARGE);
    assert_non_null(strstr(house.err.message, "'77'"));
    assert_non_null(strstr(house.err.message, "chunks"));
    assert_non_null(strstr(house.err.hint, "chunk_size"));
    op_house_refuses(&house, "vectors.get", "{\"name\": \"fine\"}", LH_NOT_FOUND);
    /* In larger ones it is found, by its last word too. */
    op_house_call(&house, "vectors.index",
                  "{\"index_name\": \"coarse\", \"dataset\": \"large\", \"id_column\": \"id\", "
                  "\"text_columns\": [\"text\"], \"chunk_size\": 2000}");
    const json_t *reply =
        op_house_call(&house, "vectors.search", "{\"index\": \"coarse\", \"query\": \"zebra77\"}");
    const json_t *item = json_array_get(json_object_get(reply, "items"), 0);
    assert_int_equal(json_integer_value(json_object_get(item, "id")), 77);
    assert_true(json_integer_value(json_object_get(item, "chunk")) > 3000);
    op_house_remove(&house);
}

/* Rows that are not indexed yet are searched from memory, as far as it goes. */
static void large_rows_that_came_since_are_counted_and_not_searched(void **state)
{
    struct op_house house;
    const char *ask = "{\"index\": \"large_v1\", \"query\": \"zebra5\"}";
    (void)state;
    op_house_make(&house);
    op_house_rows(&house, "large", "id,text\n1,a small one\n", "create");
    op_house_call(&house, "vectors.index",
                  "{\"index_name\": \"large_v1\", \"dataset\": \"large\", \"id_column\": \"id\", "
                  "\"text_columns\": [\"text\"], \"chunk_size\": 50, \"overlap\": 25}");
    op_house_rows(&house, "large", "id,text\n5,with zebra5\n", "append");
    assert_int_equal(number_of(&house, ask, "pending_rows"), 0);
    assert_int_equal(number_of(&house, ask, "fresh_rows"), 1);
    given_large(&house, "append", (size_t)3 << 20, 6); /* more than 87381 chunks */
    assert_int_equal(number_of(&house, ask, "pending_rows"), 1);
    assert_int_equal(number_of(&house, ask, "fresh_rows"), 1);
    op_house_remove(&house);
}

/* --- many at once */

struct run {
    struct search *search;
    int64_t limit;
    atomic_int next, answers, refused, wrong;
};

static void *search_on(void *context)
{
    struct run *run = context;
    for (int turn = 0; turn < 25; turn++) {
        struct lh_arena *arena = lh_arena_new(0);
        struct lh_error err = LH_ERROR_NONE;
        struct search_answer answer;
        struct search_memory *items = NULL;
        size_t count = 0;
        int64_t bytes = 0, id = 0;
        int at = atomic_fetch_add(&run->next, 1) * 7 / 3 % INDEXES;
        const struct search_ask ask = {.index = lh_arena_printf(arena, "i%d", at),
                                       .mode = SEARCH_VECTOR,
                                       .query = lh_lit("river stone"),
                                       .k = 5};
        enum lh_code code = search_run(run->search, &ask, NULL, arena, &answer, &err);
        atomic_fetch_add(code ? &run->refused : &run->answers, 1);
        if (code ? code != LH_BUSY
                 : answer.hit_count != 5 || !lh_str_to_int(answer.hits[0].id, &id) ||
                       id / 10000 != at)
            atomic_fetch_add(&run->wrong, 1);
        search_memory_list(run->search, arena, &items, &count);
        for (size_t i = 0; i < count; i++)
            bytes += items[i].bytes + items[i].fresh_bytes;
        if (bytes > run->limit)
            atomic_fetch_add(&run->wrong, 1);
        lh_arena_free(arena);
    }
    return NULL;
}

static void many_searches_stay_below_the_limit_and_find_what_they_ask_for(void **state)
{
    struct op_house house;
    static struct run run;
    pthread_t threads[3];
    (void)state;
    given_indexes(&house);
    reopen_with(&house, "12MiB");
    run.search = lake_search(house.lake);
    run.limit = (int64_t)12 << 20;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, search_on, &run), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&run.wrong), 0);
    assert_true(atomic_load(&run.answers) > 12);
    op_house_remove(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_index_that_was_not_asked_for_longest_makes_room),
        cmocka_unit_test(an_index_that_is_too_large_alone_is_told_with_both_sizes),
        cmocka_unit_test(rows_that_came_since_count_too),
        cmocka_unit_test(a_row_of_more_chunks_than_fit_in_memory_is_told_by_its_id),
        cmocka_unit_test(large_rows_that_came_since_are_counted_and_not_searched),
        cmocka_unit_test(many_searches_stay_below_the_limit_and_find_what_they_ask_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
