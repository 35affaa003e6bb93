#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "catalog/internal.h"

/* Group commit. Whoever finds no leader leads: it takes one group from the queue (changes that may
 * share a version), makes it durable, answers it, and gives the lead away. While it waits for the
 * disk the others queue up, so under load one manifest, and its two fsyncs, serve many.
 *
 * Why the leader lingers: the members of an answered group come back together, but the first of
 * them would find an empty queue and go alone, halving the groups. It waits for as many as came
 * last time, at most a quarter of what a commit takes. A lone writer never waits.
 *
 * Each sleeps on a condition of its own: of many who wait only those whose answer is there are
 * woken, and the one that is to lead next. */

#define GROUP_MAX 64
#define LINGER_US_MAX 1000
#define REBASES_MAX 8

struct group {
    struct commit_request *items[GROUP_MAX];
    size_t count;
    struct lh_arena *arena;
};

static bool is_same_work(const struct catalog_change *a, const struct catalog_change *b)
{
    return (a->job_id.len && lh_str_equal(a->job_id, b->job_id)) ||
           (a->idempotency_key.len && lh_str_equal(a->idempotency_key, b->idempotency_key));
}

static bool may_join(const struct group *group, const struct catalog_change *change)
{
    if (!change_is_joinable(change))
        return false;
    /* A repetition waits until the first has its result. */
    for (size_t i = 0; i < group->count; i++)
        if (is_same_work(group->items[i]->change, change))
            return false;
    return true;
}

/* Under the queue's mutex. What follows a change that cannot join keeps its place behind it. */
static void take_group(struct catalog *catalog, struct group *group)
{
    struct commit_request *first = catalog->queue_first;
    struct lh_str id = first->change->dataset_id;
    bool is_open = change_is_joinable(first->change);
    catalog->queue_first = first->next;
    group->items[group->count++] = first;
    struct commit_request **link = &catalog->queue_first;
    while (*link && is_open && group->count < GROUP_MAX) {
        struct commit_request *request = *link;
        if (!lh_str_equal(request->change->dataset_id, id)) {
            link = &request->next;
        } else if (may_join(group, request->change)) {
            *link = request->next;
            group->items[group->count++] = request;
        } else {
            is_open = false;
        }
    }
    catalog->queue_count -= group->count;
    catalog->queue_last = NULL;
    for (struct commit_request *at = catalog->queue_first; at; at = at->next)
        catalog->queue_last = at;
}

static void linger(struct catalog *catalog)
{
    int64_t wait_us = catalog->last_commit_us / 4;
    if (catalog->last_group < 2 || catalog->queue_count >= catalog->last_group)
        return;
    if (wait_us > LINGER_US_MAX)
        wait_us = LINGER_US_MAX;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t nanoseconds = until.tv_nsec + wait_us * 1000;
    until.tv_sec += (time_t)(nanoseconds / 1000000000);
    until.tv_nsec = (long)(nanoseconds % 1000000000);
    while (catalog->queue_count < catalog->last_group)
        if (pthread_cond_timedwait(&catalog->queue_changed, &catalog->queue_mutex, &until))
            break;
}

static void answer(struct commit_request *request, const struct manifest *manifest)
{
    *request->ret = (struct catalog_commit_result){
        .dataset_id = lh_arena_str(request->arena, request->change->dataset_id),
        .version = manifest->version,
        .sequence = manifest->sequence,
        .time_ms = manifest->time_ms,
        .uuid = request->uuid,
        .result = lh_arena_str(request->arena, request->change->result),
    };
    request->code = LH_OK;
}

static void fail_all(struct commit_request *const *items, size_t count, enum lh_code code,
                     const struct lh_error *err)
{
    for (size_t i = 0; i < count; i++) {
        items[i]->code = code;
        if (items[i]->err)
            *items[i]->err = *err;
    }
}

/* True if an earlier change did this work: the request then has its answer. */
static bool is_repetition(struct catalog *catalog, struct commit_request *request)
{
    const struct catalog_change *change = request->change;
    bool is_found = false;
    if (!change->job_id.len && !change->idempotency_key.len)
        return false;
    request->code =
        catalog_fulfilled(catalog, change->job_id, change->idempotency_key, change->request_hash,
                          request->arena, &is_found, request->ret, request->err);
    return request->code || is_found;
}

