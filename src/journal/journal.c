#include "journal/journal.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/engine.h"
#include "journal/internal.h"

#define ROLL_RECORDS 10000
#define ROLL_BYTES ((int64_t)64 << 20)
#define ROLL_AGE_MS ((int64_t)24 * 3600 * 1000)
#define DAMAGE_BYTES_MAX 2048

void journal_say_damage(struct journal *journal, const char *format, ...)
{
    struct lh_buf buf;
    va_list args;
    lh_buf_init(&buf, DAMAGE_BYTES_MAX);
    if (journal->damage)
        lh_buf_printf(&buf, "%s ", journal->damage);
    va_start(args, format);
    lh_buf_vprintf(&buf, format, args);
    va_end(args);
    if (!buf.is_over) { /* else what is said already suffices */
        free(journal->damage);
        journal->damage = buf.data;
        buf = (struct lh_buf){0};
    }
    lh_buf_release(&buf);
}

/* --- what records mean */

static void note_commit(struct journal *journal, const struct record *record)
{
    const struct journal_event *event = &record->event;
    if (event->lake_sequence < journal->drained)
        return;
    if (event->lake_sequence > journal->drained) {
        journal->drained = event->lake_sequence;
        journal->id_count = 0;
    }
    if (journal->id_count < JOURNAL_IDS_MAX && event->id.len == LH_UUID_TEXT_BYTES)
        memcpy(journal->ids[journal->id_count++], event->id.data, LH_UUID_TEXT_BYTES);
}

static void end_intent(struct journal *journal, uint64_t sequence)
{
    struct record_list *intents = &journal->intents;
    for (size_t i = 0; i < intents->count; i++) {
        if (intents->items[i]->sequence != sequence)
            continue;
        record_unref(intents->items[i]);
        memmove(&intents->items[i], &intents->items[i + 1],
                (intents->count - i - 1) * sizeof(struct record *));
        intents->count--;
        return;
    }
}

static void note_intent(struct journal *journal, struct record *record)
{
    if (record->kind == RECORD_INTENT)
        record_list_add(&journal->intents, record_ref(record));
    if (record->intent)
        end_intent(journal, record->intent);
}

void journal_note_record(struct journal *journal, struct record *record)
{
    note_intent(journal, record);
    if (record->kind != RECORD_EVENT)
        return;
    journal->event_count++;
    journal->buffered++;
    if (record->event.lake_sequence)
        note_commit(journal, record);
}

/* --- opening */

struct opening {
    struct journal *journal;
    struct lh_arena *arena;
    struct journal_file *logs, *segments;
    size_t log_count, segment_count;
    struct lh_str *leftovers; /* to the trash once all is open */
    size_t leftover_count;
    struct journal_file *rolled_logs; /* that stand wholly in segments */
    size_t rolled_log_count;
    uint64_t next_first; /* of the log that follows the last one without a hole */
    int64_t good_bytes;  /* of the newest log */
    bool has_log;        /* one that can go on */
    bool knows_counts;   /* a log's head told what came before it */
};

/* One that stands wholly in the one before it is what a failed attempt left. */
static enum lh_code open_segments(struct opening *opening, struct lh_error *err)
{
    struct journal *journal = opening->journal;
    enum lh_code code = LH_OK;
    for (size_t i = 0; i < opening->segment_count && !code; i++) {
        const struct journal_file *file = &opening->segments[i];
        if (file->last <= journal->rolled) {
            opening->leftovers[opening->leftover_count++] = file->key;
            continue;
        }
        if (file->first > journal->rolled + 1)
            journal_say_damage(journal, "Records %llu to %llu of the journal are missing.",
                               (unsigned long long)journal->rolled + 1,
                               (unsigned long long)file->first - 1);
        code = segment_add(journal, file, err);
    }
    return code;
}

static void take_head(struct opening *opening, const struct log_head *head)
{
    struct journal *journal = opening->journal;
    opening->knows_counts = true;
    journal->event_count = head->event_count;
    journal->drained = head->drained;
    journal->id_count = head->id_count < JOURNAL_IDS_MAX ? head->id_count : JOURNAL_IDS_MAX;
    for (size_t i = 0; i < journal->id_count; i++)
        memcpy(journal->ids[i], head->ids[i].data, LH_UUID_TEXT_BYTES);
}

static void check_place(struct journal *journal, const struct journal_file *file,
                        const struct log_content *content)
{
    if (file->first > journal->sequence + 1)
        journal_say_damage(journal, "Records %llu to %llu of the journal are missing.",
                           (unsigned long long)journal->sequence + 1,
                           (unsigned long long)file->first - 1);
    if (content->damage_count)
        journal_say_damage(journal, "The chain of the journal is broken at record %llu, in '%.*s'.",
                           (unsigned long long)content->damaged_at, LH_ARG(file->key));
}

