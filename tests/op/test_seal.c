/* Keys whose rows are gone from every version are kept as hashes: they go on suppressing, they can
 * be lifted, and the list names them no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/pool.h"
#include "catalog/erase.h"
#include "support/op_house.h"

static int64_t append(struct op_house *house, const char *csv)
{
    return reply_int(op_house_rows(house, "t", csv, "append"), "suppressed_rows");
}

static json_t *tombstone(struct op_house *house, const char *values)
{
    char args[512];
    snprintf(args, sizeof args,
             "{\"name\": \"t\", \"row_key_column\": \"k\", \"row_key_values\": %s}", values);
    return op_house_call(house, "datasets.tombstone", args);
}

static json_t *lift(struct op_house *house, const char *values)
{
    char args[512];
    snprintf(args, sizeof args, "{\"name\": \"t\", \"row_key_values\": %s, \"actor\": \"bob\"}",
             values);
    return op_house_call(house, "datasets.lift", args);
}

static void compact_and_expire(struct op_house *house)
{
    op_house_call(house, "query.compact", "{\"dataset\": \"t\", \"wait\": true}");
    op_house_call(house, "catalog.expire", "{\"dataset\": \"t\", \"older_than_s\": 0}");
}

static void then_listed(struct op_house *house, const char *keys)
{
    const json_t *items =
        json_object_get(op_house_call(house, "datasets.tombstones", "{\"name\": \"t\"}"), "items");
    char found[512] = "";
    for (size_t i = 0; i < json_array_size(items); i++) {
        if (i)
            strcat(found, ",");
        strcat(found, reply_text(json_array_get(items, i), "row_key_value"));
    }
    assert_string_equal(found, keys);
}

/* Whether the newest list of tombstones, as a file, holds the text. */
static bool is_in_lists(struct op_house *house, const char *text)
{
    const char *id = reply_text(op_house_call(house, "datasets.get", "{\"name\": \"t\"}"), "id");
    char folder[4400], path[4800];
    bool is_found = false;
    snprintf(folder, sizeof folder, "%s/lake/datasets/%s", house->folder.path, id);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        static char bytes[65536];
        if (!strstr(entry->d_name, ".tombstones"))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        size_t count = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        is_found |= memmem(bytes, count, text, strlen(text)) != NULL;
    }
    closedir(dir);
    return is_found;
}

static void given_three_of_five_deleted(struct op_house *house)
{
    op_house_rows(house, "t", "k,n\nann-1,1\nbob-2,2\ncid-3,3\ndan-4,4\neve-5,5\n", "create");
    tombstone(house, "[\"ann-1\", \"bob-2\", \"cid-3\"]");
}

static void a_key_is_named_as_long_as_any_version_has_its_rows(void **state)
{
    struct op_house *house = *state;
    given_three_of_five_deleted(house);
    op_house_call(house, "query.compact", "{\"dataset\": \"t\", \"wait\": true}");
    then_listed(house, "ann-1,bob-2,cid-3"); /* version 1 has them */
    op_house_call(house, "catalog.expire", "{\"dataset\": \"t\", \"older_than_s\": 0}");
    then_listed(house, "");
    assert_int_equal(append(house, "k,n\nann-1,11\nfay-6,6\n"), 1);
    assert_string_equal(op_house_sql(house, "SELECT k FROM t ORDER BY k"),
                        "[[\"dan-4\"],[\"eve-5\"],[\"fay-6\"]]");
    op_house_reopen(house);
    assert_int_equal(append(house, "k,n\nbob-2,12\n"), 1);
    assert_int_equal(reply_int(tombstone(house, "[\"bob-2\", \"dan-4\"]"), "keys_tombstoned"), 1);
    then_listed(house, "dan-4");
    op_house_call(house, "catalog.expire", "{\"dataset\": \"t\", \"older_than_s\": 0}");
    assert_false(is_in_lists(house, "ann-1"));
    assert_true(is_in_lists(house, "dan-4"));
}

