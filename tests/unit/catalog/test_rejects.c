/* Files of rows that were not taken: known by the sum in their name, by the one in the file, or, of
 * earlier releases, by nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hash.h"
#include "catalog/rejects.h"
#include "support/temp_lake.h"

struct fixture {
    struct temp_lake lake;
    struct lh_arena *arena;
    struct storage *storage;
    struct lh_error err;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    temp_lake_make(&fixture->lake);
    fixture->arena = lh_arena_new(0);
    const struct storage_options options = {
        .path = temp_lake_path(&fixture->lake), .access = STORAGE_WRITE, .create = true};
    if (storage_open(&options, &fixture->storage, &fixture->err))
        fail_msg("%s", fixture->err.message);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    storage_close(fixture->storage);
    lh_arena_free(fixture->arena);
    temp_lake_remove(&fixture->lake);
    free(fixture);
    return 0;
}

/* A file as far as anybody looks here: marks, a body, a footer of six bytes and its length. */
#define WHOLE "PAR1the rows of itfooter\006\0\0\0PAR1"
#define WHOLE_BYTES (sizeof WHOLE - 1)

static enum lh_code check_as(struct fixture *fixture, struct lh_str key, struct lh_str bytes)
{
    if (storage_put_replacing(fixture->storage, STORAGE_PRIMARY, key, bytes, &fixture->err))
        fail_msg("%s", fixture->err.message);
    return catalog_rejects_check(fixture->storage, key, NULL, &fixture->err);
}

static struct lh_str stamped(struct fixture *fixture, struct lh_str whole)
{
    struct lh_buf buf;
    lh_buf_init(&buf, 1 << 20);
    lh_buf_append_str(&buf, whole);
    assert_int_equal(catalog_rejects_stamp(&buf, &fixture->err), LH_OK);
    struct lh_str text = lh_arena_str(fixture->arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

static void a_file_is_known_by_the_sum_in_its_name_or_by_its_own(void **state)
{
    struct fixture *fixture = *state;
    const struct lh_str whole = {WHOLE, WHOLE_BYTES};
    uint8_t sum[LH_SHA256_BYTES];
    lh_sha256_of(whole, sum);
    struct lh_str key = catalog_rejects_key(lh_lit("d"), lh_lit("one"), sum, fixture->arena);
    assert_int_equal(check_as(fixture, key, whole), LH_OK);
    struct lh_str anew = stamped(fixture, (struct lh_str){"PAR1erasedfooter\006\0\0\0PAR1", 24});
    assert_int_equal(check_as(fixture, key, anew), LH_OK);
    /* What was there before the footer is there yet, and the footer is at its end. */
    assert_memory_equal(anew.data, "PAR1erased", 10);
    assert_memory_equal(anew.data + anew.len - 14, "footer\006\0\0\0PAR1", 14);
    for (size_t at = 0; at < anew.len * 8; at++) {
        char *bytes = lh_arena_alloc(fixture->arena, anew.len);
        memcpy(bytes, anew.data, anew.len);
        bytes[at / 8] = (char)(bytes[at / 8] ^ (1 << at % 8));
        assert_int_equal(check_as(fixture, key, (struct lh_str){bytes, anew.len}), LH_DAMAGED);
    }
    assert_int_equal(check_as(fixture, key, lh_lit("")), LH_DAMAGED);
    assert_int_equal(check_as(fixture, key, lh_str_head(whole, whole.len - 1)), LH_DAMAGED);
}

static void a_file_of_an_earlier_release_is_taken_as_it_is_until_it_is_written_anew(void **state)
{
    struct fixture *fixture = *state;
    const struct lh_str key = lh_lit("datasets/d/rejects/one.parquet");
    assert_int_equal(check_as(fixture, key, (struct lh_str){WHOLE, WHOLE_BYTES}), LH_OK);
    struct lh_str anew = stamped(fixture, (struct lh_str){WHOLE, WHOLE_BYTES});
    assert_int_equal(check_as(fixture, key, anew), LH_OK);
    char *bytes = lh_arena_alloc(fixture->arena, anew.len);
    memcpy(bytes, anew.data, anew.len);
    bytes[7] ^= 1;
    assert_int_equal(check_as(fixture, key, (struct lh_str){bytes, anew.len}), LH_DAMAGED);
    struct lh_buf buf;
    lh_buf_init(&buf, 1 << 20);
    lh_buf_append_str(&buf, lh_lit("no such file at all"));
    assert_int_equal(catalog_rejects_stamp(&buf, &fixture->err), LH_INTERNAL);
    lh_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_known_by_the_sum_in_its_name_or_by_its_own,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_file_of_an_earlier_release_is_taken_as_it_is_until_it_is_written_anew, set_up,
            tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
