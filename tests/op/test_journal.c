/* The journal beside everything: reporters, committers, flushes, lists and SQL at the same time.
 * Every list is in order and without holes of its own, and at the end each acknowledged change is
 * there once. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "catalog/catalog.h"
#include "journal/journal.h"
#include "lake/changes.h"
#include "query/query.h"
#include "support/op_house.h"

#define REPORTERS 4
#define REPORTS 60
#define COMMITTERS 2
#define COMMITS 20
#define CHANGES 20

struct run {
    struct op_house house;
    struct lh_str dataset;
    atomic_bool is_over;
    atomic_int wrong, lists, statements, rolls;
};

static void *report_on(void *context)
{
    struct run *run = context;
    for (int i = 0; i < REPORTS; i++) {
        const struct journal_event event = {.action = lh_lit("report"), .entity = lh_lit("e")};
        if (journal_append(lake_journal(run->house.lake), &event, 1, false, NULL, NULL, NULL))
            atomic_fetch_add(&run->wrong, 1);
    }
    return NULL;
}

static void *commit_on(void *context)
{
    struct run *run = context;
    for (int i = 0; i < COMMITS; i++) {
        struct lh_arena *arena = lh_arena_new(0);
        struct catalog_commit_result result;
        const struct catalog_change change = {
            .action = CATALOG_UPDATE,
            .dataset_id = run->dataset,
            .set_bits = CATALOG_SET_DESCRIPTION,
            .set = {.description = lh_lit("again")},
        };
        if (catalog_commit(lake_catalog(run->house.lake), &change, arena, &result, NULL))
            atomic_fetch_add(&run->wrong, 1);
        lh_arena_free(arena);
    }
    return NULL;
}

/* Every other change does not happen after all. */
static void *change_on(void *context)
{
    struct run *run = context;
    for (int i = 0; i < CHANGES; i++) {
        const struct journal_event event = {.action = lh_lit("key.change"), .entity = lh_lit("c")};
        struct lake_change change;
        if (lake_change_begin(run->house.lake, &event, false, &change, NULL))
            atomic_fetch_add(&run->wrong, 1);
        else
            lake_change_end(run->house.lake, &change, i % 2 ? LH_IO : LH_OK, &event);
    }
    return NULL;
}

static void *roll_on(void *context)
{
    struct run *run = context;
    while (!atomic_load(&run->is_over)) {
        enum lh_code code = journal_roll(lake_journal(run->house.lake), true, NULL);
        if (code && code != LH_BUSY)
            atomic_fetch_add(&run->wrong, 1);
        atomic_fetch_add(&run->rolls, !code);
    }
    return NULL;
}

static void *list_on(void *context)
{
    struct run *run = context;
    const struct journal_filter all = {.since_ms = 0};
    while (!atomic_load(&run->is_over)) {
        struct lh_arena *arena = lh_arena_new(0);
        struct journal_record *items = NULL;
        size_t count = 0;
        bool has_more = false;
        if (journal_list(lake_journal(run->house.lake), &all, 0, 50, NULL, arena, &items, &count,
                         &has_more, NULL))
            atomic_fetch_add(&run->wrong, 1);
        for (size_t i = 1; i < count; i++)
            if (items[i].sequence >= items[i - 1].sequence)
                atomic_fetch_add(&run->wrong, 1);
        atomic_fetch_add(&run->lists, 1);
        lh_arena_free(arena);
    }
    return NULL;
}

/* No statement sees a record twice, or a hole among the reports that it sees. */
static void *ask_on(void *context)
{
    struct run *run = context;
    const struct query_principal principal = {.is_trusted = true};
    const struct query_request request = {
        .sql = lh_lit("SELECT count(*) - count(DISTINCT sequence), count(*) FROM journal")};
    int64_t seen = 0;
    while (!atomic_load(&run->is_over)) {
        struct query *query = NULL;
        const struct engine_chunk *chunk = NULL;
        enum lh_code code =
            query_open(lake_query(run->house.lake), &principal, &request, NULL, &query, NULL);
        if (!code)
            code = query_next(query, &chunk, NULL);
        if (!code && chunk) {
            int64_t count = ((const int64_t *)chunk->columns[1].data)[0];
            if (((const int64_t *)chunk->columns[0].data)[0] || count < seen)
                atomic_fetch_add(&run->wrong, 1);
            seen = count;
            atomic_fetch_add(&run->statements, 1);
        } else if (code != LH_RACE) { /* two segments were made since it began: asked again */
            atomic_fetch_add(&run->wrong, 1);
        }
        query_close(query);
    }
    return NULL;
}