/* The manifest of those that can be done; *ret_count of them, moved to the front of `ready`. */
static void merge_group(struct catalog *catalog, struct group *group, size_t place,
                        struct manifest *manifest, struct commit_request **ready, size_t *ret_count)
{
    size_t count = 0;
    const struct dataset_state *state =
        place < catalog->slot_count ? catalog->snapshot->items[place] : NULL;
    for (size_t i = 0; i < group->count; i++) {
        struct commit_request *request = group->items[i];
        if (is_repetition(catalog, request))
            continue;
        request->code = change_merge(catalog->snapshot, state, request->change, &request->uuid,
                                     group->arena, manifest, request->err);
        if (!request->code)
            ready[count++] = request;
    }
    *ret_count = count;
}

/* Somebody else published our version: take what is there. LH_LOCKED if it was a later writer. */
static enum lh_code reload(struct catalog *catalog, size_t place, struct lh_str id,
                           struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct chain_file *files = NULL;
    struct chain_head head = {0};
    size_t count = 0;
    enum lh_code code = epoch_check(catalog, err);
    if (!code)
        code = chain_list(catalog->storage, id, arena, &files, &count, err);
    while (!code && count && files[count - 1].is_checkpoint)
        count--;
    if (!code && !count)
        code = lh_fail(err, LH_RACE, "Another writer was first.");
    if (!code)
        code = chain_replay(catalog->storage, id, files[count - 1].version, &head, err);
    if (!code && head.epoch > catalog->epoch) {
        state_unref(head.state);
        catalog_stop_writing(catalog, LH_LOCKED);
        code = lh_fail(err, LH_LOCKED,
                       "Another process took this lake over; this one no longer writes.");
    }
    if (!code) {
        if (place == catalog->slot_count)
            place = catalog_add_slot(catalog, id);
        catalog->slots[place].head = head;
        catalog_show(catalog, place, head.state,
                     head.sequence > catalog->sequence ? head.sequence : catalog->sequence,
                     head.time_ms > catalog->time_ms ? head.time_ms : catalog->time_ms);
    }
    lh_arena_free(arena);
    return code;
}

static size_t place_of(const struct catalog *catalog, struct lh_str id)
{
    size_t place = snapshot_find_id(catalog->snapshot, id);
    return place == SIZE_MAX ? catalog->slot_count : place;
}

/* Only the leader is here, and only the leader exchanges the snapshot: it reads it without the
 * lock. */
static void commit_group(struct catalog *catalog, struct group *group)
{
    struct commit_request *ready[GROUP_MAX];
    struct lh_error err = LH_ERROR_NONE;
    struct lh_str id = group->items[0]->change->dataset_id;
    size_t count = 0;
    enum lh_code code = LH_EXISTS;
    for (unsigned i = 0; i < REBASES_MAX && code == LH_EXISTS; i++) {
        struct manifest manifest;
        size_t place = place_of(catalog, id);
        publish_prepare(catalog, place, id, &manifest);
        merge_group(catalog, group, place, &manifest, ready, &count);
        if (!count)
            return;
        struct dataset_state *parent =
            place < catalog->slot_count ? catalog->slots[place].head.state : NULL;
        code = publish_version(catalog, place, parent, &manifest, &err);
        for (size_t k = 0; k < count && !code; k++)
            answer(ready[k], &manifest);
        if (code == LH_EXISTS && reload(catalog, place, id, &err))
            code = err.code;
    }
    if (code == LH_EXISTS)
        code = lh_fail(&err, LH_RACE, "Another writer was first, %d times in a row.", REBASES_MAX);
    if (code)
        fail_all(ready, count, code, &err);
}

static enum lh_code fail_stopped(enum lh_code why, struct lh_error *err)
{
    if (why == LH_LOCKED)
        return lh_fail(err, LH_LOCKED,
                       "Another process took this lake over; this one no longer writes.");
    lh_fail(err, LH_UNKNOWN, "Writing stopped because the disk failed in the middle of a commit.");
    return lh_error_hint(err, "Look at the disk, then restart the server: it recovers on opening.");
}

