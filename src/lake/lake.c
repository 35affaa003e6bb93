#include "lake/lake.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "access/keys.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "catalog/catalog.h"
#include "catalog/profiles.h"
#include "engine/engine.h"
#include "ingest/ingest.h"
#include "jobs/jobs.h"
#include "journal/journal.h"
#include "lake/backups.h"
#include "lake/erasing.h"
#include "lake/internal.h"
#include "lake/moving.h"
#include "query/compact.h"
#include "query/query.h"
#include "query/relations.h"
#include "query/saved.h"
#include "search/tuning.h"
#include "storage/buckets.h"
#include "storage/objects.h"

/* Below this the lake is called degraded: a commit may still fit, a big ingest will not. */
#define FREE_BYTES_LOW ((int64_t)256 << 20)

struct lake {
    const struct settings *settings;
    struct lh_arena *arena;
    struct lh_str engine_version;
    struct lh_pool *pool;
    struct storage *storage;
    struct objects *objects;
    struct engine *engine;
    struct catalog *catalog;
    struct jobs *jobs;
    struct ingest *ingest;
    struct query_engine *query;
    struct query_compactor *compactor;
    struct compacting *compacting;
    struct access_keys *keys;
    struct storage_records *saved;
    struct storage_records *profiles;
    struct activation *activation;
    struct search *search;
    struct keeper *keeper;
    _Atomic(struct tuner *) tuner;
    struct journal *journal;
    struct journal_source journal_source;
    struct query_relations journal_relation;
    struct rejects_source rejects_source;
    struct query_relations rejects_relation;
    struct query_relations tuning_relation;
    const struct query_relations *relations[3];
    _Atomic(struct follower *) follower; /* commits of the opening find none */
    _Atomic(struct scribe *) scribe;
    struct failures *failures;
    struct repeats *repeats;
    atomic_flag is_erasing; /* one erasure at a time */
    struct job_kind kinds[9];
    int64_t opened_ms;
    int64_t opened_us;
    int64_t recovery_ms;
    pthread_mutex_t meter_lock; /* guards the two below, and holds while the meter writes */
    void (*meter)(void *context, struct lh_buf *buf);
    void *meter_context;
};

/* Statements that turn out to be long run beside this many short ones; they share processors and
 * memory, so more of them at once would only make each slower. */
static unsigned long_places(unsigned threads)
{
    return threads < 6 ? 12 : threads < 32 ? threads * 2 : 64;
}

static unsigned processor_count(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors > 1 ? (unsigned)processors : 1;
}

static unsigned worker_threads(const struct lake *lake)
{
    unsigned threads = (unsigned)lake->settings->server.worker_threads;
    return threads ? threads : processor_count() > 2 ? processor_count() * 2 : 4;
}

static enum lh_code open_pool(struct lake *lake, struct lh_error *err)
{
    unsigned threads = worker_threads(lake);
    return lh_pool_new(threads, long_places(threads), (unsigned)lake->settings->server.queue_max,
                       &lake->pool, err);
}

/* One for every statement that may run at once, and some for jobs and the background, so that long
 * ones never keep a short one waiting for a connection. */
static unsigned connections_wanted(const struct lake *lake)
{
    unsigned threads = worker_threads(lake);
    unsigned wanted = threads + long_places(threads) + 16;
    return wanted < ENGINE_CONNECTIONS_MAX ? wanted : ENGINE_CONNECTIONS_MAX;
}

/* What the library says of itself: also the proof that it answers. */
static enum lh_code ask_version(struct lake *lake, struct lh_error *err)
{
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    enum lh_code code =
        engine_query(lake->engine, lh_lit("SELECT version()"), NULL, NULL, &cursor, err);
    if (!code)
        code = engine_cursor_next(cursor, &chunk, err);
    if (!code && chunk)
        lake->engine_version = lh_arena_str(lake->arena, engine_vector_str(&chunk->columns[0], 0));
    engine_cursor_close(cursor);
    return code;
}

