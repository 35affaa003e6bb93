/* SIGKILL at every fault point of an erasure: a child erases a row, and is killed at the first,
 * second, third … point until it lives through. The next start goes on with what was begun: then
 * the row is in no file, its key goes on suppressing, and the lake verifies. The row stands in two
 * datasets, one of them renamed and in a bucket of its own, which it was moved out of and back
 * into, in an index of vectors and words, under earlier tombstones by its key and by another
 * column, in the journal (in its log and in a segment) and in a kept answer; files are searched
 * here by means of the test's own, Parquet row by row, and what is to go is found before.
 *
 * LAKEHOUSE_LONG: every point; else every STRIDE-th, and the first of each name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fault.h"
#include "engine/engine.h"
#include "lake/repeats.h"
#include "support/fault_ways.h"
#include "support/kept_engine.h"
#include "support/killed_child.h"
#include "support/op_house.h"

#ifdef LH_FAULTS

#define STRIDE 50
#define POINTS_MAX 20000
#define PLAN_BYTES (KILLED_LINE_BYTES + 64)
#define KEY "Zaphod-key-42"
#define TEXT "towel and the third gargle blaster"

static int live(const char *folder)
{
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(folder));
    op_house_call(&house, "catalog.erase",
                  "{\"row_key_column\": \"id\", \"row_key_values\": "
                  "[\"" KEY "\"], \"reason\": \"a letter\"}");
    if (!killed_child_acknowledge())
        return 1;
    lake_close(house.lake);
    lh_arena_free(house.arena);
    return killed_child_end();
}

/* --- the parent */

static void copy_folder(const char *from, const char *to)
{
    char command[9000];
    snprintf(command, sizeof(command), "cp -a '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

/* Where it was found: in the bytes of a file, or in a row of one. */
struct places {
    size_t files, data_rows, segment_rows, index_rows;
};

static int64_t rows_with(struct op_house *house, const char *path, const char *text)
{
    char sql[9000];
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    snprintf(
        sql, sizeof(sql),
        "SELECT count(*) FROM read_parquet('%s') AS t WHERE contains(CAST(t AS VARCHAR), '%s')",
        path, text);
    if (engine_query(lake_engine(house->lake), lh_str_of(sql), NULL, NULL, &cursor, &house->err) ||
        engine_cursor_next(cursor, &chunk, &house->err) || !chunk)
        fail_msg("%s: %s", path, house->err.message);
    int64_t rows = ((const int64_t *)chunk->columns[0].data)[0];
    engine_cursor_close(cursor);
    return rows;
}

static struct places stands_in(struct op_house *house, const char *folder, const char *text)
{
    char command[9000], path[4400];
    struct places places = {0};
    snprintf(command, sizeof(command), "grep -rlF -- '%s' '%s' | wc -l", text, folder);
    FILE *found = popen(command, "r");
    assert_non_null(found);
    assert_int_equal(fscanf(found, "%zu", &places.files), 1);
    pclose(found);
    snprintf(command, sizeof(command), "find '%s' -name '*.parquet'", folder);
    found = popen(command, "r");
    assert_non_null(found);
    while (fgets(path, sizeof(path), found)) {
        path[strcspn(path, "\n")] = 0;
        size_t rows = (size_t)rows_with(house, path, text);
        *(strstr(path, "/_journal/")  ? &places.segment_rows
          : strstr(path, "/indexes/") ? &places.index_rows
                                      : &places.data_rows) += rows;
    }
    pclose(found);
    return places;
}

static void check_gone(struct op_house *house, const char *folder, const char *text,
                       const char *plan)
{
    struct places left = stands_in(house, folder, text);
    if (left.files || left.data_rows || left.segment_rows || left.index_rows)
        fail_msg("%s: '%s' is left in %zu files, %zu rows of data, %zu of the journal, %zu of "
                 "indexes",
                 plan, text, left.files, left.data_rows, left.segment_rows, left.index_rows);
}

static int64_t number_of(const json_t *object, const char *member)
{
    return json_integer_value(json_object_get(object, member));
}

/* What was done before the kill stands in the receipt as what was done after it. */
static void check_receipt(const json_t *receipt, const char *plan)
{
    size_t at = 0;
    const json_t *dataset = NULL, *journal = json_object_get(receipt, "journal");
    json_array_foreach(json_object_get(receipt, "datasets"), at, dataset)
    {
        const char *name = json_string_value(json_object_get(dataset, "dataset"));
        bool is_people = strcmp(name, "people") == 0;
        if (number_of(dataset, "keys") != 1 || number_of(dataset, "rows") != !is_people ||
            json_array_size(json_object_get(dataset, "objects_removed")) != (is_people ? 2 : 1))
            fail_msg("%s: %s", plan, json_dumps(dataset, 0));
    }
    if (at != 2 || number_of(journal, "records") < 2 ||
        json_array_size(json_object_get(receipt, "indexes")) != 1)
        fail_msg("%s: %s", plan, json_dumps(receipt, 0));
}

/* The state of the newest erasure, once it has come to an end; NULL: there is none. */
static const char *ending_of(struct op_house *house, const json_t **ret)
{
    for (;;) {
        const json_t *items = json_object_get(op_house_call(house, "erasures.list", "{}"), "items");
        const json_t *first = json_array_get(items, 0);
        const char *state = json_string_value(json_object_get(first, "state"));
        *ret = first;
        if (!state || (strcmp(state, "waiting") != 0 && strcmp(state, "running") != 0))
            return state;
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    }
}

static void check_lake(const char *folder, const char *near, bool was_told, const char *plan)
{
    struct op_house house = {0};
    op_house_open(&house, lh_str_of(folder));
    const json_t *receipt = NULL;
    const char *state = ending_of(&house, &receipt);
    if (!state && was_told)
        fail_msg("%s: the erasure was acknowledged and is lost", plan);
    if (state && strcmp(state, "erased") != 0)
        fail_msg("%s: it ended %s: %s", plan, state,
                 json_dumps(json_object_get(receipt, "found"), 0));
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM people"),
                        "[[4]]"); /* there is an earlier tombstone */
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM calls"),
                        state ? "[[1]]" : "[[2]]");
    if (state) {
        check_receipt(receipt, plan);
        assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM __raw__people"), "[[4]]");
        check_gone(&house, folder, KEY, plan);
        check_gone(&house, folder, TEXT, plan);
        check_gone(&house, near, KEY, plan);
        check_gone(&house, near, TEXT, plan);
        op_house_rows(&house, "people", "id,text\n" KEY ",again\n", "append");
        assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM people"), "[[4]]");
    }
    op_house_close(&house); /* verifies */
}

