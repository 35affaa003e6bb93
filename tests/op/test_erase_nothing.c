/* Erasures whose keys are not there, or not everywhere: what has nothing of them keeps its files
 * and its versions; and wherever a key can stand besides today's rows, it is found and goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/op_house.h"

/* What the lake keeps, but receipts and the records of jobs: one line a file. */
static void write_sums(struct op_house *house, char ret[65])
{
    char command[9000];
    op_house_call(house, "journal.flush", "{}"); /* what was committed is told there in time */
    snprintf(command, sizeof command,
             "cd '%s/lake' && find . -type f ! -path './_erase/*' ! -path './_jobs/*' ! -path "
             "'./_lock' ! -path './_owner.json' | sort | xargs sha256sum | sha256sum",
             house->folder.path);
    FILE *sums = popen(command, "r");
    assert_non_null(sums);
    assert_int_equal(fread(ret, 1, 64, sums), 64);
    ret[64] = 0;
    pclose(sums);
}

static const char *state_of(const json_t *receipt)
{
    return reply_text(receipt, "state");
}

static const char *outcome_of(const json_t *receipt, size_t index)
{
    return reply_text(json_array_get(json_object_get(receipt, "values"), index), "outcome");
}

static const char *proof_of(const json_t *receipt, size_t index)
{
    return reply_text(json_array_get(json_object_get(receipt, "values"), index), "proof");
}

static const json_t *dataset_of(const json_t *receipt, const char *name)
{
    size_t at = 0;
    const json_t *dataset = NULL;
    json_array_foreach(json_object_get(receipt, "datasets"), at, dataset)
    {
        if (strcmp(reply_text(dataset, "dataset"), name) == 0)
            return dataset;
    }
    fail_msg("the receipt does not name %s", name);
    return NULL;
}

static int64_t number_of(const json_t *object, const char *member)
{
    return json_integer_value(json_object_get(object, member));
}

static json_t *erase(struct op_house *house, const char *column, const char *values,
                     const char *more)
{
    char args[512];
    snprintf(args, sizeof args,
             "{\"row_key_column\": \"%s\", \"row_key_values\": [%s], \"wait\": true%s}", column,
             values, more);
    return op_house_call(house, "catalog.erase", args);
}

static void given_people(struct op_house *house)
{
    op_house_make(house);
    op_house_rows(house, "people", "id,n,text\nCAND-1,4711,first\nCAND-2,4712,second\n", "create");
    op_house_rows(house, "people", "id,n,text\nCAND-3,4713,third\n", "append");
    op_house_rows(house, "calls", "id,n,said\nCAND-2,4712,hello\nCAND-4,4714,bye\n", "create");
    op_house_rows(house, "calls", "id,n,said\nCAND-5,4715,hm\n", "append");
}

static void keys_that_nobody_has_change_nothing(void **state)
{
    static const char *const asked[][2] = {{"id", "\"C-9\", \"CAND-10\""}, {"n", "9, 10"}};
    struct op_house house;
    char before[65], after[65];
    (void)state;
    given_people(&house);
    for (size_t i = 0; i < 2; i++) {
        write_sums(&house, before);
        const json_t *receipt = erase(&house, asked[i][0], asked[i][1], "");
        assert_string_equal(state_of(receipt), "no_match");
        assert_string_equal(outcome_of(receipt, 0), "no_match");
        assert_string_equal(outcome_of(receipt, 1), "no_match");
        assert_string_equal(proof_of(receipt, 0), "compared");
        assert_string_equal(proof_of(receipt, 1), i ? "compared" : "searched");
        assert_int_equal(number_of(receipt, "rows"), 0);
        assert_int_equal(number_of(dataset_of(receipt, "people"), "version_after"), 2);
        assert_int_equal(number_of(dataset_of(receipt, "people"), "versions_expired"), 0);
        write_sums(&house, after);
        assert_string_equal(before, after);
        op_house_reopen(&house);
    }
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM people AT (VERSION => 1)"),
                        "[[2]]");
    op_house_call(&house, "datasets.undo", "{\"name\": \"people\"}");
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM people"), "[[2]]");
    op_house_remove(&house);
}

