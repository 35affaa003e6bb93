/* Datasets as their users see them: made, changed, read at any time, and found again. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "support/catalog_lake.h"

static int set_up(void **state)
{
    struct catalog_lake *lake = calloc(1, sizeof *lake);
    catalog_lake_make(lake);
    catalog_lake_open(lake);
    *state = lake;
    return 0;
}

static int tear_down(void **state)
{
    lh_clock_clear_fake();
    catalog_lake_remove(*state);
    free(*state);
    return 0;
}

static enum lh_code change_only(struct catalog_lake *lake, struct catalog_change change,
                                struct lh_error *err)
{
    return catalog_lake_commit(lake, &change, NULL, err);
}

static int64_t rows_at(struct catalog_lake *lake, const char *name, enum catalog_when when,
                       int64_t value)
{
    const struct catalog_dataset *dataset = NULL;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    struct catalog_as_of as_of = {when, value};
    int64_t rows = -1;
    if (!catalog_find_at(lake->catalog, snapshot, lh_str_of(name), as_of, &dataset, NULL)) {
        rows = dataset->row_count;
        catalog_dataset_unref(dataset);
    }
    catalog_snapshot_unref(snapshot);
    return rows;
}

static void a_new_dataset_is_found_by_any_case_of_its_name_also_after_reopening(void **state)
{
    struct catalog_lake *lake = *state;
    catalog_lake_create(lake, "Packages", 7);
    assert_int_equal(catalog_lake_rows(lake, "pACKAGES"), 7);
    catalog_lake_reopen(lake);
    assert_int_equal(catalog_lake_rows(lake, "packages"), 7);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    assert_int_equal(catalog_snapshot_count(snapshot), 1);
    const struct catalog_dataset *dataset = catalog_snapshot_item(snapshot, 0);
    assert_true(lh_str_equal(dataset->name, lh_lit("Packages")));
    assert_int_equal(dataset->column_count, 2);
    assert_true(dataset->columns[1].is_pii);
    assert_true(lh_str_equal(dataset->columns[1].pii_kind, lh_lit("email")));
    assert_int_equal(dataset->sensitivity, CATALOG_INTERNAL);
    assert_true(lh_str_equal(dataset->objects[0]->schema, dataset->schema));
    catalog_snapshot_unref(snapshot);
    catalog_lake_is_clean(lake);
}

static void a_snapshot_does_not_see_what_is_committed_after_it(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    const struct catalog_dataset *dataset = NULL;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    uint64_t sequence = catalog_snapshot_sequence(snapshot);
    catalog_lake_append(lake, id, 10);
    assert_int_equal(catalog_find(snapshot, lh_lit("t"), &dataset, NULL), LH_OK);
    assert_int_equal(dataset->row_count, 1);
    assert_int_equal(catalog_snapshot_sequence(snapshot), sequence);
    catalog_snapshot_unref(snapshot);
    assert_int_equal(catalog_lake_rows(lake, "t"), 11);
}

static void every_version_can_be_read_across_checkpoints_and_reopening(void **state)
{
    struct catalog_lake *lake = *state;
    struct catalog_report report;
    lake->options.checkpoint_every = 4;
    catalog_lake_reopen(lake);
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    for (int64_t i = 2; i <= 21; i++)
        assert_int_equal(catalog_lake_append(lake, id, i), i);
    catalog_lake_reopen(lake);
    assert_int_equal(catalog_lake_version(lake, "t"), 21);
    for (int64_t i = 1; i <= 21; i++)
        assert_int_equal(rows_at(lake, "t", CATALOG_AT_VERSION, i), i * (i + 1) / 2);
    assert_int_equal(rows_at(lake, "t", CATALOG_AT_VERSION, 22), -1);
    assert_int_equal(rows_at(lake, "t", CATALOG_AT_VERSION, 0), -1);
    assert_int_equal(catalog_lake_verify(lake, &report), 0);
    assert_int_equal(report.versions, 21);
    assert_true(report.checkpoints >= 4);
    assert_int_equal(report.objects, 21);
}

static void a_damaged_checkpoint_costs_time_but_no_row(void **state)
{
    struct catalog_lake *lake = *state;
    struct catalog_problem *problems;
    size_t count = 0;
    char name[256];
    lake->options.checkpoint_every = 4;
    catalog_lake_reopen(lake);
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    for (int64_t i = 2; i <= 7; i++)
        catalog_lake_append(lake, id, 1);
    catalog_lake_close(lake);
    snprintf(name, sizeof name, "_catalog/datasets/%.*s/%020d.checkpoint.json", LH_ARG(id), 4);
    assert_int_equal(truncate(temp_lake_file(&lake->folder, name), 100), 0);
    catalog_lake_open(lake);
    assert_int_equal(catalog_lake_rows(lake, "t"), 7);
    catalog_problems(lake->catalog, lake->arena, &problems, &count);
    assert_int_equal(count, 1);
    assert_true(catalog_lake_verify(lake, NULL) > 0);
}

static void time_travel_finds_the_name_that_a_dataset_had_then(void **state)
{
    struct catalog_lake *lake = *state;
    lh_clock_set_fake(1000000);
    struct lh_str id = catalog_lake_create(lake, "old", 1);
    lh_clock_set_fake(2000000);
    catalog_lake_append(lake, id, 1);
    lh_clock_set_fake(3000000);
    struct catalog_change rename = {
        .action = CATALOG_RENAME, .dataset_id = id, .name = lh_lit("new")};
    assert_int_equal(change_only(lake, rename, NULL), LH_OK);
    lh_clock_set_fake(4000000);
    catalog_lake_create(lake, "old", 50);

    assert_int_equal(rows_at(lake, "old", CATALOG_AT_TIME, 999999), -1);
    assert_int_equal(rows_at(lake, "old", CATALOG_AT_TIME, 1000000), 1);
    assert_int_equal(rows_at(lake, "old", CATALOG_AT_TIME, 2999999), 2);
    assert_int_equal(rows_at(lake, "new", CATALOG_AT_TIME, 2999999), -1);
    assert_int_equal(rows_at(lake, "new", CATALOG_AT_TIME, 3000000), 2);
    assert_int_equal(rows_at(lake, "old", CATALOG_AT_TIME, 3500000), -1);
    assert_int_equal(rows_at(lake, "old", CATALOG_AT_TIME, 4000000), 50);
    assert_int_equal(rows_at(lake, "new", CATALOG_AT_SEQUENCE, 3), 2);
    assert_int_equal(rows_at(lake, "old", CATALOG_AT_SEQUENCE, 1), 1);
    assert_int_equal(rows_at(lake, "old", CATALOG_AT_SEQUENCE, -5), -1);
}

static void commit_times_never_go_back_though_the_clock_does(void **state)
{
    struct catalog_lake *lake = *state;
    lh_clock_set_fake(5000000);
    struct lh_str id = catalog_lake_create(lake, "t", 1);
    lh_clock_set_fake(1000000);
    catalog_lake_append(lake, id, 1);
    assert_int_equal(rows_at(lake, "t", CATALOG_AT_TIME, 4999999), -1);
    assert_int_equal(rows_at(lake, "t", CATALOG_AT_TIME, 5000000), 2);
    catalog_lake_is_clean(lake);
}

static void a_renamed_dataset_keeps_its_files_and_a_taken_name_is_refused(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str id = catalog_lake_create(lake, "a", 3);
    catalog_lake_create(lake, "b", 4);
    struct catalog_change rename = {.action = CATALOG_RENAME, .dataset_id = id};
    rename.name = lh_lit("B");
    assert_int_equal(change_only(lake, rename, &err), LH_EXISTS);
    rename.name = lh_lit("__raw");
    assert_int_equal(change_only(lake, rename, &err), LH_INVALID);
    rename.name = lh_lit("A"); /* another case of its own name */
    assert_int_equal(change_only(lake, rename, &err), LH_OK);
    rename.name = lh_lit("c");
    assert_int_equal(change_only(lake, rename, &err), LH_OK);
    assert_int_equal(catalog_lake_rows(lake, "a"), -1);
    assert_int_equal(catalog_lake_rows(lake, "c"), 3);
    assert_int_equal(catalog_lake_try_create(lake, "B", 1, NULL, &err), LH_EXISTS);
    catalog_lake_create(lake, "a", 9);
    catalog_lake_reopen(lake);
    assert_int_equal(catalog_lake_rows(lake, "a"), 9);
    assert_int_equal(catalog_lake_rows(lake, "c"), 3);
    catalog_lake_is_clean(lake);
}

