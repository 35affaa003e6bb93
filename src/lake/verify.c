#include "lake/verify.h"

#include "access/keys.h"
#include "catalog/profiles.h"
#include "catalog/verify.h"
#include "engine/engine.h"
#include "jobs/verify.h"
#include "journal/verify.h"
#include "lake/erasing.h"
#include "lake/internal.h"
#include "lake/lake.h"
#include "query/saved.h"
#include "search/verify.h"
#include "storage/buckets.h"
#include "storage/objects.h"

struct looker {
    struct storage *storage;
    struct engine *engine;
    struct commit_list *commits;
};

/* The footer must say what the manifest says: a checksum alone proves only that nothing changed
 * since. */
static enum lh_code inspect(void *context, const struct catalog_object *object,
                            struct lh_error *err)
{
    struct looker *looker = context;
    struct lh_arena *arena = NULL;
    struct engine_connection *connection = NULL;
    struct engine_columns columns;
    struct lh_str path;
    int64_t rows = 0;
    if (storage_is_remote(looker->storage, object->bucket))
        return LH_OK; /* its checksum was compared; the engine reads local files only */
    arena = lh_arena_new(0);
    enum lh_code code =
        storage_object_path(looker->storage, object->bucket, object->key, arena, &path, err);
    if (!code)
        code = engine_acquire(looker->engine, (struct lh_str){0}, NULL, &connection, err);
    if (!code)
        code = engine_parquet_schema(connection, path, arena, &columns, &rows, err);
    if (!code && rows != object->rows)
        code = lh_fail(err, LH_DAMAGED, "The file has %lld rows, the manifest says %lld.",
                       (long long)rows, (long long)object->rows);
    engine_release(connection);
    lh_arena_free(arena);
    return code;
}

/* What the verifiers found, each of its own part. */
struct reports {
    struct catalog_report catalog;
    struct search_report indexes;
    struct objects_report objects;
    struct storage_findings others; /* of the following */
    int64_t jobs;
    int64_t keys;
    int64_t saved;
    int64_t profiles;
    int64_t epochs;
    int64_t repeats;
    int64_t erasures;
    int64_t journal;
    int64_t buckets;
};

static void note_version(void *context, const struct catalog_version *version)
{
    commit_list_add(((struct looker *)context)->commits, version);
}

static enum lh_code look_at_journal(struct looker *looker, struct reports *ret,
                                    struct lh_error *err)
{
    const struct journal_verify_options options = {
        .engine = looker->engine, .visit = commit_list_visit, .context = looker->commits};
    enum lh_code code = journal_verify(looker->storage, &options, &ret->others, &ret->journal, err);
    /* Segments that nobody looked into may hold any of them. */
    if (!code && looker->engine)
        commit_list_compare(looker->commits, &ret->others);
    return code;
}

static enum lh_code look(struct looker *looker, const struct lake_verify_options *options,
                         struct lh_arena *arena, struct reports *ret, struct lh_error *err)
{
    const struct catalog_verify_options catalog = {
        .skip_objects = options->only_journal,
        .inspect = options->skip_footers || options->only_journal ? NULL : inspect,
        .version = note_version,
        .context = looker,
    };
    ret->others.arena = arena;
    enum lh_code code = catalog_verify(looker->storage, &catalog, arena, &ret->catalog, err);
    if (!code)
        code = look_at_journal(looker, ret, err);
    if (options->only_journal) {
        ret->catalog = (struct catalog_report){.versions = ret->catalog.versions,
                                               .datasets = ret->catalog.datasets};
        return code;
    }
    if (!code)
        code = catalog_verify_epochs(looker->storage, &ret->others, &ret->epochs, err);
    if (!code)
        code = search_verify(looker->storage, NULL, arena, &ret->indexes, err);
    if (!code)
        code = objects_verify(looker->storage, NULL, arena, &ret->objects, err);
    if (!code)
        code = storage_buckets_verify(looker->storage, &ret->others, &ret->buckets, err);
    if (!code)
        code = jobs_verify(looker->storage, &ret->others, &ret->jobs, err);
    if (!code)
        code = access_keys_verify(looker->storage, &ret->others, &ret->keys, err);
    if (!code)
        code = storage_records_verify(looker->storage, &query_saved_kind, &ret->others, &ret->saved,
                                      err);
    if (!code)
        code = storage_records_verify(looker->storage, &catalog_profile_kind, &ret->others,
                                      &ret->profiles, err);
    if (!code)
        code = repeats_verify(looker->storage, &ret->others, &ret->repeats, err);
    if (!code)
        code = lake_erase_verify(looker->storage, &ret->others, &ret->erasures, err);
    return code;
}

