/* Group commit. Whoever finds nobody leading leads: it takes what waits, writes it as one piece
 * with one fsync, answers all of them, and gives the lead away. While it waits for the disk the
 * others queue up, so under load one fsync serves many. It lingers a moment when it was not alone
 * the last time, as the catalog's leader does: those it answered come back together, and the first
 * of them would else go alone. */
#include "base/clock.h"
#include "journal/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#define GROUP_MAX 256
#define GROUP_BYTES_MAX ((size_t)512 << 20)
#define LINGER_US_MAX 1000

static enum lh_code fail_stopped(struct lh_error *err)
{
    lh_fail(err, LH_UNKNOWN, "The journal stopped because the disk failed while it was written.");
    return lh_error_hint(err, "Look at the disk, then restart the server: it recovers.");
}

static enum lh_code fail_crowded(const struct journal *journal, struct lh_error *err)
{
    lh_fail(err, LH_BUSY, "%zu records (%lld bytes) of the journal wait to become a segment.",
            journal->tail.count - journal->tail_rolled, (long long)journal->waiting_bytes);
    return lh_error_hint(err, "GET /health says what keeps them; POST /journal/flush tries again.");
}

/* --- the leader */

static void linger(struct journal *journal)
{
    int64_t wait_us = journal->last_append_us / 4;
    if (journal->last_group < 2 || journal->queue_count >= journal->last_group)
        return;
    if (wait_us > LINGER_US_MAX)
        wait_us = LINGER_US_MAX;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t nanoseconds = until.tv_nsec + wait_us * 1000;
    until.tv_sec += (time_t)(nanoseconds / 1000000000);
    until.tv_nsec = (long)(nanoseconds % 1000000000);
    while (journal->queue_count < journal->last_group)
        if (pthread_cond_timedwait(&journal->changed, &journal->mutex, &until))
            break;
}

void journal_on_due(struct journal *journal, void (*on_due)(void *context), void *context)
{
    pthread_mutex_lock(&journal->mutex);
    journal->on_due = on_due;
    journal->due_context = context;
    pthread_mutex_unlock(&journal->mutex);
}

/* Under the mutex: the sequence of the first record of that request; 0 = there is none. */
static uint64_t find_repeat(const struct journal *journal, struct lh_str request)
{
    for (size_t i = journal->tail.count; request.len && i > 0; i--) {
        const struct record *record = journal->tail.items[i - 1];
        if (record->kind == RECORD_EVENT && lh_str_equal(record->event.request, request))
            return record->sequence;
    }
    return 0;
}

bool journal_has_request(struct journal *journal, struct lh_str request)
{
    pthread_mutex_lock(&journal->mutex);
    bool is_there = find_repeat(journal, request) != 0;
    pthread_mutex_unlock(&journal->mutex);
    return is_there;
}

/* Under the mutex. Repetitions are answered here and not taken. */
static size_t take_group(struct journal *journal, struct append_request **ret)
{
    size_t count = 0;
    bool is_vital = journal->queue_first->is_vital;
    while (journal->queue_first && count < GROUP_MAX &&
           journal->queue_first->is_vital == is_vital) {
        struct append_request *request = journal->queue_first;
        uint64_t repeat = find_repeat(journal, request->records[0]->event.request);
        journal->queue_first = request->next;
        journal->queue_count--;
        if (repeat) {
            request->first_sequence = repeat;
            request->is_repeat = request->is_done = true;
        } else {
            ret[count++] = request;
        }
    }
    if (!journal->queue_first)
        journal->queue_last = NULL;
    return count;
}

/* A file takes no more than `roll_bytes`, or one group: so it can always be read again, however
 * long nobody turns the logs into segments. */
static enum lh_code make_room(struct journal *journal, struct append_request **group, size_t count,
                              struct lh_error *err)
{
    int64_t bytes = storage_log_bytes(journal->log);
    if (journal->sequence < journal->log_first) /* it is empty */
        return LH_OK;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < group[i]->count; k++)
            bytes += (int64_t)record_bytes(group[i]->records[k]);
    return bytes > journal->options.roll_bytes ? journal_new_log(journal, err) : LH_OK;
}