/* A log that was removed held nothing that was still open, nor did those before it: what an older
 * one announces, kept for its broken chain, was settled. */
static void forget_settled(struct opening *opening, const struct journal_file *file)
{
    struct journal *journal = opening->journal;
    if (opening->next_first && file->first > opening->next_first &&
        file->first <= journal->rolled + 1)
        record_list_release(&journal->intents);
}

/* Under no lock: nobody else is there yet. */
static void note_leftover_logs(struct opening *opening)
{
    uint64_t kept_from = journal_kept_from(opening->journal);
    for (size_t i = 0; i < opening->rolled_log_count; i++) {
        const struct journal_file *file = &opening->rolled_logs[i];
        if (file->last < kept_from && file->first <= kept_from)
            opening->leftovers[opening->leftover_count++] = file->key;
    }
}

static enum lh_code open_log(struct opening *opening, const struct journal_file *file, bool is_last,
                             struct lh_error *err)
{
    struct journal *journal = opening->journal;
    struct log_content content;
    enum lh_code code = log_read(journal->options.storage, file, opening->arena, &content, err);
    if (code)
        return code;
    size_t count = content.records.count;
    uint64_t last = count ? content.records.items[count - 1]->sequence : file->first - 1;
    check_place(journal, file, &content);
    forget_settled(opening, file);
    opening->next_first = last + 1;
    if (!is_last && content.torn_bytes)
        journal_say_damage(journal, "'%.*s' ends in the middle of a record.", LH_ARG(file->key));
    else if (content.torn_bytes)
        lh_log(LH_LOG_WARN, "journal.torn",
               "%lld bytes at the journal's end, which were never acknowledged, were cut off.",
               (long long)content.torn_bytes);
    /* One that ends before the segments do: they were written anew, and the next log was not begun.
     */
    bool is_left = last < journal->rolled;
    if (content.has_head && !opening->knows_counts && !is_left &&
        (last > journal->rolled || is_last))
        take_head(opening, &content.head);
    if (last > journal->sequence || (is_last && last == journal->sequence)) {
        journal->sequence = last;
        memcpy(journal->hash,
               count ? content.records.items[count - 1]->hash : content.head.previous,
               LH_SHA256_BYTES);
    }
    for (size_t i = 0; i < count; i++) {
        struct record *record = content.records.items[i];
        if (record->sequence <= journal->rolled) {
            note_intent(journal, record);
            continue;
        }
        record_list_add(&journal->tail, record_ref(record));
        journal->waiting_bytes += (int64_t)record_bytes(record);
        journal_note_record(journal, record);
        if (!journal->log_since_ms)
            journal->log_since_ms = lh_clock_unix_ms();
    }
    if (is_last && content.has_head && !is_left) {
        opening->has_log = true;
        opening->good_bytes = content.good_bytes;
        journal->log_first = file->first;
        journal->log_format = content.head.format;
    } else if (last <= journal->rolled && !content.damage_count && !content.torn_bytes) {
        opening->rolled_logs[opening->rolled_log_count++] =
            (struct journal_file){.key = file->key, .first = file->first, .last = last};
    }
    record_list_release(&content.records);
    return LH_OK;
}

/* What the segments themselves say. */
struct told {
    uint64_t events, drained;
    bool has_hash;
    uint8_t hash[LH_SHA256_BYTES]; /* of the newest record */
};

static enum lh_code ask_segments(struct journal *journal, struct told *ret, struct lh_error *err)
{
    struct lh_buf buf;
    struct engine_cursor *cursor = NULL;
    const struct engine_chunk *chunk = NULL;
    *ret = (struct told){0};
    if (!journal->segment_count)
        return LH_OK;
    lh_buf_init(&buf, (size_t)64 << 20);
    lh_buf_append_str(&buf, lh_lit("SELECT count(*) FILTER (kind = 1), coalesce(max(lake_sequence),"
                                   " 0)::BIGINT, arg_max(hash, sequence) FROM read_parquet(["));
    for (size_t i = 0; i < journal->segment_count; i++) {
        lh_buf_append_str(&buf, i ? lh_lit(", ") : lh_lit(""));
        engine_quote_path(&buf, lh_str_of(journal->segments[i].path));
    }
    lh_buf_append_str(&buf, lh_lit("], hive_partitioning = false)"));
    enum lh_code code = lh_buf_check(&buf, "The list of segments", err);
    if (!code)
        code = engine_query(journal->options.engine, lh_buf_str(&buf), NULL, NULL, &cursor, err);
    if (!code)
        code = engine_cursor_next(cursor, &chunk, err);
    if (!code && chunk) {
        struct lh_str hash = engine_vector_str(&chunk->columns[2], 0);
        ret->events = (uint64_t)((const int64_t *)chunk->columns[0].data)[0];
        ret->drained = (uint64_t)((const int64_t *)chunk->columns[1].data)[0];
        ret->has_hash = hash.len == LH_SHA256_BYTES;
        if (ret->has_hash)
            memcpy(ret->hash, hash.data, LH_SHA256_BYTES);
    }
    engine_cursor_close(cursor);
    lh_buf_release(&buf);
    return code;
}

