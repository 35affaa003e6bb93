/* From log to segment. The log that is open ends, and another begins, while nobody appends; what
 * stood in it is then written as a segment while others go on appending to the new one. Only when
 * the segment is durable the old log goes. A kill in between leaves both: the next opening sees
 * that the log stands in a segment, or that it does not, and then its records are as new. */
#include "base/clock.h"
#include "base/log.h"
#include "journal/internal.h"

#include <stdlib.h>

#define HEAD_BYTES_MAX ((size_t)1 << 20)

static enum lh_code stop(struct journal *journal, enum lh_code code)
{
    pthread_mutex_lock(&journal->mutex);
    journal->is_stopped = true;
    pthread_mutex_unlock(&journal->mutex);
    return code;
}

static struct log_head make_head(struct journal *journal, struct lh_arena *arena)
{
    struct log_head head = {
        .first_sequence = journal->sequence + 1,
        .epoch = journal->options.epoch,
        .event_count = journal->event_count,
        .drained = journal->drained,
        .id_count = journal->id_count,
    };
    memcpy(head.previous, journal->hash, sizeof head.previous);
    head.ids = lh_arena_array(arena, head.id_count + 1, sizeof *head.ids);
    for (size_t i = 0; i < head.id_count; i++)
        head.ids[i] = lh_arena_str(arena, lh_str_of(journal->ids[i]));
    return head;
}

static enum lh_code encode_head(struct journal *journal, struct lh_arena *arena, struct lh_buf *buf,
                                struct lh_error *err)
{
    pthread_mutex_lock(&journal->mutex);
    struct log_head head = make_head(journal, arena);
    pthread_mutex_unlock(&journal->mutex);
    lh_buf_clear(buf);
    log_head_encode(&head, buf);
    return lh_buf_check(buf, "The head of the journal's log", err);
}

/* The log behind the newest record, of which only the head is there: `head_bytes`, whose writing
 * ended with `code`. */
static enum lh_code open_written(struct journal *journal, enum lh_code code, size_t head_bytes,
                                 struct lh_arena *arena, struct lh_error *err)
{
    struct storage_log *log = NULL;
    if (code)
        return code == LH_UNKNOWN ? stop(journal, code) : code;
    code = storage_log_open(journal->options.storage, log_key(journal->sequence + 1, arena),
                            (int64_t)head_bytes, &log, err);
    /* It is there and not open: records must not go on to the one before it. */
    if (code)
        return stop(journal, code);
    storage_log_close(journal->log);
    journal->log = log;
    journal->log_first = journal->sequence + 1;
    journal->log_format = JOURNAL_FORMAT;
    return LH_OK;
}

enum lh_code journal_new_log(struct journal *journal, struct lh_error *err)
{
    struct storage *storage = journal->options.storage;
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_buf buf;
    enum lh_code code = LH_EXISTS;
    lh_buf_init(&buf, HEAD_BYTES_MAX);
    /* Vital, for without a log no change can be made that is.
     * One of that name is there if its head cannot be read: its numbers are left out. */
    for (int i = 0; i < 64 && code == LH_EXISTS; i++) {
        pthread_mutex_lock(&journal->mutex);
        journal->sequence += i > 0;
        pthread_mutex_unlock(&journal->mutex);
        code = encode_head(journal, arena, &buf, err);
        if (!code)
            code = storage_put_vital(storage, STORAGE_PRIMARY,
                                     log_key(journal->sequence + 1, arena), lh_buf_str(&buf), err);
    }
    code = open_written(journal, code, buf.len, arena, err);
    lh_buf_release(&buf);
    lh_arena_free(arena);
    return code;
}

/* An empty one has the name that the next would have: its head is written over, whole or not. */
static enum lh_code replace_head(struct journal *journal, struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct lh_buf buf;
    lh_buf_init(&buf, HEAD_BYTES_MAX);
    enum lh_code code = encode_head(journal, arena, &buf, err);
    if (!code)
        code = storage_put_replacing(journal->options.storage, STORAGE_PRIMARY,
                                     log_key(journal->log_first, arena), lh_buf_str(&buf), err);
    code = open_written(journal, code, buf.len, arena, err);
    lh_buf_release(&buf);
    lh_arena_free(arena);
    return code;
}

enum lh_code journal_renew_log(struct journal *journal, struct lh_error *err)
{
    if (journal->log_format == JOURNAL_FORMAT)
        return LH_OK;
    return journal->sequence >= journal->log_first ? journal_new_log(journal, err)
                                                   : replace_head(journal, err);
}

bool journal_is_due(const struct journal *journal, bool is_forced)
{
    size_t waiting = journal->tail.count - journal->tail_rolled;
    if (!waiting)
        return false;
    return is_forced || (int64_t)waiting >= journal->options.roll_records ||
           journal->waiting_bytes >= journal->options.roll_bytes ||
           (journal->log_since_ms &&
            lh_clock_unix_ms() - journal->log_since_ms >= journal->options.roll_age_ms);
}

