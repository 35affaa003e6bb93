#include "journal/erase.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/engine.h"
#include "journal/internal.h"

struct erasing {
    struct journal *journal;
    const struct journal_erase_options *options;
    struct record_list records; /* all, from the first; those that are changed are new ones */
    int64_t bytes;
    int64_t changed;
    uint8_t before[LH_SHA256_BYTES]; /* hash of the last one, as it was */
    uint8_t after[LH_SHA256_BYTES];  /* and is */
    uint8_t old_previous[LH_SHA256_BYTES];
};

/* A record with these texts in the place of another. */
static enum lh_code copy_record(const struct record *from, const struct journal_event *event,
                                struct record **ret, struct lh_error *err)
{
    struct record *record = record_new(event);
    if (!record)
        return lh_fail(err, LH_BUSY, "There is no memory for a record of the journal.");
    record->event.time_ms = from->event.time_ms;
    record->sequence = from->sequence;
    record->epoch = from->epoch;
    record->intent = from->intent;
    record->kind = from->kind;
    record->has_more = from->has_more;
    *ret = record;
    return LH_OK;
}

/* A chain that is broken is not mended by writing it anew. */
static enum lh_code check_chain(struct erasing *erasing, const struct record *record,
                                struct lh_error *err)
{
    uint8_t stored[LH_SHA256_BYTES];
    struct record *copy = NULL;
    enum lh_code code = copy_record(record, &record->event, &copy, err);
    if (code)
        return code;
    assert(copy);
    memcpy(stored, record->hash, sizeof stored);
    memcpy(copy->previous, record->previous, sizeof copy->previous);
    record_sum(copy);
    bool is_sound = record->sequence == erasing->records.count + 1 &&
                    memcmp(record->previous, erasing->old_previous, sizeof stored) == 0 &&
                    memcmp(copy->hash, stored, sizeof stored) == 0;
    record_unref(copy);
    memcpy(erasing->old_previous, stored, sizeof stored);
    if (is_sound)
        return LH_OK;
    return lh_fail(err, LH_DAMAGED,
                   "Record %llu of the journal is not what was written: it is not written anew.",
                   (unsigned long long)record->sequence);
}

static enum lh_code add_record(void *context, struct record *record, struct lh_error *err)
{
    struct erasing *erasing = context;
    struct lh_arena *arena = lh_arena_new(0);
    struct journal_event event = record->event;
    struct record *fresh = NULL;
    enum lh_code code = check_chain(erasing, record, err);
    erasing->bytes += (int64_t)record_bytes(record);
    if (!code && (erasing->records.count >= JOURNAL_ERASE_RECORDS_MAX ||
                  erasing->bytes > JOURNAL_ERASE_BYTES_MAX))
        code = lh_fail(err, LH_TOO_LARGE, "The journal is too long to be written anew at once.");
    bool is_changed = !code && erasing->options->rewrite(erasing->options->context, &event, arena);
    if (!code)
        code = copy_record(record, &event, &fresh, err);
    if (!code) {
        assert(fresh);
        memcpy(fresh->previous, erasing->after, sizeof fresh->previous);
        record_sum(fresh);
        memcpy(erasing->after, fresh->hash, sizeof fresh->hash);
        memcpy(erasing->before, record->hash, sizeof record->hash);
        erasing->changed += is_changed;
        record_list_add(&erasing->records, fresh);
    }
    lh_arena_free(arena);
    return code;
}

/* All of them: those of the segments, then those that are only in the log. Its caller leads. */
static enum lh_code read_all(struct erasing *erasing, struct lh_error *err)
{
    struct journal *journal = erasing->journal;
    struct record_list rest = {0};
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < journal->segment_count && !code; i++) {
        struct lh_buf sql;
        lh_buf_init(&sql, 65536);
        lh_buf_printf(&sql, "SELECT %s FROM read_parquet(", segment_columns);
        engine_quote_path(&sql, lh_str_of(journal->segments[i].path));
        lh_buf_append_str(&sql, lh_lit(", hive_partitioning = false) ORDER BY sequence"));
        code = segment_rows(journal->options.engine, lh_buf_str(&sql), erasing->options->cancel,
                            add_record, erasing, err);
        lh_buf_release(&sql);
    }
    pthread_mutex_lock(&journal->mutex);
    for (size_t i = journal->tail_rolled; i < journal->tail.count; i++)
        record_list_add(&rest, record_ref(journal->tail.items[i]));
    pthread_mutex_unlock(&journal->mutex);
    for (size_t i = 0; i < rest.count && !code; i++)
        code = add_record(erasing, rest.items[i], err);
    record_list_release(&rest);
    return code;
}