static enum lh_code open_engine(struct lake *lake, struct lh_error *err)
{
    struct engine_options options = {
        .thread_count = (unsigned)lake->settings->engine.threads,
        .connection_max = connections_wanted(lake),
        .temp_path = storage_scratch_path(lake->storage),
    };
    enum lh_code code =
        settings_bytes(lake->settings->engine.memory_limit, &options.memory_bytes, err);
    if (code)
        return lh_error_field(err, lh_lit("engine.memory_limit"));
    code = engine_open(&options, &lake->engine, err);
    return code ? code : ask_version(lake, err);
}

static uint64_t search_stamp(void *context)
{
    return search_definitions(((struct lake *)context)->search);
}

/* Of loaded indexes: a quarter of what there is, as the engine takes three. */
static enum lh_code search_memory_max(const struct lake *lake, int64_t *ret, struct lh_error *err)
{
    struct lh_process_memory memory;
    enum lh_code code = settings_bytes(lake->settings->search.memory_limit, ret, err);
    if (code)
        return lh_error_field(err, lh_lit("search.memory_limit"));
    if (*ret)
        return LH_OK;
    lh_process_memory(&memory);
    *ret = memory.limit && memory.limit < memory.machine ? memory.limit / 4 : memory.machine / 4;
    return LH_OK;
}

static void wake_follower(void *context)
{
    struct lake *lake = context;
    struct follower *follower = atomic_load(&lake->follower);
    if (follower)
        follower_wake(follower);
}

static void on_commit(void *context, uint64_t sequence)
{
    struct lake *lake = context;
    struct scribe *scribe = atomic_load(&lake->scribe);
    struct tuner *tuner = atomic_load(&lake->tuner);
    (void)sequence;
    wake_follower(lake);
    if (tuner)
        tuner_wake(tuner);
    if (scribe)
        scribe_wake(scribe);
}

static enum lh_code open_search(struct lake *lake, struct lh_error *err)
{
    int64_t memory_max = 0;
    enum lh_code code = search_memory_max(lake, &memory_max, err);
    if (code)
        return code;
    const struct search_options options = {
        .engine = lake->engine,
        .storage = lake->storage,
        .catalog = lake->catalog,
        .embedders = searching_embedders,
        .embedder_count = searching_embedder_count,
        .source = searching_source(&lake->query),
        .memory_max = memory_max,
        .graph_rows = lake->settings->search.graph_rows,
        .watch_percent = lake->settings->search.watch_percent,
        .graph_threads = processor_count() > 1 ? processor_count() - 1 : 1,
        .on_change = wake_follower,
        .context = lake,
    };
    code = search_open(&options, &lake->search, err);
    if (!code)
        search_forget_abandoned(lake->search, lake->jobs);
    return code;
}

static enum lh_code open_work(struct lake *lake, struct lh_error *err)
{
    const struct settings_jobs *kept = &lake->settings->jobs;
    const struct jobs_options jobs = {.storage = lake->storage,
                                      .pool = lake->pool,
                                      .keep_max = (unsigned)kept->keep,
                                      .keep_ms = kept->keep_s * 1000,
                                      .write_ms = kept->write_ms};
    enum lh_code code = jobs_open(&jobs, &lake->jobs, err);
    if (code)
        return code;
    const struct ingest_open_options ingest = {lake->engine, lake->storage, lake->catalog,
                                               lake->jobs, lake->objects};
    if ((code = ingest_new(&ingest, &lake->ingest, err)))
        return code;
    const struct query_engine_options query = {
        .engine = lake->engine,
        .catalog = lake->catalog,
        .storage = lake->storage,
        .relations = lake->relations,
        .relation_count = sizeof lake->relations / sizeof lake->relations[0],
        .table_functions = search_table_functions,
        .table_function_count = search_table_function_count,
        .table_function_stamp = search_stamp,
        .table_function_context = lake,
        .plan_max = (size_t)lake->settings->query.plan_cache_entries,
    };
    if ((code = query_engine_new(&query, &lake->query, err)))
        return code;
    const struct query_compactor_options compactor = {
        .engine = lake->engine,
        .storage = lake->storage,
        .catalog = lake->catalog,
        .jobs = lake->jobs,
        .file_bytes = lake->settings->compaction.file_bytes,
    };
    if ((code = query_compactor_new(&compactor, &lake->compactor, err)))
        return code;
    if ((code = open_search(lake, err)) || (code = changes_recover(lake, err)))
        return code;
    const struct job_kind kinds[] = {
        {INGEST_JOB_KIND, ingest_job_run, lake->ingest, effect_of_ingest, lake->catalog, false},
        {QUERY_COMPACT_JOB_KIND, query_compact_job, lake->compactor, query_compact_effect,
         lake->compactor, false},
        {SEARCH_INDEX_JOB_KIND, changes_index_job, lake, changes_find_index, lake, false},
        {SEARCH_REFRESH_JOB_KIND, changes_refresh_job, lake, changes_find_refresh, lake, false},
        {SEARCH_GRAPH_JOB_KIND, search_graph_job, lake->search, NULL, NULL, true},
        {SEARCH_AUTOTUNE_JOB_KIND, changes_autotune_job, lake, changes_find_autotune, lake, false},
        {LAKE_ERASE_JOB_KIND, lake_erase_job, lake, NULL, NULL, true},
        {LAKE_MOVE_JOB_KIND, lake_move_job, lake, lake_move_effect, lake, true},
        {LAKE_BACKUP_JOB_KIND, lake_backup_job, lake, lake_backup_effect, lake, true},
    };
    static_assert(sizeof(kinds) == sizeof(lake->kinds), "there is a place for each kind of jobs");
    memcpy(lake->kinds, kinds, sizeof(kinds));
    return jobs_start(lake->jobs, lake->kinds, sizeof(lake->kinds) / sizeof(lake->kinds[0]), err);
}

