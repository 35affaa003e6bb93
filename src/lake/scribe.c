/* The scribe: brings the commits of the catalog into the journal, each once, and turns the
 * journal's log into segments when that is due.
 *
 * Commits carry their events themselves, so nobody waits for this: the scribe comes half a second
 * after the first, and many go in with one fsync. Who reads the journal lets it come at once
 * (scribe_sync). What was drained is known to the journal alone, by the lake sequence of its
 * records; after a kill it goes on there. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/secret.h"
#include "catalog/tombstones.h"
#include "journal/journal.h"
#include "lake/internal.h"

#define DRAIN_MS 500
#define LOOK_MS ((int64_t)60 * 1000) /* for a log that has become old */
#define BATCH 256
#define EVENTS_AT_ONCE 8192
#define DETAIL_BYTES_MAX ((size_t)JOURNAL_VALUE_BYTES_MAX)

struct scribe {
    struct catalog *catalog;
    struct journal *journal;
    pthread_t thread;
    bool has_thread;
    _Atomic uint64_t synced;     /* all commits up to this sequence were looked at */
    pthread_mutex_t drain_mutex; /* one drains at a time; held over the disk */
    pthread_mutex_t lock;        /* guards what follows */
    pthread_cond_t wake;
    bool has_news;
    bool is_ending;
};

/* --- a commit as events */

struct drained {
    struct lh_arena *arena;
    struct journal_event *items;
    size_t count;
    size_t capacity;
};

static void add(struct drained *drained, const struct journal_event *event)
{
    if (drained->count == drained->capacity) {
        size_t capacity = drained->capacity ? drained->capacity * 2 : 64;
        struct journal_event *grown = lh_arena_array(drained->arena, capacity, sizeof *grown);
        if (drained->count)
            memcpy(grown, drained->items, drained->count * sizeof *grown);
        drained->items = grown;
        drained->capacity = capacity;
    }
    drained->items[drained->count++] = *event;
}

static void put_set(struct lh_json *json, uint32_t bits)
{
    static const char *const names[] = {
        "description", "owner",       "sensitivity", "tags",           "columns", "lineage",
        "freshness",   "embedded_at", "stale_since", "refresh_policy", "schemas",
    };
    lh_json_key(json, "set");
    lh_json_array(json);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (bits & 1U << i)
            lh_json_str(json, lh_str_of(names[i]));
    lh_json_array_end(json);
}

/* Figures and names, never a value of a row. */
static struct lh_str detail_of(const struct catalog_version *version,
                               const struct catalog_commit_info *commit, struct lh_arena *arena)
{
    struct lh_buf buf;
    struct lh_json json;
    lh_buf_init(&buf, DETAIL_BYTES_MAX);
    lh_json_init(&json, &buf);
    lh_json_object(&json);
    lh_json_put_int(&json, "row_count", version->row_count);
    lh_json_put_int(&json, "object_count", version->object_count);
    lh_json_put_int(&json, "byte_count", version->byte_count);
    if (commit->job_id.len)
        lh_json_put_str(&json, "job_id", commit->job_id);
    if (lh_str_equal(commit->action, lh_lit("update")))
        put_set(&json, version->set_bits);
    lh_json_object_end(&json);
    struct lh_str text = lh_arena_str(arena, lh_buf_str(&buf));
    lh_buf_release(&buf);
    return text;
}

/* Free text of people may hold what should not be kept. */
static struct lh_str masked(struct lh_str text, struct lh_arena *arena)
{
    if (!text.len)
        return (struct lh_str){0};
    text = lh_str_head(text, JOURNAL_VALUE_BYTES_MAX);
    char *copy = lh_arena_alloc(arena, text.len + 1);
    memcpy(copy, text.data, text.len);
    return (struct lh_str){copy, lh_mask_secrets(copy, text.len)};
}

/* One that is about the dataset itself, not about "people/42" in it. */
static const struct catalog_event *own_event(const struct catalog_commit_info *commit)
{
    size_t at;
    bool is_own = commit->event_count && lh_str_equal(commit->events[0].action, commit->action) &&
                  !lh_str_find(commit->events[0].entity, lh_lit("/"), &at);
    return is_own ? &commit->events[0] : NULL;
}

