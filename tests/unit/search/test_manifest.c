#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "search/internal.h"

static struct index_manifest *given(void)
{
    static const struct lh_str columns[] = {LH_LIT("name"), LH_LIT("a \"b\"")};
    static const struct index_object model = {
        LH_LIT("indexes/x/m.model"), 12,
        LH_LIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")};
    struct index_manifest *manifest = index_manifest_new();
    manifest->id = lh_lit("01900000-0000-7000-8000-000000000001");
    manifest->dataset_id = lh_lit("01900000-0000-7000-8000-000000000002");
    manifest->name = lh_lit("packages_v1");
    manifest->id_column = lh_lit("name");
    manifest->id_type = lh_lit("VARCHAR");
    manifest->text_columns = (struct lh_str_list){columns, 2};
    manifest->model = lh_lit("built-in");
    manifest->language = lh_lit("english");
    manifest->model_file = &model;
    manifest->dimensions = 384;
    manifest->version = 17;
    manifest->format = SEARCH_FORMAT;
    manifest->state = SEARCH_READY;
    manifest->created_at.unix_ms = 1700000000123;
    for (int i = 0; i < 5; i++)
        index_manifest_add_part(
            manifest,
            &(struct index_part){100 + i, 10 + i, lh_lit("indexes/x/p.parquet"), model.sha256});
    return manifest;
}

static void encode(const struct index_manifest *manifest, struct lh_buf *buf)
{
    struct lh_error err = LH_ERROR_NONE;
    lh_buf_init(buf, SEARCH_MANIFEST_BYTES_MAX);
    assert_int_equal(index_manifest_encode(manifest, buf, &err), LH_OK);
}

static void what_is_written_is_read_back(void **state)
{
    struct index_manifest *manifest = given(), *again = NULL;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_buf first, second;
    (void)state;
    encode(manifest, &first);
    assert_int_equal(index_manifest_decode(lh_buf_str(&first), lh_lit("it"), &again, &err), LH_OK);
    assert_int_equal(again->version, 17);
    assert_int_equal(again->parts.count, 5);
    assert_int_equal(index_parts(again)[4].entries, 14);
    assert_true(lh_str_equal(again->text_columns.items[1], lh_lit("a \"b\"")));
    assert_true(lh_str_equal(again->model_file->key, manifest->model_file->key));
    assert_int_equal(again->created_at.unix_ms, 1700000000123);
    struct index_manifest *copy = index_manifest_copy(again);
    encode(copy, &second);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    index_manifest_unref(copy);
    index_manifest_unref(again);
    index_manifest_unref(manifest);
    lh_buf_release(&first);
    lh_buf_release(&second);
}

static void a_place_is_kept_and_without_one_nothing_is_said_of_it(void **state)
{
    struct index_manifest *manifest = given(), *again = NULL;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_buf buf;
    size_t at = 0;
    (void)state;
    assert_true(lh_str_equal(index_bucket(manifest), STORAGE_PRIMARY));
    encode(manifest, &buf);
    assert_false(lh_str_find(lh_buf_str(&buf), lh_lit("bucket"), &at));
    assert_false(lh_str_find(lh_buf_str(&buf), lh_lit("elsewhere"), &at));
    lh_buf_release(&buf);
    manifest->bucket = lh_lit("archive");
    manifest->elsewhere = lh_lit("primary");
    manifest->format = SEARCH_FORMAT_PLACED;
    encode(manifest, &buf);
    assert_int_equal(index_manifest_decode(lh_buf_str(&buf), lh_lit("it"), &again, &err), LH_OK);
    struct index_manifest *copy = index_manifest_copy(again);
    assert_true(lh_str_equal(index_bucket(copy), lh_lit("archive")));
    assert_true(lh_str_equal(copy->elsewhere, lh_lit("primary")));
    assert_true(index_manifest_serves_same(again, copy));
    copy->bucket = lh_lit("other"); /* its graph is to be opened there */
    assert_false(index_manifest_serves_same(again, copy));
    index_manifest_unref(copy);
    index_manifest_unref(again);
    index_manifest_unref(manifest);
    lh_buf_release(&buf);
}

static void every_changed_byte_and_every_cut_is_damage(void **state)
{
    struct index_manifest *manifest = given(), *again = NULL;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_buf buf;
    (void)state;
    encode(manifest, &buf);
    for (size_t i = 0; i < buf.len; i++) {
        buf.data[i] ^= 4;
        assert_int_equal(index_manifest_decode(lh_buf_str(&buf), lh_lit("it"), &again, &err),
                         LH_DAMAGED);
        buf.data[i] ^= 4;
        assert_int_equal(
            index_manifest_decode(lh_str_slice(lh_buf_str(&buf), 0, i), lh_lit("it"), &again, &err),
            LH_DAMAGED);
    }
    index_manifest_unref(manifest);
    lh_buf_release(&buf);
}

static void a_newer_format_says_so_and_a_wrong_index_is_damage(void **state)
{
    struct index_manifest *manifest = given(), *again = NULL;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_buf buf;
    (void)state;
    manifest->format = SEARCH_FORMAT_PLACED + 1;
    encode(manifest, &buf);
    assert_int_equal(index_manifest_decode(lh_buf_str(&buf), lh_lit("it"), &again, &err),
                     LH_FORMAT);
    lh_buf_release(&buf);
    manifest->format = SEARCH_FORMAT;
    manifest->dimensions = SEARCH_DIMENSIONS_MAX + 1;
    encode(manifest, &buf);
    assert_int_equal(index_manifest_decode(lh_buf_str(&buf), lh_lit("it"), &again, &err),
                     LH_DAMAGED);
    lh_buf_release(&buf);
    index_manifest_unref(manifest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(a_place_is_kept_and_without_one_nothing_is_said_of_it),
        cmocka_unit_test(every_changed_byte_and_every_cut_is_damage),
        cmocka_unit_test(a_newer_format_says_so_and_a_wrong_index_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