/* What came before the logs, where no log's head says it. */
static enum lh_code take_segments(struct journal *journal, struct lh_error *err)
{
    struct told told;
    enum lh_code code = ask_segments(journal, &told, err);
    if (code)
        return code;
    journal->event_count += told.events;
    if (told.drained > journal->drained)
        journal->drained = told.drained;
    if (journal->sequence == journal->rolled && told.has_hash)
        memcpy(journal->hash, told.hash, LH_SHA256_BYTES);
    return LH_OK;
}

static enum lh_code open_files(struct opening *opening, struct lh_error *err)
{
    struct journal *journal = opening->journal;
    struct storage *storage = journal->options.storage;
    struct journal_note note, mark;
    enum lh_code code = log_list(storage, opening->arena, &opening->logs, &opening->log_count, err);
    if (!code)
        code =
            segment_list(storage, opening->arena, &opening->segments, &opening->segment_count, err);
    if (code)
        return code;
    opening->leftovers = lh_arena_array(
        opening->arena, opening->log_count + opening->segment_count + 1, sizeof(struct lh_str));
    opening->rolled_logs =
        lh_arena_array(opening->arena, opening->log_count + 1, sizeof *opening->rolled_logs);
    code = open_segments(opening, err);
    journal->sequence = journal->rolled;
    for (size_t i = 0; i < opening->log_count && !code; i++)
        code = open_log(opening, &opening->logs[i], i + 1 == opening->log_count, err);
    note_leftover_logs(opening);
    if (!code && !opening->knows_counts)
        code = take_segments(journal, err);
    if (code)
        return code;
    note_read(storage, opening->arena, &note);
    journal->noted = note.is_there ? note.sequence : 0;
    mark_read(storage, opening->arena, &mark);
    uint64_t found = journal->sequence;
    journal_compare_note(journal, &note);
    journal_compare_note(journal, &mark);
    if (opening->has_log && found == journal->sequence)
        code = storage_log_open(storage, log_key(journal->log_first, opening->arena),
                                opening->good_bytes, &journal->log, err);
    else
        code = journal_new_log(journal, err);
    if (!code)
        journal->mark = mark_open(journal);
    return code;
}

/* What earlier ends left. That it cannot be moved harms nobody: the next opening tries again. */
static void remove_leftovers(const struct opening *opening)
{
    struct lh_error err = LH_ERROR_NONE;
    if (opening->leftover_count && storage_trash(opening->journal->options.storage, STORAGE_PRIMARY,
                                                 opening->leftovers, opening->leftover_count, &err))
        lh_log_error(LH_LOG_WARN, "journal.leftovers", &err);
}

enum lh_code journal_open(const struct journal_options *options, struct journal **ret,
                          struct lh_error *err)
{
    struct journal *journal = lh_allocate(1, sizeof *journal);
    struct opening opening = {.journal = journal, .arena = lh_arena_new(0)};
    journal->options = *options;
    if (!journal->options.roll_records)
        journal->options.roll_records = ROLL_RECORDS;
    if (!journal->options.roll_bytes)
        journal->options.roll_bytes = ROLL_BYTES;
    if (!journal->options.waiting_bytes_max)
        journal->options.waiting_bytes_max = JOURNAL_TAIL_BYTES_MAX;
    if (!journal->options.roll_age_ms)
        journal->options.roll_age_ms = ROLL_AGE_MS;
    journal->ids = lh_allocate(JOURNAL_IDS_MAX, sizeof *journal->ids);
    pthread_mutex_init(&journal->roll_mutex, NULL);
    pthread_mutex_init(&journal->mutex, NULL);
    pthread_cond_init(&journal->changed, NULL);
    enum lh_code code = segment_register(journal, err);
    if (!code)
        code = open_files(&opening, err);
    if (!code)
        remove_leftovers(&opening);
    lh_arena_free(opening.arena);
    if (code) {
        journal->is_stopped = true; /* no note: it was never open */
        journal_close(journal);
        return code;
    }
    *ret = journal;
    return LH_OK;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    struct lh_error err = LH_ERROR_NONE;
    if (!journal->is_stopped && journal->sequence != journal->noted &&
        note_write(journal->options.storage, journal->sequence, journal->hash, &err))
        lh_log_error(LH_LOG_WARN, "journal.close", &err);
    storage_log_close(journal->log);
    storage_mark_close(journal->mark);
    record_list_release(&journal->tail);
    record_list_release(&journal->intents);
    segment_drop_all(journal);
    free(journal->segments);
    free(journal->ids);
    free(journal->damage);
    pthread_cond_destroy(&journal->changed);
    pthread_mutex_destroy(&journal->mutex);
    pthread_mutex_destroy(&journal->roll_mutex);
    free(journal);
}