/* Who wanted it, if the event says so, else who did it. */
static void set_actor(struct journal_event *event, const struct catalog_commit_info *commit,
                      struct lh_arena *arena)
{
    event->actor = commit->actor.len ? commit->actor : lh_lit("lakehouse");
    struct lh_str actor = catalog_event_actor(event->detail, arena);
    if (actor.len && !lh_str_equal(actor, event->actor)) {
        event->principal = event->actor;
        event->actor = actor;
    }
}

static void add_commit(struct drained *drained, const struct catalog_version *version,
                       struct lh_str name, const struct catalog_commit_info *commit)
{
    const struct catalog_event *own = own_event(commit);
    struct journal_event event = {
        .id = commit->uuid,
        .action = lh_arena_printf(drained->arena, "dataset.%.*s", LH_ARG(commit->action)),
        .entity = own ? own->entity : name,
        .dataset = name,
        .dataset_id = version->dataset_id,
        .reason = masked(commit->reason, drained->arena),
        .detail = own && own->detail.len ? own->detail : detail_of(version, commit, drained->arena),
        .version = version->version,
        .time_ms = version->time_ms,
        .lake_sequence = version->sequence,
    };
    set_actor(&event, commit, drained->arena);
    if (lh_str_equal(commit->action, lh_lit("rename")))
        event.field = lh_lit("name");
    add(drained, &event);
}

/* "candidates/CAND-123" is CAND-123 of candidates. */
static struct lh_str entity_of(struct lh_str entity, struct lh_str name)
{
    if (entity.len > name.len + 1 && lh_str_starts_with(entity, name) &&
        entity.data[name.len] == '/')
        return lh_str_slice(entity, name.len + 1, entity.len);
    return entity;
}

/* Of many keys all say the same but the key. */
static void add_others(struct drained *drained, const struct catalog_version *version,
                       struct lh_str name, const struct catalog_commit_info *commit)
{
    struct journal_event like = {
        .dataset = name,
        .dataset_id = version->dataset_id,
        .reason = masked(commit->reason, drained->arena),
        .request = commit->uuid,
        .version = version->version,
        .time_ms = version->time_ms,
        .lake_sequence = version->sequence,
    };
    for (size_t i = own_event(commit) != NULL; i < commit->event_count; i++) {
        const struct catalog_event *other = &commit->events[i];
        bool is_alike = like.detail.data && like.detail.data == other->detail.data;
        like.action = other->action;
        like.entity = entity_of(other->entity, name);
        like.detail = other->detail;
        if (!is_alike) {
            like.principal = (struct lh_str){0};
            set_actor(&like, commit, drained->arena);
        }
        add(drained, &like);
    }
}

/* The name that it had: the list knows today's, and the renames between. */
static struct lh_str name_then(const struct catalog_version *versions, size_t count, size_t at)
{
    for (size_t i = at + 1; i < count; i++) {
        if (!lh_str_equal(versions[i].dataset_id, versions[at].dataset_id))
            continue;
        for (size_t k = 0; k < versions[i].commit_count; k++) {
            const struct catalog_event *own = own_event(&versions[i].commits[k]);
            if (own && lh_str_equal(own->action, lh_lit("rename")))
                return own->entity;
        }
    }
    return versions[at].name;
}

/* A commit that was in doubt when its process ended is published anew, under another sequence but
 * with its UUIDs; only the last one of all can be. */
static bool is_known(const struct catalog_version *version, const struct lh_str *ids, size_t count)
{
    for (size_t i = 0; i < count && version->commit_count; i++)
        if (lh_str_equal(ids[i], version->commits[0].uuid))
            return true;
    return false;
}

/* --- draining */

