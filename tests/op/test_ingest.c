#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "support/op_house.h"

static struct op_house house;

static int make_house(void **state)
{
    (void)state;
    op_house_make(&house);
    return 0;
}

static int remove_house(void **state)
{
    (void)state;
    op_house_remove(&house);
    return 0;
}

static enum lh_code ingest(const char *args, const char *csv)
{
    return op_house_try_file(&house, "ingest.file", args, "rows.csv", csv, strlen(csv));
}

static void a_file_becomes_a_version(void **state)
{
    (void)state;
    json_t *first = op_house_rows(&house, "grown", "id\n1\n2\n", "create");
    assert_int_equal(reply_int(first, "version"), 1);
    assert_int_equal(reply_int(first, "rows"), 2);
    assert_true(lh_str_equal(house.etag, lh_lit("\"1\"")));
    assert_int_equal(reply_int(op_house_rows(&house, "grown", "id\n3\n", "append"), "version"), 2);
    assert_int_equal(reply_int(op_house_rows(&house, "grown", "id\n9\n", "replace"), "version"), 3);
    assert_string_equal(op_house_sql(&house, "SELECT id FROM grown"), "[[9]]");
}

static void if_match_and_modes_are_held(void **state)
{
    (void)state;
    op_house_rows(&house, "held", "id\n1\n", "create");
    assert_int_equal(ingest("{\"dataset\": \"held\", \"mode\": \"create\"}", "id\n2\n"), LH_EXISTS);
    assert_int_equal(ingest("{\"dataset\": \"unheld\", \"mode\": \"append\"}", "id\n2\n"),
                     LH_NOT_FOUND);
    assert_int_equal(ingest("{\"dataset\": \"held\", \"mode\": \"apend\"}", "id\n2\n"), LH_INVALID);
    house.if_match = lh_lit("\"5\"");
    assert_int_equal(ingest("{\"dataset\": \"held\", \"mode\": \"append\"}", "id\n2\n"),
                     LH_PRECONDITION);
    house.if_match = lh_lit("\"1\"");
    assert_int_equal(ingest("{\"dataset\": \"held\", \"mode\": \"append\"}", "id\n2\n"), LH_OK);
}

static void a_key_gives_the_first_result_again(void **state)
{
    (void)state;
    house.idempotency_key = lh_lit("file-1");
    assert_int_equal(ingest("{\"dataset\": \"keyed\", \"mode\": \"create\"}", "id\n1\n"), LH_OK);
    house.idempotency_key = lh_lit("file-1");
    assert_int_equal(ingest("{\"dataset\": \"keyed\", \"mode\": \"create\"}", "id\n1\n"), LH_OK);
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM keyed"), "[[1]]");
}

static void a_file_without_the_file_or_the_dataset_is_no_file(void **state)
{
    (void)state;
    op_house_refuses(&house, "ingest.file", "{\"dataset\": \"x\"}", LH_INVALID);
    assert_string_equal(house.err.field, "file");
    assert_int_equal(ingest("{}", "id\n1\n"), LH_INVALID);
    assert_string_equal(house.err.field, "dataset");
}

static void a_job_can_be_followed_to_its_end(void **state)
{
    char args[128];
    (void)state;
    assert_int_equal(ingest("{\"dataset\": \"later\", \"wait\": false}", "id\n1\n2\n"), LH_OK);
    assert_int_equal(house.status, 202);
    assert_true(lh_str_starts_with(house.location, lh_lit("/jobs/")));
    struct lh_str id = lh_str_slice(house.location, 6, house.location.len);
    snprintf(args, sizeof(args), "{\"id\": \"%.*s\", \"wait_ms\": 20000}", LH_ARG(id));
    json_t *job = op_house_call(&house, "jobs.get", args);
    assert_string_equal(reply_text(job, "state"), "succeeded");
    assert_int_equal(reply_int(json_object_get(job, "result"), "rows"), 2);
    assert_string_equal(op_house_sql(&house, "SELECT count(*) FROM later"), "[[2]]");
    json_t *list = op_house_call(&house, "jobs.list", "{\"dataset\": \"later\"}");
    assert_int_equal(json_array_size(json_object_get(list, "items")), 1);
    list = op_house_call(&house, "jobs.list", "{\"dataset\": \"later\", \"state\": \"failed\"}");
    assert_int_equal(json_array_size(json_object_get(list, "items")), 0);
    snprintf(args, sizeof(args), "{\"id\": \"%.*s\"}", LH_ARG(id));
    op_house_refuses(&house, "jobs.cancel", args, LH_CONFLICT);
}

static void a_job_that_fails_says_why(void **state)
{
    char args[128];
    (void)state;
    op_house_rows(&house, "there", "id\n1\n", "create");
    assert_int_equal(op_house_try_file(&house, "ingest.file",
                                       "{\"dataset\": \"broken\", \"wait\": false}", "x.json",
                                       "[{\"a\":", 6),
                     LH_OK);
    struct lh_str id = lh_str_slice(house.location, 6, house.location.len);
    snprintf(args, sizeof(args), "{\"id\": \"%.*s\", \"wait_ms\": 20000}", LH_ARG(id));
    json_t *job = op_house_call(&house, "jobs.get", args);
    assert_string_equal(reply_text(job, "state"), "failed");
    assert_string_equal(reply_text(json_object_get(job, "error"), "code"), "unreadable_file");
    op_house_refuses(&house, "datasets.get", "{\"name\": \"broken\"}", LH_NOT_FOUND);
}

static void jobs_that_are_not_there_are_not_found(void **state)
{
    static const char absent[] = "{\"id\": \"01234567-0000-7000-8000-000000000000\"}";
    (void)state;
    op_house_refuses(&house, "jobs.get", absent, LH_NOT_FOUND);
    op_house_refuses(&house, "jobs.cancel", absent, LH_NOT_FOUND);
    op_house_refuses(&house, "jobs.get",
                     "{\"id\": \"01234567-0000-7000-8000-000000000000\", \"wait_ms\": 50}",
                     LH_NOT_FOUND);
    op_house_refuses(&house, "jobs.list", "{\"after\": \"x\"}", LH_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_becomes_a_version),
        cmocka_unit_test(if_match_and_modes_are_held),
        cmocka_unit_test(a_key_gives_the_first_result_again),
        cmocka_unit_test(a_file_without_the_file_or_the_dataset_is_no_file),
        cmocka_unit_test(a_job_can_be_followed_to_its_end),
        cmocka_unit_test(a_job_that_fails_says_why),
        cmocka_unit_test(jobs_that_are_not_there_are_not_found),
    };
    return cmocka_run_group_tests(tests, make_house, remove_house);
}