static enum lh_code open_journal(struct lake *lake, struct lh_error *err)
{
    const struct journal_options options = {
        .storage = lake->storage,
        .engine = lake->engine,
        .epoch = catalog_epoch(lake->catalog),
    };
    enum lh_code code = journal_open(&options, &lake->journal, err);
    if (!code)
        code = scribe_settle(lake->catalog, lake->journal, err);
    lake->journal_source = (struct journal_source){lake->journal, &lake->scribe};
    lake->journal_relation = journal_relation(&lake->journal_source);
    lake->rejects_source = (struct rejects_source){lake->catalog, lake->storage};
    lake->rejects_relation = rejects_relation(&lake->rejects_source);
    lake->relations[0] = &lake->journal_relation;
    lake->relations[1] = &lake->rejects_relation;
    lake->tuning_relation = tuning_relation();
    lake->relations[2] = &lake->tuning_relation;
    return code;
}

/* What rests on a dataset; while the lake is opened, nobody drops one. */
static enum lh_code find_dependents(void *context, const struct catalog_dataset *dataset,
                                    struct lh_arena *arena, struct lh_str_list *ret,
                                    struct lh_error *err)
{
    struct lake *lake = context;
    (void)err;
    if (lake->search)
        search_dependents(lake->search, dataset->id, arena, ret);
    return LH_OK;
}

static enum lh_code start_keeper(struct lake *lake, struct lh_error *err)
{
    const struct compacting_options compacting = {
        .settings = &lake->settings->compaction,
        .catalog = lake->catalog,
        .engine = lake->engine,
        .jobs = lake->jobs,
        .compactor = lake->compactor,
    };
    enum lh_code code = compacting_new(&compacting, &lake->compacting, err);
    if (code)
        return code;
    const struct keeper_options options = {
        .catalog = lake->catalog,
        .engine = lake->engine,
        .objects = lake->objects,
        .storage = lake->storage,
        .search = lake->search,
        .repeats = lake->repeats,
        .compacting = lake->compacting,
        .retention_ms = lake->settings->catalog.version_retention_s * 1000,
    };
    return keeper_start(&options, &lake->keeper, err);
}

static enum lh_code start_followers(struct lake *lake, struct lh_error *err)
{
    struct follower *follower = NULL;
    struct scribe *scribe = NULL;
    struct tuner *tuner = NULL;
    enum lh_code code = scribe_start(lake->catalog, lake->journal, &scribe, err);
    if (code)
        return code;
    atomic_store(&lake->scribe, scribe);
    code = follower_start(lake->catalog, lake->jobs, lake->search, &follower, err);
    if (!code)
        atomic_store(&lake->follower, follower);
    if (!code)
        code = tuner_start(lake, &tuner, err);
    if (!code)
        atomic_store(&lake->tuner, tuner);
    return code;
}

