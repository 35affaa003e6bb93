/* Writers that race: each of many threads makes its commits, some with the version that they expect
 * and again until they win, some twice under the same job. Every acknowledged one is there once,
 * at once, after a reopening and for the verifier; versions of a dataset have no holes.
 *
 * LAKEHOUSE_COMMITS: of each writer. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/catalog_lake.h"
#include "support/fault_ways.h"

#define WRITERS 64
#define DATASETS 4
#define COMMITS 12
#define COMMITS_LONG 1000

struct race {
    struct catalog_lake lake;
    struct lh_str ids[DATASETS];
    int commits;
    atomic_int rows[DATASETS]; /* that were acknowledged */
    atomic_int lost_races, repeats;
};

struct writer {
    struct race *race;
    int number;
    char failure[256];
};

static int64_t version_now(struct race *race, int dataset)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(race->lake.catalog);
    int64_t version = 0;
    for (size_t i = 0; i < catalog_snapshot_count(snapshot); i++) {
        const struct catalog_dataset *item = catalog_snapshot_item(snapshot, i);
        if (lh_str_equal(item->id, race->ids[dataset]))
            version = item->version;
    }
    catalog_snapshot_unref(snapshot);
    return version;
}

/* One row, until it is in; of three commits one expects the version that it saw. */
static enum lh_code commit_one(struct writer *writer, int at, struct lh_arena *arena,
                               struct lh_error *err)
{
    struct race *race = writer->race;
    int dataset = (writer->number + at) % DATASETS;
    struct catalog_object object;
    struct catalog_commit_result result, again;
    struct catalog_change change = {
        .action = CATALOG_APPEND,
        .dataset_id = race->ids[dataset],
        .objects = &object,
        .object_count = 1,
        .job_id = lh_arena_printf(arena, "job-%d-%d", writer->number, at),
    };
    enum lh_code code = catalog_lake_file(&race->lake, race->ids[dataset], 1, arena, &object, err);
    while (!code) {
        change.expected_version = at % 3 == 0 ? version_now(race, dataset) : 0;
        code = catalog_commit(race->lake.catalog, &change, arena, &result, err);
        if (code != LH_PRECONDITION)
            break;
        atomic_fetch_add(&race->lost_races, 1);
        code = LH_OK;
    }
    if (code)
        return code;
    atomic_fetch_add(&race->rows[dataset], 1);
    if (result.is_repeat)
        return lh_fail(err, LH_INTERNAL, "The first commit of a job is told as a repetition.");
    if (at % 5)
        return LH_OK;
    change.expected_version = 0;
    code = catalog_commit(race->lake.catalog, &change, arena, &again, err);
    if (!code && (!again.is_repeat || again.version != result.version))
        return lh_fail(err, LH_INTERNAL, "A repeated commit was made twice.");
    atomic_fetch_add(&race->repeats, 1);
    return code;
}

static void *write_all(void *context)
{
    struct writer *writer = context;
    for (int i = 0; i < writer->race->commits && !*writer->failure; i++) {
        struct lh_arena *arena = lh_arena_new(0);
        struct lh_error err = LH_ERROR_NONE;
        if (commit_one(writer, i, arena, &err))
            snprintf(writer->failure, sizeof(writer->failure), "commit %d: %.200s", i, err.message);
        lh_arena_free(arena);
    }
    return NULL;
}

static void then_all_is_there(struct race *race)
{
    for (int i = 0; i < DATASETS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "t%d", i);
        assert_int_equal(catalog_lake_rows(&race->lake, name), atomic_load(&race->rows[i]));
    }
}

static int commits_wanted(void)
{
    const char *wanted = getenv("LAKEHOUSE_COMMITS");
    if (wanted)
        return (int)strtol(wanted, NULL, 10);
    return getenv("LAKEHOUSE_LONG") ? COMMITS_LONG : COMMITS / (int)(fault_stride(1) > 2 ? 3 : 1);
}

static void racing_writers_lose_and_double_nothing(void **state)
{
    static struct race race;
    static struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    int64_t versions = 0;
    (void)state;
    race.commits = commits_wanted();
    catalog_lake_make(&race.lake);
    catalog_lake_open(&race.lake);
    for (int i = 0; i < DATASETS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "t%d", i);
        race.ids[i] = catalog_lake_create(&race.lake, name, 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.race = &race, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_all, &writers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        if (*writers[i].failure)
            fail_msg("writer %d, %s", i, writers[i].failure);
    }
    then_all_is_there(&race);
    for (int i = 0; i < DATASETS; i++)
        versions += version_now(&race, i);
    catalog_lake_is_clean(&race.lake);
    catalog_lake_crash(&race.lake);
    catalog_lake_open(&race.lake);
    then_all_is_there(&race);
    printf("figure: racing writers: %d commits of %d writers in %lld versions, %d lost a race and "
           "came again, %d repeated; 0 lost, 0 doubled\n",
           WRITERS * race.commits, WRITERS, (long long)versions, atomic_load(&race.lost_races),
           atomic_load(&race.repeats));
    assert_true(atomic_load(&race.lost_races) > 0);
    catalog_lake_remove(&race.lake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(racing_writers_lose_and_double_nothing),
    };
    temp_lake_prefer_memory();
    return cmocka_run_group_tests_name("racing writers", tests, NULL, NULL);
}