/* What happened here, as the last record. */
static enum lh_code add_event(struct erasing *erasing, struct lh_error *err)
{
    struct journal *journal = erasing->journal;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_uuid id = lh_uuid_new();
    char hex[LH_SHA256_HEX_BYTES + 1];
    lh_hex(erasing->before, LH_SHA256_BYTES, hex);
    const struct journal_event event = {
        .id = lh_uuid_str(&id),
        .action = lh_lit("journal.erase"),
        .entity = lh_lit("journal"),
        .actor = erasing->options->actor,
        .reason = erasing->options->reason,
        .detail = lh_arena_printf(arena, "{\"hash_before\":\"%s\",\"records\":%lld}", hex,
                                  (long long)erasing->changed),
        .time_ms = lh_clock_unix_ms(),
    };
    struct record *record = record_new(&event);
    lh_arena_free(arena);
    if (!record)
        return lh_fail(err, LH_BUSY, "There is no memory for a record of the journal.");
    record->event.time_ms = event.time_ms;
    record->sequence = journal->sequence + 1;
    record->epoch = journal->options.epoch;
    record->kind = RECORD_EVENT;
    memcpy(record->previous, erasing->after, sizeof record->previous);
    record_sum(record);
    record_list_add(&erasing->records, record);
    return LH_OK;
}

/* From here on the new records are the journal's, for whoever opens it, too. Its caller leads. */
static enum lh_code take_over(struct erasing *erasing, const struct journal_file *file,
                              struct lh_error *err)
{
    struct journal *journal = erasing->journal;
    const struct record_list *all = &erasing->records;
    const struct record *last = all->items[all->count - 1];
    pthread_mutex_lock(&journal->mutex);
    size_t kept = journal->tail.count + 1 < all->count ? journal->tail.count + 1 : all->count;
    record_list_release(&journal->tail);
    for (size_t i = all->count - kept; i < all->count; i++)
        record_list_add(&journal->tail, record_ref(all->items[i]));
    journal->tail_rolled = kept;
    segment_drop_all(journal);
    enum lh_code code = segment_add(journal, file, err);
    journal->sequence = last->sequence;
    memcpy(journal->hash, last->hash, sizeof last->hash);
    journal->event_count++;
    journal->buffered = 0;
    journal->waiting_bytes = 0;
    journal->log_since_ms = 0;
    pthread_mutex_unlock(&journal->mutex);
    mark_write(journal, last->sequence, last->hash);
    if (!code)
        code = journal_new_log(journal, err);
    if (!code)
        return LH_OK;
    pthread_mutex_lock(&journal->mutex);
    journal->is_stopped = true; /* the log that is open does not follow any more */
    pthread_mutex_unlock(&journal->mutex);
    return code == LH_UNKNOWN ? code
                              : lh_fail(err, LH_UNKNOWN,
                                        "The journal was written anew, and no log could be begun.");
}

/* Every file but the new segment and the new log. */
static void remove_old(struct journal *journal, struct lh_str kept)
{
    struct storage *storage = journal->options.storage;
    struct lh_arena *arena = lh_arena_new(0);
    struct journal_file *logs = NULL, *segments = NULL;
    struct lh_error err = LH_ERROR_NONE;
    size_t log_count = 0, segment_count = 0, count = 0;
    enum lh_code code = log_list(storage, arena, &logs, &log_count, &err);
    if (!code)
        code = segment_list(storage, arena, &segments, &segment_count, &err);
    struct lh_str *keys = lh_arena_array(arena, log_count + segment_count + 1, sizeof *keys);
    for (size_t i = 0; i < log_count && !code; i++)
        if (logs[i].first != journal->log_first)
            keys[count++] = logs[i].key;
    for (size_t i = 0; i < segment_count && !code; i++)
        if (!lh_str_equal(segments[i].key, kept))
            keys[count++] = segments[i].key;
    if (!code && count)
        code = storage_trash(storage, STORAGE_PRIMARY, keys, count, &err);
    if (code)
        lh_log_error(LH_LOG_WARN, "journal.erase", &err); /* the next opening does */
    lh_arena_free(arena);
}