static enum lh_code open_parts(struct lake *lake, struct lh_error *err)
{
    struct storage_options storage = {
        .path = settings_root(lake->settings),
        .secrets_path = lake->settings->secrets.file,
        .access = STORAGE_WRITE,
        .create = true,
    };
    const struct settings_storage *wanted = &lake->settings->storage;
    const struct catalog_options catalog = {
        .on_commit = on_commit, .dependents = find_dependents, .context = lake};
    enum lh_code code = settings_bytes(wanted->cache_bytes, &storage.cache_bytes_max, err);
    if (!code)
        code = storage_open(&storage, &lake->storage, err);
    if (!code)
        code = storage_buckets_configure(lake->storage, wanted->buckets.items,
                                         wanted->buckets.count, wanted->rescue_bucket, err);
    if (!code)
        code = objects_open(lake->storage, lake->settings->storage.objects_bytes_max,
                            &lake->objects, err);
    if (!code)
        code = repeats_new(lake->storage, &lake->repeats, err);
    if (!code)
        code = access_keys_open(lake->storage, &lake->keys, err);
    if (!code)
        code = storage_records_open(lake->storage, &query_saved_kind, &lake->saved, err);
    if (!code)
        code = storage_records_open(lake->storage, &catalog_profile_kind, &lake->profiles, err);
    if (!code)
        code = open_pool(lake, err);
    if (!code)
        code = open_engine(lake, err);
    if (!code)
        code = catalog_open(lake->storage, &catalog, &lake->catalog, err);
    if (!code)
        code = open_journal(lake, err);
    if (!code)
        code = open_work(lake, err);
    if (!code && lake->settings->auth.enabled)
        code = admin_key_ensure(lake, settings_root(lake->settings), err);
    if (!code)
        code = start_keeper(lake, err);
    if (!code)
        code = start_followers(lake, err);
    if (!code)
        lake_erase_recover(lake);
    return code;
}

enum lh_code lake_open(const struct settings *settings, struct lake **ret, struct lh_error *err)
{
    struct lake *lake = calloc(1, sizeof(*lake));
    if (!lake)
        return lh_fail(err, LH_BUSY, "There is no memory to open the lake.");
    lake->settings = settings;
    atomic_flag_clear(&lake->is_erasing);
    lake->arena = lh_arena_new(0);
    pthread_mutex_init(&lake->meter_lock, NULL);
    lake->opened_us = lh_clock_monotonic_us();
    lake->opened_ms = lh_clock_unix_ms();
    lake->activation = activation_new();
    enum lh_code code = failures_new(&lake->failures, err);
    if (!code)
        code = open_parts(lake, err);
    if (code) {
        lake_close(lake);
        return code;
    }
    lake->recovery_ms = (lh_clock_monotonic_us() - lake->opened_us) / 1000;
    *ret = lake;
    return LH_OK;
}

void lake_stop(struct lake *lake)
{
    jobs_stop(lake->jobs);
}

bool lake_drain(struct lake *lake)
{
    return jobs_drain(lake->jobs, lake->settings->server.drain_ms);
}

/* What was committed to the last is written down; else the next opening does. */
static void end_scribe(struct scribe *scribe)
{
    struct lh_error err = LH_ERROR_NONE;
    if (scribe && scribe_sync(scribe, &err))
        lh_log_error(LH_LOG_WARN, "lake.journal", &err);
    scribe_free(scribe);
}