static void a_dropped_dataset_is_gone_but_for_time_travel(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    struct catalog_change drop = {.action = CATALOG_DROP, .dataset_id = id};
    assert_int_equal(change_only(lake, drop, &err), LH_OK);
    assert_int_equal(catalog_lake_rows(lake, "t"), -1);
    assert_int_equal(rows_at(lake, "t", CATALOG_AT_SEQUENCE, 1), 3);
    assert_int_equal(catalog_lake_try_append(lake, id, 1, NULL, &err), LH_NOT_FOUND);
    assert_int_equal(change_only(lake, drop, &err), LH_NOT_FOUND);
    catalog_lake_create(lake, "t", 8);
    catalog_lake_reopen(lake);
    assert_int_equal(catalog_lake_rows(lake, "t"), 8);
    catalog_lake_is_clean(lake);
}

static void replacing_keeps_the_old_rows_for_the_old_version(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    struct catalog_object object;
    assert_int_equal(catalog_lake_file(lake, id, 40, lake->arena, &object, NULL), LH_OK);
    struct catalog_change replace = {
        .action = CATALOG_REPLACE, .dataset_id = id, .objects = &object, .object_count = 1};
    assert_int_equal(change_only(lake, replace, NULL), LH_OK);
    assert_int_equal(catalog_lake_rows(lake, "t"), 40);
    assert_int_equal(rows_at(lake, "t", CATALOG_AT_VERSION, 1), 3);
    catalog_lake_reopen(lake);
    assert_int_equal(catalog_lake_rows(lake, "t"), 40);
}