/* Each version is an atom, so that what is drained ends at a whole one; its commits come first. */
static enum lh_code atom_of(struct scribe *scribe, const struct catalog_version *versions,
                            size_t count, size_t at, struct lh_arena *arena,
                            struct journal_atom *ret, struct lh_error *err)
{
    struct catalog_version version = versions[at];
    struct drained drained = {.arena = arena};
    struct lh_str name = name_then(versions, count, at);
    enum lh_code code = catalog_tombstone_events(scribe->catalog, &version, arena, err);
    if (code)
        return code;
    for (size_t i = 0; i < version.commit_count; i++)
        add_commit(&drained, &version, name, &version.commits[i]);
    for (size_t i = 0; i < version.commit_count; i++)
        add_others(&drained, &version, name, &version.commits[i]);
    for (size_t i = 0; i < drained.count; i++)
        journal_event_fit(&drained.items[i]);
    *ret = (struct journal_atom){drained.items, drained.count};
    return LH_OK;
}

/* What goes in at once. */
struct batch {
    struct lh_arena *arena; /* of the events */
    struct journal_atom atoms[BATCH];
    size_t atom_count, event_count;
};

/* Not vital: on a full disk they wait in their manifests, and the reserve is for those who delete.
 */
static enum lh_code append_batch(struct scribe *scribe, struct batch *batch, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    if (batch->atom_count)
        code = journal_append_atoms(scribe->journal, batch->atoms, batch->atom_count, false, err);
    batch->atom_count = batch->event_count = 0;
    lh_arena_clear(batch->arena);
    return code;
}

/* Few at a time when they are large: what is in memory, and goes in at once, is bounded. */
static enum lh_code append_versions(struct scribe *scribe, const struct catalog_version *versions,
                                    size_t count, const struct lh_str *ids, size_t id_count,
                                    struct lh_error *err)
{
    struct batch batch = {.arena = lh_arena_new(0)};
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < count && !code; i++) {
        struct journal_atom atom = {0};
        if (is_known(&versions[i], ids, id_count))
            continue;
        code = atom_of(scribe, versions, count, i, batch.arena, &atom, err);
        if (!code && atom.event_count) {
            batch.atoms[batch.atom_count++] = atom;
            batch.event_count += atom.event_count;
        }
        if (!code && batch.event_count > EVENTS_AT_ONCE)
            code = append_batch(scribe, &batch, err);
    }
    if (!code)
        code = append_batch(scribe, &batch, err);
    lh_arena_free(batch.arena);
    return code;
}

static enum lh_code drain_some(struct scribe *scribe, uint64_t *after, size_t *ret_count,
                               struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct catalog_version *versions = NULL;
    struct lh_str *ids = NULL;
    size_t count = 0, id_count = 0;
    uint64_t drained = journal_drained(scribe->journal, arena, &ids, &id_count);
    if (drained > *after)
        *after = drained;
    enum lh_code code =
        catalog_changes(scribe->catalog, *after, BATCH, arena, &versions, &count, err);
    if (!code)
        code = append_versions(scribe, versions, count, ids, id_count, err);
    if (!code && count)
        *after = versions[count - 1].sequence;
    if (!code)
        *ret_count = count;
    lh_arena_free(arena);
    return code;
}

enum lh_code scribe_sync(struct scribe *scribe, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    uint64_t after = 0;
    size_t count = BATCH;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(scribe->catalog);
    uint64_t newest = catalog_snapshot_sequence(snapshot);
    catalog_snapshot_unref(snapshot);
    if (atomic_load(&scribe->synced) >= newest)
        return LH_OK;
    pthread_mutex_lock(&scribe->drain_mutex);
    while (!code && count == BATCH)
        code = drain_some(scribe, &after, &count, err);
    if (!code) {
        catalog_set_drained(scribe->catalog, after);
        /* Those that were damaged or in doubt count too: they are not there to be drained. */
        if (newest > atomic_load(&scribe->synced))
            atomic_store(&scribe->synced, newest);
    }
    pthread_mutex_unlock(&scribe->drain_mutex);
    return code;
}

enum lh_code scribe_freshen(struct scribe *scribe, struct lh_error *err)
{
    struct lh_error found = LH_ERROR_NONE;
    enum lh_code code = scribe_sync(scribe, &found);
    if (code == LH_FULL || code == LH_IO || code == LH_UNKNOWN)
        return LH_OK;
    if (code && err)
        *err = found;
    return code;
}

bool scribe_is_behind(struct scribe *scribe)
{
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(scribe->catalog);
    bool is_behind = atomic_load(&scribe->synced) < catalog_snapshot_sequence(snapshot);
    catalog_snapshot_unref(snapshot);
    return is_behind;
}

