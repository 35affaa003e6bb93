/* Many writers and readers at once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/catalog_lake.h"

#define WRITERS 16
#define COMMITS 12

struct writer {
    struct catalog_lake *lake;
    struct lh_str id;
    struct lh_arena *arena;
    struct catalog_object objects[COMMITS];
    int64_t versions[COMMITS];
    bool repeats; /* all writers ask for the same work */
    unsigned repeated;
    enum lh_code code;
};

static atomic_bool is_over;

static void *write_all(void *context)
{
    struct writer *writer = context;
    for (int i = 0; i < COMMITS && !writer->code; i++) {
        struct catalog_commit_result result;
        struct catalog_change change = {.action = CATALOG_APPEND,
                                        .dataset_id = writer->id,
                                        .objects = &writer->objects[i],
                                        .object_count = 1};
        if (writer->repeats)
            change.job_id = lh_arena_printf(writer->arena, "job-%d", i);
        writer->code = catalog_commit(writer->lake->catalog, &change, writer->arena, &result, NULL);
        writer->versions[i] = result.version;
        writer->repeated += result.is_repeat;
        /* A client reads its own write. */
        struct catalog_snapshot *snapshot = catalog_snapshot_ref(writer->lake->catalog);
        if (catalog_snapshot_sequence(snapshot) < result.sequence)
            writer->code = LH_INTERNAL;
        catalog_snapshot_unref(snapshot);
    }
    return NULL;
}

static void *read_all(void *context)
{
    struct catalog_lake *lake = context;
    uint64_t last = 0;
    while (!atomic_load(&is_over)) {
        struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
        uint64_t sequence = catalog_snapshot_sequence(snapshot);
        for (size_t i = 0; i < catalog_snapshot_count(snapshot); i++) {
            const struct catalog_dataset *dataset = catalog_snapshot_item(snapshot, i);
            int64_t rows = 0;
            for (size_t k = 0; k < dataset->object_count; k++)
                rows += dataset->objects[k]->rows;
            if (rows != dataset->row_count || dataset->sequence > sequence)
                abort();
        }
        if (sequence < last)
            abort();
        last = sequence;
        catalog_snapshot_unref(snapshot);
    }
    return NULL;
}

static void given_files(struct catalog_lake *lake, struct writer *writer)
{
    writer->lake = lake;
    writer->arena = lh_arena_new(0);
    for (int i = 0; i < COMMITS; i++)
        assert_int_equal(
            catalog_lake_file(lake, writer->id, 1, writer->arena, &writer->objects[i], NULL),
            LH_OK);
}

static void run_writers(struct writer *writers)
{
    pthread_t threads[WRITERS], reader;
    atomic_store(&is_over, false);
    pthread_create(&reader, NULL, read_all, writers[0].lake);
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, write_all, &writers[i]);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&is_over, true);
    pthread_join(reader, NULL);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(writers[i].code, LH_OK);
}

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
    catalog_lake_remove(*state);
    free(*state);
    return 0;
}

static void sixteen_writers_of_one_dataset_share_versions_and_lose_nothing(void **state)
{
    struct catalog_lake *lake = *state;
    struct writer *writers = calloc(WRITERS, sizeof *writers);
    struct lh_str id = catalog_lake_create(lake, "t", 0);
    for (int i = 0; i < WRITERS; i++) {
        writers[i].id = id;
        given_files(lake, &writers[i]);
    }
    run_writers(writers);
    int64_t versions = catalog_lake_version(lake, "t") - 1;
    assert_int_equal(catalog_lake_rows(lake, "t"), WRITERS * COMMITS);
    print_message("%d commits in %lld versions\n", WRITERS * COMMITS, (long long)versions);
    /* A version costs two fsyncs: at most a quarter of one for each commit. */
    assert_true(versions * 8 <= WRITERS * COMMITS * 2);
    for (int i = 0; i < WRITERS; i++) {
        for (int k = 1; k < COMMITS; k++)
            assert_true(writers[i].versions[k] > writers[i].versions[k - 1]);
        lh_arena_free(writers[i].arena);
    }
    free(writers);
    catalog_lake_is_clean(lake);
    catalog_lake_reopen(lake);
    assert_int_equal(catalog_lake_rows(lake, "t"), WRITERS * COMMITS);
}

static void writers_of_different_datasets_do_not_disturb_each_other(void **state)
{
    struct catalog_lake *lake = *state;
    struct writer *writers = calloc(WRITERS, sizeof *writers);
    for (int i = 0; i < WRITERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i / 4);
        writers[i].id = i % 4 ? writers[i - 1].id : catalog_lake_create(lake, name, 0);
        given_files(lake, &writers[i]);
    }
    run_writers(writers);
    for (int i = 0; i < WRITERS; i++)
        lh_arena_free(writers[i].arena);
    free(writers);
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        assert_int_equal(catalog_lake_rows(lake, name), 4 * COMMITS);
    }
    catalog_lake_is_clean(lake);
}

static void sixteen_who_ask_for_the_same_work_get_it_once(void **state)
{
    struct catalog_lake *lake = *state;
    struct writer *writers = calloc(WRITERS, sizeof *writers);
    struct lh_str id = catalog_lake_create(lake, "t", 0);
    unsigned repeated = 0;
    for (int i = 0; i < WRITERS; i++) {
        writers[i].id = id;
        writers[i].repeats = true;
        given_files(lake, &writers[i]);
    }
    run_writers(writers);
    for (int i = 0; i < WRITERS; i++) {
        repeated += writers[i].repeated;
        lh_arena_free(writers[i].arena);
    }
    free(writers);
    assert_int_equal(catalog_lake_rows(lake, "t"), COMMITS);
    assert_int_equal(repeated, (WRITERS - 1) * COMMITS);
    catalog_lake_is_clean(lake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            sixteen_writers_of_one_dataset_share_versions_and_lose_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writers_of_different_datasets_do_not_disturb_each_other,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(sixteen_who_ask_for_the_same_work_get_it_once, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