/* The only file of the only dataset becomes another one of so many rows. */
static struct catalog_change rewrite_of(struct catalog_lake *lake, struct lh_str id,
                                        const struct catalog_snapshot *snapshot, int rows,
                                        struct lh_str *key, struct catalog_object *object)
{
    *key = catalog_snapshot_item(snapshot, 0)->objects[0]->key;
    assert_int_equal(catalog_lake_file(lake, id, rows, lake->arena, object, NULL), LH_OK);
    return (struct catalog_change){.action = CATALOG_REWRITE,
                                   .dataset_id = id,
                                   .objects = object,
                                   .object_count = 1,
                                   .removed = key,
                                   .removed_count = 1};
}

static void a_rewrite_of_files_that_are_gone_loses_the_race(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    struct lh_str key;
    struct catalog_object object;
    struct catalog_change rewrite = rewrite_of(lake, id, snapshot, 3, &key, &object);
    assert_int_equal(change_only(lake, rewrite, &err), LH_OK);
    assert_int_equal(catalog_lake_rows(lake, "t"), 3);
    assert_int_equal(catalog_lake_file(lake, id, 3, lake->arena, &object, NULL), LH_OK);
    assert_int_equal(change_only(lake, rewrite, &err), LH_RACE);
    catalog_snapshot_unref(snapshot);
}

/* Compaction asks for this when it has looked at everything itself: the commit looks again. */
static void a_rewrite_that_loses_rows_or_knows_other_tombstones_is_refused(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    struct lh_str key;
    struct catalog_object object;
    struct catalog_change rewrite = rewrite_of(lake, id, snapshot, 2, &key, &object);
    assert_int_equal(change_only(lake, rewrite, &err), LH_INVALID);
    rewrite.rows_dropped = 1;
    rewrite.tombstone_stamp = 7; /* there are none */
    assert_int_equal(change_only(lake, rewrite, &err), LH_RACE);
    assert_int_equal(catalog_lake_rows(lake, "t"), 3);
    rewrite.tombstone_stamp = 0;
    assert_int_equal(change_only(lake, rewrite, &err), LH_OK);
    assert_int_equal(catalog_lake_rows(lake, "t"), 2);
    catalog_snapshot_unref(snapshot);
}