static void look(struct scribe *scribe)
{
    struct lh_error err = LH_ERROR_NONE;
    if (scribe_sync(scribe, &err))
        lh_log_error(LH_LOG_WARN, "lake.journal", &err);
    enum lh_code code = journal_roll(scribe->journal, false, &err);
    if (code && code != LH_BUSY)
        lh_log_error(LH_LOG_WARN, "lake.journal", &err);
}

/* --- its thread */

/* With the lock. */
static void rest(struct scribe *scribe, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t nanos = until.tv_nsec + ms % 1000 * 1000000;
    until.tv_sec += (time_t)(ms / 1000 + nanos / 1000000000);
    until.tv_nsec = (long)(nanos % 1000000000);
    pthread_cond_timedwait(&scribe->wake, &scribe->lock, &until);
}

static void *write_down(void *context)
{
    struct scribe *scribe = context;
    pthread_mutex_lock(&scribe->lock);
    while (!scribe->is_ending) {
        if (!scribe->has_news)
            rest(scribe, LOOK_MS);
        /* News that come during this rest belong to the same look. */
        scribe->has_news = true;
        if (!scribe->is_ending)
            rest(scribe, DRAIN_MS);
        scribe->has_news = false;
        if (scribe->is_ending)
            break;
        pthread_mutex_unlock(&scribe->lock);
        look(scribe);
        pthread_mutex_lock(&scribe->lock);
    }
    pthread_mutex_unlock(&scribe->lock);
    return NULL;
}

static void wake(void *context)
{
    scribe_wake(context);
}

/* Whoever is behind what was drained would be skipped. */
enum lh_code scribe_settle(struct catalog *catalog, struct journal *journal, struct lh_error *err)
{
    uint64_t drained = 0;
    enum lh_code code = journal_check_drained(journal, catalog_expect(catalog, 0), &drained, err);
    if (!code)
        (void)catalog_expect(catalog, drained);
    return code;
}

enum lh_code scribe_start(struct catalog *catalog, struct journal *journal, struct scribe **ret,
                          struct lh_error *err)
{
    struct scribe *scribe = lh_allocate(1, sizeof *scribe);
    pthread_condattr_t attributes;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_str *ids = NULL;
    size_t count = 0;
    scribe->catalog = catalog;
    scribe->journal = journal;
    scribe->has_news = true; /* what was committed before the last end */
    catalog_set_drained(catalog, journal_drained(journal, arena, &ids, &count));
    lh_arena_free(arena);
    pthread_mutex_init(&scribe->drain_mutex, NULL);
    pthread_mutex_init(&scribe->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&scribe->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    journal_on_due(journal, wake, scribe);
    enum lh_code code = lh_thread_start("scribe", write_down, scribe, &scribe->thread, err);
    scribe->has_thread = !code;
    if (code)
        scribe_free(scribe);
    else
        *ret = scribe;
    return code;
}

/* The commit that woke it has its reader at once, if there is one; the scribe sleeps through those
 * that follow. */
void scribe_wake(struct scribe *scribe)
{
    pthread_mutex_lock(&scribe->lock);
    bool is_first = !scribe->has_news;
    scribe->has_news = true;
    if (is_first)
        pthread_cond_signal(&scribe->wake);
    pthread_mutex_unlock(&scribe->lock);
}

void scribe_stop(struct scribe *scribe)
{
    if (!scribe || !scribe->has_thread)
        return;
    pthread_mutex_lock(&scribe->lock);
    scribe->is_ending = true;
    pthread_cond_signal(&scribe->wake);
    pthread_mutex_unlock(&scribe->lock);
    pthread_join(scribe->thread, NULL);
    scribe->has_thread = false;
}

void scribe_free(struct scribe *scribe)
{
    if (!scribe)
        return;
    journal_on_due(scribe->journal, NULL, NULL);
    pthread_cond_destroy(&scribe->wake);
    pthread_mutex_destroy(&scribe->lock);
    pthread_mutex_destroy(&scribe->drain_mutex);
    free(scribe);
}
