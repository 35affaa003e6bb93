#include "journal/verify.h"

#include "engine/engine.h"
#include "journal/internal.h"
#include "storage/findings.h"

struct walk {
    const struct journal_verify_options *options;
    struct storage_findings *findings;
    struct lh_str key; /* of what is looked at */
    uint64_t expected;
    uint8_t previous[LH_SHA256_BYTES];
    bool knows_previous;
    int64_t count;
    uint64_t events, drained; /* recounted: heads are outside the chain */
    bool is_whole;            /* all records up to here were seen */
    struct journal_note mark; /* where it ended last */
    bool is_marked_other;     /* the record that it names has another hash */
};

static void say_missing(struct walk *walk, uint64_t from, uint64_t upto)
{
    walk->is_whole = false;
    if (from == upto)
        storage_find(walk->findings, true, walk->key, "Record %llu of the journal is missing.",
                     (unsigned long long)from);
    else
        storage_find(walk->findings, true, walk->key,
                     "Records %llu to %llu of the journal are missing.", (unsigned long long)from,
                     (unsigned long long)upto);
}

/* An erasure that was cut off before the mark changed the hashes, and says so behind it. */
static void compare_mark(struct walk *walk, const struct record *record)
{
    if (!walk->mark.is_there || record->sequence < walk->mark.sequence)
        return;
    if (record->sequence == walk->mark.sequence)
        walk->is_marked_other = memcmp(record->hash, walk->mark.hash, LH_SHA256_BYTES) != 0;
    else if (lh_str_equal(record->event.action, lh_lit("journal.erase")))
        walk->is_marked_other = false;
}

/* Follows the chain by one record. `is_sound`: its bytes are what its hash says. */
static void follow(struct walk *walk, const struct record *record, bool is_sound)
{
    uint64_t sequence = record->sequence;
    walk->count++;
    if (record->kind == RECORD_EVENT) {
        walk->events++;
        if (record->event.lake_sequence > walk->drained)
            walk->drained = record->event.lake_sequence;
    }
    compare_mark(walk, record);
    if (!is_sound)
        storage_find(walk->findings, true, walk->key,
                     "Record %llu of the journal is not what was written.",
                     (unsigned long long)sequence);
    if (sequence > walk->expected)
        say_missing(walk, walk->expected, sequence - 1);
    else if (sequence < walk->expected)
        storage_find(walk->findings, true, walk->key,
                     "Record %llu of the journal stands behind record %llu.",
                     (unsigned long long)sequence, (unsigned long long)walk->expected - 1);
    else if (walk->knows_previous && memcmp(record->previous, walk->previous, LH_SHA256_BYTES) != 0)
        storage_find(walk->findings, true, walk->key,
                     "Record %llu of the journal does not follow the one that stands before it.",
                     (unsigned long long)sequence);
    if (sequence >= walk->expected) {
        walk->expected = sequence + 1;
        walk->knows_previous = true;
        memcpy(walk->previous, record->hash, LH_SHA256_BYTES);
    }
    if (walk->options->visit && record->kind == RECORD_EVENT)
        walk->options->visit(walk->options->context, sequence, &record->event);
}

static enum lh_code follow_row(void *context, struct record *record, struct lh_error *err)
{
    (void)err;
    follow(context, record, record_is_sound(record));
    return LH_OK;
}

static enum lh_code look_at_segment(struct walk *walk, struct storage *storage,
                                    const struct journal_file *file, struct lh_arena *arena,
                                    struct lh_error *err)
{
    struct lh_error found = LH_ERROR_NONE;
    struct lh_str path;
    struct lh_buf sql;
    walk->key = file->key;
    if (file->last < walk->expected) {
        storage_find(walk->findings, false, file->key,
                     "The segment stands in another one: left by an attempt that failed.");
        return LH_OK;
    }
    enum lh_code code = segment_compare_sum(storage, file, walk->options->cancel, &found);
    if (lh_cancel_check(walk->options->cancel))
        return lh_cancel_fail(walk->options->cancel, "Looking at the journal", err);
    if (code) /* whatever it is: without the engine nobody else reads the file */
        storage_find(walk->findings, true, file->key,
                     code == LH_DAMAGED ? "%s" : "The segment cannot be read: %s", found.message);
    if (!walk->options->engine) {
        if (file->first > walk->expected)
            say_missing(walk, walk->expected, file->first - 1);
        walk->expected = file->last + 1;
        walk->knows_previous = false;
        walk->is_whole = false;
        return LH_OK;
    }
    code = storage_object_path(storage, STORAGE_PRIMARY, file->key, arena, &path, err);
    if (code)
        return code;
    lh_buf_init(&sql, 65536);
    lh_buf_printf(&sql, "SELECT %s FROM read_parquet(", segment_columns);
    engine_quote_path(&sql, path);
    lh_buf_append_str(&sql, lh_lit(", hive_partitioning = false)"));
    code = segment_rows(walk->options->engine, lh_buf_str(&sql), walk->options->cancel, follow_row,
                        walk, &found);
    lh_buf_release(&sql);
    if (code)
        storage_find(walk->findings, true, file->key, "The segment cannot be read: %s",
                     found.message);
    else if (walk->expected != file->last + 1)
        storage_find(walk->findings, true, file->key,
                     "The segment ends with record %llu, not with the one that it is named for.",
                     (unsigned long long)walk->expected - 1);
    if (walk->expected <= file->last) {
        walk->is_whole = false;
        walk->expected = file->last + 1;
        walk->knows_previous = false;
    }
    return lh_cancel_fail(walk->options->cancel, "Looking at the journal", err);
}