static void a_change_of_another_version_or_other_columns_is_refused(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    struct catalog_object object;
    assert_int_equal(catalog_lake_file(lake, id, 3, lake->arena, &object, NULL), LH_OK);
    struct catalog_change update = {.action = CATALOG_UPDATE,
                                    .dataset_id = id,
                                    .expected_version = 2,
                                    .set_bits = CATALOG_SET_DESCRIPTION,
                                    .set = {.description = lh_lit("x")}};
    assert_int_equal(change_only(lake, update, &err), LH_PRECONDITION);
    update.expected_version = 1;
    assert_int_equal(change_only(lake, update, &err), LH_OK);
    assert_int_equal(change_only(lake, update, &err), LH_PRECONDITION);
    struct catalog_change append = {.action = CATALOG_APPEND,
                                    .dataset_id = id,
                                    .objects = &object,
                                    .object_count = 1,
                                    .base_schema = lh_lit("0000")};
    assert_int_equal(change_only(lake, append, &err), LH_RACE);
    append.base_schema = (struct lh_str){0};
    assert_int_equal(change_only(lake, append, &err), LH_OK);
    assert_int_equal(change_only(lake, append, &err), LH_EXISTS); /* the same file again */
}

static void a_commit_of_a_file_that_is_missing_or_of_another_size_is_refused(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    struct catalog_object object;
    assert_int_equal(catalog_lake_file(lake, id, 3, lake->arena, &object, NULL), LH_OK);
    struct catalog_change append = {
        .action = CATALOG_APPEND, .dataset_id = id, .objects = &object, .object_count = 1};
    object.bytes++;
    assert_int_equal(change_only(lake, append, &err), LH_DAMAGED);
    object.bytes--;
    assert_int_equal(unlink(temp_lake_file(&lake->folder, object.key.data)), 0);
    assert_int_equal(change_only(lake, append, &err), LH_DAMAGED);
    assert_int_equal(catalog_lake_version(lake, "t"), 1);
}

static void metadata_survives_reopening_and_leaves_the_rest_alone(void **state)
{
    struct catalog_lake *lake = *state;
    const struct lh_str tags[] = {LH_LIT("red"), LH_LIT("blüe")};
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    struct catalog_change update = {
        .action = CATALOG_UPDATE,
        .dataset_id = id,
        .set_bits = CATALOG_SET_TAGS | CATALOG_SET_OWNER | CATALOG_SET_SENSITIVITY |
                    CATALOG_SET_FRESHNESS | CATALOG_SET_REFRESH | CATALOG_SET_LINEAGE |
                    CATALOG_SET_STALE_SINCE | CATALOG_SET_EMBEDDED_AT,
        .set = {.tags = {tags, 2},
                .owner = lh_lit("data team"),
                .sensitivity = CATALOG_PHI,
                .freshness_max_age_s = 60,
                .last_embedded_at_ms = 5,
                .embedding_stale_since_ms = 6,
                .refresh = {CATALOG_REFRESH_SCHEDULED, lh_lit("nightly")},
                .lineage = {lh_lit("file"), lh_lit("a.csv"), lh_lit("job-1"), 7}},
    };
    assert_int_equal(change_only(lake, update, NULL), LH_OK);
    update.set_bits = CATALOG_SET_DESCRIPTION;
    update.set.description = lh_lit("\"quoted\" \\ and\nlines");
    assert_int_equal(change_only(lake, update, NULL), LH_OK);
    catalog_lake_reopen(lake);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    const struct catalog_dataset *t = catalog_snapshot_item(snapshot, 0);
    assert_int_equal(t->version, 3);
    assert_int_equal(t->tags.count, 2);
    assert_true(lh_str_equal(t->tags.items[1], tags[1]));
    assert_true(lh_str_equal(t->owner, lh_lit("data team")));
    assert_true(lh_str_equal(t->description, update.set.description));
    assert_int_equal(t->sensitivity, CATALOG_PHI);
    assert_int_equal(t->freshness_max_age_s, 60);
    assert_int_equal(t->last_embedded_at_ms, 5);
    assert_int_equal(t->embedding_stale_since_ms, 6);
    assert_int_equal(t->refresh.kind, CATALOG_REFRESH_SCHEDULED);
    assert_true(lh_str_equal(t->refresh.schedule, lh_lit("nightly")));
    assert_true(lh_str_equal(t->lineage.source_file, lh_lit("a.csv")));
    assert_int_equal(t->lineage.timestamp_ms, 7);
    assert_int_equal(t->column_count, 2);
    assert_int_equal(t->row_count, 3);
    catalog_snapshot_unref(snapshot);
}