/* With the queue's mutex, which it gives back while it writes. */
static void lead(struct catalog *catalog)
{
    struct group group = {.count = 0};
    struct lh_error err = LH_ERROR_NONE;
    catalog->has_leader = true;
    linger(catalog);
    take_group(catalog, &group);
    enum lh_code stopped = catalog->stopped;
    pthread_mutex_unlock(&catalog->queue_mutex);

    int64_t started_us = lh_clock_monotonic_us();
    if (stopped) {
        fail_stopped(stopped, &err);
        fail_all(group.items, group.count, stopped, &err);
    } else {
        group.arena = lh_arena_new(0);
        commit_group(catalog, &group);
        lh_arena_free(group.arena);
    }
    int64_t took_us = lh_clock_monotonic_us() - started_us;

    pthread_mutex_lock(&catalog->queue_mutex);
    catalog->last_group = group.count;
    catalog->last_commit_us = took_us;
    struct lh_str id = {0};
    bool is_wanted = false;
    char id_text[LH_UUID_TEXT_BYTES];
    for (size_t i = 0; i < group.count; i++)
        is_wanted |= group.items[i]->change->checkpoint;
    if (!stopped) { /* the change itself is gone once its caller was answered */
        id = group.items[0]->change->dataset_id;
        memcpy(id_text, id.data, sizeof id_text);
        id.data = id_text;
    }
    for (size_t i = 0; i < group.count; i++) {
        group.items[i]->is_done = true;
        pthread_cond_signal(&group.items[i]->turn);
    }
    pthread_mutex_unlock(&catalog->queue_mutex);

    if (!stopped && place_of(catalog, id) < catalog->slot_count)
        publish_checkpoint(catalog, place_of(catalog, id), is_wanted);

    pthread_mutex_lock(&catalog->queue_mutex);
    catalog->has_leader = false;
    if (catalog->queue_first)
        pthread_cond_signal(&catalog->queue_first->turn);
    pthread_cond_broadcast(&catalog->queue_changed); /* who closes the catalog */
}

static enum lh_code enqueue_and_wait(struct catalog *catalog, struct commit_request *request)
{
    pthread_mutex_lock(&catalog->queue_mutex);
    if (catalog->stopped || catalog->is_closing) {
        enum lh_code stopped = catalog->stopped;
        pthread_mutex_unlock(&catalog->queue_mutex);
        return stopped ? fail_stopped(stopped, request->err)
                       : lh_fail(request->err, LH_STOPPING, "The lake is being closed.");
    }
    if (catalog->queue_last)
        catalog->queue_last->next = request;
    else
        catalog->queue_first = request;
    catalog->queue_last = request;
    catalog->queue_count++;
    if (catalog->queue_count >= catalog->last_group)
        pthread_cond_broadcast(&catalog->queue_changed); /* the leader, if it lingers */
    while (!request->is_done) {
        if (catalog->has_leader)
            pthread_cond_wait(&request->turn, &catalog->queue_mutex);
        else
            lead(catalog);
    }
    pthread_mutex_unlock(&catalog->queue_mutex);
    return request->code;
}

static enum lh_code check_dependents(struct catalog *catalog, const struct catalog_change *change,
                                     struct lh_arena *arena, struct lh_error *err)
{
    const struct catalog_dataset *dataset = NULL;
    struct lh_str_list names = {0};
    if (change->action != CATALOG_DROP || change->cascade || !catalog->options.dependents)
        return LH_OK;
    struct catalog_snapshot *snapshot = catalog_snapshot_ref(catalog);
    enum lh_code code = catalog_find_id(snapshot, change->dataset_id, &dataset, err);
    if (!code)
        code = catalog->options.dependents(catalog->options.context, dataset, arena, &names, err);
    if (!code && names.count) {
        struct lh_buf list;
        lh_buf_init(&list, 1024);
        for (size_t i = 0; i < names.count; i++)
            lh_buf_printf(&list, "%s%.*s", i ? ", " : "", LH_ARG(names.items[i]));
        lh_fail(err, LH_CONFLICT, "Dataset '%.*s' cannot be dropped: %zu thing%s on it (%.*s).",
                LH_ARG(dataset->name), names.count, names.count == 1 ? " depends" : "s depend",
                LH_ARG(lh_buf_str(&list)));
        code = lh_error_hint(err, "Remove them first, or drop with cascade.");
        lh_buf_release(&list);
    }
    catalog_snapshot_unref(snapshot);
    return code;
}

enum lh_code catalog_commit(struct catalog *catalog, const struct catalog_change *change,
                            struct lh_arena *arena, struct catalog_commit_result *ret,
                            struct lh_error *err)
{
    enum lh_code code = change_check(change, err);
    /* Who undoes has verified what comes back; who brings a file has just written and summed it. */
    for (size_t i = 0; change->action != CATALOG_UNDO && i < change->object_count && !code; i++)
        code = trust_note(catalog, &change->objects[i], err);
    if (!code)
        code = check_dependents(catalog, change, arena, err);
    if (code)
        return code;
    struct commit_request request = {
        .change = change, .arena = arena, .ret = ret, .err = err, .uuid = lh_uuid_new()};
    pthread_cond_init(&request.turn, NULL);
    code = enqueue_and_wait(catalog, &request);
    pthread_cond_destroy(&request.turn);
    return code;
}