static void a_dataset_without_the_key_keeps_its_versions_beside_one_that_has_it(void **state)
{
    struct op_house house;
    (void)state;
    given_people(&house);
    const json_t *receipt = erase(&house, "n", "4711, 9, null, \"x\"", "");
    assert_string_equal(state_of(receipt), "erased");
    assert_string_equal(outcome_of(receipt, 0), "match");
    assert_string_equal(outcome_of(receipt, 1), "no_match");
    assert_string_equal(outcome_of(receipt, 2), "null");
    assert_string_equal(outcome_of(receipt, 3), "type");
    assert_string_equal(proof_of(receipt, 0), "compared");
    assert_string_equal(proof_of(receipt, 2), "none");
    assert_int_equal(number_of(dataset_of(receipt, "people"), "rows"), 1);
    assert_true(number_of(dataset_of(receipt, "people"), "versions_expired") >= 2);
    assert_int_equal(number_of(dataset_of(receipt, "calls"), "version_after"), 2);
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM calls AT (VERSION => 1)"),
                        "[[2]]");
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM __raw__people"), "[[2]]");
    op_house_remove(&house);
}

static void a_key_that_was_erased_before_is_told_and_changes_nothing(void **state)
{
    struct op_house house;
    char before[65], after[65];
    (void)state;
    given_people(&house);
    assert_string_equal(state_of(erase(&house, "n", "4711", "")), "erased");
    write_sums(&house, before);
    const json_t *receipt = erase(&house, "n", "4711", "");
    assert_string_equal(state_of(receipt), "no_match");
    assert_string_equal(outcome_of(receipt, 0), "already");
    write_sums(&house, after);
    assert_string_equal(before, after);
    op_house_rows(&house, "people", "id,n,text\nCAND-1,4711,back\n", "append"); /* suppressed */
    assert_string_equal(state_of(erase(&house, "n", "4711", "")), "erased");
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM __raw__people"), "[[2]]");
    op_house_remove(&house);
}

/* --- where a key stands though no row has it now */

static void in_an_older_version(struct op_house *house)
{
    op_house_rows(house, "people", "id,n,text\nCAND-8,4718,new\n", "replace");
}

static void in_a_list_of_lifted_keys(struct op_house *house)
{
    op_house_call(house, "datasets.tombstone",
                  "{\"name\": \"people\", \"row_key_column\": \"n\", \"row_key_values\": [4711]}");
    in_an_older_version(house);
    op_house_call(house, "catalog.expire", "{\"dataset\": \"people\", \"older_than_s\": 0}");
}

static void in_the_journal(struct op_house *house)
{
    in_an_older_version(house);
    op_house_call(house, "journal.event",
                  "{\"entity_id\": \"people/4711\", \"action\": \"called\"}");
    op_house_call(house, "catalog.expire", "{\"dataset\": \"people\", \"older_than_s\": 0}");
}

static void in_the_journal_alone(struct op_house *house)
{
    op_house_rows(house, "people", "id,n,text\nCAND-8,4718,new\n", "replace");
    assert_string_equal(state_of(erase(house, "n", "4711", "")), "erased");
    op_house_call(house, "journal.event",
                  "{\"entity_id\": \"people/4711\", \"action\": \"called\"}");
}

static void in_a_line_that_was_not_taken(struct op_house *house)
{
    static const char args[] = "{\"dataset\": \"people\", \"mode\": \"append\"}";
    static const char csv[] = "id,n,text\nCAND-6,4716,fine\nCAND-7,4711,not,taken,at,all\n";
    op_house_rows(house, "people", "id,n,text\nCAND-8,4718,new\n", "replace");
    assert_string_equal(state_of(erase(house, "n", "4711", "")), "erased");
    assert_int_equal(op_house_try_file(house, "ingest.file", args, "t.csv", csv, sizeof csv - 1),
                     LH_OK);
}

static const struct place {
    const char *name;
    void (*put)(struct op_house *house);
} places[] = {
    {"an older version", in_an_older_version},
    {"a list of keys", in_a_list_of_lifted_keys},
    {"the journal, and the trash", in_the_journal},
    {"the journal alone", in_the_journal_alone},
    {"a line that was not taken", in_a_line_that_was_not_taken},
};