static int64_t count_of(struct op_house *house, const char *action)
{
    char sql[128];
    long long count = -1;
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM journal WHERE action = '%s'", action);
    assert_int_equal(sscanf(op_house_sql(house, sql), "[[%lld]]", &count), 1);
    return count;
}

static void everything_at_once_leaves_each_change_once(void **state)
{
    static struct run run;
    pthread_t writers[REPORTERS + COMMITTERS + 1], readers[3];
    size_t count = 0;
    (void)state;
    op_house_make(&run.house);
    json_t *made = op_house_rows(&run.house, "t", "id\n1\n", "create");
    assert_non_null(made);
    json_t *dataset = op_house_call(&run.house, "datasets.get", "{\"name\": \"t\"}");
    run.dataset = lh_str_of(json_string_value(json_object_get(dataset, "id")));
    for (int i = 0; i < REPORTERS; i++)
        assert_int_equal(pthread_create(&writers[count++], NULL, report_on, &run), 0);
    for (int i = 0; i < COMMITTERS; i++)
        assert_int_equal(pthread_create(&writers[count++], NULL, commit_on, &run), 0);
    assert_int_equal(pthread_create(&writers[count++], NULL, change_on, &run), 0);
    assert_int_equal(pthread_create(&readers[0], NULL, roll_on, &run), 0);
    assert_int_equal(pthread_create(&readers[1], NULL, list_on, &run), 0);
    assert_int_equal(pthread_create(&readers[2], NULL, ask_on, &run), 0);
    for (size_t i = 0; i < count; i++)
        pthread_join(writers[i], NULL);
    atomic_store(&run.is_over, true);
    for (size_t i = 0; i < 3; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(atomic_load(&run.wrong), 0);
    assert_true(atomic_load(&run.lists) > 0 && atomic_load(&run.statements) > 0 &&
                atomic_load(&run.rolls) > 0);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(count_of(&run.house, "report"), REPORTERS * REPORTS);
        assert_int_equal(count_of(&run.house, "key.change"), CHANGES / 2);
        assert_int_equal(count_of(&run.house, "dataset.update"), COMMITTERS * COMMITS);
        if (!round)
            op_house_reopen(&run.house);
    }
    op_house_remove(&run.house);
}

/* Takes the newest versions away, and what would say that they were there. */
static void lose_versions(struct op_house *house, const char *id, int first, int last)
{
    char name[160];
    for (int version = first; version <= last; version++) {
        snprintf(name, sizeof name, "lake/_catalog/datasets/%s/%020d.json", id, version);
        assert_int_equal(remove(temp_lake_file(&house->folder, name)), 0);
    }
    assert_int_equal(remove(temp_lake_file(
                         &house->folder, "lake/_catalog/epochs/00000000000000000002.closed.json")),
                     0);
}

static void commits_behind_lost_ones_are_journaled(void **state)
{
    struct op_house house;
    (void)state;
    op_house_make(&house);
    op_house_rows(&house, "t", "id\n1\n", "create");
    op_house_reopen(&house);
    op_house_rows(&house, "t", "id\n2\n", "append");
    op_house_rows(&house, "t", "id\n3\n", "append");
    json_t *dataset = op_house_call(&house, "datasets.get", "{\"name\": \"t\"}");
    assert_int_equal(reply_int(dataset, "version"), 3);
    lake_close(house.lake);
    lose_versions(&house, reply_text(dataset, "id"), 2, 3);
    house.lake = NULL;
    if (lake_open(&house.settings, &house.lake, &house.err))
        fail_msg("%s", house.err.message);
    struct lake_health health;
    lake_check_health(house.lake, house.arena, &health);
    assert_false(health.is_ok);
    op_house_rows(&house, "t", "id\n4\n", "append");
    assert_int_equal(count_of(&house, "dataset.append"), 3); /* those that were lost, and this */
    op_house_reopen(&house);
    assert_int_equal(count_of(&house, "dataset.append"), 3);
    /* The verifier tells of the two; the lake is not well. */
    lake_close(house.lake);
    lh_arena_free(house.arena);
    temp_lake_remove(&house.folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_at_once_leaves_each_change_once),
        cmocka_unit_test(commits_behind_lost_ones_are_journaled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