/* --- asking */

void journal_open_intents(struct journal *journal, struct lh_arena *arena,
                          struct journal_intent **ret, size_t *ret_count)
{
    pthread_mutex_lock(&journal->mutex);
    size_t count = journal->intents.count;
    struct journal_intent *items = lh_arena_array(arena, count + 1, sizeof *items);
    for (size_t i = 0; i < count; i++) {
        struct lh_str *texts[JOURNAL_TEXT_COUNT];
        items[i] = (struct journal_intent){journal->intents.items[i]->sequence,
                                           journal->intents.items[i]->event};
        journal_event_texts(&items[i].event, texts);
        for (size_t k = 0; k < JOURNAL_TEXT_COUNT; k++)
            *texts[k] = lh_arena_str(arena, *texts[k]);
    }
    pthread_mutex_unlock(&journal->mutex);
    *ret = items;
    *ret_count = count;
}

uint64_t journal_drained(struct journal *journal, struct lh_arena *arena, struct lh_str **ret_ids,
                         size_t *ret_count)
{
    pthread_mutex_lock(&journal->mutex);
    uint64_t drained = journal->drained;
    size_t count = journal->id_count;
    struct lh_str *ids = lh_arena_array(arena, count + 1, sizeof *ids);
    for (size_t i = 0; i < count; i++)
        ids[i] = lh_arena_str(arena, lh_str_of(journal->ids[i]));
    pthread_mutex_unlock(&journal->mutex);
    *ret_ids = ids;
    *ret_count = count;
    return drained;
}

enum lh_code journal_check_drained(struct journal *journal, uint64_t newest, uint64_t *ret,
                                   struct lh_error *err)
{
    struct told told;
    struct lh_error late = LH_ERROR_NONE;
    pthread_mutex_lock(&journal->mutex);
    uint64_t said = journal->drained;
    pthread_mutex_unlock(&journal->mutex);
    *ret = said;
    if (said <= newest)
        return LH_OK;
    enum lh_code code = ask_segments(journal, &told, err);
    if (code)
        return code;
    pthread_mutex_lock(&journal->mutex);
    journal->drained = told.drained;
    journal->id_count = 0;
    for (size_t i = 0; i < journal->tail.count; i++)
        if (journal->tail.items[i]->kind == RECORD_EVENT &&
            journal->tail.items[i]->event.lake_sequence)
            note_commit(journal, journal->tail.items[i]);
    *ret = journal->drained;
    if (*ret < said)
        journal_say_damage(journal,
                           "A log of the journal says that commits up to %llu stand in it; they do "
                           "up to %llu.",
                           (unsigned long long)said, (unsigned long long)*ret);
    pthread_mutex_unlock(&journal->mutex);
    /* So that the next opening reads another head. */
    if (*ret < said && journal_roll(journal, true, &late))
        lh_log_error(LH_LOG_WARN, "journal.drained", &late);
    return LH_OK;
}

void journal_stats(struct journal *journal, struct journal_stats *ret)
{
    pthread_mutex_lock(&journal->mutex);
    *ret = (struct journal_stats){
        .events = (int64_t)journal->event_count,
        .buffered = journal->buffered,
        .persisted = (int64_t)journal->event_count - journal->buffered,
        .segments = (int64_t)journal->segment_count,
        .appends = journal->appends,
        .syncs = journal->syncs,
        .open_intents = (int64_t)journal->intents.count,
        .sequence = journal->sequence,
        .is_writable = !journal->is_stopped,
    };
    lh_hex(journal->hash, LH_SHA256_BYTES, ret->hash);
    pthread_mutex_unlock(&journal->mutex);
}

struct lh_str journal_damage(struct journal *journal, struct lh_arena *arena)
{
    pthread_mutex_lock(&journal->mutex);
    struct lh_str text = lh_arena_str(arena, lh_str_of(journal->damage));
    pthread_mutex_unlock(&journal->mutex);
    return text;
}