/* What the head says of all that stands before its log. */
static void compare_head(struct walk *walk, const struct journal_file *file,
                         const struct log_head *head)
{
    if (!walk->is_whole || file->first != walk->expected)
        return;
    if (head->event_count != walk->events)
        storage_find(walk->findings, true, file->key,
                     "The log's head counts %llu events before it; there are %llu.",
                     (unsigned long long)head->event_count, (unsigned long long)walk->events);
    if (head->drained != walk->drained)
        storage_find(walk->findings, true, file->key,
                     "The log's head says that commits stand before it up to %llu; they do up to "
                     "%llu.",
                     (unsigned long long)head->drained, (unsigned long long)walk->drained);
}

static enum lh_code look_at_log(struct walk *walk, struct storage *storage,
                                const struct journal_file *file, bool is_last,
                                struct lh_arena *arena, struct lh_error *err)
{
    struct log_content content;
    struct lh_error found = LH_ERROR_NONE;
    enum lh_code code = log_read(storage, file, arena, &content, &found);
    walk->key = file->key;
    if (code) {
        storage_find(walk->findings, true, file->key, "The log cannot be read: %s", found.message);
        return lh_cancel_fail(walk->options->cancel, "Looking at the journal", err);
    }
    size_t count = content.records.count;
    uint64_t last = count ? content.records.items[count - 1]->sequence : file->first - 1;
    bool is_rolled = !is_last && last < walk->expected;
    if (!content.has_head)
        storage_find(walk->findings, true, file->key, "The log's head is not what was written.");
    if (content.damage_count)
        storage_find(walk->findings, true, file->key,
                     "Record %llu of the journal is missing, changed or out of its place.",
                     (unsigned long long)content.damaged_at);
    if (content.torn_bytes)
        storage_find(walk->findings, !is_last, file->key,
                     is_last ? "%lld bytes at the end were never acknowledged; the next start cuts "
                               "them off."
                             : "%lld bytes at the end are no record.",
                     (long long)content.torn_bytes);
    if (content.has_head)
        compare_head(walk, file, &content.head);
    if (content.has_head && file->first == walk->expected && walk->knows_previous &&
        memcmp(content.head.previous, walk->previous, LH_SHA256_BYTES) != 0)
        storage_find(walk->findings, true, file->key,
                     "The log does not follow what stands before it.");
    if (!is_rolled && file->first > walk->expected)
        say_missing(walk, walk->expected, file->first - 1);
    if (!is_rolled && file->first > walk->expected && content.has_head) {
        walk->expected = file->first;
        memcpy(walk->previous, content.head.previous, LH_SHA256_BYTES);
    }
    /* Those of a damaged log came into segments as they could be read. */
    for (size_t i = 0; i < count && !is_rolled; i++)
        if (content.records.items[i]->sequence >= walk->expected)
            follow(walk, content.records.items[i], true);
    record_list_release(&content.records);
    return LH_OK;
}

static bool compare_note(struct walk *walk, struct storage *storage, struct lh_arena *arena)
{
    struct journal_note note;
    note_read(storage, arena, &note);
    walk->key = lh_lit(JOURNAL_NOTE_KEY);
    if (!note.is_there)
        return false;
    if (note.sequence >= walk->expected)
        say_missing(walk, walk->expected, note.sequence);
    else if (note.sequence + 1 == walk->expected && walk->knows_previous &&
             memcmp(note.hash, walk->previous, LH_SHA256_BYTES) != 0)
        storage_find(walk->findings, true, walk->key,
                     "The journal's newest record, %llu, is not the one that it ended with.",
                     (unsigned long long)note.sequence);
    return true;
}

/* What nobody noted cannot be missed. */
static void judge_end(struct walk *walk, bool has_note)
{
    walk->key = lh_lit(JOURNAL_MARK_KEY);
    if (walk->is_marked_other)
        storage_find(walk->findings, true, walk->key,
                     "Record %llu of the journal is not the one that was written.",
                     (unsigned long long)walk->mark.sequence);
    if (walk->mark.is_there && walk->mark.sequence >= walk->expected)
        say_missing(walk, walk->expected, walk->mark.sequence);
    else if (!walk->mark.is_there && !has_note && walk->expected > 1)
        storage_find(walk->findings, false, walk->key,
                     "Nothing says where the journal ended: whether records behind number %llu "
                     "are missing cannot be told. The next start makes the mark.",
                     (unsigned long long)walk->expected - 1);
}

enum lh_code journal_verify(struct storage *storage, const struct journal_verify_options *options,
                            struct storage_findings *findings, int64_t *ret_count,
                            struct lh_error *err)
{
    struct lh_arena *arena = lh_arena_new(0);
    struct journal_file *segments = NULL, *logs = NULL;
    size_t segment_count = 0, log_count = 0;
    struct walk walk = {.options = options,
                        .findings = findings,
                        .expected = 1,
                        .knows_previous = true,
                        .is_whole = true};
    mark_read(storage, arena, &walk.mark);
    enum lh_code code = segment_list(storage, arena, &segments, &segment_count, err);
    if (!code)
        code = log_list(storage, arena, &logs, &log_count, err);
    for (size_t i = 0; i < segment_count && !code; i++)
        code = look_at_segment(&walk, storage, &segments[i], arena, err);
    for (size_t i = 0; i < log_count && !code; i++)
        code = look_at_log(&walk, storage, &logs[i], i + 1 == log_count, arena, err);
    if (!code && segment_count && !log_count)
        storage_find(findings, true, lh_lit(JOURNAL_LOG_FOLDER),
                     "There are segments of the journal, and no log that follows them.");
    if (!code)
        judge_end(&walk, compare_note(&walk, storage, arena));
    if (!code)
        *ret_count = walk.count;
    lh_arena_free(arena);
    return code;
}