static void text_that_is_not_utf8_is_refused_before_anything_is_written(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    struct catalog_change update = {.action = CATALOG_UPDATE,
                                    .dataset_id = id,
                                    .set_bits = CATALOG_SET_OWNER,
                                    .set = {.owner = lh_lit("a\0b")}};
    assert_int_equal(change_only(lake, update, &err), LH_INVALID);
    update.set.owner = lh_lit("\xff\xfe");
    assert_int_equal(change_only(lake, update, &err), LH_INVALID);
    assert_int_equal(catalog_lake_version(lake, "t"), 1);
}

static void a_repeated_job_or_key_gets_the_first_result_also_after_reopening(void **state)
{
    struct catalog_lake *lake = *state;
    struct catalog_commit_result first, again;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    struct catalog_object object;
    assert_int_equal(catalog_lake_file(lake, id, 5, lake->arena, &object, NULL), LH_OK);
    struct catalog_change append = {.action = CATALOG_APPEND,
                                    .dataset_id = id,
                                    .objects = &object,
                                    .object_count = 1,
                                    .job_id = lh_lit("job-7"),
                                    .idempotency_key = lh_lit("me/key-1"),
                                    .result = lh_lit("{\"rows\":5}")};
    assert_int_equal(catalog_lake_commit(lake, &append, &first, NULL), LH_OK);
    assert_false(first.is_repeat);
    for (int i = 0; i < 2; i++) {
        append.job_id = i ? lh_lit("job-7") : lh_lit("job-8");
        append.idempotency_key = i ? (struct lh_str){0} : lh_lit("me/key-1");
        append.result = lh_lit("{}");
        assert_int_equal(catalog_lake_commit(lake, &append, &again, NULL), LH_OK);
        assert_true(again.is_repeat);
        assert_int_equal(again.version, first.version);
        assert_string_equal(again.uuid.text, first.uuid.text);
        assert_true(lh_str_equal(again.result, lh_lit("{\"rows\":5}")));
        catalog_lake_reopen(lake);
    }
    assert_int_equal(catalog_lake_rows(lake, "t"), 8);
    bool is_found = true;
    assert_int_equal(catalog_fulfilled(lake->catalog, lh_lit("job-8"), lh_lit("other"),
                                       (struct lh_str){0}, lake->arena, &is_found, &again, NULL),
                     LH_OK);
    assert_false(is_found);
}

static void a_key_is_forgotten_after_its_time(void **state)
{
    struct catalog_lake *lake = *state;
    bool is_found = true;
    struct catalog_commit_result result;
    lh_clock_set_fake(1000000000);
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    struct catalog_change update = {.action = CATALOG_UPDATE,
                                    .dataset_id = id,
                                    .set_bits = CATALOG_SET_OWNER,
                                    .idempotency_key = lh_lit("k")};
    assert_int_equal(change_only(lake, update, NULL), LH_OK);
    lh_clock_advance_fake(25 * 3600 * 1000);
    catalog_lake_append(lake, id, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(catalog_fulfilled(lake->catalog, (struct lh_str){0}, lh_lit("k"),
                                           (struct lh_str){0}, lake->arena, &is_found, &result,
                                           NULL),
                         LH_OK);
        assert_false(is_found);
        catalog_lake_reopen(lake);
    }
}