static void a_key_that_came_again_is_named_until_its_rows_go(void **state)
{
    struct op_house *house = *state;
    given_three_of_five_deleted(house);
    assert_int_equal(append(house, "k,n\nbob-2,12\n"), 1);
    op_house_call(house, "query.compact", "{\"dataset\": \"t\", \"wait\": true}");
    assert_int_equal(append(house, "k,n\ncid-3,13\n"), 1);
    op_house_call(house, "catalog.expire", "{\"dataset\": \"t\", \"older_than_s\": 0}");
    then_listed(house, "cid-3");
    op_house_call(house, "query.compact", "{\"dataset\": \"t\", \"wait\": true}");
    op_house_call(house, "catalog.expire", "{\"dataset\": \"t\", \"older_than_s\": 0}");
    then_listed(house, "");
    assert_int_equal(append(house, "k,n\nann-1,1\nbob-2,2\ncid-3,3\n"), 3);
}

static void a_sealed_key_can_be_lifted_and_deleted_again(void **state)
{
    struct op_house *house = *state;
    given_three_of_five_deleted(house);
    compact_and_expire(house);
    assert_int_equal(append(house, "k,n\ncid-3,33\nann-1,34\n"), 2);
    json_t *reply = lift(house, "[\"cid-3\", \"bob-2\", \"zoe-9\"]");
    assert_int_equal(reply_int(reply, "keys_lifted"), 2);
    assert_int_equal(reply_int(reply, "rows_restored"), 1);
    assert_string_equal(op_house_sql(house, "SELECT n FROM t WHERE k = 'cid-3'"), "[[33]]");
    assert_int_equal(append(house, "k,n\nbob-2,35\n"), 0);
    assert_int_equal(append(house, "k,n\nann-1,36\n"), 1);
    const json_t *items = json_object_get(
        op_house_call(house, "journal.history", "{\"entity_id\": \"cid-3\"}"), "items");
    assert_int_equal(json_array_size(items), 2);
    assert_string_equal(reply_text(json_array_get(items, 0), "action"), "lift");
    assert_string_equal(reply_text(json_array_get(items, 0), "actor"), "bob");
    tombstone(house, "[\"cid-3\"]");
    then_listed(house, "cid-3");
    assert_int_equal(reply_int(lift(house, "[\"cid-3\", \"ann-1\"]"), "rows_restored"), 3);
    then_listed(house, "");
    assert_int_equal(append(house, "k,n\nann-1,37\nbob-2,38\ncid-3,39\n"), 0);
}

static void an_erased_key_that_was_sealed_is_lifted_by_nobody(void **state)
{
    struct op_house *house = *state;
    given_three_of_five_deleted(house);
    compact_and_expire(house);
    json_t *receipt = op_house_call(house, "catalog.erase",
                                    "{\"dataset\": \"t\", \"row_key_column\": \"k\", "
                                    "\"row_key_values\": [\"ann-1\"], \"wait\": true}");
    assert_string_equal(reply_text(receipt, "state"), "erased");
    op_house_try(house, "datasets.lift", "{\"name\": \"t\", \"row_key_values\": [\"ann-1\"]}");
    assert_int_equal(append(house, "k,n\nann-1,1\nbob-2,2\n"), 2);
    assert_int_equal(reply_int(lift(house, "[\"bob-2\"]"), "keys_lifted"), 1);
    assert_string_equal(op_house_sql(house, "SELECT k FROM t ORDER BY k"),
                        "[[\"bob-2\"],[\"dan-4\"],[\"eve-5\"]]");
}

/* --- a key that becomes a hash while somebody lifts it */

#ifdef LH_FAULTS

struct late {
    struct op_house *house;
    bool is_lift;
    json_t *values;
    struct lh_arena *arena;
    struct catalog_tombstone_result result;
    enum lh_code code;
    struct lh_error err;
};

