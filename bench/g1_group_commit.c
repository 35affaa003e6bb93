/* G1: fsyncs that a commit costs when 16 writers come at once: commits of one dataset, and events
 * of the journal. What is counted are the system calls of this process; the data files of the
 * commits are written before, for they are each writer's own affair. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "catalog/catalog.h"
#include "engine/engine.h"
#include "journal/journal.h"
#include "storage/storage.h"
#include "support.h"

#define WRITERS 16
#define EACH 100
#define ROUNDS 7
#define GOAL 0.25

static _Atomic long syncs;

/* In the library's stead. */
int fsync(int fd)
{
    atomic_fetch_add(&syncs, 1);
    return (int)syscall(SYS_fsync, fd);
}

struct house {
    struct storage *storage;
    struct engine *engine;
    struct catalog *catalog;
    struct journal *journal;
    struct lh_uuid dataset;
    struct lh_str keys[WRITERS * EACH];
    struct lh_arena *arena;
    _Atomic size_t next;
};

static void must(enum lh_code code, const struct lh_error *err)
{
    if (code)
        bench_die("%s", err->message);
}

static struct catalog_object object_of(struct lh_str key)
{
    struct catalog_object object = {.bucket = STORAGE_PRIMARY, .key = key, .bytes = 1, .rows = 1};
    lh_sha256_of(lh_lit("x"), object.sha256);
    return object;
}

static void put_files(struct house *house)
{
    struct lh_error err = LH_ERROR_NONE;
    for (size_t i = 0; i < WRITERS * EACH; i++) {
        struct lh_uuid name = lh_uuid_new();
        house->keys[i] =
            lh_arena_printf(house->arena, "datasets/%s/%s.parquet", house->dataset.text, name.text);
        must(storage_put_exclusive(house->storage, STORAGE_PRIMARY, house->keys[i], lh_lit("x"),
                                   &err),
             &err);
    }
    atomic_store(&house->next, 0);
}

static void open_house(struct house *house, const char *folder)
{
    struct lh_error err = LH_ERROR_NONE;
    struct catalog_commit_result result;
    const struct storage_options storage = {
        .path = lh_str_of(folder), .access = STORAGE_WRITE, .create = true};
    const struct engine_options engine = {.thread_count = 1, .connection_max = 2};
    house->arena = lh_arena_new(0);
    must(storage_open(&storage, &house->storage, &err), &err);
    must(engine_open(&engine, &house->engine, &err), &err);
    must(catalog_open(house->storage, NULL, &house->catalog, &err), &err);
    const struct journal_options journal = {.storage = house->storage, .engine = house->engine};
    must(journal_open(&journal, &house->journal, &err), &err);
    house->dataset = lh_uuid_new();
    struct catalog_column column = {
        .name = lh_lit("id"), .stored_name = lh_lit("id"), .type = lh_lit("BIGINT")};
    const struct catalog_change create = {
        .action = CATALOG_CREATE,
        .dataset_id = lh_uuid_str(&house->dataset),
        .name = lh_lit("t"),
        .set_bits = CATALOG_SET_COLUMNS,
        .set = {.columns = &column, .column_count = 1},
    };
    must(catalog_commit(house->catalog, &create, house->arena, &result, &err), &err);
}

static void close_house(struct house *house)
{
    journal_close(house->journal);
    catalog_close(house->catalog);
    engine_close(house->engine);
    storage_close(house->storage);
    lh_arena_free(house->arena);
}

static void *commit_many(void *context)
{
    struct house *house = context;
    struct lh_arena *arena = lh_arena_new(0);
    for (int i = 0; i < EACH; i++) {
        struct lh_error err = LH_ERROR_NONE;
        struct catalog_commit_result result;
        const struct catalog_object object =
            object_of(house->keys[atomic_fetch_add(&house->next, 1)]);
        const struct catalog_change append = {
            .action = CATALOG_APPEND,
            .dataset_id = lh_uuid_str(&house->dataset),
            .objects = &object,
            .object_count = 1,
        };
        must(catalog_commit(house->catalog, &append, arena, &result, &err), &err);
        lh_arena_clear(arena);
    }
    lh_arena_free(arena);
    return NULL;
}

static void *report_many(void *context)
{
    struct house *house = context;
    for (int i = 0; i < EACH; i++) {
        struct lh_error err = LH_ERROR_NONE;
        const struct journal_event event = {.action = lh_lit("a"), .entity = lh_lit("e")};
        must(journal_append(house->journal, &event, 1, false, NULL, NULL, &err), &err);
    }
    return NULL;
}

struct outcome {
    double share[ROUNDS]; /* fsyncs per piece */
    double rate[ROUNDS];  /* pieces a second */
};

static void run_round(struct house *house, void *(*write_many)(void *), int round,
                      struct outcome *ret)
{
    pthread_t threads[WRITERS];
    long before = atomic_load(&syncs);
    double start = bench_now();
    for (int i = 0; i < WRITERS; i++)
        if (pthread_create(&threads[i], NULL, write_many, house))
            bench_die("no thread could be started");
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    ret->rate[round] = WRITERS * EACH / (bench_now() - start);
    ret->share[round] = (double)(atomic_load(&syncs) - before) / (WRITERS * EACH);
}

static bool report(const char *what, struct outcome *outcome)
{
    char detail[128];
    snprintf(detail, sizeof(detail), "%d writers, %.0f a second", WRITERS,
             bench_median(outcome->rate, ROUNDS));
    double median = bench_median(outcome->share, ROUNDS); /* sorts */
    return bench_report("G1", what, median, outcome->share[1], outcome->share[ROUNDS - 2], "", GOAL,
                        true, detail);
}

int main(void)
{
    static struct house house;
    struct outcome commits, events;
    char folder[128];
    bench_machine();
    bench_temp_folder(folder, sizeof(folder));
    open_house(&house, folder);
    for (int round = 0; round < ROUNDS; round++) {
        put_files(&house);
        run_round(&house, commit_many, round, &commits);
        run_round(&house, report_many, round, &events);
    }
    close_house(&house);
    bench_remove_folder(folder);
    bool is_met = report("fsyncs of a commit of one dataset", &commits);
    is_met &= report("fsyncs of an event of the journal", &events);
    return is_met ? 0 : 1;
}
