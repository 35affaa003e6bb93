/* Manifests whose own checksum is right but which are not the ones that the catalog wrote: what
 * opening and the offline verifier find by comparing files with each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "catalog/manifest.h"
#include "support/catalog_lake.h"

static int set_up(void **state)
{
    struct catalog_lake *lake = calloc(1, sizeof *lake);
    catalog_lake_make(lake);
    lake->options.checkpoint_every = 4;
    catalog_lake_open(lake);
    *state = lake;
    return 0;
}

static int tear_down(void **state)
{
    catalog_lake_remove(*state);
    free(*state);
    return 0;
}

static const char *file_of(struct catalog_lake *lake, struct lh_str id, int64_t version,
                           bool is_checkpoint)
{
    struct lh_str key = manifest_key(id, version, is_checkpoint, lake->arena);
    return temp_lake_file(&lake->folder, key.data);
}

static struct manifest read_manifest(struct catalog_lake *lake, struct lh_str id, int64_t version,
                                     bool is_checkpoint)
{
    struct manifest manifest;
    char *bytes = lh_arena_array(lake->arena, 1, 65536);
    FILE *file = fopen(file_of(lake, id, version, is_checkpoint), "rbe");
    assert_non_null(file);
    size_t size = fread(bytes, 1, 65536, file);
    fclose(file);
    struct lh_str text = {bytes, size};
    assert_int_equal(manifest_decode(text, lh_lit("it"), lake->arena, &manifest, NULL), LH_OK);
    return manifest;
}

static void put_bytes(struct catalog_lake *lake, struct lh_str id, int64_t version,
                      bool is_checkpoint, struct lh_str bytes)
{
    FILE *file = fopen(file_of(lake, id, version, is_checkpoint), "wbe");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.data, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
}

static void write_manifest(struct catalog_lake *lake, struct lh_str id, struct manifest *manifest)
{
    struct lh_buf buf;
    lh_buf_init(&buf, 1 << 20);
    assert_int_equal(manifest_encode(manifest, &buf, NULL), LH_OK);
    put_bytes(lake, id, manifest->version, manifest->is_checkpoint, lh_buf_str(&buf));
    lh_buf_release(&buf);
}

static size_t problem_count(struct catalog_lake *lake)
{
    struct catalog_problem *problems;
    size_t count = 0;
    catalog_problems(lake->catalog, lake->arena, &problems, &count);
    return count;
}

static void then_is_unavailable(struct catalog_lake *lake, const char *name)
{
    const struct catalog_dataset *dataset = NULL;
    catalog_lake_open(lake);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    assert_int_equal(catalog_find(snapshot, lh_str_of(name), &dataset, NULL), LH_DAMAGED);
    catalog_snapshot_unref(snapshot);
    assert_int_equal(problem_count(lake), 1);
}

static void a_version_that_was_exchanged_does_not_fit_the_one_made_from_it(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    catalog_lake_append(lake, id, 1);
    catalog_lake_append(lake, id, 1);
    catalog_lake_close(lake);
    struct manifest manifest = read_manifest(lake, id, 2, false);
    manifest.time_ms++; /* all else, counts included, stays right */
    struct manifest next = read_manifest(lake, id, 3, false);
    next.time_ms += 10;
    write_manifest(lake, id, &next);
    assert_int_equal(catalog_lake_verify(lake, NULL), 0); /* nothing refers to the newest yet */
    write_manifest(lake, id, &manifest);
    assert_int_equal(catalog_lake_verify(lake, NULL), 1);
    then_is_unavailable(lake, "t");
}

static void counts_that_do_not_add_up_are_damage(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    catalog_lake_append(lake, id, 1);
    catalog_lake_close(lake);
    struct manifest manifest = read_manifest(lake, id, 2, false);
    manifest.row_count++;
    write_manifest(lake, id, &manifest);
    assert_int_equal(catalog_lake_verify(lake, NULL), 1);
    then_is_unavailable(lake, "t");
}

static void a_checkpoint_that_was_exchanged_is_passed_over(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    for (int i = 0; i < 5; i++)
        catalog_lake_append(lake, id, 1);
    catalog_lake_close(lake);
    struct manifest manifest = read_manifest(lake, id, 4, true);
    manifest.set.description = lh_lit("forged");
    write_manifest(lake, id, &manifest);
    assert_true(catalog_lake_verify(lake, NULL) >= 2);
    catalog_lake_open(lake);
    assert_int_equal(problem_count(lake), 1);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    assert_int_equal(catalog_snapshot_item(snapshot, 0)->description.len, 0);
    assert_int_equal(catalog_snapshot_item(snapshot, 0)->row_count, 6);
    catalog_snapshot_unref(snapshot);
}