/* Only the leader is here: numbers and chains the records, and writes them. */
static enum lh_code write_group(struct journal *journal, struct append_request **group,
                                size_t count, uint64_t *ret_sequence,
                                uint8_t ret_hash[LH_SHA256_BYTES], struct lh_error *err)
{
    enum lh_code code = make_room(journal, group, count, err);
    if (code)
        return code;
    struct lh_buf buf;
    uint64_t sequence = journal->sequence;
    uint8_t hash[LH_SHA256_BYTES];
    memcpy(hash, journal->hash, sizeof hash);
    lh_buf_init(&buf, GROUP_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        group[i]->first_sequence = sequence + 1;
        for (size_t k = 0; k < group[i]->count; k++) {
            struct record *record = group[i]->records[k];
            record->before = (uint32_t)(sequence - journal->sequence);
            record->sequence = ++sequence;
            record->epoch = journal->options.epoch;
            memcpy(record->previous, hash, sizeof hash);
            record_encode(record, &buf);
            memcpy(hash, record->hash, sizeof hash);
        }
    }
    code = lh_buf_check(&buf, "What is to be journaled", err);
    if (!code)
        code = storage_log_append(journal->log, lh_buf_str(&buf), group[0]->is_vital, err);
    if (!code) {
        *ret_sequence = sequence;
        memcpy(ret_hash, hash, sizeof hash);
    }
    lh_buf_release(&buf);
    return code;
}

/* Under the mutex: what was written becomes what readers see. */
static void show_group(struct journal *journal, struct append_request **group, size_t count,
                       uint64_t sequence, const uint8_t hash[LH_SHA256_BYTES])
{
    journal->sequence = sequence;
    memcpy(journal->hash, hash, LH_SHA256_BYTES);
    journal->syncs++;
    journal->appends += (int64_t)count;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < group[i]->count; k++) {
            struct record *record = group[i]->records[k];
            if (!journal->log_since_ms)
                journal->log_since_ms = lh_clock_unix_ms();
            record_list_add(&journal->tail, record_ref(record));
            journal->waiting_bytes += (int64_t)record_bytes(record);
            journal_note_record(journal, record);
        }
    }
}

/* With the mutex, which is given back while it writes. */
static void lead(struct journal *journal)
{
    struct append_request *group[GROUP_MAX];
    struct lh_error err = LH_ERROR_NONE;
    uint64_t sequence = 0;
    uint8_t hash[LH_SHA256_BYTES];
    journal->has_leader = true;
    linger(journal);
    size_t count = take_group(journal, group);
    bool is_stopped = journal->is_stopped;
    pthread_mutex_unlock(&journal->mutex);

    int64_t started_us = lh_clock_monotonic_us();
    enum lh_code code = LH_OK;
    if (count)
        code = is_stopped ? fail_stopped(&err)
                          : write_group(journal, group, count, &sequence, hash, &err);
    int64_t took_us = lh_clock_monotonic_us() - started_us;
    if (count && !code)
        mark_write(journal, sequence, hash);

    pthread_mutex_lock(&journal->mutex);
    journal->last_group = count;
    journal->last_append_us = took_us;
    if (count && !code)
        show_group(journal, group, count, sequence, hash);
    if (journal->on_due && journal_is_due(journal, false))
        journal->on_due(journal->due_context);
    journal->is_stopped |= code == LH_UNKNOWN;
    for (size_t i = 0; i < count; i++) {
        group[i]->code = code;
        if (code && group[i]->err)
            *group[i]->err = err;
        group[i]->is_done = true;
    }
    journal->has_leader = false;
    pthread_cond_broadcast(&journal->changed);
}

void journal_take_lead(struct journal *journal)
{
    pthread_mutex_lock(&journal->mutex);
    while (journal->has_leader)
        pthread_cond_wait(&journal->changed, &journal->mutex);
    journal->has_leader = true;
    pthread_mutex_unlock(&journal->mutex);
}

void journal_give_lead(struct journal *journal)
{
    pthread_mutex_lock(&journal->mutex);
    journal->has_leader = false;
    pthread_cond_broadcast(&journal->changed);
    pthread_mutex_unlock(&journal->mutex);
}

/* --- those who wait */