/* The bucket's record names one place: it is as it was for each life. */
static void restore_bucket(const struct temp_lake *folder)
{
    char command[13000];
    snprintf(command, sizeof(command), "rm -rf '%s/near' && cp -a '%s/near.kept' '%s/near'",
             folder->path, folder->path, folder->path);
    assert_int_equal(system(command), 0);
}

static struct killed_ending one_life(const struct temp_lake *folder, const char *plan)
{
    struct temp_lake own;
    char base[4200], lake[4200], near[4200];
    temp_lake_make(&own);
    snprintf(base, sizeof(base), "%s/lake", folder->path);
    snprintf(lake, sizeof(lake), "%s/lake", own.path);
    snprintf(near, sizeof(near), "%s/near", folder->path);
    copy_folder(base, lake);
    restore_bucket(folder);
    struct killed_ending ending = killed_child_run("--live", lake, plan);
    check_lake(lake, near, ending.acknowledged > 0, plan);
    temp_lake_remove(&own);
    return ending;
}

static void check_places(struct op_house *house, const char *text, bool is_key)
{
    char folder[4200];
    snprintf(folder, sizeof(folder), "%s/lake", house->folder.path);
    struct places before = stands_in(house, folder, text);
    assert_true(before.data_rows >= 2);
    assert_true(before.segment_rows >= 1);
    assert_true(before.index_rows >= 1);
    assert_true(before.files >= (is_key ? 3 : 1)); /* answer, tombstone, log; log */
}