static void *call_late(void *context)
{
    struct late *late = context;
    const struct catalog_tombstone_request request = {.name = lh_lit("t"),
                                                      .column = lh_lit("k"),
                                                      .values = late->values,
                                                      .actor = lh_lit("bob"),
                                                      .committer = lh_lit("bob")};
    late->code = (late->is_lift ? catalog_tombstone_lift : catalog_tombstone)(
        lake_catalog(late->house->lake), lake_engine(late->house->lake), &request, NULL,
        late->arena, &late->result, &late->err);
    return NULL;
}

/* The call has decided, and is about to write what it commits. */
static void begin_late(struct late *late, pthread_t *ret)
{
    late->arena = lh_arena_new(0);
    assert_true(lh_fault_plan("tombstone.commit=1:wait"));
    assert_int_equal(lh_thread_start("late", call_late, late, ret, &late->err), LH_OK);
    lh_fault_await();
}

static void end_late(struct late *late, pthread_t thread)
{
    assert_true(lh_fault_plan(NULL));
    pthread_join(thread, NULL);
    if (late->code)
        fail_msg("%s", late->err.message);
}

static void release_late(struct late *late)
{
    json_decref(late->values);
    lh_arena_free(late->arena);
}

static void a_key_that_is_sealed_while_it_is_lifted_is_lifted(void **state)
{
    struct op_house *house = *state;
    struct late late = {.house = house, .is_lift = true, .values = json_pack("[s]", "ann-1")};
    pthread_t thread;
    given_three_of_five_deleted(house);
    op_house_call(house, "query.compact", "{\"dataset\": \"t\", \"wait\": true}");
    begin_late(&late, &thread);
    op_house_call(house, "catalog.expire", "{\"dataset\": \"t\", \"older_than_s\": 0}");
    then_listed(house, "");
    end_late(&late, thread);
    assert_int_equal(late.result.keys, 1);
    assert_int_equal(append(house, "k,n\nann-1,11\nbob-2,12\n"), 1);
    assert_string_equal(op_house_sql(house, "SELECT n FROM t WHERE k = 'ann-1'"), "[[11]]");
    release_late(&late);
}

static void a_key_that_is_erased_meanwhile_is_not_written_down_again(void **state)
{
    struct op_house *house = *state;
    for (int is_lift = 0; is_lift < 2; is_lift++) {
        struct late late = {.house = house, .is_lift = is_lift, .values = json_array()};
        pthread_t thread;
        const char *key = is_lift ? "ann-1" : "dan-4";
        int64_t keys = 0, version = 0;
        json_array_append_new(late.values, json_string(key));
        if (!is_lift)
            given_three_of_five_deleted(house);
        begin_late(&late, &thread);
        if (!is_lift)
            tombstone(house, "[\"dan-4\"]");
        if (catalog_erase_keys(
                lake_catalog(house->lake), lake_engine(house->lake),
                lh_str_of(
                    reply_text(op_house_call(house, "datasets.get", "{\"name\": \"t\"}"), "id")),
                lh_lit("k"), late.values, lh_lit("eve"), NULL, &keys, &version, &late.err))
            fail_msg("%s", late.err.message);
        assert_int_equal(keys, 1);
        end_late(&late, thread);
        assert_int_equal(late.result.keys, 0);
        assert_int_equal(late.result.values[0].outcome,
                         is_lift ? CATALOG_KEY_ERASED : CATALOG_KEY_ALREADY);
        then_listed(house, is_lift ? "bob-2,cid-3" : "ann-1,bob-2,cid-3");
        release_late(&late);
    }
}

#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, op_house_set_up, op_house_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_is_named_as_long_as_any_version_has_its_rows),
        TEST(a_key_that_came_again_is_named_until_its_rows_go),
        TEST(a_sealed_key_can_be_lifted_and_deleted_again),
        TEST(an_erased_key_that_was_sealed_is_lifted_by_nobody),
#ifdef LH_FAULTS
        TEST(a_key_that_is_sealed_while_it_is_lifted_is_lifted),
        TEST(a_key_that_is_erased_meanwhile_is_not_written_down_again),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
