/* A bucket in a folder beside the lake, and what goes there while something is put: nothing is told
 * as put that is not where it will be looked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fault.h"
#include "storage/buckets.h"
#include "storage/held.h"
#include "storage/storage.h"
#include "support/temp_lake.h"

#ifdef LH_FAULTS

#define KEY "datasets/a/one.bin"

struct fixture {
    struct temp_lake lake, near;
    struct storage *storage;
    struct lh_arena *arena;
    enum lh_code code; /* of the publication */
    struct lh_error err;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    temp_lake_make(&fixture->lake);
    temp_lake_make(&fixture->near);
    fixture->arena = lh_arena_new(0);
    const struct storage_options options = {
        .path = temp_lake_path(&fixture->lake), .access = STORAGE_WRITE, .create = true};
    struct lh_str root = lh_arena_printf(fixture->arena, "%s/root", fixture->near.path);
    const struct storage_bucket_options near = {.name = lh_lit("near"), .root = root};
    if (storage_open(&options, &fixture->storage, &fixture->err) ||
        storage_bucket_add(fixture->storage, &near, &fixture->err))
        fail_msg("%s", fixture->err.message);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    lh_fault_plan(NULL);
    storage_close(fixture->storage);
    lh_arena_free(fixture->arena);
    temp_lake_remove(&fixture->near);
    temp_lake_remove(&fixture->lake);
    free(fixture);
    return 0;
}

static enum lh_code publish(struct fixture *fixture, const char *key)
{
    struct storage_staged *staged = NULL;
    struct storage_sum sum;
    enum lh_code code = storage_stage(fixture->storage, lh_lit(".bin"), &staged, &fixture->err);
    if (!code)
        code = storage_staged_write(staged, "rows", 4, &fixture->err);
    if (!code)
        code = storage_staged_seal(staged, &sum, &fixture->err);
    if (!code)
        code = storage_staged_publish(staged, lh_lit("near"), lh_str_of(key), &fixture->err);
    storage_staged_discard(staged);
    return code;
}

static void *publish_beside(void *context)
{
    struct fixture *fixture = context;
    fixture->code = publish(fixture, KEY);
    return NULL;
}

/* How many points a publication passes until the file has its name. */
static size_t points_until_named(struct fixture *fixture)
{
    static const char *trace[LH_FAULT_TRACE_MAX];
    assert_true(lh_fault_plan(""));
    assert_int_equal(publish(fixture, "datasets/a/other.bin"), LH_OK);
    size_t count = lh_fault_trace(trace, LH_FAULT_TRACE_MAX), at = 0;
    for (size_t i = 0; i < count; i++)
        if (strcmp(trace[i], "file.publish") == 0)
            at = i + 1;
    assert_true(at && at < count); /* what comes behind it are the looks */
    return at;
}

/* A publication stops where the plan says; then `change` happens, and it goes on. */
static void publish_while(struct fixture *fixture, const char *plan,
                          void (*change)(struct fixture *fixture))
{
    pthread_t thread;
    assert_true(lh_fault_plan(plan));
    assert_int_equal(pthread_create(&thread, NULL, publish_beside, fixture), 0);
    lh_fault_await();
    change(fixture);
    assert_true(lh_fault_plan(NULL));
    pthread_join(thread, NULL);
}

static void remove_object(struct fixture *fixture)
{
    assert_true(temp_lake_has(&fixture->near, "root/" KEY)); /* it has its name */
    assert_int_equal(unlink(temp_lake_file(&fixture->near, "root/" KEY)), 0);
}

static void move_folder(struct fixture *fixture)
{
    assert_int_equal(
        rename(temp_lake_file(&fixture->near, "root"), temp_lake_file(&fixture->near, "elsewhere")),
        0);
}

static void an_object_that_goes_before_it_was_looked_for_is_not_told_as_put(void **state)
{
    struct fixture *fixture = *state;
    char plan[64];
    assert_int_equal(publish(fixture, "datasets/a/first.bin"), LH_OK); /* the folders are there */
    snprintf(plan, sizeof plan, "*=%zu:wait", points_until_named(fixture) + 1);
    publish_while(fixture, plan, remove_object);
    assert_int_equal(fixture->code, LH_IO);
    assert_non_null(strstr(fixture->err.message, "'near'"));
    assert_int_equal(publish(fixture, "datasets/a/again.bin"), LH_OK);
}

static void a_folder_that_goes_before_the_object_has_its_name_is_told_by_its_bucket(void **state)
{
    struct fixture *fixture = *state;
    publish_while(fixture, "file.publish=1:wait", move_folder);
    assert_true(temp_lake_has(&fixture->near, "elsewhere/" KEY));
    assert_int_equal(fixture->code, LH_IO);
    assert_non_null(strstr(fixture->err.message, "The folder of the bucket 'near' is not there."));
    assert_int_equal(publish(fixture, "datasets/a/again.bin"), LH_IO);
    assert_int_equal(
        rename(temp_lake_file(&fixture->near, "elsewhere"), temp_lake_file(&fixture->near, "root")),
        0);
    assert_int_equal(publish(fixture, "datasets/a/back.bin"), LH_OK);
}

/* A copy of KEY that stands in for an object of primary, and the file that it is read from. */
static struct storage_pin *pin_copy(struct fixture *fixture, struct lh_str *ret_path)
{
    struct storage_pin *pin = NULL;
    struct storage_sum sum = {.bytes = 4};
    lh_sha256_of(lh_lit("rows"), sum.sha256);
    if (storage_pin_rescued(fixture->storage, STORAGE_PRIMARY, lh_lit(KEY), &sum, LH_NOT_FOUND,
                            NULL, fixture->arena, &pin, ret_path, &fixture->err))
        fail_msg("%s", fixture->err.message);
    assert_int_equal(access(ret_path->data, F_OK), 0);
    return pin;
}

/* What is erased must not stay in the cache because somebody read it just then. */
static void a_copy_that_is_read_while_it_is_removed_leaves_the_cache_with_its_reader(void **state)
{
    struct fixture *fixture = *state;
    const struct storage_held held = {.key = lh_lit(KEY)};
    struct lh_str path = {0};
    assert_int_equal(publish(fixture, KEY), LH_OK);
    assert_int_equal(storage_buckets_configure(fixture->storage, NULL, 0, lh_lit("near"), NULL),
                     LH_OK);
    struct storage_pin *pin = pin_copy(fixture, &path);
    storage_unpin(pin);
    assert_int_equal(access(path.data, F_OK), 0); /* it is kept for the next one */
    pin = pin_copy(fixture, &path);
    storage_cache_empty(fixture->storage);
    assert_int_equal(access(path.data, F_OK), 0);
    storage_unpin(pin);
    assert_int_not_equal(access(path.data, F_OK), 0);
    pin = pin_copy(fixture, &path);
    assert_int_equal(
        storage_held_remove(fixture->storage, lh_lit("near"), &held, NULL, &fixture->err), LH_OK);
    assert_int_equal(access(path.data, F_OK), 0);
    storage_unpin(pin);
    assert_int_not_equal(access(path.data, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_copy_that_is_read_while_it_is_removed_leaves_the_cache_with_its_reader, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            an_object_that_goes_before_it_was_looked_for_is_not_told_as_put, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_folder_that_goes_before_the_object_has_its_name_is_told_by_its_bucket, set_up,
            tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    printf("skipped: this build has no fault points\n");
    return 0;
}

#endif