/* Those of one severity, behind the `count` that are there. */
static size_t gather(const struct reports *reports, bool is_error, struct storage_finding *findings,
                     size_t count)
{
    const struct catalog_report *catalog = &reports->catalog;
    const struct search_report *indexes = &reports->indexes;
    const struct objects_report *objects = &reports->objects;
    for (size_t i = 0; i < catalog->finding_count; i++)
        if ((catalog->findings[i].severity == CATALOG_ERROR) == is_error)
            findings[count++] = (struct storage_finding){is_error, catalog->findings[i].object,
                                                         catalog->findings[i].what};
    for (size_t i = 0; i < indexes->finding_count; i++)
        if (indexes->findings[i].is_error == is_error)
            findings[count++] = (struct storage_finding){is_error, indexes->findings[i].object,
                                                         indexes->findings[i].what};
    for (size_t i = 0; i < objects->finding_count; i++)
        if (objects->findings[i].is_error == is_error)
            findings[count++] = (struct storage_finding){is_error, objects->findings[i].object,
                                                         objects->findings[i].what};
    for (size_t i = 0; i < reports->others.count; i++)
        if (reports->others.items[i].is_error == is_error)
            findings[count++] = reports->others.items[i];
    return count;
}

static void sum_up(const struct reports *reports, struct lh_arena *arena, struct lake_report *ret)
{
    const struct catalog_report *catalog = &reports->catalog;
    const struct search_report *indexes = &reports->indexes;
    const struct objects_report *objects = &reports->objects;
    size_t most = catalog->finding_count + indexes->finding_count + objects->finding_count +
                  reports->others.count;
    *ret = (struct lake_report){
        .findings = lh_arena_array(arena, most + 1, sizeof(*ret->findings)),
        .finding_count = most,
        .errors = (int64_t)(catalog->error_count + indexes->error_count + objects->error_count +
                            reports->others.error_count),
        .datasets = catalog->datasets,
        .versions = catalog->versions,
        .checkpoints = catalog->checkpoints,
        .objects = catalog->objects + indexes->objects + objects->objects,
        .object_bytes = catalog->object_bytes + indexes->object_bytes + objects->object_bytes,
        .orphans = catalog->orphans + indexes->orphans + objects->orphans,
        .indexes = indexes->indexes,
        .jobs = reports->jobs,
        .keys = reports->keys,
        .saved = reports->saved,
        .profiles = reports->profiles,
        .epochs = reports->epochs,
        .repeats = reports->repeats,
        .erasures = reports->erasures,
        .journal_records = reports->journal,
        .buckets = reports->buckets,
    };
    (void)gather(reports, false, ret->findings, gather(reports, true, ret->findings, 0));
}

enum lh_code lake_verify(const struct lake_verify_options *options, struct lh_arena *arena,
                         struct lake_report *ret, struct lh_error *err)
{
    struct looker looker = {.commits = commit_list_new(arena)};
    struct lake_holder holder = {0};
    struct reports reports = {0};
    const struct storage_options storage = {
        .path = options->root, .secrets_path = options->secrets_path, .access = STORAGE_READ};
    const struct engine_options engine = {.thread_count = 1, .connection_max = 1};
    enum lh_code code = lake_holder(options->root, arena, &holder, err);
    if (!code && holder.is_running) {
        code = lh_fail(err, LH_LOCKED, "The lake is open in process %lld, which may write to it.",
                       (long long)holder.pid);
        lh_error_hint(err, "Stop that server first; verify looks at a lake that is at rest.");
    }
    if (!code)
        code = storage_open(&storage, &looker.storage, err);
    if (!code && !options->skip_footers)
        code = engine_open(&engine, &looker.engine, err);
    if (!code)
        code = look(&looker, options, arena, &reports, err);
    if (!code)
        sum_up(&reports, arena, ret);
    engine_close(looker.engine);
    storage_close(looker.storage);
    return code;
}
