/* Tombstone objects as bytes: what was written reads back, and nothing else is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "catalog/tombstone_internal.h"

static const uint64_t rows[] = {0, 1, 5, 4095, 4096, 99999999};
static const struct tombstone_key keys[] = {{TOMBSTONE_VALUE, LH_LIT("CAND-1")},
                                            {TOMBSTONE_VALUE, LH_LIT("")},
                                            {TOMBSTONE_HASHED, LH_LIT("abc")}};
static const struct tombstone_file files[] = {{LH_LIT("datasets/x/a.parquet"), rows, 6},
                                              {LH_LIT("datasets/x/b.parquet"), rows, 0}};
static const struct tombstone_record records[] = {
    {.kind = TOMBSTONE_KEYS,
     .base = 7,
     .column = LH_LIT("id"),
     .type = LH_LIT("VARCHAR"),
     .time_ms = INT64_C(1790000000000),
     .actor = LH_LIT("ann"),
     .reason = LH_LIT("asked"),
     .keys = keys,
     .key_count = 3,
     .files = files,
     .file_count = 2},
    {.kind = TOMBSTONE_REPLACED, .base = INT64_MAX, .version = 9},
};

static void encode(struct lh_buf *buf)
{
    lh_buf_init(buf, (size_t)1 << 20);
    tombstone_encode(records, 2, buf);
}

static void what_is_written_reads_back(void **state)
{
    struct lh_buf buf;
    struct tombstone_content *content = NULL;
    struct lh_error err = LH_ERROR_NONE;
    (void)state;
    encode(&buf);
    assert_int_equal(tombstone_decode(lh_buf_str(&buf), lh_lit("it"), &content, &err), LH_OK);
    assert_int_equal(content->record_count, 2);
    const struct tombstone_record *record = &content->records[0];
    assert_int_equal(record->base, 7);
    assert_int_equal(record->key_count, 3);
    assert_true(lh_str_equal(record->keys[0].text, keys[0].text));
    assert_int_equal(record->keys[2].form, TOMBSTONE_HASHED);
    assert_int_equal(record->file_count, 2);
    assert_memory_equal(record->files[0].rows, rows, sizeof rows);
    assert_true(lh_str_equal(record->actor, lh_lit("ann")));
    assert_int_equal(content->records[1].base, INT64_MAX);
    assert_int_equal(content->records[1].version, 9);
    tombstone_content_free(content);
    lh_buf_release(&buf);
}

/* A cut may end between two records: then it says less, which the manifest's checksum finds. */
static void bytes_that_were_cut_or_changed_never_crash(void **state)
{
    struct lh_buf buf;
    unsigned refused = 0;
    (void)state;
    encode(&buf);
    char *copy = malloc(buf.len);
    for (size_t len = 0; len < buf.len; len++) {
        struct tombstone_content *content = NULL;
        memcpy(copy, buf.data, buf.len);
        refused += tombstone_decode((struct lh_str){copy, len}, lh_lit("it"), &content, NULL) != 0;
        tombstone_content_free(content);
    }
    assert_true(refused >= buf.len - 2);
    srand(7);
    for (unsigned i = 0; i < 20000; i++) {
        struct tombstone_content *content = NULL;
        memcpy(copy, buf.data, buf.len);
        for (int k = 0; k < 1 + rand() % 4; k++)
            copy[rand() % (int)buf.len] ^= (char)(1 << rand() % 8);
        (void)!tombstone_decode((struct lh_str){copy, buf.len}, lh_lit("it"), &content, NULL);
        tombstone_content_free(content);
    }
    free(copy);
    lh_buf_release(&buf);
}

static void a_record_of_a_newer_release_is_told_as_such(void **state)
{
    struct lh_buf buf;
    struct tombstone_content *content = NULL;
    struct tombstone_record record = records[0];
    (void)state;
    lh_buf_init(&buf, 4096);
    record.kind = (enum tombstone_kind)5;
    tombstone_encode(&record, 1, &buf);
    assert_int_equal(tombstone_decode(lh_buf_str(&buf), lh_lit("it"), &content, NULL), LH_FORMAT);
    lh_buf_release(&buf);
}

static void a_set_of_rows_counts_what_is_in_it(void **state)
{
    struct row_set *set = row_set_new(10000);
    (void)state;
    assert_true(row_set_put(set, 0, true));
    assert_true(row_set_put(set, 0, true));
    assert_true(row_set_put(set, 9999, true));
    assert_true(row_set_put(set, 64, true));
    assert_true(row_set_put(set, 64, false));
    assert_true(row_set_put(set, 5000, false));
    assert_false(row_set_put(set, 12288, true));
    assert_int_equal(set->view.count, 2);
    assert_true(catalog_rows_has(&set->view, 0));
    assert_true(catalog_rows_has(&set->view, 9999));
    assert_false(catalog_rows_has(&set->view, 64));
    assert_false(catalog_rows_has(&set->view, 1000000));
    uint64_t list[2];
    assert_int_equal(row_set_list(set, list), 2);
    assert_int_equal(list[0], 0);
    assert_int_equal(list[1], 9999);
    /* Equal pages are one, others stay each its own. */
    struct row_set *later = row_set_new(10000);
    row_set_put(later, 0, true);
    row_set_put(later, 9998, true);
    row_set_share(later, set);
    assert_ptr_equal(later->pages[0], set->pages[0]);
    assert_ptr_not_equal(later->pages[2], set->pages[2]);
    row_set_free(set);
    assert_true(catalog_rows_has(&later->view, 0));
    assert_true(catalog_rows_has(&later->view, 9998));
    assert_false(catalog_rows_has(&later->view, 9999));
    row_set_free(later);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(bytes_that_were_cut_or_changed_never_crash),
        cmocka_unit_test(a_record_of_a_newer_release_is_told_as_such),
        cmocka_unit_test(a_set_of_rows_counts_what_is_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