/* Ends the log; *ret are the records that are in no segment. */
static enum lh_code end_log(struct journal *journal, bool is_forced, struct record_list *ret,
                            struct lh_error *err)
{
    enum lh_code code = LH_OK;
    journal_take_lead(journal);
    pthread_mutex_lock(&journal->mutex);
    bool is_wanted = journal_is_due(journal, is_forced);
    if (is_wanted && journal->is_stopped)
        code = lh_fail(err, LH_UNKNOWN, "The journal stopped because the disk failed.");
    pthread_mutex_unlock(&journal->mutex);
    if (!code && is_wanted)
        code = journal->sequence >= journal->log_first ? journal_new_log(journal, err)
                                                       : journal_renew_log(journal, err);
    pthread_mutex_lock(&journal->mutex);
    for (size_t i = journal->tail_rolled; i < journal->tail.count && !code && is_wanted; i++)
        record_list_add(ret, record_ref(journal->tail.items[i]));
    pthread_mutex_unlock(&journal->mutex);
    journal_give_lead(journal);
    return code;
}

/* The records stay in memory until the next segment: statements that were resolved before this one
 * ask for them. */
static enum lh_code show_segment(struct journal *journal, const struct record_list *records,
                                 const struct journal_file *file, struct lh_error *err)
{
    int64_t events = 0, bytes = 0;
    for (size_t i = 0; i < records->count; i++) {
        events += records->items[i]->kind == RECORD_EVENT;
        bytes += (int64_t)record_bytes(records->items[i]);
    }
    pthread_mutex_lock(&journal->mutex);
    enum lh_code code = segment_add(journal, file, err);
    if (!code) {
        struct record_list *tail = &journal->tail;
        size_t gone = journal->tail_rolled;
        for (size_t i = 0; i < gone; i++)
            record_unref(tail->items[i]);
        tail->count -= gone;
        memmove(tail->items, tail->items + gone, tail->count * sizeof(struct record *));
        journal->tail_rolled = records->count;
        journal->buffered -= events;
        journal->waiting_bytes -= bytes;
        journal->log_since_ms = tail->count > records->count ? lh_clock_unix_ms() : 0;
    }
    pthread_mutex_unlock(&journal->mutex);
    return code;
}

uint64_t journal_kept_from(const struct journal *journal)
{
    uint64_t from = journal->rolled + 1;
    for (size_t i = 0; i < journal->intents.count; i++)
        if (journal->intents.items[i]->sequence < from)
            from = journal->intents.items[i]->sequence;
    return from;
}

/* Those that stand wholly in segments: appends may have begun others meanwhile. Oldest first, and
 * none behind one with an open intent: its settlement must be found where it is. A log whose chain
 * is broken stays, as what it is. */
static void remove_logs(struct journal *journal)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct journal_file *files = NULL;
    struct lh_error err = LH_ERROR_NONE;
    size_t count = 0;
    pthread_mutex_lock(&journal->mutex);
    uint64_t kept_from = journal_kept_from(journal);
    pthread_mutex_unlock(&journal->mutex);
    enum lh_code code = log_list(journal->options.storage, arena, &files, &count, &err);
    for (size_t i = 0; i < count && !code; i++) {
        struct log_content content;
        if (files[i].first >= kept_from)
            break;
        code = log_read(journal->options.storage, &files[i], arena, &content, &err);
        bool is_sound = !code && !content.damage_count && !content.torn_bytes;
        size_t records = code ? 0 : content.records.count;
        if (records && content.records.items[records - 1]->sequence >= kept_from)
            is_sound = false;
        if (!code)
            record_list_release(&content.records);
        if (is_sound)
            code = storage_trash(journal->options.storage, STORAGE_PRIMARY, &files[i].key, 1, &err);
    }
    if (code)
        lh_log_error(LH_LOG_WARN, "journal.roll", &err);
    lh_arena_free(arena);
}

enum lh_code journal_roll(struct journal *journal, bool is_forced, struct lh_error *err)
{
    struct record_list records = {0};
    struct lh_arena *arena = lh_arena_new(0);
    struct journal_file file;
    pthread_mutex_lock(&journal->roll_mutex);
    enum lh_code code = end_log(journal, is_forced, &records, err);
    if (!code && records.count)
        code = segment_write(journal, &records, arena, &file, err);
    if (!code && records.count)
        code = show_segment(journal, &records, &file, err);
    if (!code && records.count)
        remove_logs(journal);
    lh_arena_free(arena);
    record_list_release(&records);
    pthread_mutex_unlock(&journal->roll_mutex);
    return code;
}