static void a_source_is_known_while_its_rows_are_there(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    struct catalog_object object;
    assert_int_equal(catalog_lake_file(lake, id, 5, lake->arena, &object, NULL), LH_OK);
    object.source_sha256 = lh_lit("abc");
    object.source_options = lh_lit("append,header");
    struct catalog_change append = {
        .action = CATALOG_APPEND, .dataset_id = id, .objects = &object, .object_count = 1};
    assert_int_equal(change_only(lake, append, NULL), LH_OK);
    catalog_lake_reopen(lake);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    const struct catalog_dataset *t = catalog_snapshot_item(snapshot, 0);
    assert_true(catalog_dataset_source(t, lh_lit("abc"), lh_lit("append,header"), NULL));
    assert_false(catalog_dataset_source(t, lh_lit("abc"), lh_lit("append"), NULL));
    assert_false(catalog_dataset_source(t, (struct lh_str){0}, (struct lh_str){0}, NULL));
    catalog_snapshot_unref(snapshot);
}

static void versions_and_changes_tell_who_did_what_and_why(void **state)
{
    struct catalog_lake *lake = *state;
    struct catalog_version *list = NULL;
    size_t count = 0;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    const struct catalog_event event = {lh_lit("t"), lh_lit("owner_changed"), lh_lit("{\"a\":1}")};
    struct catalog_change update = {.action = CATALOG_UPDATE,
                                    .dataset_id = id,
                                    .set_bits = CATALOG_SET_OWNER,
                                    .set = {.owner = lh_lit("x")},
                                    .actor = lh_lit("admin"),
                                    .reason = lh_lit("asked to"),
                                    .events = &event,
                                    .event_count = 1};
    assert_int_equal(change_only(lake, update, NULL), LH_OK);
    catalog_lake_create(lake, "other", 1);
    catalog_lake_append(lake, id, 2);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    const struct catalog_dataset *t = NULL;
    assert_int_equal(catalog_find(snapshot, lh_lit("t"), &t, NULL), LH_OK);
    assert_int_equal(catalog_versions(lake->catalog, t, 0, 100, lake->arena, &list, &count, NULL),
                     LH_OK);
    assert_int_equal(count, 3);
    assert_int_equal(list[0].version, 3);
    assert_int_equal(list[0].row_count, 5);
    assert_true(lh_str_equal(list[1].commits[0].actor, lh_lit("admin")));
    assert_true(lh_str_equal(list[1].commits[0].reason, lh_lit("asked to")));
    assert_true(lh_str_equal(list[2].commits[0].action, lh_lit("create")));
    assert_int_equal(catalog_versions(lake->catalog, t, 3, 1, lake->arena, &list, &count, NULL),
                     LH_OK);
    assert_int_equal(count, 1);
    assert_int_equal(list[0].version, 2);
    catalog_snapshot_unref(snapshot);

    assert_int_equal(catalog_changes(lake->catalog, 0, 100, lake->arena, &list, &count, NULL),
                     LH_OK);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(list[i].sequence, i + 1);
    assert_true(lh_str_equal(list[1].commits[0].events[0].action, lh_lit("owner_changed")));
    assert_int_equal(catalog_changes(lake->catalog, 2, 1, lake->arena, &list, &count, NULL), LH_OK);
    assert_int_equal(count, 1);
    assert_true(lh_str_equal(list[0].name, lh_lit("other")));
}

static void an_unknown_name_is_answered_with_the_nearest(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_error err = LH_ERROR_NONE;
    const struct catalog_dataset *dataset = NULL;
    catalog_lake_create(lake, "packages", 3);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    assert_int_equal(catalog_find(snapshot, lh_lit("pakages"), &dataset, &err), LH_NOT_FOUND);
    assert_non_null(strstr(err.hint, "packages"));
    catalog_snapshot_unref(snapshot);
}

static enum lh_code refuse(void *context, const struct catalog_dataset *dataset,
                           struct lh_arena *arena, struct lh_str_list *ret, struct lh_error *err)
{
    (void)context, (void)err;
    struct lh_str *names = lh_arena_array(arena, 1, sizeof *names);
    names[0] = lh_arena_printf(arena, "view_of_%.*s", LH_ARG(dataset->name));
    *ret = (struct lh_str_list){names, 1};
    return LH_OK;
}

