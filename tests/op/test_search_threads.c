/* Searches beside writers: every answer fits the version of the dataset that it names. */
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
#include "search/make.h"
#include "support/op_house.h"

#define ROWS 40
#define SEARCHERS 3

struct run {
    struct search *search;
    atomic_bool is_over;
    atomic_int answers, wrong, failed;
    struct lh_error err; /* of the first that failed */
};

/* Version v of the dataset has the ids v * 1000 … v * 1000 + ROWS - 1, and no others. */
static bool fits(const struct search_answer *answer)
{
    for (size_t i = 0; i < answer->hit_count; i++) {
        int64_t id = 0;
        if (!lh_str_to_int(answer->hits[i].id, &id) || id / 1000 != answer->dataset_version)
            return false;
    }
    return true;
}

/* Rows of a version that have one of the two words that are asked for. */
static size_t count_with_words(int64_t version)
{
    size_t count = 0;
    for (int64_t i = 0; i < ROWS; i++)
        count += i % 5 < 2 || (i / 5 + version) % 5 < 2;
    return count;
}

static bool is_whole(const struct search_ask *ask, const struct search_answer *answer)
{
    if (ask->filter.len || answer->pending_rows)
        return true;
    if (ask->mode == SEARCH_VECTOR)
        return answer->hit_count == ROWS;
    return ask->mode == SEARCH_HYBRID ||
           answer->hit_count == count_with_words(answer->dataset_version);
}

/* Lists read the newest manifests while the parts that they name are merged away. */
static void *list_on(void *context)
{
    struct run *run = context;
    while (!atomic_load(&run->is_over)) {
        struct lh_arena *arena = lh_arena_new(0);
        struct lh_error err = LH_ERROR_NONE;
        struct search_stale *items = NULL;
        size_t count = 0;
        if (search_stale_list(run->search, NULL, arena, &items, &count, &err) &&
            atomic_fetch_add(&run->failed, 1) == 0)
            run->err = err;
        lh_arena_free(arena);
    }
    return NULL;
}

static void *search_on(void *context)
{
    struct run *run = context;
    for (int turn = 0; !atomic_load(&run->is_over); turn++) {
        struct lh_arena *arena = lh_arena_new(0);
        struct lh_error err = LH_ERROR_NONE;
        struct search_answer answer;
        const struct search_ask ask = {
            .index = lh_lit("moving"),
            .mode = (enum search_mode)(turn % 3),
            .query = lh_lit("river stone"),
            .k = ROWS * 2,
            .filter = turn % 5 ? (struct lh_str){0} : lh_lit("id % 2 = 0"),
        };
        enum lh_code code = search_run(run->search, &ask, NULL, arena, &answer, &err);
        if (code) {
            if (atomic_fetch_add(&run->failed, 1) == 0)
                run->err = err;
        } else {
            atomic_fetch_add(&run->answers, 1);
            if (!fits(&answer) || !is_whole(&ask, &answer))
                atomic_fetch_add(&run->wrong, 1);
        }
        lh_arena_free(arena);
    }
    return NULL;
}

static void given_version(struct op_house *house, int version, const char *mode)
{
    static const char *const words[] = {"river", "stone", "market", "window", "garden"};
    struct lh_buf csv;
    lh_buf_init(&csv, 65536);
    lh_buf_append_str(&csv, lh_lit("id,text\n"));
    for (int i = 0; i < ROWS; i++)
        lh_buf_printf(&csv, "%d,%s and %s number %d\n", version * 1000 + i, words[i % 5],
                      words[(i / 5 + version) % 5], i);
    op_house_rows(house, "moving_rows", csv.data, mode);
    lh_buf_release(&csv);
}

static void every_answer_is_of_the_version_that_it_names(void **state)
{
    struct op_house house;
    static struct run run;
    pthread_t threads[SEARCHERS + 1];
    (void)state;
    op_house_make(&house);
    given_version(&house, 1, "create");
    op_house_call(&house, "vectors.index",
                  "{\"index_name\": \"moving\", \"dataset\": \"moving_rows\", \"id_column\": "
                  "\"id\", \"text_columns\": [\"text\"]}");
    run.search = lake_search(house.lake);
    for (int i = 0; i < SEARCHERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, search_on, &run), 0);
    assert_int_equal(pthread_create(&threads[SEARCHERS], NULL, list_on, &run), 0);
    for (int version = 2; version < 20; version++) {
        given_version(&house, version, "replace");
        if (version % 3 == 0 || version > 12)
            op_house_call(&house, "vectors.refresh", "{\"dataset\": \"moving_rows\"}");
        op_house_call(&house, "vectors.index",
                      "{\"index_name\": \"other\", \"dataset\": \"moving_rows\", \"id_column\": "
                      "\"id\", \"text_columns\": [\"text\"]}");
        op_house_call(&house, "vectors.delete", "{\"name\": \"other\"}");
    }
    atomic_store(&run.is_over, true);
    for (int i = 0; i < SEARCHERS + 1; i++)
        pthread_join(threads[i], NULL);
    if (atomic_load(&run.failed))
        fail_msg("%d searches failed, the first: %s", atomic_load(&run.failed), run.err.message);
    assert_int_equal(atomic_load(&run.wrong), 0);
    assert_true(atomic_load(&run.answers) > 20);
    op_house_remove(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_is_of_the_version_that_it_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