static void wherever_a_short_key_can_stand_it_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct op_house house;
        given_people(&house);
        places[i].put(&house);
        const json_t *receipt = erase(&house, "n", "4711", ", \"dry_run\": true");
        bool is_journal = number_of(json_object_get(receipt, "journal"), "records") > 0;
        if (!json_array_size(json_object_get(receipt, "found")) && !is_journal)
            fail_msg("%s: the dry run finds nothing: %.*s", places[i].name, LH_ARG(house.body));
        receipt = erase(&house, "n", "4711", "");
        if (strcmp(state_of(receipt), "erased") != 0)
            fail_msg("%s: %.*s", places[i].name, LH_ARG(house.body));
        receipt = erase(&house, "n", "4711", "");
        if (strcmp(state_of(receipt), "no_match") != 0)
            fail_msg("%s is there yet: %.*s", places[i].name, LH_ARG(house.body));
        op_house_remove(&house);
    }
}

static void a_dry_run_says_what_would_go_and_changes_nothing(void **state)
{
    struct op_house house;
    char before[65], after[65];
    (void)state;
    given_people(&house);
    op_house_call(&house, "vectors.index",
                  "{\"index_name\": \"people_v1\", \"dataset\": \"people\", \"id_column\": "
                  "\"id\", \"text_columns\": [\"text\"]}");
    write_sums(&house, before);
    const json_t *told = erase(&house, "id", "\"CAND-1\", \"CAND-9\"", ", \"dry_run\": true");
    assert_string_equal(state_of(told), "dry_run");
    assert_null(json_object_get(told, "erase_id"));
    assert_string_equal(outcome_of(told, 0), "match");
    assert_string_equal(outcome_of(told, 1), "no_match");
    assert_int_equal(number_of(told, "rows"), 1);
    const json_t *people = dataset_of(told, "people"), *calls = dataset_of(told, "calls");
    assert_int_equal(number_of(people, "rows"), 1);
    assert_int_equal(number_of(people, "versions_expired"), 2);
    assert_int_equal(json_array_size(json_object_get(people, "objects_removed")), 2);
    assert_int_equal(number_of(calls, "versions_expired"), 0);
    assert_int_equal(json_array_size(json_object_get(told, "indexes")), 1);
    assert_true(json_array_size(json_object_get(told, "found")) >= 2);
    write_sums(&house, after);
    assert_string_equal(before, after);
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM people"), "[[3]]");
    assert_int_equal(
        json_array_size(json_object_get(op_house_call(&house, "erasures.list", "{}"), "items")), 0);
    op_house_remove(&house);
}

/* Of rows that a compaction has left out before, only older versions have files. */
static void files_of_older_versions_stand_in_the_receipt(void **state)
{
    struct op_house house;
    (void)state;
    given_people(&house);
    op_house_call(&house, "datasets.tombstone",
                  "{\"name\": \"people\", \"row_key_column\": \"id\", \"row_key_values\": "
                  "[\"CAND-1\"]}");
    op_house_call(&house, "query.compact", "{\"dataset\": \"people\"}");
    const json_t *told = erase(&house, "id", "\"CAND-1\"", ", \"dry_run\": true");
    const json_t *people = dataset_of(told, "people");
    assert_int_equal(json_array_size(json_object_get(people, "objects_removed")), 3);
    told = erase(&house, "id", "\"CAND-1\"", "");
    people = dataset_of(told, "people");
    assert_string_equal(state_of(told), "erased");
    assert_int_equal(json_array_size(json_object_get(people, "objects_removed")), 2);
    assert_int_equal(json_array_size(json_object_get(people, "objects_made")), 0);
    op_house_remove(&house);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_that_nobody_has_change_nothing),
        cmocka_unit_test(a_dataset_without_the_key_keeps_its_versions_beside_one_that_has_it),
        cmocka_unit_test(a_key_that_was_erased_before_is_told_and_changes_nothing),
        cmocka_unit_test(wherever_a_short_key_can_stand_it_is_found),
        cmocka_unit_test(a_dry_run_says_what_would_go_and_changes_nothing),
        cmocka_unit_test(files_of_older_versions_stand_in_the_receipt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