void lake_close(struct lake *lake)
{
    if (!lake)
        return;
    keeper_stop(lake->keeper);
    tuner_stop(atomic_load(&lake->tuner));
    follower_stop(atomic_load(&lake->follower));
    scribe_stop(atomic_load(&lake->scribe));
    jobs_close(lake->jobs);
    lh_pool_free(lake->pool);
    tuner_free(atomic_exchange(&lake->tuner, NULL));
    follower_free(atomic_exchange(&lake->follower, NULL)); /* nobody commits any more */
    end_scribe(atomic_exchange(&lake->scribe, NULL));
    activation_free(lake->activation);
    search_close(lake->search);
    compacting_free(lake->compacting);
    query_compactor_free(lake->compactor);
    query_engine_free(lake->query);
    ingest_free(lake->ingest);
    journal_close(lake->journal);
    catalog_close(lake->catalog);
    engine_close(lake->engine);
    storage_records_close(lake->saved);
    storage_records_close(lake->profiles);
    access_keys_close(lake->keys);
    repeats_free(lake->repeats);
    objects_close(lake->objects);
    storage_close(lake->storage);
    failures_free(lake->failures);
    pthread_mutex_destroy(&lake->meter_lock);
    lh_arena_free(lake->arena);
    free(lake);
}

/* --- what it is made of */

bool lake_take_erasing(struct lake *lake)
{
    return !atomic_flag_test_and_set(&lake->is_erasing);
}

void lake_give_erasing(struct lake *lake)
{
    atomic_flag_clear(&lake->is_erasing);
}

const struct settings *lake_settings(const struct lake *lake)
{
    return lake->settings;
}

struct lh_str lake_engine_version(const struct lake *lake)
{
    return lake->engine_version;
}

struct lh_pool *lake_pool(struct lake *lake)
{
    return lake->pool;
}

struct storage *lake_storage(struct lake *lake)
{
    return lake->storage;
}

struct objects *lake_objects(struct lake *lake)
{
    return lake->objects;
}

struct engine *lake_engine(struct lake *lake)
{
    return lake->engine;
}

struct catalog *lake_catalog(struct lake *lake)
{
    return lake->catalog;
}

struct jobs *lake_jobs(struct lake *lake)
{
    return lake->jobs;
}

struct ingest *lake_ingest(struct lake *lake)
{
    return lake->ingest;
}

struct query_engine *lake_query(struct lake *lake)
{
    return lake->query;
}

struct tuner *lake_tuner(struct lake *lake)
{
    return atomic_load(&lake->tuner);
}

struct journal *lake_journal(struct lake *lake)
{
    return lake->journal;
}

enum lh_code lake_sync_journal(struct lake *lake, struct lh_error *err)
{
    struct scribe *scribe = atomic_load(&lake->scribe);
    return scribe ? scribe_sync(scribe, err) : LH_OK; /* none yet: while the lake is opened */
}

struct query_compactor *lake_compactor(struct lake *lake)
{
    return lake->compactor;
}

enum lh_code lake_freshen_journal(struct lake *lake, struct lh_error *err)
{
    return scribe_freshen(atomic_load(&lake->scribe), err);
}

bool lake_journal_waits(struct lake *lake)
{
    return scribe_is_behind(atomic_load(&lake->scribe));
}

struct access_keys *lake_keys(struct lake *lake)
{
    return lake->keys;
}

struct storage_records *lake_saved(struct lake *lake)
{
    return lake->saved;
}

struct storage_records *lake_profiles(struct lake *lake)
{
    return lake->profiles;
}

struct activation *lake_activation(struct lake *lake)
{
    return lake->activation;
}

struct search *lake_search(struct lake *lake)
{
    return lake->search;
}

int64_t lake_opened_ms(const struct lake *lake)
{
    return lake->opened_ms;
}

int64_t lake_uptime_ms(const struct lake *lake)
{
    return (lh_clock_monotonic_us() - lake->opened_us) / 1000;
}

int64_t lake_recovery_ms(const struct lake *lake)
{
    return lake->recovery_ms;
}

void lake_note_failure(struct lake *lake, const struct lake_failure_request *request,
                       const struct lh_error *err)
{
    failures_note(lake->failures, request, err);
}

void lake_list_failures(struct lake *lake, const struct lake_failure_filter *filter, int64_t before,
                        size_t limit, struct lh_arena *arena, struct lake_failure **ret,
                        size_t *ret_count, bool *ret_has_more)
{
    failures_list(lake->failures, filter, before, limit, arena, ret, ret_count, ret_has_more);
}

enum lh_code lake_repeat_begin(struct lake *lake, struct lh_str key, struct lh_str request_hash,
                               struct lh_arena *arena, const struct lake_answer **ret,
                               struct lh_error *err)
{
    return repeats_begin(lake->repeats, key, request_hash, arena, ret, err);
}