static void what_others_depend_on_is_dropped_only_with_cascade(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_error err = LH_ERROR_NONE;
    lake->options.dependents = refuse;
    catalog_lake_reopen(lake);
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    struct catalog_change drop = {.action = CATALOG_DROP, .dataset_id = id};
    assert_int_equal(change_only(lake, drop, &err), LH_CONFLICT);
    assert_non_null(strstr(err.message, "view_of_t"));
    drop.cascade = true;
    assert_int_equal(change_only(lake, drop, &err), LH_OK);
}

static void an_added_column_leaves_older_files_with_their_own_schema(void **state)
{
    struct catalog_lake *lake = *state;
    struct lh_str id = catalog_lake_create(lake, "t", 3);
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    const struct catalog_dataset *before = catalog_snapshot_item(snapshot, 0);
    struct catalog_column columns[3] = {before->columns[0], before->columns[1]};
    columns[2] =
        (struct catalog_column){.name = lh_lit("filename"),
                                .stored_name = catalog_stored_name(lh_lit("filename"), lake->arena),
                                .type = lh_lit("VARCHAR"),
                                .sensitivity = CATALOG_INTERNAL};
    struct catalog_object object;
    assert_int_equal(catalog_lake_file(lake, id, 5, lake->arena, &object, NULL), LH_OK);
    struct catalog_change append = {.action = CATALOG_APPEND,
                                    .dataset_id = id,
                                    .base_schema = before->schema,
                                    .objects = &object,
                                    .object_count = 1,
                                    .set_bits = CATALOG_SET_COLUMNS,
                                    .set = {.columns = columns, .column_count = 3}};
    assert_int_equal(change_only(lake, append, NULL), LH_OK);
    catalog_snapshot_unref(snapshot);
    catalog_lake_reopen(lake);
    snapshot = catalog_snapshot_ref(lake->catalog);
    const struct catalog_dataset *after = catalog_snapshot_item(snapshot, 0);
    assert_int_equal(after->column_count, 3);
    assert_int_equal(after->schema_count, 2);
    assert_false(lh_str_equal(after->columns[2].stored_name, lh_lit("filename")));
    assert_true(lh_str_equal(after->objects[1]->schema, after->schema));
    assert_true(lh_str_equal(after->objects[0]->schema, after->schemas[1].fingerprint));
    assert_int_equal(after->schemas[1].column_count, 2);
    catalog_snapshot_unref(snapshot);
    catalog_lake_is_clean(lake);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_new_dataset_is_found_by_any_case_of_its_name_also_after_reopening),
        TEST(a_snapshot_does_not_see_what_is_committed_after_it),
        TEST(every_version_can_be_read_across_checkpoints_and_reopening),
        TEST(a_damaged_checkpoint_costs_time_but_no_row),
        TEST(time_travel_finds_the_name_that_a_dataset_had_then),
        TEST(commit_times_never_go_back_though_the_clock_does),
        TEST(a_renamed_dataset_keeps_its_files_and_a_taken_name_is_refused),
        TEST(a_dropped_dataset_is_gone_but_for_time_travel),
        TEST(replacing_keeps_the_old_rows_for_the_old_version),
        TEST(a_rewrite_of_files_that_are_gone_loses_the_race),
        TEST(a_rewrite_that_loses_rows_or_knows_other_tombstones_is_refused),
        TEST(a_change_of_another_version_or_other_columns_is_refused),
        TEST(a_commit_of_a_file_that_is_missing_or_of_another_size_is_refused),
        TEST(metadata_survives_reopening_and_leaves_the_rest_alone),
        TEST(text_that_is_not_utf8_is_refused_before_anything_is_written),
        TEST(a_repeated_job_or_key_gets_the_first_result_also_after_reopening),
        TEST(a_key_is_forgotten_after_its_time),
        TEST(a_source_is_known_while_its_rows_are_there),
        TEST(versions_and_changes_tell_who_did_what_and_why),
        TEST(an_unknown_name_is_answered_with_the_nearest),
        TEST(what_others_depend_on_is_dropped_only_with_cascade),
        TEST(an_added_column_leaves_older_files_with_their_own_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