static enum lh_code enqueue_and_wait(struct journal *journal, struct append_request *request)
{
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&journal->mutex);
    if (journal->is_stopped)
        code = fail_stopped(request->err);
    else if (!request->is_vital && (journal->tail.count > JOURNAL_TAIL_RECORDS_MAX ||
                                    journal->waiting_bytes > journal->options.waiting_bytes_max))
        code = fail_crowded(journal, request->err);
    if (code) {
        pthread_mutex_unlock(&journal->mutex);
        return code;
    }
    if (journal->queue_last)
        journal->queue_last->next = request;
    else
        journal->queue_first = request;
    journal->queue_last = request;
    journal->queue_count++;
    pthread_cond_broadcast(&journal->changed);
    while (!request->is_done) {
        if (journal->has_leader)
            pthread_cond_wait(&journal->changed, &journal->mutex);
        else
            lead(journal);
    }
    pthread_mutex_unlock(&journal->mutex);
    return request->code;
}

static enum lh_code append_records(struct journal *journal, struct record **records, size_t count,
                                   bool is_vital, uint64_t *ret_sequence, bool *ret_is_repeat,
                                   struct lh_error *err)
{
    struct append_request request = {
        .records = records, .count = count, .is_vital = is_vital, .err = err};
    enum lh_code code = enqueue_and_wait(journal, &request);
    if (!code && ret_sequence)
        *ret_sequence = request.first_sequence;
    if (!code && ret_is_repeat)
        *ret_is_repeat = request.is_repeat;
    return code;
}

/* The last record of an atom says so. */
static enum lh_code add_atom(const struct journal_atom *atom, struct record_list *list,
                             struct lh_error *err)
{
    enum lh_code code = LH_OK;
    if (!atom->event_count || list->count + atom->event_count > JOURNAL_EVENTS_MAX)
        return lh_fail(err, LH_INVALID, "%zu events cannot be appended at once; 1 to %d can.",
                       list->count + atom->event_count, JOURNAL_EVENTS_MAX);
    for (size_t i = 0; i < atom->event_count && !code; i++) {
        code = record_check(&atom->events[i], err);
        struct record *record = code ? NULL : record_new(&atom->events[i]);
        if (record) {
            record->has_more = i + 1 < atom->event_count;
            record_list_add(list, record);
        } else if (!code) {
            code = lh_fail(err, LH_BUSY, "There is no memory for an event.");
        }
    }
    return code;
}

enum lh_code journal_append_atoms(struct journal *journal, const struct journal_atom *atoms,
                                  size_t atom_count, bool is_vital, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    struct record_list list = {0};
    for (size_t i = 0; i < atom_count && !code; i++)
        code = add_atom(&atoms[i], &list, err);
    if (!code && list.count)
        code = append_records(journal, list.items, list.count, is_vital, NULL, NULL, err);
    record_list_release(&list);
    return code;
}

enum lh_code journal_append(struct journal *journal, const struct journal_event *events,
                            size_t event_count, bool is_vital, uint64_t *ret_sequence,
                            bool *ret_is_repeat, struct lh_error *err)
{
    const struct journal_atom atom = {events, event_count};
    struct record_list list = {0};
    enum lh_code code = add_atom(&atom, &list, err);
    if (!code)
        code = append_records(journal, list.items, list.count, is_vital, ret_sequence,
                              ret_is_repeat, err);
    record_list_release(&list);
    return code;
}

static enum lh_code append_one(struct journal *journal, const struct journal_event *event,
                               enum record_kind kind, uint64_t intent, bool is_vital,
                               uint64_t *ret_sequence, struct lh_error *err)
{
    enum lh_code code = record_check(event, err);
    struct record *record = code ? NULL : record_new(event);
    if (!code && !record)
        code = lh_fail(err, LH_BUSY, "There is no memory for an event.");
    if (!code) {
        assert(record);
        record->kind = kind;
        record->intent = intent;
        code = append_records(journal, &record, 1, is_vital, ret_sequence, NULL, err);
    }
    record_unref(record);
    return code;
}

enum lh_code journal_intend(struct journal *journal, const struct journal_event *event,
                            bool is_vital, uint64_t *ret, struct lh_error *err)
{
    return append_one(journal, event, RECORD_INTENT, 0, is_vital, ret, err);
}

enum lh_code journal_settle(struct journal *journal, uint64_t intent,
                            const struct journal_event *event, struct lh_error *err)
{
    const struct journal_event none = {.action = lh_lit("void"), .entity = lh_lit("-")};
    /* Vital: what has happened must be told, and takes little. */
    return append_one(journal, event ? event : &none, event ? RECORD_EVENT : RECORD_VOID, intent,
                      true, NULL, err);
}