void lake_repeat_end(struct lake *lake, struct lh_str key, const struct lake_answer *answer)
{
    repeats_end(lake->repeats, key, answer);
}

/* --- who has it */

enum lh_code lake_announce(struct lake *lake, struct lh_str address, struct lh_error *err)
{
    return storage_announce(lake->storage, address, err);
}

enum lh_code lake_holder(struct lh_str root, struct lh_arena *arena, struct lake_holder *ret,
                         struct lh_error *err)
{
    struct storage_owner owner;
    enum lh_code code = storage_owner(root, arena, &owner, err);
    if (code)
        return code;
    *ret = (struct lake_holder){.is_running = owner.is_running, .pid = owner.pid};
    if (owner.is_running && owner.address.len)
        ret->url = lh_arena_printf(arena, "http://%.*s", LH_ARG(owner.address));
    return LH_OK;
}

/* --- figures and health */

void lake_set_meter(struct lake *lake, void (*write)(void *context, struct lh_buf *buf),
                    void *context)
{
    pthread_mutex_lock(&lake->meter_lock);
    lake->meter = write;
    lake->meter_context = context;
    pthread_mutex_unlock(&lake->meter_lock);
}

void lake_write_meter(struct lake *lake, struct lh_buf *buf)
{
    pthread_mutex_lock(&lake->meter_lock);
    if (lake->meter)
        lake->meter(lake->meter_context, buf);
    pthread_mutex_unlock(&lake->meter_lock);
}

#define OWN_PROBLEMS_MAX (12 + STORAGE_BUCKETS_MAX)

static size_t journal_problems(struct lake *lake, struct lh_arena *arena, struct lake_problem *ret)
{
    size_t count = 0;
    struct journal_stats stats;
    journal_stats(lake->journal, &stats);
    struct lh_str damage = journal_damage(lake->journal, arena);
    if (damage.data)
        ret[count++] = (struct lake_problem){lh_lit("journal"), lh_lit("records"), damage};
    if (!stats.is_writable)
        ret[count++] = (struct lake_problem){
            lh_lit("journal"), lh_lit("log"),
            lh_lit("The disk failed while the journal was written; restart to recover. Commits go "
                   "on and are written down then.")};
    return count;
}

/* As they were last seen: asking them takes as long as they take to answer. */
static size_t bucket_problems(struct lake *lake, struct lh_arena *arena, struct lake_problem *ret)
{
    struct storage_bucket_info *buckets = NULL;
    size_t bucket_count = 0, count = 0;
    storage_bucket_list(lake->storage, arena, &buckets, &bucket_count);
    for (size_t i = 0; i < bucket_count; i++)
        if (buckets[i].problem.data)
            ret[count++] = (struct lake_problem){lh_lit("bucket"), buckets[i].options.name,
                                                 buckets[i].problem};
    return count;
}

/* The first of them by name. */
static size_t record_problems(struct storage_records *records, const char *kind, const char *name,
                              struct lh_arena *arena, struct lake_problem *ret)
{
    struct lh_str names[5];
    struct lh_buf list;
    size_t most = sizeof names / sizeof names[0];
    size_t damaged = storage_records_damaged(records, arena, names, most);
    if (!damaged)
        return 0;
    lh_buf_init(&list, 1024);
    for (size_t i = 0; i < damaged && i < most; i++)
        lh_buf_printf(&list, "%s'%.*s'", i ? ", " : "", LH_ARG(names[i]));
    *ret = (struct lake_problem){
        lh_str_of(kind), lh_str_of(name),
        lh_arena_printf(arena, "%zu cannot be read: %.*s%s. Delete them, or make them anew.",
                        damaged, LH_ARG(lh_buf_str(&list)), damaged > most ? ", …" : "")};
    lh_buf_release(&list);
    return 1;
}