static void a_first_version_of_another_dataset_is_damage(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str a = catalog_lake_create(lake, "a", 1), b = catalog_lake_create(lake, "b", 1);
    catalog_lake_close(lake);
    char from[4096];
    snprintf(from, sizeof from, "%s", file_of(lake, a, 1, false));
    assert_int_equal(unlink(file_of(lake, b, 1, false)), 0);
    assert_int_equal(link(from, file_of(lake, b, 1, false)), 0);
    assert_true(catalog_lake_verify(lake, NULL) >= 1);
    catalog_lake_open(lake);
    assert_int_equal(catalog_lake_rows(lake, "a"), 1);
    assert_int_equal(catalog_lake_rows(lake, "b"), -1);
    struct catalog_problem *problems;
    size_t count = 0;
    catalog_problems(lake->catalog, lake->arena, &problems, &count);
    assert_int_equal(count, 1);
    assert_non_null(strstr(problems[0].what.data, "holds version 1 of dataset"));
}

static void of_two_datasets_with_one_name_the_later_is_unavailable(void **state)
{
    struct catalog_lake *lake = *state;
    catalog_lake_create(lake, "a", 1);
    struct lh_str b = catalog_lake_create(lake, "b", 2);
    catalog_lake_close(lake);
    struct manifest manifest = read_manifest(lake, b, 1, false);
    manifest.set.name = lh_lit("A");
    write_manifest(lake, b, &manifest);
    assert_int_equal(catalog_lake_verify(lake, NULL), 1);
    catalog_lake_open(lake);
    assert_int_equal(catalog_lake_rows(lake, "a"), 1);
    assert_int_equal(problem_count(lake), 1);
}

static void the_verifier_finds_sequences_epochs_and_commits_that_come_twice(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str a = catalog_lake_create(lake, "a", 1), b = catalog_lake_create(lake, "b", 2);
    catalog_lake_close(lake);
    struct manifest whole = read_manifest(lake, b, 1, false), forged = whole;
    struct manifest other = read_manifest(lake, a, 1, false);
    forged.sequence = other.sequence;
    write_manifest(lake, b, &forged);
    assert_true(catalog_lake_verify(lake, NULL) >= 1);
    forged = whole;
    forged.commits = other.commits;
    write_manifest(lake, b, &forged);
    assert_int_equal(catalog_lake_verify(lake, NULL), 1);
    forged = whole;
    forged.time_ms = other.time_ms - 1;
    write_manifest(lake, b, &forged);
    assert_int_equal(catalog_lake_verify(lake, NULL), 1);
    write_manifest(lake, b, &whole);
    assert_int_equal(catalog_lake_verify(lake, NULL), 0);
}

static void the_verifier_finds_sequences_and_epochs_that_go_down(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    catalog_lake_reopen(lake);
    catalog_lake_append(lake, id, 1);
    catalog_lake_close(lake);
    struct manifest manifest = read_manifest(lake, id, 1, false);
    manifest.epoch = 9;
    write_manifest(lake, id, &manifest);
    struct manifest next = read_manifest(lake, id, 2, false);
    memcpy(next.parent.sha256, manifest.sha256, sizeof manifest.sha256);
    write_manifest(lake, id, &next);
    assert_true(catalog_lake_verify(lake, NULL) >= 1);
}

static void a_planted_link_among_the_data_files_is_an_error(void **state)
{
    struct catalog_lake *lake = *state;
    char name[256];
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    snprintf(name, sizeof name, "datasets/%.*s/x.parquet", LH_ARG(id));
    assert_int_equal(symlink("/etc/passwd", temp_lake_file(&lake->folder, name)), 0);
    assert_int_equal(catalog_lake_verify(lake, NULL), 1);
}

static void a_folder_with_a_manifest_of_a_newer_release_is_not_opened(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_error err = LH_ERROR_NONE;
    const struct lh_str features[] = {LH_LIT("shards")};
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    catalog_lake_close(lake);
    struct manifest manifest = read_manifest(lake, id, 1, false);
    manifest.features = (struct lh_str_list){features, 1};
    write_manifest(lake, id, &manifest);
    assert_int_equal(catalog_lake_try_open(lake, &err), LH_FORMAT);
    assert_non_null(strstr(err.message, "shards"));
    assert_non_null(strstr(err.hint, "newer"));
    assert_false(temp_lake_has(&lake->folder, "_catalog/epochs/00000000000000000002.json"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_version_that_was_exchanged_does_not_fit_the_one_made_from_it),
        TEST(counts_that_do_not_add_up_are_damage),
        TEST(a_checkpoint_that_was_exchanged_is_passed_over),
        TEST(a_first_version_of_another_dataset_is_damage),
        TEST(of_two_datasets_with_one_name_the_later_is_unavailable),
        TEST(the_verifier_finds_sequences_epochs_and_commits_that_come_twice),
        TEST(the_verifier_finds_sequences_and_epochs_that_go_down),
        TEST(a_planted_link_among_the_data_files_is_an_error),
        TEST(a_folder_with_a_manifest_of_a_newer_release_is_not_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