/* A segment that could not be finished may stand in its place all the same, as when its folder
 * could not be synced: whoever opens the journal next takes it for all records, so none may follow
 * in the log. */
static enum lh_code stop_unless_gone(struct erasing *erasing, enum lh_code code,
                                     struct lh_error *err)
{
    struct journal *journal = erasing->journal;
    const struct record_list *all = &erasing->records;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_error cause = LH_ERROR_NONE;
    struct journal_file *segments = NULL;
    size_t count = 0;
    if (err)
        cause = *err;
    bool is_gone = !segment_list(journal->options.storage, arena, &segments, &count, NULL);
    for (size_t i = 0; i < count; i++)
        is_gone &= segments[i].last < all->items[all->count - 1]->sequence;
    lh_arena_free(arena);
    if (is_gone)
        return code;
    pthread_mutex_lock(&journal->mutex);
    journal->is_stopped = true;
    pthread_mutex_unlock(&journal->mutex);
    return lh_fail(err, LH_UNKNOWN, "Whether the journal was written anew is not known: %s",
                   cause.message);
}

static enum lh_code check_whole(const struct erasing *erasing, struct lh_error *err)
{
    return erasing->records.count == erasing->journal->sequence
               ? LH_OK
               : lh_fail(err, LH_DAMAGED, "Records of the journal are missing.");
}

/* The log that is open must be known to nobody who does not know the segment. */
static enum lh_code renew_log(struct journal *journal, struct lh_error *err)
{
    enum lh_code code = journal_renew_log(journal, err);
    pthread_mutex_lock(&journal->mutex);
    bool is_stopped = journal->is_stopped;
    pthread_mutex_unlock(&journal->mutex);
    return code && is_stopped ? lh_fail(err, LH_UNKNOWN, "The journal's new log cannot be opened.")
                              : code;
}

static enum lh_code write_anew(struct erasing *erasing, struct lh_error *err)
{
    struct journal *journal = erasing->journal;
    struct lh_arena *arena = lh_arena_new(0);
    struct journal_file file;
    enum lh_code code = lh_cancel_fail(erasing->options->cancel, "The journal", err);
    if (!code)
        code = renew_log(journal, err);
    if (!code)
        code = check_whole(erasing, err); /* a new log may leave numbers out */
    if (!code)
        code = add_event(erasing, err);
    if (!code) {
        journal->anew = &erasing->records;
        code = segment_write(journal, &erasing->records, arena, &file, err);
        journal->anew = NULL;
        if (code)
            code = stop_unless_gone(erasing, code, err);
    }
    if (!code)
        code = take_over(erasing, &file, err);
    if (!code)
        remove_old(journal, file.key);
    lh_arena_free(arena);
    return code;
}

static enum lh_code check_state(struct journal *journal, struct lh_error *err)
{
    enum lh_code code = LH_OK;
    pthread_mutex_lock(&journal->mutex);
    if (journal->is_stopped)
        code = lh_fail(err, LH_UNKNOWN, "The journal stopped because the disk failed.");
    else if (journal->damage)
        code = lh_fail(err, LH_DAMAGED, "The journal is damaged: it is not written anew.");
    else if (journal->intents.count)
        code = lh_fail(err, LH_BUSY, "%zu changes were announced and are not settled.",
                       journal->intents.count);
    pthread_mutex_unlock(&journal->mutex);
    return code;
}

enum lh_code journal_erase(struct journal *journal, const struct journal_erase_options *options,
                           struct journal_erased *ret, struct lh_error *err)
{
    struct erasing erasing = {.journal = journal, .options = options};
    *ret = (struct journal_erased){0};
    pthread_mutex_lock(&journal->roll_mutex);
    journal_take_lead(journal);
    enum lh_code code = check_state(journal, err);
    if (!code)
        code = read_all(&erasing, err);
    if (!code)
        code = check_whole(&erasing, err);
    if (!code && erasing.changed)
        code = write_anew(&erasing, err);
    if (!code) {
        ret->records = erasing.changed;
        lh_hex(erasing.before, LH_SHA256_BYTES, ret->hash_before);
        lh_hex(erasing.after, LH_SHA256_BYTES, ret->hash_after);
    }
    journal_give_lead(journal);
    pthread_mutex_unlock(&journal->roll_mutex);
    record_list_release(&erasing.records);
    return code;
}