static size_t own_problems(struct lake *lake, struct lh_arena *arena, struct lake_problem *ret)
{
    size_t count = 0;
    int64_t free_bytes = 0;
    struct lh_error err = LH_ERROR_NONE;
    if (!catalog_is_writable(lake->catalog))
        ret[count++] = (struct lake_problem){
            lh_lit("catalog"), lh_lit("commits"),
            lh_lit("Writing has stopped after a commit of unknown outcome; restart to recover.")};
    if (storage_free_bytes(lake->storage, &free_bytes, &err))
        ret[count++] = (struct lake_problem){lh_lit("storage"), lh_lit("primary"),
                                             lh_arena_str(arena, lh_str_of(err.message))};
    else if (free_bytes < FREE_BYTES_LOW)
        ret[count++] = (struct lake_problem){
            lh_lit("storage"), lh_lit("primary"),
            lh_arena_printf(arena,
                            "Only %" PRId64 " MB are free; %" PRId64 " of %" PRId64
                            " MB are kept for deletes and the ends of jobs.",
                            free_bytes >> 20, storage_reserve_bytes(lake->storage) >> 20,
                            STORAGE_RESERVE_BYTES >> 20)};
    size_t damaged = jobs_damaged(lake->jobs);
    if (damaged)
        ret[count++] = (struct lake_problem){
            lh_lit("jobs"), lh_lit("records"),
            lh_arena_printf(arena, "%zu records cannot be read and were skipped.", damaged)};
    damaged = objects_damaged(lake->objects);
    if (damaged)
        ret[count++] = (struct lake_problem){
            lh_lit("objects"), lh_lit("primary"),
            lh_arena_printf(arena, "%zu objects cannot be read; `lakehouse verify` names them.",
                            damaged)};
    if (!objects_are_writable(lake->objects))
        ret[count++] = (struct lake_problem){
            lh_lit("objects"), lh_lit("primary"),
            lh_lit("Writing has stopped after a change of unknown outcome; restart to recover.")};
    count += journal_problems(lake, arena, ret + count);
    int64_t held = jobs_counts(lake->jobs).held;
    if (held)
        ret[count++] = (struct lake_problem){
            lh_lit("jobs"), lh_lit("held"),
            lh_arena_printf(arena,
                            "%" PRId64 " jobs wait for the next start: how they end cannot "
                            "be told before. GET /jobs?state=queued says why; restart.",
                            held)};
    damaged = access_keys_damaged(lake->keys);
    if (damaged)
        ret[count++] = (struct lake_problem){
            lh_lit("access"), lh_lit("keys"),
            lh_arena_printf(arena, "%zu keys cannot be read and open nothing.", damaged)};
    count += record_problems(lake->saved, "query", "saved", arena, ret + count);
    count += record_problems(lake->profiles, "catalog", "profiles", arena, ret + count);
    return count + bucket_problems(lake, arena, ret + count);
}

void lake_check_health(struct lake *lake, struct lh_arena *arena, struct lake_health *ret)
{
    struct catalog_problem *found = NULL;
    size_t found_count = 0;
    catalog_problems(lake->catalog, arena, &found, &found_count);
    struct search_problem *bad = NULL;
    size_t bad_count = 0;
    search_problems(lake->search, arena, &bad, &bad_count);
    struct lake_problem *others = NULL;
    size_t other_count = lake_unsettled(lake, arena, &others);
    struct lake_problem *problems = lh_arena_array(
        arena, found_count + bad_count + other_count + OWN_PROBLEMS_MAX, sizeof(*problems));
    size_t count = own_problems(lake, arena, problems);
    for (size_t i = 0; i < bad_count; i++)
        problems[count++] = (struct lake_problem){lh_lit("index"), bad[i].name, bad[i].what};
    for (size_t i = 0; i < found_count; i++)
        problems[count++] = (struct lake_problem){
            lh_lit("dataset"), found[i].name.data ? found[i].name : found[i].dataset_id,
            found[i].what};
    for (size_t i = 0; i < other_count; i++)
        problems[count++] = others[i];
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(lake->catalog);
    *ret = (struct lake_health){
        .is_ok = count == 0,
        .problems = problems,
        .problem_count = count,
        .dataset_count = (int64_t)catalog_snapshot_count(snapshot),
        .sequence = (int64_t)catalog_snapshot_sequence(snapshot),
    };
    catalog_snapshot_unref(snapshot);
}