static void given_lake(struct op_house *house)
{
    const struct lake_answer *known = NULL;
    const struct lake_answer answer = {.format = 1,
                                       .request_hash = lh_lit("hash"),
                                       .status = 200,
                                       .body = lh_lit("{\"id\": \"" KEY "\"}")};
    op_house_make(house);
    op_house_rows(house, "people", "id,text\none,first\ntwo,second\n" KEY ",\"has a " TEXT "\"\n",
                  "create");
    op_house_rows(house, "people", "id,text\nthree,third\nfour,fourth\n", "append");
    op_house_rows(house, "phones", "id,said\n" KEY ",\"wants a " TEXT "\"\none,nothing\n",
                  "create");
    char near[4200], kept[4200], args[4400];
    snprintf(near, sizeof(near), "%s/near", house->folder.path);
    snprintf(kept, sizeof(kept), "%s/near.kept", house->folder.path);
    snprintf(args, sizeof(args), "{\"name\": \"near\", \"root\": \"%s\"}", near);
    op_house_call(house, "buckets.create", args);
    static const char *const ways[] = {"near", "primary", "near"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(args, sizeof(args), "{\"name\": \"phones\", \"to\": \"%s\", \"wait\": true}",
                 ways[i]);
        op_house_call(house, "datasets.move", args);
    }
    op_house_call(house, "datasets.rename", "{\"name\": \"phones\", \"to\": \"calls\"}");
    op_house_call(house, "vectors.index",
                  "{\"index_name\": \"people_v1\", \"dataset\": \"people\", \"id_column\": "
                  "\"id\", \"text_columns\": [\"text\"]}");
    op_house_call(house, "datasets.tombstone",
                  "{\"name\": \"people\", \"row_key_column\": \"id\", \"row_key_values\": "
                  "[\"" KEY "\"]}");
    op_house_call(house, "datasets.tombstone",
                  "{\"name\": \"people\", \"row_key_column\": \"text\", \"row_key_values\": "
                  "[\"has a " TEXT "\"], \"reason\": \"" KEY " asked\", "
                  "\"another_key_column\": true}");
    op_house_call(house, "journal.event",
                  "{\"entity_id\": \"people/" KEY "\", \"action\": \"called\", \"reason\": "
                  "\"has a " TEXT "\"}");
    op_house_call(house, "journal.flush", "{}");
    op_house_call(house, "journal.event",
                  "{\"entity_id\": \"phones/" KEY "\", \"action\": \"called\", \"reason\": "
                  "\"wants a " TEXT "\"}");
    assert_int_equal(lake_repeat_begin(house->lake, lh_lit("local\nk"), lh_lit("hash"),
                                       house->arena, &known, &house->err),
                     LH_OK);
    lake_repeat_end(house->lake, lh_lit("local\nk"), &answer);
    check_places(house, KEY, true);
    check_places(house, TEXT, false);
    assert_true(stands_in(house, near, TEXT).data_rows >= 1);
    op_house_close(house);
    copy_folder(near, kept);
}

static void an_erasure_may_be_killed_anywhere(void **state)
{
    struct op_house house;
    char plan[PLAN_BYTES];
    unsigned kills = 0, named = 0, step = fault_stride(STRIDE);
    bool is_through = false;
    (void)state;
    given_lake(&house);
    struct killed_ending peace = one_life(&house.folder, "");
    assert_false(peace.was_killed);
    assert_int_equal(peace.acknowledged, 1);
    for (size_t i = 0; i < peace.name_count; i++) {
        snprintf(plan, sizeof(plan), "%s=1:kill", peace.names[i]);
        named += one_life(&house.folder, plan).was_killed;
    }
    for (unsigned at = 1; !is_through && at < POINTS_MAX; at += step) {
        snprintf(plan, sizeof(plan), "*=%u:kill", at);
        is_through = !one_life(&house.folder, plan).was_killed;
        kills += !is_through;
    }
    assert_true(is_through);
    assert_true(named > 10); /* the first of each name */
    assert_true(kills >= peace.point_count / step);
    kills += named;
    printf("figure: erasures killed: %zu points under %zu names in one life, %u kills (every %u), "
           "0 bytes of the row left\n",
           peace.point_count, peace.name_count, kills, step);
    temp_lake_remove(&house.folder);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--live") == 0)
        return live(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_erasure_may_be_killed_anywhere),
    };
    temp_lake_prefer_memory(); /* a kill leaves the page cache alone: memory is as good */
    kept_engine_begin(KEPT_ENGINE_LAKES);
    return kept_engine_end(cmocka_run_group_tests(tests, NULL, NULL));
}

#else

int main(void)
{
    printf("skipped: this build has no fault points\n");
    return 0;
}

#endif
